//! Dates as people write them.

use super::digits::is_day;

/// Year, month and day of a text that is a date, in any usual order; a time after it is not looked at.
pub(crate) fn read(text: &str) -> Option<(u32, u32, u32)> {
    let text = text.trim();
    let date = text.split([' ', 'T']).next()?;
    let parts: Vec<&str> = date.split(['-', '.', '/']).collect();
    let number = |text: &str| -> Option<u32> {
        text.chars().all(|letter| letter.is_ascii_digit()).then(|| text.parse().ok())?
    };
    let (year, month, day) = match parts.as_slice() {
        [year, month, day] if year.len() == 4 => (number(year)?, number(month)?, number(day)?),
        [one, two, year] if year.len() == 4 && one.len() <= 2 && two.len() <= 2 => {
            let (one, two) = (number(one)?, number(two)?);
            if two > 12 { (number(year)?, one, two) } else { (number(year)?, two, one) }
        }
        // Written as a number: 19740131, 31011974.
        [all] if all.len() == 8 && all == &text => {
            let all = number(all)?;
            let first = (all / 10_000, all / 100 % 100, all % 100);
            if (1900..2100).contains(&first.0) {
                first
            } else {
                (all % 10_000, all / 10_000 % 100, all / 1_000_000)
            }
        }
        _ => return None,
    };
    // Day and month may stand the American way round.
    let good = is_day(year, month, day) || is_day(year, day, month);
    (good && (1..=9999).contains(&year)).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_usual_orders() {
        for text in
            ["1974-01-31", "31.01.1974", "01/31/1974", "31/1/1974", "19740131", "1974-01-31 00:00:00+01"]
        {
            assert_eq!(read(text), Some((1974, 1, 31)), "{text}");
        }
        for bad in ["1974-13-40", "12345678", "1.2.3", "10:30", "1974", "", "192.168.1.20"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
