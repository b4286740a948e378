//! Random pipelines, random verdicts, random cuts and orders, against a small PostgreSQL: the client sees what it would
//! have seen without a gate, nothing runs that was not let through, and nothing is ever stuck.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

mod rig;
mod server;
#[path = "../support/mod.rs"]
mod support;

use bytes::Bytes;
use proptest::prelude::*;
use rig::play;
use server::Server;
use stepgate_wire::{Cutter, Side};
use support::{bind, close_statement, find, frame, parse, query, sync, tags};

/// What may be sent by Query and by Parse.
const TEXTS: [&str; 31] = [
    "select a from t",
    "select a from t",
    "select a from app.hold",
    "select a from app.hold",
    "select a from app.holdno",
    "select a from app.deny",
    "select a from app.deny",
    "select 1/0",
    "selec a",
    "",
    "begin",
    "begin",
    "commit",
    "rollback",
    "savepoint a",
    "rollback to a",
    "release a",
    "insert into t values (1)",
    "insert into app.hold values (1)",
    "copy t to stdout",
    "prepare ps as select a from t",
    "prepare ps as select a from app.deny",
    "execute ps",
    "execute s1",
    "prepare s1 as select a from t",
    "deallocate ps",
    "deallocate s1",
    "deallocate all",
    "declare c cursor for select a from t",
    "fetch 2 from c",
    "close c",
];
const STATEMENTS: [&str; 4] = ["", "s1", "s2", "ps"];
const PORTALS: [&str; 4] = ["", "p1", "c", "p2"];

fn refuses(text: &str) -> bool {
    text.contains("app.deny") || text.contains("app.holdno")
}

fn execute(portal: &str, rows: u8) -> Vec<u8> {
    frame(b'E', &[portal.as_bytes(), b"\0\0\0\0", &[rows]].concat())
}

fn describe(kind: char, name: &str) -> Vec<u8> {
    frame(b'D', format!("{kind}{name}\0").as_bytes())
}

fn executed(name: &str, described: bool) -> Vec<Vec<u8>> {
    let described = described.then(|| describe('P', ""));
    let rest = described.into_iter().chain([execute("", 0), sync()]);
    std::iter::once(bind("", name)).chain(rest).collect()
}

fn copy(extended: bool, end: u8, data: Vec<bool>, early_sync: bool) -> Vec<Vec<u8>> {
    let mut frames = if extended {
        vec![parse("", "copy t from stdin"), bind("", ""), execute("", 0)]
    } else {
        vec![query("copy t from stdin")]
    };
    if early_sync {
        frames.push(sync());
    }
    let line =
        |good| if good { b"some data that is longer than what is cut\n".to_vec() } else { b"bad\n".to_vec() };
    frames.extend(data.into_iter().map(|good| frame(b'd', &line(good))));
    frames.push(frame(if end == 0 { b'f' } else { b'c' }, if end == 0 { b"no\0" } else { b"" }));
    if extended {
        frames.push(sync());
    }
    frames
}

/// A transaction that fails and is ended, or gone back in, by what is flushed or not; and what comes then.
fn failed(end: &str, how: u8, then: &str) -> Vec<Vec<u8>> {
    let run = |text: &str, last: Vec<u8>| vec![parse("", text), bind("", ""), execute("", 0), last];
    let extended = how & 1 == 0;
    let one = |text: &str| if extended { run(text, sync()) } else { vec![query(text)] };
    let last = if how & 2 == 0 { frame(b'H', b"") } else { sync() };
    [one("begin"), one("savepoint a"), one("select 1/0"), run(end, last), executed_now(then, how & 4 == 0)]
        .concat()
}

/// A client that is slow behind a Parse, or the Flush behind that, and what comes next: data that nothing reads, a Flush, a Query.
fn overdue(flushed: bool, next: u8, behind: u8, then: &str) -> Vec<Vec<u8>> {
    let mut frames = if flushed {
        vec![parse("", "select a from app.slow limit 1"), frame(b'H', b"")]
    } else {
        vec![parse("", "select a from app.slow")]
    };
    for tag in [next, behind] {
        match tag {
            b'Q' => frames.push(query("select a from t")),
            b'B' => frames.extend([bind("", ""), execute("", 0)]),
            b'f' => frames.push(frame(b'f', b"stray\0")),
            tag => frames.push(frame(tag, b"")),
        }
    }
    frames.extend([sync(), query("begin"), query("rollback to a"), query("rollback"), query(then)]);
    frames
}

fn executed_now(text: &str, simple: bool) -> Vec<Vec<u8>> {
    if simple { vec![query(text)] } else { vec![parse("", text), bind("", ""), execute("", 0), sync()] }
}

fn step() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = || prop::sample::select(TEXTS.to_vec());
    let name = || prop::sample::select(STATEMENTS.to_vec());
    let portal = || prop::sample::select(PORTALS.to_vec());
    let next = || prop::sample::select(b"HHHdcfQQSB".to_vec());
    prop_oneof![
        4 => text().prop_map(|text| vec![query(text)]),
        6 => (name(), portal(), text(), 0..3_u8, 0..8_u8).prop_map(|(name, portal, text, rows, how)| {
            let mut frames = Vec::new();
            if how & 1 == 0 {
                frames.push(close_statement(name));
            }
            frames.extend([parse(name, text), bind(portal, name), execute(portal, rows)]);
            if how & 2 == 0 {
                frames.push(execute(portal, rows));
            }
            if how & 4 == 0 {
                frames.push(sync());
            }
            frames
        }),
        1 => (any::<bool>(), 0..4_u8, prop::collection::vec(any::<bool>(), 0..3), any::<bool>())
            .prop_map(|(extended, end, data, early)| copy(extended, end, data, early)),
        2 => (name(), text()).prop_map(|(name, text)| vec![parse(name, text)]),
        // As drivers execute what they have prepared.
        4 => (name(), any::<bool>()).prop_map(|(name, described)| executed(name, described)),
        3 => (portal(), name()).prop_map(|(portal, name)| vec![bind(portal, name)]),
        3 => (portal(), 0..3_u8).prop_map(|(portal, rows)| vec![execute(portal, rows)]),
        1 => name().prop_map(|name| vec![describe('S', name)]),
        1 => portal().prop_map(|name| vec![describe('P', name)]),
        1 => name().prop_map(|name| vec![close_statement(name)]),
        1 => portal().prop_map(|name| vec![frame(b'C', format!("P{name}\0").as_bytes())]),
        1 => prop::sample::select(b"Hdcf".to_vec()).prop_map(|tag| {
            vec![frame(tag, if tag == b'f' { b"stray\0" } else { b"" })]
        }),
        2 => (prop::sample::select(vec!["commit", "rollback", "rollback to a", "release a"]), 0..8_u8, text())
            .prop_map(|(end, how, then)| failed(end, how, then)),
        2 => (any::<bool>(), next(), next(), text())
            .prop_map(|(flushed, next, behind, then)| overdue(flushed, next, behind, then)),
        4 => Just(vec![sync()]),
    ]
}

/// What a client gets of the server alone.
fn alone(frames: &[Vec<u8>]) -> (Vec<Bytes>, Server) {
    let mut server = Server::new(refuses);
    frames.iter().for_each(|frame| server.take(frame));
    let mut cutter = Cutter::new(Side::Server, b"");
    cutter.push(&server.sent);
    let mut seen = Vec::new();
    while let Some(piece) = cutter.next().unwrap() {
        seen.push(piece.bytes().clone());
    }
    (seen, server)
}

/// Errors of the gate's stand for the server's.
fn same(one: &Bytes, other: &Bytes) -> bool {
    one == other || (one[0] == b'E' && find(other, b"Mstepgate: "))
}

/// Whether the gate closed a portal that was done while a statement was held (`kept.rs`), and the client then used its name
/// as nobody does: by a Bind that the server alone refuses, or an Execute that only the closed one has rows for.
fn misses_a_portal(sent: &[Vec<u8>], seen: &[Bytes], alone: &[Bytes], through: &[Bytes]) -> bool {
    let closes = |name: &str| frame(b'C', format!("P{name}\0").as_bytes());
    let closed = PORTALS.iter().filter(|name| !name.is_empty()).any(|name| {
        let by_client = sent.iter().filter(|it| **it == closes(name)).count();
        seen.iter().filter(|it| it[..] == closes(name)[..]).count() > by_client
    });
    let fails = |all: &[Bytes], code: &[u8]| all.iter().any(|it| it[0] == b'E' && find(it, code));
    closed && (fails(alone, b"C42P03\0") || fails(through, b"C34000\0"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn a_client_cannot_tell_and_nothing_runs_unasked(
        steps in prop::collection::vec(step(), 1..14),
        seed in any::<u64>(),
    ) {
        let mut frames = steps.concat();
        frames.extend([frame(b'f', b"the end\0"), sync(), query("")]);
        let (expected, server) = alone(&frames);
        let outcome = play(&frames, seed);
        for text in &outcome.ran {
            prop_assert!(!refuses(text) || text.starts_with("prepare"), "{} ran", text);
        }
        // Each statement is sent once it was let through, as it came, in order.
        let mut sent = frames.iter();
        for seen in &outcome.server {
            let own = [&b"sg_names_"[..], b"sg_check_", b"sg_denied_"].iter().any(|it| find(seen, it));
            if !own && matches!(seen[0], b'Q' | b'B' | b'P' | b'd' | b'c' | b'f') {
                prop_assert!(sent.any(|frame| frame[..] == seen[..]), "{:?} was not sent by the client", seen);
            }
        }
        if server.dead || outcome.dead {
            return Ok(());
        }
        prop_assert!(!outcome.ended, "the session has ended: {}", tags(&outcome.client));
        prop_assert!(outcome.idle, "it waits for what does not come: {}", tags(&outcome.client));
        // A timeout may strike at what is the gate's own, and what nothing reads is not sent.
        let same_time = server.struck == outcome.struck;
        if same_time && outcome.unknown == 0 && !misses_a_portal(&frames, &outcome.server, &expected, &outcome.client) {
            let (got, wanted) = (tags(&outcome.client), tags(&expected));
            prop_assert_eq!(&got, &wanted);
            let different = expected.iter().zip(&outcome.client).find(|(one, other)| !same(one, other));
            prop_assert!(different.is_none(), "{:?}", different);
        } else {
            // What is refused for being unknown is not foreseen; all the same it comes to its end.
            prop_assert!(outcome.client.last().is_some_and(|frame| frame[0] == b'Z'), "{}", tags(&outcome.client));
        }
    }
}

/// How many pipelines are played.
fn cases() -> u32 {
    std::env::var("STEPGATE_PIPELINES").ok().and_then(|it| it.parse().ok()).unwrap_or(400)
}
