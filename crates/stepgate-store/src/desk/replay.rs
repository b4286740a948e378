//! Rebuilds the desk from the log (DESIGN §4.4: the stores are projections of it).

use std::collections::{BTreeMap, BTreeSet};

use stepgate_approval::Grant;
use stepgate_record::{Event, Outcome, Record};
use stepgate_types::{Label, RequestId, SessionId, Timestamp};

use super::state::{Kept, State};
use super::view::RequestInfo;

/// What has been read so far.
#[derive(Default)]
pub(super) struct Replay {
    pub(super) state: State,
    open: BTreeMap<RequestId, RequestInfo>,
    running: BTreeMap<SessionId, BTreeSet<u64>>,
}

impl Replay {
    /// Takes the next record in.
    pub(super) fn take(&mut self, record: &Record) {
        match &record.event {
            Event::StepupRequested { request, .. } => {
                if let Some(info) = info_of(record) {
                    self.open.insert(*request, info);
                }
            }
            Event::StepupVoted { request, person, approve: true, .. } => {
                if let Some(info) = self.open.get_mut(request) {
                    info.approvers.push(person.clone());
                }
            }
            Event::StepupEnded { request, outcome, .. } => {
                if let Some(info) = self.open.remove(request) {
                    self.state.past.push(info, *outcome);
                }
            }
            // Of whichever factor: a step that is spent in vain harms nobody.
            Event::FactorVerified { person, step, .. } => self.state.spend(person, *step),
            Event::GrantIssued { grant, .. } => {
                if let Some(kept) = kept_of(record) {
                    self.state.grants.insert(*grant, kept);
                }
            }
            Event::GrantRevoked { grant, .. } => {
                self.state.grants.remove(grant);
            }
            Event::AdminAction { action, person: Some(person), .. } if action == "user.removed" => {
                self.state.grants.retain(|_, kept| kept.grant.person != *person);
            }
            other => self.take_statement(other),
        }
    }

    fn take_statement(&mut self, event: &Event) {
        match event {
            Event::StatementDecided(decided) if matches!(decided.verdict.as_str(), "forward" | "monitor") => {
                self.running.entry(decided.session).or_default().insert(decided.statement);
            }
            Event::StatementCompleted { session, statement, .. }
            | Event::StatementOutcomeUnknown { session, statement } => {
                if let Some(statements) = self.running.get_mut(session) {
                    statements.remove(statement);
                }
            }
            Event::SessionClosed { session, .. } => {
                self.running.remove(session);
            }
            _ => {}
        }
    }

    /// What has to be recorded now that the gate starts again: nobody waits any more for requests that
    /// were open, and how forwarded statements ended is not known.
    pub(super) fn loose_ends(&self) -> Vec<Event> {
        let withdrawn = self.open.keys().map(|request| Event::StepupEnded {
            request: *request,
            outcome: Outcome::Withdrawn,
            by: None,
            reason_hmac: None,
        });
        let unknown = self.running.iter().flat_map(|(session, statements)| {
            let unknown =
                |statement: &u64| Event::StatementOutcomeUnknown { session: *session, statement: *statement };
            statements.iter().map(unknown)
        });
        withdrawn.chain(unknown).collect()
    }

    /// The state, once the loose ends are recorded.
    pub(super) fn finish(mut self, now: Timestamp) -> State {
        for info in std::mem::take(&mut self.open).into_values() {
            self.state.past.push(info, Outcome::Withdrawn);
        }
        self.state.grants.retain(|_, kept| !kept.grant.is_due(now));
        self.state
    }
}

fn info_of(record: &Record) -> Option<RequestInfo> {
    let Event::StepupRequested {
        request, person, database, approval, itself, groups, count, expires_us, ..
    } = &record.event
    else {
        return None;
    };
    Some(RequestInfo {
        request: *request,
        state: "open",
        person: person.clone(),
        database: database.clone(),
        approval: approval.clone(),
        itself: *itself,
        groups: groups.clone(),
        count: *count,
        approvers: Vec::new(),
        summary: None,
        waiting: 0,
        opened: Some(record.at.to_string()),
        expires: Timestamp::from_micros(*expires_us).to_string(),
    })
}

/// The grant of a record. A record whose lists were shortened gives a narrower grant; one whose client
/// was shortened, or whose network cannot be read, gives none.
fn kept_of(record: &Record) -> Option<Kept> {
    let Event::GrantIssued {
        grant,
        request,
        person,
        database,
        kinds,
        uses,
        relations,
        labels,
        labels_bound,
        class_rank,
        output_rank,
        action,
        approval,
        client,
        network,
        session,
        policy_sha256,
        expires_us,
    } = &record.event
    else {
        return None;
    };
    if record.shortened.contains_key("client") {
        return None;
    }
    let network = match network {
        None => None,
        Some(address) => Some(address.parse().ok()?),
    };
    let grant = Grant {
        id: *grant,
        request: *request,
        person: person.clone(),
        database: database.clone(),
        kinds: kinds.iter().copied().collect(),
        uses: uses.iter().copied().collect(),
        relations: relations.iter().cloned().collect(),
        labels: labels.iter().map(Label::new).collect(),
        labels_bound: *labels_bound,
        class_rank: *class_rank,
        output_rank: *output_rank,
        action: *action,
        approval: approval.clone(),
        client: client.clone(),
        network,
        session: *session,
        policy_sha256: policy_sha256.clone(),
        expires: Timestamp::from_micros(*expires_us),
    };
    Some(Kept { grant, issued: record.at })
}

/// The record of a grant.
pub(super) fn issued(grant: &Grant) -> Event {
    Event::GrantIssued {
        grant: grant.id,
        request: grant.request,
        person: grant.person.clone(),
        database: grant.database.clone(),
        kinds: grant.kinds.iter().copied().collect(),
        uses: grant.uses.iter().copied().collect(),
        relations: grant.relations.iter().cloned().collect(),
        labels: grant.labels.iter().map(ToString::to_string).collect(),
        labels_bound: grant.labels_bound,
        class_rank: grant.class_rank,
        output_rank: grant.output_rank,
        action: grant.action,
        approval: grant.approval.clone(),
        client: grant.client.clone(),
        network: grant.network.map(|address| address.to_string()),
        session: grant.session,
        policy_sha256: grant.policy_sha256.clone(),
        expires_us: grant.expires.micros(),
    }
}
