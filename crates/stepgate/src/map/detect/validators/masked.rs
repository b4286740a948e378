//! Numbers of which some digits are hidden: `XXX-XX-1234`, `**** **** **** 1111`. What is left of one tells less, and may
//! still tell whose it is.

use super::super::what::What;

/// Letters that stand for hidden ones. `X` and `x` only where nothing but digits is shown.
const MASKS: [char; 8] = ['*', '•', '●', '·', '#', '█', 'X', 'x'];

/// The fewest letters that are hidden, and digits that are shown.
const HIDDEN: usize = 3;
const SHOWN: usize = 2;

/// What a text is a masked one of. Of national numbers, which have many forms, only those that are written as some state's.
pub(crate) fn is(text: &str, what: What) -> bool {
    let Some(form) = form(text) else { return false };
    match what {
        What::Card => is_card(&form),
        // Area and group hidden.
        What::Ssn => form.groups == ["mmm", "mm", "9999"] || form.groups == ["mmmmm9999"],
        What::NationalId => is_national(&form),
        What::Iban => {
            form.letters == 2 && form.compact.starts_with("AA") && (15..=34).contains(&form.length())
        }
        _ => false,
    }
}

/// Whether some digits are shown and others are hidden, as in some number of a person's: where a name says which.
pub(crate) fn is_some(text: &str) -> bool {
    form(text).is_some_and(|form| (6..=24).contains(&form.length()))
}

/// A text as groups of `m` (hidden), `9` (digits) and `A` (letters).
struct Form {
    groups: Vec<String>,
    compact: String,
    hidden: usize,
    shown: usize,
    letters: usize,
}

impl Form {
    fn length(&self) -> usize {
        self.compact.len()
    }
}

fn form(text: &str) -> Option<Form> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let mut pattern = String::new();
    for letter in text.chars() {
        pattern.push(match letter {
            _ if MASKS.contains(&letter) => 'm',
            '0'..='9' => '9',
            'A'..='Z' | 'a'..='z' => 'A',
            ' ' | '-' | '.' | '/' | '\u{a0}' => ' ',
            _ => return None,
        });
    }
    let groups: Vec<String> = pattern.split_whitespace().map(str::to_owned).collect();
    let compact = groups.concat();
    let count = |of: char| compact.chars().filter(|letter| *letter == of).count();
    let (hidden, shown, letters) = (count('m'), count('9'), count('A'));
    // `x` beside other letters is a letter.
    let xs = text.contains(['x', 'X']);
    let is = hidden >= HIDDEN && shown >= SHOWN && !(xs && letters > 0);
    is.then_some(Form { groups, compact, hidden, shown, letters })
}

/// The last digits, or the first six and the last four (PCI DSS 4.0, requirement 3.4.1), of as many as cards have.
fn is_card(form: &Form) -> bool {
    let ends = form.compact.ends_with("9999") && !form.compact.ends_with("99999");
    let begins = form.compact.chars().take_while(|letter| *letter == '9').count();
    let middle = form.compact.chars().skip(begins).take(form.hidden).all(|letter| letter == 'm');
    let in_fours = form.groups.len() > 1 && form.groups.iter().all(|group| group.len() <= 6);
    let length = form.length();
    form.letters == 0
        && ends
        && middle
        && begins <= 8
        && ((12..=19).contains(&length) || (in_fours && length == 16))
}

/// As states' offices show them: Brazil's CPF, Spain's DNI (AEPD), and eleven digits of which four are shown.
fn is_national(form: &Form) -> bool {
    let pattern = form.groups.join(" ");
    let brazilian = ["mmm 999 999 mm", "mmm mmm mmm 99", "mmm 999 mmm mm"];
    let spanish = ["mmm9999mm", "mmmm9999m", "9999mmmmA", "mmmmm999A", "mmmm9999A", "mmm99999A"];
    let last_four = form.compact.ends_with("9999") && form.shown == 4 && (10..=11).contains(&form.length());
    brazilian.contains(&pattern.as_str()) || spanish.contains(&pattern.as_str()) || last_four
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_of_a_number_says_what_it_was() {
        for (text, what) in [
            ("**** **** **** 1111", What::Card),
            ("XXXX-XXXX-XXXX-1111", What::Card),
            ("411111******1111", What::Card),
            ("xxxxxxxxxxxx4242", What::Card),
            ("•••• •••• •••• 4242", What::Card),
            ("XXX-XX-1234", What::Ssn),
            ("***-**-1234", What::Ssn),
            ("*****1234", What::Ssn),
            ("***.982.247-**", What::NationalId),
            ("***1234**", What::NationalId),
            ("*******1359", What::NationalId),
            ("DE89 **** **** **** **30 00", What::Iban),
        ] {
            let others = [What::Card, What::Ssn, What::NationalId, What::Iban];
            let is: Vec<What> = others.into_iter().filter(|other| is(text, *other)).collect();
            assert_eq!(is, [what], "{text}");
        }
        for other in [
            "",
            "****",
            "1234",
            "max-xx-12",
            "4x4 1234",
            "XXL-1234",
            "xx12",
            "0xffff1234",
            "* 1 * 2 * 3 @",
            "1.2.x",
        ] {
            let all = [What::Card, What::Ssn, What::NationalId, What::Iban];
            assert!(all.into_iter().all(|what| !is(other, what)), "{other}");
        }
        assert!(is_some("12***34") && !is_some("XXL-1234") && !is_some("1 x 2"));
    }
}
