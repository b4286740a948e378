//! From flags to a filter.

use stepgate_record::Filter;
use stepgate_types::Timestamp;

use crate::args::FilterArgs;
use crate::failure::Failure;

/// The filter that these flags name; `now` is what `90d` counts back from.
pub(crate) fn filter(args: &FilterArgs, now: Timestamp) -> Result<Filter, Failure> {
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
        grant: Vec::new(),
        address: args.address.clone(),
        risk: args.risk.as_deref().map(risk).transpose()?,
        since: args.since.as_deref().map(|text| time(text, now)).transpose()?,
        until: args.until.as_deref().map(|text| time(text, now)).transpose()?,
    })
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
}
