//! Syslog: RFC 5424 messages, framed as RFC 5425 says, over TLS.

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

/// How long a connection is used before it is ended, so that all that went over it is known to be read: some make a
/// connection for each message, none should have to.
const SETTLE: Duration = if cfg!(test) { Duration::from_millis(500) } else { Duration::from_secs(5) };

/// A receiver.
pub(super) struct SyslogWay {
    config: Syslog,
    header: Header,
    link: Option<Link>,
    /// The record after the last that was sent, and since when something is not known to be read.
    sent: u64,
    unread: Option<Instant>,
    settled: u64,
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
        Self { config, header, link: None, sent: 0, unread: None, settled: 0 }
    }

    fn connect(&self) -> Result<Link, Trouble> {
        // Read anew each time: certificates are renewed.
        let tls = tls::config(self.config.ca.as_deref(), self.config.identity.as_ref());
        Link::connect(&self.config.place, tls.map_err(|failure| Trouble::new(failure.message))?)
    }

    fn settle(&mut self) -> Result<(), Trouble> {
        match self.link.take() {
            Some(link) => link.finish()?,
            None if self.unread.is_some() => return Err(Trouble::new("not connected")),
            None => {}
        }
        (self.settled, self.unread) = (self.sent, None);
        Ok(())
    }
}

impl Way for SyslogWay {
    fn open(&mut self, from: u64, _: Option<Place>, _: &Source) -> Result<u64, Trouble> {
        self.link = None;
        (self.settled, self.sent, self.unread) = (from, from, None);
        self.link = Some(self.connect()?);
        Ok(from)
    }

    fn send(&mut self, batch: &Batch) -> Result<(), Trouble> {
        let bytes: Vec<u8> = batch.lines.iter().flat_map(|line| self.header.framed(line)).collect();
        let mut link = match self.link.take() {
            Some(link) => link,
            None => self.connect()?,
        };
        link.send(&bytes)?;
        self.link = Some(link);
        self.sent = batch.end();
        self.unread.get_or_insert_with(Instant::now);
        Ok(())
    }

    fn settled(&mut self) -> Result<u64, Trouble> {
        if self.unread.is_some_and(|since| since.elapsed() >= SETTLE) {
            self.settle()?;
        } else if let Some(link) = &mut self.link {
            let there = link.look();
            // Whoever ends a connection on which nothing is on its way may do so.
            match (there, self.unread) {
                (Ok(()), _) => {}
                (Err(trouble), Some(_)) => return Err(trouble),
                (Err(_), None) => self.link = None,
            }
        }
        Ok(self.settled)
    }

    fn stop(&mut self) -> Option<u64> {
        self.settle().ok().map(|()| self.settled)
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
        "alarm.raised" | "integrity.failed" | "policy.tampered" | "break_glass.opened"
        | "break_glass.used" => 2,
        kind if kind.starts_with("break_glass.") => 3,
        "store.degraded" | "clock.anomaly" => 3,
        "catalog.drifted" => 4,
        "session.auth_failed"
        | "session.refused"
        | "stepup.factor_failed"
        | "policy.rejected"
        | "config.rejected" => 4,
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
        for (kind, priority) in [
            ("policy.tampered", 106),
            ("break_glass.opened", 106),
            ("break_glass.used", 106),
            ("break_glass.ended", 107),
        ] {
            assert!(framed(kind, "x").contains(&format!("<{priority}>1 ")), "{kind}");
        }
        assert!(framed("a b\n\u{7}é", "x").contains(" 7 ab ["));
        assert!(framed("", "x").contains(" 7 - ["));
    }
}
