//! What is kept beside the log, as far as it can be checked without its keys.

use std::{fs, io};

use stepgate_record::verify::Failure;

use crate::beside::{Beside, BesideError};
use crate::check_single;
use crate::gather::Changed;
use crate::journal;
use crate::layout::Layout;
use crate::open::MAX_COPIED_BYTES;
use crate::space::{is_no_space, spare};
use crate::subjects::epochs;

/// There is no room for the copy: that is no finding.
fn hindered(error: &io::Error) -> Failure {
    let dir = std::env::temp_dir();
    Failure::hindered(format!("no copy of beside/db can be made and opened in {} ({error})", dir.display()))
}

/// Holds what is kept beside the log against its sum, and against the log: on a copy, since opening it changes it.
pub(crate) fn check_beside(
    layout: &Layout,
    (changed, before): (Changed, Changed),
) -> Result<Option<String>, Failure> {
    let trouble = |error: std::io::Error| Failure::files(format!("beside: {error}"));
    if !layout.db().exists() {
        return Err(Failure::files("beside/db is missing"));
    }
    check_single::check_journal(layout)?;
    let copy = tempfile::tempdir().map_err(|error| hindered(&error))?;
    let mut bytes = 0_u64;
    for entry in fs::read_dir(layout.beside()).map_err(trouble)? {
        let entry = entry.map_err(trouble)?;
        let data = entry.metadata().map_err(trouble)?;
        bytes = bytes.saturating_add(data.len());
        if bytes > MAX_COPIED_BYTES {
            check_single::check_kek(layout, None)?;
            return Ok(Some("what is kept beside the log is too large to be checked on a copy".to_owned()));
        }
        if data.is_file() {
            let copied = fs::copy(entry.path(), copy.path().join(entry.file_name()));
            copied.map_err(|error| if is_no_space(&error) { hindered(&error) } else { trouble(error) })?;
        }
    }
    let beside = match Beside::open(copy.path()) {
        Ok(beside) => beside,
        Err(_) if spare(copy.path()).is_err() => return Err(hindered(&io::ErrorKind::StorageFull.into())),
        Err(BesideError::InUse) => return Err(Failure::files("beside/db is in use")),
        Err(BesideError::Damaged(why)) => return Err(Failure::files(format!("beside/db: {why}"))),
    };
    beside.check().map_err(Failure::files)?;
    let sealed_by = epochs(&beside).map_err(Failure::files)?;
    check_single::check_kek(layout, Some(&sealed_by.into_iter().flatten().collect()))?;
    let state = beside.state().last;
    if state == changed {
        return Ok(None);
    }
    let written = journal::read_file(&layout.journal());
    let written = written.map_err(|error| Failure::files(format!("journal: {error}")))?;
    let pending = written.is_some_and(|written| Some((written.first, written.digest)) == changed);
    if pending && state == before {
        return Ok(Some(
            "a last change beside the log was on its way, and is made at the next start".to_owned(),
        ));
    }
    let why = "what is kept beside the log is not as new, or as old, as the log: it was put back or removed";
    if state == before {
        return Err(Failure::files(format!("{why}, or journal, which had its last change, was damaged")));
    }
    Err(Failure::files(why))
}
