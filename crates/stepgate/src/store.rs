//! Opening the data directory: master key, log, people, desk.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use stepgate_store::{Desk, Factors, Finder, Log, LogOptions, OpenError, Opened, People, Profiles, Vault};
use stepgate_types::{Clock, Entropy};
use zeroize::Zeroizing;

use crate::config::Config;
use crate::failure::Failure;
use crate::secret;
use crate::system::{SystemClock, SystemEntropy};

/// How long a data directory may be in use by somebody who has no socket.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often it is tried meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// An open data directory.
pub(crate) struct Store {
    pub(crate) log: Log,
    pub(crate) vault: Vault,
    pub(crate) people: People,
    pub(crate) factors: Factors,
    pub(crate) desk: Desk,
    pub(crate) finder: Finder,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) entropy: Arc<dyn Entropy>,
    /// What opening found.
    pub(crate) opened: Opened,
}

impl Store {
    /// Opens the data directory of this configuration, or makes it there. One process at a time.
    pub(crate) fn open(config: &Config) -> Result<Self, Refused> {
        let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
            (Arc::new(SystemClock), Arc::new(SystemEntropy));
        writable(&config.data)?;
        let vault = Vault::new(&master_key(config)?, Arc::clone(&entropy));
        let options = LogOptions {
            ordinary_durable: config.audit.ordinary_durable,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            clock: Arc::clone(&clock),
            entropy: Arc::clone(&entropy),
            vault: vault.clone(),
        };
        let (log, opened) = Log::open(&config.data, options).map_err(|error| refused(config, &error))?;
        let trouble = |what: &str, error: &dyn std::fmt::Display| {
            Failure::usage(format!("{what} in {} cannot be read: {error}", config.data.display()))
        };
        let people = People::open(&log, &vault).map_err(|error| trouble("people", &error))?;
        let factors = people.factors();
        factors.set_rules(config.factors.clone());
        let kept = config.data.join("requests");
        let desk = Desk::open_with(
            log.clone(),
            people.clone(),
            factors.clone(),
            vault.clone(),
            (Arc::clone(&clock), Arc::clone(&entropy)),
            (config.sealed_requests || kept.exists()).then_some(kept.as_path()),
            config.sealed_requests,
        )
        .map_err(|error| trouble("requests and grants", &error))?;
        let finder = Finder::new(&log);
        Ok(Self { log, vault, people, factors, desk, finder, clock, entropy, opened })
    }

    /// Opens it as [`open`](Self::open) does, as soon as nobody else works on it: a gate that is just stopping, or a short
    /// command. `None` where a gate is found to serve it meanwhile.
    pub(crate) fn open_once_free(
        config: &Config,
        is_served: impl Fn() -> Result<bool, Failure>,
    ) -> Result<Option<Self>, Failure> {
        let began = Instant::now();
        loop {
            if is_served()? {
                return Ok(None);
            }
            match Self::open(config) {
                Ok(store) => return Ok(Some(store)),
                Err(Refused::InUse(_)) if began.elapsed() < PATIENCE => std::thread::sleep(PAUSE),
                Err(refused) => return Err(refused.into()),
            }
        }
    }

    /// The same store for another part of the program.
    pub(crate) fn share(&self) -> Self {
        Self {
            log: self.log.clone(),
            vault: self.vault.clone(),
            people: self.people.clone(),
            factors: self.factors.clone(),
            desk: self.desk.clone(),
            finder: self.finder.clone(),
            clock: Arc::clone(&self.clock),
            entropy: Arc::clone(&self.entropy),
            opened: self.opened.clone(),
        }
    }

    /// What is usual for whom, as the log tells it.
    pub(crate) fn profiles(&self) -> Result<Profiles, Failure> {
        Profiles::open(&self.log).map_err(|error| Failure::usage(format!("profiles cannot be read: {error}")))
    }

    /// Ends the log in an orderly way.
    pub(crate) fn close(&self) -> Result<(), Failure> {
        self.log.close().map_err(|error| Failure::usage(format!("the audit log did not close: {error}")))
    }
}

/// How a backup is opened, by the master key that is there.
pub(crate) fn restoring(config: &Config) -> Result<LogOptions, Failure> {
    let (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>) =
        (Arc::new(SystemClock), Arc::new(SystemEntropy));
    let vault = Vault::new(&read_master_key(&config.master_file)?, Arc::clone(&entropy));
    let version = env!("CARGO_PKG_VERSION").to_owned();
    Ok(LogOptions { ordinary_durable: true, version, clock, entropy, vault })
}

/// Why it does not open.
pub(crate) enum Refused {
    /// Another process works on it.
    InUse(Failure),
    /// Anything else.
    Other(Failure),
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::InUse(failure) | Refused::Other(failure) => failure,
        }
    }
}

/// Says so early, and plainly, if nothing can be written there.
fn writable(data: &Path) -> Result<(), Failure> {
    secret::make_private_dir(data)?;
    let probe = tempfile::Builder::new().prefix(".probe-").tempfile_in(data);
    probe.map(drop).map_err(|error| {
        Failure::file("write to the data directory", data, &error)
            .hint("it must belong to the user that runs stepgate, with mode 0700, on a disk that is not full")
    })
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

fn refused(config: &Config, error: &OpenError) -> Refused {
    let failure = Failure::usage(error.to_string());
    let failure = match error {
        OpenError::InUse { .. } => {
            return Refused::InUse(failure.hint(format!(
                "wait until that process has ended, or end it; if it is another gate, stop it first, or give this one \
                 another `data:` in {}",
                config.file.display()
            )));
        }
        OpenError::WrongKey { .. } => failure.hint(format!(
            "put the key that was made with this data directory back at {}",
            config.master_file.display()
        )),
        OpenError::Damaged { .. } => {
            failure.hint("see what is damaged with `stepgate audit verify` on a copy of the directory")
        }
        OpenError::Io { path, source } if is_full(source) => Failure::usage(format!(
            "the data directory cannot be opened: there is no space to write {} ({source})",
            path.display()
        ))
        .hint("make room on the disk of the data directory, then start again; nothing in it was changed"),
        _ => failure,
    };
    Refused::Other(failure)
}

/// Bytes of the master key.
const KEY: usize = 32;

/// The master key; made anew where there is neither key nor data yet.
fn master_key(config: &Config) -> Result<Zeroizing<[u8; KEY]>, Failure> {
    let path = &config.master_file;
    if !path.exists() {
        if !is_fresh(&config.data) {
            return Err(Failure::usage(format!(
                "the master key {} is missing, and {} was made with it",
                path.display(),
                config.data.display()
            ))
            .hint("restore the key from its backup; without it neither factors nor passwords can be read"));
        }
        make_master_key(path)?;
    }
    read_master_key(path)
}

fn read_master_key(path: &Path) -> Result<Zeroizing<[u8; KEY]>, Failure> {
    let text = secret::read_private(path)?;
    let mut key = Zeroizing::new([0_u8; KEY]);
    let decoded = data_encoding::HEXLOWER_PERMISSIVE.decode(text.trim().as_bytes()).map(Zeroizing::new);
    match decoded {
        Ok(bytes) if bytes.len() == KEY => {
            key.copy_from_slice(&bytes);
            Ok(key)
        }
        _ => Err(Failure::usage(format!("{} is not a master key: 64 hexadecimal digits", path.display()))
            .hint("restore the key from its backup")),
    }
}

/// Writes a fresh master key.
pub(crate) fn make_master_key(path: &Path) -> Result<(), Failure> {
    let mut key = Zeroizing::new([0_u8; KEY]);
    SystemEntropy
        .fill(key.as_mut())
        .map_err(|error| Failure::usage(format!("the operating system gave no randomness: {error}")))?;
    let text = Zeroizing::new(format!("{}\n", data_encoding::HEXLOWER.encode(key.as_ref())));
    if let Some(parent) = path.parent() {
        secret::make_private_dir(parent)?;
    }
    secret::write_new_private(path, text.as_bytes())
}

/// Whether a data directory holds nothing yet.
fn is_fresh(data: &Path) -> bool {
    std::fs::read_dir(data).is_ok_and(|mut entries| entries.next().is_none())
}
