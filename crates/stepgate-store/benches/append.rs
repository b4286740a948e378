//! The log's writer, beside what the disk and sled alone can do in the same run: `cargo bench -p stepgate-store`.
//!
//! Prints durable appends a second by number of concurrent clients, the CPU that a statement's two records cost in
//! all threads together, what is resident, and how many bytes a record takes on disk.

mod common;

use std::fs::{self, File};
use std::hint::black_box;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::{fail, open};
use stepgate_record::{Event, Statement, Template};
use stepgate_store::{Log, LogError};
use stepgate_types::{Action, Certainty, Kind, SessionId, StatementId};

/// How long each is measured at a time: in turns, since what else the disk has to do changes from second to second.
const TURN: Duration = Duration::from_millis(250);
const TURNS: u32 = 16;

/// Jobs that the plain writers take at once, as the log's writer does.
const BATCH: usize = 256;

fn session() -> SessionId {
    SessionId::from_bytes([7; 16])
}

fn decided() -> Event {
    Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        runs: None,
        certainty: Certainty::Exact,
        relations: vec!["public.pgbench_accounts".to_owned()],
        estimate: Some(1),
        fingerprint: "f".repeat(64),
        normalised: "SELECT abalance FROM pgbench_accounts WHERE aid = $1".to_owned(),
        parameters: 1,
        action: Action::Allow,
        verdict: "forward".to_owned(),
        policy_sha256: "a".repeat(64),
        ..Statement::blank(session(), 12_345, "dana".into())
    }))
}

fn completed(statement: u64) -> Event {
    Event::StatementCompleted {
        session: session(),
        statement,
        sqlstate: None,
        rows: 1,
        bytes: 23,
        duration_us: 77,
        suspended: false,
    }
}

type Does = Arc<dyn Fn() + Send + Sync>;

/// How often so many clients can do each of these in a second, each waiting for it, and how much CPU that takes in all
/// threads. `busy`: a thread beside them does nothing but keep its core from sleeping.
fn by<const N: usize>(clients: usize, each: &[Does; N], busy: bool) -> [(u64, f64); N] {
    let mut done = [(0, Duration::ZERO); N];
    for _ in 0..TURNS {
        for ((done, used), does) in done.iter_mut().zip(each) {
            let begun = cpu();
            *done += beside(busy, || turn(clients, does));
            *used += cpu().saturating_sub(begun);
        }
    }
    done.map(|(done, used)| {
        let second = (done as f64 / (TURN * TURNS).as_secs_f64()) as u64;
        (second, used.as_secs_f64() * 1e6 / (done.max(1) as f64))
    })
}

fn beside<T>(busy: bool, work: impl FnOnce() -> T) -> T {
    let going = Arc::new(AtomicBool::new(busy));
    let spins = Arc::clone(&going);
    let spinner = std::thread::spawn(move || {
        while spins.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let done = work();
    going.store(false, Ordering::Relaxed);
    let _ = spinner.join();
    done
}

fn turn(clients: usize, does: &Does) -> u64 {
    let done = Arc::new(AtomicU64::new(0));
    let end = Instant::now() + TURN;
    let threads: Vec<_> = (0..clients)
        .map(|_| {
            let (does, done) = (Arc::clone(does), Arc::clone(&done));
            std::thread::spawn(move || {
                while Instant::now() < end {
                    does();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
    done.load(Ordering::Relaxed)
}

/// One thread that writes batches by `commit`, which returns when they are on disk.
fn plain(commit: impl Fn(&[Vec<u8>]) + Send + 'static) -> impl Fn() + Send + Sync {
    type Job = (Vec<u8>, mpsc::Sender<()>);
    let (queue, jobs) = mpsc::sync_channel::<Job>(1024);
    std::thread::spawn(move || {
        while let Ok(job) = jobs.recv() {
            let jobs: Vec<Job> = std::iter::once(job).chain(jobs.try_iter()).take(BATCH).collect();
            let (records, done): (Vec<_>, Vec<_>) = jobs.into_iter().unzip();
            commit(&records);
            for done in done {
                let _ = done.send(());
            }
        }
    });
    move || {
        let (done, wait) = mpsc::channel();
        let _ = queue.send((vec![b'x'; 300], done));
        let _ = wait.recv();
    }
}

fn sled_alone(dir: &Path) -> impl Fn() + Send + Sync + use<> {
    let db = sled::Config::new().path(dir).open().unwrap_or_else(|error| fail(&error));
    let file = File::options().write(true).open(dir.join("db")).unwrap_or_else(|error| fail(&error));
    let seq = AtomicU64::new(0);
    plain(move |records| {
        let mut batch = sled::Batch::default();
        for record in records {
            batch.insert(&seq.fetch_add(1, Ordering::Relaxed).to_be_bytes(), record.as_slice());
        }
        let _ = (db.apply_batch(batch), db.flush(), file.sync_data());
    })
}

fn file_alone(path: &Path) -> impl Fn() + Send + Sync + use<> {
    let file = File::create(path).unwrap_or_else(|error| fail(&error));
    plain(move |records| {
        let _ = ((&file).write_all(&records.concat()), file.sync_data());
    })
}

/// CPU that this process has used.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The fields after the name in parentheses; user and system time in hundredths of a second (proc(5)).
    let fields = stat.rsplit(')').next().unwrap_or_default().split(' ');
    let ticks: u64 = fields.skip(12).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

fn resident() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.unwrap_or_default().trim().to_owned()
}

/// Two records for each statement, from two threads, as the gate makes them.
fn statements(log: &Log, template: &Template, seconds: u64) -> (u64, Duration) {
    let begun = cpu();
    let end = Instant::now() + Duration::from_secs(seconds);
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let (log, template) = (log.clone(), template.clone());
            std::thread::spawn(move || {
                let mut count = 0;
                while Instant::now() < end {
                    count += 1;
                    let id = StatementId { session: session(), number: count };
                    match log.try_ticket_again(id, &template) {
                        Ok(Some((_, mut release))) => drop(black_box(release.try_release())),
                        // As the gate does: it waits for room.
                        _ => drop(log.append_blocking(vec![completed(count)], Vec::new())),
                    }
                    if let Err(LogError::Full) = log.note(completed(count)) {
                        let _ = log.append_blocking(vec![completed(count)], Vec::new());
                    }
                }
                count
            })
        })
        .collect();
    let count = threads.into_iter().filter_map(|thread| thread.join().ok()).sum();
    (count, cpu().saturating_sub(begun))
}

fn bytes_in(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|data| data.len()).sum()
}

fn main() {
    // In the target directory, which is on a disk; the system's directory for temporary files may not be.
    let Ok(dir) = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")) else { return };
    let log = open(&dir.path().join("buffered"), false);
    println!("{} resident, log open and empty", resident());
    let Ok(template) = Template::new(&decided()) else { fail(&"no template") };
    let before = log.len();
    let (count, used) = statements(&log, &template, 5);
    println!(
        "buffered: {} statements/s of two records each, {:.2} us of CPU each, all threads; {} resident",
        count / 5,
        used.as_secs_f64() * 1e6 / count.max(1) as f64,
        resident()
    );
    let records = log.len() - before;
    drop(log);
    println!("{} bytes a record", bytes_in(&dir.path().join("buffered/records")) / records.max(1));

    let log = open(&dir.path().join("log"), true);
    let appends = log.clone();
    let each: [Does; 3] = [
        Arc::new(move || {
            let _ = appends.append_blocking(vec![completed(1)], Vec::new());
        }),
        Arc::new(sled_alone(&dir.path().join("sled"))),
        Arc::new(file_alone(&dir.path().join("file"))),
    ];
    for (clients, busy) in [(1, false), (1, true), (16, false), (64, false), (256, false)] {
        let [(ours, cpu), (sled, sleds), (file, files)] = by(clients, &each, busy);
        println!(
            "{clients:>3} clients{}: {ours} records/s ({cpu:.0} us of CPU each); sled alone {sled} ({sleds:.0}), a file \
             alone {file} ({files:.0}), 300 bytes each; {:.2} of sled",
            if busy { ", a core kept awake" } else { "" },
            ours as f64 / sled.max(1) as f64
        );
    }
    drop(each);
    let (start, records) = (Instant::now(), log.len());
    drop(log);
    let bytes = bytes_in(&dir.path().join("log/records"));
    println!("{} bytes a record", bytes / records.max(1));
    let log = open(&dir.path().join("log"), true);
    println!("{} records opened again in {:?}", log.len(), start.elapsed());
    drop(log);
}
