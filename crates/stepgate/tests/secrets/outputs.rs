//! All that comes out of the gate.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use crate::hunt::{KEY, Leaks, MARK, NUMBER, ROW, SAID, STRANGER};
use crate::played::Played;
use crate::support::{SOON, World};

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.is_file() {
            found.push(path);
        }
    }
    found
}

/// Hunts in every file that is not empty, and in its name.
fn hunt_files(dir: &Path, leaks: &mut Leaks, hunt: fn(&mut Leaks, &str, Vec<u8>)) -> usize {
    let found = files(dir);
    for path in &found {
        let name = path.display().to_string();
        hunt(leaks, &name, [name.as_bytes(), b"\n", &fs::read(path).unwrap()].concat());
    }
    found.len()
}

fn said(world: &World, arguments: &[&str]) -> String {
    let ran = world.gate.run(arguments, "").unwrap();
    assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.text());
    ran.text()
}

/// What people and operators read at a terminal.
pub(crate) fn what_commands_say(played: &Played, leaks: &mut Leaks) {
    let world = &played.world;
    let tail = ["audit", "tail", "-n", "10000", "-o", "json"];
    // The workload left what it should have: decisions of all kinds, statements that could not be read among them, and
    // what people call themselves where that may be read.
    let text = said(world, &tail);
    for what in [
        "\"verdict\":\"forward\"",
        "\"verdict\":\"hold\"",
        "\"verdict\":\"deny\"",
        "statement.parse_failed",
        "statement.subjects",
        "limit.counted",
        "session.auth_failed",
        "\"outcome\":\"approved\"",
        SAID,
    ] {
        assert!(text.replace("\": ", "\":").contains(what), "no {what}");
    }
    let page = world.tree.path().join("replay.html");
    let page = page.to_str().unwrap();
    for command in [
        &tail[..],
        &["audit", "tail", "-n", "10000"],
        &["audit", "search", "--person", "dana", "-o", "json", "--limit", "10000"],
        &["audit", "search", "--table", "public.notes", "--scan"],
        &["audit", "search", "-o", "csv", "--limit", "10000"],
        &["session", "ls", "-o", "json"],
        &["grant", "ls", "--operator", "-o", "json"],
        &["policy", "replay", "--since", "1h", "--html", page],
        &["policy", "replay", "--since", "1h", "-o", "json"],
    ] {
        leaks.hunt_open(&command.join(" "), said(world, command));
    }
    leaks.hunt_open(page, fs::read(page).unwrap());
    // Whatever these find; of a request that has ended, why it did so is there to be read.
    let shows = played.requests.iter().map(|request| vec!["request", "show", request.as_str(), "--operator"]);
    let tune = vec!["policy", "tune", "--since", "1h", "-o", "json"];
    for command in shows.chain([tune, vec!["doctor"], vec!["request", "ls", "--operator"]]) {
        leaks.hunt_open(&command.join(" "), world.gate.run(&command, "").unwrap().text());
    }
    for form in ["table", "csv", "html", "json"] {
        for report in [&["activity", "--person", "dana"][..], &["approvals"]] {
            let command = [&["audit", "report"], report, &["-o", form]].concat();
            leaks.hunt_open(&command.join(" "), said(world, &command));
        }
        // Whose data it is about, whoever asks has said themselves.
        for (subject, key) in [(format!("customers:{KEY}"), KEY), (format!("notes:{ROW} code"), ROW)] {
            let command = ["audit", "report", "subject-access", "--subject", &subject, "-o", form];
            let text = said(world, &command);
            assert!(text.contains("dana"), "{text}");
            let others: Vec<_> =
                [MARK, NUMBER, ROW, KEY, STRANGER].into_iter().filter(|mark| *mark != key).collect();
            leaks.hunt_for(&others, &command.join(" "), text);
        }
    }
}

/// Exports: those that say who it was, and those that do not.
pub(crate) fn evidence(played: &Played, leaks: &mut Leaks) {
    let world = &played.world;
    let export = |name: &str, arguments: &[&str]| {
        let out = world.tree.path().join(name);
        said(world, &[&["audit", "export", "--out", out.to_str().unwrap()], arguments].concat());
        out
    };
    for format in ["jsonl", "csv", "parquet", "ocsf", "cef"] {
        // With a name at the end that is no archive's, a directory.
        let redacted = export(&format!("redacted-{format}"), &["--redact", "--format", format]);
        assert!(hunt_files(&redacted, leaks, Leaks::hunt) > 4);
        let open = export(&format!("open-{format}"), &["--sign", "--format", format]);
        assert!(hunt_files(&open, leaks, Leaks::hunt_open) > 5);
        let names = fs::read_to_string(open.join("subjects.jsonl")).unwrap();
        assert!(names.contains(SAID), "{names}");
    }
    let lines = export("export.jsonl", &[]);
    let text = fs::read_to_string(lines).unwrap();
    assert!(text.lines().count() > 400, "{}", text.lines().count());
    for placeholder in
        ["= $?", "limit ?", "id ? ?", "\"estimated_by\":\"statement\"", "\"estimate\":10000000000"]
    {
        assert!(text.contains(placeholder), "no {placeholder}");
    }
    leaks.hunt("the export", text);
}

/// The log elsewhere.
pub(crate) fn copies(played: &Played, leaks: &mut Leaks) {
    for command in ["tiles", "backup"] {
        let dir = played.world.tree.path().join(command);
        said(&played.world, &["audit", command, dir.to_str().unwrap()]);
        assert!(hunt_files(&dir, leaks, Leaks::hunt) > 4, "{command}");
    }
}

/// What Prometheus reads.
pub(crate) fn figures(played: &Played, leaks: &mut Leaks) {
    let mut stream = TcpStream::connect(played.figures).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    leaks.hunt("the figures", answer);
}

/// Sinks, checkpoints, notices, codes.
pub(crate) fn what_has_left(played: &Played, leaks: &mut Leaks) {
    played.world.delivered();
    let out = played.world.tree.path().join("out");
    for form in ["jsonl", "cef", "ocsf"] {
        let read = |names: &str| fs::read_to_string(out.join(format!("{form}-{names}"))).unwrap();
        let (open, commit) = (read("open"), read("commit"));
        // All of the workload, with what it was about; and who it was, in one of them.
        assert!(open.lines().count() > 400 && open.contains("customers"), "{form}");
        assert!(open.contains(SAID) && !commit.contains(SAID), "{form}");
        leaks.hunt_open(&format!("the sink {form}-open"), open);
        leaks.hunt(&format!("the sink {form}-commit"), commit);
    }
    assert!(hunt_files(&out.join("checkpoints"), leaks, Leaks::hunt) > 0);
    let taken = |place: &str, what: &str| {
        let taken = played.lake.taken.at(place);
        assert!(String::from_utf8_lossy(&taken).to_lowercase().contains(what), "{place}: no {what}");
        taken
    };
    let syslog = taken("syslog", "statement.completed");
    assert!(String::from_utf8_lossy(&syslog).contains(SAID));
    leaks.hunt_open("syslog", syslog);
    for (place, what) in [
        ("/in", "public.customers"),
        ("/checkpoints", "stepgate-size"),
        ("/hook", "waits for data-owners"),
        ("/slack", "waits for data-owners"),
        ("/sms", "+14155550123"),
        ("mail", "owners@corp.example"),
        ("mail", "auditor@elsewhere.example"),
        ("mail", "dana@corp.example"),
    ] {
        leaks.hunt(&format!("what was sent to {place}"), taken(place, what));
    }
}

/// The gate's own log, at its most talkative, and all its files.
pub(crate) fn what_stays(played: &mut Played, leaks: &mut Leaks) {
    played.world.gate.terminate().unwrap();
    let log = played.world.gate.log();
    for level in ["TRACE", "DEBUG", "INFO"] {
        assert!(log.lines().any(|line| line.contains(level)), "no line of {level}");
    }
    leaks.hunt("the gate's own log", log);
    assert!(files(&played.world.gate.data()).len() > 5);
    // Its configuration, the people's logins and the log once more are beside its data.
    hunt_files(played.world.gate.directory(), leaks, Leaks::hunt);
    let home = played.world.gate.directory().with_file_name("home");
    hunt_files(&home, leaks, Leaks::hunt);
}
