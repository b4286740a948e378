//! `stepgate grant`, as clap reads it.

use clap::Subcommand;
use stepgate_types::GrantId;

use super::{AsArgs, Format, SayArgs};

#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// List grants in force: yours
    #[command(after_help = "Example:\n  stepgate grant ls")]
    Ls {
        #[command(flatten)]
        who: AsArgs,
        /// As the operator, on the gate's own machine: everybody's.
        #[arg(long, conflicts_with = "person")]
        operator: bool,
        /// How to write the list.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Give a grant back before it ends
    #[command(after_help = "Example:\n  stepgate grant revoke 0123456789abcdef")]
    Revoke {
        /// The grant.
        grant: GrantId,
        #[command(flatten)]
        who: AsArgs,
        /// As the operator, on the gate's own machine: anybody's.
        #[arg(long, conflicts_with = "person")]
        operator: bool,
        #[command(flatten)]
        say: SayArgs,
    },
}
