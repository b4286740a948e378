//! The reference device: it signs what it has shown, with the digits that are shown where the statement waits.

use stepgate_testkit::Person;

use crate::RESTRICTED;
use crate::running::Running;
use crate::support::{EVERYTHING, NOTHING_LABELLED, SOON, World, held};

pub(crate) fn enrol(world: &World, person: &mut Person) {
    let name = person.name().to_owned();
    let enrolment = world.gate.run(["user", "enroll-code", &name], "").unwrap().ok().unwrap();
    let lines = format!("{}\n{}\n", enrolment.trim(), person.code().unwrap());
    let enrol = ["device", "enroll", "--name", "laptop", "--as", &name];
    world.gate.run(enrol, &lines).unwrap().ok().unwrap();
}

/// `verify --method push`, and the digits that it shows.
fn begun(world: &World, request: &str) -> (Running, String) {
    begun_by(world, &["verify", request, "--method", "push", "--as", "dana"])
}

/// A command that waits for a device, and the digits that it shows, after what is to be approved.
fn begun_by(world: &World, command: &[&str]) -> (Running, String) {
    let mut verify = Running::start(&world.gate, command);
    let is_code = |word: &&str| word.len() == 6 && word.bytes().all(|byte| byte.is_ascii_digit());
    let mut before = Vec::new();
    let code = loop {
        let line = verify.line();
        if let Some(code) = line.split(' ').nth(2).filter(is_code) {
            break code.to_owned();
        }
        before.push(line);
        assert!(before.len() < 1_000, "{before:#?}");
    };
    (verify, code)
}

pub(crate) fn other(code: &str) -> &'static str {
    if code == "000000" { "111111" } else { "000000" }
}

#[test]
fn a_device_answers_what_it_has_shown_with_the_digits_from_where_the_statement_waits() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let answer = |request: &str, line: &str| {
        world.gate.run(["device", "answer", request, "--as", "dana"], line).unwrap()
    };
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    assert_eq!(answer("0000-0000", "000000\n").status, 1, "nobody has begun it");
    let (mut verify, code) = begun(&world, &request);
    assert_ne!(answer(&request, "\n").status, 0, "without a code");
    assert_eq!(answer(&request, &format!("{}\n", other(&code))).status, 1);
    let said = answer(&request, &format!("{code}\n")).ok().unwrap();
    assert!(said.contains(RESTRICTED.trim_end_matches(';')), "{said}");
    assert!(!said.contains(&code), "{said}");
    assert_eq!(verify.ended(), 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn five_wrong_codes_end_a_push_and_its_digits_answer_no_other_request() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let answer = |request: &str, code: &str| {
        world.gate.run(["device", "answer", request, "--as", "dana"], &format!("{code}\n")).unwrap()
    };
    let (mut one, mut two) = (world.psql(&dana), world.psql(&dana));
    one.send(RESTRICTED).unwrap();
    let first = held(&mut one);
    two.send("select card_number from payments limit 1;").unwrap();
    let second = held(&mut two);
    let ((_of_first, code), (_of_second, digits)) = (begun(&world, &first), begun(&world, &second));
    if code != digits {
        assert_eq!(answer(&second, &code).status, 1, "the digits of another request");
    }
    for _ in 0..5 {
        assert_eq!(answer(&first, other(&code)).status, 1);
    }
    assert_eq!(answer(&first, &code).status, 1, "exhausted");
    let again = world.gate.run(["verify", &first, "--method", "push", "--as", "dana"], "").unwrap();
    assert!(again.status == 1 && again.text().contains("too many"), "{}", again.text());
    assert!(!one.shown().iter().any(|line| line.contains("901-00-")));
}

#[test]
fn a_changed_policy_is_approved_on_a_device_where_codes_are_too_weak() {
    let mut world = World::not_serving(|policy| policy);
    world.edit("policies: {", "policies: {two_person: {groups: [data-owners], strength: strong}, ");
    world.configure("factors: {new_factor_delay: 0s}");
    world.gate.serve().unwrap();
    let (mut olga, mut omar) = (world.olga(), world.person("omar", "data-owners"));
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let lint = world.gate.run(["policy", "lint"], "").unwrap().ok().unwrap();
    let sha256 = lint.trim().rsplit(' ').next().unwrap().to_owned();
    let waits = || world.recorded("policy.proposed", &sha256);
    stepgate_testkit::until("what waits", SOON, waits).unwrap();
    // With an app alone there is nothing to approve by; said to be one, it is refused.
    let none = world.gate.run(["policy", "approve", &sha256, "--as", "olga"], "").unwrap();
    assert!(none.status == 1 && none.text().contains("/enrol"), "{}", none.text());
    for person in [&mut olga, &mut omar] {
        enrol(&world, person);
    }
    let code = format!("{}\n", olga.code().unwrap());
    let weak = ["policy", "approve", &sha256, "--method", "totp", "--as", "olga"];
    let weak = world.gate.run(weak, &code).unwrap();
    assert!(weak.status == 1 && weak.text().contains("--method push"), "{}", weak.text());
    for (person, approved) in [("olga", "1 of 2"), ("omar", "approved;")] {
        // Without being told: a device is what they have.
        let (mut waiting, digits) = begun_by(&world, &["policy", "approve", &sha256, "--as", person]);
        let answer = |digits: &str| {
            let answer = ["device", "answer", &sha256, "--as", person];
            world.gate.run(answer, &format!("{digits}\n")).unwrap()
        };
        assert_eq!(answer(other(&digits)).status, 1);
        let said = answer(&digits).ok().unwrap();
        assert!(said.contains(&format!("Approve the policy {sha256}")) && said.contains(approved), "{said}");
        // That no device had asked was said before.
        assert!((0..2).any(|_| waiting.line().contains(approved)));
        assert_eq!(waiting.ended(), 0);
    }
    stepgate_testkit::until("the policy", SOON, || world.recorded("policy.loaded", &sha256)).unwrap();
}

#[test]
fn whoever_waits_for_a_device_that_does_not_ask_hears_so_and_what_else_there_is() {
    let world = World::new();
    let mut dana = world.dana();
    let enrolment = world.gate.run(["user", "enroll-code", "dana"], "").unwrap().ok().unwrap();
    let lines = format!("{}\n{}\n", enrolment.trim(), dana.code().unwrap());
    let enrol = ["enroll", "device", "--name", "laptop", "--as", "dana"];
    world.gate.run(enrol, &lines).unwrap().ok().unwrap();
    let passkey = world.gate.run(["enroll", "passkey", "--as", "dana"], "").unwrap().ok().unwrap();
    assert!(passkey.contains(&format!("open {}/enrol in a browser", world.gate.url())), "{passkey}");
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let (mut verify, _code) = begun(&world, &request);
    let asleep = verify.line();
    assert!(asleep.starts_with("no device has asked lately"), "{asleep}");
    let instead = verify.line();
    assert!(instead.starts_with("your device has not answered yet; instead (Ctrl-C):"), "{instead}");
    assert!(instead.contains("--method totp"), "{instead}");
    // One that asks, without answering yet.
    let mut watch = Running::start(&world.gate, &["device", "watch", "--as", "dana"]);
    watch.line();
    let (mut again, _code) = begun(&world, &request);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    // It would have been said before.
    let next = again.line();
    assert!(!next.contains("no device has asked lately"), "{next}");
    assert!(psql.finish(SOON).unwrap().is_ok());
}
