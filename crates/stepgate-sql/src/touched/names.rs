//! Names, each with the schemas in which it may stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Schemas in which something may stand; `None`: any.
pub type Schemas = Option<Arc<BTreeSet<Box<str>>>>;

/// Names, each with those in which it may stand.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Names(BTreeMap<Box<str>, Schemas>);

/// Schemas that names without one may come to stand in, or that they stand in no more.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Opens {
    /// Whichever: somebody's rights change.
    pub any: bool,
    /// These.
    pub schemas: BTreeSet<Box<str>>,
}

impl Opens {
    /// Those, and others.
    pub fn extend(&mut self, more: Self) {
        self.any |= more.any;
        self.schemas.extend(more.schemas);
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        !self.any && self.schemas.is_empty()
    }
}

impl Names {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Box<str>> {
        self.0.keys()
    }

    /// Each with its schemas.
    pub fn with_schemas(&self) -> impl Iterator<Item = (&str, &Schemas)> {
        self.0.iter().map(|(name, schemas)| (&**name, schemas))
    }

    /// Whether something of that name may stand in one of these schemas.
    #[must_use]
    pub fn has(&self, name: &str, schemas: &Schemas) -> bool {
        self.0.get(name).is_some_and(|of| meet(of, schemas))
    }

    pub(super) fn one(name: &str, schemas: Schemas) -> Self {
        Self(BTreeMap::from([(name.into(), schemas)]))
    }

    pub(super) fn add(&mut self, name: &str, schemas: &Schemas) {
        match self.0.get_mut(name) {
            Some(of) => join(of, schemas),
            None => drop(self.0.insert(name.into(), schemas.clone())),
        }
    }

    pub(super) fn extend(&mut self, more: Self) {
        for (name, schemas) in more.0 {
            self.add(&name, &schemas);
        }
    }
}

impl<const N: usize> From<[Box<str>; N]> for Names {
    fn from(names: [Box<str>; N]) -> Self {
        Self(names.into_iter().map(|name| (name, None)).collect())
    }
}

/// Whether a schema may be one of both.
fn meet(some: &Schemas, others: &Schemas) -> bool {
    match (some, others) {
        (Some(some), Some(others)) => some.iter().any(|schema| others.contains(schema)),
        _ => true,
    }
}

fn join(all: &mut Schemas, more: &Schemas) {
    *all = match (all.take(), more) {
        (Some(all), Some(more)) if more.is_subset(&all) => Some(all),
        (Some(all), Some(more)) => Some(Arc::new(all.union(more).cloned().collect())),
        _ => None,
    };
}

/// Those of a path, and the server's own, which is on every one.
pub(super) fn on_path(path: Option<&[String]>) -> Schemas {
    let path = path?.iter().map(|schema| schema.as_str().into());
    Some(Arc::new(path.chain([Box::from("pg_catalog")]).collect()))
}

/// That one alone.
pub(super) fn only(schema: &str) -> Schemas {
    Some(Arc::new(BTreeSet::from([schema.into()])))
}
