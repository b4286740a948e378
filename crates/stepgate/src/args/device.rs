//! `stepgate device`, as clap reads it.

use std::fmt;
use std::str::FromStr;

use clap::{Args, Subcommand};
use stepgate_types::{GrantId, RequestId};

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
    /// Show what waits and answer it with the six digits shown where it was begun
    #[command(
        after_help = "Examples:\n  stepgate device answer --as dana               (what waits, if it is one)\n  stepgate device answer 7K4M-9QXD --as dana\n  stepgate device answer HASH --as olga          (a changed policy)\n  stepgate device answer ID --reason \"in order\"  (the review of a break-glass)\n\nThe six digits are asked for, or read as one line where standard input is no terminal."
    )]
    Answer {
        /// Which, where several wait: a request, the hash of a policy, or a break-glass.
        #[arg(value_name = "REQUEST")]
        what: Option<Waiting>,
        /// Why; shown to the person who asked. Of a break-glass, what you found.
        #[arg(long)]
        reason: Option<String>,
        #[command(flatten)]
        who: AsArgs,
    },
}

/// What waits for a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Waiting {
    /// A request.
    Request(RequestId),
    /// A changed policy, by its hash.
    Policy(String),
    /// Somebody's break-glass, to be reviewed.
    Review(GrantId),
}

impl FromStr for Waiting {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let request = text.parse().map(Self::Request).ok();
        let glass = || text.parse().map(Self::Review).ok();
        let policy = || super::approve::hash(text).map(Self::Policy).ok();
        request
            .or_else(glass)
            .or_else(policy)
            .ok_or("a request, 64 hexadecimal digits, or a break-glass's id")
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request(request) => request.fmt(f),
            Self::Policy(sha256) => f.write_str(sha256),
            Self::Review(glass) => glass.fmt(f),
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct EnrollDevice {
    /// What it is called where your authenticators are listed.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) who: AsArgs,
}
