//! SQL/JSON (PostgreSQL 16 and 17) as `normalise` says it.

use pg_raw_parse::Node;
use pg_raw_parse::nodes::{
    JsonAggConstructor, JsonBehavior, JsonFuncExpr, JsonOutput, JsonTable, JsonTableColumn, JsonValueExpr,
};
use pg_raw_parse::raw::{JsonExprOp, JsonTableColumnType};

use super::said::{Operand, Step, alias, call, of_type, table_function};
use crate::marker;

/// The steps that stand for a construct of SQL/JSON; none where it is not one.
pub(super) fn steps(node: Node<'_>) -> Option<Vec<Step<'_>>> {
    Some(match node {
        Node::JsonObjectConstructor(it) => {
            let pairs =
                it.exprs().iter().flat_map(|pair| [vec![Step::Node(pair.key())], value(pair.value())]);
            call("\u{1}json_object", pairs.chain(output(it.output())).collect())
        }
        Node::JsonArrayConstructor(it) => {
            let values = it.exprs().iter().map(|it| value(Some(it)));
            call("\u{1}json_array", values.chain(output(it.output())).collect())
        }
        Node::JsonArrayQueryConstructor(it) => {
            let query = vec![Step::Subquery, Step::Node(it.query())];
            call("\u{1}json_array", std::iter::once(query).chain(output(it.output())).collect())
        }
        Node::JsonObjectAgg(it) => {
            let pair = it.arg().map(|pair| [vec![Step::Node(pair.key())], value(pair.value())]);
            aggregate("\u{1}json_objectagg", pair.into_iter().flatten().collect(), it.constructor())
        }
        Node::JsonArrayAgg(it) => aggregate("\u{1}json_arrayagg", vec![value(it.arg())], it.constructor()),
        Node::JsonParseExpr(it) => call("\u{1}json", vec![value(it.expr())]),
        Node::JsonScalarExpr(it) => call("\u{1}json_scalar", vec![vec![Step::Node(it.expr())]]),
        Node::JsonSerializeExpr(it) => {
            let all = std::iter::once(value(it.expr())).chain(output(it.output()));
            call("\u{1}json_serialize", all.collect())
        }
        Node::JsonFuncExpr(it) => function(it),
        Node::JsonTable(it) => table(it),
        _ => return None,
    })
}

fn value(value: Option<&JsonValueExpr>) -> Operand<'_> {
    value.map(|it| Step::Node(it.raw_expr())).into_iter().collect()
}

/// RETURNING, as a value of that type.
fn output(output: Option<&JsonOutput>) -> Option<Operand<'_>> {
    output.map(|it| of_type(it.type_name()))
}

/// DEFAULT … ON EMPTY or ON ERROR.
fn behavior(behavior: Option<&JsonBehavior>) -> Option<Operand<'_>> {
    let expression = behavior?.expr();
    (!matches!(expression, Node::None)).then(|| vec![Step::Node(expression)])
}

fn passing(list: &pg_raw_parse::list::NodeList) -> impl Iterator<Item = Operand<'_>> {
    list.iter().map(|it| match it {
        Node::JsonArgument(argument) => value(argument.val()),
        other => vec![Step::Node(other)],
    })
}

fn aggregate<'t>(
    name: &'t str,
    mut operands: Vec<Operand<'t>>,
    of: Option<&'t JsonAggConstructor>,
) -> Vec<Step<'t>> {
    operands.extend(of.and_then(|of| output(of.output())));
    let mut steps = call(name, operands);
    if let Some(of) = of {
        if !of.agg_order().is_empty() {
            steps.push(Step::Node(Node::NodeList(of.agg_order())));
        }
        steps.push(Step::Node(of.agg_filter()));
        steps.extend(of.over().map(|over| Step::Node(Node::WindowDef(over))));
    }
    steps
}

fn function(function: &JsonFuncExpr) -> Vec<Step<'_>> {
    let name = match function.op {
        JsonExprOp::JSON_EXISTS_OP => "\u{1}json_exists",
        JsonExprOp::JSON_QUERY_OP => "\u{1}json_query",
        JsonExprOp::JSON_VALUE_OP => "\u{1}json_value",
        _ => return vec![Step::Unsaid],
    };
    let mut operands = vec![value(function.context_item()), vec![Step::Node(function.pathspec())]];
    operands.extend(passing(function.passing()));
    operands.extend(output(function.output()));
    operands.extend(behavior(function.on_empty()));
    operands.extend(behavior(function.on_error()));
    call(name, operands)
}

fn table(table: &JsonTable) -> Vec<Step<'_>> {
    let mut operands = vec![value(table.context_item())];
    operands.extend(passing(table.passing()));
    let names = columns(table.columns(), &mut operands);
    operands.extend(behavior(table.on_error()));
    let alias = alias(table.alias(), "json_table", names);
    table_function(false, marker::JSON_TABLE, operands, Some(alias))
}

/// The names of columns, those nested in them last, and what they have of operands, as they stand.
fn columns<'t>(
    of: impl IntoIterator<Item = &'t JsonTableColumn>,
    operands: &mut Vec<Operand<'t>>,
) -> Vec<Option<&'t str>> {
    let (mut names, mut nested) = (Vec::new(), Vec::new());
    for column in of {
        if column.coltype == JsonTableColumnType::JTC_NESTED {
            let of = column.columns().iter().filter_map(|it| match it {
                Node::JsonTableColumn(column) => Some(column),
                _ => None,
            });
            let of: Vec<&JsonTableColumn> = of.collect();
            nested.extend(columns(of, operands));
        } else {
            names.push(column.name());
            operands.extend(column_operands(column));
        }
    }
    names.extend(nested);
    names
}

fn column_operands(column: &JsonTableColumn) -> impl Iterator<Item = Operand<'_>> {
    let of = column.type_name().map(|of| of_type(Some(of)));
    of.into_iter().chain(behavior(column.on_empty())).chain(behavior(column.on_error()))
}
