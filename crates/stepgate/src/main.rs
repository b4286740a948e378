//! The `stepgate` command.

mod args;
mod config;
mod demo;
mod failure;
mod harmless;
mod output;
mod secret;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};
use crate::failure::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("stepgate: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::DemoAuthenticator => demo::authenticator(),
        _ => Err(Failure::usage("this command is being written")),
    }
}
