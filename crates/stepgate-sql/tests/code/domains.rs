//! What domains bring with them: defaults, and checks that run wherever a value is made of one.

use stepgate_sql::{Catalog, SessionState, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::Certainty;

use super::common::{columns, facts, session, snapshot, snapshot_of_version};
use super::{check, guarded};

const SCHEMA: &str = r#"
    create table people (id int primary key, email text); insert into people values (1, 'AAA');
    create table plain (id int primary key, note text);
    create function first() returns text language sql as 'select email from public.people order by id limit 1';
    create function first_slow() returns text language plpgsql as
      'begin return (select email from public.people order by id limit 1); end';
    create domain tag as text default public.first();
    create domain retag as tag;
    create domain slow_tag as text default public.first_slow();
    create domain free_tag as text default lower('X');
    create table notes (id int, t tag); create table renotes (id int, t retag); create table slow_notes (id int, t slow_tag);
    create table free_notes (id int, t free_tag); create table own_notes (id int, t tag default 'x');
    create table part (id int, t tag) partition by list (id); create table part_1 partition of part for values in (1);
    create function known(text) returns boolean language sql as 'select exists (select from public.people where email = $1)';
    create domain known as text check (public.known(value));
    create type rec as (d known);
    create table by_default (id int, t text default ('x'::known)::text);
    create table by_check (id int primary key, t text, secret text, check ((t::known) is not null));
    create table by_array (id int, t text, check ((t::known[]) is not null));
    create table by_generated (id int, t text generated always as ((id::text)::known) stored);
    create table by_policy (id int, t text); alter table by_policy enable row level security;
    create policy p on by_policy using ((t::known) is not null);
    create table by_statistics (id int, t text); create statistics of_domain on id, (t::known) from by_statistics;
    create table by_enum (id int, t text); create type mood as enum ('on');
    create statistics of_enum on id, (t::mood) from by_enum;
    create table by_opaque (id int, t text); alter table by_opaque enable row level security;
"#;

fn shop() -> (Cluster, Catalog) {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    (cluster, catalog)
}

#[test]
fn a_domains_default_runs_where_a_column_has_none() {
    let (cluster, catalog) = shop();
    for attack in [
        "insert into notes (id) values (1) returning t",
        "insert into renotes (id) values (1) returning t",
        "update notes set t = default returning t",
        "create temp table made as select id, t from notes where false; insert into made (id) values (1) returning t",
        "create temp table late (id int); insert into late values (1); alter table late add column t tag; select t from late",
    ] {
        assert!(cluster.psql("shop", attack).expect("the server runs it").contains("AAA"), "{attack}");
    }
    let cases = [
        ("insert into notes (id) values (1) returning t", "people.email"),
        ("insert into renotes (id) values (1)", "people.email"),
        ("insert into slow_notes (id) values (1)", "?"),
        ("copy notes (id) from stdin", "people.email"),
        ("update notes set t = default where id = 1 returning t", "people.email"),
        (
            "merge into notes using (values (1)) v (i) on id = i when not matched then insert (id) values (1)",
            "people.email",
        ),
        ("insert into part (id) values (1)", "people.email"),
        ("insert into part_1 (id) values (1)", "people.email"),
        ("alter table plain add column t tag", "?"),
        ("alter table plain add column t public.tag", "?"),
        ("alter table plain add column t free_tag", ""),
        ("insert into free_notes (id) values (1)", ""),
        ("insert into own_notes (id) values (1)", ""),
        ("select t from notes", ""),
    ];
    check(&cases, &catalog);
}

#[test]
fn a_field_that_is_a_domain_makes_a_value_of_it() {
    let (cluster, catalog) = shop();
    // The domain's check reads the addresses, and its error tells whether one is there.
    for form in [
        "select x.tagged from unnest(array['%']) as x",
        "select x.tagged from unnest(array['%']) as x(y)",
        "select ('%'::text).tagged",
    ] {
        cluster
            .load(
                "shop",
                "drop domain if exists tagged; create domain tagged as text check (public.known(value))",
            )
            .expect("DDL");
        let (there, not_there) = (form.replace('%', "AAA"), form.replace('%', "BBB"));
        assert_eq!(cluster.psql("shop", &there).expect("the server runs it").trim(), "AAA", "{form}");
        assert!(cluster.psql("shop", &not_there).is_err(), "{form}");
    }
    let catalog_now = snapshot(&cluster, "shop");
    let cases = [
        ("select x.tagged from unnest(array['AAA']) as x", "people.email"),
        ("select x.tagged from unnest(array['AAA']) as x(y)", "people.email"),
        ("select ('AAA'::text).tagged", "people.email"),
        ("select x.mood from unnest(array['on']) as x", ""),
    ];
    check(&cases, &catalog_now);
    // `known` is a function's name, too.
    check(&[("select x.known from unnest(array['AAA']) as x", "?")], &catalog);
}

/// Names that newer servers have constructs of: to those before, names of somebody's functions and types. And the version
/// that brought each.
#[test]
fn a_construct_of_newer_servers_is_a_name_to_those_before() {
    let (cluster, _) = shop();
    let names = [
        ("json_array", "160000"),
        ("json_arrayagg", "160000"),
        ("json_scalar", "170000"),
        ("json_serialize", "170000"),
        ("json", "170000"),
    ];
    let make = |(name, _)| {
        format!(
            "create schema of_{name}; create domain of_{name}.{name} as text check (public.known(value));"
        )
    };
    cluster.load("shop", &names.map(make).concat()).expect("domains");
    let catalog = snapshot(&cluster, "shop");
    for since in ["160000", "170000"] {
        let newer = snapshot_of_version(&cluster, "shop", since);
        for (name, _) in names.into_iter().filter(|(_, of)| *of == since) {
            // Types of the server's stand before others, unless the path says otherwise.
            let path = [format!("of_{name}"), "pg_catalog".to_owned(), "public".to_owned()];
            let session = SessionState::with_search_path(path.clone());
            for form in ["select #('%'::text)", "select q from #(lower('%')) q"] {
                let of = |value: &str| form.replace('#', name).replace('%', value);
                let run = |value: &str| {
                    cluster.psql("shop", &format!("set search_path = {}; {}", path.join(", "), of(value)))
                };
                cluster.psql("shop", "update people set email = 'aaa'").expect("an address");
                assert!(run("aaa").is_ok() && run("bbb").is_err(), "{name}: {form}");
                for (catalog, reads) in [(&catalog, true), (&newer, false)] {
                    let facts = &analyze(of("x").as_bytes(), catalog, &session)[0];
                    let is_held = facts.certainty == Certainty::Unknown || !guarded(facts).is_empty();
                    assert_eq!(is_held, reads, "{name}: {form}: {:?}", facts.reasons);
                }
            }
        }
    }
}

#[test]
fn functions_and_columns_named_as_constructs_of_newer_servers_are_seen() {
    let (cluster, _) = shop();
    let reads = "language sql as 'select email from public.people'";
    cluster
        .load(
            "shop",
            &format!(
                "create function json_value(text, text) returns text {reads};
                 create function json_exists(text, text) returns text {reads};
                 create function json_query(text, text) returns text {reads};
                 create function json_array(int, int) returns text {reads};
                 create function json_object(n int default 1) returns text {reads};
                 create function merge_action() returns text {reads};
                 create table by_system (id int, system_user text)"
            ),
        )
        .expect("functions");
    let catalog = snapshot(&cluster, "shop");
    for call in [
        "json_value('a', 'b')",
        "json_exists('a', 'b')",
        "json_query('a', 'b')",
        "json_array(1, 2)",
        "json_object()",
    ] {
        let sql = format!("select {call}");
        assert_eq!(cluster.psql("shop", &sql).expect("the server runs it"), "AAA");
        let facts = &facts(&sql, &catalog)[0];
        assert!(facts.certainty == Certainty::Unknown || !guarded(facts).is_empty(), "{sql}");
    }
    let newer = snapshot_of_version(&cluster, "shop", "170000");
    let cases = [
        ("select json_value('a', '$.b'), json_array(1, 2)", ""),
        ("select \"json_value\"('a', '$.b')", "people.email"),
    ];
    check(&cases, &newer);
    check(&[("select merge_action()", "people.email")], &catalog);
    for sql in [
        "select system_user from by_system",
        "alter table by_system add check (system_user <> 'x')",
        "alter table by_system alter id type int using (system_user::int)",
        "create index on by_system ((system_user || 'x'))",
    ] {
        let facts = &facts(sql, &catalog)[0];
        let is_known = facts.certainty != Certainty::Unknown;
        assert!(!is_known || columns(facts).contains_key("public.by_system.system_user"), "{sql}");
    }
}

/// The server takes a call for a cast where no function of the name is given just these types.
#[test]
fn a_call_may_be_a_cast_though_there_are_functions_of_its_name() {
    let (cluster, _) = shop();
    let ddl = "create domain checks as text check (public.known(value));
        create function checks(int) returns int language sql as 'select 1';
        create domain count as text; create domain json_each as text;
        create table keyed (id int, key text); insert into keyed values (1, 'KEY'), (2, 'KEY')";
    cluster.load("shop", ddl).expect("DDL");
    let catalog = snapshot(&cluster, "shop");
    let failed = cluster.psql("shop", "select public.checks(lower('BBB'))").expect_err("a check").to_string();
    assert!(failed.contains("checks_check"), "{failed}");
    let cases = [
        ("select public.checks(lower('x'))", "people.email"),
        ("select shop.public.checks(lower('x'))", "people.email"),
        ("select checks(lower('x'))", "people.email"),
    ];
    check(&cases, &catalog);
    let of = |sql: &str| facts(sql, &catalog).pop().expect("one statement");
    // As many rows as there are.
    assert_eq!(cluster.psql("shop", "select count(key) from keyed").expect("rows"), "KEY\nKEY");
    assert_ne!(of("select count(key) from keyed").estimate, Some(1));
    assert_eq!(of("select max(key) from keyed").estimate, Some(1));
    // No column of its own: the table's.
    let outer = "select (select key from json_each(lower('x'))) from keyed";
    assert_eq!(cluster.psql("shop", outer).expect("rows"), "KEY\nKEY");
    assert!(columns(&of(outer)).contains_key("public.keyed.key"));
}

#[test]
fn what_an_aggregate_is_given_is_made_of_the_types_that_it_says() {
    let (cluster, _) = shop();
    let ddl = "create aggregate gathers(known) (sfunc = pg_catalog.textcat, stype = text, initcond = '');
        create aggregate lists(int) (sfunc = pg_catalog.trim_array, stype = known[], initcond = '{AAA}');
        create aggregate free(text) (sfunc = pg_catalog.textcat, stype = text, initcond = '')";
    cluster.load("shop", ddl).expect("aggregates");
    cluster.psql("shop", "update people set email = 'CCC'").expect("an address");
    for attack in ["select gathers(lower('BBB'))", "select lists(0)"] {
        let failed = cluster.psql("shop", attack).expect_err(attack).to_string();
        assert!(failed.contains("known_check"), "{attack}: {failed}");
    }
    let cases = [
        ("select gathers(lower('x'))", "people.email"),
        ("select gathers(note) from plain", "people.email"),
        ("select lists(0)", "people.email"),
        ("select lists(id) over (order by id) from plain", "people.email"),
        ("select free(note) from plain", ""),
    ];
    check(&cases, &snapshot(&cluster, "shop"));
}

#[test]
fn a_domains_default_goes_with_a_column_into_a_table_that_a_query_makes() {
    let (cluster, catalog) = shop();
    let script = "create temp table made as select id, t from notes where false; insert into made (id) values (1) returning t";
    let all = facts(script, &catalog);
    let [_, insert] = all.as_slice() else { panic!("two statements") };
    assert!(insert.certainty == Certainty::Unknown || !guarded(insert).is_empty(), "{insert:?}");
    let mut session = session();
    assert!(session.created.follow(&all[0], &catalog, &["pg_catalog".to_owned(), "public".to_owned()]));
    let [insert] = analyze(b"insert into made (id) values (1) returning t", &catalog, &session)
        .try_into()
        .expect("one statement");
    assert!(insert.certainty == Certainty::Unknown || !guarded(&insert).is_empty(), "{:?}", columns(&insert));
    // One that is there already, the catalog has.
    cluster
        .load("shop", "create unlogged table kept as select id, t from notes where false")
        .expect("a table");
    check(&[("insert into kept (id) values (1)", "people.email")], &snapshot(&cluster, "shop"));
}

#[test]
fn an_expression_that_makes_a_domains_value_checks_it_though_it_calls_nothing() {
    let (cluster, catalog) = shop();
    // The server runs them: what is known decides whether the row is taken.
    cluster.load("shop", "insert into by_check values (1, 'AAA')").expect("a known address");
    assert!(cluster.psql("shop", "insert into by_check values (2, 'BBB')").is_err());
    let cases = [
        ("insert into by_default (id) values (1)", "people.email"),
        ("insert into by_check values (1, 'x')", "people.email"),
        ("update by_check set t = 'x' where id = 1", "by_check.secret people.email"),
        ("insert into by_array values (1, '{x}')", "people.email"),
        ("insert into by_generated values (1)", "people.email"),
        ("select id from by_policy", "people.email"),
        ("update by_policy set id = 1", "people.email"),
        ("analyze by_statistics", "?"),
        ("analyze", "?"),
        ("analyze by_enum", ""),
        ("select id from by_enum", ""),
    ];
    check(&cases, &catalog);
}

#[test]
fn a_policy_that_makes_a_value_of_an_opaque_type_is_not_known() {
    let (cluster, _) = shop();
    let ddl = "create type spot; create function canon(spot) returns spot immutable language internal as 'int4range_canonical';
        create type spot as range (subtype = int4, canonical = canon);
        create policy p on by_opaque using ((t::spot) is not null)";
    cluster.load("shop", ddl).expect("a range type");
    check(&[("select id from by_opaque", "?"), ("select id from plain", "")], &snapshot(&cluster, "shop"));
}

/// Ways to have a literal parsed as an array or row of domains.
const PARSING: &str = r#"
    create table lists (id int, a known[]);
    create function takes(a known[]) returns int language sql as 'select 1';
    create function takes_slow(a known[]) returns int language plpgsql as 'begin return 1; end';
    create function gives() returns known[] language sql as 'select null::public.known[]';
    create function alike(known[], known[]) returns boolean language sql as 'select true';
    create operator @=@ (leftarg = known[], rightarg = known[], function = alike);
    create view array_view as select id, array[note]::known[] as a from plain;
    create view over_lists as select id, a from lists;
    create procedure proceeds(a known[]) language sql as 'select 1';
    create type holder as (a known[]);
"#;

#[test]
fn whatever_may_have_a_checked_literal_parsed_says_so() {
    let (cluster, _) = shop();
    cluster.load("shop", PARSING).expect("code");
    let catalog = snapshot(&cluster, "shop");
    for (sql, reads) in [
        ("select takes('{x}')", true),
        ("select takes(a => '{x}')", true),
        ("select takes_slow('{x}')", true),
        ("select gives() || '{x}'", true),
        ("select array_cat(gives(), '{x}')", true),
        ("select 1 from (select gives() as a) q where a = '{x}'", true),
        ("select '{x}' operator(public.@=@) null", true),
        ("select id from array_view where a = '{x}'", true),
        ("select id from over_lists where a = '{x}'", true),
        ("call proceeds('{x}')", true),
        ("call missing('{x}'::public.known[])", true),
        ("select missing('{x}'::known[])", true),
        ("select missing_column, '{x}'::known[] from plain", true),
        ("explain select takes('{x}')", true),
        ("declare c cursor for select takes('{x}')", true),
        ("create temp table made as select takes('{x}')", true),
        ("do $$ begin end $$", true),
        ("select from ) 'x'", true),
        ("select from ) $x$x$x$", true),
        ("do 'begin end'", true),
        ("select id from plain where note = '{x}'", false),
        ("insert into plain values (1, '{x}')", false),
        ("select lower('X')", false),
        // What cannot be read and has no literal has its syntax error.
        ("selec", false),
        ("select from )", false),
        // Values that come with the Bind are checked then.
        ("select takes($1)", false),
        ("select id from array_view where a = $1", false),
        ("select missing($1)", false),
        ("call proceeds($1)", false),
        // It does read, and not by being parsed.
        ("select first()", false),
    ] {
        let all = facts(sql, &catalog);
        assert_eq!(all[0].parsing_reads, reads, "{sql}: {:?}", all[0].reasons);
    }
}

/// What is made at once is parsed at once.
#[test]
fn ddl_that_has_a_checked_literal_parsed_is_not_taken_for_one_that_runs_nothing() {
    let (cluster, _) = shop();
    cluster.load("shop", PARSING).expect("code");
    for attack in [
        "create function pg_temp.q() returns int language sql as $$ select array_length('{BBB}'::public.known[], 1) $$",
        "create function pg_temp.q(a public.known[] default '{BBB}') returns int language plpgsql as 'begin return 1; end'",
        "alter table lists alter column a set default '{BBB}'",
        "create table typed of holder (a default '{BBB}')",
        "create table heir (check (a <> '{BBB}')) inherits (lists)",
        "create table alike (like lists, check (a <> '{BBB}'))",
    ] {
        let failed = cluster.psql("shop", attack).expect_err(attack).to_string();
        assert!(failed.contains("known_check"), "{attack}: {failed}");
        let [facts] = facts(attack, &snapshot(&cluster, "shop")).try_into().expect("one statement");
        assert!(facts.certainty == Certainty::Unknown || !guarded(&facts).is_empty(), "{attack}");
    }
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("alter table lists alter column a set default '{x}'", "people.email"),
        ("alter table unheard_of alter column a set default '{x}'", "?"),
        ("alter table unheard_of alter column a drop default", ""),
        ("alter table unheard_of alter column a set default 7", ""),
        ("alter table plain alter column note set default 'x'", ""),
        ("create function f(a text default 'x') returns int language sql as 'select 1'", "?"),
        ("create function f() returns text language sql as $$ select 'x' $$", "?"),
        ("create function f() returns text begin atomic select 'x'; end", "?"),
        ("create function f() returns text return 'x'", "?"),
        ("create function f() returns text language sql as 'select $$x$$'", "?"),
        (
            "create function f(a int default 7) returns int language sql as 'select id from public.plain where id = a'",
            "",
        ),
        (
            "create function f(a int default 7) returns int begin atomic select id from plain where id = a; end",
            "",
        ),
        ("create function f(a int) returns int return a + 1", ""),
        ("create function f(a text) returns text language plpgsql as $$ begin return 'x'; end $$", ""),
        ("create table heir (check (note <> 'x')) inherits (plain)", "?"),
        ("create table heir () inherits (plain)", ""),
    ];
    check(&cases, &catalog);
    // Where nothing checks, nothing is doubted.
    cluster.load("shop", "drop domain known cascade; drop domain tag cascade").expect("DDL");
    let cases = [
        ("create function f(a text default 'x') returns int language sql as 'select 1'", ""),
        ("alter table unheard_of alter column a set default '{x}'", ""),
        ("create table heir (check (note <> 'x')) inherits (plain)", ""),
    ];
    check(&cases, &snapshot(&cluster, "shop"));
}

/// Ranges of what is checked: the constructors that CREATE TYPE makes are internal and immutable, in the user's schema.
const RANGES: &str = "
    create function tells(text) returns boolean language sql immutable as
      'select (select email || '' is theirs'' from public.people where id between 1 and 1)::int > 0';
    create domain told as text check (tells(value));
    create type told_range as range (subtype = told, multirange_type_name = told_ranges);
    create type span as range (subtype = int, multirange_type_name = spans);
    create type mood_span as range (subtype = mood);
    create operator %%%% (leftarg = told, rightarg = told, function = told_range);
    create operator %%%# (leftarg = int, rightarg = int, function = span);
    create table spanned (id int, a int, b int, s span, t text);
    create policy p on spanned using (span(a, b) @> id and spans(span(a, b)) @> id);
    create table guessed (id int, t text);
    create policy p on guessed using (told_range(t, t) is not null);
    create table put (id int, t text default (lower(told_range('a', 'b')))::text, s span default span(1, 2));
    create view shown as select told_range(t, t) as r from spanned;
    create view spans_shown as select span(a, b) as r from spanned;
    create index on spanned using gist (span(a, b));
    alter table spanned enable row level security; alter table guessed enable row level security;
    create type odd; create function canon(odd) returns odd immutable language internal as 'int4range_canonical';
    create type odd as range (subtype = int4, canonical = canon);";

#[test]
fn a_range_is_put_together_by_what_its_bounds_check() {
    let (cluster, _) = shop();
    cluster.load("shop", RANGES).expect("types");
    for (attack, told) in
        [("select 'a' %%%% 'b'", "AAA is theirs"), ("select told_range('a', 'b')", "AAA is theirs")]
    {
        let output = cluster.psql_command("shop").args(["-c", attack]).output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(error.contains(told), "{attack}: {error}");
    }
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("select 'a' %%%% 'b'", "people.email"),
        ("select told_range('a', 'b')", "people.email"),
        ("select told_ranges()", "people.email"),
        ("insert into put (id) values (1)", "people.email"),
        ("select r from shown", "people.email"),
        ("select id from guessed", "people.email"),
        ("select odd(1, 2)", "?"),
        // Ranges of what nobody checks.
        ("select 1 %%%# 2, span(1, 2), spans(span(1, 2)), mood_span('on', null)", ""),
        ("select r from spans_shown", ""),
        ("select id from spanned where s @> 1", ""),
        ("insert into spanned (id, a, b) values (1, 2, 3)", ""),
    ];
    check(&cases, &catalog);
}
