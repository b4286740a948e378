//! The desk: where statements wait for people (DESIGN §4.3 to §4.5, §4.8, §4.10).
//!
//! Every step (a request, an answer, an end, a grant, a spent code) is one write to the log, and counts only
//! once that write is on disk. Steps never cross: each takes its turn from looking at the state until the
//! state has changed. Whoever only looks waits for nobody.

mod account;
mod ahead;
mod answer;
mod ask;
mod asked;
mod budget;
mod caps;
mod comment;
mod conditions;
mod digits;
mod disown;
mod end;
mod enrol;
mod enrolling;
mod error;
mod glass;
mod glass_error;
mod glass_review;
mod history;
mod inner;
mod login;
mod manage;
mod methods;
mod pace;
mod pass;
mod policies;
mod prove;
mod read;
mod replay;
mod sealed;
mod state;
#[cfg(test)]
mod tests;
mod view;
mod waiting;

use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use stepgate_approval::{
    Ask, Bound, Channel, Factor, Held, Method, Page, Purpose, Reason, Recovery, Source, TotpFactor, Wanted,
};
use stepgate_record::{Deferral, Event, Permit};
use stepgate_types::{Actor, Amount, Clock, Entropy, GrantId, PersonName, RequestId, StatementId, Strength};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

pub use account::AccountNews;
pub use answer::Answer;
pub use asked::OverBudget;
pub use budget::{Block, Need};
pub use caps::Caps;
pub use comment::Comment;
pub use conditions::Conditions;
pub use disown::EndSession;
pub use end::Left;
pub use enrol::Enrol;
pub use error::{DeskError, EnrolError, VerifyError};
pub use glass::{GlassInfo, GlassWish};
pub use glass_error::GlassError;
pub use history::History;
pub use login::LoginChallenge;
pub use methods::{AuthenticatorInfo, Challenged, MethodInfo};
pub use policies::{PolicyInfo, TwoPerson};
pub use prove::Presented;
pub use view::{
    Deferred, End, GrantInfo, Part, Progress, RequestInfo, Shown, ShownParameter, Waiting, WaitsFrom,
};
pub use waiting::{Awaited, WaitingChallenge};

use crate::{Change, Factors, Log, People, Vault};
use end::Leaving;
use inner::Inner;
use methods::{Methods, Needs};
use prove::Asked;
use replay::Replay;
use sealed::Shelf;

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
    /// unknown outcome, and sessions that were open as ended. Blocks the thread.
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
        Self::open_with(log, people, factors, vault, (clock, entropy), None, false)
    }

    /// The same, where open requests are kept encrypted in this directory and go on after a restart, those of one's own
    /// that nobody was told to come again for excepted. Without `keeps`, those of an earlier start are destroyed.
    ///
    /// # Errors
    /// As [`Desk::open`]; or the directory cannot be used.
    pub fn open_with(
        log: Log,
        people: People,
        factors: Factors,
        vault: Vault,
        (clock, entropy): (Arc<dyn Clock>, Arc<dyn Entropy>),
        kept: Option<&Path>,
        keeps: bool,
    ) -> Result<Self, DeskError> {
        let shelf = kept.map(|dir| Shelf::open(dir.to_owned(), vault.clone())).transpose();
        let shelf = shelf.map_err(|error| {
            tracing::error!(%error, "requests cannot be kept");
            DeskError::NotKept
        })?;
        let mut replay = Replay::new(log.subjects().clone());
        for (person, step) in log.spent_steps()? {
            replay.spent(&person, step);
        }
        log.sessions_before()?.into_iter().for_each(|session| replay.was_open(session));
        log.replay(log.desk_floor()?, &mut |_, record| replay.read(record))?;
        replay.read_all();
        if let Some(shelf) = &shelf {
            if keeps {
                replay.take_back(shelf);
            } else {
                shelf.keep_only(|_| false);
            }
        }
        let shelf = shelf.filter(|_| keeps).map(Arc::new);
        for some in replay.loose_ends(clock.now()).chunks(BATCH) {
            log.append_blocking(some.to_vec(), Vec::new())?;
        }
        let latest = replay.latest();
        let mut state = replay.finish(clock.now());
        state.restore(&factors);
        state.policies.was_approved(policies::Policies::open(&log)?);
        state.resume_glasses(clock.now().max(latest), clock.monotonic());
        let (changed, _) = broadcast::channel(NEWS);
        let (turn, state) = (tokio::sync::Mutex::new(()), Mutex::new(state));
        let mut methods = Methods::default();
        methods.plug(Arc::new(TotpFactor));
        methods.plug(Arc::new(Recovery::new(vault.key("recovery codes"))));
        let methods = RwLock::new(methods);
        let (caps, end_session, glass_rules) = (Mutex::default(), OnceLock::new(), Mutex::default());
        let inner = Inner {
            log,
            people,
            factors,
            vault,
            clock,
            entropy,
            turn,
            state,
            methods,
            changed,
            shelf,
            caps,
            end_session,
            glass_rules,
            two_person: Mutex::default(),
        };
        inner.sift_votes();
        Ok(Self(Arc::new(inner)))
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

    /// Adds a method: what [`Desk::challenge`], [`Desk::answer`] and [`Desk::enrol`] know of it from now on.
    pub fn plug(&self, factor: Arc<dyn Factor>) {
        self.0.methods.write().unwrap_or_else(PoisonError::into_inner).plug(factor);
    }

    /// Says how messages of a method leave, and how one tells whether it works.
    pub fn connect(&self, method: Method, channel: Arc<dyn Channel>) {
        self.0.methods.write().unwrap_or_else(PoisonError::into_inner).connect(method, channel);
    }

    /// Messages of a method do not leave any more.
    pub fn disconnect(&self, method: Method) {
        self.0.methods.write().unwrap_or_else(PoisonError::into_inner).disconnect(method);
    }

    /// A key for keyed hashes of a method's own, such as codes that are sent.
    #[must_use]
    pub fn method_key(&self, method: Method) -> Zeroizing<[u8; 32]> {
        self.0.vault.key(&format!("factor {method}"))
    }

    /// What this person could answer that request by: enrolled methods of at least the strength it asks for, in the
    /// order in which they are to be offered, each with whether it works now from there, and why not.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn methods(
        &self,
        request: RequestId,
        person: &PersonName,
        source: Source,
    ) -> Result<Vec<MethodInfo>, DeskError> {
        self.0.methods_for_request(request, person, source)
    }

    /// The same for changing one's own authenticators, or confirming a reset; for what has a door of its own, none.
    #[must_use]
    pub fn methods_for(&self, person: &PersonName, purpose: &Purpose, source: Source) -> Vec<MethodInfo> {
        let needs = needs_of(purpose);
        needs.map_or_else(Vec::new, |needs| self.0.methods_of(&mut self.0.state(), person, needs, source))
    }

    /// A person's authenticators, as listed.
    #[must_use]
    pub fn authenticators(&self, person: &PersonName) -> Vec<AuthenticatorInfo> {
        self.0.authenticators(person)
    }

    /// Makes a challenge by which this person may `approve` or deny that request: bound to both, for ten minutes, once.
    /// Where the method does not work, [`VerifyError::Unavailable`] names another of at least the required strength.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn challenge(
        &self,
        request: RequestId,
        person: &PersonName,
        method: Method,
        approve: bool,
        source: Source,
    ) -> Result<Challenged, VerifyError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        finish(async move { inner.challenge(request, &person, method, approve, source).await }).await
    }

    /// The same for changing one's own authenticators, or confirming a reset. For policies and reviews there are
    /// [`Desk::challenge_policy`] and [`Desk::challenge_review`], which know whose they are.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn challenge_for(
        &self,
        person: &PersonName,
        purpose: Purpose,
        method: Method,
        source: Source,
    ) -> Result<Challenged, VerifyError> {
        let _turn = self.0.turn.lock().await;
        let needs = needs_of(&purpose).ok_or(DeskError::Unknown)?;
        self.0.challenge_for(person, method, Bound::Purpose(purpose), needs, source)
    }

    /// A person answers a request, with a proof by any method.
    ///
    /// # Errors
    /// See [`VerifyError`]; the answer does not count.
    pub async fn answer(&self, answer: Answer) -> Result<Progress, VerifyError> {
        let inner = Arc::clone(&self.0);
        finish(async move { inner.answer(answer).await }).await
    }

    /// A person verifies themselves for their own request, by a typed code.
    ///
    /// # Errors
    /// See [`VerifyError`]; nothing has been approved.
    pub async fn verify(
        &self,
        request: RequestId,
        person: &PersonName,
        code: &str,
        source: impl Into<Source>,
    ) -> Result<End, VerifyError> {
        let (person, presented, source) = (person.clone(), Presented::code(code), source.into());
        let answer = Answer { request, person, presented, approve: true, reason: None, source, own: true };
        // One answer always ends a request of one's own.
        self.answer(answer).await?.ended.ok_or(VerifyError::Desk(DeskError::Unknown))
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
        source: impl Into<Source>,
    ) -> Result<Progress, VerifyError> {
        let reason = reason.map(Reason::parse).transpose()?.flatten();
        let (person, presented, source) = (person.clone(), Presented::code(code), source.into());
        self.answer(Answer { request, person, presented, approve, reason, source, own: false }).await
    }

    /// Verifies and spends a code of this person for something other than a request.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn prove(
        &self,
        person: &PersonName,
        code: &str,
        source: impl Into<Source>,
    ) -> Result<(), VerifyError> {
        let (inner, person) = (Arc::clone(&self.0), person.clone());
        let (presented, source) = (Presented::code(code), source.into());
        finish(async move {
            let _turn = inner.turn.lock().await;
            let _changing = inner.factors.changing().await;
            let bound = Bound::Purpose(Purpose::Manage);
            let (required, for_others) = (Strength::Weak, false);
            let asked = Asked { person: &person, source, bound: &bound, required, for_others };
            inner.prove(&asked, &presented).await.map(drop)
        })
        .await
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

    /// Whether a grant limits how much is delivered by it; one that is not known does.
    #[must_use]
    pub fn is_limited(&self, grant: GrantId) -> bool {
        self.0.is_limited(grant)
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
    pub fn give_back(&self, grant: GrantId, statement: StatementId, unused: Amount) {
        self.0.give_back(grant, statement, unused);
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
        let mut shown = self.0.looking(request, viewer, |entry| entry.show(viewer))?;
        shown.history = self.0.state().history(&shown.info, self.0.clock.now());
        Ok(shown)
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
}

/// How much is to be proven for something other than a request; `None` where that hangs on what it is about.
const fn needs_of(purpose: &Purpose) -> Option<Needs> {
    match purpose {
        Purpose::Login => Some(login::NEEDS),
        Purpose::Enrol | Purpose::Manage => Some(Needs { required: Strength::Weak, for_others: false }),
        Purpose::Reset(_) => Some(Needs { required: Strength::Standard, for_others: true }),
        Purpose::Review(_) | Purpose::Policy(_) => None,
    }
}

/// Sees a step through even if whoever asked for it has gone: a write that is under way counts when it is
/// on disk, and memory must not say otherwise.
async fn finish<T: Send + 'static, E: From<DeskError> + Send + 'static>(
    step: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, E> {
    tokio::spawn(step).await.unwrap_or_else(|_| Err(DeskError::Stopping.into()))
}
