//! Cancel requests: right ones count whatever else comes to the gate's door, and of every length of key; and they hit the
//! statement that PostgreSQL would have cancelled, or none.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use stepgate_proxy::Upstream;
use stepgate_testkit::{Person, until};
use support::frames::{
    cancel, error, execute, extended, held as held_of, next, parse, query, send, sync, until_tag,
};
use support::raw::{config, runtime, session};
use support::{SOON, World, connects_as, held, repository};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;

#[test]
fn wrong_keys_from_ones_own_address_keep_nobody_from_cancelling() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let reply = psql.run("select pg_backend_pid();").unwrap();
    let pid: i32 = reply.lines.iter().find_map(|line| line.trim().parse().ok()).unwrap();
    psql.send("select ssn from customers;").unwrap();
    held(&mut psql);
    for guess in 0..200_u32 {
        cancel(&runtime, &world, pid, &guess.to_be_bytes());
        cancel(&runtime, &world, pid + 1, &guess.to_be_bytes());
    }
    psql.interrupt().unwrap();
    let said = psql.ended(SOON).unwrap().join("\n");
    assert!(said.contains("stepgate: cancelled"), "{said}");
}

#[test]
fn a_long_key_of_protocol_3_2_cancels_and_a_part_of_it_does_not() {
    let world = World::new();
    let dana = world.dana();
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", repository().join(".work/psycopg"));
    command.arg(repository().join("tests/clients/long_key.py"));
    let output = connects_as(&mut command, &world, &dana).output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    let text = String::from_utf8_lossy(&text);
    assert!(output.status.success() && text.lines().any(|line| line == "ok"), "{text}");
}

fn open(runtime: &Runtime, world: &World, person: &Person) -> Upstream {
    runtime.block_on(session(&config(world, person))).unwrap()
}

fn sleeps(world: &World) -> bool {
    let asked = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    world.cluster.psql("shop", asked).unwrap().trim() == "1"
}

/// From here on the gate knows what names mean: to ask for it would wait for the end of what runs.
fn knows_names(runtime: &Runtime, session: &mut Upstream) {
    send(runtime, session, &query("select count(*) from customers"));
    until_tag(runtime, session, b'Z');
}

#[test]
fn a_cancel_hits_what_runs_and_what_is_held_behind_that_waits_on() {
    const SLEEPS: &str = "select pg_sleep(30)";
    const SSN: &str = "select ssn from customers order by id limit 1";
    let (world, runtime) = (World::new(), runtime());
    let frames: [(&str, [Vec<u8>; 2]); 2] =
        [("dana", [query(SLEEPS), query(SSN)]), ("erin", [extended(SLEEPS), extended(SSN)])];
    for (name, both) in frames {
        let mut person = world.person(name, "analysts");
        let mut session = open(&runtime, &world, &person);
        knows_names(&runtime, &mut session);
        send(&runtime, &mut session, &both.concat());
        let request = held_of(&runtime, &mut session);
        until("what goes before to run", SOON, || sleeps(&world)).unwrap();
        let secret = session.secret.clone();
        cancel(&runtime, &world, session.pid, &secret);
        let first = until_tag(&runtime, &mut session, b'Z');
        assert_eq!(error(&first).unwrap().1, "canceling statement due to user request");
        assert!(!sleeps(&world));
        person.verify(&world.gate, &request).unwrap().ok().unwrap();
        let second = until_tag(&runtime, &mut session, b'Z');
        assert!(error(&second).is_none() && second.iter().any(|(tag, _)| *tag == b'D'), "{second:?}");
        // With nothing before it, a request is for what is held.
        send(&runtime, &mut session, &query("create temp table copy as select ssn from customers"));
        held_of(&runtime, &mut session);
        cancel(&runtime, &world, session.pid, &secret);
        let third = until_tag(&runtime, &mut session, b'Z');
        assert!(error(&third).unwrap().1.starts_with("stepgate: cancelled while held"), "{third:?}");
    }
    // In one segment, an error of what runs is the end of what is held, too.
    let mut session = open(&runtime, &world, &world.person("fred", "analysts"));
    knows_names(&runtime, &mut session);
    let one = [parse(SLEEPS), execute(), parse("select salary from hr.employees"), execute(), sync()];
    send(&runtime, &mut session, &one.concat());
    let request = held_of(&runtime, &mut session);
    until("what goes before to run", SOON, || sleeps(&world)).unwrap();
    let secret = session.secret.clone();
    cancel(&runtime, &world, session.pid, &secret);
    let both = until_tag(&runtime, &mut session, b'Z');
    assert_eq!(error(&both).unwrap().1, "canceling statement due to user request");
    assert!(world.recorded("withdrawn", &request));
}

/// Whoever was asked has said yes, and what was let through by that has not been sent yet: a few milliseconds, some time
/// after the command has begun.
#[test]
fn of_what_is_cancelled_as_it_is_approved_the_record_says_that_it_did_not_run() {
    let (world, runtime) = (World::new(), runtime());
    for trial in 0..12 {
        let mut person = world.person(&format!("person{trial}"), "analysts");
        let mut session = open(&runtime, &world, &person);
        send(&runtime, &mut session, &query("select ssn from customers order by id limit 1"));
        let request = held_of(&runtime, &mut session);
        let code = person.code().unwrap();
        let mut verifies = world.gate.command();
        verifies
            .args(["verify", &request, "--as", person.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null());
        let mut verifies = verifies.spawn().unwrap();
        verifies.stdin.take().unwrap().write_all(format!("{code}\n").as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(10 + 5 * trial));
        cancel(&runtime, &world, session.pid, &session.secret);
        let said = until_tag(&runtime, &mut session, b'Z');
        let ran = said.iter().any(|(tag, _)| *tag == b'D');
        assert!(ran || error(&said).unwrap().0 == "57014", "{said:?}");
        verifies.wait().unwrap();
    }
    let mut counted = (0, 0);
    until("each end to be written", SOON, || {
        let records = world.records();
        let of = |what: &'static str| records.iter().filter(move |record| record["type"] == what);
        let approved = of("stepup.ended").filter(|it| it["outcome"] == "approved").count();
        counted = (approved, of("statement.completed").count());
        counted.0 == counted.1
    })
    .unwrap_or_else(|_| panic!("approved and ended: {counted:?}"));
}

/// A server that takes connections and does nothing about them, while sessions go on that are there already.
struct Stopped(String);

impl Stopped {
    /// The postmaster of whose process that is.
    fn of(backend: i32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{backend}/status")).unwrap();
        let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")).unwrap();
        let stopped = Self(parent.trim().to_owned());
        stopped.signal("STOP");
        stopped
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args(["-s", name, &self.0]).status().unwrap().success());
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.signal("CONT");
    }
}

/// Sends a CancelRequest and does not wait for what becomes of it.
fn asks_to_cancel(runtime: &Runtime, world: &World, session: &Upstream) -> TcpStream {
    let length = u32::try_from(12 + session.secret.len()).unwrap().to_be_bytes();
    let key = [&80_877_102_u32.to_be_bytes()[..], &session.pid.to_be_bytes(), &session.secret].concat();
    runtime.block_on(async {
        let mut stream = TcpStream::connect(world.gate.listen()).await.unwrap();
        stream.write_all(&[&length[..], &key].concat()).await.unwrap();
        stream
    })
}

#[test]
fn a_cancel_that_the_server_is_slow_to_take_hits_no_later_statement() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    send(&runtime, &mut session, &query("select pg_sleep(3)"));
    until("the statement to run", SOON, || sleeps(&world)).unwrap();
    let stopped = Stopped::of(session.pid);
    let asked = asks_to_cancel(&runtime, &world, &session);
    assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
    send(&runtime, &mut session, &query("select pg_sleep(2)"));
    // For longer than a request is waited for.
    std::thread::sleep(Duration::from_secs(7));
    drop(stopped);
    assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
    drop(asked);
}

#[test]
fn a_session_whose_cancel_the_server_never_takes_is_ended_and_says_why() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    send(&runtime, &mut session, &query("select pg_sleep(2)"));
    until("the statement to run", SOON, || sleeps(&world)).unwrap();
    let stopped = Stopped::of(session.pid);
    let asked = asks_to_cancel(&runtime, &world, &session);
    assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None);
    send(&runtime, &mut session, &query("delete from products"));
    let begun = Instant::now();
    // Whoever asked waits for less long than the session does.
    let mut asked = asked;
    assert_eq!(runtime.block_on(asked.read(&mut [0])).unwrap(), 0);
    assert!(begun.elapsed() < SOON);
    let ended = [next(&runtime, &mut session, Duration::from_secs(60)).unwrap()];
    let (state, message) = error(&ended).unwrap();
    assert!(state == "08006" && message.contains("does not answer a cancel request"), "{state} {message}");
    drop((stopped, asked));
    let left = world.cluster.psql("shop", "select count(*) from products").unwrap();
    assert_ne!(left.trim(), "0");
}
