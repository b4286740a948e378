//! Opening a data directory: everything is checked first, nothing is repaired or made anew.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use stepgate_record::verify::{Chain, Known};
use stepgate_record::{Checkpoint, Event, Frontier, Hash, VerifierKey};

use crate::checkpoints::{self, Checkpoints};
use crate::disk::{Disk, DiskError, has_blobs};
use crate::files::{AtPath as _, read_text, sync_dir, write_atomic};
use crate::layout::Layout;
use crate::log::{Log, LogOptions, Opened};
use crate::seal::Watermarks;
use crate::writer::{self, Shared};
use crate::{LogError, OpenError};

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
        let found = layout.log_id()?;
        let created = found.is_none();
        let log_id = match found {
            Some(log_id) => log_id,
            None => new_log_id(&layout, &options)?,
        };
        let origin = Checkpoint::origin(&log_id);
        let signer = writer::signer(&origin, &options.vault.key("log checkpoints"))?;
        let verifier_key = signer.verifier_key();
        if !created {
            check_key(&layout, &verifier_key)?;
        }
        let checkpoints_dir = layout.checkpoints();
        let checkpoints = Checkpoints::new(checkpoints_dir.clone(), origin, signer).at(&checkpoints_dir)?;
        let (disk, frontier, prev) = open_disk(&layout, &log_id, &verifier_key, created)?;
        let records = frontier.end();
        let shared = Shared {
            disk,
            marks: Watermarks::new(records, options.ordinary_durable),
            log_id: log_id.clone(),
            frontier: Mutex::new(frontier),
            checkpoints: Mutex::new(checkpoints),
            checkpoints_dir,
        };
        if created {
            shared.checkpoint(true)?;
            let path = layout.verifier_key();
            write_atomic(&path, format!("{verifier_key}\n").as_bytes()).at(&path)?;
            sync_dir(&layout.log()).at(&layout.log())?;
            // Last: from here on the directory counts as used.
            layout.write_format(&log_id)?;
        }
        let log = Self::start(shared, prev, verifier_key, options.clock, lock).at(dir)?;
        log.append_blocking(vec![Event::LogStarted { version: options.version }], Vec::new())?;
        log.shared().checkpoint_if_dirty()?;
        Ok((log, Opened { created, records }))
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

/// Opens the database and holds it against its checkpoints.
fn open_disk(
    layout: &Layout,
    log_id: &str,
    key: &VerifierKey,
    created: bool,
) -> Result<(Disk, Frontier, Hash), OpenError> {
    if !created && !layout.db().exists() {
        return Err(layout.damaged("log/db is missing"));
    }
    if has_blobs(&layout.blobs()).at(&layout.blobs())? {
        return Err(layout.damaged("log/blobs is not empty: no record or value is that large"));
    }
    let known = if created {
        Vec::new()
    } else {
        checkpoints::read(&layout.checkpoints(), key).map_err(|why| layout.damaged(why))?
    };
    let copy = copy_db(layout)?;
    let opened = match Disk::open(&layout.log()) {
        Err(DiskError::InUse) => return Err(OpenError::InUse { dir: layout.dir().to_owned() }),
        Err(DiskError::Damaged(why)) => Err(why),
        Ok(disk) => match check_records(&disk, log_id, known) {
            Err(why) => Err(why),
            Ok((frontier, _)) if created && frontier.end() > 0 => {
                Err("format.json is missing, yet log/db holds records".to_owned())
            }
            Ok((frontier, prev)) => Ok((disk, frontier, prev)),
        },
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
            Err(layout.damaged(format!("{why} (log/db as it was found: {})", evidence.display())))
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

/// Hashes all records that the newest checkpoint covers and reads those after it. Returns the tree and the
/// hash of the last record.
fn check_records(disk: &Disk, log_id: &str, mut known: Vec<Known>) -> Result<(Frontier, Hash), String> {
    let (mut frontier, mut prev) = (Frontier::default(), Hash::ZERO);
    let covered = known.last().map_or(0, |known| known.size);
    known.reverse();
    let mut tail: Option<Chain> = None;
    for item in disk.records(0) {
        meet(&frontier, &mut known)?;
        let next = frontier.end();
        let (seq, bytes) = item.map_err(|why| format!("record {next} cannot be read: {why}"))?;
        if seq != next {
            return Err(format!("record {next} is missing, records after it are there"));
        }
        if next >= covered {
            let chain =
                tail.get_or_insert_with(|| Chain::new(log_id, frontier.clone(), Vec::new()).after(prev));
            chain.push(&bytes).map_err(|failure| format!("{}: {}", failure.place, failure.why))?;
        }
        prev = Hash::leaf(&bytes);
        frontier.push(prev);
    }
    meet(&frontier, &mut known)?;
    if let Some(chain) = tail {
        chain.finish(None).map_err(|failure| format!("{}: {}", failure.place, failure.why))?;
    }
    match known.last() {
        None => Ok((frontier, prev)),
        Some(known) => Err(format!(
            "the log holds {} records, but {} covers {}: record {} and those after it are gone (the database \
             was cut short, or ends where a byte of it was changed)",
            frontier.end(),
            known.source,
            known.size,
            frontier.end()
        )),
    }
}

fn meet(frontier: &Frontier, known: &mut Vec<Known>) -> Result<(), String> {
    while let Some(met) = known.pop_if(|known| known.size == frontier.end()) {
        if frontier.root() != Some(met.root) {
            return Err(format!(
                "one or more of the {} records that {} signs were altered",
                met.size, met.source
            ));
        }
    }
    Ok(())
}
