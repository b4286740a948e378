//! Cancel requests at the gate's door: right ones count whatever else comes there, and of every length of key.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::Command;

use support::frames::cancel;
use support::raw::runtime;
use support::{SOON, World, connects_as, held, repository};

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
