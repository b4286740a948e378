//! Requests that outlive a restart (`sealed_requests: true`, DESIGN §4.5): what is held, with all that was asked, is kept
//! encrypted, each request by a key of its own. The key is destroyed when the request ends.
//!
//! Two files a request: what is sealed, and its key, which the vault's master key seals. Both are on disk before the
//! record that opens the request, and go after the record that ends it is. File systems may keep old bytes: a key is
//! written over before it goes, and without it the rest is noise.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stepgate_approval::{Ask, Canonical, Held, Open, Salts, canonical};
use stepgate_types::RequestId;
use zeroize::Zeroizing;

use super::inner::Inner;
use super::read::Reading;
use super::state::Entry;
use crate::Vault;
use crate::files::{sync_dir, write_atomic};

/// Bytes of a request's key.
const KEY: usize = 32;

/// The largest file that is read back, in bytes: a held statement that can be deferred has 1 MiB, which is four times as
/// much in JSON.
const MAX_FILE: u64 = 8 << 20;

/// Where requests are kept.
pub(super) struct Shelf {
    dir: PathBuf,
    vault: Vault,
}

/// A request as it is kept.
#[derive(Serialize)]
struct Kept<'a> {
    ask: &'a Ask,
    held: &'a Held,
    salts: &'a Salts,
}

/// The same, read back.
#[derive(Deserialize)]
pub(super) struct Found {
    pub(super) ask: Ask,
    held: Held,
    salts: Salts,
}

impl Shelf {
    /// Opens the directory; makes it where there is none.
    pub(super) fn open(dir: PathBuf, vault: Vault) -> io::Result<Self> {
        if !dir.exists() {
            fs::DirBuilder::new().mode(0o700).create(&dir)?;
        }
        Ok(Self { dir, vault })
    }

    fn paths(&self, id: RequestId) -> [PathBuf; 2] {
        ["sealed", "key"].map(|kind| self.dir.join(format!("{id}.{kind}")))
    }

    /// Keeps a request, on disk when it returns.
    fn put(&self, id: RequestId, plain: &[u8]) -> io::Result<()> {
        let [sealed, key_file] = self.paths(id);
        let key: Zeroizing<[u8; KEY]> = Zeroizing::new(self.vault.random().map_err(io::Error::other)?);
        let own = self.vault.with_master(&key);
        write_atomic(&sealed, &own.seal(&label(id), plain).map_err(io::Error::other)?)?;
        write_atomic(&key_file, &self.vault.seal(&label(id), &key[..]).map_err(io::Error::other)?)
    }

    /// A request that was kept; `None`: it was not, or its key is gone.
    pub(super) fn find(&self, id: RequestId) -> Option<Found> {
        let [sealed, key] = self.paths(id).map(|path| read(&path));
        let key = self.vault.unseal(&label(id), &key?).ok()?;
        let key: Zeroizing<[u8; KEY]> = Zeroizing::new(key.as_slice().try_into().ok()?);
        let plain = self.vault.with_master(&key).unseal(&label(id), &sealed?).ok()?;
        serde_json::from_slice(&plain).ok()
    }

    /// Destroys a request's key, and what it opens.
    pub(super) fn shred(&self, id: RequestId) {
        let [sealed, key] = self.paths(id);
        let destroyed = write_over(&key).and_then(|()| remove(&key)).and_then(|()| remove(&sealed));
        if let Err(error) = destroyed.and_then(|()| sync_dir(&self.dir)) {
            tracing::error!(%error, request = %id, "what was held for a request that has ended cannot be destroyed");
        }
    }

    /// Destroys all but these.
    pub(super) fn keep_only(&self, open: impl Fn(RequestId) -> bool) {
        let Ok(entries) = fs::read_dir(&self.dir) else { return };
        let mut ended = BTreeSet::new();
        for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let id = path.file_stem().and_then(|stem| stem.to_str()?.parse::<RequestId>().ok());
            match id {
                Some(id) if !open(id) => {
                    ended.insert(id);
                }
                Some(_) => {}
                // A crash left it half written.
                None => {
                    let _stays = fs::remove_file(&path);
                }
            }
        }
        ended.into_iter().for_each(|id| self.shred(id));
    }
}

impl Found {
    /// The request as it was, if these are the very bytes that its record commits to.
    pub(super) fn entry(self, recorded: &Canonical) -> Option<Entry> {
        let Self { ask, held, salts } = self;
        let hash = canonical(&ask, &held, &salts).ok().filter(|hash| hash == recorded)?;
        Some(Entry {
            open: Open::new(ask, hash),
            held,
            salts,
            waiters: Vec::new(),
            // Whoever waited has gone with the gate.
            deferred: true,
            reading: Reading::default(),
            comments: Vec::new(),
        })
    }
}

impl Inner {
    /// Keeps what a request is about, where that is configured and the request can be answered without its client.
    pub(super) async fn keep(&self, entry: &Entry) -> Result<(), super::DeskError> {
        let ask = entry.open.ask();
        let outlives = ask.mode.may_defer() || ask.ahead.is_some();
        let Some(shelf) = self.shelf.clone().filter(|_| outlives) else { return Ok(()) };
        let (id, held, salts) = (ask.id, &entry.held, &entry.salts);
        let plain = serde_json::to_vec(&Kept { ask, held, salts }).map(Zeroizing::new);
        // Two fsyncs: not on a thread that others wait for.
        let put = tokio::task::spawn_blocking(move || shelf.put(id, &plain?)).await;
        put.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            tracing::error!(%error, "a request cannot be kept");
            super::DeskError::NotKept
        })
    }

    /// It has ended, and that is on disk.
    pub(super) async fn forget(&self, id: RequestId) {
        if let Some(shelf) = self.shelf.clone()
            && let Err(error) = tokio::task::spawn_blocking(move || shelf.shred(id)).await
        {
            tracing::error!(%error, request = %id, "what was held for a request that has ended is not destroyed");
        }
    }
}

fn label(id: RequestId) -> String {
    format!("request/{id}")
}

fn read(path: &std::path::Path) -> Option<Vec<u8>> {
    let file = File::open(path).ok()?;
    let size = file.metadata().ok()?.len();
    (size <= MAX_FILE).then(|| fs::read(path).ok()).flatten()
}

fn write_over(path: &std::path::Path) -> io::Result<()> {
    match File::options().write(true).open(path) {
        Ok(file) => {
            let size = usize::try_from(file.metadata()?.len()).unwrap_or(0).min(1 << 16);
            file.write_all_at(&vec![0; size], 0)?;
            file.sync_all()
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &std::path::Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
