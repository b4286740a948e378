//! What services ask for ahead of time (DESIGN §3): what a statement would read is worked out before it is ever sent, and
//! what others have approved lets it pass when it is, if by then it is no more than that.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use stepgate_approval::{Ahead, Ask, Dialect, Held, Mode, Wanted};
use stepgate_policy::Approval;
use stepgate_session::{Pending, Protocol, TransactionSoFar};
use stepgate_sql::{SessionState, analyze};
use stepgate_store::LogError;
use stepgate_types::{Action, Limit, PersonName, RequestId, SessionId, Timestamp};

use super::{Case, Judge, Merged, Verdict};
use crate::{Credentials, Gate, UpstreamConfig, UpstreamError, connect, simple_query};

/// Statements of one request: what somebody can read and mean.
const MAX_STATEMENTS: usize = 64;

/// Bytes of them in all.
const MAX_BYTES: usize = 32 << 10;

/// How far ahead.
const MAX_AHEAD: Duration = Duration::from_secs(31 * 24 * 3600);

/// A request for what a service will send.
#[derive(Debug, Clone)]
pub struct AskAhead {
    /// Who opens it.
    pub by: PersonName,
    /// The service.
    pub service: PersonName,
    /// Name of the database in the gate's configuration; `None`: the only one there is.
    pub database: Option<String>,
    /// The statements, each as it will be sent.
    pub statements: Vec<String>,
    /// Where names without a schema are looked for.
    pub search_path: Vec<String>,
    /// The time zone that the service's client sets; `None`: it has the server's.
    pub time_zone: Option<String>,
    /// Until when they are to pass.
    pub until: Timestamp,
    /// How much they may deliver and store in all; where the policy limits that, at least as much as it does.
    pub limit: Limit,
}

/// Why a request cannot be opened ahead of time. Names of the catalog and the policy only.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotAsk {
    /// It makes no sense.
    #[error("{0}")]
    Unfit(String),
    /// One of the statements, counted from 1.
    #[error("statement {0}: {1}")]
    Statement(usize, String),
    /// The gate cannot.
    #[error("{0}")]
    Gate(&'static str),
}

impl Case<'_> {
    /// Lets a service's statement pass that has been approved ahead of time, and denies every other.
    pub(super) async fn deny_unless_ahead(&self) -> Result<Verdict, LogError> {
        if let Some(approval) = &self.decision.ahead {
            let wanted = Wanted { action: Action::StepUp, ahead_only: true, ..self.wanted(approval) };
            if let Some(verdict) = self.permit_by_grant(&wanted).await? {
                return Ok(verdict);
            }
        }
        self.deny().await
    }

    /// By what it is known again: its text, the relations and functions that its names stand for, the definitions that it
    /// hangs on, and the settings that it is read by. Another search path, view or time zone is another statement. `None`:
    /// it hangs on what its session alone has.
    pub(super) fn ahead_key(&self) -> Option<[u8; 32]> {
        let dialect = self.dialect();
        let is_known = dialect.utf8 || self.pending.sql.is_ascii();
        let path = dialect.path.filter(|_| is_known && !self.is_of_session())?;
        let relations = self.facts.relations.iter().map(ToString::to_string);
        let functions = self.facts.functions.iter().map(|function| format!("{function}()"));
        let settings = dialect.times.into_iter().chain(dialect.definitions);
        let meaning: Vec<_> = relations.chain(functions).chain([path.join("\n")]).chain(settings).collect();
        let (person, database) = (&self.who.person, &self.who.database);
        Some(self.judge.gate.desk.statement_key(person, database, &meaning, &self.pending.sql))
    }

    /// What approving this statement ahead of time would be, and by which approval.
    fn ahead(&self) -> Result<(Ask, Approval), String> {
        let Some(approval) = &self.decision.ahead else {
            return Err(match self.decision.action {
                Action::Allow | Action::Monitor => "it passes without being asked for".to_owned(),
                Action::StepUp | Action::Approve | Action::Deny => {
                    "the policy denies it, and names nobody who could approve it (defaults.services)"
                        .to_owned()
                }
            });
        };
        if !self.is_known() {
            let reasons: BTreeSet<_> = self.facts.reasons.union(&self.decision.doubts).copied().collect();
            let reasons: Vec<_> = reasons.into_iter().collect();
            return Err(format!("what it reads cannot be told for certain: {}", reasons.join(", ")));
        }
        let action = if self.decision.action == Action::Deny { Action::StepUp } else { self.decision.action };
        let wanted = Wanted { action, ..self.wanted(approval) };
        let mut ask = self.ask(RequestId::from_bytes([0; 5]), approval, &wanted, Mode::Ahead);
        // Nothing waits for it.
        ask.expires = ask.opened.plus(approval.expires);
        let sinks = approval.remember.as_ref().is_some_and(|remember| remember.sink) && wanted.stores_rows;
        if wanted.has_sink && !sinks {
            return Err(format!(
                "it stores what it reads, which approval {} does not remember (remember: {{sink: true}})",
                approval.name
            ));
        }
        Ok((ask, approval.clone()))
    }
}

impl Gate {
    /// What a request for these statements asks of people, and what they are to be shown.
    ///
    /// # Errors
    /// See [`CannotAsk`].
    pub async fn ask_ahead(self: Arc<Self>, wish: &AskAhead) -> Result<(Ask, Held), CannotAsk> {
        let unfit = |why: &str| Err(CannotAsk::Unfit(why.to_owned()));
        let now = self.clock.now();
        if wish.until <= now || wish.until.since(now) > MAX_AHEAD {
            return unfit("it must end in the future, within 31 days");
        }
        let bytes: usize = wish.statements.iter().map(String::len).sum();
        if wish.statements.is_empty() || wish.statements.len() > MAX_STATEMENTS || bytes > MAX_BYTES {
            return unfit("there must be 1 to 64 statements, of 32 KiB in all");
        }
        let Some(service) = self.people.get(&wish.service).filter(|person| person.service) else {
            return unfit("there is no such service");
        };
        let known = self.databases();
        let database = match (&wish.database, known.as_slice()) {
            (Some(name), _) => self.databases.find(name),
            (None, [only]) => Some(Arc::clone(only)),
            (None, _) => return unfit("there are several databases: name one"),
        };
        let Some(database) = database else { return unfit("there is no such database") };
        let Some(role) = database.config.role_of(&service.groups).cloned() else {
            return unfit("this service cannot use that database");
        };
        let busy = CannotAsk::Gate("another request of yours is being worked out");
        let _turn = self.preparing.turn(&wish.by).await.ok_or(busy)?;
        database.refresh().await.map_err(|_| CannotAsk::Gate("the catalog cannot be read"))?;
        let Some(view) = database.view() else { return Err(CannotAsk::Gate("the catalog is not known")) };
        let nowhere = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let session = SessionId::from_bytes([0; 16]);
        // Where one setting ends for the server, and the next begins.
        if wish.search_path.iter().chain(&wish.time_zone).any(|text| text.contains('\0')) {
            return unfit("no setting holds a zero byte");
        }
        let begins = begins(&database.config, &role, wish).await;
        let mut state = begins
            .map_err(|_| CannotAsk::Gate("the server does not let the service begin a session like that"))?;
        state.taints = database.taints.now();
        let (gate, person) = (Arc::clone(&self), wish.service.clone());
        let judge = Judge::new(gate, Arc::clone(&database), session, person, role, nowhere, String::new());
        let mut all: Option<(Ask, Approval)> = None;
        let mut statements = BTreeSet::new();
        for (number, sql) in (1..).zip(&wish.statements) {
            let pending = pending(sql, analyze(sql.as_bytes(), &view.catalog, &state));
            if pending.facts.len() != 1 {
                return Err(CannotAsk::Statement(number, "it is not one statement".to_owned()));
            }
            let who = judge.circumstances_of(&view, &pending.facts, &pending, Some(&state));
            let Some(who) = who else { return unfit("there is no such service") };
            let decision = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
            let facts = Merged::of(&pending.facts);
            let (judge, pending, session) = (&judge, &pending, Some(&state));
            let case =
                Case { judge, pending, session, view: &view, who: &who, decision: &decision, facts: &facts };
            let (ask, approval) = case.ahead().map_err(|why| CannotAsk::Statement(number, why))?;
            let Some(key) = case.ahead_key() else {
                return Err(CannotAsk::Statement(
                    number,
                    "it hangs on what its session has set or done".to_owned(),
                ));
            };
            statements.insert(key);
            all = Some(match all.take() {
                None => (ask, approval),
                Some((asked, same)) if same == approval => (both(asked, ask), same),
                Some((_, other)) => {
                    let why =
                        format!("approval {} is asked for it, and {} for others", approval.name, other.name);
                    return Err(CannotAsk::Statement(number, why));
                }
            });
        }
        let Some((mut ask, _)) = all else { return unfit("there is no statement") };
        ask.limit = wish.limit.or(ask.limit);
        ask.id = RequestId::from_bytes(self.random_id().ok_or(CannotAsk::Gate("no randomness"))?);
        ask.expires = ask.expires.min(wish.until);
        ask.summary = format!(
            "{} {} of service {} until {}, with any values for their parameters. {}",
            statements.len(),
            if statements.len() == 1 { "statement" } else { "statements" },
            wish.service,
            wish.until,
            ask.summary
        );
        ask.ahead = Some(Ahead { by: wish.by.clone(), until: wish.until, statements });
        let sql = wish.statements.iter().map(|sql| sql.trim().trim_end_matches(';')).collect::<Vec<_>>();
        let held = Held {
            sql: sql.join(";\n\n").into_bytes(),
            behind: Vec::new(),
            parameters: Vec::new(),
            formats: Vec::new(),
            types: Vec::new(),
            dialect: Dialect { path: state.search_path, times: state.times, ..Dialect::default() },
        };
        Ok((ask, held))
    }

    fn random_id(&self) -> Option<[u8; 5]> {
        let mut id = [0; 5];
        self.entropy.fill(&mut id).ok()?;
        Some(id)
    }
}

/// How the sessions of that role begin, if their clients set nothing but what the wish says.
async fn begins(
    config: &UpstreamConfig,
    role: &Credentials,
    wish: &AskAhead,
) -> Result<SessionState, UpstreamError> {
    let quoted = wish.search_path.iter().map(|schema| format!("\"{}\"", schema.replace('"', "\"\"")));
    let path = quoted.collect::<Vec<_>>().join(", ");
    let settings = [("application_name", "stepgate"), ("client_encoding", "UTF8"), ("search_path", &path)];
    let zone = wish.time_zone.as_ref().map(|zone| ("TimeZone", zone.as_str()));
    let settings = settings.into_iter().chain(zone);
    let settings: Vec<_> = settings.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let mut server = connect(config, role, &settings).await?;
    let times = ["DateStyle", "IntervalStyle", "TimeZone"]
        .map(|name| server.param(name).unwrap_or_default().to_owned());
    let schemas =
        simple_query(&mut server, "select pg_catalog.unnest(pg_catalog.current_schemas(true))").await?;
    let state = SessionState::with_search_path(schemas.into_iter().flatten().flatten());
    Ok(SessionState { times, ..state })
}

fn pending(sql: &str, facts: Vec<stepgate_sql::Facts>) -> Pending {
    Pending {
        number: 0,
        protocol: Protocol::Extended,
        facts: facts.into(),
        sql: bytes::Bytes::copy_from_slice(sql.as_bytes()),
        read: None,
        behind: Vec::new(),
        unseen: false,
        values: Vec::new(),
        formats: Vec::new(),
        types: Vec::new(),
        transaction: TransactionSoFar::Nothing,
        in_transaction: false,
        restated: false,
        aborted: false,
        runs_as: stepgate_sql::RunsAs::default(),
    }
}

/// One request for both.
fn both(mut all: Ask, next: Ask) -> Ask {
    all.kinds.extend(next.kinds);
    all.uses.extend(next.uses);
    all.relations.extend(next.relations);
    all.objects.extend(next.objects);
    all.labels.extend(next.labels);
    all.class_rank = all.class_rank.max(next.class_rank);
    all.output_rank = all.output_rank.max(next.output_rank);
    all.has_sink |= next.has_sink;
    all.terms.sink &= next.terms.sink;
    all.action = all.action.max(next.action);
    all.limit = all.limit.least(next.limit);
    all.rules.extend(next.rules.into_iter().filter(|rule| !all.rules.contains(rule)).collect::<Vec<_>>());
    all.because.why.extend(next.because.why);
    all.because.estimate = all.because.estimate.zip(next.because.estimate).map(|(a, b)| a.saturating_add(b));
    if !all.summary.contains(&next.summary) {
        all.summary = format!("{} {}", all.summary, next.summary);
    }
    all
}
