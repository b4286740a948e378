//! What the log gives out for bundles, over sealed and over deleted records.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use stepgate_record::bundle::{FileInfo, Files, Format, Manifest, examine, files};
use stepgate_record::verify::{Anchor, Place, verify_export};
use stepgate_record::{Event, Facet, Filter, LabelledColumn, Record, Statement};
use stepgate_types::{SessionId, SubjectKind, Who};

use super::retention::{old, prune};
use crate::{BundleRequest, ExportRange, Finder, Log, SealError, Search};

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
    // What the gate still keeps need not be asked for. Of others, the checkpoint may lie within a gap: the record after
    // it is dana's.
    assert!(examine(&bundle(&log, of("lee"), true, &[]), Some(&early), &mut io::sink()).is_ok());
    for _ in 0..20 {
        login(&log, "lee");
        log.checkpoint().unwrap();
    }
    let forgotten = examine(&bundle(&log, of("nobody"), true, &[size / 2]), Some(&early), &mut io::sink());
    assert_eq!(forgotten.err().unwrap().place, Place::Uncompared);
    assert!(examine(&bundle(&log, of("nobody"), true, &[size]), Some(&early), &mut io::sink()).is_ok());
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

/// What `audit export --sign` asks the gate to sign.
fn manifest(files: &Memory) -> Manifest {
    let mut derived = Vec::new();
    let examined = examine(files, None, &mut derived).unwrap();
    let info = |bytes: &[u8]| FileInfo::of(&mut &bytes[..]).unwrap();
    let mut infos: BTreeMap<_, _> =
        files.0.iter().map(|(name, bytes)| ((*name).to_owned(), info(bytes))).collect();
    infos.insert(files::COVER.to_owned(), info(examined.cover(true).as_bytes()));
    infos.insert(Format::Csv.file().unwrap().to_owned(), info(&derived));
    examined.manifest(infos, true)
}

#[test]
fn a_manifest_is_signed_once_and_only_of_what_was_given_out() {
    let (_dir, log) = old();
    login(&log, "dana");
    let operator = Some(Who::Name("uid:1000".to_owned()));
    let honest = manifest(&bundle(&log, of("dana"), false, &[]));
    type Change = Box<dyn Fn(&mut Manifest)>;
    let mut lies: Vec<(String, Change)> = vec![
        ("records".to_owned(), Box::new(|manifest| manifest.records += 1)),
        ("filter".to_owned(), Box::new(|manifest| manifest.filter = "{}".to_owned())),
        ("exported".to_owned(), Box::new(|manifest| manifest.exported -= 1)),
        ("root".to_owned(), Box::new(|manifest| manifest.root = "0".repeat(64))),
        ("tree_size".to_owned(), Box::new(|manifest| manifest.tree_size += 1)),
        ("redacted".to_owned(), Box::new(|manifest| manifest.redacted = true)),
        ("derived".to_owned(), Box::new(|manifest| manifest.derived = "cef".to_owned())),
        ("render".to_owned(), Box::new(|manifest| manifest.render += 1)),
        ("log_id".to_owned(), Box::new(|manifest| manifest.log_id = "0".repeat(32))),
        ("origin".to_owned(), Box::new(|manifest| manifest.origin.push('x'))),
    ];
    for name in honest.files.keys() {
        let missing = name.clone();
        lies.push((name.clone(), Box::new(move |manifest| drop(manifest.files.remove(&missing)))));
    }
    for name in
        [files::RECORDS, files::PROOF, files::CHECKPOINT, files::KEYS, files::EXPORTED, files::SUBJECTS]
    {
        lies.push((
            name.to_owned(),
            Box::new(move |manifest| manifest.files.get_mut(name).unwrap().sha256 = "0".repeat(64)),
        ));
    }
    let more = |manifest: &mut Manifest| {
        manifest.files.insert("notes.txt".to_owned(), FileInfo { bytes: 0, sha256: "0".repeat(64) });
    };
    lies.push(("notes.txt".to_owned(), Box::new(more)));
    for (name, lie) in &lies {
        let mut manifest = honest.clone();
        lie(&mut manifest);
        let refused = log.seal_bundle(&manifest, operator.clone());
        assert!(matches!(&refused, Err(SealError::Differs(what)) if what == name), "{name}: {refused:?}");
    }
    let stranger = Manifest { export: "0c".repeat(16), ..honest.clone() };
    assert!(matches!(log.seal_bundle(&stranger, operator.clone()), Err(SealError::Unknown)));
    let sealed = |log: &Log| {
        let sealed = |record: &Record| matches!(record.event, Event::AuditExportSealed(_));
        log.tail(50).unwrap().into_iter().filter(sealed).collect::<Vec<_>>()
    };
    assert!(sealed(&log).is_empty(), "what is refused leaves no seal");
    assert!(log.seal_bundle(&honest, operator.clone()).unwrap().is_some());
    let [record] = &sealed(&log)[..] else { panic!("one seal") };
    let Event::AuditExportSealed(seal) = &record.event else { panic!("{record:?}") };
    assert!(seal.signed && seal.operator.is_some(), "{seal:?}");
    assert!(matches!(log.seal_bundle(&honest, operator), Err(SealError::Unknown)), "a second time");
}

#[test]
fn only_the_newest_exports_wait_for_their_seal() {
    let (_dir, log) = old();
    login(&log, "dana");
    let give = |n: usize| {
        let mut memory = Memory::default();
        let request = BundleRequest {
            id: format!("{n:032x}"),
            filter: of("dana"),
            format: Format::Csv,
            redacted: false,
            meet: std::collections::BTreeSet::new(),
            operator: None,
        };
        let mut out = |name, lines: &[u8]| {
            memory.0.entry(name).or_default().extend_from_slice(lines);
            Ok(())
        };
        log.bundle(request, &mut out).unwrap();
        manifest(&memory)
    };
    let all: Vec<_> = (0..65).map(give).collect();
    assert!(matches!(log.seal_bundle(&all[0], None), Err(SealError::Unknown)));
    assert!(all[1..].iter().all(|manifest| log.seal_bundle(manifest, None).is_ok()));
}

/// A statement of a person over so many tables, labelled columns and rules: their lists are too long for one record.
fn long(person: &str, number: u64, many: usize) -> Event {
    let mut statement = Statement::blank(SessionId::from_bytes([1; 16]), number, person.into());
    let far = "x".repeat(40);
    statement.relations = (0..many).map(|n| format!("public.table_{n:03}_{far}")).collect();
    statement.rules = (0..many).map(|n| format!("rule_{n:03}_{far}")).collect();
    statement.columns = (0..many)
        .map(|n| LabelledColumn {
            column: format!("hr.people.column_{n:03}_{far}"),
            label: format!("label_{n:03}"),
            class: "restricted".to_owned(),
            uses: Vec::new(),
        })
        .collect();
    Event::StatementDecided(Box::new(statement))
}

#[test]
fn what_a_search_finds_is_what_an_export_gives_also_of_statements_that_go_on() {
    let (_dir, log) = old();
    for (number, person) in (1..).zip(["dana", "lee", "dana"]) {
        login(&log, person);
        let many = if number == 3 { 2 } else { 70 };
        log.append_blocking(vec![long(person, number, many), long("omar", number, 1)], vec![]).unwrap();
    }
    let mut all = Vec::new();
    log.replay(log.floor(), &mut |_, record| all.push(record.clone())).unwrap();
    let begin = all[0].seq;
    let record = |seq: u64| &all[usize::try_from(seq - begin).unwrap()];
    let parts = |seq: u64| {
        let behind = all.iter().skip(usize::try_from(seq - begin).unwrap() + 1);
        let is_part = |it: &&Record| matches!(it.event, Event::RecordContinued(_));
        let goes_on = !record(seq).continued.is_empty();
        behind.take_while(is_part).map(|it| it.seq).filter(move |_| goes_on).collect::<Vec<_>>()
    };
    let long_ones = all.iter().filter(|it| parts(it.seq).len() > 2).count();
    assert_eq!(long_ones, 2);
    let finder = Finder::new(&log);
    let far = "x".repeat(40);
    let (table, rule) = (format!("public.table_069_{far}"), format!("rule_069_{far}"));
    let (near, last) = (format!("public.table_000_{far}"), all.last().unwrap().at.micros());
    let all_of_it = format!(
        "{{\"person\":[\"dana\"],\"label\":[\"label_069\"],\"table\":[\"{table}\"],\"rule\":[\"{rule}\"],\"since\":0,\"until\":{last}}}"
    );
    for (text, statements) in [
        ("{\"person\":[\"dana\"]}".to_owned(), 2),
        (format!("{{\"table\":[\"{table}\"]}}"), 2),
        (format!("{{\"person\":[\"dana\"],\"table\":[\"{table}\"]}}"), 1),
        (format!("{{\"person\":[\"dana\",\"omar\"],\"table\":[\"{near}\"]}}"), 5),
        (format!("{{\"person\":[\"omar\"],\"table\":[\"{table}\"]}}"), 0),
        ("{\"label\":[\"label_069\"]}".to_owned(), 2),
        ("{\"person\":[\"lee\"],\"label\":[\"label_069\"]}".to_owned(), 1),
        ("{\"person\":[\"lee\"],\"label\":[\"label_000\"]}".to_owned(), 1),
        (format!("{{\"rule\":[\"{rule}\"]}}"), 2),
        (format!("{{\"person\":[\"dana\"],\"rule\":[\"{rule}\"],\"label\":[\"label_000\"]}}"), 1),
        (format!("{{\"type\":[\"statement.*\"],\"rule\":[\"{rule}\"]}}"), 2),
        ("{\"type\":[\"statement.decided\"]}".to_owned(), 6),
        (all_of_it, 1),
    ] {
        let filter: Filter = serde_json::from_str(&text).unwrap();
        let mut resolved = filter.clone();
        resolved.resolve(&mut |facet, text| {
            let kind = if facet == Facet::Address { SubjectKind::Address } else { SubjectKind::Person };
            log.subjects().commit_of(kind, text).map(|commit| commit.to_string())
        });
        let mut found = Vec::new();
        for scan in [false, true] {
            found.clear();
            let how = Search { reverse: false, scan, end: begin + all.len() as u64 };
            finder
                .search(&resolved, how, &mut |stored| {
                    found.push(stored.seq);
                    true
                })
                .unwrap();
            let decided = |seq: &&u64| matches!(record(**seq).event, Event::StatementDecided(_));
            assert_eq!(found.iter().filter(decided).count(), statements, "{text} {scan}");
        }
        let whole = |seq: &u64| [vec![*seq], parts(*seq)].concat();
        let expected: std::collections::BTreeSet<u64> = found.iter().flat_map(whole).collect();
        let bundle = bundle(&log, filter, false, &[]);
        let given = bundle.lines(files::RECORDS);
        let given: Vec<u64> = given.iter().map(|line| Record::decode(line.as_bytes()).unwrap().seq).collect();
        let given: Vec<u64> = given.into_iter().filter(|seq| *seq < begin + all.len() as u64).collect();
        assert_eq!(given, expected.into_iter().collect::<Vec<_>>(), "{text}");
        let examined = examine(&bundle, None, &mut io::sink()).unwrap();
        assert!(examined.records() >= given.len() as u64);
    }
}

/// A log whose first record that is kept goes on from one that was deleted, if that is so after so many short ones.
fn cut_within(before: u64) -> Option<(tempfile::TempDir, Log)> {
    let dir = tempfile::tempdir().unwrap();
    // Files of so few records that a statement goes on in the next one.
    let log = crate::testing::open_sealing(dir.path(), 32).unwrap();
    (0..before).for_each(|_| login(&log, "lee"));
    let mut number = 0;
    while log.len() < 250 {
        log.append_blocking(vec![long("dana", number, 70)], vec![]).unwrap();
        number += 1;
    }
    crate::testing::wait_for_seals(&log);
    prune(&log, 1);
    let floor = log.floor();
    let first = Record::decode(&log.read(floor, floor + 1).next().unwrap().unwrap().bytes).unwrap();
    matches!(first.event, Event::RecordContinued(_)).then_some((dir, log))
}

#[test]
fn parts_whose_statement_was_deleted_stand_by_themselves() {
    let (_dir, log) = (0..9).find_map(cut_within).unwrap();
    let floor = log.floor();
    let labelled = Filter { label: vec!["label_069".to_owned()], ..Filter::default() };
    for filter in [Filter::default(), of("dana"), labelled] {
        let bundle = bundle(&log, filter, false, &[]);
        assert!(examine(&bundle, None, &mut io::sink()).unwrap().records() > 20, "from {floor}");
    }
}
