//! The map's file, read and checked.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use stepgate_types::{Action, Class, Label, RelationName};

use crate::key;
use crate::map::{Database, Map, Relation, Unknown};
use crate::read::{self, Fields};
use crate::report::Report;
use crate::threshold_load;
use crate::yaml::{self, Node, Place, Value};

/// The highest rank of a class. Ranks only order; more room than this helps nobody.
const MAX_RANK: u32 = 1000;

/// What `classes:` is where the map does not say.
const USUAL_CLASSES: [(&str, u32); 3] = [("internal", 1), ("confidential", 2), ("restricted", 3)];

/// The actions that `unknown:` takes.
pub(crate) const ACTIONS: [(&str, Action); 5] = [
    ("allow", Action::Allow),
    ("monitor", Action::Monitor),
    ("step-up", Action::StepUp),
    ("approve", Action::Approve),
    ("deny", Action::Deny),
];

/// Reads a map as far as it can be read, so that the policy can be checked against it as well. `None`: it
/// is no mapping at all. Valid only if nothing was reported.
pub(crate) fn load(report: &mut Report<'_>, text: &str) -> Option<Map> {
    let root = yaml::read(report, text)?;
    if matches!(root.value, Value::Null) {
        report.error(Place::FILE, "the map is empty; it needs at least `version: 1`");
        return None;
    }
    let known = ["version", "classes", "labels", "databases", "unknown"];
    let fields = Fields::read(report, &root, "the map", &known, &["mask", "masks"])?;
    read::version(report, &fields, "the map");
    let classes = classes(report, fields.get("classes"));
    let labels = labels(report, fields.get("labels"), &classes);
    let databases = databases(report, fields.get("databases"), &classes, &labels);
    let unknown = unknown(report, fields.get("unknown"), &classes);
    Some(Map { classes, labels, databases, unknown })
}

fn classes(report: &mut Report<'_>, node: Option<&Node>) -> BTreeSet<Class> {
    let usual = || USUAL_CLASSES.iter().map(|(name, rank)| Class { rank: *rank, name: (*name).to_owned() });
    let Some(node) = node else { return usual().collect() };
    let mut classes = BTreeSet::new();
    let mut ranks = HashMap::new();
    for (key, value) in read::map(report, node, "`classes`").unwrap_or_default() {
        if !read::name_is_good(report, key.at, "a class's name", &key.name) {
            continue;
        }
        let what = format!("the rank of class `{}`", key.name);
        let Some(rank) = read::integer(report, value, &what, 1..=MAX_RANK) else { continue };
        if let Some(other) = ranks.insert(rank, key.name.clone()) {
            report.error_with_help(
                value.at,
                format!("`{}` has the rank of `{other}`", key.name),
                "each class needs a rank of its own: the higher, the more sensitive",
            );
        }
        classes.insert(Class { rank, name: key.name.clone() });
    }
    if classes.is_empty() {
        report.error(node.at, "`classes` needs at least one class");
        return usual().collect();
    }
    classes
}

fn labels(report: &mut Report<'_>, node: Option<&Node>, classes: &BTreeSet<Class>) -> BTreeMap<Label, Class> {
    let mut labels = BTreeMap::new();
    let Some(node) = node else { return labels };
    for (key, value) in read::map(report, node, "`labels`").unwrap_or_default() {
        if !read::name_is_good(report, key.at, "a label's name", &key.name) {
            continue;
        }
        let class = label_class(report, &key.name, value, classes);
        // A label whose class is wrong is still a label, or every column that has it were wrong too.
        if let Some(class) = class.or_else(|| classes.last().cloned()) {
            labels.insert(Label::new(key.name.clone()), class);
        }
    }
    labels
}

fn label_class(report: &mut Report<'_>, name: &str, node: &Node, classes: &BTreeSet<Class>) -> Option<Class> {
    let what = format!("label `{name}`");
    let later = ["mask", "detect", "retention"];
    let fields = Fields::read(report, node, &what, &["class"], &later)?;
    let node = fields.require(report, &what, "class")?;
    class(report, node, &format!("the class of {what}"), classes)
}

fn class(report: &mut Report<'_>, node: &Node, what: &str, classes: &BTreeSet<Class>) -> Option<Class> {
    let name = read::text(report, node, what)?;
    let found = classes.iter().find(|class| class.name == name).cloned();
    if found.is_none() {
        let known = classes.iter().map(|class| class.name.as_str());
        report.unknown_word(node.at, format!("there is no class `{name}`"), name, known);
    }
    found
}

fn databases(
    report: &mut Report<'_>,
    node: Option<&Node>,
    classes: &BTreeSet<Class>,
    labels: &BTreeMap<Label, Class>,
) -> BTreeMap<String, Database> {
    let mut databases = BTreeMap::new();
    let Some(node) = node else { return databases };
    for (key, value) in read::map(report, node, "`databases`").unwrap_or_default() {
        let what = format!("database `{}`", key.name);
        let mut database = Database::default();
        for (table, entry) in read::map(report, value, &what).unwrap_or_default() {
            match key::relation(&table.name) {
                Ok(name) => {
                    let entry = relation(report, &name, entry, classes, labels);
                    database.has_thresholds |= !entry.thresholds.is_empty();
                    database.relations.insert(name, entry);
                }
                Err(wrong) => report.error(table.at, wrong),
            }
        }
        databases.insert(key.name.clone(), database);
    }
    databases
}

fn relation(
    report: &mut Report<'_>,
    name: &RelationName,
    node: &Node,
    classes: &BTreeSet<Class>,
    labels: &BTreeMap<Label, Class>,
) -> Relation {
    let what = name.to_string();
    let known = ["columns", "subject_key", "threshold", "track_subjects", "unlisted_columns"];
    let later = ["mask", "masks", "rows"];
    let Some(fields) = Fields::read(report, node, &what, &known, &later) else { return Relation::default() };
    let mut columns = BTreeMap::new();
    if let Some(node) = fields.get("columns") {
        for (key, value) in read::map(report, node, &format!("`columns` of {what}")).unwrap_or_default() {
            if let Some(label) = column_label(report, &key.name, value, labels) {
                columns.insert(key.name.clone(), label);
            }
        }
    }
    let subject_key = fields
        .get("subject_key")
        .and_then(|node| read::text(report, node, &format!("the subject_key of {what}")))
        .map(str::to_owned);
    let track_subjects = fields.get("track_subjects").and_then(|node| {
        read::flag(report, node, &format!("`track_subjects` of {what}")).map(|on| (node, on))
    });
    if let Some((node, true)) = track_subjects
        && subject_key.is_none()
    {
        report.error(node.at, format!("`track_subjects` of {what} needs its `subject_key`"));
    }
    let unlisted_columns = fields
        .get("unlisted_columns")
        .and_then(|node| class(report, node, &format!("`unlisted_columns` of {what}"), classes));
    let thresholds = fields.get("threshold").map(|node| threshold_load::load(report, node, &what));
    Relation {
        columns,
        subject_key,
        track_subjects: track_subjects.is_some_and(|(_, on)| on),
        thresholds: thresholds.unwrap_or_default(),
        unlisted_columns,
    }
}

fn column_label(
    report: &mut Report<'_>,
    column: &str,
    node: &Node,
    labels: &BTreeMap<Label, Class>,
) -> Option<Label> {
    let what = format!("the label of column `{column}`");
    if let Value::Map(entries) = &node.value
        && let Some((key, _)) = entries.iter().find(|(key, _)| matches!(&*key.name, "mask" | "threshold"))
    {
        match &*key.name {
            "threshold" => threshold_load::misplaced(report, key.at),
            name => report.not_built(key.at, &format!("`{name}`")),
        }
        return None;
    }
    let label = Label::new(read::text(report, node, &what)?);
    if labels.contains_key(&label) {
        return Some(label);
    }
    let known = labels.keys().map(Label::as_str);
    report.unknown_word(node.at, format!("there is no label `{label}` in `labels`"), label.as_str(), known);
    None
}

fn unknown(report: &mut Report<'_>, node: Option<&Node>, classes: &BTreeSet<Class>) -> Unknown {
    let known = ["tables", "functions", "dynamic_sql", "statements"];
    let fields = node.and_then(|node| Fields::read(report, node, "`unknown`", &known, &["mask", "approval"]));
    let field = |name: &str| fields.as_ref().and_then(|fields| fields.get(name));
    Unknown {
        tables: field("tables").and_then(|node| unknown_tables(report, node, classes)),
        functions: unknown_action(report, "functions", field("functions"), Action::StepUp),
        dynamic_sql: unknown_action(report, "dynamic_sql", field("dynamic_sql"), Action::Deny),
        statements: unknown_action(report, "statements", field("statements"), Action::StepUp),
    }
}

fn unknown_tables(report: &mut Report<'_>, node: &Node, classes: &BTreeSet<Class>) -> Option<Class> {
    let name = read::text(report, node, "`unknown.tables`")?;
    if name == "allow" {
        return None;
    }
    let found = classes.iter().find(|class| class.name == name).cloned();
    if found.is_none() {
        let known = classes.iter().map(|class| class.name.as_str()).chain(["allow"]);
        report.unknown_word(
            node.at,
            format!("`unknown.tables` is `allow` or a class, not `{name}`"),
            name,
            known,
        );
    }
    found
}

fn unknown_action(report: &mut Report<'_>, name: &str, node: Option<&Node>, usual: Action) -> Action {
    node.and_then(|node| action(report, node, &format!("`unknown.{name}`"))).unwrap_or(usual)
}

/// An action. `mask` is one of the design's, not of this version's.
pub(crate) fn action(report: &mut Report<'_>, node: &Node, what: &str) -> Option<Action> {
    if matches!(&node.value, Value::Text(text) if text == "mask") {
        report.not_built(node.at, "action `mask`");
        return None;
    }
    read::word(report, node, what, &ACTIONS)
}
