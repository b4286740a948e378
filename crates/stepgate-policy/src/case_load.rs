//! `tests:` of a policy or of a file of their own, read and checked.

use std::collections::BTreeSet;
use std::time::Duration;

use stepgate_types::Timestamp;

use crate::case::{Case, Past, PastEvent};
use crate::condition_load::parsed;
use crate::map_load;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::signal::Signal;
use crate::yaml::{self, Node, Value};

/// The most cases of a file.
const MAX_CASES: usize = 10_000;
/// The most times that something came before, in one entry.
const MAX_TIMES: u32 = 10_000;
/// The most rows that a statement of the history delivered.
const MAX_ROWS: u32 = 1_000_000_000;
/// How far a history reaches back.
const MAX_AGO: Duration = Duration::from_secs(2 * 366 * 86_400);

/// What a case is written with.
pub(crate) const KEYS: [&str; 15] = [
    "name", "as", "groups", "service", "from", "at", "client", "database", "db_user", "purpose", "signals",
    "history", "sql", "expect", "rule",
];

/// What an entry of a history is written with.
pub(crate) const HISTORY_KEYS: [&str; 9] =
    ["ago", "times", "every", "from", "client", "sql", "rows", "bytes", "event"];

/// What an entry of a history may be, besides a statement.
pub(crate) const EVENTS: [&str; 5] = ["denied", "login", "open", "factor-failed", "factor-enrolled"];

/// Reads a file of cases: `version: 1` and `tests`.
pub(crate) fn file(report: &mut Report<'_>, text: &str, rules: &[&str]) -> Vec<Case> {
    let Some(root) = yaml::read(report, text) else { return Vec::new() };
    let what = "the file of tests";
    let Some(fields) = Fields::read(report, &root, what, &["version", "tests"], &[]) else {
        return Vec::new();
    };
    read::version(report, &fields, what);
    let tests = fields.require(report, what, "tests");
    tests.map(|node| load(report, node, rules)).unwrap_or_default()
}

/// Reads `tests:`. `rules`: the names that `rule` may name.
pub(crate) fn load(report: &mut Report<'_>, node: &Node, rules: &[&str]) -> Vec<Case> {
    let Value::List(list) = &node.value else {
        read::expected(report, node, "`tests`", "a list");
        return Vec::new();
    };
    if list.len() > MAX_CASES {
        report.error(node.at, format!("there are more than {MAX_CASES} tests"));
        return Vec::new();
    }
    list.iter().filter_map(|node| case(report, node, rules)).collect()
}

fn case(report: &mut Report<'_>, node: &Node, rules: &[&str]) -> Option<Case> {
    let what = "a test";
    let fields = Fields::read(report, node, what, &KEYS, &["values"])?;
    let person = fields.require(report, what, "as").and_then(|node| parsed(report, node, "`as`"));
    let sql = fields.require(report, what, "sql").and_then(|node| text(report, node, "`sql`"));
    let expect =
        fields.require(report, what, "expect").and_then(|node| map_load::action(report, node, "`expect`"));
    let service = fields.get("service").and_then(|node| read::flag(report, node, "`service`"));
    let history = fields.get("history").map(|node| history(report, node)).unwrap_or_default();
    let case = Case {
        name: words(report, &fields, "name"),
        line: node.at.line,
        person: person?,
        groups: set(report, &fields, "groups", |report, node| parsed(report, node, "`groups`"))
            .unwrap_or_default(),
        service: service.unwrap_or(false),
        from: fields.get("from").and_then(|node| parsed(report, node, "`from`")),
        at: fields.get("at").and_then(|node| moment(report, node)),
        client: words(report, &fields, "client"),
        database: words(report, &fields, "database"),
        db_user: words(report, &fields, "db_user"),
        purpose: words(report, &fields, "purpose"),
        signals: signals(report, &fields),
        history,
        sql: sql?,
        expect: expect?,
        rules: named(report, &fields, rules),
    };
    Some(case)
}

/// Rules that must match: of those that there are, so that a slip cannot pass for a proof.
fn named(report: &mut Report<'_>, fields: &Fields<'_>, rules: &[&str]) -> Vec<String> {
    let Some(node) = fields.get("rule") else { return Vec::new() };
    let items = read::items(report, node, "`rule`").unwrap_or_default();
    let mut names = Vec::new();
    for item in items {
        let Some(name) = read::text(report, item, "`rule`") else { continue };
        if !rules.contains(&name) {
            report.unknown_word(item.at, format!("there is no rule `{name}`"), name, rules.iter().copied());
        }
        names.push(name.to_owned());
    }
    names
}

fn signals(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<BTreeSet<Signal>> {
    let words = Signal::ALL.map(|signal| (signal.as_str(), signal));
    set(report, fields, "signals", |report, node| read::word(report, node, "`signals`", &words))
}

fn history(report: &mut Report<'_>, node: &Node) -> Vec<Past> {
    let items = read::items(report, node, "`history`").unwrap_or_default();
    items.iter().filter_map(|node| past(report, node)).collect()
}

fn past(report: &mut Report<'_>, node: &Node) -> Option<Past> {
    let what = "an entry of `history`";
    let fields = Fields::read(report, node, what, &HISTORY_KEYS, &[])?;
    let ago = fields.require(report, what, "ago");
    let ago = ago.and_then(|node| read::duration(report, node, "`ago`", MAX_AGO));
    let number = |report: &mut Report<'_>, name: &str, range| {
        fields.get(name).and_then(|node| read::integer(report, node, &format!("`{name}`"), range))
    };
    let times = number(report, "times", 1..=MAX_TIMES).unwrap_or(1);
    let every = fields.get("every").and_then(|node| read::duration(report, node, "`every`", MAX_AGO));
    let every = every.unwrap_or(Duration::ZERO);
    let (rows, bytes) = (number(report, "rows", 0..=MAX_ROWS), number(report, "bytes", 0..=u32::MAX));
    let what = match (fields.entry("sql"), fields.entry("event")) {
        (Some((_, node)), None) => PastEvent::Statement {
            sql: text(report, node, "`sql`")?,
            rows: rows.unwrap_or(1).into(),
            bytes: bytes.unwrap_or(0).into(),
        },
        (None, Some((_, node))) => {
            for name in ["rows", "bytes"] {
                if let Some((key, _)) = fields.entry(name) {
                    report.error(key.at, format!("`{name}` is of a statement: it needs `sql`"));
                }
            }
            event(report, node)?
        }
        (Some(_), Some((key, _))) => {
            report.error(key.at, format!("{what} is `sql` or `event`, not both"));
            return None;
        }
        (None, None) => {
            report.error(node.at, format!("{what} needs `sql` or `event`: {}", EVENTS.join(", ")));
            return None;
        }
    };
    let ago = ago?;
    let lasts = every.checked_mul(times.saturating_sub(1));
    if lasts.is_none_or(|lasts| lasts > ago)
        && let Some((key, _)) = fields.entry("every").or_else(|| fields.entry("times"))
    {
        report.error(key.at, "the last of these times would be after the test itself");
    }
    let from = fields.get("from").and_then(|node| parsed(report, node, "`from`"));
    Some(Past { ago, times, every, from, client: words(report, &fields, "client"), what })
}

fn event(report: &mut Report<'_>, node: &Node) -> Option<PastEvent> {
    let of = |name: &str| match name {
        "denied" => Some(PastEvent::Denied),
        "login" => Some(PastEvent::Login),
        "open" => Some(PastEvent::Open),
        "factor-failed" => Some(PastEvent::FactorFailed),
        "factor-enrolled" => Some(PastEvent::FactorEnrolled),
        _ => None,
    };
    let name = read::text(report, node, "`event`")?;
    let event = of(name);
    if event.is_none() {
        report.unknown_word(node.at, format!("`event` cannot be `{name}`"), name, EVENTS.into_iter());
    }
    event
}

/// `2026-07-06T03:00:00Z`, or with the offset of some place.
fn moment(report: &mut Report<'_>, node: &Node) -> Option<Timestamp> {
    let text = read::text(report, node, "`at`")?;
    let Ok(at) = text.parse::<jiff::Timestamp>() else {
        report.error_with_help(
            node.at,
            format!("`at` is a time with its offset from UTC, not `{text}`"),
            "for example 2026-07-06T03:00:00+02:00, or 2026-07-06T01:00:00Z",
        );
        return None;
    };
    Some(Timestamp::from_micros(at.as_microsecond()))
}

fn text(report: &mut Report<'_>, node: &Node, what: &str) -> Option<String> {
    read::text(report, node, what).map(str::to_owned)
}

fn words(report: &mut Report<'_>, fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.get(name).and_then(|node| text(report, node, &format!("`{name}`")))
}

fn set<T: Ord>(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    name: &str,
    item: impl Fn(&mut Report<'_>, &Node) -> Option<T>,
) -> Option<BTreeSet<T>> {
    let node = fields.get(name)?;
    // None at all is a circumstance like any other.
    if matches!(&node.value, Value::List(list) if list.is_empty()) {
        return Some(BTreeSet::new());
    }
    let items = read::items(report, node, &format!("`{name}`")).unwrap_or_default();
    Some(items.iter().filter_map(|node| item(report, node)).collect())
}
