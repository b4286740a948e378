//! The client's side: frames are taken one after another, for as long as nothing has to be waited for.

use std::sync::Arc;

use bytes::Bytes;
use stepgate_sql::{Facts, RunsAs};
use stepgate_types::{Certainty, Kind, SqlState};
use stepgate_wire::read::{Bind, Close, Describe, Execute, Parse, Query, Target, expect_empty};
use stepgate_wire::{Piece, Problem, ReadError};

use crate::asking::{Check, Judged};
use crate::expect::Owed;
use crate::facts::{owned, shows_more};
use crate::outlet::{Late, Moment, Opened, Traces};
use crate::park::{self, Parked};
use crate::registry::{self, Meaning, Prepared};
use crate::session::{Action, Ending, Gate, Session};
use crate::subject::{
    Frame, Known, Pending, Protocol, Subject, TransactionSoFar, executed, is_wild, now_and_then, opaque_facts,
};
use crate::text::Text;

/// The most replies that may be outstanding. A pipeline this deep gains nothing by being deeper, and whoever drives a session
/// remembers each statement that is under way.
pub const MAX_OWED: usize = 1_024;

/// The most that may be known of what is outstanding, in bytes as the registry counts them: a few words about wide tables take
/// megabytes.
const MAX_OWED_BYTES: usize = 8 << 20;

/// What a name stands for, or that it is too early to say.
enum Lookup {
    Means(Meaning),
    /// A Parse of an earlier segment is unanswered: it may yet fail.
    Wait,
}

impl Session {
    /// Takes frames until one has to wait.
    pub(crate) fn advance(&mut self) {
        while matches!(self.gate, Gate::Open) && !self.paused {
            if self.owes_too_much() {
                let until_sync = self.expect.back().is_some_and(|last| !last.owed.ends_with_ready());
                if !self.full && until_sync {
                    // Without a Flush the server might keep its replies, and nothing would ever move again.
                    self.server.flush();
                }
                self.full = true;
                return;
            }
            self.full = false;
            if self.waits_amid() {
                return;
            }
            if self.limits.under_way && self.waits_for_limited() || self.alone && self.waits_alone() {
                return;
            }
            if self.leaving {
                self.leave_park();
                continue;
            }
            let Some(piece) = self.inbox.front() else { return };
            let taken = match piece {
                Piece::Part { .. } => {
                    self.copy_data();
                    Ok(())
                }
                Piece::Dropped { tag, bytes, why } => {
                    let (tag, header, why) = (*tag, bytes.clone(), *why);
                    self.take_dropped(tag, &header, why);
                    Ok(())
                }
                Piece::Whole { tag, .. } => {
                    let tag = *tag;
                    self.take(tag)
                }
            };
            if taken.is_err() {
                self.protocol_violation("a message of the client's is malformed");
            }
        }
    }

    /// Whether so much is under way that more has to wait: also until half of it is done, once it is.
    fn owes_too_much(&mut self) -> bool {
        let share = if self.full { 2 } else { 1 };
        if self.owed_bytes > MAX_OWED_BYTES / share {
            // What is done by now was counted, too.
            self.owed_bytes =
                self.expect.iter().map(|entry| entry.owed.bytes()).fold(0, usize::saturating_add);
        }
        self.expect.len() >= MAX_OWED / share || self.owed_bytes > MAX_OWED_BYTES / share
    }

    /// Takes the frame at the head of the inbox, or leaves it there and says in `gate` or `leaving` why.
    fn take(&mut self, tag: u8) -> Result<(), ReadError> {
        match tag {
            b'S' => return self.sync(),
            _ if self.skipping && tag != b'X' => {
                self.next_piece();
            }
            b'P' | b'B' | b'D' | b'C' => {
                if let Some(Piece::Whole { bytes, .. }) = self.next_piece() {
                    self.park.push(read_parked(tag, bytes)?);
                    self.leaving = self.park.is_full();
                }
            }
            _ if !self.park.is_empty() && tag != b'X' => self.leaving = true,
            _ => {
                if let Some(Piece::Whole { bytes, .. }) = self.inbox.front() {
                    let frame = bytes.clone();
                    return self.take_alone(tag, &frame);
                }
            }
        }
        Ok(())
    }

    /// The same of one that never waits behind others.
    fn take_alone(&mut self, tag: u8, frame: &Bytes) -> Result<(), ReadError> {
        match tag {
            b'X' if !self.park.is_empty() => self.leaving = true,
            b'X' => {
                self.server.harmless(tag, frame);
                let answered = self.expect.is_empty();
                self.gate = if answered { Gate::Ended } else { Gate::Goodbye };
                let action = if answered { Action::End(Ending::Terminate) } else { Action::Goodbye };
                self.actions.push_back(action);
            }
            b'H' => {
                expect_empty(frame, tag)?;
                self.next_piece();
                self.server.harmless(tag, frame);
            }
            b'c' | b'f' => self.copy_ends(tag, frame),
            b'Q' => {
                let sql = frame.slice_ref(Query::read(frame)?.sql);
                self.query(frame, &sql);
            }
            b'E' => {
                let portal = registry::key(Execute::read(frame)?.portal);
                self.execute(frame, &portal);
            }
            b'F' => self.function_call(frame)?,
            _ => self.protocol_violation("a message of this type has no place here"),
        }
        Ok(())
    }

    /// Sync: ends skipping and the segment.
    fn sync(&mut self) -> Result<(), ReadError> {
        if let Some(piece) = self.inbox.front() {
            expect_empty(piece.bytes(), b'S')?;
        }
        if !self.park.is_empty() {
            self.leaving = true;
        } else if self.sync_may_go()
            && let Some(piece) = self.next_piece()
        {
            self.server.harmless(b'S', piece.bytes());
            self.skipping = false;
            self.owe(Owed::Sync);
            self.segment = self.segment.saturating_add(1);
        }
        Ok(())
    }

    fn query(&mut self, frame: &Bytes, sql: &Bytes) {
        let (text, check) = (Text::unsent(sql.clone()), Check { simple: true, unnamed: true, types: &[] });
        let Judged::Facts(facts) = self.judge(&text, Some(&check)) else {
            return;
        };
        if self.must_be_alone(&facts) {
            return;
        }
        self.next_piece();
        let pending = self.pending(Protocol::Simple, facts, text);
        self.decide(Subject {
            frame: Frame::Query(frame.clone()),
            opaque: false,
            executes: false,
            parsed: None,
            pending: Arc::new(pending),
            known: Known::of(self),
        });
    }

    fn execute(&mut self, frame: &Bytes, portal: &Bytes) {
        match self.portal(portal) {
            Portal::Opened { at, .. } if at.rules != self.rules => self.execute_unseen(frame, portal),
            Portal::Opened { traces, at, .. } if self.waits_for_path(&traces, at) => {}
            Portal::Opened { traces, at, .. } if self.shows_more(&traces, at) => {
                self.execute_unseen(frame, portal)
            }
            Portal::Opened { number, traces, at } => {
                if traces.may_rename() {
                    self.names_sent = self.names_sent.saturating_add(1);
                }
                self.describe_own(portal, &traces);
                let unanswered = self.opened(portal).and_then(|index| self.expect.get(index));
                let opened = match unanswered.map(|entry| &entry.owed) {
                    Some(Owed::Bind { opened, .. }) => Some(opened),
                    _ => self.registry.portal(portal),
                };
                let declares = opened.map(|opened| {
                    self.server.go_on(opened, frame);
                    opened.declares()
                });
                self.next_piece();
                if let Some(declares) = declares {
                    let origins = traces.of_statement.clone().filter(|_| traces.described.get().is_none());
                    if let Some(late) = &traces.late {
                        self.executes_anew(&late.text, &late.facts);
                    }
                    let changes = traces.changes.clone().filter(|_| at.learned != self.learned);
                    self.owe(Owed::Execute { number, traces, origins, declares });
                    if let Some(facts) = changes {
                        // What was learnt since its Bind held before it.
                        self.take_effect(number, &facts);
                    }
                    self.flush_limited();
                }
            }
            Portal::Wait => self.gate = Gate::Settling,
            Portal::Opaque if self.must_look_for(Target::Portal, portal) => {}
            Portal::Opaque => self.execute_unseen(frame, portal),
        }
    }

    /// A portal of which nothing is known, or no longer.
    fn execute_unseen(&mut self, frame: &Bytes, portal: &Bytes) {
        self.next_piece();
        let behind = self.behind_portal(portal);
        let pending = self.pending(Protocol::Extended, opaque_facts(), Text::unsent(Bytes::new()));
        let pending = Pending { behind, ..pending };
        self.decide(Subject {
            frame: Frame::Execute(frame.clone()),
            opaque: true,
            executes: false,
            parsed: None,
            pending: Arc::new(pending),
            known: Known::of(self),
        });
    }

    /// Whether the server is to say first by which path a portal's names are found now.
    fn waits_for_path(&mut self, traces: &Traces, at: Moment) -> bool {
        let known = |late: &Late| late.known.has_path_of(self, at.own_paths);
        traces.late.as_ref().is_some_and(|late| !known(late)) && self.must_wait_for_names()
    }

    /// Whether executing a portal now would show more than it was let through for at its Bind.
    fn shows_more(&mut self, traces: &Traces, at: Moment) -> bool {
        let Some(late) = &traces.late else { return false };
        let changes =
            |facts: &&Facts| facts.kind != Kind::Transaction && (facts.effect.catalog || is_wild(facts));
        let own = late.facts.iter().filter(changes).count();
        if at.names != self.names_sent && late.facts.iter().any(|facts| goes_on(facts.kind)) {
            let text = self.facts_now(&late.text);
            if text.iter().any(|facts| facts.effect.refers.is_some() || facts.certainty == Certainty::Unknown)
            {
                // It may go on with something else than it was let through for, and draw on another meter.
                return true;
            }
        }
        if late.known.is_that_of(self, own, at.own_paths) {
            return false;
        }
        let now = self.facts_of(&late.text);
        shows_more(&now, &late.facts)
    }

    /// Sends what is parked, once every Bind in it is decided on.
    fn leave_park(&mut self) {
        // Before the segment's first frame moves: within a segment (asyncpg's Parse, Flush, Bind; pgjdbc's BEGIN
        // with its first statement) nothing can be asked any more.
        if !self.only_sets_up() && self.must_wait_for_names() {
            return;
        }
        let Some((bind, newest)) = self.park.undecided() else {
            if self.must_look_for_relations() {
                return;
            }
            while self.forward_parked() {}
            (self.leaving, self.looked) = (false, false);
            return;
        };
        let name = bind.statement.clone();
        let fresh = newest.is_some();
        let (mut opaque, mut executes, mut restated) = (false, false, false);
        let meaning = match newest {
            Some(statement) => Meaning::Known(statement),
            None => match self.statement(&name) {
                Lookup::Means(meaning) => {
                    opaque = meaning == Meaning::Opaque;
                    if opaque && self.must_look_for(Target::Statement, &name) {
                        return;
                    }
                    meaning
                }
                Lookup::Wait => {
                    self.gate = Gate::Settling;
                    return;
                }
            },
        };
        let (facts, text, types, parsed) = match meaning {
            Meaning::Known(statement) => {
                // What the server has parsed already need not be tried.
                let unnamed = name.is_empty();
                let check = Check { simple: false, unnamed, types: &statement.types };
                match self.judge(&statement.text, fresh.then_some(&check)) {
                    Judged::Facts(now) => {
                        self.registry.means_as_then(&name, &statement, &now);
                        let facts = now_and_then(now, statement.facts.as_ref());
                        let facts = self.given_types(facts, &statement.types);
                        restated = statement.facts.is_some() && statement.settings != self.settings_changed;
                        (facts, statement.text.clone(), statement.types.clone(), statement.facts.clone())
                    }
                    Judged::Later => return,
                }
            }
            Meaning::Sql(text, then) => match self.judge(&text, None) {
                Judged::Facts(now) => {
                    executes = true;
                    let then = executed(&then);
                    (now_and_then(executed(&now), Some(&then)), text, Vec::new(), Some(then))
                }
                Judged::Later => return,
            },
            Meaning::Opaque => (opaque_facts(), Text::unsent(Bytes::new()), Vec::new(), None),
        };
        if self.must_be_alone(&facts) {
            return;
        }
        let (values, formats) = self.park.take_values();
        let pending = self.pending(Protocol::Extended, facts, text);
        let pending = Pending { values, formats, types, restated, ..pending };
        self.decide(Subject {
            frame: Frame::Bind,
            opaque,
            executes,
            parsed,
            pending: Arc::new(pending),
            known: Known::of(self),
        });
    }

    /// The facts of a text that is bound to values of these types, which may run code when they are read.
    pub(crate) fn given_types(&self, facts: Arc<[Facts]>, types: &[u32]) -> Arc<[Facts]> {
        if types.iter().any(|oid| self.catalog.runs_code_of_type(*oid)) {
            facts.iter().map(Facts::given_unknown_types).collect()
        } else {
            facts
        }
    }

    /// Whether a transaction that has run nothing is about to be set up (SET TRANSACTION, SET LOCAL): PostgreSQL lets
    /// that be done before any query, and a question to it would be one.
    fn only_sets_up(&mut self) -> bool {
        if self.status != b'T' || self.so_far != TransactionSoFar::Nothing {
            return false;
        }
        let Some(parsed) = self.park.all_parsed() else { return false };
        parsed.iter().all(|statement| {
            matches!(&*self.facts_now(&statement.text), [only]
                if matches!(only.kind, Kind::Session | Kind::Transaction) && only.certainty != Certainty::Unknown)
        })
    }

    /// Sends the parked frames before the first undecided Bind.
    pub(crate) fn forward_park_before_undecided(&mut self) {
        while !self.park.next_is_undecided() && self.forward_parked() {}
    }

    /// Sends the parked frames before the newest Parse of what is to be judged. `false`: there is a Bind among them, or no
    /// such Parse.
    pub(crate) fn forward_park_before_parse(&mut self) -> bool {
        let Some(many) = self.park.before_parse() else { return false };
        (0..many).all(|_| self.forward_parked())
    }

    /// Sends the next parked frame; `false` if there is none or it may not go.
    fn forward_parked(&mut self) -> bool {
        let Some(parked) = self.park.pop() else { return false };
        if !matches!(parked, Parked::Describe { .. }) {
            self.names_sent = self.names_sent.saturating_add(1);
        }
        match parked {
            Parked::Parse { name, statement, frame } => {
                let Prepared { text, types, .. } = &*statement;
                let facts = self.facts_now(text);
                if self.reads_when_parsed(&facts, &text.sql, types) && !self.park.goes_on_with(&name) {
                    self.refuse_parse();
                    return false;
                }
                let (facts, settings) = (Some(facts), self.settings_changed);
                let text = Text { read: Some(self.reading(&text.sql)), ..text.clone() };
                let statement = Arc::new(Prepared { text, types: types.clone(), facts, settings });
                self.server.harmless(b'P', &frame);
                self.owe(Owed::Parse { name, statement });
            }
            Parked::Describe { frame } => {
                if self.looks_anew(&frame) {
                    self.refuse_parse();
                    return false;
                }
                self.server.harmless(b'D', &frame);
                self.owe_description(&frame);
            }
            Parked::Close { portal, name, frame } => {
                self.server.harmless(b'C', &frame);
                self.owe(Owed::Close { portal, name });
            }
            Parked::Bind { bind, pass: Some(passed), frame } => {
                let park::Passed { pass, number, traces, facts, release } = passed;
                let spent = self.server.spend(pass, number, traces, &frame);
                let spent = spent.and_then(|opened| {
                    release.map_or(Ok(()), |release| self.server.release(release)).map(|()| opened)
                });
                match spent {
                    Ok(opened) => {
                        self.may_mean(&bind.statement, &facts);
                        self.owe(Owed::Bind { portal: bind.portal, opened });
                        let before = self.path_changes;
                        self.take_effect(number, &facts);
                        let own_paths = self.path_changes.saturating_sub(before);
                        let (names, learned, rules) = (self.names_sent, self.learned, self.rules);
                        let at = Moment { names, own_paths, learned, rules };
                        if let Some(Owed::Bind { opened, .. }) =
                            self.expect.back_mut().map(|entry| &mut entry.owed)
                        {
                            opened.bound(at);
                        }
                    }
                    Err(_) => self.defect(),
                }
            }
            Parked::Bind { pass: None, .. } => {
                // Never: callers look first. A Bind without a pass must not move.
                self.defect();
                return false;
            }
        }
        true
    }

    fn defect(&mut self) {
        let problem = Problem::fatal(SqlState::SYSTEM_ERROR, "the session's state is inconsistent");
        self.end(&problem.with_hint("Connect again and tell the gate's operator."), Ending::Defect);
    }

    /// What a prepared statement's name will mean when the server gets there.
    fn statement(&self, name: &Bytes) -> Lookup {
        if !registry::is_certain(name) {
            return Lookup::Means(Meaning::Opaque);
        }
        for entry in self.expect.iter().rev() {
            match &entry.owed {
                owed if owed.may_name(name) => return Lookup::Means(Meaning::Opaque),
                Owed::Parse { name: parsed, statement } if parsed == name => {
                    // In this segment: should it fail, whatever uses the name is skipped as well.
                    return if entry.segment == self.segment {
                        Lookup::Means(Meaning::Known(Arc::clone(statement)))
                    } else {
                        Lookup::Wait
                    };
                }
                _ => {}
            }
        }
        Lookup::Means(match self.registry.last_known(name) {
            Meaning::Known(statement) if self.can_only_end(&statement) => Meaning::Known(statement),
            _ if self.registry.is_doubtful() => Meaning::Opaque,
            known => known,
        })
    }

    /// In a transaction that has failed, PostgreSQL runs nothing but its end (`exec_bind_message`): a ROLLBACK by name
    /// that a driver prepared is one, or fails.
    fn can_only_end(&self, statement: &Prepared) -> bool {
        self.status == b'E'
            && !self.segment_begun
            && self.expect.is_empty()
            && matches!(statement.facts.as_deref(), Some([only]) if only.kind == Kind::Transaction)
    }

    /// What a portal's name will mean when the server gets there.
    fn portal(&self, name: &Bytes) -> Portal {
        if !registry::is_certain(name) {
            return Portal::Opaque;
        }
        for entry in self.expect.iter().rev() {
            match &entry.owed {
                owed if owed.may_name(name) => return Portal::Opaque,
                Owed::Bind { portal, opened } if is_same(portal, name) => {
                    return if entry.segment == self.segment { Portal::of(opened) } else { Portal::Wait };
                }
                _ => {}
            }
        }
        self.registry.portal(name).map_or(Portal::Opaque, Portal::of)
    }

    /// The newest unanswered Bind of this portal.
    pub(crate) fn opened(&self, name: &Bytes) -> Option<usize> {
        self.expect
            .iter()
            .rposition(|entry| matches!(&entry.owed, Owed::Bind { portal, .. } if is_same(portal, name)))
    }

    pub(crate) fn pending(&mut self, protocol: Protocol, facts: Arc<[Facts]>, text: Text) -> Pending {
        let (behind, unseen) = (self.behind(&facts), self.goes_on_unseen(&facts, &text.sql));
        self.number = self.number.saturating_add(1);
        let aborted = match &*facts {
            [only] => {
                // A ROLLBACK ends it at once, and is known of by a ReadyForQuery only at Sync.
                self.status == b'E'
                    && self.expect.is_empty()
                    && !self.segment_begun
                    && !matches!(only.kind, Kind::Transaction | Kind::Unknown | Kind::Empty)
            }
            _ => false,
        };
        // What was pipelined before, each with its own Sync, ended its own transactions.
        let alone = self.status == b'I' && !self.segment_begun && !self.wild;
        let so_far = if alone && !self.isolation.is_open(self.status) {
            TransactionSoFar::Nothing
        } else {
            self.so_far
        };
        Pending {
            number: self.number,
            protocol,
            facts,
            sql: text.sql,
            read: text.read,
            behind,
            unseen,
            values: Vec::new(),
            formats: Vec::new(),
            types: Vec::new(),
            transaction: so_far,
            in_transaction: self.isolation.is_open(self.status) || so_far != TransactionSoFar::Nothing,
            restated: false,
            aborted,
            runs_as: RunsAs::default(),
        }
    }

    pub(crate) fn decide(&mut self, mut subject: Subject) {
        self.parses = false;
        self.mind_portals(&mut subject);
        self.actions.push_back(Action::Decide(Arc::clone(&subject.pending)));
        self.gate = Gate::Deciding(subject);
    }
}

/// Whether it goes on with a statement or cursor by its name, when it is executed.
const fn goes_on(kind: Kind) -> bool {
    matches!(kind, Kind::Execute | Kind::Cursor | Kind::Update | Kind::Delete | Kind::Unknown)
}

/// What a portal's name stands for.
enum Portal {
    Opened { number: u64, traces: Arc<Traces>, at: Moment },
    Opaque,
    Wait,
}

impl Portal {
    fn of(opened: &Opened) -> Self {
        Self::Opened { number: opened.number(), traces: Arc::clone(opened.traces()), at: opened.at() }
    }
}

fn read_parked(tag: u8, frame: Bytes) -> Result<Parked, ReadError> {
    Ok(match tag {
        b'P' => {
            let Parse { name, sql, types } = Parse::read(&frame)?;
            let statement =
                Arc::new(Prepared { text: Text::unsent(owned(sql)), types, facts: None, settings: 0 });
            Parked::Parse { name: registry::key(name), statement, frame }
        }
        b'B' => {
            let read = Bind::read(&frame)?;
            let mut values = Vec::with_capacity(read.values.len());
            values.extend(read.values.iter().map(|value| value.map(|value| frame.slice_ref(value))));
            let bind = park::Bind {
                portal: registry::key(read.portal),
                statement: frame.slice_ref(registry::kept(read.statement)),
                formats: (0..read.values.len()).map(|index| read.formats.of(index)).collect(),
                values,
            };
            Parked::Bind { bind, pass: None, frame }
        }
        b'D' => {
            Describe::read(&frame)?;
            Parked::Describe { frame }
        }
        _ => {
            let Close { kind, name } = Close::read(&frame)?;
            Parked::Close { portal: kind == Target::Portal, name: registry::key(name), frame }
        }
    })
}

/// Whether two names are one; most are empty, and nothing is compared then.
fn is_same(one: &Bytes, other: &Bytes) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}
