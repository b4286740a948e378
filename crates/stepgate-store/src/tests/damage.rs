//! Damage and forgery: refused at opening, named by verification.

use std::collections::BTreeSet;
use std::fs;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use stepgate_record::verify::{Anchor, Outcome, Place, report};
use stepgate_record::{Event, Fitted, Hash, SessionOpened};
use stepgate_types::SessionId;

use super::log::event;
use crate::beside::Beside;
use crate::frame::Builder;
use crate::open::MAX_COPIED_BYTES;
use crate::scan::{file_header, file_name};
use crate::testing::{open, options};
use crate::{Change, Log, OpenError, Side, verify_dir};

const RECORDS: u64 = 60;

/// A closed log of 62 records.
fn made() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for n in 1..=RECORDS {
        log.append_blocking(vec![event(n)], vec![]).unwrap();
    }
    log.close().unwrap();
    dir
}

pub(crate) fn copy(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for sub in ["", "records", "beside", "checkpoints"] {
        fs::create_dir_all(to.path().join(sub)).unwrap();
        for entry in fs::read_dir(from.join(sub)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                let copied = fs::copy(entry.path(), to.path().join(sub).join(entry.file_name()));
                // What is being made has its name soon after; everything else stays.
                let made = entry.path().extension().is_some_and(|ending| ending == "unfinished");
                assert!(copied.is_ok() || (made && !entry.path().exists()), "{copied:?} {:?}", entry.path());
            }
        }
    }
    to
}

/// The file of the first records, all of them in [`made`].
pub(super) fn first_file(dir: &Path) -> std::path::PathBuf {
    dir.join("records").join(file_name(0))
}

/// Its bytes, without the room behind them.
pub(super) fn written(dir: &Path) -> Vec<u8> {
    let mut bytes = fs::read(first_file(dir)).unwrap();
    bytes.truncate(bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1);
    bytes
}

pub(super) fn refused(dir: &Path) -> String {
    match open(dir) {
        Err(error @ (OpenError::Damaged { .. } | OpenError::WrongKey { .. })) => error.to_string(),
        Err(other) => panic!("another error: {other}"),
        Ok(_) => panic!("opened"),
    }
}

fn place(outcome: &Outcome) -> Place {
    outcome.as_ref().unwrap_err().place
}

#[test]
fn a_sound_directory_verifies_and_is_not_changed_by_it() {
    let dir = made();
    let before = fs::read(first_file(dir.path())).unwrap();
    let outcome = verify_dir(dir.path(), None);
    let report = report(&outcome);
    assert!(report.lines().last().unwrap().starts_with("ok: 62 records, tree size 62, root "), "{report}");
    assert_eq!(fs::read(first_file(dir.path())).unwrap(), before);
    assert!(verify_dir(copy(dir.path()).path(), None).is_ok());
}

#[test]
fn a_flipped_byte_where_a_record_lies_is_refused_and_named() {
    let dir = made();
    let good = written(dir.path());
    for n in [2, 17, 40, 59, 60_u64] {
        let needle = format!("\"statement\":{n},");
        let at = good.windows(needle.len()).position(|window| window == needle.as_bytes()).unwrap();
        let copy = copy(dir.path());
        let mut bad = good.clone();
        bad[at + 12] ^= 1;
        fs::write(first_file(copy.path()), &bad).unwrap();
        assert_eq!(place(&verify_dir(copy.path(), None)), Place::Record(n));
        let why = refused(copy.path());
        assert!(why.contains("record"), "{why}");
        assert_eq!(fs::read(first_file(copy.path())).unwrap(), bad, "the evidence is kept as it was");
    }
}

#[test]
fn the_altered_one_of_records_that_were_written_together_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking((0..20).map(event).collect(), vec![]).unwrap();
    log.append_blocking(vec![event(21)], vec![]).unwrap();
    log.close().unwrap();
    drop(log);
    for n in [3, 11, 19_u64] {
        let copy = copy(dir.path());
        let text = String::from_utf8(written(copy.path())).unwrap();
        // Of the same length.
        let bad = text.replacen(&format!("\"rows\":{n},"), &format!("\"rows\":{},", n ^ 1), 1);
        assert_ne!(bad, text);
        fs::write(first_file(copy.path()), bad).unwrap();
        // One record stands before them.
        assert_eq!(place(&verify_dir(copy.path(), None)), Place::Record(n + 1));
        refused(copy.path());
    }
}

#[test]
fn no_flipped_byte_anywhere_in_the_records_goes_unnoticed_or_panics() {
    let dir = made();
    let good = written(dir.path());
    for at in (0..good.len()).step_by(97) {
        let copy = copy(dir.path());
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        fs::write(first_file(copy.path()), &bad).unwrap();
        let outcome = verify_dir(copy.path(), None);
        assert!(matches!(place(&outcome), Place::Record(_)), "byte {at}: {outcome:?}");
        refused(copy.path());
    }
}

#[test]
fn no_flipped_byte_beside_the_records_loses_an_entry_or_panics() {
    /// So long, at least a good part of each file, and at most all of it.
    const MAY_TAKE: Duration = Duration::from_secs(5);
    let dir = made();
    let log = open(dir.path()).unwrap();
    let put = |n: u8| Change::Put { side: Side::Taints, key: vec![n], value: vec![n; 50] };
    for n in 0..40 {
        log.append_blocking(vec![event(1)], vec![put(n)]).unwrap();
    }
    let all = log.load(Side::Taints).unwrap();
    log.close().unwrap();
    drop(log);
    // Every file that sled made: its log, what it says of itself, and a snapshot of where things are.
    let mut files: Vec<_> =
        fs::read_dir(dir.path().join("beside")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    let names: Vec<_> = files.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    assert!(names.contains(&"db") && names.contains(&"conf"), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("snap.")), "{names:?}");
    let files: Vec<_> = files.iter().map(|path| (path, fs::read(path).unwrap())).collect();
    let db = fs::read(dir.path().join("beside/db")).unwrap();
    // Each round flips other bytes of each file than those before it, and another bit.
    let (began, mut found, mut tried) = (Instant::now(), BTreeSet::new(), 0);
    for round in 0.. {
        for (path, bytes) in &files {
            let name = path.file_name().unwrap();
            let used = bytes.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            for at in (round..used).step_by(used.div_ceil(16)) {
                let copy = copy(dir.path());
                let mut bad = bytes.clone();
                bad[at] ^= 1 << ((at + round) % 8);
                fs::write(copy.path().join("beside").join(name), &bad).unwrap();
                tried += 1;
                match catch_unwind(|| open(copy.path())) {
                    Err(_) => panic!("byte {at} of {name:?}: opening panicked"),
                    // Only where it does not matter.
                    Ok(Ok(log)) => assert_eq!(log.load(Side::Taints).unwrap(), all, "byte {at} of {name:?}"),
                    Ok(Err(error)) => {
                        assert!(matches!(error, OpenError::Damaged { .. }), "byte {at} of {name:?}: {error}");
                        let evidence = fs::read(copy.path().join("db.evidence")).unwrap();
                        let found_then = if *name == *"db" { &bad } else { &db };
                        assert!(evidence == *found_then, "byte {at} of {name:?}: it is no evidence");
                        found.insert((name.to_owned(), at));
                    }
                }
            }
        }
        if began.elapsed() > MAY_TAKE && round > 0 {
            break;
        }
    }
    assert!(tried >= 16 * files.len() && found.len() > 5, "{tried} {found:?}");
}

#[test]
fn of_a_database_too_large_to_be_copied_it_is_said_that_opening_may_have_changed_it() {
    let dir = made();
    let earlier = copy(dir.path());
    let log = open(dir.path()).unwrap();
    let put = Change::Put { side: Side::Desk, key: vec![1], value: vec![1] };
    log.append_blocking(vec![event(1)], vec![put]).unwrap();
    log.close().unwrap();
    drop(log);
    for large in [false, true] {
        let mixed = copy(dir.path());
        fs::remove_dir_all(mixed.path().join("beside")).unwrap();
        fs::rename(copy(earlier.path()).path().join("beside"), mixed.path().join("beside")).unwrap();
        if large {
            // A hole, as a file has that has grown.
            let db = fs::File::options().write(true).open(mixed.path().join("beside/db")).unwrap();
            db.set_len(MAX_COPIED_BYTES + 1).unwrap();
        }
        let why = refused(mixed.path());
        assert_eq!(why.contains("not copied before it was opened"), large, "{why}");
        assert_eq!(mixed.path().join("db.evidence").exists(), !large, "{why}");
    }
}

#[test]
fn what_is_beside_the_log_of_another_time_is_refused() {
    let dir = made();
    let earlier = copy(dir.path());
    let log = open(dir.path()).unwrap();
    let put = Change::Put { side: Side::Desk, key: vec![1], value: vec![1] };
    log.append_blocking(vec![event(1)], vec![put]).unwrap();
    log.close().unwrap();
    drop(log);
    // Older than the log, and younger.
    for (from, to) in [(&earlier, copy(dir.path())), (&dir, copy(earlier.path()))] {
        fs::remove_dir_all(to.path().join("beside")).unwrap();
        fs::rename(copy(from.path()).path().join("beside"), to.path().join("beside")).unwrap();
        let why = refused(to.path());
        assert!(why.contains("beside the log"), "{why}");
    }
}

#[test]
fn records_cut_short_are_refused_and_the_first_missing_one_named() {
    let dir = made();
    let good = written(dir.path());
    for part in [2, 4] {
        let copy = copy(dir.path());
        fs::write(first_file(copy.path()), &good[..good.len() * (part - 1) / part]).unwrap();
        let outcome = verify_dir(copy.path(), None);
        assert!(matches!(place(&outcome), Place::Record(1..62)), "{outcome:?}");
        refused(copy.path());
    }
}

/// Rewrites records as somebody would who knows the format but has no key.
fn forge(dir: &Path, forge: impl FnOnce(&mut Vec<Option<Vec<u8>>>)) {
    let text = String::from_utf8(written(dir)).unwrap();
    let id = text.split(' ').nth(2).unwrap();
    let lines = text.lines().filter(|line| line.starts_with('{'));
    let mut records: Vec<Option<Vec<u8>>> = lines.map(|line| Some(line.as_bytes().to_vec())).collect();
    forge(&mut records);
    let mut forged = file_header(id, 0).into_bytes();
    for (seq, record) in records.into_iter().enumerate() {
        if let Some(record) = record {
            let mut frame = Builder::default();
            frame.begin();
            frame.add_record(&record);
            forged.extend_from_slice(frame.finish(seq as u64, None));
        }
    }
    fs::write(first_file(dir), forged).unwrap();
}

#[test]
fn a_forged_record_is_refused_and_named() {
    let dir = made();
    forge(dir.path(), |records| {
        let record = records[7].as_mut().unwrap();
        let text = String::from_utf8(record.clone()).unwrap().replace("\"rows\":7", "\"rows\":8");
        *record = text.into_bytes();
    });
    assert_eq!(place(&verify_dir(dir.path(), None)), Place::Record(7));
    assert!(refused(dir.path()).contains("altered"));
}

#[test]
fn removed_swapped_and_appended_records_are_refused_and_named() {
    let dir = made();
    let removed = copy(dir.path());
    forge(removed.path(), |records| records[9] = None);
    assert_eq!(place(&verify_dir(removed.path(), None)), Place::Record(9));
    assert!(refused(removed.path()).contains("record 9 is missing"));

    let closed_up = copy(dir.path());
    forge(closed_up.path(), |records| {
        records.remove(9);
    });
    assert_eq!(place(&verify_dir(closed_up.path(), None)), Place::Record(9));
    refused(closed_up.path());

    let swapped = copy(dir.path());
    forge(swapped.path(), |records| records.swap(20, 21));
    assert_eq!(place(&verify_dir(swapped.path(), None)), Place::Record(20));
    refused(swapped.path());

    let last = copy(dir.path());
    forge(last.path(), |records| {
        records.pop();
    });
    assert_eq!(place(&verify_dir(last.path(), None)), Place::Record(61));
    assert!(refused(last.path()).contains("record 61 and those after it are gone"));

    let appended = copy(dir.path());
    forge(appended.path(), |records| {
        let bytes = Fitted::new(&event(1)).unwrap().record(&"0".repeat(32), 62, 0, &Hash::ZERO).unwrap();
        records.push(Some(bytes));
    });
    assert_eq!(place(&verify_dir(appended.path(), None)), Place::Record(62));
    assert!(refused(appended.path()).contains("record 62"));
}

#[test]
fn a_history_linked_anew_does_not_meet_the_signed_roots() {
    let dir = made();
    let id = open(dir.path()).unwrap().id().to_owned();
    forge(dir.path(), |records| {
        let mut prev = Hash::leaf(records[29].as_ref().unwrap());
        for (seq, record) in records.iter_mut().enumerate().skip(30) {
            let bytes = Fitted::new(&event(1000)).unwrap().record(&id, seq as u64, 0, &prev).unwrap();
            prev = Hash::leaf(&bytes);
            *record = Some(bytes);
        }
    });
    let failure = verify_dir(dir.path(), None).unwrap_err();
    assert!(failure.why.contains("were altered"), "{failure}");
    assert!(refused(dir.path()).contains("altered"));
}

#[test]
fn no_flipped_byte_of_a_checkpoint_goes_unnoticed() {
    let dir = made();
    for entry in fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        let name = entry.unwrap().file_name();
        let path = dir.path().join("checkpoints").join(&name);
        let good = fs::read(&path).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(&path, &bad).unwrap();
            assert!(verify_dir(dir.path(), None).is_err(), "byte {at} of {}", name.display());
        }
        fs::write(&path, &good[..good.len() / 2]).unwrap();
        refused(dir.path());
        fs::write(&path, &good).unwrap();
    }
    assert!(verify_dir(dir.path(), None).is_ok());
    assert!(open(dir.path()).is_ok());
}

#[test]
fn missing_files_are_refused_and_nothing_is_made_anew() {
    let records = format!("records/{}", file_name(0));
    for file in ["checkpoints/latest.checkpoint", "log.vkey", "beside/db", "journal", &records, "format.json"]
    {
        let dir = made();
        fs::remove_file(dir.path().join(file)).unwrap();
        assert!(verify_dir(dir.path(), None).is_err(), "{file}");
        let why = refused(dir.path());
        assert!(!dir.path().join(file).exists(), "{file} was made anew: {why}");
    }
}

#[test]
fn no_new_log_is_begun_where_anything_of_one_is_left() {
    // All that says that there are records, and one thing that is left.
    for left in ["log.vkey", "beside", "records", "checkpoints"] {
        let dir = made();
        fs::remove_file(dir.path().join("format.json")).unwrap();
        for gone in
            ["log.vkey", "beside", "records", "checkpoints", "journal"].into_iter().filter(|it| *it != left)
        {
            let path = dir.path().join(gone);
            if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
        }
        if left == "beside" {
            // There is something in it only where something was kept.
            continue;
        }
        assert!(refused(dir.path()).contains("format.json"), "{left}");
    }
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let change = Change::Put { side: Side::Bindings, key: vec![1], value: vec![2] };
    log.append_blocking(vec![event(1)], vec![change]).unwrap();
    drop(log);
    for gone in ["format.json", "log.vkey"] {
        fs::remove_file(dir.path().join(gone)).unwrap();
    }
    for gone in ["records", "checkpoints"] {
        fs::remove_dir_all(dir.path().join(gone)).unwrap();
    }
    assert!(refused(dir.path()).contains("beside/db"));
}

#[test]
fn an_altered_verifier_key_or_format_is_refused() {
    for file in ["log.vkey", "format.json"] {
        let dir = made();
        let good = fs::read(dir.path().join(file)).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            fs::write(dir.path().join(file), &bad).unwrap();
            assert!(verify_dir(dir.path(), None).is_err(), "byte {at} of {file}");
        }
    }
}

#[test]
fn large_values_that_sled_would_not_sync_are_refused() {
    let dir = made();
    fs::create_dir_all(dir.path().join("beside/blobs")).unwrap();
    fs::write(dir.path().join("beside/blobs/1"), b"x").unwrap();
    assert!(refused(dir.path()).contains("blobs"));
    assert!(verify_dir(dir.path(), None).is_err());
}

#[test]
fn many_values_of_the_largest_size_leave_no_blobs() {
    let dir = tempfile::tempdir().unwrap();
    let beside = Beside::open(&dir.path().join("beside")).ok().unwrap();
    // Also where values are written again and again, out of order.
    for n in 0..600_u64 {
        let key = (n * 37 % 120).to_be_bytes().repeat(8);
        let value = vec![b'y'; stepgate_record::MAX_RECORD_BYTES];
        beside.apply(n, [0; 16], &[Change::Put { side: Side::Desk, key, value }]).unwrap();
    }
    drop(beside);
    assert!(!crate::beside::has_blobs(&dir.path().join("beside/blobs")).unwrap());
}

#[test]
fn a_directory_in_use_is_not_copied_but_its_gate_can_verify_it() {
    let dir = made();
    let log = open(dir.path()).unwrap();
    let outcome = verify_dir(dir.path(), None);
    assert_eq!(place(&outcome), Place::Hindered);
    assert!(outcome.unwrap_err().why.contains("in use"));
    assert_eq!(log.verify(None).unwrap().records, 63);
    assert_eq!(log.verify(None).unwrap().records, 64, "the first check was recorded");
}

#[test]
fn an_old_checkpoint_finds_a_directory_rolled_back_as_a_whole() {
    let dir = made();
    let earlier = copy(dir.path());
    let log = open(dir.path()).unwrap();
    let anchor: Anchor = log.checkpoint().unwrap().parse().unwrap();
    drop(log);
    assert!(verify_dir(dir.path(), Some(&anchor)).is_ok());
    assert!(verify_dir(earlier.path(), None).is_ok(), "consistent in itself");
    assert_eq!(place(&verify_dir(earlier.path(), Some(&anchor))), Place::Record(62));
}

#[test]
fn making_a_directory_can_be_interrupted() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = Log::open(dir.path(), options()).unwrap();
    drop(log);
    // As if it had stopped after the first checkpoint: nothing was recorded yet.
    fs::write(first_file(dir.path()), file_header(&"0".repeat(32), 0)).unwrap();
    fs::remove_file(dir.path().join("format.json")).unwrap();
    for entry in fs::read_dir(dir.path().join("checkpoints")).unwrap() {
        let path = entry.unwrap().path();
        if !path.to_str().unwrap().ends_with("00000000000000000000.checkpoint") {
            fs::remove_file(path).unwrap();
        }
    }
    let (log, opened) = Log::open(dir.path(), options()).unwrap();
    assert!(opened.created);
    drop(log);
    assert!(verify_dir(dir.path(), None).is_ok());
}

fn named(person: &str) -> Event {
    Event::SessionOpened(Box::new(SessionOpened {
        session: SessionId::from_bytes([1; 16]),
        person: person.into(),
        database: "shop".to_owned(),
        db_user: "analyst".to_owned(),
        address: "192.0.2.7".into(),
        client: "psql".into(),
        tls: true,
        method: None,
        certificate_sha256: None,
        password: None,
        startup: None,
        hello: None,
    }))
}

#[test]
fn a_file_that_no_gate_opens_without_is_named_by_verification_and_by_the_refusal() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    log.append_blocking(vec![named("dana")], vec![]).unwrap();
    log.close().unwrap();
    drop(log);
    verify_dir(copy(dir.path()).path(), None).unwrap();
    let kek = fs::read_to_string(dir.path().join("subjects.kek")).unwrap();
    let cases: [(&str, Option<String>); 7] = [
        ("journal", None),
        ("subjects.kek", None),
        ("subjects.kek", Some(String::new())),
        ("subjects.kek", Some(kek.chars().take(40).collect())),
        ("subjects.kek", Some(kek.replacen("\"key\":\"", "\"key\":\"00", 1))),
        ("subjects.kek", Some(kek.replacen("\"epoch\":1", "\"epoch\":2", 1))),
        ("subjects.kek", Some("null".to_owned())),
    ];
    for (name, text) in cases {
        let copy = copy(dir.path());
        let path = copy.path().join(name);
        match &text {
            Some(text) => assert!(*text != kek && fs::write(&path, text).is_ok()),
            None => fs::remove_file(&path).unwrap(),
        }
        let said = report(&verify_dir(copy.path(), None));
        assert!(said.starts_with("FAILED: files: ") && said.contains(name), "{text:?}: {said}");
        assert!(said.contains("records themselves are sound"), "{said}");
        let why = refused(copy.path());
        assert!(why.contains(name) && why.contains("backup"), "{why}");
    }
    // The gate's own check names them as well, while it runs.
    for name in ["journal", "subjects.kek"] {
        let copy = copy(dir.path());
        let log = open(copy.path()).unwrap();
        fs::remove_file(copy.path().join(name)).unwrap();
        let said = report(&log.verify(None));
        assert!(said.starts_with("FAILED: files: ") && said.contains(name), "{said}");
    }
}

#[test]
fn a_directory_in_use_cannot_be_verified_and_has_not_failed() {
    let dir = tempfile::tempdir().unwrap();
    let _log = open(dir.path()).unwrap();
    let failure = verify_dir(dir.path(), None).unwrap_err();
    assert!(!failure.is_finding() && !failure.to_string().contains("FAILED"), "{failure}");
}
