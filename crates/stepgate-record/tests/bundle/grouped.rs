//! Statements that are too long for one record: they and what they go on in are one, in what is selected as in a row.

use std::io;

use stepgate_record::bundle::{FileInfo, Format, Manifest, examine, files, verify_bundle};
use stepgate_record::render::Style;
use stepgate_record::verify::{Place, report};
use stepgate_record::{Event, Filter, Fitted, Hash, Record, Statement};
use stepgate_types::{SessionId, Who};

use crate::gate::{Gate, LOG, Memory, pack};
use crate::{of_dana, verify};

const TABLES: usize = 120;

fn table(n: usize) -> String {
    format!("public.table_{n:03}_{}", "x".repeat(50))
}

fn rule(n: usize) -> String {
    format!("rule_{n:03}_{}", "x".repeat(30))
}

/// Four sessions; a statement of dana's over many tables with its parts; one session. Returns the numbers of the
/// statement's records.
fn lived() -> (Gate, Vec<usize>) {
    let mut gate = Gate::new(4, 7);
    let dana = Who::Commit(gate.openings[0].commit);
    let mut statement = Statement::blank(SessionId::from_bytes([3; 16]), 1, dana);
    statement.relations = (0..TABLES).map(table).collect();
    statement.rules = (0..TABLES).map(rule).collect();
    let first = gate.records.len();
    for fitted in Fitted::all(&Event::StatementDecided(Box::new(statement))).unwrap() {
        let prev = Hash::leaf(gate.records.last().unwrap());
        let seq = gate.records.len() as u64;
        gate.records.push(fitted.record(LOG, seq, 1_000_000 * seq as i64, &prev).unwrap());
    }
    let group: Vec<_> = (first..gate.records.len()).collect();
    assert!(group.len() > 3, "{group:?}");
    gate.append_session(9);
    (gate, group)
}

fn with_table(filter: Filter, n: usize) -> Filter {
    Filter { table: vec![table(n)], ..filter }
}

fn text(files: &Memory, name: &str) -> String {
    String::from_utf8(files.0[name].clone()).unwrap()
}

#[test]
fn a_statement_is_in_a_bundle_with_what_it_goes_on_in_by_what_they_say_together() {
    for format in Format::ALL {
        for n in [0, TABLES - 1] {
            let (mut gate, group) = lived();
            // The person stands in the first record, and the last table in the last.
            let filter = with_table(of_dana(&gate), n);
            let mut files = gate.export_of(&filter, &group, format, false);
            pack(&mut files, None);
            assert_eq!(verify(&files).unwrap().records, group.len() as u64, "{format:?} {n}");
        }
    }
    // Of another person's, or of a table that none of them names, none is.
    let (mut gate, group) = lived();
    let lee = Filter { person: vec![gate.openings[1].commit.to_string()], ..Filter::default() };
    for filter in [with_table(lee, TABLES - 1), with_table(of_dana(&gate), TABLES)] {
        let files = gate.export_of(&filter, &group, Format::Csv, false);
        let failure = examine(&files, None, &mut io::sink()).err().unwrap();
        assert_eq!(failure.place, Place::Record(group[0] as u64));
        gate = lived().0;
    }
}

#[test]
fn the_row_of_a_statement_says_all_that_it_goes_on_with() {
    for format in [Format::Csv, Format::Ocsf, Format::Cef] {
        let (mut gate, group) = lived();
        let files = gate.bundle(&Filter::default(), format, false, true);
        verify(&files).unwrap();
        let rows = text(&files, format.file().unwrap());
        // A row a record, as ever.
        let head = usize::from(format == Format::Csv);
        assert_eq!(rows.lines().count(), files.lines(files::RECORDS).len() + head);
        let row = rows.lines().nth(group[0] + head).unwrap();
        assert!((0..TABLES).all(|n| row.contains(&rule(n))), "{row}");
        // CEF has no place for tables.
        assert!(format == Format::Cef || (0..TABLES).all(|n| row.contains(&table(n))), "{row}");
        assert!(!row.contains("continued") && !row.contains("shortened"), "{row}");
    }
}

/// As versions before this one took records: each by itself, and a part where the record before it was taken.
fn taken_before(gate: &Gate, filter: &Filter) -> Vec<usize> {
    let (mut taken, mut before) = (Vec::new(), false);
    for (seq, record) in gate.records.iter().enumerate() {
        let record = Record::decode(record).unwrap();
        let continues = matches!(record.event, Event::RecordContinued(_)) && before;
        before = continues || filter.matches(&record);
        if before {
            taken.push(seq);
        }
    }
    taken
}

#[test]
fn a_bundle_from_before_records_went_with_their_parts_still_verifies() {
    let (gate, group) = lived();
    let of_last = with_table(Filter::default(), TABLES - 1);
    let of_middle = with_table(Filter::default(), TABLES * 2 / 3);
    for (filter, orphans) in [(of_dana(&gate), false), (of_last, true), (of_middle, true)] {
        let (mut gate, _) = lived();
        let kept = taken_before(&gate, &filter);
        assert_eq!(!kept.contains(&group[0]) && kept.contains(&group[group.len() - 1]), orphans, "{kept:?}");
        let mut files = gate.export_of(&filter, &kept, Format::Csv, true);
        pack(&mut files, None);
        // Each row was of its own record alone.
        let row = |line: &Vec<u8>| Style::Csv.line(&Record::decode(line.trim_ascii_end()).unwrap(), &());
        let mut csv = format!("{}\r\n", Style::Csv.head().unwrap());
        files.lines(files::RECORDS).iter().for_each(|line| csv.push_str(&format!("{}\r\n", row(line))));
        files.put("records.csv", csv.as_bytes());
        let said = |files: &mut Memory, render: u64| {
            let mut manifest: Manifest = serde_json::from_slice(&files.0[files::MANIFEST]).unwrap();
            let csv = FileInfo::of(&mut &files.0["records.csv"][..]).unwrap();
            manifest.files.insert("records.csv".to_owned(), csv);
            manifest.render = render;
            files.put(files::MANIFEST, &manifest.bytes());
        };
        said(&mut files, 1);
        let text = report(&verify_bundle(&files, None));
        assert!(text.contains("\nok: ") && text.contains("derived files equal"), "{text}");
        // Called one of this version's, it is not what that makes, where a statement goes on.
        said(&mut files, 2);
        assert_eq!(verify(&files).is_ok(), orphans);
    }
}

#[test]
fn that_nothing_matched_is_said_and_proven_in_each_format() {
    for format in Format::ALL {
        for signed in [false, true] {
            let mut gate = Gate::new(10, 7);
            let kim = crate::opening(stepgate_types::SubjectKind::Person, "kim");
            let nobody = Filter { person: vec![kim.commit.to_string()], ..Filter::default() };
            let files = gate.bundle(&nobody, format, false, signed);
            assert_eq!(files.0[files::RECORDS], b"");
            assert_eq!(verify(&files).unwrap().records, 0, "{format:?}");
            let cover = text(&files, files::COVER);
            assert!(cover.contains("NOTHING MATCHED: no record of the log is what was selected, of those with the numbers 0 to 9"), "{cover}");
            // One that was there cannot be taken out to say so.
            let mut bad = gate.export_of(&of_dana(&gate), &[0, 3], format, false);
            bad.put(files::RECORDS, b"");
            assert!(examine(&bad, None, &mut io::sink()).is_err());
        }
    }
}
