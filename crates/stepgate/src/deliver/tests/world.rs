//! A log with records in it, and one sink at work on it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepgate_record::Event;
use stepgate_store::{CursorFile, FoundCursor, Log, LogOptions, Vault};
use stepgate_types::Clock;
use tokio::runtime::Runtime;
use tokio::sync::watch;

use super::super::Delivery;
use crate::config::{Audit, Notifier, Sink, Way};
use crate::system::{SystemClock, SystemEntropy};

/// How long anything may take.
pub(super) const SOON: Duration = Duration::from_secs(20);

/// A log in a directory of its own.
pub(super) struct World {
    pub(super) log: Log,
    pub(super) dir: tempfile::TempDir,
    pub(super) runtime: Runtime,
}

/// A delivery at work; stopped when dropped.
pub(super) struct Running<'a> {
    pub(super) delivery: Delivery,
    down: watch::Sender<bool>,
    end: Option<std::pin::Pin<Box<dyn Future<Output = ()> + Send>>>,
    world: &'a World,
}

impl World {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let entropy = Arc::new(SystemEntropy);
        let options = LogOptions {
            ordinary_durable: true,
            version: "test".to_owned(),
            clock: Arc::new(SystemClock),
            entropy: entropy.clone(),
            vault: Vault::new(&zeroize::Zeroizing::new([7; 32]), entropy),
        };
        let (log, _) = Log::open(&dir.path().join("data"), options).unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { log, dir, runtime }
    }

    pub(super) fn data(&self) -> std::path::PathBuf {
        self.dir.path().join("data")
    }

    /// Appends so many records; the length of the log after that.
    pub(super) fn grow(&self, records: usize) -> u64 {
        for _ in 0..records.div_ceil(1000) {
            let some = records.min(1000);
            let events = (0..some).map(|number| Event::PolicyLoaded {
                policy_sha256: "0".repeat(64),
                rules: u64::try_from(number).unwrap(),
                columns: 7,
                map_sha256: None,
                policy_file_sha256: None,
            });
            self.log.append_blocking(events.collect(), Vec::new()).unwrap();
        }
        self.log.len()
    }

    /// The numbers and bytes of all records.
    pub(super) fn records(&self) -> Vec<Vec<u8>> {
        self.log.read(0, self.log.len()).map(|stored| stored.unwrap().bytes).collect()
    }

    pub(super) fn deliver(&self, sinks: Vec<Sink>, checkpoints: Vec<Way>) -> Running<'_> {
        let audit = Audit { sinks, checkpoints, ..crate::config::Audit::default() };
        super::super::check(&audit).unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let delivery = Delivery::new(&audit, &self.data(), &self.log, &clock);
        self.run(delivery, &audit)
    }

    /// Nothing but notices.
    pub(super) fn notify(&self, notifiers: &[Notifier]) -> Running<'_> {
        super::super::check_notifiers(notifiers).unwrap();
        let (audit, clock): (_, Arc<dyn Clock>) = (Audit::default(), Arc::new(SystemClock));
        let delivery = Delivery::new(&audit, &self.data(), &self.log, &clock);
        self.run(delivery.notifying(notifiers, "https://gate.example"), &audit)
    }

    fn run(&self, delivery: Delivery, audit: &Audit) -> Running<'_> {
        let (down, shutdown) = watch::channel(false);
        let end = {
            let _entered = self.runtime.enter();
            delivery.start(audit, &shutdown).unwrap()
        };
        Running { delivery, down, end: Some(Box::pin(end)), world: self }
    }

    /// Where a sink's cursor is, by its file.
    pub(super) fn cursor(&self, name: &str) -> Option<u64> {
        match CursorFile::new(&self.data(), name).read().unwrap() {
            FoundCursor::Cursor(cursor) => Some(cursor.next),
            _ => None,
        }
    }

    /// Waits until a sink has begun: it has a cursor.
    pub(super) fn begun(&self, name: &str) {
        until("the sink to begin", || self.cursor(name).is_some());
    }
}

impl Running<'_> {
    /// What `audit sink ls` says of the one sink, or way.
    pub(super) fn row(&self) -> serde_json::Value {
        self.delivery.rows(true).remove(0)
    }

    pub(super) fn lag(&self) -> u64 {
        self.row()["lag"].as_u64().unwrap()
    }

    pub(super) fn failures(&self) -> u64 {
        self.row()["failures"].as_u64().unwrap()
    }

    /// Why nothing gets through.
    pub(super) fn error(&self) -> String {
        self.row()["error"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the sink is known to have all.
    pub(super) fn done(&self) {
        until("the sink to have all", || self.lag() == 0);
    }

    pub(super) fn fails_with(&self, why: &str) {
        until(why, || self.error().contains(why));
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.down.send_replace(true);
        if let Some(end) = self.end.take() {
            self.world.runtime.block_on(end);
        }
    }
}

/// Waits until it is so.
pub(super) fn until(what: &str, is_so: impl FnMut() -> bool) {
    stepgate_testkit::until(what, SOON, is_so).unwrap();
}

/// The number in a record's bytes, or in a line that begins with one.
pub(super) fn seq(line: &[u8]) -> u64 {
    let record: serde_json::Value = serde_json::from_slice(line).unwrap();
    record["seq"].as_u64().unwrap()
}

/// Whether these are all the numbers of a range, some of them more than once perhaps, and of those that followed (that
/// the sink had trouble) none is missing in between.
pub(super) fn all_of(received: &[u64], range: std::ops::Range<u64>) -> bool {
    let distinct: BTreeSet<u64> = received.iter().copied().collect();
    let last = distinct.last().copied().unwrap_or_default().max(range.end - 1);
    distinct.into_iter().eq(range.start..=last)
}

/// A CA, a certificate of it for `localhost` and 127.0.0.1, and its key, as PEM files in `dir`.
pub(super) struct Certificates {
    pub(super) ca: std::path::PathBuf,
    pub(super) cert: std::path::PathBuf,
    pub(super) key: std::path::PathBuf,
}

impl Certificates {
    pub(super) fn new(dir: &Path, name: &str) -> Self {
        Self::for_host(dir, name, "localhost")
    }

    pub(super) fn for_host(dir: &Path, name: &str, host: &str) -> Self {
        let ca_key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, format!("CA {name}"));
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = rcgen::Issuer::new(params, ca_key);
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![host.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let cert = params.signed_by(&key, &issuer).unwrap();
        let put = |what: &str, text: String| {
            let path = dir.join(format!("{name}-{what}.pem"));
            std::fs::write(&path, text).unwrap();
            path
        };
        Self { ca: put("ca", ca.pem()), cert: put("cert", cert.pem()), key: put("key", key.serialize_pem()) }
    }
}
