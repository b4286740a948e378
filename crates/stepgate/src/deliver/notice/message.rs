//! What is said of a record, in words and as JSON. Only words of the gate's own, of the policy, and ids.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use stepgate_types::Timestamp;

use super::super::batch::Line;

/// Of a record, what may be told.
#[derive(Deserialize)]
struct Told {
    request: Option<String>,
    approval: Option<String>,
    #[serde(default)]
    groups: Vec<String>,
    count: Option<u32>,
    #[serde(default)]
    itself: bool,
    outcome: Option<String>,
    expires_us: Option<i64>,
    what: Option<String>,
    action: Option<String>,
    grant: Option<String>,
    uses: Option<u64>,
    why: Option<String>,
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The record's number: receivers tell by it that one came twice.
    seq: u64,
    at: Timestamp,
    kind: Kind,
    /// Where to look.
    url: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Kind {
    /// Somebody waits.
    Opened { request: String, approval: String, groups: Vec<String>, count: u32, expires: Timestamp },
    /// And is answered, or not.
    Ended { request: String, outcome: String },
    /// Nobody has answered for long: more people may.
    Escalated { request: String, groups: Vec<String> },
    /// Something that must not happen.
    Alarm { what: String, record: &'static str },
    /// Break-glass: to be heard by everybody, whenever it is.
    Glass { grant: String, what: Glass },
    /// Somebody's way to verify themselves, rights or password changed, or the policy.
    Changed { action: String },
}

/// What happens to it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Glass {
    Opened { until: Timestamp },
    Used,
    Ended { why: String, uses: u64 },
    Reminded,
    Reviewed,
}

impl Glass {
    fn of(kind: &str, told: &Told) -> Option<Self> {
        Some(match kind {
            "break_glass.opened" => Self::Opened { until: Timestamp::from_micros(told.expires_us?) },
            "break_glass.used" => Self::Used,
            "break_glass.ended" => {
                let word = |why: &&String| why.bytes().all(|byte| byte.is_ascii_lowercase());
                Self::Ended { why: told.why.as_ref().filter(word)?.clone(), uses: told.uses? }
            }
            "break_glass.reminded" => Self::Reminded,
            "break_glass.reviewed" => Self::Reviewed,
            _ => return None,
        })
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Opened { .. } => "opened",
            Self::Used => "used",
            Self::Ended { .. } => "ended",
            Self::Reminded => "to-review",
            Self::Reviewed => "reviewed",
        }
    }
}

impl Notice {
    /// What is to be told of a record; `None`: nothing. A step-up that only its own person answers is between them and
    /// the gate, and so is how it ends.
    pub(super) fn of(line: &Line, console: &str) -> Option<Self> {
        let kind = line.head.kind.as_str();
        if !matches!(
            kind,
            "stepup.requested"
                | "stepup.escalated"
                | "stepup.ended"
                | "alarm.raised"
                | "catalog.drifted"
                | "admin.action"
                | "policy.tampered"
                | "policy.proposed"
                | "policy.approved"
                | "identity.linked"
                | "identity.unlinked"
                | "password.minted"
                | "policy.released"
        ) && !kind.starts_with("factor.")
            && !kind.starts_with("break_glass.")
        {
            return None;
        }
        let told: Told = serde_json::from_slice(&line.text).ok()?;
        if kind.starts_with("break_glass.") {
            let what = Glass::of(kind, &told)?;
            let kind = Kind::Glass { grant: told.grant.filter(|id| is_plain(id))?, what };
            let (at, url) = (Timestamp::from_micros(line.head.ts_us), format!("{console}/break-glass"));
            return Some(Self { seq: line.head.seq, at, kind, url });
        }
        let request = told.request.filter(|id| is_plain(id));
        let url = match &request {
            Some(id) => format!("{console}/r/{id}"),
            None if kind == "policy.proposed" => format!("{console}/policies"),
            None => console.to_owned(),
        };
        let kind = match kind {
            "stepup.requested" if !told.itself => Kind::Opened {
                request: request?,
                approval: told.approval.unwrap_or_default(),
                groups: told.groups,
                count: told.count.unwrap_or(1),
                expires: Timestamp::from_micros(told.expires_us?),
            },
            "stepup.requested" => return None,
            "stepup.escalated" => Kind::Escalated { request: request?, groups: told.groups },
            "stepup.ended" => Kind::Ended { request: request?, outcome: told.outcome? },
            "alarm.raised" => Kind::Alarm { what: told.what?, record: "alarm.raised" },
            "catalog.drifted" => Kind::Alarm { what: told.what?, record: "catalog.drifted" },
            "policy.tampered" => {
                let what = "what is kept of the approved policy is not what was approved".to_owned();
                Kind::Alarm { what, record: "policy.tampered" }
            }
            "admin.action" => Kind::Changed { action: told.action? },
            other => Kind::Changed { action: other.to_owned() },
        };
        Some(Self { seq: line.head.seq, at: Timestamp::from_micros(line.head.ts_us), kind, url })
    }

    /// The break-glass by which one more statement passes, and when.
    pub(super) fn used(&self) -> Option<(&str, Timestamp)> {
        match &self.kind {
            Kind::Glass { grant, what: Glass::Used } => Some((grant, self.at)),
            _ => None,
        }
    }

    /// The request that begins by it, if one does.
    pub(super) fn opened(&self) -> Option<&str> {
        match &self.kind {
            Kind::Opened { request, .. } => Some(request),
            _ => None,
        }
    }

    /// The request that ends by it, if one does.
    pub(super) fn ended(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ended { request, .. } => Some(request),
            _ => None,
        }
    }

    /// The request that nobody need answer any more, if it ends so by it.
    pub(super) fn called_off(&self) -> Option<&str> {
        match &self.kind {
            Kind::Ended { request, outcome } if matches!(outcome.as_str(), "cancelled" | "withdrawn") => {
                Some(request)
            }
            _ => None,
        }
    }

    /// The request that goes to more people by it, if one does.
    pub(super) fn escalated(&self) -> Option<&str> {
        match &self.kind {
            Kind::Escalated { request, .. } => Some(request),
            _ => None,
        }
    }

    /// Whether it is still worth saying.
    pub(super) fn is_news(&self, now: Timestamp, max_age: Duration) -> bool {
        let open = match &self.kind {
            Kind::Opened { expires, .. } => now < *expires,
            _ => true,
        };
        open && now < self.at.plus(max_age)
    }

    /// Of a message, so that one that comes twice is known.
    pub(super) fn id(&self) -> String {
        format!("notice.{}", self.seq)
    }

    /// One line.
    pub(super) fn subject(&self) -> String {
        match &self.kind {
            Kind::Opened { request, groups, count, .. } => {
                let of = groups.join(", ");
                match count {
                    0 | 1 => format!("Stepgate: request {request} waits for {of}"),
                    count => format!("Stepgate: request {request} waits for {count} of {of}"),
                }
            }
            Kind::Escalated { request, groups } => {
                format!("Stepgate: request {request} still waits, and now for {} too", groups.join(", "))
            }
            Kind::Ended { request, outcome } => format!("Stepgate: request {request} was {outcome}"),
            Kind::Alarm { what, .. } => format!("Stepgate alarm: {what}"),
            Kind::Glass { grant, what } => match what {
                Glass::Opened { until } => {
                    format!("Stepgate BREAK-GLASS {grant}: somebody lets themselves through until {until}")
                }
                Glass::Used => format!("Stepgate BREAK-GLASS {grant}: a statement passes unasked"),
                Glass::Ended { why, uses } => {
                    format!("Stepgate BREAK-GLASS {grant} is over ({why}): {uses} statements; to be reviewed")
                }
                Glass::Reminded => format!("Stepgate BREAK-GLASS {grant} still waits to be reviewed"),
                Glass::Reviewed => format!("Stepgate BREAK-GLASS {grant} was reviewed"),
            },
            Kind::Changed { action } => format!("Stepgate: {action}"),
        }
    }

    /// The whole of it.
    pub(super) fn text(&self) -> String {
        let mut text = self.subject();
        match &self.kind {
            Kind::Opened { request, approval, expires, .. } => text.push_str(&format!(
                " (approval {approval}). It lapses at {expires}.\nRead it before you answer: {} or `stepgate request show \
                 {request}`. This message itself decides nothing.",
                self.url
            )),
            Kind::Escalated { request, .. } => text.push_str(&format!(
                ".\nRead it before you answer: {} or `stepgate request show {request}`. This message itself decides \
                 nothing.",
                self.url
            )),
            Kind::Ended { .. } => text.push_str(&format!(".\n{}", self.url)),
            Kind::Alarm { record, .. } => text.push_str(&format!(
                ": record {} of the audit log. See `stepgate audit search --type {record}`.",
                self.seq
            )),
            Kind::Glass { grant, .. } => text.push_str(&format!(
                ": record {} of the audit log.\nWho, why, and to end it: {}; what was done: `stepgate audit search --grant \
                 {grant}`.",
                self.seq, self.url
            )),
            Kind::Changed { .. } => text.push_str(&format!(
                ": record {} of the audit log. If nobody should have done that, look into it now.",
                self.seq
            )),
        }
        text
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let mut json = json!({
            "version": 1, "record": self.seq, "at": self.at.to_string(), "text": self.text(), "url": self.url,
        });
        let more = match &self.kind {
            Kind::Opened { request, approval, groups, count, expires } => json!({
                "event": "request.opened", "request": request, "approval": approval, "groups": groups,
                "count": count, "expires": expires.to_string(),
            }),
            Kind::Escalated { request, groups } => {
                json!({"event": "request.escalated", "request": request, "groups": groups})
            }
            Kind::Ended { request, outcome } => {
                json!({"event": "request.ended", "request": request, "outcome": outcome})
            }
            Kind::Alarm { what, .. } => json!({"event": "alarm", "what": what}),
            Kind::Glass { grant, what } => {
                json!({"event": "break_glass", "grant": grant, "what": what.word()})
            }
            Kind::Changed { action } => json!({"event": "changed", "action": action}),
        };
        if let (Some(json), Value::Object(more)) = (json.as_object_mut(), more) {
            json.extend(more);
        }
        json
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// An id as the gate writes them.
fn is_plain(id: &str) -> bool {
    id.len() <= 16 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}
