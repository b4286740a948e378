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

const GUID: &str = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";

/// A gate that tracks subjects of two databases with tables of the same name, by keys of several types.
fn tracking() -> World {
    let mut world = World::not_serving(|text| text);
    let shop = format!(
        "create table docs (urn text primary key, title text);
         insert into docs values ('urn:doc:42', 'a will'), ('urn:doc:7', 'a lease');
         create table people (id uuid primary key, full_name text);
         insert into people values ('{GUID}', 'Ada'), (gen_random_uuid(), 'Bob');
         create table accounts (id numeric(12, 2) primary key, holder text);
         insert into accounts values (42, 'Ada'), (7.5, 'Bob');
         grant select on docs, people, accounts to stepgate_analyst;"
    );
    world.cluster.load("shop", &shop).unwrap();
    world.cluster.create_database("crm").unwrap();
    let crm = "create table customers (id int primary key, full_name text);
               insert into customers values (42, 'Eve');
               grant select on customers to stepgate_analyst;";
    world.cluster.load("crm", crm).unwrap();
    let crm = format!(
        "databases:\n  crm: {{host: 127.0.0.1, port: {}, sslmode: disable, user: stepgate_analyst, password_file: \
         secrets/shop}}\n",
        world.cluster.port()
    );
    world.edit("databases:\n", &crm);
    world.edit("audit: {ordinary: durable}", "audit: {ordinary: durable, track_subjects: true}");
    let map = world.gate.directory().join("policies/pii-map.yaml");
    let text = std::fs::read_to_string(&map).unwrap();
    let more = "databases:
  crm:
    public.customers: {columns: {full_name: name}, subject_key: id}
  shop:
    public.docs: {columns: {title: name}, subject_key: urn}
    public.people: {columns: {full_name: name}, subject_key: id}
    public.accounts: {columns: {holder: name}, subject_key: id}
";
    assert!(text.contains("databases:\n  shop:\n"));
    std::fs::write(&map, text.replacen("databases:\n  shop:\n", more, 1)).unwrap();
    world.gate.serve().unwrap();
    world
}

/// Database and how, of all that is certain.
fn certain(report: &Value) -> Vec<(&str, &str)> {
    let rows = rows(report, "certain").iter();
    rows.map(|row| (row["database"].as_str().unwrap(), row["how"].as_str().unwrap())).collect()
}

/// Whoever asks what was read of them is not told that nobody did because they spelt their number otherwise.
#[test]
fn a_key_is_found_however_it_is_spelt_by_who_asks_or_by_a_statement() {
    let world = tracking();
    let mut psql = world.psql(&world.dana());
    let upper = GUID.to_uppercase();
    for sql in [
        "select full_name from customers where id = 042;".to_owned(),
        "select full_name from customers where id = '+42';".to_owned(),
        format!("select full_name from people where id = '{upper}';"),
        "select id, full_name from people;".to_owned(),
        "select id, holder from accounts;".to_owned(),
        "select title from docs where urn = 'urn:doc:42';".to_owned(),
    ] {
        passes(&mut psql, &sql);
    }
    let of = |subject: &str| report(&world, &["subject-access", "--subject", subject]);
    assert_eq!(certain(&of("customers:42")), [("shop", "named"); 2]);
    let spelt = of("customers:042");
    assert_eq!(certain(&spelt), [("shop", "named, as \"42\""); 2], "{spelt:#}");
    assert!(spelt["notes"].to_string().contains("looked for as \\\"042\\\" and \\\"42\\\""), "{spelt:#}");
    assert_eq!(certain(&of(&format!("people:{GUID}"))), [("shop", "named"), ("shop", "shown")]);
    for spelling in [upper.clone(), format!("{{{upper}}}"), GUID.replace('-', "")] {
        let found = of(&format!("people:{spelling}"));
        let hows = [format!("named, as \"{GUID}\""), format!("shown, as \"{GUID}\"")];
        assert_eq!(certain(&found), hows.each_ref().map(|how| ("shop", how.as_str())), "{found:#}");
    }
    assert_eq!(certain(&of("accounts:42")), [("shop", "shown")]);
    assert_eq!(certain(&of("accounts:7.50")), [("shop", "shown, as \"7.5\"")]);
    // A key of texts is what it is, colons and all, and so is a relation that is not there.
    let doc = of("docs:urn:doc:42");
    assert_eq!(certain(&doc), [("shop", "named")], "{doc:#}");
    assert_eq!(doc["title"], "Subject access: public.docs:urn:doc:42");
    assert!(certain(&of("docs:URN:DOC:42")).is_empty());
    let wrong =
        world.gate.run(["audit", "report", "subject-access", "--subject", "doc:urn:doc:42"], "").unwrap();
    assert!(wrong.status == 2 && wrong.stderr.contains("public.doc with a subject_key"), "{}", wrong.text());
    // Of whom no record says anything, that is said, and in which spellings they were looked for.
    for (subject, spellings) in
        [("customers:099", "looked for as \\\"099\\\" and \\\"99\\\""), ("docs:x", "looked for as \\\"x\\\"")]
    {
        let nobody = of(subject);
        assert!(certain(&nobody).is_empty());
        let notes = nobody["notes"].to_string();
        assert!(notes.contains("No record of this period names or shows this key"), "{notes}");
        assert!(notes.contains(spellings), "{notes}");
    }
}

#[test]
fn the_same_key_in_two_databases_is_told_apart() {
    let world = tracking();
    let dana = world.dana();
    passes(&mut world.psql(&dana), "select full_name from customers where id = 42;");
    passes(&mut world.psql_in(&dana, "crm"), "select id, full_name from customers;");
    let of =
        |more: &[&str]| report(&world, &[&["subject-access", "--subject", "customers:42"], more].concat());
    let both = of(&[]);
    assert_eq!(certain(&both), [("shop", "named"), ("crm", "shown")], "{both:#}");
    assert!(both["notes"].to_string().contains("reached in crm and shop"), "{both:#}");
    let people: Vec<_> = rows(&both, "people").iter().map(|row| row["database"].as_str().unwrap()).collect();
    assert_eq!(people, ["crm", "shop"]);
    for (database, how) in [("crm", "shown"), ("shop", "named")] {
        let one = of(&["--database", database]);
        assert_eq!(certain(&one), [(database, how)], "{one:#}");
        assert_eq!(one["title"], format!("Subject access: public.customers:42 in {database}"));
        assert!(!one["notes"].to_string().contains("reached in"), "{one:#}");
    }
    let nowhere = of(&["--database", "sohp"]);
    assert!(nowhere["notes"].to_string().contains("no record names database \\\"sohp\\\""), "{nowhere:#}");
}

#[test]
fn a_statement_that_was_held_and_ran_is_one_and_nobody_is_found_idle_for_a_slip_of_the_pen() {
    let world = World::waiting();
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers limit 3;").unwrap();
    let request = held(&mut psql);
    assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
    psql.finish(SOON).unwrap();
    approved(&world, &mut psql, &mut olga, "copy (select email from customers limit 2) to stdout;");
    passes(&mut psql, "select full_name from customers limit 2;");
    let activity = report(&world, &["activity", "--person", "dana"]);
    let summary = |item: &str| {
        rows(&activity, "summary").iter().find(|row| row["item"] == item).map(|row| row["value"].clone())
    };
    assert_eq!(summary("statements"), Some(3.into()), "{activity:#}");
    assert_eq!(summary("statements: hold"), Some(2.into()), "{activity:#}");
    let ran = summary("statements: forward").unwrap().as_u64().unwrap()
        + summary("statements: monitor").map_or(0, |ran| ran.as_u64().unwrap());
    assert_eq!(ran, 3, "{activity:#}");
    assert_eq!(rows(&activity, "sessions")[0]["statements"], 3, "{activity:#}");
    let counted = |section: &str| -> u64 {
        rows(&activity, section).iter().map(|row| row["statements"].as_u64().unwrap()).sum()
    };
    assert_eq!((counted("hours"), counted("tables")), (3, 3), "{activity:#}");
    assert_eq!(summary("rows delivered"), Some(7.into()), "{activity:#}");
    assert!(activity["notes"].to_string().contains("was held and then ran"), "{activity:#}");
    let misspelt = report(&world, &["activity", "--person", "dnaa"]);
    assert!(misspelt["notes"].to_string().contains("no record names person \\\"dnaa\\\""), "{misspelt:#}");
    assert!(!activity["notes"].to_string().contains("no record names"), "{activity:#}");
}

/// A report is evidence that somebody may have handed out already; and as root, a device is gone for everybody.
#[test]
fn a_report_is_written_over_nothing_that_is_there() {
    let world = World::new();
    let there = world.tree.path().join("there.html");
    std::fs::write(&there, "kept").unwrap();
    let pipe = world.tree.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let link = world.tree.path().join("link");
    std::os::unix::fs::symlink(&there, &link).unwrap();
    for out in [&there, &pipe, &link, &world.tree.path().to_owned()] {
        let arguments = ["audit", "report", "approvals", "--out", out.to_str().unwrap()];
        let refused = world.gate.run(arguments, "").unwrap();
        assert_eq!(refused.status, 2, "{}: {}", out.display(), refused.text());
    }
    assert_eq!(std::fs::read_to_string(&there).unwrap(), "kept");
    // Nor is it recorded that one was read.
    assert!(!world.recorded("audit.read", "\"report\""));
    let new = world.tree.path().join("new.html");
    printed(&world, &["approvals", "--out", new.to_str().unwrap()]);
    assert!(std::fs::read_to_string(&new).unwrap().starts_with("Approvals"));
}

#[test]
fn each_approval_of_a_statement_is_told_with_the_rows_it_let_out_and_one_ahead_of_time_with_what_it_was_for()
{
    let world = World::with_policy(|policy| {
        let rule = "    action: step-up\n    approval: self\n";
        let hold = "  on_client_gone: defer";
        assert!(policy.contains(rule) && policy.contains(hold));
        let limited = policy.replace(rule, &format!("{rule}    limit: {{rows: 300}}\n"));
        limited.replace(hold, &format!("  services: data-owners\n{hold}"))
    });
    let (mut dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers order by id;").unwrap();
    let requests = [(); 2].map(|()| {
        let request = held(&mut psql);
        assert_eq!(dana.verify(&world.gate, &request).unwrap().status, 0);
        request
    });
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("(500 rows)"), "{}", reply.text());
    drop(psql);

    let service = ["user", "add", "etl", "--service", "--groups", "analysts"];
    world.gate.run(service, "etl-password\n").unwrap().ok().unwrap();
    let file = world.tree.path().join("nightly.sql");
    std::fs::write(&file, "select id, ssn from customers where id <= 3;").unwrap();
    let open =
        ["request", "open", file.to_str().unwrap(), "--as", "etl", "--login", "dana", "--until", "30d"];
    let opened = world.gate.run([&open[..], &["-o", "json"]].concat(), "").unwrap().ok().unwrap();
    let ahead = serde_json::from_str::<Value>(&opened).unwrap()[0]["request"].as_str().unwrap().to_owned();
    olga.answer(&world.gate, "approve", &ahead, "ticket 4711").unwrap().ok().unwrap();
    let unused = report(&world, &["approvals"]);
    let mut command = std::process::Command::new(world.cluster.binaries().path("psql"));
    command.env("PGPASSWORD", "etl-password").args(["-X", "-At", "-d", &world.gate.conninfo("etl", "shop")]);
    let (ok, said) = support::said(command.args(["-c", "select id, ssn from customers where id <= 3;"]));
    assert!(ok, "{said}");

    let approvals = report(&world, &["approvals"]);
    let of = |report: &Value, request: &str| {
        rows(report, "approvals").iter().find(|row| row["request"] == *request).unwrap().clone()
    };
    for (request, what, let_out) in [(&requests[0], "statement", 300), (&requests[1], "limit", 200)] {
        let row = of(&approvals, request);
        assert_eq!(
            (&row["what"], &row["uses"], &row["rows"]),
            (&what.into(), &1.into(), &let_out.into()),
            "{row:#}"
        );
        assert_eq!(row["tables"], serde_json::json!(["public.customers"]), "{row:#}");
        assert!(row["rules"].to_string().contains("restricted-read") && row["labels"][0] == "ssn", "{row:#}");
    }
    // What it is for is told by what was issued, before anything has run by it.
    let row = of(&unused, &ahead);
    assert_eq!(
        (&row["what"], &row["by"], &row["opened_by"]),
        (&"ahead".into(), &"etl".into(), &"dana".into())
    );
    assert!(row["tables"][0] == "public.customers" && row["labels"].to_string().contains("ssn"), "{row:#}");
    assert_eq!((&row["uses"], &row["rows"]), (&0.into(), &0.into()), "{row:#}");
    let row = of(&approvals, &ahead);
    assert_eq!((&row["uses"], &row["rows"]), (&1.into(), &3.into()), "{row:#}");
    assert!(row["statement"].as_str().unwrap().to_lowercase().contains("select"), "{row:#}");
}

#[test]
fn what_else_takes_a_second_person_is_among_the_approvals() {
    let mut world = World::not_serving(|policy| {
        let expires = "    expires: 8h ";
        assert!(policy.contains(expires));
        policy.replace(expires, &format!("    escalate: {{after: 2s, to: [security]}}\n{expires}"))
    });
    world.edit("policies: {", "policies: {two_person: [data-owners], ");
    world.gate.serve().unwrap();
    let (dana, mut olga, mut omar) = (world.dana(), world.olga(), world.person("omar", "data-owners"));
    let _sam = world.person("sam", "security");
    let mut psql = world.psql(&dana);
    psql.send("copy (select email from customers limit 2) to stdout;").unwrap();
    let request = held(&mut psql);
    psql.line("the escalation", SOON, |line| line.contains("it goes to security too").then_some(())).unwrap();
    let comment = ["request", "comment", &request, "is it for the audit?", "--as", "sam"];
    world.gate.run(comment, "").unwrap().ok().unwrap();
    olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());

    world.gate.run(["user", "factor", "reset", "dana"], "").unwrap().ok().unwrap();
    let code = format!("{}\n", omar.code().unwrap());
    world.gate.run(["user", "factor", "confirm", "dana", "--as", "omar"], &code).unwrap().ok().unwrap();

    world.gate.policies(support::NOTHING_LABELLED, support::EVERYTHING).unwrap();
    let lint = world.gate.run(["policy", "lint"], "").unwrap().ok().unwrap();
    let sha256 = lint.trim().rsplit(' ').next().unwrap().to_owned();
    stepgate_testkit::until("what waits", SOON, || world.recorded("policy.proposed", &sha256)).unwrap();
    for person in [&mut olga, &mut omar] {
        let code = format!("{}\n", person.code().unwrap());
        world.gate.run(["policy", "approve", &sha256, "--as", person.name()], &code).unwrap().ok().unwrap();
    }
    stepgate_testkit::until("the policy", SOON, || world.recorded("policy.approved", &sha256)).unwrap();

    let approvals = report(&world, &["approvals"]);
    let escalations = rows(&approvals, "escalations");
    assert_eq!(
        (escalations.len(), &escalations[0]["request"]),
        (1, &request.as_str().into()),
        "{approvals:#}"
    );
    assert_eq!(escalations[0]["groups"], serde_json::json!(["security"]));
    let comments = rows(&approvals, "comments");
    assert_eq!(
        (&comments[0]["person"], &comments[0]["comment"]),
        (&"sam".into(), &"is it for the audit?".into())
    );
    let resets: Vec<_> = rows(&approvals, "factor_resets")
        .iter()
        .map(|row| {
            (row["what"].as_str().unwrap(), row["person"].as_str().unwrap(), row["by"].as_str().unwrap())
        })
        .collect();
    assert_eq!(resets, [("asked for", "dana", ""), ("confirmed, and reset", "dana", "omar")]);
    assert_ne!(rows(&approvals, "factor_resets")[0]["operator"], "");
    let policies: Vec<_> = rows(&approvals, "policies")
        .iter()
        .filter(|row| row["policy_sha256"] == sha256.as_str())
        .map(|row| (row["what"].as_str().unwrap(), row["person"].as_str().unwrap()))
        .collect();
    assert_eq!(policies, [("proposed", ""), ("voted", "olga"), ("voted", "omar"), ("approved", "")]);
    assert!(rows(&approvals, "break_glass").is_empty());
    // In every form.
    for form in ["table", "csv", "html"] {
        let text = printed(&world, &["approvals", "-o", form]);
        for said in ["is it for the audit?", "confirmed, and reset", sha256.get(..16).unwrap(), "security"] {
            assert!(text.contains(said) || form == "table", "{form}: {said}: {text}");
        }
        assert!(text.contains("omar"), "{form}: {text}");
    }
}
