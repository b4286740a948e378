//! Large objects: what they hold follows labels, as if it stood in a column of a table.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{clinic, columns, rows, session, snapshot};
use stepgate_sql::{Catalog, Facts, SessionState, SinkKind, Taints, analyze};
use stepgate_testkit::Cluster;
use stepgate_types::{Certainty, RelationName, Use};

const DATA: &str = "pg_catalog.pg_largeobject.data";

fn world() -> (Cluster, Catalog) {
    let cluster = clinic();
    let bodies = "create function keep(x bytea) returns oid language sql as 'select lo_from_bytea(0, x)';
                  create function give(x oid) returns bytea language sql as 'select lo_get(x)';
                  create table pictures (name text, raster oid, bytes bytea);
                  create view held as select lo_get(raster) as it from pictures";
    cluster.load("clinic", bodies).expect("load");
    let catalog = snapshot(&cluster, "clinic");
    (cluster, catalog)
}

fn only(sql: &str, catalog: &Catalog, state: &SessionState) -> Facts {
    let mut all = analyze(sql.as_bytes(), catalog, state);
    assert_eq!(all.len(), 1, "{sql}");
    all.remove(0)
}

/// The columns that flow into large objects.
fn stored(facts: &Facts) -> Vec<String> {
    let flow = facts.flows.get(&RelationName::new("pg_catalog", "pg_largeobject"));
    let columns = flow.and_then(|flow| flow.each.get("data")).into_iter().flatten();
    columns.map(|column| column.to_string().replace("public.", "")).collect()
}

#[test]
fn large_objects_of_the_clients_own_values_are_known() {
    let (_cluster, catalog) = world();
    for (sql, reads, writes) in [
        ("select lo_creat(-1)", false, true),
        ("select lo_create(0)", false, true),
        ("select pg_catalog.lo_from_bytea(0, $1)", false, true),
        ("select lo_put(16400, 0, '\\xdeadbeef')", false, true),
        ("select lowrite(lo_open(16400, 131072), $1)", false, true),
        ("select lo_unlink(16400)", false, true),
        ("select lo_truncate(0, 8), lo_close(0)", false, true),
        ("select lo_get(16400)", true, false),
        ("select loread($1, $2)", true, false),
        ("select lo_lseek(0, 0, 2), lo_tell64(0)", true, false),
        ("select give(16400)", true, false),
        ("select keep('x')", false, true),
        ("select oid from pg_largeobject_metadata", true, false),
    ] {
        let facts = only(sql, &catalog, &session());
        assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
        let uses = columns(&facts).remove(DATA).unwrap_or_default();
        assert_eq!((uses.contains(&Use::Output), uses.contains(&Use::Write)), (reads, writes), "{sql}");
        assert!(stored(&facts).is_empty(), "{sql}");
        assert!(facts.sinks.iter().all(|sink| sink.kind != SinkKind::LargeObject), "{sql}");
    }
}

#[test]
fn what_a_statement_reads_and_stores_in_a_large_object_taints_them_all() {
    let (_cluster, catalog) = world();
    let iban = ["invoices.iban"];
    for (sql, sources) in [
        ("select lo_from_bytea(0, iban::bytea) from invoices", &iban[..]),
        ("select lo_put(16400, 0, i.iban::bytea) from invoices i", &iban),
        ("select lowrite(0, (select min(iban) from invoices)::bytea)", &iban),
        // As many as there are, as long as it is, or whether there is one.
        ("select lo_create(length(iban)::oid) from invoices", &iban),
        ("select lo_creat(-1) from invoices where iban like 'DE%'", &iban),
        ("select lo_truncate(0, length(iban)) from invoices", &iban),
        ("select keep(iban::bytea) from invoices", &iban),
        ("insert into pictures (raster) select lo_from_bytea(0, iban::bytea) from invoices", &iban),
        ("insert into pictures (raster) values (lo_create(0))", &[]),
        ("update pictures set raster = lo_creat(-1)", &[]),
    ] {
        let facts = only(sql, &catalog, &session());
        assert_ne!(facts.certainty, Certainty::Unknown, "{sql}: {:?}", facts.reasons);
        assert_eq!(stored(&facts), sources, "{sql}");
        let sink = facts.sinks.iter().any(|sink| sink.kind == SinkKind::LargeObject);
        assert_eq!(sink, !sources.is_empty() && !sql.contains("keep"), "{sql}");
    }
}

#[test]
fn what_is_sent_to_whoever_listens_is_a_sink_as_what_is_stored_is() {
    let (_cluster, catalog) = world();
    for (sql, sends) in [
        ("select count(pg_notify('ch', iban)) from invoices", true),
        ("select pg_notify(iban, '') from invoices", true),
        ("select pg_notify('ch', 'x') from invoices where iban like 'DE%'", true),
        ("select pg_notify('ch', 'x')", false),
        ("select iban from invoices", false),
    ] {
        let facts = only(sql, &catalog, &session());
        let sink = facts.sinks.iter().any(|sink| sink.kind == SinkKind::Notification);
        assert_eq!(sink, sends, "{sql}");
        assert_eq!(facts.certainty == Certainty::Unknown, sql.contains("pg_notify"), "{sql}");
    }
}

#[test]
fn what_large_objects_hold_is_read_with_them_and_goes_where_they_go() {
    let (_cluster, catalog) = world();
    let before = only("select lo_from_bytea(0, iban::bytea) from invoices", &catalog, &session());
    let mut taints = Taints::default();
    for (relation, flow) in before.flows {
        taints.add(relation, flow).expect("room");
    }
    let tainted = SessionState { taints, ..session() };
    for sql in [
        "select lo_get(16400)",
        "select loread(0, 100)",
        "select lo_lseek64(0, 0, 2)",
        "select length(give(16400))",
        "select 1 from pictures where lo_get(raster) = '\\x00'",
        "select oid from pg_largeobject_metadata",
        "insert into pictures (bytes) values (lo_get(16400))",
        "update pictures set bytes = lo_get(raster)",
    ] {
        let facts = only(sql, &catalog, &tainted);
        let uses = columns(&facts).remove("public.invoices.iban").unwrap_or_default();
        assert!(uses.contains(&Use::Output), "{sql}");
        if sql.contains("bytes") {
            let flow = &facts.flows[&RelationName::new("public", "pictures")];
            let into: Vec<_> = flow.each["bytes"].iter().map(ToString::to_string).collect();
            assert!(into.iter().any(|from| from == "public.invoices.iban"), "{sql}: {into:?}");
        }
    }
    for sql in ["select lo_unlink(16400)", "select lowrite(0, $1)", "select lo_open(16400, 262144)"] {
        assert!(!columns(&only(sql, &catalog, &tainted)).contains_key("public.invoices.iban"), "{sql}");
    }
}

#[test]
fn what_is_not_followed_stays_unknown() {
    let (_cluster, catalog) = world();
    for sql in [
        "select lo_import('/etc/passwd')",
        "select lo_export(16400, '/tmp/x')",
        "select data from pg_largeobject",
        "create table t as select lo_get(16400) as x",
        "select it from held",
    ] {
        assert_eq!(only(sql, &catalog, &session()).certainty, Certainty::Unknown, "{sql}");
    }
}

/// A function of somebody's own may have the name, and stand before the server's.
#[test]
fn a_function_of_the_same_name_is_not_taken_for_the_servers() {
    let (cluster, _) = world();
    let own = "create function lo_get(x text) returns text language sql as 'select iban from invoices'";
    cluster.load("clinic", own).expect("load");
    let catalog = snapshot(&cluster, "clinic");
    assert_eq!(only("select lo_get('x')", &catalog, &session()).certainty, Certainty::Unknown);
    let qualified = only("select pg_catalog.lo_get(1)", &catalog, &session());
    assert_eq!(qualified.certainty, Certainty::Exact);
}

/// What the fast path calls by number is found by name.
#[test]
fn the_catalog_knows_functions_by_their_oids() {
    let (cluster, catalog) = world();
    for row in rows(&cluster, "clinic", "select oid, pronamespace::regnamespace, proname from pg_proc") {
        let [oid, schema, name] = [0, 1, 2].map(|at| row[at].clone().expect("a text"));
        let known = catalog.function_of(oid.parse().expect("an OID"));
        if schema != "information_schema" {
            assert_eq!(known, Some((schema.as_str(), name.as_str())));
        }
    }
    assert_eq!(catalog.function_of(952), Some(("pg_catalog", "lo_open")));
    assert_eq!(catalog.function_of(1), None);
}
