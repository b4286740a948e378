//! The policy's `risk:`, read and checked.

use std::time::Duration;

use crate::map::Map;
use crate::profile::MAX_RECENT;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::risk::{Counted, MAX_RISK, Repeated, RiskSettings, VelocityLimit};
use crate::signal::Signal;
use crate::time_load;
use crate::yaml::{Key, Node, Value};

/// The longest window in which anything is counted: profiles know the last day.
const MAX_WINDOW: Duration = Duration::from_secs(86_400);
/// The window of `velocity`, where it says none.
const HOUR: Duration = Duration::from_secs(3600);
/// The most limits of `velocity`.
const MAX_LIMITS: usize = 16;
/// The longest that an account can be idle, or a factor new.
const MAX_AGE: Duration = Duration::from_secs(2 * 366 * 86_400);
/// The most that is counted.
const MOST: u32 = 1_000_000;

/// What `velocity` counts.
const COUNTED: [(&str, Counted); 4] = [
    ("statements", Counted::Statements),
    ("rows", Counted::Rows),
    ("bytes", Counted::Bytes),
    ("subjects", Counted::Subjects),
];
const COUNTED_AND_PER: [&str; 5] = ["statements", "rows", "bytes", "subjects", "per"];

/// Signals that have settings, and the keys of these.
pub(crate) const SETTINGS: [(Signal, &[&str]); 10] = [
    (Signal::ImpossibleTravel, &["kmh"]),
    (Signal::UnusualHour, &["outside", "days", "tz", "learned"]),
    (Signal::Velocity, &COUNTED_AND_PER),
    (Signal::Volume, &["times", "rows", "bytes"]),
    (Signal::DormantAccount, &["after"]),
    (Signal::FailedFactors, &["count", "per"]),
    (Signal::NewFactor, &["within"]),
    (Signal::ManyDenials, &["count", "per"]),
    (Signal::FarSessions, &["km"]),
    (Signal::InteractiveService, &["clients"]),
];

pub(crate) fn load(report: &mut Report<'_>, node: &Node, map: Option<&Map>) -> Option<RiskSettings> {
    let names = SETTINGS.iter().map(|(signal, _)| signal.as_str());
    let known: Vec<&str> = ["signals", "learning", "probation"].into_iter().chain(names).collect();
    let fields = Fields::read(report, node, "`risk`", &known, &[])?;
    let mut risk = RiskSettings::default();
    let weights = fields.require(report, "`risk`", "signals")?;
    for (key, node) in read::map(report, weights, "`risk.signals`").unwrap_or_default() {
        weight(report, &mut risk, key, node);
    }
    if risk.signals().next().is_none() && matches!(&weights.value, Value::Map(entries) if entries.is_empty())
    {
        report.error_with_help(
            weights.at,
            "`risk.signals` is empty, so that there is no risk",
            "give each signal that counts its weight, such as {new_network: 30}",
        );
    }
    for (signal, keys) in SETTINGS {
        let Some((key, node)) = fields.entry(signal.as_str()) else { continue };
        let what = format!("`{signal}`");
        if risk.weight(signal).is_none() {
            report.error_with_help(
                key.at,
                format!("{what} has settings and no weight, so that nobody looks for it"),
                "add it to `risk.signals`, or remove this",
            );
        }
        if signal == Signal::UnusualHour {
            unusual_hour(report, &mut risk, node);
        } else if signal == Signal::Velocity {
            risk.velocity = velocity(report, map, node);
        } else if let Some(fields) = Fields::read(report, node, &what, keys, &[]) {
            settings(report, &mut risk, signal, &what, &fields);
        }
    }
    if let Some((_, node)) = fields.entry("learning") {
        set(&mut risk.teaching.learning, read::duration(report, node, "`learning`", MAX_AGE));
    }
    if let Some((_, node)) = fields.entry("probation") {
        risk.teaching.probation = match &node.value {
            Value::Text(text) if text == "never" => None,
            _ => read::duration(report, node, "`probation`", MAX_AGE),
        };
    }
    if risk.weight(Signal::Velocity).is_some() && fields.entry("velocity").is_none() {
        report.error_with_help(
            fields.entry("signals").map_or(node.at, |(key, _)| key.at),
            "`velocity` has a weight, and nothing says how much is too much",
            "add velocity: {rows: 5000, per: 1h} to `risk` (statements, rows, bytes, subjects, or with a class: restricted_rows)",
        );
    }
    Some(risk)
}

fn weight(report: &mut Report<'_>, risk: &mut RiskSettings, key: &Key, node: &Node) {
    let Ok(signal) = key.name.parse::<Signal>() else {
        let known = Signal::ALL.map(Signal::as_str);
        report.unknown_word(
            key.at,
            format!("there is no signal `{}`", key.name),
            &key.name,
            known.into_iter(),
        );
        return;
    };
    let what = format!("the weight of `{signal}`");
    risk.weigh(signal, read::integer(report, node, &what, 1..=MAX_RISK).unwrap_or(1));
}

fn settings(
    report: &mut Report<'_>,
    risk: &mut RiskSettings,
    signal: Signal,
    what: &str,
    fields: &Fields<'_>,
) {
    match signal {
        Signal::ImpossibleTravel => set(&mut risk.impossible_travel.kmh, number(report, fields, "kmh")),
        Signal::Volume => {
            set(&mut risk.volume.times, number(report, fields, "times"));
            set(&mut risk.volume.rows, number(report, fields, "rows").map(u64::from));
            set(&mut risk.volume.bytes, fields.get("bytes").and_then(|node| size(report, node, "`bytes`")));
        }
        Signal::DormantAccount => {
            set(&mut risk.dormant_account.after, duration(report, fields, what, "after", MAX_AGE));
        }
        Signal::FailedFactors => repeated(report, &mut risk.failed_factors, what, fields),
        Signal::NewFactor => {
            set(&mut risk.new_factor.within, duration(report, fields, what, "within", MAX_AGE))
        }
        Signal::ManyDenials => repeated(report, &mut risk.many_denials, what, fields),
        Signal::FarSessions => set(&mut risk.far_sessions.km, number(report, fields, "km")),
        Signal::InteractiveService => {
            if let Some(items) = fields.get("clients").and_then(|node| read::items(report, node, "`clients`"))
            {
                let clients = items.iter().filter_map(|node| read::text(report, node, "`clients`"));
                risk.interactive_service.clients = clients.map(str::to_owned).collect();
            }
        }
        Signal::NewNetwork
        | Signal::GeoChange
        | Signal::Velocity
        | Signal::NewClient
        | Signal::NewFingerprint
        | Signal::UnusualHour
        | Signal::FirstSeenTable
        | Signal::FirstSeenLabel => {}
    }
}

/// `{outside: "07:00-20:00", days: [mon-fri], tz: Europe/Berlin, learned: true}`.
fn unusual_hour(report: &mut Report<'_>, risk: &mut RiskSettings, node: &Node) {
    let what = "`unusual_hour`";
    let keys = ["outside", "days", "tz", "learned"];
    let Some(fields) = Fields::read(report, node, what, &keys, &[]) else { return };
    if fields.get("outside").is_none() && fields.get("days").is_none() {
        // Only by whose clocks hours are learned.
        set(&mut risk.unusual_hour.zone, fields.get("tz").and_then(|node| time_load::zone(report, node)));
    }
    let hours = ["outside", "days"].into_iter().find_map(|name| fields.entry(name));
    if let Some((key, _)) = hours {
        // Once somebody has said when people work, that alone counts, unless they say otherwise.
        risk.unusual_hour.learned = false;
        if fields.get("outside").is_none() {
            report.error(key.at, format!("{what} needs `outside`: the hours at which people work"));
        } else {
            let window = time_load::window(report, node.at, &fields, what).map(|(window, _)| window);
            set(&mut risk.unusual_hour.zone, window.as_ref().map(|window| window.zone.clone()));
            risk.unusual_hour.schedule = window;
        }
    }
    if let Some(node) = fields.get("learned")
        && let Some(learned) = read::flag(report, node, "`learned`")
    {
        risk.unusual_hour.learned = learned;
        if !learned && hours.is_none() {
            let message =
                format!("{what} needs `outside`, the hours at which people work, where none are learned");
            report.error(node.at, message);
        }
    }
}

/// `{restricted_rows: 500, rows: 5000, per: 1h}`, or a list of such.
fn velocity(report: &mut Report<'_>, map: Option<&Map>, node: &Node) -> Vec<VelocityLimit> {
    let windows = match &node.value {
        Value::Map(_) => Some(std::slice::from_ref(node)),
        _ => read::items(report, node, "`velocity`"),
    };
    let mut limits = Vec::new();
    for node in windows.unwrap_or_default() {
        let Some(entries) = read::map(report, node, "`velocity`") else { continue };
        let per = entries.iter().find(|(key, _)| key.name == "per");
        let per =
            per.map_or(Some(HOUR), |(_, node)| read::duration(report, node, "`velocity.per`", MAX_WINDOW));
        let mut any = false;
        for (key, node) in entries {
            if key.name == "per" {
                continue;
            }
            any = true;
            let Some((counted, classes)) = counted(report, map, key) else { continue };
            let most = match counted {
                Counted::Bytes => size(report, node, &format!("`{}`", key.name)),
                _ => read::integer(report, node, &format!("`{}`", key.name), 1..=MOST).map(u64::from),
            };
            if let (Some(most), Some(per)) = (most, per) {
                limits.push(VelocityLimit::new(counted, classes.as_deref(), most, per));
            }
        }
        if !any {
            report.error(node.at, "`velocity` says nothing that is counted");
        }
    }
    if limits.len() > MAX_LIMITS {
        report.error(node.at, format!("`velocity` has more than {MAX_LIMITS} limits"));
        limits.truncate(MAX_LIMITS);
    }
    limits
}

/// `rows`, or `restricted_rows`: with the class, and those above it.
fn counted<'m>(
    report: &mut Report<'_>,
    map: Option<&'m Map>,
    key: &'m Key,
) -> Option<(Counted, Option<Vec<&'m str>>)> {
    let name = key.name.as_str();
    let words = COUNTED.iter().find_map(|(word, counted)| {
        let class = name.strip_suffix(word)?;
        Some((class.strip_suffix('_').or(class.is_empty().then_some(""))?, *counted))
    });
    let Some((class, counted)) = words else {
        let known = COUNTED_AND_PER.into_iter();
        report.unknown_word(key.at, format!("`velocity` has no key `{name}`"), name, known);
        return None;
    };
    if class.is_empty() {
        return Some((counted, None));
    }
    if counted == Counted::Subjects {
        let help = "use subjects: only those of tables with a `subject_key` are counted anyhow";
        report.error_with_help(key.at, "subjects are not counted by class", help);
        return None;
    }
    // Errors of the map are told by themselves.
    let map = map?;
    let Some(least) = map.classes.iter().find(|known| known.name == class) else {
        let known = map.classes.iter().map(|class| class.name.as_str());
        report.unknown_word(key.at, format!("the map has no class `{class}`"), class, known);
        return None;
    };
    let above = map.classes.iter().filter(|known| known.rank > least.rank);
    let classes = std::iter::once(least).chain(above).map(|class| class.name.as_str());
    Some((counted, Some(classes.collect())))
}

fn size(report: &mut Report<'_>, node: &Node, what: &str) -> Option<u64> {
    let size = match &node.value {
        Value::Int(bytes) => Some(*bytes),
        Value::Text(text) => crate::parse_size(text),
        _ => None,
    };
    let size = size.filter(|bytes| *bytes > 0);
    if size.is_none() {
        report.error(node.at, format!("{what} is a size such as 64KiB, 5MiB or 1GB, and more than zero"));
    }
    size
}

fn repeated(report: &mut Report<'_>, slot: &mut Repeated, what: &str, fields: &Fields<'_>) {
    // A profile remembers no more of them: what asks for more would never fire.
    let most = u32::try_from(MAX_RECENT).unwrap_or(u32::MAX);
    let count = fields.get("count");
    set(&mut slot.count, count.and_then(|node| read::integer(report, node, "`count`", 1..=most)));
    set(&mut slot.per, duration(report, fields, what, "per", MAX_WINDOW));
}

fn set<T>(slot: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *slot = value;
    }
}

fn number(report: &mut Report<'_>, fields: &Fields<'_>, name: &str) -> Option<u32> {
    fields.get(name).and_then(|node| read::integer(report, node, &format!("`{name}`"), 1..=MOST))
}

fn duration(
    report: &mut Report<'_>,
    fields: &Fields<'_>,
    what: &str,
    name: &str,
    longest: Duration,
) -> Option<Duration> {
    let inner = what.trim_matches('`');
    fields.get(name).and_then(|node| read::duration(report, node, &format!("`{inner}.{name}`"), longest))
}
