//! What the gate needs to speak to an OpenID provider: a clock that agrees with the provider's, and HTTP.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::http::{Request, Response};
use serde_json::Value;
use stepgate_console::oidc::{Fetch, MAX_ANSWER, Unreachable};
use stepgate_testkit::Provider;
use stepgate_types::{Clock, Timestamp};

pub(crate) struct Real;

impl Clock for Real {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap()
    }
}

pub(crate) struct Plain(pub(crate) ureq::Agent);

impl Fetch for Plain {
    fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        let answer = self.0.run(request).map_err(|error| Unreachable(error.to_string()))?;
        let (parts, mut body) = answer.into_parts();
        let bytes = body.with_config().limit(MAX_ANSWER).read_to_vec();
        Ok(Response::from_parts(parts, bytes.map_err(|error| Unreachable(error.to_string()))?))
    }
}

pub(crate) fn agent() -> ureq::Agent {
    let config = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    config.timeout_global(Some(Duration::from_secs(20))).proxy(None).build().into()
}

/// From now on, tokens hold this.
pub(crate) fn lies(provider: &Provider, lie: &Value) {
    let answer = agent().post(format!("{}/case", provider.issuer())).send(lie.to_string()).unwrap();
    assert_eq!(answer.status(), 200);
}
