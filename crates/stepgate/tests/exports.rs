//! Evidence handed out: bundles of a gate's log, opened by the tools that people have, and verified with the program
//! alone.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "exports/kinds.rs"]
mod kinds;
#[path = "exports/memory.rs"]
mod memory;
mod support;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use stepgate_testkit::until;
use support::{SOON, World, held, passes, repository, said};

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
    let (status, text) = verify_status(path, more);
    (status == Some(0), text)
}

fn verify_status(path: &Path, more: &[&str]) -> (Option<i32>, String) {
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
    (status.code(), text)
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

/// The line of README.md's that begins so, without what it says of itself.
fn readme_line(begin: &str) -> String {
    let readme = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let lines: Vec<&str> = readme.lines().filter(|line| line.starts_with(begin)).collect();
    let [line] = lines[..] else { panic!("{lines:?} begin with {begin}") };
    line.split(" #").next().unwrap().trim().to_owned()
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n")
}

/// Puts the program into an otherwise empty directory, with the libraries that it is linked with.
fn fresh_machine(root: &Path) {
    let program = env!("CARGO_BIN_EXE_stepgate");
    let linked = Command::new("ldd").arg(program).output().unwrap();
    let said = String::from_utf8_lossy(&linked.stdout).into_owned();
    let libraries = said.split_whitespace().filter(|word| word.starts_with('/'));
    let copies = libraries.map(|library| (library, library.to_owned()));
    for (from, to) in copies.chain([(program, "/stepgate".to_owned())]) {
        let to = root.join(to.trim_start_matches('/'));
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(from, to).unwrap();
    }
}

/// Runs a line there, without network and variables; what it says, and with which status it ends.
fn run_there(root: &Path, line: &str) -> (Option<i32>, String) {
    let script = "exec \"$(command -v unshare)\" -n \"$(command -v env)\" -i \"$(command -v chroot)\" \"$@\"";
    let line = line.replacen("stepgate ", "/stepgate ", 1);
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).arg(root).args(line.split_whitespace());
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), format!("{}{}", String::from_utf8_lossy(&stderr), String::from_utf8_lossy(&stdout)))
}

#[test]
fn a_fresh_machine_verifies_what_the_lines_of_the_readme_made_by_its_line_alone() {
    if !is_root() || !Command::new("unshare").args(["-n", "true"]).status().is_ok_and(|it| it.success()) {
        return stepgate_testkit::skip(
            "chroot",
            "another root directory and a network of one's own take root",
        );
    }
    let world = lived();
    let work = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_stepgate"));
    let path = format!("{}:{}", program.parent().unwrap().display(), std::env::var("PATH").unwrap());
    let in_gate = |begin: &str| {
        let line = readme_line(begin);
        let mut command = Command::new("sh");
        command
            .args(["-c", &line])
            .current_dir(work.path())
            .envs(world.gate.environment())
            .env("PATH", &path);
        let (ok, text) = said(&mut command);
        assert!(ok, "{line}: {text}");
    };
    in_gate("stepgate audit checkpoint >");
    in_gate("stepgate audit export --since");
    let root = tempfile::tempdir().unwrap();
    fresh_machine(root.path());
    for name in ["evidence.tar", "checkpoint.txt"] {
        std::fs::copy(work.path().join(name), root.path().join(name)).unwrap();
    }
    let line = readme_line("stepgate audit verify evidence.tar");
    let (status, text) = run_there(root.path(), &line);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.lines().last().unwrap().starts_with("ok: ") && text.contains("signed manifest"), "{text}");
    assert!(text.contains("the filter left nothing out"), "{text}");
    // It would have been found there.
    let tar = root.path().join("evidence.tar");
    let mut bytes = std::fs::read(&tar).unwrap();
    let at = bytes.windows(8).position(|part| part == b"\"log_id\"").unwrap();
    bytes[at + 12] ^= 1;
    std::fs::write(&tar, bytes).unwrap();
    let (status, text) = run_there(root.path(), &line);
    assert!(status == Some(1) && text.lines().last().unwrap().starts_with("FAILED: "), "{status:?}: {text}");
}

#[test]
fn an_honest_log_is_not_accused_whenever_the_checkpoint_was_taken() {
    let world = lived();
    let take = |name: &str| {
        let kept = world.tree.path().join(name);
        let note = world.gate.run(["audit", "checkpoint"], "").unwrap().ok().unwrap();
        std::fs::write(&kept, note).unwrap();
        kept.into_os_string().into_string().unwrap()
    };
    let early = take("early.txt");
    let now = || {
        let now = Command::new("date").args(["-u", "+%Y-%m-%dT%H:%M:%S.%6NZ"]).output().unwrap();
        String::from_utf8(now.stdout).unwrap().trim().to_owned()
    };
    export(&world, &["--person", "olga"], "other.tar");
    // The records before are not in it, and yet it can be compared.
    let path = export(&world, &["--since", &now(), "--sign"], "since.tar");
    let (status, text) = verify_status(&path, &["--checkpoint", &early]);
    assert!(status == Some(0) && text.lines().last().unwrap().starts_with("ok: "), "{text}");
    // A checkpoint of later is neither success nor a finding.
    let late = take("late.txt");
    for output in ["text", "json"] {
        let (status, text) = verify_status(&path, &["--checkpoint", &late, "-o", output]);
        assert_eq!(status, Some(3), "{text}");
        assert!(text.contains("not compared") && text.contains("hint: "), "{text}");
        assert!(!text.contains("FAILED") && !text.contains("evidence"), "{text}");
    }
    // Nor is it one of lines alone, before and after.
    let lines = world.tree.path().join("since.jsonl");
    let args = ["audit", "export", "--since", &now(), "--out", lines.to_str().unwrap()];
    world.gate.run(args, "").unwrap().ok().unwrap();
    // Its own record is in its tree; of what comes then, nothing is.
    export(&world, &["--person", "olga"], "another.tar");
    let later = take("later.txt");
    for checkpoint in [&early, &later] {
        let (status, text) = verify_status(&lines, &["--checkpoint", checkpoint]);
        assert!(status == Some(3) && text.lines().last().unwrap().starts_with("not compared: "), "{text}");
    }
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

/// What each thread of a process is doing: its state by proc(5), `/proc/PID/task/TID/stat`.
fn threads(pid: u32) -> impl Iterator<Item = char> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    tasks.filter_map(|task| {
        let stat = std::fs::read_to_string(task.unwrap().path().join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.chars().next()
    })
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
    // A signal is sent before it is heeded: until each of its threads has stopped, the gate answers.
    let stop = || {
        kill("-STOP", gate);
        until("the gate to stop", SOON, || threads(gate).all(|state| state == 'T')).unwrap();
    };
    for (signal, status) in [("-INT", Some(130)), ("-TERM", Some(143)), ("-HUP", Some(129)), ("-KILL", None)]
    {
        for name in ["out.tar", "out", "out.jsonl"] {
            let out = world.tree.path().join(name);
            stop();
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
    stop();
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

/// As many tables as make a statement over all of them too long for one record.
fn many_tables(world: &World) -> Vec<String> {
    let names: Vec<String> = (0..120).map(|n| format!("t{n:03}_{}", "x".repeat(50))).collect();
    let sql: String = names.iter().map(|name| format!("create table {name} (id int); ")).collect();
    world
        .cluster
        .load("shop", &format!("{sql} grant select on all tables in schema public to public;"))
        .unwrap();
    names
}

/// The numbers of these records, with those of the parts right behind each that one goes on in.
fn with_parts(found: &[Value], all: &[Value]) -> BTreeSet<u64> {
    let seq = |record: &Value| record["seq"].as_u64().unwrap();
    let mut numbers = BTreeSet::new();
    for record in found {
        numbers.insert(seq(record));
        if record["continued"].is_object() {
            let behind = all.iter().skip_while(|it| seq(it) <= seq(record));
            numbers.extend(behind.take_while(|it| it["type"] == "record.continued").map(seq));
        }
    }
    numbers
}

#[test]
fn what_a_search_finds_of_statements_over_many_tables_is_what_an_export_gives() {
    let world = World::new();
    let tables = many_tables(&world);
    let (dana, omar) = (world.dana(), world.person("omar", "analysts"));
    let select = |tables: &[String]| {
        let each: Vec<_> = tables.iter().map(|table| format!("select id from {table}")).collect();
        format!("{};", each.join(" union all "))
    };
    passes(&mut world.psql(&dana), &select(&tables));
    passes(&mut world.psql(&omar), &select(&tables[..1]));
    let all = world.records();
    let end = all.last().unwrap()["seq"].as_u64().unwrap();
    let last = format!("public.{}", tables[119]);
    let first = format!("public.{}", tables[0]);
    let (first, last) = (first.as_str(), last.as_str());
    for (number, (flags, statements)) in (1..).zip([
        (&["--person", "dana", "--table", last][..], 1),
        (&["--table", last], 1),
        (&["--person", "omar", "--table", last], 0),
        (&["--person", "omar", "--table", first], 1),
        (&["--type", "statement.decided", "--table", first], 2),
    ]) {
        let searched = [&["audit", "search", "-o", "json"], flags].concat();
        let found = world.gate.run(searched, "").unwrap().ok().unwrap();
        let mut found: Vec<Value> = serde_json::from_str(&found).unwrap();
        // What the gate notices of the tables' making may come later.
        found.retain(|it| it["seq"].as_u64().unwrap() <= end);
        let decided = found.iter().filter(|it| it["type"] == "statement.decided").count();
        assert_eq!(decided, statements, "{flags:?}");
        let bundle = export(&world, &[flags, &["--format", "csv"]].concat(), &format!("bundle-{number}"));
        let (ok, text) = verify(&bundle, &[]);
        assert!(ok, "{flags:?}: {text}");
        let records = std::fs::read_to_string(bundle.join("records.jsonl")).unwrap();
        let given: BTreeSet<u64> = records
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_u64().unwrap())
            .filter(|seq| *seq <= end)
            .collect();
        assert_eq!(given, with_parts(&found, &all), "{flags:?}");
        // The one row of the long statement names every table of it.
        if flags.contains(&last) && statements == 1 {
            let csv = std::fs::read_to_string(bundle.join("records.csv")).unwrap();
            let row = csv.lines().find(|row| row.contains(",statement.decided,")).unwrap();
            assert!(tables.iter().all(|table| row.contains(table.as_str())), "{row}");
        }
    }
}

#[test]
fn that_nobody_touched_something_is_exported_signed_and_verified_in_each_format() {
    let world = lived();
    let kept = world.tree.path().join("kept.txt");
    std::fs::write(&kept, world.gate.run(["audit", "checkpoint"], "").unwrap().ok().unwrap()).unwrap();
    let kept = kept.to_str().unwrap();
    for format in FORMATS {
        for (name, flags) in [
            ("label", &["--label", "iban", "--since", "1h"][..]),
            ("person", &["--person", "nobody", "--redact"]),
        ] {
            let args = [flags, &["--format", format, "--sign", "--meet", kept]].concat();
            for ending in [".tar", ""] {
                let path = export(&world, &args, &format!("{format}-{name}{ending}"));
                let (ok, text) = verify(&path, &["--checkpoint", kept]);
                assert!(
                    ok && text.lines().last().unwrap().starts_with("ok: 0 records"),
                    "{format} {name}: {text}"
                );
                assert!(text.contains("signed manifest"), "{text}");
                if ending.is_empty() {
                    let cover = std::fs::read_to_string(path.join("COVER.txt")).unwrap();
                    assert!(cover.contains("NOTHING MATCHED"), "{cover}");
                    assert_eq!(std::fs::read(path.join("records.jsonl")).unwrap(), b"");
                }
            }
        }
    }
}

#[test]
fn an_export_of_lines_is_recorded_with_its_period_and_the_records_that_are_in_it() {
    let world = lived();
    let lines = world.tree.path().join("lines.jsonl");
    let args = ["audit", "export", "--since", "1h", "--until", "0s", "--out", lines.to_str().unwrap()];
    world.gate.run(args, "").unwrap().ok().unwrap();
    let text = std::fs::read_to_string(&lines).unwrap();
    let count = u64::try_from(text.lines().count() - 2).unwrap();
    let header: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let records = world.records();
    let exported = records.iter().rev().find(|record| record["type"] == "audit.exported").unwrap();
    assert_eq!((&exported["records"], &header["records"]), (&count.into(), &count.into()), "{exported}");
    let export = &exported["export"];
    assert_eq!((&export["format"], &export["first"]), (&"lines".into(), &header["first"]));
    assert_eq!(export["end"].as_u64().unwrap(), header["first"].as_u64().unwrap() + count);
    assert_eq!(export["selected"].as_str().unwrap().len(), 64);
    let filter: Value = serde_json::from_str(export["filter"].as_str().unwrap()).unwrap();
    let (since, until) = (filter["since"].as_i64().unwrap(), filter["until"].as_i64().unwrap());
    assert_eq!(until - since, 3_600_000_000, "{filter}");
    assert!(verify(&lines, &[]).0);
}

#[test]
fn of_a_name_with_another_ending_nobody_guesses_what_is_meant() {
    let world = World::new();
    let before = world.records().iter().filter(|record| record["type"] == "audit.exported").count();
    for name in ["evidence.2026", "audit.json", "q1.txt", "x.csv", "x.JSONL"] {
        let out = world.tree.path().join(name);
        let refused = world.gate.run(["audit", "export", "--out", out.to_str().unwrap()], "").unwrap();
        assert_eq!(refused.status, 2, "{name}: {}", refused.text());
        assert!(refused.text().contains(".tar"), "{name}: {}", refused.text());
        assert!(!out.exists(), "{name}");
    }
    let after = world.records().iter().filter(|record| record["type"] == "audit.exported").count();
    assert_eq!(before, after, "nothing was given out");
    // As is said there, with a slash it is a directory.
    let directory = export(&world, &[], "evidence.2026/");
    assert!(directory.join("COVER.txt").exists() && verify(&directory, &[]).0);
    let lines = world.tree.path().join("lines.jsonl");
    world.gate.run(["audit", "export", "--out", lines.to_str().unwrap()], "").unwrap().ok().unwrap();
    assert!(lines.is_file());
}

#[test]
fn a_backup_is_verified_by_the_program_alone_where_it_lies() {
    let world = lived();
    let kept = world.tree.path().join("kept.txt");
    std::fs::write(&kept, world.gate.run(["audit", "checkpoint"], "").unwrap().ok().unwrap()).unwrap();
    let kept = kept.to_str().unwrap();
    let backup = world.tree.path().join("backup");
    world.gate.run(["audit", "backup", backup.to_str().unwrap()], "").unwrap().ok().unwrap();
    let mut moments = std::fs::read_dir(&backup).unwrap().map(|entry| entry.unwrap().path());
    let moment = moments.find(|path| path.to_string_lossy().contains("/at-")).unwrap();
    for path in [&backup, &moment] {
        let (ok, text) = verify(path, &["--checkpoint", kept]);
        assert!(ok && text.lines().last().unwrap().starts_with("ok: "), "{text}");
        assert!(text.contains("nothing was restored") && text.contains("policy: "), "{text}");
    }
    // One letter of a record, in a file that no seal covers.
    let records = std::fs::read_dir(moment.join("files/records")).unwrap().next().unwrap().unwrap().path();
    let good = std::fs::read(&records).unwrap();
    let mut bad = good.clone();
    let at = bad.len() / 2;
    bad[at] ^= 1;
    std::fs::write(&records, &bad).unwrap();
    let (ok, text) = verify(&backup, &[]);
    let name = records.file_name().unwrap().to_str().unwrap();
    assert!(!ok && text.contains("FAILED: ") && text.contains(name), "{text}");
    std::fs::write(&records, &good).unwrap();
    assert!(verify(&backup, &[]).0);
}
