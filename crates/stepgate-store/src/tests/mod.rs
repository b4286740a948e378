//! The store against real files.

mod backup;
mod bounds;
mod bundle;
mod crash;
pub(crate) mod damage;
mod elsewhere;
mod events;
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
mod stops;
mod tamper;
mod tiles;
mod torn;
