//! Posting, signed, to one address.

use std::path::Path;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use ureq::http::{Response, header};
use zeroize::Zeroizing;

use super::tls;
use super::trouble::Trouble;
use crate::config::{WebTarget, WebUrl};
use crate::failure::Failure;
use crate::secret;

/// As much of an answer is read, so that its connection can be used again, in bytes.
const MAX_ANSWER: u64 = 64 * 1024;

/// Carries `t=…,v1=…`: seconds since 1970, and HMAC-SHA-256 (hex) of those, a full stop and the body.
const SIGNATURE: &str = "Stepgate-Signature";

/// Posts to one address.
pub(super) struct Poster {
    agent: ureq::Agent,
    url: String,
    /// Signs, where the receiver can tell.
    secret: Option<Zeroizing<String>>,
    authorization: Option<Zeroizing<String>>,
}

impl Poster {
    /// Reads the secrets and certificates that are needed.
    pub(super) fn new(target: &WebTarget) -> Result<Self, Failure> {
        Ok(Self {
            agent: tls::agent(target.ca.as_deref())?,
            url: target.url.url.clone(),
            secret: Some(secret::read_private(&target.secret_file)?),
            authorization: target.authorization_file.as_deref().map(secret::read_private).transpose()?,
        })
    }

    /// To an address that is itself what protects it.
    pub(super) fn unsigned(url: &WebUrl, ca: Option<&Path>) -> Result<Self, Failure> {
        Ok(Self { agent: tls::agent(ca)?, url: url.url.clone(), secret: None, authorization: None })
    }

    /// Posts; returns once the receiver has said that it has it (2xx).
    pub(super) fn post(
        &self,
        content_type: &str,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Result<(), Trouble> {
        let now = jiff::Timestamp::now().as_second();
        let mut request = self.agent.post(&self.url).header(header::CONTENT_TYPE, content_type);
        if let Some(secret) = &self.secret {
            request = request.header(SIGNATURE, signature(secret, now, body)?);
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization.as_str());
        }
        let mut response = request.send(body).map_err(|error| Trouble::new(self.said(&error)))?;
        let outcome = outcome(&response);
        // It has said what counts; the rest is only so that the next call need not connect anew.
        let _ = std::io::copy(
            &mut response.body_mut().with_config().limit(MAX_ANSWER).reader(),
            &mut std::io::sink(),
        );
        outcome
    }

    /// An error without the address: its path may be all that protects it.
    fn said(&self, error: &ureq::Error) -> String {
        match error {
            ureq::Error::BadUri(_) | ureq::Error::Http(_) => {
                "its address, or a header, cannot be used".to_owned()
            }
            other => other.to_string().replace(&self.url, "…"),
        }
    }
}

fn signature(secret: &str, now: i64, body: &[u8]) -> Result<String, Trouble> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        .map_err(|_| Trouble::new("its secret cannot be used"))?;
    mac.update(format!("{now}.").as_bytes());
    mac.update(body);
    let mac = data_encoding::HEXLOWER.encode(&mac.finalize().into_bytes());
    Ok(format!("t={now},v1={mac}"))
}

fn outcome(response: &Response<ureq::Body>) -> Result<(), Trouble> {
    let status = response.status().as_u16();
    match status {
        200..=299 => Ok(()),
        300..=399 => Err(Trouble::new(format!("answered {status}: redirects are not followed"))),
        _ => Err(Trouble {
            why: format!("answered {status}"),
            retry_after: retry_after(response),
            too_large: status == 413,
        }),
    }
}

/// Seconds, or a date (RFC 9110 section 10.2.3).
fn retry_after(response: &Response<ureq::Body>) -> Option<Duration> {
    let text = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
    let left = at.saturating_sub(jiff::Timestamp::now().as_second());
    Some(Duration::from_secs(u64::try_from(left).unwrap_or(0)))
}
