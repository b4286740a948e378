//! Requests ahead of time, for services.

use stepgate_approval::{Ahead, Refusal};

use super::*;
use crate::{DeskError, VerifyError};

const SQL: &str = "select id, ssn from customers where id = $1";

fn ahead(world: &World, by: &str, sql: &[&str]) -> Ask {
    let keys = sql.iter().map(|sql| world.desk.statement_key(&name("etl"), "shop", &[], sql.as_bytes()));
    let until = world.clock.now().plus(Duration::from_secs(30 * 24 * 3600));
    Ask {
        mode: Mode::Ahead,
        limit: Limit::of(Some(100), None),
        ahead: Some(Ahead { by: name(by), until, statements: keys.collect() }),
        ..world.approval("etl", 1, 1)
    }
}

/// What the service's statement wants, weeks later, from elsewhere.
fn wanted(world: &World, sql: &str) -> Wanted {
    meaning(world, sql, &[])
}

/// The same, where its names stand for that.
fn meaning(world: &World, sql: &str, meaning: &[String]) -> Wanted {
    let has = world.desk.has_ahead(&name("etl"));
    let key = has.then(|| world.desk.statement_key(&name("etl"), "shop", meaning, sql.as_bytes()));
    let later = Ask { address: ELSEWHERE, client: "airflow".to_owned(), ..world.approval("etl", 9, 1) };
    Wanted { key, limit: Limit::of(Some(100), None), ..Wanted::from(&later) }
}

#[tokio::test]
async fn what_was_approved_ahead_passes_until_then_over_restarts_and_nothing_else_does() {
    let world = World::new().await;
    let opened = world.desk.open_ahead(ahead(&world, "dana", &[SQL]), held(SQL)).await.unwrap();
    // The same once more is the same request, and nobody need wait for it.
    let again = world.desk.open_ahead(ahead(&world, "dana", &[SQL]), held(SQL)).await.unwrap();
    assert_eq!(again.request, opened.request);
    world.desk.expire_due().await.unwrap();
    assert!(world.desk.covering_grant(&wanted(&world, SQL)).is_none());
    // Neither who opened it nor the service approves it.
    let refused = world.desk.vote(opened.request, &name("dana"), &world.code("dana"), true, None, HOME).await;
    assert_eq!(refused.unwrap_err(), VerifyError::Refused(Refusal::NotEligible));
    let code = world.code("omar");
    let progress = world.desk.vote(opened.request, &name("omar"), &code, true, None, HOME).await.unwrap();
    assert!(progress.ended.unwrap().grant.is_some());
    let world = world.killed();
    world.clock.advance(Duration::from_secs(20 * 24 * 3600));
    for same in [SQL, &format!("{SQL};"), &format!(" {SQL} ;\n")] {
        assert!(world.desk.covering_grant(&wanted(&world, same)).is_some(), "{same}");
    }
    for other in ["select id, ssn from customers", &format!("{SQL} or true"), &SQL.to_uppercase()] {
        assert!(world.desk.covering_grant(&wanted(&world, other)).is_none(), "{other}");
    }
    let elsewhere = meaning(&world, SQL, &["archive.customers".to_owned()]);
    assert!(world.desk.covering_grant(&elsewhere).is_none(), "another search path");
    let people = Wanted { person: name("dana"), ..wanted(&world, SQL) };
    assert!(world.desk.covering_grant(&people).is_none());
    let listed = world.desk.grants();
    assert_eq!((listed.len(), listed[0].statements, listed[0].rows_left), (1, Some(1), Some(100)));
    world.clock.advance(Duration::from_secs(10 * 24 * 3600));
    assert!(world.desk.covering_grant(&wanted(&world, SQL)).is_none());
}

#[tokio::test]
async fn only_a_person_opens_one_and_only_for_a_service_that_others_answer_for() {
    let world = World::new().await;
    let alter: [fn(&mut Ask); 5] = [
        |ask| ask.person = "eve".parse().unwrap(),
        |ask| ask.ahead.as_mut().unwrap().by = "etl".parse().unwrap(),
        |ask| ask.ahead.as_mut().unwrap().statements.clear(),
        |ask| ask.ahead.as_mut().unwrap().until = ask.opened,
        |ask| ask.terms.itself = true,
    ];
    for (number, alter) in alter.into_iter().enumerate() {
        let mut ask = ahead(&world, "dana", &[SQL]);
        alter(&mut ask);
        let refused = world.desk.open_ahead(ask, held(SQL)).await;
        assert!(matches!(refused, Err(DeskError::Unanswerable(_))), "{number}: {refused:?}");
    }
    // Who opens many is as limited as who sends many.
    for number in 0..3 {
        let sql = format!("select {number}");
        world.desk.open_ahead(ahead(&world, "dana", &[&sql]), held(&sql)).await.unwrap();
    }
    let fourth = world.desk.open_ahead(ahead(&world, "dana", &[SQL]), held(SQL)).await;
    assert_eq!(fourth.unwrap_err(), DeskError::TooManyOfPerson(3));
    let open = world.desk.requests();
    world.desk.cancel_request(open[0].request, &name("dana")).await.unwrap();
    assert!(world.desk.open_ahead(ahead(&world, "dana", &[SQL]), held(SQL)).await.is_ok());
}

#[tokio::test]
async fn not_me_to_what_was_opened_ahead_in_ones_name_raises_the_alarm_though_no_session_waits_for_it() {
    let world = World::new().await;
    let ended = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&ended);
    world.desk.on_disowned(Box::new(move |session| seen.lock().unwrap().push(session)));
    let opened = world.desk.open_ahead(ahead(&world, "dana", &[SQL]), held(SQL)).await.unwrap();
    // Who may answer it has not made it, and cannot disown it.
    let other = world.desk.disown(opened.request, &name("omar")).await;
    assert_eq!(other.unwrap_err(), DeskError::Unknown);
    world.desk.disown(opened.request, &name("dana")).await.unwrap();
    let alarmed = |event: &Event| matches!(event, Event::AlarmRaised { what, .. } if what == "not-me");
    for world in [&world, &world.killed()] {
        assert_eq!((world.count(alarmed), world.ends()), (1, vec!["denied"]));
        let late =
            world.desk.vote(opened.request, &name("omar"), &world.code("omar"), true, None, HOME).await;
        assert_eq!(late.unwrap_err(), VerifyError::Desk(DeskError::Ended(stepgate_record::Outcome::Denied)));
        assert!(world.desk.covering_grant(&wanted(world, SQL)).is_none());
    }
    // The service's sessions run on: they have asked nothing.
    assert!(ended.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_wish_that_differs_in_anything_is_a_request_of_its_own_and_nobody_is_given_anothers() {
    let world = World::new().await;
    world.desk.set_caps(crate::Caps { open: 20, ..crate::Caps::default() });
    let first = ahead(&world, "dana", &[SQL]);
    let until = first.ahead.as_ref().unwrap().until;
    let first = world.desk.open_ahead(first, held(SQL)).await.unwrap();
    world.next_step();
    // At another time, until the same.
    let wish = || {
        let mut ask = ahead(&world, "dana", &[SQL]);
        ask.ahead.as_mut().unwrap().until = until;
        ask
    };
    let again = world.desk.open_ahead(wish(), held(SQL)).await.unwrap();
    assert_eq!(again.request, first.request);
    let alter: [fn(&mut Ask); 8] = [
        |ask| ask.limit = Limit::of(Some(5), None),
        |ask| ask.limit = Limit::of(Some(100), Some(5)),
        |ask| ask.limit = Limit::NONE,
        |ask| ask.ahead.as_mut().unwrap().until = ask.opened.plus(Duration::from_secs(3600)),
        |ask| ask.ahead.as_mut().unwrap().by = "eve".parse().unwrap(),
        |ask| ask.terms.count = 2,
        |ask| ask.policy_sha256 = "cd".repeat(32),
        |ask| ask.summary.push_str(" Since then it reads more."),
    ];
    let mut requests = BTreeSet::from([first.request]);
    for (number, alter) in alter.into_iter().enumerate() {
        let mut ask = wish();
        alter(&mut ask);
        let (by, limit) = (ask.asker().clone(), ask.limit);
        let opened = world.desk.open_ahead(ask, held(SQL)).await.unwrap();
        assert!(requests.insert(opened.request), "{number}");
        // Who opened it sees it, with its own terms, and says why.
        world.desk.comment(opened.request, &by, "5 rows, one hour").await.unwrap();
        assert_eq!(world.desk.show(opened.request, &by).unwrap().limit, limit);
    }
    assert!(world.desk.show(first.request, &name("omar")).unwrap().comments.is_empty());
    // One that is over is none that could be approved.
    world.clock.advance(Duration::from_secs(300));
    let late = world.desk.open_ahead(wish(), held(SQL)).await.unwrap();
    assert!(requests.insert(late.request));
}

#[tokio::test]
async fn who_has_asked_for_the_same_does_not_approve_it_as_anothers() {
    let world = World::new().await;
    let opened = world.desk.open_ahead(ahead(&world, "dana", &[SQL]), held(SQL)).await.unwrap().request;
    let mut two = ahead(&world, "eve", &[SQL, "select 1"]);
    two.terms.count = 2;
    let of_two = world.desk.open_ahead(two, held(SQL)).await.unwrap().request;
    world.desk.vote(of_two, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    world.next_step();
    // Omar wishes for some of it, too, and has lent his right.
    let loan = crate::Loan {
        to: name("newt"),
        groups: groups(&["data-owners"]).into_iter().collect(),
        from_us: world.clock.now().micros(),
        until_us: world.clock.now().plus(Duration::from_secs(3600)).micros(),
    };
    world.people.lend(&name("omar"), loan, None).await.unwrap();
    let own = world.desk.open_ahead(ahead(&world, "omar", &[SQL]), held(SQL)).await.unwrap().request;
    for (who, approve) in [("omar", true), ("omar", false), ("newt", true)] {
        let code = if who == "omar" { world.code(who) } else { "123456".to_owned() };
        let refused = world.desk.vote(opened, &name(who), &code, approve, None, HOME).await;
        assert_eq!(refused.unwrap_err(), VerifyError::Refused(Refusal::NotEligible), "{who}");
    }
    let method = stepgate_approval::Method::Totp;
    let challenged = world.desk.challenge(opened, &name("omar"), method, true, HOME.into()).await;
    assert_eq!(challenged.unwrap_err(), VerifyError::Desk(DeskError::Unknown));
    // Nor does what he has said of eve's before he wished for it himself.
    let vote = world.desk.vote(of_two, &name("amir"), &world.code("amir"), true, None, HOME).await.unwrap();
    assert_eq!((vote.ended, vote.approvals), (None, 1));
    world.next_step();
    // Of what else is asked he says what he likes, and once he does not wish for it any more also of that.
    let other = world.desk.open_ahead(ahead(&world, "dana", &["select 2"]), held("select 2")).await.unwrap();
    let vote =
        world.desk.vote(other.request, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    assert!(vote.ended.is_some());
    world.next_step();
    world.desk.cancel_request(own, &name("omar")).await.unwrap();
    assert!(world.desk.vote(opened, &name("omar"), &world.code("omar"), true, None, HOME).await.is_ok());
}
