//! What people are told: why a statement waits, and why it does not run. Names of the catalog, the map
//! and the policy only; an approver's reason is the one text of a person's.

pub(crate) mod told;

use std::net::IpAddr;
use std::time::Duration;

use stepgate_policy::{Approval, Decision};
use stepgate_record::Outcome;
use stepgate_store::{DeskError, End, LogError, Waiting};
use stepgate_types::{Action, Limit, RequestId, SqlState, Timestamp, rows_in_words};
use stepgate_wire::Problem;

use crate::overtaken::Clash;

/// The NOTICE of a held statement (DESIGN §8); `digits`: what the person types into their device, if they have one.
pub(crate) fn held(
    request: RequestId,
    approval: &Approval,
    decision: &Decision,
    (left, limit): (Duration, Option<Duration>),
    digits: Option<&str>,
    console_url: Option<&str>,
) -> Problem {
    let what = if approval.itself { "verification" } else { "approval" };
    let open = console_url.map(|url| format!("Open {url}/r/{request} or run: ")).unwrap_or_default();
    let expires = match limit {
        None => format!("Expires in {}; Ctrl-C cancels.", clock(left)),
        // The request stays open, or not: either way the client hears of it then.
        Some(limit) => format!("Waits for {}; Ctrl-C cancels.", clock(limit)),
    };
    let hint = if approval.itself {
        let run = if open.is_empty() { "Run: " } else { "" };
        let device = digits.map(|digits| format!(" Or type {digits} into your device.")).unwrap_or_default();
        format!("{open}{run}stepgate verify {request}.{device} {expires}")
    } else {
        let groups: Vec<_> = approval.groups.iter().map(ToString::to_string).collect();
        format!(
            "Waiting for {} of {}, who run: stepgate request approve {request}. {expires}",
            approval.count,
            groups.join(", ")
        )
    };
    Problem::notice(format!("held, {what} required ({request})"))
        .with_detail(decision.summary())
        .with_hint(hint)
}

/// The same where the statement has joined a request that was open already: who asked that, what was asked of them, and who
/// waits for it besides would not be seen otherwise.
pub(crate) fn joined(notice: Problem, waiting: &Waiting, address: IpAddr) -> Problem {
    if !waiting.joined {
        return notice;
    }
    let place = if waiting.opened_from == address {
        "from the same address".to_owned()
    } else {
        format!("from {}", waiting.opened_from)
    };
    let others = match waiting.sessions {
        0 | 1 => String::new(),
        sessions => format!("; {sessions} sessions wait for one answer"),
    };
    let detail = notice.detail.clone().unwrap_or_default();
    let disown = format!("Not yours? stepgate request deny {} --not-me", waiting.request);
    notice
        .with_detail(format!("{detail} Joins what was asked before, {place}{others}. {disown}").trim_start())
}

/// What the client is told of a decision before anything else happens: the NOTICE of a hold, or the ERROR of a denial.
/// `None`: nothing, since it runs. `request` is shown as the request's.
#[must_use]
pub fn foretell(decision: &Decision, request: RequestId, console_url: Option<&str>) -> Option<Problem> {
    if !decision.enforced {
        return None;
    }
    match (decision.action, &decision.approval) {
        (Action::Allow | Action::Monitor, _) => None,
        (Action::StepUp | Action::Approve, Some(approval)) => {
            Some(held(request, approval, decision, (approval.expires, None), None, console_url))
        }
        (Action::StepUp | Action::Approve | Action::Deny, _) => Some(denied(decision)),
    }
}

/// What the client is told once it has been delivered as much as a decision lets out at first: the NOTICE of a hold, or the
/// ERROR that ends the result. `then` is the decision at that moment. `None`: the result goes on, or has no limit.
#[must_use]
pub fn foretell_at_limit(
    decision: &Decision,
    then: &Decision,
    request: RequestId,
    console_url: Option<&str>,
) -> Option<Problem> {
    if !decision.enforced || !decision.is_limited() || decision.action == Action::Deny {
        return None;
    }
    if then.action == Action::Deny {
        return Some(denied(then));
    }
    let own = || then.approval.clone().map(|approval| (then.action, approval));
    let limit = decision.more_at_once();
    let Some((_, approval)) = then.beyond.clone().or_else(own) else {
        return Some(limit_reached(limit, None));
    };
    let problem = held(request, &approval, then, (approval.expires, None), None, console_url);
    let what = if approval.itself { "verification" } else { "approval" };
    let after = limit.rows.map_or_else(|| limit.to_string(), rows_in_words);
    Some(Problem { message: format!("held after {after}, {what} required ({request})"), ..problem })
}

/// The NOTICE of a statement that has delivered as much as it may; `summary` says how much, and what is asked.
pub(crate) fn held_midway(
    request: RequestId,
    approval: &Approval,
    decision: &Decision,
    (rows, summary): (u64, &str),
    left: Duration,
    digits: Option<&str>,
    console_url: Option<&str>,
) -> Problem {
    let what = if approval.itself { "verification" } else { "approval" };
    let message = format!("held after {}, {what} required ({request})", rows_in_words(rows));
    let held = held(request, approval, decision, (left, None), digits, console_url);
    Problem { message, ..held }.with_detail(summary)
}

/// The ERROR of a statement that has delivered as much as it may, and of which nobody can be asked for more.
/// `crossed`: which, where it counts over a session or window.
pub(crate) fn limit_reached(limit: Limit, crossed: Option<String>) -> Problem {
    let problem = Problem::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("the limit of {limit} is reached, and nobody can be asked for more"),
    );
    match crossed {
        Some(crossed) => problem.with_detail(crossed),
        None => problem,
    }
    .with_hint("Ask for fewer rows at a time, or have the policy's owner name an approval in the rule.")
}

/// The ERROR of a statement that would have to be asked about once more, and is too long to be kept for that.
pub(crate) fn too_long_to_ask(limit: Limit) -> Problem {
    Problem::error(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("the limit of {limit} is reached, and the statement is too long to be asked about again"),
    )
    .with_hint("Ask for fewer rows at a time, or send less text.")
}

/// The ERROR of a statement for which the policy asks for more by now than was approved.
pub(crate) fn asks_more_now(request: RequestId) -> Problem {
    Problem::error(
        SqlState::INSUFFICIENT_PRIVILEGE,
        format!("the policy or what people may do has changed since this was asked ({request})"),
    )
    .with_hint("Send the statement again.")
}

/// The end of a session whose statement could not be cancelled at the server.
pub(crate) fn not_cancelled() -> Problem {
    Problem::fatal(SqlState::CONNECTION_FAILURE, "the statement could not be cancelled at the server")
        .with_detail("What was delivered of its result is not all.")
        .with_hint("Connect again.")
}

/// The end of a session of which a cancel request is on its way, and the server does not take it.
pub(crate) fn cancel_unheard() -> Problem {
    Problem::fatal(SqlState::CONNECTION_FAILURE, "the database server does not answer a cancel request")
        .with_detail("It might hit whatever is sent next.")
        .with_hint("What the server was sent may have been done. Connect again.")
}

/// The same ERROR for a statement of which something has been delivered.
pub(crate) fn midway(problem: Problem, rows: u64) -> Problem {
    let reason = problem.detail.as_ref().map(|detail| format!(" {detail}")).unwrap_or_default();
    let were = if rows == 1 { "was" } else { "were" };
    let delivered = format!("{} {were} delivered before; the result is not complete.", rows_in_words(rows));
    problem.with_detail(format!("{delivered}{reason}"))
}

/// Minutes and seconds, as a clock shows them.
fn clock(time: Duration) -> String {
    let whole = time.as_secs().saturating_add(u64::from(time.subsec_millis() >= 500));
    format!("{}:{:02}", whole / 60, whole % 60)
}

/// The ERROR of a statement that cannot wait for its request, which stays open.
pub(crate) fn deferred(
    request: RequestId,
    approval: &Approval,
    decision: &Decision,
    expires: Timestamp,
    console_url: Option<&str>,
) -> Problem {
    let open = console_url.map(|url| format!("open {url}/r/{request} or run: ")).unwrap_or_default();
    let (what, who) = if approval.itself {
        ("verification", format!("To verify yourself, {open}stepgate verify {request}."))
    } else {
        let groups: Vec<_> = approval.groups.iter().map(ToString::to_string).collect();
        let groups = groups.join(", ");
        let who = format!(
            "Waiting for {} of {groups}, who run: stepgate request approve {request}.",
            approval.count
        );
        ("approval", who)
    };
    let until = expires.to_string();
    Problem::error(
        SqlState::DEFERRED,
        format!("deferred, {what} required ({request}); run it again after that"),
    )
    .with_detail(format!("{} The request stays open until {until}.", decision.summary()))
    .with_hint(format!(
        "{who} Then run the same statement again, with the same values: it passes once. \
             To call it off: stepgate request cancel {request}."
    ))
}

/// The ERROR of a statement that the policy denies.
pub(crate) fn denied(decision: &Decision) -> Problem {
    Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, "denied by policy")
        .with_detail(decision.summary())
        .with_hint(decision.hint.unwrap_or_else(|| way_out(decision)))
}

/// The ERROR of a call that would end or interrupt what somebody else does, or may.
pub(crate) fn not_own_session() -> Problem {
    Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, "only sessions of your own can be cancelled or ended")
        .with_detail("At the server all people have the same role, which may end any of their sessions.")
        .with_hint(
            "Send select pg_cancel_backend(PID) by itself, with the process id of a session of yours; \
             the gate's operator has: stepgate session kill",
        )
}

/// The ERROR of a statement that sets a `client_encoding` in which no statement could be read.
pub(crate) fn encoding() -> Problem {
    Problem::error(SqlState::FEATURE_NOT_SUPPORTED, "statements cannot be read in this client_encoding")
        .with_hint("Use UTF8, or a single-byte encoding such as LATIN1 or WIN1252.")
}

/// The ERROR of a statement that would have to wait for people while the gate stops. The session goes on until the stop
/// takes it, so that its transaction can be ended in order.
pub(crate) fn stopping() -> Problem {
    Problem::error(SqlState::ADMIN_SHUTDOWN, "the gate is stopping, so nobody is asked for this statement")
        .with_detail("It needs a verification or an approval, and no request is opened for it.")
        .with_hint("Connect again once the gate is back, and run the statement again.")
}

/// The ERROR of a statement that its client cancelled before it was sent on.
pub(crate) fn called_off() -> Problem {
    Problem::error(SqlState::QUERY_CANCELED, "cancelled before it was sent to the server")
}

/// The ERROR of a statement that would have the server take its author for somebody else.
pub(crate) fn poses() -> Problem {
    Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, "settings of the gate's own cannot be changed")
        .with_detail("By stepgate.person the server knows who is behind a session.")
        .with_hint(
            "Read it with current_setting('stepgate.person', true); use another name for a setting of yours.",
        )
}

/// The ERROR of whatever is sent in a session whose person has been removed, or has another role by now.
pub(crate) fn no_longer_known() -> Problem {
    Problem::error(
        SqlState::INVALID_AUTHORIZATION,
        "this person is no longer known, or is in other groups now",
    )
    .with_hint("Connect again; if that fails, ask the gate's operator: stepgate user ls")
}

/// What to do instead, by what denied it.
fn way_out(decision: &Decision) -> &'static str {
    let by = |name: &str| decision.rules.iter().any(|rule| rule == name);
    if by("control") {
        "Roles, passwords and grants are changed on the server itself, not through the gate, unless a rule names the kind `control`."
    } else if by("unknown.dynamic_sql") {
        "SQL that is made at run time cannot be read beforehand: send the statements themselves instead of DO, CALL or EXECUTE."
    } else {
        "Ask for data that the policy lets you see, or ask its owner to change the rule."
    }
}

/// The end of a session whose statement, while it waited for a lock, came to mean what it was not let through for.
pub(crate) fn overtaken() -> Problem {
    Problem::fatal(
        SqlState::INSUFFICIENT_PRIVILEGE,
        "what this statement reads was changed while it waited for a lock",
    )
    .with_detail("It would now show columns that it was not let through for; nothing of it was shown.")
    .with_hint("Connect and send it again: it is then judged by what it reads now.")
}

/// The end of a session that its operator does not want.
pub(crate) fn killed() -> Problem {
    Problem::fatal(SqlState::ADMIN_SHUTDOWN, "this session was ended by the gate's operator")
}

/// The end of a session whose DDL keeps others waiting behind what it has sent besides.
pub(crate) fn in_the_way() -> Problem {
    Problem::fatal(
        SqlState::ADMIN_SHUTDOWN,
        "what this session changes kept others waiting, who could not know whether it is committed",
    )
    .with_detail("It was sent together with other statements, which are not done, without Sync, or by a session that listens.")
    .with_hint("Connect and send what changes tables, views or functions by itself.")
}

/// The end of a session with more statements and portals open than are kept track of.
pub(crate) fn too_many_open() -> Problem {
    Problem::fatal(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "too many statements and portals of this session are open",
    )
    .with_hint(
        "Close portals that are not read to their end, or end the transaction, before so many are open.",
    )
}

/// The ERROR of a statement whose request ended without approval.
pub(crate) fn ended(request: RequestId, end: &End) -> Problem {
    let by = end.by.as_ref().map(|by| format!(" by {by}")).unwrap_or_default();
    match end.outcome {
        Outcome::Denied => {
            let problem = Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, format!("denied{by} ({request})"));
            let problem = match &end.reason {
                Some(reason) => problem.with_detail(format!("Reason: {reason}")),
                None => problem,
            };
            problem.with_hint("The session goes on. Talk to the approver before you ask again.")
        }
        Outcome::Expired => {
            Problem::error(SqlState::QUERY_CANCELED, format!("nobody answered in time ({request})"))
                .with_hint("Send the statement again to ask again.")
        }
        Outcome::Cancelled => cancelled(request),
        Outcome::Withdrawn | Outcome::Approved => withdrawn(request),
    }
}

/// The ERROR of a held statement that the client cancelled.
pub(crate) fn cancelled(request: RequestId) -> Problem {
    Problem::error(SqlState::QUERY_CANCELED, format!("cancelled while held ({request})"))
}

/// The ERROR of a statement that the client cancelled while it waited for a deferred request.
pub(crate) fn cancelled_and_open(request: RequestId) -> Problem {
    cancelled(request)
        .with_hint(format!("The request stays open. To call it off: stepgate request cancel {request}."))
}

/// The ERROR of a held statement whose request cannot be answered any more.
pub(crate) fn withdrawn(request: RequestId) -> Problem {
    Problem::error(SqlState::QUERY_CANCELED, format!("the request was withdrawn ({request})"))
        .with_hint("Send the statement again to ask again.")
}

/// The ERROR of a statement that was held for as long as it may wait, and whose request does not outlive that.
pub(crate) fn held_too_long(request: RequestId, limit: Duration) -> Problem {
    Problem::error(
        SqlState::QUERY_CANCELED,
        format!("held for {} s, as long as it may wait ({request})", limit.as_secs()),
    )
    .with_hint("A held transaction keeps what it has locked. Send the statement first thing after BEGIN, or without a transaction.")
}

/// The ERROR where what a statement would read cannot be looked up.
pub(crate) fn catalog_unknown() -> Problem {
    Problem::error(SqlState::CONNECTION_FAILURE, "the catalog of this database cannot be read now")
        .with_hint("Send the statement again in a moment.")
}

/// The ERROR of a statement that cannot run beside what another session does: what was begun could not be taken back.
pub(crate) fn clash(clash: Clash) -> Problem {
    match clash {
        Clash::IsUsed => Problem::error(
            SqlState::OBJECT_IN_USE,
            "what this changes is in use by a statement under way",
        )
        .with_detail(
            "That runs somebody's code, or does more than its reply says, which could not be taken back.",
        )
        .with_hint("Send the statement again once that one has ended."),
        Clash::IsChanged => Problem::error(
            SqlState::OBJECT_IN_USE,
            "another session is changing what this statement runs",
        )
        .with_detail(
            "It runs somebody's code, or does more than its reply says, by what is there once it gets to it.",
        )
        .with_hint("Send the statement again once that transaction has ended."),
        Clash::Hides => Problem::error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "what changes names for others cannot be sent behind the end of a transaction and what that waits for",
        )
        .with_detail("Nobody could know, until the whole message is done, whether it is committed.")
        .with_hint("Send the statements one by one, or what comes behind the end of the transaction by itself."),
    }
}

/// What PostgreSQL says to whatever is sent in a transaction that has failed.
pub(crate) fn failed_transaction() -> Problem {
    let message = "current transaction is aborted, commands ignored until end of transaction block";
    Problem { bare: true, ..Problem::error(SqlState::IN_FAILED_TRANSACTION, message) }
}

/// The ERROR of a copy of labelled data that is more than the gate can keep in mind.
pub(crate) fn too_much_to_remember() -> Problem {
    Problem::error(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        "this copy of labelled data is too much to keep track of",
    )
    .with_hint(
        "Copy fewer columns at a time; or the tables that hold copies are too many, and the operator knows.",
    )
}

/// The ERROR while the log cannot be written: nothing passes.
pub(crate) fn log_failed(error: &LogError) -> Problem {
    if error.is_no_space() {
        // Said once, by the log; it goes on by itself.
        return Problem::error(SqlState::SYSTEM_ERROR, "the audit log has no space, so nothing passes").with_hint(
            "Tell the gate's operator to make room on its disk; then send the statement again, no restart is needed.",
        );
    }
    if let LogError::TooLarge(_) = error {
        // Nothing is wrong with the log: whatever else is sent passes.
        tracing::error!(%error, "a record does not fit into the audit log");
        return Problem::error(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "what is recorded of this is too much for the audit log",
        )
        .with_hint(
            "Send it in parts: fewer statements, tables and columns at a time. Other statements pass.",
        );
    }
    tracing::error!(%error, "the audit log cannot be written: nothing passes");
    Problem::error(SqlState::SYSTEM_ERROR, "the audit log cannot be written, so nothing passes")
        .with_hint("Tell the gate's operator; `stepgate doctor` says what to do.")
}

/// The ERROR where a request cannot be opened.
pub(crate) fn desk_failed(error: &DeskError) -> Problem {
    let limit = SqlState::PROGRAM_LIMIT_EXCEEDED;
    match error {
        DeskError::Log(error) => log_failed(error),
        DeskError::TooManyOfPerson(_) => {
            Problem::error(limit, error.to_string()).with_hint(
                "See them: stepgate request ls. One that you did not make: stepgate request deny REQUEST --not-me",
            )
        }
        DeskError::CoolingDown(_) => Problem::error(limit, error.to_string())
            .with_hint("Have somebody there to answer it. What waits: stepgate request ls"),
        DeskError::Full | DeskError::CalledOff(_) => Problem::error(limit, error.to_string()),
        DeskError::Unanswerable(_) => Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, error.to_string()),
        _ => Problem::error(SqlState::SYSTEM_ERROR, error.to_string()),
    }
}
