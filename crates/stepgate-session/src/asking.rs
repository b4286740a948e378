//! What has to be known before a statement can be judged: waited for, or asked of the server, which executes nothing by it.
//! (What its literals' types check, it does: texts of which that reads anything are not asked about.)

use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::{Facts, RunsAs};
use stepgate_types::{Certainty, Kind};
use stepgate_wire::read::Target;

use crate::expect::{self, Owed};
use crate::session::{Gate, Session};
use crate::subject::TransactionSoFar;
use crate::text::Text;

/// How a statement would be tried.
pub(crate) struct Check<'a> {
    pub(crate) simple: bool,
    /// Trying to parse it drops the unnamed statement, whatever comes of it.
    pub(crate) unnamed: bool,
    pub(crate) types: &'a [u32],
}

/// What comes of a statement before it can be decided on.
pub(crate) enum Judged {
    Facts(Arc<[Facts]>),
    /// `gate` says what is waited for.
    Later,
}

impl Session {
    /// The facts of a statement; where they would be better after a wait or a question, `gate` says so.
    pub(crate) fn judge(&mut self, text: &Text, check: Option<&Check<'_>>) -> Judged {
        let facts = self.facts_of(text);
        let understood = facts.iter().all(|facts| facts.certainty != Certainty::Unknown);
        // As whom it would run is part of what people are asked, whatever it names.
        let unsure = self.state.runs_as == RunsAs::Unsure && facts.iter().any(|it| !it.columns.is_empty());
        let known = understood && !unsure;
        if self.is_made_where(&facts) && self.must_wait_for_names() {
            return Judged::Later;
        }
        if self.had_better_know_names(&facts) {
            self.ask_for_names();
            return Judged::Later;
        }
        if !known && self.answers_will_come() {
            // What goes before may say more; and only when nothing is under way can anything be asked.
            self.gate = Gate::Settling;
            return Judged::Later;
        }
        if known
            || !(self.must_wait_for_names()
                || (!understood && check.is_some_and(|check| self.must_try(&facts, &text.sql, check))))
        {
            Judged::Facts(facts)
        } else {
            Judged::Later
        }
    }

    /// Has the server parse what is not understood, before people are asked about it: a slip of the pen gets
    /// its error at once. `false`: that is known, or cannot be asked here.
    fn must_try(&mut self, facts: &[Facts], sql: &Bytes, check: &Check<'_>) -> bool {
        let one = matches!(facts, [only] if !matches!(only.kind, Kind::Do | Kind::Call | Kind::Execute)
            && !self.reads_when_parsed(facts, sql, check.types));
        let within = self.segment_begun;
        // A Query ends the segment in which it comes.
        let can_ask = if within { !check.simple && !self.copy_in } else { self.expect.is_empty() };
        if self.parses || !one || !can_ask || !matches!(self.status, b'I' | b'T') {
            return false;
        }
        if !check.simple && !self.forward_park_before_parse() {
            // One of them was refused, and with it all that waits.
            return self.skipping;
        }
        let name = self.own_name("check");
        // In the middle of a segment, one may be on its way that is not known yet.
        let drops_unnamed = check.unnamed && (within || self.registry.has(&Bytes::new()));
        if drops_unnamed && !within {
            self.registry.forget_statement(&Bytes::new());
        }
        self.server.check(&name, sql, check.types, drops_unnamed);
        if within {
            self.server.flush();
        } else {
            self.server.sync();
        }
        self.owe(Owed::Check(expect::Check {
            simple: check.simple,
            refused: None,
            abandoned: false,
            within,
            drops: within && drops_unnamed,
            said: Vec::new(),
        }));
        self.gate = Gate::Checking;
        true
    }

    /// Asks what names mean, or waits until that can be asked, if it is not known; `false`: it is known, or
    /// cannot be asked here.
    pub(crate) fn must_wait_for_names(&mut self) -> bool {
        let stale = self.catalog_stale();
        if self.state.search_path.is_some() && !stale {
            return false;
        }
        if self.expect.iter().any(|entry| !matches!(entry.owed, Owed::CopyEnd)) {
            let answers_will_come = self.answers_will_come();
            if answers_will_come {
                self.gate = Gate::Settling;
            }
            return answers_will_come;
        }
        if self.probe_failed || self.segment_begun || self.status == b'E' {
            return false;
        }
        if stale && (self.status == b'I' || self.catalog_asked == Some(self.catalog_changes)) {
            // Uncommitted changes are visible in their transaction alone; nobody else can look them up.
            self.ask_for_catalog();
            self.gate = Gate::AwaitingCatalog;
            return true;
        }
        if self.state.search_path.is_some() {
            return false;
        }
        self.ask_for_names();
        true
    }

    /// Whether what unqualified names mean is better known, though the statement is understood without: while it is under
    /// way, others may make something of a name that it looks up, and where that name is not looked for is no harm then. Only
    /// where asking costs a round trip and nothing else: no pipeline waits for it, and no transaction has its snapshot by it.
    fn had_better_know_names(&self, facts: &[Facts]) -> bool {
        if self.state.search_path.is_some()
            || !self.expect.is_empty()
            || self.segment_begun
            || self.probe_failed
            || self.catalog_stale()
        {
            return false;
        }
        let looks_up = || facts.iter().any(|facts| facts.looks_up);
        let begins = || facts.iter().any(|facts| facts.kind == Kind::Transaction);
        match self.status {
            // Within the transaction it may be too late.
            b'I' => looks_up() || (self.learned == 0 && begins()),
            b'T' => self.so_far != TransactionSoFar::Nothing && looks_up(),
            _ => false,
        }
    }

    fn ask_for_names(&mut self) {
        self.server.probe(&self.own_name("names"));
        self.owe(Owed::Probe);
        self.gate = Gate::Probing;
    }

    /// Asks for the catalog as it is now, where a Parse that comes without its Bind names a relation that nobody knows: another
    /// session may have made it a moment ago, and what is not known of a statement when it is parsed stays so for as long as
    /// it is prepared. `false`: all are known, or that has been asked.
    pub(crate) fn must_look_for_relations(&mut self) -> bool {
        if self.looked || self.catalog_stale() || self.status == b'E' || self.park.has_passed() {
            return false;
        }
        let parsed = self.park.all_parsed().unwrap_or_default();
        let names_unknown =
            |facts: &Facts| facts.reasons.iter().any(|reason| reason.code == "unknown-relation");
        if !parsed.iter().any(|statement| self.facts_now(&statement.text).iter().any(names_unknown)) {
            return false;
        }
        self.looked = true;
        self.ask_for_catalog();
        self.gate = Gate::AwaitingCatalog;
        true
    }

    /// Whether all that was sent will be answered without anything more being sent. In the middle of a segment it need not
    /// be, and nothing can be asked without ending that.
    pub(crate) fn answers_will_come(&self) -> bool {
        let mut owed = self.expect.iter().rev().map(|entry| &entry.owed);
        let last = owed.find(|owed| !matches!(owed, Owed::CopyEnd));
        !self.copy_in && last.is_some_and(Owed::ends_with_ready)
    }

    /// Asks the server for something of which the gate knows nothing, before people are asked about it. If it does not
    /// exist, the server says the same of its Describe as of its Bind or Execute, and goes on as after those.
    pub(crate) fn must_look_for(&mut self, kind: Target, name: &Bytes) -> bool {
        if std::mem::take(&mut self.exists) || self.status == b'E' {
            return false;
        }
        if self.answers_will_come() {
            // By then it may be known.
            self.gate = Gate::Settling;
            return true;
        }
        if !self.segment_begun && !self.expect.is_empty() {
            return false;
        }
        match kind {
            Target::Statement => {
                self.forward_park_before_undecided();
                if self.means_by_now(name) {
                    return self.skipping;
                }
                self.server.describe_statement(name);
            }
            Target::Portal => self.server.describe_portal(name),
        }
        let within = self.segment_begun;
        self.owe(Owed::Exists);
        if within {
            self.server.flush();
        } else {
            self.server.sync();
            self.owe(Owed::OwnSync);
        }
        self.gate = Gate::Checking;
        true
    }
}
