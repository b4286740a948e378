use std::collections::BTreeSet;

use serde_json::{Value, json};
use stepgate_types::{Certainty, Kind, Label, quote_ident};

use crate::Facts;

/// One object of `stepgate analyze`'s output (DESIGN §7).
///
/// `line` is the statement's (or the message's) input line, `index` counts statements within a message,
/// `database` is the name shown before the schema, `labels` are those the map gives to the touched
/// columns, and `risky` is the policy's word on it.
#[must_use]
pub fn json_line(
    facts: &Facts,
    line: usize,
    index: usize,
    database: &str,
    labels: &[Label],
    risky: bool,
) -> Value {
    let database = quote_ident(database);
    let columns: Vec<Value> = facts
        .columns
        .iter()
        .map(|(column, uses)| json!({"column": format!("{database}.{column}"), "uses": uses}))
        .collect();
    let sinks: Vec<Value> = facts
        .sinks
        .iter()
        .map(|sink| {
            let relation = sink.relation.as_ref().map(|relation| format!("{database}.{relation}"));
            json!({"kind": sink.kind, "relation": relation})
        })
        .collect();
    let mut object = json!({
        "line": line,
        "index": index,
        "kind": facts.kind,
        "certainty": facts.certainty,
        "reasons": facts.reasons,
        "columns": columns,
        "labels": labels,
        "functions": facts.functions,
        "sinks": sinks,
        "bulk": {"shape": facts.bulk},
        "fingerprint": facts.fingerprint,
        "risky": risky || facts.certainty == Certainty::Unknown || facts.kind == Kind::Control,
    });
    if let (Value::Object(object), false) = (&mut object, facts.predicates.is_empty()) {
        let predicates: BTreeSet<_> = facts
            .predicates
            .iter()
            .map(|it| (format!("{database}.{}", it.column), it.op, it.operand.class))
            .collect();
        let one = |(column, op, operand)| json!({"column": column, "op": op, "operand": operand});
        object.insert("predicates".to_owned(), predicates.into_iter().map(one).collect());
    }
    object
}
