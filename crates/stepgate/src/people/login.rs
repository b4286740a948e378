//! `stepgate login`.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::path::Path;

use serde_json::{Value, json};
use stepgate_types::PersonName;

use super::http::Api;
use super::logins::{self, Login};
use super::{device_login, loopback, psql};
use crate::args::{AsArgs, LoginArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

/// The longest answer to a question that is read, in bytes.
const MAX_ANSWER: u64 = 64;

/// Logs in, or out, and keeps the token.
pub(crate) fn login(config: &Path, args: &LoginArgs) -> Result<(), Failure> {
    if args.logout {
        return logout(args.name.as_ref());
    }
    let flag = if args.device { "--device" } else { "--oidc" };
    if (args.oidc || args.device) && args.name.is_none() && !std::io::stdin().is_terminal() {
        // The page that a browser is led to may have been somebody else's login.
        let message = "who are you? Without a terminal, nobody can say whether it is who logs in";
        return Err(Failure::usage(message).hint(format!("run: stepgate login {flag} NAME")));
    }
    let (url, ca) = place(config, args)?;
    let ca_pem = match &ca {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|error| Failure::file("read the CA", path, &error))?)
        }
        None => None,
    };
    let api = Api::at(&url, ca_pem.as_deref())?;
    let answer = match &args.name {
        _ if args.oidc => loopback::log_in(&api, &url)?,
        _ if args.device => device_login::log_in(&api)?,
        Some(name) => {
            let prompt = format!("Password for {name}: ");
            let password = secret::read(&Source::Ask { prompt: &prompt, twice: false })?;
            let mut body = json!({"name": name, "password": *password});
            if let (true, Some(body)) = (args.code, body.as_object_mut()) {
                let code = secret::read(&Source::Ask { prompt: "Code: ", twice: false })?;
                body.insert("code".to_owned(), json!(*code));
            }
            api.post("/api/v1/login", &body)?
        }
        None => return Err(Failure::usage("who are you?").hint("run: stepgate login NAME")),
    };
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let name = text("name").and_then(|name| name.parse::<PersonName>().ok());
    let (Some(token), Some(expires), Some(name)) = (text("token"), text("expires"), name) else {
        return Err(Failure::unreachable(format!("{url} is no stepgate, or of another version")));
    };
    if let Some(expected) = args.name.as_ref().filter(|expected| **expected != name) {
        return Err(Failure::no(format!("the identity provider says that you are {name}, not {expected}")));
    }
    if args.name.is_none() && !goes_on_as(&name)? {
        return Err(Failure::no(format!("not logged in as {name}")).hint(format!(
            "whoever else's browser it was: stepgate login {flag} NAME takes nobody but NAME"
        )));
    }
    let before = logins::find(Some(&name)).ok().and_then(|(_, login)| login.minted);
    let mut login = Login { url, ca_pem, token, expires: expires.clone(), minted: before };
    logins::keep(&name, login.clone())?;
    output::print_line(&format!("logged in as {name} until {}", harmless(&expires)))?;
    if args.psql {
        psql::mint(&name, &mut login, args)?;
        logins::keep(&name, login)?;
    }
    Ok(())
}

/// Whether they are who the browser says: nobody works on as somebody else without having seen it.
fn goes_on_as(name: &PersonName) -> Result<bool, Failure> {
    output::print_line(&format!("logged in as {name}: go on? [y/N]"))?;
    let mut answer = String::new();
    let read = std::io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer);
    read.map_err(|error| Failure::usage(format!("cannot read the answer: {error}")))?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Logs out, here and at the gate.
fn logout(person: Option<&PersonName>) -> Result<(), Failure> {
    let (name, login) = logins::find(person)?;
    let api = Api::of(&AsArgs { person: Some(name.clone()) })?;
    // What is here goes whatever the gate says: it may be away, and what it knows ends by itself.
    let revoked = match &login.minted {
        Some(minted) => {
            psql::take_away(&name, &login)?;
            api.post(&format!("/api/v1/passwords/{}/revoke", minted.id), &json!({})).map(drop)
        }
        None => Ok(()),
    };
    let ended = api.post("/api/v1/logout", &json!({}));
    logins::forget(&name)?;
    match (revoked, ended) {
        (Ok(()), Ok(_)) => output::print_line(&format!("logged out {name}")),
        (Err(failure), _) | (_, Err(failure)) => {
            let message = format!("logged out here; the gate did not confirm it: {}", failure.message);
            Err(Failure { message, ..failure }
                .hint("a login ends by itself within 12 hours, its password within 8"))
        }
    }
}

/// Address and CA: as given, else as configured here, else as of the last login of that person.
fn place(config: &Path, args: &LoginArgs) -> Result<(String, Option<std::path::PathBuf>), Failure> {
    if let Some(url) = &args.url {
        let own = config.exists().then(|| Config::load(config).ok()).flatten();
        let ca = args.ca.clone().or_else(|| own.filter(|own| own.console.url == *url)?.own_ca());
        return Ok((url.clone(), ca));
    }
    if config.exists() {
        let config = Config::load(config)?;
        let ca = args.ca.clone().or_else(|| config.own_ca());
        return Ok((config.console.url, ca));
    }
    let who = args.name.as_ref().map_or_else(|| "--oidc".to_owned(), ToString::to_string);
    Err(Failure::usage("where is the gate? There is no configuration here")
        .hint(format!("run: stepgate login {who} --url https://… [--ca ca.pem]")))
}
