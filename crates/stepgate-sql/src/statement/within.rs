//! Which statements a statement is made of, besides itself: what EXPLAIN ANALYZE, COPY or CREATE TABLE AS runs, what a
//! cursor reads, what stands in WITH and writes.

use std::collections::BTreeSet;

use pg_raw_parse::Node;
use pg_raw_parse::nodes::WithClause;
use stepgate_types::Kind;

/// What EXECUTE may go on with.
pub(crate) fn preparable() -> BTreeSet<Kind> {
    Kind::ALL.into_iter().filter(|kind| kind.is_preparable()).collect()
}

/// The kinds of those statements. What EXECUTE goes on with is not known here, and so may be any.
pub(super) fn within(node: Node<'_>) -> BTreeSet<Kind> {
    match node {
        Node::SelectStmt(it) => writes(it.with_clause()),
        Node::InsertStmt(it) => writes(it.with_clause()),
        Node::UpdateStmt(it) => writes(it.with_clause()),
        Node::DeleteStmt(it) => writes(it.with_clause()),
        Node::MergeStmt(it) => writes(it.with_clause()),
        Node::ExplainStmt(it) if super::executes(node) => of(it.query()),
        Node::PrepareStmt(it) => of(it.query()),
        Node::DeclareCursorStmt(it) => of(it.query()),
        Node::CopyStmt(it) => of(it.query()),
        Node::CreateTableAsStmt(it) if it.into().is_none_or(|into| !into.skip_data) => of(it.query()),
        Node::RefreshMatViewStmt(it) if !it.skip_data => BTreeSet::from([Kind::Select]),
        Node::FetchStmt(_) => BTreeSet::from([Kind::Select]),
        Node::ExecuteStmt(_) => preparable(),
        _ => BTreeSet::new(),
    }
}

/// What a statement within another one is, and what is within that in turn.
fn of(node: Node<'_>) -> BTreeSet<Kind> {
    let mut kinds = within(node);
    kinds.extend(match node {
        Node::ExecuteStmt(_) => Some(Kind::Execute),
        Node::CreateTableAsStmt(_) => Some(Kind::Ddl),
        _ => query(node),
    });
    kinds
}

/// The kind of a query or of DML.
fn query(node: Node<'_>) -> Option<Kind> {
    match node {
        Node::SelectStmt(_) => Some(Kind::Select),
        Node::InsertStmt(_) => Some(Kind::Insert),
        Node::UpdateStmt(_) => Some(Kind::Update),
        Node::DeleteStmt(_) => Some(Kind::Delete),
        Node::MergeStmt(_) => Some(Kind::Merge),
        _ => None,
    }
}

/// What a WITH has that writes. What only reads there is a part of the one statement, as any subquery is. It cannot stand
/// further in (`transformWithClause` of parse_cte.c).
fn writes(with: Option<&WithClause>) -> BTreeSet<Kind> {
    let tables = with.into_iter().flat_map(WithClause::ctes);
    tables.filter_map(|table| query(table.ctequery())).filter(|kind| *kind != Kind::Select).collect()
}
