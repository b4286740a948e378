//! `stepgate policy`, as clap reads it. What a verb takes is in a struct of its own, in the file of its noun.

use clap::Subcommand;

use super::replay::{ReplayArgs, TuneArgs};

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
    // Each of these is added with its own arguments: explain and schema here, `test` and `simulate` (args/cases.rs),
    // `replay` and `tune` (args/replay.rs).
}
