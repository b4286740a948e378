//! Request bombing: nobody is worn down, and nobody is locked out by what others do in their name.

use std::sync::Mutex;

use super::*;
use crate::{Caps, DeskError};

/// An approval by others of a statement of its own that could be sent again.
fn deferrable(world: &World, person: &str, number: u64) -> Ask {
    Ask { mode: Mode::HoldThenDefer, ..world.approval(person, number, 1) }
}

#[tokio::test]
async fn a_hundred_requests_at_once_are_three_and_those_of_somebody_else_are_not_counted() {
    let world = World::new().await;
    let mut waiting = Vec::new();
    let mut refused = 0;
    for number in 1..=100 {
        match world.desk.ask(world.approval("dana", number, 1), held(&format!("select {number}"))).await {
            Ok(one) => waiting.push(one),
            Err(error) => {
                assert_eq!(error, DeskError::TooManyOfPerson(3));
                refused += 1;
            }
        }
    }
    assert_eq!((waiting.len(), refused), (3, 97));
    assert!(world.desk.ask(world.approval("eve", 101, 1), held("select 101")).await.is_ok());
    assert_eq!(world.count(|event| matches!(event, Event::StepupRequested(_))), 4);
    world.desk.set_caps(Caps { open: 4, ..Caps::default() });
    assert!(world.desk.ask(world.approval("dana", 102, 1), held("select 102")).await.is_ok());
}

#[tokio::test]
async fn what_a_stolen_password_asks_from_elsewhere_uses_up_nothing_of_its_owners() {
    let world = World::new().await;
    world.desk.prove(&name("dana"), &world.code("dana"), HOME).await.unwrap();
    let elsewhere = |number| Ask { address: ELSEWHERE, ..world.approval("dana", number, 1) };
    for number in 1..=10 {
        let asked = world.desk.ask(elsewhere(number), held(&format!("select {number}"))).await;
        assert_eq!(asked.is_ok(), number <= 3, "{number}");
    }
    for number in 11..=20 {
        let asked =
            world.desk.ask(world.approval("dana", number, 1), held(&format!("select {number}"))).await;
        assert_eq!(asked.is_ok(), number <= 13, "{number}");
    }
}

#[tokio::test]
async fn a_hundred_identical_requests_are_one_and_its_approval_releases_one_execution() {
    let world = World::new().await;
    let first = world.desk.ask(deferrable(&world, "dana", 1), held("select 1")).await.unwrap();
    let mut others = Vec::new();
    for number in 2..=100 {
        let other = world.desk.ask(deferrable(&world, "dana", number), held("select 1")).await.unwrap();
        assert!(other.joined);
        assert_eq!(other.request, first.request);
        others.push(other);
    }
    assert_eq!(world.count(|event| matches!(event, Event::StepupRequested(_))), 1);
    let code = world.code("omar");
    let progress = world.desk.vote(first.request, &name("omar"), &code, true, None, HOME).await.unwrap();
    let end = progress.ended.unwrap();
    // Who asked first runs by the approval; for the others it made nothing.
    assert_eq!((end.grant, end.pass), (None, None));
    assert_eq!(first.ended.await.unwrap(), end);
    for other in others {
        assert_eq!(other.ended.await.unwrap(), end);
    }
    assert!(world.desk.grants().is_empty());
}

#[tokio::test]
async fn where_the_first_of_several_identical_ones_has_gone_one_of_the_others_runs() {
    let world = World::new().await;
    let first = world.desk.ask(deferrable(&world, "dana", 1), held("select 1")).await.unwrap();
    let second = world.desk.ask(deferrable(&world, "dana", 2), held("select 1")).await.unwrap();
    let statement = StatementId { session: SessionId::from_bytes([1; 16]), number: 1 };
    world.desk.cancel(first.request, statement).await.unwrap();
    let code = world.code("omar");
    world.desk.vote(first.request, &name("omar"), &code, true, None, HOME).await.unwrap();
    let end = second.ended.await.unwrap();
    assert!(end.pass.is_some());
    let wanted = Wanted::from(&deferrable(&world, "dana", 2));
    let (pass, request) = world.desk.pass_for(&wanted, "analyst", &held("select 1")).unwrap();
    assert_eq!((Some(pass), request), (end.pass, first.request));
}

#[tokio::test]
async fn after_two_unanswered_requests_nothing_more_is_asked_from_there_for_a_while() {
    let world = World::new().await;
    for number in 1..=2 {
        let waiting = world.ask(world.approval("dana", number, 1)).await;
        world.clock.advance(Duration::from_secs(301));
        world.desk.expire_due().await.unwrap();
        assert_eq!(world.desk.request(waiting.request).unwrap().state, "expired");
    }
    let third = || world.desk.ask(world.approval("dana", 3, 1), held("select 3"));
    assert_eq!(third().await.unwrap_err(), DeskError::CoolingDown(300));
    // A restart does not end the pause.
    let killed = world.killed();
    let again = killed.desk.ask(killed.approval("dana", 3, 1), held("select 3")).await;
    assert_eq!(again.unwrap_err(), DeskError::CoolingDown(300));
    // Whoever asks from elsewhere, or asks somebody else, is not locked out by it.
    let elsewhere = Ask { address: ELSEWHERE, ..world.approval("dana", 4, 1) };
    let elsewhere = world.desk.ask(elsewhere, held("select 4")).await.unwrap();
    let herself = world.ask(world.step_up("dana", 5)).await;
    for (request, number) in [(elsewhere.request, 4), (herself.request, 5)] {
        let statement = StatementId { session: SessionId::from_bytes([number; 16]), number: number.into() };
        world.desk.cancel(request, statement).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(300));
    let third = third().await.unwrap();
    // An answer, be it a no, ends it.
    let code = world.code("omar");
    world.desk.vote(third.request, &name("omar"), &code, false, None, HOME).await.unwrap();
    let fourth = world.ask(world.approval("dana", 6, 1)).await;
    assert_eq!(world.desk.request(fourth.request).unwrap().state, "open");
}

#[tokio::test]
async fn who_asks_others_and_calls_off_in_a_loop_pauses_and_a_client_that_goes_away_is_the_same() {
    let world = World::new().await;
    let once = |world: &World, number| {
        let (desk, ask) = (world.desk.clone(), world.approval("dana", number, 1));
        async move {
            let statement = ask.statement;
            let waiting = desk.ask(ask, held(&format!("select {number}"))).await?;
            if number.is_multiple_of(2) {
                drop(waiting);
                desk.expire_due().await?;
            } else {
                desk.cancel(waiting.request, statement).await?;
            }
            Ok::<_, DeskError>(())
        }
    };
    for number in 1..=30 {
        once(&world, number).await.unwrap();
    }
    assert_eq!(once(&world, 31).await, Err(DeskError::CalledOff(300)));
    let opened = world.count(|event| matches!(event, Event::StepupRequested(_)));
    assert_eq!(opened, 30);
    // Nor after a restart; from elsewhere, to others, and in her own name alone it is as it was.
    let killed = world.killed();
    assert!(matches!(once(&killed, 31).await, Err(DeskError::CalledOff(_))));
    let elsewhere = Ask { address: ELSEWHERE, ..world.approval("dana", 32, 1) };
    assert!(world.desk.ask(elsewhere, held("select 32")).await.is_ok());
    assert!(world.desk.ask(world.step_up("dana", 33), held("select 33")).await.is_ok());
    assert!(world.desk.ask(world.approval("eve", 34, 1), held("select 34")).await.is_ok());
    world.clock.advance(Duration::from_secs(300));
    once(&world, 35).await.unwrap();
}

#[tokio::test]
async fn what_one_person_calls_off_has_nothing_forgotten_that_others_asked_or_that_was_denied_them() {
    let world = World::new().await;
    let mut kept = Vec::new();
    for person in ["eve", "dana"] {
        let waiting = world.ask(world.approval(person, 1, 1)).await;
        world
            .desk
            .vote(waiting.request, &name("omar"), &world.code("omar"), false, None, HOME)
            .await
            .unwrap();
        world.next_step();
        kept.push(waiting.request);
    }
    for number in 2..=240 {
        let ask = world.step_up("dana", number);
        let statement = ask.statement;
        let waiting = world.desk.ask(ask, held("select 1")).await.unwrap();
        world.desk.cancel(waiting.request, statement).await.unwrap();
    }
    for world in [&world, &world.killed()] {
        for request in &kept {
            assert_eq!(world.desk.request(*request).unwrap().state, "denied");
        }
        assert_eq!(world.desk.requests().len(), 201);
    }
}

#[tokio::test]
async fn not_me_ends_the_session_that_asked_raises_an_alarm_and_leaves_the_account_alone() {
    let world = World::new().await;
    let ended = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&ended);
    world.desk.on_disowned(Box::new(move |session| seen.lock().unwrap().push(session)));
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let tile = world.ask(world.step_up("dana", 2)).await;
    assert!(tile.joined);
    // It is hers alone to say.
    let other = world.desk.disown(waiting.request, &name("eve")).await;
    assert_eq!(other.unwrap_err(), DeskError::Unknown);
    world.desk.disown(waiting.request, &name("dana")).await.unwrap();
    assert_eq!(*ended.lock().unwrap(), [SessionId::from_bytes([1; 16]), SessionId::from_bytes([2; 16])]);
    assert_eq!(waiting.ended.await.unwrap().outcome.as_str(), "denied");
    let alarms = world.count(|event| matches!(event, Event::AlarmRaised { what, .. } if what == "not-me"));
    assert_eq!((alarms, world.ends()), (2, vec!["denied"]));
    let again = world.desk.disown(waiting.request, &name("dana")).await;
    assert!(matches!(again, Err(DeskError::Ended(_))));
    // She goes on working.
    let next = world.ask(world.step_up("dana", 3)).await;
    world.desk.verify(next.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
}
