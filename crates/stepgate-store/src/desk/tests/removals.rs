//! What is left of somebody who was removed: the same in the running gate and in one that is rebuilt from the log.

use super::*;
use crate::desk::GrantInfo;

/// What waits for dana.
const WAITS: &str = "select * from customers where id = 4";
/// What dana may run once.
const PASSES: &str = "select * from customers where id = 3";

fn deferrable(world: &World, number: u64, count: u32) -> Ask {
    Ask { mode: Mode::HoldThenDefer, ..world.approval("dana", number, count) }
}

/// A gate where dana has a grant, a pass, and a request that one of two has approved; eve has a grant.
async fn busy() -> (World, RequestId) {
    let world = World::with(true).await;
    for (number, person) in [(1, "dana"), (2, "eve")] {
        let waiting = world.ask(world.step_up(person, number)).await;
        world.desk.verify(waiting.request, &name(person), &world.code(person), HOME).await.unwrap();
    }
    let passes = world.desk.defer(deferrable(&world, 3, 1), held(PASSES)).await.unwrap();
    let code = world.code("omar");
    let approved = world.desk.vote(passes.request, &name("omar"), &code, true, None, HOME).await.unwrap();
    assert!(approved.ended.unwrap().pass.is_some());
    let waits = world.desk.defer(deferrable(&world, 4, 2), held(WAITS)).await.unwrap();
    world.desk.vote(waits.request, &name("amir"), &world.code("amir"), true, None, HOME).await.unwrap();
    assert_eq!(holders(&world.desk.grants()), ["dana", "dana", "eve"]);
    assert_eq!(world.killed().desk.grants(), world.desk.grants(), "all of it outlives the gate");
    (world, waits.request)
}

fn holders(grants: &[GrantInfo]) -> Vec<&str> {
    let mut people: Vec<_> = grants.iter().map(|grant| grant.person.as_str()).collect();
    people.sort_unstable();
    people
}

/// All that people have here.
fn projections(world: &World) -> impl PartialEq + std::fmt::Debug {
    let requests =
        world.desk.requests().into_iter().map(|it| (it.request, it.state, it.person, it.approvers));
    let people = world.people.list().into_iter().map(|person| {
        let factors = world.people.factors().list(&person.name).into_iter();
        (
            person.name.clone(),
            factors.map(|factor| (factor.id.to_string(), factor.enrolled)).collect::<Vec<_>>(),
        )
    });
    let (requests, people): (Vec<_>, Vec<_>) = (requests.collect(), people.collect());
    (world.desk.grants(), requests, people)
}

/// Somebody else is given the name, at the very moment at which the other one was removed.
async fn add_again(world: &World) {
    let password = "another horse battery staple";
    let new = NewPerson { name: name("dana"), groups: groups(&["analysts"]), service: false, password };
    world.people.add(new, None).await.unwrap();
}

fn has_anything(world: &World) -> bool {
    let wanted = Wanted::from(&deferrable(world, 9, 1));
    let passes =
        [PASSES, WAITS].iter().any(|sql| world.desk.pass_for(&wanted, "analyst", &held(sql)).is_some());
    let enrolled = !world.people.factors().list(&name("dana")).is_empty();
    passes || enrolled || world.covers("dana")
}

#[tokio::test]
async fn what_a_log_with_a_removal_is_rebuilt_to_is_what_the_running_gate_has() {
    let (world, waits) = busy().await;
    world.people.remove(&name("dana"), None).await.unwrap();
    world.desk.revoke_person(&name("dana"), None).await.unwrap();
    assert_eq!(holders(&world.desk.grants()), ["eve"]);
    assert_eq!(world.desk.request(waits).unwrap().state, "withdrawn");
    let again = world.killed();
    assert_eq!(projections(&again), projections(&world));
    // Nor does who comes by that name have anything of it, in the one or the other, or after one more kill.
    for world in [&world, &again] {
        add_again(world).await;
        assert!(!has_anything(world) && world.covers("eve"));
        let killed = world.killed();
        assert!(!has_anything(&killed) && killed.covers("eve"));
        assert_eq!(projections(&killed), projections(world));
    }
}

#[tokio::test]
async fn a_kill_between_a_removal_and_its_revocations_leaves_who_was_removed_nothing() {
    let (world, waits) = busy().await;
    world.people.remove(&name("dana"), None).await.unwrap();
    let world = world.killed();
    assert_eq!(holders(&world.desk.grants()), ["eve"]);
    assert_eq!(world.desk.request(waits).unwrap().state, "withdrawn");
    assert_eq!(std::fs::read_dir(world.dir.path().join("requests")).unwrap().count(), 0, "nor is it kept");
    add_again(&world).await;
    assert!(!has_anything(&world) && world.covers("eve"));
    let late = world.desk.vote(waits, &name("omar"), &world.code("omar"), true, None, HOME).await;
    assert!(late.is_err());
    assert_eq!(projections(&world.killed()), projections(&world));
}
