//! `policy lint`.

use std::path::Path;

use crate::config::Config;
use crate::failure::Failure;
use crate::{output, rules};

/// Map and policy: all errors, or how many rules there are.
pub(crate) fn policy(config: &Path) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let rules = rules::load(&config)?;
    for warning in rules.warnings() {
        output::print_line(&format!("warning: {warning}"))?;
    }
    output::print_line(&format!(
        "ok: {} rules, {} labelled columns, sha256 {}",
        rules.rule_names().count(),
        rules.map().labelled_columns(),
        rules.sha256()
    ))
}
