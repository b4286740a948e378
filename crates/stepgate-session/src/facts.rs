//! What the session knows: the state that names depend on, and the facts of texts in that state.

use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::{ClientEncoding, Effect, Facts, RunsAs, SessionState, Settings, analyze, analyze_at_once};
use stepgate_types::Kind;
use stepgate_wire::read::{Describe, Target};

use crate::expect::Owed;
use crate::outlet::{Made, Traces};
use crate::registry::{self, Meaning};
use crate::session::Session;
use crate::subject::{closes, empty_facts, is_wild, now_and_then, opaque_facts};
use crate::text::Text;

/// A text longer than this, in bytes, may take more than some milliseconds to read.
const LONG: usize = 32 << 10;

/// So may one that has brackets within brackets as deep as this, which takes more than its length: nobody writes that.
const DEEP: usize = 128;

/// The most names of temporary relations that are remembered.
const MAX_TEMPORARIES: usize = 1_024;

/// A copy with memory of its own. What is kept for long must not keep the buffer alive that it was read into.
pub(crate) fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

impl Session {
    /// A ParameterStatus, from startup or later.
    pub(crate) fn parameter(&mut self, name: &str, value: &str) {
        match name {
            "application_name" => value.clone_into(&mut self.application_name),
            "standard_conforming_strings" => {
                self.own_state().standard_conforming_strings = value == "on";
                self.is_read_otherwise();
            }
            "client_encoding" => {
                self.own_state().encoding = ClientEncoding::named(value);
                self.is_read_otherwise();
            }
            "DateStyle" => self.time_setting(0, value),
            "IntervalStyle" => self.time_setting(1, value),
            "TimeZone" => self.time_setting(2, value),
            _ => {}
        }
    }

    fn is_read_otherwise(&mut self) {
        self.forget_facts();
        self.settings_changed = self.settings_changed.saturating_add(1);
    }

    fn time_setting(&mut self, which: usize, value: &str) {
        let Some(known) = self.own_state().times.get_mut(which).filter(|known| *known != value) else {
            return;
        };
        value.clone_into(known);
        self.settings_changed = self.settings_changed.saturating_add(1);
    }

    /// Whether settings may become others by what is under way. The server says so with its ReadyForQuery, and of some not at
    /// all.
    fn may_change_settings(&mut self, facts: &Facts) {
        let wild = is_wild(facts);
        let sets =
            wild || facts.effect.encoding.is_some() || (facts.kind == Kind::Session && facts.effect.session);
        let ends = facts.kind == Kind::Transaction && !facts.read_only;
        self.reading.takes(sets, ends);
        let settings = if wild { Settings::Unreported } else { facts.effect.settings };
        if self.settings.takes(sets || settings > Settings::Usual, ends) {
            self.settings_changed = self.settings_changed.saturating_add(1);
            self.own_state().unsettled = true;
        }
        let unusual = settings == Settings::Usual && !self.state.began_with.is_empty();
        if (unusual || settings == Settings::Unreported) && !self.state.has_settings {
            self.own_state().has_settings = true;
        }
    }

    /// The server has told of settings: all that was sent has been done. `idle`: no transaction is open.
    pub(crate) fn settings_told(&mut self, idle: bool) {
        let unsure = self.reading.is_unsure() || self.settings.is_unsure();
        self.learned = self.learned.saturating_add(u64::from(unsure));
        self.reading.told(idle);
        self.settings.told(idle);
        if self.state.unsettled {
            self.own_state().unsettled = false;
        }
    }

    /// What must be assumed from the moment a statement is on its way.
    pub(crate) fn take_effect(&mut self, number: u64, facts: &Arc<[Facts]>) {
        self.will_make(number, facts);
        self.sends_alone(facts);
        // What is not understood was asked about with what comes in the same message.
        self.listens |= self.ran_code || facts.iter().any(|facts| facts.effect.listens);
        self.ran_code |= facts.iter().any(|facts| is_wild(facts) || facts.runs_code());
        for facts in facts.iter() {
            let wild = is_wild(facts);
            self.rewritten.by(facts);
            self.may_change_settings(facts);
            if facts.kind == Kind::Transaction {
                if !facts.read_only {
                    self.forget_made();
                }
                // Its end may undo what was changed since its begin, and that alone.
                if self.touched {
                    self.forget_path();
                    self.own_state().runs_as = RunsAs::Unsure;
                }
            } else {
                if facts.effect.session || facts.effect.catalog || wild {
                    self.forget_path();
                    self.touched = true;
                }
                if facts.effect.session || wild {
                    self.own_state().runs_as = RunsAs::Unsure;
                }
                if facts.effect.catalog || wild {
                    self.catalog_changes = self.catalog_changes.saturating_add(1);
                    if facts.effect.binds {
                        self.catalog_bound = self.catalog_changes;
                    }
                    self.note_altered();
                }
            }
            if let Some(made) = facts.effect.creates.as_ref().filter(|made| made.temporary)
                && let Some(name) = made.name.last()
                && self.state.temporaries.len() < MAX_TEMPORARIES
            {
                self.own_state().temporaries.insert(name.clone());
            }
            if wild
                || !facts.effect.names.is_empty()
                || closes(&facts.effect.closes)
                || facts.kind == Kind::Transaction
            {
                self.names_sent = self.names_sent.saturating_add(1);
            }
            for name in &facts.effect.names {
                self.registry.taken_by_sql(name);
            }
            self.wild |= wild;
            // What was deferred runs at COMMIT, or by SET CONSTRAINTS.
            if wild || (self.wild && matches!(facts.kind, Kind::Transaction | Kind::Session)) {
                self.registry.doubt();
            }
            if self.isolation.takes(facts, self.touched) {
                // Its transaction's end may undo it.
                self.forget_path();
                self.touched = true;
            }
            self.so_far = self.so_far.max(self.isolation.so_far(facts));
        }
    }

    /// What a statement left behind, once it has run.
    pub(crate) fn leave_traces(&mut self, traces: &Traces) {
        for name in &traces.names {
            self.registry.taken_by_sql(name);
        }
        if traces.wild {
            self.registry.doubt();
        }
    }

    /// The state, to be changed. What was judged by it before keeps it as it was.
    pub(crate) fn own_state(&mut self) -> &mut SessionState {
        Arc::make_mut(&mut self.state)
    }

    pub(crate) fn forget_path(&mut self) {
        if self.state.search_path.is_some() {
            let state = self.own_state();
            state.search_path = None;
            state.purpose = None;
        }
        self.path_changes = self.path_changes.saturating_add(1);
        self.probe_failed = false;
        self.forget_facts();
    }

    pub(crate) fn forget_facts(&mut self) {
        self.cache.clear();
        self.generation = self.generation.saturating_add(1);
    }

    /// Whether this session may have changed what the catalog in use does not know.
    pub(crate) const fn catalog_stale(&self) -> bool {
        let known =
            if self.catalog_seen > self.catalog_followed { self.catalog_seen } else { self.catalog_followed };
        known < self.catalog_changes
    }

    /// Takes note of whether the catalog in use is all that this session has.
    pub(crate) fn note_altered(&mut self) {
        let altered = self.catalog_settled.min(self.catalog_seen) < self.catalog_changes;
        if self.state.altered != altered {
            self.own_state().altered = altered;
        }
    }

    /// Facts by catalog, state and names as they are now. EXECUTE and FETCH have the facts of what they go on
    /// with, where that is known and nothing is under way that could change it.
    pub(crate) fn facts_of(&mut self, text: &Text) -> Arc<[Facts]> {
        let facts = self.facts_now(text);
        let settled = self.expect.iter().all(|entry| matches!(entry.owed, Owed::OwnSync));
        let [only] = &*facts else { return facts };
        let (Some(name), true) = (&only.effect.refers, settled) else { return facts };
        if self.park.may_rename(&registry::key(name.as_bytes())) {
            // By then it means something else.
            return facts;
        }
        let Some(made) = self.registry.sql_name(name) else {
            return self.goes_on_by_protocol(only, name, &facts);
        };
        match (only.kind, made) {
            (Kind::Update | Kind::Delete, Made::Cursor(declared)) => {
                Arc::from([only.fetched(&declared.effect)])
            }
            (Kind::Cursor, Made::Cursor(declared)) => {
                let declared = declared.clone();
                if declared.rules != self.rules {
                    return fetched_anew(only, &declared.effect, &declared.facts);
                }
                let facts = Arc::from([only.fetched(&declared.effect)]);
                if declared.is_settled() {
                    return facts;
                }
                // Functions are compiled when they are first called, and the names in them looked up.
                let now = self.facts_now(&declared.text);
                if !shows_more(&now, &declared.facts) {
                    return facts;
                }
                let named = &only.goes_on_with;
                now.iter().map(|now| Facts { goes_on_with: named.clone(), ..now.clone() }).collect()
            }
            (Kind::Execute, Made::Prepared(text, then)) => {
                let (text, then) = (text.clone(), Arc::clone(then));
                match &*now_and_then(self.facts_now(&text), Some(&then)) {
                    [prepared] => Arc::from([only.executed(prepared)]),
                    _ => facts,
                }
            }
            _ => facts,
        }
    }

    /// The same for what Parse or Bind has given that name.
    fn goes_on_by_protocol(&mut self, only: &Facts, name: &str, facts: &Arc<[Facts]>) -> Arc<[Facts]> {
        let name = Bytes::copy_from_slice(name.as_bytes());
        match only.kind {
            Kind::Execute => {
                let Meaning::Known(prepared) = self.registry.statement(&name) else {
                    return Arc::clone(facts);
                };
                match &*now_and_then(self.facts_now(&prepared.text), prepared.facts.as_ref()) {
                    [prepared] => Arc::from([only.executed(prepared)]),
                    _ => Arc::clone(facts),
                }
            }
            Kind::Cursor => match self.registry.portal(&name).map(|opened| &**opened.traces()) {
                Some(Traces { shows, .. }) if self.is_of_other_rules(&name) => {
                    let effect = shows.first().map(|facts| facts.effect.clone()).unwrap_or_default();
                    fetched_anew(only, &effect, shows)
                }
                // Nothing that happened since its Bind changes what its rows are made of.
                Some(Traces { shows, late: None, .. }) if is_settled_query(shows) => {
                    let effect = shows.first().map(|facts| facts.effect.clone()).unwrap_or_default();
                    Arc::from([only.fetched(&effect)])
                }
                _ => Arc::clone(facts),
            },
            _ => Arc::clone(facts),
        }
    }

    fn is_of_other_rules(&self, portal: &Bytes) -> bool {
        self.registry.portal(portal).is_some_and(|opened| opened.at().rules != self.rules)
    }

    /// What the result of a statement may show: of a FETCH, what its cursor does.
    pub(crate) fn shown(&mut self, text: &Text, facts: &Arc<[Facts]>) -> Arc<[Facts]> {
        if !matches!(&**facts, [only] if only.kind == Kind::Cursor) {
            return Arc::clone(facts);
        }
        let text = self.facts_now(text);
        let cursor = text.first().and_then(|only| only.effect.refers.as_ref());
        match cursor.and_then(|name| self.registry.sql_name(name)) {
            Some(Made::Cursor(declared)) => facts.iter().chain(declared.facts.iter()).cloned().collect(),
            Some(Made::Prepared(..)) => Arc::clone(facts),
            None => {
                let bound = cursor.map(|name| Bytes::copy_from_slice(name.as_bytes()));
                let bound = bound.and_then(|name| self.registry.portal(&name));
                let bound = bound.map(|opened| opened.traces().shows.iter());
                facts.iter().chain(bound.into_iter().flatten()).cloned().collect()
            }
        }
    }

    /// What an EXECUTE or FETCH goes on with, where it is known and may yet come to mean something else.
    pub fn goes_on(&mut self, text: &Text) -> Option<GoesOn> {
        let facts = self.facts_now(text);
        let [only] = &*facts else { return None };
        if only.kind == Kind::Prepare {
            // A Bind of what SQL has prepared has its text.
            return Some(GoesOn::Prepared(text.clone()));
        }
        let name = only.effect.refers.as_ref()?;
        match (only.kind, self.registry.sql_name(name)) {
            (Kind::Execute, Some(Made::Prepared(text, _))) => Some(GoesOn::Prepared(text.clone())),
            (Kind::Cursor, Some(Made::Cursor(declared))) if !declared.is_settled() => {
                Some(GoesOn::Cursor(declared.text.clone(), Arc::clone(&declared.facts)))
            }
            (Kind::Execute, None) => {
                match self.registry.statement(&Bytes::copy_from_slice(name.as_bytes())) {
                    Meaning::Known(prepared) => Some(GoesOn::Prepared(prepared.text.clone())),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The client's Describe is about to be sent: that of a prepared statement has the server look anew at its names, and
    /// parse it again if they mean something else. Whether that may read data that no Bind behind it was let through for.
    pub(crate) fn looks_anew(&mut self, describe: &Bytes) -> bool {
        match Describe::read(describe) {
            Ok(Describe { kind: Target::Statement, name }) => {
                let name = registry::key(name);
                self.means_by_now(&name) && !self.park.goes_on_with(&name)
            }
            _ => false,
        }
    }

    /// Whether the server reads data when it parses this, with parameters of these types: a literal may be given one of them,
    /// whose checks run somebody's code.
    pub(crate) fn reads_when_parsed(&self, facts: &[Facts], sql: &[u8], types: &[u32]) -> bool {
        let runs_code = || types.iter().any(|oid| self.catalog.runs_code_of_type(*oid));
        facts.iter().any(|facts| facts.parsing_reads) || (may_have_text(sql) && runs_code())
    }

    /// The same of what a text executes that has these facts.
    pub(crate) fn executes_anew(&mut self, text: &Text, facts: &[Facts]) {
        if facts.iter().all(|facts| facts.kind != Kind::Execute) {
            return;
        }
        for facts in self.facts_now(text).iter().filter(|facts| facts.kind == Kind::Execute) {
            if let Some(name) = &facts.effect.refers {
                self.means_by_now(&registry::key(name.as_bytes()));
            }
        }
    }

    /// What is prepared under this name may be gone on with by what its names mean now. Whether to parse it anew may read
    /// data.
    pub(crate) fn means_by_now(&mut self, name: &Bytes) -> bool {
        let (text, types) = match self.newest_parse(name) {
            Some(at) => match self.expect.get(at).map(|entry| &entry.owed) {
                Some(Owed::Parse { statement, .. }) => (statement.text.clone(), statement.types.clone()),
                _ => return false,
            },
            None => match self.registry.last_known(name) {
                Meaning::Known(statement) => (statement.text.clone(), statement.types.clone()),
                Meaning::Sql(text, _) => (text, Vec::new()),
                Meaning::Opaque => return false,
            },
        };
        let now = self.facts_now(&text);
        self.may_mean(name, &now);
        self.reads_when_parsed(&now, &text.sql, &types)
    }

    /// The same, by facts that are known.
    pub(crate) fn may_mean(&mut self, name: &Bytes, now: &Arc<[Facts]>) {
        let unanswered = self.newest_parse(name).and_then(|at| self.expect.get_mut(at));
        match unanswered.map(|entry| &mut entry.owed) {
            Some(Owed::Parse { statement, .. }) => registry::also_means(statement, now),
            _ => self.registry.may_mean(name, now),
        }
    }

    /// Others may have changed for a while what names mean: of what the server parses, or looks at anew, meanwhile, nobody can
    /// tell by which names that was. `changed` says so of a text, since DDL had been committed so often.
    pub fn doubt_parsed(&mut self, changed: impl Fn(&Bytes, u64) -> bool) {
        let mut doubted = Vec::new();
        for entry in &mut self.expect {
            match &mut entry.owed {
                Owed::Parse { statement, .. } if changed(&statement.text.sql, entry.ddl) => {
                    registry::also_means(statement, &opaque_facts());
                }
                Owed::Describe { statement: Some(name), .. } => doubted.push((name.clone(), entry.ddl)),
                _ => {}
            }
        }
        for (name, ddl) in doubted {
            let sql = match self.registry.last_known(&name) {
                Meaning::Known(statement) => statement.text.sql.clone(),
                Meaning::Sql(text, _) => text.sql,
                Meaning::Opaque => continue,
            };
            if changed(&sql, ddl) {
                self.may_mean(&name, &opaque_facts());
            }
        }
    }

    /// The newest unanswered Parse of this name.
    fn newest_parse(&self, name: &Bytes) -> Option<usize> {
        self.expect
            .iter()
            .rposition(|entry| matches!(&entry.owed, Owed::Parse { name: of, .. } if of == name))
    }

    /// A statement's name for a question of the gate's own; the client cannot guess it.
    pub(crate) fn own_name(&self, what: &str) -> String {
        self.names.of_question(what)
    }

    /// Facts of the text alone, by catalog and state as they are now.
    pub(crate) fn facts_now(&mut self, text: &Text) -> Arc<[Facts]> {
        let sql = &text.sql;
        if let Some(other) = self.other_state(text) {
            return self.read(sql, &other);
        }
        if let Some(known) = self.cache.get(sql) {
            return known;
        }
        let facts = self.read(sql, &self.state);
        self.cache.insert(sql, &facts);
        self.keeps_to_its_room();
        facts
    }

    fn read(&self, sql: &Bytes, state: &SessionState) -> Arc<[Facts]> {
        if sql.len() <= LONG
            && !is_deep(sql)
            && let Some(facts) = analyze_at_once(sql, &self.catalog, state)
        {
            return or_empty(facts);
        }
        let mut facts = Vec::new();
        (self.at_leisure)(sql.len(), &mut || facts = analyze(sql, &self.catalog, state));
        or_empty(facts)
    }
}

/// Whether its brackets, be they in literals or not, go deep.
fn is_deep(sql: &[u8]) -> bool {
    let mut depth = 0_usize;
    sql.iter().any(|byte| {
        match byte {
            b'(' | b'[' => depth = depth.saturating_add(1),
            b')' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth > DEEP
    })
}

/// Whether there may be a literal in quotes of whatever kind.
fn may_have_text(sql: &[u8]) -> bool {
    let after = sql.iter().skip(1).chain(std::iter::once(&b' '));
    sql.iter().zip(after).any(|(byte, next)| *byte == b'\'' || (*byte == b'$' && !next.is_ascii_digit()))
}

/// What an EXECUTE or FETCH goes on with.
#[derive(Debug, Clone)]
pub enum GoesOn {
    /// A prepared statement, by this text.
    Prepared(Text),
    /// A cursor declared by this text, with these facts when it was.
    Cursor(Text, Arc<[Facts]>),
}

/// Whether it is one query that runs no code but the server's own.
fn is_settled_query(facts: &[Facts]) -> bool {
    matches!(facts, [only] if only.kind == Kind::Select && only.read_only && only.is_settled())
}

/// Whether a statement shows more by what is known now than by what it was let through for.
pub(crate) fn shows_more(now: &[Facts], then: &[Facts]) -> bool {
    let known = |column| then.iter().any(|facts| facts.columns.contains_key(column));
    let compared = |predicate| then.iter().any(|facts| facts.predicates.contains(predicate));
    let certain = |all: &[Facts]| all.iter().map(|facts| facts.certainty).max();
    certain(now) > certain(then)
        || now.iter().flat_map(|facts| facts.columns.keys()).any(|it| !known(it))
        || now.iter().flat_map(|facts| facts.predicates.iter()).any(|it| !compared(it))
}

/// An empty message is forwarded too, and so needs facts: PostgreSQL answers it.
fn or_empty(facts: Vec<Facts>) -> Arc<[Facts]> {
    if facts.is_empty() { empty_facts() } else { facts.into() }
}

/// A FETCH of a cursor that was let through by other rules: it is judged by what the cursor reads.
fn fetched_anew(fetch: &Facts, effect: &Effect, declared: &Arc<[Facts]>) -> Arc<[Facts]> {
    let [then] = &**declared else { return opaque_facts() };
    let fetched = fetch.fetched(effect);
    let effect = fetched.effect.clone();
    Arc::from([Facts { effect, ..fetched.union(then) }])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_within_brackets_are_deep_and_many_beside_each_other_are_not() {
        assert!(is_deep(["(".repeat(DEEP + 1), "1".to_owned(), ")".repeat(DEEP + 1)].concat().as_bytes()));
        assert!(!is_deep("(1), ".repeat(1_000).as_bytes()));
    }
}
