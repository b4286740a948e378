//! What is refused since the gate cannot do its own part: the catalog cannot be read, no request be opened, no more labels
//! be kept in mind. That is a decision like any other, and recorded as one, with the verdict `fail`.

use stepgate_record::{Event, Refusal, Statement};
use stepgate_session::Pending;
use stepgate_store::{DeskError, LogError};
use stepgate_types::Action;
use stepgate_wire::Problem;

use super::{Case, Judge, Merged, Verdict};
use crate::refusal;

const FAIL: &str = "fail";

impl Judge {
    /// Refuses a statement, and writes that down.
    pub(crate) async fn fail(&self, pending: &Pending, why: Refusal, problem: Problem) -> Verdict {
        match self.try_fail(pending, why, problem).await {
            Ok(verdict) => verdict,
            Err(error) => self.unrecorded(pending, &error).await,
        }
    }

    /// The decision could not be written down, so the statement does not run. Where only its own record is too large, the
    /// log is sound, and a small one says that there was a statement.
    pub(super) async fn unrecorded(&self, pending: &Pending, error: &LogError) -> Verdict {
        let problem = refusal::log_failed(error);
        if !matches!(error, LogError::TooLarge(_)) {
            return Verdict::Refuse(problem);
        }
        let event = Event::StatementDecided(Box::new(Statement {
            database: self.database.config.name.clone(),
            protocol: pending.protocol.as_str().to_owned(),
            reasons: vec!["record-too-large".to_owned()],
            parameters: u64::try_from(pending.values.len()).unwrap_or(u64::MAX),
            verdict: FAIL.to_owned(),
            policy_sha256: self.database.policy_sha256(),
            ..Statement::blank(self.session, pending.number, self.named.clone())
        }));
        match self.gate.log.append_in_time(vec![event], Vec::new()).await {
            Ok(_) => {
                self.gate.metrics.decided(FAIL, None, &[]);
                Verdict::Refuse(problem)
            }
            Err(error) => Verdict::Refuse(refusal::log_failed(&error)),
        }
    }

    pub(super) async fn try_fail(
        &self,
        pending: &Pending,
        why: Refusal,
        problem: Problem,
    ) -> Result<Verdict, LogError> {
        let facts = Merged::of(&pending.facts);
        if let Some(view) = self.database.view()
            && let Some(who) = self.circumstances_of(&view, &pending.facts, pending, None)
        {
            let decision = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
            let (judge, session) = (self, None);
            let case =
                Case { judge, pending, session, view: &view, who: &who, decision: &decision, facts: &facts };
            return case.fail(why, problem).await;
        }
        let doubts = facts.doubts.clone();
        // By which rules, nobody can say.
        self.gate.log.append_in_time(vec![self.undecided(pending, why, facts)], Vec::new()).await?;
        self.gate.metrics.decided(FAIL, None, &[]);
        self.gate.metrics.refused(why);
        self.gate.metrics.not_understood(doubts);
        Ok(Verdict::Refuse(problem))
    }

    /// The record of a statement that was refused without a decision.
    fn undecided(&self, pending: &Pending, why: Refusal, facts: Merged) -> Event {
        Event::StatementDecided(Box::new(Statement {
            database: self.database.config.name.clone(),
            protocol: pending.protocol.as_str().to_owned(),
            kinds: pending.facts.iter().map(|facts| facts.kind).collect(),
            certainty: facts.certainty,
            reasons: facts.reasons.iter().map(|code| (*code).to_owned()).collect(),
            relations: facts.relations.iter().map(ToString::to_string).collect(),
            sinks: facts.sinks,
            bulk: facts.bulk,
            fingerprint: facts.fingerprint,
            normalised: facts.normalised,
            parameters: u64::try_from(pending.values.len()).unwrap_or(u64::MAX),
            action: Action::Deny,
            verdict: FAIL.to_owned(),
            refusal: Some(why),
            policy_sha256: self.database.policy_sha256(),
            db_user: self.role.user.clone(),
            ..Statement::blank(self.session, pending.number, self.named.clone())
        }))
    }
}

impl Case<'_> {
    /// The gate cannot do its own part.
    pub(super) async fn fail(&self, why: Refusal, problem: Problem) -> Result<Verdict, LogError> {
        self.refuse_as(FAIL, Some(why), problem).await
    }

    /// The desk does not open, join or end what it should have.
    pub(super) async fn desk_failed(&self, error: &DeskError) -> Result<Verdict, LogError> {
        match error {
            // Nothing can be recorded about it either.
            DeskError::Log(error) => Err(error.clone()),
            error => self.fail(cause_of(error), refusal::desk_failed(error)).await,
        }
    }
}

/// Why the desk does not do what it is asked, as records say it.
pub(crate) const fn cause_of(error: &DeskError) -> Refusal {
    match error {
        DeskError::TooManyOfPerson(_) => Refusal::TooManyRequests,
        DeskError::CoolingDown(_) | DeskError::CalledOff(_) => Refusal::CoolingDown,
        DeskError::Full => Refusal::DeskFull,
        DeskError::Unanswerable(_) => Refusal::Unanswerable,
        DeskError::NoEntropy => Refusal::NoRandomness,
        DeskError::Stopping => Refusal::Stopping,
        _ => Refusal::RequestFailed,
    }
}
