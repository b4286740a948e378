//! Who read what of a subject: what is certain, and what is only possible.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use stepgate_record::{Filter, Record};
use stepgate_store::Search;
use stepgate_types::SessionId;

use super::make::{MOST_COUNTED, MOST_ROWS, Made, Making, labels, number, text, texts, too_much};
use super::{Head, Report, Section};
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

/// What was seen of the keys of a statement.
#[derive(Default)]
struct Seen {
    /// A result showed this subject's key.
    shown: bool,
    /// A condition named it.
    named: bool,
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
    refused: BTreeMap<Id, (String, String, String)>,
    too_many: bool,
}

pub(super) fn make(making: &Making<'_>, relation: &str, key: &str) -> Result<Made, Failure> {
    let relation = if relation.contains('.') { relation.to_owned() } else { format!("public.{relation}") };
    let mut hash = making.store.vault.hmac_hex(&format!("subject/{relation}"), key.as_bytes());
    hash.truncate(32);
    let of =
        |kind: &str| Filter { table: vec![relation.clone()], kind: vec![kind.to_owned()], ..making.period() };
    let mut reads = Reads::default();
    making.each(&of("statement.subjects"), &mut |_, fields| reads.keys(fields, &hash))?;
    making.each(&of("statement.decided"), &mut |record, fields| reads.decided(record, fields))?;
    if reads.too_many {
        return Err(too_much());
    }
    let mut sessions: BTreeSet<&String> = reads.ran.keys().map(|(session, _)| session).collect();
    // What fetches from a cursor may not say which relation it reaches.
    sessions.extend(
        reads.seen.iter().filter(|(_, seen)| seen.shown || seen.named).map(|((session, _), _)| session),
    );
    let sessions: Vec<SessionId> = sessions.into_iter().filter_map(|session| session.parse().ok()).collect();
    for sessions in sessions.chunks(AT_ONCE) {
        let kind = ["statement.decided", "statement.completed"].map(str::to_owned).to_vec();
        let filter = Filter { session: sessions.to_vec(), kind, ..Filter::default() };
        making.each(&filter, &mut |record, fields| reads.complete(record, fields))?;
    }
    let since = tracked_since(making)?;
    let filter = Filter { table: vec![relation.clone()], ..making.period() };
    let mut recorded = serde_json::to_value(&filter).unwrap_or_default();
    if let Value::Object(recorded) = &mut recorded {
        recorded.insert("subject".to_owned(), json!(hash));
    }
    Ok(Made {
        filter: recorded.to_string(),
        shown_filter: format!("statements that reach {relation}"),
        records: reads.records,
        body: reads.report(&relation, key, since.as_deref()),
    })
}

/// When the first key was recorded.
fn tracked_since(making: &Making<'_>) -> Result<Option<String>, Failure> {
    let filter = Filter { kind: vec!["statement.subjects".to_owned()], ..Filter::default() };
    let mut first = None;
    let how = Search { reverse: false, scan: false, end: u64::MAX };
    making.each_until(&filter, how, &mut |record, _| {
        first = Some(record.at.to_string());
        false
    })?;
    Ok(first)
}

fn id(fields: &Map<String, Value>) -> Id {
    (text(fields, "session").to_owned(), number(fields, "statement"))
}

impl Reads {
    fn keys(&mut self, fields: &Map<String, Value>, hash: &str) {
        self.records += 1;
        if self.seen.len() >= MOST_COUNTED {
            self.too_many = true;
            return;
        }
        let seen = self.seen.entry(id(fields)).or_default();
        let hit = texts(fields, "hashes").any(|it| it == hash);
        let more = fields.get("more").and_then(Value::as_bool).unwrap_or(true);
        if text(fields, "source") == "output" {
            seen.output = true;
            seen.shown |= hit;
            seen.more_shown |= more;
        } else {
            seen.named |= hit;
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
            if self.seen.get(&id).is_some_and(|seen| seen.named) {
                let said = (record.at.to_string(), text(fields, "person").to_owned(), verdict.to_owned());
                self.refused.insert(id, said);
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
            if !self.ran.contains_key(&id) && self.seen.get(&id).is_some_and(|seen| seen.shown || seen.named)
            {
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
    fn how(seen: Option<&Seen>, ran: &Ran) -> Option<(bool, &'static str)> {
        let shown = seen.is_some_and(|seen| seen.shown);
        let named = seen.is_some_and(|seen| seen.named) && ran.certain;
        let how = match (shown, named) {
            (true, true) => "shown and named",
            (true, false) => "shown",
            (false, true) if ran.failed => "named; it ended in an error",
            (false, true) if ran.kinds.iter().any(|kind| WRITES.contains(&kind.as_str())) => {
                "named, and written"
            }
            (false, true) if ran.rows == Some(0) => "named; it gave no rows",
            (false, true) => "named",
            (false, false) => return Some((false, Self::possible(seen, ran)?)),
        };
        Some((true, how))
    }

    fn report(self, relation: &str, key: &str, tracked_since: Option<&str>) -> Report {
        let mut certain =
            Section::new("certain", "Certain: its key was shown, or named by a condition", &COLUMNS);
        let mut with_why = COLUMNS;
        with_why[3] = "why";
        let mut possible =
            Section::new("possible", "Possible: nobody can tell from what is recorded", &with_why);
        let mut people: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        let (mut certain_cut, mut possible_cut) = (0_u64, 0_u64);
        let mut in_order: Vec<_> = self.ran.into_iter().collect();
        in_order.sort_by(|(_, a), (_, b)| a.at.cmp(&b.at));
        for (id, ran) in in_order {
            let Some((is_certain, how)) = Self::how(self.seen.get(&id), &ran) else { continue };
            let count = people.entry(ran.person.clone()).or_default();
            let (section, cut, count) = if is_certain {
                (&mut certain, &mut certain_cut, &mut count.0)
            } else {
                (&mut possible, &mut possible_cut, &mut count.1)
            };
            *count += 1;
            if section.rows.len() < MOST_ROWS {
                section.rows.push(ran.row(&id, how));
            } else {
                *cut += 1;
            }
        }
        let mut by_person = Section::new("people", "Who", &["person", "certain", "possible"]);
        by_person.rows = people
            .into_iter()
            .map(|(person, (certain, possible))| vec![json!(person), json!(certain), json!(possible)])
            .collect();
        let mut refused = Section::new(
            "not_run",
            "Named, and did not run",
            &["at", "person", "verdict", "session", "number"],
        );
        refused.rows = self
            .refused
            .into_iter()
            .take(MOST_ROWS)
            .map(|((session, number), (at, person, verdict))| {
                vec![json!(at), json!(person), json!(verdict), json!(session), json!(number)]
            })
            .collect();
        let mut notes = notes(tracked_since);
        for (what, cut) in [("certain", certain_cut), ("possible", possible_cut)] {
            if cut > 0 {
                notes.push(format!("{cut} more that are {what} are not listed: narrow the period down."));
            }
        }
        let head = Head { title: format!("Subject access: {relation}:{key}"), facts: Vec::new(), notes };
        Report { head, sections: vec![by_person, certain, possible, refused] }
    }
}

/// What the words of the report mean, and since when there is anything to be certain of.
fn notes(tracked_since: Option<&str>) -> Vec<String> {
    vec![
        "Certain is a statement whose result showed the subject's key, or one that named it in a condition and of \
         which it is known exactly what it reads. Possible is every other statement that reached the relation and \
         of which not all keys were seen: aggregates, exports, more than 1,000 keys, views, statements that are \
         not fully understood. What is in neither list showed keys, and not this one."
            .to_owned(),
        match tracked_since {
            Some(at) => format!("Keys have been recorded since {at}; before that, everything is only possible."),
            None => "No key was ever recorded: audit.track_subjects is off, or the map names no subject_key. \
                     Everything is only possible."
                .to_owned(),
        },
    ]
}
