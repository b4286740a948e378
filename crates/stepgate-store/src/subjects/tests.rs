//! Personal values: nowhere in plain text, and gone for good once they are erased.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use stepgate_record::{Event, Names as _, Outcome, SessionOpened, commitment};
use stepgate_testkit::FakeEntropy;
use stepgate_types::{Actor, Commit, RequestId, SessionId, SubjectKind, Who};
use zeroize::Zeroizing;

use super::Shredding;
use crate::testing::options;
use crate::tests::damage::copy;
use crate::{Log, LogOptions, NewPerson, OpenError, People, ShredError, Vault, verify_dir};

const NAME: &str = "jane.doe-of-accounts";
const ADDRESS: &str = "2001:db8::4711";
const CLIENT: &str = "Jane Doe 901-00-1234";
const REASON: &str = "her mother asked for it";

fn vault(seed: u64) -> Vault {
    Vault::new(&Zeroizing::new([9; 32]), Arc::new(FakeEntropy::seeded(seed)))
}

fn try_open(dir: &Path, seed: u64) -> Result<Log, OpenError> {
    let options = LogOptions { vault: vault(seed), ..options() };
    Log::open(dir, options).map(|(log, _)| log)
}

fn open(dir: &Path, seed: u64) -> Log {
    try_open(dir, seed).unwrap()
}

fn opened(person: &str) -> Event {
    Event::SessionOpened(Box::new(SessionOpened {
        session: SessionId::from_bytes([1; 16]),
        person: person.into(),
        database: "shop".to_owned(),
        db_user: "analyst".to_owned(),
        address: ADDRESS.into(),
        client: CLIENT.into(),
        tls: true,
        method: None,
        certificate_sha256: None,
        password: None,
        startup: None,
        hello: None,
    }))
}

fn ended(reason: &str) -> Event {
    Event::StepupEnded {
        request: RequestId::from_bytes([1; 5]),
        outcome: Outcome::Denied,
        by: Some(NAME.into()),
        reason_hmac: None,
        reason: Some(reason.into()),
    }
}

/// Every file below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()))
        } else {
            found.push(entry.path())
        }
    }
    found
}

fn holds(dir: &Path, bytes: &[u8]) -> Vec<PathBuf> {
    let has = |path: &PathBuf| fs::read(path).unwrap().windows(bytes.len()).any(|window| window == bytes);
    files(dir).into_iter().filter(has).collect()
}

fn names(log: &Log) -> Vec<String> {
    let mut names = Vec::new();
    log.replay(0, &mut |_, record| {
        record.event.names(&mut |_, who| names.push(log.subjects().shown(who)));
    })
    .unwrap();
    names
}

fn shred(log: &Log, kind: SubjectKind, value: &str) -> Result<Shredding, ShredError> {
    let commit = log.subjects().commit_of(kind, value).ok_or(ShredError::Unknown)?;
    let what = log.naming(commit)?;
    log.shred(&what, false, &Actor::Operator(Some(1000)))?;
    Ok(what)
}

/// A log with one of everything, and somebody else's name.
fn filled(dir: &Path) -> Log {
    let log = open(dir, 1);
    let people = People::open(&log, &vault(2)).unwrap();
    let name = NAME.parse().unwrap();
    let new = NewPerson { name, groups: vec![], service: false, password: "correct horse" };
    people.add_blocking(new, Actor::Operator(Some(1000))).unwrap();
    log.append_blocking(vec![opened(NAME), ended(REASON), opened("omar")], vec![]).unwrap();
    log.note(ended(REASON)).unwrap();
    let login = Event::AdminLogin { person: NAME.into(), address: "192.0.2.99".into() };
    log.append_blocking(vec![login], vec![]).unwrap();
    people.remove_blocking(&NAME.parse().unwrap(), None).unwrap();
    log
}

#[test]
fn no_name_address_client_or_reason_stands_in_any_file() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    log.close().unwrap();
    drop(log);
    for needle in [NAME, ADDRESS, CLIENT, REASON, "192.0.2.99", "omar", "uid:1000"] {
        assert_eq!(holds(dir.path(), needle.as_bytes()), Vec::<PathBuf>::new(), "{needle}");
    }
    // Whoever has the keys reads them, also after a restart.
    let log = open(dir.path(), 3);
    let names = names(&log);
    for needle in [NAME, ADDRESS, CLIENT, REASON, "192.0.2.99", "omar", "uid:1000"] {
        assert!(names.iter().any(|name| name == needle), "{needle} in {names:?}");
    }
}

#[test]
fn one_person_has_one_commitment_and_equal_reasons_have_unlike_ones() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let (mut people, mut reasons) = (Vec::new(), Vec::new());
    log.replay(0, &mut |_, record| {
        record.event.names(&mut |kind, who| match kind {
            SubjectKind::Person if log.subjects().shown(who) == NAME => people.push(who.clone()),
            SubjectKind::Reason => reasons.push(who.clone()),
            _ => {}
        });
    })
    .unwrap();
    assert!(people.len() > 4);
    assert!(people.iter().all(|who| *who == people[0]), "{people:?}");
    assert_eq!(reasons.len(), 2);
    assert_ne!(reasons[0], reasons[1]);
    // Whoever is shown value and key can check it, and no other value fits.
    let commit = *people[0].commit().unwrap();
    let subject = log.subjects().open(&commit).unwrap();
    assert_eq!(commitment(subject.kind, &subject.value, &subject.key), commit);
    assert_ne!(commitment(subject.kind, "omar", &subject.key), commit);
    assert_ne!(commitment(SubjectKind::Client, &subject.value, &subject.key), commit);
}

#[test]
fn the_first_records_of_one_name_at_the_same_time_agree_on_its_commitment() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), 1);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| log.append_blocking(vec![opened(NAME)], vec![]).unwrap());
            scope.spawn(|| log.note(opened(NAME)).unwrap());
        }
    });
    log.close().unwrap();
    drop(log);
    let log = open(dir.path(), 2);
    let mut commits = Vec::new();
    log.replay(0, &mut |_, record| {
        if let Event::SessionOpened(opened) = &record.event {
            commits.push(*opened.person.commit().unwrap());
        }
    })
    .unwrap();
    assert_eq!(commits.len(), 16);
    assert!(commits.iter().all(|commit| *commit == commits[0]));
    assert_eq!(log.subjects().name(&commits[0]).as_deref(), Some(NAME));
}

#[test]
fn after_shredding_neither_the_master_key_nor_any_file_opens_it_and_the_log_verifies() {
    for (kind, value) in
        [(SubjectKind::Person, NAME), (SubjectKind::Address, ADDRESS), (SubjectKind::Client, CLIENT)]
    {
        let dir = tempfile::tempdir().unwrap();
        let log = filled(dir.path());
        let commit = log.subjects().commit_of(kind, value).unwrap();
        let checkpoint = log.checkpoint().unwrap();
        let before = copy(dir.path());
        let old_key = fs::read(dir.path().join("subjects.kek")).unwrap();
        let what = shred(&log, kind, value).unwrap();
        assert!(what.records >= 2);
        assert_eq!(log.subjects().name(&commit), None);
        assert!(matches!(shred(&log, kind, value), Err(ShredError::Unknown)));
        let shown = names(&log);
        assert!(!shown.iter().any(|name| name == value) && shown.contains(&commit.to_string()));
        assert!(shown.iter().any(|name| name == "omar"), "others stay");
        log.close().unwrap();
        drop(log);
        assert!(!dir.path().join("subjects.kek.next").exists());

        // The log is what it was, and a little longer.
        let anchor = checkpoint.parse().unwrap();
        verify_dir(dir.path(), Some(&anchor)).unwrap();
        let log = open(dir.path(), 7);
        assert_eq!((log.subjects().name(&commit), log.subjects().commit_of(kind, value)), (None, None));
        drop(log);

        // Of the old key nothing is left, as it was sealed or otherwise …
        let stored: serde_json::Value = serde_json::from_slice(&old_key).unwrap();
        let sealed = stored["key"].as_str().unwrap();
        assert_eq!(holds(dir.path(), sealed.as_bytes()), Vec::<PathBuf>::new());
        // … and what sled may have kept of the old values (here: all of them) does not open by the new one.
        fs::copy(dir.path().join("subjects.kek"), before.path().join("subjects.kek")).unwrap();
        assert!(matches!(try_open(before.path(), 8), Err(OpenError::Damaged { .. })));
    }
}

#[test]
fn a_reason_can_be_erased_and_the_other_like_it_stays() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let mut reasons = Vec::new();
    log.replay(0, &mut |_, record| {
        if let Event::StepupEnded { reason: Some(Who::Commit(commit)), .. } = &record.event {
            reasons.push(*commit);
        }
    })
    .unwrap();
    let what = log.naming(reasons[0]).unwrap();
    assert_eq!(what.records, 1);
    log.shred(&what, true, &Actor::Operator(None)).unwrap();
    assert_eq!(log.subjects().name(&reasons[0]), None);
    assert_eq!(log.subjects().name(&reasons[1]).as_deref(), Some(REASON));
    let last = log.tail(1).unwrap().remove(0).event;
    assert!(
        matches!(last, Event::SubjectShredded(it) if it.early && it.commit == reasons[0] && it.records == 1)
    );
}

#[test]
fn somebody_of_the_same_name_is_somebody_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let before = log.subjects().commit_of(SubjectKind::Person, NAME).unwrap();
    shred(&log, SubjectKind::Person, NAME).unwrap();
    log.append_blocking(vec![opened(NAME)], vec![]).unwrap();
    let after = log.subjects().commit_of(SubjectKind::Person, NAME).unwrap();
    assert_ne!(before, after);
    assert_eq!(log.subjects().name(&before), None);
    assert_eq!(log.subjects().name(&after).as_deref(), Some(NAME));
}

/// Where an erasure is stopped by `kill -9`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Begun,
    Resealed,
    TakenOut,
    Overwritten,
}

fn stopped(dir: &Path, at: Stop) -> (tempfile::TempDir, Commit) {
    let log = filled(dir);
    let commit = log.subjects().commit_of(SubjectKind::Person, NAME).unwrap();
    let subject = log.subjects().open(&commit).unwrap();
    let what = log.naming(commit).unwrap();
    let inner = log.subjects().0.clone().unwrap();
    inner.begin().unwrap();
    if at != Stop::Begun {
        inner.reseal(&log, Some(&commit)).unwrap();
    }
    if matches!(at, Stop::TakenOut | Stop::Overwritten) {
        inner.take_out(&log, (&what, &subject), false, &Actor::Operator(None), Vec::new()).unwrap();
    }
    // Quiet: nothing is signed while it is copied.
    log.checkpoint().unwrap();
    let copy = copy(dir);
    if at == Stop::Overwritten {
        fs::write(copy.path().join("subjects.kek"), [7; 200]).unwrap();
    }
    (copy, commit)
}

#[test]
fn an_erasure_that_is_killed_at_any_step_has_happened_as_a_whole_or_not_at_all() {
    for at in [Stop::Begun, Stop::Resealed, Stop::TakenOut, Stop::Overwritten] {
        let dir = tempfile::tempdir().unwrap();
        let (copy, commit) = stopped(dir.path(), at);
        let log = open(copy.path(), 5);
        assert!(!copy.path().join("subjects.kek.next").exists(), "{at:?}");
        let gone = matches!(at, Stop::TakenOut | Stop::Overwritten);
        assert_eq!(log.subjects().name(&commit).is_none(), gone, "{at:?}");
        let mut said = false;
        log.replay(0, &mut |_, record| said |= matches!(record.event, Event::SubjectShredded(_))).unwrap();
        assert_eq!(said, gone, "{at:?}: the record says what has happened");
        assert!(names(&log).iter().any(|name| name == "omar"), "{at:?}");
        if !gone {
            shred(&log, SubjectKind::Person, NAME).unwrap();
            assert_eq!(log.subjects().name(&commit), None, "{at:?}");
        }
        log.close().unwrap();
        drop(log);
        verify_dir(copy.path(), None).unwrap();
        assert_eq!(open(copy.path(), 6).subjects().name(&commit), None, "{at:?}");
    }
}

#[test]
fn names_that_come_while_something_is_erased_stay() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let log = log.clone();
            scope.spawn(move || {
                for n in 0..25 {
                    log.append_blocking(vec![opened(&format!("p{thread}-{n}"))], vec![]).unwrap();
                }
            });
        }
        shred(&log, SubjectKind::Person, NAME).unwrap();
        shred(&log, SubjectKind::Client, CLIENT).unwrap();
    });
    log.close().unwrap();
    drop(log);
    let names = names(&open(dir.path(), 5));
    for thread in 0..4 {
        for n in 0..25 {
            let name = format!("p{thread}-{n}");
            assert!(names.contains(&name), "{name}");
        }
    }
}

#[test]
fn a_lost_or_older_key_is_told_and_never_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let log = filled(dir.path());
    let old = fs::read(dir.path().join("subjects.kek")).unwrap();
    shred(&log, SubjectKind::Person, NAME).unwrap();
    log.close().unwrap();
    drop(log);
    let lost = copy(dir.path());
    fs::remove_file(lost.path().join("subjects.kek")).unwrap();
    let error = try_open(lost.path(), 5).map(drop).unwrap_err();
    assert!(error.to_string().contains("subjects.kek"), "{error}");
    assert!(!lost.path().join("subjects.kek").exists());
    let older = copy(dir.path());
    fs::write(older.path().join("subjects.kek"), old).unwrap();
    let error = try_open(older.path(), 5).map(drop).unwrap_err();
    assert!(error.to_string().contains("subjects.kek"), "{error}");
}
