//! Keys of relations and columns, written as PostgreSQL would print them.

use stepgate_types::{ColumnName, RelationName};

/// Reads `schema.name`. The error says what is wrong and how to write it, where that can be known.
pub(crate) fn relation(text: &str) -> Result<RelationName, String> {
    let parts = parts(text).ok_or_else(|| not_a_key("a relation", "schema.table", text))?;
    let [schema, name] = <[String; 2]>::try_from(parts).map_err(|parts| match parts.as_slice() {
        [name] => format!(
            "a relation is written with its schema, such as public.{}",
            stepgate_types::quote_ident(name)
        ),
        _ => not_a_key("a relation", "schema.table", text),
    })?;
    let name = RelationName::new(schema, name);
    as_printed(text, &name.to_string()).map(|()| name)
}

/// Reads `schema.name.column`.
pub(crate) fn column(text: &str) -> Result<ColumnName, String> {
    let parts = parts(text).ok_or_else(|| not_a_key("a column", "schema.table.column", text))?;
    let [schema, name, column] =
        <[String; 3]>::try_from(parts).map_err(|_| not_a_key("a column", "schema.table.column", text))?;
    let name = ColumnName::new(RelationName::new(schema, name), column);
    as_printed(text, &name.to_string()).map(|()| name)
}

fn not_a_key(what: &str, form: &str, text: &str) -> String {
    format!("{what} is written {form}, as PostgreSQL would print it, not `{text}`")
}

/// There is one way to write each name, so that two entries cannot mean the same and a name that only
/// looks like the table's is found out.
fn as_printed(written: &str, printed: &str) -> Result<(), String> {
    if written == printed { Ok(()) } else { Err(format!("PostgreSQL would print `{written}` as {printed}")) }
}

/// The identifiers between the dots; bare ones are folded as PostgreSQL folds them.
fn parts(text: &str) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    let mut rest = text.chars().peekable();
    loop {
        let mut part = String::new();
        if rest.next_if_eq(&'"').is_some() {
            loop {
                match rest.next()? {
                    '"' if rest.next_if_eq(&'"').is_some() => part.push('"'),
                    '"' => break,
                    other => part.push(other),
                }
            }
        } else {
            while let Some(c) = rest.next_if(|c| c.is_alphanumeric() || matches!(c, '_' | '$')) {
                part.push(c.to_ascii_lowercase());
            }
        }
        if part.is_empty() {
            return None;
        }
        parts.push(part);
        match rest.next() {
            None => return Some(parts),
            Some('.') => {}
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_postgresql_prints_them() {
        for (text, schema, name) in [
            ("public.customers", "public", "customers"),
            ("\"Sales Ops\".\"Lead List\"", "Sales Ops", "Lead List"),
            ("public.\"order\"", "public", "order"),
            ("public.\"a.b\"", "public", "a.b"),
            ("public.\"a\"\"b\"", "public", "a\"b"),
        ] {
            assert_eq!(relation(text), Ok(RelationName::new(schema, name)), "{text}");
        }
        assert_eq!(
            column("public.customers.\"E-Mail\""),
            Ok(ColumnName::new(RelationName::new("public", "customers"), "E-Mail"))
        );
    }

    #[test]
    fn every_other_spelling_is_refused_and_the_right_one_shown() {
        for (text, says) in [
            ("customers", "such as public.customers"),
            ("Public.Customers", "as public.customers"),
            ("public.order", "as public.\"order\""),
            ("\"public\".customers", "as public.customers"),
            ("public.größe", "as public.\"größe\""),
            ("public..customers", "schema.table"),
            ("public.customers.", "schema.table"),
            (".customers", "schema.table"),
            ("public.customers.ssn", "schema.table"),
            ("public.\"customers", "schema.table"),
            ("public.\"\"", "schema.table"),
            ("public. customers", "schema.table"),
            ("public.cust*", "schema.table"),
            ("", "schema.table"),
        ] {
            let refused = relation(text).unwrap_err();
            assert!(refused.contains(says), "{text}: {refused}");
        }
        assert!(column("customers.ssn").is_err());
    }
}
