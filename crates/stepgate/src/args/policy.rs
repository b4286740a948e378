//! `stepgate policy`, as clap reads it. What a verb takes is in a struct of its own, in the file of its noun.

use clap::Subcommand;

use super::{SimulateArgs, TestArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check map and policy
    #[command(after_help = "Example:\n  stepgate policy lint")]
    Lint,
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
    // Each of these is added with its own arguments: explain and schema here, `test` and `simulate` (args/cases.rs),
    // `replay` and `tune` (args/replay.rs).
}
