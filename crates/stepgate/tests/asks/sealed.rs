use crate::recorded;
use crate::support::{World, held};

const EXPORT: &str = "copy (select email from customers where id = 1) to stdout;";

fn kept(world: &World) -> usize {
    std::fs::read_dir(world.gate.data().join("requests")).map_or(0, Iterator::count)
}

#[test]
fn where_sealed_requests_are_switched_off_what_was_sealed_is_destroyed_by_the_next_start() {
    let mut world = World::configured("sealed_requests: true");
    let (dana, mut olga) = (world.dana(), world.olga());
    let mut psql = world.psql(&dana);
    psql.send(EXPORT).unwrap();
    let request = held(&mut psql);
    world.gate.kill();
    assert_eq!(kept(&world), 2, "what is sealed, and its key");
    world.edit("sealed_requests: true", "sealed_requests: false");
    world.gate.serve().unwrap();
    assert_eq!(kept(&world), 0);
    assert_eq!(recorded(&world, "stepup.ended", &request), 1);
    // And stays so.
    world.gate.kill();
    world.edit("sealed_requests: false", "sealed_requests: true");
    world.gate.serve().unwrap();
    assert_eq!((kept(&world), recorded(&world, "stepup.ended", &request)), (0, 1));
    olga.login(&world.gate).unwrap();
    let late = olga.answer(&world.gate, "approve", &request, "ticket 4711").unwrap();
    assert!(late.status == 1 && late.text().contains("ended"), "{}", late.text());
}
