//! What somebody has done before: written into the log of a gate that has not been started yet, by a clock of those days.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use stepgate_record::{Event, SessionOpened, Statement};
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_testkit::FakeClock;
use stepgate_types::{Action, Certainty, Clock as _, Entropy, Kind, PersonName, SessionId, Timestamp};
use zeroize::Zeroizing;

use crate::support::World;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR: Duration = Duration::from_secs(3_600);

/// What somebody does each day.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Habit {
    pub(crate) person: &'static str,
    pub(crate) address: &'static str,
    pub(crate) client: &'static str,
    pub(crate) tables: &'static [&'static str],
    /// Rows that each statement delivers.
    pub(crate) rows: u64,
    /// For so many days …
    pub(crate) days: u32,
    /// … which ended so many days ago, …
    pub(crate) ended: u32,
    /// … so many hours after the present time of day.
    pub(crate) later: u32,
}

/// Dana has worked here by psql for twenty days, on orders and products.
pub(crate) const DANA: Habit = Habit {
    person: "dana",
    address: "127.0.0.1",
    client: "psql",
    tables: &["public.orders", "public.products"],
    rows: 10,
    days: 20,
    ended: 1,
    later: 0,
};

struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        getrandom::fill(buffer).map_err(std::io::Error::other)
    }
}

/// Writes it down.
pub(crate) fn plant(world: &World, habits: &[Habit]) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let longest = habits.iter().map(|habit| habit.days + habit.ended).max().unwrap();
    let begin = now.checked_sub(longest * DAY).unwrap();
    let clock = Arc::new(FakeClock::at(Timestamp::from_micros(i64::try_from(begin.as_micros()).unwrap())));
    let (log, runtime) = open(world, clock.clone());
    for day in 0..longest {
        let left = longest - day;
        let is_then = |habit: &&Habit| left > habit.ended && left <= habit.ended + habit.days;
        let mut todays: Vec<_> = (0..).zip(habits).filter(|(_, habit)| is_then(habit)).collect();
        todays.sort_by_key(|(_, habit)| habit.later);
        for (number, habit) in todays {
            advance_to(&clock, begin + day * DAY + habit.later * HOUR);
            let mut session = [0; 16];
            session[0] = number;
            session[1..5].copy_from_slice(&day.to_be_bytes());
            for event in a_day(habit, SessionId::from_bytes(session)) {
                clock.advance(Duration::from_secs(1));
                runtime.block_on(log.append(vec![event], Vec::new())).unwrap();
            }
        }
        advance_to(&clock, begin + (day + 1) * DAY);
    }
    log.close().unwrap();
}

/// Since the epoch; not back, where it is later already.
fn advance_to(clock: &FakeClock, then: Duration) {
    let now = Duration::from_micros(u64::try_from(clock.now().micros()).unwrap());
    clock.advance(then.saturating_sub(now));
}

/// Writes down one day of it, in few writes.
pub(crate) fn plant_at_once(world: &World, habit: &Habit) {
    plant_events(world, &a_day(habit, SessionId::from_bytes([0xee; 16])));
}

/// Writes down what has just happened.
pub(crate) fn plant_events(world: &World, events: &[Event]) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Timestamp::from_micros(i64::try_from(now.as_micros()).unwrap());
    let (log, runtime) = open(world, Arc::new(FakeClock::at(now)));
    for some in events.chunks(500) {
        runtime.block_on(log.append(some.to_vec(), Vec::new())).unwrap();
    }
    log.close().unwrap();
}

/// The gate's log, and what it takes to wait for it.
fn open(world: &World, clock: Arc<FakeClock>) -> (Log, tokio::runtime::Runtime) {
    let hex = std::fs::read_to_string(world.gate.directory().join("secrets/master.key")).unwrap();
    let key: [u8; 32] = data_encoding::HEXLOWER.decode(hex.trim().as_bytes()).unwrap().try_into().unwrap();
    let vault = Vault::new(&Zeroizing::new(key), Arc::new(Random));
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock,
        entropy: Arc::new(Random),
        vault,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    (Log::open(&world.gate.data(), options).unwrap().0, runtime)
}

fn a_day(habit: &Habit, session: SessionId) -> Vec<Event> {
    let person: PersonName = habit.person.parse().unwrap();
    let mut events = vec![Event::SessionOpened(Box::new(SessionOpened {
        session,
        person: (&person).into(),
        database: "shop".to_owned(),
        db_user: "stepgate_analyst".to_owned(),
        address: habit.address.into(),
        client: habit.client.into(),
        tls: true,
        method: None,
        certificate_sha256: None,
        startup: None,
        hello: None,
        password: None,
    }))];
    for (number, table) in (1..).zip(habit.tables) {
        events.push(Event::StatementDecided(Box::new(Statement {
            database: "shop".to_owned(),
            protocol: "simple".to_owned(),
            kinds: vec![Kind::Select],
            runs: None,
            certainty: Certainty::Exact,
            relations: vec![(*table).to_owned()],
            // By the catalog, whatever the condition: an upper bound.
            estimate: Some(5_000),
            action: Action::Allow,
            verdict: "forward".to_owned(),
            db_user: "stepgate_analyst".to_owned(),
            ..Statement::blank(session, number, (&person).into())
        })));
        events.push(Event::StatementCompleted {
            session,
            statement: number,
            sqlstate: None,
            rows: habit.rows,
            bytes: habit.rows * 40,
            duration_us: 900,
            suspended: false,
        });
    }
    events.push(Event::SessionClosed { session, reason: "terminate".to_owned() });
    events
}
