//! Opening a data directory: everything is checked first, nothing is repaired or made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use stepgate_record::verify::Known;
use stepgate_record::{Checkpoint, Event, Frontier, Hash, VerifierKey};

use crate::beside::{Beside, BesideError, has_blobs};
use crate::checkpoints::{self, Checkpoints};
use crate::files::{AtPath as _, read_text, remove_dir, sync_dir, write_atomic};
use crate::frame::Digest;
use crate::history::History;
use crate::journal::{Journal, Written};
use crate::layout::{Layout, make_dir};
use crate::log::{Log, LogOptions, Opened};
use crate::migrate;
use crate::queue::Queue;
use crate::records::{Index, Records};
use crate::scan::{self, Damage, End, Found, Scan};
use crate::seal::Watermarks;
use crate::writer::{self, Shared};
use crate::{LogError, OpenError, Subjects};

/// Up to this size, in bytes, the database is copied before it is opened: opening a damaged one rewrites
/// it, and the evidence would be gone.
const MAX_COPIED_BYTES: u64 = 64 * 1024 * 1024;

impl Log {
    /// Opens the log in the data directory `dir`, or makes it there, and records `log.started`.
    ///
    /// # Errors
    /// See [`OpenError`]; a damaged log is never repaired or made anew.
    pub fn open(dir: &Path, options: LogOptions) -> Result<(Self, Opened), OpenError> {
        let layout = Layout::new(dir);
        layout.make_dirs()?;
        let lock = layout.lock()?;
        let used = layout.used()?;
        let created = used.is_none();
        let log_id = match &used {
            Some(used) => used.log_id.clone(),
            None => new_log_id(&layout, &options)?,
        };
        let origin = Checkpoint::origin(&log_id);
        let signer = writer::signer(&origin, &options.vault.key("log checkpoints"))?;
        let verifier_key = signer.verifier_key();
        if !created {
            check_key(&layout, &verifier_key)?;
        }
        if used.is_some_and(|used| used.old) {
            migrate::migrate(&layout, &log_id, &verifier_key)?;
        } else if layout.backup().exists() {
            // A migration was stopped when it was done.
            remove_dir(&layout.old_log()).at(&layout.old_log())?;
        }
        let checkpoints_dir = layout.checkpoints();
        let checkpoints = Checkpoints::new(checkpoints_dir.clone(), origin, signer).at(&checkpoints_dir)?;
        let parts = if created {
            Parts::create(&layout, &log_id)?
        } else {
            Parts::open(&layout, &log_id, &verifier_key)?
        };
        let Parts { records, beside, journal, frontier, prev, torn } = parts;
        let count = frontier.end();
        let beside = Arc::new(beside);
        let subjects = Subjects::open_dir(&layout, &beside, &options.vault)?;
        let shared = Shared {
            queue: Queue::new(count),
            records,
            beside,
            journal,
            marks: Watermarks::new(count, options.ordinary_durable),
            log_id: log_id.clone(),
            frontier: Mutex::new(frontier),
            checkpoints: Mutex::new(checkpoints),
            checkpoints_dir,
            subjects,
            clock: Arc::clone(&options.clock),
        };
        if created {
            shared.checkpoint(true)?;
            let path = layout.verifier_key();
            write_atomic(&path, format!("{verifier_key}\n").as_bytes()).at(&path)?;
            sync_dir(&layout.beside()).at(&layout.beside())?;
            // Last: from here on the directory counts as used.
            layout.write_format(&log_id)?;
        }
        let log = Self::start(shared, prev, verifier_key, options.clock, lock).at(dir)?;
        let mut events = vec![Event::LogStarted { version: options.version }];
        if torn > 0 {
            events.push(Event::LogTailCut { bytes: torn });
        }
        log.append_blocking(events, Vec::new())?;
        log.subjects().clone().finish_shredding(&log).map_err(|error| layout.damaged(error.to_string()))?;
        log.shared().checkpoint_if_dirty()?;
        Ok((log, Opened { created, records: count }))
    }
}

fn new_log_id(layout: &Layout, options: &LogOptions) -> Result<String, OpenError> {
    let checkpoints = layout.checkpoints();
    if checkpoints::claim_records(&checkpoints).at(&checkpoints)? {
        return Err(layout.damaged("format.json is missing, yet checkpoints say that there are records"));
    }
    // If making the directory was interrupted, a checkpoint of the empty log is left.
    fs::remove_dir_all(&checkpoints).at(&checkpoints)?;
    layout.make_dirs()?;
    let mut id = [0; 16];
    options.entropy.fill(&mut id).map_err(|error| LogError::Io(format!("no randomness: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&id))
}

fn check_key(layout: &Layout, key: &VerifierKey) -> Result<(), OpenError> {
    let path = layout.verifier_key();
    match read_text(&path).at(&path)?.map(|text| text.trim_end().parse::<VerifierKey>()) {
        Some(Ok(found)) if found == *key => Ok(()),
        Some(Ok(found)) if found.name() == key.name() => {
            Err(OpenError::WrongKey { dir: layout.dir().to_owned() })
        }
        Some(_) => Err(layout.damaged("log.vkey was altered")),
        None => Err(layout.damaged("log.vkey is missing")),
    }
}

/// What a log is made of, checked.
struct Parts {
    records: Records,
    beside: Beside,
    journal: Journal,
    frontier: Frontier,
    prev: Hash,
    /// Bytes of a half-written batch that were removed.
    torn: u64,
}

impl Parts {
    /// Of a log that does not exist yet.
    fn create(layout: &Layout, log_id: &str) -> Result<Self, OpenError> {
        let dir = layout.records();
        if holds_records(&dir).at(&dir)? || layout.old_log().join("db").exists() {
            return Err(layout.damaged("format.json is missing, yet there are files of records"));
        }
        // Making the directory was interrupted, perhaps.
        for dir in [dir.clone(), layout.beside()] {
            remove_dir(&dir).at(&dir)?;
            make_dir(&dir).at(&dir)?;
        }
        let records = Records::create(&dir, log_id).at(&dir)?;
        let beside = open_beside(layout, Ok)?;
        let journal = Journal::open(&layout.journal()).at(&layout.journal())?;
        journal.wipe().at(&layout.journal())?;
        Ok(Self { records, beside, journal, frontier: Frontier::default(), prev: Hash::ZERO, torn: 0 })
    }

    /// Of a log that was used, held against its checkpoints.
    fn open(layout: &Layout, log_id: &str, key: &VerifierKey) -> Result<Self, OpenError> {
        for (path, name) in
            [(layout.records(), "records"), (layout.db(), "beside/db"), (layout.journal(), "journal")]
        {
            if !path.exists() {
                return Err(layout.damaged(format!("{name} is missing")));
            }
        }
        if has_blobs(&layout.blobs()).at(&layout.blobs())? {
            return Err(layout.damaged("beside/blobs is not empty: no value is that large"));
        }
        let known = checkpoints::read(&layout.checkpoints(), key).map_err(|why| layout.damaged(why))?;
        let dir = layout.records();
        let checked = check_records(&dir, log_id, known).map_err(|why| layout.damaged(why))?;
        let journal = Journal::open(&layout.journal()).at(&layout.journal())?;
        let beside = open_beside(layout, |beside| reconcile(beside, &journal, &checked))?;
        let Checked { frontier, prev, end, index, .. } = checked;
        let records = Records::resume(&dir, log_id, &end, index).at(&dir)?;
        Ok(Self { records, beside, journal, frontier, prev, torn: end.torn })
    }
}

/// Whether files of records hold more than their first line.
fn holds_records(dir: &Path) -> std::io::Result<bool> {
    let files = match scan::files(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    for first in files {
        let bytes = fs::read(dir.join(scan::file_name(first)))?;
        if bytes.iter().skip_while(|byte| **byte != b'\n').skip(1).any(|byte| *byte != 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Opens sled and has it checked.
fn open_beside(
    layout: &Layout,
    check: impl FnOnce(Beside) -> Result<Beside, String>,
) -> Result<Beside, OpenError> {
    let copy = copy_db(layout)?;
    let opened = match Beside::open(&layout.beside()) {
        Err(BesideError::InUse) => return Err(OpenError::InUse { dir: layout.dir().to_owned() }),
        Err(BesideError::Damaged(why)) => Err(why),
        Ok(beside) => check(beside),
    };
    match opened {
        Ok(opened) => {
            if let Some(copy) = copy {
                fs::remove_file(&copy).at(&copy)?;
            }
            Ok(opened)
        }
        Err(why) => {
            let Some(copy) = copy else { return Err(layout.damaged(why)) };
            // The first refusal's evidence stays; later ones see what opening has left.
            let evidence = layout.dir().join("db.evidence");
            if evidence.exists() {
                fs::remove_file(&copy).at(&copy)?;
            } else {
                fs::rename(&copy, &evidence).at(&copy)?;
            }
            Err(layout.damaged(format!("{why} (beside/db as it was found: {})", evidence.display())))
        }
    }
}

fn copy_db(layout: &Layout) -> Result<Option<PathBuf>, OpenError> {
    let (db, copy) = (layout.db(), layout.dir().join("db.before-opening"));
    let bytes = match fs::metadata(&db) {
        Ok(data) => data.len(),
        Err(_) => return Ok(None),
    };
    if bytes > MAX_COPIED_BYTES {
        return Ok(None);
    }
    fs::copy(&db, &copy).at(&copy)?;
    File::open(&copy).and_then(|file| file.sync_all()).at(&copy)?;
    Ok(Some(copy))
}

/// Brings what is beside the log to where the log is: a stop may have come between the two.
fn reconcile(beside: Beside, journal: &Journal, checked: &Checked) -> Result<Beside, String> {
    beside.check()?;
    let state = beside.state().last;
    if state == checked.changed {
        journal.wipe().map_err(|error| format!("the journal cannot be written: {error}"))?;
        return Ok(beside);
    }
    let written = journal.read().map_err(|error| format!("the journal cannot be read: {error}"))?;
    match written {
        Some(Written { first, digest, changes })
            if Some((first, digest)) == checked.changed && state == checked.changed_before =>
        {
            beside.apply(first, digest, &changes)?;
            Ok(beside)
        }
        _ => Err(format!(
            "what is kept beside the log ends with the change of {}, the log with that of {}",
            named(state),
            named(checked.changed)
        )),
    }
}

fn named(change: Option<(u64, Digest)>) -> String {
    change.map_or_else(|| "no record".to_owned(), |(first, _)| format!("record {first}"))
}

/// What reading all records has shown.
pub(crate) struct Checked {
    pub(crate) frontier: Frontier,
    prev: Hash,
    end: End,
    index: Index,
    /// The last batch that changed something beside the log, and the one before it.
    changed: Option<(u64, Digest)>,
    changed_before: Option<(u64, Digest)>,
}

/// Hashes all records that the newest checkpoint covers and reads those after it.
pub(crate) fn check_records(dir: &Path, log_id: &str, known: Vec<Known>) -> Result<Checked, String> {
    let unreadable = |error: std::io::Error| format!("records cannot be read: {error}");
    let mut scan = Scan::new(dir, log_id).map_err(unreadable)?;
    let mut history = History::new(log_id, known);
    let mut index = Index::default();
    let (mut changed, mut changed_before) = (None, None);
    let end = loop {
        let before = scan.place();
        match scan.advance().map_err(|Damage { record, why }| format!("record {record} {why}"))? {
            Found::End(end) => break end,
            Found::Frame(frame) => {
                for (seq, bytes, hash) in frame.records() {
                    history.take(seq, bytes, hash)?;
                }
                let first = frame.header.first;
                if !frame.sound {
                    return Err(format!("record {first}, or what was written with it, was changed"));
                }
                if let Some(place) = before.filter(|(file, _)| scan.place().is_some_and(|now| now.0 == *file))
                {
                    index.note(first, place);
                }
                if let Some(digest) = frame.header.changes {
                    changed_before = changed.replace((first, digest));
                }
            }
        }
    };
    let (frontier, prev) = history.finish()?;
    Ok(Checked { frontier, prev, end, index, changed, changed_before })
}
