//! A rule's `match`, read and checked.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use stepgate_types::{Certainty, Kind, Label, Use};

use crate::condition::{ClassTest, Condition, Part, Threshold, Touch};
use crate::key;
use crate::map::Map;
use crate::predicate_load;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::yaml::{Node, Place};

const KNOWN: [&str; 20] = [
    "class",
    "labels",
    "tables",
    "columns",
    "use",
    "kind",
    "certainty",
    "bulk",
    "sink",
    "estimate_rows",
    "predicate",
    "person",
    "as",
    "groups",
    "database",
    "client",
    "network",
    "any",
    "all",
    "not",
];

/// Of the design, or asked for, and not of this version.
const LATER: [&str; 19] = [
    "signal",
    "signals",
    "risk",
    "delivered_rows",
    "delivered_bytes",
    "time",
    "hours",
    "weekdays",
    "window",
    "outside",
    "velocity",
    "functions",
    "fingerprint",
    "db_user",
    "role",
    "geo",
    "device",
    "mask",
    "threshold",
];

const USES: [(&str, Use); 6] = [
    ("output", Use::Output),
    ("predicate", Use::Predicate),
    ("grouping", Use::Grouping),
    ("ordering", Use::Ordering),
    ("write", Use::Write),
    ("hidden", Use::Hidden),
];

const CERTAINTIES: [(&str, Certainty); 3] =
    [("exact", Certainty::Exact), ("over", Certainty::Over), ("unknown", Certainty::Unknown)];

/// Reads a condition. `map` is `None` where the map could not be read at all: its names go unchecked
/// then, and nothing is loaded anyway.
pub(crate) fn load(report: &mut Report<'_>, node: &Node, map: Option<&Map>) -> Condition {
    let mut condition = Condition::default();
    let Some(fields) = Fields::read(report, node, "`match`", &KNOWN, &LATER) else { return condition };
    let parts = &mut condition.parts;
    parts.extend(touch(report, &fields, map));
    parts.extend(kind(report, &fields));
    parts.extend(list(report, &fields, "certainty", word_of(&CERTAINTIES)).map(Part::Certainty));
    parts.extend(switch(report, &fields, "bulk").map(Part::Bulk));
    parts.extend(switch(report, &fields, "sink").map(Part::Sink));
    parts.extend(fields.get("estimate_rows").and_then(|node| estimate(report, node)));
    parts.extend(fields.get("predicate").and_then(|node| predicate_load::load(report, node, map)));
    parts.extend(list(report, &fields, "person", parsed).map(Part::Person));
    parts.extend(list(report, &fields, "as", parsed).map(Part::Person));
    parts.extend(list(report, &fields, "groups", parsed).map(Part::Groups));
    parts.extend(list(report, &fields, "database", plain).map(Part::Database));
    parts.extend(list(report, &fields, "client", plain).map(Part::Client));
    parts.extend(
        list(report, &fields, "network", network).map(|nets| Part::Network(nets.into_iter().collect())),
    );
    parts.extend(nested(report, &fields, "any", map).map(Part::Any));
    parts.extend(nested(report, &fields, "all", map).map(Part::All));
    parts.extend(fields.get("not").map(|node| Part::Not(Box::new(load(report, node, map)))));
    condition
}

fn touch(report: &mut Report<'_>, fields: &Fields<'_>, map: Option<&Map>) -> Option<Part> {
    let touch = Touch {
        tables: hashed(list(report, fields, "tables", |report, node, what| {
            let name = keyed(report, node, what, key::relation)?;
            if map.is_some_and(|map| !map.lists(&name)) {
                not_in_map(report, node.at, &name.to_string(), &format!("{name}: {{}}"));
                return None;
            }
            Some(name)
        })),
        columns: hashed(list(report, fields, "columns", |report, node, what| {
            let name = keyed(report, node, what, key::column)?;
            if map.is_some_and(|map| !map.lists_column(&name)) {
                let entry = format!("{}: {{columns: {{...}}}}", name.relation);
                not_in_map(report, node.at, &name.to_string(), &entry);
                return None;
            }
            Some(name)
        })),
        uses: list(report, fields, "use", word_of(&USES)),
        ..labelled(report, fields, map)
    };
    let asks = ["class", "labels", "tables", "columns", "use"].iter().any(|name| fields.get(name).is_some());
    asks.then_some(Part::Touch(touch))
}

/// `class` and `labels`.
pub(crate) fn labelled(report: &mut Report<'_>, fields: &Fields<'_>, map: Option<&Map>) -> Touch {
    Touch {
        class: fields.get("class").and_then(|node| class(report, node, map)),
        labels: hashed(list(report, fields, "labels", |report, node, what| label(report, node, what, map))),
        ..Touch::default()
    }
}

/// Columns under that key, in the map or not.
pub(crate) fn columns(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    name: &str,
) -> Option<HashSet<stepgate_types::ColumnName>> {
    hashed(list(report, fields, name, |report, node, what| keyed(report, node, what, key::column)))
}

fn not_in_map(report: &mut Report<'_>, at: Place, name: &str, entry: &str) {
    report.error_with_help(
        at,
        format!("{name} is not in the map, so that the rule would never match"),
        format!("check the spelling, or list it in the map: {entry}"),
    );
}

fn class(report: &mut Report<'_>, node: &Node, map: Option<&Map>) -> Option<ClassTest> {
    let text = read::text(report, node, "`class`")?;
    let (at_least, name) = match text.strip_prefix(">=") {
        Some(name) => (true, name.trim_start()),
        None => (false, text),
    };
    let map = map?;
    let Some(class) = map.class(name) else {
        let known = map.classes.iter().map(|class| class.name.as_str());
        let message = format!("`class` is a class or `>=` and a class, and the map has no class `{name}`");
        report.unknown_word(node.at, message, name, known);
        return None;
    };
    Some(if at_least { ClassTest::AtLeast(class.rank) } else { ClassTest::Is(class.rank) })
}

fn label(report: &mut Report<'_>, node: &Node, what: &str, map: Option<&Map>) -> Option<Label> {
    let label = Label::new(read::text(report, node, what)?);
    if let Some(map) = map
        && !map.labels.contains_key(&label)
    {
        let known = map.labels.keys().map(Label::as_str);
        report.unknown_word(node.at, format!("the map has no label `{label}`"), label.as_str(), known);
        return None;
    }
    Some(label)
}

fn kind(report: &mut Report<'_>, fields: &Fields<'_>) -> Option<Part> {
    let words = Kind::ALL.map(|kind| (kind.as_str(), kind));
    list(report, fields, "kind", word_of(&words)).map(Part::Kind)
}

fn switch(report: &mut Report<'_>, fields: &Fields<'_>, name: &str) -> Option<bool> {
    fields.get(name).and_then(|node| read::flag(report, node, &format!("`{name}`")))
}

fn estimate(report: &mut Report<'_>, node: &Node) -> Option<Part> {
    let what = "`estimate_rows`";
    let parsed = match &node.value {
        crate::yaml::Value::Text(text) => threshold(text),
        _ => None,
    };
    if parsed.is_none() {
        report.error_with_help(
            node.at,
            format!("{what} is \">N\" or \">=N\", a number of rows"),
            "for example estimate_rows: \">10000\"",
        );
    }
    parsed.map(Part::Estimate)
}

fn threshold(text: &str) -> Option<Threshold> {
    let rest = text.strip_prefix('>')?;
    let (more, digits) = match rest.strip_prefix('=') {
        Some(digits) => (0, digits),
        None => (1, rest),
    };
    let digits = digits.trim_start();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let from = digits.parse::<u64>().ok()?.checked_add(more)?;
    Some(Threshold { from })
}

fn nested(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    name: &str,
    map: Option<&Map>,
) -> Option<Vec<Condition>> {
    let node = fields.get(name)?;
    let crate::yaml::Value::List(list) = &node.value else {
        read::expected(report, node, &format!("`{name}`"), "a list of conditions");
        return None;
    };
    if list.is_empty() {
        report.error(node.at, format!("`{name}` is an empty list"));
    }
    Some(list.iter().map(|node| load(report, node, map)).collect())
}

/// A list of which every item is read by `item`, or a lone item. `None`: the key is not there.
fn list<T: Ord>(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    name: &str,
    item: impl Fn(&mut Report<'_>, &Node, &str) -> Option<T>,
) -> Option<BTreeSet<T>> {
    let what = format!("`{name}`");
    let items = read::items(report, fields.get(name)?, &what).unwrap_or_default();
    Some(items.iter().filter_map(|node| item(report, node, &what)).collect())
}

fn hashed<T: Hash + Eq>(set: Option<BTreeSet<T>>) -> Option<HashSet<T>> {
    set.map(|set| set.into_iter().collect())
}

fn word_of<T: Copy>(words: &[(&str, T)]) -> impl Fn(&mut Report<'_>, &Node, &str) -> Option<T> {
    move |report, node, what| read::word(report, node, what, words)
}

fn plain(report: &mut Report<'_>, node: &Node, what: &str) -> Option<String> {
    read::text(report, node, what).map(str::to_owned)
}

pub(crate) fn parsed<T: FromStr<Err: std::fmt::Display>>(
    report: &mut Report<'_>,
    node: &Node,
    what: &str,
) -> Option<T> {
    let text = read::text(report, node, what)?;
    text.parse().map_err(|wrong| report.error(node.at, format!("{what}: {wrong}"))).ok()
}

fn keyed<T>(
    report: &mut Report<'_>,
    node: &Node,
    what: &str,
    parse: fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = read::text(report, node, what)?;
    parse(text).map_err(|wrong| report.error(node.at, wrong)).ok()
}

/// A network in CIDR notation, or one address.
fn network(report: &mut Report<'_>, node: &Node, what: &str) -> Option<IpNet> {
    let text = read::text(report, node, what)?;
    let parsed = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
    let Some(network) = parsed else {
        report.error(
            node.at,
            format!("{what} is a network such as 10.1.0.0/16 or 2001:db8::/32, not `{text}`"),
        );
        return None;
    };
    if network.trunc() != network {
        report.error_with_help(
            node.at,
            format!("`{text}` has bits beyond its prefix"),
            format!("did you mean {}, or the one address {}?", network.trunc(), network.addr()),
        );
        return None;
    }
    Some(network)
}
