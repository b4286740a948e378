//! What hangs on what there is, and goes with it where DROP cascades. Too much, never too little: of types nobody says which
//! others they are part of, nor of functions what they take.

use std::sync::Arc;

use super::{Catalog, Column, Relation, RelationIndex, RelationKind, Routine, Trigger};

impl Catalog {
    /// The names, with their schemas, of what may go with these relations where DROP cascades: views upon them, and functions
    /// that are seen through, which may take their rows. `None`: more than `most`.
    pub(crate) fn dropped_with(
        &self,
        mut gone: Vec<RelationIndex>,
        most: usize,
    ) -> Option<Vec<(&str, &str)>> {
        let is_known = |(schema, routine): &&(String, Arc<Routine>)| {
            schema != "information_schema" && routine.code.as_ref().is_some_and(|it| !it.is_empty())
        };
        let functions = self.routines.iter().flat_map(|(name, all)| {
            all.iter().filter(is_known).map(|(schema, _)| (schema.as_str(), name.as_str()))
        });
        let mut names: Vec<(&str, &str)> = functions.take(most.saturating_add(1)).collect();
        loop {
            let upon = |view: &Relation| {
                let is_gone = |of: &RelationIndex| gone.contains(of);
                view.views.as_ref().is_none_or(|views| views.iter().any(is_gone))
                    || view.reads_relations.iter().any(is_gone)
            };
            let is_upon = |(at, it): &(RelationIndex, &Relation)| {
                matches!(it.kind, RelationKind::View | RelationKind::MaterialisedView)
                    && !it.is_system()
                    && !gone.contains(at)
                    && upon(it)
            };
            let found: Vec<_> = self.relations.iter().enumerate().filter(is_upon).take(most).collect();
            if names.len() > most || gone.len() > most {
                return None;
            }
            if found.is_empty() {
                return Some(names);
            }
            names.extend(found.iter().map(|(_, view)| (&*view.name.0.schema, &*view.name.0.name)));
            let found: Vec<RelationIndex> = found.into_iter().map(|(at, _)| at).collect();
            gone.extend(found);
        }
    }

    /// Relations with a column of a type that somebody defined: of one of these, or, where none are given, of any.
    pub(crate) fn typed(&self, types: Option<&[u32]>) -> Vec<RelationIndex> {
        let is_one = |column: &Column| match types {
            Some(types) => types.contains(&column.of.0),
            // From 16384 on they are not the server's own (access/transam.h).
            None => column.of.0 >= 16_384,
        };
        let typed = self.relations.iter().enumerate().filter(|(_, it)| it.columns.iter().any(is_one));
        typed.map(|(at, _)| at).collect()
    }

    /// OIDs of the types of that name, row types among them, and of arrays of such.
    pub(crate) fn types_of<'n>(&'n self, name: &'n str) -> impl Iterator<Item = u32> + 'n {
        let of = |name: &str| self.user_types(name).iter().map(|of| of.oid);
        of(name).chain(of(&format!("_{name}")).collect::<Vec<_>>())
    }

    /// Relations whose definition, or code that runs with them, says that word.
    pub(crate) fn saying(&self, word: &str) -> Vec<RelationIndex> {
        let defined = |at: RelationIndex| {
            self.definitions.get(&at).is_some_and(|view| view.text.is_empty() || view.text.contains(word))
        };
        let says = |(at, it): &(RelationIndex, &Relation)| {
            let runs = it.on_write.iter().chain(&it.on_check).chain(&it.on_show).chain(&it.on_read);
            let calls = |trigger: &Trigger| {
                trigger.calls.as_ref().is_none_or(|(_, name)| **name == *word)
                    || trigger.steps().any(|step| step.body.text.contains(word))
            };
            let mut runs = runs.map(|body| body.text.as_str());
            defined(*at)
                || runs.any(|text| text == "?" || text.contains(word))
                || it.triggers.iter().any(calls)
        };
        let all = self.relations.iter().enumerate().filter(|(_, it)| !it.is_system());
        all.filter(says).map(|(at, _)| at).collect()
    }
}
