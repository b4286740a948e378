//! Signed checkpoints on their way off the host, each way with a thread of its own.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use stepgate_record::{Checkpoint, CheckpointSigned, Event, SignedNote};
use stepgate_store::Log;
use stepgate_types::{Clock, Timestamp};
use tokio::runtime::Handle;
use tokio::sync::watch;

use super::degraded::Degraded;
use super::mail;
use super::once::OnceFile;
use super::post::Poster;
use super::quiet::has_news;
use super::status::{Sent, WayStatus};
use super::trouble::{Backoff, Trouble, chance};
use crate::config::{Way, WayTo, WebTarget};

/// What works with one way.
pub(super) struct Messenger {
    pub(super) log: Log,
    pub(super) way: Way,
    pub(super) status: Arc<WayStatus>,
    pub(super) memory: Memory,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) runtime: Handle,
    pub(super) down: watch::Receiver<bool>,
    pub(super) degraded: Degraded,
}

/// A checkpoint on its way.
pub(super) struct Letter {
    /// How many records it covers.
    pub(super) size: u64,
    pub(super) log_id: String,
    /// The signed note.
    pub(super) text: String,
}

impl Messenger {
    /// Sends a checkpoint in each interval in which the log has grown by more than records of those that were sent.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::default();
        let mut wait = self.left();
        loop {
            if self.wait(wait) {
                return;
            }
            if !has_news(&self.log, self.status.sent().size).unwrap_or(true) {
                wait = self.way.every;
                continue;
            }
            wait = match self.send() {
                Ok(()) => {
                    self.status.status.works();
                    self.degraded.works(&self.log, &self.way.name);
                    backoff.reset();
                    self.way.every
                }
                Err(trouble) => {
                    let name = &self.way.name;
                    match self.status.status.failed(&trouble.why) {
                        None => {
                            tracing::warn!(way = name, why = trouble.why, "no checkpoint leaves; trying on")
                        }
                        Some(failing) => self.degraded.failing(&self.log, name, failing),
                    }
                    backoff.after(&trouble, chance()).min(self.way.every)
                }
            };
        }
    }

    /// How long until the next is due: a restart is no reason to send one.
    fn left(&self) -> Duration {
        let Sent { size: 1.., at } = self.status.sent() else { return Duration::ZERO };
        let since = self.clock.now().micros().saturating_sub(at.micros());
        // A clock that was put back must not silence it.
        u64::try_from(since)
            .map_or(Duration::ZERO, |since| self.way.every.saturating_sub(Duration::from_micros(since)))
    }

    fn send(&self) -> Result<(), Trouble> {
        let trouble = |error: &dyn std::fmt::Display| Trouble::new(format!("none can be signed: {error}"));
        let text = self.log.checkpoint().map_err(|error| trouble(&error))?;
        let note = text.parse::<SignedNote>().map_err(|error| trouble(&error))?;
        let Checkpoint { size, root, .. } = Checkpoint::of(&note).map_err(|error| trouble(&error))?;
        let letter = Letter { size, log_id: self.log.id().to_owned(), text };
        match &self.way.to {
            WayTo::File(dir) => put(dir, &letter)?,
            WayTo::Webhook(webhook) => post(webhook, &letter)?,
            WayTo::Email(email) => mail::send(email, &letter)?,
        }
        let (kind, _) = kind_and_target(&self.way.to);
        let (name, kind) = (self.way.name.clone(), kind.to_owned());
        let signed = Event::CheckpointSigned(CheckpointSigned { size, root, name, kind });
        if let Err(error) = self.log.append_blocking(vec![signed], Vec::new()) {
            // It has left all the same.
            tracing::warn!(way = self.way.name, %error, "that a checkpoint has left cannot be recorded");
        }
        let sent = Sent { size, at: self.clock.now() };
        self.status.set_sent(sent);
        if let Err(error) = self.memory.write(&self.log, sent) {
            // At worst one more leaves after a restart.
            tracing::warn!(way = self.way.name, %error, "that a checkpoint has left cannot be noted");
        }
        Ok(())
    }

    fn wait(&self, time: Duration) -> bool {
        if *self.down.borrow() {
            return true;
        }
        let mut down = self.down.clone();
        self.runtime.block_on(async {
            tokio::select! {
                _ = down.wait_for(|down| *down) => true,
                () = tokio::time::sleep(time) => false,
            }
        })
    }
}

/// Puts it into a directory, where nothing is ever overwritten: also where that could not be done.
fn put(dir: &Path, letter: &Letter) -> Result<(), Trouble> {
    // It is not made: where a disk is not mounted, that would be one on this host.
    if !dir.is_dir() {
        return Err(Trouble::new("the directory is not there: is it mounted?"));
    }
    let place = OnceFile::new(dir, &format!("{:020}.checkpoint", letter.size));
    place.put(letter.text.as_bytes())?;
    // For whoever wants the newest without looking; it is not evidence, and some places let nothing be replaced.
    let (latest, unfinished) = (dir.join("latest.checkpoint"), dir.join("latest.unfinished"));
    let replaced = fresh(&unfinished, letter.text.as_bytes()).and_then(|()| fs::rename(&unfinished, &latest));
    if let Err(error) = replaced {
        tracing::debug!(%error, "latest.checkpoint stays as it is");
    }
    Ok(())
}

/// Writes a file that was not there: what somebody has put in its place, such as a link, is not written through.
fn fresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o640).open(path)?.write_all(bytes)
}

fn post(webhook: &WebTarget, letter: &Letter) -> Result<(), Trouble> {
    let poster = Poster::new(webhook).map_err(|failure| Trouble::new(failure.message))?;
    let headers = [("Stepgate-Log", letter.log_id.clone()), ("Stepgate-Size", letter.size.to_string())];
    poster.post("text/plain; charset=utf-8", &headers, letter.text.as_bytes())
}

fn kind_and_target(to: &WayTo) -> (&'static str, Vec<u8>) {
    match to {
        WayTo::File(dir) => ("file", dir.as_os_str().as_encoded_bytes().to_vec()),
        WayTo::Webhook(webhook) => ("webhook", webhook.url.url.clone().into_bytes()),
        WayTo::Email(email) => ("email", format!("{}\n{}", email.to, email.smtp).into_bytes()),
    }
}

/// Remembers over restarts what has left: whoever gets mail once a day does not want it at each start.
pub(super) struct Memory(PathBuf);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    log_id: String,
    size: u64,
    at_us: i64,
}

impl Memory {
    /// By what the way is: its place in the configuration, and its name there, may be another's after the next start.
    pub(super) fn new(data: &Path, to: &WayTo) -> Self {
        let (kind, target) = kind_and_target(to);
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(target));
        Self(data.join("sinks").join(format!("{kind}-{hash}.checkpoint-sent")))
    }

    /// What has left, if that is known.
    pub(super) fn read(&self, log: &Log) -> Option<Sent> {
        let text = fs::read_to_string(&self.0).ok()?;
        let kept: Kept = serde_json::from_str(&text).ok()?;
        // Of a longer log: this one was restored from a backup.
        (kept.log_id == log.id() && kept.size <= log.len())
            .then(|| Sent { size: kept.size, at: Timestamp::from_micros(kept.at_us) })
    }

    fn write(&self, log: &Log, sent: Sent) -> std::io::Result<()> {
        let kept = Kept { log_id: log.id().to_owned(), size: sent.size, at_us: sent.at.micros() };
        let dir = self.0.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(dir)?;
        let unfinished = self.0.with_extension("checkpoint-unfinished");
        fs::write(&unfinished, serde_json::to_vec(&kept)?)?;
        fs::rename(unfinished, &self.0)
    }
}
