//! What a session says it wants data for, statement by statement, without running any: `stepgate.purpose` as SET, RESET and
//! transactions leave it.
//!
//! Statements are taken to succeed, but for those that would be denied: in a transaction, these fail all that follows up to
//! its end, which then undoes it.

use stepgate_sql::{Effect, Facts, SetTo, Step, is_purpose, steps};
use stepgate_types::{Certainty, Kind};

/// The setting.
const NAME: &str = "stepgate.purpose";

/// The most savepoints that are followed; with more, nothing is certain.
const MAX_MARKS: usize = 64;

/// What it is at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Said {
    /// Nothing, or nothing that is a purpose.
    Nothing,
    /// This.
    Word(String),
    /// It cannot be told.
    Unclear,
}

impl Said {
    fn of(text: &str) -> Self {
        if is_purpose(text) { Self::Word(text.to_owned()) } else { Self::Nothing }
    }
}

/// The setting in one session.
pub(super) struct Purposes {
    initial: Said,
    now: Value,
    open: Option<Open>,
    /// Something ran that may have done anything to it.
    lost: bool,
}

/// What SET and SET LOCAL have made of it.
#[derive(Debug, Clone)]
struct Value {
    session: Said,
    local: Option<Said>,
}

/// A transaction, or what stands for one while a message of several statements runs.
struct Open {
    explicit: bool,
    before: Value,
    failed: bool,
    marks: Vec<(String, Value)>,
}

impl Purposes {
    /// Of a session that begins with this.
    pub(super) fn new(initial: Option<&str>) -> Self {
        let initial = initial.map_or(Said::Nothing, Said::of);
        let now = Value { session: initial.clone(), local: None };
        Self { initial, now, open: None, lost: false }
    }

    /// What the next message is for, where no comment of its own says so.
    pub(super) fn now(&self) -> Said {
        if self.lost {
            return Said::Unclear;
        }
        self.now.local.as_ref().unwrap_or(&self.now.session).clone()
    }

    /// A message was sent. `denied`: it did not run.
    pub(super) fn after(&mut self, sql: &str, facts: &[Facts], denied: bool) {
        let steps = steps(sql).filter(|steps| steps.len() == facts.len() && !denied);
        let Some(steps) = steps else {
            // Refused, or not to be read: by the server neither.
            if let Some(open) = &mut self.open {
                open.failed = true;
            }
            return;
        };
        for (step, facts) in steps.into_iter().zip(facts) {
            if self.open.is_none() {
                self.begin(false);
            }
            if self.take(step, facts).is_none() {
                // Nothing else of the message is run.
                if let Some(open) = &mut self.open {
                    open.failed = true;
                }
                break;
            }
        }
        if let Some(open) = self.open.as_ref().filter(|open| !open.explicit) {
            self.end(!open.failed);
        }
    }

    /// `None`: the server refuses it.
    fn take(&mut self, step: Step, facts: &Facts) -> Option<()> {
        let open = self.open.as_mut()?;
        let (failed, explicit) = (open.failed, open.explicit);
        match step {
            Step::Commit { chain } => {
                (explicit || !chain).then_some(())?;
                self.ends(!failed, chain);
            }
            Step::Rollback { chain } => {
                (explicit || !chain).then_some(())?;
                self.ends(false, chain);
            }
            Step::RollbackTo(name) => {
                let at = open.mark(&name)?;
                open.marks.truncate(at.saturating_add(1));
                open.failed = false;
                self.now = open.marks.last()?.1.clone();
            }
            _ if failed => return None,
            Step::Savepoint(_) if !explicit => return None,
            Step::Savepoint(name) => {
                open.marks.push((name, self.now.clone()));
                self.lost |= open.marks.len() > MAX_MARKS;
            }
            Step::Release(name) => {
                let at = open.mark(&name)?;
                open.marks.truncate(at);
            }
            Step::Begin => open.explicit = true,
            Step::Set { name, to, local } if name == NAME => {
                let to = match to {
                    SetTo::Value(text) => Said::of(&text),
                    SetTo::Initial => self.initial.clone(),
                    SetTo::Unclear => Said::Unclear,
                };
                self.set(to, local);
            }
            Step::DiscardAll if explicit => return None,
            Step::ResetAll | Step::DiscardAll => self.set(self.initial.clone(), false),
            Step::Set { .. } => {}
            // Whether it can be prepared hangs on the server.
            Step::Prepare => self.lost = true,
            // A function may set anything, or end the transaction.
            Step::Other => {
                let Effect { session, transaction, .. } = &facts.effect;
                let sets = *session && facts.kind != Kind::Ddl;
                self.lost |= sets || *transaction || facts.certainty == Certainty::Unknown;
            }
        }
        Some(())
    }

    fn set(&mut self, to: Said, local: bool) {
        if local {
            self.now.local = Some(to);
        } else {
            self.now = Value { session: to, local: None };
        }
    }

    fn begin(&mut self, explicit: bool) {
        self.open = Some(Open { explicit, before: self.now.clone(), failed: false, marks: Vec::new() });
    }

    fn ends(&mut self, keeps: bool, chain: bool) {
        self.end(keeps);
        if chain {
            self.begin(true);
        }
    }

    fn end(&mut self, keeps: bool) {
        let Some(open) = self.open.take() else { return };
        if !keeps {
            self.now = open.before;
        }
        self.now.local = None;
    }
}

impl Open {
    /// Where the last savepoint of that name is.
    fn mark(&self, name: &str) -> Option<usize> {
        self.marks.iter().rposition(|(mark, _)| mark == name)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use stepgate_sql::{Catalog, SessionState, analyze};
    use stepgate_testkit::Cluster;

    use super::*;

    /// The plain ones twice.
    const COMMANDS: [&str; 25] = [
        "begin",
        "commit",
        "rollback",
        "set stepgate.purpose = 'a'",
        "set stepgate.purpose to b",
        "set local stepgate.purpose = 'c'",
        "set local stepgate.purpose = 'two words'",
        "reset stepgate.purpose",
        "set local stepgate.purpose to default",
        "savepoint s",
        "savepoint t",
        "rollback to s",
        "rollback to t",
        "release s",
        "begin",
        "commit",
        "commit and chain",
        "rollback and chain",
        "reset all",
        "discard all",
        "set stepgate.purpose = 'd'\\; set local stepgate.purpose = 'e'",
        "set local stepgate.purpose = 'f'\\; set stepgate.purpose = 'g'",
        "set stepgate.purpose = 'h'\\; begin\\; set local stepgate.purpose = 'i'",
        "begin\\; set stepgate.purpose = 'j'\\; commit\\; set local stepgate.purpose = 'k'",
        "refused",
    ];
    const SESSIONS: usize = 1_500;
    const LENGTH: usize = 10;

    /// PostgreSQL is the judge. What is refused is a statement that it cannot run.
    #[test]
    fn a_purpose_is_what_the_server_says_it_is() {
        let cluster = Cluster::start().unwrap();
        cluster.create_database("shop").unwrap();
        let (catalog, state) = (Catalog::default(), SessionState::with_search_path(["public"]));
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        let mut pick = |count: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            usize::try_from(seed % count as u64).unwrap()
        };
        let (mut script, mut expected) = (String::new(), Vec::new());
        for session in 0..SESSIONS {
            let mut purposes = Purposes::new(Some("initial"));
            script.push_str("rollback;\ndiscard all;\n");
            for step in 0..LENGTH {
                let sql = COMMANDS[pick(COMMANDS.len())];
                let text = sql.replace("\\;", ";");
                purposes.after(&text, &analyze(text.as_bytes(), &catalog, &state), sql == "refused");
                // In a failed transaction the server answers nothing.
                let ask = format!("select '{session}.{step} ' || current_setting('stepgate.purpose', true)");
                let _ = writeln!(script, "{sql};\n{ask};");
                expected.push((format!("{session}.{step}"), sql, purposes.now()));
            }
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), script).unwrap();
        let output = cluster
            .psql_command("shop")
            .env("PGOPTIONS", "-c stepgate.purpose=initial")
            .args(["-qAt", "-v", "ON_ERROR_STOP=0", "-f"])
            .arg(file.path())
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let said: std::collections::HashMap<_, _> =
            said.lines().filter_map(|line| line.split_once(' ')).collect();
        let mut compared = 0;
        for (at, sql, now) in &expected {
            let Some(server) = said.get(at.as_str()) else { continue };
            compared += 1;
            assert_eq!(*now, Said::of(server), "{at} after {sql}: {server}");
        }
        assert!(compared > expected.len() * 2 / 3, "only {compared} of {}", expected.len());
    }

    #[test]
    fn what_may_have_done_anything_leaves_nothing_certain() {
        let (catalog, state) = (Catalog::default(), SessionState::with_search_path(["public"]));
        let mut purposes = Purposes::new(None);
        let mut after = |sql: &str| {
            purposes.after(sql, &analyze(sql.as_bytes(), &catalog, &state), false);
            purposes.now()
        };
        assert_eq!(after("set stepgate.purpose = 'a'"), Said::Word("a".to_owned()));
        assert_eq!(after("set search_path = public"), Said::Word("a".to_owned()));
        assert_eq!(after("select 1"), Said::Word("a".to_owned()));
        assert_eq!(after("do $$ begin perform 1; end $$"), Said::Unclear);
        assert_eq!(after("set stepgate.purpose = 'b'"), Said::Unclear);
    }
}
