//! Configured databases as the proxy wants them, passwords read.

use std::sync::Arc;

use stepgate_policy::Map;
use stepgate_proxy::{Credentials, Password, Role, UpstreamConfig};
use stepgate_types::{best_for, is_wildcard};

use crate::config::{Config, Database, Login, SslMode};
use crate::failure::Failure;
use crate::secret;

/// All databases of a configuration.
pub(crate) fn all(config: &Config) -> Result<Vec<UpstreamConfig>, Failure> {
    config.databases.iter().map(|(name, database)| one(name, database)).collect()
}

/// One database.
pub(crate) fn one(name: &str, database: &Database) -> Result<UpstreamConfig, Failure> {
    let role = |role: &crate::config::Role| {
        Ok(Role { groups: role.groups.clone(), credentials: credentials(&role.login)? })
    };
    Ok(UpstreamConfig {
        name: name.to_owned(),
        host: database.host.clone(),
        port: database.port,
        dbname: database.dbname.clone(),
        sslmode: sslmode(database.sslmode),
        ca: database.ca_file.clone(),
        roles: database.roles.iter().map(role).collect::<Result<_, Failure>>()?,
        catalog: credentials(&database.catalog)?,
        allow_untested: database.allow_untested,
        ask_planner: database.ask_planner,
        pass_person: database.pass_person,
    })
}

/// Those of them that have names, and those that wildcards stand for by what the map names.
pub(crate) fn concrete(upstreams: &[UpstreamConfig], map: Option<&Map>) -> Vec<UpstreamConfig> {
    let names: Vec<_> = upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
    let mapped = map.into_iter().flat_map(Map::databases).filter(|name| !is_wildcard(name));
    let wild = mapped.filter_map(|name| {
        let best = best_for(names.iter().copied(), name).filter(|best| is_wildcard(best))?;
        let template = upstreams.iter().find(|upstream| upstream.name == best)?;
        Some(named(template, name))
    });
    let own = upstreams.iter().filter(|upstream| !is_wildcard(&upstream.name)).cloned();
    own.chain(wild).collect()
}

/// The entry that is for a database of that name: its own, or a wildcard.
pub(crate) fn entry<'u>(upstreams: &'u [UpstreamConfig], name: &str) -> Option<&'u UpstreamConfig> {
    let best = best_for(upstreams.iter().map(|upstream| upstream.name.as_str()), name)?;
    upstreams.iter().find(|upstream| upstream.name == best)
}

/// The database of that name, as its own entry or a wildcard's has it.
pub(crate) fn of(config: &Config, name: &str) -> Result<UpstreamConfig, Failure> {
    let known = best_for(config.databases.keys().map(String::as_str), name);
    let (known, entry) = known
        .and_then(|known| config.databases.get_key_value(known))
        .ok_or_else(|| Failure::usage(format!("{} names no database {name}", config.file.display())))?;
    Ok(named(&one(known, entry)?, name))
}

/// The database of that name, as this entry has it.
pub(crate) fn named(template: &UpstreamConfig, name: &str) -> UpstreamConfig {
    if is_wildcard(&template.name) {
        UpstreamConfig { name: name.to_owned(), dbname: name.to_owned(), ..template.clone() }
    } else {
        template.clone()
    }
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
        None => Password::default(),
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
        Some(path) => secret::read_private(path)?.into(),
    };
    Ok(Arc::new(Credentials { user: login.user.clone(), password }))
}
