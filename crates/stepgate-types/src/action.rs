use serde::{Deserialize, Serialize};

/// What a rule does to a statement, least severe first: the most severe match wins, so that the order of
/// rules never matters (DESIGN §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Runs.
    Allow,
    /// Runs, and its record says that a rule looked at it.
    Monitor,
    /// Waits until the person has verified themselves.
    StepUp,
    /// Waits until others have approved.
    Approve,
    /// Does not run.
    Deny,
}

impl Action {
    /// The word used in files and records, for example `step-up`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Monitor => "monitor",
            Self::StepUp => "step-up",
            Self::Approve => "approve",
            Self::Deny => "deny",
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
