//! Whose data a statement names and shows, as keyed hashes (`audit.track_subjects`).

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_record::{Event, KeySource, SeenSubjects};
use stepgate_session::{Pending, TrackedKeys, text_of};
use stepgate_sql::{Comparison, OperandClass, Written};
use stepgate_types::RelationName;

use super::Judge;

/// The most keys that are told in one record.
const AT_ONCE: usize = 96;

/// Bytes of a hash that are kept.
const HASH_BYTES: usize = 16;

impl Judge {
    /// The keys to be told of, if any are. As the map is when the session begins.
    pub(crate) fn tracked_keys(&self) -> Option<Arc<TrackedKeys>> {
        if !self.gate.track_subjects {
            return None;
        }
        let rules = self.gate.rules();
        let keys = TrackedKeys::new(rules.map().subject_keys(&self.database.config.name));
        (!keys.is_empty()).then(|| Arc::new(keys))
    }

    /// The record of keys that a statement has named or shown.
    pub(crate) fn subjects(
        &self,
        statement: u64,
        relation: &RelationName,
        source: KeySource,
        keys: &[String],
        more: bool,
    ) -> Event {
        let relation = relation.to_string();
        let label = format!("subject/{relation}");
        let hash = |key: &String| {
            let mut hash = self.gate.vault.hmac_hex(&label, key.as_bytes());
            hash.truncate(2 * HASH_BYTES);
            hash
        };
        let hashes = keys.iter().map(hash).collect();
        let session = self.session;
        Event::StatementSubjects(Box::new(SeenSubjects {
            session,
            statement,
            relation,
            source,
            hashes,
            more,
        }))
    }

    /// The records of keys that the conditions of a statement name.
    pub(crate) fn named_subjects(&self, tracked: &TrackedKeys, pending: &Pending) -> Vec<Event> {
        if !tracked.concern(&pending.facts) {
            return Vec::new();
        }
        let values = pending.compared();
        let mut events = Vec::new();
        for column in tracked.iter() {
            let (mut keys, mut more) = (BTreeSet::new(), false);
            for predicate in pending.facts.iter().flat_map(|facts| facts.predicates.of(&column)) {
                if !matches!(predicate.op, Comparison::Eq | Comparison::In) {
                    more = true;
                    continue;
                }
                let place = predicate.operand.value.filter(|place| !place.rounded);
                let written = place.and_then(|place| Some((values.written(place)?, place.negated)));
                match written.and_then(|(written, negated)| key(&written, negated, predicate.operand.class)) {
                    Some((key, certain)) => {
                        keys.insert(key);
                        more |= !certain;
                    }
                    None => more = true,
                }
            }
            let keys: Vec<String> = keys.into_iter().collect();
            for keys in keys.chunks(AT_ONCE) {
                events.push(self.subjects(
                    pending.number,
                    &column.relation,
                    KeySource::Predicate,
                    keys,
                    more,
                ));
            }
        }
        events
    }
}

/// A key as the server would show it, and whether that is certain.
fn key(written: &Written<'_>, negated: bool, class: OperandClass) -> Option<(String, bool)> {
    let text = match written {
        Written::Text(text) => text.clone(),
        Written::Binary(type_oid, value) => return Some((text_of(*type_oid, true, value)?, !negated)),
    };
    let sign = if negated { "-" } else { "" };
    match (text.parse::<i64>(), class) {
        // Of a column of numbers this is the number; of one of texts it is the text, and both may be meant.
        (Ok(number), OperandClass::Number) => Some((format!("{sign}{number}"), true)),
        (Ok(number), _) => Some((format!("{sign}{text}"), number.to_string() == text)),
        (Err(_), OperandClass::Number) => None,
        (Err(_), _) => Some((text, !negated)),
    }
}
