//! Passes: found by the statement that is sent again, and used up before it is forwarded.

use stepgate_approval::{Held, Pass, Wanted, pass_input};
use stepgate_record::{Event, PassIssued, Permit, Record};
use stepgate_types::{GrantId, Label, Limit, PersonName, RequestId, StatementId, Timestamp, Who};
use zeroize::Zeroizing;

use super::DeskError;
use super::inner::Inner;
use super::state::{KeptPass, MAX_PASSES, State, hex};
use crate::{Change, LogError, Subjects};

impl Inner {
    /// The pass by which this statement may run at this moment, and the request that was approved.
    pub(super) fn pass_for(
        &self,
        wanted: &Wanted,
        db_user: &str,
        held: &Held,
    ) -> Option<(GrantId, RequestId)> {
        let person = self.people.get(&wanted.person)?;
        if !self.state().passes.values().any(|kept| kept.pass.person == wanted.person) {
            // Nothing is hashed for those who have none.
            return None;
        }
        let key = self.pass_key(&wanted.person, db_user, &wanted.database, held);
        let wanted = Wanted { client: self.client_mark(&wanted.client), ..wanted.clone() };
        let now = self.clock.now();
        let state = self.state();
        // Somebody removed and added again is somebody else.
        let mut passes = state.passes.values().filter(|kept| person.added <= kept.issued);
        passes
            .find(|kept| kept.pass.lets(&key, &wanted, db_user, now))
            .map(|kept| (kept.pass.id, kept.pass.request))
    }

    /// Uses the pass up and permits its statement, both with one write. `None`: somebody was faster, or it is over.
    pub(super) async fn spend_pass(
        &self,
        pass: GrantId,
        statement: StatementId,
        decided: Event,
        changes: Vec<Change>,
    ) -> Result<Option<Permit>, DeskError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let kept = {
            let mut state = self.state();
            // Gone from here on, whether or not the write succeeds.
            match state.passes.remove(&pass) {
                Some(kept) if !kept.pass.is_due(now) => kept,
                Some(due) => {
                    // For the next tick to record.
                    state.passes.insert(pass, due);
                    return Ok(None);
                }
                None => return Ok(None),
            }
        };
        let StatementId { session, number } = statement;
        let request = kept.pass.request;
        let consumed = Event::PassConsumed { pass, request, session, statement: number };
        let permit = self.log.permit(statement, vec![consumed, decided], changes).await;
        if matches!(permit, Err(LogError::NoSpace)) {
            // Nothing of it is recorded, nor will be.
            self.state().passes.insert(pass, kept);
        }
        Ok(Some(permit?))
    }

    /// The pass that approving this request makes, where its statement does not wait for it.
    pub(super) fn pass_of(
        &self,
        state: &State,
        request: RequestId,
        now: Timestamp,
    ) -> Result<Option<Pass>, DeskError> {
        let entry = state.entry(request)?;
        // An approval releases one execution: that of the statement that waits, or one later, from where that was asked: be it of
        // one that has joined, as who comes again does, where the first has gone.
        if entry.owner_waits() || !(entry.deferred || entry.is_waited_for()) {
            return Ok(None);
        }
        if state.passes.len() >= MAX_PASSES {
            return Err(DeskError::Full);
        }
        let id = GrantId::from_bytes(self.random()?);
        if state.grants.contains_key(&id) || state.passes.contains_key(&id) {
            return Err(DeskError::NoEntropy);
        }
        let ask = entry.open.ask();
        let key = self.pass_key(&ask.person, &ask.db_user, &ask.database, &entry.held);
        let pass = Pass::of(ask, id, *key, now);
        Ok(pass.map(|pass| Pass {
            client: pass.client.as_deref().map(|client| self.client_mark(client)),
            ..pass
        }))
    }

    fn pass_key(
        &self,
        person: &PersonName,
        db_user: &str,
        database: &str,
        held: &Held,
    ) -> Zeroizing<[u8; 32]> {
        self.vault.hmac("pass", &pass_input(person, db_user, database, held))
    }
}

/// The record of a pass that nobody used.
pub(super) fn lapsed(kept: &KeptPass) -> Event {
    Event::PassLapsed { pass: kept.pass.id, request: kept.pass.request }
}

/// The record of a pass.
pub(super) fn issued(pass: &Pass) -> Event {
    Event::PassIssued(Box::new(PassIssued {
        pass: pass.id,
        request: pass.request,
        person: (&pass.person).into(),
        db_user: pass.db_user.clone(),
        database: pass.database.clone(),
        key_hmac: hex(&pass.key),
        kinds: pass.kinds.iter().copied().collect(),
        uses: pass.uses.iter().copied().collect(),
        relations: pass.relations.iter().cloned().collect(),
        labels: pass.labels.iter().map(ToString::to_string).collect(),
        class_rank: pass.class_rank,
        output_rank: pass.output_rank,
        exactly_known: pass.exactly_known,
        has_sink: pass.has_sink,
        action: pass.action,
        approval: pass.approval.clone(),
        policy_sha256: pass.policy_sha256.clone(),
        expires_us: pass.expires.micros(),
        rows: pass.limit.rows,
        bytes: pass.limit.bytes,
        subjects: pass.limit.subjects,
        risk: pass.risk,
        client: pass.client.as_deref().map(Who::from),
        network: pass.network.map(Who::from),
    }))
}

/// The pass of a record. One whose lists were shortened lets less through; one without a readable key, or bound to what was
/// shortened or cannot be read (any more), nothing.
pub(super) fn kept_of(record: &Record, names: &Subjects) -> Option<KeptPass> {
    let Event::PassIssued(issued) = &record.event else {
        return None;
    };
    let PassIssued {
        pass,
        request,
        person,
        db_user,
        database,
        key_hmac,
        kinds,
        uses,
        relations,
        labels,
        class_rank,
        output_rank,
        exactly_known,
        has_sink,
        action,
        approval,
        policy_sha256,
        expires_us,
        rows,
        bytes,
        subjects,
        risk,
        client,
        network,
    } = &**issued;
    if record.shortened.contains_key("client") {
        return None;
    }
    let network = match network {
        None => None,
        Some(address) => Some(names.open_text(address)?.parse().ok()?),
    };
    let client = match client {
        None => None,
        Some(client) => Some(names.open_text(client)?),
    };
    let key = data_encoding::HEXLOWER.decode(key_hmac.as_bytes()).ok()?;
    let pass = Pass {
        id: *pass,
        request: *request,
        key: key.try_into().ok()?,
        person: names.person(person)?,
        db_user: db_user.clone(),
        database: database.clone(),
        client,
        network,
        kinds: kinds.iter().copied().collect(),
        uses: uses.iter().copied().collect(),
        relations: relations.iter().cloned().collect(),
        labels: labels.iter().map(Label::new).collect(),
        class_rank: *class_rank,
        output_rank: *output_rank,
        exactly_known: *exactly_known,
        has_sink: *has_sink,
        action: *action,
        risk: *risk,
        approval: approval.clone(),
        policy_sha256: policy_sha256.clone(),
        expires: Timestamp::from_micros(*expires_us),
        limit: Limit { rows: *rows, bytes: *bytes, subjects: *subjects },
    };
    Some(KeptPass { pass, issued: record.at })
}
