//! A rule's `limit:`, read and checked.

use std::collections::HashSet;
use std::time::Duration;

use stepgate_types::{Action, Limit, Per};

use crate::Approval;
use crate::map::Map;
use crate::policy_load::named;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::yaml::{Node, Value};

/// The most that a limit can be: records hold no larger numbers exactly.
const MOST: u64 = (1 << 53) - 1;

/// The most `subjects` of a limit: a hash of each is in memory for as long as the limit counts it.
const MAX_SUBJECTS: u64 = 10_000;

/// The most limits of a rule: each is asked for every row.
const MAX_LIMITS: usize = 8;

/// The shortest and the longest window. What a gate of ours counts is written each thirty-second of it.
const WINDOWS: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(31 * 86_400));

/// Units of `bytes`, longest first.
const UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
];

/// A rule's limits.
#[derive(Debug, Clone, Default)]
pub(crate) struct Limits {
    /// Of each statement.
    pub(crate) statement: Limit,
    /// Of all that a person does in a session or window; of each at most one.
    pub(crate) meters: Vec<(Per, Limit)>,
}

impl Limits {
    /// Whether nothing is limited.
    pub(crate) fn is_none(&self) -> bool {
        self.statement.is_none() && self.meters.is_empty()
    }
}

/// `{rows: 1000, bytes: 5MiB, subjects: 100, per: 1h}`, or a list of such. `None`: there is none, or it is wrong.
pub(crate) fn load(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    action: Action,
    map: Option<&Map>,
) -> Option<Limits> {
    let (key, node) = fields.entry("limit")?;
    let several = matches!(node.value, Value::List(_));
    let list = if several { read::items(report, node, "`limit`")? } else { std::slice::from_ref(node) };
    if list.len() > MAX_LIMITS {
        report.error(node.at, format!("a rule has at most {MAX_LIMITS} limits"));
        return None;
    }
    let mut limits = Limits::default();
    let mut seen = HashSet::new();
    for node in list {
        let Some((per, limit)) = one(report, node, map) else { continue };
        if !seen.insert(per) {
            report.error(node.at, format!("there is another limit per {per}: put both into one"));
        }
        match per {
            Per::Statement => limits.statement = limit,
            Per::Session | Per::Window(_) => limits.meters.push((per, limit)),
        }
    }
    let all = || limits.meters.iter().map(|(_, limit)| limit).chain([&limits.statement]);
    if all().any(|limit| limit.rows.is_some())
        && all().all(|limit| limit.bytes.is_none() && limit.subjects.is_none())
    {
        report.warning(
            key.at,
            "this limits rows alone, and one row can hold what many would: string_agg, array_agg, json_agg",
            "limit bytes as well, such as {rows: 1000, bytes: 1MiB}, or subjects",
        );
    }
    if action == Action::Deny {
        report.error(key.at, "`limit` has no effect with action `deny`");
        return None;
    }
    Some(limits).filter(|limits| !limits.statement.is_none() || !limits.meters.is_empty())
}

fn one(report: &mut Report<'_>, node: &Node, map: Option<&Map>) -> Option<(Per, Limit)> {
    let limit = Fields::read(report, node, "`limit`", &["rows", "bytes", "subjects", "per"], &[])?;
    let [rows, bytes, subjects] = ["rows", "bytes", "subjects"].map(|name| limit.get(name));
    if rows.is_none() && bytes.is_none() && subjects.is_none() {
        report.error(
            limit.at,
            "`limit` needs `rows`, `bytes` or `subjects`: how much may be delivered before people are asked",
        );
        return None;
    }
    let read = Limit {
        rows: rows.and_then(|node| count(report, node, "`limit.rows`")),
        bytes: bytes.and_then(|node| size(report, node)),
        subjects: subjects.and_then(|node| people(report, node, map)),
    };
    let per = limit.get("per").map_or(Some(Per::Statement), |node| per(report, node))?;
    Some((per, read)).filter(|(_, limit)| !limit.is_none())
}

/// `statement`, `session` or a time.
fn per(report: &mut Report<'_>, node: &Node) -> Option<Per> {
    match &node.value {
        Value::Text(text) if text == "statement" => return Some(Per::Statement),
        Value::Text(text) if text == "session" => return Some(Per::Session),
        Value::Text(text) if read::parse_duration(text).is_some() => {}
        _ => {
            report.error(node.at, "`limit.per` is `statement`, `session` or a time such as 15m, 1h or 7d");
            return None;
        }
    }
    let (shortest, longest) = WINDOWS;
    let window = read::duration(report, node, "`limit.per`", longest)?;
    if window < shortest {
        report.error(node.at, format!("`limit.per` is at least {}", Per::Window(shortest)));
        return None;
    }
    Some(Per::Window(window))
}

/// A number of subjects, where any table tells whose rows are whose.
fn people(report: &mut Report<'_>, node: &Node, map: Option<&Map>) -> Option<u64> {
    let number = count(report, node, "`limit.subjects`")?;
    if number > MAX_SUBJECTS {
        report
            .error(node.at, format!("`limit.subjects` is at most {MAX_SUBJECTS}: limit `rows` beyond that"));
        return None;
    }
    if map.is_some_and(|map| !map.tracks_subjects()) {
        report.error_with_help(
            node.at,
            "no table of the map tells its subjects, so that each row would count as one",
            "add `track_subjects: true` to tables with a `subject_key`, or limit `rows`",
        );
        return None;
    }
    Some(number)
}

/// Who is asked at the limit of a rule that asks nobody before: the approval it names, or the first by which people
/// verify themselves.
pub(crate) fn asks(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    approvals: &[Approval],
    declared: &HashSet<&str>,
) -> Option<usize> {
    if let Some(node) = fields.get("approval") {
        let name = read::text(report, node, "`approval`")?;
        return named(report, node, name, approvals, declared);
    }
    let own = approvals.iter().position(|approval| approval.itself);
    if own.is_none()
        && let Some((key, _)) = fields.entry("limit")
    {
        report.error_with_help(
            key.at,
            "nobody could be asked at this `limit`: there is no approval with `self: true`",
            "name one of `approvals` in the rule, as `approval: ...`",
        );
    }
    own
}

fn count(report: &mut Report<'_>, node: &Node, what: &str) -> Option<u64> {
    if let Value::Int(number @ 1..=MOST) = node.value {
        return Some(number);
    }
    read::expected(report, node, what, "a whole number from 1");
    None
}

/// A number of bytes, or one with a unit.
fn size(report: &mut Report<'_>, node: &Node) -> Option<u64> {
    let parsed = match &node.value {
        Value::Int(bytes) => Some(*bytes),
        Value::Text(text) => parse_size(text),
        _ => None,
    };
    let size = parsed.filter(|bytes| (1..=MOST).contains(bytes));
    if size.is_none() {
        report.error(node.at, "`limit.bytes` is a size such as 64KiB, 5MiB or 1GB, and more than zero");
    }
    size
}

/// `64KiB`, `5MiB`, `1GB` or `512B`: a number of bytes.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = UNITS
        .iter()
        .find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))
        .or_else(|| Some((text.strip_suffix('B')?, 1)))?;
    let number = number.trim_end();
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
    number.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in [
            ("5MiB", Some(5 << 20)),
            ("64 KiB", Some(64 << 10)),
            ("1GB", Some(1_000_000_000)),
            ("3kB", Some(3_000)),
            ("17B", Some(17)),
            ("17", None),
            ("MiB", None),
            ("-1MiB", None),
            ("1.5MiB", None),
            ("5mib", None),
            ("99999999999999999999B", None),
            ("18446744073709551615TiB", None),
        ] {
            assert_eq!(parse_size(text), bytes, "{text}");
        }
    }
}
