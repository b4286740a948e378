//! What is killed.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, SystemTime};

use stepgate_record::{Event, MAX_KEYS};
use stepgate_types::{Actor, Clock, Entropy, SessionId, SubjectKind, Timestamp};
use zeroize::Zeroizing;

use super::{DIR, ROUND};
use crate::{Change, Log, LogOptions, Shredding, Side, Vault};

/// So many records a segment: seals, indexes and deletions come many times in each life.
const SEGMENT: u64 = 32;

/// Records are deleted once they are older.
const KEEP: Duration = Duration::from_millis(1000);

/// Each writer does something besides once in so many of its records.
const ROTATES: u64 = 40;
const SHREDS: u64 = 10;
const PRUNES: u64 = 6;
const BACKS_UP: u64 = 14;

/// The real one: what is old must be so in the next life, too.
struct Wall;

impl Clock for Wall {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap())
    }

    fn monotonic(&self) -> Duration {
        SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
    }
}

/// The system's: a key that replaces another must be another one, in the next life, too.
struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) -> std::io::Result<()> {
        File::open("/dev/urandom")?.read_exact(buffer)
    }
}

pub(super) fn options() -> LogOptions {
    LogOptions {
        ordinary_durable: true,
        version: "crash".to_owned(),
        clock: Arc::new(Wall),
        entropy: Arc::new(Random),
        vault: Vault::new(&Zeroizing::new([1; 32]), Arc::new(Random)),
    }
}

pub(super) fn open(dir: &Path) -> Log {
    let log = Log::open_with_segments(dir, options(), SEGMENT).unwrap().0;
    log.shared().seals.store(true, Ordering::Release);
    log
}

/// Which statement a writer's `n`-th is, in a round.
pub(super) const fn id(round: u64, writer: u64, n: u64) -> u64 {
    (round * 10 + writer) * 1_000_000 + n
}

/// The other way about: round and writer, and which of theirs it is.
pub(super) const fn life(id: u64) -> (u64, u64) {
    (id / 1_000_000, id % 1_000_000)
}

/// The round of such a life.
pub(super) const fn round(life: u64) -> u64 {
    life / 10
}

/// Each third makes a change beside the log as well.
pub(super) const CHANGES: usize = 3;

/// One write, so that lines of several threads do not mix, and none is taken for whole that is not.
fn tell(line: &str) {
    std::io::stdout().lock().write_all(format!("\n{line}.\n").as_bytes()).unwrap();
}

fn statement(id: u64) -> Event {
    Event::StatementCompleted {
        session: SessionId::from_bytes([7; 16]),
        statement: id,
        sqlstate: None,
        rows: id,
        bytes: 0,
        duration_us: 0,
        suspended: false,
    }
}

/// Records a name that stays and one that is erased.
fn name_and_shred(log: &Log, id: u64) {
    let name = |what: &str| {
        let name = format!("{what}-{id}");
        let event = Event::AdminLogin { person: name.as_str().into(), address: "192.0.2.7".into() };
        let seq = log.append_blocking(vec![event], vec![]).unwrap();
        tell(&format!("named {seq} {name}"));
        name
    };
    name("stays");
    let goes = name("goes");
    let commit = log.subjects().commit_of(SubjectKind::Person, &goes).unwrap();
    let what = Shredding { commit, records: 1, last: None };
    log.shred(&what, true, &Actor::Operator(Some(1000))).unwrap();
    tell(&format!("shredded {goes}"));
}

fn write(log: &Log, backup: &Path, round: u64, writer: u64) {
    for n in 0.. {
        let id = id(round, writer, n);
        match writer {
            0 if n % ROTATES == ROTATES / 2 && log.keys().count() < MAX_KEYS => {
                log.rotate_key().unwrap();
            }
            1 if n % SHREDS == SHREDS / 2 => name_and_shred(log, id),
            2 if n % PRUNES == PRUNES / 2 => {
                log.retention(KEEP, false, None).unwrap();
            }
            3 if n % BACKS_UP == BACKS_UP / 2 => {
                let size = log.backup(backup, None).unwrap().size;
                tell(&format!("backed {size}"));
            }
            _ => {}
        }
        let change = n.is_multiple_of(CHANGES as u64).then(|| Change::Put {
            side: Side::Taints,
            key: id.to_be_bytes().to_vec(),
            value: b"x".to_vec(),
        });
        let seq = log.append_blocking(vec![statement(id)], change.into_iter().collect()).unwrap();
        tell(&format!("acked {seq} {id}"));
    }
}

/// Not a test of its own: what is killed.
#[test]
#[ignore = "is started, and killed, by the tests of crashes"]
fn child_lives() {
    let Ok(dir) = std::env::var(DIR) else { return };
    let dir = Path::new(&dir);
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let log = open(&dir.join("data"));
    let backup = dir.join("backup");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let (log, backup) = (&log, &backup);
            scope.spawn(move || {
                let lives = AssertUnwindSafe(|| write(log, backup, round, writer));
                // One that fails ends all of it: the parent is to see that, and no child that goes on with fewer.
                if catch_unwind(lives).is_err() {
                    std::process::exit(101);
                }
            });
        }
    });
}
