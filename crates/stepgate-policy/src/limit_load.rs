//! A rule's `limit:`, read and checked.

use std::collections::HashSet;

use stepgate_types::{Action, Limit};

use crate::Approval;
use crate::policy_load::named;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::yaml::{Node, Value};

/// The most that a limit can be: records hold no larger numbers exactly.
const MOST: u64 = (1 << 53) - 1;

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

/// `{rows: 1000, bytes: 5MiB}`, one of them or both. `None`: there is none, or it is wrong.
pub(crate) fn load(report: &mut Report<'_>, fields: &Fields<'_>, action: Action) -> Option<Limit> {
    let (key, node) = fields.entry("limit")?;
    let limit = Fields::read(report, node, "`limit`", &["rows", "bytes"], &["subjects", "per", "session"])?;
    if action == Action::Deny {
        report.error(key.at, "`limit` has no effect with action `deny`");
        return None;
    }
    let (rows, bytes) = (limit.get("rows"), limit.get("bytes"));
    if rows.is_none() && bytes.is_none() {
        report.error(
            limit.at,
            "`limit` needs `rows` or `bytes`: how much may be delivered before people are asked",
        );
        return None;
    }
    let read = Limit {
        rows: rows.and_then(|node| count(report, node)),
        bytes: bytes.and_then(|node| size(report, node)),
    };
    Some(read).filter(|limit| !limit.is_none())
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

fn count(report: &mut Report<'_>, node: &Node) -> Option<u64> {
    if let Value::Int(rows @ 1..=MOST) = node.value {
        return Some(rows);
    }
    read::expected(report, node, "`limit.rows`", "a whole number from 1");
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
