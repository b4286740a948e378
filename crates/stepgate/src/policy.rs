//! `policy`: one arm a verb.

mod junit;
mod scenario;
mod simulate;
mod stage;
mod test;

use std::path::Path;

use stepgate_policy::{Decision, Why};

use crate::args::PolicyCommand;
use crate::failure::Failure;
use crate::lint;

/// Does what it says.
pub(crate) fn run(config: &Path, command: &PolicyCommand) -> Result<(), Failure> {
    match command {
        PolicyCommand::Lint => lint::policy(config),
        PolicyCommand::Simulate(args) => simulate::run(config, args),
        PolicyCommand::Test(args) => test::run(config, args),
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
