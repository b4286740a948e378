//! `stepgate login --psql`: a password for databases, put where libpq finds it.

use std::path::PathBuf;

use serde_json::{Value, json};
use stepgate_types::PersonName;
use zeroize::Zeroizing;

use super::http::Api;
use super::logins::{self, Login, Minted};
use super::pgfiles::{self, Line};
use crate::args::{AsArgs, LoginArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

/// What names of services begin with.
const SERVICE: &str = "stepgate-";

const CODE: Source<'static> = Source::Ask { prompt: "Code of an authenticator you have: ", twice: false };

/// How the gate says that it takes a code (`proof_needed`).
const CODE_NEEDED: &str = "this needs a fresh code";

/// Has one minted and puts it there, in place of the one before.
pub(super) fn mint(name: &PersonName, login: &mut Login, args: &LoginArgs) -> Result<(), Failure> {
    let api = Api::of(&AsArgs { person: Some(name.clone()) })?;
    let by_code = || api.post("/api/v1/passwords", &json!({"code": *secret::read(&CODE)?}));
    let answer = if args.oidc || args.device {
        match api.post("/api/v1/passwords", &json!({})) {
            // The identity provider does not say that the login is a fresh one.
            Err(failure) if failure.message == CODE_NEEDED => by_code()?,
            answer => answer?,
        }
    } else {
        // A password alone mints nothing.
        by_code()?
    };
    let unreadable = || Failure::unreachable("the gate is of another version");
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let password = text("password").map(Zeroizing::new).ok_or_else(unreadable)?;
    let (id, until) = text("id").zip(text("until")).ok_or_else(unreadable)?;
    let entrance = answer.get("entrance").ok_or_else(unreadable)?;
    let port = entrance.get("port").and_then(Value::as_u64).and_then(|port| u16::try_from(port).ok());
    let port = port.ok_or_else(unreadable)?;
    let named = entrance.get("databases").and_then(Value::as_array).into_iter().flatten();
    let named = named.filter_map(Value::as_str).filter(|name| !name.ends_with('*')).map(str::to_owned);
    let mut databases: Vec<_> = named.chain(args.database.iter().cloned()).collect();
    databases.retain(|name| is_plain(name));
    databases.sort();
    databases.dedup();
    let host = match &args.host {
        Some(host) => host.clone(),
        None => host_of(&login.url).ok_or_else(unreadable)?,
    };
    let tls = entrance.get("tls").and_then(Value::as_bool).unwrap_or(true);
    let before = login.minted.take();
    let minted = Minted { id, host: host.clone(), port, databases: databases.clone() };
    // Whatever fails from here on, it is known which one to take back.
    login.minted = Some(minted);
    logins::keep(name, login.clone())?;
    put(name, login, &password, tls)?;
    if let Some(before) = before {
        // What it was put for is not left behind under another address.
        let gone = before.databases.iter().filter(|it| !databases.contains(it)).cloned().collect();
        let moved = (&before.host, before.port) != (&host, port);
        clear(name, &Minted { databases: gone, ..before.clone() }, moved)?;
        // It ends by itself; that the gate does not know it any more is no trouble.
        let _ = api.post(&format!("/api/v1/passwords/{}/revoke", before.id), &json!({}));
    }
    output::print_line(&format!(
        "a password for databases, good until {}, is where psql finds it",
        harmless(&until)
    ))?;
    for database in &databases {
        output::print_line(&format!("  psql service={SERVICE}{database}"))?;
    }
    if databases.is_empty() {
        output::print_line("  the gate names no database: stepgate login … --psql --database NAME")?;
    }
    Ok(())
}

/// Takes it away from there.
pub(super) fn take_away(name: &PersonName, login: &Login) -> Result<(), Failure> {
    login.minted.as_ref().map_or(Ok(()), |minted| clear(name, minted, true))
}

fn put(name: &PersonName, login: &Login, password: &str, tls: bool) -> Result<(), Failure> {
    let Some(minted) = &login.minted else { return Ok(()) };
    let port = minted.port.to_string();
    let line = Line { host: &minted.host, port: &port, user: name.as_str() };
    pgfiles::change(&pass_file()?, |old| pgfiles::with_password(old, &line, password))?;
    let root = if tls { Some(root(login)?) } else { None };
    for database in &minted.databases {
        let mut lines = vec![
            format!("host={}", minted.host),
            format!("port={port}"),
            format!("dbname={database}"),
            format!("user={name}"),
        ];
        if let Some(root) = &root {
            lines.extend(["sslmode=verify-full".to_owned(), format!("sslrootcert={root}")]);
        }
        let service = format!("{SERVICE}{database}");
        pgfiles::change(&service_file()?, |old| pgfiles::with_service(old, &service, &lines))?;
    }
    Ok(())
}

fn clear(name: &PersonName, minted: &Minted, password_too: bool) -> Result<(), Failure> {
    let port = minted.port.to_string();
    let line = Line { host: &minted.host, port: &port, user: name.as_str() };
    if password_too {
        pgfiles::change(&pass_file()?, |old| pgfiles::without_password(old, &line))?;
    }
    for database in &minted.databases {
        let service = format!("{SERVICE}{database}");
        pgfiles::change(&service_file()?, |old| pgfiles::without_service(old, &service))?;
    }
    Ok(())
}

/// The CA by which the databases' certificate is checked, as libpq wants it: a file, or the system's.
fn root(login: &Login) -> Result<String, Failure> {
    let Some(pem) = &login.ca_pem else { return Ok("system".to_owned()) };
    let path = logins::path()?.with_file_name("gate-ca.pem");
    pgfiles::change(&path, |_| pem.clone().into_bytes())?;
    let path = path.to_str().filter(|path| !path.contains(['\n', '\r']));
    path.map(str::to_owned).ok_or_else(|| Failure::usage("the path of the CA cannot stand in a service file"))
}

/// `.pgpass`, as libpq looks for it.
fn pass_file() -> Result<PathBuf, Failure> {
    file("PGPASSFILE", ".pgpass")
}

/// `.pg_service.conf`, likewise.
fn service_file() -> Result<PathBuf, Failure> {
    file("PGSERVICEFILE", ".pg_service.conf")
}

fn file(variable: &str, name: &str) -> Result<PathBuf, Failure> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let path = var(variable).or_else(|| var("HOME").map(|home| home.join(name)));
    path.ok_or_else(|| {
        Failure::usage(format!("no place for {name}: HOME is not set")).hint(format!("set {variable}"))
    })
}

/// The host of an `https://` address, as libpq wants it: without brackets.
fn host_of(url: &str) -> Option<String> {
    let authority = url.split_once("://")?.1.split(['/', '?']).next()?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => authority.split(':').next()?,
    };
    Some(host.to_owned()).filter(|host| is_plain_host(host))
}

fn is_plain_host(host: &str) -> bool {
    !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:%".contains(&byte))
}

/// Whether it can stand in a service file, as part of a name and as a value. The gate's word is not trusted for that.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 63
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_those_of_the_address() {
        for (url, host) in [
            ("https://gate.example", Some("gate.example")),
            ("https://gate.example:6480/", Some("gate.example")),
            ("https://[::1]:6480", Some("::1")),
            ("http://127.0.0.1:6480", Some("127.0.0.1")),
            ("https://", None),
            ("https://a b", None),
        ] {
            assert_eq!(host_of(url).as_deref(), host, "{url}");
        }
    }
}
