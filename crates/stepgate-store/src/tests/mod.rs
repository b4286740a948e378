//! The store against real files.

mod damage;
mod export;
mod log;
mod people;
