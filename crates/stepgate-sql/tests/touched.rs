//! Which names DDL touches, and which names a statement hangs on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::snapshot;
use stepgate_sql::{By, Catalog, Changes, Mentioned, Names, Opens, Touched};
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

fn on(path: &[&str]) -> By {
    By { path: Some(path.iter().map(ToString::to_string).collect()), ..By::default() }
}

fn of(ddl: &str, catalog: &Catalog) -> Changes {
    Changes::of(ddl.as_bytes(), catalog, &on(&["public"]))
}

fn said(names: &Names) -> String {
    names.iter().map(|name| &**name).collect::<Vec<_>>().join(" ")
}

/// `?` is anything.
fn touched(ddl: &str, catalog: &Catalog) -> String {
    let Changes { touched, gone, .. } = of(ddl, catalog);
    let mut all = match touched {
        Touched::Nothing => Vec::new(),
        Touched::Names(names) => names.iter().map(ToString::to_string).collect(),
        Touched::Anything => return "?".to_owned(),
    };
    all.extend(gone.iter().map(ToString::to_string));
    all.sort();
    all.join(" ")
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
        ("drop view pick cascade", "clean pick trimmed upon"),
        ("drop table if exists never_heard_of cascade", ""),
        ("create temp table customers (id int)", ""),
        ("drop table pg_temp.scratch", ""),
        ("create index on customers (id)", ""),
        ("comment on table customers is 'x'; grant select on customers to public", ""),
        ("create operator mine.= (leftarg = text, rightarg = text, function = f)", "?"),
        ("create cast (text as int) with inout as implicit", "?"),
        ("alter schema mine rename to theirs", "_customers customers"),
        // And what takes their rows.
        ("drop schema mine cascade", "_customers clean customers trimmed"),
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
        assert_eq!(of(ddl, &catalog).code, code, "{ddl}");
    }
}

#[test]
fn a_message_that_commits_in_its_middle_changes_twice() {
    let (_cluster, catalog) = shop();
    let of = |ddl: &str| {
        let Changes { ends, twice, .. } = of(ddl, &catalog);
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
        let mentioned = Mentioned::of(statement.as_bytes(), &catalog, &on(&["public"]));
        let hangs_on_it = |touched: &Touched| mentioned.hangs_on(touched, &Opens::default());
        for name in hangs_on {
            assert!(hangs_on_it(&names(name)), "{statement}: {name}");
        }
        assert!(!hangs_on_it(&names("elsewhere")), "{statement}");
        assert!(hangs_on_it(&Touched::Anything) && !hangs_on_it(&Touched::Nothing));
    }
    // Of what cannot be read, nothing is known.
    let unread = Mentioned::of("select 'é'".as_bytes(), &catalog, &By::anything());
    assert!(unread.hangs_on(&names("x"), &Opens::default()));
}

/// What PostgreSQL takes for another kind of relation than the statement says.
#[test]
fn what_is_renamed_is_renamed_whatever_it_is_called() {
    let (_cluster, catalog) = shop();
    for (ddl, expected) in [
        ("alter index mine.customers rename to c2", "c2 customers index mine rename"),
        ("alter index if exists customers rename to c2", "c2 customers exists if index rename"),
        ("alter table pick rename to p", "p pick rename"),
        ("alter view pick set schema mine", "mine pick schema set view"),
        ("alter materialized view pick rename to p", "materialized p pick rename view"),
        ("alter foreign table customers rename to c2", "c2 customers rename"),
        ("alter index customers_pkey set (fillfactor = 70)", ""),
        // Words that only a temporary table's CREATE has before its name.
        ("create table mine.x (ssn text, temp int, \"temporary\" int)", "x"),
        ("create table temp (id int)", "temp"),
        ("create temporary view customers as select 1", ""),
        ("select ssn into customers2 from customers", "customers2"),
        ("select ssn into temp table customers2 from customers", ""),
        ("select ssn into temp from customers", "temp"),
        ("create table x (a int) inherits (parent, mine.customers)", "child customers parent x"),
        // What writes run; and of which table it was, its DROP does not say.
        ("create index on customers (lower(ssn))", "customers"),
        ("create index on customers (id) where id > 1", "customers"),
        ("create trigger t before insert on parent for each row execute function mark()", "child parent"),
    ] {
        assert_eq!(touched(ddl, &catalog), expected, "{ddl}");
    }
    assert!(of("create index on customers (lower(ssn))", &catalog).twice);
}

#[test]
fn what_is_not_there_is_touched_only_if_somebody_makes_it() {
    let (_cluster, catalog) = shop();
    for (ddl, expected) in [
        ("drop table if exists nothing, elsewhere.customers", "customers nothing"),
        ("drop function if exists customers(), mine.clean(text)", "clean customers"),
        ("alter table nothing rename to customers", "nothing"),
        ("drop collation if exists mine.nope cascade", "cascade collation exists if mine nope"),
        ("drop operator if exists mine.### (int4, text)", "### exists if int4 mine operator text"),
        ("drop cast if exists (int4 as money)", "as cast exists if int4 money"),
        ("drop text search dictionary if exists simpler", "dictionary exists if search simpler text"),
        // Which is there.
        ("drop text search dictionary simple", ""),
        ("drop collation \"C\" cascade", ""),
        ("create extension if not exists plpgsql", "plpgsql"),
        ("create extension plpgsql", ""),
        ("drop table customers", ""),
    ] {
        let hanging = of(ddl, &catalog).hanging;
        let mut on: Vec<String> = hanging.iter().map(|it| said(&it.on)).collect();
        on.sort();
        assert_eq!(on.join(" "), expected, "{ddl}");
    }
    let many: Vec<String> = (0..20_000).map(|at| format!("zz{at}()")).collect();
    let changes = of(&format!("drop function if exists {}", many.join(", ")), &catalog);
    assert!(changes.touched == Touched::Nothing && changes.hanging.len() == 20_000);
    // Nothing else has that name: it can only be missed.
    let alone = of("drop function clean(text); drop view pick", &catalog);
    assert!(alone.touched == Touched::Nothing && said(&alone.gone) == "clean pick");
    assert_ne!(of("drop table mine.customers", &catalog).touched, Touched::Nothing);
}

#[test]
fn names_meet_where_their_schemas_do() {
    let (_cluster, catalog) = shop();
    for (statement, path, ddl, meets) in [
        ("select * from customers", &["public"][..], "create view mine.customers as select 1", false),
        ("select * from customers", &["mine", "public"], "create view mine.customers as select 1", true),
        ("select * from mine.customers", &["public"], "create view mine.customers as select 1", true),
        ("select * from mine.customers", &["public"], "create view public.customers as select 1", true),
        ("select public.clean('x')", &["mine"], "create function mine.clean(text) returns text", false),
        ("select public.clean('x')", &["mine"], "create function public.clean(text) returns text", true),
        // What stands before a dot may be an alias: then it is a function of its rows.
        (
            "select mine.clean from parent mine",
            &["public"],
            "create function public.clean(parent) returns text",
            true,
        ),
        (
            "select shop.mine.customers.id from shop.mine.customers",
            &["public"],
            "create view mine.customers as select 1",
            true,
        ),
        ("select 1::mine.x", &["public"], "create type mine.x as (a int)", true),
        // Without a schema, and where that is one of several.
        ("select * from customers", &["public"], "create view customers as select 1", true),
        (
            "set search_path = mine; select * from customers",
            &["public"],
            "create view mine.customers as select 1",
            true,
        ),
        (
            "begin; select * from customers; commit",
            &["public"],
            "create view mine.customers as select 1",
            false,
        ),
        // What it reaches, under its path, and bound.
        ("select clean('x')", &["public"], "create function mine.trimmed(text) returns text", false),
        ("select clean('x')", &["public", "mine"], "create function mine.trimmed(text) returns text", true),
        ("select * from mine.upon", &["mine"], "create view public.pick as select 1", false),
        ("select * from public.upon", &["mine"], "create or replace view public.pick as select 1", true),
    ] {
        let mentioned = Mentioned::of(statement.as_bytes(), &catalog, &on(path));
        let changes = of(ddl, &catalog);
        assert_eq!(mentioned.hangs_on(&changes.touched, &changes.opens), meets, "{statement}: {ddl}");
    }
    // A path may be longer than it was.
    let mentioned = Mentioned::of(b"select * from customers", &catalog, &on(&["public"]));
    let later = of("create schema later; create view later.customers as select 1", &catalog);
    assert!(mentioned.hangs_on(&later.touched, &later.opens));
    assert!(!mentioned.hangs_on(&later.touched, &Opens::default()));
}

/// Code that no word of the statement names.
#[test]
fn a_statement_hangs_on_what_operators_casts_and_types_run() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    let schema = "create function opf(int, text) returns text language sql as $$ select 'x' $$; \
        create operator ### (leftarg = int, rightarg = text, function = opf); \
        create type comp as (a int); create function cf(comp) returns text language sql as $$ select 'x' $$; \
        create cast (comp as text) with function cf(comp); create table t (y int, c comp);";
    cluster.load("shop", schema).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    for (statement, name) in [
        ("select y operator(public.###) 'a' from t", "opf"),
        ("select y ### 'a' from t", "opf"),
        ("select c::text from t", "cf"),
    ] {
        let mentioned = Mentioned::of(statement.as_bytes(), &catalog, &on(&["public"]));
        let replaced = format!(
            "create or replace function {name}(int, text) returns text language sql as $$ select 'y' $$"
        );
        assert!(mentioned.hangs_on(&of(&replaced, &catalog).touched, &Opens::default()), "{statement}");
    }
}
