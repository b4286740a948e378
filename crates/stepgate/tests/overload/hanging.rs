//! A server that says nothing any more, and closes nothing: whoever comes is told in time, what is there already can be
//! called off, and when it is back nothing has to be started anew.

use std::time::{Duration, Instant};

use stepgate_testkit::until;

use super::support::frames::{cancel, next, query, send};
use super::support::raw::{config, run, runtime, session};
use super::support::relay::Relay;
use super::support::{SOON, World};
use super::{GROWTH, join};

/// A login may take so long.
const LOGIN: Duration = Duration::from_secs(3);

fn world() -> (World, Relay) {
    let mut world = World::not_serving(|text| text);
    world.configure("limits: {login: 3s, per_person: 100}");
    let relay = Relay::of(&world);
    world.gate.serve().unwrap();
    (world, relay)
}

/// How many sessions the gate has.
fn sessions(world: &World) -> usize {
    let listed = world.gate.run(["session", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    listed.as_array().unwrap().len()
}

#[test]
fn while_a_server_takes_connections_and_says_nothing_everybody_is_told_in_time_and_nobody_waits_in_a_queue() {
    let (mut world, relay) = world();
    let (dana, runtime) = (world.dana(), runtime());
    let how = config(&world, &dana);
    let mut early = runtime.block_on(session(&how)).unwrap();
    assert!(runtime.block_on(run(&mut early, "select count(*) from customers")).is_ok());
    let (rss, files) = (world.status("VmRSS"), world.files());
    relay.stop();
    // In two rounds: by what is known of the database, and once the catalog could not be read.
    for _ in 0..2 {
        let begun = Instant::now();
        let told = runtime.block_on(join((0..60).map(|_| {
            let how = how.clone();
            async move { session(&how).await.err() }
        })));
        assert!(begun.elapsed() < LOGIN + Duration::from_secs(3), "{:?}", begun.elapsed());
        for error in told {
            let (state, said) = error.unwrap();
            assert!(state == "08006" && said.contains("stepgate: cannot reach database"), "{state} {said}");
        }
    }
    assert!(world.status("VmRSS") < rss + GROWTH);
    until("what was begun to be given up", SOON, || world.files() < files + 20).unwrap();
    assert_eq!(sessions(&world), 1, "who was there is there still");
    relay.flow();
    until("new sessions", SOON, || runtime.block_on(session(&how)).is_ok()).unwrap();
    assert!(runtime.block_on(run(&mut early, "select count(*) from customers")).is_ok());
}

#[test]
fn a_gate_that_begins_before_a_server_that_says_nothing_tells_everybody_so_and_serves_once_it_speaks() {
    let (mut world, relay) = world();
    let dana = world.dana();
    assert_eq!(world.gate.terminate().unwrap(), 0);
    relay.stop();
    world.gate.serve().unwrap();
    let (how, runtime) = (config(&world, &dana), runtime());
    // It tries for a while before it takes anybody.
    assert!(runtime.block_on(session(&how)).is_err());
    let begun = Instant::now();
    let told = runtime.block_on(join((0..20).map(|_| {
        let how = how.clone();
        async move { session(&how).await.err() }
    })));
    assert!(begun.elapsed() < LOGIN + Duration::from_secs(3), "{:?}", begun.elapsed());
    assert!(told.iter().flatten().all(|(state, _)| state == "08006"), "{told:?}");
    relay.flow();
    until("a session", SOON, || runtime.block_on(session(&how)).is_ok()).unwrap();
    // And again: it is asked to stop while somebody waits for the server.
    relay.stop();
    let waits = std::net::TcpStream::connect(world.gate.listen()).unwrap();
    let begun = Instant::now();
    assert_eq!(world.gate.terminate().unwrap(), 0);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    drop(waits);
}

#[test]
fn a_result_that_stops_in_the_middle_can_be_called_off_and_left_and_goes_on_where_it_was() {
    let (mut world, relay) = world();
    let (dana, runtime) = (world.dana(), runtime());
    let how = config(&world, &dana);
    let [mut stays, mut leaves] = [(); 2].map(|()| runtime.block_on(session(&how)).unwrap());
    let before = world.status("VmRSS");
    let large = "select repeat('x', 1000), n from generate_series(1, 20000) as n";
    relay.stop_after(300_000);
    for session in [&mut stays, &mut leaves] {
        send(&runtime, session, &query(large));
    }
    let mut rows = 0;
    while let Some((tag, _)) = next(&runtime, &mut stays, Duration::from_secs(1)) {
        assert!(matches!(tag, b'T' | b'D'), "{}", char::from(tag));
        rows += usize::from(tag == b'D');
    }
    assert!(rows < 300, "{rows} rows of a network that has stopped");
    // A cancel request is not for ever under way, and one that leaves is not kept.
    let begun = Instant::now();
    cancel(&runtime, &world, stays.pid, &stays.secret.clone());
    assert!(begun.elapsed() < Duration::from_secs(12), "{:?}", begun.elapsed());
    drop(leaves);
    until("its place", SOON, || sessions(&world) == 1).unwrap();
    assert!(world.status("VmRSS") < before + GROWTH);
    relay.flow();
    let end = loop {
        match next(&runtime, &mut stays, SOON).unwrap() {
            (b'D', _) => rows += 1,
            // The other one's rows may have taken all that came through before.
            (b'T', _) => {}
            (tag, _) => break tag,
        }
    };
    // All of it, or an error: the cancel request came through with the rest.
    assert!(end == b'E' || (end == b'C' && rows == 20_000), "{} after {rows} rows", char::from(end));
    until("the end of what it runs", SOON, || {
        next(&runtime, &mut stays, SOON).is_some_and(|(tag, _)| tag == b'Z')
    })
    .unwrap();
    assert!(runtime.block_on(run(&mut stays, "select 1")).is_ok());
    assert!(runtime.block_on(session(&how)).is_ok());
}
