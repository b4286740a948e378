//! `budget:` of the policy, read and checked: how often people may be asked before somebody should look into it.

use crate::read::{self, Fields};
use crate::report::Report;
use crate::yaml::Node;

/// The most that can be said: more is no budget.
const MOST: u32 = 1_000;

/// How often people are to be asked at most. Nothing is denied or let through for it: it is said where it is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Requests that a person's statements open in a day (UTC).
    pub prompts_per_person_per_day: u32,
}

/// `{prompts_per_person_per_day: 5}`.
pub(crate) fn load(report: &mut Report<'_>, node: &Node) -> Option<Budget> {
    let fields = Fields::read(report, node, "`budget`", &["prompts_per_person_per_day"], &[])?;
    let node = fields.require(report, "`budget`", "prompts_per_person_per_day")?;
    let prompts_per_person_per_day = read::integer(report, node, "`prompts_per_person_per_day`", 1..=MOST)?;
    Some(Budget { prompts_per_person_per_day })
}
