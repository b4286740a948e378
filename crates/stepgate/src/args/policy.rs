//! `stepgate policy`, as clap reads it. What a verb takes is in a struct of its own, in the file of its noun.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check map and policy
    #[command(after_help = "Example:\n  stepgate policy lint")]
    Lint,
    // Each of these is added with its own arguments: explain and schema here, `test` and `simulate` (args/cases.rs),
    // `replay` and `tune` (args/replay.rs).
}
