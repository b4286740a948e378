//! `audit report …` as a compliance officer asks for it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod support;

use serde_json::Value;
use support::{SOON, World, approved, held, passes, waiting};

fn report(world: &World, arguments: &[&str]) -> Value {
    let arguments = [&["audit", "report"], arguments, &["-o", "json"]].concat();
    serde_json::from_str(&world.gate.run(arguments, "").unwrap().ok().unwrap()).unwrap()
}

fn printed(world: &World, arguments: &[&str]) -> String {
    let arguments = [&["audit", "report"], arguments].concat();
    world.gate.run(arguments, "").unwrap().ok().unwrap()
}

fn rows<'r>(report: &'r Value, section: &str) -> &'r Vec<Value> {
    report["sections"][section].as_array().unwrap()
}

#[test]
fn activity_and_approvals_tell_who_did_what_by_whose_leave() {
    let mut world = World::not_serving(waiting);
    world.cluster.load("shop", "create table \"<script>alert(1)</script>\" (a int)").unwrap();
    world.cluster.load("shop", "grant select on all tables in schema public to public").unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let mut olga = world.olga();
    let kim = world.person("kim", "analysts");
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers limit 3;").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    psql.finish(SOON).unwrap();
    passes(&mut psql, "select full_name from customers limit 2;");
    approved(&world, &mut psql, &mut olga, "copy customers (email) to stdout;");
    passes(&mut psql, "table \"<script>alert(1)</script>\";");
    passes(&mut world.psql(&kim), "select 1;");

    let activity = report(&world, &["activity", "--person", "dana", "--since", "1d"]);
    let labels = rows(&activity, "labels");
    let ssn = labels.iter().find(|row| row["labels"] == "ssn" && row["verdict"] == "forward").unwrap();
    assert_eq!((&ssn["statements"], &ssn["rows"]), (&1.into(), &3.into()), "{activity:#}");
    let names = labels.iter().find(|row| row["labels"] == "name").unwrap();
    assert_eq!(names["rows"], 2, "{activity:#}");
    assert!(rows(&activity, "holds").iter().any(|row| row["what"] == "hold" && row["labels"][0] == "ssn"));
    assert_eq!(rows(&activity, "sessions").len(), 1);
    assert_eq!(rows(&activity, "sessions")[0]["database"], "shop");
    assert!(!rows(&activity, "hours").is_empty() && !rows(&activity, "tables").is_empty());
    // The head names what it can be checked by.
    let head = &activity["report"];
    for name in ["Log", "Tree size", "Root", "From", "Until", "Filter", "Policy", "Made"] {
        assert!(!head[name].as_str().unwrap().is_empty(), "{head:#}");
    }
    assert_eq!(head["Root"].as_str().unwrap().len(), 64);

    let approvals = report(&world, &["approvals"]);
    let requests = rows(&approvals, "approvals");
    assert_eq!(requests.len(), 2, "{approvals:#}");
    let own = requests.iter().find(|row| row["request"] == *request).unwrap();
    assert_eq!((&own["by"], &own["outcome"]), (&"dana".into(), &"approved".into()), "{own:#}");
    assert!(own["factors"].to_string().contains("totp") && own["uses"].as_u64() >= Some(1), "{own:#}");
    let export = requests.iter().find(|row| row["request"] != *request).unwrap();
    assert!(export["answered"].to_string().contains("olga"), "{export:#}");
    assert!(export["labels"].to_string().contains("email"), "{export:#}");
    assert!(export["seconds"].is_u64(), "{export:#}");

    // Pages are whole by themselves, and what tables are called is text in them.
    let out = world.tree.path().join("activity.html");
    printed(&world, &["activity", "--person", "dana", "-o", "html", "--out", out.to_str().unwrap()]);
    let page = std::fs::read_to_string(&out).unwrap();
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("Activity of dana") && page.contains(head["Log"].as_str().unwrap()));
    assert!(!page.contains("<script") && !page.contains("://"), "{page}");
    assert!(page.contains("&lt;script&gt;"), "{page}");

    let csv = printed(&world, &["approvals", "-o", "csv"]);
    let mut lines = csv.split("\r\n");
    let columns = lines.next().unwrap().split(',').count();
    assert!(columns > 10 && csv.contains("report,Root,"), "{csv}");
    let table = printed(&world, &["approvals"]);
    assert!(table.starts_with("Approvals") && table.contains("olga"), "{table}");

    // Each is recorded, and names nobody.
    let search = ["audit", "search", "--type", "audit.read", "-o", "json"];
    let reads = world.gate.run(search, "").unwrap().ok().unwrap();
    assert!(reads.matches("\"report\"").count() >= 5 && !reads.contains("\"person\\\":[\\\"dana"), "{reads}");
    let since = world.gate.run(["audit", "report", "approvals", "--since", "tomorrow"], "").unwrap();
    assert_eq!(since.status, 2, "{}", since.text());
    assert!(rows(&report(&world, &["approvals", "--until", "1h"]), "approvals").is_empty());
}

#[test]
fn subject_access_separates_what_is_certain_from_what_is_possible() {
    let mut world = World::not_serving(|text| text);
    world.edit("audit: {ordinary: durable}", "audit: {ordinary: durable, track_subjects: true}");
    world.gate.serve().unwrap();
    let dana = world.dana();
    let kim = world.person("kim", "analysts");
    let mut psql = world.psql(&dana);
    let mut other = world.psql(&kim);
    passes(&mut psql, "select id, full_name from customers where id between 40 and 45;");
    passes(&mut psql, "select full_name from customers where id = 42;");
    passes(&mut psql, "select full_name from customers where id = 7;");
    passes(&mut psql, "select id, full_name from customers where city is null or id in (1, 2);");
    passes(&mut other, "select count(full_name) from customers;");
    // It names one key, gives one row, and has read all of them.
    passes(&mut other, "select max(full_name) from customers where id = 7 or true;");
    passes(&mut other, "select id, full_name from customers where id < 30;");
    passes(&mut other, "select id, name from products where id = 42;");
    passes(&mut other, "begin; declare c cursor for select id, full_name from customers where id > 40;");
    passes(&mut other, "fetch 2 from c;");
    passes(&mut other, "commit;");

    let of_42 = report(&world, &["subject-access", "--subject", "customers:42"]);
    let certain = rows(&of_42, "certain");
    let how =
        |row: &Value| (row["person"].as_str().unwrap().to_owned(), row["how"].as_str().unwrap().to_owned());
    let found: Vec<_> = certain.iter().map(how).collect();
    let expected = [("dana", "shown"), ("dana", "named"), ("kim", "shown")];
    assert_eq!(found, expected.map(|(person, how)| (person.to_owned(), how.to_owned())), "{of_42:#}");
    let possible = rows(&of_42, "possible");
    assert!(
        possible.iter().any(|row| row["statement"].as_str().unwrap().to_lowercase().contains("count")),
        "{of_42:#}"
    );
    assert!(
        possible.iter().any(|row| row["statement"].as_str().unwrap().to_lowercase().contains("max")),
        "{of_42:#}"
    );
    let not_it = |text: &str| possible.iter().all(|row| !row["statement"].as_str().unwrap().contains(text));
    assert!(not_it("products") && not_it("BETWEEN"), "{possible:#?}");
    // What showed others' keys, or asked for another one, is in neither list.
    assert!(possible.iter().all(|row| row["person"] == "kim"), "{possible:#?}");
    let of_7 = report(&world, &["subject-access", "--subject", "public.customers:7"]);
    let found: Vec<_> = rows(&of_7, "certain").iter().map(how).collect();
    assert!(found.contains(&("dana".to_owned(), "named".to_owned())), "{of_7:#}");
    assert!(found.contains(&("kim".to_owned(), "shown".to_owned())), "{of_7:#}");
    let of_nobody = report(&world, &["subject-access", "--subject", "customers:99999"]);
    assert!(rows(&of_nobody, "certain").is_empty());
    assert!(of_42["notes"].to_string().contains("Keys have been recorded since"), "{of_42:#}");
    // Records have hashes alone.
    let search = ["audit", "search", "--type", "statement.subjects", "-o", "json"];
    let records = world.gate.run(search, "").unwrap().ok().unwrap();
    let records: Value = serde_json::from_str(&records).unwrap();
    for record in records.as_array().unwrap() {
        assert!(record["hashes"].as_array().unwrap().iter().all(|hash| hash.as_str().unwrap().len() == 32));
    }
    let page = printed(&world, &["subject-access", "--subject", "customers:42", "-o", "html"]);
    assert!(page.contains("Subject access: public.customers:42") && !page.contains("<script"));
    let wrong = world.gate.run(["audit", "report", "subject-access", "--subject", "customers"], "").unwrap();
    assert_eq!(wrong.status, 2, "{}", wrong.text());
    let nosuch = ["audit", "report", "subject-access", "--subject", "nosuch:1"];
    let nosuch = world.gate.run(nosuch, "").unwrap();
    assert_eq!(nosuch.status, 2, "{}", nosuch.text());
    assert!(nosuch.stderr.contains("public.customers"), "{}", nosuch.stderr);
    let mut psql = world.psql(&dana);
    passes(&mut psql, "update customers set city = 'x' where id = 42;");
    let written = report(&world, &["subject-access", "--subject", "customers:42"]);
    assert!(written.to_string().contains("\"named, and written\""), "{written:#}");
}

#[test]
fn more_than_a_thousand_keys_exports_and_untracked_times_are_only_possible() {
    let mut world = World::not_serving(|text| text);
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select id, full_name from customers where id = 42;");
    // Nothing is tracked: nothing is certain, and nothing was recorded.
    let untracked = report(&world, &["subject-access", "--subject", "customers:42"]);
    assert!(rows(&untracked, "certain").is_empty());
    assert_eq!(rows(&untracked, "possible").len(), 1, "{untracked:#}");
    assert!(untracked["notes"].to_string().contains("No key was ever recorded"), "{untracked:#}");
    assert!(!world.recorded("statement.subjects", ""));
    drop(psql);
    world.gate.terminate().unwrap();
    world.edit("audit: {ordinary: durable}", "audit: {ordinary: durable, track_subjects: true}");
    world.gate.serve().unwrap();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select c.id, c.full_name from customers c, products p where p.id <= 5;");
    let of_42 = report(&world, &["subject-access", "--subject", "customers:42"]);
    let certain = rows(&of_42, "certain");
    assert_eq!(certain.len(), 1, "{of_42:#}");
    assert_eq!(certain[0]["how"], "shown");
    // 500 customers, each five times: told once.
    let search =
        ["audit", "search", "--type", "statement.subjects", "--table", "public.customers", "-o", "json"];
    let records = world.gate.run(search, "").unwrap().ok().unwrap();
    let records: Value = serde_json::from_str(&records).unwrap();
    let hashes: Vec<_> =
        records.as_array().unwrap().iter().flat_map(|it| it["hashes"].as_array().unwrap()).collect();
    let different: std::collections::BTreeSet<_> = hashes.iter().map(|hash| hash.as_str().unwrap()).collect();
    assert_eq!((hashes.len(), different.len()), (500, 500));
    // Of more than a thousand keys, that there were others is all that is known.
    let more = "insert into customers select (jsonb_populate_record(c, jsonb_build_object('id', c.id + 1000 * n))).* \
                from customers c, generate_series(1, 3) n";
    world.cluster.load("shop", more).unwrap();
    passes(&mut psql, "select id, full_name from customers order by id;");
    let of_3500 = report(&world, &["subject-access", "--subject", "customers:3500"]);
    assert!(rows(&of_3500, "certain").is_empty(), "{of_3500:#}");
    let possible = rows(&of_3500, "possible");
    assert!(possible.iter().any(|row| row["why"] == "not all keys were seen"), "{of_3500:#}");
}
