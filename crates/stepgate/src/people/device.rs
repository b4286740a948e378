//! `device enroll|watch|answer`: the reference device (`docs/DEVICE.md`).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use stepgate_approval::{Method, push_answer, push_enrolment};
use stepgate_types::PersonName;

use super::decide::report;
use super::device_key::DeviceKey;
use super::http::Api;
use super::{approve, glass, leave, logins, request};
use crate::args::{AsArgs, DeviceCommand, EnrollDevice, Waiting};
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
        DeviceCommand::Answer { what, reason, who } => answer(what.as_ref(), reason.as_deref(), who),
    }
}

/// The person whose login is used, and the gate's API.
fn person(who: &AsArgs) -> Result<(PersonName, Api), Failure> {
    let (person, _) = logins::find(who.person.as_ref())?;
    let api = Api::of(&AsArgs { person: Some(person.clone()) })?;
    Ok((person, api))
}

fn enroll(args: &EnrollDevice) -> Result<(), Failure> {
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

/// What waits, and the challenge of each. What this version does not know is for another device.
fn waiting(api: &Api) -> Result<Vec<(Waiting, Value)>, Failure> {
    let waiting = api.get("/api/v1/challenges")?;
    let rows = waiting.as_array().cloned().unwrap_or_default();
    let of = |row: Value| {
        let about = ["request", "policy_sha256", "glass"].iter().find_map(|key| row.get(key)?.as_str());
        Some((about?.parse().ok()?, row))
    };
    Ok(rows.into_iter().filter_map(of).collect())
}

fn answer(wanted: Option<&Waiting>, reason: Option<&str>, who: &AsArgs) -> Result<(), Failure> {
    let (person, api) = person(who)?;
    let key = DeviceKey::of(&person)?;
    let mut waiting = waiting(&api)?;
    waiting.retain(|(what, _)| wanted.is_none_or(|wanted| wanted == what));
    match waiting.as_slice() {
        [] => Err(Failure::no("nothing waits for this device").hint(
            "begin it where you see it: stepgate verify REQUEST --method push, policy approve, break-glass review, or its \
             page",
        )),
        [(what, challenge)] => sign(&api, &key, what, challenge, reason),
        _ => Err(Failure::no("several things wait for this device")
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
        for (what, challenge) in waiting {
            if id(&challenge).is_some_and(|id| seen.insert(id))
                && let Err(failure) = sign(&api, &key, &what, &challenge, None)
            {
                output::print_line(&format!("{what}: {failure}"))?;
            }
        }
        std::thread::sleep(POLL);
    }
}

/// Shows all of it, asks for the digits, signs and answers.
fn sign(
    api: &Api,
    key: &DeviceKey,
    what: &Waiting,
    challenge: &Value,
    reason: Option<&str>,
) -> Result<(), Failure> {
    let shown = show(api, what)?;
    let approve = challenge.get("approve").and_then(Value::as_bool).unwrap_or(false);
    output::print_line(if approve { "\nYour answer: yes" } else { "\nYour answer: no" })?;
    let said = said(what, reason)?;
    let code = secret::read(&DIGITS)?;
    let code = code.trim();
    let signature = key.sign(&push_answer(&binding(challenge)?, code))?;
    let mut body = json!({"proof": {
        "challenge": challenge.get("challenge"),
        "push": {"device": key.device, "signature": signature, "code": code},
    }});
    if let (Some(body), Some((word, said))) = (body.as_object_mut(), said) {
        body.insert(word.to_owned(), json!(said));
    }
    match what {
        Waiting::Request(request) => {
            let mine = shown.get("mine").and_then(Value::as_bool) == Some(true);
            let verb = match (mine, approve) {
                (true, true) => "verify",
                (_, true) => "approve",
                (_, false) => "deny",
            };
            report(*request, &api.post(&format!("/api/v1/requests/{request}/{verb}"), &body)?)
        }
        Waiting::Policy(sha256) => {
            approve::said(sha256, &api.post(&format!("/api/v1/policies/{sha256}/approve"), &body)?)
        }
        Waiting::Review(id) => {
            api.post(&format!("/api/v1/break-glass/{id}/review"), &body)?;
            glass::reviewed(*id)
        }
    }
}

/// What is said with the answer: why, or what was found, which is asked for.
fn said(what: &Waiting, reason: Option<&str>) -> Result<Option<(&'static str, String)>, Failure> {
    match (what, reason) {
        (Waiting::Review(_), Some(found)) => Ok(Some(("comment", found.to_owned()))),
        (Waiting::Review(_), None) => {
            output::print("What you found: ")?;
            Ok(Some(("comment", secret::line_of_stdin()?.to_string())))
        }
        (Waiting::Request(_), reason) => Ok(reason.map(|why| ("reason", why.to_owned()))),
        (Waiting::Policy(_), _) => Ok(None),
    }
}

/// Shows what is answered, as the gate says it.
fn show(api: &Api, what: &Waiting) -> Result<Value, Failure> {
    match what {
        Waiting::Request(request) => {
            let shown = request::whole(api, *request)?;
            output::print(&request::page(&shown))?;
            Ok(shown)
        }
        Waiting::Policy(sha256) => {
            let shown = api.get(&format!("/api/v1/policies/{sha256}"))?;
            output::print_line(&format!("Approve the policy {sha256}, and no other"))?;
            output::print_line("(stepgate policy lint prints the hash of the files that you have read)")?;
            Ok(shown)
        }
        Waiting::Review(id) => {
            let gone = || Failure::no(format!("{id} does not wait to be reviewed any more"));
            let shown = glass::find(api, &id.to_string())?.ok_or_else(gone)?;
            let text = |key| glass::text(&shown, key);
            let uses = shown.get("uses").and_then(Value::as_u64).unwrap_or_default();
            output::print_line(&format!(
                "Review the break-glass {id} of {}: {}",
                text("person"),
                text("reason")
            ))?;
            output::print_line(&format!(
                "opened {}, by {} from {}; {uses} statements (stepgate audit search --grant {id})",
                text("opened"),
                text("client"),
                text("network"),
            ))?;
            Ok(shown)
        }
    }
}
