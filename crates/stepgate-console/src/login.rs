//! `login`, `logout`, `me`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use stepgate_record::Event;
use stepgate_store::Person;
use stepgate_types::PersonName;

use crate::api::{Api, Peer, json_body};
use crate::problem::Problem;

/// The longest name that is counted by the throttle, in bytes; no person's name is longer.
const MAX_NAME: usize = 63;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Credentials {
    name: String,
    password: String,
}

impl Drop for Credentials {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.password.zeroize();
    }
}

pub(crate) async fn login(
    State(api): State<Arc<Api>>,
    Extension(Peer(address)): Extension<Peer>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    let credentials: Credentials = json_body(&headers, &body)?;
    let counted: String = credentials.name.chars().take(MAX_NAME).collect();
    let now = api.parts.clock.monotonic();
    if let Some(wait) = api.throttle.wait(&counted, address, now) {
        let seconds = wait.as_secs() + 1;
        let message = format!("too many failed logins; try again in {seconds} s");
        return Err(Problem::throttled("throttled", message, seconds));
    }
    let Some(person) = check(&api, credentials).await? else {
        api.throttle.failed(&counted, address, now);
        let known = counted.parse().ok().filter(|name| api.parts.people.get(name).is_some());
        let event =
            Event::SessionAuthFailed { person: known.map(Into::into), address: address.into(), more: None };
        api.parts.log.note(event).map_err(|_| Problem::gate_trouble())?;
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "wrong name or password"));
    };
    if person.service {
        return Err(Problem::new(StatusCode::FORBIDDEN, "service", "a service cannot log in here"));
    }
    api.throttle.succeeded(&counted, address);
    let event = Event::AdminLogin { person: (&person.name).into(), address: address.into() };
    api.parts.log.append(vec![event], Vec::new()).await.map_err(|_| Problem::gate_trouble())?;
    let (token, expires) = api
        .tokens
        .issue(person.name.clone(), person.scram.stored_key, api.parts.clock.now(), &*api.parts.entropy)
        .map_err(|_| Problem::gate_trouble())?;
    let answer = json!({"token": token, "name": person.name, "expires": expires.to_string()});
    Ok(axum::Json(answer).into_response())
}

/// The person, if name and password are right. Takes the same time for a name that nobody has.
async fn check(api: &Arc<Api>, credentials: Credentials) -> Result<Option<Arc<Person>>, Problem> {
    let _permit = api.password_checks.acquire().await.map_err(|_| Problem::gate_trouble())?;
    let people = api.parts.people.clone();
    let check = move || match credentials.name.parse::<PersonName>() {
        Ok(name) => people.verify_password(&name, &credentials.password),
        // Not even a possible name; take as long nevertheless.
        Err(_) => {
            let _ = people.mock_secret(&credentials.name).verify_password(&credentials.password);
            None
        }
    };
    tokio::task::spawn_blocking(check).await.map_err(|_| Problem::gate_trouble())
}

pub(crate) async fn logout(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    api.person(&headers)?;
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    if let Some((_, token)) = token.and_then(|value| value.split_once(' ')) {
        api.tokens.end(token.trim());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

pub(crate) async fn me(State(api): State<Arc<Api>>, headers: HeaderMap) -> Result<Response, Problem> {
    let person = api.person(&headers)?;
    let enrolled = api.parts.people.factors().list(&person.name);
    let factors: Vec<_> = enrolled.iter().map(|factor| factor.method().as_str()).collect();
    Ok(axum::Json(json!({"name": person.name, "groups": person.groups, "factors": factors})).into_response())
}
