//! PII map and policy: load, compile, decide, explain. Pure: text in, decisions out.

mod decision;

pub use decision::{Approval, Circumstances, Decision, Remember, ScopePart, Touched};
