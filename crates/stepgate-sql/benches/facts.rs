//! How long facts take: by key, cold, for TPC-DS, and the catalog of 5,000 tables. `cargo bench -p stepgate-sql`.
//!
//! Needs PostgreSQL's server binaries for the sample corpus' catalog, and .work/tpc (tests/tools/oracle.sh) for TPC-DS.

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

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use stepgate_sql::{CATALOG_QUERIES, Catalog, Facts, Rows, SessionState, analyze, cache_key};
use stepgate_testkit::Cluster;

const STATEMENTS: [(&str, &str); 6] = [
    ("ordinary, 69 bytes", "select pid, ward, admitted from patients where ward = 'A1' limit 5"),
    (
        "join and group",
        "select d.specialty, sum(i.amount) from doctors d join visits v using (did) join invoices i on i.vid = v.vid group by 1",
    ),
    (
        "CTE, window, subquery",
        "with busy as (select did, count(*) n from visits group by did) select d.name, rank() over (order by n desc), (select max(fee) from visits v where v.did = d.did) from busy join doctors d using (did) where n > 3",
    ),
    ("view", "select pid, ward from v_patient_card where pid = 5"),
    ("SQL function", "select patient_mobile(5)"),
    ("update", "update visits set kind = 'x', fee = 3 where vid = 4"),
];

fn by_key(c: &mut Criterion) {
    let sql = "select pid, ward, admitted from patients where ward = 'A1' and admitted > '2024-01-01' limit 50 offs";
    assert_eq!(sql.len(), 100);
    let cluster = common::clinic();
    let catalog = common::snapshot(&cluster, "clinic");
    let facts = analyze(sql.as_bytes(), &catalog, &SessionState::with_search_path(["pg_catalog", "public"]));
    let mut known: HashMap<Vec<u8>, Vec<Facts>> = HashMap::new();
    let mut key = Vec::new();
    cache_key(sql.as_bytes(), &mut key);
    known.insert(key.clone(), facts);
    c.bench_function("fingerprint hit, 100 bytes", |b| {
        b.iter(|| {
            cache_key(black_box(sql.as_bytes()), &mut key);
            black_box(known.get(&key)).is_some()
        });
    });
}

fn cold(c: &mut Criterion) {
    let cluster = common::clinic();
    let catalog = common::snapshot(&cluster, "clinic");
    let session = SessionState::with_search_path(["pg_catalog", "public"]);
    let mut group = c.benchmark_group("cold");
    for (name, sql) in STATEMENTS {
        group.bench_function(name, |b| b.iter(|| analyze(black_box(sql.as_bytes()), &catalog, &session)));
    }
    group.finish();
}

/// All 99 queries one after the other: divide by 99. The median of one is printed.
fn tpcds(c: &mut Criterion) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.work/tpc");
    let Ok(entries) = std::fs::read_dir(&directory) else {
        println!("SKIP: no TPC-DS here (tests/tools/oracle.sh)");
        return;
    };
    let cluster = Cluster::start().expect("a PostgreSQL");
    cluster.create_database("tpc").expect("create database");
    cluster.load_file("tpc", &directory.join("schema.sql")).expect("the schemas");
    let catalog = common::snapshot(&cluster, "tpc");
    let session = SessionState::with_search_path(["pg_catalog", "tpcds"]);
    let queries: Vec<String> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.starts_with("tpcds-") && name.ends_with("a.sql")
        })
        .map(|path| std::fs::read_to_string(path).expect("a query"))
        .collect();
    let mut medians: Vec<u128> = queries
        .iter()
        .map(|sql| {
            let mut times: Vec<u128> = (0..51)
                .map(|_| {
                    let began = std::time::Instant::now();
                    black_box(analyze(sql.as_bytes(), &catalog, &session));
                    began.elapsed().as_nanos()
                })
                .collect();
            times.sort_unstable();
            times[25]
        })
        .collect();
    medians.sort_unstable();
    println!(
        "TPC-DS: {} queries, median {} µs, longest {} µs",
        medians.len(),
        medians[medians.len() / 2] / 1000,
        medians[medians.len() - 1] / 1000
    );
    c.bench_function("TPC-DS, all queries", |b| {
        b.iter(|| queries.iter().map(|sql| analyze(sql.as_bytes(), &catalog, &session).len()).sum::<usize>());
    });
}

/// From the server's answers to a snapshot; the server's own time is not in it.
fn catalog(c: &mut Criterion) {
    let cluster = common::clinic();
    let of_server: Vec<(&str, Rows)> = CATALOG_QUERIES
        .iter()
        .map(|query| (query.name, common::rows(&cluster, "clinic", query.sql).into_iter().collect()))
        .collect();
    let results: Vec<(&str, Rows)> = of_server
        .into_iter()
        .map(|(name, mut rows)| {
            for table in 100_000..105_000 {
                let oid = table.to_string();
                match name {
                    "relations" => {
                        rows.push(
                            [&oid, "public", &format!("table_{table}"), "r", "1000", "10", "false", "false"]
                                .map(Some),
                        );
                    }
                    "columns" => {
                        for at in 1..=20 {
                            let (number, name) = (at.to_string(), format!("column_{at}"));
                            rows.push([&*oid, &number, &name, "false", "25/-1"].map(Some));
                        }
                    }
                    _ => {}
                }
            }
            (name, rows)
        })
        .collect();
    let mut group = c.benchmark_group("catalog");
    group.sample_size(20);
    group.bench_function("5,000 tables of 20 columns", |b| {
        b.iter(|| Catalog::from_rows(&results).expect("a catalog"))
    });
    group.finish();
}

criterion_group!(benches, by_key, cold, tpcds, catalog);
criterion_main!(benches);
