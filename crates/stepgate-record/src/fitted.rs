//! Encoded events: canonical bytes with gaps where the log's one writer puts in what only it knows.

use std::cell::RefCell;

use crate::canonical::MAX_SAFE;
use crate::encode::{Encoder, write_digits};
use crate::fit;
use crate::record::{MAX_RECORD_BYTES, RECORD_VERSION, RecordError};
use crate::{Event, Hash};
use stepgate_types::SessionId;

/// Digits of the largest number (2^53 - 1).
const MAX_DIGITS: usize = 16;

/// How many bytes number and time add at most: their digits, and a minus.
const MAX_ADDED: usize = 2 * MAX_DIGITS + 1;

/// Bytes of a log's id, and of a hash in hexadecimal.
const ID_BYTES: usize = 32;
const HASH_BYTES: usize = 64;

/// An event that is known to fit, whatever number and time its record gets. It is encoded already: the log's one
/// writer only puts its place into it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fitted {
    bytes: Vec<u8>,
    cuts: Cuts,
}

/// A statement that has ended without an error, and whose portal is done: [`Event::StatementCompleted`], of which there is
/// one for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completed {
    /// The session.
    pub session: SessionId,
    /// The statement's number in it.
    pub statement: u64,
    /// Rows that went to the client.
    pub rows: u64,
    /// Bytes of rows and COPY data that went to the client.
    pub bytes: u64,
    /// From forwarding to completion, in microseconds.
    pub duration_us: u64,
}

impl Completed {
    /// As an event.
    #[must_use]
    pub const fn event(&self) -> Event {
        let Self { session, statement, rows, bytes, duration_us } = *self;
        let sqlstate = None;
        Event::StatementCompleted { session, statement, sqlstate, rows, bytes, duration_us, suspended: false }
    }
}

/// Where a record's place goes into the bytes of a [`Fitted`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cuts {
    /// Log and hash before: room is left for them.
    log_id: u16,
    prev: u16,
    /// Number and time: they have as many digits as they need.
    seq: u16,
    ts_us: u16,
}

/// A record's place in its log.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// The log: 32 hexadecimal digits.
    pub log_id: &'a str,
    /// Its number.
    pub seq: u64,
    /// When it was made, in microseconds since the Unix epoch.
    pub ts_us: i64,
    /// Leaf hash of the record before it.
    pub prev: &'a Hash,
}

macro_rules! zeros {
    () => {
        "00000000000000000000000000000000"
    };
}

/// What stands in a completion's record between its duration and its rows, with gaps for log and hash before.
const LOG_AND_PREV: &str =
    concat!(",\"log_id\":\"", zeros!(), "\",\"prev\":\"", zeros!(), zeros!(), "\",\"rows\":");

/// Where in it the gaps are.
const LOG_ID_AT: usize = ",\"log_id\":\"".len();
const PREV_AT: usize = LOG_ID_AT + ID_BYTES + "\",\"prev\":\"".len();

thread_local! {
    static ENCODER: RefCell<Encoder> = RefCell::default();
}

impl Fitted {
    /// The event as one record.
    ///
    /// # Errors
    /// It does not fit into one.
    pub fn new(event: &Event) -> Result<Self, RecordError> {
        let mut all = Self::all(event)?;
        all.pop().filter(|_| all.is_empty()).ok_or(RecordError::TooLong)
    }

    /// Makes `event` fit into [`MAX_RECORD_BYTES`]: into one record almost always; what does not fit goes on in more,
    /// which come right behind it.
    ///
    /// # Errors
    /// It does not fit even with every list and text that may be shortened gone.
    pub fn all(event: &Event) -> Result<Vec<Self>, RecordError> {
        let mut fitted = Self::default();
        if fitted.fit_whole(event) { Ok(vec![fitted]) } else { fit::fitted(event) }
    }

    /// The event, where it fits into one record as it is, in the room that this one has already. Where it does not, what
    /// this holds is of no use.
    pub fn fit_whole(&mut self, event: &Event) -> bool {
        self.encode(event).is_some()
    }

    /// The same of a statement's end, in a tenth of the time. `None`: a number lies beyond 2^53.
    pub fn fit_completed(&mut self, completed: &Completed) -> Option<()> {
        let Completed { session, statement, rows, bytes, duration_us } = *completed;
        if [statement, rows, bytes, duration_us].iter().any(|number| *number > MAX_SAFE) {
            return None;
        }
        let Self { bytes: out, cuts } = self;
        out.clear();
        let number = |name: &[u8], number, out: &mut Vec<u8>| {
            out.extend_from_slice(name);
            write_digits(number, out);
        };
        number(b"{\"bytes\":", bytes, out);
        number(b",\"duration_us\":", duration_us, out);
        let at = |out: &Vec<u8>, behind| out.len().checked_add(behind).and_then(|at| u16::try_from(at).ok());
        cuts.log_id = at(out, LOG_ID_AT)?;
        cuts.prev = at(out, PREV_AT)?;
        number(LOG_AND_PREV.as_bytes(), rows, out);
        out.extend_from_slice(b",\"seq\":");
        cuts.seq = at(out, 0)?;
        out.extend_from_slice(b",\"session\":\"");
        out.extend_from_slice(&session.hex());
        number(b"\",\"sqlstate\":null,\"statement\":", statement, out);
        out.extend_from_slice(b",\"ts_us\":");
        cuts.ts_us = at(out, 0)?;
        number(b",\"type\":\"statement.completed\",\"v\":", RECORD_VERSION, out);
        out.push(b'}');
        Some(())
    }

    /// Returns where the digits of the member `statement` are; `None` where the event does not fit as it is.
    fn encode(&mut self, event: &Event) -> Option<Option<Digits>> {
        // Taken out and put back: a thread that is about to end has none, and gets a new one.
        let mut encoder = ENCODER.try_with(RefCell::take).unwrap_or_default();
        let direct = encoder.encode(event).ok().and_then(|()| self.assemble(encoder.members()));
        let _ = ENCODER.try_with(|room| room.replace(encoder));
        direct.filter(|_| self.longest() <= MAX_RECORD_BYTES)
    }

    /// Puts members (`"name":value`, in the order of their names) and the gaps for a record's place together.
    /// `None`: they are no members of an event.
    pub(crate) fn assemble<'m>(
        &mut self,
        members: impl Iterator<Item = (&'m str, &'m [u8])>,
    ) -> Option<Option<Digits>> {
        let out = &mut self.bytes;
        out.clear();
        let (mut cuts, mut digits) = (Cuts::default(), None);
        let mut envelope = ["log_id", "prev", "seq", "ts_us", "v"].into_iter().peekable();
        // Names are ASCII, so bytes order them as UTF-16 would (RFC 8785 section 3.2.3).
        for (name, member) in members {
            while let Some(ours) = envelope.next_if(|ours| *ours <= name) {
                if ours == name {
                    return None;
                }
                gap(ours, out, &mut cuts)?;
            }
            out.push(if out.is_empty() { b'{' } else { b',' });
            out.extend_from_slice(member);
            if name == "statement" && member.last().is_some_and(u8::is_ascii_digit) {
                let end = out.len();
                let value = member.len().checked_sub(r#""statement":"#.len())?;
                digits = Some(Digits { start: end.checked_sub(value)?, end });
            }
        }
        for ours in envelope {
            gap(ours, out, &mut cuts)?;
        }
        out.push(b'}');
        self.cuts = cuts;
        Some(digits)
    }

    /// How long the record is at most.
    pub(crate) fn longest(&self) -> usize {
        self.bytes.len().saturating_add(MAX_ADDED)
    }

    /// The encoded event, without its place.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where its place goes.
    #[must_use]
    pub const fn cuts(&self) -> Cuts {
        self.cuts
    }

    /// The canonical bytes of the record of this event.
    ///
    /// # Errors
    /// `seq` or `ts_us` lies beyond 2^53 (after some hundred years).
    pub fn record(&self, log_id: &str, seq: u64, ts_us: i64, prev: &Hash) -> Result<Vec<u8>, RecordError> {
        let mut out = Vec::with_capacity(self.longest());
        self.cuts.splice(&self.bytes, &Envelope { log_id, seq, ts_us, prev }, &mut out)?;
        Ok(out)
    }
}

impl Cuts {
    /// Appends the canonical bytes of a record to `out`: those of an event, with its place put in.
    ///
    /// # Errors
    /// These are not the event's bytes, the log's id is none, or a number lies beyond 2^53. `out` is as it was.
    pub fn splice(self, event: &[u8], envelope: &Envelope<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let start = out.len();
        let done = self.try_splice(event, envelope, out);
        if done.is_err() {
            out.truncate(start);
        }
        done
    }

    fn try_splice(self, event: &[u8], envelope: &Envelope<'_>, out: &mut Vec<u8>) -> Result<(), RecordError> {
        const MALFORMED: RecordError = RecordError::Malformed("place");
        let Envelope { log_id, seq, ts_us, prev } = *envelope;
        if seq > MAX_SAFE || ts_us.unsigned_abs() > MAX_SAFE {
            return Err(RecordError::NotCanonical);
        }
        if log_id.len() != ID_BYTES {
            return Err(RecordError::Malformed("log_id"));
        }
        let (before, rest) = event.split_at_checked(self.seq.into()).ok_or(MALFORMED)?;
        let between = usize::from(self.ts_us).checked_sub(self.seq.into()).ok_or(MALFORMED)?;
        let (between, rest) = rest.split_at_checked(between).ok_or(MALFORMED)?;
        let start = out.len();
        out.extend_from_slice(before);
        let mut put = |at: u16, bytes: &[u8]| {
            let gap = out.get_mut(start..)?.get_mut(usize::from(at)..)?.get_mut(..bytes.len())?;
            gap.copy_from_slice(bytes);
            Some(())
        };
        put(self.log_id, log_id.as_bytes()).ok_or(MALFORMED)?;
        put(self.prev, &prev.hex()).ok_or(MALFORMED)?;
        write_digits(seq, out);
        out.extend_from_slice(between);
        if ts_us < 0 {
            out.push(b'-');
        }
        write_digits(ts_us.unsigned_abs(), out);
        out.extend_from_slice(rest);
        Ok(())
    }
}

/// Where the digits of a member's value are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Digits {
    start: usize,
    end: usize,
}

/// Writes a member of the record's place, with a gap for its value.
fn gap(name: &'static str, out: &mut Vec<u8>, cuts: &mut Cuts) -> Option<()> {
    out.push(if out.is_empty() { b'{' } else { b',' });
    let at = |out: &Vec<u8>| u16::try_from(out.len()).ok();
    match name {
        "log_id" => {
            out.extend_from_slice(b"\"log_id\":\"");
            cuts.log_id = at(out)?;
            out.extend_from_slice(&[b'0'; ID_BYTES]);
            out.push(b'"');
        }
        "prev" => {
            out.extend_from_slice(b"\"prev\":\"");
            cuts.prev = at(out)?;
            out.extend_from_slice(&[b'0'; HASH_BYTES]);
            out.push(b'"');
        }
        "seq" => {
            out.extend_from_slice(b"\"seq\":");
            cuts.seq = at(out)?;
        }
        "ts_us" => {
            out.extend_from_slice(b"\"ts_us\":");
            cuts.ts_us = at(out)?;
        }
        _ => {
            out.extend_from_slice(b"\"v\":");
            write_digits(RECORD_VERSION, out);
        }
    }
    Some(())
}

/// An event that is recorded again and again with nothing but another number of the statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Without the statement's number.
    fitted: Fitted,
    number_at: usize,
}

impl Template {
    /// From an event with a member `statement`; which number it has does not matter.
    ///
    /// # Errors
    /// It has none, or might have to be shortened.
    pub fn new(event: &Event) -> Result<Self, RecordError> {
        let mut fitted = Fitted::default();
        let digits =
            fitted.encode(event).ok_or(RecordError::TooLong)?.ok_or(RecordError::Malformed("statement"))?;
        // It comes after `seq` and before `ts_us`.
        let length = digits.end.saturating_sub(digits.start);
        fitted.bytes.drain(digits.start..digits.end);
        let ts_us = usize::from(fitted.cuts.ts_us).checked_sub(length);
        fitted.cuts.ts_us = ts_us.and_then(|at| u16::try_from(at).ok()).ok_or(RecordError::TooLong)?;
        if fitted.longest().saturating_add(MAX_DIGITS) > MAX_RECORD_BYTES {
            return Err(RecordError::TooLong);
        }
        Ok(Self { fitted, number_at: digits.start })
    }

    /// The event of this statement, in the room that `into` has.
    ///
    /// # Errors
    /// The number lies beyond 2^53.
    pub fn fill(&self, statement: u64, into: &mut Fitted) -> Result<(), RecordError> {
        if statement > MAX_SAFE {
            return Err(RecordError::NotCanonical);
        }
        let (before, after) =
            self.fitted.bytes.split_at_checked(self.number_at).ok_or(RecordError::Malformed("statement"))?;
        into.bytes.clear();
        into.bytes.extend_from_slice(before);
        write_digits(statement, &mut into.bytes);
        let length = into.bytes.len().saturating_sub(before.len());
        into.bytes.extend_from_slice(after);
        into.cuts = self.fitted.cuts;
        let ts_us = usize::from(into.cuts.ts_us).saturating_add(length);
        into.cuts.ts_us = u16::try_from(ts_us).map_err(|_| RecordError::TooLong)?;
        Ok(())
    }
}
