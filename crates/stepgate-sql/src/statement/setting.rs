//! SET and RESET.

use stepgate_types::Kind;

use super::{Words, plain, statement_doubt, transaction};
use crate::catalog::Catalog;
use crate::effect::{Isolation, Settings};
use crate::encoding::ClientEncoding;
use crate::facts::Facts;

/// Settings on which no analysis depends: after them the session's state need not be read again.
fn is_harmless(name: &str) -> bool {
    matches!(
        name,
        "application_name"
            | "bytea_output"
            | "client_min_messages"
            | "datestyle"
            | "extra_float_digits"
            | "idle_in_transaction_session_timeout"
            | "idle_session_timeout"
            | "intervalstyle"
            | "jit"
            | "lock_timeout"
            | "maintenance_work_mem"
            | "statement_timeout"
            | "timezone"
            | "work_mem"
            | "default_transaction_isolation"
            | "default_transaction_read_only"
            | "default_transaction_deferrable"
            | "synchronous_commit"
            | "temp_buffers"
            | "random_page_cost"
    )
}

/// Settings by which no statement has another result; and those that are known in other ways (the search path, roles, the
/// encoding, isolation, the purpose).
fn is_indifferent(name: &str) -> bool {
    matches!(
        name,
        "application_name"
            | "backend_flush_after"
            | "check_function_bodies"
            | "client_connection_check_interval"
            | "client_encoding"
            | "client_min_messages"
            | "constraint_exclusion"
            | "cpu_index_tuple_cost"
            | "cpu_operator_cost"
            | "cpu_tuple_cost"
            | "cursor_tuple_fraction"
            | "default_table_access_method"
            | "default_tablespace"
            | "default_transaction_deferrable"
            | "default_transaction_isolation"
            | "default_transaction_read_only"
            | "effective_cache_size"
            | "effective_io_concurrency"
            | "from_collapse_limit"
            | "geqo"
            | "hash_mem_multiplier"
            | "idle_in_transaction_session_timeout"
            | "idle_session_timeout"
            | "jit"
            | "join_collapse_limit"
            | "lock_timeout"
            | "maintenance_work_mem"
            | "max_parallel_maintenance_workers"
            | "max_parallel_workers"
            | "max_parallel_workers_per_gather"
            | "parallel_leader_participation"
            | "parallel_setup_cost"
            | "parallel_tuple_cost"
            | "plan_cache_mode"
            | "random_page_cost"
            | "role"
            | "search_path"
            | "seq_page_cost"
            | "session_authorization"
            | "statement_timeout"
            | "stepgate.purpose"
            | "synchronous_commit"
            | "temp_buffers"
            | "temp_tablespaces"
            | "transaction_deferrable"
            | "transaction_isolation"
            | "transaction_read_only"
            | "transaction_timeout"
            | "work_mem"
    ) || name.starts_with("enable_")
        || name.starts_with("log_")
        || name.starts_with("tcp_")
}

/// What a setting of that name makes unsure. `value`: what it is set to, where that is known.
fn settings(name: &str, value: Option<&str>) -> Settings {
    let as_ever = match name {
        "standard_conforming_strings" | "array_nulls" => value == Some("on"),
        "transform_null_equals" => value == Some("off"),
        name => is_indifferent(name),
    };
    match name {
        _ if as_ever => Settings::Indifferent,
        // All above zero print the same.
        "extra_float_digits" if value.is_some_and(|value| matches!(value, "1" | "2" | "3")) => {
            Settings::Usual
        }
        "bytea_output" if value.is_some_and(|value| value.eq_ignore_ascii_case("hex")) => Settings::Usual,
        "datestyle" | "intervalstyle" | "timezone" => Settings::Reported,
        _ => Settings::Unreported,
    }
}

/// Whether statements may have other results in a session that begins with this setting, of which the server tells nothing.
/// The name is in lower case.
#[must_use]
pub fn shapes_results(name: &str, value: &str) -> bool {
    settings(name, Some(value)) == Settings::Unreported
}

/// What the calls of `set_config` in a query make unsure.
pub(super) fn set_by_calls(words: Words<'_, '_>) -> Settings {
    let calls = (0..words.len()).filter(|at| words.ident(*at) == Some("set_config"));
    let sets = |at: usize| match (
        words.text(at + 2),
        words.is_punct(at + 1, b'(') && words.is_punct(at + 3, b','),
    ) {
        (Some(name), true) => settings(&name.to_ascii_lowercase(), words.text(at + 4)),
        _ => Settings::Unreported,
    };
    calls.map(sets).max().unwrap_or_default()
}

/// How much a setting matters to the analysis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    /// Not at all.
    Harmless,
    /// The session's state must be read again.
    Session,
    /// It changes how statements read, or whose rights they have.
    Grave,
}

/// Whether it is one of the gate's own, by which the server knows who is behind a session (`stepgate.person`). What the
/// client says it wants the data for is its own to say.
pub(super) fn says_who(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with("stepgate.") && name != "stepgate.purpose"
}

fn weight(name: &str) -> Weight {
    match name {
        _ if says_who(name) => Weight::Grave,
        _ if is_harmless(name) => Weight::Harmless,
        "client_encoding"
        | "standard_conforming_strings"
        | "backslash_quote"
        | "transform_null_equals"
        | "array_nulls"
        | "role"
        | "session_authorization" => Weight::Grave,
        _ => Weight::Session,
    }
}

/// The weight of the calls `set_config('name', …)` in a query; none where there are none. Called in any other
/// way it is grave, but for pg_dump's own way of asking whether there is such a setting.
pub(super) fn set_config(words: Words<'_, '_>, catalog: &Catalog) -> Option<Weight> {
    (0..words.len())
        .filter(|at| words.ident(*at) == Some("set_config"))
        .map(|at| match words.text(at + 2).or_else(|| only_row(words, at, catalog)) {
            Some(name) if words.is_punct(at + 1, b'(') && words.is_punct(at + 3, b',') => {
                weight(&name.to_ascii_lowercase())
            }
            _ => Weight::Grave,
        })
        .max()
}

/// The setting of `SELECT set_config(name, 'value', bool) FROM pg_settings WHERE name = 'setting'`, to the word.
fn only_row<'t>(words: Words<'t, '_>, at: usize, catalog: &Catalog) -> Option<&'t str> {
    let shape =
        [(at + 2, "name"), (at + 8, "from"), (at + 9, "pg_settings"), (at + 10, "where"), (at + 11, "name")];
    let is_it = words.word(0) == Some("select")
        && words.len() == at + 14
        && matches!(at, 1 | 3)
        && shape.iter().all(|(at, word)| words.word(*at) == Some(word))
        && words.text(at + 4).is_some()
        && words.is_punct(at + 7, b')')
        && words.is_operator(at + 12, "=")
        // A temporary view of that name would be found first.
        && catalog.is_only_of_server("pg_settings");
    is_it.then(|| words.text(at + 13)).flatten()
}

/// SET.
pub(super) fn set(words: Words<'_, '_>, facts: &mut Facts) {
    plain(facts, Kind::Session);
    let rest = match words.word(1) {
        Some("session" | "local") => words.after(2),
        _ => words.after(1),
    };
    match rest.word(0) {
        Some(what @ ("transaction" | "characteristics")) => {
            let which = if what == "transaction" { Isolation::This } else { Isolation::Later };
            facts.effect.isolation = isolation(rest, which);
            return transaction(facts, false);
        }
        Some("time") => {
            facts.effect.settings = Settings::Reported;
            return;
        }
        Some("xml") => {
            facts.effect.settings = Settings::Unreported;
            return;
        }
        // Of the grammar, not a setting.
        Some("constraints") => return,
        Some("names") => return encoding(rest.after(1), facts),
        Some("schema" | "catalog") | None => facts.effect.session = true,
        Some(_) => {}
    }
    // A setting may be written in quotes, and with a class: "search_path", plpgsql.x.
    let name = rest.ident(0).unwrap_or_default().to_ascii_lowercase();
    let value =
        if rest.word(1) == Some("to") || rest.is_operator(1, "=") { rest.after(2) } else { rest.after(1) };
    assign(&name, value, facts);
}

/// `which` transactions come to see one snapshot, where the words of BEGIN or SET TRANSACTION say so.
pub(super) fn isolation(words: Words<'_, '_>, which: Isolation) -> Isolation {
    let says = (0..words.len()).any(|at| matches!(words.word(at), Some("repeatable" | "serializable")));
    if says { which } else { Isolation::AsBefore }
}

/// Which transactions the calls of `set_config` in a query are about.
pub(super) fn sets_isolation(words: Words<'_, '_>) -> Isolation {
    let names = |at: usize| words.text(at + 2).is_some_and(|name| is_isolation(&name.to_ascii_lowercase()));
    let sets = (0..words.len()).any(|at| words.ident(at) == Some("set_config") && names(at));
    if sets { Isolation::Later } else { Isolation::AsBefore }
}

fn is_isolation(name: &str) -> bool {
    matches!(name, "default_transaction_isolation" | "transaction_isolation")
}

/// RESET.
pub(super) fn reset(words: Words<'_, '_>, facts: &mut Facts) {
    plain(facts, Kind::Session);
    let name = words.ident(1).unwrap_or_default().to_ascii_lowercase();
    if matches!(name.as_str(), "standard_conforming_strings" | "client_encoding") {
        statement_doubt(facts, "setting");
    }
    if is_isolation(&name) {
        facts.effect.isolation = Isolation::Later;
    }
    facts.effect.session = !is_harmless(&name);
    facts.effect.settings = match name.as_str() {
        // RESET TIME ZONE; and as the session began.
        "time" | "all" => Settings::Reported,
        name => settings(name, None),
    };
}

fn assign(name: &str, value: Words<'_, '_>, facts: &mut Facts) {
    match name {
        "client_encoding" => encoding(value, facts),
        // As they are read; Rails says so on each connection.
        "standard_conforming_strings" | "array_nulls" if value.len() == 1 && is(value, "on") => {}
        "transform_null_equals" if value.len() == 1 && is(value, "off") => {}
        // Quotes, `= NULL` or `{NULL}` would mean something else, also in what people have approved.
        "standard_conforming_strings" | "backslash_quote" | "transform_null_equals" | "array_nulls" => {
            statement_doubt(facts, "setting");
        }
        "role" | "session_authorization" if !is_own(name, value) => facts.kind = Kind::Control,
        // Whatever it is now: what it was before comes back if the transaction is rolled back.
        name if is_isolation(name) => facts.effect.isolation = Isolation::Later,
        _ => {}
    }
    facts.effect.session |= !is_harmless(name);
    let only = (value.len() == 1).then(|| value.value(0)).flatten();
    facts.effect.settings = settings(name, only);
}

/// Whether a role goes back to the session's own, as `control` says of it.
fn is_own(name: &str, value: Words<'_, '_>) -> bool {
    value.len() == 1 && (value.word(0) == Some("default") || (name == "role" && is(value, "none")))
}

fn is(value: Words<'_, '_>, wanted: &str) -> bool {
    value.text(0).or_else(|| value.word(0)) == Some(wanted)
}

/// Those that can be read: in others a byte of a letter may look like a quote.
fn encoding(value: Words<'_, '_>, facts: &mut Facts) {
    let name = value.text(0).or_else(|| value.ident(0)).unwrap_or_default();
    let encoding = ClientEncoding::named(name);
    // SET NAMES without a name, and TO DEFAULT, set it to what the session began with.
    let is_name = value.len() == 1 && value.word(0) != Some("default");
    if encoding == ClientEncoding::Other || !is_name {
        statement_doubt(facts, "setting");
    }
    facts.effect.encoding = is_name.then_some(encoding);
}
