//! From the first record of the log to the last, over those that are here and the hashes of those that are not.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use sha2::{Digest as _, Sha256};
use stepgate_types::{Commit, Timestamp};

use super::files::{PROOF, RECORDS, SUBJECTS};
use super::manifest::Policy;
use super::openings::Openings;
use super::proof::{GapLine, ProofLine};
use super::{Derived, MAX_LINE};
use crate::render::Row;
use crate::verify::{Failure, GIVEN, Known, Policies, read_line};
use crate::whole::joined;
use crate::{Event, Export, Filter, Frontier, Groups, Hash, Names as _, Record, Sieve, members};

/// At most so many policies are listed; more were hardly in force in one log.
const MAX_POLICIES: usize = 1024;

/// At most so many different commitments are kept in memory, 32 bytes each.
const MAX_SUBJECTS: usize = 1 << 24;

/// What the records say together.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) records: u64,
    pub(super) first: Option<u64>,
    pub(super) last: Option<u64>,
    pub(super) from: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) types: BTreeMap<String, u64>,
    pub(super) policies: Vec<Policy>,
    pub(super) in_force: Policies,
    pub(super) commits: BTreeSet<Commit>,
    /// Over the leaf hashes of the records.
    pub(super) selected: Sha256,
    /// Why the checkpoint given could not be compared.
    pub(super) uncompared: Option<String>,
}

/// What must hold of each record.
pub(super) struct Terms {
    log_id: String,
    redacted: bool,
    bounds: Bounds,
    sieve: Sieve,
    /// Whom the filter names.
    commits: BTreeSet<Commit>,
}

/// From where an export selects, and what.
#[derive(Debug, Clone)]
pub(super) struct Bounds {
    pub(super) first: u64,
    /// The number after the last.
    pub(super) end: u64,
    /// SHA-256 over the leaf hashes of the selected records.
    selected: Hash,
    /// Whether everything is selected.
    pub(super) all: bool,
}

impl Bounds {
    /// By the export's record, which has the number `exported`; `None` if it does not say.
    pub(super) fn of(export: &Export, exported: u64) -> Option<Self> {
        let (first, end) = (export.first?, export.end?);
        let selected = export.selected.as_ref()?.parse().ok()?;
        let all = filter_of(&export.filter)?.is_empty();
        (first <= end && end <= exported).then_some(Self { first, end, selected, all })
    }

    /// Whether these are all of the selected records, and no others.
    pub(super) fn met(&self, summary: &Summary) -> bool {
        let all = !self.all || summary.records == self.end.saturating_sub(self.first);
        all && self.selected == Hash::from_bytes(summary.selected.clone().finalize().into())
    }
}

fn filter_of(text: &str) -> Option<Filter> {
    if text.is_empty() { Some(Filter::default()) } else { serde_json::from_str(text).ok() }
}

impl Terms {
    /// By the text of the filter in the export's record. Whom a filter names stands in it as a commitment; records from
    /// before there were any have the name, which only an opening tells.
    pub(super) fn new(log_id: &str, export: &Export, bounds: Bounds, names: &Openings) -> Option<Self> {
        let mut filter = filter_of(&export.filter)?;
        let commits = filter_commits(&filter);
        for list in [&mut filter.person, &mut filter.address] {
            let opened: Vec<_> =
                list.iter().filter_map(|text| names.name(&text.parse::<Commit>().ok()?)).collect();
            // Of somebody for whom no commitment stands, old records alone can tell, by a name that is not kept.
            if list.iter().any(|text| text == "unknown") {
                list.clear();
            }
            list.extend(opened);
        }
        let (log_id, redacted) = (log_id.to_owned(), export.redacted);
        Some(Self { log_id, redacted, bounds, sieve: filter.sieve(), commits })
    }
}

/// Whom a filter names by commitments.
pub fn filter_commits(filter: &Filter) -> BTreeSet<Commit> {
    filter.person.iter().chain(&filter.address).filter_map(|text| text.parse().ok()).collect()
}

/// A record of the export, with its hash.
struct Here {
    record: Record,
    hash: Hash,
    /// Whether the record before it is one of the export's, too.
    follows: bool,
}

/// Goes over all of it.
pub(super) struct Walk<'n, 'w> {
    terms: Terms,
    names: &'n Openings,
    derived: Derived<'w>,
    frontier: Frontier,
    /// The record before the next, if it is here.
    last: Option<(u64, Hash)>,
    /// Whether the record before the next is one of the export's.
    follows: bool,
    /// Records of the export, each with those that it goes on in.
    groups: Groups<Here>,
    /// Roots still to be met, the smallest tree last.
    known: Vec<Known>,
    summary: Summary,
    exported: Option<u64>,
}

impl<'n, 'w> Walk<'n, 'w> {
    pub(super) fn new(
        terms: Terms,
        names: &'n Openings,
        derived: Derived<'w>,
        mut known: Vec<Known>,
    ) -> Self {
        known.sort_by_key(|known| std::cmp::Reverse(known.size));
        let summary = Summary { commits: terms.commits.clone(), ..Summary::default() };
        let groups = Groups::new(terms.sieve.clone());
        let mut walk = Self {
            terms,
            names,
            derived,
            frontier: Frontier::default(),
            last: None,
            follows: false,
            groups,
            known,
            summary,
            exported: None,
        };
        // An empty tree has one root only.
        walk.known.retain(|known| known.size > 0);
        walk
    }

    /// Returns the tree's frontier, the summary and the number of the export's record.
    pub(super) fn run(
        mut self,
        proof: &mut dyn BufRead,
        records: &mut dyn BufRead,
        exported: &[u8],
    ) -> Result<(Frontier, Summary, u64), Failure> {
        while let Some(line) = next_line(proof, PROOF)? {
            let at = self.frontier.end();
            let Some(line) = ProofLine::read(&line) else {
                return Err(Failure::file(PROOF, format!("the line at record {at} is no part of a proof")));
            };
            match line {
                ProofLine::Record(line) => {
                    self.in_place(line.record)?;
                    let bytes =
                        next_line(records, RECORDS).map_err(|failure| Failure::record(at, failure.why))?;
                    let bytes = bytes
                        .ok_or_else(|| Failure::record(at, "it is missing; records.jsonl ends before it"))?;
                    let (record, hash) = self.record(&bytes, &line.hash)?;
                    self.take(record, hash, &bytes)?;
                }
                ProofLine::Exported(line) => {
                    self.in_place(line.exported)?;
                    self.interrupted()?;
                    if self.exported.replace(line.exported).is_some() {
                        return Err(Failure::file(PROOF, "it names two records of the export"));
                    }
                    let (record, _) = self.record(exported, &line.hash)?;
                    self.personal(&record)?;
                }
                ProofLine::Gap(line) => {
                    self.interrupted()?;
                    self.skip(&line)?;
                }
            }
            self.meet()?;
        }
        self.interrupted()?;
        let at = self.frontier.end();
        if next_line(records, RECORDS)?.is_some() {
            return Err(Failure::file(
                RECORDS,
                format!("a line too many, after {} records", self.summary.records),
            ));
        }
        while let Some(known) = self.known.pop() {
            if known.source == GIVEN {
                self.summary.uncompared = Some(Failure::newer(known.size, at));
                continue;
            }
            let why =
                format!("it is missing; {} covers {} records, only {at} are there", known.source, known.size);
            return Err(Failure::record(at, why));
        }
        self.derived.finish().map_err(|error| Failure::files(error.to_string()))?;
        let exported =
            self.exported.ok_or_else(|| Failure::file(PROOF, "the record of the export is not in it"))?;
        Ok((self.frontier, self.summary, exported))
    }

    fn in_place(&self, seq: u64) -> Result<(), Failure> {
        let next = self.frontier.end();
        if seq == next {
            return Ok(());
        }
        Err(Failure::record(next, format!("it is missing; proof.jsonl goes on with record {seq}")))
    }

    /// Checks a record that is here, in the place that comes next.
    fn record(&mut self, bytes: &[u8], hash: &str) -> Result<(Record, Hash), Failure> {
        let next = self.frontier.end();
        let record = Record::decode(bytes).map_err(|error| Failure::record(next, error.to_string()))?;
        if record.log_id != self.terms.log_id {
            return Err(Failure::record(next, "it is of another log"));
        }
        if record.seq != next {
            let why = format!("it is missing; record {} stands in its place", record.seq);
            return Err(Failure::record(next, why));
        }
        let leaf = Hash::leaf(bytes);
        if hash.parse() != Ok(leaf) {
            return Err(Failure::record(next, "it was altered: its hash is not the one in proof.jsonl"));
        }
        if let Some((before, hash)) = self.last.filter(|(before, _)| before.checked_add(1) == Some(next))
            && hash != record.prev
        {
            let why = format!("it or record {next} was altered: the one does not follow the other");
            return Err(Failure::record(before, why));
        }
        if next == 0 && record.prev != Hash::ZERO {
            return Err(Failure::record(0, "it is the first, yet names a record before it"));
        }
        self.frontier.push(leaf);
        self.last = Some((next, leaf));
        Ok((record, leaf))
    }

    /// Takes the next record of the export: what it goes on in may follow.
    fn take(&mut self, record: Record, hash: Hash, bytes: &[u8]) -> Result<(), Failure> {
        let seq = record.seq;
        let Bounds { first, end, all, .. } = self.terms.bounds;
        if !(first..end).contains(&seq) {
            let why = format!(
                "it is none of those that were exported: these are among {first} to {}",
                end.saturating_sub(1)
            );
            return Err(Failure::record(seq, why));
        }
        // Where everything is selected, nothing has to be read twice: only which records go on in others counts.
        let lone = all && record.continued.is_empty() && !self.groups.waits();
        let here = Here { record, hash, follows: std::mem::replace(&mut self.follows, true) };
        if lone {
            return self.settle(true, &[here]);
        }
        let fields = members(bytes);
        for (passes, group) in self.groups.take(seq, &fields, here) {
            self.settle(passes, &group)?;
        }
        Ok(())
    }

    /// What comes next is no record of the export.
    fn interrupted(&mut self) -> Result<(), Failure> {
        self.follows = false;
        self.groups.finish().map_or(Ok(()), |(passes, group)| self.settle(passes, &group))
    }

    /// Counts records that belong together, and writes them in the derived form.
    fn settle(&mut self, passes: bool, group: &[Here]) -> Result<(), Failure> {
        let Some(Here { record: head, follows, .. }) = group.first() else { return Ok(()) };
        // Earlier versions took each by itself, and a part also where only the part before it was taken.
        let continues = *follows && matches!(head.event, Event::RecordContinued(_));
        if !passes && !continues {
            return Err(Failure::record(head.seq, "it is none of those that the export's record names"));
        }
        let mut whole = (group.len() > 1 && self.derived.joins()).then(|| whole(group)).flatten();
        for Here { record, hash, .. } in group {
            let row = Row::with(whole.take().as_ref().unwrap_or(record), *hash, self.names);
            self.count(record, &row)?;
            self.derived.row(&row).map_err(|error| Failure::record(record.seq, error.to_string()))?;
        }
        Ok(())
    }

    fn count(&mut self, record: &Record, row: &Row) -> Result<(), Failure> {
        let seq = record.seq;
        self.personal(record)?;
        let summary = &mut self.summary;
        summary.records = summary.records.saturating_add(1);
        summary.selected.update(row.hash.bytes());
        summary.first.get_or_insert(seq);
        summary.last = Some(seq);
        summary.from = Some(summary.from.map_or(record.at, |from| from.min(record.at)));
        summary.until = Some(summary.until.map_or(record.at, |until| until.max(record.at)));
        summary.in_force.take(record);
        if let Some(sha256) = &row.policy_sha256
            && summary.policies.len() < MAX_POLICIES
            && !summary.policies.iter().any(|policy| policy.sha256 == *sha256)
        {
            summary.policies.push(Policy { sha256: sha256.clone(), first: seq });
        }
        let count = summary.types.entry(row.kind.clone()).or_default();
        *count = count.saturating_add(1);
        Ok(())
    }

    fn personal(&mut self, record: &Record) -> Result<(), Failure> {
        if self.terms.redacted && record.event.is_plain_spoken() {
            let why = "it is from before names were kept apart, and names somebody; no redacted export can hold it: \
                       begin after it (--since)";
            return Err(Failure::record(record.seq, why));
        }
        let commits = &mut self.summary.commits;
        record.event.names(&mut |_, who| commits.extend(who.commit()));
        if commits.len() > MAX_SUBJECTS {
            return Err(Failure::file(SUBJECTS, "too many people and addresses for one export"));
        }
        Ok(())
    }

    fn skip(&mut self, line: &GapLine) -> Result<(), Failure> {
        let (begin, end) = line.gap;
        self.in_place(begin)?;
        let wrong = |why: &str| Failure::file(PROOF, format!("the gap at record {begin}: {why}"));
        let over = line.frontier().ok_or_else(|| wrong("its hashes do not fit"))?;
        while let Some(known) = self.known.pop_if(|known| known.size < end) {
            let why = format!(
                "{} covers {} records, and this export has no hash that ends there (records {begin} to {} are not in \
                 it); export again with --meet and that checkpoint to compare them",
                known.source,
                known.size,
                end.saturating_sub(1)
            );
            if known.source != GIVEN {
                return Err(Failure::checkpoint(why));
            }
            // What else there is to find comes first.
            self.summary.uncompared = Some(why);
        }
        self.frontier.extend(&over).ok_or_else(|| wrong("it does not follow what is before it"))
    }

    fn meet(&mut self) -> Result<(), Failure> {
        while let Some(known) = self.known.pop_if(|known| known.size == self.frontier.end()) {
            if self.frontier.root() != Some(known.root) {
                let why = format!(
                    "the first {} records are not those that {} signs: one or more of them were altered",
                    known.size, known.source
                );
                return Err(Failure::checkpoint(why));
            }
        }
        Ok(())
    }
}

/// The first record with what it goes on in: at most 64 KiB, for the row of it alone.
fn whole(group: &[Here]) -> Option<Record> {
    let (head, rest) = group.split_first()?;
    let parts = rest.iter().filter_map(|part| match &part.record.event {
        Event::RecordContinued(part) => Some(part.clone()),
        _ => None,
    });
    Some(joined(head.record.clone(), parts.collect()))
}

/// The next line of a file without its end.
pub(super) fn next_line(reader: &mut dyn BufRead, file: &'static str) -> Result<Option<Vec<u8>>, Failure> {
    read_line(reader, MAX_LINE).map_err(|failure| Failure::file(file, failure.why))
}

/// The one line that a file consists of.
pub(super) fn only_line(reader: &mut dyn BufRead, file: &'static str) -> Result<Vec<u8>, Failure> {
    let line = next_line(reader, file)?.ok_or_else(|| Failure::file(file, "it is empty"))?;
    if next_line(reader, file)?.is_some() {
        return Err(Failure::file(file, "more than one line"));
    }
    Ok(line)
}
