//! The policy's `risk:`: what each signal weighs, and when it fires.

use std::time::Duration;

use jiff::tz::TimeZone;
use stepgate_types::Timestamp;

use crate::observe_reach::class_token;
use crate::profile::Teaching;
use crate::signal::{Signal, Signals, Weighed};
use crate::time_window::TimeWindow;

/// The greatest risk there is; a sum beyond it is as much.
pub const MAX_RISK: u32 = 100;

/// What each signal weighs, and its settings: those of signals without weight are of no use, since nobody looks for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RiskSettings {
    /// By the order of [`Signal::ALL`]; 0 is none.
    pub(crate) weights: [u32; Signal::ALL.len()],
    /// `learning:` and `probation:`.
    pub teaching: Teaching,
    /// `impossible_travel:`.
    pub impossible_travel: ImpossibleTravel,
    /// `unusual_hour:`.
    pub unusual_hour: UnusualHour,
    /// `velocity:`, a limit each.
    pub velocity: Vec<VelocityLimit>,
    /// `volume:`.
    pub volume: Volume,
    /// `dormant_account:`.
    pub dormant_account: DormantAccount,
    /// `failed_factors:`.
    pub failed_factors: Repeated,
    /// `new_factor:`.
    pub new_factor: NewFactor,
    /// `many_denials:`.
    pub many_denials: Repeated,
    /// `far_sessions:`.
    pub far_sessions: FarSessions,
    /// `interactive_service:`.
    pub interactive_service: InteractiveService,
}

impl RiskSettings {
    /// What a signal adds to the risk where it fires, from 1 to [`MAX_RISK`]; `None`: nobody need look for it.
    #[must_use]
    pub fn weight(&self, signal: Signal) -> Option<u32> {
        self.weights.get(signal as usize).copied().filter(|weight| *weight > 0)
    }

    /// Gives a signal this weight, at most [`MAX_RISK`]; with 0, nobody looks for it.
    pub fn weigh(&mut self, signal: Signal, weight: u32) {
        if let Some(slot) = self.weights.get_mut(signal as usize) {
            *slot = weight.min(MAX_RISK);
        }
    }

    /// All signals, of the greatest weight: where the policy's own are wrong, no rule is wrong for want of them.
    pub(crate) fn of_all() -> Self {
        Self { weights: [MAX_RISK; Signal::ALL.len()], ..Self::default() }
    }

    /// Whether other settings have this signal fire at the same.
    #[must_use]
    pub fn looks_alike(&self, other: &Self, signal: Signal) -> bool {
        let alike = match signal {
            Signal::ImpossibleTravel => self.impossible_travel == other.impossible_travel,
            Signal::UnusualHour => self.unusual_hour == other.unusual_hour,
            Signal::Velocity => self.velocity == other.velocity,
            Signal::Volume => self.volume == other.volume,
            Signal::DormantAccount => self.dormant_account == other.dormant_account,
            Signal::FailedFactors => self.failed_factors == other.failed_factors,
            Signal::NewFactor => self.new_factor == other.new_factor,
            Signal::ManyDenials => self.many_denials == other.many_denials,
            Signal::FarSessions => self.far_sessions == other.far_sessions,
            Signal::InteractiveService => self.interactive_service == other.interactive_service,
            Signal::NewNetwork
            | Signal::GeoChange
            | Signal::NewClient
            | Signal::NewFingerprint
            | Signal::FirstSeenTable
            | Signal::FirstSeenLabel => true,
        };
        // How people are learned decides what is new of them.
        alike && self.teaching == other.teaching
    }

    /// The signals that have a weight.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        Signal::ALL.into_iter().filter(|signal| self.weight(*signal).is_some())
    }

    /// Whether a signal that has a weight asks where addresses are.
    #[must_use]
    pub fn needs_places(&self) -> bool {
        [Signal::GeoChange, Signal::ImpossibleTravel, Signal::FarSessions]
            .into_iter()
            .any(|signal| self.weight(signal).is_some())
    }

    /// Whether a signal that has a weight counts whose rows were shown.
    #[must_use]
    pub fn counts_subjects(&self) -> bool {
        self.weight(Signal::Velocity).is_some()
            && self.velocity.iter().any(|limit| limit.counted == Counted::Subjects)
    }

    /// The sum of the weights of those that fire, at most [`MAX_RISK`].
    #[must_use]
    pub fn risk(&self, seen: &Signals) -> u32 {
        let firing = seen.iter().filter(|it| it.fires).filter_map(|it| self.weight(it.signal));
        firing.fold(0, u32::saturating_add).min(MAX_RISK)
    }

    /// What was seen of each signal that has a weight.
    pub(crate) fn weighed(&self, seen: &Signals) -> Vec<Weighed> {
        let weigh = |signal| {
            let (seen, weight) = (seen.get(signal)?, self.weight(signal)?);
            Some(Weighed {
                signal,
                bucket: seen.bucket.clone(),
                threshold: seen.threshold.clone(),
                weight: if seen.fires { weight } else { 0 },
            })
        };
        Signal::ALL.into_iter().filter_map(weigh).collect()
    }
}

/// How fast nobody travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImpossibleTravel {
    /// Kilometres an hour.
    pub kmh: u32,
}

impl Default for ImpossibleTravel {
    /// Faster than airliners.
    fn default() -> Self {
        Self { kmh: 1000 }
    }
}

/// Which hours are unusual.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnusualHour {
    /// When people work; any other time is unusual.
    pub schedule: Option<TimeWindow>,
    /// Whether hours are unusual, too, at which the person has not worked before.
    pub learned: bool,
    /// By whose clocks these are told apart.
    pub zone: TimeZone,
}

impl Default for UnusualHour {
    fn default() -> Self {
        Self { schedule: None, learned: true, zone: TimeZone::UTC }
    }
}

impl UnusualHour {
    /// How many seconds its clocks are ahead of UTC.
    pub(crate) fn offset(&self, at: Timestamp) -> i32 {
        let at = jiff::Timestamp::from_microsecond(at.micros());
        at.map_or(0, |at| self.zone.to_offset(at).seconds())
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counted {
    /// Statements that went on.
    Statements,
    /// Rows that went to the client.
    Rows,
    /// Bytes of rows and COPY data.
    Bytes,
    /// Distinct subjects (`subject_key` of the map, where that is tracked).
    Subjects,
}

/// How much in a window is too much.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VelocityLimit {
    /// Of what.
    pub counted: Counted,
    /// Only what statements do that read this class or a more sensitive one.
    pub class: Option<String>,
    /// From so much on.
    pub most: u64,
    /// The window.
    pub per: Duration,
    /// That class and those above it, as profiles know them.
    pub(crate) classes: Option<Box<[u32]>>,
    /// As records show it.
    pub(crate) shown: String,
}

impl VelocityLimit {
    /// So much in a window; `classes` are the names of the classes that count, where not all statements do, the one that
    /// the policy names first.
    #[must_use]
    pub fn new(counted: Counted, classes: Option<&[&str]>, most: u64, per: Duration) -> Self {
        let class = classes.and_then(|all| all.first().copied());
        let what = match counted {
            Counted::Statements => "statements",
            Counted::Rows => "rows",
            Counted::Bytes => "bytes",
            Counted::Subjects => "subjects",
        };
        let of = class.map(|class| format!("{class} ")).unwrap_or_default();
        Self {
            counted,
            class: class.map(str::to_owned),
            most,
            per,
            classes: classes.map(|all| all.iter().map(|class| class_token(class)).collect()),
            shown: format!("{most} {of}{what} per {}", crate::read::show_duration(per)),
        }
    }
}

/// When it is much for the person: what went out in the last hour, or what a statement is estimated to return, against
/// what 95 of 100 of their hours did not exceed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// So many times as much.
    pub times: u32,
    /// And at least so many rows …
    pub rows: u64,
    /// … or bytes.
    pub bytes: u64,
}

impl Default for Volume {
    fn default() -> Self {
        Self { times: 10, rows: 1000, bytes: 10 << 20 }
    }
}

/// After how long an account is dormant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DormantAccount {
    /// Since it was last seen.
    pub after: Duration,
}

impl Default for DormantAccount {
    fn default() -> Self {
        Self { after: Duration::from_secs(30 * 86_400) }
    }
}

/// So often in so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Repeated {
    /// From so many on.
    pub count: u32,
    /// The window.
    pub per: Duration,
}

impl Default for Repeated {
    fn default() -> Self {
        Self { count: 3, per: Duration::from_secs(3600) }
    }
}

/// For how long a factor is new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewFactor {
    /// After it was enrolled.
    pub within: Duration,
}

impl Default for NewFactor {
    fn default() -> Self {
        Self { within: Duration::from_secs(86_400) }
    }
}

/// From which distance on another session is far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FarSessions {
    /// Kilometres. Where no place is known, none is far.
    pub km: u32,
}

impl Default for FarSessions {
    fn default() -> Self {
        Self { km: 500 }
    }
}

/// Which clients people type into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InteractiveService {
    /// `application_name`s; one with `*` at its end stands for all that begin so. Case does not count.
    pub clients: Vec<String>,
}

impl InteractiveService {
    /// Whether people type into a client that calls itself so.
    pub(crate) fn is(&self, client: &str) -> bool {
        let same = |pattern: &String| match pattern.strip_suffix('*') {
            Some(begins) => client.get(..begins.len()).is_some_and(|head| head.eq_ignore_ascii_case(begins)),
            None => client.eq_ignore_ascii_case(pattern),
        };
        self.clients.iter().any(same)
    }
}

impl Default for InteractiveService {
    fn default() -> Self {
        let usual =
            ["psql", "pgcli", "pgAdmin*", "DBeaver*", "DataGrip*", "TablePlus*", "Postico*", "Beekeeper*"];
        Self { clients: usual.map(str::to_owned).into() }
    }
}
