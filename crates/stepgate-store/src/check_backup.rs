//! Verification of a backup where it lies, without the master key and without restoring it.
//!
//! Its manifest is signed by the log's own key and names every file, so these are as they were written. That they are
//! the log, is then checked as of a data directory: one that holds nothing but links to them.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use stepgate_record::verify::{Anchor, Failure, Outcome};

use crate::archive::beside;
use crate::backup::{ENTRIES, FILES, MANIFEST, MARK, Manifest, SEGMENTS, backups, mark_text};
use crate::check::{Checked, check_records};
use crate::files::read_text;
use crate::gather::{CHECKPOINT, HASHES, OFFSETS, SEAL, Seal, digest_file, format_changed, hex_digest};
use crate::layout::{Layout, make_dir};
use crate::restore::{newest, signed_manifest};

/// Whether a directory holds backups of a log, or is the one of a moment (`at-…`); however much of it is missing.
#[must_use]
pub fn is_backup(dir: &Path) -> bool {
    let there = [MARK, SEGMENTS, FILES].iter().any(|name| dir.join(name).exists());
    there && Layout::new(dir).used().is_ok_and(|used| used.is_none())
}

/// Verifies the newest backup in the directory `dir`, or the one of a moment that `dir` is, without changing anything in
/// it.
///
/// # Errors
/// The first thing that is wrong.
pub fn verify_backup(dir: &Path, anchor: Option<&Anchor>) -> Outcome {
    let backup = newest(dir).map_err(|error| Failure::files(error.to_string()))?;
    let outcome = Backup { path: &backup, name: name(&backup) }.verify(anchor);
    // Two newer ones have been made since: that is no finding.
    if outcome.is_err() && !backup.exists() {
        return Err(Failure::hindered(
            "newer backups have taken the place of this one meanwhile: verify again",
        ));
    }
    outcome.map(|mut verified| {
        let others = backups(dir).unwrap_or_default().into_iter().filter(|other| *other != backup);
        let others: Vec<String> = others.map(|other| name(&other)).collect();
        if !others.is_empty() {
            verified.notes.push(format!("not looked at: {}; name it to verify it", others.join(", ")));
        }
        verified
    })
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// One backup.
struct Backup<'b> {
    path: &'b Path,
    name: String,
}

impl Backup<'_> {
    fn verify(&self, anchor: Option<&Anchor>) -> Outcome {
        let (manifest, _) = signed_manifest(self.path).map_err(|error| Failure::files(error.to_string()))?;
        let above = self.path.parent().unwrap_or(self.path);
        match read_text(&above.join(MARK)) {
            Ok(Some(found)) if found != mark_text(&manifest.log_id) => {
                return Err(Failure::files(format!("{MARK} is not of this log")));
            }
            _ => {}
        }
        let hindered = |error: io::Error| {
            let dir = std::env::temp_dir();
            Failure::hindered(format!("no directory of links can be made in {} ({error})", dir.display()))
        };
        let links = tempfile::tempdir().map_err(hindered)?;
        let layout = Layout::new(links.path());
        for dir in [layout.records(), layout.checkpoints()] {
            make_dir(&dir).map_err(hindered)?;
        }
        let found = self.files(&manifest)?.into_iter().chain(segments(&above.join(SEGMENTS), &manifest)?);
        for (name, path) in found {
            let link = links.path().join(name);
            make_dir(link.parent().unwrap_or(links.path())).map_err(hindered)?;
            symlink(std::path::absolute(path).map_err(hindered)?, link).map_err(hindered)?;
        }
        layout.write_format(&manifest.log_id).map_err(|error| Failure::hindered(error.to_string()))?;
        let checked =
            check_records(&layout, anchor).map_err(|failure| too_new(failure, &manifest, anchor))?;
        let Checked { mut verified, changes: (changed, _) } = checked;
        let same = (verified.records, verified.root) == (manifest.size, manifest.root);
        if !same || format_changed(changed) != manifest.changed {
            return Err(Failure::files("it holds other records than its manifest says"));
        }
        // As a copy of a data directory, it would say so of that.
        for note in &mut verified.notes {
            *note = note.replace("in the data directory", "in the backup");
        }
        verified.notes.push(format!(
            "a backup, {}: the log's key signed its manifest, and every file is the one that it names; nothing was \
             restored, and what is kept beside the log was not opened, which takes the master key",
            self.name
        ));
        Ok(verified)
    }

    /// What is not sealed, by its name in a data directory.
    fn files(&self, manifest: &Manifest) -> Result<Vec<(String, PathBuf)>, Failure> {
        let mut found = Vec::new();
        for (name, sha256) in &manifest.files {
            if !Path::new(name).components().all(|part| matches!(part, Component::Normal(_))) {
                return Err(Failure::files(format!("{MANIFEST} names {name}, which is no name of a file")));
            }
            let path = self.path.join(FILES).join(name);
            hold(&path, &format!("{}/{FILES}/{name}", self.name), sha256, MANIFEST)?;
            if name != ENTRIES {
                found.push((name.clone(), path));
            }
        }
        Ok(found)
    }
}

/// The sealed segments, each file by its name in a data directory.
fn segments(dir: &Path, manifest: &Manifest) -> Result<Vec<(String, PathBuf)>, Failure> {
    let mut found = Vec::new();
    for (first, sha256) in &manifest.segments {
        let named = |ending: &str| format!("{SEGMENTS}/{first:020}.{ending}");
        let path = |ending: &str| beside(dir, *first, ending);
        hold(&path(SEAL), &named(SEAL), sha256, MANIFEST)?;
        let text = read_text(&path(SEAL)).ok().flatten();
        let seal = text.filter(|text| hex_digest(text.as_bytes()) == *sha256);
        let seal = seal.and_then(|text| Seal::parse(&text));
        let seal = seal.ok_or_else(|| Failure::files(format!("{} was altered", named(SEAL))))?;
        let mut files = vec![(HASHES, &seal.hashes_sha256)];
        if *first >= manifest.floor {
            files.extend([("log", &seal.records_sha256), (OFFSETS, &seal.offsets_sha256)]);
        }
        for &(ending, sha256) in &files {
            hold(&path(ending), &named(ending), sha256, "its seal")?;
        }
        // Of these two, the log's own check says whether they fit.
        let endings = files.into_iter().map(|(ending, _)| ending).chain([CHECKPOINT, SEAL]);
        let endings: BTreeSet<&str> = endings.collect();
        found.extend(endings.into_iter().map(|ending| {
            let name = format!("records/{first:020}.{ending}");
            (name, path(ending))
        }));
    }
    Ok(found)
}

/// Holds a file against its SHA-256 (hex), which `whose` names.
fn hold(path: &Path, name: &str, sha256: &str, whose: &str) -> Result<(), Failure> {
    match fs::symlink_metadata(path) {
        Ok(there) if there.is_file() => {}
        Ok(_) => return Err(Failure::files(format!("{name} is no plain file"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Failure::files(format!("{name} is missing")));
        }
        Err(error) => return Err(Failure::files(format!("{name} cannot be read: {error}"))),
    }
    let (found, _) =
        digest_file(path).map_err(|error| Failure::files(format!("{name} cannot be read: {error}")))?;
    if found == sha256 {
        return Ok(());
    }
    Err(Failure::files(format!("{name} was altered: it is not the file that {whose} names")))
}

/// With a word on a checkpoint from after the backup, which no backup can hold.
fn too_new(mut failure: Failure, manifest: &Manifest, anchor: Option<&Anchor>) -> Failure {
    let size = manifest.size;
    if anchor.and_then(Anchor::size).is_some_and(|given| given > size) && failure.is_finding() {
        failure.why.push_str(&format!(
            ". The backup is of the first {size} records: compare it with a checkpoint from before it was made"
        ));
    }
    failure
}
