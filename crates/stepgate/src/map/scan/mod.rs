//! `stepgate map scan`: what a database holds of people, found by names, types and values, proposed as a map.
//!
//! Values are read in a transaction that writes nothing, looked at in memory, and dropped table by table. None of them
//! is in what a finding says, in an error, or in a file.

mod columns;
mod progress;
mod propose;
mod sampling;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::json;
use stepgate_policy::Map;
use stepgate_proxy::{UpstreamConfig, UpstreamError};
use stepgate_types::{ColumnName, Label, RelationName};

use self::columns::Values;
use self::progress::Progress;
use self::propose::{Added, Labels};
use super::detect::{Finding, What};
use super::schema::{Place, Schema};
use super::target::{Target, runtime};
use crate::args::{Format, ScanArgs, ScanFormat};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::{self, Listing};

/// What a table of findings shows.
const COLUMNS: &[&str] = &["table", "column", "type", "label", "class", "confidence", "status", "reason"];

/// `stepgate map scan`.
pub(crate) fn run(config: &Path, args: &ScanArgs) -> Result<(), Failure> {
    let target = Target::of(config, &args.target)?;
    if let Some(out) = args.out.as_deref().filter(|out| out.exists()) {
        return Err(Failure::usage(format!("{} exists already", out.display()))
            .hint("name a new file, and compare the two"));
    }
    let labels = Labels::of(target.map());
    let looked =
        runtime()?.block_on(look(&target, args, &labels)).map_err(|error| unreachable(&target, &error))?;
    let listing = proposals(&target, &looked);
    tell(&target, args, &labels, &looked, &listing)
}

/// Of errors of the server's, which may hold values, the SQLSTATE alone is told.
fn unreachable(target: &Target, error: &UpstreamError) -> Failure {
    let name = &target.name;
    match error {
        UpstreamError::Server { state, .. } if !state.starts_with("28") && !state.starts_with("3D") => {
            Failure::unreachable(format!("database {name}: the server refused (SQLSTATE {state})"))
        }
        other => Failure::unreachable(format!("database {name}: {other}")),
    }
}

/// What a scan saw.
struct Looked {
    schema: Schema,
    found: BTreeMap<Place, Finding>,
    /// Tables of which not all could be read, and the SQLSTATE of why.
    unread: Vec<(RelationName, String)>,
    tables: usize,
    columns: usize,
}

async fn look(target: &Target, args: &ScanArgs, labels: &Labels) -> Result<Looked, UpstreamError> {
    let mut connection = sampling::open(&target.upstream).await?;
    let schema = Schema::read(&mut connection).await?;
    let year = year();
    let wanted = |what: What| labels.wants(what);
    let chosen: BTreeSet<u32> = schema
        .tables
        .iter()
        .filter(|(_, table)| args.tables.as_deref().is_none_or(|pattern| is_like(pattern, &table.name)))
        .map(|(oid, _)| *oid)
        .collect();
    let progress = Progress::of(chosen.len());
    let (mut found, mut unread, mut columns) = (BTreeMap::new(), Vec::new(), 0);
    for (done, oid) in chosen.iter().enumerate() {
        let Some(table) = schema.tables.get(oid) else { continue };
        progress.at(done, &table.name.to_string());
        columns += table.columns.len();
        let mut values = Values::new();
        if !args.schema_only {
            let rows = sampling::read(&mut connection, table, args.sample).await?;
            if let Some(state) = rows.failed {
                unread.push((table.name.clone(), state));
            }
            for (column, read) in table.columns.iter().zip(rows.values) {
                values.insert((*oid, column.number), read);
            }
        }
        found.extend(columns::of_table(&schema, *oid, &values, &wanted, year));
    }
    drop(progress);
    columns::along_keys(&schema, &mut found);
    found.retain(|(table, _), _| chosen.contains(table));
    Ok(Looked { schema, found, unread, tables: chosen.len(), columns })
}

/// A column whose name says what it holds.
pub(super) struct Look {
    pub(super) column: ColumnName,
    pub(super) label: &'static str,
    pub(super) reason: String,
}

/// What columns hold by their names, types and comments alone; no row is read.
pub(super) async fn by_names(upstream: &UpstreamConfig, map: &Map) -> Result<Vec<Look>, UpstreamError> {
    let mut connection = sampling::open(upstream).await?;
    let schema = Schema::read(&mut connection).await?;
    let labels = Labels::of(Some(map));
    let year = year();
    let mut looks = Vec::new();
    for (oid, table) in &schema.tables {
        let found = columns::of_table(&schema, *oid, &Values::new(), &|what| labels.wants(what), year);
        for (place, finding) in found {
            let Some(column) = schema.column(place) else { continue };
            let column = ColumnName::new(table.name.clone(), column.name.clone());
            looks.push(Look { column, label: labels.label(finding.what), reason: "by its name".to_owned() });
        }
    }
    Ok(looks)
}

/// The present year, by which days of birth are told from others.
fn year() -> u32 {
    u32::try_from(jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year()).unwrap_or(2026)
}

/// `crm.*`, `kunden*`: with a dot, of schema and table; else of the table in any schema.
fn is_like(pattern: &str, name: &RelationName) -> bool {
    match pattern.contains('.') {
        true => glob(pattern, &format!("{}.{}", name.schema, name.name)) || glob(pattern, &name.to_string()),
        false => glob(pattern, &name.name),
    }
}

/// `*` is any text, `?` any letter.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text): (Vec<char>, Vec<char>) = (pattern.chars().collect(), text.chars().collect());
    // Which lengths of the pattern fit what was read so far; by turns, so that no pattern takes long.
    let mut fits = vec![false; pattern.len() + 1];
    let stars = pattern.iter().take_while(|letter| **letter == '*').count();
    fits.iter_mut().take(stars + 1).for_each(|fit| *fit = true);
    for letter in text {
        let mut next = vec![false; fits.len()];
        for (at, wanted) in pattern.iter().enumerate() {
            let was = |at: usize| fits.get(at).copied().unwrap_or(false);
            let fit = match wanted {
                '*' => was(at) || was(at + 1) || next.get(at).copied().unwrap_or(false),
                '?' => was(at),
                other => *other == letter && was(at),
            };
            if let Some(place) = next.get_mut(at + 1) {
                *place = fit;
            }
        }
        fits = next;
    }
    fits.last().copied().unwrap_or(false)
}

/// One column in which something was found.
struct Proposal<'l> {
    table: String,
    column: &'l str,
    type_name: &'l str,
    finding: &'l Finding,
    /// What the map says of it.
    known: Option<Label>,
}

fn proposals<'l>(target: &Target, looked: &'l Looked) -> Vec<Proposal<'l>> {
    let listing = target.map().map(|map| map.listing(&target.name)).unwrap_or_default();
    let mut proposals: Vec<Proposal<'l>> = Vec::new();
    for (place, finding) in &looked.found {
        let (Some(table), Some(column)) = (looked.schema.tables.get(&place.0), looked.schema.column(*place))
        else {
            continue;
        };
        let listed = listing.iter().find(|listed| *listed.relation == table.name);
        let known = listed.and_then(|listed| listed.columns.get(&column.name)).cloned();
        let (table, type_name) = (table.name.to_string(), column.type_name.as_str());
        proposals.push(Proposal { table, column: &column.name, type_name, finding, known });
    }
    proposals.sort_by(|a, b| (&a.table, a.column).cmp(&(&b.table, b.column)));
    proposals
}

impl Proposal<'_> {
    fn status(&self, labels: &Labels) -> &'static str {
        match &self.known {
            None => "new",
            Some(known) if known.as_str() == labels.label(self.finding.what) => "labelled",
            Some(_) => "differs",
        }
    }

    fn row(&self, database: &str, labels: &Labels) -> serde_json::Value {
        let Finding { what, confidence, reason } = self.finding;
        json!({
            "database": database, "table": self.table, "column": self.column, "type": self.type_name,
            "label": labels.label(*what), "class": labels.class(*what),
            "confidence": f64::from(*confidence) / 100.0, "reason": reason, "status": self.status(labels),
            "map_label": self.known.as_ref().map(Label::as_str),
        })
    }
}

fn tell(
    target: &Target,
    args: &ScanArgs,
    labels: &Labels,
    looked: &Looked,
    proposals: &[Proposal<'_>],
) -> Result<(), Failure> {
    let new: Vec<&Proposal<'_>> = proposals.iter().filter(|proposal| proposal.known.is_none()).collect();
    let yaml = (args.output == ScanFormat::Yaml || args.out.is_some())
        .then(|| yaml(target, labels, &new))
        .transpose()?;
    if let (Some(out), Some(yaml)) = (&args.out, &yaml) {
        use std::io::Write as _;
        // Not over a map that somebody wrote by hand.
        std::fs::File::create_new(out)
            .and_then(|mut file| file.write_all(yaml.as_bytes()))
            .map_err(|error| Failure::file("write the map", out, &error))?;
    }
    let rows = proposals.iter().map(|proposal| proposal.row(&target.name, labels));
    match (args.output, &yaml) {
        (ScanFormat::Yaml, Some(yaml)) if args.out.is_none() => output::print(yaml)?,
        (ScanFormat::Yaml, _) => {}
        (ScanFormat::Json, _) => Listing::of(COLUMNS, rows).print(Format::Json)?,
        (ScanFormat::Table, _) => Listing::of(COLUMNS, rows).print(Format::Table)?,
        (ScanFormat::Csv, _) => Listing::of(COLUMNS, rows).print(Format::Csv)?,
    }
    for (table, state) in &looked.unread {
        let why =
            if state == "42501" { "no right to read it".to_owned() } else { format!("SQLSTATE {state}") };
        eprintln!("stepgate: {} was not looked into: {why}", harmless(&table.to_string()));
    }
    eprintln!(
        "stepgate: {} tables, {} columns: {} proposed, {} in the map already{}",
        looked.tables,
        looked.columns,
        new.len(),
        proposals.len() - new.len(),
        args.out.as_ref().map_or_else(String::new, |out| format!("; the proposed map is {}", out.display()))
    );
    Ok(())
}

fn yaml(target: &Target, labels: &Labels, new: &[&Proposal<'_>]) -> Result<String, Failure> {
    let old = match &target.map {
        Some((path, _)) => Some(
            std::fs::read_to_string(path).map_err(|error| Failure::file("read the PII map", path, &error))?,
        ),
        None => None,
    };
    let added: Vec<Added> = new
        .iter()
        .map(|proposal| Added {
            table: proposal.table.clone(),
            column: proposal.column.to_owned(),
            what: proposal.finding.what,
            confidence: proposal.finding.confidence,
            reason: proposal.finding.reason.clone(),
        })
        .collect();
    let head = "A map as `stepgate map scan` proposes it: what was in the map, and what was found, with confidence and reason.\n\
                Comments of the map are not in it. Read it, correct it, and see: stepgate map lint";
    propose::yaml(&target.name, old.as_deref(), labels, &added, head).map_err(Failure::usage)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_of_schema_and_table_or_of_the_table() {
        let name = RelationName::new("crm", "kunden_alt");
        for good in ["crm.*", "*", "kunden*", "kunden?alt", "crm.kunden_alt", "*.kunden_alt", "**alt"] {
            assert!(is_like(good, &name), "{good}");
        }
        for bad in ["crm", "kunden", "public.*", "?", "", "crm.kunden"] {
            assert!(!is_like(bad, &name), "{bad}");
        }
    }
}
