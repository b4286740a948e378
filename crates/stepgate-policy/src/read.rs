//! Readers of single nodes: each gives the value, or reports what is wrong and gives `None`.

use std::time::Duration;

use crate::report::Report;
use crate::yaml::{Key, Node, Place, Value};

/// The longest name of a class, label, rule or approval, in bytes: PostgreSQL's own limit.
const MAX_NAME: usize = 63;

/// A mapping whose keys have been checked.
pub(crate) struct Fields<'n> {
    pub(crate) at: Place,
    entries: Vec<(&'n Key, &'n Node)>,
}

impl<'n> Fields<'n> {
    /// Reads `node` as a mapping with these keys and no others. Keys of `later` are part of the format
    /// but not built yet. `None`: it is no mapping.
    pub(crate) fn read(
        report: &mut Report<'_>,
        node: &'n Node,
        what: &str,
        known: &[&str],
        later: &[&str],
    ) -> Option<Self> {
        let mut entries: Vec<(&Key, &Node)> = Vec::new();
        for (key, value) in map(report, node, what)? {
            let name = key.name.as_str();
            if later.contains(&name) {
                report.not_built(key.at, &format!("`{name}`"));
            } else if !known.contains(&name) {
                report.unknown_word(
                    key.at,
                    format!("{what} has no key `{name}`"),
                    name,
                    known.iter().copied(),
                );
            } else {
                entries.push((key, value));
            }
        }
        Some(Self { at: node.at, entries })
    }

    pub(crate) fn get(&self, name: &str) -> Option<&'n Node> {
        self.entry(name).map(|(_, node)| node)
    }

    pub(crate) fn entry(&self, name: &str) -> Option<(&'n Key, &'n Node)> {
        self.entries.iter().find(|(key, _)| key.name == name).copied()
    }

    pub(crate) fn require(&self, report: &mut Report<'_>, what: &str, name: &str) -> Option<&'n Node> {
        let found = self.get(name);
        if found.is_none() {
            report.error(self.at, format!("{what} needs `{name}`"));
        }
        found
    }
}

/// A mapping with keys of the DBA's own; a key that comes twice is reported, and its first value kept.
pub(crate) fn map<'n>(
    report: &mut Report<'_>,
    node: &'n Node,
    what: &str,
) -> Option<Vec<(&'n Key, &'n Node)>> {
    let Value::Map(entries) = &node.value else {
        expected(report, node, what, "a mapping");
        return None;
    };
    let mut seen = std::collections::HashSet::new();
    let mut kept = Vec::with_capacity(entries.len());
    for (key, value) in entries {
        if seen.insert(key.name.as_str()) {
            kept.push((key, value));
        } else {
            report.error(key.at, format!("`{}` is here twice", key.name));
        }
    }
    Some(kept)
}

/// A list; a lone value counts as a list of one.
pub(crate) fn items<'n>(report: &mut Report<'_>, node: &'n Node, what: &str) -> Option<&'n [Node]> {
    match &node.value {
        Value::List(list) if list.is_empty() => {
            report.error(node.at, format!("{what} is an empty list, which nothing can match"));
            None
        }
        Value::List(list) => Some(list),
        Value::Null | Value::Map(_) => {
            expected(report, node, what, "a list");
            None
        }
        Value::Bool(_) | Value::Int(_) | Value::Number(_) | Value::Text(_) => {
            Some(std::slice::from_ref(node))
        }
    }
}

pub(crate) fn text<'n>(report: &mut Report<'_>, node: &'n Node, what: &str) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) => Some(text),
        Value::Bool(_) | Value::Int(_) | Value::Number(_) => {
            report.error_with_help(
                node.at,
                format!("{what} is text, and this reads as {}", node.value.what()),
                "put it in quotes",
            );
            None
        }
        Value::Null | Value::List(_) | Value::Map(_) => {
            expected(report, node, what, "text");
            None
        }
    }
}

pub(crate) fn flag(report: &mut Report<'_>, node: &Node, what: &str) -> Option<bool> {
    if let Value::Bool(value) = node.value {
        return Some(value);
    }
    expected(report, node, what, "true or false");
    None
}

/// A whole number of this range.
pub(crate) fn integer(
    report: &mut Report<'_>,
    node: &Node,
    what: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    if let Value::Int(value) = node.value
        && let Ok(value) = u32::try_from(value)
        && range.contains(&value)
    {
        return Some(value);
    }
    let wanted = format!("a whole number from {} to {}", range.start(), range.end());
    match node.value {
        Value::Int(value) => report.error(node.at, format!("{what} is {wanted}, not {value}")),
        _ => expected(report, node, what, &wanted),
    }
    None
}

/// One of these words.
pub(crate) fn word<T: Copy>(
    report: &mut Report<'_>,
    node: &Node,
    what: &str,
    words: &[(&str, T)],
) -> Option<T> {
    let text = text(report, node, what)?;
    let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
    if found.is_none() {
        let known = words.iter().map(|(word, _)| *word);
        report.unknown_word(node.at, format!("{what} cannot be `{text}`"), text, known);
    }
    found
}

/// `90s`, `5m`, `1h` or `2d`, more than zero and at most `longest`.
pub(crate) fn duration(
    report: &mut Report<'_>,
    node: &Node,
    what: &str,
    longest: Duration,
) -> Option<Duration> {
    let parsed = match &node.value {
        Value::Text(text) => parse_duration(text),
        _ => None,
    };
    let Some(value) = parsed else {
        report.error(node.at, format!("{what} is a duration such as 90s, 5m or 1h"));
        return None;
    };
    if value.is_zero() || value > longest {
        report
            .error(node.at, format!("{what} must be more than zero and at most {}", show_duration(longest)));
        return None;
    }
    Some(value)
}

/// `90s`, `5m`, `1h` or `2d`.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        _ => return None,
    };
    let number = text.strip_suffix(unit)?;
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok()).flatten()?;
    number.checked_mul(seconds).map(Duration::from_secs)
}

pub(crate) fn show_duration(duration: Duration) -> String {
    match duration.as_secs() {
        seconds if seconds > 86_400 && seconds % 86_400 == 0 => format!("{}d", seconds / 86_400),
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

/// A name of a class, label, rule or approval: it is shown in notices, records and charts, so it is kept
/// to letters that mean the same everywhere.
pub(crate) fn name_is_good(report: &mut Report<'_>, at: Place, what: &str, name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let goes_on = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    let good = begins && name.len() <= MAX_NAME && name.bytes().all(goes_on);
    if !good {
        report.error(
            at,
            format!(
                "{what} is 1 to {MAX_NAME} of the characters a-z, 0-9, '-' and '_', and begins with a letter"
            ),
        );
    }
    good
}

/// `version: 1`.
pub(crate) fn version(report: &mut Report<'_>, fields: &Fields<'_>, what: &str) {
    let Some(node) = fields.require(report, what, "version") else { return };
    match node.value {
        Value::Int(1) => {}
        Value::Int(other) => {
            report.error(node.at, format!("this version of Stepgate reads version 1, not {other}"));
        }
        _ => expected(report, node, "`version`", "the number 1"),
    }
}

pub(crate) fn expected(report: &mut Report<'_>, node: &Node, what: &str, wanted: &str) {
    report.error(node.at, format!("{what} is {wanted}, not {}", node.value.what()));
}
