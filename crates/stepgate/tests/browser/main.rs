//! The gate's pages in a real browser, before a real gate, PostgreSQL and psql. See tests/browser/README.md.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod approve;
mod driver;
mod glass;
mod oidc;
mod passkey;
#[path = "../sinks/receivers.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod receivers;
#[path = "../sinks/rooms.rs"]
mod rooms;
#[path = "../methods/running.rs"]
#[allow(dead_code, reason = "each test file uses its part")]
mod running;
#[path = "../support/mod.rs"]
mod support;

use driver::Script;
use serde_json::json;
use stepgate_testkit::Person;
use support::{SOON, World, held};

/// What a script needs to log in.
fn login(person: &Person) -> serde_json::Value {
    json!({"name": person.name(), "password": person.password()})
}

fn with(mut given: serde_json::Value, more: serde_json::Value) -> serde_json::Value {
    given.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    given
}

#[test]
fn somebody_sees_on_a_phone_what_is_held_and_lets_it_run_by_a_code() {
    let world = World::new();
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    let sql = "select ssn from customers where full_name <> '<b>\u{202E}x</b>' order by id limit 3;";
    psql.send(sql).unwrap();
    let request = held(&mut psql);
    let shown = sql.replace('\u{202E}', "\\u{202E}");
    let given = with(login(&dana), json!({"request": request, "sql": shown}));
    let Some(mut script) = Script::start(&world, "verify", given) else { return };
    let code = script.give_code(&mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("(3 rows)"), "{}", reply.text());
    script.give_code(&mut dana);
    let codes = script.hear()["codes"].clone();
    let printed = codes[0].as_str().unwrap();
    script.ends();
    // What was printed lets another statement run, and is in nothing that the gate keeps.
    psql.send("select iban from payments where id = 1;").unwrap();
    let request = held(&mut psql);
    let verify =
        |code: &str| world.gate.run(["verify", &request, "--as", "dana"], &format!("{code}\n")).unwrap();
    dana.login(&world.gate).unwrap();
    verify(printed).ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    for secret in [dana.password(), &code, printed, "full_name <>"] {
        assert!(!world.gate.log().contains(secret), "{secret}");
    }
}

#[test]
fn after_a_wrong_code_the_page_hears_how_its_request_ends_and_leads_to_it() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers order by id limit 3;").unwrap();
    let request = held(&mut psql);
    let given = with(login(&dana), json!({"request": request}));
    let Some(mut script) = Script::start(&world, "refused", given) else { return };
    assert_eq!(script.hear(), json!({"refused": true}));
    world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
    script.ends();
}

#[test]
fn an_owner_of_the_data_denies_and_approves_on_a_phone_by_keyboard_and_without_a_script_running() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    let Some(mut script) = Script::start(&world, "answer", login(&olga)) else { return };
    for (reason, ended) in [("use the <i>extract</i>", "denied"), ("ticket 4711", "approved")] {
        let sql = "copy (select email from customers order by id limit 2) to stdout;";
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        script.tell(json!({"request": request, "sql": sql, "reason": reason}));
        script.give_code(&mut olga);
        assert_eq!(script.hear(), json!({"ended": ended}));
        let reply = psql.finish(SOON).unwrap();
        assert_eq!(reply.is_ok(), ended == "approved", "{}", reply.text());
        assert_eq!(reply.text().contains(reason), ended == "denied", "{}", reply.text());
    }
    script.ends();
}

#[test]
fn an_open_page_hears_what_comes_up_and_what_becomes_of_it() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let Some(mut script) = Script::start(&world, "watch", login(&dana)) else { return };
    assert_eq!(script.hear(), json!({"watching": "list"}));
    psql.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    script.tell(json!({"request": request}));
    assert_eq!(script.hear(), json!({"watching": request}));
    world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
    script.ends();
}

#[test]
fn an_open_page_hears_of_a_vote_a_comment_and_that_more_people_are_asked() {
    let world = World::with_policy(|policy| {
        let escalates = "    escalate: {after: 12s, to: [security]}\n    reason: required ";
        let changed = policy.replace("count: 1 ", "count: 2 ").replace("    reason: required ", escalates);
        assert!(changed.contains("count: 2 ") && changed.contains("escalate"));
        changed
    });
    let (dana, mut olga) = (world.dana(), world.olga());
    let _omar = world.person("omar", "data-owners");
    let mut psql = world.psql(&dana);
    let Some(mut script) = Script::start(&world, "changes", login(&dana)) else { return };
    assert_eq!(script.hear(), json!({"logged": "in"}));
    psql.send("copy (select email from customers order by id limit 2) to stdout;").unwrap();
    let request = held(&mut psql);
    script.tell(json!({"request": request}));
    assert_eq!(script.hear(), json!({"watching": request}));
    olga.answer(&world.gate, "approve", &request, "fine").unwrap().ok().unwrap();
    world
        .gate
        .run(["request", "comment", &request, "which year?", "--as", "olga"], "")
        .unwrap()
        .ok()
        .unwrap();
    script.ends();
    // At the terminal, too; but not what was said.
    for told in ["olga has approved, 1 of 2", "something was said about it", "it goes to security too"] {
        psql.line(told, SOON, |line| line.contains(told).then_some(())).unwrap();
    }
    world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    let text = reply.text();
    assert!(reply.sqlstate == "57014" && !text.contains("which year"), "{text}");
}

#[test]
fn somebody_who_looks_elsewhere_is_told_on_their_desktop_and_reads_nothing_of_it_there() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let Some(mut script) = Script::start(&world, "desktop", login(&dana)) else { return };
    assert_eq!(script.hear(), json!({"watching": true}));
    for step in ["told", "unwatched"] {
        if step == "unwatched" {
            assert_eq!(script.hear(), json!({"unwatched": true}));
        }
        psql.send("select ssn from customers where id = 1;").unwrap();
        let request = held(&mut psql);
        script.tell(json!({"request": request}));
        if step == "told" {
            assert_eq!(script.hear(), json!({"told": request}));
        }
        world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
        assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
        if step == "told" {
            script.tell(json!({}));
        }
    }
    script.ends();
}

#[test]
fn a_page_whose_stream_opens_late_still_says_what_became_of_its_request() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    // The list is looked at first, while nothing waits.
    let Some(mut script) = Script::start(&world, "late", login(&dana)) else { return };
    assert_eq!(script.hear(), json!({"listed": true}));
    psql.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    script.tell(json!({"request": request}));
    assert_eq!(script.hear(), json!({"shown": request}));
    world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
    script.tell(json!({"ended": request}));
    script.ends();
}

#[test]
fn another_site_leads_people_to_the_gate_and_does_nothing_in_their_name() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    let given = with(login(&dana), json!({"request": request}));
    let Some(script) = Script::start(&world, "elsewhere", given) else { return };
    script.ends();
    assert_eq!(world.open_request(&dana), request);
}
