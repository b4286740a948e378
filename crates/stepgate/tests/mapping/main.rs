//! `stepgate map` on databases of badly named columns.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test fails by panicking"
)]

mod drift;
mod held_out;
mod made;
mod people;
mod private;
mod quality;
mod sample;

#[path = "../support/mod.rs"]
mod support;
