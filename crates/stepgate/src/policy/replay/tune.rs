//! `policy tune`: under construction.

use std::path::Path;

use crate::args::TuneArgs;
use crate::failure::Failure;

/// `policy tune`.
pub(crate) fn run(_config: &Path, _args: &TuneArgs) -> Result<(), Failure> {
    Err(Failure::usage("not built yet"))
}
