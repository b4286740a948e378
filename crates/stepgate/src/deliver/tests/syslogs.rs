//! Syslog over TLS: a receiver that dies, hangs, is not who it should be.

use std::io::{BufRead as _, Write as _};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::version::{TLS12, TLS13};

use super::receiver::{Receiver, Stream, server};
use super::world::{Certificates, Running, World, all_of, seq, until};
use crate::config::{Format, HostPort, Names, Sink, Syslog, To};

const BOTH: &[&rustls::SupportedProtocolVersion] = &[&TLS13, &TLS12];

fn sink(port: u16, certificates: &Certificates) -> Vec<Sink> {
    let place = HostPort { host: "localhost".to_owned(), port };
    let syslog =
        Syslog { place, ca: Some(certificates.ca.clone()), identity: None, facility: 13, enterprise: 32_473 };
    vec![Sink { name: "siem".to_owned(), to: To::Syslog(syslog), format: Format::Jsonl, names: Names::Open }]
}

/// What a receiver has read as whole messages.
#[derive(Clone, Default)]
struct Got(Arc<Mutex<Vec<u64>>>);

impl Got {
    fn seqs(&self) -> Vec<u64> {
        self.0.lock().unwrap().clone()
    }

    /// Reads messages until the end, or until so many bytes were read.
    fn read(&self, stream: &mut dyn Stream, most: usize) {
        let (mut buffer, mut read) = (Vec::new(), 0);
        let mut piece = [0_u8; 4096];
        while read < most {
            let length = match stream.read(&mut piece) {
                Ok(0) | Err(_) => return,
                Ok(length) => length.min(most - read),
            };
            read += length;
            buffer.extend_from_slice(&piece[..length]);
            while let Some(space) = buffer.iter().take(8).position(|byte| *byte == b' ') {
                let length: usize = std::str::from_utf8(&buffer[..space]).unwrap().parse().unwrap();
                if buffer.len() < space + 1 + length {
                    break;
                }
                let message: Vec<u8> = buffer.drain(..space + 1 + length).skip(space + 1).collect();
                self.0.lock().unwrap().push(check(&message));
            }
        }
    }
}

/// The number in a message, which is as it must be.
fn check(message: &[u8]) -> u64 {
    let text = std::str::from_utf8(message).unwrap();
    let (header, rest) = text.split_once(" [stepgate@32473 ").unwrap();
    let words: Vec<_> = header.split(' ').collect();
    assert_eq!((words.len(), words[3]), (6, "stepgate"), "{header}");
    // Log audit, informational; that the sink itself had trouble, error.
    let trouble = words[5] == "store.degraded";
    assert_eq!(words[0], if trouble { "<107>1" } else { "<110>1" }, "{header}");
    let (data, record) = rest.split_once("] ").unwrap();
    let number = seq(record.as_bytes());
    assert!(data.ends_with(&format!("seq=\"{number}\"")), "{data}");
    number
}

fn begun(world: &World, running: &Running<'_>) -> u64 {
    world.begun("siem");
    until("the connection", || running.error().is_empty());
    world.cursor("siem").unwrap()
}

#[test]
fn a_receiver_gets_every_record_and_the_cursor_follows_what_it_has_read() {
    let world = World::new();
    let certificates = Certificates::new(world.dir.path(), "siem");
    let got = Got::default();
    let receiver = {
        let got = got.clone();
        Receiver::new(Some(server(&certificates, None, BOTH)), move |stream, _| got.read(stream, usize::MAX))
    };
    let running = world.deliver(sink(receiver.address.port(), &certificates), Vec::new());
    let start = begun(&world, &running);
    let end = world.grow(3000);
    running.done();
    assert_eq!(got.seqs(), (start..end).collect::<Vec<_>>());
    assert_eq!(running.failures(), 0);
    drop(running);
    assert_eq!(world.cursor("siem"), Some(end));
}

#[test]
fn a_receiver_that_dies_in_the_middle_again_and_again_misses_nothing() {
    for versions in [&[&TLS13][..], &[&TLS12][..]] {
        let world = World::new();
        let certificates = Certificates::new(world.dir.path(), "siem");
        let got = Got::default();
        let receiver = {
            let got = got.clone();
            Receiver::new(Some(server(&certificates, None, versions)), move |stream, number| {
                // 12 times it reads some and is gone, with all that lies in buffers.
                let most = if number < 12 { 1 + number * number * 997 } else { usize::MAX };
                got.read(stream, most);
            })
        };
        let running = world.deliver(sink(receiver.address.port(), &certificates), Vec::new());
        world.begun("siem");
        let start = world.cursor("siem").unwrap();
        let mut end = 0;
        let began = Instant::now();
        // Back-off would take a minute: it is woken.
        while receiver.connections.load(Ordering::Relaxed) <= 12 {
            end = world.grow(100);
            let sink = &running.delivery.sinks[0];
            sink.asked.notify_one();
            std::thread::sleep(Duration::from_millis(20));
            assert!(began.elapsed() < Duration::from_secs(60));
        }
        running.delivery.sinks[0].asked.notify_one();
        running.done();
        assert!(all_of(&got.seqs(), start..end), "{} of {}", got.seqs().len(), end - start);
        assert!(running.failures() > 0);
    }
}

/// `tests/receivers/syslog_tls.py` at work; ended when dropped.
struct Python {
    child: std::process::Child,
    said: std::io::BufReader<std::process::ChildStdout>,
    out: std::path::PathBuf,
}

impl Python {
    fn new(world: &World, certificates: &Certificates) -> Option<(Self, u16)> {
        use std::process::{Command, Stdio};
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/receivers/syslog_tls.py");
        let out = world.dir.path().join("received");
        let mut command = Command::new("python3");
        command.arg(script).arg(&certificates.cert).arg(&certificates.key).arg(&out);
        // No python3 is no reason to fail; a script that does not work is.
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().ok()?;
        let said = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut python = Self { child, said, out };
        let port = python.line().parse().unwrap();
        Some((python, port))
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn seqs(&self) -> Vec<u64> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_a_receiver_that_hangs_has_in_its_buffers_does_not_count_as_delivered() {
    let world = World::new();
    let certificates = Certificates::new(world.dir.path(), "siem");
    let Some((mut python, port)) = Python::new(&world, &certificates) else {
        stepgate_testkit::skip("python3", "a hanging receiver that is OpenSSL's");
        return;
    };
    let running = world.deliver(sink(port, &certificates), Vec::new());
    let start = begun(&world, &running);
    let first = world.grow(100);
    running.done();
    python.child.stdin.as_mut().unwrap().write_all(b"hang\n").unwrap();
    assert_eq!(python.line(), "hangs");
    let end = world.grow(200);
    // All the while that it takes what is sent and says nothing, none of it counts.
    until("it to be found out", || {
        assert!(running.lag() >= end - first, "{}", running.row());
        running.error().contains("does it hang?")
    });
    // That it takes what is sent does not make it one that works.
    let mut looks = 0;
    until("it to go on", || {
        let row = running.row();
        let waits = row["lag"].as_u64().unwrap() >= end - first;
        assert!(!waits || row["state"] == "failing", "{row}");
        looks += u64::from(waits);
        !waits
    });
    assert!(looks > 0);
    running.done();
    let received = python.seqs();
    assert!(all_of(&received, start..end), "{received:?}");
}

#[test]
fn nothing_is_sent_to_who_cannot_prove_to_be_the_receiver() {
    let world = World::new();
    let ours = Certificates::new(world.dir.path(), "ours");
    let theirs = Certificates::new(world.dir.path(), "theirs");
    let elsewhere = Certificates::for_host(world.dir.path(), "elsewhere", "elsewhere.example");
    let got = Got::default();
    let receive = |tls| {
        let got = got.clone();
        Receiver::new(tls, move |stream: &mut dyn Stream, _| got.read(stream, usize::MAX))
    };
    let cases = [
        (receive(Some(server(&theirs, None, BOTH))), &ours, "certificate"),
        (receive(Some(server(&elsewhere, None, BOTH))), &elsewhere, "certificate"),
        // Whoever speaks no TLS at all, and whoever says nothing.
        (Receiver::new(None, |stream, _| drop(stream.write_all(b"220 syslog ready\r\n"))), &ours, "TLS"),
        (Receiver::new(None, |_, _| std::thread::sleep(Duration::from_secs(10))), &ours, "handshake"),
        // Wants a certificate, and the gate has none.
        (receive(Some(server(&ours, Some(&theirs), &[&TLS12]))), &ours, "TLS"),
        (receive(Some(server(&ours, Some(&theirs), &[&TLS13]))), &ours, ""),
    ];
    for (receiver, trusted, why) in cases {
        let running = world.deliver(sink(receiver.address.port(), trusted), Vec::new());
        world.grow(10);
        until("a failure", || running.failures() > 0 && running.error().contains(why));
        // Of those from when it began, which it has by now.
        world.grow(10);
        assert!(running.lag() >= 10, "{}", running.row());
        assert_eq!(got.seqs(), Vec::<u64>::new());
    }
}

#[test]
fn a_client_certificate_is_shown_where_one_is_configured() {
    let world = World::new();
    let (ours, gates) =
        (Certificates::new(world.dir.path(), "ours"), Certificates::new(world.dir.path(), "gate"));
    for versions in [&[&TLS12][..], &[&TLS13][..]] {
        let got = Got::default();
        let receiver = {
            let got = got.clone();
            Receiver::new(Some(server(&ours, Some(&gates), versions)), move |stream, _| {
                got.read(stream, usize::MAX);
            })
        };
        let mut sinks = sink(receiver.address.port(), &ours);
        let To::Syslog(syslog) = &mut sinks[0].to else { panic!() };
        syslog.identity = Some((gates.cert.clone(), gates.key.clone()));
        let running = world.deliver(sinks, Vec::new());
        world.begun("siem");
        world.grow(10);
        running.done();
        assert!(got.seqs().len() >= 10);
    }
}
