//! TLS to receivers: always checked, certificate and name.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use ureq::tls::Certificate;

use crate::failure::Failure;

/// Trusts the CA in this file, or those of the system, and shows the certificate where there is one.
pub(super) fn config(
    ca: Option<&Path>,
    identity: Option<&(PathBuf, PathBuf)>,
) -> Result<Arc<ClientConfig>, Failure> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities(ca)? {
        let added = roots.add(certificate);
        if let (Err(error), Some(ca)) = (added, ca) {
            return Err(Failure::usage(format!("{} cannot be used: {error}", ca.display())));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Failure::usage(format!("TLS cannot be set up: {error}")))?
        .with_root_certificates(roots);
    let Some((cert, key)) = identity else { return Ok(Arc::new(builder.with_no_client_auth())) };
    let key_of = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        Failure::usage(format!("cannot read a private key from {}: {error}", key.display()))
    })?;
    let config = builder.with_client_auth_cert(chain(cert)?, key_of).map_err(|error| {
        Failure::usage(format!("{} and {} cannot be used: {error}", cert.display(), key.display()))
    })?;
    Ok(Arc::new(config))
}

/// The same for others who connect somewhere, without a certificate of their own.
pub(crate) fn client_config(ca: Option<&Path>) -> Result<Arc<ClientConfig>, Failure> {
    config(ca, None)
}

/// What calls whoever shows a certificate by the CA in this file, or by one of the system's.
pub(crate) fn agent(ca: Option<&Path>) -> Result<ureq::Agent, Failure> {
    let roots = authorities(ca)?;
    let roots = roots.iter().map(|certificate| Certificate::from_der(certificate).to_owned()).collect();
    Ok(crate::agent::agent(roots))
}

/// The certificates in this file, or those that the system trusts.
pub(super) fn authorities(ca: Option<&Path>) -> Result<Vec<CertificateDer<'static>>, Failure> {
    ca.map_or_else(|| Ok(rustls_native_certs::load_native_certs().certs), chain)
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let trouble = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("cannot read a certificate from {}: {why}", path.display()))
    };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| trouble(&error))?.collect();
    let found = found.map_err(|error| trouble(&error))?;
    if found.is_empty() { Err(trouble(&"there is none in it")) } else { Ok(found) }
}
