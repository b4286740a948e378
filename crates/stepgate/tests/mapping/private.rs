//! What a scan does not do: write, or show a value anywhere.

use std::path::PathBuf;

use stepgate_testkit::Cluster;

use super::quality::{cluster, map, rows};

/// A part of every value.
const MARK: &str = "zq7marker";

fn marked() -> Cluster {
    let cluster = cluster();
    cluster.create_database("marked").unwrap();
    let sql = format!(
        "create type broken as enum ('a'); \
         create table people (id int primary key, c1 text, c2 text, c3 jsonb, c4 text[], c5 bytea, notes text, odd text); \
         insert into people select n, '{MARK}' || n || '@example.com', 'Anna {MARK}' || n, \
         jsonb_build_object('mail', '{MARK}' || n || '@example.com'), array['{MARK}' || n || '@example.com'], \
         convert_to('{MARK}' || n || '@example.com', 'UTF8'), \
         'write to {MARK}' || n || '@example.com about it', repeat('{MARK} ', 300) from generate_series(1, 50) n; \
         create function failing(t text) returns text language plpgsql immutable as \
         $$ begin raise exception 'cannot take %', t; end $$; \
         create table angry (id int, mail text); \
         insert into angry select n, '{MARK}' || n || '@example.com' from generate_series(1, 9) n; \
         alter table angry enable row level security; alter table angry force row level security; \
         create policy p on angry using (failing(mail) is not null); \
         create role reader login; grant select on all tables in schema public to reader; analyze;"
    );
    cluster.load("marked", &sql).unwrap();
    cluster
}

fn run(cluster: &Cluster, arguments: &[&str]) -> (String, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_stepgate"))
        .arg("map")
        .args(arguments)
        .arg("--url")
        .arg(cluster.url("reader", "marked"))
        .env("RUST_BACKTRACE", "1")
        .env("STEPGATE_LOG", "trace")
        .output()
        .unwrap();
    (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn no_value_is_shown_in_any_output_file_or_error() {
    let cluster = marked();
    let tree = stepgate_testkit::TempTree::new("stepgate-scan").unwrap();
    let file: PathBuf = tree.path().join("proposed.yaml");
    for format in ["table", "json", "yaml", "csv"] {
        let (out, err) = run(&cluster, &["scan", "-o", format]);
        assert!(!out.contains(MARK) && !err.contains(MARK), "{out}\n{err}");
        assert!(out.contains("public.people"), "{out}\n{err}");
        // The policy's function failed with a value in its text; of that, the SQLSTATE is told.
        assert!(err.contains("public.angry was not looked into: SQLSTATE P0001"), "{err}");
    }
    let (out, err) = run(&cluster, &["scan", "--out", file.to_str().unwrap()]);
    let written = std::fs::read_to_string(&file).unwrap();
    assert!(!written.contains(MARK) && !out.contains(MARK) && !err.contains(MARK));
    assert!(written.contains("c1: email") && written.contains("notes: free-text"), "{written}");
    // Not over it.
    let (_, err) = run(&cluster, &["scan", "--out", file.to_str().unwrap()]);
    assert!(err.contains("exists already"), "{err}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written);
    // No bar where nobody watches.
    assert!(!err.contains('\r') && !err.contains('\u{1b}'));
}

#[test]
fn a_spreadsheet_gets_a_line_for_each_column_that_is_proposed() {
    let cluster = marked();
    let (out, _) = run(&cluster, &["scan", "-o", "csv"]);
    let lines: Vec<&str> = out.split("\r\n").collect();
    assert_eq!(lines[0], "table,column,type,label,class,confidence,status,reason");
    let found = rows(&map(&cluster, "marked", &["scan", "-o", "json"]));
    // `angry` has one that this reader cannot see into, and the last line ends, too.
    assert_eq!(lines.len(), found.len() + 2, "{out}");
    let mail = lines.iter().find(|line| line.starts_with("public.people,c1,")).unwrap();
    assert!(
        mail.starts_with("public.people,c1,text,email,") && mail.ends_with("are e-mail addresses"),
        "{mail}"
    );
}

#[test]
fn the_server_would_refuse_a_scan_that_wrote() {
    let cluster = cluster();
    cluster.create_database("marked").unwrap();
    // A view that writes when it is read: of materialised views and tables alone rows are read, and read-only.
    let sql = "create table seen (n int); create function touch() returns text language plpgsql volatile as \
               $$ begin insert into public.seen values (1); return 'x'; end $$; \
               create table t (mail text); insert into t values ('a@example.com'); \
               alter table t enable row level security; alter table t force row level security; \
               create policy p on t using (public.touch() = 'x'); create role reader login; \
               grant select, insert on all tables in schema public to reader;";
    cluster.load("marked", sql).unwrap();
    let (_, err) = run(&cluster, &["scan", "-o", "json"]);
    assert!(err.contains("SQLSTATE 25006"), "{err}");
    assert_eq!(cluster.psql("marked", "select count(*) from seen").unwrap(), "0");
}

#[test]
fn only_the_tables_asked_for_are_looked_into() {
    let cluster = marked();
    let found = rows(&map(&cluster, "marked", &["scan", "-o", "json", "--tables", "ang*"]));
    assert!(!found.is_empty() && found.iter().all(|row| row["table"] == "public.angry"), "{found:?}");
}

#[test]
fn labels_go_along_foreign_keys_and_names_along_views_and_comments() {
    let cluster = cluster();
    cluster.create_database("keys").unwrap();
    let sql = "create table accounts (c1 text primary key); insert into accounts \
               select 'u' || n || '@example.com' from generate_series(1, 40) n; \
               create table visits (ref text references accounts (c1)); \
               create domain mail_address as text check (value ~ '^[^@]+@[^@]+$'); \
               create table empty (a text, b text, c mail_address, d text check (d like '%@%')); \
               create view shown as select a as date_of_birth_text, b as surname from empty; \
               comment on column empty.a is 'telephone'; analyze;";
    cluster.load("keys", sql).unwrap();
    let found = rows(&map(&cluster, "keys", &["scan", "-o", "json"]));
    let label = |table: &str, column: &str| {
        let row = found.iter().find(|row| row["table"] == table && row["column"] == column);
        row.map(|row| row["label"].as_str().unwrap().to_owned())
    };
    assert_eq!(label("public.accounts", "c1").as_deref(), Some("email"));
    assert_eq!(label("public.visits", "ref").as_deref(), Some("email"));
    assert_eq!(label("public.empty", "b").as_deref(), Some("name"));
    assert_eq!(label("public.empty", "c").as_deref(), Some("email"));
    assert_eq!(label("public.empty", "d").as_deref(), Some("email"));
    assert!(label("public.empty", "a").is_some());
}
