//! PostgreSQL's own regression SQL, played by psql through a gate whose policy allows everything: what comes back is
//! what comes back without a gate. `make regress`; the files are PostgreSQL's, read from a copy outside the repository.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stepgate_testkit::{Binaries, Cluster};
use support::{EVERYTHING, NOTHING_LABELLED, World};

/// Where the files are.
const DIRECTORY: &str = "STEPGATE_REGRESS_SQL";
/// Only these, by name, separated by commas.
const ONLY: &str = "STEPGATE_REGRESS_ONLY";
/// As long as one file may take.
const LIMIT: Duration = Duration::from_secs(180);

/// Files whose output has OIDs or process ids in it: all but their digits must be equal (docs/REGRESSION.md).
const NUMBERED: [&str; 4] = ["equivclass", "oidjoins", "opr_sanity", "stats"];

/// Files in which the gate refuses something, and how many lines of the output that changes.
const REFUSED: [(&str, usize); 1] = [("copyencoding", 0)];

/// psql 15 does not know its commands, and waits for ever.
const NOT_PLAYED: [&str; 1] = ["psql_pipeline"];

/// Whether what came through the gate is what comes without it.
fn is_same(name: &str, direct: &[String], gated: &[String]) -> bool {
    let masked = |lines: &[String]| -> Vec<String> {
        lines.iter().map(|line| line.replace(|letter: char| letter.is_ascii_digit(), "")).collect()
    };
    if let Some((_, many)) = REFUSED.iter().find(|(file, _)| *file == name) {
        let other = |one: &[String], than: &[String]| one.iter().filter(|line| !than.contains(line)).count();
        return other(direct, gated) + other(gated, direct) == *many;
    }
    direct == gated || NUMBERED.contains(&name) && masked(direct) == masked(gated)
}

fn psql(host: &Path, port: u16, user: &str, password: &str, more: &str) -> Command {
    let mut command = Command::new(Binaries::find().unwrap().path("psql"));
    let host = host.display();
    command.args(["-X", "-a", "-q", "-d"]);
    command.arg(format!("host={host} port={port} user={user} dbname=shop {more}"));
    command
        .env("PGPASSWORD", password)
        .env("PGTZ", "America/Los_Angeles")
        .env("PGDATESTYLE", "Postgres, MDY");
    command
}

/// Plays a file to its end; whether it came there in time.
fn play(mut psql: Command, file: &Path, out: &Path) -> bool {
    let output = File::create(out).unwrap();
    let mut child = psql
        .stdin(File::open(file).unwrap())
        .stderr(Stdio::from(output.try_clone().unwrap()))
        .stdout(Stdio::from(output))
        .spawn()
        .unwrap();
    let until = Instant::now() + LIMIT;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn lines(out: &Path) -> Vec<String> {
    String::from_utf8_lossy(&std::fs::read(out).unwrap()).lines().map(str::to_owned).collect()
}

#[test]
#[ignore = "takes half an hour: make regress"]
fn postgresqls_own_regression_sql_gives_the_same_through_the_gate_as_without() {
    let Some(directory) = std::env::var_os(DIRECTORY).map(PathBuf::from) else {
        panic!("{DIRECTORY} says where PostgreSQL's regression SQL is");
    };
    let only = std::env::var(ONLY).unwrap_or_default();
    let mut names: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .filter_map(|entry| entry.unwrap().path().file_stem()?.to_str().map(str::to_owned))
        .filter(|name| !NOT_PLAYED.contains(&&**name))
        .filter(|name| only.is_empty() || only.split(',').any(|it| it == name))
        .collect();
    // It makes what the others read.
    names.sort_by_key(|name| (name != "test_setup", name.clone()));

    let alone = Cluster::start().unwrap();
    alone.create_database("shop").unwrap();
    let mut world = World::not_serving(|_| EVERYTHING.to_owned());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.cluster.psql("postgres", "drop database shop").unwrap();
    world.cluster.create_database("shop").unwrap();
    alone.create_role("stepgate_analyst", "of-a-throwaway-cluster").unwrap();
    for cluster in [&alone, &world.cluster] {
        cluster.psql("postgres", "alter role stepgate_analyst superuser").unwrap();
    }
    world.gate.serve().unwrap();
    let person = world.person("stepgate_analyst", "analysts");

    let out = world.tree.path().join("regress");
    std::fs::create_dir(&out).unwrap();
    let (mut different, mut slow) = (Vec::new(), Vec::new());
    for name in &names {
        let file = directory.join(format!("{name}.sql"));
        let [direct, gated] = ["direct", "gated"].map(|how| out.join(format!("{name}.{how}")));
        let listen = world.gate.listen();
        let tls = format!("sslmode=verify-full sslrootcert={}", world.gate.ca().display());
        let through =
            psql(Path::new(&listen.ip().to_string()), listen.port(), person.name(), person.password(), &tls);
        let without = psql(
            Path::new("127.0.0.1"),
            alone.port(),
            "stepgate_analyst",
            "of-a-throwaway-cluster",
            "sslmode=disable",
        );
        let (begun, in_time) = (Instant::now(), play(without, &file, &direct));
        let alone_took = begun.elapsed();
        let begun = Instant::now();
        let both = play(through, &file, &gated) && in_time;
        let (direct, gated) = (lines(&direct), lines(&gated));
        let at = direct.iter().zip(&gated).position(|(one, other)| one != other);
        let same = is_same(name, &direct, &gated);
        println!(
            "{name}: {} lines, {:.1} s alone, {:.1} s through the gate{}{}",
            direct.len(),
            alone_took.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
            if same { "" } else { ", DIFFERENT" },
            if both { "" } else { ", not in time" },
        );
        if !both {
            slow.push(name.clone());
        } else if !same {
            let at = at.unwrap_or(direct.len().min(gated.len()));
            for (how, lines) in [("alone", &direct), ("gate", &gated)] {
                for line in lines.iter().skip(at.saturating_sub(2)).take(6) {
                    println!("  {how}: {line}");
                }
            }
            different.push(name.clone());
        }
    }
    println!("{} files played, not in time: {slow:?}, different: {different:?}", names.len());
    assert!(different.is_empty(), "{different:?}");
    assert!(slow.is_empty(), "not in time: {slow:?}");
}
