//! The condition `predicate`, read and checked.

use stepgate_sql::{Comparison, Number};

use crate::condition::{Part, Touch};
use crate::condition_load;
use crate::map::Map;
use crate::predicate::PredicateTest;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::yaml::{Node, Value};

const KNOWN: [&str; 5] = ["column", "labels", "class", "op", "value"];

const OPS: [(&str, Comparison); 9] = [
    ("=", Comparison::Eq),
    ("<>", Comparison::Ne),
    ("!=", Comparison::Ne),
    ("<", Comparison::Lt),
    ("<=", Comparison::Le),
    (">", Comparison::Gt),
    (">=", Comparison::Ge),
    ("like", Comparison::Like),
    ("is-null", Comparison::IsNull),
];

pub(crate) fn load(report: &mut Report<'_>, node: &Node, map: Option<&Map>) -> Option<Part> {
    let what = "`predicate`";
    let fields = Fields::read(report, node, what, &KNOWN, &[])?;
    let of = Touch {
        columns: condition_load::columns(report, &fields, "column", map),
        ..condition_load::labelled(report, &fields, map)
    };
    if !["column", "labels", "class"].iter().any(|name| fields.get(name).is_some()) {
        report.error(node.at, format!("{what} needs `column`, `labels` or `class`: what is compared?"));
    }
    let op = fields.get("op").and_then(|node| read::word(report, node, "`op`", &OPS));
    let value = fields.entry("value").and_then(|(key, node)| {
        let value = number(report, node);
        if fields.get("op").is_none() {
            report.error_with_help(
                key.at,
                "`value` needs `op`: on which side of it?",
                "for example op: \">\", or leave `value` out",
            );
        } else if let Some(op @ (Comparison::Like | Comparison::IsNull)) = op {
            report.error(key.at, format!("`value` has no effect with op `{}`", op.as_str()));
        }
        value
    });
    let shown = fields.get("value").map_or_else(String::new, |node| match &node.value {
        Value::Int(value) => value.to_string(),
        Value::Number(Some(text)) | Value::Text(text) => text.clone(),
        _ => String::new(),
    });
    Some(Part::Predicate(PredicateTest { of, op, value, shown }))
}

/// A decimal number, exact as it is written; `None`: it is none.
pub(crate) fn decimal(node: &Node) -> Option<Number> {
    match &node.value {
        Value::Int(value) => value.to_string().parse().ok(),
        Value::Number(Some(text)) | Value::Text(text) => text.parse().ok(),
        _ => None,
    }
}

fn number(report: &mut Report<'_>, node: &Node) -> Option<Number> {
    let number = decimal(node);
    if number.is_none() {
        let help = match node.value {
            Value::Text(_) => {
                "with texts nothing is compared: leave `value` out to match any comparison of the column"
            }
            _ => "for example value: 30000, or value: \"0.00000000000000001\" where YAML would round it",
        };
        report.error_with_help(node.at, "`value` is a number", help);
    }
    number
}
