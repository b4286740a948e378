//! What must pass untouched, and what must never pass silently.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_testkit::{Person, Psql};
use support::{World, passes, waits};

/// psql as the gate's own role, straight to PostgreSQL.
fn direct(world: &World) -> Psql {
    let mut command = world.cluster.psql_command("shop");
    // The socket trusts; psql takes the last -U.
    command.args(["-U", "stepgate_analyst", "-P", "tuples_only=off", "-P", "format=aligned"]);
    command.args(["-v", "ON_ERROR_STOP=0"]);
    Psql::start(command).unwrap()
}

#[test]
fn backslash_commands_and_ordinary_sql_give_what_postgresql_gives() {
    let world = World::new();
    let dana = world.dana();
    let (mut through, mut straight) = (world.psql(&dana), direct(&world));
    for statement in [
        "\\d",
        "\\d customers",
        "\\d+ payments",
        "\\dt *.*",
        "\\dv",
        "\\di",
        "\\dn+",
        "\\du",
        "\\df",
        "\\dT",
        "\\l",
        "\\dp",
        "\\sf",
        "select 1 as one, 'two' as two, null as three;",
        "select name, price from products where category = 'office' order by id limit 5;",
        "select count(*) from customers;",
        "select country, orders from revenue_by_country order by country;",
        "select p.name, sum(i.quantity) from products p join order_items i on i.product_id = p.id
         group by p.name order by 2 desc, 1 limit 3;",
        "with o as (select * from orders where status = 'open') select count(*) from o;",
        "select 1/0;",
        "show server_version;",
        "begin;",
        "update products set price = price + 1 where false returning id, price;",
        "rollback;",
        "copy (select id, name from products order by id limit 3) to stdout;",
        "set search_path to hr, public;",
        "select relname from pg_class where relname = 'customers';",
        "explain (costs off) select name from products;",
        "\\d products",
        "listen something;",
    ] {
        let (ours, theirs) = (through.run(statement).unwrap(), straight.run(statement).unwrap());
        assert_eq!((ours.text(), ours.sqlstate), (theirs.text(), theirs.sqlstate), "{statement}");
    }
}

#[test]
fn copy_in_reaches_the_table_as_it_was_sent() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let reply = psql
        .run("copy products from stdin;\n901\tLamp Z\thome\t9.95\n902\tDesk Z\toffice\t19.95\n\\.")
        .unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert_eq!(
        world
            .cluster
            .psql("shop", "select string_agg(name, ',' order by id) from products where id > 900")
            .unwrap(),
        "Lamp Z,Desk Z"
    );
}

/// Statements that a gate which only looks for table names would let through. Each must be refused with an
/// error of the gate's, or be held (and then lapse); none may do anything.
const NEVER_SILENTLY: [&str; 25] = [
    "grant select on customers to public;",
    "alter role stepgate_analyst password 'mine';",
    "create role mallory;",
    "do $$ begin perform ssn from customers; end $$;",
    "do $$ begin execute 'select ssn from ' || 'customers'; end $$;",
    "select query_to_xml('select ssn from customers', true, false, '');",
    "table customers;",
    "select * from customers;",
    "select c from customers c limit 1;",
    "select to_jsonb(c) from customers c limit 1;",
    "select row_to_json(customers) from customers limit 1;",
    "select c::text from customers c limit 1;",
    "select ssn from customers where false union all select ssn from hr.employees limit 1;",
    "select 1 from customers where ssn like '901%' limit 1;",
    "select id from customers order by ssn limit 1;",
    "select count(distinct ssn) from customers;",
    "with x as (select * from customers) select * from x limit 1;",
    "select (select max(ssn) from customers);",
    "create table stolen as select * from customers;",
    "select * into stolen from customers;",
    "insert into products select id, ssn, city, 1 from customers limit 1;",
    "update customers set city = ssn where id = 1;",
    "declare c cursor with hold for select ssn from customers;",
    "create function f() returns text language sql as 'select ssn from public.customers limit 1'\\; select f();",
    "select U&\"\\0073sn\" from customers limit 1;",
];

/// What PostgreSQL cannot read either, and its own SQLSTATE.
const SLIPS: &[(&str, &str)] = &[
    ("selec ssn from customers;", "42601"),
    ("select ssn from custmers;", "42P01"),
    ("select sssn from customers;", "42703"),
];

#[test]
fn a_slip_of_the_pen_gets_postgresqls_own_error_and_nobody_is_asked() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for (statement, sqlstate) in SLIPS {
        let reply = psql.run(statement).unwrap();
        assert_eq!(reply.sqlstate, *sqlstate, "{statement}");
        assert!(!reply.text().contains("stepgate: "), "{statement}\n{}", reply.text());
    }
    assert!(psql.run("select 1;").unwrap().is_ok(), "the session lives on");
}

#[test]
fn what_reads_personal_data_or_cannot_be_read_never_passes_silently() {
    let mut world = World::not_serving(|text| {
        text.replace("hold: 5m", "hold: 1s").replace("expires: 15m", "expires: 1s")
    });
    // Nobody answers any of them.
    world.configure("limits: {open_requests: 100, cool_down: 0s}");
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for statement in NEVER_SILENTLY {
        let reply = psql.run(statement).unwrap();
        let by_the_gate = reply.text().contains("ERROR:  stepgate: ");
        assert!(by_the_gate, "{statement}\n{}", reply.text());
        assert!(
            ["42501", "57014", "SG010"].contains(&reply.sqlstate.as_str()),
            "{statement}: {}",
            reply.sqlstate
        );
        assert!(!reply.text().contains("901-00"), "{statement}\n{}", reply.text());
    }
    assert!(psql.run("select 1;").unwrap().is_ok(), "the session lives on");
    let changed = world.cluster.psql(
        "shop",
        "select (select count(*) from pg_roles where rolname = 'mallory')
              + (select count(*) from pg_class where relname = 'stolen')
              + (select count(*) from pg_proc where proname = 'f')
              + (select count(*) from pg_class c, aclexplode(c.relacl) a where c.relname = 'customers' and a.grantee = 0)",
    );
    assert_eq!(changed.unwrap(), "0");
}

#[test]
fn no_setting_of_the_client_weakens_the_reading() {
    let world = World::with_policy(|text| text.replace("hold: 5m", "hold: 1s"));
    let dana = world.dana();
    for setting in [
        "set standard_conforming_strings = off;",
        "set search_path = hr;",
        "set client_encoding = 'LATIN1';",
        "set backslash_quote = on;",
        "create temp table customers2 (x int);",
        "set role stepgate_analyst;",
    ] {
        let mut psql = world.psql(&dana);
        psql.run(setting).unwrap();
        let reply = psql.run("select ssn from public.customers limit 1;").unwrap();
        assert!(reply.text().contains("stepgate: "), "after {setting}\n{}", reply.text());
        assert!(!reply.text().contains("901-00"), "after {setting}\n{}", reply.text());
    }
}

#[test]
fn single_byte_encodings_are_read_and_others_refused() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("set client_encoding = 'LATIN1';").unwrap().is_ok());
    // Sent as UTF-8, it is two other letters in LATIN1: and as many come back.
    let reply = psql.run("select length('é'), 'é' = 'Ã©';").unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
    for name in ["SJIS", "BIG5", "GBK", "UHC", "GB18030"] {
        let reply = psql.run(&format!("set client_encoding = '{name}';")).unwrap();
        assert_eq!(reply.sqlstate, "0A000", "{}", reply.text());
    }
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn unknown_people_read_like_wrong_passwords() {
    let world = World::new();
    world.dana();
    let attempt = |name: &str, password: &str| {
        let mut command = std::process::Command::new(world.cluster.binaries().path("psql"));
        command
            .args(["-X", "-c", "select 1", &world.gate.conninfo(name, "shop")])
            .env("PGPASSWORD", password);
        let output = command.output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap().replace(name, "SOMEBODY")
    };
    let (unknown, wrong) = (attempt("nobody-here", "x"), attempt("dana", "wrong"));
    assert_eq!(unknown, wrong);
    assert!(unknown.contains("password authentication failed"), "{unknown}");
}

#[test]
fn an_unknown_database_is_told_by_name() {
    let world = World::new();
    let dana = world.dana();
    let connect = |dbname: &str| run_once(&world, &dana, dbname);
    let unknown = connect("no_such_database");
    assert!(unknown.contains("no_such_database"), "{unknown}");
    assert!(connect("shop").contains('1'));
}

#[test]
fn what_the_server_warns_of_when_a_session_begins_is_told() {
    let world = World::new();
    let dana = world.dana();
    let mut command = std::process::Command::new(world.cluster.binaries().path("psql"));
    command
        .env("PGPASSWORD", dana.password())
        .env("PGAPPNAME", "x".repeat(65))
        .args(["-X", "-c", "select 1"]);
    let output = command.arg(world.gate.conninfo(dana.name(), "shop")).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.contains("will be truncated to \"xxx"), "{told}");
}

fn run_once(world: &World, person: &Person, database: &str) -> String {
    let mut command = std::process::Command::new(world.cluster.binaries().path("psql"));
    command.env("PGPASSWORD", person.password()).args(["-X", "-At", "-c", "select 1"]);
    let output = command.arg(world.gate.conninfo(person.name(), database)).output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn no_text_of_any_statement_is_in_log_or_records() {
    let world = World::with_policy(|text| text.replace("hold: 5m", "hold: 1s"));
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.run("select ssn from customers where full_name = 'Very Secret Needle';").unwrap();
    psql.run("select 'Very Secret Needle' as \"SecretAlias\" /* SecretComment */;").unwrap();
    psql.run("selec 'Very Secret Needle';").unwrap();
    drop(psql);
    let records: String = world.records().iter().map(ToString::to_string).collect();
    for needle in ["Needle", "SecretAlias", "SecretComment"] {
        assert!(!records.contains(needle), "a record holds {needle}");
        assert!(!world.gate.log().contains(needle), "the log holds {needle}");
    }
    assert!(records.contains("statement.decided"));
}

/// As ODBC drivers read by cursors.
#[test]
fn a_cursor_that_is_declared_among_other_statements_is_read_on_unasked() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let declares = "begin\\; declare \"SQL_CUR1\" cursor with hold for select name from products\\; fetch 2 in \"SQL_CUR1\";";
    passes(&mut psql, declares);
    passes(&mut psql, "fetch 3 in \"SQL_CUR1\";");
    passes(&mut psql, "close \"SQL_CUR1\"\\; commit;");
    // What it reads counts as ever.
    waits(
        &world,
        &mut psql,
        &dana,
        "begin\\; declare c cursor for select ssn from customers\\; fetch 1 in c;",
    );
}
