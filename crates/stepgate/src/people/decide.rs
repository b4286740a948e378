//! `verify`, `request approve|deny|cancel`.

use std::io::IsTerminal as _;

use serde_json::{Value, json};
use stepgate_types::RequestId;

use super::http::Api;
use super::prove::{self, Matter};
use super::request;
use crate::args::{AnswerArgs, AsArgs, VerifyArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;

/// `stepgate verify REQUEST`.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    match Matter::request(&api, args.request, true).proof(args.method)? {
        Some(body) => {
            report(args.request, &api.post(&format!("/api/v1/requests/{}/verify", args.request), &body)?)
        }
        None => prove::by_device(&api, args.request, true),
    }
}

/// `stepgate request approve|deny REQUEST`.
pub(crate) fn answer(args: &AnswerArgs, approve: bool) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    // Nobody is to answer what they have not read. A program that answers has shown it itself, or its log is no place for
    // what a statement holds.
    if std::io::stdin().is_terminal() {
        output::print(&request::page(&request::whole(&api, args.request)?))?;
        output::print_line(if approve { "\nYour answer: yes" } else { "\nYour answer: no" })?;
    }
    let Some(mut body) = Matter::request(&api, args.request, approve).proof(args.method)? else {
        if args.reason.is_some() {
            return Err(Failure::usage("the device that answers says why")
                .hint("stepgate device answer REQUEST --reason …"));
        }
        return prove::by_device(&api, args.request, approve);
    };
    let verb = if approve { "approve" } else { "deny" };
    if let (Some(body), Some(reason)) = (body.as_object_mut(), &args.reason) {
        body.insert("reason".to_owned(), json!(reason));
    }
    let answer = api.post(&format!("/api/v1/requests/{}/{verb}", args.request), &body)?;
    report(args.request, &answer)
}

/// `stepgate request cancel REQUEST`.
pub(crate) fn cancel(request: RequestId, who: &AsArgs) -> Result<(), Failure> {
    let answer = Api::of(who)?.post(&format!("/api/v1/requests/{request}/cancel"), &json!({}))?;
    report(request, &answer)
}

pub(super) fn report(request: RequestId, answer: &Value) -> Result<(), Failure> {
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
    output::print_line(&line)
}
