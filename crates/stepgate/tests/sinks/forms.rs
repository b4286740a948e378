//! What is sent, in each form, with names and without.

use serde_json::Value;

use crate::support::{SOON, World, held};

#[test]
fn names_leave_where_they_may_and_nowhere_else_in_every_form() {
    let forms = ["jsonl", "cef", "ocsf"];
    let lines = |names: &str| {
        let line = |form: &&str| {
            format!("    {form}-{names}: {{file: ../{form}-{names}, format: {form}, names: {names}}}\n")
        };
        forms.iter().map(line).collect::<String>()
    };
    let mut world = World::with_audit(&format!("  sinks:\n{}{}", lines("open"), lines("commit")));
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
    drop(psql);
    world.delivered();
    let read = |form: &str, names: &str| {
        let path = world.gate.directory().join(format!("../{form}-{names}"));
        std::fs::read_to_string(path).unwrap()
    };
    for form in forms {
        let (open, commit) = (read(form, "open"), read(form, "commit"));
        assert!(open.contains("dana") && open.contains("127.0.0.1"), "{form}: {open}");
        assert!(!commit.contains("dana") && !commit.contains("127.0.0.1"), "{form}: {commit}");
        assert!(open.contains("customers") && commit.contains("customers"), "{form}");
        assert_eq!(open.lines().count(), commit.lines().count());
    }
    for line in read("cef", "open").lines() {
        assert!(line.starts_with("CEF:0|Stepgate|"), "{line}");
    }
    for line in read("ocsf", "commit").lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        assert!(event["class_uid"].is_u64() && event["metadata"]["sequence"].is_u64(), "{line}");
    }
    // Without names, a line is the record itself, as an export has it; what comes after is not in that.
    let sent = read("jsonl", "commit");
    let out = world.tree.path().join("export.jsonl");
    world.gate.run(["audit", "export", "--out", out.to_str().unwrap()], "").unwrap().ok().unwrap();
    let export = std::fs::read_to_string(out).unwrap();
    let exported: std::collections::BTreeSet<&str> = export.lines().collect();
    for line in sent.lines() {
        assert!(exported.contains(line), "{line}");
    }
}
