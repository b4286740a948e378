//! The Open Cybersecurity Schema Framework, release 1.8.0 (<https://schema.ocsf.io/1.8.0>): which class and activity
//! a record is, and what that class wants to be told.

use serde_json::{Map, Value, json};

use super::row::{Row, json};

/// The release.
const VERSION: &str = "1.8.0";

/// Which class, and which of its activities.
#[derive(Clone, Copy)]
struct Class {
    uid: u32,
    activity: u32,
}

const DATASTORE_ACTIVITY: u32 = 6005;
const ACCOUNT_CHANGE: u32 = 3001;
const AUTHENTICATION: u32 = 3002;
const AUTHORIZE_SESSION: u32 = 3003;
const ENTITY_MANAGEMENT: u32 = 3004;
const USER_ACCESS: u32 = 3005;
const EVENT_LOG: u32 = 1008;
const DETECTION_FINDING: u32 = 2004;

/// `Other`, in every enumeration.
const OTHER: u32 = 99;

/// A record's line.
pub(super) fn line(row: &Row) -> String {
    let class = class(row);
    let mut event = Map::new();
    let mut put = |name: &str, value: Value| {
        event.insert(name.to_owned(), value);
    };
    put("class_uid", class.uid.into());
    put("category_uid", (class.uid / 1000).into());
    put("activity_id", class.activity.into());
    put("type_uid", (class.uid * 100 + class.activity).into());
    put("time", row.at.micros().div_euclid(1000).into());
    put("severity_id", severity(row).into());
    put("message", row.title().into());
    put("metadata", metadata(row));
    if let Some(succeeded) = succeeded(row) {
        // Of findings, `status_id` is the state of the work on them.
        if class.uid != DETECTION_FINDING {
            put("status_id", if succeeded { 1 } else { 2 }.into());
        }
    }
    if let Some(code) = &row.sqlstate {
        put("status_code", code.as_str().into());
    }
    if let Some(reason) = &row.reason {
        put("status_detail", reason.as_str().into());
    }
    let actor = row.by.as_ref().or(row.person.as_ref());
    let people = matches!(class.uid, AUTHENTICATION | AUTHORIZE_SESSION | USER_ACCESS | ACCOUNT_CHANGE);
    if class.uid == DATASTORE_ACTIVITY || actor.is_some() {
        put("actor", named_actor(actor, row));
    }
    if people {
        put("user", user(row.person.as_ref().or(row.by.as_ref())));
    }
    if let Some(address) = &row.address {
        put("src_endpoint", endpoint(address));
    } else if class.uid == DATASTORE_ACTIVITY {
        // Required; which session it is leads to the address, in the record of its opening.
        put("src_endpoint", json!({"uid": row.session.clone().unwrap_or_else(unknown)}));
    }
    match class.uid {
        DATASTORE_ACTIVITY => datastore(row, &mut event),
        AUTHENTICATION => {
            authentication(row, &mut event);
        }
        AUTHORIZE_SESSION | USER_ACCESS => {
            event.insert("privileges".to_owned(), privileges(row));
            if let (Some(session), AUTHORIZE_SESSION) = (&row.session, class.uid) {
                event.insert("session".to_owned(), json!({"uid": session}));
            }
        }
        ACCOUNT_CHANGE if matches!(class.activity, 10 | 11) => {
            event.insert("auth_factors".to_owned(), factors(row));
        }
        ENTITY_MANAGEMENT => {
            event.insert("entity".to_owned(), entity(row));
        }
        EVENT_LOG => {
            event.insert("log_name".to_owned(), LOG_NAME.into());
        }
        DETECTION_FINDING => {
            let title = row.reason.clone().unwrap_or_else(|| row.title());
            event.insert("finding_info".to_owned(), json!({"uid": row.uid(), "title": title}));
        }
        _ => {}
    }
    event.insert("unmapped".to_owned(), unmapped(row));
    json(&Value::Object(event))
}

/// What this log is called among others.
const LOG_NAME: &str = "stepgate audit log";

fn unknown() -> String {
    "unknown".to_owned()
}

fn class(row: &Row) -> Class {
    let (uid, activity) = match row.kind.as_str() {
        "statement.decided" | "statement.completed" => (DATASTORE_ACTIVITY, statement(row)),
        "session.opened" | "session.auth_failed" | "session.refused" | "admin.login" => (AUTHENTICATION, 1),
        "session.closed" => (AUTHENTICATION, 2),
        "stepup.factor_verified" | "stepup.factor_failed" => (AUTHENTICATION, OTHER),
        "stepup.ended" if row.outcome.as_deref() == Some("approved") => (AUTHORIZE_SESSION, 1),
        "grant.issued" | "pass.issued" | "break_glass.opened" => (USER_ACCESS, 1),
        "break_glass.ended" | "grant.revoked" | "grant.expired" | "pass.lapsed" | "pass.consumed" => {
            (USER_ACCESS, 2)
        }
        "admin.action" => match row.action.as_deref() {
            Some("user.added") => (ACCOUNT_CHANGE, 1),
            Some("user.password_set") => (ACCOUNT_CHANGE, 3),
            Some("user.removed") => (ACCOUNT_CHANGE, 6),
            Some("factor.enrolled") => (ACCOUNT_CHANGE, 10),
            Some("factor.removed") => (ACCOUNT_CHANGE, 11),
            _ => (ACCOUNT_CHANGE, OTHER),
        },
        "policy.loaded" | "config.loaded" | "places.loaded" => (ENTITY_MANAGEMENT, 10),
        "policy.rejected" | "config.rejected" => (ENTITY_MANAGEMENT, OTHER),
        "label.bound" | "label.followed" => (ENTITY_MANAGEMENT, 3),
        "log.started" => (EVENT_LOG, 6),
        "log.stopped" => (EVENT_LOG, 7),
        "log.sealed" => (EVENT_LOG, 4),
        "retention.pruned" => (EVENT_LOG, 2),
        "audit.exported" | "audit.export_sealed" => (EVENT_LOG, 3),
        "alarm.raised" | "catalog.drifted" | "integrity.failed" | "store.degraded" | "sink.failed"
        | "clock.anomaly" => (DETECTION_FINDING, 1),
        "retention.subject_shredded" => (EVENT_LOG, 2),
        "log.restored" => (EVENT_LOG, 8),
        "key.rotated" => (EVENT_LOG, 5),
        kind => match kind.split('.').next() {
            Some("statement" | "limit") => (DATASTORE_ACTIVITY, OTHER),
            Some("session") => (AUTHENTICATION, OTHER),
            Some("stepup") => (AUTHORIZE_SESSION, OTHER),
            Some("grant" | "pass") => (USER_ACCESS, OTHER),
            Some("identity") if kind == "identity.login" => (AUTHENTICATION, 1),
            Some("identity" | "password") => (ACCOUNT_CHANGE, OTHER),
            _ => (EVENT_LOG, OTHER),
        },
    };
    Class { uid, activity }
}

/// The activity of what a message of statements does: that of all of them, else `Other`.
fn statement(row: &Row) -> u32 {
    let activity = |kind: &String| match kind.as_str() {
        "select" | "copy-out" | "cursor" => 4,
        "insert" | "copy-in" | "merge" => 5,
        "update" => 2,
        "delete" => 7,
        _ => OTHER,
    };
    let mut activities = row.kinds.iter().map(activity);
    let first = activities.next().unwrap_or(OTHER);
    if activities.all(|other| other == first) { first } else { OTHER }
}

fn severity(row: &Row) -> u32 {
    match row.kind.as_str() {
        "alarm.raised" | "integrity.failed" | "policy.tampered" | "break_glass.opened"
        | "break_glass.used" => 5,
        kind if kind.starts_with("break_glass.") => 4,
        "session.auth_failed" | "session.refused" | "stepup.factor_failed" | "limit.enforced" => 3,
        "store.degraded" | "sink.failed" | "clock.anomaly" | "catalog.drifted" => 3,
        "policy.rejected" | "config.rejected" => 3,
        _ => match row.verdict.as_deref() {
            Some("deny" | "overtaken") => 4,
            Some("hold" | "defer" | "monitor") => 3,
            _ => 1,
        },
    }
}

/// Whether what the record is about went well, where it says so.
fn succeeded(row: &Row) -> Option<bool> {
    match row.kind.as_str() {
        "session.opened" | "stepup.factor_verified" | "admin.login" => Some(true),
        "session.auth_failed"
        | "session.refused"
        | "stepup.factor_failed"
        | "statement.parse_failed"
        | "limit.enforced" => Some(false),
        "policy.loaded" | "config.loaded" | "places.loaded" => Some(true),
        "policy.rejected" | "config.rejected" => Some(false),
        "statement.completed" => Some(row.sqlstate.is_none()),
        "stepup.ended" => Some(row.outcome.as_deref() == Some("approved")),
        "statement.decided" => match row.verdict.as_deref() {
            Some("forward") => Some(true),
            Some("deny" | "overtaken") => Some(false),
            Some("fail") if row.reason.is_some() => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn metadata(row: &Row) -> Value {
    let mut metadata = json!({
        "version": VERSION,
        "product": {"name": "Stepgate", "vendor_name": "Stepgate"},
        "uid": row.uid(),
        "sequence": row.seq,
        "event_code": row.kind,
        "log_name": LOG_NAME,
        "original_time": row.at.to_string(),
    });
    if let (Some(_), Some(metadata)) = (disposition(row), metadata.as_object_mut()) {
        metadata.insert("profiles".to_owned(), json!(["security_control"]));
    }
    metadata
}

/// `action_id` and `disposition_id` of the profile Security Control.
fn disposition(row: &Row) -> Option<(u32, u32)> {
    match (row.kind.as_str(), row.verdict.as_deref()) {
        ("statement.decided", Some("forward")) if row.request.is_some() || row.grant.is_some() => {
            Some((1, 8))
        }
        ("statement.decided", Some("forward")) => Some((1, 1)),
        ("statement.decided", Some("monitor")) => Some((3, 17)),
        ("statement.decided", Some("hold")) => Some((2, 23)),
        ("statement.decided", Some("defer")) => Some((2, 14)),
        ("statement.decided", Some("deny" | "overtaken")) => Some((2, 2)),
        // Of records from before it was told why, this said nothing.
        ("statement.decided", Some("fail")) if row.reason.is_some() => Some((2, 2)),
        ("limit.enforced", _) => Some((2, 2)),
        _ => None,
    }
}

fn named_actor(actor: Option<&String>, row: &Row) -> Value {
    let mut value = json!({"user": user(actor)});
    if let (Some(session), Some(value)) = (&row.session, value.as_object_mut()) {
        value.insert("session".to_owned(), json!({"uid": session}));
    }
    value
}

/// A name, or the commitment that stands for it.
fn user(name: Option<&String>) -> Value {
    match name {
        Some(name) => json!({"uid": name, "name": name}),
        None => json!({"uid": "unknown"}),
    }
}

fn endpoint(address: &str) -> Value {
    match address.parse::<std::net::IpAddr>() {
        Ok(_) => json!({"ip": address}),
        Err(_) => json!({"uid": address}),
    }
}

fn datastore(row: &Row, event: &mut Map<String, Value>) {
    let name = row.database.clone().unwrap_or_else(unknown);
    event.insert("database".to_owned(), json!({"name": name, "type": "PostgreSQL", "type_id": 1}));
    event.insert("type_id".to_owned(), 1.into());
    if row.fingerprint.is_some() || row.query.is_some() {
        let fingerprint = row.fingerprint.clone().unwrap_or_else(unknown);
        let query = row.query.clone().unwrap_or_default();
        event.insert("query_info".to_owned(), json!({"uid": fingerprint, "query_string": query}));
    }
    if let Some(table) = row.relations.first() {
        event.insert("table".to_owned(), json!({"name": table}));
    }
    if let Some((action, disposition)) = disposition(row) {
        event.insert("action_id".to_owned(), action.into());
        event.insert("disposition_id".to_owned(), disposition.into());
        // An attribute of the same profile.
        if let Some(policy) = &row.policy_sha256 {
            event.insert("policy".to_owned(), json!({"uid": policy, "name": "stepgate policy"}));
        }
    }
    // In milliseconds.
    if let Some(duration) = row.duration_us {
        event.insert("duration".to_owned(), (duration / 1000).into());
    }
}

fn authentication(row: &Row, event: &mut Map<String, Value>) {
    let service = row.database.clone().unwrap_or_else(|| "stepgate".to_owned());
    event.insert("service".to_owned(), json!({"name": service}));
    if let Some(session) = &row.session {
        event.insert("session".to_owned(), json!({"uid": session}));
    }
    if row.kind.starts_with("stepup.factor_") {
        event.insert("auth_factors".to_owned(), factors(row));
        event.insert("is_mfa".to_owned(), true.into());
    }
}

/// What is asked for or given: labels; else what it is known by.
fn privileges(row: &Row) -> Value {
    if !row.labels.is_empty() {
        return json!(row.labels);
    }
    let names = [&row.approval, &row.grant, &row.request];
    json!([names.into_iter().flatten().next().cloned().unwrap_or_else(unknown)])
}

/// The kinds of factors there are: 7 is a one-time password.
fn factors(row: &Row) -> Value {
    match row.detail.get("factor").and_then(Value::as_str) {
        Some("totp") | None => json!([{"factor_type_id": 7, "is_totp": true}]),
        Some(other) => json!([{"factor_type_id": OTHER, "factor_type": other}]),
    }
}

/// Type 5 is a policy.
fn entity(row: &Row) -> Value {
    let sha256 = ["config_sha256", "places_sha256"]
        .iter()
        .find_map(|name| row.detail.get(*name))
        .and_then(Value::as_str);
    let uid = row.policy_sha256.clone().or_else(|| sha256.map(ToOwned::to_owned));
    let uid = uid.or_else(|| row.database.clone()).unwrap_or_else(unknown);
    let name = row.kind.split('.').next().unwrap_or_default().to_owned();
    json!({"type_id": 5, "uid": uid, "name": name, "policy": {"uid": uid, "name": name}})
}

/// What the class has no place for.
fn unmapped(row: &Row) -> Value {
    let mut rest = row.detail.clone();
    rest.insert("leaf_hash".to_owned(), row.hash.to_string().into());
    let texts = [
        ("db_user", &row.db_user),
        ("client", &row.client),
        ("session", &row.session),
        ("request", &row.request),
        ("grant", &row.grant),
        ("approval", &row.approval),
        ("action", &row.action),
        ("verdict", &row.verdict),
        ("outcome", &row.outcome),
        ("certainty", &row.certainty),
        ("policy_sha256", &row.policy_sha256),
    ];
    for (name, text) in texts {
        if let Some(text) = text {
            rest.insert(name.to_owned(), text.as_str().into());
        }
    }
    let lists = [
        ("labels", &row.labels),
        ("classes", &row.classes),
        ("relations", &row.relations),
        ("kinds", &row.kinds),
        ("rules", &row.rules),
    ];
    for (name, list) in lists {
        if !list.is_empty() {
            rest.insert(name.to_owned(), json!(list));
        }
    }
    let numbers = [
        ("statement", row.statement),
        ("risk", row.risk),
        ("estimate", row.estimate),
        ("rows", row.rows),
        ("bytes", row.bytes),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            rest.insert(name.to_owned(), number.into());
        }
    }
    // Lists of objects are as they are in the record; everything else in here is flat.
    Value::Object(rest)
}
