//! Bundles: every alteration is found and named.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of the tests are tests, too")]

mod archives;
mod dropped;
mod gate;
mod grouped;
mod single;

use std::io::{self, BufRead};

use gate::{Gate, Memory, opening, pack, signer};
use stepgate_record::bundle::{Files, Format, ProofLine, examine, files, verify_bundle};
use stepgate_record::verify::{Anchor, Outcome, Place, report};
use stepgate_record::{Event, Filter, Fitted, Frontier, Hash, Record};
use stepgate_types::SubjectKind;

use gate::LOG;

fn verify(files: &Memory) -> Outcome {
    verify_bundle(files, None)
}

fn place(outcome: &Outcome) -> Place {
    outcome.as_ref().unwrap_err().place
}

fn of_dana(gate: &Gate) -> Filter {
    Filter { person: vec![gate.openings[0].commit.to_string()], ..Filter::default() }
}

fn each_kind(n: u64) -> impl Iterator<Item = (String, Memory)> {
    Format::ALL.into_iter().flat_map(move |format| {
        [(false, false, false), (true, false, true), (true, true, false)].into_iter().map(
            move |(some, redacted, signed)| {
                let mut gate = Gate::new(n, 7);
                let filter = if some { of_dana(&gate) } else { Filter::default() };
                let name = format!("{} some={some} redacted={redacted} signed={signed}", format.as_str());
                (name, gate.bundle(&filter, format, redacted, signed))
            },
        )
    })
}

#[test]
fn a_bundle_of_each_format_verifies_and_says_what_that_proves() {
    for (name, files) in each_kind(10) {
        let text = report(&verify(&files));
        assert!(text.lines().last().unwrap().starts_with("ok: "), "{name}: {text}");
        assert!(text.contains("derived files equal"), "{text}");
        assert_eq!(text.contains("a part of the log: 4 records of 10"), name.contains("some=true"), "{text}");
    }
}

#[test]
fn a_filter_that_leaves_nothing_out_is_said_to() {
    let mut gate = Gate::new(10, 7);
    let filter = Filter { since: Some(stepgate_types::Timestamp::from_micros(0)), ..Filter::default() };
    let text = report(&verify(&gate.bundle(&filter, Format::Csv, false, true)));
    assert!(text.contains("left nothing out: all 10 records") && !text.contains("the gate's word"), "{text}");
}

#[test]
fn where_a_derived_file_differs_is_said_also_at_its_beginning_and_its_end() {
    for format in [Format::Csv, Format::Parquet] {
        let good = Gate::new(4, 7).bundle(&Filter::default(), format, false, false);
        let name = format.file().unwrap();
        let why = |at: usize| {
            let mut bad = good.clone();
            bad.0.get_mut(name).unwrap()[at] ^= 1;
            verify(&bad).unwrap_err().to_string()
        };
        let (begins, ends) = (why(0), why(good.0[name].len() - 1));
        let said = format!("FAILED: {name}: it is not what the records make (at ");
        assert_eq!(begins, format!("{said}its beginning)"));
        let end = if format == Format::Csv { "record 3)" } else { "its end)" };
        assert_eq!(ends, format!("{said}{end}"));
    }
}

#[test]
fn the_same_log_makes_the_same_bundle() {
    let make = || Gate::new(10, 7).bundle(&Filter::default(), Format::Parquet, false, true);
    assert_eq!(make().0, make().0);
}

#[test]
fn no_changed_byte_anywhere_in_a_bundle_is_accepted() {
    // One bundle of each format; among them are whole and filtered, open and redacted, signed and unsigned ones.
    for (name, good) in
        each_kind(2).enumerate().filter(|(at, _)| at % 4 == 0 || *at == 5).map(|(_, each)| each)
    {
        for (file, bytes) in &good.0 {
            for (at, byte) in bytes.iter().enumerate() {
                let mut bad = good.clone();
                bad.0.get_mut(file).unwrap()[at] ^= 1 << (at % 8);
                let outcome = verify(&bad);
                assert!(outcome.is_err(), "{name}: byte {at} of {file}");
                if file == files::RECORDS && *byte != b'\n' {
                    assert!(matches!(place(&outcome), Place::Record(_)), "{name}: {outcome:?}");
                }
                if Format::ALL.iter().any(|format| format.file() == Some(file)) {
                    assert!(matches!(place(&outcome), Place::File(_)), "{name}: byte {at}: {outcome:?}");
                }
            }
            for end in [0, bytes.len() / 2, bytes.len() - 1] {
                let mut bad = good.clone();
                bad.0.get_mut(file).unwrap().truncate(end);
                assert!(verify(&bad).is_err(), "{name}: {file} cut at {end}");
            }
            let mut bad = good.clone();
            bad.0.get_mut(file).unwrap().push(b'\n');
            assert!(verify(&bad).is_err(), "{name}: {file} with a line more");
            let mut bad = good.clone();
            bad.0.remove(file);
            assert!(verify(&bad).is_err(), "{name}: without {file}");
        }
        let mut bad = good.clone();
        bad.put("notes.txt", b"by the way");
        assert!(verify(&bad).is_err(), "{name}: with another file");
    }
}

#[test]
fn a_changed_record_is_named() {
    let good = Gate::new(10, 7).bundle(&Filter::default(), Format::Jsonl, false, false);
    let lines = good.lines(files::RECORDS);
    for (seq, line) in lines.iter().enumerate() {
        let mut bad = good.clone();
        let start: usize = lines[..seq].iter().map(Vec::len).sum();
        bad.0.get_mut(files::RECORDS).unwrap()[start + line.len() / 2] ^= 1;
        assert_eq!(place(&verify(&bad)), Place::Record(seq as u64));
    }
}

/// What is to be named where `file` of `one` stands among those of `most`: the file, the one that it fits no more, or the
/// record by which they differ.
fn mixed_place(file: &str, most: &Memory, one: &Memory) -> Place {
    let seq = |line: &[u8]| Record::decode(line.strip_suffix(b"\n").unwrap()).unwrap().seq;
    let last = |files: &Memory| seq(files.lines(files::RECORDS).last().unwrap());
    let exported = |files: &Memory| seq(&files.0[files::EXPORTED]);
    let own = [files::NOTE].into_iter().chain(Format::ALL.into_iter().filter_map(Format::file));
    match file {
        // The manifest is of other files.
        files::COVER | files::MANIFEST => Place::File(files::COVER),
        files::KEYS => Place::Checkpoint,
        files::CHECKPOINT if exported(one) == exported(most) => Place::Checkpoint,
        files::CHECKPOINT => Place::File(files::PROOF),
        files::RECORDS if last(one) > last(most) => Place::File(files::RECORDS),
        files::RECORDS => Place::Record(last(most)),
        files::EXPORTED if exported(one) <= last(most) => Place::Record(last(most)),
        files::EXPORTED => Place::Record(exported(most)),
        files::PROOF if last(one) > last(most) => Place::Record(last(one)),
        files::PROOF => Place::Record(exported(one)),
        file => Place::File(own.into_iter().find(|name| *name == file).unwrap()),
    }
}

#[test]
fn files_of_two_bundles_cannot_be_mixed() {
    for (format, signed) in Format::ALL.into_iter().flat_map(|format| [(format, true), (format, false)]) {
        let make = |n: u64, seed| {
            let mut gate = Gate::new(n, seed);
            let filter = of_dana(&gate);
            gate.bundle(&filter, format, false, signed)
        };
        let (a, others) = (make(10, 7), [make(13, 7), make(10, 8), make(11, 7)]);
        for b in others {
            // One file of the other, and all but one.
            for (most, one) in [(&a, &b), (&b, &a)] {
                for file in a.0.keys().filter(|file| a.0[*file] != b.0[*file]) {
                    let mut mixed = most.clone();
                    mixed.put(file, &one.0[file]);
                    let failure = verify(&mixed).unwrap_err();
                    let name = mixed_place(file, most, one);
                    assert_eq!(failure.place, name, "{file} ({format:?}, signed {signed}): {failure}");
                }
            }
        }
    }
}

/// Makes cover, manifest and derived files anew, as somebody would who wants to hide a change.
fn repacked(mut files: Memory) -> Result<Outcome, Outcome> {
    let unsigned = |files: &mut Memory| {
        let derived = [files::COVER, files::MANIFEST, files::NOTE, "records.csv"];
        derived.iter().for_each(|name| drop(files.0.remove(*name)));
    };
    unsigned(&mut files);
    match examine(&files, None, &mut io::sink()) {
        Err(failure) => Err(Err(failure)),
        Ok(_) => {
            pack(&mut files, None);
            Ok(verify(&files))
        }
    }
}

#[test]
fn a_record_dropped_with_its_line_of_the_proof_is_missed() {
    let mut gate = Gate::new(10, 7);
    let filter = of_dana(&gate);
    let good = gate.bundle(&filter, Format::Csv, false, false);
    assert!(repacked(good.clone()).unwrap().is_ok());
    let (records, proof) = (good.lines(files::RECORDS), good.lines(files::PROOF));
    for (number, record) in records.iter().enumerate() {
        let seq = Record::decode(record.strip_suffix(b"\n").unwrap()).unwrap().seq;
        let mut bad = good.clone();
        bad.put(files::RECORDS, &[records[..number].concat(), records[number + 1..].concat()].concat());
        let without: Vec<_> = proof
            .iter()
            .filter(|line| !String::from_utf8_lossy(line).contains(&format!("\"record\":{seq}}}")))
            .cloned()
            .collect();
        assert_eq!(without.len() + 1, proof.len());
        bad.put(files::PROOF, &without.concat());
        assert_eq!(place(&repacked(bad.clone()).unwrap_err()), Place::Record(seq));
        // Its hash among those of the gap is sound, and then the log's own count is not.
        let mut hidden = Frontier::starting_at(seq);
        hidden.push(Hash::leaf(record.strip_suffix(b"\n").unwrap()));
        let gap = [ProofLine::gap(seq, &hidden).line(), b"\n".to_vec()].concat();
        let mut line = proof.iter().position(|line| !without.contains(line)).unwrap();
        let mut hiding = proof.clone();
        hiding[line].clone_from(&gap);
        line += 1;
        assert!(line > 0);
        bad.put(files::PROOF, &hiding.concat());
        let outcome = repacked(bad).unwrap_err();
        assert_eq!(place(&outcome), Place::File(files::RECORDS));
        assert!(report(&outcome).contains("4 records were exported; here are 3"), "{outcome:?}");
    }
}

type Change<'a> = &'a dyn Fn(&mut (u64, u64), &mut Vec<String>);

#[test]
fn gaps_cannot_be_moved_merged_or_changed() {
    let mut gate = Gate::new(23, 7);
    let filter = of_dana(&gate);
    let good = gate.bundle(&filter, Format::Csv, false, false);
    let proof = good.lines(files::PROOF);
    let broken = |lines: Vec<Vec<u8>>, what: &str| {
        let mut bad = good.clone();
        bad.put(files::PROOF, &lines.concat());
        assert!(repacked(bad).is_err(), "{what}");
    };
    for at in 0..proof.len() {
        let mut removed = proof.clone();
        let line = removed.remove(at);
        broken(removed.clone(), &format!("without line {at}"));
        for to in 0..removed.len() {
            let mut moved = removed.clone();
            moved.insert(to, line.clone());
            if moved != proof {
                broken(moved, &format!("line {at} to {to}"));
            }
            let mut doubled = proof.clone();
            doubled.insert(to, line.clone());
            broken(doubled, &format!("line {at} again at {to}"));
        }
    }
    for (at, line) in proof.iter().enumerate() {
        let Some(ProofLine::Gap(gap)) = ProofLine::read(line.strip_suffix(b"\n").unwrap()) else { continue };
        let change = |change: Change<'_>| {
            let mut gap = gap.clone();
            change(&mut gap.gap, &mut gap.hashes);
            let mut lines = proof.clone();
            lines[at] = [ProofLine::Gap(gap).line(), b"\n".to_vec()].concat();
            if lines != proof {
                broken(lines, &format!("line {at}"));
            }
        };
        change(&|_, hashes| hashes.reverse());
        change(&|_, hashes| hashes.truncate(1));
        change(&|_, hashes| hashes.push(hashes[0].clone()));
        change(&|gap, _| gap.0 = gap.0.saturating_sub(1));
        change(&|gap, _| gap.1 += 1);
        change(&|gap, _| gap.1 = u64::MAX);
        change(&|gap, _| *gap = (gap.1, gap.0));
        change(&|gap, hashes| (gap.1, *hashes) = (gap.0, Vec::new()));
    }
}

#[test]
fn a_name_that_was_not_committed_to_is_found() {
    let good = Gate::new(10, 7).bundle(&Filter::default(), Format::Csv, false, false);
    let lines = good.lines(files::SUBJECTS);
    let with = |lines: &[Vec<u8>]| {
        let mut bad = good.clone();
        bad.put(files::SUBJECTS, &lines.concat());
        repacked(bad)
    };
    assert!(with(&lines).unwrap().is_ok());
    for at in 0..lines.len() {
        let mut changed = lines.clone();
        let text = String::from_utf8(changed[at].clone()).unwrap();
        for (from, to) in [
            ("dana", "kim"),
            ("lee", "kim"),
            ("192.0.2.7", "192.0.2.8"),
            ("uid:1000", "uid:0"),
            ("person", "client"),
        ] {
            if text.contains(from) {
                changed[at] = text.replace(from, to).into_bytes();
                assert_eq!(
                    place(&with(&changed).unwrap_err()),
                    Place::File(files::SUBJECTS),
                    "{from} to {to}"
                );
            }
        }
        let mut doubled = lines.clone();
        doubled.insert(at, lines[at].clone());
        assert_eq!(place(&with(&doubled).unwrap_err()), Place::File(files::SUBJECTS));
    }
    let mut more = lines.clone();
    more.push([opening(SubjectKind::Person, "kim").line(), b"\n".to_vec()].concat());
    more.sort_by_key(|line| String::from_utf8_lossy(line).split_once("commit\":\"").unwrap().1.to_owned());
    assert_eq!(place(&with(&more).unwrap_err()), Place::File(files::SUBJECTS), "nobody names kim");
    // One that was erased is only missing.
    let erased = with(&lines[1..]).unwrap();
    assert!(report(&erased).contains("1 erased"), "{erased:?}");
}

#[test]
fn nothing_in_a_redacted_bundle_says_who_it_was() {
    for format in Format::ALL {
        let mut gate = Gate::new(10, 7);
        let filter = of_dana(&gate);
        let files = gate.bundle(&filter, format, true, true);
        for (name, file) in &files.0 {
            let text = String::from_utf8_lossy(file);
            for word in ["dana", "lee", "192.0.2.7", "uid:1000"] {
                assert!(!text.contains(word), "{word} in {name}");
            }
        }
        let mut named = files.clone();
        named.put(files::SUBJECTS, &[gate.openings[0].line(), b"\n".to_vec()].concat());
        assert!(verify(&named).is_err());
    }
}

#[test]
fn records_that_hold_names_are_not_for_redacted_bundles() {
    let mut gate = Gate::new(3, 7);
    let prev = Hash::leaf(gate.records.last().unwrap());
    let event = Event::AdminLogin { person: "dana".into(), address: "192.0.2.7".into() };
    gate.records.push(Fitted::new(&event).unwrap().record(LOG, 3, 3_000_000, &prev).unwrap());
    let files = gate.export(&Filter::default(), Format::Csv, true);
    let failure = examine(&files, None, &mut io::sink()).err().unwrap();
    assert_eq!(failure.place, Place::Record(3));
}

#[test]
fn a_checkpoint_or_the_note_of_another_export_is_no_signature() {
    let mut gate = Gate::new(10, 7);
    let good = gate.bundle(&Filter::default(), Format::Csv, false, true);
    let other = gate.bundle(&Filter::default(), Format::Csv, false, true);
    for note in [&good.0[files::CHECKPOINT], &other.0[files::NOTE]] {
        let mut bad = good.clone();
        bad.put(files::NOTE, note);
        assert_eq!(place(&verify(&bad)), Place::File(files::NOTE));
    }
    let mut bad = good.clone();
    bad.put(files::CHECKPOINT, &good.0[files::NOTE]);
    assert_eq!(place(&verify(&bad)), Place::Checkpoint);
    // And a signature cannot be taken off.
    let mut bad = good.clone();
    bad.0.remove(files::NOTE);
    assert!(verify(&bad).is_err());
}

#[test]
fn a_bundle_is_held_against_what_was_kept_elsewhere() {
    let mut gate = Gate::new(12, 7);
    let filter = of_dana(&gate);
    let anchor = |text: String| text.parse::<Anchor>().unwrap();
    let early: Vec<_> =
        (1..=12).map(|size| anchor(gate.checkpoint(size).sign(&signer(7)).to_string())).collect();
    let all = gate.bundle(&Filter::default(), Format::Jsonl, false, false);
    early.iter().for_each(|early| assert!(verify_bundle(&all, Some(early)).is_ok()));
    let rewritten = Gate::new(13, 7).bundle(&Filter::default(), Format::Jsonl, false, false);
    let another = Gate::new(12, 8).bundle(&Filter::default(), Format::Jsonl, false, false);
    assert!(verify_bundle(&rewritten, Some(&early[11])).is_ok(), "a longer log of the same");
    assert_eq!(place(&verify_bundle(&another, Some(&early[11]))), Place::Checkpoint);
    let key = anchor(signer(7).verifier_key().to_string());
    assert!(verify_bundle(&all, Some(&key)).is_ok());
    assert_eq!(place(&verify_bundle(&another, Some(&key))), Place::Checkpoint);
    // Records of dana are 0, 3, 6, 9: these sizes lie at an edge of a gap, and the others within one.
    let mut gate = Gate::new(12, 7);
    let some = gate.bundle(&filter, Format::Jsonl, false, false);
    for (at, early) in early.iter().enumerate() {
        let outcome = verify_bundle(&some, Some(early));
        if [1, 3, 4, 6, 7, 9, 10, 12].contains(&(at + 1)) {
            assert!(outcome.is_ok(), "{}", at + 1);
        } else {
            assert_eq!(place(&outcome), Place::Uncompared, "{}", at + 1);
        }
        // What is wrong with the bundle itself is told first, whatever it can be compared with.
        let mut bad = some.clone();
        bad.0.get_mut(files::COVER).unwrap()[0] ^= 1;
        assert_eq!(place(&verify_bundle(&bad, Some(early))), Place::File(files::COVER), "{}", at + 1);
    }
    // A checkpoint of later: neither success nor an accusation, and a bundle that was cut off looks the same.
    let mut longer = Gate::new(20, 7);
    longer.append(&Event::LogStopped {});
    let late = anchor(longer.checkpoint(21).sign(&signer(7)).to_string());
    let failure = verify_bundle(&some, Some(&late)).unwrap_err();
    assert_eq!(failure.place, Place::Uncompared);
    assert!(failure.why.contains("covers 21 records, this export 14"), "{failure}");
    assert!(!failure.is_finding() && !failure.to_string().contains("FAILED"), "{failure}");
    // Nor is it one that a key has signed which took over later, as far as can be told; of a time that the bundle covers,
    // it is of another log.
    let stranger = |size: usize| anchor(longer.checkpoint(size).sign(&signer(8)).to_string());
    let failure = verify_bundle(&some, Some(&stranger(21))).unwrap_err();
    assert!(failure.place == Place::Uncompared && failure.why.contains("keys.json"), "{failure}");
    assert_eq!(place(&verify_bundle(&some, Some(&stranger(14)))), Place::Checkpoint);
    // A proof that ends early is no such thing.
    let mut cut = some.clone();
    let proof = cut.lines(files::PROOF);
    cut.put(files::PROOF, &proof[..proof.len() - 1].concat());
    assert!(verify_bundle(&cut, Some(&late)).unwrap_err().is_finding());
    // A history that the same key signed anew.
    let mut forged = Gate::new(0, 7);
    (0..12).for_each(|_| forged.append(&Event::LogStopped {}));
    let forged = forged.bundle(&Filter::default(), Format::Jsonl, false, false);
    assert!(verify(&forged).is_ok(), "consistent in itself");
    assert_eq!(place(&verify_bundle(&forged, Some(&early[5]))), Place::Checkpoint);
}

#[test]
fn an_endless_line_is_not_read() {
    struct Endless(Memory, &'static str);
    impl Files for Endless {
        fn names(&self) -> Vec<String> {
            self.0.names()
        }
        fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>> {
            if name == self.1 {
                return Ok(Some(Box::new(io::BufReader::new(io::repeat(b'7')))));
            }
            self.0.open(name)
        }
    }
    let good = Gate::new(10, 7).bundle(&Filter::default(), Format::Csv, false, true);
    for name in good.0.keys() {
        let name: &'static str = name.clone().leak();
        assert!(verify_bundle(&Endless(good.clone(), name), None).is_err(), "{name}");
    }
}
