//! Enrolment, recovery codes, removal and resets, by the commands that people and operators type.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;
use stepgate_testkit::{Authenticator, Gate, Outcome, Person};
use support::World;

/// A machine that is not the gate's: there is no configuration, only what `login` has kept.
fn elsewhere(gate: &Gate, arguments: &[&str]) -> Command {
    let mut command = gate.command();
    command.env("STEPGATE_CONFIG", gate.directory().join("nowhere.yaml")).args(arguments);
    command
}

/// Runs it with these lines to read.
fn told(mut command: Command, lines: &str) -> Outcome {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    // A command that does not read its input closes it.
    let _ = child.stdin.take().unwrap().write_all(lines.as_bytes());
    child.wait_with_output().unwrap().into()
}

/// `enroll totp -o json`: these lines, then a code of the authenticator that the URI makes.
fn enrol(mut command: Command, lines: &str) -> (Outcome, String) {
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(lines.as_bytes()).unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let shown: Value = serde_json::from_str(&line).unwrap_or_default();
    let uri = shown.get("otpauth_uri").and_then(Value::as_str).unwrap_or_default().to_owned();
    if !uri.is_empty() {
        writeln!(input, "{}", Authenticator::enrol(&uri).unwrap().next_code_ahead().unwrap()).unwrap();
    }
    drop(input);
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    let mut outcome: Outcome = child.wait_with_output().unwrap().into();
    outcome.stdout = format!("{line}{rest}");
    (outcome, uri)
}

/// All bytes of all files below.
fn bytes_below(directory: &Path, all: &mut Vec<u8>) {
    for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            bytes_below(&entry.path(), all);
        } else if entry.file_type().unwrap().is_file() {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn a_stolen_password_cannot_enrol_and_no_seed_is_in_what_the_gate_keeps_says_and_hands_out() {
    let world = World::new();
    let gate = &world.gate;
    gate.run(["user", "add", "newt"], "long enough\n").unwrap().ok().unwrap();
    let (url, ca) = (format!("https://{}", gate.console()), gate.ca());
    let login = ["login", "newt", "--url", &url, "--ca", ca.to_str().unwrap()];
    told(elsewhere(gate, &login), "long enough\n").ok().unwrap();
    // With the password alone, or a code that somebody made up: nothing.
    let begin = ["enroll", "totp", "--as", "newt", "-o", "json"];
    for line in ["123456\n", "0000-0000-0000-0000-0000-0000\n"] {
        let (refused, uri) = enrol(elsewhere(gate, &begin), line);
        assert_eq!((refused.status, uri.as_str()), (1, ""), "{}", refused.text());
    }
    let code = gate.run(["user", "enroll-code", "newt"], "").unwrap().ok().unwrap();
    assert!(code.trim().chars().filter(char::is_ascii_alphanumeric).count() * 5 >= 112, "{code}");
    let (enrolled, uri) = enrol(elsewhere(gate, &begin), &code);
    assert_eq!(enrolled.status, 0, "{}", enrolled.text());
    let (again, _) = enrol(elsewhere(gate, &begin), &code);
    assert_eq!(again.status, 1, "the code was good twice");
    // Another code of the same authenticator lets recovery codes be printed, once.
    let mut phone = Authenticator::enrol(&uri).unwrap();
    phone.next_code_ahead().unwrap();
    let typed = format!("{}\n", phone.next_code_ahead().unwrap());
    let printed = told(elsewhere(gate, &["enroll", "recovery", "--as", "newt", "-o", "json"]), &typed);
    let printed: Value = serde_json::from_str(&printed.ok().unwrap()).unwrap();
    let codes: Vec<_> = printed["codes"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    assert_eq!(codes.len(), 10);
    // One of them is as good as a code of the app, once.
    let recovery = format!("{}\n", codes[0]);
    let remove =
        |line: &str| told(elsewhere(gate, &["enroll", "recovery", "--as", "newt", "-o", "json"]), line);
    let second = remove(&recovery);
    assert_eq!(second.status, 0, "{}", second.text());
    assert_eq!(remove(&recovery).status, 1, "a recovery code was good twice");

    let backup = world.tree.path().join("backup");
    gate.run(["audit", "backup", backup.to_str().unwrap()], "").unwrap().ok().unwrap();
    let mut kept = Vec::new();
    bytes_below(&gate.data(), &mut kept);
    bytes_below(&backup, &mut kept);
    kept.extend(gate.log().bytes());
    for said in [
        vec!["audit", "export", "--format", "jsonl"],
        vec!["user", "factor", "ls", "newt", "-o", "json"],
        vec!["user", "ls", "-o", "json"],
        vec!["audit", "search", "-o", "json"],
    ] {
        kept.extend(gate.run(&said, "").unwrap().ok().unwrap().bytes());
    }
    let base32 = uri.split("secret=").nth(1).unwrap().split('&').next().unwrap();
    let raw = data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).unwrap();
    let hex = data_encoding::HEXLOWER.encode(&raw);
    let mut secrets: Vec<Vec<u8>> = vec![base32.into(), hex.into(), raw, code.trim().into()];
    secrets.extend(codes.iter().flat_map(|code| [code.as_bytes().to_vec(), code.replace('-', "").into()]));
    for secret in secrets {
        let found = kept.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{}", String::from_utf8_lossy(&secret));
    }
    assert!(kept.windows(14).any(|window| window == b"factor.enrolle"), "what was searched is not there");
}

/// The id of a person's first authenticator.
fn factor(gate: &Gate, name: &str) -> Value {
    let listed = gate.run(["user", "factor", "ls", name, "-o", "json"], "").unwrap().ok().unwrap();
    serde_json::from_str::<Value>(&listed).unwrap()[0].clone()
}

#[test]
fn a_lone_operator_resets_nobody_and_what_two_people_let_in_waits_before_it_counts_for_others() {
    let world = World::new();
    let gate = &world.gate;
    let dana = Person::add(gate, "dana", "data-owners").unwrap();
    let mut omar = Person::add(gate, "omar", "data-owners").unwrap();
    let first = factor(gate, "dana");
    assert_eq!(first["counts_from"], first["enrolled"], "on a new gate the first counts at once");
    let id = first["id"].as_str().unwrap();
    gate.run(["user", "factor", "rm", "dana", id], "").unwrap().ok().unwrap();
    let begin = ["enroll", "totp", "--as", "dana", "-o", "json"];
    let operator = || {
        let mut command = gate.command();
        command.args(begin);
        command
    };
    let (alone, _) = enrol(operator(), "");
    assert_eq!(alone.status, 1);
    assert!(alone.stderr.contains("user factor reset"), "{}", alone.stderr);
    gate.run(["user", "factor", "reset", "dana"], "").unwrap().ok().unwrap();
    assert_eq!(enrol(operator(), "").0.status, 1, "asking is not confirming");
    omar.login(gate).unwrap();
    let confirm = ["user", "factor", "confirm", "dana", "--as", "omar"];
    assert_eq!(gate.run(confirm, "12345\n").unwrap().status, 1);
    let code = format!("{}\n", omar.code().unwrap());
    gate.run(confirm, &code).unwrap().ok().unwrap();
    let (enrolled, _) = enrol(operator(), "");
    assert_eq!(enrolled.status, 0, "{}", enrolled.text());
    let second = factor(gate, "dana");
    assert!(second["counts_from"].as_str().unwrap() > second["enrolled"].as_str().unwrap(), "{second}");
    let events = gate.run(["audit", "export", "--format", "jsonl"], "").unwrap().ok().unwrap();
    for told in ["factor.reset_asked", "factor.reset", "factor.removed", "factor.enrolled"] {
        assert!(events.contains(&format!("\"{told}\"")), "{told}");
    }
    drop(dana);
}

#[test]
fn what_is_configured_of_factors_is_read_and_what_is_unknown_refused() {
    let world = World::not_serving(|text| text);
    let check = || world.gate.run(["check"], "").unwrap();
    world.configure("factors: {new_factor_delay: 48h, reset_group: security}");
    assert_eq!(check().status, 0, "{}", check().text());
    for (from, to) in [
        ("new_factor_delay: 48h", "new_factor_delay: soon"),
        ("new_factor_delay: soon", "new_factor_delay: 400d"),
        ("new_factor_delay: 400d", "delay: 48h"),
    ] {
        world.edit(from, to);
        let refused = check();
        assert_eq!(refused.status, 2, "{to}: {}", refused.text());
        assert!(refused.text().contains("factors."), "{to}: {}", refused.text());
    }
}
