//! The Common Event Format, version 0 (revision 26 of its white paper).

use std::fmt::Write as _;
use std::net::IpAddr;

use super::printable::printable;
use super::row::Row;

/// The longest `msg`, in characters, by the dictionary of extensions.
const MAX_MESSAGE: usize = 1023;

/// A record's line. The device's version is that of this format: a line must not depend on which gate made it.
pub(super) fn line(row: &Row) -> String {
    let mut line = format!(
        "CEF:0|Stepgate|Stepgate|1|{}|{}|{}|",
        header(&row.kind),
        header(&row.title()),
        severity(row)
    );
    let mut first = true;
    let mut add = |key: &str, value: &str| {
        if !value.is_empty() {
            let space = if std::mem::take(&mut first) { "" } else { " " };
            let _ = write!(line, "{space}{key}={}", extension(value));
        }
    };
    add("rt", &(row.at.micros().div_euclid(1000)).to_string());
    add("externalId", &row.uid());
    add("suser", row.person.as_deref().or(row.by.as_deref()).unwrap_or_default());
    add("suid", row.by.as_deref().unwrap_or_default());
    add("duser", row.db_user.as_deref().unwrap_or_default());
    match row.address.as_deref().map(|address| (address, address.parse())) {
        Some((address, Ok(IpAddr::V4(_)))) => add("src", address),
        Some((address, Ok(IpAddr::V6(_)))) => {
            add("c6a2Label", "Source IPv6 Address");
            add("c6a2", address);
        }
        // A commitment to it.
        Some((address, Err(_))) => add("shost", address),
        None => {}
    }
    add("destinationServiceName", row.database.as_deref().unwrap_or_default());
    add("requestClientApplication", row.client.as_deref().unwrap_or_default());
    add("act", row.verdict.as_deref().or(row.action.as_deref()).unwrap_or_default());
    add("outcome", row.outcome.as_deref().unwrap_or_default());
    let reason = row.reason.as_deref().or(row.sqlstate.as_deref());
    add("reason", reason.unwrap_or_default());
    let strings = [
        ("label", row.labels.join(",")),
        ("rule", row.rules.join(",")),
        ("session", row.session.clone().unwrap_or_default()),
        ("request", row.request.clone().unwrap_or_default()),
        ("grant", row.grant.clone().unwrap_or_default()),
        ("leafHash", row.hash.to_string()),
    ];
    for (number, (label, value)) in (1..).zip(strings) {
        if !value.is_empty() {
            add(&format!("cs{number}Label"), label);
            add(&format!("cs{number}"), &value);
        }
    }
    for (number, label, value) in
        [(1, "rows", row.rows), (2, "estimate", row.estimate), (3, "risk", row.risk)]
    {
        if let Some(value) = value {
            add(&format!("cn{number}Label"), label);
            add(&format!("cn{number}"), &value.to_string());
        }
    }
    if let Some(bytes) = row.bytes {
        add("out", &bytes.to_string());
    }
    let message: String = row.query.iter().flat_map(|query| query.chars()).take(MAX_MESSAGE).collect();
    add("msg", &message);
    line
}

/// 0 to 10: what was let through is little, what waits or was refused is more, what must not happen is most.
fn severity(row: &Row) -> u8 {
    match row.kind.as_str() {
        "alarm.raised" | "integrity.failed" | "policy.tampered" | "break_glass.opened"
        | "break_glass.used" => 10,
        kind if kind.starts_with("break_glass.") => 9,
        "session.auth_failed"
        | "session.refused"
        | "stepup.factor_failed"
        | "limit.enforced"
        | "store.degraded"
        | "catalog.drifted" => 6,
        "policy.rejected" | "config.rejected" => 5,
        _ => match (row.verdict.as_deref(), row.outcome.as_deref()) {
            (Some("deny" | "overtaken"), _) | (_, Some("denied" | "deny")) => 7,
            (Some("hold" | "defer" | "monitor"), _) => 5,
            _ => 1,
        },
    }
}

fn header(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '|' => escaped.extend(['\\', letter]),
            // A header has no way to say these.
            '\n' | '\r' => escaped.push(' '),
            _ => escaped.push(printable(letter)),
        }
    }
    escaped
}

fn extension(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '=' => escaped.extend(['\\', letter]),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            _ => escaped.push(printable(letter)),
        }
    }
    escaped
}
