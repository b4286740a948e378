//! What one statement delivers: it goes on, or ends, wherever its next row waits.

use std::time::{Duration, Instant};

use stepgate_testkit::until;

use crate::support::{SOON, World, held};
use crate::{MANY, MANY_CONTACTS, bare, brake, direct, events, restricted, rows, verified};

#[test]
fn a_result_goes_on_after_each_approval_and_is_the_same_in_the_end() {
    let world = World::with_policy(restricted("{rows: 2000, bytes: 5MiB}"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send(MANY).unwrap();
    verified(&world, &mut psql, &mut dana);
    verified(&world, &mut psql, &mut dana);
    let shown = psql.shown().join("\n");
    assert!(shown.contains("held after 2,000 rows, verification required"), "{shown}");
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert_eq!(rows(&reply.lines), direct(&world, MANY));
    let reached = events(&world, "limit.reached");
    let so_far: Vec<_> = reached.iter().map(|it| it["rows"].as_u64().unwrap()).collect();
    assert_eq!(so_far, [2_000]);
    assert!(reached.iter().all(|it| it["person"] == "dana" && it["limit_rows"] == 2_000), "{reached:?}");
    assert_eq!(events(&world, "limit.extended").len(), 1);
    // What was set aside for it and not delivered went back.
    let debited: u64 = events(&world, "grant.debited").iter().map(|it| it["rows"].as_u64().unwrap()).sum();
    let credited: u64 = events(&world, "grant.credited").iter().map(|it| it["rows"].as_u64().unwrap()).sum();
    assert_eq!(debited - credited, 2_500);
}

#[test]
fn what_is_denied_ends_with_an_error_and_the_session_goes_on() {
    let world = World::with_policy(brake("{rows: 1000}", "data-owners"));
    let (dana, mut olga, mut omar) = (world.dana(), world.olga(), world.person("omar", "data-owners"));
    let mut psql = bare(&world, &dana);
    for sql in [MANY_CONTACTS, "copy (select email from customers, generate_series(1, 5)) to stdout;"] {
        // COPY asks beforehand by a rule of its own.
        let copies = sql.starts_with("copy");
        psql.send(sql).unwrap();
        if copies {
            let request = held(&mut psql);
            omar.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
        }
        let request = held(&mut psql);
        olga.answer(&world.gate, "deny", &request, "use the extract").unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        let text = reply.text();
        // psql does not say how a COPY failed but in its messages.
        assert!(copies || reply.sqlstate == "42501", "{sql}: {text}");
        assert!(text.contains("ERROR:  stepgate: denied by olga"), "{text}");
        assert!(
            text.contains("use the extract") && text.contains("1,000 rows were delivered before"),
            "{text}"
        );
        // A COPY shows what has come; nothing more than that.
        let shown = text.lines().filter(|line| line.contains("@example.test")).count();
        assert_eq!(shown, if copies { 1_000 } else { 0 }, "{sql}");
        let next = psql.run("select count(*) from products;").unwrap();
        assert!(next.is_ok() && next.text().contains("200"), "{}", next.text());
    }
    let ends = events(&world, "limit.enforced");
    assert!(ends.len() == 2 && ends.iter().all(|it| it["sqlstate"] == "42501" && it["rows"] == 1_000));
    let completed = events(&world, "statement.completed");
    let denied: Vec<_> = completed.iter().filter(|it| it["sqlstate"] == "42501").collect();
    assert!(denied.len() == 2 && denied.iter().all(|it| it["rows"] == 1_000), "{denied:?}");
}

/// Waits until the server has nothing left to do for anybody.
fn server_is_done(world: &World) {
    let active =
        "select count(*) from pg_stat_activity where usename = 'stepgate_analyst' and state = 'active'";
    until("the server to be done", SOON, || world.cluster.psql("shop", active).unwrap() == "0").unwrap();
}

#[test]
fn a_small_result_that_the_server_has_completed_already_is_not_shown_as_complete() {
    let world = World::with_policy(brake("{rows: 3}", "data-owners"));
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = bare(&world, &dana);
    for (begin, end) in [("select 1;", "select 1;"), ("begin;", "rollback;")] {
        assert!(psql.run(begin).unwrap().is_ok());
        psql.send("select email from customers where id < 6;").unwrap();
        let request = held(&mut psql);
        // It waits in the gate; the server is idle, or idle in its transaction.
        server_is_done(&world);
        olga.answer(&world.gate, "deny", &request, "no").unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        assert_eq!(reply.sqlstate, "42501", "{}", reply.text());
        assert!(!reply.text().contains("@example.test"));
        let next = psql.run("select 2;").unwrap();
        assert_eq!(next.sqlstate, if begin == "begin;" { "25P02" } else { "00000" }, "{}", next.text());
        assert!(psql.run(end).unwrap().is_ok());
    }
}

#[test]
fn writes_that_return_rows_are_undone_when_they_are_ended_in_their_transaction() {
    let world = World::with_policy(brake("{rows: 3}", "data-owners"));
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = bare(&world, &dana);
    assert!(psql.run("begin;").unwrap().is_ok());
    psql.send("update customers set city = 'Elsewhere' where id < 6 returning email;").unwrap();
    let request = held(&mut psql);
    server_is_done(&world);
    olga.answer(&world.gate, "deny", &request, "no").unwrap().ok().unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "42501");
    assert_eq!(psql.run("select 1;").unwrap().sqlstate, "25P02");
    assert!(psql.run("commit;").unwrap().is_ok());
    assert_eq!(direct(&world, "select count(*) from customers where city = 'Elsewhere'"), ["0"]);
}

#[test]
fn ctrl_c_during_a_hold_midway_cancels_the_statement_and_its_request() {
    let world = World::with_policy(brake("{rows: 1000}", "self"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send(MANY_CONTACTS).unwrap();
    let request = held(&mut psql);
    psql.interrupt().unwrap();
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("ERROR:  stepgate: cancelled while held"), "{lines}");
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 1);
    assert!(world.recorded("cancelled", &request));
}

/// While a row waits, the server is not read: that it has gone is told by the kernel, and to the client at once.
#[test]
fn a_server_that_ends_during_a_hold_midway_is_not_waited_for() {
    let world = World::with_policy(brake("{rows: 1000}", "self"));
    let mut dana = world.dana();
    for begin in ["select 1;", "begin;"] {
        let mut psql = bare(&world, &dana);
        assert!(psql.run(begin).unwrap().is_ok());
        psql.send(MANY_CONTACTS).unwrap();
        let request = held(&mut psql);
        let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity \
                   where usename = 'stepgate_analyst' and backend_type = 'client backend' \
                   and application_name <> 'stepgate catalog'";
        world.cluster.psql("shop", end).unwrap();
        let began = Instant::now();
        let lines = psql.ended(SOON).unwrap().join("\n");
        assert!(lines.contains("FATAL:  stepgate: the database server closed the connection"), "{lines}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        until("the request to end", SOON, || world.recorded("withdrawn", &request)).unwrap();
        assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 1);
    }
}

#[test]
fn a_client_that_leaves_in_the_middle_leaves_nothing_behind() {
    let world = World::with_policy(brake("{rows: 1000}", "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    // Far more than any buffer holds: the server is in the middle of it.
    psql.send("select email, repeat('x', 1000) from customers, generate_series(1, 100);").unwrap();
    let request = held(&mut psql);
    drop(psql);
    stepgate_testkit::until("the request to end", SOON, || world.recorded("withdrawn", &request)).unwrap();
    let busy =
        "select count(*) from pg_stat_activity where usename = 'stepgate_analyst' and query like '%repeat%'";
    stepgate_testkit::until("the server's process to end", SOON, || direct(&world, busy) == ["0"]).unwrap();
}

#[test]
fn a_hold_midway_that_nobody_answers_ends_after_as_long_as_a_snapshot_may_be_kept() {
    let world =
        World::with_policy(|policy| brake("{rows: 1000}", "self")(policy.replace("hold: 5m", "hold: 2s")));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let reply = psql.run(MANY_CONTACTS).unwrap();
    assert_eq!(reply.sqlstate, "57014", "{}", reply.text());
    assert!(
        reply.took >= Duration::from_secs(2) && reply.text().contains("nobody answered"),
        "{}",
        reply.text()
    );
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn cursors_draw_on_one_limit_however_little_each_fetch_takes() {
    let world = World::with_policy(brake("{rows: 100}", "self"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    assert!(psql.run("begin;").unwrap().is_ok());
    assert!(psql.run("declare c cursor for select email from customers order by id;").unwrap().is_ok());
    let mut got = Vec::new();
    for _ in 0..10 {
        let reply = psql.run("fetch 10 from c;").unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
        got.extend(rows(&reply.lines));
    }
    assert_eq!(got.len(), 100);
    psql.send("fetch 10 from c;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.text().contains("held after 100 rows"), "{}", reply.text());
    got.extend(rows(&reply.lines));
    assert_eq!(got, direct(&world, "select email from customers order by id limit 110"));
    // psql's own cursors are no way round.
    assert!(psql.run("commit;").unwrap().is_ok());
    psql.run("\\set FETCH_COUNT 30").unwrap();
    // The ninety rows that were approved and not fetched are out first.
    psql.send("select email from customers order by id;").unwrap();
    world.open_request(&dana);
    let reached = events(&world, "limit.reached");
    assert_eq!(reached.last().unwrap()["rows"], 190);
}

#[test]
fn a_row_larger_than_the_limit_is_asked_about_before_a_byte_of_it_goes_out() {
    let world = World::with_policy(brake("{bytes: 64KiB}", "self"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    let big =
        "select length(x) from (select repeat(email, 100000) x from customers where id = 1 offset 0) s;";
    assert!(psql.run(big).unwrap().is_ok(), "what is short passes, however long it was within");
    psql.send("select repeat(email, 100000) from customers where id = 1;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    let said = &reply.lines[..2.min(reply.lines.len())].join("\n");
    assert!(
        said.contains("held after 0 rows") && said.contains("Nothing is out yet; the next row has"),
        "{said}"
    );
    assert!(reply.is_ok());
    assert_eq!(
        rows(&reply.lines),
        direct(&world, "select repeat(email, 100000) from customers where id = 1")
    );
    let reached = events(&world, "limit.reached");
    assert_eq!((&reached[0]["rows"], &reached[0]["bytes"]), (&0.into(), &0.into()), "{reached:?}");
}
