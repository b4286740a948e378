use stepgate_testkit::until;

use crate::support::{SOON, World, held};
use crate::{json, owners, recorded};

const EXPORT: &str = "copy (select email from customers) to stdout;";

#[test]
fn two_are_asked_one_name_is_one_person_and_an_approver_removed_meanwhile_does_not_count() {
    let world = World::with_policy(|text| text.replace("count: 1 ", "count: 2 "));
    let dana = world.dana();
    let mut olga = world.olga();
    let mut omar = world.person("omar", "data-owners");
    let mut amir = world.person("amir", "data-owners");
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "fine").unwrap().ok().unwrap();
    let twice = olga.answer(&world.gate, "approve", &request, "fine").unwrap();
    assert!(twice.status == 1 && twice.text().contains("already"), "{}", twice.text());
    world.gate.run(["user", "groups", "olga", "analysts"], "").unwrap().ok().unwrap();
    let removed = olga.answer(&world.gate, "deny", &request, "no").unwrap();
    assert_eq!(removed.status, 1, "{}", removed.text());
    let second = omar.answer(&world.gate, "approve", &request, "fine").unwrap().ok().unwrap();
    assert!(second.contains("1 of 2"), "{second}");
    assert!(!psql.shown().iter().any(|line| line.contains("@example.test")));
    amir.answer(&world.gate, "approve", &request, "fine").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    assert_eq!(recorded(&world, "stepup.ended", &request), 1);
}

#[test]
fn one_denial_ends_it_for_all() {
    let world = World::with_policy(|text| text.replace("count: 1 ", "count: 2 "));
    let dana = world.dana();
    let mut olga = world.olga();
    let mut omar = world.person("omar", "data-owners");
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    olga.answer(&world.gate, "approve", &request, "fine").unwrap().ok().unwrap();
    omar.answer(&world.gate, "deny", &request, "use the extract").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "42501" && reply.text().contains("use the extract"), "{}", reply.text());
    let late = olga.answer(&world.gate, "approve", &request, "fine").unwrap();
    assert!(late.status == 1 && late.text().contains("ended"), "{}", late.text());
}

#[test]
fn a_delegate_answers_for_who_is_away_and_never_for_who_has_lent_them_the_right() {
    let world = World::new();
    let (dana, _olga) = (world.dana(), world.olga());
    let mut eve = world.person("eve", "analysts");
    let delegate = |arguments: &[&str]| {
        let arguments: Vec<_> = ["user", "delegate"].iter().chain(arguments).copied().collect();
        world.gate.run(arguments, "").unwrap()
    };
    let refused = delegate(&["dana", "--to", "eve", "--until", "1h", "--groups", "data-owners"]);
    assert_eq!(refused.status, 1, "dana has no such right: {}", refused.text());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    assert_eq!(eve.answer(&world.gate, "approve", &request, "fine").unwrap().status, 1);
    delegate(&["olga", "--to", "eve", "--until", "14d", "--groups", "data-owners"]).ok().unwrap();
    assert_eq!(recorded(&world, "admin.delegated", "eve"), 1);
    eve.answer(&world.gate, "approve", &request, "for olga").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    // Olga asks: her own delegate has no say, also not as the only one there is.
    let olga = stepgate_testkit::Person::add(&world.gate, "olga2", "data-owners").unwrap();
    delegate(&["olga2", "--to", "eve", "--until", "14d", "--groups", "data-owners"]).ok().unwrap();
    delegate(&["olga", "--to", "eve", "--end"]).ok().unwrap();
    let mut psql = world.psql(&olga);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let refused = eve.answer(&world.gate, "approve", &request, "for olga").unwrap();
    assert_eq!(refused.status, 1, "{}", refused.text());
    assert!(!psql.shown().iter().any(|line| line.contains("@example.test")));
}

#[test]
fn an_unanswered_request_goes_to_the_next_group_and_not_before_its_time() {
    let world = World::with_policy(|text| owners(&text, "escalate: {after: 2s, to: [security]}"));
    let (dana, _olga) = (world.dana(), world.olga());
    let mut sam = world.person("sam", "security");
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let show = || world.gate.run(["request", "show", &request, "--as", "sam"], "").unwrap();
    let escalated = || recorded(&world, "stepup.escalated", &request);
    assert!(show().status == 1 || escalated() == 1);
    until("the escalation", SOON, || show().status == 0).unwrap();
    assert_eq!(escalated(), 1);
    sam.answer(&world.gate, "approve", &request, "on call").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn who_answers_sees_why_how_much_what_came_before_and_what_was_said() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let first = held(&mut psql);
    olga.answer(&world.gate, "deny", &first, "what for?").unwrap().ok().unwrap();
    psql.finish(SOON).unwrap();
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let comment = |person: &str, text: &str| {
        world.gate.run(["request", "comment", &request, text, "--as", person], "").unwrap()
    };
    comment("dana", "for the audit of J\u{202E}ohn").ok().unwrap();
    comment("olga", "which year?").ok().unwrap();
    let _eve = world.person("eve", "analysts");
    assert_eq!(comment("eve", "me too").status, 1);
    let shown = json(&world, &["request", "show", &request, "--as", "olga", "-o", "json"]);
    let shown = &shown[0];
    assert_eq!((&shown["history"]["denied"], &shown["history"]["similar"]), (&1.into(), &1.into()));
    assert!(shown["estimate"].as_u64().is_some_and(|rows| rows >= 500), "{shown}");
    assert!(shown["why"].to_string().contains("personal-data-export"), "{shown}");
    let page = world.gate.run(["request", "show", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    for said in ["which year?", "J\\u{202E}ohn", "1 denied", "personal-data-export"] {
        assert!(page.contains(said), "{said}: {page}");
    }
    let raw = std::fs::read_dir(world.gate.data().join("records")).unwrap();
    let raw: Vec<_> = raw.flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let raw = String::from_utf8_lossy(&raw).into_owned();
    assert!(raw.contains("stepup.commented") && !raw.contains("which year"));
}

#[test]
fn watching_tells_each_change_as_a_json_line() {
    use std::io::{BufRead as _, BufReader};
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut watch = world
        .gate
        .command()
        .args(["request", "watch", "--as", "dana", "-o", "json"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let mut next = || {
        let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        (line["request"] == request.as_str(), line["state"].as_str().unwrap().to_owned())
    };
    assert_eq!(next(), (true, "open".to_owned()));
    olga.answer(&world.gate, "approve", &request, "fine").unwrap().ok().unwrap();
    assert_eq!(next(), (true, "approved".to_owned()));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn who_watches_hears_that_the_gate_is_away_and_of_what_happens_after_its_restart() {
    use std::io::{BufRead as _, BufReader};
    let mut world = World::new();
    let mut dana = world.dana();
    let errors = world.tree.path().join("watch.err");
    let mut watch = world.gate.command();
    watch.args(["request", "watch", "--as", "dana", "-o", "json"]).stdin(std::process::Stdio::null());
    watch.stdout(std::process::Stdio::piped()).stderr(std::fs::File::create(&errors).unwrap());
    let mut watch = watch.spawn().unwrap();
    let said = |what: &str| std::fs::read_to_string(&errors).unwrap().matches(what).count();
    let hears = |what: &str| stepgate_testkit::until(what, SOON, || said(what) == 1).unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut next = |request: &str, state: &str| {
        loop {
            let line: serde_json::Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
            if line["request"] == request && line["state"] == state {
                return;
            }
        }
    };
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let before = held(&mut psql);
    next(&before, "open");
    drop(psql);

    world.gate.kill();
    hears("the gate is away");
    world.gate.serve().unwrap();
    // Logins end with the gate's process: whoever watches says so, and takes the next one.
    hears("the gate is back");
    hears("the login of dana has ended");
    assert!(watch.try_wait().unwrap().is_none());
    dana.login(&world.gate).unwrap();
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let after = held(&mut psql);
    assert_ne!(before, after);
    next(&after, "open");
    // And once more.
    drop(psql);
    world.gate.terminate().unwrap();
    stepgate_testkit::until("the second absence", SOON, || said("the gate is away") == 2).unwrap();
    watch.kill().unwrap();
    watch.wait().unwrap();
    // Who cannot be reached at first is not waited for.
    let told = world.gate.run(["request", "watch", "--as", "dana"], "").unwrap();
    assert!(told.status == 3 && told.stderr.contains("cannot reach the gate"), "{}", told.text());
}
