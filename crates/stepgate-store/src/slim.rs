//! The little that keeping the log needs of each record, read without the rest.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Type and time of a record.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    _kind: Cow<'a, str>,
    ts_us: i64,
}

/// The same, and what is needed besides of the records that nearly all are: all in one reading.
#[derive(Deserialize)]
struct Common<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    ts_us: i64,
    #[serde(borrow, default)]
    session: Said<'a>,
    #[serde(borrow, default)]
    statement: Said<'a>,
    #[serde(borrow, default)]
    verdict: Said<'a>,
    #[serde(borrow, default)]
    suspended: Said<'a>,
}

/// A member's value, whatever it is: only of some types of records it is known what it must be.
#[derive(Debug, Default, PartialEq, Eq)]
enum Said<'a> {
    Text(Cow<'a, str>),
    Number(u64),
    Yes,
    #[default]
    Other,
}

impl Said<'_> {
    fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    const fn number(&self) -> Option<u64> {
        if let Self::Number(number) = self { Some(*number) } else { None }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Said<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Says)
    }
}

struct Says;

impl<'de> Visitor<'de> for Says {
    type Value = Said<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Said<'de>, E> {
        Ok(Said::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Said<'de>, E> {
        Ok(Said::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_bool<E>(self, yes: bool) -> Result<Said<'de>, E> {
        Ok(if yes { Said::Yes } else { Said::Other })
    }

    fn visit_unit<E>(self) -> Result<Said<'de>, E> {
        Ok(Said::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Said<'de>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Said::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Said<'de>, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Said::Other)
    }
}

/// The fields of those records that begin or end something.
#[derive(Deserialize)]
struct Fields {
    request: Option<String>,
    grant: Option<String>,
    pass: Option<String>,
    expires_us: Option<i64>,
    step: Option<u64>,
    person: Option<Value>,
    action: Option<Value>,
}

/// The most open sessions that are kept in mind: more than a gate has at a time, unless it is configured to.
pub(crate) const MAX_OPEN: usize = 16_384;

/// The most statements of a session that are kept in mind because their portals may be executed further. No record tells
/// when a portal is closed: whoever leaves them by the hundred has the newest told.
pub(crate) const MAX_SUSPENDED: usize = 16;

/// For how long, in microseconds: a session may last for weeks, and all that while a desk would be rebuilt from there.
const SUSPENDED_FOR: i64 = 24 * 60 * 60 * 1_000_000;

/// A pass that has been over for so long, in microseconds, has lapsed, whether or not a record says so.
const SURELY_LAPSED: i64 = 24 * 60 * 60 * 1_000_000;

/// A grant or pass in force.
#[derive(Debug)]
struct Right {
    since: u64,
    until_us: i64,
    person: String,
}

/// A statement whose portal may be executed further.
#[derive(Debug)]
struct Suspended {
    since: u64,
    until_us: i64,
}

/// When a record was made, in microseconds since the Unix epoch.
pub(crate) fn time_of(record: &[u8]) -> Option<i64> {
    serde_json::from_slice::<Head<'_>>(record).ok().map(|head| head.ts_us)
}

/// What has begun and not ended, by the first record of each: a desk that is rebuilt from there on is the same as one
/// that is rebuilt from the first record of all.
#[derive(Debug, Default)]
pub(crate) struct Live {
    requests: BTreeMap<String, u64>,
    /// Broken glasses that nobody has reviewed yet, however long ago.
    glasses: BTreeMap<String, u64>,
    rights: BTreeMap<String, Right>,
    running: BTreeMap<String, BTreeMap<u64, u64>>,
    /// Statements that have stopped in the middle of a portal.
    suspended: BTreeMap<String, BTreeMap<u64, Suspended>>,
    /// Sessions that have begun and not ended. They may last for weeks: no desk is rebuilt from that far back for them,
    /// since they are written down instead.
    sessions: BTreeSet<String>,
    /// The last TOTP step of a person, as records name them, where it has changed.
    steps: BTreeMap<String, u64>,
    newest_us: i64,
    /// A record could not be read.
    lost: bool,
}

impl Live {
    /// Takes the next record; returns when it was made, as [`time_of`] does.
    pub(crate) fn take(&mut self, seq: u64, record: &[u8]) -> Option<i64> {
        let Ok(common) = serde_json::from_slice::<Common<'_>>(record) else {
            self.lost = true;
            return None;
        };
        self.newest_us = self.newest_us.max(common.ts_us);
        let kind = common.kind.as_ref();
        let family = kind.split('.').next().unwrap_or_default();
        let taken = match kind {
            "statement.decided"
            | "statement.completed"
            | "statement.outcome_unknown"
            | "session.opened"
            | "session.closed" => self.take_common(seq, &common),
            _ if !matches!(
                family,
                "statement" | "session" | "stepup" | "grant" | "pass" | "admin" | "break_glass"
            ) =>
            {
                Some(())
            }
            _ => match serde_json::from_slice::<Fields>(record) {
                Ok(fields) => self.take_fields(seq, kind, fields),
                Err(_) => None,
            },
        };
        self.lost |= taken.is_none();
        Some(common.ts_us)
    }

    fn take_common(&mut self, seq: u64, common: &Common<'_>) -> Option<()> {
        let Common { kind, ts_us, session, statement, verdict, suspended } = common;
        let session = session.text()?;
        match kind.as_ref() {
            "session.opened" => {
                if self.sessions.len() < MAX_OPEN {
                    self.sessions.insert(session.to_owned());
                }
            }
            "session.closed" => {
                self.running.remove(session);
                self.suspended.remove(session);
                self.sessions.remove(session);
            }
            "statement.decided" => {
                if matches!(verdict.text()?, "forward" | "monitor") {
                    let statement = statement.number()?;
                    if !self.running.contains_key(session) {
                        self.running.insert(session.to_owned(), BTreeMap::new());
                    }
                    self.running.get_mut(session)?.entry(statement).or_insert(seq);
                }
            }
            // What was decided has ended.
            _ => {
                let statement = statement.number()?;
                let running = self.running.get_mut(session).and_then(|them| them.remove(&statement));
                let before = self.suspended.get_mut(session).and_then(|them| them.remove(&statement));
                if *suspended == Said::Yes {
                    let since = running.or(before.map(|before| before.since)).unwrap_or(seq);
                    let until_us = ts_us.saturating_add(SUSPENDED_FOR);
                    self.suspend(session, statement, Suspended { since, until_us });
                }
            }
        }
        Some(())
    }

    fn suspend(&mut self, session: &str, statement: u64, suspended: Suspended) {
        let statements = self.suspended.entry(session.to_owned()).or_default();
        statements.insert(statement, suspended);
        if statements.len() > MAX_SUSPENDED {
            statements.pop_first();
        }
    }

    fn take_fields(&mut self, seq: u64, kind: &str, fields: Fields) -> Option<()> {
        match kind {
            "stepup.requested" => {
                self.requests.entry(fields.request?).or_insert(seq);
            }
            "stepup.ended" => {
                self.requests.remove(&fields.request?);
            }
            "stepup.factor_verified" => {
                let person = fields.person?.to_string();
                let step = fields.step?;
                let last = self.steps.entry(person).or_insert(step);
                *last = step.max(*last);
            }
            "break_glass.opened" => {
                self.glasses.entry(fields.grant?).or_insert(seq);
            }
            "break_glass.reviewed" => {
                self.glasses.remove(&fields.grant?);
            }
            "grant.issued" => self.issue(seq, fields.grant?, fields.person?, fields.expires_us?),
            "pass.issued" => {
                let until_us = fields.expires_us?.saturating_add(SURELY_LAPSED);
                self.issue(seq, fields.pass?, fields.person?, until_us);
            }
            // A pass is revoked like a grant.
            "grant.revoked" => {
                self.rights.remove(&fields.grant?);
            }
            "pass.consumed" | "pass.lapsed" => {
                self.rights.remove(&fields.pass?);
            }
            "admin.action" if fields.action.as_ref()? == "user.removed" => {
                let person = fields.person?.to_string();
                self.rights.retain(|_, right| right.person != person);
            }
            _ => {}
        }
        Some(())
    }

    fn issue(&mut self, since: u64, id: String, person: Value, until_us: i64) {
        self.rights.entry(id).or_insert(Right { since, until_us, person: person.to_string() });
    }

    /// The first record from which on a desk must be rebuilt, and no later than `end`; `None` if that is not known.
    pub(crate) fn floor(&mut self, end: u64) -> Option<u64> {
        let newest = self.newest_us;
        self.rights.retain(|_, right| right.until_us > newest);
        self.running.retain(|_, statements| !statements.is_empty());
        self.suspended.retain(|_, statements| {
            statements.retain(|_, suspended| suspended.until_us > newest);
            !statements.is_empty()
        });
        let requests = self.requests.values().copied();
        let rights = self.rights.values().map(|right| right.since);
        let running = self.running.values().flat_map(|statements| statements.values().copied());
        let suspended = self.suspended.values().flat_map(BTreeMap::values).map(|suspended| suspended.since);
        let glasses = self.glasses.values().copied();
        let first =
            requests.chain(glasses).chain(rights).chain(running).chain(suspended).min().unwrap_or(end);
        (!self.lost).then_some(first.min(end))
    }

    /// The steps that people have spent last, since [`Live::steps_are_kept`]: the newest `most`. Codes of those before
    /// have long expired where so many people have spent one since.
    pub(crate) fn newest_steps(&self, most: usize) -> Vec<(&str, u64)> {
        let mut steps: Vec<_> = self.steps.iter().map(|(person, step)| (person.as_str(), *step)).collect();
        steps.sort_by_key(|(_, step)| std::cmp::Reverse(*step));
        steps.truncate(most);
        steps
    }

    /// The sessions that have begun and not ended, as records name them.
    pub(crate) fn open_sessions(&self) -> impl Iterator<Item = &str> {
        self.sessions.iter().map(String::as_str)
    }

    /// This one had begun before the first record that is taken.
    pub(crate) fn was_open(&mut self, session: String) {
        self.sessions.insert(session);
    }

    /// They are on disk.
    pub(crate) fn steps_are_kept(&mut self) {
        self.steps.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: &str, rest: &str) -> Vec<u8> {
        format!(r#"{{"a":"\"ts_us\":1","ts_us":5,"type":"{kind}"{rest}}}"#).into_bytes()
    }

    #[test]
    fn a_statement_that_runs_is_read_again_until_it_has_ended_or_its_session_has() {
        for (kind, rest) in [
            ("statement.completed", r#","session":"s","statement":7"#),
            ("statement.outcome_unknown", r#","session":"s","statement":7"#),
            ("session.closed", r#","session":"s""#),
        ] {
            let mut live = Live::default();
            for verdict in ["deny", "hold"] {
                let held = format!(r#","session":"s","statement":6,"verdict":"{verdict}""#);
                assert_eq!(live.take(2, &record("statement.decided", &held)), Some(5));
            }
            let runs = r#","person":{"c":[1]},"session":"s","statement":7,"verdict":"forward""#;
            assert_eq!(live.take(3, &record("statement.decided", runs)), Some(5));
            assert_eq!(
                live.take(4, &record("statement.completed", r#","session":"t","statement":7"#)),
                Some(5)
            );
            assert_eq!(live.floor(9), Some(3));
            assert_eq!(live.take(5, &record(kind, rest)), Some(5));
            assert_eq!(live.floor(9), Some(9), "{kind}");
        }
    }

    #[test]
    fn a_statement_whose_portal_has_more_is_read_again_until_that_is_done_or_its_session_is_or_for_a_day() {
        let (paused, done) = (
            r#","session":"s","statement":7,"suspended":true"#,
            r#","session":"s","statement":7,"suspended":false"#,
        );
        let begun = || {
            let mut live = Live::default();
            let runs = r#","session":"s","statement":7,"verdict":"forward""#;
            live.take(3, &record("statement.decided", runs));
            for seq in [4, 5] {
                live.take(seq, &record("statement.completed", paused));
                assert_eq!(live.floor(9), Some(3));
            }
            live
        };
        for (kind, rest) in [
            ("statement.completed", done),
            ("statement.outcome_unknown", r#","session":"s","statement":7"#),
            ("session.closed", r#","session":"s""#),
        ] {
            let mut live = begun();
            live.take(6, &record(kind, rest));
            assert_eq!(live.floor(9), Some(9), "{kind}");
        }
        let mut live = begun();
        let tomorrow = SUSPENDED_FOR + 5;
        live.take(6, format!(r#"{{"ts_us":{tomorrow},"type":"log.stopped"}}"#).as_bytes());
        assert_eq!(live.floor(9), Some(9));
        // Of those that a session leaves, the newest.
        for number in 0..3 * MAX_SUSPENDED as u64 {
            let left = format!(r#","session":"s","statement":{number},"suspended":true"#);
            live.take(number, &record("statement.completed", &left));
        }
        live.newest_us = 5;
        assert_eq!(live.floor(99), Some(2 * MAX_SUSPENDED as u64));
    }

    #[test]
    fn an_open_session_is_known_until_it_ends_and_holds_nothing_back() {
        let mut live = Live::default();
        live.was_open("r".to_owned());
        for (seq, id) in [(1, "s"), (2, "t")] {
            live.take(seq, &record("session.opened", &format!(r#","session":"{id}""#)));
        }
        assert_eq!(live.open_sessions().collect::<Vec<_>>(), ["r", "s", "t"]);
        assert_eq!(live.floor(9), Some(9));
        live.take(3, &record("session.closed", r#","session":"s""#));
        live.take(4, &record("session.closed", r#","session":"r""#));
        assert_eq!(live.open_sessions().collect::<Vec<_>>(), ["t"]);
        for n in 0..2 * MAX_OPEN {
            live.take(5, &record("session.opened", &format!(r#","session":"{n}""#)));
        }
        assert_eq!(live.open_sessions().count(), MAX_OPEN);
    }

    #[test]
    fn a_broken_glass_is_read_again_until_it_was_reviewed_however_long_that_takes() {
        let mut live = Live::default();
        let opened = r#","grant":"g","person":{"c":[1]},"expires_us":6"#;
        assert_eq!(live.take(3, &record("break_glass.opened", opened)), Some(5));
        assert_eq!(
            live.take(4, br#"{"ts_us":9000000000000,"type":"break_glass.ended","grant":"g"}"#),
            Some(9_000_000_000_000)
        );
        assert_eq!(live.floor(9), Some(3));
        assert_eq!(live.take(5, &record("break_glass.reviewed", r#","grant":"g""#)), Some(5));
        assert_eq!(live.floor(9), Some(9));
    }

    #[test]
    fn what_cannot_be_read_leaves_no_floor() {
        let odd = r#","session":{"s":[{}, -1]},"statement":[2.5, null],"verdict":true"#;
        let mut live = Live::default();
        assert_eq!(live.take(1, &record("label.followed", odd)), Some(5));
        assert_eq!(live.floor(9), Some(9));
        for (kind, rest) in [
            ("statement.decided", odd),
            ("statement.decided", r#","session":"s","statement":"7","verdict":"forward""#),
            ("statement.completed", r#","session":"s""#),
            ("session.closed", ""),
            ("grant.issued", r#","grant":"g""#),
        ] {
            let mut live = Live::default();
            assert_eq!(live.take(1, &record(kind, rest)), Some(5));
            assert_eq!(live.floor(9), None, "{kind} {rest}");
        }
        for bytes in [&b"{"[..], br#"{"type":"x"}"#, br#"{"ts_us":5}"#, b"[]"] {
            let mut live = Live::default();
            assert_eq!((live.take(1, bytes), time_of(bytes)), (None, None));
            assert_eq!(live.floor(9), None);
        }
    }
}
