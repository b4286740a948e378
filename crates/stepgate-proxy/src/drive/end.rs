//! The end of a session, and what outlives it.

use std::time::Duration;

use stepgate_session::Ending;
use stepgate_store::LogError;
use stepgate_types::SqlState;
use stepgate_wire::Problem;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Drive, Reason, State};
use crate::database::CommitsDdl;
use crate::{Stream, refusal};

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

    pub(super) fn end(&mut self, state: &mut State, problem: &Problem, reason: Reason) {
        self.session.end(problem, Ending::Defect);
        state.client.out.unsplit(self.session.to_client().split());
        state.ending = Some(reason);
    }

    /// Last words, and nothing left open.
    pub(super) async fn finish(self, mut state: State) -> Reason {
        let reason = state.ending.unwrap_or("defect");
        let gone = matches!(reason, "client-gone" | "terminate" | "server-gone");
        self.withdraw(&mut state, gone).await;
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
