//! `policy replay` on what a live gate recorded: the same rules decide the same, and what others are said to decide is
//! what a gate under them decides.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;
#[path = "replay/tuning.rs"]
mod tuning;

use std::collections::BTreeMap;

use serde_json::Value;
use stepgate_testkit::{Person, until, until_some};
use support::{SOON, World};

const MAP: &str = "\
version: 1
labels:
  email: {class: confidential}
  name: {class: confidential}
  ssn: {class: restricted}
  salary: {class: restricted}
  card: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, full_name: name, ssn: ssn}, subject_key: id}
    public.payments: {columns: {card_number: card}, threshold: {amount: [100, 500, 1000]}}
    public.orders: {}
    hr.employees: {columns: {ssn: ssn, salary: salary}, unlisted_columns: confidential}
unknown: {tables: allow, functions: monitor, dynamic_sql: deny, statements: step-up}
";

/// More is labelled than before.
const WIDER: &str = "\
version: 1
labels:
  email: {class: confidential}
  name: {class: confidential}
  ssn: {class: restricted}
  salary: {class: restricted}
  card: {class: restricted}
databases:
  shop:
    public.customers: {columns: {email: email, full_name: name, ssn: ssn, phone: email, city: name}}
    public.payments: {columns: {card_number: card, iban: card}, threshold: {amount: [100, 500, 1000]}}
    public.orders: {columns: {total: card}}
    hr.employees: {columns: {ssn: ssn, salary: salary}, unlisted_columns: confidential}
unknown: {tables: allow, functions: monitor, dynamic_sql: deny, statements: step-up}
";

const BEGIN: &str = "\
version: 1
mode: monitor
approvals:
  self: {self: true, remember: {for: 15m, scope: [person, client, network, relations]}}
  owners: {groups: [data-owners]}
budget: {prompts_per_person_per_day: 2}
rules:
";

const BEFORE: &str = "
  - {name: restricted, match: {class: \">=restricted\"}, action: step-up, approval: self}
  - {name: bulk, match: {bulk: true, labels: [email]}, action: approve, approval: owners}
  - {name: high, match: {predicate: {column: public.payments.amount, op: \">\", value: 500}}, action: step-up, approval: self}
  - {name: many, match: {estimate_rows: \">1000\"}, action: monitor}
  - {name: no-copies, match: {sink: true, class: \">=confidential\"}, action: deny}
";

/// Everything that a policy of this version can ask of a statement, otherwise than before.
const AFTER: &str = "
  - {name: names, match: {labels: [name, email], use: [output]}, action: step-up, approval: self}
  - {name: salaries, match: {columns: [hr.employees.salary]}, action: approve, approval: owners}
  - {name: restricted, match: {class: restricted, not: {kind: [explain]}}, action: step-up, approval: self}
  - {name: higher, match: {predicate: {column: public.payments.amount, op: \">=\", value: 1000}}, action: approve, approval: owners}
  - {name: odd, match: {predicate: {column: public.payments.amount, op: \"=\", value: 250}}, action: deny}
  - {name: writes, match: {kind: [insert, update, delete], tables: [public.customers]}, action: deny}
  - {name: reads-all, match: {bulk: true, groups: [analysts]}, action: monitor}
  - {name: unsure, match: {certainty: [unknown]}, action: deny}
  - {name: elsewhere, match: {not: {network: [127.0.0.0/8]}}, action: deny}
  - {name: not-psql, match: {not: {client: [psql]}, class: \">=confidential\"}, action: deny}
  - {name: hundreds, match: {estimate_rows: \">150\", labels: [email]}, action: monitor}
  - {name: orders, match: {tables: [public.orders]}, action: monitor}
";

const STATEMENTS: [&str; 48] = [
    "select 1;",
    "select id from customers where id = 3;",
    "select email from customers where id = 3;",
    "select full_name, email from customers;",
    "select ssn from customers where email = 'a@example.com';",
    "select count(*) from customers;",
    "select phone, city from customers where id = 5;",
    "select id from customers where ssn like '901%';",
    "select id from customers order by email limit 5;",
    "select city, count(*) from customers group by city;",
    "select c.email, o.total from customers c join orders o on o.customer_id = c.id where c.id = 1;",
    "select total from orders where id = 9;",
    "select * from orders limit 3;",
    "select * from products;",
    "select amount from payments where amount > 10;",
    "select amount from payments where amount > 100;",
    "select amount from payments where amount > 250;",
    "select amount from payments where amount > 500;",
    "select amount from payments where amount >= 700;",
    "select amount from payments where amount >= 1000;",
    "select amount from payments where amount = 250;",
    "select amount from payments where amount = 99;",
    "select amount from payments where amount in (10, 250, 2000);",
    "select amount from payments where amount between 50 and 600;",
    "select amount from payments where amount is null;",
    "select amount from payments where amount + 1 > 5;",
    "select card_number from payments where id = 4;",
    "select iban from payments where id = 4;",
    "select salary from hr.employees where id = 4;",
    "select department, avg(salary) from hr.employees group by department;",
    "select title from hr.employees;",
    "copy (select email from customers) to stdout;",
    "copy customers to stdout;",
    "explain select ssn from customers;",
    "insert into customers select * from customers where false;",
    "update customers set email = 'x' where id = 1;",
    "delete from customers where id = 1;",
    "create temp table t as select email from customers;",
    "create temp table u as select id from products;",
    "begin; select email from customers where id = 1; commit;",
    "begin;",
    "select ssn from customers where id = 1;",
    "commit;",
    "select 1 \\; select email from customers where id = 2;",
    "select id from products \\; select id from orders where id = 1;",
    "do $$ begin perform 1; end $$;",
    "prepare p(int) as select email from customers where id = $1; execute p(3); deallocate p;",
    "set search_path = hr; select ssn from employees where id = 1; reset search_path;",
];

/// Runs all of them in one session, and gives what was decided: action by statement, with the session's first and last
/// instant.
fn run(world: &World, person: &Person) -> (Vec<String>, String) {
    let mut psql = world.psql(person);
    for sql in STATEMENTS {
        psql.run(sql).unwrap();
    }
    drop(psql);
    let session = until_some("the session's end", SOON, || {
        let records = world.records();
        let opened = records.iter().rev().find(|it| it["type"] == "session.opened").unwrap();
        let session = opened["session"].clone();
        let closed = |it: &&Value| it["type"] == "session.closed" && it["session"] == session;
        records.iter().find(closed).map(|_| session.clone())
    })
    .unwrap();
    let records = world.records();
    let of_session = || records.iter().filter(|it| it["session"] == session);
    let actions = of_session()
        .filter(|it| it["type"] == "statement.decided")
        .map(|it| it["action"].as_str().unwrap().to_owned())
        .collect();
    (actions, of_session().next().unwrap()["at"].as_str().unwrap().to_owned())
}

/// Puts other rules into force.
fn load(world: &World, map: &str, policy: &str) {
    let loads = || world.records().iter().filter(|it| it["type"] == "policy.loaded").count();
    let before = loads();
    world.gate.policies(map, policy).unwrap();
    until("the new rules", SOON, || loads() > before).unwrap();
}

fn replay(world: &World, more: &[&str]) -> Value {
    let args = [&["policy", "replay", "-o", "json"], more].concat();
    let said = world.gate.run(args, "").unwrap().ok().unwrap();
    serde_json::from_str(&said).unwrap()
}

/// What the matrix says: statements by action before and action now; `None` is undecidable.
fn matrix(report: &Value) -> BTreeMap<(String, Option<String>), u64> {
    let cells = report["matrix"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().map(str::to_owned);
    cells
        .map(|cell| ((word(&cell["from"]).unwrap(), word(&cell["to"])), cell["statements"].as_u64().unwrap()))
        .collect()
}

#[test]
fn what_the_gate_itself_refuses_is_left_out_whatever_other_rules_would_say() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for sql in ["select set_config('stepgate.person', 'olga', false);", "set client_encoding = 'SJIS';"] {
        assert!(!psql.run(sql).unwrap().is_ok(), "{sql}");
    }
    assert!(psql.run("select count(*) from products;").unwrap().is_ok());
    let records = world.records();
    let refusals: Vec<_> = records.iter().filter_map(|it| it["refusal"].as_str()).collect();
    assert_eq!(refusals, ["setting-of-the-gate", "client-encoding"]);
    let said = world.gate.run(["policy", "replay"], "").unwrap().ok().unwrap();
    assert!(said.contains("left out: 2 that the gate itself refused"), "{said}");
}

#[test]
fn the_same_rules_change_nothing_and_others_decide_what_a_gate_under_them_decides() {
    let mut world = World::not_serving(|_| format!("{BEGIN}{BEFORE}"));
    world.gate.policies(MAP, &format!("{BEGIN}{BEFORE}")).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    let file = |name: &str, text: &str| {
        let path = world.tree.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (after, wider) = (file("after.yaml", &format!("{BEGIN}{AFTER}")), file("wider.yaml", WIDER));

    let (before, _) = run(&world, &dana);
    assert!(before.len() > 50, "{before:?}");
    let same = replay(&world, &[]);
    assert_eq!(same["statements"], before.len(), "{same:#}");
    assert_eq!(same["changed"], 0, "{same:#}");
    // Of one message with two queries, the record has the sum of their rows alone.
    assert_eq!(same["undecidable"], 1, "{same:#}");
    assert_eq!(same["reasons"].as_array().unwrap().len(), 1, "{same:#}");
    assert_eq!(same["reasons"][0]["reason"], "several", "{same:#}");
    assert_eq!(same["denied"], 0);

    // The same statements once more, under other rules, and under another map.
    let mut live = Vec::new();
    for (map, policy) in [(MAP, AFTER), (WIDER, AFTER)] {
        load(&world, map, &format!("{BEGIN}{policy}"));
        live.push(run(&world, &dana));
    }
    let until = live[0].1.clone();
    // What the first map labelled is known only while its file is at hand.
    let first = file("first.yaml", MAP);
    let known = ["--known-map", first.as_str(), "--until", until.as_str(), "--policy", after.as_str()];
    for (number, map) in [first.as_str(), wider.as_str()].into_iter().enumerate() {
        let report = replay(&world, &[&known[..], &["--map", map]].concat());
        assert_eq!(report["statements"], before.len());
        let mut expected: BTreeMap<(String, Option<String>), u64> = BTreeMap::new();
        assert_eq!(live[number].0.len(), before.len(), "the same statements");
        for pair in before.iter().zip(&live[number].0) {
            *expected.entry((pair.0.clone(), Some(pair.1.clone()))).or_default() += 1;
        }
        let told = matrix(&report);
        let mut decided = 0;
        for ((from, to), statements) in told.iter().filter(|((_, to), _)| to.is_some()) {
            let live = expected.get(&(from.clone(), to.clone())).copied().unwrap_or(0);
            assert!(live >= *statements, "{from} to {to:?}: {statements}, live {live}\n{report:#}");
            decided += statements;
        }
        let open = report["undecidable"].as_u64().unwrap();
        assert_eq!(decided + open, u64::try_from(before.len()).unwrap());
        // Most is told, and of the rest it is said why.
        let most = if number == 0 { 12 } else { 30 };
        assert!(open <= most, "{report:#}");
        assert_eq!(report["reasons"].as_array().unwrap().is_empty(), open == 0);
    }
    // Of a map that nobody has any more, labels that were not touched are not known; those that were are.
    let without = replay(&world, &["--until", &until, "--policy", &after]);
    assert!(without["undecidable"].as_u64().unwrap() >= 1, "{without:#}");

    // No text of a statement, and no person's data, is in any of it.
    let page = world.tree.path().join("replay.html");
    let table = world.gate.run(
        ["policy", "replay", "--until", &until, "--policy", &after, "--html", page.to_str().unwrap()],
        "",
    );
    let text = table.unwrap().ok().unwrap() + &std::fs::read_to_string(page).unwrap() + &without.to_string();
    for secret in ["a@example.com", "'x'", "901%", "select "] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    assert!(text.contains("<svg") && !text.contains("<script") && !text.contains("http:"), "{text}");
}

const LIMITED: &str = "\
version: 1
mode: enforce
defaults: {action: allow, hold: 2m, in_transaction: hold, on_client_gone: withdraw}
approvals:
  self: {self: true, remember: {for: 15m, scope: [person, client, network, relations]}}
rules:
  - {name: contacts, match: {labels: [email]}, action: monitor, approval: self, limit: {rows: 100, per: 1h}}
  - {name: numbers, match: {labels: [ssn]}, action: step-up, approval: self, limit: [{rows: 200}, {bytes: 2KiB, per: session}]}
";

/// Has people asked where the gate asks, who say yes or no; how often.
fn ask(world: &World, psql: &mut stepgate_testkit::Psql, dana: &mut Person, sql: &str, answers: &[bool]) {
    psql.send(sql).unwrap();
    for yes in answers {
        let request = support::held(psql);
        if *yes {
            dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        } else {
            world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
        }
    }
    let reply = psql.finish(SOON).unwrap();
    assert_eq!(reply.is_ok(), !answers.contains(&false), "{sql}: {}", reply.text());
}

/// What the gate asked at limits over sessions and windows is what a replay of the same rules asks.
#[test]
fn limits_over_sessions_and_windows_are_reached_where_they_were_and_lower_ones_sooner() {
    let mut world = World::not_serving(|_| LIMITED.to_owned());
    world.gate.policies(MAP, LIMITED).unwrap();
    world.gate.serve().unwrap();
    let mut dana = world.dana();
    let contacts = |rows: u32| format!("select email from customers order by id limit {rows};");
    let numbers = |rows: u32| format!("select ssn from customers order by id limit {rows};");
    let mut psql = world.psql(&dana);
    for (sql, answers) in [
        (contacts(60), &[][..]),
        (contacts(60), &[true]),
        // By what was approved, and then beyond it.
        (contacts(80), &[]),
        (contacts(1), &[false]),
        ("select id from customers where id < 50;".to_owned(), &[]),
        (numbers(60), &[true]),
        (numbers(60), &[true]),
        (numbers(100), &[false]),
    ] {
        ask(&world, &mut psql, &mut dana, &sql, answers);
    }
    // In one more session of the same sitting, which ends in the middle of it.
    let mut other = world.psql(&dana);
    other.send("select email from customers, generate_series(1, 100) order by email;").unwrap();
    support::held(&mut other);
    other.signal("KILL").unwrap();
    until("the end of all sessions but one", SOON, || {
        world.records().iter().rev().any(|it| it["type"] == "session.closed")
    })
    .unwrap();

    let asked = world.records().iter().filter(|it| it["type"] == "stepup.requested").count();
    let same = replay(&world, &[]);
    assert_eq!((&same["changed"], &same["undecidable"]), (&0.into(), &0.into()), "{same:#}");
    assert_eq!(same["before"]["total"], asked, "{same:#}");
    assert_eq!(same["after"]["total"], asked, "{same:#}");
    assert_eq!((&same["new_prompts"], &same["lost_prompts"]), (&0.into(), &0.into()), "{same:#}");

    let file = |name: &str, text: &str| {
        let path = world.tree.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let lower = file("lower.yaml", &LIMITED.replace("rows: 100, per: 1h", "rows: 30, per: 1h"));
    let lower = replay(&world, &["--policy", &lower]);
    let number = |report: &Value, name: &str| report[name].as_u64().unwrap();
    assert_eq!((number(&lower, "changed"), number(&lower, "undecidable")), (0, 0), "{lower:#}");
    // Of the first 60 rows once, of the second twice, of the 80 three times; what is left of that covers the rest.
    assert_eq!((number(&same, "at_limits"), number(&lower, "at_limits")), (5, 8), "{lower:#}");
    let free = file("free.yaml", &LIMITED.replace("rows: 100, per: 1h", "rows: 1000000, per: 1h"));
    let free = replay(&world, &["--policy", &free]);
    // What was called off would have gone on, who knows how far.
    assert_eq!((number(&free, "at_limits"), number(&free, "undecidable")), (2, 2), "{free:#}");
    assert_eq!(free["reasons"][0]["reason"], "delivered", "{free:#}");
}
