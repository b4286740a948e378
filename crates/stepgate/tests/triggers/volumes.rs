//! How much somebody is about to read, by the planner where the catalog's bound leaves it open.

use crate::history::{self, DANA};
use crate::support::World;
use crate::{decided, fires, policy, rule, silent};

/// Twenty thousand rows with statistics, as many without, and few.
const TABLES: &str = "
    create table readings (id bigint primary key, size int);
    insert into readings select i, i % 300 from generate_series(1, 20000) i;
    create table few as select * from readings limit 20;
    analyze readings, few;
    create table fresh (id bigint primary key, size int) with (autovacuum_enabled = false);
    insert into fresh select * from readings;
    grant select on readings, few, fresh to stepgate_analyst;
";

/// Dana's statements are estimated at 5,000 rows as a rule.
fn world(risk: &str, matches: &str) -> World {
    let mut world = World::not_serving(|_| policy(risk, &rule(matches)));
    world.cluster.load("shop", TABLES).unwrap();
    for setting in ["log_statement = 'all'", "log_min_messages = 'log'"] {
        world.cluster.psql("shop", &format!("alter system set {setting}")).unwrap();
    }
    world.cluster.psql("shop", "select pg_reload_conf()").unwrap();
    history::plant(&world, &[DANA]);
    world.gate.serve().unwrap();
    world
}

/// How often the server was asked to plan something.
fn asked(world: &World) -> usize {
    let log = "select pg_read_file(current_setting('data_directory') || '/../log')";
    world.cluster.psql("shop", log).unwrap().matches(": EXPLAIN (FORMAT JSON) ").count()
}

const VOLUME: &str = "risk:\n  signals: {volume: 40}\n  volume: {times: 2, rows: 200}\n";

#[test]
fn a_look_up_by_key_in_a_large_table_is_silent_and_reading_it_whole_or_nobody_knows_how_much_asks() {
    let world = world(VOLUME, "{risk: \">=40\", kind: [select]}");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    // By the catalog it is at most 20,000 rows, and by the planner one.
    silent(&world, &mut psql, "select size from readings where id = 17;");
    assert_eq!(decided(&world, "forward")["signals"][0]["bucket"], "usual");
    assert_eq!(asked(&world), 1);
    fires(&world, &mut psql, &dana, "volume", "select size from readings;");
    assert_eq!(decided(&world, "hold")["signals"][0]["bucket"], "2x");
    // What is read whole needs no question. What is at most as much as usual is not worth one, nor is what returns
    // nothing.
    silent(&world, &mut psql, "select size from few where id = 17;");
    silent(&world, &mut psql, "begin;");
    silent(&world, &mut psql, "commit;");
    assert_eq!(asked(&world), 1);
    fires(&world, &mut psql, &dana, "volume", "select size from fresh where id = 17;");
    assert_eq!(decided(&world, "hold")["signals"][0]["bucket"], "unknown");
}

#[test]
fn the_planner_is_not_asked_where_nobody_weighs_how_much_or_it_decides_nothing() {
    for (risk, matches) in [
        ("risk:\n  signals: {new_client: 40}\n", "{risk: \">=40\", kind: [select]}"),
        (VOLUME, "{risk: \">=40\", kind: [delete]}"),
    ] {
        let world = world(risk, matches);
        let dana = world.dana();
        let mut psql = world.psql(&dana);
        let reply = psql.run("select size from readings where id = 17;").unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
        assert_eq!(asked(&world), 0, "{risk}");
        if risk == VOLUME {
            // It says of the number that it is a bound.
            assert_eq!(decided(&world, "forward")["signals"][0]["bucket"], "at most 2x");
        }
    }
}
