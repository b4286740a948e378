//! What the log gives out for bundles, over sealed and over deleted records.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use stepgate_record::bundle::{Files, Format, examine, files};
use stepgate_record::verify::{Anchor, verify_export};
use stepgate_record::{Event, Filter, Record};
use stepgate_types::Who;

use super::retention::{old, prune};
use crate::{BundleRequest, ExportRange, Log};

#[derive(Default)]
struct Memory(BTreeMap<&'static str, Vec<u8>>);

impl Files for Memory {
    fn names(&self) -> Vec<String> {
        self.0.keys().map(ToString::to_string).collect()
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>> {
        Ok(self.0.get(name).map(|file| Box::new(&file[..]) as Box<dyn BufRead>))
    }
}

impl Memory {
    fn lines(&self, name: &str) -> Vec<String> {
        String::from_utf8(self.0[name].clone()).unwrap().lines().map(ToOwned::to_owned).collect()
    }
}

fn bundle(log: &Log, filter: Filter, redacted: bool, meet: &[u64]) -> Memory {
    let request = BundleRequest {
        id: "0b".repeat(16),
        filter,
        format: Format::Csv,
        redacted,
        meet: meet.iter().copied().collect(),
        operator: Some(Who::Name("uid:1000".to_owned())),
    };
    let mut memory = Memory::default();
    let mut out = |name, lines: &[u8]| {
        if memory.0.is_empty() {
            // Before the first line leaves, it is on disk that it will.
            let exported = |record: &Record| matches!(record.event, Event::AuditExported { .. });
            assert!(log.tail(3).unwrap().iter().any(exported));
        }
        memory.0.entry(name).or_default().extend_from_slice(lines);
        Ok(())
    };
    log.bundle(request, &mut out).unwrap();
    memory
}

fn login(log: &Log, person: &str) {
    let event = Event::AdminLogin { person: person.into(), address: "192.0.2.7".into() };
    log.append_blocking(vec![event], vec![]).unwrap();
}

fn of(person: &str) -> Filter {
    Filter { person: vec![person.to_owned()], ..Filter::default() }
}

#[test]
fn bundles_of_a_log_of_which_a_part_was_deleted_are_proven_by_what_is_kept() {
    let (_dir, log) = old();
    let early: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let size = early.size().unwrap();
    login(&log, "dana");
    login(&log, "lee");
    login(&log, "dana");
    let before =
        examine(&bundle(&log, Filter::default(), false, &[]), Some(&early), &mut io::sink()).unwrap();
    assert_eq!(before.records(), size + 3);
    prune(&log, 1);
    let floor = log.floor();
    assert!(floor > 0);
    let all = examine(&bundle(&log, Filter::default(), false, &[]), Some(&early), &mut io::sink()).unwrap();
    assert!(all.records() > size - floor && all.records() < log.len());
    for (person, records) in [("dana", 2), ("lee", 1), ("nobody", 0)] {
        for redacted in [false, true] {
            let files = bundle(&log, of(person), redacted, &[size, floor / 2]);
            let some = examine(&files, Some(&early), &mut io::sink()).unwrap();
            assert_eq!(some.records(), records, "{person}");
        }
    }
    // Without being asked for, the checkpoint may lie within a gap: the record after it is dana's.
    assert!(examine(&bundle(&log, of("lee"), true, &[size / 2]), Some(&early), &mut io::sink()).is_err());
    // Lines alone begin at what is left.
    let mut lines = Vec::new();
    let summary = log.export(&mut lines, ExportRange::default(), None).unwrap();
    assert_eq!(summary.first, floor);
    assert!(verify_export(&mut &lines[..], Some(&early)).is_ok());
    assert!(log.prove(0, None).unwrap().is_none());
    assert!(log.prove(floor, None).unwrap().is_some());
}

#[test]
fn who_is_named_is_opened_for_who_may_know_it_and_for_nobody_else() {
    let (_dir, log) = old();
    login(&log, "dana");
    login(&log, "lee");
    let open = bundle(&log, of("dana"), false, &[]);
    let subjects = open.lines(files::SUBJECTS);
    let named = |value: &str| subjects.iter().any(|line| line.contains(&format!("\"value\":\"{value}\"")));
    assert!(named("dana") && named("192.0.2.7") && named("uid:1000"), "{subjects:?}");
    assert!(!named("lee"), "no record here names lee");
    let redacted = bundle(&log, of("dana"), true, &[]);
    assert!(!redacted.0.contains_key(files::SUBJECTS));
    for (name, file) in &redacted.0 {
        let text = String::from_utf8_lossy(file);
        assert!(!["dana", "192.0.2.7", "uid:1000"].iter().any(|word| text.contains(word)), "{name}");
    }
    assert_eq!(open.0[files::RECORDS], redacted.0[files::RECORDS]);
    // The record of an export names whom it is about by commitment, too.
    let exported = &open.lines(files::EXPORTED)[0];
    let commit = log.subjects().commit_of(stepgate_types::SubjectKind::Person, "dana").unwrap();
    assert!(exported.contains(&commit.to_string()), "{exported}");
}
