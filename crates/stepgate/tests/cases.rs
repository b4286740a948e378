//! `policy test` and `policy simulate`: the commands, the sample policies, and a gate that decides the same.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use support::{SOON, World, held, repository};

fn stepgate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_stepgate")).args(arguments).current_dir(repository()).output().unwrap()
}

fn text(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

const SAMPLE: [&str; 6] = [
    "--map",
    "policies/pii-map.yaml",
    "--policy",
    "policies/policy.yaml",
    "--schema",
    "crates/stepgate/demo/shop.sql",
];

/// Cases in a small world of their own: a schema, a map and a policy with risk.
struct Bench {
    directory: tempfile::TempDir,
}

const SCHEMA: &str = "create table people (id int primary key, email text, ssn text);
create table notes (id int primary key, note text);
insert into people select n, 'x', 'y' from generate_series(1, 500) n;
analyze;";
const MAP: &str = "version: 1
classes: {internal: 1, restricted: 2}
labels: {ssn: {class: restricted}}
databases: {crm: {public.people: {columns: {ssn: ssn}}}}
";
const POLICY: &str = "version: 1
approvals: {self: {self: true, strength: standard}}
risk:
  signals: {new_network: 30, new_client: 15, unusual_hour: 15, many_denials: 40}
  unusual_hour: {outside: \"07:00-20:00\", tz: Europe/Berlin}
rules:
  - {name: read, match: {class: restricted}, action: monitor}
  - {name: risky, match: {class: restricted, risk: \">=40\"}, action: step-up, approval: self}
";

impl Bench {
    fn new(cases: &str) -> Self {
        let bench = Self { directory: tempfile::tempdir().unwrap() };
        for (name, text) in
            [("schema.sql", SCHEMA), ("map.yaml", MAP), ("policy.yaml", POLICY), ("cases.yaml", cases)]
        {
            std::fs::write(bench.path(name), text).unwrap();
        }
        bench
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn run(&self, verb: &str, more: &[&str]) -> Output {
        let paths = ["map.yaml", "policy.yaml", "schema.sql"].map(|name| self.path(name));
        let [map, policy, schema] = paths.each_ref().map(|path| path.to_str().unwrap());
        let mut arguments = vec!["policy", verb, "--map", map, "--policy", policy];
        arguments.extend(more);
        arguments.extend(["--schema", schema]);
        stepgate(&arguments)
    }

    fn test(&self, more: &[&str]) -> Output {
        let cases = self.path("cases.yaml");
        let mut arguments = vec![cases.to_str().unwrap()];
        arguments.extend(more);
        self.run("test", &arguments)
    }
}

#[test]
fn the_sample_policies_decide_their_own_cases_as_expected() {
    let output = stepgate(&[&["policy", "test", "policies/cases.yaml"], &SAMPLE[..]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).starts_with("ok: 13 cases"), "{}", text(&output));
}

#[test]
fn the_sample_policy_with_risk_decides_its_own_cases_as_expected() {
    let output = stepgate(&[
        "policy",
        "test",
        "--map",
        "policies/pii-map.yaml",
        "--policy",
        "policies/policy-risk.yaml",
        "--schema",
        "crates/stepgate/demo/shop.sql",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).starts_with("ok: 9 cases"), "{}", text(&output));
}

#[test]
fn a_case_that_is_decided_otherwise_is_told_of_with_its_line_and_why() {
    let bench = Bench::new(
        "version: 1
tests:
  - {as: dana, sql: \"select note from notes\", expect: allow}
  - name: a <wrong> one
    as: dana
    sql: select ssn from people
    expect: deny
    rule: risky
",
    );
    let junit = bench.path("out.xml");
    let output = bench.test(&["--junit", junit.to_str().unwrap()]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in [
        "cases.yaml:4: a <wrong> one",
        "expected deny, decided monitor",
        "rule risky does not match",
        "read: class is restricted",
        "0 of 100: no signal",
        "FAILED: 1 of 2 cases",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let count = "import sys, xml.etree.ElementTree as tree
root = tree.parse(sys.argv[1]).getroot()
print(root.get('tests'), root.get('failures'), len(root.findall('.//testcase')), root.find('.//failure').get('message'))";
    let read = Command::new("python3").args(["-c", count]).arg(&junit).output().unwrap();
    assert_eq!(
        String::from_utf8(read.stdout).unwrap().trim(),
        "2 1 2 expected deny, decided monitor; rule risky does not match"
    );
    let output = bench.test(&["-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&rows[0]["ok"], &rows[1]["decided"]), (&true.into(), &"monitor".into()));
}

#[test]
fn a_history_makes_what_is_usual_and_so_what_is_not() {
    let usual = "history: [{ago: 40d, times: 40, every: 1d, sql: \"select ssn from people where id = 1\"}]";
    let bench = Bench::new(&format!(
        "version: 1
tests:
  - name: as ever
    as: dana
    sql: select ssn from people where id = 2
    {usual}
    expect: monitor
  - name: from elsewhere, by a client never seen
    as: dana
    from: 198.51.100.7
    client: exfiltrate
    sql: select ssn from people where id = 2
    history: [{{ago: 40d, times: 40, every: 1d, from: 127.0.0.1, client: psql, sql: \"select ssn from people where id = 1\"}}]
    expect: step-up
    rule: risky
  - name: of whom nothing is known, nothing is unusual
    as: dana
    from: 198.51.100.7
    sql: select ssn from people where id = 2
    expect: monitor
  - name: at night, after many denials
    as: dana
    at: 2026-03-05T03:00:00+01:00
    sql: select ssn from people where id = 2
    history: [{{ago: 40m, times: 20, every: 1m, event: denied}}]
    expect: step-up
  - name: at noon of that day, without them
    as: dana
    at: 2026-03-05T12:00:00+01:00
    sql: select ssn from people where id = 2
    expect: monitor
"
    ));
    let output = bench.test(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
}

/// What a gate makes of a decision besides its rules, and what a client says of itself, count in cases as they do there.
#[test]
fn what_a_gate_would_ask_about_or_deny_passes_no_case() {
    let bench = Bench::new(
        "version: 1
tests:
  - {name: a copy that no limit holds back, as: dana, sql: create table mine as select ssn from people, expect: step-up}
  - {name: a purpose by its beginning, as: dana, purpose: ticket-7, sql: select note from notes, expect: deny}
  - {name: the same in a comment, as: dana, sql: \"/* purpose: ticket-8 */ select note from notes\", expect: deny}
",
    );
    let policy = "version: 1
approvals: {self: {self: true, strength: standard}}
rules:
  - {name: brake, match: {class: restricted}, action: monitor, approval: self, limit: {rows: 30}}
  - {name: tickets, match: {purpose: [\"ticket-*\"]}, action: deny}
";
    std::fs::write(bench.path("policy.yaml"), policy).unwrap();
    let output = bench.test(&[]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let roles = policy.replace("purpose: [\"ticket-*\"]", "db_user: [shop]");
    std::fs::write(bench.path("policy.yaml"), roles).unwrap();
    let output = bench.test(&[]);
    assert_eq!(output.status.code(), Some(2), "{}", text(&output));
    assert!(text(&output).contains("db_user"), "{}", text(&output));
}

#[test]
fn a_file_of_cases_that_is_wrong_is_refused_with_its_place() {
    let bench = Bench::new("version: 1\ntests:\n  - {as: dana, sql: select 1, expects: allow}\n");
    let output = bench.test(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output).contains("cases.yaml:3:"), "{}", text(&output));
    assert!(text(&output).contains("expect"), "{}", text(&output));
    let bench = Bench::new("version: 1\ntests: []\n");
    assert_eq!(bench.test(&[]).status.code(), Some(2), "no cases are no proof");
}

#[test]
fn what_is_simulated_is_explained_and_never_run() {
    let bench = Bench::new("version: 1\ntests: []\n");
    std::fs::write(
        bench.path("report.sql"),
        "select note from notes;\n\nset search_path = public;\nselect ssn from people;\n",
    )
    .unwrap();
    let report = bench.path("report.sql");
    let arguments = ["--as", "dana", "--signals", "new_network,unusual_hour", "-f", report.to_str().unwrap()];
    let output = bench.run("simulate", &arguments);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for part in [
        "line 1: select note from notes;\n  decision  allow",
        "person    sees the result, and nothing else",
        "line 4: select ssn from people;\n  decision  step-up",
        "risk      45 of 100: new_network +30 (as told), unusual_hour +15 (as told)",
        "person    NOTICE:  stepgate: held, verification required (",
        "approver  the person themselves, by a standard factor or a stronger one",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
    let json = bench.run("simulate", &[&arguments[..], &["-o", "json"]].concat());
    let lines: Vec<Value> = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(lines.len(), 3);
    assert_eq!((&lines[2]["risk"], &lines[2]["decision"]), (&45.into(), &"step-up".into()));
    let at = |time: &str| {
        let output =
            bench.run("simulate", &["--as", "dana", "--at", time, "-o", "json", "select ssn from people"]);
        serde_json::from_slice::<Value>(&output.stdout).unwrap()[0]["risk"].clone()
    };
    assert_eq!(at("2026-03-05T03:00:00+01:00"), 15);
    assert_eq!(at("2026-03-05T12:00:00+01:00"), 0);
}

/// The promise of the command: the gate does what it says.
#[test]
fn what_is_simulated_is_what_the_person_then_sees() {
    let world = World::new();
    let dana = world.dana();
    let simulate = |sql: &str| {
        let arguments = ["policy", "simulate", "--as", "dana", "--groups", "analysts", "-o", "json", sql];
        let said = world.gate.run(arguments, "").unwrap().ok().unwrap();
        serde_json::from_str::<Value>(&said).unwrap()[0].clone()
    };
    let mut psql = world.psql(&dana);
    let sql = "select ssn from customers where id = 1;";
    let foretold = simulate(sql);
    assert_eq!(foretold["decision"], "step-up");
    psql.send(sql).unwrap();
    let request = held(&mut psql);
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let shown = psql.finish(SOON).unwrap().text();
    assert!(shown.contains(foretold["person_sees"]["detail"].as_str().unwrap()), "{shown}");
    let sql = "do $$ begin end $$;";
    let foretold = simulate(sql);
    assert_eq!(
        (&foretold["decision"], &foretold["person_sees"]["sqlstate"]),
        (&"deny".into(), &"42501".into())
    );
    let told = psql.run(sql).unwrap();
    assert_eq!(told.sqlstate, "42501");
    for part in ["message", "detail", "hint"] {
        let part = foretold["person_sees"][part].as_str().unwrap();
        assert!(told.text().contains(part), "{part} is not in {}", told.text());
    }
    let before =
        world.gate.run(["audit", "search", "--type", "statement.decided", "-o", "json"], "").unwrap();
    simulate("drop table customers");
    let after = world.gate.run(["audit", "search", "--type", "statement.decided", "-o", "json"], "").unwrap();
    assert_eq!(before.text(), after.text(), "a simulation is no statement");
    assert!(psql.run("select count(*) from orders;").unwrap().is_ok());
}

/// Limits within a statement, with what is asked then, and reasons of every sort.
const LIMITED: &str = "version: 1
defaults: {action: allow, hold: 2m, in_transaction: hold, on_client_gone: withdraw}
approvals:
  self: {self: true, strength: standard, expires: 90s, remember: {for: 15m, scope: [person, client]}}
  owners: {groups: [data-owners], count: 2, reason: required, expires: 8h, escalate: {after: 30m, to: [security]}}
rules:
  - {name: contacts, match: {columns: [public.people.email]}, action: monitor, approval: self, limit: {rows: 100}}
  - {name: read, match: {class: restricted}, action: step-up, approval: self, limit: {rows: 200, per: 1h}}
  - {name: enough, match: {tables: [public.notes], delivered_rows: \">50\"}, action: deny}
  - {name: much, match: {labels: [ssn], delivered_rows: \">100\"}, action: approve, approval: owners}
  - {name: many, match: {estimate_rows: \">=400\", not: {client: [dump]}}, action: monitor}
  - {name: one, match: {predicate: {column: public.people.id, op: \">\", value: 300}}, action: monitor}
";

/// `STEPGATE_WRITE_SIMULATED=1` writes what is said now; then read it.
#[test]
fn what_is_said_of_limits_and_reasons_is_what_was_read_and_found_good() {
    let bench = Bench::new("version: 1\ntests: []\n");
    std::fs::write(bench.path("policy.yaml"), LIMITED).unwrap();
    let map = MAP.replace("{ssn: ssn}}}}", "{ssn: ssn, email: email}}, public.notes: {}}}");
    std::fs::write(bench.path("map.yaml"), map.replace("labels: {", "labels: {email: {class: internal}, "))
        .unwrap();
    let report = bench.path("report.sql");
    let sql = "select email from people where id > 400;\nselect ssn from people;\nselect note from notes;\nselect 1;\n";
    std::fs::write(&report, sql).unwrap();
    let arguments = ["--as", "dana", "-f", report.to_str().unwrap()];
    for (name, more) in [("simulated.txt", &[][..]), ("simulated.json", &["-o", "json"])] {
        let output = bench.run("simulate", &[&arguments[..], more].concat());
        let said = text(&output);
        assert_eq!(output.status.code(), Some(0), "{said}");
        let known = repository().join("crates/stepgate/tests/fixtures").join(name);
        if std::env::var_os("STEPGATE_WRITE_SIMULATED").is_some() {
            std::fs::write(&known, &said).unwrap();
        }
        assert_eq!(said, std::fs::read_to_string(&known).unwrap_or_default(), "{name}:\n{said}");
    }
}

/// What is foretold of a limit is what psql shows there.
#[test]
fn what_is_simulated_of_a_limit_is_what_the_person_sees_once_it_is_reached() {
    let world = World::with_policy(|_| {
        "version: 1\nmode: enforce\n\
         defaults: {action: allow, hold: 2m, in_transaction: hold, on_client_gone: withdraw}\n\
         approvals:\n  self: {self: true, strength: standard}\nrules:\n  \
         - {name: brake, match: {labels: [email]}, action: monitor, approval: self, limit: {rows: 100}}\n  \
         - {name: enough, match: {tables: [public.orders], delivered_rows: \">200\"}, action: deny}\n"
            .to_owned()
    });
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for (sql, asks) in [("select email from customers;", true), ("select status from orders;", false)] {
        let arguments = ["policy", "simulate", "--as", "dana", "--groups", "analysts", "-o", "json", sql];
        let said = world.gate.run(arguments, "").unwrap().ok().unwrap();
        let foretold = serde_json::from_str::<Value>(&said).unwrap()[0].clone();
        assert!(foretold["person_sees"].is_null(), "{foretold:#}");
        let seen = &foretold["at_limit"]["person_sees"];
        psql.send(sql).unwrap();
        if asks {
            let request = held(&mut psql);
            world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        }
        let shown = psql.finish(SOON).unwrap().text();
        let message = seen["message"].as_str().unwrap().split(" (").next().unwrap();
        assert!(shown.contains(message), "{message} is not in {shown}");
        assert!(shown.contains(seen["detail"].as_str().unwrap()), "{seen:#} {shown}");
    }
}

const SSN: &str = "select ssn from customers where id = 1";

/// What a session says that it wants data for is followed through a file as the gate follows it.
#[test]
fn a_purpose_in_a_file_is_what_it_is_in_psql() {
    let rule = "match: {class: restricted, not: {purpose: [support]}}, action: step-up, approval: self";
    let world = World::with_policy(|_| {
        format!(
            "version: 1\nmode: enforce\n\
             defaults: {{action: allow, hold: 2m, in_transaction: hold, on_client_gone: withdraw}}\n\
             approvals:\n  self: {{self: true, strength: standard}}\nrules:\n  - {{name: trigger, {rule}}}\n"
        )
    });
    let dana = world.dana();
    let tagged = format!("{SSN} /* purpose: support */");
    let script = [
        SSN,
        "set stepgate.purpose = 'support'",
        SSN,
        "reset stepgate.purpose",
        SSN,
        &tagged,
        "set local stepgate.purpose = 'support'",
        SSN,
        "begin",
        "set local stepgate.purpose = 'support'",
        SSN,
        "savepoint one",
        "set stepgate.purpose to billing",
        "rollback to one",
        SSN,
        "commit",
        SSN,
        "begin",
        "set stepgate.purpose to support",
        SSN,
        "rollback",
        SSN,
        "begin",
        "set \"stepgate\".purpose to 'support'",
        "commit",
        SSN,
        // It fails the transaction, which then undoes what was set in it.
        "begin",
        "set stepgate.purpose = 'billing'",
        "do $$ begin end $$",
        "commit",
        SSN,
        "set stepgate.purpose = 'two words'",
        SSN,
        &tagged,
        "set search_path = public",
        "reset all",
        SSN,
    ];
    let file = world.gate.directory().join("report.sql");
    std::fs::write(&file, script.map(|sql| format!("{sql};\n")).concat()).unwrap();
    let simulate = |more: &[&str]| -> Vec<String> {
        let mut arguments = vec!["policy", "simulate", "--as", "dana", "--groups", "analysts", "-o", "json"];
        arguments.extend(["-f", file.to_str().unwrap()]);
        arguments.extend(more);
        let said = world.gate.run(arguments, "").unwrap().ok().unwrap();
        let lines: Vec<Value> = serde_json::from_str(&said).unwrap();
        lines
            .iter()
            .map(|line| {
                assert_eq!(line["purpose_is_known"], true, "{line}");
                line["decision"].as_str().unwrap().to_owned()
            })
            .collect()
    };
    let shown = |mut psql: stepgate_testkit::Psql| -> Vec<String> {
        let mut decide = |sql: &&str| {
            psql.send(&format!("{sql};")).unwrap();
            let held = psql.line("a NOTICE", SOON, |line| {
                line.strip_prefix("NOTICE:  stepgate: held")?
                    .rsplit_once('(')?
                    .1
                    .strip_suffix(')')
                    .map(str::to_owned)
            });
            let Ok(request) = held else {
                let denied = psql.shown().iter().any(|line| line.starts_with("ERROR:  stepgate:"));
                return if denied { "deny" } else { "allow" }.to_owned();
            };
            world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
            psql.finish(SOON).unwrap();
            "step-up".to_owned()
        };
        script.iter().map(&mut decide).collect()
    };
    let foretold = simulate(&[]);
    assert_eq!(foretold, shown(world.psql(&dana)), "{script:?}");
    assert_eq!(foretold.iter().filter(|it| *it == "step-up").count(), 7, "{foretold:?}");
    // A session that began with one goes back to it.
    let mut command = world.gate.psql_command(&dana);
    command.env("PGOPTIONS", "-c stepgate.purpose=support");
    let began = stepgate_testkit::Psql::start(command).unwrap();
    assert_eq!(simulate(&["--purpose", "support"]), shown(began), "{script:?}");
}

/// As the design shows the language, with its own case: of two thousand employees, one is looked up.
const DESIGN: &str = include_str!("design/policy.yaml");

#[test]
fn the_policy_of_the_design_decides_its_own_case_as_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let policy = directory.path().join("policy.yaml");
    std::fs::write(&policy, DESIGN).unwrap();
    let arguments =
        ["policy", "test", SAMPLE[0], SAMPLE[1], "--policy", policy.to_str().unwrap(), SAMPLE[4], SAMPLE[5]];
    let output = stepgate(&arguments);
    assert_eq!((output.status.code(), text(&output).trim()), (Some(0), "ok: 1 cases"));
    // Of many it decides otherwise.
    std::fs::write(&policy, DESIGN.replace("where id=7\"", "\"")).unwrap();
    let output = stepgate(&arguments);
    assert!(
        output.status.code() == Some(1) && text(&output).contains("decided approve"),
        "{}",
        text(&output)
    );
}
