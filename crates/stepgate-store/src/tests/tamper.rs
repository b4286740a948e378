//! Tampering with a whole directory, and with exports: whatever somebody does to the files, verification by a checkpoint
//! kept elsewhere fails and names a record no later than the first one altered, or every record is still what it was.
//!
//! `STEPGATE_TAMPER_CASES` says how many cases of each kind; whoever finds one that fails gets its seed.

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use stepgate_record::verify::{Anchor, Failure, Place, verify_export};
use stepgate_record::{Checkpoint, Cosigner, Fitted, Frontier, Hash, NoteSigner, SignedNote};

use super::log::event;
use crate::check::verify_records;
use crate::frame::{Builder, HEADER_BYTES};
use crate::scan::{file_header, file_name};
use crate::testing::{open, open_sealing, vault, wait_for_seals};
use crate::{Change, ExportRange, Side, keys, verify_dir};

/// So many cases, unless the environment says otherwise; a debug build takes about 10 ms for each.
const CASES: u64 = 2000;

/// What has no record in it, and nothing that says what records there are; it has tests of its own.
const OTHERS: [&str; 3] = ["lock", "journal", "subjects.kek"];

/// Every so many of them, the directory is opened, too.
const OPENED: u64 = 16;

fn cases() -> u64 {
    std::env::var("STEPGATE_TAMPER_CASES").map_or(CASES, |cases| cases.parse().unwrap())
}

/// xorshift64.
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end.max(1)).unwrap()).unwrap()
    }
}

type Snapshot = BTreeMap<PathBuf, Vec<u8>>;

/// All files below a directory.
fn snapshot(dir: &Path) -> Snapshot {
    let mut files = Snapshot::new();
    let mut dirs = vec![PathBuf::new()];
    while let Some(sub) = dirs.pop() {
        for entry in fs::read_dir(dir.join(&sub)).unwrap() {
            let (entry, name) = {
                let entry = entry.unwrap();
                let name = sub.join(entry.file_name());
                (entry, name)
            };
            if entry.file_type().unwrap().is_dir() {
                dirs.push(name);
            } else {
                files.insert(name, fs::read(entry.path()).unwrap());
            }
        }
    }
    files
}

/// Makes the directory what `now` says, given that it is what `before` says.
fn write(dir: &Path, before: &Snapshot, now: &Snapshot) {
    for (name, _) in before.iter().filter(|(name, _)| !now.contains_key(*name)) {
        fs::remove_file(dir.join(name)).unwrap();
    }
    for (name, bytes) in now.iter().filter(|(name, bytes)| before.get(*name) != Some(bytes)) {
        fs::create_dir_all(dir.join(name).parent().unwrap()).unwrap();
        fs::write(dir.join(name), bytes).unwrap();
    }
}

/// A directory, and what is known of it.
struct Made {
    /// As it was half-way, and at the end.
    half: Snapshot,
    good: Snapshot,
    records: Vec<Vec<u8>>,
    /// Kept elsewhere: over how many records, and what it says.
    covered: u64,
    anchor: Anchor,
    /// How many records each checkpoint covers that is kept with the log, those among its keys included.
    kept: Vec<u64>,
    log_id: String,
    /// Exports, half-way and at the end.
    exports: [Vec<u8>; 2],
}

fn export(log: &crate::Log) -> Vec<u8> {
    let mut bytes = Vec::new();
    log.export(&mut bytes, ExportRange::default(), None).unwrap();
    bytes
}

/// Some three files of records, of batches of all sizes, with changes beside them and a key that was replaced.
fn made() -> Made {
    let dir = tempfile::tempdir().unwrap();
    let mut chance = Chance::new(7);
    let mut n = 0;
    let mut fill = |log: &crate::Log| {
        while n < 75 {
            let batch = 1 + chance.below(6);
            let put = Change::Put { side: Side::Desk, key: vec![1], value: vec![0] };
            let changes = if chance.below(5) == 0 { vec![put] } else { vec![] };
            log.append_blocking((0..batch as u64).map(|add| event(n + add)).collect(), changes).unwrap();
            n += batch as u64;
        }
        n = 0;
    };
    let log = open(dir.path()).unwrap();
    fill(&log);
    log.checkpoint().unwrap();
    let early = export(&log);
    log.close().unwrap();
    drop(log);
    let half = snapshot(dir.path());
    let log = open(dir.path()).unwrap();
    log.rotate_key().unwrap();
    fill(&log);
    let late = export(&log);
    let note = log.checkpoint().unwrap();
    let covered = note.lines().nth(1).unwrap().parse().unwrap();
    let log_id = log.id().to_owned();
    // Some that no checkpoint kept elsewhere covers.
    log.append_blocking(vec![event(1), event(2)], vec![]).unwrap();
    log.close().unwrap();
    let records = log.read(0, log.len()).map(|stored| stored.unwrap().bytes).collect();
    let mut kept: Vec<u64> = log.keys().handovers().iter().map(|handover| handover.tree().size).collect();
    drop(log);
    let good = snapshot(dir.path());
    for (_, note) in good.iter().filter(|(name, _)| name.starts_with("checkpoints")) {
        kept.push(String::from_utf8_lossy(note).lines().nth(1).unwrap().parse().unwrap());
    }
    Made { half, good, records, covered, anchor: note.parse().unwrap(), kept, log_id, exports: [early, late] }
}

/// The records in files that are sound, without believing anything else that they say.
fn records(files: &Snapshot) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for (_, bytes) in files.iter().filter(|(name, _)| name.starts_with("records") && is_log(name)) {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{"));
        records.extend(lines.map(<[u8]>::to_vec));
    }
    records
}

fn is_log(name: &Path) -> bool {
    name.extension().is_some_and(|extension| extension == "log")
}

/// Files of records, as somebody writes them who knows the format.
fn files_of(made: &Made, records: &[Vec<u8>]) -> Snapshot {
    let mut files = made.good.clone();
    let starts: Vec<u64> = files
        .keys()
        .filter(|name| name.starts_with("records") && is_log(name))
        .map(|name| name.file_stem().unwrap().to_str().unwrap().parse().unwrap())
        .collect();
    files.retain(|name, _| !(name.starts_with("records") && is_log(name)));
    for (at, start) in starts.iter().enumerate() {
        let end = starts.get(at + 1).map_or(records.len(), |end| usize::try_from(*end).unwrap());
        let start = usize::try_from(*start).unwrap();
        let part = records.get(start..end.min(records.len())).unwrap_or_default();
        if part.is_empty() && start > 0 {
            continue;
        }
        let mut bytes = file_header(&made.log_id, start as u64).into_bytes();
        for (seq, record) in (start as u64..).zip(part) {
            let mut frame = Builder::default();
            frame.begin();
            frame.add_record(record);
            bytes.extend_from_slice(frame.finish(seq, None));
        }
        files.insert(Path::new("records").join(file_name(start as u64)), bytes);
    }
    files
}

/// Numbers and links made anew from record `from` on.
fn linked(made: &Made, records: &[Vec<u8>], from: usize) -> Vec<Vec<u8>> {
    let mut linked: Vec<Vec<u8>> = records[..from].to_vec();
    for seq in from..records.len() {
        let prev = linked.last().map_or(Hash::ZERO, |record| Hash::leaf(record));
        let bytes =
            Fitted::new(&event(1000 + seq as u64)).unwrap().record(&made.log_id, seq as u64, 0, &prev);
        linked.push(bytes.unwrap());
    }
    linked
}

/// Every checkpoint in the files signed anew, over the records that are there, by the gate's own keys.
fn signed_anew(made: &Made, files: &mut Snapshot, records: &[Vec<u8>]) {
    let origin = Checkpoint::origin(&made.log_id);
    let signer = |n| -> NoteSigner { keys::signer(&vault(1), &origin, n).unwrap() };
    let took_over = u64::try_from(
        made.records
            .iter()
            .position(|record| String::from_utf8_lossy(record).contains("key.rotated"))
            .unwrap(),
    )
    .unwrap();
    let names: Vec<PathBuf> = files.keys().filter(|name| name.starts_with("checkpoints")).cloned().collect();
    for name in names {
        let text = String::from_utf8(files[&name].clone()).unwrap();
        let size: u64 = text.lines().nth(1).unwrap().parse().unwrap();
        let size = size.min(records.len() as u64);
        let mut frontier = Frontier::default();
        records[..usize::try_from(size).unwrap()].iter().for_each(|record| frontier.push(Hash::leaf(record)));
        let checkpoint = Checkpoint { origin: origin.clone(), size, root: frontier.root().unwrap() };
        let note = checkpoint.sign(&signer(usize::from(size > took_over)));
        files.insert(name, note.to_string().into_bytes());
    }
}

/// What verification must name.
enum Named {
    /// This record, whatever checkpoint is at hand.
    Record(u64),
    /// All of them from this one on, and in words how many before the altered ones a checkpoint of the log's own covers:
    /// where links were made anew, no record tells by itself that it was altered.
    Since { from: u64, good: u64 },
    /// No record later than the first altered.
    NoLater,
}

/// Something is done to the files; what, for whoever reads that it was not found.
fn tampered(made: &Made, chance: &mut Chance) -> (String, Snapshot, Named) {
    let records = made.records.clone();
    let at = chance.below(records.len());
    let other = chance.below(records.len());
    let of = |what: &str, records: Vec<Vec<u8>>| (format!("{what} {at} {other}"), files_of(made, &records));
    let exactly = |what: &str, changed: Vec<Vec<u8>>| {
        let first = (0..=made.records.len()).find(|seq| changed.get(*seq) != made.records.get(*seq));
        let (what, files) = of(what, changed);
        let named = first.map_or(Named::NoLater, |seq| Named::Record(seq as u64));
        (what, files, named)
    };
    match chance.below(20) {
        0 => {
            let mut records = records;
            records.remove(at);
            exactly("removed", records)
        }
        1 => {
            let mut records = records;
            records.swap(at, other);
            exactly("swapped", records)
        }
        2 => {
            let mut records = records;
            records.insert(other, made.records[at].clone());
            exactly("repeated", records)
        }
        3 => {
            // One that follows, which no checkpoint speaks of yet, and one that does not.
            let mut records = records;
            let (next, prev) = (records.len() as u64, Hash::leaf(records.last().unwrap()));
            records.push(Fitted::new(&event(7)).unwrap().record(&made.log_id, next, 0, &prev).unwrap());
            let added = chance.below(2);
            records.extend((0..added).map(|_| made.records[at].clone()));
            let (what, files) = of("appended", records);
            (what, files, if added == 0 { Named::NoLater } else { Named::Record(next + 1) })
        }
        4 => exactly("cut off", records[..at].to_vec()),
        5 => {
            let mut records = records;
            let byte = chance.below(records[at].len());
            records[at][byte] ^= 1 << chance.below(8);
            let (what, files, named) = exactly("a byte of a record, in a sound frame,", records);
            // What follows the last one could tell, and there is nothing.
            (what, files, if at + 1 == made.records.len() { Named::NoLater } else { named })
        }
        6 => {
            let (what, files) = of("linked anew", linked(made, &records, at));
            let good = made.kept.iter().copied().filter(|size| *size <= at as u64).max().unwrap_or(0);
            let from = if at as u64 >= made.covered { made.covered } else { 0 };
            (what, files, Named::Since { from, good })
        }
        7 => {
            let records = linked(made, &records, at);
            let (what, mut files) = of("linked and signed anew", records.clone());
            signed_anew(made, &mut files, &records);
            (what, files, Named::NoLater)
        }
        8 => {
            let records = linked(made, &records, at);
            let (what, mut files) = of("linked and signed anew by the old key alone", records.clone());
            signed_anew(made, &mut files, &records);
            files.remove(Path::new("keys.json"));
            (what, files, Named::NoLater)
        }
        9 => ("rolled back".to_owned(), made.half.clone(), Named::NoLater),
        10 => {
            // A part of it is of before.
            let mut files = made.good.clone();
            let names: Vec<_> =
                made.half.keys().filter(|name| made.good[*name] != made.half[*name]).collect();
            let name = names[chance.below(names.len())];
            files.insert(name.clone(), made.half[name].clone());
            (format!("{} rolled back", name.display()), files, Named::NoLater)
        }
        _ => {
            let (what, files) = bytes_tampered(&made.good, chance);
            (what, files, Named::NoLater)
        }
    }
}

/// Something is done to bytes that whoever does it need not understand.
fn bytes_tampered(good: &Snapshot, chance: &mut Chance) -> (String, Snapshot) {
    let mut files = good.clone();
    // What is beside the log has its own tests, and no record in it.
    let names: Vec<&PathBuf> = good
        .keys()
        .filter(|name| !name.starts_with("beside") && !OTHERS.iter().any(|other| *name == Path::new(other)))
        .collect();
    let logs: Vec<&PathBuf> = names.iter().copied().filter(|name| is_log(name)).collect();
    let pool = if chance.below(3) == 0 { &names } else { &logs };
    let (name, second) = (pool[chance.below(pool.len())].clone(), pool[chance.below(pool.len())].clone());
    let bytes = files.get_mut(&name).unwrap();
    let what = edited(bytes, chance);
    let what = match what {
        Some(what) => what,
        None if chance.below(2) == 0 => {
            let (one, two) = (good[&name].clone(), good[&second].clone());
            files.insert(name.clone(), two);
            files.insert(second, one);
            "swapped with another file".to_owned()
        }
        None => {
            files.remove(&name);
            "removed".to_owned()
        }
    };
    (format!("{}: {what}", name.display()), files)
}

/// Bytes changed, removed, repeated, moved, put in, cut off; `None`: something else is to be done.
fn edited(bytes: &mut Vec<u8>, chance: &mut Chance) -> Option<String> {
    let used = bytes.iter().rposition(|byte| *byte != 0).map_or(1, |last| last + 1);
    let at = chance.below(used);
    let end = at + 1 + chance.below((used - at).min(2 * HEADER_BYTES + 400));
    let end = end.min(bytes.len());
    Some(match chance.below(9) {
        0 | 1 => {
            *bytes.get_mut(at)? ^= 1 << chance.below(8);
            format!("a bit of byte {at}")
        }
        2 => {
            *bytes.get_mut(at)? = u8::try_from(chance.below(256)).unwrap();
            format!("byte {at}")
        }
        3 => {
            bytes.drain(at..end);
            format!("{at}..{end} removed")
        }
        4 => {
            let part = bytes.get(at..end)?.to_vec();
            bytes.splice(at..at, part);
            format!("{at}..{end} repeated")
        }
        5 => {
            bytes.get_mut(at..end)?.fill(0);
            format!("{at}..{end} zeroed")
        }
        6 => {
            bytes.truncate(at);
            format!("cut off at {at}")
        }
        7 => {
            let noise: Vec<u8> =
                (0..1 + chance.below(200)).map(|_| u8::try_from(chance.below(256)).unwrap()).collect();
            bytes.splice(used.min(bytes.len()).., noise);
            "noise at the end".to_owned()
        }
        _ => return None,
    })
}

/// The first record that is not what it was, of those that are covered.
fn first_altered(made: &Made, files: &Snapshot) -> Option<u64> {
    let now = records(files);
    let covered = usize::try_from(made.covered).unwrap();
    (0..covered).find(|seq| now.get(*seq) != Some(&made.records[*seq])).map(|seq| seq as u64)
}

fn judge(made: &Made, dir: &Path, (files, named): (&Snapshot, &Named), opens: bool) {
    let outcome = verify_records(dir, Some(&made.anchor));
    let altered = first_altered(made, files);
    match named {
        Named::Record(seq) => assert_eq!(outcome.as_ref().unwrap_err().place, Place::Record(*seq)),
        Named::Since { from, good } => {
            let Failure { place, why } = outcome.as_ref().unwrap_err();
            assert_eq!(*place, Place::Record(*from), "{why}");
            let said = format!("(the first {good} are those of a checkpoint that is kept with the log)");
            assert_eq!(why.contains(&said), *good > *from, "{good}: {why}");
        }
        Named::NoLater => {}
    }
    match outcome {
        Ok(_) => assert_eq!(altered, None, "record altered, and nobody noticed"),
        Err(failure) => {
            if let (Place::Record(seq), Some(altered)) = (failure.place, altered) {
                assert!(seq <= altered, "record {altered} was altered; {failure}");
            }
        }
    }
    if !opens {
        return;
    }
    // The gate has no checkpoint of elsewhere: whoever has its key, or all of its directory, can deceive it.
    if let Ok(log) = open(dir) {
        assert!(!log.is_empty());
        let failed = log.read(0, log.len()).find_map(Result::err);
        assert_eq!(failed, None);
    }
}

fn tampers(part: u64) {
    let made = made();
    let dir = tempfile::tempdir().unwrap();
    let mut before = Snapshot::new();
    for seed in (part..cases()).step_by(2) {
        let (what, files, named) = tampered(&made, &mut Chance::new(seed));
        write(dir.path(), &before, &files);
        let opens = seed / 2 % OPENED == 0;
        let judged = catch_unwind(AssertUnwindSafe(|| judge(&made, dir.path(), (&files, &named), opens)));
        assert!(judged.is_ok(), "case {seed}: {what}");
        // Opening writes.
        before = if opens { snapshot(dir.path()) } else { files };
    }
    // What was not tampered with verifies: the cases are of something.
    write(dir.path(), &before, &made.good);
    let verified = verify_dir(dir.path(), Some(&made.anchor)).unwrap();
    assert_eq!(verified.records, made.records.len() as u64);
    assert!(open(dir.path()).is_ok());
}

#[test]
fn whatever_is_done_to_a_directory_is_found_or_changes_no_record_one() {
    tampers(0);
}

#[test]
fn whatever_is_done_to_a_directory_is_found_or_changes_no_record_two() {
    tampers(1);
}

/// Two changes of each byte: of one bit that makes another letter, digit or case of it, and of several.
const FLIPS: [u8; 2] = [0x20, 0x11];

/// Changes each byte of each file in which records are, or what tells which there are. Returns in which files that went
/// unnoticed, having changed no record.
fn every_byte(dir: &Path, anchor: &Anchor, original: &[Vec<u8>]) -> BTreeMap<PathBuf, Vec<usize>> {
    let good = snapshot(dir);
    let mut unnoticed: BTreeMap<PathBuf, Vec<usize>> = BTreeMap::new();
    let mut chance = Chance::new(11);
    for (name, bytes) in &good {
        if name.starts_with("beside") || OTHERS.iter().any(|other| name == Path::new(other)) {
            continue;
        }
        let used = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        // In the room behind, where there is any: the first of it, the last, and one between.
        let room = [used + chance.below(bytes.len() - used), bytes.len().saturating_sub(1)];
        for (at, flip) in (0..used + 3).chain(room).flat_map(|at| FLIPS.map(|flip| (at, flip))) {
            let mut bad = bytes.clone();
            let Some(byte) = bad.get_mut(at) else { continue };
            *byte ^= flip;
            fs::write(dir.join(name), &bad).unwrap();
            // What is beside the log takes ten times as long to check, and is looked at where nothing else is found.
            if verify_records(dir, Some(anchor)).is_ok() && verify_dir(dir, Some(anchor)).is_ok() {
                let mut files = good.clone();
                files.insert(name.clone(), bad);
                assert_eq!(records(&files)[..original.len()], *original, "{} byte {at}", name.display());
                unnoticed.entry(name.clone()).or_default().push(at);
            }
        }
        fs::write(dir.join(name), bytes).unwrap();
    }
    assert!(verify_dir(dir, Some(anchor)).is_ok(), "it was of something");
    unnoticed
}

#[test]
fn every_byte_of_a_small_log_matters_or_changes_no_record() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking((0..3).map(event).collect(), vec![]).unwrap();
    log.rotate_key().unwrap();
    let anchor: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let covered = log.len();
    log.close().unwrap();
    let original: Vec<Vec<u8>> = log.read(0, covered).map(|stored| stored.unwrap().bytes).collect();
    drop(log);
    let unnoticed = every_byte(dir.path(), &anchor, &original);
    // What no checkpoint covers, at the end of the records, is all that may go unnoticed.
    assert!(unnoticed.keys().all(|name| is_log(name)), "{unnoticed:?}");
}

#[test]
fn every_byte_of_a_sealed_segment_and_of_what_is_sealed_beside_it_matters() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), 4).unwrap();
    let note: SignedNote = log.checkpoint().unwrap().parse().unwrap();
    let witness = Cosigner::new("one", &[5; 32]).unwrap();
    log.cosign(&witness.cosign(&note, 10), &[witness.key()]).unwrap();
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    log.append_blocking(vec![event(2), event(3)], vec![]).unwrap();
    wait_for_seals(&log);
    let anchor: Anchor = log.checkpoint().unwrap().parse().unwrap();
    let anchor = anchor.with_witnesses(vec![witness.key()]);
    let covered = log.len();
    log.close().unwrap();
    let original: Vec<Vec<u8>> = log.read(0, covered).map(|stored| stored.unwrap().bytes).collect();
    drop(log);
    let there = snapshot(dir.path());
    for ending in ["log", "hashes", "offsets", "checkpoint", "seal"] {
        assert!(
            there.contains_key(&Path::new("records").join(file_name(0)).with_extension(ending)),
            "{ending}"
        );
    }
    let open = there.keys().filter(|name| name.starts_with("records") && is_log(name)).max().unwrap();
    assert!(there.keys().any(|name| name.extension().is_some_and(|ending| ending == "cosigned")));
    let unnoticed = every_byte(dir.path(), &anchor, &original);
    // Nothing of what is sealed goes unnoticed, nor anything but the end of the records that is in no checkpoint.
    assert!(unnoticed.keys().all(|name| name == open), "{unnoticed:?}");
}

#[test]
fn whatever_is_done_to_an_export_is_found() {
    let made = made();
    for seed in 0..cases() {
        let mut chance = Chance::new(seed);
        let good = &made.exports[usize::from(seed % 2 == 0)];
        let mut bytes = good.clone();
        let mut lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        let (at, other) = (chance.below(lines.len()), chance.below(lines.len()));
        let what = match chance.below(8) {
            0 => {
                lines.remove(at);
                bytes = lines.concat();
                format!("line {at} removed")
            }
            1 => {
                lines.swap(at, other);
                bytes = lines.concat();
                format!("lines {at} and {other} swapped")
            }
            2 => {
                let line = lines[at];
                lines.insert(other, line);
                bytes = lines.concat();
                format!("line {at} repeated as {other}")
            }
            3 => {
                let others: Vec<&[u8]> =
                    made.exports[usize::from(seed % 2 != 0)].split_inclusive(|byte| *byte == b'\n').collect();
                lines[at] = others[chance.below(others.len())];
                bytes = lines.concat();
                format!("line {at} is of another export")
            }
            _ => edited(&mut bytes, &mut chance).unwrap_or_default(),
        };
        let anchor = (seed % 3 == 0).then_some(&made.anchor);
        let outcome = verify_export(&mut &bytes[..], anchor);
        if bytes == *good {
            // The early one ends before the checkpoint that is kept elsewhere.
            let early = anchor.is_some() && seed % 2 != 0;
            let place = outcome.err().map(|failure| failure.place);
            assert_eq!(place, early.then_some(Place::Uncompared), "case {seed}: {what}");
            continue;
        }
        let failure = outcome.expect_err(&format!("case {seed}: {what}"));
        let place = failure.place;
        assert!(failure.is_finding(), "case {seed}: {what}: {failure}");
        // What is named is the first line that is not what it was.
        let now: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        let lines: Vec<&[u8]> = good.split_inclusive(|byte| *byte == b'\n').collect();
        let at = (0..).find(|at| now.get(*at) != lines.get(*at)).unwrap();
        let records = lines.len() - 2;
        let as_named = match at {
            // It says what is to come, and so may be found out by any of it.
            0 => true,
            at if at <= records => place == Place::Record(at as u64 - 1),
            at if at == records + 1 => [Place::Checkpoint, Place::Record(records as u64)].contains(&place),
            _ => place == Place::Record(records as u64),
        };
        assert!(as_named, "case {seed}: {what}: line {at}: {failure}");
    }
}
