use std::process::Command;

use crate::support::{World, said};
use crate::{json, recorded};

const NIGHTLY: &str =
    "select id, ssn from customers where id <= 3 order by id;\n\nselect iban from payments where id = 1;\n";

/// A gate whose services may be answered for ahead of time by data owners.
fn world() -> World {
    let world = World::with_policy(|text| {
        text.replace("  on_client_gone: defer", "  services: data-owners\n  on_client_gone: defer")
    });
    world
        .gate
        .run(["user", "add", "etl", "--service", "--groups", "analysts"], "etl-password\n")
        .unwrap()
        .ok()
        .unwrap();
    world
}

/// What the service's own psql says.
fn runs(world: &World, sql: &str) -> (bool, String) {
    runs_after(world, &[], "", sql)
}

/// The same in a session that begins with these options and has run that before.
fn runs_after(world: &World, before: &[&str], options: &str, sql: &str) -> (bool, String) {
    let mut psql = Command::new(world.cluster.binaries().path("psql"));
    psql.env("PGOPTIONS", options);
    psql.env("PGPASSWORD", "etl-password").args(["-X", "-At", "-v", "VERBOSITY=verbose"]);
    psql.args(["-d", &world.gate.conninfo("etl", "shop")]);
    said(psql.args(before.iter().chain([&sql]).flat_map(|sql| ["-c", *sql])))
}

fn open(world: &World, sql: &str, more: &[&str]) -> stepgate_testkit::Outcome {
    let file = world.tree.path().join("nightly.sql");
    std::fs::write(&file, sql).unwrap();
    let mut arguments = vec!["request", "open", file.to_str().unwrap(), "--as", "etl", "--login", "dana"];
    arguments.extend(["--until", "30d", "-o", "json"]);
    arguments.extend(more);
    world.gate.run(arguments, "").unwrap()
}

fn id(opened: &str) -> String {
    let rows: serde_json::Value = serde_json::from_str(opened).unwrap();
    rows[0]["request"].as_str().unwrap().to_owned()
}

#[test]
fn a_service_never_verifies_itself_and_passes_with_what_others_have_approved_ahead() {
    let world = world();
    let (_dana, mut olga) = (world.dana(), world.olga());
    let (first, second) = (
        "select id, ssn from customers where id <= 3 order by id",
        "select iban from payments where id = 1;",
    );
    let (ok, text) = runs(&world, first);
    assert!(!ok && text.contains("42501") && text.contains("request open FILE --as"), "{text}");
    let opened = open(&world, NIGHTLY, &["--reason", "nightly export"]).ok().unwrap();
    let request = id(&opened);
    assert!(!runs(&world, first).0, "nobody has approved it yet");
    // The approver sees the statements themselves, until when, by whom, and why.
    let shown = world.gate.run(["request", "show", &request, "--as", "olga"], "").unwrap().ok().unwrap();
    let terms = ["Good until  20", "Delivers    without a limit"];
    for part in ["where id <= 3", "select iban", "service etl", "Opened by   dana", "nightly export"]
        .iter()
        .chain(&terms)
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let own = world.gate.run(["verify", &request, "--as", "dana"], "000000\n").unwrap();
    assert_eq!(own.status, 1, "{}", own.text());
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    for sql in [first, &format!("{first};"), second] {
        let (ok, text) = runs(&world, sql);
        assert!(ok && !text.contains("ERROR"), "{sql}: {text}");
    }
    // Anything else is what it was, be it narrower.
    for sql in [
        "select id, ssn from customers where id <= 2 order by id",
        "select ssn from customers",
        "select card_number from payments where id = 1",
    ] {
        let (ok, text) = runs(&world, sql);
        assert!(!ok && text.contains("42501"), "{sql}: {text}");
    }
    let grants = json(&world, &["grant", "ls", "--operator", "-o", "json"]);
    assert_eq!(grants[0]["statements"], 2);
    let grant = grants[0]["grant"].as_str().unwrap();
    world.gate.run(["grant", "revoke", grant, "--operator"], "").unwrap().ok().unwrap();
    assert!(!runs(&world, first).0);
    assert_eq!(recorded(&world, "stepup.requested", "opened_by"), 1);
}

#[test]
fn what_a_service_may_deliver_ahead_is_bounded_over_all_its_runs() {
    let world = world();
    let (_dana, mut olga) = (world.dana(), world.olga());
    let request =
        id(&open(&world, "select ssn from customers where id <= 3", &["--rows", "5"]).ok().unwrap());
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let (ok, text) = runs(&world, "select ssn from customers where id <= 3");
    assert!(ok && text.lines().filter(|line| line.contains("-00-")).count() == 3, "{text}");
    let (ok, text) = runs(&world, "select ssn from customers where id <= 3");
    assert!(!ok && text.contains("42501"), "an error, and no truncated success: {text}");
    assert!(text.lines().filter(|line| line.contains("-00-")).count() <= 2, "{text}");
}

#[test]
fn what_cannot_be_approved_ahead_is_told_with_its_reason() {
    let world = world();
    let _dana = world.dana();
    for (sql, why) in [
        ("select count(*) from products", "without being asked"),
        ("select * from nothing_of_that_name", "cannot be told for certain"),
        ("select ssn from customers; drop table customers; --", "statement 2"),
        ("grant select on customers to public", "policy denies"),
        ("", "no statement"),
    ] {
        let refused = open(&world, sql, &[]);
        assert!(refused.status != 0 && refused.text().contains(why), "{sql}: {}", refused.text());
    }
    for arguments in [["--until", "40d"], ["--until", "2020-01-01"]] {
        let file = world.tree.path().join("nightly.sql");
        std::fs::write(&file, "select ssn from customers").unwrap();
        let mut all = vec!["request", "open", file.to_str().unwrap(), "--as", "etl", "--login", "dana"];
        all.extend(arguments);
        assert_eq!(world.gate.run(all, "").unwrap().status, 1);
    }
    let file = world.tree.path().join("nightly.sql");
    let person =
        ["request", "open", file.to_str().unwrap(), "--as", "dana", "--login", "dana", "--until", "1d"];
    assert_eq!(world.gate.run(person, "").unwrap().status, 1, "for services alone");
}

#[test]
fn a_view_that_reads_more_by_then_is_not_what_was_approved() {
    let world = world();
    world.cluster.load("shop", "create view contacts as select id, iban from payments; grant select on contacts to stepgate_analyst;").unwrap();
    let (_dana, mut olga) = (world.dana(), world.olga());
    const SQL: &str = "select iban from contacts where id = 1";
    let request = id(&open(&world, SQL, &[]).ok().unwrap());
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert!(runs(&world, SQL).0);
    world
        .cluster
        .load("shop", "create or replace view contacts as select id, ssn as iban from customers;")
        .unwrap();
    stepgate_testkit::until("the view's new meaning", crate::support::SOON, || !runs(&world, SQL).0).unwrap();
}

#[test]
fn what_was_approved_ahead_is_not_what_settings_or_renamed_views_make_of_it() {
    let world = world();
    let views = "create schema lab; grant all on schema lab to stepgate_analyst; set role stepgate_analyst; \
         create view lab.pick as select customer_id as id from orders where id = 1; \
         create view lab.every as select customer_id as id from orders;";
    world.cluster.load("shop", views).unwrap();
    let (_dana, mut olga) = (world.dana(), world.olga());
    const DATES: &str = "select ssn from customers where created_at::text like '%/%'";
    const PICKED: &str = "select ssn from customers where id in (select id from lab.pick)";
    let request = id(&open(&world, &format!("{DATES};\n{PICKED};"), &[]).ok().unwrap());
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    let shown = |text: &str| text.lines().filter(|line| line.matches('-').count() == 2).count();
    let (ok, text) = runs(&world, DATES);
    assert!(ok && shown(&text) == 0, "{text}");
    for set in [
        "set datestyle = 'SQL, MDY'",
        "set timezone = 'Asia/Tokyo'",
        "set extra_float_digits = -14",
        "set bytea_output = escape",
        "set app.customer = '7'",
        "set search_path = hr, public",
        "begin; create view lab.third as select 1",
    ] {
        let (ok, text) = runs_after(&world, &[set], "", DATES);
        assert!(!ok && text.contains("42501") && shown(&text) == 0, "{set}: {text}");
    }
    for options in ["-c datestyle=SQL", "-c timezone=Asia/Tokyo", "-c extra_float_digits=-14"] {
        let (ok, text) = runs_after(&world, &[], options, DATES);
        assert!(!ok && text.contains("42501"), "{options}: {text}");
    }
    // What drivers and jobs do besides.
    let usual =
        ["set work_mem = '8MB'", "set extra_float_digits = 3", "create temporary table staged (id int)"];
    let (ok, text) = runs_after(&world, &usual, "-c extra_float_digits=3 -c datestyle=ISO", DATES);
    assert!(ok && shown(&text) == 0, "{text}");
    let (ok, text) = runs(&world, PICKED);
    assert!(ok && shown(&text) == 1, "{text}");
    let swap = "alter view lab.pick rename to old; alter view lab.every rename to pick;";
    world.cluster.load("shop", swap).unwrap();
    let asked = || !runs(&world, PICKED).0;
    stepgate_testkit::until("the other view to be known", crate::support::SOON, asked).unwrap();
    // A client that has another zone says so.
    const LATER: &str = "select ssn from customers where created_at::text like '%/%' and id > 0";
    let request = id(&open(&world, LATER, &["--time-zone", "Asia/Tokyo"]).ok().unwrap());
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert!(!runs(&world, LATER).0);
    assert!(runs_after(&world, &[], "-c timezone=Asia/Tokyo", LATER).0);
    let refused = open(&world, "select ssn from customers where inet_client_port() > 40000", &[]);
    assert!(
        refused.status != 0 && refused.text().contains("hangs on what its session"),
        "{}",
        refused.text()
    );
}
