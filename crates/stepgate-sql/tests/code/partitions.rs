//! In which partition or child a row is tells of the columns by which those are kept apart.

use super::common::snapshot;
use super::{check, database};

const SCHEMA: &str = "
    create table health (id int, secret text, note text) partition by list (secret);
    create table health_hiv partition of health for values in ('hiv') partition by range (id);
    create table health_hiv_1 partition of health_hiv for values from (0) to (100);
    create table health_flu partition of health for values in ('flu');
    create table computed (id int, secret text, note text) partition by list (lower(secret));
    create table computed_a partition of computed for values in ('a'); create table computed_b partition of computed default;
    create table nested (id int, secret text, note text) partition by range (id);
    create table nested_1 partition of nested for values from (0) to (100) partition by list (secret);
    create table nested_1_a partition of nested_1 for values in ('a'); create table nested_1_b partition of nested_1 default;
    create table dated (id int, secret text, note text) partition by range (id);
    create table dated_1 partition of dated for values from (0) to (100);
    create table dated_2 partition of dated for values from (100) to (200);
    create table elders (id int, secret text, note text, check (secret <> ''));
    create table younger (check (secret like 'a%')) inherits (elders);
    create table grandchild () inherits (younger);
    create table alike (id int, secret text, note text, check (secret <> ''));
    create table alike_1 (check (id < 100)) inherits (alike); create table alike_2 (check (id >= 100)) inherits (alike);
    create table stored (id int, secret text, note text, part oid generated always as (tableoid) stored) partition by list (secret);
    create table stored_a partition of stored for values in ('a'); create table stored_b partition of stored default;
    create view shown as select id, tableoid as part from health;
    create view shown_distinct as select distinct id, tableoid::regclass::text as part from health;
    create view of_one as select id from health_hiv; create view all_of as select id, note from health;
    create materialized view filled as select id, tableoid as part from health;
    create table judged (id int); create policy p on judged using (exists (select from health h where h.tableoid::int = judged.id));
    create table judged_by_one (id int); create policy p on judged_by_one using (id in (select h.id from health_hiv h));
    create table judged_by_all (id int); create policy p on judged_by_all using (id in (select h.id from health h));
    alter table judged_by_all enable row level security;
    alter table judged enable row level security; alter table judged_by_one enable row level security;
    create function parts() returns setof oid language sql stable as 'select tableoid from public.health';
    create function of_health(n int) returns table (id int) language sql stable as 'select h.id from public.health h where h.id = n';
    create table log (id int, note text);
    create function logs() returns trigger language plpgsql as 'begin insert into log values (new.id, tg_table_name); return new; end';
    create table audited (id int, secret text, note text) partition by list (secret);
    create table audited_a partition of audited for values in ('a'); create table audited_b partition of audited default;
    create trigger logged after insert or update of note on audited for each row execute function logs();
    insert into health values (1, 'hiv', 'x'), (2, 'flu', 'y'); insert into younger values (1, 'ab', 'x'); insert into elders values (2, 'b', 'y');";

#[test]
fn the_partition_or_child_of_a_row_tells_what_those_are_kept_apart_by() {
    let (cluster, _) = database("planned.sql");
    cluster.load("shop", SCHEMA).expect("partitions");
    for (attack, told) in [
        ("select id, tableoid::regclass from health order by id", "health_flu"),
        ("select id from health_hiv", "1"),
        ("explain (analyze, costs off, timing off, summary off) select id from health", "health_flu"),
    ] {
        assert!(cluster.psql("shop", attack).expect("the server runs it").contains(told), "{attack}");
    }
    let catalog = snapshot(&cluster, "shop");
    let health = "health.secret health_hiv.secret health_hiv_1.secret health_flu.secret";
    let computed = "computed.secret computed_a.secret computed_b.secret";
    let nested = "nested.secret nested_1.secret nested_1_a.secret nested_1_b.secret";
    let children = "elders.secret younger.secret grandchild.secret";
    let audited = "audited.secret audited_a.secret audited_b.secret";
    let stored = "stored.secret stored_a.secret stored_b.secret";
    let cases = [
        ("select id, tableoid::regclass from health", health),
        ("select id, h.tableoid from health h", health),
        ("select id, public.health.tableoid from public.health", health),
        ("select count(*) from health group by tableoid", health),
        ("select id from health order by tableoid", health),
        ("select id from health where tableoid = 'health_hiv'::regclass", health),
        ("select tableoid from health, (select 1) s", health),
        ("select t from (select tableoid as t from health) x", health),
        ("update health set note = 'z' where id = 1 returning tableoid", health),
        ("delete from health where tableoid = 'health_hiv'::regclass", health),
        ("select id from health_hiv", health),
        ("select count(*) from health_hiv_1", health),
        ("select 1 from plain where exists (select from health_flu)", health),
        ("copy health_flu (id) to stdout", health),
        ("update health_flu set note = 'z'", health),
        ("delete from health_flu", health),
        // Who waits for a row too long, or does not wait, is told where it is.
        ("select id from health where id = 1 for update nowait", health),
        ("select id from all_of for share", health),
        ("delete from health where id = 1", health),
        ("explain analyze select id from health", health),
        ("explain (analyze) select count(*) from all_of", health),
        ("explain analyze update health set note = 'z'", health),
        // The server puts the query of such a function in the place of its call.
        ("explain analyze select * from of_health(1)", health),
        ("select * from of_health(1)", ""),
        ("explain analyze select id from judged_by_all", health),
        ("select id from judged_by_all", ""),
        ("select part from shown", health),
        ("select part from shown_distinct", health),
        ("select id from of_one", health),
        ("select part from filled", health),
        ("select id from judged", health),
        ("select id from judged_by_one", health),
        ("select * from parts()", health),
        ("select tableoid from computed", computed),
        ("select id from computed_a", computed),
        ("select tableoid from nested", nested),
        ("select tableoid from nested_1", nested),
        ("select id from nested_1_a", nested),
        ("select tableoid from elders", children),
        ("select id from younger", children),
        ("select id from grandchild", children),
        ("select part from stored", stored),
        // A trigger knows the partition.
        ("update audited set note = 'x' where id = 1", audited),
        // It may be of any query.
        ("explain analyze execute p", "?"),
        // How long the rows are that are written tells of all their columns.
        ("explain (analyze, wal) update plain set a = 1", "?"),
        // What is not kept apart by it.
        ("select id, note from health", ""),
        ("select count(*), ctid from health group by ctid", ""),
        ("explain select id from health", ""),
        ("select id from all_of", ""),
        ("select id, tableoid from dated", ""),
        ("select id from dated_1", ""),
        ("explain analyze select id from dated", ""),
        ("select id from nested_1", ""),
        ("select tableoid from nested_1_a where false", nested),
        ("select a, tableoid from plain", ""),
        ("select id, tableoid from alike", ""),
        ("select id from alike_1", ""),
        ("select id from elders", ""),
        ("select id from dated for update", ""),
        ("delete from dated where id in (select id from health)", ""),
        ("select tableoid from pg_class", ""),
        ("select c.tableoid, c.oid from pg_catalog.pg_class c", ""),
        ("insert into health_hiv (id, note) values (1, 'x')", ""),
        ("analyze health_hiv", ""),
    ];
    check(&cases, &catalog);
}
