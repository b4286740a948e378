//! The same bytes: whatever a client sends, it gets through a gate what it gets from PostgreSQL alone, byte for byte
//! but for process ids and OIDs. With a policy that allows everything; with statements that are refused, against a
//! PostgreSQL that refuses them itself; with statements that wait and are approved; and with statements that wait and are
//! denied, cancelled, or not answered, against the PostgreSQL that refuses them.
//!
//! `STEPGATE_SAME_BYTES=200` plays so many sessions instead of a few, `STEPGATE_SAME_BYTES_SEED` other ones.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod peer;
mod program;
#[path = "../support/mod.rs"]
mod support;

use std::cell::Cell;
use std::time::{Duration, Instant};

use peer::{End, Held, Peer, Reply, refuses};
use program::{
    Client, Frame, Pool, Random, bind, ending, execute, frame, goodbye, parse, query, shown, sync,
};
use stepgate_testkit::Person;
use support::World;
use tokio::runtime::Runtime;

const PASSWORD: &str = "direct-to-a-throwaway-cluster";

const MAP: &str = "\
version: 1
classes: {internal: 1}
labels: {}
databases: {shop: {public.secret: {}, public.guarded: {}, public.secret_kept: {}, public.secret_brief: {}}}
unknown: {tables: allow, functions: allow, dynamic_sql: allow, statements: allow}
";
const POLICY: &str = "\
version: 1
mode: enforce
defaults: {action: allow, on_error: deny, hold: 1m, in_transaction: hold, on_client_gone: withdraw}
approvals:
  owners: {groups: [data-owners], count: 1, strength: standard, reason: optional}
  briefly: {groups: [data-owners], count: 1, strength: standard, reason: optional, expires: 1s}
rules:
  - {name: everything, match: {kind: [control]}, action: allow}
  - {name: secret, match: {tables: [public.secret], certainty: [exact, over]}, action: deny}
  - name: guarded
    match: {tables: [public.guarded], certainty: [exact, over]}
    action: approve
    approval: owners
  - name: kept
    match: {tables: [public.secret_kept], certainty: [exact, over]}
    action: approve
    approval: owners
  - name: brief
    match: {tables: [public.secret_brief], certainty: [exact, over]}
    action: approve
    approval: briefly
";

const TABLES: &str = "
create table t (a int, b text);
create table secret (a int, b text);
create table guarded (a int, b text);
create table secret_kept (a int, b text);
create table secret_brief (a int, b text);
create function shout(what text) returns text language plpgsql as $$ begin raise notice '%', what; return what; end $$;
create role direct login password 'direct-to-a-throwaway-cluster';
grant all on t, guarded to stepgate_analyst, direct;
grant all on secret, secret_kept, secret_brief to stepgate_analyst;
grant temp on database shop to public;
";

/// What every session begins with, so that it does not hang on those before it.
const AFRESH: &str = "truncate t; insert into t select n, 'row ' || n from generate_series(1, 5) as n; \
                      select a from t order by a";

/// How long fewer frames are looked for that make a difference.
const SHRINKING: Duration = Duration::from_secs(30);

/// Programs of a session.
const PROGRAMS: usize = 25;

const ALLOWED: Pool = Pool { special: &[], special_several: &[], special_in: &[], one_in: 1, wild: true };

/// With the names of their schemas, for a policy that lets through what it does not know where names are in doubt. Both
/// refuse them when they are bound: PostgreSQL checks what a SELECT may read when it opens its portal.
const REFUSED: Pool = Pool {
    special: &[
        "select * from public.secret",
        "select a from public.secret where a > 1",
        "select count(*) from public.secret",
        "table public.secret",
        "select t.a from public.t, public.secret",
        "with x as (select * from public.secret) select * from x",
    ],
    one_in: 5,
    wild: false,
    ..ALLOWED
};

const HELD: Pool = Pool {
    special: &[
        "select * from guarded",
        "select a from public.guarded where a > 1",
        "insert into guarded values (1, 'held')",
        "update guarded set a = a + 1 returning a",
        "copy guarded to stdout",
        "prepare ps as select * from guarded",
        "declare c cursor for select * from guarded",
        "declare p1 cursor with hold for select 'x', * from guarded",
        "select 1 / 0 from guarded",
        "delete from guarded",
    ],
    special_several: &[
        "select 1; select * from guarded; select 2",
        "begin; insert into guarded values (2, 'of several'); commit; select 1 / 0",
        "select 1 / 0; select * from guarded",
    ],
    special_in: &["copy guarded from stdin"],
    one_in: 30,
    wild: true,
};

/// As those that are refused, but that people are asked about them, and do not approve.
const NOT_APPROVED: Pool = Pool {
    special: &[
        "select * from public.secret_kept",
        "select a from public.secret_kept where a > 1",
        "select count(*) from public.secret_kept",
        "table public.secret_kept",
        "select t.a from public.t, public.secret_kept",
        "with x as (select * from public.secret_kept) select * from x",
        "select b from public.secret_kept",
        "select * from public.secret_brief",
    ],
    one_in: 12,
    wild: false,
    ..ALLOWED
};

/// How many sessions are played.
fn sessions(few: u64) -> u64 {
    std::env::var("STEPGATE_SAME_BYTES").ok().and_then(|it| it.parse().ok()).unwrap_or(few)
}

/// The first one's seed.
fn first_seed() -> u64 {
    std::env::var("STEPGATE_SAME_BYTES_SEED").ok().and_then(|it| it.parse().ok()).unwrap_or(1)
}

struct Stage {
    world: World,
    runtime: Runtime,
    person: Person,
    /// The number of the last record of a statement about the secret that was let through for not being understood.
    unknown: Cell<u64>,
}

impl Stage {
    fn new() -> Self {
        let mut world = World::not_serving(|text| text);
        world.gate.policies(MAP, POLICY).unwrap();
        // Whoever is not answered, or is told no, may ask the same again.
        world.configure("limits: {open_requests: 100, cool_down: 0s}");
        world.cluster.load("shop", TABLES).unwrap();
        world.cluster.psql("postgres", "create database alone template shop").unwrap();
        world.gate.serve().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let person = world.dana();
        Self { world, runtime, person, unknown: Cell::new(0) }
    }

    fn alone(&self) -> Peer<'_> {
        Peer::connect(&self.runtime, self.world.cluster.port(), "direct", PASSWORD, "alone")
    }

    fn gated(&self) -> Peer<'_> {
        let port = self.world.gate.listen().port();
        Peer::connect(&self.runtime, port, self.person.name(), self.person.password(), "shop")
    }

    /// Plays one session both ways; what differed, in the fewest frames that are found to show it.
    fn session(&self, seed: u64, pool: Pool, held: &mut Held<'_>) -> Result<(), String> {
        let mut client = Client::new(seed, pool);
        let mut programs = vec![vec![query(AFRESH)]];
        programs.extend((0..PROGRAMS).map(|_| client.program()));
        let Some((number, mut difference)) = self.programs(seed, &programs, held) else { return Ok(()) };
        programs.truncate(number + 1);
        let begun = Instant::now();
        for attempt in fewer(&programs).take_while(|_| begun.elapsed() < SHRINKING) {
            let Some(fewer) = attempt.apply(&programs) else { continue };
            if let Some((_, shown)) = self.programs(seed, &fewer, held) {
                (programs, difference) = (fewer, shown);
            }
        }
        programs.retain(|program| !program.is_empty());
        let played: Vec<_> = programs.iter().map(|frames| shown(frames)).collect();
        Err(format!("session {seed}: {difference}\n{}", played.join("  --\n")))
    }

    /// Whether something about the secret was let through since this was last asked, for not being understood where it
    /// stood: this policy allows that, and the server does not know of it.
    fn was_unknown(&self) -> bool {
        let number = |record: &serde_json::Value| record["seq"].as_u64();
        let unknown = |record: &serde_json::Value| {
            let is = |key: &str, value: &str| record[key] == value;
            is("type", "statement.decided")
                && is("certainty", "unknown")
                && is("verdict", "forward")
                && record["relations"].to_string().contains("secret")
        };
        let last = self.world.records().iter().filter(|record| unknown(record)).filter_map(number).max();
        let last = last.unwrap_or_default();
        self.unknown.replace(last) < last
    }

    /// Plays programs both ways; the first that makes a difference, and which.
    fn programs(&self, seed: u64, programs: &[Vec<Frame>], held: &mut Held<'_>) -> Option<(usize, String)> {
        let (mut alone, mut gated) = (self.alone(), self.gated());
        let mut cuts = Random(seed | 1);
        for (number, program) in programs.iter().enumerate().filter(|(_, program)| !program.is_empty()) {
            let mut frames = program.clone();
            frames.extend(ending());
            let is_last = number + 1 == programs.len();
            if is_last {
                // All is answered before the connection closes.
                frames.push(goodbye());
            }
            let expected = alone.play(&frames, None, &mut |_, _| ());
            let got = gated.play(&frames, Some(&mut cuts), held);
            if is_last && expected.end == End::Done {
                let closed = (alone.is_closed(), gated.is_closed());
                assert_eq!(closed, (true, true), "session {seed}");
            }
            if let Some(difference) = difference(&expected, &got) {
                return (!self.was_unknown()).then_some((number, difference));
            }
            if expected.end != End::Done {
                return None;
            }
        }
        None
    }
}

/// Frames to leave out.
struct Without {
    program: usize,
    from: usize,
    frames: usize,
}

impl Without {
    /// What is left; not without the end of a COPY, if all of it is not left out.
    fn apply(&self, programs: &[Vec<Frame>]) -> Option<Vec<Vec<Frame>>> {
        let mut programs = programs.to_vec();
        let program = &mut programs[self.program];
        let from = self.from.min(program.len());
        let to = (from + self.frames).min(program.len());
        let gone: Vec<_> = program.drain(from..to).collect();
        let keeps = self.frames == 1 && gone.iter().any(|frame| matches!(frame[0], b'c' | b'f'));
        (!keeps).then_some(programs)
    }
}

/// Whole programs, then single frames, the last first.
fn fewer(programs: &[Vec<Frame>]) -> impl Iterator<Item = Without> + use<> {
    let lengths: Vec<_> = programs.iter().map(Vec::len).collect();
    let whole = (1..lengths.len()).map(|program| Without { program, from: 0, frames: usize::MAX / 2 });
    let single = lengths.into_iter().enumerate().skip(1).flat_map(|(program, length)| {
        (0..length).rev().map(move |from| Without { program, from, frames: 1 })
    });
    whole.chain(single)
}

/// Of an error by which a statement or portal does not exist, all but where in the server's source it was raised: it is
/// the answer to the gate's Describe, and not to the client's own message.
fn says(error: &Frame) -> Option<Vec<&[u8]>> {
    let fields = || error[5..].split(|byte| *byte == 0);
    let not_there = fields().any(|field| matches!(field, b"C26000" | b"C34000"));
    let source = |field: &&[u8]| field.first().is_some_and(|code| b"FLR".contains(code));
    not_there.then(|| fields().filter(|field| !source(field)).collect())
}

/// Where two replies differ.
fn difference(alone: &Reply, gated: &Reply) -> Option<String> {
    let same = |one: &Frame, other: &Frame| {
        one == other
            || (one[0] == b'E' && (refuses(other) || says(one).is_some_and(|said| Some(said) == says(other))))
    };
    let pairs = || alone.frames.iter().zip(&gated.frames);
    let at = pairs().position(|(one, other)| !same(one, other));
    let same_length = alone.frames.len() == gated.frames.len();
    if at.is_none() && same_length && alone.end == gated.end {
        return None;
    }
    // What the server refuses may leave its portal behind, what the gate refuses does not: no more can be said.
    let refused = alone.frames.iter().any(|frame| frame.windows(16).any(|text| text == b"denied for table"));
    let no_portal = |frame: &Frame| frame.windows(9).any(|text| text == b"\0Mportal ");
    if refused && at.and_then(|at| gated.frames.get(at)).is_some_and(no_portal) {
        return None;
    }
    let at = at.unwrap_or_else(|| pairs().count());
    let frame = |reply: &Reply| {
        reply.frames.get(at).map_or_else(|| "nothing".to_owned(), |frame| frame.escape_ascii().to_string())
    };
    Some(format!(
        "frame {at} differs\n alone {:?} {}\n  {}\n gated {:?} {}\n  {}",
        alone.end,
        alone.tags(),
        frame(alone),
        gated.end,
        gated.tags(),
        frame(gated),
    ))
}

fn play(few: u64, pool: Pool, stage: &Stage, mut held: impl FnMut(&str, (i32, &[u8]))) {
    let mut different = Vec::new();
    let seeds = first_seed()..first_seed() + sessions(few);
    for seed in seeds {
        if let Err(difference) = stage.session(seed, pool, &mut held) {
            println!("{difference}");
            different.push(seed);
            if different.len() > 5 {
                break;
            }
        }
    }
    assert!(different.is_empty(), "sessions {different:?}");
}

#[test]
fn what_is_allowed_comes_back_as_it_comes_from_the_server() {
    let stage = Stage::new();
    play(15, ALLOWED, &stage, |request, _| panic!("{request} is held"));
}

/// PostgreSQL counts the values before it minds that the transaction has failed (`exec_bind_message`): 08P01, not 25P02.
#[test]
fn a_bind_with_too_many_or_too_few_values_fails_for_that_in_a_failed_transaction_too() {
    let stage = Stage::new();
    let makes = [
        "prepare ps as select a from t where a = $1 order by a",
        "prepare ps as select 1",
        "prepare ps as insert into t values ($1, 'bound')",
        "prepare ps (int) as select $1; select 1",
        "do $$ begin execute 'prepare ps as select $1::int'; end $$",
    ];
    let begin = || vec![query("begin")];
    let fail = || vec![query("select 1 / 0")];
    // By the gate, and by the server.
    let refused = || vec![query("select * from public.secret")];
    let mut different = Vec::new();
    for (number, make) in makes.iter().enumerate() {
        let made = || vec![query(make)];
        let made_by_bind = || vec![parse("", make), bind("", "", &[]), execute("", 0), sync()];
        for values in [&[][..], &["1"], &["1", "2"]] {
            let binds = || vec![bind("", "ps", values), execute("", 0), sync()];
            for programs in [
                vec![made(), begin(), fail(), binds()],
                vec![begin(), made(), fail(), binds()],
                vec![begin(), made_by_bind(), fail(), binds()],
                vec![made(), begin(), refused(), binds()],
                vec![[made(), begin(), fail(), binds()].concat()],
                vec![[begin(), made(), fail()].concat(), binds(), binds()],
            ] {
                if let Some((at, how)) = stage.programs(number as u64, &programs, &mut |_, _| ()) {
                    let played: Vec<_> = programs.iter().map(|frames| shown(frames)).collect();
                    different.push(format!("{at}: {how}\n{}", played.join("  --\n")));
                }
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

/// No message that cannot be read ends a session with PostgreSQL.
#[test]
fn a_bind_whose_formats_do_not_fit_its_values_fails_and_its_session_goes_on() {
    let stage = Stage::new();
    let mut different = Vec::new();
    for statement in [
        "select $1::text",
        "select a from t where a = $1::int",
        "select a from public.secret where a = $1::int",
    ] {
        for formats in [2, 3] {
            let body =
                [b"\0\0\0".as_slice(), &[formats], &[0; 2].repeat(formats.into()), b"\0\x01\0\0\0\x011\0\0"];
            let bind = frame(b'B', &body.concat());
            let programs = [vec![parse("", statement), bind, execute("", 0), sync(), query("select 1")]];
            if let Some((at, how)) = stage.programs(formats.into(), &programs, &mut |_, _| ()) {
                different.push(format!("{at}: {how}\n{}", shown(&programs[0])));
            }
        }
    }
    assert!(different.is_empty(), "{}", different.join("\n\n"));
}

#[test]
fn what_is_refused_fails_where_the_server_would_have_refused_it() {
    let stage = Stage::new();
    play(15, REFUSED, &stage, |request, _| panic!("{request} is held"));
}

/// Who answers. Each of them has three codes at once, and then another one every 30 seconds.
fn owners(stage: &Stage, few: usize) -> Vec<Person> {
    let many = if sessions(0) == 0 { few } else { 20 };
    (0..many).map(|number| stage.world.person(&format!("owner{number}"), "data-owners")).collect()
}

#[test]
fn what_waits_and_is_approved_comes_back_as_if_it_had_not_waited() {
    let stage = Stage::new();
    let mut owners = owners(&stage, 3);
    let mut asked = 0;
    play(1, HELD, &stage, |request, _| {
        asked += 1;
        let next = asked % owners.len();
        let answer = owners[next].answer(&stage.world.gate, "approve", request, "yes").unwrap();
        // An error of what was sent before it may have come only now.
        assert!(answer.status == 0 || answer.text().contains("withdrawn"), "{}", answer.text());
    });
    println!("{asked} were asked about");
}

#[test]
fn what_waits_in_vain_fails_where_the_server_would_have_refused_it_and_the_session_goes_on_as_after_that() {
    let stage = Stage::new();
    let mut owners = owners(&stage, 6);
    let (gate, person) = (&stage.world.gate, stage.person.name());
    // What was sent before it may have failed only now: then it is asked about no more, nor is anything to be cancelled.
    let is_open = |request: &str| {
        let listed = gate.run(["request", "ls", "--as", person, "-o", "json"], "").unwrap().ok().unwrap();
        listed.contains(request)
    };
    let (many, mut asked, mut ended) = (owners.len(), 0, [0_usize; 4]);
    play(4, NOT_APPROVED, &stage, |request, (pid, secret)| {
        asked += 1;
        if !is_open(request) {
            return;
        }
        let shown = gate.run(["request", "show", request, "--as", person, "-o", "json"], "").unwrap();
        let way = if shown.text().contains("secret_brief") { 3 } else { asked % 3 };
        ended[way] += 1;
        let answer = match way {
            0 => owners[ended[0] % many].answer(gate, "deny", request, "no").unwrap(),
            1 => gate.run(["request", "cancel", request, "--as", person], "").unwrap(),
            2 => return support::frames::cancel(&stage.runtime, &stage.world, pid, secret),
            _ => return,
        };
        assert_eq!(answer.status, 0, "{}", answer.text());
    });
    println!("denied, called off, cancelled, not answered: {ended:?}");
    assert!(ended.iter().all(|many| *many > 0), "{ended:?}");
}
