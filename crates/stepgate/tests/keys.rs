//! `audit rotate-key`, `audit cosign` and `audit verify --witness`, without any database.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stepgate_record::{Cosigner, SignedNote};

/// A directory with a gate's configuration.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let gate = place.path("gate");
        let database = "shop=postgresql://analyst@127.0.0.1:1/shop";
        let init = ["init", text(&gate), "--database", database, "--sslmode", "disable"];
        place.ok(&init, "geheim-1\n");
        place.ok(&["user", "add", "dana"], "long enough\n");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// A file in it with this text.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    fn run(&self, arguments: &[&str], input: &str) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepgate"));
        command.env("STEPGATE_CONFIG", self.path("gate/stepgate.yaml"));
        command.env("STEPGATE_HOME", self.path("home")).args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
        (output.status.success(), if output.status.success() { said[0].clone() } else { said.concat() })
    }

    fn ok(&self, arguments: &[&str], input: &str) -> String {
        let (ok, said) = self.run(arguments, input);
        assert!(ok, "{arguments:?}: {said}");
        said
    }

    fn no(&self, arguments: &[&str]) -> String {
        let (ok, said) = self.run(arguments, "");
        assert!(!ok, "{arguments:?}: {said}");
        said
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_key_is_replaced_and_whoever_trusts_the_old_one_needs_nothing_new() {
    let place = Place::new();
    let old_key = fs::read_to_string(place.path("gate/data/log.vkey")).unwrap();
    let old_key = place.file("old.vkey", &old_key);
    let old = place.file("old", &place.ok(&["audit", "checkpoint"], ""));
    let early = place.path("early.jsonl");
    place.ok(&["audit", "export", "--out", text(&early)], "");
    let list = place.file("keys.json", &place.ok(&["audit", "rotate-key"], ""));
    assert_eq!(fs::read(&list).unwrap(), fs::read(place.path("gate/data/keys.json")).unwrap());
    place.ok(&["user", "add", "lee"], "long enough\n");
    let late = place.path("late.jsonl");
    let bundle = place.path("late.tar");
    place.ok(&["audit", "export", "--out", text(&late)], "");
    place.ok(&["audit", "export", "--sign", "--out", text(&bundle)], "");
    for file in [&old_key, &old, &list] {
        place.ok(&["audit", "verify", "--checkpoint", text(file)], "");
        for export in [&late, &bundle] {
            place.ok(&["audit", "verify", text(export), "--offline", "--checkpoint", text(file)], "");
        }
    }
    for file in [&old_key, &old, &list] {
        place.ok(&["audit", "verify", text(&early), "--offline", "--checkpoint", text(file)], "");
    }
    assert!(place.ok(&["audit", "tail", "-n", "50"], "").contains("key.rotated"));
}

#[test]
fn lines_of_witnesses_are_brought_by_hand_and_can_be_demanded() {
    let place = Place::new();
    let witness = Cosigner::new("auditor.example", &[7; 32]).unwrap();
    let stranger = Cosigner::new("stranger.example", &[8; 32]).unwrap();
    let note: SignedNote = place.ok(&["audit", "checkpoint"], "").parse().unwrap();
    let cosigned = place.file("cosigned", &witness.cosign(&note, 1_800_000_000).to_string());
    let other = place.file("other", &stranger.cosign(&note, 1_800_000_000).to_string());
    assert!(place.no(&["audit", "cosign", text(&cosigned)]).contains("no witness is configured"));

    let config = place.path("gate/stepgate.yaml");
    let yaml = fs::read_to_string(&config).unwrap();
    let with = |witnesses: &str| {
        let audit = format!("audit: {{ordinary: durable, witnesses: [{witnesses}]}}");
        fs::write(&config, yaml.replace("audit: {ordinary: durable}", &audit)).unwrap();
    };
    with("{vkey: nobody}");
    assert!(place.no(&["audit", "verify"]).contains("audit.witnesses[0].vkey"));
    with(&format!("{{vkey: \"{}\", url: \"http://witness.example/\"}}", witness.key()));
    assert!(place.no(&["audit", "verify"]).contains("https"));
    with(&format!("{{vkey: \"{}\"}}", witness.key()));

    let key = witness.key().to_string();
    assert!(place.no(&["audit", "verify", "--witness", &key]).contains("has cosigned no checkpoint"));
    assert!(place.no(&["audit", "cosign", text(&other)]).contains("refused"));
    assert!(place.ok(&["audit", "cosign", text(&cosigned)], "").contains("kept: auditor.example"));
    assert!(place.ok(&["audit", "cosign", text(&cosigned)], "").contains("nothing new"));
    let said = place.ok(&["audit", "verify", "--witness", &key], "");
    assert!(said.contains("witness auditor.example has cosigned the first"), "{said}");
    place.no(&["audit", "verify", "--witness", &stranger.key().to_string()]);
    place.no(&["audit", "verify", "--witness", "nonsense"]);
    let bundle = place.path("evidence.tar");
    place.ok(&["audit", "export", "--out", text(&bundle)], "");
    let said = place.ok(&["audit", "verify", text(&bundle), "--offline", "--witness", &key], "");
    assert!(said.contains("witness auditor.example has cosigned the first"), "{said}");
    // By the checkpoint given alone.
    let lines = place.path("evidence.jsonl");
    place.ok(&["audit", "export", "--out", text(&lines)], "");
    let verify =
        ["audit", "verify", text(&lines), "--offline", "--checkpoint", text(&cosigned), "--witness", &key];
    place.ok(&verify, "");
}
