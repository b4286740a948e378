//! One database of a server under several names of the configuration. Each name is a database of its own to the gate: what
//! the map says of one, and which tables were found to hold copies of labelled columns, it does not know of the other. So
//! what is stored as personal data by one name may be read as nothing by the other.

use std::collections::BTreeMap;
use std::net::IpAddr;

use stepgate_types::is_wildcard;

/// What to do about it.
pub(crate) const HINT: &str =
    "keep one of the names; the map's labels and copies of labelled data are known by each name apart";

/// A name, and what it is at which server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'n> {
    pub(crate) name: &'n str,
    pub(crate) host: &'n str,
    pub(crate) port: u16,
    pub(crate) dbname: &'n str,
}

/// The names that are of one database, together: each of these sets has two at least. By host, port and name alone: two
/// addresses of one server are not found out. A wildcard stands for no name that is an entry's `dbname`.
pub(crate) fn of_one<'n>(all: &[Named<'n>]) -> Vec<Vec<&'n str>> {
    let mut places: BTreeMap<_, Vec<&str>> = BTreeMap::new();
    for named in all.iter().filter(|named| !is_wildcard(named.name)) {
        places.entry((server(named), named.dbname)).or_default().push(named.name);
    }
    let several = places.into_values().filter(|names| names.len() > 1);
    // In one order, whoever lists them.
    several
        .map(|mut names| {
            names.sort_unstable();
            names
        })
        .collect()
}

/// What is said of such names.
pub(crate) fn detail(names: &[&str]) -> String {
    format!("{} are names of one database", names.join(" and "))
}

fn server(named: &Named<'_>) -> (String, u16) {
    (if is_local(named.host) { "localhost".to_owned() } else { named.host.to_ascii_lowercase() }, named.port)
}

/// Whether a host is this machine.
pub(crate) fn is_local(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named<'n>(name: &'n str, host: &'n str, dbname: &'n str) -> Named<'n> {
        Named { name, host, port: 5432, dbname }
    }

    #[test]
    fn names_of_one_database_are_found_however_its_host_is_written() {
        let all = [
            named("other", "db", "other"),
            named("sales", "DB", "shop"),
            named("shop", "db", "shop"),
            named("app_*", "db", "*"),
            named("a_*", "db", "*"),
            named("here", "localhost", "x"),
            named("there", "127.0.0.1", "x"),
            Named { port: 5433, ..named("copy", "db", "shop") },
        ];
        assert_eq!(of_one(&all), [vec!["sales", "shop"], vec!["here", "there"]]);
        assert_eq!(detail(&["sales", "shop"]), "sales and shop are names of one database");
    }
}
