//! The gate's own certificate, and those it wants of clients.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;

use crate::digest;

/// The protocol's name in ALPN; direct TLS is refused without it, so that a client of another protocol
/// cannot be led here (ALPACA).
pub(crate) const ALPN: &[u8] = b"postgresql";

/// How the gate shows itself to clients. Cheap to clone.
#[derive(Clone)]
pub struct ServerTls {
    pub(crate) config: Arc<ServerConfig>,
    /// What `tls-server-end-point` binds to, where RFC 5929 defines it for the certificate.
    pub(crate) end_point: Option<Vec<u8>>,
    /// Whether clients must show a certificate; `None`: they are not even asked for one.
    pub(crate) client_auth: Option<ClientAuth>,
}

/// Whether clients must show a certificate, where a CA for them is configured. One that is shown must be good, and the
/// person's, either way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientAuth {
    /// Nobody is let in without, as by PostgreSQL's `clientcert=verify-full`.
    Require,
    /// Who shows none is let in by the password alone.
    Optional,
}

/// The certificate, key or CA cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("cannot read {what} from {}: {source}", path.display())]
    Pem {
        /// What it should be.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: rustls::pki_types::pem::Error,
    },
    /// A file holds no certificate.
    #[error("no certificate in {}", .0.display())]
    Empty(PathBuf),
    /// Certificate and key do not fit each other, or cannot be used.
    #[error("certificate {} cannot be used: {source}", path.display())]
    Unusable {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        source: rustls::Error,
    },
    /// The CA for clients cannot be used.
    #[error("client CA {} cannot be used: {source}", path.display())]
    ClientCa {
        /// The CA's file.
        path: PathBuf,
        /// Why not.
        source: rustls::server::VerifierBuilderError,
    },
}

/// The certificates of a PEM file, at least one.
pub(crate) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = |source| TlsError::Pem { what: "certificates", path: path.to_owned(), source };
    let found =
        CertificateDer::pem_file_iter(path).map_err(pem)?.collect::<Result<Vec<_>, _>>().map_err(pem)?;
    if found.is_empty() { Err(TlsError::Empty(path.to_owned())) } else { Ok(found) }
}

impl ServerTls {
    /// Loads certificate chain and key (PEM). With a CA for clients, they are asked for a certificate of that CA.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub fn load(cert: &Path, key: &Path, clients: Option<(&Path, ClientAuth)>) -> Result<Self, TlsError> {
        let chain = certificates(cert)?;
        let end_point = chain.first().and_then(|leaf| digest::end_point(leaf));
        let key = PrivateKeyDer::from_pem_file(key).map_err(|source| TlsError::Pem {
            what: "a private key",
            path: key.to_owned(),
            source,
        })?;
        let unusable = |source| TlsError::Unusable { path: cert.to_owned(), source };
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(unusable)?;
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some((path, _)) => builder.with_client_cert_verifier(client_verifier(path)?),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
        config.alpn_protocols = vec![ALPN.to_vec()];
        Ok(Self { config: Arc::new(config), end_point, client_auth: clients.map(|(_, auth)| auth) })
    }
}

fn client_verifier(path: &Path) -> Result<Arc<dyn rustls::server::danger::ClientCertVerifier>, TlsError> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(certificates(path)?);
    // Who has none is told so in words after the startup packet, as PostgreSQL does it: a handshake has none.
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()))
        .allow_unauthenticated()
        .build()
        .map_err(|source| TlsError::ClientCa { path: path.to_owned(), source })
}
