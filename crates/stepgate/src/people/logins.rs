//! Who has logged in here: `logins.json` in the person's own configuration directory, mode 0600.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use stepgate_types::PersonName;

use crate::failure::Failure;
use crate::secret;

/// The largest file that is read, in bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// One login.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Login {
    /// The API's address.
    pub(crate) url: String,
    /// The CA's certificate, PEM; `None`: the system's.
    pub(crate) ca_pem: Option<String>,
    /// The bearer token.
    pub(crate) token: String,
    /// When it ends, RFC 3339.
    pub(crate) expires: String,
    /// The password that it has minted, where psql finds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) minted: Option<Minted>,
}

/// A password for databases that a login has minted: not itself, but where it is.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Minted {
    /// By which the gate knows it.
    pub(crate) id: String,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) databases: Vec<String>,
}

/// All logins, and who logged in last.
#[derive(Default, Serialize, Deserialize)]
struct File {
    version: u32,
    last: Option<PersonName>,
    logins: BTreeMap<PersonName, Login>,
}

/// The login of that person, or of who logged in last.
pub(crate) fn find(person: Option<&PersonName>) -> Result<(PersonName, Login), Failure> {
    let file = read()?;
    let name = person.or(file.last.as_ref()).cloned();
    let Some(name) = name else {
        return Err(Failure::no("nobody has logged in here").hint("run: stepgate login NAME"));
    };
    match file.logins.get(&name) {
        Some(login) => Ok((name, login.clone())),
        None => {
            Err(Failure::no(format!("{name} has not logged in here"))
                .hint(format!("run: stepgate login {name}")))
        }
    }
}

/// Keeps a login.
pub(crate) fn keep(person: &PersonName, login: Login) -> Result<(), Failure> {
    let mut file = read()?;
    file.last = Some(person.clone());
    file.logins.insert(person.clone(), login);
    write(file)
}

/// Forgets one.
pub(super) fn forget(person: &PersonName) -> Result<(), Failure> {
    let mut file = read()?;
    file.logins.remove(person);
    file.last = file.last.filter(|last| last != person);
    write(file)
}

fn write(mut file: File) -> Result<(), Failure> {
    file.version = 1;
    let path = path()?;
    let Some(dir) = path.parent() else { return Err(Failure::usage("no directory for logins")) };
    secret::make_private_dir(dir)?;
    let trouble = |error: &std::io::Error| Failure::file("write", &path, error);
    // Made with mode 0600 and put in place at once: nobody sees half of it, nobody else sees any of it.
    let mut fresh = tempfile::NamedTempFile::new_in(dir).map_err(|error| trouble(&error))?;
    let text = serde_json::to_vec_pretty(&file).map_err(|error| trouble(&error.into()))?;
    fresh.write_all(&text).map_err(|error| trouble(&error))?;
    fresh.persist(&path).map(drop).map_err(|error| trouble(&error.error))
}

fn read() -> Result<File, Failure> {
    let path = path()?;
    if !path.exists() {
        return Ok(File::default());
    }
    secret::check_private(&path)?;
    let trouble = |error: &std::io::Error| {
        Failure::file("read", &path, error).hint("remove it and log in again: stepgate login NAME")
    };
    let size = std::fs::metadata(&path).map_err(|error| trouble(&error))?.len();
    if size > MAX_FILE {
        return Err(trouble(&std::io::Error::other("it is far too large")));
    }
    let text = std::fs::read(&path).map_err(|error| trouble(&error))?;
    serde_json::from_slice(&text).map_err(|error| trouble(&error.into()))
}

/// `$STEPGATE_HOME`, else `$XDG_CONFIG_HOME/stepgate`, else `~/.config/stepgate` (XDG Base Directory
/// Specification).
pub(super) fn path() -> Result<PathBuf, Failure> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let dir = var("STEPGATE_HOME")
        .or_else(|| var("XDG_CONFIG_HOME").map(|config| config.join("stepgate")))
        .or_else(|| var("HOME").map(|home| home.join(".config/stepgate")));
    dir.map(|dir| dir.join("logins.json"))
        .ok_or_else(|| Failure::usage("no place to keep logins: HOME is not set").hint("set STEPGATE_HOME"))
}
