//! A label stays with its column, whatever that is called: by OID and attribute number, kept with the log.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_testkit::Person;
use support::{SOON, World, passes};

/// In a session of its own, the statement waits, and is called off.
fn waits(world: &World, person: &Person, sql: &str) {
    support::waits(world, &mut world.psql(person), person, sql);
}

/// In a session of its own, the statement waits, and runs once `olga` has approved it.
fn approved(world: &World, person: &Person, olga: &mut Person, sql: &str) {
    support::approved(world, &mut world.psql(person), olga, sql);
}

/// What the gate has noticed: it looks every two seconds, or where a name is not known.
fn noticed(world: &World, text: &str) {
    stepgate_testkit::until_some(text, SOON, || world.gate.log().contains(text).then_some(())).unwrap();
}

#[test]
fn a_renamed_column_keeps_its_label_also_over_a_restart_during_which_it_was_renamed() {
    let mut world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select count(*), max(id) from customers;");
    world.cluster.load("shop", "alter table customers rename ssn to segment_code").unwrap();
    waits(&world, &dana, "select segment_code from customers limit 3;");
    noticed(&world, "public.customers.ssn was renamed and keeps its label");
    passes(&mut psql, "select max(id) from customers;");
    assert!(world.recorded("label.followed", "public.customers.segment_code"));
    // The gate sees neither this nor any of the ways there.
    world.gate.kill();
    let ddl = "alter table customers rename segment_code to code; alter table customers set schema hr; \
               alter table hr.customers rename to people; create table customers (id bigint, ssn text); \
               grant select on customers to public";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    waits(&world, &dana, "select code from hr.people limit 3;");
    waits(&world, &dana, "select count(*) from hr.people where code like '901%';");
    waits(&world, &dana, "select birth_date from hr.people limit 3;");
    // By its name, this one has the label as well.
    waits(&world, &dana, "select ssn from customers;");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select max(id) from hr.people;");
    // The second time, it is all known.
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    waits(&world, &dana, "select code from hr.people limit 3;");
}

#[test]
fn two_columns_that_swap_their_names_are_both_asked_about() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select segment from customers limit 1;");
    let ddl = "begin; alter table customers rename ssn to x; alter table customers rename segment to ssn; \
               alter table customers rename x to segment; commit";
    world.cluster.load("shop", ddl).unwrap();
    stepgate_testkit::until_some("labels that follow", SOON, || {
        world.recorded("label.followed", "public.customers.segment").then_some(())
    })
    .unwrap();
    waits(&world, &dana, "select segment from customers limit 3;");
    waits(&world, &dana, "select ssn from customers limit 3;");
}

#[test]
fn a_partition_keeps_the_labels_of_the_table_that_it_was_part_of() {
    let world = World::new();
    let ddl = "create table hr.staff (id int, pay int, team int) partition by list (team); \
               create table hr.staff_1 partition of hr.staff for values in (1); \
               create table hr.root (id int, pay int, g text generated always as (pay::text) stored); \
               create table hr.leaf (extra int) inherits (hr.root); \
               insert into hr.staff values (1, 4711, 1); insert into hr.leaf values (1, 4711); \
               grant select on all tables in schema hr to public";
    world.cluster.load("shop", ddl).unwrap();
    let map = std::fs::read_to_string(support::repository().join("policies/pii-map.yaml")).unwrap();
    let entries = "    hr.staff: {columns: {pay: salary}}\n    hr.root: {columns: {pay: salary}}\n";
    let map = map.replace("    hr.employees:", &format!("{entries}    hr.employees:"));
    let policy = std::fs::read_to_string(support::repository().join("policies/policy.yaml")).unwrap();
    world.gate.policies(&map, &policy).unwrap();
    let dana = world.dana();
    let loaded = || world.records().iter().filter(|it| it.to_string().contains("policy.loaded")).count();
    stepgate_testkit::until_some("the new map", SOON, || (loaded() > 1).then_some(())).unwrap();
    waits(&world, &dana, "select pay from hr.staff_1;");
    let ddl = "alter table hr.staff detach partition hr.staff_1; alter table hr.leaf no inherit hr.root; \
               alter table hr.root alter column g drop expression";
    world.cluster.load("shop", ddl).unwrap();
    stepgate_testkit::until_some("labels that follow", SOON, || {
        ["hr.staff_1.pay", "hr.leaf.pay", "hr.leaf.g", "hr.root.g"]
            .iter()
            .all(|name| world.recorded("label.followed", name))
            .then_some(())
    })
    .unwrap();
    for read in ["pay from hr.staff_1", "pay from hr.leaf", "g from hr.leaf", "g from hr.root"] {
        waits(&world, &dana, &format!("select {read};"));
    }
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select id, team from hr.staff_1;");
    passes(&mut psql, "select id, extra from hr.leaf;");
}

#[test]
fn what_was_copied_keeps_its_label_when_the_copy_is_renamed_with_the_gate_away() {
    let mut world = World::new();
    world.cluster.load("shop", "grant create on schema public to public").unwrap();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    approved(&world, &dana, &mut olga, "create table copies as select id, ssn as x from customers;");
    waits(&world, &dana, "select x from copies;");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "create table notes (id bigint, note text);");
    passes(&mut psql, "select id, note from notes;");
    approved(&world, &dana, &mut olga, "insert into notes select id, ssn from customers;");
    // Until the gate has looked once more.
    stepgate_testkit::until_some("bound columns", SOON, || {
        let bound = |it: &serde_json::Value| it.to_string().contains("label.bound");
        let records = world.records();
        let decided = |it: &serde_json::Value| it["type"] == "statement.decided";
        let stored = records.iter().rposition(|it| decided(it) && it.to_string().contains("public.notes"))?;
        records.get(stored..)?.iter().any(bound).then_some(())
    })
    .unwrap();
    world.gate.kill();
    let ddl =
        "alter table copies rename x to y; alter table copies rename to sheep; alter table notes rename to n";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    waits(&world, &dana, "select y from sheep;");
    waits(&world, &dana, "select note from n;");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select id from sheep;");
    passes(&mut psql, "select id from n;");
}

#[test]
fn a_column_added_to_a_renamed_table_has_the_class_of_unlisted_columns() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select count(*) from orders;");
    world.cluster.load("shop", "alter table hr.employees rename to staff").unwrap();
    noticed(&world, "hr.employees was renamed");
    world.cluster.load("shop", "alter table hr.staff add column badge text default 'b'").unwrap();
    let mut psql = world.psql(&dana);
    // The policy lets this class pass, and says so.
    passes(&mut psql, "select badge from hr.staff;");
    assert!(world.recorded("statement.decided", r#""class":"confidential","column":"hr.employees.\"*\"""#));
    waits(&world, &dana, "select salary from hr.staff;");
}

#[test]
fn labels_are_found_again_in_a_restored_dump() {
    let mut world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select count(*) from orders;");
    world.cluster.load("shop", "alter table customers rename ssn to code").unwrap();
    waits(&world, &dana, "select code from customers limit 3;");
    world.gate.kill();
    world.cluster.copy_database("shop", "restored").unwrap();
    let swap = "alter database shop rename to old; alter database restored rename to shop";
    // The gate's sessions are still ending.
    stepgate_testkit::until_some("a database of another name", SOON, || {
        world.cluster.load("postgres", swap).ok().map(drop)
    })
    .unwrap();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    waits(&world, &dana, "select code from customers limit 3;");
    waits(&world, &dana, "select birth_date from customers limit 3;");
    world.cluster.load("shop", "alter table customers rename birth_date to born").unwrap();
    waits(&world, &dana, "select born from customers limit 3;");
}

#[test]
fn ddl_beside_the_gate_that_is_announced_is_known_at_once() {
    let world = World::new();
    world.cluster.load_file("shop", &support::repository().join("docs/ddl-notify.sql")).unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select segment from customers limit 1;");
    noticed(&world, "listening for announced DDL");
    // Rolled back, it is nobody's affair.
    world.cluster.load("shop", "begin; alter table customers rename ssn to x; rollback").unwrap();
    passes(&mut psql, "select name from products limit 1;");
    // The poll comes every two seconds, and would find one of these each time.
    let began = std::time::Instant::now();
    let mut name = "ssn".to_owned();
    for at in 0..5 {
        let next = format!("moved_{at}");
        world.cluster.load("shop", &format!("alter table customers rename {name} to {next}")).unwrap();
        stepgate_testkit::until_some("a label that follows", SOON, || {
            world.recorded("label.followed", &next).then_some(())
        })
        .unwrap();
        name = next;
    }
    assert!(began.elapsed() < std::time::Duration::from_secs(7), "{:?}", began.elapsed());
    waits(&world, &dana, &format!("select {name} from customers limit 3;"));
}

#[test]
fn a_flood_of_announcements_is_not_left_for_the_server_to_keep() {
    let world = World::new();
    world.cluster.load_file("shop", &support::repository().join("docs/ddl-notify.sql")).unwrap();
    // Nobody listens to a database that nobody uses, so that it can be dropped.
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    noticed(&world, "listening for announced DDL");
    // Whoever may connect may do this. Each takes more than half a page of the server's queue.
    let flood = "do $$ begin for i in 1..3000 loop \
                 perform pg_notify('stepgate_ddl', repeat('x', 7000) || i); commit; end loop; end $$";
    world.cluster.psql("shop", flood).unwrap();
    stepgate_testkit::until_some("an empty queue", SOON, || {
        (world.cluster.psql("shop", "select pg_notification_queue_usage()").unwrap() == "0").then_some(())
    })
    .unwrap();
    passes(&mut psql, "select name from products limit 1;");
}

/// The trigger was loaded while nobody used the database, and the gate had let go of it: whoever comes next is told of DDL
/// as soon as anybody.
#[test]
fn after_a_rest_ddl_is_listened_for_from_the_first_session_on() {
    let world = World::new();
    let connections = "select count(*) from pg_stat_activity where application_name = 'stepgate catalog'";
    stepgate_testkit::until_some("a rest", SOON, || {
        (world.cluster.psql("postgres", connections).unwrap() == "0").then_some(())
    })
    .unwrap();
    world.cluster.load_file("shop", &support::repository().join("docs/ddl-notify.sql")).unwrap();
    assert!(!world.gate.log().contains("listening for announced DDL"));
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select name from products limit 1;");
    noticed(&world, "listening for announced DDL");
    let listens = "select count(*) from pg_stat_activity where query = 'LISTEN stepgate_ddl'";
    assert_eq!(world.cluster.psql("postgres", listens).unwrap(), "1");
}
