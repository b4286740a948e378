//! Requests, factors and grants: pure state machines and checks.

mod ask;

pub use ask::{Ask, Held, Scope, Terms};
