//! One entry of `databases:`.

use std::path::{Path, PathBuf};

use stepgate_proxy::PassPerson;
use stepgate_types::{GroupName, is_wildcard};

use super::relative_to;
use super::yaml::{At, Node, Problems, Section};

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
    /// The roles that run people's statements: the first that is for somebody.
    pub(crate) roles: Vec<Role>,
    /// The role that reads the catalog; the same where not named.
    pub(crate) catalog: Login,
    /// Serve it also where the server's major version is untested.
    pub(crate) allow_untested: bool,
    /// Ask the server's planner for the number of rows where a rule hangs on it (`planner: ask` or `never`).
    pub(crate) ask_planner: bool,
    /// How the server is told who is behind a session.
    pub(crate) pass_person: PassPerson,
}

/// A role, and whose statements run as it.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    /// Of whoever is in any of these groups; none: of everybody.
    pub(crate) groups: Vec<GroupName>,
    /// The role.
    pub(crate) login: Login,
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
    let dbname = dbname(name, &mut section, problems);
    let sslmode = sslmode(&mut section, problems);
    let ca_file = section.text("ca_file", problems).map(|(path, _)| relative_to(file, path));
    let everybody = login(file, ["user", "password_file"], &mut section, problems);
    let mut roles = users(file, &mut section, problems);
    let catalog = login(file, ["catalog_user", "catalog_password_file"], &mut section, problems);
    let allow_untested = section.flag("allow_untested", problems).unwrap_or(false);
    let ask_planner = ask_planner(&mut section, problems);
    let pass_person = pass_person(&mut section, problems);
    let at = node.at;
    if everybody.is_none() && roles.is_empty() {
        problems.add(at, format!("{} is missing", section.path("user")), None);
    } else if everybody.is_none() && catalog.is_none() {
        let help =
            Some("name the role to read the catalog with, since no `user` is for everybody".to_owned());
        problems.add(at, format!("{} is missing", section.path("catalog_user")), help);
    }
    section.finish(problems);
    roles.extend(everybody.clone().map(|login| Role { groups: Vec::new(), login }));
    Some(Database {
        host: host?,
        port: port?,
        dbname: dbname?,
        sslmode: sslmode?,
        ca_file,
        roles,
        catalog: catalog.or(everybody)?,
        allow_untested,
        ask_planner,
        pass_person,
    })
}

/// A wildcard's databases have the same names at the server: no two names are of one database.
fn dbname(name: &str, section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let given = section.text("dbname", problems);
    match given {
        Some((dbname, at)) if is_wildcard(name) && dbname != "*" => {
            let help = Some("leave it out, or write \"*\": the name that clients ask for".to_owned());
            problems.add(at, format!("{} of a wildcard must be \"*\"", section.path("dbname")), help);
            None
        }
        Some((dbname, at)) if !is_wildcard(name) && is_wildcard(dbname) => {
            problems.add(at, format!("{} must be a name", section.path("dbname")), None);
            None
        }
        _ if is_wildcard(name) => Some("*".to_owned()),
        given => Some(given.map_or(name, |(dbname, _)| dbname).to_owned()),
    }
}

/// A role and the file of its password, under these keys.
fn login(
    file: &Path,
    [user, password]: [&'static str; 2],
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<Login> {
    let name = section.text(user, problems);
    let password_file = section.text(password, problems);
    if let (None, Some((_, at))) = (name, password_file) {
        let message = format!("{} without {user}", section.path(password));
        problems.add(at, message, Some("name the role whose password it is".to_owned()));
    }
    let password_file = password_file.map(|(path, _)| relative_to(file, path));
    name.map(|(user, _)| Login { user: user.to_owned(), password_file })
}

/// Roles of groups, in the order in which they are looked through.
fn users(file: &Path, section: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<Role> {
    let path = section.path("users");
    let mut roles = Vec::new();
    for (number, node) in section.list("users", problems).iter().enumerate() {
        let Some(mut entry) = Section::open(&format!("{path}[{number}]"), node, problems) else { continue };
        let groups = groups(node.at, &mut entry, problems);
        let login = login(file, ["user", "password_file"], &mut entry, problems);
        if login.is_none() {
            problems.add(node.at, format!("{} is missing", entry.path("user")), None);
        }
        entry.finish(problems);
        roles.extend(login.map(|login| Role { groups, login }));
    }
    roles
}

fn groups(at: At, entry: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<GroupName> {
    let mut groups = Vec::new();
    let given = entry.list("groups", problems);
    for node in given {
        match node.text().map(str::parse) {
            Some(Ok(group)) => groups.push(group),
            Some(Err(error)) => problems.add(node.at, format!("{}: {error}", entry.path("groups")), None),
            None => problems.add(node.at, format!("{} must be names", entry.path("groups")), None),
        }
    }
    if given.is_empty() {
        let help = Some("the role of everybody is `user`, beside `users`".to_owned());
        problems.add(at, format!("{} names none", entry.path("groups")), help);
    }
    groups
}

fn pass_person(section: &mut Section<'_>, problems: &mut Problems<'_>) -> PassPerson {
    match section.text("pass_person", problems) {
        None | Some(("setting", _)) => PassPerson::Setting,
        Some(("application_name", _)) => PassPerson::ApplicationName,
        Some(("never", _)) => PassPerson::Never,
        Some((_, at)) => {
            let message =
                format!("{} must be setting, application_name or never", section.path("pass_person"));
            problems.add(at, message, None);
            PassPerson::Setting
        }
    }
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
