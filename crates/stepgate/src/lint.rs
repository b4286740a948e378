//! `policy lint`, `map lint`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::config::Config;
use crate::failure::Failure;
use crate::{output, rules, upstreams};

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

/// The map alone; with `database`, whether what it names exists there.
pub(crate) fn map(config: &Path, database: Option<&str>) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let map = rules::load_map(&config.map)?;
    let Some(name) = database else {
        return output::print_line(&format!("ok: {} labelled columns", map.labelled_columns()));
    };
    let upstream = upstreams::of(&config, name)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    let catalog = runtime
        .block_on(stepgate_proxy::load(&upstream))
        .map_err(|error| Failure::unreachable(format!("database {name}: {error}")))?;
    let bound = map.bind(name, &catalog, &BTreeSet::new());
    for alarm in bound.alarms() {
        output::print_line(&alarm.to_string())?;
    }
    match bound.alarms().len() {
        0 => output::print_line(&format!("ok: {} labelled columns", map.labelled_columns())),
        number => Err(Failure::no(format!("{number} entries of the map fit nothing in database {name}"))
            .hint(format!("mend {}", config.map.display()))),
    }
}
