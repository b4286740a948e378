//! Messages as a client and a server write them.

use bytes::{BufMut, BytesMut};

pub(crate) fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let mut frame = BytesMut::new();
    frame.put_u8(tag);
    frame.put_i32(i32::try_from(body.len()).unwrap() + 4);
    frame.put_slice(body);
    frame.to_vec()
}

pub(crate) fn query(sql: &str) -> Vec<u8> {
    frame(b'Q', format!("{sql}\0").as_bytes())
}

pub(crate) fn parse(name: &str, sql: &str) -> Vec<u8> {
    frame(b'P', format!("{name}\0{sql}\0\0\0").as_bytes())
}

pub(crate) fn bind(portal: &str, statement: &str) -> Vec<u8> {
    frame(b'B', format!("{portal}\0{statement}\0\0\0\0\0\0\0").as_bytes())
}

pub(crate) fn execute(portal: &str) -> Vec<u8> {
    frame(b'E', format!("{portal}\0\0\0\0\0").as_bytes())
}

pub(crate) fn close_statement(name: &str) -> Vec<u8> {
    frame(b'C', format!("S{name}\0").as_bytes())
}

pub(crate) fn sync() -> Vec<u8> {
    frame(b'S', b"")
}

pub(crate) fn ready(status: u8) -> Vec<u8> {
    frame(b'Z', &[status])
}

/// A DataRow of seven bytes.
pub(crate) fn row() -> Vec<u8> {
    frame(b'D', b"\0\0")
}

pub(crate) fn rows(count: usize) -> Vec<Vec<u8>> {
    vec![row(); count]
}

pub(crate) fn description_of_none() -> Vec<u8> {
    frame(b'T', b"\0\0")
}

/// A CommandComplete.
pub(crate) fn tagged(tag: &str) -> Vec<u8> {
    frame(b'C', format!("{tag}\0").as_bytes())
}

pub(crate) fn complete() -> Vec<u8> {
    frame(b'C', b"SELECT 1\0")
}

pub(crate) fn error(code: &str, message: &str) -> Vec<u8> {
    frame(b'E', format!("SERROR\0VERROR\0C{code}\0M{message}\0\0").as_bytes())
}

/// The row that answers the gate's own question: the path is pg_catalog, app, public, and SQL prepared these.
pub(crate) fn names_row(prepared: &[&str]) -> Vec<u8> {
    names_row_of(&["pg_catalog", "app", "public"], prepared, &["read committed"; 2])
}

/// The same, with another path, and the isolation levels of transactions to come and of this one; since PostgreSQL 17
/// their timeout.
pub(super) fn names_row_of(path: &[&str], prepared: &[&str], levels: &[&str]) -> Vec<u8> {
    let mut body = vec![0, 3];
    let path = format!("{path:?}").replace(", ", ",");
    let levels = levels.iter().map(|level| format!("{level:?},")).collect::<String>();
    let settings = format!(r#"[{levels}null,null,"analyst","analyst"]"#);
    for text in [path, format!("{prepared:?}"), settings] {
        body.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        body.extend(text.as_bytes());
    }
    frame(b'D', &body)
}

/// A result without columns.
pub(super) fn no_columns() -> Vec<u8> {
    frame(b'T', b"\0\0")
}

/// The description of a result of columns of these relations, by OID and attribute number.
pub(crate) fn description(columns: &[(u32, i16)]) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_i16(i16::try_from(columns.len()).unwrap());
    for (table, attribute) in columns {
        body.put_slice(b"a\0");
        body.put_u32(*table);
        body.put_i16(*attribute);
        body.put_slice(&[0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]);
    }
    frame(b'T', &body)
}
