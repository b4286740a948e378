//! Whose data a statement names and shows, as keyed hashes (`audit.track_subjects`).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use stepgate_record::{Event, KeySource, SeenSubjects};
use stepgate_session::{Pending, TrackedKeys, canonical_key, is_one_text, text_of};
use stepgate_sql::{Catalog, Comparison, OperandClass, Written};
use stepgate_types::{ColumnName, RelationName};

use super::Judge;

/// The most keys that are told in one record.
const AT_ONCE: usize = 96;

/// Bytes of a hash that are kept.
const HASH_BYTES: usize = 16;

impl Judge {
    /// A statement that was decided on has ended, or does not run.
    pub(crate) fn has_ended(&mut self, number: u64, failed: bool) {
        self.database.keys.has_ended(number, failed, &mut self.writing);
    }

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

    /// The records of keys that the conditions of a statement name, which the catalog tells the types of.
    pub(crate) fn named_subjects(
        &self,
        tracked: &TrackedKeys,
        pending: &Pending,
        catalog: &Catalog,
    ) -> Vec<Event> {
        let named = named(tracked, pending, catalog);
        named
            .iter()
            .flat_map(|(column, Named { keys, more })| {
                // One of several records may find no room.
                let more = *more || keys.len() > AT_ONCE;
                let keys: Vec<String> = keys.iter().cloned().collect();
                let record = |keys: &[String]| {
                    let source = KeySource::Predicate;
                    self.subjects(pending.number, &column.relation, source, keys, more)
                };
                keys.chunks(AT_ONCE).map(record).collect::<Vec<_>>()
            })
            .collect()
    }
}

/// Keys that a statement names.
#[derive(Debug, Default, PartialEq, Eq)]
struct Named {
    keys: BTreeSet<String>,
    /// It may reach rows of other keys as well.
    more: bool,
}

/// By the columns that are tracked and compared: of each, all that is known.
fn named<'p>(
    tracked: &TrackedKeys,
    pending: &'p Pending,
    catalog: &Catalog,
) -> BTreeMap<&'p ColumnName, Named> {
    let mut all: BTreeMap<&ColumnName, Named> = BTreeMap::new();
    let values = pending.compared();
    for predicate in pending.facts.iter().flat_map(|facts| facts.predicates.iter()) {
        if !tracked.is_key(&predicate.column) {
            continue;
        }
        let Named { keys, more } =
            all.entry(&predicate.column).or_insert_with(|| is_held(pending, &predicate.column));
        if !matches!(predicate.op, Comparison::Eq | Comparison::In) {
            // That rows are held to keys by other comparisons is known already.
            continue;
        }
        let place = predicate.operand.value.filter(|place| !place.rounded);
        let written = place.and_then(|place| Some((values.written(place)?, place.negated)));
        let of = catalog.type_of(&predicate.column);
        match written.and_then(|(written, negated)| key(&written, negated, predicate.operand.class, of)) {
            Some((key, certain)) => {
                keys.insert(key);
                *more |= !certain;
            }
            None => *more = true,
        }
    }
    all
}

/// None named yet; whether there may be others is told by the form of the only statement that reaches the relation.
fn is_held(pending: &Pending, ColumnName { relation, column }: &ColumnName) -> Named {
    let mut reaching = pending.facts.iter().filter(|facts| facts.may_reach(relation));
    let held = matches!((reaching.next(), reaching.next()), (Some(only), None) if only.is_held_to_keys(relation, column));
    Named { keys: BTreeSet::new(), more: !held }
}

/// A key as the server would show it, where the type of its column tells how, and whether that is certain: one text may
/// equal another by its collation.
fn key(written: &Written<'_>, negated: bool, class: OperandClass, of: Option<u32>) -> Option<(String, bool)> {
    let text = match written {
        Written::Text(text) => text.clone(),
        Written::Binary(type_oid, value) => text_of(*type_oid, true, value)?,
    };
    let text = if negated { opposite(&text) } else { text };
    if let Some(key) = of.and_then(|of| canonical_key(of, &text)) {
        let certain = is_one_text(&key);
        return Some((key, certain));
    }
    match (text.parse::<i64>(), class) {
        // Of a column of numbers this is the number; of one of texts it is the text, and both may be meant.
        (Ok(number), OperandClass::Number) => Some((number.to_string(), true)),
        (Ok(number), _) => {
            let certain = number.to_string() == text;
            Some((text, certain))
        }
        (Err(_), OperandClass::Number) => None,
        (Err(_), _) => {
            let certain = !negated && is_one_text(&text);
            Some((text, certain))
        }
    }
}

/// The text of a number, with a minus before it.
fn opposite(text: &str) -> String {
    let text = text.trim();
    match text.strip_prefix('-') {
        Some(rest) => rest.to_owned(),
        None => format!("-{}", text.strip_prefix('+').unwrap_or(text)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stepgate_session::{Protocol, TransactionSoFar};
    use stepgate_sql::{SessionState, analyze};

    use super::*;

    /// With tables `public.c` and `public.d` of columns `id` (a bigint), `mail`, `guid` (a uuid), `price` (a numeric) and
    /// `code` (a `char(9)`).
    fn catalog() -> Catalog {
        let row = |cells: &[&str]| cells.iter().map(|cell| Some((*cell).to_owned())).collect::<Vec<_>>();
        let rows = stepgate_sql::CATALOG_QUERIES.iter().map(|query| {
            let rows: Vec<_> = match query.name {
                "relations" => ["c", "d"]
                    .iter()
                    .zip(["16400", "16401"])
                    .map(|(name, oid)| row(&[oid, "public", name, "r", "100", "1", "false", "false"]))
                    .collect(),
                "columns" => ["16400", "16401"]
                    .iter()
                    .flat_map(|oid| {
                        [
                            ("1", "id", "20/-1"),
                            ("2", "mail", "25/-1"),
                            ("3", "guid", "2950/-1"),
                            ("4", "price", "1700/-1"),
                            ("5", "code", "1042/13"),
                        ]
                        .map(|(number, name, of)| row(&[oid, number, name, "false", of]))
                    })
                    .collect(),
                "schemas" => vec![row(&["public", ""]), row(&["pg_catalog", ""])],
                _ => Vec::new(),
            };
            (query.name, rows.into_iter().collect())
        });
        Catalog::from_rows(&rows.collect::<Vec<_>>()).unwrap()
    }

    fn pending(sql: &str) -> Pending {
        let state = SessionState::with_search_path(["pg_catalog", "public"]);
        Pending {
            number: 1,
            protocol: Protocol::Simple,
            facts: Arc::from(analyze(sql.as_bytes(), &catalog(), &state)),
            sql: Bytes::copy_from_slice(sql.as_bytes()),
            read: None,
            behind: Vec::new(),
            unseen: false,
            values: Vec::new(),
            formats: Vec::new(),
            types: Vec::new(),
            transaction: TransactionSoFar::Nothing,
            in_transaction: false,
            restated: false,
            aborted: false,
            runs_as: stepgate_sql::RunsAs::default(),
        }
    }

    /// Keys of `column` of `public.c` that a statement names, and whether there may be more.
    fn named_by(column: &str, sql: &str) -> Option<(Vec<String>, bool)> {
        let relation = RelationName::new("public", "c");
        let tracked = TrackedKeys::new([(relation.clone(), column.to_owned())]);
        let pending = pending(sql);
        let mut all = named(&tracked, &pending, &catalog());
        let Named { keys, more } = all.remove(&ColumnName::new(relation, column))?;
        assert!(all.is_empty(), "{sql}");
        Some((keys.into_iter().collect(), more))
    }

    /// An examiner who asks about somebody else is not told that this cannot have been them.
    #[test]
    fn a_statement_that_names_one_key_and_may_read_other_rows_says_that_there_may_be_more() {
        for (sql, more) in [
            ("select mail from c where id = 7", false),
            ("select mail from public.c where id in (7) and mail is not null", false),
            ("update c set mail = 'x' where id = 7", false),
            ("select mail from c where id = 7 or true", true),
            ("select mail from c where id = 7 or mail like 'a%'", true),
            ("select mail from c where (id = 7) is not null", true),
            ("select max(mail) from c where id = 7 or id = 8", true),
            ("select (select max(mail) from c) from c where id = 7", true),
            ("select mail from c where id = 7 union select max(mail) from c", true),
            ("select y.mail from c x, c y where x.id = 7", true),
            ("select mail from d left join c on c.id = 7", true),
            ("select max(mail) from c; select mail from c where id = 7", true),
            ("with x as (select max(mail) from c) select * from x, c where id = 7", true),
        ] {
            let (keys, said) = named_by("id", sql).unwrap_or_default();
            assert!(keys.contains(&"7".to_owned()), "{sql}: {keys:?}");
            assert_eq!(said, more, "{sql}");
        }
        assert_eq!(named_by("id", "select mail from c where id > 7"), Some((Vec::new(), true)));
    }

    #[test]
    fn a_text_that_others_may_equal_is_no_certain_key() {
        for (text, certain) in [
            ("42", true),
            ("12121212-1212-1212-1212-12121212121a", true),
            ("12121212-1212-1212-1212-12121212121A", false),
            ("{12121212-1212-1212-1212-12121212121a}", false),
            ("Alice@x.org", false),
            ("alice@x.org", false),
            ("42 ", false),
            ("042", false),
            ("+42", false),
        ] {
            let sql = format!("select id from c where mail = '{text}'");
            assert_eq!(named_by("mail", &sql), Some((vec![text.to_owned()], !certain)), "{text}");
        }
    }

    /// Whose data was read is asked by the key that results show; a literal in another spelling reads the same row.
    #[test]
    fn a_literal_is_told_as_its_column_shows_it_however_it_is_spelt() {
        const SHOWN: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
        for (column, literal, key, more) in [
            ("id", "42", "42", false),
            ("id", "042", "42", false),
            ("id", "'042'", "42", false),
            ("id", "' +42'", "42", false),
            ("id", "42.0", "42", false),
            // That it computes nothing but the sign is not looked at.
            ("id", "-'-42'", "42", true),
            ("guid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", SHOWN, false),
            ("guid", "'{a0eebc999c0b4ef8bb6d6bb9bd380a11}'", SHOWN, false),
            ("price", "42.00", "42", false),
            ("price", "'042.50'", "42.5", true),
            ("code", "'ab  '", "ab", true),
            ("mail", "'042'", "042", true),
        ] {
            let sql = format!("select id from c where {column} = {literal}");
            assert_eq!(named_by(column, &sql), Some((vec![key.to_owned()], more)), "{sql}");
        }
    }

    #[test]
    fn a_bound_value_is_told_as_its_column_shows_it_whatever_its_format() {
        let tracked = TrackedKeys::new([(RelationName::new("public", "c"), "id".to_owned())]);
        for (sql, value, format, type_oid, key, more) in [
            ("select mail from c where id = $1", &b"042"[..], 0, 0, "42", false),
            ("select mail from c where id = $1", b" 42", 0, 23, "42", false),
            ("select mail from c where id = $1", &42_i64.to_be_bytes(), 1, 20, "42", false),
            ("select mail from c where id = -$1", &42_i32.to_be_bytes(), 1, 23, "-42", true),
        ] {
            let (values, formats, types) =
                (vec![Some(Bytes::copy_from_slice(value))], vec![format], vec![type_oid]);
            let pending = Pending { values, formats, types, ..pending(sql) };
            let named: Vec<_> = named(&tracked, &pending, &catalog()).into_values().collect();
            let expected = Named { keys: [key.to_owned()].into(), more };
            assert_eq!(named, [expected], "{sql} {value:?}");
        }
    }

    /// A map of a hundred thousand tables costs a statement no more than one of a few.
    #[test]
    fn only_what_a_statement_compares_is_looked_up() {
        let many = (0..1_000).map(|at| (RelationName::new("public", format!("t{at}")), "id".to_owned()));
        let of_c = [(RelationName::new("public", "c"), "id".to_owned())];
        let tracked = TrackedKeys::new(many.chain(of_c));
        let pending = pending("select mail from c where id = 7 and mail = 'x'");
        let found: Vec<_> =
            named(&tracked, &pending, &catalog()).into_keys().map(ToString::to_string).collect();
        assert_eq!(found, ["public.c.id"]);
    }
}
