//! A throwaway PostgreSQL: made in a second, loopback only, gone with its handle.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::template::{self, run};
use crate::user::RunAs;
use crate::{Binaries, Error, Supervised};

/// Where throwaway clusters lie, if not in `/tmp`: a short path that every user may enter (`.ci/run` names one in memory).
const PLACE: &str = "STEPGATE_TEST_CLUSTERS";
/// How long PostgreSQL may take to say that it is ready.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How often a port that somebody else took in between is replaced by another.
const PORT_TRIES: u32 = 5;

/// How the cluster authenticates who comes over TCP. The socket trusts (its directory is closed to others).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostAuth {
    /// Everybody.
    Trust,
    /// By SCRAM-SHA-256.
    Scram,
}

/// What cluster to start; see [`Cluster::builder`].
#[derive(Debug)]
pub struct ClusterBuilder {
    host_auth: HostAuth,
    tls: Option<(PathBuf, PathBuf)>,
    settings: Vec<(String, String)>,
    cached: bool,
}

/// A running PostgreSQL. Superuser `postgres`; stopped and removed when dropped, also if we are killed.
#[derive(Debug)]
pub struct Cluster {
    server: Supervised,
    binaries: Binaries,
    directory: PathBuf,
    port: u16,
}

impl Cluster {
    /// SCRAM over TCP, no TLS, no further settings, no files kept for next time.
    #[must_use]
    pub const fn builder() -> ClusterBuilder {
        ClusterBuilder { host_auth: HostAuth::Scram, tls: None, settings: Vec::new(), cached: false }
    }

    /// What tests want: SCRAM over TCP, data directory copied from a template in the target directory.
    ///
    /// # Errors
    /// No PostgreSQL on this machine, or it does not start; the error holds the end of its log.
    pub fn start() -> Result<Self, Error> {
        Self::builder().cached(true).start()
    }

    /// Its TCP port on 127.0.0.1.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The directory of its Unix socket, for `host=`; trusts everybody who gets there.
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        &self.directory
    }

    /// Its programs.
    #[must_use]
    pub const fn binaries(&self) -> &Binaries {
        &self.binaries
    }

    /// `postgresql://USER@127.0.0.1:PORT/DB`.
    #[must_use]
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgresql://{user}@127.0.0.1:{}/{database}", self.port)
    }

    /// psql over the socket as superuser, without anybody's psqlrc or PG* variables.
    #[must_use]
    pub fn psql_command(&self, database: &str) -> Command {
        let mut command = Command::new(self.binaries.path("psql"));
        without_pg_variables(&mut command);
        command.args(["-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", database]);
        command.arg("-h").arg(&self.directory).arg("-p").arg(self.port.to_string());
        command
    }

    /// Runs SQL as superuser; what it prints, unaligned, tuples only, without the last newline.
    ///
    /// # Errors
    /// PostgreSQL's own words.
    pub fn psql(&self, database: &str, sql: &str) -> Result<String, Error> {
        self.psql_output(self.psql_command(database).arg("-c").arg(sql))
    }

    /// Runs a file as superuser.
    ///
    /// # Errors
    /// PostgreSQL's own words.
    pub fn load_file(&self, database: &str, file: &Path) -> Result<String, Error> {
        self.psql_output(self.psql_command(database).arg("-f").arg(file))
    }

    /// Runs several statements as superuser, each by itself (unlike [`Self::psql`], which makes them one
    /// transaction).
    ///
    /// # Errors
    /// PostgreSQL's own words.
    pub fn load(&self, database: &str, sql: &str) -> Result<String, Error> {
        let file = tempfile::NamedTempFile::new().map_err(Error::doing("making a temporary file"))?;
        std::fs::write(file.path(), sql).map_err(Error::doing("writing a temporary file"))?;
        self.load_file(database, file.path())
    }

    /// Creates a database.
    ///
    /// # Errors
    /// PostgreSQL's own words.
    pub fn create_database(&self, name: &str) -> Result<(), Error> {
        self.psql("postgres", &format!("create database {}", stepgate_types::quote_ident(name))).map(drop)
    }

    /// Copies a database into a new one as an operator would: by pg_dump and psql.
    ///
    /// # Errors
    /// PostgreSQL's own words.
    pub fn copy_database(&self, from: &str, to: &str) -> Result<(), Error> {
        let mut dump = Command::new(self.binaries.path("pg_dump"));
        without_pg_variables(&mut dump);
        dump.args(["-U", "postgres", "-h"])
            .arg(&self.directory)
            .arg("-p")
            .arg(self.port.to_string())
            .arg(from);
        let sql = self.psql_output(&mut dump)?;
        self.create_database(to)?;
        self.load(to, &sql).map(drop)
    }

    /// Creates a login role with a password and no rights.
    ///
    /// # Errors
    /// PostgreSQL's own words.
    pub fn create_role(&self, name: &str, password: &str) -> Result<(), Error> {
        let (name, password) = (stepgate_types::quote_ident(name), password.replace('\'', "''"));
        self.psql("postgres", &format!("create role {name} login password '{password}'")).map(drop)
    }

    /// Stops it (immediate shutdown) and removes it; until then the same as dropping it.
    pub fn stop(mut self) {
        self.server.stop();
    }

    fn psql_output(&self, command: &mut Command) -> Result<String, Error> {
        let output = command.stdin(Stdio::null()).output().map_err(Error::doing("psql"))?;
        if !output.status.success() {
            return Err(Error::new(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.strip_suffix('\n').unwrap_or(&text).to_owned())
    }
}

impl ClusterBuilder {
    /// How it authenticates who comes over TCP.
    #[must_use]
    pub const fn host_auth(mut self, how: HostAuth) -> Self {
        self.host_auth = how;
        self
    }

    /// Switches TLS on, with copies of a certificate and its key (PEM).
    #[must_use]
    pub fn tls(mut self, certificate: &Path, key: &Path) -> Self {
        self.tls = Some((certificate.to_owned(), key.to_owned()));
        self
    }

    /// A setting of postgresql.conf.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Whether to keep (and use) a template of the data directory in cargo's target directory.
    #[must_use]
    pub const fn cached(mut self, cached: bool) -> Self {
        self.cached = cached;
        self
    }

    /// Makes it and waits until it accepts connections.
    ///
    /// # Errors
    /// No PostgreSQL on this machine, or it does not start; the error holds the end of its log.
    pub fn start(self) -> Result<Cluster, Error> {
        let binaries = Binaries::find()?;
        let user = RunAs::unprivileged()?;
        for _ in 0..PORT_TRIES {
            if let Some(cluster) = self.attempt(&binaries, user)? {
                return Ok(cluster);
            }
        }
        Err(Error::new("found no free port for PostgreSQL"))
    }

    /// `None`: somebody took the port in between.
    fn attempt(&self, binaries: &Binaries, user: RunAs) -> Result<Option<Cluster>, Error> {
        // Not TMPDIR: PostgreSQL's user may not be able to enter it, and socket paths must be short.
        let fresh = tempfile::Builder::new()
            .prefix("stepgate-pg-")
            .permissions(std::fs::Permissions::from_mode(0o700))
            .tempdir_in(std::env::var_os(PLACE).unwrap_or_else(|| "/tmp".into()))
            .map_err(Error::doing("making a directory for PostgreSQL"))?;
        let (data, log, port) = (fresh.path().join("data"), fresh.path().join("log"), crate::free_port()?);
        user.own(fresh.path())?;
        template::make(binaries, user, &data, self.cached)?;
        self.write_tls(user, &data)?;
        write_for(user, &data.join("postgresql.conf"), &self.postgresql_conf(fresh.path(), port)?)?;
        write_for(user, &data.join("pg_hba.conf"), &self.pg_hba())?;
        let server = Supervised::builder(binaries.path("postgres"), &log)
            .arg("-D")
            .arg(&data)
            .current_dir(fresh.path())
            .stop_signal("QUIT")
            .remove_afterwards(fresh.path())
            .run_as(user)
            .spawn()?;
        let mut cluster = Cluster { server, binaries: binaries.clone(), directory: fresh.keep(), port };
        let mut failed = false;
        let ready = crate::until("PostgreSQL to be ready", START_LIMIT, || {
            failed = cluster.server.exit_status(Duration::ZERO).is_some();
            failed || is_ready(&data)
        });
        if ready.is_ok() && !failed {
            return Ok(Some(cluster));
        }
        let said = std::fs::read_to_string(&log).unwrap_or_default();
        if said.contains("could not bind IPv4 address") {
            return Ok(None);
        }
        Err(Error::new(format!("PostgreSQL did not start:\n{}", said.trim())))
    }

    fn postgresql_conf(&self, directory: &Path, port: u16) -> Result<String, Error> {
        let mut text = format!(
            "listen_addresses = '127.0.0.1'\nport = {port}\nunix_socket_directories = '{}'\n\
             fsync = off\nsynchronous_commit = off\nfull_page_writes = off\nmax_wal_size = 1GB\n\
             shared_buffers = 64MB\nmax_connections = 100\npassword_encryption = 'scram-sha-256'\n\
             timezone = 'UTC'\nlog_timezone = 'UTC'\njit = off\n",
            directory.display()
        );
        if self.tls.is_some() {
            text.push_str("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
        }
        for (name, value) in &self.settings {
            writeln!(text, "{name} = '{}'", value.replace('\'', "''")).map_err(Error::doing("settings"))?;
        }
        Ok(text)
    }

    fn pg_hba(&self) -> String {
        let method = match self.host_auth {
            HostAuth::Trust => "trust",
            HostAuth::Scram => "scram-sha-256",
        };
        format!("local all all trust\nlocal replication all trust\nhost all all 127.0.0.1/32 {method}\n")
    }

    fn write_tls(&self, user: RunAs, data: &Path) -> Result<(), Error> {
        let Some((certificate, key)) = &self.tls else { return Ok(()) };
        for (from, to) in [(certificate, "server.crt"), (key, "server.key")] {
            let text =
                std::fs::read_to_string(from).map_err(Error::doing(format_args!("{}", from.display())))?;
            write_for(user, &data.join(to), &text)?;
        }
        Ok(())
    }
}

/// The last line of postmaster.pid tells its state (PostgreSQL's `PM_STATUS_READY`).
fn is_ready(data: &Path) -> bool {
    std::fs::read_to_string(data.join("postmaster.pid"))
        .is_ok_and(|text| text.lines().nth(7).is_some_and(|line| line.trim() == "ready"))
}

fn write_for(user: RunAs, path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::doing(format_args!("{}", path.display())))?;
    run(Command::new("chmod").arg("600").arg(path))?;
    user.own(path)
}

/// Whoever starts the tests may have PGHOST and the like set.
pub(crate) fn without_pg_variables(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"PG") {
            command.env_remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_answers_and_leaves_nothing_behind() {
        let cluster = Cluster::start().unwrap();
        let (directory, pid) = (cluster.directory.clone(), cluster.server.pid());
        cluster.create_role("o'dana", "pass'word").unwrap();
        cluster.create_database("Shop").unwrap();
        assert_eq!(cluster.psql("Shop", "select 1 + 1").unwrap(), "2");
        assert!(cluster.psql("Shop", "select nonsense").unwrap_err().to_string().contains("nonsense"));
        cluster.load("Shop", "vacuum; create table t as select 7 as n;").unwrap();
        assert_eq!(cluster.psql("Shop", "select n from t").unwrap(), "7");
        drop(cluster);
        assert!(!directory.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_cluster_asks_for_a_password_over_tcp() {
        let cluster = Cluster::start().unwrap();
        cluster.create_role("dana", "right").unwrap();
        let connect = |password: &str| {
            let mut command = Command::new(cluster.binaries().path("psql"));
            without_pg_variables(&mut command);
            command.env("PGPASSWORD", password).args(["-X", "-At", "-w", "-c", "select current_user"]);
            command.arg(cluster.url("dana", "postgres")).output().unwrap()
        };
        assert_eq!(connect("right").stdout, b"dana\n");
        assert!(!connect("wrong").status.success());
    }

    #[test]
    fn a_bad_setting_is_reported_with_the_log() {
        let error = Cluster::builder().cached(true).setting("no_such_setting", "1").start().unwrap_err();
        assert!(error.to_string().contains("no_such_setting"), "{error}");
    }
}
