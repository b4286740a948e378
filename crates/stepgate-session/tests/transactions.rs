//! What a hold would keep from others, as far as the session knows.

mod support;

use stepgate_session::TransactionSoFar::{self, Nothing, Read, Snapshot, Wrote};
use support::{Stage, bind, complete, execute, frame, parse, permit, query, ready, sync};

/// Runs each in turn; the server answers it with this status.
fn run(stage: &mut Stage, statements: &[(&str, u8)]) {
    for (sql, status) in statements {
        stage.client(&[query(sql)]);
        let pending = stage.decision();
        stage.pass(permit(pending.number));
        stage.at_server();
        stage.server(&[complete(), ready(*status)]);
    }
}

/// What the transaction has done by the time of the next statement, and whether one is open.
fn next(stage: &mut Stage) -> (TransactionSoFar, bool) {
    stage.client(&[query("select a from t")]);
    let pending = stage.decision();
    stage.refuse("seen");
    (pending.transaction, pending.in_transaction)
}

fn after(statements: &[(&str, u8)]) -> (TransactionSoFar, bool) {
    let mut stage = Stage::new();
    run(&mut stage, statements);
    next(&mut stage)
}

#[test]
fn a_transaction_keeps_nothing_until_it_has_run_something() {
    assert_eq!(after(&[]), (Nothing, false));
    assert_eq!(after(&[("insert into t values ('x')", b'I')]), (Nothing, false));
    assert_eq!(after(&[("begin", b'T')]), (Nothing, true));
    assert_eq!(after(&[("begin", b'T'), ("select a from t", b'T')]), (Read, true));
    assert_eq!(after(&[("begin", b'T'), ("insert into t values ('x')", b'T')]), (Wrote, true));
    let over = [("begin", b'T'), ("insert into t values ('x')", b'T'), ("commit", b'I')];
    assert_eq!(after(&over), (Nothing, false));
}

/// Whoever sends it so that it is forgotten could have locks kept for the time of a hold, and DDL overlooked that it commits.
#[test]
fn what_was_sent_behind_something_else_is_not_forgotten_with_its_end() {
    let mut stage = Stage::new();
    run(&mut stage, &[("select a from t", b'I')]);
    let sent = [("select a from t", b'I'), ("begin", b'T'), ("insert into t values ('x')", b'T')];
    for (sql, _) in sent {
        stage.client(&[query(sql)]);
        let pending = stage.decision();
        stage.pass(permit(pending.number));
    }
    stage.at_server();
    for (_, status) in sent {
        stage.server(&[complete(), ready(status)]);
    }
    assert_eq!(next(&mut stage), (Wrote, true));
}

#[test]
fn what_has_read_under_a_lasting_snapshot_keeps_it() {
    // The server has been asked already.
    let (asked, read) = (("select a from t", b'I'), ("select a from t", b'T'));
    for begin in ["begin isolation level repeatable read", "start transaction isolation level serializable"] {
        assert_eq!(after(&[asked, (begin, b'T')]), (Nothing, true), "{begin}");
        assert_eq!(after(&[asked, (begin, b'T'), read]), (Snapshot, true), "{begin}");
        // The next transaction is as transactions are.
        let over = [asked, (begin, b'T'), read, ("commit", b'I'), ("begin", b'T'), read];
        assert_eq!(after(&over), (Read, true), "{begin}");
    }
    let set = ("set transaction isolation level repeatable read", b'T');
    assert_eq!(after(&[asked, ("begin", b'T'), set, read]), (Snapshot, true));
    // A cursor's rows are a snapshot, too; this counts as much.
    assert_eq!(after(&[("begin", b'T'), ("declare c cursor for select a from t", b'T')]), (Wrote, true));
}

#[test]
fn the_servers_word_on_isolation_counts_and_its_silence_counts_as_a_snapshot() {
    let mut stage = Stage::new();
    stage.levels = ["repeatable read"; 2];
    run(&mut stage, &[("begin", b'T'), ("select a from t", b'T')]);
    assert_eq!(next(&mut stage), (Snapshot, true));
    // Nothing could be asked so far.
    let mut stage = Stage::new();
    stage.client(&[query("select 1"), query("begin")]);
    for _ in 0..2 {
        let number = stage.decision().number;
        stage.pass(permit(number));
    }
    stage.server(&[complete(), ready(b'I'), complete(), ready(b'T')]);
    assert_eq!(stage.probes, 0);
    run(&mut stage, &[("select 1", b'T')]);
    assert_eq!(next(&mut stage).0, Snapshot);
    for set in [
        "set default_transaction_isolation = 'serializable'",
        "set session characteristics as transaction isolation level serializable",
        "select set_config('default_transaction_isolation', 'serializable', false)",
        "reset default_transaction_isolation",
    ] {
        let mut stage = Stage::new();
        run(&mut stage, &[("select a from t", b'I'), (set, b'I')]);
        stage.levels = ["serializable"; 2];
        run(&mut stage, &[("begin", b'T'), ("select a from t", b'T')]);
        assert_eq!(next(&mut stage), (Snapshot, true), "{set}");
    }
    // Set and rolled back: it is what it was before.
    let mut stage = Stage::new();
    stage.levels = ["read committed", "repeatable read"];
    let back = [
        ("begin", b'T'),
        ("set default_transaction_isolation = 'read committed'", b'T'),
        ("select a from t", b'T'),
        ("rollback", b'I'),
    ];
    run(&mut stage, &back);
    stage.levels = ["repeatable read"; 2];
    run(&mut stage, &[("begin", b'T'), ("select a from t", b'T')]);
    assert_eq!(next(&mut stage), (Snapshot, true));
}

#[test]
fn a_portal_that_is_not_done_keeps_its_snapshot() {
    let mut stage = Stage::new();
    run(&mut stage, &[("select a from t", b'I'), ("begin", b'T')]);
    stage.client(&[parse("", "select a from t"), bind("p", ""), execute("p"), sync()]);
    let pending = stage.decision();
    stage.pass(permit(pending.number));
    stage.at_server();
    stage.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'D', b"\0\0"), frame(b's', b""), ready(b'T')]);
    assert_eq!(next(&mut stage), (Snapshot, true));
}

#[test]
fn what_was_pipelined_before_with_its_own_sync_is_no_part_of_this_statements_transaction() {
    let write = |stage: &mut Stage| {
        stage.client(&[parse("", "insert into t values ('x')"), bind("", ""), execute("")]);
        let pending = stage.decision();
        stage.pass(permit(pending.number));
    };
    let select = [parse("", "select a from t"), bind("", ""), execute(""), sync()];
    let mut stage = Stage::new();
    run(&mut stage, &[("select a from t", b'I')]);
    write(&mut stage);
    stage.client(&[sync()]);
    stage.client(&select);
    let pending = stage.decision();
    assert_eq!((pending.transaction, pending.in_transaction), (Nothing, false));
    // Without a Sync between them they are one.
    let mut stage = Stage::new();
    run(&mut stage, &[("select a from t", b'I')]);
    write(&mut stage);
    stage.client(&select);
    let pending = stage.decision();
    assert_eq!((pending.transaction, pending.in_transaction), (Wrote, true));
    // And a BEGIN that is under way ends with no Sync.
    let mut stage = Stage::new();
    run(&mut stage, &[("select a from t", b'I')]);
    stage.client(&[query("begin")]);
    let pending = stage.decision();
    stage.pass(permit(pending.number));
    write(&mut stage);
    stage.client(&[sync()]);
    stage.client(&select);
    let pending = stage.decision();
    assert_eq!((pending.transaction, pending.in_transaction), (Wrote, true));
}

#[test]
fn how_long_the_server_lets_transactions_go_on_is_asked_again_when_it_may_have_changed() {
    use std::time::Duration;
    let mut stage = Stage::new();
    stage.timeout = Some("90s");
    run(&mut stage, &[("select a from t", b'I')]);
    assert_eq!(stage.session.transaction_timeout(), Some(Duration::from_secs(90)));
    stage.timeout = Some("0");
    run(
        &mut stage,
        &[("begin", b'T'), ("set local transaction_timeout = 0", b'T'), ("select a from t", b'T')],
    );
    assert_eq!(stage.session.transaction_timeout(), None);
    stage.timeout = Some("2min");
    run(&mut stage, &[("commit", b'I'), ("select a from t", b'I')]);
    assert_eq!(stage.session.transaction_timeout(), Some(Duration::from_secs(120)));
}
