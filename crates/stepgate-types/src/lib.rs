//! The words of Stepgate that every crate shares: ids, names, SQLSTATEs, labels and classes, strengths,
//! kinds and uses, actions, and the doors for time and randomness.
//!
//! Pure: nothing here reads a clock, a file or a random number.

mod access;
mod action;
mod clock;
mod deceptive;
mod id;
mod in_force;
mod keyword;
mod label;
mod limit;
mod name;
mod network;
mod person;
mod sqlstate;
mod strength;
mod who;
mod wildcard;

pub use access::{BulkShape, Certainty, Estimator, Kind, Use};
pub use action::Action;
pub use clock::{Clock, Entropy, Timestamp};
pub use deceptive::is_deceptive;
pub use id::{GrantId, ParseIdError, RequestId, SessionId, StatementId};
pub use in_force::InForce;
pub use label::{Class, Label};
pub use limit::{Amount, Limit, Per, bytes_in_words, rows_in_words, subjects_in_words, thousands};
pub use name::{ColumnName, RelationName, quote_ident};
pub use network::plain_network;
pub use person::{GroupName, InvalidName, PersonName};
pub use sqlstate::SqlState;
pub use strength::Strength;
pub use who::{Actor, Commit, NoCommit, SubjectKind, Who};
pub use wildcard::{best_for, is_wildcard};
