//! What is recorded of whoever does not get in: why, by what, and to which door; never a name that is nobody's.

use serde_json::Value;

use crate::support::{World, said};

fn of_type(world: &World, kind: &str) -> Vec<Value> {
    world.records().into_iter().filter(|it| it["type"] == kind).collect()
}

#[test]
fn who_has_proven_themselves_and_gets_no_session_is_recorded_with_the_reason() {
    let mut world = World::configured("limits: {sessions: 2, per_person: 1}");
    let (dana, olga) = (world.dana(), world.olga());
    let mut first = world.psql(&dana);
    assert!(first.run("select 1;").unwrap().is_ok());
    assert!(!world.connects(&dana, "shop").0);
    let mut second = world.psql(&olga);
    assert!(second.run("select 1;").unwrap().is_ok());
    let eve = world.person("eve", "analysts");
    let (is_in, text) = world.connects(&eve, "shop");
    assert!(!is_in && text.contains("FATAL:  stepgate: too many sessions"), "{text}");
    // What to do, for whoever is told and for whoever can change it.
    let hint = "HINT:  Try again when others have disconnected; the gate's operator sets the limit (limits.sessions).";
    assert!(text.contains(hint), "{text}");
    drop(second);
    let text = || world.connects(&eve, "s3cret-of-somebody").1;
    stepgate_testkit::until("a place", crate::support::SOON, || text().contains("does not exist")).unwrap();
    world.cluster.psql("shop", "alter role stepgate_analyst nologin").unwrap();
    assert!(!world.connects(&eve, "shop").0);
    world.cluster.psql("shop", "alter role stepgate_analyst login").unwrap();
    assert!(world.connects(&eve, "shop").0);

    let refused = of_type(&world, "session.refused");
    let one = |person: &str, reason: &str| {
        let is_it = |it: &&Value| it["person"] == person && it["reason"] == reason;
        refused.iter().find(is_it).unwrap_or_else(|| panic!("{person} {reason}: {refused:?}"))
    };
    let expected = [
        ("dana", "too-many-of-person", Some("shop")),
        ("eve", "too-many-sessions", Some("shop")),
        ("eve", "unknown-database", None),
        ("eve", "server-refused", Some("shop")),
    ];
    for (person, reason, database) in expected {
        let it = one(person, reason);
        assert_eq!(it["database"].as_str(), database, "{it}");
        assert_eq!((&it["address"], &it["client"]), (&"127.0.0.1".into(), &"psql".into()), "{it}");
        assert_eq!(it["method"], "scram-sha-256-plus", "{it}");
    }
    // Nobody had a session of any of these.
    let opened = of_type(&world, "session.opened");
    assert_eq!(opened.len(), 3, "{opened:?}");
    assert!(!world.recorded("s3cret-of-somebody", ""), "a name that is no database's is in the log");
    let found =
        world.gate.run(["audit", "search", "--type", "session.refused", "--person", "dana"], "").unwrap();
    assert!(found.ok().unwrap().contains("too-many-of-person"));
    drop(first);
    assert_eq!(world.gate.terminate().unwrap(), 0);
}

#[test]
fn who_asks_for_made_up_databases_all_day_fills_no_log_and_none_goes_uncounted() {
    let mut world = World::new();
    let dana = world.dana();
    for number in 0..25 {
        let (is_in, text) = world.connects(&dana, &format!("invented_{number}"));
        assert!(!is_in && text.contains("does not exist"), "{text}");
    }
    assert_eq!(world.gate.terminate().unwrap(), 0);
    let refused = of_type(&world, "session.refused");
    // A minute may have begun anew meanwhile.
    assert!((11..=22).contains(&refused.len()), "{}", refused.len());
    assert_eq!(refused.iter().map(|it| 1 + it["more"].as_u64().unwrap_or(0)).sum::<u64>(), 25);
    assert!(refused.iter().all(|it| it["person"] == "dana" && it["database"].is_null()));
    assert!(!world.recorded("invented_", ""));
}

#[test]
fn why_a_login_failed_is_in_the_record_and_not_in_what_the_client_is_told() {
    let world = World::new();
    let dana = world.dana();
    let guess = |name: &str, database: &str| {
        let mut command = world.gate.psql_command(&dana);
        let to = world.gate.conninfo(name, database);
        said(command.env("PGPASSWORD", "guess").args(["-X", "-d", &to, "-c", "select 1"])).1
    };
    let (wrong, nobody) = (guess("dana", "shop"), guess("nobody", "shop"));
    assert_eq!(wrong.replace("dana", "nobody"), nobody);
    guess("dana", "s3cret-of-somebody");
    let failed = of_type(&world, "session.auth_failed");
    let told: Vec<_> = failed
        .iter()
        .map(|it| (it["person"].as_str(), it["reason"].as_str(), it["database"].as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some("dana"), Some("password"), Some("shop")),
            (None, Some("unknown-person"), Some("shop")),
            (Some("dana"), Some("password"), None),
        ]
    );
    for it in &failed {
        assert_eq!((&it["door"], &it["method"]), (&"database".into(), &"scram-sha-256-plus".into()), "{it}");
    }
    assert!(!world.recorded("s3cret-of-somebody", ""));
}
