//! What must pass untouched, and what must never pass silently.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_testkit::{Person, Psql};
use support::frames::{error, extended, frame, held, next, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, passes, waits};

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

/// PostgreSQL keeps what it has parsed and finds the names in it anew, whatever the same bytes would be by then: here the second
/// relation's alias, of two letters, is the first one's of one letter.
#[test]
fn what_is_prepared_stays_read_as_it_was_when_client_encoding_changes() {
    let (world, runtime) = (World::new(), runtime());
    let mine = "create schema mine; create table mine.customers (ssn text); create table mine.dummy (ssn text); \
                insert into mine.customers values ('plain'); insert into mine.dummy values ('plain'); \
                grant usage on schema mine to public; grant select on all tables in schema mine to public";
    world.cluster.load("shop", mine).unwrap();
    let dana = world.dana();
    let text = "select \"\u{e9}\".ssn || '' from customers U&\"\\00e9\", mine.dummy U&\"\\00c3\\00a9\"";
    let parsed = || [frame(b'P', format!("s\0{text}\0\0\0").as_bytes()), sync()].concat();
    let prepared = || query(&format!("prepare s as {text}"));
    let bound = || {
        let bind = frame(b'B', b"\0s\0\0\0\0\0\0\0");
        [bind, frame(b'E', &[0; 5]), sync()].concat()
    };
    let executed = || query("execute s");
    for (prepares, goes_on) in [
        (parsed(), bound()),
        (parsed(), executed()),
        (prepared(), bound()),
        (prepared(), executed()),
        ([query("begin"), query(&format!("declare s cursor for {text}"))].concat(), query("fetch s")),
    ] {
        let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
        let mut run = |bytes: &[u8], many: usize| {
            send(&runtime, &mut session, bytes);
            (0..many).flat_map(|_| until_tag(&runtime, &mut session, b'Z')).collect::<Vec<_>>()
        };
        run(&query("set search_path = mine"), 1);
        let many = prepares.iter().filter(|byte| **byte == b'Q').count().max(1);
        assert!(error(&run(&prepares, many)).is_none());
        let is_cursor = many > 1;
        let shown = run(&goes_on, 1);
        assert!(error(&shown).is_none() && shown.iter().any(|(_, body)| body.ends_with(b"plain")));
        assert!(error(&run(&query("set client_encoding = latin1"), 1)).is_none());
        // As it was, it is as harmless as it was.
        let shown = run(&goes_on, 1);
        assert!(error(&shown).is_none(), "{:?}", error(&shown));
        if is_cursor {
            continue;
        }
        run(&query("set search_path = public"), 1);
        send(&runtime, &mut session, &goes_on);
        held(&runtime, &mut session);
    }
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

/// `debug2` has the server tell the client of each Parse and Bind, the gate's own among them.
#[test]
fn names_of_the_gates_own_are_not_told_to_clients() {
    let (world, runtime) = (World::new(), runtime());
    let mut session = runtime.block_on(session(&config(&world, &world.dana()))).unwrap();
    let mut heard = Vec::new();
    for sent in [
        query("set client_min_messages = debug2"),
        query("set search_path = public"),
        extended("select name from products limit 1"),
        extended("alter role stepgate_analyst reset all"),
        query("alter role stepgate_analyst reset all"),
        extended("select nothing from nowhere"),
    ] {
        send(&runtime, &mut session, &sent);
        heard.extend(until_tag(&runtime, &mut session, b'Z'));
    }
    let is_debug =
        |(tag, body): &(u8, Vec<u8>)| *tag == b'N' && body.windows(6).any(|text| text == b"VDEBUG");
    assert!(heard.iter().any(is_debug), "the server tells of the client's own");
    for name in ["sg_names", "sg_denied", "sg_check"] {
        let told =
            heard.iter().find(|(_, body)| body.windows(name.len()).any(|text| text == name.as_bytes()));
        assert_eq!(told.map(|(_, body)| String::from_utf8_lossy(body)), None);
    }
}

/// A domain whose check looks something up in a labelled table, and the OID of its array type.
fn checked_domain(world: &World) -> u32 {
    let domain = "create function known_ssn(text) returns boolean language plpgsql as $$ begin \
                  if not exists (select from public.customers where ssn = $1) then raise exception 'did you mean %', \
                  (select ssn from public.customers where ssn > $1 order by ssn limit 1); end if; return true; end $$; \
                  create domain known_ssn_d as text check (known_ssn(value))";
    world.cluster.load("shop", domain).unwrap();
    let oid = "select typarray from pg_type where typname = 'known_ssn_d'";
    let oid = world.cluster.psql("shop", oid).unwrap().parse().unwrap();
    // What is made beside the gate is known after some seconds; DDL through it, at once.
    let mut psql = world.psql(&world.person("dora", "analysts"));
    for sql in ["create temp table any_ (a int);", "select a from any_;"] {
        assert!(psql.run(sql).unwrap().is_ok());
    }
    oid
}

fn parse_of(name: &str, sql: &str, types: &[u32]) -> Vec<u8> {
    let count = u16::try_from(types.len()).unwrap().to_be_bytes();
    let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
    frame(b'P', &[name.as_bytes(), b"\0", sql.as_bytes(), b"\0", &count, &types].concat())
}

#[test]
fn a_literal_that_a_parameters_type_checks_is_not_read_before_anybody_decides() {
    let (world, runtime) = (World::new(), runtime());
    let domain = checked_domain(&world);
    let dana = world.dana();
    let mut session = runtime.block_on(session(&config(&world, &dana))).unwrap();
    let null = frame(b'B', b"\0\0\0\0\0\x01\xff\xff\xff\xff\0\0");
    let unknown = "select coalesce($1, '{905}') from orders o, lateral (select trim(both from status)) s";
    for sent in [
        [parse_of("", "select coalesce($1, '{905}')", &[domain]), sync()].concat(),
        [parse_of("", "select case when $1 is null then $1 else '{905}' end", &[domain]), sync()].concat(),
        [parse_of("", unknown, &[domain]), null.clone(), frame(b'E', &[0; 5]), sync()].concat(),
    ] {
        send(&runtime, &mut session, &sent);
        let message =
            std::iter::from_fn(|| next(&runtime, &mut session, SOON)).find(|(tag, _)| b"NEZ".contains(tag));
        let (tag, body) = message.unwrap();
        let text = String::from_utf8_lossy(&body);
        assert!(tag != b'Z' && text.contains("stepgate: ") && !text.contains("mean"), "{text}");
        // One may be held.
        session = runtime.block_on(support::raw::session(&config(&world, &dana))).unwrap();
    }
}

#[test]
fn a_describe_does_not_have_a_literal_read_that_ddl_has_given_a_checked_type() {
    let (world, runtime) = (World::new(), runtime());
    checked_domain(&world);
    let mut session = runtime.block_on(session(&config(&world, &world.dana()))).unwrap();
    for sent in [
        query("create temp table tt (a text[])"),
        [parse_of("r2", "select coalesce(a, '{909}') from tt", &[]), sync()].concat(),
        query("drop table pg_temp.tt"),
        query("create temp table tt (a public.known_ssn_d[])"),
    ] {
        send(&runtime, &mut session, &sent);
        assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
    }
    send(&runtime, &mut session, &[frame(b'D', b"Sr2\0"), sync()].concat());
    let (state, message) = error(&until_tag(&runtime, &mut session, b'Z')).unwrap();
    assert_eq!(state, "0A000", "{message}");
    assert!(message.starts_with("stepgate: this statement cannot be prepared"), "{message}");
}

/// What is not known of a statement when it is parsed would stay so for as long as it is prepared.
#[test]
fn a_statement_that_is_prepared_as_soon_as_its_table_is_made_is_known_ever_after() {
    let (world, runtime) = (World::new(), runtime());
    let mut session = runtime.block_on(session(&config(&world, &world.dana()))).unwrap();
    send(&runtime, &mut session, &extended("select name from products limit 1"));
    until_tag(&runtime, &mut session, b'Z');
    world.cluster.load("shop", "create table fresh (a int); grant select on fresh to public").unwrap();
    send(&runtime, &mut session, &[parse_of("s", "select a from fresh", &[]), sync()].concat());
    assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
    for _ in 0..2 {
        let executes = [frame(b'B', b"\0s\0\0\0\0\0\0\0"), frame(b'E', &[0; 5]), sync()].concat();
        send(&runtime, &mut session, &executes);
        let replies = until_tag(&runtime, &mut session, b'Z');
        assert!(replies.iter().any(|(tag, _)| *tag == b'C'), "{replies:?}");
        assert!(!replies.iter().any(|(tag, _)| *tag == b'N'), "{replies:?}");
    }
}
