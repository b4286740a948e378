//! "Not me": the person in whose name a request was made says that they did not make it. It ends at once, the sessions
//! that wait for it are ended, and an alarm is recorded; the account stays as it is, so that nobody is locked out.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_record::{Event, Outcome};
use stepgate_types::{PersonName, RequestId, SessionId, StatementId, Who};

use super::inner::Inner;
use super::state::Remembered;
use super::{Desk, DeskError, finish};

/// What is done with sessions that are somebody else's than they said.
pub type EndSession = Box<dyn Fn(SessionId) + Send + Sync>;

/// The most sessions of one request that are named in records; all are ended.
const MAX_NAMED: usize = 32;

impl Desk {
    /// What ends a session of which its person says that it is not theirs; for the first caller alone.
    pub fn on_disowned(&self, end: EndSession) {
        // A gate has one set of sessions.
        let _ = self.0.end_session.set(end);
    }

    /// The person in whose name a request was made says that they did not make it: it is denied, sessions that wait for
    /// it are ended, an alarm is recorded. The account stays as it is.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn disown(&self, request: RequestId, person: &PersonName) -> Result<(), DeskError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish(async move { inner.disown(request, &person).await }).await
    }
}

impl Inner {
    pub(super) async fn disown(&self, request: RequestId, person: &PersonName) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        let (statements, asked) = {
            let state = self.state();
            let entry = state.entry(request)?;
            let ask = entry.open.ask();
            if ask.person != *person && ask.asker() != person {
                return Err(DeskError::Unknown);
            }
            let waiting = entry.waiters.iter().map(|waiter| waiter.statement);
            let asked = ask.ahead.is_none().then_some(ask.statement);
            let statements: Vec<_> = asked.into_iter().chain(waiting).collect();
            (statements, ask.statement)
        };
        let sessions: BTreeSet<_> = statements.iter().map(|statement| statement.session).collect();
        // At once: if the write fails, they are ended nevertheless.
        if let Some(end) = self.end_session.get() {
            sessions.iter().for_each(|session| end(*session));
        }
        let mut named = BTreeSet::new();
        // One that was opened ahead has no session of its own to end, and is an alarm all the same.
        let alarming = if statements.is_empty() { vec![asked] } else { statements };
        let first = alarming.iter().filter(|statement| named.insert(statement.session)).take(MAX_NAMED);
        let alarms = first.map(|StatementId { session, number }| Event::AlarmRaised {
            session: *session,
            statement: *number,
            what: "not-me".to_owned(),
            columns: Vec::new(),
        });
        let ended = Event::StepupEnded {
            request,
            outcome: Outcome::Denied,
            by: Some(Who::from(person)),
            reason_hmac: None,
            reason: None,
        };
        self.log.append(std::iter::once(ended).chain(alarms).collect(), Vec::new()).await?;
        {
            let mut state = self.state();
            if let Some(entry) = state.open.remove(&request) {
                let ended = entry.open.end(Outcome::Denied, Some(person.clone()));
                let reason = Some(format!("{person} did not make this request"));
                state.conclude(ended, entry.waiters, reason, Remembered::default());
            }
        }
        self.forget(request).await;
        self.tell(request);
        Ok(())
    }
}
