//! PII map and policy: load, compile, decide, explain. Pure: text in, decisions out.
//!
//! [`Ruleset::load`] reads both files and reports all that is wrong with them; [`Ruleset::bind`] holds the
//! map against a catalog; [`Ruleset::decide`] turns facts and circumstances into a [`Decision`].
//!
//! Every rule that matches counts and the most severe wins, so that order never matters. A statement that
//! is not fully understood may match any rule about what it touches, and `not` does not turn that doubt
//! around (module `truth`).

mod approval_load;
mod bound;
mod bucket;
mod condition;
mod condition_load;
mod decide;
mod decision;
mod errors;
mod key;
mod limit_load;
mod listing;
mod map;
mod map_load;
mod policy;
mod policy_load;
mod predicate;
mod predicate_load;
mod read;
mod report;
mod ruleset;
mod statement;
mod summary;
mod threshold_load;
mod truth;
mod why;
mod yaml;

pub use bound::{Alarm, Bound, Columns, Missing};
pub use bucket::Bucket;
pub use decision::{Approval, Circumstances, Decision, Escalation, Remember, ScopePart, Touched};
pub use errors::{Errors, LoadError};
pub use limit_load::parse_size;
pub use listing::Listed;
pub use map::{Entries, Map};
pub use policy::InTransaction;
pub use read::parse_duration;
pub use ruleset::Ruleset;
pub use why::Why;
