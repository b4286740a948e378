//! A real gate: the `stepgate` program, configured by its own `init`, serving as a process of its own.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::cluster::without_pg_variables;
use crate::{Cluster, Error, Person, Psql, Supervised};

/// How long a gate may take to accept connections, or to stop.
const LIMIT: Duration = Duration::from_secs(30);

/// A gate's directory, its command line, and the serving process if one runs.
#[derive(Debug)]
pub struct Gate {
    program: PathBuf,
    directory: PathBuf,
    listen: SocketAddr,
    console: SocketAddr,
    psql: PathBuf,
    serving: Option<Supervised>,
}

/// What a command printed, and its exit status.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Exit status; -1 if a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Outcome {
    /// Standard output, if it succeeded.
    ///
    /// # Errors
    /// It did not; the error holds what it printed.
    pub fn ok(self) -> Result<String, Error> {
        if self.status == 0 {
            return Ok(self.stdout);
        }
        Err(Error::new(
            format!("exit status {}: {}{}", self.status, self.stdout, self.stderr).trim().to_owned(),
        ))
    }

    /// All it printed.
    #[must_use]
    pub fn text(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl From<Output> for Outcome {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Gate {
    /// Configures a gate in the new directory `DIRECTORY/gate` by `stepgate init`, for the cluster's
    /// database `shop` and its role `stepgate_analyst`, whose password is set here. Does not serve yet.
    ///
    /// # Errors
    /// What `init` said.
    pub fn init(program: &Path, directory: &Path, cluster: &Cluster) -> Result<Self, Error> {
        const PASSWORD: &str = "analyst-of-a-throwaway-cluster";
        cluster.psql("postgres", &format!("alter role stepgate_analyst password '{PASSWORD}'"))?;
        let (listen, console) = (crate::free_address()?, crate::free_address()?);
        let gate = Self {
            program: program.to_owned(),
            directory: directory.join("gate"),
            listen,
            console,
            psql: cluster.binaries().path("psql"),
            serving: None,
        };
        let database = format!("shop={}", cluster.url("stepgate_analyst", "shop"));
        let mut init = gate.command();
        init.arg("init").arg(&gate.directory).args(["--database", &database, "--sslmode", "disable"]);
        init.args(["--listen", &listen.to_string(), "--console", &console.to_string()]);
        run(&mut init, &format!("{PASSWORD}\n"))?.ok()?;
        Ok(gate)
    }

    /// Puts a map and a policy in place.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn policies(&self, map: &str, policy: &str) -> Result<(), Error> {
        for (name, text) in [("pii-map.yaml", map), ("policy.yaml", policy)] {
            let path = self.directory.join("policies").join(name);
            std::fs::write(&path, text).map_err(Error::doing(format_args!("{}", path.display())))?;
        }
        Ok(())
    }

    /// The gate's directory: configuration, keys, data.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.directory.join("stepgate.yaml")
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.join("data")
    }

    /// The development CA's certificate.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Where clients connect.
    #[must_use]
    pub const fn listen(&self) -> SocketAddr {
        self.listen
    }

    /// Where people's commands go.
    #[must_use]
    pub const fn console(&self) -> SocketAddr {
        self.console
    }

    /// Where people find it, as `init` writes it: by name.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.console.port())
    }

    /// What the serving process printed, over all its runs.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("serve.log")).unwrap_or_default()
    }

    /// The program, told where the configuration is and with a home directory of its own (for logins).
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        without_pg_variables(&mut command);
        for (name, value) in self.environment() {
            command.env(name, value);
        }
        command
    }

    /// Variables under which a plain `stepgate` finds this gate and these logins.
    #[must_use]
    pub fn environment(&self) -> Vec<(&'static str, PathBuf)> {
        let home = self.directory.with_file_name("home");
        vec![
            ("STEPGATE_CONFIG", self.config()),
            ("XDG_CONFIG_HOME", home.join(".config")),
            ("XDG_STATE_HOME", home.join(".state")),
            ("XDG_RUNTIME_DIR", home.join(".run")),
            ("HOME", home),
        ]
    }

    /// Runs a command to its end with `input` as its standard input.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn run<T: AsRef<std::ffi::OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = T>,
        input: &str,
    ) -> Result<Outcome, Error> {
        run(self.command().args(arguments), input)
    }

    /// Serves, and waits until clients can connect.
    ///
    /// # Errors
    /// It ended or did not listen in time; the error holds its log.
    pub fn serve(&mut self) -> Result<(), Error> {
        let builder = Supervised::builder(&self.program, &self.directory.join("serve.log"));
        self.serve_by(builder.arg("serve"))
    }

    /// The same, started by `script`, a line for sh in which `"$@"` is the command that serves.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub fn serve_through(&mut self, script: &str) -> Result<(), Error> {
        let builder = Supervised::builder("sh", &self.directory.join("serve.log"));
        let builder = builder.args(["-c", script, "sh"]).arg(&self.program);
        self.serve_by(builder.arg("serve"))
    }

    fn serve_by(&mut self, builder: crate::supervised::SupervisedBuilder) -> Result<(), Error> {
        let mut builder = builder.current_dir(Path::new("/"));
        for (name, value) in self.environment() {
            builder = builder.env(name, value);
        }
        let mut process = builder.spawn()?;
        let mut ended = None;
        let listening = crate::until("the gate to listen", LIMIT, || {
            ended = process.exit_status(Duration::ZERO);
            ended.is_some() || [self.listen, self.console].iter().all(|to| TcpStream::connect(to).is_ok())
        });
        if listening.is_ok() && ended.is_none() {
            self.serving = Some(process);
            return Ok(());
        }
        Err(Error::new(format!("the gate did not start (exit status {ended:?}):\n{}", self.log())))
    }

    /// Ends the serving process as `kill -9` does: no goodbye, nothing flushed.
    pub fn kill(&mut self) {
        drop(self.serving.take());
    }

    /// Asks the serving process to end (SIGTERM) and waits; its exit status.
    ///
    /// # Errors
    /// It is not serving, or does not end in time.
    pub fn terminate(&mut self) -> Result<i32, Error> {
        let mut process = self.serving.take().ok_or_else(|| Error::new("no gate is serving"))?;
        process.signal("TERM")?;
        process
            .exit_status(LIMIT)
            .ok_or_else(|| Error::new(format!("the gate did not stop:\n{}", self.log())))
    }

    /// The serving process, if one runs.
    pub const fn serving(&mut self) -> Option<&mut Supervised> {
        self.serving.as_mut()
    }

    /// libpq's words for a connection to `database` through the gate, TLS checked against its CA.
    #[must_use]
    pub fn conninfo(&self, person: &str, database: &str) -> String {
        format!(
            "host={} port={} dbname={database} user={person} sslmode=verify-full sslrootcert={}",
            self.listen.ip(),
            self.listen.port(),
            self.ca().display()
        )
    }

    /// psql as `person` on the database `shop`, over TLS.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn psql(&self, person: &Person) -> Result<Psql, Error> {
        Psql::start(self.psql_command(person))
    }

    /// The command of [`Self::psql`].
    #[must_use]
    pub fn psql_command(&self, person: &Person) -> Command {
        let mut command = Command::new(&self.psql);
        without_pg_variables(&mut command);
        command.env("PGPASSWORD", person.password()).arg(self.conninfo(person.name(), "shop"));
        command
    }
}

/// Runs a command to its end.
fn run(command: &mut Command, input: &str) -> Result<Outcome, Error> {
    use std::io::Write as _;
    let name = command.get_program().to_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(Error::doing(name.display()))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A command that does not read its input closes it; that is its business.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().map(Outcome::from).map_err(Error::doing(name.display()))
}
