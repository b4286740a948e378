//! People by an identity provider and a directory, and passwords that a login mints for psql.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

mod by_code;
mod directory;
mod provider;
mod psql;
mod removed;
mod saml;
