//! What leaves the gate by itself: records to sinks, as they are made, and signed checkpoints.
//!
//! The log is the queue. A sink has a cursor in it ([`stepgate_store::CursorFile`]) and a thread that sends from there
//! on and moves the cursor once the receiver has what was sent. No decision waits for any of that, no record is left
//! out, and one may come twice: receivers tell by the log's id and the record's number.

mod account;
mod batch;
mod checkpoints;
mod codes;
mod courier;
mod degraded;
mod file;
mod link;
mod mail;
mod notice;
mod once;
mod operator;
mod post;
mod quiet;
mod render;
mod status;
mod syslog;
#[cfg(test)]
mod tests;
mod tls;
mod trouble;
mod webhook;
mod witness;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stepgate_store::{CursorFile, Desk, Log, settle_cursors};
use stepgate_types::Clock;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

pub(crate) use codes::{CodeChannel, check_senders};
pub(crate) use tls::{agent, client_config};

pub(crate) use operator::{SinkOperator, doctor, execute, run};

use crate::config::{Audit, Notifier, Sink, To, WayTo, WebUrl, Witness};
use crate::failure::Failure;
use batch::Source;
use checkpoints::{Memory, Messenger};
use courier::Courier;
use degraded::Degraded;
use render::Renderer;
use status::{Sent, Status, WayStatus};
use witness::Asker;

/// What has not worked for so long is recorded.
const DEGRADED_AFTER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// The directory of the cursors of notices, below the data directory.
const NOTICES: &str = "notices";

/// The directory of the cursor of what people are told of their accounts.
const PEOPLE: &str = "told";

/// How long threads may take to end; what they have not sent goes out after the next start.
const GRACE: Duration = Duration::from_secs(3);

/// All that is sent anywhere, and how it goes.
pub(crate) struct Delivery {
    log: Log,
    clock: Arc<dyn Clock>,
    data: PathBuf,
    sinks: Vec<Arc<Status>>,
    ways: Vec<Arc<WayStatus>>,
    /// Those that are asked by themselves.
    witnesses: Vec<Arc<WayStatus>>,
    notices: Vec<(Notifier, Arc<Status>)>,
    /// The console's address.
    console: String,
    /// Who tells people of their accounts, and how that goes.
    people: Option<(Desk, Arc<Status>)>,
}

/// Finds out whether all files are there that the configuration names for this.
pub(crate) fn check(audit: &Audit) -> Result<(), Failure> {
    let about = |name: &str, result: Result<(), Failure>| {
        result.map_err(|failure| Failure { message: format!("{name}: {}", failure.message), ..failure })
    };
    for sink in &audit.sinks {
        let result = match &sink.to {
            To::Syslog(syslog) => tls::config(syslog.ca.as_deref(), syslog.identity.as_ref()).map(drop),
            To::Webhook(webhook) => post::Poster::new(&webhook.target).map(drop),
            To::File(file) => directory(&file.path),
        };
        about(&format!("audit.sinks.{}", sink.name), result)?;
    }
    for way in &audit.checkpoints {
        let result = match &way.to {
            // It may not be mounted yet.
            WayTo::File(_) => Ok(()),
            WayTo::Webhook(webhook) => post::Poster::new(webhook).map(drop),
            WayTo::Email(email) => mail::transport(email).map(drop),
        };
        about(&format!("audit.checkpoints, {}", way.name), result)?;
    }
    for witness in &audit.witnesses {
        let result = tls::agent(witness.ca.as_deref()).map(drop);
        about(&format!("audit.witnesses, {}", witness.key.name()), result)?;
    }
    Ok(())
}

/// The same, of who is told of what happens.
pub(crate) fn check_notifiers(notifiers: &[Notifier]) -> Result<(), Failure> {
    for Notifier { name, to } in notifiers {
        notice::check(to).map_err(|failure| Failure {
            message: format!("notify.{name}: {}", failure.message),
            ..failure
        })?;
    }
    Ok(())
}

fn directory(path: &Path) -> Result<(), Failure> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if dir.is_dir() {
        Ok(())
    } else {
        Err(Failure::usage(format!("there is no directory {}", dir.display())))
    }
}

impl Delivery {
    /// What is configured, none of it at work.
    pub(crate) fn new(audit: &Audit, data: &Path, log: &Log, clock: &Arc<dyn Clock>) -> Self {
        let begun = Sent { size: 0, at: clock.now() };
        let sinks = audit.sinks.iter().map(|sink| Status::new(&sink.name, kind(&sink.to), shown(&sink.to)));
        let ways = audit.checkpoints.iter().map(|way| {
            let (kind, to) = match &way.to {
                WayTo::File(dir) => ("checkpoints by file", dir.display().to_string()),
                WayTo::Webhook(webhook) => ("checkpoints by webhook", webhook.url.shown.clone()),
                WayTo::Email(email) => ("checkpoints by e-mail", email.to.clone()),
            };
            let sent = Memory::new(data, &way.to).read(log).unwrap_or(begun);
            WayStatus::new(Status::new(&way.name, kind, to), sent)
        });
        let witnesses = asked(audit).map(|(witness, url)| {
            let status = Status::new(witness.key.name(), "witness", url.shown.clone());
            WayStatus::new(status, Sent { size: witness::seen(log, witness), ..begun })
        });
        let (sinks, ways, witnesses) = (sinks.collect(), ways.collect(), witnesses.collect());
        let (log, clock, data) = (log.clone(), Arc::clone(clock), data.to_owned());
        let (notices, console) = (Vec::new(), String::new());
        let delivery = Self { log, clock, data, sinks, ways, witnesses, notices, console, people: None };
        for sink in &delivery.sinks {
            sink.state().next = delivery.kept(sink, delivery.log.len());
        }
        delivery
    }

    /// And these are told of what happens; `console` is where they are pointed to.
    pub(crate) fn notifying(mut self, notifiers: &[Notifier], console: &str) -> Self {
        self.notices = notifiers
            .iter()
            .map(|notifier| {
                let (kind, to) = notice::shown(&notifier.to);
                let status = Status::new(&notifier.name, kind, to);
                status.state().next = self.log.len();
                (notifier.clone(), status)
            })
            .collect();
        console.clone_into(&mut self.console);
        self
    }

    /// And people are told of what happens to their own accounts.
    pub(crate) fn telling_people(mut self, desk: &Desk) -> Self {
        let status = Status::new("people", "notices to people", "their own channels".to_owned());
        status.state().next = self.log.len();
        self.people = Some((desk.clone(), status));
        self
    }

    /// Sets all of it to work; returns at the end of that, some time after the gate went `down`.
    pub(crate) fn start(
        &self,
        audit: &Audit,
        down: &watch::Receiver<bool>,
    ) -> Result<impl Future<Output = ()> + use<>, Failure> {
        let names: Vec<_> = audit.sinks.iter().map(|sink| sink.name.as_str()).collect();
        settle_cursors(&self.data, &names)
            .map_err(|error| Failure::file("use", &self.data.join("sinks"), &error))?;
        // Dropped by each thread at its end.
        let (working, mut ended) = mpsc::channel::<()>(1);
        for (sink, status) in audit.sinks.iter().zip(&self.sinks) {
            let (courier, way) = (self.courier(sink, status, down), way(sink, self.log.id()));
            spawn(&format!("sink-{}", sink.name), &working, move || courier.run(way))?;
        }
        for (way, status) in audit.checkpoints.iter().zip(&self.ways) {
            let messenger = Messenger {
                log: self.log.clone(),
                way: way.clone(),
                status: Arc::clone(status),
                memory: Memory::new(&self.data, &way.to),
                clock: Arc::clone(&self.clock),
                runtime: Handle::current(),
                down: down.clone(),
                degraded: Degraded::new("checkpoint", way.every.saturating_mul(3)),
            };
            spawn(&format!("way-{}", way.name), &working, move || messenger.run())?;
        }
        for (number, ((witness, url), status)) in asked(audit).zip(&self.witnesses).enumerate() {
            let asker = Asker::new(
                (&self.log, &self.clock),
                (witness, url),
                Arc::clone(status),
                Handle::current(),
                down.clone(),
            )?;
            spawn(&format!("witness-{number}"), &working, move || asker.run())?;
        }
        for (notifier, status) in &self.notices {
            let (courier, way) = (self.notice_courier(status, down), self.notice_way(notifier));
            spawn(&format!("tell-{}", notifier.name), &working, move || courier.run(way))?;
        }
        if let Some((desk, status)) = &self.people {
            let courier = Courier {
                file: CursorFile::new(&self.data.join(PEOPLE), &status.name),
                ..self.notice_courier(status, down)
            };
            let way = Box::new(account::AccountWay::new(desk.clone()));
            spawn("tell-people", &working, move || courier.run(way))?;
        }
        drop(working);
        let mut down = down.clone();
        Ok(async move {
            let _ = down.wait_for(|down| *down).await;
            if tokio::time::timeout(GRACE, ended.recv()).await.is_err() {
                tracing::info!(
                    "some sinks are left waiting for their receivers; they go on after the next start"
                );
            }
        })
    }

    fn courier(&self, sink: &Sink, status: &Arc<Status>, down: &watch::Receiver<bool>) -> Courier {
        Courier {
            source: Source { log: self.log.clone(), renderer: Renderer::new(sink, &self.log) },
            file: CursorFile::new(&self.data, &sink.name),
            status: Arc::clone(status),
            runtime: Handle::current(),
            down: down.clone(),
            degraded: Degraded::new("sink", DEGRADED_AFTER),
        }
    }

    fn notice_way(&self, notifier: &Notifier) -> Box<dyn courier::Way> {
        Box::new(notice::NoticeWay::new(notifier.to.clone(), &self.console))
    }

    /// Its cursors are apart from those of sinks, which keep records from being deleted.
    fn notice_courier(&self, status: &Arc<Status>, down: &watch::Receiver<bool>) -> Courier {
        Courier {
            source: Source { log: self.log.clone(), renderer: Renderer::as_written() },
            file: CursorFile::new(&self.data.join(NOTICES), &status.name),
            status: Arc::clone(status),
            runtime: Handle::current(),
            down: down.clone(),
            degraded: Degraded::new("notices", DEGRADED_AFTER),
        }
    }

    /// Figures, in Prometheus' text format.
    pub(crate) fn metrics(&self) -> String {
        let mut text = String::new();
        let records = self.log.len();
        let sinks: Vec<_> = self
            .sinks
            .iter()
            .map(|sink| {
                let state = sink.state();
                (&sink.name, records.saturating_sub(state.next), state.failures)
            })
            .collect();
        let head =
            |name: &str, kind: &str, help: &str| format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
        if !sinks.is_empty() {
            text.push_str(&head(
                "stepgate_sink_lag_records",
                "gauge",
                "Records that a sink is not known to have.",
            ));
            for (name, lag, _) in &sinks {
                text.push_str(&format!("stepgate_sink_lag_records{{sink=\"{name}\"}} {lag}\n"));
            }
            text.push_str(&head("stepgate_sink_failures_total", "counter", "Tries to send that failed."));
            for (name, _, failures) in &sinks {
                text.push_str(&format!("stepgate_sink_failures_total{{sink=\"{name}\"}} {failures}\n"));
            }
        }
        let now = self.clock.now();
        for (label, what, ways, [age, failed]) in [
            (
                "way",
                "checkpoint",
                &self.ways,
                [
                    "Seconds since there are records that no checkpoint elsewhere covers.",
                    "Tries to send a checkpoint that failed.",
                ],
            ),
            (
                "witness",
                "witness",
                &self.witnesses,
                [
                    "Seconds since there are records that no checkpoint covers that the witness cosigned.",
                    "Tries to have a checkpoint cosigned that failed.",
                ],
            ),
        ] {
            if ways.is_empty() {
                continue;
            }
            let rows = ways.iter().map(|way| (escaped(&way.status.name), way));
            text.push_str(&head(&format!("stepgate_{what}_age_seconds"), "gauge", age));
            for (name, way) in rows.clone() {
                let age = way.age(quiet::end_for(&self.log, way.sent().size), now);
                text.push_str(&format!("stepgate_{what}_age_seconds{{{label}=\"{name}\"}} {age}\n"));
            }
            text.push_str(&head(&format!("stepgate_{what}_failures_total"), "counter", failed));
            for (name, way) in rows {
                let failures = way.status.state().failures;
                text.push_str(&format!("stepgate_{what}_failures_total{{{label}=\"{name}\"}} {failures}\n"));
            }
        }
        text
    }
}

/// The witnesses that are asked, and where.
fn asked(audit: &Audit) -> impl Iterator<Item = (&Witness, &WebUrl)> {
    audit.witnesses.iter().filter_map(|witness| Some((witness, witness.url.as_ref()?)))
}

/// A label's value in Prometheus' text format: a witness may be called anything.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn spawn(
    name: &str,
    working: &mpsc::Sender<()>,
    work: impl FnOnce() + Send + 'static,
) -> Result<(), Failure> {
    let working = working.clone();
    let thread = std::thread::Builder::new().name(name.chars().take(15).collect());
    let spawned = thread.spawn(move || {
        work();
        drop(working);
    });
    spawned.map(drop).map_err(|error| Failure::usage(format!("cannot start: {error}")))
}

fn way(sink: &Sink, log_id: &str) -> Box<dyn courier::Way> {
    match &sink.to {
        To::Syslog(syslog) => Box::new(syslog::SyslogWay::new(syslog.clone(), log_id)),
        To::Webhook(webhook) => Box::new(webhook::WebhookWay::new(webhook.clone(), log_id)),
        To::File(file) => Box::new(file::FileWay::new(file.clone())),
    }
}

fn kind(to: &To) -> &'static str {
    match to {
        To::Syslog(_) => "syslog",
        To::Webhook(_) => "webhook",
        To::File(_) => "file",
    }
}

fn shown(to: &To) -> String {
    match to {
        To::Syslog(syslog) => syslog.place.to_string(),
        To::Webhook(webhook) => webhook.target.url.shown.clone(),
        To::File(file) => file.path.display().to_string(),
    }
}
