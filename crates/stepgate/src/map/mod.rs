//! `stepgate map`: personal data found in databases, maps held against them.

pub(crate) mod baseline;
mod detect;
mod diff;
mod lint;
mod scan;
mod schema;
mod target;

use std::path::Path;

use crate::args::MapCommand;
use crate::failure::Failure;

/// `stepgate map …`.
pub(crate) fn run(config: &Path, command: &MapCommand) -> Result<(), Failure> {
    match command {
        MapCommand::Scan(args) => scan::run(config, args),
        MapCommand::Diff(args) => diff::run(config, args),
        MapCommand::Lint(args) => lint::run(config, args),
    }
}
