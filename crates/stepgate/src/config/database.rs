//! One entry of `databases:`.

use std::path::{Path, PathBuf};

use super::relative_to;
use super::yaml::{Node, Problems, Section};

/// A database behind the gate.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// Host name or address.
    pub(crate) host: String,
    /// TCP port.
    pub(crate) port: u16,
    /// Its name on the server.
    pub(crate) dbname: String,
    /// How the connection to it is encrypted.
    pub(crate) sslmode: SslMode,
    /// The CA that signed the server's certificate; `None`: the system's.
    pub(crate) ca_file: Option<PathBuf>,
    /// The role that runs people's statements.
    pub(crate) login: Login,
    /// The role that reads the catalog; the same where not named.
    pub(crate) catalog: Login,
    /// Serve it also where the server's major version is untested.
    pub(crate) allow_untested: bool,
    /// Ask the server's planner for the number of rows where a rule hangs on it (`planner: ask` or `never`).
    pub(crate) ask_planner: bool,
}

/// A role and the file of its password.
#[derive(Debug, Clone)]
pub(crate) struct Login {
    /// Role.
    pub(crate) user: String,
    /// File of its password; none where the server asks for none.
    pub(crate) password_file: Option<PathBuf>,
}

/// How the gate's own connection to a server is encrypted; libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SslMode {
    /// Not at all.
    Disable,
    /// Encrypted, but to whomever answers.
    Require,
    /// Encrypted, and certificate and host name checked.
    VerifyFull,
}

impl SslMode {
    /// The mode of that name.
    pub(crate) fn parse(word: &str) -> Option<Self> {
        match word {
            "disable" => Some(Self::Disable),
            "require" => Some(Self::Require),
            "verify-full" => Some(Self::VerifyFull),
            _ => None,
        }
    }

    /// Its name.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Require => "require",
            Self::VerifyFull => "verify-full",
        }
    }
}

/// PostgreSQL's own port.
const DEFAULT_PORT: u16 = 5432;

/// Reads an entry of that name.
pub(super) fn read(file: &Path, name: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Database> {
    let mut section = Section::open(&format!("databases.{name}"), node, problems)?;
    let host = section.need_text("host", problems).map(|(host, _)| host.to_owned());
    let port = port(&mut section, problems);
    let dbname = section.text("dbname", problems).map_or(name, |(dbname, _)| dbname).to_owned();
    let sslmode = sslmode(&mut section, problems);
    let ca_file = section.text("ca_file", problems).map(|(path, _)| relative_to(file, path));
    let user = section.need_text("user", problems).map(|(user, _)| user.to_owned());
    let password_file = section.text("password_file", problems).map(|(path, _)| relative_to(file, path));
    let catalog_user = section.text("catalog_user", problems);
    let catalog_file = section.text("catalog_password_file", problems);
    let allow_untested = section.flag("allow_untested", problems).unwrap_or(false);
    let ask_planner = ask_planner(&mut section, problems);
    if let (None, Some((_, at))) = (catalog_user, catalog_file) {
        let message = format!("{} without catalog_user", section.path("catalog_password_file"));
        problems.add(at, message, Some("name the role whose password it is".to_owned()));
    }
    section.finish(problems);
    let login = Login { user: user?, password_file };
    let catalog = catalog_user.map_or_else(
        || login.clone(),
        |(user, _)| Login {
            user: user.to_owned(),
            password_file: catalog_file.map(|(path, _)| relative_to(file, path)),
        },
    );
    Some(Database {
        host: host?,
        port: port?,
        dbname,
        sslmode: sslmode?,
        ca_file,
        login,
        catalog,
        allow_untested,
        ask_planner,
    })
}

/// Asked unless the operator says otherwise: what it is asked stands in the server's log where that logs statements.
fn ask_planner(section: &mut Section<'_>, problems: &mut Problems<'_>) -> bool {
    let Some((word, at)) = section.text("planner", problems) else { return true };
    if !matches!(word, "ask" | "never") {
        problems.add(at, format!("{} must be ask or never", section.path("planner")), None);
    }
    word == "ask"
}

fn port(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<u16> {
    let Some((number, at)) = section.integer("port", problems) else { return Some(DEFAULT_PORT) };
    match u16::try_from(number) {
        Ok(port) if port > 0 => Some(port),
        _ => {
            problems.add(at, format!("{} must be 1 to 65535", section.path("port")), None);
            None
        }
    }
}

/// Encryption is the default: leaving it out must not send a password in the clear.
fn sslmode(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<SslMode> {
    let Some((word, at)) = section.text("sslmode", problems) else { return Some(SslMode::VerifyFull) };
    let mode = SslMode::parse(word);
    if mode.is_none() {
        let message = format!("{} must be verify-full, require or disable", section.path("sslmode"));
        problems.add(at, message, None);
    }
    mode
}
