//! The moment of a decision, as conditions see it.

use std::collections::BTreeSet;

use crate::Circumstances;
use crate::policy::Policy;
use crate::signal::{Signal, Signals};
use crate::truth::Truth;

/// Who asks, and how risky that is.
pub(crate) struct Present<'a> {
    pub(crate) who: &'a Circumstances,
    /// `None` where the policy has no `risk:`.
    pub(crate) risk: Option<u32>,
    /// Where what hangs on an upper bound is left open: the signals that fire whatever the number is, and their risk.
    sure: Option<(Signals, u32)>,
    /// Whether all that changes from one moment to the next is left open: time, risk, signals, purpose, what has been
    /// delivered. What is certain then is so at any moment.
    open: bool,
}

impl<'a> Present<'a> {
    pub(crate) fn of(policy: &Policy, who: &'a Circumstances) -> Self {
        let risk = policy.risk.as_ref().map(|risk| risk.risk(&who.signals));
        Self { who, risk, sure: None, open: false }
    }

    /// The same, where it is left open what fires by an upper bound alone.
    pub(crate) fn of_upper_bound(policy: &Policy, who: &'a Circumstances) -> Self {
        let sure = who.signals.is_open().then(|| {
            let sure = who.signals.sure();
            let risk = policy.risk.as_ref().map_or(0, |risk| risk.risk(&sure));
            (sure, risk)
        });
        Self { sure, ..Self::of(policy, who) }
    }

    /// At any moment.
    pub(crate) const fn at_any_time(who: &'a Circumstances) -> Self {
        Self { who, risk: None, sure: None, open: true }
    }

    /// What holds at this moment.
    pub(crate) fn now(&self, holds: impl FnOnce(&Circumstances) -> bool) -> Truth {
        if self.open { Truth::Maybe } else { Truth::seen(holds(self.who), false) }
    }

    /// Whether any of these fires.
    pub(crate) fn fires(&self, signals: &BTreeSet<Signal>) -> Truth {
        let any = |seen: &Signals| signals.iter().any(|signal| seen.fires(*signal));
        self.between(any(&self.who.signals), self.sure.as_ref().map(|(sure, _)| any(sure)))
    }

    /// Whether the risk is so high.
    pub(crate) fn is_risk(&self, from: u64) -> Truth {
        let reaches = |risk: u32| u64::from(risk) >= from;
        self.between(reaches(self.risk.unwrap_or(0)), self.sure.as_ref().map(|(_, risk)| reaches(*risk)))
    }

    /// Between the most that there may be and, where that is another thing, the least.
    fn between(&self, most: bool, least: Option<bool>) -> Truth {
        match least {
            _ if self.open => Truth::Maybe,
            Some(false) if most => Truth::Maybe,
            _ => Truth::seen(most, false),
        }
    }
}

/// Names, or beginnings of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Names {
    exact: BTreeSet<String>,
    prefixes: Vec<String>,
}

impl Names {
    /// One with `*` at its end stands for all that begin so.
    pub(crate) fn new(names: BTreeSet<String>) -> Self {
        let (prefixes, exact): (BTreeSet<_>, BTreeSet<_>) =
            names.into_iter().partition(|name| name.ends_with('*'));
        let prefixes = prefixes.iter().filter_map(|name| name.strip_suffix('*')).map(str::to_owned).collect();
        Self { exact, prefixes }
    }

    /// Whether it is named in full.
    pub(crate) fn names(&self, name: &str) -> bool {
        self.exact.contains(name)
    }

    /// The names, where none of them is but a beginning.
    pub(crate) fn words(&self) -> Option<&BTreeSet<String>> {
        self.prefixes.is_empty().then_some(&self.exact)
    }

    /// Those that are among the others, too.
    pub(crate) fn both(&self, other: &Self) -> Self {
        let exact = self.exact.iter().filter(|name| other.has(name));
        let exact = exact.chain(other.exact.iter().filter(|name| self.has(name))).cloned().collect();
        let among = |one: &Self, other: &Self| {
            let longer =
                one.prefixes.iter().filter(|it| other.prefixes.iter().any(|begins| it.starts_with(begins)));
            longer.cloned().collect::<Vec<_>>()
        };
        Self { exact, prefixes: [among(self, other), among(other, self)].concat() }
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.prefixes.is_empty()
    }

    /// Whether each of them is among these.
    pub(crate) fn are_all_in(&self, others: &[&Self]) -> bool {
        let begins = |it: &String| {
            others.iter().any(|other| other.prefixes.iter().any(|begins| it.starts_with(begins)))
        };
        self.exact.iter().all(|name| others.iter().any(|other| other.has(name)))
            && self.prefixes.iter().all(begins)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.exact.contains(name) || self.prefixes.iter().any(|prefix| name.starts_with(prefix.as_str()))
    }
}

/// As the policy writes them.
impl std::fmt::Display for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let exact = self.exact.iter().cloned();
        let prefixes = self.prefixes.iter().map(|prefix| format!("{prefix}*"));
        f.write_str(&exact.chain(prefixes).collect::<Vec<_>>().join(", "))
    }
}

/// What a condition asks of the purpose that was stated.
#[derive(Debug, Clone)]
pub(crate) enum PurposeTest {
    /// That one was stated, or none. An empty one is none.
    Stated(bool),
    /// That it is one of these.
    OneOf(Names),
}

impl PurposeTest {
    pub(crate) fn holds(&self, who: &Circumstances) -> bool {
        let purpose = who.purpose.as_deref().filter(|purpose| !purpose.is_empty());
        match self {
            Self::Stated(stated) => purpose.is_some() == *stated,
            Self::OneOf(names) => purpose.is_some_and(|purpose| names.has(purpose)),
        }
    }
}
