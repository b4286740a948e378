//! Witnesses (C2SP tlog-witness): each is shown the log's newest checkpoint, with the proof that it continues the last
//! one it saw, and cosigns it. Nothing waits for that.

use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use stepgate_record::{Checkpoint, Event, Hash, IntegrityFailed, SignedNote};
use stepgate_store::Log;
use stepgate_types::Clock;
use tokio::runtime::Handle;
use tokio::sync::watch;
use ureq::http::header;

use super::degraded::Degraded;
use super::quiet::has_news;
use super::status::{Sent, WayStatus};
use super::tls::agent;
use super::trouble::{Backoff, Trouble, chance};
use crate::config::{WebUrl, Witness};
use crate::failure::Failure;

/// The longest answer that is read, in bytes: a line of some 150 bytes for each of its keys.
const MAX_ANSWER: u64 = 16 * 1024;

/// What works with one witness.
pub(super) struct Asker {
    log: Log,
    clock: Arc<dyn Clock>,
    witness: Witness,
    status: Arc<WayStatus>,
    url: String,
    agent: ureq::Agent,
    runtime: Handle,
    down: watch::Receiver<bool>,
    degraded: Degraded,
    /// How many records the newest checkpoint covers that it cosigned.
    seen: u64,
    /// Of how many records it has seen another history, once that is recorded.
    alarmed: Option<u64>,
}

/// What the witness says.
enum Answer {
    /// The lines of its cosignatures.
    Cosigned(String),
    /// It has seen a tree of another size last.
    Seen(u64),
    /// What it has seen does not go on as it is shown.
    Contradicted,
}

impl Asker {
    pub(super) fn new(
        (log, clock): (&Log, &Arc<dyn Clock>),
        (witness, url): (&Witness, &WebUrl),
        status: Arc<WayStatus>,
        runtime: Handle,
        down: watch::Receiver<bool>,
    ) -> Result<Self, Failure> {
        Ok(Self {
            log: log.clone(),
            clock: Arc::clone(clock),
            url: format!("{}/add-checkpoint", url.url.trim_end_matches('/')),
            agent: agent(witness.ca.as_deref())?,
            degraded: Degraded::new("witness", witness.every.saturating_mul(3)),
            seen: seen(log, witness),
            alarmed: None,
            witness: witness.clone(),
            status,
            runtime,
            down,
        })
    }

    /// Asks in each interval in which the log has grown.
    pub(super) fn run(mut self) {
        let (mut backoff, mut wait) = (Backoff::default(), Duration::ZERO);
        loop {
            if self.waits(wait) {
                return;
            }
            let name = self.witness.key.name().to_owned();
            wait = match self.round() {
                Ok(()) => {
                    if self.status.status.works() {
                        tracing::info!(witness = name, "cosigns again");
                    }
                    self.degraded.works(&self.log, &name);
                    backoff.reset();
                    self.witness.every
                }
                Err(trouble) => {
                    match self.status.status.failed(&trouble.why) {
                        None => {
                            tracing::warn!(witness = name, why = trouble.why, "does not cosign; trying on")
                        }
                        Some(failing) => self.degraded.failing(&self.log, &name, failing),
                    }
                    backoff.after(&trouble, chance()).min(self.witness.every)
                }
            };
        }
    }

    /// Waits; whether the gate has gone down.
    fn waits(&mut self, wait: Duration) -> bool {
        // After that there may be nothing left to wait in.
        if *self.down.borrow() {
            return true;
        }
        let down = &mut self.down;
        self.runtime.block_on(async { tokio::time::timeout(wait, down.wait_for(|down| *down)).await.is_ok() })
    }

    /// Asks once, if there is anything new.
    fn round(&mut self) -> Result<(), Trouble> {
        if !has_news(&self.log, self.seen)? {
            // Its own cosignature is in the log, too, and needs none.
            self.status.set_sent(Sent { size: self.log.len(), at: self.clock.now() });
            return Ok(());
        }
        let trouble = |error: &dyn std::fmt::Display| Trouble::new(error.to_string());
        let note: SignedNote = self
            .log
            .checkpoint()
            .map_err(|error| trouble(&error))?
            .parse()
            .map_err(|error| trouble(&error))?;
        let size = Checkpoint::of(&note).map_err(|error| trouble(&error))?.size;
        let mut old = self.seen.min(size);
        for last in [false, true] {
            match self.ask(&note, old, size)? {
                Answer::Cosigned(lines) => return self.take(&note, size, &lines),
                Answer::Seen(seen) if seen > size => {
                    // Somebody showed it more records than there are: this log was cut off, or somebody has its key.
                    self.alarm(size, seen);
                    return Err(Trouble::new(format!(
                        "it has seen a checkpoint over {seen} records, and this log has {size}: the log was cut \
                         short or restored, or its key is in other hands"
                    )));
                }
                Answer::Seen(seen) if last || seen == old => {
                    if seen == old {
                        self.alarm(0, seen);
                    }
                    return Err(Trouble::new(format!(
                        "it has seen another history over {seen} records than this log's, or keeps seeing others"
                    )));
                }
                Answer::Contradicted => {
                    self.alarm(0, old);
                    return Err(Trouble::new(
                        "it holds the proof of consistency for wrong (422): it has seen another history of this log",
                    ));
                }
                Answer::Seen(seen) => old = seen,
            }
        }
        Ok(())
    }

    /// Records, once, that it has seen other records than these.
    fn alarm(&mut self, first: u64, end: u64) {
        if self.alarmed == Some(end) {
            return;
        }
        let name = self.witness.key.name();
        tracing::error!(witness = name, first, end, "THE WITNESS HAS SEEN OTHER RECORDS THAN THIS LOG HAS");
        let place = format!("the witness {name} has seen others");
        match self.log.note(Event::IntegrityFailed(IntegrityFailed { first, end, place })) {
            Ok(()) => self.alarmed = Some(end),
            Err(error) => tracing::error!(%error, "that could not be recorded"),
        }
    }

    fn ask(&self, note: &SignedNote, old: u64, size: u64) -> Result<Answer, Trouble> {
        let proof = proof(&self.log, old, size)?;
        let mut body = format!("old {old}\n");
        proof.iter().for_each(|hash| body.push_str(&format!("{}\n", BASE64.encode(hash.bytes()))));
        body.push_str(&format!("\n{note}"));
        let request = self.agent.post(&self.url).header(header::CONTENT_TYPE, "text/plain; charset=utf-8");
        let mut response = request.send(body.as_bytes()).map_err(|error| match error {
            ureq::Error::Timeout(_) => Trouble::new("no answer in time"),
            other => Trouble::new(format!("it is not reachable: {other}")),
        })?;
        let status = response.status().as_u16();
        let text = response.body_mut().with_config().limit(MAX_ANSWER).read_to_string();
        let text = || text.map_err(|error| Trouble::new(format!("its answer cannot be read: {error}")));
        match status {
            200 => Ok(Answer::Cosigned(text()?)),
            409 => text()?
                .trim_end()
                .parse()
                .map(Answer::Seen)
                .map_err(|_| Trouble::new("it says 409 without the size that it has seen")),
            404 => Err(Trouble::new("it does not know this log (404): its operator must add it")),
            403 => Err(Trouble::new("it does not know this log's key (403): give its operator keys.json")),
            422 => Ok(Answer::Contradicted),
            other => Err(Trouble::new(format!("it answered {other}"))),
        }
    }

    /// Keeps its cosignature.
    fn take(&mut self, note: &SignedNote, size: u64, lines: &str) -> Result<(), Trouble> {
        let answered = format!("{}\n{lines}", note.text()).parse::<SignedNote>();
        let answered =
            answered.map_err(|error| Trouble::new(format!("its answer is not signature lines: {error}")))?;
        // Lines by other keys are ignored, as the specification asks.
        let cosigned = note.with_lines_of(&answered, &self.witness.key);
        let kept = self.log.cosign(&cosigned, std::slice::from_ref(&self.witness.key));
        kept.map_err(|error| Trouble::new(error.to_string()))?;
        self.seen = size;
        // That it did is all that was recorded meanwhile, or it is asked again.
        let size = if has_news(&self.log, self.seen)? { size } else { self.log.len() };
        self.status.set_sent(Sent { size, at: self.clock.now() });
        Ok(())
    }
}

/// How many records the newest checkpoint covers that a witness has cosigned, as the log knows.
pub(super) fn seen(log: &Log, witness: &Witness) -> u64 {
    let cosigned = log.cosigned();
    let by_it = |note: &&SignedNote| matches!(witness.key.cosigned(note), Ok(Some(_)));
    let newest = cosigned.iter().rev().find(by_it).and_then(|note| Checkpoint::of(note).ok());
    newest.map_or(0, |checkpoint| checkpoint.size)
}

/// That the tree of `new` records continues that of `old`.
fn proof(log: &Log, old: u64, new: u64) -> Result<Vec<Hash>, Trouble> {
    if old == 0 || old == new {
        return Ok(Vec::new());
    }
    log.consistency(old, new).map_err(|error| Trouble::new(format!("no proof of consistency: {error}")))
}

#[cfg(test)]
mod tests;
