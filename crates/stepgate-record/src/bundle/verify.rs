//! Verification of a bundle, offline and without secrets.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read as _, Write};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::examine::{examine_as, exported, open, read_text};
use super::files::{CHECKPOINT, COSIGNED, COVER, EXPORTED, KEYS, MANIFEST, NOTE, PROOF, RECORDS, SUBJECTS};
use super::manifest::{FileInfo, Manifest};
use super::{Derived, Examined, Files, Format, note_text};
use crate::render::RENDER_VERSION;
use crate::verify::{Anchor, Failure, Outcome, Place, Verified};
use crate::{NoteError, SignedNote};

/// Bytes that are compared at once.
const PIECE: usize = 64 * 1024;

/// Verifies a bundle: each file, and that they belong together.
///
/// # Errors
/// The first thing that is wrong, with the record or the file.
pub fn verify_bundle(files: &dyn Files, anchor: Option<&Anchor>) -> Outcome {
    let text = read_text(files, MANIFEST)?;
    let manifest = read_manifest(&text)?;
    let said = exported(files)?;
    let format = said.format;
    let wanted = wanted(format, &manifest);
    nothing_else(files, &wanted)?;

    // Records first: what is wrong with one of them says more than that its file was changed.
    let derived_name = format.file();
    let mut same = Same { file: derived_name.map(|name| open(files, name)).transpose()?, differs: false };
    let again = (1..=RENDER_VERSION).contains(&manifest.render);
    if !again && !manifest.signed {
        let why = "its derived files are of another version of stepgate, and nobody signed for them: verify it with that \
                   version";
        return Err(Failure::file(MANIFEST, why));
    }
    let examined = if again {
        let result = Derived::of_version(format, manifest.render, &mut same)
            .map_err(|error| Failure::header(error.to_string()))
            .and_then(|derived| examine_as(files, anchor, said, derived));
        match (result, derived_name) {
            (Err(failure), Some(name)) if same.differs => {
                let near = match failure.place {
                    Place::Header => "at its beginning".to_owned(),
                    Place::Record(seq) => format!("at record {seq}"),
                    _ => "at its end".to_owned(),
                };
                return Err(Failure::file(name, format!("it is not what the records make ({near})")));
            }
            (result, _) => result?,
        }
    } else {
        examine_as(files, anchor, said, Derived::new(Format::Jsonl, &mut io::sink()).map_err(unreadable)?)?
    };
    if let Some(name) = derived_name.filter(|_| again)
        && !same.is_at_end()
    {
        return Err(Failure::file(name, "something stands after what the records make"));
    }
    finish(files, anchor.is_some(), &examined, &manifest, &text, &wanted, again)
}

fn finish(
    files: &dyn Files,
    anchored: bool,
    examined: &Examined,
    manifest: &Manifest,
    text: &str,
    wanted: &[&'static str],
    again: bool,
) -> Outcome {
    if again && read_text(files, COVER)? != examined.cover(manifest.signed) {
        return Err(Failure::file(COVER, "it is not what the records make"));
    }
    let mut infos = BTreeMap::new();
    for name in wanted.iter().filter(|name| ![MANIFEST, NOTE].contains(*name)) {
        let info = info(&mut *open(files, name)?).map_err(unreadable)?;
        if manifest.files.get(*name) != Some(&info) {
            return Err(Failure::file(name, "it is not the file that the manifest names"));
        }
        infos.insert((*name).to_owned(), info);
    }
    let mut made = examined.manifest(infos, manifest.signed);
    made.render = manifest.render;
    if made.bytes() != text.as_bytes() {
        return Err(Failure::file(MANIFEST, differing(&made, manifest)));
    }
    if manifest.signed {
        signature(files, examined, manifest).map_err(|error| Failure::file(NOTE, error.to_string()))?;
    }
    examined.compared()?;
    let checkpoint = &examined.checkpoint;
    let (mut policies, left_out) = examined.summary.in_force.listed();
    policies.iter_mut().for_each(|policy| policy.open(&examined.openings));
    let mut notes = notes(examined, manifest, anchored, again, wanted.len());
    notes.extend(left_out);
    Ok(Verified {
        records: examined.summary.records,
        tree_size: checkpoint.size,
        root: checkpoint.root,
        notes,
        policies,
    })
}

/// What `manifest.json` says, in the one form that it is written in.
fn read_manifest(text: &str) -> Result<Manifest, Failure> {
    let wrong = |why: &str| Failure::file(MANIFEST, why);
    let manifest: Manifest =
        serde_json::from_str(text).map_err(|_| wrong("it is no manifest of an evidence bundle"))?;
    if manifest.format != Manifest::FORMAT || manifest.version != Manifest::VERSION {
        return Err(wrong("a bundle of a format that this version does not know"));
    }
    if manifest.bytes() != text.as_bytes() {
        return Err(wrong("not in canonical form"));
    }
    Ok(manifest)
}

/// The files that there must be, and no others.
fn wanted(format: Format, manifest: &Manifest) -> Vec<&'static str> {
    let mut wanted = vec![COVER, MANIFEST, RECORDS, PROOF, CHECKPOINT, KEYS, EXPORTED];
    wanted.extend(format.file());
    if !manifest.redacted {
        wanted.push(SUBJECTS);
    }
    wanted.extend(manifest.files.contains_key(COSIGNED).then_some(COSIGNED));
    if manifest.signed {
        wanted.push(NOTE);
    }
    wanted
}

fn nothing_else(files: &dyn Files, wanted: &[&'static str]) -> Result<(), Failure> {
    let names = files.names();
    if let Some(missing) = wanted.iter().find(|name| !names.iter().any(|there| there == *name)) {
        return Err(Failure::file(missing, "it is missing"));
    }
    if names.len() != wanted.len() {
        return Err(Failure::files("a file is among them that does not belong to the bundle"));
    }
    Ok(())
}

/// The first member that two manifests differ in.
fn differing(made: &Manifest, said: &Manifest) -> String {
    let members = |manifest: &Manifest| match serde_json::to_value(manifest) {
        Ok(Value::Object(members)) => members,
        _ => serde_json::Map::new(),
    };
    let (made, said) = (members(made), members(said));
    let name =
        made.iter().find(|(name, value)| said.get(*name) != Some(value)).map(|(name, _)| name.as_str());
    format!("its `{}` is not that of the records and files here", name.unwrap_or("form"))
}

fn signature(files: &dyn Files, examined: &Examined, manifest: &Manifest) -> Result<(), NoteError> {
    let note = read_text(files, NOTE).map_err(|_| NoteError::Malformed("cannot be read"))?;
    let note: SignedNote = note.parse()?;
    if note.text() != note_text(&manifest.origin, &manifest.sha256()) {
        return Err(NoteError::Malformed("it signs something else than this manifest"));
    }
    note.verify_alone(examined.keys.newest())
}

fn notes(examined: &Examined, manifest: &Manifest, anchored: bool, again: bool, count: usize) -> Vec<String> {
    let names = match (manifest.redacted, examined.unopened()) {
        (true, _) => "no names".to_owned(),
        (false, 0) => format!("{} names opened", examined.openings.len()),
        (false, erased) => format!("{} names opened, {erased} erased", examined.openings.len()),
    };
    let signed = if manifest.signed { "signed manifest" } else { "manifest not signed" };
    let derived = if again { "derived files equal" } else { "derived files as the manifest says" };
    let mut notes = examined.witnessed.clone();
    notes.push(format!("bundle: {count} files, {derived}, {names}, {signed}"));
    if !again {
        notes.push(
            "the derived files were made by another version of stepgate, and were not made again to compare them"
                .to_owned(),
        );
    }
    let bounds = &examined.bounds;
    if !bounds.all && examined.is_whole() {
        notes.push(format!(
            "the filter left nothing out: all {} records that there were are here",
            manifest.records
        ));
    } else if !bounds.all {
        notes.push(format!(
            "a part of the log: {} records of {} in all; that the filter left nothing out is the gate's word",
            manifest.records,
            bounds.end.saturating_sub(bounds.first)
        ));
    }
    if bounds.first > 0 {
        notes.push(format!("the records before number {} had been deleted from the log", bounds.first));
    }
    if !anchored {
        notes.push(
            "checked against the key and checkpoint inside the bundle, which proves that it is consistent, not that \
             it is your gate's; give --checkpoint FILE with a checkpoint or verifier key obtained elsewhere"
                .to_owned(),
        );
    }
    notes
}

/// Length and SHA-256 of a file.
fn info(file: &mut dyn BufRead) -> io::Result<FileInfo> {
    let mut sha256 = Sha256::new();
    let bytes = io::copy(file, &mut Hashing(&mut sha256))?;
    let sha256 = sha256.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(FileInfo { bytes, sha256 })
}

impl FileInfo {
    /// Of a file's content.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn of(file: &mut dyn BufRead) -> io::Result<Self> {
        info(file)
    }
}

struct Hashing<'h>(&'h mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What is written must be what the file holds.
struct Same<'f> {
    file: Option<Box<dyn BufRead + 'f>>,
    differs: bool,
}

impl Same<'_> {
    fn is_at_end(&mut self) -> bool {
        self.file.as_mut().is_none_or(|file| file.fill_buf().is_ok_and(<[u8]>::is_empty))
    }
}

impl Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = bytes.get(..PIECE).unwrap_or(bytes);
        let mut there = vec![0; bytes.len()];
        let read = self.file.as_mut().map_or(Ok(()), |file| file.read_exact(&mut there));
        if read.is_err() || there != bytes {
            self.differs = true;
            return Err(io::Error::other("not what the records make"));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::needless_pass_by_value, reason = "used as a function of errors")]
fn unreadable(error: io::Error) -> Failure {
    Failure::files(format!("cannot be read: {error}"))
}
