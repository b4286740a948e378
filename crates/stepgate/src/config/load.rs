//! Reading `stepgate.yaml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use stepgate_console::{Proxies, ProxyHeader};
use stepgate_proxy::ClientAuth;
use stepgate_store::TwoPerson;

use super::approvers::{self, Approvers};
use super::yaml::{At, Problems, Section, Value};
use super::{
    Config, Console, Tls, audit, break_glass, database, factors, ldap, limits, notify, oidc, relative_to,
};
use crate::failure::Failure;

/// The largest configuration that is read, in bytes: far beyond any sensible one.
const MAX_CONFIG: u64 = 1024 * 1024;

/// The port of the API where none is configured.
const CONSOLE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 6480);

impl Config {
    /// Reads the file; every error at once.
    pub(crate) fn load(file: &Path) -> Result<Self, Failure> {
        Self::parse(file, &Self::text(file)?)
    }

    /// The text of the file.
    pub(crate) fn text(file: &Path) -> Result<String, Failure> {
        let meta = std::fs::metadata(file).map_err(|error| {
            Failure::file("read the configuration", file, &error)
                .hint("write one with `stepgate init DIR`, or name it with --config FILE")
        })?;
        // Of a pipe there may never come anything, nor an end.
        if !meta.is_file() {
            return Err(Failure::usage(format!("{} is not a regular file", file.display())));
        }
        if meta.len() > MAX_CONFIG {
            return Err(Failure::usage(format!("{} is larger than {MAX_CONFIG} bytes", file.display())));
        }
        std::fs::read_to_string(file).map_err(|error| Failure::file("read the configuration", file, &error))
    }

    /// Reads the text of such a file.
    pub(crate) fn parse(file: &Path, text: &str) -> Result<Self, Failure> {
        let mut problems = Problems::new(file, text);
        let config = read(file, &mut problems);
        match config {
            Some(config) if !problems.any() => Ok(Self { sha256: sha256(text), ..config }),
            _ => {
                let list: Vec<_> = problems.finish().iter().map(ToString::to_string).collect();
                Err(Failure::usage(format!("the configuration is not valid\n{}", list.join("\n").trim_end())))
            }
        }
    }
}

/// SHA-256 (hex) of such a text, as records name it.
pub(crate) fn sha256(text: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()))
}

fn read(file: &Path, problems: &mut Problems<'_>) -> Option<Config> {
    let tree = problems.parse()?;
    let mut top = Section::open("", &tree, problems)?;
    version(&mut top, problems);
    let tls = tls(file, &mut top, problems);
    let listen = listen("listen", &mut top, problems);
    if let (Some((address, at)), false) = (listen, tls.given) {
        refuse_plain("listen", address, at, problems);
    }
    let console = console(file, &mut top, tls.given, problems);
    let metrics = metrics(&mut top, tls.given, problems);
    let data = top.need_text("data", problems).map(|(path, _)| relative_to(file, path));
    let master_file = section_path(file, &mut top, "keys", "master_file", problems);
    let databases = databases(file, &mut top, problems);
    // Where the console itself cannot be read, that is said, and no more of it.
    let attests = console.as_ref().is_none_or(|console| console.attestation_roots.is_some());
    let Policies { map, rules, two_person } = policies(file, &mut top, attests, problems);
    let audit = audit::read(file, &mut top, problems);
    let (factors, senders) = factors::read(file, &mut top, problems);
    let notify = notify::read(file, &mut top, problems);
    let oidc = oidc::read(file, &mut top, problems);
    let ldap = ldap::read(file, &mut top, problems);
    let login_for = oidc::login_for(&mut top, problems);
    let break_glass = break_glass::read(&mut top, attests, problems);
    let limits = limits::read(&mut top, problems);
    let sealed_requests = top.flag("sealed_requests", problems).unwrap_or_default();
    let places = top.text("places", problems).map(|(path, _)| relative_to(file, path));
    top.finish(problems);
    Some(Config {
        file: file.to_owned(),
        sha256: String::new(),
        listen: listen?.0,
        console: console?,
        metrics,
        data: data?,
        master_file: master_file?,
        tls: tls.files,
        databases,
        map: map?,
        rules: rules?,
        two_person,
        audit,
        factors,
        notify,
        oidc,
        ldap,
        login_for,
        senders,
        break_glass,
        limits,
        sealed_requests,
        places,
    })
}

fn version(top: &mut Section<'_>, problems: &mut Problems<'_>) {
    let Some(node) = top.need("version", problems) else { return };
    if !matches!(node.value, Value::Integer(1)) {
        problems.add(node.at, "version must be 1, the only one this stepgate knows", None);
    }
}

/// An address such as `127.0.0.1:6432`, `[::1]:6432` or `localhost:6432`.
fn listen(
    key: &'static str,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<(SocketAddr, At)> {
    let (text, at) = section.need_text(key, problems)?;
    let address = text.replacen("localhost:", "127.0.0.1:", 1).parse();
    match address {
        Ok(address) => Some((address, at)),
        Err(_) => {
            let help = Some("an address and a port, such as 127.0.0.1:6432".to_owned());
            problems.add(at, format!("{} is not an address to listen at", section.path(key)), help);
            None
        }
    }
}

/// Without `tls` passwords and rows would cross the network in the clear.
fn refuse_plain(what: &str, address: SocketAddr, at: At, problems: &mut Problems<'_>) {
    if !address.ip().is_loopback() {
        let help = Some("add `tls: {cert: …, key: …}`, or listen on 127.0.0.1".to_owned());
        problems.add(at, format!("{what} is not a loopback address, and there is no tls"), help);
    }
}

struct GivenTls {
    given: bool,
    files: Option<Tls>,
}

fn tls(file: &Path, top: &mut Section<'_>, problems: &mut Problems<'_>) -> GivenTls {
    let Some(mut section) = top.section("tls", problems) else {
        return GivenTls { given: false, files: None };
    };
    let cert = section.need_text("cert", problems).map(|(path, _)| relative_to(file, path));
    let key = section.need_text("key", problems).map(|(path, _)| relative_to(file, path));
    let clients = clients(file, &mut section, problems);
    section.finish(problems);
    GivenTls { given: true, files: cert.zip(key).map(|(cert, key)| Tls { cert, key, clients }) }
}

/// Whoever configures a CA means it: certificates are required unless that is said to be otherwise.
fn clients(
    file: &Path,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<(PathBuf, ClientAuth)> {
    let ca = section.text("client_ca", problems).map(|(path, _)| relative_to(file, path));
    let auth = section.text("client_auth", problems);
    if let (None, Some((_, at))) = (&ca, auth) {
        let help = Some("name the CA of the clients' certificates".to_owned());
        problems.add(at, "tls.client_auth without tls.client_ca", help);
    }
    let auth = match auth {
        None | Some(("require", _)) => ClientAuth::Require,
        Some(("optional", _)) => ClientAuth::Optional,
        Some((_, at)) => {
            problems.add(at, "tls.client_auth must be require or optional", None);
            ClientAuth::Require
        }
    };
    ca.map(|ca| (ca, auth))
}

fn console(
    file: &Path,
    top: &mut Section<'_>,
    encrypted: bool,
    problems: &mut Problems<'_>,
) -> Option<Console> {
    let scheme = if encrypted { "https" } else { "http" };
    let Some(node) = top.take("console") else {
        let url = format!("{scheme}://{CONSOLE}");
        let (attestation_roots, proxies) = (None, Proxies::default());
        return Some(Console { listen: CONSOLE, url, attestation_roots, proxies, proven_readers: false });
    };
    let mut section = Section::open("console", node, problems)?;
    let address = listen("listen", &mut section, problems);
    if let (Some((address, at)), false) = (address, encrypted) {
        refuse_plain("console.listen", address, at, problems);
    }
    let url = match section.text("url", problems) {
        Some((url, at)) => url_of(url, at, problems),
        None => address.map(|(address, _)| format!("{scheme}://{address}")),
    };
    let roots = section.text("attestation_roots", problems).map(|(path, _)| relative_to(file, path));
    let proxies = proxies(&mut section, problems);
    let proven_readers = section.flag("proven_readers", problems).unwrap_or_default();
    section.finish(problems);
    Some(Console { listen: address?.0, url: url?, attestation_roots: roots, proxies, proven_readers })
}

/// Whose word on where people come from counts.
fn proxies(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Proxies {
    let networks = section.list("trusted_proxies", problems);
    let header = section.text("proxy_header", problems);
    if let (Some((_, at)), true) = (header, networks.is_empty()) {
        let help = Some("name the networks of the proxies".to_owned());
        problems.add(at, "console.proxy_header without console.trusted_proxies", help);
    }
    let mut proxies = Proxies::by(match header {
        None | Some(("x-forwarded-for", _)) => ProxyHeader::XForwardedFor,
        Some(("forwarded", _)) => ProxyHeader::Forwarded,
        Some((_, at)) => {
            problems.add(at, "console.proxy_header must be x-forwarded-for or forwarded", None);
            ProxyHeader::XForwardedFor
        }
    });
    for network in networks {
        let text = network.text().unwrap_or_default();
        if let Err(why) = proxies.trust(text) {
            let help = Some("such as 10.0.7.0/28, or 10.0.7.3: the proxies' own addresses".to_owned());
            problems.add(network.at, format!("console.trusted_proxies: {text:?} {why}"), help);
        }
    }
    proxies
}

/// Where Prometheus looks: encrypted as the rest, but for loopback.
fn metrics(top: &mut Section<'_>, encrypted: bool, problems: &mut Problems<'_>) -> Option<SocketAddr> {
    let mut section = top.section("metrics", problems)?;
    let address = listen("listen", &mut section, problems);
    if let (Some((address, at)), false) = (address, encrypted) {
        refuse_plain("metrics.listen", address, at, problems);
    }
    section.finish(problems);
    address.map(|(address, _)| address)
}

fn url_of(url: &str, at: At, problems: &mut Problems<'_>) -> Option<String> {
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    // It is printed into notices and web pages: plain ASCII without spaces or quotes.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(&byte);
    // Passwords and codes are typed there.
    if let Some(why) = super::safe_url(url).err().filter(|_| host.is_some()) {
        problems.add(at, format!("console.url {why}"), None);
        return None;
    }
    match host {
        Some(host) if !host.is_empty() && host.bytes().all(plain) => {
            Some(url.trim_end_matches('/').to_owned())
        }
        _ => {
            problems.add(at, "console.url must be like https://gate.example", None);
            None
        }
    }
}

fn section_path(
    file: &Path,
    top: &mut Section<'_>,
    name: &'static str,
    key: &'static str,
    problems: &mut Problems<'_>,
) -> Option<PathBuf> {
    let node = top.need(name, problems)?;
    let mut section = Section::open(name, node, problems)?;
    let path = section.need_text(key, problems).map(|(path, _)| relative_to(file, path));
    section.finish(problems);
    path
}

fn databases(
    file: &Path,
    top: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> BTreeMap<String, database::Database> {
    let Some(node) = top.need("databases", problems) else { return BTreeMap::new() };
    let Some(section) = Section::open("databases", node, problems) else { return BTreeMap::new() };
    let mut databases = BTreeMap::new();
    for (name, at, node) in section.names() {
        let harmless = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        // `*` alone is a name as well.
        let said = name.strip_suffix('*').unwrap_or(name);
        if name.is_empty() || name.len() > MAX_NAME || !said.chars().all(harmless) {
            let help = Some("1 to 63 of A-Z, a-z, 0-9, '_', '-', '.', and '*' at the end for any".to_owned());
            problems.add(at, "a database's name in the gate cannot be this", help);
        }
        if let Some(database) = database::read(file, name, node, problems) {
            databases.insert(name.to_owned(), database);
        }
    }
    if databases.is_empty() && !problems.any() {
        problems.add(node.at, "databases names none", None);
    }
    databases
}

/// The longest name of a database, in bytes: PostgreSQL's NAMEDATALEN - 1.
const MAX_NAME: usize = 63;

fn policies(file: &Path, top: &mut Section<'_>, attests: bool, problems: &mut Problems<'_>) -> Policies {
    let none = Policies { map: None, rules: None, two_person: None };
    let Some(node) = top.need("policies", problems) else { return none };
    let Some(mut section) = Section::open("policies", node, problems) else { return none };
    let map = section.need_text("map", problems).map(|(path, _)| relative_to(file, path));
    let rules = section.need_text("rules", problems).map(|(path, _)| relative_to(file, path));
    let node = section.take("two_person");
    let two_person = node.and_then(|node| approvers::read("policies.two_person", node, attests, problems));
    let two_person = two_person.map(|Approvers { groups, strength }| TwoPerson { groups, strength });
    section.finish(problems);
    Policies { map, rules, two_person }
}

struct Policies {
    map: Option<PathBuf>,
    rules: Option<PathBuf>,
    two_person: Option<TwoPerson>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SslMode;

    const GOOD: &str = "version: 1
listen: 127.0.0.1:6432
console: {listen: 127.0.0.1:6480, url: \"https://gate.example/\"}
data: ./data
keys: {master_file: secrets/master.key}
tls: {cert: cert.pem, key: key.pem}
databases:
  shop: {host: 127.0.0.1, port: 5433, dbname: shop, sslmode: verify-full, user: stepgate_analyst, password_file: secrets/shop,
         catalog_user: stepgate_catalog, catalog_password_file: secrets/shop-catalog}
policies: {map: policies/pii-map.yaml, rules: policies/policy.yaml}
audit: {ordinary: buffered}
";

    fn parse(text: &str) -> Result<Config, String> {
        Config::parse(Path::new("/etc/gate/stepgate.yaml"), text).map_err(|failure| failure.to_string())
    }

    #[test]
    fn proxies_are_named_by_network_and_never_all_the_world() {
        let with = |more: &str| parse(&GOOD.replace("console: {", &format!("console: {{{more}, ")));
        let config =
            with("trusted_proxies: [10.0.7.0/28, \"2001:db8::7\"], proxy_header: forwarded").unwrap();
        assert!(!config.console.proxies.is_empty());
        assert!(parse(GOOD).unwrap().console.proxies.is_empty());
        for (wrong, why) in [
            ("trusted_proxies: [0.0.0.0/0]", "is everybody"),
            ("trusted_proxies: [proxy.example]", "is no network"),
            ("trusted_proxies: [7]", "is no network"),
            ("trusted_proxies: 10.0.7.1", "must be a list"),
            ("trusted_proxies: [10.0.7.1], proxy_header: x-real-ip", "must be x-forwarded-for or forwarded"),
            ("proxy_header: forwarded", "without console.trusted_proxies"),
        ] {
            let said = with(wrong).unwrap_err();
            assert!(said.contains(why), "{wrong}: {said}");
        }
    }

    #[test]
    fn the_documented_file_is_read_and_paths_are_relative_to_it() {
        let config = parse(GOOD).unwrap();
        assert_eq!(config.data, Path::new("/etc/gate/./data"));
        assert_eq!(config.console.url, "https://gate.example");
        let shop = &config.databases["shop"];
        assert_eq!((shop.port, shop.sslmode), (5433, SslMode::VerifyFull));
        assert_eq!(shop.catalog.user, "stepgate_catalog");
        assert!(shop.ask_planner);
        assert!(!config.audit.ordinary_durable);
        assert_eq!(config.limits, stepgate_proxy::Limits::default());
    }

    #[test]
    fn limits_are_read_and_none_can_be_switched_off_or_set_beyond_reason() {
        let limits = |text: &str| parse(&format!("{GOOD}limits: {text}\n"));
        let read =
            limits("{sessions: 300, per_person: 7, login: 20s, slow_client: 2m, drain: 1h}").unwrap().limits;
        assert_eq!((read.sessions, read.per_person, read.login.as_secs()), (300, 7, 20));
        assert_eq!((read.slow_client.as_secs(), read.drain.as_secs()), (120, 3600));
        let read = limits("{message: 1GiB, message_memory: 2GiB}").unwrap().limits;
        assert_eq!((read.message, read.message_memory), (stepgate_proxy::MAX_MESSAGE, 2 << 30));
        for (wrong, says) in [
            ("{sessions: 0}", "limits.sessions must be 1 to 20000"),
            ("{per_person: 20001}", "limits.per_person must be 1 to 20000"),
            ("{login: 30}", "limits.login must be a duration such as 30s or 5m, from 1s to 10m"),
            ("{slow_client: 1s}", "limits.slow_client must be"),
            ("{drain: 2d}", "limits.drain must be"),
            ("{message: 64}", "limits.message must be a size such as 64MiB, from 1MiB to 1GiB"),
            ("{message: 3GiB}", "limits.message must be"),
            (
                "{message_memory: 1kB}",
                "limits.message_memory must be a size such as 64MiB, from 1MiB to 1TiB",
            ),
            ("{message: 512MiB}", "limits.message_memory must be at least limits.message"),
            ("{message_memory: 32MiB}", "limits.message_memory must be at least limits.message"),
            ("{people: 3}", "unknown key limits.people"),
        ] {
            let text = limits(wrong).unwrap_err();
            assert!(text.contains(says), "{wrong}: {text}");
        }
    }

    #[test]
    fn all_errors_are_told_at_once_each_with_its_place_and_line() {
        let broken = GOOD
            .replace("data: ./data", "dat: ./data")
            .replace("sslmode: verify-full", "sslmode: prefer, planner: sometimes")
            .replace("ordinary: buffered", "ordinary: often")
            .replace("key: key.pem", "key: key.pem, client_auth: sometimes");
        let text = parse(&broken).unwrap_err();
        for expected in [
            "data is missing",
            "unknown key dat",
            "databases.shop.sslmode must be",
            "databases.shop.planner must be ask or never",
            "audit.ordinary must be durable or buffered",
            "tls.client_auth without tls.client_ca",
            "tls.client_auth must be require or optional",
            "/etc/gate/stepgate.yaml:4:1: ",
            "audit: {ordinary: often}",
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }

    #[test]
    fn a_ca_for_clients_requires_certificates_unless_said_otherwise() {
        let with = |more: &str| parse(&GOOD.replace("key: key.pem", &format!("key: key.pem{more}")));
        assert!(with("").unwrap().tls.unwrap().clients.is_none());
        for (more, expected) in [
            (", client_ca: ca.pem", ClientAuth::Require),
            (", client_ca: ca.pem, client_auth: require", ClientAuth::Require),
            (", client_ca: ca.pem, client_auth: optional", ClientAuth::Optional),
        ] {
            let (ca, auth) = with(more).unwrap().tls.unwrap().clients.unwrap();
            assert_eq!((ca.as_path(), auth), (Path::new("/etc/gate/ca.pem"), expected), "{more}");
        }
    }

    #[test]
    fn wildcards_and_roles_of_groups_are_read_in_their_order() {
        let with = |more: &str| parse(&GOOD.replace("policies: {map", &format!("{more}policies: {{map")));
        let config = with(
            "  \"*\": {host: db, user: everybody, pass_person: application_name}
  app_*:
    host: db
    dbname: \"*\"
    catalog_user: reader
    users:
    - {groups: [admins, data-owners], user: app_owner, password_file: secrets/owner}
    - {groups: [analysts], user: app_reader}
",
        )
        .unwrap();
        let names = |name: &str| {
            let roles = config.databases[name].roles.iter();
            roles.map(|role| (role.groups.len(), role.login.user.clone())).collect::<Vec<_>>()
        };
        assert_eq!(names("*"), [(0, "everybody".to_owned())]);
        assert_eq!(names("app_*"), [(2, "app_owner".to_owned()), (1, "app_reader".to_owned())]);
        assert_eq!(config.databases["app_*"].dbname, "*");
        assert_eq!(config.databases["app_*"].catalog.user, "reader");
        assert_eq!(config.databases["*"].pass_person, stepgate_proxy::PassPerson::ApplicationName);
        for (wrong, says) in [
            ("  a*b: {host: db, user: x}\n", "a database's name in the gate cannot be this"),
            ("  app_*: {host: db, user: x, dbname: one}\n", "databases.app_*.dbname of a wildcard must be"),
            ("  app: {host: db, user: x, dbname: \"a*\"}\n", "databases.app.dbname must be a name"),
            ("  app: {host: db}\n", "databases.app.user is missing"),
            ("  app: {host: db, users: [{groups: [a], user: x}]}\n", "databases.app.catalog_user is missing"),
            ("  app: {host: db, user: y, users: [{user: x}]}\n", "databases.app.users[0].groups names none"),
            (
                "  app: {host: db, user: y, users: [{groups: [A], user: x}]}\n",
                "databases.app.users[0].groups: a name",
            ),
            (
                "  app: {host: db, user: y, users: [{groups: [a]}]}\n",
                "databases.app.users[0].user is missing",
            ),
            ("  app: {host: db, user: y, users: {groups: [a]}}\n", "databases.app.users must be a list"),
            ("  app: {host: db, user: y, password: x}\n", "unknown key databases.app.password"),
            ("  app: {host: db, user: y, pass_person: always}\n", "databases.app.pass_person must be"),
        ] {
            let text = with(wrong).unwrap_err();
            assert!(text.contains(says), "{wrong}: {text}");
        }
    }

    #[test]
    fn break_glass_and_two_people_are_off_unless_configured_and_half_an_hour_is_the_most() {
        let config = parse(GOOD).unwrap();
        assert!(config.break_glass.is_none() && config.two_person.is_none());
        let glass = |text: &str| parse(&format!("{GOOD}break_glass: {text}\n"));
        let read = glass("{groups: [on-call], reviewers: [security], lifts: [denied]}").unwrap();
        let read = read.break_glass.unwrap();
        assert_eq!(
            (read.most, read.lifts.denied, read.lifts.control),
            (stepgate_approval::MAX_GLASS, true, false)
        );
        for (wrong, says) in [
            ("{groups: [on-call]}", "break_glass.reviewers is missing"),
            ("{groups: [], reviewers: [security]}", "break_glass.groups names none"),
            ("{groups: [on-call], reviewers: [security], for: 31m}", "at most 30m"),
            ("{groups: [on-call], reviewers: [security], for: 0s}", "at most 30m"),
            ("{groups: [on-call], reviewers: [security], lifts: [all]}", "takes denied and control"),
            ("{groups: on-call, reviewers: [security]}", "break_glass.groups must be a list"),
            ("{groups: [on-call], reviewers: [security], self: true}", "unknown key break_glass.self"),
        ] {
            let text = glass(wrong).unwrap_err();
            assert!(text.contains(says), "{wrong}: {text}");
        }
        let two = |groups: &str| {
            parse(&GOOD.replace("policies: {map", &format!("policies: {{two_person: {groups}, map")))
        };
        let read = two("[data-owners]").unwrap().two_person.unwrap();
        assert_eq!((read.groups.len(), read.strength), (1, stepgate_types::Strength::Standard));
        assert!(two("[]").unwrap_err().contains("policies.two_person names none"));
    }

    #[test]
    fn who_approves_policies_and_reviews_break_glass_proves_as_much_as_is_configured() {
        use stepgate_types::Strength;
        let with = |who: &str| {
            let glass = format!("break_glass: {{groups: [on-call], reviewers: {who}}}\n");
            let text = GOOD.replace("policies: {map", &format!("policies: {{two_person: {who}, map"));
            parse(&format!("{text}{glass}"))
        };
        let strengths = |config: Config| {
            let (two, glass) = (config.two_person.unwrap(), config.break_glass.unwrap());
            assert_eq!((two.groups.len(), glass.reviewers.len()), (1, 1));
            (two.strength, glass.review)
        };
        for (who, strength) in [
            ("[security]", Strength::Standard),
            ("{groups: [security]}", Strength::Standard),
            ("{groups: [security], strength: strong}", Strength::Strong),
            ("{groups: [security], strength: phishing-resistant}", Strength::PhishingResistant),
        ] {
            assert_eq!(strengths(with(who).unwrap()), (strength, strength), "{who}");
        }
        for (wrong, says) in [
            ("{groups: [security], strength: weak}", "strength must be one of standard, strong"),
            ("{groups: [security], strength: 3}", "strength must be"),
            ("{groups: [security], strength: device-bound}", "without console.attestation_roots"),
            ("{strength: strong}", "groups is missing"),
            ("{groups: []}", "groups names none"),
            ("{groups: [security], count: 3}", "unknown key"),
            ("security", "must be a list"),
        ] {
            let text = with(wrong).unwrap_err();
            for of in ["policies.two_person", "break_glass.reviewers"] {
                assert!(text.contains(of) && text.contains(says), "{wrong}: {text}");
            }
        }
        let bound = GOOD.replace("console: {", "console: {attestation_roots: makers.pem, ");
        let bound = format!(
            "{bound}break_glass: {{groups: [a], reviewers: {{groups: [b], strength: device-bound}}}}\n"
        );
        assert_eq!(parse(&bound).unwrap().break_glass.unwrap().review, Strength::DeviceBound);
    }

    #[test]
    fn without_tls_the_gate_listens_on_loopback_only() {
        let plain = GOOD.replace("tls: {cert: cert.pem, key: key.pem}\n", "");
        assert!(parse(&plain).is_ok());
        let open = plain.replace("listen: 127.0.0.1:6432", "listen: 0.0.0.0:6432");
        assert!(parse(&open).unwrap_err().contains("there is no tls"));
        let open = format!("{plain}metrics: {{listen: 0.0.0.0:6481}}\n");
        assert!(parse(&open).unwrap_err().contains("metrics.listen is not a loopback address"));
        let open = plain.replace("{listen: 127.0.0.1:6480", "{listen: 0.0.0.0:6480");
        assert!(parse(&open).unwrap_err().contains("console.listen is not a loopback address"));
        let open = plain.replace("https://gate.example/", "http://gate.example/");
        assert!(parse(&open).unwrap_err().contains("console.url is http:// and not this machine"));
    }

    #[test]
    fn what_is_not_yaml_and_keys_given_twice_are_refused_with_their_place() {
        let text = parse("version: 1\nlisten: [").unwrap_err();
        assert!(text.contains("stepgate.yaml:2:"), "{text}");
        let text = parse(&format!("{GOOD}data: elsewhere\n")).unwrap_err();
        assert!(text.contains("stepgate.yaml:12:"), "{text}");
    }
}
