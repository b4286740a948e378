//! A record in the form that a sink wants.

use stepgate_store::{Log, Stored};

use super::trouble::Trouble;
use crate::config::{Format, Sink};
use crate::failure::Failure;

/// Writes records in one form.
pub(super) struct Renderer;

impl Renderer {
    pub(super) fn new(sink: &Sink, _log: &Log) -> Result<Self, Failure> {
        Self::check(sink.format)?;
        Ok(Self)
    }

    /// Whether there is such a form.
    pub(super) fn check(format: Format) -> Result<(), Failure> {
        match format {
            Format::Jsonl => Ok(()),
            Format::Cef | Format::Ocsf => Err(Failure::usage("this format is not built yet")),
        }
    }

    /// One line, without a line feed.
    pub(super) fn line(&self, stored: &Stored) -> Result<Vec<u8>, Trouble> {
        Ok(stored.bytes.clone())
    }
}
