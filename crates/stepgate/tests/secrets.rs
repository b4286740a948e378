//! A workload full of marks (tests/clients/marked.py), then a hunt for them in everything that the gate keeps, says
//! and hands out: what statements carry is nobody's business but the client's and the server's.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use stepgate_testkit::until;
use support::{SOON, World, connects_as, repository};

/// In texts and names.
const MARK: &str = "zqxmark7";

/// As a number, that no sequence number, size or time is.
const NUMBER: &str = "7770001239";

/// As a number that is a parameter's: those end at 2^31. It is the beginning of [`NUMBER`], too.
const SHORT: &str = "777000123";

/// As an operator, that nobody has made.
const OPERATOR: &str = "#%@%#@#%@";

/// What a mark may turn into on its way.
fn disguises(mark: &str) -> Vec<(String, Vec<u8>)> {
    let hex: String = mark.bytes().map(|byte| format!("{byte:02x}")).collect();
    let reversed: String = mark.chars().rev().collect();
    let mut found: Vec<(String, Vec<u8>)> = [
        ("itself", mark.to_owned()),
        ("capitals", mark.to_uppercase()),
        ("hexadecimal", hex.clone()),
        ("hexadecimal capitals", hex.to_uppercase()),
        ("reversed", reversed),
    ]
    .map(|(name, text)| (name.to_owned(), text.into_bytes()))
    .into();
    let wide: Vec<u8> = mark.encode_utf16().flat_map(u16::to_le_bytes).collect();
    found.push(("UTF-16".to_owned(), wide));
    for shift in 0..3 {
        found.push((format!("base64, shifted by {shift}"), base64_core(mark.as_bytes(), shift)));
    }
    found
}

/// The letters of base64 that depend on these bytes alone, where they stand behind `shift` others.
fn base64_core(bytes: &[u8], shift: usize) -> Vec<u8> {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: Vec<u8> = std::iter::repeat_n(0, shift)
        .chain(bytes.iter().copied())
        .flat_map(|byte: u8| (0..8).rev().map(move |bit| byte >> bit & 1))
        .collect();
    let sixes = bits.chunks_exact(6).skip((shift * 8).div_ceil(6));
    let value = |six: &[u8]| six.iter().fold(0_usize, |value, bit| value << 1 | usize::from(*bit));
    sixes.filter_map(|six| LETTERS.get(value(six))).copied().collect()
}

/// Fails where a mark is in there, and says where.
fn hunt(place: &str, bytes: &[u8]) {
    for (disguise, needle) in [MARK, SHORT, OPERATOR].into_iter().flat_map(disguises) {
        let at = bytes.windows(needle.len()).position(|window| window == needle);
        if let Some(at) = at {
            let around = bytes.get(at.saturating_sub(200)..bytes.len().min(at + 100)).unwrap();
            panic!("{place}: {disguise}: …{}…", String::from_utf8_lossy(around));
        }
    }
}

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

fn metrics(address: SocketAddr) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    answer
}

/// Takes what is posted: heads and bodies, as they come.
struct Lake {
    address: SocketAddr,
    got: Arc<Mutex<Vec<u8>>>,
}

impl Lake {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, got) = (listener.local_addr().unwrap(), Arc::default());
        let lake = Self { address, got: Arc::clone(&got) };
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let got = Arc::clone(&got);
                std::thread::spawn(move || while take(stream.as_ref().unwrap(), &got).is_some() {});
            }
        });
        lake
    }

    fn got(&self) -> Vec<u8> {
        self.got.lock().unwrap().clone()
    }
}

/// Reads one request, keeps it, and says that it is there.
fn take(stream: &TcpStream, got: &Mutex<Vec<u8>>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut head, mut line) = (String::new(), String::new());
    while line != "\r\n" {
        line.clear();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        head.push_str(&line);
    }
    let length = |line: &str| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok();
    let mut body = vec![0; head.lines().find_map(length).unwrap()];
    reader.read_exact(&mut body).ok()?;
    let mut got = got.lock().unwrap();
    got.extend(head.as_bytes());
    got.extend(&body);
    drop(got);
    (&*stream).write_all(b"HTTP/1.1 204 No Content\r\n\r\n").ok()
}

/// A gate that logs all it can, with figures at this address, and sends its records to a file and to the lake; people,
/// what clients call themselves and reasons as commitments, since there is a mark in each.
fn talkative(lake: &Lake) -> (World, SocketAddr) {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut world = World::not_serving(|text| text);
    let secret = world.gate.directory().join("lake.secret");
    fs::write(&secret, "a secret of this test\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let sinks = format!(
        "audit:\n  ordinary: durable\n  sinks:\n    disk: {{file: {}, format: ocsf, names: commit}}\n    lake: {{webhook: \
         \"http://{}/in\", secret_file: {}, names: commit}}",
        world.tree.path().join("sink.jsonl").display(),
        lake.address,
        secret.display()
    );
    world.edit("audit: {ordinary: durable}", &sinks);
    // What is made there has a name that the catalog knows (PostgreSQL 14 and before let everybody make something).
    world.cluster.psql("shop", "revoke create on schema public from public").unwrap();
    // What cannot be understood is denied rather than asked about: two statements are held, and no more.
    let policies = repository().join("policies");
    let read = |name: &str| fs::read_to_string(policies.join(name)).unwrap();
    let map = read("pii-map.yaml").replace(": step-up", ": deny");
    world.gate.policies(&map, &read("policy.yaml")).unwrap();
    world.configure(&format!("metrics: {{listen: {address}}}"));
    world.gate.serve_through("STEPGATE_LOG=trace exec \"$@\"").unwrap();
    (world, address)
}

/// Plays the workload: dana verifies what is held first, olga denies what is next and says why, with a mark.
fn play(world: &World) {
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut command = Command::new("python3");
    let psycopg = repository().join(".work/psycopg");
    if psycopg.exists() {
        command.env("PYTHONPATH", psycopg);
    }
    let mut child = connects_as(&mut command, world, &dana)
        .arg(repository().join("tests/clients/marked.py"))
        .env("MARK", MARK)
        .env("NUMBER", NUMBER)
        .env("SHORT", SHORT)
        .env("OPERATOR", OPERATOR)
        .spawn()
        .unwrap();
    let mut next = || {
        until("the next held statement, or the end", SOON, || {
            child.try_wait().unwrap().is_some() || !open_requests(world).is_empty()
        })
        .unwrap();
        open_requests(world).pop()
    };
    if let Some(request) = next() {
        dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    }
    if let Some(request) = next() {
        olga.answer(&world.gate, "deny", &request, &format!("because {MARK}")).unwrap().ok().unwrap();
    }
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.lines().any(|line| line == "ok"), "{said}");
}

fn open_requests(world: &World) -> Vec<String> {
    let list = world.gate.run(["request", "ls", "--operator", "-o", "json"], "").unwrap().ok().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&list).unwrap();
    rows.iter().map(|row| row.get("request").unwrap().as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_literal_value_row_name_or_error_text_of_a_statement_stays_with_the_gate() {
    let lake = Lake::new();
    let (mut world, address) = talkative(&lake);
    play(&world);
    hunt("the figures", &metrics(address));
    for format in ["jsonl", "csv", "parquet", "ocsf", "cef"] {
        // With a name at the end that is no archive's, a directory.
        let export = world.tree.path().join(format!("export-{format}"));
        let arguments =
            ["audit", "export", "--redact", "--format", format, "--out", export.to_str().unwrap()];
        world.gate.run(arguments, "").unwrap().ok().unwrap();
        let written = files(&export);
        assert!(written.len() > 4, "{written:?}");
        written.iter().for_each(|path| hunt(&path.display().to_string(), &fs::read(path).unwrap()));
    }
    let export = world.tree.path().join("export.jsonl");
    world.gate.run(["audit", "export", "--out", export.to_str().unwrap()], "").unwrap().ok().unwrap();
    hunt("the export", &fs::read(&export).unwrap());
    // The workload left what it should have: decisions of all kinds, statements that could not be read among them.
    let text = fs::read_to_string(&export).unwrap();
    for what in
        ["\"verdict\":\"forward\"", "\"verdict\":\"hold\"", "\"verdict\":\"deny\"", "statement.parse_failed"]
    {
        assert!(text.contains(what), "no {what}");
    }
    assert!(text.lines().count() > 250, "{}", text.lines().count());
    for placeholder in
        ["= $?", "limit ?", "id ? ?", "\"estimated_by\":\"statement\"", "\"estimate\":10000000000"]
    {
        assert!(text.contains(placeholder), "no {placeholder}");
    }
    until("the sinks to have all", SOON, || {
        let sinks = world.gate.run(["audit", "sink", "ls", "-o", "json"], "").unwrap().ok().unwrap();
        let sinks: Vec<serde_json::Value> = serde_json::from_str(&sinks).unwrap();
        sinks.len() == 2 && sinks.iter().all(|sink| sink.get("lag").unwrap() == 0)
    })
    .unwrap();
    world.gate.terminate().unwrap();
    let sink = fs::read(world.tree.path().join("sink.jsonl")).unwrap();
    for (place, got) in [("the file sink", sink), ("the webhook", lake.got())] {
        hunt(place, &got);
        let got = String::from_utf8_lossy(&got);
        // Requests and lines of the last that was sent, with what the workload was about.
        assert!(got.lines().count() > 100, "{place}: {}", got.lines().count());
        assert!(got.contains("public.customers"), "{place}");
    }
    hunt("the gate's own log", world.gate.log().as_bytes());
    assert!(world.gate.log().contains("DEBUG"), "the log was not as talkative as it can be");
    let kept = files(&world.gate.data());
    assert!(kept.len() > 5, "{kept:?}");
    for path in kept {
        hunt(&path.display().to_string(), &fs::read(&path).unwrap());
    }
}

#[test]
fn the_hunt_finds_what_it_looks_for() {
    assert!(NUMBER.starts_with(SHORT));
    for disguised in [
        "x zqxmark7 y",
        "ZQXMARK7",
        "7a71786d61726b37",
        "..eyJhIjoienF4bWFyazcifQ==",
        "n=7770001239,",
        "$777000123",
        "? #%@%#@#%@ ?",
    ] {
        assert!(std::panic::catch_unwind(|| hunt("here", disguised.as_bytes())).is_err(), "{disguised}");
    }
    hunt("here", b"nothing of that kind");
}

/// A dump of the gate's memory would hold statements, values and keys.
#[test]
fn no_core_dump_and_no_other_process_gets_at_the_gates_memory() {
    let mut world = World::not_serving(|text| text);
    world.gate.serve_through("ulimit -c unlimited; exec \"$@\"").unwrap();
    let pid = world.gate.serving().unwrap().pid();
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>().get(4..6), Some(&["0", "0"][..]), "{core}");
    world.gate.serving().unwrap().signal("SEGV").unwrap();
    stepgate_testkit::until("the gate's end", SOON, || !Path::new(&format!("/proc/{pid}/status")).exists())
        .ok();
    let cores: Vec<_> = files(world.tree.path())
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core")))
        .collect();
    assert!(cores.is_empty(), "{cores:?}");
}

/// Not only the gate's: whoever reads SQL, or shows it to an approver, holds what others must not read.
#[test]
fn no_command_that_holds_sql_or_values_can_dump_its_memory() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    // Whoever opens it waits for somebody who writes.
    let pipe = pipe.to_str().unwrap();
    for arguments in [
        &["analyze", "--schema", pipe][..],
        &["--config", pipe, "policy", "explain", "--as", "dana", "select 1"],
        &["--config", pipe, "policy", "simulate", "--as", "dana", "select 1"],
        &["--config", pipe, "policy", "test"],
        &["--config", pipe, "audit", "tail"],
        &["login", "omar", "--url", "https://127.0.0.1:1", "--ca", pipe],
    ] {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c unlimited; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_stepgate")]);
        command.args(arguments).env("HOME", dir.path()).stdin(Stdio::piped());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let limits = format!("/proc/{}/limits", child.id());
        let mut off = false;
        until("core dumps to be off, or the end", SOON, || {
            let limits = fs::read_to_string(&limits).unwrap_or_default();
            let core = limits.lines().find(|line| line.starts_with("Max core file size"));
            off |= core.is_some_and(|core| core.split_whitespace().skip(4).take(2).eq(["0", "0"]));
            off || child.try_wait().unwrap().is_some()
        })
        .unwrap();
        child.kill().unwrap();
        let said = child.wait_with_output().unwrap().stderr;
        assert!(off, "{arguments:?}: {}", String::from_utf8_lossy(&said));
    }
}
