//! The proposed map, as YAML that loads: what the map says already, and what was found.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;
use stepgate_policy::Map;
use stepgate_types::Label;

use super::super::detect::What;

/// The classes of a map that does not say, as the map's own loader has them.
const CLASSES: [&str; 3] = ["internal", "confidential", "restricted"];

/// Which label stands for what, and of which class.
pub(super) struct Labels {
    /// By class, the least sensitive first.
    classes: Vec<String>,
    known: BTreeMap<String, String>,
}

impl Labels {
    pub(super) fn of(map: Option<&Map>) -> Self {
        let Some(map) = map else {
            return Self { classes: CLASSES.map(str::to_owned).to_vec(), known: BTreeMap::new() };
        };
        let known = map.labels().map(|(label, class)| (label.as_str().to_owned(), class.name.clone()));
        Self { classes: map.classes().map(|class| class.name.clone()).collect(), known: known.collect() }
    }

    /// Whether it is looked for: always, or because the map has a label for it.
    pub(super) fn wants(&self, what: What) -> bool {
        what.is_usual() || what.labels().iter().any(|label| self.known.contains_key(*label))
    }

    /// Its label: the map's own word for it, else the first of ours.
    pub(super) fn label(&self, what: What) -> &'static str {
        let known = what.labels().iter().find(|label| self.known.contains_key(**label));
        known.or(what.labels().first()).copied().unwrap_or("personal")
    }

    /// The class of that label.
    pub(super) fn class(&self, what: What) -> &str {
        if let Some(class) = self.known.get(self.label(what)) {
            return class;
        }
        let most = self.classes.len().saturating_sub(1);
        let usual =
            CLASSES.get(what.severity()).and_then(|name| self.classes.iter().find(|class| class == name));
        usual.or_else(|| self.classes.get(most * what.severity() / 2)).map_or("restricted", String::as_str)
    }
}

/// A column to be added.
pub(super) struct Added {
    /// As the map names it.
    pub(super) table: String,
    pub(super) column: String,
    pub(super) what: What,
    pub(super) confidence: u8,
    pub(super) reason: String,
}

/// A map of what stands in the old one and what is added. `old`: its text.
///
/// # Errors
/// The old one cannot be read.
pub(super) fn yaml(
    database: &str,
    old: Option<&str>,
    labels: &Labels,
    added: &[Added],
    head: &str,
) -> Result<String, String> {
    let old: Value = match old {
        Some(text) => {
            serde_saphyr::from_str(text).map_err(|_| "the map cannot be read as YAML".to_owned())?
        }
        None => Value::Null,
    };
    let mut text = String::new();
    for line in head.lines() {
        let _ = writeln!(text, "# {line}");
    }
    text.push_str("version: 1\n");
    match old.get("classes") {
        Some(classes) => {
            let _ = writeln!(text, "classes: {}", flow(classes));
        }
        None => text.push_str("classes: {internal: 1, confidential: 2, restricted: 3}\n"),
    }
    text.push_str(&labels_of(&old, labels, added));
    text.push_str("databases:\n");
    let databases = old.get("databases").and_then(Value::as_object);
    let own = databases.and_then(|databases| databases.get(database));
    // What a wildcard says of it would no longer count beside an entry of its own.
    let names = databases.map(|databases| databases.keys().map(String::as_str)).into_iter().flatten();
    let wild = stepgate_types::best_for(names, database).and_then(|name| databases?.get(name));
    let base = own.or(wild).cloned().unwrap_or(Value::Null);
    for (name, entries) in databases.into_iter().flatten() {
        if name != database {
            block(&mut text, name, entries, labels, &[]);
        }
    }
    block(&mut text, database, &base, labels, added);
    if let Some(unknown) = old.get("unknown") {
        let _ = writeln!(text, "unknown: {}", flow(unknown));
    } else {
        text.push_str(
            "unknown: {tables: allow, functions: step-up, dynamic_sql: deny, statements: step-up}\n",
        );
    }
    for (key, value) in old.as_object().into_iter().flatten() {
        if !["version", "classes", "labels", "databases", "unknown"].contains(&key.as_str()) {
            let _ = writeln!(text, "{}: {}", scalar(key), flow(value));
        }
    }
    Ok(text)
}

fn labels_of(old: &Value, labels: &Labels, added: &[Added]) -> String {
    let mut lines = BTreeMap::new();
    for (name, value) in old.get("labels").and_then(Value::as_object).into_iter().flatten() {
        lines.insert(name.clone(), flow(value));
    }
    for added in added {
        let name = labels.label(added.what);
        if !lines.contains_key(name) {
            lines.insert(
                Label::new(name).as_str().to_owned(),
                format!("{{class: {}}}", scalar(labels.class(added.what))),
            );
        }
    }
    if lines.is_empty() {
        return "labels: {}\n".to_owned();
    }
    let mut text = "labels:\n".to_owned();
    for (name, value) in lines {
        let _ = writeln!(text, "  {}: {value}", scalar(&name));
    }
    text
}

/// The entries of one database.
fn block(text: &mut String, database: &str, entries: &Value, labels: &Labels, added: &[Added]) {
    let entries = entries.as_object().cloned().unwrap_or_default();
    let tables: BTreeSet<&str> =
        entries.keys().map(String::as_str).chain(added.iter().map(|added| added.table.as_str())).collect();
    if tables.is_empty() {
        let _ = writeln!(text, "  {}: {{}}", scalar(database));
        return;
    }
    let _ = writeln!(text, "  {}:", scalar(database));
    for table in tables {
        let entry = entries.get(table).and_then(Value::as_object).cloned().unwrap_or_default();
        let columns = entry.get("columns").and_then(Value::as_object).cloned().unwrap_or_default();
        let new: Vec<&Added> = added.iter().filter(|added| added.table == table).collect();
        if entry.is_empty() && new.is_empty() {
            let _ = writeln!(text, "    {}: {{}}", scalar(table));
            continue;
        }
        let _ = writeln!(text, "    {}:", scalar(table));
        if !(columns.is_empty() && new.is_empty()) {
            text.push_str("      columns:\n");
            for (column, label) in &columns {
                let _ = writeln!(text, "        {}: {}", scalar(column), flow(label));
            }
            for Added { column, what, confidence, reason, .. } in new {
                let _ = writeln!(
                    text,
                    "        {}: {}   # {confidence} %: {reason}",
                    scalar(column),
                    labels.label(*what)
                );
            }
        }
        for (key, value) in entry.iter().filter(|(key, _)| *key != "columns") {
            let _ = writeln!(text, "      {}: {}", scalar(key), flow(value));
        }
    }
}

/// A value on one line: JSON is YAML, and keys look better without quotes.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: Vec<_> =
                fields.iter().map(|(key, value)| format!("{}: {}", scalar(key), flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) => scalar(text),
        Value::Null => "null".to_owned(),
        other => other.to_string(),
    }
}

/// A text plain, where YAML reads it as that text, else in double quotes.
fn scalar(text: &str) -> String {
    let plain = text.chars().next().is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && text
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || "_.-".contains(letter));
    let word = ["y", "n", "yes", "no", "on", "off", "true", "false", "null", "nan", "inf"].contains(&text);
    if plain && !word { text.to_owned() } else { serde_json::to_string(text).unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "\
version: 1
classes: {low: 1, high: 9}
labels:
  post: {class: high}
  email: {class: low}
databases:
  shop:
    public.customers:
      columns: {E-Mail: email, \"true\": post}
      subject_key: id
      threshold: {amount: [10.5, 20]}
      unlisted_columns: high
    public.orders: {}
  other: {a.b: {columns: {c: email}}}
unknown: {tables: high, functions: deny, dynamic_sql: deny, statements: deny}
";

    fn added(table: &str, column: &str, what: What) -> Added {
        let (table, column) = (table.to_owned(), column.to_owned());
        Added { table, column, what, confidence: 90, reason: "98 % are such".to_owned() }
    }

    #[test]
    fn what_the_map_says_stays_and_what_is_added_loads() {
        let old = Map::load("map.yaml", OLD).unwrap();
        let labels = Labels::of(Some(&old));
        let more = [
            added("public.customers", "Tel 1", What::Phone),
            added("\"Sales Ops\".\"Lead List\"", "no", What::Email),
        ];
        let text = yaml("shop", Some(OLD), &labels, &more, "one\ntwo").unwrap();
        let new = Map::load("new.yaml", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        assert_eq!(new.labelled_columns(), old.labelled_columns() + 2, "{text}");
        let listing = new.listing("shop");
        let names: Vec<String> = listing.iter().map(|listed| listed.relation.to_string()).collect();
        assert_eq!(names, ["\"Sales Ops\".\"Lead List\"", "public.customers", "public.orders"]);
        let customers = listing[1];
        assert_eq!((customers.subject_key, customers.columns.len()), (Some("id"), 3));
        assert_eq!(customers.unlisted_columns.map(|class| class.name.as_str()), Some("high"));
        assert!(text.contains("threshold: {amount: [10.5, 20]}"), "{text}");
        assert_eq!(new.unknown_tables().map(|class| class.name.as_str()), Some("high"));
        // Of a label that is new, the class is one that the map has.
        assert!(
            new.labels().any(|(label, class)| label.as_str() == "phone" && class.name == "low"),
            "{text}"
        );
    }

    #[test]
    fn without_a_map_there_is_one_with_the_usual_classes() {
        let labels = Labels::of(None);
        let text = yaml("shop", None, &labels, &[added("a.b", "c", What::Card)], "").unwrap();
        let new = Map::load("new.yaml", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        assert!(
            new.labels().any(|(label, class)| label.as_str() == "card-number" && class.name == "restricted")
        );
    }

    #[test]
    fn a_wildcards_entries_are_not_lost_by_an_entry_of_its_own() {
        let old = "version: 1\nlabels: {email: {class: internal}}\ndatabases: {\"sh*\": {a.b: {columns: {c: email}}}}\n";
        let map = Map::load("map.yaml", old).unwrap();
        let labels = Labels::of(Some(&map));
        let text = yaml("shop", Some(old), &labels, &[added("a.x", "y", What::Email)], "").unwrap();
        let new = Map::load("new.yaml", &text).unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        assert_eq!(new.listing("shop").len(), 2, "{text}");
    }
}
