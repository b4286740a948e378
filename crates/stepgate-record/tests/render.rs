//! Records as other tools read them.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "helpers of the tests are tests, too"
)]

mod events;

use std::collections::BTreeSet;

use serde_json::Value;
use stepgate_record::render::{Style, columns, row};
use stepgate_record::{Event, Hash, Record};
use stepgate_types::Timestamp;

const LOG: &str = "00112233445566778899aabbccddeeff";

fn record(event: Event) -> Record {
    let at = Timestamp::from_micros(1_795_318_325_000_001);
    Record {
        log_id: LOG.to_owned(),
        version: 2,
        seq: 7,
        at,
        prev: Hash::ZERO,
        shortened: [].into(),
        continued: [].into(),
        event,
    }
}

fn of(json: &str) -> Record {
    record(serde_json::from_str(json).unwrap())
}

/// Splits RFC 4180.
fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => field.extend(letters.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            _ => field.push(letter),
        }
    }
    assert!(!quoted);
    fields.push(field);
    fields
}

#[test]
fn what_older_versions_recorded_is_what_would_be_recorded_again() {
    for text in events::texts() {
        let event: Event = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_value(event).unwrap(), serde_json::from_str::<Value>(&text).unwrap());
    }
}

/// The kinds that serde knows, as it lists them where one is unknown.
#[test]
fn there_is_an_example_of_every_event() {
    let unknown = serde_json::from_str::<Event>(r#"{"type":"unknown"}"#).unwrap_err().to_string();
    let known: BTreeSet<_> = unknown.split('`').skip(3).step_by(2).collect();
    assert!(known.len() > 80 && known.contains("statement.decided"), "{unknown}");
    let all: Vec<Value> = events::texts().iter().map(|text| serde_json::from_str(text).unwrap()).collect();
    let examples: BTreeSet<_> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(examples, known);
}

#[test]
fn every_event_has_a_line_in_every_form() {
    for event in events::all() {
        let record = record(event);
        assert_eq!(Style::Jsonl.line(&record, &()).into_bytes(), record.encode().unwrap());
        let row = row(&record, &());
        let csv = fields(&Style::Csv.line(&record, &()));
        assert_eq!(csv.len(), columns().len(), "{}", row.kind);
        assert_eq!(csv[2], row.kind);
        assert_eq!(*csv.last().unwrap(), Hash::leaf(&record.encode().unwrap()).to_string());
        let cef = Style::Cef.line(&record, &());
        assert!(cef.starts_with(&format!("CEF:0|Stepgate|Stepgate|1|{}|", row.kind)), "{cef}");
        assert!(!cef.contains('\n'));
        let ocsf: Value = serde_json::from_str(&Style::Ocsf.line(&record, &())).unwrap();
        assert_eq!(ocsf["metadata"]["uid"], format!("{LOG}/7"));
    }
}

#[test]
fn nothing_that_a_record_says_is_lost_in_csv() {
    for event in events::all() {
        let record = record(event);
        let line = Style::Csv.line(&record, &()).replace("\"\"", "\"");
        let Value::Object(members) = serde_json::to_value(&record.event).unwrap() else { panic!() };
        for (name, value) in members {
            let said = match value {
                Value::String(text) => text,
                Value::Null | Value::Bool(_) => continue,
                Value::Array(entries) if entries.is_empty() => continue,
                Value::Array(entries) => match &entries[0] {
                    Value::String(text) => text.clone(),
                    Value::Object(entry) => {
                        let said = ["column", "rule", "name"].iter().find_map(|name| entry.get(*name));
                        said.unwrap().as_str().unwrap().to_owned()
                    }
                    _ => panic!(),
                },
                other => other.to_string(),
            };
            assert!(line.contains(&said), "{name} {said} in {line}");
        }
    }
}

#[test]
fn a_table_named_like_a_formula_stays_text_in_a_spreadsheet() {
    for (name, shown) in [
        ("=cmd|' /C calc'!A0", "'=cmd|' /C calc'!A0"),
        ("@SUM(1)", "'@SUM(1)"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("a \"b\", c", "a \"b\", c"),
        ("two\r\nlines", "two\r\nlines"),
        ("\tx", "'\tx"),
        ("\rx", "'\u{fffd}x"),
        ("a\u{1b}[2Jb\u{7f}\u{9b}", "a\u{fffd}[2Jb\u{fffd}\u{fffd}"),
        ("a\u{202e}b\u{2066}c\u{200f}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
        ("a\rb\tc\0", "a\u{fffd}b\tc\u{fffd}"),
        ("a\u{2028}b\u{2029}c\u{200b}d\u{feff}", "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}"),
    ] {
        let record = record(Event::SessionClosed {
            session: stepgate_types::SessionId::from_bytes([1; 16]),
            reason: name.to_owned(),
        });
        let csv = fields(&Style::Csv.line(&record, &()));
        let at = columns().iter().position(|(name, _)| *name == "reason").unwrap();
        assert_eq!(csv[at], shown);
    }
}

#[test]
fn cef_escapes_what_would_begin_a_field() {
    let record = record(Event::SessionClosed {
        session: stepgate_types::SessionId::from_bytes([1; 16]),
        reason: "a=b\\c\nd|e act=forward".to_owned(),
    });
    let cef = Style::Cef.line(&record, &());
    assert!(cef.contains(" reason=a\\=b\\\\c\\nd|e act\\=forward "), "{cef}");
}

#[test]
fn what_somebody_must_hear_of_is_as_severe_as_an_alarm() {
    let severities = |kind: &str| {
        let event = events::all().into_iter().find(|event| row(&record(event.clone()), &()).kind == kind);
        let record = record(event.unwrap());
        let ocsf: Value = serde_json::from_str(&Style::Ocsf.line(&record, &())).unwrap();
        let cef = Style::Cef.line(&record, &()).split('|').nth(6).unwrap().to_owned();
        (ocsf["severity_id"].as_u64().unwrap(), cef)
    };
    for kind in ["alarm.raised", "policy.tampered", "break_glass.opened", "break_glass.used"] {
        assert_eq!(severities(kind), (5, "10".to_owned()), "{kind}");
    }
    for kind in ["break_glass.ended", "break_glass.reminded", "break_glass.reviewed"] {
        assert_eq!(severities(kind), (4, "9".to_owned()), "{kind}");
    }
}

#[test]
fn no_character_of_a_cef_line_moves_a_terminal_or_turns_its_order() {
    let harmful =
        ('\0'..='\u{1f}').chain('\u{7f}'..='\u{9f}').chain(['\u{61c}', '\u{ad}', '\u{feff}', '\u{e0001}']);
    let harmful = harmful.chain('\u{200b}'..='\u{200f}').chain('\u{2028}'..='\u{202e}');
    for letter in harmful.chain('\u{2060}'..='\u{2069}') {
        let record = record(Event::SessionClosed {
            session: stepgate_types::SessionId::from_bytes([1; 16]),
            reason: format!("a{letter}b"),
        });
        let cef = Style::Cef.line(&record, &());
        assert!(!cef.contains(letter), "{letter:?}: {cef}");
        let shown = match letter {
            '\n' => "a\\nb",
            '\r' => "a\\rb",
            _ => "a\u{fffd}b",
        };
        assert!(cef.contains(shown), "{letter:?}: {cef}");
    }
}

#[test]
fn a_statement_fills_its_columns() {
    let row = row(&of(events::STATEMENT), &());
    assert_eq!(row.person.as_deref(), Some("dana"));
    assert_eq!(row.labels, ["ssn", "email"]);
    assert_eq!(row.classes, ["restricted", "confidential"]);
    assert_eq!(row.columns, ["public.customers.ssn", "public.customers.email"]);
    assert_eq!(row.relations, ["public.customers"]);
    assert_eq!(row.verdict.as_deref(), Some("hold"));
    assert_eq!(row.title(), "Statement decided");
    // The uses of each column have no column of their own.
    assert!(row.detail.contains_key("columns"));
}

#[test]
fn why_the_gate_itself_refuses_a_statement_stands_where_others_look_for_a_reason() {
    for (verdict, why) in [("deny", "not-own-session"), ("fail", "cooling-down")] {
        let refusal = format!("\"{verdict}\",\"refusal\":\"{why}\"");
        let record = of(&events::STATEMENT.replace("\"hold\"", &refusal));
        let row = row(&record, &());
        assert_eq!((row.verdict.as_deref(), row.reason.as_deref()), (Some(verdict), Some(why)));
        let at = columns().iter().position(|(name, _)| *name == "reason").unwrap();
        assert_eq!(fields(&Style::Csv.line(&record, &()))[at], why);
        assert!(Style::Cef.line(&record, &()).contains(&format!(" reason={why} ")));
        let ocsf: Value = serde_json::from_str(&Style::Ocsf.line(&record, &())).unwrap();
        assert_eq!((&ocsf["status_detail"], &ocsf["status_id"]), (&why.into(), &2.into()));
        assert_eq!(ocsf["disposition_id"], 2);
    }
    // What was derived of records from before it was told is what it was.
    let old = of(&events::STATEMENT.replace("\"hold\"", "\"fail\""));
    let ocsf: Value = serde_json::from_str(&Style::Ocsf.line(&old, &())).unwrap();
    assert!(ocsf.get("status_id").is_none() && ocsf.get("disposition_id").is_none());
}

#[test]
fn ocsf_lines_are_valid_by_the_schema_of_release_1_8_0() {
    let schema: Value = serde_json::from_str(include_str!("ocsf-1.8.0.json")).unwrap();
    let mut classes = std::collections::BTreeSet::new();
    for event in events::all() {
        let record = record(event);
        let line: Value = serde_json::from_str(&Style::Ocsf.line(&record, &())).unwrap();
        let mut wrong = Vec::new();
        events::ocsf::check(&schema, &line, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}\n{line:#}");
        classes.insert(line["class_uid"].as_u64().unwrap());
    }
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), [1008, 2004, 3001, 3002, 3003, 3004, 3005, 6005]);
}

#[test]
fn the_validator_of_ocsf_finds_what_is_wrong() {
    let schema: Value = serde_json::from_str(include_str!("ocsf-1.8.0.json")).unwrap();
    let good: Value = serde_json::from_str(&Style::Ocsf.line(&of(events::STATEMENT), &())).unwrap();
    let wrong = |change: &dyn Fn(&mut Value)| {
        let mut event = good.clone();
        change(&mut event);
        let mut wrong = Vec::new();
        events::ocsf::check(&schema, &event, &mut wrong);
        wrong
    };
    let remove = |event: &mut Value, name: &str| drop(event.as_object_mut().unwrap().remove(name));
    assert_eq!(wrong(&|_| ()), [""; 0]);
    for required in ["activity_id", "actor", "src_endpoint", "time", "metadata", "type_uid", "severity_id"] {
        assert!(!wrong(&|event| remove(event, required)).is_empty(), "{required}");
    }
    assert!(!wrong(&|event| event["activity_id"] = 55.into()).is_empty());
    assert!(!wrong(&|event| event["type_uid"] = 600_501.into()).is_empty());
    assert!(!wrong(&|event| event["time"] = "now".into()).is_empty());
    assert!(!wrong(&|event| event["database"] = serde_json::json!({"name": "app"})).is_empty());
    assert!(!wrong(&|event| event["invented"] = 1.into()).is_empty());
    assert!(!wrong(&|event| remove(&mut event["metadata"], "profiles")).is_empty());
    assert!(!wrong(&|event| event["actor"] = serde_json::json!({})).is_empty());
    assert!(!wrong(&|event| event["src_endpoint"]["ip"] = "here".into()).is_empty());
}
