//! Large objects through the gate: psql's fast path, and labels that follow what is stored in them.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use support::{SOON, World, approved, held, passes, waits};

#[test]
fn psql_stores_lists_reads_and_removes_files_unasked() {
    let world = World::new();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    let (source, copy) = (world.tree.path().join("picture"), world.tree.path().join("copy"));
    std::fs::write(&source, "a picture".repeat(20_000)).unwrap();
    let stored = psql.run(&format!("\\lo_import {} 'of nobody'", source.display())).unwrap();
    assert_eq!(stored.text(), "");
    let listed = psql.run("\\lo_list").unwrap();
    assert!(listed.text().contains("of nobody"), "{}", listed.text());
    let read = psql.run(&format!("\\lo_export :LASTOID {}", copy.display())).unwrap();
    assert_eq!(read.text(), "");
    assert_eq!(std::fs::read(&copy).unwrap(), std::fs::read(&source).unwrap());
    assert_eq!(psql.run("\\lo_unlink :LASTOID").unwrap().text(), "");
    let gone = psql.run("select lo_get(:LASTOID);").unwrap();
    assert_eq!(gone.sqlstate, "42704", "{}", gone.text());
    // Each call is decided on, and recorded, as a SELECT of its function.
    assert!(world.recorded("statement.decided", "lowrite") && world.recorded("\"function\"", "loread"));
}

#[test]
fn what_was_stored_from_a_labelled_column_is_held_when_it_is_read() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    passes(&mut psql, "select lo_from_bytea(9001, 'nothing'); select lo_get(9001);");
    let copies = "select lo_from_bytea(9002, ssn::bytea) from customers where id = 1;";
    approved(&world, &mut psql, &mut olga, copies);
    // Somebody who has no grant.
    let omar = world.person("omar", "analysts");
    let mut psql = world.psql(&omar);
    waits(&world, &mut psql, &omar, "select lo_get(9002);");
    waits(&world, &mut psql, &omar, "select oid from pg_largeobject_metadata;");
    let copy = world.tree.path().join("copy");
    psql.send(&format!("\\lo_export 9002 {}", copy.display())).unwrap();
    let request = held(&mut psql);
    world.gate.run(["request", "cancel", &request, "--as", "omar"], "").unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(!reply.text().contains("901-00-"), "{}", reply.text());
    assert!(!std::fs::read_to_string(&copy).unwrap_or_default().contains("901-00-"));
    // What stores and removes asks nobody.
    passes(&mut psql, "select lo_put(9001, 0, 'else');");
    passes(&mut psql, "select lo_unlink(9001);");
}
