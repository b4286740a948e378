//! Proofs for `verify` and `request approve|deny`: what is asked for, by each method.

use std::io::IsTerminal as _;
use std::time::Duration;

use serde_json::{Value, json};
use stepgate_approval::Method;
use stepgate_types::RequestId;

use super::decide::report;
use super::http::Api;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

const CODE: Source<'static> = Source::Ask { prompt: "Code: ", twice: false };

/// How often the gate is asked whether the device has answered.
const POLL: Duration = Duration::from_secs(1);

/// After how many polls without an answer the other methods are named: 20 seconds.
const PATIENCE: u32 = 20;

/// How often it is asked on what became of the request once nothing waits for the device any more.
const SETTLING: u32 = 5;

/// The body of an answer with its proof; `None`: a device is to give it.
pub(super) fn proof(
    api: &Api,
    request: RequestId,
    method: Option<Method>,
    approve: bool,
) -> Result<Option<Value>, Failure> {
    if method.is_none() && std::io::stdin().is_terminal() {
        say_what_there_is(api, request)?;
    }
    match method {
        None | Some(Method::Totp | Method::Recovery) => {
            let code = secret::read(&CODE)?;
            Ok(Some(json!({"code": *code})))
        }
        Some(method @ (Method::Email | Method::Sms)) => {
            let made = challenge(api, request, method, approve)?;
            let to = made.pointer("/shown/sent_to").and_then(Value::as_str).map(harmless).unwrap_or_default();
            output::print_line(&format!("a code was sent to {to}"))?;
            let code = secret::read(&CODE)?;
            Ok(Some(json!({"proof": {"challenge": made.get("challenge"), "code": *code}})))
        }
        Some(Method::Push) => Ok(None),
        Some(Method::Passkey | Method::Oidc) => {
            Err(Failure::usage("this is done in a browser, at the address that the notice shows"))
        }
    }
}

/// Where there is more than codes of apps and lists, which words choose it.
fn say_what_there_is(api: &Api, request: RequestId) -> Result<(), Failure> {
    for row in offered(api, request)? {
        let text = |key| row.get(key).and_then(Value::as_str).map(harmless);
        let (Some(method), why) = (text("method"), text("why")) else { continue };
        if matches!(method.as_str(), "totp" | "recovery") {
            continue;
        }
        let is_available = row.get("available").and_then(Value::as_bool) != Some(false);
        match why.filter(|_| !is_available) {
            Some(why) => output::print_line(&format!("not now: {method}: {why}"))?,
            None if matches!(method.as_str(), "passkey" | "oidc") => {
                output::print_line(&format!("also: {method}, in a browser"))?;
            }
            None => output::print_line(&format!("also: --method {method}"))?,
        }
    }
    Ok(())
}

fn challenge(api: &Api, request: RequestId, method: Method, approve: bool) -> Result<Value, Failure> {
    let wanted = json!({"method": method.as_str(), "approve": approve});
    api.post(&format!("/api/v1/requests/{request}/challenge"), &wanted)
}

/// Shows the code that is to be typed into the device, and waits until that has answered.
pub(super) fn by_device(api: &Api, request: RequestId, approve: bool) -> Result<(), Failure> {
    let made = challenge(api, request, Method::Push, approve)?;
    let text = |path: &str| made.pointer(path).and_then(Value::as_str);
    let (Some(id), Some(code)) = (text("/challenge"), text("/shown/code")) else {
        return Err(Failure::unreachable("the gate gave no code"));
    };
    output::print_line(&format!("{request}: type {} into your device", harmless(code)))?;
    say_whether_asleep(api, request)?;
    // Until it is answered, lapses, or the request is over.
    let mut polls = 0_u32;
    while is_waiting(api, id)? {
        if polls == PATIENCE {
            say_what_else(api, request)?;
        }
        polls = polls.saturating_add(1);
        std::thread::sleep(POLL);
    }
    let mut now = api.get(&format!("/api/v1/requests/{request}"))?;
    // What was answered counts once it is on disk.
    for _ in 0..SETTLING {
        let state = now.get("state").and_then(Value::as_str);
        if !matches!(state, Some("open" | "deferred")) || has_answered(&now, api.name()) {
            break;
        }
        std::thread::sleep(POLL);
        now = api.get(&format!("/api/v1/requests/{request}"))?;
    }
    let state = now.get("state").and_then(Value::as_str).unwrap_or_default();
    let answered = match state {
        "approved" => approve,
        "denied" => !approve,
        // More people have to answer, or nobody did.
        "open" | "deferred" => has_answered(&now, api.name()),
        _ => false,
    };
    if answered {
        return report(request, &now);
    }
    Err(Failure::no(format!("{request}: your device has not answered; the request is {}", harmless(state))))
}

/// The ways that there are to answer this request, as the gate lists them.
fn offered(api: &Api, request: RequestId) -> Result<Vec<Value>, Failure> {
    let offered = api.get(&format!("/api/v1/requests/{request}/methods"))?;
    Ok(offered.as_array().cloned().unwrap_or_default())
}

fn is_of(row: &Value, method: Method) -> bool {
    row.get("method").and_then(Value::as_str) == Some(method.as_str())
}

/// Says so where no device of theirs seems to be there.
fn say_whether_asleep(api: &Api, request: RequestId) -> Result<(), Failure> {
    let offered = offered(api, request)?;
    let push = offered.iter().find(|row| is_of(row, Method::Push));
    match push.and_then(|row| row.get("why")?.as_str()).map(harmless) {
        Some(why) => output::print_line(&format!("{why}: start yours, stepgate device watch for one")),
        None => Ok(()),
    }
}

/// The device may be lost, or its battery empty: with what they have besides, people go on.
fn say_what_else(api: &Api, request: RequestId) -> Result<(), Failure> {
    let others = offered(api, request)?.iter().filter_map(other_way).collect::<Vec<_>>();
    if others.is_empty() {
        return Ok(());
    }
    output::print_line(&format!("your device has not answered yet; instead (Ctrl-C): {}", others.join(", ")))
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
fn has_answered(request: &Value, person: &str) -> bool {
    let mut approvers = request.get("approvers").and_then(Value::as_array).into_iter().flatten();
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
}
