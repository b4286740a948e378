//! What the desk keeps in memory. All of it but the held bytes can be rebuilt from the log.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use stepgate_approval::{
    Ask, AuthenticatorId, Canonical, Challenges, Credential, Ended, Grant, Guard, Held, Method, Open, Pass,
    Salts, TotpFactor, Wanted, WrongSalts, canonical, escape_for_display,
};
use stepgate_record::Outcome;
use stepgate_types::{GrantId, InForce, Limit, PersonName, RequestId, StatementId, Strength, Timestamp};
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use super::DeskError;
use super::account::Accounts;
use super::asked::Asked;
use super::caps::{CalledOff, Ignored};
use super::comment::Comment;
use super::glass::{Broken, Wished};
use super::login::Entrance;
use super::pace::Pace;
use super::policies::Policies;
use super::read::Reading;
use super::view::{End, RequestInfo, Waiting};
use super::waiting::Devices;
use crate::Factors;

/// Open requests in all.
const MAX_OPEN: usize = 1000;

/// Statements that wait for one request.
const MAX_WAITERS: usize = 1000;

/// Bytes of held statements in all: 128 MiB of the gate's memory.
const MAX_HELD_BYTES: usize = 128 << 20;

/// Of them of one person, so that nobody keeps all others from being held.
const MAX_HELD_BYTES_OF_PERSON: usize = MAX_HELD_BYTES / 4;

/// Grants in force; an approval beyond counts once.
pub(super) const MAX_GRANTS: usize = 10_000;

/// Passes in force; beyond, nothing that was deferred is approved.
pub(super) const MAX_PASSES: usize = 10_000;

/// Ended requests remembered for listings and for telling late answers how it ended; some 300 bytes each, and a reason.
const MAX_PAST: usize = 2000;

/// Of them of one person, so that nobody has those of others forgotten.
const MAX_PAST_OF_PERSON: usize = MAX_PAST / 10;

/// In the place of the key of a statement, where two are compared themselves.
const SAME: [u8; 32] = [0; 32];

/// Everything in memory.
#[derive(Default)]
pub(super) struct State {
    pub(super) open: BTreeMap<RequestId, Entry>,
    pub(super) past: Past,
    pub(super) grants: BTreeMap<GrantId, Kept>,
    pub(super) passes: BTreeMap<GrantId, KeptPass>,
    /// The last TOTP step each person has spent by the log; authenticators keep their own since there may be several.
    pub(super) steps: BTreeMap<PersonName, u64>,
    pub(super) guard: Guard,
    pub(super) ignored: Ignored,
    pub(super) called_off: CalledOff,
    pub(super) challenges: Challenges,
    pub(super) enrolments: BTreeMap<(PersonName, Method), Enrolment>,
    pub(super) pace: Pace,
    pub(super) asked: Asked,
    /// Broken glasses: in force, or over and not reviewed.
    pub(super) glasses: BTreeMap<GrantId, Broken>,
    /// Those that wait for their ceremony; in memory alone.
    pub(super) wished: BTreeMap<GrantId, Wished>,
    pub(super) policies: Policies,
    pub(super) devices: Devices,
    pub(super) entrance: Entrance,
    pub(super) accounts: Accounts,
}

/// An open request and what waits for it.
pub(super) struct Entry {
    pub(super) open: Open,
    pub(super) held: Held,
    pub(super) salts: Salts,
    pub(super) waiters: Vec<Waiter>,
    /// Somebody was told to come again: it stays open though nobody waits.
    pub(super) deferred: bool,
    pub(super) reading: Reading,
    pub(super) comments: Vec<Comment>,
}

/// A statement that waits.
pub(super) struct Waiter {
    pub(super) statement: StatementId,
    /// From where.
    pub(super) address: IpAddr,
    /// What its program calls itself.
    pub(super) client: String,
    /// It came after another, and runs by a grant or a pass alone.
    pub(super) joined: bool,
    pub(super) ended: oneshot::Sender<End>,
}

/// A grant, when it was issued, and what of its budget is neither delivered nor set aside.
pub(super) struct Kept {
    pub(super) grant: Grant,
    pub(super) issued: Timestamp,
    pub(super) left: Limit,
    /// Whether nobody has revoked it, for statements that run by it.
    pub(super) in_force: InForce,
}

/// A pass and when it was issued.
pub(super) struct KeptPass {
    pub(super) pass: Pass,
    pub(super) issued: Timestamp,
}

/// An authenticator that is not confirmed yet. Never stored.
#[derive(Clone)]
pub(super) struct Enrolment {
    /// What its factor keeps.
    pub(super) kept: Zeroizing<Vec<u8>>,
    pub(super) binding: [u8; 32],
    /// When it lapses, on the monotonic clock.
    pub(super) until: Duration,
    /// What there was, and when enrolled, as it was begun.
    pub(super) beside: Vec<(AuthenticatorId, Timestamp)>,
    /// Which of those it is to replace.
    pub(super) replaces: Option<AuthenticatorId>,
    pub(super) name: String,
    /// The most that it will prove: as much as what let it be enrolled.
    pub(super) leave: Strength,
    /// The login in which it was begun, which alone confirms it; `None`: the gate's own machine.
    pub(super) login: Option<[u8; 32]>,
    /// Wrong proofs so far.
    pub(super) attempts: u32,
}

impl Entry {
    /// The canonical request as it is now: of the very bytes that would be released.
    pub(super) fn canonical(&self) -> Result<Canonical, WrongSalts> {
        canonical(self.open.ask(), &self.held, &self.salts)
    }

    /// Adds the statement of `ask` as a waiter; the answer goes to whoever holds it.
    pub(super) fn wait(&mut self, ask: &Ask, joined: bool) -> Waiting {
        let (sender, ended) = oneshot::channel();
        let (statement, address, client) = (ask.statement, ask.address, ask.client.clone());
        self.waiters.push(Waiter { statement, address, client, joined, ended: sender });
        Waiting {
            request: self.open.ask().id,
            joined,
            opened_from: self.open.ask().address,
            sessions: self.waiting().map(|waiter| waiter.statement.session).collect::<BTreeSet<_>>().len(),
            expires: self.open.ask().expires,
            canonical_sha256: hex(self.open.canonical()),
            ended,
        }
    }

    /// Whether somebody other than this statement still waits.
    pub(super) fn others_wait(&self, statement: StatementId) -> bool {
        self.waiting().any(|waiter| waiter.statement != statement)
    }

    /// Whether the statement that was asked about still waits, and so runs by the approval itself.
    pub(super) fn owner_waits(&self) -> bool {
        self.waiting().any(|waiter| !waiter.joined)
    }

    /// Whether anybody still waits.
    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting().next().is_some()
    }

    /// Who still waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter().filter(|waiter| !waiter.ended.is_closed())
    }

    pub(super) fn info(&self) -> RequestInfo {
        let ask = self.open.ask();
        RequestInfo {
            state: if self.deferred { "deferred" } else { "open" },
            // Catalog names may hold anything, too.
            summary: Some(escape_for_display(ask.summary.as_bytes())),
            waiting: self.waiters.len(),
            approvers: self.open.approvers().keys().cloned().collect(),
            groups: self.open.groups().into_iter().collect(),
            comment_count: self.comments.len(),
            ..info_of(ask)
        }
    }
}

fn info_of(ask: &Ask) -> RequestInfo {
    RequestInfo {
        request: ask.id,
        state: "open",
        person: ask.person.clone(),
        database: ask.database.clone(),
        approval: ask.terms.approval.clone(),
        itself: ask.terms.itself,
        groups: ask.terms.groups.iter().cloned().collect(),
        count: ask.terms.count,
        approvers: Vec::new(),
        summary: None,
        waiting: 0,
        comment_count: 0,
        opened: Some(ask.opened.to_string()),
        expires: ask.expires.to_string(),
        ended_by: None,
        reason: None,
        opened_by: ask.ahead.as_ref().map(|ahead| ahead.by.clone()),
        until: ask.ahead.as_ref().map(|ahead| ahead.until.to_string()),
    }
}

impl State {
    /// An open request, or how it ended.
    pub(super) fn entry(&self, request: RequestId) -> Result<&Entry, DeskError> {
        self.open.get(&request).ok_or_else(|| self.why_not_open(request))
    }

    /// As [`State::entry`], to change it.
    pub(super) fn entry_mut(&mut self, request: RequestId) -> Result<&mut Entry, DeskError> {
        if !self.open.contains_key(&request) {
            return Err(self.why_not_open(request));
        }
        self.open.get_mut(&request).ok_or(DeskError::Unknown)
    }

    fn why_not_open(&self, request: RequestId) -> DeskError {
        self.past.get(request).map_or(DeskError::Unknown, |(outcome, _)| DeskError::Ended(outcome))
    }

    /// The open request that this one may join: it is about this person's statement in this role, and what its approval makes
    /// would let this one through from where it is sent, be that a grant or, where it is the very same statement, a pass. One
    /// that does not wait (`defers`) joins by a pass only where another was told to come again, too.
    pub(super) fn joinable(&self, ask: &Ask, held: &Held, defers: bool, now: Timestamp) -> Option<RequestId> {
        let wanted = Wanted::from(ask);
        let id = GrantId::from_bytes([0; 8]);
        let by_grant = |entry: &Entry| {
            let grant = Grant::of(entry.open.ask(), id, now);
            grant.is_some_and(|grant| grant.covers(&wanted, now).is_ok())
        };
        let by_pass = |entry: &Entry| {
            let pass = Pass::of(entry.open.ask(), id, SAME, now);
            ask.mode.may_defer()
                && (entry.deferred || !defers)
                && entry.held == *held
                && pass.is_some_and(|pass| pass.lets(&SAME, &wanted, &ask.db_user, now))
        };
        let found = self.open.iter().find(|(_, entry)| {
            entry.open.ask().terms == ask.terms
                && entry.open.ask().ahead.is_none()
                && !entry.open.is_due(now)
                && entry.waiters.len() < MAX_WAITERS
                && (by_grant(entry) || by_pass(entry))
        });
        found.map(|(id, _)| *id)
    }

    /// Of the approvals of requests and policies that wait only these still are some.
    pub(super) fn keep_votes(&mut self, keep: impl Fn(&PersonName, Timestamp) -> bool) {
        self.open.values_mut().for_each(|entry| entry.open.keep_votes(&keep));
        self.policies.keep_votes(&keep);
    }

    /// Whether there is room for one more request.
    pub(super) fn room_for(&self, ask: &Ask, held: &Held) -> Result<(), DeskError> {
        let own = |entry: &&Entry| entry.open.ask().asker() == ask.asker();
        let of_person: usize = self.open.values().filter(own).map(|entry| entry.held.bytes()).sum();
        let bytes: usize = self.open.values().map(|entry| entry.held.bytes()).sum();
        if self.open.len() >= MAX_OPEN
            || bytes.saturating_add(held.bytes()) > MAX_HELD_BYTES
            || of_person.saturating_add(held.bytes()) > MAX_HELD_BYTES_OF_PERSON
        {
            return Err(DeskError::Full);
        }
        Ok(())
    }

    /// Whether this id stands for a request already.
    pub(super) fn is_taken(&self, id: RequestId) -> bool {
        self.open.contains_key(&id) || self.past.get(id).is_some()
    }

    /// Takes back what is kept of people's factors: how they are guarded, and for authenticators that do not keep it
    /// themselves yet, the last step by the log.
    pub(super) fn restore(&mut self, factors: &Factors) {
        for (person, step) in std::mem::take(&mut self.steps) {
            let only = AuthenticatorId::only(Method::Totp);
            let Some(known) = factors.get(&person, &only) else { continue };
            if TotpFactor::last_step(&known).is_none_or(|last| last < step) {
                let state = TotpFactor::state(step);
                factors.take(&person, Credential { state, ..Credential::clone(&known) });
            }
        }
        for (person, keeping) in factors.all_keeping() {
            let trusted = keeping.trusted.iter().filter_map(|place| place.parse().ok());
            let failed = keeping.failed.iter().filter_map(|(id, count)| Some((id.parse().ok()?, *count)));
            self.guard.restore(&person, trusted, failed);
        }
    }

    /// Spends a TOTP step. Steps never go back.
    pub(super) fn spend(&mut self, person: &PersonName, step: u64) {
        let last = self.steps.entry(person.clone()).or_insert(step);
        *last = step.max(*last);
    }

    /// What a request's end leads to, once it is durable: everybody who waits is told, and the held
    /// bytes are wiped.
    pub(super) fn conclude(
        &mut self,
        ended: Ended,
        waiters: Vec<Waiter>,
        reason: Option<String>,
        remembered: Remembered,
    ) -> End {
        let Remembered { grant, pass } = remembered;
        let end = End {
            request: ended.ask.id,
            outcome: ended.outcome,
            by: ended.by,
            reason,
            approvers: ended.approvers.into_iter().collect(),
            grant,
            pass,
        };
        if matches!(end.outcome, Outcome::Approved | Outcome::Denied) {
            self.ignored.answered(ended.ask.asker(), &ended.ask.terms.approval, ended.ask.address);
        }
        let info = RequestInfo {
            approvers: end.approvers.clone(),
            ended_by: end.by.clone(),
            reason: end.reason.clone(),
            ..info_of(&ended.ask)
        };
        self.past.push(info, end.outcome);
        for waiter in waiters {
            // Who no longer listens has gone.
            let _ = waiter.ended.send(end.clone());
        }
        end
    }
}

/// What an approval is remembered as, if it is.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Remembered {
    pub(super) grant: Option<GrantId>,
    pub(super) pass: Option<GrantId>,
}

/// The latest ended requests.
#[derive(Default)]
pub(super) struct Past {
    order: VecDeque<RequestId>,
    by_id: BTreeMap<RequestId, (Outcome, RequestInfo)>,
}

impl Past {
    pub(super) fn get(&self, id: RequestId) -> Option<(Outcome, &RequestInfo)> {
        self.by_id.get(&id).map(|(outcome, info)| (*outcome, info))
    }

    pub(super) fn push(&mut self, mut info: RequestInfo, outcome: Outcome) {
        info.state = outcome.as_str();
        if outcome != Outcome::Approved {
            // Also where it is read back: who was of another mind than the one who ended it has approved nothing.
            info.approvers.clear();
        }
        let (id, person) = (info.request, info.person.clone());
        if self.by_id.insert(id, (outcome, info)).is_none() {
            self.order.push_back(id);
        }
        let of_person = self.list().filter(|it| it.person == person).count();
        if of_person > MAX_PAST_OF_PERSON {
            self.forget_one(|it| it.person == person);
        } else if self.order.len() > MAX_PAST {
            self.forget_one(|_| true);
        }
    }

    /// The oldest of these; rather one that was called off than one that was answered, or nobody did.
    fn forget_one(&mut self, of: impl Fn(&RequestInfo) -> bool) {
        let called_off = |it: &RequestInfo| matches!(it.state, "cancelled" | "withdrawn");
        let oldest =
            self.list().find(|it| of(it) && called_off(it)).or_else(|| self.list().find(|it| of(it)));
        if let Some(oldest) = oldest.map(|it| it.request) {
            self.order.retain(|id| *id != oldest);
            self.by_id.remove(&oldest);
        }
    }

    pub(super) fn list(&self) -> impl Iterator<Item = &RequestInfo> {
        self.order.iter().filter_map(|id| self.by_id.get(id).map(|(_, info)| info))
    }
}

/// Bytes as hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
