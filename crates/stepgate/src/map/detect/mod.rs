//! What a column holds, told by its name, its type and what stands in it. Pure: who reads the values is elsewhere, and
//! nothing here keeps or shows one.

mod contents;
mod dictionary;
mod fold;
mod judge;
mod sample;
mod validators;
mod verdict;
mod what;
mod words;

pub(crate) use judge::{Column, Finding, Table, judge};
pub(crate) use sample::Shape;
pub(crate) use what::What;
