//! `stepgate map` on databases of badly named columns.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice, reason = "a test fails by panicking")]

mod made;
mod people;
mod quality;
mod sample;
