//! An OpenID provider whose client the gate is.

use std::os::unix::fs::PermissionsExt as _;

use stepgate_testkit::Provider;

use super::World;

/// By which the provider knows the gate.
pub(crate) const SECRET: &str = "secret-of-a-throwaway-provider";

impl World {
    /// A provider, with the secret in the gate's `secrets/oidc`; `None`: there is none on this machine.
    pub(crate) fn provider(&self) -> Option<Provider> {
        let provider = Provider::real(&format!("{}/oidc/callback", self.gate.url()), SECRET).unwrap()?;
        let secret = self.gate.directory().join("secrets/oidc");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o600)).unwrap();
        Some(provider)
    }
}
