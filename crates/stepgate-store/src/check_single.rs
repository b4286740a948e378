//! The files of a data directory that hold no record and yet are needed: `journal` and `subjects.kek`.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;

use stepgate_record::verify::Failure;

use crate::kek;
use crate::layout::Layout;

fn failure(what: &str, how: &str) -> Failure {
    Failure::files(format!(
        "{what} {how}: no gate opens the directory without it. The records themselves are sound. Put the file back \
         from a backup, or restore one"
    ))
}

/// Whether the journal is there and can be read; whether it fits what is in it is told by who knows what should be.
pub(crate) fn check_journal(layout: &Layout) -> Result<(), Failure> {
    let path = layout.journal();
    match fs::symlink_metadata(&path) {
        Ok(data) if data.is_file() => readable(&path),
        Ok(_) => Err(failure("journal", "is damaged: it is no file")),
        Err(error) => Err(failure("journal", &format!("is missing ({error})"))),
    }
}

fn readable(path: &Path) -> Result<(), Failure> {
    File::open(path).map(drop).map_err(|error| failure("journal", &format!("cannot be read ({error})")))
}

/// Whether the key of personal values is there, in its form, and of these epochs. That it is the right one only the
/// master key tells. `None`: it is not known whether anything is sealed by it.
pub(crate) fn check_kek(layout: &Layout, sealed: Option<&BTreeSet<u64>>) -> Result<(), Failure> {
    const WHAT: &str = "subjects.kek, the key of personal values,";
    if sealed.is_some_and(BTreeSet::is_empty) {
        // It is made when it is first needed.
        return Ok(());
    }
    let path = layout.subjects_key();
    let found: BTreeSet<u64> =
        [&path, &layout.next_subjects_key()].into_iter().filter_map(|path| kek::epoch(path)).collect();
    if found.is_empty() {
        return Err(failure(WHAT, if path.exists() { "is damaged" } else { "is missing" }));
    }
    if sealed.is_some_and(|sealed| !sealed.is_subset(&found)) {
        return Err(failure(WHAT, "is not the one that they are sealed by"));
    }
    Ok(())
}

/// Both, beside a gate that may be about to change the key.
pub(crate) fn check_live(layout: &Layout) -> Result<(), Failure> {
    check_journal(layout)?;
    check_kek(layout, None).or_else(|_| check_kek(layout, None))
}
