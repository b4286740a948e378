//! A policy approved and a break-glass reviewed by passkeys, in Chromium, where codes would be too little.

use std::process::Stdio;

use serde_json::{Value, json};
use stepgate_testkit::Person;

use super::driver::Script;
use super::support::{EVERYTHING, NOTHING_LABELLED, SOON, World};
use super::{login, with};

/// A gate where owners of data approve policies and review break-glass, all by passkeys.
fn world() -> World {
    let mut world = World::not_serving(|policy| policy);
    let owners = "{groups: [data-owners], strength: phishing-resistant}";
    world.edit("policies: {", &format!("policies: {{two_person: {owners}, "));
    world.configure(&format!(
        "factors: {{new_factor_delay: 0s}}\nbreak_glass: {{groups: [analysts], reviewers: {owners}}}"
    ));
    world.gate.serve().unwrap();
    world
}

/// What a script needs to log somebody in and to enrol a passkey of theirs.
fn newcomer(world: &World, person: &Person) -> Value {
    let code = world.gate.run(["user", "enroll-code", person.name()], "").unwrap().ok().unwrap();
    let code = code.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned();
    with(login(person), json!({"enrolment_code": code}))
}

#[test]
fn a_policy_is_approved_and_a_break_glass_reviewed_by_passkey_on_a_phone() {
    let world = world();
    let (mut dana, mut olga) = (world.person("dana", "analysts,data-owners"), world.olga());
    let given = json!({"dana": newcomer(&world, &dana), "olga": newcomer(&world, &olga)});
    let Some(mut script) = Script::start(&world, "approve", given) else { return };
    script.give_code(&mut dana);
    script.give_code(&mut olga);
    assert_eq!(script.hear(), json!({"enrolled": true}));
    let run = |args: &[&str], input: &str| world.gate.run(args.iter().copied(), input).unwrap();

    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let lint = run(&["policy", "lint"], "").ok().unwrap();
    let sha256 = lint.trim().rsplit(' ').next().unwrap().to_owned();
    let waits = || world.recorded("policy.proposed", &sha256);
    stepgate_testkit::until("what waits", SOON, waits).unwrap();
    // At a terminal, who has nothing but a passkey that does is told where to use it; a code is too little.
    let terminal = run(&["policy", "approve", &sha256, "--as", "olga"], "");
    let page = format!("{}/policies/{sha256}", world.gate.url());
    assert!(terminal.status == 1 && terminal.text().contains(&page), "{}", terminal.text());
    let code = format!("{}\n", olga.code().unwrap());
    let weak = run(&["policy", "approve", &sha256, "--method", "totp", "--as", "olga"], &code);
    assert!(weak.status == 1 && weak.text().contains("use your passkey"), "{}", weak.text());
    script.tell(json!({"policy": sha256}));
    assert_eq!(script.hear(), json!({"approved": "olga"}));
    assert!(!world.recorded("policy.loaded", &sha256));
    script.tell(json!({}));
    assert_eq!(script.hear(), json!({"approved": "dana"}));
    stepgate_testkit::until("the policy", SOON, || world.recorded("policy.loaded", &sha256)).unwrap();

    let ask = ["break-glass", "--as", "dana", "--reason", "the shop is down"];
    let mut command = world.gate.command();
    command.args(ask).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let asked = command.spawn().unwrap();
    let waits = || run(&["break-glass", "ls", "--as", "dana"], "").text().contains("asked");
    stepgate_testkit::until("the ceremony", SOON, waits).unwrap();
    script.tell(json!({}));
    let glass = script.hear()["ended"].as_str().unwrap().to_owned();
    // Whether or not it was seen open, the terminal is done.
    asked.wait_with_output().unwrap();
    let terminal = run(&["break-glass", "review", &glass, "--comment", "fine", "--as", "olga"], "");
    let page = format!("{}/break-glass/{glass}", world.gate.url());
    assert!(terminal.status == 1 && terminal.text().contains(&page), "{}", terminal.text());
    script.tell(json!({}));
    assert_eq!(script.hear(), json!({"reviewed": glass}));
    script.ends();
    let found = run(&["audit", "search", "--grant", &glass, "-o", "json"], "").ok().unwrap();
    assert!(found.contains("\"break_glass.reviewed\"") && found.contains("in order"), "{found}");
    let votes = run(&["audit", "search", "--type", "policy.voted", "-o", "json"], "").ok().unwrap();
    assert_eq!(votes.matches("phishing-resistant").count(), 2, "{votes}");
}
