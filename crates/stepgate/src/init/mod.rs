//! `stepgate init`: a configuration that works, and what to do next.

mod certificates;
mod template;

use std::fs;
use std::path::Path;

use crate::args::InitArgs;
use crate::config::SslMode;
use crate::failure::Failure;
use crate::output;
use crate::secret::{self, Source};
use crate::store;
use crate::url::DatabaseUrl;

/// The configuration's name in its directory.
const CONFIG: &str = "stepgate.yaml";

/// Everything that is written; any of them being there already stops `init`.
const FILES: [&str; 8] = [
    CONFIG,
    "ca.pem",
    "ca-key.pem",
    "cert.pem",
    "key.pem",
    "secrets/master.key",
    "policies/pii-map.yaml",
    "policies/policy.yaml",
];

/// Writes it all.
pub(crate) fn run(args: &InitArgs) -> Result<(), Failure> {
    let dir = &args.dir;
    for file in FILES {
        let path = dir.join(file);
        if path.exists() {
            return Err(Failure::usage(format!("{} is there already; nothing was written", path.display()))
                .hint("name another directory: stepgate init DIR"));
        }
    }
    let database = database(args)?;
    write_all(args, &database)?;
    output::print(&template::next_steps(dir, &database, args.listen))
}

/// The database that the configuration names.
pub(super) struct Database {
    name: String,
    url: DatabaseUrl,
    sslmode: SslMode,
    /// `None`: to be written to its file before the gate can serve.
    password: Option<zeroize::Zeroizing<String>>,
}

fn database(args: &InitArgs) -> Result<Database, Failure> {
    let Some(sslmode) = SslMode::parse(&args.sslmode) else {
        return Err(Failure::usage("--sslmode must be verify-full, require or disable"));
    };
    let Some(text) = &args.database else {
        let url = DatabaseUrl {
            user: Some("stepgate_analyst".to_owned()),
            host: "127.0.0.1".to_owned(),
            port: 5432,
            dbname: Some("shop".to_owned()),
            sslmode: None,
        };
        return Ok(Database { name: "shop".to_owned(), url, sslmode, password: None });
    };
    let Some((name, url)) = text.split_once('=') else {
        return Err(Failure::usage("--database must be NAME=postgresql://USER@HOST:PORT/DBNAME"));
    };
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte);
    if name.is_empty() || name.starts_with('.') || !name.bytes().all(harmless) {
        return Err(Failure::usage(
            "a database's name in the gate is made of letters, digits, '_', '-' and '.'",
        ));
    }
    let url = DatabaseUrl::parse(url)?;
    if url.user.is_none() {
        return Err(Failure::usage("--database names no user: postgresql://USER@HOST:PORT/DBNAME")
            .hint("the role that people's statements run as, with no more rights than they need"));
    }
    let prompt = format!("Password of {} on {}: ", url.user.as_deref().unwrap_or_default(), url.host);
    let password = secret::read(&Source::Ask { prompt: &prompt, twice: false })?;
    Ok(Database { name: name.to_owned(), url, sslmode, password: Some(password) })
}

fn write_all(args: &InitArgs, database: &Database) -> Result<(), Failure> {
    let dir = &args.dir;
    // Others may enter: ca.pem is for them. What is secret has directories or modes of its own.
    fs::create_dir_all(dir).map_err(|error| Failure::file("make the directory", dir, &error))?;
    secret::make_private_dir(&dir.join("secrets"))?;
    secret::make_private_dir(&dir.join("data"))?;
    let policies = dir.join("policies");
    fs::create_dir_all(&policies).map_err(|error| Failure::file("make the directory", &policies, &error))?;
    let names = [args.listen.ip(), args.console.ip()];
    let made = certificates::make(&names)
        .map_err(|error| Failure::usage(format!("the certificates cannot be made: {error}")))?;
    write_new(&dir.join("ca.pem"), &made.ca)?;
    secret::write_new_private(&dir.join("ca-key.pem"), made.ca_key.as_bytes())?;
    write_new(&dir.join("cert.pem"), &made.cert)?;
    secret::write_new_private(&dir.join("key.pem"), made.key.as_bytes())?;
    store::make_master_key(&dir.join("secrets/master.key"))?;
    if let Some(password) = &database.password {
        let line = zeroize::Zeroizing::new(format!("{}\n", password.as_str()));
        secret::write_new_private(&dir.join("secrets").join(&database.name), line.as_bytes())?;
    }
    write_new(&policies.join("pii-map.yaml"), &template::map(&database.name))?;
    write_new(&policies.join("policy.yaml"), template::POLICY)?;
    // Last: a directory with a configuration is a whole one.
    write_new(&dir.join(CONFIG), &template::config(args, database))
}

fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    use std::io::Write;
    fs::File::create_new(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| Failure::file("write", path, &error))
}
