//! What the client says it wants the data for.

use crate::support::{World, passes};
use crate::{asked, decided, policy, with_environment};

const SSN: &str = "select ssn from customers where id = 1;";

/// Restricted data is asked about, unless it is for `support`.
fn world() -> World {
    let rules = "  - {name: trigger, match: {class: restricted, not: {purpose: [support]}}, action: step-up, approval: self}";
    World::with_policy(|_| policy("", rules))
}

#[test]
fn a_statement_for_a_purpose_passes_whichever_way_it_is_said() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    asked(&world, &mut psql, &dana, SSN);
    psql.run("set stepgate.purpose = 'support';").unwrap();
    passes(&mut psql, SSN);
    assert_eq!(decided(&world, "forward")["purpose"], "support");
    psql.run("reset stepgate.purpose;").unwrap();
    asked(&world, &mut psql, &dana, SSN);
    passes(&mut psql, "select ssn from customers where id = 1 /* purpose: support */;");
    passes(&mut psql, "select ssn from customers where id = 1 /*action='show',purpose='support'*/;");
    let mut psql = with_environment(&world, &dana, "PGOPTIONS", "-c stepgate.purpose=support");
    passes(&mut psql, SSN);
}

#[test]
fn it_ends_with_its_transaction_and_counts_from_the_next_message_on() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.run("begin;").unwrap();
    psql.run("set local stepgate.purpose = 'support';").unwrap();
    passes(&mut psql, SSN);
    psql.run("rollback;").unwrap();
    asked(&world, &mut psql, &dana, SSN);
    let one = "set stepgate.purpose = 'support'\\; select ssn from customers where id = 1;";
    asked(&world, &mut psql, &dana, one);
}

#[test]
fn what_only_looks_like_a_tag_is_none_and_no_text_of_a_client_gets_into_records() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in [
        "select ssn, '/* purpose: support */' from customers where id = 1;",
        "select ssn from customers where id = 1 /* /* purpose: support */ */;",
        "select ssn as \"/* purpose: support */\" from customers where id = 1;",
        "select ssn, $$/* purpose: support */$$ from customers where id = 1;",
        "select ssn from customers where id = 1 /* purpose: support */ /* purpose: billing */;",
        "select ssn from customers where id = 1 /* purpose: s3cr3tw0rd */;",
    ] {
        asked(&world, &mut psql, &dana, sql);
    }
    psql.run("set stepgate.purpose = 's3cr3tw0rd';").unwrap();
    asked(&world, &mut psql, &dana, SSN);
    let records = world.records();
    assert!(!records.iter().any(|record| record.to_string().contains("s3cr3tw0rd")));
    assert!(!world.gate.log().contains("s3cr3tw0rd"));
}

/// Texts that differ in their comments alone have the same facts, and what is known of one is not known of the other.
#[test]
fn a_decision_that_is_remembered_is_not_one_for_another_purpose() {
    let rules = "  - {name: billing, match: {tables: [public.orders], purpose: [billing]}, action: step-up, approval: self}";
    let world = World::with_policy(|_| policy("", rules));
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for _ in 0..5 {
        passes(&mut psql, "select status from orders where id = 1 /* purpose: support */;");
    }
    asked(&world, &mut psql, &dana, "select status from orders where id = 1 /* purpose: billing */;");
    for _ in 0..5 {
        passes(&mut psql, "select status from orders where id = 1;");
    }
    psql.run("set stepgate.purpose = 'billing';").unwrap();
    asked(&world, &mut psql, &dana, "select status from orders where id = 1;");
}

/// The setting by which the server knows who somebody is stays what it was.
#[test]
fn nobody_passes_for_another_by_a_setting_of_the_gate() {
    let world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in [
        "set stepgate.person = 'olga';",
        "set stepgate.purposes = 'x';",
        "select set_config('stepgate.purpose', 'support', false);",
    ] {
        assert_eq!(psql.run(sql).unwrap().sqlstate, "42501", "{sql}");
    }
}
