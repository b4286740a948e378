//! The store against real files.

pub(crate) mod damage;
mod export;
mod files;
mod full;
mod hand_over;
mod log;
mod migration;
mod people;
mod rotation;
mod tamper;
mod torn;
