//! Stores of format 1, which had everything in sled.

use std::fs;
use std::path::Path;

use stepgate_record::{Event, Hash};

use super::damage::{copy, refused};
use super::log::event;
use crate::testing::open;
use crate::{Change, Log, Side, verify_dir};

/// A directory as the older stepgate left it: 42 records, entries beside them.
fn old() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path()).unwrap();
    let put = Change::Put { side: Side::Taints, key: vec![1], value: vec![2; 300] };
    for n in 0..40 {
        log.append_blocking(vec![event(n)], vec![put.clone()]).unwrap();
    }
    let put = Change::Put { side: Side::People, key: b"dana".to_vec(), value: vec![3] };
    log.append_blocking(vec![event(40)], vec![put]).unwrap();
    let records = all(&log);
    log.close().unwrap();
    let stopped = log.tail(1).unwrap().remove(0);
    drop(log);
    let db = sled::open(dir.path().join("log")).unwrap();
    for (name, key, value) in [("taints", vec![1], vec![2; 300]), ("people", b"dana".to_vec(), vec![3])] {
        db.open_tree(name).unwrap().insert(key, value).unwrap();
    }
    let tree = db.open_tree("records").unwrap();
    for (seq, record) in records.iter().chain([&stopped.encode().unwrap()]).enumerate() {
        tree.insert((seq as u64).to_be_bytes(), record.as_slice()).unwrap();
    }
    db.flush().unwrap();
    drop((tree, db));
    fs::remove_dir_all(dir.path().join("records")).unwrap();
    fs::remove_dir_all(dir.path().join("beside")).unwrap();
    fs::remove_file(dir.path().join("journal")).unwrap();
    let format = dir.path().join("format.json");
    let text = fs::read_to_string(&format).unwrap().replace("\"version\":2", "\"version\":1");
    fs::write(format, text).unwrap();
    dir
}

fn all(log: &Log) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    log.replay(0, &mut |_, record| records.push(record.encode().unwrap())).unwrap();
    records
}

fn old_copy(dir: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    for sub in ["", "log", "checkpoints"] {
        fs::create_dir_all(to.path().join(sub)).unwrap();
        for entry in fs::read_dir(dir.join(sub)).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), to.path().join(sub).join(entry.file_name())).unwrap();
            }
        }
    }
    to
}

#[test]
fn an_older_store_is_migrated_after_a_backup_and_goes_on() {
    let dir = old();
    let kept = old_copy(dir.path());
    assert!(verify_dir(dir.path(), None).unwrap_err().why.contains("older stepgate"));
    let log = open(dir.path()).unwrap();
    assert_eq!(log.load(Side::Taints).unwrap(), [(vec![1], vec![2; 300])]);
    assert_eq!(log.load_one(Side::People, b"dana").unwrap(), Some(vec![3]));
    let records = all(&log);
    assert_eq!(records.len(), 44);
    let put = Change::Put { side: Side::Taints, key: vec![1], value: vec![4] };
    log.append_blocking(vec![event(1)], vec![put]).unwrap();
    log.close().unwrap();
    drop(log);
    assert_eq!(verify_dir(dir.path(), None).unwrap().records, 46);
    assert!(!dir.path().join("log").exists());
    // What was there is kept as it was.
    for file in ["log/db", "log/conf", "format.json", "log.vkey", "checkpoints/latest.checkpoint"] {
        let (was, is) = (kept.path().join(file), dir.path().join("backup-format-1").join(file));
        assert_eq!(fs::read(was).unwrap(), fs::read(is).unwrap(), "{file}");
    }
    // And can be opened once more.
    let again = open(&dir.path().join("backup-format-1")).unwrap();
    assert_eq!(all(&again)[..43], records[..43]);
    let log = open(dir.path()).unwrap();
    assert_eq!(log.load(Side::Taints).unwrap(), [(vec![1], vec![4])]);
}

#[test]
fn a_migration_that_was_stopped_anywhere_is_begun_anew() {
    let dir = old();
    let done = old_copy(dir.path());
    drop(open(done.path()).unwrap());
    // Everything but the word that it is done: half of the backup, some of the files.
    for has in 0..4 {
        let copy = old_copy(dir.path());
        if has > 0 {
            fs::create_dir_all(copy.path().join("backup-format-1.unfinished/log")).unwrap();
            fs::write(copy.path().join("backup-format-1.unfinished/log/db"), b"half").unwrap();
        }
        if has > 1 {
            fs::create_dir_all(copy.path().join("records")).unwrap();
            fs::write(copy.path().join("records/00000000000000000000.log"), b"stepgate-records").unwrap();
        }
        if has > 2 {
            fs::create_dir_all(copy.path().join("beside")).unwrap();
            fs::write(copy.path().join("beside/db"), b"").unwrap();
        }
        let log = open(copy.path()).unwrap();
        assert_eq!(all(&log).len(), 44, "{has}");
    }
    // Nothing but that the old database is still there.
    let copy = copy(done.path());
    fs::create_dir_all(copy.path().join("log")).unwrap();
    fs::copy(dir.path().join("log/db"), copy.path().join("log/db")).unwrap();
    fs::create_dir_all(copy.path().join("backup-format-1")).unwrap();
    let log = open(copy.path()).unwrap();
    assert_eq!(all(&log).len(), 45);
    assert!(!copy.path().join("log").exists());
}

#[test]
fn an_older_store_that_is_not_what_its_checkpoints_say_is_refused_and_left_alone() {
    let dir = old();
    for forge in [0, 1, 2] {
        let copy = old_copy(dir.path());
        let db = sled::open(copy.path().join("log")).unwrap();
        let tree = db.open_tree("records").unwrap();
        let key = |seq: u64| seq.to_be_bytes();
        match forge {
            0 => drop(tree.remove(key(9)).unwrap()),
            1 => drop(tree.remove(key(41)).unwrap()),
            _ => {
                let record = tree.get(key(9)).unwrap().unwrap();
                let text = String::from_utf8(record.to_vec()).unwrap().replace("\"rows\":8", "\"rows\":9");
                assert_ne!(Hash::leaf(text.as_bytes()), Hash::leaf(&record));
                tree.insert(key(9), text.as_bytes()).unwrap();
            }
        }
        db.flush().unwrap();
        drop((tree, db));
        let why = refused(copy.path());
        assert!(why.contains("record") && why.contains("backup-format-1"), "{why}");
        let format = fs::read_to_string(copy.path().join("format.json")).unwrap();
        assert!(format.contains("\"version\":1"));
        assert!(copy.path().join("log/db").exists());
        refused(copy.path());
    }
    let missing = old_copy(dir.path());
    fs::remove_file(missing.path().join("log/db")).unwrap();
    refused(missing.path());
}

#[test]
fn an_older_store_that_ended_in_a_kill_is_migrated_too() {
    let dir = old();
    // Beyond its last checkpoint.
    let db = sled::open(dir.path().join("log")).unwrap();
    let tree = db.open_tree("records").unwrap();
    let id = fs::read_to_string(dir.path().join("format.json")).unwrap();
    let id = id.split('"').find(|part| part.len() == 32).unwrap().to_owned();
    let last = Hash::leaf(&tree.get(42_u64.to_be_bytes()).unwrap().unwrap());
    let record = stepgate_record::Fitted::new(&event(9)).unwrap().record(&id, 43, 1, &last).unwrap();
    tree.insert(43_u64.to_be_bytes(), record).unwrap();
    db.flush().unwrap();
    drop((tree, db));
    let log = open(dir.path()).unwrap();
    assert_eq!(log.tail(2).unwrap()[0].event, event(9));
    assert!(matches!(log.tail(1).unwrap()[0].event, Event::LogStarted(_)));
}
