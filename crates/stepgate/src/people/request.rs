//! `request ls|show`.

use std::fmt::Write;

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

/// `stepgate request ls`.
pub(crate) fn ls(who: &AsArgs, format: Format) -> Result<(), Failure> {
    Listing::of(COLUMNS, list(&Api::of(who)?)?).print(format)
}

fn list(api: &Api) -> Result<Vec<Value>, Failure> {
    Ok(api.get("/api/v1/requests")?.as_array().cloned().unwrap_or_default())
}

/// `stepgate request show`.
pub(crate) fn show(request: RequestId, who: &AsArgs, format: Format) -> Result<(), Failure> {
    let shown = whole(&Api::of(who)?, request)?;
    match format {
        Format::Table => output::print(&page(&shown)),
        other => Listing::of(DETAILS, [shown]).print(other),
    }
}

/// All of a request.
pub(super) fn whole(api: &Api, request: RequestId) -> Result<Value, Failure> {
    let mut shown = api.get(&format!("/api/v1/requests/{request}"))?;
    fetch_all(api, request, &mut shown)?;
    Ok(shown)
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
    "ended_by",
    "reason",
    "summary",
    "relations",
    "labels",
    "rules",
    "why",
    "estimate",
    "opened",
    "expires",
    "opened_by",
    "until",
    "canonical_sha256",
];

/// Fetches what did not fit the first answer: an approver decides on all of it or not at all.
fn fetch_all(api: &Api, request: RequestId, shown: &mut Value) -> Result<(), Failure> {
    if let Some(sql) = shown.get_mut("sql") {
        fetch_rest(api, &format!("/api/v1/requests/{request}/sql"), sql)?;
    }
    let behind = shown.get_mut("behind").and_then(Value::as_array_mut);
    for (number, text) in behind.into_iter().flatten().enumerate() {
        fetch_rest(api, &format!("/api/v1/requests/{request}/behind/{number}"), text)?;
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

/// What those who answer want to know besides: who waits, limits, risk, what came before, what was said.
fn around(shown: &Value) -> String {
    let mut text = String::new();
    let number = |path: &str| shown.pointer(path).and_then(Value::as_u64);
    let limits = ["rows", "bytes", "subjects"].map(|of| (of, number(&format!("/limit/{of}"))));
    let limits: Vec<_> =
        limits.iter().filter_map(|(of, most)| most.map(|most| format!("{most} {of}"))).collect();
    if !limits.is_empty() {
        let _ = writeln!(text, "{:<11} {}", "At most", limits.join(", "));
    } else if shown.get("limit").is_some() && shown.get("until").is_some_and(Value::is_string) {
        // It may run again and again until then: whoever answers should not have to miss a line to know.
        let _ = writeln!(text, "{:<11} without a limit", "Delivers");
    }
    for place in shown.get("waits").and_then(Value::as_array).into_iter().flatten() {
        let of = |key| place.get(key).and_then(Value::as_str).map(harmless).unwrap_or_default();
        let sessions = place.get("sessions").and_then(Value::as_u64).unwrap_or(0);
        let sessions = format!("{sessions} session{}", if sessions == 1 { "" } else { "s" });
        let _ = writeln!(text, "{:<11} {sessions} at {} ({})", "Waits", of("address"), of("client"));
    }
    for risk in shown.get("risk").and_then(Value::as_array).into_iter().flatten() {
        let signal = risk.get("signal").and_then(Value::as_str).map(harmless).unwrap_or_default();
        let weight = risk.get("weight").and_then(Value::as_u64).unwrap_or(0);
        let _ = writeln!(text, "{:<11} {signal} +{weight}", "Risk");
    }
    if let (Some(days), Some(similar)) = (number("/history/days"), number("/history/similar")) {
        let of = |key: &str| number(&format!("/history/{key}")).unwrap_or(0);
        let _ = writeln!(
            text,
            "{:<11} {days} days: {} approved, {} denied, {} expired, {} withdrawn; like this one {similar}, {} approved",
            "Before",
            of("approved"),
            of("denied"),
            of("expired"),
            of("withdrawn"),
            of("similar_approved")
        );
    }
    for comment in shown.get("comments").and_then(Value::as_array).into_iter().flatten() {
        let of = |key| comment.get(key).and_then(Value::as_str).map(harmless).unwrap_or_default();
        let _ = writeln!(text, "{:<11} {} ({}): {}", "Comment", of("person"), of("at"), of("text"));
    }
    text
}

/// A request for reading.
pub(super) fn page(shown: &Value) -> String {
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
        let _ = writeln!(text, "{name:<11} {value}");
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
        ("Because", "why"),
        ("Estimate", "estimate"),
        ("Opened by", "opened_by"),
        ("Good until", "until"),
        ("Approval", "approval"),
        ("Approved by", "approvers"),
        ("Ended by", "ended_by"),
        ("Reason", "reason"),
        ("Opened", "opened"),
        ("Expires", "expires"),
    ] {
        field(name, key);
    }
    let _ = write!(text, "{}", around(shown));
    // Above the statement, indented as no field is, so that nothing in a text can pass for one of these.
    for behind in shown.get("behind").and_then(Value::as_array).into_iter().flatten() {
        let behind = behind.get("text").and_then(Value::as_str).map(harmless_lines).unwrap_or_default();
        let _ = writeln!(text, "{:<11} {}", "Behind it", behind.replace('\n', "\n            "));
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
