//! Searching by index finds what scanning does, and nothing that is wrong with an index is believed.

use std::fs;
use std::path::Path;

use stepgate_record::{Event, Facet, Filter};
use stepgate_types::{PersonName, RequestId, SessionId, SubjectKind};

use super::bits::CHUNK;
use super::file::index_path;
use super::{Finder, Search};
use crate::testing::open;
use crate::{Log, verify_dir};

const PEOPLE: [&str; 5] = ["dana", "omar", "kim", "ana", "lee"];

/// A number that looks random and is the same each time.
fn scrambled(number: u64) -> u64 {
    let mut bits = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits ^= bits >> 29;
    bits.wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32
}

fn event(number: u64) -> Event {
    let dice = scrambled(number);
    let person: PersonName = PEOPLE[usize::try_from(dice % 5).unwrap()].parse().unwrap();
    let session = SessionId::from_bytes([u8::try_from(dice >> 3 & 15).unwrap(); 16]);
    let request = RequestId::from_bytes([u8::try_from(dice >> 7 & 31).unwrap(); 5]);
    match dice >> 12 & 3 {
        0 => {
            Event::AdminLogin { person: person.into(), address: format!("10.0.0.{}", dice >> 16 & 7).into() }
        }
        1 => Event::StatementOutcomeUnknown { session, statement: number, rows: None, bytes: None },
        2 => Event::StepupVoted {
            request,
            person: person.into(),
            approve: true,
            canonical_sha256: String::new(),
        },
        _ => Event::StepupJoined { request, session, statement: number },
    }
}

/// Records `count` events, so many at once.
fn record(log: &Log, count: u64, at_once: u64) {
    let mut number = 0;
    while number < count {
        let events = (number..count.min(number + at_once)).map(event).collect();
        log.append_blocking(events, Vec::new()).unwrap();
        number += at_once;
    }
}

fn filter(json: &str) -> Filter {
    serde_json::from_str(json).unwrap()
}

/// With what people and addresses are in the records.
fn resolved(log: &Log, json: &str) -> Filter {
    let mut filter = filter(json);
    filter.resolve(&mut |facet, text| {
        let kind = if facet == Facet::Address { SubjectKind::Address } else { SubjectKind::Person };
        log.subjects().commit_of(kind, text).map(|commit| commit.to_string())
    });
    filter
}

fn found(finder: &Finder, filter: &Filter, how: Search) -> Vec<u64> {
    let mut found = Vec::new();
    finder
        .search(filter, how, &mut |stored| {
            found.push(stored.seq);
            true
        })
        .unwrap();
    found
}

const ALL: Search = Search { reverse: false, scan: false, end: u64::MAX };

/// By index and by scanning, forwards and backwards: the same.
fn compare(finder: &Finder) -> usize {
    let session = "07".repeat(16);
    let mut hits = 0;
    for text in [
        "{}".to_owned(),
        "{\"person\":[\"dana\"]}".to_owned(),
        "{\"person\":[\"dana\",\"kim\"],\"type\":[\"stepup.*\"]}".to_owned(),
        "{\"type\":[\"admin.login\"],\"address\":[\"10.0.0.3\"]}".to_owned(),
        "{\"person\":[\"nobody\"]}".to_owned(),
        format!("{{\"session\":[\"{session}\"],\"type\":[\"stepup.joined\",\"log.started\"]}}"),
        "{\"request\":[\"GR40-R40G\"],\"since\":1000000000,\"until\":90000000000}".to_owned(),
        "{\"since\":1000000,\"until\":2000000}".to_owned(),
        "{\"risk\":1}".to_owned(),
    ] {
        let filter = resolved(&finder.log, &text);
        let scanned = found(finder, &filter, Search { scan: true, ..ALL });
        assert_eq!(found(finder, &filter, ALL), scanned, "{text}");
        let mut backwards = found(finder, &filter, Search { reverse: true, ..ALL });
        backwards.reverse();
        assert_eq!(backwards, scanned, "{text}");
        let mut backwards = found(finder, &filter, Search { reverse: true, scan: true, ..ALL });
        backwards.reverse();
        assert_eq!(backwards, scanned, "{text}");
        let before = Search { end: 1_000, ..ALL };
        assert!(found(finder, &filter, before).iter().eq(scanned.iter().filter(|seq| **seq < 1_000)));
        hits += scanned.len();
    }
    hits
}

#[test]
fn an_index_finds_what_scanning_does() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let finder = Finder::new(&log);
    assert!(compare(&finder) >= 1);
    record(&log, 700, 7);
    assert!(compare(&finder) > 700);
    // What was indexed is gone on with.
    record(&log, 700, 1);
    assert!(compare(&finder) > 1_400);
    // Another one begins anew.
    assert!(compare(&Finder::new(&log)) > 1_400);
}

/// A log of a whole chunk and some.
fn whole_chunk(dir: &Path) -> Log {
    let log = open(dir).unwrap();
    record(&log, CHUNK + 500, 100);
    log
}

#[test]
fn a_whole_chunk_has_a_file_which_may_be_missing_or_broken_and_is_verified() {
    let dir = tempfile::tempdir().unwrap();
    let log = whole_chunk(dir.path());
    let path = index_path(&dir.path().join("records"), 0);
    assert!(!path.exists());
    let finder = Finder::new(&log);
    let hits = compare(&finder);
    let good = fs::read(&path).unwrap();
    assert_eq!(compare(&finder), hits);
    log.verify(None).unwrap();

    let session = "07".repeat(16);
    let wanted = filter(&format!("{{\"session\":[\"{session}\"]}}"));
    let scanned = found(&finder, &wanted, Search { scan: true, ..ALL });
    // Missing, empty, cut short, or with any byte of it changed: made anew, or none of what is read of it.
    fs::remove_file(&path).unwrap();
    assert_eq!(found(&finder, &wanted, ALL), scanned);
    assert!(fs::read(&path).unwrap() == good);
    let step = good.len() / 40;
    for at in (0..good.len()).step_by(step).chain((0..130).step_by(3)) {
        for bad in [good[..at].to_vec(), {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            bad
        }] {
            fs::write(&path, &bad).unwrap();
            if at.is_multiple_of(step * 20) {
                let failure = log.verify(None).unwrap_err();
                assert!(failure.to_string().contains("00000000000000000000.index"), "{failure}");
            }
            assert_eq!(found(&finder, &wanted, ALL), scanned, "byte {at}");
        }
    }
    fs::write(&path, &good).unwrap();
    log.verify(None).unwrap();
}

#[test]
fn a_posting_that_was_removed_with_care_is_named_by_verification() {
    let dir = tempfile::tempdir().unwrap();
    let log = whole_chunk(dir.path());
    let finder = Finder::new(&log);
    finder.search(&Filter::default(), ALL, &mut |_| true).unwrap();
    // What an attacker with the machine would do: an index without one person, every digest of it right.
    let mut chunk = super::chunk::Chunk::new(0);
    finder.fill(&mut chunk, CHUNK, CHUNK).unwrap();
    let dana = log.subjects().commit_of(SubjectKind::Person, "dana").unwrap();
    let of_dana = chunk.terms.remove(format!("p{dana}").as_bytes()).unwrap();
    assert!(of_dana.len() > 100);
    super::keep(&dir.path().join("records"), log.id(), &chunk);
    let dana = resolved(&log, "{\"person\":[\"dana\"]}");
    let scanned = found(&finder, &dana, Search { scan: true, ..ALL });
    assert!(found(&finder, &dana, ALL).len() < scanned.len());
    let failure = log.verify(None).unwrap_err().to_string();
    assert!(failure.contains("00000000000000000000.index"), "{failure}");
    log.close().unwrap();
    drop((log, finder));
    let failure = verify_dir(dir.path(), None).unwrap_err().to_string();
    assert!(failure.contains("00000000000000000000.index"), "{failure}");
    fs::remove_file(index_path(&dir.path().join("records"), 0)).unwrap();
    verify_dir(dir.path(), None).unwrap();
    let log = open(dir.path()).unwrap();
    assert_eq!(found(&Finder::new(&log), &dana, ALL), scanned);
}

#[test]
fn an_index_that_puts_records_in_wrong_places_finds_the_right_ones() {
    let dir = tempfile::tempdir().unwrap();
    let log = whole_chunk(dir.path());
    let finder = Finder::new(&log);
    let mut chunk = super::chunk::Chunk::new(0);
    finder.fill(&mut chunk, CHUNK, CHUNK).unwrap();
    chunk.places.rotate_right(1);
    super::keep(&dir.path().join("records"), log.id(), &chunk);
    let some = resolved(&log, "{\"person\":[\"dana\"],\"until\":2000000000}");
    let scanned = found(&finder, &some, Search { scan: true, ..ALL });
    assert_eq!(found(&finder, &some, ALL), scanned);
    assert!(scanned.len() > 100);
}

#[test]
fn what_is_not_indexed_yet_is_read_and_nobody_waits_for_it_to_be() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let finder = Finder::new(&log);
    record(&log, 300, 50);
    while finder.catch_up(100).unwrap().0 > 0 {}
    assert_eq!(finder.lag(), 0);
    record(&log, 2 * CHUNK, 64);
    let lag = finder.lag();
    assert_eq!(lag, 2 * CHUNK);
    assert!(compare(&finder) > 1_000);
    assert_eq!(finder.lag(), lag, "a search has indexed");
    while finder.catch_up(1_000).unwrap().0 > 0 {}
    assert!(compare(&finder) > 1_000);
}

#[test]
fn where_seals_say_that_no_time_passes_nothing_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let log = crate::testing::open_sealing(dir.path(), 512).unwrap();
    record(&log, 2 * CHUNK + 100, 16);
    crate::testing::wait_for_seals(&log);
    let mut times = Vec::new();
    log.replay(0, &mut |_, record| times.push(record.at.micros())).unwrap();
    let at = |seq: u64| times[usize::try_from(seq).unwrap()];
    let records = dir.path().join("records");
    let finder = Finder::new(&log);
    // From the second chunk on: the first has no index, and gets none.
    let since = filter(&format!("{{\"since\":{}}}", at(CHUNK + 600)));
    let scanned = found(&finder, &since, Search { scan: true, ..ALL });
    assert_eq!(found(&finder, &since, ALL), scanned);
    assert!(scanned.len() > 1_000);
    assert!(!index_path(&records, 0).exists() && index_path(&records, CHUNK).exists());
    // Where a part of a chunk may pass, it is looked through.
    for (since, until) in [(at(511), at(512)), (at(CHUNK - 1), at(CHUNK)), (at(CHUNK), at(CHUNK + 1)), (0, 1)]
    {
        let between = filter(&format!("{{\"since\":{since},\"until\":{}}}", until + 1));
        assert_eq!(found(&finder, &between, ALL), found(&finder, &between, Search { scan: true, ..ALL }));
    }
}
