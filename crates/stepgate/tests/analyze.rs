//! `stepgate analyze` as other people's scripts call it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const SCHEMA: &str = "create table customers (id int primary key, email text, city text);
create schema hr;
create table hr.employees (id int primary key, ssn text);
create view hr.badges as select ssn as badge from hr.employees;
";

const MAP: &str = "version: 1
labels: {email: {class: confidential}, ssn: {class: restricted}}
databases:
  shop:
    public.customers: {columns: {email: email}}
    hr.employees: {columns: {ssn: ssn}}
";

fn run(arguments: &[&str], input: &str) -> (i32, Vec<Value>, String) {
    let dir = tempfile::tempdir().unwrap();
    let (schema, map) = (dir.path().join("schema.sql"), dir.path().join("map.yaml"));
    std::fs::write(&schema, SCHEMA).unwrap();
    std::fs::write(&map, MAP).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepgate"));
    command.args(["analyze", "--schema", schema.to_str().unwrap(), "--map", map.to_str().unwrap()]);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    let objects = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (output.status.code().unwrap(), objects, String::from_utf8(output.stderr).unwrap())
}

#[test]
fn jsonl_is_one_session_of_messages_until_a_reset() {
    let input = [
        r#"{"sql": "select email from customers where city = 'x'; select 1"}"#,
        r#"{"sql": ""}"#,
        r#"{"sql": "set search_path = hr"}"#,
        r#"{"sql": "select badge from badges"}"#,
        r#"{"reset": true}"#,
        r#"{"sql": "select badge from badges"}"#,
        r#"{"sql": "select ("}"#,
    ];
    let (status, objects, error) = run(&["--input", "jsonl", "-"], &input.join("\n"));
    assert_eq!(status, 0, "{error}");
    let places: Vec<_> = objects.iter().map(|o| (o["line"].clone(), o["index"].clone())).collect();
    let expected = [(1, 0), (1, 1), (3, 0), (4, 0), (6, 0), (7, 0)].map(|(l, i)| (json!(l), json!(i)));
    assert_eq!(places, expected);
    assert_eq!(objects[0]["labels"], json!(["email"]));
    assert_eq!(
        objects[0]["columns"][1],
        json!({"column": "shop.public.customers.email", "uses": ["output"]})
    );
    assert_eq!((&objects[0]["risky"], &objects[1]["risky"]), (&json!(true), &json!(false)));
    assert_eq!(objects[3]["columns"][0]["column"], json!("shop.hr.employees.ssn"));
    assert_eq!((&objects[4]["certainty"], &objects[4]["risky"]), (&json!("unknown"), &json!(true)));
    assert_eq!((&objects[5]["certainty"], &objects[5]["risky"]), (&json!("unknown"), &json!(true)));
}

#[test]
fn text_is_cut_as_psql_cuts_it_and_the_search_path_can_be_given() {
    let (status, objects, error) = run(
        &["--search-path", "hr,public", "--name", "shop"],
        "select ';'\n;\n\n-- who\nselect ssn from employees;\n",
    );
    assert_eq!(status, 0, "{error}");
    assert_eq!((&objects[0]["line"], &objects[0]["risky"]), (&json!(1), &json!(false)));
    assert_eq!((&objects[1]["line"], &objects[1]["labels"]), (&json!(4), &json!(["ssn"])));
}

#[test]
fn what_cannot_be_known_after_a_change_of_the_session_is_unknown() {
    for change in
        ["set local search_path = hr", "select set_config('search_path', 'hr', false)", "set role postgres"]
    {
        let input = format!("{}\n{}", json!({"sql": change}), json!({"sql": "select city from customers"}));
        let (_, objects, _) = run(&["--input", "jsonl"], &input);
        assert_eq!(objects[1]["certainty"], json!("unknown"), "{change}: {objects:?}");
    }
}

#[test]
fn broken_input_and_broken_schemas_end_with_2() {
    assert_eq!(run(&["--input", "jsonl"], "{\"sqll\": 1}").0, 2);
    let (status, _, error) = run(&["/nowhere.sql"], "");
    assert_eq!(status, 2);
    assert!(error.contains("/nowhere.sql"), "{error}");
}
