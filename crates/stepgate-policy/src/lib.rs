//! PII map and policy: load, compile, decide, explain. Pure: text in, decisions out.
//!
//! [`Ruleset::load`] reads both files; [`Map::bind`] holds the map against a catalog;
//! [`Ruleset::decide`] turns facts and circumstances into a [`Decision`].

mod bound;
mod decision;
mod errors;
mod map;
mod ruleset;
mod summary;

pub use bound::{Alarm, Bound, Columns};
pub use decision::{Approval, Circumstances, Decision, Remember, ScopePart, Touched};
pub use errors::{Errors, LoadError};
pub use map::Map;
pub use ruleset::Ruleset;

fn not_yet(file: &str) -> Errors {
    Errors::new(vec![LoadError {
        file: file.to_owned(),
        line: 0,
        column: 0,
        message: "the loader is being written".to_owned(),
        help: None,
        excerpt: String::new(),
    }])
}
