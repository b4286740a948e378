//! `verify`, `request approve|deny|cancel`.

use std::io::IsTerminal as _;

use serde_json::{Value, json};
use stepgate_types::RequestId;

use super::http::Api;
use super::prove::Matter;
use super::request;
use crate::args::{AnswerArgs, CancelArgs, LineFormat, VerifyArgs};
use crate::done::{Done, meanwhile};
use crate::failure::Failure;
use crate::harmless::harmless;

/// `stepgate verify REQUEST`.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    let (request, format) = (args.request, args.say.output);
    let matter = Matter::request(&api, request, true).told(format);
    match matter.proof(args.method)? {
        Some(body) => {
            let answer = api.post(&format!("/api/v1/requests/{request}/verify"), &body)?;
            report(request, &answer, "verify", format)
        }
        None => report(request, &matter.by_device(request, true)?, "verify", format),
    }
}

/// `stepgate request approve|deny REQUEST`.
pub(crate) fn answer(args: &AnswerArgs, approve: bool) -> Result<(), Failure> {
    let (api, format) = (Api::of(&args.who)?, args.say.output);
    let (verb, done) = if approve { ("approve", "request approve") } else { ("deny", "request deny") };
    // Nobody is to answer what they have not read. A program that answers has shown it itself, or its log is no place for
    // what a statement holds.
    if std::io::stdin().is_terminal() {
        meanwhile(request::page(&request::whole(&api, args.request)?).trim_end(), format)?;
        meanwhile(if approve { "\nYour answer: yes" } else { "\nYour answer: no" }, format)?;
    }
    let matter = Matter::request(&api, args.request, approve).told(format);
    let Some(mut body) = matter.proof(args.method)? else {
        if args.reason.is_some() {
            return Err(Failure::usage("the device that answers says why")
                .hint("stepgate device answer REQUEST --reason …"));
        }
        return report(args.request, &matter.by_device(args.request, approve)?, done, format);
    };
    if let (Some(body), Some(reason)) = (body.as_object_mut(), &args.reason) {
        body.insert("reason".to_owned(), json!(reason));
    }
    let answer = api.post(&format!("/api/v1/requests/{}/{verb}", args.request), &body)?;
    report(args.request, &answer, done, format)
}

/// `stepgate request cancel REQUEST`.
pub(crate) fn cancel(args: &CancelArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/requests/{}/cancel", args.request);
    let answer = Api::of(&args.who)?.post(&path, &json!({}))?;
    report(args.request, &answer, "request cancel", args.say.output)
}

/// What of a request is told once something was done with it; never what it asks.
pub(super) const STANDS: &[&str] =
    &["state", "by", "ended_by", "approvers", "approvals", "needed", "grant", "pass"];

/// Says how a request stands, after what was done with it by this command.
pub(super) fn report(
    request: RequestId,
    answer: &Value,
    command: &str,
    format: LineFormat,
) -> Result<(), Failure> {
    let state = answer.get("state").and_then(Value::as_str).map(harmless).unwrap_or_default();
    let number = |key| answer.get(key).and_then(Value::as_u64);
    let mut line = match (state.as_str(), number("approvals"), number("needed")) {
        ("open" | "deferred", Some(approvals), Some(needed)) => {
            format!("{request}: your answer counts; {approvals} of {needed} have approved")
        }
        _ => format!("{request}: {state}"),
    };
    if let Some(grant) = answer.get("grant").and_then(Value::as_str) {
        line.push_str(&format!("; remembered as grant {}", harmless(grant)));
    }
    if answer.get("pass").and_then(Value::as_str).is_some() {
        line.push_str("; the same statement, sent again, passes once");
    }
    Done::new(command).with("request", request.to_string()).with_these(STANDS, answer).say(&line, format)
}
