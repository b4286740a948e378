//! Names that no client can write.
//!
//! What sqlparser has no words for, `normalise` says as a call (or a column) of such a name, with every expression of
//! it as an operand. `grammar` reads the client's own construct as if it had been said so: the two readings agree only
//! if the operands are the same, each in its place. The walk knows what each name stands for.

/// Begins each of them. A statement of the client's that holds a name with it is refused.
pub(crate) const PREFIX: char = '\u{1}';

/// `ROWS FROM (f(…), g(…) AS (a type))`: the functions, and `cast(null as type)` for each column that is defined.
pub(crate) const ROWS: &str = "\u{1}rows";
/// `XMLTABLE`: namespaces, row, document, and of each column its type (as above), path and default.
pub(crate) const XMLTABLE: &str = "\u{1}xmltable";
/// `JSON_TABLE`: the context item, what is passed, and of each column its type and defaults.
pub(crate) const JSON_TABLE: &str = "\u{1}json_table";
/// `WHERE CURRENT OF c`, as a function `c` of this schema.
pub(crate) const CURRENT: &str = "\u{1}current";
/// `SET a[i] = v`: subscripts, then the value.
pub(crate) const PART: &str = "\u{1}part";
/// A CTE that no query names: `WITH` it, sqlparser takes for a query what in brackets it would not.
pub(crate) const QUERY: &str = "\u{1}query";
/// `TABLESAMPLE m (a) REPEATABLE (b)`, with both as operands.
pub(crate) const SEED: &str = "\u{1}seed";
/// `GROUPING SETS`, `ROLLUP`, `CUBE` and `()` within `GROUPING SETS`.
pub(crate) const SETS: &str = "\u{1}sets";
pub(crate) const ROLLUP: &str = "\u{1}rollup";
pub(crate) const CUBE: &str = "\u{1}cube";
pub(crate) const EMPTY: &str = "\u{1}empty";

pub(crate) const GROUPING: [&str; 4] = [SETS, ROLLUP, CUBE, EMPTY];

// All others only compute, from their operands, and are named as the server names the result (`xmlelement`).

/// That name, marked.
pub(crate) fn marked(name: &str) -> String {
    format!("{PREFIX}{name}")
}

/// The name within a marked one.
pub(crate) fn named(name: &str) -> Option<&str> {
    name.strip_prefix(PREFIX)
}

/// The version of the server from which on a name is one of the grammar's own: to those before, `name(…)` calls a function of
/// that name, or casts to a type. None: to all that there are it is grammar.
pub(crate) fn since(name: &str) -> Option<u32> {
    match name {
        "json_array" | "json_arrayagg" | "json_object" | "json_objectagg" => Some(160_000),
        "json" | "json_exists" | "json_query" | "json_scalar" | "json_serialize" | "json_table"
        | "json_value" => Some(170_000),
        _ => None,
    }
}

/// Operators that sqlparser knows before ANY and ALL. `a @@ ANY (b)` is said as `a = ANY (@@(b))`, its name marked.
pub(crate) fn may_precede_any(operator: &str) -> bool {
    matches!(
        operator,
        "=" | "<>"
            | "!="
            | "<"
            | ">"
            | "<="
            | ">="
            | "~"
            | "~*"
            | "!~"
            | "!~*"
            | "~~"
            | "~~*"
            | "!~~"
            | "!~~*"
    )
}
