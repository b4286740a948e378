use std::collections::{BTreeMap, BTreeSet, HashMap};

use stepgate_sql::{Classes, Facts, Number};
use stepgate_types::{Action, Certainty, Class, ColumnName, Kind, Label, RelationName, Use, best_for};

use crate::bound::{Alarm, Missing};
use crate::report::Report;
use crate::{Bound, Columns, Errors, map_load};

/// The DBA's PII map (DESIGN §6): which columns hold what, and how sensitive that is.
#[derive(Debug, Clone)]
pub struct Map {
    pub(crate) classes: BTreeSet<Class>,
    pub(crate) labels: BTreeMap<Label, Class>,
    pub(crate) databases: BTreeMap<String, Database>,
    pub(crate) unknown: Unknown,
}

/// The entries of one database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Database {
    pub(crate) relations: HashMap<RelationName, Relation>,
    /// Whether any of them has thresholds.
    pub(crate) has_thresholds: bool,
}

/// The entry of one relation.
#[derive(Debug, Clone, Default)]
pub(crate) struct Relation {
    pub(crate) columns: BTreeMap<String, Label>,
    pub(crate) subject_key: Option<String>,
    /// Whether `limit: {subjects: …}` looks at its key.
    pub(crate) track_subjects: bool,
    /// Ascending, of each column that has some.
    pub(crate) thresholds: BTreeMap<String, Vec<Number>>,
    pub(crate) unlisted_columns: Option<Class>,
}

/// The map's `unknown:`.
#[derive(Debug, Clone)]
pub(crate) struct Unknown {
    /// The class of every column of a table that the map does not list; `None` is `allow`.
    pub(crate) tables: Option<Class>,
    pub(crate) functions: Action,
    pub(crate) dynamic_sql: Action,
    pub(crate) statements: Action,
}

/// What a column is to the map.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Classified<'m> {
    pub(crate) label: Option<&'m Label>,
    pub(crate) class: &'m Class,
}

impl Map {
    /// Reads a map. `file` is the name that errors show.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(file: &str, text: &str) -> Result<Self, Errors> {
        let mut report = Report::new(file, text);
        let map = map_load::load(&mut report, text);
        let errors = report.into_errors();
        match map {
            Some(map) if errors.is_empty() => Ok(map),
            _ => Err(Errors::new(errors)),
        }
    }

    /// The entries for a database: under its name, or else under the wildcard that says the most of it.
    pub(crate) fn of(&self, database: &str) -> Option<&Database> {
        let own = self.databases.get(database);
        own.or_else(|| self.databases.get(best_for(self.databases.keys().map(String::as_str), database)?))
    }

    /// The databases it names, wildcards among them.
    pub fn databases(&self) -> impl Iterator<Item = &str> {
        self.databases.keys().map(String::as_str)
    }

    /// How many columns carry a label.
    #[must_use]
    pub fn labelled_columns(&self) -> usize {
        self.databases.values().flat_map(|db| db.relations.values()).map(|entry| entry.columns.len()).sum()
    }

    /// Labels that the statement touches by other uses than `write` alone, and whether it is risky:
    /// whether it so touches any classified column, or its certainty is unknown, or its kind `control`.
    #[must_use]
    pub fn labels_of(&self, database: &str, facts: &Facts) -> (BTreeSet<Label>, bool) {
        let mut labels = BTreeSet::new();
        let mut risky = facts.certainty == Certainty::Unknown || facts.kind == Kind::Control;
        for (column, uses) in &facts.columns {
            if reads(uses)
                && let Some(classified) = self.classify(database, column)
            {
                risky = true;
                labels.extend(classified.label.cloned());
            }
        }
        (labels, risky)
    }

    /// The entries for `database`, for columns to be bound to them.
    #[must_use]
    pub fn entries<'m>(&'m self, database: &str) -> Entries<'m> {
        Entries { map: self, entries: self.of(database) }
    }

    /// The relations of a database that say by which column a row is told to be somebody's (`subject_key`).
    pub fn subject_keys(&self, database: &str) -> impl Iterator<Item = (RelationName, String)> {
        let relations = self.of(database).into_iter().flat_map(|database| &database.relations);
        relations.filter_map(|(name, entry)| Some((name.clone(), entry.subject_key.clone()?)))
    }

    /// The column that tells whose a row of this relation is, where that counts for `limit: {subjects: …}`
    /// (`track_subjects`).
    #[must_use]
    pub fn tracked_key(&self, database: &str, relation: &RelationName) -> Option<&str> {
        let entry = self.of(database)?.relations.get(relation)?;
        entry.subject_key.as_deref().filter(|_| entry.track_subjects)
    }

    /// Whether any relation of any database has one.
    pub(crate) fn tracks_subjects(&self) -> bool {
        self.databases.values().flat_map(|db| db.relations.values()).any(|entry| entry.track_subjects)
    }

    /// Holds the entries for `database` against its catalog. `bound`: columns that are found by stored binding, by the
    /// names that they had.
    #[must_use]
    pub fn bind(&self, database: &str, catalog: &impl Columns, bound: &BTreeSet<&ColumnName>) -> Bound {
        let found = bound;
        let mut bound = Bound::default();
        let Some(entries) = self.of(database) else { return bound };
        let in_order: BTreeMap<&RelationName, &Relation> = entries.relations.iter().collect();
        for (name, entry) in in_order {
            let missing = entry.missing(name, catalog.columns(name).as_deref(), found);
            if missing.iter().any(|missing| matches!(missing, Missing::Relation | Missing::Column(_))) {
                bound.doubtful.insert(name.clone());
            }
            bound.alarms.extend(missing.into_iter().map(|missing| Alarm {
                database: database.to_owned(),
                relation: name.clone(),
                missing,
            }));
        }
        bound
    }

    /// The most sensitive class there is.
    pub(crate) fn highest(&self) -> Option<&Class> {
        self.classes.last()
    }

    pub(crate) fn class(&self, name: &str) -> Option<&Class> {
        self.classes.iter().find(|class| class.name == name)
    }

    /// What the map says of a column; `None` is unclassified.
    pub(crate) fn classify(&self, database: &str, column: &ColumnName) -> Option<Classified<'_>> {
        self.classify_by(self.of(database).and_then(|db| db.relations.get(&column.relation)), column)
    }

    /// The same, where the entry of its relation is known, or that there is none.
    pub(crate) fn classify_by<'m>(
        &'m self,
        entry: Option<&'m Relation>,
        column: &ColumnName,
    ) -> Option<Classified<'m>> {
        let Some(entry) = entry else {
            let class = self.unknown.tables.as_ref().filter(|_| !is_system(&column.relation))?;
            return Some(Classified { label: None, class });
        };
        entry.classify(&column.column, self)
    }

    /// Whether any database has thresholds of this column.
    pub(crate) fn has_thresholds(&self, column: &ColumnName) -> bool {
        self.databases.values().any(|db| db.thresholds(column).is_some())
    }

    /// All relations that it lists, of any database, and the columns that it names.
    pub(crate) fn names(&self) -> (BTreeSet<String>, BTreeSet<String>) {
        let entries = || self.databases.values().flat_map(|database| &database.relations);
        let column = |(name, entry): (&RelationName, &Relation)| {
            let of = |column: &String| ColumnName::new(name.clone(), column.clone()).to_string();
            entry.columns.keys().map(of).collect::<Vec<_>>()
        };
        (entries().map(|(name, _)| name.to_string()).collect(), entries().flat_map(column).collect())
    }

    /// All columns that it lists or has thresholds of: those that a rule may well compare.
    pub(crate) fn compared(&self) -> BTreeSet<String> {
        let entries = self.databases.values().flat_map(|database| &database.relations);
        let of = |(name, entry): (&RelationName, &Relation)| {
            let columns = entry.columns.keys().chain(entry.thresholds.keys());
            columns.map(|it| ColumnName::new(name.clone(), it.clone()).to_string()).collect::<Vec<_>>()
        };
        entries.flat_map(of).collect()
    }

    /// Whether any database lists this relation.
    pub(crate) fn lists(&self, relation: &RelationName) -> bool {
        self.databases.values().any(|db| db.relations.contains_key(relation))
    }

    /// Whether any database classifies this column by an entry of its own or of its table.
    pub(crate) fn lists_column(&self, column: &ColumnName) -> bool {
        self.databases
            .values()
            .filter_map(|db| db.relations.get(&column.relation))
            .any(|entry| entry.columns.contains_key(&column.column) || entry.unlisted_columns.is_some())
    }
}

impl Database {
    /// The thresholds of a column, if it has any.
    pub(crate) fn thresholds(&self, column: &ColumnName) -> Option<&[Number]> {
        let entry = self.relations.get(&column.relation).filter(|_| self.has_thresholds)?;
        entry.thresholds.get(&column.column).map(Vec::as_slice)
    }
}

impl Relation {
    /// What the entry says of a column.
    fn classify<'m>(&'m self, column: &str, map: &'m Map) -> Option<Classified<'m>> {
        match self.columns.get(column) {
            Some(label) => Some(Classified { label: Some(label), class: map.labels.get(label)? }),
            None => self.unlisted_columns.as_ref().map(|class| Classified { label: None, class }),
        }
    }

    fn missing(
        &self,
        name: &RelationName,
        there: Option<&[&str]>,
        bound: &BTreeSet<&ColumnName>,
    ) -> Vec<Missing> {
        let is_bound = |column: &str| bound.contains(&ColumnName::new(name.clone(), column));
        let Some(there) = there else {
            let all_bound = self.columns.keys().all(|column| is_bound(column));
            let any = all_bound && (!self.columns.is_empty() || is_bound("*"));
            return vec![if any { Missing::Renamed(None) } else { Missing::Relation }];
        };
        let gone = |column: &&String| !there.contains(&column.as_str());
        let columns = self.columns.keys().filter(gone).cloned().map(|column| {
            if is_bound(&column) { Missing::Renamed(Some(column)) } else { Missing::Column(column) }
        });
        let subject_key = self.subject_key.iter().filter(gone).cloned().map(Missing::SubjectKey);
        let thresholds = self.thresholds.keys().filter(gone).cloned().map(Missing::Threshold);
        columns.chain(subject_key).chain(thresholds).collect()
    }
}

/// The entries of a map for one database; made by [`Map::entries`].
#[derive(Debug, Clone, Copy)]
pub struct Entries<'m> {
    map: &'m Map,
    entries: Option<&'m Database>,
}

impl<'m> Classes for Entries<'m> {
    type Kind = (Option<&'m Label>, &'m Class);

    fn listed(&self) -> impl Iterator<Item = &RelationName> {
        self.entries.into_iter().flat_map(|database| database.relations.keys())
    }

    fn kind(&self, column: &ColumnName) -> Option<Self::Kind> {
        let entry = self.entries?.relations.get(&column.relation)?;
        let classified = entry.classify(&column.column, self.map)?;
        Some((classified.label, classified.class))
    }
}

/// Whether these uses go beyond `write`. No use at all is taken as one that could not be named.
pub(crate) fn reads(uses: &BTreeSet<Use>) -> bool {
    uses.is_empty() || uses.iter().any(|used| *used != Use::Write)
}

/// The catalog's own relations, which `unknown.tables` does not concern: clients read them all the time.
/// `pg_toast` is not among them, since its rows are pieces of user data.
pub(crate) fn is_system(relation: &RelationName) -> bool {
    // What people store in large objects is in a table of the server's.
    matches!(relation.schema.as_str(), "pg_catalog" | "information_schema")
        && relation.name != "pg_largeobject"
}
