//! `stepgate device`, as clap reads it.

use clap::{Args, Subcommand};
use stepgate_types::RequestId;

use super::AsArgs;

#[derive(Debug, Subcommand)]
pub(crate) enum DeviceCommand {
    /// Make a key here and enrol it
    #[command(
        after_help = "Example:\n  stepgate device enroll --as dana --name laptop\n\nAsks for a code of an authenticator that you have and, where that proves less than a device, for the enrolment code\nthat the operator has made (stepgate user enroll-code NAME)."
    )]
    Enroll(EnrollDevice),
    /// Show what waits for this device, and answer it, until interrupted
    #[command(
        after_help = "Example:\n  stepgate device watch --as dana\n\nEach request is shown in full. Type the six digits that are shown where it was begun (in psql's NOTICE, by stepgate\nverify, or on a page); nothing leaves it alone; not-me says that somebody else asks in your name."
    )]
    Watch {
        #[command(flatten)]
        who: AsArgs,
    },
    /// Show one request and answer it with the six digits shown where it waits
    #[command(
        after_help = "Examples:\n  stepgate device answer --as dana               (what waits, if it is one)\n  stepgate device answer 7K4M-9QXD --as dana\n\nThe six digits are asked for, or read as one line where standard input is no terminal."
    )]
    Answer {
        /// Which, where several wait.
        request: Option<RequestId>,
        /// Why; shown to the person who asked.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        who: AsArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct EnrollDevice {
    /// What it is called where your authenticators are listed.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) who: AsArgs,
}
