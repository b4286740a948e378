//! What the map says of what a statement touches.

mod common;

use std::collections::BTreeSet;

use common::{APPROVALS, MAP, With, dana, decide, facts, relation, rules, ruleset};
use stepgate_policy::{Alarm, Bound, Circumstances, Columns, Missing};
use stepgate_sql::{Doubt, Facts};
use stepgate_types::{Action, Kind, Label, RelationName, Use};

const SSN: &str = "public.customers.ssn";
const EMAIL: &str = "public.customers.email";

fn read(name: &str) -> Facts {
    facts().touches(name, &[Use::Output])
}

#[test]
fn a_decision_names_what_is_touched_most_sensitive_first() {
    let ruleset = rules("  []\n");
    let message = read(EMAIL)
        .touches("public.customers.id", &[Use::Output])
        .touches("hr.employees.title", &[Use::Predicate])
        .touches("hr.employees.ssn", &[Use::Write]);
    let decision = decide(&ruleset, message);
    let touched: Vec<_> = decision
        .touched
        .iter()
        .map(|t| (t.column.to_string(), t.label.as_ref().map(Label::as_str), t.class.name.as_str()))
        .collect();
    assert_eq!(
        touched,
        [
            ("hr.employees.ssn".to_owned(), Some("ssn"), "restricted"),
            ("hr.employees.title".to_owned(), None, "confidential"),
            (EMAIL.to_owned(), Some("email"), "confidential"),
        ]
    );
    assert_eq!(decision.class.unwrap().name, "confidential", "the ssn is only written");
    assert!(decision.risky);
    let written = decide(&ruleset, facts().touches(SSN, &[Use::Write]));
    assert!(!written.risky && written.class.is_none());
    let harmless = decide(&ruleset, read("public.products.price"));
    assert!(!harmless.risky && harmless.touched.is_empty() && harmless.rules.is_empty());
}

#[test]
fn a_wildcard_of_the_map_stands_for_databases_that_have_no_entry_of_their_own() {
    let map = "version: 1
labels: {email: {class: confidential}, ssn: {class: restricted}}
databases:
  \"app_*\": {public.customers: {columns: {ssn: ssn}}}
  \"app_eu_*\": {public.customers: {columns: {email: email}}}
  app_2: {public.customers: {}}
";
    let ruleset = ruleset(map, &format!("{APPROVALS}rules: []\n"));
    let touched = |database: &str| {
        let who = Circumstances { database: database.to_owned(), ..dana() };
        let facts = read(SSN).touches(EMAIL, &[Use::Output]);
        let decision = ruleset.decide(&who, &Bound::default(), &[facts]);
        decision.touched.iter().map(|touched| touched.column.column.clone()).collect::<Vec<_>>()
    };
    assert_eq!(touched("app_1"), ["ssn"]);
    // One entry counts, and it is the one that says the most of the name.
    assert_eq!(touched("app_eu_1"), ["email"]);
    for none in ["app_2", "app", "shop", "other"] {
        assert!(touched(none).is_empty(), "{none}");
    }
}

#[test]
fn columns_of_unlisted_tables_have_the_class_that_the_map_gives_them() {
    let map = format!("{MAP}unknown: {{tables: confidential}}\n");
    let ruleset = ruleset(&map, APPROVALS);
    let class = |name: &str| decide(&ruleset, read(name)).class.map(|class| class.name);
    assert_eq!(class("public.fresh.secret").as_deref(), Some("confidential"));
    assert_eq!(class("pg_toast.pg_toast_1.chunk_data").as_deref(), Some("confidential"));
    assert_eq!(class("pg_catalog.pg_class.relname"), None);
    assert_eq!(class("information_schema.tables.table_name"), None);
    assert_eq!(class("public.products.price"), None, "a listed table says itself what is in it");
    let mut elsewhere = dana();
    elsewhere.database = "crm".to_owned();
    let decision = ruleset.decide(&elsewhere, &Bound::default(), &[read(SSN)]);
    assert_eq!(decision.class.unwrap().name, "confidential", "the map of shop says nothing about crm");
}

#[test]
fn labels_of_a_statement_are_those_it_reads() {
    let map = stepgate_policy::Map::load("map.yaml", MAP).unwrap();
    let labels = |facts: &Facts| {
        let (labels, risky) = map.labels_of("shop", facts);
        (labels.into_iter().map(|label| label.to_string()).collect::<Vec<_>>(), risky)
    };
    assert_eq!(labels(&read(SSN).touches(EMAIL, &[Use::Write])), (vec!["ssn".to_owned()], true));
    assert_eq!(labels(&facts().touches(SSN, &[Use::Write])), (vec![], false));
    assert_eq!(labels(&facts().kind(Kind::Control)), (vec![], true));
    assert_eq!(labels(&facts().doubting(Doubt::Function)), (vec![], true));
    assert_eq!(labels(&facts()), (vec![], false));
    assert_eq!(map.databases().collect::<Vec<_>>(), ["shop"]);
}

struct Catalog;

impl Columns for Catalog {
    fn columns(&self, relation: &RelationName) -> Option<Vec<&str>> {
        match (relation.schema.as_str(), relation.name.as_str()) {
            ("public", "customers") => Some(vec!["email", "national_id"]),
            ("public", "products") => Some(vec![]),
            _ => None,
        }
    }
}

#[test]
fn a_renamed_column_does_not_slip_out_of_the_map() {
    let ruleset = rules("  []\n");
    let bound = ruleset.bind("shop", &Catalog, &BTreeSet::new());
    let alarm =
        |name: &str, missing| Alarm { database: "shop".to_owned(), relation: relation(name), missing };
    assert_eq!(
        bound.alarms(),
        [
            alarm("hr.employees", Missing::Relation),
            alarm("public.customers", Missing::Column("ssn".to_owned())),
            alarm("public.customers", Missing::SubjectKey("id".to_owned())),
        ]
    );
    assert!(bound.alarms()[1].to_string().contains("public.customers.ssn"));
    let renamed = ruleset.decide(&dana(), &bound, &[read("public.customers.national_id")]);
    assert_eq!((renamed.action, renamed.risky), (Action::StepUp, true));
    assert_eq!(renamed.rules, ["unknown.statements"]);
    assert_eq!(renamed.doubts, ["map-entry-missing"].into());
    let counted = ruleset.decide(&dana(), &bound, &[facts().reaches("public.customers")]);
    assert_eq!(counted.action, Action::StepUp);
    let other = ruleset.decide(&dana(), &bound, &[read("public.products.price")]);
    assert_eq!((other.action, other.risky), (Action::Allow, false));
    assert!(ruleset.bind("crm", &Catalog, &BTreeSet::new()).alarms().is_empty());
}

#[test]
fn any_change_of_either_file_changes_the_hash() {
    let hash = |map: &str, policy: &str| ruleset(map, policy).sha256().to_owned();
    let usual = hash(MAP, APPROVALS);
    assert_eq!(usual.len(), 64);
    assert_eq!(usual, hash(MAP, APPROVALS));
    assert_ne!(usual, hash(&format!("{MAP}# a comment\n"), APPROVALS));
    assert_ne!(usual, hash(MAP, &format!("{APPROVALS}# a comment\n")));
}
