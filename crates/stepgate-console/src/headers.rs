//! What every answer tells a browser that it may do with it: next to nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

use crate::api::Api;

/// Only our own script, style and calls; no frame, no plugin, no `eval`, no inline script, no form to elsewhere. What a
/// statement or reason holds could not run even if it were written to a page unescaped.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Passkeys for our own pages; of what else a browser could be asked for, nothing.
const PERMISSIONS_POLICY: &str = "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), \
     display-capture=(), geolocation=(), microphone=(), payment=(), usb=()";

/// A year, for this host alone: other names under it are not ours to speak for.
const STRICT_TRANSPORT_SECURITY: &str = "max-age=31536000";

const EVERYWHERE: [(HeaderName, &str); 9] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    // No other site's window keeps a hand on ours, and no other site's page loads anything of ours.
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), PERMISSIONS_POLICY),
    // Answers differ by who asks.
    (header::VARY, "cookie, authorization"),
];

/// Puts them on an answer, whatever it is.
pub(crate) async fn strict(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in EVERYWHERE {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if api.origin.is_for_good() {
        let value = HeaderValue::from_static(STRICT_TRANSPORT_SECURITY);
        headers.insert(header::STRICT_TRANSPORT_SECURITY, value);
    }
    response
}
