//! Names of columns and tables, cut into words.

use super::fold::fold;

/// The most words in a row that are looked up as one: `numero_de_securite_sociale`.
const MAX_RUN: usize = 5;

/// A name in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Words(Vec<String>);

impl Words {
    /// Cuts `geb_dat`, `lastName`, `E-Mail`, `tel2`, `APELLIDO1` into words, folded.
    pub(crate) fn of(name: &str) -> Self {
        let mut words = vec![String::new()];
        let letters: Vec<char> = name.chars().collect();
        for (at, letter) in letters.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|at| letters.get(at)).copied();
            let after = letters.get(at + 1).copied();
            if !letter.is_alphanumeric() {
                words.push(String::new());
                continue;
            }
            let begins = before.is_some_and(|before| {
                let hump = before.is_lowercase() && letter.is_uppercase();
                // `IBANNumber`: the last capital begins a word.
                let end =
                    before.is_uppercase() && letter.is_uppercase() && after.is_some_and(char::is_lowercase);
                hump || end || before.is_ascii_digit() != letter.is_ascii_digit()
            });
            if begins {
                words.push(String::new());
            }
            if let Some(word) = words.last_mut() {
                word.push(*letter);
            }
        }
        Self(words.iter().map(|word| fold(word)).filter(|word| !word.is_empty()).collect())
    }

    /// The words.
    pub(crate) fn all(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// Words in a row, written as one, and whether the last word is among them: `date`, `dateof`, `dateofbirth`, `of`, …
    pub(crate) fn runs(&self) -> impl Iterator<Item = (String, bool)> + '_ {
        let end = self.0.iter().rposition(|word| !word.starts_with(|letter: char| letter.is_ascii_digit()));
        let end = end.map_or(0, |last| last + 1);
        (0..self.0.len()).flat_map(move |from| {
            (from + 1..=self.0.len().min(from + MAX_RUN))
                .filter_map(move |to| Some((self.0.get(from..to)?.concat(), to >= end)))
        })
    }

    /// The last word that is no number.
    pub(crate) fn last(&self) -> Option<&str> {
        self.all().filter(|word| !word.starts_with(|letter: char| letter.is_ascii_digit())).last()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_cut_where_people_see_words() {
        for (name, expected) in [
            ("geb_dat", vec!["geb", "dat"]),
            ("lastName", vec!["last", "name"]),
            ("E-Mail", vec!["e", "mail"]),
            ("IBANNumber", vec!["iban", "number"]),
            ("APELLIDO1", vec!["apellido", "1"]),
            ("Straße", vec!["strasse"]),
            ("x_mail", vec!["x", "mail"]),
        ] {
            assert_eq!(Words::of(name).all().collect::<Vec<_>>(), expected, "{name}");
        }
        assert!(Words::of("date_of_birth").runs().any(|(run, _)| run == "dateofbirth"));
        assert_eq!(Words::of("tel_2").last(), Some("tel"));
    }
}
