//! Name and values weighed against each other. Values count for more: a name is only what somebody once thought.

use super::contents;
use super::dictionary::{self, Hint, Said};
use super::sample::{Sample, Shape};
use super::verdict::{Grade, Verdict, fits, verdict};
use super::what::What;
use super::words::Words;

/// From which confidence on, of 100, a column is proposed.
const PROPOSED: u8 = 50;

/// The most words of a comment that is taken for another name of its column.
const SHORT_COMMENT: usize = 6;

/// A column and what is known of it.
#[derive(Debug)]
pub(crate) struct Column<'c> {
    pub(crate) name: &'c str,
    pub(crate) shape: Shape,
    /// Other names: of its domain, and those by which views show it.
    pub(crate) aliases: &'c [String],
    pub(crate) comment: Option<&'c str>,
    /// A CHECK of its own, or its domain's, wants an `@`.
    pub(crate) wants_at: bool,
    /// Some of its values, of those that are not null.
    pub(crate) values: &'c [String],
}

/// What is known of its table.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Table {
    /// It is about people: by its name, or by what else it holds.
    pub(crate) people: bool,
    /// It is a list of things.
    pub(crate) things: bool,
    /// It is a list of machines.
    pub(crate) machines: bool,
    /// It is about places where a firm does business, which are nobody's home.
    pub(crate) places: bool,
}

impl Table {
    /// What its name says.
    pub(crate) fn by(name: &str) -> Self {
        let words = Words::of(name);
        let people = dictionary::is_about_people(&words);
        Self {
            people,
            things: !people && dictionary::is_about_things(&words),
            machines: !people && dictionary::is_about_machines(&words),
            places: !people && dictionary::is_about_places(&words),
        }
    }
}

/// What a column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) what: What,
    /// Of 100.
    pub(crate) confidence: u8,
    /// In words: never a value.
    pub(crate) reason: String,
}

/// What a column holds, if anything of a kind that is `wanted`. `year`: the present one.
pub(crate) fn judge(
    column: &Column<'_>,
    table: Table,
    wanted: &dyn Fn(What) -> bool,
    year: u32,
) -> Option<Finding> {
    let said = said(column);
    if let Some(contents) = contents::within(column.shape, column.values) {
        let found = contents.fields().filter_map(|(field, values)| {
            let aliases = [column.name.to_owned()];
            // What a list holds is what its column is called after.
            let own = field.is_empty();
            let inner = Column {
                name: if own { column.name } else { field },
                shape: Shape::Text,
                aliases: if own { column.aliases } else { &aliases },
                comment: column.comment.filter(|_| own),
                wants_at: false,
                values,
            };
            let said = if own { said.clone() } else { Said::by(&Words::of(field)) };
            let found = best(&inner, &said, table, wanted, year)?;
            let place =
                if own { "within: ".to_owned() } else { "within, in a field of its own: ".to_owned() };
            Some(Finding { reason: format!("{place}{}", found.reason), ..found })
        });
        let inner = found.max_by_key(|found| (found.what.severity(), found.confidence));
        if inner.is_some() || column.shape != Shape::Text {
            return inner;
        }
    }
    best(column, &said, table, wanted, year)
}

fn said(column: &Column<'_>) -> Said {
    let mut said = Said::by(&Words::of(column.name));
    for alias in column.aliases {
        said.also(&Said::by(&Words::of(alias)), Hint::Strong);
    }
    if let Some(comment) = column.comment {
        let words = Words::of(comment);
        let most = if words.all().count() <= SHORT_COMMENT { Hint::Strong } else { Hint::Weak };
        said.also(&Said::by(&words), most);
    }
    said
}

fn best(
    column: &Column<'_>,
    said: &Said,
    table: Table,
    wanted: &dyn Fn(What) -> bool,
    year: u32,
) -> Option<Finding> {
    let sample = Sample::of(column.values);
    let found = What::ALL.into_iter().filter(|what| wanted(*what)).filter_map(|what| {
        let mut hint = said.of(what);
        if what == What::Email && column.wants_at {
            hint = Some(Hint::Strong);
        }
        // A type of its own is as good as a name.
        if what == What::IpAddress && column.shape == Shape::Inet && hint.is_none() {
            hint = Some(Hint::Weak);
        }
        if hint.is_none() && sample.len() == 0 || !fits(what, column.shape) {
            return None;
        }
        let verdict = verdict(what, column.shape, &sample, year);
        let confidence = confidence(what, hint, said, &verdict, table);
        (confidence >= PROPOSED).then(|| Finding { what, confidence, reason: reason(hint, said, &verdict) })
    });
    found.max_by_key(|found| (found.confidence, found.what.severity()))
}

/// Of 100.
fn confidence(what: What, hint: Option<Hint>, said: &Said, verdict: &Verdict, table: Table) -> u8 {
    // Of a password, the hash is what is kept.
    let qualified = said.qualified && what != What::Credential;
    let thing = said.of_thing && hint != Some(Hint::Strong);
    // Towns are called after people: a column that says it is one is none of the other.
    let thing = thing || (what == What::Name && hint.is_none() && said.of(What::Address).is_some());
    let against = qualified || thing;
    let base = match (hint, verdict.grade) {
        (_, Grade::Refuted) => 0,
        // What is hidden is so much less to protect, whatever it is called; what a name adds is which it is.
        (Some(Hint::Strong), Grade::Partial) => 70,
        (_, Grade::Partial) if against => 52,
        (Some(Hint::Weak), Grade::Partial) => 65,
        (None, Grade::Partial) => 58,
        // A day on which something began, in a name that says so.
        (None | Some(Hint::Weak), _) if what == What::BirthDate && said.of_event => 20,
        (_, Grade::Strong) if qualified => {
            if matches!(what, What::Name | What::Username) {
                45
            } else {
                75
            }
        }
        (_, Grade::Strong) if thing => match what {
            // Brands and colours are called like people.
            What::Name | What::Username => 45,
            What::Address | What::Phone | What::NationalId => 60,
            _ => 80,
        },
        (_, _) if against => 20,
        (Some(Hint::Strong), Grade::Strong) => 99,
        (Some(Hint::Strong), Grade::Medium) => 95,
        (Some(Hint::Strong), Grade::Loose) => 85,
        (Some(Hint::Strong), Grade::Nothing) => 75,
        (Some(Hint::Weak), Grade::Strong) => 96,
        (Some(Hint::Weak), Grade::Medium) => 80,
        (Some(Hint::Weak), Grade::Loose) if may_be_guessed(what) => 45,
        (Some(Hint::Weak), Grade::Nothing) if may_be_guessed(what) => 40,
        (Some(Hint::Weak), _) => 20,
        (None, Grade::Strong) => 90,
        (None, Grade::Medium) => 62,
        (None, _) => 0,
    };
    let context: i32 = match (what, hint, verdict.grade) {
        (_, Some(Hint::Strong), _) | (_, _, Grade::Refuted | Grade::Partial) => 0,
        // Places and days are of people only beside other things of theirs.
        (What::BirthDate | What::Address | What::PostalCode, None, Grade::Medium) => {
            if table.people {
                13
            } else {
                -20
            }
        }
        (What::Name | What::Address, _, _) if table.things && !table.people => -15,
        (_, _, Grade::Medium | Grade::Loose | Grade::Nothing) if table.people => 15,
        (_, _, Grade::Medium) if table.things => -15,
        _ => 0,
    };
    let elsewhere = match what {
        What::FreeText if verdict.grade == Grade::Nothing && !table.people => -30,
        What::Address | What::PostalCode if table.places && !table.people => -50,
        // Of machines.
        What::IpAddress if table.things && verdict.grade <= Grade::Medium => -50,
        What::IpAddress if (table.machines || said.of_machine) && !said.of_visitor && !table.people => -60,
        _ => 0,
    };
    let base = if base < 40 { base } else { base + context + elsewhere };
    u8::try_from(base.clamp(0, 99)).unwrap_or(0)
}

/// Whether a name that may mean many things is enough in a table about people, where values do not speak against it.
const fn may_be_guessed(what: What) -> bool {
    matches!(what, What::Name | What::Address | What::PostalCode | What::BirthDate)
}

fn reason(hint: Option<Hint>, said: &Said, verdict: &Verdict) -> String {
    let name = match hint {
        _ if said.qualified => "against its name",
        Some(Hint::Strong) => "name",
        Some(Hint::Weak) => "name (vague)",
        None => "",
    };
    match (name, verdict.grade, verdict.how.as_str()) {
        (name, Grade::Nothing, _) => format!("{name}, no values"),
        ("", _, how) => how.to_owned(),
        (name, _, "") => name.to_owned(),
        (name, _, how) => format!("{name} + {how}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: u32 = 2026;

    fn what(name: &str, shape: Shape, table: &str, values: &[String]) -> Option<What> {
        let column = Column { name, shape, aliases: &[], comment: None, wants_at: false, values };
        judge(&column, Table::by(table), &|what| what.is_usual(), YEAR).map(|found| found.what)
    }

    fn made(count: u64, make: impl Fn(u64) -> String) -> Vec<String> {
        (0..count).map(|at| make(at * 7_368_787 % 1_000_003)).collect()
    }

    #[test]
    fn values_beat_names() {
        let mails = made(40, |at| format!("u{at}@example.com"));
        assert_eq!(what("c1", Shape::Text, "t7", &mails), Some(What::Email));
        assert_eq!(what("phone", Shape::Text, "t7", &mails), Some(What::Email));
        assert_eq!(what("order_no", Shape::Text, "orders", &mails), Some(What::Email));
        let hashes = made(40, |at| format!("{at:064x}"));
        assert_eq!(what("ssn_hash", Shape::Text, "people", &hashes), None);
        assert_eq!(what("email", Shape::Text, "people", &hashes), None);
    }

    #[test]
    fn a_few_names_of_people_again_and_again_are_names_and_a_few_other_words_are_not() {
        let again =
            |words: &[&str]| made(120, |at| words[usize::try_from(at).unwrap() % words.len()].to_owned());
        for name in ["first_name", "vorname", "last_name"] {
            let people = if name == "last_name" {
                ["Rodriguez", "Schmidt", "Jones"]
            } else {
                ["Anna", "Peter", "Maria"]
            };
            assert!(what(name, Shape::Text, "people", &again(&people)).is_some(), "{name}");
        }
        assert_eq!(what("state", Shape::Text, "orders", &again(&["Open", "Closed", "Lost"])), None);
        assert_eq!(what("name", Shape::Text, "tiers", &again(&["Gold", "Silver", "Bronze"])), None);
    }

    #[test]
    fn names_need_a_type_that_fits() {
        assert_eq!(what("email_sent_at", Shape::Timestamp, "users", &[]), None);
        assert_eq!(what("email", Shape::Timestamp, "users", &[]), None);
        assert_eq!(what("phone_verified", Shape::Other, "users", &[]), None);
        assert_eq!(
            what("card_count", Shape::Integer { wide: true }, "users", &made(9, |at| (at % 5).to_string())),
            None
        );
        assert_eq!(what("email", Shape::Text, "users", &[]), Some(What::Email));
        assert_eq!(what("geb_dat", Shape::Date, "kunden", &[]), Some(What::BirthDate));
    }

    #[test]
    fn numbers_that_only_look_so_are_left_alone() {
        let orders = made(100, |at| format!("49{:08}", 30_000_000 + at));
        assert_eq!(what("order_ref", Shape::Text, "orders", &orders), None);
        assert_eq!(what("c4", Shape::Text, "t", &orders), None);
        let long = made(100, |at| format!("4{:015}", at * 31));
        assert_eq!(what("txn", Shape::Text, "t", &long), None);
        assert_eq!(what("c5", Shape::Integer { wide: true }, "t", &long), None);
        let ids = made(300, |at| (100_000_000 + at).to_string());
        assert_eq!(what("id", Shape::Integer { wide: false }, "t", &ids), None);
    }

    #[test]
    fn what_stands_within_values_counts() {
        let documents = made(30, |at| format!(r#"{{"id": {at}, "k": {{"x": "u{at}@example.com"}}}}"#));
        assert_eq!(what("payload", Shape::Json, "events", &documents), Some(What::Email));
        assert_eq!(what("payload", Shape::Text, "events", &documents), Some(What::Email));
        let notes = made(30, |at| match at % 3 {
            0 => format!("please write to u{at}@example.com about the delivery"),
            _ => "delivered without any remarks on that day".to_owned() + &at.to_string(),
        });
        assert_eq!(what("c9", Shape::Text, "t", &notes), Some(What::FreeText));
    }

    #[test]
    fn no_reason_has_a_value_in_it() {
        let values = made(40, |at| format!("marked{at}@example.com"));
        let column = Column {
            name: "c",
            shape: Shape::Text,
            aliases: &[],
            comment: None,
            wants_at: false,
            values: &values,
        };
        let found = judge(&column, Table::default(), &|_| true, YEAR).unwrap();
        assert!(!format!("{found:?}").contains("marked"));
    }
}
