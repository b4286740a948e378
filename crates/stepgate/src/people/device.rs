//! `device enroll|watch|answer`: the reference device (`docs/DEVICE.md`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stepgate_approval::{Method, push_answer, push_enrolment};
use stepgate_types::{PersonName, RequestId};

use super::decide::report;
use super::device_key::DeviceKey;
use super::http::Api;
use super::{leave, logins, request};
use crate::args::{AsArgs, DeviceCommand, EnrollDevice};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

const DIGITS: Source<'static> =
    Source::Ask { prompt: "The six digits shown where the statement waits: ", twice: false };

/// How often the gate is asked what waits.
const POLL: Duration = Duration::from_secs(2);

/// Runs one of them.
pub(crate) fn device(command: &DeviceCommand) -> Result<(), Failure> {
    match command {
        DeviceCommand::Enroll(args) => enroll(args),
        DeviceCommand::Watch { who } => watch(who),
        DeviceCommand::Answer { request, reason, who } => answer(*request, reason.as_deref(), who),
    }
}

/// The person whose login is used, and the gate's API.
fn person(who: &AsArgs) -> Result<(PersonName, Api), Failure> {
    let (person, _) = logins::find(who.person.as_ref())?;
    let api = Api::of(&AsArgs { person: Some(person.clone()) })?;
    Ok((person, api))
}

/// Enrols this device.
pub(crate) fn enroll(args: &EnrollDevice) -> Result<(), Failure> {
    let (person, api) = person(&args.who)?;
    if DeviceKey::exists(&person)? {
        return Err(Failure::no(format!("this device is enrolled for {person} already")));
    }
    let mut key = DeviceKey::make()?;
    let public = key.public()?;
    let about = json!({"public_key": data_encoding::HEXLOWER.encode(&public)});
    let body = leave::with_leave(&api, Method::Push, json!({"name": args.name, "about": about}))?;
    let shown = api.post("/api/v1/factors/push", &body)?;
    let signature = key.sign(&push_enrolment(&binding(&shown)?, &public))?;
    let done =
        api.post("/api/v1/factors/push/confirm", &json!({"proof": {"push": {"signature": signature}}}))?;
    let id = done.get("authenticator").and_then(Value::as_str);
    id.ok_or_else(|| Failure::unreachable("the gate did not name the device"))?.clone_into(&mut key.device);
    key.keep(&person)?;
    output::print_line(&format!("enrolled this device for {person}: {}", harmless(&key.device)))
}

fn binding(shown: &Value) -> Result<[u8; 32], Failure> {
    let text = shown.get("binding").and_then(Value::as_str).unwrap_or_default();
    let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).ok();
    let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| Failure::unreachable("what the gate wants signed is of no known form"))
}

/// What waits: the request of each, and the challenge.
fn waiting(api: &Api) -> Result<Vec<(RequestId, Value)>, Failure> {
    let waiting = api.get("/api/v1/challenges")?;
    let rows = waiting.as_array().cloned().unwrap_or_default();
    let of = |row: Value| Some((row.get("request")?.as_str()?.parse().ok()?, row));
    Ok(rows.into_iter().filter_map(of).collect())
}

fn answer(wanted: Option<RequestId>, reason: Option<&str>, who: &AsArgs) -> Result<(), Failure> {
    let (person, api) = person(who)?;
    let key = DeviceKey::of(&person)?;
    let mut waiting = waiting(&api)?;
    waiting.retain(|(request, _)| wanted.is_none_or(|wanted| wanted == *request));
    match waiting.as_slice() {
        [] => Err(Failure::no("nothing waits for this device")
            .hint("begin it where you see the request: stepgate verify REQUEST --method push, or its page")),
        [(request, challenge)] => sign(&api, &key, *request, challenge, reason),
        _ => Err(Failure::no("several requests wait for this device")
            .hint("name one: stepgate device answer REQUEST")),
    }
}

fn watch(who: &AsArgs) -> Result<(), Failure> {
    let (person, api) = person(who)?;
    let key = DeviceKey::of(&person)?;
    let mut seen = BTreeSet::new();
    loop {
        let waiting = waiting(&api)?;
        let id = |challenge: &Value| challenge.get("challenge").and_then(Value::as_str).map(str::to_owned);
        // Of what no longer waits nothing is kept.
        let open: BTreeSet<_> = waiting.iter().filter_map(|(_, challenge)| id(challenge)).collect();
        seen.retain(|known| open.contains(known));
        for (request, challenge) in waiting {
            if id(&challenge).is_some_and(|id| seen.insert(id))
                && let Err(failure) = sign(&api, &key, request, &challenge, None)
            {
                output::print_line(&format!("{request}: {failure}"))?;
            }
        }
        std::thread::sleep(POLL);
    }
}

/// Shows all of the request, asks for the digits, signs and answers.
fn sign(
    api: &Api,
    key: &DeviceKey,
    request: RequestId,
    challenge: &Value,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let shown = request::whole(api, request)?;
    output::print(&request::page(&shown))?;
    let approve = challenge.get("approve").and_then(Value::as_bool).unwrap_or(false);
    output::print_line(if approve { "\nYour answer: yes" } else { "\nYour answer: no" })?;
    let code = secret::read(&DIGITS)?;
    let code = code.trim();
    let signature = key.sign(&push_answer(&binding(challenge)?, code))?;
    let proof = json!({
        "challenge": challenge.get("challenge"),
        "push": {"device": key.device, "signature": signature, "code": code},
    });
    let mut body = json!({"proof": proof});
    let mine = shown.get("mine").and_then(Value::as_bool) == Some(true);
    let verb = match (mine, approve) {
        (true, true) => "verify",
        (_, true) => "approve",
        (_, false) => "deny",
    };
    if let (Some(body), Some(reason)) = (body.as_object_mut(), reason) {
        body.insert("reason".to_owned(), json!(reason));
    }
    let answer = api.post(&format!("/api/v1/requests/{request}/{verb}"), &body)?;
    report(request, &answer)
}
