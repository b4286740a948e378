//! What clauses ask and find, in words.

use std::collections::{BTreeSet, HashSet};
use std::fmt::Display;

use stepgate_types::{Kind, thousands};

use crate::condition::{ClassTest, Part, Threshold};
use crate::condition_load::sink_word;
use crate::map::Map;
use crate::map::reads;
use crate::present::{Present, PurposeTest};
use crate::statement::Statement;
use crate::time_load::DAYS;
use crate::truth::Truth;

/// How many names are told.
const MAX_NAMES: usize = 8;

/// What a clause asks for; those of conditions and columns are told by others.
pub(crate) fn asks(part: &Part) -> (&'static str, String) {
    match part {
        Part::Touch(_) | Part::Any(_) | Part::All(_) | Part::Not(_) => ("", String::new()),
        Part::Kind(kinds) => ("kind", joined(kinds.iter().map(|it| it.as_str()))),
        Part::Certainty(wanted) => ("certainty", joined(wanted.iter().map(|it| it.as_str()))),
        Part::Bulk(wanted) => ("bulk", wanted.to_string()),
        Part::BulkShape(shapes) => ("bulk", joined(shapes.iter().map(|it| it.as_str()))),
        Part::Sink(wanted) => ("sink", wanted.to_string()),
        Part::SinkKind(kinds) => ("sink", joined(kinds.iter().map(|it| sink_word(*it)))),
        Part::Functions(names) => ("functions", joined(names)),
        Part::Estimate(threshold) => ("estimate_rows", at_least(*threshold)),
        Part::Predicate(test) => {
            let of = test.of.columns.as_ref().map(sorted).or_else(|| test.of.labels.as_ref().map(sorted));
            let op = test.op.map_or("any comparison", |op| op.as_str());
            ("predicate", format!("{} {op} {}", of.unwrap_or_default(), test.shown).trim().to_owned())
        }
        Part::Person(people) => ("person", joined(people)),
        Part::Groups(groups) => ("groups", joined(groups)),
        Part::Database(names) => ("database", joined(names)),
        Part::DbUser(names) => ("db_user", joined(names)),
        Part::Client(names) => ("client", names.to_string()),
        Part::Network(networks) => ("network", joined(networks)),
        Part::Time(window, within) => {
            ("time", format!("{} {window}", if *within { "within" } else { "outside" }))
        }
        Part::Signal(signals) => ("signal", joined(signals)),
        Part::Risk(threshold) => ("risk", at_least(*threshold)),
        Part::Purpose(PurposeTest::Stated(stated)) => ("purpose", stated.to_string()),
        Part::Purpose(PurposeTest::OneOf(names)) => ("purpose", names.to_string()),
    }
}

/// What it found.
pub(crate) fn found(part: &Part, statement: &Statement<'_>, present: &Present<'_>) -> String {
    let (facts, who) = (statement.facts, present.who);
    let doubtful =
        |word: String| if statement.unknown() { format!("{word}, for all that is known") } else { word };
    match part {
        Part::Touch(_) | Part::Any(_) | Part::All(_) | Part::Not(_) => String::new(),
        Part::Kind(_) => match joined(facts.runs().map(Kind::as_str)) {
            within if within.is_empty() => facts.kind.as_str().to_owned(),
            within => format!("{}, which runs {within}", facts.kind.as_str()),
        },
        Part::Certainty(_) if statement.unknown() => "unknown".to_owned(),
        Part::Certainty(_) => facts.certainty.as_str().to_owned(),
        Part::Bulk(_) | Part::BulkShape(_) => doubtful(facts.bulk.as_str().to_owned()),
        Part::Sink(_) | Part::SinkKind(_) => {
            doubtful(some(facts.sinks.iter().map(|sink| sink_word(sink.kind))))
        }
        Part::Functions(_) => doubtful(some(&facts.functions)),
        Part::Estimate(_) => match facts.estimate.filter(|_| !statement.unknown()) {
            Some(rows) => format!("at most {}", thousands(rows)),
            None => "unknown, which is any number".to_owned(),
        },
        Part::Predicate(test) => {
            let of = facts.predicates.iter().filter(|it| test.is_of(&it.column, statement));
            let fitting = of.map(|it| {
                let fits = if test.fits(it, statement) == Truth::No { "does not fit" } else { "fits" };
                format!("{} {} ({fits})", it.column, it.op.as_str())
            });
            doubtful(some(fitting.collect::<BTreeSet<_>>()))
        }
        Part::Person(_) => who.person.to_string(),
        Part::Groups(_) => some(&who.groups),
        Part::Database(_) => who.database.clone(),
        Part::DbUser(_) => some([&who.db_user].into_iter().filter(|name| !name.is_empty())),
        Part::Client(_) => some([&who.client].into_iter().filter(|name| !name.is_empty())),
        Part::Network(_) => who.address.to_canonical().to_string(),
        Part::Time(window, _) => match window.local(who.now) {
            Some((day, minute)) => {
                let day = DAYS.get(usize::from(day)).copied().unwrap_or_default();
                format!("{day} {:02}:{:02}", minute / 60, minute % 60)
            }
            None => "no time of any calendar".to_owned(),
        },
        Part::Signal(_) => some(who.signals.iter().filter(|seen| seen.fires).map(|seen| seen.signal)),
        Part::Risk(_) => present.risk.unwrap_or(0).to_string(),
        Part::Purpose(_) => some(who.purpose.iter().filter(|purpose| !purpose.is_empty())),
    }
}

/// What of that kind the statement touches.
pub(crate) fn touched(clause: &str, statement: &Statement<'_>) -> String {
    let columns = || statement.columns.iter();
    let classified = || columns().filter_map(|column| Some((column, column.classified?)));
    let found = match clause {
        "class" => {
            let read = classified().filter(|(column, _)| reads(column.uses)).map(|(_, it)| it.class);
            some(read.max().map(|class| class.name.as_str()))
        }
        "labels" => {
            let labels = classified().filter_map(|(column, it)| {
                let written = if reads(column.uses) { "" } else { " (written)" };
                Some(format!("{}{written}", it.label?))
            });
            some(labels.collect::<BTreeSet<_>>())
        }
        "tables" => {
            let of_columns = columns().map(|column| &column.name.relation);
            some(statement.facts.relations.iter().chain(of_columns).collect::<BTreeSet<_>>())
        }
        "columns" => some(columns().map(|column| column.name)),
        _ => some(columns().flat_map(|column| column.uses).map(|it| it.as_str()).collect::<BTreeSet<_>>()),
    };
    if statement.unknown() { format!("{found}, for all that is known") } else { found }
}

/// `>=restricted`, by the map's names.
pub(crate) fn class(test: ClassTest, map: &Map) -> String {
    let (before, rank) = match test {
        ClassTest::Is(rank) => ("", rank),
        ClassTest::AtLeast(rank) => (">=", rank),
    };
    let name = map.classes.iter().find(|class| class.rank == rank).map(|class| class.name.as_str());
    format!("{before}{}", name.unwrap_or_default())
}

pub(crate) fn at_least(threshold: Threshold) -> String {
    format!(">={}", threshold.from)
}

/// In order, whatever order they are kept in.
pub(crate) fn sorted<T: Display + Ord>(set: &HashSet<T>) -> String {
    joined(set.iter().collect::<BTreeSet<_>>())
}

fn joined(names: impl IntoIterator<Item = impl Display>) -> String {
    names.into_iter().map(|name| name.to_string()).collect::<Vec<_>>().join(", ")
}

/// Some of them, or `none`.
fn some(names: impl IntoIterator<Item = impl Display>) -> String {
    let mut names = names.into_iter();
    let named: Vec<String> = names.by_ref().take(MAX_NAMES).map(|name| name.to_string()).collect();
    match (named.is_empty(), names.count()) {
        (true, _) => "none".to_owned(),
        (false, 0) => named.join(", "),
        (false, more) => format!("{} and {more} more", named.join(", ")),
    }
}
