//! The desk: where statements wait for people (DESIGN §4.3 to §4.5, §4.8, §4.10).
//!
//! Every step (a request, an answer, an end, a grant, a spent code) is one write to the log, and counts only
//! once that write is on disk. Steps never cross: each takes its turn from looking at the state until the
//! state has changed. Whoever only looks waits for nobody.

mod answer;
mod ask;
mod budget;
mod conditions;
mod end;
mod enrol;
mod error;
mod inner;
mod pass;
mod read;
mod replay;
mod state;
#[cfg(test)]
mod tests;
mod view;

use std::future::Future;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use stepgate_approval::{Ask, Held, Page, Reason, Wanted};
use stepgate_record::{Deferral, Event, Permit};
use stepgate_types::{Actor, Clock, Entropy, GrantId, PersonName, RequestId, StatementId};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

pub use budget::{Block, Need};
pub use conditions::Conditions;
pub use end::Left;
pub use error::{DeskError, EnrolError, VerifyError};
pub use view::{Deferred, End, GrantInfo, Part, Progress, RequestInfo, Shown, ShownParameter, Waiting};

use crate::{Change, Factors, Log, People, Vault};
use answer::Answer;
use end::Leaving;
use inner::Inner;
use replay::Replay;

/// Events of one append at the start.
const BATCH: usize = 64;

/// News that a listener may lag behind before it misses some.
const NEWS: usize = 256;

/// Requests, grants, passes and factors of one gate. Cheap to clone. Its futures may be dropped at any time: what
/// was begun is finished.
#[derive(Clone)]
pub struct Desk(Arc<Inner>);

impl Desk {
    /// Rebuilds requests, grants and spent codes from the log. Requests that were open when the gate
    /// stopped are withdrawn; statements that were forwarded and never completed are recorded as of
    /// unknown outcome. Blocks the thread.
    ///
    /// # Errors
    /// The log cannot be read or written.
    pub fn open(
        log: Log,
        people: People,
        factors: Factors,
        vault: Vault,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Result<Self, DeskError> {
        let mut replay = Replay::new(log.subjects().clone());
        for (person, step) in log.spent_steps()? {
            replay.spent(&person, step);
        }
        log.replay(log.desk_floor()?, &mut |_, record| replay.read(record))?;
        replay.read_all();
        for some in replay.loose_ends(clock.now()).chunks(BATCH) {
            log.append_blocking(some.to_vec(), Vec::new())?;
        }
        let state = Mutex::new(replay.finish(clock.now()));
        let (changed, _) = broadcast::channel(NEWS);
        let turn = tokio::sync::Mutex::new(());
        Ok(Self(Arc::new(Inner { log, people, factors, vault, clock, entropy, turn, state, changed })))
    }

    /// Opens a request for a held statement, or joins one that is open and whose grant would cover it.
    /// `ask.id` is replaced if it is taken; [`Waiting::request`] is the one to show.
    ///
    /// # Errors
    /// See [`DeskError`]; the statement must not pass.
    pub async fn ask(&self, ask: Ask, held: Held) -> Result<Waiting, DeskError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.ask(ask, held).await }).await
    }

    /// Opens a request for a statement that cannot wait, or finds the open one that its grant would cover or that
    /// is about this very statement. `ask.mode` allows it.
    ///
    /// # Errors
    /// See [`DeskError`]; the statement must not pass.
    pub async fn defer(&self, ask: Ask, held: Held) -> Result<Deferred, DeskError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.defer(ask, held).await }).await
    }

    /// A person verifies themselves for their own request.
    ///
    /// # Errors
    /// See [`VerifyError`]; nothing has been approved.
    pub async fn verify(
        &self,
        request: RequestId,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<End, VerifyError> {
        let (person, code) = (person.clone(), Zeroizing::new(code.to_owned()));
        let answer = Answer { request, person, code, approve: true, reason: None, source, own: true };
        let inner = Arc::clone(&self.0);
        let progress = finish(async move { inner.answer(answer).await }).await?;
        // One answer always ends a request of one's own.
        progress.ended.ok_or(VerifyError::Desk(DeskError::Unknown))
    }

    /// A person answers a request with a fresh code.
    ///
    /// # Errors
    /// See [`VerifyError`]; the answer does not count.
    pub async fn vote(
        &self,
        request: RequestId,
        person: &PersonName,
        code: &str,
        approve: bool,
        reason: Option<&str>,
        source: IpAddr,
    ) -> Result<Progress, VerifyError> {
        let inner = Arc::clone(&self.0);
        let reason = reason.map(Reason::parse).transpose()?.flatten();
        let (person, code) = (person.clone(), Zeroizing::new(code.to_owned()));
        let answer = Answer { request, person, code, approve, reason, source, own: false };
        finish(async move { inner.answer(answer).await }).await
    }

    /// Verifies and spends a code of this person for something other than a request.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn prove(&self, person: &PersonName, code: &str, source: IpAddr) -> Result<(), VerifyError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        let code = Zeroizing::new(code.to_owned());
        finish(async move { inner.prove(&person, &code, source).await }).await
    }

    /// What waits is no longer what would run, or is not to. With its last waiter a request is withdrawn, unless it
    /// was deferred.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn withdraw(&self, request: RequestId, statement: StatementId) -> Result<Left, DeskError> {
        self.leave(request, statement, Leaving::Withdrawn).await
    }

    /// The statement was cancelled by who asked (Ctrl-C). With its last waiter a request is cancelled, unless it was
    /// deferred.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn cancel(&self, request: RequestId, statement: StatementId) -> Result<Left, DeskError> {
        self.leave(request, statement, Leaving::Cancelled).await
    }

    /// The statement cannot wait any longer: its request stays open, if its mode allows that, else it is withdrawn.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn stop_waiting(
        &self,
        request: RequestId,
        statement: StatementId,
        why: Deferral,
    ) -> Result<Left, DeskError> {
        self.leave(request, statement, Leaving::Deferred(why)).await
    }

    async fn leave(
        &self,
        request: RequestId,
        statement: StatementId,
        how: Leaving,
    ) -> Result<Left, DeskError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.leave(request, statement, how).await }).await
    }

    /// The person who asked cancels the whole request (`stepgate request cancel`).
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn cancel_request(&self, request: RequestId, person: &PersonName) -> Result<(), DeskError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish(async move { inner.cancel_request(request, &person).await }).await
    }

    /// Ends what is due: expired requests, requests nobody waits for any more, grants, enrolments. To be
    /// called each second.
    ///
    /// # Errors
    /// The log refused. Nobody waits any longer then: every [`Waiting::ended`] is closed.
    pub async fn expire_due(&self) -> Result<(), DeskError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.expire_due().await }).await
    }

    /// The grant that covers this statement at this moment, if one does.
    #[must_use]
    pub fn covering_grant(&self, wanted: &Wanted) -> Option<GrantId> {
        self.0.covering_grant(wanted)
    }

    /// The same where a statement has delivered as much as it may: a grant that was approved for more at a time does
    /// not lift its limit.
    #[must_use]
    pub fn grant_for_more(&self, wanted: &Wanted) -> Option<GrantId> {
        self.0.covering_grant_within(wanted, wanted.limit)
    }

    /// The pass by which this statement may run at this moment, and the request that was approved: to be used up by
    /// [`Desk::spend_pass`].
    #[must_use]
    pub fn pass_for(&self, wanted: &Wanted, db_user: &str, held: &Held) -> Option<(GrantId, RequestId)> {
        self.0.pass_for(wanted, db_user, held)
    }

    /// Uses a pass up and permits its statement, in one write with the statement's decision. `None`: it was used up,
    /// taken back or over meanwhile. Whatever becomes of the statement, the pass is not given back.
    ///
    /// # Errors
    /// See [`DeskError`]; the statement must not pass.
    pub async fn spend_pass(
        &self,
        pass: GrantId,
        statement: StatementId,
        decided: Event,
        changes: Vec<Change>,
    ) -> Result<Option<Permit>, DeskError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.spend_pass(pass, statement, decided, changes).await }).await
    }

    /// Sets a part of a grant's budget aside for a statement, which may deliver it once [`Block::debited`] is on disk.
    /// `None`: the grant is over, taken back, or has not enough left.
    #[must_use]
    pub fn set_aside(&self, grant: GrantId, statement: StatementId, need: &Need) -> Option<Block> {
        self.0.set_aside(grant, statement, need)
    }

    /// The same, on disk when it returns.
    ///
    /// # Errors
    /// The log refused: nothing may be delivered.
    pub async fn debit(
        &self,
        grant: GrantId,
        statement: StatementId,
        need: &Need,
    ) -> Result<Option<Block>, DeskError> {
        let Some(block) = self.0.set_aside(grant, statement, need) else { return Ok(None) };
        let events: Vec<_> = block.debited.iter().cloned().collect();
        if !events.is_empty() {
            self.0.log.append(events, Vec::new()).await?;
        }
        Ok(Some(block))
    }

    /// Gives back what was set aside and not delivered. What cannot be recorded now is lost to the grant.
    pub fn give_back(&self, grant: GrantId, statement: StatementId, rows: u64, bytes: u64) {
        self.0.give_back(grant, statement, rows, bytes);
    }

    /// All grants and passes in force.
    #[must_use]
    pub fn grants(&self) -> Vec<GrantInfo> {
        let now = self.0.clock.now();
        let state = self.0.state();
        let in_force = state.grants.values().filter(|kept| !kept.grant.is_due(now));
        let passes = state.passes.values().filter(|kept| !kept.pass.is_due(now));
        let grants = in_force.map(GrantInfo::from);
        grants.chain(passes.map(|kept| GrantInfo::from(&kept.pass))).collect()
    }

    /// Takes a grant or pass back. `by` is who does it; `None` is the operator at the gate's own machine.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn revoke(&self, grant: GrantId, by: impl Into<Actor>) -> Result<(), DeskError> {
        let (inner, by) = (Arc::clone(&self.0), by.into());
        finish(async move { inner.revoke(grant, by).await }).await
    }

    /// Takes back all grants and passes of a person and withdraws their requests: after they were removed, lost a
    /// factor or changed groups.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn revoke_person(&self, person: &PersonName, by: impl Into<Actor>) -> Result<(), DeskError> {
        let (inner, person, by) = (Arc::clone(&self.0), person.clone(), by.into());
        finish(async move { inner.revoke_person(&person, by).await }).await
    }

    /// Open requests and the latest ended ones, newest last.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestInfo> {
        let state = self.0.state();
        let mut open: Vec<_> = state.open.values().map(state::Entry::info).collect();
        open.sort_by(|one, other| one.opened.cmp(&other.opened));
        state.past.list().cloned().chain(open).collect()
    }

    /// One request, open or ended.
    #[must_use]
    pub fn request(&self, request: RequestId) -> Option<RequestInfo> {
        let state = self.0.state();
        let open = state.open.get(&request).map(state::Entry::info);
        open.or_else(|| state.past.get(request).map(|(_, info)| info.clone()))
    }

    /// The held statement, for who asked and for those who may answer; unknown to everybody else.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn show(&self, request: RequestId, viewer: &PersonName) -> Result<Shown, DeskError> {
        self.0.first_look(request, viewer)?;
        self.0.looking(request, viewer, |entry| entry.show(viewer))
    }

    /// The page of a part of the held statement that begins at byte `offset`.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn show_more(
        &self,
        request: RequestId,
        viewer: &PersonName,
        part: Part,
        offset: usize,
    ) -> Result<Page, DeskError> {
        self.0.first_look(request, viewer)?;
        self.0.looking(request, viewer, |entry| entry.show_more(viewer, part, offset))
    }

    /// How grants name this client.
    #[must_use]
    pub fn client_mark(&self, client: &str) -> String {
        self.0.client_mark(client)
    }

    /// Hears of every request that is opened, answered or ended.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<RequestId> {
        self.0.changed.subscribe()
    }

    /// Begins to enrol an authenticator: a fresh secret as `otpauth://` URI, to be confirmed within ten
    /// minutes. Who has one already gives a `code` of it.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enroll_begin(
        &self,
        person: &PersonName,
        code: Option<&str>,
        source: IpAddr,
    ) -> Result<Zeroizing<String>, EnrolError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        let code = code.map(|code| Zeroizing::new(code.to_owned()));
        finish(async move {
            let code = code.as_ref().map(|code| code.as_str());
            inner.enroll_begin(&person, code, source).await
        })
        .await
    }

    /// Confirms the enrolment with a code of the new authenticator. The code is spent.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enroll_confirm(
        &self,
        person: &PersonName,
        code: &str,
        source: IpAddr,
    ) -> Result<(), EnrolError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        let code = Zeroizing::new(code.to_owned());
        finish(async move { inner.enroll_confirm(&person, &code, source).await }).await
    }
}

/// Sees a step through even if whoever asked for it has gone: a write that is under way counts when it is
/// on disk, and memory must not say otherwise.
async fn finish<T: Send + 'static, E: From<DeskError> + Send + 'static>(
    step: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    tokio::spawn(step).await.unwrap_or_else(|_| Err(DeskError::Stopping.into()))
}
