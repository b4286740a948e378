//! One entry of the log.

use std::collections::BTreeMap;

use stepgate_types::Timestamp;

use crate::Event;

/// One entry of the log: an event, its place and what came before it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The log it belongs to: 32 hexadecimal digits.
    pub log_id: String,
    /// Its number, counted from 0 without gaps.
    pub seq: u64,
    /// When it was made, by the gate's clock.
    pub at: Timestamp,
    /// Leaf hash of the record before it (hex); 64 zeros for the first.
    pub prev: String,
    /// Fields that were too long for a record, and how long they had been (entries of a list, bytes of a
    /// text). Empty for almost all records.
    pub shortened: BTreeMap<String, u64>,
    /// What happened.
    pub event: Event,
}
