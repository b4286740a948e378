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
use stepgate_types::{Certainty, ColumnName, RelationName, Use};

/// Whose data rows may be.
pub(super) enum Telling {
    /// Nothing limits that.
    Unasked,
    /// Each row is about one of each of these relations at most.
    OneOfEach(BTreeSet<RelationName>),
    /// There may be any number in a row.
    Unknown,
}

/// Whose data the rows of this message are.
pub(super) fn of(decision: &Decision, message: &[Facts]) -> Telling {
    if !decision.counts_subjects() {
        return Telling::Unasked;
    }
    if message.iter().any(|facts| facts.certainty == Certainty::Unknown) {
        return Telling::Unknown;
    }
    let read = decision.touched.iter().filter(|it| it.uses.iter().any(|use_| *use_ != Use::Write));
    let relations: BTreeSet<_> = read.map(|touched| touched.column.relation.clone()).collect();
    let each_is_one = |relation: &RelationName| {
        let mut reaching = message.iter().filter(|facts| facts.may_reach(relation));
        reaching.all(|facts| facts.tells_of_one_row(relation) || !puts_out(facts, relation))
    };
    if relations.iter().all(each_is_one) { Telling::OneOfEach(relations) } else { Telling::Unknown }
}

/// Whether any column of the relation is in what it shows.
fn puts_out(facts: &Facts, relation: &RelationName) -> bool {
    let of = |column: &ColumnName| column.relation == *relation;
    facts.columns.iter().any(|(column, uses)| of(column) && uses.contains(&Use::Output))
}

/// How the rows of a statement are looked into, if they are.
pub(super) fn tells(telling: Telling, map: &Map, database: &str, vault: &Vault) -> Option<Tells> {
    let Telling::OneOfEach(relations) = telling else { return None };
    let hash = Arc::new(Hash(vault.keyed_hash("limit subject")));
    let key = |relation: &RelationName| {
        map.tracked_key(database, relation).map(|key| (relation.clone(), key.to_owned()))
    };
    let keys: Vec<_> = relations.iter().filter_map(key).collect();
    Some(Tells::of(relations, keys, hash))
}

/// By a key of the vault's.
#[derive(Debug)]
struct Hash(KeyedHash);

impl HashSubject for Hash {
    fn hash(&self, relation: &RelationName, form: u8, key: &[u8]) -> u64 {
        self.0.of(&[relation.schema.as_bytes(), relation.name.as_bytes(), &[form], key])
    }
}
