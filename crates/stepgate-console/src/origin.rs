//! Where the gate is for browsers, and whether what they send comes from its own pages.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::sync::Arc;

use crate::api::Api;
use crate::problem::Problem;

/// Fetch Metadata Request Headers (W3C), section 2.3: how a browser says where a request was made.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The same, section 2.2.
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// The gate's own origin (RFC 6454), of the address that people see.
#[derive(Debug, Clone)]
pub(crate) struct Origin {
    /// Such as `https://gate.example`.
    text: String,
    /// Such as `gate.example`, as browsers send it in `Host`.
    authority: String,
    /// Whether people come by HTTPS.
    pub(crate) encrypted: bool,
}

/// Where a request was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Made {
    /// On a page of this gate.
    Here,
    /// On somebody else's, or it contradicts itself.
    Elsewhere,
    /// It does not say: no browser of these days.
    Unsaid,
}

impl Origin {
    /// Of `console.url`.
    pub(crate) fn of(url: &str) -> Self {
        let url = url.to_ascii_lowercase();
        let (scheme, rest) = url.split_once("://").unwrap_or(("https", &url));
        let default = if scheme == "http" { ":80" } else { ":443" };
        let authority = rest.split('/').next().unwrap_or_default();
        let authority = authority.strip_suffix(default).unwrap_or(authority).to_owned();
        Self { text: format!("{scheme}://{authority}"), authority, encrypted: scheme != "http" }
    }

    /// Whether browsers should be told never to come without TLS. Not for names of this machine, which other programs
    /// share, nor for addresses, for which browsers ignore it (RFC 6797, section 8.1.1).
    pub(crate) fn is_for_good(&self) -> bool {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        let is_address = host.starts_with('[') || host.parse::<std::net::IpAddr>().is_ok();
        let is_local = host == "localhost" || host.ends_with(".localhost");
        self.encrypted && !is_address && !is_local
    }

    /// The cookie of a login. `__Host-` (RFC 6265bis, section 4.1.3.2) makes browsers take it by HTTPS and from this
    /// very host only, so that no neighbour under the same domain can plant one. Without TLS, which there is on
    /// loopback alone, browsers would refuse it.
    pub(crate) const fn cookie(&self) -> &'static str {
        if self.encrypted { "__Host-stepgate" } else { "stepgate" }
    }

    /// The cookie by which a browser is known again that somebody has begun to log in on, at the identity provider.
    pub(crate) const fn login_cookie(&self) -> &'static str {
        if self.encrypted { "__Host-stepgate-login" } else { "stepgate-login" }
    }

    /// The cookie by which a browser is known again that somebody has verified themselves on (OWASP, "device cookies"):
    /// wrong codes from elsewhere do not slow it down. It logs nobody in.
    pub(crate) const fn device_cookie(&self) -> &'static str {
        if self.encrypted { "__Host-stepgate-device" } else { "stepgate-device" }
    }

    /// Where a request was made. Pages of ours are sent without referrer, for which browsers send forms with
    /// `Origin: null` (Fetch, "append a request Origin header"): then `Sec-Fetch-Site` decides, together with `Host`,
    /// since another name for this machine is another site.
    pub(crate) fn made(&self, headers: &HeaderMap) -> Made {
        let (Ok(origin), Ok(site), Ok(host)) =
            (only(headers, &header::ORIGIN), only(headers, &SEC_FETCH_SITE), only(headers, &header::HOST))
        else {
            return Made::Elsewhere;
        };
        if site.is_some_and(|site| site != "same-origin") {
            return Made::Elsewhere;
        }
        match (origin.filter(|origin| *origin != "null"), site) {
            (Some(origin), _) if origin.eq_ignore_ascii_case(&self.text) => Made::Here,
            (Some(_), _) => Made::Elsewhere,
            (None, Some(_)) if host.is_some_and(|host| self.is_own(host)) => Made::Here,
            (None, None) if origin.is_none() => Made::Unsaid,
            (None, _) => Made::Elsewhere,
        }
    }

    fn is_own(&self, host: &str) -> bool {
        let default = if self.encrypted { ":443" } else { ":80" };
        host.strip_suffix(default).unwrap_or(host).eq_ignore_ascii_case(&self.authority)
    }
}

/// Whether somebody followed a link of another site's page to get here. Browsers keep a strict cookie back then.
pub(crate) fn from_another_site(headers: &HeaderMap) -> bool {
    matches!(only(headers, &SEC_FETCH_SITE), Ok(Some("cross-site" | "same-site")))
}

/// Whether a person asked for this: not a script of a page by itself.
pub(crate) fn by_person(headers: &HeaderMap) -> bool {
    only(headers, &SEC_FETCH_MODE).is_ok_and(|mode| mode.is_none_or(|mode| mode == "navigate"))
}

/// The value of a header, which may be there once.
fn only<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Methods that change nothing (RFC 9110, section 9.2.1).
pub(crate) fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses whatever another site's page has a browser send, before anybody looks at it.
pub(crate) async fn own_pages_only(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    if !is_safe(request.method()) && api.origin.made(request.headers()) == Made::Elsewhere {
        return other_site().into_response();
    }
    next.run(request).await
}

/// The answer to it.
pub(crate) fn other_site() -> Problem {
    Problem::new(StatusCode::FORBIDDEN, "other_site", "this was not sent from a page of this gate")
        .hint("open the gate by the address that its notices show")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(url: &str, headers: &[(&'static str, &'static str)]) -> Made {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        Origin::of(url).made(&map)
    }

    #[test]
    fn only_what_our_own_pages_send_is_ours() {
        const GATE: &str = "https://Gate.example:443/";
        let (ours, theirs) = (("origin", "https://gate.example"), ("origin", "https://evil.example"));
        let null = ("origin", "null");
        let (same, cross) = (("sec-fetch-site", "same-origin"), ("sec-fetch-site", "cross-site"));
        let (near, none) = (("sec-fetch-site", "same-site"), ("sec-fetch-site", "none"));
        let host = ("host", "gate.example");
        for (headers, expected) in [
            (&[ours][..], Made::Here),
            (&[ours, same, host], Made::Here),
            (&[null, same, host], Made::Here),
            (&[same, host], Made::Here),
            (&[], Made::Unsaid),
            (&[host], Made::Unsaid),
            (&[theirs], Made::Elsewhere),
            (&[theirs, same, host], Made::Elsewhere),
            (&[ours, cross], Made::Elsewhere),
            (&[ours, near], Made::Elsewhere),
            (&[none, host], Made::Elsewhere),
            (&[null], Made::Elsewhere),
            (&[null, host], Made::Elsewhere),
            (&[ours, theirs], Made::Elsewhere),
            (&[same, cross, host], Made::Elsewhere),
            (&[same, ("host", "rebound.example")], Made::Elsewhere),
            (&[("origin", "http://gate.example")], Made::Elsewhere),
            (&[("origin", "https://gate.example.evil.example")], Made::Elsewhere),
            (&[("origin", "https://gate.example:444")], Made::Elsewhere),
        ] {
            assert_eq!(made(GATE, headers), expected, "{headers:?}");
        }
        assert_eq!(made("http://127.0.0.1:6480", &[("origin", "http://127.0.0.1:6480")]), Made::Here);
    }

    #[test]
    fn the_cookie_is_bound_to_its_host_wherever_there_is_tls() {
        let cookies = ["https://gate.example", "http://127.0.0.1:6480"].map(|url| Origin::of(url).cookie());
        assert_eq!(cookies, ["__Host-stepgate", "stepgate"]);
    }

    #[test]
    fn browsers_are_told_to_keep_to_tls_where_the_name_is_the_gates_own() {
        for (url, expected) in [
            ("https://gate.example", true),
            ("https://gate.example:6480", true),
            ("http://gate.example", false),
            ("https://localhost:6480", false),
            ("https://127.0.0.1:6480", false),
            ("https://[::1]:6480", false),
        ] {
            assert_eq!(Origin::of(url).is_for_good(), expected, "{url}");
        }
    }
}
