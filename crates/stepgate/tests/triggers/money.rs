//! Monetary thresholds.

use crate::{fires, silent, world};

const HIGH: &str = "{predicate: {column: public.payments.amount, op: \">\", value: 30000}}";

#[test]
fn whoever_looks_for_high_amounts_is_asked() {
    let world = world(HIGH);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    fires(&world, &mut psql, &dana, "", "select id from payments where amount > 50000;");
    // So is one whose value nobody can tell.
    fires(&world, &mut psql, &dana, "", "select id from payments where amount > (select 50000);");
}

#[test]
fn whoever_looks_for_low_amounts_is_not() {
    let world = world(HIGH);
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, "select id from payments where amount > 10;");
    silent(&world, &mut psql, "select id from payments where amount < 50;");
}
