//! What a write has computed from columns that it does not write, and which values its errors show.

use stepgate_testkit::Cluster;

use super::check;
use super::common::snapshot;

const SCHEMA: &str = "
    create table births (id int primary key, secret int, month int, day int,
      born date generated always as (make_date(secret, month, day)) stored);
    create table indexed (id int primary key, secret int, month int, day int);
    create index on indexed (make_date(secret, month, day));
    create table flagged (id int primary key, secret text, flag boolean); create index on flagged ((secret::int)) where flag;
    create table cast_too (id int primary key, a text, secret text); create index on cast_too (((a || secret)::int));
    create table parent (id int primary key);
    create table child (pid int references parent on update cascade on delete set null, secret text,
      k int generated always as ((coalesce(pid::text, 'x') || secret)::int) stored);
    create table parts (id int primary key, secret text[]); create index on parts (((secret[1] || secret[2])::int));
    create table kept (id int primary key, a text, secret text, g int generated always as ((a || secret)::int) stored);
    create function keep() returns trigger language plpgsql as 'begin new.secret := old.secret; return new; end';
    create trigger keep before update on kept for each row execute function keep();
    create table touched (id int primary key, note text);
    create function touch() returns trigger language plpgsql as 'begin update births set month = 13 where id = new.id; return new; end';
    create trigger touch after update on touched for each row execute function touch();
    insert into births values (1, 1940, 3, 15); insert into indexed values (1, 1940, 3, 15); insert into flagged values (1, 'AAA');
    insert into cast_too values (1, '1', '1940'); insert into parent values (7); insert into child values (7, '1940');
    insert into parts values (1, '{1,1940}'); insert into kept values (1, '1', '1940'); insert into touched values (1);
";

/// Statements, what of the secrets their errors show, and the columns that are read.
const ATTACKS: &[(&str, &str, &str)] = &[
    ("update births set month = 13 where id = 1", "1940-13-15", "births.secret"),
    ("update indexed set month = 13 where id = 1", "1940-13-15", "indexed.secret"),
    ("update indexed set month = 13, day = 1 where id = 1", "1940-13-01", "indexed.secret"),
    (
        "insert into births (id) values (1) on conflict (id) do update set month = 13",
        "1940-13-15",
        "births.secret",
    ),
    ("explain analyze update births set month = 13 where id = 1", "1940-13-15", "births.secret"),
    // It was never computed before.
    ("update flagged set flag = true where id = 1", "AAA", "flagged.secret"),
    ("alter table cast_too alter column a type varchar using 'x'", "x1940", "cast_too.secret"),
    ("update parent set id = 2000000000 where id = 7", "20000000001940", "child.secret"),
    ("delete from parent where id = 7", "x1940", "child.secret"),
    ("update parts set secret[1] = 'x' where id = 1", "x1940", "parts.secret"),
    ("update kept set a = 'x', secret = '1' where id = 1", "x1940", "kept.secret"),
    ("update touched set note = 'x' where id = 1", "1940-13-15", "births.secret"),
];

#[test]
fn what_is_computed_from_what_is_written_and_from_more_shows_the_rest_when_it_fails() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("load the schema");
    for (attack, shown, _) in ATTACKS {
        let output = cluster.psql_command("shop").args(["-q", "-c", attack]).output().expect("psql");
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(error.contains(shown), "{attack}: {error}");
    }
    let catalog = snapshot(&cluster, "shop");
    let cases: Vec<_> = ATTACKS.iter().map(|(attack, _, read)| (*attack, *read)).collect();
    check(&cases, &catalog);
    let harmless = [
        ("insert into births values (2, 1940, 13, 1)", ""),
        ("update births set secret = 1941, month = 13, day = 1 where id = 1", ""),
        ("update births set id = 2 where id = 1", ""),
        ("update cast_too set id = 2 where id = 1", ""),
        ("delete from births where id = 1", ""),
        ("delete from child where pid = 7", ""),
    ];
    check(&harmless, &catalog);
}

#[test]
fn what_makes_something_of_everything_shows_nothing() {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    let schema = "
        create table people (id int primary key, first text, secret varchar(80), body text, data jsonb, amount numeric, kind text,
          deleted_at timestamptz, active boolean not null default true,
          full_name text generated always as (first || ' ' || secret) stored,
          initials text generated always as (coalesce(upper(first), '') || md5(lower(secret))) stored,
          search tsvector generated always as (setweight(to_tsvector('english', coalesce(first, '')), 'A')
            || setweight(to_tsvector('english', coalesce(secret, '')), 'B')) stored);
        create index on people (lower(secret)); create index on people (secret) where deleted_at is null;
        create index on people (lower(btrim(secret))) where deleted_at is null and active;
        create index on people ((data ->> secret)) where kind in ('a', 'b') and amount > 0 or kind <> secret;
        create index on people using gin (to_tsvector('english', first || ' ' || secret || ' ' || body));
        create index on people (secret, first);
        create table narrow (id int primary key, first text, secret text,
          full_name varchar(9) generated always as (first || secret) stored);
        create table sold (id int primary key, price int, secret int, total int generated always as (price * secret) stored);
    ";
    cluster.load("shop", schema).expect("load the schema");
    let catalog = snapshot(&cluster, "shop");
    let cases = [
        ("update people set first = 'x' where id = 1", ""),
        ("update people set body = 'x', data = '{}' where id = 1", ""),
        ("update people set deleted_at = now(), active = false where id = 1", ""),
        ("update people set secret = 'x' where id = 1", ""),
        ("update people set kind = 'x', amount = 9 where id = 1", ""),
        ("delete from people where id = 1", ""),
        ("insert into people (id, first, secret) values (1, 'x', 'y')", ""),
        // Whether a name is too long, or a number too great, tells of the other.
        ("update narrow set first = 'x' where id = 1", "narrow.secret"),
        ("update sold set price = 2000000000 where id = 1", "sold.secret"),
        ("update sold set price = 1, secret = 2 where id = 1", ""),
    ];
    check(&cases, &catalog);
}
