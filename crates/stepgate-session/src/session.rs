//! The session: what goes in, what comes out, and where it stands.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use stepgate_sql::{Catalog, Facts, Flow, SessionState, Taints, TooMany, anywhere, shapes_results};
use stepgate_types::{Amount, RelationName, SessionId, SqlState};
use stepgate_wire::{Piece, Problem};

use crate::cache::Cache;
use crate::copy::Copying;
use crate::described::{Fits, Origins, Unflagged, Withheld};
use crate::expect::{Entry, Owed};
use crate::isolation::Isolation;
use crate::limits::Limits;
use crate::made::Making;
use crate::meter::Meter;
use crate::outlet::{ToClient, ToServer};
use crate::own_names::OwnNames;
use crate::park::Park;
use crate::probe::Answer;
use crate::registry::Registry;
use crate::room::Share;
use crate::settings::Doubt;
use crate::subject::{Pending, Subject, TransactionSoFar};
use crate::subjects::{Rewritten, Subjects};
use crate::tally::Tally;

/// How many bytes of the client's are read ahead of what can be judged. More would only sit here; less
/// would hide a client that has gone behind its own pipeline.
const MAX_READ_AHEAD: usize = 1 << 20;

/// What a session starts with: what the server said at startup, and what is random.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The session's id.
    pub id: SessionId,
    /// The server's process, as its notifications name it.
    pub pid: i32,
    /// The catalog of its database.
    pub catalog: Arc<Catalog>,
    /// ParameterStatus as the server reported it.
    pub parameters: Vec<(String, String)>,
    /// The settings that the client began with, their names in lower case, in the order in which they apply.
    pub settings: Vec<(String, String)>,
    /// Random; from it come the names that only the gate may know.
    pub secret: [u8; 32],
}

/// What the driver has to do.
#[derive(Debug)]
pub enum Action {
    /// Decide on this message and answer with [`Session::pass`], [`Session::hold`] or [`Session::refuse`].
    Decide(Arc<Pending>),
    /// What was being decided or held will not run: the server has failed something before it.
    Withdraw {
        /// The statement's number.
        number: u64,
    },
    /// The server refused to parse a statement that people would have been asked about; it has not run.
    NotParsed {
        /// The statement's number.
        number: u64,
        /// SQLSTATE.
        sqlstate: String,
    },
    /// A forwarded statement ended.
    Completed {
        /// The statement's number.
        number: u64,
        /// SQLSTATE where it failed.
        sqlstate: Option<String>,
        /// Where it failed by the server's own word: how many of its statements are done all the same.
        done: Option<usize>,
        /// By the server's own word, it has prepared a transaction.
        prepared: bool,
        /// Rows that went to the client.
        rows: u64,
        /// Bytes of rows and COPY data that went to the client.
        bytes: u64,
        /// More rows may be fetched, by functions that are compiled only then.
        suspended: bool,
        /// More rows may be fetched of its portal, by whatever.
        goes_on: bool,
    },
    /// Keys that a statement has shown, of a relation where they are tracked; before it is completed. There may be several
    /// of them.
    Subjects {
        /// The statement's number.
        number: u64,
        /// The relation.
        relation: RelationName,
        /// Their values, as text.
        keys: Vec<String>,
        /// There were others, or some that could not be read.
        more: bool,
    },
    /// A result is about to show what its statement was not let through for. It is withheld until
    /// [`Session::may_show`], or the session must end.
    ShowsMore {
        /// The statement's number.
        number: u64,
        /// What it shows.
        unflagged: Unflagged,
    },
    /// A statement has delivered what its meter lets through. Its next row waits, of so many bytes, until
    /// [`Session::go_on`] or [`Session::cut`]; unless the meter only watches.
    Threshold {
        /// The meter.
        meter: Arc<Meter>,
        /// Bytes of the next row, with its header.
        next: u64,
    },
    /// Statements draw no longer on what they are limited by, without one having completed just now.
    LimitsOver,
    /// The catalog may have changed: load it again and call [`Session::catalog_loaded`].
    LoadCatalog {
        /// Counts the session's changes; to be handed back.
        change: u64,
    },
    /// The client has said goodbye behind what it sent before, and the server is told. What it still says is relayed until
    /// it closes the connection, which ends the session.
    Goodbye,
    /// Write what is queued, then end the session.
    End(Ending),
}

/// Why a session ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client sent Terminate.
    Terminate,
    /// One side broke the protocol.
    Protocol,
    /// What a limit should have ended has changed something for good: no error can say that.
    Limit,
    /// The gate itself is at fault.
    Defect,
}

/// Where the client's side stands.
#[derive(Debug)]
pub(crate) enum Gate {
    /// Frames are taken as they come.
    Open,
    /// Until the server has answered what it owes.
    Settling,
    /// Until the client goes on, or the server says that it reads no COPY data any more.
    InData,
    /// Until the server has said what names mean.
    Probing,
    /// Until the catalog is loaded again.
    AwaitingCatalog,
    /// Until the server has said whether it can be parsed at all.
    Checking,
    /// Until the driver has decided.
    Deciding(Subject),
    /// Until a person has.
    Held(Subject),
    /// No frame is taken any more: the client has said goodbye. What was sent before is answered.
    Goodbye,
    /// No frame is taken any more.
    Ended,
}

/// One client's session. See the crate's documentation.
#[derive(Debug)]
pub struct Session {
    pub(crate) gate: Gate,
    pub(crate) inbox: VecDeque<Piece>,
    inbox_bytes: usize,
    pub(crate) park: Park,
    /// As many replies are outstanding as may be: no frame is taken until half of them have come.
    pub(crate) full: bool,
    /// No frame is taken while a cancel request is under way to the server.
    pub(crate) paused: bool,
    /// The park must be emptied before anything else.
    pub(crate) leaving: bool,
    /// The server ignores everything up to Sync.
    pub(crate) skipping: bool,
    /// CopyData is expected, and Sync and Flush are ignored by the server.
    pub(crate) copy_in: bool,
    pub(crate) copying: Copying,
    pub(crate) registry: Registry,
    /// The catalog was asked for relations that parked Parses name.
    pub(crate) looked: bool,
    pub(crate) expect: VecDeque<Entry>,
    /// What is known of that, and of what was outstanding since there was last nothing.
    pub(crate) owed_bytes: usize,
    /// How often DDL of the database's sessions has been committed.
    pub(crate) ddl: u64,
    pub(crate) segment: u64,
    /// Something of the current segment has been sent.
    pub(crate) segment_begun: bool,
    /// Nothing of it but what executes nothing and leaves no portal behind.
    pub(crate) segment_prepares: bool,
    /// A Query or FunctionCall was sent last, in the middle of a segment, and nothing of its own has come.
    pub(crate) amid: bool,
    /// A Sync of the gate's own in the middle of a segment of the client's is unanswered.
    pub(crate) synced_within: bool,
    /// `I`, `T` or `E`, as of the last ReadyForQuery.
    pub(crate) status: u8,
    pub(crate) so_far: TransactionSoFar,
    pub(crate) isolation: Isolation,
    pub(crate) transaction_timeout: Option<Duration>,
    pub(crate) server: ToServer,
    pub(crate) client: ToClient,
    pub(crate) actions: VecDeque<Action>,
    pub(crate) number: u64,
    pub(crate) tally: Tally,
    pub(crate) failure: Option<String>,
    pub(crate) fatal: bool,
    pub(crate) state: Arc<SessionState>,
    /// What letters and quotes are read by (`client_encoding`, `standard_conforming_strings`), and all settings.
    pub(crate) reading: Doubt,
    pub(crate) settings: Doubt,
    /// How often some setting may have changed.
    pub(crate) settings_changed: u64,
    /// The session's state was changed within the open transaction, whose end may change it back.
    pub(crate) touched: bool,
    /// Something that was not understood ran within the open transaction.
    pub(crate) wild: bool,
    /// The server refused the probe; names stay unknown until the state changes again.
    pub(crate) probe_failed: bool,
    pub(crate) answer: Answer,
    /// The server can parse what is to be judged next.
    pub(crate) parses: bool,
    /// What is to be judged next goes on with something that the gate does not know, and that exists.
    pub(crate) exists: bool,
    /// Statements of this session that may have changed the catalog.
    pub(crate) catalog_changes: u64,
    /// How often the path by which names are found may have changed.
    pub(crate) path_changes: u64,
    /// How often it was learnt what holds by now: of the server, or by a catalog.
    pub(crate) learned: u64,
    /// How often something was sent that may give a name of a statement or cursor another meaning.
    pub(crate) names_sent: u64,
    /// How many of them the catalog in use was loaded after.
    pub(crate) catalog_seen: u64,
    /// How many of them were made in transactions that have ended.
    pub(crate) catalog_settled: u64,
    /// How many of them are known all the same, since the open transaction did nothing else to it (`state.created`).
    pub(crate) catalog_followed: u64,
    /// The last of these changes that may have bound code to a table.
    pub(crate) catalog_bound: u64,
    /// How many there were when a catalog was last asked for, until it is there.
    pub(crate) catalog_asked: Option<u64>,
    /// What a statement under way makes or drops.
    pub(crate) making: Option<Making>,
    pub(crate) catalog: Arc<Catalog>,
    /// The one before it.
    pub(crate) catalog_before: Option<Arc<Catalog>>,
    /// Counts what changes facts.
    pub(crate) generation: u64,
    /// What the last result was found to fit; and the last that was not described with its rows.
    pub(crate) fits: Option<Fits>,
    pub(crate) fits_unsaid: Option<(Origins, Arc<[Facts]>, u64)>,
    /// What the server has sent and must not be relayed yet.
    pub(crate) withheld: Option<Withheld>,
    /// Something that changes names for others is under way, or its transaction open.
    pub(crate) alone: bool,
    /// It may LISTEN; and code of somebody's own, which may have it listen, was sent.
    pub(crate) listens: bool,
    pub(crate) ran_code: bool,
    pub(crate) limits: Limits,
    pub(crate) subjects: Subjects,
    pub(crate) rewritten: Rewritten,
    /// How often the rules have changed.
    pub(crate) rules: u64,
    /// How often a newer one was taken.
    pub(crate) catalogs: u64,
    pub(crate) cache: Cache,
    pub(crate) share: Share,
    pub(crate) application_name: String,
    pub(crate) names: OwnNames,
    pub(crate) at_leisure: fn(usize, &mut (dyn FnMut() + Send)),
}

impl Session {
    /// A session that has just seen its first ReadyForQuery.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut session = Self {
            gate: Gate::Open,
            inbox: VecDeque::new(),
            inbox_bytes: 0,
            park: Park::default(),
            full: false,
            paused: false,
            leaving: false,
            skipping: false,
            copy_in: false,
            copying: Copying::default(),
            registry: Registry::default(),
            expect: VecDeque::new(),
            owed_bytes: 0,
            ddl: 0,
            looked: false,
            segment: 0,
            segment_begun: false,
            alone: false,
            listens: false,
            ran_code: false,
            segment_prepares: true,
            amid: false,
            synced_within: false,
            status: b'I',
            so_far: TransactionSoFar::Nothing,
            isolation: Isolation::unknown(),
            transaction_timeout: None,
            server: ToServer::new(setup.id),
            client: ToClient::default(),
            actions: VecDeque::new(),
            number: 0,
            tally: Tally::default(),
            failure: None,
            fatal: false,
            state: Arc::default(),
            reading: Doubt::default(),
            settings: Doubt::default(),
            settings_changed: 0,
            touched: false,
            wild: false,
            probe_failed: false,
            answer: Answer::default(),
            parses: false,
            exists: false,
            learned: 0,
            catalog_changes: 0,
            path_changes: 0,
            names_sent: 0,
            catalog_seen: 0,
            catalog_settled: 0,
            catalog_followed: 0,
            catalog_bound: 0,
            catalog_asked: None,
            making: None,
            catalog: setup.catalog,
            catalog_before: None,
            generation: 0,
            fits: None,
            fits_unsaid: None,
            withheld: None,
            limits: Limits::of(setup.pid),
            subjects: Subjects::default(),
            rewritten: Rewritten::default(),
            rules: 0,
            catalogs: 0,
            cache: Cache::default(),
            share: Share::default(),
            application_name: String::new(),
            names: OwnNames::new(setup.secret),
            at_leisure: |_, read| read(),
        };
        for (name, value) in &setup.parameters {
            session.parameter(name, value);
        }
        // The last one of a name counts.
        let settings: BTreeMap<_, _> = setup.settings.into_iter().collect();
        let shaping = settings.into_iter().filter(|(name, value)| shapes_results(name, value));
        session.own_state().began_with = shaping.collect();
        session
    }

    /// How texts are read that take long: whichever frame makes that necessary, also one of a few bytes. It is given the
    /// text's length in bytes.
    pub fn read_long_texts_by(&mut self, at_leisure: fn(usize, &mut (dyn FnMut() + Send))) {
        self.at_leisure = at_leisure;
    }

    /// Takes what the client sent.
    pub fn on_client(&mut self, piece: Piece) {
        self.inbox_bytes = self.inbox_bytes.saturating_add(piece.bytes().len());
        self.inbox.push_back(piece);
        if matches!(self.gate, Gate::InData) {
            self.gate = Gate::Open;
        }
        self.advance();
    }

    pub(crate) const fn inbox_bytes(&self) -> usize {
        self.inbox_bytes
    }

    /// Whether more of the client's bytes are wanted now.
    #[must_use]
    pub fn wants_client(&self) -> bool {
        self.inbox_bytes < MAX_READ_AHEAD && !matches!(self.gate, Gate::Goodbye | Gate::Ended)
    }

    /// Whether the server's bytes may be taken now: not while a reply waits for its release.
    #[must_use]
    pub fn wants_server(&self) -> bool {
        let goes_on = !matches!(self.gate, Gate::Ended);
        goes_on && self.server.all_released() && self.withheld.is_none() && self.limits.stalled.is_none()
    }

    /// What is to be done next.
    pub fn action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether anything is to be done.
    #[must_use]
    pub fn has_actions(&self) -> bool {
        !self.actions.is_empty()
    }

    /// Bytes to be written to the server.
    pub const fn to_server(&mut self) -> &mut BytesMut {
        self.server.queue()
    }

    /// Bytes to be written to the client.
    pub const fn to_client(&mut self) -> &mut BytesMut {
        self.client.queue()
    }

    /// Takes a newer catalog.
    pub fn set_catalog(&mut self, catalog: Arc<Catalog>) {
        if !Arc::ptr_eq(&catalog, &self.catalog) {
            let same_path = self.catalog.has_same_schemas(&catalog);
            self.follows(&catalog);
            self.catalog_before = Some(std::mem::replace(&mut self.catalog, catalog));
            self.forget_catalog_before();
            self.catalogs = self.catalogs.saturating_add(1);
            if same_path {
                self.forget_facts();
            } else {
                // A schema that was not there, or not usable, may be now.
                self.forget_path();
            }
        }
    }

    /// What its temporary relations hold goes along where somebody else has given their columns other names.
    fn follows(&mut self, now: &Catalog) {
        if self.state.own_taints.is_empty() {
            return;
        }
        for (relation, flow) in self.state.own_taints.moved(&self.catalog, now) {
            let unknown = Flow { unknown: true, ..Flow::default() };
            let own = &mut self.own_state().own_taints;
            // Where there is no room, whatever the session has may hold anything.
            if own.add(relation, flow).is_err() {
                let _ = own.add(anywhere(), unknown);
            }
        }
    }

    /// Other rules hold, or the person is somebody else to them: that portals and cursors were let through before is no word
    /// of what may be read from now on. What goes on with them is decided on anew.
    pub fn rules_changed(&mut self) {
        self.rules = self.rules.saturating_add(1);
    }

    /// What names are resolved by now: for judging again what runs.
    #[must_use]
    pub fn resolves_by(&self) -> (&Arc<SessionState>, &Arc<Catalog>) {
        (&self.state, &self.catalog)
    }

    /// The same for this statement, if the server has read its text by something else.
    #[must_use]
    pub fn reads_otherwise(&self, pending: &Pending) -> Option<Arc<SessionState>> {
        pending.text().otherwise(&self.state).map(Arc::new)
    }

    /// What of the reply that is coming has gone to the client, and of which statement it is.
    #[must_use]
    pub fn under_way(&self) -> Option<(u64, Amount)> {
        let number = self.expect.front()?.owed.number()?;
        Some((number, Amount { rows: self.tally.rows, bytes: self.tally.bytes, ..Amount::NOTHING }))
    }

    /// The statement of the Query whose result is coming and has been described: from then on the server has locked all that it
    /// reads, if it is one statement. What it notices, it may say before.
    #[must_use]
    pub fn described(&self) -> Option<u64> {
        match self.expect.front().map(|entry| &entry.owed) {
            Some(Owed::Query { traces, number, .. }) if traces.described.get().is_some() => Some(*number),
            _ => None,
        }
    }

    /// Whether every reply that the server owes has come.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.expect.is_empty()
    }

    /// Whether more may come of a statement that was let through: it has still to be sent, a reply to it is outstanding, or a
    /// portal of it is open.
    #[must_use]
    pub fn is_open(&self, number: u64) -> bool {
        let owed = |entry: &Entry| entry.owed.number() == Some(number);
        self.park.has(number) || self.expect.iter().any(owed) || self.registry.has_portal_of(number)
    }

    /// How many statements of the message that the server is at it has completed, as far as it is heard.
    #[must_use]
    pub const fn completed(&self) -> usize {
        self.tally.completed
    }

    /// Whether the session may LISTEN: it has said so, or has run what may have.
    #[must_use]
    pub const fn may_listen(&self) -> bool {
        self.listens
    }

    /// Whether all that the server has not answered is that statement, closed by its Sync if it needs one: nothing that was sent
    /// before it can keep it from being done, and nothing was sent behind it.
    #[must_use]
    pub fn owes_only(&self, number: u64) -> bool {
        let (mut found, mut closed) = (false, false);
        for Entry { owed, .. } in &self.expect {
            let of_it = owed.number() == Some(number);
            if closed || !(of_it || owed.goes_with_ddl()) {
                return false;
            }
            (found, closed) = (found || of_it, owed.ends_with_ready());
        }
        found && closed
    }

    /// Whether a transaction was begun by a statement and is open, by the server's last word or since it was sent; whether what
    /// ends it is on its way is not looked at.
    #[must_use]
    pub const fn is_in_block(&self) -> bool {
        self.isolation.is_open(self.status)
    }

    /// Whether nothing of what was let through before can still run: every reply has come, no transaction is open, nor what
    /// becomes one at its Sync, and nothing waits to be sent.
    #[must_use]
    pub fn begins_anew(&self) -> bool {
        self.is_idle() && !self.segment_begun && self.status == b'I' && !self.park.has_passed()
    }

    /// Lets go of the catalog before the one in use, unless something that was judged by it may still show rows: it is large,
    /// and a session may do nothing for days.
    pub fn forget_catalog_before(&mut self) {
        if self.catalog_before.is_some()
            && self.registry.portals().next().is_none()
            && self.rests_in().is_some()
        {
            self.catalog_before = None;
        }
    }

    /// How long the server lets a transaction go on before it ends the session, as of when it was last asked.
    #[must_use]
    pub const fn transaction_timeout(&self) -> Option<Duration> {
        self.transaction_timeout
    }

    /// Whether nothing is under way on either side and no transaction is open.
    #[must_use]
    pub fn is_at_rest(&self) -> bool {
        self.rests_in() == Some(b'I')
    }

    /// The transaction status of the last ReadyForQuery, where nothing is under way on either side.
    #[must_use]
    pub fn rests_in(&self) -> Option<u8> {
        let nothing_came = self.inbox.is_empty() && self.park.is_empty() && !self.segment_begun;
        let rests = self.expect.is_empty() && nothing_came && matches!(self.gate, Gate::Open);
        rests.then_some(self.status)
    }

    /// Takes note of how often DDL of the database's sessions has been committed.
    pub const fn set_ddl(&mut self, committed: u64) {
        self.ddl = committed;
    }

    /// Takes what tables hold of labelled columns now.
    pub fn set_taints(&mut self, taints: Taints) {
        if !taints.is(&self.state.taints) {
            self.own_state().taints = taints;
            self.forget_facts();
        }
    }

    /// A statement is about to store this in temporary relations of this session.
    ///
    /// # Errors
    /// There is no room: the statement must not run.
    pub fn stores(&mut self, stored: Vec<(RelationName, Flow)>) -> Result<(), TooMany> {
        for (relation, flow) in stored {
            if self.own_state().own_taints.add(relation, flow)? {
                self.forget_facts();
            }
        }
        Ok(())
    }

    /// The load that [`Action::LoadCatalog`] asked for is done, and `catalog` its result.
    pub fn catalog_loaded(&mut self, change: u64, catalog: Arc<Catalog>) {
        self.set_catalog(catalog);
        self.catalog_seen = self.catalog_seen.max(change);
        self.note_altered();
        self.learned = self.learned.saturating_add(1);
        self.catalog_asked = self.catalog_asked.filter(|asked| *asked > change);
        self.forget_facts();
        if matches!(self.gate, Gate::AwaitingCatalog) {
            self.gate = Gate::Open;
            self.advance();
        }
    }

    /// The catalog could not be loaded: what depends on it stays unknown.
    pub fn catalog_failed(&mut self) {
        self.catalog_asked = None;
        if matches!(self.gate, Gate::AwaitingCatalog) {
            self.probe_failed = true;
            self.gate = Gate::Open;
            self.advance();
        }
    }

    /// Ends the session with an error that the client sees.
    pub fn end(&mut self, problem: &Problem, ending: Ending) {
        if matches!(self.gate, Gate::Ended) {
            return;
        }
        self.client.own(&problem.fatal_bytes());
        self.gate = Gate::Ended;
        // Nothing is sent any more, whatever would be decided.
        self.actions.retain(|action| !matches!(action, Action::Decide(_)));
        self.actions.push_back(Action::End(ending));
    }

    pub(crate) fn protocol_violation(&mut self, what: &str) {
        self.end(&Problem::fatal(SqlState::PROTOCOL_VIOLATION, what.to_owned()), Ending::Protocol);
    }

    pub(crate) fn next_piece(&mut self) -> Option<Piece> {
        let piece = self.inbox.pop_front()?;
        self.inbox_bytes = self.inbox_bytes.saturating_sub(piece.bytes().len());
        Some(piece)
    }

    pub(crate) fn owe(&mut self, owed: Owed) {
        let ends = owed.ends_with_ready();
        self.amid |= self.segment_begun && matches!(owed, Owed::Query { .. } | Owed::RefusedQuery(_));
        self.segment_begun = !ends;
        self.segment_prepares = ends || (self.segment_prepares && owed.only_prepares());
        self.owed_bytes = if self.expect.is_empty() { 0 } else { self.owed_bytes };
        self.owed_bytes = self.owed_bytes.saturating_add(owed.bytes());
        self.expect.push_back(Entry { owed, segment: self.segment, ddl: self.ddl });
    }

    pub(crate) fn take_subject(&mut self) -> Option<Subject> {
        match std::mem::replace(&mut self.gate, Gate::Open) {
            Gate::Deciding(subject) | Gate::Held(subject) => Some(subject),
            other => {
                self.gate = other;
                None
            }
        }
    }

    /// The server ignores everything up to Sync, and so does the gate.
    pub(crate) fn skip(&mut self) {
        self.skipping = true;
        self.leaving = false;
        self.exists = false;
        for number in self.park.clear() {
            self.server.never_sends(number);
        }
    }
}
