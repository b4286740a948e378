//! Time to analyse a statement that no cache knows, in microseconds: `cargo bench -p stepgate-sql --bench cold`.
//!
//! Needs PostgreSQL's server binaries, for the catalog of the sample corpus.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    unreachable_pub,
    missing_docs,
    reason = "a benchmark stops where it cannot go on"
)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::{Duration, Instant};

use stepgate_sql::{SessionState, analyze};

/// How often each is analysed; the median is shown.
const ROUNDS: usize = 5_000;

const STATEMENTS: [(&str, &str); 5] = [
    ("ordinary, 69 bytes", "select pid, ward, admitted from patients where ward = 'A1' limit 5"),
    (
        "join and group",
        "select d.specialty, sum(i.amount) from doctors d join visits v using (did) join invoices i on i.vid = v.vid group by 1",
    ),
    (
        "CTE, window, subquery",
        "with busy as (select did, count(*) n from visits group by did) select d.name, rank() over (order by n desc), (select max(fee) from visits v where v.did = d.did) from busy join doctors d using (did) where n > 3",
    ),
    ("SQL function", "select patient_mobile(5)"),
    ("TABLE", "table invoices"),
];

fn main() {
    let cluster = common::clinic();
    let catalog = common::snapshot(&cluster, "clinic");
    let session = SessionState::with_search_path(["pg_catalog", "public"]);
    println!("{:<24} {:>8} {:>8}", "", "p50", "p99");
    for (name, sql) in STATEMENTS {
        let mut times: Vec<Duration> = (0..ROUNDS)
            .map(|_| {
                let began = Instant::now();
                black_box(analyze(black_box(sql.as_bytes()), &catalog, &session));
                began.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |share: usize| times.get(ROUNDS * share / 100).copied().unwrap_or_default();
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        println!("{name:<24} {:>8.1} {:>8.1}", micros(at(50)), micros(at(99)));
    }
}
