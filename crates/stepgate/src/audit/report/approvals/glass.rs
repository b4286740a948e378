//! Glass that was broken: by whom, why, how often it was gone through, and who looked at that.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use stepgate_record::{Filter, Record};
use stepgate_types::{GrantId, Timestamp};

use super::{AT_ONCE, texts};
use crate::audit::report::Section;
use crate::audit::report::make::{MOST_ROWS, Making, number, text, texts as members};
use crate::failure::Failure;

pub(super) const OPENED: &str = "break_glass.opened";

const COLUMNS: [&str; 16] = [
    "glass",
    "opened",
    "person",
    "database",
    "reason",
    "authenticator",
    "lifts",
    "until",
    "ended",
    "why",
    "ended_by",
    "uses",
    "reminders",
    "reviewed",
    "reviewed_by",
    "comment",
];

#[derive(Default)]
struct Glass {
    opened: Option<Timestamp>,
    person: String,
    database: String,
    reason: String,
    authenticator: String,
    lifts: Vec<String>,
    until: Option<Timestamp>,
    ended: Option<Timestamp>,
    why: String,
    ended_by: String,
    uses: u64,
    reminders: u64,
    reviewed: Option<Timestamp>,
    reviewed_by: String,
    comment: String,
}

/// Those that were broken in the period, and how many records that is from.
pub(super) fn of(making: &Making<'_>) -> Result<(Section, u64), Failure> {
    let mut glasses: BTreeMap<GrantId, Glass> = BTreeMap::new();
    let opened = Filter { kind: texts(&[OPENED]), ..making.period() };
    making.each_until(&opened, making.in_order(), &mut |record, fields| {
        if let Ok(id) = text(fields, "grant").parse() {
            glasses.insert(id, Glass::opened(record, fields));
        }
        glasses.len() < MOST_ROWS
    })?;
    let mut records = 0_u64;
    let ids: Vec<GrantId> = glasses.keys().copied().collect();
    for ids in ids.chunks(AT_ONCE) {
        // What became of them may come after the period.
        let about = Filter { grant: ids.to_vec(), kind: texts(&["break_glass.*"]), ..Filter::default() };
        making.each(&about, &mut |record, fields| {
            records += 1;
            if let Some(glass) = text(fields, "grant").parse().ok().and_then(|id| glasses.get_mut(&id)) {
                glass.take(record, fields);
            }
        })?;
    }
    let mut section = Section::new("break_glass", "Break-glass, and who looked at it", &COLUMNS);
    let mut in_order: Vec<_> = glasses.into_iter().collect();
    in_order.sort_by_key(|(_, glass)| glass.opened);
    section.rows = in_order.into_iter().map(|(id, glass)| glass.row(id)).collect();
    Ok((section, records))
}

impl Glass {
    fn opened(record: &Record, fields: &Map<String, Value>) -> Self {
        let of = |name| text(fields, name).to_owned();
        Self {
            opened: Some(record.at),
            person: of("person"),
            database: of("database"),
            reason: of("reason"),
            authenticator: of("authenticator"),
            lifts: members(fields, "lifts").map(str::to_owned).collect(),
            until: fields.get("expires_us").and_then(Value::as_i64).map(Timestamp::from_micros),
            ..Self::default()
        }
    }

    fn take(&mut self, record: &Record, fields: &Map<String, Value>) {
        match text(fields, "type") {
            "break_glass.used" => self.uses += 1,
            "break_glass.ended" => {
                self.ended = Some(record.at);
                text(fields, "why").clone_into(&mut self.why);
                let by = [text(fields, "by"), text(fields, "operator")];
                by.into_iter().find(|by| !by.is_empty()).unwrap_or_default().clone_into(&mut self.ended_by);
                self.uses = self.uses.max(number(fields, "uses"));
            }
            "break_glass.reminded" => self.reminders += 1,
            "break_glass.reviewed" => {
                self.reviewed = Some(record.at);
                text(fields, "by").clone_into(&mut self.reviewed_by);
                text(fields, "comment").clone_into(&mut self.comment);
            }
            _ => {}
        }
    }

    /// By [`COLUMNS`].
    fn row(self, id: GrantId) -> Vec<Value> {
        let at = |at: Option<Timestamp>| json!(at.map(|at| at.to_string()));
        vec![
            json!(id.to_string()),
            at(self.opened),
            json!(self.person),
            json!(if self.database.is_empty() { "(all)" } else { self.database.as_str() }),
            json!(self.reason),
            json!(self.authenticator),
            json!(self.lifts),
            at(self.until),
            at(self.ended),
            json!(self.why),
            json!(self.ended_by),
            json!(self.uses),
            json!(self.reminders),
            at(self.reviewed),
            json!(self.reviewed_by),
            json!(self.comment),
        ]
    }
}
