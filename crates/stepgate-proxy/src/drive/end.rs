//! The end of a session, and what outlives it.

use std::sync::Arc;
use std::time::Duration;

use stepgate_record::Event;
use stepgate_session::Ending;
use stepgate_store::LogError;
use stepgate_types::SqlState;
use stepgate_wire::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Drive, Reason, State};
use crate::database::CommitsDdl;
use crate::metrics::count;
use crate::{Shutdown, Stream, forward_cancel, refusal};

/// How long the last words to a client may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How long the server may go on with what a session left behind.
const SEE_OUT: Duration = Duration::from_secs(60 * 60);

impl Drive {
    pub(super) fn server_gone(&mut self, state: &mut State) {
        if self.session.server_said_fatal() {
            state.ending = Some("server-gone");
            return;
        }
        let problem =
            Problem::fatal(SqlState::CONNECTION_FAILURE, "the database server closed the connection")
                .with_hint("Connect again.");
        self.end(state, &problem, "server-gone");
    }

    pub(super) fn log_failed(&mut self, state: &mut State, error: &LogError) {
        let problem = refusal::log_failed(error);
        self.end(state, &problem, "log");
    }

    pub(super) fn defect(&mut self, state: &mut State) {
        tracing::error!(session = %self.judge.session, "a token or hold does not fit: the session is ended");
        let problem = Problem::fatal(SqlState::SYSTEM_ERROR, "the session's state is inconsistent");
        self.end(state, &problem, "defect");
    }

    /// The server waits for a client that reads nothing: it goes on, or stops, without it.
    pub(super) fn client_stalls(&mut self, state: &mut State) {
        let patience = self.judge.gate.patience().as_secs();
        let message = format!("nothing of a result was read for {patience} seconds");
        let problem = Problem::fatal(SqlState::QUERY_CANCELED, message)
            .with_hint("Fetch less at a time; the gate's operator sets the limit (limits.slow_client).");
        let database = Arc::clone(&self.judge.database);
        let (pid, secret) = self.server_key.clone();
        tokio::spawn(async move {
            if let Err(error) = forward_cancel(&database.config, pid, &secret).await {
                tracing::warn!(%error, "cancelling a statement whose client reads nothing");
            }
        });
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
        let problem = Problem::fatal(SqlState::ADMIN_SHUTDOWN, "the gate is stopping")
            .with_hint("Connect again in a moment; a held statement must be sent again.");
        self.end(state, &problem, "shutdown");
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
    pub(super) async fn finish(mut self: Box<Self>, mut state: State) -> Reason {
        let reason = state.ending.unwrap_or("defect");
        let gone = matches!(reason, "client-gone" | "terminate" | "server-gone");
        self.withdraw(&mut state, gone).await;
        for (number, limited) in std::mem::take(&mut state.limited) {
            if state.started.of(number).is_some() {
                limited.meter.lost();
            }
            limited.meter.settled();
            self.judge.give_back(&limited);
        }
        for statement in state.started.numbers() {
            // Sent, and nobody has heard of its end.
            let event = Event::StatementOutcomeUnknown { session: self.judge.session, statement };
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
        let last_words = async {
            if reason == "terminate" {
                let _ = server.stream.write_all(&server.out).await;
            }
            let _ = server.stream.shutdown().await;
            let _ = client.stream.write_all(&client.out).await;
            let _ = client.stream.shutdown().await;
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        let commits = under_way.into_commits();
        if !commits.is_empty() {
            tokio::spawn(see_out(server.stream, commits));
        }
        reason
    }
}

/// Waits for the server's end of a session that is over: what it was doing it goes on doing, and may commit DDL.
async fn see_out(mut server: Stream, commits: Vec<CommitsDdl>) {
    let mut unread = [0; 4 << 10];
    let closes = async { while server.read(&mut unread).await.is_ok_and(|read| read > 0) {} };
    if tokio::time::timeout(SEE_OUT, closes).await.is_err() {
        tracing::warn!("the server has not closed its end of a session that is over, and may yet commit DDL");
    }
    drop(commits);
}
