//! `pg_cancel_backend` and `pg_terminate_backend`: all people work with the same role on the server, which would let
//! each end what the others do.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_session::Pending;
use stepgate_sql::{Facts, SessionState};
use stepgate_types::Certainty;

const NAMES: [&str; 2] = ["pg_cancel_backend", "pg_terminate_backend"];

/// Whom a statement ends or interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// The server's process with this id, and it does nothing else.
    To(i32),
    /// That cannot be told.
    Unclear,
}

/// Whether a statement signals a process, as far as its text says. What hides it is unknown as ever, and asks.
pub(super) fn of(pending: &Pending, session: &SessionState) -> Option<Signal> {
    let doubted = |facts: &Facts| facts.reasons.iter().any(|reason| reason.code == "unknown-function");
    if !pending.facts.iter().any(doubted) || !mentions(&pending.sql) {
        return None;
    }
    let nothing_else =
        |only: &Facts| only.reasons.len() == 1 && only.relations.is_empty() && only.functions.is_empty();
    let alone = matches!(&*pending.facts, [only] if nothing_else(only));
    Some(target(pending, session).filter(|_| alone).map_or(Signal::Unclear, Signal::To))
}

/// The same statement, as it is known to do nothing but that.
pub(super) fn known(facts: &[Facts]) -> Vec<Facts> {
    let known =
        |facts: &Facts| Facts { certainty: Certainty::Exact, reasons: BTreeSet::new(), ..facts.clone() };
    facts.iter().map(known).collect()
}

/// What such a statement is while it runs: nothing more than when it was let through.
pub(super) fn still(before: &Pending, now: Arc<[Facts]>) -> Arc<[Facts]> {
    let nothing_else = |facts: &Facts| facts.relations.is_empty() && facts.functions.is_empty();
    match (&*before.facts, &*now) {
        ([then], [only])
            if then.certainty == Certainty::Exact
                && nothing_else(then)
                && nothing_else(only)
                && only.reasons.iter().all(|reason| reason.code == "unknown-function")
                && mentions(&before.sql) =>
        {
            known(&now).into()
        }
        _ => now,
    }
}

fn mentions(sql: &[u8]) -> bool {
    let names = |window: &[u8]| NAMES.iter().any(|name| window.eq_ignore_ascii_case(name.as_bytes()));
    NAMES.iter().any(|name| sql.windows(name.len()).any(names))
}

/// The argument of `select pg_catalog.pg_cancel_backend(N)`, to the word. Without the schema it is the same only if
/// no function of that name can come before the server's: by the search path, or by types that fit better.
fn target(pending: &Pending, session: &SessionState) -> Option<i32> {
    let text = std::str::from_utf8(&pending.sql).ok()?.to_ascii_lowercase();
    let call = text.trim().trim_end_matches(';').trim_end().strip_prefix("select")?;
    let call = call.strip_prefix(char::is_whitespace)?.trim_start();
    let qualified = call.strip_prefix("pg_catalog.");
    let call = qualified.unwrap_or(call);
    let arguments = NAMES.iter().find_map(|name| call.strip_prefix(name))?;
    let argument = arguments.trim_start().strip_prefix('(')?.strip_suffix(')')?.trim();
    let mut path = session.search_path.iter().flatten();
    // No function is found in a temporary schema without being asked for there.
    let first = path.find(|schema| !schema.starts_with("pg_temp"));
    if argument == "$1" {
        return qualified.and_then(|_| bound(pending));
    }
    if qualified.is_none() && first.is_none_or(|schema| schema != "pg_catalog") {
        return None;
    }
    let digits = !argument.is_empty() && argument.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| argument.parse().ok()).flatten()
}

/// The one bind value, as the integer that it is.
fn bound(pending: &Pending) -> Option<i32> {
    let [Some(value)] = pending.values.as_slice() else { return None };
    match pending.formats.as_slice() {
        [] | [0] => std::str::from_utf8(value).ok()?.trim().parse().ok(),
        [1] => match value.as_ref() {
            [high, low] => Some(i16::from_be_bytes([*high, *low]).into()),
            [a, b, c, d] => Some(i32::from_be_bytes([*a, *b, *c, *d])),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use stepgate_session::{Protocol, TransactionSoFar};
    use stepgate_sql::{Catalog, analyze};

    use super::*;

    fn path(path: &[&str]) -> SessionState {
        SessionState::with_search_path(path.iter().copied())
    }

    fn usual() -> SessionState {
        path(&["pg_catalog", "public"])
    }

    fn pending(sql: &str) -> Pending {
        let none = || Vec::<Vec<Option<String>>>::new().into_iter().collect();
        let rows: Vec<_> = stepgate_sql::CATALOG_QUERIES.iter().map(|query| (query.name, none())).collect();
        let (catalog, state) = (Catalog::from_rows(&rows).unwrap(), usual());
        Pending {
            number: 1,
            protocol: Protocol::Simple,
            facts: Arc::from(analyze(sql.as_bytes(), &catalog, &state)),
            sql: Bytes::copy_from_slice(sql.as_bytes()),
            values: Vec::new(),
            formats: Vec::new(),
            types: Vec::new(),
            transaction: TransactionSoFar::Nothing,
            in_transaction: false,
            aborted: false,
        }
    }

    #[test]
    fn one_process_is_told_from_any_by_the_plain_call_alone() {
        for (sql, expected) in [
            ("select pg_cancel_backend(12)", Some(Signal::To(12))),
            ("SELECT  pg_catalog.pg_terminate_backend ( 12 ) ;", Some(Signal::To(12))),
            ("select pg_terminate_backend(12, 100)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(-12)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(12) where pg_cancel_backend(13)", Some(Signal::Unclear)),
            ("select pg_cancel_backend(12), pg_cancel_backend(13)", Some(Signal::Unclear)),
            ("select pg_cancel_backend(12); select pg_cancel_backend(13)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(pid) from pg_stat_activity", Some(Signal::Unclear)),
            ("select public.pg_cancel_backend(12)", Some(Signal::Unclear)),
            ("select 'pg_cancel_backend(12)'", None),
            ("select unheard_of(12)", None),
        ] {
            assert_eq!(of(&pending(sql), &usual()), expected, "{sql}");
        }
    }

    #[test]
    fn a_bound_process_is_read_as_the_server_reads_it() {
        for (value, formats, expected) in [
            (&b"12"[..], vec![], Signal::To(12)),
            (b"12", vec![0], Signal::To(12)),
            (&[0, 0, 0, 12], vec![1], Signal::To(12)),
            (&[0, 12], vec![1], Signal::To(12)),
            (&[12], vec![1], Signal::Unclear),
            (b"pid", vec![0], Signal::Unclear),
            (b"12", vec![0, 0], Signal::Unclear),
        ] {
            let mut pending = pending("select pg_catalog.pg_cancel_backend($1)");
            pending.values = vec![Some(Bytes::copy_from_slice(value))];
            pending.formats = formats;
            assert_eq!(of(&pending, &usual()), Some(expected), "{value:?}");
        }
    }

    #[test]
    fn a_function_of_that_name_that_comes_before_the_servers_is_not_taken_for_it() {
        let call = pending("select pg_cancel_backend(12)");
        for first in [path(&["public", "pg_catalog"]), SessionState { search_path: None, ..usual() }] {
            assert_eq!(of(&call, &first), Some(Signal::Unclear));
            let qualified = pending("select pg_catalog.pg_cancel_backend(12)");
            assert_eq!(of(&qualified, &first), Some(Signal::To(12)));
        }
        assert_eq!(of(&call, &path(&["pg_temp_3", "pg_catalog", "public"])), Some(Signal::To(12)));
        // A value of unknown type would rather be some public.pg_cancel_backend(text)'s.
        let mut bound = pending("select pg_cancel_backend($1)");
        bound.values = vec![Some(Bytes::from_static(b"12"))];
        assert_eq!(of(&bound, &usual()), Some(Signal::Unclear));
        // And a number beyond integer some public.pg_cancel_backend(bigint)'s.
        assert_eq!(of(&pending("select pg_cancel_backend(3000000000)"), &usual()), Some(Signal::Unclear));
    }
}
