//! Bundles: every alteration is found and named.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of the tests are tests, too")]

use std::collections::BTreeMap;
use std::io::{self, BufRead};

use stepgate_record::bundle::{
    FileInfo, Files, Format, Opening, ProofLine, TarWriter, examine, files, keys_text, note_text, proof_text,
    read_tar, verify_bundle, verify_proof,
};
use stepgate_record::verify::{Anchor, Outcome, Place, report};
use stepgate_record::{
    Checkpoint, Event, Export, Filter, Fitted, Frontier, Hash, NoteSigner, Record, Tree, commitment,
};
use stepgate_types::{SessionId, SubjectKind, Who};

const LOG: &str = "00112233445566778899aabbccddeeff";

#[derive(Clone, Default)]
struct Memory(BTreeMap<String, Vec<u8>>);

impl Files for Memory {
    fn names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn open(&self, name: &str) -> io::Result<Option<Box<dyn BufRead + '_>>> {
        Ok(self.0.get(name).map(|file| Box::new(&file[..]) as Box<dyn BufRead>))
    }
}

fn signer(seed: u8) -> NoteSigner {
    NoteSigner::new(&Checkpoint::origin(LOG), &[seed; 32]).unwrap()
}

fn opening(kind: SubjectKind, value: &str) -> Opening {
    let mut key = [7; 32];
    key.iter_mut().zip(value.bytes()).for_each(|(key, byte)| *key = byte);
    let commit = commitment(kind, value, &key);
    Opening { commit, kind, value: value.to_owned(), key: Hash::from_bytes(key).to_string() }
}

/// Records of sessions of dana (every third) and lee; then one of the export of what `keep` keeps.
struct Gate {
    records: Vec<Vec<u8>>,
    openings: Vec<Opening>,
    seed: u8,
}

impl Gate {
    fn new(n: u64, seed: u8) -> Self {
        let openings = vec![
            opening(SubjectKind::Person, "dana"),
            opening(SubjectKind::Person, "lee"),
            opening(SubjectKind::Address, "192.0.2.7"),
            opening(SubjectKind::Operator, "uid:1000"),
        ];
        let mut gate = Self { records: Vec::new(), openings, seed };
        for seq in 0..n {
            let person = gate.openings[usize::from(seq % 3 != 0)].commit;
            gate.append(&Event::SessionOpened {
                session: SessionId::from_bytes([u8::try_from(seq % 200).unwrap(); 16]),
                person: Who::Commit(person),
                database: "app".to_owned(),
                db_user: "app_rw".to_owned(),
                address: Who::Commit(gate.openings[2].commit),
                client: "psql".into(),
                tls: true,
                method: None,
                certificate_sha256: None,
            });
        }
        gate
    }

    fn append(&mut self, event: &Event) {
        let prev = self.records.last().map_or(Hash::ZERO, |last| Hash::leaf(last));
        let seq = self.records.len() as u64;
        let record = Fitted::new(event).unwrap().record(LOG, seq, 1_000_000 * seq as i64, &prev).unwrap();
        self.records.push(record);
    }

    fn checkpoint(&self, size: usize) -> Checkpoint {
        let mut frontier = Frontier::default();
        self.records[..size].iter().for_each(|record| frontier.push(Hash::leaf(record)));
        Checkpoint { origin: Checkpoint::origin(LOG), size: size as u64, root: frontier.root().unwrap() }
    }

    /// What the gate hands out: all but cover, manifest and what is derived.
    fn export(&mut self, filter: &Filter, format: Format, redacted: bool) -> Memory {
        let kept: Vec<_> = self
            .records
            .iter()
            .enumerate()
            .filter(|(_, record)| filter.matches(&Record::decode(record).unwrap()))
            .map(|(seq, _)| seq)
            .collect();
        let end = self.records.len();
        let operator = Some(Who::Commit(self.openings[3].commit));
        let export = Export {
            id: "ab".repeat(16),
            filter: filter.for_record(),
            format: format.as_str().to_owned(),
            redacted,
        };
        self.append(&Event::AuditExported { records: kept.len() as u64, export: Some(export), operator });
        self.append(&Event::LogStopped {});
        let mut out = Memory::default();
        let (mut proof, mut records, mut gap) = (Vec::new(), Vec::new(), None::<(u64, Frontier)>);
        for (seq, record) in self.records.iter().enumerate() {
            let (at, hash) = (seq as u64, Hash::leaf(record));
            let here = kept.contains(&seq) || seq == end;
            if !here {
                gap.get_or_insert_with(|| (at, Frontier::starting_at(at))).1.push(hash);
                continue;
            }
            proof.extend(gap.take().map(|(begin, over)| ProofLine::gap(begin, &over)));
            if seq == end {
                out.put(files::EXPORTED, &[record, &b"\n"[..]].concat());
                proof.push(ProofLine::exported(at, &hash));
            } else {
                proof.push(ProofLine::record(at, &hash));
                records.extend_from_slice(record);
                records.push(b'\n');
            }
        }
        proof.extend(gap.take().map(|(begin, over)| ProofLine::gap(begin, &over)));
        out.put(files::RECORDS, &records);
        let lines = |lines: Vec<Vec<u8>>| lines.into_iter().flat_map(|line| [line, b"\n".to_vec()].concat());
        out.put(files::PROOF, &lines(proof.iter().map(ProofLine::line).collect()).collect::<Vec<_>>());
        let note = self.checkpoint(self.records.len()).sign(&signer(self.seed));
        out.put(files::CHECKPOINT, note.to_string().as_bytes());
        out.put(files::KEYS, &keys_text(&signer(self.seed).verifier_key().into()));
        if !redacted {
            let text = String::from_utf8(records).unwrap()
                + &String::from_utf8(out.0[files::EXPORTED].clone()).unwrap();
            let mut used = self.openings.clone();
            used.retain(|opening| text.contains(&opening.commit.to_string()));
            used.sort_by_key(|opening| opening.commit);
            out.put(files::SUBJECTS, &lines(used.iter().map(Opening::line).collect()).collect::<Vec<_>>());
        }
        out
    }

    fn bundle(&mut self, filter: &Filter, format: Format, redacted: bool, signed: bool) -> Memory {
        let mut files = self.export(filter, format, redacted);
        pack(&mut files, signed.then(|| signer(self.seed)));
        files
    }
}

/// What `audit export` adds.
fn pack(files: &mut Memory, signer: Option<NoteSigner>) {
    let mut derived = Vec::new();
    let examined = examine(files, None, &mut derived).unwrap();
    if let Some(name) = examined.format().file() {
        files.put(name, &derived);
    }
    files.put(files::COVER, examined.cover(signer.is_some()).as_bytes());
    let infos = files.0.iter().map(|(name, file)| (name.clone(), FileInfo::of(&mut &file[..]).unwrap()));
    let manifest = examined.manifest(infos.collect(), signer.is_some());
    files.put(files::MANIFEST, &manifest.bytes());
    if let Some(signer) = signer {
        let text = note_text(&manifest.origin, &manifest.sha256());
        files.put(files::NOTE, signer.sign(&text).to_string().as_bytes());
    }
}

impl Memory {
    fn put(&mut self, name: &str, bytes: &[u8]) {
        self.0.insert(name.to_owned(), bytes.to_vec());
    }

    fn lines(&self, name: &str) -> Vec<Vec<u8>> {
        self.0[name].split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect()
    }
}

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
        assert_eq!(text.contains("a part of the log: 4 records of 12"), name.contains("some=true"), "{text}");
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
            for at in 0..bytes.len() {
                let mut bad = good.clone();
                bad.0.get_mut(file).unwrap()[at] ^= 1 << (at % 8);
                let outcome = verify(&bad);
                assert!(outcome.is_err(), "{name}: byte {at} of {file}");
                if file == files::RECORDS && bytes[at] != b'\n' {
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

#[test]
fn files_of_two_bundles_cannot_be_mixed() {
    let make = |n: u64, seed| {
        let mut gate = Gate::new(n, seed);
        let filter = of_dana(&gate);
        gate.bundle(&filter, Format::Csv, false, true)
    };
    let (a, others) = (make(10, 7), [make(13, 7), make(10, 8), make(11, 7)]);
    for b in others {
        for file in a.0.keys().filter(|file| a.0[*file] != b.0[*file]) {
            let mut mixed = a.clone();
            mixed.put(file, &b.0[file]);
            let outcome = verify(&mixed);
            assert!(outcome.is_err(), "{file}");
        }
        // All but one of them, too.
        for file in a.0.keys().filter(|file| a.0[*file] != b.0[*file]) {
            let mut mixed = b.clone();
            mixed.put(file, &a.0[file]);
            assert!(verify(&mixed).is_err(), "{file}");
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
        std::mem::swap(&mut hiding[line], &mut gap.clone());
        line += 1;
        assert!(line > 0);
        bad.put(files::PROOF, &hiding.concat());
        let outcome = repacked(bad).unwrap_err();
        assert_eq!(place(&outcome), Place::File(files::RECORDS));
        assert!(report(&outcome).contains("4 records were exported; here are 3"), "{outcome:?}");
    }
}

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
        let change = |change: &dyn Fn(&mut (u64, u64), &mut Vec<String>)| {
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
        let met = [1, 3, 4, 6, 7, 9, 10, 12].contains(&(at + 1));
        assert_eq!(verify_bundle(&some, Some(early)).is_ok(), met, "{}", at + 1);
    }
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

fn tar(files: &Memory) -> Vec<u8> {
    let mut tar = TarWriter::new(Vec::new());
    for (name, file) in &files.0 {
        tar.file(name, file.len() as u64, &mut &file[..]).unwrap();
    }
    tar.finish().unwrap()
}

#[test]
fn an_archive_is_read_as_it_was_written_and_in_no_other_form() {
    let files = Gate::new(3, 7).bundle(&Filter::default(), Format::Csv, false, true);
    let good = tar(&files);
    let entries = read_tar(&mut &good[..], 16).unwrap();
    assert_eq!(entries.len(), files.0.len());
    for entry in &entries {
        let at = usize::try_from(entry.offset).unwrap();
        assert_eq!(good[at..at + usize::try_from(entry.size).unwrap()], files.0[&entry.name]);
    }
    let inside = |at: usize| {
        entries.iter().any(|entry| (entry.offset..entry.offset + entry.size).contains(&(at as u64)))
    };
    for at in (0..good.len()).filter(|at| !inside(*at)) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let read = read_tar(&mut &bad[..], 16);
        // A name may become another one, which then does not belong to the bundle.
        assert!(read.is_err() || read.is_ok_and(|read| read != entries), "byte {at}");
    }
    for end in 0..good.len() {
        assert!(read_tar(&mut &good[..end], 16).is_err(), "cut at {end}");
    }
    assert!(read_tar(&mut &[&good[..], b"\0"].concat()[..], 16).is_err());
    assert!(read_tar(&mut &[&good[..], &good[..]].concat()[..], 16).is_err());
    assert!(read_tar(&mut &good[..], 3).is_err(), "more files than a bundle has");
}

#[test]
fn tricks_with_archives_are_refused() {
    let tricky = |change: &dyn Fn(&mut [u8])| {
        let mut writer = TarWriter::new(Vec::new());
        writer.file("checkpoint", 5, &mut &b"hello"[..]).unwrap();
        let mut bytes = writer.finish().unwrap();
        change(&mut bytes);
        // With a good checksum.
        bytes[148..156].fill(b' ');
        let sum: u32 = bytes[..512].iter().map(|byte| u32::from(*byte)).sum();
        bytes[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        read_tar(&mut &bytes[..], 16)
    };
    assert!(tricky(&|_| ()).is_ok());
    let put = |bytes: &mut [u8], at: usize, what: &[u8]| bytes[at..at + what.len()].copy_from_slice(what);
    for name in
        ["../checkpoint\0", "/checkpoint\0", "a/b\0", ".checkpoint\0", "\x1b[2Jcheckpoint\0", "\0checkpoint"]
    {
        assert!(tricky(&|bytes| put(bytes, 0, name.as_bytes())).is_err(), "{name:?}");
    }
    for kind in [b"1", b"2", b"5", b"x", b"g", b"L", b"\0"] {
        assert!(tricky(&|bytes| put(bytes, 156, kind)).is_err(), "{kind:?}");
    }
    for size in [&b"77777777777"[..], b"\x80\0\0\0\0\0\0\0\0\0\x7f", b"-0000000005", b" 0000000005"] {
        assert!(tricky(&|bytes| put(bytes, 124, size)).is_err(), "{size:?}");
    }
    // Where links lead to, other owners, modes, dates, prefixes.
    for (at, what) in
        [(157, "x"), (108, "0000001"), (100, "0004755"), (136, "00000000001"), (345, "dir"), (265, "root")]
    {
        assert!(tricky(&|bytes| put(bytes, at, what.as_bytes())).is_err(), "{what}");
    }
    let mut twice = TarWriter::new(Vec::new());
    twice.file("a", 1, &mut &b"1"[..]).unwrap();
    twice.file("a", 1, &mut &b"2"[..]).unwrap();
    assert!(read_tar(&mut &twice.finish().unwrap()[..], 16).is_err());
    assert!(TarWriter::new(Vec::new()).file("../a", 1, &mut &b"1"[..]).is_err());
    assert!(TarWriter::new(io::sink()).file("a", 1 << 33, &mut io::repeat(0)).is_err());
}

#[test]
fn one_record_is_proven_by_a_text_that_holds_all_it_takes() {
    let gate = Gate::new(13, 7);
    let mut tree = Tree::new();
    gate.records.iter().for_each(|record| tree.push(Hash::leaf(record)));
    let note = gate.checkpoint(13).sign(&signer(7));
    let key = signer(7).verifier_key();
    let proof = |seq: u64| {
        let path = tree.inclusion_proof(seq, 13).unwrap();
        proof_text(&gate.records[usize::try_from(seq).unwrap()], &key.clone().into(), seq, &path, &note)
    };
    let anchor: Anchor = key.to_string().parse().unwrap();
    for seq in 0..13 {
        assert!(verify_proof(proof(seq).as_bytes(), Some(&anchor)).is_ok(), "{seq}");
    }
    let good = proof(5).into_bytes();
    for at in 0..good.len() {
        for bit in 0..8 {
            let mut bad = good.clone();
            bad[at] ^= 1 << bit;
            assert!(verify_proof(&bad, None).is_err(), "byte {at} bit {bit}");
        }
    }
    let stranger: Anchor = signer(8).verifier_key().to_string().parse().unwrap();
    assert_eq!(place(&verify_proof(&good, Some(&stranger))), Place::Checkpoint);
}
