//! The reference device: it signs what it has shown, with the digits that are shown where the statement waits.

use stepgate_testkit::Person;

use crate::RESTRICTED;
use crate::running::Running;
use crate::support::{SOON, World, held};

fn enrol(world: &World, person: &mut Person) {
    let enrolment = world.gate.run(["user", "enroll-code", person.name()], "").unwrap().ok().unwrap();
    let lines = format!("{}\n{}\n", enrolment.trim(), person.code().unwrap());
    let enrol = ["device", "enroll", "--name", "laptop", "--as", person.name()];
    world.gate.run(enrol, &lines).unwrap().ok().unwrap();
}

/// `verify --method push`, and the digits that it shows.
fn begun(world: &World, request: &str) -> (Running, String) {
    begun_by(world, &["verify", request, "--method", "push", "--as", "dana"])
}

/// The same of another command.
fn begun_by(world: &World, command: &[&str]) -> (Running, String) {
    let mut running = Running::start(&world.gate, command);
    let line = running.line();
    let code = line.split(' ').nth(2).unwrap().to_owned();
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
    (running, code)
}

/// Reads on to a line that holds this; what it has read by then.
fn until_it_says(running: &mut Running, text: &str) -> String {
    let mut said = String::new();
    while !said.contains(text) {
        let line = running.line();
        // Between what it shows stand single empty lines alone; at its end there is nothing else.
        assert!(!said.ends_with("\n\n\n"), "it never says {text}: {said}");
        said += &line;
        said.push('\n');
    }
    said
}

fn other(code: &str) -> &'static str {
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
    assert_eq!(answer(&request, "000000\n").status, 1, "nobody has begun it");
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
fn a_device_that_watches_asks_once_for_each_push_and_shows_what_it_is_for() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let mut watch = Running::start(&world.gate, &["device", "watch", "--as", "dana"]);
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let (_first, code) = begun(&world, &request);
    let shown = until_it_says(&mut watch, "Your answer: yes");
    assert!(shown.contains(RESTRICTED.trim_end_matches(';')) && !shown.contains(&code), "{shown}");
    watch.type_in(other(&code));
    let refused = until_it_says(&mut watch, &format!("{request}: "));
    assert!(!refused.contains("approved"), "{refused}");
    // The next thing that it asks for is the push that is begun anew, not the one before again.
    let (mut verify, code) = begun(&world, &request);
    until_it_says(&mut watch, "Your answer: yes");
    watch.type_in(&code);
    assert_eq!(verify.ended(), 0);
    until_it_says(&mut watch, "approved");
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn an_approver_answers_by_their_device_and_nobody_elses_does_it_for_them() {
    let world = World::configured("factors: {new_factor_delay: 0s}");
    let (mut dana, mut olga) = (world.dana(), world.olga());
    enrol(&world, &mut dana);
    enrol(&world, &mut olga);
    let answer = |request: &str, person: &str, code: &str| {
        let command = ["device", "answer", request, "--reason", "ticket 4711", "--as", person];
        world.gate.run(command, &format!("{code}\n")).unwrap()
    };
    let by_push = |verb, request: &str| {
        begun_by(&world, &["request", verb, request, "--method", "push", "--as", "olga"])
    };
    let mut psql = world.psql(&dana);
    psql.send("copy customers (email) to stdout;").unwrap();
    let request = held(&mut psql);
    let (mut approve, code) = by_push("approve", &request);
    assert_eq!(answer(&request, "dana", &code).status, 1, "who asks does not approve");
    assert_eq!(answer(&request, "olga", other(&code)).status, 1);
    let said = answer(&request, "olga", &code).ok().unwrap();
    assert!(said.contains("copy customers (email) to stdout") && said.contains("Your answer: yes"), "{said}");
    assert_eq!(approve.ended(), 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
    psql.send("copy payments (card_number) to stdout;").unwrap();
    let request = held(&mut psql);
    let (mut deny, code) = by_push("deny", &request);
    let said = answer(&request, "olga", &code).ok().unwrap();
    assert!(said.contains("Your answer: no"), "{said}");
    assert_eq!(deny.ended(), 0);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "42501" && reply.text().contains("ticket 4711"), "{}", reply.text());
}
