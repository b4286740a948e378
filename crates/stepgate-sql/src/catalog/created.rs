//! Relations that a session made after the snapshot was taken, and the labels they inherit.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_types::{ColumnName, RelationName, Use};

use super::relation::{Column, ColumnType, Name, Reread, Unique};
use super::{Body, Catalog, ColumnRef, Relation, RelationKind, UserType};
use crate::effect::Created;
use crate::facts::Facts;
use crate::taint::TEMPORARY;

impl Catalog {
    /// Adds what a statement made; each column of it stands for the base columns that it is taken from. Says where it
    /// is, or `None` if it was not added: then nothing is known of it.
    ///
    /// Nobody says whether the statement would have succeeded. So a name that is known anywhere is not added:
    /// of any other name, what is made by it is all that it can mean.
    pub fn create(&mut self, made: &Facts, path: &[String]) -> Option<RelationName> {
        let Created { name, temporary, .. } = made.effect.creates.as_ref()?;
        let named = |schema: &String| !schema.starts_with("pg_");
        let name = match name.as_slice() {
            [name] if *temporary => RelationName::new(TEMPORARY, name),
            [name] => RelationName::new(path.iter().find(|schema| named(schema))?, name),
            [schema, name] if !*temporary || schema == TEMPORARY => RelationName::new(schema, name),
            _ => return None,
        };
        if self.by_name.values().any(|relations| relations.contains_key(&name.name)) {
            return None;
        }
        self.create_as(made, name.clone()).map(|()| name)
    }

    /// Adds what a statement made under this name. `None` if it was not: then less is known than there is.
    pub(crate) fn create_as(&mut self, made: &Facts, name: RelationName) -> Option<()> {
        let Created { view, columns, holds, calls, .. } = made.effect.creates.as_ref()?;
        let repeated = columns.iter().collect::<BTreeSet<_>>().len() != columns.len();
        if repeated {
            return None;
        }
        let mut reads_relations: Vec<_> =
            made.relations.iter().map(|it| self.find(&it.schema, &it.name)).collect::<Option<_>>()?;
        reads_relations.dedup();
        let read = made.columns.iter().filter(|(_, uses)| uses.iter().any(|used| *used != Use::Write));
        let is_output = |of: &(&ColumnName, &BTreeSet<Use>)| of.1.contains(&Use::Output);
        // What it shows, it may read besides.
        let is_besides = |of: &(&ColumnName, &BTreeSet<Use>)| {
            of.1.iter().any(|used| !matches!(used, Use::Output | Use::Write))
        };
        let besides = read.clone().filter(is_besides).map(|(column, _)| column);
        let all: BTreeSet<ColumnName> = read.filter(is_output).map(|(column, _)| column.clone()).collect();
        let mut relation = Relation {
            name: Name(name.clone()),
            kind: if *view { RelationKind::View } else { RelationKind::Table },
            // What a view reads besides what it shows, it reads each time.
            split: true,
            reads: if *view { self.refs(besides)? } else { Vec::new() },
            reads_relations,
            views: (!made.through_views).then(Vec::new),
            locks: *view && made.locks,
            // Its constraints are not known: a write may be told what is in it already, or be shown the row.
            unique: vec![Unique { columns: (0..columns.len()).collect(), plain: false }],
            bounded: true,
            // Operators may be any that somebody has made since.
            reread: Reread {
                functions: calls.iter().map(|name| name.as_str().into()).collect(),
                operators: self.own_operators().map(Box::from).collect(),
                casts: true,
            },
            ..Relation::default()
        };
        if !holds.as_ref().is_some_and(Vec::is_empty) {
            // Of which types its columns are is not known: values of some are checked.
            let types = self.user_types.values().flatten().filter_map(|of| of.runs.as_ref());
            let code = types.filter_map(|runs| runs.code.as_deref()).flatten();
            Body::merge(&mut relation.on_check, code);
            relation.on_read = relation.on_check.clone();
            relation.on_literal = relation.on_check.clone();
            // Those that have a default bring it with them.
            let defaults = self.user_types.values().flatten().filter_map(|of| of.default.as_ref());
            Body::merge(&mut relation.on_write, defaults);
        }
        for (at, column) in columns.iter().enumerate() {
            let number = i32::try_from(at).ok()?.saturating_add(1);
            relation.column_index.insert(column.clone(), at);
            let reads = match holds {
                Some(each) if each.is_empty() => Vec::new(),
                Some(each) => self.refs(each.get(at)?)?,
                None => self.refs(&all)?,
            };
            let known = Column::new(column, number, false, ColumnType::default());
            relation.columns.push(Column { reads, ..known });
            self.words.insert(column.clone());
        }
        self.words.insert(name.name.clone());
        // Its row type, which a cast may name.
        let row_type = UserType::unknown(&name.schema);
        self.user_types.entry(name.name.clone()).or_default().push(row_type);
        let schema = self.by_name.entry(name.schema.clone()).or_default();
        schema.insert(name.name.clone(), self.relations.len());
        self.relations.push(relation);
        self.identity = Arc::default();
        Some(())
    }

    /// Forgets the temporary relations of a schema: those that a session before had in it.
    pub(crate) fn empty(&mut self, schema: &str) {
        self.by_name.remove(schema);
        self.identity = Arc::default();
    }

    fn refs<'n>(&self, names: impl IntoIterator<Item = &'n ColumnName>) -> Option<Vec<ColumnRef>> {
        let find = |name: &ColumnName| {
            let index = self.find(&name.relation.schema, &name.relation.name)?;
            Some((index, self.relation(index)?.column(&name.column)?))
        };
        names.into_iter().map(find).collect()
    }
}
