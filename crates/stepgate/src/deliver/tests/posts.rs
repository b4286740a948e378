//! Webhooks: a receiver that fails in every way there is, and gets all in the end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use rustls::version::{TLS12, TLS13};

use super::receiver::{Receiver, Stream, server};
use super::world::{Certificates, World, all_of, seq, until};
use crate::config::{Format, Names, Sink, To, WebTarget, WebUrl, Webhook};

pub(super) const SECRET: &str = "a secret of this test";

pub(super) fn url(receiver: &Receiver, scheme: &str) -> WebUrl {
    let port = receiver.address.port();
    WebUrl {
        url: format!("{scheme}://localhost:{port}/in/s3cret-path"),
        shown: format!("{scheme}://localhost:{port}"),
    }
}

/// A file that only its owner may read.
pub(super) fn secret(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    if !path.exists() {
        crate::secret::write_new_private(&path, text.as_bytes()).unwrap();
    }
    path
}

fn sink(world: &World, url: WebUrl) -> Vec<Sink> {
    let secret_file = secret(world.dir.path(), "secret", SECRET);
    let target = WebTarget { url, secret_file, authorization_file: None, ca: None };
    let webhook = Webhook { target, array: false };
    vec![Sink {
        name: "lake".to_owned(),
        to: To::Webhook(webhook),
        format: Format::Jsonl,
        names: Names::Open,
    }]
}

/// A request as it came.
pub(super) struct Request {
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(": ")?;
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn seqs(&self) -> Vec<u64> {
        self.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(seq).collect()
    }

    /// Whoever has the secret has signed it, just now.
    pub(super) fn assert_signed(&self) {
        let signature = self.header("stepgate-signature").unwrap();
        let (time, mac) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
        let now = jiff::Timestamp::now().as_second();
        assert!((now - time.parse::<i64>().unwrap()).abs() < 10);
        let mut expected = Hmac::<sha2::Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
        expected.update(format!("{time}.").as_bytes());
        expected.update(&self.body);
        expected.verify_slice(&data_encoding::HEXLOWER.decode(mac.as_bytes()).unwrap()).unwrap();
    }
}

/// Reads one request; `None` at the end.
pub(super) fn request(stream: &mut BufReader<&mut dyn Stream>) -> Option<Request> {
    let mut head = String::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line == "\r\n" {
            break;
        }
        head.push_str(&line.replace("\r\n", "\n"));
    }
    let mut request = Request { head, body: Vec::new() };
    let length: usize = request.header("content-length").unwrap().parse().unwrap();
    request.body = vec![0; length];
    stream.read_exact(&mut request.body).ok()?;
    Some(request)
}

/// What a receiver does with a request.
enum Answer {
    /// Answers so: it has it.
    Takes,
    /// Answers so: it has not.
    Refuses(&'static str),
    /// Has it, and is gone before it says so.
    TakesAndDies,
    /// Is gone.
    Dies,
    /// Says nothing until nobody listens.
    Hangs,
    /// A byte now and then.
    Trickles,
}

/// Whoever answers a request, by how many there were before it and how many records it has.
type Answers = dyn Fn(usize, usize) -> Answer + Send + Sync;

#[derive(Clone, Default)]
struct Got {
    taken: Arc<Mutex<Vec<u64>>>,
    sizes: Arc<Mutex<Vec<usize>>>,
}

impl Got {
    fn taken(&self) -> Vec<u64> {
        self.taken.lock().unwrap().clone()
    }

    fn receiver(&self, answers: impl Fn(usize, usize) -> Answer + Send + Sync + 'static) -> Receiver {
        let got = self.clone();
        Receiver::new(None, move |stream, _| got.serve(stream, &answers))
    }

    fn serve(&self, stream: &mut dyn Stream, answers: &Answers) {
        let mut stream = BufReader::new(stream);
        while let Some(request) = request(&mut stream) {
            request.assert_signed();
            let seqs = request.seqs();
            assert_eq!(request.header("stepgate-first").unwrap(), seqs[0].to_string());
            assert_eq!(request.header("stepgate-records").unwrap(), seqs.len().to_string());
            assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
            let before = {
                let mut sizes = self.sizes.lock().unwrap();
                sizes.push(seqs.len());
                sizes.len() - 1
            };
            let takes = || self.taken.lock().unwrap().extend(&seqs);
            let stream = stream.get_mut();
            let mut say = |status: &str| {
                let _ = write!(stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
                let _ = stream.flush();
            };
            match answers(before, seqs.len()) {
                Answer::Takes => {
                    takes();
                    say("204 No Content");
                }
                Answer::Refuses(status) => say(status),
                Answer::TakesAndDies => return takes(),
                Answer::Dies => return,
                Answer::Hangs => {
                    let _ = stream.read(&mut [0]);
                    return;
                }
                Answer::Trickles => {
                    for byte in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n" {
                        std::thread::sleep(Duration::from_secs(1));
                        if stream.write_all(&[*byte]).and_then(|()| stream.flush()).is_err() {
                            return;
                        }
                    }
                    return;
                }
            }
        }
    }
}

#[test]
fn a_receiver_that_fails_in_every_way_gets_all_in_the_end_and_in_order() {
    let world = World::new();
    let got = Got::default();
    let receiver = got.receiver(|before, _| match before {
        0 => Answer::Refuses("500 Internal Server Error"),
        1 => Answer::Dies,
        2 => Answer::Hangs,
        3 => Answer::TakesAndDies,
        4 => Answer::Refuses("429 Too Many Requests\r\nretry-after: 0"),
        5 => Answer::Refuses("400 Bad Request"),
        6 => Answer::Trickles,
        7 => Answer::Refuses("302 Found\r\nlocation: http://127.0.0.1:1/"),
        8 => Answer::Refuses("200"),
        _ => Answer::Takes,
    });
    let running = world.deliver(sink(&world, url(&receiver, "http")), Vec::new());
    world.begun("lake");
    let start = world.cursor("lake").unwrap();
    let end = world.grow(1300);
    let mut seen = std::collections::BTreeSet::new();
    let began = Instant::now();
    while running.lag() > 0 {
        assert!(began.elapsed() < Duration::from_secs(60), "{:?}", running.row());
        let error = running.error();
        assert!(!error.contains("s3cret"), "{error}");
        seen.insert(error);
        running.delivery.sinks[0].asked.notify_one();
        std::thread::sleep(Duration::from_millis(10));
    }
    let taken = got.taken();
    assert!(all_of(&taken, start..end));
    // What was taken twice is the batch that was taken in silence, and no more.
    assert!(taken.len() <= usize::try_from(end - start).unwrap() + 500, "{}", taken.len());
    let all = format!("{seen:?}");
    for said in ["answered 500", "answered 400", "answered 302: redirects are not followed", "timeout"] {
        assert!(all.contains(said), "{said} is not in {all}");
    }
    running.done();
    until("it to work", || running.row()["state"] == "ok" && running.row()["error"].is_null());
    drop(running);
    assert_eq!(world.cursor("lake"), Some(world.log.len()));
}

#[test]
fn what_is_too_large_is_sent_in_halves_and_one_that_is_too_large_by_itself_is_not_skipped() {
    let world = World::new();
    let got = Got::default();
    let receiver = got.receiver(|_, records| match records {
        8.. => Answer::Refuses("413 Content Too Large"),
        _ => Answer::Takes,
    });
    let running = world.deliver(sink(&world, url(&receiver, "http")), Vec::new());
    world.begun("lake");
    let start = world.cursor("lake").unwrap();
    let end = world.grow(600);
    running.done();
    assert_eq!(got.taken(), (start..end).collect::<Vec<_>>());
    drop(running);
    let none = Got::default();
    let receiver = none.receiver(|_, _| Answer::Refuses("413 Content Too Large"));
    let running = world.deliver(sink(&world, url(&receiver, "http")), Vec::new());
    world.grow(40);
    until("one alone", || none.sizes.lock().unwrap().last() == Some(&1));
    std::thread::sleep(Duration::from_millis(1500));
    // One more is that it had trouble.
    assert!(none.taken().is_empty() && running.lag() >= 40, "{}", running.lag());
    assert!(none.sizes.lock().unwrap().len() < 20, "it is left alone meanwhile");
}

#[test]
fn a_receiver_that_asks_for_time_gets_it() {
    for dated in [false, true] {
        let world = World::new();
        let (asked, least) = if dated { (http_date(5), 2) } else { ("3".to_owned(), 3) };
        let got = Got::default();
        let status: &'static str = format!("503 Service Unavailable\r\nretry-after: {asked}").leak();
        let receiver = got.receiver(move |before, _| match before {
            0 => Answer::Refuses(status),
            _ => Answer::Takes,
        });
        let running = world.deliver(sink(&world, url(&receiver, "http")), Vec::new());
        world.begun("lake");
        world.grow(1);
        running.fails_with("answered 503");
        let since = Instant::now();
        running.done();
        assert!(since.elapsed() >= Duration::from_secs(least), "{asked}: {:?}", since.elapsed());
    }
}

fn http_date(seconds: i64) -> String {
    let at = jiff::Timestamp::from_second(jiff::Timestamp::now().as_second() + seconds).unwrap();
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[test]
fn that_nothing_gets_through_for_long_is_recorded_once_and_so_is_that_it_does_again() {
    let world = World::new();
    let address = stepgate_testkit::free_address().unwrap();
    let gone = WebUrl { url: format!("http://{address}/"), shown: format!("http://{address}") };
    let running = world.deliver(sink(&world, gone), Vec::new());
    world.begun("lake");
    world.grow(1);
    let told = |what: &str| {
        let all = world.records();
        all.iter().filter(|bytes| String::from_utf8_lossy(bytes).contains(what)).count()
    };
    until("the record of it", || {
        running.delivery.sinks[0].asked.notify_one();
        told("store.degraded") == 1
    });
    let failures = running.failures();
    until("more tries that fail", || {
        running.delivery.sinks[0].asked.notify_one();
        running.failures() > failures + 5
    });
    assert_eq!((told("store.degraded"), told("store.recovered")), (1, 0));
    let got = Got::default();
    let _receiver = {
        let got = got.clone();
        Receiver::at(address, None, move |stream, _| got.serve(stream, &|_, _| Answer::Takes))
    };
    until("the record of its end", || {
        running.delivery.sinks[0].asked.notify_one();
        told("store.recovered") == 1
    });
    running.done();
    until("it to work", || running.row()["state"] == "ok" && running.row()["failing_seconds"].is_null());
    assert_eq!((told("store.degraded"), told("store.recovered")), (1, 1));
}

#[test]
fn https_is_checked_and_a_secret_that_others_can_read_is_refused() {
    let world = World::new();
    let (ours, theirs) =
        (Certificates::new(world.dir.path(), "ours"), Certificates::new(world.dir.path(), "theirs"));
    let got = Got::default();
    let tls = server(&ours, None, &[&TLS13, &TLS12]);
    let receiver = {
        let got = got.clone();
        Receiver::new(Some(tls), move |stream, _| got.serve(stream, &|_, _| Answer::Takes))
    };
    let with = |ca: &Certificates| {
        let mut sinks = sink(&world, url(&receiver, "https"));
        let To::Webhook(webhook) = &mut sinks[0].to else { panic!() };
        webhook.target.ca = Some(ca.ca.clone());
        sinks
    };
    let running = world.deliver(with(&theirs), Vec::new());
    world.begun("lake");
    let start = world.cursor("lake").unwrap();
    let end = world.grow(10);
    running.fails_with("certificate");
    assert!(!running.error().contains("s3cret"), "{}", running.error());
    assert_eq!(got.taken(), Vec::<u64>::new());
    drop(running);
    world.deliver(with(&ours), Vec::new()).done();
    assert_eq!(got.taken(), (start..end).collect::<Vec<_>>());
    use std::os::unix::fs::PermissionsExt as _;
    let secret = world.dir.path().join("secret");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o644)).unwrap();
    let audit = crate::config::Audit { sinks: with(&ours), ..crate::config::Audit::default() };
    assert!(super::super::check(&audit).unwrap_err().message.contains("can be read by others"));
}

#[test]
fn a_receiver_that_is_away_costs_no_memory_and_a_log_that_is_busy_no_request_a_record() {
    let world = World::new();
    // Nobody listens.
    let address = stepgate_testkit::free_address().unwrap();
    let got = Got::default();
    let gone = WebUrl { url: format!("http://{address}/"), shown: format!("http://{address}") };
    let running = world.deliver(sink(&world, gone), Vec::new());
    world.begun("lake");
    let start = world.cursor("lake").unwrap();
    let end = world.grow(20_000);
    running.fails_with("refused");
    let receiver = {
        let got = got.clone();
        Receiver::at(address, None, move |stream, _| got.serve(stream, &|_, _| Answer::Takes))
    };
    until("all", || {
        running.delivery.sinks[0].asked.notify_one();
        running.lag() == 0
    });
    assert_eq!(got.taken(), (start..end).collect::<Vec<_>>());
    assert!(receiver.connections.load(Ordering::Relaxed) <= 5);
    let before = got.sizes.lock().unwrap().len();
    assert!(before <= 45, "{before} requests");
    let began = Instant::now();
    for _ in 0..100 {
        world.grow(1);
    }
    running.done();
    let requests = got.sizes.lock().unwrap().len() - before;
    let most = began.elapsed().as_millis() / 100 + 3;
    assert!(requests as u128 <= most, "{requests} requests, {most}");
}

#[test]
fn a_reset_is_on_disk_when_it_is_said_to_be_done_whatever_the_sink_is_at() {
    let world = World::new();
    let got = Got::default();
    // Takes one, and says nothing more until nobody listens.
    let receiver = got.receiver(|before, _| if before == 0 { Answer::Takes } else { Answer::Hangs });
    let running = world.deliver(sink(&world, url(&receiver, "http")), Vec::new());
    world.begun("lake");
    world.grow(30);
    running.done();
    world.grow(5);
    until("it to hang", || got.sizes.lock().unwrap().len() > 1);
    running.delivery.reset(true, "lake", 3).unwrap();
    assert_eq!(world.cursor("lake"), Some(3));
    // As the courier ends, it does not write what it had before over that.
    drop(running);
    assert_eq!(world.cursor("lake"), Some(3));
}
