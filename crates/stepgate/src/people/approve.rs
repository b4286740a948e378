//! `policy approve`: two people, each by a fresh proof of theirs, for exactly one hash.

use serde_json::Value;

use super::http::Api;
use super::prove::{Matter, has_answered, settled};
use crate::args::{ApprovePolicyArgs, Format};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::{self, Listing};

const PATH: &str = "/api/v1/policies";

/// `stepgate policy approve`.
pub(crate) fn approve_policy(args: &ApprovePolicyArgs) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    let Some(sha256) = &args.sha256 else {
        let rows = api.get(PATH)?.as_array().cloned().unwrap_or_default();
        let columns = &["policy_sha256", "state", "approvers", "count", "strength", "proposed"];
        return Listing::of(columns, rows).print(Format::Table);
    };
    let matter = Matter::policy(&api, sha256);
    if let Some(body) = matter.proof_by_what_there_is(args.method)? {
        return said(sha256, &api.post(&format!("{PATH}/{sha256}/approve"), &body)?);
    }
    matter.wait_for_device()?;
    let answered = |now: &Value| state(now) == "approved" || has_answered(now, api.name());
    let now = settled(|| api.get(&format!("{PATH}/{sha256}")), answered)?;
    if !answered(&now) {
        return Err(Failure::no(format!("{sha256}: your device has not answered; the policy waits")));
    }
    said(sha256, &now)
}

fn state(policy: &Value) -> String {
    policy.get("state").and_then(Value::as_str).map(harmless).unwrap_or_default()
}

/// How a policy stands after an answer.
pub(super) fn said(sha256: &str, policy: &Value) -> Result<(), Failure> {
    let by = policy.get("approvers").and_then(Value::as_array).map_or(0, Vec::len);
    let count = policy.get("count").and_then(Value::as_u64).unwrap_or_default();
    output::print_line(&match state(policy).as_str() {
        "approved" => format!("{sha256}: approved; the gate takes it into use within seconds"),
        _ => format!("{sha256}: your answer counts; {by} of {count} have approved"),
    })
}
