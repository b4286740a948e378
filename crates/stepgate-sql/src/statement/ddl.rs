//! DDL, by PostgreSQL's own tree: those forms whose effect is known.
//!
//! What is not listed is a doubt; so are the forms by which a label could lose what it is on (INHERIT, ATTACH PARTITION,
//! DROP EXPRESSION) and those that have code run where nobody asks for it (casts, rules, triggers).

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{AlterTableCmd, ColumnDef, Constraint, CreateStmt, DropStmt, IndexStmt, TypeName};
use pg_raw_parse::raw::{AlterTableType, ConstrType, DropBehavior, ObjectType};
use stepgate_types::Use;

use super::create::is_among_temporary;
use super::expression::{Expressions, columns, names};
use super::{Context, rename, routine, statement_doubt};
use crate::builtin;
use crate::catalog::Catalog;
use crate::effect::Created;
use crate::facts::{Facts, Sink, SinkKind};
use crate::grammar::name;
use crate::walk;

/// What the statement reads and makes; a doubt where that is not known.
pub(super) fn command(context: Context<'_>, facts: &mut Facts) {
    if known(context, facts).is_none() {
        statement_doubt(facts, "unsupported-statement");
        facts.effect.binds = context.node.is_some_and(may_bind);
    }
    // Whether or not people are asked.
    rename::follows(context, facts);
}

/// Whether a command may make an index or statistics of expressions.
fn may_bind(node: Node<'_>) -> bool {
    matches!(
        node,
        Node::IndexStmt(_) | Node::CreateStatsStmt(_) | Node::CreateStmt(_) | Node::AlterTableStmt(_)
    )
}

/// Whether a command does what it does whatever names mean: it reads nothing and runs nothing.
pub(crate) fn stands_alone(node: Node<'_>) -> bool {
    match node {
        Node::RenameStmt(_) | Node::AlterObjectSchemaStmt(_) | Node::CreateFunctionStmt(_) => true,
        Node::CommentStmt(_) => true,
        Node::DropStmt(it) => may_drop(it.remove_type),
        _ => false,
    }
}

/// None: it is not known.
fn known(context: Context<'_>, facts: &mut Facts) -> Option<()> {
    let catalog = context.catalog;
    let mut computed = Expressions::default();
    let mut table = None;
    match context.node? {
        Node::CreateStmt(it) => {
            facts.effect.creates = create_table(it, &mut computed, catalog)?;
            partition(it, &mut computed, context, facts)?;
        }
        Node::AlterTableStmt(it) => {
            let name = name(it.relation()?);
            if it.objtype == ObjectType::OBJECT_TABLE && it.cmds().iter().any(rewrites) {
                walk::rewrites(&name, context, facts);
            }
            for command in it.cmds() {
                let Node::AlterTableCmd(command) = command else { return None };
                alter(&name, command, &mut computed, context, facts)?;
            }
            table = Some(name);
        }
        Node::IndexStmt(it) => index(it, &mut computed, context, facts)?,
        Node::RefreshMatViewStmt(it) => walk::refresh(&name(it.relation()?), context, facts),
        Node::CreateSchemaStmt(it) => none(it.authrole().is_some() || !it.schema_elts().is_empty())?,
        Node::CompositeTypeStmt(it) => {
            it.coldeflist().iter().try_for_each(|it| plain_column(it, &mut computed, catalog))?;
        }
        Node::CreateStatsStmt(it) => it.exprs().iter().try_for_each(|it| match it {
            Node::StatsElem(it) => none(!matches!(it.expr(), Node::None)),
            _ => None,
        })?,
        Node::CreateDomainStmt(it) => {
            none(!is_plain_type(it.type_name()?, catalog))?;
            it.constraints().iter().try_for_each(|it| constraint_of_new(it, &mut computed, catalog))?;
        }
        Node::RenameStmt(it) => rename::renames(it, context, facts)?,
        Node::AlterObjectSchemaStmt(it) => rename::sets_schema(it, context, facts)?,
        Node::CreateFunctionStmt(it) => routine::makes(it, context, facts)?,
        Node::CreateSeqStmt(_)
        | Node::AlterSeqStmt(_)
        | Node::CreateEnumStmt(_)
        | Node::AlterEnumStmt(_)
        | Node::CommentStmt(_) => {}
        Node::DropStmt(it) => {
            none(!may_drop(it.remove_type))?;
            facts.effect.drops = drops(it).unwrap_or_default();
        }
        _ => return None,
    }
    computed.count(table.as_deref(), context, facts);
    let is_bounded = matches!(context.node, Some(Node::CreateStmt(it)) if it.partbound().is_some());
    if is_bounded && facts.columns.values().any(|uses| uses.contains(&Use::Output)) {
        facts.sinks.insert(Sink { kind: SinkKind::Table, relation: None });
    }
    Some(())
}

/// Whether an action of ALTER TABLE may write every row, and index it, anew.
fn rewrites(command: Node<'_>) -> bool {
    let Node::AlterTableCmd(command) = command else { return true };
    matches!(
        command.subtype,
        AlterTableType::AT_AddColumn
            | AlterTableType::AT_AlterColumnType
            | AlterTableType::AT_SetLogged
            | AlterTableType::AT_SetUnLogged
            | AlterTableType::AT_SetTableSpace
    )
}

/// None if so.
fn none(so: bool) -> Option<()> {
    (!so).then_some(())
}

/// Objects without which nothing reads more than before. Not policies and what else `control` knows.
fn may_drop(object: ObjectType::Type) -> bool {
    matches!(
        object,
        ObjectType::OBJECT_TABLE
            | ObjectType::OBJECT_VIEW
            | ObjectType::OBJECT_MATVIEW
            | ObjectType::OBJECT_FOREIGN_TABLE
            | ObjectType::OBJECT_INDEX
            | ObjectType::OBJECT_SEQUENCE
            | ObjectType::OBJECT_SCHEMA
            | ObjectType::OBJECT_TYPE
            | ObjectType::OBJECT_DOMAIN
            | ObjectType::OBJECT_FUNCTION
            | ObjectType::OBJECT_PROCEDURE
            | ObjectType::OBJECT_ROUTINE
            | ObjectType::OBJECT_AGGREGATE
            | ObjectType::OBJECT_STATISTIC_EXT
            | ObjectType::OBJECT_COLLATION
    )
}

/// The tables and views that DROP without CASCADE drops.
fn drops(drop: &DropStmt) -> Option<Vec<String>> {
    let plain = matches!(drop.remove_type, ObjectType::OBJECT_TABLE | ObjectType::OBJECT_VIEW)
        && drop.behavior == DropBehavior::DROP_RESTRICT;
    let name = |object: Node<'_>| match object {
        Node::NodeList(parts) => parts.iter().next_back()?.as_str().map(str::to_owned),
        _ => None,
    };
    plain.then(|| drop.objects().iter().map(name).collect::<Option<_>>()).flatten()
}

/// CREATE TABLE: a new table reads nothing. What it makes, if a later statement can be told all about it: with
/// parents, foreign keys or a row type to copy it waits for the catalog.
fn create_table(
    table: &CreateStmt,
    computed: &mut Expressions,
    catalog: &Catalog,
) -> Option<Option<Created>> {
    let parts = table.partspec().map(|it| it.part_params());
    for part in parts.into_iter().flatten() {
        none(!matches!(part.expr(), Node::None))?;
    }
    let mut alone = table.inh_relations().is_empty()
        && table.of_typename().is_none()
        && table.partspec().is_none()
        && table.partbound().is_none();
    let all_known = table.table_elts().iter().all(|it| is_known_column(it, catalog));
    let has_expression = table.table_elts().iter().any(has_expression);
    none(!all_known && has_expression)?;
    // Literals may be compared with columns that others bring, and become values of their types.
    none(has_expression && catalog.checks_literals() && takes_columns(table))?;
    let mut columns = Vec::new();
    for element in table.table_elts() {
        match element {
            Node::ColumnDef(it) => {
                new_column(it, computed, catalog)?;
                // Its checks and what it is computed from are the catalog's to tell.
                alone &= plain_column(it, &mut Expressions::default(), catalog).is_some();
                alone &= !it.constraints().iter().any(is_foreign_key);
                columns.push(it.colname()?.to_owned());
            }
            Node::Constraint(it) => {
                alone &= !is_foreign_key(element);
                constraint_of_new(it, computed, catalog)?;
            }
            // LIKE copies definitions; defaults and checks among them run code that the catalog tells of.
            Node::TableLikeClause(_) => alone = false,
            _ => return None,
        }
    }
    computed.are_of(&columns, catalog)?;
    let relation = table.relation()?;
    let temporary = relation.relpersistence == b't'.cast_signed() || is_among_temporary(&name(relation));
    Some(alone.then(|| table.relation()).flatten().map(|relation| Created {
        name: name(relation),
        view: false,
        temporary,
        sure: temporary || !table.if_not_exists,
        columns,
        holds: Some(Vec::new()),
        calls: computed.calls.clone(),
    }))
}

/// Whether it has columns of other tables or of a type.
fn takes_columns(table: &CreateStmt) -> bool {
    let is_like = |element: Node<'_>| matches!(element, Node::TableLikeClause(_));
    !table.inh_relations().is_empty()
        || table.of_typename().is_some()
        || table.table_elts().iter().any(is_like)
}

/// CREATE TABLE … PARTITION OF: the default partition is scanned for rows that belong into the new one, by what the table
/// is partitioned by. The values of its bounds are computed, and kept in the catalog for all to see.
fn partition(
    table: &CreateStmt,
    computed: &mut Expressions,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    let Some(bound) = table.partbound() else { return Some(()) };
    let mut datums = bound.listdatums().iter().chain(bound.lowerdatums()).chain(bound.upperdatums());
    datums.try_for_each(|datum| computed.add(datum, context.catalog))?;
    for parent in table.inh_relations() {
        let Node::RangeVar(parent) = parent else { return None };
        walk::scan_all(&name(parent), context, facts);
    }
    Some(())
}

fn is_foreign_key(constraint: Node<'_>) -> bool {
    matches!(constraint, Node::Constraint(it) if it.contype == ConstrType::CONSTR_FOREIGN)
}

/// A column whose constraints run no code but what is counted.
fn new_column(column: &ColumnDef, computed: &mut Expressions, catalog: &Catalog) -> Option<()> {
    none(!matches!(column.raw_default(), Node::None))?;
    column.constraints().iter().try_for_each(|it| match it {
        Node::Constraint(it) if it.contype == ConstrType::CONSTR_GENERATED => {
            computed.store(it.raw_expr(), catalog)
        }
        Node::Constraint(it) => constraint_of_new(it, computed, catalog),
        _ => None,
    })
}

/// Whether literals may be read as values of the column's type without a function of somebody's being run.
fn is_known_column(element: Node<'_>, catalog: &Catalog) -> bool {
    match element {
        Node::ColumnDef(it) => it.type_name().is_none_or(|of| is_known_type(of, catalog)),
        _ => true,
    }
}

/// Whether a table's element, or a constraint of one, has an expression.
fn has_expression(element: Node<'_>) -> bool {
    match element {
        Node::ColumnDef(it) => it.constraints().iter().any(has_expression),
        Node::Constraint(it) => !matches!(it.raw_expr(), Node::None),
        _ => false,
    }
}

/// A column of one of the server's types, whose constraints run no code but what is counted.
fn plain_column(column: &ColumnDef, computed: &mut Expressions, catalog: &Catalog) -> Option<()> {
    if let Some(of) = column.type_name() {
        none(!is_plain_type(of, catalog) && !is_serial(of))?;
    }
    none(!matches!(column.raw_default(), Node::None))?;
    column.constraints().iter().try_for_each(|it| match it {
        Node::Constraint(it) => constraint_of_new(it, computed, catalog),
        _ => None,
    })
}

/// `serial` and kin (parse_utilcmd.c, `transformColumnDefinition`).
fn is_serial(of: &TypeName) -> bool {
    let serials = ["serial", "serial4", "bigserial", "serial8", "smallserial", "serial2"];
    of.names().len() == 1 && of.names().iter().all(|it| it.sval().is_some_and(|name| serials.contains(&name)))
}

/// One of the server's types, or one whose values no function of somebody's checks.
fn is_known_type(of: &TypeName, catalog: &Catalog) -> bool {
    let is_unchecked = || type_name(of).is_some_and(|name| catalog.is_unchecked_type(name));
    is_plain_type(of, catalog) || is_serial(of) || is_unchecked()
}

/// Without its schema.
fn type_name(of: &TypeName) -> Option<&str> {
    of.names().iter().filter_map(|it| it.sval()).next_back()
}

pub(super) fn is_plain_type(of: &TypeName, catalog: &Catalog) -> bool {
    let names: Vec<&str> = of.names().iter().filter_map(|it| it.sval()).collect();
    match names.as_slice() {
        ["pg_catalog", name] => builtin::builtin_type(name),
        [name] => builtin::builtin_type(name) && !catalog.is_user_type(name),
        _ => false,
    }
}

/// A constraint on what is empty: nothing is checked now; what it does later the catalog tells.
fn constraint_of_new(constraint: &Constraint, computed: &mut Expressions, catalog: &Catalog) -> Option<()> {
    match constraint.contype {
        ConstrType::CONSTR_DEFAULT => computed.store(constraint.raw_expr(), catalog),
        ConstrType::CONSTR_CHECK => computed.add(constraint.raw_expr(), catalog),
        ConstrType::CONSTR_NULL
        | ConstrType::CONSTR_NOTNULL
        | ConstrType::CONSTR_PRIMARY
        | ConstrType::CONSTR_UNIQUE
        | ConstrType::CONSTR_FOREIGN
        | ConstrType::CONSTR_IDENTITY
        | ConstrType::CONSTR_ATTR_DEFERRABLE
        | ConstrType::CONSTR_ATTR_NOT_DEFERRABLE
        | ConstrType::CONSTR_ATTR_DEFERRED
        | ConstrType::CONSTR_ATTR_IMMEDIATE => Some(()),
        // GENERATED and EXCLUDE compute expressions; what is not known is not listed.
        _ => None,
    }
}

/// One action of ALTER TABLE (documentation of ALTER TABLE). Of those that scan, what they scan counts: they fail
/// by what they find, and say so with values.
fn alter(
    table: &[String],
    command: &AlterTableCmd,
    computed: &mut Expressions,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    let catalog = context.catalog;
    match command.subtype {
        AlterTableType::AT_AddColumn => match command.def() {
            Node::ColumnDef(it) => add_column(table, it, computed, context, facts),
            _ => None,
        },
        AlterTableType::AT_ColumnDefault if matches!(command.def(), Node::None) => Some(()),
        AlterTableType::AT_ColumnDefault => {
            if routine::quotes(command.def()) {
                walk::reads_literals(table, context, facts);
            }
            computed.add(command.def(), catalog)
        }
        AlterTableType::AT_SetNotNull => {
            walk::scan(table, &[command.name()?.to_owned()], catalog, context.session, facts);
            Some(())
        }
        AlterTableType::AT_AlterColumnType => {
            let Node::ColumnDef(it) = command.def() else { return None };
            none(!is_plain_type(it.type_name()?, catalog))?;
            computed.store(it.raw_default(), catalog)?;
            computed.converts_stored();
            let read = columns(it.raw_default())?;
            walk::converts(table, command.name()?, &read, context, facts);
            Some(())
        }
        AlterTableType::AT_AddConstraint => match command.def() {
            Node::Constraint(it) => add_constraint(table, it, computed, context, facts),
            _ => None,
        },
        AlterTableType::AT_ValidateConstraint => {
            computed.converts();
            walk::validates(table, context, facts);
            Some(())
        }
        AlterTableType::AT_ClusterOn => {
            walk::orders(table, context, facts);
            Some(())
        }
        AlterTableType::AT_DropColumn
        | AlterTableType::AT_AlterConstraint
        | AlterTableType::AT_AddIdentity
        | AlterTableType::AT_SetIdentity
        | AlterTableType::AT_DropNotNull
        | AlterTableType::AT_DropConstraint
        | AlterTableType::AT_DropIdentity
        | AlterTableType::AT_SetStatistics
        | AlterTableType::AT_SetOptions
        | AlterTableType::AT_ResetOptions
        | AlterTableType::AT_SetStorage
        | AlterTableType::AT_SetCompression
        | AlterTableType::AT_DropCluster
        | AlterTableType::AT_SetLogged
        | AlterTableType::AT_SetUnLogged
        | AlterTableType::AT_SetTableSpace
        | AlterTableType::AT_SetRelOptions
        | AlterTableType::AT_ResetRelOptions => none(is_view_option(command)),
        _ => None,
    }
}

/// ADD COLUMN: its constraints are checked for the rows there are, by the value that they all get. A column's own
/// CHECK may name others, and REFERENCES tells whether that value is among the keys referred to.
fn add_column(
    table: &[String],
    column: &ColumnDef,
    computed: &mut Expressions,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    let Context { catalog, session, .. } = context;
    new_column(column, computed, catalog)?;
    // Others may have checks that are run for the rows there are.
    let of = column.type_name()?;
    none(!is_known_type(of, catalog))?;
    // All of them get their type's default.
    none(type_name(of).is_some_and(|name| catalog.brings_default(name)))?;
    for constraint in column.constraints() {
        let Node::Constraint(constraint) = constraint else { return None };
        match constraint.contype {
            ConstrType::CONSTR_CHECK => {
                let mut read = columns(constraint.raw_expr())?;
                read.retain(|name| Some(name.as_str()) != column.colname());
                walk::scan(table, &read, catalog, session, facts);
            }
            ConstrType::CONSTR_GENERATED => {
                walk::scan(table, &columns(constraint.raw_expr())?, catalog, session, facts);
            }
            ConstrType::CONSTR_FOREIGN => referred(constraint, computed, context, facts)?,
            _ => {}
        }
    }
    Some(())
}

/// Options such as `security_invoker`, by which a view reads with other rights.
fn is_view_option(command: &AlterTableCmd) -> bool {
    let Node::NodeList(options) = command.def() else { return false };
    options.iter().any(|option| {
        matches!(option, Node::DefElem(it) if it.defname().is_some_and(|name| name.starts_with("security")))
    })
}

/// ADD CONSTRAINT on a table that may have rows.
fn add_constraint(
    table: &[String],
    constraint: &Constraint,
    computed: &mut Expressions,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    let Context { catalog, session, .. } = context;
    match constraint.contype {
        ConstrType::CONSTR_UNIQUE | ConstrType::CONSTR_PRIMARY if constraint.indexname().is_none() => {
            walk::scan(table, &names(constraint.keys())?, catalog, session, facts);
        }
        ConstrType::CONSTR_CHECK => {
            computed.add(constraint.raw_expr(), catalog)?;
            walk::scan(table, &columns(constraint.raw_expr())?, catalog, session, facts);
        }
        ConstrType::CONSTR_FOREIGN => {
            walk::scan(table, &names(constraint.fk_attrs())?, catalog, session, facts);
            referred(constraint, computed, context, facts)?;
        }
        _ => return None,
    }
    Some(())
}

/// The columns that a foreign key refers to: values are looked for there, of their types.
fn referred(
    key: &Constraint,
    computed: &mut Expressions,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    computed.converts();
    let theirs = name(key.pktable()?);
    if key.pk_attrs().is_empty() {
        walk::refers(&theirs, context, facts);
    } else {
        walk::scan(&theirs, &names(key.pk_attrs())?, context.catalog, context.session, facts);
    }
    Some(())
}

/// CREATE INDEX reads its columns; a unique one tells by failing which values are there twice.
fn index(
    index: &IndexStmt,
    computed: &mut Expressions,
    context: Context<'_>,
    facts: &mut Facts,
) -> Option<()> {
    let Context { catalog, session, .. } = context;
    let mut read = Vec::new();
    for element in index.index_params() {
        none(!names(element.opclass())?.iter().all(|name| builtin::operator_class(name)))?;
        match (element.name(), element.expr()) {
            (Some(column), _) => read.push(column.to_owned()),
            (None, expression) => {
                computed.add(expression, catalog)?;
                read.extend(columns(expression)?);
            }
        }
    }
    for element in index.index_including_params() {
        let Node::IndexElem(element) = element else { return None };
        read.push(element.name()?.to_owned());
    }
    computed.add(index.where_clause(), catalog)?;
    read.extend(columns(index.where_clause())?);
    let relation = name(index.relation()?);
    walk::scan(&relation, &read, catalog, session, facts);
    let plain = matches!(index.where_clause(), Node::None)
        && index.index_params().iter().all(|it| it.name().is_some());
    facts.effect.indexes = relation.last().filter(|_| plain).cloned();
    Some(())
}
