//! `stepgate map`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::Format;

#[derive(Debug, Subcommand)]
pub(crate) enum MapCommand {
    /// Look into a database for personal data, and propose a map; reads only, and shows no value
    #[command(
        after_help = "Examples:\n  stepgate map scan --database shop\n  stepgate map scan --database shop --out proposed.yaml\n  PGPASSWORD=… stepgate map scan --url postgresql://auditor@db.example/shop --tables 'crm.*' -o yaml\n\nWhat the map labels already stays. Values are looked at in memory and forgotten: none is stored, shown or logged."
    )]
    Scan(ScanArgs),
    /// What has come, gone or changed in a database and is not in the map; exit status 1 where anything has
    #[command(after_help = "Example:\n  stepgate map diff --database shop")]
    Diff(DiffArgs),
    /// Check the PII map, whether what it names exists, and what looks as if it belonged in it
    #[command(after_help = "Example:\n  stepgate map lint --database shop --strict")]
    Lint(LintArgs),
}

/// Which database.
#[derive(Debug, Args, Clone)]
pub(crate) struct TargetArgs {
    /// A database of the configuration; its catalog_user reads. With --url, what the map calls it.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// This database instead (postgresql://…; its password from PGPASSWORD).
    #[arg(long, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// This map instead of the configuration's.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// How many rows of each table to look at.
    #[arg(long, value_name = "ROWS", default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) sample: u32,
    /// Look at no row: names, types, comments and constraints alone.
    #[arg(long)]
    pub(crate) schema_only: bool,
    /// Only tables like this (`*` and `?`), such as `crm.*` or `kunden*`.
    #[arg(long, value_name = "PATTERN")]
    pub(crate) tables: Option<String>,
    /// How to write what was found.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: ScanFormat,
    /// Write the proposed map to this new file.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
}

/// How a scan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum ScanFormat {
    /// Columns with label, confidence and reason.
    #[default]
    Table,
    /// The map, complete.
    Yaml,
    /// A JSON array.
    Json,
    /// RFC 4180, with a header line.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    #[command(flatten)]
    pub(crate) target: TargetArgs,
    /// How to write the list.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Compare with this database's catalog as well.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Exit with 1 also where columns only look as if they belonged in the map.
    #[arg(long)]
    pub(crate) strict: bool,
    /// How to write the list.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}
