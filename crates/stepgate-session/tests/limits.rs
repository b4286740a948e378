//! Results of which only so much may be delivered: exact frames, in every place where a row can wait.

mod support;

use std::sync::Arc;

use stepgate_session::{Allowance, Hashes, Meter, Stores};
use stepgate_types::{Amount, Limit};
use support::*;

#[test]
fn exactly_as_many_rows_go_out_as_may_and_the_next_one_waits() {
    let (mut stage, meter) = running("select a from t", 3);
    stage.server(&[vec![description_of_none()], rows(5), vec![complete(), ready(b'I')]].concat());
    assert_eq!(tags(&stage.at_client()), "TDDD");
    assert_eq!(stage.thresholds, [(meter.number(), 7)]);
    assert!(stage.session.is_stalled() && !stage.session.wants_server());
    assert_eq!(meter.delivered(), Amount::of(3, 21));
    stage.session.tell(&stepgate_wire::Problem::notice("held after 3 rows"));
    stage.server(&[]);
    assert_eq!(tags(&stage.at_client()), "N");
    // One more allowance of one row: the row that waited.
    stage.go_on(&meter, 1);
    assert_eq!(tags(&stage.at_client()), "D");
    assert_eq!(stage.thresholds.len(), 2);
    stage.go_on(&meter, 3);
    assert_eq!(tags(&stage.at_client()), "DCZ");
    assert_eq!(stage.completed, [(meter.number(), None, 5)]);
    assert_eq!(meter.delivered(), Amount::of(5, 35));
}

#[test]
fn a_result_of_just_as_many_rows_as_may_go_asks_nobody() {
    let (mut stage, _) = running("select a from t", 3);
    stage.server(&[rows(3), vec![complete(), ready(b'I')]].concat());
    assert_eq!(tags(&stage.at_client()), "DDDCZ");
    assert!(stage.thresholds.is_empty());
}

#[test]
fn bytes_are_counted_whole_frames_at_a_time_and_before_any_of_one_goes_out() {
    let mut stage = Stage::new();
    stage.client(&[query("select a from t")]);
    let number = stage.decision().number;
    let meter = stage.pass_limited(number, None, Some(20));
    let big = frame(b'D', &[0; 1_000]);
    stage.server(&[row(), row(), big.clone()]);
    assert_eq!(tags(&stage.at_client()), "DD");
    assert_eq!(stage.thresholds, [(number, 1_005)]);
    meter.refill(Limit::of(None, Some(10)));
    stage.session.go_on();
    // It was asked about: it goes out, and nothing after it.
    stage.server(&[row()]);
    let out = stage.at_client();
    assert_eq!(out.concat(), big);
    assert_eq!(stage.thresholds, [(number, 1_005), (number, 7)]);
}

#[test]
fn a_row_that_comes_in_pieces_is_one_row_and_waits_as_a_whole() {
    let (mut stage, meter) = running("select a from t", 1);
    let (first, big) = (row(), frame(b'D', &[7; 100]));
    stage.server(&[first[..6].to_vec(), first[6..].to_vec(), big[..40].to_vec()]);
    assert_eq!(stage.raw_at_client(), first);
    assert_eq!(stage.thresholds, [(meter.number(), 105)]);
    stage.go_on(&meter, 0);
    stage.server(&[big[40..].to_vec(), complete(), ready(b'I')]);
    assert_eq!(stage.raw_at_client(), [big, complete(), ready(b'I')].concat());
}

#[test]
fn nothing_is_sent_behind_a_limited_statement_until_it_is_over() {
    let (mut stage, _) = running("select a from t", 1);
    stage.client(&[query("select 2")]);
    assert!(!stage.undecided());
    stage.server(&[rows(1), vec![complete(), ready(b'I')]].concat());
    let number = stage.decision().number;
    stage.pass(ticket(number));
    assert_eq!(stage.at_server(), [query("select 2")]);
}

#[test]
fn a_limited_execute_gets_a_flush_in_place_of_its_sync_which_follows_later() {
    let mut stage = Stage::new();
    let [first, second, third, fourth] = [parse("", "select a from t"), bind("", ""), execute(""), sync()];
    stage.client(&[first, second, third, fourth, query("select 2")]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(2), None);
    assert_eq!(tags(&stage.at_server()), "PBEH");
    stage.server(&[vec![frame(b'1', b""), frame(b'2', b"")], rows(2), vec![complete()]].concat());
    assert_eq!(tags(&stage.at_client()), "12DDC");
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert!(stage.undecided(), "and the next one is judged");
}

#[test]
fn later_executes_of_a_portal_draw_on_the_same_meter() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.client(&[parse("", "select a from t"), bind("p", ""), execute("p"), sync()]);
    let number = stage.decision().number;
    let meter = stage.pass_limited(number, Some(3), None);
    stage.server(&[vec![frame(b'1', b""), frame(b'2', b"")], rows(1), vec![frame(b's', b"")]].concat());
    stage.server(&[ready(b'T')]);
    for _ in 0..2 {
        stage.client(&[execute("p"), sync()]);
        assert!(!stage.undecided());
        stage.server(&[row(), frame(b's', b"")]);
        stage.server(&[ready(b'T')]);
    }
    stage.at_client();
    assert!(stage.thresholds.is_empty());
    stage.client(&[execute("p"), sync()]);
    stage.server(&[row(), frame(b's', b"")]);
    assert_eq!(stage.thresholds, [(number, 7)]);
    assert_eq!(tags(&stage.at_client()), "");
    assert_eq!(meter.delivered(), Amount::of(3, 21));
}

#[test]
fn fetches_draw_on_the_meter_of_their_cursor_whatever_they_were_given_themselves() {
    for by_protocol in [false, true] {
        let mut stage = Stage::new();
        stage.run(&[query("begin")], &[complete(), ready(b'T')]);
        stage.client(&[query("declare c cursor for select a from t")]);
        let number = stage.decision().number;
        stage.pass_limited(number, Some(2), None);
        stage.server(&[complete(), ready(b'T')]);
        stage.client(&[query("fetch 2 from c")]);
        let fetch = stage.decision().number;
        let own = stage.pass_limited(fetch, Some(1_000), None);
        stage.server(&[rows(2), vec![complete(), ready(b'T')]].concat());
        assert!(stage.thresholds.is_empty());
        assert_eq!(own.delivered(), Amount::NOTHING);
        if by_protocol {
            stage.client(&[execute("c"), sync()]);
            assert!(!stage.undecided());
        } else {
            stage.client(&[query("fetch 1 from c")]);
            let fetch = stage.decision().number;
            stage.pass(permit(fetch));
        }
        stage.at_client();
        stage.server(&[row()]);
        assert_eq!(stage.thresholds, [(number, 7)]);
        assert_eq!(tags(&stage.at_client()), "");
    }
}

#[test]
fn a_fetch_from_a_portal_that_bind_has_made_draws_on_its_meter() {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.client(&[parse("", "select a from t"), bind("p", ""), sync()]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), ready(b'T')]);
    stage.client(&[query("fetch 2 from p")]);
    let fetch = stage.decision().number;
    stage.pass(permit(fetch));
    stage.at_client();
    stage.server(&rows(2));
    assert_eq!((tags(&stage.at_client()), stage.thresholds.len()), ("D".to_owned(), 1));
    assert_eq!(stage.thresholds, [(number, 7)]);
}

#[test]
fn copy_out_is_counted_by_its_rows_and_the_trailer_of_a_binary_one_is_none() {
    let mut stage = Stage::new();
    stage.client(&[query("copy t to stdout (format binary)")]);
    let number = stage.decision().number;
    let meter = stage.pass_limited(number, Some(2), None);
    let data = || frame(b'd', b"\0\x01\0\0\0\x01x");
    let trailer = frame(b'd', &[255, 255]);
    let over = [frame(b'c', b""), complete(), ready(b'I')];
    stage.server(&[frame(b'H', b"\x01\0\0"), data(), data(), trailer]);
    stage.server(&over);
    assert_eq!(tags(&stage.at_client()), "HdddcCZ");
    assert!(stage.thresholds.is_empty());
    assert_eq!(meter.delivered().rows, 2);
    assert_eq!(stage.completed, [(number, None, 2)]);
    // Of no rows, it comes with the header.
    let header = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0\xff\xff";
    let copied = [frame(b'H', b"\x01\0\0"), frame(b'd', header)];
    stage.run(&[query("copy t to stdout (format binary)")], &[&copied[..], &over].concat());
    assert_eq!(stage.completed.last(), Some(&(number + 1, None, 0)));
}

#[test]
fn the_bytes_of_copied_rows_are_counted_like_those_of_others() {
    for data in [&b"901-00-0001\n"[..], b"\0\x01\0\0\0\x01x", b""] {
        let mut stage = Stage::new();
        stage.client(&[query("copy t to stdout")]);
        let number = stage.decision().number;
        let data = || frame(b'd', data);
        let size = u64::try_from(data().len()).unwrap();
        // Two go out, and one byte is left.
        let meter = stage.pass_limited(number, None, Some(2 * size + 1));
        stage.server(&[frame(b'H', b"\0\0\0"), data(), data(), data()]);
        assert_eq!(tags(&stage.at_client()), "Hdd");
        assert_eq!(stage.thresholds, [(number, size)]);
        assert_eq!((meter.left().bytes, meter.delivered()), (Some(1), Amount::of(2, 2 * size)));
    }
}

#[test]
fn a_meter_that_only_watches_tells_once_and_holds_nothing() {
    let mut stage = Stage::new();
    stage.client(&[query("select a from t"), query("select 2")]);
    let number = stage.decision().number;
    stage.session.limit(Meter::new(number, Limit::of(Some(1), None), false, Stores::Nothing));
    stage.pass(permit(number));
    assert!(stage.undecided(), "what follows does not wait");
    stage.server(&[rows(3), vec![complete(), ready(b'I')]].concat());
    assert_eq!(tags(&stage.at_client()), "DDDCZ");
    assert_eq!(stage.thresholds, [(number, 7)]);
}

#[test]
fn rows_that_are_stored_and_not_shown_are_counted_by_the_command_tag() {
    let mut stage = Stage::new();
    stage.client(&[query("insert into t select a from u; insert into t select a from u returning a")]);
    let number = stage.decision().number;
    let meter = Meter::new(number, Limit::of(Some(100), None), true, Stores::Told);
    stage.session.limit(std::sync::Arc::clone(&meter));
    stage.pass(permit(number));
    stage.server(&[frame(b'C', b"INSERT 0 30\0")]);
    assert_eq!(meter.left().rows, Some(70));
    // What is shown is counted once, not again by the tag.
    stage.server(&rows(5));
    stage.server(&[frame(b'C', b"INSERT 0 7\0"), ready(b'I')]);
    assert_eq!((meter.left().rows, meter.delivered().rows), (Some(63), 37));
}

#[test]
fn what_is_stored_takes_all_bytes_that_are_left_since_no_tag_tells_how_many_it_has() {
    let mut stage = Stage::new();
    stage.client(&[query("insert into t select a from u where a < 0; insert into t select a from u")]);
    let number = stage.decision().number;
    let meter = Meter::new(number, Limit::of(Some(100), Some(1_000)), true, Stores::Told);
    stage.session.limit(Arc::clone(&meter));
    stage.pass(permit(number));
    stage.server(&[frame(b'C', b"INSERT 0 0\0")]);
    assert_eq!((meter.left(), meter.has_stored()), (Limit::of(Some(100), Some(1_000)), false));
    stage.server(&[frame(b'C', b"INSERT 0 1\0"), ready(b'I')]);
    assert_eq!((meter.left(), meter.has_stored()), (Limit::of(Some(99), Some(0)), true));
}

/// `WITH … (INSERT …) SELECT`: its tag tells what it shows.
#[test]
fn what_a_part_of_a_statement_stores_takes_all_that_is_left_since_no_tag_tells_how_many_rows_it_has() {
    let mut stage = Stage::new();
    stage.client(&[query("with w as (insert into t select a from u returning a) select 1")]);
    let number = stage.decision().number;
    let meter = Meter::new(number, Limit::of(Some(100), None), true, Stores::Untold);
    stage.session.limit(Arc::clone(&meter));
    stage.pass(permit(number));
    stage.server(&rows(1));
    assert_eq!((meter.left().rows, meter.has_stored()), (Some(99), false));
    stage.server(&[frame(b'C', b"SELECT 1\0"), ready(b'I')]);
    assert_eq!((meter.left().rows, meter.has_stored()), (Some(0), true));
}

/// Sends an Execute that wants one row, of a statement that stores a hundred at most.
fn storing(sql: &str) -> (Stage, Arc<Meter>) {
    let mut stage = Stage::new();
    stage.run(&[query("begin")], &[complete(), ready(b'T')]);
    stage.client(&[parse("", sql), bind("p", ""), execute("p"), sync()]);
    let number = stage.decision().number;
    let meter = Meter::new(number, Limit::of(Some(100), Some(1_000)), true, Stores::Told);
    stage.session.limit(Arc::clone(&meter));
    stage.pass(permit(number));
    stage.server(&[frame(b'1', b""), frame(b'2', b""), row()]);
    (stage, meter)
}

#[test]
fn what_returning_shows_of_rows_tells_nothing_of_their_bytes() {
    let (mut stage, meter) = storing("insert into t select a from u returning 1");
    stage.server(&[frame(b'C', b"INSERT 0 1\0")]);
    assert_eq!((meter.left(), meter.has_stored()), (Limit::of(Some(99), Some(0)), true));
    // Of what only reads, nothing is stored.
    let (mut stage, meter) = storing("select a from t");
    stage.server(&[frame(b'C', b"SELECT 1\0")]);
    assert_eq!((meter.left(), meter.has_stored()), (Limit::of(Some(99), Some(993)), false));
}

#[test]
fn of_a_portal_that_shows_some_of_what_it_has_stored_all_is_taken_unless_its_end_tells_how_much_it_was() {
    let left = |rows| Limit::of(Some(rows), Some(0));
    let (mut stage, meter) = storing("insert into t select a from u returning 1");
    stage.server(&[frame(b's', b"")]);
    stage.server(&[ready(b'T')]);
    assert_eq!(meter.left(), Limit::of(Some(99), Some(993)));
    meter.settled();
    assert_eq!(meter.left(), left(0));
    // Of a text that is not judged again at the next Execute.
    let (mut stage, meter) = storing("select a from t");
    stage.server(&[frame(b's', b"")]);
    stage.server(&[ready(b'T')]);
    stage.client(&[execute("p"), sync()]);
    stage.server(&[row(), frame(b'C', b"INSERT 0 2\0")]);
    meter.settled();
    assert_eq!(meter.left(), left(98));
}

#[test]
fn of_what_nobody_hears_the_end_all_is_taken_where_it_stores_and_nothing_where_it_does_not() {
    let limit = Limit { subjects: Some(9), ..Limit::of(Some(100), Some(1_000)) };
    let allowance = || {
        let allowance = Allowance::new(limit, 0, std::collections::BTreeMap::new(), &Hashes::default());
        allowance.add(Amount { rows: 50, bytes: 500, subjects: 9 });
        Arc::new(allowance)
    };
    let nothing = Limit { subjects: Some(0), ..Limit::of(Some(0), Some(0)) };
    for stores in [Stores::Told, Stores::Untold, Stores::Nothing] {
        let shared = allowance();
        let meter = Meter::shared(7, limit, true, stores, None, vec![Arc::clone(&shared)]);
        meter.lost();
        let (_, left) = shared.now();
        let before = Limit { subjects: Some(9), ..Limit::of(Some(50), Some(500)) };
        let none = stores == Stores::Nothing;
        let expected = if none { (limit, before, 0) } else { (nothing, nothing, 9) };
        assert_eq!((meter.left(), left, shared.subjects()), expected, "{stores:?}");
        // What people have approved beyond is not counted there.
        let shared = allowance();
        let meter = Meter::shared(7, limit, true, stores, None, vec![Arc::clone(&shared)]);
        meter.exempt();
        meter.lost();
        assert_eq!(shared.now().1, before);
    }
}

#[test]
fn a_row_that_waits_for_nothing_any_more_is_gone_with_its_session() {
    let (mut stage, _) = running("select a from t", 1);
    stage.server(&rows(2));
    stage.session.cut(&stepgate_wire::Problem::notice("x"));
    stage.session.go_on();
    assert!(!stage.session.is_stalled());
    assert_eq!(tags(&stage.at_client()), "D");
}

fn notice(text: &str) -> Vec<u8> {
    frame(b'N', format!("SNOTICE\0VNOTICE\0C00000\0M{text}\0\0").as_bytes())
}

#[test]
fn notices_are_counted_as_rows_and_wait_like_them() {
    let (mut stage, meter) = running("select a from t", 2);
    let one = notice("901-00-0001");
    let size = u64::try_from(one.len()).unwrap();
    let all = [
        vec![description_of_none(), one.clone(), row(), one.clone()],
        rows(1),
        vec![complete(), ready(b'I')],
    ];
    stage.server(&all.concat());
    assert_eq!(tags(&stage.at_client()), "TND");
    assert_eq!(stage.thresholds, [(meter.number(), size)]);
    assert_eq!(meter.delivered(), Amount::of(2, size + 7));
    stage.go_on(&meter, 2);
    assert_eq!(tags(&stage.at_client()), "NDCZ");
    // Of the result itself, there are two rows.
    assert_eq!(stage.completed, [(meter.number(), None, 2)]);
    assert_eq!(stage.bytes_completed, [2 * size + 14]);
}

#[test]
fn of_a_statement_that_is_ended_no_notice_is_shown_any_more() {
    let (mut stage, _) = running("select a from t", 1);
    stage.server(&[row(), notice("901-00-0001")]);
    assert_eq!(tags(&stage.at_client()), "D");
    stage.cut("denied");
    stage.server(&[notice("901-00-0002"), row(), error("57014", "canceling"), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZ");
}

#[test]
fn an_error_of_more_bytes_than_are_left_is_not_shown() {
    for (bytes, shown) in [(Some(60), false), (Some(1_000), true), (None, true)] {
        let mut stage = Stage::new();
        stage.client(&[query("select a from t")]);
        let number = stage.decision().number;
        stage.pass_limited(number, Some(1), bytes);
        let long = error("P0001", &"901-00-0001 ".repeat(20));
        // Also where no row is left: it is one at most.
        stage.server(&[row(), long.clone(), ready(b'I')]);
        let out = stage.at_client();
        assert_eq!(tags(&out), "DEZ");
        assert_eq!(out[1] == long, shown, "{bytes:?}");
        assert!(shown || !String::from_utf8_lossy(&out[1]).contains("901-00"));
        assert_eq!(stage.completed, [(number, Some("P0001".to_owned()), 1)]);
    }
}

/// Who has used up a limit is still told why: by what the server says itself, and not by code that only looks like it.
#[test]
fn that_a_transaction_has_failed_or_a_statement_was_cancelled_is_said_whatever_is_left() {
    let by = |code: &str, routine: &str, context: &str| {
        frame(b'E', format!("SERROR\0VERROR\0C{code}\0Msaid\0{context}R{routine}\0\0").as_bytes())
    };
    for (error, shown) in [
        (by("25P02", "exec_simple_query", ""), true),
        (by("57014", "ProcessInterrupts", ""), true),
        (by("57014", "ProcessInterrupts", "WSQL statement \"select '901-00-0001'\"\0"), false),
        (by("25P02", "exec_stmt_raise", ""), false),
        (by("22P02", "exec_simple_query", ""), false),
    ] {
        let mut stage = Stage::new();
        stage.client(&[query("select a from t")]);
        let number = stage.decision().number;
        stage.pass_limited(number, Some(0), Some(0));
        stage.server(&[error.clone(), ready(b'E')]);
        assert_eq!(stage.at_client()[0] == error, shown, "{}", String::from_utf8_lossy(&error));
    }
}

#[test]
fn notices_of_planning_that_are_too_many_are_left_out_and_that_is_said() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select a from t"), bind("", ""), execute(""), sync()]);
    let number = stage.decision().number;
    stage.pass_limited(number, Some(1), None);
    let told = notice("901-00-0001");
    stage.server(&[frame(b'1', b""), told.clone(), told.clone(), told, frame(b'2', b""), complete()]);
    let out = stage.at_client();
    assert_eq!(tags(&out), "1NN2C");
    assert!(String::from_utf8_lossy(&out[2]).contains("not shown"));
}

#[test]
fn what_goes_by_something_that_is_taken_back_stops_before_its_next_row() {
    let (mut stage, meter) = running("select a from t", 1_000);
    let grant = stepgate_types::InForce::default();
    meter.goes_by(Some(grant.clone()));
    stage.server(&rows(2));
    assert_eq!(tags(&stage.at_client()), "DD");
    grant.end();
    stage.server(&rows(2));
    assert_eq!(tags(&stage.at_client()), "");
    assert_eq!(stage.thresholds, [(meter.number(), 7)]);
    // By something else it goes on.
    meter.goes_by(None);
    stage.go_on(&meter, 10);
    assert_eq!(tags(&stage.at_client()), "DD");
}

/// Passes what is to be decided, to take from that.
fn pass_shared(stage: &mut Stage, allowance: &Arc<Allowance>) -> Arc<Meter> {
    let number = stage.decision().number;
    let meter = Meter::shared(number, Limit::NONE, true, Stores::Nothing, None, vec![Arc::clone(allowance)]);
    stage.session.limit(Arc::clone(&meter));
    stage.pass(permit(number));
    meter
}

#[test]
fn a_pipeline_takes_from_one_allowance() {
    let mut stage = Stage::new();
    let limit = Limit::of(Some(100), None);
    let allowance = Arc::new(Allowance::new(limit, 0, std::collections::BTreeMap::new(), &Hashes::default()));
    allowance.add(Amount::of(3, 0));
    stage.client(&[query("select a from t"), query("select a from t")]);
    pass_shared(&mut stage, &allowance);
    let reply = [vec![description_of_none()], rows(2), vec![complete(), ready(b'I')]].concat();
    stage.server(&reply);
    assert_eq!(tags(&stage.at_client()), "TDDCZ");
    let meter = pass_shared(&mut stage, &allowance);
    stage.server(&reply);
    assert_eq!(tags(&stage.at_client()), "TD");
    assert!(stage.session.is_stalled() && !meter.take_waiting());
    // More is there: the row is taken once, and goes.
    allowance.add(Amount::of(2, 0));
    assert!(meter.take_waiting());
    stage.session.go_on();
    stage.server(&[]);
    assert_eq!(tags(&stage.at_client()), "DCZ");
    assert_eq!(allowance.now(), (Amount::of(4, 28), Limit::of(Some(1), None)));
    assert_eq!(meter.delivered(), Amount::of(2, 14));
}

#[test]
fn a_number_in_a_command_tag_waits_like_a_row_where_none_was_shown() {
    for (tag, waits) in
        [("MOVE 7", true), ("DELETE 7", true), ("UPDATE 7", true), ("SELECT 7", false), ("LOCK TABLE", false)]
    {
        let (mut stage, meter) = running("select 1", 0);
        stage.server(&[tagged(tag), ready(b'I')]);
        assert_eq!(
            (tags(&stage.at_client()).as_str(), stage.session.is_stalled()),
            (if waits { "" } else { "CZ" }, waits)
        );
        if waits {
            stage.go_on(&meter, 0);
            let seen = stage.at_client();
            assert_eq!((tags(&seen).as_str(), &*seen[0]), ("CZ", &*tagged(tag)));
            assert_eq!(stage.completed, [(meter.number(), None, 0)]);
        }
    }
}

#[test]
fn rows_of_one_statement_do_not_pay_for_the_number_of_another_in_the_same_message() {
    let (mut stage, meter) = running("select a from t; delete from t; update t set a = 1 returning a", 1);
    stage.server(&[row(), complete(), tagged("DELETE 7")]);
    assert_eq!((tags(&stage.at_client()).as_str(), stage.session.is_stalled()), ("DC", true));
    stage.go_on(&meter, 2);
    stage.server(&[row(), tagged("UPDATE 1"), ready(b'I')]);
    assert_eq!((tags(&stage.at_client()).as_str(), stage.session.is_stalled()), ("CDCZ", false));
}

/// An approval of what stores is for so much, and not for the numbers of whatever else its message says.
#[test]
fn one_statement_that_stores_pays_for_no_numbers_of_the_others_in_its_message() {
    let message = "insert into s select a from t; update s set a = 1; update s set a = 2; copy s from '/f'";
    let with = |sql: &str, rows: u64| {
        let mut stage = Stage::new();
        stage.client(&[query(sql)]);
        let number = stage.decision().number;
        let meter = Meter::new(number, Limit::of(Some(rows), None), true, Stores::Told);
        stage.session.limit(Arc::clone(&meter));
        stage.pass(permit(number));
        (stage, meter)
    };
    let (mut stage, meter) = with(message, 4);
    stage.server(&[tagged("INSERT 0 3"), tagged("UPDATE 7")]);
    assert_eq!((tags(&stage.at_client()).as_str(), stage.session.is_stalled()), ("CC", false));
    stage.server(&[tagged("UPDATE 7")]);
    assert_eq!((tags(&stage.at_client()).as_str(), stage.session.is_stalled()), ("", true));
    stage.go_on(&meter, 0);
    stage.server(&[tagged("COPY 7")]);
    assert_eq!((tags(&stage.at_client()).as_str(), stage.session.is_stalled()), ("C", true));
    // One alone has been asked about as it is.
    let (mut stage, _) = with("update s set a = (select a from t)", 0);
    stage.server(&[tagged("UPDATE 7"), ready(b'I')]);
    assert_eq!((tags(&stage.at_client()).as_str(), stage.session.is_stalled()), ("CZ", false));
}

/// Programs begin anew by SQLSTATE: where the text is left out it is kept, if the server says it and no code.
#[test]
fn of_an_error_that_is_left_out_what_programs_act_on_is_kept() {
    let by = |code: &str, more: &str| {
        frame(b'E', format!("SERROR\0VERROR\0C{code}\0M901-00-0001\0{more}\0").as_bytes())
    };
    for (error, code) in [
        (by("40001", ""), "40001"),
        (by("23505", "D901-00-0001\0"), "23505"),
        (by("40P01", "Wwhile updating\0RDeadLockReport\0"), "40P01"),
        (by("40001", "WPL/pgSQL function f() line 1 at RAISE\0"), "42501"),
        (by("22P02", ""), "42501"),
    ] {
        let mut stage = Stage::new();
        stage.client(&[query("select a from t")]);
        let number = stage.decision().number;
        stage.pass_limited(number, Some(0), Some(0));
        stage.server(&[error.clone(), ready(b'I')]);
        let seen = stage.at_client();
        let seen = String::from_utf8_lossy(&seen[0]);
        assert!(seen.contains(&format!("C{code}\0")) && !seen.contains("901-00"), "{seen:?}");
    }
}

#[test]
fn a_pipeline_goes_on_behind_a_tag_that_waited() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "delete from t"), bind("", ""), execute(""), sync(), query("select 2")]);
    let number = stage.decision().number;
    let meter = stage.pass_limited(number, Some(0), None);
    stage.at_server();
    stage.server(&[frame(b'1', b""), frame(b'2', b""), tagged("DELETE 7")]);
    assert_eq!(tags(&stage.at_client()), "12");
    assert_eq!((tags(&stage.at_server()).as_str(), stage.completed.len()), ("", 0));
    stage.go_on(&meter, 0);
    assert_eq!((tags(&stage.at_client()).as_str(), tags(&stage.at_server()).as_str()), ("C", "S"));
    assert_eq!(stage.completed, [(number, None, 0)]);
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "Z");
    assert!(stage.undecided());
}

/// The server has sent all of it, and would end a session that is idle in its transaction.
#[test]
fn while_a_row_waits_the_server_is_kept_from_ending_an_idle_transaction() {
    let (mut stage, meter) = running("select a from t", 1);
    stage.server(&rows(2));
    for _ in 0..2 {
        stage.session.keep_alive();
        stage.server(&[]);
        assert_eq!(tags(&stage.at_server()), "S");
    }
    stage.at_client();
    stage.go_on(&meter, 1);
    stage.server(&[complete(), ready(b'T'), ready(b'T'), ready(b'T')]);
    assert_eq!(tags(&stage.at_client()), "DCZ");
    stage.client(&[query("select 2")]);
    assert!(stage.undecided() && !stage.ended);
}
