//! What happens to a statement that waits: psql on one side, people's commands on the other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::frames::{error, execute, extended, frame, next, parse, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, held};

const SSN: &str = "select full_name, ssn from customers order by id limit 2;";

#[test]
fn a_held_statement_is_released_by_a_code_and_the_next_one_passes_by_the_grant() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    assert!(
        psql.is_silent_for(Duration::from_millis(300))
            || !psql.shown().iter().any(|line| line.contains("Amir"))
    );
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert!(reply.text().contains("901-00-0001"), "{}", reply.text());
    let next = psql.run(SSN).unwrap();
    assert!(next.is_ok() && !next.text().contains("stepgate:"), "{}", next.text());
}

/// PostgreSQL has ended that transaction, though no ReadyForQuery has said so: what comes then runs.
#[test]
fn behind_a_flushed_rollback_of_a_failed_transaction_statements_are_held_as_ever() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    let ssn = "select ssn from customers limit 1";
    let flush = || frame(b'H', b"");
    let executed = |sql: &str| [parse(sql), execute()].concat();
    for (over, next_sent) in [
        ("rollback", extended(ssn)),
        ("commit", [executed(ssn), flush()].concat()),
        ("rollback", query(ssn)),
        ("rollback to s", [executed(ssn), sync()].concat()),
    ] {
        let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
        for sql in ["begin", "savepoint s", "select 1/0"] {
            send(&runtime, &mut session, &query(sql));
            until_tag(&runtime, &mut session, b'Z');
        }
        send(&runtime, &mut session, &[executed(over), flush()].concat());
        until_tag(&runtime, &mut session, b'C');
        send(&runtime, &mut session, &next_sent);
        let message =
            std::iter::from_fn(|| next(&runtime, &mut session, SOON)).find(|(tag, _)| b"NDE".contains(tag));
        let (tag, body) = message.unwrap();
        let asked = tag == b'N' && body.windows(9).any(|text| text == b"stepgate:");
        assert!(asked || error(&[(tag, body)]).is_some_and(|(state, _)| state == "SG010"), "shown");
    }
}

/// Where `off` is the default, RESET ALL would bring it back, behind which the same text has other quotes.
#[test]
fn what_is_sent_behind_reset_all_is_read_as_the_server_reads_it() {
    let (world, runtime) = (World::new(), runtime());
    world.cluster.psql("shop", "alter database shop set standard_conforming_strings = off").unwrap();
    let mut session = runtime.block_on(session(&config(&world, &world.dana()))).unwrap();
    send(&runtime, &mut session, &query("set standard_conforming_strings = on"));
    until_tag(&runtime, &mut session, b'Z');
    let sent = [query("reset all"), query("select '\\'' , ssn||'' from customers --'")];
    send(&runtime, &mut session, &sent.concat());
    until_tag(&runtime, &mut session, b'Z');
    let replies = until_tag(&runtime, &mut session, b'Z');
    assert!(!replies.iter().any(|(_, body)| body.windows(7).any(|text| text == b"901-00-")), "shown");
    send(&runtime, &mut session, &query("show standard_conforming_strings"));
    let replies = until_tag(&runtime, &mut session, b'Z');
    assert!(replies.contains(&(b'D', b"\0\x01\0\0\0\x02on".to_vec())), "{replies:?}");
}

#[test]
fn a_denied_statement_leaves_the_session_usable() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send("copy customers to stdout;").unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "deny", &request, "use the extract").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "42501");
    assert!(reply.text().contains("use the extract"), "{}", reply.text());
    assert!(!reply.text().contains("@example.test"));
    let next = psql.run("select count(*) from products;").unwrap();
    assert!(next.is_ok() && next.text().contains("200"), "{}", next.text());
}

#[test]
fn an_approved_copy_delivers_every_row() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send("copy customers to stdout;").unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert_eq!(reply.lines.iter().filter(|line| line.contains("@example.test")).count(), 500);
}

#[test]
fn nobody_approves_their_own_request_even_as_an_owner_of_the_data() {
    let world = World::new();
    let mut dana = world.person("dana", "analysts,data-owners");
    let mut psql = world.psql(&dana);
    psql.send("copy customers to stdout;").unwrap();
    let request = held(&mut psql);
    let by_approval = dana.answer(&world.gate, "approve", &request, "I may").unwrap();
    assert_eq!(by_approval.status, 1, "{}", by_approval.text());
    let by_verification = dana.verify(&world.gate, &request).unwrap();
    assert_eq!(by_verification.status, 1, "{}", by_verification.text());
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
}

#[test]
fn ctrl_c_during_a_hold_cancels_it_and_withdraws_the_request() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    psql.interrupt().unwrap();
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("ERROR:  stepgate: "), "{lines}");
    let late = dana.verify(&world.gate, &request).unwrap();
    assert_eq!(late.status, 1, "{}", late.text());
    assert!(world.recorded("cancelled", &request) || world.recorded("withdrawn", &request));
}

#[test]
fn a_hold_that_nobody_answers_expires() {
    let world = World::with_policy(|text| text.replace("hold: 5m", "hold: 2s"));
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    let reply = psql.run(SSN).unwrap();
    assert_eq!(reply.sqlstate, "57014", "{}", reply.text());
    assert!(reply.took >= Duration::from_secs(2), "{:?}", reply.took);
    let request = request_in(&reply.text());
    let late = dana.verify(&world.gate, &request).unwrap();
    assert_eq!(late.status, 1, "{}", late.text());
    assert!(world.recorded("expired", &request));
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn a_wrong_code_and_a_code_used_twice_release_nothing() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    let verify = |request: &str, code: &str| {
        world.gate.run(["verify", request, "--as", "dana"], &format!("{code}\n")).unwrap()
    };
    let code = dana.code().unwrap();
    let wrong = if code == "000000" { "111111" } else { "000000" };
    let refused = verify(&request, wrong);
    assert_eq!(refused.status, 1, "{}", refused.text());
    verify(&request, &code).ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());

    psql.send("select salary from hr.employees limit 1;").unwrap();
    let second = held(&mut psql);
    let replayed = verify(&second, &code);
    assert_eq!(replayed.status, 1, "{}", replayed.text());
    assert!(!replayed.text().contains(&code), "a refused code is not repeated");
    assert!(world.recorded("replayed", &second));
    let fresh = dana.code().unwrap();
    verify(&second, &fresh).ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn a_grant_covers_neither_another_person_nor_another_table_nor_an_export() {
    let world = World::new();
    let (mut dana, omar) = (world.dana(), world.person("omar", "analysts"));
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    for beyond in ["select salary from hr.employees;", "copy customers (ssn) to stdout;"] {
        psql.send(beyond).unwrap();
        let request = held(&mut psql);
        world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014", "{beyond}");
    }
    let mut other = world.psql(&omar);
    other.send(SSN).unwrap();
    held(&mut other);
}

#[test]
fn one_statement_of_several_in_a_message_holds_them_all() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    // psql sends statements joined by \; as one message.
    psql.send("select 'first' as a \\; select ssn from customers order by id limit 1;").unwrap();
    let request = held(&mut psql);
    assert!(!psql.shown().iter().any(|line| line.contains("first")), "nothing of the message ran yet");
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.text().contains("901-00-0001"), "{}", reply.text());
}

#[test]
fn a_hold_behind_begin_keeps_the_transaction() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("begin;").unwrap().is_ok());
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    let commit = psql.run("commit;").unwrap();
    assert!(commit.is_ok() && !commit.text().contains("WARNING"), "{}", commit.text());
}

fn request_in(text: &str) -> String {
    let (_, rest) = text.split_once("NOTICE:  stepgate: ").unwrap();
    rest.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned()
}

#[test]
fn a_temporary_view_does_not_pass_for_the_harmless_table_whose_name_it_took() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send("create temp view products as select id, ssn as name from customers;").unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let made = psql.finish(SOON).unwrap();
    assert!(made.is_ok(), "{}", made.text());
    // The name means the view now. It is not in the catalog that the gate reads.
    psql.send("select name from products limit 1;").unwrap();
    let request = held(&mut psql);
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(!reply.text().contains("901-00"), "{}", reply.text());
    // Other names mean what they meant.
    let other = psql.run("select count(*) from orders;").unwrap();
    assert!(other.is_ok() && !other.text().contains("stepgate:"), "{}", other.text());
}
