//! What a record can be found by: members of its event, told by their names, whatever the event.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A way to find records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Facet {
    /// Who acts, or whom it concerns: a name, or the commitment to one.
    Person = b'p',
    /// A session.
    Session = b's',
    /// A request.
    Request = b'r',
    /// A grant or pass.
    Grant = b'g',
    /// A database of the gate's configuration.
    Database = b'd',
    /// A relation, `schema.name`.
    Table = b't',
    /// A label.
    Label = b'l',
    /// A rule.
    Rule = b'u',
    /// The event's type.
    Type = b'y',
    /// A verdict, an outcome, or why the gate itself refuses.
    Outcome = b'o',
    /// A peer's address: as it is, or the commitment to one.
    Address = b'a',
    /// The risk, a number.
    Risk = b'k',
}

impl Facet {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Person,
        Self::Session,
        Self::Request,
        Self::Grant,
        Self::Database,
        Self::Table,
        Self::Label,
        Self::Rule,
        Self::Type,
        Self::Outcome,
        Self::Address,
        Self::Risk,
    ];

    /// The letter that it goes by in an index.
    #[must_use]
    pub const fn letter(self) -> u8 {
        self as u8
    }

    const fn place(self) -> u16 {
        match self {
            Self::Person => 0,
            Self::Session => 1,
            Self::Request => 2,
            Self::Grant => 3,
            Self::Database => 4,
            Self::Table => 5,
            Self::Label => 6,
            Self::Rule => 7,
            Self::Type => 8,
            Self::Outcome => 9,
            Self::Address => 10,
            Self::Risk => 11,
        }
    }

    /// A bit of its own.
    pub(crate) const fn bit(self) -> u16 {
        1 << self.place()
    }
}

/// The members that [`facets`] looks at, and those by which records go on in others; sorted.
const LOOKED_AT: [&str; 26] = [
    "address",
    "by",
    "columns",
    "continued",
    "database",
    "field",
    "from",
    "grant",
    "labels",
    "network",
    "outcome",
    "part",
    "pass",
    "person",
    "refusal",
    "relation",
    "relations",
    "request",
    "risk",
    "rules",
    "session",
    "to",
    "ts_us",
    "type",
    "values",
    "verdict",
];

/// Of a record's members those that it can be found by, its time, and those by which it goes on in others: the rest is
/// passed over, which is most of it. None of anything that is no record.
#[must_use]
pub fn members(record: &[u8]) -> Map<String, Value> {
    serde_json::from_slice::<Lean>(record).map(|lean| lean.0).unwrap_or_default()
}

struct Lean(Map<String, Value>);

/// The name of a member, where it is looked at.
struct Name(Option<&'static str>);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl Visitor<'_> for Names {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                let known = LOOKED_AT.binary_search(&name).ok();
                Ok(Name(known.and_then(|place| LOOKED_AT.get(place).copied())))
            }
        }
        deserializer.deserialize_identifier(Names)
    }
}

impl<'de> Deserialize<'de> for Lean {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Lean;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a record")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Lean, A::Error> {
                let mut members = Map::new();
                while let Some(Name(name)) = map.next_key()? {
                    match name {
                        Some(name) => drop(members.insert(name.to_owned(), map.next_value()?)),
                        None => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(Lean(members))
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// Hands on everything that a record (or its event) can be found by. The same may come more than once.
pub fn facets(fields: &Map<String, Value>, f: &mut dyn FnMut(Facet, &str)) {
    let kind = text(fields.get("type"));
    for (name, value) in fields {
        match (name.as_str(), value) {
            ("type", Value::String(text)) => f(Facet::Type, text),
            ("person" | "by", value) => people(value, f),
            ("to", Value::String(text)) if kind != Some("label.followed") => f(Facet::Person, text),
            ("from" | "to", Value::String(text)) => table_of(text, f),
            ("session", Value::String(text)) => f(Facet::Session, text),
            ("request", Value::String(text)) => f(Facet::Request, text),
            ("grant" | "pass", Value::String(text)) => f(Facet::Grant, text),
            ("database", Value::String(text)) => f(Facet::Database, text),
            ("address" | "network", Value::String(text)) => f(Facet::Address, text),
            ("verdict" | "outcome" | "refusal", Value::String(text)) => f(Facet::Outcome, text),
            ("risk", Value::Number(number)) => f(Facet::Risk, &number.to_string()),
            ("relation", Value::String(text)) => f(Facet::Table, text),
            ("relations", Value::Array(list)) => strings(list, &mut |text| f(Facet::Table, text)),
            ("labels", Value::Array(list)) => strings(list, &mut |text| f(Facet::Label, text)),
            ("rules", Value::Array(list)) => strings(list, &mut |text| f(Facet::Rule, text)),
            ("columns", Value::Array(list)) => list.iter().for_each(|column| labelled(column, f)),
            ("values", Value::Array(list)) => continued(text(fields.get("field")), list, f),
            _ => {}
        }
    }
}

/// What a record carries on of another's list.
fn continued(field: Option<&str>, list: &[Value], f: &mut dyn FnMut(Facet, &str)) {
    match field {
        Some("columns") => list.iter().for_each(|column| labelled(column, f)),
        Some("relations") => strings(list, &mut |text| f(Facet::Table, text)),
        Some("labels") => strings(list, &mut |text| f(Facet::Label, text)),
        Some("rules") => strings(list, &mut |text| f(Facet::Rule, text)),
        _ => {}
    }
}

/// A column by its name, or with its label.
fn labelled(column: &Value, f: &mut dyn FnMut(Facet, &str)) {
    match column {
        Value::String(name) => table_of(name, f),
        Value::Object(column) => {
            if let Some(name) = text(column.get("column")) {
                table_of(name, f);
            }
            if let Some(label) = text(column.get("label")).filter(|label| !label.is_empty()) {
                f(Facet::Label, label);
            }
        }
        _ => {}
    }
}

/// A person by name or commitment, or an actor that may be one.
fn people(value: &Value, f: &mut dyn FnMut(Facet, &str)) {
    match value {
        Value::String(text) => f(Facet::Person, text),
        Value::Object(actor) => {
            if let Some(person) = text(actor.get("person")) {
                f(Facet::Person, person);
            }
        }
        _ => {}
    }
}

fn strings(list: &[Value], f: &mut dyn FnMut(&str)) {
    list.iter().filter_map(Value::as_str).for_each(f);
}

fn text(value: Option<&Value>) -> Option<&str> {
    value.and_then(Value::as_str)
}

/// The relation of `schema.relation.column`, whose names may be quoted.
fn table_of(column: &str, f: &mut dyn FnMut(Facet, &str)) {
    let mut quoted = false;
    let mut last = None;
    for (at, letter) in column.char_indices() {
        match letter {
            '"' => quoted = !quoted,
            '.' if !quoted => last = Some(at),
            _ => {}
        }
    }
    if let Some(table) = last.and_then(|at| column.get(..at)) {
        f(Facet::Table, table);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn found(event: Value) -> Vec<(char, String)> {
        let fields = event.as_object().unwrap().clone();
        let mut found = Vec::new();
        facets(&fields, &mut |facet, text| found.push((char::from(facet.letter()), text.to_owned())));
        found.sort();
        found.dedup();
        found
    }

    #[test]
    fn members_are_found_by_their_names() {
        let event = json!({
            "type": "statement.decided", "person": "dana", "session": "00", "database": "shop", "verdict": "hold",
            "relations": ["public.customers"], "rules": ["ssn"], "risk": 40,
            "columns": [{"column": "public.\"a.b\".ssn", "label": "ssn"}, {"column": "public.t.c", "label": ""}],
        });
        let expected = [
            ('d', "shop"),
            ('k', "40"),
            ('l', "ssn"),
            ('o', "hold"),
            ('p', "dana"),
            ('s', "00"),
            ('t', "public.\"a.b\""),
            ('t', "public.customers"),
            ('t', "public.t"),
            ('u', "ssn"),
            ('y', "statement.decided"),
        ];
        assert_eq!(found(event), expected.map(|(facet, text)| (facet, text.to_owned())));
    }

    #[test]
    fn what_is_passed_over_cannot_be_found() {
        // Every member that any facet is told by, in one record.
        let all: Map<String, Value> =
            LOOKED_AT.iter().map(|name| ((*name).to_owned(), json!("a.b"))).collect();
        for (name, kind) in
            [("", "statement.decided"), ("columns", "record.continued"), ("rules", "record.continued")]
        {
            for value in [
                json!("a.b"),
                json!(["a.b"]),
                json!([{"column": "a.b", "label": "c"}]),
                json!({"person": "d"}),
                json!(4),
            ] {
                let mut record = all.clone();
                record.values_mut().for_each(|member| *member = value.clone());
                record.insert("type".to_owned(), json!(kind));
                record.insert("field".to_owned(), json!(name));
                let mut whole = record.clone();
                whole.extend(
                    [("prev", json!("00")), ("normalised", json!("select \"a\" [{"))]
                        .map(|(n, v)| (n.to_owned(), v)),
                );
                assert_eq!(members(Value::Object(whole.clone()).to_string().as_bytes()), record);
                assert_eq!(found(Value::Object(whole)), found(Value::Object(record)));
            }
        }
        assert_eq!(members(b"[]"), Map::new());
        assert_eq!(members(b"{\"type\":\"x\""), Map::new());
    }

    #[test]
    fn who_acts_and_who_is_told_are_people_and_columns_are_not() {
        let by = json!({"type": "t", "by": {"person": "omar"}});
        assert!(found(by).contains(&('p', "omar".to_owned())));
        let by = json!({"type": "t", "by": "omar", "to": "dana", "person": null});
        let people: Vec<_> = found(by).into_iter().filter(|(facet, _)| *facet == 'p').collect();
        assert_eq!(people, [('p', "dana".to_owned()), ('p', "omar".to_owned())]);
        let followed = json!({"type": "label.followed", "from": "s.a.c", "to": "s.b.c"});
        let expected = [("t", "s.a"), ("t", "s.b"), ("y", "label.followed")];
        let shown: Vec<_> = found(followed).into_iter().map(|(f, text)| (f.to_string(), text)).collect();
        assert_eq!(shown, expected.map(|(facet, text)| (facet.to_owned(), text.to_owned())));
    }
}
