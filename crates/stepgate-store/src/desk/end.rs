//! Every other way out: withdrawn, cancelled, deferred, expired, revoked.

use stepgate_record::{Deferral, Event, Outcome};
use stepgate_types::{Actor, GrantId, PersonName, RequestId, StatementId, Timestamp, Who};

use super::DeskError;
use super::ask::deferred;
use super::inner::Inner;
use super::pass::lapsed;
use super::state::{KeptPass, Remembered};
use crate::LogError;

/// Events of one append: the log's writer drains at most as many at once.
const BATCH: usize = 64;

/// Why a statement stops waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leaving {
    /// Who asked does not want it any more.
    Cancelled,
    /// It cannot run any more.
    Withdrawn,
    /// It cannot wait any more.
    Deferred(Deferral),
}

/// What became of the request of a statement that stopped waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Left {
    /// It is open, until then.
    Open(Timestamp),
    /// Nobody else waited: it has ended.
    Ended(Outcome),
}

impl Inner {
    /// A statement stops waiting.
    pub(super) async fn leave(
        &self,
        request: RequestId,
        statement: StatementId,
        how: Leaving,
    ) -> Result<Left, DeskError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let (stays, defers, due, asker) = {
            let state = self.state();
            let entry = state.entry(request)?;
            if !entry.waiters.iter().any(|waiter| waiter.statement == statement) {
                return Err(DeskError::Unknown);
            }
            let ask = entry.open.ask();
            let defers = match how {
                Leaving::Deferred(why) if ask.mode.may_defer() && !entry.open.is_due(now) => Some(why),
                _ => None,
            };
            let stays = entry.deferred || entry.others_wait(statement);
            (stays, defers, entry.open.is_due(now), ask.person.clone())
        };
        if let Some(why) = defers {
            self.log.append(vec![deferred(request, statement, why)], Vec::new()).await?;
        }
        if stays || defers.is_some() {
            let expires = {
                let mut state = self.state();
                let entry = state.entry_mut(request)?;
                entry.deferred |= defers.is_some();
                entry.waiters.retain(|waiter| waiter.statement != statement);
                entry.open.ask().expires
            };
            self.tell(request);
            return Ok(Left::Open(expires));
        }
        let (outcome, by) = match how {
            Leaving::Cancelled => (Outcome::Cancelled, Some(asker)),
            Leaving::Deferred(_) if due => (Outcome::Expired, None),
            Leaving::Withdrawn | Leaving::Deferred(_) => (Outcome::Withdrawn, None),
        };
        self.end_all(vec![(request, outcome, by)]).await?;
        Ok(Left::Ended(outcome))
    }

    pub(super) async fn cancel_request(
        &self,
        request: RequestId,
        person: &PersonName,
    ) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        let owns = |entry: &super::state::Entry| {
            let ask = entry.open.ask();
            ask.person == *person || ask.asker() == person
        };
        if !owns(self.state().entry(request)?) {
            return Err(DeskError::Unknown);
        }
        self.end_all(vec![(request, Outcome::Cancelled, Some(person.clone()))]).await
    }

    pub(super) async fn expire_due(&self) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        self.sift_votes();
        if let Some(why) = self.log.poisoned() {
            // Nothing can be approved any more: dropping the waiters' ends tells them so.
            self.state().open.clear();
            return Err(LogError::Poisoned(why).into());
        }
        if self.log.has_no_space() {
            // What is due stays so, and nothing passes by it meanwhile.
            return Err(LogError::NoSpace.into());
        }
        let (due, ended) = {
            let mut state = self.state();
            let mut ended = Vec::new();
            state.grants.retain(|grant, kept| {
                let is_due = kept.grant.is_due(now);
                if is_due {
                    ended.push(Event::GrantExpired { grant: *grant });
                }
                !is_due
            });
            let is_due = |kept: &KeptPass| kept.pass.is_due(now);
            ended.extend(state.passes.values().filter(|kept| is_due(kept)).map(lapsed));
            state.passes.retain(|_, kept| !is_due(kept));
            state.enrolments.retain(|_, enrolment| enrolment.until > elapsed);
            state.challenges.forget_lapsed(elapsed);
            let ends = state.open.iter().filter_map(|(request, entry)| {
                if entry.open.is_due(now) {
                    Some((*request, Outcome::Expired, None))
                } else if entry.deferred || entry.is_waited_for() {
                    None
                } else {
                    Some((*request, Outcome::Withdrawn, None))
                }
            });
            let due: Vec<_> = ends.collect();
            (due, ended)
        };
        for some in ended.chunks(BATCH) {
            self.log.append_happened(some.to_vec()).await?;
        }
        self.look_after_glasses().await?;
        self.end_all(due).await?;
        self.escalate_due(now).await
    }

    /// Requests that nobody has answered for long go to more people, each once that is on disk.
    async fn escalate_due(&self, now: Timestamp) -> Result<(), DeskError> {
        let due: Vec<_> = {
            let state = self.state();
            let due = state.open.values().filter(|entry| entry.open.is_to_escalate(now));
            due.map(|entry| entry.open.ask().clone()).collect()
        };
        for some in due.chunks(BATCH) {
            let events = some.iter().map(|ask| Event::StepupEscalated {
                request: ask.id,
                groups: ask.terms.escalate.iter().flat_map(|escalate| &escalate.to).cloned().collect(),
            });
            self.log.append(events.collect(), Vec::new()).await?;
            for ask in some {
                if let Ok(entry) = self.state().entry_mut(ask.id) {
                    entry.open.escalate();
                }
                self.tell(ask.id);
            }
        }
        Ok(())
    }

    pub(super) async fn revoke(&self, grant: GrantId, by: Actor) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        if self.is_glass(grant) {
            return self.end_glass(grant, &by).await;
        }
        {
            let mut state = self.state();
            let of_grant = state.grants.get(&grant).map(|kept| &kept.grant.person);
            let person = of_grant.or_else(|| state.passes.get(&grant).map(|kept| &kept.pass.person));
            let person = person.ok_or(DeskError::Unknown)?;
            if by.person().is_some_and(|by| by != person) {
                return Err(DeskError::Unknown);
            }
            // At once: if the write fails, it is gone nevertheless.
            if let Some(kept) = state.grants.remove(&grant) {
                kept.in_force.end();
            }
            state.passes.remove(&grant);
        }
        let event = Event::GrantRevoked { grant, by: by.by(), operator: by.operator() };
        self.log.append_happened(vec![event]).await?;
        Ok(())
    }

    pub(super) async fn revoke_person(&self, person: &PersonName, by: Actor) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        self.sift_votes();
        let (grants, requests) = {
            let mut state = self.state();
            let grants = state.grants.iter().filter(|(_, kept)| kept.grant.person == *person);
            let passes = state.passes.iter().filter(|(_, kept)| kept.pass.person == *person);
            let grants: Vec<_> = grants.map(|(id, _)| *id).chain(passes.map(|(id, _)| *id)).collect();
            for id in &grants {
                if let Some(kept) = state.grants.remove(id) {
                    kept.in_force.end();
                }
                state.passes.remove(id);
            }
            state.enrolments.retain(|(of, _), _| of != person);
            state.challenges.end_of(person);
            state.open.values_mut().for_each(|entry| entry.reading.forget(person));
            let asked = state.open.iter().filter(|(_, entry)| entry.open.ask().is_of(person));
            let requests: Vec<_> =
                asked.map(|(id, _)| (*id, Outcome::Withdrawn, by.person().cloned())).collect();
            (grants, requests)
        };
        for some in grants.chunks(BATCH) {
            let revoked = some.iter().map(|grant| Event::GrantRevoked {
                grant: *grant,
                by: by.by(),
                operator: by.operator(),
            });
            self.log.append_happened(revoked.collect()).await?;
        }
        self.end_glasses_of(person, &by).await?;
        self.end_all(requests).await
    }

    /// Ends these requests, each once its record is on disk. The caller has the turn.
    async fn end_all(&self, ends: Vec<(RequestId, Outcome, Option<PersonName>)>) -> Result<(), DeskError> {
        for some in ends.chunks(BATCH) {
            let events = some.iter().map(|(request, outcome, by)| Event::StepupEnded {
                request: *request,
                outcome: *outcome,
                by: by.as_ref().map(Who::from),
                reason_hmac: None,
                reason: None,
            });
            self.log.append(events.collect(), Vec::new()).await?;
            for (request, outcome, by) in some {
                self.ended(*request, *outcome, by.clone());
                self.forget(*request).await;
                self.tell(*request);
            }
        }
        Ok(())
    }

    /// Its record is on disk: now it has ended.
    fn ended(&self, request: RequestId, outcome: Outcome, by: Option<PersonName>) {
        let mut state = self.state();
        let Some(entry) = state.open.remove(&request) else { return };
        let ask = entry.open.ask();
        if outcome == Outcome::Expired && entry.open.approvers().is_empty() {
            let (asker, now) = (ask.asker().clone(), self.clock.now());
            let (approval, address) = (ask.terms.approval.clone(), ask.address);
            state.ignored.expired(&asker, &approval, address, now);
        }
        if is_called_off(outcome, by.is_some()) && !ask.terms.itself {
            let (asker, now) = (ask.asker().clone(), self.clock.now());
            let (approval, address) = (ask.terms.approval.clone(), ask.address);
            state.called_off.note(&asker, &approval, address, now);
        }
        state.conclude(entry.open.end(outcome, by), entry.waiters, None, Remembered::default());
    }
}

/// Whether a request ended by who asked: they said so, or have gone. Who withdraws it otherwise has a name, or is the gate's
/// operator, of whose doing so nobody makes many.
pub(super) const fn is_called_off(outcome: Outcome, by_somebody: bool) -> bool {
    matches!(outcome, Outcome::Cancelled) || (matches!(outcome, Outcome::Withdrawn) && !by_somebody)
}
