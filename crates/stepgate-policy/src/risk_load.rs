//! The policy's `risk:`, read and checked.

use std::time::Duration;

use crate::read::{self, Fields};
use crate::report::Report;
use crate::risk::{MAX_RISK, Repeated, RiskSettings, Velocity};
use crate::signal::Signal;
use crate::time_load;
use crate::yaml::{Key, Node, Value};

/// The longest window in which anything is counted: beyond it, nobody remembers why.
const MAX_WINDOW: Duration = Duration::from_secs(7 * 86_400);
/// The longest that an account can be idle, or a factor new.
const MAX_AGE: Duration = Duration::from_secs(2 * 366 * 86_400);
/// The most that is counted.
const MOST: u32 = 1_000_000;

/// Signals that have settings, and the keys of these.
pub(crate) const SETTINGS: [(Signal, &[&str]); 11] = [
    (Signal::NewNetwork, &["ipv4_prefix", "ipv6_prefix"]),
    (Signal::ImpossibleTravel, &["kmh"]),
    (Signal::UnusualHour, &["outside", "days", "tz", "learned"]),
    (Signal::Velocity, &["statements", "rows", "restricted_rows", "bytes", "subjects", "per"]),
    (Signal::Volume, &["times", "rows"]),
    (Signal::DormantAccount, &["after"]),
    (Signal::FailedFactors, &["count", "per"]),
    (Signal::NewFactor, &["within"]),
    (Signal::ManyDenials, &["count", "per"]),
    (Signal::FarSessions, &["km"]),
    (Signal::InteractiveService, &["clients"]),
];

pub(crate) fn load(report: &mut Report<'_>, node: &Node) -> Option<RiskSettings> {
    let names = SETTINGS.iter().map(|(signal, _)| signal.as_str());
    let known: Vec<&str> = ["signals"].into_iter().chain(names).collect();
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
        } else if let Some(fields) = Fields::read(report, node, &what, keys, &[]) {
            settings(report, &mut risk, signal, &what, &fields);
        }
    }
    if risk.weight(Signal::Velocity).is_some()
        && risk.velocity == (Velocity { per: risk.velocity.per, ..Velocity::default() })
    {
        report.error_with_help(
            fields.entry("signals").map_or(node.at, |(key, _)| key.at),
            "`velocity` has a weight, and nothing says how much is too much",
            "add velocity: {rows: 5000, per: 1h} to `risk` (statements, rows, restricted_rows, bytes, subjects)",
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
        Signal::NewNetwork => {
            prefix(report, fields, "ipv4_prefix", 32, &mut risk.new_network.ipv4_prefix);
            prefix(report, fields, "ipv6_prefix", 128, &mut risk.new_network.ipv6_prefix);
        }
        Signal::ImpossibleTravel => set(&mut risk.impossible_travel.kmh, number(report, fields, "kmh")),
        Signal::Velocity => velocity(report, &mut risk.velocity, fields),
        Signal::Volume => {
            set(&mut risk.volume.times, number(report, fields, "times"));
            set(&mut risk.volume.rows, number(report, fields, "rows").map(u64::from));
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
        Signal::GeoChange
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
    let hours = ["outside", "days", "tz"].into_iter().find_map(|name| fields.entry(name));
    if let Some((key, _)) = hours {
        // Once somebody has said when people work, that alone counts, unless they say otherwise.
        risk.unusual_hour.learned = false;
        if fields.get("outside").is_none() {
            report.error(key.at, format!("{what} needs `outside`: the hours at which people work"));
        } else {
            risk.unusual_hour.schedule =
                time_load::window(report, node.at, &fields, what).map(|(window, _)| window);
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

fn velocity(report: &mut Report<'_>, velocity: &mut Velocity, fields: &Fields<'_>) {
    for (name, slot) in [
        ("statements", &mut velocity.statements),
        ("rows", &mut velocity.rows),
        ("restricted_rows", &mut velocity.restricted_rows),
        ("subjects", &mut velocity.subjects),
    ] {
        set(slot, number(report, fields, name).map(|count| Some(u64::from(count))));
    }
    if let Some(node) = fields.get("bytes") {
        velocity.bytes = size(report, node);
    }
    set(&mut velocity.per, duration(report, fields, "`velocity`", "per", MAX_WINDOW));
}

fn size(report: &mut Report<'_>, node: &Node) -> Option<u64> {
    let size = match &node.value {
        Value::Int(bytes) => Some(*bytes),
        Value::Text(text) => crate::parse_size(text),
        _ => None,
    };
    if size.is_none() {
        report.error(node.at, "`bytes` is a size such as 64KiB, 5MiB or 1GB");
    }
    size
}

fn repeated(report: &mut Report<'_>, slot: &mut Repeated, what: &str, fields: &Fields<'_>) {
    set(&mut slot.count, number(report, fields, "count"));
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

fn prefix(report: &mut Report<'_>, fields: &Fields<'_>, name: &str, most: u32, slot: &mut u8) {
    let bits = fields.get(name).and_then(|node| read::integer(report, node, &format!("`{name}`"), 1..=most));
    set(slot, bits.and_then(|bits| u8::try_from(bits).ok()));
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
