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
mod odd;
mod odd_made;
mod odd_too;
mod people;
mod private;
mod quality;
mod sample;

#[path = "../support/mod.rs"]
mod support;
