//! A database that nobody uses can be dropped, renamed and copied as without a gate; whoever uses it next is judged by what
//! it is then.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use stepgate_testkit::until;
use support::{SOON, World, held, passes};

#[test]
fn what_nobody_uses_can_be_copied_renamed_and_dropped_and_is_looked_at_again_before_it_is_used() {
    let world = World::new();
    let eve = world.person("eve", "analysts");
    let mut psql = world.psql(&eve);
    passes(&mut psql, "select count(*) from products;");
    drop(psql);
    // The server waits for five seconds for others to leave.
    let done = |sql: &str| until(sql, SOON, || world.cluster.psql("postgres", sql).is_ok()).unwrap();
    done("create database copied template shop");
    world.cluster.psql("shop", "alter table customers rename ssn to number").unwrap();
    let mut psql = world.psql(&eve);
    psql.send("select number from customers limit 1;").unwrap();
    held(&mut psql);
    psql.interrupt().unwrap();
    drop(psql);
    done("alter database shop rename to kept");
    done("alter database kept rename to shop");
    let mut psql = world.psql(&eve);
    passes(&mut psql, "select count(*) from products;");
    drop(psql);
    done("drop database shop");
}
