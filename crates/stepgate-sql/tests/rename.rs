//! RENAME, SET SCHEMA and CREATE FUNCTION: nobody is asked, and what has another name keeps its labels.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{everything, session};
use stepgate_sql::{Catalog, Facts, Flow, SessionState, TEMPORARY, analyze};
use stepgate_testkit::{Cluster, Psql};
use stepgate_types::{Certainty, ColumnName, RelationName};

fn all(sql: &str, catalog: &Catalog, session: &SessionState) -> Vec<Facts> {
    analyze(sql.as_bytes(), catalog, session)
}

fn column(relation: &str, name: &str) -> ColumnName {
    ColumnName::new(RelationName::new("public", relation), name)
}

/// What the last statement lets flow: `relation.column < relation.column`, `*` being any column.
fn flows(sql: &str, catalog: &Catalog, session: &SessionState) -> BTreeSet<String> {
    let all = all(sql, catalog, session);
    let last = all.last().expect("a statement");
    assert_ne!(last.certainty, Certainty::Unknown, "{sql}: {:?}", last.reasons);
    let mut flows = BTreeSet::new();
    for (relation, Flow { each, all, unknown }) in &last.flows {
        let each: BTreeMap<_, _> = each.iter().map(|(to, from)| (to.as_str(), from)).collect();
        for (to, from) in each.into_iter().chain([("*", all)]) {
            flows.extend(from.iter().map(|from| {
                format!("{}.{}.{to} < {}.{}", relation.schema, relation.name, from.relation.name, from.column)
            }));
        }
        flows.extend(unknown.then(|| format!("{}.{}: unknown", relation.schema, relation.name)));
    }
    flows
}

fn is_unknown(sql: &str, catalog: &Catalog, session: &SessionState) -> bool {
    all(sql, catalog, session).iter().any(|facts| facts.certainty == Certainty::Unknown)
}

#[test]
fn renaming_and_making_functions_asks_nobody() {
    let (_cluster, catalog, _) = everything();
    // In a transaction that has renamed something, too.
    let moved = SessionState { search_path: None, moved: true, ..session() };
    for sql in [
        "alter table doctors rename to x",
        "alter table only public.doctors rename annual_pay to x",
        "alter table clinic.public.doctors rename to x",
        "alter table if exists doctors rename to x",
        "alter index doctors rename to x",
        "alter view v_patient_card rename pid to x",
        "alter view v_star rename to x",
        "alter table doctors set schema training",
        "alter view v_star set schema training",
        "alter schema training rename to x",
        "alter function ward_size(text) rename to x",
        "alter function public.ward_size(text) set schema training",
        "create function f2() returns numeric language sql as 'select annual_pay from doctors'",
        "create or replace function f2(a int default 1, out b text) language plpgsql as $$ begin null; end $$",
        "create function f2() returns int language sql immutable strict security definer cost 1 set work_mem = '1MB' as 'select 1'",
        "create procedure public.p() language plpgsql as $$ begin delete from doctors; end $$",
        "create function f2() returns trigger language plpgsql as $$ begin return new; end $$",
        "create function f2(a int) returns int return a + 1",
        "create function f() returns int begin atomic select 1; select 2; end",
        "create function f() returns int begin atomic select 1; select 2; end; drop function f",
        "begin; alter table doctors rename to x; alter table visits rename to doctors; drop table x; commit",
    ] {
        assert!(!is_unknown(sql, &catalog, &session()), "{sql}");
        assert!(!is_unknown(sql, &catalog, &moved), "{sql} after another rename");
    }
}

#[test]
fn after_a_rename_nothing_that_depends_on_names_is_known() {
    let (_cluster, catalog, _) = everything();
    let moved = SessionState { search_path: None, moved: true, ..session() };
    for sql in [
        "select vid from public.visits",
        "select pg_catalog.lower('x')",
        "select 1 + 1",
        "insert into public.visits (vid) values (1)",
        "copy public.visits (vid) to stdout",
        "declare c cursor for select vid from public.visits",
        "prepare p as select vid from public.visits",
        "create table x as select vid from public.visits",
        "create view x as select vid from public.visits",
        "alter table public.visits add column x text default lower('X')",
        "create index on public.visits (lower(kind))",
        "truncate public.visits",
        "reindex table public.visits",
        "explain analyze select vid from public.visits",
    ] {
        assert!(is_unknown(sql, &catalog, &moved), "{sql}");
    }
}

#[test]
fn what_a_relation_holds_by_name_flows_into_its_new_name() {
    let (_cluster, catalog, _) = everything();
    let mut session = session();
    let held = |to: &str| Flow {
        each: [(to.to_owned(), [column("people", "email")].into())].into(),
        ..Flow::default()
    };
    let names = [
        ("training", "fresh"),
        ("training", "patients"),
        ("public", "fresh"),
        ("", "anywhere"),
        ("later", "x"),
    ];
    for (schema, name) in names {
        session.taints.add(RelationName::new(schema, name), held("a")).expect("room");
    }
    let unknown = Flow { unknown: true, ..Flow::default() };
    session.taints.add(RelationName::new("training", "odd"), unknown).expect("room");
    let blind = SessionState { search_path: None, ..session.clone() };
    let set = |all: &[&str]| all.iter().map(|it| (*it).to_owned()).collect::<BTreeSet<String>>();
    for (sql, state, expected) in [
        ("alter table training.fresh rename to y", &blind, &["training.y.a < people.email"][..]),
        ("alter table db.training.fresh rename to y", &blind, &["training.y.a < people.email"]),
        // Whichever it is.
        ("alter table fresh rename to y", &blind, &[".y.a < people.email"]),
        ("alter table anywhere rename to y", &blind, &[".y.a < people.email"]),
        ("alter table training.fresh set schema later", &blind, &["later.fresh.a < people.email"]),
        ("alter table training.odd rename to y", &blind, &["training.y: unknown"]),
        // Swapped in one message.
        (
            "alter table training.fresh rename to t; alter table training.t rename to u",
            &session,
            &["training.u.a < people.email"],
        ),
        ("create table z as select email from people; alter table z rename email to e", &session, &["z"]),
        // A schema, with all that is known by name in it.
        (
            "alter schema training rename to later",
            &session,
            &["later.fresh.a < people.email", "later.patients.a < people.email", "later.odd: unknown"],
        ),
    ] {
        let found = flows(sql, &catalog, state);
        if expected == ["z"] {
            assert!(found.iter().any(|flow| flow.ends_with(".z.e < people.email")), "{sql}: {found:?}");
        } else {
            assert_eq!(found, set(expected), "{sql}");
        }
    }
    // A column, also of children that the transaction has made.
    let found = flows("alter table public.parent rename a to b", &catalog, &blind);
    assert!(found.contains("training.fresh.b < people.email"), "{found:?}");
    // What the map says of it goes along as well.
    let found = flows("alter table people rename email to mail", &catalog, &session);
    assert_eq!(found, set(&["public.people.mail < people.email"]));
    let found = flows("alter table people rename to folk", &catalog, &session);
    assert!(found.contains("public.folk.email < people.email"), "{found:?}");
}

/// A session with temporary tables of its own, of which catalogs have the names and nothing else.
struct Live {
    cluster: Cluster,
    psql: Psql,
    session: SessionState,
}

impl Live {
    /// Analyses these by one catalog, runs them, and knows what the gate then knows of the session.
    fn run(&mut self, statements: &[&str]) {
        let catalog = common::snapshot(&self.cluster, "clinic");
        for sql in statements {
            for facts in analyze(sql.as_bytes(), &catalog, &self.session.clone()) {
                for (relation, flow) in &facts.flows {
                    // As the proxy and the session keep them.
                    let added = if relation.schema.starts_with("pg_temp") {
                        let own = RelationName::new(TEMPORARY, &relation.name);
                        self.session.own_taints.add(own, flow.clone())
                    } else {
                        self.session.taints.add(relation.clone(), flow.clone())
                    };
                    added.expect("room");
                }
                let made = facts.effect.creates.as_ref().filter(|made| made.temporary);
                self.session.temporaries.extend(made.and_then(|made| made.name.last().cloned()));
            }
            let reply = self.psql.run(&format!("{sql};")).expect("psql");
            assert!(reply.is_ok(), "{sql}: {}", reply.text());
        }
        let path = self.psql.run("select current_schemas(true);").expect("psql").text();
        let path = path.split(['{', '}']).nth(1).expect("an array");
        self.session.search_path = Some(path.split(',').map(str::to_owned).collect());
    }

    /// Whether what these read is known to come from a labelled column, by a catalog of now.
    fn tells(&mut self, reads: &[&str]) {
        let catalog = common::snapshot(&self.cluster, "clinic");
        for sql in reads {
            let all = analyze(sql.as_bytes(), &catalog, &self.session);
            let last = all.last().expect("a statement");
            assert!(
                last.columns.contains_key(&column("people", "email")),
                "{sql}: {:?} {:?} {:?}",
                last.columns,
                last.reasons,
                self.session.own_taints
            );
        }
    }
}

#[test]
fn a_temporary_table_keeps_its_labels_through_any_number_of_names() {
    let (cluster, _, _) = everything();
    cluster.load("clinic", "create table forebear (z text)").expect("a table");
    let psql = Psql::start(cluster.psql_command("clinic")).expect("psql");
    let mut live = Live { cluster, psql, session: session() };
    live.run(&[
        "create temp table a1 as select email as z from people",
        "create table pg_temp.b1 as select email as z from people",
        "select email as z into pg_temp.c1 from people",
        "create temp table visits as select email as z from people",
        "create temp table d1 as select email as z from people",
        "create temp table e1 as select email as z from people",
        "create table pg_temp.f1 (z text)",
        "create temp table heir () inherits (forebear)",
        "create temp table g1 (z text)",
        "create temp table g1_heir () inherits (g1)",
    ]);
    live.run(&[
        "alter table a1 rename to a2",
        "alter table b1 rename to b2",
        "alter table c1 rename to c2",
        "alter table visits rename to v2",
        "alter table d1 rename to doctors",
        "alter table e1 rename to e2",
        "insert into f1 select email from people",
        "insert into heir select email from people",
        "insert into g1_heir select email from people",
    ]);
    live.tells(&["select z from a2", "select z from b2", "select z from f1", "select z from doctors"]);
    live.run(&[
        "alter table a2 rename to a3",
        "alter table b2 rename to b3",
        "alter table pg_temp.c2 rename to c3",
        "alter table v2 rename to v3",
        "alter table doctors rename to d3",
        "alter table e2 rename column z to zz",
        "alter table f1 rename to f2",
        "alter table forebear rename column z to zz",
        "alter table g1 rename column z to zz",
    ]);
    live.tells(&[
        "copy (select z from a3) to stdout",
        "select z from b3",
        "select z from c3",
        "select z from v3",
        "select z from d3",
        "select zz from e2",
        "select max(z) from f2",
        "select zz from heir",
        "select zz from g1_heir",
    ]);
    let real =
        live.session.search_path.clone().expect("a path").into_iter().find(|it| it.starts_with("pg_temp_"));
    let real = real.expect("a temporary schema");
    live.run(&[
        "alter table a3 rename to visits",
        &format!("alter table {real}.b3 rename z to zz"),
        "alter table pg_temp.c3 rename z to zz",
    ]);
    live.tells(&["select z from visits", "select zz from b3", "select zz from c3"]);
    // What one statement of a message stores in one, the next may read.
    live.session.own_taints = stepgate_sql::Taints::default();
    live.tells(&["insert into f2 select email from people; select z from f2"]);
}

#[test]
fn what_is_made_in_the_temporary_schema_is_temporary() {
    let (_cluster, catalog, _) = everything();
    for (sql, temporary) in [
        ("create table pg_temp.t (a int)", true),
        ("create table pg_temp.t as select 1 as a", true),
        ("create table clinic.pg_temp_3.t as select 1 as a", true),
        ("select 1 as a into pg_temp.t", true),
        ("create view pg_temp.t as select 1 as a", true),
        ("create table training.t (a int)", false),
        ("create table training.t as select 1 as a", false),
    ] {
        let [facts] = all(sql, &catalog, &session()).try_into().expect("one statement");
        assert_eq!(facts.effect.creates.map(|made| made.temporary), Some(temporary), "{sql}");
    }
}

#[test]
fn where_code_may_run_as_late_as_commit_names_do_not_change_unasked() {
    let (cluster, catalog, _) = everything();
    let changes = [
        "alter table visits rename to x",
        "alter function ward_size(text) rename to x",
        "create function f2() returns int language sql as 'select 1'",
    ];
    for sql in changes {
        assert!(!is_unknown(sql, &catalog, &session()), "{sql}");
    }
    cluster
        .load(
            "clinic",
            "create constraint trigger late after insert on visits deferrable for each row execute function audit()",
        )
        .expect("a trigger");
    let catalog = common::snapshot(&cluster, "clinic");
    for sql in changes {
        assert!(is_unknown(sql, &catalog, &session()), "{sql}");
    }
}

/// Autovacuum computes what indexes and statistics are made of, in no session: what it calls is what people were asked about
/// when that was made.
#[test]
fn what_code_of_an_index_may_find_by_name_does_not_change_unasked() {
    let (cluster, ..) = everything();
    let code = "create function deep(t text) returns text language sql stable as 'select lower($1)';
        create function apart(t text) returns text language sql immutable as 'select public.deep($1)';
        create function sampled(t text) returns text language sql immutable as 'select upper($1)';
        create function wrapped(t text) returns text language plpgsql immutable as 'begin return public.deep(t); end';
        create function free(t text) returns text language sql immutable as 'select upper($1)';
        create schema elsewhere; create function elsewhere.deep(t text) returns text language sql as 'select $1';
        create table lines (a text, b text); create table others (a text);
        create view others_view as select a from others";
    cluster.load("clinic", code).expect("code");
    let unasked = [
        "create or replace function free(t text) returns text language sql immutable as 'select $1'",
        "create function another() returns text language plpgsql as 'begin return 1; end'",
        "alter table others rename to others_before",
        "alter table others rename column a to b",
        "alter view others_view set schema elsewhere",
        "alter function free(text) rename to freed",
    ];
    let asked = [
        "create or replace function public.deep(t text) returns text language sql as 'select $1'",
        "create function deep(n int) returns text language sql as 'select $1::text'",
        "alter function deep(text) rename to deeper",
        "alter function free(text) rename to deep",
        "alter function deep(text) set schema elsewhere",
        "alter schema elsewhere rename to somewhere",
    ];
    let then = common::snapshot(&cluster, "clinic");
    for sql in unasked.iter().chain(&asked) {
        assert!(!is_unknown(sql, &then, &session()), "{sql}");
        // Where the transaction itself has made an index that no catalog shows.
        let bound = SessionState { search_path: None, moved: true, bound: true, ..session() };
        assert!(is_unknown(sql, &then, &bound), "{sql}");
    }
    for bound in [
        "create index bound on lines (apart(a))",
        "create index bound on lines (b) where apart(b) = 'x'",
        "create statistics bound on (sampled(a)), (apart(b)) from lines",
        "create index bound on lines (wrapped(a))",
    ] {
        cluster.load("clinic", bound).expect("an index");
        let now = common::snapshot(&cluster, "clinic");
        for sql in asked {
            assert!(is_unknown(sql, &now, &session()), "{bound}: {sql}");
        }
        for sql in unasked {
            assert!(!is_unknown(sql, &now, &session()), "{bound}: {sql}");
        }
        for name in ["apart", "sampled", "wrapped"] {
            let sql =
                format!("create or replace function {name}(t text) returns text language sql as 'select $1'");
            let calls = bound.contains(name);
            assert_eq!(is_unknown(&sql, &now, &session()), calls, "{bound}: {sql}");
        }
        let what = if bound.contains("statistics") { "statistics" } else { "index" };
        cluster.load("clinic", &format!("drop {what} bound")).expect("none");
    }
    // What a superuser has made in C finds nothing by its name.
    let in_c = "create function in_c(text) returns text language internal immutable strict as 'md5_text';
        drop index if exists bound; create index bound on lines (in_c(a))";
    cluster.load("clinic", in_c).expect("an index");
    let now = common::snapshot(&cluster, "clinic");
    for sql in unasked.iter().chain(&asked) {
        assert!(!is_unknown(sql, &now, &session()), "{sql}");
    }
    // An aggregate is internal and immutable, whatever it runs; and a function in C may run text that it is given.
    for opaque in [
        "create function adds(text, text) returns text language plpgsql as 'begin return public.deep($2); end';
         create aggregate added(text) (sfunc = adds, stype = text);
         create function adds_up(t text) returns text language sql immutable as 'select added($1)';
         drop index bound; create index bound on lines (adds_up(a))",
        "create extension tablefunc;
         create function crosses(t text) returns text language sql immutable as
           'select x.a from crosstab(''select deep(x), x, x from (values (1)) v(x)'') as x (a text, b text)';
         drop index bound; create index bound on lines (crosses(a))",
    ] {
        cluster.load("clinic", &format!("begin; {opaque}; commit")).expect("an index");
        let now = common::snapshot(&cluster, "clinic");
        assert!(is_unknown(asked[0], &now, &session()), "{opaque}");
        assert!(is_unknown(unasked[0], &now, &session()), "{opaque}");
    }
    // What cannot be read may find anything.
    let opaque = "create function runs(t text) returns text language plpgsql immutable as
        'begin execute t; return t; end'; create index on lines (runs(a))";
    cluster.load("clinic", opaque).expect("an index");
    let now = common::snapshot(&cluster, "clinic");
    for sql in unasked {
        assert!(is_unknown(sql, &now, &session()), "{sql}");
    }
}

#[test]
fn what_code_of_an_index_reads_by_name_is_not_renamed_unasked() {
    let (cluster, ..) = everything();
    let code = "create table beneath (a text); create table free (a text); create table lines (a text);
        create view reads as select a from beneath;
        create function apart(t text) returns text language sql immutable as 'select a from public.reads limit 1';
        create index on lines (apart(a));";
    cluster.load("clinic", code).expect("code");
    let now = common::snapshot(&cluster, "clinic");
    for (sql, asked) in [
        ("alter view reads rename to was", true),
        ("create or replace view reads as select a from free", true),
        ("create or replace view others as select a from free", false),
        ("alter table free rename to reads", true),
        ("alter table free rename to freed", false),
        ("alter table free rename column a to b", false),
    ] {
        assert_eq!(is_unknown(sql, &now, &session()), asked, "{sql}");
    }
}
