//! Proofs for `verify`, `request approve|deny`, `policy approve` and `break-glass review`: what is asked for, by each
//! method.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::{Value, json};
use stepgate_approval::Method;
use stepgate_types::{GrantId, RequestId};

use super::http::Api;
use super::patience::Patience;
use crate::args::LineFormat;
use crate::done::meanwhile;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::secret::{self, Source};

const CODE: Source<'static> = Source::Ask { prompt: "Code: ", twice: false };

/// How often the gate is asked whether the device has answered.
const POLL: Duration = Duration::from_secs(1);

/// After how many polls without an answer the other methods are named: 20 seconds.
const PATIENCE: u32 = 20;

/// How often it is asked on what became of it once nothing waits for the device any more.
const SETTLING: u32 = 5;

/// What is proven for.
pub(super) struct Matter<'a> {
    api: &'a Api,
    /// What it is called.
    name: String,
    /// Its address in the API: methods and challenges are below it.
    at: String,
    /// What a challenge says besides the method.
    wanted: Value,
    /// The page where a browser does it.
    page: String,
    /// How what it takes is told.
    format: LineFormat,
}

impl<'a> Matter<'a> {
    /// An answer to a request.
    pub(super) fn request(api: &'a Api, request: RequestId, approve: bool) -> Self {
        let (at, page) = (format!("/api/v1/requests/{request}"), format!("/r/{request}"));
        Self {
            api,
            name: request.to_string(),
            at,
            wanted: json!({"approve": approve}),
            page,
            format: LineFormat::Text,
        }
    }

    /// The approval of a policy.
    pub(super) fn policy(api: &'a Api, sha256: &str) -> Self {
        let (at, page) = (format!("/api/v1/policies/{sha256}"), format!("/policies/{sha256}"));
        Self { api, name: sha256.to_owned(), at, wanted: json!({}), page, format: LineFormat::Text }
    }

    /// The review of a break-glass.
    pub(super) fn review(api: &'a Api, glass: GrantId) -> Self {
        let (at, page) = (format!("/api/v1/break-glass/{glass}/review"), format!("/break-glass/{glass}"));
        Self { api, name: glass.to_string(), at, wanted: json!({}), page, format: LineFormat::Text }
    }

    /// The same, told in that way.
    pub(super) fn told(self, format: LineFormat) -> Self {
        Self { format, ..self }
    }

    fn say(&self, text: &str) -> Result<(), Failure> {
        meanwhile(text, self.format)
    }

    /// The body of an answer with its proof; `None`: a device is to give it.
    pub(super) fn proof(&self, method: Option<Method>) -> Result<Option<Value>, Failure> {
        if method.is_none() && std::io::stdin().is_terminal() {
            for line in also(&self.offered()?) {
                self.say(&line)?;
            }
        }
        match method {
            None | Some(Method::Totp | Method::Recovery) => {
                let code = secret::read(&CODE)?;
                Ok(Some(json!({"proof": {"code": *code}})))
            }
            Some(method @ (Method::Email | Method::Sms)) => {
                let made = self.challenge(method)?;
                let to =
                    made.pointer("/shown/sent_to").and_then(Value::as_str).map(harmless).unwrap_or_default();
                self.say(&format!("a code was sent to {to}"))?;
                let code = secret::read(&CODE)?;
                Ok(Some(json!({"proof": {"challenge": made.get("challenge"), "code": *code}})))
            }
            Some(Method::Push) => Ok(None),
            Some(Method::Passkey | Method::Oidc) => {
                Err(self.in_browser(Failure::usage("this is done in a browser")))
            }
        }
    }

    /// The same by what the person has, where they do not say by what: a code before a device, a device before nothing.
    pub(super) fn proof_by_what_there_is(&self, method: Option<Method>) -> Result<Option<Value>, Failure> {
        if method.is_some() {
            return self.proof(method);
        }
        let offered = self.offered()?;
        match easiest(&offered) {
            Some(Method::Totp | Method::Recovery) => self.proof(None),
            Some(method @ (Method::Passkey | Method::Oidc)) => {
                let only =
                    format!("of what you have, {method} alone does for this, and is used in a browser");
                Err(self.in_browser(Failure::no(only)))
            }
            Some(method) => self.proof(Some(method)),
            None => {
                let why = also(&offered).join("; ");
                let why = if why.is_empty() { String::new() } else { format!(" ({why})") };
                let none = format!("you have no authenticator that proves as much as this takes{why}");
                let pages = self.api.url();
                Err(Failure::no(none).hint(format!("enrol one at {pages}/enrol; it counts a day later")))
            }
        }
    }

    fn in_browser(&self, failure: Failure) -> Failure {
        failure.hint(format!("open {}{}", self.api.url(), self.page))
    }

    fn offered(&self) -> Result<Vec<Value>, Failure> {
        let offered = self.api.get(&format!("{}/methods", self.at))?;
        Ok(offered.as_array().cloned().unwrap_or_default())
    }

    fn challenge(&self, method: Method) -> Result<Value, Failure> {
        let mut wanted = self.wanted.clone();
        if let Some(wanted) = wanted.as_object_mut() {
            wanted.insert("method".to_owned(), json!(method.as_str()));
        }
        self.api.post(&format!("{}/challenge", self.at), &wanted)
    }

    /// Shows the code that is to be typed into the device, and waits until that has answered, or the code is over.
    pub(super) fn wait_for_device(&self) -> Result<(), Failure> {
        let made = self.challenge(Method::Push)?;
        let text = |path: &str| made.pointer(path).and_then(Value::as_str);
        let (Some(id), Some(code)) = (text("/challenge"), text("/shown/code")) else {
            return Err(Failure::unreachable("the gate gave no code"));
        };
        self.say(&format!("{}: type {} into your device", self.name, harmless(code)))?;
        self.say_whether_asleep()?;
        // Until it is answered, lapses, or what it is about is over.
        let (mut polls, mut patience) = (0_u32, Patience::for_a_while());
        while patience.ask(|| is_waiting(self.api, id))? {
            if polls == PATIENCE {
                self.say_what_else()?;
            }
            polls = polls.saturating_add(1);
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Says so where no device of theirs seems to be there.
    fn say_whether_asleep(&self) -> Result<(), Failure> {
        let offered = self.offered()?;
        let push = offered.iter().find(|row| is_of(row, Method::Push));
        match push.and_then(|row| text(row, "why")) {
            Some(why) => self.say(&format!("{why}: start yours, stepgate device watch for one")),
            None => Ok(()),
        }
    }

    /// The device may be lost, or its battery empty: with what they have besides, people go on.
    fn say_what_else(&self) -> Result<(), Failure> {
        let others = self.offered()?.iter().filter_map(other_way).collect::<Vec<_>>();
        if others.is_empty() {
            return Ok(());
        }
        self.say(&format!("your device has not answered yet; instead (Ctrl-C): {}", others.join(", ")))
    }

    /// A device answers a request; how that stands then.
    pub(super) fn by_device(&self, request: RequestId, approve: bool) -> Result<Value, Failure> {
        let api = self.api;
        self.wait_for_device()?;
        let is_open = |now: &Value| matches!(text(now, "state").as_deref(), Some("open" | "deferred"));
        let now = settled(
            || api.get(&format!("/api/v1/requests/{request}")),
            |now| !is_open(now) || has_answered(now, api.name()),
        )?;
        let state = text(&now, "state").unwrap_or_default();
        let answered = match state.as_str() {
            "approved" => approve,
            "denied" => !approve,
            // More people have to answer, or nobody did.
            "open" | "deferred" => has_answered(&now, api.name()),
            _ => false,
        };
        if answered {
            return Ok(now);
        }
        Err(Failure::no(format!("{request}: your device has not answered; the request is {state}")))
    }
}

fn text(row: &Value, key: &str) -> Option<String> {
    row.get(key).and_then(Value::as_str).map(harmless)
}

/// Where there is more than codes of apps and lists, which words choose it.
fn also(offered: &[Value]) -> Vec<String> {
    // What works may have a why, too: what is to be done first.
    let is_available = |row: &Value| row.get("available").and_then(Value::as_bool) != Some(false);
    let why = |row: &Value| text(row, "why").filter(|_| !is_available(row));
    let said = offered.iter().filter_map(|row| match (text(row, "method")?, why(row)) {
        (method, Some(why)) => Some(format!("not now: {method}: {why}")),
        (method, None) if matches!(method.as_str(), "totp" | "recovery") => None,
        (method, None) if matches!(method.as_str(), "passkey" | "oidc") => {
            Some(format!("also: {method}, in a browser"))
        }
        (method, None) => Some(format!("also: --method {method}")),
    });
    said.collect()
}

/// Of those that work now, the one that is asked for without being named: first what a terminal can do by itself.
fn easiest(offered: &[Value]) -> Option<Method> {
    const ORDER: [Method; 7] = [
        Method::Totp,
        Method::Recovery,
        Method::Push,
        Method::Email,
        Method::Sms,
        Method::Passkey,
        Method::Oidc,
    ];
    let available = |row: &&Value| row.get("available").and_then(Value::as_bool) == Some(true);
    let works: Vec<_> = offered.iter().filter(available).filter_map(|row| text(row, "method")).collect();
    ORDER.into_iter().find(|method| works.iter().any(|word| word == method.as_str()))
}

/// Asks what became of it until `settled` says so, or it was asked often enough: what was answered counts once it is on
/// disk.
pub(super) fn settled(
    mut ask: impl FnMut() -> Result<Value, Failure>,
    settled: impl Fn(&Value) -> bool,
) -> Result<Value, Failure> {
    let mut patience = Patience::for_a_while();
    let mut now = patience.ask(&mut ask)?;
    for _ in 0..SETTLING {
        if settled(&now) {
            break;
        }
        std::thread::sleep(POLL);
        now = patience.ask(&mut ask)?;
    }
    Ok(now)
}

fn is_of(row: &Value, method: Method) -> bool {
    row.get("method").and_then(Value::as_str) == Some(method.as_str())
}

/// How a method other than a device's is chosen, if it works.
fn other_way(row: &Value) -> Option<String> {
    let is_available = row.get("available").and_then(Value::as_bool) == Some(true);
    let method: Method = row.get("method")?.as_str()?.parse().ok()?;
    match method {
        _ if !is_available => None,
        Method::Push => None,
        Method::Passkey | Method::Oidc => Some(format!("{method} in a browser")),
        Method::Totp | Method::Recovery | Method::Email | Method::Sms => Some(format!("--method {method}")),
    }
}

fn is_waiting(api: &Api, challenge: &str) -> Result<bool, Failure> {
    let waiting = api.get("/api/v1/challenges?by=asker")?;
    let mut waiting = waiting.as_array().into_iter().flatten();
    Ok(waiting.any(|row| row.get("challenge").and_then(Value::as_str) == Some(challenge)))
}

/// Whether this person is among those who have approved it: of several, an earlier one's answer is not theirs.
pub(super) fn has_answered(answered: &Value, person: &str) -> bool {
    let mut approvers = answered.get("approvers").and_then(Value::as_array).into_iter().flatten();
    approvers.any(|approver| approver.as_str() == Some(person))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_works_besides_a_device_is_named_as_it_is_chosen() {
        let row = |method: &str, available: bool| json!({"method": method, "available": available});
        let named: Vec<_> = [row("push", true), row("passkey", true), row("totp", true), row("email", false)]
            .iter()
            .filter_map(other_way)
            .collect();
        assert_eq!(named, ["passkey in a browser", "--method totp"]);
    }

    #[test]
    fn an_earlier_answer_of_somebody_else_is_not_taken_for_the_devices() {
        let request = json!({"state": "open", "count": 2, "approvers": ["amir"]});
        assert!(!has_answered(&request, "omar") && has_answered(&request, "amir"));
        assert!(!has_answered(&json!({}), "omar"));
    }

    #[test]
    fn without_a_word_a_code_is_asked_for_then_a_device_and_a_browser_last() {
        let offered = |words: &[(&str, bool)]| -> Vec<Value> {
            let row = |(method, works): &(&str, bool)| json!({"method": method, "available": works});
            words.iter().map(row).collect()
        };
        let all = [("passkey", true), ("push", true), ("totp", true)];
        assert_eq!(easiest(&offered(&all)), Some(Method::Totp));
        assert_eq!(easiest(&offered(&all[..2])), Some(Method::Push));
        assert_eq!(easiest(&offered(&[("passkey", true), ("push", false)])), Some(Method::Passkey));
        assert_eq!(easiest(&offered(&[("totp", false)])), None);
        assert_eq!(easiest(&[]), None);
    }
}
