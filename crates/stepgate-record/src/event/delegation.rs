//! Rights to answer that are lent to colleagues.

use serde::{Deserialize, Serialize};
use stepgate_types::{GroupName, Who};

/// Somebody's right to answer for these groups is lent to a colleague, or not any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegated {
    /// Whose right.
    pub person: Who,
    /// To whom.
    pub to: Who,
    /// For which groups; none: it is taken back.
    pub groups: Vec<GroupName>,
    /// From when on.
    pub from_us: i64,
    /// Until when.
    pub until_us: i64,
    /// By whom; `None` is the operator at the gate's own machine.
    pub by: Option<Who>,
    /// The operator, where one did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operator: Option<Who>,
}
