//! Whoever waits hears of every change at their terminal, and of what was said only that it was.

use crate::owners;
use crate::support::{SOON, World, held, repository, said};

const EXPORT: &str = "copy (select email from customers order by id limit 2) to stdout;";

#[test]
fn the_waiting_client_hears_of_votes_comments_and_an_escalation_and_of_who_approved() {
    let world = World::with_policy(|text| {
        owners(&text.replace("count: 1 ", "count: 2 "), "escalate: {after: 2s, to: [security]}")
    });
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut sam = world.person("sam", "security");
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let mut says = |what: &str| {
        let notice = format!("NOTICE:  stepgate: {request}: {what}");
        psql.line(&notice, SOON, |line| (line == notice).then_some(())).unwrap();
    };
    says("nobody has answered for long; it goes to security too");
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    says("olga has approved, 1 of 2");
    let comment = ["request", "comment", &request, "is it for J. Doe?", "--as", "sam"];
    world.gate.run(comment, "").unwrap().ok().unwrap();
    says("something was said about it");
    sam.answer(&world.gate, "approve", &request, "on call").unwrap().ok().unwrap();
    says("approved by olga, sam, resuming");
    let reply = psql.finish(SOON).unwrap();
    let text = reply.text();
    assert!(reply.is_ok() && text.matches("@example.test").count() == 2, "{text}");
    assert!(text.contains(&format!("HINT:  Read it: stepgate request show {request}")), "{text}");
    assert!(!text.contains("J. Doe") && !world.gate.log().contains("J. Doe"), "{text}");
}

#[test]
fn of_a_hold_with_many_comments_few_are_told_and_its_connection_goes_on() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let told = |shown: &[String]| shown.iter().filter(|line| line.contains("something was said")).count();
    for number in 0..12 {
        let text = format!("comment {number}");
        world.gate.run(["request", "comment", &request, &text, "--as", "olga"], "").unwrap().ok().unwrap();
        if number < 9 {
            let is_told = |line: &str| line.contains("something was said").then_some(());
            psql.line("the notice", SOON, is_told).unwrap();
        }
    }
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    assert_eq!(told(&reply.lines), 9, "{}", reply.text());
}

#[test]
fn at_a_terminal_an_approver_sees_all_of_it_before_they_are_asked_for_a_code() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    let stepgate = world.gate.command();
    let mut terminal = std::process::Command::new("python3");
    terminal.arg(repository().join("tests/tools/terminal.py")).args(["Code: ", &olga.code().unwrap()]);
    terminal.arg(stepgate.get_program()).args(stepgate.get_args());
    for (name, value) in stepgate.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    terminal.args(["request", "approve", &request, "--reason", "ticket 4711", "--as", "olga"]);
    let (ok, screen) = said(&mut terminal);
    let (before, after) = screen.split_once("Code: ").unwrap();
    assert!(before.contains(EXPORT.trim_end_matches(';')) && before.contains("Your answer: yes"), "{screen}");
    assert!(ok && after.contains("approved"), "{screen}");
    assert!(psql.finish(SOON).unwrap().is_ok());
}
