//! Against a minimal witness (C2SP tlog-witness) that keeps what it saw and checks all that it is shown.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use data_encoding::BASE64;
use stepgate_record::{Checkpoint, Cosigner, Event, Hash, SignedNote, VerifierKey, consistency_holds};
use stepgate_store::{Log, LogOptions, Vault};
use stepgate_types::Timestamp;
use zeroize::Zeroizing;

use super::super::status::Status;
use super::*;
use crate::agent::CALL;
use crate::config::WebUrl;
use crate::system::{SystemClock, SystemEntropy};

/// How the witness behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Good,
    /// Its lines do not hold.
    Forges,
    /// It cosigns by a key that nobody has configured.
    AsAnother,
    /// It answers with what is no line.
    Babbles,
    /// It says nothing.
    Hangs,
    /// It answers without end.
    Floods,
}

struct Seen {
    keys: Vec<VerifierKey>,
    last: Option<Checkpoint>,
    mood: Mood,
    asked: usize,
}

struct MinimalWitness {
    url: String,
    cosigner: Arc<Cosigner>,
    seen: Arc<Mutex<Seen>>,
}

impl MinimalWitness {
    fn new(key: VerifierKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/w", listener.local_addr().unwrap());
        let cosigner = Arc::new(Cosigner::new("witness.example", &[9; 32]).unwrap());
        let seen = Seen { keys: vec![key], last: None, mood: Mood::Good, asked: 0 };
        let seen = Arc::new(Mutex::new(seen));
        let (theirs, by) = (Arc::clone(&seen), Arc::clone(&cosigner));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (seen, by) = (Arc::clone(&theirs), Arc::clone(&by));
                std::thread::spawn(move || answer(stream.unwrap(), &seen, &by));
            }
        });
        Self { url, cosigner, seen }
    }

    fn mood(&self, mood: Mood) {
        self.seen.lock().unwrap().mood = mood;
    }

    fn last(&self) -> u64 {
        self.seen.lock().unwrap().last.as_ref().map_or(0, |last| last.size)
    }

    fn witness(&self) -> Witness {
        Witness {
            key: self.cosigner.key(),
            url: Some(WebUrl { url: self.url.clone(), shown: self.url.clone() }),
            ca: None,
            every: Duration::from_millis(50),
        }
    }
}

fn answer(mut stream: TcpStream, seen: &Mutex<Seen>, cosigner: &Cosigner) {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    let (head, body) = loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        if read == 0 {
            return;
        }
        bytes.extend_from_slice(&piece[..read]);
        let text = String::from_utf8(bytes.clone()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if Some(body.len()) == length {
            break (head.to_owned(), body.to_owned());
        }
    };
    assert!(head.starts_with("POST /w/add-checkpoint HTTP/1.1"), "{head}");
    let mood = seen.lock().unwrap().mood;
    match mood {
        Mood::Hangs => std::thread::sleep(CALL * 2),
        Mood::Floods => {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n");
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
        _ => {
            let (status, body) = judge(&body, &mut seen.lock().unwrap(), cosigner);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} x\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
        }
    }
}

/// As the specification has it.
fn judge(body: &str, seen: &mut Seen, cosigner: &Cosigner) -> (u16, String) {
    seen.asked += 1;
    let (head, note) = body.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let hash = |line: &str| Hash::from_bytes(BASE64.decode(line.as_bytes()).unwrap().try_into().unwrap());
    let proof: Vec<Hash> = lines.map(hash).collect();
    assert!(proof.len() <= 63);
    let note: SignedNote = note.parse().unwrap();
    let checkpoint = Checkpoint::of(&note).unwrap();
    if checkpoint.origin != seen.keys[0].name() {
        return (404, String::new());
    }
    if !seen.keys.iter().any(|key| note.verify(key).is_ok()) {
        return (403, String::new());
    }
    if old > checkpoint.size {
        return (400, String::new());
    }
    let (last, root) = seen.last.as_ref().map_or((0, Hash::empty_root()), |last| (last.size, last.root));
    if old != last || (last == checkpoint.size && last > 0 && root != checkpoint.root) {
        return (409, format!("{last}\n"));
    }
    if !consistency_holds(old, &root, checkpoint.size, &checkpoint.root, &proof) {
        return (422, String::new());
    }
    let lines = |note: &SignedNote| note.to_string().lines().last().unwrap().to_owned() + "\n";
    let good = lines(&cosigner.cosign(&note, 1_800_000_000));
    let text = match seen.mood {
        Mood::Forges => lines(&Cosigner::new("witness.example", &[8; 32]).unwrap().cosign(&note, 1)),
        Mood::AsAnother => lines(&Cosigner::new("another", &[8; 32]).unwrap().cosign(&note, 1)),
        Mood::Babbles => "thank you\n".to_owned(),
        // And by a key that nobody here knows, which is ignored.
        _ => lines(&Cosigner::new("another", &[8; 32]).unwrap().cosign(&note, 1)) + &good,
    };
    if seen.mood == Mood::Good {
        seen.last = Some(checkpoint);
    }
    (200, text)
}

fn open(dir: &std::path::Path) -> Log {
    let options = LogOptions {
        ordinary_durable: true,
        version: "test".to_owned(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        vault: Vault::new(&Zeroizing::new([1; 32]), Arc::new(SystemEntropy)),
    };
    Log::open(dir, options).unwrap().0
}

fn record(log: &Log) {
    log.append_blocking(vec![Event::LogTailCut { bytes: 1 }], Vec::new()).unwrap();
}

/// A runtime to wait in, and what ends it.
fn asker(log: &Log, witness: &Witness) -> (Asker, tokio::runtime::Runtime, watch::Sender<bool>) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (down, going) = watch::channel(false);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let url = witness.url.as_ref().unwrap();
    let status = Status::new(witness.key.name(), "witness", url.shown.clone());
    let status = WayStatus::new(status, Sent { size: 0, at: clock.now() });
    let asker = Asker::new((log, &clock), (witness, url), status, runtime.handle().clone(), going).unwrap();
    (asker, runtime, down)
}

fn cosigned(log: &Log, witness: &Witness) -> Vec<(u64, Timestamp)> {
    let notes = log.cosigned();
    notes
        .iter()
        .map(|note| (Checkpoint::of(note).unwrap().size, witness.key.cosigned(note).unwrap().unwrap()))
        .collect()
}

#[test]
fn a_witness_cosigns_what_continues_what_it_saw_and_is_asked_for_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let minimal = MinimalWitness::new(log.verifier_key());
    let witness = minimal.witness();
    let (mut asker, ..) = asker(&log, &witness);
    for _ in 0..4 {
        (0..3).for_each(|_| record(&log));
        asker.round().unwrap();
        assert_eq!(minimal.last(), asker.seen);
    }
    assert_eq!(cosigned(&log, &witness).len(), 4);
    assert_eq!(log.tail(1).unwrap()[0].event, {
        let last = minimal.seen.lock().unwrap().last.clone().unwrap();
        Event::WitnessCosigned { witness: witness.key.to_string(), size: last.size, root: last.root }
    });
    // Its own cosignatures are no news.
    let asked = minimal.seen.lock().unwrap().asked;
    asker.round().unwrap();
    assert_eq!(minimal.seen.lock().unwrap().asked, asked);
    // The key may be replaced, once the witness knows the new one.
    log.rotate_key().unwrap();
    record(&log);
    assert!(asker.round().unwrap_err().why.contains("403"));
    minimal.seen.lock().unwrap().keys.push(log.verifier_key());
    asker.round().unwrap();
    assert_eq!(cosigned(&log, &witness).len(), 5);
    assert!(log.verify(None).is_ok());
}

#[test]
fn who_starts_anew_goes_on_where_the_witness_is() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let minimal = MinimalWitness::new(log.verifier_key());
    let witness = minimal.witness();
    record(&log);
    asker(&log, &witness).0.round().unwrap();
    record(&log);
    let (mut again, ..) = asker(&log, &witness);
    assert_eq!(again.seen, minimal.last());
    again.seen = 0;
    again.round().unwrap();
    assert_eq!(again.seen, minimal.last());
    assert_eq!(cosigned(&log, &witness).len(), 2);
}

#[test]
fn another_history_and_one_that_was_cut_off_are_told() {
    let (dir, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (log, others) = (open(dir.path()), open(other.path()));
    let minimal = MinimalWitness::new(log.verifier_key());
    (0..5).for_each(|_| record(&log));
    asker(&log, &minimal.witness()).0.round().unwrap();
    // More than there is, and as much with another root.
    let origin = log.verifier_key().name().to_owned();
    for (size, why) in [(1_000, "cut short"), (3, "another history")] {
        let last = Checkpoint { origin: origin.clone(), size, root: Hash::leaf(b"other") };
        minimal.seen.lock().unwrap().last = Some(last);
        record(&log);
        let end = log.len();
        let (mut asker, ..) = asker(&log, &minimal.witness());
        // However often it is asked, it is recorded once.
        for _ in 0..3 {
            let said = asker.round().unwrap_err().why;
            assert!(said.contains(why), "{said}");
        }
        record(&log);
        let first = if size > end { end } else { 0 };
        let place = "the witness witness.example has seen others".to_owned();
        let alarm = Event::IntegrityFailed(IntegrityFailed { first, end: size, place });
        let told: Vec<_> = log.tail(3).unwrap().into_iter().map(|record| record.event).collect();
        assert_eq!(told.iter().filter(|event| **event == alarm).count(), 1, "{told:?}");
        assert!(matches!(told.last(), Some(Event::LogTailCut { .. })) && log.len() == end + 2, "{told:?}");
    }
    record(&others);
    assert!(asker(&others, &minimal.witness()).0.round().unwrap_err().why.contains("404"));
}

#[test]
fn what_does_not_hold_is_not_kept_and_a_witness_that_hangs_or_floods_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let minimal = MinimalWitness::new(log.verifier_key());
    let (mut asker, ..) = asker(&log, &minimal.witness());
    record(&log);
    for mood in [Mood::Forges, Mood::AsAnother, Mood::Babbles, Mood::Hangs, Mood::Floods] {
        minimal.mood(mood);
        let began = std::time::Instant::now();
        assert!(asker.round().is_err());
        assert!(began.elapsed() < CALL * 2);
        assert!(log.cosigned().is_empty());
        assert_eq!(asker.seen, 0);
    }
    minimal.mood(Mood::Good);
    asker.round().unwrap();
    assert_eq!(log.cosigned().len(), 1);
}

#[test]
fn a_witness_that_is_away_when_the_gate_ends_is_not_waited_for_without_a_runtime() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let minimal = MinimalWitness::new(log.verifier_key());
    let (mut asker, runtime, down) = asker(&log, &minimal.witness());
    down.send_replace(true);
    runtime.shutdown_background();
    assert!(asker.waits(Duration::from_secs(60)));
}

fn until(what: &str, is_so: impl FnMut() -> bool) {
    stepgate_testkit::until(what, Duration::from_secs(20), is_so).unwrap();
}

#[test]
fn it_works_by_itself_until_the_gate_goes_down() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path());
    let minimal = MinimalWitness::new(log.verifier_key());
    let (asker, _runtime, down) = asker(&log, &minimal.witness());
    let status = Arc::clone(&asker.status);
    let working = std::thread::spawn(move || asker.run());
    until("the first cosignature", || minimal.last() > 0);
    record(&log);
    let end = log.len();
    until("the next one", || minimal.last() >= end);
    // It is known to have all, its own cosignature being none of it; and nothing goes on by itself, round after round.
    until("no lag", || status.row(log.len())["lag"] == 0);
    let (quiet, asked) = (log.len(), minimal.seen.lock().unwrap().asked);
    let rounds = status.sent().at;
    until("some rounds", || status.sent().at.since(rounds) > Duration::from_millis(300));
    assert_eq!((log.len(), minimal.seen.lock().unwrap().asked), (quiet, asked));
    assert_eq!(status.row(quiet)["state"], "ok");
    minimal.mood(Mood::Forges);
    record(&log);
    until("it to fail", || {
        status.row(0)["state"] == "failing" && status.age(log.len(), SystemClock.now()) > 0
    });
    assert!(status.row(0)["failures"].as_u64() > Some(0) && !status.row(0)["error"].is_null());
    minimal.mood(Mood::Good);
    until("it to work again", || status.row(0)["state"] == "ok" && status.row(log.len())["lag"] == 0);
    down.send_replace(true);
    working.join().unwrap();
}
