//! `audit tiles`: the log as a directory of static files (C2SP tlog-tiles), for readers and monitors of such logs.
//!
//! The gate gives out records and hashes, this side makes files of them. `keys.json` is written first and says whose
//! the directory is, `checkpoint` last: it covers nothing that is not there. A later run goes on from the last full bundle
//! that it covers, and must meet its root.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use stepgate_record::{Checkpoint, Hash, SignedNote, TILE_WIDTH, Tile, Tiles, VerifierKeys};
use stepgate_store::Log;
use stepgate_types::Who;
use tokio::sync::mpsc;

use super::AuditOperator;
use super::bundle::new_id;
use super::live::export_error;
use super::pieces::Pieces;
use crate::failure::Failure;
use crate::operator::{Link, Operator, Reply};
use crate::output;

const CHECKPOINT: &str = "checkpoint";
const KEYS: &str = "keys.json";
const VKEY: &str = "vkey";

/// A line is a record or a hash; no longer than this.
const MAX_LINE: usize = 64 * 1024;

/// What comes before the records.
#[derive(Serialize, Deserialize)]
struct Head {
    checkpoint: String,
    keys: String,
    vkey: String,
    floor: u64,
}

/// Gives out what tiles are made of. Blocks the thread.
pub(super) fn give(
    log: &Log,
    id: String,
    from: u64,
    operator: Option<Who>,
    out: mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Failure::usage("no name of an export"));
    }
    let records = log.len();
    if from > records {
        let why = format!("the tiles go on with record {from}, but the log has {records} records");
        return Err(
            Failure::usage(why).hint("these tiles are another log's, or this log was cut short or restored")
        );
    }
    let rows = out.clone();
    let mut begin = |head: &stepgate_store::TilesHead| {
        let head = Head {
            checkpoint: head.note.to_string(),
            keys: String::from_utf8(head.keys.clone()).map_err(io::Error::other)?,
            vkey: head.vkey.clone(),
            floor: head.floor,
        };
        let row = serde_json::to_value(head).map_err(io::Error::other)?;
        rows.blocking_send(Reply::Row(row)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    };
    log.tiles(from, id, operator, &mut begin, &mut Pieces::new(out)).map_err(|error| export_error(&error))?;
    Ok(None)
}

/// Writes the tiles, or adds to them what is new.
pub(super) fn write(link: &Link, dir: &Path) -> Result<(), Failure> {
    let target = Target { dir: dir.to_owned() };
    let _alone = target.claim()?;
    let before = target.before()?;
    let tiles =
        before.as_ref().map_or_else(|| Ok(Tiles::default()), |before| target.tiles_at(before.size))?;
    let from = tiles.size();
    let mut run =
        Run { target, before, tiles, head: None, rest: Vec::new(), dirs: BTreeSet::new(), written: 0 };
    let command = Operator::audit(AuditOperator::Tiles { id: new_id()?, from });
    link.send(command, &mut |reply| match reply {
        Reply::Row(row) => run.begin(serde_json::from_value(row).map_err(|_| not_understood())?),
        Reply::Text(text) => run.take(text.as_bytes()),
        _ => Ok(()),
    })?;
    let (size, floor, written) = run.end()?;
    output::print_line(&format!(
        "wrote {}: tree size {size}, {written} new tiles and bundles",
        dir.display()
    ))?;
    if floor > from {
        output::print_line(&format!(
            "records before {floor} were deleted by retention: of those the tiles hold the hashes alone"
        ))?;
    }
    Ok(())
}

fn not_understood() -> Failure {
    Failure::unreachable("the gate gave an answer that is not understood")
}

/// The directory.
struct Target {
    dir: PathBuf,
}

impl Target {
    fn trouble(&self, error: &io::Error) -> Failure {
        Failure::file("write", &self.dir, error)
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::usage(format!("{} {why}", self.dir.display())).hint(
            "name a directory that is not there yet, or one that `stepgate audit tiles` of this log has made",
        )
    }

    /// Keeps others from writing there at the same time, until it is dropped; the directory is made where it is missing.
    fn claim(&self) -> Result<File, Failure> {
        // Nobody else reads it, unless it was made so; inside, as the umask says.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.dir);
        let lock = made.and_then(|()| File::open(&self.dir)).map_err(|error| self.trouble(&error))?;
        match lock.try_lock() {
            Ok(()) => Ok(lock),
            Err(TryLockError::WouldBlock) => Err(Failure::no(format!(
                "another `stepgate audit tiles` is writing to {}",
                self.dir.display()
            ))
            .hint("wait until that is done; what it writes is what this would")),
            Err(TryLockError::Error(error)) => Err(self.trouble(&error)),
        }
    }

    fn read(&self, name: &str) -> Result<Option<String>, Failure> {
        match fs::read_to_string(self.dir.join(name)) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::file("read", &self.dir.join(name), &error)),
        }
    }

    /// The tree that an earlier run left; `None` if none did, or no more than the beginning of one.
    fn before(&self) -> Result<Option<Checkpoint>, Failure> {
        let Some(keys) = self.keys()? else {
            let mut names = match fs::read_dir(&self.dir) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                names => names.map_err(|error| self.trouble(&error))?,
            };
            return if names.next().is_none() { Ok(None) } else { Err(self.refused("holds something else")) };
        };
        let Some(text) = self.read(CHECKPOINT)? else { return Ok(None) };
        let note = text.parse::<SignedNote>();
        let tree = note.and_then(|note| keys.verified_among(&note));
        tree.map(Some).map_err(|error| self.refused(&format!("has a checkpoint that was altered: {error}")))
    }

    fn keys(&self) -> Result<Option<VerifierKeys>, Failure> {
        let Some(text) = self.read(KEYS)? else { return Ok(None) };
        let keys = text.strip_suffix('\n').unwrap_or_default().parse();
        keys.map(Some).map_err(|error| self.refused(&format!("has a keys.json that was altered: {error}")))
    }

    /// The tiles as they were after the last full bundle of `size` records.
    fn tiles_at(&self, size: u64) -> Result<Tiles, Failure> {
        let whole = size / TILE_WIDTH * TILE_WIDTH;
        Tiles::resume(whole, &mut |path| fs::read(self.dir.join(path)).ok())
            .ok_or_else(|| self.refused("lacks tiles of the tree that its checkpoint is of"))
    }

    /// Makes a file appear as a whole, on disk; its name is once the directory is synced.
    fn put(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let unfinished = PathBuf::from(unfinished);
        let mut file = File::create(&unfinished)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    }
}

/// Files on their way.
struct Run {
    target: Target,
    /// The tree that was there.
    before: Option<Checkpoint>,
    tiles: Tiles,
    head: Option<(Head, Checkpoint)>,
    /// A line that is not whole yet.
    rest: Vec<u8>,
    /// Directories with new names.
    dirs: BTreeSet<PathBuf>,
    written: u64,
}

impl Run {
    /// The gate's keys must be those of the directory, or continue them.
    fn begin(&mut self, head: Head) -> Result<(), Failure> {
        let keys: VerifierKeys =
            head.keys.strip_suffix('\n').unwrap_or_default().parse().map_err(|_| not_understood())?;
        let note = head.checkpoint.parse::<SignedNote>().map_err(|_| not_understood())?;
        let tree = keys.verified_among(&note).map_err(|_| not_understood())?;
        if self.target.keys()?.is_some_and(|known| !keys.extends(&known)) {
            return Err(self.target.refused("holds the tiles of another log"));
        }
        if self.before.as_ref().is_some_and(|before| before.size > tree.size) {
            return Err(self.target.refused("has a checkpoint over more records than the log has"));
        }
        self.meet()?;
        let put = || {
            self.target.put(&self.target.dir.join(KEYS), head.keys.as_bytes())?;
            self.target.put(&self.target.dir.join(VKEY), format!("{}\n", head.vkey).as_bytes())?;
            File::open(&self.target.dir)?.sync_all()
        };
        put().map_err(|error| self.target.trouble(&error))?;
        self.head = Some((head, tree));
        Ok(())
    }

    /// Takes text of whole lines or parts of them.
    fn take(&mut self, text: &[u8]) -> Result<(), Failure> {
        for part in text.split_inclusive(|byte| *byte == b'\n') {
            self.rest.extend_from_slice(part);
            if self.rest.len() > MAX_LINE {
                return Err(not_understood());
            }
            if self.rest.pop_if(|byte| *byte == b'\n').is_some() {
                let line = std::mem::take(&mut self.rest);
                self.line(&line)?;
            }
        }
        Ok(())
    }

    fn line(&mut self, line: &[u8]) -> Result<(), Failure> {
        let full = if line.starts_with(b"{") {
            self.tiles.push(Hash::leaf(line), Some(line))
        } else {
            let hash = std::str::from_utf8(line).ok().and_then(|line| line.parse().ok());
            self.tiles.push(hash.ok_or_else(not_understood)?, None)
        };
        for tile in full {
            self.add(&tile)?;
        }
        self.meet()
    }

    /// The log must be a continuation of what is there.
    fn meet(&self) -> Result<(), Failure> {
        match &self.before {
            Some(tree) if tree.size == self.tiles.size() && self.tiles.root() != Some(tree.root) => {
                Err(self.target.refused("has tiles of another history than the log's"))
            }
            _ => Ok(()),
        }
    }

    fn add(&mut self, tile: &Tile) -> Result<(), Failure> {
        let path = self.target.dir.join(tile.path());
        let there = match fs::read(&path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => return Err(Failure::file("read", &path, &error)),
        };
        if let Some(there) = there {
            let why = format!("has another {} than the log", tile.path());
            return if there == tile.bytes { Ok(()) } else { Err(self.target.refused(&why)) };
        }
        let parents = path.ancestors().skip(1).take_while(|parent| *parent != self.target.dir);
        self.dirs.extend(parents.map(Path::to_path_buf));
        let made = path.parent().map_or(Ok(()), fs::create_dir_all);
        made.and_then(|()| self.target.put(&path, &tile.bytes))
            .map_err(|error| Failure::file("write", &path, &error))?;
        self.written = self.written.saturating_add(1);
        Ok(())
    }

    /// Adds what is not full, and then the checkpoint; removes what has become full since the last. Returns the tree's
    /// size, the first record that is kept, and how many files are new.
    fn end(mut self) -> Result<(u64, u64, u64), Failure> {
        let Some((head, tree)) = self.head.take() else { return Err(not_understood()) };
        if self.tiles.size() != tree.size || self.tiles.root() != Some(tree.root) || !self.rest.is_empty() {
            return Err(Failure::usage("what the gate gave out is not what its checkpoint signs"));
        }
        for tile in self.tiles.partial() {
            self.add(&tile)?;
        }
        let Self { target, before, dirs, written, .. } = self;
        let sync = |dir: &PathBuf| File::open(dir)?.sync_all();
        let done = dirs.iter().try_for_each(sync).and_then(|()| {
            sync(&target.dir)?;
            target.put(&target.dir.join(CHECKPOINT), head.checkpoint.as_bytes())?;
            sync(&target.dir)
        });
        done.map_err(|error| target.trouble(&error))?;
        for path in before.map(|before| Tiles::unfinished(before.size)).unwrap_or_default() {
            if target.dir.join(&path).exists() {
                match fs::remove_dir_all(target.dir.join(format!("{path}.p"))) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(target.trouble(&error)),
                    _ => {}
                }
            }
        }
        Ok((tree.size, head.floor, written))
    }
}
