//! Records that were exported, and are not in the bundle any more: others that came later stand for them, and all of it
//! is laid out anew against a later checkpoint. Hashes and signature are sound; what the export's record says is not met.

use std::io;

use stepgate_record::bundle::{Format, examine, files, verify_bundle};
use stepgate_record::verify::{Anchor, Place, report};
use stepgate_record::{Event, Filter, Record};

use crate::gate::{Gate, Memory, pack, signer};
use crate::{of_dana, place, verify};

fn numbers(files: &Memory) -> Vec<usize> {
    let lines = files.lines(files::RECORDS);
    let seq = |line: &Vec<u8>| Record::decode(line.strip_suffix(b"\n").unwrap()).unwrap().seq;
    lines.iter().map(|line| usize::try_from(seq(line)).unwrap()).collect()
}

/// What was exported, then as much of the log's life as before once more.
fn lived_on(filter: &dyn Fn(&Gate) -> Filter) -> (Gate, Memory, usize) {
    let mut gate = Gate::new(10, 7);
    let filter = filter(&gate);
    let good = gate.bundle(&filter, Format::Jsonl, false, false);
    let exported = 10;
    (0..10).for_each(|seq| gate.append_session(seq));
    (gate, good, exported)
}

/// Refused against the log's key, against the newest checkpoint, and without either.
fn assert_refused(gate: &Gate, kept: &[usize], exported: usize, what: &str) -> Place {
    let mut bad = gate.laid_out(kept, exported, false);
    let newest = gate.checkpoint(gate.records.len()).sign(&signer(7)).to_string();
    let anchors: [Option<Anchor>; 3] =
        [None, newest.parse().ok(), signer(7).verifier_key().to_string().parse().ok()];
    assert!(anchors[1].is_some() && anchors[2].is_some());
    let failed = examine(&bad, None, &mut io::sink()).map(|_| ()).map_err(|failure| failure.place);
    assert!(failed.is_err(), "{what}");
    let place = failed.unwrap_err();
    for anchor in &anchors {
        assert!(examine(&bad, anchor.as_ref(), &mut io::sink()).is_err(), "{what}");
    }
    // Nor with the cover and manifest of the good one.
    let mut good = gate.laid_out(&(0..exported).collect::<Vec<_>>(), exported, false);
    if examine(&good, None, &mut io::sink()).is_ok() {
        pack(&mut good, None);
        for name in [files::COVER, files::MANIFEST] {
            bad.put(name, &good.0[name]);
        }
        assert!(verify_bundle(&bad, None).is_err(), "{what}");
    }
    place
}

#[test]
fn a_record_of_a_full_export_cannot_be_replaced_by_a_later_one() {
    let (gate, good, exported) = lived_on(&|_| Filter::default());
    assert!(verify(&good).is_ok());
    let all = numbers(&good);
    let again = gate.laid_out(&all, exported, false);
    assert!(examine(&again, None, &mut io::sink()).is_ok(), "against a later tree, nothing dropped");
    for victim in &all {
        for later in exported + 1..gate.records.len() {
            let mut kept: Vec<_> = all.iter().copied().filter(|seq| seq != victim).collect();
            kept.push(later);
            let place = assert_refused(&gate, &kept, exported, &format!("{later} for {victim}"));
            assert_eq!(place, Place::Record(later as u64));
        }
    }
}

#[test]
fn a_record_of_a_filtered_export_cannot_be_replaced_by_a_later_one_that_passes() {
    let (gate, good, exported) = lived_on(&of_dana);
    let all = numbers(&good);
    assert_eq!(all, [0, 3, 6, 9]);
    let passes: Vec<_> = (exported + 1..gate.records.len())
        .filter(|seq| of_dana(&gate).matches(&Record::decode(&gate.records[*seq]).unwrap()))
        .collect();
    assert!(passes.len() >= 3, "{passes:?}");
    for victim in &all {
        for later in &passes {
            let mut kept: Vec<_> = all.iter().copied().filter(|seq| seq != victim).collect();
            kept.push(*later);
            assert_refused(&gate, &kept, exported, &format!("{later} for {victim}"));
        }
    }
}

/// What continues a record is taken with it whatever it says: a part of a record that was not selected could stand in.
#[test]
fn a_record_cannot_be_replaced_by_an_earlier_one_either() {
    let mut gate = Gate::new(10, 7);
    let filter = of_dana(&gate);
    // The export's record counts two of the four, as one that left two out would.
    gate.export_of(&filter, &[0, 3], Format::Jsonl, false);
    assert!(examine(&gate.laid_out(&[0, 3], 10, false), None, &mut io::sink()).is_ok());
    for kept in [[0, 6], [3, 6], [6, 9], [0, 9]] {
        let place = assert_refused(&gate, &kept, 10, &format!("{kept:?}"));
        assert_eq!(place, Place::File(files::RECORDS));
    }
}

#[test]
fn a_full_export_without_one_of_its_records_is_none_even_where_the_log_says_so() {
    let mut gate = Gate::new(10, 7);
    let most: Vec<_> = (0..9).collect();
    gate.export_of(&Filter::default(), &most, Format::Jsonl, false);
    let outcome = examine(&gate.laid_out(&most, 10, false), None, &mut io::sink());
    assert_eq!(outcome.map(|_| ()).unwrap_err().place, Place::File(files::RECORDS));
}

#[test]
fn an_export_whose_record_does_not_say_what_it_gave_is_refused() {
    let mut gate = Gate::new(10, 7);
    gate.export(&Filter::default(), Format::Jsonl, false);
    let Event::AuditExported { records, export: Some(export), operator } =
        Record::decode(&gate.records[10]).unwrap().event
    else {
        panic!("no export's record");
    };
    let changes: [&dyn Fn(&mut stepgate_record::Export); 5] = [
        &|export| (export.first, export.end, export.selected) = (None, None, None),
        &|export| export.first = None,
        &|export| export.end = None,
        &|export| export.selected = None,
        // An export of records that come after it.
        &|export| export.end = Some(99),
    ];
    for change in changes {
        let mut gate = Gate::new(10, 7);
        let mut export = export.clone();
        change(&mut export);
        gate.append(&Event::AuditExported { records, export: Some(export), operator: operator.clone() });
        gate.append(&Event::LogStopped {});
        let files = gate.laid_out(&(0..10).collect::<Vec<_>>(), 10, false);
        let failure = examine(&files, None, &mut io::sink()).map(|_| ()).unwrap_err();
        assert_eq!(failure.place, Place::File(files::EXPORTED));
        assert!(failure.why.contains("did not record that"), "{}", failure.why);
    }
}

#[test]
fn only_a_filtered_export_is_called_a_part_of_the_log() {
    let (gate, good, exported) = lived_on(&|_| Filter::default());
    assert!(!report(&verify(&good)).contains("a part of the log"));
    let mut later = gate.laid_out(&numbers(&good), exported, false);
    pack(&mut later, None);
    assert!(!report(&verify(&later)).contains("a part of the log"), "what came later was not to be exported");
    assert_eq!(place(&verify(&Memory::default())), Place::File(files::MANIFEST));
}
