//! `stepgate analyze` as other people's scripts call it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

const SCHEMA: &str = "create table customers (id int primary key, email text, city text);
create schema hr;
create table hr.employees (id int primary key, ssn text);
create table notes (body text);
create table hr.notes (body text);
create view hr.badges as select ssn as badge from hr.employees;
";

const MAP: &str = "version: 1
labels: {email: {class: confidential}, ssn: {class: restricted}}
databases:
  shop:
    public.customers: {columns: {email: email}}
    hr.employees: {columns: {ssn: ssn}}
    hr.notes: {columns: {body: ssn}}
";

fn run(arguments: &[&str], input: &str) -> (i32, Vec<Value>, String) {
    analyze(SCHEMA, MAP, arguments, input)
}

fn analyze(schema_sql: &str, map_yaml: &str, arguments: &[&str], input: &str) -> (i32, Vec<Value>, String) {
    let dir = tempfile::tempdir().unwrap();
    let (schema, map) = (dir.path().join("schema.sql"), dir.path().join("map.yaml"));
    std::fs::write(&schema, schema_sql).unwrap();
    std::fs::write(&map, map_yaml).unwrap();
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

/// Analyses each of these as a session of its own and compares whether its last statement is risky, and the labels
/// it touches.
fn last_statements_are(sessions: &[(&[&str], bool, &[&str])]) {
    let mut input = String::new();
    let mut last_lines = Vec::new();
    for (messages, _, _) in sessions {
        input.push_str("{\"reset\": true}\n");
        for sql in *messages {
            input.push_str(&format!("{}\n", json!({"sql": sql})));
        }
        last_lines.push(input.lines().count());
    }
    let (status, objects, error) = run(&["--input", "jsonl", "-"], &input);
    assert_eq!(status, 0, "{error}");
    for ((messages, risky, labels), line) in sessions.iter().zip(last_lines) {
        let last = objects.iter().rfind(|object| object["line"] == json!(line)).unwrap();
        assert_eq!((&last["risky"], &last["labels"]), (&json!(risky), &json!(labels)), "{messages:?}");
    }
}

#[test]
fn execute_and_fetch_are_what_they_go_on_with() {
    last_statements_are(&[
        (&["prepare p(int) as select city from customers where id = $1", "execute p(3)"], false, &[]),
        (&["prepare p(int) as select city from customers where id = $1; execute p(3)"], false, &[]),
        (&["prepare p as select email from customers", "execute p"], true, &["email"]),
        (&["prepare p as select email from customers; execute p"], true, &["email"]),
        (&["declare c cursor for select city from customers", "fetch 4 from c", "move c"], false, &[]),
        (
            &[
                "declare c cursor for select city from customers for update",
                "delete from customers where current of c returning city",
            ],
            false,
            &[],
        ),
        (
            &[
                "declare c cursor for select city from customers for update",
                "delete from customers where current of c returning email",
            ],
            true,
            &["email"],
        ),
        (&["delete from customers where current of c"], true, &[]),
        (&["prepare p as select 1", "execute q"], true, &[]),
        (&["prepare p as select 1", "execute p(lower('x'))"], true, &[]),
        // The second PREPARE fails, or the DEALLOCATE might in a transaction that had failed.
        (
            &["prepare p as select email from customers", "prepare p as select 1", "execute p"],
            true,
            &["email"],
        ),
        (
            &[
                "prepare p as select email from customers",
                "deallocate p",
                "prepare p as select 1",
                "execute p",
            ],
            true,
            &["email"],
        ),
        // Whatever ran in between may have made the name anew.
        (&["prepare p as select 1", "do $$ begin end $$", "execute p"], true, &[]),
        (&["prepare p as select 1; do $$ begin end $$; execute p"], true, &[]),
        // Late binding: planned anew under the search path of that moment, or gone on with as it was.
        (&["prepare p as select body from notes", "execute p"], false, &[]),
        (&["prepare p as select body from notes", "set search_path = hr", "execute p"], true, &["ssn"]),
        (
            &[
                "set search_path = hr",
                "prepare p as select body from notes",
                "set search_path = public",
                "execute p",
            ],
            true,
            &["ssn"],
        ),
    ]);
}

#[test]
fn what_a_session_makes_inherits_the_labels_of_what_it_is_made_from() {
    last_statements_are(&[
        (&["create temp table k as select id, city from customers", "select * from k"], false, &[]),
        (
            &["create temp table k (a, b) as select id, city from customers", "select a from pg_temp.k"],
            false,
            &[],
        ),
        (
            &["create temp table k as select id, email as e from customers", "select e from k"],
            true,
            &["email"],
        ),
        (
            &["create view k as select id, email as e from customers", "select k.e from public.k"],
            true,
            &["email"],
        ),
        (&["create table k as select ssn from hr.employees", "select count(*) from k"], false, &[]),
        (&["create table k as select ssn from hr.employees", "select k from k"], true, &["ssn"]),
        (
            &[
                "create temp table k as select ssn from hr.employees",
                "create temp table l as select * from k",
                "set search_path = hr",
                "select max(l.ssn) from l",
            ],
            true,
            &["ssn"],
        ),
        (
            &[
                "create temp table k (a int, b numeric(4, 2))",
                "insert into k values (1, 2)",
                "select b from k",
            ],
            false,
            &[],
        ),
        (
            &["create temp table k (a text)", "insert into k select email from customers", "select a from k"],
            true,
            &["email"],
        ),
        (&["create temp table k as select 1 as a", "do $$ begin end $$", "select a from k"], true, &[]),
        // Whether it was made is not known here, and the name means something else if it was not.
        (&["create temp table customers as select 1 as email", "select email from customers"], true, &[]),
        (&["create temp table employees as select 1 as ssn", "select ssn from employees"], true, &[]),
        (
            &[
                "create temp table k as select city from customers",
                "create table k as select 1 as city",
                "select * from k",
            ],
            true,
            &[],
        ),
        (&["select id, city into temp k from customers", "select * from k"], false, &[]),
        (&["select id, email as e into table k from customers", "select e from k"], true, &["email"]),
        (&["select email into temp from customers", "select email from temp"], true, &[]),
        // A column whose name is not known.
        (&["create temp table k as select id + 1 from customers", "select * from k"], true, &[]),
        (&["create temp table k as select 1 as a; select a from k"], true, &[]),
    ]);
    // A reset forgets it.
    last_statements_are(&[
        (&["create temp table k as select 1 as a", "select a from k"], false, &[]),
        (&["select a from k"], true, &[]),
    ]);
}

/// Of `notes` the one in `hr` is labelled and the one in `public` is not: whoever takes the wrong one is found out,
/// and where the path is not certain the statement is risky without labels.
#[test]
fn the_search_path_is_what_the_transaction_leaves_or_unknown() {
    let notes = "select body from notes";
    let (hr, local_hr, local_public) =
        ("set search_path = hr", "set local search_path = hr", "set local search_path = public");
    last_statements_are(&[
        (&["begin", local_hr, notes], true, &["ssn"]),
        (&["begin", local_hr, "rollback", notes], false, &[]),
        (&[hr, "begin", local_public, "rollback", notes], true, &["ssn"]),
        (&[hr, "begin", local_public, "commit", notes], true, &["ssn"]),
        (&[hr, "begin", "set search_path = public", "abort", notes], true, &["ssn"]),
        (&["begin", "savepoint a", "release a", "set transaction read only", "commit", notes], false, &[]),
        (&["begin", "savepoint a", "rollback to a", "commit", notes], false, &[]),
        // Perhaps the session began in a transaction.
        (&[local_hr, notes], true, &[]),
        (&[hr, "rollback", notes], true, &[]),
        // Whether a COMMIT keeps a SET is not known here, nor what was hidden by a SET LOCAL on top.
        (&["begin", hr, "commit", notes], true, &[]),
        (&["begin", hr, local_public, "commit", notes], true, &[]),
        // What ROLLBACK TO takes back.
        (
            &["begin", local_hr, "savepoint a", "set local search_path to default", "rollback to a", notes],
            true,
            &[],
        ),
        // Ends and begins that are not plain.
        (&["begin; set search_path = hr; commit", notes], true, &[]),
        (&["begin", "commit /* x */", hr, "rollback", notes], true, &[]),
        (&[hr, "begin /* x */", "set search_path to default", "rollback", notes], true, &[]),
        (&["do $$ begin end $$", notes], true, &[]),
        (&["begin", "do $$ begin end $$", "rollback", notes], true, &[]),
    ]);
}

#[test]
fn a_write_to_what_the_session_made_tells_nothing_unseen() {
    last_statements_are(&[
        // `Failing row contains (…)` shows the base table's row.
        (&["create view k as select id, city from customers", "update k set city = null"], true, &[]),
        // A unique key tells whether a value is there.
        (
            &[
                "create table k (a text primary key)",
                "insert into k select email from customers",
                "insert into k values ('x')",
            ],
            true,
            &["email"],
        ),
        (
            &[
                "create table k (a text, b int not null)",
                "insert into k select email, id from customers",
                "update k set b = null",
            ],
            true,
            &["email"],
        ),
        (&["create table k (a text primary key)", "insert into k values ('x')"], false, &[]),
    ]);
}

/// The sample corpus, each block a session: every label as its README has it.
#[test]
fn every_block_of_the_corpus_is_labelled_right() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/corpus");
    let read = |file: &str| std::fs::read_to_string(corpus.join(file)).unwrap();
    let mut map = "version: 1\nlabels: {pii: {class: restricted}}\ndatabases:\n  clinic:\n".to_owned();
    let mut tables = std::collections::BTreeMap::<String, Vec<String>>::new();
    for line in read("pii_map.csv").lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        let quoted = |name: &str| {
            if name.chars().any(char::is_uppercase) { format!("\"{name}\"") } else { name.to_owned() }
        };
        let table = format!("{}.{}", quoted(fields[0]), quoted(fields[1]));
        tables.entry(table).or_default().push(format!("{}: pii", fields[2]));
    }
    for (table, columns) in tables {
        map.push_str(&format!("    '{table}': {{columns: {{{}}}}}\n", columns.join(", ")));
    }
    let statements = read("statements.sql");
    let (mut input, mut blocks) = (String::new(), Vec::new());
    for block in statements.split("-- id: ").skip(1) {
        let (header, body) = block.split_once('\n').unwrap();
        input.push_str("{\"reset\": true}\n");
        let first = input.lines().count() + 1;
        for step in body.split("-- then\n") {
            input.push_str(&format!("{}\n", json!({"sql": step.trim()})));
        }
        blocks.push((header.to_owned(), first..=input.lines().count()));
    }
    let (status, objects, error) = analyze(&read("schema.sql"), &map, &["--input", "jsonl", "-"], &input);
    assert_eq!(status, 0, "{error}");
    assert_eq!(blocks.len(), 60);
    for (header, lines) in blocks {
        let within =
            |object: &&Value| lines.contains(&usize::try_from(object["line"].as_u64().unwrap()).unwrap());
        let risky = objects.iter().filter(within).any(|object| object["risky"] == json!(true));
        assert_eq!(risky, header.contains("expected: leak"), "{header}");
    }
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

#[test]
fn after_a_rename_or_a_new_function_nothing_that_depends_on_names_is_known_until_a_reset() {
    let read = r#"{"sql": "select body from public.notes"}"#;
    for moves in [
        "alter table public.notes rename to n",
        "alter schema hr rename to h",
        "create function f() returns int language sql as 'select 1'",
    ] {
        let moves = format!(r#"{{"sql": "{moves}"}}"#);
        let input = [read, &moves, read, r#"{"reset": true}"#, read].join("\n");
        let (status, objects, error) = run(&["--input", "jsonl", "-"], &input);
        assert_eq!(status, 0, "{error}");
        let certain: Vec<_> = objects.iter().map(|it| it["certainty"].as_str().unwrap()).collect();
        assert_eq!(certain, ["exact", "exact", "unknown", "exact"], "{moves}");
    }
}
