//! `policy`: one arm a verb.

mod explain;
mod junit;
mod purposes;
mod replay;
mod scenario;
mod simulate;
mod stage;
pub(crate) mod tape;
mod test;

use std::path::Path;

use stepgate_policy::{Decision, Why};

use crate::args::{PolicyCommand, SchemaOf};
use crate::failure::Failure;
use crate::{lint, output, people};

/// Does what it says.
pub(crate) fn run(config: &Path, command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Lint => lint::policy(config),
        PolicyCommand::Replay(args) => replay::run(config, args),
        PolicyCommand::Tune(args) => replay::tune(config, args),
        PolicyCommand::Explain(args) => explain::run(config, args),
        PolicyCommand::Simulate(args) => simulate::run(config, args),
        PolicyCommand::Test(args) => test::run(config, args),
        PolicyCommand::Schema { of } => output::print_line(schema(*of).trim_end()),
        PolicyCommand::Approve(args) => people::approve_policy(args),
    }
}

fn schema(of: SchemaOf) -> &'static str {
    match of {
        SchemaOf::Map => stepgate_policy::MAP_SCHEMA,
        SchemaOf::Policy => stepgate_policy::POLICY_SCHEMA,
        SchemaOf::Config => crate::config::SCHEMA,
    }
}

/// Why a rule matched: `restricted-read: class restricted`.
fn because(why: &Why) -> String {
    let clause = if why.clause.is_empty() { "" } else { " " };
    format!("{}:{clause}{} {} {}", why.rule, why.clause, why.bucket, why.threshold).trim_end().to_owned()
}

/// The risk, and what makes it: `55 of 100: new_network +30 (new), unusual_hour +25 (outside)`.
fn risk_line(risk: u32, decision: &Decision) -> String {
    let firing = decision.signals.iter().filter(|signal| signal.weight > 0);
    let named: Vec<_> = firing.map(|it| format!("{} +{} ({})", it.signal, it.weight, it.bucket)).collect();
    let named = if named.is_empty() { "no signal".to_owned() } else { named.join(", ") };
    format!("{risk} of 100: {named}")
}
