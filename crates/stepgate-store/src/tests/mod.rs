//! The store against real files.

mod bundle;
pub(crate) mod damage;
mod export;
mod files;
mod full;
mod hand_over;
mod log;
mod migration;
mod people;
mod retention;
mod rotation;
mod sealing;
mod tamper;
mod torn;
