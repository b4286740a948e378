//! Asking people: what is asked, whether the statement waits meanwhile, and what lets it through afterwards.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use stepgate_approval::{Ask, Because, Dialect, Escalate, Held, Mode, Scope, Terms, Wanted};
use stepgate_policy::{Approval, InTransaction, ScopePart};
use stepgate_record::{Refusal, Why};
use stepgate_session::{Protocol, TransactionSoFar};
use stepgate_sql::{ClientEncoding, Facts, RunsAs, SessionState};
use stepgate_store::{LogError, Waiting};
use stepgate_types::{Certainty, GrantId, Kind, RequestId, SqlState, StatementId, Use};
use stepgate_wire::Problem;
use zeroize::Zeroizing;

use super::merged::sha256_hex;
use super::{Case, Judge, Verdict};
use crate::refusal;

/// How long a statement is held at most in a transaction that has run something: what it has locked stays
/// locked, and the server's `idle_in_transaction_session_timeout` may be as short.
pub(super) const MAX_HOLD_IN_TRANSACTION: Duration = Duration::from_secs(60);

/// How long before the server ends a transaction (`transaction_timeout`) what waits in it is told so: afterwards there
/// is nobody to tell it anything. The server's clock began a moment before the gate's.
const BEFORE_TIMEOUT: Duration = Duration::from_millis(1_500);

/// Letters of what the name of a relation stands for.
const DIGEST: usize = 16;

/// The longest statement, in bytes, whose request may outlive its wait: it stays in memory for as long.
const MAX_DEFERRED: usize = 1 << 20;

/// The most temporary relations whose names are looked for in a statement.
const MAX_TEMPORARIES: usize = 64;

/// From this length on, in bytes, the server cuts names (`NAMEDATALEN`).
const LONG_NAME: usize = 63;

/// A statement that waits.
pub(crate) struct Hold {
    pub(crate) waiting: Waiting,
    pub(crate) statement: StatementId,
    pub(crate) notice: Problem,
    /// For how long, where it must not wait for as long as the request is open.
    pub(crate) limit: Option<Duration>,
    /// What the client is told when it cannot wait any longer and the request stays open; `None`: it does not.
    pub(crate) deferred: Option<Problem>,
    /// The request stays open if the client leaves.
    pub(crate) outlives_client: bool,
    /// What was asked; at release, what would run must be no more than that, and mean the same.
    pub(super) wanted: Wanted,
    pub(super) dialect: Dialect,
    /// What it went on with by its names.
    pub(super) behind: Vec<Bytes>,
    /// The grant that its approval was remembered as.
    pub(crate) granted: Option<GrantId>,
    /// It is running, and the next of its rows waits: the number of its meter.
    pub(crate) midway: Option<u64>,
}

/// Whether a statement may wait.
enum Wait {
    /// Until its request ends, or for as long.
    For(Option<Duration>),
    /// Not at all.
    Never,
}

impl Case<'_> {
    pub(super) async fn step_up(&self, approved: Option<&Hold>) -> Result<Verdict, LogError> {
        let Some(approval) = &self.decision.approval else {
            // Rules that ask without saying whom do not load; should one appear, nothing passes by it.
            return self.deny().await;
        };
        let wanted = self.wanted(approval);
        // An approval releases one statement. Those that joined run by the grant it made, or the pass.
        let own = approved.filter(|hold| !hold.waiting.joined);
        if let Some(hold) = own
            && wanted.is_no_more_than(&hold.wanted)
            && self.means_the_same(hold)
        {
            let request = Some(hold.waiting.request);
            match hold.granted {
                None => {
                    let verdict = self.permit("forward", request, None).await?;
                    return self.limited(verdict, None).await;
                }
                // One approval lets out one budget, whoever draws on it first; and whoever revokes it stops what runs by it.
                Some(grant) => {
                    if let Some(verdict) = self.permit_on(grant, request, None).await? {
                        return Ok(verdict);
                    }
                }
            }
        }
        if let Some(verdict) = self.permit_by_grant(&wanted).await? {
            return Ok(verdict);
        }
        let desk = &self.judge.gate.desk;
        let held = self.held();
        let can_defer = self.can_defer(&held, wanted.exactly_known);
        if can_defer
            && let Some((pass, request)) = desk.pass_for(&wanted, &wanted.db_user, &held)
            && let Some(verdict) = self.permit_by_pass(pass, request).await?
        {
            return self.limited(verdict, None).await;
        }
        if self.judge.is_stopping() {
            // The stop would withdraw it, and nobody would hear of their answer.
            return self.fail(Refusal::Stopping, refusal::stopping()).await;
        }
        match self.wait() {
            Wait::Never if can_defer => self.defer(approval, &wanted, held).await,
            Wait::Never => self.hold(approval, wanted, held, Some(MAX_HOLD_IN_TRANSACTION), can_defer).await,
            Wait::For(limit) => self.hold(approval, wanted, held, limit, can_defer).await,
        }
    }

    /// Whether the statement may wait, by what its transaction keeps from others (DESIGN §3).
    fn wait(&self) -> Wait {
        match self.view.rules.in_transaction() {
            InTransaction::Hold => Wait::For(None),
            InTransaction::Defer if self.pending.in_transaction => Wait::Never,
            InTransaction::Defer => Wait::For(None),
            InTransaction::Auto => match self.pending.transaction {
                TransactionSoFar::Nothing => Wait::For(None),
                TransactionSoFar::Read => Wait::For(Some(MAX_HOLD_IN_TRANSACTION)),
                TransactionSoFar::Snapshot | TransactionSoFar::Wrote => Wait::Never,
            },
        }
    }

    /// Whether the same bytes, sent again in another session, would be the same statement: nothing that goes on with
    /// what this session made or set, and nothing that is not known.
    fn can_defer(&self, held: &Held, exactly_known: bool) -> bool {
        let stands_alone = |facts: &Facts| {
            facts.kind != Kind::Execute
                && facts.goes_on_with.is_none()
                && facts.effect.refers.is_none()
                && (facts.kind != Kind::Cursor || !facts.effect.names.is_empty())
                && !facts.normalised.to_ascii_lowercase().contains("current of")
        };
        // The same bytes are other letters in another encoding.
        let ascii = || held.sql.is_ascii() && held.parameters.iter().flatten().all(|value| value.is_ascii());
        !held.sql.is_empty()
            && !self.is_of_session()
            && held.bytes() <= MAX_DEFERRED
            && (held.dialect.utf8 || ascii())
            && (exactly_known || held.dialect.path.is_some())
            && self.knows_role()
            && self.pending.facts.iter().all(stands_alone)
    }

    /// Whether it goes on with what its session alone has made, set or begun, or with what is not known of that.
    pub(super) fn is_of_session(&self) -> bool {
        let has_own = |session: &SessionState| {
            session.unsettled
                || session.has_settings
                || session.altered
                || !session.created.is_empty()
                || self.may_mean_temporary(session)
        };
        self.session.is_none_or(has_own)
            || self.pending.restated
            || self.pending.unseen
            // Of functions of one name, its message names one.
            || self.pending.protocol == Protocol::Function
            || self.pending.facts.iter().any(Facts::is_of_session)
    }

    /// Whether anything that it names may be temporary: a relation, its row type, or any other type. Of what it does not
    /// name itself that is not known.
    fn may_mean_temporary(&self, session: &SessionState) -> bool {
        if session.temporaries.is_empty() {
            return false;
        }
        let text = String::from_utf8_lossy(&self.pending.sql).to_ascii_lowercase();
        let may_be_in = |name: &String| {
            !name.is_ascii()
                || name.contains('"')
                || name.len() >= LONG_NAME
                || text.contains(&name.to_ascii_lowercase())
        };
        session.temporaries.len() > MAX_TEMPORARIES
            // Letters may be written as their numbers.
            || text.contains(['\\', '\u{fffd}'])
            || self.pending.facts.iter().any(Facts::hangs_on_definitions)
            || session.temporaries.iter().any(may_be_in)
    }

    async fn hold(
        &self,
        approval: &Approval,
        wanted: Wanted,
        held: Held,
        limit: Option<Duration>,
        can_defer: bool,
    ) -> Result<Verdict, LogError> {
        let gate = &self.judge.gate;
        gate.log.append(vec![self.event("hold", None, None)], Vec::new()).await?;
        self.count("hold");
        let Some(id) = self.fresh_id() else {
            return self.fail(Refusal::NoRandomness, no_randomness()).await;
        };
        let dialect = held.dialect.clone();
        let mode = if can_defer { Mode::HoldThenDefer } else { Mode::Hold };
        let waiting = match gate.desk.ask(self.ask(id, approval, &wanted, mode), held).await {
            Ok(waiting) => waiting,
            Err(error) => return self.desk_failed(&error).await,
        };
        let (request, now) = (waiting.request, gate.clock.now());
        let left = waiting.expires.since(now);
        let limit = limit.unwrap_or_else(|| self.view.rules.hold()).min(self.view.rules.hold());
        let limit = Some(self.judge.before_timeout(limit)).filter(|limit| *limit < left);
        let url = gate.console_url.as_deref();
        let digits = self.digits(approval, &waiting).await;
        let digits = digits.as_ref().map(|digits| digits.as_str());
        let notice = refusal::held(request, approval, self.decision, (left, limit), digits, url);
        let notice = refusal::joined(notice, &waiting, self.who.address);
        let deferred =
            can_defer.then(|| refusal::deferred(request, approval, self.decision, waiting.expires, url));
        let outlives_client = can_defer && !approval.itself && self.view.rules.outlives_client();
        let statement = self.statement();
        Ok(Verdict::Hold(Box::new(Hold {
            waiting,
            statement,
            notice,
            limit,
            deferred,
            outlives_client,
            wanted,
            dialect,
            behind: self.pending.behind.clone(),
            granted: None,
            midway: None,
        })))
    }

    /// Opens a request, and tells the client to come again when it is approved.
    async fn defer(&self, approval: &Approval, wanted: &Wanted, held: Held) -> Result<Verdict, LogError> {
        let gate = &self.judge.gate;
        gate.log.append(vec![self.event("defer", None, None)], Vec::new()).await?;
        self.count("defer");
        let Some(id) = self.fresh_id() else {
            return self.fail(Refusal::NoRandomness, no_randomness()).await;
        };
        let problem = match gate.desk.defer(self.ask(id, approval, wanted, Mode::Defer), held).await {
            Ok(deferred) => {
                let url = gate.console_url.as_deref();
                refusal::deferred(deferred.request, approval, self.decision, deferred.expires, url)
            }
            Err(error) => return self.desk_failed(&error).await,
        };
        Ok(Verdict::Refuse(problem))
    }

    /// What the person who waits types into their device, if they have one; who has joined sees them where the request
    /// was asked, for other ones would take their place.
    pub(super) async fn digits(&self, approval: &Approval, waiting: &Waiting) -> Option<Zeroizing<String>> {
        let asks_itself = approval.itself && !waiting.joined;
        let desk = &self.judge.gate.desk;
        if asks_itself {
            desk.digits(waiting.request, &self.who.person, self.who.address).await
        } else {
            None
        }
    }

    pub(super) fn fresh_id(&self) -> Option<RequestId> {
        let mut id = [0; 5];
        self.judge.gate.entropy.fill(&mut id).ok()?;
        Some(RequestId::from_bytes(id))
    }

    /// Whether the bytes mean what they meant when people were asked, those behind them among them. What was certain without a path is with one.
    fn means_the_same(&self, hold: &Hold) -> bool {
        let mut now = self.dialect();
        if hold.dialect.path.is_none() && hold.wanted.exactly_known {
            now.path = None;
        }
        now == hold.dialect && self.pending.behind == hold.behind
    }

    /// What the bytes mean hangs on. The session's temporary schema is called otherwise in another.
    pub(super) fn dialect(&self) -> Dialect {
        let Some(session) = self.session else { return Dialect::default() };
        let path = session.search_path.as_ref();
        let lasting = |schema: &&String| !schema.starts_with("pg_temp");
        Dialect {
            standard_strings: session.standard_conforming_strings,
            utf8: session.encoding == ClientEncoding::Utf8,
            path: path.map(|path| path.iter().filter(lasting).cloned().collect()),
            times: session.times.clone(),
            definitions: Some(self.definitions()),
        }
    }

    /// What its names stand for, what values are and, where it hangs on them, the definitions of views and functions; if it
    /// is not seen through, all that any name stands for. With what its session began with.
    fn definitions(&self) -> String {
        let (facts, fingerprint) = (&self.pending.facts, &self.view.fingerprint);
        let mut all: Vec<_> = self.objects().into_iter().collect();
        all.extend(self.facts.functions.iter().map(|function| format!("function {function:?}")));
        all.push(format!("values {}", fingerprint.values()));
        if facts.iter().any(Facts::hangs_on_definitions) {
            all.push(format!("definitions {}", fingerprint.definitions()));
        }
        if facts.iter().any(|facts| facts.certainty == Certainty::Unknown) {
            all.push(format!("everything {}", fingerprint.everything()));
        }
        let began_with = self.session.iter().flat_map(|session| &session.began_with);
        all.extend(began_with.map(|(name, value)| format!("setting {name}={value:?}")));
        sha256_hex(all.join("\n").as_bytes())
    }

    /// What the names of relations that it reaches stand for, each in a few letters.
    fn objects(&self) -> BTreeSet<String> {
        let identities = self.facts.relations.iter().filter_map(|name| self.view.catalog.object(name));
        identities.map(|identity| sha256_hex(identity.as_bytes()).chars().take(DIGEST).collect()).collect()
    }

    /// As which database role it runs: the session's, unless that has taken another (SET ROLE), also once it runs already. Whose
    /// rights a statement has and which rows it sees hang on it: what was approved as one is not approved as another.
    pub(super) fn runs_as(&self) -> String {
        let own = &self.who.db_user;
        match &self.pending.runs_as {
            RunsAs::AsBegun => own.clone(),
            RunsAs::Told { session, current } if session == own => current.clone(),
            RunsAs::Told { session, current } => format!("{current} of {session}"),
            RunsAs::Unsure => format!("{own} or another"),
        }
    }

    /// Whether it is known as which one.
    fn knows_role(&self) -> bool {
        self.pending.runs_as != RunsAs::Unsure
    }

    pub(super) fn held(&self) -> Held {
        let values = self.pending.values.iter();
        let dialect = self.dialect();
        Held {
            sql: self.pending.sql.to_vec(),
            behind: self.pending.behind.iter().map(|text| text.to_vec()).collect(),
            parameters: values.map(|value| value.as_ref().map(|value| value.to_vec())).collect(),
            formats: self.pending.formats.clone(),
            types: self.pending.types.clone(),
            dialect,
        }
    }

    pub(super) fn wanted(&self, approval: &Approval) -> Wanted {
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
            db_user: self.runs_as(),
            client: self.who.client.clone(),
            address: self.who.address,
            session: self.judge.session,
            kinds: self.facts.kinds.clone(),
            uses: self.decision.touched.iter().flat_map(|touched| touched.uses.iter().copied()).collect(),
            relations: self.facts.relations.clone(),
            objects: self.objects(),
            labels: self.decision.touched.iter().filter_map(|touched| touched.label.clone()).collect(),
            class_rank: rank(false).max(self.decision.class.as_ref().map_or(0, |class| class.rank)),
            output_rank: rank(true),
            exactly_known: self.is_known() && !self.is_about_many() && self.knows_role(),
            has_sink: self.facts.has_sink,
            stores_rows: self.facts.stores_rows,
            action: self.decision.action,
            risk: self.decision.risk.unwrap_or(0),
            approval: approval.name.clone(),
            policy_sha256: self.view.rules.sha256().to_owned(),
            limit: self.decision.limit,
            ahead_only: false,
            key: self.judge.gate.desk.has_ahead(&self.who.person).then(|| self.ahead_key()).flatten(),
        }
    }

    pub(super) fn ask(&self, id: RequestId, approval: &Approval, wanted: &Wanted, mode: Mode) -> Ask {
        let opened = self.judge.gate.clock.now();
        // What cannot be deferred ends with its wait.
        let hold = self.view.rules.hold();
        let patience = if mode.may_defer() { approval.expires } else { approval.expires.min(hold) };
        let scope = approval.remember.as_ref().map(|remember| &remember.scope);
        let bound = |part: ScopePart| scope.is_some_and(|scope| scope.contains(&part));
        Ask {
            id,
            statement: self.statement(),
            person: wanted.person.clone(),
            db_user: wanted.db_user.clone(),
            address: wanted.address,
            client: wanted.client.clone(),
            database: wanted.database.clone(),
            kinds: wanted.kinds.clone(),
            uses: wanted.uses.clone(),
            relations: wanted.relations.clone(),
            objects: wanted.objects.clone(),
            labels: wanted.labels.clone(),
            class_rank: wanted.class_rank,
            output_rank: wanted.output_rank,
            exactly_known: wanted.exactly_known,
            has_sink: wanted.has_sink,
            action: wanted.action,
            mode,
            limit: wanted.limit,
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
                sink: wanted.stores_rows && approval.remember.as_ref().is_some_and(|remember| remember.sink),
                escalate: approval
                    .escalate
                    .clone()
                    .map(|escalate| Escalate { after: escalate.after, to: escalate.to }),
            },
            opened,
            expires: opened.plus(patience),
            ahead: None,
            because: self.because(),
        }
    }

    /// What led to it, in the policy's words.
    fn because(&self) -> Because {
        let clause = |it: Why| {
            format!("{}: {} {} {}", it.rule, it.clause, it.bucket, it.threshold).trim_end().to_owned()
        };
        let firing = self.decision.signals.iter().filter(|seen| seen.weight > 0);
        Because {
            estimate: self.decision.estimate,
            why: self.why().into_iter().map(clause).collect(),
            risk: firing.map(|seen| (seen.signal.as_str().to_owned(), seen.weight)).collect(),
        }
    }
}

impl Judge {
    /// So long, or as long as the server lets the open transaction go on.
    pub(super) fn before_timeout(&self, patience: Duration) -> Duration {
        no_longer_than(self.transaction_left, patience)
    }
}

fn no_longer_than(left: Option<Duration>, patience: Duration) -> Duration {
    left.map_or(patience, |left| left.saturating_sub(BEFORE_TIMEOUT).min(patience))
}

pub(super) fn no_randomness() -> Problem {
    Problem::error(SqlState::SYSTEM_ERROR, "no randomness")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_told_before_the_server_ends_its_transaction() {
        let seconds =
            |left: Option<u64>| no_longer_than(left.map(Duration::from_secs), Duration::from_secs(60));
        assert_eq!(seconds(None), Duration::from_secs(60));
        assert_eq!(seconds(Some(600)), Duration::from_secs(60));
        assert_eq!(seconds(Some(30)), Duration::from_millis(28_500));
        assert_eq!(seconds(Some(1)), Duration::ZERO);
    }
}
