//! What is beside the log grows with who uses the gate, not with who attacks it, and shrinks as records go.

use std::collections::HashSet;
use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use stepgate_record::{AuthFailed, Event, Names as _};
use stepgate_types::{Actor, Entropy, SubjectKind};
use zeroize::Zeroizing;

use super::damage::copy;
use super::log::event;
use crate::testing::{open, open_sealing, options, wait_for_seals};
use crate::{Log, LogOptions, Side, Subjects, Vault, verify_dir};

/// An address of a network that nobody else has.
fn address(number: u32) -> String {
    Ipv6Addr::from_bits(0x2001_0db8_0000_0000_0000_0000_0000_0001 | u128::from(number) << 64).to_string()
}

fn failed(number: u32) -> Event {
    Event::SessionAuthFailed(Box::new(AuthFailed::of(None, address(number).into())))
}

fn login(person: &str, number: u32) -> Event {
    Event::AdminLogin { person: person.into(), address: address(number).into() }
}

/// The addresses that records name, as they are shown.
fn addresses(log: &Log) -> Vec<String> {
    let mut found = Vec::new();
    log.replay(log.floor(), &mut |_, record| {
        record.event.names(&mut |kind, who| {
            if kind == SubjectKind::Address {
                found.push(log.subjects().shown(who));
            }
        });
    })
    .unwrap();
    found
}

#[test]
fn failed_logins_from_everywhere_do_not_grow_what_is_beside_the_log_without_bound() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for number in 0..1_000 {
        log.note(failed(number)).unwrap();
    }
    // Those who are known are not counted, nor those that are there already.
    log.append_blocking(vec![login("dana", 2_000), failed(2_000), failed(3)], vec![]).unwrap();
    let entries = log.load(Side::Subjects).unwrap().len();
    assert!(entries < 2 * 250, "{entries}");
    let found = addresses(&log);
    assert_eq!(found.len(), 1_003);
    assert_eq!(found[119], address(119));
    assert_eq!(found[120], "2001:db8:0:78::/64");
    assert_eq!(found[239], "2001:db8:0:ef::/64");
    assert!(found[240..1_000].iter().all(|address| address == "others"));
    assert_eq!(found[1_000..], [address(2_000), address(2_000), address(3)]);
    log.close().unwrap();
    drop(log);
    verify_dir(dir.path(), None).unwrap();
}

#[test]
fn with_the_last_record_that_names_it_a_value_goes_and_people_stay() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), 32).unwrap();
    for number in 0..200 {
        // One comes back again and again.
        log.append_blocking(vec![login("dana", number), login("omar", 500)], vec![]).unwrap();
    }
    wait_for_seals(&log);
    let before: HashSet<String> = addresses(&log).into_iter().collect();
    assert_eq!(before.len(), 201);
    log.retention(Duration::from_secs(1), false, None).unwrap();
    assert!(log.floor() > 100);
    let kept: HashSet<String> = addresses(&log).into_iter().collect();
    assert!(kept.contains(&address(500)) && kept.len() < 150, "{}", kept.len());
    let subjects = log.subjects();
    for address in &before {
        let found = subjects.commit_of(SubjectKind::Address, address);
        assert_eq!(found.is_some(), kept.contains(address), "{address}");
    }
    assert_eq!(log.load(Side::Subjects).unwrap().len(), 2 * (kept.len() + 2));
    for name in ["dana", "omar"] {
        assert!(subjects.commit_of(SubjectKind::Person, name).is_some());
    }
    // Whoever comes back has a new commitment, which opens.
    log.append_blocking(vec![login("dana", 0)], vec![]).unwrap();
    assert_eq!(addresses(&log).last(), Some(&address(0)));
    log.close().unwrap();
    drop(log);
    verify_dir(copy(dir.path()).path(), None).unwrap();
    let log = open(dir.path()).unwrap();
    assert!(addresses(&log).iter().all(|address| address.starts_with("2001:db8:")));
    let mut said = 0;
    log.replay(log.floor(), &mut |_, record| {
        if let Event::SubjectsPruned { subjects } = record.event {
            said += subjects;
        }
    })
    .unwrap();
    assert_eq!(said, 201 - u64::try_from(kept.len()).unwrap());
}

#[test]
fn values_that_are_named_meanwhile_are_not_taken_out() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), 32).unwrap();
    for number in 0..150 {
        log.append_blocking(vec![login("dana", number)], vec![]).unwrap();
    }
    wait_for_seals(&log);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut number = 0;
            while !done.load(Ordering::Acquire) {
                log.append_blocking(vec![login("dana", number % 100)], vec![]).unwrap();
                number += 7;
            }
        });
        log.retention(Duration::from_secs(1), false, None).unwrap();
        done.store(true, Ordering::Release);
    });
    assert!(log.floor() > 0);
    let found = addresses(&log);
    assert!(found.iter().all(|address| address.starts_with("2001:db8:")), "{found:?}");
}

/// Asks for a commitment, from another thread, when the bytes are drawn that a key is written over with.
struct Asking {
    subjects: Mutex<Option<Subjects>>,
    asked: AtomicBool,
}

impl Entropy for Asking {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        getrandom(buffer);
        let subjects = self.subjects.lock().unwrap().clone();
        if let (64, Some(subjects)) = (buffer.len(), subjects) {
            let (answer, answered) = mpsc::channel();
            std::thread::spawn(move || answer.send(subjects.commit_of(SubjectKind::Person, "omar")));
            let answered = answered.recv_timeout(Duration::from_secs(5));
            assert!(answered.expect("recording waits for the disk").is_some());
            self.asked.store(true, Ordering::Release);
        }
        Ok(())
    }
}

fn getrandom(buffer: &mut [u8]) {
    static NEXT: Mutex<u8> = Mutex::new(0);
    let mut next = NEXT.lock().unwrap();
    buffer.fill_with(|| {
        *next = next.wrapping_add(1);
        *next
    });
}

#[test]
fn nobody_who_records_waits_while_a_key_is_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let asking = Arc::new(Asking { subjects: Mutex::default(), asked: AtomicBool::new(false) });
    let vault = Vault::new(&Zeroizing::new([9; 32]), asking.clone());
    let (log, _) = Log::open(dir.path(), LogOptions { vault, ..options() }).unwrap();
    log.append_blocking(vec![login("dana", 1), login("omar", 1), event(1)], vec![]).unwrap();
    *asking.subjects.lock().unwrap() = Some(log.subjects().clone());
    let commit = log.subjects().commit_of(SubjectKind::Person, "dana").unwrap();
    let what = log.naming(commit).unwrap();
    log.shred(&what, false, &Actor::Operator(None)).unwrap();
    assert!(asking.asked.load(Ordering::Acquire));
    *asking.subjects.lock().unwrap() = None;
}

#[test]
fn a_side_tree_is_gone_through_a_part_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    for number in 0..1_300_u32 {
        log.note(login("dana", number)).unwrap();
    }
    log.append_blocking(vec![event(1)], vec![]).unwrap();
    let all = log.load(Side::Subjects).unwrap();
    assert!(all.len() > 2 * crate::beside::AT_ONCE);
    let mut gone_through = Vec::new();
    let each = log.shared().beside.each(Side::Subjects, &mut |key, value| {
        gone_through.push((key.to_vec(), value.to_vec()));
        Ok(())
    });
    each.unwrap();
    assert!(gone_through == all);
    assert!(log.shared().beside.check().is_ok());
}

#[test]
fn reading_a_record_does_not_list_the_directory() {
    let dir = tempfile::tempdir().unwrap();
    let log = open_sealing(dir.path(), 32).unwrap();
    for number in 0..200 {
        log.append_blocking(vec![event(number)], vec![]).unwrap();
    }
    wait_for_seals(&log);
    let listed = || crate::scan::LISTED.with(std::cell::Cell::get);
    let before = listed();
    for seq in 0..200 {
        assert_eq!(log.read(seq, seq + 40).next().unwrap().unwrap().seq, seq);
    }
    assert_eq!(listed(), before);
}
