//! `stepgate map lint`: the map by itself, against a catalog, and against what looks as if it belonged in it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;
use stepgate_policy::{Alarm, Map, Missing};
use stepgate_proxy::UpstreamError;
use stepgate_sql::Catalog;
use stepgate_types::{ColumnName, RelationName};

use super::baseline::{self, Baseline, Change};
use super::diff::{most_like, renamed_to};
use super::scan;
use super::target::runtime;
use crate::args::{Format, LintArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::{self, Listing};
use crate::{rules, upstreams};

const COLUMNS: &[&str] = &["grade", "table", "column", "label", "detail"];

/// Something to look at.
struct Remark {
    is_error: bool,
    relation: RelationName,
    column: Option<String>,
    label: Option<String>,
    detail: String,
}

/// `stepgate map lint`.
pub(crate) fn run(config: &Path, args: &LintArgs) -> Result<(), Failure> {
    let config = Config::load(config)?;
    let map = rules::load_map(&config.map)?;
    let ok = || format!("ok: {} labelled columns", map.labelled_columns());
    let Some(name) = &args.database else {
        if args.output != Format::Table {
            return Listing::new(COLUMNS).print(args.output);
        }
        return output::print_line(&ok());
    };
    let upstream = upstreams::of(&config, name)?;
    let trouble = |error: &dyn std::fmt::Display| Failure::unreachable(format!("database {name}: {error}"));
    let runtime = runtime()?;
    let catalog = runtime.block_on(stepgate_proxy::load(&upstream)).map_err(|error| trouble(&error))?;
    let looks =
        runtime.block_on(scan::by_names(&upstream, &map)).map_err(|error: UpstreamError| trouble(&error))?;
    let listing = map.listing(name);
    // A baseline that cannot be read only makes for worse suggestions.
    let kept = Baseline::read(&baseline::file(&config.data, name)).ok().flatten();
    let changes = baseline::compare(&catalog, &listing, kept.as_ref());
    let mut remarks: Vec<Remark> = map
        .bind(name, &catalog, &BTreeSet::new())
        .alarms()
        .iter()
        .map(|alarm| in_vain(alarm, &catalog, &changes))
        .collect();
    remarks.extend(look_alikes(&map, name, &catalog, looks));
    tell(&remarks, args.output)?;
    let errors = remarks.iter().filter(|remark| remark.is_error).count();
    match (errors, remarks.len()) {
        (0, 0) if args.output == Format::Table => output::print_line(&ok()),
        (0, 0) => Ok(()),
        (0, warnings) if args.strict => Err(Failure::no(format!(
            "{warnings} columns of database {name} look as if they belonged in the map"
        ))),
        (0, warnings) if args.output == Format::Table => {
            output::print_line(&format!("{}; {warnings} to look at", ok()))
        }
        (0, _) => Ok(()),
        (number, _) => {
            Err(Failure::no(format!("{number} entries of the map fit nothing in database {name}"))
                .hint(format!("mend {}", config.map.display())))
        }
    }
}

fn tell(remarks: &[Remark], format: Format) -> Result<(), Failure> {
    if format == Format::Table {
        return remarks.iter().try_for_each(|remark| output::print_line(&harmless(&remark.detail)));
    }
    let rows = remarks.iter().map(|remark| {
        json!({
            "grade": if remark.is_error { "error" } else { "warning" },
            "table": remark.relation.to_string(), "column": remark.column, "label": remark.label,
            "detail": remark.detail,
        })
    });
    Listing::of(COLUMNS, rows).print(format)
}

/// An entry that names nothing, with what it may mean.
fn in_vain(alarm: &Alarm, catalog: &Catalog, changes: &[Change]) -> Remark {
    let column = match &alarm.missing {
        Missing::Relation => None,
        Missing::Column(column) | Missing::SubjectKey(column) | Missing::Threshold(column) => {
            Some(column.clone())
        }
        Missing::Compared { column, .. } => Some(column.clone()),
        Missing::Renamed(column) => column.clone(),
    };
    let renamed = renamed_to(changes, &alarm.relation, column.as_deref());
    let mut detail = alarm.to_string();
    let like = match (&column, renamed) {
        (_, Some(renamed)) => {
            detail.push_str(&format!("; it was renamed to {renamed}"));
            None
        }
        (Some(column), None) => {
            let columns: Vec<&str> =
                catalog.columns(&alarm.relation).map(Iterator::collect).unwrap_or_default();
            most_like(column, columns.into_iter())
                .map(|like| ColumnName::new(alarm.relation.clone(), like).to_string())
        }
        (None, None) => {
            let names: Vec<String> = catalog.tables().map(|table| table.name().to_string()).collect();
            most_like(&alarm.relation.to_string(), names.iter().map(String::as_str)).map(str::to_owned)
        }
    };
    if let Some(like) = like {
        detail.push_str(&format!("; did you mean {like}?"));
    }
    Remark { is_error: true, relation: alarm.relation.clone(), column, label: None, detail }
}

/// Columns without a label that are called like one that has one, or by a name that says enough.
fn look_alikes(map: &Map, database: &str, catalog: &Catalog, looks: Vec<scan::Look>) -> Vec<Remark> {
    let listing = map.listing(database);
    let labelled: BTreeSet<ColumnName> = listing
        .iter()
        .flat_map(|listed| {
            listed.columns.keys().map(|column| ColumnName::new(listed.relation.clone(), column.clone()))
        })
        .collect();
    // By name and type, so that a flag of the same name is left alone.
    let mut by_name = BTreeMap::new();
    for table in catalog.tables() {
        let Some(listed) = listing.iter().find(|listed| listed.relation == table.name()) else { continue };
        for column in table.columns() {
            if let Some(label) = listed.columns.get(column.name) {
                by_name.entry((column.name, column.of)).or_insert((table.name(), label.as_str()));
            }
        }
    }
    let mut remarks: BTreeMap<ColumnName, Remark> = BTreeMap::new();
    let mut add = |column: ColumnName, label: &str, why: String| {
        let detail = format!("database {database}: {column} has no label and looks like {label}: {why}");
        let (relation, name) = (column.relation.clone(), Some(column.column.clone()));
        let remark =
            Remark { is_error: false, relation, column: name, label: Some(label.to_owned()), detail };
        remarks.entry(column).or_insert(remark);
    };
    for table in catalog.tables() {
        for column in table.columns() {
            let name = ColumnName::new(table.name().clone(), column.name);
            if let Some((other, label)) = by_name.get(&(column.name, column.of))
                && !labelled.contains(&name)
            {
                add(
                    name,
                    label,
                    format!("{other} has a column of the same name and type that is labelled so"),
                );
            }
        }
    }
    for look in looks.into_iter().filter(|look| !labelled.contains(&look.column)) {
        add(look.column, look.label, look.reason);
    }
    remarks.into_values().collect()
}
