//! A session between a scripted client and a scripted server, with tokens from a log of the tests' own.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "tests may panic")]

mod frames;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use stepgate_record::Seal;
use stepgate_session::{Action, Meter, Pass, Pending, Session, Setup, Stores, Unflagged};
use stepgate_sql::Catalog;
use stepgate_types::{Limit, RelationName, SessionId, StatementId};
use stepgate_wire::{Cutter, Problem};

pub(crate) use frames::*;
use frames::{names_row_of, no_columns};

pub(crate) const ID: SessionId = SessionId::from_bytes([7; 16]);

/// A log on which everything is durable.
pub(crate) struct Sealed;

impl Seal for Sealed {
    fn durable(&self) -> u64 {
        u64::MAX
    }

    fn queued(&self) -> u64 {
        u64::MAX
    }

    fn ordinary_is_durable(&self) -> bool {
        true
    }
}

/// A catalog with the one table `public.t (a)`, and a function `late` that is compiled when it is first called.
pub(crate) fn catalog() -> Arc<Catalog> {
    catalog_with(&[], &[])
}

/// The same with a table `app.t (a)` beside it, which comes first in the path.
pub(crate) fn catalog_with_shadow() -> Arc<Catalog> {
    catalog_with(&["app"], &[])
}

/// The same with a table `t (a)` in each of these schemas, and tables of these names in `app`.
pub(crate) fn catalog_with(schemas: &[&str], names: &[&str]) -> Arc<Catalog> {
    let row = |cells: &[&str]| cells.iter().map(|cell| Some((*cell).to_owned())).collect::<Vec<_>>();
    let tables = [("public", "t")].into_iter().chain(schemas.iter().map(|schema| (*schema, "t")));
    let tables: Vec<_> = tables.chain(names.iter().map(|name| ("app", *name))).collect();
    let oid = |at: usize| (16_400 + at).to_string();
    let rows = stepgate_sql::CATALOG_QUERIES.iter().map(|query| {
        let rows: Vec<_> = match query.name {
            "relations" => {
                let table = |(at, (schema, name)): (usize, &(&str, &str))| {
                    row(&[&oid(at), schema, name, "r", "100", "1", "false", "false"])
                };
                tables.iter().enumerate().map(table).collect()
            }
            "columns" => (0..tables.len()).map(|at| row(&[&oid(at), "1", "a", "false", "25/-1"])).collect(),
            "functions" => vec![
                row(&["public", "late", "false", ""]),
                row(&["pg_catalog", "lowrite", "false", "955"]),
                row(&["pg_catalog", "pg_reload_conf", "false", "2621"]),
            ],
            "routines" => {
                let body = "select 1; select 'x' || n";
                vec![row(&["16500", "public", "late", "false", "text", body, "false", "n", "", ""])]
            }
            "schemas" => vec![row(&["public", ""]), row(&["app", ""]), row(&["pg_catalog", ""])],
            _ => Vec::new(),
        };
        (query.name, rows.into_iter().collect())
    });
    Arc::new(Catalog::from_rows(&rows.collect::<Vec<_>>()).unwrap())
}

pub(crate) fn statement(number: u64) -> StatementId {
    StatementId { session: ID, number }
}

pub(crate) fn permit(number: u64) -> Pass {
    Pass::Permit(Sealed.permit(statement(number), 0).unwrap())
}

pub(crate) fn ticket(number: u64) -> Pass {
    Pass::Ticket(Sealed.ticket(statement(number), 0).unwrap())
}

/// A simple query under way that may deliver so many rows.
pub(crate) fn running(sql: &str, limit: u64) -> (Stage, Arc<Meter>) {
    let mut stage = Stage::new();
    stage.client(&[query(sql)]);
    let number = stage.decision().number;
    let meter = stage.pass_limited(number, Some(limit), None);
    stage.at_server();
    (stage, meter)
}

pub(crate) struct Stage {
    pub(crate) session: Session,
    client: Cutter,
    server: Cutter,
    /// What has reached the server and was not looked at yet.
    at_server: BytesMut,
    /// What has reached the client and was not looked at yet.
    at_client: BytesMut,
    pub(crate) completed: Vec<(u64, Option<String>, u64)>,
    /// Bytes that each of them delivered.
    pub(crate) bytes_completed: Vec<u64>,
    /// The driver was told to go on watching a portal.
    pub(crate) suspended: bool,
    pub(crate) goes_on: bool,
    pub(crate) withdrawn: Vec<u64>,
    /// What results were about to show.
    pub(crate) unflagged: Vec<(u64, Unflagged)>,
    /// The gate's own Describes of portals that the server has not answered; `answers` them by itself.
    pub(crate) describes: usize,
    pub(crate) answers: bool,
    /// Keys that were shown, and whether there were more.
    pub(crate) subjects: Vec<(u64, RelationName, Vec<String>, bool)>,
    /// Meters that were spent, by number, and the sizes of the rows that came then.
    pub(crate) thresholds: Vec<(u64, u64)>,
    /// How often the driver was told to look which of them are over.
    pub(crate) limits_over: usize,
    pub(crate) not_parsed: Vec<(u64, String)>,
    pub(crate) ended: bool,
    /// The client has said goodbye, and is still answered.
    pub(crate) goodbye: bool,
    /// How often the gate asked whether something parses.
    pub(crate) checks: usize,
    /// The error with which the server refuses to parse the next thing it is asked about.
    pub(crate) unparsable: Option<Vec<u8>>,
    /// How often the gate asked what names mean.
    pub(crate) probes: usize,
    /// All that the gate asked of the server.
    pub(crate) questions: Vec<Bytes>,
    /// What SQL has prepared, as the server will tell.
    pub(crate) prepared_by_sql: Vec<&'static str>,
    /// The search path, as the server will tell.
    pub(crate) path: Vec<&'static str>,
    /// Whether the catalog is loaded as soon as the session asks for it.
    pub(crate) loads: bool,
    /// How often the gate asked whether something exists, how often the client did, and whether it does.
    pub(crate) lookups: usize,
    described: usize,
    pub(crate) absent: bool,
    lookup: Option<Vec<u8>>,
    /// The gate's questions are not answered before [`Stage::answer`].
    pub(crate) silent: bool,
    unsaid: Vec<Vec<u8>>,
    /// The isolation levels of transactions to come and of this one, as the server will tell.
    pub(crate) levels: [&'static str; 2],
    /// Their timeout.
    pub(crate) timeout: Option<&'static str>,
    /// The transaction status that the server last told.
    status: u8,
    decisions: Vec<Pending>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let parameters = [("standard_conforming_strings", "on"), ("client_encoding", "UTF8")];
        let session = Session::new(Setup {
            pid: 4_711,
            id: ID,
            catalog: catalog(),
            parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
            settings: Vec::new(),
            secret: [1; 32],
        });
        Self {
            session,
            client: Cutter::client(),
            server: Cutter::server(),
            at_server: BytesMut::new(),
            at_client: BytesMut::new(),
            completed: Vec::new(),
            bytes_completed: Vec::new(),
            suspended: false,
            goes_on: false,
            withdrawn: Vec::new(),
            unflagged: Vec::new(),
            describes: 0,
            answers: true,
            subjects: Vec::new(),
            thresholds: Vec::new(),
            limits_over: 0,
            not_parsed: Vec::new(),
            ended: false,
            goodbye: false,
            checks: 0,
            unparsable: None,
            probes: 0,
            questions: Vec::new(),
            prepared_by_sql: Vec::new(),
            path: vec!["pg_catalog", "app", "public"],
            loads: true,
            lookups: 0,
            described: 0,
            absent: false,
            lookup: None,
            silent: false,
            unsaid: Vec::new(),
            levels: ["read committed"; 2],
            timeout: None,
            status: b'I',
            decisions: Vec::new(),
        }
    }

    /// The client sends these frames.
    pub(crate) fn client(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            self.described += usize::from(frame.first() == Some(&b'D'));
            self.client.push(frame);
        }
        while let Some(piece) = self.client.next().unwrap() {
            self.session.on_client(piece);
        }
        self.settle();
    }

    /// The server sends these frames.
    pub(crate) fn server(&mut self, frames: &[Vec<u8>]) {
        for frame in frames {
            if let [b'Z', .., status] = frame.as_slice() {
                self.status = *status;
            }
            // The gate's own Describe comes before the Execute.
            if self.answers && self.describes > 0 && matches!(frame.first(), Some(b'D' | b'C' | b's')) {
                self.describes -= 1;
                self.server.push(&no_columns());
            }
            if frame.first() == Some(&b'Z') {
                self.describes = 0;
            }
            self.server.push(frame);
        }
        while self.session.wants_server()
            && let Some(piece) = self.server.next().unwrap()
        {
            self.session.on_server(&piece);
        }
        if let Some(answer) = self.lookup.take() {
            self.say(&answer);
        }
        self.settle();
    }

    /// Answers the gate's own questions, and collects what else there is to do.
    fn settle(&mut self) {
        loop {
            self.take_to_server();
            self.at_client.unsplit(self.session.to_client().split());
            if let Some(answer) = self.question() {
                if self.silent {
                    self.unsaid.push(answer);
                } else {
                    self.say(&answer);
                }
                continue;
            }
            // In the middle of a segment, other replies may come before.
            if let Some(answer) =
                self.lookup.take_if(|answer| answer.len() > 5 && answer[answer.len() - 6] == b'Z')
            {
                self.say(&answer);
                continue;
            }
            let mut acted = false;
            while let Some(action) = self.session.action() {
                acted = true;
                match action {
                    Action::Decide(pending) => self.decisions.push((*pending).clone()),
                    Action::Withdraw { number } => self.withdrawn.push(number),
                    Action::Completed { number, sqlstate, rows, suspended, goes_on, bytes, .. } => {
                        self.suspended |= suspended;
                        self.goes_on |= goes_on;
                        self.bytes_completed.push(bytes);
                        self.completed.push((number, sqlstate, rows));
                    }
                    Action::NotParsed { number, sqlstate } => self.not_parsed.push((number, sqlstate)),
                    Action::LoadCatalog { change } => {
                        if self.loads {
                            self.session.catalog_loaded(change, catalog());
                        }
                    }
                    Action::Subjects { number, relation, keys, more } => {
                        self.subjects.push((number, relation, keys, more));
                    }
                    Action::LimitsOver => self.limits_over += 1,
                    Action::Threshold { meter, next } => self.thresholds.push((meter.number(), next)),
                    Action::ShowsMore { number, unflagged } => self.unflagged.push((number, unflagged)),
                    Action::End(_) => self.ended = true,
                    Action::Goodbye => self.goodbye = true,
                }
            }
            if !acted {
                return;
            }
        }
    }

    /// What is sent to the server, but for the gate's own Describes. (No client of these tests describes a portal.)
    fn take_to_server(&mut self) {
        let sent = self.session.to_server().split();
        if !sent.contains(&b'D') {
            return self.at_server.unsplit(sent);
        }
        let mut cutter = Cutter::client();
        cutter.push(&sent);
        let mut frames = Vec::new();
        while let Some(piece) = cutter.next().unwrap() {
            frames.push(piece.bytes().clone());
        }
        let mut frames = frames.into_iter().peekable();
        while let Some(frame) = frames.next() {
            let ends = frames.peek().map(|next| next[0]);
            if frame[0] != b'D' {
                self.at_server.extend_from_slice(&frame);
            } else if self.described > 0 {
                self.described -= 1;
                self.at_server.extend_from_slice(&frame);
            } else if matches!(ends, Some(b'H' | b'S')) {
                frames.next();
                self.lookup = Some(self.found(frame[5] == b'P', ends == Some(b'S')));
            } else if self.answers {
                self.describes += 1;
            } else {
                self.at_server.extend_from_slice(&frame);
            }
        }
    }

    /// The answer to the gate's question whether a statement or portal exists, behind all that it still owes.
    fn found(&mut self, portal: bool, synced: bool) -> Vec<u8> {
        self.lookups += 1;
        let said = match (self.absent, portal) {
            (true, true) => error("34000", "portal does not exist"),
            (true, false) => error("26000", "prepared statement does not exist"),
            (false, true) => frame(b'n', b""),
            (false, false) => [frame(b't', b"\0\0"), frame(b'n', b"")].concat(),
        };
        [said, if synced { ready(self.status) } else { Vec::new() }].concat()
    }

    /// The gate's own question among what has reached the server, taken out, and its answer.
    fn question(&mut self) -> Option<Vec<u8>> {
        let probe = find(&self.at_server, b"sg_names_");
        let check = find(&self.at_server, b"sg_check_");
        if !probe && !check {
            return None;
        }
        let frames = self.at_server();
        let unnamed = |frame: &Bytes| check && frame[..] == b"C\0\0\0\x06S\0"[..];
        let own = |frame: &Bytes| find(frame, b"sg_names_") || find(frame, b"sg_check_") || unnamed(frame);
        // Its Sync or Flush.
        let last = frames.iter().rposition(own).unwrap() + 1;
        for (at, frame) in frames.iter().enumerate() {
            if own(frame) || at == last {
                self.questions.push(frame.clone());
            } else {
                self.at_server.extend_from_slice(frame);
            }
        }
        if probe {
            self.probes += 1;
            let [closed, parsed, bound] = [b'3', b'1', b'2'].map(|tag| frame(tag, b""));
            let settings: Vec<&str> = self.levels.into_iter().chain(self.timeout).collect();
            let row = names_row_of(&self.path, &self.prepared_by_sql, &settings);
            let replies =
                [&closed, &parsed, &bound, &row, &complete(), &closed, &closed, &ready(self.status)];
            return Some(replies.into_iter().flatten().copied().collect());
        }
        self.checks += 1;
        if frames.get(last).is_some_and(|frame| frame[0] == b'H') {
            // Behind what the server owes of the segment.
            let dropped = if frames.iter().any(unnamed) { frame(b'3', b"") } else { Vec::new() };
            let parsed = [frame(b'1', b""), frame(b'3', b"")].concat();
            let said = self.unparsable.take().unwrap_or(parsed);
            self.lookup = Some([dropped, said].concat());
            return Some(Vec::new());
        }
        Some(match self.unparsable.take() {
            None => [frame(b'1', b""), frame(b'3', b""), ready(self.status)].concat(),
            Some(error) => {
                self.status = if self.status == b'I' { b'I' } else { b'E' };
                [error, ready(self.status)].concat()
            }
        })
    }

    /// The server answers what it has been asked.
    pub(crate) fn answer(&mut self) {
        self.silent = false;
        for answer in std::mem::take(&mut self.unsaid) {
            self.say(&answer);
        }
        self.settle();
    }

    /// The server does not get as far as the gate's question.
    pub(crate) fn unsay(&mut self) {
        self.lookup = None;
    }

    fn say(&mut self, answer: &[u8]) {
        let mut server = Cutter::server();
        server.push(answer);
        while let Some(piece) = server.next().unwrap() {
            self.session.on_server(&piece);
        }
    }

    /// The one decision that is asked for.
    pub(crate) fn decision(&mut self) -> Pending {
        assert_eq!(self.decisions.len(), 1, "one decision at a time");
        self.decisions.remove(0)
    }

    pub(crate) fn undecided(&self) -> bool {
        !self.decisions.is_empty()
    }

    pub(crate) fn pass(&mut self, pass: Pass) {
        self.session.pass(pass).unwrap();
        self.settle();
    }

    /// Passes a statement that may deliver so much.
    pub(crate) fn pass_limited(&mut self, number: u64, rows: Option<u64>, bytes: Option<u64>) -> Arc<Meter> {
        let meter = Meter::new(number, Limit::of(rows, bytes), true, Stores::Nothing);
        self.session.limit(Arc::clone(&meter));
        self.pass(permit(number));
        meter
    }

    /// The row that waits goes on, and so much after it.
    pub(crate) fn go_on(&mut self, meter: &Meter, rows: u64) {
        meter.refill(Limit::of(Some(rows), None));
        self.session.go_on();
        self.server(&[]);
    }

    /// The reply whose row waits is ended.
    pub(crate) fn cut(&mut self, message: &str) {
        self.session.cut(&Problem::error(stepgate_types::SqlState::INSUFFICIENT_PRIVILEGE, message));
        self.server(&[]);
    }

    pub(crate) fn hold(&mut self) {
        self.session.hold(&Problem::notice("held"));
        self.settle();
    }

    pub(crate) fn refuse(&mut self, message: &str) {
        self.session.refuse(&Problem::error(stepgate_types::SqlState::INSUFFICIENT_PRIVILEGE, message));
        self.settle();
    }

    pub(crate) fn release(&mut self, number: u64) {
        self.session.release(Sealed.release(statement(number), 0).unwrap()).unwrap();
        // What was not read while it was withheld is read now.
        self.server(&[]);
    }

    /// Frames that reached the server since the last look, tags and all.
    pub(crate) fn at_server(&mut self) -> Vec<Bytes> {
        cut(Cutter::client(), self.at_server.split())
    }

    /// Bytes that reached the server since the last look.
    pub(crate) fn raw_at_server(&mut self) -> Bytes {
        self.at_server.split().freeze()
    }

    /// Frames that reached the client since the last look.
    pub(crate) fn at_client(&mut self) -> Vec<Bytes> {
        cut(Cutter::server(), self.at_client.split())
    }

    /// Bytes that reached the client since the last look.
    pub(crate) fn raw_at_client(&mut self) -> Bytes {
        self.at_client.split().freeze()
    }

    /// A client whose statement of one message runs to its end at once.
    pub(crate) fn run(&mut self, frames: &[Vec<u8>], replies: &[Vec<u8>]) {
        self.client(frames);
        while self.undecided() {
            let number = self.decision().number;
            self.pass(permit(number));
        }
        self.server(replies);
        self.at_server();
        self.at_client();
    }
}

fn cut(mut cutter: Cutter, bytes: BytesMut) -> Vec<Bytes> {
    cutter.push(&bytes);
    let mut frames: Vec<Bytes> = Vec::new();
    while let Some(piece) = cutter.next().unwrap() {
        frames.push(piece.bytes().clone());
    }
    assert!(cutter.at_boundary(), "only whole frames");
    frames
}

pub(crate) fn tags(frames: &[Bytes]) -> String {
    frames.iter().map(|frame| char::from(frame[0])).collect()
}

pub(crate) fn find(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// The nonce of the poison in this frame.
pub(crate) fn nonce(frame: &[u8]) -> String {
    let start = frame.windows(9).position(|window| window == b"sg_denied").expect("a poison");
    let end = frame[start..].iter().position(|byte| *byte == 0).unwrap() + start;
    String::from_utf8(frame[start..end].to_vec()).unwrap()
}
