//! As much of JSON Schema (draft 2020-12) as the schemas here use.
#![allow(dead_code, clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use serde_json::Value;

/// All that is wrong with `value` by `schema`, each with its path.
pub(crate) fn errors(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (keyword, told) in schema.as_object().unwrap() {
        match keyword.as_str() {
            "$ref" => {
                let pointer = told.as_str().unwrap().strip_prefix('#').unwrap();
                found.extend(errors(root, root.pointer(pointer).unwrap(), value, at));
            }
            "type" => {
                let is = |name: &str| match name {
                    "object" => value.is_object(),
                    "array" => value.is_array(),
                    "string" => value.is_string(),
                    "boolean" => value.is_boolean(),
                    "integer" => value.is_u64() || value.is_i64(),
                    "number" => value.is_number(),
                    "null" => value.is_null(),
                    other => panic!("type {other}"),
                };
                let names = told.as_array().map_or_else(|| vec![told], |all| all.iter().collect());
                if !names.iter().any(|name| is(name.as_str().unwrap())) {
                    found.push(format!("{at}: {value} is not {told}"));
                }
            }
            "const" if told != value => found.push(format!("{at}: {value} is not {told}")),
            "enum" if !told.as_array().unwrap().contains(value) => {
                found.push(format!("{at}: {value} is none of {told}"));
            }
            "anyOf" => {
                let mut all = told.as_array().unwrap().iter();
                if !all.any(|schema| errors(root, schema, value, at).is_empty()) {
                    found.push(format!("{at}: {value} is none of {told}"));
                }
            }
            "required" => {
                for name in told.as_array().unwrap() {
                    if value.is_object() && value.get(name.as_str().unwrap()).is_none() {
                        found.push(format!("{at}: {name} is missing"));
                    }
                }
            }
            "properties" => {
                for (name, schema) in told.as_object().unwrap() {
                    if let Some(value) = value.get(name) {
                        found.extend(errors(root, schema, value, &format!("{at}/{name}")));
                    }
                }
            }
            "additionalProperties" => {
                let known = schema.get("properties");
                for (name, value) in value.as_object().into_iter().flatten() {
                    if known.is_some_and(|known| known.get(name).is_some()) {
                        continue;
                    }
                    match told {
                        Value::Bool(false) => found.push(format!("{at}: no key {name}")),
                        told => found.extend(errors(root, told, value, &format!("{at}/{name}"))),
                    }
                }
            }
            "items" => {
                for (index, value) in value.as_array().into_iter().flatten().enumerate() {
                    found.extend(errors(root, told, value, &format!("{at}/{index}")));
                }
            }
            "minItems" if value.as_array().is_some_and(|all| (all.len() as u64) < told.as_u64().unwrap()) => {
                found.push(format!("{at}: too few"));
            }
            "minimum" if value.as_f64().is_some_and(|number| number < told.as_f64().unwrap()) => {
                found.push(format!("{at}: {value} is less than {told}"));
            }
            "maximum" if value.as_f64().is_some_and(|number| number > told.as_f64().unwrap()) => {
                found.push(format!("{at}: {value} is more than {told}"));
            }
            // Patterns and counts are left to editors: the loader says what counts.
            "$schema" | "$defs" | "title" | "description" | "pattern" | "propertyNames" | "maxItems"
            | "minProperties" | "const" | "enum" | "minItems" | "minimum" | "maximum" => {}
            other => panic!("{at}: keyword {other}"),
        }
    }
    found
}
