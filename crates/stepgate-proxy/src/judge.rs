//! Facts to decision, decision to record, record to token: the one way from a statement to a pass.

mod ahead;
mod asking;
mod buckets;
mod estimate;
mod failing;
mod glass;
mod known;
mod merged;
mod metering;
mod pose;
mod preparing;
mod recording;
mod scene;
mod signal;
mod strayed;
mod subjects;
mod telling;
mod unheld;
mod verdict;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use stepgate_policy::{Circumstances, Decision, Origin, Touched};
use stepgate_record::{Event, Permit, Refusal};
use stepgate_session::{Pass, Pending, Protocol};
use stepgate_sql::{Catalog, ClientEncoding, Facts, Flow, NoValues, SessionState};
use stepgate_store::{Change, LogError, ProfileOf};
use stepgate_types::{
    Action, Certainty, ColumnName, GrantId, Kind, PersonName, RelationName, RequestId, SessionId, SqlState,
    StatementId, SubjectKind, Timestamp, Use, Who,
};
use stepgate_wire::Problem;
use tokio::sync::watch;

pub use self::ahead::{AskAhead, CannotAsk};
pub(crate) use self::asking::Hold;
use self::estimate::with_estimate_of;
pub(crate) use self::failing::cause_of;
use self::known::{Known, When};
use self::merged::Merged;
pub(crate) use self::metering::{Limited, More};
pub(crate) use self::preparing::Preparing;
use self::signal::Signal;
pub use self::unheld::before_it_runs;
pub(crate) use self::verdict::{Standing, Verdict};
use crate::binding;
use crate::database::{Database, View, Writing};
use crate::gate::Gate;
use crate::manner::Manner;
use crate::overtaken::Clash;
use crate::refusal;
use crate::taint::{Flows, Followed, Stored, Unstorable};
use crate::{Credentials, Shutdown};

/// By what a statement's names were resolved.
pub(crate) type Resolved<'r> = (&'r Arc<SessionState>, &'r Arc<Catalog>);

/// Whose statements are judged, and against what.
pub(crate) struct Judge {
    pub(crate) gate: Arc<Gate>,
    pub(crate) database: Arc<Database>,
    pub(crate) session: SessionId,
    pub(crate) person: PersonName,
    /// The same, as records name them.
    named: Who,
    /// Whom the gate is upstream for this session.
    pub(crate) role: Arc<Credentials>,
    pub(crate) address: IpAddr,
    pub(crate) client: String,
    /// For how long the server lets the open transaction go on, where it limits that.
    pub(crate) transaction_left: Option<Duration>,
    /// When the connection was let in.
    opened: Timestamp,
    known: Known,
    /// Keys that its statements may be writing.
    writing: Writing,
    /// What the client's program looks like; `None`: there is none, as where people ask ahead of time.
    manner: Option<Manner>,
    /// Where the session comes from and whose habits it is held against, once a policy has asked.
    origin: OnceLock<(Origin, ProfileOf)>,
    /// How far the gate is on its way out; `None`: nobody is asked here who would have to wait.
    shutdown: Option<watch::Receiver<Shutdown>>,
}

impl Judge {
    pub(crate) fn new(
        gate: Arc<Gate>,
        database: Arc<Database>,
        session: SessionId,
        person: PersonName,
        role: Arc<Credentials>,
        address: IpAddr,
        client: String,
    ) -> Self {
        // Its first record is on disk: what stands for the person is known, and nothing need be looked up again.
        let named = gate.log.subjects().who(SubjectKind::Person, person.as_str());
        let transaction_left = None;
        let (known, writing, manner, origin) = (Known::default(), Writing::default(), None, OnceLock::new());
        let opened = gate.clock.now();
        Self {
            gate,
            database,
            session,
            person,
            named,
            role,
            address,
            client,
            transaction_left,
            opened,
            known,
            writing,
            manner,
            origin,
            shutdown: None,
        }
    }

    /// The same for a client whose program looks like that.
    pub(crate) fn of_manner(self, manner: Manner) -> Self {
        Self { manner: Some(manner), ..self }
    }

    /// The same in a gate that stops once this says so.
    pub(crate) fn until(self, shutdown: watch::Receiver<Shutdown>) -> Self {
        Self { shutdown: Some(shutdown), ..self }
    }

    /// Whether what would be asked now could not be waited for: the gate's stop withdraws it.
    fn is_stopping(&self) -> bool {
        self.shutdown.as_ref().is_some_and(|shutdown| *shutdown.borrow() > Shutdown::Serving)
    }

    /// The same decision as the last time, where that is known and there is room in the log's queue.
    pub(crate) fn decide_as_before(&mut self, pending: &Pending, names: &SessionState) -> Option<Verdict> {
        let now = self.when();
        let passes = self.known.of(pending, now, names)?;
        let statement = StatementId { session: self.session, number: pending.number };
        let (ticket, release) = match self.gate.log.try_ticket_again(statement, &passes.record).transpose()? {
            Ok(ticket) => ticket,
            Err(error) => return Some(Verdict::Refuse(refusal::log_failed(&error))),
        };
        self.gate.metrics.decided("forward", Some(passes.action), &passes.rules);
        Some(Verdict::Pass(Pass::Ticket(ticket), Some(release), Vec::new()))
    }

    fn when(&self) -> When {
        When { moment: self.database.moment(), people: self.gate.people.version() }
    }

    /// Decides on a message for the first time.
    pub(crate) async fn decide(&mut self, pending: &mut Arc<Pending>, by: Resolved<'_>) -> Verdict {
        let decided = self.try_decide(pending, by, None).await;
        self.obeyed(pending, decided).await
    }

    /// Decides again when a hold was approved: what is stricter now than what was asked asks again.
    pub(crate) async fn decide_again(
        &mut self,
        pending: &mut Arc<Pending>,
        by: Resolved<'_>,
        approved: &Hold,
    ) -> Verdict {
        let decided = self.try_decide(pending, by, Some(approved)).await;
        self.obeyed(pending, decided).await
    }

    /// What becomes of it.
    async fn obeyed(&mut self, pending: &Pending, decided: Result<Verdict, LogError>) -> Verdict {
        let verdict = match decided {
            Ok(verdict) => verdict,
            Err(error) => self.unrecorded(pending, &error).await,
        };
        if !verdict.passes() {
            self.has_ended(pending.number, true);
        }
        verdict
    }

    async fn try_decide(
        &mut self,
        pending: &mut Arc<Pending>,
        by: Resolved<'_>,
        approved: Option<&Hold>,
    ) -> Result<Verdict, LogError> {
        let when = self.when();
        let Some(view) = self.database.view() else {
            return self.try_fail(pending, Refusal::CatalogUnknown, refusal::catalog_unknown()).await;
        };
        let begun = Instant::now();
        let Some(mut who) = self.circumstances_of(&view, &pending.facts, pending, Some(by.0)) else {
            return self.try_fail(pending, Refusal::NoLongerKnown, refusal::no_longer_known()).await;
        };
        let own = signal::of(pending, (by.0, by.1)).map(|signal| match signal {
            Signal::To(pid) => self.owns(pid),
            Signal::Itself => true,
            Signal::Unclear => false,
        });
        if own == Some(true) {
            let known = signal::known(&pending.facts).into();
            Arc::make_mut(pending).facts = known;
        }
        if pending.runs_as != by.0.runs_as {
            Arc::make_mut(pending).runs_as.clone_from(&by.0.runs_as);
        }
        let unreadable = |facts: &Facts| facts.effect.encoding == Some(ClientEncoding::Other);
        let unreadable = pending.facts.iter().any(unreadable);
        let others = own == Some(false);
        let asked = self.estimate(pending, by, &view, &who).await;
        if asked {
            // The planner took its time, and knows better how many rows there are.
            self.look_again(&view, pending, &mut who);
        }
        let decision = unheld::decide(&view, &who, &pending.facts, pending);
        let outdated = self.database.is_outdated() && decision.enforced && !pending.aborted;
        if outdated && pending.facts.iter().any(unheld::names_anything) {
            return self.try_fail(pending, Refusal::CatalogUnknown, refusal::catalog_unknown()).await;
        }
        if view.rules.limits_subjects() && !pending.aborted {
            let keys = telling::writes(&pending.facts, view.rules.map(), &who.database);
            self.database.keys.may_write(pending.number, keys, &mut self.writing);
        }
        self.gate.metrics.thought(begun.elapsed());
        let again = self.known.comes_again(&pending.facts);
        let facts = Merged::of(&pending.facts);
        let (judge, session) = (&*self, Some(&**by.0));
        let case =
            Case { judge, pending, session, view: &view, who: &who, decision: &decision, facts: &facts };
        if others && decision.enforced {
            return case.refuse(Refusal::NotOwnSession, refusal::not_own_session()).await;
        }
        if unreadable {
            // Whatever the rules: nothing after it could be judged.
            return case.refuse(Refusal::ClientEncoding, refusal::encoding()).await;
        }
        if decision.enforced && pose::poses(pending) {
            return case.refuse(Refusal::SettingOfTheGate, refusal::poses()).await;
        }
        // Only then: what it is recorded by is no small thing to make.
        let plain = own.is_none() && !asked && !decision.is_limited();
        if plain && let Some(event) = case.passes_on_ticket() {
            let settled = view.rules.is_settled(&who, &view.bound, &pending.facts);
            if !again || !settled || pose::sets_by_call(pending) {
                return case.ticket(event).await;
            }
            let besides = Self::besides(&view, by.0);
            let passed = case.ticket(event.clone()).await?;
            self.known.passes(pending, (when, besides), &decision, &event);
            return Ok(passed);
        }
        case.settle(approved).await
    }

    /// Judges what runs by other facts than it was let through for. What it stores of labelled columns now is known
    /// to every session before this returns.
    async fn judge_running(
        &self,
        view: &View,
        pending: &Pending,
        now: Arc<[Facts]>,
    ) -> Result<Standing, LogError> {
        let now = signal::still(pending, with_estimate_of(&pending.facts, now), &view.catalog);
        let who = self.circumstances_of(view, &now, pending, None);
        let Some(who) = who else { return Ok(Standing::Overtaken) };
        let before = unheld::decide(view, &who, &pending.facts, pending);
        let after = unheld::decide(view, &who, &now, pending);
        let stands = is_as_harmless(&before, &after);
        let pending = Pending { facts: now, ..pending.clone() };
        let facts = Merged::of(&pending.facts);
        let (judge, pending, session) = (self, &pending, None);
        let case = Case { judge, pending, session, view, who: &who, decision: &after, facts: &facts };
        let Stored { own, shared } = case.stored();
        let verdict = if stands { "forward" } else { "overtaken" };
        if !stands {
            case.count(verdict);
        }
        let known = self.remember(case.event(verdict, None, None), shared, !stands).await?;
        Ok(if stands && known { Standing::Stands(own) } else { Standing::Overtaken })
    }

    /// Writes what is stored, with its record; `always` the record. Whether there was room.
    async fn remember(
        &self,
        event: Event,
        shared: Vec<(RelationName, Flow)>,
        always: bool,
    ) -> Result<bool, LogError> {
        let database = &self.database;
        let shared = database.taints.with_followers(&database.taints.now(), shared).flows;
        let changes = database.taints.all_changes(&self.gate.vault, &database.config.name, &shared);
        let fits = changes.is_ok();
        if !fits {
            tracing::error!(database = %database.config.name, "a copy of labelled data cannot be kept track of");
        }
        // It is stored already: what cannot be told column by column may be anything.
        let (shared, changes) = match changes {
            Ok(changes) => (shared, changes),
            Err(_) => self.unknown_in(shared.into_iter().map(|(relation, _)| relation).collect())?,
        };
        // And what cannot be written, for want of disk, is known at least until the gate ends.
        let known = database.taints.add(shared).is_ok();
        let stores = !changes.is_empty();
        if stores {
            binding::write(&self.gate.log, vec![event], changes).await?;
        } else if always {
            self.gate.log.append(vec![event], changes).await?;
        }
        if stores && let Err(error) = database.bind_now().await {
            tracing::error!(database = %database.config.name, %error, "labels cannot be bound");
        }
        Ok(fits && known)
    }

    /// Whether any of these columns is classified, or that cannot be told: then whether rules are enforced.
    pub(crate) fn classified(&self, columns: &BTreeSet<ColumnName>) -> Option<bool> {
        let (Some(view), Some(who)) = (self.database.view(), self.circumstances()) else {
            return Some(true);
        };
        let columns = columns.iter().map(|column| (column.clone(), [Use::Output].into()));
        let shown = Facts { kind: Kind::Select, columns: columns.collect(), ..Facts::empty() };
        let decision = view.rules.decide_by(&who, &view.bound, std::slice::from_ref(&shown), &NoValues);
        (!decision.touched.is_empty()).then_some(decision.enforced)
    }
}

/// One message and all that bears on it.
struct Case<'a> {
    judge: &'a Judge,
    pending: &'a Pending,
    /// How the session reads it; `None` where it runs already.
    session: Option<&'a SessionState>,
    view: &'a View,
    who: &'a Circumstances,
    decision: &'a Decision,
    facts: &'a Merged,
}

impl Case<'_> {
    async fn settle(&self, approved: Option<&Hold>) -> Result<Verdict, LogError> {
        if self.pending.aborted {
            // PostgreSQL refuses it unseen (25P02); asking people would be for nothing. Should the transaction be another's by
            // now, nothing has run about which they would have been asked: what must fail is sent in its place.
            let unasked = !self.decision.enforced
                || (self.decision.action <= Action::Monitor && !self.decision.is_limited());
            // What fails in place of a Bind does so before the server minds the transaction, and says something else.
            if unasked || self.pending.protocol != Protocol::Simple {
                return self.permit("forward", None, None).await;
            }
            return self.fail(Refusal::FailedTransaction, refusal::failed_transaction()).await;
        }
        if !self.decision.enforced && self.decision.action >= Action::StepUp {
            let verdict = self.permit("monitor", None, None).await?;
            return self.limited(verdict, None).await;
        }
        match self.decision.action {
            Action::Allow | Action::Monitor if self.is_ordinary() => {
                let verdict = self.ticket(self.event("forward", None, None)).await?;
                self.limited(verdict, None).await
            }
            Action::Allow | Action::Monitor => {
                let verdict = self.permit("forward", None, None).await?;
                self.limited(verdict, None).await
            }
            Action::StepUp | Action::Approve => match self.permit_by_glass(approved).await? {
                Some(verdict) => Ok(verdict),
                None => self.step_up(approved).await,
            },
            Action::Deny => match self.permit_by_glass(approved).await? {
                Some(verdict) => Ok(verdict),
                None => self.deny_unless_ahead().await,
            },
        }
    }

    /// Unflagged, and proven to change nothing that lasts: its record may be written while it runs.
    fn is_ordinary(&self) -> bool {
        let harmless = |facts: &Facts| {
            facts.read_only || matches!(facts.kind, Kind::Transaction | Kind::Session | Kind::Empty)
        };
        !self.decision.risky && self.is_known() && self.pending.facts.iter().all(harmless)
    }

    /// Whether all of it is understood. The map may doubt what the facts do not: an entry of it that names
    /// a missing column.
    fn is_known(&self) -> bool {
        self.facts.certainty != Certainty::Unknown && self.decision.doubts.is_empty()
    }

    /// The record of it, if it passes on a ticket.
    fn passes_on_ticket(&self) -> Option<Event> {
        let passes = !self.pending.aborted && self.decision.action <= Action::Monitor && self.is_ordinary();
        passes.then(|| self.event("forward", None, None))
    }

    async fn ticket(&self, event: Event) -> Result<Verdict, LogError> {
        self.count("forward");
        let (ticket, release) = self.judge.gate.log.ticket(self.statement(), event).await?;
        Ok(Verdict::Pass(Pass::Ticket(ticket), Some(release), Vec::new()))
    }

    async fn permit(
        &self,
        verdict: &str,
        request: Option<RequestId>,
        grant: Option<GrantId>,
    ) -> Result<Verdict, LogError> {
        self.permit_after(None, verdict, request, grant).await
    }

    /// The same, with what must be on disk besides.
    async fn permit_after(
        &self,
        before: Option<Event>,
        verdict: &str,
        request: Option<RequestId>,
        grant: Option<GrantId>,
    ) -> Result<Verdict, LogError> {
        let event = self.event(verdict, request, grant);
        let (stored, changes) = match self.to_store() {
            Ok(stored) => stored,
            Err(why) => {
                // What was set aside for it is given back on record: so it is taken on record.
                if let Some(before) = before {
                    self.judge.gate.log.append(vec![before], Vec::new()).await?;
                }
                return self.cannot_store(why).await;
            }
        };
        let stores = !changes.is_empty();
        let begun = Instant::now();
        let events = before.into_iter().chain([event]).collect();
        let permit = self.judge.gate.log.permit_in_time(self.statement(), events, changes).await;
        if matches!(permit, Err(LogError::Late)) {
            self.came_to_nothing().await?;
        }
        let permit = permit?;
        self.judge.gate.metrics.logged(begun.elapsed());
        self.count(verdict);
        self.permitted(permit, stored, stores).await
    }

    /// Its record says that it may run, so another says that it did not.
    async fn came_to_nothing(&self) -> Result<(), LogError> {
        let StatementId { session, number } = self.statement();
        let event = Event::StatementCompleted {
            session,
            statement: number,
            sqlstate: Some(SqlState::SYSTEM_ERROR.to_string()),
            rows: 0,
            bytes: 0,
            duration_us: 0,
            suspended: false,
        };
        self.judge.gate.log.note_with_room(event).await
    }

    /// Permits it by a pass, which is used up in the same write. `None`: it was used up meanwhile.
    async fn permit_by_pass(&self, pass: GrantId, request: RequestId) -> Result<Option<Verdict>, LogError> {
        let event = self.event("forward", Some(request), None);
        let (stored, changes) = match self.to_store() {
            Ok(stored) => stored,
            Err(why) => return self.cannot_store(why).await.map(Some),
        };
        let stores = !changes.is_empty();
        let desk = &self.judge.gate.desk;
        Ok(match desk.spend_pass(pass, self.statement(), event, changes).await {
            Ok(Some(permit)) => {
                self.count("forward");
                Some(self.permitted(permit, stored, stores).await?)
            }
            Ok(None) => None,
            Err(error) => Some(self.desk_failed(&error).await?),
        })
    }

    /// What running it stores, and what of that is to be written with its record.
    fn to_store(&self) -> Result<(Stored, Vec<Change>), Unstorable> {
        let (mut stored, database) = (self.stored(), &self.judge.database);
        if !stored.shared.is_empty() {
            let Followed { flows, lies_open } =
                database.taints.with_followers(&database.taints.now(), stored.shared);
            if lies_open {
                return Err(Unstorable::LiesOpen);
            }
            stored.shared = flows;
        }
        let vault = &self.judge.gate.vault;
        let changes = database.taints.changes(vault, &database.config.name, &stored.shared)?;
        Ok((stored, changes))
    }

    /// It must not run, since what it stores could not be kept track of.
    async fn cannot_store(&self, why: Unstorable) -> Result<Verdict, LogError> {
        let (why, problem) = match why {
            Unstorable::TooMuch => (Refusal::TooManyLabels, refusal::too_much_to_remember()),
            Unstorable::LiesOpen => (Refusal::CatalogUnknown, refusal::clash(Clash::IsUsed)),
            Unstorable::Unbound => (Refusal::CatalogUnknown, refusal::catalog_unknown()),
        };
        self.fail(why, problem).await
    }

    /// Its record is on disk, and what it stores with it (`stores`: anything).
    async fn permitted(&self, permit: Permit, stored: Stored, stores: bool) -> Result<Verdict, LogError> {
        let Stored { own, shared } = stored;
        if let Err(why) = self.labels(shared, stores).await? {
            self.came_to_nothing().await?;
            return self.cannot_store(why).await;
        }
        Ok(Verdict::Pass(Pass::Permit(permit), None, own))
    }

    /// Makes known what it stores: to every session before it is there, and to none before it is written.
    async fn labels(&self, shared: Flows, stores: bool) -> Result<Result<(), Unstorable>, LogError> {
        let database = &self.judge.database;
        let before = database.taints.now();
        if database.taints.add(shared.clone()).is_err() {
            return Ok(Err(Unstorable::TooMuch));
        }
        if !stores {
            return Ok(Ok(()));
        }
        // And bound to the columns themselves: they may have other names when a gate that was killed is back.
        if let Err(error) = database.bind_now().await {
            tracing::error!(database = %database.config.name, %error, "labels cannot be bound");
            return Ok(Err(Unstorable::Unbound));
        }
        // What others were let through for meanwhile takes it further.
        let known = shared.len();
        let Followed { flows, lies_open } = database.taints.with_followers(&before, shared);
        if lies_open {
            return Ok(Err(Unstorable::LiesOpen));
        }
        let known = flows.len() == known
            || self.judge.remember(self.event("forward", None, None), flows, false).await?;
        Ok(if known { Ok(()) } else { Err(Unstorable::TooMuch) })
    }

    /// What running it stores of classified columns.
    fn stored(&self) -> Stored {
        let mut stored = Stored::default();
        if self.pending.aborted {
            // PostgreSQL refuses it unseen.
            return stored;
        }
        // What nobody was asked about is trusted to store nothing that it does not say.
        let asked = self.decision.enforced && self.decision.action >= Action::StepUp;
        let classified: BTreeSet<_> = self.decision.touched.iter().map(|touched| &touched.column).collect();
        let runs = self.pending.facts.iter().filter(|facts| facts.kind != Kind::Prepare);
        let flows = runs.flat_map(|facts| facts.flows.iter().map(move |flow| (facts, flow)));
        for (facts, (relation, flow)) in flows {
            let said = asked || facts.certainty != Certainty::Unknown;
            let flow = Flow { unknown: flow.unknown && said, ..flow.clone() };
            if let Some(flow) = flow.only(|column| classified.contains(column)) {
                stored.add(relation, flow);
            }
        }
        stored
    }

    async fn deny(&self) -> Result<Verdict, LogError> {
        self.refuse_as("deny", None, refusal::denied(self.decision)).await
    }

    /// Whatever the rules say of it.
    async fn refuse(&self, why: Refusal, problem: Problem) -> Result<Verdict, LogError> {
        self.refuse_as("deny", Some(why), problem).await
    }

    /// `why`: where it is the gate itself that refuses.
    async fn refuse_as(
        &self,
        verdict: &str,
        why: Option<Refusal>,
        problem: Problem,
    ) -> Result<Verdict, LogError> {
        let mut event = self.event(verdict, None, None);
        if let Event::StatementDecided(decided) = &mut event {
            decided.refusal = why;
        }
        self.judge.gate.log.append_in_time(vec![event], Vec::new()).await?;
        self.count(verdict);
        if let Some(why) = why {
            self.judge.gate.metrics.refused(why);
        }
        Ok(Verdict::Refuse(problem))
    }

    fn count(&self, verdict: &str) {
        let metrics = &self.judge.gate.metrics;
        metrics.decided(verdict, Some(self.decision.action), &self.decision.rules);
        metrics.not_understood(self.facts.doubts.iter().copied());
    }

    fn statement(&self) -> StatementId {
        StatementId { session: self.judge.session, number: self.pending.number }
    }
}

/// Whether a statement may still be shown: it would pass unasked, or is no more than what it was asked about.
fn is_as_harmless(before: &Decision, after: &Decision) -> bool {
    // A copy reads its own target with the labels of what it stores there: only what it puts out tells more.
    let asked = |now: &Touched| {
        let mut same = before.touched.iter().filter(|touched| touched.column == now.column);
        let puts_out = now.uses.contains(&Use::Output);
        same.any(|before| !puts_out || before.uses.contains(&Use::Output))
    };
    // What is under way has the meter that it was sent with, and gets no other.
    let same = after.limit == before.limit && after.meters == before.meters;
    let as_limited = !after.is_limited() || same;
    !after.enforced
        || (after.action <= Action::Monitor && as_limited)
        || (after.action <= before.action
            && as_limited
            && after.doubts.is_subset(&before.doubts)
            && after.touched.iter().all(asked))
}
