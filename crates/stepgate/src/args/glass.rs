//! `break-glass`.

use std::time::Duration;

use clap::{Args, Subcommand};
use stepgate_approval::Method;
use stepgate_policy::parse_duration;
use stepgate_types::GrantId;

use super::{AsArgs, Format, SayArgs};

/// `stepgate break-glass`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct GlassArgs {
    #[command(subcommand)]
    pub(crate) command: Option<GlassCommand>,
    #[command(flatten)]
    pub(crate) who: AsArgs,
    /// Why; it is recorded, and read by who reviews it.
    #[arg(long, value_name = "TEXT", required = true)]
    pub(crate) reason: Option<String>,
    /// For how long: at most 30m, or less where the gate says so.
    #[arg(long = "for", value_name = "TIME", value_parser = time)]
    pub(crate) time: Option<Duration>,
    /// In this database alone.
    #[arg(long, value_name = "DB")]
    pub(crate) database: Option<String>,
    /// By the client that calls itself so (`application_name`).
    #[arg(long, value_name = "NAME", default_value = "psql")]
    pub(crate) client: String,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum GlassCommand {
    /// List what is open, and what waits to be opened or reviewed
    #[command(after_help = "Example:\n  stepgate break-glass ls")]
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
    /// End it before its time: your own, or as one who reviews
    #[command(after_help = "Example:\n  stepgate break-glass end 0123456789abcdef")]
    End {
        /// Which.
        id: GrantId,
        #[command(flatten)]
        who: AsArgs,
        #[command(flatten)]
        say: SayArgs,
    },
    /// Say that you have looked at what somebody else did by it
    #[command(
        after_help = "Example:\n  stepgate break-glass review 0123456789abcdef --comment \"in order\" --as omar\n\nA fresh proof is asked for. What was done: stepgate audit search --grant ID"
    )]
    Review {
        /// Which.
        id: GrantId,
        /// What you found.
        #[arg(long, value_name = "TEXT")]
        comment: String,
        /// By what: totp, recovery or push; else by what you have, a code before a device. A passkey is used on the gate's
        /// page. On a device, what you found is said there again.
        #[arg(long, value_name = "METHOD")]
        method: Option<Method>,
        #[command(flatten)]
        who: AsArgs,
        #[command(flatten)]
        say: SayArgs,
    },
}

fn time(text: &str) -> Result<Duration, String> {
    parse_duration(text)
        .filter(|time| time.as_secs() > 0 && *time <= stepgate_approval::MAX_GLASS)
        .ok_or_else(|| "a duration such as 15m, at most 30m".to_owned())
}
