//! `policy approve`: two people, each by a code of theirs, for exactly one hash.

use serde_json::{Value, json};

use super::http::Api;
use crate::args::{ApprovePolicyArgs, Format};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::{self, Listing};
use crate::secret::{self, Source};

const PATH: &str = "/api/v1/policies";

/// `stepgate policy approve`.
pub(crate) fn approve_policy(args: &ApprovePolicyArgs) -> Result<(), Failure> {
    let api = Api::of(&args.who)?;
    let Some(sha256) = &args.sha256 else {
        let rows = api.get(PATH)?.as_array().cloned().unwrap_or_default();
        return Listing::of(&["policy_sha256", "state", "approvers", "count"], rows).print(Format::Table);
    };
    let code = secret::read(&Source::Ask { prompt: "Code: ", twice: false })?;
    let said = api.post(&format!("{PATH}/{sha256}/approve"), &json!({"code": *code}))?;
    let state = said.get("state").and_then(Value::as_str).map(harmless).unwrap_or_default();
    let by = said.get("approvers").and_then(Value::as_array).map_or(0, Vec::len);
    output::print_line(&match state.as_str() {
        "approved" => format!("{sha256}: approved; the gate takes it into use within seconds"),
        _ => format!("{sha256}: your answer counts; {by} of 2 have approved"),
    })
}
