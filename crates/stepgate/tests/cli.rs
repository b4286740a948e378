//! The command line without any database: configuration, people, factors, the log.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stepgate_testkit::Authenticator;

/// A directory with a gate's configuration, and a home for logins.
struct Place {
    dir: tempfile::TempDir,
}

struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        let gate = place.gate();
        let database = "shop=postgresql://analyst@127.0.0.1:1/shop";
        let arguments = ["init", gate.to_str().unwrap(), "--database", database, "--sslmode", "disable"];
        let ran = place.run(arguments, "geheim-1\n");
        assert_eq!(ran.status, 0, "{}", ran.err);
        place
    }

    fn gate(&self) -> PathBuf {
        self.dir.path().join("gate")
    }

    fn config(&self) -> PathBuf {
        self.gate().join("stepgate.yaml")
    }

    fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stepgate"));
        command.env("STEPGATE_CONFIG", self.config()).env("STEPGATE_HOME", self.dir.path().join("home"));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) -> Ran {
        let mut child = self.command().args(arguments).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        child.wait_with_output().unwrap().into()
    }

    fn ok<'a>(&self, arguments: impl IntoIterator<Item = &'a str>, input: &str) -> String {
        let ran = self.run(arguments, input);
        assert_eq!(ran.status, 0, "{}{}", ran.out, ran.err);
        ran.out
    }

    fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "no {from} in {text}");
        fs::write(self.config(), text.replacen(from, to, 1)).unwrap();
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn init_writes_a_configuration_that_checks_and_never_overwrites_one() {
    let place = Place::new();
    assert!(place.ok(["check"], "").lines().all(|line| line.starts_with("ok ") || line.starts_with("warn ")));
    for secret in ["key.pem", "ca-key.pem", "secrets/master.key", "secrets/shop"] {
        assert_eq!(mode(&place.gate().join(secret)), 0o600, "{secret}");
    }
    let before = fs::read(place.gate().join("key.pem")).unwrap();
    let again = place.run(["init", place.gate().to_str().unwrap()], "");
    assert_eq!(again.status, 2);
    assert!(again.err.contains("is there already"), "{}", again.err);
    assert_eq!(fs::read(place.gate().join("key.pem")).unwrap(), before);
}

#[test]
fn a_password_in_the_arguments_is_refused() {
    let place = Place { dir: tempfile::tempdir().unwrap() };
    let gate = place.gate();
    let database = "shop=postgresql://analyst:geheim@127.0.0.1/shop";
    let ran = place.run(["init", gate.to_str().unwrap(), "--database", database], "");
    assert_eq!(ran.status, 2);
    assert!(!ran.err.contains("geheim") && !gate.exists(), "{}", ran.err);
}

#[test]
fn all_errors_of_a_configuration_come_at_once_with_line_column_and_excerpt() {
    let place = Place::new();
    place.edit("data: ./data", "dat: ./data");
    place.edit("tls: {cert: cert.pem,", "tls: {client_auth: optional, cert: cert.pem,");
    place.edit("sslmode: disable", "sslmode: prefer");
    let ran = place.run(["serve"], "");
    assert_eq!(ran.status, 2);
    for expected in [
        "data is missing",
        "unknown key dat",
        "client_auth without tls.client_ca",
        "must be verify-full",
        "dat: ./data",
    ] {
        assert!(ran.err.contains(expected), "no {expected} in:\n{}", ran.err);
    }
}

#[test]
fn a_secret_that_others_can_read_stops_the_gate_with_the_line_to_run() {
    for (file, what) in [("secrets/shop", "secrets/shop"), ("secrets/master.key", "master.key")] {
        let place = Place::new();
        let path = place.gate().join(file);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let ran = place.run(["serve"], "");
        assert_eq!(ran.status, 2);
        assert!(ran.err.contains("run: chmod 600") && ran.err.contains(what), "{}", ran.err);
    }
}

#[test]
fn a_missing_or_another_master_key_is_named_and_never_made_anew_over_data() {
    let place = Place::new();
    place.ok(["user", "add", "dana"], "long enough\n");
    let key = place.gate().join("secrets/master.key");
    let good = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let ran = place.run(["user", "ls"], "");
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("master key") && ran.err.contains("is missing"), "{}", ran.err);
    assert!(!key.exists());
    fs::write(&key, "ab".repeat(32)).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let ran = place.run(["user", "ls"], "");
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("does not belong to"), "{}", ran.err);
    fs::write(&key, good).unwrap();
    assert!(place.ok(["user", "ls"], "").contains("dana"));
}

#[test]
fn people_are_kept_listed_and_removed_without_a_gate() {
    let place = Place::new();
    place.ok(["user", "add", "dana", "--groups", "analysts,data-owners"], "long enough\n");
    place.ok(["user", "add", "etl", "--service", "--password-file", "-"], "long enough\n");
    let again = place.run(["user", "add", "dana"], "long enough\n");
    assert_eq!(again.status, 1);
    assert!(again.err.contains("exists already"), "{}", again.err);
    let short = place.run(["user", "add", "short"], "short\n");
    assert_eq!(short.status, 0);
    assert!(short.err.contains("fewer than 8 characters"), "{}", short.err);
    assert_ne!(place.run(["user", "add", "empty"], "\n").status, 0);
    assert_eq!(place.run(["user", "add", "Not A Name"], "").status, 2);
    let rows: serde_json::Value = serde_json::from_str(&place.ok(["user", "ls", "-o", "json"], "")).unwrap();
    assert_eq!(rows[0]["groups"], serde_json::json!(["analysts", "data-owners"]));
    assert_eq!(rows[1]["service"], serde_json::json!(true));
    assert!(place.ok(["user", "ls", "-o", "csv"], "").contains("dana,\"analysts,data-owners\","));
    place.ok(["user", "groups", "dana", "analysts"], "");
    place.ok(["user", "rm", "etl"], "");
    assert_eq!(place.run(["user", "rm", "etl"], "").status, 1);
    assert!(!place.ok(["user", "ls"], "").contains("etl"));
}

/// `enroll totp -o json`: one line, then one code.
fn enrol(place: &Place, code: impl FnOnce(&str) -> String) -> Ran {
    use std::io::BufRead as _;
    let mut child = place.command().args(["enroll", "totp", "--as", "dana", "-o", "json"]).spawn().unwrap();
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let json: serde_json::Value = serde_json::from_str(&line).unwrap();
    let code = code(json["otpauth_uri"].as_str().unwrap());
    writeln!(child.stdin.take().unwrap(), "{code}").unwrap();
    let mut rest = String::new();
    std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
    child.wait_with_output().unwrap().into()
}

#[test]
fn an_enrolment_counts_only_with_a_right_code_and_is_not_replaced_unasked() {
    let place = Place::new();
    place.ok(["user", "add", "dana"], "long enough\n");
    let wrong = enrol(&place, |_| "000000".to_owned());
    assert_eq!(wrong.status, 1, "{}", wrong.err);
    let right = enrol(&place, |uri| Authenticator::enrol(uri).unwrap().next_code().unwrap());
    assert_eq!(right.status, 0, "{}", right.err);
    assert!(place.ok(["user", "ls"], "").contains("totp"));
    let again = place.run(["enroll", "totp", "--as", "dana", "-o", "json"], "");
    assert_eq!(again.status, 1);
    assert!(again.err.contains("--replace"), "{}", again.err);
    let nobody = place.run(["enroll", "totp", "--as", "nobody", "-o", "json"], "");
    assert_eq!(nobody.status, 1);
}

#[test]
fn the_log_verifies_offline_and_one_changed_byte_in_an_export_is_named() {
    let place = Place::new();
    place.ok(["user", "add", "dana"], "long enough\n");
    let anchor = place.dir.path().join("checkpoint");
    fs::write(&anchor, place.ok(["audit", "checkpoint"], "")).unwrap();
    let export = place.dir.path().join("audit.jsonl");
    let export = export.to_str().unwrap();
    place.ok(["audit", "export", "--format", "jsonl", "--out", export], "");
    let verify = ["audit", "verify", export, "--offline", "--checkpoint", anchor.to_str().unwrap()];
    let verified = place.ok(verify, "");
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    let text = fs::read_to_string(export).unwrap();
    fs::write(export, text.replacen("user.added", "user.addee", 1)).unwrap();
    let ran = place.run(verify, "");
    assert_eq!(ran.status, 1);
    assert!(ran.out.lines().last().unwrap().starts_with("FAILED: record "), "{}", ran.out);
    assert!(place.ok(["audit", "verify"], "").lines().last().unwrap().starts_with("ok: "));
    let rows = place.ok(["audit", "tail", "-o", "json", "-n", "500"], "");
    assert!(rows.contains("user.added") && !rows.contains("long enough"), "{rows}");
    assert_eq!(place.run(["audit", "verify", "/nowhere.jsonl"], "").status, 2);
}

#[test]
fn peoples_commands_say_where_to_log_in_and_what_is_not_reachable() {
    let place = Place::new();
    let ran = place.run(["verify", "7K4M-9QXD"], "123456\n");
    assert_eq!(ran.status, 1);
    assert!(ran.err.contains("stepgate login"), "{}", ran.err);
    let ran = place.run(["login", "dana", "--url", "https://127.0.0.1:1"], "whatever1\n");
    assert_eq!(ran.status, 3, "{}", ran.err);
    let ran = place.run(["login", "dana", "--url", "http://gate.example"], "whatever1\n");
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("in the clear"), "{}", ran.err);
    assert_eq!(place.run(["verify", "not-an-id"], "").status, 2);
    let ran = place.run(["--config", "/nowhere.yaml", "check"], "");
    assert_eq!(ran.status, 2);
    assert!(ran.err.contains("stepgate init"), "{}", ran.err);
}

#[test]
fn the_doctor_names_what_is_wrong_and_answers_no() {
    let place = Place::new();
    let ran = place.run(["doctor", "-o", "json"], "");
    assert_eq!(ran.status, 1);
    let rows: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    let status = |check: &str| {
        let row = rows.as_array().unwrap().iter().find(|row| row["check"] == check);
        row.map(|row| row["status"].as_str().unwrap().to_owned()).unwrap_or_default()
    };
    assert_eq!(status("database shop"), "fail");
    assert_eq!(status("gate"), "warn");
    assert_eq!(status("certificate"), "ok");
    assert_eq!(status("master key"), "ok");
}
