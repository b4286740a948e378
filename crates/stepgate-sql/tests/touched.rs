//! Which names DDL touches, and which names a statement hangs on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::snapshot;
use stepgate_sql::{Catalog, Changes, Mentioned, Touched};
use stepgate_testkit::Cluster;

const SCHEMA: &str = r#"
    create schema mine;
    create table customers (id int primary key, ssn text);
    create table mine.customers (id int, ssn text);
    create table parent (id int, a text); create table child () inherits (parent);
    create view pick as select id from customers; create view upon as select id from pick;
    create function trimmed(text) returns text language sql as 'select btrim($1)';
    create function clean(text) returns text language sql as 'select lower(trimmed($1))';
    create function mark() returns trigger language plpgsql as
      'begin new.a := clean(new.a); return new; end';
    create trigger mark before insert on parent for each row execute function mark();
"#;

fn shop() -> (Cluster, Catalog) {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    (cluster, catalog)
}

/// `?` is anything.
fn touched(ddl: &str, catalog: &Catalog) -> String {
    match Changes::of(ddl.as_bytes(), catalog).touched {
        Touched::Nothing => String::new(),
        Touched::Names(names) => names.iter().map(|name| &**name).collect::<Vec<_>>().join(" "),
        Touched::Anything => "?".to_owned(),
    }
}

#[test]
fn ddl_touches_the_names_that_it_gives_another_meaning() {
    let (_cluster, catalog) = shop();
    for (ddl, expected) in [
        ("alter table mine.customers rename to c2", "c2 customers mine rename"),
        ("alter table mine.customers set schema public", "customers mine public schema set"),
        ("create table if not exists mine.new (id int, name text)", "new"),
        ("create table x as select id, ssn from customers", "x"),
        ("create or replace view mine.v as select ssn from customers", "v"),
        ("create materialized view m as select 1", "m"),
        ("create or replace function mine.f(id int) returns int language sql as 'select 1'", "f"),
        ("alter table customers add column id2 int", "customers"),
        // With the parent's column goes the child's.
        ("alter table only parent alter column a type varchar(9)", "child parent"),
        ("drop table mine.customers", "customers mine"),
        // Functions that are seen through may go with a row type.
        ("drop view pick cascade", "cascade clean pick trimmed upon view"),
        ("drop table if exists never_heard_of cascade", ""),
        ("create temp table customers (id int)", ""),
        ("drop table pg_temp.scratch", ""),
        ("create index on customers (id)", ""),
        ("comment on table customers is 'x'; grant select on customers to public", ""),
        ("create operator mine.= (leftarg = text, rightarg = text, function = f)", "?"),
        ("create cast (text as int) with inout as implicit", "?"),
        ("alter schema mine rename to theirs", "_customers customers"),
        ("drop schema mine cascade", "_customers customers"),
        ("drop schema if exists mine", ""),
        ("create schema if not exists theirs", ""),
        ("create schema theirs create table t (id int)", "?"),
        ("create extension citext", "?"),
        ("commit prepared 'x'", "?"),
        ("create table \"é\" (id int)", "?"),
        ("begin; create table a (id int); commit", "a"),
    ] {
        assert_eq!(touched(ddl, &catalog), expected, "{ddl}");
    }
}

#[test]
fn code_is_told_from_relations() {
    let (_cluster, catalog) = shop();
    for (ddl, code) in [
        ("alter table customers rename to c2", false),
        ("create or replace view v as select 1", false),
        ("create or replace function f() returns int language sql as 'select 1'", true),
        ("create trigger t before insert on parent for each row execute function mark()", true),
        ("create domain d as text", true),
        ("create extension citext", true),
    ] {
        assert_eq!(Changes::of(ddl.as_bytes(), &catalog).code, code, "{ddl}");
    }
}

#[test]
fn a_message_that_commits_in_its_middle_changes_twice() {
    let (_cluster, catalog) = shop();
    let of = |ddl: &str| {
        let Changes { touched: _, ends, twice, code: _ } = Changes::of(ddl.as_bytes(), &catalog);
        (ends, twice)
    };
    assert_eq!(of("begin"), (false, false));
    assert_eq!(of("commit"), (true, false));
    assert_eq!(of("rollback to savepoint a"), (false, false));
    assert_eq!(of("rollback work"), (true, false));
    assert_eq!(of("prepare transaction 'x'"), (true, false));
    assert_eq!(of("alter table customers rename to a; alter table a rename to customers"), (false, false));
    let twice = "begin; alter table customers rename to a; commit; alter table a rename to customers";
    assert_eq!(of(twice), (true, true));
}

#[test]
fn a_statement_hangs_on_what_views_functions_and_triggers_name() {
    let (_cluster, catalog) = shop();
    let names = |name: &str| Touched::Names([Box::from(name)].into());
    for (statement, hangs_on) in [
        ("select ssn from customers", &["customers", "ssn"][..]),
        ("select * from upon", &["upon", "pick"]),
        ("select Clean('x')", &["clean", "trimmed"]),
        ("insert into parent (a) values ('x')", &["parent", "child", "clean", "trimmed"]),
        ("execute p", &["p"]),
    ] {
        let mentioned = Mentioned::of(statement.as_bytes(), &catalog);
        for name in hangs_on {
            assert!(mentioned.hangs_on(&names(name)), "{statement}: {name}");
        }
        assert!(!mentioned.hangs_on(&names("elsewhere")), "{statement}");
        assert!(mentioned.hangs_on(&Touched::Anything) && !mentioned.hangs_on(&Touched::Nothing));
    }
    // Of what cannot be read, nothing is known.
    assert!(Mentioned::of("select 'é'".as_bytes(), &catalog).hangs_on(&names("x")));
}
