//! Which records: of a search, a tail, an export, a report.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stepgate_types::{GrantId, RequestId, SessionId, Timestamp};

use crate::Record;
use crate::facet::{Facet, facets};

/// Which records. Of several members all must hold; one that is a list holds if one of its entries does, and an empty
/// one always.
///
/// People and addresses are given as they are, and stand in records as commitments: [`Filter::resolve`] adds these
/// once, before the filter is used. As they are they match what was recorded before there were commitments.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// Who acts, or whom it concerns.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub person: Vec<String>,
    /// Labels touched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub label: Vec<String>,
    /// Relations reached, `schema.name`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub table: Vec<String>,
    /// Databases of the gate's configuration.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub database: Vec<String>,
    /// Rules that matched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rule: Vec<String>,
    /// Verdicts, outcomes, and why the gate itself refuses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outcome: Vec<String>,
    /// Types of events; `stepup.*` is all of a family.
    #[serde(rename = "type", skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<String>,
    /// Sessions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub session: Vec<SessionId>,
    /// Requests.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub request: Vec<RequestId>,
    /// Grants and passes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub grant: Vec<GrantId>,
    /// Addresses, without port.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub address: Vec<String>,
    /// At least this risk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub risk: Option<u64>,
    /// Not before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What one member asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted<'f> {
    /// Exactly this.
    Is(&'f str),
    /// What begins so.
    Begins(&'f str),
    /// A number that is at least this.
    AtLeast(u64),
}

impl Wanted<'_> {
    /// Whether this is it.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => text == *wanted,
            Self::Begins(wanted) => text.starts_with(wanted),
            Self::AtLeast(least) => text.parse::<u64>().is_ok_and(|number| number >= *least),
        }
    }
}

/// A filter made ready to be held against many records: for each facet it names, what is wanted of it.
#[derive(Debug, Clone)]
pub struct Sieve {
    wanted: Vec<(Facet, Owned)>,
    facets: u16,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

#[derive(Debug, Clone)]
enum Owned {
    Is(String),
    Begins(String),
    AtLeast(u64),
}

impl Owned {
    fn wanted(&self) -> Wanted<'_> {
        match self {
            Self::Is(text) => Wanted::Is(text),
            Self::Begins(text) => Wanted::Begins(text),
            Self::AtLeast(least) => Wanted::AtLeast(*least),
        }
    }
}

impl Filter {
    /// Whether everything passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds to people and addresses what they stand for in records; `commitment` is asked for each.
    pub fn resolve(&mut self, commitment: &mut dyn FnMut(Facet, &str) -> Option<String>) {
        for (facet, list) in [(Facet::Person, &mut self.person), (Facet::Address, &mut self.address)] {
            let found: Vec<_> = list.iter().filter_map(|text| commitment(facet, text)).collect();
            for found in found {
                if !list.contains(&found) {
                    list.push(found);
                }
            }
        }
    }

    /// As it may be recorded: who is looked for stays in it as a commitment only, and where there is none, the log has
    /// nothing of them, as `unknown`.
    #[must_use]
    pub fn for_record(&self) -> String {
        let mut filter = self.clone();
        for list in [&mut filter.person, &mut filter.address] {
            let plain = !list.is_empty();
            list.retain(|text| is_commitment(text));
            if plain && list.is_empty() {
                list.push("unknown".to_owned());
            }
        }
        serde_json::to_string(&filter).unwrap_or_default()
    }

    /// Whether a record passes. To hold it against many, make a [`Sieve`].
    #[must_use]
    pub fn matches(&self, record: &Record) -> bool {
        self.sieve().passes(record)
    }

    /// Made ready for use.
    #[must_use]
    pub fn sieve(&self) -> Sieve {
        let mut wanted = Vec::new();
        let mut is = |facet, texts: &[String]| {
            wanted.extend(texts.iter().map(|text| (facet, Owned::Is(text.clone()))));
        };
        is(Facet::Person, &self.person);
        is(Facet::Label, &self.label);
        is(Facet::Table, &self.table);
        is(Facet::Database, &self.database);
        is(Facet::Rule, &self.rule);
        is(Facet::Outcome, &self.outcome);
        is(Facet::Address, &self.address);
        is(Facet::Session, &self.session.iter().map(ToString::to_string).collect::<Vec<_>>());
        is(Facet::Grant, &self.grant.iter().map(ToString::to_string).collect::<Vec<_>>());
        is(Facet::Request, &self.request.iter().map(ToString::to_string).collect::<Vec<_>>());
        wanted.extend(self.kind.iter().map(|kind| {
            let family = kind.strip_suffix('*').map(|family| Owned::Begins(family.to_owned()));
            (Facet::Type, family.unwrap_or_else(|| Owned::Is(kind.clone())))
        }));
        wanted.extend(self.risk.map(|least| (Facet::Risk, Owned::AtLeast(least))));
        let facets = wanted.iter().fold(0, |bits, (facet, _)| bits | facet.bit());
        Sieve { wanted, facets, since: self.since, until: self.until }
    }
}

impl Sieve {
    /// Whether a record passes.
    #[must_use]
    pub fn passes(&self, record: &Record) -> bool {
        if !self.is_in_time(record.at) {
            return false;
        }
        if self.facets == 0 {
            return true;
        }
        match serde_json::to_value(&record.event) {
            Ok(Value::Object(fields)) => self.passes_fields(&fields),
            _ => false,
        }
    }

    /// Whether a record of this time may pass.
    #[must_use]
    pub fn is_in_time(&self, at: Timestamp) -> bool {
        self.since.is_none_or(|since| at >= since) && self.until.is_none_or(|until| at < until)
    }

    /// Whether none of these times, which lie between both, can pass.
    #[must_use]
    pub fn excludes(&self, first: Timestamp, last: Timestamp) -> bool {
        self.since.is_some_and(|since| last < since) || self.until.is_some_and(|until| first >= until)
    }

    /// Whether these members of a record pass, whatever its time.
    #[must_use]
    pub fn passes_fields(&self, fields: &Map<String, Value>) -> bool {
        let mut missing = Missing(self.facets);
        self.find(&mut missing, fields);
        missing.is_nothing()
    }

    /// What a record must have to pass. Those whose lists go on in records of their own pass by all of these together.
    #[must_use]
    pub const fn all(&self) -> Missing {
        Missing(self.facets)
    }

    /// Takes what these members have from what is missing.
    pub fn find(&self, missing: &mut Missing, fields: &Map<String, Value>) {
        if missing.is_nothing() {
            return;
        }
        facets(fields, &mut |facet, text| {
            if missing.0 & facet.bit() != 0
                && self.wanted.iter().any(|(of, wanted)| *of == facet && wanted.wanted().is(text))
            {
                missing.0 &= !facet.bit();
            }
        });
    }

    /// What is wanted, by facet: all facets must hold, and each does if one of what is wanted of it does.
    pub fn wanted(&self) -> impl Iterator<Item = (Facet, Vec<Wanted<'_>>)> {
        Facet::ALL.into_iter().filter(|facet| self.facets & facet.bit() != 0).map(|facet| {
            let wanted = self.wanted.iter().filter(|(of, _)| *of == facet);
            (facet, wanted.map(|(_, wanted)| wanted.wanted()).collect())
        })
    }
}

/// What a record has not shown of what is wanted of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing(u16);

impl Missing {
    /// Whether it passes.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.0 == 0
    }
}

/// Whether a text can only be a commitment: no name or address is that long.
fn is_commitment(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}
