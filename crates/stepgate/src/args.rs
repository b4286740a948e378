//! The command line, as clap reads it.

mod analyze;
mod approve;
mod asker;
mod audit;
mod cases;
mod device;
mod enroll;
mod glass;
mod grant;
mod login;
mod map;
mod policy;
mod replay;
mod request;
mod user;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stepgate_types::{PersonName, SessionId};

pub(crate) use analyze::{AnalyzeArgs, InputFormat};
pub(crate) use approve::ApprovePolicyArgs;
pub(crate) use asker::AskerArgs;
pub(crate) use audit::{
    AuditCommand, AuditVerifyArgs, ExportFormat, FilterArgs, ReportArgs, ReportCommand, ReportFormat,
    SinkCommand, VerifyFormat,
};
pub(crate) use cases::{Form, SimulateArgs, StageArgs, TestArgs};
pub(crate) use device::{DeviceCommand, EnrollDevice, Waiting};
pub(crate) use enroll::{EnrollAddress, EnrollCommand};
pub(crate) use glass::{GlassArgs, GlassCommand};
pub(crate) use grant::GrantCommand;
pub(crate) use login::LoginArgs;
pub(crate) use map::{DiffArgs, LintArgs, MapCommand, ScanArgs, ScanFormat, TargetArgs};
pub(crate) use policy::{ExplainArgs, ExplainFormat, PolicyCommand, SchemaOf};
pub(crate) use replay::{ReplayArgs, ReplayFormat, TuneArgs};
pub(crate) use request::{AnswerArgs, CancelArgs, CommentArgs, OpenArgs, RequestCommand, VerifyArgs};
pub(crate) use user::{AccountSource, FactorCommand, UserCommand};

/// A PostgreSQL gate: statements that touch personal data wait until their author, or somebody else, has
/// verified them; everything is recorded.
#[derive(Debug, Parser)]
#[command(
    name = "stepgate",
    version,
    propagate_version = true,
    after_help = "Start here:\n  stepgate demo                  see it work on a throwaway database\n  stepgate init DIR              write a configuration for your own\n  stepgate serve                 start the gate\n\nExit status: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 not reachable, or not to be told from what is there."
)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "STEPGATE_CONFIG",
        default_value = "stepgate.yaml"
    )]
    pub(crate) config: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a working configuration, keys and a development CA
    #[command(
        after_help = "Example:\n  stepgate init gate --database shop=postgresql://stepgate_analyst@db.example:5432/shop --sslmode verify-full"
    )]
    Init(InitArgs),
    /// Run the gate
    #[command(after_help = "Example:\n  stepgate --config gate/stepgate.yaml serve")]
    Serve(ServeArgs),
    /// See it work: a throwaway PostgreSQL, a gate, and a held statement
    #[command(after_help = "Example:\n  stepgate demo --once")]
    Demo(DemoArgs),
    /// An authenticator app for the demo: reads an otpauth URI, then answers each line with a code
    #[command(hide = true, after_help = "Example:\n  stepgate demo-authenticator")]
    DemoAuthenticator,
    /// Check configuration, map, policy, certificates and permissions
    #[command(after_help = "Example:\n  stepgate check --connect")]
    Check(CheckArgs),
    /// Examine a gate and all it depends on, live
    #[command(after_help = "Example:\n  stepgate doctor -o json")]
    Doctor(ListArgs),
    /// People: add, list, remove, passwords, groups, certificates
    #[command(
        subcommand,
        after_help = "Example:\n  stepgate user add dana --groups analysts\n\nFor the operator, on the gate's own machine."
    )]
    User(UserCommand),
    /// Log in to the gate's API, for verify, request and grant
    #[command(
        after_help = "Examples:\n  stepgate login dana --url https://gate.example --ca ca.pem\n  stepgate login --oidc --psql    (at the identity provider, then: psql service=stepgate-shop)\n  stepgate login --device dana    (by a code that you type in a browser on another machine)\n  stepgate login --logout"
    )]
    Login(LoginArgs),
    /// Enrol a factor
    #[command(
        subcommand,
        after_help = "Example:\n  stepgate enroll totp --as dana\n\nFor the operator, on the gate's own machine: a stolen password must not be enough to enrol."
    )]
    Enroll(EnrollCommand),
    /// A device that signs your answers: enrol it, watch what waits for it, answer
    #[command(
        subcommand,
        after_help = "Example:\n  stepgate device enroll --as dana --name laptop\n\nThe protocol is open: docs/DEVICE.md."
    )]
    Device(DeviceCommand),
    /// Verify your own held statement with a code
    #[command(
        after_help = "Examples:\n  stepgate verify 7K4M-9QXD\n  stepgate verify 7K4M-9QXD --method email   (sends a code, then asks for it)\n  stepgate verify 7K4M-9QXD --method push    (shows a code for your device, then waits for it)\n\nThe code is asked for, or read as one line where standard input is no terminal."
    )]
    Verify(VerifyArgs),
    /// Requests: list, show, approve, deny, cancel
    #[command(subcommand, after_help = "Example:\n  stepgate request approve 7K4M-9QXD --as omar")]
    Request(RequestCommand),
    /// Grants: remembered approvals
    #[command(subcommand, after_help = "Example:\n  stepgate grant ls -o json")]
    Grant(GrantCommand),
    /// Let yourself through in an emergency, by a passkey; somebody else reviews it
    #[command(
        after_help = "Examples:\n  stepgate break-glass --as dana --reason \"the shop is down\" --for 20m\n  stepgate break-glass ls\n  stepgate break-glass review 0123456789abcdef --comment \"in order\" --as omar\n\nOnly where the configuration says who may, and with a passkey that was enrolled beforehand. Everybody who is notified\nhears of it, every statement is recorded, and until somebody else has reviewed it there is no other."
    )]
    BreakGlass(GlassArgs),
    /// Sessions of the running gate (operator)
    #[command(subcommand, after_help = "Example:\n  stepgate session ls")]
    Session(SessionCommand),
    /// The PII map: find personal data, compare map and database, check it
    #[command(subcommand, after_help = "Example:\n  stepgate map scan --database shop")]
    Map(MapCommand),
    /// The policy
    #[command(subcommand, after_help = "Example:\n  stepgate policy lint")]
    Policy(PolicyCommand),
    /// The audit log: read, search, verify, export, report, keep
    #[command(subcommand, after_help = "Example:\n  stepgate audit verify")]
    Audit(Box<AuditCommand>),
    /// Say what SQL reads and writes, without running it
    #[command(
        after_help = "Examples:\n  stepgate analyze --schema schema.sql --name shop queries.sql\n  echo '{\"sql\": \"select ssn from hr.employees\"}' | stepgate analyze --database postgresql://dana@localhost/shop --input jsonl -"
    )]
    Analyze(AnalyzeArgs),
}

/// How a listing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum Format {
    /// Columns, for reading.
    #[default]
    Table,
    /// A JSON array, snake_case, RFC 3339 UTC.
    Json,
    /// RFC 4180, with a header line.
    Csv,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// How to write the list.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

/// How a command that does something says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum LineFormat {
    /// Lines for reading.
    #[default]
    Text,
    /// One JSON object a line, snake_case.
    Json,
}

#[derive(Debug, Args, Clone, Copy)]
pub(crate) struct SayArgs {
    /// How to say what was done.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: LineFormat,
}

/// Which person's login a command uses.
#[derive(Debug, Args, Clone)]
pub(crate) struct AsArgs {
    /// Whose login to use, where several people have logged in here.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) person: Option<PersonName>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Where to write; made if missing.
    #[arg(default_value = ".")]
    pub(crate) dir: PathBuf,
    /// A database behind the gate, `NAME=postgresql://USER@HOST:PORT/DBNAME`; its password is asked for.
    #[arg(long, value_name = "NAME=URL")]
    pub(crate) database: Option<String>,
    /// How the gate encrypts its own connection to that database.
    #[arg(long, value_name = "MODE", default_value = "verify-full")]
    pub(crate) sslmode: String,
    /// Where clients connect.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6432")]
    pub(crate) listen: SocketAddr,
    /// Where the HTTPS API listens.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:6480")]
    pub(crate) console: SocketAddr,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// How to write the gate's own log, on standard error (level: STEPGATE_LOG, such as `debug`).
    #[arg(long, value_enum, default_value_t)]
    pub(crate) log: LogFormat,
}

/// How the gate's own log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum LogFormat {
    /// Lines for reading.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct DemoArgs {
    /// End after the play, also at a terminal.
    #[arg(long)]
    pub(crate) once: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Connect to the databases as well.
    #[arg(long)]
    pub(crate) connect: bool,
    /// How to write the list.
    #[arg(short, long, value_enum, default_value_t)]
    pub(crate) output: Format,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SessionCommand {
    /// List connected sessions
    #[command(after_help = "Example:\n  stepgate session ls")]
    Ls(ListArgs),
    /// End a session
    #[command(after_help = "Example:\n  stepgate session kill 0123456789abcdef0123456789abcdef")]
    Kill {
        /// The session.
        session: SessionId,
        #[command(flatten)]
        say: SayArgs,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_has_help_with_an_example() {
        fn visit(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(after.contains("stepgate "), "no example: {path}");
            assert!(command.get_about().is_some(), "nothing said of: {path}");
            command.get_subcommands().for_each(|inner| visit(inner, &path));
        }
        visit(&Cli::command(), "");
    }
}
