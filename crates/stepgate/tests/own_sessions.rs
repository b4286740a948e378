//! `pg_cancel_backend` and `pg_terminate_backend`: one's own sessions, and nobody else's.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use stepgate_testkit::Psql;
use support::frames::{call, error, query, send, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, passes};

fn pid(psql: &mut Psql) -> String {
    let reply = psql.run("select pg_backend_pid();").unwrap();
    reply.lines.iter().find_map(|line| line.trim().parse::<u32>().ok()).unwrap().to_string()
}

/// A statement that runs until somebody stops it.
fn sleeps(psql: &mut Psql) {
    psql.send("select pg_sleep(60);").unwrap();
    assert!(psql.is_silent_for(Duration::from_millis(500)));
}

#[test]
fn a_session_of_ones_own_is_cancelled_and_ended_unasked() {
    let world = World::new();
    let dana = world.dana();
    let (mut stuck, mut psql) = (world.psql(&dana), world.psql(&dana));
    let pid = pid(&mut stuck);
    sleeps(&mut stuck);
    passes(&mut psql, &format!("select pg_cancel_backend({pid});"));
    assert_eq!(stuck.finish(SOON).unwrap().sqlstate, "57014");
    sleeps(&mut stuck);
    passes(&mut psql, &format!("select pg_catalog.pg_terminate_backend({pid});"));
    assert!(stuck.ended(SOON).unwrap().join("\n").contains("terminating connection"));
}

#[test]
fn nobody_elses_session_is_reached_although_the_server_would_allow_it() {
    let world = World::new();
    let (dana, eve) = (world.dana(), world.person("eve", "analysts"));
    let (mut victim, mut attacker) = (world.psql(&dana), world.psql(&eve));
    let pid = pid(&mut victim);
    sleeps(&mut victim);
    for attack in [
        format!("select pg_cancel_backend({pid});"),
        format!("select pg_terminate_backend({pid});"),
        format!("select pg_catalog.pg_terminate_backend ( {pid} );"),
        format!("select pg_terminate_backend({pid}, 100);"),
        "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid();".to_owned(),
        format!("select 1 from (select pg_cancel_backend({pid})) x;"),
        format!("prepare k as select pg_cancel_backend({pid});"),
    ] {
        let reply = attacker.run(&attack).unwrap();
        assert_eq!(reply.sqlstate, "42501", "{attack}: {}", reply.text());
        assert!(reply.text().contains("stepgate: only sessions of your own"), "{}", reply.text());
    }
    assert!(victim.is_silent_for(Duration::from_millis(300)), "{:?}", victim.shown());
    // That it was the gate, and not a rule.
    let refused = |it: &&serde_json::Value| it["verdict"] == "deny" && it["person"] == "eve";
    let records = world.records();
    let refused: Vec<_> = records.iter().filter(refused).collect();
    assert_eq!(refused.len(), 7);
    assert!(refused.iter().all(|it| it["refusal"] == "not-own-session"), "{refused:?}");
    let asked = ["audit", "search", "--outcome", "not-own-session", "--person", "eve"];
    let found = world.gate.run(asked, "").unwrap().ok().unwrap();
    assert_eq!(found.matches("deny: not-own-session").count(), 7, "{found}");
    // Her own word still reaches her own session.
    let mut other = world.psql(&dana);
    passes(&mut other, &format!("select pg_cancel_backend({pid});"));
    assert_eq!(victim.finish(SOON).unwrap().sqlstate, "57014");
}

/// `pg_proc.oid` of `pg_cancel_backend(int4)` and `pg_terminate_backend(int4, int8)`, since PostgreSQL 8.0 and 14.
const CANCEL: u32 = 2171;
const TERMINATE: u32 = 2096;

#[test]
fn by_a_function_call_of_the_protocol_nobody_elses_session_is_reached_either() {
    let (world, runtime) = (World::new(), runtime());
    let (dana, eve) = (world.dana(), world.person("eve", "analysts"));
    let open = |person| runtime.block_on(session(&config(&world, person))).unwrap();
    let (mut victim, mut attacker, mut other) = (open(&dana), open(&eve), open(&dana));
    let of_victim = victim.pid.to_string();
    send(&runtime, &mut victim, &query("select pg_sleep(60)"));
    let sleeps = "select count(*) from pg_stat_activity where wait_event = 'PgSleep'";
    stepgate_testkit::until("it to run", SOON, || world.cluster.psql("shop", sleeps).unwrap().trim() == "1")
        .unwrap();
    for attack in [call(CANCEL, &[&of_victim]), call(TERMINATE, &[&of_victim, "0"])] {
        send(&runtime, &mut attacker, &attack);
        let replies = until_tag(&runtime, &mut attacker, b'Z');
        let (state, message) = error(&replies).unwrap();
        assert!(state == "42501" && message.starts_with("stepgate: "), "{state} {message}");
        assert!(!replies.iter().any(|(tag, _)| *tag == b'V'), "{replies:?}");
    }
    assert_eq!(world.cluster.psql("shop", sleeps).unwrap().trim(), "1");
    // Her own word reaches it: the statement, then the session.
    for (attack, state) in
        [(call(CANCEL, &[&of_victim]), "57014"), (call(TERMINATE, &[&of_victim, "0"]), "57P01")]
    {
        send(&runtime, &mut other, &attack);
        let replies = until_tag(&runtime, &mut other, b'Z');
        assert_eq!(error(&replies), None);
        assert!(replies.contains(&(b'V', b"\0\0\0\x01t".to_vec())), "{replies:?}");
        let told = until_tag(&runtime, &mut victim, b'E');
        assert_eq!(error(&told).unwrap().0, state);
    }
}
