use std::path::Path;
use std::sync::{Arc, OnceLock};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::{SslMode, UpstreamConfig, UpstreamError};
use crate::tls::{ALPN, certificates};

/// The name that the server's certificate must be for.
pub(super) fn server_name(config: &UpstreamConfig) -> Result<ServerName<'static>, UpstreamError> {
    ServerName::try_from(config.host.clone())
        .map_err(|_| UpstreamError::Tls(format!("{} is no host name", config.host)))
}

/// How to speak TLS with this server.
pub(super) fn client_config(config: &UpstreamConfig) -> Result<Arc<ClientConfig>, UpstreamError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| UpstreamError::Tls(error.to_string()))?;
    let builder = match config.sslmode {
        SslMode::VerifyFull => builder.with_root_certificates(roots(config.ca.as_deref())?),
        SslMode::Require | SslMode::Disable => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
        }
    };
    let mut client = builder.with_no_client_auth();
    client.alpn_protocols = vec![ALPN.to_vec()];
    Ok(Arc::new(client))
}

/// The CAs to trust: those of the file, else the system's.
fn roots(ca: Option<&Path>) -> Result<RootCertStore, UpstreamError> {
    static SYSTEM: OnceLock<Vec<CertificateDer<'static>>> = OnceLock::new();
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            let trusted = certificates(path).map_err(|error| UpstreamError::Tls(error.to_string()))?;
            roots.add_parsable_certificates(trusted);
        }
        None => {
            let system = SYSTEM.get_or_init(|| rustls_native_certs::load_native_certs().certs);
            roots.add_parsable_certificates(system.iter().cloned());
        }
    }
    if roots.is_empty() {
        return Err(UpstreamError::Tls(
            "no CA to verify the server's certificate with: set ca to its PEM file".to_owned(),
        ));
    }
    Ok(roots)
}

/// `sslmode: require`: encrypts with whoever answers, as libpq's `require` does. It keeps listeners out but not
/// impostors; SCRAM then still keeps the password from them, and with -PLUS finds them out.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
