//! `stepgate demo`.

use crate::args::DemoArgs;
use crate::failure::Failure;

/// Plays the demo.
pub(crate) fn run(_args: &DemoArgs) -> Result<(), Failure> {
    Err(Failure::usage("the demo is being written"))
}
