//! A dump of the gate's memory would hold statements, values and keys.

use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use stepgate_testkit::until;

use crate::support::{SOON, World};

/// An unprivileged user, where we are root: who may do anything sees no difference.
const NOBODY: &str = "65534";

/// Started by us as whom the kernel does not favour, and with dumps of any size allowed; ended when dropped.
struct Started(Child);

impl Started {
    /// `as_nobody`: as [`NOBODY`] rather than as ourselves.
    fn new(as_nobody: bool, program: &Path, arguments: &[&str], directory: &Path, world: &World) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -c unlimited || ulimit -c \"$(ulimit -Hc)\"; exec \"$@\"", "sh"]);
        if as_nobody {
            command.args(["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
        }
        command.arg(program).args(arguments).envs(world.gate.environment()).current_dir(directory);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let log = fs::File::create(directory.join("log")).unwrap();
        Self(command.stderr(log).spawn().unwrap())
    }

    fn proc(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0.id()))
    }

    fn running(&mut self, directory: &Path) {
        let ended = self.0.try_wait().unwrap();
        let log = || fs::read_to_string(directory.join("log")).unwrap_or_default();
        assert!(ended.is_none(), "{ended:?}: {}", log());
    }

    /// How it ends by that signal. It is sent until then: Rust's handler of SIGSEGV, which looks for stacks that are full,
    /// takes one that came from elsewhere for nothing, once, and is gone after it.
    fn dies_of(&mut self, signal: &str) -> ExitStatus {
        let id = self.0.id().to_string();
        stepgate_testkit::until_some("the end", SOON, || {
            let ended = self.0.try_wait().unwrap();
            if ended.is_none() {
                // It may end in between.
                let _ = Command::new("kill").args([signal, &id]).stderr(Stdio::null()).status().unwrap();
            }
            ended
        })
        .unwrap()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether another process of the same user can open that file.
fn opens(as_nobody: bool, path: &Path) -> bool {
    let mut command = Command::new(if as_nobody { "setpriv" } else { "sh" });
    if as_nobody {
        command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "sh"]);
    }
    command.args(["-c", "exec 3<\"$1\"", "sh"]).arg(path).output().unwrap().status.success()
}

fn cores(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(cores(&path));
        } else if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("core")) {
            found.push(path);
        }
    }
    found
}

#[test]
fn no_core_dump_and_no_other_process_gets_at_the_gates_memory() {
    let as_nobody = fs::metadata("/proc/self").unwrap().uid() == 0;
    if as_nobody && Command::new("setpriv").arg("--version").output().is_err() {
        return stepgate_testkit::skip("setpriv", "util-linux; that nobody reads the gate's memory");
    }
    let world = World::not_serving(|text| text);
    let [at, beside] = ["at", "beside"].map(|name| world.tree.path().join(name));
    [&at, &beside].iter().for_each(|path| fs::create_dir(path).unwrap());
    // Where that user can read it: a program that its user cannot read is never dumped, whatever it asks for.
    let program = at.join("stepgate");
    fs::copy(env!("CARGO_BIN_EXE_stepgate"), &program).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    if as_nobody {
        let owner = format!("{NOBODY}:{NOBODY}");
        let own = Command::new("chown").args(["-R", &owner]).arg(world.tree.path()).status().unwrap();
        assert!(own.success());
    }

    // Another program, started the same way: its user does get at it, and it is dumped.
    let mut other = Started::new(as_nobody, Path::new("sleep"), &["600"], &beside, &world);
    let user = fs::metadata(&beside).unwrap().uid();
    let is_its = || fs::metadata(other.proc("mem")).unwrap().uid() == user;
    until("the program", SOON, || is_its() && fs::read(other.proc("cmdline")).unwrap().starts_with(b"sleep"))
        .unwrap();
    assert!(opens(as_nobody, &other.proc("environ")));
    let dumped = other.dies_of("-SEGV");
    assert_eq!(dumped.signal(), Some(11));
    if !dumped.core_dumped() {
        stepgate_testkit::skip("core-dumps", "/proc/sys/kernel/core_pattern; that the gate makes none");
    }

    let mut gate = Started::new(as_nobody, &program, &["serve"], &at, &world);
    until("the gate to listen", SOON, || {
        gate.running(&at);
        [world.gate.listen(), world.gate.console()].iter().all(|to| TcpStream::connect(to).is_ok())
    })
    .unwrap();
    let limits = fs::read_to_string(gate.proc("limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().collect::<Vec<_>>()[4..6], ["0", "0"], "{core}");
    let status = fs::read_to_string(gate.proc("status")).unwrap();
    let uids = status.lines().find(|line| line.starts_with("Uid:")).unwrap();
    assert!(uids.split_whitespace().skip(1).all(|uid| uid == user.to_string()), "{uids}");
    for name in ["mem", "maps", "environ"] {
        let path = gate.proc(name);
        assert_eq!(fs::metadata(&path).unwrap().uid(), 0, "{name} is its user's");
        assert!(!opens(as_nobody, &path), "{name} opens");
    }
    let died = gate.dies_of("-SEGV");
    assert_eq!((died.signal(), died.core_dumped()), (Some(11), false));
    assert_eq!(cores(&at), Vec::<PathBuf>::new());
    assert_eq!(cores(&world.gate.data()), Vec::<PathBuf>::new());
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
