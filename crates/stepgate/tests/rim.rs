//! The rim of a running gate under attack and in distress: floods, clients that read nothing, clients that vanish.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use support::{SOON, World};

/// A number that `/proc/PID/status` tells of the gate, such as its resident kilobytes.
fn status(world: &mut World, key: &str) -> u64 {
    let pid = world.gate.serving().unwrap().pid();
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// What a connection was told without having said anything, if it was closed.
fn last_words(connection: &mut TcpStream) -> Option<String> {
    connection.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    let mut told = Vec::new();
    match connection.read_to_end(&mut told) {
        Ok(_) => Some(String::from_utf8_lossy(&told).into_owned()),
        Err(_) => None,
    }
}

#[test]
fn an_idle_flood_from_one_address_shuts_out_nobody_and_is_told_why_it_is_refused() {
    let mut world = World::new();
    let dana = world.dana();
    assert!(world.psql(&dana).run("select 1;").unwrap().is_ok());
    let before = status(&mut world, "VmRSS");
    let mut flood: Vec<_> = (0..1_500).map(|_| TcpStream::connect(world.gate.listen()).unwrap()).collect();
    // The very address that the flood comes from.
    let begun = Instant::now();
    let mut psql = world.psql(&dana);
    assert!(psql.run("select count(*) from customers;").unwrap().is_ok());
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let grown = status(&mut world, "VmRSS").saturating_sub(before);
    assert!(grown < 40 << 10, "{grown} kB for idle connections");
    let told: Vec<_> = flood.iter_mut().filter_map(last_words).collect();
    assert!(told.len() >= 1_200, "{} of 1,500 were refused", told.len());
    let clear =
        told.iter().filter(|words| words.contains("C53300\0") && words.contains("stepgate: too many"));
    assert_eq!(clear.count(), told.len());
    drop(flood);
    assert!(world.psql(&dana).run("select 1;").unwrap().is_ok());
}

#[test]
fn who_trickles_a_startup_packet_has_no_longer_than_everybody_for_a_login() {
    let world = World::configured("limits: {login: 2s}");
    let mut slow = TcpStream::connect(world.gate.listen()).unwrap();
    let mut silent = TcpStream::connect(world.gate.listen()).unwrap();
    let begun = Instant::now();
    let ended = stepgate_testkit::until("the end of both", SOON, || {
        let _ = slow.write_all(&[0]);
        std::thread::sleep(Duration::from_millis(300));
        last_words(&mut slow).is_some() && last_words(&mut silent).is_some()
    });
    ended.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(1_500), "{:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
}

#[test]
fn one_person_cannot_take_all_sessions_and_is_told_so() {
    let world = World::configured("limits: {sessions: 3, per_person: 2}");
    let (dana, olga) = (world.dana(), world.olga());
    let mut open: Vec<_> = (0..2).map(|_| world.psql(&dana)).collect();
    assert!(open.iter_mut().all(|psql| psql.run("select 1;").unwrap().is_ok()));
    let refused = |person| {
        let output = world.gate.psql_command(person).args(["-X", "-c", "select 1"]).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (connected, said) = refused(&dana);
    assert!(!connected && said.contains("stepgate: too many sessions of dana (limit 2)"), "{said}");
    let mut third = world.psql(&olga);
    assert!(third.run("select 1;").unwrap().is_ok());
    let (connected, said) = refused(&olga);
    assert!(!connected && said.contains("stepgate: too many sessions"), "{said}");
    drop(open);
    let again = || refused(&dana).0;
    stepgate_testkit::until("a session to be free again", SOON, again).unwrap();
}

#[test]
fn there_are_files_for_all_the_sessions_that_are_configured() {
    let mut world = World::not_serving(|text| text);
    world.gate.serve_through("ulimit -S -n 256; exec \"$@\"").unwrap();
    let pid = world.gate.serving().unwrap().pid();
    let limits = std::fs::read_to_string(format!("/proc/{pid}/limits")).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (soft, hard): (u64, u64) = (fields[3].parse().unwrap(), fields[4].parse().unwrap());
    assert_eq!(soft, 8_096.min(hard), "{line}");
}
