//! A catalog of which only what has changed was read again is the same as one that was read as a whole, also where nothing is
//! left of what there was.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{columns, facts, session, snapshot, snapshot_after};
use stepgate_sql::{Catalog, Facts};
use stepgate_testkit::Cluster;
use stepgate_types::{Certainty, RelationName};

fn shop(schema: &str) -> (Cluster, Catalog) {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", schema).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    (cluster, catalog)
}

/// Of a name that no column of the inner table has any more, the outer query's is meant.
#[test]
fn a_table_that_lost_its_last_column_does_not_stand_before_a_labelled_one_of_that_name() {
    let (cluster, known) = shop(
        "create table customers (id int, full_name text); create table bait (full_name text); \
         create table lure (a int, full_name text, b text); create table parent (full_name text); \
         create table heir () inherits (parent); insert into customers values (1, 'Ada'); insert into lure values (1)",
    );
    let drops = "alter table bait drop column full_name; insert into bait default values; \
         alter table lure drop column a; alter table lure drop column b; alter table lure drop column full_name; \
         alter table parent drop column full_name; insert into heir default values";
    cluster.load("shop", drops).expect("DDL");
    let now = snapshot_after(&cluster, "shop", &known);
    for table in ["bait", "lure", "parent", "heir"] {
        let left: Vec<_> = now.columns(&RelationName::new("public", table)).expect("a table").collect();
        assert!(left.is_empty(), "{table}: {left:?}");
        let sql = format!("select (select full_name from {table} limit 1) from customers");
        assert_eq!(cluster.psql("shop", &sql).expect("the server runs it"), "Ada", "{sql}");
        let [facts] = facts(&sql, &now).try_into().expect("one statement");
        let is_told = columns(&facts).contains_key("public.customers.full_name");
        assert!(is_told || facts.certainty == Certainty::Unknown, "{sql}: {:?}", facts.columns);
    }
}

/// What the gate says of statements on all that the schema has.
fn said(catalog: &Catalog) -> Vec<Facts> {
    let sql = [
        "select * from t",
        "select g from t",
        "select * from v",
        "select * from only_parent",
        "update t set a = 'x', b = 'y' where id = 1",
        "insert into t (a) values ('x')",
        "delete from t where id = 1",
        "update keyed set id = 'x' where id = 'y'",
        "update only_parent set a = 'x'",
        "select f(a) from t",
        "select a === b from t",
        "select a::mood from t",
        "create table fresh (m dom)",
        "insert into of_domain values ('x')",
        "analyze t",
        "insert into of_default (id) values (1) returning t",
        "select takes('{1}')",
        "update dated set b = 'x'",
    ];
    sql.iter().flat_map(|sql| stepgate_sql::analyze(sql.as_bytes(), catalog, &session())).collect()
}

#[test]
fn the_last_of_its_kind_that_is_gone_is_gone_from_what_is_known() {
    let (cluster, mut known) = shop(
        "create table keyed (id text primary key); create function touch() returns trigger language plpgsql as \
         $$ begin new.b := new.a; return new; end $$; create function f(x text) returns text language sql as 'select x'; \
         create function stamp() returns text language sql as $$ select 's' $$; \
         create table kept (id int); create function get() returns int language sql as 'select id from public.kept'; \
         create function of(n int) returns boolean language sql as 'select exists (select from public.kept where id = n)'; \
         create operator === (leftarg = text, rightarg = text, function = pg_catalog.texteq); \
         create domain dom as text default stamp() check (value <> ''); create domain sum as int default get() check (of(value)); create table of_domain (m dom); \
         create table of_default (id int, t sum); create function takes(a sum[]) returns int language sql as 'select 1'; \
         create table dated (at timestamptz check (at > now()), b text); create type mood as enum ('a'); \
         create table t (id int, a text default stamp() check (a <> ''), b text references keyed on update cascade, \
         g text generated always as (a) stored, unique (a)); create view v as select a, b from t; \
         create trigger touches before update on t for each row execute function touch(); \
         create rule nothing as on delete to t do also select 1; create policy mine on t using (b is not null); \
         alter table t enable row level security; create statistics s on f(a), b from t; \
         create table only_parent (a text); create table only_child () inherits (only_parent); \
         create materialized view m as select a from t",
    );
    let mut before = said(&known);
    for (removal, is_seen) in [
        ("alter domain sum drop default", true),
        ("alter domain sum drop constraint sum_check", true),
        ("alter table dated drop constraint dated_at_check", true),
        ("drop policy mine on t", true),
        ("drop trigger touches on t", true),
        ("drop rule nothing on t", true),
        ("alter table t alter column a drop default", true),
        ("alter table t drop constraint t_a_check", true),
        ("alter table t drop constraint t_a_key", true),
        ("alter table t drop constraint t_b_fkey", true),
        ("drop statistics s", true),
        ("alter table t alter column g drop expression", true),
        ("alter table only_child no inherit only_parent", true),
        ("create or replace view v as select a, null::text as b from t", true),
        ("drop materialized view m", false),
        ("drop view v", true),
        ("drop operator === (text, text)", true),
        ("alter domain dom drop constraint dom_check", false),
        ("drop type mood", false),
        ("drop function f(text)", false),
        ("alter table keyed drop column id", true),
        ("alter table t drop column a, drop column b, drop column id, drop column g", true),
    ] {
        cluster.load("shop", removal).expect(removal);
        let now = snapshot_after(&cluster, "shop", &known);
        let after = said(&now);
        assert_eq!(after, said(&snapshot(&cluster, "shop")), "{removal}");
        assert!(after != before || !is_seen, "{removal}: it changes what is said");
        (known, before) = (now, after);
    }
}
