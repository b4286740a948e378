//! Timeouts of the server's while a statement is held: it neither ends the session unheard, nor takes the hold with it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use stepgate_proxy::Upstream;
use stepgate_testkit::{Person, skip};
use support::frames::{call, execute, frame, query, send, sync, until_tag};
use support::raw::{config, runtime, session};
use support::{SOON, World, connects_as, held, repository};
use tokio::runtime::Runtime;

const SSN: &str = "select ssn from customers order by id limit 1;";

/// Longer than any of the timeouts here.
const LONGER: Duration = Duration::from_millis(3_500);

#[test]
fn a_hold_outlives_the_servers_idle_timeouts_and_the_statements_own() {
    for (setting, begin) in [
        ("idle_session_timeout", ""),
        ("idle_in_transaction_session_timeout", "begin;"),
        ("statement_timeout", "begin;"),
    ] {
        let world = World::new();
        let mut dana = world.dana();
        let mut psql = world.psql(&dana);
        assert!(psql.run(&format!("set {setting} = '2s';")).unwrap().is_ok());
        if !begin.is_empty() {
            assert!(psql.run(begin).unwrap().is_ok());
        }
        psql.send(SSN).unwrap();
        let request = held(&mut psql);
        std::thread::sleep(LONGER);
        dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        let reply = psql.finish(SOON).unwrap();
        assert!(reply.is_ok() && reply.text().contains("901-00-0001"), "{setting}: {}", reply.text());
    }
}

/// asyncpg has a statement parsed and described before it binds it: from then on the server's timer runs.
#[test]
fn asyncpg_is_shown_what_it_asked_for_however_short_its_statement_timeout() {
    let path = repository().join(".work/asyncpg");
    if !path.exists() {
        return skip("asyncpg", "tests/tools/clients.sh");
    }
    let world = World::new();
    let mut dana = world.dana();
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", path).arg(repository().join("tests/clients/short_timeout.py"));
    let child = connects_as(&mut command, &world, &dana).stdout(Stdio::piped()).spawn().unwrap();
    let request = world.open_request(&dana);
    std::thread::sleep(LONGER);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.lines().any(|line| line == "ok"), "{text}");
}

/// The server ends it, says so, and nobody can approve it any more.
#[test]
fn a_held_session_that_the_server_ends_says_why_and_its_request_is_withdrawn() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("begin;").unwrap().is_ok());
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    let end = "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'stepgate_analyst' \
               and state = 'idle in transaction'";
    world.cluster.psql("shop", end).unwrap();
    let ended = psql.finish(SOON).unwrap_err().to_string();
    assert!(ended.contains("FATAL:  terminating connection"), "{ended}");
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 1);
    assert!(world.recorded("withdrawn", &request));
}

/// A session whose statement_timeout is over in the middle of a segment: it strikes at the message that comes next.
fn overdue(world: &World, person: &Person, runtime: &Runtime, many: usize) -> Vec<Upstream> {
    let one = |_| {
        let mut session = runtime.block_on(session(&config(world, person))).unwrap();
        send(runtime, &mut session, &query("set statement_timeout = '1s'"));
        until_tag(runtime, &mut session, b'Z');
        let parsed = [frame(b'P', b"a\0select 1\0\0\0"), flush()].concat();
        send(runtime, &mut session, &parsed);
        until_tag(runtime, &mut session, b'1');
        session
    };
    let sessions = (0..many).map(one).collect();
    std::thread::sleep(Duration::from_millis(1_300));
    sessions
}

fn flush() -> Vec<u8> {
    frame(b'H', b"")
}

/// By what comes next, the server skips up to Sync or is ready at once; what nothing reads does not come to it.
#[test]
fn each_reply_stays_that_of_its_own_message_wherever_a_timeout_strikes() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    let (asked, called) = (query("select 2"), call(1_598, &[]));
    let bound = [frame(b'B', b"\0a\0\0\0\0\0\0\0"), frame(b'E', &[0; 5])].concat();
    let strays = [frame(b'd', b"x"), frame(b'c', b""), frame(b'f', b"x\0")].concat();
    let programs = [
        (vec![frame(b'd', b"x")], "EZ"),
        (vec![frame(b'c', b"")], "EZ"),
        (vec![frame(b'f', b"x\0")], "EZ"),
        (vec![strays.clone(), flush(), strays.clone()], "EZ"),
        (vec![], "EZ"),
        (vec![bound], "EZ"),
        (vec![asked.clone()], "EZZ"),
        (vec![called.clone()], "EZZ"),
        (vec![strays, asked.clone()], "EZZ"),
        (vec![flush(), asked.clone()], "EZ"),
        (vec![flush(), called], "EZ"),
        (vec![flush(), asked.clone(), execute(), asked], "EZ"),
    ];
    let sessions = overdue(&world, &dana, &runtime, programs.len());
    for (mut session, (program, expected)) in sessions.into_iter().zip(programs) {
        let shown = String::from_utf8_lossy(&program.concat()).into_owned();
        send(&runtime, &mut session, &[program.concat(), sync()].concat());
        let many = expected.matches('Z').count();
        let said = (0..many).flat_map(|_| until_tag(&runtime, &mut session, b'Z'));
        let said: String = said.map(|(tag, _)| char::from(tag)).collect();
        assert_eq!(said, expected, "{shown:?}");
        send(&runtime, &mut session, &query("select 'the end'"));
        let end = until_tag(&runtime, &mut session, b'Z');
        assert!(end.iter().any(|(tag, row)| *tag == b'D' && row.ends_with(b"the end")), "{shown:?}");
        assert_eq!(end.len(), 4, "{shown:?}");
    }
}

/// By one ReadyForQuery that is taken for another's, the gate believed in a failed transaction, in which nothing runs.
#[test]
fn no_statement_runs_unasked_for_what_a_timeout_has_struck_before_it() {
    let (world, runtime) = (World::new(), runtime());
    let dana = world.dana();
    for stray in
        [frame(b'd', b"x"), frame(b'c', b""), frame(b'f', b"x\0"), [flush(), query("select 1")].concat()]
    {
        let mut session = overdue(&world, &dana, &runtime, 1).remove(0);
        let shows =
            query("select string_agg(ssn || '', ' ') from (select ssn from public.customers limit 5) x");
        let program = [
            stray,
            sync(),
            query("begin"),
            query("select pg_sleep(0.6)"),
            query("set search_path = public"),
            query("rollback to savepoint x"),
            flush().repeat(300_000),
            query("rollback"),
            shows,
            query("select 1"),
        ];
        send(&runtime, &mut session, &program.concat());
        support::frames::held(&runtime, &mut session);
    }
}
