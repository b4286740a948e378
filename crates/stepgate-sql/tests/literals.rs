//! Where a literal ends, judged by what the server runs.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{everything, facts};
use stepgate_types::Certainty;

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
