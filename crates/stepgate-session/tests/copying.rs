//! COPY FROM STDIN swallows Syncs, and may fail in the middle of a message.

mod support;

use support::{
    Stage, bind, complete, description, error, execute, frame, parse, permit, query, ready, sync, tags,
};

fn copy_in() -> Vec<u8> {
    frame(b'G', b"\0\0\0")
}

/// Where the server has begun to read data for a statement that came by `frames`.
fn reading(frames: &[Vec<u8>], replies: &[Vec<u8>]) -> Stage {
    let mut stage = Stage::new();
    stage.client(frames);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(replies);
    stage.at_server();
    stage.at_client();
    stage
}

fn extended() -> [Vec<u8>; 3] {
    [parse("", "copy t from stdin"), bind("", ""), execute("")]
}

#[test]
fn a_sync_that_copy_from_stdin_swallows_is_neither_sent_nor_waited_for() {
    let mut stage = Stage::new();
    stage.client(&extended());
    stage.client(&[sync()]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    // Whether it will be answered is not known yet.
    assert_eq!(tags(&stage.at_server()), "PBEH");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), copy_in()]);
    assert_eq!(tags(&stage.at_server()), "");
    stage.client(&[frame(b'd', b"row\n"), frame(b'c', b""), sync()]);
    assert_eq!(tags(&stage.at_server()), "dcS");
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "12GCZ");
    stage.client(&[query("select 1")]);
    assert!(stage.undecided());
    assert!(!stage.ended);
}

#[test]
fn a_sync_that_waits_is_sent_when_the_copy_fails_before_it_reads_anything() {
    for failure in [vec![copy_in(), error("P0001", "a trigger's")], vec![error("42501", "no")]] {
        let mut stage = Stage::new();
        stage.client(&extended());
        stage.client(&[sync()]);
        let number = stage.decision().number;
        stage.pass(permit(number));
        stage.server(&[frame(b'1', b""), frame(b'2', b"")]);
        stage.server(&failure);
        assert_eq!(tags(&stage.at_server()), "PBEHS");
        stage.server(&[ready(b'I')]);
        assert!(tags(&stage.at_client()).ends_with("EZ"));
        stage.client(&[query("select 1")]);
        assert!(stage.undecided() && !stage.ended);
    }
}

#[test]
fn replies_are_not_taken_for_those_of_other_statements_where_a_simple_copy_swallows_a_sync() {
    let mut stage = reading(&[query("copy t from stdin")], &[copy_in()]);
    stage.client(&[sync(), frame(b'c', b"")]);
    assert_eq!(tags(&stage.at_server()), "c");
    stage.server(&[complete(), ready(b'I')]);
    stage.run(&[query("prepare s as select a from t")], &[error("42P05", "exists"), ready(b'I')]);
    stage.run(&[query("select 1")], &[complete(), ready(b'I')]);
    stage.client(&[query("execute s")]);
    assert_eq!(stage.decision().facts[0].certainty, stepgate_types::Certainty::Unknown);
}

#[test]
fn each_of_several_copies_takes_its_own_end() {
    let mut stage = reading(&[query("copy t from stdin; copy t from stdin")], &[copy_in()]);
    stage.client(&[frame(b'c', b""), sync(), query("select 1")]);
    assert_eq!(tags(&stage.at_server()), "cH", "the second may swallow it");
    stage.server(&[complete(), copy_in()]);
    assert_eq!(tags(&stage.at_server()), "", "and does, but that is no place for a Query");
    assert!(stage.undecided());
    let mut stage = reading(&[query("copy t from stdin; copy t from stdin")], &[copy_in()]);
    stage.client(&[frame(b'c', b""), sync()]);
    stage.server(&[complete(), error("42501", "no"), ready(b'I')]);
    assert_eq!(tags(&stage.at_server()), "cHS");
}

/// What comes behind it would be read as its rest, and then the client's data as messages.
#[test]
fn a_copydata_that_was_begun_is_ended_whatever_the_server_says_meanwhile() {
    let mut stage = reading(&extended(), &[frame(b'1', b""), frame(b'2', b""), copy_in()]);
    let data = frame(b'd', &[b'x'; 100]);
    stage.client(&[data[..40].to_vec()]);
    stage.server(&[error("22P04", "extra data")]);
    stage.client(&[data[40..].to_vec(), frame(b'd', b"dropped"), frame(b'c', b""), sync()]);
    let sent = stage.raw_at_server();
    assert_eq!(sent, [data, sync()].concat());
}

#[test]
fn what_follows_a_copy_that_failed_in_the_middle_of_a_message_is_judged() {
    let mut stage = reading(&[query("copy t from stdin")], &[copy_in()]);
    let data = frame(b'd', &[b'x'; 100]);
    stage.client(&[data[..40].to_vec()]);
    stage.server(&[error("22P04", "extra data"), ready(b'I')]);
    stage.client(&[data[40..].to_vec(), query("select 1")]);
    assert_eq!(stage.raw_at_server(), data);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[description(&[]), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZTCZ");
}

#[test]
fn copy_data_goes_on_to_a_limited_message_that_also_copies_in() {
    let mut stage = Stage::new();
    stage.client(&[query("copy t from stdin; select a from t"), frame(b'd', b"x\n"), frame(b'c', b"")]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    assert_eq!(tags(&stage.at_server()), "Qdc");
    stage.server(
        &[
            vec![frame(b'G', b"\0\0\0"), complete()],
            vec![frame(b'D', b"\0\0")],
            vec![complete(), ready(b'I')],
        ]
        .concat(),
    );
    assert_eq!(tags(&stage.at_client()), "GCDCZ");
}

#[test]
fn a_limited_copy_in_by_the_extended_protocol_does_not_wait_for_itself() {
    let mut stage = Stage::new();
    let frames = [parse("", "copy t from stdin"), bind("", ""), execute(""), sync()];
    stage.client(&frames);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    assert_eq!(tags(&stage.at_server()), "PBEH");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'G', b"\0\0\0")]);
    // The server ignores the first Sync, and so the client sends another.
    stage.client(&[frame(b'd', b"x\n"), frame(b'c', b""), sync()]);
    assert_eq!(tags(&stage.at_server()), "dcH");
    stage.server(&[complete()]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "12GCZ");
}

/// What its triggers say counts as rows: people may yet be asked about it, and what stands behind it must not be under way
/// when it is ended.
#[test]
fn nothing_is_sent_or_asked_about_behind_a_limited_copy_in_before_it_is_done() {
    let mut stage = Stage::new();
    stage.client(&extended());
    stage.client(&[sync()]);
    let number = stage.decision().number;
    let meter = stage.pass_limited(number, Some(1), None);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), copy_in()]);
    stage.client(&[frame(b'd', b"x\n"), frame(b'c', b""), sync(), parse("", "select 2"), bind("", "")]);
    stage.client(&[execute(""), sync()]);
    assert_eq!(tags(&stage.at_server()), "PBEHdcH");
    let notice = frame(b'N', b"SNOTICE\0VNOTICE\0C00000\0Mx\0\0");
    stage.server(&[notice.clone(), notice]);
    assert!(stage.session.is_stalled() && !stage.undecided());
    stage.go_on(&meter, 9);
    stage.server(&[complete()]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "12GNNCZ");
    assert!(stage.undecided());
}

#[test]
fn what_is_no_data_fails_a_limited_copy_in_instead_of_waiting_for_ever() {
    let mut stage = Stage::new();
    stage.client(&extended());
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), copy_in()]);
    stage.client(&[frame(b'd', b"x\n"), parse("", "select 2"), sync()]);
    assert_eq!(tags(&stage.at_server()), "PBEHdf");
    stage.server(&[error("57014", "COPY from stdin failed")]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert!(tags(&stage.at_client()).ends_with("EZ") && !stage.ended);
}

/// PostgreSQL has failed by then, and answers them.
#[test]
fn syncs_behind_data_that_fail_are_answered() {
    for (simple, replies) in [(true, "EZZZ"), (false, "EZZ")] {
        let begun = if simple { vec![query("copy t from stdin")] } else { extended().to_vec() };
        let opened =
            if simple { vec![copy_in()] } else { vec![frame(b'1', b""), frame(b'2', b""), copy_in()] };
        let mut stage = reading(&begun, &opened);
        stage.client(&[frame(b'd', b"x\n"), sync(), sync(), query("select 1")]);
        assert_eq!(tags(&stage.at_server()), "d");
        stage.server(&[error("22P04", "extra data")]);
        if simple {
            stage.server(&[ready(b'I')]);
        }
        assert_eq!(tags(&stage.at_server()), "SS");
        stage.server(&[ready(b'I'), ready(b'I')]);
        assert_eq!(tags(&stage.at_client()), replies);
        assert!(stage.undecided() && !stage.ended);
    }
}

/// PostgreSQL ignores them, but for what is overdue: that strikes there, and ReadyForQuery follows at once, with another one
/// for the Sync.
#[test]
fn data_that_nothing_reads_are_not_sent() {
    let strays = || [frame(b'd', b"x"), frame(b'c', b""), frame(b'f', b"x\0")];
    for stray in strays() {
        let mut stage = Stage::new();
        stage.run(&[parse("a", "select 1"), frame(b'H', b"")], &[frame(b'1', b"")]);
        stage.client(&[stray, sync()]);
        assert_eq!(tags(&stage.at_server()), "S");
        stage.server(&[error("57014", "timeout"), ready(b'I')]);
        assert_eq!(tags(&stage.at_client()), "EZ");
        assert!(stage.session.is_idle() && !stage.ended);
    }
    // Nor behind what was sent since data were read.
    let mut stage = reading(&[query("copy t from stdin")], &[copy_in()]);
    stage.client(&[frame(b'd', b"bad"), parse("a", "select 1"), frame(b'H', b"")]);
    stage.client(&strays());
    assert_eq!(tags(&stage.at_server()), "dPH");
}

/// Its portal may be suspended, with its timeout running.
#[test]
fn behind_what_may_be_no_copy_data_wait_until_the_server_reads_any() {
    for reads in [true, false] {
        let mut stage = Stage::new();
        // A portal that the gate does not know.
        stage.client(&[execute("c")]);
        let number = stage.decision().number;
        stage.pass(permit(number));
        stage.client(&[frame(b'd', b"x\n"), frame(b'c', b"")]);
        assert_eq!(tags(&stage.at_server()), "EH");
        if reads {
            stage.server(&[copy_in()]);
            assert_eq!(tags(&stage.at_server()), "dc");
        } else {
            stage.server(&[frame(b'D', b"\0\0"), frame(b's', b"")]);
            assert_eq!(tags(&stage.at_server()), "");
        }
        assert!(!stage.ended);
    }
}
