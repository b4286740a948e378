use stepgate_record::Outcome;

use super::*;
use crate::DeskError;

fn statement(number: u64) -> StatementId {
    StatementId { session: SessionId::from_bytes([u8::try_from(number).unwrap(); 16]), number }
}

#[tokio::test]
async fn ctrl_c_cancels_and_a_lost_client_withdraws() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.cancel(waiting.request, statement(1)).await.unwrap();
    let waiting = world.ask(world.step_up("dana", 2)).await;
    world.desk.withdraw(waiting.request, statement(2)).await.unwrap();
    assert_eq!(world.ends(), ["cancelled", "withdrawn"]);
    let by: Vec<_> = world
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::StepupEnded { by, .. } => Some(by),
            _ => None,
        })
        .collect();
    assert_eq!(by, [Some("dana".into()), None]);
}

#[tokio::test]
async fn the_last_waiter_to_leave_ends_the_request() {
    let world = World::new().await;
    let first = world.ask(world.step_up("dana", 1)).await;
    let second = world.ask(world.step_up("dana", 2)).await;
    world.desk.cancel(first.request, statement(1)).await.unwrap();
    assert!(world.ends().is_empty());
    assert_eq!(world.desk.cancel(first.request, statement(1)).await, Err(DeskError::Unknown));
    world.desk.withdraw(second.request, statement(2)).await.unwrap();
    assert_eq!(world.ends(), ["withdrawn"]);
    let again = world.desk.withdraw(second.request, statement(2)).await;
    assert_eq!(again, Err(DeskError::Ended(Outcome::Withdrawn)));
}

#[tokio::test]
async fn a_request_whose_waiters_vanished_is_withdrawn_at_the_next_tick() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.expire_due().await.unwrap();
    assert!(world.ends().is_empty());
    drop(waiting);
    world.desk.expire_due().await.unwrap();
    assert_eq!(world.ends(), ["withdrawn"]);
}

#[tokio::test]
async fn nobody_answers_in_time() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.clock.advance(Duration::from_secs(299));
    world.desk.expire_due().await.unwrap();
    assert!(world.ends().is_empty());
    world.clock.advance(Duration::from_secs(1));
    world.desk.expire_due().await.unwrap();
    let end = waiting.ended.await.unwrap();
    assert_eq!((end.outcome, end.by, end.grant), (Outcome::Expired, None, None));
    assert_eq!(world.ends(), ["expired"]);
}

#[tokio::test]
async fn only_who_asked_cancels_the_whole_request() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    for other in ["eve", "omar", "nobody"] {
        assert_eq!(world.desk.cancel_request(waiting.request, &name(other)).await, Err(DeskError::Unknown));
    }
    world.desk.cancel_request(waiting.request, &name("dana")).await.unwrap();
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Cancelled);
}

#[tokio::test]
async fn a_grant_taken_back_covers_nothing_from_that_moment() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let end = world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let grant = end.grant.unwrap();
    assert_eq!(world.desk.revoke(grant, Some(name("eve"))).await, Err(DeskError::Unknown));
    assert!(world.covers("dana"));
    world.desk.revoke(grant, Some(name("dana"))).await.unwrap();
    assert!(!world.covers("dana"));
    assert_eq!(world.desk.revoke(grant, None).await, Err(DeskError::Unknown));
    assert!(!world.killed().covers("dana"));
}

#[tokio::test]
async fn revoking_a_person_ends_their_grants_and_requests() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let open = world.ask(world.approval("dana", 2, 1)).await;
    let other = world.ask(world.approval("eve", 3, 1)).await;
    world.desk.revoke_person(&name("dana"), None).await.unwrap();
    assert!(!world.covers("dana"));
    assert_eq!(open.ended.await.unwrap().outcome, Outcome::Withdrawn);
    assert_eq!(world.desk.request(other.request).unwrap().state, "open");
}

#[tokio::test]
async fn with_the_log_closed_expiry_fails_and_says_so() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.log.close().unwrap();
    world.clock.advance(Duration::from_secs(300));
    assert!(matches!(world.desk.expire_due().await, Err(DeskError::Log(_))));
    let state = world.desk.request(waiting.request).map(|info| info.state);
    assert_ne!(state, Some("approved"));
}

#[tokio::test]
async fn watchers_hear_of_every_change() {
    let world = World::new().await;
    let mut news = world.desk.watch();
    let waiting = world.ask(world.step_up("dana", 1)).await;
    assert_eq!(news.try_recv().unwrap(), waiting.request);
    world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    assert_eq!(news.try_recv().unwrap(), waiting.request);
    assert!(news.try_recv().is_err());
}

#[tokio::test]
async fn when_the_log_breaks_nobody_waits_on_and_nothing_passes() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.log.shared().marks.poison("no space left on device".to_owned());
    let code = world.code("dana");
    assert!(world.desk.verify(waiting.request, &name("dana"), &code, HOME).await.is_err());
    assert!(matches!(world.desk.expire_due().await, Err(DeskError::Log(_))));
    // Closed without a word: no end to read an approval from.
    assert!(waiting.ended.await.is_err());
    assert!(!world.covers("dana"));
}
