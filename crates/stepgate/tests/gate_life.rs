//! The gate's own life: crashes, second starts, missing neighbours, broken files.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::{SOON, World, held};

#[test]
fn kill_9_during_a_hold_withdraws_the_request_and_nothing_ran() {
    let mut world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("update customers set city = 'gone' where ssn like '9%';").unwrap();
    let request = held(&mut psql);
    world.gate.kill();
    let lines = psql.finish(SOON).map_or_else(|error| error.to_string(), |reply| reply.text());
    assert!(lines.contains("server closed the connection") || lines.contains("connection"), "{lines}");

    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    let late = dana.verify(&world.gate, &request).unwrap();
    assert_eq!(late.status, 1, "{}", late.text());
    assert!(world.recorded("withdrawn", &request), "no end state for {request}");
    assert_eq!(
        world.cluster.psql("shop", "select count(*) from customers where city = 'gone'").unwrap(),
        "0"
    );
    let verified = world.gate.run(["audit", "verify"], "").unwrap();
    assert!(verified.ok().unwrap().lines().last().unwrap().starts_with("ok: "));
}

#[test]
fn sessions_that_a_killed_gate_took_with_it_end_in_the_log_of_the_next() {
    let mut world = World::new();
    let dana = world.dana();
    let (mut idle, mut ended) = (world.psql(&dana), world.psql(&dana));
    assert!(idle.run("select 1;").unwrap().is_ok() && ended.run("select 1;").unwrap().is_ok());
    let closed = |world: &World| {
        let records = world.records();
        let closed = |it: &&serde_json::Value| it["type"] == "session.closed";
        let of = |it: &serde_json::Value| (it["session"].to_string(), it["reason"].to_string());
        records.iter().filter(closed).map(of).collect::<Vec<_>>()
    };
    drop(ended);
    stepgate_testkit::until("its end", SOON, || closed(&world).len() == 1).unwrap();
    for _ in 0..2 {
        world.gate.kill();
        world.gate.serve().unwrap();
    }
    let records = world.records();
    let opened: Vec<_> = records.iter().filter(|it| it["type"] == "session.opened").collect();
    let closed = closed(&world);
    assert_eq!((opened.len(), closed.len()), (2, 2), "each once: {closed:?}");
    assert_eq!(closed.iter().filter(|(_, reason)| reason == "\"gate-lost\"").count(), 1, "{closed:?}");
    let named = |session: &str| closed.iter().any(|(of, _)| of == session);
    assert!(opened.iter().all(|it| named(&it["session"].to_string())), "{closed:?}");
}

#[test]
fn a_code_that_was_used_before_a_crash_stays_used() {
    let mut world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut psql);
    let code = dana.code().unwrap();
    world.gate.run(["verify", &request, "--as", "dana"], &format!("{code}\n")).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    let mut psql = world.psql(&dana);
    psql.send("select salary from hr.employees limit 1;").unwrap();
    let second = held(&mut psql);
    let replayed = world.gate.run(["verify", &second, "--as", "dana"], &format!("{code}\n")).unwrap();
    assert_eq!(replayed.status, 1, "{}", replayed.text());
}

#[test]
fn a_second_gate_on_the_same_data_ends_with_2_and_harms_nobody() {
    let world = World::new();
    let dana = world.dana();
    let second = world.gate.run(["serve"], "").unwrap();
    assert_eq!(second.status, 2, "{}", second.text());
    assert!(second.stderr.contains("`stepgate serve` (process "), "{}", second.stderr);
    let mut psql = world.psql(&dana);
    assert!(psql.run("select 1;").unwrap().is_ok());
}

#[test]
fn a_taken_port_ends_with_2_and_names_it() {
    let world = World::not_serving(|text| text);
    let _taken = std::net::TcpListener::bind(world.gate.listen()).unwrap();
    let outcome = world.gate.run(["serve"], "").unwrap();
    assert_eq!(outcome.status, 2, "{}", outcome.text());
    assert!(outcome.stderr.contains(&world.gate.listen().to_string()), "{}", outcome.stderr);
}

#[test]
fn a_data_directory_that_cannot_be_written_ends_with_2() {
    let world = World::not_serving(|text| text);
    let data = world.gate.data();
    std::fs::rename(&data, data.with_extension("away")).ok();
    std::fs::write(&data, "a file is in the way").unwrap();
    let outcome = world.gate.run(["serve"], "").unwrap();
    assert_eq!(outcome.status, 2, "{}", outcome.text());
    assert!(outcome.stderr.contains("data"), "{}", outcome.stderr);
}

#[test]
fn a_broken_policy_file_is_refused_with_its_line() {
    let world = World::not_serving(|text| text.replace("action: step-up\n", "acton: step-up\n"));
    for command in ["check", "serve"] {
        let outcome = world.gate.run([command], "").unwrap();
        assert_ne!(outcome.status, 0, "{command}");
        assert!(outcome.text().contains("acton"), "{command}: {}", outcome.text());
        assert!(outcome.text().contains("policy.yaml"), "{command}: {}", outcome.text());
    }
}

#[test]
fn with_the_upstream_down_clients_are_told_and_the_gate_lives_on() {
    let world = World::new();
    let dana = world.dana();
    let World { mut gate, cluster, tree } = world;
    let psql_program = cluster.binaries().path("psql");
    cluster.stop();
    let mut command = std::process::Command::new(psql_program);
    command.env("PGPASSWORD", dana.password()).args(["-X", "-At", "-c", "select 1"]);
    let output = command.arg(gate.conninfo(dana.name(), "shop")).output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("stepgate: "), "{text}");
    assert!(gate.serving().unwrap().exit_status(Duration::from_millis(200)).is_none(), "{}", gate.log());
    drop(tree);
}

#[test]
fn an_orderly_stop_ends_with_0_and_leaves_a_log_that_verifies() {
    let mut world = World::new();
    let dana = world.dana();
    world.psql(&dana).run("select 1;").unwrap();
    assert_eq!(world.gate.terminate().unwrap(), 0, "{}", world.gate.log());
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
}

#[test]
fn what_is_no_log_is_told_from_a_damaged_one() {
    let mut world = World::new();
    let directory = world.gate.directory().to_owned();
    let export = directory.join("all.jsonl");
    let out = export.to_str().unwrap();
    world.gate.run(["audit", "export", "--out", out], "").unwrap().ok().unwrap();
    let text = directory.join("COVER.txt");
    std::fs::write(&text, "Whom it may concern: verify this with `stepgate audit verify`.\n").unwrap();
    let empty = directory.join("empty");
    std::fs::create_dir(&empty).unwrap();
    for wrong in [text.as_path(), empty.as_path(), std::path::Path::new("/dev/null")] {
        let said = world.gate.run(["audit", "verify", wrong.to_str().unwrap()], "").unwrap();
        assert_eq!(said.status, 2, "{}", said.text());
        assert!(said.stderr.contains("no export") && !said.text().contains("evidence"), "{}", said.text());
    }
    let whole = std::fs::read(&export).unwrap();
    std::fs::write(&export, whole.get(..whole.len() / 2).unwrap()).unwrap();
    let cut = world.gate.run(["audit", "verify", out], "").unwrap();
    assert_eq!(cut.status, 1, "{}", cut.text());
    assert!(cut.text().contains("FAILED: ") && cut.stderr.contains("evidence"), "{}", cut.text());

    world.gate.terminate().unwrap();
    let kek = world.gate.data().join("subjects.kek");
    std::fs::write(&kek, "{}").unwrap();
    let damaged = world.gate.run(["audit", "verify"], "").unwrap();
    assert_eq!(damaged.status, 1, "{}", damaged.text());
    assert!(damaged.text().contains("FAILED: files: subjects.kek"), "{}", damaged.text());
    let refused = world.gate.run(["serve"], "").unwrap();
    assert!(refused.status == 2 && refused.stderr.contains("subjects.kek"), "{}", refused.text());
}

#[test]
fn a_gate_that_starts_waits_for_a_short_command_to_be_done() {
    let world = World::not_serving(|text| text);
    world.gate.run(["user", "ls"], "").unwrap().ok().unwrap();
    let lock = std::fs::File::open(world.gate.data().join("lock")).unwrap();
    lock.lock().unwrap();
    let data = world.gate.data();
    std::thread::scope(|scope| {
        let mut command = world.gate.command();
        let serving = scope.spawn(move || {
            let mut child = command.arg("serve").stdout(std::process::Stdio::null()).spawn().unwrap();
            let listening = stepgate_testkit::until("the socket", SOON, || {
                child.try_wait().unwrap().is_some() || data.join("admin.sock").exists()
            });
            let ended = child.try_wait().unwrap();
            child.kill().unwrap();
            child.wait().unwrap();
            (listening.is_ok(), ended)
        });
        // Longer than a gate takes to be refused, and shorter than it waits.
        std::thread::sleep(Duration::from_secs(2));
        lock.unlock().unwrap();
        assert_eq!(serving.join().unwrap(), (true, None));
    });
}

#[test]
fn commands_beyond_those_that_are_done_at_once_are_told_so() {
    let world = World::new();
    let path = world.gate.data().join("admin.sock");
    // Each is waited for, as long as a command may take to arrive.
    let idle: Vec<_> = (0..32).map(|_| std::os::unix::net::UnixStream::connect(&path).unwrap()).collect();
    let refused = world.gate.run(["user", "ls"], "").unwrap();
    assert_eq!(refused.status, 3, "{}", refused.text());
    assert!(refused.stderr.contains("too many commands at once"), "{}", refused.stderr);
    drop(idle);
    stepgate_testkit::until("room", SOON, || world.gate.run(["user", "ls"], "").unwrap().status == 0)
        .unwrap();
}

/// `tests/fixtures/format-1.tar.gz` is what a stepgate of commit c65df5b left, the last with everything in sled: its
/// master key and its data directory, with somebody in it, after `user add`, `audit checkpoint` and a kill.
#[test]
fn a_data_directory_of_an_older_stepgate_is_verified_and_served() {
    let mut world = World::not_serving(|text| text);
    let unpack = || {
        let _ = std::fs::remove_dir_all(world.gate.data());
        let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1.tar.gz");
        let mut tar = std::process::Command::new("tar");
        tar.args(["xzf", fixture, "-C"]).arg(world.gate.directory());
        assert!(tar.status().unwrap().success());
        let format = std::fs::read_to_string(world.gate.data().join("format.json")).unwrap();
        assert!(format.contains("\"version\":1"), "{format}");
    };
    // By whichever command it is opened first.
    unpack();
    // Which is not damaged, and was not verified either.
    let older = world.gate.run(["audit", "verify"], "").unwrap();
    assert_eq!(older.status, 3, "{}", older.text());
    assert!(
        older.stderr.contains("older stepgate") && !older.text().contains("evidence"),
        "{}",
        older.text()
    );
    let people = world.gate.run(["user", "ls"], "").unwrap().ok().unwrap();
    assert!(people.contains("vera") && people.contains("ines"), "{people}");
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    unpack();
    world.gate.serve().unwrap();
    let people = world.gate.run(["user", "ls"], "").unwrap().ok().unwrap();
    assert!(people.contains("vera") && people.contains("analysts"), "{people}");
    assert!(world.recorded("user.added", "vera"));
    let dana = world.dana();
    assert!(world.psql(&dana).run("select 1;").unwrap().is_ok());
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    assert!(world.gate.data().join("backup-format-1/log/db").exists());
}
