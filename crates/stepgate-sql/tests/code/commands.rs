//! What commands besides queries run without naming it: casts by which they convert values, operators that constructs of
//! their expressions use, and what expressions that are stored mean once the server reads them anew.

use std::collections::BTreeSet;

use stepgate_sql::{Catalog, Facts, SessionState, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::Certainty;

use super::common::{facts, session, snapshot};
use super::{check, guarded};

/// A type of somebody's own, and what reads the secret: its error shows that.
const SCHEMA: &str = "
    create table people (id int primary key, secret text); insert into people values (1, 'AAA');
    create function leak() returns boolean immutable language sql as
      'select to_date(max(secret), ''YYYY'') is null from public.people';
    create table plain (id int primary key, n int, note text); insert into plain values (1, 1, 'x');
    create type ent as (a text);
    create table of_ent (id int, c ent, n bigint, b boolean); insert into of_ent values (1, row('x'), 1, true);
    create table keys (t text primary key); insert into keys values ('x');
    create table keyed (c ent);
";

fn shop(more: &str) -> Cluster {
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("shop").expect("create database");
    cluster.load("shop", SCHEMA).expect("load the schema");
    cluster.load("shop", more).expect("load the rest");
    cluster
}

/// What the server says to that, which may be given rows.
fn error(cluster: &Cluster, sql: &str) -> String {
    let sql = sql.replace("from stdin", "from program 'echo \"(z)\"'");
    let output = cluster.psql_command("shop").args(["-q", "-c", &sql]).output().expect("psql");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The server shows the secret, and the facts say so. Where somebody's code runs within itself, and rows are written, they
/// say nothing for certain.
fn shown(attacks: &[&'static str], cluster: &Cluster) -> Catalog {
    for attack in attacks {
        let error = error(cluster, attack);
        assert!(error.contains("AAA"), "{attack}: {error}");
    }
    let catalog = snapshot(cluster, "shop");
    let read = |sql: &&'static str| (*sql, if sql.starts_with("copy") { "?" } else { "people.secret" });
    check(&attacks.iter().map(read).collect::<Vec<_>>(), &catalog);
    catalog
}

fn one(sql: &str, catalog: &Catalog, session: &SessionState) -> Facts {
    let [facts] = analyze(sql.as_bytes(), catalog, session).try_into().expect("one statement");
    facts
}

/// Of each kind of command that has expressions or converts values, one that does nothing of it.
const PLAIN: &[&str] = &[
    "alter table plain add column m int",
    "alter table plain alter column n set not null",
    "alter table plain alter column n drop default",
    "alter table plain drop column n",
    "alter table plain add unique (n)",
    "create index on plain (n)",
    "create table bare (id int primary key, n int unique)",
    "copy plain to stdout",
    "create domain bare as int",
    "vacuum analyze plain",
];

/// Casts that apply by themselves, and commands that convert values by them.
const CASTS: &[(&str, &[&str])] = &[
    (
        "create function to_varchar(ent) returns varchar language sql as 'select case when leak() then ''y'' end';
         create cast (ent as varchar) with function to_varchar(ent) as assignment",
        &[
            "alter table of_ent alter column c type varchar",
            "alter table of_ent alter column c type varchar(3) using c",
            "alter table of_ent alter column n type int, alter column c type varchar",
        ],
    ),
    (
        "create function to_text(ent) returns text language sql as 'select case when leak() then ''y'' end';
         create cast (ent as text) with function to_text(ent) as implicit;
         insert into keyed values (row('x')); alter table keyed add foreign key (c) references keys not valid;
         create table refers (c ent references keys)",
        &[
            "alter table of_ent add foreign key (c) references keys",
            "alter table of_ent add foreign key (c) references keys (t)",
            "alter table keyed validate constraint keyed_c_fkey",
            "copy refers from stdin",
        ],
    ),
    (
        "create function of_int(int) returns ent immutable language sql as 'select case when leak() then ''y'' end';
         create cast (int as ent) with function of_int(int) as assignment;
         create table parted (c ent) partition by list (c)",
        &["alter table plain add column c ent default 5", "alter table plain add column c ent generated always as (5) stored",
          "create table parted_1 partition of parted for values in (5)"],
    ),
    (
        "create function to_boolean(ent) returns boolean language sql as 'select leak()';
         create cast (ent as boolean) with function to_boolean(ent) as assignment",
        &["copy of_ent (c) from stdin where c", "alter table of_ent alter column b type boolean using c"],
    ),
];

#[test]
fn casts_apply_where_a_command_converts_values() {
    for (cast, attacks) in CASTS {
        let cluster = shop(cast);
        let catalog = shown(attacks, &cluster);
        let counted = [
            "alter table plain add column k text references keys",
            "alter table plain add check (n > 0)",
            "create index on plain ((n + 1))",
            "create table new (n int default 5)",
        ];
        check(&counted.map(|sql| (sql, "people.secret")), &catalog);
        check(&PLAIN.iter().map(|sql| (*sql, "")).collect::<Vec<_>>(), &catalog);
        // What the cast makes is in the table from then on.
        for (sql, read) in [
            ("alter table plain add column c ent default 5", "copy plain to stdout"),
            ("alter table of_ent alter column c type varchar", "copy of_ent to stdout"),
        ] {
            let made = one(sql, &catalog, &session());
            let mut later = session();
            for (relation, flow) in &made.flows {
                later.taints.add(relation.clone(), flow.clone()).expect("room");
            }
            let read = one(read, &catalog, &later);
            assert_eq!(guarded(&read), BTreeSet::from(["people.secret".to_owned()]), "{sql}");
        }
        // Whoever sees the catalog sees the bounds.
        let parted = one("create table parted_1 partition of parted for values in (5)", &catalog, &session());
        assert!(parted.certainty == Certainty::Unknown || !parted.sinks.is_empty());
    }
}

#[test]
fn a_cast_that_an_expression_writes_runs_what_it_is_made_of() {
    let cluster = shop(
        "create function to_int(ent) returns bigint immutable language sql as 'select case when leak() then 1::bigint end';
         create cast (ent as bigint) with function to_int(ent);",
    );
    let catalog = shown(
        &[
            "alter table of_ent add check (c::bigint > 0)",
            "alter table of_ent add column z int check (c::bigint > 0)",
            "create index on of_ent ((c::bigint))",
            "create index on of_ent (id) where cast(c as bigint) > 0",
            "alter table of_ent alter column n type bigint using c::bigint",
            "alter table of_ent add column g bigint generated always as (c::bigint) stored",
        ],
        &cluster,
    );
    let free = [
        "alter table plain add check (n > 0)",
        "alter table plain add check (note in ('x', 'y') and note = 'x'::text)",
        "alter table plain alter column n type bigint",
        "alter table plain add column m text default 'x'::character varying",
        "copy plain from stdin where n > 5",
        "create table new (n int default 5 check (n between 1 and 9))",
    ];
    check(&free.map(|sql| (sql, "")), &catalog);
    check(&PLAIN.iter().map(|sql| (*sql, "")).collect::<Vec<_>>(), &catalog);
}

#[test]
fn operators_that_nobody_writes_out_run_in_expressions_of_commands() {
    let cluster = shop(
        "create function leaks(ent, ent) returns boolean immutable language sql as 'select leak()';
         create function leaks(ent, text) returns boolean immutable language sql as 'select leak()';
         create operator >= (leftarg = ent, rightarg = ent, function = leaks);
         create operator <= (leftarg = ent, rightarg = ent, function = leaks);
         create operator = (leftarg = ent, rightarg = ent, function = leaks);
         create operator ~~ (leftarg = ent, rightarg = text, function = leaks);",
    );
    let catalog = shown(
        &[
            "alter table of_ent add check (c between c and c)",
            "alter table of_ent add check (c between symmetric c and c)",
            "alter table of_ent add check (case c when c then true else true end)",
            "alter table of_ent add check (c is distinct from c)",
            "alter table of_ent add check (c like 'x')",
            "alter table of_ent add check (nullif(c, c) is null)",
            "alter table of_ent add check (c in (c, c))",
            "alter table of_ent add column z boolean check (c between c and c)",
            "alter table of_ent add column z boolean generated always as (c between c and c) stored",
            "alter table of_ent alter column b type boolean using c between c and c",
            "create index on of_ent ((case c when c then 1 end))",
            "create index on of_ent (b) where c between c and c",
            "copy keyed (c) from stdin where c between c and c",
            "copy keyed (c) from stdin where c like 'x'",
            "copy keyed (c) from stdin where c is distinct from c",
            "copy keyed (c) from stdin where case c when c then true end",
        ],
        &cluster,
    );
    let counted = [
        "create table new (c ent, b boolean generated always as (c between c and c) stored)",
        "create table new (n int check (n between 1 and 9))",
    ];
    check(&counted.map(|sql| (sql, "people.secret")), &catalog);
    check(&PLAIN.iter().map(|sql| (*sql, "")).collect::<Vec<_>>(), &catalog);
}

/// Tables whose expressions call what the server brings, and what somebody makes by those names afterwards.
const STORED: &str = "
    create table indexed (c text); create index on indexed (initcap(c)); insert into indexed values ('x');
    create table partly (c text, n int); create index on partly (n) where reverse(c) <> 'q'; insert into partly values ('x', 1);
    create table checked (c text check (initcap(c) <> 'q')); insert into checked values ('x');
    create table counted (c text, n int); create statistics counts on initcap(c), n from counted;
    create table joined (c text check (c || 'x' <> 'q')); insert into joined values ('x');
    create table ranked (c text check (c > 'a')); insert into ranked values ('x');
    create table typed (c text check ((c)::ent is not null)); insert into typed values ('(x)');
    create table made_of (c text check (md5(c) <> 'q')); insert into made_of values ('x');
    create table fielded (c ent check ((c).a <> 'q')); insert into fielded values (row('x'));
    create table parent (c text, k int) partition by list (k); create table part partition of parent for values in (1);
    create index on part (initcap(c)); insert into parent values ('x', 1);
    create table untouched (c text check (length(c) > 0)); create index on untouched (lower(c)); insert into untouched values ('x');
    create schema other;
";

const NAMESAKES: &str = "
    create function other.initcap(varchar) returns text immutable language sql as 'select case when leak() then ''y'' end';
    create function other.reverse(varchar) returns text immutable language sql as 'select case when leak() then ''y'' end';
    create function other.leaks(varchar, text) returns text immutable language sql as 'select case when leak() then ''y'' end';
    create operator other.|| (leftarg = varchar, rightarg = text, function = other.leaks);
    create function of_int(int) returns ent immutable language sql as 'select case when leak() then ''y'' end';
    create cast (int as ent) with function of_int(int);
    create function known(text) returns boolean immutable language sql as 'select leak()';
    create function other.a(text) returns text immutable language sql as 'select case when leak() then ''y'' end';
    create domain other.md5 as text check (public.known(value));
";

/// Of a name that constructs use as well: it counts everywhere.
const IMPLIED: &str = "
    create function other.more(varchar, text) returns boolean immutable language sql as 'select leak()';
    create operator other.> (leftarg = varchar, rightarg = text, function = other.more);
";

#[test]
fn expressions_that_are_stored_may_mean_something_else_once_a_column_has_another_type() {
    let cluster = shop(STORED);
    let before = snapshot(&cluster, "shop");
    cluster.load("shop", NAMESAKES).expect("load the namesakes");
    let catalog = snapshot(&cluster, "shop");
    let beside = SessionState::with_search_path(["pg_catalog", "public", "other"]);
    let attacks = [
        "alter table indexed alter column c type varchar",
        "alter table partly alter column c type varchar",
        "alter table checked alter column c type varchar",
        "alter table joined alter column c type varchar",
        "alter table typed alter column c type int using 5",
        "alter table made_of alter column c type varchar",
        "alter table fielded alter column c type text using 'x'",
        "alter table parent alter column c type varchar",
    ];
    let secret = BTreeSet::from(["people.secret".to_owned()]);
    for attack in attacks {
        let error = error(&cluster, &format!("set search_path = public, other; {attack}"));
        assert!(error.contains("AAA"), "{attack}: {error}");
        let facts = one(attack, &catalog, &beside);
        assert_eq!(guarded(&facts), secret, "{attack}: {:?}", facts.reasons);
    }
    // ANALYZE runs what its statistics mean by then.
    let counted = one("alter table counted alter column c type varchar", &catalog, &beside);
    assert_eq!(guarded(&counted), secret);
    // What the path does not find is not meant; operators and casts are looked for everywhere.
    let mut free: Vec<_> = PLAIN.iter().map(|sql| (*sql, "")).collect();
    free.extend([
        ("alter table indexed alter column c type varchar", ""),
        ("alter table parent alter column c type varchar", ""),
        ("alter table plain alter column note type varchar", ""),
    ]);
    check(&free, &catalog);
    check(&[("alter table untouched alter column c type varchar", "")], &catalog);
    cluster.load("shop", IMPLIED).expect("load an operator");
    let ranked = "alter table ranked alter column c type varchar";
    assert!(error(&cluster, &format!("set search_path = public, other; {ranked}")).contains("AAA"));
    assert_eq!(guarded(&one(ranked, &snapshot(&cluster, "shop"), &beside)), secret);
    let untouched = one("alter table untouched alter column c type varchar", &before, &beside);
    assert!(untouched.certainty == Certainty::Exact && guarded(&untouched).is_empty(), "{untouched:?}");
    for sql in attacks {
        let facts = &facts(sql, &before)[0];
        assert!(facts.certainty != Certainty::Unknown && guarded(facts).is_empty(), "{sql}: {facts:?}");
    }
}

#[test]
fn a_table_that_the_transaction_has_made_has_its_expressions_read_anew_too() {
    let cluster = shop("create schema other");
    let before = snapshot(&cluster, "shop");
    let path = ["pg_catalog", "public", "other"].map(str::to_owned);
    let mut session = SessionState::with_search_path(path.clone());
    let made = one("create table made (c text, check (initcap(c) <> 'q'))", &before, &session);
    assert!(session.created.follow(&made, &before, &path));
    // Another session makes them meanwhile.
    cluster.load("shop", NAMESAKES).expect("load the namesakes");
    let catalog = snapshot(&cluster, "shop");
    let facts = one("alter table made alter column c type varchar", &catalog, &session);
    assert!(facts.certainty == Certainty::Unknown || !guarded(&facts).is_empty(), "{facts:?}");
    // A field that is no column may be a call.
    cluster
        .load("shop", "create function spy(anyelement) returns text language sql as 'select case when leak() then ''y'' end'")
        .expect("a function");
    let catalog = snapshot(&cluster, "shop");
    let error =
        error(&cluster, "create table rows (a int, check (rows.spy <> 'q')); insert into rows values (1)");
    assert!(error.contains("AAA"), "{error}");
    check(
        &[
            ("create table rows (a int, check (rows.spy <> 'q'))", "?"),
            ("create table rows (spy int, check (rows.spy <> 5))", ""),
        ],
        &catalog,
    );
}

#[test]
fn ddl_runs_event_triggers_unless_they_are_in_c_or_the_gates_own() {
    let cluster = shop("");
    let ours = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ddl-notify.sql");
    cluster.load_file("shop", &ours).expect("the gate's own");
    let ddl = [
        ("create table new (a int)", "?"),
        ("create table new as select id from plain", "?"),
        ("select id into new from plain", "?"),
        ("create view new as select id from plain", "?"),
        ("alter table plain add column m int", "?"),
        ("alter table plain rename to other", "?"),
        ("create function f() returns int language sql as 'select 1'", "?"),
        ("comment on table plain is 'x'", "?"),
        ("drop table plain", "?"),
    ];
    check(&ddl.map(|(sql, _)| (sql, "")), &snapshot(&cluster, "shop"));
    cluster
        .load(
            "shop",
            "create function tells() returns event_trigger language plpgsql as
               'begin raise notice ''%'', (select max(secret) from public.people); end';
             create event trigger tells on ddl_command_end execute function tells()",
        )
        .expect("an event trigger");
    for (sql, _) in ddl {
        let error = error(&cluster, &format!("begin; {sql}; rollback"));
        assert!(error.contains("AAA") || sql.starts_with("drop"), "{sql}: {error}");
    }
    let catalog = snapshot(&cluster, "shop");
    check(&ddl, &catalog);
    let free = [
        "insert into plain values (2, 1, 'x')",
        "truncate plain",
        "vacuum plain",
        "analyze plain",
        "select id from plain",
    ];
    check(&free.map(|sql| (sql, "")), &catalog);
    cluster.load("shop", "alter event trigger tells disable").expect("DDL");
    check(&ddl.map(|(sql, _)| (sql, "")), &snapshot(&cluster, "shop"));
}
