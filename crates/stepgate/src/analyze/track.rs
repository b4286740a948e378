//! Which search path a session has, as far as that is certain without running it.
//!
//! Nobody says whether a statement failed. Inside a transaction a failure makes all that follows fail, so a SET
//! holds there or nothing does; what COMMIT makes of it is another matter.

use super::search_path::Span;
use super::transaction::Boundary;

/// An effective path, implicit schemas included.
type Path = Vec<String>;

/// The path of one session; `None` wherever it is not certain.
pub(super) struct Track {
    initial: Path,
    path: Option<Path>,
    transaction: Transaction,
}

enum Transaction {
    None,
    Open {
        /// What ROLLBACK brings back.
        before: Option<Path>,
        /// The path was set in it, for whatever span.
        changed: bool,
        /// It was set for longer than the transaction.
        for_session: bool,
    },
    /// Whether one is open is not certain.
    Unknown,
}

impl Track {
    /// A session that has just begun, outside a transaction.
    pub(super) fn new(initial: Path) -> Self {
        Self { path: Some(initial.clone()), initial, transaction: Transaction::None }
    }

    pub(super) fn initial(&self) -> &Path {
        &self.initial
    }

    pub(super) fn path(&self) -> Option<&Path> {
        self.path.as_ref()
    }

    /// SET or SET LOCAL.
    pub(super) fn set(&mut self, span: Span, to: Option<Path>) {
        match (&mut self.transaction, span) {
            // Outside a transaction it sets nothing; but perhaps one was open when this session began.
            (Transaction::None | Transaction::Unknown, Span::Transaction) => self.path = None,
            (Transaction::None | Transaction::Unknown, Span::Session) => self.path = to,
            (Transaction::Open { changed, for_session, .. }, span) => {
                *changed = true;
                *for_session |= span == Span::Session;
                self.path = to;
            }
        }
    }

    /// A command on the transaction; `None` for one that is not understood.
    pub(super) fn cross(&mut self, boundary: Option<Boundary>) {
        match (boundary, &self.transaction) {
            (Some(Boundary::Keep), _)
            | (Some(Boundary::Begin), Transaction::Open { .. } | Transaction::Unknown) => {}
            (Some(Boundary::Begin), Transaction::None) => {
                self.transaction =
                    Transaction::Open { before: self.path.clone(), changed: false, for_session: false };
            }
            (Some(end @ (Boundary::Commit | Boundary::Rollback)), transaction) => {
                self.path = match transaction {
                    // A stray end warns and does nothing, unless a transaction was open from the start.
                    Transaction::None => self.path.take().filter(|path| *path == self.initial),
                    // What was SET stays if the transaction had not failed; and a SET LOCAL on top hides it.
                    Transaction::Open { for_session: true, .. } if end == Boundary::Commit => None,
                    Transaction::Open { before, .. } => before.clone(),
                    Transaction::Unknown => None,
                };
                self.transaction = Transaction::None;
            }
            (Some(Boundary::RollbackTo), Transaction::Open { changed: false, .. } | Transaction::None) => {}
            (Some(Boundary::RollbackTo), Transaction::Open { .. } | Transaction::Unknown) => self.path = None,
            (None, transaction) => {
                if !matches!(transaction, Transaction::None | Transaction::Open { changed: false, .. }) {
                    self.path = None;
                }
                self.transaction = Transaction::Unknown;
            }
        }
    }

    /// The path is not certain any more, nor what the end of the transaction would make of it.
    pub(super) fn lose(&mut self) {
        self.path = None;
        if let Transaction::Open { before, .. } = &mut self.transaction {
            *before = None;
        }
    }

    /// Nor whether a transaction is open.
    pub(super) fn lose_transaction(&mut self) {
        self.path = None;
        self.transaction = Transaction::Unknown;
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use stepgate_testkit::Cluster;

    use super::*;
    use crate::analyze::search_path::{Change, change};
    use crate::analyze::transaction::boundary;

    /// The plain ones twice: an odd one soon leaves nothing certain.
    const COMMANDS: [&str; 22] = [
        "begin",
        "commit",
        "rollback",
        "set search_path = a",
        "set local search_path = b",
        "savepoint s",
        "set search_path = a",
        "set search_path = b",
        "set search_path to default",
        "set local search_path = a",
        "set local search_path = b",
        "set local search_path to default",
        "begin",
        "begin /* x */",
        "commit",
        "commit /* x */",
        "rollback",
        "rollback and chain",
        "savepoint s",
        "rollback to s",
        "release s",
        "select 1/0",
    ];
    const SESSIONS: usize = 2_000;
    const LENGTH: usize = 12;

    fn follow(track: &mut Track, sql: &str) {
        if sql.contains("search_path") {
            let (span, change) = change(sql).unwrap();
            let path = match change {
                Change::Initial => track.initial().clone(),
                Change::To(names) => ["pg_catalog".to_owned()].into_iter().chain(names).collect(),
            };
            track.set(span, Some(path));
        } else if !sql.starts_with("select") {
            track.cross(boundary(sql));
        }
    }

    /// PostgreSQL is the judge: wherever the model is certain and the server can be asked, they agree.
    #[test]
    fn a_path_that_is_certain_is_the_servers() {
        let cluster = Cluster::start().unwrap();
        cluster.create_database("shop").unwrap();
        cluster.load("shop", "create schema a; create schema b").unwrap();
        let mut seed = 0x2545_f491_4f6c_dd1d_u64;
        let mut pick = |count: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % count as u64).unwrap()
        };
        let mut script = String::new();
        let mut expected = Vec::new();
        for session in 0..SESSIONS {
            let mut track = Track::new(vec!["pg_catalog".to_owned(), "public".to_owned()]);
            // A fresh session in all that counts here, without a connection of its own.
            script.push_str("rollback;\ndiscard all;\n");
            for step in 0..LENGTH {
                let sql = COMMANDS[pick(COMMANDS.len())];
                follow(&mut track, sql);
                // In a failed transaction the server answers nothing, and reads nothing either.
                let _ = writeln!(
                    script,
                    "{sql};\nselect '{session}.{step} ' || array_to_string(current_schemas(true), ',');"
                );
                expected.push((format!("{session}.{step}"), sql, track.path().map(|path| path.join(","))));
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let output = cluster
            .psql_command("shop")
            .args(["-qAt", "-v", "ON_ERROR_STOP=0", "-f"])
            .arg(file.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said: std::collections::HashMap<_, _> =
            said.lines().filter_map(|line| line.split_once(' ')).collect();
        let (mut compared, mut wrong) = (0, Vec::new());
        for (at, sql, path) in &expected {
            if let (Some(path), Some(server)) = (path, said.get(at.as_str())) {
                compared += 1;
                if path != server {
                    wrong.push(format!("{at} after {sql}: {path}, but the server says {server}"));
                }
            }
        }
        assert!(wrong.is_empty(), "{} of {compared}: {wrong:#?}", wrong.len());
        assert!(compared > expected.len() / 5, "only {compared} of {} are certain", expected.len());
    }
}
