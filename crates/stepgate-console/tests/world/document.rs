//! Answers held against the OpenAPI document: each must be one that it names, with the fields that it names.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

/// The document, and what of it has been seen.
pub(crate) struct Document {
    all: Value,
    seen: Mutex<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    /// Method, path of the document, status.
    pub(crate) answers: BTreeSet<(String, String, u16)>,
    /// Schema and property.
    pub(crate) fields: BTreeSet<(String, String)>,
    /// Values of properties that have few.
    pub(crate) words: BTreeSet<String>,
}

impl Default for Document {
    fn default() -> Self {
        Self { all: serde_json::from_str(stepgate_console::DOCUMENT).unwrap(), seen: Mutex::default() }
    }
}

impl Document {
    /// All of it.
    pub(crate) fn all(&self) -> &Value {
        &self.all
    }

    /// What has been seen so far.
    pub(crate) fn seen(&self) -> std::sync::MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Method, path and operation of each.
    pub(crate) fn operations(&self) -> Vec<(String, String, &Value)> {
        let paths = self.all["paths"].as_object().unwrap();
        let of = |(path, methods): (&String, &'_ Value)| {
            let methods: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
            methods.into_iter().map(|method| (method, path.clone())).collect::<Vec<_>>()
        };
        let all: Vec<_> = paths.iter().flat_map(of).collect();
        all.into_iter()
            .map(|(method, path)| {
                let operation = &self.all["paths"][&path][&method];
                (method, path, operation)
            })
            .collect()
    }

    /// Follows `$ref`.
    pub(crate) fn resolve<'d>(&'d self, value: &'d Value) -> (&'d Value, String) {
        match value["$ref"].as_str() {
            None => (value, String::new()),
            Some(reference) => {
                let pointer = reference.strip_prefix('#').unwrap();
                let name = reference.rsplit('/').next().unwrap().to_owned();
                (self.all.pointer(pointer).unwrap_or_else(|| panic!("{reference} is nowhere")), name)
            }
        }
    }

    /// An answer of the API. Of paths that the document does not have, and of methods that a path has not, nothing is
    /// said: 404 and 405.
    pub(crate) fn check(
        &self,
        (method, path, sent): (&str, &str, &str),
        status: u16,
        head: &str,
        body: &str,
    ) {
        let path = path.split('?').next().unwrap();
        let method = method.to_ascii_lowercase();
        let known =
            self.operations().into_iter().find(|(is, template, _)| *is == method && fits(template, path));
        let Some((_, template, operation)) = known else { return };
        let at = format!("{method} {template} {status}");
        let response = &operation["responses"][status.to_string()];
        assert!(!response.is_null(), "{at} is not in docs/openapi.json: {body}");
        self.seen().answers.insert((method, template, status));
        // What was taken is what the document says that is taken.
        let body_schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        if status < 300 && !body_schema.is_null() {
            let sent = serde_json::from_str(sent).unwrap();
            self.matches(body_schema, &sent, "", &at).unwrap_or_else(|why| panic!("{why}"));
        }
        let (response, _) = self.resolve(response);
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let needed = header["required"] == true;
            assert!(!needed || head.contains(&format!("{}: ", name.to_ascii_lowercase())), "{at}: no {name}");
        }
        let kind = head.lines().find_map(|line| line.strip_prefix("content-type: ")).unwrap_or_default();
        let kind = kind.split(';').next().unwrap();
        let Some(content) = response["content"].as_object() else {
            assert_eq!((kind, body), ("", ""), "{at}");
            return;
        };
        let schema = content.get(kind).unwrap_or_else(|| panic!("{at}: {kind} is not in docs/openapi.json"));
        if kind == "application/json" {
            let value = serde_json::from_str(body).unwrap();
            self.matches(&schema["schema"], &value, "", &at).unwrap_or_else(|why| panic!("{why}"));
        }
    }

    /// The part of JSON Schema 2020-12 that the document uses.
    pub(crate) fn matches(
        &self,
        schema: &Value,
        value: &Value,
        within: &str,
        at: &str,
    ) -> Result<(), String> {
        let (schema, name) = self.resolve(schema);
        let within = if name.is_empty() { within } else { &name };
        let wrong = |what: &str| Err(format!("{at}: {value} {what}, against {schema}"));
        for keyword in schema.as_object().unwrap().keys() {
            const KNOWN: [&str; 15] = [
                "type",
                "description",
                "properties",
                "required",
                "additionalProperties",
                "items",
                "enum",
                "const",
                "pattern",
                "minimum",
                "maxLength",
                "anyOf",
                "default",
                "title",
                "format",
            ];
            assert!(KNOWN.contains(&keyword.as_str()), "this test does not know the keyword {keyword}");
        }
        if let Some(any) = schema["anyOf"].as_array() {
            let mut tried = any.iter().map(|schema| self.matches(schema, value, within, at));
            return if tried.any(|one| one.is_ok()) { Ok(()) } else { wrong("matches none") };
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::Array(all) => all.iter().map(|one| one.as_str().unwrap()).collect(),
            one => vec![one.as_str().unwrap()],
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_u64() => "integer",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !types.contains(&is) {
            return wrong("is of another type");
        }
        if let Some(text) = value.as_str() {
            let words = schema["enum"].as_array();
            if words.is_some_and(|words| !words.contains(value))
                || schema.get("const").is_some_and(|word| word != value)
                || schema["pattern"].as_str().is_some_and(|pattern| !like(pattern, text))
            {
                return wrong("is another word");
            }
            if words.is_some() {
                self.seen().words.insert(text.to_owned());
            }
        }
        for one in value.as_array().into_iter().flatten() {
            self.matches(&schema["items"], one, within, at)?;
        }
        self.object(schema, value, within, at)
    }

    fn object(&self, schema: &Value, value: &Value, within: &str, at: &str) -> Result<(), String> {
        let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else {
            return Ok(());
        };
        assert_eq!(schema["additionalProperties"], false, "{within} says nothing of other fields");
        for (field, value) in object {
            let schema = properties.get(field).ok_or_else(|| format!("{at}: {field} is not in {within}"))?;
            self.matches(schema, value, within, at)?;
            self.seen().fields.insert((within.to_owned(), field.clone()));
        }
        let lacks = schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|field| !object.contains_key(field.as_str().unwrap()));
        lacks.map_or(Ok(()), |field| Err(format!("{at}: {field} is lacking")))
    }
}

/// Whether a path is one of a template's, such as `/r/{id}`.
pub(crate) fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    template.len() == path.len()
        && template.iter().zip(path).all(|(one, other)| one.starts_with('{') || *one == other)
}

/// The two kinds of pattern that the document has: ids, and hexadecimal digits.
fn like(pattern: &str, text: &str) -> bool {
    match pattern {
        "^[0-9a-f]{64}$" => text.len() == 64 && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte)),
        _ => text.parse::<stepgate_types::RequestId>().is_ok_and(|id| id.to_string() == text),
    }
}
