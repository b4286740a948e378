//! What changes between the question and its answer: people have approved what they were shown, and nothing else.

use stepgate_testkit::Psql;

use crate::recorded;
use crate::support::{SOON, World, held};

const SHOWN: &str = "select x from shown where id = 1;";

/// A gate where dana's statement about a view waits for herself; then the view is replaced beside the gate.
fn replaced(world: &World, before: &str, after: &str) -> (Psql, stepgate_testkit::Person, String) {
    let view = |of: &str| format!("create or replace view shown as {of}; grant select on shown to public;");
    world.cluster.load("shop", &view(before)).unwrap();
    let dana = world.dana();
    let mut psql = world.psql(&dana);
    psql.send(SHOWN).unwrap();
    let request = held(&mut psql);
    world.cluster.load("shop", &view(after)).unwrap();
    (psql, dana, request)
}

#[test]
fn a_view_that_reads_more_when_its_reader_is_approved_is_asked_about_anew() {
    let world = World::new();
    let (mut psql, mut dana, request) = replaced(
        &world,
        "select id, ssn as x from customers",
        "select c.id, c.ssn || ' ' || p.iban as x from customers c, payments p where p.id = c.id",
    );
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    let again = held(&mut psql);
    assert_ne!(again, request);
    assert!(!psql.shown().iter().any(|line| line.contains("901-00-")), "{:?}", psql.shown());
    assert_eq!(recorded(&world, "statement.decided", "\"verdict\":\"forward\""), 0);
    dana.verify(&world.gate, &again).unwrap().ok().unwrap();
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("901-00-"), "{}", reply.text());
    assert!(reply.text().contains("public.payments.iban"), "{}", reply.text());
}

#[test]
fn a_view_that_tells_more_of_the_same_column_when_its_reader_is_approved_is_asked_about_anew() {
    let remembers = "    remember: {for: 15m, scope: [person, client, network, relations]}\n";
    let world = World::with_policy(|text| {
        let changed = text.replace(remembers, "");
        assert_ne!(changed, text);
        changed
    });
    // By kinds, columns and labels the same: who approved has looked at the definition.
    let (mut psql, mut dana, request) = replaced(
        &world,
        "select id, '*' || right(ssn, 1) as x from customers",
        "select id, '' || right(ssn, 99) as x from customers",
    );
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert_ne!(held(&mut psql), request);
    assert!(!psql.shown().iter().any(|line| line.contains("901-00-")), "{:?}", psql.shown());
}

/// What dana may do is somebody else's decision, also while she waits.
#[test]
fn somebody_who_is_removed_while_a_statement_of_theirs_waits_is_let_through_by_nobody() {
    let world = World::new();
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send("copy (select email from customers) to stdout;").unwrap();
    let request = held(&mut psql);
    world.gate.run(["user", "rm", "dana"], "").unwrap().ok().unwrap();
    let late = olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap();
    assert!(late.status == 1 && late.text().contains("withdrawn"), "{}", late.text());
    // Where the request ended before the session did, psql hears of the latter when it has something to say.
    let _ = psql.send("select 1;");
    let lines = psql.ended(SOON).unwrap().join("\n");
    assert!(!lines.contains("@example.test"), "{lines}");
    assert_eq!(recorded(&world, "stepup.ended", &request), 1);
    let (is_in, text) = world.connects(&dana, "shop");
    assert!(!is_in && text.contains("password authentication failed"), "{text}");
}
