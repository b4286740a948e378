//! What runs at the server when its session ends: cancelled where the session was ended, finished where its client has only
//! gone; and until the server is done with it, it counts.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeSet;
use std::time::Duration;

use stepgate_proxy::Upstream;
use stepgate_testkit::{Person, until};
use support::frames::{cancel, execute, extended, frame, next, parse, query, send, sync, until_tag};
use support::raw::{config, run, runtime, session};
use support::relay::Relay;
use support::{EVERYTHING, NOTHING_LABELLED, SOON, World};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::runtime::Runtime;

/// A gate that lets everything through, before a table in which statements leave their marks.
fn world(lines: &str) -> World {
    let mut world = World::not_serving(|text| text);
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.configure(lines);
    let marks = "create table public.marks (what text); grant all on public.marks to stepgate_analyst";
    world.cluster.psql("shop", marks).unwrap();
    world.gate.serve().unwrap();
    world
}

/// How many of the server's processes sleep for somebody.
fn sleepers(world: &World) -> usize {
    let asked = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    world.cluster.psql("shop", asked).unwrap().trim().parse().unwrap()
}

/// How many statements have left this mark.
fn marks(world: &World, what: &str) -> usize {
    let asked = format!("select count(*) from marks where what = '{what}'");
    world.cluster.psql("shop", &asked).unwrap().trim().parse().unwrap()
}

fn all_sleep(world: &World, many: usize) {
    until("the statement to run", SOON, || sleepers(world) == many).unwrap();
}

/// The server has no process of that number any more.
fn is_over(world: &World, pid: i32) {
    let asked = format!("select count(*) from pg_stat_activity where pid = {pid}");
    until("the server's process to end", SOON, || world.cluster.psql("shop", &asked).unwrap().trim() == "0")
        .unwrap();
}

fn sessions(world: &World) -> Vec<String> {
    let listed = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let ids = listed.as_array().unwrap().iter();
    ids.map(|session| session.get("session").unwrap().as_str().unwrap().to_owned()).collect()
}

/// Of which that is the server's process.
fn kill_of(world: &World, pid: i32) {
    let listed = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let session = listed.as_array().unwrap().iter().find(|session| session["pid"] == pid).unwrap();
    world.gate.run(["session", "kill", session["session"].as_str().unwrap()], "").unwrap().ok().unwrap();
}

fn kill_all(world: &World) {
    for session in sessions(world) {
        world.gate.run(["session", "kill", &session], "").unwrap().ok().unwrap();
    }
}

fn open(runtime: &Runtime, world: &World, person: &Person) -> Upstream {
    runtime.block_on(session(&config(world, person))).unwrap()
}

#[test]
fn what_an_ended_session_ran_is_cancelled_at_the_server_and_commits_nothing() {
    let world = world("");
    type Way = (&'static str, fn(&World));
    let ways: [Way; 2] = [
        ("killed", kill_all),
        ("removed", |world| {
            world.gate.run(["user", "rm", "removed"], "").unwrap().ok().unwrap();
        }),
    ];
    for (name, end) in ways {
        let person = world.person(name, "analysts");
        let mut psql = world.psql(&person);
        psql.send(&format!("select pg_sleep(15)\\; insert into marks values ('{name}');")).unwrap();
        all_sleep(&world, 1);
        end(&world);
        assert!(psql.ended(SOON).unwrap().join("\n").contains("this session was ended by"), "{name}");
        until("the statement's end", SOON, || sleepers(&world) == 0).unwrap();
        until("the session's end", SOON, || sessions(&world).is_empty()).unwrap();
        assert_eq!(marks(&world, name), 0, "{name}");
    }
}

#[test]
fn what_a_killed_session_had_sent_ahead_does_not_run_either() {
    let (world, runtime) = (world(""), runtime());
    let dana = world.dana();
    for behind in
        [query("insert into marks values ('behind')"), extended("insert into marks values ('behind')")]
    {
        let mut session = open(&runtime, &world, &dana);
        send(&runtime, &mut session, &[query("select pg_sleep(15)"), behind].concat());
        all_sleep(&world, 1);
        kill_all(&world);
        is_over(&world, session.pid);
        assert_eq!(marks(&world, "behind"), 0);
        until("the session's end", SOON, || sessions(&world).is_empty()).unwrap();
    }
}

#[test]
fn a_gate_that_stops_at_once_cancels_what_runs() {
    let mut world = world("");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select pg_sleep(15)\\; insert into marks values ('stopped');").unwrap();
    all_sleep(&world, 1);
    world.gate.serving().unwrap().signal("TERM").unwrap();
    until("the gate to begin to stop", SOON, || world.gate.log().contains("stopping")).unwrap();
    assert_eq!(sleepers(&world), 1);
    world.gate.serving().unwrap().signal("TERM").unwrap();
    assert_eq!(world.gate.serving().unwrap().exit_status(SOON), Some(0));
    until("the statement's end", Duration::from_secs(5), || sleepers(&world) == 0).unwrap();
    assert_eq!(marks(&world, "stopped"), 0);
}

/// As PostgreSQL has it: whoever does not wait for an answer finds the work done.
#[test]
fn what_a_client_sent_before_it_went_is_finished_and_committed() {
    let (world, runtime) = (world(""), runtime());
    let dana = world.dana();
    let terminate = frame(b'X', b"");
    for (what, sent) in [
        ("gone", query("select pg_sleep(1); insert into marks values ('gone')")),
        (
            "said",
            [query("select pg_sleep(1); insert into marks values ('said')"), terminate.clone()].concat(),
        ),
        (
            "ahead",
            [extended("select pg_sleep(1)"), extended("insert into marks values ('ahead')"), terminate]
                .concat(),
        ),
    ] {
        let mut session = open(&runtime, &world, &dana);
        send(&runtime, &mut session, &sent);
        drop(session);
        until(what, SOON, || marks(&world, what) == 1).unwrap();
    }
    // Who only stops sending is answered.
    let mut session = open(&runtime, &world, &dana);
    send(&runtime, &mut session, &query("select count(*) from products"));
    runtime.block_on(session.stream.shutdown()).unwrap();
    let replies = until_tag(&runtime, &mut session, b'Z');
    assert!(replies.iter().any(|(tag, _)| *tag == b'D'), "{replies:?}");
    until("the sessions' end", SOON, || sessions(&world).is_empty()).unwrap();
}

/// No record tells of a fetch before it ends: that its portal had more is all that is known.
#[test]
fn rows_that_were_fetched_further_when_the_gate_was_killed_have_an_end_in_the_records() {
    let (mut world, runtime) = (world(""), runtime());
    let dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    send(&runtime, &mut session, &query("begin"));
    until_tag(&runtime, &mut session, b'Z');
    let rows = "select repeat('x', 100000), case when n > 5 then pg_sleep(15)::text end from generate_series(1, 9) n";
    let fetch = |many: u8| [frame(b'E', &[b'p', 0, 0, 0, 0, many]), sync()].concat();
    let bind = frame(b'B', b"p\0\0\0\0\0\0\0\0");
    send(&runtime, &mut session, &[parse(rows), bind, fetch(2)].concat());
    until_tag(&runtime, &mut session, b'Z');
    send(&runtime, &mut session, &fetch(0));
    until_tag(&runtime, &mut session, b'D');
    all_sleep(&world, 1);
    until("the pause on record", SOON, || world.recorded("statement.completed", "\"suspended\":true"))
        .unwrap();
    world.gate.kill();
    world.gate.serve().unwrap();
    let records = world.records();
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).collect::<Vec<_>>();
    let completed = of("statement.completed");
    let paused: Vec<_> = completed.iter().filter(|record| record["suspended"] == true).collect();
    assert!(paused.len() == 1 && paused[0]["rows"] == 2, "{completed:?}");
    let unknown = of("statement.outcome_unknown");
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    for member in ["session", "statement"] {
        assert_eq!(unknown[0][member], paused[0][member]);
    }
    // One whose rows were all fetched has ended.
    let mut session = open(&runtime, &world, &dana);
    let rows = parse("select generate_series(1, 5)");
    let begin = query("begin");
    let bind = frame(b'B', b"p\0\0\0\0\0\0\0\0");
    for sent in [begin, [rows, bind, fetch(2)].concat(), fetch(2), fetch(2)] {
        send(&runtime, &mut session, &sent);
        until_tag(&runtime, &mut session, b'Z');
    }
    let has_ended = || {
        let records = world.records();
        let paused = records.iter().rfind(|record| record["suspended"] == true).unwrap();
        let is_its = |record: &&serde_json::Value| {
            record["type"] == "statement.completed"
                && record["suspended"].is_null()
                && ["session", "statement"].iter().all(|member| record[member] == paused[member])
        };
        records.iter().any(|record| is_its(&record))
    };
    until("the end on record", SOON, has_ended).unwrap();
    world.gate.kill();
    world.gate.serve().unwrap();
    let records = world.records();
    assert_eq!(records.iter().filter(|record| record["type"] == "statement.outcome_unknown").count(), 1);
}

/// And all that it was sent is with it before the connection closes: else whoever says goodbye at once would keep out of the
/// records what came of it.
#[test]
fn what_is_sent_before_a_goodbye_is_answered_and_recorded() {
    let (world, runtime) = (world(""), runtime());
    let dana = world.dana();
    let insert = "insert into marks select 'bye' from generate_series(1, 3)";
    let terminate = frame(b'X', b"");
    for (sent, tags, many) in [
        ([query(insert), query("select pg_sleep(1)")].concat(), "CZTDCZ", 3),
        ([extended(insert), extended("select 1")].concat(), "12CZ12DCZ", 6),
        (query("select 1/0"), "EZ", 6),
        // PostgreSQL keeps what nothing has flushed to itself, and undoes what nothing has committed.
        ([parse(insert), execute()].concat(), "", 6),
    ] {
        let mut session = open(&runtime, &world, &dana);
        send(&runtime, &mut session, &[sent, terminate.clone()].concat());
        let mut replies = session.leftover.split().to_vec();
        runtime.block_on(session.stream.read_to_end(&mut replies)).unwrap();
        assert_eq!(tags_of(&replies), tags);
        assert_eq!(marks(&world, "bye"), many);
    }
    until("the sessions' end", SOON, || sessions(&world).is_empty()).unwrap();
    let records = world.records();
    let of = |kind: &str| records.iter().filter(|record| record["type"] == kind).collect::<Vec<_>>();
    let completed = of("statement.completed");
    assert!(completed.len() == 5 && completed.iter().any(|it| it["sqlstate"] == "22012"), "{completed:?}");
    assert_eq!(of("statement.outcome_unknown").len(), 1);
    assert!(of("session.closed").iter().all(|record| record["reason"] == "terminate"));
}

/// Their portals are made anew before they are executed: no reply ever says that they have ended.
#[test]
fn what_is_bound_and_never_executed_pushes_no_other_statement_out_of_the_records() {
    let (world, runtime) = (world(""), runtime());
    let dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    let binds = frame(b'B', &[0; 8]).repeat(8_500);
    let flush = frame(b'H', b"");
    let sleeps = query("select pg_sleep(1); insert into marks values ('bound')");
    send(&runtime, &mut session, &[sleeps, parse("select 1"), binds, flush].concat());
    let mut bound = 0;
    while bound < 8_500 {
        let (tag, _) = next(&runtime, &mut session, SOON).unwrap();
        bound += usize::from(tag == b'2');
    }
    send(&runtime, &mut session, &[sync(), query("insert into marks values ('bound')")].concat());
    until_tag(&runtime, &mut session, b'Z');
    until_tag(&runtime, &mut session, b'C');
    drop(session);
    until("the sessions' end", SOON, || sessions(&world).is_empty()).unwrap();
    assert_eq!(marks(&world, "bound"), 2);
    let of_kinds = |records: &[serde_json::Value], kinds: &[&str]| {
        let of_kind = records.iter().filter(|it| kinds.contains(&it["type"].as_str().unwrap_or_default()));
        of_kind.map(|it| it["statement"].to_string()).collect::<BTreeSet<_>>()
    };
    let path = world.tree.path().join("records.jsonl");
    until("each of them to have an end in the log", SOON, || {
        let _ = std::fs::remove_file(&path);
        world.gate.run(["audit", "export", "--out", path.to_str().unwrap()], "").unwrap().ok().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let records: Vec<_> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let decided = of_kinds(&records, &["statement.decided"]);
        let ended = of_kinds(&records, &["statement.completed", "statement.outcome_unknown"]);
        decided.len() > 8_500 && decided.is_subset(&ended)
    })
    .unwrap();
}

/// PostgreSQL finds out that something is no message when it comes to it.
#[test]
fn what_is_sent_before_something_that_is_no_message_is_done_and_answered() {
    let (world, runtime) = (world(""), runtime());
    let dana = world.dana();
    let insert = "insert into marks values ('broken')";
    let named =
        [frame(b'P', &[&b"s\0"[..], insert.as_bytes(), b"\0\0\0"].concat()), frame(b'S', b"")].concat();
    let its = [frame(b'B', b"\0s\0\0\0\0\0\0\0"), frame(b'E', &[0; 5]), frame(b'S', b"")].concat();
    let sleeps = [query("select pg_sleep(1)"), query(insert)].concat();
    let mut many = 0;
    for (sent, tags) in [
        (query(insert), "CZE"),
        (extended(insert), "12CZE"),
        ([named, its].concat(), "1Z2CZE"),
        (sleeps, "TDCZCZE"),
        ([query("begin"), query(insert), query("commit")].concat(), "CZCZCZE"),
    ] {
        for broken in [&b"\x01\0\0\0\x04"[..], b"Q\0\0\0\x01", b"Q\x7f\xff\xff\xff"] {
            let mut session = open(&runtime, &world, &dana);
            send(&runtime, &mut session, &[&sent, broken].concat());
            let mut replies = session.leftover.split().to_vec();
            runtime.block_on(session.stream.read_to_end(&mut replies)).unwrap();
            many += 1;
            assert_eq!((tags_of(&replies).as_str(), marks(&world, "broken")), (tags, many));
        }
    }
    // Nothing comes before it, or nothing that is more than begun.
    for (sent, tags) in [(Vec::new(), "E"), ([parse(insert), execute()].concat(), "E")] {
        let mut session = open(&runtime, &world, &dana);
        send(&runtime, &mut session, &[&sent[..], b"\x01\0\0\0\x04"].concat());
        let mut replies = session.leftover.split().to_vec();
        runtime.block_on(session.stream.read_to_end(&mut replies)).unwrap();
        assert_eq!((tags_of(&replies).as_str(), marks(&world, "broken")), (tags, many));
    }
    until("the sessions' end", SOON, || sessions(&world).is_empty()).unwrap();
    let records = world.records();
    let closed = records.iter().filter(|record| record["type"] == "session.closed");
    assert!(closed.clone().count() == 17 && closed.clone().all(|record| record["reason"] == "protocol"));
}

/// The tags of whole messages.
fn tags_of(mut messages: &[u8]) -> String {
    let mut tags = String::new();
    while let [tag, length @ ..] = messages {
        let length = u32::from_be_bytes(*length.first_chunk().unwrap());
        messages = messages.get(1 + usize::try_from(length).unwrap()..).unwrap();
        tags.push(char::from(*tag));
    }
    tags
}

#[test]
fn whoever_sends_and_goes_has_no_more_of_the_servers_processes_than_sessions() {
    let (world, runtime) = (world("limits: {per_person: 2}"), runtime());
    let dana = world.dana();
    let how = config(&world, &dana);
    let mut left = Vec::new();
    let mut refused = 0;
    for _ in 0..6 {
        match runtime.block_on(session(&how)) {
            Ok(mut session) => {
                send(&runtime, &mut session, &query("select pg_sleep(300)"));
                left.push((session.pid, session.secret.clone()));
                all_sleep(&world, left.len());
            }
            Err((state, said)) => {
                assert_eq!(state, "53300", "{said}");
                refused += 1;
            }
        }
    }
    assert_eq!((left.len(), refused), (2, 4));
    all_sleep(&world, 2);
    assert_eq!(sessions(&world).len(), 2);
    // Its key still reaches it, and the operator does.
    let (pid, secret) = left.first().unwrap();
    cancel(&runtime, &world, *pid, secret);
    is_over(&world, *pid);
    until("the first place", SOON, || sessions(&world).len() == 1).unwrap();
    kill_all(&world);
    until("the second place", SOON, || sessions(&world).is_empty()).unwrap();
    assert_eq!(sleepers(&world), 0);
    let mut session = open(&runtime, &world, &dana);
    assert!(runtime.block_on(run(&mut session, "select 1")).is_ok());
}

/// PostgreSQL would have found it out by what it writes.
#[test]
fn a_result_that_nobody_reads_any_more_is_not_made_to_its_end() {
    let (world, runtime) = (world(""), runtime());
    let dana = world.dana();
    let mut session = open(&runtime, &world, &dana);
    send(&runtime, &mut session, &query("select repeat('x', 1000), generate_series(1, 2000000000)"));
    // It has begun.
    assert!(runtime.block_on(session.stream.read(&mut [0; 64])).unwrap() > 0);
    let pid = session.pid;
    drop(session);
    is_over(&world, pid);
    until("the session's end", SOON, || sessions(&world).is_empty()).unwrap();
}

/// Of such a server nobody hears whether what was left there goes on: no connection to it is ever closed.
#[test]
fn a_server_that_vanishes_keeps_nobodys_place() {
    let mut world = World::not_serving(|text| text);
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    world.configure("limits: {per_person: 3}");
    let relay = Relay::of(&world);
    world.gate.serve().unwrap();
    let (dana, runtime) = (world.dana(), runtime());
    let mut all = [(); 3].map(|()| open(&runtime, &world, &dana));
    for session in &mut all {
        send(&runtime, session, &query("select pg_sleep(300)"));
    }
    all_sleep(&world, 3);
    let [killed, left, mut polite] = all;
    drop(left);
    send(&runtime, &mut polite, &frame(b'X', b""));
    // As long as the server is there, what was left has its place, however silent it is.
    std::thread::sleep(Duration::from_secs(8));
    assert_eq!((sessions(&world).len(), sleepers(&world)), (3, 3));
    relay.stop();
    kill_of(&world, killed.pid);
    until("all places", Duration::from_secs(45), || sessions(&world).is_empty()).unwrap();
    drop(killed);
    assert!(world.gate.log().contains("the server answers nobody"), "{}", world.gate.log());
    relay.flow();
    until("a new session", SOON, || runtime.block_on(session(&config(&world, &dana))).is_ok()).unwrap();
}
