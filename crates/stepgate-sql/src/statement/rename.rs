//! RENAME and SET SCHEMA. Labels hold by name: what has columns that may be labelled, or is the schema of such, keeps
//! its name, or the statement is a doubt.

use pg_raw_parse::nodes::RenameStmt;
use pg_raw_parse::raw::ObjectType;

use super::Context;
use crate::grammar;

/// Whether no label can hold by the name that is changed.
pub(super) fn is_harmless(rename: &RenameStmt, context: Context<'_>) -> bool {
    let Context { catalog, session, .. } = context;
    match rename.rename_type {
        // The server renames a table as well if it is called an index (tablecmds.c,
        // `RangeVarCallbackForAlterRelation`). Without a path, not all relations are known.
        ObjectType::OBJECT_INDEX => {
            let name = rename.relation().and_then(|it| grammar::name(it).pop());
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
