//! The two ways out of a session. Statement bytes leave only through [`ToServer::spend`] and
//! [`ToServer::go_on`].

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, OnceLock};

use bytes::{BufMut, Bytes, BytesMut};
use stepgate_record::{Permit, Release, Ticket};
use stepgate_sql::{Closes, Effect, Facts};
use stepgate_types::{SessionId, StatementId};

use crate::described::Origins;
use crate::meter::Meter;
use crate::registry::bytes_of;
use crate::shown::Counting;
use crate::subject::{Known, changes};
use crate::subjects::KeyFields;
use crate::text::Text;

/// What lets a statement through to the server.
#[derive(Debug)]
pub enum Pass {
    /// Its record is on disk.
    Permit(Permit),
    /// Its record is queued, and it is proven read-only and unflagged. Its reply waits for a release.
    Ticket(Ticket),
}

impl Pass {
    fn statement(&self) -> StatementId {
        match self {
            Self::Permit(permit) => permit.statement(),
            Self::Ticket(ticket) => ticket.statement(),
        }
    }
}

/// A token was made out for another statement than the one it was used for: a defect of the gate's, and
/// the session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a token was used for another statement than its own")]
pub struct WrongToken;

/// Shows that a statement was let through. Made only by spending a pass; a portal keeps it for as long as
/// it lives, so that the rest of its rows can be fetched.
#[derive(Debug)]
pub(crate) struct Opened {
    number: u64,
    traces: Arc<Traces>,
    at: Moment,
}

/// When a Bind was sent, by what its Execute may find otherwise.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moment {
    /// How often a name of a statement or cursor may have got another meaning, this Bind included.
    pub(crate) names: u64,
    /// How often what was bound may itself have changed the path.
    pub(crate) own_paths: u64,
    /// How often the session had learnt what holds after statements under way.
    pub(crate) learned: u64,
    /// How often the rules had changed by which it was let through.
    pub(crate) rules: u64,
}

/// What running a statement may leave behind in the name space that SQL and protocol share.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Traces {
    /// Prepared statements and cursors it makes.
    pub(crate) names: BTreeSet<String>,
    /// Whether it may make others too, since not all of it is understood.
    pub(crate) wild: bool,
    /// How often it may read COPY data.
    pub(crate) copies_in: usize,
    /// Names that are gone then.
    pub(crate) closes: Vec<Closes>,
    /// What the one name stands for once it has run, where it is known.
    pub(crate) made: Option<Made>,
    /// What it may change of what others mean: each Execute of its portal does, be it long after its Bind.
    pub(crate) changes: Option<Arc<[Facts]>>,
    /// By what it was judged, if it reads only when it is executed.
    pub(crate) late: Option<Late>,
    /// The statement's number.
    pub(crate) number: u64,
    /// Its text, where it has a portal of that name, which others may go on with.
    pub(crate) text: Option<Text>,
    /// What its result may show.
    pub(crate) shows: Arc<[Facts]>,
    /// The origins of its result's columns, once they have been looked at.
    pub(crate) described: OnceLock<Origins>,
    /// The same as they were said of the prepared statement, with nothing changed since; to be looked at.
    pub(crate) of_statement: Option<Origins>,
    /// What its rows draw on, where they are limited.
    pub(crate) meter: Option<Arc<Meter>>,
    /// Where in its rows keys are that are tracked.
    pub(crate) keys: OnceLock<Arc<KeyFields>>,
    /// Where in its rows keys are that a limit counts.
    pub(crate) counting: OnceLock<Arc<Counting>>,
}

impl Traces {
    /// Its text, where it is known.
    pub(crate) fn text(&self) -> Option<&Text> {
        self.text.as_ref().or_else(|| self.late.as_ref().map(|late| &late.text))
    }

    /// Whether running the statement may give a name of a statement or cursor another meaning.
    pub(crate) fn may_rename(&self) -> bool {
        self.wild || self.made.is_some() || !self.names.is_empty() || !self.closes.is_empty()
    }
}

/// A statement whose portal sees what was stored after its Bind.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) text: Text,
    pub(crate) facts: Arc<[Facts]>,
    pub(crate) known: Known,
}

/// What SQL gave a name to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Made {
    /// DECLARE: a cursor whose statement was let through.
    Cursor(Declared),
    /// PREPARE, by this text, with these facts when it ran.
    Prepared(Text, Arc<[Facts]>),
}

impl Made {
    /// What it is counted as.
    pub(crate) fn bytes(&self) -> usize {
        let (text, facts) = match self {
            Self::Cursor(declared) => (&declared.text, &declared.facts),
            Self::Prepared(text, facts) => (text, facts),
        };
        text.sql.len().saturating_add(bytes_of(facts))
    }
}

/// A cursor, by the text of its DECLARE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Declared {
    pub(crate) text: Text,
    /// When it ran.
    pub(crate) facts: Arc<[Facts]>,
    /// What running it may change.
    pub(crate) effect: Box<Effect>,
    /// What its rows draw on, where they are limited.
    pub(crate) meter: Option<Arc<Meter>>,
    /// How often the rules had changed by which it was let through.
    pub(crate) rules: u64,
}

impl Declared {
    /// Whether nothing that happens meanwhile changes what its rows are made of.
    pub(crate) fn is_settled(&self) -> bool {
        self.facts.iter().all(Facts::is_settled_once_open)
    }
}

impl Opened {
    /// The statement's number.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// When it was bound.
    pub(crate) const fn at(&self) -> Moment {
        self.at
    }

    /// It was bound then.
    pub(crate) const fn bound(&mut self, at: Moment) {
        self.at = at;
    }

    /// What running it may leave behind.
    pub(crate) const fn traces(&self) -> &Arc<Traces> {
        &self.traces
    }

    /// The portal that its statement opens in turn, if it is a DECLARE: let through with it.
    pub(crate) fn declares(&self) -> Option<Self> {
        match &self.traces.made {
            Some(Made::Cursor(declared)) if declared.is_settled() => Some(Self {
                number: self.number,
                at: self.at,
                traces: Arc::new(Traces {
                    number: self.number,
                    shows: Arc::clone(&declared.facts),
                    changes: changes(&declared.facts),
                    meter: declared.meter.clone(),
                    ..Traces::default()
                }),
            }),
            _ => None,
        }
    }
}

/// Client frames that execute nothing, whatever the server's state, and so need no token. (A Parse whose literals are checked
/// by what reads tables goes only with a Bind that has one: `Session::forward_parked`.)
///
/// `B`, `E`, `F` and `Q` are not among them and never may be.
const HARMLESS: &[u8] = b"PDCSHdcfX";

/// Bytes on their way to PostgreSQL.
#[derive(Debug)]
pub(crate) struct ToServer {
    session: SessionId,
    queue: BytesMut,
    /// A CopyData has been sent in part; what is the gate's own waits for its rest.
    mid_frame: bool,
    own: BytesMut,
    /// Statements that went ahead on a ticket and whose replies must wait, mostly released in the order they were sent in.
    unreleased: VecDeque<u64>,
    /// Those that had a ticket and were never sent: their releases come, too.
    unsent: BTreeSet<u64>,
}

impl ToServer {
    pub(crate) fn new(session: SessionId) -> Self {
        Self {
            session,
            queue: BytesMut::new(),
            mid_frame: false,
            own: BytesMut::new(),
            unreleased: VecDeque::new(),
            unsent: BTreeSet::new(),
        }
    }

    /// Sends the Query, Bind or Execute of statement `number`.
    pub(crate) fn spend(
        &mut self,
        pass: Pass,
        number: u64,
        traces: Arc<Traces>,
        frame: &Bytes,
    ) -> Result<Opened, WrongToken> {
        if pass.statement() != (StatementId { session: self.session, number }) {
            return Err(WrongToken);
        }
        if let Pass::Ticket(_) = pass {
            self.unreleased.push_back(number);
        }
        self.queue.extend_from_slice(frame);
        Ok(Opened { number, traces, at: Moment::default() })
    }

    /// Sends an Execute of a portal whose Bind was let through.
    pub(crate) fn go_on(&mut self, _opened: &Opened, execute: &Bytes) {
        self.queue.extend_from_slice(execute);
    }

    /// Sends a frame that executes nothing; `false`, and nothing is sent, if it is none of those.
    pub(crate) fn harmless(&mut self, tag: u8, frame: &Bytes) -> bool {
        let harmless = HARMLESS.contains(&tag) && frame.first().is_none_or(|first| *first == tag);
        if harmless {
            self.queue.extend_from_slice(frame);
        }
        harmless
    }

    /// Sends the head of a CopyData, or all of it; `false`, and nothing is sent, if it is none.
    pub(crate) fn copy_data(&mut self, tag: u8, head: &Bytes, last: bool) -> bool {
        let sent = tag == b'd' && self.harmless(tag, head);
        self.mid_frame = sent && !last;
        sent
    }

    /// Sends the rest of a CopyData whose head was sent.
    pub(crate) fn copy_data_rest(&mut self, part: &Bytes, last: bool) {
        self.queue.extend_from_slice(part);
        self.mid_frame = !last;
        if last && !self.own.is_empty() {
            let own = self.own.split();
            self.queue.unsplit(own);
        }
    }

    /// Ends a COPY FROM STDIN that nobody will send anything for.
    pub(crate) fn copy_fail(&mut self) {
        self.message(b'f', &[b"ended by the gate\0"]);
    }

    /// Sends a Query that must fail to parse.
    pub(crate) fn poison_query(&mut self, nonce: &str) {
        self.message(b'Q', &[nonce.as_bytes(), b"\0"]);
    }

    /// Sends a Query that must fail, in a transaction that has failed by the server's own words: it parses, and names no column.
    pub(crate) fn poison_failed(&mut self, nonce: &str) {
        self.message(b'Q', &[b"select \"", nonce.as_bytes(), b"\"\0"]);
    }

    /// Sends a Bind that must fail, since no such prepared statement exists. If there were one it would fail all the same
    /// before anything of it is planned: it has two formats for no parameter (`exec_bind_message` of postgres.c).
    pub(crate) fn poison_bind(&mut self, nonce: &str) {
        self.message(b'B', &[b"\0", nonce.as_bytes(), b"\0\0\x02\0\0\0\0\0\0\0\0"]);
    }

    /// Sends an Execute that must fail, since no such portal exists.
    pub(crate) fn poison_execute(&mut self, nonce: &str) {
        self.message(b'E', &[nonce.as_bytes(), b"\0\0\0\0\0"]);
    }

    /// Sends a FunctionCall that must fail, since no function has that OID.
    pub(crate) fn poison_function(&mut self) {
        self.message(b'F', &[&[0; 4], &[0; 2], &[0; 2], &[0; 2]]);
    }

    /// Closes a portal.
    pub(crate) fn close_portal(&mut self, portal: &Bytes) {
        self.message(b'C', &[b"P", portal, b"\0"]);
    }

    /// Closes a prepared statement.
    pub(crate) fn close_statement(&mut self, name: &str) {
        self.message(b'C', &[b"S", name.as_bytes(), b"\0"]);
    }

    /// Has a portal described, which executes nothing.
    pub(crate) fn describe_portal(&mut self, portal: &Bytes) {
        self.message(b'D', &[b"P", portal, b"\0"]);
    }

    /// Has a prepared statement described, which executes nothing.
    pub(crate) fn describe_statement(&mut self, name: &Bytes) {
        self.message(b'D', &[b"S", name, b"\0"]);
    }

    /// Sends the gate's own question about the session's state.
    pub(crate) fn probe(&mut self, name: &str) {
        let (name, sql) = (name.as_bytes(), crate::probe::SQL.as_bytes());
        // One that failed may have left its statement behind.
        self.message(b'C', &[b"S", name, b"\0"]);
        self.message(b'P', &[name, b"\0", sql, b"\0\0\0"]);
        self.message(b'B', &[name, b"\0", name, b"\0\0\0\0\0\0\0"]);
        self.message(b'E', &[name, b"\0\0\0\0\0"]);
        self.message(b'C', &[b"P", name, b"\0"]);
        self.message(b'C', &[b"S", name, b"\0"]);
        self.sync();
    }

    /// Has the server parse a statement, and forget it again: a Parse executes nothing. A Sync or Flush has to follow.
    /// `drops_unnamed`: the unnamed statement goes, as with any Query.
    pub(crate) fn check(&mut self, name: &str, sql: &[u8], types: &[u32], drops_unnamed: bool) {
        let count = u16::try_from(types.len()).unwrap_or(0).to_be_bytes();
        let types: Vec<u8> = types.iter().flat_map(|oid| oid.to_be_bytes()).collect();
        if drops_unnamed {
            self.message(b'C', &[b"S\0"]);
        }
        self.message(b'P', &[name.as_bytes(), b"\0", sql, b"\0", &count, &types]);
        self.message(b'C', &[b"S", name.as_bytes(), b"\0"]);
    }

    /// Sends a Flush of the gate's own, which has no reply.
    pub(crate) fn flush(&mut self) {
        self.message(b'H', &[]);
    }

    /// Sends a Sync of the gate's own.
    pub(crate) fn sync(&mut self) {
        self.message(b'S', &[]);
    }

    fn message(&mut self, tag: u8, body: &[&[u8]]) {
        let length = body.iter().map(|part| part.len()).sum::<usize>().saturating_add(4);
        // Nothing comes here that is longer than a frame may be.
        let Ok(length) = i32::try_from(length) else { return };
        let queue = if self.mid_frame { &mut self.own } else { &mut self.queue };
        queue.put_u8(tag);
        queue.put_i32(length);
        for part in body {
            queue.extend_from_slice(part);
        }
    }

    /// Takes the release of a statement's reply.
    pub(crate) fn release(&mut self, release: Release) -> Result<(), WrongToken> {
        let StatementId { session, number } = release.statement();
        let sent = self.unreleased.iter().position(|waits| *waits == number);
        let known = sent.and_then(|at| self.unreleased.remove(at)).is_some() || self.unsent.remove(&number);
        if session == self.session && known { Ok(()) } else { Err(WrongToken) }
    }

    /// A statement that has a ticket will not be sent any more.
    pub(crate) fn never_sends(&mut self, number: u64) {
        self.unsent.insert(number);
    }

    /// Whether every reply that the server may be sending may go to the client.
    pub(crate) fn all_released(&self) -> bool {
        self.unreleased.is_empty()
    }

    /// What is to be written.
    pub(crate) const fn queue(&mut self) -> &mut BytesMut {
        &mut self.queue
    }
}

/// Bytes on their way to the client. The gate's own messages go between the server's frames, never into
/// one.
#[derive(Debug, Default)]
pub(crate) struct ToClient {
    queue: BytesMut,
    /// Own messages that wait for the end of the frame under way.
    own: BytesMut,
    mid_frame: bool,
}

impl ToClient {
    /// Relays a whole frame.
    pub(crate) fn relay(&mut self, frame: &Bytes) {
        self.queue.extend_from_slice(frame);
    }

    /// Relays a part of a frame; `last` if the frame ends with it.
    pub(crate) fn relay_part(&mut self, part: &Bytes, last: bool) {
        self.queue.extend_from_slice(part);
        self.mid_frame = !last;
        if last && !self.own.is_empty() {
            let own = self.own.split();
            self.queue.unsplit(own);
        }
    }

    /// Sends a message of the gate's own at the next boundary.
    pub(crate) fn own(&mut self, message: &[u8]) {
        if self.mid_frame {
            self.own.extend_from_slice(message)
        } else {
            self.queue.extend_from_slice(message)
        }
    }

    /// What is to be written.
    pub(crate) const fn queue(&mut self) -> &mut BytesMut {
        &mut self.queue
    }
}
