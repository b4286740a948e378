use std::io::Write as _;
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use stepgate_testkit::until;

use crate::support::{SOON, World, held};
use crate::{json, recorded};

const SSN: &str = "select ssn from customers where id = 1;";

fn forwarded(world: &World, request: &str) -> usize {
    let records = world.records();
    let is = |record: &&Value| {
        record["type"] == "statement.decided"
            && record["verdict"] == "forward"
            && record["request"] == request
    };
    records.iter().filter(is).count()
}

/// A command of somebody's that is under way, with a code as its input.
fn begin(world: &World, arguments: &[&str], code: &str) -> Child {
    let mut command = world.gate.command();
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    // Who is refused before may not read it.
    let _closed = input.write_all(format!("{code}\n").as_bytes());
    child
}

#[test]
fn two_tabs_that_approve_at_once_approve_once() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    let codes = [dana.code().unwrap(), dana.code().unwrap()];
    // Processes of their own, each with a connection of its own: the calls are under way at the same time.
    let tabs: Vec<_> =
        (0..8).map(|tab| begin(&world, &["verify", &request, "--as", "dana"], &codes[tab % 2])).collect();
    let answers: Vec<_> = tabs.into_iter().map(|mut tab| tab.wait().unwrap()).collect();
    assert_eq!(answers.iter().filter(|answer| answer.success()).count(), 1);
    assert!(psql.finish(SOON).unwrap().is_ok());
    assert_eq!((recorded(&world, "stepup.ended", &request), forwarded(&world, &request)), (1, 1));
}

#[test]
fn an_approval_and_a_denial_at_once_are_one_of_the_two() {
    let world = World::new();
    let dana = world.dana();
    let (mut olga, mut omar) = (world.olga(), world.person("omar", "data-owners"));
    for _ in 0..3 {
        let mut psql = world.psql(&dana);
        psql.send("copy (select email from customers) to stdout;").unwrap();
        let request = held(&mut psql);
        let (yes, no) = (olga.code().unwrap(), omar.code().unwrap());
        let answer = |verb, person, code: &str| {
            begin(&world, &["request", verb, &request, "--reason", "as I see it", "--as", person], code)
        };
        let (mut yes, mut no) = (answer("approve", "olga", &yes), answer("deny", "omar", &no));
        let (yes, no) = (yes.wait().unwrap().success(), no.wait().unwrap().success());
        assert_ne!(yes, no, "one of them is too late");
        let reply = psql.finish(SOON).unwrap();
        assert_eq!(reply.is_ok(), yes, "{}", reply.text());
        assert_eq!(
            (recorded(&world, "stepup.ended", &request), forwarded(&world, &request)),
            (1, usize::from(yes))
        );
    }
}

#[test]
fn a_gate_killed_between_approval_and_release_runs_the_statement_once_at_most() {
    let mut world = World::new();
    let mut dana = world.dana();
    for wait in [0, 5, 20] {
        let mut psql = world.psql(&dana);
        psql.send(SSN).unwrap();
        let request = held(&mut psql);
        let code = dana.code().unwrap();
        let mut verify = begin(&world, &["verify", &request, "--as", "dana"], &code);
        // Now, or a little later: at each of them something else has just happened.
        let approved = || recorded(&world, "stepup.ended", &request) == 1;
        until("the approval", SOON, || verify.try_wait().unwrap().is_some() || approved()).unwrap();
        std::thread::sleep(Duration::from_millis(wait));
        world.gate.kill();
        verify.wait().unwrap();
        // It has its rows, or has lost its connection.
        let shown = match psql.finish(SOON) {
            Ok(reply) => reply.text(),
            Err(_) => psql.shown().join("\n"),
        };
        world.gate.serve().unwrap();
        dana.login(&world.gate).unwrap();
        assert_eq!(recorded(&world, "stepup.ended", &request), 1, "{wait} ms");
        let ran = forwarded(&world, &request);
        assert!(ran <= 1, "{wait} ms");
        assert!(ran == 1 || !shown.contains("901-00-"), "{wait} ms: {shown}");
        // That it has ended comes before any code is looked at.
        let late = world.gate.run(["verify", &request, "--as", "dana"], "000000\n").unwrap();
        assert!(late.status == 1 && late.text().contains("ended"), "{}", late.text());
        // What was remembered by then is one grant, and it is given back for the next round.
        let grants = json(&world, &["grant", "ls", "--as", "dana", "-o", "json"]);
        let grants: Vec<_> =
            grants.as_array().unwrap().iter().map(|it| it["grant"].as_str().unwrap().to_owned()).collect();
        assert!(grants.len() <= 1);
        for grant in grants {
            world.gate.run(["grant", "revoke", &grant, "--as", "dana"], "").unwrap().ok().unwrap();
        }
    }
}

#[test]
fn what_was_held_when_the_gate_was_killed_is_approved_after_it_where_that_is_configured() {
    const EXPORT: &str = "copy (select email from customers where id = 1) to stdout;";
    let mut world = World::configured("sealed_requests: true");
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    world.gate.kill();
    let files: Vec<_> =
        std::fs::read_dir(world.gate.data().join("requests")).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 2);
    let plain = |path: &std::path::Path| {
        let bytes = std::fs::read(path).unwrap();
        bytes.windows(9).any(|bytes| bytes == b"customers")
    };
    assert!(!files.iter().any(|file| plain(&file.path())));
    world.gate.serve().unwrap();
    olga.login(&world.gate).unwrap();
    let shown = world.gate.run(["request", "show", &request, "--as", "olga"], "").unwrap().ok().unwrap();
    assert!(shown.contains("where id = 1") && shown.contains("deferred"), "{shown}");
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let mut again = world.psql(&dana);
    let reply = again.run(EXPORT).unwrap();
    assert!(reply.is_ok() && reply.text().contains("@example.test"), "{}", reply.text());
    assert!(!reply.text().contains("stepgate:"), "{}", reply.text());
    again.send(EXPORT).unwrap();
    assert_ne!(held(&mut again), request, "once");
    assert_eq!(
        std::fs::read_dir(world.gate.data().join("requests")).unwrap().count(),
        2,
        "of the new one alone"
    );
}

#[test]
fn a_policy_changed_while_a_statement_waits_has_it_asked_for_anew() {
    let mut world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    let before = policies(&world);
    let path = world.gate.directory().join("policies/policy.yaml");
    let edited = std::fs::read_to_string(&path).unwrap() + "\n# edited by hand\n";
    std::fs::write(&path, edited).unwrap();
    world.gate.serving().unwrap().signal("HUP").unwrap();
    until("the new policy", SOON, || policies(&world).len() > before.len()).unwrap();
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    // What was approved was approved by another policy.
    let again = held(&mut psql);
    assert_ne!(again, request);
    assert!(!psql.shown().iter().any(|line| line.contains("901-00-")));
    dana.verify(&world.gate, &again).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    // Both files are named by their hashes, and each decision says by which it was made.
    let after = policies(&world);
    let decided = |sha256: &str| recorded(&world, "statement.decided", sha256);
    assert!(after.len() == 2 && after[0] != after[1], "{after:?}");
    assert!(after.iter().all(|sha256| decided(sha256) >= 1), "{after:?}");
    // And so does whoever verifies, in order, with the record from which on each was in force.
    let verified = world.gate.run(["audit", "verify"], "").unwrap().ok().unwrap();
    assert!(verified.lines().last().unwrap().starts_with("ok: "), "{verified}");
    let named: Vec<_> = verified.lines().filter_map(|line| line.strip_prefix("policy: ")).collect();
    assert_eq!(named.len(), 2, "{verified}");
    let verified = json(&world, &["audit", "verify", "-o", "json"]);
    assert_eq!(verified["ok"], true);
    for (at, sha256) in after.iter().enumerate() {
        assert!(named[at].starts_with(&format!("{sha256} in force from record ")), "{}", named[at]);
        let policy = &verified["policies"][at];
        assert_eq!(
            (&policy["policy_sha256"], &policy["loaded"]),
            (&Value::from(sha256.as_str()), &Value::from(true))
        );
        let record = policy["record"].as_u64().unwrap();
        let is = |it: &Value| it["seq"] == record && it["type"] == "policy.loaded";
        assert!(world.records().iter().any(is), "{policy}");
    }
    // Offline as well: of a copy, and of an export.
    let copy = world.tree.path().join("audit.jsonl");
    let copy = copy.to_str().unwrap();
    world.gate.run(["audit", "export", "--out", copy], "").unwrap().ok().unwrap();
    let offline = world.gate.run(["audit", "verify", copy, "--offline"], "").unwrap().ok().unwrap();
    assert!(named.iter().all(|policy| offline.contains(policy)), "{offline}");
}

/// Policies by their hashes, as a search of the log finds them.
fn policies(world: &World) -> Vec<String> {
    let found = json(world, &["audit", "search", "--type", "policy.loaded", "-o", "json"]);
    found.as_array().unwrap().iter().map(|it| it["policy_sha256"].as_str().unwrap().to_owned()).collect()
}
