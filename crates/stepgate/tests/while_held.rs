//! A statement is held: what the server keeps for its session meanwhile, and what still reaches the client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::{Duration, Instant};

use stepgate_proxy::Upstream;
use stepgate_testkit::{Person, until};
use support::frames::{
    Message, describe, error, execute, extended, frame, held, is_keep_alive, next, parse, query, send, sync,
    until_tag,
};
use support::raw::{config, runtime, session};
use support::{SOON, World, connects_as, repository};
use tokio::runtime::Runtime;

const SSN: &str = "select ssn from customers order by id limit 1";

fn open(runtime: &Runtime, world: &World, person: &Person) -> Upstream {
    runtime.block_on(session(&config(world, person))).unwrap()
}

/// What the server's process keeps: transaction id, snapshot, and locks.
fn kept(world: &World, pid: i32) -> (String, String, Vec<String>) {
    let sql = format!(
        "select coalesce(backend_xid::text, 'none') || '|' || coalesce(backend_xmin::text, 'none') || '|' || \
         coalesce((select string_agg(locktype || coalesce(' ' || relation::regclass, '') || ' ' || mode, ',') \
         from pg_locks where pg_locks.pid = pg_stat_activity.pid), '') from pg_stat_activity where pid = {pid}"
    );
    let told = world.cluster.psql("shop", &sql).unwrap();
    let mut parts = told.trim().split('|').map(str::to_owned);
    let (xid, xmin, locks) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
    (xid, xmin, locks.split(',').filter(|lock| !lock.is_empty()).map(str::to_owned).collect())
}

#[test]
fn nothing_is_kept_from_others_while_a_statement_is_held() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    let begin = query("begin");
    let read = query("select count(*) from products");
    let ahead = [parse(SSN), describe(), sync()].concat();
    // As asyncpg does it.
    let asked_ahead = [parse(SSN), describe(), frame(b'H', b"")].concat();
    let of_it = [execute(), sync()].concat();
    // What goes before, each waited for; what is held; and whether a transaction is open meanwhile.
    type Case<'a> = (&'a str, &'a [&'a [u8]], &'a [u8], bool);
    let cases: [Case<'_>; 8] = [
        ("simple", &[], &query(SSN), false),
        ("extended", &[], &extended(SSN), false),
        ("parsed ahead", &[&ahead], &of_it, false),
        ("parsed ahead in the same segment", &[&asked_ahead], &of_it, false),
        ("simple behind BEGIN", &[&begin], &query(SSN), true),
        ("extended behind BEGIN", &[&begin], &extended(SSN), true),
        ("simple behind a read", &[&begin, &read], &query(SSN), true),
        ("extended behind a read", &[&begin, &read], &extended(SSN), true),
    ];
    for (what, before, statement, in_transaction) in cases {
        let mut session = open(&runtime, &world, &dana);
        for before in before {
            send(&runtime, &mut session, before);
            let last = if before.ends_with(b"H\0\0\0\x04") { b'T' } else { b'Z' };
            assert_eq!(error(&until_tag(&runtime, &mut session, last)), None, "{what}");
        }
        send(&runtime, &mut session, statement);
        let request = held(&runtime, &mut session);
        // What is parsed already, the server may be about to let go of.
        until(what, SOON, || !kept(&world, session.pid).2.iter().any(|lock| lock.contains("customers")))
            .unwrap();
        let (xid, xmin, locks) = kept(&world, session.pid);
        assert_eq!((xid.as_str(), xmin.as_str()), ("none", "none"), "{what}: {locks:?}");
        if in_transaction {
            // Its own number, which nobody else waits for, and what was read by a lock that only DDL conflicts with.
            let harmless =
                |lock: &String| lock == "virtualxid ExclusiveLock" || lock.ends_with(" AccessShareLock");
            assert!(locks.iter().all(harmless), "{what}: {locks:?}");
            assert!(!locks.iter().any(|lock| lock.contains("customers")), "{what}: {locks:?}");
        } else {
            assert!(locks.is_empty(), "{what}: {locks:?}");
        }
        world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        let replies = until_tag(&runtime, &mut session, b'Z');
        assert_eq!(error(&replies).unwrap().0, "57014", "{what}");
    }
}

/// Process id, channel and payload of a NotificationResponse.
fn notification((tag, body): &Message) -> Option<(i32, String, String)> {
    let (pid, texts) = body.split_first_chunk().filter(|_| *tag == b'A')?;
    let mut texts = texts.split(|byte| *byte == 0).map(|text| String::from_utf8(text.to_vec()).unwrap());
    Some((i32::from_be_bytes(*pid), texts.next()?, texts.next()?))
}

#[test]
fn notifications_come_during_a_hold_and_say_of_whom() {
    let (world, runtime) = (World::new(), runtime());
    let (mut dana, eve) = (world.dana(), world.person("eve", "analysts"));
    let (mut listener, mut other) = (open(&runtime, &world, &dana), open(&runtime, &world, &eve));
    for sql in ["listen news", "notify news, 'mine'"] {
        send(&runtime, &mut listener, &query(sql));
        let replies = until_tag(&runtime, &mut listener, b'Z');
        assert_eq!(error(&replies), None);
        let told: Vec<_> = replies.iter().filter_map(notification).collect();
        let own = (listener.pid, "news".to_owned(), "mine".to_owned());
        assert_eq!(told, if sql.starts_with("notify") { vec![own] } else { Vec::new() });
    }
    send(&runtime, &mut listener, &query(SSN));
    let request = held(&runtime, &mut listener);
    send(&runtime, &mut other, &query("notify news, 'theirs'"));
    assert_eq!(error(&until_tag(&runtime, &mut other, b'Z')), None);
    let told = until_tag(&runtime, &mut listener, b'A').last().and_then(notification);
    assert_eq!(told, Some((other.pid, "news".to_owned(), "theirs".to_owned())));
    // It is held still.
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let tags: Vec<_> =
        until_tag(&runtime, &mut listener, b'Z').iter().map(|(tag, _)| char::from(*tag)).collect();
    assert_eq!(tags, ['T', 'D', 'C', 'Z']);
}

/// How long a client with a short read timeout waits for a byte, and a hold lasts.
const SOCKET_TIMEOUT: Duration = Duration::from_secs(2);
const HOLD: Duration = Duration::from_secs(5);

#[test]
fn a_client_that_waits_for_two_seconds_at_most_is_still_there_after_five() {
    let (world, runtime) = (World::new(), runtime());
    let mut dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    send(&runtime, &mut session, &query(SSN));
    let request = held(&runtime, &mut session);
    let begin = Instant::now();
    while begin.elapsed() < HOLD {
        let message = next(&runtime, &mut session, SOCKET_TIMEOUT).unwrap();
        assert!(is_keep_alive(&message), "{message:?}");
    }
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let tags: Vec<_> =
        until_tag(&runtime, &mut session, b'Z').iter().map(|(tag, _)| char::from(*tag)).collect();
    assert_eq!(tags, ['T', 'D', 'C', 'Z']);
}

/// The same of a driver that sets the timeout of its socket.
#[test]
fn a_driver_whose_socket_times_out_after_two_seconds_survives_a_hold_of_five() {
    let library = repository().join(".work/pg8000");
    if !library.exists() {
        return stepgate_testkit::skip("pg8000", "tests/tools/clients.sh");
    }
    let world = World::new();
    let mut dana = world.dana();
    let script = "import os, ssl, pg8000.native
tls = ssl.create_default_context(cafile=os.environ['PGSSLROOTCERT'])
env = os.environ
conn = pg8000.native.Connection(env['PGUSER'], host=env['PGHOST'], port=int(env['PGPORT']), database=env['PGDATABASE'],
                                password=env['PGPASSWORD'], ssl_context=tls, timeout=2)
print(conn.run('select ssn from customers order by id limit 1'))";
    let mut command = std::process::Command::new("python3");
    command.env("PYTHONPATH", library).args(["-c", script]);
    let child = connects_as(&mut command, &world, &dana).spawn().unwrap();
    let request = world.open_request(&dana);
    std::thread::sleep(HOLD);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    assert_eq!(String::from_utf8_lossy(&text), "[['901-00-0001']]\n");
    assert!(output.status.success());
}

#[test]
fn a_transaction_that_has_read_outlives_the_servers_idle_timeout_while_its_statement_is_held() {
    let (world, runtime) = (World::new(), runtime());
    let mut dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    let set_up =
        ["set idle_in_transaction_session_timeout = '1500ms'", "begin", "select count(*) from products"];
    for sql in set_up {
        send(&runtime, &mut session, &query(sql));
        assert_eq!(error(&until_tag(&runtime, &mut session, b'Z')), None, "{sql}");
    }
    send(&runtime, &mut session, &extended(SSN));
    let request = held(&runtime, &mut session);
    let begin = Instant::now();
    while begin.elapsed() < 2 * SOCKET_TIMEOUT {
        assert!(is_keep_alive(&next(&runtime, &mut session, SOON).unwrap()));
    }
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let replies = until_tag(&runtime, &mut session, b'Z');
    assert_eq!(error(&replies), None);
    assert!(replies.iter().any(|(tag, _)| *tag == b'D') && replies.last().unwrap().1 == b"T");
}
