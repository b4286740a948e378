//! `stepgate device watch` and answers to what others ask: real psql, the digits of its NOTICE, a device that is lost.

use stepgate_testkit::{Person, Psql};

use crate::RESTRICTED;
use crate::device::{enrol, other};
use crate::running::Running;
use crate::support::{SOON, World, held};

/// What a member of data-owners has to approve by the sample policy.
const EXPORT: &str = "copy (select ssn from customers order by id limit 1) to stdout;";

/// The digits in the HINT of a held statement's NOTICE.
fn digits(psql: &mut Psql) -> String {
    let found = psql.line("the digits for a device", SOON, |line| {
        let (_, rest) = line.strip_prefix("HINT:")?.split_once("Or type ")?;
        Some(rest.split_once(" into your device.")?.0.to_owned())
    });
    let digits = found.unwrap();
    assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    digits
}

/// The NOTICE's hint, whatever is in it.
fn hint(psql: &mut Psql) -> String {
    psql.line("the HINT", SOON, |line| Some(line.strip_prefix("HINT:")?.to_owned())).unwrap()
}

/// What it prints until a line with this in it.
fn until_line(device: &mut Running, part: &str) -> String {
    let mut text = String::new();
    loop {
        let line = device.line_or_end();
        assert!(!line.is_empty(), "it ended before {part}: {text}");
        text.push_str(&line);
        if line.contains(part) {
            return text;
        }
    }
}

fn watch(world: &World, person: &str) -> Running {
    Running::start(&world.gate, &["device", "watch", "--as", person])
}

/// Whether that stands somewhere as a word of its own: six digits are a part of many a longer number.
fn has_word(text: &str, word: &str) -> bool {
    text.split(|letter: char| !letter.is_ascii_alphanumeric()).any(|part| part == word)
}

#[test]
fn the_digits_are_in_the_notice_where_the_statement_waits_and_nowhere_else() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    // Without a device there are none.
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    assert!(!hint(&mut psql).contains("into your device"));
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    psql.finish(SOON).unwrap();

    enrol(&world, &mut dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let shown = digits(&mut psql);
    let show = |arguments: &[&str]| world.gate.run(arguments, "").unwrap().ok().unwrap();
    for places in [
        show(&["request", "show", &request, "--as", "dana", "-o", "json"]),
        show(&["request", "ls", "--as", "dana", "-o", "json"]),
        show(&["session", "ls", "-o", "json"]),
    ] {
        assert!(places.contains(&request) || places.contains("dana"), "{places}");
        assert!(!has_word(&places, &shown), "{places}");
    }
    // The device is told everything else; with the digits, it lets the statement run.
    let said = world.gate.run(["device", "answer", &request, "--as", "dana"], &format!("{shown}\n")).unwrap();
    let said = said.ok().unwrap();
    assert!(said.contains(RESTRICTED.trim_end_matches(';')) && !has_word(&said, &shown), "{said}");
    assert!(psql.finish(SOON).unwrap().is_ok());
    let records: String = world.records().iter().map(ToString::to_string).collect();
    assert!(records.contains(&request) && !has_word(&records, &shown));
    assert!(!has_word(&world.gate.log(), &shown));
}

#[test]
fn who_joins_a_request_does_not_take_the_digits_of_who_asked_it() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let (mut one, mut two) = (world.psql(&dana), world.psql(&dana));
    one.send(RESTRICTED).unwrap();
    let request = held(&mut one);
    let shown = digits(&mut one);
    two.send(RESTRICTED).unwrap();
    assert_eq!(held(&mut two), request);
    assert!(!hint(&mut two).contains("into your device"));
    world.gate.run(["device", "answer", "--as", "dana"], &format!("{shown}\n")).unwrap().ok().unwrap();
    assert!(one.finish(SOON).unwrap().is_ok());
    assert!(two.finish(SOON).unwrap().is_ok());
}

#[test]
fn a_device_that_watches_lets_what_waits_in_psql_run_with_the_digits_from_there() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let mut device = watch(&world, "dana");
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let shown = digits(&mut psql);
    let page = until_line(&mut device, "Your answer: yes");
    assert!(page.contains(RESTRICTED.trim_end_matches(';')) && page.contains(&request), "{page}");
    assert!(!has_word(&page, &shown), "{page}");
    // Wrong ones let nothing through, and it is asked again.
    device.type_in(other(&shown));
    let again = until_line(&mut device, "Your answer: yes");
    assert!(again.contains(&format!("{request}: ")), "{again}");
    device.type_in(&shown);
    until_line(&mut device, &format!("{request}: approved"));
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("901-00-"), "{}", reply.text());
}

#[test]
fn a_device_says_that_somebody_else_asks_in_its_persons_name_and_their_session_ends() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let mut device = watch(&world, "dana");
    let mut thief = world.psql(&dana);
    thief.send(RESTRICTED).unwrap();
    let request = held(&mut thief);
    until_line(&mut device, "Your answer: yes");
    device.type_in("not-me");
    until_line(&mut device, &format!("{request}: denied"));
    let lines = thief.ended(SOON).unwrap().join("\n");
    assert!(!lines.contains("901-00-"), "{lines}");
    assert!(world.recorded("alarm.raised", "not-me"));
}

#[test]
fn a_device_that_watches_goes_on_after_the_gate_was_restarted() {
    let mut world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let mut device = watch(&world, "dana");
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    held(&mut psql);
    until_line(&mut device, "Your answer: yes");
    // It is asked for digits, and the gate goes away under it.
    world.gate.kill();
    device.type_in("000000");
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let shown = digits(&mut psql);
    let page = until_line(&mut device, "Your answer: yes");
    assert!(page.contains(&request), "{page}");
    device.type_in(&shown);
    until_line(&mut device, &format!("{request}: approved"));
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn a_lost_device_answers_nothing_more_and_the_person_has_other_ways() {
    let world = World::new();
    let mut dana = world.dana();
    enrol(&world, &mut dana);
    let mut device = watch(&world, "dana");
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    held(&mut psql);
    let shown = digits(&mut psql);
    until_line(&mut device, "Your answer: yes");
    let listed = world.gate.run(["user", "factor", "ls", "dana", "-o", "json"], "").unwrap().ok().unwrap();
    let factors: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    let id = factors.iter().find_map(|it| it["id"].as_str().filter(|id| id.starts_with("push-"))).unwrap();
    world.gate.run(["user", "factor", "rm", "dana", id], "").unwrap().ok().unwrap();
    // Whoever has it, and saw the digits: it is nobody's device any more.
    device.type_in(&shown);
    assert_eq!(device.ended_by_itself(), 1);
    assert!(!psql.finish(SOON).unwrap().is_ok(), "the removal ends what was asked");

    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    assert!(!hint(&mut psql).contains("into your device"));
    let told = world.gate.run(["verify", &request, "--method", "push", "--as", "dana"], "").unwrap();
    assert_eq!(told.status, 1, "{}", told.text());
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}

/// Somebody who may approve exports, with a device that counts for that.
fn approving() -> (World, Person, Person) {
    let world = World::configured("factors: {new_factor_delay: 0s}");
    let (mut dana, mut olga) = (world.dana(), world.olga());
    enrol(&world, &mut dana);
    enrol(&world, &mut olga);
    (world, dana, olga)
}

/// `request approve|deny --method push`, and the digits that it shows to who answers.
fn begun(world: &World, verb: &str, request: &str) -> (Running, String) {
    let command = ["request", verb, request, "--method", "push", "--as", "olga"];
    let mut begun = Running::start(&world.gate, &command);
    let code = begun.line().split(' ').nth(2).unwrap().to_owned();
    (begun, code)
}

#[test]
fn an_approvers_device_shows_what_another_asks_and_approves_it_with_the_approvers_digits() {
    let (world, dana, _olga) = approving();
    let mut device = watch(&world, "olga");
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    // Whoever asks gets no digits for it, and their device has no say.
    assert!(!hint(&mut psql).contains("into your device"));
    let own = world.gate.run(["verify", &request, "--method", "push", "--as", "dana"], "").unwrap();
    assert_eq!(own.status, 1, "{}", own.text());
    let (mut waiting, code) = begun(&world, "approve", &request);
    let page = until_line(&mut device, "Your answer: yes");
    assert!(page.contains("copy (select ssn from customers") && page.contains("dana"), "{page}");
    device.type_in("ticket 4711");
    device.type_in(&code);
    until_line(&mut device, &format!("{request}: approved"));
    assert_eq!(waiting.ended(), 0);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("901-00-"), "{}", reply.text());
    let dana_asks = world.gate.run(["device", "answer", &request, "--as", "dana"], "000000\n").unwrap();
    assert_eq!(dana_asks.status, 1);
}

#[test]
fn an_approvers_device_denies_and_digits_for_no_are_none_for_yes() {
    let (world, dana, _olga) = approving();
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let (_no, code) = begun(&world, "deny", &request);
    let mut device = watch(&world, "olga");
    let page = until_line(&mut device, "Your answer: ");
    assert!(page.ends_with("Your answer: no\n"), "{page}");
    device.type_in("use the masked view");
    device.type_in(&code);
    until_line(&mut device, &format!("{request}: denied"));
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.sqlstate == "42501" && reply.text().contains("use the masked view"), "{}", reply.text());
    assert!(!reply.text().contains("901-00-"), "{}", reply.text());
}
