//! What the gate finds out about the servers behind it: rights that its role should not have, ways past it, and
//! poolers in between.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use stepgate_testkit::until;
use support::{SOON, World};

/// What `doctor` says of a thing: grade and detail of each line about it.
fn doctor(world: &World, check: &str) -> Vec<(String, String)> {
    let said = world.gate.run(["doctor", "-o", "json"], "").unwrap();
    let rows: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let rows = rows.as_array().unwrap().iter().filter(|row| row["check"] == check);
    rows.map(|row| (text(&row["status"]), text(&row["detail"]))).collect()
}

#[test]
fn an_ordinary_role_behind_a_closed_door_is_nothing_to_warn_of() {
    let mut world = World::not_serving(|text| text);
    let readable = "grant execute on function pg_hba_file_rules() to stepgate_analyst; \
                    grant select on pg_hba_file_rules to stepgate_analyst";
    world.cluster.psql("shop", readable).unwrap();
    assert_eq!(
        doctor(&world, "rights shop"),
        [("ok".to_owned(), "stepgate_analyst is an ordinary role".to_owned())]
    );
    assert_eq!(doctor(&world, "pg_hba shop"), [("ok".to_owned(), "lets nobody in past the gate".to_owned())]);
    world.gate.serve().unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    assert!(!world.gate.log().contains("stepgate_analyst"), "{}", world.gate.log());
}

#[test]
fn rights_beyond_need_and_ways_past_the_gate_are_told_by_doctor_and_at_the_start() {
    let mut world = World::not_serving(|text| text);
    let (grade, detail) = doctor(&world, "pg_hba shop").remove(0);
    assert!(grade == "warn" && detail.contains("cannot be read"), "{detail}");
    world
        .cluster
        .psql(
            "shop",
            "grant execute on function pg_hba_file_rules() to stepgate_analyst;
             grant select on pg_hba_file_rules to stepgate_analyst;
             alter role stepgate_analyst bypassrls createrole replication;
             grant pg_read_all_data, pg_monitor to stepgate_analyst;
             create role boss superuser; grant boss to stepgate_analyst",
        )
        .unwrap();
    let file = world.cluster.psql("shop", "show hba_file").unwrap();
    let mut hba = std::fs::OpenOptions::new().append(true).open(file).unwrap();
    writeln!(hba, "host shop all 10.0.0.0/8 scram-sha-256").unwrap();
    world.cluster.psql("shop", "select pg_reload_conf()").unwrap();
    let expected = |of_superuser: bool| {
        let mut expected = vec!["BYPASSRLS", "CREATEROLE", "REPLICATION"];
        if of_superuser {
            expected.push("is a member of a role that is a superuser");
        } else {
            expected.extend(["pg_read_all_data, which may read every table", "pg_monitor, which may see"]);
            expected.extend(["owns public.customers", "may CREATE in hr, public, beside mapped tables"]);
        }
        expected
    };
    let told = |world: &World, check: &str| {
        let rows = doctor(world, check);
        assert!(rows.iter().all(|(grade, _)| grade == "warn"), "{rows:?}");
        rows.into_iter().map(|(_, detail)| detail).collect::<Vec<_>>().join("\n")
    };
    let said = told(&world, "rights shop");
    assert!(expected(true).iter().all(|one| said.contains(one)), "{said}");
    let owner = "revoke boss from stepgate_analyst; alter table customers owner to stepgate_analyst; \
                 grant create on schema hr, public to stepgate_analyst";
    world.cluster.psql("shop", owner).unwrap();
    let said = told(&world, "rights shop");
    assert!(expected(false).iter().all(|one| said.contains(one)), "{said}");
    assert!(!said.contains("superuser"), "{said}");
    let past = told(&world, "pg_hba shop");
    assert!(past.contains("line 4 of pg_hba.conf") && past.contains("host shop all 10.0.0.0"), "{past}");
    world.gate.serve().unwrap();
    until("the warnings at the start", SOON, || {
        let log = world.gate.log();
        expected(false).iter().all(|one| log.contains(one)) && log.contains("10.0.0.0")
    })
    .unwrap();
}

/// In a schema that is called as the role is, before `public` in the default `search_path`.
#[test]
fn a_role_that_can_make_a_schema_of_its_own_name_is_told_of_by_doctor() {
    let world = World::not_serving(|text| text);
    let ordinary = [("ok".to_owned(), "stepgate_analyst is an ordinary role".to_owned())];
    assert_eq!(doctor(&world, "rights shop"), ordinary);
    world.cluster.psql("shop", "grant create on database shop to stepgate_analyst").unwrap();
    let told = doctor(&world, "rights shop");
    assert!(told.len() == 1 && told[0].0 == "warn", "{told:?}");
    assert!(told[0].1.contains("may CREATE schemas in the database"), "{told:?}");
    world.cluster.psql("shop", "revoke create on database shop from stepgate_analyst").unwrap();
    assert_eq!(doctor(&world, "rights shop"), ordinary);
}

/// It counts as a member of every role and owns every table: what it may besides is no news.
#[test]
fn a_role_that_is_a_superuser_is_told_of_once_and_by_that_alone() {
    let mut world = World::not_serving(|text| text);
    world.cluster.psql("shop", "alter role stepgate_analyst superuser createrole bypassrls").unwrap();
    let detail = "stepgate_analyst is a superuser: a statement that slipped through could use that";
    assert_eq!(doctor(&world, "rights shop"), [("warn".to_owned(), detail.to_owned())]);
    world.gate.serve().unwrap();
    let told = |world: &World| {
        let log = world.gate.log();
        let of_role = log.lines().filter(|line| line.contains("a statement that slipped through could use"));
        of_role.map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    until("the warning", SOON, || !told(&world).is_empty()).unwrap();
    // Longer than it takes to look for databases that have come.
    std::thread::sleep(std::time::Duration::from_secs(3));
    let told = told(&world);
    assert!(told.len() == 1 && told[0].contains("is a superuser"), "{told:?}");
}

/// What a role should not have depends on what is labelled.
#[test]
fn when_the_map_changes_the_databases_are_looked_at_again() {
    let mut world = World::not_serving(|text| text);
    world
        .cluster
        .psql("shop", "alter table products owner to stepgate_analyst; alter role stepgate_analyst bypassrls")
        .unwrap();
    let map = world.gate.directory().join("policies/pii-map.yaml");
    let labelled = std::fs::read_to_string(&map).unwrap();
    let entry = "    public.products: {}\n";
    assert!(labelled.contains(entry));
    std::fs::write(&map, labelled.replacen(entry, "", 1)).unwrap();
    world.gate.serve().unwrap();
    let told = |world: &World, what: &str| world.gate.log().matches(what).count();
    until("the look at the start", SOON, || told(&world, "BYPASSRLS") == 1).unwrap();
    let owns = "stepgate_analyst owns public.products";
    assert_eq!(told(&world, owns), 0, "{}", world.gate.log());
    std::fs::write(&map, labelled).unwrap();
    world.reload();
    until("the look by the new map", SOON, || told(&world, owns) == 1).unwrap();
    // What was told before is no news.
    assert_eq!(told(&world, "BYPASSRLS"), 1);
}

#[test]
fn one_database_under_two_names_is_told_of_by_check_and_doctor_and_once_at_the_start() {
    let mut world = World::not_serving(|text| text);
    let port = world.cluster.port();
    let entry = |name: &str, host: &str| {
        format!(
            "databases:\n  {name}: {{host: {host}, port: {port}, sslmode: disable, user: stepgate_analyst, \
             password_file: secrets/shop, dbname: shop}}\n"
        )
    };
    assert_eq!(doctor(&world, "databases"), []);
    world.edit("databases:\n", &entry("again", "127.0.0.1"));
    let expected = [("warn".to_owned(), "again and shop are names of one database".to_owned())];
    assert_eq!(doctor(&world, "databases"), expected);
    let checked = world.gate.run(["check"], "").unwrap().ok().unwrap();
    assert!(checked.contains("again and shop are names of one database"), "{checked}");
    world.gate.serve().unwrap();
    let logged = |world: &World, what: &str| world.gate.log().matches(what).count();
    until("the warning", SOON, || logged(&world, "again and shop are names of one database") == 1).unwrap();
    // And one more that a reload brings.
    world.edit("databases:\n", &entry("third", "localhost"));
    world.reload();
    until("what came by the reload", SOON, || logged(&world, "again and shop and third are names") == 1)
        .unwrap();
    assert_eq!(logged(&world, "again and shop are names of one database"), 1);
}

/// What a pooler does to a login: the process that the client is told of is the pooler's invention.
fn relay_with_another_pid(server: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for client in listener.incoming().map_while(Result::ok) {
            let server = TcpStream::connect(server).unwrap();
            let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || copy(from, to, false));
            std::thread::spawn(move || copy(server, client, true));
        }
    });
    address
}

fn copy(mut from: TcpStream, mut to: TcpStream, mut changes: bool) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        let key = buffer[..read].windows(5).position(|word| word == b"K\0\0\0\x0c").filter(|_| changes);
        if let Some(key) = key {
            buffer[key + 8] ^= 1;
            changes = false;
        }
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}

#[test]
fn a_pooler_whose_sessions_would_share_the_servers_is_refused_and_named() {
    let mut world = World::not_serving(|text| text);
    let server = SocketAddr::from(([127, 0, 0, 1], world.cluster.port()));
    let relay = relay_with_another_pid(server);
    let text = std::fs::read_to_string(world.gate.config()).unwrap();
    let (before, after) = (format!("port: {}\n", server.port()), format!("port: {}\n", relay.port()));
    assert!(text.contains(&before), "{text}");
    std::fs::write(world.gate.config(), text.replace(&before, &after)).unwrap();
    let (grade, detail) = doctor(&world, "database shop").remove(0);
    assert!(grade == "fail" && detail.contains("a connection pooler answers"), "{detail}");
    world.gate.serve().unwrap();
    let dana = world.dana();
    let output = world.gate.psql_command(&dana).args(["-X", "-c", "select 1"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("A connection pooler stands between"), "{said}");
    assert!(world.gate.log().contains("a connection pooler answers"), "{}", world.gate.log());
}
