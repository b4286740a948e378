//! Who asks: known by a bearer token or by a cookie, never by both.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use stepgate_approval::Source;
use stepgate_store::{Person, RequestInfo, Source as Elsewhere};
use stepgate_types::{PersonName, Timestamp};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::api::{Api, Peer};
use crate::crowd::Place;
use crate::origin::{self, Made};
use crate::problem::Problem;
use crate::tokens::{self, By, page_proof};

/// How a page's script proves that it is the page's: with what the page says in `meta name="proof"`.
const PROOF: HeaderName = HeaderName::from_static("stepgate-proof");

/// Somebody who is logged in.
pub(crate) struct Caller {
    /// Who.
    pub(crate) person: Arc<Person>,
    /// Where they are.
    pub(crate) address: IpAddr,
    /// When they logged in at the identity provider, where they came from there and that is known.
    pub(crate) proven: Option<Timestamp>,
    /// They came by their password here and nothing besides.
    password_alone: bool,
    device: Option<[u8; 32]>,
    by: By,
    token: Zeroizing<String>,
}

impl Caller {
    /// Whoever this token belongs to; `used`: they asked for something just now.
    fn find(api: &Api, by: By, token: &str, peer: Peer, used: bool) -> Result<Self, Problem> {
        let login =
            api.tokens.get(by, token, used, api.parts.clock.now()).ok_or_else(Problem::login_required)?;
        // Removed, or given another password since: the token is no longer theirs.
        let person = api
            .parts
            .people
            .get(&login.person)
            .filter(|person| person.scram.stored_key == login.stored_key && !person.service)
            .ok_or_else(Problem::login_required)?;
        if login.from_provider.is_some_and(|at| !is_linked_since(api, &person.name, at)) {
            return Err(Problem::login_required());
        }
        // Who has found a lost key is not let go on once it is taken out.
        let factors = api.parts.people.factors();
        if login.passkey.is_some_and(|id| factors.get(&person.name, &id).is_none()) {
            return Err(Problem::login_required());
        }
        let (token, proven) = (Zeroizing::new(token.to_owned()), login.proven);
        let password_alone = login.password_alone.is_some();
        Ok(Self { person, address: peer.0, proven, password_alone, device: None, by, token })
    }

    /// Whether they may read what somebody else's statement says, in this login: where that is asked for, whoever has
    /// only the password of one who answers reads nobody's values.
    ///
    /// # Errors
    /// They may not; what would do.
    pub(crate) fn may_read(&self, api: &Api, info: &RequestInfo) -> Result<(), Problem> {
        if info.is_of(&self.person.name) || !self.password_alone || !api.parts.proven_readers {
            return Ok(());
        }
        let message = "a login by a password alone does not show what others ask";
        Err(Problem::new(StatusCode::FORBIDDEN, "login_proves_too_little", message).hint(
            "log in by a passkey, at the identity provider, or with a code: stepgate login NAME --code",
        ))
    }

    /// Where they come from, and on what: wrong codes are counted by that.
    pub(crate) fn source(&self) -> Source {
        Source { device: self.device, ..self.address.into() }
    }

    /// On the browser that shows this cookie, if it shows one.
    fn on(mut self, headers: &HeaderMap, api: &Api) -> Self {
        self.device = cookie(headers, api.origin.device_cookie()).and_then(tokens::device);
        self
    }

    /// Whether the login is still good. Does not prolong it.
    pub(crate) fn is_logged_in(&self, api: &Api) -> bool {
        Self::find(api, self.by, &self.token, Peer(self.address), false).is_ok()
    }

    /// By which this login of theirs is told from others, telling nothing of its token.
    pub(crate) fn login(&self) -> [u8; 32] {
        tokens::hash(self.by, &self.token)
    }

    /// Ends the login.
    pub(crate) fn log_out(&self, api: &Api) {
        api.tokens.end(self.by, &self.token);
    }

    /// What forms of a page carry to prove that they are the page's.
    pub(crate) fn proof(&self) -> String {
        page_proof(&self.token)
    }

    /// Whether a form or script knows it.
    pub(crate) fn proves(&self, proof: &str) -> bool {
        self.proof().as_bytes().ct_eq(proof.as_bytes()).into()
    }
}

/// Whether what somebody began by their account at the provider at that time still counts: whose account there was taken
/// from them does not go on by a login of it, also once they have another.
pub(crate) fn is_linked_since(api: &Api, name: &PersonName, at: Timestamp) -> bool {
    let people = &api.parts.people;
    let is_linked = people.accounts(name).iter().any(|account| account.source == Elsewhere::Oidc);
    is_linked && people.linked_since(name).is_some_and(|since| since <= at)
}

impl FromRequestParts<Arc<Api>> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let (headers, changes) = (&parts.headers, !origin::is_safe(&parts.method));
        let peer = peer(parts)?;
        let caller = match (bearer(headers), cookie(headers, api.origin.cookie())) {
            // Which of them is meant would be a guess.
            (Some(_), Some(_)) => {
                let message = "this carries a token and a cookie; send one of them";
                return Err(Problem::new(StatusCode::BAD_REQUEST, "two_logins", message));
            }
            (None, None) => return Err(Problem::login_required()),
            (Some(token), None) => Self::find(api, By::Bearer, token, peer, true)?,
            (None, Some(token)) => {
                let used = changes || origin::by_person(headers);
                Self::find(api, By::Cookie, token, peer, used)?.on(headers, api)
            }
        };
        if caller.by == By::Cookie && changes {
            let proof = headers.get(PROOF).and_then(|value| value.to_str().ok()).unwrap_or_default();
            if api.origin.made(headers) != Made::Here || !caller.proves(proof) {
                return Err(origin::other_site());
            }
        }
        api.rates.of_person(&caller.person.name, caller.address, api.parts.clock.monotonic())?;
        is_known(parts);
        Ok(caller)
    }
}

/// Somebody who looks at pages: logged in by cookie, and where they change something, on a page of ours. That a form
/// is the page's own is proven where the form is read.
pub(crate) struct Visitor(pub(crate) Caller);

impl Visitor {
    /// `None`: nobody is logged in.
    pub(crate) fn find(parts: &Parts, api: &Api) -> Result<Option<Self>, Problem> {
        let (headers, changes) = (&parts.headers, !origin::is_safe(&parts.method));
        if changes && api.origin.made(headers) != Made::Here {
            return Err(origin::other_site());
        }
        let peer = peer(parts)?;
        let Some(token) = cookie(headers, api.origin.cookie()) else { return Ok(None) };
        let used = changes || origin::by_person(headers);
        let Ok(caller) = Caller::find(api, By::Cookie, token, peer, used) else { return Ok(None) };
        api.rates.of_person(&caller.person.name, caller.address, api.parts.clock.monotonic())?;
        is_known(parts);
        Ok(Some(Self(caller.on(headers, api))))
    }
}

/// The connection is somebody's: it gives way to none that is nobody's.
fn is_known(parts: &Parts) {
    if let Some(place) = parts.extensions.get::<Arc<Place>>() {
        place.is_known();
    }
}

fn peer(parts: &Parts) -> Result<Peer, Problem> {
    parts.extensions.get::<Peer>().copied().ok_or_else(Problem::gate_trouble)
}

/// The token of `Authorization: Bearer` (RFC 6750, section 2.1). Another scheme is a token nobody has.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().unwrap_or_default();
    let (scheme, token) = value.split_once(' ').unwrap_or((value, ""));
    Some(if scheme.eq_ignore_ascii_case("bearer") { token.trim() } else { "" })
}

/// The value of the cookie of that name, if there is one of it: of two, one was planted.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(given, _)| *given == name)
        .map(|(_, value)| value);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_cookies_of_our_name_neither_counts() {
        let find = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, text.parse().unwrap());
            cookie(&headers, "__Host-stepgate").map(str::to_owned)
        };
        assert_eq!(find("a=b; __Host-stepgate=1; c=d").as_deref(), Some("1"));
        assert_eq!(find("__Host-stepgate=1; __Host-stepgate=2"), None);
        assert_eq!(find("stepgate=1; __host-stepgate=2"), None);
    }
}
