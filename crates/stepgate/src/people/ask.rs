//! `request open|comment` and `request deny --not-me`.

use std::io::Read;

use serde_json::{Value, json};
use stepgate_policy::{parse_duration, parse_size};
use stepgate_types::{Clock, RequestId, Timestamp};

use super::decide::STANDS;
use super::http::Api;
use crate::analyze::split;
use crate::args::{AnswerArgs, AsArgs, CommentArgs, Format, LineFormat, OpenArgs};
use crate::audit;
use crate::done::Done;
use crate::failure::Failure;
use crate::output::{self, Listing};
use crate::system::SystemClock;

/// The largest file of statements, in bytes: what the gate takes.
const MAX_FILE: u64 = 32 << 10;

/// `stepgate request open FILE`.
pub(crate) fn open(args: &OpenArgs) -> Result<(), Failure> {
    let text = read(args)?;
    // As psql and drivers send them: each alone.
    let statements: Vec<_> = split(&text).into_iter().map(|(_, sql)| sql.trim().to_owned()).collect();
    let statements: Vec<_> = statements.into_iter().filter(|sql| sql.chars().any(|it| it != ';')).collect();
    if statements.is_empty() {
        return Err(Failure::usage(format!("{} holds no statement", args.file.display())));
    }
    let bytes = match &args.bytes {
        None => None,
        Some(text) => Some(parse_size(text).ok_or_else(|| {
            Failure::usage(format!("{text:?} is no size")).hint("write 64KiB, 5MiB or 1GB")
        })?),
    };
    let wish = json!({
        "service": args.service,
        "database": args.database,
        "statements": statements,
        "search_path": args.search_path.clone().unwrap_or_default(),
        "time_zone": args.time_zone,
        "until": until(&args.until, SystemClock.now())?.to_string(),
        "rows": args.rows,
        "bytes": bytes,
        "reason": args.reason,
    });
    let who = AsArgs { person: args.login.clone() };
    let opened = Api::of(&who)?.post("/api/v1/requests", &wish)?;
    match args.output {
        Format::Table => {
            let text = |key| opened.get(key).and_then(Value::as_str).map(crate::harmless::harmless);
            let (id, expires) = (text("request").unwrap_or_default(), text("expires").unwrap_or_default());
            output::print_line(&format!(
                "{id}: opened for {}, to be approved until {expires}; {} then passes until {}",
                args.service,
                if statements.len() == 1 { "its statement" } else { "each of its statements" },
                text("until").unwrap_or_default()
            ))
        }
        other => Listing::of(super::REQUEST_COLUMNS, [opened]).print(other),
    }
}

fn read(args: &OpenArgs) -> Result<String, Failure> {
    let path = &args.file;
    let trouble = |error: &std::io::Error| Failure::file("read", path, error);
    let mut text = String::new();
    let read =
        |from: &mut dyn Read, text: &mut String| from.take(MAX_FILE + 1).read_to_string(text).map(drop);
    if path.as_os_str() == "-" {
        read(&mut std::io::stdin().lock(), &mut text).map_err(|error| trouble(&error))?;
    } else {
        let mut file = std::fs::File::open(path).map_err(|error| trouble(&error))?;
        read(&mut file, &mut text).map_err(|error| trouble(&error))?;
    }
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > MAX_FILE {
        return Err(Failure::usage(format!("{} has more than 32 KiB", path.display()))
            .hint("a request is for what somebody can read and approve: open several"));
    }
    Ok(text)
}

/// A time to come: an instant, or how long from now.
pub(crate) fn until(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    if let Some(ahead) = parse_duration(text.trim()) {
        return Ok(now.plus(ahead));
    }
    audit::time(text, now).map_err(|failure| Failure {
        hint: Some("write 2026-01-31, 2026-01-31T12:00:00Z, or how long from now: 30d, 12h, 30m".to_owned()),
        ..failure
    })
}

/// `stepgate request comment REQUEST TEXT`.
pub(crate) fn comment(args: &CommentArgs) -> Result<(), Failure> {
    let path = format!("/api/v1/requests/{}/comment", args.request);
    let answer = Api::of(&args.who)?.post(&path, &json!({"text": args.text}))?;
    let text = format!("{}: said to who asks and to those who may answer", args.request);
    let done = Done::new("request comment").with("request", args.request.to_string());
    done.with_these(STANDS, &answer).say(&text, args.say.output)
}

/// `stepgate request deny REQUEST --not-me`.
pub(crate) fn not_me(args: &AnswerArgs) -> Result<(), Failure> {
    not_mine(&Api::of(&args.who)?, args.request, args.say.output)
}

/// Says that somebody else has asked it in the name of whoever is logged in.
pub(super) fn not_mine(api: &Api, request: RequestId, format: LineFormat) -> Result<(), Failure> {
    let answer = api.post(&format!("/api/v1/requests/{request}/not-me"), &json!({}))?;
    let state = answer.get("state").and_then(Value::as_str).map(crate::harmless::harmless);
    let text = format!(
        "{request}: {}\nthe sessions that asked in your name are ended; if they came with your password, have it \
         changed: stepgate user passwd",
        state.unwrap_or_default()
    );
    let done = Done::new("request deny --not-me").with("request", request.to_string());
    done.with_these(STANDS, &answer).say(&text, format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_to_come_are_read_as_people_write_them() {
        let now = Timestamp::from_micros(1_795_318_320_000_000);
        let read = |text: &str| until(text, now).ok().map(|at| at.to_string());
        assert_eq!(read("8h").as_deref(), Some("2026-11-22T11:32:00.000000Z"));
        assert_eq!(read("2026-12-01T06:00:00Z").as_deref(), Some("2026-12-01T06:00:00.000000Z"));
        assert_eq!(read("soon"), None);
    }
}
