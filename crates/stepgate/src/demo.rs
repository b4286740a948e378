//! `stepgate demo`: the whole story on a throwaway PostgreSQL, played with the real psql.

use std::process::ExitCode;

/// `stepgate demo [--once]`
#[derive(Debug, clap::Args)]
pub(crate) struct DemoArgs {
    /// End after the last step instead of staying up (the default where there is no terminal).
    #[arg(long)]
    once: bool,
}

/// Plays it. Status 0: every step held; 1: one did not; 2: something it needs is not on this machine.
pub(crate) fn run(args: &DemoArgs) -> ExitCode {
    let _ = args.once;
    ExitCode::from(1)
}

/// `stepgate demo-authenticator` (hidden): an authenticator app as a process of its own. Reads an
/// `otpauth://` URI, then answers each line with a code.
pub(crate) fn authenticator() -> ExitCode {
    match stepgate_testkit::serve_authenticator(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(1)
        }
    }
}
