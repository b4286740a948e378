//! What is counted, as Prometheus reads it. Labels are words of the gate's own, databases' names and rules' names of
//! its configuration; never anything that a client sent, and nobody's name.

mod histogram;
mod words;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use stepgate_record::Refusal;
use stepgate_types::{Action, SqlState};

use self::histogram::Histogram;
use self::words::Words;
use crate::apart::Apart;
use crate::gate::Gate;

/// Upper bounds of what takes microseconds to seconds, in microseconds.
static FAST: [u64; 14] =
    [10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 50_000, 250_000, 1_000_000, 5_000_000];

/// Upper bounds of what people do, in microseconds: a second to a day.
static PATIENT: [u64; 10] = [
    1_000_000,
    5_000_000,
    15_000_000,
    30_000_000,
    60_000_000,
    120_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    86_400_000_000,
];

/// The most rules that are told apart; a policy has some dozens, and reloads bring other names.
const MAX_RULES: usize = 1_000;

/// What becomes of statements, in records' own words.
const VERDICTS: [&str; 8] = ["forward", "monitor", "hold", "defer", "deny", "fail", "overtaken", "other"];

/// What rules asked for, in policies' own words; the last of them where nobody can say.
const ACTIONS: [&str; 6] = ["allow", "monitor", "step-up", "approve", "deny", "none"];

/// What is counted with each statement.
struct Often {
    /// By verdict, then by action.
    verdicts: [[AtomicU64; ACTIONS.len()]; VERDICTS.len()],
    analysis: Histogram<14>,
    decision: Histogram<14>,
    log: Histogram<14>,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Default for Often {
    fn default() -> Self {
        Self {
            verdicts: Default::default(),
            analysis: Histogram::new(&FAST),
            decision: Histogram::new(&FAST),
            log: Histogram::new(&FAST),
            rows: AtomicU64::default(),
            bytes: AtomicU64::default(),
        }
    }
}

/// What one gate has counted since it started.
pub(crate) struct Metrics {
    often: Apart<Often>,
    rules: Mutex<BTreeMap<String, u64>>,
    /// Statements that the gate itself refuses, whatever rules say, by why.
    refusals: Words,
    /// Decisions on statements that were not understood, by what was not.
    not_understood: Words,
    /// What the server refuses, by class of SQLSTATE.
    server_errors: Words,
    holds: Histogram<10>,
    open_holds: AtomicU64,
    failed_statements: AtomicU64,
    opened: AtomicU64,
    /// Refused before they were sessions: no room.
    pub(crate) crowded_out: AtomicU64,
    /// Refused after they were known: too many sessions.
    pub(crate) too_many: AtomicU64,
    pub(crate) not_authenticated: AtomicU64,
    pub(crate) cancels: AtomicU64,
    pub(crate) slow_clients: AtomicU64,
    /// Messages that were read and not kept.
    pub(crate) dropped: AtomicU64,
    /// Statements that had delivered as much as they may, and of which people were asked.
    pub(crate) held_midway: AtomicU64,
    /// Those that were ended there.
    pub(crate) ended_midway: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            often: Apart::default(),
            rules: Mutex::default(),
            refusals: Words::default(),
            not_understood: Words::default(),
            server_errors: Words::default(),
            holds: Histogram::new(&PATIENT),
            open_holds: AtomicU64::default(),
            failed_statements: AtomicU64::default(),
            opened: AtomicU64::default(),
            crowded_out: AtomicU64::default(),
            too_many: AtomicU64::default(),
            not_authenticated: AtomicU64::default(),
            cancels: AtomicU64::default(),
            slow_clients: AtomicU64::default(),
            dropped: AtomicU64::default(),
            held_midway: AtomicU64::default(),
            ended_midway: AtomicU64::default(),
        }
    }
}

/// One more.
pub(crate) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// So many more; mostly none.
fn add(counter: &AtomicU64, more: u64) {
    if more > 0 {
        counter.fetch_add(more, Relaxed);
    }
}

/// A hold that lasts for as long as this does.
pub(crate) struct OpenHold {
    metrics: Arc<Metrics>,
    since: Instant,
}

impl OpenHold {
    /// For how long it has lasted.
    pub(crate) fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }
}

impl Drop for OpenHold {
    fn drop(&mut self) {
        self.metrics.open_holds.fetch_sub(1, Relaxed);
        self.metrics.holds.observe(self.since.elapsed());
    }
}

impl Metrics {
    /// A statement was decided on, by these rules.
    pub(crate) fn decided(&self, verdict: &str, action: Option<Action>, rules: &[String]) {
        let place = VERDICTS.iter().position(|known| *known == verdict).unwrap_or(VERDICTS.len() - 1);
        let action = action.map_or("none", Action::as_str);
        let asked_for = ACTIONS.iter().position(|known| *known == action).unwrap_or(ACTIONS.len() - 1);
        self.often.here().verdicts.get(place).and_then(|actions| actions.get(asked_for)).map(count);
        if rules.is_empty() {
            return;
        }
        let mut counted = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        for rule in rules {
            if let Some(counted) = counted.get_mut(rule) {
                *counted += 1;
            } else if counted.len() < MAX_RULES {
                counted.insert(rule.clone(), 1);
            }
        }
    }

    /// Its text was analysed in that time.
    pub(crate) fn analysed(&self, took: Duration) {
        self.often.here().analysis.observe(took);
    }

    /// Policy came to its decision in that time, the planner's answer included where it was asked.
    pub(crate) fn thought(&self, took: Duration) {
        self.often.here().decision.observe(took);
    }

    /// A record that something waited for was written in that time.
    pub(crate) fn logged(&self, took: Duration) {
        self.often.here().log.observe(took);
    }

    /// A forwarded statement ended, with this SQLSTATE if it failed.
    pub(crate) fn completed(&self, rows: u64, bytes: u64, sqlstate: Option<&str>) {
        let often = self.often.here();
        add(&often.rows, rows);
        add(&often.bytes, bytes);
        if let Some(sqlstate) = sqlstate {
            count(&self.failed_statements);
            self.server_refused(sqlstate);
        }
    }

    /// The server refused something of a client's.
    pub(crate) fn server_refused(&self, sqlstate: &str) {
        // Of codes that PostgreSQL has: functions may raise any five characters.
        let class = SqlState::recorded(sqlstate.as_bytes()).get(..2).filter(|class| *class != "??");
        self.server_errors.count(class.unwrap_or("other"));
    }

    /// The gate itself refused a statement.
    pub(crate) fn refused(&self, why: Refusal) {
        self.refusals.count(why.as_str());
    }

    /// A statement was decided on of which not all was understood, for these reasons.
    pub(crate) fn not_understood(&self, reasons: impl IntoIterator<Item = &'static str>) {
        reasons.into_iter().for_each(|reason| self.not_understood.count(reason));
    }

    /// What all threads have counted of it.
    fn sum<'m>(&'m self, which: impl Fn(&'m Often) -> Option<&'m AtomicU64>) -> u64 {
        self.often.iter().filter_map(which).map(|counted| counted.load(Relaxed)).sum()
    }

    /// Why statements came to nothing, or had to be feared.
    fn write_why(&self, text: &mut Text) {
        self.refusals.write(
            text,
            ("stepgate_refusals_total", "refusal"),
            "Statements that the gate itself refused, whatever rules say, by why.",
            &Refusal::ALL.map(Refusal::as_str),
        );
        self.not_understood.write(
            text,
            ("stepgate_not_understood_total", "reason"),
            "Decisions on statements of which not all was understood, by why not.",
            &[],
        );
        self.server_errors.write(
            text,
            ("stepgate_server_errors_total", "class"),
            "What servers refused, by class of SQLSTATE.",
            &[],
        );
    }

    /// A session was opened.
    pub(crate) fn session_opened(&self) {
        count(&self.opened);
    }

    /// A hold begins.
    pub(crate) fn hold(self: &Arc<Self>) -> OpenHold {
        count(&self.open_holds);
        OpenHold { metrics: Arc::clone(self), since: Instant::now() }
    }
}

impl Gate {
    /// All of it, in Prometheus' text format (version 0.0.4).
    #[must_use]
    pub fn metrics(&self) -> String {
        let metrics = &self.metrics;
        let mut text = Text::default();
        let gauge = |text: &mut Text, name: &str, help: &str, value: u64| {
            text.head(name, "gauge", help);
            text.line(name, value);
        };
        gauge(&mut text, "stepgate_sessions", "Open sessions.", wide(self.sessions.len()));
        gauge(
            &mut text,
            "stepgate_sessions_limit",
            "The most that may be open.",
            wide(self.limits().sessions),
        );
        gauge(&mut text, "stepgate_logins_open", "Connections not logged in yet.", wide(self.crowd.len()));
        gauge(
            &mut text,
            "stepgate_message_memory_bytes",
            "Bytes of large messages that are under way.",
            wide(self.memory.in_use()),
        );
        gauge(&mut text, "stepgate_holds_open", "Held statements.", metrics.open_holds.load(Relaxed));
        if let Some(over) = self.desk.over_budget() {
            gauge(
                &mut text,
                "stepgate_prompt_budget",
                "Requests a person and day that the policy has as enough.",
                u64::from(over.budget),
            );
            gauge(
                &mut text,
                "stepgate_people_over_budget",
                "People who were asked more often today (UTC).",
                over.people,
            );
        }
        gauge(&mut text, "stepgate_log_queue", "Records that are not on disk yet.", self.log.backlog());
        gauge(
            &mut text,
            "stepgate_log_ok",
            "1 while the audit log can be written; nothing passes otherwise.",
            u64::from(self.log.poisoned().is_none() && !self.log.has_no_space()),
        );
        text.head(
            "stepgate_statements_total",
            "counter",
            "Decisions, by what became of the statement and what rules asked for.",
        );
        for (place, verdict) in VERDICTS.iter().enumerate() {
            for (asked_for, action) in ACTIONS.iter().enumerate() {
                let counted = metrics.sum(|often| often.verdicts.get(place)?.get(asked_for));
                let labels = format!("verdict=\"{verdict}\",action=\"{action}\"");
                text.line(&format!("stepgate_statements_total{{{labels}}}"), counted);
            }
        }
        text.head("stepgate_rule_matches_total", "counter", "Decisions that a rule had a part in.");
        let rules = metrics.rules.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (rule, counted) in rules {
            text.line(&format!("stepgate_rule_matches_total{{rule=\"{}\"}}", label(&rule)), counted);
        }
        metrics.write_why(&mut text);
        for (name, help, counter) in [
            ("stepgate_sessions_opened_total", "Sessions that were opened.", &metrics.opened),
            (
                "stepgate_statements_failed_total",
                "Forwarded statements that failed.",
                &metrics.failed_statements,
            ),
            (
                "stepgate_logins_failed_total",
                "Clients that did not authenticate.",
                &metrics.not_authenticated,
            ),
            ("stepgate_logins_crowded_out_total", "Clients refused for want of room.", &metrics.crowded_out),
            ("stepgate_sessions_refused_total", "People refused at a limit of sessions.", &metrics.too_many),
            ("stepgate_cancel_requests_total", "Cancel requests.", &metrics.cancels),
            ("stepgate_held_midway_total", "Statements held at their limit.", &metrics.held_midway),
            ("stepgate_ended_midway_total", "Statements ended at their limit.", &metrics.ended_midway),
            ("stepgate_slow_clients_total", "Sessions ended since nothing was read.", &metrics.slow_clients),
            (
                "stepgate_messages_refused_total",
                "Messages that were too long or had no room.",
                &metrics.dropped,
            ),
        ] {
            text.head(name, "counter", help);
            text.line(name, counter.load(Relaxed));
        }
        let (rows, bytes) = (metrics.sum(|often| Some(&often.rows)), metrics.sum(|often| Some(&often.bytes)));
        for (name, help, counted) in [
            ("stepgate_rows_total", "Rows that went to clients.", rows),
            ("stepgate_result_bytes_total", "Bytes of rows and COPY data to clients.", bytes),
        ] {
            text.head(name, "counter", help);
            text.line(name, counted);
        }
        let often = || metrics.often.iter();
        for (all, name, help) in [
            (
                often().map(|often| &often.analysis).collect::<Vec<_>>(),
                "stepgate_analysis_seconds",
                "From a message's arrival to its facts.",
            ),
            (
                often().map(|often| &often.decision).collect(),
                "stepgate_decision_seconds",
                "From facts to a decision.",
            ),
            (
                often().map(|often| &often.log).collect(),
                "stepgate_log_append_seconds",
                "Until a record is as durable as configured.",
            ),
        ] {
            Histogram::write(all.into_iter(), &mut text, name, help);
        }
        let (name, help) = ("stepgate_hold_seconds", "How long statements were held.");
        Histogram::write(std::iter::once(&metrics.holds), &mut text, name, help);
        self.write_databases(&mut text);
        text.0
    }

    fn write_databases(&self, text: &mut Text) {
        let each = |text: &mut Text,
                    name: &str,
                    kind: &str,
                    help: &str,
                    value: &dyn Fn(&crate::Database) -> Option<String>| {
            text.head(name, kind, help);
            for database in self.databases() {
                if let Some(value) = value(&database) {
                    text.line(&format!("{name}{{database=\"{}\"}}", label(&database.config.name)), value);
                }
            }
        };
        each(
            text,
            "stepgate_catalog_age_seconds",
            "gauge",
            "Since the catalog was last known to be current.",
            &|database| database.catalog_age().map(|age| age.as_secs_f64().to_string()),
        );
        each(
            text,
            "stepgate_upstream_failures_total",
            "counter",
            "Connections to the server, or looks at its catalog, that failed.",
            &|database| Some(database.failures.load(Relaxed).to_string()),
        );
    }
}

#[derive(Default)]
struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn line(&mut self, what: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{what} {value}");
    }
}

/// Microseconds as Prometheus wants them.
#[expect(clippy::cast_precision_loss, reason = "a sum is exact up to 285 years")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

fn wide(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Names of the configuration are harmless already; this keeps a line a line should one not be.
fn label(name: &str) -> String {
    name.chars().filter(|letter| letter.is_ascii_graphic() && !"\"\\{}".contains(*letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_that_come_and_go_with_reloads_do_not_grow_it_for_ever() {
        let metrics = Metrics::default();
        for number in 0..3 * MAX_RULES {
            metrics.decided("hold", Some(Action::StepUp), &[format!("rule-{number}")]);
        }
        assert_eq!(metrics.rules.lock().unwrap().len(), MAX_RULES);
        metrics.decided("no such verdict", None, &[]);
        assert_eq!(metrics.sum(|often| often.verdicts[2].get(2)), 3 * wide(MAX_RULES));
        assert_eq!(metrics.sum(|often| often.verdicts.last()?.last()), 1);
    }

    /// Functions may raise any five characters: whoever writes one would choose labels, and how many.
    #[test]
    fn what_servers_refuse_has_labels_of_postgresqls_classes_alone() {
        let metrics = Metrics::default();
        for sqlstate in ["22012", "22P02", "42601", "ZQXMA", "90210", "22?!\"", "", "\u{e9}\u{e9}", "?????"] {
            metrics.server_refused(sqlstate);
        }
        let mut text = Text::default();
        metrics.write_why(&mut text);
        let counted = text.0.lines().filter(|line| line.starts_with("stepgate_server_errors_total{"));
        let counted: Vec<_> = counted.map(|line| line.rsplit_once('{').map(|it| it.1)).collect();
        let expected = ["class=\"22\"} 2", "class=\"42\"} 1", "class=\"other\"} 6"];
        assert_eq!(counted, expected.map(Some));
    }

    #[test]
    fn every_action_has_a_label_of_its_own() {
        let metrics = Metrics::default();
        for action in [Action::Allow, Action::Monitor, Action::StepUp, Action::Approve, Action::Deny] {
            metrics.decided("hold", Some(action), &[]);
        }
        let counted = (0..ACTIONS.len()).map(|at| metrics.sum(|often| often.verdicts[2].get(at)));
        assert_eq!(counted.collect::<Vec<_>>(), [1, 1, 1, 1, 1, 0]);
    }

    #[test]
    fn a_hold_counts_for_as_long_as_it_lasts() {
        let metrics = Arc::new(Metrics::default());
        let (first, second) = (metrics.hold(), metrics.hold());
        assert_eq!(metrics.open_holds.load(Relaxed), 2);
        drop((first, second));
        assert_eq!((metrics.open_holds.load(Relaxed), metrics.holds.buckets[0].load(Relaxed)), (0, 2));
    }
}
