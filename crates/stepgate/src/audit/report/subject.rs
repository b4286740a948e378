//! Who read what of a subject: what is certain, and what is only possible.

mod notes;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use stepgate_record::{Filter, Record};
use stepgate_session::key_spellings;
use stepgate_types::SessionId;

use super::make::{MOST_COUNTED, MOST_ROWS, Made, Making, labels, number, text, texts, too_much};
use super::{Head, Report, Section};
use crate::audit::search::unnamed;
use crate::failure::Failure;

/// Sessions that are looked up at once.
const AT_ONCE: usize = 100;

/// Kinds of statements that write rows, which they need not give.
const WRITES: [&str; 4] = ["insert", "update", "delete", "merge"];

/// Of those that ran.
const COLUMNS: [&str; 12] = [
    "at",
    "person",
    "database",
    "how",
    "rows",
    "labels",
    "verdict",
    "request",
    "kinds",
    "session",
    "number",
    "statement",
];

/// A statement, by its session and its number there.
type Id = (String, u64);

/// A key as records may tell it, and how they do.
struct Spelt {
    key: String,
    hash: String,
}

/// What was seen of the keys of a statement.
#[derive(Default)]
struct Seen {
    /// A result showed this subject's key: the first of its spellings that did.
    shown: Option<usize>,
    /// A condition named it, likewise.
    named: Option<usize>,
    /// There may be other keys than those that results showed, or that conditions named.
    more_shown: bool,
    more_named: bool,
    /// Any record of a result's keys.
    output: bool,
    /// How many keys conditions named.
    keys: u64,
}

/// A statement that ran and reaches the relation.
struct Ran {
    at: String,
    person: String,
    database: String,
    certain: bool,
    verdict: String,
    kinds: Vec<String>,
    labels: Vec<String>,
    normalised: String,
    request: String,
    rows: Option<u64>,
    failed: bool,
}

impl Ran {
    /// By [`COLUMNS`].
    fn row(&self, id: &Id, how: &str) -> Vec<Value> {
        vec![
            json!(self.at),
            json!(self.person),
            json!(self.database),
            json!(how),
            json!(self.rows),
            json!(self.labels),
            json!(self.verdict),
            json!(self.request),
            json!(self.kinds),
            json!(id.0),
            json!(id.1),
            json!(self.normalised),
        ]
    }
}

#[derive(Default)]
struct Reads {
    records: u64,
    seen: HashMap<Id, Seen>,
    ran: BTreeMap<Id, Ran>,
    /// Named this subject, and did not run.
    refused: BTreeMap<Id, Refused>,
    /// How the key may be spelt, as whoever asks spelt it first.
    spelt: Vec<Spelt>,
    /// None: in all.
    databases: Vec<String>,
    too_many: bool,
}

/// A statement that did not run.
struct Refused {
    at: String,
    person: String,
    database: String,
    verdict: String,
}

pub(super) fn make(
    making: &Making<'_>,
    relation: &str,
    key: &str,
    databases: &[String],
) -> Result<Made, Failure> {
    let spelt = key_spellings(key).into_iter().map(|key| {
        let mut hash = making.store.vault.hmac_hex(&format!("subject/{relation}"), key.as_bytes());
        hash.truncate(32);
        Spelt { key, hash }
    });
    let of = |kind: &str| Filter {
        table: vec![relation.to_owned()],
        kind: vec![kind.to_owned()],
        ..making.period()
    };
    let mut reads = Reads { spelt: spelt.collect(), databases: databases.to_vec(), ..Reads::default() };
    making.each(&of("statement.subjects"), &mut |_, fields| reads.keys(fields))?;
    let decided = Filter { database: databases.to_vec(), ..of("statement.decided") };
    making.each(&decided, &mut |record, fields| reads.decided(record, fields))?;
    reads.bounded()?;
    let mut sessions: BTreeSet<&String> = reads.ran.keys().map(|(session, _)| session).collect();
    // What fetches from a cursor may not say which relation it reaches.
    sessions
        .extend(reads.seen.iter().filter(|(_, seen)| seen.hit().is_some()).map(|((session, _), _)| session));
    let sessions: Vec<SessionId> = sessions.into_iter().filter_map(|session| session.parse().ok()).collect();
    for sessions in sessions.chunks(AT_ONCE) {
        let kind = ["statement.decided", "statement.completed"].map(str::to_owned).to_vec();
        let filter = Filter { session: sessions.to_vec(), kind, ..Filter::default() };
        making.each(&filter, &mut |record, fields| reads.complete(record, fields))?;
    }
    reads.bounded()?;
    let mut notes = reads.notes(tracked_since(making)?.as_deref());
    notes.extend(unnamed(making.store, &Filter { database: databases.to_vec(), ..Filter::default() })?);
    let filter = Filter { table: vec![relation.to_owned()], database: databases.to_vec(), ..making.period() };
    let mut recorded = serde_json::to_value(&filter).unwrap_or_default();
    if let Value::Object(recorded) = &mut recorded {
        let hashes: Vec<&str> = reads.spelt.iter().map(|spelt| spelt.hash.as_str()).collect();
        recorded.insert("subject".to_owned(), json!(hashes));
    }
    let within =
        if databases.is_empty() { String::new() } else { format!(" in {}", databases.join(" and ")) };
    let title = format!("Subject access: {relation}:{key}{within}");
    Ok(Made {
        filter: recorded.to_string(),
        shown_filter: format!("statements that reach {relation}{within}"),
        records: reads.records,
        body: reads.report(title, notes),
    })
}

/// When the first key was recorded.
fn tracked_since(making: &Making<'_>) -> Result<Option<String>, Failure> {
    let filter = Filter { kind: vec!["statement.subjects".to_owned()], ..Filter::default() };
    let mut first = None;
    making.each_until(&filter, making.in_order(), &mut |record, _| {
        first = Some(record.at.to_string());
        false
    })?;
    Ok(first)
}

fn id(fields: &Map<String, Value>) -> Id {
    (text(fields, "session").to_owned(), number(fields, "statement"))
}

impl Seen {
    /// By which spelling it has to do with this subject, if it has.
    fn hit(&self) -> Option<usize> {
        first(self.shown, self.named)
    }
}

/// The one that comes first in the list of spellings.
fn first(one: Option<usize>, other: Option<usize>) -> Option<usize> {
    one.into_iter().chain(other).min()
}

impl Reads {
    fn bounded(&self) -> Result<(), Failure> {
        if self.too_many { Err(too_much()) } else { Ok(()) }
    }

    fn keys(&mut self, fields: &Map<String, Value>) {
        self.records += 1;
        if self.seen.len() >= MOST_COUNTED {
            self.too_many = true;
            return;
        }
        let hit = self.spelt.iter().position(|spelt| texts(fields, "hashes").any(|it| it == spelt.hash));
        let seen = self.seen.entry(id(fields)).or_default();
        let more = fields.get("more").and_then(Value::as_bool).unwrap_or(true);
        if text(fields, "source") == "output" {
            seen.output = true;
            seen.shown = first(seen.shown, hit);
            seen.more_shown |= more;
        } else {
            seen.named = first(seen.named, hit);
            seen.more_named |= more;
            let keys = u64::try_from(texts(fields, "hashes").count()).unwrap_or(u64::MAX);
            seen.keys = seen.keys.saturating_add(keys);
        }
    }

    fn decided(&mut self, record: &Record, fields: &Map<String, Value>) {
        self.records += 1;
        if self.ran.len() >= MOST_COUNTED {
            self.too_many = true;
            return;
        }
        let id = id(fields);
        let verdict = text(fields, "verdict");
        if !matches!(verdict, "forward" | "monitor" | "overtaken") {
            if self.seen.get(&id).is_some_and(|seen| seen.named.is_some()) {
                let refused = Refused {
                    at: record.at.to_string(),
                    person: text(fields, "person").to_owned(),
                    database: text(fields, "database").to_owned(),
                    verdict: verdict.to_owned(),
                };
                self.refused.insert(id, refused);
            }
            return;
        }
        self.refused.remove(&id);
        let ran = Ran {
            at: record.at.to_string(),
            person: text(fields, "person").to_owned(),
            database: text(fields, "database").to_owned(),
            certain: text(fields, "certainty") == "exact",
            verdict: verdict.to_owned(),
            kinds: texts(fields, "kinds").map(str::to_owned).collect(),
            labels: labels(fields),
            normalised: text(fields, "normalised").to_owned(),
            request: text(fields, "request").to_owned(),
            rows: None,
            failed: false,
        };
        self.ran.insert(id, ran);
    }

    fn complete(&mut self, record: &Record, fields: &Map<String, Value>) {
        let id = id(fields);
        if text(fields, "type") == "statement.decided" {
            let database = text(fields, "database");
            let asked_for = self.databases.is_empty() || self.databases.iter().any(|name| name == database);
            let hit = || self.seen.get(&id).is_some_and(|seen| seen.hit().is_some());
            if asked_for && !self.ran.contains_key(&id) && hit() {
                self.decided(record, fields);
            }
        } else if let Some(ran) = self.ran.get_mut(&id) {
            ran.rows = Some(ran.rows.unwrap_or_default().saturating_add(number(fields, "rows")));
            ran.failed |= !text(fields, "sqlstate").is_empty();
        }
    }

    /// Why a statement may have read this subject's row, if it may.
    fn possible(seen: Option<&Seen>, ran: &Ran) -> Option<&'static str> {
        let Some(seen) = seen else {
            return Some(
                "no key was seen: a statement without one in its result or conditions, or before tracking",
            );
        };
        // A result that shows all keys says more than conditions that may have let others through.
        if if seen.output { seen.more_shown } else { seen.more_named } {
            return Some("not all keys were seen");
        }
        if !ran.certain {
            return Some("what it reads is not known exactly");
        }
        if !seen.output && ran.rows.is_none_or(|rows| rows > seen.keys) {
            return Some("it gave more rows than it named keys");
        }
        None
    }

    /// Whether a statement certainly had to do with this subject, and how, or why it may have; `None`: it had not.
    fn how(&self, seen: Option<&Seen>, ran: &Ran) -> Option<(bool, String)> {
        let shown = seen.and_then(|seen| seen.shown);
        let named = seen.and_then(|seen| seen.named).filter(|_| ran.certain);
        let how = match (shown, named) {
            (Some(_), Some(_)) => "shown and named",
            (Some(_), None) => "shown",
            (None, Some(_)) if ran.failed => "named; it ended in an error",
            (None, Some(_)) if ran.kinds.iter().any(|kind| WRITES.contains(&kind.as_str())) => {
                "named, and written"
            }
            (None, Some(_)) if ran.rows == Some(0) => "named; it gave no rows",
            (None, Some(_)) => "named",
            (None, None) => return Some((false, Self::possible(seen, ran)?.to_owned())),
        };
        let other = first(shown, named).filter(|at| *at > 0).and_then(|at| self.spelt.get(at));
        let how = other.map_or(how.to_owned(), |spelt| format!("{how}, as {:?}", spelt.key));
        Some((true, how))
    }

    fn report(self, title: String, mut notes: Vec<String>) -> Report {
        let mut certain =
            Section::new("certain", "Certain: its key was shown, or named by a condition", &COLUMNS);
        let mut with_why = COLUMNS;
        with_why[3] = "why";
        let mut possible =
            Section::new("possible", "Possible: nobody can tell from what is recorded", &with_why);
        let mut people: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
        let (mut certain_cut, mut possible_cut) = (0_u64, 0_u64);
        let mut in_order: Vec<_> = self.ran.iter().collect();
        in_order.sort_by(|(_, a), (_, b)| a.at.cmp(&b.at));
        for (id, ran) in in_order {
            let Some((is_certain, how)) = self.how(self.seen.get(id), ran) else { continue };
            let count = people.entry((&ran.person, &ran.database)).or_default();
            let (section, cut, count) = if is_certain {
                (&mut certain, &mut certain_cut, &mut count.0)
            } else {
                (&mut possible, &mut possible_cut, &mut count.1)
            };
            *count += 1;
            if section.rows.len() < MOST_ROWS {
                section.rows.push(ran.row(id, &how));
            } else {
                *cut += 1;
            }
        }
        let mut by_person = Section::new("people", "Who", &["person", "database", "certain", "possible"]);
        by_person.rows = people
            .into_iter()
            .map(|((person, database), (certain, possible))| {
                vec![json!(person), json!(database), json!(certain), json!(possible)]
            })
            .collect();
        let mut refused = Section::new(
            "not_run",
            "Named, and did not run",
            &["at", "person", "database", "verdict", "session", "number"],
        );
        refused.rows = self
            .refused
            .into_iter()
            .take(MOST_ROWS)
            .map(|((session, number), Refused { at, person, database, verdict })| {
                vec![json!(at), json!(person), json!(database), json!(verdict), json!(session), json!(number)]
            })
            .collect();
        for (what, cut) in [("certain", certain_cut), ("possible", possible_cut)] {
            if cut > 0 {
                notes.push(format!("{cut} more that are {what} are not listed: narrow the period down."));
            }
        }
        let head = Head { title, facts: Vec::new(), notes };
        Report { head, sections: vec![by_person, certain, possible, refused] }
    }
}
