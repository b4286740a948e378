//! `device enroll|watch|answer`: the reference device (`docs/DEVICE.md`).

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::time::Duration;

use serde_json::{Value, json};
use stepgate_approval::{Method, push_answer, push_enrolment};
use stepgate_types::PersonName;

use super::ask::not_mine;
use super::decide::report;
use super::device_key::DeviceKey;
use super::http::Api;
use super::patience::Patience;
use super::{approve, glass, leave, logins, request};
use crate::args::{AsArgs, DeviceCommand, EnrollDevice, LineFormat, Waiting};
use crate::failure::{Failure, Status};
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

const DIGITS: Source<'static> = Source::Ask {
    prompt: "The six digits shown where it was begun (nothing: leave it; not-me): ",
    twice: false,
};

/// Asked of whoever answers what somebody else asks.
const REASON: &str = "Why (one line; nothing: no reason): ";

/// What is typed instead of digits where somebody else asks in the person's name.
const NOT_ME: &str = "not-me";

/// The longest reason that is read, in bytes.
const MAX_REASON: u64 = 1000;

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

/// What waits for an answer by a device: yes, or no.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    what: Waiting,
    approve: bool,
}

/// What waits, with the challenges of each. There may be two: who begins one where they usually are, and one elsewhere,
/// sees other digits at each place. What this version does not know is for another device.
fn waiting(api: &Api) -> Result<BTreeMap<Asked, Vec<Value>>, Failure> {
    let mut all: BTreeMap<Asked, Vec<Value>> = BTreeMap::new();
    for challenge in api.get("/api/v1/challenges")?.as_array().into_iter().flatten() {
        let about = ["request", "policy_sha256", "glass"].iter().find_map(|key| challenge.get(key)?.as_str());
        let approve = challenge.get("approve").and_then(Value::as_bool).unwrap_or(false);
        if let Some(what) = about.and_then(|about| about.parse().ok()) {
            all.entry(Asked { what, approve }).or_default().push(challenge.clone());
        }
    }
    Ok(all)
}

fn answer(wanted: Option<&Waiting>, reason: Option<&str>, who: &AsArgs) -> Result<(), Failure> {
    let (person, api) = person(who)?;
    let key = DeviceKey::of(&person)?;
    let mut waiting = waiting(&api)?;
    waiting.retain(|asked, _| wanted.is_none_or(|wanted| *wanted == asked.what));
    let all: Vec<_> = waiting.into_keys().collect();
    match all.as_slice() {
        [] => Err(nothing_waits()),
        [asked] => match sign(&api, &key, asked, Why::Told(reason))? {
            true => Ok(()),
            false => Err(Failure::usage("nothing was entered")),
        },
        [asked, other] if asked.what == other.what => {
            Err(Failure::no(format!("{}: yes was begun as well as no", asked.what))
                .hint("begin one of them anew once they have lapsed, or answer otherwise"))
        }
        _ => Err(Failure::no("several things wait for this device")
            .hint("name one: stepgate device answer REQUEST")),
    }
}

fn nothing_waits() -> Failure {
    Failure::no("nothing waits for this device")
        .hint("begin it where you see the request: stepgate verify REQUEST --method push, or its page")
}

fn watch(who: &AsArgs) -> Result<(), Failure> {
    let (person, mut api) = person(who)?;
    let key = DeviceKey::of(&person)?;
    let mut left_alone = BTreeSet::new();
    let mut patience = Patience::without_end();
    loop {
        // One that was lost, and taken off its person's list, asks nobody for digits any more.
        if !patience.watch(&mut api, |api| is_enrolled(api, &key))? {
            return Err(Failure::no("this device is not enrolled any more")
                .hint("to enrol it anew, remove its key file first (device-NAME.json beside the logins)"));
        }
        let waiting = patience.watch(&mut api, waiting)?;
        // Of what no longer waits nothing is kept.
        left_alone.retain(|asked| waiting.contains_key(asked));
        for asked in waiting.into_keys().filter(|asked| !left_alone.contains(asked)).collect::<Vec<_>>() {
            match sign(&api, &key, &asked, Why::Asked) {
                Ok(true) => {}
                Ok(false) => {
                    left_alone.insert(asked);
                }
                // Wrong digits, or it is over: what still waits is asked again, as often as the gate lets it.
                Err(failure) if failure.status == Status::No => {
                    output::print_line(&format!("{}: {failure}", asked.what))?;
                }
                // It was restarted while somebody typed: what still waits is asked again once it is back.
                Err(failure) if matches!(failure.status, Status::Unreachable | Status::LoginEnded) => break,
                Err(failure) => return Err(failure),
            }
        }
        std::thread::sleep(POLL);
    }
}

/// Whether the gate still knows this device as its person's.
fn is_enrolled(api: &Api, key: &DeviceKey) -> Result<bool, Failure> {
    let all = api.get("/api/v1/factors")?;
    let mut all = all.as_array().into_iter().flatten();
    Ok(all.any(|it| it.get("id").and_then(Value::as_str) == Some(&key.device)))
}

/// Where the reason of an answer comes from.
#[derive(Clone, Copy)]
enum Why<'a> {
    /// From the command.
    Told(Option<&'a str>),
    /// Whoever answers what somebody else asks is asked for it.
    Asked,
}

/// Shows all of it, asks for the digits, signs and answers; whether any digits were given.
fn sign(api: &Api, key: &DeviceKey, asked: &Asked, why: Why<'_>) -> Result<bool, Failure> {
    let Asked { what, approve } = asked;
    let shown = show(api, what)?;
    let mine = shown.get("mine").and_then(Value::as_bool) == Some(true);
    output::print_line(if *approve { "\nYour answer: yes" } else { "\nYour answer: no" })?;
    let said = said(what, mine, why)?;
    let Some(code) = secret::read_if_any(&DIGITS)? else { return Ok(false) };
    let code = code.trim();
    if let Waiting::Request(request) = what
        && mine
        && code == NOT_ME
    {
        return not_mine(api, *request, LineFormat::Text).map(|()| true);
    }
    // What was begun anew while somebody read has other digits; what is answered is the same.
    let mut refused = nothing_waits();
    for challenge in waiting(api)?.remove(asked).unwrap_or_default() {
        let signature = key.sign(&push_answer(&binding(&challenge)?, code))?;
        let mut body = json!({"proof": {
            "challenge": challenge.get("challenge"),
            "push": {"device": key.device, "signature": signature, "code": code},
        }});
        if let (Some(body), Some((word, said))) = (body.as_object_mut(), &said) {
            body.insert((*word).to_owned(), json!(said));
        }
        match send(api, asked, mine, &body) {
            Ok(()) => return Ok(true),
            // It may be of the digits that were begun elsewhere.
            Err(failure) if failure.status == Status::No => refused = failure,
            Err(failure) => return Err(failure),
        }
    }
    Err(refused)
}

/// Sends the answer to where it belongs, and says what came of it.
fn send(api: &Api, Asked { what, approve }: &Asked, mine: bool, body: &Value) -> Result<(), Failure> {
    match what {
        Waiting::Request(request) => {
            let verb = match (mine, approve) {
                (true, true) => "verify",
                (_, true) => "approve",
                (_, false) => "deny",
            };
            let answer = api.post(&format!("/api/v1/requests/{request}/{verb}"), body)?;
            report(*request, &answer, "device answer", LineFormat::Text)
        }
        Waiting::Policy(sha256) => {
            approve::said(sha256, &api.post(&format!("/api/v1/policies/{sha256}/approve"), body)?)
        }
        Waiting::Review(id) => {
            api.post(&format!("/api/v1/break-glass/{id}/review"), body)?;
            glass::reviewed(*id, LineFormat::Text)
        }
    }
}

/// What is said with the answer: why, or what was found, which must be.
fn said(what: &Waiting, mine: bool, why: Why<'_>) -> Result<Option<(&'static str, String)>, Failure> {
    let told = match why {
        Why::Told(told) => told.map(str::to_owned),
        Why::Asked => None,
    };
    Ok(match (what, why) {
        (Waiting::Review(_), _) => Some((
            "comment",
            match told {
                Some(found) => found,
                None => {
                    output::print_line("What you found: ")?;
                    line()?.unwrap_or_default()
                }
            },
        )),
        (Waiting::Request(_), Why::Asked) if !mine => reason()?.map(|why| ("reason", why)),
        (Waiting::Request(_), _) => told.map(|why| ("reason", why)),
        (Waiting::Policy(_), _) => None,
    })
}

/// Why, from whoever answers; `None`: they say nothing.
fn reason() -> Result<Option<String>, Failure> {
    if std::io::stdin().is_terminal() {
        output::print_line(REASON)?;
    }
    line()
}

/// A line from whoever answers; `None`: an empty one.
fn line() -> Result<Option<String>, Failure> {
    if !std::io::stdin().is_terminal() {
        let line = secret::line_of_stdin()?;
        return Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty()));
    }
    let mut line = String::new();
    let read = std::io::stdin().lock().take(MAX_REASON).read_line(&mut line);
    read.map_err(|error| Failure::usage(format!("cannot read the reason: {error}")))?;
    Ok(Some(line.trim().to_owned()).filter(|line| !line.is_empty()))
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
            approve::show_change(api, sha256)?;
            output::print_line(&format!("Approve the policy {sha256}, and no other"))?;
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
