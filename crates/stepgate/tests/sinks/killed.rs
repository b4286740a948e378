//! kill -9, again and again: no receiver misses a record, and a file has none twice.

use std::collections::BTreeSet;
use std::process::Stdio;
use std::time::Duration;

use crate::receivers::{Python, SECRET, numbers, seqs};
use crate::support::World;

/// Statements of one client: more than it comes to before the gate is killed.
const STATEMENTS: usize = 5000;

#[test]
fn a_gate_that_is_killed_again_and_again_leaves_no_gap_anywhere_and_a_file_has_each_record_once() {
    let kills: u64 = std::env::var("STEPGATE_KILLS").map_or(8, |text| text.parse().unwrap());
    let mut world = World::not_serving(|text| text);
    let [cert, key, ca] = world.certificate();
    let (taken, read, file) =
        ["taken", "read", "audit.jsonl"].map(|name| world.tree.path().join(name)).into();
    let secret = world.secret("secret", SECRET);
    let Some(webhook) = Python::start("webhook.py", &[SECRET.as_ref(), &taken]) else { return };
    let Some(syslog) = Python::start("syslog_tls.py", &[&cert, &key, &read]) else { return };
    world.audit(&format!(
        "  sinks:
    lake: {{webhook: \"http://localhost:{}/in\", secret_file: {}}}
    siem: {{syslog: \"localhost:{}\", ca: {}}}
    disk: {{file: {}, rotate: {{bytes: 256KiB, keep: 1000}}}}",
        webhook.port,
        secret.display(),
        syslog.port,
        ca.display(),
        file.display(),
    ));
    let script = world.tree.path().join("load.sql");
    let statements =
        (0..STATEMENTS).map(|number| format!("select count(*) from customers where id = {number};\n"));
    std::fs::write(&script, statements.collect::<String>()).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    for kill in 0..kills {
        let clients: Vec<_> = (0..3)
            .map(|_| {
                let mut command = world.gate.psql_command(&dana);
                command.args(["-X", "-q", "-f"]).arg(&script);
                command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
            })
            .collect();
        std::thread::sleep(Duration::from_millis(300 + kill * 397 % 1300));
        world.gate.kill();
        for mut client in clients {
            client.wait().unwrap();
        }
        world.gate.serve().unwrap();
    }
    let end = world.delivered();
    let mut aside: Vec<u64> = (1..1000)
        .map(|number| std::path::PathBuf::from(format!("{}.{number}", file.display())))
        .take_while(|path| path.exists())
        .collect::<Vec<_>>()
        .iter()
        .rev()
        .flat_map(|path| seqs(path))
        .collect();
    aside.extend(seqs(&file));
    let first = aside[0];
    assert!(first < 10 && end > 1000, "{first} {end}");
    assert_eq!(aside, (first..end).collect::<Vec<_>>(), "the file");
    for (name, path) in [("webhook", taken), ("syslog", read)] {
        let received = numbers(&path);
        let distinct: BTreeSet<u64> = received.iter().copied().collect();
        let (first, last) = (*distinct.first().unwrap(), *distinct.last().unwrap());
        assert!(first < 10 && last + 1 == end, "{name}: {first} to {last} of {end}");
        assert_eq!(u64::try_from(distinct.len()).unwrap(), end - first, "{name} misses some");
        println!("{name}: {} records, {} of them twice", distinct.len(), received.len() - distinct.len());
    }
    println!("{kills} kills, {end} records");
}
