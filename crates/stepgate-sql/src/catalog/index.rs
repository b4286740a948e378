//! In which order an index gives rows, where nobody asked for one.

use super::load::{Answers, CatalogError, Loader, number, numbers, truth};
use super::relation::Relation;

/// An index of more than one column, or of a part of the rows: it may be read for the sake of one column, or of those rows,
/// and its rows come by the others.
#[derive(Debug, Clone)]
pub(crate) struct Index {
    /// The columns of each key: of an expression, those that it names.
    pub(crate) keys: Vec<Vec<usize>>,
    /// Which of its expressions names which of their columns is not known.
    pub(crate) vague: bool,
    /// By how many of the keys the rows come. What follows a key that no two rows share tells nothing.
    pub(crate) telling: usize,
    /// Columns that it has as they are: of a query that reads no others, the table need not be read.
    pub(crate) holds: Vec<usize>,
    /// What its condition names, if it has one.
    pub(crate) condition: Option<Vec<usize>>,
}

impl Relation {
    /// The sets of columns in which no two rows of it, its children's included, are the same at any time.
    pub(crate) fn row_keys<'r>(&'r self, children: &'r [&'r Self]) -> impl Iterator<Item = &'r [usize]> {
        let names = |of: &Self, columns: &[usize]| -> Option<Vec<String>> {
            columns.iter().map(|at| Some(of.columns.get(*at)?.name.clone())).collect()
        };
        let everywhere = move |columns: &[usize]| {
            let wanted = names(self, columns);
            children.iter().all(|child| {
                let at = wanted.iter().flatten().map(|name| child.column(name)).collect::<Option<Vec<_>>>();
                at.is_some_and(|mut at| {
                    at.sort_unstable();
                    child.own_keys().any(|own| own == at)
                })
            })
        };
        self.own_keys().filter(move |columns| everywhere(columns))
    }

    /// The same of its own rows alone.
    fn own_keys(&self) -> impl Iterator<Item = &[usize]> {
        let is_not_null = |at: &usize| self.columns.get(*at).is_some_and(|column| column.not_null);
        let keys = self.unique.iter().filter(|key| key.plain).map(|key| key.columns.as_slice());
        keys.filter(move |key| key.iter().all(is_not_null))
            .filter(|key| !self.deferred.iter().any(|deferred| deferred == key))
    }
}

/// Indexes, where columns and constraints are known.
pub(super) fn load(loader: &mut Loader, answers: &Answers<'_>) -> Result<(), CatalogError> {
    for row in answers.rows::<7>("indexes")? {
        let [oid, count, columns, expressions, condition, ordered, immediate] = row?;
        let Some(at) = loader.known(oid) else { continue };
        let Some(relation) = loader.catalog.relations.get_mut(at) else { continue };
        let count: usize = number(count, "indexes")?;
        let columns = numbers(columns);
        let named = |text: &str| match text {
            "-" | "" => Vec::new(),
            text => relation.positions(&numbers(text)),
        };
        let computed = named(expressions);
        let condition = (condition != "-").then(|| named(condition));
        let place = |number: &i32| relation.columns.iter().position(|column| column.number == *number);
        let holds: Vec<usize> = columns.iter().filter_map(place).collect();
        let keys: Vec<Vec<usize>> = columns
            .iter()
            .take(count)
            .map(|number| place(number).map_or_else(|| computed.clone(), |at| vec![at]))
            .collect();
        let mut indexed: Vec<usize> =
            holds.iter().chain(&computed).chain(condition.iter().flatten()).copied().collect();
        indexed.sort_unstable();
        indexed.dedup();
        if !truth(immediate) {
            let mut deferred: Vec<usize> = columns.iter().take(count).filter_map(place).collect();
            deferred.sort_unstable();
            relation.deferred.push(deferred);
        }
        if truth(ordered) && (columns.len() > 1 || condition.is_some()) {
            let vague = columns.iter().take(count).filter(|number| **number == 0).count() > 1;
            relation.indexes.push(Index { telling: keys.len(), keys, vague, holds, condition });
        }
        relation.indexed.extend(indexed);
    }
    for relation in &mut loader.catalog.relations {
        relation.indexed.sort_unstable();
        relation.indexed.dedup();
        let mut indexes = std::mem::take(&mut relation.indexes);
        for index in &mut indexes {
            let tells = |count: &usize| {
                let before: Vec<usize> =
                    index.keys.iter().take(*count).filter(|key| key.len() == 1).flatten().copied().collect();
                !relation.own_keys().any(|key| key.iter().all(|at| before.contains(at)))
            };
            index.telling = (0..index.keys.len()).take_while(tells).count();
        }
        relation.indexes = indexes;
    }
    Ok(())
}
