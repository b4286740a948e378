//! Where a literal ends, judged by what the server runs.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{everything, facts, snapshot_of_version};
use stepgate_sql::{StatementValues, Values};
use stepgate_types::{Certainty, Use};

#[test]
fn a_literal_that_goes_on_after_a_newline_hides_nothing_that_the_server_runs() {
    let (cluster, catalog, _) = everything();
    for (sql, shown) in [
        ("select E'a'\n'\\' ', annual_pay, '--'\n from doctors where did = 1", "60517"),
        ("set application_name = E'a'\n'\\' '; select annual_pay from doctors where did = 1; --'", "60517"),
    ] {
        // The server does show it, so that what is tested is an attack.
        let rows = cluster.psql("clinic", sql).expect("the server runs it");
        assert!(rows.contains(shown), "{sql}: {rows}");
        assert!(facts(sql, &catalog).iter().any(|facts| facts.certainty == Certainty::Unknown), "{sql}");
    }
}

/// From 16 on `0x2` is a number; before, an error or a number with an alias. What counts is the server's version.
#[test]
fn numbers_of_newer_servers_are_read_as_the_server_reads_them() {
    let (cluster, catalog, _) = everything();
    let newer = snapshot_of_version(&cluster, "clinic", "160004");
    for sql in [
        "select did, annual_pay from doctors order by 0x2",
        "select did, annual_pay from doctors order by 0b1_0",
        "select did, annual_pay from doctors order by 0O02",
    ] {
        assert!(cluster.psql("clinic", sql).is_err(), "{sql}: an older server refuses it");
        assert_eq!(facts(sql, &catalog)[0].certainty, Certainty::Unknown, "{sql}");
        let [facts] = facts(sql, &newer).try_into().expect("one statement");
        assert_eq!(facts.certainty, Certainty::Exact, "{sql}");
        let pay = facts.columns.iter().find(|(column, _)| column.column == "annual_pay").expect("is read");
        assert!(pay.1.contains(&Use::Ordering), "{sql}");
    }
    let of_newer = |sql: &str| facts(sql, &newer).remove(0);
    assert_eq!(of_newer("select did from doctors limit 1_0").estimate, Some(10));
    assert_eq!(of_newer("select did from doctors limit 0x1F").estimate, Some(31));
    for sql in ["select 0x5x", "select 1__0", "select 0x5.5", "select 0x1 from doctors where did = 0b2"] {
        assert_eq!(of_newer(sql).certainty, Certainty::Unknown, "{sql}");
    }
    let sql = "select (select annual_pay from system_user) from doctors";
    assert_eq!(facts(sql, &catalog)[0].certainty, Certainty::Unknown);
    assert_eq!(of_newer(sql).certainty, Certainty::Exact);
    let sql = "select inv from invoices where amount > 0x7531 and vid = 30_000";
    let values = StatementValues::<Vec<u8>>::new(sql.as_bytes(), &[], &[], &[]);
    let facts = of_newer(sql);
    let mut found: Vec<_> =
        facts.predicates.iter().filter_map(|it| values.number(it.operand.value?)).collect();
    found.sort();
    assert_eq!(found, ["30000", "30001"].map(|text| text.parse().expect("a number")));
}
