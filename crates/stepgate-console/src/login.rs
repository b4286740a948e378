//! `login`, `logout`, `me`.

use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;
use stepgate_approval::Source;
use stepgate_record::{AuthFailure, Event};
use stepgate_store::{People, Person};
use stepgate_types::{PersonName, Timestamp};
use tokio::sync::OwnedSemaphorePermit;
use zeroize::Zeroizing;

use crate::api::{Api, Peer, json_body};
use crate::caller::Caller;
use crate::problem::Problem;
use crate::tokens::{By, Came};
use crate::turned_away::{self, PASSWORD};

/// The longest name that is counted by the throttle, in bytes; no person's name is longer.
pub(crate) const MAX_NAME: usize = 63;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    name: String,
    password: String,
    /// A code of theirs, for a login that proves more than their password.
    #[serde(default)]
    code: Option<Zeroizing<String>>,
}

impl Credentials {
    /// As a form has them.
    pub(crate) fn new(name: &str, password: &str, code: Option<&str>) -> Self {
        let code = code.map(|code| Zeroizing::new(code.to_owned()));
        Self { name: name.to_owned(), password: password.to_owned(), code }
    }
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
    let (person, came) = admit(&api, credentials, address.into()).await?;
    bearer(&api, &person, came)
}

/// The answer that lets a program in.
pub(crate) fn bearer(api: &Api, person: &Person, came: Came) -> Result<Response, Problem> {
    let (token, expires) = issue(api, By::Bearer, person, came)?;
    let answer = json!({"token": token, "name": person.name, "expires": expires.to_string()});
    Ok(axum::Json(answer).into_response())
}

/// A fresh token for somebody who was admitted, by a password here or by a login at the provider.
pub(crate) fn issue(api: &Api, by: By, person: &Person, came: Came) -> Result<(String, Timestamp), Problem> {
    let (now, key) = (api.parts.clock.now(), person.scram.stored_key);
    let issued = api.tokens.issue(by, person.name.clone(), key, (now, came), &*api.parts.entropy);
    issued.map_err(|_| Problem::gate_trouble())
}

/// The person of this name and password, however they come, and by what. Who guesses is slowed, and recorded.
pub(crate) async fn admit(
    api: &Arc<Api>,
    mut credentials: Credentials,
    source: Source,
) -> Result<(Arc<Person>, Came), Problem> {
    let (address, code) = (source.address, credentials.code.take());
    let counted: String = credentials.name.chars().take(MAX_NAME).collect();
    // Held until a failure is counted: of many at once, each sees those before it.
    let permit =
        Arc::clone(&api.password_checks).acquire_owned().await.map_err(|_| Problem::gate_trouble())?;
    let now = api.parts.clock.monotonic();
    if let Some(wait) = api.throttle.wait(&counted, address, now) {
        turned_away::turn_away(api, &counted, address, (AuthFailure::Throttled, PASSWORD))?;
        let seconds = wait.as_secs() + 1;
        let message = format!("too many failed logins; try again in {seconds} s");
        return Err(Problem::throttled("throttled", message, seconds));
    }
    let (person, permit) = check(api.parts.people.clone(), credentials, permit).await?;
    let Some(person) = person else {
        api.throttle.failed(&counted, address, now);
        let failed = turned_away::failed(api, &counted, address, (AuthFailure::Password, PASSWORD));
        let event = Event::SessionAuthFailed(Box::new(failed));
        api.parts.log.note(event).map_err(|_| Problem::gate_trouble())?;
        return Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong_credentials", "wrong name or password"));
    };
    drop(permit);
    if person.service {
        turned_away::turn_away(api, &counted, address, (AuthFailure::Service, PASSWORD))?;
        return Err(Problem::new(StatusCode::FORBIDDEN, "service", "a service cannot log in here"));
    }
    api.throttle.succeeded(&counted, address, now);
    let code = code.map(|code| Zeroizing::new(code.replace(' ', ""))).filter(|code| !code.is_empty());
    let came = match code {
        // Wrong ones are counted and recorded as everywhere.
        Some(code) => {
            api.parts.desk.prove(&person.name, &code, source).await?;
            Came::ByPasswordAndCode
        }
        None => Came::ByPassword(address),
    };
    let event = Event::AdminLogin { person: (&person.name).into(), address: address.into() };
    api.parts.log.append(vec![event], Vec::new()).await.map_err(|_| Problem::gate_trouble())?;
    Ok((person, came))
}

/// The person, if name and password are right. Takes the same time for a name that nobody has. The permit is with the
/// work, and so held for as long as that takes, whoever has hung up meanwhile.
async fn check(
    people: People,
    credentials: Credentials,
    permit: OwnedSemaphorePermit,
) -> Result<(Option<Arc<Person>>, OwnedSemaphorePermit), Problem> {
    let check = move || {
        let person = match credentials.name.parse::<PersonName>() {
            Ok(name) => people.verify_password(&name, &credentials.password),
            // Not even a possible name; take as long nevertheless.
            Err(_) => {
                let _ = people.mock_secret(&credentials.name).verify_password(&credentials.password);
                None
            }
        };
        (person, permit)
    };
    tokio::task::spawn_blocking(check).await.map_err(|_| Problem::gate_trouble())
}

pub(crate) async fn logout(State(api): State<Arc<Api>>, caller: Caller) -> StatusCode {
    caller.log_out(&api);
    StatusCode::NO_CONTENT
}

pub(crate) async fn me(State(api): State<Arc<Api>>, Caller { person, .. }: Caller) -> Response {
    let enrolled = api.parts.people.factors().list(&person.name);
    let factors: Vec<_> = enrolled.iter().map(|factor| factor.method().as_str()).collect();
    axum::Json(json!({"name": person.name, "groups": person.groups, "factors": factors})).into_response()
}

#[cfg(test)]
mod tests {
    use std::future::Future as _;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::{Context, Waker};

    use stepgate_store::{Log, LogOptions, Vault};
    use stepgate_testkit::{FakeClock, FakeEntropy};
    use tokio::sync::Semaphore;

    use super::*;

    fn people(dir: &std::path::Path) -> People {
        let entropy = Arc::new(FakeEntropy::seeded(1));
        let vault = Vault::new(&Zeroizing::new([7; 32]), entropy.clone());
        let options = LogOptions {
            ordinary_durable: true,
            version: "test".to_owned(),
            clock: Arc::new(FakeClock::default()),
            entropy,
            vault: vault.clone(),
        };
        let (log, _) = Log::open(dir, options).unwrap();
        People::open(&log, &vault).unwrap()
    }

    /// Else a flood of those who do not wait for the answer would take all processors: each that has gone makes room for
    /// the next, while its own check goes on.
    #[test]
    fn who_hangs_up_makes_no_room_for_another_check_before_their_own_is_done() {
        let dir = tempfile::tempdir().unwrap();
        let people = people(dir.path());
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).max_blocking_threads(1).enable_time().build().unwrap();
        let _inside = runtime.enter();
        // The only thread that could check is busy until it is told.
        let (go_on, told) = mpsc::channel::<()>();
        let busy = runtime.spawn_blocking(move || told.recv());
        let checks = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&checks).try_acquire_owned().unwrap();
        {
            let mut checking = pin!(check(people, Credentials::new("dana", "a guess", None), permit));
            assert!(checking.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        assert_eq!(checks.available_permits(), 0, "its check waits for the thread, and has not been done");
        go_on.send(()).unwrap();
        runtime.block_on(busy).unwrap().unwrap();
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), checks.acquire());
        assert!(runtime.block_on(next).is_ok_and(|permit| permit.is_ok()));
    }
}
