//! `stepgate demo`.

use crate::args::DemoArgs;
use crate::failure::Failure;

/// Plays the demo.
pub(crate) fn run(_args: &DemoArgs) -> Result<(), Failure> {
    Err(Failure::usage("the demo is being written"))
}

/// `stepgate demo-authenticator` (hidden): an authenticator app as a process of its own.
pub(crate) fn authenticator() -> Result<(), Failure> {
    stepgate_testkit::serve_authenticator(std::io::stdin().lock(), std::io::stdout().lock())
        .map_err(|error| Failure::usage(error.to_string()))
}
