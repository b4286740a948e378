//! Temporary tables in the transaction that makes them, as drivers use them that begin transactions by themselves.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{World, approved, passes, waits};

fn world() -> World {
    // So that what is asked about can be seen to wait.
    let mut world = World::not_serving(|text| text.replace("in_transaction: auto", "in_transaction: hold"));
    let ddl = "grant create on schema public to public; create schema s; grant all on schema s to public; \
               create domain checked as text check (length(value) > 1);";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    world
}

#[test]
fn what_the_transaction_made_of_plain_data_is_used_unasked() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in [
        "begin;",
        "create temp table t as select id, segment from customers;",
        "select count(*) from t;",
        "insert into t select id, name from products;",
        "create temporary table if not exists u (a bigint primary key, b text) on commit drop;",
        "insert into u select id, max(segment) from t group by id on conflict do nothing;",
        "select t.id, b from t join u on t.id = u.a join orders o on o.id = t.id order by 1 limit 3;",
        "create index on t (segment);",
        "analyze t;",
        "update u set b = 'x' where a < 5;",
        "select segment as k into temp w from t;",
        "create temp view v as select a from u;",
        "select a from v limit 1;",
        "drop view v;",
        "drop table w;",
        "create temp table w as select a from u;",
        "select a from w limit 1;",
        "create table made_here as select id from products;",
        "select max(id) from made_here;",
        "savepoint p;",
        "prepare q as select count(*) from t;",
        "execute q;",
        "declare c cursor for select id from t;",
        "fetch 2 from c;",
        "commit;",
        "begin;",
        "select max(id) from made_here;",
        "select count(*) from t;",
        "commit;",
    ] {
        passes(&mut psql, sql);
    }
}

#[test]
fn what_it_was_filled_with_when_it_was_made_keeps_its_labels() {
    let world = world();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    approved(&world, &mut psql, &mut olga, "create temp table t as select id, ssn as x from customers;");
    passes(&mut psql, "select max(id) from t;");
    passes(&mut psql, "create temp view v as select id from t;");
    passes(&mut psql, "select max(id) from v;");
    waits(&world, &mut psql, &dana, "select x from t;");
}

#[test]
fn what_it_was_filled_with_later_keeps_its_labels() {
    let world = world();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "begin;");
    passes(&mut psql, "create temp table plain (id bigint, y text);");
    approved(&world, &mut psql, &mut olga, "insert into plain select id, ssn from customers;");
    passes(&mut psql, "select max(id) from plain;");
    passes(&mut psql, "create temp table other (z text);");
    waits(&world, &mut psql, &dana, "insert into other select y from plain;");
}

#[test]
fn what_all_can_read_keeps_its_labels_in_the_transaction_that_made_it() {
    let world = world();
    for (make, read) in [
        ("create temp view v as select ssn as z from customers;", "select z from v;"),
        ("create view w as select ssn as z from customers;", "select z from w;"),
        ("create table s.kept as select id, ssn as z from customers;", "select z from s.kept;"),
        ("select id, ssn as z into s.kept from customers;", "select z from s.kept;"),
    ] {
        let name = format!("p{}", make.len());
        let (dana, mut olga) =
            (world.person(&name, "analysts"), world.person(&format!("o{name}"), "data-owners"));
        let mut psql = world.psql(&dana);
        passes(&mut psql, "begin;");
        approved(&world, &mut psql, &mut olga, make);
        waits(&world, &mut psql, &dana, read);
    }
}

#[test]
fn a_decoy_does_not_stand_before_labelled_data_when_it_is_gone() {
    let world = world();
    let dana = world.dana();
    let decoy = "create temp table customers (id bigint, ssn text);";
    // Undone, dropped, put behind by the path; and by the name of what is there already, never trusted.
    for undo in [
        "rollback to a;",
        "drop table customers;",
        "set search_path = public, pg_temp;",
        "set local search_path = public, pg_temp;",
    ] {
        let mut psql = world.psql(&dana);
        for sql in ["begin;", "savepoint a;", decoy, undo] {
            passes(&mut psql, sql);
        }
        waits(&world, &mut psql, &dana, "select ssn from customers limit 1;");
    }
    // Outside a transaction, and in one that is rolled back.
    let mut psql = world.psql(&dana);
    for sql in ["begin;", decoy, "rollback;"] {
        passes(&mut psql, sql);
    }
    waits(&world, &mut psql, &dana, "select ssn from customers limit 1;");
    // A new name, which somebody else then gives to something labelled.
    let mut psql = world.psql(&dana);
    for sql in ["begin;", "savepoint a;", "create temp table fresh (x text);", "select x from fresh;"] {
        passes(&mut psql, sql);
    }
    world
        .cluster
        .load("shop", "create table fresh as select ssn as x from customers; grant all on fresh to public")
        .unwrap();
    passes(&mut psql, "rollback to a;");
    waits(&world, &mut psql, &dana, "select x from fresh;");
}

#[test]
fn prepared_statements_of_what_was_rolled_back_are_judged_by_what_is_there() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in [
        "begin;",
        "create temp table mine (ssn text);",
        "prepare q as select ssn from mine;",
        "execute q;",
        "rollback;",
        "begin;",
        "create temp view mine as select name as ssn from products;",
        "execute q;",
        "rollback;",
    ] {
        passes(&mut psql, sql);
    }
    passes(&mut psql, "begin;");
    let view = "create temp view mine as select ssn from customers;";
    approved(&world, &mut psql, &mut world.olga(), view);
    waits(&world, &mut psql, &dana, "execute q;");
}

#[test]
fn a_session_that_gets_anothers_temporary_schema_does_not_get_what_was_in_it() {
    let world = world();
    let dana = world.dana();
    let mut first = world.psql(&dana);
    passes(&mut first, "create temp table customers (id bigint, ssn text);");
    passes(&mut first, "select ssn from customers;");
    drop(first);
    let gone = "select count(*) from pg_class where relname = 'customers' and relnamespace::regnamespace::text like 'pg_temp%'";
    stepgate_testkit::until_some("the session to be gone", support::SOON, || {
        (world.cluster.psql("shop", gone).unwrap() == "0").then_some(())
    })
    .unwrap();
    let mut second = world.psql(&dana);
    passes(&mut second, "begin;");
    passes(&mut second, "create temp table other (a int);");
    passes(&mut second, "select a from other;");
    waits(&world, &mut second, &dana, "select ssn from customers limit 1;");
}

#[test]
fn a_transaction_right_after_ddl_waits_for_the_catalog() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for round in 0..5 {
        psql.run(&format!("create table round_{round} (a int);")).unwrap();
        psql.run("begin;").unwrap();
        passes(&mut psql, &format!("select a from round_{round};"));
        passes(&mut psql, "commit;");
    }
}

/// A few words make a view whose text has megabytes: printing it would keep the gate from reading the catalog, and everybody
/// would be judged by what it was before.
#[test]
fn a_view_with_a_huge_definition_keeps_nobody_from_being_judged_by_the_catalog_as_it_is() {
    let world = world();
    world
        .cluster
        .load("shop", "create view hv as select 'nothing'::text as x; grant select on hv to public")
        .unwrap();
    let (dana, tom) = (world.dana(), world.person("tom", "analysts"));
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&tom));
    let columns: Vec<_> = (0..1_500).map(|n| format!("{}{n} int", "c".repeat(50))).collect();
    passes(&mut psql, &format!("create temp table wide ({});", columns.join(", ")));
    let all = vec!["select * from wide"; 100].join(" union all ");
    let begun = std::time::Instant::now();
    passes(&mut psql, &format!("create temp view big as {all};"));
    passes(&mut other, "select x from hv;");
    world.cluster.load("shop", "create or replace view hv as select ssn::text as x from customers").unwrap();
    // It is seen beside the gate within two seconds and one look at the catalog: not after the half minute in which the server
    // would give up printing that view, and the gate try again.
    let soon = std::time::Duration::from_secs(20);
    let id = |line: &str| {
        Some(line.strip_prefix("NOTICE:  stepgate: ")?.rsplit_once('(')?.1.trim_end_matches(')').to_owned())
    };
    let request = stepgate_testkit::until_some("the view as it is", soon, || {
        other.send("select x from hv limit 1;").unwrap();
        match other.line("the gate's NOTICE", support::SOON, id) {
            Ok(request) => Some(request),
            // It may have been decided on before, and its result stopped by the catalog of after: that ends the session.
            Err(ended) if ended.to_string().contains("othing of it was shown") => {
                other = world.psql(&tom);
                None
            }
            Err(_) => None,
        }
    })
    .unwrap();
    world.gate.run(["request", "cancel", &request, "--as", tom.name()], "").unwrap().ok().unwrap();
    assert_eq!(other.finish(support::SOON).unwrap().sqlstate, "57014");
    // What nobody can read is not known.
    waits(&world, &mut psql, &dana, "select count(*) from big;");
    passes(&mut psql, "drop view big;");
    passes(&mut psql, "create temp view small as select 1 as a from wide;");
    passes(&mut psql, "select a from small;");
    // Each look at the catalog would take ten seconds and more.
    assert!(begun.elapsed() < std::time::Duration::from_secs(25), "{:?}", begun.elapsed());
}

#[test]
fn a_temporary_table_keeps_its_labels_though_another_session_renames_what_it_has_from_its_parent() {
    let mut world = World::not_serving(support::waiting);
    let ddl = "grant create on schema public to public; create table parent (id bigint, x text); \
               alter table parent owner to stepgate_analyst";
    world.cluster.load("shop", ddl).unwrap();
    world.gate.serve().unwrap();
    let (dana, mut olga) = (world.dana(), world.olga());
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&dana);
    passes(&mut psql, "create temp table child () inherits (public.parent);");
    passes(&mut psql, "select count(*) from child;");
    approved(&world, &mut psql, &mut olga, "insert into child select id, ssn from customers;");
    passes(&mut world.psql(&eve), "alter table parent rename column x to y;");
    waits(&world, &mut psql, &dana, "select y from child;");
    waits(&world, &mut psql, &dana, "select y from parent;");
    passes(&mut psql, "select max(id) from child;");
}
