//! Relations that a session made after the snapshot was taken, and the labels they inherit.

use std::collections::BTreeSet;

use stepgate_types::{RelationName, Use};

use super::relation::{Column, Name};
use super::{Catalog, ColumnRef, Relation, RelationKind};
use crate::facts::{Created, Facts};

/// The schema by which a session reaches its temporary objects, whatever its real name
/// (PostgreSQL documentation, `search_path`).
const TEMPORARY: &str = "pg_temp";

impl Catalog {
    /// Adds what a statement made: every column of it stands for every base column that the statement reads.
    /// Says where it is, or `None` if it was not added: then nothing is known of it.
    ///
    /// Nobody says whether the statement would have succeeded. So a name that is known anywhere is not added:
    /// of any other name, what is made by it is all that it can mean.
    pub fn create(&mut self, made: &Facts, path: &[String]) -> Option<RelationName> {
        let Created { name, view, temporary, columns } = made.effect.creates.as_ref()?;
        let named = |schema: &String| !schema.starts_with("pg_");
        let name = match name.as_slice() {
            [name] if *temporary => RelationName::new(TEMPORARY, name),
            [name] => RelationName::new(path.iter().find(|schema| named(schema))?, name),
            [schema, name] if !*temporary || schema == TEMPORARY => RelationName::new(schema, name),
            _ => return None,
        };
        let repeated = columns.iter().collect::<BTreeSet<_>>().len() != columns.len();
        if repeated || self.by_name.values().any(|relations| relations.contains_key(&name.name)) {
            return None;
        }
        let mut reads_relations: Vec<_> =
            made.relations.iter().map(|it| self.find(&it.schema, &it.name)).collect::<Option<_>>()?;
        reads_relations.dedup();
        let mut relation = Relation {
            name: Name(name.clone()),
            kind: if *view { RelationKind::View } else { RelationKind::Table },
            reads: self.read_by(made)?,
            reads_relations,
            // Its constraints are not known: a write may be told what is in it already, or be shown the row.
            unique: vec![(0..columns.len()).collect()],
            bounded: true,
            ..Relation::default()
        };
        for (at, column) in columns.iter().enumerate() {
            let number = i32::try_from(at).ok()?.saturating_add(1);
            relation.column_index.insert(column.clone(), at);
            relation.columns.push(Column {
                name: column.clone(),
                number,
                not_null: false,
                sources: Vec::new(),
                reads: Vec::new(),
            });
            self.words.insert(column.clone());
        }
        self.words.insert(name.name.clone());
        // Its row type, which a cast may name.
        self.user_types.insert(name.name.clone());
        let schema = self.by_name.entry(name.schema.clone()).or_default();
        schema.insert(name.name.clone(), self.relations.len());
        self.relations.push(relation);
        Some(name)
    }

    /// A statement wrote to these relations of a session what it read elsewhere. `None`: it cannot be known
    /// what that was.
    pub fn fill(&mut self, created: &[RelationName], by: &Facts) -> Option<()> {
        let written = |name: &&RelationName| {
            by.columns.iter().any(|(column, uses)| column.relation == **name && uses.contains(&Use::Write))
        };
        for name in created.iter().filter(written) {
            let reads = self.read_by(by)?;
            let index = self.find(&name.schema, &name.name)?;
            self.relations.get_mut(index)?.reads.extend(reads);
        }
        Some(())
    }

    fn read_by(&self, facts: &Facts) -> Option<Vec<ColumnRef>> {
        let read = facts.columns.iter().filter(|(_, uses)| uses.iter().any(|used| *used != Use::Write));
        read.map(|(column, _)| {
            let index = self.find(&column.relation.schema, &column.relation.name)?;
            Some((index, self.relation(index)?.column(&column.column)?))
        })
        .collect()
    }
}
