//! What the gate refuses since it cannot do its own part is recorded like any other decision.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::{World, passes};

/// The decisions with the verdict `fail`.
fn failed(world: &World) -> Vec<Value> {
    let decided = |record: &Value| record["type"] == "statement.decided" && record["verdict"] == "fail";
    world.records().into_iter().filter(decided).collect()
}

#[test]
fn a_statement_for_which_no_request_can_be_opened_is_recorded() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let mut last = None;
    for at in 0..20 {
        for statement in ["begin;", "insert into products values (900, 'new', 'home', 1);"] {
            passes(&mut psql, statement);
        }
        let reply = psql.run(&format!("copy (select * from customers where id <> {at}) to stdout;")).unwrap();
        passes(&mut psql, "rollback;");
        if reply.sqlstate != "SG010" {
            last = Some(reply);
            break;
        }
    }
    let reply = last.unwrap();
    assert!(reply.sqlstate == "54000" && reply.text().contains("open requests"), "{}", reply.text());
    let failed = failed(&world);
    assert_eq!(failed.len(), 1, "{failed:?}");
    assert!(failed[0]["relations"].to_string().contains("public.customers"), "{failed:?}");
    assert_eq!(failed[0]["refusal"], "too-many-requests");
}

#[test]
fn a_statement_that_cannot_be_judged_without_the_catalog_is_recorded() {
    let world = World::new();
    let dana = world.dana();
    let (mut psql, mut other) = (world.psql(&dana), world.psql(&dana));
    for psql in [&mut psql, &mut other] {
        passes(psql, "select count(*) from products;");
    }
    world.cluster.psql("shop", "grant create on schema public to stepgate_analyst").unwrap();
    passes(&mut psql, "select count(*) from products;");
    world.cluster.psql("shop", "revoke select on pg_catalog.pg_proc from public").unwrap();
    assert!(psql.run("create table made (a int);").unwrap().is_ok());
    let reply = other.run("select count(*) from products;").unwrap();
    assert_eq!(reply.sqlstate, "08006", "{}", reply.text());
    let failed = failed(&world);
    let it = failed.iter().find(|record| record["relations"].to_string().contains("products"));
    assert_eq!(it.unwrap()["refusal"], "catalog-unknown", "{failed:?}");
}

/// PostgreSQL's own `privileges` does so: what the gate asks in a session must not be what ends its transaction.
#[test]
fn a_transaction_goes_on_where_not_everybody_may_have_numbers_cast() {
    let world = World::new();
    let mut psql = world.psql(&world.dana());
    passes(&mut psql, "begin;");
    let cast = "execute on function pg_catalog.int8(integer)";
    world.cluster.psql("shop", &format!("revoke {cast} from public")).unwrap();
    passes(&mut psql, "set local search_path = public, pg_catalog;");
    let failed = psql.run("select 1::int8 + name from products limit '1';").unwrap();
    assert_eq!(failed.sqlstate, "42883", "{}", failed.text());
    world.cluster.psql("shop", &format!("grant {cast} to public")).unwrap();
    passes(&mut psql, "rollback;");
}

#[test]
fn a_rule_of_a_hundred_long_names_neither_refuses_a_statement_nor_loses_its_record() {
    let name = |at: usize| format!("reading_of_a_patient_in_the_hospital_of_the_north_{at:03}");
    let names: Vec<String> = (0..120).map(name).collect();
    let listed =
        |before: &str| names.iter().map(|name| format!("{before}{name}")).collect::<Vec<_>>().join(", ");
    let mut world = World::not_serving(|sample| sample);
    let columns = names.iter().map(|name| format!("{name} int")).collect::<Vec<_>>().join(", ");
    let table = format!(
        "create table patient_measurements ({columns}); grant select on patient_measurements to stepgate_analyst;"
    );
    world.cluster.load("shop", &table).unwrap();
    let labelled = names.iter().map(|name| format!("{name}: number")).collect::<Vec<_>>().join(", ");
    let map = format!(
        "version: 1\nlabels: {{number: {{class: internal}}}}\ndatabases:\n  shop: {{public.patient_measurements: {{columns: \
         {{{labelled}}}}}}}\n"
    );
    let policy = format!(
        "version: 1\napprovals: {{self: {{self: true}}}}\nrules:\n  - {{name: measured, match: {{columns: [{}]}}, action: \
         monitor}}\n",
        listed("public.patient_measurements.")
    );
    world.gate.policies(&map, &policy).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select * from patient_measurements;");
    passes(&mut psql, &format!("select {} from patient_measurements where {} = 7;", listed(""), names[0]));
    assert!(failed(&world).is_empty());
    let records = world.records();
    let of = |record: &&Value| {
        record["type"] == "statement.decided" && record["rules"].to_string().contains("measured")
    };
    let decided: Vec<_> = records.iter().filter(of).collect();
    assert_eq!(decided.len(), 2, "{decided:?}");
    for record in decided {
        let bucket = record["why"][0]["bucket"].as_str().unwrap();
        assert!(bucket.starts_with("public.patient_measurements.") && bucket.ends_with(" more"), "{bucket}");
        // All of them are there all the same.
        assert!(record["columns"].as_array().unwrap().len() > 5, "{record}");
        assert!(record["continued"]["columns"] == 120 && record.get("shortened").is_none(), "{record}");
    }
    assert!(!world.gate.log().contains("does not fit"), "{}", world.gate.log());
}
