//! The command line, as clap reads it.

mod approve;
mod audit;
mod cases;
mod device;
mod glass;
mod map;
mod policy;
mod replay;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use stepgate_approval::Method;
use stepgate_types::{GrantId, GroupName, PersonName, RequestId, SessionId};

pub(crate) use approve::ApprovePolicyArgs;
pub(crate) use audit::{
    AuditCommand, ExportFormat, FilterArgs, ReportArgs, ReportCommand, ReportFormat, SinkCommand,
};

pub(crate) use device::{DeviceCommand, EnrollDevice, Waiting};
pub(crate) use glass::{GlassArgs, GlassCommand};
pub(crate) use map::{DiffArgs, LintArgs, MapCommand, ScanArgs, ScanFormat, TargetArgs};

pub(crate) use cases::{Form, SimulateArgs, StageArgs, TestArgs};
pub(crate) use policy::{ExplainArgs, ExplainFormat, PolicyCommand, SchemaOf};
pub(crate) use replay::{ReplayArgs, ReplayFormat, TuneArgs};

/// A PostgreSQL gate: statements that touch personal data wait until their author, or somebody else, has
/// verified them; everything is recorded.
#[derive(Debug, Parser)]
#[command(
    name = "stepgate",
    version,
    propagate_version = true,
    after_help = "Start here:\n  stepgate demo                  see it work on a throwaway database\n  stepgate init DIR              write a configuration for your own\n  stepgate serve                 start the gate\n\nExit status: 0 done, 1 the answer is no, 2 wrong usage or configuration, 3 not reachable."
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
        after_help = "Examples:\n  stepgate login dana --url https://gate.example --ca ca.pem\n  stepgate login --oidc --psql    (at the identity provider, then: psql service=stepgate-shop)\n  stepgate login --logout"
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
pub(crate) enum UserCommand {
    /// Add a person
    #[command(after_help = "Example:\n  stepgate user add dana --groups analysts")]
    Add {
        /// The name they connect with.
        name: PersonName,
        /// Their groups, as policies name them.
        #[arg(long, value_delimiter = ',')]
        groups: Vec<GroupName>,
        /// A program, not a person: it never gets a step-up of its own.
        #[arg(long)]
        service: bool,
        /// Read the password from this file's first line (`-`: standard input) instead of asking.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// Their account at the identity provider (its `sub`): they have no password here.
        #[arg(long, value_name = "SUB", conflicts_with_all = ["service", "password_file"])]
        oidc: Option<String>,
        /// Their name in the directory: they have no password here, until one is set.
        #[arg(long, value_name = "NAME", conflicts_with_all = ["service", "password_file", "oidc"])]
        ldap: Option<String>,
    },
    /// Link somebody's account at the identity provider, or in the directory, to them
    #[command(
        after_help = "Examples:\n  stepgate user link dana --oidc 00u1a2b3c4\n  stepgate user link dana --ldap dscully"
    )]
    Link {
        /// Whose.
        name: PersonName,
        #[command(flatten)]
        account: AccountArgs,
    },
    /// Take an account away from somebody, with the groups and passwords that they have by it
    #[command(after_help = "Example:\n  stepgate user unlink dana oidc")]
    Unlink {
        /// Whose.
        name: PersonName,
        /// Where.
        #[arg(value_enum)]
        source: AccountSource,
    },
    /// List people
    #[command(after_help = "Example:\n  stepgate user ls -o csv")]
    Ls(ListArgs),
    /// Remove a person, their factors and grants
    #[command(after_help = "Example:\n  stepgate user rm dana")]
    Rm {
        /// Whom.
        name: PersonName,
    },
    /// Set a person's password
    #[command(after_help = "Example:\n  stepgate user passwd dana")]
    Passwd {
        /// Whose.
        name: PersonName,
        /// Read the password from this file's first line (`-`: standard input) instead of asking.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Set a person's groups
    #[command(
        after_help = "Example:\n  stepgate user groups dana analysts,data-owners\n  stepgate user groups dana   (none)"
    )]
    Groups {
        /// Whose.
        name: PersonName,
        /// All their groups from now on.
        #[arg(value_delimiter = ',')]
        groups: Vec<GroupName>,
    },
    /// Make a code by which a person may enrol their first authenticator: good once, for ten minutes
    #[command(
        name = "enroll-code",
        after_help = "Example:\n  stepgate user enroll-code dana\n\nHand it over in person or by telephone, to somebody you know: with their password it is all that is needed."
    )]
    EnrollCode {
        /// For whom.
        name: PersonName,
        /// The code alone, or one JSON line.
        #[arg(short, long, value_enum, default_value_t)]
        output: EnrollFormat,
    },
    /// Factors: list, remove, unlock, reset
    #[command(subcommand, after_help = "Example:\n  stepgate user factor ls dana")]
    Factor(FactorCommand),
    /// Lend a person's right to approve to a colleague for a while, or take it back
    #[command(
        after_help = "Examples:\n  stepgate user delegate omar --to amir --until 2026-12-31 --groups data-owners\n  stepgate user delegate omar --to amir --end\n\nThe colleague answers as one person, never for requests of who lent it, and never beside them by the same right."
    )]
    Delegate {
        /// Whose right.
        name: PersonName,
        /// To whom.
        #[arg(long, value_name = "NAME")]
        to: PersonName,
        /// From when on; default: now.
        #[arg(long, value_name = "TIME")]
        from: Option<String>,
        /// Until when: a time, or how long from now (14d); at most 90 days.
        #[arg(long, value_name = "TIME", required_unless_present = "end")]
        until: Option<String>,
        /// For which of their groups.
        #[arg(long, value_delimiter = ',', required_unless_present = "end")]
        groups: Vec<GroupName>,
        /// Take it back.
        #[arg(long, conflicts_with_all = ["from", "until", "groups"])]
        end: bool,
    },
    /// Say what a person's client certificate is for, where not for the name they connect with
    #[command(
        after_help = "Examples:\n  stepgate user cert dana 'Dana Scully' dana@corp.example\n  stepgate user cert dana   (their own name again)\n\nClients show certificates where tls.client_ca is configured."
    )]
    Cert {
        /// Whose.
        name: PersonName,
        /// Common names, or alternative names (e-mail, host); a certificate must have one of them.
        certificates: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum FactorCommand {
    /// List a person's authenticators
    #[command(after_help = "Example:\n  stepgate user factor ls dana -o json")]
    Ls {
        /// Whose.
        name: PersonName,
        /// How to write the list.
        #[arg(short, long, value_enum, default_value_t)]
        output: Format,
    },
    /// Remove an authenticator that is lost; its owner's grants and open requests end at once
    #[command(after_help = "Example:\n  stepgate user factor rm dana totp-3f9a12bc")]
    Rm {
        /// Whose.
        name: PersonName,
        /// Which, as listed.
        id: String,
    },
    /// Let an authenticator be tried again after too many wrong codes
    #[command(after_help = "Example:\n  stepgate user factor unlock dana totp-3f9a12bc")]
    Unlock {
        /// Whose.
        name: PersonName,
        /// Which, as listed.
        id: String,
    },
    /// Ask for all authenticators of a person to be removed; somebody else has to confirm it
    #[command(
        after_help = "Example:\n  stepgate user factor reset dana\n\nThen, within a day, another person: stepgate user factor confirm dana --as omar\nAnd then: stepgate user enroll-code dana"
    )]
    Reset {
        /// Whose.
        name: PersonName,
    },
    /// Confirm a reset that the operator has asked for, by a code of your own
    #[command(after_help = "Example:\n  stepgate user factor confirm dana --as omar")]
    Confirm {
        /// Whose factors are to be removed.
        name: PersonName,
        #[command(flatten)]
        who: AsArgs,
    },
}

/// One account.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct AccountArgs {
    /// At the identity provider: its `sub`, never a name that people choose.
    #[arg(long, value_name = "SUB")]
    pub(crate) oidc: Option<String>,
    /// In the directory: what `{name}` stands for in the filter of people.
    #[arg(long, value_name = "NAME")]
    pub(crate) ldap: Option<String>,
}

/// Where somebody has an account.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(crate) enum AccountSource {
    /// At the identity provider.
    Oidc,
    /// In the directory.
    Ldap,
}

#[derive(Debug, Args)]
pub(crate) struct LoginArgs {
    /// Who you are; with --oidc, the identity provider says it.
    #[arg(required_unless_present_any = ["oidc", "logout"])]
    pub(crate) name: Option<PersonName>,
    /// Log in at the identity provider, in a browser on this machine, instead of by a password.
    #[arg(long)]
    pub(crate) oidc: bool,
    /// Have a password for databases minted, good for hours, and put it where psql finds it.
    #[arg(long, conflicts_with = "logout")]
    pub(crate) psql: bool,
    /// With --psql, the host of the databases' address, where it is not that of the API.
    #[arg(long, value_name = "HOST", requires = "psql")]
    pub(crate) host: Option<String>,
    /// With --psql, a database besides those that the gate names (of which it knows only a pattern).
    #[arg(long, value_name = "NAME", requires = "psql")]
    pub(crate) database: Vec<String>,
    /// Log out: ends the login and the password that it minted, and takes that away from where psql finds it.
    #[arg(long, conflicts_with = "oidc")]
    pub(crate) logout: bool,
    /// Address of the gate's API, such as https://gate.example; from the configuration where there is one.
    #[arg(long)]
    pub(crate) url: Option<String>,
    /// The CA that signed the gate's certificate (PEM); default: the configuration's, else the system's.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum EnrollCommand {
    /// Enrol a TOTP authenticator
    #[command(
        after_help = "Examples:\n  stepgate enroll totp --as dana\n  stepgate enroll totp --as dana -o json    (prints the otpauth URI, then waits for a code)\n\nWithout a configuration here it speaks to the gate you have logged in to, and asks for the enrolment code that the\noperator has made (stepgate user enroll-code NAME), or for a code of an authenticator that you have."
    )]
    Totp {
        /// Whose authenticator.
        #[arg(long = "as", value_name = "NAME")]
        person: PersonName,
        /// A QR code for reading, or one JSON line.
        #[arg(short, long, value_enum, default_value_t)]
        output: EnrollFormat,
        /// Replace an authenticator that is enrolled already, by a code of it, which is asked for first.
        #[arg(long)]
        replace: bool,
    },
    /// Enrol an address for codes by e-mail, where the gate sends any
    #[command(
        after_help = "Example:\n  stepgate enroll email dana@corp.example --as dana\n\nAsks for a code of an authenticator that you have, or the operator's enrolment code; then for the code that was sent."
    )]
    Email(EnrollAddress),
    /// Enrol a telephone number for codes by SMS, where the gate sends any
    #[command(after_help = "Example:\n  stepgate enroll sms +14155550123 --as dana")]
    Sms(EnrollAddress),
    /// Print recovery codes: each is good once, when nothing else is at hand
    #[command(
        after_help = "Examples:\n  stepgate enroll recovery --as dana\n  stepgate enroll recovery --as dana -o json\n\nThey are shown once. A new list ends the one before. Asks for a code of an authenticator that is enrolled."
    )]
    Recovery {
        /// Whose.
        #[arg(long = "as", value_name = "NAME")]
        person: PersonName,
        /// Lines for printing, or one JSON line.
        #[arg(short, long, value_enum, default_value_t)]
        output: EnrollFormat,
    },
}

/// To where codes are sent.
#[derive(Debug, Args)]
pub(crate) struct EnrollAddress {
    /// The address, or the number with + and country.
    pub(crate) address: String,
    /// Whose.
    #[arg(long = "as", value_name = "NAME")]
    pub(crate) person: PersonName,
}

/// How an enrolment is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum EnrollFormat {
    /// A QR code and the URI.
    #[default]
    Text,
    /// `{"otpauth_uri": …}`.
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The request, as the notice shows it.
    pub(crate) request: RequestId,
    /// By what: totp, recovery, email, sms or push; else by a code of an app or of the printed list.
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    #[command(flatten)]
    pub(crate) who: AsArgs,
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
        output: WatchFormat,
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
    #[command(after_help = "Example:\n  stepgate request cancel 7K4M-9QXD")]
    Cancel {
        /// The request.
        request: RequestId,
        #[command(flatten)]
        who: AsArgs,
    },
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

/// How changes are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum WatchFormat {
    /// A line for reading.
    #[default]
    Text,
    /// The request as one JSON object a line.
    Json,
}

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
    },
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
    },
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("catalog").required(true).args(["database", "schema"]))]
pub(crate) struct AnalyzeArgs {
    /// Take the catalog from this database (postgresql://…; its password from PGPASSWORD).
    #[arg(long, value_name = "URL")]
    pub(crate) database: Option<String>,
    /// Take the catalog from these SQL files, loaded into a throwaway PostgreSQL in this order.
    #[arg(long, value_name = "FILE.sql", num_args = 1..)]
    pub(crate) schema: Vec<PathBuf>,
    /// What the database is called in the map and in the output.
    #[arg(long, value_name = "DB")]
    pub(crate) name: Option<String>,
    /// The search_path to begin with; default: the server's.
    #[arg(long, value_name = "a,b", value_delimiter = ',')]
    pub(crate) search_path: Option<Vec<String>>,
    /// The PII map.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
    /// How the input is cut into messages.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) input: InputFormat,
    /// The SQL; `-` is standard input.
    #[arg(value_name = "FILE|-", default_value = "-")]
    pub(crate) file: PathBuf,
}

/// How the input of `analyze` is cut into messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Default)]
pub(crate) enum InputFormat {
    /// All of it is one message.
    #[default]
    Sql,
    /// Each line `{"sql": …}` is one message, `{"reset": true}` a new session.
    Jsonl,
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
