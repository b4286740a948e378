//! Names and addresses: read by whoever may read the log, in no file of the gate's, and gone for good once erased.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::{SOON, World, held};

/// Longer than anything that comes about by chance.
const NAME: &str = "gwendolyn.of-accounts";

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
    found
}

/// Which files of the data directory hold these bytes.
fn holders(world: &World, text: &str) -> Vec<PathBuf> {
    let has = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        bytes.windows(text.len()).any(|window| window == text.as_bytes())
    };
    let files = files(&world.gate.data());
    assert!(files.len() > 5, "{files:?}");
    files.into_iter().filter(has).collect()
}

fn run(world: &World, arguments: &[&str]) -> (i32, String) {
    let ran = world.gate.run(arguments, "").unwrap();
    (ran.status, ran.text())
}

/// A grant that outlives the gate, and a session that has used it.
fn granted(world: &World) {
    let mut person = world.person(NAME, "analysts");
    let mut psql = world.psql(&person);
    psql.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut psql);
    assert_eq!(person.verify(&world.gate, &request).unwrap().status, 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn names_are_in_no_file_and_erasing_one_leaves_a_log_that_verifies() {
    let mut world = World::new();
    granted(&world);
    let shown = run(&world, &["audit", "tail", "-n", "1000"]).1;
    assert!(
        shown.contains(NAME) && shown.contains("127.0.0.1") && shown.contains("operator=uid:"),
        "{shown}"
    );
    world.gate.terminate().unwrap();
    for text in [NAME, "127.0.0.1", "uid:"] {
        assert_eq!(holders(&world, text), Vec::<PathBuf>::new(), "{text}");
    }

    // What was approved is there after a restart: whom it is for is read from the log.
    world.gate.serve().unwrap();
    let (status, grants) = run(&world, &["grant", "ls", "--operator", "-o", "json"]);
    assert!(status == 0 && grants.contains(NAME), "{grants}");
    let (status, refused) = run(&world, &["audit", "shred", &format!("person:{NAME}")]);
    assert!(status != 0 && refused.contains("stepgate user rm"), "{refused}");
    run(&world, &["user", "rm", NAME]);
    let (status, text) = run(&world, &["audit", "shred", &format!("person:{NAME}")]);
    assert!(status == 0 && text.contains("erased"), "{text}");
    assert_ne!(run(&world, &["audit", "shred", &format!("person:{NAME}")]).0, 0, "it is gone");
    let shown = run(&world, &["audit", "tail", "-n", "1000"]).1;
    assert!(!shown.contains(NAME) && shown.contains("retention.subject_shredded"), "{shown}");
    found_by_what_is_left(&world, &text);
    let (status, verified) = run(&world, &["audit", "verify"]);
    assert!(status == 0, "{verified}");
    world.gate.terminate().unwrap();
    let (status, verified) = run(&world, &["audit", "verify"]);
    assert!(status == 0, "{verified}");
    assert_eq!(holders(&world, NAME), Vec::<PathBuf>::new());
}

/// What `audit shred` has printed still leads to the records, in a search and in an export.
fn found_by_what_is_left(world: &World, said: &str) {
    let is_commit = |word: &&str| word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    let commit = said.split_whitespace().find(is_commit).unwrap();
    for form in [commit, &commit.to_uppercase()] {
        let (status, found) = run(world, &["audit", "search", "--person", form, "--label", "ssn"]);
        assert!(status == 0 && found.contains("statement.decided"), "{found}");
    }
    assert!(!run(world, &["audit", "search", "--person", NAME]).1.contains("statement.decided"));
    let other = "0".repeat(64);
    assert!(!run(world, &["audit", "search", "--person", &other]).1.contains("statement.decided"));
    let out = world.tree.path().join("erased");
    let (status, text) = run(world, &["audit", "export", "--person", commit, "--out", out.to_str().unwrap()]);
    assert!(status == 0, "{text}");
    let records = fs::read_to_string(out.join("records.jsonl")).unwrap();
    assert!(
        records.contains("statement.decided") && records.lines().all(|line| line.contains(commit)),
        "{records}"
    );
    let (status, verified) = run(world, &["audit", "verify", out.to_str().unwrap(), "--offline"]);
    assert!(status == 0, "{verified}");
    // The address of that session, erased as well.
    let (status, said) = run(world, &["audit", "shred", "address:127.0.0.1"]);
    assert!(status == 0, "{said}");
    let commit = said.split_whitespace().find(is_commit).unwrap();
    let (status, found) = run(world, &["audit", "search", "--address", commit, "--type", "session.opened"]);
    assert!(status == 0 && found.contains("session.opened"), "{found}");
}

#[test]
fn a_record_says_which_clause_of_which_rule_matched_and_who_saw_the_statement() {
    let mut world = World::new();
    granted(&world);
    let records = world.records();
    let held = records.iter().find(|record| record["verdict"] == "hold").unwrap();
    let why = held["why"].as_array().unwrap();
    assert!(!why.is_empty() && why.iter().all(|it| !it["rule"].as_str().unwrap().is_empty()), "{held}");
    assert!(
        why.iter().any(|it| it["bucket"].as_str().unwrap().contains("ssn") || it["clause"] == "class"),
        "{held}"
    );
    assert!(
        held["raw_bytes"].as_u64().unwrap() > 20 && held["raw_hmac"].as_str().unwrap().len() == 32,
        "{held}"
    );
    assert!(held["db_user"].as_str().is_some_and(|role| !role.is_empty()), "{held}");
    world.gate.terminate().unwrap();
}
