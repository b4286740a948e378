//! Tables and columns of a database as its catalog has them, for looking at what they hold.

use std::collections::{BTreeMap, HashMap};

use stepgate_proxy::{Upstream, UpstreamError, simple_query};
use stepgate_types::RelationName;

use super::detect::Shape;

/// A column by the OID of its table and its attribute number.
pub(super) type Place = (u32, i32);

/// Tables, by OID.
#[derive(Debug, Default)]
pub(super) struct Schema {
    pub(super) tables: BTreeMap<u32, Table>,
    /// Columns that hold what others hold: of foreign keys.
    pub(super) keys: Vec<(Place, Place)>,
}

/// A table, or what else holds rows.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: RelationName,
    /// `pg_class.relkind`.
    pub(super) kind: char,
    /// As the server last counted them.
    pub(super) rows: f64,
    pub(super) pages: u64,
    pub(super) columns: Vec<Column>,
}

/// A column of it.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) number: i32,
    pub(super) name: String,
    /// As people write it.
    pub(super) type_name: String,
    pub(super) shape: Shape,
    pub(super) comment: Option<String>,
    /// The name of its domain, and those by which views show it.
    pub(super) aliases: Vec<String>,
    /// A CHECK wants an `@`.
    pub(super) wants_at: bool,
    /// Whether we may read it.
    pub(super) readable: bool,
}

/// Partitions hold what their tables hold, and inherited columns what those hold that they come from. What an extension
/// made is its own business.
const WHERE: &str = "c.relkind IN ('r', 'p', 'm', 'f') AND NOT c.relispartition AND c.relpersistence <> 't' \
    AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%' \
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass \
    AND d.objid = c.oid AND d.deptype = 'e')";

impl Schema {
    /// Reads it.
    pub(super) async fn read(upstream: &mut Upstream) -> Result<Self, UpstreamError> {
        let types = Types::read(upstream).await?;
        let mut schema = Self::default();
        let from = "pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace";
        let sql = format!(
            "SELECT c.oid, n.nspname, c.relname, c.relkind, c.reltuples, \
             CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) / 8192 ELSE c.relpages END \
             FROM {from} WHERE {WHERE}"
        );
        for row in simple_query(upstream, &sql).await? {
            let cell = Cells(&row);
            let table = Table {
                name: RelationName::new(cell.text(1), cell.text(2)),
                kind: cell.text(3).chars().next().unwrap_or('r'),
                rows: cell.number(4).unwrap_or(-1.0),
                pages: cell.number(5).unwrap_or(0),
                columns: Vec::new(),
            };
            schema.tables.insert(cell.number(0).unwrap_or(0), table);
        }
        let sql = format!(
            "SELECT c.oid, a.attnum, a.attname, a.atttypid, pg_catalog.format_type(a.atttypid, a.atttypmod), \
             pg_catalog.col_description(c.oid, a.attnum), \
             pg_catalog.has_column_privilege(c.oid, a.attnum, 'SELECT') \
             FROM {from} JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
             WHERE {WHERE} AND a.attnum > 0 AND NOT a.attisdropped AND (a.attislocal OR c.relkind <> 'r') \
             ORDER BY c.oid, a.attnum"
        );
        for row in simple_query(upstream, &sql).await? {
            let cell = Cells(&row);
            let (shape, aliases, wants_at) = types.resolve(cell.number(3).unwrap_or(0));
            let column = Column {
                number: cell.number(1).unwrap_or(0),
                name: cell.text(2).to_owned(),
                type_name: cell.text(4).to_owned(),
                shape,
                comment: row.get(5).cloned().flatten(),
                aliases,
                wants_at,
                readable: cell.text(6) == "t",
            };
            if let Some(table) = cell.number(0).and_then(|oid: u32| schema.tables.get_mut(&oid)) {
                table.columns.push(column);
            }
        }
        schema.constraints(upstream).await?;
        schema.views(upstream).await?;
        Ok(schema)
    }

    /// Foreign keys, and checks of one column.
    async fn constraints(&mut self, upstream: &mut Upstream) -> Result<(), UpstreamError> {
        let sql = "SELECT conrelid, pg_catalog.array_to_string(conkey, ','), confrelid, \
                   pg_catalog.array_to_string(confkey, ','), contype, \
                   CASE contype WHEN 'c' THEN pg_catalog.pg_get_constraintdef(oid) LIKE '%@%' ELSE false END \
                   FROM pg_catalog.pg_constraint WHERE conrelid <> 0 AND contype IN ('c', 'f')";
        for row in simple_query(upstream, sql).await? {
            let cell = Cells(&row);
            let numbers = |at: usize| -> Vec<i32> {
                cell.text(at).split(',').filter_map(|number| number.parse().ok()).collect()
            };
            let own: u32 = cell.number(0).unwrap_or(0);
            if cell.text(4) == "f" {
                let other: u32 = cell.number(2).unwrap_or(0);
                let pairs = numbers(1).into_iter().zip(numbers(3));
                self.keys.extend(pairs.map(|(from, to)| ((own, from), (other, to))));
            } else if let ([number], "t") = (numbers(1).as_slice(), cell.text(5))
                && let Some(column) = self.column_mut((own, *number))
            {
                column.wants_at = true;
            }
        }
        Ok(())
    }

    /// By which other names views show a column: of views that take one column of that name's type from below. Which
    /// column it is, the view's own rule says; where a name could be of several, it is of none.
    async fn views(&mut self, upstream: &mut Upstream) -> Result<(), UpstreamError> {
        let sql = "SELECT c.oid, pg_catalog.pg_get_viewdef(c.oid) FROM pg_catalog.pg_class c \
                   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind = 'v' \
                   AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'";
        let depends = "SELECT DISTINCT r.ev_class, d.refobjid, d.refobjsubid FROM pg_catalog.pg_depend d \
                       JOIN pg_catalog.pg_rewrite r ON r.oid = d.objid \
                       WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refobjsubid > 0 \
                       AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid <> r.ev_class";
        let mut reads: HashMap<u32, Vec<Place>> = HashMap::new();
        for row in simple_query(upstream, depends).await? {
            let cell = Cells(&row);
            let (Some(view), Some(table), Some(number)) = (cell.number(0), cell.number(1), cell.number(2))
            else {
                continue;
            };
            reads.entry(view).or_default().push((table, number));
        }
        let definitions = match simple_query(upstream, sql).await {
            Ok(definitions) => definitions,
            // Of some views the server cannot print the definition; names are told by others.
            Err(UpstreamError::Server { .. }) => return Ok(()),
            Err(error) => return Err(error),
        };
        for row in definitions {
            let cell = Cells(&row);
            let below = cell.number(0).and_then(|view: u32| reads.get(&view)).cloned().unwrap_or_default();
            for (column, alias) in renamed(cell.text(1)) {
                let mut of = below
                    .iter()
                    .filter(|place| self.column(**place).is_some_and(|found| found.name == column));
                let only = of.next().copied().filter(|_| of.next().is_none());
                if let Some(found) = only.and_then(|place| self.column_mut(place)) {
                    found.aliases.push(alias);
                }
            }
        }
        Ok(())
    }

    pub(super) fn column(&self, (table, number): Place) -> Option<&Column> {
        self.tables.get(&table)?.columns.iter().find(|column| column.number == number)
    }

    fn column_mut(&mut self, (table, number): Place) -> Option<&mut Column> {
        self.tables.get_mut(&table)?.columns.iter_mut().find(|column| column.number == number)
    }
}

/// Columns that a view shows under another name, by its definition as the server prints it: one of them a line.
fn renamed(definition: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for line in definition.lines() {
        let line = line.trim();
        if line.starts_with("FROM ") {
            break;
        }
        let line = line.strip_prefix("SELECT ").unwrap_or(line).trim_end_matches([',', ';']);
        let Some((column, alias)) = line.split_once(" AS ") else { continue };
        let column = column.rsplit_once('.').map_or(column, |(_, column)| column);
        if let (Some(column), Some(alias)) = (identifier(column), identifier(alias)) {
            found.push((column, alias));
        }
    }
    found
}

/// A name as PostgreSQL prints it, if a text is nothing else.
fn identifier(text: &str) -> Option<String> {
    if let Some(quoted) = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')) {
        return Some(quoted.replace("\"\"", "\""));
    }
    let plain = text.chars().all(|letter| letter.is_alphanumeric() || letter == '_' || letter == '$');
    (plain && !text.is_empty()).then(|| text.to_owned())
}

/// Types by OID.
struct Types(HashMap<u32, Type>);

struct Type {
    name: String,
    schema: String,
    /// `typtype`.
    kind: char,
    /// `typcategory`.
    category: char,
    base: u32,
    element: u32,
    wants_at: bool,
}

impl Types {
    async fn read(upstream: &mut Upstream) -> Result<Self, UpstreamError> {
        let sql = "SELECT t.oid, t.typname, n.nspname, t.typtype, t.typcategory, t.typbasetype, t.typelem, \
                   EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE c.contypid = t.oid \
                   AND pg_catalog.pg_get_constraintdef(c.oid) LIKE '%@%') \
                   FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace";
        let mut types = HashMap::new();
        for row in simple_query(upstream, sql).await? {
            let cell = Cells(&row);
            let letter = |at: usize| cell.text(at).chars().next().unwrap_or(' ');
            let found = Type {
                name: cell.text(1).to_owned(),
                schema: cell.text(2).to_owned(),
                kind: letter(3),
                category: letter(4),
                base: cell.number(5).unwrap_or(0),
                element: cell.number(6).unwrap_or(0),
                wants_at: cell.text(7) == "t",
            };
            types.insert(cell.number(0).unwrap_or(0), found);
        }
        Ok(Self(types))
    }

    /// What a type lets its columns hold, the names of domains on the way, and whether one of them wants an `@`.
    fn resolve(&self, oid: u32) -> (Shape, Vec<String>, bool) {
        let (mut names, mut wants_at, mut oid) = (Vec::new(), false, oid);
        // Domains over domains: PostgreSQL has no circles of them.
        for _ in 0..32 {
            let Some(found) = self.0.get(&oid) else { break };
            if found.kind != 'd' {
                return (shape(found, &self.0), names, wants_at);
            }
            wants_at |= found.wants_at;
            names.push(found.name.clone());
            oid = found.base;
        }
        (Shape::Other, names, wants_at)
    }
}

fn shape(found: &Type, types: &HashMap<u32, Type>) -> Shape {
    if found.schema == "pg_catalog" {
        match found.name.as_str() {
            "text" | "varchar" | "bpchar" | "name" | "char" => return Shape::Text,
            "int2" | "int4" => return Shape::Integer { wide: false },
            "int8" => return Shape::Integer { wide: true },
            "numeric" | "float4" | "float8" => return Shape::Decimal,
            "date" => return Shape::Date,
            "timestamp" | "timestamptz" => return Shape::Timestamp,
            "inet" | "cidr" => return Shape::Inet,
            "json" | "jsonb" => return Shape::Json,
            "xml" => return Shape::Xml,
            "bytea" => return Shape::Bytes,
            _ => {}
        }
    }
    match (found.kind, found.category) {
        ('e', _) => Shape::Enumeration,
        ('c', _) => Shape::Composite,
        // citext is one of these.
        ('b', 'S') => Shape::Text,
        (_, 'A') => match types.get(&found.element).map(|element| shape(element, types)) {
            Some(Shape::Text | Shape::Inet | Shape::Json | Shape::Composite) => Shape::Array,
            Some(_) | None => match types.get(&found.element) {
                // Of a domain, whatever it is over.
                Some(element) if element.kind == 'd' => Shape::Array,
                _ => Shape::Other,
            },
        },
        ('b', 'U') if found.name == "hstore" => Shape::Text,
        _ => Shape::Other,
    }
}

/// Cells of a row.
pub(super) struct Cells<'r>(pub(super) &'r [Option<String>]);

impl Cells<'_> {
    pub(super) fn text(&self, at: usize) -> &str {
        self.0.get(at).and_then(Option::as_deref).unwrap_or_default()
    }

    pub(super) fn number<N: std::str::FromStr>(&self, at: usize) -> Option<N> {
        self.text(at).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_views_give_are_read_from_their_definitions() {
        let definition = " SELECT t.c1 AS email,\n    t.\"C 2\" AS \"Full Name\",\n    upper(t.c3) AS x,\n    t.c4\n   FROM s.t;";
        let expected = [("c1", "email"), ("C 2", "Full Name")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        assert_eq!(renamed(definition), expected);
    }
}
