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

/// Somebody else, of the same groups.
async fn add_omar_again(world: &World) {
    let password = "another horse battery staple";
    let new = NewPerson { name: name("omar"), groups: groups(&["data-owners"]), service: false, password };
    world.people.add(new, None).await.unwrap();
}

/// Of two that it takes, omar has approved what dana waits for, and a policy.
async fn half_approved() -> (World, RequestId) {
    let world = World::with(true).await;
    let waits = world.desk.defer(deferrable(&world, 4, 2), held(WAITS)).await.unwrap().request;
    world.desk.vote(waits, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    two_people(&world);
    world.desk.propose_policy(POLICY).await.unwrap();
    world.next_step();
    let code = crate::Presented::code(&world.code("omar"));
    world.desk.approve_policy(POLICY, &name("omar"), code, HOME.into()).await.unwrap();
    world.next_step();
    assert_eq!(approvers(&world, waits), (vec![name("omar")], vec![name("omar")]));
    (world, waits)
}

const POLICY: &str = "ab";

fn two_people(world: &World) {
    let groups = groups(&["data-owners"]).into_iter().collect();
    world.desk.set_two_person(Some(crate::TwoPerson { groups, strength: Strength::Standard }));
}

/// Of the request and of the policy.
fn approvers(world: &World, request: RequestId) -> (Vec<PersonName>, Vec<PersonName>) {
    two_people(world);
    (world.desk.request(request).unwrap().approvers, world.desk.policies(&name("amir"))[0].approvers.clone())
}

/// Nothing of it counts, now or after a kill, and a second person approves neither.
async fn is_void(world: &World, waits: RequestId) {
    for world in [&world.killed(), world] {
        assert_eq!(approvers(world, waits), (Vec::new(), Vec::new()));
        let vote =
            world.desk.vote(waits, &name("amir"), &world.code("amir"), true, None, HOME).await.unwrap();
        assert_eq!((vote.ended, vote.approvals), (None, 1));
        world.next_step();
        let code = crate::Presented::code(&world.code("amir"));
        let policy = world.desk.approve_policy(POLICY, &name("amir"), code, HOME.into()).await.unwrap();
        assert_eq!(policy.state, "proposed");
        assert_eq!(approvers(&world.killed(), waits), (vec![name("amir")], vec![name("amir")]));
    }
}

#[tokio::test]
async fn an_approval_of_somebody_who_was_removed_is_none_of_who_has_the_name_since() {
    let (world, waits) = half_approved().await;
    world.people.remove(&name("omar"), None).await.unwrap();
    world.desk.revoke_person(&name("omar"), None).await.unwrap();
    assert_eq!(approvers(&world, waits), (Vec::new(), Vec::new()));
    add_omar_again(&world).await;
    is_void(&world, waits).await;
    // Killed before its revocations.
    let (world, waits) = half_approved().await;
    world.people.remove(&name("omar"), None).await.unwrap();
    let world = world.killed();
    add_omar_again(&world).await;
    is_void(&world, waits).await;
    // Added again before them, or without any.
    let (world, waits) = half_approved().await;
    world.people.remove(&name("omar"), None).await.unwrap();
    world.clock.advance(Duration::from_secs(1));
    add_omar_again(&world).await;
    let vote = world.desk.vote(waits, &name("amir"), &world.code("amir"), true, None, HOME).await.unwrap();
    assert_eq!((vote.ended, vote.approvals), (None, 1));
}

#[tokio::test]
async fn an_approval_by_somebody_whose_authenticator_was_removed_since_is_none() {
    let (world, waits) = half_approved().await;
    let id = world.people.factors().list(&name("omar"))[0].id.clone();
    world.desk.remove_factor(&name("omar"), &id, None, None).await.unwrap();
    is_void(&world, waits).await;
}
