//! A record as one flat row: what reports, tables and other formats are made of.

use serde_json::{Map, Value};
use stepgate_types::Timestamp;

use super::json::named_event;
use crate::canonical::canonical;
use crate::{Hash, Names, Record};

/// A record's fields by the columns they stand in. What has no column of its own stands in `detail`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The log.
    pub log_id: String,
    /// The record's number.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The record's leaf hash: what proofs are about.
    pub hash: Hash,
    /// Its type, such as `statement.decided`.
    pub kind: String,
    /// The session.
    pub session: Option<String>,
    /// The statement's number in it.
    pub statement: Option<u64>,
    /// Whose act it is, or whom it concerns.
    pub person: Option<String>,
    /// Who did it, where somebody else did.
    pub by: Option<String>,
    /// Database, as the gate's configuration names it.
    pub database: Option<String>,
    /// The role used upstream.
    pub db_user: Option<String>,
    /// Peer address.
    pub address: Option<String>,
    /// The client program.
    pub client: Option<String>,
    /// The request.
    pub request: Option<String>,
    /// The grant or pass.
    pub grant: Option<String>,
    /// Name of the approval in the policy.
    pub approval: Option<String>,
    /// What the policy asks for, or what an administrator did.
    pub action: Option<String>,
    /// What happens to a statement.
    pub verdict: Option<String>,
    /// How something ended.
    pub outcome: Option<String>,
    /// Why, in a word.
    pub reason: Option<String>,
    /// SQLSTATE of an error.
    pub sqlstate: Option<String>,
    /// Labels touched.
    pub labels: Vec<String>,
    /// Classes touched.
    pub classes: Vec<String>,
    /// Base relations.
    pub relations: Vec<String>,
    /// Base columns.
    pub columns: Vec<String>,
    /// Kinds of statements.
    pub kinds: Vec<String>,
    /// Rules that matched.
    pub rules: Vec<String>,
    /// How far the facts can be trusted.
    pub certainty: Option<String>,
    /// The risk, 0 to 100.
    pub risk: Option<u64>,
    /// Upper bound of a statement's rows.
    pub estimate: Option<u64>,
    /// Rows delivered, or set aside.
    pub rows: Option<u64>,
    /// Bytes of them.
    pub bytes: Option<u64>,
    /// From forwarding to completion.
    pub duration_us: Option<u64>,
    /// SHA-256 of the normalised statement.
    pub fingerprint: Option<String>,
    /// The statement: keywords and names of the catalog only.
    pub query: Option<String>,
    /// Under which policy.
    pub policy_sha256: Option<String>,
    /// All else that the record says.
    pub detail: Map<String, Value>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An instant.
    Time,
    /// A whole number below 2^53.
    Number,
    /// Text.
    Text,
}

/// A value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// Nothing.
    Null,
    /// Microseconds since 1970 UTC.
    Time(Timestamp),
    /// A whole number.
    Number(u64),
    /// Text; lists are JSON.
    Text(String),
}

/// The columns of tables of rows, from left to right.
#[must_use]
pub const fn columns() -> &'static [(&'static str, Kind)] {
    use Kind::{Number, Text, Time};
    &[
        ("seq", Number),
        ("time", Time),
        ("type", Text),
        ("person", Text),
        ("by", Text),
        ("database", Text),
        ("db_user", Text),
        ("address", Text),
        ("client", Text),
        ("session", Text),
        ("statement", Number),
        ("request", Text),
        ("grant", Text),
        ("approval", Text),
        ("action", Text),
        ("verdict", Text),
        ("outcome", Text),
        ("reason", Text),
        ("sqlstate", Text),
        ("labels", Text),
        ("classes", Text),
        ("relations", Text),
        ("columns", Text),
        ("kinds", Text),
        ("rules", Text),
        ("certainty", Text),
        ("risk", Number),
        ("estimate", Number),
        ("rows", Number),
        ("bytes", Number),
        ("duration_us", Number),
        ("query", Text),
        ("fingerprint", Text),
        ("policy_sha256", Text),
        ("detail", Text),
        ("leaf_hash", Text),
    ]
}

impl Row {
    pub(super) fn of(record: &Record, names: &dyn Names) -> Self {
        Self::with(record, record.encode().map_or(Hash::ZERO, |bytes| Hash::leaf(&bytes)), names)
    }

    /// As [`super::row`], of a record whose leaf hash is known.
    #[must_use]
    pub fn with(record: &Record, hash: Hash, names: &dyn Names) -> Self {
        let mut fields = named_event(record, names);
        let fields = &mut fields;
        let (labels, classes, columns) = classified(fields);
        // Of `label.followed`, `to` is a column.
        let asked = fields.get("type").is_some_and(|kind| kind == "stepup.challenge_shown");
        let approved = match fields.remove("approve") {
            Some(Value::Bool(true)) => Some("approve".to_owned()),
            Some(Value::Bool(false)) => Some("deny".to_owned()),
            _ => None,
        };
        let mut row = Self {
            log_id: record.log_id.clone(),
            seq: record.seq,
            at: record.at,
            hash,
            kind: text(fields, "type").unwrap_or_default(),
            session: text(fields, "session"),
            statement: number(fields, "statement"),
            person: text(fields, "person").or_else(|| asked.then(|| text(fields, "to")).flatten()),
            by: text(fields, "by").or_else(|| text(fields, "operator")),
            database: text(fields, "database"),
            db_user: text(fields, "db_user"),
            address: text(fields, "address").or_else(|| text(fields, "network")),
            client: text(fields, "client"),
            request: text(fields, "request"),
            grant: text(fields, "grant").or_else(|| text(fields, "pass")),
            approval: text(fields, "approval"),
            action: text(fields, "action"),
            verdict: text(fields, "verdict"),
            outcome: text(fields, "outcome").or(approved),
            reason: text(fields, "reason")
                .or_else(|| text(fields, "what"))
                .or_else(|| text(fields, "refusal")),
            sqlstate: text(fields, "sqlstate"),
            labels,
            classes,
            relations: list(fields, "relations"),
            columns,
            kinds: list(fields, "kinds"),
            rules: list(fields, "rules"),
            certainty: text(fields, "certainty"),
            risk: number(fields, "risk"),
            estimate: number(fields, "estimate"),
            rows: number(fields, "rows"),
            bytes: number(fields, "bytes"),
            duration_us: number(fields, "duration_us"),
            fingerprint: text(fields, "fingerprint"),
            query: text(fields, "normalised"),
            policy_sha256: text(fields, "policy_sha256"),
            detail: Map::new(),
        };
        fields.retain(|_, value| !is_nothing(value));
        row.detail = std::mem::take(fields);
        row
    }

    /// `log id/number`, by which receivers tell doubles.
    #[must_use]
    pub fn uid(&self) -> String {
        format!("{}/{}", self.log_id, self.seq)
    }

    /// The type in words: `Statement decided`.
    #[must_use]
    pub fn title(&self) -> String {
        let mut title = self.kind.replace(['.', '_'], " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        title
    }

    /// The row's values in the order of [`columns`].
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        let text = |text: &Option<String>| text.clone().map_or(Cell::Null, Cell::Text);
        let number = |number: Option<u64>| number.map_or(Cell::Null, Cell::Number);
        vec![
            Cell::Number(self.seq),
            Cell::Time(self.at),
            Cell::Text(self.kind.clone()),
            text(&self.person),
            text(&self.by),
            text(&self.database),
            text(&self.db_user),
            text(&self.address),
            text(&self.client),
            text(&self.session),
            number(self.statement),
            text(&self.request),
            text(&self.grant),
            text(&self.approval),
            text(&self.action),
            text(&self.verdict),
            text(&self.outcome),
            text(&self.reason),
            text(&self.sqlstate),
            listed(&self.labels),
            listed(&self.classes),
            listed(&self.relations),
            listed(&self.columns),
            listed(&self.kinds),
            listed(&self.rules),
            text(&self.certainty),
            number(self.risk),
            number(self.estimate),
            number(self.rows),
            number(self.bytes),
            number(self.duration_us),
            text(&self.query),
            text(&self.fingerprint),
            text(&self.policy_sha256),
            self.detail_text().map_or(Cell::Null, Cell::Text),
            Cell::Text(self.hash.to_string()),
        ]
    }

    /// `detail` as canonical JSON, if there is any.
    pub(super) fn detail_text(&self) -> Option<String> {
        (!self.detail.is_empty()).then(|| json(&Value::Object(self.detail.clone())))
    }
}

/// Labels, classes and columns: of labelled columns, or as lists of their own.
fn classified(fields: &mut Map<String, Value>) -> (Vec<String>, Vec<String>, Vec<String>) {
    let mut labels = list(fields, "labels");
    let (mut classes, mut columns) = (Vec::new(), Vec::new());
    // In a record of the policy this is a number.
    let entries = match fields.get_mut("columns") {
        Some(Value::Array(entries)) => entries,
        _ => return (labels, classes, columns),
    };
    let add = |list: &mut Vec<String>, value: Option<&Value>| match value {
        Some(Value::String(text)) if !text.is_empty() && !list.contains(text) => list.push(text.clone()),
        _ => {}
    };
    for entry in entries.iter() {
        add(&mut labels, entry.get("label"));
        add(&mut classes, entry.get("class"));
        add(&mut columns, entry.get("column").or(Some(entry)));
    }
    // The uses of each stay in the detail.
    if entries.iter().all(Value::is_string) {
        fields.remove("columns");
    }
    (labels, classes, columns)
}

fn text(fields: &mut Map<String, Value>, name: &str) -> Option<String> {
    match fields.remove(name)? {
        Value::Null => None,
        Value::String(text) if text.is_empty() => None,
        Value::String(text) => Some(text),
        other => Some(json(&other)),
    }
}

fn number(fields: &mut Map<String, Value>, name: &str) -> Option<u64> {
    let number = fields.get(name)?.as_u64()?;
    fields.remove(name);
    Some(number)
}

fn list(fields: &mut Map<String, Value>, name: &str) -> Vec<String> {
    // A number of rules, say, stays in the detail.
    match fields.get(name) {
        Some(Value::Array(_)) => {}
        _ => return Vec::new(),
    }
    let Some(Value::Array(entries)) = fields.remove(name) else { return Vec::new() };
    let entries = entries.into_iter().map(|entry| match entry {
        Value::String(text) => text,
        other => json(&other),
    });
    entries.collect()
}

fn listed(list: &[String]) -> Cell {
    if list.is_empty() { Cell::Null } else { Cell::Text(json(&list.into())) }
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(entries) => entries.is_empty(),
        _ => false,
    }
}

pub(super) fn json(value: &Value) -> String {
    // Records hold whole numbers below 2^53 only, so that there always is a canonical form.
    canonical(value).ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
}
