//! Constraints that an UPDATE of something else fails, and what their errors show.

use stepgate_testkit::Cluster;

use super::check;
use super::common::snapshot;

/// Tables, each with a column `secret`, whose constraints may fail whatever is written.
const SCHEMA: &str = r#"
    create table dated (id int primary key, at timestamptz not null check (at::date >= date '2020-01-01'), segment text, secret text);
    insert into dated values (1, '2020-01-01 00:00+00', 'a', 'AAA');
    create table shown_date (id int primary key, d date check (d::text like '____-__-__'), segment text, secret text);
    insert into shown_date values (1, '2020-01-31', 'a', 'AAA');
    create table lasting (id int primary key, until timestamptz not null check (until > now()), segment text, secret text);
    create table current (id int primary key, d date check (d >= current_date), segment text, secret text);
    create table parent (id int, d date, segment text, secret text, check (d::text <> '')); create table child () inherits (parent);
    create table quoted (id int primary key, name text check (quote_ident(name) = name), segment text, secret text);
    create table whole (id int primary key, secret text, segment text, check (id > 0 and whole::text not like '%;%'));
    create table rowed (id int primary key, secret text, segment text, check (id > 0 and rowed is not null));
    insert into rowed values (1, 'AAA', 'a');
    create table unchecked (id int primary key, secret text, segment text);
    alter table unchecked add check (length(secret) < 3) not valid;
    create function shown(unchecked) returns text immutable language plpgsql as 'begin return $1.secret; end';
    create table keyed (id int, secret text, segment text);
    create function of_row(keyed) returns text immutable language plpgsql as 'begin return $1.secret; end';
    create unique index on keyed (id, of_row(keyed));
    create table doubled (id int, secret text, segment text, filler text);
    insert into doubled values (1, 'AAA'), (2, 'AAA');
    create table routed (id int primary key, route path not null, secret text, segment text);
    insert into routed values (1, '((0,0),(1,1))', 'AAA', 'a');
    create table pa (id int primary key, secret text unique);
    create table badge (id int primary key, holder text references pa (secret));
    create table plans (id int, code text, primary key (id, code));
    create table members (id int primary key, plan int, secret text, foreign key (plan, secret) references plans (id, code));
    create table wide_key (a int, secret text, unique (a, secret));
    create table of_wide (a int, b text, foreign key (a, b) references wide_key (a, secret));
    create table owner (id int primary key, secret text);
    create table pet (id int primary key, owner int references owner on delete cascade, secret text);
    insert into pa values (1, 'AAA'); insert into badge values (1, 'AAA'); insert into plans values (1, 'AAA');
    insert into members values (1, 1, 'AAA'); insert into wide_key values (1, 'AAA'); insert into of_wide values (1, 'AAA');
    create table spanned (id int primary key, r int4range not null, low numeric not null, name text not null,
      at timestamptz not null, free int, other text, secret text);
    create table plain (id int primary key, n numeric not null check (n between 0 and 9 and n <> 5), kind varchar(9) not null
      check (kind in ('a', 'b') or length(kind) > 1), at timestamptz check (at > '2020-01-01 00:00+00'), price money, segment text,
      tags text[] check (tags <> '{}'), secret text);
    create type state as enum ('on', 'off');
    create table stated (id int primary key, s state check (s <> 'off' and coalesce(s, 'on') = case when id > 0 then s end),
      segment text, secret text);
    create table alike (like stated including all); create table likely (like stated including all);
    create table heir () inherits (likely);
"#;

fn shop() -> Cluster {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("load the schema");
    // It finds duplicates, fails and stays.
    assert!(cluster.psql("shop", "create unique index concurrently on doubled (secret)").is_err());
    cluster
}

/// The error of an attack on the server itself.
fn error(cluster: &Cluster, sql: &str) -> String {
    let output = cluster.psql_command("shop").args(["-q", "-c", sql]).output().expect("psql");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn a_check_that_hangs_on_a_setting_or_the_time_may_fail_whatever_is_written() {
    let cluster = shop();
    for attack in [
        "set timezone = 'Etc/GMT+12'; update dated set segment = 'x' where id = 1",
        "set datestyle = 'German'; update shown_date set segment = 'x' where id = 1",
    ] {
        assert!(error(&cluster, attack).contains("AAA"), "{attack}");
    }
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("update dated set segment = 'x' where id = 1", "dated.secret"),
        ("insert into dated values (1) on conflict (id) do update set segment = 'x'", "dated.secret"),
        (
            "merge into dated using (values (1)) v (i) on id = i when matched then update set segment = 'x'",
            "dated.secret",
        ),
        ("update shown_date set segment = 'x' where id = 1", "shown_date.secret"),
        ("update lasting set segment = 'x' where id = 1", "lasting.secret"),
        ("update current set segment = 'x' where id = 1", "current.secret"),
        ("update child set segment = 'x' where id = 1", "child.secret parent.secret"),
        ("update parent set segment = 'x' where id = 1", "child.secret parent.secret"),
        ("update quoted set segment = 'x' where id = 1", "quoted.secret"),
        // What computes with the row alone fails by what is written to it.
        ("update plain set segment = 'x' where id = 1", ""),
        ("update plain set kind = 'x' where id = 1", "plain.secret"),
        ("update stated set segment = 'x' where id = 1", ""),
        ("update heir set segment = 'x' where id = 1", ""),
        ("update alike set segment = 'x' where id = 1", ""),
        // It has a child, whose bounds are not looked at.
        ("update likely set segment = 'x' where id = 1", "heir.secret likely.secret"),
    ];
    check(&cases, &catalog);
}

#[test]
fn a_constraint_that_names_the_whole_row_beside_a_column_is_on_every_column() {
    let cluster = shop();
    assert!(error(&cluster, "update rowed set segment = null").contains("AAA"));
    assert!(
        error(&cluster, "insert into whole values (1, 'AAA', 'a'); update whole set segment = 'x;y'")
            .contains("AAA")
    );
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("update rowed set segment = null where id = 1", "rowed.secret"),
        ("update whole set segment = 'x;y' where id = 1", "?"),
        ("update unchecked set segment = 'x' where id = 1", "unchecked.secret"),
        ("update keyed set segment = 'x' where id = 1", "?"),
        ("update doubled set filler = 'x' where id = 1", "doubled.secret"),
    ];
    check(&cases, &catalog);
}

#[test]
fn the_error_of_a_foreign_key_shows_the_keys_of_either_side() {
    let cluster = shop();
    let attacks = [
        ("delete from pa where id = 1", "pa.secret"),
        ("merge into pa using (values (1)) v (i) on id = i when matched then delete", "pa.secret"),
        ("update members set plan = 88 where id = 1", "members.secret"),
        ("update wide_key set a = 2", "wide_key.secret"),
    ];
    for (attack, _) in attacks {
        assert!(attack.starts_with("merge") || error(&cluster, attack).contains("AAA"), "{attack}");
    }
    let catalog = snapshot(&cluster, "shop");
    check(&attacks, &catalog);
    let harmless = [
        ("delete from owner where id = 1", ""),
        ("update owner set id = 2 where id = 1", ""),
        ("update pet set owner = 2 where id = 1", ""),
        ("delete from badge where id = 1", ""),
        ("insert into members values (2, 1, 'x')", ""),
    ];
    check(&harmless, &catalog);
}

#[test]
fn what_the_server_makes_nothing_of_is_not_held_to_be_something() {
    let cluster = shop();
    assert!(error(&cluster, "update routed set route = route + route where id = 1").contains("AAA"));
    let odd = "create function nil(text, text) returns text language sql as 'select null::text';
        create operator + (leftarg = text, rightarg = text, function = nil);
        create function nil(numeric, text) returns numeric language sql as 'select null::numeric';
        create operator - (leftarg = numeric, rightarg = text, function = nil)";
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("update routed set route = route + route where id = 1", "routed.secret"),
        ("update routed set route = route + '((0,0))' where id = 1", "routed.secret"),
        ("update routed set route = path '((0,0))' + '((0,0))' where id = 1", "routed.secret"),
        ("update routed set route = '((0,0))'::path + '((0,0))'::path where id = 1", "routed.secret"),
        ("update routed set route = '((0,0))' where id = 1", ""),
        ("update routed set route = null where id = 1", "routed.secret"),
        ("update spanned set low = lower(r) where id = 1", "spanned.secret"),
        ("update spanned set low = lower('empty'::int4range) where id = 1", "spanned.secret"),
        ("update spanned set low = case when id > 0 then 1 end where id = 1", "spanned.secret"),
        ("update spanned set low = case when id > 0 then null else 1 end where id = 1", "spanned.secret"),
        ("update spanned set low = coalesce(free, $1) where id = 1", "spanned.secret"),
        ("update spanned set name = upper(other) where id = 1", "spanned.secret"),
        ("update spanned set low = ($1)::int where id = 1", "spanned.secret"),
        ("update spanned set name = lower(free::text) where id = 1", "spanned.secret"),
        // These are never NULL.
        ("update spanned set low = low + 1, name = upper(name) where id = 1", ""),
        ("update spanned set name = trim(both ' ' from lower(name)) || '!' where id = 1", ""),
        ("update spanned set name = btrim(name, 'x'), low = round(low * 1.1) where id = 1", ""),
        ("update spanned set low = case when id > 0 then 1 else low end, name = 'a'::text where id = 1", ""),
        (
            "update spanned set low = coalesce($1, free, 0), name = coalesce(free::text, name) where id = 1",
            "",
        ),
        ("update spanned set low = '7'::int, at = now() - interval '1 day' where id = 1", ""),
        ("update spanned set at = at + '1 day', low = -low where id = 1", ""),
    ];
    check(&cases, &catalog);
    cluster.load("shop", odd).expect("operators");
    let cases = [
        ("update spanned set name = name + 'x' where id = 1", "spanned.secret"),
        ("update spanned set low = low - 'x' where id = 1", "spanned.secret"),
        ("update spanned set low = low * 2 where id = 1", ""),
    ];
    check(&cases, &snapshot(&cluster, "shop"));
}

/// Keys by which NULL comes to a column that must not be, at once and by way of others.
const NULLED: &str = "
    create table tiers (code text unique, made text unique generated always as (nullif(code, 'b')) stored);
    create table clients (id int primary key, tier text not null references tiers (code) on update cascade, secret text);
    create table grouped (id int primary key, tier text not null references tiers (made) on update cascade, secret text);
    create table firsts (a text unique);
    create table seconds (a text unique references firsts (a) on update set null on delete set null);
    create table thirds (a text not null references seconds (a) on update cascade, secret text);
    create table wide (a int, b text, unique (a, b));
    create table of_wide (b text not null, a int, secret text, foreign key (a, b) references wide (a, b) on update cascade);
    create table strict (a text not null unique);
    create table of_strict (a text not null references strict (a) on update cascade, secret text);
    insert into tiers (code) values ('a'); insert into clients values (1, 'a', 'AAA'); insert into grouped values (1, 'a', 'AAA');
    insert into firsts values ('a'); insert into seconds values ('a'); insert into thirds values ('a', 'AAA');
    insert into wide values (1, 'a'); insert into of_wide values ('a', 1, 'AAA');
    insert into strict values ('a'); insert into of_strict values ('a', 'AAA');";

#[test]
fn a_key_that_becomes_null_fails_where_it_is_taken_on_to() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", NULLED).expect("load the schema");
    let attacks = [
        ("update tiers set code = null where code = 'a'", "clients.secret grouped.secret"),
        ("update tiers set code = 'b' where code = 'a'", "grouped.secret"),
        ("update firsts set a = 'x' where a = 'a'", "thirds.secret"),
        ("delete from firsts where a = 'a'", "thirds.secret"),
        ("update wide set b = null where a = 1", "of_wide.secret"),
    ];
    let catalog = snapshot(&cluster, "shop");
    for (attack, expected) in attacks {
        assert!(error(&cluster, attack).contains("AAA"), "{attack}");
        check(&[(attack, expected)], &catalog);
    }
    let harmless = [
        ("update wide set a = null where a = 1", ""),
        ("update wide set b = 'x' where a = 1", ""),
        ("update strict set a = 'b' where a = 'a'", ""),
    ];
    check(&harmless, &catalog);
    for (sql, _) in harmless {
        assert_eq!(error(&cluster, sql), "", "{sql}");
    }
}

/// Somebody's casts, which apply by themselves, and by which the server's own functions make nothing of something.
const CASTS: &str = "
    create type own as enum ('x', 'y'); create type mood as enum ('a', 'b');
    create cast (own[] as text) with function array_dims(anyarray) as assignment;
    create cast (own[] as int) with function array_ndims(anyarray) as assignment;
    create type other as enum ('x'); create cast (other[] as int) with function array_ndims(anyarray) as implicit;
    create operator - (rightarg = anyarray, function = array_ndims);
    create table held (id int primary key, o own[] not null, t text not null, n int not null, b boolean not null,
      at timestamptz not null, j jsonb not null, u uuid not null, m mood not null, secret text);
    insert into held values (1, '{}', 't', 1, true, now(), '{}', gen_random_uuid(), 'a', 'AAA');
    create table defaulted (secret text, t text not null default '{}'::own[]);
    create function logs() returns trigger language plpgsql as
      'begin insert into defaulted (secret) values (old.secret); return new; end';
    create table logged (id int primary key, secret text); insert into logged values (1, 'AAA');
    create trigger logs after update on logged for each row execute function logs();
    create table copied (o text not null, secret text);
    create function copies() returns trigger language plpgsql as
      'begin insert into copied (o, secret) values (new.o, old.secret); return new; end';
    create table copying (id int primary key, o own[] not null, secret text); insert into copying values (1, '{x}', 'AAA');
    create trigger copies after update on copying for each row execute function copies();";

/// The same by functions that somebody wrote.
const MORE_CASTS: &str = "
    create table owns (t text, o own);
    create function nothing(own) returns text language sql as 'select t from owns';
    create cast (own as text) with function nothing(own) as assignment;
    create function nothing(timestamptz) returns own language sql as 'select o from owns';
    create cast (timestamptz as own) with function nothing(timestamptz) as implicit;
    create table of_own (o own not null, secret text); insert into of_own values ('x', 'AAA');";

#[test]
fn what_somebodys_cast_makes_nothing_of_is_not_held_to_be_something() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", CASTS).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    let attacks = [
        ("update held set t = '{}'::own[] where id = 1", "held.secret"),
        ("update held set t = o where id = 1", "held.secret"),
        ("update held set n = o where id = 1", "held.secret"),
        ("update held set n = 1 - ('{}'::other[]) where id = 1", "held.secret"),
        ("update held set n = -('{}'::own[]) where id = 1", "held.secret"),
        ("update held set t = ((o)) where id = 1", "held.secret"),
    ];
    for (attack, expected) in attacks {
        assert!(error(&cluster, attack).contains("AAA"), "{attack}: {}", error(&cluster, attack));
        check(&[(attack, expected)], &catalog);
    }
    let harmless = [
        (
            "update held set t = 'x', n = 2, b = true, at = now(), j = '{}'::jsonb, u = gen_random_uuid() where id = 1",
            "",
        ),
        ("update held set m = 'b'::mood, o = '{x}', j = j || '{}', n = n * 2, t = upper(t) where id = 1", ""),
    ];
    for (sql, _) in harmless {
        assert_eq!(error(&cluster, sql), "", "{sql}");
    }
    check(&harmless, &catalog);
    // A default as the server prints it has no cast, nor has what a trigger stores.
    for (sql, expected) in [
        ("update logged set id = 2 where id = 1", "logged.secret"),
        ("update copying set o = '{}' where id = 1", "copying.secret"),
    ] {
        assert!(error(&cluster, sql).contains("null value"), "{sql}");
        let facts = super::facts(sql, &catalog);
        let is_unknown = facts[0].certainty == stepgate_types::Certainty::Unknown;
        assert!(is_unknown || super::guarded(&facts[0]).contains(expected), "{sql}");
    }
    cluster.load("shop", MORE_CASTS).expect("more casts");
    let catalog = snapshot(&cluster, "shop");
    for attack in ["update held set t = 'x'::own where id = 1", "update of_own set o = now()"] {
        assert!(error(&cluster, attack).contains("AAA"), "{attack}");
        let facts = super::facts(attack, &catalog);
        assert!(!super::guarded(&facts[0]).is_empty(), "{attack}");
    }
}

/// What is infinite has no time of day: the server itself makes nothing of it.
const CLOCKS: &str = "
    create domain hour as time; create type span as range (subtype = time);
    create table shifts (id int primary key, at time not null, zoned timetz not null, h hour not null,
      ts timestamp not null, secret text);
    insert into shifts values (1, '10:00', '10:00+00', '10:00', 'infinity', 'AAA');";

#[test]
fn the_time_of_day_of_what_is_infinite_is_not_held_to_be_something() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", CLOCKS).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    for attack in [
        "update shifts set at = 'infinity'::timestamp where id = 1",
        "update shifts set at = timestamptz 'infinity' where id = 1",
        "update shifts set at = ts where id = 1",
        "update shifts set zoned = 'infinity'::timestamptz where id = 1",
        "update shifts set h = 'infinity'::timestamp where id = 1",
        "update shifts set h = ts where id = 1",
    ] {
        assert!(error(&cluster, attack).contains("AAA"), "{attack}");
        check(&[(attack, "shifts.secret")], &catalog);
    }
    let harmless = [
        ("update shifts set at = '11:00' where id = 1", ""),
        ("update shifts set at = '11:00'::time where id = 1", ""),
        ("update shifts set at = time '11:00' where id = 1", ""),
        ("update shifts set h = '11:00' where id = 1", ""),
        ("update shifts set h = h where id = 1", ""),
        ("update shifts set ts = now() where id = 1", ""),
        // A range has a cast of its own, which takes no literal.
        ("update shifts set ts = '2020-01-01'::timestamp(3) where id = 1", ""),
    ];
    check(&harmless, &catalog);
    for (sql, _) in harmless {
        assert_eq!(error(&cluster, sql), "", "{sql}");
    }
}
