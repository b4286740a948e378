//! RENAME and SET SCHEMA. Labels hold by name: what has columns that may be labelled, or is the schema of such, keeps
//! its name, or the statement is a doubt. What it holds goes with it all the same, once somebody has approved that.

use std::collections::{BTreeSet, HashSet};

use pg_raw_parse::Node;
use pg_raw_parse::nodes::RenameStmt;
use pg_raw_parse::raw::ObjectType;
use stepgate_types::{ColumnName, RelationName, Use};

use super::Context;
use crate::facts::Facts;
use crate::grammar::name;
use crate::taint::Flow;

/// Whether no label can hold by the name that is changed.
pub(super) fn is_harmless(rename: &RenameStmt, context: Context<'_>) -> bool {
    let Context { catalog, session, .. } = context;
    match rename.rename_type {
        // The server renames a table as well if it is called an index (tablecmds.c,
        // `RangeVarCallbackForAlterRelation`). Without a path, not all relations are known.
        ObjectType::OBJECT_INDEX => {
            let name = rename.relation().and_then(|it| name(it).pop());
            let is_table = |name: String| catalog.is_relation(&name) || session.temporaries.contains(&name);
            session.search_path.is_some() && name.is_some_and(|name| !is_table(name))
        }
        ObjectType::OBJECT_TABCONSTRAINT => true,
        object => may_move(object),
    }
}

/// Whether such an object has no columns, nor any object that has. A row type cannot be renamed by itself.
pub(super) fn may_move(object: ObjectType::Type) -> bool {
    matches!(
        object,
        ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_TYPE
            | ObjectType::OBJECT_DOMAIN
            | ObjectType::OBJECT_DOMCONSTRAINT
            | ObjectType::OBJECT_STATISTIC_EXT
            | ObjectType::OBJECT_COLLATION
    )
}

/// What a relation or column holds by its old name flows into the new one. Also where the catalog does not have it: a
/// transaction may have made it, and what was stored in it since is known by its name alone.
pub(super) fn follows(context: Context<'_>, facts: &mut Facts) {
    let Some((from, to, flow)) = moved(context) else { return };
    for source in flow.each.values().flatten().chain(&flow.all) {
        facts.columns.entry(source.clone()).or_default().insert(Use::Write);
    }
    let schema = match from.as_slice() {
        [schema, _] => schema.clone(),
        [name] => {
            let mut path = context.session.search_path.iter().flatten();
            let found = path.find(|schema| context.catalog.find(schema, name).is_some());
            found.cloned().unwrap_or_default()
        }
        _ => return,
    };
    let schema = to.schema.unwrap_or(schema);
    facts.flows.entry(RelationName::new(schema, to.name)).or_default().add(flow);
}

/// What a relation is called afterwards.
struct To {
    schema: Option<String>,
    name: String,
}

fn moved(context: Context<'_>) -> Option<(Vec<String>, To, Flow)> {
    match context.node? {
        Node::RenameStmt(it) if it.rename_type == ObjectType::OBJECT_COLUMN => {
            let (from, old, new) = (name(it.relation()?), it.subname()?, it.newname()?);
            let held = held(&from, context);
            let mut each = held.each;
            each.retain(|column, _| column == old);
            let each = each.into_values().map(|sources| (new.to_owned(), sources)).collect();
            let to = To { schema: None, name: from.last()?.clone() };
            Some((from, to, Flow { each, ..Flow::default() }))
        }
        Node::RenameStmt(it) => {
            let from = name(it.relation()?);
            let flow = held(&from, context);
            Some((from, To { schema: None, name: it.newname()?.to_owned() }, flow))
        }
        Node::AlterObjectSchemaStmt(it) => {
            let from = name(it.relation()?);
            let flow = held(&from, context);
            let to = To { schema: Some(it.newschema()?.to_owned()), name: from.last()?.clone() };
            Some((from, to, flow))
        }
        _ => None,
    }
}

/// What any relation of that name holds, which one ever it is.
fn held(from: &[String], context: Context<'_>) -> Flow {
    let Context { catalog, session, .. } = context;
    let (schema, last) = match from {
        [schema, last] => (Some(schema), last),
        [last] => (None, last),
        _ => return Flow { unknown: true, ..Flow::default() },
    };
    let is_named = |it: &RelationName| it.name == *last && schema.is_none_or(|schema| *schema == it.schema);
    let mut flow = Flow::default();
    for (index, relation) in catalog.base_relations().filter(|(_, relation)| is_named(&relation.name.0)) {
        for (at, column) in relation.columns.iter().enumerate() {
            let mut lineage = HashSet::new();
            catalog.lineage((index, at), &mut lineage);
            let mut sources: BTreeSet<ColumnName> =
                lineage.into_iter().filter_map(|column| catalog.base_column(column)).collect();
            for known in sources.clone() {
                let tainted = session.tainted(&known.relation);
                sources.extend(
                    tainted
                        .flat_map(|it| it.each.get(&known.column).into_iter().flatten().chain(&it.all))
                        .cloned(),
                );
            }
            flow.each.entry(column.name.clone()).or_default().extend(sources);
        }
    }
    let stored = session.taints.relations().chain(session.own_taints.relations());
    let stored: BTreeSet<&RelationName> =
        stored.filter(|it| it.name == *last && (it.schema.is_empty() || is_named(it))).collect();
    for relation in stored {
        session.tainted(relation).for_each(|it| flow.add(it.clone()));
    }
    flow
}
