//! Receivers that are dead, and statements that do not care.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use stepgate_testkit::until;

use crate::receivers::SECRET;
use crate::support::World;

/// How long a call may take until it is given up, and some more.
const GIVEN_UP: Duration = Duration::from_secs(60);

/// The shortest that a call of these receivers hangs: a connection that nobody takes ([`GIVEN_UP`] is the longest).
const CALL: Duration = Duration::from_secs(10);

/// How often the statements are played.
const ROUNDS: u64 = 3;

/// How long psql takes for the script, in the gate.
fn timed(world: &World, person: &stepgate_testkit::Person, script: &std::path::Path) -> Duration {
    let began = Instant::now();
    let mut command = world.gate.psql_command(person);
    command.args(["-X", "-q", "-f"]).arg(script).stdout(Stdio::null());
    assert!(command.status().unwrap().success());
    began.elapsed()
}

#[test]
fn sinks_whose_receivers_are_dead_slow_no_statement_and_take_no_memory() {
    let statements: usize = std::env::var("STEPGATE_STATEMENTS").map_or(600, |text| text.parse().unwrap());
    let mut plain = World::not_serving(|text| text);
    let mut world = World::not_serving(|text| text);
    let secret = world.secret("secret", SECRET);
    // Nobody there; and somebody who takes connections and says nothing, ever.
    let gone = stepgate_testkit::free_address().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = silent.local_addr().map(|address| (silent, address)).unwrap();
    world.audit(&format!(
        "  sinks:
    gone: {{webhook: \"http://{gone}/\", secret_file: {secret}}}
    silent: {{webhook: \"http://{silent}/\", secret_file: {secret}}}
    siem: {{syslog: \"{gone}\"}}
    mute: {{syslog: \"{silent}\"}}
  checkpoints: [{{webhook: \"http://{silent}/\", secret_file: {secret}, every: 1s}}, {{file: /nowhere, every: 1s}}]",
        silent = silent.1,
        secret = secret.display(),
    ));
    let script = world.tree.path().join("load.sql");
    let text = (0..statements).map(|number| format!("select count(*) from customers where id = {number};\n"));
    std::fs::write(&script, text.collect::<String>()).unwrap();
    plain.gate.serve().unwrap();
    world.gate.serve().unwrap();
    let (one, other) = (plain.dana(), world.dana());
    let _warm = (timed(&plain, &one, &script), timed(&world, &other, &script));
    let memory = (plain.status("VmRSS:"), world.status("VmRSS:"));
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        times.0.push(timed(&plain, &one, &script));
        times.1.push(timed(&world, &other, &script));
    }
    let median = |times: &mut Vec<Duration>| {
        times.sort();
        times[times.len() / 2].as_secs_f64()
    };
    let (without, with) = (median(&mut times.0), median(&mut times.1));
    let grown = (
        plain.status("VmRSS:").saturating_sub(memory.0) / 1024,
        world.status("VmRSS:").saturating_sub(memory.1) / 1024,
    );
    println!(
        "{} records behind; {statements} statements: {without:.3} s without sinks, {with:.3} s with five dead ones; \
         memory grew by {} and {} MiB",
        world.sink("gone")["lag"],
        grown.0,
        grown.1
    );
    for (sink, why) in [
        ("gone", "refused"),
        ("silent", "timeout"),
        ("siem", "refused"),
        ("mute", "handshake"),
        ("webhook", "timeout"),
        ("file", "is it mounted?"),
    ] {
        let mut row = world.sink(sink);
        // Who hangs is given up once its time is over, which may still go on.
        let told = until("what fails to be told of", GIVEN_UP, || {
            row = world.sink(sink);
            row["state"] == "failing" && row["failures"].as_u64() > Some(0)
        });
        told.unwrap_or_else(|error| panic!("{error}: {row}"));
        assert!(row["error"].as_str().unwrap().contains(why), "{row}");
        assert!(row["lag"].as_u64().unwrap() > u64::try_from(statements).unwrap() * ROUNDS, "{row}");
    }
    // How much their noise costs is a benchmark's matter (docs/PERFORMANCE.md); one wait for a sink costs a call's time.
    assert!(with < without + CALL.as_secs_f64(), "{without:.3} s without, {with:.3} s with");
    assert!(grown.1 < grown.0 + 16, "{grown:?} MiB");
    let began = Instant::now();
    assert_eq!(world.gate.terminate().unwrap(), 0);
    assert!(began.elapsed() < Duration::from_secs(8), "{:?} to stop", began.elapsed());
}
