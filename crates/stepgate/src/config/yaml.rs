//! YAML as a tree with places, and a reader that goes on after an error, so that all are found at once.

use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use stepgate_policy::LoadError;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The value.
    pub(crate) value: Value,
    /// Where.
    pub(crate) at: At,
}

impl Node {
    /// Its text, where it is text.
    pub(crate) fn text(&self) -> Option<&str> {
        if let Value::Text(text) = &self.value { Some(text) } else { None }
    }
}

/// Line and column, both from 1; 0 is the file as a whole.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct At {
    line: u64,
    column: u64,
}

/// What YAML can say.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    Integer(i64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(String, At, Node)>),
    /// A number with a fraction, or too large: nowhere of use here.
    Other,
}

impl Value {
    fn what(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Integer(_) | Self::Other => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Collects what is wrong with one file.
pub(crate) struct Problems<'a> {
    file: String,
    text: &'a str,
    found: Vec<LoadError>,
}

impl<'a> Problems<'a> {
    /// None yet, with this file.
    pub(crate) fn new(file: &std::path::Path, text: &'a str) -> Self {
        Self { file: file.display().to_string(), text, found: Vec::new() }
    }

    /// Adds one.
    pub(crate) fn add(&mut self, at: At, message: impl Into<String>, help: Option<String>) {
        let line = usize::try_from(at.line).unwrap_or(0).checked_sub(1);
        let line = line.and_then(|line| self.text.lines().nth(line));
        self.found.push(LoadError::new(&self.file, line, (at.line, at.column, 1), &message.into(), help));
    }

    /// Whether anything was found.
    pub(crate) fn any(&self) -> bool {
        !self.found.is_empty()
    }

    /// All, in the order of the file.
    pub(crate) fn finish(mut self) -> Vec<LoadError> {
        self.found.sort_by_key(|error| (error.line, error.column));
        self.found
    }

    /// The tree of the text; what cannot be read as YAML is the one problem there is.
    pub(crate) fn parse(&mut self) -> Option<Node> {
        match serde_saphyr::from_str::<Node>(self.text) {
            Ok(node) => Some(node),
            Err(error) => {
                let at = error.location().map(At::from).unwrap_or_default();
                let message = error.without_snippet().to_string();
                let message = message.split(" at line ").next().unwrap_or(&message).to_owned();
                self.add(at, format!("not readable as YAML: {message}"), None);
                None
            }
        }
    }
}

impl From<serde_saphyr::Location> for At {
    fn from(location: serde_saphyr::Location) -> Self {
        Self { line: location.line(), column: location.column() }
    }
}

/// A mapping being read: each key is taken once, and what nobody took is unknown.
pub(crate) struct Section<'n> {
    name: String,
    at: At,
    entries: Vec<(&'n str, At, &'n Node, bool)>,
    known: Vec<&'static str>,
}

impl<'n> Section<'n> {
    /// The mapping in `node`; `name` is its dotted path, empty at the top.
    pub(crate) fn open(name: &str, node: &'n Node, problems: &mut Problems<'_>) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            problems.add(
                node.at,
                format!("{} must be a mapping, not {}", shown(name), node.value.what()),
                None,
            );
            return None;
        };
        let entries = entries.iter().map(|(key, at, node)| (key.as_str(), *at, node, false)).collect();
        Some(Self { name: name.to_owned(), at: node.at, entries, known: Vec::new() })
    }

    /// The dotted path of a key.
    pub(crate) fn path(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// Takes a key's value, if it is there.
    pub(crate) fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        let entry = self.entries.iter_mut().find(|entry| entry.0 == key)?;
        entry.3 = true;
        Some(entry.2)
    }

    /// Takes a key's value; that it is missing is a problem.
    pub(crate) fn need(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<&'n Node> {
        let node = self.take(key);
        if node.is_none() {
            problems.add(self.at, format!("{} is missing", self.path(key)), None);
        }
        node
    }

    /// All entries of a mapping whose keys are names.
    pub(crate) fn names(mut self) -> impl Iterator<Item = (&'n str, At, &'n Node)> {
        self.entries.drain(..).map(|(key, at, node, _)| (key, at, node)).collect::<Vec<_>>().into_iter()
    }

    /// A section within, if it is there.
    pub(crate) fn section(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<Section<'n>> {
        let node = self.take(key)?;
        Section::open(&self.path(key), node, problems)
    }

    /// Text that must be there.
    pub(crate) fn need_text(
        &mut self,
        key: &'static str,
        problems: &mut Problems<'_>,
    ) -> Option<(&'n str, At)> {
        let node = self.need(key, problems)?;
        text(&self.path(key), node, problems)
    }

    /// Text, if it is there.
    pub(crate) fn text(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<(&'n str, At)> {
        let node = self.take(key)?;
        text(&self.path(key), node, problems)
    }

    /// A list's entries; none if it is not there.
    pub(crate) fn list(&mut self, key: &'static str, problems: &mut Problems<'_>) -> &'n [Node] {
        match self.take(key) {
            None => &[],
            Some(Node { value: Value::List(entries), .. }) => entries,
            Some(other) => {
                let message = format!("{} must be a list, not {}", self.path(key), other.value.what());
                problems.add(other.at, message, None);
                &[]
            }
        }
    }

    /// True or false, if it is there.
    pub(crate) fn flag(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<bool> {
        let node = self.take(key)?;
        if let Value::Bool(flag) = node.value {
            return Some(flag);
        }
        problems.add(node.at, format!("{} must be true or false", self.path(key)), None);
        None
    }

    /// A whole number, if it is there.
    pub(crate) fn integer(&mut self, key: &'static str, problems: &mut Problems<'_>) -> Option<(i64, At)> {
        let node = self.take(key)?;
        if let Value::Integer(number) = node.value {
            return Some((number, node.at));
        }
        problems.add(node.at, format!("{} must be a whole number", self.path(key)), None);
        None
    }

    /// Ends the section: what was not taken is unknown.
    pub(crate) fn finish(self, problems: &mut Problems<'_>) {
        for (key, at, _, taken) in &self.entries {
            if !taken {
                let known = self.known.join(", ");
                problems.add(
                    *at,
                    format!("unknown key {}", self.path(key)),
                    Some(format!("known here: {known}")),
                );
            }
        }
    }
}

fn shown(name: &str) -> &str {
    if name.is_empty() { "the file" } else { name }
}

fn text<'n>(path: &str, node: &'n Node, problems: &mut Problems<'_>) -> Option<(&'n str, At)> {
    match &node.value {
        Value::Text(text) if !text.is_empty() => Some((text, node.at)),
        Value::Integer(_) | Value::Bool(_) | Value::Other => {
            problems.add(node.at, format!("{path} must be text"), Some("put it in quotes".to_owned()));
            None
        }
        Value::Text(_) => {
            problems.add(node.at, format!("{path} must not be empty"), None);
            None
        }
        other => {
            problems.add(node.at, format!("{path} must be text, not {}", other.what()), None);
            None
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Value>::deserialize(deserializer)?;
        Ok(Self { value: spanned.value, at: spanned.referenced.into() })
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or(Value::Other, Value::Integer))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other)
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
            map.push((key.value, key.referenced.into(), entries.next_value()?));
        }
        Ok(Value::Map(map))
    }
}
