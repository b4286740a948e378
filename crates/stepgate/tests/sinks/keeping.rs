//! Backups, restoring and retention by the command line: what is restored elsewhere serves on, and no proof misses what
//! was deleted.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stepgate_record::Event;
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_testkit::{FakeClock, Person, until};
use stepgate_types::{Entropy, SessionId, Timestamp};
use zeroize::Zeroizing;

use crate::receivers::seqs;
use crate::support::{SOON, World, held, passes};

/// Records of a full segment.
const SEGMENT: u64 = 65_536;

/// How long a debug build may take to seal two of them beside other tests.
const LONG: Duration = Duration::from_secs(180);

/// Statements of one client: more than it comes to while backups are made.
const STATEMENTS: usize = 60_000;

fn run(world: &World, arguments: &[&str]) -> String {
    world.gate.run(arguments, "").unwrap().ok().unwrap()
}

/// A checkpoint of now, in a file.
fn checkpoint(world: &World, name: &str) -> PathBuf {
    let path = world.tree.path().join(name);
    std::fs::write(&path, run(world, &["audit", "checkpoint"])).unwrap();
    path
}

/// The last line that verification of the gate's log prints.
fn verified(world: &World, by: &Path) -> String {
    let said = run(world, &["audit", "verify", "--checkpoint", by.to_str().unwrap()]);
    said.lines().last().unwrap().to_owned()
}

/// The same of a file, by the program alone: another directory, no configuration, no variables.
fn verified_alone(file: &Path, by: &Path) -> String {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_stepgate"));
    command.env_clear().current_dir(nowhere.path()).args(["audit", "verify"]).arg(file);
    let (ok, said) = crate::support::said(command.args(["--offline", "--checkpoint"]).arg(by));
    assert!(ok, "{}: {said}", file.display());
    said.lines().last().unwrap().to_owned()
}

/// How many whole lines a file has that is being written.
fn lines(file: &Path) -> usize {
    std::fs::read(file).unwrap_or_default().iter().filter(|byte| **byte == b'\n').count()
}

/// Clients that send statements for as long as this lives.
struct Load(Vec<Child>);

impl Load {
    fn of(world: &World, person: &Person) -> Self {
        let script = world.tree.path().join("load.sql");
        let one = |number: usize| format!("select count(*) from customers where id = {number};\n");
        std::fs::write(&script, (0..STATEMENTS).map(one).collect::<String>()).unwrap();
        let client = |_| {
            let mut command = world.gate.psql_command(person);
            command.args(["-X", "-q", "-f"]).arg(&script);
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        };
        Self((0..3).map(client).collect())
    }

    /// Whether each is at work still.
    fn goes_on(&mut self) -> bool {
        self.0.iter_mut().all(|client| client.try_wait().unwrap().is_none())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        for client in &mut self.0 {
            let _ = client.kill();
            let _ = client.wait();
        }
    }
}

#[test]
fn what_is_backed_up_under_load_and_restored_elsewhere_serves_on_with_people_grants_and_sinks() {
    let mut world = World::not_serving(crate::support::waiting);
    let file = world.tree.path().join("audit.jsonl");
    world.audit(&format!("  sinks: {{disk: {{file: {}}}}}", file.display()));
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers order by id limit 1;").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
    drop(psql);
    let before = checkpoint(&world, "before.txt");

    let mut load = Load::of(&world, &dana);
    let backup = world.tree.path().join("backup");
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let sent = lines(&file);
        until("more of the load", SOON, || lines(&file) > sent + 100).unwrap();
        let said = run(&world, &["audit", "backup", backup.to_str().unwrap()]);
        let size = said.split_whitespace().find_map(|word| word.parse::<u64>().ok()).unwrap();
        sizes.push(size);
    }
    assert!(load.goes_on() && sizes.is_sorted() && sizes[0] < sizes[2], "{sizes:?}");
    drop(load);
    assert_eq!(world.gate.terminate().unwrap(), 0);

    // Elsewhere: nothing of the old directory is there any more, and what a sink was sent is not, either.
    let elsewhere = world.tree.path().join("elsewhere");
    let said =
        run(&world, &["audit", "restore", backup.to_str().unwrap(), "--to", elsewhere.to_str().unwrap()]);
    assert!(said.contains(&format!("restored {} records", sizes[2])), "{said}");
    std::fs::rename(world.gate.data(), world.tree.path().join("lost")).unwrap();
    std::fs::rename(&file, file.with_extension("before")).unwrap();
    world.edit("data: ./data", &format!("data: {}", elsewhere.display()));
    world.gate.serve().unwrap();
    assert!(verified(&world, &before).starts_with("ok: "));
    assert!(world.recorded("log.restored", &sizes[2].to_string()));

    // What was approved before still passes, and what was not takes the same person's next code.
    dana.login(&world.gate).unwrap();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select ssn from customers order by id limit 1;");
    psql.send("select salary from hr.employees order by 1 limit 1;").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
    drop(psql);

    // The sink goes on from what it had when that was copied, and misses nothing.
    world.delivered();
    let sent = seqs(&file);
    assert!(sent[0] <= sizes[2] && sent.windows(2).all(|two| two[1] == two[0] + 1), "{sent:?}");
    assert!(*sent.last().unwrap() > sizes[2], "{sent:?}");
    assert_eq!(world.gate.terminate().unwrap(), 0);
    assert!(verified(&world, &before).starts_with("ok: "));
}

struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(buffer).map_err(std::io::Error::other)
    }
}

/// Two full segments and a little more of a gate that has not been started yet, by a clock of thirty days ago.
fn plant(world: &World) {
    let hex = std::fs::read_to_string(world.gate.directory().join("secrets/master.key")).unwrap();
    let key: [u8; 32] = data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).unwrap().try_into().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let then = now.checked_sub(Duration::from_secs(30 * 86_400)).unwrap();
    let clock = Arc::new(FakeClock::at(Timestamp::from_micros(i64::try_from(then.as_micros()).unwrap())));
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: clock.clone(),
        entropy: Arc::new(Random),
        vault: Vault::new(&Zeroizing::new(key), Arc::new(Random)),
    };
    let (log, _) = Log::open(&world.gate.data(), options).unwrap();
    let login = || Event::AdminLogin { person: "dana".into(), address: "192.0.2.7".into() };
    log.append_blocking(vec![login()], Vec::new()).unwrap();
    let completed = |statement: u64| Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement,
        sqlstate: None,
        rows: 1,
        bytes: 23,
        duration_us: 77,
        suspended: false,
    };
    let mut number = 0;
    while log.len() < 2 * SEGMENT + 100 {
        clock.advance(Duration::from_secs(1));
        log.append_blocking((number..number + 500).map(completed).collect(), Vec::new()).unwrap();
        number += 500;
    }
    log.append_blocking(vec![login()], Vec::new()).unwrap();
    log.close().unwrap();
}

/// What concerns dana, to be compared with that checkpoint.
fn of_dana(world: &World, name: &str, meet: &Path) -> PathBuf {
    let out = world.tree.path().join(name);
    let meet = ["--meet", meet.to_str().unwrap(), "--sign", "--out", out.to_str().unwrap()];
    run(world, &[&["audit", "export", "--person", "dana"], &meet[..]].concat());
    out
}

/// That a record is in the log.
fn prove(world: &World, record: u64) -> PathBuf {
    let out = world.tree.path().join(format!("{record}.tlog-proof"));
    std::fs::write(&out, run(world, &["audit", "prove", &record.to_string()])).unwrap();
    out
}

/// How many of her logins there are records of.
fn logins(world: &World) -> usize {
    run(world, &["audit", "search", "--person", "dana", "-o", "json"]).matches("admin.login").count()
}

#[test]
fn old_records_go_by_the_command_line_and_what_was_exported_or_proven_before_and_after_still_verifies() {
    let mut world = World::not_serving(|text| text);
    world.audit("  retention: {keep: 7d}");
    plant(&world);
    world.gate.serve().unwrap();
    let records = world.gate.data().join("records");
    let beside = |first: u64, ending: &str| records.join(format!("{first:020}.{ending}"));
    until("two seals", LONG, || beside(SEGMENT, "seal").exists()).unwrap();
    let kept = checkpoint(&world, "kept.txt");
    let (bundle, proof) = (of_dana(&world, "before.tar", &kept), prove(&world, 7));
    assert_eq!(logins(&world), 2);

    let dry = run(&world, &["audit", "retention", "--dry-run"]);
    assert!(dry.contains(&format!("records 0 to {} (", SEGMENT - 1)) && dry.contains("would be"), "{dry}");
    assert!(
        beside(0, "log").exists() && !world.recorded("retention.pruned", ""),
        "a dry run deletes nothing"
    );
    let said = run(&world, &["audit", "retention"]);
    assert_eq!(said, dry.replace("would be deleted", "were deleted; their hashes are kept"));
    assert!(!beside(0, "log").exists() && beside(0, "hashes").exists() && beside(SEGMENT, "log").exists());
    assert!(run(&world, &["audit", "retention"]).starts_with("nothing to delete"));
    assert!(world.recorded("retention.pruned", "\"policy\":\"keep 7d\""));

    // What was given out before, the log itself, and what is given out from now on.
    assert_eq!(logins(&world), 1);
    // One record says by itself only that the log's key has signed for it.
    let key = world.gate.data().join("log.vkey");
    let (after, later) = (of_dana(&world, "after.tar", &kept), prove(&world, SEGMENT + 7));
    for (evidence, by) in [(&bundle, &kept), (&after, &kept), (&proof, &key), (&later, &key)] {
        assert!(verified_alone(evidence, by).starts_with("ok: "), "{}", evidence.display());
    }
    let gone = world.gate.run(["audit", "prove", "7"], "").unwrap();
    assert!(gone.status != 0, "{}", gone.text());
    let all = world.tree.path().join("all.jsonl");
    run(&world, &["audit", "export", "--out", all.to_str().unwrap()]);
    assert!(verified_alone(&all, &kept).starts_with("ok: "));
    assert_eq!(world.gate.terminate().unwrap(), 0);
    world.gate.serve().unwrap();
    assert!(verified(&world, &kept).starts_with("ok: "));
}
