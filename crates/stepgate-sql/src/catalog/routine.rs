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
    /// The effective search path that it pins; `None`: the caller's.
    pub(crate) path: Option<Vec<String>>,
    /// Names of its arguments: a name that finds no column may mean one.
    pub(crate) arguments: Vec<String>,
}

impl Routine {
    /// `setting` is empty or `search_path=…`, as `pg_proc.proconfig` has it.
    pub(crate) fn new(returns_set: bool, body: &str, setting: &str, arguments: &str) -> Self {
        let path = match setting.strip_prefix("search_path=") {
            Some(names) => effective(names).map(Some),
            None if setting.is_empty() => Some(None),
            None => None,
        };
        let text = (!body.is_empty()).then(|| body.to_owned());
        let arguments = arguments.split(',').map(str::to_owned).collect();
        Self { returns_set, body: text.zip(path).map(|(text, path)| Body { text, path, arguments }) }
    }
}

/// The effective path under this value of search_path: pg_catalog comes first unless it is named. `None` where
/// it depends on the session (`"$user"`).
fn effective(names: &str) -> Option<Vec<String>> {
    let mut path = Vec::new();
    for name in names.split(',').map(str::trim) {
        let unquoted = name.strip_prefix('"').and_then(|name| name.strip_suffix('"'));
        let name = unquoted.unwrap_or(name);
        if name.contains(['"', '$', '\\', '\'']) {
            return None;
        }
        if !name.is_empty() {
            path.push(name.to_owned());
        }
    }
    if path.iter().all(|name| name != "pg_catalog") {
        path.insert(0, "pg_catalog".to_owned());
    }
    Some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pinned_search_path_is_read_or_the_body_is_not() {
        let path = |setting: &str| Routine::new(false, "select 1", setting, "").body.map(|body| body.path);
        let names = |names: &[&str]| Some(Some(names.iter().map(|name| (*name).to_owned()).collect()));
        assert_eq!(path(""), Some(None));
        assert_eq!(path("search_path=public, \"Sales Ops\""), names(&["pg_catalog", "public", "Sales Ops"]));
        assert_eq!(path("search_path=app, pg_catalog"), names(&["app", "pg_catalog"]));
        assert_eq!(path("search_path=\"\""), names(&["pg_catalog"]));
        assert_eq!(path("search_path=\"$user\", public"), None);
        assert_eq!(path("work_mem=1GB"), None);
    }
}
