//! `stepgate policy`, as clap reads it. What a verb takes is in a struct of its own, in the file of its noun.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check map and policy
    #[command(after_help = "Example:\n  stepgate policy lint")]
    Lint,
    /// Approve a changed map and policy by their exact hash, where two people have to
    #[command(
        after_help = "Examples:\n  stepgate policy approve --as olga         (lists what waits)\n  stepgate policy lint                      (prints the hash of the files that you have read)\n  stepgate policy approve HASH --as olga\n\nA code of your authenticator is asked for."
    )]
    Approve(super::ApprovePolicyArgs),
    // Each of these is added with its own arguments: explain and schema here, `test` and `simulate` (args/cases.rs),
    // `replay` and `tune` (args/replay.rs).
}
