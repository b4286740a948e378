//! How the server knows who is behind a session, and that clients cannot change it.

use std::process::Command;

use stepgate_testkit::Psql;

use crate::support::{World, approved, repository, said, waits};

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

/// Bind values are not known when the statement is judged by its text.
fn by_the_extended_protocol(world: &World, dana: &stepgate_testkit::Person) {
    let library = repository().join(".work/psycopg");
    if !library.exists() {
        return stepgate_testkit::skip("psycopg", "tests/tools/clients.sh");
    }
    let script = "import psycopg, sys
conn = psycopg.connect(sys.argv[1], autocommit=True)
try:
    conn.execute('select set_config(%s, %s, false)', ('stepgate.person', 'olga'), prepare=True)
    print('set')
except psycopg.errors.QueryCanceled:
    print('held')
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
    assert!(worked && text == "held\nrefused\ndana\n", "{text}");
}
