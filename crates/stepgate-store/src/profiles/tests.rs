//! Profiles are what the log says, however often it is read.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stepgate_policy::{
    Counted, Origin, Profile, Reach, RiskSettings, Scene, Signal, Teaching, VelocityLimit, observe,
};
use stepgate_record::{Event, LabelledColumn, Outcome, SessionOpened, Statement, StepupRequested};
use stepgate_testkit::FakeClock;
use stepgate_types::{
    Action, Actor, Certainty, Clock as _, Kind, RequestId, SessionId, SubjectKind, Timestamp, Use,
};

use super::Profiles;
use crate::testing::{options, until, vault};
use crate::{Log, LogOptions};

const MONDAY: i64 = 1_767_571_200;
const OFFICE: &str = "192.0.2.7";
const ELSEWHERE: &str = "198.51.100.9";
const HOUR: Duration = Duration::from_secs(3600);

struct Gate {
    clock: Arc<FakeClock>,
    log: Log,
    profiles: Profiles,
    sessions: u64,
    statements: u64,
}

impl Gate {
    fn new(dir: &Path) -> Self {
        let clock = Arc::new(FakeClock::at(Timestamp::from_micros((MONDAY + 8 * 3600) * 1_000_000)));
        Self::open(dir, clock)
    }

    fn open(dir: &Path, clock: Arc<FakeClock>) -> Self {
        let options = LogOptions { clock: Arc::clone(&clock) as _, vault: vault(1), ..options() };
        let (log, _) = Log::open(dir, options).unwrap();
        let profiles = Profiles::open(&log).unwrap();
        profiles.teach(Some(Teaching::default()), Arc::new(()));
        Self { clock, log, profiles, sessions: 0, statements: 0 }
    }

    /// Stops the gate and starts it again.
    fn again(self, dir: &Path) -> Self {
        let Self { clock, log, profiles, sessions, statements } = self;
        drop(profiles);
        log.close().unwrap();
        drop(log);
        Self { sessions, statements, ..Self::open(dir, clock) }
    }

    /// The same, and what was kept is not there any more.
    fn anew(self, dir: &Path) -> Self {
        let Self { clock, log, profiles, sessions, statements } = self;
        drop(profiles);
        log.close().unwrap();
        drop(log);
        std::fs::remove_file(dir.join("profiles")).unwrap();
        Self { sessions, statements, ..Self::open(dir, clock) }
    }

    /// Waits until everything was read.
    fn settle(&self) {
        until("all records to be read", || self.profiles.lag() == 0 && self.profiles.is_ready());
    }

    fn append(&self, events: Vec<Event>) {
        self.log.append_blocking(events, vec![]).unwrap();
    }

    fn opens(&mut self, person: &str, address: &str) -> SessionId {
        self.sessions += 1;
        let session = SessionId::from_bytes(u128::from(self.sessions).to_be_bytes());
        self.append(vec![Event::SessionOpened(Box::new(SessionOpened {
            session,
            person: person.into(),
            database: "shop".to_owned(),
            db_user: "analyst".to_owned(),
            address: address.into(),
            client: "Payroll of Dana 7".into(),
            tls: true,
            method: None,
            certificate_sha256: None,
            startup: Some("00000000000000aa".to_owned()),
            hello: Some("00000000000000bb".to_owned()),
            password: None,
        }))]);
        session
    }

    fn closes(&self, session: SessionId) {
        self.append(vec![Event::SessionClosed { session, reason: "terminate".to_owned() }]);
    }

    fn decided(&mut self, person: &str, session: SessionId, verdict: &str, table: &str) -> u64 {
        self.statements += 1;
        self.append(vec![decided(person, session, self.statements, verdict, table)]);
        self.statements
    }

    fn runs(&mut self, person: &str, session: SessionId, table: &str) {
        let statement = self.decided(person, session, "forward", table);
        let (sqlstate, rows, bytes, duration_us) = (None, 20, 2_000, 5);
        self.append(vec![Event::StatementCompleted {
            session,
            statement,
            sqlstate,
            rows,
            bytes,
            duration_us,
            suspended: false,
        }]);
    }

    /// Four weeks of dana's and lee's, from the office.
    fn works(&mut self) {
        for day in 0..28_u32 {
            for person in ["dana", "lee"].into_iter().filter(|_| day % 7 < 5) {
                let session = self.opens(person, OFFICE);
                for _ in 0..4 {
                    self.runs(person, session, "public.orders");
                    self.clock.advance(HOUR);
                }
                self.closes(session);
            }
            let past = u32::from(day % 7 < 5) * 8;
            self.clock.advance(HOUR * (24 - past));
        }
        self.settle();
    }

    fn profile(&self, person: &str) -> Profile {
        self.settle();
        (*self.profiles.of(&person.parse().unwrap()).now().unwrap()).clone()
    }

    fn fires(&self, person: &str, address: &str, table: &str) -> Vec<Signal> {
        let mut settings = RiskSettings::default();
        Signal::ALL.into_iter().for_each(|signal| settings.weigh(signal, 10));
        let (startup, hello) = (Some("00000000000000aa"), Some("00000000000000bb"));
        let origin: Origin =
            self.profiles.origin(address.parse().unwrap(), "Payroll of Dana 8", startup, hello);
        let scene = Scene {
            session: SessionId::from_bytes([0xff; 16]),
            origin: &origin,
            client: "Payroll of Dana 8",
            service: false,
            now: self.clock.now(),
        };
        let reach = Reach::new("shop", [table], ["email"], ["confidential"], true, Some(50));
        let seen = observe(&settings, &self.profile(person), &scene, &reach);
        seen.iter().filter(|seen| seen.fires).map(|seen| seen.signal).collect()
    }
}

fn decided(person: &str, session: SessionId, statement: u64, verdict: &str, table: &str) -> Event {
    Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "simple".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec![table.to_owned()],
        columns: vec![LabelledColumn {
            column: format!("{table}.email"),
            label: "email".to_owned(),
            class: "confidential".to_owned(),
            uses: vec![Use::Output],
        }],
        estimate: Some(50),
        fingerprint: "00".repeat(32),
        normalised: "SELECT".to_owned(),
        action: Action::Allow,
        verdict: verdict.to_owned(),
        policy_sha256: "ab".repeat(32),
        ..Statement::blank(session, statement, person.into())
    }))
}

fn requested(person: &str, session: SessionId, request: RequestId) -> Event {
    Event::StepupRequested(Box::new(StepupRequested {
        request,
        session,
        statement: 1,
        person: person.into(),
        database: "shop".to_owned(),
        approval: "self".to_owned(),
        itself: true,
        groups: vec![],
        count: 1,
        canonical_sha256: "ab".repeat(32),
        expires_us: 0,
        address: None,
        opened_by: None,
        until_us: None,
    }))
}

fn ended(request: RequestId, outcome: Outcome) -> Event {
    Event::StepupEnded { request, outcome, by: None, reason_hmac: None, reason: None }
}

#[test]
fn what_was_learned_as_it_happened_is_what_the_log_teaches_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.works();
    // In the middle of everything: a session, a statement and a request are open.
    let session = gate.opens("dana", ELSEWHERE);
    let statement = gate.decided("dana", session, "forward", "hr.salaries");
    let request = RequestId::from_bytes([1; 5]);
    gate.append(vec![requested("dana", session, request)]);
    gate.append(vec![Event::FactorFailed {
        person: "dana".into(),
        factor: "totp".to_owned(),
        reason: "wrong".to_owned(),
        request: Some(request),
    }]);
    let mut gate = gate.again(dir.path());
    gate.append(vec![ended(request, Outcome::Approved)]);
    let (sqlstate, rows, bytes, duration_us) = (None, 20, 2_000, 5);
    gate.append(vec![Event::StatementCompleted {
        session,
        statement,
        sqlstate,
        rows,
        bytes,
        duration_us,
        suspended: false,
    }]);
    let session = gate.opens("dana", ELSEWHERE);
    gate.runs("dana", session, "hr.salaries");
    let learned = ["dana", "lee"].map(|person| gate.profile(person));
    assert!(learned.iter().all(|profile| *profile != Profile::default()));
    assert_eq!(gate.fires("dana", ELSEWHERE, "hr.salaries"), [], "approved, and touched before");
    // Both with the end of that gate and the start of another.
    let again = gate.again(dir.path());
    let kept = ["dana", "lee"].map(|person| again.profile(person));
    let anew = again.anew(dir.path());
    let restarted = |profile: &Profile| {
        let mut profile = profile.clone();
        profile.learn(&Teaching::default(), anew.clock.now(), &stepgate_policy::Deed::Restarted);
        profile
    };
    assert_eq!(kept, learned.each_ref().map(restarted));
    assert_eq!(["dana", "lee"].map(|person| anew.profile(person)), kept);
}

#[test]
fn a_start_goes_on_where_profiles_were_kept() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.works();
    let before = gate.log.len();
    let gate = gate.again(dir.path());
    let taking = super::kept::load(&gate.profiles.0.shared).unwrap();
    assert!(taking.next() >= before, "{} of {before}", taking.next());
    // What is kept names nobody, and no address.
    let bytes = std::fs::read(dir.path().join("profiles")).unwrap();
    for needle in ["dana", OFFICE, "192.0.2", "Payroll", "orders"] {
        assert!(!bytes.windows(needle.len()).any(|window| window == needle.as_bytes()), "{needle}");
    }
}

#[test]
fn what_was_kept_and_changed_is_of_no_use_and_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.works();
    let gate = gate.again(dir.path());
    let (good, dana) = (std::fs::read(dir.path().join("profiles")).unwrap(), gate.profile("dana"));
    let step = good.len() / 40;
    for at in (0..good.len()).step_by(step) {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(dir.path().join("profiles"), &bad).unwrap();
        assert!(super::kept::load(&gate.profiles.0.shared).is_err(), "byte {at}");
    }
    for end in (0..good.len()).step_by(step) {
        std::fs::write(dir.path().join("profiles"), &good[..end]).unwrap();
        assert!(super::kept::load(&gate.profiles.0.shared).is_err(), "{end} bytes");
    }
    let gate = gate.again(dir.path());
    std::fs::write(dir.path().join("profiles"), &good[..good.len() - 1]).unwrap();
    assert_eq!(gate.again(dir.path()).profile("dana"), dana);
}

#[test]
fn held_denied_and_unenforced_statements_of_somebody_with_the_password_teach_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.works();
    let before = gate.fires("dana", ELSEWHERE, "hr.salaries");
    assert!(before.contains(&Signal::NewNetwork) && before.contains(&Signal::FirstSeenTable), "{before:?}");
    for night in 0..20 {
        let session = gate.opens("dana", ELSEWHERE);
        for number in 0..25_u8 {
            let verdict = ["hold", "defer", "deny", "monitor", "overtaken"][usize::from(number) % 5];
            gate.decided("dana", session, verdict, "hr.salaries");
            let request = RequestId::from_bytes([night, number, 0, 0, 2]);
            let outcome = [Outcome::Denied, Outcome::Expired, Outcome::Cancelled, Outcome::Withdrawn];
            let outcome = outcome[usize::from(number) % 4];
            gate.append(vec![requested("dana", session, request), ended(request, outcome)]);
        }
        gate.closes(session);
        gate.clock.advance(HOUR * 24);
    }
    let after = gate.fires("dana", ELSEWHERE, "hr.salaries");
    assert!(before.iter().all(|signal| after.contains(signal)), "{after:?}");
    // Nor does that of anybody else.
    let session = gate.opens("lee", OFFICE);
    gate.runs("lee", session, "hr.salaries");
    assert!(gate.fires("dana", OFFICE, "hr.salaries").contains(&Signal::FirstSeenTable));
}

#[test]
fn who_was_erased_has_no_profile_and_an_erased_address_teaches_nothing_anew() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.works();
    let shred = |gate: &Gate, kind, value| {
        let commit = gate.log.subjects().commit_of(kind, value).unwrap();
        let what = gate.log.naming(commit).unwrap();
        gate.log.shred(&what, true, &Actor::Operator(None)).unwrap();
    };
    let lee = gate.profiles.of(&"lee".parse().unwrap());
    assert_ne!(*lee.now().unwrap(), Profile::default());
    shred(&gate, SubjectKind::Person, "lee");
    gate.settle();
    assert_eq!(*lee.now().unwrap(), Profile::default());
    assert_ne!(gate.profile("dana"), Profile::default());
    assert_eq!(gate.fires("dana", OFFICE, "public.orders"), []);
    let gate = gate.again(dir.path());
    gate.settle();
    assert_eq!(gate.profiles.0.shared.people.read().unwrap().len(), 1);
    shred(&gate, SubjectKind::Address, OFFICE);
    let gate = gate.again(dir.path());
    assert_eq!(
        gate.fires("dana", OFFICE, "public.orders"),
        [],
        "known as a keyed hash, until it is forgotten"
    );
    let gate = gate.anew(dir.path());
    assert!(gate.fires("dana", OFFICE, "public.orders").contains(&Signal::NewNetwork));
}

/// Rows of dana's within the last hour.
fn much(gate: &Gate, session: SessionId, profile: &Profile, most: u64) -> bool {
    let mut settings = RiskSettings::default();
    settings.weigh(Signal::Velocity, 10);
    settings.velocity = vec![VelocityLimit::new(Counted::Rows, None, most, HOUR)];
    let origin = gate.profiles.origin(OFFICE.parse().unwrap(), "psql", None, None);
    let now = gate.clock.now();
    let scene = Scene { session, origin: &origin, client: "psql", service: false, now };
    observe(&settings, profile, &scene, &Reach::default()).fires(Signal::Velocity)
}

/// Whoever hangs up in the middle of a result has what was delivered until then.
#[test]
fn what_was_delivered_of_a_statement_without_an_end_counts() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    let session = gate.opens("dana", OFFICE);
    let leaves = |gate: &mut Gate, rows| {
        let statement = gate.decided("dana", session, "forward", "public.orders");
        let bytes = rows;
        gate.append(vec![Event::StatementOutcomeUnknown { session, statement, rows, bytes }]);
    };
    // Of old records, and where the gate itself ended, nothing is known.
    leaves(&mut gate, None);
    leaves(&mut gate, Some(300));
    leaves(&mut gate, Some(100));
    let learned = gate.profile("dana");
    assert!(much(&gate, session, &learned, 400) && !much(&gate, session, &learned, 401));
    let gate = gate.anew(dir.path());
    let anew = gate.profile("dana");
    assert!(much(&gate, session, &anew, 400) && !much(&gate, session, &anew, 401));
}

/// What profiles said before is of long ago once nobody has asked for a while: whoever asks again waits.
#[test]
fn who_asks_again_is_told_nothing_until_all_was_read() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    let session = gate.opens("dana", OFFICE);
    gate.runs("dana", session, "public.orders");
    let dana = gate.profiles.of(&"dana".parse().unwrap());
    gate.settle();
    let before = dana.now().unwrap();
    gate.profiles.teach(None, Arc::new(()));
    (0..20).for_each(|_| gate.runs("dana", session, "hr.salaries"));
    assert!(!much(&gate, session, &before, 400));
    gate.profiles.teach(Some(Teaching::default()), Arc::new(()));
    for _ in 0..2_000 {
        match dana.now() {
            Some(profile) => return assert!(much(&gate, session, &profile, 400), "told of what was before"),
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    panic!("{} records are not read", gate.profiles.lag());
}

/// Or it would spin.
#[test]
fn while_nobody_asks_there_is_nothing_to_do_whatever_comes() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.settle();
    let next = gate.log.len();
    gate.profiles.teach(None, Arc::new(()));
    gate.opens("dana", OFFICE);
    assert!(gate.log.len() > next && !gate.profiles.0.shared.has_work(next));
    gate.profiles.teach(Some(Teaching::default()), Arc::new(()));
    assert!(gate.profiles.0.shared.has_work(next));
    gate.settle();
    assert!(!gate.profiles.0.shared.has_work(gate.log.len()));
}

#[test]
fn nothing_is_read_where_nobody_asks_and_all_is_once_somebody_does() {
    let dir = tempfile::tempdir().unwrap();
    let mut gate = Gate::new(dir.path());
    gate.settle();
    gate.profiles.teach(None, Arc::new(()));
    let session = gate.opens("dana", OFFICE);
    gate.runs("dana", session, "public.orders");
    let (end, idle) = (gate.log.len(), Profiles::open(&gate.log).unwrap());
    // Its thread has ended then, and has kept what it had read.
    gate.profiles = idle;
    let kept = super::kept::load(&gate.profiles.0.shared).unwrap();
    assert!(kept.next() < end, "{} of {end}", kept.next());
    gate.profiles.teach(Some(Teaching::default()), Arc::new(()));
    assert_ne!(gate.profile("dana"), Profile::default());
}
