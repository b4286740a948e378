//! What would be lost if a statement slipped through, and who gets in past the gate: asked of each server by `doctor`,
//! `check --connect`, and at the start of `serve`.

use std::net::IpAddr;

use stepgate_policy::Map;
use stepgate_proxy::{Upstream, UpstreamConfig, UpstreamError, simple_query};
use stepgate_sql::Classes;
use stepgate_types::RelationName;

/// The most mapped relations, lines of pg_hba.conf and the like that one finding names.
const NAMED: usize = 5;

/// Predefined roles that reach beyond what is granted table by table, and what they may.
const ROLES: [(&str, &str); 12] = [
    ("pg_read_all_data", "read every table"),
    ("pg_write_all_data", "write every table"),
    ("pg_monitor", "see other sessions' statements, literals included"),
    ("pg_read_all_stats", "see other sessions' statements, literals included"),
    ("pg_stat_scan_tables", "run monitoring functions that read tables"),
    ("pg_read_all_settings", "see every setting, secrets among them"),
    ("pg_read_server_files", "read files of the server"),
    ("pg_write_server_files", "write files of the server"),
    ("pg_execute_server_program", "run programs of the server"),
    ("pg_signal_backend", "end other people's sessions"),
    ("pg_maintain", "run VACUUM, REINDEX and the like on every table"),
    ("pg_create_subscription", "make subscriptions"),
];

/// Attributes of roles, as columns of pg_roles, and what they make of their holder.
const ATTRIBUTES: [(&str, &str); 4] = [
    ("rolsuper", "a superuser"),
    ("rolcreaterole", "able to make roles (CREATEROLE)"),
    ("rolreplication", "able to read everything by replication (REPLICATION)"),
    ("rolbypassrls", "past row-level security (BYPASSRLS)"),
];

/// Something that somebody should look at.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Exposure {
    /// `rights` or `pg_hba`.
    pub(crate) check: &'static str,
    /// What is so.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) hint: &'static str,
}

/// What one server lets this connection's role, and others, do.
#[derive(Default)]
pub(crate) struct Exposed {
    /// What was found.
    pub(crate) found: Vec<Exposure>,
    /// Whether pg_hba.conf could be looked at.
    pub(crate) hba_read: bool,
}

/// Asks the server, over a connection of that role, which runs people's statements.
pub(crate) async fn look(
    connection: &mut Upstream,
    upstream: &UpstreamConfig,
    user: &str,
    map: Option<&Map>,
) -> Result<Exposed, UpstreamError> {
    let mut exposed = Exposed::default();
    let powers = powers(connection).await?;
    let is_superuser = powers.iter().any(|power| power.ends_with(ATTRIBUTES[0].1));
    let rights = |detail: String| Exposure {
        check: "rights",
        detail,
        hint: "let people's statements run as a role with no more rights than they need",
    };
    for power in powers {
        exposed
            .found
            .push(rights(format!("{user} {power}: a statement that slipped through could use that")));
    }
    // A superuser owns everything: once is enough.
    if let (Some(map), false) = (map, is_superuser) {
        let mapped: Vec<_> = map.entries(&upstream.name).listed().cloned().collect();
        for held in holdings(connection, &mapped).await? {
            exposed.found.push(rights(format!("{user} {held}")));
        }
    }
    match ways_past(connection, upstream).await {
        Ok(lines) => {
            exposed.hba_read = true;
            exposed.found.extend(lines.into_iter().map(|detail| Exposure {
                check: "pg_hba",
                detail,
                hint: "let only the gate's address reach this database in pg_hba.conf, and a firewall say so too",
            }));
        }
        // Only superusers may read it, unless it was granted.
        Err(UpstreamError::Server { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(exposed)
}

/// What the role is, or may become by SET ROLE.
async fn powers(connection: &mut Upstream) -> Result<Vec<String>, UpstreamError> {
    let attributes = ATTRIBUTES.map(|(column, _)| {
        format!("coalesce(bool_or(r.{column} AND r.rolname = current_user), false), coalesce(bool_or(r.{column}), false)")
    });
    let names = ROLES.map(|(name, _)| format!("'{name}'"));
    let sql = format!(
        "SELECT {}, string_agg(r.rolname, ',') FILTER (WHERE r.rolname IN ({})) \
         FROM pg_catalog.pg_roles r WHERE pg_catalog.pg_has_role(current_user, r.oid, 'MEMBER')",
        attributes.join(", "),
        names.join(", "),
    );
    let rows = simple_query(connection, &sql).await?;
    let row = rows.into_iter().next().unwrap_or_default();
    let cell = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
    let mut powers = Vec::new();
    if cell(0) == "t" {
        // It counts as a member of every role, and needs none of them.
        return Ok(vec![format!("is {}", ATTRIBUTES[0].1)]);
    }
    for (number, (_, what)) in ATTRIBUTES.iter().enumerate() {
        match (cell(2 * number), cell(2 * number + 1)) {
            ("t", _) => powers.push(format!("is {what}")),
            (_, "t") => powers.push(format!("is a member of a role that is {what}")),
            _ => {}
        }
    }
    // A superuser is a member of all of them.
    if cell(1) != "t" {
        let member: Vec<_> = cell(2 * ATTRIBUTES.len()).split(',').collect();
        let held = ROLES.iter().filter(|(name, _)| member.contains(name));
        powers.extend(held.map(|(name, may)| format!("is a member of {name}, which may {may}")));
    }
    Ok(powers)
}

/// Mapped relations that it owns, and where it can make objects of its own: in their schemas, or in one of its own making.
async fn holdings(connection: &mut Upstream, mapped: &[RelationName]) -> Result<Vec<String>, UpstreamError> {
    if mapped.is_empty() {
        return Ok(Vec::new());
    }
    let literal = |text: &str| format!("'{}'", text.replace('\'', "''"));
    let pairs: Vec<_> = mapped
        .iter()
        .map(|relation| format!("({}, {})", literal(&relation.schema), literal(&relation.name)))
        .collect();
    let sql = format!(
        "SELECT n.nspname, c.relname, pg_catalog.pg_has_role(current_user, c.relowner, 'MEMBER'), \
         pg_catalog.has_schema_privilege(current_user, n.oid, 'CREATE') \
         FROM (VALUES {}) AS mapped(schema, name) \
         JOIN pg_catalog.pg_namespace n ON n.nspname = mapped.schema::name \
         JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = mapped.name::name \
         ORDER BY 1, 2",
        pairs.join(", ")
    );
    let (mut owned, mut creates) = (Vec::new(), Vec::new());
    for row in simple_query(connection, &sql).await? {
        let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        if cell(2) == "t" {
            owned.push(RelationName::new(cell(0), cell(1)).to_string());
        }
        if cell(3) == "t" && !creates.contains(&cell(0)) {
            creates.push(cell(0));
        }
    }
    let sql =
        "SELECT pg_catalog.has_database_privilege(current_user, pg_catalog.current_database(), 'CREATE')";
    let answer = simple_query(connection, sql).await?;
    let makes_schemas = answer.into_iter().flatten().flatten().any(|cell| cell == "t");
    let mut held = Vec::new();
    if !owned.is_empty() {
        let names = some(&owned);
        held.push(format!(
            "owns {names} of the map: it could change or rename them, and what they are read by"
        ));
    }
    if !creates.is_empty() {
        let names = some(&creates);
        held.push(format!(
            "may CREATE in {names}, beside mapped tables: objects of its own could come to stand before others"
        ));
    }
    if makes_schemas {
        held.push(
            "may CREATE schemas in the database: objects of its own in one of its own name come before all others, \
             since \"$user\" is first in the default search_path"
                .to_owned(),
        );
    }
    Ok(held)
}

/// Lines of pg_hba.conf that let somebody into this database from elsewhere than the gate.
async fn ways_past(
    connection: &mut Upstream,
    upstream: &UpstreamConfig,
) -> Result<Vec<String>, UpstreamError> {
    let sql = "SELECT line_number, type, pg_catalog.array_to_string(database, ','), \
               pg_catalog.array_to_string(user_name, ','), address, netmask, auth_method, \
               pg_catalog.host(pg_catalog.inet_client_addr()) \
               FROM pg_catalog.pg_hba_file_rules WHERE error IS NULL ORDER BY line_number";
    let rows = simple_query(connection, sql).await?;
    let lines: Vec<_> = rows.iter().map(|row| Line::of(row)).collect();
    let gate = rows.first().and_then(|row| row.get(7).cloned().flatten()?.parse().ok());
    let open = past(&lines, &upstream.dbname, gate);
    let more = open.len().saturating_sub(NAMED);
    let mut told: Vec<_> = open.iter().take(NAMED).map(|line| line.to_string()).collect();
    if more > 0 {
        told.push(format!("and {more} more lines of pg_hba.conf like these"));
    }
    Ok(told)
}

/// A line of pg_hba.conf as the server reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    number: String,
    kind: String,
    databases: String,
    users: String,
    address: String,
    netmask: String,
    method: String,
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { number, kind, databases, users, address, netmask, method } = self;
        let netmask = if netmask.is_empty() { String::new() } else { format!(" {netmask}") };
        write!(
            f,
            "line {number} of pg_hba.conf lets people in past the gate: \
             {kind} {databases} {users} {address}{netmask} {method}"
        )
    }
}

impl Line {
    fn of(row: &[Option<String>]) -> Self {
        let cell = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        Self {
            number: cell(0),
            kind: cell(1),
            databases: cell(2),
            users: cell(3),
            address: cell(4),
            netmask: cell(5),
            method: cell(6),
        }
    }

    /// Whether it may be about this database; a regular expression may be about any.
    fn is_about(&self, dbname: &str) -> bool {
        let fits = |name: &str| {
            name == dbname
                || name.starts_with('/')
                || matches!(name, "all" | "sameuser" | "samerole" | "samegroup")
        };
        self.databases.split(',').any(fits)
    }

    /// Whether it is about everybody, from everywhere: what comes after it in the file does not count.
    fn ends_it(&self) -> bool {
        let names = |list: &str| list.split(',').any(|name| name == "all");
        self.kind == "host" && self.address == "all" && names(&self.users)
    }

    /// Whether somebody on another machine than the server and the gate can match it.
    fn is_for_others(&self, gate: Option<IpAddr>) -> bool {
        if self.kind == "local" || self.address == "samehost" {
            return false;
        }
        let (Ok(address), Ok(netmask)) = (self.address.parse::<IpAddr>(), self.netmask.parse::<IpAddr>())
        else {
            // `all`, `samenet`, a host's name.
            return true;
        };
        let single = match netmask {
            IpAddr::V4(mask) => mask.to_bits() == u32::MAX,
            IpAddr::V6(mask) => mask.to_bits() == u128::MAX,
        };
        let is_loopback = match (address, netmask) {
            (IpAddr::V4(short), IpAddr::V4(mask)) => short.is_loopback() && mask.octets()[0] == 255,
            _ => single && address.is_loopback(),
        };
        let is_gate = single && gate == Some(address.to_canonical());
        !is_loopback && !is_gate
    }
}

/// The lines that let somebody past. The first one that fits a connection decides: one that rejects everybody hides
/// those below it.
fn past(lines: &[Line], dbname: &str, gate: Option<IpAddr>) -> Vec<Line> {
    let about = lines.iter().filter(|line| line.is_about(dbname));
    about
        .take_while(|line| !(line.ends_it() && line.method == "reject" && !line.databases.starts_with('/')))
        .filter(|line| line.method != "reject" && line.is_for_others(gate))
        .cloned()
        .collect()
}

/// The first few names of many.
fn some(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let first = names.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line {
        let mut words = text.split(' ').map(str::to_owned);
        let mut next = || words.next().unwrap_or_default();
        let mut line = Line {
            number: "1".to_owned(),
            kind: next(),
            databases: next(),
            users: next(),
            address: next(),
            netmask: next(),
            method: next(),
        };
        for cell in [&mut line.address, &mut line.netmask] {
            if cell == "-" {
                cell.clear();
            }
        }
        line
    }

    fn is_open(text: &str) -> bool {
        !past(&[line(text)], "shop", "10.0.0.7".parse().ok()).is_empty()
    }

    #[test]
    fn only_lines_that_let_others_in_from_elsewhere_are_ways_past() {
        for open in [
            "host all all 0.0.0.0 0.0.0.0 scram-sha-256",
            "hostssl shop analysts 10.0.0.0 255.255.255.0 scram-sha-256",
            "host shop all 10.0.0.8 255.255.255.255 md5",
            "host sameuser all all - trust",
            "host /^sh all samenet - trust",
            "hostnossl other,shop all jump.example - trust",
            "host all all :: :: scram-sha-256",
            "host all all 127.0.0.1 0.0.0.0 trust",
        ] {
            assert!(is_open(open), "{open}");
        }
        for closed in [
            "local all all - - trust",
            "host shop all 10.0.0.7 255.255.255.255 scram-sha-256",
            "host other all 0.0.0.0 0.0.0.0 scram-sha-256",
            "host all all 127.0.0.1 255.255.255.255 trust",
            "host all all ::1 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff trust",
            "host shop all samehost - trust",
            "host all all 0.0.0.0 0.0.0.0 reject",
            "host replication all 0.0.0.0 0.0.0.0 scram-sha-256",
        ] {
            assert!(!is_open(closed), "{closed}");
        }
    }

    #[test]
    fn what_stands_below_a_line_that_rejects_everybody_counts_for_nothing_and_above_it_does() {
        let reject = line("host all all all - reject");
        let open = line("host all all 0.0.0.0 0.0.0.0 scram-sha-256");
        assert_eq!(past(&[reject.clone(), open.clone()], "shop", None), []);
        assert_eq!(past(&[open.clone(), reject], "shop", None).len(), 1);
        let some = line("host shop mallory all - reject");
        assert_eq!(past(&[some, open.clone()], "shop", None), [open]);
    }
}
