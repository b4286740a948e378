//! How the server knows who is behind a session, and that clients cannot change it.

use std::process::{Command, Stdio};

use stepgate_testkit::{Person, Psql, until};

use crate::support::frames::{error, frame, parse, query, send, sync, until_tag};
use crate::support::raw::{config, run, runtime, session};
use crate::support::relay::Relay;
use crate::support::{EVERYTHING, NOTHING_LABELLED, SOON, World, approved, repository, said, waits};

const WHO: &str = "select current_setting('stepgate.person', true);";

fn who(psql: &mut Psql) -> String {
    psql.run(WHO).unwrap().text()
}

#[test]
fn a_trigger_sees_who_is_behind_a_session_and_the_log_can() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    world
        .cluster
        .load(
            "shop",
            "create table notes (note text);
             create table journal (who text, what text);
             create function journal() returns trigger language plpgsql security definer as $$ begin
                 insert into journal values (current_setting('stepgate.person', true), tg_op); return new; end $$;
             create trigger journal after insert on notes for each row execute function journal();
             grant insert on notes to stepgate_analyst;",
        )
        .unwrap();
    let mut psql = world.psql(&dana);
    assert!(who(&mut psql).contains("dana"));
    approved(&world, &mut psql, &mut olga, "insert into notes values ('x');");
    assert_eq!(world.cluster.psql("shop", "select who, what from journal").unwrap(), "dana|INSERT");
    // The name of the program is what the client said.
    assert!(psql.run("show application_name;").unwrap().lines.iter().any(|line| line.trim() == "psql"));

    let mut world = world;
    world.edit("sslmode: disable", "pass_person: application_name\n    sslmode: disable");
    world.reload();
    let mut psql = world.psql(&dana);
    let name = |psql: &mut Psql| psql.run("show application_name;").unwrap().text();
    assert!(name(&mut psql).contains("psql [dana]") && who(&mut psql).contains("dana"));
    let mut long = world.gate.psql_command(&dana);
    long.env("PGAPPNAME", "x".repeat(80));
    let mut psql = Psql::start(long).unwrap();
    assert!(name(&mut psql).contains(&format!(" {} [dana]", "x".repeat(56))), "{}", name(&mut psql));
    world.edit("pass_person: application_name", "pass_person: never");
    world.reload();
    assert!(!who(&mut world.psql(&dana)).contains("dana"));
}

#[test]
fn nobody_passes_for_somebody_else_at_the_server() {
    let world = World::new();
    let dana = world.dana();
    world.cluster.psql("shop", "grant create on schema public to stepgate_analyst").unwrap();
    let mut psql = world.psql(&dana);
    for refused in [
        "set stepgate.person = 'olga';",
        "set session stepgate.person to olga;",
        "set local stepgate.person = 'olga';",
        "SET StepGate . \"Person\" = 'olga';",
        "set \"stepgate.person\" = 'olga';",
        "set \"STEPGATE.person\" to 'olga';",
        "set U&\"stepgate!002eperson\" uescape '!' = 'olga';",
        "set stepgate.person to default;",
        "set stepgate.other = 'x';",
        "select set_config('stepgate.person', 'olga', false);",
        "select pg_catalog.set_config('STEPGATE.person', 'olga', true), 1;",
        "with x as (select set_config('stepgate.person', 'olga', false)) select * from x;",
        "alter role stepgate_analyst set stepgate.person = 'olga';",
        "alter role current_user set stepgate.person = 'olga';",
        "alter database shop set stepgate.person = 'olga';",
        "create function f() returns text language sql set stepgate.person = 'olga' as 'select 1';",
        "create procedure f() language sql set \"stepgate.person\" = 'olga' as 'select 1';",
        "alter function pg_catalog.now() set stepgate.person = 'olga';",
        "explain analyze select set_config('stepgate.person', 'olga', false);",
        "declare c cursor with hold for select set_config('stepgate.person', 'olga', false);",
        "select set_config(name, 'olga', false) from (values ('stepgate.person')) as it (name);",
        "create function f() returns text language sql as $$ select set_config('stepgate.person', 'olga', false) $$;",
        "prepare p as select set_config('stepgate.person', 'olga', false);",
        "do $$ begin perform set_config('stepgate.person', 'olga', false); end $$;",
        "select 1 as a\\; set stepgate.person = 'olga';",
    ] {
        let reply = psql.run(refused).unwrap();
        assert_eq!(reply.sqlstate, "42501", "{refused}: {}", reply.text());
        assert!(who(&mut psql).contains("dana"), "{refused}");
    }
    for held in [
        "select set_config('step' || 'gate.person', 'olga', false);",
        "select set_config(E'stepgate\\x2eperson', 'olga', false);",
        "select set_config(U&'stepgate\\002eperson', 'olga', false);",
        "update pg_settings set setting = 'olga' where name = 'stepgate.person';",
        "select pg_catalog.set_config((select 'stepgate' || chr(46) || 'person'), 'olga', false);",
    ] {
        waits(&world, &mut psql, &dana, held);
        assert!(who(&mut psql).contains("dana"), "{held}");
    }
    for harmless in ["reset stepgate.person;", "reset all;", "discard all;", "begin;", "rollback;"] {
        assert!(psql.run(harmless).unwrap().is_ok(), "{harmless}");
        assert!(who(&mut psql).contains("dana"), "{harmless}");
    }
    // What others have set for the role or the database comes after.
    let sql = "alter role stepgate_analyst set stepgate.person = 'x'; alter database shop set stepgate.person = 'y'";
    world.cluster.psql("shop", sql).unwrap();
    let mut other = world.psql(&dana);
    assert!(who(&mut other).contains("dana"));
    other.run("reset all;").unwrap();
    assert!(who(&mut other).contains("dana"));
    let options = ["-c stepgate.person=olga", "--stepgate.person=olga", "-cStepgate.Person=olga"];
    for options in options {
        let mut command = world.gate.psql_command(&dana);
        let (is_in, text) = said(command.env("PGOPTIONS", options).args(["-X", "-c", "select 1"]));
        assert!(!is_in && text.contains("cannot be chosen at connection start"), "{options}: {text}");
    }
    by_the_extended_protocol(&world, &dana);
}

/// Parse, Bind, Execute and Sync of a text with these values, all in one format.
fn bound(sql: &str, values: &[&str], format: u8) -> Vec<u8> {
    let count = u16::try_from(values.len()).unwrap().to_be_bytes();
    let mut body = [&[0, 0, 0, 1, 0, format][..], &count].concat();
    for value in values {
        body.extend(u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend(value.as_bytes());
    }
    body.extend([0; 2]);
    [parse(sql), frame(b'B', &body), frame(b'E', &[0; 5]), sync()].concat()
}

/// Whatever the rules let pass: with one's own word for it, or with nobody's.
#[test]
fn nobody_passes_for_somebody_else_by_a_value_that_is_bound() {
    let (mut world, runtime) = (World::not_serving(|text| text), runtime());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
    let mut told = |bytes: &[u8]| {
        send(&runtime, &mut session, bytes);
        error(&until_tag(&runtime, &mut session, b'Z')).map(|(state, _)| state)
    };
    let sets = "select set_config($1, $2, false)";
    // The same statement with other values passes, again and again: what is remembered of that holds for no others.
    for _ in 0..4 {
        assert_eq!(told(&bound(sets, &["app.tenant", "7"], 0)), None);
    }
    for format in [0, 1] {
        for name in ["stepgate.person", "STEPGATE.Person"] {
            let state = told(&bound(sets, &[name, "olga"], format));
            assert_eq!(state.as_deref(), Some("42501"), "{name} {format}");
        }
    }
    let hides = "with it (name) as (select $1::text) select set_config(name, $2, false) from it";
    assert_eq!(told(&bound(hides, &["stepgate.person", "olga"], 0)).as_deref(), Some("42501"));
    // By the name of a statement that SQL made.
    assert_eq!(told(&query("prepare p (text, text) as select set_config($1, $2, false)")), None);
    assert_eq!(told(&query("execute p ('stepgate.person', 'olga')")).as_deref(), Some("42501"));
    assert_eq!(told(&query("execute p ('app.tenant', '8')")), None);
    let person = runtime.block_on(run(&mut session, "select current_setting('stepgate.person', true)"));
    assert_eq!(person.unwrap(), [[Some("dana".to_owned())]]);
}

/// The server takes its time to let somebody in who is removed meanwhile.
#[test]
fn a_login_under_way_is_not_the_session_of_whoever_has_its_name_next() {
    let mut world = World::not_serving(|text| text);
    let relay = Relay::of(&world);
    world.gate.serve().unwrap();
    let (dana, olga) = (world.dana(), world.olga());
    let runtime = runtime();
    // Somebody is there, so that the gate has the connections that it needs.
    let _there = runtime.block_on(session(&config(&world, &olga))).unwrap();
    relay.stop();
    for is_back in [false, true] {
        let before = relay.connections();
        let how = config(&world, &dana);
        let waits = std::thread::spawn(move || crate::support::raw::runtime().block_on(session(&how)).err());
        until("the gate to be sure who it is", SOON, || relay.connections() > before).unwrap();
        world.gate.run(["user", "rm", "dana"], "").unwrap().ok().unwrap();
        if is_back {
            Person::add(&world.gate, "dana", "data-owners").unwrap();
        }
        relay.flow();
        let (state, said) = waits.join().unwrap().unwrap();
        assert!(state == "28000" && said.contains("this person is no longer known"), "{state} {said}");
        relay.stop();
        if !is_back {
            Person::add(&world.gate, "dana", "analysts").unwrap();
        }
    }
    relay.flow();
    let records = world.records();
    let opened = records.iter().filter(|it| it["type"] == "session.opened");
    assert!(opened.clone().count() == 1 && opened.into_iter().all(|it| it["person"] == "olga"));
    let refused: Vec<_> = records.iter().filter(|it| it["type"] == "session.refused").collect();
    assert!(refused.len() == 2 && refused.iter().all(|it| it["reason"] == "no-longer-known"), "{refused:?}");
}

/// A client that goes while the server does not answer keeps nobody's place until the server does.
#[test]
fn who_leaves_before_the_server_has_let_them_in_keeps_no_place_of_that_person() {
    let mut world = World::not_serving(|text| text);
    world.configure("limits: {per_person: 1}");
    let relay = Relay::of(&world);
    world.gate.serve().unwrap();
    let (dana, olga) = (world.dana(), world.olga());
    let _there = runtime().block_on(session(&config(&world, &olga))).unwrap();
    relay.stop();
    let comes = || {
        let before = relay.connections();
        let mut command = world.gate.psql_command(&dana);
        command.args(["-X", "-c", "select 1"]).stdout(Stdio::null()).stderr(Stdio::null());
        let mut client = command.spawn().unwrap();
        // With a place it gets as far as the server; without, it is told so, and ends.
        let mut ends = false;
        until("the server or the end", SOON, || {
            ends = client.try_wait().unwrap().is_some();
            ends || relay.connections() > before
        })
        .unwrap();
        let _ = client.kill();
        client.wait().unwrap();
        relay.connections() > before
    };
    assert!(comes());
    until("a place", SOON, comes).unwrap();
}

/// Bind values are not known when the statement is judged by its text.
fn by_the_extended_protocol(world: &World, dana: &stepgate_testkit::Person) {
    let library = repository().join(".work/psycopg");
    if !library.exists() {
        return stepgate_testkit::skip("psycopg", "tests/tools/clients.sh");
    }
    let script = "import psycopg, sys
conn = psycopg.connect(sys.argv[1], autocommit=True)
try:
    conn.execute('select set_config(%s || %s, %s, false)', ('step', 'gate.person', 'olga'), prepare=True)
    print('set')
except psycopg.errors.QueryCanceled:
    print('held')
try:
    conn.execute('select set_config(%s, %s, false)', ('stepgate.person', 'olga'), prepare=True)
    print('set')
except psycopg.errors.InsufficientPrivilege:
    print('refused')
try:
    conn.execute(\"select set_config('stepgate.person', %s, false)\", ('olga',), prepare=True)
    print('set')
except psycopg.errors.InsufficientPrivilege:
    print('refused')
print(conn.execute(\"select current_setting('stepgate.person', true)\").fetchone()[0])";
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", library).env("PGPASSWORD", dana.password());
    command.args(["-c", script, &world.gate.conninfo("dana", "shop")]);
    let child = std::thread::spawn(move || said(&mut command));
    let request = world.open_request(dana);
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let (worked, text) = child.join().unwrap();
    assert!(worked && text == "held\nrefused\nrefused\ndana\n", "{text}");
}
