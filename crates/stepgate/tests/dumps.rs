//! pg_dump and pg_restore of a whole database without anything labelled in it: what comes through the gate is what comes
//! without it, in every format, and so is what is made of it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use stepgate_testkit::{Binaries, Person};
use support::{EVERYTHING, NOTHING_LABELLED, World, repository};

const ORIGINAL: &str = "warehouse";
/// What is restored by the plain dump, the custom one, and the directory by several connections.
const RESTORED: [&str; 3] = ["restored_plain", "restored_custom", "restored_directory"];

/// A gate before a cluster with that database, and a person whose statements run as its superuser: owners, privileges and
/// large objects of everybody are for that role to dump and to make.
struct Warehouse {
    world: World,
    person: Person,
    secret: String,
}

impl Warehouse {
    fn new() -> Self {
        let mut world = World::not_serving(|_| EVERYTHING.to_owned());
        world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
        let entry = |name: &str| {
            let port = world.cluster.port();
            format!(
                "  {name}: {{host: 127.0.0.1, port: {port}, dbname: {name}, sslmode: disable, user: postgres, \
                 password_file: secrets/shop}}\n"
            )
        };
        let entries: String = [ORIGINAL].iter().chain(&RESTORED).map(|name| entry(name)).collect();
        let text = std::fs::read_to_string(world.gate.config()).unwrap();
        let text = text.replace("databases:\n", &format!("databases:\n{entries}"));
        std::fs::write(world.gate.config(), text).unwrap();
        let secret = std::fs::read_to_string(world.gate.directory().join("secrets/shop")).unwrap();
        let secret = secret.trim().to_owned();
        let alter = format!("alter role postgres password '{secret}'");
        world.cluster.psql("postgres", &alter).unwrap();
        for name in [ORIGINAL].iter().chain(&RESTORED) {
            world.cluster.create_database(name).unwrap();
        }
        let sql = repository().join("crates/stepgate/tests/fixtures/warehouse.sql");
        world.cluster.load_file(ORIGINAL, &sql).unwrap();
        world.gate.serve().unwrap();
        let person = world.person("postgres", "");
        Self { world, person, secret }
    }

    /// How to connect to a database, through the gate or directly; and by which password.
    fn conninfo(&self, database: &str, through: bool) -> (String, &str) {
        if through {
            return (self.world.gate.conninfo(self.person.name(), database), self.person.password());
        }
        let port = self.world.cluster.port();
        let conninfo = format!("host=127.0.0.1 port={port} user=postgres dbname={database} sslmode=disable");
        (conninfo, &self.secret)
    }

    fn run(&self, program: &str, arguments: &[&str], database: &str, through: bool) -> String {
        let (conninfo, password) = self.conninfo(database, through);
        let mut command = Command::new(Binaries::find().unwrap().path(program));
        command.args(arguments).args(["-d", &conninfo]).env("PGPASSWORD", password).stdin(Stdio::null());
        ran(command)
    }

    /// Dumps a database into a new file or directory.
    fn dump(&self, arguments: &[&str], database: &str, through: bool, name: &str) -> PathBuf {
        let path = self.world.tree.path().join(name);
        let arguments = [arguments, &["-f", path.to_str().unwrap()]].concat();
        let said = self.run("pg_dump", &arguments, database, through);
        assert_eq!(said, "", "{name}");
        path
    }

    /// A database as SQL, dumped without the gate.
    fn direct(&self, database: &str, name: &str) -> String {
        sql(&self.dump(&["-Fp"], database, false, name))
    }
}

fn ran(mut command: Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success() && !text.contains("stepgate:"), "{text}");
    text
}

/// A plain dump without the lines that are random (`\restrict` of pg_dump 15.14).
fn sql(path: &Path) -> String {
    let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
    let random = |line: &&str| !line.starts_with("\\restrict ") && !line.starts_with("\\unrestrict ");
    text.lines().filter(random).map(|line| format!("{line}\n")).collect()
}

/// An archive as SQL: its own bytes have the time in them.
fn listed(archive: &Path) -> String {
    let mut command = Command::new(Binaries::find().unwrap().path("pg_restore"));
    let plain = archive.with_extension("listed.sql");
    command.arg("-f").arg(&plain).arg(archive);
    ran(command);
    sql(&plain)
}

#[test]
fn a_whole_database_is_dumped_and_restored_through_the_gate_as_without_it() {
    let warehouse = Warehouse::new();
    let original = warehouse.direct(ORIGINAL, "original.sql");
    for made in
        ["CREATE TRIGGER", "CREATE TYPE", "lo_create", "OWNER TO keeper", "GRANT SELECT", "CREATE POLICY"]
    {
        assert!(original.contains(made), "{made} is not in:\n{original}");
    }

    let plain = warehouse.dump(&["-Fp"], ORIGINAL, true, "gated.sql");
    assert_eq!(sql(&plain), original);
    let both = |arguments: &[&str], name: &str| {
        let [direct, gated] = [(false, "direct"), (true, "gated")]
            .map(|(through, how)| warehouse.dump(arguments, ORIGINAL, through, &format!("{how}.{name}")));
        assert_eq!(listed(&gated), listed(&direct), "{name}");
        gated
    };
    let custom = both(&["-Fc"], "custom");
    let directory = both(&["-Fd", "-j", "3"], "directory");

    let path = |path: &PathBuf| path.to_str().unwrap().to_owned();
    let [plain, custom, directory] = [&plain, &custom, &directory].map(path);
    warehouse.run(
        "psql",
        &["-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", &plain],
        RESTORED[0],
        true,
    );
    warehouse.run("pg_restore", &["--exit-on-error", &custom], RESTORED[1], true);
    // Not by several at once (docs/DRIVERS.md).
    warehouse.run("pg_restore", &["--exit-on-error", &directory], RESTORED[2], true);
    for restored in RESTORED {
        assert_eq!(warehouse.direct(restored, &format!("{restored}.sql")), original, "{restored}");
    }
}
