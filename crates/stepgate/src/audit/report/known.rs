//! Whether a report can find anything: of a misspelt relation it would say that nobody read it.

use std::collections::BTreeSet;

use crate::args::ReportCommand;
use crate::config::Config;
use crate::failure::Failure;
use crate::rules;

/// Refuses a subject whose relation has no `subject_key` in the map of any database, where any has one.
pub(crate) fn known(config: &Config, command: &ReportCommand) -> Result<(), Failure> {
    let ReportCommand::SubjectAccess { subject, .. } = command else { return Ok(()) };
    let Some((relation, _)) = subject.rsplit_once(':') else { return Ok(()) };
    // A map that does not load is told by `check` and `serve`; what was recorded can be read all the same.
    let Ok(map) = rules::load_map(&config.map) else { return Ok(()) };
    let databases = config.databases.keys();
    let with_keys: BTreeSet<String> =
        databases.flat_map(|database| map.subject_keys(database)).map(|(name, _)| name.to_string()).collect();
    let whole = if relation.contains('.') { relation.to_owned() } else { format!("public.{relation}") };
    if with_keys.is_empty() || with_keys.contains(&whole) {
        return Ok(());
    }
    let listed: Vec<&str> = with_keys.iter().map(String::as_str).collect();
    Err(Failure::usage(format!("the map has no relation {whole} with a subject_key"))
        .hint(format!("there are: {}", listed.join(", "))))
}
