//! Evidence handed out: bundles of a gate's log, opened by the tools that people have, and verified with the program
//! alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "exports/kinds.rs"]
mod kinds;
#[path = "exports/memory.rs"]
mod memory;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use stepgate_testkit::until;
use support::{SOON, World, held, repository, said};

const FORMATS: [&str; 5] = ["jsonl", "csv", "parquet", "ocsf", "cef"];

/// A gate whose log holds a life: a wrong password, statements that passed, one that was held and verified, one that
/// was denied, an error, a table with a name that a spreadsheet would run.
fn lived() -> World {
    let world = World::new();
    let formula = "create table \"=HYPERLINK(1)\" (\"-1+1\" int); grant all on \"=HYPERLINK(1)\" to public";
    world.cluster.load("shop", formula).unwrap();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.run("select count(*) from orders;").unwrap();
    psql.run("select \"-1+1\" from \"=HYPERLINK(1)\";").unwrap();
    assert_ne!(psql.run("select 1/0;").unwrap().sqlstate, "");
    psql.send("select ssn from customers where ssn = '078-05-1120';").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    psql.finish(SOON).unwrap();
    psql.send("copy customers to stdout;").unwrap();
    let request = world.open_request(&dana);
    olga.answer(&world.gate, "deny", &request, "use the extract").unwrap();
    psql.finish(SOON).unwrap();
    world
}

fn export(world: &World, args: &[&str], name: &str) -> PathBuf {
    let path = world.tree.path().join(name);
    let out = path.to_str().unwrap();
    let args: Vec<_> = ["audit", "export"].iter().chain(args).chain(&["--out", out]).copied().collect();
    let said = world.gate.run(args, "").unwrap().ok().unwrap();
    assert!(said.contains("wrote "), "{said}");
    path
}

/// The program alone: another directory, no configuration, no variables.
fn verify(path: &Path, more: &[&str]) -> (bool, String) {
    let nowhere = tempfile::tempdir().unwrap();
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_stepgate"))
        .env_clear()
        .current_dir(nowhere.path())
        .args(["audit", "verify"])
        .arg(path)
        .arg("--offline")
        .args(more)
        .output()
        .unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout));
    (status.success(), text)
}

#[test]
fn bundles_open_in_the_tools_that_people_have() {
    let world = lived();
    let bundles: Vec<_> = FORMATS
        .iter()
        .map(|format| export(&world, &["--format", format], &format!("{format}.tar")))
        .collect();
    opened(&bundles);
}

/// What opens an export, and what of tests/tools/exports.sh that takes.
const TOOLS: [(&str, &[&str]); 8] = [
    ("jq", &["jq"]),
    ("duckdb", &["duckdb"]),
    ("pyarrow", &["pyarrow"]),
    ("pandas: parquet", &["pandas", "pyarrow"]),
    ("pandas: csv", &["pandas"]),
    ("openpyxl", &["openpyxl"]),
    ("ocsf-json-schema", &["ocsf_json_schema", "jsonschema"]),
    ("cef", &[]),
];

/// Opens bundles, one of each format, with each of these tools. What is missing is skipped by its name.
fn opened(bundles: &[PathBuf]) {
    let Ok(output) = Command::new("python3")
        .env("PYTHONPATH", repository().join(".work/exports"))
        .arg(repository().join("tests/exports/open.py"))
        .args(bundles)
        .output()
    else {
        return stepgate_testkit::skip("python3", "what opens the exports");
    };
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && text.lines().any(|line| line == "ok"), "{text}");
    let told = |what: &str| -> Vec<&str> {
        let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
    };
    let (opened, missing) = (told("opened by:"), told("missing:"));
    for (tool, takes) in TOOLS {
        if !opened.contains(&tool) {
            let lacks: Vec<_> = takes.iter().filter(|name| missing.contains(name)).collect();
            assert!(!lacks.is_empty(), "not opened by {tool}, which is there: {text}");
            lacks.iter().for_each(|name| stepgate_testkit::skip(name, "tests/tools/exports.sh"));
        }
    }
    eprintln!("{text}");
}

#[test]
fn a_bundle_is_verified_by_the_program_alone() {
    let world = lived();
    let kept = world.tree.path().join("kept.txt");
    std::fs::write(&kept, world.gate.run(["audit", "checkpoint"], "").unwrap().ok().unwrap()).unwrap();
    let kept = kept.to_str().unwrap();
    for format in FORMATS {
        for (name, args) in [("whole", &["--sign"][..]), ("person", &["--person", "dana", "--meet", kept])] {
            let args: Vec<_> = args.iter().chain(&["--format", format]).copied().collect();
            let path = export(&world, &args, &format!("{format}-{name}.tar"));
            let (ok, text) = verify(&path, &["--checkpoint", kept]);
            assert!(ok && text.lines().last().unwrap().starts_with("ok: "), "{text}");
            assert!(text.contains("derived files equal"), "{text}");
            // A bundle is as good when it is unpacked.
            let dir = export(&world, &args, &format!("{format}-{name}"));
            assert!(verify(&dir, &["--checkpoint", kept]).0);
        }
    }
    // One letter of one file.
    let dir = world.tree.path().join("csv-whole");
    let csv = std::fs::read_to_string(dir.join("records.csv")).unwrap();
    std::fs::write(dir.join("records.csv"), csv.replacen("dana", "lena", 1)).unwrap();
    let (ok, text) = verify(&dir, &[]);
    assert!(
        !ok && text.contains("FAILED: records.csv: it is not what the records make (at record "),
        "{text}"
    );
    // A link in the place of a file.
    std::fs::rename(dir.join("records.csv"), world.tree.path().join("elsewhere.csv")).unwrap();
    std::os::unix::fs::symlink(world.tree.path().join("elsewhere.csv"), dir.join("records.csv")).unwrap();
    assert!(!verify(&dir, &[]).0);
}

#[test]
fn an_export_says_who_it_was_only_where_it_should() {
    let world = lived();
    let open = export(&world, &["--format", "csv", "--person", "dana"], "open");
    let read = |dir: &Path, name: &str| std::fs::read_to_string(dir.join(name)).unwrap();
    assert!(
        read(&open, "records.csv").contains(",dana,") && read(&open, "subjects.jsonl").contains("\"dana\"")
    );
    assert!(!read(&open, "records.jsonl").contains("dana"), "records hold commitments");
    let redacted = export(&world, &["--format", "csv", "--person", "dana", "--redact"], "redacted");
    for entry in std::fs::read_dir(&redacted).unwrap() {
        let path = entry.unwrap().path();
        let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
        for word in ["dana", "olga", "127.0.0.1", "use the extract", "078-05"] {
            assert!(!text.contains(word), "{word} in {}", path.display());
        }
    }
    assert_eq!(read(&open, "records.jsonl"), read(&redacted, "records.jsonl"), "the leaves are the same");
    assert!(verify(&redacted, &[]).0);
    // Nobody but the owner reads an unpacked bundle.
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&open).unwrap().permissions());
    assert_eq!(mode & 0o077, 0);
}

#[test]
fn an_export_is_itself_recorded() {
    let world = lived();
    export(&world, &["--person", "dana", "--format", "cef", "--sign"], "one.tar");
    let records = world.records();
    let exported = records.iter().find(|record| record["type"] == "audit.exported").unwrap();
    assert_eq!(exported["export"]["format"], "cef");
    let filter = exported["export"]["filter"].as_str().unwrap();
    assert!(filter.contains("\"person\":[\"") && !filter.contains("dana"), "{filter}");
    let sealed = records.iter().find(|record| record["type"] == "audit.export_sealed").unwrap();
    assert_eq!((&sealed["export"], &sealed["signed"]), (&exported["export"]["id"], &true.into()));
    assert!(sealed["operator"].is_string() && sealed["operator"] == exported["operator"], "{sealed}");
    // So is a backup, by the same account.
    let backup = world.tree.path().join("backup");
    std::fs::create_dir(&backup).unwrap();
    world.gate.run(["audit", "backup", backup.to_str().unwrap()], "").unwrap().ok().unwrap();
    let records = world.records();
    let backed_up = records.iter().find(|record| record["type"] == "log.backed_up").unwrap();
    assert_eq!(backed_up["operator"], exported["operator"]);
}

/// While the gate is stopped, an export waits for it with its directory made.
#[test]
fn an_interrupted_export_leaves_nothing_and_a_killed_one_only_until_the_next() {
    let mut world = World::new();
    let spools = || {
        let names = std::fs::read_dir(world.tree.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.filter(|name| name.to_string_lossy().starts_with(".stepgate-export-")).collect::<Vec<_>>()
    };
    let kill = |signal: &str, pid: u32| {
        assert!(Command::new("kill").args([signal, &pid.to_string()]).status().unwrap().success());
    };
    let gate = world.gate.serving().unwrap().pid();
    for (signal, status) in [("-INT", Some(130)), ("-TERM", Some(143)), ("-HUP", Some(129)), ("-KILL", None)]
    {
        for name in ["out.tar", "out", "out.jsonl"] {
            let out = world.tree.path().join(name);
            kill("-STOP", gate);
            let mut waits =
                world.gate.command().args(["audit", "export", "--out"]).arg(&out).spawn().unwrap();
            let begun = until("the export to begin", SOON, || !spools().is_empty());
            kill(signal, waits.id());
            let ended = waits.wait().unwrap();
            kill("-CONT", gate);
            assert!(begun.is_ok(), "{signal} {name}: {begun:?}");
            assert_eq!(ended.code(), status, "{signal} {name}");
            assert_eq!(spools().len(), usize::from(status.is_none()), "{signal} {name}");
            assert!(!out.exists(), "{signal} {name}");
            if status.is_none() {
                export(&world, &[], "after.tar");
                assert!(spools().is_empty(), "the next one removes it");
                std::fs::remove_file(world.tree.path().join("after.tar")).unwrap();
            }
        }
    }
    // One that is at work is left alone.
    kill("-STOP", gate);
    let out = world.tree.path().join("slow.tar");
    let mut slow = world.gate.command().args(["audit", "export", "--out"]).arg(&out).spawn().unwrap();
    let first = until("one export", SOON, || !spools().is_empty());
    let second = world.tree.path().join("second.tar");
    let mut other = world.gate.command().args(["audit", "export", "--out"]).arg(&second).spawn().unwrap();
    let both = until("both exports", SOON, || spools().len() == 2);
    kill("-CONT", gate);
    assert!(slow.wait().unwrap().success() && other.wait().unwrap().success());
    assert!(first.is_ok() && both.is_ok(), "{first:?} {both:?}");
    assert!(out.exists() && second.exists() && spools().is_empty());
}

#[test]
fn one_record_is_proven_by_itself() {
    let world = lived();
    let proof = world.gate.run(["audit", "prove", "3"], "").unwrap().ok().unwrap();
    let path = world.tree.path().join("3.tlog-proof");
    std::fs::write(&path, &proof).unwrap();
    let (ok, text) = verify(&path, &[]);
    assert!(ok && text.contains("proof: record 3 of "), "{text}");
    std::fs::write(&path, proof.replacen("index 3", "index 4", 1)).unwrap();
    assert!(!verify(&path, &[]).0);
    let missing = world.gate.run(["audit", "prove", "100000"], "").unwrap();
    assert_eq!(missing.status, 1);
    assert!(world.recorded("audit.read", "prove"));
}

#[test]
fn what_lines_alone_cannot_show_is_refused_with_a_word() {
    let world = World::new();
    for args in [
        &["--format", "csv"][..],
        &["--sign"],
        &["--redact", "--out", "x.jsonl"],
        &["--person", "dana"],
        &["--format", "csv", "--out", "x.csv"],
    ] {
        let args: Vec<_> = ["audit", "export"].iter().chain(args).copied().collect();
        let refused = world.gate.run(args, "").unwrap();
        assert_eq!(refused.status, 2);
        assert!(refused.text().contains("--out NAME.tar"), "{}", refused.text());
    }
    // Of a time, lines are as they were.
    let lines = world.tree.path().join("lines.jsonl");
    let args = ["audit", "export", "--since", "1h", "--out", lines.to_str().unwrap()];
    world.gate.run(args, "").unwrap().ok().unwrap();
    assert!(verify(&lines, &[]).0);
    // What is there already is left alone, whatever it is.
    let before = std::fs::read(&lines).unwrap();
    let link = world.tree.path().join("link.tar");
    std::os::unix::fs::symlink("/dev/null", &link).unwrap();
    let taken = world.tree.path().join("taken.tar");
    std::fs::write(&taken, "taken").unwrap();
    for (path, word) in [
        (&*lines, "exists already"),
        (&*taken, "exists already"),
        (&*link, "is a symbolic link"),
        (Path::new("/dev/null"), "is no file"),
    ] {
        let refused = world.gate.run(["audit", "export", "--out", path.to_str().unwrap()], "").unwrap();
        assert_eq!(refused.status, 2, "{}", path.display());
        assert!(refused.text().contains(word), "{}", refused.text());
    }
    assert_eq!((std::fs::read(&lines).unwrap(), std::fs::read(&taken).unwrap()), (before, b"taken".to_vec()));
    // A directory that holds something is left alone.
    let full = world.tree.path().to_str().unwrap();
    assert_eq!(world.gate.run(["audit", "export", "--out", full], "").unwrap().status, 2);
}

/// Such as no rename can put anything in the place of, which must be found out before the work is done.
#[test]
fn an_export_to_where_none_can_appear_is_refused_before_anything_is_given_out() {
    let world = World::new();
    let empty = world.tree.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let at = |out: &str| {
        let mut command = world.gate.command();
        command.current_dir(&empty).args(["audit", "export", "--redact", "--out", out]);
        said(&mut command)
    };
    let refused = |out: &str, why: &str| {
        let (done, text) = at(out);
        assert!(!done && text.contains(why) && text.contains("name a directory in it"), "{out}: {text}");
    };
    refused(".", "is the directory itself");
    let mount = world.tree.path().join("mount");
    std::fs::create_dir(&mount).unwrap();
    let mut mounts = Command::new("mount");
    if mounts.args(["-t", "tmpfs", "tmpfs"]).arg(&mount).output().is_ok_and(|output| output.status.success())
    {
        refused(mount.to_str().unwrap(), "is a mount point");
        let inside = mount.join("export");
        let (done, text) = at(inside.to_str().unwrap());
        Command::new("umount").arg("-l").arg(&mount).status().unwrap();
        assert!(done, "{text}");
    } else {
        stepgate_testkit::skip("tmpfs", "it cannot be mounted; an export to a mount point");
    }
    // Nothing was given out to those that were refused.
    let exports = world.records().iter().filter(|record| record["type"] == "audit.exported").count();
    assert!(exports <= 1, "{exports}");
    // An empty directory is taken, also where somebody is in it.
    let (done, text) = at(empty.to_str().unwrap());
    assert!(done, "{text}");
}

/// As strace sees it: a file's name is on disk only once its directory is.
#[test]
fn what_was_written_keeps_its_name_whatever_happens_to_the_power() {
    let world = World::new();
    if Command::new("strace").arg("-V").output().is_err() {
        stepgate_testkit::skip("strace", "that directories are synced");
        return;
    }
    let parent = world.tree.path().join("out");
    std::fs::create_dir(&parent).unwrap();
    for (command, name) in [
        (&["audit", "export"][..], "one.jsonl"),
        (&["audit", "export"], "one.tar"),
        (&["audit", "export", "--redact"], "one"),
        (&["audit", "report", "approvals"], "report.txt"),
    ] {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-y", "-e", "trace=fsync,fdatasync,rename,renameat,renameat2,link,linkat"]);
        strace.arg(env!("CARGO_BIN_EXE_stepgate")).args(command).arg("--out").arg(parent.join(name));
        strace.envs(world.gate.environment());
        let (done, text) = said(&mut strace);
        if !done && text.contains("ptrace") {
            stepgate_testkit::skip("ptrace", "that directories are synced");
            return;
        }
        assert!(done && parent.join(name).exists(), "{name}: {text}");
        let names = |line: &str| {
            (line.contains("rename") || line.contains("link")) && line.contains(&format!("/{name}\""))
        };
        let named = text.lines().enumerate().filter(|(_, line)| names(line)).last().unwrap().0;
        let synced = format!("<{}>", parent.display());
        let then = text.lines().skip(named).any(|line| line.contains("fsync(") && line.contains(&synced));
        assert!(then, "{name}: {text}");
    }
}
