//! Limits: a statement delivers so much, then people are asked whether it may go on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use stepgate_testkit::{Person, Psql, until};
use support::{SOON, World, connects_as, held, passes, repository};

/// 2,500 rows, always the same.
const MANY: &str = "select id, n, ssn from customers, generate_series(1, 5) n order by id, n;";
const MANY_CONTACTS: &str = "select id, n, email from customers, generate_series(1, 5) n order by id, n;";

/// Looking at restricted data, so many rows for an approval.
fn restricted(limit: &str) -> impl FnOnce(String) -> String {
    let rule = "    action: step-up\n    approval: self\n";
    let limited = format!("{rule}    limit: {limit}\n");
    move |policy| replaced(&policy, rule, &limited)
}

/// Contacts pass freely until so much is out; then `approval` is asked.
fn brake(limit: &str, approval: &str) -> impl FnOnce(String) -> String {
    let rule = "    match: {class: confidential}\n    action: monitor\n";
    let limited = format!("{rule}    limit: {limit}\n    approval: {approval}\n");
    move |policy| replaced(&policy, rule, &limited)
}

fn replaced(policy: &str, from: &str, to: &str) -> String {
    assert!(policy.contains(from), "the sample policy no longer has {from}");
    policy.replace(from, to)
}

fn verified(world: &World, psql: &mut Psql, dana: &mut Person) -> String {
    let request = held(psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    request
}

/// What psql shows of the same without the gate.
fn direct(world: &World, sql: &str) -> Vec<String> {
    let text = world.cluster.psql("shop", sql).unwrap();
    text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// Rows of a reply, in the form of [`direct`]: unaligned, tuples only.
fn rows(lines: &[String]) -> Vec<String> {
    let messages = ["NOTICE:", "DETAIL:", "HINT:", "ERROR:"];
    let is_row = |line: &&String| !line.is_empty() && !messages.iter().any(|it| line.starts_with(it));
    lines.iter().filter(is_row).cloned().collect()
}

fn events(world: &World, kind: &str) -> Vec<Value> {
    world.records().into_iter().filter(|record| record["type"] == kind).collect()
}

fn bare(world: &World, person: &Person) -> Psql {
    let mut psql = world.psql(person);
    psql.run("\\pset format unaligned").unwrap();
    psql.run("\\pset tuples_only on").unwrap();
    psql
}

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

#[test]
fn what_a_grant_lets_out_is_counted_over_statements_and_over_a_kill_of_the_gate() {
    let mut world = World::with_policy(restricted("{rows: 1000}"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    // Pages of a hundred rows, as whoever avoids a large result would take them.
    let page =
        |offset: usize| format!("select ssn from customers order by id limit 100 offset {};", offset % 400);
    psql.send(&page(0)).unwrap();
    verified(&world, &mut psql, &mut dana);
    assert_eq!(rows(&psql.finish(SOON).unwrap().lines).len(), 100);
    for number in 1..5 {
        let reply = psql.run(&page(number * 100)).unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{number}: {}", reply.text());
    }
    let left = |world: &World| {
        let list = world.gate.run(["grant", "ls", "--as", "dana", "-o", "json"], "").unwrap().ok().unwrap();
        let grants: Value = serde_json::from_str(&list).unwrap();
        grants[0]["rows_left"].as_u64().unwrap()
    };
    stepgate_testkit::until("what was set aside to go back", SOON, || {
        // A statement of the same session closes what the one before has left.
        psql.run("select 1;").unwrap();
        left(&world) == 500
    })
    .unwrap();
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    assert!(left(&world) <= 500, "{}", left(&world));
    let mut psql = bare(&world, &dana);
    let mut free = 0;
    loop {
        psql.send(&page(0)).unwrap();
        match psql.line("a row or the gate's NOTICE", SOON, |line| Some(line.starts_with("NOTICE"))).unwrap()
        {
            false => assert!(psql.finish(SOON).unwrap().is_ok()),
            true => break,
        }
        free += 100;
    }
    assert!(free <= 500, "{free} rows more without anybody having been asked");
    assert!(free >= 200, "{free}: a kill loses at most what was set aside");
}

#[test]
fn in_monitor_mode_what_would_have_waited_is_recorded_and_waits_for_nobody() {
    let world = World::with_policy(|policy| {
        restricted("{rows: 1000}")(replaced(&policy, "mode: enforce", "mode: monitor"))
    });
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let reply = psql.run(MANY).unwrap();
    assert!(reply.is_ok() && rows(&reply.lines) == direct(&world, MANY), "{}", reply.text().len());
    let reached = events(&world, "limit.reached");
    assert!(reached.len() == 1 && reached[0]["verdict"] == "monitor", "{reached:?}");
}

#[test]
fn a_service_is_not_asked_and_its_statement_ends_at_the_limit() {
    let world = World::with_policy(brake("{rows: 1000}", "self"));
    let add = ["user", "add", "etl", "--groups", "services", "--service"];
    world.gate.run(add, "etl-password-of-a-throwaway-gate\n").unwrap().ok().unwrap();
    let conninfo = world.gate.conninfo("etl", "shop");
    let psql = world.cluster.binaries().path("psql");
    let mut command = std::process::Command::new(psql);
    command.env("PGPASSWORD", "etl-password-of-a-throwaway-gate").arg(conninfo);
    let mut psql = Psql::start(command).unwrap();
    let reply = psql.run(MANY_CONTACTS).unwrap();
    assert_eq!(reply.sqlstate, "42501", "{}", reply.text());
    assert!(reply.text().contains("limit of 1,000 rows is reached"), "{}", reply.text());
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn what_runs_by_a_grant_is_as_limited_as_that_even_where_its_own_rule_has_no_limit() {
    let world = World::with_policy(|policy| {
        let rule = "  - {name: numbers, match: {labels: [ssn]}, action: step-up, approval: self, limit: {rows: 100}}";
        replaced(&policy, "\nrules:\n", &format!("\nrules:\n{rule}\n"))
    });
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send("select ssn from customers limit 10;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    // Not limited by itself; it is the grant that lets it out, and that has ninety rows left.
    psql.send("select birth_date from customers order by id;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("held after 90 rows"), "{}", reply.text());
    assert_eq!(rows(&reply.lines).len(), 500);
}

#[test]
fn what_is_harmless_can_be_limited_too_and_waits_for_its_record_as_ever() {
    let world = World::with_policy(|policy| {
        let rule = "  - {name: list, match: {tables: [public.products]}, action: allow, limit: {rows: 150}}";
        replaced(&policy, "\nrules:\n", &format!("\nrules:\n{rule}\n"))
    });
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    for _ in 0..2 {
        let few = psql.run("select id from products limit 150;").unwrap();
        assert!(few.is_ok() && rows(&few.lines).len() == 150 && !few.text().contains("stepgate:"));
    }
    psql.send("select id from products order by id;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert_eq!(
        rows(&psql.finish(SOON).unwrap().lines),
        direct(&world, "select id from products order by id")
    );
    // All statements of a message draw on one limit; what another message takes is its own.
    psql.send("select id from products limit 100\\; select id from products limit 100;").unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(
        reply.is_ok() && !reply.text().contains("stepgate:"),
        "by the rest of the grant: {}",
        reply.text()
    );
    let reached = events(&world, "limit.reached");
    assert_eq!(reached.len(), 1, "{reached:?}");
    assert_eq!(events(&world, "limit.extended").len(), 2);
}

#[test]
fn a_stopping_gate_and_its_operator_end_what_waits_midway_with_an_error() {
    let mut world = World::with_policy(brake("{rows: 1000}", "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send(MANY_CONTACTS).unwrap();
    let request = held(&mut psql);
    let list = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let sessions: Value = serde_json::from_str(&list).unwrap();
    let session = sessions.as_array().unwrap().iter().find(|it| it["person"] == "dana").unwrap();
    world.gate.run(["session", "kill", session["session"].as_str().unwrap()], "").unwrap().ok().unwrap();
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("ended by the gate's operator") && !lines.contains("@example.test"), "{lines}");
    stepgate_testkit::until("the request to end", SOON, || world.recorded("withdrawn", &request)).unwrap();
    let mut psql = bare(&world, &dana);
    psql.send(MANY_CONTACTS).unwrap();
    held(&mut psql);
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(lines.contains("the gate is stopping") && !lines.contains("@example.test"), "{lines}");
}

/// Runs a client's script at a limit of 1,000 rows, above which an owner of the data answers so; it ends with `ok`.
fn play(mut command: Command, answers: &[&str]) {
    let world = World::with_policy(brake("{rows: 1000}", "data-owners"));
    let dana = world.dana();
    // Codes run ahead of the clock only so far: owners take turns.
    let mut owners = std::collections::VecDeque::from([
        world.olga(),
        world.person("omar", "data-owners"),
        world.person("amir", "data-owners"),
    ]);
    let mut child = connects_as(&mut command, &world, &dana).spawn().unwrap();
    for answer in answers {
        let over = || child.try_wait().unwrap().is_some();
        let Some(request) = request_unless(&world, &dana, over) else { break };
        owners.rotate_left(1);
        let owner = owners.front_mut().unwrap();
        owner.answer(&world.gate, answer, &request, "ticket 4711").unwrap().ok().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.lines().any(|line| line == "ok"), "{text}");
}

/// The open request, unless that is in vain.
fn request_unless(world: &World, person: &Person, mut over: impl FnMut() -> bool) -> Option<String> {
    stepgate_testkit::until_some("an open request, or the client's end", SOON, || {
        let list = world.gate.run(["request", "ls", "--as", person.name(), "-o", "json"], "").unwrap();
        let open: Value = serde_json::from_str(&list.ok().unwrap()).unwrap();
        let open = open.as_array().unwrap().iter().find(|it| it["state"] == "open");
        let id = open.map(|it| it["request"].as_str().unwrap().to_owned());
        id.map(Some).or_else(|| over().then_some(None))
    })
    .unwrap()
}

fn fetched(path: &str) -> Option<PathBuf> {
    let found = Some(repository().join(".work").join(path)).filter(|path| path.exists());
    if found.is_none() {
        eprintln!("SKIP: no {path} here (tests/tools/clients.sh)");
    }
    found
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/clients").join(name)
}

#[test]
fn psycopg_gets_exactly_as_many_rows_as_may_go_and_the_rest_after_an_approval() {
    let mut command = Command::new("python3");
    if let Some(path) = fetched("psycopg") {
        command.env("PYTHONPATH", path);
    }
    command.arg(script("limits_client.py"));
    play(command, &["approve", "approve", "approve", "deny", "deny"]);
}

#[test]
fn asyncpg_with_a_cursor_and_a_timeout_of_its_own() {
    let Some(path) = fetched("asyncpg") else { return };
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", path).arg(script("limits_asyncpg.py"));
    play(command, &["approve", "deny"]);
}

#[test]
fn pgjdbc_with_a_small_fetch_size() {
    let Some(jar) = fetched("jdbc/postgresql.jar") else { return };
    let mut command = Command::new("java");
    command.arg("-cp").arg(jar).arg(script("LimitsClient.java"));
    play(command, &["approve", "deny"]);
}

/// A grant that limits nothing, or much: what runs by it stops at its next row, not at the end of anything.
#[test]
fn what_runs_by_a_grant_stops_in_the_middle_when_that_is_revoked() {
    for limited in [false, true] {
        let world = if limited {
            World::with_policy(restricted("{rows: 10000000, bytes: 100GiB}"))
        } else {
            World::new()
        };
        let mut dana = world.dana();
        let mut psql = bare(&world, &dana);
        psql.send("select count(ssn) from customers;").unwrap();
        verified(&world, &mut psql, &mut dana);
        assert!(psql.finish(SOON).unwrap().is_ok());
        // Far more than any buffer holds, and nobody reads it: the server is in the middle of it.
        psql.send("select ssn, repeat('x', 1000) from customers, generate_series(1, 1000);").unwrap();
        // Not before psql has sent it.
        let runs = "select count(*) from pg_stat_activity where query like 'select ssn, repeat%'";
        until("the statement to run", SOON, || direct(&world, runs) == ["1"]).unwrap();
        psql.signal("STOP").unwrap();
        let stuck = "select count(*) from pg_stat_activity where wait_event = 'ClientWrite'";
        until("the server to wait", SOON, || direct(&world, stuck) == ["1"]).unwrap();
        let list = world.gate.run(["grant", "ls", "--as", "dana", "-o", "json"], "").unwrap().ok().unwrap();
        let grants: Value = serde_json::from_str(&list).unwrap();
        let grant = grants[0]["grant"].as_str().unwrap();
        world.gate.run(["grant", "revoke", grant, "--as", "dana"], "").unwrap().ok().unwrap();
        psql.signal("CONT").unwrap();
        let request = held(&mut psql);
        let reached = events(&world, "limit.reached");
        let rows = reached.last().unwrap()["rows"].as_u64().unwrap();
        assert!((1..400_000).contains(&rows), "{limited}: {rows} of 500,000 rows");
        world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        assert_eq!(reply.sqlstate, "57014", "{}", reply.text().len());
    }
}

/// A function that says what it is given shows a table without a row of it.
#[test]
fn notices_and_errors_count_like_rows() {
    let mut world = World::not_serving(restricted("{rows: 100, bytes: 64KiB}"));
    let leak = "create function leak(t text) returns int language plpgsql as \
                $$begin raise notice '%', t; return 1; end$$; \
                create function fail(t text) returns int language plpgsql as $$begin raise '%', t; end$$";
    world.cluster.psql("shop", leak).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    // What is not known to only read ends its session where it has committed by then.
    passes(&mut psql, "begin;");
    psql.send("select count(leak(ssn)) from customers;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let request = held(&mut psql);
    let said = |lines: &[String]| lines.iter().filter(|line| line.starts_with("NOTICE:  9")).count();
    assert_eq!(said(psql.shown()), 100, "{:?}", psql.shown());
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.sqlstate, "57014");
    assert_eq!(said(&reply.lines), 100);
    passes(&mut psql, "rollback;");
    psql.send("select fail(repeat(string_agg(ssn, ','), 20)) from customers;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "42501" && !reply.text().contains("901-00-"), "{}", reply.text());
    assert!(reply.text().contains("more than the statement's limit"), "{}", reply.text());
    // A short one is shown, and counted.
    psql.send("select fail(ssn) from customers where id = 1;").unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "P0001" && reply.text().contains("901-00-0001"), "{}", reply.text());
    let completed = events(&world, "statement.completed");
    let failed = completed.iter().rev().find(|it| it["sqlstate"] == "P0001").unwrap();
    assert!(failed["rows"] == 0 && failed["bytes"].as_u64().unwrap() > 50, "{failed}");
}

/// `pg_notify('ch', old.email)` in a trigger sends a table to whoever listens, and gives not one row back: no limit on rows
/// is anywhere near it.
#[test]
fn what_is_sent_as_notifications_is_asked_about_before_it_runs_where_rows_are_limited() {
    let mut world = World::not_serving(brake("{rows: 3}", "self"));
    let ddl = "create function tell() returns trigger language plpgsql as \
               $$ begin perform pg_notify('ch', old.email); return null; end $$; \
               create trigger tell after update on customers for each row execute function tell()";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    // Rows of the same class, which the limit can hold, are let through as ever.
    passes(&mut psql, "select email from customers where id < 3;");
    psql.send("update customers set city = 'x' where id < 100;").unwrap();
    held(&mut psql);
    psql.interrupt().unwrap();
    drop(psql);
    assert_eq!(world.cluster.psql("shop", "select count(*) from customers where city = 'x'").unwrap(), "0");
    let mut psql = world.psql(&dana);
    psql.send("update customers set city = 'x' where id < 4;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    assert_eq!(world.cluster.psql("shop", "select count(*) from customers where city = 'x'").unwrap(), "3");
}

/// A deferred trigger speaks at COMMIT, which is a statement without rows and without a limit.
#[test]
fn what_deferred_triggers_say_at_commit_counts_like_rows() {
    // Not as a copy, about which others would be asked.
    let copies = "kind: [insert, update, merge, ddl]";
    let policy = |policy: String| replaced(&restricted("{rows: 100}")(policy), copies, "kind: [insert]");
    let mut world = World::not_serving(policy);
    let ddl = "create function say() returns trigger language plpgsql as \
               $$ begin raise notice '%', old.ssn; return null; end $$; \
               create constraint trigger say after update on customers deferrable initially deferred \
               for each row execute function say()";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "begin;");
    psql.send("update customers set city = 'x';").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    let reply = psql.run("commit;").unwrap();
    let said = reply.lines.iter().filter(|line| line.starts_with("NOTICE:  9")).count();
    assert_eq!(said, 100, "{}", reply.text());
    assert!(reply.text().contains("further notices of this statement are not shown"), "{}", reply.text());
    passes(&mut psql, "select 1;");
}
