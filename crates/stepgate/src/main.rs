//! The `stepgate` command.

mod agent;
mod analyze;
mod args;
mod audit;
mod certificate;
mod check;
mod config;
mod deliver;
mod demo;
mod doctor;
mod done;
mod enroll;
mod exposure;
mod failure;
mod findings;
mod geo;
mod harmless;
mod init;
mod ldap;
mod lint;
mod map;
mod oidc;
mod operator;
mod output;
mod people;
mod policy;
mod rules;
mod secret;
mod serve;
mod store;
mod system;
mod two_names;
mod upstreams;
mod url;
mod user;
mod wildcard;

use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::args::{
    Cli, Command, Format, GlassArgs, GlassCommand, GrantCommand, LineFormat, RequestCommand, SessionCommand,
};
use crate::config::Config;
use crate::done::Done;
use crate::failure::Failure;
use crate::operator::{Link, Operator};
use crate::output::Listing;

fn main() -> ExitCode {
    let cli = Cli::parse();
    // Whichever command it is: also those that open no store hold statements, rows or passwords.
    if let Err(failure) = serve::hardening::no_core_dumps() {
        eprintln!("stepgate: {failure}");
        return failure.exit_code();
    }
    // One provider for all of rustls; a second call would be the only error.
    let _ = rustls::crypto::ring::default_provider().install_default();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.is_told() {
                eprintln!("stepgate: {failure}");
            }
            failure.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    let config = &cli.config;
    match &cli.command {
        Command::Init(args) => init::run(args),
        Command::Serve(args) => serve::run(config, args),
        Command::Demo(args) => demo::run(args),
        Command::DemoAuthenticator => demo::authenticator(),
        Command::Check(args) => check::run(config, args),
        Command::Doctor(args) => doctor::run(config, args),
        Command::User(command) => user::run(config, command),
        Command::Login(args) => people::login(config, args),
        Command::Enroll(command) => enroll::run(config, command),
        Command::Device(command) => people::device(command),
        Command::Verify(args) => people::verify(args),
        Command::Request(command) => request(config, command),
        Command::Grant(command) => grant(config, command),
        Command::BreakGlass(args) => break_glass(config, args),
        Command::Session(command) => session(config, command),
        Command::Map(command) => map::run(config, command),
        Command::Policy(command) => policy::run(config, command),
        Command::Audit(command) => audit::run(config, command),
        Command::Analyze(args) => analyze::run(args),
    }
}

fn request(config: &Path, command: &RequestCommand) -> Result<(), Failure> {
    match command {
        RequestCommand::Ls { operator: true, output, .. } => {
            list(config, Operator::RequestList {}, people::REQUEST_COLUMNS, *output)
        }
        RequestCommand::Ls { who, output, .. } => people::ls(who, *output),
        RequestCommand::Show { request, operator: true, output, .. } => {
            list(config, Operator::RequestShow { request: *request }, people::REQUEST_COLUMNS, *output)
        }
        RequestCommand::Show { request, who, output, .. } => people::show(*request, who, *output),
        RequestCommand::Open(args) => people::open(args),
        RequestCommand::Watch { who, output } => people::watch(who, *output),
        RequestCommand::Comment(args) => people::comment(args),
        RequestCommand::Approve(args) => people::answer(args, true),
        RequestCommand::Deny(args) if args.not_me => people::not_me(&args.answer),
        RequestCommand::Deny(args) => people::answer(&args.answer, false),
        RequestCommand::Cancel(args) => people::cancel(args),
    }
}

fn grant(config: &Path, command: &GrantCommand) -> Result<(), Failure> {
    match command {
        GrantCommand::Ls { operator: true, output, .. } => {
            list(config, Operator::GrantList {}, people::GRANT_COLUMNS, *output)
        }
        GrantCommand::Ls { who, output, .. } => people::grant_ls(who, *output),
        GrantCommand::Revoke { grant, operator: true, say, .. } => {
            let done = Done::new("grant revoke").with("grant", grant.to_string()).with("state", "revoked");
            tell(config, Operator::GrantRevoke { grant: *grant }, done, say.output)
        }
        GrantCommand::Revoke { grant, who, say, .. } => people::grant_revoke(*grant, who, say.output),
    }
}

fn break_glass(config: &Path, args: &GlassArgs) -> Result<(), Failure> {
    match &args.command {
        None => people::glass_ask(args),
        Some(GlassCommand::Ls { operator: true, output, .. }) => {
            list(config, Operator::GlassList {}, people::GLASS_COLUMNS, *output)
        }
        Some(GlassCommand::Ls { who, output, .. }) => people::glass_ls(who, *output),
        Some(GlassCommand::End { id, who, say }) => people::glass_end(*id, who, say.output),
        Some(GlassCommand::Review { id, comment, method, who, say }) => {
            people::glass_review(*id, comment, *method, who, say.output)
        }
    }
}

fn session(config: &Path, command: &SessionCommand) -> Result<(), Failure> {
    const COLUMNS: &[&str] =
        &["session", "person", "database", "address", "client", "opened", "pid", "state", "request"];
    match command {
        SessionCommand::Ls(args) => list(config, Operator::SessionList {}, COLUMNS, args.output),
        SessionCommand::Kill { session, say } => {
            let done = Done::new("session kill").with("session", session.to_string());
            tell(config, Operator::SessionKill { session: *session }, done, say.output)
        }
    }
}

fn list(
    config: &Path,
    command: Operator,
    columns: &'static [&'static str],
    format: Format,
) -> Result<(), Failure> {
    Listing::of(columns, Link::open(&Config::load(config)?)?.rows(command)?).print(format)
}

fn tell(config: &Path, command: Operator, done: Done, format: LineFormat) -> Result<(), Failure> {
    let said = Link::open(&Config::load(config)?)?.tell(command)?;
    done.say(&said.unwrap_or_default(), format)
}
