//! Functions of PostgreSQL's own extensions: many have names of the server's, and only compute. What somebody made by such a
//! name, or put into such an extension, is still what it is.

use stepgate_sql::{SessionState, analyze};
use stepgate_types::Certainty;

use super::common::{facts, snapshot};
use super::{check, database, guarded, judge};

/// Of some the path has the schema, of others not.
const EXTENSIONS: &str = "
    create schema apart;
    create extension citext schema public;
    create extension pg_trgm schema public;
    create extension fuzzystrmatch schema public;
    create extension hstore schema public;
    create extension unaccent schema public;
    create extension tablefunc schema public;
    create extension intarray schema apart;
    create extension pgcrypto schema apart;
    create extension \"uuid-ossp\" schema apart;
    create table cites (id int, name citext, secret citext);
    create table folded (id int primary key, note text, secret text);
    create index on folded (soundex(note));
    analyze people;";

/// Statements, and which of the columns called `email` or `secret` they read; `?` where unknown is right.
const CALLS: &[(&str, &str)] = &[
    ("select max(id), min(town), count(*) from people", ""),
    ("select max(name), min(name) from cites", ""),
    ("select public.max(name) from cites", ""),
    ("select max(email) from people", "people.email"),
    ("select min(secret) from cites", "cites.secret"),
    (
        "select replace(town, 'a', 'b'), translate(town, 'a', 'b'), split_part(town, 'r', 1), strpos(town, 'r') from people",
        "",
    ),
    (
        "select regexp_replace(town, 'a', 'b'), regexp_match(town, 'a'), regexp_split_to_array(town, 'r') from people",
        "",
    ),
    (
        "select replace(name, 'a', 'b'), split_part(name, 'r', 1), regexp_replace(name, 'a', 'b', 'c') from cites",
        "",
    ),
    ("select id from people where strpos(town, 'r') > 1 and town ~* 'y'", ""),
    ("select replace(email, 'a', 'b') from people", "people.email"),
    ("select id from people where strpos(email, '@') = 2", "people.email"),
    ("select x from people, regexp_matches(email, 'a') x", "people.email"),
    (
        "select similarity(town, 'York'), word_similarity('a', town), soundex(town), levenshtein(town, 'x') from people",
        "",
    ),
    ("select akeys('a=>1'), x.key from each('a=>1'::hstore) x", ""),
    ("select unaccent(town) from people", ""),
    ("select soundex(email) from people", "people.email"),
    ("select gen_random_uuid(), apart.gen_random_uuid(), apart.uuid_generate_v4()", ""),
    (
        "select apart.digest(town, 'sha256'), apart.crypt(town, apart.gen_salt('bf')), apart.sort('{2,1}') from people",
        "",
    ),
    ("select apart.pgp_sym_decrypt(apart.pgp_sym_encrypt(email, 'k'), 'k') from people", "people.email"),
    ("insert into folded (id, note) values (1, 'x')", ""),
    // An index by a function that is not the server's may fail by any column.
    ("update folded set note = replace(note, 'a', 'b') where id = 1", "folded.secret"),
    // They run SQL, make values of types with checks, or set something.
    ("select * from crosstab('select 1, 2, email from people') as x (a int, b text)", "?"),
    ("select populate_record(null::people, 'a=>1')", "?"),
    ("select set_limit(0.1)", "?"),
];

const DEFINED: &[(&str, &str)] = &[
    ("create temp table t (id uuid primary key default gen_random_uuid(), at timestamptz default now())", ""),
    (
        "create table t (id uuid default apart.uuid_generate_v4(), h bytea default apart.gen_random_bytes(4))",
        "",
    ),
    // In SQL, of which DDL has nothing looked through.
    ("create table t (a text default replace('a', 'b', 'c') check (strpos(a, 'b') = 0))", "?"),
    ("create table t (a text default email_of(1))", "?"),
    ("create table t (a text default public.email_of(1))", "?"),
    ("create table t (a real default public.set_limit(0.1))", "?"),
];

#[test]
fn functions_of_extensions_beside_the_servers_only_compute() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", EXTENSIONS).expect("the extensions");
    let catalog = snapshot(&cluster, "shop");
    check(CALLS, &catalog);
    check(DEFINED, &catalog);
    // Nobody else has an aggregate of that name.
    assert_eq!(facts("select max(town) from people", &catalog)[0].estimate, Some(1));
    cluster
        .load("shop", "grant usage on schema apart to public; grant all on cites, folded to public")
        .expect("rights");
    judge(CALLS, &cluster, &catalog);
}

/// Functions of somebody's own with names of the server's and of extensions, some of them put into an extension.
const OWN: &str = "
    create function max(int) returns text language sql as 'select email from public.people where id = $1';
    create function min(int) returns text language plpgsql as 'begin return (select email from public.people where id = $1); end';
    create function looks(text, int) returns text language sql as 'select email from public.people where id = $2';
    create aggregate sum(int) (sfunc = looks, stype = text);
    create function replace(int, text, text) returns text immutable language sql as 'select email from public.people where id = $1';
    create function soundex(int) returns text language sql as 'select email from public.people where id = $1';
    create function added(int) returns text immutable language sql as 'select email from public.people where id = $1';
    create function added_slowly(int) returns text immutable language plpgsql as
      'begin return (select email from public.people where id = $1); end';
    create function in_c(citext) returns int immutable language c as '$libdir/citext', 'citext_hash';
    create function of_another(text) returns text immutable language c as '$libdir/unaccent', 'unaccent_dict';
    create function looked_up(int, int) returns boolean language sql as 'select email is null from public.people where id = $1';
    create function nextval(int) returns text language sql as 'select email from public.people where id = $1';
    create operator #~# (leftarg = int, rightarg = int, function = looked_up);
    alter extension citext add function added(int);
    alter extension citext add function added_slowly(int);
    alter extension citext add function of_another(text);
    alter extension citext add operator #~# (int, int);
    create type spelt as enum ('a');
    create function spells(spelt) returns int language sql as 'select length(email) from public.people where id = 1';
    create cast (spelt as int) with function spells(spelt);
    alter extension citext add cast (spelt as int);
    alter function levenshtein(text, text) security definer;
    alter function metaphone(text, int) set search_path = public;
    alter function similarity(text, text) volatile;";

const OF_SOMEBODYS: &[(&str, &str)] = &[
    ("select max(id) from people", "people.email"),
    ("select max(town) from people", "people.email"),
    ("select public.max(id) from people", "people.email"),
    ("select pg_catalog.max(id) from people", ""),
    ("select min(id) from people", "?"),
    ("select sum(id) from people", "people.email"),
    ("select replace(id, 'a', 'b') from people", "people.email"),
    ("select soundex(1)", "people.email"),
    // The server's own does more than to compute.
    ("select nextval(1)", "?"),
    ("select added(1)", "people.email"),
    ("select added_slowly(1)", "?"),
    ("select id #~# 1 from people", "people.email"),
    ("select 'a'::spelt::int", "people.email"),
    ("select in_c('x')", "?"),
    ("select of_another('x')", "?"),
    ("select levenshtein('x', 'y')", "?"),
    ("select metaphone('x', 4)", "?"),
    ("select similarity('x', 'y')", "?"),
    ("create table t (a text default replace('a', 'b', 'c'))", "?"),
    ("create table t (a text default public.soundex(1))", "?"),
    ("create table t (a text default soundex(1))", "?"),
];

#[test]
fn functions_of_somebodys_with_names_of_the_servers_or_of_extensions_are_what_they_are() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", EXTENSIONS).expect("the extensions");
    cluster.load("shop", OWN).expect("functions");
    // It is those that the server runs, if their schema is looked at first.
    let path = "set search_path = public, pg_catalog;";
    for sql in
        ["select max(id) from people", "select replace(1, 'a', 'b')", "select soundex(1)", "select added(1)"]
    {
        let shown = cluster.psql("shop", &format!("{path} {sql}")).expect(sql);
        assert!(shown.contains("a@b"), "{sql}: {shown}");
    }
    let catalog = snapshot(&cluster, "shop");
    check(OF_SOMEBODYS, &catalog);
    for path in [["pg_catalog", "public"], ["public", "pg_catalog"]] {
        let session = SessionState::with_search_path(path);
        for sql in ["select max(id) from people", "select public.max(id) from people"] {
            let [facts] = analyze(sql.as_bytes(), &catalog, &session).try_into().expect("one statement");
            assert!(facts.certainty != Certainty::Unknown && !guarded(&facts).is_empty(), "{sql}: {path:?}");
            // It is no aggregate: there are as many rows as in the table.
            assert_ne!(facts.estimate, Some(1), "{sql}: {path:?}");
        }
    }
    // Where the path is not known, neither is what is called.
    let unknown = SessionState { search_path: None, ..SessionState::with_search_path(["pg_catalog"]) };
    let [facts] = analyze(b"select max(1)", &catalog, &unknown).try_into().expect("one statement");
    assert_eq!(facts.certainty, Certainty::Unknown);
}

/// Operators and casts that somebody put into an extension of theirs, which PostgreSQL lets any owner of a database make.
const PUT_IN: &str = "
    create role owner_of_seg; grant create on database shop to owner_of_seg; grant create, usage on schema public to owner_of_seg;
    create schema apart; grant create, usage on schema apart to owner_of_seg;
    set role owner_of_seg;
    create extension seg schema apart; create extension isn schema apart; create extension tablefunc schema apart;
    create extension hstore schema apart; create extension citext schema apart;
    create operator %%%% (leftarg = text, rightarg = text, function = pg_catalog.ts_stat);
    alter extension seg add operator %%%% (text, text);
    create operator %%%! (rightarg = int, function = pg_catalog.pg_stat_get_activity);
    alter extension seg add operator %%%! (none, int);
    create operator %%%# (leftarg = text, rightarg = int, function = apart.crosstab);
    alter extension tablefunc add operator %%%# (text, int);
    create type spelt as enum ('a'); create type ofs as range (subtype = spelt);
    alter extension seg add type ofs;
    create operator %%%@ (leftarg = spelt, rightarg = spelt, function = ofs);
    alter extension seg add operator %%%@ (spelt, spelt);
    create operator %%%~ (leftarg = int, rightarg = int, function = int4eq);
    alter extension seg add operator %%%~ (int, int);
    create table liked (id int, c apart.citext, n apart.isbn); alter table liked enable row level security;
    create policy p on liked using (c operator(apart.~~) 'a%' and c operator(apart.=) 'ab' and n operator(apart.=) '0-393-04002-X');
    create table pairs (id int, h apart.hstore, s apart.seg, n apart.isbn, c apart.citext);";

#[test]
fn operators_that_somebody_put_into_an_extension_are_not_the_extensions() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", PUT_IN).expect("the extensions");
    let attack = "select $$select to_tsvector('simple', email) from people where id = 1$$ %%%% 'abcd'";
    let shown = cluster.psql("shop", attack).expect("the server runs it");
    assert!(shown.contains("(a,1,1)"), "{shown}");
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        (attack, "?"),
        ("select %%%! 0", "?"),
        ("select 'select 1, 2, email from people' %%%# 1", "?"),
        ("select 'a' %%%@ 'a'", ""),
        ("select 1 %%%~ 1", ""),
        // It makes a row of whatever type.
        ("select null::people operator(apart.#=) 'a=>1'", "?"),
        // The extensions' own.
        ("select id from pairs where h operator(apart.->) 'a' = 'b' and h operator(apart.@>) 'a=>1'", ""),
        ("select id from pairs where s operator(apart.&&) '1 .. 2' and s = '1' and n = '0-393-04002-X'", ""),
        ("select id from pairs where c = 'a' and c operator(apart.~~) 'b'", ""),
        ("select id from liked", ""),
        ("select 'x'::apart.citext::text, n::text, '1'::text::apart.citext from pairs", ""),
    ];
    check(&cases, &catalog);
}
