//! All columns of a database judged: each by itself, then beside the others of its table, then by foreign keys.

use std::collections::BTreeMap;

use super::super::detect::{Column, Finding, Table, What, judge};
use super::super::schema::{Place, Schema};

/// From which confidence on, of 100, what a column holds makes its table one about people.
const CERTAIN: u8 = 75;

/// What is lost, of 100, by going along a foreign key.
const BY_KEY: u8 = 4;

/// Values by place; a place without any was not read, or is empty.
pub(super) type Values = BTreeMap<Place, Vec<String>>;

/// What each column of a table holds.
pub(super) fn of_table(
    schema: &Schema,
    oid: u32,
    values: &Values,
    wanted: &dyn Fn(What) -> bool,
    year: u32,
) -> BTreeMap<Place, Finding> {
    let Some(table) = schema.tables.get(&oid) else { return BTreeMap::new() };
    let mut context = Table::by(&table.name.name);
    let look = |context: Table| -> BTreeMap<Place, Finding> {
        let found = table.columns.iter().filter_map(|column| {
            let place = (oid, column.number);
            let column = Column {
                name: &column.name,
                shape: column.shape,
                aliases: &column.aliases,
                comment: column.comment.as_deref(),
                wants_at: column.wants_at,
                values: values.get(&place).map(Vec::as_slice).unwrap_or_default(),
            };
            Some((place, judge(&column, context, wanted, year)?))
        });
        found.collect()
    };
    let found = look(context);
    let about_people =
        found.values().filter(|found| found.what.is_about_people() && found.confidence >= CERTAIN).count();
    if !context.people && about_people > 0 {
        context = Table { people: true, ..Table::default() };
        return look(context);
    }
    found
}

/// What one side of a foreign key holds, the other holds too.
pub(super) fn along_keys(schema: &Schema, found: &mut BTreeMap<Place, Finding>) {
    // A key of a key of a key: as many steps as anybody has.
    for _ in 0..8 {
        let mut more = Vec::new();
        for (from, to) in &schema.keys {
            for (known, other) in [(from, to), (to, from)] {
                let Some(finding) = found.get(known) else { continue };
                let confidence = finding.confidence.saturating_sub(BY_KEY);
                let better = found.get(other).is_none_or(|own| own.confidence < confidence);
                if better && schema.column(*other).is_some() {
                    let reason = "holds the same by a foreign key".to_owned();
                    more.push((*other, Finding { what: finding.what, confidence, reason }));
                }
            }
        }
        if more.is_empty() {
            return;
        }
        found.extend(more);
    }
}
