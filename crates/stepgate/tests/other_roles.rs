//! Statements that run as another database role than the session began as: what was approved as one is not approved as
//! another, which has other rights and sees other rows.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{SOON, World, held, passes, waiting, waits};

/// Asks data-owners, and is remembered by nothing.
const EXPORT: &str = "copy customers to stdout;";
const SSN: &str = "select full_name, ssn from customers order by id limit 2;";
/// Needs no search path to be understood.
const QUALIFIED: &str = "select full_name, ssn from public.customers order by id limit 2;";

/// Sessions may take the role `other`, which may read what the analysts may.
fn world(change: impl FnOnce(String) -> String) -> World {
    let rule = "\nrules:\n  - {name: roles, match: {kind: [control]}, action: allow}\n";
    let world = World::with_policy(|policy| {
        let changed = policy.replace("\nrules:\n", rule);
        assert_ne!(changed, policy);
        change(changed)
    });
    let other = "create role other; grant other to stepgate_analyst; grant select on customers to other; \
                 grant insert on products to other";
    world.cluster.psql("shop", other).unwrap();
    world
}

#[test]
fn a_pass_of_one_role_is_none_of_another() {
    let world = world(|policy| policy);
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    for statement in ["begin;", "insert into products values (900, 'new', 'home', 1);"] {
        passes(&mut psql, statement);
    }
    let reply = psql.run(EXPORT).unwrap();
    assert_eq!(reply.sqlstate, "SG010", "{}", reply.text());
    let request = world.open_request(&dana);
    passes(&mut psql, "rollback;");
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    passes(&mut psql, "set role other;");
    waits(&world, &mut psql, &dana, EXPORT);
    passes(&mut psql, "reset role;");
    let reply = psql.run(EXPORT).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
}

#[test]
fn a_grant_of_one_role_is_none_of_another_however_that_is_taken() {
    let world = world(waiting);
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SSN).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    for sql in [SSN, QUALIFIED] {
        passes(&mut psql, sql);
        passes(&mut psql, "set role other;");
        waits(&world, &mut psql, &dana, sql);
        passes(&mut psql, "reset role;");
        passes(&mut psql, sql);
        // In a transaction, and undone by its end.
        for (begin, end) in [("set role other;", "rollback;"), ("set local role other;", "commit;")] {
            passes(&mut psql, "begin;");
            passes(&mut psql, begin);
            psql.send(sql).unwrap();
            let request = held(&mut psql);
            let shown = world.gate.run(["request", "show", &request, "--as", "dana", "-o", "json"], "");
            let shown: serde_json::Value = serde_json::from_str(&shown.unwrap().ok().unwrap()).unwrap();
            assert_eq!(shown.pointer("/0/db_user").unwrap(), "other", "{shown}");
            world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
            assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
            passes(&mut psql, end);
            passes(&mut psql, sql);
        }
    }
    // Approved as the other role, it is approved as that.
    passes(&mut psql, "set role other;");
    psql.send(QUALIFIED).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    passes(&mut psql, QUALIFIED);
}

/// What a grant of one role has left is nothing to a statement of another in the middle of its rows, and who is asked for more
/// of those is told as whom it runs.
#[test]
fn rows_beyond_a_limit_are_asked_for_as_the_role_that_the_statement_runs_as() {
    let world = world(|policy| {
        let limited = policy.replace(
            "match: {class: \">=restricted\"}\n    action: step-up",
            "match: {class: \">=restricted\"}\n    limit: {rows: 5}\n    action: step-up",
        );
        assert_ne!(limited, policy);
        limited
    });
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    let rows = |to: u32| format!("select id, ssn from public.customers where id <= {to} order by id;");
    psql.send(&rows(1)).unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
    passes(&mut psql, "set role other;");
    psql.send(&rows(8)).unwrap();
    let as_other = held(&mut psql);
    dana.verify(&world.gate, &as_other).unwrap().ok().unwrap();
    let midway = psql.line("the second question", SOON, |line| {
        let line = line.strip_prefix("NOTICE:  stepgate: held after")?;
        Some(line.rsplit_once('(')?.1.strip_suffix(')')?.to_owned())
    });
    let midway = midway.unwrap();
    let shown = world.gate.run(["request", "show", &midway, "--as", "dana", "-o", "json"], "");
    let shown: serde_json::Value = serde_json::from_str(&shown.unwrap().ok().unwrap()).unwrap();
    assert_eq!(shown.pointer("/0/db_user").unwrap(), "other", "{shown}");
    dana.verify(&world.gate, &midway).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok(), "{}", reply.text());
    // What that has left is the other role's again.
    passes(&mut psql, "reset role;");
    let left = |role: &str| {
        let issued =
            world.records().into_iter().filter(|it| it["type"] == "grant.issued" && it["db_user"] == role);
        issued.count()
    };
    assert_eq!((left("stepgate_analyst"), left("other")), (1, 2));
}

/// The record says as which role a statement ran, also of one that is decided as it was the last time.
#[test]
fn records_tell_as_which_role_statements_run() {
    let world = world(waiting);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let plain = "select id, country from public.customers where id = 1;";
    let three_times = |psql: &mut stepgate_testkit::Psql| (0..3).for_each(|_| passes(psql, plain));
    three_times(&mut psql);
    passes(&mut psql, "set role other;");
    three_times(&mut psql);
    waits(&world, &mut psql, &dana, QUALIFIED);
    passes(&mut psql, "reset role;");
    three_times(&mut psql);
    // By the end of a transaction it is over, too.
    for sql in ["begin;", "set local role other;", plain, "rollback;", plain] {
        passes(&mut psql, sql);
    }
    let records = world.records();
    let decided = records.iter().filter(|it| it["type"] == "statement.decided");
    let selects = decided.filter(|it| it["kinds"] == serde_json::json!(["select"]));
    let told: Vec<_> = selects
        .map(|it| {
            assert_eq!(it["db_user"], "stepgate_analyst", "{it}");
            it["runs_as"].as_str().unwrap_or("itself")
        })
        .collect();
    let (own, other) = (["itself"; 3], ["other"; 4]);
    assert_eq!(told, [&own[..], &other, &own, &["other", "itself"]].concat(), "{told:?}");
}
