//! A record and those behind it that it goes on in: a filter takes all of them or none.

use serde_json::{Map, Value};
use stepgate_types::Timestamp;

use crate::filter::{Missing, Sieve};

/// The most records that one goes on in: 64 KiB in all.
pub const MAX_PARTS: u64 = 16;

/// Which part of another record this one is, by its members: so many places behind it. `None`: it is none.
#[must_use]
pub fn part_of(fields: &Map<String, Value>) -> Option<u64> {
    let is_part = fields.get("type").and_then(Value::as_str) == Some("record.continued");
    let part = fields.get("part").and_then(Value::as_u64).filter(|_| is_part)?;
    (1..=MAX_PARTS).contains(&part).then_some(part)
}

/// One record with those that it goes on in, held against a filter: they pass by what all of them show together.
#[derive(Debug, Clone, Copy)]
pub struct Group {
    first: u64,
    count: u64,
    continued: bool,
    in_time: bool,
    missing: Missing,
}

impl Group {
    /// Begins with a record, by its number and its [`crate::members`].
    #[must_use]
    pub fn begin(sieve: &Sieve, seq: u64, fields: &Map<String, Value>) -> Self {
        let at = fields.get("ts_us").and_then(Value::as_i64).unwrap_or_default();
        let mut missing = sieve.all();
        sieve.find(&mut missing, fields);
        Self {
            first: seq,
            count: 1,
            continued: fields.contains_key("continued"),
            in_time: sieve.is_in_time(Timestamp::from_micros(at)),
            missing,
        }
    }

    /// Takes the next record, if it is the next part of this one; if not, it is of another.
    pub fn add(&mut self, sieve: &Sieve, seq: u64, fields: &Map<String, Value>) -> bool {
        let is_next = self.goes_on()
            && self.first.checked_add(self.count) == Some(seq)
            && part_of(fields) == Some(self.count);
        if is_next {
            self.count = self.count.saturating_add(1);
            sieve.find(&mut self.missing, fields);
        }
        is_next
    }

    /// Whether more may belong to it.
    #[must_use]
    pub const fn goes_on(&self) -> bool {
        self.continued && self.count <= MAX_PARTS
    }

    /// Whether more could change that it does not pass.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.goes_on() && self.in_time && !self.missing.is_nothing()
    }

    /// Whether it passes, by what it has so far.
    #[must_use]
    pub const fn passes(&self) -> bool {
        self.in_time && self.missing.is_nothing()
    }
}

/// Puts records together, as they come one after the other; never more than one with its parts waits.
#[derive(Debug)]
pub struct Groups<T> {
    sieve: Sieve,
    waiting: Option<(Group, Vec<T>)>,
}

impl<T> Groups<T> {
    /// For this filter.
    #[must_use]
    pub const fn new(sieve: Sieve) -> Self {
        Self { sieve, waiting: None }
    }

    /// Takes the next record, as `item`, and gives the groups that are whole now, in their order, each with whether it
    /// passes.
    pub fn take(
        &mut self,
        seq: u64,
        fields: &Map<String, Value>,
        item: T,
    ) -> impl Iterator<Item = (bool, Vec<T>)> + use<T> {
        let mut before = self.waiting.take();
        let belongs = before.as_mut().is_some_and(|(group, _)| group.add(&self.sieve, seq, fields));
        let (ended, mut current) = if belongs {
            (None, before)
        } else {
            (before, Some((Group::begin(&self.sieve, seq, fields), Vec::new())))
        };
        if let Some((_, items)) = &mut current {
            items.push(item);
        }
        if current.as_ref().is_some_and(|(group, _)| group.goes_on()) {
            self.waiting = current.take();
        }
        [ended, current].into_iter().flatten().map(|(group, items)| (group.passes(), items))
    }

    /// Whether a record waits for what it goes on in.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// No more come behind the one that waits.
    pub fn finish(&mut self) -> Option<(bool, Vec<T>)> {
        self.waiting.take().map(|(group, items)| (group.passes(), items))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Filter;

    fn fields(record: Value) -> Map<String, Value> {
        record.as_object().unwrap().clone()
    }

    fn head() -> Map<String, Value> {
        fields(json!({"type": "statement.decided", "person": "dana", "ts_us": 7, "relations": ["a.b"],
                      "continued": {"relations": 3}}))
    }

    fn part(part: u64, table: &str) -> Map<String, Value> {
        fields(
            json!({"type": "record.continued", "ts_us": 7, "part": part, "field": "relations", "values": [table]}),
        )
    }

    fn taken(filter: &str, records: &[(u64, Map<String, Value>)]) -> Vec<(bool, Vec<u64>)> {
        let filter: Filter = serde_json::from_str(filter).unwrap();
        let mut groups = Groups::new(filter.sieve());
        let mut taken: Vec<_> =
            records.iter().flat_map(|(seq, fields)| groups.take(*seq, fields, *seq)).collect();
        taken.extend(groups.finish());
        taken
    }

    #[test]
    fn a_record_passes_by_what_it_shows_together_with_its_parts() {
        let records = [(4, head()), (5, part(1, "a.c")), (6, part(2, "a.d")), (7, head())];
        let of_dana = |table: &str| format!("{{\"person\":[\"dana\"],\"table\":[\"{table}\"]}}");
        for (table, passes) in [("a.b", [true, true]), ("a.d", [true, false]), ("a.e", [false, false])] {
            let expected = vec![(passes[0], vec![4, 5, 6]), (passes[1], vec![7])];
            assert_eq!(taken(&of_dana(table), &records), expected, "{table}");
        }
        assert_eq!(taken("{\"table\":[\"a.d\"],\"until\":7}", &records[..3]), [(false, vec![4, 5, 6])]);
    }

    #[test]
    fn what_is_no_part_of_the_record_before_it_stands_alone() {
        let of_table = "{\"table\":[\"a.c\"]}";
        // After the record that it belongs to was deleted; of another; one too many.
        assert_eq!(taken(of_table, &[(5, part(1, "a.c"))]), [(true, vec![5])]);
        assert_eq!(taken(of_table, &[(4, head()), (5, part(2, "a.c"))]), [(false, vec![4]), (true, vec![5])]);
        assert_eq!(taken(of_table, &[(4, head()), (6, part(1, "a.c"))]), [(false, vec![4]), (true, vec![6])]);
        let mut many = vec![(0, head())];
        many.extend((1..=MAX_PARTS + 1).map(|n| (n, part(n, "a.x"))));
        let taken = taken(of_table, &many);
        assert_eq!(taken.iter().map(|(_, records)| records.len()).collect::<Vec<_>>(), [17, 1]);
    }
}
