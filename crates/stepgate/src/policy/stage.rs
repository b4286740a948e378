//! Where a policy is tried out: rules, and the catalogs that statements are read against.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use stepgate_policy::{Bound, Ruleset};
use stepgate_proxy::UpstreamConfig;
use stepgate_types::GroupName;

use crate::analyze::{Names, Origin, Source};
use crate::args::StageArgs;
use crate::config::Config;
use crate::failure::Failure;
use crate::{rules, upstreams};

/// Rules and catalogs.
pub(super) struct Stage<'a> {
    pub(super) rules: Ruleset,
    /// The policy's file.
    pub(super) policy: PathBuf,
    config: Option<Config>,
    args: &'a StageArgs,
    rooms: BTreeMap<String, Room>,
}

/// A database: its catalog, how the map fits it, and one session at a time.
pub(super) struct Room {
    pub(super) source: Source,
    pub(super) bound: Bound,
    pub(super) names: Names,
    /// Where it is a database of the configuration.
    upstream: Option<UpstreamConfig>,
}

impl Room {
    /// The role that the configuration gives these groups.
    pub(super) fn role_of(&self, groups: &BTreeSet<GroupName>) -> Option<String> {
        role_of(self.upstream.as_ref()?, groups)
    }
}

/// The role that the configuration of a database gives these groups.
pub(super) fn role_of(upstream: &UpstreamConfig, groups: &BTreeSet<GroupName>) -> Option<String> {
    let groups: Vec<_> = groups.iter().cloned().collect();
    Some(upstream.role_of(&groups)?.user.clone())
}

impl<'a> Stage<'a> {
    /// Reads the rules. The configuration is needed for what the arguments leave out, and no more: a policy can be tested
    /// where there is no gate.
    pub(super) fn open(config: &Path, args: &'a StageArgs) -> Result<Self, Failure> {
        let alone = args.policy.is_some() && args.map.is_some() && !args.schema.is_empty();
        let config = if alone { None } else { Some(Config::load(config)?) };
        let named = |given: &Option<PathBuf>, own: fn(&Config) -> &Path| {
            given.as_deref().or(config.as_ref().map(own)).map(Path::to_owned)
        };
        let map = named(&args.map, |config| &config.map);
        let policy = named(&args.policy, |config| &config.rules);
        let (Some(map), Some(policy)) = (map, policy) else {
            return Err(Failure::usage("which map and policy?").hint("say it with --map and --policy"));
        };
        let rules = rules::load_files(&map, &policy)?;
        Ok(Self { rules, policy, config, args, rooms: BTreeMap::new() })
    }

    /// Where people answer, as the configuration has it.
    pub(super) fn console_url(&self) -> Option<String> {
        self.config.as_ref().map(|config| config.console.url.clone())
    }

    /// The database of that name, or the only one there is.
    pub(super) fn name(&self, given: Option<&str>) -> Result<String, Failure> {
        if let Some(name) = given {
            return Ok(name.to_owned());
        }
        let configured: Vec<&str> = match &self.config {
            Some(config) => config.databases.keys().map(String::as_str).collect(),
            None => self.rules.map().databases().collect(),
        };
        match configured.as_slice() {
            [only] => Ok((*only).to_owned()),
            _ => Err(Failure::usage("through which database?")
                .hint("say it with `database:` in the case, or with --database")),
        }
    }

    /// Rules, and the database of that name with a session that has just begun.
    pub(super) fn enter(&mut self, name: &str) -> Result<(&Ruleset, &mut Room), Failure> {
        if !self.rooms.contains_key(name) {
            let room = self.furnish(name)?;
            self.rooms.insert(name.to_owned(), room);
        }
        let room = self.rooms.get_mut(name).ok_or_else(|| Failure::usage("no such database"))?;
        room.source.reset();
        room.names = Names::default();
        Ok((&self.rules, room))
    }

    fn furnish(&self, name: &str) -> Result<Room, Failure> {
        let files = &self.args.schema;
        let upstream = match &self.config {
            Some(config) if files.is_empty() => Some(upstreams::of(config, name)?),
            _ => None,
        };
        let origin =
            upstream.clone().map_or(Origin::Schema(files), |upstream| Origin::Configured(Box::new(upstream)));
        let source = Source::open(origin, name, self.args.search_path.as_deref())?;
        let bound = self.rules.bind(name, source.catalog(), &BTreeSet::new());
        Ok(Room { source, bound, names: Names::default(), upstream })
    }
}
