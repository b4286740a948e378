//! What waits for a person's devices. They ask; nothing is sent to them.

use std::sync::Arc;

use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};

use crate::api::Api;
use crate::caller::Caller;

/// The caller's own, as far as they wait for a device. The codes are not in it. `?by=asker`: who asks is no device, but
/// waits for one.
pub(crate) async fn waiting(
    State(api): State<Arc<Api>>,
    caller: Caller,
    RawQuery(query): RawQuery,
) -> Response {
    if query.as_deref() != Some("by=asker") {
        api.parts.desk.device_asks(&caller.person.name);
    }
    axum::Json(api.parts.desk.waiting_for_devices(&caller.person.name)).into_response()
}
