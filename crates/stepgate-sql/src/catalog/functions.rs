//! All functions by name: some thousands, nearly all of them the server's own. To read them is most of what reading the
//! catalog costs, so that snapshots share them for as long as none has changed.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::load::{Answers, truth};
use super::queries::FUNCTIONS_VERSION;
use super::{Catalog, CatalogError, CatalogQuery};

/// The query's name in [`super::CATALOG_QUERIES`].
const FUNCTIONS: &str = "functions";

/// What there is of functions.
#[derive(Debug, Default)]
pub(super) struct Functions {
    /// Changes when anything of it does; empty where the server did not say.
    version: String,
    /// Names of those outside pg_catalog.
    pub(super) of_users: HashSet<String>,
    /// Names of those of pg_catalog.
    pub(super) of_server: HashSet<String>,
    /// Those of them that only compute, by what the server says of them.
    pub(super) pure: HashSet<String>,
    /// Those of pg_catalog by OID.
    pub(super) by_oid: HashMap<u32, Box<str>>,
}

impl Functions {
    /// From the answers, or those of a snapshot before, if they are the same.
    pub(super) fn load(answers: &Answers<'_>, known: Option<&Catalog>) -> Result<Arc<Self>, CatalogError> {
        let version = answers.rows::<1>("functions_version")?.next().transpose()?;
        let version = version.map_or("", |[version]| version);
        let mut rows = answers.rows::<4>(FUNCTIONS)?.peekable();
        if rows.peek().is_none()
            && let Some(known) = known.filter(|known| known.functions.is_of(version))
        {
            return Ok(Arc::clone(&known.functions));
        }
        // Every server has functions: no row is an answer only where the version says what it stands for.
        if rows.peek().is_none() && known.is_some() {
            return Err(CatalogError { query: FUNCTIONS });
        }
        let mut functions = Self { version: version.to_owned(), ..Self::default() };
        for row in rows {
            let [schema, name, pure, oids] = row?;
            for oid in oids.split(',').filter_map(|oid| oid.parse().ok()) {
                functions.by_oid.insert(oid, name.into());
            }
            if truth(pure) {
                functions.pure.insert(name.to_owned());
            }
            let names =
                if schema == "pg_catalog" { &mut functions.of_server } else { &mut functions.of_users };
            names.insert(name.to_owned());
        }
        Ok(Arc::new(functions))
    }

    /// Whether any has that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.of_server.contains(name) || self.of_users.contains(name)
    }

    fn is_of(&self, version: &str) -> bool {
        !version.is_empty() && self.version == version
    }
}

/// What asks for all functions, unless they are the same as in a snapshot that was read over the same connection.
pub(super) fn sql_after(query: &CatalogQuery, known: &Catalog) -> Option<String> {
    let version = known.functions.version.as_str();
    // It stands in a literal.
    let is_plain = version.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'/');
    let CatalogQuery { name, sql } = query;
    (*name == FUNCTIONS && is_plain && !version.is_empty())
        .then(|| format!("select * from ({sql}) f where {FUNCTIONS_VERSION} is distinct from '{version}'"))
}

#[cfg(test)]
mod tests {
    use super::super::CATALOG_QUERIES;
    use super::*;

    /// What a server answers that has these functions; `None`: that they are the same.
    fn load(functions: Option<&[&str]>, known: Option<&Catalog>) -> Catalog {
        let text = |it: &str| Some(it.to_owned());
        let answers = CATALOG_QUERIES.iter().map(|query| {
            let rows = match (query.name, functions) {
                ("functions_version", _) => vec![vec![text("7/7")]],
                (FUNCTIONS, Some(names)) => names
                    .iter()
                    .map(|name| [text("pg_catalog"), text(name), text("true"), text("1")].to_vec())
                    .collect(),
                _ => Vec::new(),
            };
            (query.name, rows.into_iter().collect())
        });
        Catalog::from_rows_after(&answers.collect::<Vec<_>>(), None, known).unwrap()
    }

    #[test]
    fn a_load_copies_no_name_of_a_function_that_a_snapshot_before_has_already() {
        let first = load(Some(&["lower", "upper"]), None);
        let second = load(None, Some(&first));
        assert!(Arc::ptr_eq(&first.functions, &second.functions));
        for catalog in [&first, &second, &second.clone()] {
            assert!(catalog.knows("lower") && catalog.knows("upper") && !catalog.knows("ssn"));
            assert!(catalog.words.is_empty(), "{:?}", catalog.words);
        }
    }
}
