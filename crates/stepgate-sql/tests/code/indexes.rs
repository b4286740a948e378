//! What indexes tell of the columns that they are made of.

use stepgate_testkit::Cluster;

use super::check;
use super::common::{snapshot, snapshot_of_version};

fn database(schema: &str) -> Cluster {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", schema).expect("load the schema");
    cluster
}

#[test]
fn how_many_blocks_a_write_takes_tells_which_indexes_it_wrote() {
    let cluster = database(
        "create table paid (id int primary key, title text, secret int); create index on paid (secret);
         create table judged (id int primary key, title text, secret int); create index on judged (title) where secret > 50;
         create table computed (id int primary key, title text, secret text); create index on computed (lower(secret));
         create table carried (id int primary key, title text, secret int); create index on carried (title) include (secret);
         create table bare (id int primary key, title text, secret int);
         create table parted (id int, title text, secret int) partition by list (id);
         create table part partition of parted for values in (1); create index on part (secret);
         insert into paid select n, 'x', n * 1000 from generate_series(1, 100) n;
         insert into judged select n, 'x', n from generate_series(1, 100) n; vacuum analyze;
         create function writes() returns int language sql as 'update paid set title = title where id = 1 returning id'",
    );
    let blocks = |sql: &str| {
        let options = "analyze, buffers, costs off, timing off, summary off";
        let plan = cluster
            .psql("shop", &format!("begin; {sql}; rollback; begin; explain ({options}) {sql}; rollback"))
            .expect("a plan");
        plan.lines().find(|line| line.contains("Buffers")).expect("blocks").to_owned()
    };
    assert_ne!(
        blocks("update paid set secret = 50000 where id = 50"),
        blocks("update paid set secret = 50001 where id = 50")
    );
    assert_ne!(
        blocks("update judged set title = 'y' where id = 49"),
        blocks("update judged set title = 'y' where id = 52")
    );
    let catalog = snapshot(&cluster, "shop");
    let attacks = [
        ("explain (analyze, buffers) update paid set secret = 1 where id = 2", "paid.secret"),
        ("explain (buffers, analyze, format json) update paid set title = title where id = 2", "paid.secret"),
        ("explain (analyze, buffers) insert into paid (id) values (7)", "paid.secret"),
        ("explain (analyze, buffers) delete from paid where id = 2", "paid.secret"),
        ("explain (analyze, buffers) update judged set title = 'x' where id = 2", "judged.secret"),
        ("explain (analyze, buffers) update computed set title = 'x' where id = 2", "computed.secret"),
        ("explain (analyze, buffers) update carried set id = 3 where id = 2", "carried.secret"),
        (
            "explain (analyze, buffers) update parted set title = 'x' where id = 1",
            "parted.secret part.secret",
        ),
        (
            "explain (analyze, buffers) with w as (update paid set title = 'x' where id = 2 returning id) select id from w",
            "paid.secret",
        ),
        (
            "explain (analyze, buffers) merge into paid p using bare b on p.id = b.id when matched then update set title = 'x'",
            "paid.secret",
        ),
        ("explain (analyze, buffers) select writes()", "paid.secret"),
    ];
    check(&attacks, &catalog);
    let harmless = [
        ("explain (analyze, buffers) update bare set secret = 1 where id = 2", ""),
        ("explain (analyze, buffers) select title from paid where id = 2", ""),
        ("explain (buffers) update paid set secret = 1 where id = 2", ""),
        ("update paid set secret = 1 where id = 2", ""),
    ];
    check(&harmless, &catalog);
    // From 18 on, nobody need say BUFFERS.
    let analyzed = "explain analyze update paid set secret = 1 where id = 2";
    check(&[(analyzed, "")], &snapshot_of_version(&cluster, "shop", "170000"));
    check(&[(analyzed, "paid.secret")], &snapshot_of_version(&cluster, "shop", "180000"));
}

const ORDERED: &str = "
    create table paid (id int primary key, town text not null, name text, secret int); create index on paid (town, secret);
    create table held (id int primary key, name text, secret int); create index on held (secret) include (id);
    create table marked (id int primary key, active boolean, name text, secret int); create index on marked (secret) where active;
    create table computed (id int primary key, town text, secret text); create index on computed (town, lower(secret));
    create table backward (id int primary key, town text, name text, secret int); create index on backward (secret, town);
    create table parted (id int, town text, secret int) partition by list (id);
    create table part partition of parted for values in (1); create index on part (town, secret);
    create table late (id int not null unique deferrable, town text, secret int); create index on late (town, secret);
    create table elders (id int primary key, town text, secret int); create index on elders (town, secret);
    create table younger () inherits (elders);
    create materialized view filled as select id, town, secret from paid; create index on filled (town, secret);
    create view seen as select id, town, name from paid;
    create table refers (id int primary key, of int references paid); create index on refers (of);
    create table keyed (id int primary key, name text, secret int); create index on keyed (id, secret);
    create table alone (id int primary key, town text, name text, secret int unique); create index on alone (town);
    create index on alone (lower(name)); create index on alone using brin (town, secret);
    create function by_town() returns setof int language sql as 'select id from paid where town = ''x'' order by id';
    insert into paid values (1, 'x', 'a', 30), (2, 'x', 'b', 10), (3, 'x', 'c', 20), (4, 'y', 'd', 5);
    insert into held select id, name, secret from paid; insert into marked select id, true, name, secret from paid;
    insert into backward select * from paid; insert into refers select id, id from paid; analyze;
";

#[test]
fn the_order_of_rows_tells_what_an_index_has_besides() {
    let cluster = database(ORDERED);
    let first = |sql: &str| {
        let by_index = "set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off; set enable_hashjoin = off;
            set enable_mergejoin = off; set enable_material = off";
        let rows = cluster.psql("shop", &format!("{by_index}; {sql}"));
        rows.unwrap_or_else(|error| error.to_string())
    };
    for sql in [
        "select id from paid where town = 'x'",
        "select id from held where id in (1, 2, 3)",
        "select id from marked where active and name <> 'd'",
        "select id from backward where town = 'x'",
        "select id from paid order by town",
    ] {
        let rows = first(sql);
        let rows: Vec<_> = rows.split_whitespace().take(3).collect();
        assert_eq!(rows, ["2", "3", "1"], "{sql}");
    }
    let failing = first("select count(*) from paid where town = 'x' and (name || 'zz')::int > 0");
    assert!(failing.contains("bzz"), "{failing}");
    let attacks = [
        ("select id from paid where town = 'x'", "paid.secret"),
        ("select name from paid where town = 'x' limit 1", "paid.secret"),
        ("select id, name from paid order by town limit 3", "paid.secret"),
        ("select distinct on (town) id, name, town from paid order by town", "paid.secret"),
        ("select town, max(id), string_agg(name, ',') from paid group by town", "paid.secret"),
        ("select array_agg(id) from paid where town = 'x'", "paid.secret"),
        ("select row_number() over (), id from paid where town = 'x' order by id", "paid.secret"),
        ("select id from paid where town in ('x', 'y') order by town", "paid.secret"),
        ("select id from paid where town = 'x' order by name", "paid.secret"),
        ("select p.id from paid p join refers r on r.of = p.id where p.town = 'x'", "paid.secret"),
        ("select of from refers where of in (select id from paid where town = 'x')", "paid.secret"),
        (
            "select of from refers r where exists (select 1 from paid p where p.id = r.of and town = 'x' order by p.id)",
            "paid.secret",
        ),
        ("select * from (select id, town from paid) s where town = 'x'", "paid.secret"),
        ("with s as (select id from paid where town = 'x') select * from s", "paid.secret"),
        ("select array(select id from paid where town = 'x')", "paid.secret"),
        ("select (select name from paid where town = 'x' limit 1)", "paid.secret"),
        ("select count(*) from (select id from paid where town = 'x' limit 1) s where id = 3", "paid.secret"),
        ("insert into refers (of) select id from paid where town = 'x'", "paid.secret"),
        ("update paid set name = 'q' where town = 'x'", "paid.secret"),
        ("delete from paid where town = 'x' returning id", "paid.secret"),
        ("declare c cursor for select id from paid where town = 'x'", "paid.secret"),
        ("copy (select id from paid where town = 'x') to stdout", "paid.secret"),
        ("create table made as select id from paid where town = 'x'", "paid.secret"),
        ("select id from seen where town = 'x' order by id", "paid.secret"),
        ("select by_town()", "paid.secret"),
        // By which row it fails, or stops, it tells which comes first.
        ("select count(*) from paid where town = 'x' and (name || 'zz')::int > 0", "paid.secret"),
        ("select id from paid where town = 'x' and name::int > 0 order by id", "paid.secret"),
        ("select id from paid where town = 'x' and nextval('s') < 2 order by id", "paid.secret"),
        ("select sum(1e20::float8 - id) from paid where town = 'x'", "paid.secret"),
        // Nothing else is read of it, or nothing that is sure to be.
        ("select id from held", "held.secret"),
        ("select id from held where id > 3 limit 1", "held.secret"),
        ("select id from held where true or name = 'x'", "held.secret"),
        ("select id from (select id, name from held) s", "held.secret"),
        ("select a.id from held a, held b where b.name = 'x'", "held.secret"),
        ("select id, name from marked where active", "marked.secret"),
        ("select id from computed where town = 'x'", "computed.secret"),
        ("select id from backward where town = 'x'", "backward.secret"),
        ("select id from parted where town = 'x'", "parted.secret part.secret"),
        ("select id from late where town = 'x' order by id", "late.secret"),
        ("select id from elders where town = 'x' order by id", "elders.secret younger.secret"),
        ("select id from filled where town = 'x'", "filled.secret paid.secret"),
    ];
    check(&attacks, &snapshot(&cluster, "shop"));
}

#[test]
fn an_order_that_is_asked_for_or_cannot_be_seen_tells_nothing() {
    let cluster = database(ORDERED);
    let harmless = [
        ("select id, name from paid where town = 'x' order by id", ""),
        ("select p.id, p.name from paid p where p.town = 'x' order by p.name, p.id desc limit 10", ""),
        ("select id as key, town from paid where town = 'x' order by key", ""),
        ("select id, name from paid where town = 'x' order by 1", ""),
        ("select * from (select id, name from paid where town = 'x' order by id) s", ""),
        ("select name from paid where id = 7 and town = 'x'", ""),
        ("select name from paid where town = 'x' and id = $1", ""),
        ("select count(*), max(name), sum(id), count(distinct name) from paid where town = 'x'", ""),
        ("select count(*) from (select id from paid where town = 'x') s", ""),
        ("select town, count(*) from paid group by town order by town", ""),
        ("select distinct town from paid order by town", ""),
        ("select r.id, p.name from refers r join paid p on p.id = r.of where p.town = 'x' order by r.id", ""),
        (
            "select r.id, p.name from refers r left join paid p on p.id = r.of and p.town = 'x' order by r.id",
            "",
        ),
        ("select id from refers where of in (select id from paid where town = 'x') order by id", ""),
        (
            "select id from paid p where town = 'x' and exists (select 1 from refers where of = p.id) order by id",
            "",
        ),
        ("select id, lower(name), date_trunc('day', now()) from paid where town = 'x' order by id", ""),
        ("update paid set name = 'q' where id = 7 and town = 'x'", ""),
        ("delete from paid where town = 'x'", ""),
        ("explain select id from paid where town = 'x'", ""),
        // What no index is of any use to.
        ("select id, name from paid", ""),
        ("select id, town, name from paid where id < 7", ""),
        ("select * from refers", ""),
        ("select id, name from held", ""),
        ("select id from held where name = 'x'", ""),
        ("select id, name from marked where id < 7", ""),
        ("select id, town, name from backward order by town", ""),
        ("select count(*) from held", ""),
        ("select id from keyed", ""),
        ("select id, name from keyed where id > 3 order by id", ""),
        ("select id, name from alone where town = 'x'", ""),
        ("select id from alone where lower(name) = 'x'", ""),
        ("select id, name from alone order by town limit 3", ""),
        ("insert into paid (id, town) values (9, 'x')", ""),
    ];
    check(&harmless, &snapshot(&cluster, "shop"));
}
