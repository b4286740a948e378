//! Processes that cannot outlive us.
//!
//! `PR_SET_PDEATHSIG` would need unsafe code and is lost on a change of user. Instead a small `sh`, in a
//! process group of its own, starts the program and holds the reading end of a pipe from us: when we end,
//! however we end (also by SIGKILL or a panic that aborts), it reads end-of-file, stops the program and
//! removes what it was told to.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::Error;
use crate::user::RunAs;

/// $1 log file, $2 signal that ends the program, $3 directory to remove at the end or nothing; the rest is
/// the program. Prints the program's process id, later `exit STATUS`.
///
/// The background reader is stopped before the process id can be given to another process.
const SUPERVISOR: &str = r#"
log=$1 signal=$2 remove=$3
shift 3
exec 3<&0 </dev/null
"$@" >>"$log" 2>&1 3<&- &
pid=$!
trap '' PIPE
echo "$pid"
{ cat <&3 >/dev/null; kill -"$signal" "$pid"; } 2>/dev/null &
reader=$!
wait "$pid"
status=$?
kill "$reader" 2>/dev/null
echo "exit $status" 2>/dev/null
cat <&3 >/dev/null
[ -z "$remove" ] || rm -rf "$remove"
"#;

/// How long the supervisor may take to tell the process id.
const START_LIMIT: Duration = Duration::from_secs(10);
/// How long a program and its files may take to go away.
const STOP_LIMIT: Duration = Duration::from_secs(20);

/// What to run; see [`Supervised`].
#[derive(Debug)]
pub struct SupervisedBuilder {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    log: PathBuf,
    signal: &'static str,
    remove: Option<PathBuf>,
    run_as: RunAs,
}

/// A running program that ends when this is dropped or when our process ends.
#[derive(Debug)]
pub struct Supervised {
    pid: u32,
    supervisor: Child,
    lifeline: Option<ChildStdin>,
    exit: Receiver<i32>,
    exited: Option<i32>,
}

impl Supervised {
    /// Prepares to run `program`, its output going to the end of the file `log`.
    #[must_use]
    pub fn builder(program: impl AsRef<OsStr>, log: &Path) -> SupervisedBuilder {
        SupervisedBuilder {
            program: program.as_ref().to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
            log: log.to_owned(),
            signal: "KILL",
            remove: None,
            run_as: RunAs::Ourselves,
        }
    }

    /// The program's process id.
    #[must_use]
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal by its name, as kill(1) knows it: `TERM`, `KILL`, `HUP`.
    ///
    /// # Errors
    /// The program has ended already.
    pub fn signal(&mut self, name: &str) -> Result<(), Error> {
        if self.exit_status(Duration::ZERO).is_some() {
            return Err(Error::new("the process has ended already"));
        }
        signal(self.pid, name)
    }

    /// The exit status (128 plus the signal's number if one ended it), waiting for it up to `limit`.
    pub fn exit_status(&mut self, limit: Duration) -> Option<i32> {
        if self.exited.is_none() {
            self.exited = self.exit.recv_timeout(limit).ok();
        }
        self.exited
    }

    /// Ends it and waits until it and what was to be removed are gone.
    pub fn stop(&mut self) {
        drop(self.lifeline.take());
        let gone = crate::until("the supervisor", STOP_LIMIT, || {
            matches!(self.supervisor.try_wait(), Ok(Some(_)) | Err(_))
        });
        if gone.is_err() {
            let _ = self.supervisor.kill();
            let _: Result<ExitStatus, _> = self.supervisor.wait();
        }
    }
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.stop();
    }
}

impl SupervisedBuilder {
    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<T: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_owned()));
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// The working directory.
    #[must_use]
    pub fn current_dir(mut self, directory: &Path) -> Self {
        self.directory = Some(directory.to_owned());
        self
    }

    /// The signal that ends it; `KILL` unless told otherwise.
    #[must_use]
    pub const fn stop_signal(mut self, name: &'static str) -> Self {
        self.signal = name;
        self
    }

    /// A directory to remove once the program has ended and we are done with it.
    #[must_use]
    pub fn remove_afterwards(mut self, directory: &Path) -> Self {
        self.remove = Some(directory.to_owned());
        self
    }

    pub(crate) const fn run_as(mut self, user: RunAs) -> Self {
        self.run_as = user;
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// No `sh`, or it could not be started.
    pub fn spawn(self) -> Result<Supervised, Error> {
        let mut command = Command::new("sh");
        command.arg("-c").arg(SUPERVISOR).arg("sh").arg(&self.log).arg(self.signal);
        command.arg(self.remove.as_deref().unwrap_or(Path::new("")));
        command.arg(&self.program).args(&self.arguments).envs(self.environment);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        self.run_as.apply(&mut command);
        let mut supervisor = command.spawn().map_err(Error::doing("starting sh"))?;
        let lifeline = supervisor.stdin.take();
        let output = supervisor.stdout.take().ok_or_else(|| Error::new("sh has no output"))?;
        let (pid_sender, pid) = channel();
        let (exit_sender, exit) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let _ = match line.strip_prefix("exit ") {
                    Some(status) => status.parse().map(|status| exit_sender.send(status).is_ok()).is_ok(),
                    None => line.parse().map(|pid| pid_sender.send(pid).is_ok()).is_ok(),
                };
            }
        });
        let pid = pid.recv_timeout(START_LIMIT).map_err(Error::doing("starting a supervised process"))?;
        Ok(Supervised { pid, supervisor, lifeline, exit, exited: None })
    }
}

/// kill(1): the standard library cannot send signals, and this crate has no unsafe code.
pub(crate) fn signal(pid: u32, name: &str) -> Result<(), Error> {
    let status = Command::new("kill")
        .arg(format!("-{name}"))
        .arg(pid.to_string())
        .stderr(Stdio::null())
        .status()
        .map_err(Error::doing("kill"))?;
    if status.success() { Ok(()) } else { Err(Error::new(format!("no process {pid} to send {name} to"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alive(pid: u32) -> bool {
        // A zombie that its new parent has not reaped yet no longer runs.
        std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
    }

    #[test]
    fn a_supervised_process_ends_with_its_handle_and_takes_its_directory_with_it() {
        let directory = tempfile::tempdir().unwrap().keep();
        let process = Supervised::builder("sleep", &directory.join("log"))
            .arg("600")
            .remove_afterwards(&directory)
            .spawn()
            .unwrap();
        let pid = process.pid();
        assert!(alive(pid));
        drop(process);
        assert!(!alive(pid));
        assert!(!directory.exists());
    }

    #[test]
    fn a_supervised_process_ends_when_its_parent_is_killed() {
        let directory = tempfile::tempdir().unwrap();
        // This very test binary, as the parent that is killed.
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "supervised::tests::parent_of_a_supervised_process", "--ignored"])
            .env("STEPGATE_TEST_DIRECTORY", directory.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let pid_file = directory.path().join("pid");
        let pid = crate::until_some("the process id", Duration::from_secs(20), || {
            std::fs::read_to_string(&pid_file).ok()?.trim().parse().ok()
        })
        .unwrap();
        assert!(alive(pid));
        parent.kill().unwrap();
        parent.wait().unwrap();
        crate::until("the process to end", Duration::from_secs(10), || !alive(pid)).unwrap();
    }

    #[test]
    #[ignore = "a part of a_supervised_process_ends_when_its_parent_is_killed"]
    fn parent_of_a_supervised_process() {
        let directory = PathBuf::from(std::env::var_os("STEPGATE_TEST_DIRECTORY").unwrap());
        let process = Supervised::builder("sleep", &directory.join("log")).arg("600").spawn().unwrap();
        std::fs::write(directory.join("pid.new"), process.pid().to_string()).unwrap();
        std::fs::rename(directory.join("pid.new"), directory.join("pid")).unwrap();
        std::thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn the_exit_status_of_a_supervised_process_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let mut process = Supervised::builder("sh", &directory.path().join("log"))
            .args(["-c", "echo said; exit 7"])
            .spawn()
            .unwrap();
        assert_eq!(process.exit_status(Duration::from_secs(10)), Some(7));
        assert_eq!(std::fs::read_to_string(directory.path().join("log")).unwrap(), "said\n");
        assert!(process.signal("TERM").is_err());
    }
}
