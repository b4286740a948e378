//! Whether people can use passkeys here, and by whose word.

use std::path::Path;

use stepgate_passkey::{PasskeyFactor, Roots, Site};

use crate::config::Config;
use crate::failure::Failure;

/// The longest list of roots, in bytes: some hundred certificates.
const MAX_ROOTS: u64 = 1024 * 1024;

/// Passkeys for the pages at `console.url`; `None`, with a word in the log, where browsers would offer none.
///
/// # Errors
/// `console.attestation_roots` cannot be read.
pub(super) fn factor(config: &Config) -> Result<Option<PasskeyFactor>, Failure> {
    let roots = config.console.attestation_roots.as_deref().map(roots).transpose()?;
    match Site::of(&config.console.url) {
        Ok(site) => Ok(Some(PasskeyFactor::new(site, roots))),
        Err(why) => {
            tracing::warn!(%why, "nobody can use a passkey at this gate");
            Ok(None)
        }
    }
}

fn roots(path: &Path) -> Result<Roots, Failure> {
    let wrong =
        |why: String| Failure::usage(format!("console.attestation_roots ({}): {why}", path.display()));
    let size = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?.len();
    if size > MAX_ROOTS {
        return Err(wrong(format!("longer than {MAX_ROOTS} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    Roots::from_pem(&text).map_err(|error| wrong(error.to_string()))
}
