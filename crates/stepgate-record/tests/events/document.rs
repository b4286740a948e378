//! `docs/RECORD.md` against the program: serde itself says which types and members there are, by what it expects in place
//! of one that nobody knows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use stepgate_record::{Event, Refusal};

use super::texts;

const UNKNOWN: &str = "no-such-thing";

const DOCUMENT: &str = include_str!("../../../../docs/RECORD.md");

/// What stands in backticks behind `expected`.
fn expected(event: &Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<Event>(event.clone()).unwrap_err().to_string();
    assert!(error.contains(UNKNOWN), "{error}");
    let (_, names) = error.split_once(", ").unwrap();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// Adds the members of an object (`type` aside), and of those in it, by `at`: which object it is.
fn members(event: &Value, at: &str, pointer: &str, found: &mut BTreeSet<String>) {
    let object = event.pointer(pointer).unwrap().as_object().unwrap().clone();
    let mut odd = event.clone();
    let mut with = Map::from_iter([(UNKNOWN.to_owned(), json!(1))]);
    with.extend(object.clone());
    *odd.pointer_mut(pointer).unwrap() = Value::Object(with);
    found.extend(expected(&odd).into_iter().map(|name| format!("{at}{name}")));
    for (name, value) in object {
        // Of what goes on of any event.
        if name == "values" {
            continue;
        }
        match value {
            Value::Object(_) => members(event, &format!("{at}{name}."), &format!("{pointer}/{name}"), found),
            Value::Array(all) if all.first().is_some_and(Value::is_object) => {
                members(event, &format!("{at}{name}[]."), &format!("{pointer}/{name}/0"), found);
            }
            _ => {}
        }
    }
}

/// By type, the members that serde reads.
fn read() -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> =
        expected(&json!({"type": UNKNOWN})).into_iter().map(|kind| (kind, BTreeSet::new())).collect();
    let mut seen = BTreeSet::new();
    for text in texts() {
        let event: Value = serde_json::from_str(&text).unwrap();
        let kind = event["type"].as_str().unwrap().to_owned();
        members(&event, "", "", all.get_mut(&kind).unwrap());
        seen.insert(kind);
    }
    assert_eq!(seen, all.keys().cloned().collect(), "of each type there is one in `texts`");
    all
}

/// By type, the members in the document's tables, each with a type and a meaning.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let mut all = BTreeMap::new();
    for section in DOCUMENT.split("\n### `").skip(1) {
        let (kind, rest) = section.split_once('`').unwrap();
        let rest = rest.split("\n## ").next().unwrap();
        assert!(rest.contains(" Written "), "{kind}: where it is written");
        let mut members = BTreeSet::new();
        for row in rest.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            assert!(cells.len() == 3 && cells.iter().all(|cell| !cell.is_empty()), "{kind}: {row}");
            assert!(members.insert(cells[0].trim_matches('`').to_owned()), "{kind}: {row} twice");
        }
        assert!(all.insert(kind.to_owned(), members).is_none(), "{kind} twice");
    }
    all
}

#[test]
fn the_document_names_every_type_and_member_and_no_other() {
    let (read, documented) = (read(), documented());
    assert!(read.len() > 80 && read["statement.decided"].contains("columns[].uses"));
    assert_eq!(documented.keys().collect::<Vec<_>>(), read.keys().collect::<Vec<_>>());
    for (kind, members) in &read {
        assert_eq!(&documented[kind], members, "{kind}");
    }
}

#[test]
fn every_word_for_what_the_gate_refuses_is_in_the_document() {
    let row = DOCUMENT.lines().find(|line| line.contains("`statement.decided` `refusal`")).unwrap();
    for refusal in Refusal::ALL {
        let word = serde_json::to_value(refusal).unwrap();
        assert_eq!(word, refusal.as_str());
        assert!(row.contains(&format!("`{}`", refusal.as_str())), "{word}");
    }
    // Of the others, serde says which there are.
    for (event, member) in [
        (
            json!({"type": "session.auth_failed", "person": null, "address": "a", "reason": UNKNOWN}),
            "session.auth_failed` `reason",
        ),
        (json!({"type": "session.refused", "reason": UNKNOWN}), "session.refused` `reason"),
        (json!({"type": "stepup.ended", "outcome": UNKNOWN}), "stepup.ended` `outcome"),
        (json!({"type": "stepup.deferred", "reason": UNKNOWN}), "stepup.deferred` `reason"),
    ] {
        let row = DOCUMENT.lines().find(|line| line.contains(member)).unwrap();
        let words = expected(&event);
        assert!(words.len() > 2, "{member}: {words:?}");
        for word in words {
            assert!(row.contains(&format!("`{word}`")), "{member}: {word}");
        }
    }
}
