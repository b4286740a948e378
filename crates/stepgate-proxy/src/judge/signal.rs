//! `pg_cancel_backend` and `pg_terminate_backend`: all people work with the same role on the server, which would let
//! each end what the others do.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_session::Pending;
use stepgate_sql::{Catalog, Facts, SessionState};
use stepgate_types::Certainty;

use super::Judge;
use crate::sessions::SessionInfo;

const TERMINATE: &str = "pg_terminate_backend";
const NAMES: [&str; 2] = ["pg_cancel_backend", TERMINATE];

/// Whom a statement ends or interrupts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Signal {
    /// The server's process with this id, and it does nothing else.
    To(i32),
    /// The session that sends it, and it does nothing else.
    Itself,
    /// That cannot be told.
    Unclear,
}

/// Whether a statement signals a process, as far as its text says. What hides it is unknown as ever, and asks.
pub(super) fn of(pending: &Pending, (session, catalog): (&SessionState, &Catalog)) -> Option<Signal> {
    let doubted = |facts: &Facts| facts.reasons.iter().any(|reason| reason.code == "unknown-function");
    if !pending.facts.iter().any(doubted) || !mentions(&pending.sql) {
        return None;
    }
    let alone = matches!(&*pending.facts, [only] if only.reasons.len() == 1 && does_nothing_else(only));
    Some(target(pending, session, catalog).filter(|_| alone).unwrap_or(Signal::Unclear))
}

impl Judge {
    /// Whether this process of the server serves a session of the same person.
    pub(super) fn owns(&self, pid: i32) -> bool {
        let sessions = self.gate.sessions.list();
        let own = sessions.iter().find(|info| info.session == self.session);
        let database = &self.database.config.name;
        // Processes are counted by server, whatever their database.
        let server = |name: &str| {
            let open = self.gate.databases.find(name)?;
            Some((open.config.host.clone(), open.config.port))
        };
        let is_here =
            |name: &String| name == database || server(name).is_some_and(|it| Some(it) == server(database));
        let is_own = |info: &SessionInfo| {
            info.person == self.person
                && is_here(&info.database)
                && own.is_some_and(|own| same_server(own, info))
        };
        sessions.iter().any(|info| info.pid == pid && is_own(info))
    }
}

/// Whether both are at the same address: a host's name may stand for several servers, each of which counts processes of its
/// own.
fn same_server(one: &SessionInfo, other: &SessionInfo) -> bool {
    one.server == other.server
}

/// But for what [`target`] reads.
fn does_nothing_else(only: &Facts) -> bool {
    only.relations.is_empty() && only.functions.iter().all(|name| name == "pg_catalog.pg_backend_pid")
}

/// The same statement, as it is known to do nothing but that.
pub(super) fn known(facts: &[Facts]) -> Vec<Facts> {
    let known =
        |facts: &Facts| Facts { certainty: Certainty::Exact, reasons: BTreeSet::new(), ..facts.clone() };
    facts.iter().map(known).collect()
}

/// What such a statement is while it runs: nothing more than when it was let through, by the catalog as it is now.
pub(super) fn still(before: &Pending, now: Arc<[Facts]>, catalog: &Catalog) -> Arc<[Facts]> {
    let by_schema = || call(&before.sql).is_some_and(|call| call.qualified);
    match (&*before.facts, &*now) {
        ([then], [only])
            if then.certainty == Certainty::Exact
                && does_nothing_else(then)
                && does_nothing_else(only)
                && only.reasons.iter().all(|reason| reason.code == "unknown-function")
                && mentions(&before.sql)
                && (by_schema() || NAMES.iter().all(|name| catalog.is_servers_alone(name))) =>
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

/// `select pg_catalog.pg_cancel_backend(ARGUMENT)`, to the word.
struct Call {
    name: &'static str,
    argument: String,
    /// Whether the schema is there.
    qualified: bool,
}

fn call(sql: &[u8]) -> Option<Call> {
    let text = std::str::from_utf8(sql).ok()?.to_ascii_lowercase();
    let call = text.trim().trim_end_matches(';').trim_end().strip_prefix("select")?;
    let call = call.strip_prefix(char::is_whitespace)?.trim_start();
    let qualified = call.strip_prefix("pg_catalog.");
    let call = qualified.unwrap_or(call);
    let (name, arguments) = NAMES.iter().find_map(|name| Some((*name, call.strip_prefix(name)?)))?;
    let argument = arguments.trim_start().strip_prefix('(')?.strip_suffix(')')?.trim();
    Some(Call { name, argument: argument.to_owned(), qualified: qualified.is_some() })
}

/// Whom such a call reaches. Without the schema it is the server's function only if no other of that name can come
/// before it, by the search path, or fit its argument better: where none is known at all.
fn target(pending: &Pending, session: &SessionState, catalog: &Catalog) -> Option<Signal> {
    let Call { name, argument, qualified } = call(&pending.sql)?;
    let mut path = session.search_path.iter().flatten();
    // No function is found in a temporary schema without being asked for there.
    let first = path.find(|schema| !schema.starts_with("pg_temp"));
    let alone = |name| !session.moved && catalog.is_servers_alone(name);
    let comes_first = |name| alone(name) || first.is_some_and(|it| it == "pg_catalog");
    match &*argument {
        "$1" | "$1::int" | "$1::integer" if qualified || alone(name) => match pending.values.as_slice() {
            [Some(value)] => bound(pending, value).map(Signal::To),
            _ => None,
        },
        // Since PostgreSQL 14 it waits for so many milliseconds; by FunctionCall they are always given.
        "$1, $2" if name == TERMINATE && (qualified || alone(name)) => match pending.values.as_slice() {
            [Some(value), _] => bound(pending, value).map(Signal::To),
            _ => None,
        },
        // An integer is what it gives, and what the server's function takes.
        "pg_catalog.pg_backend_pid()" if qualified || comes_first(name) => Some(Signal::Itself),
        "pg_backend_pid()" if (qualified || comes_first(name)) && comes_first("pg_backend_pid") => {
            Some(Signal::Itself)
        }
        _ if !qualified && !comes_first(name) => None,
        digits if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            digits.parse().ok().map(Signal::To)
        }
        _ => None,
    }
}

/// The first bind value, as the integer that it is.
fn bound(pending: &Pending, value: &[u8]) -> Option<i32> {
    let formats = pending.formats.as_slice();
    if formats.len() > 1 && formats.len() != pending.values.len() {
        return None;
    }
    match formats.first() {
        None | Some(0) => std::str::from_utf8(value).ok()?.trim().parse().ok(),
        Some(1) => match value {
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

    /// What the server has, and one function of somebody's own.
    fn catalog(own: &str) -> Catalog {
        let functions = [["pg_catalog", NAMES[0]], ["pg_catalog", NAMES[1]], ["public", own]];
        let rows = stepgate_sql::CATALOG_QUERIES.iter().map(|query| {
            let functions = functions.iter().filter(|_| query.name == "functions");
            let row = |[schema, name]: &[&str; 2]| {
                [schema, name, "false", ""].map(|it| Some(it.to_owned())).to_vec()
            };
            (query.name, functions.map(row).collect())
        });
        Catalog::from_rows(&rows.collect::<Vec<_>>()).unwrap()
    }

    /// What it is where there is no other function of those names, and where there is one.
    fn signals(pending: &Pending, session: &SessionState) -> [Option<Signal>; 2] {
        ["unheard_of", "pg_cancel_backend"].map(|own| of(pending, (session, &catalog(own))))
    }

    fn pending(sql: &str) -> Pending {
        let (catalog, state) = (catalog("unheard_of"), usual());
        Pending {
            number: 1,
            protocol: Protocol::Simple,
            facts: Arc::from(analyze(sql.as_bytes(), &catalog, &state)),
            sql: Bytes::copy_from_slice(sql.as_bytes()),
            read: None,
            behind: Vec::new(),
            unseen: false,
            values: Vec::new(),
            formats: Vec::new(),
            types: Vec::new(),
            transaction: TransactionSoFar::Nothing,
            in_transaction: false,
            restated: false,
            aborted: false,
            runs_as: stepgate_sql::RunsAs::default(),
        }
    }

    #[test]
    fn one_process_is_told_from_any_by_the_plain_call_alone() {
        for (sql, expected) in [
            ("select pg_cancel_backend(12)", Some(Signal::To(12))),
            ("SELECT  pg_catalog.pg_terminate_backend ( 12 ) ;", Some(Signal::To(12))),
            ("select pg_terminate_backend(pg_backend_pid())", Some(Signal::Itself)),
            ("select pg_terminate_backend(pg_catalog.pg_backend_pid())", Some(Signal::Itself)),
            ("select pg_terminate_backend(public.pg_backend_pid())", Some(Signal::Unclear)),
            ("select pg_terminate_backend(pg_backend_pid() + 1)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(12, 100)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(-12)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(12) where pg_cancel_backend(13)", Some(Signal::Unclear)),
            ("select pg_cancel_backend(12), pg_cancel_backend(13)", Some(Signal::Unclear)),
            ("select pg_cancel_backend(12); select pg_cancel_backend(13)", Some(Signal::Unclear)),
            ("select pg_terminate_backend(pid) from pg_stat_activity", Some(Signal::Unclear)),
            ("select pg_terminate_backend($1::public.int)", Some(Signal::Unclear)),
            ("select public.pg_cancel_backend(12)", Some(Signal::Unclear)),
            ("select 'pg_cancel_backend(12)'", None),
            ("select unheard_of(12)", None),
        ] {
            assert_eq!(signals(&pending(sql), &usual()), [expected; 2], "{sql}");
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
            for argument in ["$1", "$1::int", "$1::integer"] {
                let bound = |call: &str| {
                    let mut pending = pending(&format!("select {call}({argument})"));
                    pending.values = vec![Some(Bytes::copy_from_slice(value))];
                    pending.formats.clone_from(&formats);
                    signals(&pending, &usual())
                };
                assert_eq!(bound("pg_catalog.pg_cancel_backend"), [Some(expected); 2], "{value:?}");
                // A value of unknown type would rather be some public.pg_cancel_backend(text)'s.
                let if_alone = [Some(expected), Some(Signal::Unclear)];
                assert_eq!(bound("pg_cancel_backend"), if_alone, "{value:?}");
            }
        }
    }

    #[test]
    fn a_function_call_of_pg_terminate_backend_has_a_timeout_beside_its_process() {
        for (function, values, formats, expected) in [
            (TERMINATE, vec![&b"12"[..], b"0"], vec![], Signal::To(12)),
            (TERMINATE, vec![&[0, 0, 0, 12], &[0; 8]], vec![1], Signal::To(12)),
            (TERMINATE, vec![b"12", &[0; 8]], vec![0, 1], Signal::To(12)),
            (TERMINATE, vec![b"12"], vec![], Signal::Unclear),
            (TERMINATE, vec![b"12", b"0", b"0"], vec![], Signal::Unclear),
            (TERMINATE, vec![b"12", b"0"], vec![0, 0, 0], Signal::Unclear),
            ("pg_cancel_backend", vec![b"12", b"0"], vec![], Signal::Unclear),
        ] {
            let mut pending = pending(&format!("select pg_catalog.{function}($1, $2)"));
            pending.values = values.iter().map(|value| Some(Bytes::copy_from_slice(value))).collect();
            pending.formats = formats;
            assert_eq!(signals(&pending, &usual()), [Some(expected); 2], "{function} {values:?}");
            pending.values = vec![None, Some(Bytes::from_static(b"0"))];
            assert_eq!(signals(&pending, &usual()), [Some(Signal::Unclear); 2], "a NULL");
        }
    }

    #[test]
    fn a_function_of_that_name_that_comes_before_the_servers_is_not_taken_for_it() {
        let call = pending("select pg_cancel_backend(12)");
        let to = Some(Signal::To(12));
        for first in [path(&["public", "pg_catalog"]), SessionState { search_path: None, ..usual() }] {
            assert_eq!(signals(&call, &first), [to, Some(Signal::Unclear)]);
            let qualified = pending("select pg_catalog.pg_cancel_backend(12)");
            assert_eq!(signals(&qualified, &first), [to; 2]);
            let itself = pending("select pg_catalog.pg_cancel_backend(pg_backend_pid())");
            assert_eq!(of(&itself, (&first, &catalog("pg_backend_pid"))), Some(Signal::Unclear));
        }
        assert_eq!(signals(&call, &path(&["pg_temp_3", "pg_catalog", "public"])), [to; 2]);
        // What an open transaction has made is in no catalog.
        let moved = SessionState { moved: true, ..path(&["public", "pg_catalog"]) };
        assert_eq!(signals(&call, &moved), [Some(Signal::Unclear); 2]);
        // And a number beyond integer would be some public.pg_cancel_backend(bigint)'s.
        let large = pending("select pg_cancel_backend(3000000000)");
        assert_eq!(signals(&large, &usual()), [Some(Signal::Unclear); 2]);
    }
}
