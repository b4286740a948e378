//! What a command has done: lines for reading, or one JSON object for programs. What it says meanwhile goes to standard
//! error for these, so that standard output is the object, whole, or nothing where it failed.

use serde_json::{Map, Value};

use crate::args::LineFormat;
use crate::failure::Failure;
use crate::output;

/// What was done, as it is told at the end.
pub(crate) struct Done {
    fields: Map<String, Value>,
}

impl Done {
    /// By the command of that name, such as `grant revoke`.
    pub(crate) fn new(command: &str) -> Self {
        Self { fields: Map::new() }.with("done", command)
    }

    /// With that about it.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// With what the gate has answered of these.
    pub(crate) fn with_these(self, keys: &[&str], answer: &Value) -> Self {
        keys.iter().fold(self, |done, key| match answer.get(*key) {
            Some(value) => done.with(key, value.clone()),
            None => done,
        })
    }

    /// Says so; `text` is for people, and in JSON the field `message`.
    pub(crate) fn say(self, text: &str, format: LineFormat) -> Result<(), Failure> {
        match format {
            LineFormat::Text if text.is_empty() => Ok(()),
            LineFormat::Text => output::print_line(text),
            LineFormat::Json => {
                output::print_line(&Value::Object(self.with("message", text).fields).to_string())
            }
        }
    }
}

/// Says what is to be known before it is done.
pub(crate) fn meanwhile(text: &str, format: LineFormat) -> Result<(), Failure> {
    match format {
        LineFormat::Text => output::print_line(text),
        LineFormat::Json => {
            eprintln!("{text}");
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn of_an_answer_only_what_was_meant_is_told() {
        let answer = json!({"request": "7K4M-9QXD", "state": "approved", "sql": {"text": "select 1"}});
        let done = Done::new("verify").with_these(&["request", "state", "grant"], &answer);
        let told = json!({"done": "verify", "request": "7K4M-9QXD", "state": "approved"});
        assert_eq!(Value::Object(done.fields), told);
    }
}
