//! Configured databases as the proxy wants them, passwords read.

use std::sync::Arc;

use stepgate_proxy::{Credentials, UpstreamConfig};
use zeroize::Zeroizing;

use crate::config::{Config, Database, Login, SslMode};
use crate::failure::Failure;
use crate::secret;

/// All databases of a configuration.
pub(crate) fn all(config: &Config) -> Result<Vec<UpstreamConfig>, Failure> {
    config.databases.iter().map(|(name, database)| one(name, database)).collect()
}

/// One database.
pub(crate) fn one(name: &str, database: &Database) -> Result<UpstreamConfig, Failure> {
    Ok(UpstreamConfig {
        name: name.to_owned(),
        host: database.host.clone(),
        port: database.port,
        dbname: database.dbname.clone(),
        sslmode: sslmode(database.sslmode),
        ca: database.ca_file.clone(),
        credentials: credentials(&database.login)?,
        catalog: credentials(&database.catalog)?,
        allow_untested: database.allow_untested,
        ask_planner: database.ask_planner,
    })
}

/// The proxy's word for a mode.
pub(crate) fn sslmode(mode: SslMode) -> stepgate_proxy::SslMode {
    match mode {
        SslMode::Disable => stepgate_proxy::SslMode::Disable,
        SslMode::Require => stepgate_proxy::SslMode::Require,
        SslMode::VerifyFull => stepgate_proxy::SslMode::VerifyFull,
    }
}

fn credentials(login: &Login) -> Result<Arc<Credentials>, Failure> {
    let password = match &login.password_file {
        None => Zeroizing::default(),
        Some(path) if !path.exists() => {
            return Err(Failure::usage(format!(
                "the password of {} is missing: there is no file {}",
                login.user,
                path.display()
            ))
            .hint(format!(
                "put it there, readable by nobody else: install -m 600 /dev/stdin {}",
                path.display()
            )));
        }
        Some(path) => secret::read_private(path)?,
    };
    Ok(Arc::new(Credentials { user: login.user.clone(), password }))
}
