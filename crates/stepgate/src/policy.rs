//! `policy`: one arm a verb.

use std::path::Path;

use crate::args::PolicyCommand;
use crate::failure::Failure;
use crate::{lint, people};

/// Does what it says.
pub(crate) fn run(config: &Path, command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Lint => lint::policy(config),
        PolicyCommand::Approve(args) => people::approve_policy(args),
    }
}
