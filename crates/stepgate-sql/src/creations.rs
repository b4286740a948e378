//! What a session's open transaction has made, which no catalog shows.
//!
//! Known is only what nothing else can be meant by: a name that no relation has that the catalog knows, temporary ones
//! of other sessions apart. So it does not matter where in the search path it stands, nor, once it is dropped or rolled
//! back, that it was there: what still names it fails.

use std::sync::{Arc, Mutex, PoisonError};

use stepgate_types::{Certainty, RelationName};

use crate::catalog::Catalog;
use crate::effect::{Created, Effect};
use crate::facts::Facts;

/// The most relations that are remembered of a transaction.
const MAX_MADE: usize = 256;

/// What a transaction made, in order. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Creations {
    made: Arc<Vec<Made>>,
    /// The catalog with all that in it, as it was last needed.
    over: Arc<Mutex<Option<Over>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Made {
    /// `None`: the session's own temporary one, whatever its name.
    schema: Option<String>,
    /// The session had no temporary schema before: what the catalog shows in it is another session's, which is gone.
    first: bool,
    facts: Facts,
}

#[derive(Debug)]
struct Over {
    of: Arc<()>,
    temporary: Option<String>,
    catalog: Option<Arc<Catalog>>,
}

impl PartialEq for Creations {
    fn eq(&self, other: &Self) -> bool {
        self.made == other.made
    }
}

impl Eq for Creations {}

fn is_temporary(schema: &str) -> bool {
    schema.starts_with("pg_temp_")
}

fn temporary(path: &[String]) -> Option<&String> {
    path.iter().find(|schema| is_temporary(schema))
}

impl Creations {
    /// Whether nothing was made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.made.is_empty()
    }

    /// Whether what a statement makes or drops may be followed once the server has done it.
    #[must_use]
    pub fn may_follow(facts: &Facts) -> bool {
        let sure = |made: &Created| made.sure && (!made.view || facts.is_settled());
        let Effect { creates, drops, indexes, .. } = &facts.effect;
        let follows = creates.as_ref().is_some_and(sure) || !drops.is_empty() || indexes.is_some();
        facts.certainty != Certainty::Unknown && !facts.effect.moves && follows
    }

    /// Takes note of what the server has done, by the catalog and path it was judged by. `false`: it cannot be told what
    /// there is now.
    #[must_use]
    pub fn follow(&mut self, facts: &Facts, catalog: &Catalog, path: &[String]) -> bool {
        if !Self::may_follow(facts) {
            return false;
        }
        self.over = Arc::default();
        if let Some(indexed) = &facts.effect.indexes {
            // Whatever is written to what was made is taken to be compared with all that is in it, index or none.
            return self.made.iter().any(|it| it.name() == Some(indexed));
        }
        let Some(created) = &facts.effect.creates else { return self.drop(&facts.effect.drops, catalog) };
        let of_server = |schema: &String| schema.starts_with("pg_");
        let schema = match created.name.as_slice() {
            [_] if created.temporary => None,
            [_] => path.iter().find(|schema| !of_server(schema)).cloned(),
            [.., schema, _] if !created.temporary && !of_server(schema) => Some(schema.clone()),
            [.., schema, _] if created.temporary && schema == crate::TEMPORARY => None,
            _ => return false,
        };
        if (schema.is_none() && !created.temporary) || self.made.len() >= MAX_MADE {
            return false;
        }
        let mut facts = facts.clone();
        if !facts.is_settled()
            && let Some(created) = &mut facts.effect.creates
        {
            // Code that ran may have put anything it read anywhere.
            created.holds = created.holds.take().filter(Vec::is_empty);
        }
        let first = schema.is_none() && temporary(path).is_none();
        Arc::make_mut(&mut self.made).push(Made { schema, first, facts });
        true
    }

    /// What is not in the catalog is dropped: no other relation of that name appears.
    fn drop(&mut self, names: &[String], catalog: &Catalog) -> bool {
        if names.iter().any(|name| catalog.is_named_elsewhere(name)) {
            return false;
        }
        let is_named = |relation: &RelationName| names.contains(&relation.name);
        let made = Arc::make_mut(&mut self.made);
        // One that the catalog has in the session's temporary schema would still be seen.
        let own = |name: &String| made.iter().any(|it| it.name() == Some(name));
        if catalog.has_temporary(|name| names.contains(name) && !own(name)) {
            return false;
        }
        made.retain(|it| it.name().is_none_or(|name| !names.contains(name)));
        for Made { facts, .. } in made {
            // What was taken from there came from elsewhere, which is named as well.
            facts.columns.retain(|column, _| !is_named(&column.relation));
            facts.relations.retain(|relation| !is_named(relation));
            let holds = facts.effect.creates.as_mut().and_then(|created| created.holds.as_mut());
            holds.into_iter().flatten().for_each(|each| each.retain(|it| !is_named(&it.relation)));
        }
        true
    }

    /// The catalog with all that was made. `None`: it is not certain what is meant by what.
    pub(crate) fn over(&self, catalog: &Catalog, path: &[String]) -> Option<Arc<Catalog>> {
        let temporary = temporary(path);
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = &*over
            && Arc::ptr_eq(&known.of, catalog.identity())
            && known.temporary.as_ref() == temporary
        {
            return known.catalog.clone();
        }
        let made = self.build(catalog, temporary).map(Arc::new);
        let of = Arc::clone(catalog.identity());
        *over = Some(Over { of, temporary: temporary.cloned(), catalog: made.clone() });
        made
    }

    fn build(&self, catalog: &Catalog, temporary: Option<&String>) -> Option<Catalog> {
        if catalog.runs_on_ddl() {
            return None;
        }
        let mut over = catalog.clone();
        if let Some(temporary) = temporary.filter(|_| self.made.iter().any(|it| it.first)) {
            over.empty(temporary);
        }
        for made in self.made.iter() {
            let name = made.name()?;
            let own = temporary.is_some_and(|schema| over.find(schema, name).is_some());
            // One that the catalog has in the temporary schema is gone: else this could not have been made.
            if over.is_named_elsewhere(name) || (own && made.schema.is_some()) {
                return None;
            }
            let schema = made.schema.as_ref().or(temporary)?;
            over.create_as(&made.facts, RelationName::new(schema, name))?;
        }
        Some(over)
    }
}

impl Made {
    fn name(&self) -> Option<&String> {
        self.facts.effect.creates.as_ref()?.name.last()
    }
}
