//! `audit search` and `audit tail`, as an operator uses them: while the gate serves, and when none does.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;
use support::{SOON, World, held};

/// What a search prints as JSON.
fn search(world: &World, flags: &[&str]) -> Vec<Value> {
    let arguments = [&["audit", "search", "-o", "json"], flags].concat();
    let printed = world.gate.run(arguments, "").unwrap().ok().unwrap();
    serde_json::from_str::<Value>(&printed).unwrap().as_array().unwrap().clone()
}

fn types(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["type"].as_str().unwrap()).collect()
}

#[test]
fn a_search_finds_who_did_what_and_is_itself_recorded() {
    let mut world = World::new();
    let mut dana = world.dana();
    let omar = world.person("omar", "analysts");
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    psql.finish(SOON).unwrap();
    let mut other = world.psql(&omar);
    assert!(other.run("select count(*) from products;").unwrap().is_ok());

    let ssn = search(&world, &["--person", "dana", "--label", "ssn"]);
    assert!(types(&ssn).contains(&"statement.decided"), "{ssn:?}");
    assert!(ssn.iter().all(|row| row["person"] == "dana"), "{ssn:?}");
    assert!(ssn.iter().all(|row| row.to_string().contains("\"ssn\"")), "{ssn:?}");
    assert!(search(&world, &["--person", "omar", "--label", "ssn"]).is_empty());
    assert!(!search(&world, &["--person", "omar", "--table", "public.products"]).is_empty());
    assert!(search(&world, &["--person", "nobody"]).is_empty());
    let of_request = search(&world, &["--request", &request.to_lowercase()]);
    assert!(types(&of_request).contains(&"stepup.requested") && types(&of_request).contains(&"stepup.ended"));
    let approved = search(&world, &["--outcome", "approved", "--type", "stepup.*"]);
    assert_eq!(types(&approved), ["stepup.ended"]);
    assert!(search(&world, &["--until", "1h"]).is_empty());
    assert!(search(&world, &["--since", "1h", "--outcome", "approved"]).len() == 1);
    // By index and without, forwards and backwards.
    let everything = search(&world, &["--person", "dana"]);
    assert_eq!(search(&world, &["--person", "dana", "--scan"]), everything);
    let newest = search(&world, &["--person", "dana", "--reverse", "--limit", "1"]);
    assert_eq!(newest[0], everything[everything.len() - 1]);

    let table =
        world.gate.run(["audit", "search", "--person", "dana", "--label", "ssn"], "").unwrap().ok().unwrap();
    assert!(table.contains("SEQ") && table.contains("public.customers") && table.contains("ssn"), "{table}");
    let csv = world.gate.run(["audit", "search", "--person", "dana", "-o", "csv"], "").unwrap().ok().unwrap();
    assert!(csv.starts_with("seq,at,type,person,"), "{csv}");

    // Each of these is a record: how, which filter, how many. Whom was looked for is not written down in plain.
    let reads = search(&world, &["--type", "audit.read"]);
    assert!(reads.iter().all(|row| row["how"] == "search"), "{reads:?}");
    let of_label = reads.iter().find(|row| row["filter"].as_str().unwrap().contains("ssn")).unwrap();
    assert_eq!(of_label["records"], ssn.len());
    assert!(!of_label["filter"].as_str().unwrap().contains("dana"), "{of_label}");

    // The same without a gate.
    let of_dana = search(&world, &["--person", "dana", "--label", "ssn"]);
    world.gate.terminate().unwrap();
    assert_eq!(search(&world, &["--person", "dana", "--label", "ssn"]), of_dana);

    // What no record names is said; what none can have is refused.
    let unknown = ["audit", "search", "--label", "snn", "--person", "nobody", "--database", "shop"];
    let unknown = world.gate.run(unknown, "").unwrap();
    assert_eq!(unknown.status, 0, "{}", unknown.text());
    assert!(unknown.stderr.contains("note: no record names label \"snn\""), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("note: no record names person \"nobody\""), "{}", unknown.stderr);
    assert!(!unknown.stderr.contains("database"), "{}", unknown.stderr);
    for (flag, value, said) in [
        ("--outcome", "aproved", "`approved`"),
        ("--type", "stepup.endet", "`stepup.ended`"),
        ("--address", "localhost", "IP address"),
        ("--table", "customers", "public.customers"),
    ] {
        let wrong = world.gate.run(["audit", "search", flag, value], "").unwrap();
        assert_eq!(wrong.status, 2, "{flag}: {}", wrong.text());
        assert!(wrong.stderr.contains(said), "{flag}: {}", wrong.stderr);
    }
    let wrong = world.gate.run(["audit", "search", "--since", "yesterday"], "").unwrap();
    assert_eq!(wrong.status, 2, "{}", wrong.text());
    assert!(wrong.stderr.contains("90d"), "{}", wrong.stderr);
}

#[test]
fn a_tail_follows_what_passes_its_filter_and_skips_nothing() {
    let world = World::new();
    let dana = world.dana();
    let omar = world.person("omar", "analysts");
    let mut tail = world.gate.command();
    tail.args([
        "audit",
        "tail",
        "-f",
        "-n",
        "0",
        "--person",
        "dana",
        "--type",
        "statement.decided",
        "-o",
        "json",
    ]);
    let mut tail = tail.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
    stepgate_testkit::until("the tail's record", SOON, || {
        !search(&world, &["--type", "audit.read"]).is_empty()
    })
    .unwrap();
    let (mut of_dana, mut of_omar) = (world.psql(&dana), world.psql(&omar));
    for number in 0..300 {
        of_omar.run("select 1;").unwrap();
        of_dana.run(&format!("select {number} from products where false;")).unwrap();
    }
    let mut last = 0;
    for _ in 0..300 {
        let row: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!((&row["type"], &row["person"]), (&"statement.decided".into(), &"dana".into()));
        let statement = row["statement"].as_u64().unwrap();
        assert!(statement > last);
        last = statement;
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    let shown = world.gate.run(["audit", "tail", "-n", "7", "--person", "omar"], "").unwrap().ok().unwrap();
    assert_eq!(shown.lines().count(), 7, "{shown}");
    assert!(shown.lines().all(|line| line.contains("omar")), "{shown}");
}

#[test]
fn a_tail_that_nobody_reads_any_more_ends_quietly() {
    let world = World::new();
    let dana = world.dana();
    let mut tail = world.gate.command();
    tail.args(["audit", "tail", "-f", "-n", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tail = tail.spawn().unwrap();
    let mut read = BufReader::new(tail.stdout.take().unwrap());
    let mut line = String::new();
    read.read_line(&mut line).unwrap();
    assert!(!line.is_empty());
    drop(read);
    // It finds out with the next record.
    let mut psql = world.psql(&dana);
    stepgate_testkit::until("the tail's end", SOON, || {
        psql.run("select 1;").unwrap();
        tail.try_wait().unwrap().is_some()
    })
    .unwrap();
    let ended = tail.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), String::from_utf8(ended.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn following_where_no_gate_serves_is_refused_with_what_to_do() {
    let mut world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    // More records than wait to be printed.
    for _ in 0..80 {
        psql.run("select 1;").unwrap();
    }
    drop(psql);
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let refused = world.gate.run(["audit", "tail", "-f"], "").unwrap();
    assert_eq!((refused.status, &*refused.stdout), (3, ""), "{}", refused.text());
    assert!(refused.stderr.contains("stepgate serve"), "{}", refused.stderr);
    // What has an end is shown, and ends also where nobody reads it.
    world.gate.run(["audit", "tail"], "").unwrap().ok().unwrap();
    let (read, write) = std::io::pipe().unwrap();
    drop(read);
    let mut tail = world.gate.command();
    let mut tail = tail.args(["audit", "tail", "-n", "1000"]).stdout(write).spawn().unwrap();
    let ended = stepgate_testkit::until("the tail's end", SOON, || tail.try_wait().unwrap().is_some());
    tail.kill().unwrap();
    ended.unwrap();
    assert_eq!(tail.wait().unwrap().code(), Some(0));
}
