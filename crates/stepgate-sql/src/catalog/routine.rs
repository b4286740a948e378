//! Functions that somebody defined.

/// A row of pg_proc outside pg_catalog.
#[derive(Debug)]
pub(crate) struct Routine {
    /// It may return many rows.
    pub(crate) returns_set: bool,
    /// Its text, where it is SQL that can be read as it stands.
    pub(crate) body: Option<Body>,
}

/// The body of a function in SQL.
#[derive(Debug)]
pub(crate) struct Body {
    pub(crate) text: String,
    /// It does not run under its caller's search path: it is SECURITY DEFINER (whose `"$user"` and rights to schemas
    /// are the owner's), or pins a path (in which temporary objects come first, and schemas without USAGE are
    /// skipped).
    pub(crate) own_path: bool,
    /// Names of its arguments: a name that finds no column may mean one.
    pub(crate) arguments: Vec<String>,
}

impl Routine {
    /// A routine whose body is empty where it cannot be read; `arguments` are names with commas between.
    pub(crate) fn new(returns_set: bool, body: &str, own_path: bool, arguments: &str) -> Self {
        let arguments = arguments.split(',').map(str::to_owned).collect();
        let body = (!body.is_empty()).then(|| Body { text: body.to_owned(), own_path, arguments });
        Self { returns_set, body }
    }
}
