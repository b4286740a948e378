//! What the log gives out for a bundle of evidence, and for the proof of one record.

use std::collections::BTreeSet;
use std::io;
use std::sync::PoisonError;

use stepgate_record::bundle::{
    Format, Manifest, Opening, ProofLine, files, filter_commits, keys_text, note_text, proof_text,
};
use stepgate_record::{
    AuditRead, Checkpoint, Event, Export, ExportSealed, Facet, Filter, Frontier, Hash, Reader, Record,
    SignedNote,
};
use stepgate_types::{Commit, SubjectKind, Who};

use crate::choice::{Choice, Reading};
use crate::given::{Given, Handed};
use crate::{ExportError, Log, LogError, SealError, Stored};

/// How many leaf hashes are read at once, 32 bytes each.
const HASHES: u64 = 65_536;

/// What is to be exported.
#[derive(Debug, Clone)]
pub struct BundleRequest {
    /// A name for it: 32 hexadecimal digits.
    pub id: String,
    /// Which records; people by their names.
    pub filter: Filter,
    /// The form that is added to them.
    pub format: Format,
    /// Whether names are left out.
    pub redacted: bool,
    /// Sizes of checkpoints kept elsewhere that it can be compared with.
    pub meet: BTreeSet<u64>,
    /// The operator, if known.
    pub operator: Option<Who>,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSummary {
    /// How many records.
    pub records: u64,
    /// Size of the tree that the checkpoint signs.
    pub tree_size: u64,
}

/// Takes pieces of the bundle's files, by the file's name; each piece is whole lines.
type Out<'a> = &'a mut dyn FnMut(&'static str, &[u8]) -> io::Result<()>;

impl Log {
    /// Gives out the records asked for, and what proves them: everything of a bundle but what is made from that. That
    /// they were exported is on disk before the first of them leaves. Blocks the thread.
    ///
    /// # Errors
    /// See [`ExportError`]; what was given out so far is no bundle.
    pub fn bundle(&self, mut request: BundleRequest, out: Out<'_>) -> Result<BundleSummary, ExportError> {
        self.resolve(&mut request.filter);
        let end = self.len();
        let floor = self.floor();
        let Choice { records, taken, sha256: selected } = self.choose(&request.filter, floor, end)?;
        let export = Export {
            id: request.id.clone(),
            filter: request.filter.for_record(),
            format: request.format.as_str().to_owned(),
            redacted: request.redacted,
            first: Some(floor),
            end: Some(end),
            selected: Some(selected.to_string()),
        };
        let (id, filter) = (export.id.clone(), export.filter.clone());
        let operator = request.operator.clone();
        let exported = Event::AuditExported { records, export: Some(export), operator };
        let exported = self.append_blocking(vec![exported], Vec::new())?;
        let (frontier, note, keys) = self.shared().checkpoint_with_keys(true)?;
        let mut handed = Handed::default();
        let mut hashed = |file: &'static str, lines: &[u8]| {
            handed.add(file, lines);
            out(file, lines)
        };
        let out: Out<'_> = &mut hashed;
        out(files::CHECKPOINT, note.to_string().as_bytes())?;
        out(files::KEYS, &keys_text(&keys))?;
        // Also where there are none: the file belongs to the bundle.
        out(files::RECORDS, b"")?;
        if let Some(cosigned) = self.cosigned().pop()
            && let Ok(tree) = Checkpoint::of(&cosigned)
            && tree.size <= frontier.end()
        {
            out(files::COSIGNED, cosigned.to_string().as_bytes())?;
            request.meet.insert(tree.size);
        }
        // Whoever kept a checkpoint need not have said so: those that the gate still has are met, too.
        let kept = self.shared().checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        request.meet.extend(kept.sizes());
        drop(kept);
        // Where keys took over, the trees must be met.
        request.meet.extend(keys.handovers().iter().map(|handover| handover.tree().size));
        let mut walk = Walk { out, gap: None, commits: BTreeSet::new(), redacted: request.redacted };
        if let Ok(filter) = serde_json::from_str::<Filter>(&filter) {
            walk.commits.extend(filter_commits(&filter));
        }
        // Of records that were deleted by now the hashes are kept.
        self.each_hash(0, floor, &mut |seq, hash| {
            if request.meet.contains(&seq) {
                walk.end_gap()?;
            }
            walk.skip(seq, hash);
            Ok(())
        })?;
        // Only those that were selected are read again.
        let mut reading = Reading::new(self, frontier.end());
        self.each_hash(floor, frontier.end(), &mut |seq, hash| {
            if request.meet.contains(&seq) {
                walk.end_gap()?;
            }
            if seq == exported {
                walk.exported(&reading.get(seq, hash)?)?;
            } else if seq < end && taken.as_ref().is_none_or(|taken| taken.has(seq)) {
                walk.record(&reading.get(seq, hash)?)?;
            } else {
                walk.skip(seq, hash);
            }
            Ok(())
        })?;
        walk.end_gap()?;
        let Walk { out, commits, .. } = walk;
        if !request.redacted {
            self.openings(commits, out)?;
        }
        self.shared().exports.add(Given {
            id,
            exported,
            filter,
            format: request.format,
            redacted: request.redacted,
            records,
            tree_size: frontier.end(),
            root: frontier.root().map(|root| root.to_string()).unwrap_or_default(),
            files: handed.files(),
        });
        Ok(BundleSummary { records, tree_size: frontier.end() })
    }

    /// What commitments stand for, as far as that is kept.
    fn openings(&self, commits: BTreeSet<Commit>, out: Out<'_>) -> io::Result<()> {
        // The file belongs to the bundle also where there are none.
        out(files::SUBJECTS, b"")?;
        for commit in commits {
            if let Some(subject) = self.subjects().open(&commit) {
                let key = Hash::from_bytes(*subject.key).to_string();
                let line = Opening { commit, kind: subject.kind, value: subject.value, key }.line();
                out(files::SUBJECTS, &[&line[..], b"\n"].concat())?;
            }
        }
        Ok(())
    }

    /// Records what a bundle's manifest is, and signs it where that is asked for: once, and only of what this process gave
    /// out. Blocks the thread.
    ///
    /// # Errors
    /// See [`SealError`]; nothing was signed.
    pub fn seal_bundle(
        &self,
        manifest: &Manifest,
        operator: Option<Who>,
    ) -> Result<Option<SignedNote>, SealError> {
        let origin = Checkpoint::origin(self.id());
        self.shared().exports.take(manifest, self.id(), &origin)?;
        let (sha256, signed) = (manifest.sha256(), manifest.signed);
        let sealed = ExportSealed {
            export: manifest.export.clone(),
            manifest_sha256: Hash::from_bytes(sha256).to_string(),
            signed,
            operator,
        };
        self.append_blocking(vec![Event::AuditExportSealed(sealed)], Vec::new())?;
        let text = note_text(&origin, &sha256);
        let signer = self.shared().checkpoints.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(signed.then(|| signer.sign_text(&text)))
    }

    /// The proof that a record is in the log (C2SP tlog-proof), or `None` if there is none of this number, or
    /// not any more. That it was read is recorded first. Blocks the thread.
    ///
    /// # Errors
    /// The record cannot be read, or that it is cannot be recorded.
    pub fn prove(&self, seq: u64, operator: Option<Who>) -> Result<Option<String>, LogError> {
        if seq >= self.len() || seq < self.floor() {
            return Ok(None);
        }
        let filter = format!("{{\"record\":{seq}}}");
        let read = AuditRead { how: Reader::Prove, filter, records: 1, by: None, operator };
        self.append_blocking(vec![Event::AuditRead(read)], Vec::new())?;
        let (frontier, note, keys) = self.shared().checkpoint_with_keys(true)?;
        let (size, note) = match keys.next_after(seq) {
            Some(handover) => (handover.tree().size, handover.note().clone()),
            None => (frontier.end(), note),
        };
        let Some(stored) = self.read(seq, seq.saturating_add(1)).next().transpose()? else { return Ok(None) };
        let path = self.inclusion(seq, size)?;
        Ok(Some(proof_text(&stored.bytes, &keys, seq, &path, &note)))
    }

    /// Hands the leaf hashes of the records `from..end` to `f`, in order.
    pub(crate) fn each_hash(
        &self,
        from: u64,
        end: u64,
        f: &mut dyn FnMut(u64, Hash) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let mut from = from;
        while from < end {
            let until = end.min(from.saturating_add(HASHES));
            for (seq, hash) in (from..).zip(self.leaf_hashes(from, until)?) {
                f(seq, hash)?;
            }
            from = until;
        }
        Ok(())
    }

    /// Adds to the people and addresses of a filter what they stand for in records.
    fn resolve(&self, filter: &mut Filter) {
        filter.resolve(&mut |facet, text| {
            let kind = match facet {
                Facet::Person => SubjectKind::Person,
                Facet::Address => SubjectKind::Address,
                _ => return None,
            };
            self.subjects().commit_of(kind, text).map(|commit| commit.to_string())
        });
    }
}

/// Records and what proves them, on their way out.
struct Walk<'o> {
    out: Out<'o>,
    gap: Option<(u64, Frontier)>,
    /// Whom the records name.
    commits: BTreeSet<Commit>,
    redacted: bool,
}

impl Walk<'_> {
    fn line(&mut self, file: &'static str, line: &[u8]) -> io::Result<()> {
        (self.out)(file, &[line, b"\n"].concat())
    }

    fn record(&mut self, stored: &Stored) -> Result<(), ExportError> {
        self.end_gap()?;
        self.people(stored)?;
        self.line(files::RECORDS, &stored.bytes)?;
        Ok(self.line(files::PROOF, &ProofLine::record(stored.seq, &stored.hash).line())?)
    }

    fn exported(&mut self, stored: &Stored) -> Result<(), ExportError> {
        self.end_gap()?;
        self.people(stored)?;
        self.line(files::EXPORTED, &stored.bytes)?;
        Ok(self.line(files::PROOF, &ProofLine::exported(stored.seq, &stored.hash).line())?)
    }

    fn people(&mut self, stored: &Stored) -> Result<(), LogError> {
        if !self.redacted {
            decode(stored)?.event.names(&mut |_, who| self.commits.extend(who.commit()));
        }
        Ok(())
    }

    fn skip(&mut self, seq: u64, hash: Hash) {
        self.gap.get_or_insert_with(|| (seq, Frontier::starting_at(seq))).1.push(hash);
    }

    fn end_gap(&mut self) -> io::Result<()> {
        match self.gap.take() {
            Some((begin, over)) => self.line(files::PROOF, &ProofLine::gap(begin, &over).line()),
            None => Ok(()),
        }
    }
}

fn decode(stored: &Stored) -> Result<Record, LogError> {
    Record::decode(&stored.bytes)
        .map_err(|error| LogError::Unreadable { seq: stored.seq, why: format!("is none: {error}") })
}
