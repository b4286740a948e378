//! The store against real files.

mod damage;
mod export;
mod files;
mod full;
mod hand_over;
mod log;
mod migration;
mod people;
mod retention;
mod sealing;
mod torn;
