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
use stepgate_types::thousands;

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

/// Why a rule matched: `restricted-read: class is restricted`, `many: estimate_rows is up to 100,000 (asks >=1001)`.
fn because(why: &Why) -> String {
    let asks = if why.threshold.is_empty() { String::new() } else { format!(" (asks {})", why.threshold) };
    match (why.clause, why.bucket.as_str()) {
        ("person" | "client" | "network", "yes") => {
            format!("{}: {} is one of those named", why.rule, why.clause)
        }
        ("not", "yes") => format!("{}: what `not` excludes is not so", why.rule),
        ("sink", "yes") => format!("{}: stores what it reads", why.rule),
        (clause, _) => format!("{}: {clause} is {}{asks}", why.rule, found(why)),
    }
}

/// What a clause found, in words: a power of ten as the number that it is at most.
fn found(why: &Why) -> String {
    let power = why.bucket.strip_prefix("10^").and_then(|power| power.parse().ok());
    match power.and_then(|power| 10_u64.checked_pow(power)) {
        Some(most) => format!("up to {}", thousands(most)),
        None => why.bucket.clone(),
    }
}

/// The risk, and what makes it: `55 of 100: new_network +30 (new), unusual_hour +25 (outside)`.
fn risk_line(risk: u32, decision: &Decision) -> String {
    let firing = decision.signals.iter().filter(|signal| signal.weight > 0);
    let named: Vec<_> = firing.map(|it| format!("{} +{} ({})", it.signal, it.weight, it.bucket)).collect();
    let named = if named.is_empty() { "no signal".to_owned() } else { named.join(", ") };
    format!("{risk} of 100: {named}")
}
