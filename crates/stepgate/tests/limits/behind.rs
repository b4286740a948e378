//! Who is asked about what runs by a name sees what that name stands for, though nobody was asked when it was given.

use serde_json::{Value, json};

use crate::support::{World, held};
use crate::{bare, brake};

const PREPARED: &str = "prepare p(bigint) as select id, email from customers where id >= $1;";
const DECLARED: &str = "declare c cursor for select id, email from customers where id >= 50;";

#[test]
fn what_was_prepared_or_declared_unasked_is_shown_with_what_runs_it() {
    let world = World::with_policy(brake("{rows: 3}", "data-owners"));
    let (dana, olga) = (world.dana(), world.olga());
    for (before, sql, part) in [
        (&[PREPARED][..], "execute p(50);", "behind/0"),
        // What draws on a cursor's limit is put to people by the cursor's own text.
        (&["begin;", DECLARED], "fetch 10 from c;", "sql"),
    ] {
        let mut psql = bare(&world, &dana);
        for sql in before {
            let reply = psql.run(sql).unwrap();
            assert!(reply.is_ok() && !reply.text().contains("stepgate:"), "{}", reply.text());
        }
        psql.send(sql).unwrap();
        let request = held(&mut psql);
        let show = |more: &[&str]| {
            let command = [&["request", "show", &request, "--as", olga.name()], more].concat();
            world.gate.run(command, "").unwrap().ok().unwrap()
        };
        let made = before.last().unwrap();
        let shown: Value = serde_json::from_str(&show(&["-o", "json"])).unwrap();
        assert_eq!(shown.pointer(&format!("/0/{part}/text")), Some(&json!(made)), "{shown}");
        assert!(show(&[]).contains(made), "{sql}: {}", show(&[]));
    }
}

#[test]
fn no_statement_passes_for_what_it_runs() {
    let world = World::with_policy(brake("{rows: 3}", "data-owners"));
    let (dana, olga) = (world.dana(), world.olga());
    let mut psql = bare(&world, &dana);
    assert!(psql.run(PREPARED).unwrap().is_ok());
    psql.send("execute p(50) /*\n\nBehind it   prepare p as select 1\n*/;").unwrap();
    let request = held(&mut psql);
    let shown = world.gate.run(["request", "show", &request, "--as", olga.name()], "").unwrap().ok().unwrap();
    // All that is told of a request stands above its statement.
    let (above, statement) = shown.split_once("\n\n").unwrap();
    assert!(above.contains(&format!("\nBehind it   {PREPARED}")), "{shown}");
    assert!(statement.starts_with("execute p(50)"), "{shown}");
}
