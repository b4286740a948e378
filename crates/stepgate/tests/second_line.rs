//! What a result shows is held against what its statement was let through for.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::time::Duration;

use support::{SOON, World, passes};

/// After so long the gate has heard of what was done beside it.
const HEARD: Duration = Duration::from_secs(3);

/// As it is done beside the gate, which hears of it up to two seconds later.
const SWAP: &str = "begin; alter table products rename to p0; alter table customers rename ssn to name_0; \
                    alter table customers rename segment to s0; alter table customers rename name_0 to name; \
                    alter table customers rename to products; commit;";
const BACK: &str = "begin; alter table products rename to customers; alter table customers rename name to ssn; \
                    alter table customers rename s0 to segment; alter table p0 rename to products; commit;";

#[test]
fn tables_swapped_beside_the_gate_show_nothing_before_the_gate_has_heard_of_it() {
    let world = World::new();
    world.cluster.load("shop", "alter table customers drop column if exists name").unwrap();
    let dana = world.dana();
    let query = "select name from products limit 3;";
    for (before, sql) in [("", query), ("prepare q as select name from products limit 3;", "execute q;")] {
        // A look at the catalog that comes just then has it held instead.
        let ended = (0..5).find_map(|_| {
            let mut psql = world.psql(&dana);
            passes(&mut psql, query);
            if !before.is_empty() {
                passes(&mut psql, before);
            }
            world.cluster.load("shop", SWAP).unwrap();
            psql.send(sql).unwrap();
            let ended = psql.ended(SOON);
            assert!(!psql.shown().join("\n").contains("901-00-"), "{:?}", psql.shown());
            world.cluster.load("shop", BACK).unwrap();
            std::thread::sleep(HEARD);
            ended.ok()
        });
        let lines = ended.unwrap().join("\n");
        assert!(!lines.contains("901-00-"), "{lines}");
        assert!(lines.contains("FATAL:  stepgate: the result has columns"), "{lines}");
    }
    let raised = world.records().iter().filter(|record| record["type"] == "alarm.raised").count();
    assert_eq!(raised, 2);
    assert!(world.recorded("unflagged-column", "public.customers.ssn"));
}
