//! Calls over HTTPS: to whoever takes records or witnesses them, and of people's commands to their gate.

use std::sync::Arc;
use std::time::Duration;

use ureq::tls::{Certificate, RootCerts, TlsConfig, TlsProvider};

/// How long connecting may take …
const CONNECT: Duration = Duration::from_secs(10);

/// … and a call in all.
pub(crate) const CALL: Duration = if cfg!(test) { Duration::from_secs(3) } else { Duration::from_secs(30) };

/// What calls whoever has a certificate by one of these. Whoever answers with another address gets nothing there: no
/// redirects, and no proxy that nobody configured.
pub(crate) fn agent(roots: Vec<Certificate<'static>>) -> ureq::Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(roots)))
        .build();
    ureq::Agent::config_builder()
        .tls_config(tls)
        .timeout_connect(Some(CONNECT))
        .timeout_global(Some(CALL))
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .user_agent(concat!("stepgate/", env!("CARGO_PKG_VERSION")))
        .build()
        .into()
}
