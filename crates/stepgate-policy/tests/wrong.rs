//! Files that are wrong, each in its own way, or right and perhaps not meant (`warn-…`), and what is said of them:
//! tests/wrong/NAME.yaml and NAME.txt.
//!
//! `STEPGATE_WRITE_WRONG=1 cargo test -p stepgate-policy --test wrong` writes what is said now; then read it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};

use stepgate_policy::{Map, Ruleset};

const MAP: &str = include_str!("wrong/map.yaml");

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wrong");
    let all = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_case = |path: &PathBuf| {
        let stem = path.file_stem().unwrap();
        path.extension().is_some_and(|it| it == "yaml") && stem != "map" && stem != "right"
    };
    let mut all: Vec<_> = all.filter(is_case).collect();
    all.sort();
    all
}

fn said(name: &str, text: &str) -> String {
    if name.starts_with("warn-") {
        // Right, and perhaps not meant.
        let ruleset =
            Ruleset::load(("map.yaml", MAP), (name, text)).unwrap_or_else(|errors| panic!("{errors}"));
        let warnings: Vec<String> = ruleset.warnings().iter().map(ToString::to_string).collect();
        assert!(!warnings.is_empty(), "{name}");
        return format!("{}\n", warnings.join("\n"));
    }
    let errors = if name.starts_with("map-") {
        Map::load(name, text).map(|_| ())
    } else {
        Ruleset::load(("map.yaml", MAP), (name, text)).map(|_| ())
    };
    format!("{}\n", errors.expect_err(name))
}

#[test]
fn what_is_said_of_a_file_that_is_wrong_is_what_was_read_and_found_good() {
    let files = files();
    assert!(files.len() >= 40, "{}", files.len());
    let mut different = Vec::new();
    for path in files {
        let name = path.file_name().unwrap().to_str().unwrap();
        let said = said(name, &std::fs::read_to_string(&path).unwrap());
        let known = path.with_extension("txt");
        if std::env::var_os("STEPGATE_WRITE_WRONG").is_some() {
            std::fs::write(&known, &said).unwrap();
        }
        if std::fs::read_to_string(&known).ok().as_deref() != Some(said.as_str()) {
            different.push(format!("{name}:\n{said}"));
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
}

#[test]
fn each_message_says_where_and_shows_the_line() {
    for path in files() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let said = said(name, &text);
        let first = said.lines().next().unwrap();
        assert!(first.starts_with(&format!("{name}:")), "{said}");
        // Of the file as a whole there is no line to show.
        assert!(said.contains(" | ") || name == "nothing-in-the-file.yaml", "{said}");
    }
}

/// What is warned of in a policy of one rule.
fn policy(matches: &str) -> Vec<String> {
    let text = format!(
        "version: 1\napprovals: {{self: {{self: true}}}}\nrules:\n  - {{name: probe, action: deny, match: {matches}}}\n"
    );
    let ruleset = Ruleset::load(("m", MAP), ("p", &text)).unwrap_or_else(|errors| panic!("{errors}"));
    ruleset.warnings().iter().map(ToString::to_string).collect()
}

#[test]
fn a_compared_column_that_is_spelt_nearly_as_the_map_has_it_is_a_warning() {
    let [warning] =
        policy("{predicate: {column: public.payments.amonut, op: \">\", value: 30000}}").try_into().unwrap();
    assert!(warning.starts_with("p:4:61: public.payments.amonut is not in the map"), "{warning}");
    assert!(warning.contains("did you mean public.payments.amount?"), "{warning}");
    for known in ["public.payments.amount", "public.customers.ssn", "public.orders.total"] {
        assert!(policy(&format!("{{predicate: {{column: {known}, op: \"=\"}}}}")).is_empty(), "{known}");
    }
}

#[test]
fn what_nothing_in_the_map_fits_is_a_warning() {
    for (matches, under) in [
        ("{class: internal}", "class"),
        ("{labels: [ssn], tables: [public.payments]}", "labels"),
        ("{labels: [ssn], database: crm}", "labels"),
        ("{all: [{class: restricted, columns: [public.customers.email]}]}", "class"),
    ] {
        let [warning] = policy(matches).try_into().unwrap();
        let warning: String = warning;
        assert!(warning.contains("nothing in the map fits this") && warning.starts_with("p:4:"), "{warning}");
        let caret = warning.lines().find(|line| line.contains('^')).unwrap();
        assert_eq!(caret.matches('^').count(), under.len(), "{warning}");
    }
    for matches in [
        "{class: confidential}",
        "{labels: [ssn], database: shop}",
        "{any: [{class: internal}, {bulk: true}]}",
        "{not: {class: internal}}",
        "{tables: [public.payments]}",
    ] {
        assert!(policy(matches).is_empty(), "{matches}");
    }
}
