//! Statements wait, run or fail in the place where they stand.

mod support;

use stepgate_session::Room;
use stepgate_types::Certainty;
use support::{
    Stage, bind, catalog_with, close_statement, complete, error, execute, find, frame, nonce, parse, permit,
    query, ready, sync, tags, ticket,
};

#[test]
fn nothing_of_a_held_query_moves_before_its_verdict_and_then_exactly_its_bytes_do() {
    let mut stage = Stage::new();
    let sql = query("select ssn from customers -- caf\u{e9} 'x'");
    stage.client(std::slice::from_ref(&sql));
    let pending = stage.decision();
    stage.hold();
    assert!(stage.at_server().is_empty());
    assert_eq!(tags(&stage.at_client()), "N");
    stage.pass(permit(pending.number));
    assert_eq!(stage.at_server(), [sql]);
    stage.server(&[frame(b'T', b"\0\0"), frame(b'D', b"\0\0"), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "TDCZ");
    assert_eq!(stage.completed, [(pending.number, None, 1)]);
}

#[test]
fn a_denied_query_fails_in_its_place_with_the_gates_error_and_the_session_goes_on() {
    let mut stage = Stage::new();
    stage.client(&[query("select ssn from customers"), query("select 2")]);
    stage.decision();
    stage.refuse("denied by policy");
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "Q");
    assert!(!find(&sent[0], b"customers"), "the statement itself must not move");
    let nonce = nonce(&sent[0]);
    // The next statement is judged at once: in the simple protocol an error skips nothing.
    let next = stage.decision();
    stage.pass(permit(next.number));
    assert_eq!(stage.at_server(), [query("select 2")]);
    stage.server(&[error("42601", &format!("syntax error at or near \"{nonce}\"")), ready(b'I')]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "EZ");
    assert!(find(&seen[0], b"C42501\0") && find(&seen[0], b"stepgate: denied by policy"));
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "CZ");
}

#[test]
fn nothing_of_an_extended_statement_moves_before_its_verdict() {
    let mut stage = Stage::new();
    let frames = [parse("", "select ssn from customers"), bind("", ""), execute(""), sync()];
    stage.client(&frames);
    let pending = stage.decision();
    assert_eq!(&pending.sql[..], b"select ssn from customers");
    stage.hold();
    assert!(stage.at_server().is_empty());
    stage.pass(permit(pending.number));
    assert_eq!(stage.at_server(), frames);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), frame(b'D', b"\0\0"), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "N12DCZ");
    assert_eq!(stage.completed, [(pending.number, None, 1)]);
}

#[test]
fn a_release_that_comes_before_its_bind_has_left_counts_when_it_does() {
    let mut stage = Stage::new();
    let frames =
        [parse("a", "select 1"), bind("a", "a"), parse("b", "select ssn from customers"), bind("b", "b")];
    stage.client(&frames);
    stage.client(&[execute("a"), execute("b"), sync()]);
    let first = stage.decision().number;
    stage.pass(ticket(first));
    let second = stage.decision().number;
    stage.hold();
    stage.release(first);
    assert!(stage.at_server().is_empty());
    stage.pass(permit(second));
    assert_eq!(tags(&stage.at_server()), "PBPBEES");
    assert!(stage.session.wants_server(), "both replies may be taken");
    // Of one that never leaves, too.
    let mut stage = Stage::new();
    let failing = [parse("x", "select 1/0"), bind("x", "x"), execute("x")];
    stage.client(&[&failing[..], &[parse("a", "select 1"), bind("a", "a")]].concat());
    let failing = stage.decision().number;
    stage.pass(permit(failing));
    stage.client(&[parse("b", "select a from t"), bind("b", "b"), sync()]);
    let first = stage.decision().number;
    stage.pass(ticket(first));
    stage.decision();
    stage.hold();
    stage.server(&[frame(b'1', b""), frame(b'2', b""), error("22012", "division by zero")]);
    assert_eq!(stage.withdrawn.len(), 1);
    stage.release(first);
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "N12EZ");
    assert!(!stage.ended);
}

#[test]
fn a_bind_that_only_a_sync_follows_is_judged_too_since_planning_runs_functions() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select leak()"), bind("", ""), sync()]);
    assert!(stage.undecided());
    assert!(stage.at_server().is_empty());
}

#[test]
fn what_takes_long_to_read_is_read_at_leisure_by_whichever_frame_it_comes_to_be_read() {
    use std::cell::Cell;
    thread_local! { static READ: Cell<usize> = const { Cell::new(0) } }
    let long = format!("select id from customers where id in ({}1)", "1, ".repeat(16 << 10));
    let deep = format!("select {}1{}", "(".repeat(200), ")".repeat(200));
    // Neither, and the more work.
    let chain = format!("select 1 from t {}", "natural join t ".repeat(200));
    for frames in [
        vec![parse("", &long), bind("", ""), sync()],
        vec![parse("", &long), sync()],
        vec![query(&long)],
        vec![query(&deep)],
        vec![query(&chain)],
    ] {
        let mut stage = Stage::new();
        stage.session.read_long_texts_by(|_, read| {
            READ.set(READ.get() + 1);
            read();
        });
        READ.set(0);
        stage.client(&[query("select 1")]);
        assert_eq!(READ.get(), 0);
        let pending = stage.decision();
        stage.pass(permit(pending.number));
        stage.server(&[complete(), ready(b'I')]);
        stage.client(&frames);
        assert!(READ.get() > 0);
    }
}

#[test]
fn after_a_denied_bind_everything_up_to_sync_is_dropped_as_the_server_would_drop_it() {
    let mut stage = Stage::new();
    stage.client(&[
        parse("", "select ssn from customers"),
        bind("", ""),
        execute(""),
        parse("", "delete from customers"),
        bind("", ""),
        execute(""),
        sync(),
        query("select 2"),
    ]);
    stage.decision();
    stage.refuse("denied by policy");
    let sent = stage.at_server();
    assert_eq!(tags(&sent), "PBS");
    let nonce = nonce(&sent[1]);
    assert_eq!(stage.decision().sql, "select 2");
    stage.server(&[
        frame(b'1', b""),
        error("26000", &format!("prepared statement \"{nonce}\" does not exist")),
        ready(b'I'),
    ]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "1EZ");
    assert!(find(&seen[1], b"C42501\0"));
}

#[test]
fn a_statement_whose_bind_fails_has_ended_once_though_it_was_to_be_described_and_executed() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select $1::int"), bind("", ""), frame(b'D', b"P\0"), execute(""), sync()]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.server(&[frame(b'1', b""), error("22P02", "invalid input syntax"), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "1EZ");
    assert_eq!(stage.completed, [(number, Some("22P02".to_owned()), 0)]);
}

#[test]
fn a_held_statement_that_the_server_would_skip_is_withdrawn() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select 1/0"), bind("", ""), execute("")]);
    let first = stage.decision();
    stage.pass(permit(first.number));
    stage.client(&[parse("", "select a from t"), bind("", ""), execute(""), sync()]);
    let second = stage.decision();
    stage.hold();
    assert_eq!(tags(&stage.at_server()), "PBECH", "a Flush brings out what the server still owes");
    stage.server(&[frame(b'1', b""), frame(b'2', b""), error("22012", "division by zero")]);
    assert_eq!(stage.withdrawn, [second.number]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "N12EZ");
    assert_eq!(stage.completed, [(first.number, Some("22012".to_owned()), 0)]);
}

/// As asyncpg asks: else the server would keep its locks, and `statement_timeout` would run while people think.
#[test]
fn a_hold_ends_at_the_server_what_its_segment_has_prepared_and_the_client_cannot_tell() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", "select a from t"), frame(b'H', b"")]);
    stage.server(&[frame(b'1', b"")]);
    stage.at_server();
    stage.client(&[bind("", "s"), execute(""), sync()]);
    let number = stage.decision().number;
    stage.hold();
    assert_eq!(tags(&stage.at_server()), "S");
    // It is not sent again, and goes on outliving the server's idle timeouts.
    stage.session.keep_alive();
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_server()), "");
    stage.session.keep_alive();
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_server()), "S");
    assert_eq!(tags(&stage.at_client()), "1NSS");
    stage.pass(permit(number));
    assert_eq!(tags(&stage.at_server()), "BES");
    stage.server(&[frame(b'2', b""), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "2CZ");
    assert_eq!(stage.completed, [(number, None, 0)]);
}

#[test]
fn a_hold_waits_for_the_answers_of_what_its_segment_has_prepared_before_it_ends_that() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", "select a from t"), frame(b'H', b""), bind("", "s"), execute(""), sync()]);
    let number = stage.decision().number;
    stage.hold();
    assert_eq!(tags(&stage.at_server()), "PHH");
    stage.session.keep_alive();
    stage.server(&[]);
    assert_eq!(tags(&stage.at_server()), "");
    stage.server(&[frame(b'1', b"")]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    stage.pass(permit(number));
    assert_eq!(tags(&stage.at_server()), "BES");
    stage.server(&[frame(b'2', b""), complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "NS12CZ");
}

/// PostgreSQL looks at its timer with the next message: here, the gate's Sync.
#[test]
fn a_timeout_that_strikes_before_a_hold_ends_its_segment_is_the_statements_error() {
    let mut stage = Stage::new();
    stage.client(&[parse("s", "select a from t"), frame(b'H', b"")]);
    stage.server(&[frame(b'1', b"")]);
    stage.client(&[bind("", "s"), execute(""), sync()]);
    let number = stage.decision().number;
    stage.hold();
    stage.at_client();
    assert_eq!(tags(&stage.at_server()), "PHS");
    assert!(stage.session.probe_held(), "until then nothing of it is sent");
    stage.server(&[error("57014", "canceling statement due to statement timeout")]);
    assert_eq!(stage.withdrawn, [number]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I'), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "EZ");
    stage.client(&[query("select 1")]);
    assert_eq!(stage.decision().sql, "select 1");
}

#[test]
fn what_the_server_would_skip_is_not_decided_on_if_that_is_heard_first() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select 1/0"), bind("", ""), execute("")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    // Not looked at by the driver before the error.
    for piece in [parse("", "select 2"), bind("", ""), execute("")] {
        stage.session.on_client(stepgate_wire::Piece::Whole { tag: piece[0], bytes: piece.into() });
    }
    for piece in [frame(b'1', b""), frame(b'2', b""), error("22012", "division by zero")] {
        stage.session.on_server(&stepgate_wire::Piece::Whole { tag: piece[0], bytes: piece.into() });
    }
    stage.client(&[sync()]);
    assert!(!stage.undecided() && stage.withdrawn.is_empty());
}

#[test]
fn a_token_for_another_statement_moves_nothing() {
    let mut stage = Stage::new();
    stage.client(&[query("select 1")]);
    let number = stage.decision().number;
    assert!(stage.session.pass(permit(number + 1)).is_err());
    assert!(stage.at_server().is_empty());
}

#[test]
fn the_reply_of_a_statement_on_a_ticket_waits_for_its_release() {
    let mut stage = Stage::new();
    stage.client(&[query("select 1")]);
    let number = stage.decision().number;
    stage.pass(ticket(number));
    assert_eq!(tags(&stage.at_server()), "Q");
    stage.server(&[frame(b'T', b"\0\0"), complete(), ready(b'I')]);
    assert!(stage.at_client().is_empty());
    stage.release(number);
    assert_eq!(tags(&stage.at_client()), "TCZ");
}

#[test]
fn a_release_may_come_before_its_bind_is_sent_or_after_that_was_skipped() {
    let mut stage = Stage::new();
    stage.client(&[parse("", "select 1"), bind("a", ""), bind("b", ""), execute("a"), sync()]);
    let first = stage.decision().number;
    stage.pass(ticket(first));
    let second = stage.decision().number;
    stage.hold();
    stage.release(first);
    stage.pass(permit(second));
    assert_eq!(tags(&stage.at_server()), "PBBES");
    assert!(stage.session.wants_server());
    let mut stage = Stage::new();
    stage.client(&[parse("", "select 1/0"), bind("", ""), execute("")]);
    let failing = stage.decision().number;
    stage.pass(permit(failing));
    stage.client(&[bind("a", ""), bind("b", ""), sync()]);
    let first = stage.decision().number;
    stage.pass(ticket(first));
    stage.decision();
    stage.release(first);
    stage.server(&[frame(b'1', b""), frame(b'2', b""), error("22012", "division by zero")]);
    assert!(stage.session.wants_server() && !stage.ended);
}

#[test]
fn a_failed_parse_of_a_name_in_use_does_not_relabel_it() {
    let mut stage = Stage::new();
    stage.run(&[parse("s", "select ssn from customers"), sync()], &[frame(b'1', b""), ready(b'I')]);
    // The name is taken: the server refuses this, and `s` stays what it was.
    stage.client(&[parse("s", "select 1"), sync(), bind("", "s"), execute(""), sync()]);
    assert!(!stage.undecided(), "too early to say what the name means");
    stage.server(&[error("42P05", "prepared statement \"s\" already exists"), ready(b'I')]);
    assert_eq!(stage.decision().sql, "select ssn from customers");
}

#[test]
fn a_close_and_parse_that_the_server_skips_do_not_relabel_a_name() {
    let mut stage = Stage::new();
    stage.run(&[parse("s", "select ssn from customers"), sync()], &[frame(b'1', b""), ready(b'I')]);
    stage.client(&[parse("bad", "selec"), close_statement("s"), parse("s", "select 1"), sync()]);
    stage.client(&[bind("", "s"), execute(""), sync()]);
    stage.server(&[error("42601", "syntax error"), ready(b'I')]);
    assert_eq!(stage.decision().sql, "select ssn from customers");
}

#[test]
fn a_name_that_the_gate_did_not_see_being_made_is_opaque() {
    let mut stage = Stage::new();
    stage.client(&[bind("", "made_by_sql"), execute(""), sync()]);
    let pending = stage.decision();
    assert!(pending.sql.is_empty());
    assert_eq!(pending.facts[0].certainty, Certainty::Unknown);
    let mut stage = Stage::new();
    stage.client(&[execute("cursor_of_sql"), sync()]);
    assert_eq!(stage.decision().facts[0].certainty, Certainty::Unknown);
}

#[test]
fn the_rest_of_a_portals_rows_is_fetched_without_asking_again() {
    let mut stage = Stage::new();
    stage.run(
        &[parse("", "begin"), bind("", ""), execute(""), sync()],
        &[frame(b'1', b""), frame(b'2', b""), complete(), ready(b'T')],
    );
    stage.run(
        &[parse("", "select 1"), bind("p", ""), execute("p"), sync()],
        &[frame(b'1', b""), frame(b'2', b""), frame(b's', b""), ready(b'T')],
    );
    stage.client(&[execute("p"), sync()]);
    assert!(!stage.undecided());
    assert_eq!(tags(&stage.at_server()), "ES");
    stage.server(&[complete(), ready(b'I')]);
    // The transaction has ended, and its portals with it.
    stage.client(&[execute("p"), sync()]);
    assert!(stage.undecided());
}

#[test]
fn the_gates_own_messages_never_split_a_row() {
    let mut stage = Stage::new();
    stage.client(&[query("select 1")]);
    let number = stage.decision().number;
    stage.pass(permit(number));
    stage.client(&[query("select ssn from customers")]);
    let row = frame(b'D', &[0; 100]);
    stage.server(&[row[..50].to_vec()]);
    // Not settled yet, so not judged; a keep-alive may still come.
    stage.session.keep_alive();
    stage.server(&[row[50..].to_vec(), complete(), ready(b'I')]);
    let seen = stage.at_client();
    assert_eq!(tags(&seen), "DSCZ");
    assert_eq!(seen[0], row);
}

#[test]
fn a_held_session_shows_both_sides_that_it_lives_and_nobody_sees_the_difference() {
    let mut stage = Stage::new();
    stage.client(&[query("select ssn from customers")]);
    let number = stage.decision().number;
    stage.hold();
    stage.at_client();
    stage.session.keep_alive();
    stage.server(&[]);
    assert_eq!(tags(&stage.at_server()), "S");
    stage.server(&[ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "S", "ParameterStatus alone: the gate's own Sync has no echo");
    stage.pass(permit(number));
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "CZ");
}

#[test]
fn a_goodbye_is_passed_on_behind_what_was_sent_before_and_that_is_answered_and_recorded() {
    let goodbye = || frame(b'X', b"");
    let mut stage = Stage::new();
    stage.client(&[query("select 1"), query("select ssn from customers"), goodbye(), query("select 2")]);
    let first = stage.decision().number;
    stage.pass(permit(first));
    stage.server(&[complete(), ready(b'I')]);
    let second = stage.decision().number;
    stage.hold();
    assert_eq!(tags(&stage.at_server()), "Q", "in its place, behind what waits");
    stage.pass(permit(second));
    assert_eq!(tags(&stage.at_server()), "QX");
    assert!(stage.goodbye && !stage.ended && !stage.session.wants_client());
    stage.server(&[complete(), ready(b'I')]);
    assert_eq!(tags(&stage.at_client()), "CZNCZ");
    assert_eq!(stage.completed, [(first, None, 0), (second, None, 0)]);
    assert!(!stage.undecided(), "nothing is taken behind it");
    // Also of what nothing has made the server act on yet.
    let mut stage = Stage::new();
    stage.client(&[parse("s", "selec"), goodbye()]);
    assert_eq!(tags(&stage.at_server()), "PX");
    // With nothing to be answered there is nothing to wait for.
    let mut stage = Stage::new();
    stage.client(&[goodbye()]);
    assert!(stage.ended && !stage.goodbye);
    assert_eq!(tags(&stage.at_server()), "X");
}

#[test]
fn a_reply_that_nothing_explains_ends_the_session() {
    let mut stage = Stage::new();
    stage.server(&[frame(b'D', b"\0\0")]);
    assert!(stage.ended);
    let mut stage = Stage::new();
    stage.server(&[complete()]);
    assert!(stage.ended);
}

#[test]
fn a_malformed_message_ends_the_session_before_it_moves() {
    for bad in
        [frame(b'Q', b"no terminator"), frame(b'B', b"\0\0\0\x01"), frame(b'S', b"x"), frame(b'p', b"")]
    {
        let mut stage = Stage::new();
        stage.client(&[bad, sync()]);
        assert!(stage.ended);
        assert!(stage.at_server().is_empty());
    }
}

/// Of whoever sends a few words about many tables, over and over, the gate keeps what is known of some at a time.
#[test]
fn what_is_known_of_statements_under_way_does_not_pile_up() {
    let names: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut stage = Stage::new();
    stage.session.set_catalog(catalog_with(&[], &names));
    let from: Vec<String> = names.iter().map(|name| format!("app.{name}")).collect();
    let sent: Vec<_> =
        (0..900).map(|number| query(&format!("select {number}, * from {}", from.join(", ")))).collect();
    stage.client(&sent);
    let (mut under_way, mut most, mut done) = (0, 0, 0);
    while done < sent.len() {
        while stage.undecided() {
            let number = stage.decision().number;
            stage.pass(permit(number));
        }
        under_way += stage.at_server().len();
        most = most.max(under_way);
        assert!(under_way > 0, "{done}");
        stage.server(&[complete(), ready(b'I')]);
        (under_way, done) = (under_way - 1, done + 1);
    }
    assert!((100..600).contains(&most), "{most}");
}

/// Who opens session after session to prepare much in each has one budget for all of them, and what falls out of it is asked
/// about.
#[test]
fn what_many_sessions_of_one_person_know_has_one_budget() {
    const EACH: usize = 60;
    let names: Vec<String> = (0..50).map(|number| format!("t{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let from: Vec<String> = names.iter().map(|name| format!("app.{name}")).collect();
    let room = Room::of(2 << 20);
    let mut sessions = [(); 2].map(|()| Stage::new());
    for stage in &mut sessions {
        stage.session.shares(room.clone());
        stage.session.set_catalog(catalog_with(&[], &names));
        for number in 0..EACH {
            let wide = format!("select {number}, * from {}", from.join(", "));
            stage.client(&[parse(&format!("s{number}"), &wide), sync()]);
            stage.server(&[frame(b'1', b""), ready(b'I')]);
        }
    }
    let [mut one, mut other] = sessions;
    let is_known = |stage: &mut Stage, number: usize| {
        stage.client(&[bind("", &format!("s{number}")), execute(""), sync()]);
        let pending = stage.decision();
        stage.pass(permit(pending.number));
        stage.server(&[frame(b'2', b""), complete(), ready(b'I')]);
        pending.facts.iter().all(|facts| facts.certainty != Certainty::Unknown)
    };
    assert!(is_known(&mut one, 0) && is_known(&mut one, EACH - 1));
    // What was prepared last is known in any case.
    assert!(is_known(&mut other, EACH - 1) && !is_known(&mut other, 0));
}
