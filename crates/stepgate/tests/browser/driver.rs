//! Plays scripts of `tests/browser/` in Chromium.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};
use stepgate_testkit::Person;

use crate::support::{World, repository};

/// How long a script may do something: a browser starts slowly where others work on the machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// A script that plays.
pub(crate) struct Script {
    process: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Script {
    /// Starts `tests/browser/NAME.mjs`, given this and where the gate is. `None`: there is no browser here.
    pub(crate) fn start(world: &World, name: &str, given: Value) -> Option<Self> {
        let chromium = browser()?;
        let mut node = Command::new("node");
        node.arg(repository().join("tests/browser").join(name).with_extension("mjs"));
        let mut process =
            node.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit()).spawn().unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let mut script = Self { process, input, lines };
        let mut all = json!({
            "url": world.gate.url(),
            "cert": world.gate.directory().join("cert.pem"),
            "chromium": chromium,
        });
        all.as_object_mut().unwrap().extend(given.as_object().unwrap().clone());
        script.tell(all);
        Some(script)
    }

    /// Says something to the script.
    pub(crate) fn tell(&mut self, value: Value) {
        writeln!(self.input, "{value}").and_then(|()| self.input.flush()).unwrap();
    }

    /// What the script says next.
    pub(crate) fn hear(&mut self) -> Value {
        let line =
            self.lines.recv_timeout(PATIENCE).expect("the script says nothing, or has failed (see above)");
        serde_json::from_str(&line).unwrap()
    }

    /// Gives a fresh code of that person when the script wants one; it is soon too old.
    pub(crate) fn give_code(&mut self, person: &mut Person) -> String {
        assert_eq!(self.hear(), json!({"want": "code"}));
        let code = person.code().unwrap();
        self.tell(json!({"code": code}));
        code
    }

    /// The script ends well.
    pub(crate) fn ends(mut self) {
        assert_eq!(self.hear(), json!({"done": true}));
    }
}

impl Drop for Script {
    fn drop(&mut self) {
        // By itself first: it closes its browser then.
        let closed = self.lines.recv_timeout(Duration::from_secs(10));
        if closed.is_ok() || self.process.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = self.process.kill();
        }
        let _ = self.process.wait();
    }
}

fn browser() -> Option<PathBuf> {
    let modules = repository().join(".work/browser/node_modules");
    let found = ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).map(|dir| dir.join(name)).collect::<Vec<_>>()
        })
        .find(|path| path.is_file());
    if found.is_none() || !modules.join("playwright-core").exists() || !modules.join("axe-core").exists() {
        stepgate_testkit::skip("browser", "Chromium, playwright-core: tests/tools/browser.sh");
        return None;
    }
    found
}
