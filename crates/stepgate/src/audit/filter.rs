//! From flags to a filter.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde_json::json;
use stepgate_record::{Event, Filter, Refusal};
use stepgate_types::{Commit, Timestamp};

use crate::args::FilterArgs;
use crate::failure::Failure;

/// The filter that these flags name; `now` is what `90d` counts back from.
pub(crate) fn filter(args: &FilterArgs, now: Timestamp) -> Result<Filter, Failure> {
    let since = args.since.as_deref().map(|text| time(text, now)).transpose()?;
    let until = args.until.as_deref().map(|text| time(text, now)).transpose()?;
    in_order(since, until)?;
    args.kind.iter().try_for_each(|kind| known_type(kind))?;
    args.outcome.iter().try_for_each(|outcome| known_outcome(outcome))?;
    args.table.iter().try_for_each(|table| whole_name(table))?;
    Ok(Filter {
        person: args.person.iter().map(ToString::to_string).collect(),
        label: args.label.clone(),
        table: args.table.clone(),
        database: args.database.clone(),
        rule: args.rule.clone(),
        outcome: args.outcome.clone(),
        kind: args.kind.clone(),
        session: args.session.clone(),
        request: args.request.clone(),
        grant: args.grant.clone(),
        address: args.address.iter().map(|text| address(text)).collect::<Result<_, _>>()?,
        risk: args.risk.as_deref().map(risk).transpose()?,
        since,
        until,
    })
}

/// Refuses a period that begins after it ends.
pub(crate) fn in_order(since: Option<Timestamp>, until: Option<Timestamp>) -> Result<(), Failure> {
    match (since, until) {
        (Some(since), Some(until)) if since > until => {
            Err(Failure::usage(format!("--since ({since}) is after --until ({until})"))
                .hint("how long ago counts back from now: --since 7d --until 1d"))
        }
        _ => Ok(()),
    }
}

/// The words that records have as verdict or outcome.
const OUTCOMES: [&str; 12] = [
    "forward",
    "monitor",
    "hold",
    "defer",
    "deny",
    "fail",
    "overtaken",
    "approved",
    "denied",
    "expired",
    "cancelled",
    "withdrawn",
];

/// All of them: why the gate itself refuses is found likewise.
fn outcomes() -> Vec<&'static str> {
    OUTCOMES.into_iter().chain(Refusal::ALL.map(Refusal::as_str)).collect()
}

fn known_outcome(text: &str) -> Result<(), Failure> {
    let all = outcomes();
    if all.contains(&text) {
        return Ok(());
    }
    let hint = match nearest(text, &all) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are: {}", all.join(", ")),
    };
    Err(Failure::usage(format!("no record has the outcome {text:?}")).hint(hint))
}

/// The types of records, as this version reads them.
fn types() -> Vec<String> {
    let none = serde_json::from_value::<Event>(json!({"type": "?"}));
    let listed = none.err().map(|error| error.to_string()).unwrap_or_default();
    // `?` itself, then each that is expected.
    listed.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

fn known_type(text: &str) -> Result<(), Failure> {
    let known = types();
    let is = match text.strip_suffix('*') {
        Some(begin) => known.iter().any(|kind| kind.starts_with(begin)),
        None => known.iter().any(|kind| kind == text),
    };
    if is || known.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = known.iter().map(String::as_str).collect();
    let family = text.split('.').next().unwrap_or_default();
    let same: Vec<&str> =
        names.iter().copied().filter(|kind| kind.split('.').next() == Some(family)).collect();
    let hint = match nearest(text, &names) {
        Some(near) => format!("did you mean `{near}`?"),
        None if !same.is_empty() => format!("of that family there are: {}", same.join(", ")),
        None => format!("there are: {}", names.join(", ")),
    };
    Err(Failure::usage(format!("no record has the type {text:?}")).hint(hint))
}

/// The known word that is one or two letters away (a sixth of it at most, and one at least).
fn nearest<'k>(text: &str, known: &[&'k str]) -> Option<&'k str> {
    let text = text.to_lowercase();
    let near = known.iter().map(|word| (distance(&text, word), *word)).min()?;
    (near.0 <= (text.chars().count() / 3).clamp(1, 3)).then_some(near.1)
}

/// How many letters have to be put in, taken out or replaced.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let (mut next, mut left) = (vec![at + 1], at + 1);
        for ((diagonal, above), is) in row.iter().zip(row.iter().skip(1)).zip(&other) {
            left = (diagonal + usize::from(letter != *is)).min(above + 1).min(left + 1);
            next.push(left);
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

fn whole_name(table: &str) -> Result<(), Failure> {
    match table.split_once('.') {
        Some((schema, name)) if !schema.is_empty() && !name.is_empty() => Ok(()),
        _ => Err(Failure::usage(format!("{table:?} is no relation with its schema"))
            .hint(format!("write it as --table schema.name, such as public.{}", table.trim_matches('.')))),
    }
}

/// As records have it: an address, the network or `others` that stand for more of them than were kept, or a commitment.
fn address(text: &str) -> Result<String, Failure> {
    if text == OTHERS {
        return Ok(text.to_owned());
    }
    if let Ok(commit) = text.to_ascii_lowercase().parse::<Commit>() {
        return Ok(commit.to_string());
    }
    if let Some((address, length)) = text.split_once('/') {
        return network(address, length).ok_or_else(|| {
            Failure::usage(format!("{text:?} is no network that a record can name")).hint(
                "records name networks of 192.0.2.0/24 and 2001:db8:1:2::/64 alone, and of few strangers",
            )
        });
    }
    let address: IpAddr = text.parse().map_err(|_| {
        Failure::usage(format!("{text:?} is no IP address")).hint(
            "write one, such as 192.0.2.7, without a port; or 192.0.2.0/24, 2001:db8:1:2::/64, `others`, or the 64 \
             digits that stand for an address that was erased",
        )
    })?;
    Ok(address.to_canonical().to_string())
}

/// What addresses of failed logins are recorded as, once there were very many.
const OTHERS: &str = "others";

/// A network as records name it, by any address in it.
fn network(address: &str, length: &str) -> Option<String> {
    match (address.parse::<IpAddr>().ok()?.to_canonical(), length) {
        (IpAddr::V4(address), "24") => {
            Some(format!("{}/24", Ipv4Addr::from_bits(address.to_bits() & 0xffff_ff00)))
        }
        (IpAddr::V6(address), "64") => {
            Some(format!("{}/64", Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))))
        }
        _ => None,
    }
}

/// `>=40`, or just `40`.
fn risk(text: &str) -> Result<u64, Failure> {
    let number = text.trim().strip_prefix(">=").unwrap_or(text.trim()).trim();
    number
        .parse()
        .map_err(|_| Failure::usage(format!("{text:?} is no risk")).hint("write it as --risk '>=40'"))
}

/// An instant: `2026-01-31` (in UTC), RFC 3339, or how long before `now`: `90d`, `12h`, `30m`, `45s`, `6w`.
pub(crate) fn time(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    instant(text.trim(), now).ok_or_else(|| {
        Failure::usage(format!("{text:?} is no time"))
            .hint("write 2026-01-31, 2026-01-31T12:00:00Z, or how long ago: 90d, 12h, 30m")
    })
}

fn instant(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Some(unit) = text.chars().last().filter(char::is_ascii_lowercase) {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return None,
        };
        let digits =
            text.strip_suffix(unit).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        let micros = digits.parse::<i64>().ok()?.checked_mul(seconds)?.checked_mul(1_000_000)?;
        return now.micros().checked_sub(micros).map(Timestamp::from_micros);
    }
    let at = match text.parse::<jiff::Timestamp>() {
        Ok(at) => at,
        // Of a text with a time of day the offset is needed: nobody should have to guess it.
        Err(_) if text.len() == 10 => {
            text.parse::<jiff::civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp()
        }
        Err(_) => return None,
    };
    Some(Timestamp::from_micros(at.as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_795_318_325_000_001);

    fn shown(text: &str) -> Option<String> {
        time(text, NOW).ok().map(|at| at.to_string())
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, is) in [
            ("90d", "2026-08-24T03:32:05.000001Z"),
            ("12h", "2026-11-21T15:32:05.000001Z"),
            ("30m", "2026-11-22T03:02:05.000001Z"),
            ("0s", "2026-11-22T03:32:05.000001Z"),
            ("1w", "2026-11-15T03:32:05.000001Z"),
            ("2026-01-31", "2026-01-31T00:00:00.000000Z"),
            ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.000000Z"),
            ("2026-01-31T12:00:00.5+02:00", "2026-01-31T10:00:00.500000Z"),
            ("2026-11-22T03:32:05.000001Z", "2026-11-22T03:32:05.000001Z"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(is), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for wrong in [
            "",
            "d",
            "-1d",
            "1y",
            "90",
            "9999999999999999w",
            "2026-13-01",
            "2026-01-31T12:00:00",
            "now",
            "+1h",
        ] {
            assert_eq!(shown(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn risks_are_numbers() {
        assert_eq!((risk(">=40").unwrap(), risk(">= 40").unwrap(), risk("7").unwrap()), (40, 40, 7));
        assert!(risk("<40").is_err() && risk("high").is_err());
    }

    fn refused(args: FilterArgs) -> String {
        let failure = filter(&args, NOW).unwrap_err();
        assert_eq!(failure.exit_code(), std::process::ExitCode::from(2));
        failure.to_string()
    }

    #[test]
    fn what_no_record_can_have_is_refused_with_what_was_meant() {
        let of = |text: &str| vec![text.to_owned()];
        let kind = |text: &str| FilterArgs { kind: of(text), ..FilterArgs::default() };
        let outcome = |text: &str| FilterArgs { outcome: of(text), ..FilterArgs::default() };
        assert!(types().len() > 50 && types().contains(&"stepup.ended".to_owned()), "{:?}", types());
        assert!(refused(kind("stepup.endet")).contains("did you mean `stepup.ended`?"));
        assert!(refused(kind("stepup.nothing-alike")).contains("stepup.requested"));
        assert!(refused(kind("stepupp.*")).contains("there are: log.started"));
        assert!(refused(outcome("aproved")).contains("did you mean `approved`?"));
        assert!(refused(outcome("yes")).contains("there are: forward"));
        assert!(
            refused(FilterArgs { table: of("customers"), ..FilterArgs::default() })
                .contains("public.customers")
        );
        assert!(
            refused(FilterArgs { address: of("localhost"), ..FilterArgs::default() }).contains("IP address")
        );
        let period = |since: &str, until: &str| FilterArgs {
            since: Some(since.to_owned()),
            until: Some(until.to_owned()),
            ..FilterArgs::default()
        };
        assert!(refused(period("1d", "7d")).contains("--since"));
        assert!(filter(&period("7d", "1d"), NOW).is_ok());
        for kind_is in ["stepup.*", "*", "stepup.ended", "statement.d*"] {
            assert!(filter(&kind(kind_is), NOW).is_ok(), "{kind_is}");
        }
        assert!(outcomes().iter().all(|is| filter(&outcome(is), NOW).is_ok()));
    }

    #[test]
    fn addresses_are_named_as_records_name_them_and_what_none_names_is_refused() {
        let as_found = |text: &str| {
            let args = FilterArgs { address: vec![text.to_owned()], ..FilterArgs::default() };
            filter(&args, NOW).map(|filter| filter.address.join(" "))
        };
        let commit = "0a".repeat(32);
        for (text, is) in [
            ("192.0.2.7", "192.0.2.7"),
            ("2001:DB8:0::7", "2001:db8::7"),
            ("::ffff:127.0.0.1", "127.0.0.1"),
            ("192.0.2.0/24", "192.0.2.0/24"),
            ("192.0.2.99/24", "192.0.2.0/24"),
            ("2001:db8:1:2::/64", "2001:db8:1:2::/64"),
            ("2001:DB8:1:2:3::4/64", "2001:db8:1:2::/64"),
            ("others", "others"),
            (&commit.to_uppercase(), &commit),
        ] {
            assert_eq!(as_found(text).unwrap(), is, "{text}");
        }
        for wrong in
            ["192.0.2.0/8", "192.0.2.0/64", "2001:db8::/24", "/24", "192.0.2.0/", "192.0.2.7:5432", "Others"]
        {
            assert!(as_found(wrong).is_err(), "{wrong}");
        }
    }
}
