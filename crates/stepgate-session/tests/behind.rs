//! What stands behind a message that names what was made before: those who are asked see that, too.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::*;

/// Runs one statement to its end.
fn runs(stage: &mut Stage, sql: &str) {
    stage.run(&[query(sql)], &[complete(), ready(b'T')]);
}

fn in_transaction() -> Stage {
    let mut stage = Stage::new();
    runs(&mut stage, "begin");
    stage
}

/// What stands behind it.
fn behind(stage: &mut Stage, frames: &[Vec<u8>]) -> Vec<String> {
    stage.client(frames);
    let texts = stage.decision().behind;
    texts.iter().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect()
}

const PREPARED: &str = "prepare p(bigint) as select b from t where a >= $1";
const DECLARED: &str = "declare c cursor for select b from t";

#[test]
fn whoever_executes_by_name_what_sql_prepared_shows_it() {
    for sql in [
        "execute p(50)",
        "EXECUTE \"p\" (late(50))",
        "explain analyze execute p(50)",
        "create table made as execute p(50)",
        "select 1; execute p(50)",
        "do $$ begin end $$; execute p(50)",
        "execute p(50) /* prepare p(bigint) as select 1 */",
    ] {
        let mut stage = in_transaction();
        runs(&mut stage, PREPARED);
        assert_eq!(behind(&mut stage, &[query(sql)]), [PREPARED], "{sql}");
    }
}

#[test]
fn whoever_goes_on_with_a_cursor_shows_what_it_was_declared_for() {
    for sql in ["fetch 10 from c", "move all in c", "update t set b = null where current of c"] {
        let mut stage = in_transaction();
        runs(&mut stage, DECLARED);
        assert_eq!(behind(&mut stage, &[query(sql)]), [DECLARED], "{sql}");
    }
}

#[test]
fn a_cursor_that_shows_more_by_now_is_shown_all_the_same() {
    let mut stage = in_transaction();
    let declared = "declare c cursor for select late(1)";
    runs(&mut stage, declared);
    runs(
        &mut stage,
        "create or replace function late(n bigint) returns text language sql as 'select a from t'",
    );
    assert_eq!(behind(&mut stage, &[query("fetch 1 from c")]), [declared]);
}

#[test]
fn what_is_prepared_may_go_on_with_something_in_turn() {
    let mut stage = in_transaction();
    runs(&mut stage, PREPARED);
    stage.run(&[parse("s", "execute p(50)"), sync()], &[frame(b'1', b""), ready(b'T')]);
    assert_eq!(behind(&mut stage, &[query("execute s")]), ["execute p(50)", PREPARED]);
    // And in a circle.
    let mut stage = in_transaction();
    let frames = [parse("s", "execute s"), sync()];
    stage.run(&frames, &[frame(b'1', b""), ready(b'T')]);
    assert_eq!(behind(&mut stage, &[query("execute s")]), ["execute s"]);
}

#[test]
fn what_the_protocol_prepared_or_bound_is_shown_by_its_text() {
    let read = "select b from t where a >= $1";
    let mut stage = in_transaction();
    stage.run(&[parse("s", read), sync()], &[frame(b'1', b""), ready(b'T')]);
    assert_eq!(behind(&mut stage, &[query("execute s(50)")]), [read]);
    let mut stage = in_transaction();
    let frames = [parse("", "select b from t"), bind("c", ""), sync()];
    stage.run(&frames, &[frame(b'1', b""), frame(b'2', b""), ready(b'T')]);
    assert_eq!(behind(&mut stage, &[query("fetch 1 from c")]), ["select b from t"]);
    // An Execute of a cursor that SQL declared, by other rules than it was let through by.
    let mut stage = in_transaction();
    runs(&mut stage, DECLARED);
    stage.session.rules_changed();
    assert_eq!(behind(&mut stage, &[execute("c"), sync()]), [DECLARED]);
}

#[test]
fn what_a_message_prepares_itself_is_in_its_text_and_what_is_not_known_for_certain_is_not_shown() {
    let mut stage = in_transaction();
    runs(&mut stage, PREPARED);
    let sql = "deallocate p; prepare p as select 1; execute p";
    assert!(behind(&mut stage, &[query(sql)]).is_empty());
    let mut stage = in_transaction();
    assert!(behind(&mut stage, &[query("execute p(50)")]).is_empty());
    let mut stage = in_transaction();
    runs(&mut stage, PREPARED);
    runs(&mut stage, "deallocate p");
    assert!(behind(&mut stage, &[query("execute p(50)")]).is_empty());
}

#[test]
fn what_stands_behind_is_looked_at_again_with_what_is_held() {
    let mut stage = in_transaction();
    runs(&mut stage, PREPARED);
    stage.client(&[query("execute p(50)")]);
    stage.session.judge_again().unwrap();
    assert_eq!(*stage.session.deciding().unwrap().behind, [PREPARED]);
}
