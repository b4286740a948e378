//! One name space of prepared statements and one of portals, for SQL and the protocol alike.

#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use stepgate_session::{GoesOn, Pending};
use stepgate_types::{Certainty, ColumnName, Kind, RelationName};
use support::{
    Stage, bind, close_statement, complete, execute, frame, parse, permit, query, ready, sync, tags,
};

fn runs(stage: &mut Stage, sql: &str, status: u8) {
    stage.run(&[query(sql)], &[complete(), ready(status)]);
}

/// The decision that these frames ask for; it is refused.
fn asked(stage: &mut Stage, frames: &[Vec<u8>]) -> Pending {
    stage.client(frames);
    let pending = stage.decision();
    let again = stage.session.judge_again();
    assert_eq!(again.as_ref(), Some(&pending.facts), "judged again, it is the same");
    stage.refuse("no");
    let nonce = support::nonce(&stage.at_server().concat());
    let simple = pending.protocol == stepgate_session::Protocol::Simple;
    let error = support::error(if simple { "42601" } else { "26000" }, &nonce);
    stage.server(&[error, ready(b'T')]);
    stage.at_client();
    pending
}

fn is_of_t(pending: &Pending) -> bool {
    let column = ColumnName::new(RelationName::new("public", "t"), "a");
    pending.facts[0].certainty == Certainty::Exact && pending.facts[0].columns.contains_key(&column)
}

fn is_unknown(pending: &Pending) -> bool {
    pending.facts[0].certainty == Certainty::Unknown
}

fn bound() -> [Vec<u8>; 3] {
    [bind("", "q"), execute(""), sync()]
}

#[test]
fn what_prepare_has_prepared_can_be_bound() {
    let mut stage = Stage::new();
    runs(&mut stage, "begin", b'T');
    runs(&mut stage, "prepare q (text) as select a from t where a = $1", b'T');
    let pending = asked(&mut stage, &bound());
    assert!(is_of_t(&pending));
    assert_eq!(pending.facts[0].kind, Kind::Execute);
    // What is watched while it runs is what it executes.
    assert!(
        matches!(stage.session.goes_on(&pending.text()), Some(GoesOn::Prepared(text)) if text.sql == pending.sql)
    );
    assert!(is_of_t(&asked(&mut stage, &[query("execute q ('x')")])));
}

#[test]
fn what_parse_has_prepared_can_be_executed() {
    let mut stage = Stage::new();
    stage.run(&[parse("q", "select a from t"), sync()], &[frame(b'1', b""), ready(b'I')]);
    runs(&mut stage, "begin", b'T');
    let pending = asked(&mut stage, &[query("execute q")]);
    assert!(is_of_t(&pending));
    assert_eq!(pending.facts[0].kind, Kind::Execute);
    let sql = b"select a from t";
    assert!(
        matches!(stage.session.goes_on(&pending.text()), Some(GoesOn::Prepared(of)) if of.sql[..] == sql[..])
    );
    assert!(is_unknown(&asked(&mut stage, &[query("execute other")])));
    // Another Parse of that name is not confirmed yet, and waited for.
    stage.client(&[close_statement("q"), parse("q", "select 1"), sync(), query("execute q")]);
    assert!(!stage.undecided());
    stage.server(&[frame(b'3', b""), frame(b'1', b""), ready(b'T')]);
    let pending = stage.decision();
    assert!(!is_unknown(&pending) && !is_of_t(&pending));
}

#[test]
fn a_declared_cursor_can_be_executed() {
    let mut stage = Stage::new();
    runs(&mut stage, "begin", b'T');
    runs(&mut stage, "declare c cursor for select a from t", b'T');
    for _ in 0..2 {
        stage.client(&[execute("c"), sync()]);
        assert!(!stage.undecided(), "it was let through when it was declared");
        assert_eq!(tags(&stage.at_server()), "ES");
        stage.server(&[frame(b'D', b"\0\0"), frame(b's', b""), ready(b'T')]);
        assert_eq!(tags(&stage.at_client()), "DsZ");
    }
    // By a DECLARE of the extended protocol, too.
    let declare = [parse("", "declare d cursor for select a from t"), bind("", ""), execute(""), sync()];
    stage.run(&declare, &[frame(b'1', b""), frame(b'2', b""), complete(), ready(b'T')]);
    stage.client(&[execute("d"), sync()]);
    assert!(!stage.undecided());
    stage.server(&[complete(), ready(b'T')]);
    // What calls somebody's functions is what they are when it is fetched.
    runs(&mut stage, "declare e cursor for select late(1)", b'T');
    assert!(is_unknown(&asked(&mut stage, &[execute("e"), sync()])));
    assert!(is_unknown(&asked(&mut stage, &[execute("unheard_of"), sync()])));
}

#[test]
fn a_bound_portal_can_be_fetched_from() {
    let mut stage = Stage::new();
    runs(&mut stage, "begin", b'T');
    let open = |sql: &str, portal: &str| [parse("", sql), bind(portal, ""), sync()];
    let opened = [frame(b'1', b""), frame(b'2', b""), ready(b'T')];
    stage.run(&open("select a from t", "p"), &opened);
    let pending = asked(&mut stage, &[query("fetch 1 from p")]);
    assert_eq!((pending.facts[0].kind, pending.facts[0].certainty), (Kind::Cursor, Certainty::Exact));
    stage.run(&open("select late(1)", "q"), &opened);
    assert!(is_unknown(&asked(&mut stage, &[query("fetch 1 from q")])));
    stage.run(&open("insert into t values ('x') returning a", "r"), &opened);
    assert!(is_unknown(&asked(&mut stage, &[query("fetch 1 from r")])));
}

#[test]
fn what_is_given_up_is_forgotten_and_nothing_else_is() {
    for gives_up in ["deallocate q", "deallocate prepare q", "DEALLOCATE Q", "deallocate all", "discard all"]
    {
        let mut stage = Stage::new();
        runs(&mut stage, "prepare q as select a from t", b'I');
        let _ = asked(&mut stage, &bound());
        runs(&mut stage, gives_up, b'I');
        assert!(is_unknown(&asked(&mut stage, &bound())), "{gives_up}");
        assert!(is_unknown(&asked(&mut stage, &[query("execute q")])), "{gives_up}");
    }
    for gives_up in ["close c", "close all", "CLOSE C"] {
        let mut stage = Stage::new();
        runs(&mut stage, "begin", b'T');
        runs(&mut stage, "prepare c as select a from t", b'T');
        runs(&mut stage, "declare c cursor for select a from t", b'T');
        runs(&mut stage, gives_up, b'T');
        assert!(is_unknown(&asked(&mut stage, &[query("fetch 1 from c")])), "{gives_up}");
        assert!(is_unknown(&asked(&mut stage, &[execute("c"), sync()])), "{gives_up}");
    }
    // A driver that prepares, and gives up, more names than are remembered.
    let mut stage = Stage::new();
    runs(&mut stage, "prepare q as select a from t", b'I');
    for number in 0..300 {
        runs(&mut stage, &format!("prepare p{number} as select 1"), b'I');
        runs(&mut stage, &format!("deallocate p{number}"), b'I');
    }
    assert!(is_of_t(&asked(&mut stage, &bound())));
    // What failed has given up nothing.
    stage.client(&[query("deallocate q")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[support::error("57014", "cancelled"), ready(b'I')]);
    assert!(is_of_t(&asked(&mut stage, &bound())));
}

#[test]
fn a_cursor_with_hold_outlives_its_transaction() {
    for (hold, end, known) in
        [("with hold", "commit", true), ("without hold", "commit", false), ("", "rollback", false)]
    {
        let mut stage = Stage::new();
        runs(&mut stage, "begin", b'T');
        runs(&mut stage, &format!("declare c cursor {hold} for select a from t"), b'T');
        runs(&mut stage, end, b'I');
        let pending = asked(&mut stage, &[query("fetch 1 from c")]);
        assert_eq!(pending.facts[0].certainty == Certainty::Exact, known, "{hold} {end}");
    }
    // Something that nobody understood may have taken its name.
    let mut stage = Stage::new();
    runs(&mut stage, "begin", b'T');
    runs(&mut stage, "declare c cursor with hold for select a from t", b'T');
    runs(&mut stage, "commit", b'I');
    runs(&mut stage, "do $$ begin end $$", b'I');
    assert!(is_unknown(&asked(&mut stage, &[query("fetch 1 from c")])));
}
