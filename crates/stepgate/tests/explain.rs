//! `stepgate policy explain` and `schema`, as other people's scripts call them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::process::{Command, Output};

use serde_json::Value;

const SCHEMA: &str = "create table customers (id int primary key, email text, ssn text);
create table payments (id int primary key, amount numeric);
";

const MAP: &str = "version: 1
labels: {email: {class: confidential}, ssn: {class: restricted}}
databases:
  shop:
    public.customers: {columns: {email: email, ssn: ssn}}
    public.payments: {}
";

const POLICY: &str = "version: 1
approvals: {self: {self: true}, owners: {groups: [data-owners]}}
risk: {signals: {new_client: 40}}
rules:
  - {name: restricted-read, match: {class: '>=restricted'}, action: step-up, approval: self}
  - {name: at-night, match: {labels: [ssn], time: {outside: '07:00-20:00', tz: Europe/Berlin}}, action: approve, approval: owners}
  - {name: robots, match: {labels: [ssn], groups: [services]}, action: deny}
  - {name: risky, match: {any: [{risk: '>=40'}, {client: ['DBeaver*']}], kind: [copy-out]}, action: deny}
  - {name: high-amounts, match: {predicate: {column: public.payments.amount, op: '>', value: 30000}}, action: step-up, approval: self}
";

fn explain(arguments: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let [schema, map, policy] =
        [("schema.sql", SCHEMA), ("map.yaml", MAP), ("policy.yaml", POLICY)].map(|(name, text)| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        });
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepgate"));
    command
        .args(["policy", "explain", "--as", "dana", "--schema", &schema, "--map", &map, "--policy", &policy]);
    command.args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn an_explanation_says_which_rules_match_and_which_miss_by_one_clause() {
    let noon = [
        "--at",
        "2026-07-06T12:00:00+02:00",
        "--groups",
        "analysts",
        "select ssn from customers where id = 7",
    ];
    let said = text(&explain(&noon));
    for line in [
        "step-up\n",
        "Rule: restricted-read.",
        "Asks by approval self.",
        "\nmatches\n  step-up  restricted-read\n      yes  class: >=restricted  (found restricted)\n",
        "\nmisses by one clause\n",
        "  approve  at-night\n      yes  labels: ssn  (found ssn)\n      no   time: outside 07:00-20:00 Europe/Berlin  (found mon 12:00)\n",
        "      no   groups: services  (found analysts)\n",
        "      no   predicate: public.payments.amount > 30000  (found none)\n",
        "\nmisses by more\n  deny     risky: kind, any\n",
    ] {
        assert!(said.contains(line), "{line:?} is not in\n{said}");
    }
    let night = ["--at", "2026-07-06T03:00:00+02:00", "select ssn from customers"];
    let said = text(&explain(&night));
    assert!(said.starts_with("approve\n") && said.contains("matches\n  approve  at-night\n"), "{said}");
}

#[test]
fn an_explanation_as_json_has_every_rule_and_clause() {
    let output = explain(&[
        "--signals",
        "new_client",
        "-o",
        "json",
        "copy customers to stdout; select * from payments where amount > 50000",
    ]);
    let all: Value = serde_json::from_str(&text(&output)).unwrap();
    assert_eq!(all.as_array().unwrap().len(), 2, "{all}");
    let copy = &all[0];
    assert_eq!((&copy["decision"]["action"], &copy["decision"]["risk"]), (&"deny".into(), &40.into()));
    let rules = copy["statements"][0].as_array().unwrap();
    assert_eq!(rules.len(), 5);
    let risky = rules.iter().find(|rule| rule["rule"] == "risky").unwrap();
    assert_eq!(risky["matches"], "yes");
    let any = risky["clauses"].as_array().unwrap().iter().find(|clause| clause["clause"] == "any").unwrap();
    assert_eq!(any["within"][0][0]["holds"], "yes");
    assert_eq!(any["within"][1][0]["holds"], "no");
    let amounts = all[1]["statements"][0].as_array().unwrap();
    assert_eq!(amounts[0]["rule"], "high-amounts");
    // Never the value that the statement compares with.
    assert!(!all[1].to_string().contains("50000"), "{}", all[1]);
}

#[test]
fn an_unreadable_statement_may_match_whatever_it_could_touch() {
    let said = text(&explain(&["select ("]));
    assert!(said.contains("may  class: >=restricted  (found none, for all that is known)"), "{said}");
    assert!(said.contains("unknown.statements"), "{said}");
}

#[test]
fn what_is_asked_wrongly_is_wrong_usage() {
    for arguments in [
        &["--at", "soon", "select 1"][..],
        &["--signals", "new_cleint", "select 1"],
        &["--from", "nowhere", "select 1"],
    ] {
        assert_eq!(explain(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn each_file_has_a_schema() {
    for (file, title) in
        [("map", "Stepgate PII map"), ("policy", "Stepgate policy"), ("config", "Stepgate configuration")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_stepgate")).args(["policy", "schema", file]).output();
        let schema: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        assert_eq!(schema["title"], title);
    }
}
