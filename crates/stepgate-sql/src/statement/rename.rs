//! RENAME and SET SCHEMA. They read nothing and run nothing, and what has another name afterwards keeps its labels, so
//! nobody is asked:
//!
//! - What a catalog has shown is bound by OID before anybody used that catalog, on disk (`binding.rs`): its columns
//!   keep what they hold whatever they are called, through a kill of the gate too.
//! - What no catalog has shown, since the open transaction made it, is known by name alone: what was stored under the
//!   old name flows into the new one, and that is on disk before the statement is sent.
//! - Until a catalog shows the new names, what follows in the message or transaction is unknown where it depends on
//!   any ([`crate::effect::Effect::moves`]).
//!
//! What must be asked about: the server's own objects, since many are known by name (`builtin.rs`), and everything
//! while code may run as late as COMMIT, judged by what names meant when it was put off; and what code may find by its name
//! that the server runs outside of any session (`catalog/apart.rs`).

use std::collections::BTreeSet;

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{AlterObjectSchemaStmt, RenameStmt};
use pg_raw_parse::raw::ObjectType;
use stepgate_types::{ColumnName, RelationName, Use};

use super::{Context, statement_doubt};
use crate::builtin;
use crate::catalog::RelationIndex;
use crate::facts::Facts;
use crate::grammar::name;
use crate::taint::{Flow, TEMPORARY, remembered};

/// RENAME. None: it is not known what that does.
pub(super) fn renames(rename: &RenameStmt, context: Context<'_>, facts: &mut Facts) -> Option<()> {
    let was = match rename.rename_type {
        object if is_relation(object) || object == ObjectType::OBJECT_COLUMN => {
            let table = name(rename.relation()?);
            relation(&table, object, context, facts)?;
            table.last().cloned()
        }
        ObjectType::OBJECT_SCHEMA => {
            allowed(!is_of_server(rename.subname()?) && !is_of_server(rename.newname()?))?;
            allowed(!context.catalog.runs_apart_in(rename.subname()?))?;
            None
        }
        object if is_routine(object) => {
            routine(&names(rename.object())?, context)?;
            last(rename.object())
        }
        ObjectType::OBJECT_TABCONSTRAINT | ObjectType::OBJECT_DOMCONSTRAINT => return Some(()),
        object => {
            nothing_held(object, rename.object())?;
            last(rename.object())
        }
    };
    // What code finds of a column, it finds by its table's name.
    let new = rename.newname().filter(|_| rename.rename_type != ObjectType::OBJECT_COLUMN);
    moves(context, was.as_deref().into_iter().chain(new), facts)
}

/// SET SCHEMA. None: it is not known what that does.
pub(super) fn sets_schema(
    alter: &AlterObjectSchemaStmt,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    match alter.object_type {
        object if is_relation(object) => relation(&name(alter.relation()?), object, context, facts)?,
        object if is_routine(object) => routine(&names(alter.object())?, context)?,
        object => nothing_held(object, alter.object())?,
    }
    allowed(!is_of_server(alter.newschema()?))?;
    let moved = match alter.object() {
        object if !is_relation(alter.object_type) => last(object)?,
        _ => name(alter.relation()?).pop()?,
    };
    moves(context, [moved.as_str()], facts)
}

/// From now on these names may mean something else, and others. None: somebody's code may run then that was judged before.
pub(super) fn moves<'n>(
    context: Context<'_>,
    names: impl IntoIterator<Item = &'n str>,
    facts: &mut Facts,
) -> Option<()> {
    allowed(!context.catalog.runs_late() && !context.session.bound && !context.catalog.runs_apart(names))?;
    facts.effect.moves = true;
    Some(())
}

/// The last part of an object's name.
fn last(object: Node<'_>) -> Option<String> {
    match object {
        Node::NodeList(parts) => parts.iter().next_back()?.as_str().map(str::to_owned),
        _ => names(object)?.pop(),
    }
}

fn allowed(so: bool) -> Option<()> {
    so.then_some(())
}

/// Whether a schema is the server's. The session's own temporary one is not.
pub(super) fn is_of_server(schema: &str) -> bool {
    schema == "information_schema" || (schema.starts_with("pg_") && !schema.starts_with("pg_temp"))
}

/// What the server takes ALTER … RENAME for is what the relation is, not what the statement calls it (tablecmds.c,
/// `RangeVarCallbackForAlterRelation`).
fn is_relation(object: ObjectType::Type) -> bool {
    matches!(
        object,
        ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_INDEX
            | ObjectType::OBJECT_SEQUENCE
    )
}

fn is_routine(object: ObjectType::Type) -> bool {
    matches!(
        object,
        ObjectType::OBJECT_FUNCTION
            | ObjectType::OBJECT_PROCEDURE
            | ObjectType::OBJECT_ROUTINE
            | ObjectType::OBJECT_AGGREGATE
    )
}

/// An object that has no columns, nor any object that has. A row type cannot be renamed by itself.
fn nothing_held(kind: ObjectType::Type, object: Node<'_>) -> Option<()> {
    match (kind, object) {
        (ObjectType::OBJECT_STATISTIC_EXT | ObjectType::OBJECT_COLLATION, _) => Some(()),
        (ObjectType::OBJECT_TYPE | ObjectType::OBJECT_DOMAIN, Node::NodeList(name)) => {
            let name: Option<Vec<&str>> = name.iter().map(|part| part.as_str()).collect();
            match name?.as_slice() {
                [name] => allowed(!builtin::builtin_type(name)),
                [.., schema, _] => allowed(!is_of_server(schema)),
                [] => None,
            }
        }
        _ => None,
    }
}

/// The qualified name of a function.
fn names(object: Node<'_>) -> Option<Vec<String>> {
    let Node::ObjectWithArgs(it) = object else { return None };
    it.objname().iter().map(|part| part.as_str().map(str::to_owned)).collect()
}

/// Of the server's functions many are known by name.
fn routine(name: &[String], context: Context<'_>) -> Option<()> {
    match name {
        [name] => allowed(!context.catalog.is_server_function(name)),
        [.., schema, _] => allowed(!is_of_server(schema)),
        [] => None,
    }
}

/// A relation that gets another name, or of which a column does.
fn relation(
    name: &[String],
    object: ObjectType::Type,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    let Context { catalog, session, .. } = context;
    if let [.., schema, _] = name {
        allowed(!is_of_server(schema))?;
    }
    let found = found(name, context);
    if let Some(found) = found.and_then(|at| catalog.relation(at)) {
        allowed(!found.is_system())?;
        if found.is_base() {
            facts.relations.insert(found.name.0.clone());
        }
    }
    let is_temporary = name.last().is_some_and(|name| session.temporaries.contains(name));
    // Indexes are not in the catalog, sequences hold nothing. Without a path, the transaction may have made it.
    let holds_nothing = matches!(object, ObjectType::OBJECT_INDEX | ObjectType::OBJECT_SEQUENCE);
    let may_be_new = session.search_path.is_none() || is_temporary || holds_nothing;
    if found.is_none() && !may_be_new {
        statement_doubt(facts, "unknown-relation");
    }
    Some(())
}

/// The one relation that a name means, where that is certain.
fn found(name: &[String], context: Context<'_>) -> Option<RelationIndex> {
    let Context { catalog, session, .. } = context;
    let path = session.search_path.as_ref()?;
    match name {
        [name] => path.iter().find_map(|schema| catalog.find(schema, name)),
        [.., schema, name] if schema == TEMPORARY => {
            let own = path.iter().filter(|schema| remembered(schema) == TEMPORARY);
            own.filter_map(|schema| catalog.find(schema, name)).next()
        }
        [.., schema, name] => catalog.find(schema, name),
        [] => None,
    }
}

/// What a relation, column or schema holds by its old name flows into the new one. Also where the catalog does not have
/// it: a transaction may have made it, and what was stored in it since is known by its name alone.
pub(super) fn follows(context: Context<'_>, facts: &mut Facts) {
    for (relation, flow) in moved(context).unwrap_or_default() {
        for source in flow.each.values().flatten().chain(&flow.all) {
            facts.columns.entry(source.clone()).or_default().insert(Use::Write);
        }
        facts.flows.entry(relation).or_default().add(flow);
    }
}

fn moved(context: Context<'_>) -> Option<Vec<(RelationName, Flow)>> {
    let (from, schema, new) = match context.node? {
        Node::RenameStmt(it) if it.rename_type == ObjectType::OBJECT_SCHEMA => {
            return Some(in_schema(it.subname()?, it.newname()?, context));
        }
        Node::RenameStmt(it)
            if matches!(it.rename_type, ObjectType::OBJECT_COLUMN | ObjectType::OBJECT_ATTRIBUTE) =>
        {
            return column(&name(it.relation()?), it.subname()?, it.newname()?, context);
        }
        Node::RenameStmt(it) if is_relation(it.rename_type) => {
            (name(it.relation()?), None, it.newname()?.to_owned())
        }
        Node::AlterObjectSchemaStmt(it) => {
            let from = name(it.relation()?);
            let new = from.last()?.clone();
            (from, Some(it.newschema()?.to_owned()), new)
        }
        _ => return None,
    };
    let schema = schema.unwrap_or_else(|| schema_of(&from, context));
    Some(vec![(RelationName::new(remembered(&schema), new), held(&from, context))])
}

/// What the relations of a schema hold by names alone. What the catalog has of it is bound by OID.
fn in_schema(old: &str, new: &str, context: Context<'_>) -> Vec<(RelationName, Flow)> {
    let stored = stored(context).into_iter().filter(|relation| relation.schema == remembered(old));
    stored.map(|relation| (RelationName::new(new, &relation.name), tainted(relation, context))).collect()
}

/// What a column holds. Those of children are renamed with it: children that the transaction made are known by their
/// names alone, so every relation counts that has something in a column of that name. So are temporary ones, always.
fn column(from: &[String], old: &str, new: &str, context: Context<'_>) -> Option<Vec<(RelationName, Flow)>> {
    let of_column = |held: Flow| Flow {
        each: held.each.get(old).map(|sources| (new.to_owned(), sources.clone())).into_iter().collect(),
        ..Flow::default()
    };
    let itself = RelationName::new(schema_of(from, context), from.last()?.clone());
    let mut all = vec![(itself, of_column(held(from, context)))];
    if context.session.search_path.is_none() {
        all.extend(
            stored(context)
                .into_iter()
                .map(|relation| (relation.clone(), of_column(tainted(relation, context))))
                .filter(|(_, flow)| !flow.each.is_empty()),
        );
    }
    let children = temporary_children(from, context).into_iter();
    all.extend(children.map(|child| (child.clone(), of_column(tainted(&child, context)))));
    Some(all)
}

/// The temporary children of a relation, which nothing but their names tells.
fn temporary_children(of: &[String], context: Context<'_>) -> Vec<RelationName> {
    let catalog = context.catalog;
    let parent = found(of, context).and_then(|at| catalog.relation(at));
    let children = parent.into_iter().flat_map(|parent| &parent.children);
    let names = children.filter_map(|at| Some(&catalog.relation(*at)?.name.0));
    let own = names.filter(|name| remembered(&name.schema) == TEMPORARY);
    own.map(|name| RelationName::new(TEMPORARY, &name.name)).collect()
}

/// The schema that a name stands in, as it is remembered and as far as it is certain; `""` is any.
fn schema_of(name: &[String], context: Context<'_>) -> String {
    let schema = match name {
        [.., schema, _] => schema.clone(),
        [name] if is_temporary(name, context) => TEMPORARY.to_owned(),
        _ => certain_schema(name, context).unwrap_or_default(),
    };
    remembered(&schema).to_owned()
}

/// Whether a name is a temporary relation's and no other's.
fn is_temporary(name: &String, context: Context<'_>) -> bool {
    let Context { catalog, session, .. } = context;
    session.search_path.is_some() && session.temporaries.contains(name) && !catalog.is_named_elsewhere(name)
}

/// The schema in which a name without one is found, unless a temporary relation may stand before it.
fn certain_schema(name: &[String], context: Context<'_>) -> Option<String> {
    let last = name.last().filter(|last| !context.session.temporaries.contains(*last))?;
    let path = context.session.search_path.as_ref()?;
    path.iter().find(|schema| context.catalog.find(schema, last).is_some()).cloned()
}

/// Relations that are known to hold something, by their names.
fn stored(context: Context<'_>) -> BTreeSet<&RelationName> {
    context.session.taints.relations().chain(context.session.own_taints.relations()).collect()
}

fn tainted(relation: &RelationName, context: Context<'_>) -> Flow {
    let mut flow = Flow::default();
    context.session.tainted(relation).for_each(|it| flow.add(it.clone()));
    flow
}

/// What any relation of that name holds, whichever it is: its own columns, and what was stored in them. What they hold
/// by their partitions or by what they are computed from stays with them.
fn held(from: &[String], context: Context<'_>) -> Flow {
    let schema = schema_of(from, context);
    let Some(last) = from.last() else { return Flow { unknown: true, ..Flow::default() } };
    let is_named = |it: &RelationName| it.name == *last && (schema.is_empty() || schema == it.schema);
    let mut flow = Flow::default();
    for (_, relation) in context.catalog.base_relations().filter(|(_, relation)| is_named(&relation.name.0)) {
        for column in &relation.columns {
            let own = ColumnName::new(relation.name.0.clone(), column.name.clone());
            flow.each.entry(column.name.clone()).or_default().insert(own);
        }
        flow.add(tainted(&relation.name.0, context));
    }
    for relation in stored(context) {
        if relation.name == *last && (relation.schema.is_empty() || is_named(relation)) {
            flow.add(tainted(relation, context));
        }
    }
    flow
}
