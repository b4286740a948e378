//! The end of a session, and what outlives it.

use std::time::Duration;

use stepgate_record::Event;
use stepgate_session::Ending;
use stepgate_store::LogError;
use stepgate_types::{Amount, SqlState};
use stepgate_wire::Problem;
use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::fate::Fate;
use super::leaving::{Leaving, Left};
use super::{Calls, Drive, Goodbye, Reason, State};
use crate::metrics::count;
use crate::{Shutdown, refusal};

/// How long the last words to a client may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A session's end.
pub(crate) struct End {
    pub(crate) reason: Reason,
    /// What still runs at the server, and who calls it.
    pub(crate) leaving: Option<Box<(Leaving, Calls)>>,
}

/// The client has closed its end, or cannot be reached.
pub(super) fn client_gone(state: &mut State) {
    state.ending = Some(if state.goodbye == Goodbye::Unsaid { "client-gone" } else { "terminate" });
}

impl Drive {
    pub(super) fn server_gone(&mut self, state: &mut State) {
        if state.goodbye != Goodbye::Unsaid {
            // That is its answer.
            state.goodbye = Goodbye::Answered;
            return;
        }
        if self.session.server_said_fatal() {
            state.ending = Some("server-gone");
            return;
        }
        let problem =
            Problem::fatal(SqlState::CONNECTION_FAILURE, "the database server closed the connection")
                .with_hint("Connect again.");
        self.end(state, &problem, "server-gone");
    }

    /// Nobody may be left to be told.
    pub(super) fn server_lost(&mut self, state: &mut State) {
        let problem =
            Problem::fatal(SqlState::CONNECTION_FAILURE, "the database server does not answer any more")
                .with_hint("What it was sent may have been done. Connect again.");
        self.end(state, &problem, "server-lost");
    }

    pub(super) fn log_failed(&mut self, state: &mut State, error: &LogError) {
        let problem = self.span.in_scope(|| refusal::log_failed(error));
        self.end(state, &problem, "log");
    }

    pub(super) fn defect(&mut self, state: &mut State) {
        let defect = || tracing::error!("a token or hold does not fit: the session is ended");
        self.span.in_scope(defect);
        let problem = Problem::fatal(SqlState::SYSTEM_ERROR, "the session's state is inconsistent");
        self.end(state, &problem, "defect");
    }

    /// The server waits for a client that reads nothing: it goes on, or stops, without it.
    pub(super) fn client_stalls(&mut self, state: &mut State) {
        let patience = self.judge.gate.patience().as_secs();
        let message = format!("nothing of a result was read for {patience} seconds");
        let problem = Problem::fatal(SqlState::QUERY_CANCELED, message)
            .with_hint("Fetch less at a time; the gate's operator sets the limit (limits.slow_client).");
        count(&self.judge.gate.metrics.slow_clients);
        self.end(state, &problem, "slow-client");
    }

    /// Ends what a gate that is stopping does not wait for.
    pub(super) fn drain(&mut self, state: &mut State) {
        let may_go_on = match state.shutdown {
            Shutdown::Serving => true,
            // Nobody knows when people answer; a transaction and what runs are soon over.
            Shutdown::Draining => state.hold.is_none() && !self.is_at_rest(state),
            Shutdown::Now => false,
        };
        if may_go_on || state.ending.is_some() {
            return;
        }
        if state.goodbye != Goodbye::Unsaid {
            // What its client has left behind runs on, as without a gate.
            state.ending = Some("terminate");
            return;
        }
        let problem = Problem::fatal(SqlState::ADMIN_SHUTDOWN, "the gate is stopping")
            .with_hint("Connect again in a moment; a held statement must be sent again.");
        self.end(state, &problem, "shutdown");
    }

    /// Ends the session of a client that sends nothing more, once all that it has sent is done. If it has gone altogether,
    /// that shows when it is answered; while a statement waits for people, at once (`wait.rs`).
    pub(super) fn leave_if_heard_out(&mut self, state: &mut State) {
        if state.goodbye == Goodbye::Answered && state.ending.is_none() && !state.client.has_work() {
            state.ending = Some("terminate");
        }
        let waits = state.hold.is_some() || state.pending.is_some() || state.approved.is_some();
        if state.heard_out && state.ending.is_none() && !waits && self.session.has_done_all() {
            match state.broken.take() {
                Some(problem) => self.end(state, &problem, "protocol"),
                None => state.ending = Some("client-gone"),
            }
        }
    }

    /// Whether nothing is under way, nor waits to be written, nor is a transaction open.
    fn is_at_rest(&self, state: &State) -> bool {
        state.pending.is_none()
            && state.approved.is_none()
            && state.loading.is_none()
            && state.releases.is_empty()
            && !state.client.has_work()
            && !state.server.has_work()
            && self.session.is_at_rest()
    }

    pub(super) fn end(&mut self, state: &mut State, problem: &Problem, reason: Reason) {
        self.session.end(problem, Ending::Defect);
        state.client.take(self.session.to_client());
        state.ending = Some(reason);
    }

    /// Last words, and nothing left open.
    pub(super) async fn finish(mut self: Box<Self>, mut state: State) -> End {
        // A server's process that ends has transactions of its own (`RemoveTempRelations` of namespace.c).
        self.author.owes(None, false, false);
        let reason = state.ending.unwrap_or("defect");
        let gone = matches!(reason, "client-gone" | "terminate" | "server-gone" | "server-lost");
        self.withdraw(&mut state, gone).await;
        for (number, limited) in std::mem::take(&mut state.limited) {
            if state.started.of(number).is_some() {
                limited.meter.lost();
            }
            limited.meter.settled();
            self.judge.give_back(&limited);
        }
        let under_way = self.session.under_way();
        // What of a result is out counts, though nobody remembers when it was begun.
        let begun = under_way.map(|(number, _)| number).filter(|it| state.started.of(*it).is_none());
        for statement in state.started.numbers().chain(begun) {
            // Sent, and nobody has heard of its end.
            let delivered = under_way.filter(|(number, _)| *number == statement).map(|(_, amount)| amount);
            let Amount { rows, bytes, .. } = delivered.unwrap_or(Amount::NOTHING);
            self.judge.gate.metrics.completed(rows, bytes, None);
            let event = Event::StatementOutcomeUnknown {
                session: self.judge.session,
                statement,
                rows: Some(rows),
                bytes: Some(bytes),
            };
            let log = &self.judge.gate.log;
            let noted = match log.note(&event) {
                Err(LogError::Full) => log.note_with_room(event).await,
                other => other,
            };
            if let Err(error) = noted {
                tracing::error!(%error, "recording a statement without an end");
                break;
            }
        }
        let State { mut client, mut server, under_way, .. } = state;
        let number = under_way.session();
        let fate = Fate::of(&self.session, &self.author, server.cutter);
        let (commits, answered, opened, watched) = under_way.into_parts();
        let last_words = async {
            let _ = client.stream.write_all(&client.out).await;
            let _ = client.stream.shutdown().await;
        };
        let (runs, several) = (self.session.is_running(), self.session.runs_several());
        let Self { judge, calls, server_key, .. } = *self;
        if reason == "server-gone" || (!runs && commits.is_empty() && answered.is_empty()) {
            let goodbye = async {
                if reason == "terminate" {
                    let _ = server.stream.write_all(&server.out).await;
                }
                let _ = server.stream.shutdown().await;
            };
            let _ = timeout(LAST_WORDS, async { tokio::join!(goodbye, last_words) }).await;
            return End { reason, leaving: None };
        }
        let lost = reason == "server-lost";
        let left = Left {
            server: Some(server.stream),
            unsent: server.out,
            judge,
            key: server_key,
            commits,
            answered,
            opened,
            watched,
            number,
            fate,
            several,
            lost,
        };
        // A client that breaks the protocol is found out by PostgreSQL only once what it sent before is done.
        let is_in_the_way = reason == "in-the-way";
        // Whoever waits for its outcome hears it.
        let runs_on = is_in_the_way || matches!(reason, "client-gone" | "terminate" | "protocol");
        let mut leaving = Leaving::behind(left, runs_on);
        let call_off = async {
            if is_in_the_way {
                leaving.cancel().await;
            } else if !runs_on && !lost {
                // The client's connection closes when the server has been told.
                leaving.call_off().await;
            }
        };
        let _ = timeout(LAST_WORDS, async { tokio::join!(call_off, last_words) }).await;
        End { reason, leaving: Some(Box::new((leaving, calls))) }
    }
}
