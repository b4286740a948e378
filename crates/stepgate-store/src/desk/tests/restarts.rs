use stepgate_approval::BadCode;
use stepgate_record::{Outcome, Statement};
use stepgate_types::Certainty;

use super::*;
use crate::{DeskError, VerifyError};

#[tokio::test]
async fn a_code_used_before_the_kill_is_refused_after_it() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let code = world.code("dana");
    world.desk.verify(waiting.request, &name("dana"), &code, HOME).await.unwrap();
    let reopened = world.killed();
    let mut ask = reopened.step_up("dana", 2);
    ask.database = "hr".to_owned();
    let waiting = reopened.ask(ask).await;
    let replayed = reopened.desk.verify(waiting.request, &name("dana"), &code, HOME).await;
    assert_eq!(replayed, Err(VerifyError::BadCode(BadCode::Replayed)));
}

#[tokio::test]
async fn a_request_open_at_the_kill_is_withdrawn_and_cannot_be_approved_later() {
    let world = World::new().await;
    let one = world.ask(world.step_up("dana", 1)).await;
    let two = world.ask(world.approval("dana", 2, 2)).await;
    world.desk.vote(two.request, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    let reopened = world.killed();
    assert_eq!(reopened.ends(), ["withdrawn", "withdrawn"]);
    let late = reopened.desk.verify(one.request, &name("dana"), &reopened.code("dana"), HOME).await;
    assert_eq!(late, Err(VerifyError::Desk(DeskError::Ended(Outcome::Withdrawn))));
    let late = reopened.desk.vote(two.request, &name("amir"), &reopened.code("amir"), true, None, HOME).await;
    assert_eq!(late, Err(VerifyError::Desk(DeskError::Ended(Outcome::Withdrawn))));
    // And a second kill ends nothing twice.
    assert_eq!(reopened.killed().ends(), ["withdrawn", "withdrawn"]);
}

#[tokio::test]
async fn who_ended_a_request_and_why_is_known_after_a_restart() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 2, 1)).await;
    let (omar, why) = (name("omar"), Some("use the extract"));
    world.desk.vote(waiting.request, &omar, &world.code("omar"), false, why, HOME).await.unwrap();
    for desk in [&world.desk, &world.killed().desk] {
        let info = desk.request(waiting.request).unwrap();
        assert_eq!((info.state, info.ended_by), ("denied", Some(omar.clone())));
        assert_eq!(info.reason.as_deref(), why);
    }
}

#[tokio::test]
async fn a_grant_survives_with_exactly_its_bounds() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.verify(waiting.request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    let reopened = world.killed();
    assert_eq!(reopened.desk.grants(), world.desk.grants());
    assert!(reopened.covers("dana") && !reopened.covers("eve"));
    let alter: [fn(&mut Wanted); 7] = [
        |wanted| wanted.database = "hr".to_owned(),
        |wanted| wanted.client = "dump".to_owned(),
        |wanted| wanted.address = ELSEWHERE,
        |wanted| wanted.class_rank = 4,
        |wanted| wanted.output_rank = 4,
        |wanted| wanted.policy_sha256 = "cd".repeat(32),
        |wanted| wanted.kinds = BTreeSet::from([Kind::CopyOut]),
    ];
    for alter in alter {
        let mut wanted = Wanted::from(&reopened.step_up("dana", 9));
        alter(&mut wanted);
        assert_eq!(reopened.desk.covering_grant(&wanted), None);
    }
    reopened.clock.advance(Duration::from_secs(900));
    assert!(!reopened.covers("dana"));
}

#[tokio::test]
async fn how_a_request_ended_is_known_after_a_restart() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 1, 1)).await;
    world.desk.vote(waiting.request, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    let reopened = world.killed();
    let info = reopened.desk.request(waiting.request).unwrap();
    assert_eq!((info.state, info.approvers), ("approved", vec![name("omar")]));
    reopened.next_step();
    let again =
        reopened.desk.vote(waiting.request, &name("amir"), &reopened.code("amir"), true, None, HOME).await;
    assert_eq!(again, Err(VerifyError::Desk(DeskError::Ended(Outcome::Approved))));
}

fn decided(session: u8, statement: u64, verdict: &str) -> Event {
    Event::StatementDecided(Box::new(Statement {
        database: "shop".to_owned(),
        protocol: "simple".to_owned(),
        kinds: vec![Kind::Select],
        certainty: Certainty::Exact,
        fingerprint: "00".repeat(32),
        normalised: "SELECT".to_owned(),
        action: Action::Allow,
        verdict: verdict.to_owned(),
        policy_sha256: "ab".repeat(32),
        ..Statement::blank(SessionId::from_bytes([session; 16]), statement, name("dana").into())
    }))
}

#[tokio::test]
async fn a_statement_that_was_running_at_the_kill_has_an_unknown_outcome() {
    let world = World::new().await;
    let completed = Event::StatementCompleted {
        session: SessionId::from_bytes([1; 16]),
        statement: 1,
        sqlstate: None,
        rows: 1,
        bytes: 1,
        duration_us: 1,
        suspended: false,
    };
    let closed =
        Event::SessionClosed { session: SessionId::from_bytes([2; 16]), reason: "terminate".to_owned() };
    let events = vec![
        decided(1, 1, "forward"),
        completed,
        decided(1, 2, "forward"),
        decided(1, 3, "deny"),
        decided(1, 4, "hold"),
        decided(2, 1, "forward"),
        closed,
        decided(3, 1, "monitor"),
    ];
    world.log.append(events, Vec::new()).await.unwrap();
    let unknown = |world: &World| -> Vec<_> {
        let unknown = world.events().into_iter().filter_map(|event| match event {
            Event::StatementOutcomeUnknown { session, statement, .. } => {
                Some((session.bytes()[0], statement))
            }
            _ => None,
        });
        unknown.collect()
    };
    let reopened = world.killed();
    assert_eq!(unknown(&reopened), [(1, 2), (3, 1)]);
    assert_eq!(unknown(&reopened.killed()), [(1, 2), (3, 1)]);
}

/// How many rows a portal shows that is executed again no record tells before it stops again.
#[tokio::test]
async fn a_statement_whose_portal_had_more_at_the_kill_has_an_unknown_outcome() {
    let world = World::new().await;
    let completed = |session: u8, statement: u64, suspended: bool| Event::StatementCompleted {
        session: SessionId::from_bytes([session; 16]),
        statement,
        sqlstate: None,
        rows: 2,
        bytes: 22,
        duration_us: 1,
        suspended,
    };
    let closed =
        Event::SessionClosed { session: SessionId::from_bytes([2; 16]), reason: "terminate".to_owned() };
    let mut events = vec![
        decided(1, 1, "forward"),
        completed(1, 1, true),
        decided(1, 2, "forward"),
        completed(1, 2, true),
        completed(1, 2, true),
        completed(1, 2, false),
        decided(2, 1, "forward"),
        completed(2, 1, true),
        closed,
    ];
    // Whoever leaves them by the hundred has the newest told.
    for number in 1..=100 {
        events.extend([decided(3, number, "forward"), completed(3, number, true)]);
    }
    world.log.append(events, Vec::new()).await.unwrap();
    let unknown = |world: &World| -> Vec<_> {
        let unknown = world.events().into_iter().filter_map(|event| match event {
            Event::StatementOutcomeUnknown { session, statement, .. } => {
                Some((session.bytes()[0], statement))
            }
            _ => None,
        });
        unknown.collect()
    };
    let reopened = world.killed();
    let expected: Vec<_> = [(1, 1)].into_iter().chain((85..=100).map(|number| (3, number))).collect();
    assert_eq!(unknown(&reopened), expected);
    assert_eq!(unknown(&reopened.killed()), expected);
}
