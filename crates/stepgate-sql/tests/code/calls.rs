//! Functions, domains, casts, operators, defaults and checks.

use stepgate_sql::{CATALOG_FINGERPRINT_QUERY, analyze};

use super::common::{columns, rows, session, snapshot};
use super::{check, database, judge};

/// Statements, and which of the columns called `email` or `secret` they read; `?` where unknown is right.
const CALLS: &[(&str, &str)] = &[
    ("select bound(1)", "people.email"),
    ("select public.bound(1)", "people.email"),
    ("select bound_town(1)", ""),
    ("select bound_two(1)", "people.email"),
    ("select expression(1)", ""),
    ("select expression_reads(1)", "people.email"),
    ("select returns_within(1)", "people.email"),
    ("select bound_writes('y')", ""),
    ("select calls_upper('X')", ""),
    // Which of the two it is depends on types.
    ("select upper('X')", "people.email"),
    ("select field(p) from people p", "people.email"),
    ("select whole(p) from people p", "people.email"),
    ("select reads_by_default()", "people.email"),
    ("select reads_by_default(n => default_n) from (select 'x' as default_n) s", "people.email"),
    ("select pure_default(), pure_default(m => 4)", ""),
    ("select several('a', 'b'), several(variadic array['a'])", ""),
    ("select several(email) from people", "people.email"),
    ("select first_of(array_agg(email)) from people", "people.email"),
    ("select (some_people()).town", "people.email"),
    ("select b from a_table(1)", "people.email"),
    ("select (a_table(1)).b", "people.email"),
    ("select last_of(town), product(id) from people", ""),
    ("select last_of(email) from people", "people.email"),
    ("select look_ups(id) from plain", "people.email"),
    ("select finally(note) from plain", ""),
    ("select slow(note) from plain", "?"),
    ("select product(id) over (order by id) from plain", ""),
    // Domains and types.
    ("prepare prepared_1 (nosy, int) as select $1", "?"),
    ("prepare prepared_2 (public.nosy[]) as select $1", "?"),
    ("prepare prepared_3 (int, text) as select $1", ""),
    ("select 'X'::tidy_text, takes_tidy('X')", ""),
    ("select 'x'::nosy", "people.email"),
    // A literal that is given to a function of that name is made one.
    ("select n from v_defined", "people.email"),
    ("select initcap('x')", "people.email"),
    ("create table lowered (t text default initcap('x'))", "?"),
    ("alter table plain add t text default initcap('x')", "?"),
    ("select 'x'::\"INT\", 1::INT", "people.email"),
    ("select 1::INT", ""),
    ("select 'x'::neat", ""),
    ("select 'x'::public.nosy_twice", "people.email"),
    ("select '{x}'::nosy[]", "people.email"),
    ("select '(x)'::has_nosy", "people.email"),
    ("select '{(x)}'::has_nosy[]", "people.email"),
    ("select null::of_nosies", "people.email"),
    ("select row(1, '{x}')::of_nosies", "people.email"),
    ("select 'up'::mood, null::people", ""),
    ("select takes_nosy('{x}')", "people.email"),
    ("select 'x'::other.nosy", "?"),
    ("insert into of_tidy values (1, 'X')", ""),
    ("insert into of_nosy values (1, 'x')", "people.email"),
    ("insert into of_nosies values (1, '{x}')", "people.email"),
    ("update of_nosies set t = '{x}'", "people.email"),
    ("insert into of_neat values (1, 'x', 'y')", ""),
    ("update of_neat set t = 'x' where id = 1", ""),
    // A literal becomes an array of the domain.
    ("select 1 from of_nosies where t = '{x}'", "people.email"),
    // Operators.
    ("select 1 ## 2", ""),
    ("select 1 <-> 2", "people.email"),
    ("select 1 operator(public.<->) 2", "people.email"),
    ("select 1 operator(other.@@) 2", "people.email"),
    ("select not (id ==@ 1) from plain", "people.email"),
    ("explain select id from plain where not (id ==@ any (array[1, 2]))", "people.email"),
    ("explain select id from plain where 1 <<@ id", "people.email"),
    ("select id from plain where not (1 <=@ id)", "people.email"),
    ("select not (id =@= 1) from plain", ""),
    // Writes.
    ("insert into defaulted (id) values (1) returning note", "people.email"),
    ("insert into defaulted default values", "people.email"),
    ("copy defaulted (id) from stdin", "people.email"),
    ("insert into neatly_defaulted (id) values (1)", ""),
    ("update neatly_defaulted set id = 1", ""),
    ("insert into nosy_check (id, note) values (1, 'x')", "people.email"),
    ("update nosy_check set id = 2", "nosy_check.secret people.email"),
    ("insert into neat_check (id, note) values (1, 'x')", ""),
    // It fails with the whole row.
    ("update neat_check set note = 'X' where id = 1", "neat_check.secret"),
    ("insert into indexed (id, note) values (1, 'x')", ""),
    ("update indexed set note = 'y' where id = 1", "indexed.secret"),
    ("insert into parted values (1, 'x')", ""),
    ("insert into pieces (id) values (1)", "people.email"),
    ("insert into by_xml (id) values (1) returning note", "?"),
    // Policies.
    ("select note from mine", ""),
    ("update mine set note = 'x'", ""),
    ("select note from known", "people.email"),
    ("delete from known", "people.email"),
    ("insert into known values (1, 'x')", "people.email"),
    ("select note from noted", "?"),
    ("select note from oddly", "?"),
    ("select note from near", "people.email"),
    // Views.
    ("select b from v_bound", "people.email"),
    ("select t from v_town", ""),
    ("select * from v_over", "people.email"),
    ("select id from v_plpgsql", "?"),
    ("select n from v_domain", "people.email"),
    ("select * from v_tidy", ""),
    ("select n from v_has", "people.email"),
    ("select o from v_operator", "?"),
    ("select p from v_writes", "?"),
    ("select b from mv_bound", "people.email"),
    ("select f from v_field", "people.email"),
    ("select note from v_known", "people.email"),
    ("select 1 from v_of_nosies where t = '{x}'", "people.email"),
    ("select note from v_noted", "?"),
    // One part of a statement sets the path by which another finds its names.
    ("select moves_path(), reads_plain()", "?"),
    ("select set_config('search_path', 'other', true), reads_plain()", "?"),
    ("select moves_path()", "?"),
    ("select reads_plain()", ""),
    ("select fan_1(1::d_1)", ""),
    ("select fan_3(1::d_1)", "?"),
    // Round and round.
    ("select ping(1)", ""),
    ("select odd(2)", "people.email"),
    ("select spreads('x')", "?"),
    ("select deeper(1)", "people.email"),
    ("select deepest(1)", "?"),
    ("select elsewhere()", "?"),
];

#[test]
fn what_code_reads_is_read_by_the_statement_that_runs_it() {
    let (cluster, catalog) = database("calls.sql");
    check(CALLS, &catalog);
    judge(CALLS, &cluster, &catalog);
}

#[test]
fn a_cast_of_ones_own_is_seen_through_wherever_it_may_apply() {
    let (cluster, _) = database("calls.sql");
    cluster
        .load(
            "shop",
            "create type code as (a text);
             create function to_code(text) returns code language sql as 'select row(email)::code from people limit 1';
             create cast (text as code) with function to_code(text)",
        )
        .expect("a cast");
    let explicit = snapshot(&cluster, "shop");
    check(&[("select town from people", ""), ("select 'x'::text::code", "people.email")], &explicit);
    cluster
        .load(
            "shop",
            "drop cast (text as code); create cast (text as code) with function to_code(text) as implicit",
        )
        .expect("a cast");
    let implicit = snapshot(&cluster, "shop");
    check(&[("select town from people", "people.email")], &implicit);
    cluster
        .load(
            "shop",
            "drop cast (text as code);
             create function plpgsql_code(text) returns code language plpgsql as 'begin return row($1); end';
             create cast (text as code) with function plpgsql_code(text) as assignment",
        )
        .expect("a cast");
    check(&[("select town from people", "?")], &snapshot(&cluster, "shop"));
}

/// `any || text` is a function in SQL whose body casts to text.
#[test]
fn a_cast_to_text_that_only_the_servers_own_functions_write_is_seen_through() {
    let (cluster, _) = database("calls.sql");
    cluster
        .load(
            "shop",
            "create type pair as (a int, b int);
             create table pairs (p pair);
             create function told(pair) returns text language sql as 'select email from people limit 1';
             create cast (pair as text) with function told(pair)",
        )
        .expect("a cast");
    let cases = [
        ("select p || 'x' from pairs", "people.email"),
        ("select quote_literal(p) from pairs", "people.email"),
        ("select quote_nullable(p) from pairs", "people.email"),
    ];
    let catalog = snapshot(&cluster, "shop");
    check(&cases, &catalog);
    judge(&cases, &cluster, &catalog);
}

/// `IN` and `IS DISTINCT FROM` find an operator of one's own without its name; a view may be printed without it.
#[test]
fn an_operator_that_is_not_named_is_seen_through() {
    let (cluster, _) = database("calls.sql");
    cluster
        .load(
            "shop",
            "create table words (id text);
             create function nosy_same(int, text) returns boolean language sql as 'select email_of($1) is null';
             create operator = (leftarg = int, rightarg = text, function = nosy_same);
             create view v_distinct as select 1 as one from plain p, words w where p.id is distinct from w.id",
        )
        .expect("an operator");
    let catalog = snapshot(&cluster, "shop");
    check(
        &[
            ("select 1 from plain p, words w where p.id is distinct from w.id", "people.email"),
            ("select 1 from plain where id in (select id from words)", "people.email"),
            ("select one from v_distinct", "people.email"),
        ],
        &catalog,
    );
}

#[test]
fn not_similar_to_is_an_operator_that_somebody_may_have_made() {
    let (cluster, _) = database("calls.sql");
    cluster
        .load(
            "shop",
            "create function nosy_unlike(int, text) returns boolean language sql as 'select email_of($1) is null';
             create operator !~ (leftarg = int, rightarg = text, function = nosy_unlike)",
        )
        .expect("an operator");
    let cases = [("select 1 from plain where id not similar to 'x'", "people.email")];
    let catalog = snapshot(&cluster, "shop");
    check(&cases, &catalog);
    judge(&cases, &cluster, &catalog);
}

#[test]
fn what_code_brings_into_a_row_is_labelled_there() {
    let (cluster, catalog) = database("calls.sql");
    drop(cluster);
    let mut session = session();
    for (sql, read) in [
        ("insert into defaulted (id) values (1)", "select note from defaulted"),
        ("copy defaulted (id) from stdin", "select note from defaulted"),
        ("select bound_writes(email) from people", "select note from plain"),
        ("select finally(email) from people", "select note from plain"),
        ("insert into plain (id, note) select id, b from v_bound", "select note from plain"),
        ("insert into plain (id, note) select id, b from mv_bound", "select note from plain"),
    ] {
        let [facts] = analyze(sql.as_bytes(), &catalog, &session).try_into().expect("one statement");
        for (relation, flow) in &facts.flows {
            session.taints.add(relation.clone(), flow.clone()).expect("room");
        }
        let [facts] = analyze(read.as_bytes(), &catalog, &session).try_into().expect("one statement");
        assert!(columns(&facts).contains_key("public.people.email"), "{sql}; {read}: {:?}", facts.columns);
    }
    // What only looks at the row brings nothing into it.
    for sql in [
        "insert into known values (1, 'x')",
        "insert into nosy_check (id, note) values (1, 'x')",
        "insert into of_nosy values (1, 'x')",
    ] {
        let [facts] = analyze(sql.as_bytes(), &catalog, &super::common::session()).try_into().expect("one");
        assert!(facts.flows.is_empty(), "{sql}: {:?}", facts.flows);
    }
}

#[test]
fn every_change_of_code_is_a_change_of_the_catalog() {
    let (cluster, _) = database("calls.sql");
    let signature = || rows(&cluster, "shop", CATALOG_FINGERPRINT_QUERY);
    let mut before = signature();
    for sql in [
        "create or replace function tidy(t text) returns text language sql as 'select upper(t)'",
        "alter function tidy(text) security definer",
        "create or replace function bound(n int) returns text language sql return 'x'",
        "create or replace function pure_default(n text default tidy('B'), m int default 3) returns text language sql as 'select n'",
        "alter domain neat add check (length(value) > 0)",
        "alter domain neat drop constraint neat_check1",
        "alter table neat_check drop constraint neat_check_note_check",
        "alter table plain alter note set default email_of(1)",
        "create index on plain (im_town(id))",
        "drop aggregate product (float8)",
        "create aggregate product (float8) (sfunc = float8pl, stype = float8)",
        "create or replace aggregate product (float8) (sfunc = float8mul, stype = float8)",
        "drop operator ## (int, int)",
        "create operator === (leftarg = int, rightarg = int, function = int4ne)",
        "create cast (mood as int) with inout",
        "drop cast (mood as int)",
        "create type more as (a nosy)",
        "create table parted_more (id int) partition by list ((im_town(id)))",
        "create type span as range (subtype = int)",
        "create statistics plain_s on (id + 1), note from plain",
    ] {
        cluster.load("shop", sql).expect(sql);
        let after = signature();
        assert_ne!(before, after, "{sql}");
        before = after;
    }
}
