//! What happens to a statement that waits: psql on one side, people's commands on the other.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use stepgate_testkit::Person;
use support::frames::{self, error, execute, extended, frame, next, parse, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, held};
use tokio::runtime::Runtime;

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

/// Whether somebody is asked before any row comes.
fn is_asked_about(runtime: &Runtime, session: &mut stepgate_proxy::Upstream) -> bool {
    let is_asked = |body: &[u8]| body.windows(14).any(|text| text == b"stepgate: held");
    let message = std::iter::from_fn(|| next(runtime, session, SOON))
        .find(|(tag, body)| b"DEZ".contains(tag) || is_asked(body));
    message.is_some_and(|(_, body)| is_asked(&body))
}

/// PostgreSQL tells of a setting with ReadyForQuery alone: what comes before that has its quotes elsewhere.
#[test]
fn quotes_that_a_setting_under_way_has_moved_hide_nothing() {
    let (world, runtime) = (World::new(), runtime());
    let mut dana = world.dana();
    let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
    let executed = |sql: &str| [parse(sql), execute()].concat();
    let hidden = "select 'a\\'' || ssn from public.customers where id < 9 -- '";
    let sent = [executed("set standard_conforming_strings = off"), executed(hidden), sync()];
    send(&runtime, &mut session, &sent.concat());
    let request = frames::held(&runtime, &mut session);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(is_asked_about(&runtime, &mut session), "shown");
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

/// What comes of these messages, each sent once the one before it is answered: what stops the last of them, be it a hold or
/// an error by its SQLSTATE. None of them may show a social security number.
fn stopped(world: &World, runtime: &Runtime, person: &Person, steps: &[Vec<u8>]) -> Option<String> {
    let mut session = runtime.block_on(session(&config(world, person))).unwrap();
    let is_number = |text: &[u8]| matches!(text, [b'9', b'0', _, b'-', b'0', ..]);
    let mut stopped = None;
    for (at, step) in steps.iter().enumerate() {
        send(runtime, &mut session, step);
        stopped = None;
        loop {
            let (tag, body) = next(runtime, &mut session, SOON).unwrap();
            let shows = tag == b'D' && body.windows(5).any(is_number);
            assert!(!shows, "shown: {}", String::from_utf8_lossy(&steps.concat()));
            let held = tag == b'N' && body.windows(15).any(|text| text == b"stepgate: held,");
            if held {
                stopped = Some("held".to_owned());
            } else if tag == b'E' {
                stopped = error(&[(tag, body)]).map(|(state, _)| state);
            }
            assert!(!held || at + 1 == steps.len(), "held: {}", String::from_utf8_lossy(step));
            if held || tag == b'Z' {
                break;
            }
        }
    }
    stopped
}

fn named(tag: u8, parts: &[&str], rest: &[u8]) -> Vec<u8> {
    let names: Vec<u8> = parts.iter().flat_map(|part| [part.as_bytes(), b"\0"].concat()).collect();
    frame(tag, &[&names, rest].concat())
}

fn prepared(name: &str, sql: &str) -> Vec<u8> {
    named(b'P', &[name, sql], &[0; 2])
}

fn bound(portal: &str, name: &str) -> Vec<u8> {
    named(b'B', &[portal, name], &[0; 6])
}

fn executed(portal: &str, rows: u8) -> Vec<u8> {
    named(b'E', &[portal], &[0, 0, 0, rows])
}

fn described(name: &str) -> Vec<u8> {
    named(b'D', &[&format!("S{name}")], &[])
}

fn synced(messages: &[Vec<u8>]) -> Vec<u8> {
    [messages.concat(), sync()].concat()
}

fn open_to_makers(ddl: &str) -> (World, Runtime, Person) {
    let (mut world, runtime) = (World::not_serving(|text| text), runtime());
    world.cluster.load("shop", &format!("grant create on schema public to public; {ddl}")).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    (world, runtime, dana)
}

/// A portal changes what names mean when it is executed, which may be long after its Bind: what was learnt in between holds
/// no more.
#[test]
fn a_path_that_is_changed_by_a_portal_bound_before_it_was_asked_for_is_asked_for_anew() {
    let (world, runtime, dana) = open_to_makers(
        "create table employees (id int, ssn text); insert into employees values (1, 'x'); \
         grant all on employees to public; grant usage on schema hr to public; grant select on hr.employees to public",
    );
    let reads = query("select ssn||'' from employees limit 3");
    let asks = query("select count(*) from orders");
    let binds = |sql: &str| synced(&[prepared("s", sql), bound("p", "s")]);
    let by_rows = "select set_config('search_path', case i when 1 then 'public' else 'hr, public' end, false) \
                   from generate_series(1, 2) i";
    let first = |sql: &str| synced(&[prepared("s", sql), bound("p", "s"), executed("p", 1)]);
    for steps in [
        vec![
            query("begin"),
            binds("set search_path = hr, public"),
            asks.clone(),
            synced(&[executed("p", 0)]),
            reads.clone(),
        ],
        vec![
            query("set search_path = hr, public"),
            query("begin"),
            query("savepoint a"),
            query("set local search_path = public"),
            binds("rollback to a"),
            asks.clone(),
            synced(&[executed("p", 0)]),
            reads.clone(),
        ],
        vec![
            query("set search_path = hr, public"),
            query("begin"),
            query("set local search_path = public"),
            binds("commit"),
            asks.clone(),
            synced(&[executed("p", 0)]),
            reads.clone(),
        ],
        vec![query("begin"), first(by_rows), asks.clone(), synced(&[executed("p", 0)]), reads.clone()],
        vec![
            query("begin"),
            query(&format!("declare c cursor for {by_rows}")),
            synced(&[executed("c", 1)]),
            asks.clone(),
            synced(&[executed("c", 1)]),
            reads.clone(),
        ],
        vec![
            query("begin"),
            query(&format!("declare c cursor for {by_rows}")),
            query("fetch 1 from c"),
            binds("fetch 1 from c"),
            asks,
            synced(&[executed("p", 0)]),
            reads,
        ],
    ] {
        assert!(stopped(&world, &runtime, &dana, &steps).is_some(), "{steps:?}");
    }
}

/// PostgreSQL looks anew at the names in a prepared statement when it is described, too, and goes on with what it found
/// though another object of that name stands before it by then.
#[test]
fn what_a_prepared_statement_meant_when_it_was_last_described_or_bound_is_not_forgotten() {
    let (world, runtime, dana) = open_to_makers("");
    let made = || query("create temp table customers (id int, ssn text)");
    let dropped = || query("drop table pg_temp.customers");
    let sql = "select ssn||'' from customers limit 3";
    for steps in [
        vec![
            made(),
            synced(&[prepared("s", sql)]),
            dropped(),
            synced(&[described("s")]),
            made(),
            synced(&[bound("", "s"), executed("", 0)]),
        ],
        vec![
            made(),
            query(&format!("prepare s as {sql}")),
            dropped(),
            synced(&[described("s")]),
            made(),
            query("execute s"),
        ],
        vec![
            made(),
            synced(&[prepared("s", sql)]),
            dropped(),
            synced(&[prepared("t", "select 1"), described("t"), described("s")]),
            made(),
            query("execute s"),
        ],
    ] {
        assert!(stopped(&world, &runtime, &dana, &steps).is_some(), "{steps:?}");
    }
}

/// A name that stood for a column may stand for one further out, or call a function, once the column is gone.
#[test]
fn behind_a_column_that_the_transaction_dropped_a_name_with_a_schema_is_not_read_by_the_old_catalog() {
    let (world, runtime, dana) = open_to_makers("");
    let outer =
        |table: &str| format!("select (select ssn from {table} limit 1)||'' from public.customers limit 2");
    let made = |table: &str| query(&format!("create table {table} as select 'x'::text as ssn, 1 as z"));
    let drops = |table: &str| format!("alter table {table} drop column ssn");
    let run = |sql: &str| [prepared("", sql), bound("", ""), executed("", 0)].concat();
    let view =
        |shows: &str| format!("create or replace view public.v as select {shows} as a from public.customers");
    for steps in [
        vec![made("public.a1"), query("begin"), query(&drops("public.a1")), query(&outer("public.a1"))],
        vec![
            made("public.a2"),
            query("begin"),
            query(&drops("public.a2")),
            query(&format!("create table public.loot as {}", outer("public.a2"))),
        ],
        vec![made("public.a3"), synced(&[run(&drops("public.a3")), run(&outer("public.a3"))])],
        vec![
            query("create table public.t5 as select 1 as id, 'x'::text as f5"),
            query(
                "create function public.f5(public.t5) returns text language sql as 'select ssn from public.customers where id = $1.id'",
            ),
            query("begin"),
            query("alter table public.t5 drop column f5"),
            query("select t5.f5 from public.t5"),
        ],
        vec![
            query(&view("segment")),
            query("begin"),
            query(&view("full_name")),
            query("select a from public.v limit 2"),
        ],
    ] {
        assert!(stopped(&world, &runtime, &dana, &steps).is_some(), "{steps:?}");
    }
}

/// So it may where the catalog is read anew, and nothing is left of the table's columns.
#[test]
fn a_table_that_lost_its_last_column_has_none() {
    let (world, runtime, dana) = open_to_makers("");
    let steps = [
        query("create temp table z2 (ssn text)"),
        query("insert into z2 values ('x')"),
        query("select count(ssn) from z2"),
        query("alter table z2 drop column ssn"),
        query("select (select ssn from z2 limit 1)||'' from customers limit 2"),
    ];
    assert!(stopped(&world, &runtime, &dana, &steps).is_some());
}

/// A literal is read as its type when it is parsed, and a domain within that type is checked by then.
#[test]
fn a_parse_that_would_run_a_check_that_reads_data_is_refused() {
    let (world, runtime, dana) = open_to_makers(
        "create function known(text) returns boolean language sql security invoker \
         as 'select exists (select 1 from public.customers where ssn = $1)'; \
         create domain customer_ssn as text check (public.known(value)); \
         create domain short as text check (length(value) < 30)",
    );
    let ssn = world.cluster.psql("shop", "select ssn from customers where id = 1").unwrap();
    let literal = format!("select '{{{ssn}}}'::public.customer_ssn[]");
    for steps in [
        vec![synced(&[prepared("", &literal)])],
        vec![synced(&[prepared("s", &literal), described("s")])],
        vec![synced(&[prepared("", &literal), prepared("", "select 1"), bound("", ""), executed("", 0)])],
        // The gate's own look at what it does not understand would tell as much.
        vec![query(&format!("{literal}, query_to_xml('select 1', true, true, '')"))],
        vec![synced(&[prepared("", &literal), bound("", ""), executed("", 0)])],
    ] {
        let stopped = stopped(&world, &runtime, &dana, &steps);
        // What a domain's check says would be 23514.
        assert!(matches!(stopped.as_deref(), Some("0A000" | "held" | "42501")), "{stopped:?}: {steps:?}");
    }
    // A check of nothing but its value is in nobody's way.
    let plain = synced(&[prepared("", "select '{x}'::public.short[]")]);
    assert_eq!(stopped(&world, &runtime, &dana, &[plain]), None);
}
