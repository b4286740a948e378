//! What a changed policy changes, for who approves it: the texts of exactly these hashes, and the difference.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stepgate_approval::{Changed, unified};
use stepgate_store::PolicyInfo;

use crate::api::Api;
use crate::caller::Caller;
use crate::policies;
use crate::problem::Problem;

/// Texts of more bytes are not compared here: nobody reads that much on a page, and it takes the processor's time.
const MAX_COMPARED: usize = 1024 * 1024;

/// The longest difference that a page shows, in bytes.
const MAX_SHOWN: usize = 64 * 1024;

/// Map and policy of one hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PolicyTexts {
    /// SHA-256 (hex) of these very texts.
    pub policy_sha256: String,
    /// The PII map.
    pub map: String,
    /// The policy.
    pub rules: String,
}

/// Where the texts of policies are.
pub trait KeptPolicies: Send + Sync {
    /// The hash of map and policy in force.
    fn in_force(&self) -> String;

    /// The texts of that hash, which is theirs for certain: `None` where there are none, or they are not of that hash.
    fn texts(&self, policy_sha256: &str) -> Option<PolicyTexts>;
}

/// What is in force, and what is to be.
#[derive(Debug, Serialize)]
pub(crate) struct Change {
    from: PolicyTexts,
    to: PolicyTexts,
}

impl Change {
    /// The hash of what is in force.
    pub(crate) fn replaces(&self) -> &str {
        &self.from.policy_sha256
    }

    /// The difference between exactly these texts; `None`: it is too long for a page.
    pub(crate) fn shown(&self) -> Option<String> {
        let changed = |name, old, new| Changed { name, old, new };
        let both = [
            changed("map", &*self.from.map, &*self.to.map),
            changed("policy", &*self.from.rules, &*self.to.rules),
        ];
        if both.iter().any(|it| it.old.len().max(it.new.len()) > MAX_COMPARED) {
            return None;
        }
        Some(unified(&both)).filter(|shown| shown.len() <= MAX_SHOWN)
    }
}

/// The texts as they are kept at this moment. Each is read once, and what was read is what was hashed.
pub(crate) async fn change(api: &Api, policy: &PolicyInfo) -> Result<Change, Problem> {
    let (kept, sha256) = (Arc::clone(&api.parts.policies), policy.policy_sha256.clone());
    let read = move || Some(Change { from: kept.texts(&kept.in_force())?, to: kept.texts(&sha256)? });
    // From a disk.
    let read = tokio::task::spawn_blocking(read).await;
    read.ok().flatten().ok_or_else(not_kept)
}

/// Its texts can be read.
pub(crate) async fn kept(api: &Api, policy: &PolicyInfo) -> Result<(), Problem> {
    let (kept, sha256) = (Arc::clone(&api.parts.policies), policy.policy_sha256.clone());
    let read = tokio::task::spawn_blocking(move || kept.texts(&sha256).map(drop)).await;
    read.ok().flatten().ok_or_else(not_kept)
}

/// The difference as a page shows it: made where it keeps nothing waiting.
pub(crate) async fn shown(change: Change) -> (String, Option<String>) {
    let replaces = change.replaces().to_owned();
    let shown = tokio::task::spawn_blocking(move || change.shown()).await;
    (replaces, shown.ok().flatten())
}

fn not_kept() -> Problem {
    let message = "what the gate keeps of map and policy is gone, or is not what its hash says";
    Problem::new(StatusCode::CONFLICT, "not_kept", message)
        .hint("do not approve what you cannot read; ask the operator of the gate to look at its log")
}

/// `GET /api/v1/policies/{id}/change`.
pub(crate) async fn show(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Path(sha256): Path<String>,
) -> Result<Response, Problem> {
    let policy = policies::find(&api, &caller, &sha256)?;
    Ok(axum::Json(change(&api, &policy).await?).into_response())
}
