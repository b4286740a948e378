//! `policy`: one arm a verb.

mod explain;
mod replay;
pub(crate) mod tape;

use std::path::Path;

use crate::args::{PolicyCommand, SchemaOf};
use crate::failure::Failure;
use crate::{lint, output};

/// Does what it says.
pub(crate) fn run(config: &Path, command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Lint => lint::policy(config),
        PolicyCommand::Replay(args) => replay::run(config, args),
        PolicyCommand::Tune(args) => replay::tune(config, args),
        PolicyCommand::Explain(args) => explain::run(config, args),
        PolicyCommand::Schema { of } => output::print_line(schema(*of).trim_end()),
    }
}

fn schema(of: SchemaOf) -> &'static str {
    match of {
        SchemaOf::Map => stepgate_policy::MAP_SCHEMA,
        SchemaOf::Policy => stepgate_policy::POLICY_SCHEMA,
        SchemaOf::Config => crate::config::SCHEMA,
    }
}
