//! `policy test` and `policy simulate`, as clap reads them.

use std::path::PathBuf;

use clap::Args;
use stepgate_policy::Signal;

use super::Format;
use super::asker::AskerArgs;

/// Which rules, and against which catalogs.
#[derive(Debug, Args)]
pub(crate) struct StageArgs {
    /// This policy, not that of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Option<PathBuf>,
    /// This PII map, not that of the configuration.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
    /// Take the catalog from these SQL files, loaded into a throwaway PostgreSQL in this order, not from the databases of
    /// the configuration.
    #[arg(long, value_name = "FILE.sql", num_args = 1..)]
    pub(crate) schema: Vec<PathBuf>,
    /// The search_path that statements begin with; default: the server's.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) search_path: Option<Vec<String>>,
}

#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    /// Files of cases (`version: 1`, `tests: […]`), besides those in the policy.
    #[arg(value_name = "CASES.yaml")]
    pub(crate) files: Vec<PathBuf>,
    /// Write the outcome there as JUnit XML, too.
    #[arg(long, value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// How to write the outcome.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArgs {
    #[command(flatten)]
    pub(crate) stage: StageArgs,
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
    /// Signals that fire (`new_network,unusual_hour`); default: what the clock alone tells of a person without a history.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) signals: Option<Vec<Signal>>,
    /// The statement.
    #[arg(value_name = "SQL", required_unless_present = "file", conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// A file of statements; `-` is standard input. They are of one session.
    #[arg(short, long, value_name = "FILE|-")]
    pub(crate) file: Option<PathBuf>,
    /// How to write what would happen: `json` is an object a line.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Form,
}

/// How `policy simulate` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Default)]
pub(crate) enum Form {
    /// For reading.
    #[default]
    Text,
    /// An array, an object for each statement.
    Json,
}
