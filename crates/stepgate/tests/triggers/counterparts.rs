//! Whom or what somebody has had nothing to do with before.

use stepgate_testkit::until;

use crate::support::SOON;
use crate::{decided, fires, risky, silent, verified};

#[test]
fn a_table_that_somebody_has_never_read_asks_until_they_verify() {
    let world = risky("first_seen_table", "");
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    let sql = "select currency from payments where id = 1;";
    fires(&world, &mut psql, &dana, "first_seen_table", sql);
    verified(&world, &mut psql, &mut dana, sql);
    until("the table to be known", SOON, || {
        psql.run(sql).unwrap();
        decided(&world, "forward")["risk"] == 0
    })
    .unwrap();
    silent(&world, &mut psql, sql);
}

#[test]
fn a_table_of_every_day_is_silent() {
    let world = risky("first_seen_table", "");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, "select status from orders where id = 1;");
    silent(&world, &mut psql, "select name from products where id = 1;");
}

#[test]
fn a_label_that_somebody_has_never_read_asks() {
    let world = risky("first_seen_label", "");
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    silent(&world, &mut psql, "select status from orders where id = 1;");
    fires(&world, &mut psql, &dana, "first_seen_label", "select ssn from customers where id = 1;");
}
