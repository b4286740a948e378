//! Which database is looked at, and which map is about it.

use std::path::{Path, PathBuf};

use stepgate_policy::Map;
use stepgate_proxy::UpstreamConfig;

use crate::analyze;
use crate::args::TargetArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::{rules, upstreams};

/// A database, and the map that is about it.
pub(super) struct Target {
    /// What the map calls it.
    pub(super) name: String,
    pub(super) upstream: UpstreamConfig,
    /// The map and the text of its file; none where nobody named one.
    pub(super) map: Option<(PathBuf, Map)>,
    /// The gate's data directory, where a configuration names one.
    pub(super) data: Option<PathBuf>,
}

impl Target {
    /// By arguments and, where they name no URL, the configuration.
    pub(super) fn of(config: &Path, args: &TargetArgs) -> Result<Self, Failure> {
        if let Some(url) = &args.url {
            let upstream = analyze::from_url(url, args.database.as_deref())?;
            let map = args.map.as_deref().map(read).transpose()?;
            return Ok(Self { name: upstream.name.clone(), upstream, map, data: None });
        }
        let config = Config::load(config)?;
        let name = match &args.database {
            Some(name) => name.clone(),
            None => only(&config)?,
        };
        let upstream = upstreams::of(&config, &name)?;
        let map = read(args.map.as_deref().unwrap_or(&config.map))?;
        Ok(Self { name, upstream, map: Some(map), data: Some(config.data.clone()) })
    }

    /// The map, if there is one.
    pub(super) fn map(&self) -> Option<&Map> {
        self.map.as_ref().map(|(_, map)| map)
    }
}

fn read(path: &Path) -> Result<(PathBuf, Map), Failure> {
    Ok((path.to_owned(), rules::load_map(path)?))
}

fn only(config: &Config) -> Result<String, Failure> {
    let mut names = config.databases.keys();
    match (names.next(), names.next()) {
        (Some(name), None) if !stepgate_types::is_wildcard(name) => Ok(name.clone()),
        _ => Err(Failure::usage("which database?").hint("say --database NAME, or --url postgresql://…")),
    }
}

/// Something to wait with.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))
}
