//! What the log tells of one person's habits.
//!
//! A profile learns from what was let through and nothing else, and from that only where it is as good as certain that it
//! was the person: a password alone does not teach. A session is *trusted* while it comes from a network that the person is
//! known to use. What an untrusted session does counts for what is going on now (velocity, denials) and never for what is
//! usual. A new network, client or fingerprint becomes usual when the person verified themselves in a session with it (that
//! others approved what it asked for says nothing of who asked), or when it was used for [`Teaching::probation`],
//! undisturbed: nothing held, denied or failed meanwhile. Only in the person's very first days ([`Teaching::learning`]) all
//! that they use is taken for theirs: of whom nothing is known, nothing can be unusual.
//!
//! Everything in it is bounded, and decays with a half-life of 30 days. No name is in it: networks and clients are keyed
//! tokens ([`crate::OriginKey`]), places are rounded.

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use stepgate_types::{RequestId, SessionId, Timestamp};

use crate::observe_origin::{Origin, Place};
use crate::observe_reach::Reach;
use crate::profile_habit::{Habits, Trials};
use crate::profile_hours::Hours;
use crate::profile_sketch::Volumes;
use crate::profile_subjects::Seen;
use crate::profile_tally::{Done, Mask, Tallies};

/// The most bytes that a profile takes, in memory; as JSON it is about twice as long.
pub const MAX_PROFILE_BYTES: usize = 96 * 1024;

/// Most networks, clients, fingerprints and countries that a person is known to use, each.
const MAX_PLACES: usize = 32;
/// Most tables.
const MAX_TABLES: usize = 512;
/// Most labels.
const MAX_LABELS: usize = 128;
/// Most sessions that are looked after at a time.
const MAX_OPEN: usize = 256;
/// Most statements under way: of others, the classes are not known when they end.
const MAX_RUNNING: usize = 256;
/// Most requests under way.
const MAX_ASKED: usize = 32;
/// Most failures and denials each that are remembered.
pub(crate) const MAX_RECENT: usize = 64;
/// Days without anything trusted after which coming back is remembered for as long again, unless a step-up was approved.
const PAUSE: u32 = 7 * 86_400;

/// What is asked of what somebody does, before it is taken for a habit of theirs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Teaching {
    /// How long, from somebody's first session on, everything they use is taken for theirs.
    pub learning: Duration,
    /// For how long something new must be used, undisturbed; `None`: only step-ups teach.
    pub probation: Option<Duration>,
}

impl Default for Teaching {
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { learning: days(7), probation: Some(days(14)) }
    }
}

/// What was decided of a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It went on.
    Forwarded,
    /// It went on although rules would have it held or denied, since they are not enforced.
    Unenforced,
    /// It waits for people, or was deferred, or must be asked for anew.
    Held,
    /// It was denied.
    Denied,
}

/// What one record tells of a person.
#[derive(Debug, Clone, Copy)]
pub enum Deed<'a> {
    /// A session was authenticated.
    Opened {
        /// Which.
        session: SessionId,
        /// From where.
        origin: &'a Origin,
    },
    /// It ended.
    Closed {
        /// Which.
        session: SessionId,
    },
    /// The gate was started: all sessions have ended.
    Restarted,
    /// Somebody failed to prove that they are this person.
    Refused {
        /// From where.
        network: Option<u64>,
        /// How often.
        times: u32,
    },
    /// A statement was decided on.
    Decided {
        /// In which session.
        session: SessionId,
        /// Which.
        statement: u64,
        /// How.
        verdict: Verdict,
        /// What it reaches.
        reach: &'a Reach,
    },
    /// A statement ended.
    Completed {
        /// In which session.
        session: SessionId,
        /// Which.
        statement: u64,
        /// Rows that went to the client.
        rows: u64,
        /// Bytes.
        bytes: u64,
    },
    /// A statement showed the data of these subjects, by evenly distributed hashes.
    Showed {
        /// Whose.
        subjects: &'a [u32],
    },
    /// People are asked.
    Asked {
        /// In which session.
        session: SessionId,
        /// The request.
        request: RequestId,
        /// Whether the person verifies themselves, rather than others approving.
        itself: bool,
    },
    /// A request has ended.
    Answered {
        /// Which.
        request: RequestId,
        /// `None`: nobody said anything.
        approved: Option<bool>,
    },
    /// A factor of theirs was refused.
    FactorFailed,
    /// They have a new factor or password, or their factors were reset.
    FactorChanged,
    /// They say that a session was not theirs.
    NotMe {
        /// Which.
        session: SessionId,
    },
    /// They are a person no more.
    Removed,
}

/// A session that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) session: SessionId,
    pub(crate) origin: Origin,
}

/// A statement that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Running {
    session: SessionId,
    statement: u64,
    mask: Mask,
    teaches: bool,
}

/// A request that is open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Asked {
    request: [u8; 5],
    session: SessionId,
    origin: Origin,
    /// Whether the person verifies themselves; unknown of old ones, which teach nothing.
    #[serde(default)]
    itself: bool,
}

/// What is known of one person's habits, and of what they do now. The default knows nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// When their first session began: seconds since the epoch, as all times here.
    pub(crate) since: Option<u32>,
    /// On how many days they have worked, and the last of these.
    days: (u16, u16),
    pub(crate) networks: Habits,
    pub(crate) clients: Habits,
    pub(crate) startups: Habits,
    pub(crate) hellos: Habits,
    pub(crate) countries: Habits,
    pub(crate) tables: Habits,
    pub(crate) labels: Habits,
    new_networks: Trials,
    new_clients: Trials,
    new_startups: Trials,
    new_hellos: Trials,
    pub(crate) hours: Hours,
    pub(crate) volumes: Volumes,
    pub(crate) tallies: Tallies,
    pub(crate) subjects: Seen,
    /// Where they were last, and when, for certain.
    pub(crate) place: Option<(Place, u32)>,
    /// When they did something last, for certain.
    pub(crate) active: Option<u32>,
    /// How long they had been away when they came back, and when that was.
    pub(crate) pause: Option<(u32, u32)>,
    pub(crate) failed: VecDeque<u32>,
    /// Refusals: when, from where, how often.
    pub(crate) refused: VecDeque<(u32, u64, u32)>,
    pub(crate) denied: VecDeque<u32>,
    pub(crate) factor: Option<u32>,
    pub(crate) open: Vec<Open>,
    running: VecDeque<Running>,
    asked: VecDeque<Asked>,
}

/// Seconds since the epoch; times before it, and after 2106, are cut off.
pub(crate) fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.unix_seconds()).unwrap_or(u32::MAX)
}

pub(crate) fn day_of(at: u32) -> u16 {
    u16::try_from(at / 86_400).unwrap_or(u16::MAX)
}

fn length(of: Duration) -> u32 {
    u32::try_from(of.as_secs()).unwrap_or(u32::MAX)
}

impl Profile {
    /// Takes what happened next. The same in the same order makes the same profile.
    pub fn learn(&mut self, teaching: &Teaching, at: Timestamp, deed: &Deed<'_>) {
        let at = seconds(at);
        match *deed {
            Deed::Opened { session, origin } => self.opened(teaching, at, session, *origin),
            Deed::Closed { session } => self.closed(session),
            Deed::Restarted => {
                self.open.clear();
                self.running.clear();
            }
            Deed::Refused { network, times } => {
                remember(&mut self.refused, (at, network.unwrap_or_default(), times));
                network.into_iter().for_each(|network| self.new_networks.disturbed(network));
            }
            Deed::Decided { session, statement, verdict, reach } => {
                self.decided(teaching, at, (session, statement), verdict, reach);
            }
            Deed::Completed { session, statement, rows, bytes } => {
                self.completed(at, (session, statement), rows, bytes);
            }
            Deed::Showed { subjects } => subjects.iter().for_each(|subject| self.subjects.add(*subject, at)),
            Deed::Asked { session, request, itself } => {
                let origin = self.session(session).map(|open| open.origin).unwrap_or_default();
                keep(&mut self.asked, Asked { request: request.bytes(), session, origin, itself }, MAX_ASKED);
            }
            Deed::Answered { request, approved } => self.answered(at, request, approved),
            Deed::FactorFailed => remember(&mut self.failed, at),
            Deed::FactorChanged => self.factor = Some(at),
            Deed::NotMe { session } => self.disowned(session),
            Deed::Removed => *self = Self::default(),
        }
    }

    /// On how many days they have worked. Not decayed: of whom something was known once, what is forgotten is new.
    pub(crate) const fn days(&self) -> u16 {
        self.days.0
    }

    /// The open session of that id, if it is looked after.
    pub(crate) fn session(&self, session: SessionId) -> Option<&Open> {
        self.open.iter().find(|open| open.session == session)
    }

    /// The sessions that are open.
    pub fn sessions(&self) -> impl Iterator<Item = SessionId> {
        self.open.iter().map(|open| open.session)
    }

    /// The requests that are open.
    pub fn requests(&self) -> impl Iterator<Item = RequestId> {
        self.asked.iter().map(|asked| RequestId::from_bytes(asked.request))
    }

    /// How many bytes it takes, in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let habits = [
            &self.networks,
            &self.clients,
            &self.startups,
            &self.hellos,
            &self.countries,
            &self.tables,
            &self.labels,
        ];
        let trials = [&self.new_networks, &self.new_clients, &self.new_startups, &self.new_hellos];
        size_of::<Self>()
            + habits.map(Habits::bytes).iter().sum::<usize>()
            + trials.map(Trials::bytes).iter().sum::<usize>()
            + self.hours.bytes()
            + self.volumes.heap()
            + self.tallies.bytes()
            + self.subjects.bytes()
            + (self.failed.capacity() + self.denied.capacity()) * size_of::<u32>()
            + self.refused.capacity() * size_of::<(u32, u64, u32)>()
            + self.open.capacity() * size_of::<Open>()
            + self.running.capacity() * size_of::<Running>()
            + self.asked.capacity() * size_of::<Asked>()
    }

    fn opened(&mut self, teaching: &Teaching, at: u32, session: SessionId, origin: Origin) {
        let since = *self.since.get_or_insert(at);
        let young = at.saturating_sub(since) < length(teaching.learning);
        let day = day_of(at);
        if young {
            self.settle(&origin, day);
        }
        if self.open.len() >= MAX_OPEN {
            // Whoever opens many from anywhere pushes out their own.
            let is_known = |open: &Open| self.trusts(&open.origin, day);
            let oldest = self.open.iter().position(|open| !is_known(open)).unwrap_or(0);
            self.open.remove(oldest);
        }
        self.open.push(Open { session, origin });
    }

    fn closed(&mut self, session: SessionId) {
        self.open.retain(|open| open.session != session);
        self.running.retain(|running| running.session != session);
    }

    fn decided(
        &mut self,
        teaching: &Teaching,
        at: u32,
        (session, statement): (SessionId, u64),
        verdict: Verdict,
        reach: &Reach,
    ) {
        let origin = self.session(session).map(|open| open.origin).unwrap_or_default();
        let teaches = verdict == Verdict::Forwarded && self.trusts(&origin, day_of(at));
        if matches!(verdict, Verdict::Forwarded | Verdict::Unenforced) {
            let mask = self.tallies.mask(reach.classes.as_deref());
            self.tallies.add(at, mask, Done { statements: 1, ..Done::default() });
            keep(&mut self.running, Running { session, statement, mask, teaches }, MAX_RUNNING);
        }
        match verdict {
            Verdict::Forwarded => {
                self.try_new(teaching, &origin, day_of(at));
                if teaches {
                    self.teach(at, &origin, reach);
                }
            }
            Verdict::Unenforced | Verdict::Held => self.disturb(&origin),
            Verdict::Denied => {
                self.disturb(&origin);
                remember(&mut self.denied, at);
            }
        }
    }

    /// Whether it is as good as certain that sessions from there are theirs.
    fn trusts(&self, origin: &Origin, day: u16) -> bool {
        origin.network.is_some_and(|network| self.networks.knows(network, day))
    }

    /// The person has done this.
    fn teach(&mut self, at: u32, origin: &Origin, reach: &Reach) {
        let day = day_of(at);
        let (count, last) = self.days;
        if last < day {
            self.days = (count.saturating_add(1), day);
        }
        if let Some(active) = self.active
            && let away = at.saturating_sub(active)
            && away >= PAUSE
        {
            self.pause = Some((away, at));
        }
        if self.pause.is_some_and(|(_, back)| at.saturating_sub(back) >= PAUSE) {
            self.pause = None;
        }
        self.active = Some(at.max(self.active.unwrap_or_default()));
        if let Some(place) = origin.place {
            self.place = Some((place, at));
        }
        self.hours.add(at);
        reach.tables.iter().for_each(|table| self.tables.add(*table, day, MAX_TABLES));
        reach.labels.iter().for_each(|label| self.labels.add(*label, day, MAX_LABELS));
        self.volumes.estimated(at, reach.estimate);
    }

    /// What a session comes with is used: what is known goes on being so, and what is new is tried.
    fn try_new(&mut self, teaching: &Teaching, origin: &Origin, day: u16) {
        let probation = teaching.probation.map(|probation| day_of(length(probation)));
        let mut country = false;
        for (token, known, trials) in [
            (origin.network, &mut self.networks, &mut self.new_networks),
            (origin.client, &mut self.clients, &mut self.new_clients),
            (origin.startup, &mut self.startups, &mut self.new_startups),
            (origin.hello, &mut self.hellos, &mut self.new_hellos),
        ] {
            let Some(token) = token else { continue };
            let usual = known.knows(token, day)
                || probation.is_some_and(|probation| trials.used(token, day, probation));
            if usual {
                known.add(token, day, MAX_PLACES);
                country |= Some(token) == origin.network;
            }
        }
        if let Some(place) = origin.place.filter(|_| country) {
            self.countries.add(country_token(place), day, MAX_PLACES);
        }
    }

    /// All that a session comes with is theirs.
    fn settle(&mut self, origin: &Origin, day: u16) {
        for (token, known, trials) in [
            (origin.network, &mut self.networks, &mut self.new_networks),
            (origin.client, &mut self.clients, &mut self.new_clients),
            (origin.startup, &mut self.startups, &mut self.new_startups),
            (origin.hello, &mut self.hellos, &mut self.new_hellos),
        ] {
            let Some(token) = token else { continue };
            known.add(token, day, MAX_PLACES);
            trials.disturbed(token);
        }
        if let Some(place) = origin.place {
            self.countries.add(country_token(place), day, MAX_PLACES);
        }
    }

    /// Something speaks against what a session comes with.
    fn disturb(&mut self, origin: &Origin) {
        for (token, trials) in [
            (origin.network, &mut self.new_networks),
            (origin.client, &mut self.new_clients),
            (origin.startup, &mut self.new_startups),
            (origin.hello, &mut self.new_hellos),
        ] {
            token.into_iter().for_each(|token| trials.disturbed(token));
        }
    }

    fn completed(&mut self, at: u32, (session, statement): (SessionId, u64), rows: u64, bytes: u64) {
        let is = |running: &Running| running.session == session && running.statement == statement;
        let found = self.running.iter().position(is).and_then(|at| self.running.remove(at));
        let (mask, teaches) = found.map_or((Mask::MAX, false), |running| (running.mask, running.teaches));
        if rows == 0 && bytes == 0 {
            return;
        }
        self.tallies.add(at, mask, Done { statements: 0, rows, bytes });
        if teaches {
            self.volumes.delivered(at, rows, bytes);
        }
    }

    fn answered(&mut self, at: u32, request: RequestId, approved: Option<bool>) {
        let found = self.asked.iter().position(|asked| asked.request == request.bytes());
        let Some(asked) = found.and_then(|at| self.asked.remove(at)) else { return };
        match approved {
            // Of what others asked ahead of time for a service, nothing is known of where that will come from.
            Some(true) if asked.origin.network.is_none() => {}
            // That others approve it says nothing of who asked for it.
            Some(true) if !asked.itself => {}
            Some(true) => {
                self.settle(&asked.origin, day_of(at));
                self.pause = None;
                self.active = Some(at.max(self.active.unwrap_or_default()));
                self.place = asked.origin.place.map(|place| (place, at)).or(self.place);
            }
            Some(false) => {
                remember(&mut self.denied, at);
                self.disturb(&asked.origin);
            }
            None => self.disturb(&asked.origin),
        }
    }

    fn disowned(&mut self, session: SessionId) {
        let asked = self.asked.iter().find(|asked| asked.session == session).map(|asked| asked.origin);
        let Some(origin) = self.session(session).map(|open| open.origin).or(asked) else { return };
        self.disturb(&origin);
        for (token, known) in [
            (origin.network, &mut self.networks),
            (origin.startup, &mut self.startups),
            (origin.hello, &mut self.hellos),
        ] {
            token.into_iter().for_each(|token| known.forget(token));
        }
    }
}

/// A country as a token.
pub(crate) fn country_token(place: Place) -> u64 {
    let [a, b] = place.country;
    u64::from(u16::from_be_bytes([a, b]))
}

fn remember<T>(recent: &mut VecDeque<T>, new: T) {
    keep(recent, new, MAX_RECENT);
}

/// Adds one; beyond `most`, the oldest goes.
fn keep<T>(all: &mut VecDeque<T>, new: T, most: usize) {
    if all.len() >= most {
        all.pop_front();
    }
    all.push_back(new);
}
