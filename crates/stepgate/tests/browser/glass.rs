//! Break-glass: asked for at a terminal, opened by a passkey in Chromium, gone by with psql.

use std::process::Stdio;

use serde_json::json;

use super::driver::Script;
use super::rooms::{Rooms, Told};
use super::running::Running;
use super::support::{SOON, World, held, passes, waits};
use super::{login, with};

/// A gate where analysts may, and owners of data review; and who hears of it, where there is what they hear by.
fn world() -> (World, Option<Rooms>) {
    let mut world = World::not_serving(|policy| policy);
    world.configure(
        "factors: {new_factor_delay: 0s}\nbreak_glass: {groups: [analysts], reviewers: [data-owners], for: 10m}",
    );
    let rooms = Rooms::open(&world);
    world.gate.serve().unwrap();
    (world, rooms)
}

/// What they hear next of break-glass.
fn heard(rooms: &mut Rooms, what: &str, says: &str) -> Told {
    loop {
        let told = rooms.next();
        if told.hook["event"] == "break_glass" && told.hook["what"] == what {
            told.says(says, &["dana", "olga", "the shop is down", "customers", "127.0.0.1 "]);
            return told;
        }
    }
}

#[test]
fn break_glass_takes_a_passkey_lets_through_unasked_ends_at_once_and_is_reviewed_by_somebody_else() {
    let (world, mut rooms) = world();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let run = |args: &[&str], input: &str| world.gate.run(args.iter().copied(), input).unwrap();
    let ask = ["break-glass", "--as", "dana", "--reason", "the shop is down", "--for", "5m"];
    let refused = run(&ask, "");
    assert!(refused.status == 1 && refused.text().contains("passkey"), "{}", refused.text());
    let code = run(&["user", "enroll-code", dana.name()], "").ok().unwrap();
    let code = code.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned();
    let given = with(login(&dana), json!({"enrolment_code": code}));
    let Some(mut script) = Script::start(&world, "glass", given) else { return };
    script.give_code(&mut dana);
    assert_eq!(script.hear(), json!({"enrolled": true}));

    let mut psql = world.psql(&dana);
    waits(&world, &mut psql, &dana, "select ssn from customers order by id limit 3;");
    let mut command = world.gate.command();
    command.args(ask).args(["-o", "json"]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let asked = command.spawn().unwrap();
    let waits_for = || run(&["break-glass", "ls", "--as", "dana"], "").text().contains("asked");
    stepgate_testkit::until("the ceremony", SOON, waits_for).unwrap();
    script.tell(json!({"reason": "the shop is down"}));
    let glass = script.hear()["opened"].as_str().unwrap().to_owned();
    let said = asked.wait_with_output().unwrap();
    let (text, meanwhile) = (String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success() && meanwhile.contains("use your passkey"), "{text}{meanwhile}");
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (told["done"].as_str(), told["state"].as_str()),
        (Some("break-glass"), Some("open")),
        "{told}"
    );
    assert_eq!(told["grant"], glass.as_str());
    assert!(told["message"].as_str().unwrap().contains("for psql from 127.0.0.1"), "{told}");
    if let Some(rooms) = &mut rooms {
        let told = heard(rooms, "opened", "somebody lets themselves through until");
        assert_eq!(told.hook["grant"], glass.as_str());
        assert!(world.gate.run(told.command(), "").unwrap().ok().unwrap().contains("break_glass.opened"));
    }
    // Unasked, however much it is; what changes who may do what is denied as ever.
    passes(&mut psql, "select ssn from customers order by id;");
    passes(&mut psql, "copy (select email from customers order by id limit 2) to stdout;");
    let control = psql.run("create role mallory;").unwrap();
    assert_eq!(control.sqlstate, "42501", "{}", control.text());
    // Another client of the same person's is asked.
    let mut other = world.gate.psql_command(&dana);
    other.env("PGAPPNAME", "dump");
    let mut other = stepgate_testkit::Psql::start(other).unwrap();
    waits(&world, &mut other, &dana, "select ssn from customers order by id limit 3;");

    // What is under way stops at its next row once it is taken back.
    passes(&mut psql, "begin;");
    passes(&mut psql, "declare c cursor for select ssn from customers order by id;");
    passes(&mut psql, "fetch 5 from c;");
    let ended = run(&["break-glass", "end", &glass, "--as", "dana"], "").ok().unwrap();
    assert!(ended.contains("over"), "{ended}");
    if let Some(rooms) = &mut rooms {
        heard(rooms, "used", "a statement passes unasked");
        heard(rooms, "ended", "is over (revoked)");
    }
    psql.send("fetch 5 from c;").unwrap();
    let request = held(&mut psql);
    run(&["request", "cancel", &request, "--as", dana.name()], "").ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(!reply.is_ok() && !reply.text().contains("(5 rows)"), "{}", reply.text());
    script.tell(json!({}));
    script.ends();

    let again = run(&ask, "");
    assert!(again.status == 1 && again.text().contains("not reviewed"), "{}", again.text());
    let code = format!("{}\n", dana.code().unwrap());
    let own = run(&["break-glass", "review", &glass, "--comment", "fine", "--as", "dana"], &code);
    assert!(own.status == 1 && own.text().contains("nobody reviews their own"), "{}", own.text());
    // By her device: where it is begun, the digits; there, what was done and what she found.
    let code = run(&["user", "enroll-code", "olga"], "").ok().unwrap();
    let lines = format!("{}\n{}\n", code.trim(), olga.code().unwrap());
    run(&["device", "enroll", "--name", "laptop", "--as", "olga"], &lines).ok().unwrap();
    let review = ["break-glass", "review", &glass, "--comment", "fine", "--method", "push", "--as", "olga"];
    let mut review = Running::start(&world.gate, &review);
    review.line();
    let digits = review.line().split(' ').nth(2).unwrap().to_owned();
    let said = run(&["device", "answer", &glass, "--as", "olga"], &format!("in order\n{digits}\n"));
    let said = said.ok().unwrap();
    assert!(said.contains("of dana: the shop is down") && said.contains("reviewed"), "{said}");
    // That no device had asked was said before.
    assert!((0..2).any(|_| review.line().contains("reviewed")) && review.ended() == 0);
    assert!(!run(&["break-glass", "ls", "--operator"], "").ok().unwrap().contains(&glass));
    let found = run(&["audit", "search", "--grant", &glass, "-o", "json"], "").ok().unwrap();
    for kind in ["opened", "used", "ended", "reviewed"] {
        assert!(found.contains(&format!("\"break_glass.{kind}\"")), "{kind}: {found}");
    }
    assert!(found.contains("in order"), "{found}");
    let report = run(&["audit", "report", "approvals", "-o", "json"], "").ok().unwrap();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    let row = &report["sections"]["break_glass"][0];
    for (column, said) in [
        ("glass", glass.as_str()),
        ("person", "dana"),
        ("reason", "the shop is down"),
        ("why", "revoked"),
        ("ended_by", "dana"),
        ("reviewed_by", "olga"),
        ("comment", "in order"),
    ] {
        assert_eq!(row[column], said, "{column}: {report:#}");
    }
    assert!(row["uses"].as_u64() >= Some(3) && row["reviewed"].is_string(), "{report:#}");
    assert!(found.contains("statement.decided") && !world.gate.log().contains("the shop is down"), "{found}");
}
