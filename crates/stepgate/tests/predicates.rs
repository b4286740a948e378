//! Rules about how a statement compares a column, and with what value, through the whole gate.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::process::{Command, Output, Stdio};

use stepgate_testkit::{Binaries, Person};
use support::{SOON, World, held};

/// `{action}` is what becomes of high amounts and of ranges of social security numbers.
const POLICY: &str = "
version: 1
approvals: {self: {self: true}, owners: {groups: [data-owners]}}
rules:
  - {name: high-amounts, match: {predicate: {column: public.payments.amount, op: \">\", value: 30000}}, {action}}
  - {name: high-amounts-of-shares, match: {predicate: {column: [public.shares.amount, public.shares.small], op: \"=\", value: 30000.5}}, {action}}
  - {name: ssn-range, match: {any: [{predicate: {labels: [ssn], op: \"<\"}}, {predicate: {labels: [ssn], op: \">\"}}]}, {action}}
";

fn world(action: &str) -> World {
    World::with_policy(|_| POLICY.replace("{action}", action))
}

#[test]
fn a_threshold_is_matched_by_value_however_the_comparison_is_written() {
    let world = world("action: deny");
    world
        .cluster
        .load(
            "shop",
            "create view amounts as select id, amount as a from payments;
             create view above as select id, amount - 30000 as a from payments;
             create table shares (id int, amount float8, small real);
             insert into shares values (1, 30000.5, 30000.5);
             grant select on amounts, above, shares to stepgate_analyst;",
        )
        .unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let mut wrong = Vec::new();
    let mut check = |sql: &str, high: bool| {
        let reply = psql.run(sql).unwrap();
        let denied = reply.sqlstate == "42501" && reply.text().contains("high-amounts");
        if denied != high || (!high && !reply.is_ok()) {
            wrong.push(format!("{sql}: {}", reply.text()));
        }
    };
    for (condition, high) in [
        // The first is remembered, and so are its facts: those of the second, and not its value.
        ("amount > 10", false),
        ("amount > 50000", true),
        ("amount > 11", false),
        ("amount >= 30001", true),
        ("amount >= 30000", true),
        ("30000 < amount", true),
        ("10 < amount", false),
        ("amount > '50000'", true),
        ("amount > '10'", false),
        ("amount > '50000'::numeric", true),
        ("amount > numeric '50000'", true),
        ("amount > numeric '10'", false),
        ("amount::float8 > cast(50000 as real)", true),
        ("amount > -50000", false),
        ("amount > -(-50000)", true),
        ("amount between 1 and 40000", false),
        ("amount between 30000 and 40000", true),
        ("amount < 50000", false),
        ("amount = 50000", true),
        ("amount = 10", false),
        ("amount in (10, 50000)", true),
        ("amount in (10, 11)", false),
        ("amount = any (array[10, 50000])", true),
        ("amount = any ('{10,50000}')", true),
        ("not amount <= 30000", true),
        ("not amount > 30000", false),
        ("(amount <= 30000) is false", true),
        ("(amount <= 30000) = false", true),
        ("amount - 1 > 29999", true),
        ("amount + 0 > 10", true),
        ("least(amount, 30001) = 30001", true),
        ("amount::text > '3'", true),
        ("amount::numeric(12,-5) > 0", true),
        ("(amount > 10) and (amount > 30000)", true),
        ("case when amount > 30000 then true end", true),
        ("amount > U&'\\0035\\0030000'", true),
        ("amount > E'\\x350000'", true),
        ("amount > $a$50000$a$", true),
        ("amount > $a$10$a$", false),
        ("amount /* > 10 */ > -- 10\n 50000", true),
        ("amount > /* 50000 */ 10", false),
        ("amount > '5'\n'0000'", true),
        ("amount > '5e4'", true),
        ("amount > 5e4", true),
        ("amount > 3.0000000000000000000001e4", true),
        ("amount > 29999.99", false),
        ("amount > ' 50000 '", true),
        ("amount > 1e400", true),
        ("amount > -1e400", false),
        ("amount > 1e-400", false),
        ("amount > 'NaN'", true),
        ("amount > (select 50000)", true),
        ("amount > length('x')", true),
        ("id = 50000 and amount > 10", false),
    ] {
        check(&format!("select id from payments where {condition};"), high);
    }
    for (sql, high) in [
        ("select amount from payments;", false),
        ("select amount > 50000 from payments limit 1;", true),
        ("select id from payments order by amount <= 50000 limit 1;", true),
        ("select count(*) filter (where amount > 50000) from payments;", true),
        ("select customer_id from payments group by 1 having max(amount) > 50000;", true),
        ("select id from shares where amount = 30000.4999999999999999999;", true),
        ("select id from shares where small = '30000.49999999';", true),
        ("select id from shares where amount = 30000.4;", false),
        ("select id from amounts where a > 50000;", true),
        ("select id from amounts where a > 10;", false),
        ("select id from above where a > 0;", true),
        ("with c as (select amount a from payments) select * from c where a > 50000;", true),
        ("with c as (select amount a from payments) select * from c where a > 10;", false),
        ("select * from (select amount - 30000 as a from payments) s where a > 0;", true),
        ("select o.id from orders o join payments p on p.order_id = o.id and p.amount > 50000;", true),
        ("select o.id from orders o join payments p on p.order_id = o.id and p.amount > 10;", false),
        ("select p.id from payments p join (values (50000)) v (amount) using (amount);", true),
        ("explain select id from payments where amount > 50000;", true),
        ("copy (select id from payments where amount > 50000) to stdout;", true),
        ("prepare p as select id from payments where amount > 10;", false),
        // Which value it runs with is not followed.
        ("execute p;", true),
    ] {
        check(sql, high);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_held_comparison_is_released_and_its_value_is_written_nowhere() {
    let world = world("action: step-up, approval: self");
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send("select count(*) from payments where amount > 48151.62342;").unwrap();
    let request = held(&mut psql);
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("high-amounts"), "{}", reply.text());
    let passed = psql.run("select count(*) from payments where amount > 23.42315184;").unwrap();
    assert!(passed.is_ok() && !passed.text().contains("stepgate:"), "{}", passed.text());
    let shown = format!("{} {}", reply.text(), world.gate.log());
    let records: String = world.records().iter().map(ToString::to_string).collect();
    assert!(records.contains("high-amounts") && records.contains("public.payments"));
    for value in ["48151", "62342", "23.42", "315184"] {
        assert!(!shown.contains(value), "{value} was shown: {shown}");
        assert!(!records.contains(value), "{value} is on record");
    }
}

#[test]
fn a_lookup_of_one_person_passes_where_a_range_is_held() {
    let world = world("action: deny");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    for (condition, held) in [
        ("ssn = '901-00-0001'", false),
        ("ssn in ('901-00-0001', '901-00-0002')", false),
        ("ssn::text = '901-00-0001'", false),
        ("ssn is not null", false),
        ("ssn < '901-00-0002'", true),
        ("'901-00-0002' > ssn", true),
        ("ssn between '901' and '902'", true),
        ("ssn like '901%'", true),
        ("left(ssn, 3) = '901'", true),
        ("not ssn >= '902'", true),
    ] {
        let reply = psql.run(&format!("select id from customers where {condition};")).unwrap();
        let denied = reply.sqlstate == "42501" && reply.text().contains("ssn-range");
        assert_eq!(denied, held, "{condition}: {}", reply.text());
        assert!(held || reply.is_ok(), "{condition}: {}", reply.text());
    }
}

/// pgbench runs a script once, its variables as parameters of the extended protocol.
fn pgbench(world: &World, person: &Person, mode: &str, script: &str) -> Command {
    let file = world.tree.path().join(format!("{mode}.sql"));
    std::fs::write(&file, script).unwrap();
    let mut command = Command::new(Binaries::find().unwrap().path("pgbench"));
    command.args(["-n", "-t", "1", "-M", mode, "-f"]).arg(file);
    command.arg(world.gate.conninfo(person.name(), "shop")).env("PGPASSWORD", person.password());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_threshold_is_matched_by_the_value_of_a_parameter() {
    let world = world("action: step-up, approval: self");
    let mut dana = world.dana();
    let script =
        |amount: &str| format!("\\set amount {amount}\nselect id from payments where amount > :amount;\n");
    for mode in ["extended", "prepared"] {
        let low = pgbench(&world, &dana, mode, &script("10")).output().unwrap();
        assert!(low.status.success() && !text(&low).contains("stepgate:"), "{}", text(&low));
        let mut high = pgbench(&world, &dana, mode, &script("50000")).spawn().unwrap();
        let request = world.open_request(&dana);
        assert!(high.try_wait().unwrap().is_none());
        dana.verify(&world.gate, &request).unwrap().ok().unwrap();
        let high = high.wait_with_output().unwrap();
        assert!(high.status.success() && text(&high).contains("stepgate: held"), "{}", text(&high));
    }
    let by_key = "\\set id 7\nselect full_name from customers where ssn = (:id)::text;\n";
    let lookup = pgbench(&world, &dana, "extended", by_key).output().unwrap();
    assert!(lookup.status.success() && !text(&lookup).contains("stepgate:"), "{}", text(&lookup));
    let range = pgbench(&world, &dana, "extended", &by_key.replace('=', "<")).spawn().unwrap();
    let request = world.open_request(&dana);
    world.gate.run(["request", "cancel", &request, "--as", "dana"], "").unwrap().ok().unwrap();
    let range = range.wait_with_output().unwrap();
    assert!(text(&range).contains("ssn-range"), "{}", text(&range));
}

#[test]
fn records_tell_the_interval_of_a_value_and_never_the_value() {
    let mut world = World::not_serving(|text| text);
    let policies = support::repository().join("policies");
    let read = |name: &str| std::fs::read_to_string(policies.join(name)).unwrap();
    let declared = "\n      threshold: {amount: [10000, 30000]}";
    let map = read("pii-map.yaml").replace("\n      # threshold: {amount: [10000, 30000]}", declared);
    assert!(map.contains(declared));
    world.gate.policies(&map, &read("policy.yaml")).unwrap();
    world.gate.serve().unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let mut expected: Vec<(&str, &[(&str, i64)])> = Vec::new();
    for (condition, buckets) in [
        // Often enough for the first to be remembered, if it could be.
        ("amount > 23.423151831", &[(">", 0)][..]),
        ("amount > 23.423151832", &[(">", 0)]),
        ("amount > 23.423151833", &[(">", 0)]),
        ("amount > 481516234.31", &[(">", 2)]),
        ("amount > 23.423151834", &[(">", 0)]),
        ("amount >= 10000", &[(">=", 1)]),
        ("amount between 23.423151835 and 481516234.32", &[("<=", 2), (">=", 0)]),
        ("amount in (23.423151836, 23.423151837, 481516234.33)", &[("in", 2), ("in", 0)]),
        ("amount = (select 481516234.34)", &[("=", -1)]),
        ("amount = id", &[("=", -1)]),
        ("amount + 1 > 481516234.35", &[("other", -1)]),
        ("amount is null", &[("is-null", -1)]),
        ("id = 481516234", &[]),
    ] {
        let reply = psql.run(&format!("select count(*) from payments where {condition};")).unwrap();
        assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{condition}: {}", reply.text());
        expected.push((condition, buckets));
    }
    // The same text with other values, in one session each.
    let select = "select count(*) from payments where amount > :amount;\n";
    let script: String =
        ["23", "24", "25", "481516234", "26"].map(|it| format!("\\set amount {it}\n{select}")).concat();
    for mode in ["extended", "prepared"] {
        let run = pgbench(&world, &dana, mode, &script).output().unwrap();
        assert!(run.status.success(), "{}", text(&run));
        expected.extend([0, 0, 0].map(|_| (mode, &[(">", 0)][..])));
        expected.extend([(mode, &[(">", 2)][..]), (mode, &[(">", 0)])]);
    }
    let records = world.records();
    let mut told = records.iter().filter(|event| {
        event["type"] == "statement.decided" && event["relations"].to_string().contains("public.payments")
    });
    for (what, buckets) in expected {
        let event = told.next().unwrap();
        let buckets: Vec<_> = buckets
            .iter()
            .map(|(op, bucket)| serde_json::json!({"column": "public.payments.amount", "op": op, "bucket": bucket}))
            .collect();
        let recorded = event.get("buckets").and_then(|it| it.as_array().cloned()).unwrap_or_default();
        assert_eq!(recorded, buckets, "{what}");
    }
    assert!(told.next().is_none());
    let all: String = records.iter().map(ToString::to_string).collect();
    for value in ["481516234", "4231518"] {
        assert!(!all.contains(value), "{value} is on record");
    }
}

#[test]
fn a_threshold_of_no_column_is_found_by_the_linter() {
    let world = World::not_serving(|text| text);
    let policies = support::repository().join("policies");
    let read = |name: &str| std::fs::read_to_string(policies.join(name)).unwrap();
    let map = read("pii-map.yaml").replace("\n      # threshold: {amount:", "\n      threshold: {amuont:");
    world.gate.policies(&map, &read("policy.yaml")).unwrap();
    let linted = world.gate.run(["map", "lint", "--database", "shop"], "").unwrap();
    let said = linted.ok().unwrap_err().to_string();
    assert!(said.contains("threshold of public.payments.amuont, and there is no such column"), "{said}");
}
