//! The policy's `approvals:`, read and checked.

use std::collections::BTreeSet;
use std::time::Duration;

use stepgate_types::{GroupName, Strength};

use crate::condition_load::parsed;
use crate::read::{self, Fields};
use crate::report::Report;
use crate::yaml::{Node, Value};
use crate::{Approval, Escalation, Remember, ScopePart};

/// The most people that an approval can ask for: beyond this, nothing would ever be approved in time.
const MAX_COUNT: u32 = 10;
/// The longest that a request to others stays open: beyond a week, who approves it no longer knows why it was asked.
const MAX_EXPIRES: Duration = Duration::from_secs(7 * 24 * 3600);
/// The longest that a request to oneself stays open.
const MAX_OWN_EXPIRES: Duration = crate::policy_load::MAX_HOLD;
/// The longest that an approval is remembered: a working day and the evening after it.
const MAX_REMEMBER: Duration = Duration::from_secs(24 * 3600);

const STRENGTHS: [(&str, Strength); 5] = [
    ("weak", Strength::Weak),
    ("standard", Strength::Standard),
    ("strong", Strength::Strong),
    ("phishing-resistant", Strength::PhishingResistant),
    ("device-bound", Strength::DeviceBound),
];

const SCOPE: [(&str, ScopePart); 6] = [
    ("person", ScopePart::Person),
    ("client", ScopePart::Client),
    ("network", ScopePart::Network),
    ("session", ScopePart::Session),
    ("relations", ScopePart::Relations),
    ("labels", ScopePart::Labels),
];

/// The scope of a grant where the policy does not say (DESIGN §3, "Joining").
const USUAL_SCOPE: [ScopePart; 4] =
    [ScopePart::Person, ScopePart::Client, ScopePart::Network, ScopePart::Relations];

/// Reads all approvals, in the file's order. `hold` is how long they stay open where they do not say.
pub(crate) fn load(report: &mut Report<'_>, node: Option<&Node>, hold: Duration) -> Vec<Approval> {
    let Some(node) = node else { return Vec::new() };
    let mut approvals = Vec::new();
    for (key, value) in read::map(report, node, "`approvals`").unwrap_or_default() {
        if read::name_is_good(report, key.at, "an approval's name", &key.name)
            && let Some(approval) = approval(report, &key.name, value, hold)
        {
            approvals.push(approval);
        }
    }
    approvals
}

fn approval(report: &mut Report<'_>, name: &str, node: &Node, hold: Duration) -> Option<Approval> {
    let what = format!("approval `{name}`");
    let known = ["self", "groups", "count", "strength", "reason", "expires", "remember", "escalate"];
    let later = ["unmask", "methods", "people", "budget"];
    let fields = Fields::read(report, node, &what, &known, &later)?;
    let itself = fields.get("self").and_then(|node| read::flag(report, node, "`self`")).unwrap_or(false);
    let groups = groups(report, &fields);
    match (itself, fields.get("groups")) {
        (true, Some(groups)) => report.error_with_help(
            groups.at,
            format!("{what} is answered by the person (`self: true`) or by `groups`, not by both"),
            "make two approvals of it",
        ),
        (false, None) => {
            report.error(node.at, format!("{what} needs `self: true` or `groups: [...]`: who answers it?"));
        }
        _ => {}
    }
    let expires = expires(report, &fields, itself, hold);
    let approval = Approval {
        name: name.to_owned(),
        itself,
        groups,
        count: count(report, &fields, itself),
        strength: strength(report, &fields),
        reason_required: reason(report, &fields, itself),
        expires,
        remember: fields.get("remember").and_then(|node| remember(report, node)),
        escalate: fields.get("escalate").and_then(|node| escalate(report, node, itself, expires)),
    };
    Some(approval)
}

/// Whom the request goes to besides, and after how long: before it expires, and never where the person answers it.
fn escalate(report: &mut Report<'_>, node: &Node, itself: bool, expires: Duration) -> Option<Escalation> {
    let fields = Fields::read(report, node, "`escalate`", &["after", "to"], &[])?;
    let (after, to) =
        (fields.require(report, "`escalate`", "after"), fields.require(report, "`escalate`", "to"));
    let after_at = after.map(|node| node.at);
    let after = after.and_then(|node| read::duration(report, node, "`escalate.after`", MAX_EXPIRES))?;
    let items = to.and_then(|node| read::items(report, node, "`escalate.to`"))?;
    let to = items.iter().filter_map(|node| parsed(report, node, "`escalate.to`")).collect();
    if itself {
        report.error(node.at, "`escalate` is for approvals by `groups`: nobody verifies for somebody else");
    } else if after >= expires
        && let Some(at) = after_at
    {
        let expires = read::show_duration(expires);
        report.error(at, format!("`escalate.after` must be less than the {expires} after which it expires"));
    }
    Some(Escalation { after, to })
}

fn groups(report: &mut Report<'_>, fields: &Fields<'_>) -> BTreeSet<GroupName> {
    let Some(node) = fields.get("groups") else { return BTreeSet::new() };
    let items = read::items(report, node, "`groups`").unwrap_or_default();
    items.iter().filter_map(|node| parsed(report, node, "`groups`")).collect()
}

fn count(report: &mut Report<'_>, fields: &Fields<'_>, itself: bool) -> u32 {
    let Some(node) = fields.get("count") else { return 1 };
    let most = if itself { 1 } else { MAX_COUNT };
    read::integer(report, node, "`count`", 1..=most).unwrap_or(1)
}

/// How long the request stays open: as long as the statement may be held, unless it says. One that outlives its
/// hold is a deferred one.
fn expires(report: &mut Report<'_>, fields: &Fields<'_>, itself: bool, hold: Duration) -> Duration {
    let Some(node) = fields.get("expires") else { return hold };
    let most = if itself { MAX_OWN_EXPIRES } else { MAX_EXPIRES };
    read::duration(report, node, "`expires`", most).unwrap_or(hold)
}

fn strength(report: &mut Report<'_>, fields: &Fields<'_>) -> Strength {
    let node = fields.get("strength");
    node.and_then(|node| read::word(report, node, "`strength`", &STRENGTHS)).unwrap_or(Strength::Standard)
}

fn reason(report: &mut Report<'_>, fields: &Fields<'_>, itself: bool) -> bool {
    let Some(node) = fields.get("reason") else { return false };
    let required = read::word(report, node, "`reason`", &[("required", true), ("optional", false)]);
    if itself && required == Some(true) {
        report.error(node.at, "a reason from a person who verifies themselves is not built yet");
    }
    required.unwrap_or(true)
}

fn remember(report: &mut Report<'_>, node: &Node) -> Option<Remember> {
    if matches!(node.value, Value::Text(_)) {
        report.error(node.at, "`remember` is a mapping such as {for: 15m}");
        return None;
    }
    let later = ["rows", "bytes", "statements", "budget"];
    let fields = Fields::read(report, node, "`remember`", &["for", "scope", "sink"], &later)?;
    let for_ = fields.require(report, "`remember`", "for")?;
    let for_ = read::duration(report, for_, "`remember.for`", MAX_REMEMBER)?;
    let scope = match fields.get("scope") {
        None => USUAL_SCOPE.into(),
        Some(node) => scope(report, node),
    };
    let sink =
        fields.get("sink").and_then(|node| read::flag(report, node, "`remember.sink`")).unwrap_or(false);
    Some(Remember { for_, scope, sink })
}

/// Person and relations are always part of a grant's scope, whether named or not.
fn scope(report: &mut Report<'_>, node: &Node) -> BTreeSet<ScopePart> {
    let items = read::items(report, node, "`scope`").unwrap_or_default();
    let named = items.iter().filter_map(|node| read::word(report, node, "`scope`", &SCOPE));
    named.chain([ScopePart::Person, ScopePart::Relations]).collect()
}
