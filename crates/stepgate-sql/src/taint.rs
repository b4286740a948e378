//! Labels follow data: which columns the contents of a relation may have come from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stepgate_types::{ColumnName, RelationName};

use crate::catalog::Catalog;

/// The schema by which a session reaches its temporary objects, whatever its real name
/// (PostgreSQL documentation, `search_path`).
pub const TEMPORARY: &str = "pg_temp";

/// A schema as it is remembered: a session's temporary one goes by one name, whichever the server or a statement has for it.
pub(crate) fn remembered(schema: &str) -> &str {
    if schema.starts_with(TEMPORARY) { TEMPORARY } else { schema }
}

/// The most relations that are remembered.
const MAX_RELATIONS: usize = 10_000;

/// That is a name which stands for every relation: it has a place beyond those.
#[must_use]
pub fn anywhere() -> RelationName {
    RelationName::new("", "")
}

/// The most pairs of columns that are remembered of one relation.
const MAX_PAIRS: usize = 4_096;

/// What a statement stores in one relation, by the base columns that it is taken from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Into each column of it.
    pub each: BTreeMap<String, BTreeSet<ColumnName>>,
    /// Into any of its columns.
    pub all: BTreeSet<ColumnName>,
    /// What else is stored is not known.
    pub unknown: bool,
}

impl Flow {
    /// Only what comes from columns that are `wanted`; `None` if that is nothing.
    #[must_use]
    pub fn only(&self, mut wanted: impl FnMut(&ColumnName) -> bool) -> Option<Self> {
        let mut keep = |from: &BTreeSet<ColumnName>| -> BTreeSet<ColumnName> {
            from.iter().filter(|column| wanted(column)).cloned().collect()
        };
        let each = self.each.iter().map(|(to, from)| (to.clone(), keep(from)));
        let each: BTreeMap<_, _> = each.filter(|(_, from)| !from.is_empty()).collect();
        let flow = Self { each, all: keep(&self.all), unknown: self.unknown };
        (flow.unknown || !flow.each.is_empty() || !flow.all.is_empty()).then_some(flow)
    }

    /// Only what comes from other columns than it is stored in, those of `into`; `None` if that is nothing.
    #[must_use]
    pub fn from_elsewhere(&self, into: &RelationName) -> Option<Self> {
        let elsewhere = |(to, from): (&String, &BTreeSet<ColumnName>)| {
            let others = from.iter().filter(|from| from.relation != *into || from.column != *to);
            let others: BTreeSet<_> = others.cloned().collect();
            (!others.is_empty()).then(|| (to.clone(), others))
        };
        let each = self.each.iter().filter_map(elsewhere).collect();
        let flow = Self { each, all: self.all.clone(), unknown: self.unknown };
        (!flow.each.is_empty() || !flow.all.is_empty()).then_some(flow)
    }

    /// How many columns are stored, counted for each that they are stored in.
    pub(crate) fn pairs(&self) -> usize {
        self.all.len() + self.each.values().map(BTreeSet::len).sum::<usize>()
    }

    /// How many there are of these and those together.
    fn pairs_with(&self, other: &Self) -> usize {
        let new = |known: &BTreeSet<ColumnName>, more: &BTreeSet<ColumnName>| more.difference(known).count();
        let each = other
            .each
            .iter()
            .map(|(to, from)| self.each.get(to).map_or(from.len(), |known| new(known, from)));
        self.pairs() + new(&self.all, &other.all) + each.sum::<usize>()
    }

    /// Whether there is room for it, and for as much again.
    pub(crate) fn is_narrow(&self) -> bool {
        self.pairs() <= MAX_PAIRS / 2
    }

    /// Whether `other` adds nothing.
    fn covers(&self, other: &Self) -> bool {
        let has = |(to, from): (&String, &BTreeSet<ColumnName>)| {
            self.each.get(to).is_some_and(|known| from.is_subset(known))
        };
        self.unknown >= other.unknown && other.all.is_subset(&self.all) && other.each.iter().all(has)
    }

    /// The same, into columns of other names; those without one are gone.
    fn renamed(&self, name: impl Fn(&str) -> Option<String>) -> Self {
        let each = self.each.iter().filter_map(|(to, from)| Some((name(to)?, from.clone())));
        Self { each: each.collect(), all: self.all.clone(), unknown: self.unknown }
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.unknown |= other.unknown;
        self.all.extend(other.all);
        for (to, from) in other.each {
            self.each.entry(to).or_default().extend(from);
        }
    }
}

/// More is tainted than is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more was copied from labelled columns than is remembered")]
pub struct TooMany;

/// What relations hold besides their own. Cheap to clone. Only grows: nobody says when a table was emptied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Taints(Arc<BTreeMap<RelationName, Flow>>);

impl Taints {
    /// Adds what is stored in a relation; a schema of `""` stands for any, a name of `""` as well, and each schema that may be
    /// the session's temporary one for that. Says whether that is new.
    ///
    /// # Errors
    /// There is no room: the statement that would store it must not run.
    pub fn add(&mut self, relation: RelationName, flow: Flow) -> Result<bool, TooMany> {
        let relation = RelationName::new(remembered(&relation.schema), &relation.name);
        if self.0.get(&relation).is_some_and(|known| known.covers(&flow)) {
            return Ok(false);
        }
        if self.0.len() >= MAX_RELATIONS && !self.0.contains_key(&relation) && relation != anywhere() {
            return Err(TooMany);
        }
        // Counted together: what fits does so in whatever order it is read again.
        if self.0.get(&relation).map_or_else(|| flow.pairs(), |known| known.pairs_with(&flow)) > MAX_PAIRS {
            return Err(TooMany);
        }
        Arc::make_mut(&mut self.0).entry(relation).or_default().add(flow);
        Ok(true)
    }

    /// What the session's own temporary relations hold, by the names that they and their columns have in a later catalog:
    /// whoever renames a column of a parent renames it in them.
    #[must_use]
    pub fn moved(&self, before: &Catalog, now: &Catalog) -> Vec<(RelationName, Flow)> {
        let own = self.0.iter().filter(|(relation, _)| relation.schema == TEMPORARY);
        let mut moved = Vec::new();
        for (relation, flow) in own {
            for then in before.temporary(&relation.name) {
                let Some(now) = now.same_relation(then) else { continue };
                let renamed = |column: &str| {
                    let number = then.columns.get(then.column(column)?)?.number;
                    now.columns.iter().find(|it| it.number == number).map(|it| it.name.clone())
                };
                moved.push((RelationName::new(TEMPORARY, &now.name.0.name), flow.renamed(renamed)));
            }
        }
        moved
    }

    /// What such a flow brings along of what is held where it comes from; `None` if that is nothing.
    #[must_use]
    pub fn through(&self, flow: &Flow) -> Option<Flow> {
        let mut brought = Flow::default();
        let mut held = |from: &BTreeSet<ColumnName>| {
            let mut columns = BTreeSet::new();
            for (column, held) in from.iter().flat_map(|it| self.of(&it.relation).map(move |held| (it, held)))
            {
                brought.unknown |= held.unknown;
                columns.extend(
                    held.all.iter().chain(held.each.get(&column.column).into_iter().flatten()).cloned(),
                );
            }
            columns
        };
        let all = held(&flow.all);
        let each: Vec<_> = flow.each.iter().map(|(to, from)| (to.clone(), held(from))).collect();
        brought.all = all;
        brought.each = each.into_iter().filter(|(_, from)| !from.is_empty()).collect();
        (brought.unknown || !brought.all.is_empty() || !brought.each.is_empty()).then_some(brought)
    }

    /// Whether such a flow brings along what it does not by those.
    #[must_use]
    pub fn brings_more_than(&self, those: &Self, flow: &Flow) -> bool {
        let Some(brought) = self.through(flow) else { return false };
        those.through(flow).is_none_or(|known| !known.covers(&brought))
    }

    /// Whether these are the same, known by being shared.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Whether nothing is tainted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The relations that hold anything.
    pub(crate) fn relations(&self) -> impl Iterator<Item = &RelationName> {
        self.0.keys()
    }

    /// What is known of a relation, in its own schema and under any.
    pub fn of<'t>(&'t self, relation: &RelationName) -> impl Iterator<Item = &'t Flow> + use<'t> {
        let schema = remembered(&relation.schema);
        let names = [(schema, &*relation.name), ("", &*relation.name), ("", "")];
        let found = |(schema, name)| self.0.get(&RelationName::new(schema, name));
        let found = if self.is_empty() { [None; 3] } else { names.map(found) };
        found.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_where_it_comes_from_is_brought_along() {
        let of = |relation: &str, name: &str| ColumnName::new(RelationName::new("public", relation), name);
        let flow = |to: &str, from: ColumnName| Flow {
            each: [(to.to_owned(), [from].into())].into(),
            ..Flow::default()
        };
        let (first, second) = (RelationName::new("public", "first"), RelationName::new("public", "second"));
        let mut taints = Taints::default();
        let copies = flow("b", of("first", "a"));
        assert_eq!(taints.through(&copies), None);
        taints.add(first.clone(), flow("a", of("customers", "ssn"))).unwrap();
        assert_eq!(taints.through(&copies), Some(flow("b", of("customers", "ssn"))));
        assert_eq!(taints.through(&flow("b", of("first", "other"))), None);
        taints.add(RelationName::new("", "first"), Flow { unknown: true, ..Flow::default() }).unwrap();
        assert!(taints.through(&flow("b", of("first", "other"))).unwrap().unknown);
        assert!(taints.brings_more_than(&Taints::default(), &copies));
        assert!(!taints.brings_more_than(&taints, &copies));
        assert_eq!(copies.from_elsewhere(&second), Some(copies.clone()));
        assert_eq!(flow("a", of("first", "a")).from_elsewhere(&first), None);
        assert!(flow("b", of("first", "a")).from_elsewhere(&first).is_some());
    }

    fn column(name: &str) -> ColumnName {
        ColumnName::new(RelationName::new("public", "customers"), name)
    }

    #[test]
    fn taints_only_grow_and_are_found_by_schema_or_any() {
        let mut taints = Taints::default();
        let flow = |to: &str, from: &str| Flow {
            each: [(to.to_owned(), [column(from)].into())].into(),
            ..Flow::default()
        };
        assert_eq!(taints.add(RelationName::new("public", "t"), flow("a", "ssn")), Ok(true));
        assert_eq!(taints.add(RelationName::new("public", "t"), flow("a", "ssn")), Ok(false));
        assert_eq!(taints.add(RelationName::new("public", "t"), flow("a", "name")), Ok(true));
        assert_eq!(taints.add(RelationName::new("", "u"), flow("a", "ssn")), Ok(true));
        assert_eq!(taints.add(RelationName::new(TEMPORARY, "x"), flow("a", "ssn")), Ok(true));
        let held = |schema: &str, name: &str| {
            let mut all =
                taints.of(&RelationName::new(schema, name)).flat_map(|flow| flow.each.values().flatten());
            (all.next().is_some(), all.count() + 1)
        };
        assert_eq!(held("public", "t"), (true, 2));
        assert_eq!(held("other", "u"), (true, 1));
        assert!(held("pg_temp_7", "x").0);
        assert_eq!(taints.add(RelationName::new("pg_temp_7", "y"), flow("a", "ssn")), Ok(true));
        let held = |schema: &str, name: &str| {
            let mut all =
                taints.of(&RelationName::new(schema, name)).flat_map(|flow| flow.each.values().flatten());
            (all.next().is_some(), all.count() + 1)
        };
        assert!(held("pg_temp_7", "y").0 && held(TEMPORARY, "y").0);
        assert!(!held("other", "t").0);
        assert!(!held("public", "x").0);
        assert_eq!(taints.add(anywhere(), Flow { unknown: true, ..Flow::default() }), Ok(true));
        assert!(taints.of(&RelationName::new("public", "x")).all(|flow| flow.unknown));
    }
}
