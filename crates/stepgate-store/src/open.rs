//! Opening a data directory: everything is checked first, nothing is repaired or made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use stepgate_record::verify::Known;
use stepgate_record::{Checkpoint, Event, Frontier, Hash, NoteSigner, Started, VerifierKeys};
use stepgate_types::Timestamp;

use crate::archive::{Archive, Seals};
use crate::beside::{Beside, BesideError, has_blobs};
use crate::checkpoints::{self, Checkpoints};
use crate::files::{AtPath as _, remove_dir, sync_dir, write_atomic};
use crate::frame::Digest;
use crate::gather::Changed;
use crate::history::History;
use crate::journal::{Journal, Written};
use crate::keys;
use crate::layout::{Layout, make_dir};
use crate::log::{Log, LogOptions, Opened};
use crate::migrate;
use crate::queue::Queue;
use crate::records::{Index, Records};
use crate::scan::{self, Damage, End, Found, Scan};
use crate::seal::Watermarks;
use crate::slim::time_of;
use crate::tape::SEGMENT_RECORDS;
use crate::writer::Shared;
use crate::{LogError, OpenError, Subjects, retention};

/// Up to this size, in bytes, the database is copied before it is opened: opening a damaged one rewrites
/// it, and the evidence would be gone.
pub(crate) const MAX_COPIED_BYTES: u64 = 64 * 1024 * 1024;

/// What is said of a larger one.
const NOT_COPIED: &str = " (beside/db is over 64 MiB, so it was not copied before it was opened, and opening may have \
     rewritten it: what it was like before is only in backups)";

impl Log {
    /// Opens the log in the data directory `dir`, or makes it there, and records `log.started`.
    ///
    /// # Errors
    /// See [`OpenError`]; a damaged log is never repaired or made anew.
    pub fn open(dir: &Path, options: LogOptions) -> Result<(Self, Opened), OpenError> {
        Self::open_with_segments(dir, options, SEGMENT_RECORDS)
    }

    /// [`Log::open`] with segments of another size, for tests: those that are there keep theirs.
    ///
    /// # Errors
    /// As [`Log::open`].
    #[doc(hidden)]
    pub fn open_with_segments(
        dir: &Path,
        options: LogOptions,
        segment: u64,
    ) -> Result<(Self, Opened), OpenError> {
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
        let (keys, signer) = keys_of(&layout, &origin, &options, created)?;
        if used.is_some_and(|used| used.old) {
            migrate::migrate(&layout, &log_id, &keys)?;
        } else if layout.backup().exists() {
            // A migration was stopped when it was done.
            remove_dir(&layout.old_log()).at(&layout.old_log())?;
        }
        let checkpoints_dir = layout.checkpoints();
        let checkpoints =
            Checkpoints::new(checkpoints_dir.clone(), keys.clone(), signer).at(&checkpoints_dir)?;
        let parts = if created {
            Parts::create(&layout, &log_id, segment)?
        } else {
            Parts::open(&layout, &log_id, &keys, segment)?
        };
        let Parts { records, archive, beside, journal, frontier, prev, last_at, torn, checked } = parts;
        let count = frontier.end();
        let beside = Arc::new(beside);
        let subjects = Subjects::open_dir(&layout, &beside, &options.vault)?;
        let shared = Shared {
            queue: Queue::new(count, last_at),
            records,
            beside,
            journal,
            marks: Watermarks::new(count, options.ordinary_durable),
            log_id: log_id.clone(),
            frontier: Mutex::new(frontier),
            writing: Mutex::default(),
            archive,
            upkeep: Mutex::default(),
            #[cfg(test)]
            seals: std::sync::atomic::AtomicBool::default(),
            checkpoints: Mutex::new(checkpoints),
            checkpoints_dir,
            rotating: Mutex::default(),
            exports: crate::given::Exports::default(),
            keys_file: layout.keys(),
            vault: options.vault,
            subjects,
            clock: Arc::clone(&options.clock),
        };
        retention::settle(&shared).map_err(|why| layout.damaged(why))?;
        if created {
            shared.checkpoint(true)?;
            let path = layout.verifier_key();
            write_atomic(&path, format!("{}\n", keys.first()).as_bytes()).at(&path)?;
            sync_dir(&layout.beside()).at(&layout.beside())?;
            // Last: from here on the directory counts as used.
            layout.write_format(&log_id)?;
            // Its own name, too. Where what it lies in cannot be opened, somebody else has made it.
            let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
            let _ = sync_dir(parent.unwrap_or(Path::new(".")));
        }
        let log = Self::start(shared, prev, options.clock, lock).at(dir)?;
        let started = Started {
            checked_from: checked.map(|(from, _)| from),
            records: checked.map(|_| count),
            checkpoint_size: checked.map(|(_, covered)| covered),
            ..Started::new(options.version)
        };
        let mut events = vec![Event::LogStarted(started)];
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
    if holds_records(&layout.records()).at(&layout.records())? || layout.old_log().join("db").exists() {
        return Err(layout.damaged("format.json is missing, yet there are files of records"));
    }
    // Making a log begins with its records and ends with its key: what is there later is not there without the former.
    let begun = layout.records().exists()
        && layout.db().exists()
        && checkpoints::any(&checkpoints).at(&checkpoints)?;
    if layout.verifier_key().exists() && !begun {
        return Err(layout.damaged("format.json and other parts of the log are missing, log.vkey is there"));
    }
    if layout.db().exists() {
        let holds = open_beside(layout, Ok)?.holds_anything().map_err(|why| layout.damaged(why))?;
        if holds {
            return Err(layout.damaged("format.json is missing, yet something is kept in beside/db"));
        }
    }
    // If making the directory was interrupted, a checkpoint of the empty log is left.
    fs::remove_dir_all(&checkpoints).at(&checkpoints)?;
    layout.make_dirs()?;
    let mut id = [0; 16];
    options.entropy.fill(&mut id).map_err(|error| LogError::Io(format!("no randomness: {error}")))?;
    Ok(data_encoding::HEXLOWER.encode(&id))
}

/// The log's keys, which must be of this master key, and the signer of the newest.
fn keys_of(
    layout: &Layout,
    origin: &str,
    options: &LogOptions,
    created: bool,
) -> Result<(VerifierKeys, NoteSigner), OpenError> {
    if created {
        let signer = keys::signer(&options.vault, origin, 0)?;
        return Ok((signer.verifier_key().into(), signer));
    }
    let keys = keys::read(layout, origin).map_err(|why| layout.damaged(why))?;
    let signer = keys::own(layout, &options.vault, &keys)?;
    Ok((keys, signer))
}

/// What a log is made of, checked.
struct Parts {
    records: Records,
    archive: Archive,
    beside: Beside,
    journal: Journal,
    frontier: Frontier,
    prev: Hash,
    /// When the last record was made.
    last_at: Option<Timestamp>,
    /// Bytes of a half-written batch that were removed.
    torn: u64,
    /// From which record on it was read again, and how many the newest checkpoint covers; `None`: it is new.
    checked: Option<(u64, u64)>,
}

impl Parts {
    /// Of a log that does not exist yet.
    fn create(layout: &Layout, log_id: &str, segment: u64) -> Result<Self, OpenError> {
        let dir = layout.records();
        // Making the directory was interrupted, perhaps.
        for dir in [dir.clone(), layout.beside()] {
            remove_dir(&dir).at(&dir)?;
            make_dir(&dir).at(&dir)?;
        }
        let records = Records::create(&dir, log_id, segment).at(&dir)?;
        let archive = Archive::new(&dir, Vec::new(), 0);
        let beside = open_beside(layout, Ok)?;
        let journal = Journal::open(&layout.journal()).at(&layout.journal())?;
        journal.wipe().at(&layout.journal())?;
        let (frontier, prev) = (Frontier::default(), Hash::ZERO);
        let (last_at, torn, checked) = (None, 0, None);
        Ok(Self { records, archive, beside, journal, frontier, prev, last_at, torn, checked })
    }

    /// Of a log that was used, held against its checkpoints.
    fn open(layout: &Layout, log_id: &str, keys: &VerifierKeys, segment: u64) -> Result<Self, OpenError> {
        for (path, name) in
            [(layout.records(), "records"), (layout.db(), "beside/db"), (layout.journal(), "journal")]
        {
            if !path.exists() {
                return Err(layout.damaged(format!("{name} is missing: put it back, or restore a backup")));
            }
        }
        if has_blobs(&layout.blobs()).at(&layout.blobs())? {
            return Err(layout.damaged("beside/blobs is not empty: no value is that large"));
        }
        let known = keys::all_known(layout, keys).map_err(|why| layout.damaged(why))?;
        let dir = layout.records();
        let seals = Seals::read(&dir, log_id, keys).map_err(|why| layout.damaged(why))?;
        let checked = check_records(&dir, log_id, known, &seals).map_err(|why| layout.damaged(why))?;
        let journal = Journal::open(&layout.journal()).at(&layout.journal())?;
        let beside = open_beside(layout, |beside| reconcile(beside, &journal, &checked))?;
        let Checked { frontier, prev, last_at, end, index, floor, from, covered, .. } = checked;
        let records = Records::resume(&dir, log_id, &end, index, segment).at(&dir)?;
        let archive = Archive::new(&dir, seals.seals, floor);
        let (torn, checked) = (end.torn, Some((from, covered)));
        Ok(Self { records, archive, beside, journal, frontier, prev, last_at, torn, checked })
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
    // Opening may cut it short.
    let large = fs::metadata(layout.db()).is_ok_and(|db| db.len() > MAX_COPIED_BYTES);
    let opened = match Beside::open(&layout.beside()) {
        Err(BesideError::InUse) => return Err(layout.in_use()),
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
            let Some(copy) = copy else {
                return Err(layout.damaged(why + if large { NOT_COPIED } else { "" }));
            };
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
    let copied = fs::copy(&db, &copy).and_then(|_| File::open(&copy)?.sync_all());
    if copied.is_err() {
        // Half a copy is no evidence, and takes the room.
        let _ = fs::remove_file(&copy);
    }
    copied.at(&copy)?;
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

/// What reading the records has shown.
pub(crate) struct Checked {
    pub(crate) frontier: Frontier,
    prev: Hash,
    /// When the last record was made.
    last_at: Option<Timestamp>,
    end: End,
    index: Index,
    /// The first record that is there.
    floor: u64,
    /// The first that was read again.
    from: u64,
    /// How many the newest checkpoint covers.
    covered: u64,
    /// The last batch that changed something beside the log, and the one before it.
    changed: Changed,
    changed_before: Changed,
}

/// Hashes the records that the newest checkpoint covers, and reads those after it. Of what is sealed, only the newest
/// segment: the others are what their seals say, which stand under the same checkpoints.
pub(crate) fn check_records(
    dir: &Path,
    log_id: &str,
    mut known: Vec<Known>,
    seals: &Seals,
) -> Result<Checked, String> {
    let unreadable = |error: std::io::Error| format!("records cannot be read: {error}");
    let floor = first_there(dir, seals)?;
    let newest = seals.seals.len().saturating_sub(1);
    let carry = seals.carry(newest).ok_or("a seal is malformed")?;
    let from = carry.frontier.end();
    known.extend_from_slice(&seals.known);
    known.sort_by_key(|known| known.size);
    for known in known.iter().filter(|known| known.size == from) {
        if carry.frontier.root() != Some(known.root) {
            let (size, source) = (known.size, &known.source);
            return Err(format!("one or more of the {size} records that {source} signs were altered"));
        }
    }
    let covered = known.last().map_or(0, |known| known.size);
    let mut scan = Scan::from_file(dir, log_id, from).map_err(unreadable)?;
    let mut history = History::new(log_id, known).after(carry.frontier, carry.prev);
    let mut index = Index::default();
    let (mut changed, mut changed_before) = carry.changes;
    let mut last = None;
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
                last = Some(frame);
            }
        }
    };
    let (frontier, prev) = history.finish()?;
    let last_at = last.and_then(|frame| frame.records().last().and_then(|(_, bytes, _)| time_of(bytes)));
    let last_at = last_at.map(Timestamp::from_micros);
    Ok(Checked { frontier, prev, last_at, end, index, floor, from, covered, changed, changed_before })
}

/// The first record whose file is there. From it on, all that are sealed must be.
pub(crate) fn first_there(dir: &Path, seals: &Seals) -> Result<u64, String> {
    let files = scan::files(dir).map_err(|error| format!("records cannot be listed: {error}"))?;
    let floor = files.front().copied().ok_or("there is no file of records")?;
    let begins = floor == 0 || seals.seals.iter().any(|seal| seal.first == floor);
    let newest = seals.seals.last().map_or(0, |seal| seal.first);
    if !begins || floor > newest {
        return Err(format!("record {} is missing", seals.seals.last().map_or(0, |seal| seal.first)));
    }
    let lacking = seals.seals.iter().find(|seal| seal.first >= floor && !files.contains(&seal.first));
    match lacking {
        Some(seal) => Err(format!("record {} is missing: its file is not there", seal.first)),
        None => Ok(floor),
    }
}
