//! Syslog: RFC 5424 messages, framed as RFC 5425 says, over TLS.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use stepgate_store::Place;
use stepgate_types::Timestamp;

use super::batch::{Batch, Line, Source};
use super::courier::Way;
use super::link::Link;
use super::tls;
use super::trouble::Trouble;
use crate::config::Syslog;

/// Of a receiver that never says what it has read, what was sent so long ago counts as read, unless its connection
/// has ended since.
const BELIEVED: Duration = if cfg!(test) { Duration::from_millis(1500) } else { Duration::from_secs(5) };

/// A receiver that has said so before and does not within this time hangs.
const SILENCE: Duration = if cfg!(test) { Duration::from_secs(3) } else { Duration::from_secs(30) };

/// It is asked no oftener than this: some count it as an attack.
const PING: Duration = Duration::from_secs(1);

/// A receiver.
pub(super) struct SyslogWay {
    config: Syslog,
    header: Header,
    link: Option<Link>,
    /// When what was sent up to which record.
    sent: VecDeque<(Instant, u64)>,
    settled: u64,
    /// Asked when about what before which record.
    ping: Option<(Instant, u64)>,
    pinged_at: Option<Instant>,
    /// It has said once what it has read, and so will again: its silence means that it has not.
    answers: bool,
}

impl SyslogWay {
    pub(super) fn new(config: Syslog, log_id: &str) -> Self {
        let header = Header {
            facility: config.facility,
            host: host(),
            process: std::process::id(),
            id: format!("stepgate@{}", config.enterprise),
            log_id: log_id.to_owned(),
        };
        Self {
            config,
            header,
            link: None,
            sent: VecDeque::new(),
            settled: 0,
            ping: None,
            pinged_at: None,
            answers: false,
        }
    }

    fn listen(&mut self) -> Result<(), Trouble> {
        let now = Instant::now();
        let Some(link) = &mut self.link else { return Err(Trouble::new("not connected")) };
        let answers = link.answers()?;
        if answers > 0
            && let Some((_, end)) = self.ping.take()
        {
            self.answers = true;
            self.settled = self.settled.max(end);
        }
        if let Some((asked, _)) = self.ping
            && self.answers
            && now.duration_since(asked) >= SILENCE
        {
            return Err(Trouble::new(
                "the receiver has stopped to read (or is of another kind than before: then restart the gate)",
            ));
        }
        while let Some((at, end)) = self.sent.front().copied() {
            if !self.answers && now.duration_since(at) >= BELIEVED {
                self.settled = self.settled.max(end);
            }
            if end > self.settled {
                break;
            }
            self.sent.pop_front();
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<(), Trouble> {
        let (now, Some((_, end))) = (Instant::now(), self.sent.back().copied()) else { return Ok(()) };
        let early = self.pinged_at.is_some_and(|at| now.duration_since(at) < PING);
        let Some(link) = &mut self.link else { return Ok(()) };
        if self.ping.is_none() && !early && link.ping()? {
            self.ping = Some((now, end));
            self.pinged_at = Some(now);
        }
        Ok(())
    }
}

impl Way for SyslogWay {
    fn open(&mut self, from: u64, _: Option<Place>, _: &Source) -> Result<u64, Trouble> {
        self.link = None;
        self.sent.clear();
        (self.ping, self.settled) = (None, from);
        // Read anew each time: certificates are renewed.
        let tls = tls::config(self.config.ca.as_deref(), self.config.identity.as_ref());
        let tls = tls.map_err(|failure| Trouble::new(failure.message))?;
        self.link = Some(Link::connect(&self.config.place, tls)?);
        Ok(from)
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let bytes: Vec<u8> = batch.lines.iter().flat_map(|line| self.header.framed(line)).collect();
        let Some(link) = &mut self.link else { return Err(Trouble::new("not connected")) };
        link.send(&bytes)?;
        self.sent.push_back((Instant::now(), batch.end()));
        self.ask()
    }

    fn settled(&mut self) -> Result<u64, Trouble> {
        self.listen()?;
        self.ask()?;
        Ok(self.settled)
    }
}

/// What stands before each message.
struct Header {
    facility: u8,
    host: String,
    process: u32,
    id: String,
    log_id: String,
}

impl Header {
    /// A message with its length before it (RFC 5425 section 4.3).
    fn framed(&self, line: &Line) -> Vec<u8> {
        let message = self.message(line);
        let mut framed = format!("{} ", message.len()).into_bytes();
        framed.extend(message);
        framed
    }

    fn message(&self, line: &Line) -> Vec<u8> {
        let head = &line.head;
        let priority = u32::from(self.facility) * 8 + severity(&head.kind);
        let mut text = format!("<{priority}>1 {} {} stepgate ", time(head.ts_us), self.host);
        let kind: String = head.kind.chars().filter(char::is_ascii_graphic).take(32).collect();
        let kind = if kind.is_empty() { "-" } else { &kind };
        let _ = write!(text, "{} {kind} ", self.process);
        let (log, seq) = (parameter(&self.log_id), head.seq);
        let _ = write!(text, "[{} log=\"{log}\" seq=\"{seq}\"] ", self.id);
        let mut message = text.into_bytes();
        // Plain ASCII is the same with and without, and most parsers of JSON know no byte order mark.
        if !line.text.is_ascii() {
            message.extend("\u{feff}".as_bytes());
        }
        message.extend(&line.text);
        message
    }
}

/// RFC 5424 section 6.2.1, for whoever sorts by it.
fn severity(kind: &str) -> u32 {
    match kind {
        "alarm.raised" | "integrity.failed" => 2,
        "store.degraded" | "clock.anomaly" => 3,
        "session.auth_failed" | "stepup.factor_failed" | "policy.rejected" | "config.rejected" => 4,
        _ => 6,
    }
}

/// A value of structured data: `"`, `\` and `]` are escaped (RFC 5424 section 6.3.3).
fn parameter(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    for c in value.chars() {
        if matches!(c, '"' | '\\' | ']') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// When the record was made, in the form of RFC 5424 section 6.2.3, microseconds and all; a record knows no zone.
fn time(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(Timestamp::from_micros(micros).micros());
    time.map_or_else(|_| "-".to_owned(), |time| time.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string())
}

/// The machine's name, if it is of letters that a header may have.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.trim().chars().filter(char::is_ascii_graphic).take(255).collect();
    if name.is_empty() { "-".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::super::batch::Head;
    use super::*;

    fn framed(kind: &str, text: &str) -> String {
        let header = Header {
            facility: 13,
            host: "gate".to_owned(),
            process: 7,
            id: "stepgate@32473".to_owned(),
            log_id: "a\"b\\c]d".to_owned(),
        };
        let head = Head { seq: 4711, ts_us: 1_764_335_045_000_120, kind: kind.to_owned() };
        String::from_utf8(header.framed(&Line { head, text: text.as_bytes().to_vec() })).unwrap()
    }

    #[test]
    fn a_message_is_what_rfc_5424_says_with_its_length_in_bytes_before_it() {
        let message = "<110>1 2025-11-28T13:04:05.000120Z gate stepgate 7 session.closed \
                       [stepgate@32473 log=\"a\\\"b\\\\c\\]d\" seq=\"4711\"] {\"x\":1}";
        assert_eq!(framed("session.closed", "{\"x\":1}"), format!("{} {message}", message.len()));
        let marked = framed("alarm.raised", "é");
        assert!(marked.contains("<106>1 ") && marked.ends_with("] \u{feff}é"), "{marked}");
        let (length, rest) = marked.split_once(' ').unwrap();
        assert_eq!(length.parse::<usize>().unwrap(), rest.len());
        assert!(framed("a b\n\u{7}é", "x").contains(" 7 ab ["));
        assert!(framed("", "x").contains(" 7 - ["));
    }
}
