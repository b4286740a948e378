//! Limits over sessions and windows of time: how much a person gets, by however many statements.

use crate::support::{SOON, World, held, passes};
use crate::{bare, brake, called_off, contacts, direct, events, replaced, rows, verified};

#[test]
fn ordinary_work_is_not_asked_about_and_the_notice_says_which_limit_and_how_long() {
    let world = World::with_policy(brake("{rows: 100, per: 1h}", "self"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, &contacts(60));
    passes(&mut psql, "select count(*) from products;");
    psql.send(&contacts(60)).unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    let shown = reply.text();
    assert!(shown.contains("held after 40 rows, verification required"), "{shown}");
    let said =
        "Limit of confidential-read: 100 rows per 1h; 100 counted, the first of them leave the window in 6";
    assert!(shown.contains(said) && shown.contains("Limit: 100 rows per 1h."), "{shown}");
    assert_eq!(rows(&reply.lines), direct(&world, &contacts(60)));
    // What was approved is as much again, for whatever follows; then people are asked anew.
    passes(&mut psql, &contacts(80));
    psql.send(&contacts(1)).unwrap();
    let request = held(&mut psql);
    called_off(&world, &mut psql, &dana, &request);
    let reached = events(&world, "limit.reached");
    assert_eq!(reached.len(), 2, "{reached:?}");
    for reached in &reached {
        assert_eq!(
            (&reached["limit_per"], &reached["limit_rule"]),
            (&"1h".into(), &"confidential-read".into())
        );
    }
}

#[test]
fn each_limit_of_a_list_counts_for_itself() {
    let limits = "[{rows: 30}, {rows: 50, per: session}, {bytes: 1MiB, per: 1d}]";
    let world = World::with_policy(brake(limits, "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, &contacts(30));
    for (sql, after, which) in
        [(contacts(40), 20, "50 rows per session; 50 counted"), (contacts(1), 0, "per session")]
    {
        psql.send(&sql).unwrap();
        let request = held(&mut psql);
        let shown = called_off(&world, &mut psql, &dana, &request);
        assert!(shown.contains(&format!("held after {after} row")) && shown.contains(which), "{shown}");
        assert!(shown.contains("Limits: 30 rows, 50 rows per session, 1 MiB per 1d."), "{shown}");
    }
}

#[test]
fn bytes_are_counted_over_a_window_as_rows_are() {
    let world = World::with_policy(brake("{bytes: 64KiB, per: 15m}", "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let much = "select repeat(email, 500) from customers where id = 1;";
    for _ in 0..4 {
        passes(&mut psql, much);
    }
    let request = loop {
        psql.send(much).unwrap();
        let notice = psql.line("an end", SOON, |line| Some(line.starts_with("NOTICE:"))).unwrap();
        if notice {
            break world.open_request(&dana);
        }
        psql.finish(SOON).unwrap();
    };
    called_off(&world, &mut psql, &dana, &request);
    let counted: u64 = events(&world, "limit.counted").last().unwrap()["bytes"].as_u64().unwrap();
    assert!(counted <= 64 << 10, "{counted}");
}

#[test]
fn a_window_is_each_persons_own() {
    let world = World::with_policy(brake("{rows: 100, per: 1h}", "self"));
    let (dana, omar) = (world.dana(), world.person("omar", "analysts"));
    let (mut hers, mut his) = (bare(&world, &dana), bare(&world, &omar));
    passes(&mut hers, &contacts(100));
    passes(&mut his, &contacts(100));
    for (psql, person) in [(&mut hers, &dana), (&mut his, &omar)] {
        psql.send(&contacts(1)).unwrap();
        let request = held(psql);
        called_off(&world, psql, person, &request);
    }
}

#[test]
fn an_unlimited_approval_of_a_statement_does_not_lift_the_window_of_its_rule() {
    let world = World::with_policy(crate::restricted("{rows: 100, per: 1h}"));
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    psql.send("select ssn from customers order by id limit 60;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert_eq!(rows(&psql.finish(SOON).unwrap().lines).len(), 60);
    // By the remembered approval, and yet within the window.
    psql.send("select ssn from customers order by id limit 60;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.shown().join("\n").contains("held after 40 rows"), "{:?}", psql.shown());
    assert_eq!(rows(&psql.finish(SOON).unwrap().lines).len(), 60);
}

#[test]
fn in_monitor_mode_a_window_is_counted_and_nobody_waits() {
    let world = World::with_policy(|policy| {
        brake("{rows: 100, per: 1h}", "self")(crate::replaced(&policy, "mode: enforce", "mode: monitor"))
    });
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, &contacts(90));
    let reply = psql.run(&contacts(90)).unwrap();
    assert_eq!(rows(&reply.lines).len(), 90);
    let reached = events(&world, "limit.reached");
    assert!(reached.len() == 1 && reached[0]["verdict"] == "monitor", "{reached:?}");
    assert_eq!(reached[0]["limit_per"], "1h");
}

/// Nothing of a person is in what is counted but their commitment.
#[test]
fn what_is_counted_is_recorded_in_numbers() {
    let world = World::with_policy(brake("{rows: 100, per: 1h}", "self"));
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, &contacts(30));
    let counted = events(&world, "limit.counted");
    let last = counted.last().unwrap();
    assert!(last["rows"].as_u64().unwrap() >= 30 && last["person"] == "dana", "{last}");
    assert_eq!((&last["rule"], &last["per"]), (&"confidential-read".into(), &"1h".into()));
    // In chunks: not each row, and not each statement, costs a write.
    assert!(counted.len() <= 4, "{counted:?}");
    let before = counted.len();
    passes(&mut psql, &contacts(3));
    assert_eq!(events(&world, "limit.counted").len(), before);
}

/// What was let through by other rules, or as somebody in another group, is asked about once it goes on.
#[test]
fn by_a_cursor_that_was_opened_before_the_rules_changed() {
    let mut world = World::new();
    let dana = world.dana();
    let (mut psql, mut other) = (bare(&world, &dana), bare(&world, &dana));
    for psql in [&mut psql, &mut other] {
        passes(psql, "begin;");
        passes(psql, "declare c cursor for select email from customers order by id;");
        passes(psql, "fetch 2 from c;");
    }
    // The same rules, read again, are no others.
    world.reload();
    passes(&mut psql, "fetch 2 from c;");
    let policy = world.gate.directory().join("policies/policy.yaml");
    let text = std::fs::read_to_string(&policy).unwrap();
    let rule = "    match: {class: confidential}\n    action: monitor\n";
    let stricter = replaced(&text, rule, "    match: {class: confidential}\n    action: deny\n");
    std::fs::write(&policy, stricter).unwrap();
    world.reload();
    // The configuration is told of before the policy that comes with it is in force.
    let mut third = bare(&world, &dana);
    let is_denied = || third.run("select email from customers limit 1;").unwrap().sqlstate == "42501";
    stepgate_testkit::until("the stricter rules", SOON, is_denied).unwrap();
    let refused = psql.run("fetch 2 from c;").unwrap();
    assert_eq!(refused.sqlstate, "42501", "{}", refused.text());
    assert!(!refused.text().contains("@example.test"), "{}", refused.text());
    std::fs::write(&policy, &text).unwrap();
    world.reload();
    let passes_again = || third.run("select email from customers limit 1;").unwrap().is_ok();
    stepgate_testkit::until("the rules of before", SOON, passes_again).unwrap();
    drop(psql);
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "begin;");
    passes(&mut psql, "declare c cursor for select email from customers order by id;");
    passes(&mut psql, "fetch 2 from c;");
    world.gate.run(["user", "groups", "dana", "approvers"], "").unwrap().ok().unwrap();
    // As somebody of whom the rules say the same.
    passes(&mut psql, "fetch 2 from c;");
}
