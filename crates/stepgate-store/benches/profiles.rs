//! How long it takes to make profiles of a log, and to take up those that were kept: `cargo bench -p stepgate-store --bench
//! profiles`. `STEPGATE_BENCH_RECORDS` (a million) makes it fewer.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use common::{fail, open};
use stepgate_policy::Teaching;
use stepgate_record::{Event, LabelledColumn, SessionOpened, Statement};
use stepgate_store::{Log, Profiles};
use stepgate_types::{Action, Certainty, Kind, SessionId, Use};

/// Written together.
const BATCH: u64 = 1_000;

/// Each has one session.
const PEOPLE: u64 = 100;

fn session(person: u64) -> SessionId {
    SessionId::from_bytes(u128::from(person).to_be_bytes())
}

fn opened(person: u64) -> Event {
    Event::SessionOpened(Box::new(SessionOpened {
        session: session(person),
        person: format!("person{person}").into(),
        database: "shop".to_owned(),
        db_user: "analyst".to_owned(),
        address: format!("192.0.{}.7", person % 250).into(),
        client: "psql".into(),
        tls: true,
        method: None,
        certificate_sha256: None,
        startup: Some("00000000000000aa".to_owned()),
        hello: None,
        password: None,
    }))
}

fn event(n: u64) -> Event {
    let (session, statement) = (session(n / 2 % PEOPLE), n / 2);
    if !n.is_multiple_of(2) {
        let (sqlstate, rows, bytes, duration_us) = (None, n % 100, 23 * (n % 100), 77);
        return Event::StatementCompleted {
            session,
            statement,
            sqlstate,
            rows,
            bytes,
            duration_us,
            suspended: false,
        };
    }
    Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec![format!("public.t{}", n % 50), "public.orders".to_owned()],
        columns: vec![LabelledColumn {
            column: "public.orders.email".to_owned(),
            label: "email".to_owned(),
            class: "confidential".to_owned(),
            uses: vec![Use::Output],
        }],
        estimate: Some(n % 100),
        fingerprint: "00".repeat(32),
        normalised: "SELECT email FROM public.orders WHERE id = ?".to_owned(),
        action: Action::Allow,
        verdict: "forward".to_owned(),
        policy_sha256: "ab".repeat(32),
        db_user: "analyst".to_owned(),
        ..Statement::blank(session, statement, format!("person{}", n / 2 % PEOPLE).into())
    }))
}

/// Opens profiles, waits until they know all, and says how long that took.
fn learn(log: &Log, what: &str) {
    let began = Instant::now();
    let profiles = Profiles::open(log).unwrap_or_else(|error| fail(&error));
    profiles.teach(Some(Teaching::default()), Arc::new(()));
    while !profiles.is_ready() || profiles.lag() > 0 {
        thread::sleep(Duration::from_millis(1));
    }
    println!("{what}: {} records, {:.3} s", log.len(), began.elapsed().as_secs_f64());
}

fn main() {
    let records = env::var("STEPGATE_BENCH_RECORDS").ok().and_then(|text| text.parse().ok());
    let records: u64 = records.unwrap_or(1_000_000);
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap_or_else(|error| fail(&error));
    let log = open(dir.path(), true);
    let append = |events| log.append_blocking(events, vec![]).map(drop).unwrap_or_else(|error| fail(&error));
    append((0..PEOPLE).map(opened).collect());
    (0..records).step_by(1_000).for_each(|first| append((first..first + BATCH).map(event).collect()));
    learn(&log, "made of the log");
    learn(&log, "taken up");
    let kept = fs::metadata(dir.path().join("profiles")).map_or(0, |meta| meta.len());
    println!("{kept} bytes kept of {PEOPLE} people");
}
