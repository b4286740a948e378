//! Databases that change while their maps do not: what the gate does, and what `map diff` and `map lint` say.

use serde_json::Value;

use super::support::{SOON, World, passes, waits};

/// The sample gate, serving, where every column of `public.products` that its entry does not name is restricted.
fn world() -> World {
    let mut world = World::not_serving(super::support::waiting);
    let policies = super::support::repository().join("policies");
    let read = |name: &str| std::fs::read_to_string(policies.join(name)).unwrap();
    let map = read("pii-map.yaml")
        .replace("public.products: {}", "public.products: {unlisted_columns: restricted}");
    world.gate.policies(&map, &super::support::waiting(read("policy.yaml"))).unwrap();
    // What stands there is no person's, and may be read.
    world.gate.serve().unwrap();
    world
}

fn drifts(world: &World) -> Vec<Value> {
    world.records().into_iter().filter(|record| record["type"] == "catalog.drifted").collect()
}

fn drifted(world: &World, what: &str, name: &str) {
    stepgate_testkit::until("the alarm", SOON, || {
        drifts(world).iter().any(|record| record["what"] == what && record.to_string().contains(name))
    })
    .unwrap();
}

fn has_baseline(world: &World) {
    stepgate_testkit::until("the first look", SOON, || {
        let data = world.gate.config().parent().unwrap().join("data");
        std::fs::read_dir(data)
            .unwrap()
            .any(|file| file.unwrap().file_name().to_string_lossy().starts_with("catalog-"))
    })
    .unwrap();
}

#[test]
fn a_new_column_of_a_mapped_table_is_held_and_told_once() {
    let mut world = world();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    has_baseline(&world);
    assert_eq!(drifts(&world), Vec::<Value>::new());
    let diff = world.gate.run(["map", "diff", "--database", "shop"], "").unwrap();
    assert_eq!(diff.status, 0, "{}", diff.text());

    world.cluster.psql("shop", "alter table products add column shoe_size int").unwrap();
    drifted(&world, "new-column", "public.products.shoe_size");
    // What the map says of columns that it does not name decides meanwhile.
    waits(&world, &mut psql, &dana, "select shoe_size from public.products;");
    let said = world.gate.log();
    assert!(said.contains("public.products.shoe_size") && said.contains("new-column"), "{said}");

    // Another change, another catalog, a restart: what was told is not told again.
    world.cluster.psql("shop", "create table public.leads (mail text)").unwrap();
    drifted(&world, "new-table", "public.leads");
    world.gate.kill();
    world.gate.serve().unwrap();
    // A database that nobody uses is looked at seldom.
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select 1;");
    world.cluster.psql("shop", "alter table customers drop column ssn cascade").unwrap();
    drifted(&world, "column-gone", "public.customers.ssn");
    let told: Vec<String> =
        drifts(&world).iter().map(|record| record["what"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["new-column", "new-table", "column-gone"]);

    let diff = world.gate.run(["map", "diff", "--database", "shop", "-o", "json"], "").unwrap();
    assert_eq!(diff.status, 1, "{}", diff.text());
    let changes: Value = serde_json::from_str(diff.stdout.trim()).unwrap();
    let found: Vec<(String, String)> = changes
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["change"].as_str().unwrap().to_owned(), row["table"].as_str().unwrap().to_owned()))
        .collect();
    let expected = [
        ("column-gone", "public.customers"),
        ("new-table", "public.leads"),
        ("new-column", "public.products"),
    ];
    assert_eq!(found, expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    let lint = world.gate.run(["map", "lint", "--database", "shop"], "").unwrap();
    assert!(lint.status == 1 && lint.text().contains("public.customers.ssn"), "{}", lint.text());
    assert!(lint.text().contains("public.leads.mail has no label and looks like email"), "{}", lint.text());
}

#[test]
fn what_was_renamed_is_told_by_lint_and_diff_and_is_no_alarm() {
    let world = world();
    has_baseline(&world);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select 1;");
    world.cluster.psql("shop", "alter table customers rename column phone to reach_at").unwrap();
    stepgate_testkit::until("the labels", SOON, || {
        world.recorded("label.followed", "public.customers.reach_at")
    })
    .unwrap();
    let diff = world.gate.run(["map", "diff", "--database", "shop"], "").unwrap();
    assert!(diff.status == 1 && diff.text().contains("is public.customers.reach_at now"), "{}", diff.text());
    let lint = world.gate.run(["map", "lint", "--database", "shop"], "").unwrap();
    assert!(lint.status == 1 && lint.text().contains("it was renamed to reach_at"), "{}", lint.text());
    assert_eq!(drifts(&world), Vec::<Value>::new());
}
