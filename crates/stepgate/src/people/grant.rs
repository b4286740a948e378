//! `grant ls|revoke`, for oneself.

use serde_json::{Value, json};
use stepgate_types::GrantId;

use super::http::Api;
use crate::args::{AsArgs, Format, LineFormat};
use crate::done::Done;
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output::Listing;

/// What a table of grants shows.
pub(crate) const COLUMNS: &[&str] = &[
    "grant",
    "person",
    "database",
    "relations",
    "labels",
    "kinds",
    "approval",
    "once",
    "rows_left",
    "bytes_left",
    "subjects_left",
    "expires",
];

/// `stepgate grant ls`.
pub(crate) fn ls(who: &AsArgs, format: Format) -> Result<(), Failure> {
    let rows = Api::of(who)?.get("/api/v1/grants")?;
    let rows = rows.as_array().cloned().unwrap_or_default();
    Listing::of(COLUMNS, rows).print(format)
}

/// `stepgate grant revoke`.
pub(crate) fn revoke(grant: GrantId, who: &AsArgs, format: LineFormat) -> Result<(), Failure> {
    let answer = Api::of(who)?.post(&format!("/api/v1/grants/{grant}/revoke"), &json!({}))?;
    let state = answer.get("state").and_then(Value::as_str).map_or_else(|| "revoked".to_owned(), harmless);
    let text = format!("grant {grant}: {state}");
    Done::new("grant revoke").with("grant", grant.to_string()).with("state", state).say(&text, format)
}
