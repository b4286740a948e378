//! `verify`, `request approve|deny|cancel`.

use serde_json::{Value, json};
use stepgate_types::RequestId;

use super::http::Api;
use crate::args::{AnswerArgs, AsArgs, VerifyArgs};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;
use crate::secret::{self, Source};

const CODE: Source<'static> = Source::Ask { prompt: "Code: ", twice: false };

/// `stepgate verify REQUEST`.
pub(crate) fn verify(args: &VerifyArgs) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    let code = secret::read(&CODE)?;
    let answer = api.post(&format!("/api/v1/requests/{}/verify", args.request), &json!({"code": *code}))?;
    report(args.request, &answer)
}

/// `stepgate request approve|deny REQUEST`.
pub(crate) fn answer(args: &AnswerArgs, approve: bool) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    let code = secret::read(&CODE)?;
    let verb = if approve { "approve" } else { "deny" };
    let mut body = json!({"code": *code});
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
