//! What becomes of a statement that was asked about: it is let through, held, refused; and what a hold is shown as.

use std::sync::Arc;

use stepgate_record::Release;
use stepgate_sql::Facts;
use stepgate_types::SqlState;
use stepgate_wire::{Problem, reply};

use crate::expect::{Entry, Owed, Poison};
use crate::outlet::{Pass, WrongToken};
use crate::park::Passed;
use crate::session::{Gate, Session};
use crate::subject::{Frame, Known, Pending, executed, now_and_then, opaque_facts};

impl Session {
    /// Lets the statement through that is being decided or held.
    ///
    /// # Errors
    /// Nothing waits, or the token is another statement's: the session must end.
    pub fn pass(&mut self, pass: Pass) -> Result<(), WrongToken> {
        let subject = self.take_subject().ok_or(WrongToken)?;
        let text = subject.pending.text();
        let shows = self.shown(&text, &subject.pending.facts);
        let meter = self.meter_of(&subject.pending);
        self.limits.under_way |= meter.is_some();
        let counts = meter.as_ref().is_some_and(|meter| meter.counts_subjects());
        let unsaid = counts || self.must_describe_portal(&subject.pending.facts);
        let of_statement = self.description_of_bound(&subject.frame).filter(|_| !unsaid);
        let traces = subject.traces(shows, of_statement, meter, self);
        let number = subject.pending.number;
        match subject.frame {
            Frame::Query(ref frame) | Frame::Function(ref frame) => {
                let opened = self.server.spend(pass, number, Arc::clone(&traces), frame)?;
                self.owe(Owed::Query { number, traces, failed: false, declares: opened.declares() });
            }
            Frame::Bind => {
                // It has its effect when it leaves: what is asked until then is asked of the state before it.
                let facts = Arc::clone(&subject.pending.facts);
                if !self.park.pass(Passed { pass, number, traces, facts, release: None }) {
                    return Err(WrongToken);
                }
                self.advance();
                return Ok(());
            }
            Frame::Execute(ref frame) => {
                self.server.spend(pass, number, Arc::clone(&traces), frame)?;
                self.owe(Owed::Execute { number, traces, origins: None, declares: None });
                self.flush_limited();
            }
        }
        self.executes_anew(&text, &subject.pending.facts);
        self.take_effect(number, &subject.pending.facts);
        self.advance();
        Ok(())
    }

    /// Holds the statement that was to be decided, or goes on holding it; `notice` tells the client why.
    pub fn hold(&mut self, notice: &Problem) {
        match std::mem::replace(&mut self.gate, Gate::Open) {
            Gate::Deciding(subject) | Gate::Held(subject) => self.gate = Gate::Held(subject),
            other => {
                self.gate = other;
                return;
            }
        }
        self.client.own(&notice.notice_bytes());
        self.close_portals();
        if self.expect.back().is_some_and(|entry| !entry.owed.ends_with_ready()) {
            // Replies to what went before may still sit in the server's buffer.
            self.server.flush();
        }
        self.let_go();
    }

    /// Ends what the server has begun for a segment of which it has only prepared something: from the first Parse on it
    /// keeps locks on what that names, and its `statement_timeout` runs. What was prepared stays; the client's own Sync
    /// comes later, and ends what comes then. In a transaction that was begun by a statement this changes nothing.
    pub(crate) fn let_go(&mut self) {
        let held = matches!(self.gate, Gate::Held(_));
        if held && self.segment_begun && self.segment_prepares && self.expect.is_empty() {
            self.server.sync();
            self.owe(Owed::OwnSync);
            self.synced_within = true;
        }
    }

    /// Refuses the statement that is being decided or held: a message goes in its place that must fail,
    /// and `problem` replaces the server's error.
    pub fn refuse(&mut self, problem: &Problem) {
        let Some(subject) = self.take_subject() else { return };
        if let (Frame::Query(_), true) = (&subject.frame, subject.pending.aborted) {
            self.limits.next = None;
            let (nonce, error) = (self.next_nonce(), problem.error_bytes());
            self.server.poison_failed(&nonce);
            self.owe(Owed::RefusedQuery(Some(Poison { nonce: Some(nonce), error })));
            return self.advance();
        }
        match &problem.hint {
            // As any ERROR, it ends what the transaction may do.
            Some(hint) if self.isolation.is_open(self.status) => {
                let hint = format!("{hint} The transaction has failed: send ROLLBACK first.");
                self.poison(&subject.frame, &problem.clone().with_hint(hint));
            }
            _ => self.poison(&subject.frame, problem),
        }
        self.advance();
    }

    /// Sends a message that must fail in the place of this one.
    pub(crate) fn poison(&mut self, frame: &Frame, problem: &Problem) {
        self.limits.next = None;
        let (nonce, error) = (self.next_nonce(), problem.error_bytes());
        match frame {
            Frame::Query(_) => {
                self.server.poison_query(&nonce);
                self.owe(Owed::RefusedQuery(Some(Poison { nonce: Some(nonce), error })));
            }
            Frame::Function(_) => {
                // A Query would take the client's unnamed statement with it.
                self.server.poison_function();
                self.owe(Owed::RefusedQuery(Some(Poison { nonce: None, error })));
            }
            Frame::Bind => {
                self.forward_park_before_undecided();
                self.server.poison_bind(&nonce);
                self.owe(Owed::Refused(Poison { nonce: Some(nonce), error }));
                self.skip();
            }
            Frame::Execute(_) => {
                self.server.poison_execute(&nonce);
                self.owe(Owed::Refused(Poison { nonce: Some(nonce), error }));
                self.skip();
            }
        }
    }

    /// Refuses a Parse that may read data, about which nobody has decided: a Bind that must fail goes in its place.
    pub(crate) fn refuse_parse(&mut self) {
        let problem = Problem::error(
            SqlState::FEATURE_NOT_SUPPORTED,
            "this statement cannot be prepared by itself, since preparing it reads data",
        )
        .with_detail("It has a literal whose type runs a function that reads tables, or is not known.")
        .with_hint("Give the value as a parameter, or send the statement with its Bind in one go.");
        let nonce = self.next_nonce();
        self.server.poison_bind(&nonce);
        self.owe(Owed::Refused(Poison { nonce: Some(nonce), error: problem.error_bytes() }));
        self.skip();
    }

    /// Recognises a message that must fail.
    pub(crate) fn next_nonce(&mut self) -> String {
        self.names.of_refusal()
    }

    /// Lets the reply of a statement go that went ahead on a ticket.
    ///
    /// # Errors
    /// The token is not for a statement of this session that waits: the session must end.
    pub fn release(&mut self, release: Release) -> Result<(), WrongToken> {
        if let Some(passed) = self.park.passed(release.statement().number) {
            passed.release = Some(release);
            return Ok(());
        }
        self.server.release(release)
    }

    /// Judges again what is held, by catalog and state as they are now. `None` if nothing is held.
    pub fn judge_again(&mut self) -> Option<Arc<[Facts]>> {
        let (opaque, executes, parsed, pending) = match &self.gate {
            Gate::Held(subject) | Gate::Deciding(subject) => {
                let opaque = subject.opaque || self.is_renamed(subject);
                (opaque, subject.executes, subject.parsed.clone(), Arc::clone(&subject.pending))
            }
            _ => return None,
        };
        let text = &pending.text();
        let facts = match (opaque, executes) {
            (true, _) => opaque_facts(),
            (false, true) => now_and_then(executed(&self.facts_now(text)), parsed.as_ref()),
            (false, false) => now_and_then(self.facts_of(text), parsed.as_ref()),
        };
        let facts = self.given_types(facts, &pending.types);
        // Of what nobody saw being made, the portal's name is all that there was.
        let behind = if opaque { pending.behind.clone() } else { self.behind(&facts) };
        let unseen = self.goes_on_unseen(&facts, &pending.sql);
        drop(pending);
        let known = Known::of(self);
        if let Gate::Held(subject) | Gate::Deciding(subject) = &mut self.gate {
            let pending = Arc::make_mut(&mut subject.pending);
            (pending.facts, pending.behind, pending.unseen) = (Arc::clone(&facts), behind, unseen);
            subject.known = known;
        }
        Some(facts)
    }

    /// Asks the server what names mean before what is held is judged again, where that is not known any more and can be
    /// asked. Until [`Session::is_probing`] is false, nothing is to be done about what is held.
    pub fn probe_held(&mut self) -> bool {
        let idle = self.expect.iter().all(|entry| matches!(entry.owed, Owed::OwnSync));
        if self.synced_within {
            // Whether the server has done with it in time is not known yet.
            return true;
        }
        let known = self.state.search_path.is_some() || self.catalog_stale();
        let can_ask = idle && !self.segment_begun && !self.probe_failed && matches!(self.status, b'I' | b'T');
        if known || !can_ask || !matches!(self.gate, Gate::Held(_)) {
            return false;
        }
        self.server.probe(&self.own_name("names"));
        self.owe(Owed::Probe);
        true
    }

    /// Whether the server has been asked what names mean, and has not answered.
    #[must_use]
    pub fn is_probing(&self) -> bool {
        self.synced_within || self.expect.iter().any(|entry| matches!(entry.owed, Owed::Probe))
    }

    /// Whether the server has sent a FATAL, after which it closes the connection.
    #[must_use]
    pub const fn server_said_fatal(&self) -> bool {
        self.fatal
    }

    /// What is being decided.
    #[must_use]
    pub fn deciding(&self) -> Option<Arc<Pending>> {
        match &self.gate {
            Gate::Deciding(subject) => Some(Arc::clone(&subject.pending)),
            _ => None,
        }
    }

    /// The number of the statement that is held.
    #[must_use]
    pub fn held(&self) -> Option<u64> {
        match &self.gate {
            Gate::Held(subject) => Some(subject.pending.number),
            _ => None,
        }
    }

    /// Shows the client, silently, that the connection lives, and the server too if that changes nothing.
    pub fn keep_alive(&mut self) {
        let status = reply::parameter_status("application_name", &self.application_name);
        self.client.own(&status);
        self.close_portals();
        if matches!(self.expect.back(), Some(Entry { owed: Owed::OwnClose { .. }, .. })) {
            self.server.flush();
        }
        self.let_go();
        let mut owed = self.expect.iter().map(|entry| &entry.owed);
        // The server may have sent all of it, and be idle in a transaction.
        let query = |owed: &Owed| matches!(owed, Owed::Query { .. }) && owed.copies_in() == 0;
        let waits_within = self.is_stalled() && owed.next().is_some_and(query);
        let alone =
            owed.all(|owed| matches!(owed, Owed::OwnSync)) && (waits_within || self.expect.is_empty());
        if alone && !self.segment_begun {
            // Resets the server's idle timers; outside a segment a Sync does nothing else.
            self.server.sync();
            self.expect.push_back(Entry { owed: Owed::OwnSync, segment: self.segment, ddl: self.ddl });
        }
    }
}
