//! Which signals a message gives: what is, held against what is usual. Pure.

use stepgate_types::{SessionId, Timestamp};

use crate::observe_origin::Origin;
use crate::observe_reach::Reach;
use crate::profile::{Profile, country_token, day_of, seconds};
use crate::profile_habit::ONE;
use crate::risk::{Counted, Repeated, RiskSettings, VelocityLimit};
use crate::signal::{AT_MOST, Observation, Signal, Signals};
use crate::time_window::TimeWindow;

/// Days that somebody must have worked before it is told what is usual for them.
const ENOUGH_DAYS: u16 = 3;

/// Kilometres that databases of places are wrong by, and people move without travelling.
const NEAR: u32 = 200;

/// The present: who does something, from where, and when.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// The session.
    pub session: SessionId,
    /// Where it comes from.
    pub origin: &'a Origin,
    /// `application_name`, as it stands in records.
    pub client: &'a str,
    /// Whether the person is a service.
    pub service: bool,
    /// Now.
    pub now: Timestamp,
}

/// What is seen of each signal that has a weight. `profile` is that of the person; the default knows nothing.
#[must_use]
pub fn observe(settings: &RiskSettings, profile: &Profile, scene: &Scene<'_>, reach: &Reach) -> Signals {
    let look = Look::new(settings, profile, scene, reach);
    settings.signals().map(|signal| look.at(signal)).collect()
}

/// The same where nobody knows the person, since the log has not been read yet: what it takes a profile to tell is
/// `unknown`, and fires.
#[must_use]
pub fn observe_unread(settings: &RiskSettings, scene: &Scene<'_>, reach: &Reach) -> Signals {
    let nothing = Profile::default();
    let look = Look::new(settings, &nothing, scene, reach);
    let seen = |signal| {
        if look.takes_a_profile(signal) {
            let (bucket, threshold) = ("unknown".to_owned(), "known".to_owned());
            Observation { signal, fires: true, bucket, threshold, at_most: false }
        } else {
            look.at(signal)
        }
    };
    settings.signals().map(seen).collect()
}

struct Look<'a> {
    settings: &'a RiskSettings,
    profile: &'a Profile,
    scene: &'a Scene<'a>,
    reach: &'a Reach,
    now: u32,
    day: u16,
    /// Nothing is new yet.
    young: bool,
    /// It is known what is usual.
    knows: bool,
}

/// Whether it fires, its value, and what that is compared with.
struct Seen(bool, String, String);

impl Seen {
    /// What it is compared with is told, and put into words, only where it fires: the policy says it anyhow.
    fn new(fires: bool, bucket: impl Into<String>, threshold: impl FnOnce() -> String) -> Self {
        Self(fires, bucket.into(), if fires { threshold() } else { String::new() })
    }

    fn quiet(bucket: &str) -> Self {
        Self(false, bucket.to_owned(), String::new())
    }
}

impl<'a> Look<'a> {
    fn new(settings: &'a RiskSettings, profile: &'a Profile, scene: &'a Scene<'a>, reach: &'a Reach) -> Self {
        let now = seconds(scene.now);
        let day = day_of(now);
        let learning = length(settings.teaching.learning);
        let young = profile.since.is_none_or(|since| now.saturating_sub(since) < learning);
        let knows = !young && profile.days() >= ENOUGH_DAYS;
        Self { settings, profile, scene, reach, now, day, young, knows }
    }

    fn at(&self, signal: Signal) -> Observation {
        let mut at_most = false;
        let Seen(fires, bucket, threshold) = match signal {
            Signal::NewNetwork => self.new_network(),
            Signal::GeoChange => self.geo_change(),
            Signal::ImpossibleTravel => self.impossible_travel(),
            Signal::NewClient => self.new_client(),
            Signal::NewFingerprint => self.new_fingerprint(),
            Signal::UnusualHour => self.unusual_hour(),
            Signal::Velocity => self.velocity(),
            Signal::FirstSeenTable => {
                self.first_seen(&self.reach.tables, |table| self.profile.tables.knows(table, self.day))
            }
            Signal::FirstSeenLabel => {
                self.first_seen(&self.reach.labels, |label| self.profile.labels.knows(label, self.day))
            }
            Signal::Volume => {
                let (seen, open) = self.volume();
                at_most = open;
                seen
            }
            Signal::DormantAccount => self.dormant(),
            Signal::FailedFactors => self.failed_factors(),
            Signal::NewFactor => self.new_factor(),
            Signal::ManyDenials => self.many_denials(),
            Signal::FarSessions => self.far_sessions(),
            Signal::InteractiveService => self.interactive_service(),
        };
        Observation { signal, fires, bucket, threshold, at_most }
    }

    /// Whether what the present alone says of it is not enough.
    fn takes_a_profile(&self, signal: Signal) -> bool {
        let (origin, hours) = (self.scene.origin, &self.settings.unusual_hour);
        match signal {
            Signal::GeoChange | Signal::ImpossibleTravel | Signal::FarSessions => origin.place.is_some(),
            Signal::NewFingerprint => origin.startup.is_some() || origin.hello.is_some(),
            Signal::UnusualHour => {
                let is_outside = |schedule: &TimeWindow| !schedule.contains(self.scene.now);
                hours.learned && !hours.schedule.as_ref().is_some_and(is_outside)
            }
            Signal::FirstSeenTable => !self.reach.tables.is_empty(),
            Signal::FirstSeenLabel => !self.reach.labels.is_empty(),
            Signal::InteractiveService => false,
            Signal::NewNetwork
            | Signal::NewClient
            | Signal::Velocity
            | Signal::Volume
            | Signal::DormantAccount
            | Signal::FailedFactors
            | Signal::NewFactor
            | Signal::ManyDenials => true,
        }
    }

    /// `known`, `new`, or what keeps it from being told.
    fn known(&self, known: Option<bool>) -> Seen {
        match known {
            Some(true) => Seen::quiet("known"),
            _ if self.young => Seen::quiet("learning"),
            Some(false) => Seen(true, "new".to_owned(), "known".to_owned()),
            None => Seen::quiet("unknown"),
        }
    }

    fn new_network(&self) -> Seen {
        // A session always has an address; where none can be told, it is none that is known.
        let network = self.scene.origin.network;
        self.known(Some(network.is_some_and(|network| self.profile.networks.knows(network, self.day))))
    }

    fn geo_change(&self) -> Seen {
        let place = self.scene.origin.place;
        self.known(place.map(|place| self.profile.countries.knows(country_token(place), self.day)))
    }

    fn impossible_travel(&self) -> Seen {
        let (Some(here), Some((there, then))) = (self.scene.origin.place, self.profile.place) else {
            return Seen::quiet("unknown");
        };
        let kmh = self.settings.impossible_travel.kmh;
        let Some(km) = here.distance(&there) else { return Seen::quiet("unknown") };
        let seconds = self.now.saturating_sub(then).max(1);
        let speed = u64::from(km) * 3600 / u64::from(seconds);
        let fires = km >= NEAR && speed > u64::from(kmh);
        let bucket = if fires { times(speed, u64::from(kmh)) } else { "possible".to_owned() };
        Seen::new(fires, bucket, || format!("{kmh} km/h"))
    }

    fn new_client(&self) -> Seen {
        self.known(self.scene.origin.client.map(|client| self.profile.clients.knows(client, self.day)))
    }

    fn new_fingerprint(&self) -> Seen {
        let origin = self.scene.origin;
        let startup = origin.startup.map(|token| self.profile.startups.knows(token, self.day));
        let hello = origin.hello.map(|token| self.profile.hellos.knows(token, self.day));
        let known = match (startup, hello) {
            (None, None) => None,
            (one, other) => Some(one.unwrap_or(true) && other.unwrap_or(true)),
        };
        self.known(known)
    }

    fn unusual_hour(&self) -> Seen {
        let hours = &self.settings.unusual_hour;
        if let Some(schedule) = &hours.schedule
            && !schedule.contains(self.scene.now)
        {
            return Seen(true, "outside".to_owned(), schedule.to_string());
        }
        if !hours.learned {
            return Seen::quiet("within");
        }
        let usual =
            if self.young { None } else { self.profile.hours.usual(self.now, hours.offset(self.scene.now)) };
        let Some(usual) = usual else { return Seen::quiet("learning") };
        let days = |weight: u16| weight.saturating_add(ONE / 2) / ONE;
        let bucket = format!("{} of {} days", days(usual.at), days(usual.of));
        Seen::new(usual.is_rare(), bucket, || "2 days, 1 of 20".to_owned())
    }

    /// Of several limits, the one that is exceeded the most.
    fn velocity(&self) -> Seen {
        let share = |limit: &VelocityLimit| {
            let (profile, per) = (self.profile, length(limit.per));
            let done = || profile.tallies.within(self.now, per, limit.classes.as_deref());
            let count = match limit.counted {
                Counted::Statements => done().statements.into(),
                Counted::Rows => done().rows,
                Counted::Bytes => done().bytes,
                Counted::Subjects => profile.subjects.within(self.now, per),
            };
            (count.saturating_mul(100) / limit.most.max(1), count)
        };
        let limits = self.settings.velocity.iter().map(|limit| (share(limit), limit));
        let Some(((_, count), limit)) = limits.max_by_key(|((share, _), _)| *share) else {
            return Seen::quiet("none");
        };
        // What is under way counts once it has ended, so a limit that is reached is one that is about to be exceeded.
        let fires = count >= limit.most;
        let bucket = if fires { times(count, limit.most) } else { "below".to_owned() };
        Seen::new(fires, bucket, || limit.shown.clone())
    }

    fn first_seen(&self, tokens: &[u64], knows: impl Fn(u64) -> bool) -> Seen {
        if tokens.is_empty() {
            return Seen::quiet("none");
        }
        let new = tokens.iter().filter(|token| !knows(**token)).count();
        if new == 0 {
            return Seen::quiet("known");
        }
        if !self.knows {
            return Seen::quiet("learning");
        }
        Seen(true, format!("{new} of {}", tokens.len()), "known".to_owned())
    }

    /// What went out in the last hour, and the estimate, against the person's own; and whether it fires by an upper bound
    /// alone.
    fn volume(&self) -> (Seen, bool) {
        if self.young {
            return (Seen::quiet("learning"), false);
        }
        let settings = &self.settings.volume;
        let lately = self.profile.tallies.within(self.now, 3600, None);
        let usual = &self.profile.volumes;
        let sure = [
            (Some(lately.rows), usual.rows.p95(), settings.rows),
            (Some(lately.bytes), usual.bytes.p95(), settings.bytes),
        ];
        let estimate = (self.reach.estimate, usual.estimates.p95(), settings.rows);
        let unknown = usual.is_unknown_usual();
        if sure.iter().chain([&estimate]).all(|(_, p95, _)| p95.is_none()) && unknown.is_none() {
            return (Seen::quiet("learning"), false);
        }
        let exceeds = |(now, p95, least): (Option<u64>, Option<u64>, u64)| {
            let (now, usual) = (now?, p95?.max(1));
            (now >= least && now >= usual.saturating_mul(settings.times.into())).then_some((now, usual))
        };
        let fires = |bucket| Seen(true, bucket, format!("{}x", settings.times));
        let worst = |all: &mut dyn Iterator<Item = (u64, u64)>| all.max_by_key(|(now, usual)| now / usual);
        let estimated = exceeds(estimate);
        if let Some((now, usual)) =
            worst(&mut sure.into_iter().filter_map(exceeds).chain(estimated.filter(|_| !self.reach.at_most)))
        {
            return (fires(times(now, usual)), false);
        }
        if let Some((now, usual)) = estimated {
            return (fires(format!("{AT_MOST}{}", times(now, usual))), true);
        }
        // Of whom it is usual that nobody can tell, it is not said each time.
        if self.reach.estimate.is_none() && unknown == Some(false) {
            return (fires("unknown".to_owned()), false);
        }
        (Seen::quiet("usual"), false)
    }

    fn dormant(&self) -> Seen {
        let after = length(self.settings.dormant_account.after);
        let Some(active) = self.profile.active else {
            // They have a session and never did anything in one that was theirs for certain.
            let idle = self.profile.since.map_or(0, |since| self.now.saturating_sub(since));
            return Seen::new(!self.young && idle >= after, "never", || in_words(after));
        };
        let away = self.now.saturating_sub(active);
        let away = self.profile.pause.map_or(away, |(before, _)| before.max(away));
        let days = away / 86_400;
        let bucket =
            if away >= after { format!("{} days", rounded(days.into())) } else { "active".to_owned() };
        Seen::new(away >= after, bucket, || in_words(after))
    }

    fn failed_factors(&self) -> Seen {
        let Repeated { count, per } = self.settings.failed_factors;
        let since = self.now.saturating_sub(length(per));
        let failed = self.profile.failed.iter().filter(|at| **at >= since).count();
        // Whoever does not even know the password makes nobody else suspicious; whoever guesses it is.
        let network = self.scene.origin.network.unwrap_or_default();
        let guesses = self.profile.refused.iter().filter(|(at, from, _)| *at >= since && *from == network);
        let guesses = guesses.fold(0_u32, |sum, (_, _, times)| sum.saturating_add(*times));
        repeated(u32::try_from(failed).unwrap_or(u32::MAX).saturating_add(guesses), count, length(per))
    }

    fn new_factor(&self) -> Seen {
        let within = length(self.settings.new_factor.within);
        let new = self.profile.factor.is_some_and(|at| self.now.saturating_sub(at) < within);
        Seen::new(new, if new { "new" } else { "known" }, || in_words(within))
    }

    fn many_denials(&self) -> Seen {
        let Repeated { count, per } = self.settings.many_denials;
        let since = self.now.saturating_sub(length(per));
        let denied = self.profile.denied.iter().filter(|at| **at >= since).count();
        repeated(u32::try_from(denied).unwrap_or(u32::MAX), count, length(per))
    }

    fn far_sessions(&self) -> Seen {
        let Some(here) = self.scene.origin.place else { return Seen::quiet("unknown") };
        let km = self.settings.far_sessions.km;
        let others = self.profile.open.iter().filter(|open| open.session != self.scene.session);
        let farthest = others.filter_map(|open| here.distance(&open.origin.place?)).max();
        match farthest {
            Some(far) if far >= km => Seen(true, times(far.into(), km.into()), format!("{km} km")),
            Some(_) => Seen::quiet("near"),
            None => Seen::quiet("none"),
        }
    }

    fn interactive_service(&self) -> Seen {
        if !self.scene.service {
            return Seen::quiet("person");
        }
        let interactive = self.settings.interactive_service.is(self.scene.client);
        Seen(
            interactive,
            if interactive { "interactive" } else { "program" }.to_owned(),
            "program".to_owned(),
        )
    }
}

fn length(of: std::time::Duration) -> u32 {
    u32::try_from(of.as_secs()).unwrap_or(u32::MAX)
}

fn repeated(times: u32, count: u32, per: u32) -> Seen {
    // Beyond what is remembered nothing more is told.
    let bucket = if times > 10 { "more than 10".to_owned() } else { times.to_string() };
    Seen::new(times >= count, bucket, || format!("{count} in {}", in_words(per)))
}

/// How many times as much, as a power of two: `4x`.
fn times(now: u64, usual: u64) -> String {
    let times = now / usual.max(1);
    format!("{}x", 1_u64 << times.max(1).ilog2())
}

/// A number with one digit that says something.
fn rounded(number: u64) -> u64 {
    let unit = 10_u64.saturating_pow(number.max(1).ilog10());
    number / unit * unit
}

/// `90s`, `5m`, `1h` or `2d`.
fn in_words(seconds: u32) -> String {
    crate::read::show_duration(std::time::Duration::from_secs(seconds.into()))
}
