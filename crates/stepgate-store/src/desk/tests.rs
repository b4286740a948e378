//! The desk over a real log: every test reads what is on disk.

mod aheads;
mod answers;
mod approving;
mod asks;
mod bombing;
mod budgets;
mod deferrals;
mod delegations;
mod ends;
mod enrolments;
mod factors;
mod glasses;
mod logins;
mod policies;
mod removals;
mod restarts;
mod rights;
mod sealed;
mod shows;
mod switches;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepgate_approval::{Ask, Because, Dialect, Held, Mode, Purpose, Scope, Secret, Terms, Wanted};
use stepgate_record::Event;
use stepgate_testkit::{Authenticator, FakeClock, FakeEntropy};
use stepgate_types::{
    Action, Actor, Clock, GroupName, Kind, Label, Limit, PersonName, RelationName, RequestId, SessionId,
    StatementId, Strength, Use,
};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::{Desk, Waiting};
use crate::{Log, LogOptions, NewPerson, People, Vault};

/// Where people sit.
const HOME: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Where an attacker sits.
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 66));

/// One gate's store, with people who have authenticators: dana and eve are analysts, amir and omar own
/// data, etl is a service, newt has no authenticator.
struct World {
    clock: Arc<FakeClock>,
    log: Log,
    people: People,
    desk: Desk,
    dir: TempDir,
    /// Open requests outlive it.
    sealed: bool,
}

fn name(text: &str) -> PersonName {
    text.parse().unwrap()
}

fn groups(names: &[&str]) -> Vec<GroupName> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

/// Everybody's secret is made of their name.
fn secret(person: &str) -> Secret {
    let mut bytes = [0; 20];
    bytes.iter_mut().zip(person.bytes().cycle()).for_each(|(to, from)| *to = from);
    Secret::from_bytes(&bytes).unwrap()
}

fn open(dir: &Path, clock: &Arc<FakeClock>, seed: u64, sealed: bool) -> (Log, People, Desk) {
    open_keeping(dir, clock, seed, (sealed, true))
}

/// Where open requests are `kept`, and whether that is so still.
fn open_keeping(
    dir: &Path,
    clock: &Arc<FakeClock>,
    seed: u64,
    (sealed, keeps): (bool, bool),
) -> (Log, People, Desk) {
    let entropy = Arc::new(FakeEntropy::seeded(seed));
    let vault = Vault::new(&Zeroizing::new([7; 32]), entropy.clone());
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: clock.clone(),
        entropy: entropy.clone(),
        vault: vault.clone(),
    };
    let (log, _) = Log::open(dir, options).unwrap();
    let people = People::open(&log, &vault).unwrap();
    let kept = dir.join("requests");
    let kept = sealed.then_some(kept.as_path());
    let desk = Desk::open_with(
        log.clone(),
        people.clone(),
        people.factors(),
        vault,
        (clock.clone(), entropy),
        kept,
        keeps,
    )
    .unwrap();
    (log, people, desk)
}

impl World {
    async fn new() -> Self {
        Self::with(false).await
    }

    async fn with(sealed: bool) -> Self {
        let (dir, clock) = (TempDir::new().unwrap(), Arc::new(FakeClock::default()));
        let (log, people, desk) = open(dir.path(), &clock, 1, sealed);
        let world = Self { clock, log, people, desk, dir, sealed };
        for (person, group, service) in [
            ("dana", "analysts", false),
            ("eve", "analysts", false),
            ("amir", "data-owners", false),
            ("omar", "data-owners", false),
            ("newt", "analysts", false),
            ("etl", "services", true),
        ] {
            let password = "correct horse battery staple";
            let new = NewPerson { name: name(person), groups: groups(&[group]), service, password };
            world.people.add(new, None).await.unwrap();
            if !matches!(person, "newt" | "etl") {
                let secret = secret(person);
                world.people.factors().enrol_totp(&name(person), secret.as_bytes(), None).await.unwrap();
            }
        }
        world
    }

    /// The gate as it comes up again after `kill -9` at this very moment: from a copy of what is on disk.
    fn killed(&self) -> Self {
        let dir = TempDir::new().unwrap();
        copy(self.dir.path(), dir.path());
        let clock = Arc::new(FakeClock::at(self.clock.now()));
        let (log, people, desk) = open(dir.path(), &clock, 2, self.sealed);
        Self { clock, log, people, desk, dir, sealed: self.sealed }
    }

    fn code(&self, person: &str) -> String {
        let uri = secret(person).otpauth_uri(&name(person));
        Authenticator::enrol(&uri).unwrap().code_at(self.clock.now().unix_seconds())
    }

    /// Until the authenticator shows the next code.
    fn next_step(&self) {
        self.clock.advance(Duration::from_secs(30));
    }

    /// A step-up of this person's own, for `select * from customers limit 5`.
    fn step_up(&self, person: &str, number: u64) -> Ask {
        let bytes = u8::try_from(number).unwrap();
        Ask {
            id: RequestId::from_bytes([bytes; 5]),
            statement: StatementId { session: SessionId::from_bytes([bytes; 16]), number },
            person: name(person),
            db_user: "analyst".to_owned(),
            address: HOME,
            client: "psql".to_owned(),
            database: "shop".to_owned(),
            kinds: BTreeSet::from([Kind::Select]),
            uses: BTreeSet::from([Use::Output]),
            relations: BTreeSet::from([RelationName::new("public", "customers")]),
            objects: BTreeSet::from(["c0ffee".to_owned()]),
            labels: BTreeSet::from([Label::new("ssn")]),
            class_rank: 3,
            output_rank: 3,
            exactly_known: true,
            has_sink: false,
            action: Action::StepUp,
            mode: Mode::Hold,
            limit: Limit::NONE,
            rules: vec!["restricted-read".to_owned()],
            summary: "Reads public.customers.ssn (restricted).".to_owned(),
            policy_sha256: "ab".repeat(32),
            terms: Terms {
                approval: "self".to_owned(),
                itself: true,
                groups: BTreeSet::new(),
                count: 1,
                strength: Strength::Standard,
                reason_required: false,
                remember: Some(Duration::from_secs(900)),
                scope: Scope { client: true, network: true, session: false, labels: false },
                sink: false,
                escalate: None,
            },
            opened: self.clock.now(),
            expires: self.clock.now().plus(Duration::from_secs(300)),
            ahead: None,
            because: Because::default(),
        }
    }

    /// The same for `count` of data-owners to approve, once.
    fn approval(&self, person: &str, number: u64, count: u32) -> Ask {
        let mut ask = self.step_up(person, number);
        ask.action = Action::Approve;
        ask.terms.approval = "four-eyes".to_owned();
        ask.terms.itself = false;
        ask.terms.groups = groups(&["data-owners"]).into_iter().collect();
        ask.terms.count = count;
        ask.terms.remember = None;
        ask
    }

    async fn ask(&self, ask: Ask) -> Waiting {
        self.desk.ask(ask, held("select * from customers limit 5")).await.unwrap()
    }

    /// Every event on disk, with people by name.
    fn events(&self) -> Vec<Event> {
        let mut events = self.recorded();
        events.iter_mut().for_each(|event| event.open(self.log.subjects()));
        events
    }

    /// Every event as it is on disk.
    fn recorded(&self) -> Vec<Event> {
        let mut events = Vec::new();
        self.log.replay(0, &mut |_, record| events.push(record.event.clone())).unwrap();
        events
    }

    fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events().iter().filter(|event| is(event)).count()
    }

    /// How requests ended, in order, by the log.
    fn ends(&self) -> Vec<&'static str> {
        let ends = self.events().into_iter().filter_map(|event| match event {
            Event::StepupEnded { outcome, .. } => Some(outcome.as_str()),
            _ => None,
        });
        ends.collect()
    }

    /// Whether a grant covers the later statement of a session of this person's.
    fn covers(&self, person: &str) -> bool {
        let wanted = Wanted::from(&self.step_up(person, 99));
        self.desk.covering_grant(&wanted).is_some()
    }
}

fn held(sql: &str) -> Held {
    Held {
        sql: sql.as_bytes().to_vec(),
        behind: Vec::new(),
        parameters: Vec::new(),
        formats: Vec::new(),
        types: Vec::new(),
        dialect: Dialect::default(),
    }
}

/// Copies what the log has written so far. Nothing stops meanwhile: what the gate writes last is copied first
/// (checkpoints are signed after their records, sled gets what lies in the journal), and what is renamed away is not
/// there to be copied.
fn copy(from: &Path, to: &Path) {
    let mut entries: Vec<_> = std::fs::read_dir(from).unwrap().map(Result::unwrap).collect();
    let order = ["checkpoints", "beside", "records", "journal"];
    entries.sort_by_key(|entry| order.iter().position(|name| entry.file_name() == *name));
    for entry in entries {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else if let Err(error) = std::fs::copy(entry.path(), target) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}");
        }
    }
}
