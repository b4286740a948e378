//! Boiling records down, where the log is.

use std::collections::{HashMap, HashSet};

use serde_json::Value;
use stepgate_record::{Event, Filter, Joiner, Reader, Record, SessionOpened};
use stepgate_store::{LogError, Search, Stored};
use stepgate_types::{Actor, Commit, GrantId, RequestId, SessionId, Timestamp};
use tokio::sync::mpsc;

use super::members::{Members, number, text};
use super::{Line, News, Passed, Person, Run, SHAPE, Span, Verdict};
use crate::audit::{settle, told};
use crate::failure::Failure;
use crate::operator::{Reply, log_error};
use crate::store::Store;

/// The most statements that a policy is tried on at once: some hundred MB.
const MOST_RUNS: u32 = 10_000_000;

/// The most that differ in what a policy can ask.
const MOST_SHAPES: u32 = 500_000;

/// Statements and news that are sent in one line.
const BATCH: usize = 1_000;

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;

/// The most statements of a session of which more is waited for: a pipeline may have sent so many ahead.
const MOST_OPEN: usize = 256;

/// Sessions that are looked up at once.
const AT_ONCE: usize = 100;

/// Answers with text, a [`Line`] each; `spans`: also of when statements delivered. Blocks the thread.
pub(crate) fn make(
    store: &Store,
    by: &Actor,
    (since, until): (Option<Timestamp>, Option<Timestamp>),
    spans: bool,
    out: &mpsc::Sender<Reply>,
) -> Result<Option<String>, Failure> {
    settle(&store.log);
    let (from, end) = (first_since(store, since)?, store.log.len());
    let filter = Filter { kind: vec!["statement.decided".to_owned()], since, until, ..Filter::default() };
    // Recorded before anything of it is given away.
    told(store, by, Reader::Report, filter.for_record(), end.saturating_sub(from))?;
    let mut making = Making::new(store, (since, until), out);
    making.spans = spans;
    making.begins()?;
    making.loaded()?;
    let mut joiner = Joiner::default();
    for stored in store.log.read(from, end) {
        let stored = stored.map_err(|error| log_error(&error))?;
        if !making.take(&stored, &mut joiner)? {
            break;
        }
    }
    if let Some(record) = joiner.finish() {
        making.take_whole(&record)?;
    }
    making.finish(end.saturating_sub(from))?;
    Ok(None)
}

/// A record that is not older, or the first: found by halves, as records are in order of time but for clocks set back,
/// for which an hour is allowed.
fn first_since(store: &Store, since: Option<Timestamp>) -> Result<u64, Failure> {
    let (mut low, mut high) = (store.log.floor(), store.log.len());
    let Some(since) = since else { return Ok(low) };
    let since = since.micros().saturating_sub(3_600_000_000);
    while low < high {
        let middle = low.midpoint(high);
        let read = store.log.read(middle, middle.saturating_add(1)).next();
        let Some(read) = read.transpose().map_err(|error| log_error(&error))? else { return Ok(low) };
        let at = Members::of(&read.bytes).find(|(name, _)| *name == "ts_us");
        match at.and_then(|(_, value)| number::<i64>(value)) {
            Some(at) if at < since => low = middle.saturating_add(1),
            _ => high = middle,
        }
    }
    Ok(low)
}

/// An open session.
struct Session {
    number: u32,
    /// The last statement of it that was seen.
    last: Option<u64>,
    /// Statements of which more may be told.
    open: Vec<Open>,
}

/// A statement of which more may be told.
struct Open {
    statement: u64,
    run: u32,
    /// How many had been decided on when it was last let through, and when that was.
    begun: u32,
    from_us: i64,
}

struct Making<'s> {
    store: &'s Store,
    since: i64,
    until: i64,
    out: &'s mpsc::Sender<Reply>,
    text: String,
    /// Shapes by the bytes of the members that they are made of.
    shapes: HashMap<Box<[u8]>, u32>,
    sessions: HashMap<SessionId, Session>,
    numbered: u32,
    /// Sessions that began before the period, and whose they are.
    earlier: Vec<(SessionId, u32)>,
    persons: HashMap<u32, Person>,
    runs: u32,
    batch: Vec<Run>,
    news: Vec<(u32, News)>,
    /// The statement for which a request was opened that is open still.
    requests: HashMap<RequestId, u32>,
    grants: HashMap<GrantId, (String, u64)>,
    /// All that people are seen to have approved, before the period, too.
    approved: HashSet<GrantId>,
    /// Room for the members of a shape.
    room: Vec<u8>,
    /// Whether it is asked when statements delivered.
    spans: bool,
}

/// The members of a statement's record that are its own.
#[derive(Default)]
struct Own<'b> {
    at_us: Option<i64>,
    session: Option<SessionId>,
    statement: Option<u64>,
    person: Option<&'b str>,
    verdict: Option<&'b str>,
    /// The gate itself refused it.
    refused: bool,
    grant: Option<GrantId>,
    request: bool,
}

impl<'s> Making<'s> {
    fn new(
        store: &'s Store,
        (since, until): (Option<Timestamp>, Option<Timestamp>),
        out: &'s mpsc::Sender<Reply>,
    ) -> Self {
        Self {
            store,
            since: since.map_or(i64::MIN, Timestamp::micros),
            until: until.map_or(i64::MAX, Timestamp::micros),
            out,
            text: String::new(),
            shapes: HashMap::new(),
            sessions: HashMap::new(),
            numbered: 0,
            earlier: Vec::new(),
            persons: HashMap::new(),
            runs: 0,
            batch: Vec::new(),
            news: Vec::new(),
            requests: HashMap::new(),
            grants: HashMap::new(),
            approved: HashSet::new(),
            room: Vec::new(),
            spans: false,
        }
    }

    /// When the log begins.
    fn begins(&mut self) -> Result<(), Failure> {
        let first = self.store.log.read(0, 1).next().filter(|_| self.store.log.floor() == 0);
        let Some(first) = first.transpose().map_err(|error| log_error(&error))? else { return Ok(()) };
        let at = Members::of(&first.bytes).find(|(name, _)| *name == "ts_us");
        match at.and_then(|(_, value)| number(value)) {
            Some(at) => self.say(&Line::Begins(at)),
            None => Ok(()),
        }
    }

    /// Maps and policies that ever came into force.
    fn loaded(&mut self) -> Result<(), Failure> {
        let mut lines = Vec::new();
        self.search(&["policy.loaded"], &[], &mut |record| {
            if let Event::PolicyLoaded { policy_sha256, map_sha256: Some(map), .. } = record.event {
                lines.push(Line::Loaded { policy: policy_sha256, map });
            }
        })?;
        lines.iter().try_for_each(|line| self.say(line))
    }

    fn search(
        &self,
        kind: &[&str],
        session: &[SessionId],
        each: &mut dyn FnMut(Record),
    ) -> Result<(), Failure> {
        let kind = kind.iter().map(|kind| (*kind).to_owned()).collect();
        let filter = Filter { kind, session: session.to_vec(), ..Filter::default() };
        let how = Search { reverse: false, scan: false, end: u64::MAX };
        let mut take = |stored: Stored| {
            if let Ok(record) = Record::decode(&stored.bytes) {
                each(record);
            }
            true
        };
        let done: Result<(), LogError> = self.store.finder.search(&filter, how, &mut take);
        done.map_err(|error| log_error(&error))
    }

    /// Takes the next record; whether it is in the period, or before it.
    fn take(&mut self, stored: &Stored, joiner: &mut Joiner) -> Result<bool, Failure> {
        let unreadable = || Failure::usage(format!("record {} cannot be read", stored.seq));
        // What goes on in others is put together first, of which there are few.
        let mut kind = None;
        let mut goes_on = joiner.waits();
        let mut at = None;
        for (name, value) in Members::of(&stored.bytes) {
            match name {
                "type" => kind = text(value),
                "ts_us" => at = number::<i64>(value),
                "continued" | "shortened" => goes_on = true,
                _ => {}
            }
        }
        let (Some(kind), Some(at)) = (kind, at) else { return Err(unreadable()) };
        if at >= self.until {
            return Ok(false);
        }
        if goes_on {
            let record = Record::decode(&stored.bytes).map_err(|_| unreadable())?;
            for record in joiner.take(record) {
                self.take_whole(&record)?;
            }
            return Ok(true);
        }
        match kind {
            "statement.decided" => self.statement(&stored.bytes, false)?,
            "statement.completed" | "statement.outcome_unknown" => self.completed(&stored.bytes),
            "session.opened" | "session.closed" | "stepup.requested" | "stepup.ended" | "limit.reached"
            | "limit.enforced" | "grant.issued" => {
                self.event(&Record::decode(&stored.bytes).map_err(|_| unreadable())?)?;
            }
            _ => {}
        }
        self.flush(BATCH)?;
        Ok(true)
    }

    /// A record that had gone on in others, put together.
    fn take_whole(&mut self, record: &Record) -> Result<(), Failure> {
        if !matches!(record.event, Event::StatementDecided(_)) {
            return self.event(record);
        }
        let Ok(Value::Object(mut fields)) = serde_json::to_value(&record.event) else { return Ok(()) };
        fields.insert("ts_us".to_owned(), record.at.micros().into());
        let bytes = serde_json::to_vec(&fields).unwrap_or_default();
        let lost = |name: &String| SHAPE.contains(&name.as_str());
        let cut = record.continued.keys().chain(record.shortened.keys()).any(lost);
        self.statement(&bytes, cut)
    }

    fn statement(&mut self, bytes: &[u8], cut: bool) -> Result<(), Failure> {
        let mut own = Own::default();
        self.room.clear();
        for (name, value) in Members::of(bytes) {
            match name {
                "ts_us" => own.at_us = number(value),
                "session" => own.session = text(value).and_then(|text| text.parse().ok()),
                "statement" => own.statement = number(value),
                "person" => own.person = text(value),
                "verdict" => own.verdict = text(value),
                "refusal" => own.refused = true,
                "grant" => own.grant = text(value).and_then(|text| text.parse().ok()),
                "request" => own.request = value != b"null",
                name if SHAPE.contains(&name) => {
                    self.room.push(if self.room.is_empty() { b'{' } else { b',' });
                    self.room.push(b'"');
                    self.room.extend_from_slice(name.as_bytes());
                    self.room.extend_from_slice(b"\":");
                    self.room.extend_from_slice(value);
                }
                _ => {}
            }
        }
        if cut {
            self.room.extend_from_slice(b",\"cut\":true");
        }
        self.room.push(b'}');
        let (Some(at_us), Some(id), Some(statement)) = (own.at_us, own.session, own.statement) else {
            return Err(Failure::usage("a record of a statement cannot be read"));
        };
        let before = at_us < self.since;
        let session = self.session(id, own.person.unwrap_or_default())?;
        let Some(session) = self.sessions.get_mut(&id).filter(|it| it.number == session) else {
            return Ok(());
        };
        if let Some(count) = own.grant.and_then(|grant| self.grants.get_mut(&grant)) {
            count.1 = count.1.saturating_add(1);
        }
        // Decided again, when it was approved or is running: the same statement.
        if session.last.is_some_and(|last| statement <= last) {
            let open = session.open.iter_mut().find(|open| open.statement == statement);
            if let (Some(open), Some("forward" | "monitor")) = (open, own.verdict) {
                (open.begun, open.from_us) = (self.runs, at_us);
                self.news.push((open.run, News::Began));
            }
            return Ok(());
        }
        session.last = Some(statement);
        if before {
            return Ok(());
        }
        let verdict = match own.verdict.unwrap_or_default() {
            // Whatever the rules say: no other rules would have let it pass.
            _ if own.refused => Verdict::Fail,
            "hold" | "defer" => Verdict::Hold,
            "deny" => Verdict::Deny,
            "fail" => Verdict::Fail,
            _ => Verdict::Forward,
        };
        // By a broken glass a statement passes without anybody's approval, and has that for its grant.
        let passed = match (own.grant.is_some_and(|grant| self.approved.contains(&grant)), own.request) {
            (true, _) => Passed::Grant,
            (false, true) => Passed::Rerun,
            (false, false) => Passed::No,
        };
        if matches!(verdict, Verdict::Forward | Verdict::Hold) {
            if session.open.len() >= MOST_OPEN {
                session.open.remove(0);
            }
            session.open.push(Open { statement, run: self.runs, begun: self.runs, from_us: at_us });
        }
        let session = session.number;
        let shape = self.shape()?;
        self.runs = self.runs.saturating_add(1);
        if self.runs > MOST_RUNS {
            return Err(too_much("statements", MOST_RUNS));
        }
        self.batch.push(Run { at_us, shape, session, verdict, passed });
        Ok(())
    }

    /// The number of the shape whose members are in `room`.
    fn shape(&mut self) -> Result<u32, Failure> {
        if let Some(number) = self.shapes.get(self.room.as_slice()) {
            return Ok(*number);
        }
        let number = u32::try_from(self.shapes.len()).unwrap_or(u32::MAX);
        if number >= MOST_SHAPES {
            return Err(too_much("different statements", MOST_SHAPES));
        }
        self.shapes.insert(self.room.as_slice().into(), number);
        // It is JSON already.
        self.text.push_str("{\"Shape\":");
        self.text
            .push_str(std::str::from_utf8(&self.room).map_err(|_| Failure::usage("a record is no text"))?);
        self.text.push_str("}\n");
        Ok(number)
    }

    /// The number of a session.
    fn session(&mut self, id: SessionId, person: &str) -> Result<u32, Failure> {
        if let Some(session) = self.sessions.get(&id) {
            return Ok(session.number);
        }
        let number = self.numbered;
        self.numbered = self.numbered.saturating_add(1);
        self.sessions.insert(id, Session { number, last: None, open: Vec::new() });
        self.earlier.push((id, number));
        let (key, known) = self.name(person);
        self.persons.insert(number, Person { key, known, ..Person::default() });
        self.say(&Line::Session)?;
        Ok(number)
    }

    /// What stands in a record for a name, opened; whether that is the name.
    fn name(&self, text: &str) -> (String, bool) {
        match Commit::of_hex(text) {
            None => (text.to_owned(), !text.is_empty()),
            Some(commit) => match self.store.log.subjects().open(&commit) {
                Some(subject) => (subject.value.clone(), true),
                None => (text.to_owned(), false),
            },
        }
    }

    fn known(&self, text: &str) -> Option<String> {
        let (name, known) = self.name(text);
        known.then_some(name)
    }

    fn completed(&mut self, bytes: &[u8]) {
        // Rows and bytes of a statement that was left half-way are not known where the gate ended.
        let (mut session, mut statement, mut rows, mut sent, mut aborted) = (None, None, None, None, false);
        let mut to_us = None;
        for (name, value) in Members::of(bytes) {
            match name {
                "session" => session = text(value).and_then(|text| text.parse::<SessionId>().ok()),
                "statement" => statement = number::<u64>(value),
                "ts_us" => to_us = number::<i64>(value),
                "rows" => rows = number(value),
                "bytes" => sent = number(value),
                "sqlstate" => aborted = text(value) == Some("25P02"),
                _ => {}
            }
        }
        let Some(open) = session.and_then(|id| self.sessions.get_mut(&id)) else { return };
        let Some(at) = open.open.iter().position(|open| Some(open.statement) == statement) else { return };
        let Open { run, begun, from_us, .. } = open.open.swap_remove(at);
        if let Some(to_us) = to_us.filter(|_| self.spans) {
            self.news.push((run, News::Span(Span { begun, done: self.runs, from_us, to_us })));
        }
        let delivered = || Some(News::Delivered(rows?, sent?));
        self.news.extend(if aborted { Some(News::Aborted) } else { delivered() }.map(|news| (run, news)));
    }

    fn run_of(&self, session: SessionId, statement: u64) -> Option<u32> {
        let session = self.sessions.get(&session)?;
        session.open.iter().find(|open| open.statement == statement).map(|open| open.run)
    }

    fn event(&mut self, record: &Record) -> Result<(), Failure> {
        match &record.event {
            Event::SessionOpened(opened) => {
                let SessionOpened { session, person, address, client, .. } = &**opened;
                let number = self.session(*session, &person.to_string())?;
                let address = self.known(&address.to_string());
                let client = self.known(&client.to_string()).or_else(|| empty(&client.to_string()));
                if let Some(person) = self.persons.get_mut(&number) {
                    (person.address, person.client) = (address, client);
                }
                self.earlier.retain(|(id, _)| id != session);
                self.say_whose(number)?;
                self.say(&Line::Opened(number, record.at.micros()))?;
            }
            Event::SessionClosed { session, .. } => drop(self.sessions.remove(session)),
            Event::StepupRequested(asked) if asked.opened_by.is_none() => {
                if let Some(run) = self.run_of(asked.session, asked.statement) {
                    let midway = self.requests.values().any(|it| *it == run);
                    self.news.push((run, if midway { News::AskedMidway } else { News::Asked }));
                    self.requests.insert(asked.request, run);
                }
            }
            Event::StepupEnded { request, outcome, .. } => {
                if let Some(run) = self.requests.remove(request) {
                    self.news.push((run, News::Ended(*outcome)));
                }
            }
            Event::LimitReached(reached) => {
                let run = self.run_of(reached.session, reached.statement);
                let point = News::Reached(reached.rows, reached.bytes, reached.next);
                self.news.extend(run.map(|run| (run, point)));
            }
            Event::LimitEnforced(enforced) => {
                let run = self.run_of(enforced.session, enforced.statement);
                self.news.extend(run.map(|run| (run, News::Cut)));
            }
            Event::GrantIssued(issued) => {
                self.approved.insert(issued.grant);
                if record.at.micros() >= self.since {
                    self.grants.insert(issued.grant, (issued.approval.clone(), 0));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn say_whose(&mut self, number: u32) -> Result<(), Failure> {
        match self.persons.remove(&number) {
            Some(person) => self.say(&Line::Of(number, person)),
            None => Ok(()),
        }
    }

    fn say(&mut self, line: &Line) -> Result<(), Failure> {
        let line = serde_json::to_string(line).map_err(|error| Failure::usage(error.to_string()))?;
        self.text.push_str(&line);
        self.text.push('\n');
        Ok(())
    }

    /// Sends what has come together, where it is that much.
    fn flush(&mut self, batch: usize) -> Result<(), Failure> {
        if self.batch.len() >= batch && !self.batch.is_empty() {
            let runs = std::mem::take(&mut self.batch);
            self.say(&Line::Runs(runs))?;
        }
        if self.news.len() >= batch && !self.news.is_empty() {
            // What became of them is not told before they are.
            let runs = std::mem::take(&mut self.batch);
            self.say(&Line::Runs(runs))?;
            let news = std::mem::take(&mut self.news);
            self.say(&Line::News(news))?;
        }
        if self.text.len() >= PIECE || (batch == 0 && !self.text.is_empty()) {
            let text = std::mem::take(&mut self.text);
            self.out
                .blocking_send(Reply::Text(text))
                .map_err(|_| Failure::unreachable("nobody listens to the answer"))?;
        }
        Ok(())
    }

    fn finish(mut self, read: u64) -> Result<(), Failure> {
        let earlier = std::mem::take(&mut self.earlier);
        for some in earlier.chunks(AT_ONCE) {
            let ids: Vec<SessionId> = some.iter().map(|(id, _)| *id).collect();
            let mut found = Vec::new();
            self.search(&["session.opened"], &ids, &mut |record| {
                if let Event::SessionOpened(opened) = record.event {
                    let (address, client) = (opened.address.to_string(), opened.client.to_string());
                    found.push((opened.session, record.at.micros(), address, client));
                }
            })?;
            for (id, opened, address, client) in found {
                let Some((_, number)) = some.iter().find(|(it, _)| *it == id) else { continue };
                self.say(&Line::Opened(*number, opened))?;
                let (address, client) =
                    (self.known(&address), self.known(&client).or_else(|| empty(&client)));
                if let Some(person) = self.persons.get_mut(number) {
                    (person.address, person.client) = (address, client);
                }
            }
            for (_, number) in some {
                self.say_whose(*number)?;
            }
        }
        let mut uses: HashMap<String, Vec<u64>> = HashMap::new();
        for (approval, used) in std::mem::take(&mut self.grants).into_values() {
            uses.entry(approval).or_default().push(used);
        }
        for (approval, uses) in uses {
            self.say(&Line::Grants { approval, uses })?;
        }
        self.flush(0)?;
        self.say(&Line::Read(read))?;
        self.flush(0)
    }
}

/// A client without a name has none to be erased.
fn empty(text: &str) -> Option<String> {
    text.is_empty().then(String::new)
}

fn too_much(what: &str, most: u32) -> Failure {
    Failure::usage(format!("there are more than {most} {what} in this period"))
        .hint("narrow it down with --since and --until")
}
