//! The OpenAPI document (3.1.1): `docs/openapi.json`, which the tests hold against every answer.

use axum::http::header;
use axum::response::IntoResponse;

/// The document, as it is in the repository.
pub const DOCUMENT: &str = include_str!("../../../docs/openapi.json");

pub(crate) async fn show() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT)
}
