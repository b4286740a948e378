//! Whether a statement goes once over each table that it reads, a row at a time: then the keys that it shows, or names, are
//! all whose rows it can tell anything of.
//!
//! Told by form alone, and only where nothing could be otherwise: `select string_agg(ssn, ',') from customers where id = 7
//! or true` names one key and shows all rows, in one.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pg_raw_parse::Node;
use pg_raw_parse::nodes::SelectStmt;
use pg_raw_parse::raw::{A_Expr_Kind, BoolExprType, SetOperation};

/// The deepest expression that is looked into; deeper ones prove nothing.
const MAX_DEPTH: usize = 64;

/// A statement without subqueries, CTEs and set operations, of plain names of relations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// How many relations it names; perhaps one of them twice.
    pub relations: usize,
    /// Each row that it returns is made of one row of each relation, as far as its form tells: what it calls may be an
    /// aggregate all the same.
    pub row_by_row: bool,
    /// The same if none of the functions that it calls takes several rows at once.
    pub ungrouped: bool,
    /// Of a statement of one relation, the columns that its condition holds to listed constants: rows of other values of
    /// any of these are not looked at.
    pub held_to_constants: BTreeSet<String>,
}

impl Scan {
    /// If the statement is one; `None`: it may be anything.
    pub(crate) fn of(statement: Node<'_>) -> Option<Self> {
        // The binding panics on nodes that it does not know.
        catch_unwind(AssertUnwindSafe(|| within(statement))).ok().flatten()
    }
}

fn within(statement: Node<'_>) -> Option<Scan> {
    match statement {
        Node::SelectStmt(select) => of_select(select),
        Node::DeclareCursorStmt(it) => of_query(it.query()),
        Node::PrepareStmt(it) => of_query(it.query()),
        Node::UpdateStmt(it) => {
            let mut values = it.target_list().iter().map(|target| target.val());
            let plain = it.from_clause().is_empty() && it.with_clause().is_none();
            let returns = it.returning_clause().is_none_or(|it| it.exprs().iter().all(|it| is_plain(it, 0)));
            (plain && returns && values.all(|it| is_plain(it, 0))).then_some(())?;
            of_one(it.where_clause())
        }
        // Its rows are those of what it copies; as the examiner reads it, it is held to nothing.
        Node::CopyStmt(it) if !it.is_from => {
            let copied = match it.query() {
                Node::None => Scan {
                    relations: 1,
                    row_by_row: true,
                    ungrouped: true,
                    held_to_constants: BTreeSet::new(),
                },
                query => of_query(query)?,
            };
            Some(Scan { held_to_constants: BTreeSet::new(), ..copied })
        }
        Node::DeleteStmt(it) => {
            let plain = it.using_clause().is_empty() && it.with_clause().is_none();
            let returns = it.returning_clause().is_none_or(|it| it.exprs().iter().all(|it| is_plain(it, 0)));
            (plain && returns).then_some(())?;
            of_one(it.where_clause())
        }
        _ => None,
    }
}

fn of_query(query: Node<'_>) -> Option<Scan> {
    match query {
        Node::SelectStmt(select) => of_select(select),
        Node::UpdateStmt(_) | Node::DeleteStmt(_) => within(query),
        _ => None,
    }
}

fn of_select(select: &SelectStmt) -> Option<Scan> {
    let alone = select.op == SetOperation::SETOP_NONE
        && select.into_clause().is_none()
        && select.with_clause().is_none()
        && select.values_lists().is_empty()
        && select.window_clause().is_empty();
    alone.then_some(())?;
    let mut relations = 0;
    select.from_clause().iter().try_for_each(|from| count(from, &mut relations, 0))?;
    let targets = || select.target_list().iter().map(|target| target.val());
    let sorts = || select.sort_clause().iter().map(|sort| sort.node());
    let others = || select.distinct_clause().iter().chain(select.group_clause());
    let bounds = [select.having_clause(), select.limit_offset(), select.limit_count()];
    let all = targets().chain(sorts()).chain(others()).chain(bounds);
    all.into_iter().all(|it| is_plain(it, 0)).then_some(())?;
    // Any call may be one of an aggregate.
    let calls = targets().chain(sorts()).any(|it| calls(it, 0));
    let grouped = others().next().is_some() || !matches!(select.having_clause(), Node::None);
    let (row_by_row, ungrouped) = (!calls && !grouped, !grouped);
    match relations {
        1 => {
            let mut held_to_constants = held(select.where_clause())?;
            if select.from_clause().iter().any(renames) {
                held_to_constants.clear();
            }
            Some(Scan { relations, row_by_row, ungrouped, held_to_constants })
        }
        _ => {
            is_plain(select.where_clause(), 0).then_some(())?;
            Some(Scan { relations, row_by_row, ungrouped, held_to_constants: BTreeSet::new() })
        }
    }
}

/// A write to one relation: what it returns is what it writes.
fn of_one(condition: Node<'_>) -> Option<Scan> {
    Some(Scan { relations: 1, row_by_row: true, ungrouped: true, held_to_constants: held(condition)? })
}

/// Counts relations that stand in FROM by their names. `None`: something else does.
fn count(from: Node<'_>, relations: &mut usize, depth: usize) -> Option<()> {
    if depth > MAX_DEPTH {
        return None;
    }
    match from {
        Node::RangeVar(_) => {
            *relations += 1;
            Some(())
        }
        Node::JoinExpr(join) => {
            is_plain(join.quals(), 0).then_some(())?;
            count(join.larg(), relations, depth + 1)?;
            count(join.rarg(), relations, depth + 1)
        }
        _ => None,
    }
}

/// Whether an alias names columns anew: a condition may mean another by a key's name.
fn renames(from: Node<'_>) -> bool {
    matches!(from, Node::RangeVar(it) if it.alias().is_some_and(|alias| !alias.colnames().is_empty()))
}

/// The columns that a condition holds to constants. `None`: it is not plain.
fn held(condition: Node<'_>) -> Option<BTreeSet<String>> {
    is_plain(condition, 0).then_some(())?;
    let mut columns = BTreeSet::new();
    hold(condition, &mut columns, 0);
    Some(columns)
}

fn hold(condition: Node<'_>, columns: &mut BTreeSet<String>, depth: usize) {
    if depth > MAX_DEPTH {
        return;
    }
    match condition {
        Node::BoolExpr(it) if it.boolop == BoolExprType::AND_EXPR => {
            it.args().iter().for_each(|it| hold(it, columns, depth + 1));
        }
        Node::A_Expr(it) => {
            let mut name = it.name().iter().map(Node::as_str);
            if !matches!((name.next(), name.next()), (Some(Some("=")), None)) {
                return;
            }
            let (left, right) = (it.lexpr(), it.rexpr());
            let column = match it.kind {
                A_Expr_Kind::AEXPR_OP if is_constant(right) => column(left),
                A_Expr_Kind::AEXPR_OP if is_constant(left) => column(right),
                A_Expr_Kind::AEXPR_IN => match right {
                    Node::NodeList(list) if list.iter().all(is_constant) => column(left),
                    _ => None,
                },
                _ => None,
            };
            columns.extend(column.map(str::to_owned));
        }
        _ => {}
    }
}

/// The column's name: with one relation there is but one of that name.
fn column(node: Node<'_>) -> Option<&str> {
    let Node::ColumnRef(it) = node else { return None };
    it.fields().iter().next_back()?.as_str()
}

fn is_constant(node: Node<'_>) -> bool {
    match node {
        Node::A_Const(_) | Node::ParamRef(_) => true,
        Node::TypeCast(it) => matches!(it.arg(), Node::A_Const(_) | Node::ParamRef(_)),
        _ => false,
    }
}

/// Whether an expression is made of columns, values, operators and calls alone: no subquery is in it.
fn is_plain(node: Node<'_>, depth: usize) -> bool {
    let all = |nodes: &[Node<'_>]| nodes.iter().all(|it| is_plain(*it, depth + 1));
    depth <= MAX_DEPTH
        && match node {
            Node::None
            | Node::ColumnRef(_)
            | Node::A_Const(_)
            | Node::ParamRef(_)
            | Node::A_Star(_)
            | Node::SQLValueFunction(_) => true,
            Node::ResTarget(it) => all(&[it.val()]),
            Node::SortBy(it) => all(&[it.node()]),
            Node::TypeCast(it) => all(&[it.arg()]),
            Node::NullTest(it) => all(&[it.arg()]),
            Node::A_Expr(it) => all(&[it.lexpr(), it.rexpr()]),
            Node::BoolExpr(it) => it.args().iter().all(|it| is_plain(it, depth + 1)),
            Node::CoalesceExpr(it) => it.args().iter().all(|it| is_plain(it, depth + 1)),
            Node::NodeList(list) => list.iter().all(|it| is_plain(it, depth + 1)),
            Node::FuncCall(it) => {
                let bare = it.agg_order().is_empty() && matches!(it.agg_filter(), Node::None);
                bare && it.over().is_none() && it.args().iter().all(|it| is_plain(it, depth + 1))
            }
            _ => false,
        }
}

/// Whether a plain expression calls anything; `true` where it is too deep to tell.
fn calls(node: Node<'_>, depth: usize) -> bool {
    let any = |nodes: &[Node<'_>]| nodes.iter().any(|it| calls(*it, depth + 1));
    depth > MAX_DEPTH
        || match node {
            Node::FuncCall(_) => true,
            Node::ResTarget(it) => any(&[it.val()]),
            Node::SortBy(it) => any(&[it.node()]),
            Node::TypeCast(it) => any(&[it.arg()]),
            Node::NullTest(it) => any(&[it.arg()]),
            Node::A_Expr(it) => any(&[it.lexpr(), it.rexpr()]),
            Node::BoolExpr(it) => it.args().iter().any(|it| calls(it, depth + 1)),
            Node::CoalesceExpr(it) => it.args().iter().any(|it| calls(it, depth + 1)),
            Node::NodeList(list) => list.iter().any(|it| calls(it, depth + 1)),
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use crate::grammar::Tree;

    use super::*;

    fn scan(sql: &str) -> Option<Scan> {
        let tree = Tree::parse(sql).unwrap();
        let commands = tree.commands();
        Scan::of(commands[0].node)
    }

    fn held_by(sql: &str) -> Vec<String> {
        scan(sql).map(|scan| scan.held_to_constants.into_iter().collect()).unwrap_or_default()
    }

    #[test]
    fn a_condition_holds_a_column_to_constants_only_if_no_other_row_can_meet_it() {
        for sql in [
            "select * from c where id = 7",
            "select full_name from public.c as x where x.id = $1 and (city = 'a' or city is null)",
            "select count(*) from c where 7 = id",
            "select * from c where id in (1, 2, $3)",
            "select * from c where (id = '7'::bigint and lower(city) = 'x') order by id limit 3",
            "update c set city = 'x' where id = 7 returning id",
            "delete from c where id = 7",
            "declare d cursor for select * from c where id = 7",
            "prepare p as select * from c where id = 7",
        ] {
            assert!(held_by(sql).contains(&"id".to_owned()), "{sql}");
        }
        for sql in [
            "select * from c where id = 7 or true",
            "select * from c as d (x, id) where id = 7",
            "select * from c where not (id = 7)",
            "select * from c where (id = 7) is not null",
            "select * from c where id = 7 or city = 'x'",
            "select * from c where id = other",
            "select * from c where id = abs(7)",
            "select * from c where id = any ($1)",
            "select * from c where id in (7, other)",
            "select * from c where id + 0 = 7",
            "select * from c where id OPERATOR(public.=) 7",
            "select * from c where id <= 7",
            "select * from c a left join c b on a.id = 7",
            "select a.* from c a, c b where b.id = 7",
            "select * from c where id = 7 and exists (select from c)",
            "select (select max(ssn) from c) from c where id = 7",
            "select * from c where id = 7 union select * from c",
            "with x as (select * from c) select * from x where id = 7",
            "select * from (select * from c) s where id = 7",
            "select * from f() where id = 7",
            "select * from c tablesample system (10) where id = 7",
            "select * from c where id = 7 order by (select max(ssn) from c)",
            "select * from c where id = 7 limit (select max(ssn) from c)",
            "select ssn from c group by ssn having (select true from c where ssn = '1')",
            "update c set city = (select max(ssn) from c) where id = 7",
            "update c set city = d.ssn from c d where c.id = 7",
            "delete from c using c d where c.id = 7",
            "delete from c where id = 7 returning (select max(ssn) from c)",
            "update c set city = 'x' where current of d",
            "copy (select * from c where id = 7) to stdout",
            "table c",
        ] {
            assert!(held_by(sql).is_empty(), "{sql}");
        }
    }

    #[test]
    fn rows_are_made_one_of_one_only_where_nothing_is_called_grouped_or_selected_within() {
        for sql in [
            "select id, full_name || 'x', coalesce(city, '-') from c where id < 7 order by full_name",
            "select a.id, b.x from c a join d b on a.id = b.id where lower(b.x) = 'x'",
            "update c set city = 'x' returning *",
        ] {
            assert!(scan(sql).is_some_and(|scan| scan.row_by_row), "{sql}");
        }
        for sql in [
            "select id, string_agg(ssn, ',') from c group by id",
            "select id, array_agg(ssn) over () from c",
            "select id, lag(ssn) over w from c window w as (order by id)",
            "select distinct id from c",
            "select id from c order by count(*)",
            "select id, (select string_agg(ssn, ',') from c) from c",
            "select id, array(select ssn from c) from c",
        ] {
            assert!(!scan(sql).is_some_and(|scan| scan.row_by_row), "{sql}");
        }
        assert_eq!(scan("select * from c a, c b join d on true").map(|scan| scan.relations), Some(3));
    }

    #[test]
    fn what_is_copied_is_read_as_what_is_selected_and_what_is_called_may_be_of_one_row() {
        for (sql, row_by_row, ungrouped) in [
            ("copy c to stdout", true, true),
            ("copy (select id, city from c where id = 7) to stdout", true, true),
            ("select id, lower(city) from c", false, true),
            ("copy (select lower(city) from c) to stdout", false, true),
            ("select city, count(*) from c group by city", false, false),
            ("select distinct city from c", false, false),
        ] {
            let scan = scan(sql).unwrap();
            assert_eq!((scan.row_by_row, scan.ungrouped), (row_by_row, ungrouped), "{sql}");
        }
        assert_eq!(scan("copy c from stdin"), None);
        assert_eq!(scan("copy (select city from c union select city from c) to stdout"), None);
    }
}
