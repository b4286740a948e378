//! Who comes in, to which database, as which role, and how the server knows: with real psql, libpq and PostgreSQL.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod certificates;
mod entry;
mod failures;
mod person;
mod policies;
mod reload;
mod roles;
mod sslmodes;
#[path = "../support/mod.rs"]
mod support;
mod values;
mod wildcards;
