//! Rows of a table, read for a moment. Nothing of a value leaves this process, and no error of the server's is passed on
//! but for its SQLSTATE: its text may hold values.

use stepgate_proxy::{Upstream, UpstreamConfig, UpstreamError, connect, simple_query};
use stepgate_types::quote_ident;

use super::super::detect::Shape;
use super::super::schema::{Cells, Column, Table};

/// How many characters, or bytes, of a value are read.
const LENGTH: usize = 1_000;
/// How many columns are asked for at once.
const TOGETHER: usize = 40;
/// Up to so many blocks, a table is read from its beginning until there are rows enough.
const SMALL: u64 = 64;
/// The most blocks that are looked at of any table.
const BLOCKS: f64 = 512.0;
/// How long the server may work for a table, in milliseconds, and wait for a lock.
const LIMITS: [(&str, &str); 6] = [
    ("default_transaction_read_only", "on"),
    ("statement_timeout", "20000"),
    ("lock_timeout", "2000"),
    ("idle_in_transaction_session_timeout", "60000"),
    ("DateStyle", "ISO, YMD"),
    ("search_path", "pg_catalog"),
];

/// A connection that cannot write.
pub(super) async fn open(upstream: &UpstreamConfig) -> Result<Upstream, UpstreamError> {
    let settings = LIMITS.map(|(name, value)| (name.to_owned(), value.to_owned()));
    connect(upstream, &upstream.catalog, &settings).await
}

/// Values of columns, and what could not be read.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Values that are not null, by position of the column.
    pub(super) values: Vec<Vec<String>>,
    /// SQLSTATE of what kept some from being read.
    pub(super) failed: Option<String>,
}

/// Reads about so many rows of a table.
///
/// # Errors
/// The connection is of no more use.
pub(super) async fn read(connection: &mut Upstream, table: &Table, rows: u32) -> Result<Rows, UpstreamError> {
    let mut read = Rows { values: vec![Vec::new(); table.columns.len()], failed: None };
    let wanted: Vec<(usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| column.readable && expression(column).is_some())
        .collect();
    for chunk in wanted.chunks(TOGETHER) {
        let mut answer = ask(connection, &query(table, chunk, rows, true)).await?;
        // A sample of blocks may have hit none with a row in it.
        if matches!(&answer, Ok(found) if found.is_empty()) && is_sampled(table) {
            answer = ask(connection, &query(table, chunk, rows, false)).await?;
        }
        match answer {
            Ok(found) => {
                for row in found {
                    for ((at, _), value) in chunk.iter().zip(row) {
                        if let (Some(values), Some(value)) = (read.values.get_mut(*at), value) {
                            values.push(value);
                        }
                    }
                }
            }
            Err(state) => read.failed = Some(state),
        }
    }
    if wanted.is_empty() && table.columns.iter().any(|column| !column.readable) {
        read.failed = Some("42501".to_owned());
    }
    common(connection, table, &mut read).await?;
    Ok(read)
}

/// Where a sample has few values, the most common ones of the server's statistics.
async fn common(connection: &mut Upstream, table: &Table, read: &mut Rows) -> Result<(), UpstreamError> {
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let few = |at: usize| read.values.get(at).is_some_and(|values| values.len() < 10);
    if table.rows < 1.0 || !(0..table.columns.len()).any(few) {
        return Ok(());
    }
    let sql = format!(
        "SELECT attname, v FROM pg_catalog.pg_stats, LATERAL pg_catalog.unnest(most_common_vals::text::text[]) AS v \
         WHERE schemaname = {} AND tablename = {} LIMIT 10000",
        literal(&table.name.schema),
        literal(&table.name.name)
    );
    let Ok(found) = ask(connection, &sql).await? else { return Ok(()) };
    for row in found {
        let cell = Cells(&row);
        let at = table.columns.iter().position(|column| column.name == cell.text(0));
        let fits = at.filter(|at| {
            let column = table.columns.get(*at);
            column.is_some_and(|column| column.readable && column.shape != Shape::Bytes) && few_of(read, *at)
        });
        if let Some(values) = fits.and_then(|at| read.values.get_mut(at)) {
            values.push(cell.text(1).to_owned());
        }
    }
    Ok(())
}

fn few_of(read: &Rows, at: usize) -> bool {
    read.values.get(at).is_some_and(|values| values.len() < 200)
}

/// In a transaction of its own, which writes nothing. `Err`: the SQLSTATE, and the connection is as it was.
async fn ask(
    connection: &mut Upstream,
    sql: &str,
) -> Result<Result<Vec<Vec<Option<String>>>, String>, UpstreamError> {
    simple_query(connection, "BEGIN READ ONLY").await?;
    let answer = simple_query(connection, sql).await;
    let answer = match answer {
        Ok(rows) => Ok(rows),
        Err(UpstreamError::Server { state, .. }) => Err(state),
        Err(other) => return Err(other),
    };
    simple_query(connection, "ROLLBACK").await?;
    Ok(answer)
}

fn is_sampled(table: &Table) -> bool {
    matches!(table.kind, 'r' | 'm' | 'p')
        && (table.pages > SMALL || table.kind == 'p' && table.rows > 100_000.0)
}

fn query(table: &Table, columns: &[(usize, &Column)], rows: u32, sampled: bool) -> String {
    let list: Vec<String> = columns.iter().filter_map(|(_, column)| expression(column)).collect();
    let list = list.join(", ");
    let name = &table.name;
    if !(sampled && is_sampled(table)) {
        return format!("SELECT {list} FROM {name} AS t LIMIT {rows}");
    }
    let pages = f64::from(u32::try_from(table.pages).unwrap_or(u32::MAX)).max(1.0);
    // Of a table that nobody has counted, as many rows as its blocks may hold at least.
    let counted = if table.rows > 0.0 { table.rows } else { pages * 10.0 };
    let share = (f64::from(rows) * 2.0 / counted).max(2.0 / pages).min(BLOCKS / pages).min(1.0) * 100.0;
    // The same sample each time, so that a proposal can be made again.
    format!("SELECT {list} FROM {name} AS t TABLESAMPLE SYSTEM ({share:.6}) REPEATABLE (7) LIMIT {rows}")
}

/// How a column is read as text; `None`: nothing in it says anything about people.
fn expression(column: &Column) -> Option<String> {
    let name = format!("t.{}", quote_ident(&column.name));
    match column.shape {
        Shape::Text | Shape::Json | Shape::Xml | Shape::Array | Shape::Composite => {
            Some(format!("pg_catalog.left({name}::text, {LENGTH})"))
        }
        Shape::Bytes => {
            Some(format!("pg_catalog.encode(pg_catalog.substring({name}::bytea, 1, {LENGTH}), 'hex')"))
        }
        Shape::Integer { .. } | Shape::Decimal | Shape::Date | Shape::Timestamp | Shape::Inet => {
            Some(format!("{name}::text"))
        }
        Shape::Enumeration | Shape::Other => None,
    }
}
