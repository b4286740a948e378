//! A rule's `match`, read and checked.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;
use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use stepgate_sql::SinkKind;
use stepgate_types::{BulkShape, Certainty, Kind, Label, Use, is_wildcard, plain_network};

use crate::condition::{ClassTest, Condition, OnceDelivered, Part, Threshold, Touch};
use crate::functions_load::function;
use crate::key;
use crate::map::Map;
use crate::never;
use crate::predicate_load;
use crate::present::{Names, PurposeTest};
use crate::read::{self, Fields};
use crate::report::{Report, closest};
use crate::risk::{MAX_RISK, RiskSettings};
use crate::signal::Signal;
use crate::time_load;
use crate::yaml::{Node, Place, Value};

/// All that a `match` may ask.
pub(crate) const KNOWN: [&str; 29] = [
    "class",
    "labels",
    "tables",
    "columns",
    "use",
    "kind",
    "certainty",
    "bulk",
    "sink",
    "functions",
    "estimate_rows",
    "delivered_rows",
    "delivered_bytes",
    "predicate",
    "person",
    "as",
    "groups",
    "database",
    "db_user",
    "role",
    "client",
    "network",
    "time",
    "signal",
    "risk",
    "purpose",
    "any",
    "all",
    "not",
];

/// Of the design, or asked for, and not of this version.
const LATER: [&str; 3] = ["mask", "fingerprint", "geo"];

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

const SHAPES: [(&str, BulkShape); 4] = [
    ("copy", BulkShape::Copy),
    ("whole-table", BulkShape::WholeTable),
    ("cursor", BulkShape::Cursor),
    ("large-limit", BulkShape::LargeLimit),
];

const SINKS: [(&str, SinkKind); 8] = [
    ("table", SinkKind::Table),
    ("rows", SinkKind::Rows),
    ("view", SinkKind::View),
    ("server-file", SinkKind::ServerFile),
    ("large-object", SinkKind::LargeObject),
    ("notification", SinkKind::Notification),
    ("setting", SinkKind::Setting),
    ("advisory-lock", SinkKind::AdvisoryLock),
];

/// The word for a kind of sink.
pub(crate) fn sink_word(kind: SinkKind) -> &'static str {
    SINKS.iter().find(|(_, known)| *known == kind).map_or("unknown", |(word, _)| word)
}

/// What conditions are checked against.
#[derive(Clone, Copy)]
pub(crate) struct Against<'a> {
    /// `None` where it could not be read at all: its names go unchecked then, and nothing is loaded anyway.
    pub(crate) map: Option<&'a Map>,
    /// `None` where there is none.
    pub(crate) risk: Option<&'a RiskSettings>,
}

/// Reads the `match` of a rule, and what must have been delivered besides.
pub(crate) fn of_rule(
    report: &mut Report<'_>,
    node: &Node,
    against: Against<'_>,
) -> (Condition, OnceDelivered) {
    let errors = report.count();
    let condition = load(report, node, against);
    let once_delivered = delivered(report, node);
    if report.count() == errors
        && let Some(map) = against.map
    {
        never::check(report, node, &condition, map);
    }
    (condition, once_delivered)
}

/// `delivered_rows` or `delivered_bytes`, of a rule as a whole.
fn delivered(report: &mut Report<'_>, node: &Node) -> OnceDelivered {
    let mut once = OnceDelivered::default();
    let Value::Map(entries) = &node.value else { return once };
    let entry = |name: &str| entries.iter().find(|(key, _)| key.name == name);
    if let Some((_, node)) = entry("delivered_rows") {
        once.rows =
            comparison(report, node, "`delivered_rows`", "a number of rows", |text| text.parse().ok());
    }
    if let Some((key, node)) = entry("delivered_bytes") {
        let size = |text: &str| text.parse().ok().or_else(|| crate::parse_size(text));
        once.bytes = comparison(report, node, "`delivered_bytes`", "a size such as 5MiB", size);
        if once.rows.is_some() {
            report.error_with_help(
                key.at,
                "a rule asks for `delivered_rows` or `delivered_bytes`, not for both at once",
                "write two rules: the first that is reached counts",
            );
        }
    }
    once
}

/// Reads a condition.
pub(crate) fn load(report: &mut Report<'_>, node: &Node, against: Against<'_>) -> Condition {
    let Against { map, .. } = against;
    let mut condition = Condition::default();
    let Some(fields) = Fields::read(report, node, "`match`", &KNOWN, &LATER) else { return condition };
    let parts = &mut condition.parts;
    parts.extend(touch(report, &fields, map));
    parts.extend(kind(report, &fields));
    parts.extend(list(report, &fields, "certainty", word_of(&CERTAINTIES)).map(Part::Certainty));
    parts.extend(fields.get("bulk").and_then(|node| match node.value {
        Value::Bool(wanted) => Some(Part::Bulk(wanted)),
        _ => list(report, &fields, "bulk", flag_or(&SHAPES)).map(Part::BulkShape),
    }));
    parts.extend(fields.get("sink").and_then(|node| match node.value {
        Value::Bool(wanted) => Some(Part::Sink(wanted)),
        _ => list(report, &fields, "sink", flag_or(&SINKS)).map(Part::SinkKind),
    }));
    parts.extend(list(report, &fields, "functions", function).map(Part::Functions));
    let rows = |text: &str| text.parse().ok();
    let estimate = fields
        .get("estimate_rows")
        .and_then(|node| comparison(report, node, "`estimate_rows`", "a number of rows", rows));
    parts.extend(estimate.map(Part::Estimate));
    parts.extend(fields.get("predicate").and_then(|node| predicate_load::load(report, node, map)));
    parts.extend(list(report, &fields, "person", parsed).map(Part::Person));
    parts.extend(list(report, &fields, "as", parsed).map(Part::Person));
    parts.extend(list(report, &fields, "groups", parsed).map(Part::Groups));
    let database = |report: &mut Report<'_>, node: &Node, what: &str| database(report, node, what, map);
    parts.extend(list(report, &fields, "database", database).map(Part::Database));
    parts.extend(list(report, &fields, "db_user", plain).map(Part::DbUser));
    parts.extend(list(report, &fields, "role", plain).map(Part::DbUser));
    parts.extend(list(report, &fields, "client", plain).map(|names| Part::Client(Names::new(names))));
    parts.extend(
        list(report, &fields, "network", network).map(|nets| Part::Network(nets.into_iter().collect())),
    );
    let time = fields.get("time").and_then(|node| time_load::load(report, node, "`time`"));
    parts.extend(time.map(|(window, within)| Part::Time(window, within)));
    parts.extend(signal(report, &fields, against));
    parts.extend(fields.get("risk").and_then(|node| risk(report, node, against)));
    parts.extend(fields.get("purpose").and_then(|node| {
        match node.value {
            Value::Bool(stated) => Some(Part::Purpose(PurposeTest::Stated(stated))),
            _ => list(report, &fields, "purpose", purpose)
                .map(|names| Part::Purpose(PurposeTest::OneOf(Names::new(names)))),
        }
    }));
    parts.extend(nested(report, &fields, "any", against).map(Part::Any));
    parts.extend(nested(report, &fields, "all", against).map(Part::All));
    parts.extend(fields.get("not").map(|node| Part::Not(Box::new(within(report, node, against)))));
    condition
}

/// A condition within another.
fn within(report: &mut Report<'_>, node: &Node, against: Against<'_>) -> Condition {
    if let Value::Map(entries) = &node.value {
        for (key, _) in entries.iter().filter(|(key, _)| key.name.starts_with("delivered_")) {
            report.error_with_help(
                key.at,
                format!(
                    "`{}` belongs at the top of `match`: what is within any, all or not is decided before \
                     anything is delivered",
                    key.name
                ),
                "write a rule of its own for it",
            );
        }
    }
    load(report, node, against)
}

/// Signals that the policy gives a weight: nobody looks for others.
fn signal(report: &mut Report<'_>, fields: &Fields<'_>, against: Against<'_>) -> Option<Part> {
    let words = Signal::ALL.map(|signal| (signal.as_str(), signal));
    let signals = list(report, fields, "signal", |report, node, what| {
        let signal = read::word(report, node, what, &words)?;
        if against.risk.is_none_or(|risk| risk.weight(signal).is_none()) {
            report.error_with_help(
                node.at,
                format!(
                    "`{signal}` has no weight, so that nobody looks for it and the rule would never match"
                ),
                format!("add it to the policy: risk: {{signals: {{{signal}: 20}}}}"),
            );
        }
        Some(signal)
    });
    signals.map(Part::Signal)
}

/// A risk that the weights can sum to.
fn risk(report: &mut Report<'_>, node: &Node, against: Against<'_>) -> Option<Part> {
    let what = "`risk`";
    let threshold = comparison(report, node, what, "a number up to 100", |text| text.parse().ok())?;
    let Some(settings) = against.risk else {
        report.error_with_help(
            node.at,
            "there is no risk without `risk:` in the policy: the rule would never match",
            "say what raises it: risk: {signals: {new_network: 30, new_client: 15}}",
        );
        return None;
    };
    let weights = settings.signals().filter_map(|signal| settings.weight(signal));
    let most = weights.fold(0, u32::saturating_add).min(MAX_RISK);
    if threshold.from > u64::from(most) {
        let message = format!("the weights of all signals sum to {most}, so that the rule would never match");
        report.error_with_help(node.at, message, "raise weights in `risk.signals`, or ask for less");
    } else if threshold.from == 0 {
        report.error(node.at, format!("{what} is always at least 0, so that this asks nothing"));
    }
    Some(Part::Risk(threshold))
}

fn touch(report: &mut Report<'_>, fields: &Fields<'_>, map: Option<&Map>) -> Option<Part> {
    let touch = Touch {
        tables: hashed(list(report, fields, "tables", |report, node, what| {
            let name = keyed(report, node, what, key::relation)?;
            if let Some(map) = map.filter(|map| !map.lists(&name)) {
                not_in_map(report, node.at, &name.to_string(), &format!("{name}: {{}}"), &map.names().0);
                return None;
            }
            Some(name)
        })),
        columns: hashed(list(report, fields, "columns", |report, node, what| {
            let name = keyed(report, node, what, key::column)?;
            if let Some(map) = map.filter(|map| !map.lists_column(&name)) {
                let entry = format!("{}: {{columns: {{...}}}}", name.relation);
                not_in_map(report, node.at, &name.to_string(), &entry, &map.names().1);
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

/// A database by its name in the gate's configuration, which the policy does not know; one that is spelt nearly as the map
/// has another is warned of.
fn database(report: &mut Report<'_>, node: &Node, what: &str, map: Option<&Map>) -> Option<String> {
    let name = plain(report, node, what)?;
    let Some(map) = map.filter(|map| map.of(&name).is_none()) else { return Some(name) };
    let known: Vec<&str> = map.databases().filter(|known| !is_wildcard(known)).collect();
    if let Some(near) = closest(&name, &known) {
        report.warning(node.at, &format!("the map has no database {name}"), format!("did you mean {near}?"));
    }
    Some(name)
}

/// Columns under that key, in the map or not; one that is spelt nearly as the map has another is warned of.
pub(crate) fn columns(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    name: &str,
    map: Option<&Map>,
) -> Option<HashSet<stepgate_types::ColumnName>> {
    hashed(list(report, fields, name, |report, node, what| {
        let name = keyed(report, node, what, key::column)?;
        if let Some(map) = map.filter(|map| !map.lists_column(&name) && !map.has_thresholds(&name)) {
            let known = map.compared();
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            if let Some(near) = closest(&name.to_string(), &known) {
                let help =
                    format!("did you mean {near}? Whether there is such a column is seen once a gate serves");
                report.warning(node.at, &format!("{name} is not in the map"), help);
            }
        }
        Some(name)
    }))
}

/// A purpose as people can state it, or its beginning and `*`.
fn purpose(report: &mut Report<'_>, node: &Node, what: &str) -> Option<String> {
    let text = plain(report, node, what)?;
    if !stepgate_sql::is_purpose(text.strip_suffix('*').filter(|it| !it.is_empty()).unwrap_or(&text))
        && text != "*"
    {
        report.error_with_help(
            node.at,
            format!("nobody can state the purpose `{text}`, so that the rule would never match"),
            "a purpose is a word of letters, digits and any of . _ -",
        );
        return None;
    }
    Some(text)
}

fn not_in_map(report: &mut Report<'_>, at: Place, name: &str, entry: &str, known: &BTreeSet<String>) {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let help = match closest(name, &known) {
        Some(near) => format!("did you mean {near}? If not, list it in the map: {entry}"),
        None => format!("check the spelling, or list it in the map: {entry}"),
    };
    report.error_with_help(at, format!("{name} is not in the map, so that the rule would never match"), help);
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

/// `">N"` or `">=N"`, by which all that is counted is compared.
fn comparison(
    report: &mut Report<'_>,
    node: &Node,
    what: &str,
    of: &str,
    number: impl Fn(&str) -> Option<u64>,
) -> Option<Threshold> {
    let parsed = match &node.value {
        Value::Text(text) => threshold(text, number),
        _ => None,
    };
    if parsed.is_none() {
        let name = what.trim_matches('`');
        let example = match name {
            "risk" => "40",
            "delivered_bytes" => "5MiB",
            _ => "10000",
        };
        report.error_with_help(
            node.at,
            format!("{what} is \">N\" or \">=N\", {of}"),
            format!("for example {name}: \">{example}\""),
        );
    }
    parsed
}

fn threshold(text: &str, number: impl Fn(&str) -> Option<u64>) -> Option<Threshold> {
    let rest = text.strip_prefix('>')?;
    let (more, digits) = match rest.strip_prefix('=') {
        Some(digits) => (0, digits),
        None => (1, rest),
    };
    let digits = digits.trim_start();
    // `+5` is a number to Rust.
    if !digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let from = number(digits)?.checked_add(more)?;
    Some(Threshold { from })
}

fn nested(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    name: &str,
    against: Against<'_>,
) -> Option<Vec<Condition>> {
    let node = fields.get(name)?;
    let Value::List(list) = &node.value else {
        read::expected(report, node, &format!("`{name}`"), "a list of conditions");
        return None;
    };
    if list.is_empty() {
        report.error(node.at, format!("`{name}` is an empty list"));
    }
    Some(list.iter().map(|node| within(report, node, against)).collect())
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

/// One of these words, where true or false would do as well.
fn flag_or<T: Copy>(words: &[(&str, T)]) -> impl Fn(&mut Report<'_>, &Node, &str) -> Option<T> {
    move |report, node, what| {
        let known = words.iter().map(|(word, _)| *word);
        let Value::Text(text) = &node.value else {
            let message = format!("{what} is true, false, or a list of words, not {}", node.value.what());
            report.error_with_help(
                node.at,
                message,
                format!("known here: {}", known.collect::<Vec<_>>().join(", ")),
            );
            return None;
        };
        let found = words.iter().find(|(word, _)| word == text).map(|(_, value)| *value);
        if found.is_none() {
            let message = format!("{what} is true, false, or words, and `{text}` is none of them");
            report.unknown_word(node.at, message, text, known);
        }
        found
    }
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
    let plain = plain_network(network.addr(), network.prefix_len());
    let Some(network) = plain.and_then(|(address, prefix)| IpNet::new(address, prefix).ok()) else {
        report.error_with_help(
            node.at,
            format!("`{text}` is an address of IPv4 with a prefix of IPv6"),
            "write the network as IPv4 has it, such as 10.0.0.0/8".to_owned(),
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
