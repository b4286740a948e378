//! Databases that a wildcard stands for.

use stepgate_testkit::{Cluster, Person, until};

use crate::support::{SOON, World, held, waits};

/// Databases `app_1`, `app_2` and `other` with a table of people each, and wildcards for them.
fn tenants(entries: &str) -> World {
    // Room for a gate's connections to more databases than it may have open, and for those of people besides.
    let cluster = Cluster::builder().setting("max_connections", "200").start().unwrap();
    let world = World::before(cluster, |text| text);
    for name in ["app_1", "app_2", "other", "shop_prod"] {
        world.cluster.create_database(name).unwrap();
        let sql = "create table people (id int, ssn text); insert into people values (1, '901-00-0001');
                   grant select on people to stepgate_analyst;";
        world.cluster.load(name, sql).unwrap();
    }
    let port = world.cluster.port();
    let entries = entries.replace(
        "REST",
        &format!("host: 127.0.0.1, port: {port}, sslmode: disable, user: stepgate_analyst, password_file: secrets/shop"),
    );
    world.edit("databases:\n", &format!("databases:\n{entries}"));
    let map = world.gate.directory().join("policies/pii-map.yaml");
    let text = std::fs::read_to_string(&map).unwrap();
    let more = "databases:\n  \"app_*\":\n    public.people: {columns: {ssn: ssn}}\n  app_2:\n    public.people: {}\n";
    assert!(text.contains("databases:\n"));
    std::fs::write(&map, text.replacen("databases:\n", more, 1)).unwrap();
    world
}

#[test]
fn a_wildcard_stands_for_what_the_server_has_and_labels_go_by_the_real_name() {
    let mut world = tenants("  \"app_*\": {REST, dbname: \"*\"}\n");
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut first = world.psql_in(&dana, "app_1");
    assert!(first.run("select id from people;").unwrap().is_ok());
    waits(&world, &mut first, &dana, "select ssn from people;");
    // The longest entry of the map is the one that counts.
    let mut second = world.psql_in(&dana, "app_2");
    let reply = second.run("select ssn, current_database() from people;").unwrap();
    assert!(reply.is_ok() && reply.text().contains("901-00-0001") && reply.text().contains("app_2"));
    let no_such = |name: &str| format!("FATAL:  database \"{name}\" does not exist");
    for name in
        ["app_3", "app_", "other", "template1", "shop_prod", "app_*", "app_1 ", "APP_1", "", &"a".repeat(70)]
    {
        let (is_in, text) = world.connects(&dana, &format!("'{name}'"));
        let asked = if name.is_empty() { "dana" } else { name };
        assert!(!is_in && text.contains(&no_such(asked)), "{name}: {text}");
    }
    let record = world.records().into_iter().filter(|it| it["type"] == "session.opened");
    let databases: Vec<_> = record.map(|it| it["database"].as_str().unwrap_or_default().to_owned()).collect();
    assert_eq!(databases, ["app_1", "app_2"]);
    // Names that somebody tries are shown nowhere.
    assert!(!world.gate.log().contains("app_3"), "{}", world.gate.log());
    // What the server refuses reads as the server says it.
    world.cluster.psql("app_1", "revoke connect on database app_2 from public").unwrap();
    let (is_in, text) = world.connects(&dana, "app_2");
    assert!(!is_in && text.contains("permission denied for database \"app_2\""), "{text}");
    assert!(text.contains("DETAIL:  User does not have CONNECT privilege."), "{text}");
    let checked = world.gate.run(["doctor"], "").unwrap().text();
    assert!(checked.contains("database app_2"), "{checked}");
    let lint = world.gate.run(["map", "lint", "--database", "app_1"], "").unwrap();
    assert_eq!(lint.status, 0, "{}", lint.text());
}

#[test]
fn a_role_that_may_too_much_is_told_of_by_doctor_and_once_a_wildcards_database_is_asked_for() {
    let mut world = tenants("  \"app_*\": {REST, dbname: \"*\"}\n  \"none_*\": {REST, dbname: \"*\"}\n");
    world.cluster.psql("shop", "alter role stepgate_analyst createrole").unwrap();
    // The map names `app_2`, not `app_1`; nothing at all of what `none_*` stands for is there.
    let told = |world: &World| world.gate.run(["doctor"], "").unwrap().text();
    let said = told(&world);
    assert!(said.contains("those that the map names are looked at"), "{said}");
    assert!(said.contains("stands for none at this moment: nothing was looked at"), "{said}");
    let map = world.gate.directory().join("policies/pii-map.yaml");
    let text = std::fs::read_to_string(&map).unwrap();
    std::fs::write(&map, text.replace("  app_2:\n    public.people: {}\n", "")).unwrap();
    let said = told(&world);
    assert!(said.contains("app_1 is looked at, as one that it stands for"), "{said}");
    assert!(said.contains("rights app_1") && said.contains("is able to make roles (CREATEROLE)"), "{said}");
    world.gate.serve().unwrap();
    let logged = |world: &World, database: &str| {
        let is_it = |line: &&str| line.contains("CREATEROLE") && line.contains(database);
        world.gate.log().lines().filter(is_it).count()
    };
    let dana = world.dana();
    until("the named one is told of", SOON, || logged(&world, "shop") == 1).unwrap();
    assert_eq!(logged(&world, "app_1"), 0);
    let mut first = world.psql_in(&dana, "app_1");
    assert!(first.run("select 1;").unwrap().is_ok());
    until("the wildcard's is told of", SOON, || logged(&world, "app_1") == 1).unwrap();
    // And one that a reload brings, of which the map says nothing.
    let port = world.cluster.port();
    let entry = format!(
        "databases:\n  spare: {{host: 127.0.0.1, port: {port}, sslmode: disable, user: stepgate_analyst, \
         password_file: secrets/shop, dbname: other}}\n"
    );
    world.edit("databases:\n", &entry);
    world.reload();
    until("what came by a reload is told of", SOON, || logged(&world, "spare") == 1).unwrap();
    let log = world.gate.log();
    let silent = log.lines().find(|line| line.contains("the map says nothing of it")).unwrap();
    assert!(silent.contains("spare"), "{silent}");
    assert_eq!((logged(&world, "shop"), logged(&world, "app_1")), (1, 1), "{log}");
}

#[test]
fn a_database_that_takes_nobody_in_says_so_in_postgresqls_words() {
    let mut world = tenants("  \"app_*\": {REST, dbname: \"*\"}\n");
    world.gate.serve().unwrap();
    world.cluster.psql("shop", "alter database app_1 allow_connections false").unwrap();
    let (is_in, text) = world.connects(&world.dana(), "app_1");
    assert!(!is_in && text.contains("database \"app_1\" is not currently accepting connections"), "{text}");
}

#[test]
fn a_name_that_the_server_refuses_for_what_it_is_reaches_no_log() {
    let mut world = tenants("  \"app_*\": {REST, dbname: \"*\"}\n");
    let file = world.cluster.psql("shop", "show hba_file").unwrap();
    let before = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("host app_canary,app_2 all 127.0.0.1/32 reject\n{before}")).unwrap();
    world.cluster.psql("shop", "select pg_reload_conf()").unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    // Whether there is such a database, the server does not say; of one that there is, it is not told either.
    for name in ["app_canary", "app_2"] {
        let (is_in, text) = world.connects(&dana, name);
        assert!(!is_in && text.contains(&format!("cannot reach database \"{name}\"")), "{text}");
        assert!(text.contains("does not let it in"), "{text}");
    }
    let log = world.gate.log();
    assert!(log.contains("refuses the catalog's role") && log.contains("28000"), "{log}");
    assert!(!log.contains("app_canary") && !log.contains("app_2"), "{log}");
    let records = serde_json::to_string(&world.records()).unwrap();
    assert!(records.contains("server-refused") && !records.contains("app_canary"), "{records}");
}

#[test]
fn a_database_with_a_name_of_its_own_cannot_be_had_by_another_through_a_wildcard() {
    // `localhost` and 127.0.0.1 are one server.
    for host in ["127.0.0.1", "localhost"] {
        let mut world = tenants("  live: {REST, dbname: other}\n  \"*\": {REST}\n");
        world.edit("\"*\": {host: 127.0.0.1,", &format!("\"*\": {{host: {host},"));
        world.gate.serve().unwrap();
        let dana = world.dana();
        assert!(world.connects(&dana, "live").0);
        let (is_in, text) = world.connects(&dana, "other");
        assert!(!is_in && text.contains("database \"other\" does not exist"), "{host}: {text}");
        assert!(world.connects(&dana, "app_1").0 && world.connects(&dana, "shop_prod").0);
        // A wildcard gives way to a name.
        let mut psql = world.psql(&dana);
        psql.send("select ssn from customers limit 1;").unwrap();
        held(&mut psql);
    }
}

#[test]
fn whatever_becomes_of_the_named_one_no_wildcard_stands_for_it() {
    let mut world = tenants("  live: {REST, dbname: other}\n  \"*\": {REST}\n");
    let port = world.cluster.port();
    let is_refused = |world: &World, dana: &Person, name: &str| {
        let (is_in, text) = world.connects(dana, name);
        assert!(!is_in && text.contains(&format!("database \"{name}\" does not exist")), "{name}: {text}");
    };
    // No identity to go by, and nobody has asked for the named one yet.
    world.cluster.psql("other", "revoke execute on function pg_control_system() from public").unwrap();
    world.edit("live: {host: 127.0.0.1,", "live: {host: localhost,");
    world.gate.serve().unwrap();
    let dana = world.dana();
    is_refused(&world, &dana, "other");
    assert!(world.connects(&dana, "live").0);
    is_refused(&world, &dana, "other");
    world.cluster.psql("other", "grant execute on function pg_control_system() to public").unwrap();
    // At once after it has changed.
    world.edit("live: {host: localhost,", "live: {host: 127.0.0.1,");
    world.reload();
    is_refused(&world, &dana, "other");
    assert!(world.connects(&dana, "live").0 && world.connects(&dana, "app_1").0);
    // Out of reach.
    world.edit(&format!("live: {{host: 127.0.0.1, port: {port},"), "live: {host: localhost, port: 1,");
    world.reload();
    is_refused(&world, &dana, "other");
    assert!(!world.connects(&dana, "live").0);
    is_refused(&world, &dana, "other");
    // Named only now: whoever is in by the wildcard is not any more.
    let mut goes = world.psql_in(&dana, "app_1");
    assert!(goes.run("select 1;").unwrap().is_ok());
    world.edit("dbname: other", "dbname: app_1");
    world.reload();
    assert!(goes.run("select 1;").is_err());
    is_refused(&world, &dana, "app_1");
}

#[test]
fn a_name_that_the_server_cuts_is_the_one_that_it_is_cut_to() {
    let (long, cut) = ("n".repeat(70), "n".repeat(63));
    let mut world = tenants(&format!("  live: {{REST, dbname: {long}}}\n  \"*\": {{REST}}\n"));
    world.cluster.create_database(&cut).unwrap();
    // With no identity to go by.
    world.cluster.psql(&cut, "revoke execute on function pg_control_system() from public").unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    for name in [&cut, &"n".repeat(64), &long] {
        let (is_in, text) = world.connects(&dana, name);
        assert!(!is_in && text.contains(&format!("database \"{name}\" does not exist")), "{name}: {text}");
    }
    // The other way round.
    world.edit(&long, &cut);
    world.reload();
    assert!(world.connects(&dana, "live").0);
    for name in [&cut, &"n".repeat(64), &format!("{cut}_")] {
        let (is_in, text) = world.connects(&dana, name);
        assert!(!is_in && text.contains(&format!("database \"{name}\" does not exist")), "{name}: {text}");
    }
}

#[test]
fn there_are_no_more_open_at_a_time_than_are_allowed_and_idle_ones_give_way() {
    let mut world = tenants("  \"t_*\": {REST}\n");
    let names: Vec<_> = (0..70).map(|number| format!("t_{number}")).collect();
    for name in &names {
        // A copy of template0 is quick enough for seventy.
        world.cluster.psql("postgres", &format!("create database {name} strategy wal_log")).unwrap();
    }
    world.gate.serve().unwrap();
    let dana = world.dana();
    // Forty that are in use stay, whatever becomes of the others.
    let mut stay: Vec<_> = names.iter().take(40).map(|name| world.psql_in(&dana, name)).collect();
    assert!(stay.iter_mut().all(|psql| psql.run("select 1;").unwrap().is_ok()));
    for name in &names {
        let (is_in, text) = world.connects(&dana, name);
        assert!(is_in, "{name}: {text}");
    }
    // The gate's own readers of catalogs: people's sessions are in those databases whatever becomes of these.
    let readers = "select count(distinct datname) from pg_stat_activity where datname like 't\\_%'
                   and application_name = 'stepgate catalog'";
    let open = || world.cluster.psql("postgres", readers).unwrap().parse::<usize>().unwrap();
    until("those that gave way to be closed", SOON, || open() <= 64).unwrap();
    assert!(open() >= stay.len(), "{}", open());
    assert!(stay.iter_mut().all(|psql| psql.run("select 1;").unwrap().is_ok()));
    // Asked for again, it is there again.
    assert!(world.connects(&dana, &names[1]).0);
}
