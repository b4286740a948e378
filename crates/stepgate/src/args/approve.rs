//! `policy approve`.

use clap::Args;
use stepgate_approval::Method;

use super::AsArgs;

#[derive(Debug, Args)]
pub(crate) struct ApprovePolicyArgs {
    /// SHA-256 of map and policy, as `stepgate policy lint` prints it where you have read them; left out: lists what
    /// waits.
    #[arg(value_name = "HASH", value_parser = hash)]
    pub(crate) sha256: Option<String>,
    /// Shows what it changes, compared with what is in force, and approves nothing. Without this, it is shown first.
    #[arg(long, requires = "sha256", conflicts_with = "method")]
    pub(crate) show: bool,
    /// By what: totp, recovery or push; else by what you have, a code before a device. A passkey is used on the gate's page.
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<Method>,
    #[command(flatten)]
    pub(crate) who: AsArgs,
}

/// SHA-256 in hexadecimal digits.
pub(super) fn hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("64 hexadecimal digits".to_owned()) }
}
