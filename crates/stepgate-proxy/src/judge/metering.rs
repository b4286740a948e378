//! Limits: what a statement may deliver, on whose account, and who is asked for more once that is out.
//!
//! Two things bound it. Its *own* limit is the least of the rules that matched; it begins anew each time that people
//! approve more. A *grant* has a budget of its own, from which the statement gets a block at a time; each block is on disk
//! as debited before a row of it is delivered. What is left of the last block goes back when nothing of the session
//! can fetch any more by it; a crash loses it, so that a grant is never worth more afterwards than before.

use std::sync::Arc;

use bytes::Bytes;
use stepgate_approval::{Dialect, Mode, Wanted};
use stepgate_policy::{Approval, Delivered, InTransaction};
use stepgate_record::Event;
use stepgate_session::{Meter, Pending};
use stepgate_store::{Block, DeskError, End, LogError, Need};
use stepgate_types::{Action, GrantId, Limit, RequestId, StatementId, bytes_in_words, rows_in_words};
use stepgate_wire::Problem;

use super::asking::{MAX_HOLD_IN_TRANSACTION, no_randomness};
use super::notifying::notifies;
use super::{Case, Hold, Judge, Merged, Verdict};
use crate::refusal;

/// How many grants are tried that others may have spent just now.
const TRIES: usize = 4;

/// A statement whose rows are limited, for as long as its session may get any.
pub(crate) struct Limited {
    pub(crate) meter: Arc<Meter>,
    /// As it was let through; `None` where its text is too long to be kept.
    pending: Option<Arc<Pending>>,
    /// By which action.
    action: Action,
    own: Limit,
    /// What had been delivered when that began.
    since: (u64, u64),
    account: Option<Account>,
    /// What the client said it wanted the data for, as it was let through.
    purpose: Option<String>,
    /// Bytes of the row that waits.
    next: u64,
}

/// The grant that a statement draws on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    grant: GrantId,
    /// What the grant limits.
    rows: bool,
    bytes: bool,
}

/// Whether a statement may deliver more.
pub(crate) enum More {
    /// Its meter is refilled.
    GoesOn,
    /// People are asked.
    Waits(Box<Hold>),
    /// It ends here.
    Ends(Problem),
}

impl Account {
    const fn of(grant: GrantId, block: &Block) -> Self {
        Self { grant, rows: block.limit.rows.is_some(), bytes: block.limit.bytes.is_some() }
    }

    /// What the meter has left of it.
    fn unused(&self, left: Limit) -> Limit {
        let of = |limits: bool, left: Option<u64>| if limits { Some(left.unwrap_or(0)) } else { Some(0) };
        Limit { rows: of(self.rows, left.rows), bytes: of(self.bytes, left.bytes) }
    }
}

impl Limited {
    /// Bytes of it that are kept.
    pub(crate) fn kept(&self) -> usize {
        let values = |pending: &Pending| pending.values.iter().flatten().map(Bytes::len).sum::<usize>();
        self.pending.as_deref().map_or(0, |pending| pending.sql.len().saturating_add(values(pending)))
    }

    /// There is no room for its text.
    pub(crate) fn forget_text(&mut self) {
        self.pending = None;
    }

    /// Bytes of the row that waits.
    pub(crate) const fn waits(&mut self, next: u64) {
        self.next = next;
    }

    /// Whether the session may still get rows by it.
    pub(crate) fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.meter) > 1
    }

    /// What it may still deliver before people are asked, whatever its grant has.
    fn own_left(&self) -> Limit {
        let (rows, bytes) = self.meter.delivered();
        self.own.minus(rows.saturating_sub(self.since.0), bytes.saturating_sub(self.since.1))
    }

    /// A new approval: its own limit begins anew.
    fn begin_anew(&mut self, own: Limit) {
        (self.own, self.since) = (own, self.meter.delivered());
    }

    /// Gets a block of the grant that it draws on.
    fn refill(&mut self, block: Limit) {
        let (own, has) = (self.own_left(), self.meter.left());
        let more = |block: Option<u64>, has: Option<u64>, own: Option<u64>| match block {
            Some(block) => Some(has.unwrap_or(0).saturating_add(block)),
            None => own,
        };
        self.meter.refill(Limit {
            rows: more(block.rows, has.rows, own.rows),
            bytes: more(block.bytes, has.bytes, own.bytes),
        });
    }
}

impl Case<'_> {
    /// A verdict by which rows are limited, where they are.
    pub(super) fn limited(&self, verdict: Verdict, block: Option<(GrantId, &Block)>) -> Verdict {
        let own = self.decision.limit;
        // By a grant that limits nothing as well: whoever revokes it stops what runs by it.
        if own.is_none() && block.is_none() {
            return verdict;
        }
        let left = block.map_or(own, |(_, block)| left(own, block));
        let meter = Meter::new(self.pending.number, left, self.decision.enforced, self.facts.has_sink);
        meter.goes_by(block.map(|(_, block)| block.in_force.clone()));
        let limited = Limited {
            meter,
            pending: Some(Arc::new(owned(self.pending))),
            action: self.decision.action,
            own,
            since: (0, 0),
            account: block.map(|(grant, block)| Account::of(grant, block)),
            purpose: self.who.purpose.clone(),
            next: 0,
        };
        if matches!(verdict, Verdict::Pass(..)) {
            return Verdict::Limited(Box::new(limited), Box::new(verdict));
        }
        self.judge.give_back(&limited);
        verdict
    }

    /// Permits it on a grant's account. `None`: the grant is over, or spent.
    pub(super) async fn permit_on(
        &self,
        grant: GrantId,
        request: Option<RequestId>,
        by: Option<GrantId>,
    ) -> Result<Option<Verdict>, LogError> {
        let need = Need {
            has: Limit { rows: Some(0), bytes: Some(0) },
            next: 1,
            most: self.decision.limit,
            asked_for: false,
            // How many rows it stores is known when it has.
            all: self.facts.has_sink,
        };
        let Some(block) = self.judge.gate.desk.set_aside(grant, self.statement(), &need) else {
            return Ok(None);
        };
        let verdict = self.permit_after(block.debited.clone(), "forward", request, by).await?;
        Ok(Some(self.limited(verdict, Some((grant, &block)))))
    }

    /// Permits it by a grant that covers it, if there is one.
    pub(super) async fn permit_by_grant(&self, wanted: &Wanted) -> Result<Option<Verdict>, LogError> {
        for _ in 0..TRIES {
            let Some(grant) = self.judge.gate.desk.covering_grant(wanted) else { return Ok(None) };
            if notifies(&self.pending.facts) && self.judge.gate.desk.is_limited(grant) {
                // Its budget would not be touched by what is sent.
                return Ok(None);
            }
            if let Some(verdict) = self.permit_on(grant, None, Some(grant)).await? {
                return Ok(Some(verdict));
            }
        }
        Ok(None)
    }

    /// The statement has delivered what it may, by its own limit or by what grants have left.
    async fn more(&self, limited: &mut Limited) -> Result<More, LogError> {
        let beyond = match self.beyond(limited).await? {
            Ok(beyond) => beyond,
            Err(more) => return Ok(more),
        };
        let wanted = self.wanted_beyond(&beyond);
        for _ in 0..TRIES {
            let Some(grant) = self.judge.gate.desk.grant_for_more(&wanted) else { break };
            if self.goes_on_by(limited, grant, None, false).await? {
                return Ok(More::GoesOn);
            }
        }
        self.ask_for_more(limited, &beyond, wanted).await
    }

    /// People have approved more.
    async fn extended(&self, limited: &mut Limited, hold: &Hold, end: &End) -> Result<More, LogError> {
        let beyond = match self.beyond(limited).await? {
            Ok(beyond) => beyond,
            Err(more) => return Ok(more),
        };
        let request = hold.waiting.request;
        if !self.wanted_beyond(&beyond).is_no_more_than(&hold.wanted) {
            return Ok(More::Ends(refusal::asks_more_now(request)));
        }
        let goes_on = match end.grant {
            // Who has joined a request runs by its grant, and its own row is not the one that people were told of.
            Some(grant) => self.goes_on_by(limited, grant, Some(request), !hold.waiting.joined).await?,
            None if hold.waiting.joined => false,
            None => {
                self.goes_on_freely(limited, self.decision.limit, Some(request)).await?;
                true
            }
        };
        Ok(if goes_on { More::GoesOn } else { More::Ends(refusal::withdrawn(request)) })
    }

    /// Whom to ask for more, and as what; or what becomes of the statement without asking.
    async fn beyond(&self, limited: &mut Limited) -> Result<Result<(Action, Approval), More>, LogError> {
        let decision = self.decision;
        if !decision.enforced {
            self.judge.gate.log.append(vec![self.reached(limited, "monitor")], Vec::new()).await?;
            self.goes_on_freely(limited, Limit::NONE, None).await?;
            return Ok(Err(More::GoesOn));
        }
        let approved = limited.account.is_none() && decision.action <= limited.action;
        if decision.limit.is_none() && (approved || decision.action < Action::StepUp) {
            // The policy is another by now, and limits it no more. What runs by a grant is as limited as that.
            self.goes_on_freely(limited, Limit::NONE, None).await?;
            return Ok(Err(More::GoesOn));
        }
        let own = || decision.approval.clone().map(|approval| (decision.action, approval));
        let beyond =
            if decision.action == Action::Deny { None } else { decision.beyond.clone().or_else(own) };
        Ok(match beyond {
            Some(beyond) => Ok(beyond),
            None => {
                self.judge.gate.log.append(vec![self.reached(limited, "deny")], Vec::new()).await?;
                let denied = decision.action == Action::Deny;
                let reached = || refusal::limit_reached(decision.limit);
                Err(More::Ends(if denied { refusal::denied(decision) } else { reached() }))
            }
        })
    }

    /// What people would be asked by now for more than the statement may deliver.
    fn wanted_beyond(&self, (action, approval): &(Action, Approval)) -> Wanted {
        Wanted { action: *action, ..self.wanted(approval) }
    }

    /// Goes on without a grant, by a limit of its own that begins anew.
    async fn goes_on_freely(
        &self,
        limited: &mut Limited,
        own: Limit,
        request: Option<RequestId>,
    ) -> Result<(), LogError> {
        let event = self.goes_on(limited, request, None);
        self.judge.gate.log.append(vec![event], Vec::new()).await?;
        self.judge.give_back(limited);
        limited.account = None;
        limited.meter.goes_by(None);
        limited.begin_anew(own);
        limited.meter.refill(own);
        Ok(())
    }

    /// Goes on by this grant, if it has enough. `asked_for`: people have approved this very row.
    async fn goes_on_by(
        &self,
        limited: &mut Limited,
        grant: GrantId,
        request: Option<RequestId>,
        asked_for: bool,
    ) -> Result<bool, LogError> {
        let own = self.decision.limit;
        let has = Limit { rows: Some(0), bytes: Some(0) };
        let need = Need { has, next: limited.next, most: own, asked_for, all: false };
        let Some(block) = self.judge.gate.desk.set_aside(grant, self.statement(), &need) else {
            return Ok(false);
        };
        let events = [self.goes_on(limited, request, Some(grant))].into_iter().chain(block.debited.clone());
        self.judge.gate.log.append(events.collect(), Vec::new()).await?;
        self.judge.give_back(limited);
        limited.account = Some(Account::of(grant, &block));
        limited.meter.goes_by(Some(block.in_force.clone()));
        limited.begin_anew(own);
        limited.meter.refill(left(own, &block));
        Ok(true)
    }

    fn goes_on(&self, limited: &Limited, request: Option<RequestId>, grant: Option<GrantId>) -> Event {
        let statement = limited.meter.number();
        Event::LimitExtended { session: self.judge.session, statement, request, grant }
    }

    /// Asks people whether more may be delivered.
    async fn ask_for_more(
        &self,
        limited: &Limited,
        beyond: &(Action, Approval),
        wanted: Wanted,
    ) -> Result<More, LogError> {
        let gate = &self.judge.gate;
        gate.log.append(vec![self.reached(limited, "hold")], Vec::new()).await?;
        let Some(id) = self.fresh_id() else { return Ok(More::Ends(no_randomness())) };
        let approval = &beyond.1;
        let patience = match self.view.rules.in_transaction() {
            InTransaction::Hold => self.view.rules.hold(),
            // A result that is under way keeps a snapshot and the locks of what it reads.
            InTransaction::Auto | InTransaction::Defer => self.view.rules.hold().min(MAX_HOLD_IN_TRANSACTION),
        };
        let patience = self.judge.before_timeout(patience);
        let mut ask = self.ask(id, approval, &wanted, Mode::Hold);
        ask.summary = format!("{} {}", delivered(limited), ask.summary);
        ask.expires = ask.opened.plus(approval.expires.min(patience));
        let summary = ask.summary.clone();
        let waiting = match gate.desk.ask(ask, self.held()).await {
            Ok(waiting) => waiting,
            Err(error) => return Ok(More::Ends(refusal::desk_failed(&error))),
        };
        let (rows, _) = limited.meter.delivered();
        // One that is joined may last longer.
        let left = waiting.expires.since(gate.clock.now());
        let url = gate.console_url.as_deref();
        let notice = refusal::held_midway(
            waiting.request,
            approval,
            self.decision,
            (rows, &summary),
            left.min(patience),
            url,
        );
        Ok(More::Waits(Box::new(Hold {
            waiting,
            statement: self.statement(),
            notice,
            limit: Some(patience).filter(|patience| *patience < left),
            deferred: None,
            outlives_client: false,
            wanted,
            dialect: Dialect::default(),
            granted: None,
            midway: Some(limited.meter.number()),
        })))
    }

    fn reached(&self, limited: &Limited, verdict: &str) -> Event {
        let (rows, bytes) = limited.meter.delivered();
        Event::LimitReached {
            session: self.judge.session,
            statement: limited.meter.number(),
            person: self.judge.named.clone(),
            rows,
            bytes,
            next: limited.next,
            limit_rows: limited.own.rows,
            limit_bytes: limited.own.bytes,
            rules: self.decision.rules.clone(),
            verdict: verdict.to_owned(),
        }
    }
}

/// What a block lets through, and where that has no limit, the statement's own.
fn left(own: Limit, block: &Block) -> Limit {
    Limit { rows: block.limit.rows.or(own.rows), bytes: block.limit.bytes.or(own.bytes) }
}

/// What of the statement is out, and why its next row waits.
fn delivered(limited: &Limited) -> String {
    let (rows, bytes) = limited.meter.delivered();
    let next = bytes_in_words(limited.next);
    let large = limited.own.bytes.is_some_and(|own| own < limited.next);
    match rows {
        0 => format!("Nothing is out yet; the next row has {next}."),
        _ if large => {
            format!(
                "{} ({}) are out already; the next has {next}.",
                rows_in_words(rows),
                bytes_in_words(bytes)
            )
        }
        1 => format!("1 row ({}) is out already.", bytes_in_words(bytes)),
        _ => format!("{} ({}) are out already.", rows_in_words(rows), bytes_in_words(bytes)),
    }
}

/// With memory of its own: what is kept for long must not keep the buffer alive that it was read into.
fn owned(pending: &Pending) -> Pending {
    let values = pending.values.iter();
    Pending {
        sql: Bytes::copy_from_slice(&pending.sql),
        values: values.map(|value| value.as_ref().map(|value| Bytes::copy_from_slice(value))).collect(),
        ..pending.clone()
    }
}

impl Judge {
    /// A statement has delivered what its meter lets through, and has another row.
    pub(crate) async fn more(&self, limited: &mut Limited) -> Result<More, LogError> {
        if limited.own_left().has(1, limited.next) && self.draw(limited).await? {
            return Ok(More::GoesOn);
        }
        self.more_by(limited, None).await
    }

    /// People have approved that it delivers more.
    pub(crate) async fn extended(
        &self,
        limited: &mut Limited,
        hold: &Hold,
        end: &End,
    ) -> Result<More, LogError> {
        self.more_by(limited, Some((hold, end))).await
    }

    /// Decides again, by what is known of people and policy now.
    async fn more_by(
        &self,
        limited: &mut Limited,
        approved: Option<(&Hold, &End)>,
    ) -> Result<More, LogError> {
        let Some(pending) = limited.pending.clone() else {
            return Ok(More::Ends(refusal::too_long_to_ask(limited.own)));
        };
        let Some(view) = self.database.view() else { return Ok(More::Ends(refusal::catalog_unknown())) };
        let Some(mut who) = self.circumstances_of(&view, &pending.facts, &pending, None) else {
            return Ok(More::Ends(refusal::catalog_unknown()));
        };
        let (rows, bytes) = limited.meter.delivered();
        // With the row that waits: it is that one's turn.
        who.delivered = Delivered { rows: rows.saturating_add(1), bytes: bytes.saturating_add(limited.next) };
        who.purpose.clone_from(&limited.purpose);
        let decision = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
        let facts = Merged::of(&pending.facts);
        let (judge, pending, session) = (self, &*pending, None);
        let case =
            Case { judge, pending, session, view: &view, who: &who, decision: &decision, facts: &facts };
        match approved {
            None => case.more(limited).await,
            Some((hold, end)) => case.extended(limited, hold, end).await,
        }
    }

    /// Gets another block of the grant that it draws on, if that has enough.
    async fn draw(&self, limited: &mut Limited) -> Result<bool, LogError> {
        let Some(account) = limited.account else { return Ok(false) };
        let has = account.unused(limited.meter.left());
        let most = limited.own_left().minus(has.rows.unwrap_or(0), has.bytes.unwrap_or(0));
        let need = Need { has, next: limited.next, most, asked_for: false, all: false };
        let statement = StatementId { session: self.session, number: limited.meter.number() };
        match self.gate.desk.debit(account.grant, statement, &need).await {
            Ok(Some(block)) => {
                limited.refill(block.limit);
                Ok(true)
            }
            Err(DeskError::Log(error)) => Err(error),
            Ok(None) | Err(_) => Ok(false),
        }
    }

    /// What a statement got of a grant and did not deliver goes back.
    pub(crate) fn give_back(&self, limited: &Limited) {
        let Some(account) = &limited.account else { return };
        let unused = account.unused(limited.meter.left());
        let statement = StatementId { session: self.session, number: limited.meter.number() };
        let (rows, bytes) = (unused.rows.unwrap_or(0), unused.bytes.unwrap_or(0));
        self.gate.desk.give_back(account.grant, statement, rows, bytes);
    }
}
