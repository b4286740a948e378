//! Map and policy, read from their files.

use std::path::Path;

use sha2::{Digest, Sha256};
use stepgate_policy::{Errors, Map, Ruleset};

use crate::config::Config;
use crate::failure::Failure;

/// The largest map or policy that is read, in bytes: some hundred thousand columns.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The texts of both files.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Texts {
    map: String,
    rules: String,
}

impl Texts {
    /// These.
    pub(crate) const fn new(map: String, rules: String) -> Self {
        Self { map, rules }
    }

    /// Reads both.
    pub(crate) fn read(config: &Config) -> Result<Self, Failure> {
        Ok(Self { map: read(&config.map, "the PII map")?, rules: read(&config.rules, "the policy")? })
    }

    /// Reads both from elsewhere.
    pub(crate) fn of(map: &Path, rules: &Path) -> Result<Self, Failure> {
        Ok(Self { map: read(map, "the PII map")?, rules: read(rules, "the policy")? })
    }

    /// The map's.
    pub(crate) fn map(&self) -> &str {
        &self.map
    }

    /// The policy's.
    pub(crate) fn rules(&self) -> &str {
        &self.rules
    }

    /// SHA-256 (hex) over the SHA-256 of the map's text and that of the policy's, as records name them.
    pub(crate) fn sha256(&self) -> String {
        let parts = [&self.map, &self.rules].map(|text| Sha256::digest(text.as_bytes()));
        data_encoding::HEXLOWER.encode(&Sha256::digest(parts.concat()))
    }

    /// Map and policy, if they are valid.
    pub(crate) fn compile(&self, config: &Config) -> Result<Ruleset, Errors> {
        let name = |path: &Path| path.display().to_string();
        Ruleset::load((&name(&config.map), &self.map), (&name(&config.rules), &self.rules))
    }
}

/// Both, read and compiled.
pub(crate) fn load(config: &Config) -> Result<Ruleset, Failure> {
    compiled(&Texts::read(config)?, config)
}

/// Those texts, compiled.
pub(crate) fn compiled(texts: &Texts, config: &Config) -> Result<Ruleset, Failure> {
    let rules = texts.compile(config).map_err(|errors| invalid(&errors))?;
    has_what_signals_ask(&rules, config)?;
    Ok(rules)
}

/// Signals would be silent for ever where nothing tells what they ask: where addresses are, whose rows were shown.
pub(crate) fn has_what_signals_ask(rules: &Ruleset, config: &Config) -> Result<(), Failure> {
    let Some(risk) = rules.risk() else { return Ok(()) };
    let missing =
        |what: &str, hint: &str| Err(Failure { hint: Some(hint.to_owned()), ..Failure::usage(what) });
    if risk.needs_places() && config.places.is_none() {
        return missing(
            "the policy weighs geo_change, impossible_travel or far_sessions, and the configuration names no `places`",
            "places: GeoLite2-City.mmdb, a file in MaxMind's format of your own; or take these signals out",
        );
    }
    if risk.counts_subjects() && !config.audit.track_subjects {
        return missing(
            "the policy limits `velocity` by subjects, and nobody records whose rows are shown",
            "audit: {track_subjects: true} in the configuration, for tables with a `subject_key`; or limit rows",
        );
    }
    Ok(())
}

/// Both, from these files, whatever is configured.
pub(crate) fn load_files(map: &Path, rules: &Path) -> Result<Ruleset, Failure> {
    let (map_text, rules_text) = (read(map, "the PII map")?, read(rules, "the policy")?);
    let name = |path: &Path| path.display().to_string();
    Ruleset::load((&name(map), &map_text), (&name(rules), &rules_text)).map_err(|errors| invalid(&errors))
}

/// A map alone.
pub(crate) fn load_map(path: &Path) -> Result<Map, Failure> {
    let text = read(path, "the PII map")?;
    Map::load(&path.display().to_string(), &text).map_err(|errors| invalid(&errors))
}

pub(crate) fn invalid(errors: &Errors) -> Failure {
    Failure::usage(format!("map and policy are not valid\n{}", errors.to_string().trim_end()))
}

/// The text of a file that rules, or what tries them, are written in.
pub(crate) fn read(path: &Path, what: &str) -> Result<String, Failure> {
    let trouble = |error: &std::io::Error| Failure::file(&format!("read {what}"), path, error);
    let meta = std::fs::metadata(path).map_err(|error| trouble(&error))?;
    // Of a pipe there may never come anything, nor an end.
    if !meta.is_file() {
        return Err(Failure::usage(format!("{} is not a regular file", path.display())));
    }
    if meta.len() > MAX_FILE {
        return Err(Failure::usage(format!("{} is larger than {MAX_FILE} bytes", path.display())));
    }
    std::fs::read_to_string(path).map_err(|error| trouble(&error))
}
