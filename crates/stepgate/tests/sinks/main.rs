//! Records and checkpoints that leave a real gate, and what reaches whoever they are sent to.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod commands;
mod dead;
mod forms;
mod keeping;
mod killed;
mod mail;
mod notices;
mod receivers;
mod rooms;
mod rsyslog;
#[path = "../support/mod.rs"]
mod support;
