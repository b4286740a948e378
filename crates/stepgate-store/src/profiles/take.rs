//! What records tell of people.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use serde::Deserialize;
use stepgate_policy::{Deed, Profile, Reach, Teaching, Verdict};
use stepgate_record::{AuthFailed, AuthFailure, Event, Outcome, Record, SessionOpened, StepupRequested};
use stepgate_types::{Certainty, RequestId, SessionId, SubjectKind, Timestamp, Use, Who};

use super::{Settings, Shared};

/// Most people who have a profile, and most sessions and requests that are followed: of more, nothing is learned.
const MAX_PEOPLE: usize = 1 << 20;
const MAX_FOLLOWED: usize = 1 << 16;

/// What is made of the log so far.
pub(super) struct Taking {
    next: u64,
    people: HashMap<Who, Person>,
    sessions: HashMap<SessionId, Who>,
    requests: HashMap<RequestId, Who>,
    /// Whose profile has changed since it was published.
    changed: BTreeSet<Who>,
}

#[derive(Default)]
pub(super) struct Person {
    pub(super) profile: Arc<Profile>,
}

/// Type and time of a record.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    ts_us: i64,
}

#[derive(Deserialize)]
struct Decided<'a> {
    session: SessionId,
    statement: u64,
    #[serde(borrow)]
    database: Cow<'a, str>,
    #[serde(borrow)]
    relations: Vec<Cow<'a, str>>,
    #[serde(borrow)]
    columns: Vec<Column<'a>>,
    certainty: Certainty,
    estimate: Option<u64>,
    #[serde(borrow)]
    verdict: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Column<'a> {
    #[serde(borrow)]
    label: Cow<'a, str>,
    #[serde(borrow)]
    class: Cow<'a, str>,
    uses: Vec<Use>,
}

impl Column<'_> {
    fn is_read(&self) -> bool {
        self.uses.is_empty() || self.uses.iter().any(|used| *used != Use::Write)
    }
}

/// The end of a statement, or of what is known of it.
#[derive(Deserialize)]
struct Completed {
    session: SessionId,
    statement: u64,
    /// Of one that was left half-way not known where the gate itself ended.
    #[serde(default)]
    rows: Option<u64>,
    #[serde(default)]
    bytes: Option<u64>,
}

#[derive(Deserialize)]
struct Subjects<'a> {
    session: SessionId,
    #[serde(borrow)]
    hashes: Vec<Cow<'a, str>>,
}

impl Taking {
    /// Nothing is known before that record.
    pub(super) fn new(next: u64) -> Self {
        Self {
            next,
            people: HashMap::new(),
            sessions: HashMap::new(),
            requests: HashMap::new(),
            changed: BTreeSet::new(),
        }
    }

    /// These profiles are what the records before `next` have taught.
    pub(super) fn of(next: u64, people: Vec<(Who, Profile)>) -> Self {
        let mut taking = Self::new(next);
        for (who, profile) in people {
            taking.sessions.extend(profile.sessions().map(|session| (session, who.clone())));
            taking.requests.extend(profile.requests().map(|request| (request, who.clone())));
            taking.changed.insert(who.clone());
            taking.people.insert(who, Person { profile: Arc::new(profile) });
        }
        taking
    }

    /// The number of the next record.
    pub(super) const fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn people(&self) -> impl Iterator<Item = (&Who, &Profile)> {
        self.people.iter().map(|(who, person)| (who, &*person.profile))
    }

    /// Records before that one are not there any more.
    pub(super) fn skip_to(&mut self, floor: u64) {
        self.next = self.next.max(floor);
    }

    /// Shows what has changed.
    pub(super) fn publish(&mut self, shared: &Shared) {
        for who in std::mem::take(&mut self.changed) {
            let profile = self.people.get(&who).map(|person| Arc::clone(&person.profile)).unwrap_or_default();
            shared.slot(&who).put(profile);
        }
    }

    /// Takes the next record. One that cannot be read teaches nothing: verification tells.
    pub(super) fn take(&mut self, shared: &Shared, settings: &Settings, seq: u64, bytes: &[u8]) {
        self.next = seq.saturating_add(1);
        let Ok(head) = serde_json::from_slice::<Head<'_>>(bytes) else { return };
        let at = Timestamp::from_micros(head.ts_us);
        let teaching = settings.teaching.unwrap_or_default();
        match head.kind.as_ref() {
            "statement.decided" => self.decided(&teaching, at, bytes),
            // Whoever hangs up in the middle of a result has what was delivered until then.
            "statement.completed" | "statement.outcome_unknown" => {
                let Ok(Completed { session, statement, rows, bytes }) = serde_json::from_slice(bytes) else {
                    return;
                };
                let (rows, bytes) = (rows.unwrap_or(0), bytes.unwrap_or(0));
                self.of_session(&teaching, at, session, &Deed::Completed { session, statement, rows, bytes });
            }
            "statement.subjects" => {
                let Ok(seen) = serde_json::from_slice::<Subjects<'_>>(bytes) else { return };
                let hash = |hex: &Cow<'_, str>| u32::from_str_radix(hex.get(..8)?, 16).ok();
                let subjects: Vec<u32> = seen.hashes.iter().filter_map(hash).collect();
                self.of_session(&teaching, at, seen.session, &Deed::Showed { subjects: &subjects });
            }
            "log.started"
            | "session.opened"
            | "session.auth_failed"
            | "session.closed"
            | "stepup.requested"
            | "stepup.ended"
            | "stepup.factor_failed"
            | "alarm.raised"
            | "admin.action"
            | "retention.subject_shredded" => {
                if let Ok(record) = Record::decode(bytes) {
                    self.event(shared, &teaching, at, &record.event);
                }
            }
            _ => {}
        }
    }

    fn decided(&mut self, teaching: &Teaching, at: Timestamp, bytes: &[u8]) {
        let Ok(decided) = serde_json::from_slice::<Decided<'_>>(bytes) else { return };
        let Decided { session, statement, ref verdict, .. } = decided;
        let verdict = match verdict.as_ref() {
            "forward" => Verdict::Forwarded,
            "monitor" => Verdict::Unenforced,
            "deny" => Verdict::Denied,
            // The gate could not do its own part: nothing ran, and nobody is to blame.
            "fail" => return,
            // Held or deferred; or what runs was overtaken.
            _ => Verdict::Held,
        };
        let read = || decided.columns.iter().filter(|column| column.is_read());
        let reach = Reach::new(
            &decided.database,
            decided.relations.iter().map(AsRef::as_ref),
            read().map(|column| column.label.as_ref()).filter(|label| !label.is_empty()),
            read().map(|column| column.class.as_ref()),
            decided.certainty != Certainty::Unknown,
            decided.estimate,
        );
        let deed = Deed::Decided { session, statement, verdict, reach: &reach };
        self.of_session(teaching, at, session, &deed);
    }

    fn event(&mut self, shared: &Shared, teaching: &Teaching, at: Timestamp, event: &Event) {
        match event {
            Event::LogStarted(_) => {
                self.sessions.clear();
                let all: Vec<Who> = self.people.keys().cloned().collect();
                all.iter().for_each(|who| self.learn(teaching, at, who, &Deed::Restarted));
            }
            Event::SessionOpened(opened) => {
                let SessionOpened { session, person, address, client, startup, hello, .. } = &**opened;
                let open = |who: &Who| shared.log.subjects().open_text(who);
                let address = open(address).and_then(|address| address.parse::<IpAddr>().ok());
                let client = open(client);
                let origin = shared.origin(address, client.as_deref(), startup.as_deref(), hello.as_deref());
                let who = who_is(shared, person);
                if self.sessions.len() < MAX_FOLLOWED {
                    self.sessions.insert(*session, who.clone());
                }
                self.learn(teaching, at, &who, &Deed::Opened { session: *session, origin: &origin });
            }
            // Who was not heard, or had the right password, has guessed nothing: whoever knows a name alone could make
            // its person as unusual as they like.
            Event::SessionAuthFailed(failed)
                if !matches!(failed.reason, Some(AuthFailure::Throttled | AuthFailure::Service)) =>
            {
                let AuthFailed { person: Some(person), address, more, .. } = &**failed else { return };
                let address = shared.log.subjects().open_text(address);
                let address = address.and_then(|address| address.parse::<IpAddr>().ok());
                let network = address.map(|address| shared.key.network(address));
                let times = u32::try_from(more.unwrap_or(0)).unwrap_or(u32::MAX).saturating_add(1);
                self.learn(teaching, at, &who_is(shared, person), &Deed::Refused { network, times });
            }
            Event::SessionClosed { session, .. } => {
                self.of_session(teaching, at, *session, &Deed::Closed { session: *session });
                self.sessions.remove(session);
            }
            Event::StepupRequested(requested) => {
                let StepupRequested { request, session, person, itself, .. } = &**requested;
                let who = who_is(shared, person);
                if self.requests.len() < MAX_FOLLOWED {
                    self.requests.insert(*request, who.clone());
                }
                let asked = Deed::Asked { session: *session, request: *request, itself: *itself };
                self.learn(teaching, at, &who, &asked);
            }
            Event::StepupEnded { request, outcome, .. } => {
                let Some(who) = self.requests.remove(request) else { return };
                let approved = match outcome {
                    Outcome::Approved => Some(true),
                    Outcome::Denied => Some(false),
                    Outcome::Expired | Outcome::Cancelled | Outcome::Withdrawn => None,
                };
                self.learn(teaching, at, &who, &Deed::Answered { request: *request, approved });
            }
            Event::FactorFailed { person, .. } => {
                self.learn(teaching, at, &who_is(shared, person), &Deed::FactorFailed);
            }
            Event::AlarmRaised { session, what, .. } if what == "not-me" => {
                self.of_session(teaching, at, *session, &Deed::NotMe { session: *session });
            }
            Event::AdminAction { action, person: Some(person), .. } => {
                let deed = match action.as_str() {
                    "factor.enrolled" | "factor.reset" | "factor.recovery_used" | "user.password_set" => {
                        Deed::FactorChanged
                    }
                    "user.removed" => Deed::Removed,
                    _ => return,
                };
                self.learn(teaching, at, &who_is(shared, person), &deed);
            }
            Event::SubjectShredded(shredded) => {
                let who = Who::Commit(shredded.commit);
                if self.people.remove(&who).is_some() {
                    self.sessions.retain(|_, of| *of != who);
                    self.requests.retain(|_, of| *of != who);
                    self.changed.insert(who);
                }
            }
            _ => {}
        }
    }

    fn of_session(&mut self, teaching: &Teaching, at: Timestamp, session: SessionId, deed: &Deed<'_>) {
        if let Some(who) = self.sessions.get(&session).cloned() {
            self.learn(teaching, at, &who, deed);
        }
    }

    fn learn(&mut self, teaching: &Teaching, at: Timestamp, who: &Who, deed: &Deed<'_>) {
        if !self.people.contains_key(who) {
            if self.people.len() >= MAX_PEOPLE {
                return;
            }
            self.people.insert(who.clone(), Person::default());
        }
        let Some(person) = self.people.get_mut(who) else { return };
        // It is copied only where somebody holds it, or it was published: once a round.
        Arc::make_mut(&mut person.profile).learn(teaching, at, deed);
        if !self.changed.contains(who) {
            self.changed.insert(who.clone());
        }
    }
}

/// Whom a record names; names of old records are those of people who have a commitment now.
fn who_is(shared: &Shared, who: &Who) -> Who {
    match who {
        Who::Name(name) => shared.log.subjects().who(SubjectKind::Person, name),
        Who::Commit(_) => who.clone(),
    }
}
