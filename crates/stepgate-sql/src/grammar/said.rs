//! Constructs as `normalise` says them: calls of marked names, with everything in them that can name anything.

use std::collections::BTreeSet;

use pg_raw_parse::Node;
use pg_raw_parse::list::NodeList;
use pg_raw_parse::nodes::{
    Alias, ColumnDef, InferClause, RangeFunction, RangeTableFunc, ResTarget, TypeName, XmlExpr,
};
use pg_raw_parse::raw::{
    A_Expr_Kind, BoolExprType, CmdType, CoercionForm, GroupingSetKind, NullTestType, SubLinkType, XmlExprOp,
};

use super::json;
use crate::marker;

/// One step of an outline.
pub(super) enum Step<'t> {
    /// A node and what is below it.
    Node(Node<'t>),
    /// A node alone.
    Leaf(Node<'t>),
    /// The head of a call of that name, with so many operands.
    Call(&'t str, usize),
    /// `WHERE CURRENT OF` that cursor.
    CurrentOf(Option<&'t str>),
    /// A table function, with ordinality or not.
    TableFunction(bool),
    /// A cast, and a literal that is cast.
    Cast,
    Literal,
    List(usize),
    /// A subquery that is a value.
    Subquery,
    /// An alias of these columns.
    Alias(Option<&'t str>, Vec<Option<&'t str>>),
    /// An assignment to a column of that name.
    Target(Option<&'t str>),
    /// Whether something is null, or is not.
    Null(NullTestType::Type),
    /// `= ANY` or `= ALL`.
    Members(bool),
    /// The head of a call of the marked name of an operator, with one operand.
    Operator(&'t NodeList),
    /// No words stand for it.
    Unsaid,
}

/// One operand.
pub(super) type Operand<'t> = Vec<Step<'t>>;

/// The steps that stand for a construct; none where it is said as it is.
pub(super) fn steps(node: Node<'_>) -> Option<Vec<Step<'_>>> {
    match node {
        Node::XmlExpr(it) => Some(xml(it)),
        Node::XmlSerialize(it) => {
            Some(call("\u{1}xmlserialize", vec![cast(vec![Step::Node(it.expr())], it.type_name())]))
        }
        Node::RangeFunction(it) if it.is_rowsfrom => Some(rows_from(it)),
        Node::RangeFunction(it) if it.alias().is_none() && !it.coldeflist().is_empty() => Some(defined(it)),
        Node::RangeTableFunc(it) => Some(xml_table(it)),
        Node::CurrentOfExpr(it) => Some(vec![Step::CurrentOf(it.cursor_name())]),
        Node::ResTarget(it) if !it.indirection().is_empty() => Some(assignment(it)),
        // `a IS NOT DOCUMENT` as `a IS NOT NULL`.
        Node::BoolExpr(it) if it.boolop == BoolExprType::NOT_EXPR => match it.args().iter().next() {
            Some(Node::XmlExpr(xml)) if xml.op == XmlExprOp::IS_DOCUMENT => {
                let mut steps = vec![Step::Null(NullTestType::IS_NOT_NULL)];
                steps.extend(nodes(xml.args()).into_iter().flatten());
                Some(steps)
            }
            _ => None,
        },
        // `a AT LOCAL` as `a AT TIME ZONE 'x'`.
        Node::FuncCall(it) if it.funcformat == CoercionForm::COERCE_SQL_SYNTAX && it.args().len() == 1 => {
            let is_it =
                it.funcname().iter().next_back().is_some_and(|name| name.as_str() == Some("timezone"));
            let mut steps = vec![Step::Leaf(node), Step::List(2), Step::Literal];
            steps.extend(nodes(it.args()).into_iter().flatten());
            is_it.then_some(steps)
        }
        Node::CollateClause(it) => Some(vec![Step::Cast, Step::Node(it.arg()), Step::Leaf(node)]),
        // MERGE … INSERT DEFAULT VALUES as INSERT VALUES (NULL).
        Node::MergeWhenClause(it)
            if it.command_type == CmdType::CMD_INSERT
                && it.values().is_empty()
                && it.target_list().is_empty() =>
        {
            Some(vec![Step::Leaf(node), Step::Node(it.condition()), Step::List(1), Step::Literal])
        }
        // WITH a CTE of a marked name says nothing.
        Node::WithClause(it) => match it.ctes().iter().next() {
            Some(cte) if cte.ctename() == Some(marker::QUERY) => Some(Vec::new()),
            _ => None,
        },
        Node::A_Expr(it) if matches!(it.kind, A_Expr_Kind::AEXPR_OP_ANY | A_Expr_Kind::AEXPR_OP_ALL) => {
            (!is_any_operator(it.name())).then(|| {
                let all = it.kind == A_Expr_Kind::AEXPR_OP_ALL;
                vec![
                    Step::Members(all),
                    Step::Node(it.lexpr()),
                    Step::Operator(it.name()),
                    Step::Node(it.rexpr()),
                ]
            })
        }
        Node::SubLink(it)
            if matches!(it.sub_link_type, SubLinkType::ANY_SUBLINK | SubLinkType::ALL_SUBLINK) =>
        {
            let is_in = it.oper_name().is_empty();
            (!is_in && !is_any_operator(it.oper_name())).then(|| {
                let all = it.sub_link_type == SubLinkType::ALL_SUBLINK;
                vec![
                    Step::Members(all),
                    Step::Node(it.testexpr()),
                    Step::Operator(it.oper_name()),
                    Step::Subquery,
                    Step::Node(it.subselect()),
                ]
            })
        }
        Node::RangeTableSample(it) if !matches!(it.repeatable(), Node::None | Node::A_Const(_)) => {
            let mut operands = nodes(it.args());
            operands.push(vec![Step::Node(it.repeatable())]);
            let mut steps = vec![Step::Leaf(node), Step::Node(it.relation()), Step::List(1)];
            steps.extend(call(marker::SEED, operands));
            Some(steps)
        }
        Node::GroupingSet(it) => Some(call(grouping(it.kind), nodes(it.content()))),
        Node::InferClause(it) => {
            Some(vec![if inferred(it).is_some() { Step::Leaf(node) } else { Step::Unsaid }])
        }
        _ => json::steps(node),
    }
}

pub(super) fn call<'t>(name: &'t str, operands: Vec<Operand<'t>>) -> Vec<Step<'t>> {
    let mut steps = vec![Step::Call(name, operands.len())];
    steps.extend(operands.into_iter().flatten());
    steps
}

fn nodes(list: &NodeList) -> Vec<Operand<'_>> {
    list.iter().map(|node| vec![Step::Node(node)]).collect()
}

/// Whether sqlparser knows that operator before ANY and ALL.
fn is_any_operator(name: &NodeList) -> bool {
    let known = |name: Option<&str>| name.is_some_and(marker::may_precede_any);
    match name.iter().map(|part| part.as_str()).collect::<Vec<_>>().as_slice() {
        [name] | [Some("pg_catalog"), name] => known(*name),
        _ => false,
    }
}

/// `cast(… as type)`.
fn cast<'t>(what: Operand<'t>, to: Option<&'t TypeName>) -> Operand<'t> {
    let mut steps = vec![Step::Cast];
    steps.extend(what);
    steps.extend(to.map(|to| Step::Node(Node::TypeName(to))));
    steps
}

fn xml(xml: &XmlExpr) -> Vec<Step<'_>> {
    let named = xml.named_args().iter().map(|it| match it {
        Node::ResTarget(target) => vec![Step::Node(target.val())],
        other => vec![Step::Node(other)],
    });
    let all = named.chain(nodes(xml.args())).collect();
    // What the grammar itself puts there comes last: whitespace, STANDALONE.
    let first = |count: usize| nodes(xml.args()).into_iter().take(count).collect();
    match xml.op {
        XmlExprOp::IS_XMLELEMENT => call("\u{1}xmlelement", all),
        XmlExprOp::IS_XMLFOREST => call("\u{1}xmlforest", all),
        XmlExprOp::IS_XMLCONCAT => call("\u{1}xmlconcat", all),
        XmlExprOp::IS_XMLPI => call("\u{1}xmlpi", all),
        XmlExprOp::IS_XMLROOT => call("\u{1}xmlroot", first(2)),
        XmlExprOp::IS_XMLPARSE => call("\u{1}xmlparse", first(1)),
        // `a IS DOCUMENT` as `a IS NULL`.
        _ => {
            let mut steps = vec![Step::Null(NullTestType::IS_NULL)];
            steps.extend(all.into_iter().flatten());
            steps
        }
    }
}

/// The value that a column of this type has: `cast(null as type)`.
pub(super) fn of_type(of: Option<&TypeName>) -> Operand<'_> {
    cast(vec![Step::Literal], of)
}

pub(super) fn table_function<'t>(
    ordinality: bool,
    name: &'t str,
    operands: Vec<Operand<'t>>,
    alias: Option<Step<'t>>,
) -> Vec<Step<'t>> {
    let mut steps = vec![Step::TableFunction(ordinality), Step::List(1), Step::List(2)];
    steps.extend(call(name, operands));
    steps.extend(alias);
    steps
}

fn rows_from(from: &RangeFunction) -> Vec<Step<'_>> {
    let mut operands = Vec::new();
    for function in from.functions() {
        // Each is a list: the call, and the columns that it is said to return.
        let Node::NodeList(parts) = function else { continue };
        for part in parts {
            match part {
                Node::NodeList(columns) => operands.extend(columns.iter().map(|column| match column {
                    Node::ColumnDef(it) => of_type(column_type(it)),
                    other => vec![Step::Node(other)],
                })),
                Node::None => {}
                call => operands.push(vec![Step::Node(call)]),
            }
        }
    }
    let alias = from.alias().map(|alias| Step::Node(Node::Alias(alias)));
    table_function(from.ordinality, marker::ROWS, operands, alias)
}

/// `f(…) AS (a type, …)` as `f(…) AS f (a type, …)`.
fn defined(function: &RangeFunction) -> Vec<Step<'_>> {
    let name = function.functions().iter().next().and_then(|parts| match parts {
        Node::NodeList(parts) => match parts.iter().next() {
            Some(Node::FuncCall(call)) => call.funcname().iter().next_back()?.as_str(),
            _ => None,
        },
        _ => None,
    });
    let columns = function.coldeflist();
    let mut steps =
        vec![Step::TableFunction(function.ordinality), Step::Node(Node::NodeList(function.functions()))];
    steps.extend([Step::Alias(name, Vec::new()), Step::List(columns.len())]);
    steps.extend(columns.iter().map(|column| Step::Node(Node::ColumnDef(column))));
    steps
}

fn column_type(column: &ColumnDef) -> Option<&TypeName> {
    column.type_name()
}

fn xml_table(table: &RangeTableFunc) -> Vec<Step<'_>> {
    let mut operands: Vec<Operand<'_>> = table
        .namespaces()
        .iter()
        .map(|it| match it {
            Node::ResTarget(target) => vec![Step::Node(target.val())],
            other => vec![Step::Node(other)],
        })
        .collect();
    operands.push(vec![Step::Node(table.rowexpr())]);
    operands.push(vec![Step::Node(table.docexpr())]);
    for column in table.columns() {
        if !column.for_ordinality {
            operands.push(of_type(column.type_name()));
        }
        let more = [column.colexpr(), column.coldefexpr()];
        operands
            .extend(more.into_iter().filter(|it| !matches!(it, Node::None)).map(|it| vec![Step::Node(it)]));
    }
    let names = table.columns().iter().map(|column| column.colname()).collect();
    let alias = alias(table.alias(), "xmltable", names);
    table_function(false, marker::XMLTABLE, operands, Some(alias))
}

/// The alias of a table function whose columns have names of their own, which it renames from the first on.
pub(super) fn alias<'t>(
    alias: Option<&'t Alias>,
    default: &'t str,
    mut names: Vec<Option<&'t str>>,
) -> Step<'t> {
    let Some(alias) = alias else { return Step::Alias(Some(default), names) };
    for (at, name) in alias.colnames().iter().enumerate() {
        match names.get_mut(at) {
            Some(slot) => *slot = name.as_str(),
            None => names.push(name.as_str()),
        }
    }
    Step::Alias(alias.aliasname(), names)
}

fn grouping(kind: GroupingSetKind::Type) -> &'static str {
    match kind {
        GroupingSetKind::GROUPING_SET_ROLLUP => marker::ROLLUP,
        GroupingSetKind::GROUPING_SET_CUBE => marker::CUBE,
        GroupingSetKind::GROUPING_SET_EMPTY => marker::EMPTY,
        _ => marker::SETS,
    }
}

/// `a[i] = v`, `c.f = v`: what is assigned to is the column; subscripts that are literals say nothing.
fn assignment(target: &ResTarget) -> Vec<Step<'_>> {
    let mut subscripts = Vec::new();
    for part in target.indirection() {
        if let Node::A_Indices(it) = part {
            subscripts.extend([it.lidx(), it.uidx()].into_iter().filter(|it| !matches!(it, Node::None)));
        }
    }
    let says_nothing = |it: &Node<'_>| matches!(it, Node::A_Const(_) | Node::ParamRef(_));
    let mut steps = vec![Step::Target(target.name())];
    if subscripts.iter().all(says_nothing) {
        steps.push(Step::Node(target.val()));
        return steps;
    }
    let mut operands: Vec<Operand<'_>> = subscripts.into_iter().map(|it| vec![Step::Node(it)]).collect();
    operands.push(vec![Step::Node(target.val())]);
    steps.extend(call(marker::PART, operands));
    steps
}

/// What the target of ON CONFLICT names, in order of name: columns, and marked the functions of its expressions. None:
/// it holds what cannot be said so.
pub(super) fn inferred(infer: &InferClause) -> Option<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for element in infer.index_elems() {
        let Node::IndexElem(element) = element else { return None };
        match element.name() {
            Some(name) => drop(names.insert(name.to_owned())),
            None => names_of(element.expr(), &mut names)?,
        }
    }
    names_of(infer.where_clause(), &mut names)?;
    Some(names)
}

fn names_of(expression: Node<'_>, names: &mut BTreeSet<String>) -> Option<()> {
    let known = super::all(expression, |node| match node {
        Node::ColumnRef(it) => match it.fields().iter().next_back() {
            Some(Node::String(name)) => name.sval().map(|name| names.insert(name.to_owned())).is_some(),
            _ => false,
        },
        Node::FuncCall(it) => {
            let parts: Vec<_> = it.funcname().iter().map(|part| part.as_str()).collect();
            match parts.as_slice() {
                [Some(name)] | [Some("pg_catalog"), Some(name)] => {
                    names.insert(marker::marked(name));
                    true
                }
                _ => false,
            }
        }
        Node::NodeList(_)
        | Node::A_Const(_)
        | Node::A_Expr(_)
        | Node::BoolExpr(_)
        | Node::NullTest(_)
        | Node::BooleanTest(_)
        | Node::CoalesceExpr(_)
        | Node::CollateClause(_) => true,
        _ => false,
    });
    known.then_some(())
}
