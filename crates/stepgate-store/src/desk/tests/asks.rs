use super::*;
use crate::{DeskError, VerifyError};

#[tokio::test]
async fn a_request_is_on_disk_before_anybody_waits() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let recorded = world.count(|event| {
        matches!(event, Event::StepupRequested(asked)
            if asked.request == waiting.request && asked.canonical_sha256 == waiting.canonical_sha256)
    });
    assert_eq!(recorded, 1);
    assert!(!waiting.joined);
    assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
}

#[tokio::test]
async fn a_dashboard_of_thirty_tiles_asks_once() {
    let world = World::new().await;
    let first = world.ask(world.step_up("dana", 1)).await;
    let mut tiles = Vec::new();
    for number in 2..=30 {
        let tile = world.ask(world.step_up("dana", number)).await;
        assert!(tile.joined);
        assert_eq!(tile.request, first.request);
        tiles.push(tile);
    }
    let end = world.desk.verify(first.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    assert!(end.grant.is_some());
    for tile in tiles {
        assert_eq!(tile.ended.await.unwrap(), end);
    }
    assert_eq!(world.count(|event| matches!(event, Event::StepupRequested(_))), 1);
    assert_eq!(world.count(|event| matches!(event, Event::StepupJoined { .. })), 29);
}

#[tokio::test]
async fn nothing_joins_what_its_grant_would_not_cover() {
    let world = World::new().await;
    let first = world.ask(world.step_up("dana", 1)).await;
    let alter: [fn(&mut Ask); 8] = [
        |ask| ask.terms.reason_required = true,
        |ask| ask.person = "eve".parse().unwrap(),
        |ask| ask.database = "hr".to_owned(),
        |ask| ask.client = "dump".to_owned(),
        |ask| ask.relations = BTreeSet::from([RelationName::new("hr", "employees")]),
        |ask| ask.exactly_known = false,
        |ask| ask.has_sink = true,
        |ask| ask.terms.remember = None,
    ];
    for (number, alter) in (2..).zip(alter) {
        let mut other = world.step_up("dana", number);
        alter(&mut other);
        let waiting = world.ask(other).await;
        assert!(!waiting.joined, "alteration {number}");
        assert_ne!(waiting.request, first.request);
        world
            .desk
            .withdraw(
                waiting.request,
                StatementId { session: SessionId::from_bytes([u8::try_from(number).unwrap(); 16]), number },
            )
            .await
            .unwrap();
    }
}

/// Somebody who has stolen a password sends what its owner sends as well, from elsewhere: whichever is first, what the owner
/// verifies is their own.
#[tokio::test]
async fn what_is_sent_from_elsewhere_is_never_let_through_by_what_its_person_verifies() {
    let sql = "copy customers to stdout";
    type Alteration = fn(&mut Ask);
    let elsewhere: Alteration = |ask| ask.address = ELSEWHERE;
    let as_another: Alteration = |ask| ask.client = "exfil".to_owned();
    let alter: [Alteration; 6] = [
        |_| {},
        // What would be a pass: nothing is remembered of what is not exactly known, or stores what it reads.
        |ask| ask.exactly_known = false,
        |ask| ask.has_sink = true,
        |ask| ask.terms.remember = None,
        |ask| ask.terms.scope = Scope { client: false, network: false, session: true, labels: false },
        |ask| *ask = Ask { mode: Mode::Hold, ..ask.clone() },
    ];
    for (number, alter) in (1..).zip(alter) {
        for theirs in [elsewhere, as_another] {
            for thief_first in [true, false] {
                let world = World::new().await;
                let ask = |at, theirs: Option<Alteration>| {
                    let mut ask = Ask { mode: Mode::HoldThenDefer, ..world.step_up("dana", at) };
                    alter(&mut ask);
                    theirs.into_iter().for_each(|theirs| theirs(&mut ask));
                    ask
                };
                let places = if thief_first { [Some(theirs), None] } else { [None, Some(theirs)] };
                let mut asked = Vec::new();
                for (at, place) in (1..).zip(places) {
                    asked.push(world.desk.ask(ask(at, place), held(sql)).await.unwrap());
                }
                let second = asked.pop().unwrap();
                assert!(!second.joined && second.request != asked[0].request, "alteration {number}");
                let own = if thief_first { second.request } else { asked[0].request };
                world.desk.verify(own, &name("dana"), &world.code("dana"), HOME).await.unwrap();
                let wanted = Wanted::from(&ask(3, Some(theirs)));
                let passes = world.desk.pass_for(&wanted, "analyst", &held(sql));
                assert_eq!((world.desk.covering_grant(&wanted), passes), (None, None), "alteration {number}");
            }
        }
    }
}

#[tokio::test]
async fn who_joins_is_told_of_whom_and_who_verifies_sees_from_where_all_of_them_wait() {
    let world = World::new().await;
    let anywhere = |number| {
        let mut ask = world.step_up("dana", number);
        ask.terms.scope = Scope { client: false, network: false, session: false, labels: false };
        ask
    };
    let first =
        world.ask(Ask { address: ELSEWHERE, client: "exfil\u{202e}".to_owned(), ..anywhere(1) }).await;
    assert_eq!((first.joined, first.sessions), (false, 1));
    let second = world.ask(anywhere(2)).await;
    assert_eq!((second.joined, second.opened_from, second.sessions), (true, ELSEWHERE, 2));
    let third = world.ask(anywhere(3)).await;
    assert_eq!((third.opened_from, third.sessions), (ELSEWHERE, 3));
    let waits = world.desk.show(first.request, &name("dana")).unwrap().waits;
    let waits: Vec<_> = waits.iter().map(|it| (&*it.address, &*it.client, it.sessions)).collect();
    assert_eq!(waits, [("192.0.2.7", "psql", 2), ("198.51.100.66", "exfil\\u{202E}", 1)]);
    // Who has gone does not wait.
    drop(first);
    assert_eq!(world.desk.show(second.request, &name("dana")).unwrap().waits.len(), 1);
}

#[tokio::test]
async fn an_approval_that_counts_once_is_never_shared() {
    let world = World::new().await;
    let first = world.ask(world.approval("dana", 1, 1)).await;
    let second = world.ask(world.approval("dana", 2, 1)).await;
    assert_ne!(first.request, second.request);
}

#[tokio::test]
async fn a_taken_id_is_given_to_nobody_else() {
    let world = World::new().await;
    let first = world.ask(world.step_up("dana", 1)).await;
    let mut other = world.step_up("eve", 2);
    other.id = first.request;
    let second = world.ask(other).await;
    assert_ne!(second.request, first.request);
    assert_eq!(world.desk.request(first.request).unwrap().person, name("dana"));
    // Nor is that of one that has ended.
    world.desk.verify(first.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let mut third = world.step_up("eve", 3);
    third.id = first.request;
    third.client = "pgcli".to_owned();
    assert_ne!(world.ask(third).await.request, first.request);
}

#[tokio::test]
async fn one_persons_large_statements_leave_room_for_everybody_elses() {
    let world = World::new().await;
    let large = || held(&"x".repeat(30 << 20));
    let _first = world.desk.ask(world.approval("dana", 1, 1), large()).await.unwrap();
    let second = world.desk.ask(world.approval("dana", 2, 1), large()).await;
    assert_eq!(second.unwrap_err(), DeskError::Full);
    assert!(world.desk.ask(world.approval("eve", 3, 1), large()).await.is_ok());
}

#[tokio::test]
async fn what_nobody_could_answer_is_refused_at_once() {
    let world = World::new().await;
    let alter: [fn(&mut Ask); 5] = [
        |ask| ask.person = "etl".parse().unwrap(),
        |ask| ask.person = "nobody".parse().unwrap(),
        |ask| ask.terms.itself = false,
        |ask| ask.expires = ask.opened,
        |ask| ask.action = Action::Deny,
    ];
    for alter in alter {
        let mut ask = world.step_up("dana", 1);
        alter(&mut ask);
        let refused = world.desk.ask(ask, held("select 1")).await;
        assert!(matches!(refused, Err(DeskError::Unanswerable(_))), "{refused:?}");
    }
    assert!(world.desk.requests().is_empty());
}

#[tokio::test]
async fn without_a_log_nothing_is_asked_and_nothing_approved() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.log.close().unwrap();
    assert!(matches!(
        world.desk.ask(world.step_up("eve", 2), held("select 2")).await,
        Err(DeskError::Log(_))
    ));
    let code = world.code("dana");
    let verified = world.desk.verify(waiting.request, &name("dana"), &code, HOME).await;
    assert!(matches!(verified, Err(VerifyError::Desk(DeskError::Log(_)))), "{verified:?}");
    assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
    assert!(!world.covers("dana"));
}
