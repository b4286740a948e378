//! Limits: what a statement may deliver, on whose account, and who is asked for more once that is out.
//!
//! Three things bound it. Its *own* limit is the least of the rules that matched; it begins anew each time that people
//! approve more. A *grant* has a budget of its own, from which the statement gets a block at a time; each block is on disk
//! as debited before a row of it is delivered. What is left of the last block goes back when nothing of the session
//! can fetch any more by it; a crash loses it, so that a grant is never worth more afterwards than before. And *accounts*
//! count what the person gets in a session or window (`accounts.rs`). What people have approved beyond these is drawn
//! from that approval, and not counted there.

mod midway;

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use stepgate_approval::Wanted;
use stepgate_policy::{Approval, Delivered, Metered};
use stepgate_record::{Event, LimitExtended};
use stepgate_session::{Allowance, Hashes, Meter, Pending};
use stepgate_store::{Block, DeskError, End, LogError, Need};
use stepgate_types::{Action, Amount, GrantId, Limit, RequestId, StatementId, Timestamp};
use stepgate_wire::Problem;

use super::telling::{self, Telling};
use super::{Case, Hold, Judge, Merged, Verdict, unheld};
use crate::accounts::{Account as Counted, By, Crossed};
use crate::refusal;

/// How often others may be quicker: how many grants are tried that may be spent by now, and how often an account.
const TRIES: usize = 4;

/// The least that a statement takes.
const ONE: Amount = Amount { rows: 1, bytes: 1, subjects: 1 };

/// A statement whose rows are limited, for as long as its session may get any.
pub(crate) struct Limited {
    pub(crate) meter: Arc<Meter>,
    /// As it was let through; `None` where its text is too long to be kept.
    pending: Option<Arc<Pending>>,
    /// By which action.
    action: Action,
    own: Limit,
    /// What had been delivered when that began.
    since: Amount,
    account: Option<Account>,
    /// What the client said it wanted the data for, as it was let through.
    purpose: Option<String>,
    /// Bytes of the row that waits.
    next: u64,
    /// What it counts on besides: in the order of its meter's allowances. `None`: there are too many accounts.
    counts: Vec<(Metered, Option<Arc<Counted>>)>,
    /// Which of them has no room for that row.
    crossed: Option<Crossed>,
}

/// The grant that a statement draws on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    grant: GrantId,
    /// What the grant limits.
    rows: bool,
    bytes: bool,
    subjects: bool,
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
        let limit = block.limit;
        Self {
            grant,
            rows: limit.rows.is_some(),
            bytes: limit.bytes.is_some(),
            subjects: limit.subjects.is_some(),
        }
    }

    /// What the meter has left of it.
    fn unused(&self, left: Limit) -> Amount {
        let of = |limits: bool, left: Option<u64>| if limits { left.unwrap_or(0) } else { 0 };
        Amount {
            rows: of(self.rows, left.rows),
            bytes: of(self.bytes, left.bytes),
            subjects: of(self.subjects, left.subjects),
        }
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
        self.own.minus(self.meter.delivered().beyond(self.since))
    }

    /// A new approval: its own limit begins anew, and nothing else counts what follows.
    fn begin_anew(&mut self, own: Limit) {
        (self.own, self.since) = (own, self.meter.delivered());
        self.crossed = None;
        self.counts.clear();
        self.meter.exempt();
    }

    /// Whether anything else counts what it delivers.
    pub(crate) fn has_accounts(&self) -> bool {
        !self.counts.is_empty()
    }

    /// Time has gone on: what was set aside in a part of a window is not taken in the next.
    pub(crate) fn renew(&self, now: Timestamp) {
        self.counts.iter().filter_map(|(_, account)| account.as_ref()).for_each(|account| account.renew(now));
    }

    /// From here on it goes by a broken glass, as long as that is open.
    pub(super) fn goes_by_glass(&mut self, glass: GrantId, block: &Block) {
        self.account = Some(Account::of(glass, block));
        self.meter.goes_by(Some(block.in_force.clone()));
        self.begin_anew(Limit::NONE);
        self.meter.refill(Limit::NONE);
    }

    /// Gives up what it has of its grant and has not delivered: so much is its meter short of from here on.
    fn gives_up(&self) -> Option<(GrantId, Amount)> {
        let account = self.account.as_ref()?;
        let left = self.meter.left();
        let unused = account.unused(left);
        self.meter.refill(left.minus(unused));
        Some((account.grant, unused))
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
            subjects: more(block.subjects, has.subjects, own.subjects),
        });
    }
}

impl Case<'_> {
    /// A verdict by which rows are limited, where they are.
    pub(super) async fn limited(
        &self,
        verdict: Verdict,
        block: Option<(GrantId, &Block)>,
    ) -> Result<Verdict, LogError> {
        self.limited_by(self.decision.limit, self.counts(), verdict, block).await
    }

    /// The same by a broken glass: nothing but that limits it.
    pub(super) async fn by_glass_alone(
        &self,
        verdict: Verdict,
        glass: GrantId,
        block: &Block,
    ) -> Result<Verdict, LogError> {
        self.limited_by(Limit::NONE, Vec::new(), verdict, Some((glass, block))).await
    }

    async fn limited_by(
        &self,
        own: Limit,
        counts: Vec<(Metered, Option<Arc<Counted>>)>,
        verdict: Verdict,
        block: Option<(GrantId, &Block)>,
    ) -> Result<Verdict, LogError> {
        // By a grant that limits nothing as well: whoever revokes it stops what runs by it.
        if !self.decision.is_limited() && block.is_none() {
            return Ok(verdict);
        }
        let left = block.map_or(own, |(_, block)| left(own, block));
        let nothing = |metered: &Metered| {
            Arc::new(Allowance::new(metered.limit, 0, BTreeMap::new(), &Hashes::default()))
        };
        let allowance = |(metered, account): &(Metered, Option<Arc<Counted>>)| {
            account.as_ref().map_or_else(|| nothing(metered), |account| Arc::clone(&account.allowance))
        };
        let allowances = counts.iter().map(allowance).collect();
        let rules = &self.view.rules;
        let database = &self.who.database;
        let telling = telling::of(self.decision, &self.pending.facts, rules.map(), database);
        let catalog = &self.view.catalog;
        let relies = |key: &_| self.judge.database.keys.tells(key, catalog);
        let tells = telling::tells(telling, (rules.map(), database), &self.judge.gate.vault, relies);
        let (number, enforced) = (self.pending.number, self.decision.enforced);
        let meter = Meter::shared(number, left, enforced, self.facts.stores, tells, allowances);
        meter.goes_by(block.map(|(_, block)| block.in_force.clone()));
        let limited = Limited {
            meter,
            pending: Some(Arc::new(owned(self.pending))),
            action: self.decision.action,
            own,
            since: Amount::NOTHING,
            account: block.map(|(grant, block)| Account::of(grant, block)),
            purpose: self.who.purpose.clone(),
            next: 0,
            counts,
            crossed: None,
        };
        if matches!(verdict, Verdict::Pass(..)) {
            // For its first row, or its error, which cannot wait; and for all that it stores.
            limited.meter.first();
            self.judge.extend(&limited, self.facts.has_sink).await?;
            return Ok(Verdict::Limited(Box::new(limited), Box::new(verdict)));
        }
        self.judge.give_back(&limited);
        Ok(verdict)
    }

    /// The accounts of the person that this counts on.
    fn counts(&self) -> Vec<(Metered, Option<Arc<Counted>>)> {
        let gate = &self.judge.gate;
        let now = gate.clock.now();
        let of = |metered: &Metered| {
            (metered.clone(), gate.accounts.of(&gate.vault, &self.judge.person, metered, now))
        };
        self.decision.meters.iter().map(of).collect()
    }

    /// Whether rows of it may be about any number of people, and that is limited: an approval of it is for nothing else.
    pub(super) fn is_about_many(&self) -> bool {
        if !self.view.rules.limits_subjects() {
            return false;
        }
        let (rules, facts) = (&self.view.rules, &self.pending.facts);
        let plain = rules.decide_by(self.who, &self.view.bound, facts, &self.pending.compared());
        matches!(telling::of(&plain, facts, rules.map(), &self.who.database), Telling::Unknown)
    }

    /// Permits it on a grant's account. `None`: the grant is over, or spent.
    pub(super) async fn permit_on(
        &self,
        grant: GrantId,
        request: Option<RequestId>,
        by: Option<GrantId>,
    ) -> Result<Option<Verdict>, LogError> {
        let need = Need {
            has: Limit::NOTHING,
            next: ONE,
            most: self.decision.limit,
            asked_for: false,
            // How many rows it stores is known when it has.
            all: self.facts.has_sink,
        };
        let Some(block) = self.judge.gate.desk.set_aside(grant, self.statement(), &need) else {
            return Ok(None);
        };
        let verdict = self.permit_after(block.debited.clone(), "forward", request, by).await?;
        self.limited(verdict, Some((grant, &block))).await.map(Some)
    }

    /// Permits it by a grant that covers it, if there is one.
    pub(super) async fn permit_by_grant(&self, wanted: &Wanted) -> Result<Option<Verdict>, LogError> {
        for _ in 0..TRIES {
            let Some(grant) = self.judge.gate.desk.covering_grant(wanted) else { return Ok(None) };
            if unheld::shows(&self.pending.facts) && self.judge.gate.desk.is_limited(grant) {
                // Its budget would not be touched by what is shown so.
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
        let asks = self.decision.is_limited() || self.decision.action >= Action::StepUp;
        if self.decision.enforced && asks && self.goes_on_by_glass(limited).await? {
            return Ok(More::GoesOn);
        }
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
                self.goes_on_freely(limited, self.decision.more_at_once(), Some(request)).await?;
                true
            }
        };
        Ok(if goes_on { More::GoesOn } else { More::Ends(refusal::withdrawn(request)) })
    }

    /// Whom to ask for more, and as what; or what becomes of the statement without asking.
    async fn beyond(&self, limited: &mut Limited) -> Result<Result<(Action, Approval), More>, LogError> {
        let decision = self.decision;
        // What began without being held back is not held back in the middle.
        if !decision.enforced || !limited.meter.is_enforced() {
            self.judge.gate.log.append(vec![self.reached(limited, "monitor")], Vec::new()).await?;
            self.goes_on_freely(limited, Limit::NONE, None).await?;
            return Ok(Err(More::GoesOn));
        }
        // What a rule asks once so much is delivered, nobody has approved yet, although others asked no less before.
        let approved = limited.account.is_none() && decision.action <= limited.action && !decision.reached;
        if !decision.is_limited() && (approved || decision.action < Action::StepUp) {
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
                let crossed = limited.crossed.as_ref().map(ToString::to_string);
                let reached = || refusal::limit_reached(decision.more_at_once(), crossed);
                Err(More::Ends(if denied { refusal::denied(decision) } else { reached() }))
            }
        })
    }

    /// What people would be asked by now for more than the statement may deliver.
    fn wanted_beyond(&self, (action, approval): &(Action, Approval)) -> Wanted {
        Wanted { action: *action, limit: self.decision.more_at_once(), ..self.wanted(approval) }
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
        let own = self.decision.more_at_once();
        if limited.account.is_some_and(|account| account.grant == grant) {
            // What it has of it already is not lacking. If that is too little all the same, it goes on by that grant, of which
            // it has nothing then.
            self.judge.give_back(limited);
        }
        let need = Need { has: Limit::NOTHING, next: limited.meter.next(), most: own, asked_for, all: false };
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

    pub(super) fn goes_on(
        &self,
        limited: &Limited,
        request: Option<RequestId>,
        grant: Option<GrantId>,
    ) -> Event {
        let statement = limited.meter.number();
        Event::LimitExtended(LimitExtended { session: self.judge.session, statement, request, grant })
    }
}

/// What a block lets through, and where that has no limit, the statement's own.
fn left(own: Limit, block: &Block) -> Limit {
    block.limit.or(own)
}

/// With memory of its own: what is kept for long must not keep the buffer alive that it was read into.
fn owned(pending: &Pending) -> Pending {
    let values = pending.values.iter();
    Pending {
        sql: Bytes::copy_from_slice(&pending.sql),
        read: pending.read,
        behind: pending.behind.iter().map(|text| Bytes::copy_from_slice(text)).collect(),
        values: values.map(|value| value.as_ref().map(|value| Bytes::copy_from_slice(value))).collect(),
        ..pending.clone()
    }
}

impl Judge {
    /// A statement has delivered what its meter lets through, and has another row.
    pub(crate) async fn more(&self, limited: &mut Limited) -> Result<More, LogError> {
        for _ in 0..TRIES {
            limited.crossed = self.extend(limited, false).await?;
            let next = limited.meter.next();
            if limited.crossed.is_some() || !limited.own_left().has(next) {
                break;
            }
            if !limited.meter.left().has(next) && !self.draw(limited).await? {
                break;
            }
            // What only watches has let it pass already.
            if !limited.meter.is_enforced() || limited.meter.take_waiting() {
                return Ok(More::GoesOn);
            }
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
        let Amount { rows, bytes, .. } = limited.meter.delivered();
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

    /// Has accounts set aside what the row that waits takes of them, or `all` that they have. The first that has no room
    /// for that.
    async fn extend(&self, limited: &Limited, all: bool) -> Result<Option<Crossed>, LogError> {
        let gate = &self.gate;
        let by = By {
            accounts: &gate.accounts,
            log: &gate.log,
            person: &self.named,
            opened: self.opened,
            now: gate.clock.now(),
        };
        let mut first = None;
        for (metered, account) in &limited.counts {
            let crossed = match account {
                Some(account) => account.extend(&by, &limited.meter, metered.limit, all).await?,
                None => Some(Crossed::uncounted(metered)),
            };
            first = first.or(crossed);
        }
        Ok(first)
    }

    /// Gets another block of the grant that it draws on, if that has enough.
    async fn draw(&self, limited: &mut Limited) -> Result<bool, LogError> {
        let Some(account) = limited.account else { return Ok(false) };
        let has = account.unused(limited.meter.left());
        let most = limited.own_left().minus(has);
        let next = limited.meter.next();
        let need = Need { has: has.into(), next, most, asked_for: false, all: false };
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

    /// What a statement got of a grant and did not deliver goes back: it has that no more, however long it lives on.
    pub(crate) fn give_back(&self, limited: &Limited) {
        let Some((grant, unused)) = limited.gives_up() else { return };
        let statement = StatementId { session: self.session, number: limited.meter.number() };
        self.gate.desk.give_back(grant, statement, unused);
    }
}
