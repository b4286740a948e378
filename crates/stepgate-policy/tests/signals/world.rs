//! A person who works, and somebody who has their password.

use std::net::IpAddr;
use std::time::Duration;

use stepgate_policy::{
    Deed, Observation, Origin, OriginKey, Place, Profile, Reach, RiskSettings, Scene, Signal, Teaching,
    Verdict, observe,
};
use stepgate_types::{RequestId, SessionId, Timestamp};

pub(crate) const MINUTE: i64 = 60;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;
/// A Monday, 00:00 UTC.
pub(crate) const MONDAY: i64 = 1_767_571_200;

pub(crate) const OFFICE: &str = "192.0.2.7";
pub(crate) const ELSEWHERE: &str = "198.51.100.9";

pub(crate) struct World {
    pub(crate) settings: RiskSettings,
    pub(crate) teaching: Teaching,
    pub(crate) profile: Profile,
    /// Seconds since the epoch.
    pub(crate) now: i64,
    pub(crate) service: bool,
    sessions: u64,
    statements: u64,
}

pub(crate) fn berlin() -> Option<Place> {
    Place::new(*b"DE", 52.5, 13.4)
}

pub(crate) fn sydney() -> Option<Place> {
    Place::new(*b"AU", -33.9, 151.2)
}

pub(crate) fn origin(address: &str, place: Option<Place>) -> Origin {
    let key = OriginKey::new([7; 32]);
    let address: IpAddr = address.parse().unwrap();
    Origin::new(&key, Some(address), place)
        .client(&key, "psql")
        .fingerprints(Some("00000000000000aa"), Some("00000000000000bb"))
}

pub(crate) fn client(address: &str, name: &str) -> Origin {
    origin(address, berlin()).client(&OriginKey::new([7; 32]), name)
}

pub(crate) fn office() -> Origin {
    origin(OFFICE, berlin())
}

/// From where the password is used by somebody else.
pub(crate) fn stranger() -> Origin {
    let key = OriginKey::new([7; 32]);
    origin(ELSEWHERE, sydney())
        .client(&key, "exfiltrate")
        .fingerprints(Some("00000000000000ee"), Some("00000000000000ef"))
}

/// What an ordinary statement reaches.
pub(crate) fn orders() -> Reach {
    Reach::new("shop", ["public.orders"], ["email"], ["confidential"], true, Some(50))
}

/// What nobody reads here.
pub(crate) fn salaries() -> Reach {
    Reach::new("shop", ["hr.salaries"], ["salary"], ["restricted"], true, Some(50))
}

impl World {
    /// A person of whom nothing is known.
    pub(crate) fn new() -> Self {
        let mut settings = RiskSettings::default();
        Signal::ALL.into_iter().for_each(|signal| settings.weigh(signal, 10));
        Self {
            teaching: settings.teaching,
            settings,
            profile: Profile::default(),
            now: MONDAY,
            service: false,
            sessions: 0,
            statements: 0,
        }
    }

    /// Somebody who has worked for six weeks, Mondays to Fridays, from eight to four, in the office.
    pub(crate) fn with_history() -> Self {
        let mut world = Self::new();
        for day in (0..42).filter(|day| day % 7 < 5) {
            world.now = MONDAY + day * DAY + 8 * HOUR;
            world.works();
        }
        // The next Monday, at ten.
        world.now = MONDAY + 42 * DAY + 10 * HOUR;
        world
    }

    /// A day's work, from now on.
    pub(crate) fn works(&mut self) {
        let session = self.opens(&office());
        for _ in 0..8 {
            for _ in 0..5 {
                self.runs(session, &orders(), 20);
                self.now += MINUTE;
            }
            self.now += HOUR - 5 * MINUTE;
        }
        self.closes(session);
    }

    pub(crate) fn learn(&mut self, deed: &Deed<'_>) {
        self.profile.learn(&self.teaching, Timestamp::from_micros(self.now * 1_000_000), deed);
    }

    pub(crate) fn opens(&mut self, origin: &Origin) -> SessionId {
        self.sessions += 1;
        let session = session(self.sessions);
        self.learn(&Deed::Opened { session, origin });
        session
    }

    pub(crate) fn closes(&mut self, session: SessionId) {
        self.learn(&Deed::Closed { session });
    }

    pub(crate) fn decides(&mut self, session: SessionId, verdict: Verdict, reach: &Reach) -> u64 {
        self.statements += 1;
        let statement = self.statements;
        self.learn(&Deed::Decided { session, statement, verdict, reach });
        statement
    }

    /// A statement that goes on and returns so many rows, of 100 bytes each.
    pub(crate) fn runs(&mut self, session: SessionId, reach: &Reach, rows: u64) {
        let statement = self.decides(session, Verdict::Forwarded, reach);
        self.learn(&Deed::Completed { session, statement, rows, bytes: rows * 100 });
    }

    /// A statement that waits until the person verifies themselves, and what becomes of it.
    pub(crate) fn asks(&mut self, session: SessionId, reach: &Reach, approved: Option<bool>) {
        self.asks_for(session, reach, true, approved);
    }

    /// One that waits for others.
    pub(crate) fn asks_others(&mut self, session: SessionId, reach: &Reach, approved: Option<bool>) {
        self.asks_for(session, reach, false, approved);
    }

    fn asks_for(&mut self, session: SessionId, reach: &Reach, itself: bool, approved: Option<bool>) {
        self.decides(session, Verdict::Held, reach);
        let request = RequestId::from_bytes(self.statements.to_be_bytes()[3..].try_into().unwrap());
        self.learn(&Deed::Asked { session, request, itself });
        self.learn(&Deed::Answered { request, approved });
        if approved == Some(true) {
            self.runs(session, reach, 20);
        }
    }

    /// What is seen of all signals when that is about to be done.
    pub(crate) fn sees(
        &self,
        session: SessionId,
        origin: &Origin,
        client: &str,
        reach: &Reach,
    ) -> Vec<Observation> {
        let scene = Scene {
            session,
            origin,
            client,
            service: self.service,
            now: Timestamp::from_micros(self.now * 1_000_000),
        };
        observe(&self.settings, &self.profile, &scene, reach).iter().cloned().collect()
    }

    /// The signals that fire for a new session from there that reaches this.
    pub(crate) fn fires(&mut self, origin: &Origin, reach: &Reach) -> Vec<Signal> {
        let session = session(u64::MAX);
        let seen = self.sees(session, origin, "psql", reach);
        seen.into_iter().filter(|seen| seen.fires).map(|seen| seen.signal).collect()
    }

    pub(crate) fn bucket(&self, origin: &Origin, reach: &Reach, signal: Signal) -> String {
        let seen = self.sees(session(u64::MAX), origin, "psql", reach);
        seen.into_iter().find(|seen| seen.signal == signal).unwrap().bucket
    }

    pub(crate) fn after(&mut self, seconds: i64) -> &mut Self {
        self.now += seconds;
        self
    }
}

pub(crate) fn session(number: u64) -> SessionId {
    SessionId::from_bytes(u128::from(number).to_be_bytes())
}

pub(crate) fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}
