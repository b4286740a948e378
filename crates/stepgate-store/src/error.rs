//! What can go wrong, with whose fault it is in the type.

use std::path::PathBuf;

/// The log cannot take or give records. Nothing may pass after any of these but `TooLarge`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// A write failed; from then on nothing is accepted until the gate is restarted.
    #[error("the audit log cannot be written ({0}); nothing passes until the gate is restarted")]
    Poisoned(String),
    /// The disk is full: nothing was recorded, and nothing is until there is space. Then the log goes on by itself.
    #[error("the audit log has no space; nothing passes until there is")]
    NoSpace,
    /// The same; what was to be recorded is kept, and is recorded once there is space.
    #[error("the audit log has no space; what waits for it is recorded once there is")]
    Late,
    /// The log was closed in an orderly way.
    #[error("the audit log is closed")]
    Closed,
    /// Too much is queued.
    #[error("the audit log's queue is full")]
    Full,
    /// The event or change does not fit, even shortened.
    #[error("the event cannot be recorded: {0}")]
    TooLarge(String),
    /// A stored record could not be read back.
    #[error("record {seq} {why}")]
    Unreadable {
        /// Which.
        seq: u64,
        /// Why.
        why: String,
    },
    /// Reading or writing failed.
    #[error("{0}")]
    Io(String),
}

impl LogError {
    /// Whether the log goes on by itself once there is space on its disk.
    #[must_use]
    pub const fn is_no_space(&self) -> bool {
        matches!(self, Self::NoSpace | Self::Late)
    }
}

/// The data directory cannot be opened. The text says what happened and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another gate (or command) works on the directory.
    #[error(
        "{dir} is in use by {}; one process at a time works on a data directory",
        by.as_deref().unwrap_or("another stepgate process")
    )]
    InUse {
        /// The data directory.
        dir: PathBuf,
        /// The process that works on it, if it is known.
        by: Option<String>,
    },
    /// The directory was written by a newer Stepgate.
    #[error("{dir} has store format {found}, this stepgate knows {known}; run the newer stepgate")]
    Newer {
        /// The data directory.
        dir: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format known.
        known: u64,
    },
    /// The master key is not the one that the directory was made with.
    #[error("the master key does not belong to {dir}; give the key that was made with it")]
    WrongKey {
        /// The data directory.
        dir: PathBuf,
    },
    /// The log is not what its checkpoints say. Never repaired by itself.
    #[error("{dir}: {why}. Keep a copy of the directory as evidence and restore a backup")]
    Damaged {
        /// The data directory.
        dir: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The log opened, but its first record could not be written.
    #[error(transparent)]
    Log(#[from] LogError),
}
