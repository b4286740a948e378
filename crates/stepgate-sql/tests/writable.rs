//! What a role may write, as the server lets it.

#![allow(clippy::expect_used, reason = "a test")]

use std::collections::BTreeSet;

use stepgate_sql::writable_query;
use stepgate_testkit::Cluster;

const SCHEMA: &str = "
    create role \"it's\" login; create role grouped; grant grouped to \"it's\"; create role other;
    create table own (a int); alter table own owner to \"it's\";
    create table one_column (a int, b int); grant update (b) on one_column to \"it's\";
    create table of_group (a int); grant insert on of_group to grouped;
    create table of_all (a int); grant insert on of_all to public;
    create table read_only (a int); grant select, delete on read_only to \"it's\";
    create table beneath (a int); create view above as select a from beneath; create view top as select a from above;
    grant insert on top to \"it's\";
    create table ruled (a int); create view rules as select 1 as a;
    create rule r as on delete to rules do instead insert into ruled values (1); grant delete on rules to \"it's\";
    create table parent (a int primary key); create table child (a int references parent on update cascade);
    create table hidden (a int); create view shows as select a from hidden; grant select on shows to \"it's\";
    create table of_other (a int); alter table of_other owner to other;";

fn writable(cluster: &Cluster) -> BTreeSet<String> {
    let rows = cluster.psql("shop", &writable_query("it's")).expect("an answer");
    rows.lines().map(|row| row.replace("public|", "")).collect()
}

#[test]
fn what_a_role_may_write_also_by_way_of_others_is_what_the_server_says() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("the schema");
    let known = ["own", "one_column", "of_group", "of_all", "beneath", "ruled", "child"];
    let known: BTreeSet<String> = known.map(str::to_owned).into();
    assert_eq!(writable(&cluster), known);
    let definer = "create function f() returns int language sql security definer as 'select 1';
        alter function f owner to other";
    cluster.load("shop", definer).expect("a function");
    assert!(writable(&cluster).contains("of_other"));
    cluster.load("shop", "revoke execute on function f from public").expect("a right");
    assert_eq!(writable(&cluster), known);
}
