//! `audit sink`, figures, `doctor`: what operators see of sinks, and do with them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use stepgate_record::Cosigner;
use stepgate_testkit::until;

use crate::receivers::seqs;
use crate::support::{SOON, World};

#[test]
fn operators_see_how_far_sinks_are_and_have_them_send_again() {
    let address = stepgate_testkit::free_address().unwrap();
    let mut world = World::with_audit(
        "  sinks:\n    disk: {file: ../audit.jsonl}\n  checkpoints: [{file: ../elsewhere, every: 1s}]",
    );
    world.configure(&format!("metrics: {{listen: {address}}}"));
    let file = world.gate.directory().join("../audit.jsonl");
    let sink = world.sink("disk");
    assert_eq!((&sink["state"], &sink["kind"], &sink["lag"]), (&"off".into(), &"file".into(), &0.into()));
    world.gate.serve().unwrap();
    let dana = world.dana();
    assert!(world.psql(&dana).run("select 1;").unwrap().is_ok());
    until("no checkpoint to leave", SOON, || world.sink("file")["state"] == "failing").unwrap();
    let doctor = world.gate.run(["doctor"], "").unwrap().text();
    assert!(doctor.contains("is it mounted?") && doctor.contains("ok    sink disk"), "{doctor}");
    std::fs::create_dir(world.gate.directory().join("../elsewhere")).unwrap();
    until("a checkpoint", SOON, || world.sink("file")["state"] == "ok").unwrap();
    world.delivered();
    let figures = figures(address);
    for (figure, value) in [
        ("stepgate_sink_lag_records{sink=\"disk\"}", Some("0")),
        ("stepgate_sink_failures_total{sink=\"disk\"}", Some("0")),
        ("stepgate_checkpoint_age_seconds{way=\"file\"}", None),
        ("stepgate_checkpoint_failures_total{way=\"file\"}", None),
    ] {
        let line = figures.lines().find_map(|line| line.strip_prefix(figure)?.strip_prefix(' '));
        assert!(line.is_some_and(|told| value.is_none_or(|value| value == told)), "{figure} in {figures}");
    }
    let whole = seqs(&file);
    // From the beginning, which is before the sink was new.
    let said = world.gate.run(["audit", "sink", "reset", "disk", "--from", "0"], "").unwrap().ok().unwrap();
    assert!(said.contains("all from record 0"), "{said}");
    until("all again", SOON, || seqs(&file).len() >= whole.len() * 2).unwrap();
    world.delivered();
    let again = seqs(&file);
    assert_eq!(again[..whole.len()], whole);
    assert!(goes_on_from(0, &again), "{again:?}");
    for wrong in [["nobody", "0"], ["disk", "99999999"]] {
        let refused = world.gate.run(["audit", "sink", "reset", wrong[0], "--from", wrong[1]], "").unwrap();
        assert_eq!(refused.status, 1, "{}", refused.text());
    }
    let resets: Vec<_> = world.records().into_iter().filter(|it| it["type"] == "sink.reset").collect();
    assert_eq!(resets.len(), 1, "{resets:?}");
    let reset = &resets[0];
    assert_eq!(
        (&reset["name"], &reset["kind"], &reset["cursor"]),
        (&"disk".into(), &"file".into(), &0.into())
    );
    assert!(reset["operator"].is_string(), "{reset}");
    // While none serves, too.
    assert_eq!(world.gate.terminate().unwrap(), 0);
    world.gate.run(["audit", "sink", "reset", "disk", "--from", "3"], "").unwrap().ok().unwrap();
    assert_eq!(world.sink("disk")["next"], 3);
    world.gate.serve().unwrap();
    world.delivered();
    assert!(goes_on_from(3, &seqs(&file)), "{:?}", seqs(&file));
}

/// Whether the last that was sent is all from a record on.
fn goes_on_from(first: u64, seqs: &[u64]) -> bool {
    let at = seqs.iter().rposition(|seq| *seq == first).unwrap();
    seqs[at..].iter().copied().eq(first..*seqs.last().unwrap() + 1)
}

fn figures(address: std::net::SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_witness_is_shown_where_sinks_are_and_one_that_has_seen_more_than_there_is_raises_an_alarm() {
    let address = stepgate_testkit::free_address().unwrap();
    // Says to whoever asks that it has seen a million records.
    let witness = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", witness.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in witness.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 64 * 1024]);
            let answer = "HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\nConnection: close\r\n\r\n1000000\n";
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    let vkey = Cosigner::new("witness.example", &[9; 32]).unwrap().key();
    let mut world = World::with_audit(&format!("  witnesses: [{{vkey: {vkey}, url: \"{url}\", every: 1s}}]"));
    world.configure(&format!("metrics: {{listen: {address}}}"));
    world.gate.serve().unwrap();
    until("the alarm", SOON, || world.recorded("integrity.failed", "the witness witness.example")).unwrap();
    let row = world.sink("witness.example");
    assert_eq!((&row["kind"], &row["state"]), (&"witness".into(), &"failing".into()), "{row}");
    assert!(row["error"].as_str().unwrap().contains("cut short or restored"), "{row}");
    let doctor = world.gate.run(["doctor"], "").unwrap().text();
    assert!(doctor.contains("sink witness.example") && doctor.contains("cut short"), "{doctor}");
    let figures = figures(address);
    let failures = figures
        .lines()
        .find_map(|line| line.strip_prefix("stepgate_witness_failures_total{witness=\"witness.example\"} "));
    assert!(failures.is_some_and(|failures| failures != "0"), "{figures}");
    assert!(figures.contains("stepgate_witness_age_seconds{witness=\"witness.example\"} "), "{figures}");
}

#[test]
fn a_gate_whose_checkpoints_stay_at_home_is_warned_of_and_one_without_its_secrets_does_not_start() {
    let mut world = World::new();
    let doctor = world.gate.run(["doctor"], "").unwrap().text();
    assert!(doctor.contains("checkpoints") && doctor.contains("none leave this host"), "{doctor}");
    assert!(world.gate.log().contains("no checkpoint leaves this host"), "{}", world.gate.log());
    world.audit("  sinks: {lake: {webhook: \"https://lake.example/in\", secret_file: not-there}}");
    let vkey = Cosigner::new("witness.example", &[9; 32]).unwrap().key();
    world.edit(
        "ordinary: durable\n",
        &format!(
            "ordinary: durable\n  retention: {{keep: 2200d}}\n  verify_every: 24h\n  track_subjects: true\n  \
             witnesses: [{{vkey: {vkey}}}]\n  checkpoints: [{{file: /nowhere}}]\n"
        ),
    );
    world.gate.serving().unwrap().signal("HUP").unwrap();
    for what in ["sinks", "checkpoints", "witnesses", "retention", "verify_every", "track_subjects"] {
        let warning = format!("audit.{what} has changed, which takes a restart");
        until(&warning, SOON, || world.gate.log().contains(&warning)).unwrap();
    }
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let refused = world.gate.serve().unwrap_err().to_string();
    assert!(refused.contains("audit.sinks.lake") && refused.contains("not-there"), "{refused}");
}

#[test]
fn what_is_wrong_in_the_configuration_is_told_with_its_place() {
    let world = World::not_serving(|text| text);
    let good = "audit: {ordinary: durable}";
    for (wrong, says) in [
        ("{a: {file: x, syslog: z}}", "audit.sinks.a must have one of syslog, webhook and file"),
        ("{a: {format: cef}}", "audit.sinks.a must have one of syslog, webhook and file"),
        ("{A: {file: x}}", "a sink's name cannot be this"),
        ("{a: {file: x, format: xml}}", "audit.sinks.a.format must be jsonl, cef or ocsf"),
        ("{a: {file: x, names: some}}", "audit.sinks.a.names must be open or commit"),
        ("{a: {file: x}, b: {file: x}}", "audit.sinks.b.file is another sink's, too"),
        ("{a: {file: x, rotate: {bytes: 5}}}", "audit.sinks.a.rotate.bytes must be a size"),
        ("{a: {file: x, rotate: {bytes: 1MiB, keep: 0}}}", "audit.sinks.a.rotate.keep must be 1 to 1000"),
        ("{a: {file: x, ca: z}}", "unknown key audit.sinks.a.ca"),
        ("{a: {webhook: \"http://lake.example/\", secret_file: x}}", "is http:// and not this machine"),
        ("{a: {webhook: \"https://lake.example/\"}}", "audit.sinks.a.secret_file is missing"),
        ("{a: {syslog: \"a b\"}}", "audit.sinks.a.syslog is not a host and port"),
        ("{a: {syslog: s, cert: c}}", "audit.sinks.a.cert and audit.sinks.a.key go together"),
        ("{a: {syslog: s, facility: 24}}", "audit.sinks.a.facility must be 0 to 23"),
        ("{}, checkpoints: [{every: 5m}]", "audit.checkpoints[0] must have one of file, webhook and email"),
        ("{}, checkpoints: [{file: x, every: 0s}]", "audit.checkpoints[0].every must be a duration"),
        (
            "{}, checkpoints: [{email: {to: x, from: a@b.example, smtp: mx}}]",
            "audit.checkpoints[0].email.to is not an e-mail address",
        ),
        (
            "{}, checkpoints: [{email: {to: a@b.example, from: a@b.example, smtp: mx, tls: none}}]",
            "can be none on this machine only",
        ),
        (
            "{}, checkpoints: [{email: {to: a@b.example, from: a@b.example, smtp: mx, user: u}}]",
            "audit.checkpoints[0].email.user and audit.checkpoints[0].email.password_file go together",
        ),
    ] {
        let text = std::fs::read_to_string(world.gate.config()).unwrap();
        let audit = text.replace(good, &format!("audit: {{ordinary: durable, sinks: {wrong}}}"));
        assert_ne!(audit, text);
        let path = world.tree.path().join("wrong.yaml");
        std::fs::write(&path, audit).unwrap();
        let refused =
            world.gate.run(["--config", path.to_str().unwrap(), "audit", "sink", "ls"], "").unwrap();
        assert_eq!(refused.status, 2, "{wrong}");
        assert!(refused.stderr.contains(says), "{wrong}: {}", refused.stderr);
    }
}
