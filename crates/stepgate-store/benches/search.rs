//! Searching a million records, by the index and without: `cargo bench -p stepgate-store --bench search`.
//!
//! `RECORDS=200000` makes it fewer.

mod common;

use std::time::Instant;

use common::{System, fail, open};
use stepgate_record::{Event, Filter, LabelledColumn, Statement};
use stepgate_store::{Finder, Search};
use stepgate_types::{Action, Certainty, Clock as _, Kind, SessionId, Use};

/// As a gate of 100 people, 4,096 sessions and 40 tables records them; every second one is a completion.
fn event(number: u64) -> Event {
    let dice = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24;
    let [.., a, b] = dice.to_be_bytes();
    let session = SessionId::from_bytes([a, b & 15, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7]);
    if number % 2 == 1 {
        let (sqlstate, rows, bytes, duration_us) = (None, dice % 100, dice % 10_000, dice % 100_000);
        return Event::StatementCompleted {
            session,
            statement: number / 2,
            sqlstate,
            rows,
            bytes,
            duration_us,
            suspended: false,
        };
    }
    let table = format!("public.table_{}", dice % 40);
    // One in 64 reads what is classified; one in 16,384 what hardly anybody reads.
    let label =
        if dice.is_multiple_of(16_384) { Some("ssn") } else { dice.is_multiple_of(64).then_some("email") };
    let column = |label: &str| LabelledColumn {
        column: format!("{table}.{label}"),
        label: label.to_owned(),
        class: "restricted".to_owned(),
        uses: vec![Use::Output],
    };
    let columns: Vec<_> = label.into_iter().map(column).collect();
    let Ok(person) = format!("person-{}", dice % 100).parse::<stepgate_types::PersonName>() else {
        fail(&"no name")
    };
    Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec![table],
        rules: columns.iter().map(|_| "restricted".to_owned()).collect(),
        verdict: if columns.is_empty() { "forward" } else { "hold" }.to_owned(),
        columns,
        estimate: Some(1),
        fingerprint: "f".repeat(64),
        normalised: "SELECT abalance FROM pgbench_accounts WHERE aid = $1".to_owned(),
        parameters: 1,
        action: Action::Allow,
        policy_sha256: "a".repeat(64),
        ..Statement::blank(session, number / 2, person.into())
    }))
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let done = work();
    (done, began.elapsed().as_secs_f64() * 1000.0)
}

fn search(finder: &Finder, filter: &Filter, scan: bool, limit: usize) -> (usize, f64) {
    let how = Search { reverse: false, scan, end: u64::MAX };
    let mut found = 0;
    let (done, took) = timed(|| {
        finder.search(filter, how, &mut |_| {
            found += 1;
            found < limit
        })
    });
    done.unwrap_or_else(|error| fail(&error));
    (found, took)
}

fn main() {
    let records = std::env::var("RECORDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000_u64);
    let dir = tempfile::tempdir().unwrap_or_else(|error| fail(&error));
    let log = open(dir.path(), true);
    let began = System.now();
    let mut number = 0;
    let mut middle = (began, began);
    while number < records {
        let events = (number..records.min(number + 1_000)).map(event).collect();
        log.append_blocking(events, Vec::new()).map(drop).unwrap_or_else(|error| fail(&error));
        number += 1_000;
        if number == records / 2 {
            middle.0 = System.now();
        } else if number == records / 2 + records / 100 {
            middle.1 = System.now();
        }
    }
    let finder = Finder::new(&log);
    let ((), made) = timed(|| {
        // The first search makes what is missing.
        search(&finder, &Filter { person: vec!["nobody".to_owned()], ..Filter::default() }, false, 1);
    });
    println!("{} records; all indexes made in {:.1} s", log.len(), made / 1000.0);
    let bytes: u64 = std::fs::read_dir(dir.path().join("records"))
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "index"))
        .filter_map(|entry| entry.metadata().ok())
        .map(|data| data.len())
        .sum();
    println!("{:.1} bytes of index a record", bytes as f64 / records as f64);
    let text = |text: &str| vec![text.to_owned()];
    let person = Filter { person: text("person-7"), ..Filter::default() };
    let session = match event(1) {
        Event::StatementCompleted { session, .. } => vec![session],
        _ => vec![],
    };
    let filters = [
        ("nobody", Filter { person: text("nobody"), ..Filter::default() }),
        ("person", person.clone()),
        ("person and label", Filter { label: text("email"), ..person.clone() }),
        ("rare label", Filter { label: text("ssn"), ..Filter::default() }),
        (
            "table and outcome",
            Filter { table: text("public.table_3"), outcome: text("hold"), ..Filter::default() },
        ),
        ("session", Filter { session, ..Filter::default() }),
        ("1 % of the time, person", Filter { since: Some(middle.0), until: Some(middle.1), ..person }),
    ];
    println!("{:<26}{:>8}{:>12}{:>12}{:>14}", "", "hits", "first ms", "again ms", "all hits ms");
    for (name, filter) in &filters {
        let (hits, first) = search(&finder, filter, false, 1_000);
        let (_, again) = search(&finder, filter, false, 1_000);
        let (all, every) = search(&finder, filter, false, usize::MAX);
        println!("{name:<26}{hits:>8}{first:>12.1}{again:>12.1}{every:>14.1} ({all})");
    }
    let [_, _, _, (_, rare), ..] = &filters;
    let (hits, took) = search(&finder, rare, true, usize::MAX);
    println!("without the index (rare label): {hits} in {took:.0} ms");
}
