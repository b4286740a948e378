//! What a person did.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};
use stepgate_record::{Filter, Record};
use stepgate_types::{PersonName, SessionId, Timestamp};

use super::head::says;
use super::make::{MOST_COUNTED, MOST_ROWS, Made, Making, labels, number, text, texts, too_much};
use super::{Head, Report, Section};
use crate::audit::search::unnamed;
use crate::failure::Failure;

/// Sessions that are looked up at once.
const AT_ONCE: usize = 100;

/// Statements of one kind.
#[derive(Default)]
struct Count {
    statements: u64,
    rows: u64,
    bytes: u64,
}

/// One session, as far as the period has it.
#[derive(Default)]
struct SessionSeen {
    opened: Option<Timestamp>,
    closed: Option<Timestamp>,
    database: String,
    address: String,
    client: String,
    count: Count,
}

/// What became of one statement: places of labels and verdicts.
struct Became {
    last: u32,
    /// Those of before: of one that was held, and then ran.
    before: Vec<u32>,
}

#[derive(Default)]
struct Activity {
    records: u64,
    /// By labels and verdict.
    by_label: Vec<Count>,
    places: HashMap<(String, String), u32>,
    sessions: BTreeMap<String, SessionSeen>,
    statements: HashMap<(SessionId, u64), Became>,
    hours: BTreeMap<i64, u64>,
    holds: Vec<Vec<Value>>,
    rest: Vec<Vec<Value>>,
    holds_cut: u64,
    rest_cut: u64,
    tables: BTreeMap<String, u64>,
    too_many: bool,
}

pub(super) fn make(making: &Making<'_>, person: &PersonName) -> Result<Made, Failure> {
    let filter = Filter { person: vec![person.to_string()], ..making.period() };
    let mut recorded = filter.clone();
    super::super::shown::resolve(&mut recorded, making.store.log.subjects());
    let mut seen = Activity::default();
    making.each(&filter, &mut |record, fields| seen.take(record, fields, person.as_str()))?;
    if seen.too_many {
        return Err(too_much());
    }
    let sessions: Vec<SessionId> = seen.sessions.keys().filter_map(|session| session.parse().ok()).collect();
    for sessions in sessions.chunks(AT_ONCE) {
        let kind = ["statement.completed", "statement.outcome_unknown", "session.closed", "session.opened"];
        let kind = kind.map(str::to_owned).to_vec();
        // What a session did in the period may end after it, and it may have begun before.
        let filter = Filter { kind, session: sessions.to_vec(), ..Filter::default() };
        making.each(&filter, &mut |record, fields| seen.complete(record, fields))?;
    }
    // Of a misspelt name it would say that nothing was done.
    let notes = unnamed(making.store, &Filter { person: filter.person, ..Filter::default() })?;
    Ok(Made {
        filter: recorded.for_record(),
        shown_filter: format!("person is {person}"),
        records: seen.records,
        body: seen.report(person, notes),
    })
}

impl Activity {
    fn take(&mut self, record: &Record, fields: &Map<String, Value>, person: &str) {
        self.records += 1;
        let session = text(fields, "session").to_owned();
        match text(fields, "type") {
            "session.opened" => {
                self.session(session);
            }
            "statement.decided" => self.decided(record, fields),
            "stepup.requested" => self.hold(record, fields, "asked"),
            "limit.reached" => self.hold(record, fields, "limit"),
            kind => {
                if self.rest.len() >= MOST_ROWS {
                    self.rest_cut += 1;
                    return;
                }
                let role = if text(fields, "person") == person { "concerns them" } else { "did it" };
                let said =
                    ["outcome", "action", "reason", "factor", "address", "request", "grant", "approve"];
                let details: Vec<String> = said
                    .iter()
                    .filter_map(|name| Some((name, fields.get(*name).filter(|value| says(value))?)))
                    .map(|(name, value)| format!("{name}: {}", super::cell(value)))
                    .collect();
                self.rest.push(vec![
                    json!(record.at.to_string()),
                    json!(kind),
                    json!(role),
                    json!(details.join("; ")),
                ]);
            }
        }
    }

    /// A session, while there is room.
    fn session(&mut self, id: String) -> Option<&mut SessionSeen> {
        if self.sessions.len() >= MOST_COUNTED && !self.sessions.contains_key(&id) {
            self.too_many = true;
            return None;
        }
        Some(self.sessions.entry(id).or_default())
    }

    /// The place of these labels and verdict.
    fn place(&mut self, labels: String, verdict: &str) -> u32 {
        let next = u32::try_from(self.by_label.len()).unwrap_or(u32::MAX);
        let place = *self.places.entry((labels, verdict.to_owned())).or_insert(next);
        if place == next {
            self.by_label.push(Count::default());
        }
        place
    }

    fn count(&mut self, place: u32) -> Option<&mut Count> {
        self.by_label.get_mut(usize::try_from(place).ok()?)
    }

    /// A decision on a statement: on one that was held there is another, once it was approved.
    fn decided(&mut self, record: &Record, fields: &Map<String, Value>) {
        let Ok(session) = text(fields, "session").parse::<SessionId>() else { return };
        if self.statements.len() >= MOST_COUNTED {
            self.too_many = true;
            return;
        }
        let mut names = labels(fields).join(", ");
        if names.is_empty() {
            names =
                if text(fields, "certainty") == "unknown" { "(not understood)" } else { "(none)" }.to_owned();
        }
        let verdict = text(fields, "verdict");
        let place = self.place(names, verdict);
        let (is_first, is_new) = match self.statements.entry((session, number(fields, "statement"))) {
            Entry::Vacant(entry) => {
                entry.insert(Became { last: place, before: Vec::new() });
                (true, true)
            }
            Entry::Occupied(mut entry) => {
                let became = entry.get_mut();
                let is_new = became.last != place && !became.before.contains(&place);
                if is_new {
                    became.before.push(became.last);
                    became.last = place;
                }
                (false, is_new)
            }
        };
        if let Some(count) = self.count(place).filter(|_| is_new) {
            count.statements += 1;
        }
        if is_first {
            self.first(record, fields);
        }
        if matches!(verdict, "hold" | "defer" | "deny" | "overtaken") {
            self.hold(record, fields, verdict);
        }
    }

    /// What is counted once of a statement.
    fn first(&mut self, record: &Record, fields: &Map<String, Value>) {
        *self.hours.entry(record.at.micros().div_euclid(3_600_000_000).rem_euclid(24)).or_default() += 1;
        for table in texts(fields, "relations") {
            if self.tables.len() < MOST_ROWS || self.tables.contains_key(table) {
                *self.tables.entry(table.to_owned()).or_default() += 1;
            }
        }
        if let Some(seen) = self.session(text(fields, "session").to_owned()) {
            seen.count.statements += 1;
            if seen.database.is_empty() {
                text(fields, "database").clone_into(&mut seen.database);
            }
        }
    }

    fn hold(&mut self, record: &Record, fields: &Map<String, Value>, what: &str) {
        if self.holds.len() >= MOST_ROWS {
            self.holds_cut += 1;
            return;
        }
        let list = |name: &str| json!(texts(fields, name).collect::<Vec<_>>());
        self.holds.push(vec![
            json!(record.at.to_string()),
            json!(what),
            json!(text(fields, "database")),
            list("relations"),
            json!(labels(fields)),
            list("rules"),
            json!(text(fields, "request")),
            json!(text(fields, "normalised")),
        ]);
    }

    /// What the sessions' other records say, which name nobody.
    fn complete(&mut self, record: &Record, fields: &Map<String, Value>) {
        let Some(seen) = self.sessions.get_mut(text(fields, "session")) else { return };
        match text(fields, "type") {
            "session.opened" => {
                seen.opened = Some(record.at);
                for (name, into) in [
                    ("database", &mut seen.database),
                    ("address", &mut seen.address),
                    ("client", &mut seen.client),
                ] {
                    text(fields, name).clone_into(into);
                }
            }
            "session.closed" => seen.closed = Some(record.at),
            _ => {
                let Ok(session) = text(fields, "session").parse() else { return };
                let Some(became) = self.statements.get(&(session, number(fields, "statement"))) else {
                    return;
                };
                let (rows, bytes) = (number(fields, "rows"), number(fields, "bytes"));
                let of_labels =
                    usize::try_from(became.last).ok().and_then(|last| self.by_label.get_mut(last));
                for count in [Some(&mut seen.count), of_labels].into_iter().flatten() {
                    count.rows = count.rows.saturating_add(rows);
                    count.bytes = count.bytes.saturating_add(bytes);
                }
                self.records += 1;
            }
        }
    }

    fn report(self, person: &PersonName, mut notes: Vec<String>) -> Report {
        let mut cut = |what: &str, by: u64| {
            if by > 0 {
                notes.push(format!("{by} more {what} are not listed: narrow the period down."));
            }
        };
        cut("holds", self.holds_cut);
        cut("other events", self.rest_cut);
        if self.statements.values().any(|became| !became.before.is_empty()) {
            notes.push(
                "A statement that was held and then ran is one, and is there under each of its verdicts; what it \
                 delivered stands under the last."
                    .to_owned(),
            );
        }
        let total = |of: fn(&Count) -> u64| self.by_label.iter().map(of).sum::<u64>();
        let places = self.places.iter();
        let counts =
            places.filter_map(|(key, at)| Some((key, self.by_label.get(usize::try_from(*at).ok()?)?)));
        let counts: BTreeMap<&(String, String), &Count> = counts.collect();
        let verdicts: BTreeSet<&str> = counts.keys().map(|(_, verdict)| verdict.as_str()).collect();
        let mut summary = Section::new("summary", "Summary", &["item", "value"]);
        let mut line = |item: String, value: u64| summary.rows.push(vec![json!(item), json!(value)]);
        line("sessions".to_owned(), u64::try_from(self.sessions.len()).unwrap_or(u64::MAX));
        line("statements".to_owned(), u64::try_from(self.statements.len()).unwrap_or(u64::MAX));
        for verdict in verdicts {
            let of = counts.iter().filter(|((_, is), _)| is == verdict);
            line(format!("statements: {verdict}"), of.map(|(_, count)| count.statements).sum());
        }
        line("rows delivered".to_owned(), total(|count| count.rows));
        line("bytes delivered".to_owned(), total(|count| count.bytes));

        let columns = ["labels", "verdict", "statements", "rows", "bytes"];
        let mut by_label =
            Section::new("labels", "Statements by what they touch, and what became of them", &columns);
        for ((labels, verdict), Count { statements, rows, bytes }) in counts {
            by_label.rows.push(vec![
                json!(labels),
                json!(verdict),
                json!(statements),
                json!(rows),
                json!(bytes),
            ]);
        }
        let mut tables = Section::new("tables", "Tables reached", &["table", "statements"]);
        let mut most: Vec<_> = self.tables.into_iter().collect();
        most.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
        tables.rows.extend(most.into_iter().map(|(table, count)| vec![json!(table), json!(count)]));

        let columns = ["at", "what", "database", "tables", "labels", "rules", "request", "statement"];
        let mut holds = Section::new("holds", "Held, asked for, and denied", &columns);
        holds.rows = self.holds;
        let columns =
            ["session", "opened", "closed", "database", "address", "client", "statements", "rows", "bytes"];
        let mut sessions = Section::new("sessions", "Sessions", &columns);
        let mut seen: Vec<_> = self.sessions.into_iter().collect();
        seen.sort_by_key(|(_, session)| session.opened);
        let at = |at: Option<Timestamp>| json!(at.map(|at| at.to_string()));
        for (id, session) in seen.into_iter().take(MOST_ROWS) {
            let SessionSeen { opened, closed, database, address, client, count } = session;
            let Count { statements, rows, bytes } = count;
            sessions.rows.push(vec![
                json!(id),
                at(opened),
                at(closed),
                json!(database),
                json!(address),
                json!(client),
                json!(statements),
                json!(rows),
                json!(bytes),
            ]);
        }
        let mut hours = Section::new("hours", "Statements by hour of the day (UTC)", &["hour", "statements"]);
        hours.rows = self
            .hours
            .iter()
            .map(|(hour, count)| vec![json!(format!("{hour:02}:00")), json!(count)])
            .collect();
        let mut rest = Section::new("events", "Other events", &["at", "type", "role", "details"]);
        rest.rows = self.rest;
        let head = Head { title: format!("Activity of {person}"), facts: Vec::new(), notes };
        Report { head, sections: vec![summary, by_label, tables, holds, sessions, hours, rest] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever opens sessions all day long must not fill the gate's memory by a report on them.
    #[test]
    fn more_sessions_than_are_counted_are_too_many_and_not_kept() {
        let mut seen = Activity::default();
        for number in 0..MOST_COUNTED {
            assert!(seen.session(number.to_string()).is_some());
        }
        assert!(!seen.too_many && seen.session("0".to_owned()).is_some());
        assert!(seen.session("one more".to_owned()).is_none());
        assert!(seen.too_many && seen.sessions.len() == MOST_COUNTED);
    }
}
