//! What the children have told, and whether it holds.

use std::collections::{BTreeMap, BTreeSet};

use stepgate_record::Event;
use stepgate_types::SubjectKind;

use super::child::{CHANGES, life, round};
use crate::{Log, Side};

/// What was acknowledged.
#[derive(Default)]
pub(super) struct Told {
    /// By the record's number, which statement it is of.
    pub(super) acked: BTreeMap<u64, u64>,
    /// Who was named, by the record's number.
    pub(super) named: BTreeMap<u64, String>,
    /// Of whom it was said that they were erased.
    pub(super) shredded: BTreeSet<String>,
    /// How many records the last backup holds.
    pub(super) backed: u64,
}

impl Told {
    /// Takes a line of the child, if it is whole.
    ///
    /// # Panics
    /// Two records were acknowledged under one number.
    pub(super) fn take(&mut self, line: &str) {
        let Some(words) = line.trim_end_matches('\n').strip_suffix('.') else { return };
        let words: Vec<&str> = words.split(' ').collect();
        match words[..] {
            ["acked", seq, id] => {
                let (seq, id) = (seq.parse().unwrap(), id.parse().unwrap());
                let before = self.acked.insert(seq, id);
                assert_eq!(before, None, "record {seq} was acknowledged before, now it is {id}");
            }
            ["named", seq, name] => {
                let before = self.named.insert(seq.parse().unwrap(), name.to_owned());
                assert_eq!(before, None, "record {seq} named somebody before");
            }
            ["shredded", name] => {
                self.shredded.insert(name.to_owned());
            }
            ["backed", size] => self.backed = self.backed.max(size.parse().unwrap()),
            _ => {}
        }
    }

    /// All of it holds in this log.
    pub(super) fn check(&self, log: &Log, when: &str) {
        let there = self.check_records(log, u64::MAX, when);
        self.check_beside(log, &there, when);
        for (seq, name) in &self.named {
            let commit = log.subjects().commit_of(SubjectKind::Person, name);
            let open = commit.and_then(|commit| log.subjects().open(&commit)).is_some();
            assert!(!(open && self.shredded.contains(name)), "{when}: {name} was erased, and is there");
            // Of whom no record is kept, the name goes with retention.
            assert!(open || name.starts_with("goes") || *seq < log.floor(), "{when}: {name} is lost");
        }
    }

    /// Every acknowledged record before `end` that was not deleted is there, and each writer's are all there, in order.
    /// Returns, of each, the last that is there.
    pub(super) fn check_records(&self, log: &Log, end: u64, when: &str) -> BTreeMap<u64, u64> {
        let floor = log.floor();
        let mut found: BTreeMap<u64, u64> = BTreeMap::new();
        log.replay(floor, &mut |seq, record| {
            if let Event::StatementCompleted { statement, .. } = record.event {
                found.insert(seq, statement);
            }
        })
        .unwrap();
        let (gone, kept): (Vec<_>, Vec<_>) = self.acked.iter().partition(|(seq, _)| **seq < floor);
        for (seq, id) in kept.into_iter().filter(|(seq, _)| **seq < end) {
            assert_eq!(found.get(seq), Some(id), "{when}: acknowledged record {seq} is lost");
        }
        let mut lives: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for id in found.values() {
            let (life, n) = life(*id);
            lives.entry(life).or_default().push(n);
        }
        let oldest = lives.keys().next().map(|life| round(*life));
        for (life, all) in &lives {
            // Where records were deleted, the oldest round there may have lost its beginning.
            let begins = if floor > 0 && Some(round(*life)) == oldest { all[0] } else { 0 };
            let expected: Vec<u64> = (begins..).take(all.len()).collect();
            assert_eq!(*all, expected, "{when}: out of order, or one is missing, of {life}");
        }
        for (seq, id) in gone {
            let (life, n) = life(*id);
            let later = lives.get(&life).is_none_or(|all| all[0] > n);
            assert!(later, "{when}: record {seq} comes before those that were made before it");
        }
        lives.into_iter().filter_map(|(life, all)| Some((life, *all.last()?))).collect()
    }

    /// What was written beside the log is what belongs to its records, deleted ones among them.
    fn check_beside(&self, log: &Log, there: &BTreeMap<u64, u64>, when: &str) {
        let mut beside: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
        for (key, _) in log.load(Side::Taints).unwrap() {
            let (life, n) = life(u64::from_be_bytes(key.try_into().unwrap()));
            beside.entry(life).or_default().push(n);
        }
        let mut least: BTreeMap<u64, u64> = BTreeMap::new();
        for id in self.acked.values() {
            let (life, n) = life(*id);
            let last = least.entry(life).or_default();
            *last = n.max(*last);
        }
        let step = CHANGES as u64;
        for life in beside.keys().chain(there.keys()).chain(least.keys()) {
            let all = beside.get(life).map_or(&[][..], Vec::as_slice);
            let expected: Vec<u64> = (0..).step_by(CHANGES).take(all.len()).collect();
            assert_eq!(all, expected, "{when}: changes beside the records of {life}");
            let count = all.len() as u64;
            match (there.get(life), least.get(life)) {
                (Some(last), _) => assert_eq!(count, last / step + 1, "{when}: beside the records of {life}"),
                (None, Some(last)) => {
                    assert!(count > last / step, "{when}: beside what was deleted of {life}")
                }
                (None, None) => {}
            }
        }
    }
}
