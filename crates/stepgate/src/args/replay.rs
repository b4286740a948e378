//! `stepgate policy replay` and `tune`, as clap reads them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What `policy replay` takes.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// Statements not before: a time, or how long ago.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) since: String,
    /// Statements before.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// The policy to try; default: the configured one.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// The map to try; default: the configured one.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
    /// Compare with what this policy would have decided, with the configured map, in place of what was decided.
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
    /// A map that was in force before: what it labelled and was not touched is known then.
    #[arg(long, value_name = "FILE")]
    pub(crate) known_map: Vec<PathBuf>,
    /// Exit with 1 where people would have been asked more often than the policy's `budget` has it.
    #[arg(long)]
    pub(crate) check_budget: bool,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ReplayFormat,
    /// Write a page with charts, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

/// What `policy tune` takes.
#[derive(Debug, Args)]
pub(crate) struct TuneArgs {
    /// Statements not before: a time, or how long ago.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) since: String,
    /// Statements before.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// A map that was in force before: what it labelled and was not touched is known then.
    #[arg(long, value_name = "FILE")]
    pub(crate) known_map: Vec<PathBuf>,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ReplayFormat,
}

/// How either is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum ReplayFormat {
    /// For reading.
    #[default]
    Table,
    /// One JSON object.
    Json,
}
