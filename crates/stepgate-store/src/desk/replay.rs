//! Rebuilds the desk from the log (DESIGN §4.4: the stores are projections of it).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use stepgate_approval::{Grant, Reason, Votes};
use stepgate_record::{Deferral, Event, GrantIssued, GrantShare, Joiner, Outcome, Record, StepupRequested};
use stepgate_types::{Amount, InForce, Label, Limit, PersonName, RequestId, SessionId, Timestamp, Who};

use super::ahead::keys_of;
use super::ask::deferred;
use super::comment::Comment;
use super::end::is_called_off;
use super::pass;
use super::sealed::Shelf;
use super::state::{Entry, Kept, State, hex};
use super::view::RequestInfo;
use crate::Subjects;
use crate::slim::{MAX_OPEN, MAX_SUSPENDED};

/// Why sessions have ended that were open when their gate was killed, or its machine.
const GATE_LOST: &str = "gate-lost";

/// What has been read so far.
pub(super) struct Replay {
    pub(super) state: State,
    names: Subjects,
    joiner: Joiner,
    open: BTreeMap<RequestId, RequestInfo>,
    /// What their records commit to, and what is known of them besides.
    about: BTreeMap<RequestId, About>,
    /// Those that go on: what was held for them was kept.
    kept: BTreeMap<RequestId, Entry>,
    /// From where those were asked.
    places: BTreeMap<RequestId, Option<IpAddr>>,
    running: BTreeMap<SessionId, BTreeSet<u64>>,
    /// Those whose portals may be executed further, which no record tells; of a session the newest.
    suspended: BTreeMap<SessionId, BTreeSet<u64>>,
    /// Sessions that have begun and not ended.
    sessions: BTreeSet<SessionId>,
    /// The latest time of any record: the clock may have been set back since.
    latest: Timestamp,
}

impl Replay {
    pub(super) fn new(names: Subjects) -> Self {
        let (state, joiner) = (State::default(), Joiner::default());
        let (open, places, running) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (about, kept, sessions) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        let (suspended, latest) = (BTreeMap::new(), Timestamp::from_micros(0));
        Self { state, names, joiner, open, about, kept, places, running, suspended, sessions, latest }
    }

    /// Reads the next record.
    pub(super) fn read(&mut self, record: &Record) {
        if record.continued.is_empty() && !self.joiner.waits() {
            return self.take(record);
        }
        for whole in self.joiner.take(record.clone()) {
            self.take(&whole);
        }
    }

    /// There are no more.
    pub(super) fn read_all(&mut self) {
        if let Some(last) = self.joiner.finish() {
            self.take(&last);
        }
    }

    /// A person, as records name them in JSON, has spent this step before what is read.
    pub(super) fn spent(&mut self, person: &str, step: u64) {
        let person: Option<Who> = serde_json::from_str(person).ok();
        if let Some(person) = person.and_then(|person| self.names.person(&person)) {
            self.state.spend(&person, step);
        }
    }

    /// This session had begun before what is read.
    pub(super) fn was_open(&mut self, session: SessionId) {
        self.sessions.insert(session);
    }

    /// The latest time of any record.
    pub(super) const fn latest(&self) -> Timestamp {
        self.latest
    }

    /// Takes the next record in.
    fn take(&mut self, record: &Record) {
        if record.at < self.latest && changes_rights(&record.event) {
            // The clock was set back: times do not say whether who has voted has had the right to all along.
            self.keep_votes(|_| false);
        }
        self.latest = self.latest.max(record.at);
        let _news = self.state.accounts.take(record, |who| self.names.person(who));
        match &record.event {
            Event::StepupRequested(requested) => {
                let StepupRequested { request, address, canonical_sha256, opened_by, .. } = &**requested;
                self.about.insert(*request, About::of(canonical_sha256));
                let address = address.as_ref().and_then(|address| self.names.open_text(address));
                let address = address.and_then(|address| address.parse().ok());
                self.places.insert(*request, address);
                if let Some(info) = info_of(record, &self.names) {
                    if opened_by.is_none() {
                        let _said_then = self.state.asked.note(&info.person, record.at);
                    }
                    self.open.insert(*request, info);
                }
            }
            Event::StepupEscalated { request, groups } => {
                if let Some(info) = self.open.get_mut(request) {
                    info.groups.extend(groups.iter().cloned());
                }
                if let Some(about) = self.about.get_mut(request) {
                    about.escalated = true;
                }
            }
            Event::StepupDeferred { request, .. } => {
                if let Some(about) = self.about.get_mut(request) {
                    about.deferred = true;
                }
            }
            Event::StepupCommented { request, person, text } => {
                let (person, text) = (self.names.person(person), self.names.open_text(text));
                let text = text.and_then(|text| Reason::parse(&text).ok().flatten());
                if let (Some(about), Some(person), Some(text)) = (self.about.get_mut(request), person, text) {
                    about.comments.push(Comment::new(person, record.at, &text));
                }
            }
            Event::StepupVoted { request, person, approve: true, .. } => {
                let person = self.names.person(person);
                if let (Some(about), Some(person)) = (self.about.get_mut(request), person) {
                    about.votes.insert(person, record.at);
                }
            }
            Event::StepupEnded { request, outcome, by, reason, .. } => {
                let ended_by = by.as_ref().and_then(|by| self.names.person(by));
                let reason = reason.as_ref().and_then(|reason| self.names.open_text(reason));
                let reason = reason.and_then(|reason| Reason::parse(&reason).ok().flatten());
                self.end(*request, *outcome, record.at, (ended_by, reason.as_ref().map(Reason::shown)));
            }
            // Of whichever factor: a step that is spent in vain harms nobody.
            Event::FactorVerified { person, step, .. } => {
                if let Some(person) = self.names.person(person) {
                    self.state.spend(&person, *step);
                }
            }
            Event::GrantIssued(issued) => {
                if let Some(kept) = kept_of(record, &self.names) {
                    self.state.grants.insert(issued.grant, kept);
                }
            }
            Event::GrantDebited(taken) => {
                if let Some(kept) = self.state.grants.get_mut(&taken.grant) {
                    kept.left = kept.left.minus(amount(taken));
                }
            }
            Event::GrantCredited(unused) => {
                if let Some(kept) = self.state.grants.get_mut(&unused.grant) {
                    kept.take_back(amount(unused));
                }
            }
            Event::PassIssued(issued) => {
                if let Some(kept) = pass::kept_of(record, &self.names) {
                    self.state.passes.insert(issued.pass, kept);
                }
            }
            Event::PassConsumed { pass, .. } | Event::PassLapsed { pass, .. } => {
                self.state.passes.remove(pass);
            }
            Event::GrantExpired { grant } => {
                self.state.grants.remove(grant);
            }
            Event::GrantRevoked { grant, .. } => {
                self.state.grants.remove(grant);
                self.state.passes.remove(grant);
            }
            Event::AdminAction { action, person: Some(person), .. }
                if matches!(action.as_str(), "user.removed" | "factor.removed") =>
            {
                // Whom nobody can name any more has nothing here.
                if let Some(person) = self.names.person(person) {
                    // As in the running gate: of somebody who was removed, or lost an authenticator.
                    self.keep_votes(|voter| *voter != person);
                    if action == "user.removed" {
                        self.remove(&person);
                    }
                }
            }
            other => {
                self.state.take_glass(other, record.at, &self.names);
                self.state.policies.take(other, record.at, |who| self.names.person(who));
                self.take_statement(other);
            }
        }
    }

    fn end(
        &mut self,
        request: RequestId,
        outcome: Outcome,
        at: Timestamp,
        (ended_by, reason): (Option<PersonName>, Option<String>),
    ) {
        let votes = self.about.remove(&request).map(|about| about.votes).unwrap_or_default();
        let address = self.places.remove(&request).flatten();
        let Some(info) = self.open.remove(&request) else { return };
        let info = RequestInfo { approvers: votes.into_keys().collect(), ..info };
        let asker = info.opened_by.as_ref().unwrap_or(&info.person);
        match (outcome, address) {
            (Outcome::Expired, Some(address)) if info.approvers.is_empty() => {
                self.state.ignored.expired(asker, &info.approval, address, at);
            }
            (Outcome::Approved | Outcome::Denied, Some(address)) => {
                self.state.ignored.answered(asker, &info.approval, address);
            }
            (outcome, Some(address)) if is_called_off(outcome, ended_by.is_some()) && !info.itself => {
                self.state.called_off.note(asker, &info.approval, address, at);
            }
            _ => {}
        }
        self.state.past.push(RequestInfo { ended_by, reason, ..info }, outcome);
    }

    /// Of the approvals of what waits only those of these people still are some.
    fn keep_votes(&mut self, keep: impl Fn(&PersonName) -> bool) {
        self.about.values_mut().for_each(|about| about.votes.retain(|voter, _| keep(voter)));
        self.state.policies.keep_votes(|voter, _| keep(voter));
    }

    fn remove(&mut self, person: &PersonName) {
        self.state.grants.retain(|_, kept| kept.grant.person != *person);
        self.state.passes.retain(|_, kept| kept.pass.person != *person);
        // What they asked is not taken back either: somebody else may have the name by then.
        for (id, _) in self.open.iter().filter(|(_, info)| info.is_of(person)) {
            if let Some(about) = self.about.get_mut(id) {
                about.canonical = None;
            }
        }
    }

    fn take_statement(&mut self, event: &Event) {
        match event {
            Event::StatementDecided(decided) if matches!(decided.verdict.as_str(), "forward" | "monitor") => {
                self.running.entry(decided.session).or_default().insert(decided.statement);
            }
            Event::StatementCompleted { session, statement, suspended, .. } => {
                self.has_ended(*session, *statement);
                if *suspended {
                    let statements = self.suspended.entry(*session).or_default();
                    statements.insert(*statement);
                    if statements.len() > MAX_SUSPENDED {
                        statements.pop_first();
                    }
                }
            }
            Event::StatementOutcomeUnknown { session, statement, .. } => {
                self.has_ended(*session, *statement);
            }
            // Beyond as many as a gate keeps, nothing is said of how they ended.
            Event::SessionOpened(opened) if self.sessions.len() < MAX_OPEN => {
                self.sessions.insert(opened.session);
            }
            Event::SessionClosed { session, .. } => {
                self.running.remove(session);
                self.suspended.remove(session);
                self.sessions.remove(session);
            }
            _ => {}
        }
    }

    fn has_ended(&mut self, session: SessionId, statement: u64) {
        for of_sessions in [&mut self.running, &mut self.suspended] {
            if let Some(statements) = of_sessions.get_mut(&session) {
                statements.remove(&statement);
            }
        }
    }

    /// What has to be recorded now that the gate starts again: nobody waits any more for requests that
    /// were open (what they were about was in memory alone), how forwarded statements ended is not known, sessions have
    /// ended with the gate that they were of, and passes may have lapsed.
    pub(super) fn loose_ends(&self, now: Timestamp) -> Vec<Event> {
        let withdrawn = self.open.keys().filter(|request| !self.kept.contains_key(request));
        let withdrawn = withdrawn.map(|request| Event::StepupEnded {
            request: *request,
            outcome: Outcome::Withdrawn,
            by: None,
            reason_hmac: None,
            reason: None,
        });
        let unknown = self.running.iter().chain(&self.suspended).flat_map(|(session, statements)| {
            let unknown = |statement: &u64| Event::StatementOutcomeUnknown {
                session: *session,
                statement: *statement,
                rows: None,
                bytes: None,
            };
            statements.iter().map(unknown)
        });
        let lost = self
            .sessions
            .iter()
            .map(|session| Event::SessionClosed { session: *session, reason: GATE_LOST.to_owned() });
        let due = self.state.passes.values().filter(|kept| kept.pass.is_due(now));
        let ended = self.state.grants.values().filter(|kept| kept.grant.is_due(now));
        let ended = ended.map(|kept| Event::GrantExpired { grant: kept.grant.id });
        // Whoever waited has gone with the gate.
        let gone = self.kept.values().filter(|entry| {
            let ask = entry.open.ask();
            ask.ahead.is_none() && !self.about.get(&ask.id).is_some_and(|about| about.deferred)
        });
        let gone = gone.map(|entry| {
            let ask = entry.open.ask();
            deferred(ask.id, ask.statement, Deferral::ClientGone)
        });
        let statements = withdrawn.chain(gone).chain(unknown);
        statements.chain(lost).chain(due.map(pass::lapsed)).chain(ended).collect()
    }

    /// The state, once the loose ends are recorded.
    pub(super) fn finish(mut self, now: Timestamp) -> State {
        self.state.open = std::mem::take(&mut self.kept);
        for (id, info) in std::mem::take(&mut self.open) {
            if !self.state.open.contains_key(&id) {
                self.state.past.push(info, Outcome::Withdrawn);
            }
        }
        self.state.grants.retain(|_, kept| !kept.grant.is_due(now));
        self.state.passes.retain(|_, kept| !kept.pass.is_due(now));
        self.state
    }
}

/// Whether somebody may answer more, or less, from then on.
fn changes_rights(event: &Event) -> bool {
    match event {
        Event::AdminAction { action, .. } => action == "user.groups_set",
        Event::IdentityGroups(_) | Event::Delegated(_) => true,
        _ => false,
    }
}

/// What is known of an open request besides what was asked.
#[derive(Default)]
struct About {
    canonical: Option<[u8; 32]>,
    /// Somebody was told to come again.
    deferred: bool,
    escalated: bool,
    votes: Votes,
    comments: Vec<Comment>,
}

impl About {
    fn of(canonical_sha256: &str) -> Self {
        let canonical = data_encoding::HEXLOWER.decode(canonical_sha256.as_bytes()).ok();
        Self { canonical: canonical.and_then(|bytes| bytes.try_into().ok()), ..Self::default() }
    }
}

impl Replay {
    /// Takes back what was kept of requests that are open. Those of one's own end with their client, as ever.
    pub(super) fn take_back(&mut self, shelf: &Shelf) {
        for (id, info) in &self.open {
            let Some(about) = self.about.get_mut(id) else { continue };
            if info.itself && !about.deferred {
                continue;
            }
            let found = about.canonical.and_then(|canonical| shelf.find(*id)?.entry(&canonical));
            let Some(mut entry) = found else { continue };
            entry.open = entry.open.approved_by(std::mem::take(&mut about.votes));
            if about.escalated {
                entry.open.escalate();
            }
            entry.comments = std::mem::take(&mut about.comments);
            self.kept.insert(*id, entry);
        }
        shelf.keep_only(|id| self.kept.contains_key(&id));
    }
}

fn amount(share: &GrantShare) -> Amount {
    Amount { rows: share.rows, bytes: share.bytes, subjects: share.subjects.unwrap_or(0) }
}

fn info_of(record: &Record, names: &Subjects) -> Option<RequestInfo> {
    let Event::StepupRequested(requested) = &record.event else {
        return None;
    };
    let StepupRequested {
        request,
        person,
        database,
        approval,
        itself,
        groups,
        count,
        expires_us,
        opened_by,
        until_us,
        ..
    } = &**requested;
    Some(RequestInfo {
        request: *request,
        state: "open",
        person: names.person(person)?,
        database: database.clone(),
        approval: approval.clone(),
        itself: *itself,
        groups: groups.clone(),
        count: *count,
        approvers: Vec::new(),
        summary: None,
        waiting: 0,
        comment_count: 0,
        opened: Some(record.at.to_string()),
        expires: Timestamp::from_micros(*expires_us).to_string(),
        ended_by: None,
        reason: None,
        opened_by: match opened_by {
            None => None,
            Some(by) => Some(names.person(by)?),
        },
        until: until_us.map(|until| Timestamp::from_micros(until).to_string()),
    })
}

/// The grant of a record. A record whose lists were shortened gives a narrower grant; one whose client was shortened,
/// or that names somebody or a network which cannot be read (any more), gives none.
fn kept_of(record: &Record, names: &Subjects) -> Option<Kept> {
    let Event::GrantIssued(issued) = &record.event else {
        return None;
    };
    let GrantIssued {
        grant,
        request,
        person,
        database,
        db_user,
        kinds,
        uses,
        relations,
        objects,
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
        rows,
        bytes,
        subjects,
        sink,
        risk,
        statements,
    } = &**issued;
    let statements = match statements {
        None => None,
        // One that cannot be read is no word of what it covers.
        Some(statements) => Some(keys_of(statements)?),
    };
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
    let grant = Grant {
        id: *grant,
        request: *request,
        person: names.person(person)?,
        database: database.clone(),
        db_user: db_user.clone(),
        kinds: kinds.iter().copied().collect(),
        uses: uses.iter().copied().collect(),
        relations: relations.iter().cloned().collect(),
        objects: objects.as_ref().map(|known| known.iter().cloned().collect()),
        labels: labels.iter().map(Label::new).collect(),
        labels_bound: *labels_bound,
        class_rank: *class_rank,
        output_rank: *output_rank,
        action: *action,
        risk: *risk,
        approval: approval.clone(),
        client,
        network,
        session: *session,
        policy_sha256: policy_sha256.clone(),
        expires: Timestamp::from_micros(*expires_us),
        limit: Limit { rows: *rows, bytes: *bytes, subjects: *subjects },
        sink: *sink == Some(true),
        statements,
    };
    let left = grant.limit;
    Some(Kept { grant, issued: record.at, left, in_force: InForce::default() })
}

/// The record of a grant.
pub(super) fn issued(grant: &Grant) -> Event {
    Event::GrantIssued(Box::new(GrantIssued {
        grant: grant.id,
        request: grant.request,
        person: (&grant.person).into(),
        database: grant.database.clone(),
        db_user: grant.db_user.clone(),
        kinds: grant.kinds.iter().copied().collect(),
        uses: grant.uses.iter().copied().collect(),
        relations: grant.relations.iter().cloned().collect(),
        objects: grant.objects.as_ref().map(|known| known.iter().cloned().collect()),
        labels: grant.labels.iter().map(ToString::to_string).collect(),
        labels_bound: grant.labels_bound,
        class_rank: grant.class_rank,
        output_rank: grant.output_rank,
        action: grant.action,
        approval: grant.approval.clone(),
        client: grant.client.as_deref().map(Who::from),
        network: grant.network.map(Who::from),
        session: grant.session,
        policy_sha256: grant.policy_sha256.clone(),
        expires_us: grant.expires.micros(),
        rows: grant.limit.rows,
        bytes: grant.limit.bytes,
        subjects: grant.limit.subjects,
        sink: grant.sink.then_some(true),
        risk: grant.risk,
        statements: grant.statements.as_ref().map(|keys| keys.iter().map(|key| hex(key)).collect()),
    }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use stepgate_record::Hash;
    use stepgate_types::{Action, GrantId};

    use super::*;

    fn record(network: &str, shortened: &[&str]) -> Record {
        let grant = Grant {
            id: GrantId::from_bytes([1; 8]),
            request: RequestId::from_bytes([1; 5]),
            person: "dana".parse().unwrap(),
            database: "shop".to_owned(),
            db_user: Some("analyst".to_owned()),
            kinds: BTreeSet::new(),
            uses: BTreeSet::new(),
            relations: BTreeSet::from(["public.customers".to_owned()]),
            objects: Some(BTreeSet::from(["c0ffee".to_owned()])),
            labels: BTreeSet::from([Label::new("ssn")]),
            labels_bound: true,
            class_rank: 3,
            output_rank: 2,
            action: Action::StepUp,
            risk: Some(30),
            approval: "self".to_owned(),
            client: Some("psql".to_owned()),
            network: network.parse().ok(),
            session: Some(SessionId::from_bytes([2; 16])),
            policy_sha256: "ab".repeat(32),
            expires: Timestamp::from_micros(9),
            limit: Limit::of(Some(1_000), None),
            sink: true,
            statements: Some(BTreeSet::from([[3; 32]])),
        };
        let mut event = issued(&grant);
        if let Event::GrantIssued(issued) = &mut event {
            issued.network = Some(network.into());
        }
        let shortened: BTreeMap<_, _> = shortened.iter().map(|name| ((*name).to_owned(), 9)).collect();
        let record = Record::new(&"0".repeat(32), 0, Timestamp::from_micros(5), Hash::ZERO, event);
        Record { shortened, ..record }
    }

    #[test]
    fn a_grant_comes_back_from_its_record_as_it_was() {
        let record = record("192.0.2.7", &[]);
        let kept = kept_of(&record, &Subjects::default()).unwrap();
        assert_eq!((issued(&kept.grant), kept.issued), (record.event, record.at));
    }

    #[test]
    fn a_record_that_lost_a_bound_gives_no_grant() {
        let kept_of = |record: &Record| kept_of(record, &Subjects::default());
        assert!(kept_of(&record("192.0.2.7", &["relations"])).is_some());
        assert!(kept_of(&record("192.0.2.7", &["client"])).is_none());
        assert!(kept_of(&record("somewhere", &[])).is_none());
    }
}
