use crate::support::{SOON, World, held};
use crate::{json, recorded};

fn export(id: u32) -> String {
    format!("copy (select email from customers where id = {id}) to stdout;")
}

#[test]
fn a_hundred_requests_fired_with_a_stolen_password_ask_three_times_and_not_me_ends_the_session() {
    let world = World::new();
    let (dana, olga) = (world.dana(), world.olga());
    let mut thieves: Vec<_> = (0..3).map(|_| world.psql(&dana)).collect();
    let requests: Vec<_> = (1..)
        .zip(&mut thieves)
        .map(|(id, psql)| {
            psql.send(&export(id)).unwrap();
            held(psql)
        })
        .collect();
    let mut flood = world.psql(&dana);
    for id in 4..=100 {
        let reply = flood.run(&export(id)).unwrap();
        assert!(reply.sqlstate == "54000" && reply.text().contains("--not-me"), "{}", reply.text());
    }
    assert_eq!(recorded(&world, "stepup.requested", ""), 3);
    assert_eq!(
        json(&world, &["request", "ls", "--as", olga.name(), "-o", "json"]).as_array().unwrap().len(),
        3
    );
    // What she did not make is not hers to call off by anybody else's word.
    let other = world.gate.run(["request", "deny", &requests[0], "--not-me", "--as", "olga"], "").unwrap();
    assert_eq!(other.status, 1, "{}", other.text());
    let said = world.gate.run(["request", "deny", &requests[0], "--not-me", "--as", "dana"], "").unwrap();
    assert!(said.ok().unwrap().contains("denied"));
    let lines = thieves[0].ended(SOON).unwrap().join("\n");
    assert!(!lines.contains("@example.test"), "{lines}");
    assert_eq!(
        (recorded(&world, "alarm.raised", "not-me"), recorded(&world, "stepup.ended", "denied")),
        (1, 1)
    );
    // Her account is as it was: she connects, works, and has room for a request.
    let mut own = world.psql(&dana);
    assert!(own.run("select 1;").unwrap().is_ok());
    own.send(&export(101)).unwrap();
    held(&mut own);
    // The other sessions are not the one that she was asked about.
    assert_eq!(recorded(&world, "alarm.raised", ""), 1);
}

#[test]
fn identical_statements_are_one_request_and_its_approval_runs_one_of_them() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let (mut first, mut second) = (world.psql(&dana), world.psql(&dana));
    first.send(&export(1)).unwrap();
    let request = held(&mut first);
    second.send(&export(1)).unwrap();
    assert_eq!(held(&mut second), request);
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let reply = first.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("@example.test"), "{}", reply.text());
    // The other asks anew.
    assert_ne!(held(&mut second), request);
    assert!(!second.shown().iter().any(|line| line.contains("@example.test")));
    assert_eq!(recorded(&world, "statement.decided", &format!("\"request\":\"{request}\"")), 1);
}

#[test]
fn after_two_unanswered_requests_a_pause_and_the_limits_are_configurable() {
    let world = World::not_serving(|text| text.replace("hold: 5m", "hold: 1s"));
    world.configure("limits: {open_requests: 1, cool_down: 1h}");
    let mut world = world;
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    const SSN: &str = "select ssn from customers where id = 1;";
    for _ in 0..2 {
        assert_eq!(psql.run(SSN).unwrap().sqlstate, "57014");
    }
    let paused = psql.run(SSN).unwrap();
    assert!(paused.sqlstate == "54000" && paused.text().contains("not answered"), "{}", paused.text());
    assert!(psql.run("select 1;").unwrap().is_ok());
    // Others are asked nevertheless; of them, one at a time.
    let mut other = world.psql(&dana);
    other.send(&export(1)).unwrap();
    held(&mut other);
    let second = psql.run(&export(2)).unwrap();
    assert!(second.sqlstate == "54000" && second.text().contains("1 open requests"), "{}", second.text());
}
