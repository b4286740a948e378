//! Whose data the rows of a statement are, for limits on subjects.
//!
//! A row counts as one subject of each classified relation that its statement reads: as the one whose key it shows, where
//! it shows one, else as somebody new. That holds only where each row is made of one row of a relation at most. Of what
//! puts together several (`array_agg`, a join of a table with itself, a view) nobody can say how many people are in a
//! row: such statements are asked about before they run.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_policy::{Decision, Map};
use stepgate_session::{HashSubject, Tells};
use stepgate_sql::Facts;
use stepgate_store::{KeyedHash, Vault};
use stepgate_types::{Certainty, ColumnName, Kind, RelationName, Use};

/// Whose data rows may be.
pub(super) enum Telling {
    /// Nothing limits that.
    Unasked,
    /// Each row is about one of each of these relations at most.
    OneOfEach(BTreeSet<RelationName>),
    /// There may be any number in a row.
    Unknown,
}

/// Whose data the rows of this message are, in that database of the map's.
pub(super) fn of(decision: &Decision, message: &[Facts], map: &Map, database: &str) -> Telling {
    if !decision.counts_subjects() {
        return Telling::Unasked;
    }
    if message.iter().any(|facts| facts.certainty == Certainty::Unknown) {
        return Telling::Unknown;
    }
    let read = decision.touched.iter().filter(|it| it.uses.iter().any(|use_| *use_ != Use::Write));
    let mut relations: BTreeSet<_> = read.map(|touched| touched.column.relation.clone()).collect();
    if relations.is_empty() {
        // A rule about tables limits what has no label, too: whose rows those are is told where the map says so.
        let reached = message.iter().flat_map(|facts| &facts.relations);
        let tracked = |relation: &&RelationName| map.tracked_key(database, relation).is_some();
        relations.extend(reached.filter(tracked).cloned());
    }
    // Also what is only compared tells of somebody, and in a subquery or an aggregate of any number.
    let each_is_one = |relation: &RelationName| {
        let mut reaching = message.iter().filter(|facts| facts.may_reach(relation));
        reaching.all(|facts| facts.tells_of_one_row(relation) || shows_nothing(facts))
    };
    if relations.iter().all(each_is_one) { Telling::OneOfEach(relations) } else { Telling::Unknown }
}

/// Whether it writes, and without RETURNING: it shows a number at most, which counts as a row.
fn shows_nothing(facts: &Facts) -> bool {
    let text = &facts.normalised;
    matches!(facts.kind, Kind::Ddl | Kind::CopyIn | Kind::Transaction | Kind::Session)
        || matches!(facts.kind, Kind::Insert | Kind::Update | Kind::Delete | Kind::Merge)
        // Of a longer one the end may be missing.
        && text.len() < Facts::MAX_NORMALISED / 2
        && !text.to_ascii_lowercase().contains("returning")
}

/// How the rows of a statement are looked into, if they are; `relies`: whether a key tells whose a row is.
pub(super) fn tells(
    telling: Telling,
    (map, database): (&Map, &str),
    vault: &Vault,
    relies: impl Fn(&ColumnName) -> bool,
) -> Option<Tells> {
    let Telling::OneOfEach(relations) = telling else { return None };
    let hash = Arc::new(Hash(vault.keyed_hash("limit subject")));
    let key = |relation: &RelationName| map.tracked_key(database, relation).map(|key| key_of(relation, key));
    let keys = relations.iter().filter_map(key).filter(|key| relies(key));
    let keys: Vec<_> = keys.map(|key| (key.relation, key.column)).collect();
    Some(Tells::of(relations, keys, hash))
}

fn key_of(relation: &RelationName, key: &str) -> ColumnName {
    ColumnName { relation: relation.clone(), column: key.to_owned() }
}

/// Keys that this message is about to write in rows that are there.
pub(super) fn writes(message: &[Facts], map: &Map, database: &str) -> Vec<ColumnName> {
    let is_key = |column: &&ColumnName| {
        map.tracked_key(database, &column.relation).is_some_and(|key| key == column.column)
    };
    message.iter().flat_map(Facts::rewrites).filter(is_key).cloned().collect()
}

/// By a key of the vault's.
#[derive(Debug)]
struct Hash(KeyedHash);

impl HashSubject for Hash {
    fn hash(&self, relation: &RelationName, form: u8, key: &[u8]) -> u64 {
        self.0.of(&[relation.schema.as_bytes(), relation.name.as_bytes(), &[form], key])
    }
}
