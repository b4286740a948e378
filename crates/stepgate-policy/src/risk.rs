//! The policy's `risk:`: what each signal weighs, and when it fires.

use std::time::Duration;

use crate::signal::{Signal, Signals, Weighed};
use crate::time_window::TimeWindow;

/// The greatest risk there is; a sum beyond it is as much.
pub const MAX_RISK: u32 = 100;

/// What each signal weighs, and its settings: those of signals without weight are of no use, since nobody looks for them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RiskSettings {
    /// By the order of [`Signal::ALL`]; 0 is none.
    pub(crate) weights: [u32; Signal::ALL.len()],
    /// `new_network:`.
    pub new_network: NewNetwork,
    /// `impossible_travel:`.
    pub impossible_travel: ImpossibleTravel,
    /// `unusual_hour:`.
    pub unusual_hour: UnusualHour,
    /// `velocity:`.
    pub velocity: Velocity,
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
        let at = Signal::ALL.iter().position(|it| *it == signal)?;
        self.weights.get(at).copied().filter(|weight| *weight > 0)
    }

    /// Gives a signal this weight, at most [`MAX_RISK`]; with 0, nobody looks for it.
    pub fn weigh(&mut self, signal: Signal, weight: u32) {
        let at = Signal::ALL.iter().position(|it| *it == signal);
        if let Some(slot) = at.and_then(|at| self.weights.get_mut(at)) {
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
        match signal {
            Signal::NewNetwork => self.new_network == other.new_network,
            Signal::ImpossibleTravel => self.impossible_travel == other.impossible_travel,
            Signal::UnusualHour => self.unusual_hour == other.unusual_hour,
            Signal::Velocity => self.velocity == other.velocity,
            Signal::Volume => self.volume == other.volume,
            Signal::DormantAccount => self.dormant_account == other.dormant_account,
            Signal::FailedFactors => self.failed_factors == other.failed_factors,
            Signal::NewFactor => self.new_factor == other.new_factor,
            Signal::ManyDenials => self.many_denials == other.many_denials,
            Signal::FarSessions => {
                self.far_sessions == other.far_sessions && self.new_network == other.new_network
            }
            Signal::InteractiveService => self.interactive_service == other.interactive_service,
            Signal::GeoChange
            | Signal::NewClient
            | Signal::NewFingerprint
            | Signal::FirstSeenTable
            | Signal::FirstSeenLabel => true,
        }
    }

    /// The signals that have a weight.
    pub fn signals(&self) -> impl Iterator<Item = Signal> {
        Signal::ALL.into_iter().filter(|signal| self.weight(*signal).is_some())
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

/// Which addresses are of one network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewNetwork {
    /// Length of the prefix of IPv4 networks, in bits.
    pub ipv4_prefix: u8,
    /// And of IPv6 networks.
    pub ipv6_prefix: u8,
}

impl Default for NewNetwork {
    /// What a provider gives one site as a rule.
    fn default() -> Self {
        Self { ipv4_prefix: 24, ipv6_prefix: 48 }
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
}

impl Default for UnusualHour {
    fn default() -> Self {
        Self { schedule: None, learned: true }
    }
}

/// How much in a window is too much; `None` counts nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Velocity {
    /// Statements that touch a label.
    pub statements: Option<u64>,
    /// Rows delivered.
    pub rows: Option<u64>,
    /// Rows delivered by statements that read the most sensitive class of the map.
    pub restricted_rows: Option<u64>,
    /// Bytes delivered.
    pub bytes: Option<u64>,
    /// Distinct subjects whose rows were read (`subject_key` of the map).
    pub subjects: Option<u64>,
    /// The window.
    pub per: Duration,
}

impl Default for Velocity {
    fn default() -> Self {
        let per = Duration::from_secs(3600);
        Self { statements: None, rows: None, restricted_rows: None, bytes: None, subjects: None, per }
    }
}

/// When a statement's rows are many for the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// So many times what the person usually reads.
    pub times: u32,
    /// And at least so many rows.
    pub rows: u64,
}

impl Default for Volume {
    fn default() -> Self {
        Self { times: 10, rows: 1000 }
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
    /// Kilometres. Where no place is known, sessions of different networks are far.
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

impl Default for InteractiveService {
    fn default() -> Self {
        let usual =
            ["psql", "pgcli", "pgAdmin*", "DBeaver*", "DataGrip*", "TablePlus*", "Postico*", "Beekeeper*"];
        Self { clients: usual.map(str::to_owned).into() }
    }
}
