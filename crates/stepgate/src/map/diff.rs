//! `stepgate map diff`: what has come, gone or changed in a database and is not in the map.

use std::path::Path;

use serde_json::json;
use stepgate_types::{ColumnName, RelationName};

use super::baseline::{self, Baseline, Change, What};
use super::target::{Target, runtime};
use crate::args::DiffArgs;
use crate::failure::Failure;
use crate::output::Listing;

const COLUMNS: &[&str] = &["change", "table", "column", "detail"];

/// `stepgate map diff`.
pub(crate) fn run(config: &Path, args: &DiffArgs) -> Result<(), Failure> {
    let target = Target::of(config, &args.target)?;
    let name = &target.name;
    let map = target.map().ok_or_else(|| Failure::usage("which map?").hint("say --map FILE"))?;
    let catalog = runtime()?
        .block_on(stepgate_proxy::load(&target.upstream))
        .map_err(|error| Failure::unreachable(format!("database {name}: {error}")))?;
    let listing = map.listing(name);
    let (baseline, since) = baseline(&target, &listing)?;
    let changes = baseline::compare(&catalog, &listing, baseline.as_ref());
    let rows = changes.iter().map(|change| {
        json!({
            "database": name, "change": change.what.as_str(), "table": change.relation.to_string(),
            "column": change.column, "detail": detail(change),
            "since": baseline.as_ref().map(|baseline| &baseline.taken),
        })
    });
    if changes.is_empty() {
        Listing::new(COLUMNS).print_unless_table(args.output)?;
        eprintln!("stepgate: no difference {since}");
        return Ok(());
    }
    Listing::of(COLUMNS, rows).print(args.output)?;
    Err(Failure::no(format!("{} differences {since}", changes.len())))
}

/// What the gate found when the map's entries came into force, where it has served them.
fn baseline(
    target: &Target,
    listing: &[stepgate_policy::Listed<'_>],
) -> Result<(Option<Baseline>, String), Failure> {
    let never =
        || "between database and map; when the rest came is not known, as no gate has served this map yet";
    let Some(data) = &target.data else { return Ok((None, never().to_owned())) };
    let file = baseline::file(data, &target.name);
    let kept =
        Baseline::read(&file).map_err(|error| Failure::file("read what the database had", &file, &error))?;
    match kept.filter(|kept| kept.is_under(listing)) {
        Some(kept) => {
            let since = format!("since {}, when the gate took these entries of the map into use", kept.taken);
            Ok((Some(kept), since))
        }
        None => Ok((None, never().to_owned())),
    }
}

fn detail(change: &Change) -> String {
    let Change { what, relation, column, other } = change;
    let now = |other: &str| match column {
        Some(_) => ColumnName::new(relation.clone(), other).to_string(),
        None => other.to_owned(),
    };
    match (what, other) {
        (What::Renamed, Some(other)) => format!("is {} now; name it anew in the map", now(other)),
        (What::Renamed, None) => "has another name now".to_owned(),
        (What::TableGone, _) => "the map lists it, and there is no such relation".to_owned(),
        (What::ColumnGone, _) => "the map labels it, and there is no such column".to_owned(),
        (What::Retyped, _) => "has another type than before".to_owned(),
        (What::NewTable | What::UnlistedTable, _) => "is in no entry of the map".to_owned(),
        (What::NewColumn | What::UnlistedColumn, _) => "is not named in its table's entry".to_owned(),
    }
}

/// The name among these that is most like a name, if any is much like it: by pairs of letters that both have (Dice).
pub(super) fn most_like<'n>(name: &str, among: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    let pairs = |text: &str| -> Vec<(char, char)> {
        let letters: Vec<char> =
            text.chars().filter(|letter| *letter != '_').flat_map(char::to_lowercase).collect();
        letters.iter().copied().zip(letters.iter().copied().skip(1)).collect()
    };
    let own = pairs(name);
    let rated = among.map(|other| {
        let theirs = pairs(other);
        let both = own.iter().filter(|pair| theirs.contains(pair)).count();
        (200 * both / (own.len() + theirs.len()).max(1), other)
    });
    rated.filter(|(rate, _)| *rate >= 50).max_by_key(|(rate, _)| *rate).map(|(_, other)| other)
}

/// Text for whoever reads which relation an entry names in vain.
pub(super) fn renamed_to(
    changes: &[Change],
    relation: &RelationName,
    column: Option<&str>,
) -> Option<String> {
    let found = changes.iter().find(|change| {
        change.what == What::Renamed && change.relation == *relation && change.column.as_deref() == column
    });
    found.and_then(|change| change.other.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_much_like_another_is_found() {
        let names = ["id", "e_mail_address", "phone"];
        assert_eq!(most_like("email_addr", names.into_iter()), Some("e_mail_address"));
        assert_eq!(most_like("ssn", names.into_iter()), None);
    }
}
