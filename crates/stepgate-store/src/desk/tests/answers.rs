use stepgate_approval::{BadCode, Refusal};
use stepgate_record::Names as _;
use stepgate_record::Outcome;

use super::*;
use crate::{DeskError, VerifyError};

#[tokio::test]
async fn a_code_releases_the_statement_and_is_remembered_as_a_grant() {
    let world = World::new().await;
    assert!(!world.covers("dana"));
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let end = world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    assert_eq!((end.outcome, &end.by), (Outcome::Approved, &Some(name("dana"))));
    assert_eq!(waiting.ended.await.unwrap(), end);
    assert!(world.covers("dana"));
    assert!(!world.covers("eve"));
    let (grants, request) = (world.desk.grants(), world.desk.request(end.request).unwrap());
    assert_eq!((grants.len(), grants[0].relations.as_slice()), (1, &["public.customers".to_owned()][..]));
    assert_eq!(request.state, "approved");
    world.clock.advance(Duration::from_secs(900));
    assert!(!world.covers("dana"));
    assert!(world.desk.grants().is_empty());
}

#[tokio::test]
async fn all_of_an_approval_is_one_write() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let types: Vec<_> = world
        .events()
        .iter()
        .rev()
        .take(4)
        .map(|event| match event {
            Event::GrantIssued(_) => "grant",
            Event::StepupEnded { outcome: Outcome::Approved, .. } => "ended",
            Event::StepupVoted { approve: true, .. } => "voted",
            Event::FactorVerified { .. } => "factor",
            _ => "other",
        })
        .collect();
    assert_eq!(types, ["grant", "ended", "voted", "factor"]);
}

#[tokio::test]
async fn a_race_of_two_tabs_with_one_code_approves_exactly_once() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let code = world.code("dana");
    let tab = || {
        let (desk, code) = (world.desk.clone(), code.clone());
        tokio::spawn(async move { desk.verify(waiting.request, &name("dana"), &code, HOME).await })
    };
    let tabs = [tab(), tab(), tab(), tab()];
    let mut approved = 0;
    for tab in tabs {
        match tab.await.unwrap() {
            Ok(_) => approved += 1,
            Err(error) => assert_eq!(error, VerifyError::Desk(DeskError::Ended(Outcome::Approved))),
        }
    }
    assert_eq!(approved, 1);
    assert_eq!(world.ends(), ["approved"]);
    assert_eq!(world.count(|event| matches!(event, Event::GrantIssued(_))), 1);
}

#[tokio::test]
async fn one_code_is_not_good_for_two_requests() {
    let world = World::new().await;
    let first = world.ask(world.step_up("dana", 1)).await;
    let mut other = world.step_up("dana", 2);
    other.database = "hr".to_owned();
    let second = world.ask(other).await;
    let (dana, code) = (name("dana"), world.code("dana"));
    let both = tokio::join!(
        world.desk.verify(first.request, &dana, &code, HOME),
        world.desk.verify(second.request, &dana, &code, HOME),
    );
    assert!(both.0.is_ok());
    assert_eq!(both.1.unwrap_err(), VerifyError::BadCode(BadCode::Replayed));
    world.next_step();
    let code = world.code("dana");
    assert!(world.desk.verify(second.request, &name("dana"), &code, HOME).await.is_ok());
}

#[tokio::test]
async fn a_code_of_somebody_else_is_wrong_and_recorded() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let stolen = world.code("eve");
    let refused = world.desk.verify(waiting.request, &name("dana"), &stolen, HOME).await.unwrap_err();
    assert_eq!(refused, VerifyError::BadCode(BadCode::Wrong));
    let refused = world.desk.verify(waiting.request, &name("eve"), &stolen, HOME).await.unwrap_err();
    assert_eq!(refused, VerifyError::Refused(Refusal::NotEligible));
    assert_eq!(
        world.count(|event| matches!(event, Event::FactorFailed { reason, .. } if reason == "wrong")),
        1
    );
    assert!(world.ends().is_empty());
}

#[tokio::test]
async fn who_has_no_authenticator_is_told_so() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("newt", 1)).await;
    let refused = world.desk.verify(waiting.request, &name("newt"), "000000", HOME).await.unwrap_err();
    assert_eq!(refused, VerifyError::NotEnrolled);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_locks_nobody_out() {
    let world = World::new().await;
    // Dana has succeeded from home before.
    world.desk.prove(&name("dana"), &world.code("dana"), HOME).await.unwrap();
    world.next_step();
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let mut throttled = 0;
    for guess in 0..50 {
        let guess = format!("{guess:06}");
        let refused = world.desk.verify(waiting.request, &name("dana"), &guess, ELSEWHERE).await.unwrap_err();
        throttled += usize::from(matches!(refused, VerifyError::Throttled(_)));
    }
    assert_eq!(throttled, 45);
    let recorded = |why: &'static str| {
        world.count(|event| matches!(event, Event::FactorFailed { reason, .. } if reason == why))
    };
    assert_eq!((recorded("wrong"), recorded("throttled")), (5, 1));
    // Not even the right code passes from there, and the victim goes on from home.
    let code = world.code("dana");
    let refused = world.desk.verify(waiting.request, &name("dana"), &code, ELSEWHERE).await;
    assert!(matches!(refused, Err(VerifyError::Throttled(_))));
    assert!(world.desk.verify(waiting.request, &name("dana"), &code, HOME).await.is_ok());
}

#[tokio::test]
async fn a_right_code_that_is_used_again_and_again_throttles_nobody_and_is_not_answered_without_end() {
    let world = World::new().await;
    let dana = name("dana");
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let used = world.code("dana");
    world.desk.prove(&dana, &used, HOME).await.unwrap();
    let replayed = Err(VerifyError::BadCode(BadCode::Replayed));
    for source in [HOME, ELSEWHERE] {
        for _ in 0..15 {
            assert_eq!(world.desk.verify(waiting.request, &dana, &used, source).await, replayed);
        }
    }
    // Of those more there are, they are as many as there could be of guesses.
    for _ in 0..5 {
        assert_eq!(world.desk.verify(waiting.request, &dana, &used, ELSEWHERE).await, replayed);
    }
    let refused = world.desk.verify(waiting.request, &dana, &used, ELSEWHERE).await;
    assert!(matches!(refused, Err(VerifyError::Throttled(_))), "{refused:?}");
    // Neither makes room for more guesses: each counts as ever, between what was used and apart from it.
    let eve = name("eve");
    let waiting = world.ask(world.step_up("eve", 2)).await;
    let used = world.code("eve");
    world.desk.prove(&eve, &used, HOME).await.unwrap();
    for guess in 0..5 {
        assert_eq!(world.desk.verify(waiting.request, &eve, &used, ELSEWHERE).await, replayed);
        let wrong = world.desk.verify(waiting.request, &eve, &format!("{guess:06}"), ELSEWHERE).await;
        assert_eq!(wrong, Err(VerifyError::BadCode(BadCode::Wrong)));
    }
    let refused = world.desk.verify(waiting.request, &eve, &used, ELSEWHERE).await;
    assert!(matches!(refused, Err(VerifyError::Throttled(_))), "{refused:?}");
    // And the next right one passes at once, from where nobody guessed.
    world.next_step();
    assert!(world.desk.verify(waiting.request, &eve, &world.code("eve"), HOME).await.is_ok());
}

async fn vote(world: &World, request: RequestId, person: &str, approve: bool) -> Result<usize, VerifyError> {
    let code = world.code(person);
    let progress = world.desk.vote(request, &name(person), &code, approve, None, HOME).await?;
    Ok(progress.approvals)
}

#[tokio::test]
async fn two_of_a_group_approve_and_the_statement_is_released_once() {
    let world = World::new().await;
    let mut waiting = world.ask(world.approval("dana", 1, 2)).await;
    assert_eq!(vote(&world, waiting.request, "omar", true).await, Ok(1));
    assert!(waiting.ended.try_recv().is_err());
    world.next_step();
    let again = vote(&world, waiting.request, "omar", true).await;
    assert_eq!(again, Err(VerifyError::Refused(Refusal::AlreadyVoted)));
    assert_eq!(vote(&world, waiting.request, "amir", true).await, Ok(2));
    let end = waiting.ended.await.unwrap();
    assert_eq!(end.approvers, [name("amir"), name("omar")]);
    assert_eq!(end.grant, None);
    assert!(!world.covers("dana"));
}

#[tokio::test]
async fn self_approval_is_refused_by_either_way() {
    let world = World::new().await;
    world.people.set_groups(&name("dana"), groups(&["data-owners"]), None).await.unwrap();
    let waiting = world.ask(world.approval("dana", 1, 1)).await;
    let by_vote = vote(&world, waiting.request, "dana", true).await;
    assert_eq!(by_vote, Err(VerifyError::Refused(Refusal::NotEligible)));
    let code = world.code("dana");
    let by_verify = world.desk.verify(waiting.request, &name("dana"), &code, HOME).await;
    assert_eq!(by_verify, Err(VerifyError::Refused(Refusal::NotEligible)));
    // Nor does an approver's own verification stand for their vote.
    let code = world.code("omar");
    let by_other = world.desk.verify(waiting.request, &name("omar"), &code, HOME).await;
    assert_eq!(by_other, Err(VerifyError::Refused(Refusal::NotEligible)));
    assert!(world.ends().is_empty());
}

#[tokio::test]
async fn an_approver_removed_between_the_votes_no_longer_counts() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 1, 2)).await;
    assert_eq!(vote(&world, waiting.request, "omar", true).await, Ok(1));
    world.people.set_groups(&name("omar"), Vec::new(), None).await.unwrap();
    vote(&world, waiting.request, "amir", true).await.unwrap();
    assert!(world.ends().is_empty());
    world.people.set_groups(&name("eve"), groups(&["data-owners"]), None).await.unwrap();
    vote(&world, waiting.request, "eve", true).await.unwrap();
    assert_eq!(waiting.ended.await.unwrap().approvers, [name("amir"), name("eve")]);
}

#[tokio::test]
async fn one_denial_ends_it_and_its_reason_reaches_only_the_client() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 1, 2)).await;
    vote(&world, waiting.request, "omar", true).await.unwrap();
    let (code, reason) = (world.code("amir"), "use customers_masked\u{1b}[2J");
    let denied = world.desk.vote(waiting.request, &name("amir"), &code, false, Some(reason), HOME).await;
    let end = denied.unwrap().ended.unwrap();
    assert_eq!((end.outcome, &end.by), (Outcome::Denied, &Some(name("amir"))));
    assert_eq!(end.reason.as_deref(), Some("use customers_masked[2J"));
    assert_eq!(waiting.ended.await.unwrap(), end);
    let recorded = world.recorded();
    assert!(!recorded.iter().any(|event| format!("{event:?}").contains("customers_masked")));
    let reasons = recorded.iter().filter_map(|event| match event {
        Event::StepupEnded { reason: Some(reason), .. } => Some(reason),
        _ => None,
    });
    let reasons: Vec<_> = reasons.map(|it| world.log.subjects().shown(it)).collect();
    assert_eq!(reasons, ["use customers_masked\u{1b}[2J"]);
}

#[tokio::test]
async fn a_reason_is_asked_for_before_the_code_is_spent() {
    let world = World::new().await;
    let mut ask = world.approval("dana", 1, 1);
    ask.terms.reason_required = true;
    let waiting = world.ask(ask).await;
    assert_eq!(
        vote(&world, waiting.request, "omar", true).await,
        Err(VerifyError::Refused(Refusal::ReasonRequired))
    );
    let code = world.code("omar");
    let given = world.desk.vote(waiting.request, &name("omar"), &code, true, Some("ticket 4711"), HOME).await;
    assert!(given.unwrap().ended.is_some());
}

#[tokio::test]
async fn a_late_answer_finds_the_end_as_it_was() {
    let world = World::new().await;
    let cancelled = world.ask(world.approval("dana", 1, 1)).await;
    world.desk.cancel_request(cancelled.request, &name("dana")).await.unwrap();
    let denied = world.ask(world.approval("dana", 2, 1)).await;
    vote(&world, denied.request, "omar", false).await.unwrap();
    let expired = world.ask(world.approval("dana", 3, 1)).await;
    world.clock.advance(Duration::from_secs(300));
    let early = vote(&world, expired.request, "omar", true).await;
    assert_eq!(early, Err(VerifyError::Refused(Refusal::Expired)));
    world.desk.expire_due().await.unwrap();
    for (request, outcome) in [
        (cancelled.request, Outcome::Cancelled),
        (denied.request, Outcome::Denied),
        (expired.request, Outcome::Expired),
    ] {
        let late = vote(&world, request, "omar", true).await;
        assert_eq!(late, Err(VerifyError::Desk(DeskError::Ended(outcome))));
    }
    assert_eq!(world.ends(), ["cancelled", "denied", "expired"]);
}

#[tokio::test]
async fn an_answer_whose_caller_has_gone_still_counts_everywhere_or_nowhere() {
    let world = World::new().await;
    let mut waiting = world.ask(world.step_up("dana", 1)).await;
    let (person, code) = (name("dana"), world.code("dana"));
    let mut verify = Box::pin(world.desk.verify(waiting.request, &person, &code, HOME));
    // Polled once, so that it has begun; then the caller's connection breaks.
    std::future::poll_fn(|context| {
        let _ = verify.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    drop(verify);
    // Takes its turn after the answer.
    world.desk.expire_due().await.unwrap();
    assert_eq!(waiting.ended.try_recv().unwrap().outcome, Outcome::Approved);
    assert_eq!(world.ends(), ["approved"]);
}

#[tokio::test]
async fn an_approval_for_somebody_removed_meanwhile_is_refused() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("eve", 1, 1)).await;
    world.people.remove(&name("eve"), None).await.unwrap();
    let refused = vote(&world, waiting.request, "omar", true).await;
    assert!(matches!(refused, Err(VerifyError::Desk(DeskError::Unanswerable(_)))), "{refused:?}");
}

#[tokio::test]
async fn a_grant_dies_with_its_person_even_if_one_of_that_name_comes_back() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("eve", 1)).await;
    world.desk.verify(waiting.request, &name("eve"), &world.code("eve"), HOME).await.unwrap();
    assert!(world.covers("eve"));
    world.people.remove(&name("eve"), None).await.unwrap();
    assert!(!world.covers("eve"));
    world.clock.advance(Duration::from_secs(1));
    let password = "correct horse battery staple";
    let new = NewPerson { name: name("eve"), groups: Vec::new(), service: false, password };
    world.people.add(new, None).await.unwrap();
    assert!(!world.covers("eve"));
    assert!(!world.killed().covers("eve"));
}

#[tokio::test]
async fn a_clients_name_that_could_hold_anything_is_not_recorded() {
    let world = World::new().await;
    let mut ask = world.step_up("dana", 1);
    ask.client = "ssn '078-05-1120'".to_owned();
    let wanted = Wanted::from(&ask);
    let waiting = world.ask(ask).await;
    world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    assert_eq!(world.count(|event| format!("{event:?}").contains("078-05")), 0);
    assert!(world.desk.covering_grant(&wanted).is_some());
    assert!(world.killed().desk.covering_grant(&wanted).is_some());
    assert!(!world.covers("dana"));
}
