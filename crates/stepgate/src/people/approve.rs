//! `policy approve`: two people, each by a fresh proof of theirs, for exactly one hash, once they have seen what it changes.

use serde_json::Value;
use stepgate_approval::{Changed, unified};

use super::http::Api;
use super::prove::{Matter, has_answered, settled};
use crate::args::{ApprovePolicyArgs, Format};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::{self, Listing};
use crate::rules::Texts;

const PATH: &str = "/api/v1/policies";

/// `stepgate policy approve`.
pub(crate) fn approve_policy(args: &ApprovePolicyArgs) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    let Some(sha256) = &args.sha256 else {
        let rows = api.get(PATH)?.as_array().cloned().unwrap_or_default();
        let columns = &["policy_sha256", "state", "approvers", "count", "strength", "proposed"];
        return Listing::of(columns, rows).print(Format::Table);
    };
    show_change(&api, sha256)?;
    if args.show {
        return Ok(());
    }
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

/// Shows what a policy changes: the difference between the very texts of these hashes, which are looked at here again.
pub(super) fn show_change(api: &Api, sha256: &str) -> Result<(), Failure> {
    let policy = api.get(&format!("{PATH}/{sha256}"))?;
    if state(&policy) != "proposed" {
        return Ok(());
    }
    let change = api.get(&format!("{PATH}/{sha256}/change"))?;
    let from = texts(&change, "/from").ok_or_else(other_texts)?;
    let to = texts(&change, "/to").filter(|texts| texts.sha256() == sha256).ok_or_else(other_texts)?;
    let changed = |name, old, new| Changed { name, old, new };
    let diff = unified(&[changed("map", from.map(), to.map()), changed("policy", from.rules(), to.rules())]);
    output::print_line(&format!("in force {}\nproposed {sha256}", from.sha256()))?;
    if diff.is_empty() { output::print_line("nothing changes") } else { output::print(&diff) }
}

/// Map and policy, if they are what their hash says.
fn texts(change: &Value, at: &str) -> Option<Texts> {
    let text = |key: &str| change.pointer(&format!("{at}/{key}")).and_then(Value::as_str).map(str::to_owned);
    let texts = Texts::new(text("map")?, text("rules")?);
    text("policy_sha256").filter(|sha256| *sha256 == texts.sha256())?;
    Some(texts)
}

fn other_texts() -> Failure {
    Failure::no("what the gate shows is not what its hash says; do not approve it")
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
