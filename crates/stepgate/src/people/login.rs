//! `stepgate login`.

use std::path::Path;

use serde_json::{Value, json};

use super::http::Api;
use super::logins::{self, Login};
use crate::args::LoginArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::output;
use crate::secret::{self, Source};

/// Logs in and keeps the token.
pub(crate) fn login(config: &Path, args: &LoginArgs) -> Result<(), Failure> {
    let (url, ca) = place(config, args)?;
    let ca_pem = match &ca {
        Some(path) => {
            Some(std::fs::read_to_string(path).map_err(|error| Failure::file("read the CA", path, &error))?)
        }
        None => None,
    };
    let api = Api::at(&url, ca_pem.as_deref())?;
    let prompt = format!("Password for {}: ", args.name);
    let password = secret::read(&Source::Ask { prompt: &prompt, twice: false })?;
    let answer = api.post("/api/v1/login", &json!({"name": args.name, "password": *password}))?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let (Some(token), Some(expires)) = (text("token"), text("expires")) else {
        return Err(Failure::unreachable(format!("{url} is no stepgate, or of another version")));
    };
    logins::keep(&args.name, Login { url, ca_pem, token, expires: expires.clone() })?;
    output::print_line(&format!("logged in as {} until {expires}", args.name))
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
    Err(Failure::usage("where is the gate? There is no configuration here")
        .hint(format!("run: stepgate login {} --url https://… [--ca ca.pem]", args.name)))
}
