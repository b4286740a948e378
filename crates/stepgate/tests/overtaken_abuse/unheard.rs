//! What is done before anybody hears of it, and what is looked for later than it is judged.

use support::frames::{error, query, send, until_tag};
use support::raw::{config, runtime, session};

use super::support::{self, SOON, passes};
use super::{beside, is_active, is_refused, nothing_is_labelled, two, world};

/// Of a session that needs no path to be understood, it is not known where its names are not looked for, unless it was asked.
#[test]
fn a_name_made_where_nobody_looks_for_it_ends_no_session_that_names_all_by_schemas() {
    let world = world();
    let (dora, eve) = two(&world);
    let reads = "select id, pg_sleep(0.7) from public.products limit 1;";
    for before in [
        &[][..],
        &["begin;"],
        &["set work_mem = '5MB';"],
        &["begin;", "set local work_mem = '5MB';", "select 1;"],
    ] {
        let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
        for sql in before {
            passes(&mut psql, sql);
        }
        for named in ["pg_sleep()", "pg_sleep(double precision)"] {
            let makes =
                format!("create or replace function mine.{named} returns int language sql as 'select 1';");
            beside(&world, &mut psql, reads, &mut other, &[&makes]);
            let reply = psql.finish(SOON).unwrap();
            assert!(reply.is_ok(), "{before:?}: {}", reply.text());
        }
        nothing_is_labelled(&mut psql);
    }
}

/// Its reply can be kept from the client, who need not read it; what it stores meanwhile cannot be taken back.
#[test]
fn what_a_statement_under_way_takes_its_rows_from_is_not_given_another_meaning() {
    let world = world();
    let made = "create table kept (x text); grant all on kept to public; create table mine.few (x text); \
         create table mine.none (); alter table mine.few owner to stepgate_analyst; \
         alter table mine.none owner to stepgate_analyst";
    world.cluster.load("shop", made).unwrap();
    let (dora, eve) = two(&world);
    let (mut psql, mut other) = (world.psql(&dora), world.psql(&eve));
    passes(&mut psql, "set search_path = mine, public;");
    for stores in [
        "insert into public.kept select ssn::text from customers",
        "update public.kept set x = (select max(ssn::text) from customers)",
        "create table mine.made as select ssn from customers",
        // Rows of tables that have no other column as yet, or none.
        "insert into public.kept select f::text from few f",
        "insert into public.kept select n::text from none n",
        "update few f set x = f::text",
    ] {
        psql.send(&format!("select pg_sleep(1.5)\\; {stores};")).unwrap();
        is_active(&world, "wait_event = 'PgSleep'");
        let table = ["few", "none"].into_iter().find(|it| stores.contains(it)).unwrap_or("customers");
        let away = format!("alter table mine.{table} rename to away;");
        is_refused(&mut other, &away, "in use by a statement under way");
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok(), "{stores}: {}", reply.text());
    }
    // Nor the other way round.
    passes(&mut other, "begin;");
    passes(&mut other, "alter table mine.customers rename to away;");
    is_refused(
        &mut psql,
        "insert into public.kept select ssn::text from customers;",
        "another session is changing",
    );
    passes(&mut other, "rollback;");
    passes(&mut psql, "insert into public.kept select ssn::text from customers;");
    passes(&mut other, "alter table mine.customers rename to away;");
    passes(&mut psql, "create temp table t as select mine.away.id from mine.away;");
}

/// What is called is looked for when what goes before is done.
#[test]
fn a_function_made_under_a_session_that_has_yet_to_look_for_it_shows_nothing() {
    let (world, runtime) = (world(), runtime());
    let (dora, eve) = two(&world);
    let mut other = world.psql(&eve);
    let body = "returns text language sql stable as $$ select string_agg(ssn, ',') from public.customers $$;";
    for (path, calls, makes) in [
        ("public, mine", "values (reverse('abc'::varchar))", "mine.reverse(varchar)"),
        ("public, mine", "select length('abc'::varchar)", "mine.length(varchar)"),
        ("mine, pg_catalog", "select version()", "mine.version()"),
        ("public, mine", "copy (select upper('abc'::varchar)) to stdout", "mine.upper(varchar)"),
    ] {
        let mut session = runtime.block_on(session(&config(&world, &dora))).unwrap();
        send(&runtime, &mut session, &query(&format!("set search_path = {path}")));
        until_tag(&runtime, &mut session, b'Z');
        send(&runtime, &mut session, &[query("select count(*) from pg_sleep(1)"), query(calls)].concat());
        is_active(&world, "wait_event = 'PgSleep'");
        passes(&mut other, &format!("create function {makes} {body}"));
        let said = until_tag(&runtime, &mut session, b'E');
        let shown = said.iter().any(|(_, body)| String::from_utf8_lossy(body).contains("901-00-"));
        let refused = error(&said).unwrap();
        assert!(!shown && refused.1.contains("stepgate: "), "{calls}: {refused:?}");
        passes(&mut other, &format!("drop function {makes};"));
    }
}

/// The same of one whose result is stored: in a message of several, behind another one, or for a client who reads nothing.
#[test]
fn a_function_is_not_made_under_what_stores_the_result_of_another_of_that_name() {
    let (world, runtime) = (world(), runtime());
    world.cluster.load("shop", "create table kept (x text); grant all on kept to public").unwrap();
    let (dora, eve) = two(&world);
    let mut other = world.psql(&eve);
    let makes = "create function mine.reverse(varchar) returns text language sql stable \
                 as $$ select string_agg(ssn, ',') from public.customers $$;";
    let stores = "insert into public.kept values (reverse('abc'::varchar))";
    let made = "create table mine.made as select reverse('abc'::varchar)";
    let sleeps = "select count(*) from pg_sleep(1.5)";
    let mut session = runtime.block_on(session(&config(&world, &dora))).unwrap();
    send(&runtime, &mut session, &query("set search_path = public, mine"));
    until_tag(&runtime, &mut session, b'Z');
    for messages in [
        vec![query(&format!("{sleeps}; {stores}"))],
        vec![query(&format!("{sleeps}; {made}"))],
        vec![query(sleeps), query(stores)],
    ] {
        let many = messages.len();
        send(&runtime, &mut session, &messages.concat());
        is_active(&world, "wait_event = 'PgSleep'");
        is_refused(&mut other, makes, "in use by a statement under way");
        for _ in 0..many {
            let said = until_tag(&runtime, &mut session, b'Z');
            assert!(error(&said).is_none(), "{said:?}");
        }
    }
    assert_eq!(world.cluster.psql("shop", "select distinct x from kept").unwrap(), "cba");
    passes(&mut other, makes);
    passes(&mut other, "drop function mine.reverse(varchar);");
}
