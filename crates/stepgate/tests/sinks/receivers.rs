//! Programs that records are sent to, and how a gate is told of them.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use serde_json::Value;
use stepgate_testkit::until;

use crate::support::{SOON, World, repository};

/// What webhooks are signed by.
pub(crate) const SECRET: &str = "a secret of this test";

/// A script of `tests/receivers` at work; ended when dropped.
pub(crate) struct Python {
    child: Child,
    said: BufReader<ChildStdout>,
    pub(crate) port: u16,
}

impl Python {
    /// Starts it; `None` where this machine has no python3, or not the module that the script needs.
    pub(crate) fn start(script: &str, arguments: &[&Path]) -> Option<Self> {
        let mut command = Command::new("python3");
        command.arg(repository().join("tests/receivers").join(script)).args(arguments);
        command.env("PYTHONPATH", repository().join(".work/aiosmtpd"));
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            stepgate_testkit::skip("python3", script);
            return None;
        };
        let mut said = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        said.read_line(&mut line).unwrap();
        match line.trim().parse() {
            Ok(port) => Some(Self { child, said, port }),
            Err(_) => {
                let _ = child.kill();
                let output = child.wait_with_output().unwrap();
                let why = String::from_utf8_lossy(&output.stderr).into_owned();
                // A script that is broken is no reason to skip what it is for.
                assert!(why.contains("ModuleNotFoundError"), "{script}: {why}");
                stepgate_testkit::skip("aiosmtpd", why.trim());
                None
            }
        }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Numbers, a line each.
pub(crate) fn numbers(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| line.parse().unwrap()).collect()
}

/// The numbers of records, a JSON object a line.
pub(crate) fn seqs(path: &Path) -> Vec<u64> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let seq = |line: &str| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap();
    text.lines().map(seq).collect()
}

impl World {
    /// A gate that does not serve yet, with more in its section `audit`.
    pub(crate) fn with_audit(lines: &str) -> Self {
        let world = Self::not_serving(|text| text);
        world.audit(lines);
        world
    }

    pub(crate) fn audit(&self, lines: &str) {
        self.edit("audit: {ordinary: durable}", &format!("audit:\n  ordinary: durable\n{lines}"));
    }

    /// Where the gate's own certificate, its key and its CA are: good for a receiver at localhost, too.
    pub(crate) fn certificate(&self) -> [PathBuf; 3] {
        ["cert.pem", "key.pem", "ca.pem"].map(|name| self.gate.directory().join(name))
    }

    /// A new file in the gate's directory that only its owner may read.
    pub(crate) fn secret(&self, name: &str, text: &str) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.gate.directory().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    /// What `audit sink ls` says.
    pub(crate) fn sinks(&self) -> Vec<Value> {
        let said = self.gate.run(["audit", "sink", "ls", "-o", "json"], "").unwrap().ok().unwrap();
        serde_json::from_str(&said).unwrap()
    }

    /// What it says of one.
    pub(crate) fn sink(&self, name: &str) -> Value {
        self.sinks().into_iter().find(|row| row["sink"] == name).unwrap()
    }

    /// Waits until all sinks have all; how many records that are.
    pub(crate) fn delivered(&self) -> u64 {
        let all = || self.sinks().iter().all(|row| row["lag"] == 0);
        let waited = until("the sinks to have all", SOON * 2, all);
        waited.unwrap_or_else(|error| panic!("{error}: {:?}\n{}", self.sinks(), self.gate.log()));
        self.sinks()[0]["next"].as_u64().unwrap()
    }
}
