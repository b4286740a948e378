//! A statement that is held keeps no snapshot open that can be given up unseen; where it cannot, that counts.

mod support;

use stepgate_session::TransactionSoFar::{Nothing, Read, Snapshot};
use support::{Stage, bind, complete, execute, frame, parse, permit, query, ready, sync, tags};

/// In a transaction, a SELECT has been run by this portal, and all its rows have come.
fn after_a_select(portal: &str) -> Stage {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    let select = [parse("", "select a from t"), bind(portal, ""), execute(portal), sync()];
    stage.run(&select, &[frame(b'1', b""), frame(b'2', b""), complete(), ready(b'T')]);
    stage
}

#[test]
fn the_unnamed_portal_is_closed_while_what_replaces_it_is_held() {
    let replaced: [&[Vec<u8>]; 2] = [
        &[query("select a from app.t")],
        &[parse("", "select a from app.t"), bind("", ""), execute(""), sync()],
    ];
    for frames in replaced {
        let mut stage = after_a_select("");
        stage.client(frames);
        let pending = stage.decision();
        assert_eq!(pending.transaction, Read);
        stage.hold();
        stage.hold();
        let sent = stage.at_server();
        assert_eq!(tags(&sent), "CS");
        assert_eq!(sent.first(), Some(&frame(b'C', b"P\0").into()));
        stage.at_client();
        stage.server(&[frame(b'3', b""), ready(b'T')]);
        assert_eq!(tags(&stage.at_client()), "", "nobody sees it");
        stage.hold();
        assert_eq!(tags(&stage.at_server()), "", "it is closed already");
        stage.pass(permit(pending.number));
        assert!(matches!(tags(&stage.at_server()).as_str(), "Q" | "PBES"));
    }
}

#[test]
fn in_the_middle_of_a_segment_it_is_closed_before_what_that_has_prepared_is_let_go() {
    let mut stage = after_a_select("");
    stage.client(&[parse("s", "select a from app.t"), frame(b'H', b"")]);
    stage.server(&[frame(b'1', b"")]);
    stage.at_server();
    stage.client(&[bind("", "s"), execute(""), sync()]);
    assert_eq!(stage.decision().transaction, Read);
    stage.hold();
    assert_eq!(tags(&stage.at_server()), "CH");
    stage.at_client();
    stage.server(&[frame(b'3', b"")]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'T')]);
    assert_eq!(tags(&stage.at_client()), "");
}

#[test]
fn a_portal_of_which_all_rows_have_come_is_closed_whatever_is_held() {
    for (portal, next) in [("c_1", ""), ("c_1", "c_2"), ("", "c_2")] {
        let mut stage = after_a_select(portal);
        stage.client(&[parse("", "select a from app.t"), bind(next, ""), execute(next), sync()]);
        assert_eq!(stage.decision().transaction, Read);
        stage.hold();
        let sent = stage.at_server();
        assert_eq!(tags(&sent), "CS");
        assert_eq!(sent.first(), Some(&frame(b'C', format!("P{portal}\0").as_bytes()).into()));
    }
}

#[test]
fn what_cannot_be_closed_unseen_counts_as_a_kept_snapshot() {
    for (executed, reply) in [(false, None), (true, Some(frame(b's', b"")))] {
        let mut stage = Stage::new();
        stage.run(&[query("begin")], &[complete(), ready(b'T')]);
        let mut select = vec![parse("", "select a from t"), bind("c_1", "")];
        let mut replies = vec![frame(b'1', b""), frame(b'2', b"")];
        select.extend(executed.then(|| execute("c_1")));
        replies.extend(reply);
        stage.run(&[select, vec![sync()]].concat(), &[replies, vec![ready(b'T')]].concat());
        stage.client(&[query("select a from app.t")]);
        assert_eq!(stage.decision().transaction, Snapshot);
        stage.hold();
        assert_eq!(tags(&stage.at_server()), "");
    }
    // The unnamed one stays while another is bound.
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    let opened = [frame(b'1', b""), frame(b'2', b""), ready(b'T')];
    stage.run(&[parse("", "select a from t"), bind("", ""), sync()], &opened);
    stage.client(&[parse("", "select a from app.t"), bind("c_1", ""), execute("c_1"), sync()]);
    assert_eq!(stage.decision().transaction, Snapshot);
}

#[test]
fn outside_a_transaction_nothing_is_kept() {
    let mut stage = Stage::new();
    let select = [parse("", "select a from t"), bind("c", ""), execute("c"), sync()];
    stage.run(&select, &[frame(b'1', b""), frame(b'2', b""), complete(), ready(b'I')]);
    stage.client(&[query("select a from app.t")]);
    assert_eq!(stage.decision().transaction, Nothing);
    stage.hold();
    assert_eq!(tags(&stage.at_server()), "");
}
