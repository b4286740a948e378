//! Ways to verify oneself besides apps: codes that are sent, and devices that sign. Real psql, people's commands, a real
//! mail server, a receiver of what is posted.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod account;
mod device;
mod mail;
#[path = "../sinks/receivers.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod receivers;
mod reload;
mod running;
mod sms;
#[path = "../support/mod.rs"]
mod support;
mod watch;

/// What the sample policy holds for its own author.
const RESTRICTED: &str = "select ssn from customers limit 1;";
