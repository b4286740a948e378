//! The little that keeping the log needs of each record, read without the rest.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Type and time of a record, and the fields of those that begin or end something: read at once, as all of sealing is
/// little more than this.
#[derive(Deserialize)]
pub(crate) struct Slim<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    /// When it was made, in microseconds since the Unix epoch.
    pub(crate) ts_us: i64,
    request: Option<&'a str>,
    grant: Option<&'a str>,
    pass: Option<&'a str>,
    session: Option<&'a str>,
    statement: Option<u64>,
    verdict: Option<&'a str>,
    expires_us: Option<i64>,
    step: Option<u64>,
    person: Option<Value>,
    action: Option<Value>,
    /// A field is not of the type that it has where something begins or ends.
    #[serde(skip)]
    odd: bool,
}

/// Type and time alone.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    ts_us: i64,
}

impl<'a> Slim<'a> {
    /// `None`: it is no record.
    pub(crate) fn read(record: &'a [u8]) -> Option<Self> {
        serde_json::from_slice(record).ok().or_else(|| {
            let Head { kind, ts_us } = serde_json::from_slice(record).ok()?;
            Some(Self {
                kind,
                ts_us,
                request: None,
                grant: None,
                pass: None,
                session: None,
                statement: None,
                verdict: None,
                expires_us: None,
                step: None,
                person: None,
                action: None,
                odd: true,
            })
        })
    }
}

/// A pass that has been over for so long, in microseconds, has lapsed, whether or not a record says so.
const SURELY_LAPSED: i64 = 24 * 60 * 60 * 1_000_000;

/// A grant or pass in force.
#[derive(Debug)]
struct Right {
    since: u64,
    until_us: i64,
    person: String,
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
    rights: BTreeMap<String, Right>,
    running: BTreeMap<String, BTreeMap<u64, u64>>,
    /// The last TOTP step of a person, as records name them, where it has changed.
    steps: BTreeMap<String, u64>,
    newest_us: i64,
    /// A record could not be read.
    lost: bool,
}

impl Live {
    /// Takes the next record; `None`: it cannot be read.
    pub(crate) fn take(&mut self, seq: u64, record: Option<&Slim<'_>>) {
        let Some(record) = record else {
            self.lost = true;
            return;
        };
        self.newest_us = self.newest_us.max(record.ts_us);
        let family = record.kind.split('.').next().unwrap_or_default();
        if !matches!(family, "statement" | "session" | "stepup" | "grant" | "pass" | "admin") {
            return;
        }
        self.lost |= record.odd || self.take_fields(seq, record).is_none();
    }

    fn take_fields(&mut self, seq: u64, fields: &Slim<'_>) -> Option<()> {
        match fields.kind.as_ref() {
            "stepup.requested" => {
                self.requests.entry(fields.request?.to_owned()).or_insert(seq);
            }
            "stepup.ended" => {
                self.requests.remove(fields.request?);
            }
            "stepup.factor_verified" => {
                let person = fields.person.as_ref()?.to_string();
                let step = fields.step?;
                let last = self.steps.entry(person).or_insert(step);
                *last = step.max(*last);
            }
            "grant.issued" => {
                self.issue(seq, fields.grant?, fields.person.as_ref()?, fields.expires_us?);
            }
            "pass.issued" => {
                let until_us = fields.expires_us?.saturating_add(SURELY_LAPSED);
                self.issue(seq, fields.pass?, fields.person.as_ref()?, until_us);
            }
            // A pass is revoked like a grant.
            "grant.revoked" => {
                self.rights.remove(fields.grant?);
            }
            "pass.consumed" | "pass.lapsed" => {
                self.rights.remove(fields.pass?);
            }
            "admin.action" if fields.action.as_ref()? == "user.removed" => {
                let person = fields.person.as_ref()?.to_string();
                self.rights.retain(|_, right| right.person != person);
            }
            "statement.decided" if matches!(fields.verdict?, "forward" | "monitor") => {
                self.running
                    .entry(fields.session?.to_owned())
                    .or_default()
                    .entry(fields.statement?)
                    .or_insert(seq);
            }
            "statement.completed" | "statement.outcome_unknown" => {
                let (session, statement) = (fields.session?, fields.statement?);
                if let Some(statements) = self.running.get_mut(session) {
                    statements.remove(&statement);
                }
            }
            "session.closed" => {
                self.running.remove(fields.session?);
            }
            _ => {}
        }
        Some(())
    }

    fn issue(&mut self, since: u64, id: &str, person: &Value, until_us: i64) {
        self.rights.entry(id.to_owned()).or_insert(Right { since, until_us, person: person.to_string() });
    }

    /// The first record from which on a desk must be rebuilt, and no later than `end`; `None` if that is not known.
    pub(crate) fn floor(&mut self, end: u64) -> Option<u64> {
        let newest = self.newest_us;
        self.rights.retain(|_, right| right.until_us > newest);
        self.running.retain(|_, statements| !statements.is_empty());
        let requests = self.requests.values().copied();
        let rights = self.rights.values().map(|right| right.since);
        let running = self.running.values().flat_map(|statements| statements.values().copied());
        let first = requests.chain(rights).chain(running).min().unwrap_or(end);
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

    /// They are on disk.
    pub(crate) fn steps_are_kept(&mut self) {
        self.steps.clear();
    }
}
