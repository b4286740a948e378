//! Signals: circumstances that raise risk. What is observed is told apart from what is made of it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One circumstance that may raise risk; the policy gives each a weight (`risk.signals`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The address is in a network that the person has not used before.
    NewNetwork,
    /// The address is in a country that the person has not been seen in.
    GeoChange,
    /// Nobody travels so fast from where the person was seen last.
    ImpossibleTravel,
    /// An `application_name` that the person has not used before.
    NewClient,
    /// A driver, by its startup packet or its TLS hello, that the person has not used before.
    NewFingerprint,
    /// An hour outside the schedule, or at which the person never works.
    UnusualHour,
    /// More statements, rows, bytes or subjects in a window than the policy takes for usual.
    Velocity,
    /// A relation that the person has not touched before.
    FirstSeenTable,
    /// A label that the person has not touched before.
    FirstSeenLabel,
    /// Many more rows than the person usually reads.
    Volume,
    /// The person has not been seen for long.
    DormantAccount,
    /// Factors failed, not long ago.
    FailedFactors,
    /// A factor was enrolled, not long ago.
    NewFactor,
    /// Statements of the person were denied, not long ago.
    ManyDenials,
    /// Sessions of the same person are open from far away.
    FarSessions,
    /// A service's account, with a client that people type into.
    InteractiveService,
}

impl Signal {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::NewNetwork,
        Self::GeoChange,
        Self::ImpossibleTravel,
        Self::NewClient,
        Self::NewFingerprint,
        Self::UnusualHour,
        Self::Velocity,
        Self::FirstSeenTable,
        Self::FirstSeenLabel,
        Self::Volume,
        Self::DormantAccount,
        Self::FailedFactors,
        Self::NewFactor,
        Self::ManyDenials,
        Self::FarSessions,
        Self::InteractiveService,
    ];

    /// The word used in policies and records, for example `new_network`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewNetwork => "new_network",
            Self::GeoChange => "geo_change",
            Self::ImpossibleTravel => "impossible_travel",
            Self::NewClient => "new_client",
            Self::NewFingerprint => "new_fingerprint",
            Self::UnusualHour => "unusual_hour",
            Self::Velocity => "velocity",
            Self::FirstSeenTable => "first_seen_table",
            Self::FirstSeenLabel => "first_seen_label",
            Self::Volume => "volume",
            Self::DormantAccount => "dormant_account",
            Self::FailedFactors => "failed_factors",
            Self::NewFactor => "new_factor",
            Self::ManyDenials => "many_denials",
            Self::FarSessions => "far_sessions",
            Self::InteractiveService => "interactive_service",
        }
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// There is no signal of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSignal;

impl fmt::Display for NoSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("there is no signal of that name")
    }
}

impl std::error::Error for NoSignal {}

impl FromStr for Signal {
    type Err = NoSignal;

    fn from_str(name: &str) -> Result<Self, NoSignal> {
        Self::ALL.into_iter().find(|signal| signal.as_str() == name).ok_or(NoSignal)
    }
}

/// What was seen of one signal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// Which.
    pub signal: Signal,
    /// Whether it is there.
    pub fires: bool,
    /// Its value, coarse: nothing that names anybody, nor a value of a statement.
    pub bucket: String,
    /// What that is compared with.
    pub threshold: String,
    /// It fires by an upper bound alone, of which somebody who knows more may say that it is less: its value begins with
    /// [`AT_MOST`].
    pub at_most: bool,
}

/// How the value of a signal begins that fires by an upper bound alone.
pub const AT_MOST: &str = "at most ";

/// What was seen of each signal that anybody looked for: at most one of each, in their order. One that is not among them
/// does not fire.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signals(Vec<Observation>);

impl Signals {
    /// Nothing was looked for.
    #[must_use]
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    /// The observation in force of that signal from now on: one that fires is kept before one that does not.
    pub fn add(&mut self, seen: Observation) {
        match self.0.binary_search_by_key(&seen.signal, |it| it.signal) {
            Ok(at) => {
                if let Some(known) = self.0.get_mut(at).filter(|known| !known.fires) {
                    *known = seen;
                }
            }
            Err(at) => self.0.insert(at, seen),
        }
    }

    /// What was seen of a signal; `None` where nobody looked for it.
    #[must_use]
    pub fn get(&self, signal: Signal) -> Option<&Observation> {
        let at = self.0.binary_search_by_key(&signal, |it| it.signal).ok()?;
        self.0.get(at)
    }

    /// Whether it fires.
    #[must_use]
    pub fn fires(&self, signal: Signal) -> bool {
        self.get(signal).is_some_and(|seen| seen.fires)
    }

    /// Whether any of them fires by an upper bound alone.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.iter().any(|seen| seen.fires && seen.at_most)
    }

    /// Those that fire whatever the number is of which only an upper bound is known.
    #[must_use]
    pub fn sure(&self) -> Self {
        Self(self.0.iter().filter(|seen| !(seen.fires && seen.at_most)).cloned().collect())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Observation> {
        self.0.iter()
    }

    /// Whether nothing was looked for.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Observation> for Signals {
    fn from_iter<I: IntoIterator<Item = Observation>>(all: I) -> Self {
        let mut signals = Self::none();
        all.into_iter().for_each(|seen| signals.add(seen));
        signals
    }
}

/// An observation as the policy weighs it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Weighed {
    /// Which.
    pub signal: Signal,
    /// Its value, coarse.
    pub bucket: String,
    /// What that is compared with.
    pub threshold: String,
    /// What it adds to the risk: its weight where it fires, which is more than 0, and 0 where it does not.
    pub weight: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(signal: Signal, fires: bool) -> Observation {
        Observation { signal, fires, bucket: String::new(), threshold: String::new(), at_most: false }
    }

    #[test]
    fn a_name_in_a_policy_is_the_name_in_a_record() {
        for signal in Signal::ALL {
            assert_eq!(signal.as_str().parse(), Ok(signal));
            assert_eq!(serde_json::to_string(&signal).unwrap(), format!("\"{signal}\""));
        }
        assert_eq!("new-network".parse::<Signal>(), Err(NoSignal));
    }

    #[test]
    fn of_two_observations_the_one_that_fires_stays() {
        for order in [[true, false], [false, true]] {
            let signals: Signals = order.map(|fires| seen(Signal::Velocity, fires)).into_iter().collect();
            assert!(signals.fires(Signal::Velocity));
            assert_eq!(signals.iter().count(), 1);
        }
    }
}
