//! The texts that `init` writes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::Database;
use crate::args::InitArgs;

/// The policy to begin with.
pub(super) const POLICY: &str = include_str!("../../../../policies/policy.yaml");

/// A value as YAML reads it back: bare where that is plainly text, else as JSON, which is YAML.
fn quoted(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte);
    let begins_well = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic());
    // YAML 1.1 readers take these words for booleans or nothing.
    let word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"];
    if begins_well && text.bytes().all(plain) && !word.contains(&text.to_ascii_lowercase().as_str()) {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// Where people find the gate: on this machine by its name, since browsers offer no passkeys for addresses.
fn address(console: SocketAddr) -> String {
    let own = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
    if own.contains(&console.ip()) {
        format!("https://localhost:{}", console.port())
    } else {
        format!("https://{console}")
    }
}

/// `stepgate.yaml`.
pub(super) fn config(args: &InitArgs, database: &Database) -> String {
    let url = &database.url;
    let (user, dbname) = (url.user.as_deref().unwrap_or_default(), url.dbname.as_deref());
    format!(
        "# Stepgate's configuration. Check a change with `stepgate check` before you restart the gate.
# Relative paths are relative to this file; unknown keys are refused.
version: 1

# Where analysts' clients connect.
listen: {listen}

# Where `stepgate verify`, `stepgate request …` and links in notices go. `url` is the address that people
# can reach; the certificate below must be good for it.
console: {{listen: {console}, url: \"{address}\"}}

# Figures for Prometheus (/metrics), /healthz and /readyz; not served where this is left out.
# metrics: {{listen: 127.0.0.1:6481}}

# Audit log, people, factors. One gate a directory.
data: ./data

# Opens what is encrypted in `data`. Back it up, and not together with `data`.
keys: {{master_file: secrets/master.key}}

# A certificate of the development CA that `stepgate init` made (ca.pem). Replace both files with your own.
tls: {{cert: cert.pem, key: key.pem}}
#   client_ca: clients.pem             # clients must also show a certificate of this CA, for the person who logs in
#   client_auth: optional              # (with client_ca) they may; `require` is the default

# SIGHUP reads this file, certificates and passwords again; what is not valid changes nothing.

databases:
  # The name that clients ask for, and the database behind it; `\"app_*\"` or `\"*\"`: whatever the server has.
  # `user` runs people's statements: give it no more rights than they need, and never a superuser's.
  {name}:
    host: {host}
    port: {port}
    dbname: {dbname}
    sslmode: {sslmode}                 # verify-full, require or disable
    user: {user}
    password_file: {password_file}      # mode 0600
    # users:                           # other roles for people of these groups; the first that fits
    #   - {{groups: [data-owners], user: shop_owner, password_file: secrets/shop-owner}}
    # ca_file: server-ca.pem           # the CA of the server's certificate, if not one of the system's
    # catalog_user: stepgate_catalog   # another role to read the catalog with
    # catalog_password_file: secrets/catalog
    # pass_person: application_name    # the server knows who it is by stepgate.person; this shows it in its log, too
    # planner: never                   # do not have statements planned (EXPLAIN) where a rule hangs on the number of rows

policies: {{map: policies/pii-map.yaml, rules: policies/policy.yaml}}
# places: GeoLite2-City.mmdb         # where addresses are, for signals: a file in MaxMind's format of your own

# durable: every record is on disk before a reply goes out. buffered: ordinary ones within 100 ms.
audit: {{ordinary: durable}}
#   sinks:                             # records are sent there as they are made; docs/OPERATING.md has all keys
#     siem: {{syslog: \"siem.example:6514\", ca: siem-ca.pem, format: cef}}
#     lake: {{webhook: \"https://lake.example/in\", secret_file: secrets/lake, format: ocsf}}
#     disk: {{file: /var/log/stepgate/audit.jsonl, rotate: {{bytes: 100MiB, keep: 14}}}}
#   checkpoints:                       # who has one elsewhere can tell whether a record was changed or removed
#     - {{file: /mnt/elsewhere/stepgate, every: 1m}}

# limits: {{sessions: 2000, per_person: 50, login: 60s, slow_client: 5m, drain: 30s, open_requests: 3, cool_down: 5m}}
#   slow_client: a client that reads nothing of a result for so long is ended, since its server waits for it.
#   drain: how long running statements may go on when the gate is stopped.
",
        listen = args.listen,
        console = args.console,
        address = address(args.console),
        name = quoted(&database.name),
        host = quoted(&url.host),
        port = url.port,
        dbname = quoted(dbname.unwrap_or(&database.name)),
        sslmode = database.sslmode.as_str(),
        user = quoted(user),
        password_file = quoted(&format!("secrets/{}", database.name)),
    )
}

/// `pii-map.yaml`: no column labelled yet.
pub(super) fn map(database: &str) -> String {
    format!(
        "# The PII map: which columns hold personal data. As it stands, none does, and only what cannot be
# understood is held. Changes take effect within two seconds; a file that is not valid changes nothing.
version: 1

# What a column holds, and how sensitive that is.
classes: {{internal: 1, confidential: 2, restricted: 3}}
labels:
  email: {{class: confidential}}
  phone: {{class: confidential}}
  name: {{class: confidential}}
  birth-date: {{class: confidential}}
  ssn: {{class: restricted}}
  iban: {{class: restricted}}
  card-number: {{class: restricted}}

# Tables as PostgreSQL would print them, for example:
#
#   {database}:
#     public.customers:
#       columns: {{email: email, phone: phone, full_name: name}}
#     hr.employees:
#       columns: {{ssn: ssn}}
#       unlisted_columns: confidential     # all other columns of this table
databases:
  {name}: {{}}

# What is done about what cannot be known. tables: what an unlisted table's columns are, `allow` or a class;
# the others: an action.
unknown: {{tables: allow, functions: step-up, dynamic_sql: deny, statements: step-up}}
",
        name = quoted(database),
    )
}

/// What to type next.
pub(super) fn next_steps(dir: &Path, database: &Database, listen: SocketAddr) -> String {
    let dir = &std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let config = dir.join(super::CONFIG);
    let (config, ca) = (config.display(), dir.join("ca.pem"));
    let name = &database.name;
    let mut steps = Vec::new();
    if database.password.is_none() {
        let secret = dir.join("secrets").join(name);
        steps.push(format!(
            "Describe your database in {config}, and put the password of its `user` into {0}:\n     \
             install -m 600 /dev/stdin {0}",
            secret.display()
        ));
    }
    steps.push(format!(
        "Say which columns hold personal data: {}",
        dir.join("policies/pii-map.yaml").display()
    ));
    steps.push("See whether all is well:\n     stepgate check --connect".to_owned());
    steps.push(
        "Add somebody, and their authenticator app:\n     stepgate user add dana --groups analysts\n     \
                stepgate enroll totp --as dana"
            .to_owned(),
    );
    steps.push("Start the gate:\n     stepgate serve".to_owned());
    steps.push(format!(
        "Connect as that person:\n     psql 'host=localhost port={} dbname={name} user=dana sslmode=verify-full \
         sslrootcert={}'",
        listen.port(),
        ca.display()
    ));
    steps.push("When a statement is held: stepgate login dana, then stepgate verify REQUEST".to_owned());
    let mut text = format!("Wrote {config}. Next:\n  0. export STEPGATE_CONFIG={config}\n");
    for (number, step) in steps.iter().enumerate() {
        text.push_str(&format!("  {}. {step}\n", number + 1));
    }
    text.push_str(&format!(
        "Back up {} apart from the data directory: without it neither passwords nor factors can be read.\n",
        dir.join("secrets/master.key").display()
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_find_the_gate_by_a_name_where_there_is_one() {
        for (console, url) in [
            ("127.0.0.1:6480", "https://localhost:6480"),
            ("[::1]:6480", "https://localhost:6480"),
            // No name of this machine leads there.
            ("127.0.0.2:6480", "https://127.0.0.2:6480"),
            ("192.0.2.1:6480", "https://192.0.2.1:6480"),
        ] {
            assert_eq!(address(console.parse().unwrap()), url);
        }
    }
}
