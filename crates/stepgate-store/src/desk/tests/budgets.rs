use stepgate_types::{Amount, GrantId};

use super::*;
use crate::{Block, Need};

const STATEMENT: StatementId = StatementId { session: SessionId::from_bytes([9; 16]), number: 7 };

const fn limit(rows: Option<u64>, bytes: Option<u64>) -> Limit {
    Limit::of(rows, bytes)
}

fn need() -> Need {
    Need {
        has: limit(Some(0), Some(0)),
        next: Amount::of(1, 1),
        most: Limit::NONE,
        asked_for: false,
        all: false,
    }
}

/// A grant of a thousand rows and 8,000 bytes for dana.
async fn granted(world: &World) -> GrantId {
    let mut ask = world.step_up("dana", 1);
    ask.limit = limit(Some(1_000), Some(8_000));
    let waiting = world.ask(ask).await;
    let end = world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    end.grant.unwrap()
}

fn left(world: &World) -> (Option<u64>, Option<u64>) {
    let grants = world.desk.grants();
    grants.first().map(|grant| (grant.rows_left, grant.bytes_left)).unwrap()
}

fn covers(world: &World) -> bool {
    let mut ask = world.step_up("dana", 99);
    ask.limit = limit(Some(1_000), Some(8_000));
    world.desk.covering_grant(&Wanted::from(&ask)).is_some()
}

async fn debit(world: &World, grant: GrantId, need: Need) -> Option<Block> {
    world.desk.debit(grant, STATEMENT, &need).await.unwrap()
}

#[tokio::test]
async fn a_budget_is_set_aside_by_eighths_and_is_on_disk_before_it_is_used() {
    let world = World::new().await;
    let grant = granted(&world).await;
    for number in 1..=8 {
        let block = debit(&world, grant, need()).await.unwrap();
        assert_eq!(block.limit, limit(Some(125), Some(1_000)));
        let (rows, bytes) = (1_000 - number * 125, 8_000 - number * 1_000);
        assert_eq!(left(&world), (Some(rows), Some(bytes)));
        assert_eq!(left(&world.killed()), (Some(rows), Some(bytes)), "after kill -9");
    }
    assert!(debit(&world, grant, need()).await.is_none());
    assert!(!covers(&world) && !covers(&world.killed()));
    assert_eq!(world.count(|event| matches!(event, Event::GrantDebited(_))), 8);
}

#[tokio::test]
async fn what_was_not_delivered_goes_back_and_never_becomes_more_than_there_was() {
    let world = World::new().await;
    let grant = granted(&world).await;
    debit(&world, grant, need()).await.unwrap();
    world.desk.give_back(grant, STATEMENT, Amount::of(25, 0));
    assert_eq!(left(&world), (Some(900), Some(7_000)));
    world.desk.give_back(grant, STATEMENT, Amount::of(5_000, 5_000));
    assert_eq!(left(&world), (Some(1_000), Some(8_000)));
    // What is noted follows what was appended after it.
    debit(&world, grant, need()).await.unwrap();
    assert_eq!(left(&world.killed()), (Some(875), Some(7_000)));
    // Nothing is recorded where nothing goes back.
    world.desk.give_back(grant, STATEMENT, Amount::NOTHING);
    assert_eq!(world.count(|event| matches!(event, Event::GrantCredited(_))), 2);
}

#[tokio::test]
async fn a_row_larger_than_a_block_gets_what_it_needs_and_one_larger_than_the_rest_only_if_it_was_asked_for()
{
    let world = World::new().await;
    let grant = granted(&world).await;
    let large = Need { next: Amount::of(1, 3_000), ..need() };
    assert_eq!(debit(&world, grant, large).await.unwrap().limit, limit(Some(125), Some(3_000)));
    let larger = Need { next: Amount::of(1, 6_000), ..need() };
    assert!(debit(&world, grant, larger).await.is_none());
    assert_eq!(left(&world), (Some(875), Some(5_000)), "nothing was taken");
    let asked_for = Need { asked_for: true, ..larger };
    assert_eq!(debit(&world, grant, asked_for).await.unwrap().limit, limit(Some(125), Some(5_000)));
    assert_eq!(left(&world), (Some(750), Some(0)));
    assert!(!covers(&world));
}

#[tokio::test]
async fn only_what_lacks_is_taken_and_never_more_than_the_statement_may_have() {
    let world = World::new().await;
    let grant = granted(&world).await;
    let has_bytes = Need { has: limit(Some(0), Some(500)), next: Amount::of(1, 400), ..need() };
    assert_eq!(debit(&world, grant, has_bytes).await.unwrap().limit, limit(Some(125), Some(0)));
    let few = Need { most: limit(Some(10), None), ..need() };
    assert_eq!(debit(&world, grant, few).await.unwrap().limit, limit(Some(10), Some(1_000)));
}

#[tokio::test]
async fn a_grant_that_was_revoked_or_is_over_gives_nothing_and_takes_nothing_back() {
    let world = World::new().await;
    let grant = granted(&world).await;
    debit(&world, grant, need()).await.unwrap();
    world.desk.revoke(grant, None).await.unwrap();
    assert!(debit(&world, grant, need()).await.is_none());
    world.desk.give_back(grant, STATEMENT, Amount::of(5, 5));
    assert!(world.desk.grants().is_empty());
    assert_eq!(world.count(|event| matches!(event, Event::GrantCredited(_))), 0);
    let world = World::new().await;
    let grant = granted(&world).await;
    world.clock.advance(Duration::from_secs(900));
    assert!(debit(&world, grant, need()).await.is_none());
}

#[tokio::test]
async fn what_runs_by_a_grant_hears_at_once_that_it_was_taken_back_by_itself_or_with_its_person() {
    for with_person in [false, true] {
        let world = World::new().await;
        let grant = granted(&world).await;
        let block = debit(&world, grant, need()).await.unwrap();
        assert!(block.in_force.is());
        if with_person {
            // After they have lost a group, a factor or their place here.
            world.desk.revoke_person(&name("dana"), None).await.unwrap();
        } else {
            world.desk.revoke(grant, None).await.unwrap();
        }
        assert!(!block.in_force.is(), "{with_person}");
    }
}

#[tokio::test]
async fn a_grant_without_a_limit_is_never_debited_and_covers_nothing_limited() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let end = world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let block = debit(&world, end.grant.unwrap(), need()).await.unwrap();
    assert!(block.limit.is_none() && block.debited.is_none());
    assert!(world.covers("dana") && !covers(&world));
}

#[tokio::test]
async fn two_sessions_never_get_the_same_row_of_a_budget() {
    let world = World::new().await;
    let grant = granted(&world).await;
    let debits = (0..40).map(|_| {
        let desk = world.desk.clone();
        tokio::spawn(async move { desk.debit(grant, STATEMENT, &need()).await.unwrap() })
    });
    let mut rows = 0;
    for debit in debits.collect::<Vec<_>>() {
        rows += debit.await.unwrap().map_or(0, |block| block.limit.rows.unwrap());
    }
    assert_eq!((rows, left(&world)), (1_000, (Some(0), Some(0))));
}

#[tokio::test]
async fn a_grant_for_more_at_a_time_does_not_lift_a_smaller_limit() {
    let world = World::new().await;
    granted(&world).await;
    let mut ask = world.step_up("dana", 9);
    ask.limit = limit(Some(10), Some(8_000));
    let mut wanted = Wanted::from(&ask);
    assert!(world.desk.covering_grant(&wanted).is_some() && world.desk.grant_for_more(&wanted).is_none());
    wanted.limit = limit(Some(1_000), Some(8_000));
    assert!(world.desk.grant_for_more(&wanted).is_some());
}

#[tokio::test]
async fn subjects_are_debited_with_rows_and_over_a_kill() {
    let world = World::new().await;
    let mut ask = world.step_up("dana", 1);
    ask.limit = Limit { subjects: Some(16), ..limit(Some(1_000), None) };
    let waiting = world.ask(ask).await;
    let end = world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let grant = end.grant.unwrap();
    let one = Need { has: Limit::NOTHING, next: Amount { rows: 1, bytes: 9, subjects: 1 }, ..need() };
    let block = debit(&world, grant, one).await.unwrap();
    assert_eq!(block.limit, Limit { subjects: Some(2), ..limit(Some(125), None) });
    let three = Need { next: Amount { subjects: 3, ..one.next }, ..one };
    assert_eq!(debit(&world, grant, three).await.unwrap().limit.subjects, Some(3));
    world.desk.give_back(grant, STATEMENT, Amount { subjects: 1, ..Amount::NOTHING });
    let left = |world: &World| world.desk.grants().first().map(|grant| grant.subjects_left).unwrap();
    assert_eq!(left(&world), Some(12));
    let last = Need { next: Amount { subjects: 13, ..one.next }, ..one };
    assert!(debit(&world, grant, last).await.is_none());
    // What is noted follows what was appended after it.
    debit(&world, grant, one).await.unwrap();
    assert_eq!((left(&world), left(&world.killed())), (Some(10), Some(10)));
}
