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
