//! What cannot wait comes back: SG010, an approval meanwhile, and one rerun that passes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Stdio;
use std::time::Duration;

use stepgate_testkit::{Person, Psql, Reply};
use support::frames::{error, execute, frame, held as held_in, parse, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, held, passes, repository, waits};

/// Asks data-owners, and is remembered by nothing.
const EXPORT: &str = "copy customers to stdout;";
const SSN: &str = "select full_name, ssn from customers order by id limit 2;";
const WRITE: &str = "insert into products values (900, 'new', 'home', 1);";

/// Holds are short; requests to others stay open for hours.
fn short_holds(policy: String) -> String {
    policy.replace("hold: 5m", "hold: 2s")
}

/// The statement was deferred: its request.
fn deferred(reply: &Reply) -> String {
    let text = reply.text();
    assert_eq!(reply.sqlstate, "SG010", "{text}");
    assert!(!text.contains("@example.test") && !text.contains("901-00-"), "{text}");
    let (_, rest) = text.split_once("ERROR:  stepgate: deferred, ").unwrap();
    rest.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned()
}

/// In a transaction that has written, the statement is deferred at once.
fn deferred_after_a_write(psql: &mut Psql, sql: &str) -> String {
    for statement in ["begin;", WRITE] {
        passes(psql, statement);
    }
    let reply = psql.run(sql).unwrap();
    assert!(reply.took < Duration::from_secs(10), "{:?}", reply.took);
    let request = deferred(&reply);
    passes(psql, "rollback;");
    request
}

fn approve(world: &World, olga: &mut Person, request: &str) {
    let answer = olga.answer(&world.gate, "approve", request, "ticket 4711").unwrap().ok().unwrap();
    assert!(answer.contains("passes once") || answer.contains("remembered"), "{answer}");
}

/// Passes unasked, all of it.
fn exports(psql: &mut Psql) {
    let reply = psql.run(EXPORT).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
    assert_eq!(reply.lines.iter().filter(|line| line.contains("@example.test")).count(), 500);
}

/// The passes of somebody that their command line lists.
fn listed(world: &World, person: &Person) -> Vec<serde_json::Value> {
    let list = world.gate.run(["grant", "ls", "--as", person.name(), "-o", "json"], "").unwrap();
    let rows: serde_json::Value = serde_json::from_str(&list.ok().unwrap()).unwrap();
    rows.as_array().unwrap().iter().filter(|row| row["once"] == true).cloned().collect()
}

/// Until this request is listed in this state.
fn comes_to(world: &World, person: &Person, request: &str, state: &str) {
    stepgate_testkit::until(&format!("{request} to be {state}"), SOON, || {
        let shown =
            world.gate.run(["request", "show", request, "--as", person.name(), "-o", "json"], "").unwrap();
        shown.text().contains(&format!("\"state\": \"{state}\""))
            || shown.text().contains(&format!("\"state\":\"{state}\""))
    })
    .unwrap();
}

#[test]
fn after_a_write_the_client_hears_at_once_what_to_do_and_the_rerun_passes_exactly_once() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    for statement in ["begin;", WRITE] {
        passes(&mut psql, statement);
    }
    let reply = psql.run(EXPORT).unwrap();
    let (request, text) = (deferred(&reply), reply.text());
    for told in [
        "DETAIL:  Reads public.customers.",
        "The request stays open until 20",
        "HINT:  Waiting for 1 of data-owners, who run: stepgate request approve ",
        "run the same statement again, with the same values: it passes once",
        "stepgate request cancel ",
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }
    // The transaction has failed as after any error, and its locks are gone with it.
    assert_eq!(psql.run("select 1;").unwrap().sqlstate, "25P02");
    passes(&mut psql, "rollback;");

    approve(&world, &mut olga, &request);
    let pass = listed(&world, &dana);
    assert_eq!((pass.len(), &pass[0]["request"]), (1, &serde_json::json!(request)));
    exports(&mut psql);
    assert!(listed(&world, &dana).is_empty());
    waits(&world, &mut psql, &dana, EXPORT);
    for (what, about) in [
        ("stepup.deferred", "in-transaction"),
        ("pass.issued", "key_hmac"),
        ("pass.consumed", &request),
        ("\"defer\"", "statement.decided"),
    ] {
        assert!(world.recorded(what, about), "{what}");
    }
    let verified = world.gate.run(["audit", "verify"], "").unwrap();
    assert!(verified.ok().unwrap().lines().last().unwrap().starts_with("ok: "));
}

/// A pass is for what was approved, not for what a session has made of it.
#[test]
fn a_pass_is_not_for_what_types_or_settings_of_another_session_make_of_the_statement() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let sql = "copy (select id, ssn from customers where full_name like '%zzz'::text) to stdout;";
    let request = deferred_after_a_write(&mut world.psql(&dana), sql);
    approve(&world, &mut olga, &request);
    for made in [
        "create domain pg_temp.text as varchar(1);",
        "set app.customer = '7';",
        "select set_config('app.customer', '7', false);",
        "set xmloption = document;",
    ] {
        let mut psql = world.psql(&dana);
        passes(&mut psql, made);
        waits(&world, &mut psql, &dana, sql);
    }
    // What changes no result takes nothing away.
    let mut psql = world.psql(&dana);
    for set in ["set work_mem = '8MB';", "set extra_float_digits = 3;", "set bytea_output = 'hex';"] {
        passes(&mut psql, set);
    }
    passes(&mut psql, sql);
}

/// The server tells of DateStyle with ReadyForQuery alone.
#[test]
fn a_pass_is_not_for_a_statement_that_is_sent_while_a_date_style_is_under_way_or_was_read_by_another() {
    let (world, runtime) = (World::new(), runtime());
    let (dana, mut olga) = (world.dana(), world.olga());
    let sql = "copy (select id, ssn from customers where created_at < '01/12/2019') to stdout";
    let request = deferred_after_a_write(&mut world.psql(&dana), &format!("{sql};"));
    approve(&world, &mut olga, &request);
    let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
    let set = "set datestyle to 'ISO, DMY'";
    send(&runtime, &mut session, &[parse(set), execute(), parse(sql), execute(), sync()].concat());
    held_in(&runtime, &mut session);
    drop(session);
    let mut session = runtime.block_on(support::raw::session(&config(&world, &dana))).unwrap();
    for sent in [
        query(set),
        [frame(b'P', &[b"s\0", sql.as_bytes(), b"\0\0\0"].concat()), sync()].concat(),
        query("set datestyle to 'ISO, MDY'"),
    ] {
        send(&runtime, &mut session, &sent);
        assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
    }
    let executes = [frame(b'B', b"\0s\0\0\0\0\0\0\0"), frame(b'E', &[0; 5]), sync()].concat();
    send(&runtime, &mut session, &executes);
    held_in(&runtime, &mut session);
}

#[test]
fn a_client_that_left_during_a_hold_comes_back_after_the_approval_and_passes_once() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    drop(psql);
    comes_to(&world, &dana, &request, "deferred");
    assert!(world.recorded("client-gone", &request));
    approve(&world, &mut olga, &request);
    let mut psql = world.psql(&dana);
    exports(&mut psql);
    waits(&world, &mut psql, &dana, EXPORT);
}

/// The stop would withdraw what it opens: nobody is sent to a request that is about to end.
#[test]
fn while_the_gate_stops_what_needs_people_is_refused_at_once_and_opens_no_request() {
    let mut world = World::new();
    let dana = world.dana();
    // One that would be deferred, and one that would be held.
    let (mut wrote, mut begun) = (world.psql(&dana), world.psql(&dana));
    for statement in ["begin;", WRITE] {
        passes(&mut wrote, statement);
    }
    passes(&mut begun, "begin;");
    world.gate.serving().unwrap().signal("TERM").unwrap();
    let listen = world.gate.listen();
    stepgate_testkit::until("nobody to be let in", SOON, || std::net::TcpStream::connect(listen).is_err())
        .unwrap();
    for psql in [&mut wrote, &mut begun] {
        let reply = psql.run(EXPORT).unwrap();
        let text = reply.text();
        assert_eq!(reply.sqlstate, "57P01", "{text}");
        assert!(text.contains("ERROR:  stepgate: the gate is stopping, so nobody is asked"), "{text}");
        assert!(text.contains("HINT:  Connect again once the gate is back"), "{text}");
        // The session lives on until its transaction ends; that it has then to go may be heard at once.
        assert_eq!(psql.run("select 1;").unwrap().sqlstate, "25P02");
        let reply = psql.run("rollback;").unwrap();
        let goes = reply.text().contains("FATAL:  stepgate: the gate is stopping");
        assert!(reply.is_ok() || goes, "{}", reply.text());
    }
    assert_eq!(world.gate.serving().unwrap().exit_status(SOON), Some(0));
    world.gate.serve().unwrap();
    let records = world.records();
    let refused = |it: &&serde_json::Value| it["verdict"] == "fail" && it["refusal"] == "stopping";
    assert_eq!(records.iter().filter(refused).count(), 2);
    assert!(!records.iter().any(|it| it["type"] == "stepup.requested"), "{records:?}");
}

#[test]
fn a_hold_that_lapses_leaves_its_request_open_and_the_rerun_passes() {
    let world = World::with_policy(short_holds);
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let reply = psql.run(EXPORT).unwrap();
    assert!(reply.text().contains("Waits for 0:02; Ctrl-C cancels."), "{}", reply.text());
    let request = deferred(&reply);
    assert!(reply.took >= Duration::from_secs(2), "{:?}", reply.took);
    assert!(world.recorded("lapsed", &request));
    approve(&world, &mut olga, &request);
    exports(&mut psql);
    waits(&world, &mut psql, &dana, EXPORT);
}

#[test]
fn a_rerun_before_the_approval_waits_for_the_same_request() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let request = deferred_after_a_write(&mut psql, EXPORT);
    // Again where it cannot wait: the same request, not a second one for people to answer.
    assert_eq!(deferred_after_a_write(&mut psql, EXPORT), request);
    psql.send(EXPORT).unwrap();
    assert_eq!(held(&mut psql), request);
    let mut other = world.psql(&dana);
    other.send(EXPORT).unwrap();
    assert_eq!(held(&mut other), request);
    let approved = olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap();
    approved.ok().unwrap();
    // One of the two runs; the other asks for itself.
    let ran = |psql: &mut Psql| {
        psql.line("an end or a NOTICE", SOON, |line| {
            let asks = line.starts_with("NOTICE:  stepgate: held");
            (asks || line.contains("@example.test")).then_some(asks)
        })
    };
    let mut asked = [ran(&mut psql).unwrap(), ran(&mut other).unwrap()];
    asked.sort_unstable();
    assert_eq!(asked, [false, true]);
}

#[test]
fn ones_own_verification_is_asked_for_outside_a_transaction_that_has_written() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    for statement in ["begin;", WRITE] {
        passes(&mut psql, statement);
    }
    let reply = psql.run(SSN).unwrap();
    let request = deferred(&reply);
    assert!(reply.text().contains(&format!("stepgate verify {request}")), "{}", reply.text());
    passes(&mut psql, "rollback;");
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    for statement in ["begin;", WRITE] {
        passes(&mut psql, statement);
    }
    let again = psql.run(SSN).unwrap();
    assert!(again.is_ok() && again.text().contains("901-00-0001"), "{}", again.text());
    passes(&mut psql, "commit;");
}

#[test]
fn ones_own_request_and_any_where_the_policy_says_so_end_with_the_client() {
    let world =
        World::with_policy(|policy| policy.replace("on_client_gone: defer", "on_client_gone: withdraw"));
    let dana = world.dana();
    for sql in [SSN, EXPORT] {
        let mut psql = world.psql(&dana);
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        drop(psql);
        comes_to(&world, &dana, &request, "withdrawn");
    }
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    drop(psql);
    comes_to(&world, &dana, &request, "withdrawn");
}

#[test]
fn a_denial_a_cancellation_and_a_revocation_end_it_and_the_rerun_asks_again() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let denied = deferred_after_a_write(&mut psql, EXPORT);
    olga.answer(&world.gate, "deny", &denied, "use the extract").unwrap().ok().unwrap();
    // Nothing waits that could be told: it is to be found here.
    let show = ["request", "show", denied.as_str(), "--as", "dana"];
    let shown = world.gate.run(show, "").unwrap().ok().unwrap();
    assert!(
        shown.contains("Ended by    olga\n") && shown.contains("Reason      use the extract\n"),
        "{shown}"
    );
    waits(&world, &mut psql, &dana, EXPORT);
    let cancelled = deferred_after_a_write(&mut psql, EXPORT);
    assert_ne!(cancelled, denied);
    world.gate.run(["request", "cancel", &cancelled, "--as", "dana"], "").unwrap().ok().unwrap();
    waits(&world, &mut psql, &dana, EXPORT);
    let approved = deferred_after_a_write(&mut psql, EXPORT);
    approve(&world, &mut olga, &approved);
    let pass = listed(&world, &dana)[0]["grant"].as_str().unwrap().to_owned();
    world.gate.run(["grant", "revoke", &pass, "--as", "dana"], "").unwrap().ok().unwrap();
    waits(&world, &mut psql, &dana, EXPORT);
}

#[test]
fn a_pass_is_nothing_to_somebody_else_or_for_another_statement() {
    let world = World::new();
    let (dana, mut olga, omar) = (world.dana(), world.olga(), world.person("omar", "analysts"));
    let mut psql = world.psql(&dana);
    let request = deferred_after_a_write(&mut psql, EXPORT);
    approve(&world, &mut olga, &request);
    let mut other = world.psql(&omar);
    waits(&world, &mut other, &omar, EXPORT);
    waits(&world, &mut psql, &dana, "copy customers  to stdout;");
    waits(&world, &mut psql, &dana, "copy hr.employees to stdout;");
    exports(&mut psql);
}

#[test]
fn kill_9_keeps_an_issued_pass_and_withdraws_what_nobody_had_answered() {
    let mut world = World::new();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let request = deferred_after_a_write(&mut psql, EXPORT);
    approve(&world, &mut olga, &request);
    let open = deferred_after_a_write(&mut psql, "copy hr.employees to stdout;");
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    let mut psql = world.psql(&dana);
    exports(&mut psql);
    waits(&world, &mut psql, &dana, EXPORT);
    assert!(world.recorded("withdrawn", &open));
}

#[test]
fn a_snapshot_that_others_would_suffer_from_is_not_kept_while_people_think() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    // Only read, under READ COMMITTED: nothing is kept but the right to read the table.
    passes(&mut psql, "begin;");
    passes(&mut psql, "select count(*) from products;");
    waits(&world, &mut psql, &dana, EXPORT);
    passes(&mut psql, "rollback;");
    for keeps in [
        &["begin isolation level repeatable read;"][..],
        &["begin;", "set transaction isolation level serializable;"],
        &["set default_transaction_isolation = 'repeatable read';", "begin;"],
        &[
            "set default_transaction_isolation = 'read committed';",
            "begin;",
            "declare c cursor for select 1;",
        ],
    ] {
        for statement in keeps {
            passes(&mut psql, statement);
        }
        passes(&mut psql, "select count(*) from products;");
        let request = deferred(&psql.run(EXPORT).unwrap());
        world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        passes(&mut psql, "rollback;");
    }
    // And as before, once it is as before.
    passes(&mut psql, "begin;");
    passes(&mut psql, "select count(*) from products;");
    waits(&world, &mut psql, &dana, EXPORT);
    passes(&mut psql, "rollback;");
}

#[test]
fn a_snapshot_that_the_role_keeps_by_default_counts_too() {
    let mut world = World::not_serving(|policy| policy);
    world
        .cluster
        .psql("shop", "alter database shop set default_transaction_isolation = 'repeatable read'")
        .unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    passes(&mut psql, "select count(*) from products;");
    deferred(&psql.run(EXPORT).unwrap());
}

#[test]
fn the_policy_may_have_transactions_wait_always_or_never() {
    let always = World::with_policy(|policy| policy.replace("in_transaction: auto", "in_transaction: hold"));
    let dana = always.dana();
    let mut psql = always.psql(&dana);
    for statement in ["begin;", WRITE] {
        passes(&mut psql, statement);
    }
    waits(&always, &mut psql, &dana, EXPORT);
    drop(always);
    let never = World::with_policy(|policy| policy.replace("in_transaction: auto", "in_transaction: defer"));
    let dana = never.dana();
    let mut psql = never.psql(&dana);
    waits(&never, &mut psql, &dana, EXPORT);
    passes(&mut psql, "begin;");
    deferred(&psql.run(EXPORT).unwrap());
}

#[test]
fn what_another_session_could_give_another_meaning_is_held_and_not_deferred() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("prepare p as select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    for statement in ["begin;", WRITE] {
        passes(&mut psql, statement);
    }
    // Approve EXECUTE p, and run what p is in another session.
    waits(&world, &mut psql, &dana, "execute p;");
}

#[test]
fn what_is_not_understood_passes_only_under_the_search_path_it_was_approved_for() {
    let mut world = World::not_serving(|policy| policy);
    let function = |schema: &str, body: &str| {
        format!(
            "create schema {schema}; grant usage on schema {schema} to public; \
             create function {schema}.report() returns text language plpgsql as $$ begin return ({body}); end $$;"
        )
    };
    let harmless = function("a", "select name from public.products limit 1");
    let evil = function("b", "select ssn from public.customers order by id limit 1");
    world.cluster.load("shop", &format!("{harmless} {evil}")).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "set search_path = a, public;");
    let request = deferred_after_a_write(&mut psql, "select report();");
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    // Nothing is remembered of what is not understood, but that it may run once.
    assert_eq!(listed(&world, &dana).len(), 1);
    passes(&mut psql, "set search_path = b, public;");
    waits(&world, &mut psql, &dana, "select report();");
    passes(&mut psql, "set search_path = a, public;");
    passes(&mut psql, "select report();");
    waits(&world, &mut psql, &dana, "select report();");
}

#[test]
fn psycopg_hears_sg010_behind_its_own_begin_and_its_rerun_with_the_same_value_passes_once() {
    use std::io::{BufRead as _, Write as _};
    let others = "action: approve\n    approval: data-owners\n\n  # Taking";
    let world = World::with_policy(|policy| {
        policy.replace("action: step-up\n    approval: self\n\n  # Taking", others)
    });
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut command = std::process::Command::new("python3");
    command.arg(repository().join("tests/clients/psycopg_deferral.py"));
    let fetched = repository().join(".work/psycopg");
    if fetched.exists() {
        command.env("PYTHONPATH", fetched);
    }
    let mut child = command
        .env("PGHOST", world.gate.listen().ip().to_string())
        .env("PGPORT", world.gate.listen().port().to_string())
        .env("PGUSER", dana.name())
        .env("PGPASSWORD", dana.password())
        .env("PGDATABASE", "shop")
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", world.gate.ca())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(said.next().unwrap().unwrap(), "deferred");
    let request = world.open_request(&dana);
    approve(&world, &mut olga, &request);
    writeln!(child.stdin.take().unwrap(), "approved").unwrap();
    assert_eq!(said.map(Result::unwrap).last().as_deref(), Some("ok"));
    assert!(child.wait().unwrap().success());
    assert!(world.recorded("pass.consumed", &request));
}

const MASKED: &str = "copy (select mask(ssn) from customers where id < 9) to stdout;";

/// A function that analysts may replace, and what it shows at first.
fn masking() -> World {
    let mut world = World::not_serving(|policy| policy);
    let mask = "create function mask(t text) returns text language sql as $$ select 'xxx' || right($1, 2) $$; \
         alter function mask(text) owner to stepgate_analyst; grant create on schema public to public";
    world.cluster.load("shop", mask).unwrap();
    world.gate.serve().unwrap();
    world
}

const UNMASK: &str = "create or replace function mask(t text) returns text language sql as $$ select $1 $$;";

#[test]
fn a_function_replaced_while_its_statement_waits_has_that_asked_for_anew() {
    let world = masking();
    let (dana, mut olga, eve) = (world.dana(), world.olga(), world.person("eve", "analysts"));
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    psql.send(MASKED).unwrap();
    let request = held(&mut psql);
    passes(&mut other, UNMASK);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert_ne!(held(&mut psql), request);
}

#[test]
fn a_pass_is_nothing_once_a_function_of_its_statement_was_replaced() {
    let world = masking();
    let (dana, mut olga, eve) = (world.dana(), world.olga(), world.person("eve", "analysts"));
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&eve));
    let request = deferred_after_a_write(&mut psql, MASKED);
    approve(&world, &mut olga, &request);
    passes(&mut other, UNMASK);
    waits(&world, &mut psql, &dana, MASKED);
}

#[test]
fn a_pass_is_nothing_where_dates_are_read_otherwise_or_names_found_elsewhere() {
    let world = masking();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let request = deferred_after_a_write(&mut psql, MASKED);
    approve(&world, &mut olga, &request);
    for setting in ["set datestyle = 'SQL, DMY';", "set search_path = hr, public;"] {
        let mut other = world.psql(&dana);
        passes(&mut other, setting);
        waits(&world, &mut other, &dana, MASKED);
    }
    let reply = psql.run(MASKED).unwrap();
    assert!(reply.is_ok() && reply.text().contains("xxx01"), "{}", reply.text());
}
