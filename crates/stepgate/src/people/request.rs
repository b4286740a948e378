//! `request ls|show|watch`.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::time::Duration;

use serde_json::Value;
use stepgate_types::RequestId;

use super::http::Api;
use crate::args::{AsArgs, Format};
use crate::failure::Failure;
use crate::harmless::{harmless, harmless_lines};
use crate::output::{self, Listing};

/// What a table of requests shows.
pub(crate) const COLUMNS: &[&str] =
    &["request", "state", "person", "database", "approval", "approvers", "summary", "expires"];

/// How often `watch` asks.
const POLL: Duration = Duration::from_secs(1);

/// `stepgate request ls`.
pub(crate) fn ls(who: &AsArgs, format: Format) -> Result<(), Failure> {
    Listing::of(COLUMNS, list(&Api::of(who)?)?).print(format)
}

fn list(api: &Api) -> Result<Vec<Value>, Failure> {
    Ok(api.get("/api/v1/requests")?.as_array().cloned().unwrap_or_default())
}

/// `stepgate request watch`: until interrupted.
pub(crate) fn watch(who: &AsArgs) -> Result<(), Failure> {
    let api = Api::of(who)?;
    let mut seen = BTreeSet::new();
    loop {
        let open = list(&api)?;
        let id = |row: &Value| row.get("request").and_then(Value::as_str).map(str::to_owned);
        for row in open.iter().filter(|row| row.get("answerable") == Some(&Value::Bool(true))) {
            let Some(request) = id(row) else { continue };
            if seen.insert(request) {
                output::print_line(&line(row))?;
            }
        }
        // What has ended needs no memory.
        let open: BTreeSet<_> = open.iter().filter_map(id).collect();
        seen.retain(|request| open.contains(request));
        std::thread::sleep(POLL);
    }
}

fn line(row: &Value) -> String {
    let text = |key| row.get(key).and_then(Value::as_str).map(harmless).unwrap_or_default();
    let (request, person) = (text("request"), text("person"));
    format!("{request}  {person} in {}: {}  until {}", text("database"), text("summary"), text("expires"))
}

/// `stepgate request show`.
pub(crate) fn show(request: RequestId, who: &AsArgs, format: Format) -> Result<(), Failure> {
    let api = Api::of(who)?;
    let mut shown = api.get(&format!("/api/v1/requests/{request}"))?;
    fetch_all(&api, request, &mut shown)?;
    match format {
        Format::Table => output::print(&page(&shown)),
        other => Listing::of(DETAILS, [shown]).print(other),
    }
}

/// What a CSV of one request shows.
const DETAILS: &[&str] = &[
    "request",
    "state",
    "person",
    "database",
    "db_user",
    "address",
    "client",
    "approval",
    "groups",
    "count",
    "approvers",
    "summary",
    "relations",
    "labels",
    "rules",
    "opened",
    "expires",
    "canonical_sha256",
];

/// Fetches what did not fit the first answer: an approver decides on all of it or not at all.
fn fetch_all(api: &Api, request: RequestId, shown: &mut Value) -> Result<(), Failure> {
    if let Some(sql) = shown.get_mut("sql") {
        fetch_rest(api, &format!("/api/v1/requests/{request}/sql"), sql)?;
    }
    let parameters = shown.get_mut("parameters").and_then(Value::as_array_mut);
    for (number, parameter) in parameters.into_iter().flatten().enumerate() {
        if let Some(value) = parameter.get_mut("value") {
            fetch_rest(api, &format!("/api/v1/requests/{request}/parameters/{number}"), value)?;
        }
    }
    Ok(())
}

/// Pages of one part at most: 64 KiB each, some 64 MiB in all.
const MAX_PAGES: usize = 1000;

fn fetch_rest(api: &Api, path: &str, page: &mut Value) -> Result<(), Failure> {
    for _ in 0..MAX_PAGES {
        let Some(offset) = page.get("next").and_then(Value::as_u64) else { return Ok(()) };
        let more = api.get(&format!("{path}?offset={offset}"))?;
        let text = [&*page, &more].map(|page| page.get("text").and_then(Value::as_str).unwrap_or_default());
        let text = text.concat();
        if let Some(page) = page.as_object_mut() {
            page.insert("text".to_owned(), Value::String(text));
            page.insert("next".to_owned(), more.get("next").cloned().unwrap_or(Value::Null));
        }
    }
    Err(Failure::no("the statement is too long to be shown here"))
}

fn page(shown: &Value) -> String {
    let mut text = String::new();
    let mut field = |name: &str, key: &str| {
        let value = match shown.get(key) {
            Some(Value::String(value)) => harmless(value),
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).map(harmless).collect::<Vec<_>>().join(", ")
            }
            Some(Value::Number(number)) => number.to_string(),
            _ => return,
        };
        let _ = writeln!(text, "{name:<12}{value}");
    };
    for (name, key) in [
        ("Request", "request"),
        ("State", "state"),
        ("Asked by", "person"),
        ("From", "address"),
        ("Client", "client"),
        ("Database", "database"),
        ("As role", "db_user"),
        ("Summary", "summary"),
        ("Relations", "relations"),
        ("Labels", "labels"),
        ("Rules", "rules"),
        ("Approval", "approval"),
        ("Approved by", "approvers"),
        ("Opened", "opened"),
        ("Expires", "expires"),
    ] {
        field(name, key);
    }
    if let Some(sql) = shown.pointer("/sql/text").and_then(Value::as_str) {
        let _ = writeln!(text, "\n{}", harmless_lines(sql));
    }
    for (number, parameter) in
        shown.get("parameters").and_then(Value::as_array).into_iter().flatten().enumerate()
    {
        let value = parameter.pointer("/value/text").and_then(Value::as_str);
        let value = value.map_or_else(|| "NULL".to_owned(), |value| format!("'{}'", harmless(value)));
        let binary =
            if parameter.get("format").and_then(Value::as_str) == Some("binary") { " (binary)" } else { "" };
        let _ = writeln!(text, "${} = {value}{binary}", number + 1);
    }
    text
}
