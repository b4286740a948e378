//! Each signal fires, is silent on ordinary work, and cannot be taught to be silent by what was held or denied, nor by
//! somebody who has nothing but the password.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; the world is one of tests"
)]

mod each;
mod poison;
mod settings;
mod unread;
mod world;
