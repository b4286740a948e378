//! Facts to decision, decision to record, record to token: the one way from a statement to a pass.

mod estimate;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use stepgate_approval::{Ask, Held, Scope, Terms, Wanted};
use stepgate_policy::{Approval, Circumstances, Decision, ScopePart, Touched};
use stepgate_record::{Event, LabelledColumn, Statement};
use stepgate_session::{Pass, Pending, TransactionSoFar};
use stepgate_sql::{Catalog, Facts, Flow, Message, NoValues, SessionState, SinkKind};
use stepgate_store::{LogError, PendingRelease, Waiting};
use stepgate_types::{
    Action, BulkShape, Certainty, ColumnName, Estimator, GrantId, Kind, PersonName, RelationName, RequestId,
    SessionId, SqlState, StatementId, Use,
};
use stepgate_wire::Problem;

use self::estimate::with_estimate_of;
use crate::database::{Database, View};
use crate::gate::Gate;
use crate::refusal;
use crate::taint::Stored;

/// How long a statement is held at most in a transaction that has run something: what it has locked stays
/// locked, and the server's `idle_in_transaction_session_timeout` may be as short.
const MAX_HOLD_IN_TRANSACTION: Duration = Duration::from_secs(60);

/// By what a statement's names were resolved.
pub(crate) type Resolved<'r> = (&'r SessionState, &'r Arc<Catalog>);

/// Whose statements are judged, and against what.
pub(crate) struct Judge {
    pub(crate) gate: Arc<Gate>,
    pub(crate) database: Arc<Database>,
    pub(crate) session: SessionId,
    pub(crate) person: PersonName,
    pub(crate) address: IpAddr,
    pub(crate) client: String,
}

/// What becomes of a statement.
pub(crate) enum Verdict {
    /// It runs. The reply of one that went on a ticket waits for its release. What it stores in relations of the
    /// session's own is for the session to remember.
    Pass(Pass, Option<PendingRelease>, Vec<(RelationName, Flow)>),
    /// It waits for people.
    Hold(Box<Hold>),
    /// It does not run.
    Refuse(Problem),
}

/// What becomes of a statement that runs.
pub(crate) enum Standing {
    /// Its reply may be shown. What it stores in relations of the session's own is for the session to remember.
    Stands(Vec<(RelationName, Flow)>),
    /// Nothing more of it may be shown.
    Overtaken,
}

/// A statement that waits.
pub(crate) struct Hold {
    pub(crate) waiting: Waiting,
    pub(crate) statement: StatementId,
    pub(crate) notice: Problem,
    /// Until when, where the open transaction must not wait for as long as the request is open.
    pub(crate) limit: Option<Duration>,
    /// What was asked; at release, what would run must be no more than that.
    wanted: Wanted,
}

impl Judge {
    /// Decides on a message for the first time.
    pub(crate) async fn decide(&self, pending: &mut Pending, by: Resolved<'_>) -> Verdict {
        match self.try_decide(pending, by, None).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Refuse(refusal::log_failed(&error)),
        }
    }

    /// Decides again when a hold was approved: what is stricter now than what was asked asks again.
    pub(crate) async fn decide_again(
        &self,
        pending: &mut Pending,
        by: Resolved<'_>,
        approved: &Hold,
    ) -> Verdict {
        match self.try_decide(pending, by, Some(approved)).await {
            Ok(verdict) => verdict,
            Err(error) => Verdict::Refuse(refusal::log_failed(&error)),
        }
    }

    async fn try_decide(
        &self,
        pending: &mut Pending,
        by: Resolved<'_>,
        approved: Option<&Hold>,
    ) -> Result<Verdict, LogError> {
        let Some(view) = self.database.view() else {
            return Ok(Verdict::Refuse(refusal::catalog_unknown()));
        };
        let Some(who) = self.circumstances() else {
            return Ok(Verdict::Refuse(
                Problem::error(SqlState::INVALID_AUTHORIZATION, "this person is no longer known")
                    .with_hint("Ask the gate's operator: stepgate user ls"),
            ));
        };
        self.estimate(pending, by, &view, &who).await;
        let decision = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
        let facts = Merged::of(&pending.facts);
        let case = Case { judge: self, pending, view: &view, who: &who, decision: &decision, facts: &facts };
        case.settle(approved).await
    }

    /// Judges what runs by other facts than it was let through for. What it stores of labelled columns now is known
    /// to every session before this returns.
    pub(crate) async fn judge_running(
        &self,
        view: &View,
        pending: &Pending,
        now: Arc<[Facts]>,
    ) -> Result<Standing, LogError> {
        let Some(who) = self.circumstances() else { return Ok(Standing::Overtaken) };
        let now = with_estimate_of(&pending.facts, now);
        let before = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
        let after = view.rules.decide_by(&who, &view.bound, &now, &pending.compared());
        let stands = is_as_harmless(&before, &after);
        let pending = Pending { facts: now, ..pending.clone() };
        let facts = Merged::of(&pending.facts);
        let case = Case { judge: self, pending: &pending, view, who: &who, decision: &after, facts: &facts };
        let Stored { own, shared } = case.stored();
        let verdict = if stands { "forward" } else { "overtaken" };
        let known = self.remember(case.event(verdict, None, None), shared, !stands).await?;
        Ok(if stands && known { Standing::Stands(own) } else { Standing::Overtaken })
    }

    /// That a statement which has run may have stored anything, since nobody can tell.
    pub(crate) async fn stored_anything(&self, view: &View, pending: &Pending) -> Result<(), LogError> {
        let Some(who) = self.circumstances() else { return Ok(()) };
        let decision = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
        let facts = Merged::of(&pending.facts);
        let case = Case { judge: self, pending, view, who: &who, decision: &decision, facts: &facts };
        let mut stored = Stored::default();
        for relation in pending.facts.iter().flat_map(|facts| facts.flows.keys()) {
            stored.add(relation, Flow { unknown: true, ..Flow::default() });
        }
        self.remember(case.event("overtaken", None, None), stored.shared, true).await.map(drop)
    }

    /// Writes what is stored, with its record; `always` the record. Whether there was room.
    async fn remember(
        &self,
        event: Event,
        shared: Vec<(RelationName, Flow)>,
        always: bool,
    ) -> Result<bool, LogError> {
        let database = &self.database;
        let changes = database.taints.changes(&self.gate.vault, &database.config.name, &shared);
        let fits = changes.is_ok();
        if !fits {
            tracing::error!(database = %database.config.name, "a copy of labelled data cannot be kept track of");
        }
        let changes = changes.unwrap_or_default();
        // It is stored already: what cannot be written, for want of disk, is known at least until the gate ends.
        let known = database.taints.add(shared).is_ok();
        let stores = !changes.is_empty();
        if always || stores {
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

    fn circumstances(&self) -> Option<Circumstances> {
        // Asked anew each time: groups may change while a session is open.
        let person = self.gate.people.get(&self.person)?;
        Some(Circumstances {
            person: self.person.clone(),
            groups: person.groups.iter().cloned().collect(),
            service: person.service,
            database: self.database.config.name.clone(),
            db_user: self.database.config.credentials.user.clone(),
            address: self.address,
            client: self.client.clone(),
        })
    }
}

/// One message and all that bears on it.
struct Case<'a> {
    judge: &'a Judge,
    pending: &'a Pending,
    view: &'a View,
    who: &'a Circumstances,
    decision: &'a Decision,
    facts: &'a Merged,
}

impl Case<'_> {
    async fn settle(&self, approved: Option<&Hold>) -> Result<Verdict, LogError> {
        if self.pending.aborted {
            // PostgreSQL refuses it unseen (25P02); asking people would be for nothing.
            return self.permit("forward", None, None).await;
        }
        if !self.decision.enforced && self.decision.action >= Action::StepUp {
            return self.permit("monitor", None, None).await;
        }
        match self.decision.action {
            Action::Allow | Action::Monitor if self.is_ordinary() => self.ticket().await,
            Action::Allow | Action::Monitor => self.permit("forward", None, None).await,
            Action::StepUp | Action::Approve => self.step_up(approved).await,
            Action::Deny => self.deny().await,
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

    async fn ticket(&self) -> Result<Verdict, LogError> {
        let event = self.event("forward", None, None);
        let (ticket, release) = self.judge.gate.log.ticket(self.statement(), event).await?;
        Ok(Verdict::Pass(Pass::Ticket(ticket), Some(release), Vec::new()))
    }

    async fn permit(
        &self,
        verdict: &str,
        request: Option<RequestId>,
        grant: Option<GrantId>,
    ) -> Result<Verdict, LogError> {
        let event = self.event(verdict, request, grant);
        let Stored { own, shared } = self.stored();
        let database = &self.judge.database;
        let Ok(changes) = database.taints.changes(&self.judge.gate.vault, &database.config.name, &shared)
        else {
            return Ok(Verdict::Refuse(refusal::too_much_to_remember()));
        };
        let stores = !changes.is_empty();
        let permit = self.judge.gate.log.permit(self.statement(), event, changes).await?;
        // Known to every session before it is there, and to none before it is written.
        if database.taints.add(shared).is_err() {
            return Ok(Verdict::Refuse(refusal::too_much_to_remember()));
        }
        // And bound to the columns themselves: they may have other names when a gate that was killed is back.
        if stores && let Err(error) = database.bind_now().await {
            tracing::error!(database = %database.config.name, %error, "labels cannot be bound");
            return Ok(Verdict::Refuse(refusal::catalog_unknown()));
        }
        Ok(Verdict::Pass(Pass::Permit(permit), None, own))
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
        self.judge.gate.log.append(vec![self.event("deny", None, None)], Vec::new()).await?;
        Ok(Verdict::Refuse(refusal::denied(self.decision)))
    }

    async fn step_up(&self, approved: Option<&Hold>) -> Result<Verdict, LogError> {
        let Some(approval) = &self.decision.approval else {
            // Rules that ask without saying whom do not load; should one appear, nothing passes by it.
            return self.deny().await;
        };
        let wanted = self.wanted(approval);
        if let Some(hold) = approved
            && is_no_more(&wanted, &hold.wanted)
        {
            return self.permit("forward", Some(hold.waiting.request), None).await;
        }
        if let Some(grant) = self.judge.gate.desk.covering_grant(&wanted) {
            return self.permit("forward", None, Some(grant)).await;
        }
        self.judge.gate.log.append(vec![self.event("hold", None, None)], Vec::new()).await?;
        self.hold(approval, wanted).await
    }

    async fn hold(&self, approval: &Approval, wanted: Wanted) -> Result<Verdict, LogError> {
        let gate = &self.judge.gate;
        let mut id = [0; 5];
        if gate.entropy.fill(&mut id).is_err() {
            return Ok(Verdict::Refuse(Problem::error(SqlState::SYSTEM_ERROR, "no randomness")));
        }
        let ask = self.ask(RequestId::from_bytes(id), approval, &wanted);
        let waiting = match gate.desk.ask(ask, self.held()).await {
            Ok(waiting) => waiting,
            Err(error) => return Ok(Verdict::Refuse(refusal::desk_failed(&error))),
        };
        let left = waiting.expires.since(gate.clock.now());
        let notice =
            refusal::held(waiting.request, approval, self.decision, left, gate.console_url.as_deref());
        let in_transaction = self.pending.transaction > TransactionSoFar::Nothing;
        let limit = in_transaction.then_some(MAX_HOLD_IN_TRANSACTION).filter(|limit| *limit < left);
        Ok(Verdict::Hold(Box::new(Hold { waiting, statement: self.statement(), notice, limit, wanted })))
    }

    fn statement(&self) -> StatementId {
        StatementId { session: self.judge.session, number: self.pending.number }
    }

    fn wanted(&self, approval: &Approval) -> Wanted {
        let rank = |output_only: bool| {
            let counts = |uses: &BTreeSet<Use>| {
                if output_only {
                    uses.contains(&Use::Output)
                } else {
                    uses.iter().any(|use_| *use_ != Use::Write)
                }
            };
            let touched = self.decision.touched.iter().filter(|touched| counts(&touched.uses));
            touched.map(|touched| touched.class.rank).max().unwrap_or(0)
        };
        Wanted {
            person: self.who.person.clone(),
            database: self.who.database.clone(),
            client: self.who.client.clone(),
            address: self.who.address,
            session: self.judge.session,
            kinds: self.facts.kinds.clone(),
            uses: self.decision.touched.iter().flat_map(|touched| touched.uses.iter().copied()).collect(),
            relations: self.facts.relations.clone(),
            labels: self.decision.touched.iter().filter_map(|touched| touched.label.clone()).collect(),
            class_rank: rank(false).max(self.decision.class.as_ref().map_or(0, |class| class.rank)),
            output_rank: rank(true),
            exactly_known: self.is_known(),
            has_sink: self.facts.has_sink,
            action: self.decision.action,
            approval: approval.name.clone(),
            policy_sha256: self.view.rules.sha256().to_owned(),
        }
    }

    fn ask(&self, id: RequestId, approval: &Approval, wanted: &Wanted) -> Ask {
        let opened = self.judge.gate.clock.now();
        let patience = approval.expires.min(self.view.rules.hold());
        let scope = approval.remember.as_ref().map(|remember| &remember.scope);
        let bound = |part: ScopePart| scope.is_some_and(|scope| scope.contains(&part));
        Ask {
            id,
            statement: self.statement(),
            person: wanted.person.clone(),
            db_user: self.who.db_user.clone(),
            address: wanted.address,
            client: wanted.client.clone(),
            database: wanted.database.clone(),
            kinds: wanted.kinds.clone(),
            uses: wanted.uses.clone(),
            relations: wanted.relations.clone(),
            labels: wanted.labels.clone(),
            class_rank: wanted.class_rank,
            output_rank: wanted.output_rank,
            exactly_known: wanted.exactly_known,
            has_sink: wanted.has_sink,
            action: wanted.action,
            rules: self.decision.rules.clone(),
            summary: self.decision.summary(),
            policy_sha256: wanted.policy_sha256.clone(),
            terms: Terms {
                approval: approval.name.clone(),
                itself: approval.itself,
                groups: approval.groups.clone(),
                count: approval.count,
                strength: approval.strength,
                reason_required: approval.reason_required,
                remember: approval.remember.as_ref().map(|remember| remember.for_),
                scope: Scope {
                    client: bound(ScopePart::Client),
                    network: bound(ScopePart::Network),
                    session: bound(ScopePart::Session),
                    labels: bound(ScopePart::Labels),
                },
            },
            opened,
            expires: opened.plus(patience),
        }
    }

    fn held(&self) -> Held {
        Held {
            sql: self.pending.sql.to_vec(),
            parameters: self
                .pending
                .values
                .iter()
                .map(|value| value.as_ref().map(|value| value.to_vec()))
                .collect(),
            formats: self.pending.formats.clone(),
            types: self.pending.types.clone(),
        }
    }

    fn event(&self, verdict: &str, request: Option<RequestId>, grant: Option<GrantId>) -> Event {
        let columns = self.decision.touched.iter().map(|touched| LabelledColumn {
            column: touched.column.to_string(),
            label: touched.label.as_ref().map(ToString::to_string).unwrap_or_default(),
            class: touched.class.name.clone(),
            uses: touched.uses.iter().copied().collect(),
        });
        Event::StatementDecided(Box::new(Statement {
            session: self.judge.session,
            statement: self.pending.number,
            person: self.who.person.clone(),
            groups: self.who.groups.iter().cloned().collect(),
            database: self.who.database.clone(),
            protocol: self.pending.protocol.as_str().to_owned(),
            kinds: self.pending.facts.iter().map(|facts| facts.kind).collect(),
            certainty: if self.is_known() { self.facts.certainty } else { Certainty::Unknown },
            reasons: self.facts.reasons.union(&self.decision.doubts).map(|code| (*code).to_owned()).collect(),
            relations: self.facts.relations.iter().map(ToString::to_string).collect(),
            columns: columns.collect(),
            sinks: self.facts.sinks.clone(),
            bulk: self.facts.bulk,
            estimate: self.decision.estimate,
            estimated_by: Some(self.decision.estimated_by).filter(|by| *by != Estimator::Catalog),
            fingerprint: self.facts.fingerprint.clone(),
            normalised: self.facts.normalised.clone(),
            parameters: u64::try_from(self.pending.values.len()).unwrap_or(u64::MAX),
            rules: self.decision.rules.clone(),
            action: self.decision.action,
            verdict: verdict.to_owned(),
            request,
            grant,
            policy_sha256: self.view.rules.sha256().to_owned(),
        }))
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
    !after.enforced
        || after.action <= Action::Monitor
        || (after.action <= before.action
            && after.doubts.is_subset(&before.doubts)
            && after.touched.iter().all(asked))
}

/// Whether what would run is no more than what was approved, in every respect that was asked about.
fn is_no_more(now: &Wanted, asked: &Wanted) -> bool {
    now.action <= asked.action
        && now.approval == asked.approval
        && now.kinds.is_subset(&asked.kinds)
        && now.uses.is_subset(&asked.uses)
        && now.relations.is_subset(&asked.relations)
        && now.labels.is_subset(&asked.labels)
        && now.class_rank <= asked.class_rank
        && now.output_rank <= asked.output_rank
        && now.exactly_known >= asked.exactly_known
        && now.has_sink <= asked.has_sink
        && now.policy_sha256 == asked.policy_sha256
}

/// The facts of a whole message, as records and grants need them.
struct Merged {
    kinds: BTreeSet<Kind>,
    certainty: Certainty,
    reasons: BTreeSet<&'static str>,
    relations: BTreeSet<RelationName>,
    has_sink: bool,
    sinks: Vec<String>,
    bulk: BulkShape,
    fingerprint: String,
    normalised: String,
}

impl Merged {
    fn of(facts: &[Facts]) -> Self {
        let message = Message::of(facts);
        let normalised: Vec<_> = facts.iter().map(|facts| facts.normalised.as_str()).collect();
        let fingerprint = match facts {
            [only] => only.fingerprint.clone(),
            several => {
                let all: Vec<_> = several.iter().map(|facts| facts.fingerprint.as_str()).collect();
                sha256_hex(all.join("\n").as_bytes())
            }
        };
        Self {
            kinds: message.kinds,
            certainty: message.certainty,
            reasons: message.reasons.iter().map(|reason| reason.code).collect(),
            relations: message.relations,
            has_sink: !message.sinks.is_empty(),
            sinks: message.sinks.iter().map(|sink| sink_word(sink.kind).to_owned()).collect(),
            bulk: message.bulk,
            fingerprint,
            normalised: normalised.join("; "),
        }
    }
}

const fn sink_word(kind: SinkKind) -> &'static str {
    match kind {
        SinkKind::Table => "table",
        SinkKind::Rows => "rows",
        SinkKind::View => "view",
        SinkKind::ServerFile => "server-file",
        SinkKind::LargeObject => "large-object",
    }
}

fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;

    use sha2::{Digest as _, Sha256};
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}
