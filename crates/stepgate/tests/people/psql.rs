//! `stepgate login --psql`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use stepgate_testkit::{Binaries, Person, until};

use crate::support::{SOON, World, said};

/// Where libpq looks, apart from everybody's own.
pub(crate) struct Files {
    pub(crate) pass: PathBuf,
    pub(crate) service: PathBuf,
}

impl Files {
    pub(crate) fn new(world: &World) -> Self {
        let at = |name: &str| world.tree.path().join(name);
        Self { pass: at("pgpass"), service: at("pg_service.conf") }
    }

    pub(crate) fn tell<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command.env("PGPASSFILE", &self.pass).env("PGSERVICEFILE", &self.service)
    }

    /// psql that knows nothing but the service's name.
    pub(crate) fn psql(&self, sql: &str) -> (bool, String) {
        let mut command = Command::new(Binaries::find().unwrap().path("psql"));
        for (name, _) in std::env::vars_os() {
            if name.to_str().is_some_and(|name| name.starts_with("PG")) {
                command.env_remove(name);
            }
        }
        command.args(["-X", "-w", "-At", "service=stepgate-shop", "-c", sql]).stdin(Stdio::null());
        said(self.tell(&mut command))
    }
}

/// `stepgate login …` there, with this on its standard input.
pub(crate) fn login(world: &World, files: &Files, arguments: &[&str], input: &str) -> (bool, String) {
    let given = world.tree.path().join("stdin");
    std::fs::write(&given, input).unwrap();
    let mut command = world.gate.command();
    command.arg("login").args(arguments).stdin(std::fs::File::open(given).unwrap());
    said(files.tell(&mut command))
}

fn minted(world: &World, files: &Files, person: &mut Person) {
    let code = person.code().unwrap();
    let input = format!("{}\n{code}\n", person.password());
    let (ok, text) = login(world, files, &[person.name(), "--psql"], &input);
    assert!(ok && text.contains("psql service=stepgate-shop"), "{text}");
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(path).unwrap().permissions()) & 0o777
}

#[test]
fn psql_finds_what_a_login_minted_and_nothing_else_of_its_files_changes() {
    let world = World::new();
    let files = Files::new(&world);
    let mut dana = Person::add(&world.gate, "dana", "analysts").unwrap();
    let (own, services) = ("# mine\n*:*:*:dana:of somewhere else\n", "[other]\nhost=elsewhere.example\n");
    std::fs::write(&files.pass, own).unwrap();
    std::fs::write(&files.service, services).unwrap();
    // A password alone mints nothing.
    let (ok, text) = login(&world, &files, &["dana", "--psql"], &format!("{}\n123456\n", dana.password()));
    assert!(!ok && std::fs::read_to_string(&files.pass).unwrap() == own, "{text}");

    minted(&world, &files, &mut dana);
    assert_eq!(files.psql("select 1"), (true, "1\n".to_owned()));
    let pass = std::fs::read_to_string(&files.pass).unwrap();
    let (first, rest) = pass.split_once('\n').unwrap();
    assert!(first.contains(":*:dana:sgp_") && rest == own, "{pass}");
    let password = first.rsplit_once(':').unwrap().1.to_owned();
    assert!(std::fs::read_to_string(&files.service).unwrap().starts_with(services));
    assert_eq!((mode(&files.pass), mode(&files.service)), (0o600, 0o600));
    // By it too, channel binding and all; and it is for databases alone.
    let pid = files.psql("select pg_backend_pid()");
    assert!(pid.0, "{pid:?}");
    let (ok, text) = login(&world, &files, &["dana"], &format!("{password}\n"));
    assert!(!ok && text.contains("wrong name or password"), "{text}");

    // Another login has another one, in the same place; the one before is taken back.
    minted(&world, &files, &mut dana);
    let pass = std::fs::read_to_string(&files.pass).unwrap();
    assert!(pass.ends_with(own) && pass.lines().count() == 3 && !pass.contains(&password), "{pass}");
    assert_eq!(files.psql("select 2"), (true, "2\n".to_owned()));

    // Logged out, psql fails as with any wrong password: the line that is left is somebody's own.
    let (ok, text) = login(&world, &files, &["--logout"], "");
    assert!(ok, "{text}");
    assert_eq!(std::fs::read_to_string(&files.pass).unwrap(), own);
    assert_eq!(std::fs::read_to_string(&files.service).unwrap(), services);
    let records: Vec<_> = world.records().into_iter().map(|it| it.to_string()).collect();
    let count = |what: &str| records.iter().filter(|it| it.contains(what)).count();
    assert_eq!((count("\"password.minted\""), count("\"password.revoked\"")), (2, 2));
    assert!(!records.iter().any(|it| it.contains("sgp_")));
    assert!(!world.gate.log().contains("sgp_"));
}

#[test]
fn a_killed_session_takes_its_minted_password_along_and_a_removed_person_all() {
    let world = World::new();
    let files = Files::new(&world);
    let mut dana = Person::add(&world.gate, "dana", "analysts").unwrap();
    minted(&world, &files, &mut dana);
    let mut sleeping = Command::new(Binaries::find().unwrap().path("psql"));
    sleeping.args(["-X", "-w", "service=stepgate-shop", "-c", "select pg_sleep(600)"]);
    sleeping.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).env_remove("PGPASSWORD");
    let mut sleeping = files.tell(&mut sleeping).spawn().unwrap();
    let sessions = || {
        let text = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
        serde_json::from_str::<Vec<serde_json::Value>>(&text).unwrap()
    };
    until("a session", SOON, || !sessions().is_empty()).unwrap();
    let session = sessions().remove(0);
    assert!(session["password"].is_string(), "{session}");
    let killed = world.gate.run(["session", "kill", session["session"].as_str().unwrap()], "").unwrap();
    assert!(killed.ok().unwrap().contains("and the password that it came by"));
    assert!(!sleeping.wait().unwrap().success());
    let (ok, text) = files.psql("select 1");
    assert!(!ok && text.contains("password authentication failed for user \"dana\""), "{text}");

    // A password that the operator sets ends those that were minted by the one before.
    minted(&world, &files, &mut dana);
    assert!(files.psql("select 1").0);
    world.gate.run(["user", "passwd", "dana"], "another password\n").unwrap().ok().unwrap();
    assert!(!files.psql("select 1").0);
    let input = format!("another password\n{}\n", dana.code().unwrap());
    assert!(login(&world, &files, &["dana", "--psql"], &input).0);
    world.gate.run(["user", "rm", "dana"], "").unwrap().ok().unwrap();
    let (ok, text) = files.psql("select 1");
    assert!(!ok && text.contains("password authentication failed for user \"dana\""), "{text}");
}
