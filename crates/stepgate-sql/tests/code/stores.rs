//! What functions store of what they are given, wherever in a statement they are called.

use stepgate_sql::{Catalog, Facts, SinkKind, analyze};
use stepgate_types::{Certainty, RelationName};

use super::common::{columns, session, snapshot};
use super::database;

const SCHEMA: &str = "
    create table store (x text);
    create table log (at text);
    create function ins(t text) returns int language sql as 'insert into public.store (x) values ($1) returning 1';
    create function nm(n int) returns text language sql stable as 'select email from public.people where id = $1';
    create function wrap(n int) returns int language sql immutable as 'select public.ins(public.nm($1))';
    create function again(t text) returns text language sql as
      'insert into public.store (x) values ($1); select max(email) from public.people';
    create function told(n int) returns text language sql as
      'insert into public.log (at) values (now()::text); select email from public.people where id = $1';
    create aggregate agains (text) (sfunc = last_again, stype = text);
    create table source (id int primary key, note text);
    create function stores_on() returns trigger language plpgsql as
      'begin perform public.ins(public.nm(new.id)); return null; end';
    create trigger stores_on after insert on source for each row execute function stores_on();
    create table onward (x text);
    create function copies() returns trigger language plpgsql as
      'begin insert into public.onward (x) values (new.at); return null; end';
    create trigger copies after insert on log for each row execute function copies();
    create function notes(t text) returns int language sql as 'insert into public.log (at) values ($1) returning 1';";

fn schema() -> String {
    let sfunc = "create function last_again(s text, t text) returns text language sql as
      'insert into public.store (x) values ($1); select max(email) from public.people';
    create aggregate";
    SCHEMA.replace("create aggregate", sfunc)
}

fn one(sql: &str, catalog: &Catalog) -> Facts {
    let [facts] = analyze(sql.as_bytes(), catalog, &session()).try_into().expect("one statement");
    assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
    facts
}

/// Whether, after the statement, whoever reads that reads people's addresses.
fn is_labelled(sql: &str, read: &str, catalog: &Catalog) -> bool {
    let mut session = session();
    for (relation, flow) in one(sql, catalog).flows {
        session.taints.add(relation, flow).expect("room");
    }
    let [facts] = analyze(read.as_bytes(), catalog, &session).try_into().expect("one statement");
    columns(&facts).contains_key("public.people.email")
}

#[test]
fn what_a_function_is_given_anywhere_in_a_statement_is_labelled_where_it_stores_it() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", &schema()).expect("code");
    let catalog = snapshot(&cluster, "shop");
    for sql in [
        "select ins(email) from people",
        "select count(*) from (select from people where ins(email) = 1) q",
        "select 1 from people order by ins(email)",
        "select 1 from people group by ins(email)",
        "select count(*) from people p join plain on ins(p.email) = 1",
        "update plain set note = 'x' from people p where ins(p.email) = 1",
        "select ins(nm(9))",
        "select ins(v) from (select nm(9) as v) q",
        "select wrap(9)",
        // It is given what it returned.
        "select again(again('x'))",
        "select again(public.again('x'))",
        "with recursive r (v) as (select 'x' union all select again(v) from r where v = 'x') select count(*) from r",
        "select agains(note) from plain",
        "insert into source (id) values (1)",
    ] {
        assert!(is_labelled(sql, "select x from store", &catalog), "{sql}");
        assert!(one(sql, &catalog).sinks.iter().any(|sink| sink.kind == SinkKind::Rows), "{sql}");
    }
    // By a trigger of what it stores in.
    assert!(is_labelled("select notes(email) from people", "select x from onward", &catalog));
    // What writes down that it was called takes nothing of what it returns.
    for (sql, read) in [
        ("select told(1)", "select at from log"),
        ("select told(id) from plain", "select at from log"),
        ("select ins(note) from plain", "select x from store"),
    ] {
        assert!(!is_labelled(sql, read, &catalog), "{sql}");
    }
}

#[test]
fn what_code_stores_while_it_is_planned_is_labelled() {
    let (cluster, _) = database("calls.sql");
    cluster.load("shop", &schema()).expect("code");
    // It does.
    let stored = "explain select wrap(1); select 'stored ' || x from store";
    assert!(cluster.psql("shop", stored).expect("the server runs it").contains("stored a@b"));
    let catalog = snapshot(&cluster, "shop");
    let store = RelationName::new("public", "store");
    for sql in ["explain select wrap(1)", "explain (verbose) select 1 from plain where id = wrap(1)"] {
        let facts = one(sql, &catalog);
        assert!(is_labelled(sql, "select x from store", &catalog), "{sql}");
        assert!(
            facts.sinks.iter().any(|sink| sink.relation.as_ref() == Some(&store)),
            "{sql}: {:?}",
            facts.sinks
        );
    }
    // Of its own writing it stores nothing.
    for sql in [
        "explain insert into store select email from people",
        "explain update store set x = (select max(email) from people)",
        "explain with q as (insert into store select email from people returning 1) select * from q",
        "explain create table made as select email from people",
        "explain select email into made from people",
        "explain insert into log select email from people",
    ] {
        let facts = one(sql, &catalog);
        assert!(
            facts.flows.is_empty() && facts.sinks.is_empty(),
            "{sql}: {:?} {:?}",
            facts.flows,
            facts.sinks
        );
    }
    let facts = one("explain analyze insert into store select email from people", &catalog);
    assert!(!facts.flows.is_empty() && !facts.sinks.is_empty());
}

/// It keeps what its functions returned when it was filled, whatever they return afterwards.
#[test]
fn what_functions_return_is_labelled_in_the_materialized_view_that_keeps_it() {
    let (cluster, _) = database("calls.sql");
    let views = "create function many(n int) returns setof text language sql stable as 'select email from public.people';
        create view through as select nm(1) as x;
        create materialized view called as select nm(1) as x, 1 as y;
        create materialized view beneath as select x || '!' as x from through;
        create materialized view rows as select * from many(1) m (x);
        create materialized view within as select (select nm(id)) as x from plain union select 'x';
        create materialized view free as select note as x from plain;";
    cluster.load("shop", &format!("{}{views}", schema())).expect("code");
    let then = snapshot(&cluster, "shop");
    let harmless = "create or replace function nm(n int) returns text language sql stable as 'select ''x''::text';
        create or replace function many(n int) returns setof text language sql stable as 'select ''x''::text'";
    cluster.load("shop", harmless).expect("code");
    let now = snapshot(&cluster, "shop");
    let kept = |sql: &str, read: &str| {
        let mut session = session();
        let [filled] = analyze(sql.as_bytes(), &then, &session).try_into().expect("one statement");
        for (relation, flow) in filled.flows {
            session.taints.add(relation, flow).expect("room");
        }
        let [facts] = analyze(read.as_bytes(), &now, &session).try_into().expect("one statement");
        let unknown = facts.reasons.iter().any(|reason| reason.code == "unknown-contents");
        unknown || columns(&facts).contains_key("public.people.email")
    };
    for name in ["called", "beneath", "rows", "within"] {
        assert!(
            kept(&format!("refresh materialized view {name}"), &format!("select x from {name}")),
            "{name}"
        );
    }
    assert!(!kept("refresh materialized view free", "select x from free"));
    assert!(!kept("refresh materialized view called", "select x from free"));
    let made = "create materialized view made as select nm(1) as x";
    assert!(one(made, &then).flows.values().all(|flow| flow.all.iter().any(|it| it.column == "email")));
}
