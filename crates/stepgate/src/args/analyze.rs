//! `stepgate analyze`, as clap reads it.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("catalog").required(true).args(["database", "schema"]))]
pub(crate) struct AnalyzeArgs {
    /// Take the catalog from this database (postgresql://…; its password from PGPASSWORD).
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Take the catalog from these SQL files, loaded into a throwaway PostgreSQL in this order.
    #[arg(long, value_name = "FILE.sql", num_args = 1..)]
    pub(crate) schema: Vec<PathBuf>,
    /// What the database is called in the map and in the output.
    #[arg(long, value_name = "DB")]
    pub(crate) name: Option<String>,
    /// The search_path to begin with; default: the server's.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) search_path: Option<Vec<String>>,
    /// The PII map.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
    /// How the input is cut into messages.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) input: InputFormat,
    /// The SQL; `-` is standard input.
    #[arg(value_name = "FILE|-", default_value = "-")]
    pub(crate) file: PathBuf,
}

/// How the input of `analyze` is cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum InputFormat {
    /// All of it is one message.
    #[default]
    Sql,
    /// Each line `{"sql": …}` is one message, `{"reset": true}` a new session.
    Jsonl,
}
