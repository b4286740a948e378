//! PostgreSQL's own regression SQL, played by psql through a gate whose policy allows everything: what comes back is
//! what comes back without a gate. `make regress`; the files are PostgreSQL's, of the version that is here, with their data,
//! fetched to a place outside the repository.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stepgate_testkit::{Binaries, Cluster, TempTree};
use support::{EVERYTHING, NOTHING_LABELLED, World};

/// Where PostgreSQL's `src/test/regress` is, with its `regress.so` (`tests/tools/regress.sh`).
const DIRECTORY: &str = "STEPGATE_REGRESS";
/// Only these, by name, separated by commas; what they need of others must be among them.
const ONLY: &str = "STEPGATE_REGRESS_ONLY";
/// As long as one file may take.
const LIMIT: Duration = Duration::from_secs(300);

/// Files whose output has OIDs or process ids in it: all but their digits must be equal (docs/REGRESSION.md).
const NUMBERED: [&str; 4] = ["equivclass", "oidjoins", "opr_sanity", "stats"];

/// Files in which the gate refuses statements, and how many: the server is not asked, and answers nothing.
const REFUSED: [(&str, usize); 1] = [("copyencoding", 1)];

/// Whether what came through the gate is what comes without it.
fn is_same(name: &str, direct: &[String], gated: &[String]) -> bool {
    // Columns are as wide as their longest number.
    let numbers = |letter: char| letter.is_ascii_digit() || matches!(letter, ' ' | '-');
    let masked = |lines: &[String]| lines.iter().map(|line| line.replace(numbers, "")).collect::<Vec<_>>();
    if let Some((_, many)) = REFUSED.iter().find(|(file, _)| *file == name) {
        let (refusals, rest) = without_refusals(gated);
        return refusals == *many && rest == direct;
    }
    direct == gated || NUMBERED.contains(&name) && masked(direct) == masked(gated)
}

/// How often the gate says that it refuses something, and all lines but those.
fn without_refusals(lines: &[String]) -> (usize, Vec<String>) {
    let (mut refusals, mut rest, mut of_refusal) = (0, Vec::new(), false);
    for line in lines {
        of_refusal = line.contains("ERROR:  stepgate: ")
            || of_refusal && (line.starts_with("DETAIL:  ") || line.starts_with("HINT:  "));
        if !of_refusal {
            rest.push(line.clone());
        }
        refusals += usize::from(line.contains("ERROR:  stepgate: "));
    }
    (refusals, rest)
}

/// psql as `pg_regress` starts it (pg_regress.c, pg_regress_main.c).
fn psql(host: &Path, port: u16, user: &str, password: &str, more: &str, places: &Places) -> Command {
    let mut command = Command::new(Binaries::find().unwrap().path("psql"));
    let host = host.display();
    command.args(["-X", "-a", "-q", "-v", "HIDE_TABLEAM=on", "-v", "HIDE_TOAST_COMPRESSION=on", "-d"]);
    command.arg(format!("host={host} port={port} user={user} dbname=shop {more}"));
    command
        .env("PGPASSWORD", password)
        .env("PGTZ", "PST8PDT")
        .env("PGDATESTYLE", "Postgres, MDY")
        .env("PGOPTIONS", "-c intervalstyle=postgres_verbose")
        .env("PG_ABS_SRCDIR", &places.source)
        .env("PG_LIBDIR", &places.source)
        .env("PG_DLSUFFIX", ".so")
        .env("PG_ABS_BUILDDIR", &places.built);
    command
}

/// Where the files read and write.
struct Places {
    source: PathBuf,
    built: PathBuf,
}

impl Places {
    /// The server is another user than we: it must get at what it reads, and writes there, too.
    fn new(files: &Path, tree: &TempTree) -> Self {
        let (built, open) = (tree.path().to_owned(), Permissions::from_mode(0o777));
        let source = built.join("regress");
        assert!(Command::new("cp").arg("-r").args([files, &source]).status().unwrap().success());
        std::fs::create_dir(built.join("results")).unwrap();
        for directory in [&built, &built.join("results")] {
            std::fs::set_permissions(directory, open.clone()).unwrap();
        }
        Self { source, built }
    }

    /// The names of the files in the order of `parallel_schedule`, one after another.
    fn names(&self) -> Vec<String> {
        let only = std::env::var(ONLY).unwrap_or_default();
        let schedule = std::fs::read_to_string(self.source.join("parallel_schedule")).unwrap();
        let tests = schedule.lines().filter_map(|line| line.strip_prefix("test:"));
        tests
            .flat_map(str::split_whitespace)
            .filter(|name| only.is_empty() || only.split(',').any(|it| it == *name))
            .map(str::to_owned)
            .collect()
    }
}

/// What `pg_regress` sets for its database.
const SETTINGS: &str = "alter database shop set lc_messages to 'C'; alter database shop set lc_monetary to 'C';
    alter database shop set lc_numeric to 'C'; alter database shop set lc_time to 'C';
    alter database shop set bytea_output to 'hex'; alter database shop set timezone_abbreviations to 'Default';";

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
        panic!("{DIRECTORY} says where PostgreSQL's regression tests are");
    };
    let tree = TempTree::new("stepgate-regress").unwrap();
    let places = Places::new(&directory, &tree);
    let names = places.names();

    let cluster =
        || Cluster::builder().cached(true).setting("max_prepared_transactions", "2").start().unwrap();
    let alone = cluster();
    alone.create_database("shop").unwrap();
    let mut world = World::before(cluster(), |_| EVERYTHING.to_owned());
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.cluster.psql("postgres", "drop database shop").unwrap();
    world.cluster.create_database("shop").unwrap();
    alone.create_role("stepgate_analyst", "of-a-throwaway-cluster").unwrap();
    for cluster in [&alone, &world.cluster] {
        cluster.psql("postgres", "alter role stepgate_analyst superuser").unwrap();
        cluster.load("postgres", SETTINGS).unwrap();
    }
    world.gate.serve().unwrap();
    let person = world.person("stepgate_analyst", "analysts");

    let (mut different, mut slow, mut as_expected) = (Vec::new(), Vec::new(), 0);
    for name in &names {
        let file = places.source.join(format!("sql/{name}.sql"));
        let [direct, gated] = ["direct", "gated"].map(|how| tree.path().join(format!("{name}.{how}")));
        let listen = world.gate.listen();
        let tls = format!("sslmode=verify-full sslrootcert={}", world.gate.ca().display());
        let host = listen.ip().to_string();
        let through = psql(Path::new(&host), listen.port(), person.name(), person.password(), &tls, &places);
        let local = Path::new("127.0.0.1");
        let (user, password) = ("stepgate_analyst", "of-a-throwaway-cluster");
        let without = psql(local, alone.port(), user, password, "sslmode=disable", &places);
        let (begun, in_time) = (Instant::now(), play(without, &file, &direct));
        let alone_took = begun.elapsed();
        let begun = Instant::now();
        let both = play(through, &file, &gated) && in_time;
        let (direct, gated) = (lines(&direct), lines(&gated));
        let at = direct.iter().zip(&gated).position(|(one, other)| one != other);
        let same = is_same(name, &direct, &gated);
        as_expected += usize::from(lines(&places.source.join(format!("expected/{name}.out"))) == direct);
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
        if name == "test_setup" {
            let rows = world.cluster.psql("shop", "select count(*) from tenk1").unwrap();
            assert_eq!(rows, "10000", "what the others read is there");
        }
    }
    println!(
        "{} files played, {as_expected} without a gate to the letter what PostgreSQL expects, not in time: {slow:?}, \
         different: {different:?}",
        names.len()
    );
    assert!(different.is_empty(), "{different:?}");
    assert!(slow.is_empty(), "not in time: {slow:?}");
}
