//! Charts as inline SVG: nothing is loaded, nothing runs. Each is named for who cannot see it, and the numbers stand in a
//! table besides.

use std::fmt::Write as _;

use stepgate_types::thousands;

use super::tally::{Day, RuleCount};
use crate::audit::escaped;

/// Width of a chart, in its own units.
const WIDTH: f64 = 860.0;

/// Height of the chart by day.
const HEIGHT: f64 = 220.0;

/// Room for the scale on the left, and for days below.
const LEFT: f64 = 56.0;
const BELOW: f64 = 26.0;

/// Days that are told apart; of more, the last.
const MOST_DAYS: usize = 120;

/// Rules that have a bar.
const MOST_RULES: usize = 12;

/// Colours that differ in lightness as well as in hue: before, and now.
pub(super) const BEFORE: &str = "#9aa7b5";
pub(super) const NOW: &str = "#14507d";

/// Requests by day: two bars a day.
pub(super) fn by_day(days: &[Day]) -> String {
    let days = days.get(days.len().saturating_sub(MOST_DAYS)..).unwrap_or_default();
    let most = days.iter().map(|day| day.before.max(day.after)).max().unwrap_or(0).max(1);
    let total = |of: fn(&Day) -> u64| days.iter().map(of).sum::<u64>();
    let mut svg = open(
        HEIGHT,
        "Requests by day",
        &format!(
            "{} days; before {} requests in all, now {}; the most in a day {}",
            days.len(),
            thousands(total(|day| day.before)),
            thousands(total(|day| day.after)),
            thousands(most)
        ),
    );
    let ground = HEIGHT - BELOW;
    let height = |count: u64| (ground - 12.0) * share(count, most);
    for (part, label) in [(0.0, "0".to_owned()), (0.5, half(most)), (1.0, thousands(most))] {
        let y = ground - (ground - 12.0) * part;
        let _ = write!(
            svg,
            "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#dde3ea\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            LEFT - 8.0,
            y + 4.0
        );
    }
    let step = (WIDTH - LEFT) / as_number(days.len().max(1));
    // As many dates as have room.
    let every = (as_number(days.len()) / 8.0).ceil().max(1.0);
    for (number, day) in days.iter().enumerate() {
        let x = LEFT + step * as_number(number);
        let bar = step * 0.4;
        let name = escaped(&day.day);
        let _ = write!(svg, "<g><title>{name}: before {}, now {}</title>", day.before, day.after);
        for (count, colour, shift) in [(day.before, BEFORE, 0.1), (day.after, NOW, 0.5)] {
            let tall = height(count);
            let _ = write!(
                svg,
                "<rect x=\"{:.2}\" y=\"{:.1}\" width=\"{bar:.2}\" height=\"{tall:.1}\" fill=\"{colour}\"/>",
                x + step * shift,
                ground - tall
            );
        }
        svg.push_str("</g>");
        if as_number(number) % every == 0.0 {
            let _ = write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{name}</text>", x, HEIGHT - 6.0);
        }
    }
    svg.push_str("</svg>");
    svg
}

/// Requests by rule: a bar each.
pub(super) fn by_rule(rules: &[RuleCount]) -> String {
    let rules: Vec<_> = rules.iter().filter(|rule| rule.prompts > 0).take(MOST_RULES).collect();
    let most = rules.iter().map(|rule| rule.prompts).max().unwrap_or(0).max(1);
    let tall = 24.0 * as_number(rules.len().max(1)) + 8.0;
    let words: Vec<_> =
        rules.iter().map(|rule| format!("{} {}", rule.rule, thousands(rule.prompts))).collect();
    let mut svg = open(tall, "Requests by rule", &words.join(", "));
    let left = 240.0;
    for (number, rule) in rules.iter().enumerate() {
        let y = 24.0 * as_number(number) + 4.0;
        let wide = (WIDTH - left - 80.0) * share(rule.prompts, most);
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect x=\"{left}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"18\" fill=\"{NOW}\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left - 8.0,
            y + 14.0,
            escaped(&shortened(&rule.rule)),
            left + wide + 6.0,
            y + 14.0,
            thousands(rule.prompts)
        );
    }
    svg.push_str("</svg>");
    svg
}

fn open(height: f64, title: &str, words: &str) -> String {
    format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}: {}\"><title>{}</title><desc>{}</desc>",
        escaped(title),
        escaped(words),
        escaped(title),
        escaped(words)
    )
}

fn half(most: u64) -> String {
    if most.is_multiple_of(2) { thousands(most / 2) } else { String::new() }
}

fn shortened(name: &str) -> String {
    if name.chars().count() <= 30 {
        name.to_owned()
    } else {
        format!("{}…", name.chars().take(29).collect::<String>())
    }
}

/// Where a count lies between 0 and the most.
#[expect(clippy::cast_precision_loss, reason = "a length in a picture")]
fn share(count: u64, most: u64) -> f64 {
    count as f64 / most.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "a length in a picture")]
const fn as_number(count: usize) -> f64 {
    count as f64
}
