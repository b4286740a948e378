//! Exports: one header line, one line a record (its canonical bytes), one line with the signed checkpoint.

use std::cmp::Ordering;
use std::io::{BufRead, Read as _};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::canonical::canonical;
use crate::keys::KeyList;
use crate::record::is_log_id;
use crate::verify::{Anchor, Chain, Failure, GIVEN, Given, Known, Outcome, Verified};
use crate::{Checkpoint, Frontier, Hash, NoteError, Record, SignedNote, VerifierKey, VerifierKeys};

/// The longest header or checkpoint line, in bytes: a header has at most 192 hashes of 67 bytes, and as many for each
/// time that the log's key was replaced.
const MAX_LINE_BYTES: u64 = 2 * 1024 * 1024;

/// First line of an export.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    /// [`Header::FORMAT`].
    pub format: String,
    /// [`Header::VERSION`].
    pub version: u64,
    /// The log.
    pub log_id: String,
    /// Its name in checkpoints.
    pub origin: String,
    /// What checks the checkpoint: proves that the file is consistent, not whose it is.
    pub verifier_key: String,
    /// The keys before it, where it is not the log's first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<HeaderKeys>,
    /// Number of the first record.
    pub first: u64,
    /// How many records follow.
    pub records: u64,
    /// Leaf hash of the last record (hex); empty if there is none.
    pub last_hash: String,
    /// Size of the tree that the checkpoint signs.
    pub tree_size: u64,
    /// Hashes (hex) of the complete subtrees over the records before the first, in one run from each tree at which a
    /// key was replaced to the next.
    pub before: Vec<String>,
    /// The same of the records after the last.
    pub after: Vec<String>,
}

/// A log's keys, in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HeaderKeys(KeyList);

impl HeaderKeys {
    /// `None` if there is one key alone.
    #[must_use]
    pub fn of(keys: &VerifierKeys) -> Option<Self> {
        (keys.count() > 1).then(|| Self(keys.list()))
    }
}

/// Where runs of subtrees end, between `begin` and `end`: at each tree at which a key was replaced, and at `end`.
pub fn cuts(keys: &VerifierKeys, begin: u64, end: u64) -> impl Iterator<Item = u64> {
    let within = move |size: &u64| *size > begin && *size < end;
    let handovers = keys.handovers().iter().map(|handover| handover.tree().size);
    handovers.filter(within).chain((begin < end).then_some(end))
}

impl Header {
    /// What `format` says.
    pub const FORMAT: &str = "stepgate-export";
    /// The format this version writes and reads.
    pub const VERSION: u64 = 1;

    /// The header's line, without its newline.
    ///
    /// # Errors
    /// A number lies beyond 2^53.
    pub fn line(&self) -> Result<Vec<u8>, Failure> {
        let value = serde_json::to_value(self).map_err(|error| Failure::header(error.to_string()))?;
        canonical(&value).map_err(|error| Failure::header(error.to_string()))
    }
}

/// The last line of an export, without its newline.
#[must_use]
pub fn checkpoint_line(note: &SignedNote) -> Vec<u8> {
    let line = serde_json::json!({ "checkpoint": note.to_string() });
    canonical(&line).unwrap_or_default()
}

/// Verifies an export.
///
/// # Errors
/// The first thing that is wrong: any changed byte, any line added, removed or moved is found.
pub fn verify_export(reader: &mut dyn BufRead, anchor: Option<&Anchor>) -> Outcome {
    let Opening { header, keys } = read_header(reader)?;
    let anchor_given = anchor
        .map(|anchor| anchor.check(&keys, header.tree_size))
        .transpose()
        .map_err(Failure::checkpoint)?;
    let Given { checkpoint: given, replaced, later } = anchor_given.unwrap_or_default();
    let early = given.as_ref().filter(|given| given.size < header.first);
    let mut uncompared = early.map(|given| {
        format!(
            "the checkpoint given covers {} records, and these lines begin at record {}; export a bundle (--out \
             NAME.tar) with --meet and that checkpoint to compare them",
            given.size, header.first
        )
    });
    let end = header.first.saturating_add(header.records);
    // A checkpoint within the records is met on the way; one beyond them only if it is the file's own.
    let known = |checkpoint: &Checkpoint, source: &str| Known {
        size: checkpoint.size,
        root: checkpoint.root,
        source: source.to_owned(),
    };
    let within = given.iter().filter(|given| given.size >= header.first);
    let mut within: Vec<Known> = within.map(|given| known(given, GIVEN)).collect();
    within.extend(keys.handovers().iter().map(|handover| known(handover.tree(), NEW_KEY)));
    within.retain(|known| known.size <= end);
    let before = runs(&keys, 0, header.first, &header.before);
    let before =
        join(&keys, Frontier::default(), before, "`before` does not fit the first record", header.first)?;
    let mut chain = Chain::new(&header.log_id, before, within);
    while chain.next() < end {
        let next = chain.next();
        let line = match read_line(reader, MAX_LINE_BYTES) {
            Ok(Some(line)) => line,
            Ok(None) => return Err(chain.blame(next, "it is missing; the file ends before it")),
            Err(failure) => return Err(chain.blame(next, failure.why)),
        };
        if line.starts_with(b"{\"checkpoint\":") {
            return Err(chain.blame(next, "it is missing; the checkpoint stands in its place"));
        }
        chain.push(&line)?;
    }
    let note = read_checkpoint(reader, chain.next())?;
    let last_hash = if header.records == 0 { None } else { header.last_hash.parse().ok() };
    let (policies, left_out) = chain.policies().listed();
    let frontier = chain.finish(last_hash)?;
    let after = runs(&keys, end, header.tree_size, &header.after);
    let frontier = join(&keys, frontier, after, "`after` does not continue the records", header.tree_size)?;
    let root = frontier.root().ok_or_else(|| Failure::header("`before` does not begin at record 0"))?;
    let checkpoint = keys.verified_among(&note).map_err(|error| Failure::checkpoint(error.to_string()))?;
    // No line goes unchecked.
    note.cosigned_by(keys.name(), anchor.map(Anchor::witnesses).unwrap_or_default())
        .map_err(|error| Failure::checkpoint(error.to_string()))?;
    if checkpoint.size != header.tree_size {
        return Err(Failure::checkpoint("it is over another number of records than the header says"));
    }
    if checkpoint.root != root {
        return Err(not_the_signed_root(&header, end));
    }
    if let Some(given) = given.iter().find(|given| given.size > end) {
        uncompared = compare_beyond(given, &checkpoint)?;
    }
    if let Some(replaced) = replaced.first().filter(|replaced| replaced.size <= checkpoint.size) {
        if replaced.size < checkpoint.size {
            return Err(Failure::checkpoint(NoteError::Replaced(replaced.size).to_string()));
        }
        compare_beyond(replaced, &checkpoint)?;
    }
    let mut notes = notes(&header, end, anchor.is_some());
    notes.extend(left_out);
    if let Some(anchor) = anchor {
        notes.extend(anchor.witnessed([&note]).map_err(Failure::checkpoint)?);
    }
    // The last thing to be said, once all else holds.
    let later = later.map(|given| Failure::later(given, checkpoint.size));
    if let Some(why) = uncompared.or(later) {
        return Err(Failure::uncompared(why));
    }
    Ok(Verified { records: header.records, tree_size: checkpoint.size, root, notes, policies })
}

/// Where a root that the log's keys share comes from.
pub const NEW_KEY: &str = "the checkpoint at which a new key took over";

/// Extends a frontier by runs, and meets the trees at which keys were replaced.
fn join(
    keys: &VerifierKeys,
    mut frontier: Frontier,
    runs: Option<Vec<Frontier>>,
    unfit: &str,
    end: u64,
) -> Result<Frontier, Failure> {
    for run in runs.ok_or_else(|| Failure::header(unfit))? {
        frontier.extend(&run).ok_or_else(|| Failure::header(unfit))?;
        let handover = keys.handovers().iter().find(|handover| handover.tree().size == frontier.end());
        if handover.is_some_and(|handover| frontier.root() != Some(handover.tree().root)) {
            let size = frontier.end();
            return Err(Failure::header(format!(
                "the first {size} records are not those at which a new key took over: one or more were altered"
            )));
        }
    }
    if frontier.end() == end { Ok(frontier) } else { Err(Failure::header(unfit)) }
}

/// The runs over `begin..end`, from their hashes.
fn runs(keys: &VerifierKeys, begin: u64, end: u64, hashes: &[String]) -> Option<Vec<Frontier>> {
    let hashes = hashes.iter().map(|hash| hash.parse().ok()).collect::<Option<Vec<Hash>>>()?;
    let (mut at, mut rest, mut runs) = (begin, hashes.as_slice(), Vec::new());
    for cut in cuts(keys, begin, end) {
        let (run, others) = rest.split_at_checked(Frontier::count(at, cut)?)?;
        runs.push(Frontier::from_hashes(at, cut, run)?);
        (at, rest) = (cut, others);
    }
    rest.is_empty().then_some(runs)
}

fn not_the_signed_root(header: &Header, end: u64) -> Failure {
    let why = "the records are linked, but are not those that the checkpoint signs: the links were made anew \
               after an alteration, or the header was altered";
    if header.records == 0 {
        Failure::header(why)
    } else {
        let (first, last) = (header.first, end.saturating_sub(1));
        Failure::record(first, format!("from here to record {last}: {why}"))
    }
}

/// The checkpoint given lies beyond the exported records; why it cannot be compared, if it cannot.
fn compare_beyond(given: &Checkpoint, own: &Checkpoint) -> Result<Option<String>, Failure> {
    match given.size.cmp(&own.size) {
        Ordering::Greater => Ok(Some(Failure::newer(given.size, own.size))),
        Ordering::Equal if given.root == own.root => Ok(None),
        Ordering::Equal => Err(Failure::checkpoint(
            "the checkpoint given has another root over as many records: the log was rewritten",
        )),
        Ordering::Less => Ok(Some(format!(
            "the checkpoint given covers {} records, and lies after these lines; export a bundle (--out NAME.tar) with \
             --meet and that checkpoint to compare them",
            given.size
        ))),
    }
}

fn notes(header: &Header, end: u64, anchored: bool) -> Vec<String> {
    let mut notes = Vec::new();
    if end != header.tree_size || header.first != 0 {
        notes.push(format!(
            "a part of the log: {} records from record {} on, of {} in all",
            header.records, header.first, header.tree_size
        ));
    }
    if !anchored {
        notes.push(
            "checked against the key and checkpoint inside the file, which proves that it is consistent, not \
             that it is your gate's or complete; give --checkpoint FILE with a checkpoint or verifier key \
             obtained elsewhere"
                .to_owned(),
        );
    }
    notes
}

/// The first line, checked as far as it can be by itself.
struct Opening {
    header: Header,
    keys: VerifierKeys,
}

fn read_header(reader: &mut dyn BufRead) -> Result<Opening, Failure> {
    let line = read_line(reader, MAX_LINE_BYTES)
        .map_err(|failure| Failure::header(failure.why))?
        .ok_or_else(|| Failure::header("the file is empty"))?;
    let header: Header =
        serde_json::from_slice(&line).map_err(|_| Failure::header("it is no header of an export"))?;
    if header.format != Header::FORMAT || header.version != Header::VERSION {
        return Err(Failure::header("an export of a format that this version does not know"));
    }
    if header.line()? != line {
        return Err(Failure::header("not in canonical form"));
    }
    if !is_log_id(&header.log_id) || header.origin != Checkpoint::origin(&header.log_id) {
        return Err(Failure::header("the log's id and origin do not fit"));
    }
    let key: VerifierKey =
        header.verifier_key.parse().map_err(|_| Failure::header("the verifier key is malformed"))?;
    if key.name() != header.origin {
        return Err(Failure::header("the verifier key is of another log"));
    }
    let keys = match &header.keys {
        None => VerifierKeys::from(key),
        Some(HeaderKeys(list)) => {
            let keys = VerifierKeys::try_from(list).map_err(|error| Failure::header(error.to_string()))?;
            let later = keys.handovers().last().is_none_or(|last| last.tree().size > header.tree_size);
            if *keys.newest() != key || later {
                return Err(Failure::header("the keys do not lead to the verifier key"));
            }
            keys
        }
    };
    if (header.records == 0) != header.last_hash.is_empty()
        || (header.records > 0 && header.last_hash.parse::<Hash>().is_err())
    {
        return Err(Failure::header("`last_hash` is malformed"));
    }
    let end = header.first.checked_add(header.records).filter(|end| *end <= header.tree_size);
    end.ok_or_else(|| Failure::header("more records than the tree has"))?;
    Ok(Opening { header, keys })
}

fn read_checkpoint(reader: &mut dyn BufRead, next: u64) -> Result<SignedNote, Failure> {
    let Some(line) = read_line(reader, MAX_LINE_BYTES).map_err(|failure| Failure::checkpoint(failure.why))?
    else {
        return Err(Failure::checkpoint("it is missing; the file ends before it"));
    };
    if Record::decode(&line).is_ok() {
        return Err(Failure::record(next, "it was added: the header promises no such record"));
    }
    let Ok(Value::Object(members)) = serde_json::from_slice(&line) else {
        return Err(Failure::checkpoint("the line is not JSON"));
    };
    let note = match members.get("checkpoint") {
        Some(Value::String(note)) => note.parse().map_err(|error: crate::NoteError| error.to_string()),
        _ => Err("the line holds none".to_owned()),
    };
    let note: SignedNote = note.map_err(Failure::checkpoint)?;
    if checkpoint_line(&note) != line {
        return Err(Failure::checkpoint("the line is not in canonical form"));
    }
    if read_line(reader, MAX_LINE_BYTES).map_err(|failure| Failure::record(next, failure.why))?.is_some() {
        return Err(Failure::record(
            next,
            "something stands after the checkpoint, which must be the last line",
        ));
    }
    Ok(note)
}

/// The next line without its newline, which it must have; `None` at the end of the file.
pub(crate) fn read_line(reader: &mut dyn BufRead, limit: u64) -> Result<Option<Vec<u8>>, Failure> {
    let mut line = Vec::new();
    let read = reader.take(limit).read_until(b'\n', &mut line);
    read.map_err(|error| Failure::files(format!("cannot be read: {error}")))?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop_if(|byte| *byte == b'\n').is_none() {
        return Err(Failure::files("a line is too long, or the file ends within it"));
    }
    Ok(Some(line))
}
