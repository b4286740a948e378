//! Everything that a bundle's own files say, checked against each other and against the signed checkpoint.

use std::collections::BTreeMap;
use std::io::{Read as _, Write};

use super::files::{CHECKPOINT, COSIGNED, EXPORTED, KEYS, PROOF, RECORDS, SUBJECTS};
use super::manifest::{FileInfo, Manifest};
use super::openings::{Opening, Openings};
use super::walk::{Bounds, Summary, Terms, Walk, next_line, only_line};
use super::{Derived, Files, Format, MAX_TEXT, keys};
use crate::render::RENDER_VERSION;
use crate::verify::{Anchor, Failure, GIVEN, KEYS_GIVEN, Known, NEW_KEY};
use crate::{Checkpoint, Event, Export, Names, Record, SignedNote, VerifierKeys};

/// A bundle whose records are proven.
pub struct Examined {
    pub(super) checkpoint: Checkpoint,
    pub(super) keys: VerifierKeys,
    pub(super) exported: Record,
    pub(super) export: Export,
    pub(super) format: Format,
    pub(super) bounds: Bounds,
    pub(super) openings: Openings,
    pub(super) summary: Summary,
    /// A line on each witness that was demanded.
    pub(super) witnessed: Vec<String>,
}

impl Examined {
    /// Which form is added.
    #[must_use]
    pub const fn format(&self) -> Format {
        self.format
    }

    /// How many records there are.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.summary.records
    }

    /// Whether there was something to compare the checkpoint given with: the last thing to be asked, once all else holds.
    pub(super) fn compared(&self) -> Result<(), Failure> {
        self.summary.uncompared.as_ref().map_or(Ok(()), |why| Err(Failure::uncompared(why)))
    }

    /// Whether all records that there were are here, from the first that had not been deleted.
    pub(super) const fn is_whole(&self) -> bool {
        self.summary.records == self.bounds.end.saturating_sub(self.bounds.first)
    }

    /// Commitments in the records that nothing opens.
    pub(super) fn unopened(&self) -> usize {
        self.summary.commits.len().saturating_sub(self.openings.len())
    }

    /// Who exported it.
    pub(super) fn by(&self) -> Option<String> {
        match &self.exported.event {
            Event::AuditExported { operator, .. } => operator.as_ref().map(|who| self.openings.shown(who)),
            _ => None,
        }
    }

    /// The manifest, given all other files.
    #[must_use]
    pub fn manifest(&self, files: BTreeMap<String, FileInfo>, signed: bool) -> Manifest {
        let summary = &self.summary;
        Manifest {
            format: Manifest::FORMAT.to_owned(),
            version: Manifest::VERSION,
            render: RENDER_VERSION,
            log_id: self.exported.log_id.clone(),
            origin: self.checkpoint.origin.clone(),
            export: self.export.id.clone(),
            exported: self.exported.seq,
            exported_at: self.exported.at.to_string(),
            filter: self.export.filter.clone(),
            derived: self.format.as_str().to_owned(),
            redacted: self.export.redacted,
            signed,
            records: summary.records,
            first: summary.first,
            last: summary.last,
            from: summary.from.map(|at| at.to_string()),
            until: summary.until.map(|at| at.to_string()),
            types: summary.types.clone(),
            policies: summary.policies.clone(),
            subjects: u64::try_from(self.openings.len()).unwrap_or(u64::MAX),
            tree_size: self.checkpoint.size,
            root: self.checkpoint.root.to_string(),
            files,
        }
    }
}

/// What an export's record says of it.
pub(super) struct Exported {
    pub(super) record: Record,
    pub(super) export: Export,
    pub(super) format: Format,
    line: Vec<u8>,
    records: u64,
}

/// Reads the export's record without believing it.
pub(super) fn exported(files: &dyn Files) -> Result<Exported, Failure> {
    let wrong = |why: &str| Failure::file(EXPORTED, why);
    let line = only_line(&mut *open(files, EXPORTED)?, EXPORTED)?;
    let record = Record::decode(&line).map_err(|error| wrong(&error.to_string()))?;
    let Event::AuditExported { records, export: Some(export), .. } = record.event.clone() else {
        return Err(wrong("it is no record of a bundle's export"));
    };
    let format = Format::of(&export.format).ok_or_else(|| wrong("it names a format that is not known"))?;
    Ok(Exported { record, export, format, line, records })
}

/// Checks records, proof, checkpoint and openings; writes the derived file to `derived`, if there is one.
///
/// # Errors
/// The first thing that is wrong.
pub fn examine(
    files: &dyn Files,
    anchor: Option<&Anchor>,
    derived: &mut dyn Write,
) -> Result<Examined, Failure> {
    let exported = exported(files)?;
    let derived =
        Derived::new(exported.format, derived).map_err(|error| Failure::files(error.to_string()))?;
    let examined = examine_as(files, anchor, exported, derived)?;
    examined.compared()?;
    Ok(examined)
}

pub(super) fn examine_as(
    files: &dyn Files,
    anchor: Option<&Anchor>,
    exported: Exported,
    derived: Derived<'_>,
) -> Result<Examined, Failure> {
    let Signed { keys, checkpoint, known, witnessed, later } = signed(files, anchor)?;
    let Exported { record, export, format, line, records } = exported;
    if record.log_id.is_empty() || checkpoint.origin != Checkpoint::origin(&record.log_id) {
        return Err(Failure::file(EXPORTED, "it is of another log than the checkpoint"));
    }
    let bounds = Bounds::of(&export, record.seq).ok_or_else(|| {
        let why = "it does not say which records were given: the export was made by a version of stepgate that did \
                   not record that";
        Failure::file(EXPORTED, why)
    })?;
    let openings = read_openings(files, export.redacted)?;
    let terms = Terms::new(&record.log_id, &export, bounds.clone(), &openings)
        .ok_or_else(|| Failure::file(EXPORTED, "its filter is not known to this version"))?;
    let walk = Walk::new(terms, &openings, derived, known);
    let (frontier, mut summary, seq) =
        walk.run(&mut *open(files, PROOF)?, &mut *open(files, RECORDS)?, &line)?;
    if frontier.end() != checkpoint.size {
        let why = format!("it is over {} records, the checkpoint over {}", frontier.end(), checkpoint.size);
        return Err(Failure::file(PROOF, why));
    }
    if frontier.root() != Some(checkpoint.root) {
        return Err(not_signed(&summary, seq));
    }
    let later = later.map(|given| Failure::later(given, checkpoint.size));
    summary.uncompared = summary.uncompared.or(later);
    // From here on the export's record is the log's own word.
    if records != summary.records {
        let why = format!("the log says that {records} records were exported; here are {}", summary.records);
        return Err(Failure::file(RECORDS, why));
    }
    if !bounds.met(&summary) {
        let why = "they are not the records that were exported: one was left out, and another stands for it";
        return Err(Failure::file(RECORDS, why));
    }
    if let Some(unused) = openings.commits().find(|commit| !summary.commits.contains(commit)) {
        return Err(Failure::file(SUBJECTS, format!("no record names {unused}")));
    }
    Ok(Examined { checkpoint, keys, exported: record, export, format, bounds, openings, summary, witnessed })
}

fn not_signed(summary: &Summary, exported: u64) -> Failure {
    let why = "the records are not those that the checkpoint signs: one of them, or a hash in proof.jsonl, was altered";
    match (summary.first, summary.last) {
        (Some(first), Some(last)) => Failure::record(first, format!("from here to record {last}: {why}")),
        _ => Failure::record(exported, why),
    }
}

/// The keys, the checkpoint they sign, and what must be met on the way to it.
struct Signed {
    keys: VerifierKeys,
    checkpoint: Checkpoint,
    known: Vec<Known>,
    witnessed: Vec<String>,
    /// How many records the checkpoint given covers, where no key here signed it.
    later: Option<u64>,
}

fn signed(files: &dyn Files, anchor: Option<&Anchor>) -> Result<Signed, Failure> {
    let keys = keys::read(&read_text(files, KEYS)?)
        .ok_or_else(|| Failure::file(KEYS, "it holds no keys that follow each other"))?;
    let note: SignedNote = read_text(files, CHECKPOINT)?
        .parse()
        .map_err(|error: crate::NoteError| Failure::checkpoint(error.to_string()))?;
    let checkpoint = keys.verified_among(&note).map_err(|error| Failure::checkpoint(error.to_string()))?;
    // No line goes unchecked.
    note.cosigned_by(keys.name(), anchor.map(Anchor::witnesses).unwrap_or_default())
        .map_err(|error| Failure::checkpoint(error.to_string()))?;
    let given =
        anchor.map(|anchor| anchor.check(&keys, checkpoint.size)).transpose().map_err(Failure::checkpoint)?;
    let given = given.unwrap_or_default();
    if let Some(replaced) = given.replaced.first().filter(|replaced| replaced.size < checkpoint.size) {
        return Err(Failure::checkpoint(crate::NoteError::Replaced(replaced.size).to_string()));
    }
    let cosigned = cosigned(files, &keys)?.filter(|(tree, _)| tree.size <= checkpoint.size);
    let notes = std::iter::once(&note).chain(cosigned.iter().map(|(_, note)| note));
    let witnessed = anchor.map(|anchor| anchor.witnessed(notes)).transpose().map_err(Failure::checkpoint)?;
    let known = |checkpoint: &Checkpoint, source: &str| Known {
        size: checkpoint.size,
        root: checkpoint.root,
        source: source.to_owned(),
    };
    let mut all: Vec<Known> = given.checkpoint.iter().map(|given| known(given, GIVEN)).collect();
    // Those at which a key took over must all be met: without that the new key alone could sign another past.
    all.extend(keys.handovers().iter().map(|handover| known(handover.tree(), NEW_KEY)));
    let at = given.replaced.iter().filter(|replaced| replaced.size == checkpoint.size);
    all.extend(at.map(|replaced| known(replaced, KEYS_GIVEN)));
    all.extend(cosigned.iter().map(|(tree, _)| known(tree, "the cosigned checkpoint")));
    Ok(Signed { keys, checkpoint, known: all, witnessed: witnessed.unwrap_or_default(), later: given.later })
}

/// The checkpoint that witnesses have cosigned, if there is one.
fn cosigned(files: &dyn Files, keys: &VerifierKeys) -> Result<Option<(Checkpoint, SignedNote)>, Failure> {
    if !files.names().iter().any(|name| name == COSIGNED) {
        return Ok(None);
    }
    let note = read_text(files, COSIGNED)?.parse::<SignedNote>();
    let read = note.and_then(|note| Ok((keys.verified_among(&note)?, note)));
    read.map(Some).map_err(|error| Failure::file(COSIGNED, error.to_string()))
}

fn read_openings(files: &dyn Files, redacted: bool) -> Result<Openings, Failure> {
    let mut openings = Openings::default();
    if redacted {
        return Ok(openings);
    }
    let mut lines = open(files, SUBJECTS)?;
    while let Some(line) = next_line(&mut *lines, SUBJECTS)? {
        let number = openings.len().saturating_add(1);
        let opening = Opening::read(&line)
            .ok_or_else(|| Failure::file(SUBJECTS, format!("line {number} does not open its commitment")))?;
        if !openings.add(opening) {
            return Err(Failure::file(SUBJECTS, format!("line {number} is not in its place")));
        }
    }
    Ok(openings)
}

pub(super) fn open<'f>(
    files: &'f dyn Files,
    name: &'static str,
) -> Result<Box<dyn std::io::BufRead + 'f>, Failure> {
    match files.open(name) {
        Ok(Some(file)) => Ok(file),
        Ok(None) => Err(Failure::file(name, "it is missing")),
        Err(error) => Err(Failure::file(name, format!("cannot be read: {error}"))),
    }
}

pub(super) fn read_text(files: &dyn Files, name: &'static str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = open(files, name)?.take(MAX_TEXT.saturating_add(1)).read_to_string(&mut text);
    read.map_err(|error| Failure::file(name, format!("cannot be read: {error}")))?;
    if u64::try_from(text.len()).is_ok_and(|length| length <= MAX_TEXT) {
        Ok(text)
    } else {
        Err(Failure::file(name, "it is too long"))
    }
}
