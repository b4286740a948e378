//! What is known of the rules that were in force when records were made: files that are at hand, told by their hashes.

use std::collections::HashMap;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use stepgate_policy::{Map, Ruleset, Then};

use crate::config::Config;
use crate::failure::Failure;
use crate::policy::tape::Tape;
use crate::rules;

/// A map and a policy, as texts and compiled.
#[derive(Debug)]
pub(crate) struct Candidate {
    pub(crate) map_file: PathBuf,
    pub(crate) policy_file: PathBuf,
    pub(crate) map_text: String,
    pub(crate) policy_text: String,
    pub(crate) rules: Ruleset,
}

impl Candidate {
    /// Reads and compiles these files; those of the configuration where none is named.
    pub(crate) fn read(
        config: &Config,
        map: Option<&PathBuf>,
        policy: Option<&PathBuf>,
    ) -> Result<Self, Failure> {
        let map = map.unwrap_or(&config.map).clone();
        let policy = policy.unwrap_or(&config.rules).clone();
        let texts = (rules::read(&map, "the PII map")?, rules::read(&policy, "the policy")?);
        Self::compile((map, texts.0), (policy, texts.1))
    }

    /// Compiles these texts.
    pub(crate) fn compile(map: (PathBuf, String), policy: (PathBuf, String)) -> Result<Self, Failure> {
        let (map_name, policy_name) = (map.0.display().to_string(), policy.0.display().to_string());
        let rules = Ruleset::load((&map_name, &map.1), (&policy_name, &policy.1));
        let rules = rules.map_err(|errors| rules::invalid(&errors))?;
        Ok(Self { map_file: map.0, policy_file: policy.0, map_text: map.1, policy_text: policy.1, rules })
    }
}

/// Everything that is known of rules of before.
#[derive(Default)]
pub(crate) struct Known {
    /// Rules by the hash that records name.
    rulesets: Vec<Ruleset>,
    /// Maps by the hash of their text.
    maps: HashMap<String, Map>,
    /// Databases in which the planner is asked.
    planned: HashMap<String, bool>,
}

impl Known {
    /// What these rules are is known.
    pub(crate) fn add(&mut self, rules: &Ruleset) {
        if !self.rulesets.iter().any(|known| known.sha256() == rules.sha256()) {
            self.rulesets.push(rules.clone());
            self.maps.insert(rules.map_sha256().to_owned(), rules.map().clone());
        }
    }

    /// What this map says is known.
    pub(crate) fn add_map(&mut self, file: &std::path::Path) -> Result<(), Failure> {
        let text = rules::read(file, "the PII map")?;
        let map = Map::load(&file.display().to_string(), &text).map_err(|errors| rules::invalid(&errors))?;
        self.maps.insert(data_encoding::HEXLOWER.encode(&Sha256::digest(text)), map);
        Ok(())
    }

    /// Whether the planner is asked in these databases.
    pub(crate) fn plans(&mut self, databases: impl Iterator<Item = (String, bool)>) {
        self.planned.extend(databases);
    }

    /// What is known of the rules of that hash, for a candidate.
    pub(crate) fn then<'k>(&'k self, tape: &Tape, policy_sha256: &str, candidate: &Ruleset) -> Then<'k> {
        let rules = self.rules(policy_sha256);
        let map_sha256 = match rules {
            Some(rules) => Some(rules.map_sha256()),
            None => tape.maps.get(policy_sha256).map(String::as_str),
        };
        Then {
            map: map_sha256.and_then(|sha256| self.maps.get(sha256)),
            is_same_map: map_sha256 == Some(candidate.map_sha256()),
            rules,
            is_planned: false,
        }
    }

    /// The rules of that hash.
    pub(crate) fn rules(&self, policy_sha256: &str) -> Option<&Ruleset> {
        self.rulesets.iter().find(|rules| rules.sha256() == policy_sha256)
    }

    /// Whether the planner is asked in this database; it may be where that is not known.
    pub(crate) fn asks_planner(&self, database: &str) -> bool {
        self.planned.get(database).copied().unwrap_or(true)
    }
}
