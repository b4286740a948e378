//! `request watch`: what happens to the requests that somebody sees, as it happens, also over a restart of the gate.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::http::Api;
use super::patience::Patience;
use crate::args::{AsArgs, LineFormat};
use crate::failure::Failure;
use crate::harmless::harmless;
use crate::output;

/// How often it asks.
const POLL: Duration = Duration::from_secs(1);

/// What of a request is worth a line when it changes.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    state: String,
    approvers: String,
    groups: String,
    comments: u64,
}

impl Seen {
    fn of(row: &Value) -> Self {
        let names = |key| {
            let all = row.get(key).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_str).map(harmless).collect::<Vec<_>>().join(", ")
        };
        Self {
            state: row.get("state").and_then(Value::as_str).map(harmless).unwrap_or_default(),
            approvers: names("approvers"),
            groups: names("groups"),
            comments: row.get("comment_count").and_then(Value::as_u64).unwrap_or(0),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state.as_str(), "open" | "deferred")
    }
}

/// `stepgate request watch`: until interrupted.
pub(crate) fn watch(who: &AsArgs, format: LineFormat) -> Result<(), Failure> {
    let (mut api, mut patience, mut seen) = (Api::of(who)?, Patience::without_end(), None);
    loop {
        let rows = patience.watch(&mut api, |api| api.get("/api/v1/requests?state=all"))?;
        for (row, line) in news(&mut seen, rows.as_array().map(Vec::as_slice).unwrap_or_default()) {
            match format {
                LineFormat::Text => output::stream(&format!("{line}\n"))?,
                LineFormat::Json => output::stream(&format!("{row}\n"))?,
            }
        }
        std::thread::sleep(POLL);
    }
}

/// What is new since the last time, with a line on it. At the first time, what is open.
fn news<'r>(seen: &mut Option<BTreeMap<String, Seen>>, rows: &'r [Value]) -> Vec<(&'r Value, String)> {
    let mut now = BTreeMap::new();
    let mut news = Vec::new();
    for row in rows {
        let Some(id) = row.get("request").and_then(Value::as_str).map(harmless) else { continue };
        let is = Seen::of(row);
        let was = seen.as_ref().and_then(|seen| seen.get(&id));
        if let Some(line) = line(&id, row, was, &is).filter(|_| seen.is_some() || is.is_open()) {
            news.push((row, line));
        }
        now.insert(id, is);
    }
    // What the gate does not list any more needs no memory.
    *seen = Some(now);
    news
}

fn line(id: &str, row: &Value, was: Option<&Seen>, is: &Seen) -> Option<String> {
    let text = |key| row.get(key).and_then(Value::as_str).map(harmless).unwrap_or_default();
    let Some(was) = was else {
        let yours = row.get("answerable") == Some(&Value::Bool(true));
        let what = if is.is_open() {
            let answer = if yours { "  (yours to answer)" } else { "" };
            format!("{}  until {}{answer}", text("summary"), text("expires"))
        } else {
            is.state.clone()
        };
        return Some(format!("{id}  {} in {}: {what}", text("person"), text("database")));
    };
    let mut changes = Vec::new();
    if was.state != is.state {
        let by = if is.approvers.is_empty() { text("ended_by") } else { is.approvers.clone() };
        let by = if by.is_empty() { by } else { format!(" by {by}") };
        let reason = Some(text("reason")).filter(|reason| !reason.is_empty());
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        changes.push(format!("{}{by}{reason}", is.state));
    } else if was.approvers != is.approvers {
        changes.push(format!("approved so far by {}", is.approvers));
    }
    if was.groups != is.groups {
        changes.push(format!("goes to {}", is.groups));
    }
    if was.comments < is.comments {
        changes.push("a comment: stepgate request show ".to_owned() + id);
    }
    (!changes.is_empty()).then(|| format!("{id}  {}", changes.join("; ")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_open_is_told_at_first_and_then_each_change_once() {
        let row = |state: &str, approvers: &[&str], comments: u32| {
            json!({"request": "7K4M-9QXD", "state": state, "person": "dana", "database": "shop", "groups": ["owners"],
                   "approvers": approvers, "comment_count": comments, "summary": "Reads it.", "answerable": true,
                   "expires": "later"})
        };
        let mut seen = None;
        let mut tell =
            |rows: &[Value]| news(&mut seen, rows).into_iter().map(|(_, line)| line).collect::<Vec<_>>();
        let old = json!({"request": "0000-0000", "state": "expired"});
        assert_eq!(
            tell(&[old.clone(), row("open", &[], 0)]),
            ["7K4M-9QXD  dana in shop: Reads it.  until later  (yours to answer)"]
        );
        assert!(tell(&[old.clone(), row("open", &[], 0)]).is_empty());
        assert_eq!(tell(&[row("open", &["omar"], 0)]), ["7K4M-9QXD  approved so far by omar"]);
        let commented = tell(&[row("open", &["omar"], 1)]);
        assert_eq!(commented, ["7K4M-9QXD  a comment: stepgate request show 7K4M-9QXD"]);
        assert_eq!(tell(&[row("approved", &["amir", "omar"], 1)]), ["7K4M-9QXD  approved by amir, omar"]);
        assert!(tell(&[row("approved", &["amir", "omar"], 1)]).is_empty());
        let mut denied = row("denied", &[], 0);
        denied["ended_by"] = json!("olga");
        denied["reason"] = json!("use the extract");
        tell(&[row("open", &[], 0)]);
        assert_eq!(tell(&[denied]), ["7K4M-9QXD  denied by olga: use the extract"]);
    }
}
