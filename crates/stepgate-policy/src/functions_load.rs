//! Functions that a rule names: whether the server has one of that name nobody can tell from the policy, but a name of
//! `pg_catalog` that is nearly one of PostgreSQL's own is hardly meant.

use crate::read;
use crate::report::{Report, closest};
use crate::yaml::Node;

/// The names of the functions of `pg_catalog`: those of PostgreSQL 15 (`pg_proc.dat`), and of what came with 16 to 18 those
/// that are new. One a line, in order.
const OF_SERVER: &str = include_str!("functions.txt");

/// The schema that they are in.
const CATALOG: &str = "pg_catalog";

/// A function as records name it.
pub(crate) fn function(report: &mut Report<'_>, node: &Node, what: &str) -> Option<String> {
    let text = read::text(report, node, what)?;
    let parts = text.split_once('.').filter(|(schema, name)| !schema.is_empty() && !name.is_empty());
    let Some((schema, name)) = parts.filter(|_| !text.contains('(')) else {
        report.error_with_help(
            node.at,
            format!("{what} is a function's name with its schema, not `{text}`"),
            "for example pg_catalog.pg_read_file, without arguments",
        );
        return None;
    };
    if let Some(meant) = meant(schema, name) {
        report.warning(
            node.at,
            &format!("PostgreSQL has no function {text}"),
            format!("did you mean {meant}? A function of your own is not in {CATALOG}"),
        );
    }
    Some(text.to_owned())
}

/// What is spelt nearly like this, and is a function of the server's own.
fn meant(schema: &str, name: &str) -> Option<String> {
    if schema != CATALOG {
        let is_near = closest(schema, &[CATALOG]).is_some() && OF_SERVER.lines().any(|known| known == name);
        return is_near.then(|| format!("{CATALOG}.{name}"));
    }
    let known: Vec<&str> = OF_SERVER.lines().collect();
    let near = if known.contains(&name) { None } else { closest(name, &known) };
    near.map(|near| format!("{CATALOG}.{near}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_in_order_and_what_is_no_typing_error_is_let_be() {
        assert!(OF_SERVER.lines().is_sorted());
        let of = |schema, name| meant(schema, name);
        assert_eq!(of("pg_catalog", "pg_read_flie").as_deref(), Some("pg_catalog.pg_read_file"));
        assert_eq!(of("pg_catlog", "lo_get").as_deref(), Some("pg_catalog.lo_get"));
        for (schema, name) in [
            ("pg_catalog", "pg_read_file"),
            ("pg_catalog", "uuidv7"),
            ("pg_catalog", "of_some_later_version"),
            ("public", "pg_read_flie"),
            ("public", "lo_get"),
        ] {
            assert_eq!(of(schema, name), None, "{schema}.{name}");
        }
    }
}
