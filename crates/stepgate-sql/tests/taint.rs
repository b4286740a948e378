//! What a statement stores where, and that labels follow it.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{clinic, columns, everything, session, snapshot};
use stepgate_sql::{Facts, analyze};

/// `relation.column<source,source …`, `relation.*<…` for any column, `?` for what is unknown.
fn flows(facts: &Facts) -> String {
    let mut all = Vec::new();
    for (relation, flow) in &facts.flows {
        let show = |from: &std::collections::BTreeSet<stepgate_types::ColumnName>| {
            let names: Vec<String> = from.iter().map(|it| it.to_string().replace("public.", "")).collect();
            names.join(",")
        };
        let relation = relation.to_string().replace("public.", "");
        all.extend(
            flow.each
                .iter()
                .filter(|(_, from)| !from.is_empty())
                .map(|(to, from)| format!("{relation}.{to}<{}", show(from))),
        );
        if !flow.all.is_empty() {
            all.push(format!("{relation}.*<{}", show(&flow.all)));
        }
        if flow.unknown {
            all.push(format!("{relation}?"));
        }
    }
    all.join(" ")
}

/// Columns of a foreign key refer one by one, in the order of the key and not of the tables.
#[test]
fn a_cascade_stores_each_column_of_a_key_in_the_one_that_refers_to_it() {
    let (cluster, catalog, _) = everything();
    for (sql, expected) in [
        (
            "update two_keys set x = (select iban from invoices limit 1)",
            "two_keys.x<invoices.iban two_refs.b<invoices.iban",
        ),
        (
            "update two_keys set y = (select iban from invoices limit 1)",
            "two_keys.y<invoices.iban two_refs.a<invoices.iban",
        ),
    ] {
        assert_eq!(flows(&analyze(sql.as_bytes(), &catalog, &session())[0]), expected, "{sql}");
    }
    let sql = "insert into two_keys values ('k', 'l'); insert into two_refs (b, a) values ('k', 'l');
               update two_keys set x = (select iban from invoices where inv = 1);
               select b = (select iban from invoices where inv = 1), a from two_refs";
    assert!(cluster.psql("clinic", sql).expect("the server runs it").contains("t|l"));
}

/// The server carries a key on, whoever has put it there.
#[test]
fn a_key_that_a_trigger_assigns_is_followed_by_what_refers_to_it() {
    let (cluster, _, _) = everything();
    cluster
        .load(
            "clinic",
            "create table k1 (id text primary key, x text); create table k1c (pid text references k1 on update cascade);
             create function assign() returns trigger language plpgsql as $$ begin new.id := new.x; return new; end $$;
             create trigger assign before update on k1 for each row execute function assign();
             create table k3 (x text, id text generated always as ('k' || x) stored unique);
             create table k3c (pid text references k3 (id) on update cascade);
             create table k4 (x text); create table k4_heir (unique (x)) inherits (k4);
             create table k4c (pid text references k4_heir (x) on update cascade)",
        )
        .expect("tables");
    let catalog = snapshot(&cluster, "clinic");
    for (fill, sql, told, referring) in [
        (
            "insert into k1 values ('a', 'a'); insert into k1c values ('a')",
            "update k1 set x = (select iban from invoices where inv = 1)",
            "k1.id<invoices.iban,k1.x k1.x<invoices.iban k1c.pid<invoices.iban,k1.x",
            "k1c",
        ),
        (
            "insert into k1 values ('a', 'a'); insert into k1c values ('a')",
            "insert into k1 values ('a', 'b') on conflict (id) do update set x = (select iban from invoices where inv = 1)",
            "k1.id<invoices.iban,k1.x k1.x<invoices.iban k1c.pid<invoices.iban,k1.x",
            "k1c",
        ),
        (
            "insert into k3 values ('a'); insert into k3c values ('ka')",
            "update k3 set x = (select iban from invoices where inv = 1)",
            "k3.x<invoices.iban k3c.pid<invoices.iban",
            "k3c",
        ),
        (
            "insert into k4_heir values ('a'); insert into k4c values ('a')",
            "update k4 set x = (select iban from invoices where inv = 1)",
            "k4.x<invoices.iban k4c.pid<invoices.iban",
            "k4c",
        ),
    ] {
        let facts = &analyze(sql.as_bytes(), &catalog, &session())[0];
        assert_eq!(flows(facts), told, "{sql}");
        let held =
            format!("select pid like '%' || (select iban from invoices where inv = 1) from {referring}");
        let script = format!("begin; {fill}; {sql}; {held}");
        assert!(cluster.psql("clinic", &script).expect("the server runs it").contains('t'), "{sql}");
    }
    // An INSERT is followed by nothing.
    let facts = &analyze(b"insert into k1 select 'a', iban from invoices", &catalog, &session())[0];
    assert!(!flows(facts).contains("k1c"), "{}", flows(facts));
}

#[test]
fn what_a_materialized_view_holds_is_told_when_it_is_filled() {
    let (cluster, _, _) = everything();
    let views = "create view v_iban as select inv, iban as x from invoices where paid; \
         create materialized view mv as select * from v_iban; create materialized view mv_mixed as \
         select inv from invoices union select vid from visits; create materialized view mv_on as select x || 'y' as y from mv";
    cluster.load("clinic", views).expect("views");
    let catalog = snapshot(&cluster, "clinic");
    for (sql, told) in [
        ("refresh materialized view mv", "mv.inv<invoices.inv mv.x<invoices.iban"),
        (
            "refresh materialized view concurrently public.mv with data",
            "mv.inv<invoices.inv mv.x<invoices.iban",
        ),
        ("refresh materialized view mv_mixed", "mv_mixed.*<invoices.inv,invoices.vid,visits.vid"),
        ("refresh materialized view mv_on", "mv_on.y<invoices.iban,mv.x"),
        (
            "create materialized view made as select inv, x from v_iban",
            "pg_temp.made.inv<invoices.inv pg_temp.made.x<invoices.iban made.inv<invoices.inv made.x<invoices.iban",
        ),
        ("create view made as select inv, x from v_iban", ""),
    ] {
        let facts = &analyze(sql.as_bytes(), &catalog, &session())[0];
        assert_eq!(flows(facts), told, "{sql}");
        assert_ne!(facts.certainty, stepgate_types::Certainty::Unknown, "{sql}");
        // No command tag tells how many rows.
        assert!(
            facts.sinks.iter().all(|sink| sink.kind != stepgate_sql::SinkKind::Rows),
            "{sql}: {:?}",
            facts.sinks
        );
    }
    // What is not known of it, or by what is meant by now, is unknown.
    let sql = "create or replace view v_iban as select 1 as inv, 'x' as x; refresh materialized view mv";
    assert!(flows(&analyze(sql.as_bytes(), &catalog, &session())[1]).contains("mv?"));
}

/// In one transaction: no catalog has shown what the view was when it was stored.
#[test]
fn a_materialized_view_keeps_its_labels_though_what_it_was_made_of_is_replaced_in_the_same_transaction() {
    let (cluster, _, _) = everything();
    cluster.load("clinic", "create view v_free as select 'x'::text as x").expect("a view");
    let mut session = session();
    let mut run = |sql: &str| {
        let catalog = snapshot(&cluster, "clinic");
        let [facts] = analyze(sql.as_bytes(), &catalog, &session).try_into().expect("one statement");
        for (relation, flow) in &facts.flows {
            session.taints.add(relation.clone(), flow.clone()).expect("room");
        }
        columns(&facts).contains_key("public.invoices.iban")
    };
    cluster.load("clinic", "create or replace view v_free as select iban as x from invoices").expect("DDL");
    assert!(run("create materialized view mv as select x from v_free"));
    let replaced = "create materialized view mv as select x from v_free; \
         create or replace view v_free as select 'x'::text as x";
    cluster.load("clinic", replaced).expect("DDL");
    assert!(run("select max(x) from mv"));
    // Another, which was there before.
    cluster.load("clinic", "create materialized view other as select x from v_free").expect("DDL");
    assert!(!run("select max(x) from other"));
    cluster.load("clinic", "create or replace view v_free as select iban as x from invoices").expect("DDL");
    assert!(run("refresh materialized view other"));
    let replaced = "refresh materialized view other; create or replace view v_free as select 'x'::text as x";
    cluster.load("clinic", replaced).expect("DDL");
    assert!(run("select max(x) from other"));
    assert!(
        cluster.psql("clinic", "select max(x) > 'x' or min(x) < 'x' from other").expect("rows").contains('t')
    );
}

/// EXPLAIN ANALYZE makes what it explains.
#[test]
fn what_explain_makes_holds_what_it_reads() {
    let cluster = clinic();
    let catalog = snapshot(&cluster, "clinic");
    for (sql, expected) in [
        ("explain analyze create temp table t as select iban from invoices", "pg_temp.t.iban<invoices.iban"),
        ("explain (analyze) select iban as a into temp t from invoices", "pg_temp.t.a<invoices.iban"),
        ("explain analyze select iban into lab.t from invoices", "lab.t.iban<invoices.iban"),
        ("explain create temp table t as select iban from invoices", ""),
        ("explain select iban into temp t from invoices", ""),
    ] {
        let all = analyze(sql.as_bytes(), &catalog, &session());
        assert_eq!(flows(&all[0]), expected, "{sql}");
        assert_eq!(all[0].effect.creates.is_some(), !expected.is_empty(), "{sql}");
    }
    let sql = "explain analyze select iban into temp t from invoices; select count(*) from t";
    assert!(cluster.psql("clinic", sql).expect("the server runs it").contains("1500"));
    let all = analyze(sql.as_bytes(), &catalog, &session());
    assert!(all[1].certainty == stepgate_types::Certainty::Unknown, "the table was made in this message");
}

#[test]
fn what_a_statement_stores_is_told_column_by_column() {
    let cluster = clinic();
    let catalog = snapshot(&cluster, "clinic");
    for (sql, expected) in [
        (
            "create temp table t as select did, annual_pay as p from doctors",
            "pg_temp.t.did<doctors.did pg_temp.t.p<doctors.annual_pay",
        ),
        (
            "create table lab.t (a, b) as select did, upper(name) || annual_pay from doctors where did = 1",
            "lab.t.a<doctors.did lab.t.b<doctors.annual_pay,doctors.name",
        ),
        (
            "select did, annual_pay into temp t from doctors",
            "pg_temp.t.annual_pay<doctors.annual_pay pg_temp.t.did<doctors.did",
        ),
        (
            "create temp table t as select * from invoices",
            "pg_temp.t.amount<invoices.amount pg_temp.t.iban<invoices.iban pg_temp.t.inv<invoices.inv pg_temp.t.paid<invoices.paid pg_temp.t.vid<invoices.vid",
        ),
        (
            "create temp table t as select s.x from (select iban as x from invoices) s",
            "pg_temp.t.x<invoices.iban",
        ),
        (
            "create temp table t as with c as (select annual_pay as x from doctors) select 1 as a, x from c",
            "pg_temp.t.a<doctors.annual_pay pg_temp.t.x<doctors.annual_pay",
        ),
        (
            "create temp table t as select did as a from doctors union select annual_pay from doctors",
            "pg_temp.t.*<doctors.annual_pay,doctors.did",
        ),
        (
            "create temp table t as select d.did as a, v.* from doctors d, visits v where d.name = 'x'",
            "pg_temp.t.*<doctors.did,visits.at,visits.did,visits.fee,visits.kind,visits.notes,visits.pid,visits.vid",
        ),
        (
            "insert into visits (vid, kind) select did, annual_pay::text from doctors where name = 'x'",
            "visits.kind<doctors.annual_pay visits.vid<doctors.did",
        ),
        (
            "insert into visits (vid, kind) values (1, (select iban from invoices limit 1))",
            "visits.kind<invoices.iban",
        ),
        (
            "insert into visits (vid, kind) values (1, 'x'), (2, (select iban from invoices limit 1)), ((select did from doctors limit 1), 'y')",
            "visits.kind<invoices.iban visits.vid<doctors.did",
        ),
        (
            "insert into visits (vid, kind) values (1, 'x') on conflict (vid) do update set kind = (select iban from invoices limit 1)",
            "visits.kind<invoices.iban",
        ),
        (
            "with d as (delete from invoices returning iban) insert into visits (vid, kind) select 1, iban from d",
            "visits.kind<invoices.iban visits.vid<invoices.iban",
        ),
        (
            "update visits set kind = d.annual_pay::text, fee = 3 from doctors d where d.did = visits.did and d.name = 'x'",
            "visits.kind<doctors.annual_pay",
        ),
        (
            "update visits set (kind, fee) = (select iban, amount from invoices limit 1)",
            "visits.fee<invoices.amount,invoices.iban visits.kind<invoices.amount,invoices.iban",
        ),
        ("update doctors set name = upper(name), specialty = name", "doctors.specialty<doctors.name"),
        ("update visits set kind = 'x' where vid = 1 returning notes", ""),
        (
            "merge into visits v using doctors d on d.did = v.did when matched then update set kind = d.annual_pay::text when not matched then insert (vid, kind) values (d.did, d.name)",
            "visits.kind<doctors.annual_pay,doctors.did,doctors.name visits.vid<doctors.did,doctors.name",
        ),
        ("insert into visits select * from visits", ""),
        ("insert into visits (vid, kind) values (1, 'x')", ""),
        ("select annual_pay from doctors", ""),
        ("create temp table t as select query_to_xml('select 1', true, true, '') as x", "pg_temp.t?"),
        ("create temp table t as select patient_mobile(5) as x", "pg_temp.t.*<patients.mobile,patients.pid"),
    ] {
        let [facts] = analyze(sql.as_bytes(), &catalog, &session()).try_into().expect("one statement");
        assert_eq!(flows(&facts), expected, "{sql}");
    }
}

#[test]
fn what_was_stored_is_read_with_the_labels_of_where_it_came_from() {
    let (cluster, _, _) = everything();
    cluster
        .load("clinic", "create table scratch (x text, \"into\" text, y text[]); create view v_plain as select x from scratch")
        .expect("a table");
    let catalog = snapshot(&cluster, "clinic");
    let mut session = session();
    // By cascade, by a function's argument, by conversion, within one message, and wherever INTO stands.
    for (sql, read) in [
        ("update casc_a set k = (select iban from invoices limit 1)", "select k from casc_b"),
        ("select put(iban) from invoices limit 1", "select town from doubted"),
        ("alter table invoices alter amount type text using iban", "select amount from invoices"),
        ("select iban as into into public.scratch from invoices", "select \"into\" from scratch"),
        ("(select iban as x into public.scratch from invoices)", "select x from scratch"),
        (
            "select (select iban from invoices limit 1) as x into public.scratch limit 1",
            "select x from scratch",
        ),
        ("select 'q' as x into public.scratch union all select iban from invoices", "select x from scratch"),
        ("select iban as x into table scratch from invoices", "select x from scratch"),
        (
            "insert into scratch (x) select iban from invoices; insert into doubted (id, city) select 1, x from scratch",
            "select city from doubted",
        ),
        ("insert into v_plain select iban from invoices", "select x from scratch"),
        ("update scratch set y[1] = (select iban from invoices limit 1)", "select y from scratch"),
        ("insert into clinic.public.scratch (x) select iban from invoices", "select x from scratch"),
        (
            "insert into scratch (x) select query_to_xml('select iban from invoices', true, true, '')::text",
            "select x from scratch",
        ),
    ] {
        let mut session = session.clone();
        for facts in analyze(sql.as_bytes(), &catalog, &session) {
            for (relation, flow) in &facts.flows {
                session.taints.add(relation.clone(), flow.clone()).expect("room");
            }
        }
        let [facts] = analyze(read.as_bytes(), &catalog, &session).try_into().expect("one statement");
        let flagged = facts.certainty == stepgate_types::Certainty::Unknown
            || columns(&facts).contains_key("public.invoices.iban");
        assert!(flagged, "{sql}; {read}: {:?}", facts.columns);
    }
    let mut run = |sql: &str| {
        let [facts] = analyze(sql.as_bytes(), &catalog, &session).try_into().expect("one statement");
        for (relation, flow) in &facts.flows {
            session.taints.add(relation.clone(), flow.clone()).expect("room");
        }
        let read: Vec<String> = columns(&facts).into_keys().filter(|it| it.contains("iban")).collect();
        read
    };
    assert!(run("select kind from visits").is_empty());
    assert_eq!(
        run("update visits set kind = i.iban from invoices i where i.vid = visits.vid"),
        ["public.invoices.iban"]
    );
    assert_eq!(run("select kind from visits"), ["public.invoices.iban"]);
    assert!(run("select fee from visits").is_empty());
    // And on from there.
    assert_eq!(
        run("insert into training.patients (pid, alias) select vid, kind from visits"),
        ["public.invoices.iban"]
    );
    assert_eq!(run("select max(alias) from training.patients"), ["public.invoices.iban"]);
    assert!(run("select pid from training.patients").is_empty());
    // A write alone reads nothing of it.
    assert!(run("insert into training.patients (pid, alias) values (1, 'x')").is_empty());
}
