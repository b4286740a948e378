//! Limits on subjects: how many people's data somebody gets, by whichever rows.

use std::process::Command;

use stepgate_testkit::Psql;

use crate::clients::{fetched, script};
use crate::support::{SOON, World, held, passes, repository, said};
use crate::{bare, brake, called_off, events, replaced, rows, verified};

/// The sample gate, where contacts of so many people may be read, and customers and payments tell whose they are.
fn world(limit: &str) -> World {
    changed(limit, |map| map, |policy| policy)
}

/// The same with another map and policy.
fn changed(
    limit: &str,
    other_map: impl FnOnce(String) -> String,
    other_policy: impl FnOnce(String) -> String,
) -> World {
    let read = |name: &str| std::fs::read_to_string(repository().join("policies").join(name)).unwrap();
    let map = replaced(
        &read("pii-map.yaml"),
        "      subject_key: id   ",
        "      track_subjects: true\n      subject_key: id   ",
    );
    let map = replaced(
        &map,
        "      subject_key: customer_id\n",
        "      track_subjects: true\n      subject_key: customer_id\n",
    );
    let export = "{class: \">=confidential\", kind: [copy-out]}";
    let policy = replaced(&read("policy.yaml"), export, "{class: \">=confidential\", kind: [copy-in]}");
    let mut world = World::not_serving(|policy| policy);
    world.gate.policies(&other_map(map), &other_policy(brake(limit, "self")(policy))).unwrap();
    world.configure("limits: {open_requests: 100, cool_down: 0s}");
    world.gate.serve().unwrap();
    world
}

const FIVE: &str = "{subjects: 5, per: 1h}";

fn one(id: u64) -> String {
    format!("select id, email from customers where id = {id};")
}

/// It waits, having shown so many rows; then it is called off.
fn waits(world: &World, dana: &stepgate_testkit::Person, psql: &mut Psql, sql: &str, after: u64) {
    psql.send(sql).unwrap();
    let request = held(psql);
    let shown = called_off(world, psql, dana, &request);
    assert!(shown.contains(&format!("held after {after} row")), "{sql}: {shown}");
}

#[test]
fn people_are_counted_and_not_rows() {
    let world = world(FIVE);
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    let joined = |most: u64| {
        format!(
            "select c.id, c.email, p.amount from customers c join payments p on p.customer_id = c.id \
             where c.id <= {most} order by c.id;"
        )
    };
    let reply = psql.run(&joined(5)).unwrap();
    assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
    assert!(rows(&reply.lines).len() > 5, "{}", reply.text());
    for id in 1..=5 {
        passes(&mut psql, &one(id));
    }
    psql.send(&one(6)).unwrap();
    verified(&world, &mut psql, &mut dana);
    let reply = psql.finish(SOON).unwrap();
    let said = "Limit of confidential-read: 5 subjects per 1h; 5 counted, the first";
    assert!(reply.text().contains(said), "{}", reply.text());
    assert_eq!(rows(&reply.lines).len(), 1);
    // Five more were approved, of which that was one; who was approved before is somebody again.
    for id in 7..=10 {
        passes(&mut psql, &one(id));
    }
    waits(&world, &dana, &mut psql, &one(11), 0);
    for event in ["limit.counted", "limit.reached"] {
        assert!(events(&world, event).iter().all(|it| !it.to_string().contains("@example")), "{event}");
    }
}

#[test]
fn a_statement_has_a_limit_on_people_of_its_own() {
    let world = world("{subjects: 5}");
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for from in [1, 6, 11] {
        passes(
            &mut psql,
            &format!("select id, email from customers where id between {from} and {};", from + 4),
        );
    }
    waits(&world, &dana, &mut psql, "select id, email from customers order by id;", 5);
}

/// Where a row does not say whose it is, it is somebody else's.
#[test]
fn by_leaving_out_casting_or_rewrapping_the_key() {
    let world = world(FIVE);
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for columns in ["email", "id::text, email", "id + 0 as id, email", "email, null as id", "7 as id, email"]
    {
        passes(&mut psql, &format!("select {columns} from customers c where id = 1;"));
    }
    for columns in ["email", "id::text, email", "to_json(email)"] {
        waits(&world, &dana, &mut psql, &format!("select {columns} from customers c where id = 1;"), 0);
        psql = bare(&world, &dana);
    }
}

#[test]
fn by_row_to_json() {
    let world = world(FIVE);
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let built = "select json_build_object('id', id, 'email', email) from customers where id = 1;";
    // Each is one person's, whoever that is.
    for _ in 0..5 {
        passes(&mut psql, built);
    }
    waits(&world, &dana, &mut psql, built, 0);
    // Of a row within a row the gate does not know even that.
    for sql in [
        "select row_to_json(row(id, email)) from customers where id = 1;",
        "select row_to_json(c) from (select id, email from customers) c;",
    ] {
        let mut psql = bare(&world, &dana);
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        let shown = called_off(&world, &mut psql, &dana, &request);
        assert!(shown.contains("stepgate: held, verification required"), "{sql}: {shown}");
    }
}

#[test]
fn by_another_name_for_the_key() {
    let world = world(FIVE);
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for name in ["id", "x", "email", "\"N\""] {
        // Known by what it is, whatever it is called.
        for _ in 0..3 {
            passes(
                &mut psql,
                &format!("select c.id as {name}, c.email as y from customers c where c.id = 1;"),
            );
        }
    }
    // Another column in the key's name is none.
    for _ in 0..4 {
        passes(&mut psql, "select country as id, email from customers where id = 1;");
    }
    waits(&world, &dana, &mut psql, "select country as id, email from customers where id = 1;", 0);
}

/// Where a rule limits whose payments are shown, which analysts own.
fn payments() -> World {
    let rule = "  - name: payments\n    match: {tables: [public.payments]}\n    action: monitor\n    \
                limit: {subjects: 5, per: 1h}\n    approval: self\n";
    let world =
        changed(FIVE, |map| map, |policy| replaced(&policy, "\nrules:\n", &format!("\nrules:\n{rule}")));
    world.cluster.load("shop", "alter table payments owner to stepgate_analyst").unwrap();
    world
}

fn is_asked(world: &World, dana: &stepgate_testkit::Person, psql: &mut Psql, sql: &str) -> String {
    psql.send(sql).unwrap();
    let request = held(psql);
    called_off(world, psql, dana, &request)
}

/// A rule about a table limits whose rows are shown of it, labelled or not.
#[test]
fn by_columns_without_labels_where_a_rule_is_about_their_table() {
    let world = payments();
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    let of = |most: u64| format!("select customer_id, amount from payments where customer_id <= {most};");
    passes(&mut psql, &of(5));
    is_asked(&world, &dana, &mut psql, &of(500));
    let shown = is_asked(&world, &dana, &mut psql, "select array_agg(amount) from payments;");
    assert!(shown.contains("stepgate: held, verification required"), "before it runs: {shown}");
}

/// By a key that all rows have for a while, and no more afterwards.
#[test]
fn by_writing_the_key() {
    let world = payments();
    let dana = world.dana();
    let (mut psql, mut other) = (bare(&world, &dana), bare(&world, &dana));
    passes(&mut psql, "select customer_id, amount from payments where customer_id = 1;");
    passes(&mut psql, "update payments set customer_id = 1 where customer_id < 30;");
    // Also in a transaction of its own, and another's.
    for psql in [&mut psql, &mut other] {
        is_asked(&world, &dana, psql, "select customer_id, amount from payments where customer_id = 1;");
    }
}

/// The key is known by its place, and not by a name that another column has got.
#[test]
fn by_giving_the_name_of_the_key_to_another_column() {
    let world = payments();
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "select customer_id, amount from payments where customer_id = 1;");
    passes(&mut psql, "alter table payments rename customer_id to own_id;");
    passes(&mut psql, "alter table payments rename currency to customer_id;");
    is_asked(&world, &dana, &mut psql, "select customer_id, amount from payments where own_id < 30;");
}

#[test]
fn by_putting_many_people_into_a_row() {
    let world = world(FIVE);
    let tables = "create table above (x int); create table below () inherits (above); insert into above values (1); \
        grant select on above to public";
    world.cluster.load("shop", tables).unwrap();
    let mut dana = world.dana();
    for (at, sql) in [
        "select array_agg(email) from customers where id < 3;",
        "select min(id), string_agg(email, ',') from customers;",
        "select a.id, b.email from customers a, customers b where a.id = 1;",
        // A child of another table's is none of its own.
        "select a.id, b.email from customers a, customers b, above x where a.id = 1;",
        "select id, (select string_agg(email, ',') from customers) from customers where id = 1;",
        "select id, array(select email from customers) from customers where id = 1;",
        "select id, lag(email) over (order by id) from customers;",
        "select json_agg(email) from customers;",
        // Nobody's column is shown, and what is says something of everybody.
        "select string_agg(p.id || ':' || (select count(*) from customers c where c.id = p.id and ascii(c.email) > 100), ' ') \
         from products p;",
        "select string_agg(p.id::text, ' ') from products p where exists (select from customers c where c.id = p.id \
         and c.email like 'a%');",
        "select count(*) filter (where email like 'a%'), count(*) filter (where email like 'b%') from customers;",
    ]
    .into_iter()
    .enumerate()
    {
        let mut psql = bare(&world, &dana);
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        let shown = psql.shown().join("\n");
        assert!(shown.contains("stepgate: held, verification required"), "before it runs: {sql}: {shown}");
        if at == 0 {
            dana.verify(&world.gate, &request).unwrap().ok().unwrap();
            assert_eq!(rows(&psql.finish(SOON).unwrap().lines).len(), 1);
            // Approved once, and for nothing else.
            psql.send("select array_agg(email) from customers;").unwrap();
            let request = held(&mut psql);
            called_off(&world, &mut psql, &dana, &request);
        } else {
            called_off(&world, &mut psql, &dana, &request);
        }
    }
    // An approval of five people's rows is none of any number of people in a row.
    let mut psql = bare(&world, &dana);
    psql.send("select id, email from customers order by id limit 6;").unwrap();
    verified(&world, &mut psql, &mut dana);
    assert!(psql.finish(SOON).unwrap().is_ok());
    psql.send("select array_agg(email) from customers;").unwrap();
    held(&mut psql);
}

#[test]
fn by_copy_of_which_each_row_is_somebody() {
    let world = world(FIVE);
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for format in ["text", "binary"] {
        let copy =
            format!("\\copy (select id, email from customers where id = 1) to '/dev/null' (format {format})");
        passes(&mut psql, &copy);
    }
    waits(&world, &dana, &mut psql, "copy (select id, email from customers) to stdout;", 3);
}

#[test]
fn by_cursors_and_prepared_statements() {
    let world = world(FIVE);
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, "prepare p as select id, email from customers where id = $1;");
    for id in [1, 1, 2] {
        passes(&mut psql, &format!("execute p({id});"));
    }
    passes(&mut psql, "begin;");
    passes(&mut psql, "declare d cursor for select id, email from customers order by id;");
    for _ in 0..5 {
        passes(&mut psql, "fetch 1 from d;");
    }
    psql.send("fetch 1 from d;").unwrap();
    let request = held(&mut psql);
    let shown = called_off(&world, &mut psql, &dana, &request);
    assert!(shown.contains("held after 5 rows") && shown.contains("5 subjects per 1h; 5 counted"), "{shown}");
}

/// A row that is longer than what is read at once is looked into when its key has come.
#[test]
fn a_key_behind_a_long_value_is_found() {
    let world = world(FIVE);
    let dana = world.dana();
    let mut psql = bare(&world, &dana);
    for _ in 0..20 {
        passes(&mut psql, "select repeat('x', 50000), id, email from customers where id = 1;");
    }
    // Longer than is waited for: somebody else's each time.
    let long = "select repeat('x', 70000), id, email from customers where id = 1;";
    for _ in 0..4 {
        passes(&mut psql, long);
    }
    waits(&world, &dana, &mut psql, long, 0);
}

/// The same key in binary form, and of an Execute, whose rows are described by the gate's own question.
#[test]
fn by_a_driver_that_takes_rows_in_binary() {
    let Some(path) = fetched("asyncpg") else { return };
    let world = world(FIVE);
    let add = ["user", "add", "etl", "--groups", "services", "--service"];
    let password = "etl-password-of-a-throwaway-gate";
    world.gate.run(add, &format!("{password}\n")).unwrap().ok().unwrap();
    let mut command = Command::new("python3");
    command
        .env("PYTHONPATH", path)
        .env("PGHOST", world.gate.listen().ip().to_string())
        .env("PGPORT", world.gate.listen().port().to_string())
        .env("PGUSER", "etl")
        .env("PGPASSWORD", password)
        .env("PGDATABASE", "shop")
        .env("PGSSLROOTCERT", world.gate.ca())
        .arg(script("limits_subjects.py"));
    let (ok, said) = said(&mut command);
    assert!(ok && said.lines().any(|line| line == "ok"), "{said}");
}

#[test]
fn after_a_kill_they_are_counted_by_number() {
    let mut world = world(FIVE);
    let mut dana = world.dana();
    let mut psql = bare(&world, &dana);
    for id in 1..=4 {
        passes(&mut psql, &one(id));
    }
    world.gate.kill();
    world.gate.serve().unwrap();
    dana.login(&world.gate).unwrap();
    let mut psql = bare(&world, &dana);
    passes(&mut psql, &one(1));
    waits(&world, &dana, &mut psql, &one(2), 0);
}

#[test]
fn parallel_sessions_see_no_more_people_together() {
    let world = world(FIVE);
    let dana = world.dana();
    let (mut one_, mut other) = (bare(&world, &dana), bare(&world, &dana));
    for id in 1..=5 {
        passes(if id % 2 == 0 { &mut one_ } else { &mut other }, &one(id));
    }
    waits(&world, &dana, &mut one_, &one(6), 0);
    passes(&mut other, &one(2));
}

/// Whose a row is says its key, unless the same transaction has written that: then each is somebody else's.
#[test]
fn by_giving_all_rows_the_same_key() {
    // Where a statement waits whatever its transaction has done.
    let contacts = |map: String| replaced(&map, "        iban: iban\n", "        iban: email\n");
    let world = changed(FIVE, contacts, crate::support::waiting);
    world.cluster.load("shop", "grant update on payments to public").unwrap();
    let dana = world.dana();
    let same = "update payments set customer_id = 1 where id < 40";
    for (update, read) in [
        (
            format!("{same};"),
            "select customer_id, currency, iban from payments where customer_id = 1;".to_owned(),
        ),
        ("select 1;".to_owned(), format!("{same} returning customer_id, iban;")),
    ] {
        let mut psql = bare(&world, &dana);
        passes(&mut psql, "begin;");
        passes(&mut psql, &update);
        psql.send(&read).unwrap();
        let request = held(&mut psql);
        called_off(&world, &mut psql, &dana, &request);
    }
}
