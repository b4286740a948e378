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
mod tests;
