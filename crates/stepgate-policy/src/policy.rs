use std::time::Duration;

use stepgate_types::Action;

use crate::case::Case;
use crate::condition::{Condition, OnceDelivered};
use crate::limit_load::Limits;
use crate::risk::RiskSettings;
use crate::sketch::Need;
use crate::{Approval, Budget, LoadError};

/// The policy's rules, checked against its approvals and the map.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    pub(crate) enforced: bool,
    /// What happens to a statement that no rule matched: `allow`, `monitor` or `deny`.
    pub(crate) default: Action,
    pub(crate) hold: Duration,
    pub(crate) in_transaction: InTransaction,
    /// A request that others answer outlives its client (`on_client_gone: defer`).
    pub(crate) outlives_client: bool,
    pub(crate) approvals: Vec<Approval>,
    /// Index of the approval by which others answer ahead of time for services that would have to verify themselves.
    pub(crate) services: Option<usize>,
    pub(crate) rules: Vec<Rule>,
    pub(crate) unknown: UnknownRules,
    /// What signals weigh; `None`: nobody looks for any.
    pub(crate) risk: Option<RiskSettings>,
    /// How often people are to be asked at most.
    pub(crate) budget: Option<Budget>,
    /// What it is to decide, as it says itself.
    pub(crate) tests: Vec<Case>,
    /// What is right and may not be meant.
    pub(crate) warnings: Vec<LoadError>,
    /// Some rule is about the number of rows.
    pub(crate) asks_for_rows: bool,
    /// Some rule looks at time, risk, signals, purpose or what was delivered.
    pub(crate) looks_at_the_moment: bool,
}

/// Whether a statement may wait while a transaction is open (`defaults.in_transaction`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InTransaction {
    /// As long as the transaction keeps nothing that hurts others, and shortly while it only keeps others from
    /// changing tables.
    #[default]
    Auto,
    /// As long as anywhere else, whatever it keeps locked.
    Hold,
    /// Never.
    Defer,
}

/// One rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: String,
    pub(crate) condition: Condition,
    /// What a statement must have delivered besides.
    pub(crate) once_delivered: OnceDelivered,
    /// What a statement cannot match it without.
    pub(crate) need: Need,
    pub(crate) action: Action,
    /// Index into the policy's approvals; there where the action asks somebody, or a limit does.
    pub(crate) approval: Option<usize>,
    /// What may be delivered before people are asked.
    pub(crate) limits: Limits,
    /// Whether it may stand in for the standing denial of `control`.
    pub(crate) names_control: bool,
}

/// The map's `unknown:` as rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct UnknownRules {
    pub(crate) functions: UnknownRule,
    pub(crate) dynamic_sql: UnknownRule,
    pub(crate) statements: UnknownRule,
}

/// One entry of `unknown:` as a rule.
#[derive(Debug, Clone)]
pub(crate) struct UnknownRule {
    pub(crate) name: &'static str,
    pub(crate) action: Action,
    pub(crate) approval: Option<usize>,
}

impl Default for UnknownRule {
    fn default() -> Self {
        Self { name: "unknown", action: Action::Deny, approval: None }
    }
}
