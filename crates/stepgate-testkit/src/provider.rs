//! OpenID providers (`tests/idp`): a real one, npm oidc-provider, and one that lies as it is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::{Error, Supervised, TempTree, until_some};

/// How long one may take to listen: node is slow to start while others compile.
const START_LIMIT: Duration = Duration::from_secs(60);

/// A provider that ends when this is dropped.
#[derive(Debug)]
pub struct Provider {
    issuer: String,
    _process: Supervised,
    _tree: TempTree,
}

impl Provider {
    /// The real one, whose one client has this secret and is where people are sent back to. `None`, said aloud: it is
    /// not on this machine.
    ///
    /// # Errors
    /// It does not start.
    pub fn real(redirect: &str, secret: &str) -> Result<Option<Self>, Error> {
        Self::start("provider.mjs", &[redirect, secret])
    }

    /// The one that lies: what it is to say is posted to `ISSUER/case`. `None`, said aloud: what it is made of is not on
    /// this machine.
    ///
    /// # Errors
    /// It does not start.
    pub fn liar() -> Result<Option<Self>, Error> {
        Self::start("forger.mjs", &[])
    }

    fn start(script: &str, arguments: &[&str]) -> Result<Option<Self>, Error> {
        let modules = repository().join(".work/idp");
        if !modules.join("node_modules/oidc-provider").is_dir() {
            crate::skip("oidc-provider", "tests/tools/idp.sh");
            return Ok(None);
        }
        let tree = TempTree::new("stepgate-provider")?;
        let log = tree.path().join("log");
        let process = Supervised::builder("node", &log)
            .arg(repository().join("tests/idp").join(script))
            .args(arguments)
            .env("STEPGATE_IDP", &modules)
            .spawn()?;
        let issuer = until_some("an identity provider", START_LIMIT, || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.lines().find(|line| line.starts_with("http://")).map(str::to_owned)
        })?;
        Ok(Some(Self { issuer, _process: process, _tree: tree }))
    }

    /// Its issuer identifier, an address on this machine.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Takes the steps of a browser at the real one, from the address that the gate sends it to: `who` logs in. Where the
    /// browser is sent back to.
    ///
    /// # Errors
    /// They do not get in.
    pub fn log_in(&self, url: &str, who: &str) -> Result<String, Error> {
        let mut node = Command::new("node");
        node.arg(repository().join("tests/idp/login.mjs")).args([url, who]);
        let output = node.output().map_err(Error::doing("starting node"))?;
        if !output.status.success() {
            return Err(Error::new(String::from_utf8_lossy(&output.stderr)));
        }
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}
