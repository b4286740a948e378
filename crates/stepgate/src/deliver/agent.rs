//! Calls to whoever takes records, or witnesses them, over HTTPS.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

use super::tls;
use crate::failure::Failure;

/// How long connecting may take …
const CONNECT: Duration = Duration::from_secs(10);

/// … and a call in all.
pub(super) const CALL: Duration = if cfg!(test) { Duration::from_secs(3) } else { Duration::from_secs(30) };

/// What calls; `ca` is the CA of the other side's certificate, where it is not one of the system's. Whoever answers with
/// another address gets nothing there: no redirects, and no proxy that nobody configured.
pub(super) fn agent(ca: Option<&Path>) -> Result<ureq::Agent, Failure> {
    let roots = tls::authorities(ca)?;
    let roots = roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build();
    Ok(ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(CALL))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("stepgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into())
}
