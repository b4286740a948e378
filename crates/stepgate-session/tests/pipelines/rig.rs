//! A session between random frames and the small PostgreSQL, moved on in random order.

use bytes::Bytes;
use stepgate_record::Seal as _;
use stepgate_session::{Action, Pass, Session, Setup};
use stepgate_types::{Certainty, SqlState};
use stepgate_wire::{Cutter, Problem, Side};

use super::server::Server;
use super::support::{ID, Sealed, catalog_with, find, statement};

/// Deterministic choices (xorshift).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from((self.0 >> 11) % count.max(1) as u64).unwrap()
    }
}

/// What people, policy or a cancel say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opinion {
    Pass,
    Hold,
    HoldAndRefuse,
    Refuse,
    /// Nobody knows what it is.
    Unknown,
}

/// What came of a whole run.
#[derive(Default)]
pub(crate) struct Outcome {
    /// What the client got, without what is the gate's own.
    pub(crate) client: Vec<Bytes>,
    /// What reached the server, frame by frame.
    pub(crate) server: Vec<Bytes>,
    pub(crate) ran: Vec<String>,
    pub(crate) unknown: usize,
    pub(crate) passed: usize,
    pub(crate) held: usize,
    pub(crate) ended: bool,
    /// The gate has had all that it waits for.
    pub(crate) idle: bool,
    pub(crate) dead: bool,
    /// At what the server's timeout struck.
    pub(crate) struck: Vec<Vec<u8>>,
}

struct Rig {
    random: Random,
    /// The client waits for what it is owed before it binds anything, for a while.
    patient: bool,
    session: Session,
    client: Cutter,
    server_in: Cutter,
    server_out: Cutter,
    server: Server,
    /// Undecided, unreleased, and the catalogs that are asked for.
    held: Option<(u64, bool)>,
    releases: Vec<u64>,
    loads: Vec<u64>,
    told: Cutter,
    outcome: Outcome,
}

pub(crate) fn play(frames: &[Vec<u8>], seed: u64) -> Outcome {
    let parameters = [("standard_conforming_strings", "on"), ("client_encoding", "UTF8")];
    let session = Session::new(Setup {
        pid: 4_711,
        id: ID,
        catalog: catalog_with(&[], &["deny", "hold", "holdno", "slow"]),
        parameters: parameters.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
        settings: Vec::new(),
        secret: [1; 32],
    });
    let mut rig = Rig {
        random: Random(seed | 1),
        patient: seed & 2 == 0,
        session,
        client: Cutter::client(),
        server_in: Cutter::new(Side::Client, b""),
        server_out: Cutter::server(),
        server: Server::new(|_| false),
        held: None,
        releases: Vec::new(),
        loads: Vec::new(),
        told: Cutter::new(Side::Server, b""),
        outcome: Outcome::default(),
    };
    rig.run(&frames.concat());
    rig.outcome
}

impl Rig {
    fn run(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        let mut idle = 0;
        // Everything that can happen happens sooner or later; nothing may keep happening.
        for _ in 0..200_000 {
            let moved = match self.random.below(6) {
                0 | 1 => self.client_sends(&mut rest),
                2 => self.server_hears(),
                3 => self.server_speaks(),
                4 => self.act(),
                _ => self.outside(),
            };
            self.collect();
            idle = if moved { 0 } else { idle + 1 };
            if idle > 1_000 {
                self.outcome.ran = std::mem::take(&mut self.server.ran);
                self.outcome.dead = self.server.dead;
                self.outcome.idle = self.session.is_idle();
                self.outcome.struck = std::mem::take(&mut self.server.struck);
                return;
            }
        }
        panic!("it never comes to rest");
    }

    fn client_sends(&mut self, rest: &mut &[u8]) -> bool {
        // Many clients wait for the answer before they execute the next.
        let next = self.client.buffer().first();
        let waits = self.patient && matches!(next, Some(b'B' | b'Q')) && !self.session.is_idle();
        if waits && self.random.below(500) != 0 {
            return true;
        }
        if self.session.wants_client()
            && let Ok(Some(piece)) = self.client.next()
        {
            self.session.on_client(piece);
            return true;
        }
        let most = [40, 400][self.random.below(2)];
        let (now, later) = rest.split_at(rest.len().min(1 + self.random.below(most)));
        *rest = later;
        self.client.push(now);
        !now.is_empty()
    }

    /// What is on its way to the server arrives; it must be whole frames, but for the last.
    fn server_hears(&mut self) -> bool {
        let queue = self.session.to_server();
        let some = queue.len().min(1 + self.random.below(60));
        let now = queue.split_to(some);
        self.server_in.push(&now);
        while let Some(piece) = self.server_in.next().expect("the server could not read on") {
            self.outcome.server.push(piece.bytes().clone());
            self.server.take(piece.bytes());
        }
        !now.is_empty()
    }

    fn server_speaks(&mut self) -> bool {
        if self.session.wants_server()
            && let Some(piece) = self.server_out.next().unwrap()
        {
            self.session.on_server(&piece);
            return true;
        }
        let some = self.server.sent.len().min(1 + self.random.below(60));
        let now: Vec<u8> = self.server.sent.drain(..some).collect();
        self.server_out.push(&now);
        !now.is_empty()
    }

    fn act(&mut self) -> bool {
        let Some(action) = self.session.action() else { return false };
        match action {
            Action::Decide(pending) => {
                assert!(self.held.is_none(), "one at a time");
                let number = pending.number;
                let reads = |name: &str| {
                    pending.facts.iter().any(|it| it.relations.iter().any(|relation| relation.name == *name))
                };
                let unknown = pending.facts.iter().any(|it| it.certainty == Certainty::Unknown);
                let opinion = match () {
                    // The server refuses it unseen.
                    () if pending.aborted => Opinion::Pass,
                    () if reads("deny") => Opinion::Refuse,
                    () if unknown => Opinion::Unknown,
                    () if reads("holdno") => Opinion::HoldAndRefuse,
                    () if reads("hold") => Opinion::Hold,
                    () => Opinion::Pass,
                };
                match opinion {
                    Opinion::Pass => self.pass(number),
                    Opinion::Hold | Opinion::HoldAndRefuse => {
                        self.outcome.held += 1;
                        self.session.hold(&Problem::notice("held"));
                        self.held = Some((number, opinion == Opinion::Hold));
                    }
                    Opinion::Refuse => self.refuse(),
                    Opinion::Unknown => {
                        self.outcome.unknown += 1;
                        self.refuse();
                    }
                }
            }
            Action::Withdraw { number } => {
                assert_eq!(self.held.take().map(|(held, _)| held), Some(number), "withdrawn, and not held");
            }
            Action::LoadCatalog { change } => self.loads.push(change),
            Action::End(_) | Action::Goodbye => self.outcome.ended = true,
            Action::ShowsMore { .. } => panic!("nothing here has an origin"),
            Action::Threshold { .. } | Action::LimitsOver => panic!("nothing here has a limit"),
            Action::NotParsed { .. } | Action::Completed { .. } | Action::Subjects { .. } => {}
        }
        true
    }

    fn pass(&mut self, number: u64) {
        self.outcome.passed += 1;
        let pass = if self.random.below(2) == 0 {
            Pass::Permit(Sealed.permit(statement(number), 0).unwrap())
        } else {
            self.releases.push(number);
            Pass::Ticket(Sealed.ticket(statement(number), 0).unwrap())
        };
        self.session.pass(pass).expect("what was asked about waits");
    }

    fn refuse(&mut self) {
        self.session.refuse(&Problem::error(SqlState::INSUFFICIENT_PRIVILEGE, "no"));
    }

    /// What comes neither from the client nor from the server.
    fn outside(&mut self) -> bool {
        if !self.releases.is_empty() {
            let number = self.releases.remove(0);
            self.session.release(Sealed.release(statement(number), 0).unwrap()).expect("it has a ticket");
            return true;
        }
        if !self.loads.is_empty() {
            let change = self.loads.remove(0);
            self.session.catalog_loaded(change, catalog_with(&[], &["deny", "hold", "holdno", "slow"]));
            return true;
        }
        let Some((number, passes)) = self.held else { return false };
        if self.session.held().is_none() {
            // It was withdrawn, and the action is still to come.
            return false;
        }
        match self.random.below(4) {
            0 if passes => {
                self.held = None;
                self.pass(number);
            }
            0 => {
                self.held = None;
                self.refuse();
            }
            1 => self.session.keep_alive(),
            _ => return false,
        }
        true
    }

    /// What has reached the client.
    fn collect(&mut self) {
        let told = self.session.to_client().split();
        self.told.push(&told);
        while let Some(piece) = self.told.next().expect("the client could not read on") {
            let frame = piece.bytes();
            let own = find(frame, b"Mstepgate: held") || frame[0] == b'S';
            if !own {
                self.outcome.client.push(frame.clone());
            }
        }
        assert!(self.session.to_server().len() < 4 << 20, "unbounded");
    }
}
