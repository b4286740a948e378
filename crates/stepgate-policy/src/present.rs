//! The moment of a decision, as conditions see it.

use std::collections::BTreeSet;

use crate::Circumstances;
use crate::policy::Policy;
use crate::truth::Truth;

/// Who asks, and how risky that is.
pub(crate) struct Present<'a> {
    pub(crate) who: &'a Circumstances,
    /// `None` where the policy has no `risk:`.
    pub(crate) risk: Option<u32>,
    /// Whether all that changes from one moment to the next is left open: time, risk, signals, purpose, what has been
    /// delivered. What is certain then is so at any moment.
    open: bool,
}

impl<'a> Present<'a> {
    pub(crate) fn of(policy: &Policy, who: &'a Circumstances) -> Self {
        let risk = policy.risk.as_ref().map(|risk| risk.risk(&who.signals));
        Self { who, risk, open: false }
    }

    /// At any moment.
    pub(crate) const fn at_any_time(who: &'a Circumstances) -> Self {
        Self { who, risk: None, open: true }
    }

    /// What holds at this moment.
    pub(crate) fn now(&self, holds: impl FnOnce(&Circumstances) -> bool) -> Truth {
        if self.open { Truth::Maybe } else { Truth::seen(holds(self.who), false) }
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
