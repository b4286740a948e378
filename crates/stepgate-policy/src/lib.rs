//! PII map and policy: load, compile, decide, explain. Pure: text in, decisions out.
//!
//! [`Ruleset::load`] reads both files and reports all that is wrong with them; [`Ruleset::bind`] holds the
//! map against a catalog; [`Ruleset::decide`] turns facts and circumstances into a [`Decision`].
//!
//! Every rule that matches counts and the most severe wins, so that order never matters. A statement that
//! is not fully understood may match any rule about what it touches, and `not` does not turn that doubt
//! around (module `truth`).

mod approval_load;
mod beforehand;
mod bound;
mod bucket;
mod budget_load;
mod case;
mod case_load;
mod condition;
mod condition_load;
mod decide;
mod decision;
mod errors;
mod explain;
mod explain_words;
mod functions_load;
mod hangs;
mod key;
mod limit_load;
mod listing;
mod map;
mod map_load;
mod mentioned;
mod never;
mod never_left;
mod observe;
mod observe_origin;
mod observe_reach;
mod policy;
mod policy_load;
mod predicate;
mod predicate_load;
mod present;
mod profile;
mod profile_habit;
mod profile_hours;
mod profile_sketch;
mod profile_subjects;
mod profile_tally;
mod read;
mod recorded;
mod report;
mod risk;
mod risk_load;
mod ruleset;
mod signal;
mod sketch;
mod statement;
mod summary;
mod threshold_load;
mod time_load;
mod time_window;
mod truth;
mod why;
mod yaml;

/// JSON Schema (draft 2020-12) of the PII map, for editors: what the loader says counts.
pub const MAP_SCHEMA: &str = include_str!("schema/map.json");
/// JSON Schema (draft 2020-12) of the policy.
pub const POLICY_SCHEMA: &str = include_str!("schema/policy.json");

pub use beforehand::Unheld;
pub use bound::{Alarm, Bound, Columns, Missing};
pub use bucket::Bucket;
pub use budget_load::Budget;
pub use case::{Case, Past, PastEvent};
pub use decision::{
    Approval, Circumstances, Decision, Delivered, Escalation, Metered, Remember, ScopePart, Touched,
};
pub use errors::{Errors, LoadError};
pub use explain::{Clause, Holds, RuleExplained};
pub use limit_load::parse_size;
pub use listing::Listed;
pub use map::{Entries, Map};
pub use observe::{Scene, observe, observe_unread};
pub use observe_origin::{Origin, OriginKey, Place, Places};
pub use observe_reach::Reach;
pub use policy::InTransaction;
pub use profile::{Deed, MAX_PROFILE_BYTES, Profile, Teaching, Verdict};
pub use read::parse_duration;
pub use recorded::{
    Gap, Recorded, RecordedBucket, RecordedBy, RecordedColumn, RecordedDoubts, Replayed, Then,
    recorded_column, recorded_comparison, recorded_relation,
};
pub use risk::{
    Counted, DormantAccount, FarSessions, ImpossibleTravel, InteractiveService, MAX_RISK, NewFactor,
    Repeated, RiskSettings, UnusualHour, VelocityLimit, Volume,
};
pub use ruleset::Ruleset;
pub use signal::{AT_MOST, NoSignal, Observation, Signal, Signals, Weighed};
pub use time_window::TimeWindow;
pub use why::Why;
