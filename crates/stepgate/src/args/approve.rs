//! `policy approve`.

use clap::Args;

use super::AsArgs;

#[derive(Debug, Args)]
pub(crate) struct ApprovePolicyArgs {
    /// SHA-256 of map and policy, as `stepgate policy lint` prints it where you have read them; left out: lists what
    /// waits.
    #[arg(value_name = "HASH", value_parser = hash)]
    pub(crate) sha256: Option<String>,
    #[command(flatten)]
    pub(crate) who: AsArgs,
}

fn hash(text: &str) -> Result<String, String> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_hash { Ok(text.to_ascii_lowercase()) } else { Err("64 hexadecimal digits".to_owned()) }
}
