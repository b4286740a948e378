//! Dates as people write them.

use super::digits::is_day;

/// Year, month and day of a text that is a date, in any usual order; a time after it is not looked at.
pub(crate) fn read(text: &str) -> Option<(u32, u32, u32)> {
    let text = text.trim();
    if let Some(date) = with_month_in_words(text) {
        return Some(date);
    }
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
        // `31.01.74`: of a version's parts or a time's, few are so.
        [one, two, year] if (one.len(), two.len(), year.len()) == (2, 2, 2) => {
            let (one, two, year) = (number(one)?, number(two)?, number(year)?);
            let year = if year > PIVOT { 1900 + year } else { 2000 + year };
            if two > 12 { (year, one, two) } else { (year, two, one) }
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

/// Years of two digits beyond it are of the last century.
const PIVOT: u32 = 30;

/// How names of months begin, plain letters, in a dozen languages.
const MONTHS: [&str; 12] = [
    "jan ene gen sty tam",
    "feb fev fevr luty lut hel",
    "mar maer mrz mars maa",
    "apr avr abr kwi huh",
    "may mai mag maj mei tou",
    "jun juin giu cze kes",
    "jul juil lug lip hei",
    "aug aou ago sie elo",
    "sep set wrz syy",
    "oct okt ott out paz lok",
    "nov lis",
    "dec dez dic dis gru jou",
];

/// `31-Jan-1974`, `3 de marzo de 1975`, `March 3, 1975`, `12. August 1980`.
fn with_month_in_words(text: &str) -> Option<(u32, u32, u32)> {
    if text.len() > 40 || !text.contains(char::is_alphabetic) {
        return None;
    }
    let plain = super::super::fold::fold(text);
    let words = plain.split(|letter: char| !letter.is_alphanumeric()).filter(|word| !word.is_empty());
    let (mut numbers, mut month) = (Vec::new(), None);
    for word in words {
        let digits = word.trim_end_matches(['s', 't', 'n', 'd', 'r', 'h', 'e']);
        if let Ok(number) = digits.parse::<u32>() {
            numbers.push((number, digits.len()));
        } else if !matches!(word, "de" | "del" | "of" | "the") {
            let begins = |names: &str| names.split(' ').any(|name| word.starts_with(name));
            let found = MONTHS.iter().position(|names| begins(names))?;
            // A second word is none of a date.
            if month.replace(found).is_some() {
                return None;
            }
        }
    }
    let month = u32::try_from(month? + 1).ok()?;
    let (year, day) = match numbers.as_slice() {
        [(year, 4), (day, _)] | [(day, _), (year, 4)] => (*year, *day),
        [(day, _), (year, 2)] => (if *year > PIVOT { 1900 + year } else { 2000 + year }, *day),
        _ => return None,
    };
    (is_day(year, month, day) && (1..=9999).contains(&year)).then_some((year, month, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_read_in_the_usual_orders() {
        for text in [
            "1974-01-31",
            "31.01.1974",
            "01/31/1974",
            "31/1/1974",
            "19740131",
            "1974-01-31 00:00:00+01",
            "31.01.74",
            "31-Jan-1974",
            "31 de enero de 1974",
            "January 31st, 1974",
            "31. Januar 1974",
            "31 stycznia 1974",
        ] {
            assert_eq!(read(text), Some((1974, 1, 31)), "{text}");
        }
        for bad in [
            "1974-13-40",
            "12345678",
            "1.2.3",
            "10:30",
            "1974",
            "",
            "192.168.1.20",
            "3 Maja 7",
            "Mark 1974",
            "12.34.56",
            "Jan 5",
            "May and June 1974",
        ] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }
}
