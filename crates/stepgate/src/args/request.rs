//! `stepgate request` and `stepgate verify`, as clap reads them.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use stepgate_approval::Method;
use stepgate_types::{PersonName, RequestId};

use super::{AsArgs, Format, LineFormat, SayArgs};

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The request, as the notice shows it.
    pub(crate) request: RequestId,
    /// By what: totp, recovery, email, sms or push; else by a code of an app or of the printed list.
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    #[command(flatten)]
    pub(crate) who: AsArgs,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RequestCommand {
    /// List open requests: yours and those you can answer
    #[command(after_help = "Example:\n  stepgate request ls --as omar -o json")]
    Ls {
        #[command(flatten)]
        who: AsArgs,
        /// As the operator, on the gate's own machine: all open requests, without their SQL.
        #[arg(long, conflicts_with = "person")]
        operator: bool,
        /// How to write the list.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Show a request: who asks, the exact SQL, what it reads
    #[command(after_help = "Example:\n  stepgate request show 7K4M-9QXD --as omar")]
    Show {
        /// The request.
        request: RequestId,
        #[command(flatten)]
        who: AsArgs,
        /// As the operator, on the gate's own machine: without the SQL.
        #[arg(long, conflicts_with = "person")]
        operator: bool,
        /// How to write it.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Open a request ahead of time, for what a service will send
    #[command(
        after_help = "Examples:\n  stepgate request open nightly.sql --as etl --until 30d --rows 100000\n  stepgate request open nightly.sql --as etl --until 2026-12-31 --login dana --reason 'nightly export, ticket 4711'\n\nOnce others have approved it, each of the file's statements passes whenever the service sends it, by its exact text\nand with any values for its parameters ($1), until then."
    )]
    Open(OpenArgs),
    /// Print what happens to requests that you see, one line a change
    #[command(after_help = "Examples:\n  stepgate request watch --as omar\n  stepgate request watch -o json")]
    Watch {
        #[command(flatten)]
        who: AsArgs,
        /// How to write it.
        #[arg(short, long, value_enum, default_value_t)]
        output: LineFormat,
    },
    /// Say something about an open request, to who asks and to those who may answer
    #[command(after_help = "Example:\n  stepgate request comment 7K4M-9QXD 'for ticket 4711' --as dana")]
    Comment(CommentArgs),
    /// Approve somebody's request, with a fresh code
    #[command(after_help = "Example:\n  stepgate request approve 7K4M-9QXD --reason 'ticket 4711'")]
    Approve(AnswerArgs),
    /// Deny somebody's request, with a fresh code; or say of one in your name that you did not make it
    #[command(
        after_help = "Examples:\n  stepgate request deny 7K4M-9QXD --reason 'use customers_masked'\n  stepgate request deny 7K4M-9QXD --not-me\n\n--not-me needs no code: it ends the sessions that asked in your name and raises an alarm. Your account stays as it is."
    )]
    Deny(DenyArgs),
    /// Cancel a request of your own
    #[command(after_help = "Example:\n  stepgate request cancel 7K4M-9QXD -o json")]
    Cancel(CancelArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CancelArgs {
    /// The request.
    pub(crate) request: RequestId,
    #[command(flatten)]
    pub(crate) who: AsArgs,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AnswerArgs {
    /// The request.
    pub(crate) request: RequestId,
    /// Why; shown to the person who asked.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// By what: totp, recovery, email, sms or push; else by a code of an app or of the printed list.
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    #[command(flatten)]
    pub(crate) who: AsArgs,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct DenyArgs {
    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
    /// The request is in your name, and you did not make it.
    #[arg(long, conflicts_with = "reason")]
    pub(crate) not_me: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CommentArgs {
    /// The request.
    pub(crate) request: RequestId,
    /// What to say, at most 1000 bytes.
    pub(crate) text: String,
    #[command(flatten)]
    pub(crate) who: AsArgs,
    #[command(flatten)]
    pub(crate) say: SayArgs,
}

#[derive(Debug, Args)]
pub(crate) struct OpenArgs {
    /// The statements, each as the service will send it; `-` is standard input.
    #[arg(value_name = "FILE|-")]
    pub(crate) file: PathBuf,
    /// The service.
    #[arg(long = "as", value_name = "SERVICE")]
    pub(crate) service: PersonName,
    /// Until when: 2026-12-31, 2026-12-31T06:00:00Z, or how long from now (30d, 12h); at most 31 days.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: String,
    /// The database, where there are several.
    #[arg(long, value_name = "NAME")]
    pub(crate) database: Option<String>,
    /// Where the service looks for names without a schema; default: public.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) search_path: Option<Vec<String>>,
    /// The time zone that the service's client sets (JDBC: its machine's); default: the server's.
    #[arg(long, value_name = "NAME")]
    pub(crate) time_zone: Option<String>,
    /// How many rows they may deliver and store in all.
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<u64>,
    /// How many bytes, such as 5MiB.
    #[arg(long, value_name = "SIZE")]
    pub(crate) bytes: Option<String>,
    /// Why; shown to those who may approve it.
    #[arg(long)]
    pub(crate) reason: Option<String>,
    /// Your own login, where several people have logged in here.
    #[arg(long, value_name = "NAME")]
    pub(crate) login: Option<PersonName>,
    /// How to write what was opened.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}
