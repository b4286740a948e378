//! YAML as a tree of nodes that know where they stand.
//!
//! serde's derived types stop at the first thing that does not fit; a DBA wants all of them at once. So
//! serde-saphyr only builds this tree, and the loaders check it themselves.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_saphyr::{Location, Spanned};

use crate::report::Report;

/// The longest file, in bytes: some hundred thousand columns. Parsing it takes about a second.
const MAX_BYTES: usize = 8 * 1024 * 1024;
/// The deepest nesting. A rule's `match` stands at the fourth level, and hand-written conditions add few;
/// a level takes some 40 KiB of stack in a debug build, of which a thread has 2 MiB.
const MAX_DEPTH: usize = 24;
/// The most nodes and events of the parser: about what the longest file can hold.
const MAX_NODES: usize = 1_000_000;
/// The most events that aliases may add: against alias bombs. Nobody needs aliases in these files.
const MAX_ALIASED: usize = 10_000;

/// Decimal digits that a 64-bit float keeps as they were written (`DBL_DIG`).
const EXACT_DIGITS: usize = 15;

/// Where something stands in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// From 1; 0 is the file as a whole.
    pub(crate) line: u64,
    /// In characters, from 1.
    pub(crate) column: u64,
    /// Its length in characters.
    pub(crate) width: usize,
}

impl Place {
    /// The file as a whole.
    pub(crate) const FILE: Self = Self { line: 0, column: 0, width: 1 };
}

impl From<Location> for Place {
    fn from(at: Location) -> Self {
        let width = usize::try_from(at.span().len()).unwrap_or(1);
        Self { line: at.line(), column: at.column(), width }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) at: Place,
    pub(crate) value: Value,
}

/// A key of a mapping and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) at: Place,
    pub(crate) name: String,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Int(u64),
    /// A number that is negative or has a fraction: as text, unless YAML may have rounded it.
    Number(Option<String>),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

impl Value {
    /// What it is, for messages.
    pub(crate) const fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Int(_) | Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Reads one document. `None`: it is no YAML, and the report says where.
pub(crate) fn read(report: &mut Report<'_>, text: &str) -> Option<Node> {
    if text.len() > MAX_BYTES {
        report.error(Place::FILE, format!("the file is longer than {MAX_BYTES} bytes"));
        return None;
    }
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MAX_DEPTH,
            max_nodes: MAX_NODES,
            max_events: MAX_NODES,
        },
        alias_limits: serde_saphyr::alias_limits! { max_total_replayed_events: MAX_ALIASED },
        // Reported by the loaders, all of them, rather than one by the parser.
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        with_snippet: false,
    };
    match serde_saphyr::from_str_with_options::<Node>(text, options) {
        Ok(node) => Some(node),
        Err(error) => {
            let at = error.location().map_or(Place::FILE, Place::from);
            let message = first_line(&error.without_snippet().to_string());
            let at = Place { width: 1, ..at };
            if unquoted_comparison(text, at) {
                report.error_with_help(
                    at,
                    message,
                    "a value that begins with `>` needs quotes: \">=restricted\"",
                );
            } else {
                report.error(at, message);
            }
            None
        }
    }
}

/// `class: >=restricted` is the slip that everybody makes once: to YAML, `>` begins a folded text.
fn unquoted_comparison(text: &str, at: Place) -> bool {
    let index = usize::try_from(at.line).unwrap_or(0).saturating_sub(1);
    text.lines().nth(index).is_some_and(|line| line.contains(": >") && !line.contains(": \">"))
}

/// The parser's message without its own mention of the place.
fn first_line(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    let line = line.strip_prefix("error: ").unwrap_or(line);
    let cut =
        [" at line ", " (line ", "; "].iter().filter_map(|end| line.find(end)).min().unwrap_or(line.len());
    let message = line.get(..cut).unwrap_or(line);
    if message.starts_with("budget breached: Depth") || message == "recursion limit exceeded" {
        return format!("nested deeper than {MAX_DEPTH} levels");
    }
    format!("not readable as YAML: {message}")
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Spanned { value, referenced, .. } = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { at: referenced.into(), value })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(u64::try_from(value).map_or_else(|_| Value::Number(Some(value.to_string())), Value::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        let text = format!("{value:e}");
        let digits = text.split('e').next().unwrap_or_default().bytes().filter(u8::is_ascii_digit).count();
        Ok(Value::Number((digits <= EXACT_DIGITS).then_some(text)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = entries.next_key::<Spanned<String>>()? {
            let key = Key { at: key.referenced.into(), name: key.value };
            map.push((key, entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}
