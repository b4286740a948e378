//! Why a rule matched: each clause that held, what it found, and what the policy compares that with.
//!
//! What is found is told in words of map, catalog and policy, or as a power of ten: never a value of the statement, and
//! never who asks, since the record names them by a commitment.

use std::collections::BTreeSet;

use stepgate_sql::{Facts, Values};
use stepgate_types::Kind;

use crate::condition::{Condition, OnceDelivered, Part, Touch};
use crate::condition_load::sink_word;
use crate::map::Map;
use crate::policy::{Policy, Rule};
use crate::predicate::PredicateTest;
use crate::present::Present;
use crate::statement::Statement;
use crate::time_load::DAYS;
use crate::truth::Truth;
use crate::{Bound, Circumstances};

/// More of them say nothing that the first do not.
const MAX: usize = 32;

/// So many words are told of what a clause found. All of them are in the record's own lists of columns, relations and
/// functions, which go on in more records where they are long; of one `why` there is one entry, which cannot.
const MAX_WORDS: usize = 16;

/// And no more than this of them, in bytes: a column's name may take some four hundred, each six times that in JSON.
const MAX_WORDS_BYTES: usize = 512;

/// What is said of what cannot be told, and so may be anything.
const UNKNOWN: &str = "unknown";

/// A clause of a rule that matched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Why {
    /// The rule.
    pub rule: String,
    /// The clause, as the policy writes it.
    pub clause: &'static str,
    /// What it found.
    pub bucket: String,
    /// What the policy compares that with, where it is a number.
    pub threshold: String,
}

pub(crate) fn why(
    map: &Map,
    policy: &Policy,
    who: &Circumstances,
    bound: &Bound,
    message: &[Facts],
    values: &dyn Values,
) -> Vec<Why> {
    let present = Present::of(policy, who);
    let mut all = BTreeSet::new();
    for facts in message {
        let statement = Statement::new(map, &who.database, bound, facts, values);
        let matches = |rule: &&Rule| {
            rule.once_delivered.is_reached(who.delivered)
                && rule.condition.holds(&statement, &present) != Truth::No
        };
        for rule in policy.rules.iter().filter(matches) {
            let mut found = Vec::new();
            of_condition(&rule.condition, &statement, &present, &mut found);
            of_delivered(rule, who, &mut found);
            all.extend(found.into_iter().map(|(clause, bucket, threshold)| Why {
                rule: rule.name.clone(),
                clause,
                bucket,
                threshold,
            }));
        }
        let plain = |rule: &str, clause, bucket| Why {
            rule: rule.to_owned(),
            clause,
            bucket,
            threshold: String::new(),
        };
        if facts.kind == Kind::Control {
            all.insert(plain("control", "kind", "control".to_owned()));
        }
        if let Some(doubts) = &statement.doubt {
            let codes: Vec<_> = doubts.codes.iter().copied().collect();
            for (there, rule) in [
                (doubts.functions, &policy.unknown.functions),
                (doubts.dynamic_sql, &policy.unknown.dynamic_sql),
                (doubts.statements, &policy.unknown.statements),
            ] {
                if there {
                    all.insert(plain(rule.name, "certainty", told(&codes, " ")));
                }
            }
        }
    }
    all.into_iter().take(MAX).collect()
}

pub(crate) type Found = Vec<(&'static str, String, String)>;

fn of_condition(condition: &Condition, statement: &Statement<'_>, present: &Present<'_>, found: &mut Found) {
    condition.parts.iter().for_each(|part| of_part(part, statement, present, found));
}

pub(crate) fn of_part(part: &Part, statement: &Statement<'_>, present: &Present<'_>, found: &mut Found) {
    let facts = statement.facts;
    let who = present.who;
    let mut say = |clause, bucket: String| found.push((clause, bucket, String::new()));
    let known = |word: &str| if statement.unknown() { UNKNOWN.to_owned() } else { word.to_owned() };
    match part {
        Part::Touch(touch) => of_touch(touch, statement, found),
        Part::Kind(kinds) => {
            // By what runs within it, only where that is why.
            let within = facts.runs().filter(|kind| kinds.contains(kind) && !kinds.contains(&facts.kind));
            say("kind", told(std::iter::once(facts.kind).chain(within).map(Kind::as_str), " "));
        }
        Part::Certainty(_) => say("certainty", known(facts.certainty.as_str())),
        Part::Bulk(_) => say("bulk", known(facts.bulk.as_str())),
        Part::BulkShape(_) => say("bulk", known(facts.bulk.as_str())),
        Part::Sink(_) => say("sink", known(if facts.sinks.is_empty() { "none" } else { "yes" })),
        Part::SinkKind(_) => {
            let kinds: BTreeSet<_> = facts.sinks.iter().map(|sink| sink_word(sink.kind)).collect();
            say("sink", if kinds.is_empty() { known("none") } else { told(kinds, " ") });
        }
        Part::Functions(names) => {
            let called: Vec<_> = names.intersection(&facts.functions).collect();
            say("functions", if called.is_empty() { known("none") } else { told(called, " ") });
        }
        Part::Estimate(threshold) => {
            let rows = facts.estimate.filter(|_| !statement.unknown()).map_or(UNKNOWN.to_owned(), magnitude);
            found.push(("estimate_rows", rows, format!(">={}", threshold.from)));
        }
        Part::Predicate(test) => of_predicate(test, statement, found),
        Part::Groups(groups) => {
            let both = groups.intersection(&who.groups).map(ToString::to_string);
            say("groups", told(both, " "));
        }
        Part::Database(_) => say("database", who.database.clone()),
        // Names and addresses are in the record, or the session's, already.
        Part::Person(_) => say("person", "yes".to_owned()),
        Part::Client(_) => say("client", "yes".to_owned()),
        Part::Network(_) => say("network", "yes".to_owned()),
        Part::DbUser(_) => say("db_user", who.db_user.clone()),
        Part::Time(window, within) => {
            let bucket = window.local(who.now).map_or(UNKNOWN.to_owned(), |(day, minute)| {
                let day = DAYS.get(usize::from(day)).copied().unwrap_or(UNKNOWN);
                format!("{day} {:02}:00", minute / 60)
            });
            let word = if *within { "within" } else { "outside" };
            found.push(("time", bucket, format!("{word} {window}")));
        }
        Part::Signal(signals) => {
            let firing: Vec<_> =
                signals.iter().filter(|it| who.signals.fires(**it)).map(|it| it.as_str()).collect();
            say("signal", if firing.is_empty() { "none".to_owned() } else { told(firing, " ") });
        }
        Part::Risk(threshold) => {
            let risk = present.risk.map_or(UNKNOWN.to_owned(), |risk| risk.to_string());
            found.push(("risk", risk, format!(">={}", threshold.from)));
        }
        // What was stated is the client's own words.
        Part::Purpose(_) => {
            let stated = who.purpose.as_deref().is_some_and(|purpose| !purpose.is_empty());
            say("purpose", if stated { "stated" } else { "none" }.to_owned());
        }
        Part::Any(conditions) => {
            let holds = |condition: &&Condition| condition.holds(statement, present) != Truth::No;
            conditions.iter().filter(holds).for_each(|it| of_condition(it, statement, present, found));
        }
        Part::All(conditions) => conditions.iter().for_each(|it| of_condition(it, statement, present, found)),
        Part::Not(_) => say("not", "yes".to_owned()),
    }
}

/// What had been delivered when it began to match.
fn of_delivered(rule: &Rule, who: &Circumstances, found: &mut Found) {
    let OnceDelivered { rows, bytes } = rule.once_delivered;
    for (clause, threshold, delivered) in
        [("delivered_rows", rows, who.delivered.rows), ("delivered_bytes", bytes, who.delivered.bytes)]
    {
        if let Some(threshold) = threshold {
            found.push((clause, magnitude(delivered), format!(">={}", threshold.from)));
        }
    }
}

fn of_touch(touch: &Touch, statement: &Statement<'_>, found: &mut Found) {
    let mut say = |clause, bucket: String| found.push((clause, bucket, String::new()));
    let fitting: Vec<_> = statement.columns.iter().filter(|column| touch.fits(column)).collect();
    let words = |words: BTreeSet<String>| {
        if words.is_empty() { UNKNOWN.to_owned() } else { told(words, " ") }
    };
    let classified = || fitting.iter().filter_map(|column| column.classified);
    if touch.class.is_some() {
        let highest = classified().map(|it| it.class).max().map(|class| class.name.clone());
        say("class", highest.unwrap_or_else(|| UNKNOWN.to_owned()));
    }
    if touch.labels.is_some() {
        say("labels", words(classified().filter_map(|it| it.label).map(ToString::to_string).collect()));
    }
    if let Some(tables) = &touch.tables {
        let reached = statement.facts.relations.iter().filter(|it| tables.contains(it));
        let of_columns = fitting.iter().map(|column| &column.name.relation);
        say("tables", words(reached.chain(of_columns).map(ToString::to_string).collect()));
    }
    if touch.columns.is_some() {
        say("columns", words(fitting.iter().map(|column| column.name.to_string()).collect()));
    }
    if touch.uses.is_some() {
        let uses = fitting.iter().flat_map(|column| column.uses.iter());
        say("use", words(uses.map(|it| it.as_str().to_owned()).collect()));
    }
}

/// Which columns are compared, and how; not with what.
fn of_predicate(test: &PredicateTest, statement: &Statement<'_>, found: &mut Found) {
    let compared = statement.facts.predicates.iter();
    let compared = compared.filter(|it| test.is_of(&it.column, statement));
    let compared = compared.filter(|it| test.fits(it, statement) != Truth::No);
    let words: BTreeSet<_> = compared.map(|it| format!("{} {}", it.column, it.op.as_str())).collect();
    let bucket = if words.is_empty() { UNKNOWN.to_owned() } else { told(words, ", ") };
    let op = test.op.map_or("", |op| op.as_str());
    found.push(("predicate", bucket, format!("{op} {}", test.shown).trim().to_owned()));
}

/// The first of these, and how many more there are: `a b c and 104 more`.
fn told(words: impl IntoIterator<Item = impl AsRef<str>>, between: &str) -> String {
    let (mut text, mut count, mut more) = (String::new(), 0_usize, 0_usize);
    for word in words {
        let word = word.as_ref();
        // In order, without one left out among them.
        let fits = text.len().saturating_add(word.len()) <= MAX_WORDS_BYTES;
        if more > 0 || count == MAX_WORDS || !fits {
            more = more.saturating_add(1);
            continue;
        }
        if count > 0 {
            text.push_str(between);
        }
        text.push_str(word);
        count = count.saturating_add(1);
    }
    match (more, count) {
        (0, _) => text,
        (more, 0) => format!("{more} of long names"),
        (more, _) => format!("{text} and {more} more"),
    }
}

/// The next power of ten: `10^5` is at most 100,000 and more than 10,000.
pub(crate) fn magnitude(rows: u64) -> String {
    match rows {
        0 => "0".to_owned(),
        _ => format!("10^{}", rows.saturating_sub(1).checked_ilog10().map_or(0, |it| it + 1)),
    }
}
