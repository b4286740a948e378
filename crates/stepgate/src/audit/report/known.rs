//! Of what a subject is one: of a misspelt relation a report would say that nobody read it.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::failure::Failure;
use crate::rules;

/// Relation and key of `relation:key`. Either may have colons itself: a relation that the map of any database tells
/// subjects of (`subject_key`) is recognised, and any other refused where there are such.
pub(super) fn subject(config: &Config, text: &str) -> Result<(String, String), Failure> {
    let splits = || {
        let splits =
            text.match_indices(':').filter_map(|(at, _)| Some((text.get(..at)?, text.get(at + 1..)?)));
        splits.filter(|(relation, key)| !relation.is_empty() && !key.is_empty())
    };
    let Some(first) = splits().next() else {
        return Err(Failure::usage(format!("{text:?} names no subject"))
            .hint("write relation:key, such as --subject customers:42"));
    };
    let owned = |(relation, key): (&str, &str)| (whole(relation), key.to_owned());
    // A map that does not load is told by `check` and `serve`; what was recorded can be read all the same.
    let Ok(map) = rules::load_map(&config.map) else { return Ok(owned(first)) };
    let databases = config.databases.keys();
    let with_keys: BTreeSet<String> =
        databases.flat_map(|database| map.subject_keys(database)).map(|(name, _)| name.to_string()).collect();
    if with_keys.is_empty() {
        return Ok(owned(first));
    }
    if let Some(known) = splits().find(|(relation, _)| with_keys.contains(&whole(relation))) {
        return Ok(owned(known));
    }
    let listed: Vec<&str> = with_keys.iter().map(String::as_str).collect();
    let whole = whole(first.0);
    Err(Failure::usage(format!("the map has no relation {whole} with a subject_key"))
        .hint(format!("there are: {}", listed.join(", "))))
}

/// With its schema.
fn whole(relation: &str) -> String {
    if relation.contains('.') { relation.to_owned() } else { format!("public.{relation}") }
}
