//! The statements to be analysed.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::split::split;
use crate::args::{AnalyzeArgs, InputFormat};
use crate::failure::Failure;

/// The largest input, in bytes.
const MAX_INPUT: u64 = 256 * 1024 * 1024;

/// One step of the session.
pub(super) enum Item {
    /// A simple-protocol message.
    Message {
        /// Line of the input that it begins on.
        line: usize,
        /// Its text.
        sql: String,
    },
    /// A new session.
    Reset,
}

/// The schema's files and the input. `--schema` takes all that follow it, so a `-` among them is the input.
pub(super) fn files(args: &AnalyzeArgs) -> (Vec<PathBuf>, &Path) {
    let is_stdin = |path: &&PathBuf| path.as_path() == Path::new("-");
    let file = args.schema.iter().find(is_stdin).unwrap_or(&args.file);
    (args.schema.iter().filter(|path| !is_stdin(path)).cloned().collect(), file)
}

/// The statements of a file, each with the line that it begins at; `-` is standard input.
pub(crate) fn messages(file: &Path) -> Result<Vec<(usize, String)>, Failure> {
    let of = |item| match item {
        Item::Message { line, sql } => Some((line, sql)),
        Item::Reset => None,
    };
    Ok(read(file, InputFormat::Sql)?.into_iter().filter_map(of).collect())
}

/// Reads all of it.
pub(super) fn read(file: &Path, format: InputFormat) -> Result<Vec<Item>, Failure> {
    let trouble = |error: &std::io::Error| Failure::file("read", file, error);
    let mut bytes = Vec::new();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(MAX_INPUT + 1)
            .read_to_end(&mut bytes)
            .map_err(|error| trouble(&error))?;
    } else {
        let file = std::fs::File::open(file).map_err(|error| trouble(&error))?;
        file.take(MAX_INPUT + 1).read_to_end(&mut bytes).map_err(|error| trouble(&error))?;
    }
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_INPUT {
        return Err(Failure::usage(format!("the input is larger than {MAX_INPUT} bytes")));
    }
    let text =
        String::from_utf8(bytes).map_err(|_| Failure::usage(format!("{} is not UTF-8", file.display())))?;
    match format {
        InputFormat::Sql => Ok(split(&text)
            .into_iter()
            .map(|(line, sql)| Item::Message { line, sql: sql.to_owned() })
            .collect()),
        InputFormat::Jsonl => text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
            .map(|(number, line)| object(number + 1, line))
            .collect(),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Sql(SqlLine),
    Reset(ResetLine),
}

#[derive(Deserialize)]
struct SqlLine {
    sql: String,
}

#[derive(Deserialize)]
struct ResetLine {
    reset: bool,
}

fn object(line: usize, text: &str) -> Result<Item, Failure> {
    match serde_json::from_str(text) {
        Ok(Line::Sql(SqlLine { sql })) => Ok(Item::Message { line, sql }),
        Ok(Line::Reset(ResetLine { reset: true })) => Ok(Item::Reset),
        _ => Err(Failure::usage(format!(
            "line {line} of the input is neither {{\"sql\": …}} nor {{\"reset\": true}}"
        ))),
    }
}
