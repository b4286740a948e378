//! Calls of the API.

use serde_json::Value;
use ureq::http;
use ureq::tls::Certificate;

use super::logins::{self, Login};
use crate::agent::agent;
use crate::args::AsArgs;
use crate::config::safe_url;
use crate::failure::{Failure, Status};
use crate::harmless::harmless;

/// The largest answer that is read, in bytes: a page of a statement, escaped, with room to spare.
const MAX_ANSWER: u64 = 16 * 1024 * 1024;

/// The API of one gate, for one person.
pub(crate) struct Api {
    agent: ureq::Agent,
    url: String,
    token: Option<String>,
    /// Whose login it is, for hints.
    name: String,
}

/// An answer of the API: its status, and its JSON.
struct Answer {
    status: u16,
    json: Value,
}

impl Api {
    /// The API that a person has logged in to.
    pub(crate) fn of(who: &AsArgs) -> Result<Self, Failure> {
        let (name, login) = logins::find(who.person.as_ref())?;
        let Login { url, ca_pem, token, .. } = login;
        Ok(Self { token: Some(token), name: name.to_string(), ..Self::at(&url, ca_pem.as_deref())? })
    }

    /// The API at an address, for somebody who has not logged in yet.
    pub(crate) fn at(url: &str, ca_pem: Option<&str>) -> Result<Self, Failure> {
        if let Err(why) = safe_url(url) {
            return Err(Failure::usage(format!("{} {why}", harmless(url)))
                .hint("passwords and codes must not cross a network in the clear: https://gate.example"));
        }
        let agent = agent(ca_pem.map_or_else(|| Ok(system_roots()), certificates)?);
        let url = url.trim_end_matches('/').to_owned();
        Ok(Self { agent, url, token: None, name: "NAME".to_owned() })
    }

    /// Whose login it is.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same for who has logged in anew since; `None`: they have not.
    pub(crate) fn renewed(&self) -> Option<Self> {
        let person = self.name.parse().ok()?;
        let renewed = Self::of(&AsArgs { person: Some(person) }).ok()?;
        (renewed.token != self.token).then_some(renewed)
    }

    /// Its address, without a slash at the end.
    pub(crate) fn url(&self) -> String {
        harmless(&self.url)
    }

    /// Reads.
    pub(crate) fn get(&self, path: &str) -> Result<Value, Failure> {
        let mut request = self.agent.get(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.finish(request.call())
    }

    /// Does something.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let mut request = self.agent.post(format!("{}{path}", self.url));
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        self.finish(request.send_json(body))
    }

    fn finish(&self, result: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<Value, Failure> {
        let mut response = result.map_err(|error| self.unreachable(&error))?;
        let status = response.status().as_u16();
        let text = response
            .body_mut()
            .with_config()
            .limit(MAX_ANSWER)
            .read_to_string()
            .map_err(|error| self.unreachable(&error))?;
        let json =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(Value::Null) };
        match status {
            200..=299 => Ok(json),
            _ => Err(self.refused(&Answer { status, json })),
        }
    }

    fn unreachable(&self, error: &ureq::Error) -> Failure {
        let failure =
            Failure::unreachable(format!("cannot reach the gate at {}: {error}", harmless(&self.url)));
        if error.to_string().contains("certificate") {
            failure.hint("name the CA that signed the gate's certificate: stepgate login NAME --ca ca.pem")
        } else {
            failure.hint("is it running, and is the address right? (stepgate login NAME --url URL)")
        }
    }

    /// The gate says no; in its own words, made harmless.
    fn refused(&self, answer: &Answer) -> Failure {
        let text = |key| answer.json.get(key).and_then(Value::as_str).map(harmless);
        let Some(message) = text("message") else {
            return Failure::unreachable(format!(
                "{} answered {} and is no stepgate, or of another version",
                harmless(&self.url),
                answer.status
            ));
        };
        let failure = match answer.status {
            500..=599 => Failure::unreachable(message),
            _ => Failure::no(message),
        };
        match (text("error").as_deref(), text("hint")) {
            (Some("login_required"), _) => {
                let message = format!("the login of {} has ended", self.name);
                Failure { status: Status::LoginEnded, message, ..failure }
                    .hint(format!("run: stepgate login {}", self.name))
            }
            (_, Some(hint)) => failure.hint(hint),
            (_, None) => failure,
        }
    }
}

fn certificates(pem: &str) -> Result<Vec<Certificate<'static>>, Failure> {
    let found: Vec<_> = ureq::tls::parse_pem(pem.as_bytes())
        .filter_map(|item| match item {
            Ok(ureq::tls::PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(Failure::usage("the CA file holds no certificate (PEM)"));
    }
    Ok(found)
}

fn system_roots() -> Vec<Certificate<'static>> {
    rustls_native_certs::load_native_certs()
        .certs
        .iter()
        .map(|certificate| Certificate::from_der(certificate).to_owned())
        .collect()
}
