//! Every other way out: withdrawn, cancelled, expired, revoked.

use stepgate_record::{Event, Outcome};
use stepgate_types::{GrantId, PersonName, RequestId, StatementId};

use super::DeskError;
use super::inner::Inner;
use crate::LogError;

/// Events of one append: the log's writer drains at most as many at once.
const BATCH: usize = 64;

impl Inner {
    /// A statement stops waiting.
    pub(super) async fn leave(
        &self,
        request: RequestId,
        statement: StatementId,
        outcome: Outcome,
    ) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        let asker = {
            let mut state = self.state();
            let entry = state.entry_mut(request)?;
            if !entry.waiters.iter().any(|waiter| waiter.statement == statement) {
                return Err(DeskError::Unknown);
            }
            if entry.others_wait(statement) {
                entry.waiters.retain(|waiter| waiter.statement != statement);
                return Ok(());
            }
            entry.open.ask().person.clone()
        };
        let by = (outcome == Outcome::Cancelled).then_some(asker);
        self.end_all(vec![(request, outcome, by)]).await
    }

    pub(super) async fn cancel_request(
        &self,
        request: RequestId,
        person: &PersonName,
    ) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        if self.state().entry(request)?.open.ask().person != *person {
            return Err(DeskError::Unknown);
        }
        self.end_all(vec![(request, Outcome::Cancelled, Some(person.clone()))]).await
    }

    pub(super) async fn expire_due(&self) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        let (now, elapsed) = (self.clock.now(), self.clock.monotonic());
        if let Some(why) = self.log.poisoned() {
            // Nothing can be approved any more: dropping the waiters' ends tells them so.
            self.state().open.clear();
            return Err(LogError::Poisoned(why).into());
        }
        let due = {
            let mut state = self.state();
            state.grants.retain(|_, kept| !kept.grant.is_due(now));
            state.enrolments.retain(|_, enrolment| enrolment.until > elapsed);
            let ends = state.open.iter().filter_map(|(request, entry)| {
                if entry.open.is_due(now) {
                    Some((*request, Outcome::Expired, None))
                } else if entry.is_waited_for() {
                    None
                } else {
                    Some((*request, Outcome::Withdrawn, None))
                }
            });
            ends.collect()
        };
        self.end_all(due).await
    }

    pub(super) async fn revoke(&self, grant: GrantId, by: Option<PersonName>) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        {
            let mut state = self.state();
            let kept = state.grants.get(&grant).ok_or(DeskError::Unknown)?;
            if by.as_ref().is_some_and(|by| *by != kept.grant.person) {
                return Err(DeskError::Unknown);
            }
            // At once: if the write fails, the grant is gone nevertheless.
            state.grants.remove(&grant);
        }
        self.log.append(vec![Event::GrantRevoked { grant, by }], Vec::new()).await?;
        Ok(())
    }

    pub(super) async fn revoke_person(
        &self,
        person: &PersonName,
        by: Option<PersonName>,
    ) -> Result<(), DeskError> {
        let _turn = self.turn.lock().await;
        let (grants, requests) = {
            let mut state = self.state();
            let of_person = state.grants.iter().filter(|(_, kept)| kept.grant.person == *person);
            let grants: Vec<_> = of_person.map(|(id, _)| *id).collect();
            grants.iter().for_each(|id| {
                state.grants.remove(id);
            });
            state.enrolments.remove(person);
            let asked = state.open.iter().filter(|(_, entry)| entry.open.ask().person == *person);
            let requests: Vec<_> = asked.map(|(id, _)| (*id, Outcome::Withdrawn, by.clone())).collect();
            (grants, requests)
        };
        for some in grants.chunks(BATCH) {
            let revoked = some.iter().map(|grant| Event::GrantRevoked { grant: *grant, by: by.clone() });
            self.log.append(revoked.collect(), Vec::new()).await?;
        }
        self.end_all(requests).await
    }

    /// Ends these requests, each once its record is on disk. The caller has the turn.
    async fn end_all(&self, ends: Vec<(RequestId, Outcome, Option<PersonName>)>) -> Result<(), DeskError> {
        for some in ends.chunks(BATCH) {
            let events = some.iter().map(|(request, outcome, by)| Event::StepupEnded {
                request: *request,
                outcome: *outcome,
                by: by.clone(),
                reason_hmac: None,
            });
            self.log.append(events.collect(), Vec::new()).await?;
            for (request, outcome, by) in some {
                let mut state = self.state();
                if let Some(entry) = state.open.remove(request) {
                    state.conclude(entry.open.end(*outcome, by.clone()), entry.waiters, None, None);
                }
                drop(state);
                self.tell(*request);
            }
        }
        Ok(())
    }
}
