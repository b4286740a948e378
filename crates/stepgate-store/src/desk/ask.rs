//! Opens requests, or lets a statement join one.

use stepgate_approval::{Ask, Held, Open, Salts, canonical};
use stepgate_record::{Deferral, Event, StepupRequested};
use stepgate_types::{Action, RequestId, StatementId, Timestamp, Who};

use super::DeskError;
use super::inner::Inner;
use super::state::{Entry, hex};
use super::view::{Deferred, Waiting};

/// How often a fresh id is drawn before the source of randomness counts as broken: 40 bits and at most
/// some thousand ids do not collide twice.
const DRAWS: usize = 8;

impl Inner {
    pub(super) async fn ask(&self, ask: Ask, held: Held) -> Result<Waiting, DeskError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        self.check_answerable(&ask, now)?;
        let joinable = self.state().joinable(&ask, &held, false, now);
        if let Some(request) = joinable {
            return self.join(request, &ask).await;
        }
        let mut entry = self.fresh(ask, held)?;
        self.open(&entry, Vec::new()).await?;
        let ask = entry.open.ask().clone();
        let waiting = entry.wait(&ask, false);
        self.enter(entry);
        Ok(waiting)
    }

    /// Opens a request for a statement that does not wait, or finds one that is open already.
    pub(super) async fn defer(&self, ask: Ask, held: Held) -> Result<Deferred, DeskError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        self.check_answerable(&ask, now)?;
        let statement = ask.statement;
        let joinable = self.state().joinable(&ask, &held, true, now);
        if let Some(request) = joinable {
            let told = deferred(request, statement, Deferral::InTransaction);
            self.log.append(vec![told], Vec::new()).await?;
            let mut state = self.state();
            let entry = state.entry_mut(request)?;
            entry.deferred = true;
            return Ok(Deferred { request, expires: entry.open.ask().expires });
        }
        let mut entry = self.fresh(ask, held)?;
        entry.deferred = true;
        let Ask { id: request, expires, .. } = *entry.open.ask();
        let told = deferred(request, statement, Deferral::InTransaction);
        self.open(&entry, vec![told]).await?;
        self.enter(entry);
        Ok(Deferred { request, expires })
    }

    /// Records that a request is open, once what it is about is kept where that is to outlive the gate.
    pub(super) async fn open(&self, entry: &Entry, more: Vec<Event>) -> Result<(), DeskError> {
        self.keep(entry).await?;
        let events = std::iter::once(requested(entry)).chain(more).collect();
        let opened = self.log.append(events, Vec::new()).await;
        if opened.is_err() {
            self.forget(entry.open.ask().id).await;
        }
        opened.map(drop).map_err(DeskError::from)
    }

    /// A request with an id and salts of its own, which nobody knows of yet.
    pub(super) fn fresh(&self, mut ask: Ask, held: Held) -> Result<Entry, DeskError> {
        let (caps, now) = (self.caps(), self.clock.now());
        self.state().lets_ask(&ask, caps, now)?;
        self.state().room_for(&ask, &held)?;
        ask.id = self.free_id(ask.id)?;
        let salts = Salts::generate(&held, &*self.entropy).map_err(|_| DeskError::NoEntropy)?;
        let hash = canonical(&ask, &held, &salts).map_err(|_| DeskError::Unanswerable("salts"))?;
        Ok(Entry {
            open: Open::new(ask, hash),
            held,
            salts,
            waiters: Vec::new(),
            deferred: false,
            reading: super::read::Reading::default(),
            comments: Vec::new(),
        })
    }

    /// Its record is on disk: now it is open.
    pub(super) fn enter(&self, entry: Entry) {
        let ask = entry.open.ask();
        let id = ask.id;
        let mut state = self.state();
        // What is asked ahead of time is nobody's statement.
        if ask.ahead.is_none() && state.asked.note(&ask.person, ask.opened) {
            tracing::warn!("somebody has been asked more often today than the policy's budget has it");
        }
        state.open.insert(id, entry);
        drop(state);
        self.tell(id);
    }

    async fn join(&self, request: RequestId, ask: &Ask) -> Result<Waiting, DeskError> {
        let statement = ask.statement;
        let joined = Event::StepupJoined { request, session: statement.session, statement: statement.number };
        self.log.append(vec![joined], Vec::new()).await?;
        let waiting = self.state().entry_mut(request)?.wait(ask, true);
        self.tell(request);
        Ok(waiting)
    }

    pub(super) fn check_answerable(&self, ask: &Ask, now: Timestamp) -> Result<(), DeskError> {
        let why_not = |why| Err(DeskError::Unanswerable(why));
        let Some(person) = self.people.get(&ask.person) else {
            return why_not("who asks is not known any more");
        };
        if !matches!(ask.action, Action::StepUp | Action::Approve) {
            return why_not("the policy asks for no approval");
        }
        if ask.terms.itself && person.service {
            return why_not("a service cannot verify itself");
        }
        if !ask.terms.itself && ask.terms.groups.is_empty() {
            return why_not("nobody may approve it");
        }
        if now >= ask.expires {
            return why_not("it has expired already");
        }
        Ok(())
    }

    /// `wish`, or another id if that one is taken.
    fn free_id(&self, wish: RequestId) -> Result<RequestId, DeskError> {
        let mut id = wish;
        for _ in 0..DRAWS {
            if !self.state().is_taken(id) {
                return Ok(id);
            }
            id = RequestId::from_bytes(self.random()?);
        }
        Err(DeskError::NoEntropy)
    }
}

fn requested(entry: &Entry) -> Event {
    let ask = entry.open.ask();
    Event::StepupRequested(Box::new(StepupRequested {
        request: ask.id,
        session: ask.statement.session,
        statement: ask.statement.number,
        person: (&ask.person).into(),
        database: ask.database.clone(),
        approval: ask.terms.approval.clone(),
        itself: ask.terms.itself,
        groups: ask.terms.groups.iter().cloned().collect(),
        count: ask.terms.count,
        canonical_sha256: hex(entry.open.canonical()),
        expires_us: ask.expires.micros(),
        address: Some(Who::from(ask.address)),
        opened_by: ask.ahead.as_ref().map(|ahead| Who::from(&ahead.by)),
        until_us: ask.ahead.as_ref().map(|ahead| ahead.until.micros()),
    }))
}

/// The record of a statement that does not wait for its request.
pub(super) fn deferred(request: RequestId, statement: StatementId, reason: Deferral) -> Event {
    Event::StepupDeferred { request, session: statement.session, statement: statement.number, reason }
}
