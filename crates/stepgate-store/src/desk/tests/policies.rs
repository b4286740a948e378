//! Policies that take two people.

use super::*;
use crate::{DeskError, PolicyInfo, Presented, TwoPerson, VerifyError};

fn sha256() -> String {
    "ab".repeat(32)
}

fn set_up(world: &World) {
    let groups = groups(&["data-owners"]).into_iter().collect();
    world.desk.set_two_person(Some(TwoPerson { groups, strength: Strength::Standard }));
}

impl World {
    async fn approves(&self, person: &str) -> Result<PolicyInfo, VerifyError> {
        self.next_step();
        let code = Presented::code(&self.code(person));
        self.desk.approve_policy(&sha256(), &name(person), code, HOME.into()).await
    }
}

#[tokio::test]
async fn a_policy_takes_two_distinct_people_of_the_group_as_it_is_then_and_survives_a_restart() {
    let world = World::new().await;
    let unknown = Err(VerifyError::Desk(DeskError::Unknown));
    assert_eq!(world.approves("amir").await, unknown, "nobody has to");
    set_up(&world);
    assert_eq!(world.approves("amir").await, unknown, "nothing waits");
    world.desk.propose_policy(&sha256()).await.unwrap();
    world.desk.propose_policy(&sha256()).await.unwrap();
    assert_eq!(world.count(|event| matches!(event, Event::PolicyProposed { .. })), 1);
    assert_eq!(world.approves("dana").await, unknown, "she is not of the group");
    for _ in 0..2 {
        assert_eq!(world.approves("amir").await.unwrap().state, "proposed");
    }
    let world = world.killed();
    set_up(&world);
    assert_eq!(world.desk.policies(&name("omar"))[0].approvers, [name("amir")]);
    assert!(world.desk.policies(&name("dana")).is_empty());
    // Who has left the group meanwhile does not count any more.
    world.people.set_groups(&name("amir"), groups(&["analysts"]), None).await.unwrap();
    let info = world.approves("omar").await.unwrap();
    assert_eq!((info.state, info.approvers), ("proposed", vec![name("omar")]));
    assert_eq!(world.desk.approved_policy(), None);
    world.people.set_groups(&name("dana"), groups(&["data-owners"]), None).await.unwrap();
    assert_eq!(world.approves("dana").await.unwrap().state, "approved");
    assert_eq!(world.approves("dana").await, unknown, "it waits no more");
    let world = world.killed();
    assert_eq!(world.desk.approved_policy(), Some(sha256()));
    // What was replaced is approved anew, or not at all: by votes of then nobody brings it back.
    set_up(&world);
    world.desk.propose_policy(&sha256()).await.unwrap();
    assert!(world.desk.policies(&name("omar"))[0].approvers.is_empty());
}

#[tokio::test]
async fn a_code_for_one_hash_is_spent_and_without_a_log_nothing_is_approved() {
    let world = World::new().await;
    set_up(&world);
    world.desk.propose_policy(&sha256()).await.unwrap();
    world.approves("amir").await.unwrap();
    let code = Presented::code(&world.code("amir"));
    world.desk.propose_policy("cd").await.unwrap();
    assert!(world.desk.approve_policy("cd", &name("amir"), code, HOME.into()).await.is_err());
    world.log.close().unwrap();
    assert!(world.approves("omar").await.is_err());
    assert_eq!(world.desk.approved_policy(), None);
}

#[tokio::test]
async fn what_was_approved_binds_no_more_once_nobody_has_to_approve_and_what_waits_is_needed() {
    let world = World::new().await;
    set_up(&world);
    world.desk.release_policy().await.unwrap();
    world.desk.first_policy(&sha256()).await.unwrap();
    world.desk.propose_policy("cd").await.unwrap();
    assert_eq!(world.desk.needed_policies(), [sha256(), "cd".to_owned()].into_iter().collect());
    world.desk.release_policy().await.unwrap();
    assert_eq!(world.desk.approved_policy(), None);
    let world = world.killed();
    assert_eq!(world.desk.approved_policy(), None, "nor after a restart");
    assert_eq!(world.desk.needed_policies(), ["cd".to_owned()].into_iter().collect());
    assert_eq!(world.count(|event| matches!(event, Event::PolicyReleased { .. })), 1);
}
