//! The configuration, read again while the gate runs.

use crate::support::{World, held};

#[test]
fn limits_and_passwords_are_taken_up_and_sessions_go_on() {
    let mut world = World::new();
    let dana = world.dana();
    let mut before = world.psql(&dana);
    assert!(before.run("select 1;").unwrap().is_ok());
    world.configure("limits: {per_person: 1}");
    world.cluster.psql("shop", "alter role stepgate_analyst password 'another'").unwrap();
    std::fs::write(world.gate.directory().join("secrets/shop"), "another\n").unwrap();
    // Not before it is asked to.
    let (is_in, text) = world.connects(&dana, "shop");
    assert!(!is_in && text.contains("cannot reach database"), "{text}");
    world.reload();
    let (is_in, text) = world.connects(&dana, "shop");
    assert!(!is_in && text.contains("too many sessions of dana (limit 1)"), "{text}");
    assert!(before.run("select 1;").unwrap().is_ok());
    drop(before);
    let limit = || world.connects(&dana, "shop").0;
    stepgate_testkit::until("the session to be over", crate::support::SOON, limit).unwrap();
    let loaded: Vec<_> = world.records().into_iter().filter(|it| it["type"] == "config.loaded").collect();
    assert_eq!(loaded.len(), 2, "at the start, and now");
    assert_ne!(loaded[0]["config_sha256"], loaded[1]["config_sha256"]);
    assert!(world.gate.log().contains(loaded[1]["config_sha256"].as_str().unwrap()));
}

#[test]
fn what_is_not_valid_changes_nothing_at_all_and_says_so() {
    let mut world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    assert!(psql.run("select 1;").unwrap().is_ok());
    let good = std::fs::read_to_string(world.gate.config()).unwrap();
    for (from, to, says) in [
        ("tls:", "tsl:", "unknown key tsl"),
        ("sslmode: disable", "sslmode: perhaps", "sslmode must be"),
        ("secrets/shop", "secrets/nothing", "there is no file"),
        ("cert: cert.pem", "cert: nowhere.pem", "nowhere.pem"),
        ("databases:", "limits: {per_person: 0}\ndatabases:", "limits.per_person must be"),
    ] {
        std::fs::write(world.gate.config(), good.replacen(from, to, 1).replace("  shop:", "  renamed:"))
            .unwrap();
        world.reload();
        assert!(world.gate.log().contains(says), "{says}: {}", world.gate.log());
        assert!(psql.run("select 1;").unwrap().is_ok());
        assert!(world.connects(&dana, "shop").0);
    }
    std::fs::remove_file(world.gate.config()).unwrap();
    world.reload();
    assert!(psql.run("select 1;").unwrap().is_ok());
    // A pipe that nobody writes to is not waited for.
    assert!(std::process::Command::new("mkfifo").arg(world.gate.config()).status().unwrap().success());
    world.reload();
    assert!(world.gate.log().contains("is not a regular file"), "{}", world.gate.log());
    std::fs::remove_file(world.gate.config()).unwrap();
    std::fs::write(world.gate.config(), good).unwrap();
    let rejected = world.records().into_iter().filter(|it| it["type"] == "config.rejected");
    assert_eq!(rejected.count(), 7);
}

#[test]
fn databases_come_and_go_and_sessions_of_one_that_is_gone_are_ended() {
    let mut world = World::new();
    let dana = world.dana();
    world.cluster.copy_database("shop", "hr").unwrap();
    assert!(!world.connects(&dana, "hr").0);
    let text = std::fs::read_to_string(world.gate.config()).unwrap();
    let begin = text.find("  shop:\n").unwrap();
    let end = text.find("policies: {map").unwrap();
    let shop = text.get(begin..end).unwrap();
    let hr = shop.replace("  shop:\n", "  hr:\n").replace("dbname: shop", "dbname: hr");
    std::fs::write(world.gate.config(), text.replace(shop, &format!("{shop}{hr}"))).unwrap();
    world.reload();
    let (mut stays, mut goes, mut waits) =
        (world.psql_in(&dana, "hr"), world.psql_in(&dana, "shop"), world.psql_in(&dana, "shop"));
    assert!(stays.run("select 1;").unwrap().is_ok() && goes.run("select 1;").unwrap().is_ok());
    waits.send("select ssn from customers limit 1;").unwrap();
    let request = held(&mut waits);

    std::fs::write(world.gate.config(), text.replace(shop, &hr)).unwrap();
    world.reload();
    assert!(stays.run("select 1;").unwrap().is_ok());
    assert!(goes.run("select 1;").is_err());
    let said = waits.ended(crate::support::SOON).unwrap().join("\n");
    assert!(said.contains("FATAL"), "{said}");
    assert!(world.recorded("withdrawn", &request));
    let (is_in, said) = world.connects(&dana, "shop");
    assert!(!is_in && said.contains("FATAL:  database \"shop\" does not exist"), "{said}");
    // And back, with what was labelled still labelled.
    std::fs::write(world.gate.config(), text.replace(shop, &format!("{shop}{hr}"))).unwrap();
    world.reload();
    let mut again = world.psql_in(&dana, "shop");
    again.send("select ssn from customers limit 1;").unwrap();
    held(&mut again);
    // Reached in another way, it is another.
    let other = format!("{shop}{hr}").replacen("host: \"127.0.0.1\"", "host: localhost", 1);
    std::fs::write(world.gate.config(), text.replace(shop, &other)).unwrap();
    world.reload();
    assert!(again.ended(crate::support::SOON).unwrap().join("\n").contains("FATAL"));
    assert!(world.connects(&dana, "shop").0);
    assert!(stays.run("select 1;").unwrap().is_ok());
    // What takes a restart is said, and the rest taken up.
    world.edit("console: {listen: ", "metrics: {listen: 127.0.0.1:1}\nconsole: {listen: ");
    world.reload();
    assert!(world.gate.log().contains("metrics.listen has changed, which takes a restart"));
}
