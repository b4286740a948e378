//! Who asked, who was shown what, who answered, and what was done with it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};
use stepgate_record::{Filter, Record};
use stepgate_types::{GrantId, RequestId, SessionId, Timestamp};

use super::make::{MOST_ROWS, Made, Making, labels, number, text, texts};
use super::{Head, Report, Section};
use crate::failure::Failure;

/// Requests that are looked up at once.
const AT_ONCE: usize = 100;

/// One request.
#[derive(Default)]
struct Request {
    asked: Option<Timestamp>,
    person: String,
    database: String,
    approval: String,
    tables: Vec<String>,
    labels: Vec<String>,
    rules: Vec<String>,
    statement: String,
    shown: Vec<String>,
    answers: Vec<String>,
    factors: Vec<String>,
    reason: String,
    outcome: String,
    ended: Option<Timestamp>,
    uses: u64,
    rows: u64,
}

#[derive(Default)]
struct Approvals {
    records: u64,
    requests: BTreeMap<String, Request>,
    /// Which request is of which statement: what it wanted is in the statement's record.
    asks: HashMap<(String, u64), String>,
    grants: HashMap<String, String>,
    /// Statements that ran by an approval.
    ran: HashMap<(String, u64), String>,
    cut: u64,
}

pub(super) fn make(making: &Making<'_>) -> Result<Made, Failure> {
    let mut seen = Approvals::default();
    let kinds = |kinds: &[&str]| kinds.iter().map(|kind| (*kind).to_owned()).collect::<Vec<_>>();
    let asked = Filter { kind: kinds(&["stepup.requested"]), ..making.period() };
    making.each(&asked, &mut |record, fields| seen.requested(record, fields))?;
    let requests: Vec<RequestId> = seen.requests.keys().filter_map(|id| id.parse().ok()).collect();
    // What became of them may come after the period.
    for requests in requests.chunks(AT_ONCE) {
        let about = Filter { request: requests.to_vec(), ..Filter::default() };
        making.each(&about, &mut |record, fields| seen.about(record, fields))?;
    }
    let grants: Vec<GrantId> = seen.grants.keys().filter_map(|id| id.parse().ok()).collect();
    for grants in grants.chunks(AT_ONCE) {
        let by = Filter { grant: grants.to_vec(), kind: kinds(&["statement.decided"]), ..Filter::default() };
        making.each(&by, &mut |_, fields| seen.used(fields))?;
    }
    let mut sessions: Vec<SessionId> =
        seen.asks.keys().chain(seen.ran.keys()).filter_map(|(session, _)| session.parse().ok()).collect();
    sessions.sort_unstable();
    sessions.dedup();
    for sessions in sessions.chunks(AT_ONCE) {
        let kind = kinds(&["statement.decided", "statement.completed", "statement.outcome_unknown"]);
        let of = Filter { session: sessions.to_vec(), kind, ..Filter::default() };
        making.each(&of, &mut |_, fields| seen.statement(fields))?;
    }
    Ok(Made {
        filter: asked.for_record(),
        shown_filter: "step-ups that were asked for in the period".to_owned(),
        records: seen.records,
        body: seen.report(),
    })
}

impl Approvals {
    fn requested(&mut self, record: &Record, fields: &Map<String, Value>) {
        if self.requests.len() >= MOST_ROWS {
            self.cut += 1;
            return;
        }
        let id = text(fields, "request").to_owned();
        self.asks.insert((text(fields, "session").to_owned(), number(fields, "statement")), id.clone());
        let of = |name| text(fields, name).to_owned();
        let request = Request {
            asked: Some(record.at),
            person: of("person"),
            database: of("database"),
            approval: of("approval"),
            ..Request::default()
        };
        self.requests.insert(id, request);
    }

    fn about(&mut self, record: &Record, fields: &Map<String, Value>) {
        self.records += 1;
        let id = text(fields, "request");
        let Some(request) = self.requests.get_mut(id) else { return };
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
            "stepup.ended" => {
                text(fields, "outcome").clone_into(&mut request.outcome);
                text(fields, "reason").clone_into(&mut request.reason);
                request.ended = Some(record.at);
                let by = text(fields, "by");
                if request.answers.is_empty() && !by.is_empty() {
                    request.answers.push(format!("{by} {} ({at})", request.outcome));
                }
            }
            "grant.issued" => {
                self.grants.insert(text(fields, "grant").to_owned(), id.to_owned());
            }
            "pass.issued" => {
                self.grants.insert(text(fields, "pass").to_owned(), id.to_owned());
            }
            // A statement that this approval let through, as its own or by a pass.
            "statement.decided" if text(fields, "verdict") == "forward" => {
                let statement = (text(fields, "session").to_owned(), number(fields, "statement"));
                self.run(statement, id.to_owned());
            }
            _ => {}
        }
    }

    fn used(&mut self, fields: &Map<String, Value>) {
        self.records += 1;
        let Some(request) = self.grants.get(text(fields, "grant")).cloned() else { return };
        self.run((text(fields, "session").to_owned(), number(fields, "statement")), request);
    }

    fn run(&mut self, statement: (String, u64), request: String) {
        if self.ran.insert(statement, request.clone()).is_none()
            && let Some(request) = self.requests.get_mut(&request)
        {
            request.uses += 1;
        }
    }

    fn statement(&mut self, fields: &Map<String, Value>) {
        let key = (text(fields, "session").to_owned(), number(fields, "statement"));
        if text(fields, "type") != "statement.decided" {
            if let Some(request) = self.ran.get(&key).and_then(|request| self.requests.get_mut(request)) {
                request.rows = request.rows.saturating_add(number(fields, "rows"));
            }
            return;
        }
        let Some(request) = self.asks.get(&key).and_then(|request| self.requests.get_mut(request)) else {
            return;
        };
        let list = |name: &str| texts(fields, name).map(str::to_owned).collect::<Vec<_>>();
        request.tables = list("relations");
        request.rules = list("rules");
        request.labels = labels(fields);
        text(fields, "normalised").clone_into(&mut request.statement);
    }

    fn report(self) -> Report {
        let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
        let columns = [
            "request",
            "asked",
            "by",
            "database",
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
        let mut section = Section::new("approvals", "Requests", &columns);
        let mut in_order: Vec<_> = self.requests.iter().collect();
        in_order.sort_by_key(|(_, request)| request.asked);
        for (id, request) in in_order {
            let outcome = if request.outcome.is_empty() { "open" } else { request.outcome.as_str() };
            *outcomes.entry(outcome).or_default() += 1;
            let seconds = request.asked.zip(request.ended).map(|(asked, ended)| ended.since(asked).as_secs());
            section.rows.push(vec![
                json!(id),
                json!(request.asked.map(|at| at.to_string())),
                json!(request.person),
                json!(request.database),
                json!(request.tables),
                json!(request.labels),
                json!(request.rules),
                json!(request.approval),
                json!(request.shown),
                json!(request.answers),
                json!(request.factors),
                json!(request.reason),
                json!(outcome),
                json!(seconds),
                json!(request.uses),
                json!(request.rows),
                json!(request.statement),
            ]);
        }
        let mut summary = Section::new("summary", "Summary", &["outcome", "requests"]);
        summary.rows = outcomes.iter().map(|(outcome, count)| vec![json!(outcome), json!(count)]).collect();
        let mut notes = Vec::new();
        if self.cut > 0 {
            notes.push(format!("{} more requests are not listed: narrow the period down.", self.cut));
        }
        let head = Head { title: "Approvals".to_owned(), facts: Vec::new(), notes };
        Report { head, sections: vec![summary, section] }
    }
}
