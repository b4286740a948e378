//! What waits for a person's devices. They ask; nothing is sent to them.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};

use crate::api::Api;
use crate::caller::Caller;

/// The caller's own, as far as they wait for a device. The codes are not in it.
pub(crate) async fn waiting(State(api): State<Arc<Api>>, caller: Caller) -> Response {
    axum::Json(api.parts.desk.waiting_for_devices(&caller.person.name)).into_response()
}
