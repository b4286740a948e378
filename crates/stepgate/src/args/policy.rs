//! `stepgate policy`, as clap reads it. What a verb takes is in a struct of its own, in the file of its noun.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use stepgate_policy::Signal;

use super::asker::AskerArgs;
use super::replay::{ReplayArgs, TuneArgs};
use super::{SimulateArgs, TestArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check map and policy
    #[command(after_help = "Example:\n  stepgate policy lint")]
    Lint,
    /// Try a policy on the recorded log: what it would have decided, and how often it would have asked
    #[command(
        after_help = "Example:\n  stepgate policy replay --since 30d --policy new.yaml --html replay.html\n\nNo statement's text is needed or shown. What a record cannot decide is counted as undecidable, never guessed."
    )]
    Replay(ReplayArgs),
    /// Propose changes to the policy from the log, each as a diff with what it would have done
    #[command(
        after_help = "Example:\n  stepgate policy tune --since 90d\n\nNothing is proposed that would let through what people were asked about and did not approve."
    )]
    Tune(TuneArgs),
    /// Say which rules match a statement and why, and which miss it by how much
    #[command(
        after_help = "Examples:\n  stepgate policy explain --as dana --groups analysts 'select ssn from hr.employees'\n  stepgate policy explain --as etl --service --schema schema.sql --database shop -o json - < export.sql\n\nNothing runs. The catalog is that of the configured database, or of SQL files in a throwaway PostgreSQL (--schema)."
    )]
    Explain(Box<ExplainArgs>),
    /// Print the JSON Schema of a file, for editors
    #[command(
        after_help = "Example:\n  stepgate policy schema policy > policy.schema.json\n\nThen, as the first line of policy.yaml:\n  # yaml-language-server: $schema=policy.schema.json"
    )]
    Schema {
        /// Of which file.
        #[arg(value_enum, default_value_t)]
        of: SchemaOf,
    },
    /// What would become of a statement: rules, risk, decision, and what people would see
    #[command(
        after_help = "Examples:\n  stepgate policy simulate --as dana --groups analysts \"select ssn from hr.employees where id = 7\"\n  stepgate policy simulate --as dana --at 2026-07-06T03:00:00+02:00 --signals new_network -f report.sql\n\nNothing is run, asked or recorded."
    )]
    Simulate(Box<SimulateArgs>),
    /// Decide cases, and compare with what is expected of them
    #[command(
        after_help = "Examples:\n  stepgate policy test\n  stepgate policy test --policy new.yaml --map map.yaml --schema schema.sql cases.yaml --junit out.xml\n\nExit status 1 where a case is decided otherwise. A case that does not say when is on a Wednesday at noon, UTC."
    )]
    Test(TestArgs),
    /// Approve a changed map and policy by their exact hash, where two people have to
    #[command(
        after_help = "Examples:\n  stepgate policy approve --as olga         (lists what waits)\n  stepgate policy lint                      (prints the hash of the files that you have read)\n  stepgate policy approve HASH --as olga\n\nA code of your authenticator is asked for."
    )]
    Approve(super::ApprovePolicyArgs),
}

/// The files that have a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum SchemaOf {
    /// The PII map.
    Map,
    /// The policy.
    #[default]
    Policy,
    /// stepgate.yaml.
    Config,
}

/// How an explanation is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum ExplainFormat {
    /// For reading.
    #[default]
    Text,
    /// A JSON array, an object for each message.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    pub(crate) asker: AskerArgs,
    /// Signals that fire.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) signals: Vec<Signal>,
    /// How many rows of it were delivered already.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) delivered_rows: u64,
    /// How many bytes.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) delivered_bytes: u64,
    /// Take the catalog from this SQL file, loaded into a throwaway PostgreSQL; once for each file, in this order.
    #[arg(long, value_name = "FILE.sql")]
    pub(crate) schema: Vec<PathBuf>,
    /// The search_path to begin with; default: the server's.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) search_path: Option<Vec<String>>,
    /// Another PII map than the configured one.
    #[arg(long, value_name = "FILE", requires = "policy")]
    pub(crate) map: Option<PathBuf>,
    /// Another policy than the configured one.
    #[arg(long, value_name = "FILE", requires = "map")]
    pub(crate) policy: Option<PathBuf>,
    /// How to write it.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ExplainFormat,
    /// The statement or statements; `-` is standard input.
    #[arg(value_name = "SQL|-")]
    pub(crate) sql: String,
}
