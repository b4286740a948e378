//! The server's planner is asked where a rule hangs on the number of rows, and nowhere else.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stepgate_testkit::{Binaries, Person, Psql};
use support::{SOON, World, held};

/// More than a thousand rows of `readings` are denied, of `notes` approved by somebody.
const POLICY: &str = "
version: 1
approvals: {self: {self: true}, owners: {groups: [data-owners]}}
rules:
  - {name: many, match: {estimate_rows: \">1000\", tables: [public.readings, public.others, public.own]}, action: deny}
  - {name: many-notes, match: {estimate_rows: \">1000\", tables: [public.notes]}, action: approve, approval: owners}
  - {name: no-threshold, match: {tables: [public.products]}, action: monitor}
";

const MAP: &str = "
version: 1
labels: {number: {class: internal}}
databases:
  shop: {public.readings: {}, public.others: {}, public.own: {}, public.notes: {columns: {id: number}}, public.products: {}}
";

/// 20,000 rows, of which 60 have any one size, 200 are rare, and most lie together in all columns.
const TABLES: &str = "
    create table readings (id bigint primary key, size int, kind text, day date, ok bool, price numeric(9, 2), again int);
    insert into readings select i, i % 300, case i % 100 when 0 then 'rare' else 'common' end, date '2020-01-01' + i / 10,
        i % 2 = 0, i / 7.0, i % 300 from generate_series(1, 20000) i;
    create table notes as select id, 'zebra-' || id as text from readings;
    create table others as select id, size, kind, ok, day, again from readings;
    analyze readings, notes, others;
    grant select on readings, notes, others to stepgate_analyst;
";

fn world(change: impl FnOnce(&World)) -> World {
    let mut world = World::not_serving(|sample| sample);
    world.gate.policies(MAP, POLICY).unwrap();
    world.cluster.load("shop", TABLES).unwrap();
    change(&world);
    for setting in ["log_statement = 'all'", "log_min_messages = 'log'"] {
        world.cluster.psql("shop", &format!("alter system set {setting}")).unwrap();
    }
    world.cluster.psql("shop", "select pg_reload_conf()").unwrap();
    world.gate.serve().unwrap();
    world
}

/// What the server has logged so far.
fn server_log(world: &World) -> String {
    world.cluster.psql("shop", "select pg_read_file(current_setting('data_directory') || '/../log')").unwrap()
}

/// How often the server was asked to plan something.
fn asked(world: &World) -> usize {
    server_log(world).matches(": EXPLAIN (FORMAT JSON) ").count()
}

/// Whether a statement is denied for the number of its rows; anything but that and success is an error.
fn is_denied(psql: &mut Psql, sql: &str) -> bool {
    let reply = psql.run(&format!("{sql};")).unwrap();
    let denied = reply.sqlstate == "42501" && reply.text().contains("many");
    assert!(denied || reply.is_ok(), "{sql}: {}", reply.text());
    denied
}

/// What the planner says when it is asked directly.
fn planned(world: &World, sql: &str) -> u64 {
    let plan = world.cluster.psql("shop", &format!("explain (format json) {sql}")).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    plan.pointer("/0/Plan/Plan Rows").and_then(serde_json::Value::as_u64).unwrap()
}

#[test]
fn few_rows_of_a_large_table_pass_and_many_do_not() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let mut wrong = Vec::new();
    for (sql, denied) in [
        ("select * from readings where id = 17", false),
        ("select r.id, upper(kind) from readings r where r.size between 10 and 12", false),
        ("select id from readings where kind = 'rare'", false),
        ("select id from readings where kind in ('rare', 'none') order by id desc", false),
        ("select id from readings where day < '2020-01-30' and day >= date '2020-01-20'", false),
        ("select id from readings where price < 12.5", false),
        ("select id from readings where '20' > id", false),
        ("select id from readings where day > now() - interval '100 years' and day < '2020-01-05'", false),
        ("select id from readings where day > current_date - 7", false),
        ("select id from readings where day < now() - interval '2 weeks'", true),
        ("select distinct size from readings where 30 > id", false),
        ("select id from readings where kind is null", false),
        ("select id from readings where id = 17 -- and that is all\n", false),
        ("select id from readings where size < 290", true),
        ("select id from readings where kind = 'common'", true),
        ("select id from readings where kind <> 'rare' and ok", true),
        ("select id from readings where ok", true),
        ("select id from readings where kind is not null", true),
        ("select id from readings where id = 17 or size < 200", true),
        ("select id from readings", true),
        ("select id from readings limit 10", false),
        ("select id from readings where size < 290 limit 10", false),
        // Of these, the catalog's bound is all there is.
        ("select r.id from readings r join others o using (id) where r.id = 17", true),
        ("select id from (select * from readings) x where id = 17", true),
    ] {
        // As often as one likes, and with facts that are remembered.
        for _ in 0..2 {
            if is_denied(&mut psql, sql) != denied {
                wrong.push(sql);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // Said again with another literal, remembered facts are not those of an answer.
    assert!(!is_denied(&mut psql, "select id from readings where size < 5"));
    assert!(is_denied(&mut psql, "select id from readings where size < 250"));
    // The extended protocol: without parameters, and with, which EXPLAIN does not take.
    for (mode, script, denied) in [
        ("extended", "select id from readings where id = 17;", false),
        ("prepared", "select id from readings where id = 17;", false),
        ("extended", "select id from readings where size < 290;", true),
        ("extended", "\\set x 17\nselect id from readings where id = :x;", true),
    ] {
        let said = pgbench(&world, &dana, mode, script);
        assert_eq!(said.contains("many"), denied, "{mode} {script}: {said}");
        assert_eq!(said.contains("processed: 2/2"), !denied, "{mode} {script}: {said}");
    }
}

/// Runs a script twice and says what came of it.
fn pgbench(world: &World, person: &Person, mode: &str, script: &str) -> String {
    let file = world.tree.path().join("script.sql");
    std::fs::write(&file, script).unwrap();
    let mut command = Command::new(Binaries::find().unwrap().path("pgbench"));
    command.args(["-n", "-t", "2", "-M", mode, "-f"]).arg(file);
    command.arg(world.gate.conninfo(person.name(), "shop")).env("PGPASSWORD", person.password());
    let output = command.stdin(Stdio::null()).output().unwrap();
    [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat()
}

#[test]
fn whose_estimate_it_was_is_recorded_and_no_more_of_it_than_its_size() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(!is_denied(&mut psql, "select id from readings where size between 10 and 12"));
    assert!(!is_denied(&mut psql, "select id from readings limit 7"));
    assert!(!is_denied(&mut psql, "select count(*) from readings"));
    let records = world.records();
    let of = |normalised: &str| {
        let is_it = |record: &&serde_json::Value| record.to_string().contains(normalised);
        records.iter().find(is_it).unwrap_or_else(|| panic!("{normalised}: {records:#?}")).clone()
    };
    let find = |record: &serde_json::Value, key: &str| {
        let event = record.get("event").unwrap_or(record);
        event.get(key).cloned()
    };
    let planned = of("between");
    assert_eq!(find(&planned, "estimated_by"), Some("planner".into()), "{planned}");
    assert_eq!(find(&planned, "estimate"), Some(1000.into()), "{planned}");
    // A LIMIT is a literal.
    let typed = of("limit");
    assert_eq!(find(&typed, "estimated_by"), Some("statement".into()), "{typed}");
    assert_eq!(find(&typed, "estimate"), Some(10.into()), "{typed}");
    let counted = of("count");
    assert_eq!(find(&counted, "estimated_by"), None, "{counted}");
    assert_eq!(find(&counted, "estimate"), Some(1.into()), "{counted}");
}

#[test]
fn nobody_talks_the_estimate_down() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let ten = |condition: &str| [condition; 10].join(" and ");
    let conditions = [
        // The column is cast, and so has no statistics.
        "id between 0.5 and 1e9".to_owned(),
        "id::numeric between 0 and 1e9".to_owned(),
        "size between -1.5 and 400.5 and again between -1.5 and 400.5".to_owned(),
        "id between '-1'::numeric and '1e9'::numeric".to_owned(),
        // Nothing is known of what functions and operators make of it.
        "kind || '' = kind and kind || 'x' <> kind".to_owned(),
        "size % 1 = 0".to_owned(),
        "abs(size) = size".to_owned(),
        ten("random() < 2"),
        ten("size >= random() * 0"),
        ten("kind like '%m%o%'"),
        ten("(kind = 'common' or kind > 'd')"),
        // What hangs together is not multiplied.
        "size < 60 and again < 60 and size > -2 and again > -2 and size <> 70 and again <> 70 and size <> 71"
            .to_owned(),
        format!("{} and {}", ten("kind in ('common', 'other')"), ten("ok is not null")),
        "size in (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30) \
            and again in (1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30)"
            .to_owned(),
        // The same text is another day to another session.
        "day > '01/02/2020' and day < '12/11/2025'".to_owned(),
        // Row comparisons, subqueries, correlated or not.
        "(size, again) >= (0, 0)".to_owned(),
        "size = (select size)".to_owned(),
        "size = any (select size from others) and size = any (select again from others)".to_owned(),
        "exists (select 1 from others o where o.id = readings.id and o.size = readings.size)".to_owned(),
        "not (size = 1 and size = 2)".to_owned(),
    ];
    let wrong: Vec<_> = conditions
        .iter()
        .map(|condition| format!("select id from readings where {condition}"))
        .filter(|sql| !is_denied(&mut psql, sql))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    for sql in [
        "select id from readings where id > 0 offset 19999",
        "select id from readings where size < 290 group by id having count(*) > 0 and max(size) > -1 and min(size) > -1",
        "select id, unnest(array[1, 2, 3]) from readings where id < 900",
        "select id from readings tablesample bernoulli (100) where id = 17",
        "select ok, count(*) from readings where ok group by ok",
        "with r as (select * from readings where size < 290) select * from r where id = 17",
        "select id from readings where size < 290 union select id from readings where id = 17",
    ] {
        assert!(is_denied(&mut psql, sql), "{sql}");
    }
    // Some of these would have been believed.
    let believed =
        |condition: &String| planned(&world, &format!("select id from readings where {condition}")) <= 1000;
    assert!(conditions.iter().filter(|condition| believed(condition)).count() >= 10);
}

#[test]
fn without_statistics_of_a_column_nothing_is_believed_of_it() {
    let world = world(|world| {
        let own = "create table own as select i as id, i % 3 as size, repeat(md5(i::text), 40) as wide, null::int as none
            from generate_series(1, 5000) i;
            alter table own alter size set statistics 0; analyze own; grant select on own to public";
        world.cluster.load("shop", own).unwrap();
    });
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in ["select id from own where size = 1", "select id from own where wide between '' and '~'"] {
        assert!(planned(&world, sql) < 1000, "{sql}");
        assert!(is_denied(&mut psql, sql), "{sql}");
    }
    assert!(!is_denied(&mut psql, "select id from own where id = 1"));
    assert!(!is_denied(&mut psql, "select id from own where none is not null"));
}

#[test]
fn what_is_not_the_servers_own_is_never_planned() {
    // It says so in the server's log whenever it runs, and planning a call of it with a constant runs it.
    let code = "
        create function spy(x anyelement) returns anyelement immutable language plpgsql
            as $$begin raise log 'the spy has run for %', current_setting('application_name'); return x; end$$;
        create function spies(a varchar, b varchar) returns bool immutable language plpgsql
            as $$begin raise log 'the spy has run for %', current_setting('application_name'); return true; end$$;
        create function spying(a int) returns text immutable language plpgsql
            as $$begin raise log 'the spy has run for %', current_setting('application_name'); return a::text; end$$;
    ";
    let world = world(|world| drop(world.cluster.load("shop", code).unwrap()));
    let super_user = |sql: &str| world.cluster.load("shop", sql).unwrap();
    // Not where the gate reads the catalog, whenever it does, as texts: a cast that a superuser has made runs then.
    let ran = || {
        let log = server_log(&world);
        let runs = log.lines().filter(|line| line.contains("LOG:  the spy has run for "));
        runs.filter(|line| !line.ends_with("for stepgate catalog")).count()
    };
    // The control: planning runs it.
    super_user("explain select id from others where id = spy(17)");
    let mut before = ran();
    assert!(before > 0, "planning no longer runs what it is kept from");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let plain = "select id from others where id = 17";
    for (made, sql, undone) in [
        ("select 1", "select id from others where id = spy(17)", "select 1"),
        ("select 1", "select spy(1), id from others where id = 17", "select 1"),
        (
            "create view through as select id, spy(5) as five from others; grant select on through to public",
            "select id from through where id = 17",
            "drop view through",
        ),
        ("create index by_spy on others ((size + spy(1)))", plain, "drop index by_spy"),
        ("create index partly on others (id) where size = spy(1)", plain, "drop index partly"),
        ("create statistics by_spy on (size + spy(1)), kind from others", plain, "drop statistics by_spy"),
        (
            "create policy partly on others using (size < spy(400)); alter table others enable row level security",
            plain,
            "alter table others disable row level security; drop policy partly on others",
        ),
        (
            "create operator + (leftarg = int, rightarg = varchar, function = spying2)",
            plain,
            "drop operator + (int, varchar)",
        ),
        (
            "create operator = (leftarg = varchar, rightarg = varchar, function = spies)",
            plain,
            "drop operator = (varchar, varchar)",
        ),
        (
            "create domain checked as int check (value < spy(400)); alter table others alter again type checked",
            "select id from others where id = 17 and again = 17",
            "alter table others alter again type int; drop domain checked",
        ),
        (
            "create function upper(int) returns text immutable language plpgsql
                as $$begin raise log 'the spy has run for %', current_setting('application_name'); return 'x'; end$$",
            "select upper(7), id from others where id = 17",
            "drop function upper(int)",
        ),
        ("create cast (int as text) with function spying(int) as implicit", plain, "drop cast (int as text)"),
        ("create table child () inherits (others)", plain, "drop table child"),
    ] {
        // Nothing of the one before is in the way.
        stepgate_testkit::until("it is as it was", SOON, || !is_denied(&mut psql, plain)).unwrap();
        if made.contains("spying2") {
            super_user(
                "create function spying2(int, varchar) returns int immutable language plpgsql
                    as $$begin raise log 'the spy has run for %', current_setting('application_name'); return 1; end$$",
            );
        }
        super_user(made);
        super_user("analyze others");
        // At the latest by now the gate knows of it; and should it not, it looks for itself.
        before = ran();
        let asked_before = asked(&world);
        let reply = psql.run(&format!("{sql};")).unwrap();
        let held_by_it = reply.sqlstate == "42501" || reply.sqlstate == "57014";
        assert!(held_by_it, "{made}: {sql}: {}", reply.text());
        assert_eq!(asked(&world), asked_before, "{made}: {sql}");
        assert_eq!(ran(), before, "{made}: {sql}");
        super_user(undone);
    }
    super_user("analyze others");
    stepgate_testkit::until("it is as it was", SOON, || !is_denied(&mut psql, plain)).unwrap();
}

#[test]
fn it_is_asked_only_where_a_rule_hangs_on_the_answer() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in [
        "select id from products where id = 17",
        "select id from readings where id = 17 limit 100",
        "select count(*) from readings where id = 17",
        "select 1",
        "update products set name = 'x' where id = 17",
    ] {
        assert!(psql.run(&format!("{sql};")).unwrap().is_ok(), "{sql}");
    }
    assert_eq!(asked(&world), 0);
    assert!(!is_denied(&mut psql, "select id from readings where id = 17"));
    assert_eq!(asked(&world), 1);
}

#[test]
fn an_operator_may_forbid_it() {
    let world = world(|world| {
        let config = std::fs::read_to_string(world.gate.config()).unwrap();
        let changed = config.replacen("    host:", "    planner: never\n    host:", 1);
        assert_ne!(config, changed);
        std::fs::write(world.gate.config(), changed).unwrap();
    });
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(is_denied(&mut psql, "select id from readings where id = 17"));
    assert_eq!(asked(&world), 0);
}

#[test]
fn who_locks_the_table_delays_nobody_and_opens_nothing() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(!is_denied(&mut psql, "select id from readings where id = 17"));
    let mut other = Psql::start(world.cluster.psql_command("shop")).unwrap();
    // The second keeps the planner waiting.
    for locked in ["readings", "pg_statistic"] {
        assert!(other.run(&format!("begin; lock table {locked} in access exclusive mode;")).unwrap().is_ok());
        let begun = Instant::now();
        assert!(is_denied(&mut psql, "select id from readings where id = 17"), "{locked}");
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(1_500), "{locked}: {took:?}");
        assert!(other.run("rollback;").unwrap().is_ok());
        // A busy server may not answer at once.
        stepgate_testkit::until(&format!("{locked} to be asked about again"), SOON, || {
            !is_denied(&mut psql, "select id from readings where id = 17")
        })
        .unwrap();
    }
}

#[test]
fn what_was_let_through_for_its_few_rows_stays_so_while_it_runs() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for round in 0..4 {
        // The gate does not know of this yet, looks when the reply is long in coming, and judges by what it finds.
        world.cluster.load("shop", &format!("create table unrelated_{round} ()")).unwrap();
        let slow = "select id, length(repeat(kind, 4000000)) from readings where id < 30";
        assert!(!is_denied(&mut psql, slow));
        assert!(psql.waited() > Duration::from_millis(100), "{:?}", psql.waited());
    }
}

/// `cargo nextest run --release -p stepgate --test planner --run-ignored only --no-capture`
#[test]
#[ignore = "measures"]
fn what_asking_costs() {
    for clients in ["1", "8"] {
        // Of 20,000 rows, the second is out of reach of the catalog's bound.
        for (threshold, asks) in [("1000", true), ("30000", false), ("1000", true), ("30000", false)] {
            let mut world = World::not_serving(|sample| sample);
            world.gate.policies(MAP, &POLICY.replace(">1000", &format!(">{threshold}"))).unwrap();
            world.cluster.load("shop", TABLES).unwrap();
            world.gate.serve().unwrap();
            let dana = world.dana();
            let file = world.tree.path().join("script.sql");
            std::fs::write(&file, "\\set x random(1, 20000)\nselect kind from readings where id = :x;")
                .unwrap();
            let mut command = Command::new(Binaries::find().unwrap().path("pgbench"));
            command.args(["-n", "-T", "4", "-M", "simple", "-c", clients, "-f"]).arg(file);
            command.arg(world.gate.conninfo(dana.name(), "shop")).env("PGPASSWORD", dana.password());
            let output = command.stdin(Stdio::null()).output().unwrap();
            let text = [output.stdout, output.stderr]
                .map(|text| String::from_utf8_lossy(&text).into_owned())
                .concat();
            let shown = text.lines().filter(|line| line.contains("latency") || line.contains("tps"));
            let shown: Vec<_> = shown.collect();
            eprintln!("{clients} clients, asks: {asks}: {}", shown.join(", "));
            assert_eq!(shown.len(), 2, "{text}");
        }
    }
}

#[test]
fn where_no_connection_can_be_had_the_catalog_has_the_last_word() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(!is_denied(&mut psql, "select id from products where id = 1"));
    let now = "select count(*) from pg_stat_activity where usename = 'stepgate_analyst'";
    let now = world.cluster.psql("shop", now).unwrap();
    world.cluster.psql("shop", &format!("alter role stepgate_analyst connection limit {now}")).unwrap();
    assert!(is_denied(&mut psql, "select id from readings where id = 17"));
    world.cluster.psql("shop", "alter role stepgate_analyst connection limit -1").unwrap();
    stepgate_testkit::until("an answer", SOON, || {
        !is_denied(&mut psql, "select id from readings where id = 17")
    })
    .unwrap();
    // One that was closed in the meantime is made anew.
    let close =
        "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stepgate planner'";
    assert_eq!(world.cluster.psql("shop", close).unwrap(), "t");
    assert!(!is_denied(&mut psql, "select id from readings where id = 17"));
}

#[test]
fn no_literal_that_was_planned_is_logged_or_recorded_by_the_gate() {
    let world = world(|_| {});
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    // Found, not found, and refused by the server with the literal in its error.
    for sql in [
        "select id from notes where text = 'zebra-4711'",
        "select id from notes where text = 'zebra-none'",
        "select id from notes where text = 'zebra-error' and id = 'zebra-4712'",
    ] {
        drop(psql.send(&format!("{sql};")));
        if sql.contains("error") {
            let request = held(&mut psql);
            olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
        }
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok() || reply.sqlstate == "22P02", "{sql}: {}", reply.text());
    }
    assert!(
        server_log(&world).contains("EXPLAIN (FORMAT JSON) select id from notes where text = 'zebra-4711'")
    );
    assert!(!world.gate.log().contains("zebra"), "{}", world.gate.log());
    let records = world.records();
    assert!(!records.iter().any(|record| record.to_string().contains("zebra")));
    // Nor does whoever is held read from the notice what the statistics know.
    psql.send("select id from notes where id > 4711;").unwrap();
    drop(held(&mut psql));
    assert!(psql.shown().iter().all(|line| !line.contains("15,")), "{:#?}", psql.shown());
    psql.interrupt().unwrap();
    drop(psql.finish(SOON));
}

#[test]
fn a_table_is_not_talked_small_by_counting_it_in_a_transaction_that_is_rolled_back() {
    let world = world(|world| {
        let own = "create table own as select id, size from readings; alter table own owner to stepgate_analyst; \
             analyze own; grant create on schema public to public";
        world.cluster.load("shop", own).unwrap();
    });
    let mut psql = world.psql(&world.dana());
    assert!(is_denied(&mut psql, "select id, size from own"));
    for left in ["", " where id > 10"] {
        world.cluster.load("shop", &format!("begin; delete from own{left}; analyze own; rollback")).unwrap();
        assert_ne!(
            world.cluster.psql("shop", "select reltuples from pg_class where relname = 'own'").unwrap(),
            "20000"
        );
        // So that the catalog is read again.
        assert!(psql.run("create table more (a int);").unwrap().is_ok());
        assert!(psql.run("drop table more;").unwrap().is_ok());
        assert!(is_denied(&mut psql, "select id, size from own"), "{left}");
        assert!(is_denied(&mut psql, "select id from own where size >= 0"), "{left}");
    }
}

#[test]
fn a_simulation_asks_the_planner_as_the_gate_does() {
    let world = world(|_| {});
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for (sql, denied) in [
        ("select * from readings where id = 17", false),
        ("select id from readings where kind = 'rare'", false),
        ("select id from readings where kind = 'common'", true),
        ("select id from readings where again + 0 = 7", true),
        ("select id from readings", true),
    ] {
        for command in ["simulate", "explain"] {
            let arguments = ["policy", command, "--as", "dana", "--groups", "analysts", "-o", "json", sql];
            let said = world.gate.run(arguments, "").unwrap().ok().unwrap();
            let word = if denied { "deny" } else { "allow" };
            let said: serde_json::Value = serde_json::from_str(&said).unwrap();
            let action = said.pointer("/0/decision/action").or_else(|| said.pointer("/0/decision"));
            assert_eq!(action, Some(&word.into()), "{command} {sql}: {said}");
        }
        assert_eq!(is_denied(&mut psql, sql), denied, "{sql}");
    }
}
