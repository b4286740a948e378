//! The store against real files.

mod damage;
mod export;
mod files;
mod hand_over;
mod log;
mod migration;
mod people;
mod torn;
