//! Rights that people lend each other, comments, and escalation.

use stepgate_approval::{Escalate, Refusal};
use stepgate_types::Timestamp;

use super::*;
use crate::{DeskError, Loan, PersonError, VerifyError};

fn loan(to: &str, from: Timestamp, until: Timestamp) -> Loan {
    Loan {
        to: name(to),
        groups: groups(&["data-owners"]).into_iter().collect(),
        from_us: from.micros(),
        until_us: until.micros(),
    }
}

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_delegate_answers_within_the_dates_and_goes_with_the_group_of_who_lent_it() {
    let world = World::new().await;
    let now = world.clock.now();
    let later = loan("eve", now.plus(HOUR), now.plus(HOUR * 2));
    world.people.lend(&name("omar"), later, None).await.unwrap();
    let answer = async |world: &World, request| {
        world.desk.vote(request, &name("eve"), &world.code("eve"), true, None, HOME).await
    };
    let early = world.ask(world.approval("dana", 1, 1)).await;
    let refused = answer(&world, early.request).await;
    assert_eq!(refused.unwrap_err(), VerifyError::Refused(Refusal::NotEligible));
    world.clock.advance(HOUR);
    // It is on disk, with a record that names both, and what is removed with its owner's group counts no more.
    let world = world.killed();
    let delegated = world.count(|event| {
        matches!(event, Event::Delegated(lent)
        if lent.person.name() == Some("omar") && lent.to.name() == Some("eve"))
    });
    assert_eq!(delegated, 1);
    let within = world.ask(world.approval("dana", 2, 1)).await;
    let info = world.desk.request(within.request).unwrap();
    assert!(world.desk.answers(&name("eve"), &info) && !world.desk.answers(&name("newt"), &info));
    world.people.set_groups(&name("omar"), groups(&["analysts"]), None).await.unwrap();
    assert_eq!(answer(&world, within.request).await.unwrap_err(), VerifyError::Refused(Refusal::NotEligible));
    world.people.set_groups(&name("omar"), groups(&["data-owners"]), None).await.unwrap();
    assert!(answer(&world, within.request).await.unwrap().ended.is_some());
    world.clock.advance(HOUR);
    let late = world.ask(world.approval("dana", 3, 1)).await;
    assert_eq!(answer(&world, late.request).await.unwrap_err(), VerifyError::Refused(Refusal::NotEligible));
}

#[tokio::test]
async fn a_right_is_not_lent_by_who_asks_nor_twice_nor_by_who_has_none() {
    let world = World::new().await;
    let (now, until) = (world.clock.now(), world.clock.now().plus(HOUR));
    for (by, bad) in [
        ("dana", loan("eve", now, until)),
        ("omar", loan("omar", now, until)),
        ("omar", loan("etl", now, until)),
        ("omar", loan("eve", until, now)),
        ("omar", loan("eve", now, now.plus(Duration::from_secs(91 * 24 * 3600)))),
    ] {
        let refused = world.people.lend(&name(by), bad, None).await;
        assert!(matches!(refused, Err(PersonError::Loan(_))), "{refused:?}");
    }
    world.people.lend(&name("omar"), loan("eve", now, until), None).await.unwrap();
    // Omar asks: eve has no say by his right.
    let own = world.ask(world.approval("omar", 1, 1)).await;
    let by = |world: &World, who: &str| (name(who), world.code(who));
    let (eve, code) = by(&world, "eve");
    let refused = world.desk.vote(own.request, &eve, &code, true, None, HOME).await;
    assert_eq!(refused.unwrap_err(), VerifyError::Refused(Refusal::NotEligible));
    // Dana asks two: omar and eve by omar's right are one.
    let two = world.ask(world.approval("dana", 2, 2)).await;
    let progress = world.desk.vote(two.request, &eve, &code, true, None, HOME).await.unwrap();
    assert_eq!((progress.ended, progress.approvals), (None, 1));
    let (omar, code) = by(&world, "omar");
    let refused = world.desk.vote(two.request, &omar, &code, true, None, HOME).await;
    assert_eq!(refused.unwrap_err(), VerifyError::Refused(Refusal::RightUsed));
    let (amir, code) = by(&world, "amir");
    assert!(world.desk.vote(two.request, &amir, &code, true, None, HOME).await.unwrap().ended.is_some());
    // It goes with who has it, and comes back with nobody of that name.
    world.people.remove(&eve, None).await.unwrap();
    assert!(world.people.get(&omar).unwrap().loans.is_empty());
}

#[tokio::test]
async fn an_unanswered_request_goes_to_more_people_and_says_so_first() {
    let world = World::new().await;
    let mut ask = world.approval("dana", 1, 1);
    ask.terms.groups = groups(&["night-shift"]).into_iter().collect();
    let to = groups(&["data-owners"]).into_iter().collect();
    ask.terms.escalate = Some(Escalate { after: Duration::from_secs(60), to });
    let waiting = world.ask(ask).await;
    world.desk.expire_due().await.unwrap();
    let code = world.code("omar");
    let early = world.desk.vote(waiting.request, &name("omar"), &code, true, None, HOME).await;
    assert_eq!(early.unwrap_err(), VerifyError::Refused(Refusal::NotEligible));
    world.clock.advance(Duration::from_secs(60));
    world.desk.expire_due().await.unwrap();
    world.desk.expire_due().await.unwrap();
    assert_eq!(world.count(|event| matches!(event, Event::StepupEscalated { .. })), 1);
    assert_eq!(world.desk.request(waiting.request).unwrap().groups, groups(&["data-owners", "night-shift"]));
    let code = world.code("omar");
    let progress = world.desk.vote(waiting.request, &name("omar"), &code, true, None, HOME).await.unwrap();
    assert!(progress.ended.is_some());
}

#[tokio::test]
async fn comments_are_seen_by_both_sides_harmless_bounded_and_in_records_as_commitments() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 1, 1)).await;
    let said = "for the audit of J\u{202E}ohn Smith";
    world.desk.comment(waiting.request, &name("dana"), said).await.unwrap();
    world.desk.comment(waiting.request, &name("omar"), "which customers?").await.unwrap();
    assert_eq!(world.desk.comment(waiting.request, &name("eve"), "me too").await, Err(DeskError::Unknown));
    for viewer in ["dana", "omar"] {
        let shown = world.desk.show(waiting.request, &name(viewer)).unwrap();
        let texts: Vec<_> = shown.comments.iter().map(|comment| comment.text.as_str()).collect();
        assert_eq!(texts, ["for the audit of J\\u{202E}ohn Smith", "which customers?"]);
    }
    let recorded = world.recorded();
    let plain = |event: &Event| serde_json::to_string(event).unwrap().contains("Smith");
    assert!(recorded.iter().any(|event| matches!(event, Event::StepupCommented { .. })));
    assert!(!recorded.iter().any(plain));
    for _ in 0..30 {
        world.desk.comment(waiting.request, &name("dana"), "please").await.unwrap();
    }
    let one_more = world.desk.comment(waiting.request, &name("omar"), "no").await;
    assert_eq!(one_more, Err(DeskError::TooManyComments));
    for bad in ["", " ", &"x".repeat(1001)] {
        assert_eq!(world.desk.comment(waiting.request, &name("dana"), bad).await, Err(DeskError::Comment));
    }
}

#[tokio::test]
async fn who_answers_sees_what_became_of_the_requesters_earlier_requests() {
    let world = World::new().await;
    for (number, approve) in [(1, true), (2, false), (3, true)] {
        let waiting = world.ask(world.approval("dana", number, 1)).await;
        let code = world.code("omar");
        world.desk.vote(waiting.request, &name("omar"), &code, approve, None, HOME).await.unwrap();
        world.next_step();
    }
    let own = world.ask(world.step_up("dana", 4)).await;
    world.desk.verify(own.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    // Over a restart, from the log.
    let world = world.killed();
    let waiting = world.ask(world.approval("dana", 5, 1)).await;
    let history = world.desk.show(waiting.request, &name("omar")).unwrap().history;
    assert_eq!((history.approved, history.denied), (3, 1));
    assert_eq!((history.similar, history.similar_approved), (3, 2));
    world.clock.advance(Duration::from_secs(31 * 24 * 3600));
    let waiting = world.ask(world.approval("dana", 6, 1)).await;
    let history = world.desk.show(waiting.request, &name("omar")).unwrap().history;
    assert_eq!((history.approved, history.similar), (0, 0));
}
