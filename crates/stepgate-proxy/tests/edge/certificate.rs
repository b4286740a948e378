//! Certificates for one test.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use stepgate_proxy::ServerTls;
use tempfile::TempDir;

/// A self-signed certificate for localhost, as files. It is its own CA.
pub(crate) struct Certificate {
    _directory: TempDir,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) der: Vec<u8>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        Self::for_names(&["localhost", "127.0.0.1"])
    }

    pub(crate) fn for_names(names: &[&str]) -> Self {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let write = |name: &str, text: String| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            // libpq takes no key that others can read.
            std::fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
            path
        };
        let cert = write("cert.pem", made.cert.pem());
        let key = write("key.pem", made.signing_key.serialize_pem());
        Self { cert, key, der: made.cert.der().to_vec(), _directory: directory }
    }

    pub(crate) fn tls(&self) -> ServerTls {
        ServerTls::load(&self.cert, &self.key, None).unwrap()
    }

    pub(crate) fn path(&self) -> &Path {
        &self.cert
    }
}
