//! What a running gate shows of itself, and certificates that are renewed while it runs.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::float_cmp,
    reason = "a test fails by panicking"
)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use stepgate_testkit::{Gate, until};
use support::{SOON, World, held};

/// The gate's sample with figures at this address.
fn observed() -> (World, SocketAddr) {
    let address = stepgate_testkit::free_address().unwrap();
    (World::configured(&format!("metrics: {{listen: {address}}}")), address)
}

/// Status and body of a GET.
fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A figure, as the number after its name and labels.
fn figure(address: SocketAddr, name: &str) -> f64 {
    let (status, text) = get(address, "/metrics");
    assert_eq!(status, 200);
    let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
    line.unwrap_or_else(|| panic!("{name} is not in:\n{text}")).rsplit(' ').next().unwrap().parse().unwrap()
}

/// Whoever reads the figures, the gate's log, or a replay is told that somebody is asked too often; nothing is refused.
#[test]
fn who_is_asked_more_often_than_the_budget_has_it_is_told_of_everywhere() {
    let address = stepgate_testkit::free_address().unwrap();
    let mut world =
        World::not_serving(|policy| format!("{policy}\nbudget: {{prompts_per_person_per_day: 2}}\n"));
    world.configure(&format!("metrics: {{listen: {address}}}"));
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    let asked = |psql: &mut stepgate_testkit::Psql| {
        support::waits(&world, psql, &dana, "select ssn from customers where id = 1;");
    };
    let over = || figure(address, "stepgate_people_over_budget");
    let warnings = || world.gate.log().matches("asked more often today than the policy's budget").count();
    let replay =
        |more: &[&str]| world.gate.run([&["policy", "replay", "--since", "1d"], more].concat(), "").unwrap();
    asked(&mut psql);
    asked(&mut psql);
    assert_eq!((over(), warnings()), (0.0, 0));
    assert_eq!(figure(address, "stepgate_prompt_budget"), 2.0);
    assert_eq!(replay(&["--check-budget"]).status, 0);
    asked(&mut psql);
    assert_eq!((over(), warnings()), (1.0, 1));
    // Once a person and day, and each time it is only a warning.
    asked(&mut psql);
    assert_eq!((over(), warnings()), (1.0, 1));
    let warned = replay(&[]);
    let said = "warning: over budget (2 requests a person and day) on 1 of 1 days of people; the most were 4 (dana, ";
    assert!(warned.status == 0 && warned.text().contains(said), "{}", warned.text());
    let failed = replay(&["--check-budget"]);
    assert!(failed.status == 1 && failed.text().contains("over budget"), "{}", failed.text());
    // A policy under which she would be asked less is within it.
    let policy = std::fs::read_to_string(world.gate.directory().join("policies/policy.yaml")).unwrap();
    let free = world.gate.directory().join("free.yaml");
    std::fs::write(&free, policy.replace("prompts_per_person_per_day: 2", "prompts_per_person_per_day: 4"))
        .unwrap();
    assert_eq!(replay(&["--check-budget", "--policy", free.to_str().unwrap()]).status, 0);
    // A restart counts on from the log.
    drop(psql);
    world.gate.kill();
    world.gate.serve().unwrap();
    assert_eq!(figure(address, "stepgate_people_over_budget"), 1.0);
    dana.login(&world.gate).unwrap();
}

#[test]
fn figures_tell_what_happened_and_nothing_of_anybody() {
    let (world, address) = observed();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("select count(*) from customers;").unwrap().is_ok());
    psql.send("select ssn from customers where ssn = '901-00-0007';").unwrap();
    let request = held(&mut psql);
    assert_eq!(figure(address, "stepgate_holds_open"), 1.0);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
    assert!(psql.run("do $$ begin end $$;").unwrap().sqlstate == "42501");
    for (name, least) in [
        ("stepgate_sessions", 1.0),
        ("stepgate_statements_total{verdict=\"forward\",action=\"allow\"}", 1.0),
        ("stepgate_statements_total{verdict=\"forward\",action=\"step-up\"}", 1.0),
        ("stepgate_statements_total{verdict=\"hold\",action=\"step-up\"}", 1.0),
        ("stepgate_statements_total{verdict=\"deny\",action=\"deny\"}", 1.0),
        ("stepgate_rule_matches_total{rule=\"restricted-read\"}", 2.0),
        ("stepgate_hold_seconds_count", 1.0),
        ("stepgate_analysis_seconds_count", 3.0),
        ("stepgate_decision_seconds_count", 4.0),
        ("stepgate_log_append_seconds_count", 2.0),
        ("stepgate_rows_total", 1.0),
        // A row of a number with three digits, and one of eleven letters.
        ("stepgate_result_bytes_total", 14.0),
        ("stepgate_log_ok", 1.0),
        ("stepgate_sessions_limit", 2000.0),
    ] {
        let told = figure(address, name);
        assert!(told >= least, "{name} {told}");
    }
    assert_eq!(figure(address, "stepgate_holds_open"), 0.0);
    // Records of completions wait a moment for company.
    let mut queued = || {
        assert!(psql.run("select 1;").unwrap().is_ok());
        figure(address, "stepgate_log_queue") >= 1.0
    };
    until("a queue of the log", SOON, &mut queued).unwrap();
    until("an empty queue of the log", SOON, || figure(address, "stepgate_log_queue") == 0.0).unwrap();
    assert!(figure(address, "stepgate_catalog_age_seconds{database=\"shop\"}") < 10.0);
    assert_eq!(figure(address, "stepgate_upstream_failures_total{database=\"shop\"}"), 0.0);
    let (_, text) = get(address, "/metrics");
    for secret in ["dana", "901-00", "customers", "127.0.0.1", &request] {
        assert!(!text.contains(secret), "{secret} is in:\n{text}");
    }
    let formed =
        |line: &str| line.starts_with('#') || line.rsplit(' ').next().unwrap().parse::<f64>().is_ok();
    assert!(text.lines().all(formed), "{text}");
    // Whoever fails to log in leaves nothing of what they typed.
    let mut wrong = world.gate.psql_command(&dana);
    wrong.env("PGPASSWORD", "hunter2").env("PGUSER", "mallory");
    assert!(!wrong.args(["-X", "-c", "select 1"]).output().unwrap().status.success());
    assert_eq!(figure(address, "stepgate_logins_failed_total"), 1.0);
}

/// The log tells of each; the figures, that there are more than before.
#[test]
fn figures_tell_why_statements_come_to_nothing_and_what_was_not_understood() {
    let (world, address) = observed();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let refused = |why: &str| figure(address, &format!("stepgate_refusals_total{{refusal=\"{why}\"}}"));
    assert_eq!((refused("client-encoding"), refused("stopping")), (0.0, 0.0));
    assert_eq!(psql.run("set client_encoding to 'SJIS';").unwrap().sqlstate, "0A000");
    assert_eq!((refused("client-encoding"), refused("stopping")), (1.0, 0.0));
    // Denied, since it makes up SQL that nobody has read.
    assert_eq!(psql.run("do $$ begin end $$;").unwrap().sqlstate, "42501");
    let doubted = |why: &str| figure(address, &format!("stepgate_not_understood_total{{reason=\"{why}\"}}"));
    assert_eq!((doubted("setting"), doubted("dynamic-sql")), (1.0, 1.0));
    let failed = |class: &str| figure(address, &format!("stepgate_server_errors_total{{class=\"{class}\"}}"));
    assert_eq!(psql.run("select 1/0;").unwrap().sqlstate, "22012");
    until("the failure", SOON, || failed("22") == 1.0).unwrap();
    // What the server cannot parse did not run, and counts all the same.
    assert_eq!(psql.run("selec 1;").unwrap().sqlstate, "42601");
    until("the syntax error", SOON, || failed("42") == 1.0).unwrap();
}

#[test]
fn health_and_readiness_are_told_apart_and_figures_are_not_shown_where_everybody_may_come() {
    let (world, address) = observed();
    assert_eq!(get(address, "/healthz").0, 200);
    until("the first look at the database", SOON, || get(address, "/readyz").0 == 200).unwrap();
    assert_eq!(get(address, "/readyz").1, "{\"status\":\"ready\"}");
    assert_eq!(get(address, "/api/v1/requests").0, 404);
    let dana = world.dana();
    let World { mut gate, cluster, tree } = world;
    let mut psql = gate.psql(&dana).unwrap();
    psql.send("begin;").unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    gate.serving().unwrap().signal("TERM").unwrap();
    until("the gate to say that it stops", SOON, || get(address, "/readyz").1.contains("stopping")).unwrap();
    assert_eq!(get(address, "/healthz").0, 200);
    drop(psql);
    assert_eq!(gate.serving().unwrap().exit_status(SOON), Some(0));
    cluster.stop();
    gate.serve().unwrap();
    assert_eq!(get(address, "/readyz"), (503, "{\"status\":\"database\"}".to_owned()));
    assert!(figure(address, "stepgate_upstream_failures_total{database=\"shop\"}") >= 1.0);
    drop(tree);
}

/// The lines of the gate's log in JSON.
fn lines(world: &World) -> Vec<serde_json::Value> {
    world.gate.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn every_line_about_a_session_says_whose_it_is() {
    let mut world = World::not_serving(|text| text);
    world.gate.serve_through("STEPGATE_LOG=debug exec \"$@\" --log json").unwrap();
    world.cluster.psql("shop", "grant create on schema public to stepgate_analyst").unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("select 1;").unwrap().is_ok());
    let opened = world.records().into_iter().find(|record| record["type"] == "session.opened").unwrap();
    let session = opened["session"].as_str().unwrap();
    // The catalog is read beside the session, for the session: it cannot be, and the line says for whom.
    let no_catalog = "alter role stepgate_analyst connection limit 0; \
                      select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stepgate catalog'";
    world.cluster.psql("shop", no_catalog).unwrap();
    psql.run("begin;").unwrap();
    psql.run("create table made (id int);").unwrap();
    psql.run("commit;").unwrap();
    psql.run("select count(*) from products;").unwrap();
    let waiting =
        "select pid from pg_stat_activity where application_name = 'psql' and usename = 'stepgate_analyst'";
    let pid = world.cluster.psql("shop", waiting).unwrap();
    world.cluster.psql("postgres", &format!("select pg_terminate_backend({pid})")).unwrap();
    assert!(psql.run("select 1;").is_err());
    let ended = |line: &serde_json::Value| line["fields"]["message"] == "session ended";
    until("a line of the session's end", SOON, || lines(&world).iter().any(ended)).unwrap();
    let of_sessions = |line: &&serde_json::Value| {
        let target = line["target"].as_str().unwrap();
        let within =
            ["stepgate_proxy::drive", "stepgate_proxy::judge"].iter().any(|it| target.starts_with(it));
        within || ended(line) || line.to_string().contains(session)
    };
    let lines = lines(&world);
    let told: Vec<_> = lines.iter().filter(of_sessions).collect();
    for line in &told {
        let span = &line["span"];
        let whose = (&span["name"], &span["id"], &span["person"], &span["database"]);
        assert_eq!(whose, (&"session".into(), &session.into(), &"dana".into(), &"shop".into()), "{line}");
    }
    let unread = |line: &&&serde_json::Value| line["fields"]["message"] == "catalog cannot be read";
    assert!(told.iter().any(|line| unread(&line)), "{told:#?}");
}

#[test]
fn a_renewed_certificate_is_taken_up_without_ending_sessions_and_a_broken_one_is_not() {
    let mut world = World::new();
    let mut dana = world.dana();
    let mut before = world.psql(&dana);
    assert!(before.run("select 1;").unwrap().is_ok());
    let other = world.tree.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let renewed = Gate::init(Path::new(env!("CARGO_BIN_EXE_stepgate")), &other, &world.cluster).unwrap();
    std::fs::write(world.gate.directory().join("key.pem"), "not a key").unwrap();
    world.gate.serving().unwrap().signal("HUP").unwrap();
    until("the complaint", SOON, || world.gate.log().contains("THE OLD CONFIGURATION STAYS IN FORCE"))
        .unwrap();
    assert!(world.psql(&dana).run("select 1;").unwrap().is_ok());
    for file in ["cert.pem", "key.pem", "ca.pem"] {
        std::fs::copy(renewed.directory().join(file), world.gate.directory().join(file)).unwrap();
    }
    // Not taken up by itself: the old one is not signed by this CA.
    let connects = |world: &World| {
        world.gate.psql_command(&dana).args(["-X", "-c", "select 1"]).output().unwrap().status.success()
    };
    assert!(!connects(&world));
    world.gate.serving().unwrap().signal("HUP").unwrap();
    until("the new certificate", SOON, || connects(&world)).unwrap();
    assert!(before.run("select 1;").unwrap().is_ok());
    // The API shows it, too.
    dana.login(&world.gate).unwrap();
}
