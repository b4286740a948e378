//! Requests, and what people said of them.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use stepgate_record::{Filter, Record};
use stepgate_types::{GrantId, RequestId, SessionId, Timestamp};

use super::runs::Run;
use super::{AT_ONCE, texts};
use crate::audit::report::Section;
use crate::audit::report::make::{
    MOST_COUNTED, MOST_ROWS, Making, labels, number, text, texts as members, too_much,
};
use crate::failure::Failure;

pub(super) const ASKED: &str = "stepup.requested";

/// The most that is listed of what was said or done about one request, each.
const MOST_SAID: usize = 100;

const COLUMNS: [&str; 19] = [
    "request",
    "asked",
    "by",
    "opened_by",
    "database",
    "what",
    "tables",
    "labels",
    "rules",
    "approval",
    "shown_to",
    "answered",
    "factors",
    "reason",
    "outcome",
    "seconds",
    "uses",
    "rows",
    "statement",
];

/// One request.
#[derive(Default)]
struct Request {
    asked: Option<Timestamp>,
    person: String,
    opened_by: String,
    database: String,
    /// What it is asked for: a `statement`, more than a `limit`, or what comes `ahead` of time.
    what: &'static str,
    approval: String,
    tables: Vec<String>,
    labels: Vec<String>,
    rules: Vec<String>,
    statement: String,
    shown: Said,
    answers: Said,
    factors: Said,
    reason: String,
    outcome: String,
    ended: Option<Timestamp>,
    uses: u64,
    rows: u64,
}

/// A list that does not grow with who keeps trying.
#[derive(Default)]
struct Said {
    list: Vec<String>,
    more: u64,
}

impl Said {
    fn push(&mut self, said: String) {
        if self.list.len() < MOST_SAID {
            self.list.push(said);
        } else {
            self.more += 1;
        }
    }

    fn value(mut self) -> Value {
        if self.more > 0 {
            self.list.push(format!("… and {} more", self.more));
        }
        json!(self.list)
    }
}

/// A statement: its session, and its number there.
type Id = (SessionId, u64);

/// All requests of the period.
#[derive(Default)]
pub(super) struct Requests {
    /// From how many records.
    pub(super) records: u64,
    requests: BTreeMap<RequestId, Request>,
    runs: HashMap<Id, Run>,
    /// Which request a grant or pass comes from.
    grants: HashMap<GrantId, RequestId>,
    escalations: Vec<Vec<Value>>,
    comments: Vec<Vec<Value>>,
    cut: u64,
    /// What is kept of these runs, all together.
    kept: usize,
}

pub(super) fn of(making: &Making<'_>) -> Result<Requests, Failure> {
    let mut seen = Requests::default();
    let asked = Filter { kind: texts(&[ASKED]), ..making.period() };
    making.each(&asked, &mut |record, fields| seen.requested(record, fields))?;
    let requests: Vec<RequestId> = seen.requests.keys().copied().collect();
    // What became of them may come after the period.
    for requests in requests.chunks(AT_ONCE) {
        let about = Filter { request: requests.to_vec(), ..Filter::default() };
        making.each(&about, &mut |record, fields| seen.about(record, fields))?;
        seen.bounded()?;
    }
    let grants: Vec<GrantId> = seen.grants.keys().copied().collect();
    for grants in grants.chunks(AT_ONCE) {
        let kind = texts(&["statement.decided", "limit.extended"]);
        let by = Filter { grant: grants.to_vec(), kind, ..Filter::default() };
        making.each(&by, &mut |record, fields| seen.used(record, fields))?;
        seen.bounded()?;
    }
    let mut sessions: Vec<SessionId> = seen.runs.keys().map(|(session, _)| *session).collect();
    sessions.sort_unstable();
    sessions.dedup();
    for sessions in sessions.chunks(AT_ONCE) {
        let kind = ["statement.decided", "statement.completed", "statement.outcome_unknown", "limit.*"];
        let of = Filter { session: sessions.to_vec(), kind: texts(&kind), ..Filter::default() };
        making.each(&of, &mut |record, fields| seen.ran(record, fields))?;
        seen.bounded()?;
    }
    seen.settle();
    Ok(seen)
}

/// Which statement a record is of.
fn id(fields: &Map<String, Value>) -> Option<Id> {
    Some((text(fields, "session").parse().ok()?, number(fields, "statement")))
}

fn request_of(fields: &Map<String, Value>) -> Option<RequestId> {
    text(fields, "request").parse().ok()
}

impl Requests {
    fn bounded(&self) -> Result<(), Failure> {
        if self.runs.len() > MOST_COUNTED || self.kept > MOST_COUNTED { Err(too_much()) } else { Ok(()) }
    }

    fn requested(&mut self, record: &Record, fields: &Map<String, Value>) {
        if self.requests.len() >= MOST_ROWS {
            self.cut += 1;
            return;
        }
        let Some(request) = request_of(fields) else { return };
        // What is asked ahead of time is of no statement yet.
        let of_statement = id(fields).filter(|(_, number)| *number > 0);
        if let Some(id) = of_statement {
            self.runs.entry(id).or_default().asked.push((record.seq, request));
        }
        let of = |name| text(fields, name).to_owned();
        let asked = Request {
            asked: Some(record.at),
            person: of("person"),
            opened_by: of("opened_by"),
            database: of("database"),
            what: if of_statement.is_some() { "statement" } else { "ahead" },
            approval: of("approval"),
            ..Request::default()
        };
        self.requests.insert(request, asked);
    }

    fn about(&mut self, record: &Record, fields: &Map<String, Value>) {
        self.records += 1;
        let Some(id) = request_of(fields) else { return };
        let Some(request) = self.requests.get_mut(&id) else { return };
        let at = record.at.to_string();
        match text(fields, "type") {
            "stepup.challenge_shown" => request.shown.push(format!("{} ({at})", text(fields, "to"))),
            "stepup.voted" => {
                let approve = fields.get("approve").and_then(Value::as_bool).unwrap_or_default();
                let word = if approve { "approved" } else { "denied" };
                request.answers.push(format!("{} {word} ({at})", text(fields, "person")));
            }
            "stepup.factor_verified" => {
                request.factors.push(format!("{}: {}", text(fields, "person"), text(fields, "factor")));
            }
            "stepup.factor_failed" => {
                let (person, factor) = (text(fields, "person"), text(fields, "factor"));
                request.factors.push(format!("{person}: {factor} refused, {}", text(fields, "reason")));
            }
            "stepup.escalated" if self.escalations.len() < MOST_ROWS => {
                let groups: Vec<&str> = members(fields, "groups").collect();
                self.escalations.push(vec![json!(at), json!(id.to_string()), json!(groups)]);
            }
            "stepup.commented" if self.comments.len() < MOST_ROWS => {
                let (person, said) = (text(fields, "person"), text(fields, "text"));
                self.comments.push(vec![json!(at), json!(id.to_string()), json!(person), json!(said)]);
            }
            "stepup.ended" => {
                text(fields, "outcome").clone_into(&mut request.outcome);
                text(fields, "reason").clone_into(&mut request.reason);
                request.ended = Some(record.at);
                let by = text(fields, "by");
                if request.answers.list.is_empty() && !by.is_empty() {
                    request.answers.push(format!("{by} {} ({at})", request.outcome));
                }
            }
            kind @ ("grant.issued" | "pass.issued") => {
                request.is_about(fields);
                let name = if kind == "grant.issued" { "grant" } else { "pass" };
                if let Ok(grant) = text(fields, name).parse() {
                    self.grants.insert(grant, id);
                }
            }
            "statement.decided" | "limit.extended" => self.runs_by(id, record, fields),
            _ => {}
        }
    }

    /// A statement that ran, or went on, by a grant or pass.
    fn used(&mut self, record: &Record, fields: &Map<String, Value>) {
        let grant = text(fields, "grant").parse::<GrantId>().ok();
        let Some(request) = grant.and_then(|grant| self.grants.get(&grant).copied()) else { return };
        // What names both was counted by its request.
        if request_of(fields) != Some(request) {
            self.records += 1;
        }
        self.runs_by(request, record, fields);
    }

    fn runs_by(&mut self, by: RequestId, record: &Record, fields: &Map<String, Value>) {
        let goes_on = text(fields, "type") == "limit.extended";
        let Some(request) = self.requests.get_mut(&by) else { return };
        if !goes_on {
            request.is_about(fields);
            if text(fields, "verdict") != "forward" {
                return;
            }
        }
        let Some(id) = id(fields) else { return };
        if self.runs.len() <= MOST_COUNTED
            && self.kept <= MOST_COUNTED
            && self.runs.entry(id).or_default().by(record.seq, by, goes_on)
        {
            request.uses += 1;
            self.kept += 1;
        }
    }

    /// What the sessions' records say of a statement that was asked about, or ran by an approval.
    fn ran(&mut self, record: &Record, fields: &Map<String, Value>) {
        let Some(id) = id(fields).filter(|id| self.runs.contains_key(id)) else { return };
        if self.kept > MOST_COUNTED {
            return;
        }
        let Some(run) = self.runs.get_mut(&id) else { return };
        match text(fields, "type") {
            "statement.decided" => {
                for (_, request) in &run.asked {
                    if let Some(request) = self.requests.get_mut(request) {
                        request.is_about(fields);
                    }
                }
            }
            "limit.reached" => {
                let rules = members(fields, "rules").map(str::to_owned).collect();
                run.reaches(record.seq, number(fields, "rows"), rules);
                self.kept += 1;
            }
            "limit.extended" => {
                run.goes_on(record.seq);
                self.kept += 1;
            }
            "statement.completed" | "statement.outcome_unknown" => run.delivers(number(fields, "rows")),
            _ => {}
        }
    }

    /// Once everything is known of all statements.
    fn settle(&mut self) {
        for run in self.runs.values() {
            for (request, rows) in run.shares() {
                if let Some(request) = self.requests.get_mut(&request) {
                    request.rows = request.rows.saturating_add(rows);
                }
            }
            for (seq, request) in &run.asked {
                if let (Some(rules), Some(request)) = (run.limit_at(*seq), self.requests.get_mut(request)) {
                    request.what = "limit";
                    request.rules = rules.to_vec();
                }
            }
        }
    }

    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        if self.cut > 0 {
            notes.push(format!("{} more requests are not listed: narrow the period down.", self.cut));
        }
        notes
    }

    /// How many came to which end, each of them, and what was said of them.
    pub(super) fn sections(&mut self) -> Vec<Section> {
        let mut outcomes: BTreeMap<String, u64> = BTreeMap::new();
        let mut section = Section::new("approvals", "Requests", &COLUMNS);
        let mut in_order: Vec<_> = std::mem::take(&mut self.requests).into_iter().collect();
        in_order.sort_by_key(|(_, request)| request.asked);
        for (id, request) in in_order {
            let outcome = if request.outcome.is_empty() { "open" } else { request.outcome.as_str() };
            *outcomes.entry(outcome.to_owned()).or_default() += 1;
            section.rows.push(request.row(id));
        }
        let mut summary = Section::new("summary", "Summary", &["outcome", "requests"]);
        summary.rows = outcomes.iter().map(|(outcome, count)| vec![json!(outcome), json!(count)]).collect();
        let columns = ["at", "request", "groups"];
        let mut escalations = Section::new("escalations", "Others who were asked as well", &columns);
        escalations.rows = std::mem::take(&mut self.escalations);
        let columns = ["at", "request", "person", "comment"];
        let mut comments = Section::new("comments", "What was said of requests", &columns);
        comments.rows = std::mem::take(&mut self.comments);
        vec![summary, section, escalations, comments]
    }
}

impl Request {
    /// Takes what is known of what it is about from a record of its statement, or of what was issued for it.
    fn is_about(&mut self, fields: &Map<String, Value>) {
        let list = |name: &str| members(fields, name).map(str::to_owned).collect::<Vec<_>>();
        let touched = labels(fields);
        let touched = if touched.is_empty() { list("labels") } else { touched };
        for (known, said) in [
            (&mut self.tables, list("relations")),
            (&mut self.labels, touched),
            (&mut self.rules, list("rules")),
        ] {
            if known.is_empty() {
                *known = said;
            }
        }
        if self.statement.is_empty() {
            text(fields, "normalised").clone_into(&mut self.statement);
        }
    }

    /// By [`COLUMNS`].
    fn row(self, id: RequestId) -> Vec<Value> {
        let seconds = self.asked.zip(self.ended).map(|(asked, ended)| ended.since(asked).as_secs());
        let outcome = if self.outcome.is_empty() { "open" } else { self.outcome.as_str() };
        vec![
            json!(id.to_string()),
            json!(self.asked.map(|at| at.to_string())),
            json!(self.person),
            json!(self.opened_by),
            json!(self.database),
            json!(self.what),
            json!(self.tables),
            json!(self.labels),
            json!(self.rules),
            json!(self.approval),
            self.shown.value(),
            self.answers.value(),
            self.factors.value(),
            json!(self.reason),
            json!(outcome),
            json!(seconds),
            json!(self.uses),
            json!(self.rows),
            json!(self.statement),
        ]
    }
}
