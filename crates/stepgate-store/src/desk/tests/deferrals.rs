use stepgate_record::{Deferral, Outcome, Statement};
use stepgate_types::Certainty;

use super::*;
use crate::desk::Left;
use crate::{DeskError, VerifyError};

const SQL: &str = "select ssn from customers where id = $1";

/// The statement with a bind value.
fn with(value: &str) -> Held {
    let mut held = held(SQL);
    (held.parameters, held.formats, held.types) = (vec![Some(value.as_bytes().to_vec())], vec![0], vec![23]);
    held
}

fn decided(wanted: &Wanted, statement: StatementId, request: RequestId) -> Event {
    Event::StatementDecided(Box::new(Statement {
        database: wanted.database.clone(),
        protocol: "extended".to_owned(),
        kinds: vec![Kind::Select],
        certainty: Certainty::Exact,
        parameters: 1,
        action: wanted.action,
        verdict: "forward".to_owned(),
        request: Some(request),
        policy_sha256: wanted.policy_sha256.clone(),
        ..Statement::blank(statement.session, statement.number, (&wanted.person).into())
    }))
}

impl World {
    /// An approval that may be deferred, open for half an hour.
    fn deferrable(&self, person: &str, number: u64, count: u32) -> Ask {
        let expires = self.clock.now().plus(Duration::from_secs(1800));
        Ask { mode: Mode::HoldThenDefer, expires, ..self.approval(person, number, count) }
    }

    /// Dana's deferred request for the statement with this value.
    async fn deferred(&self, value: &str) -> RequestId {
        self.desk.defer(self.deferrable("dana", 1, 1), with(value)).await.unwrap().request
    }

    async fn approve(&self, request: RequestId, by: &str) -> crate::End {
        let vote = self.desk.vote(request, &name(by), &self.code(by), true, None, HOME).await;
        vote.unwrap().ended.unwrap()
    }

    /// Whether the statement with this value would pass, sent again by this person in a new session.
    fn lets(&self, person: &str, value: &str) -> bool {
        self.finds(person, value).is_some()
    }

    fn finds(&self, person: &str, value: &str) -> Option<(stepgate_types::GrantId, RequestId)> {
        let wanted = Wanted::from(&self.deferrable(person, 9, 1));
        self.desk.pass_for(&wanted, "analyst", &with(value))
    }

    /// Sends the statement with this value again; whether it was let through.
    async fn reruns(&self, value: &str, number: u64) -> bool {
        let wanted = Wanted::from(&self.deferrable("dana", number, 1));
        let Some((pass, request)) = self.desk.pass_for(&wanted, "analyst", &with(value)) else {
            return false;
        };
        let statement = self.deferrable("dana", number, 1).statement;
        let event = decided(&wanted, statement, request);
        self.desk.spend_pass(pass, statement, event, Vec::new()).await.unwrap().is_some()
    }

    fn deferrals(&self) -> Vec<&'static str> {
        let told = self.events().into_iter().filter_map(|event| match event {
            Event::StepupDeferred { reason, .. } => Some(reason.as_str()),
            _ => None,
        });
        told.collect()
    }

    fn passes(&self) -> usize {
        self.desk.grants().iter().filter(|grant| grant.once).count()
    }
}

#[tokio::test]
async fn an_approved_deferred_statement_passes_once_and_asks_the_second_time() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    assert_eq!(world.desk.request(request).unwrap().state, "deferred");
    assert!(!world.reruns("7", 2).await, "nobody has approved it yet");
    let end = world.approve(request, "omar").await;
    assert_eq!((end.outcome, end.grant, end.pass.is_some()), (Outcome::Approved, None, true));
    assert_eq!(world.passes(), 1);
    assert!(world.reruns("7", 2).await);
    assert!(!world.reruns("7", 3).await);
    assert_eq!((world.passes(), world.deferrals()), (0, vec!["in-transaction"]));
}

#[tokio::test]
async fn the_pass_is_issued_with_the_approval_and_used_up_with_the_decision_each_in_one_write() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    world.approve(request, "omar").await;
    let word = |event: &Event| match event {
        Event::FactorVerified { .. } => "factor",
        Event::StepupVoted { .. } => "voted",
        Event::StepupEnded { .. } => "ended",
        Event::PassIssued(_) => "pass",
        Event::PassConsumed { .. } => "consumed",
        Event::StatementDecided(_) => "decided",
        _ => "other",
    };
    let last = |n: usize| -> Vec<_> {
        let events = world.events();
        events[events.len() - n..].iter().map(word).collect()
    };
    assert_eq!(last(4), ["factor", "voted", "ended", "pass"]);
    assert!(world.reruns("7", 2).await);
    assert_eq!(last(2), ["consumed", "decided"]);
}

#[tokio::test]
async fn another_value_person_role_or_database_asks_again() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    world.approve(request, "omar").await;
    assert!(world.lets("dana", "7"));
    assert!(!world.lets("dana", "8"), "approve A, run B");
    assert!(!world.lets("eve", "7"));
    let wanted = Wanted::from(&world.deferrable("dana", 9, 1));
    assert_eq!(world.desk.pass_for(&wanted, "admin", &with("7")), None);
    let elsewhere = Wanted { database: "hr".to_owned(), ..wanted.clone() };
    assert_eq!(world.desk.pass_for(&elsewhere, "analyst", &with("7")), None);
    let stricter = Wanted { policy_sha256: "cd".repeat(32), ..wanted.clone() };
    assert_eq!(world.desk.pass_for(&stricter, "analyst", &with("7")), None);
    let reads_more =
        Wanted { relations: BTreeSet::from([RelationName::new("hr", "employees")]), ..wanted.clone() };
    assert_eq!(world.desk.pass_for(&reads_more, "analyst", &with("7")), None);
    // In strings a backslash would mean something else than what the approver read.
    let mut other_reading = with("7");
    other_reading.dialect = Dialect { standard_strings: false, ..Dialect::default() };
    assert_eq!(world.desk.pass_for(&wanted, "analyst", &other_reading), None);
    assert!(world.lets("dana", "7"), "asking spends nothing");
}

#[tokio::test]
async fn what_was_approved_once_runs_for_the_client_and_address_of_who_asked_also_after_a_restart() {
    let world = World::new().await;
    // A name that could hold anything is kept as a keyed hash.
    let ask = Ask { client: "psql; drop".to_owned(), ..world.deferrable("dana", 1, 1) };
    let wanted = Wanted::from(&ask);
    let request = world.desk.defer(ask, with("7")).await.unwrap().request;
    world.approve(request, "omar").await;
    for world in [&world, &world.killed()] {
        let finds = |wanted: Wanted| world.desk.pass_for(&wanted, "analyst", &with("7")).is_some();
        assert!(!finds(Wanted { address: ELSEWHERE, ..wanted.clone() }));
        assert!(!finds(Wanted { client: "exfil".to_owned(), ..wanted.clone() }));
        assert!(finds(Wanted { session: SessionId::from_bytes([9; 16]), ..wanted.clone() }));
    }
    let issued = world.recorded().into_iter().find_map(|event| match event {
        Event::PassIssued(issued) => Some(format!("{issued:?}")),
        _ => None,
    });
    assert!(
        issued.is_some_and(|it| !it.contains("192.0.2.7") && !it.contains("drop")),
        "as commitments alone"
    );
}

#[tokio::test]
async fn two_reruns_at_once_pass_once() {
    let world = Arc::new(World::new().await);
    let request = world.deferred("7").await;
    world.approve(request, "omar").await;
    let tab = |number| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.reruns("7", number).await })
    };
    let tabs = [tab(2), tab(3), tab(4), tab(5)];
    let mut passed = 0;
    for tab in tabs {
        passed += usize::from(tab.await.unwrap());
    }
    assert_eq!(passed, 1);
    assert_eq!(world.count(|event| matches!(event, Event::PassConsumed { .. })), 1);
    assert_eq!(world.count(|event| matches!(event, Event::StatementDecided(_))), 1);
}

#[tokio::test]
async fn a_kill_between_use_and_forwarding_does_not_give_the_pass_back() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    world.approve(request, "omar").await;
    assert!(world.reruns("7", 2).await);
    let reopened = world.killed();
    assert!(!reopened.lets("dana", "7"));
    let unknown = |event: &Event| matches!(event, Event::StatementOutcomeUnknown { statement: 2, .. });
    assert_eq!(reopened.count(unknown), 1);
}

#[tokio::test]
async fn a_restart_keeps_an_issued_pass_with_exactly_its_bounds() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    world.approve(request, "omar").await;
    let reopened = world.killed();
    assert_eq!(reopened.desk.grants(), world.desk.grants());
    assert!(reopened.lets("dana", "7"));
    assert!(!reopened.lets("dana", "8") && !reopened.lets("eve", "7"));
    assert!(reopened.reruns("7", 2).await);
    assert!(!reopened.reruns("7", 3).await);
    assert!(!reopened.killed().lets("dana", "7"));
}

#[tokio::test]
async fn a_restart_withdraws_what_was_deferred_and_not_answered() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    let reopened = world.killed();
    assert_eq!(reopened.ends(), ["withdrawn"]);
    let late = reopened.desk.vote(request, &name("omar"), &reopened.code("omar"), true, None, HOME).await;
    assert_eq!(late, Err(VerifyError::Desk(DeskError::Ended(Outcome::Withdrawn))));
}

#[tokio::test]
async fn a_deferred_request_outlives_its_client_until_it_expires() {
    let world = World::new().await;
    let waiting = world.desk.ask(world.deferrable("dana", 1, 1), with("7")).await.unwrap();
    let (request, statement) = (waiting.request, world.deferrable("dana", 1, 1).statement);
    let left = world.desk.stop_waiting(request, statement, Deferral::ClientGone).await.unwrap();
    assert_eq!(left, Left::Open(waiting.expires));
    drop(waiting);
    world.clock.advance(Duration::from_secs(1799));
    world.desk.expire_due().await.unwrap();
    assert!(world.ends().is_empty());
    world.clock.advance(Duration::from_secs(1));
    world.desk.expire_due().await.unwrap();
    assert_eq!((world.ends(), world.deferrals()), (vec!["expired"], vec!["client-gone"]));
    assert_eq!(world.passes(), 0);
}

#[tokio::test]
async fn votes_given_before_the_wait_was_over_still_count() {
    let world = World::new().await;
    let waiting = world.desk.ask(world.deferrable("dana", 1, 2), with("7")).await.unwrap();
    let request = waiting.request;
    let first = world.desk.vote(request, &name("omar"), &world.code("omar"), true, None, HOME).await.unwrap();
    assert_eq!((first.ended, first.approvals), (None, 1));
    let statement = world.deferrable("dana", 1, 2).statement;
    world.desk.stop_waiting(request, statement, Deferral::Lapsed).await.unwrap();
    let end = world.approve(request, "amir").await;
    assert_eq!(end.approvers, [name("amir"), name("omar")]);
    assert!(world.lets("dana", "7"));
}

#[tokio::test]
async fn a_denial_a_cancellation_and_a_removal_leave_no_pass() {
    let world = World::new().await;
    let denied = world.deferred("1").await;
    world.desk.vote(denied, &name("omar"), &world.code("omar"), false, None, HOME).await.unwrap();
    let cancelled = world.desk.defer(world.deferrable("dana", 2, 1), with("2")).await.unwrap().request;
    world.desk.cancel_request(cancelled, &name("dana")).await.unwrap();
    let removed = world.desk.defer(world.deferrable("dana", 3, 1), with("3")).await.unwrap().request;
    world.desk.revoke_person(&name("dana"), None).await.unwrap();
    assert_eq!(world.ends(), ["denied", "cancelled", "withdrawn"]);
    assert_eq!(world.passes(), 0);
    assert!(matches!(world.desk.request(removed), Some(info) if info.state == "withdrawn"));
}

#[tokio::test]
async fn a_pass_is_taken_back_by_its_owner_by_the_operator_and_with_the_person() {
    let world = World::new().await;
    for (number, value) in [(1, "1"), (2, "2"), (3, "3")] {
        let ask = world.deferrable("dana", number, 1);
        let request = world.desk.defer(ask, with(value)).await.unwrap().request;
        world.approve(request, "omar").await;
        world.next_step();
    }
    let id = |value| world.finds("dana", value).unwrap().0;
    assert_eq!(world.desk.revoke(id("1"), Some(name("eve"))).await, Err(DeskError::Unknown));
    world.desk.revoke(id("1"), Some(name("dana"))).await.unwrap();
    assert!(!world.reruns("1", 11).await);
    world.desk.revoke(id("2"), None).await.unwrap();
    assert!(!world.reruns("2", 12).await);
    world.desk.revoke_person(&name("dana"), None).await.unwrap();
    assert!(!world.reruns("3", 13).await);
    let reopened = world.killed();
    assert_eq!((world.passes(), reopened.passes()), (0, 0));
}

#[tokio::test]
async fn a_pass_lapses_and_its_lapse_is_recorded_also_if_the_gate_was_down() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    world.approve(request, "omar").await;
    let lapsed = |event: &Event| matches!(event, Event::PassLapsed { .. });
    world.clock.advance(Duration::from_secs(1800));
    assert!(!world.lets("dana", "7"));
    assert_eq!(world.killed().count(lapsed), 1);
    world.desk.expire_due().await.unwrap();
    world.desk.expire_due().await.unwrap();
    assert_eq!(world.count(lapsed), 1);
    assert_eq!(world.killed().count(lapsed), 1);
}

#[tokio::test]
async fn the_same_statement_sent_again_joins_its_request_and_no_other_one_does() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    let again = world.desk.defer(world.deferrable("dana", 2, 1), with("7")).await.unwrap();
    assert_eq!(again.request, request);
    let waits = world.desk.ask(world.deferrable("dana", 3, 1), with("7")).await.unwrap();
    assert_eq!((waits.request, waits.joined), (request, true));
    world.desk.set_caps(crate::Caps { open: 4, ..crate::Caps::default() });
    for (ask, held) in [
        (world.deferrable("dana", 4, 1), with("8")),
        (world.deferrable("eve", 5, 1), with("7")),
        (Ask { db_user: "admin".to_owned(), ..world.deferrable("dana", 6, 1) }, with("7")),
        (Ask { address: ELSEWHERE, ..world.deferrable("dana", 7, 1) }, with("7")),
    ] {
        assert_ne!(world.desk.ask(ask, held).await.unwrap().request, request);
    }
}

#[tokio::test]
async fn two_that_wait_for_the_same_deferred_request_run_once() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    let one = world.desk.ask(world.deferrable("dana", 2, 1), with("7")).await.unwrap();
    let two = world.desk.ask(world.deferrable("dana", 3, 1), with("7")).await.unwrap();
    world.approve(request, "omar").await;
    for waiting in [one, two] {
        assert!(waiting.joined, "it runs by the pass alone");
        let end = waiting.ended.await.unwrap();
        assert_eq!((end.outcome, end.grant), (Outcome::Approved, None));
    }
    assert!(world.reruns("7", 2).await);
    assert!(!world.reruns("7", 3).await);
}

#[tokio::test]
async fn an_approval_makes_a_grant_or_a_pass_never_both() {
    let world = World::new().await;
    let mut ask = world.deferrable("dana", 1, 1);
    ask.terms.remember = Some(Duration::from_secs(900));
    let request = world.desk.defer(ask.clone(), with("7")).await.unwrap().request;
    let end = world.approve(request, "omar").await;
    assert!(end.grant.is_some() && end.pass.is_none());
    // A grant for the session alone would be nothing to who comes again in another.
    ask.terms.scope.session = true;
    ask.database = "hr".to_owned();
    ask.id = RequestId::from_bytes([9; 5]);
    world.next_step();
    let request = world.desk.defer(ask, with("7")).await.unwrap().request;
    let end = world.approve(request, "omar").await;
    assert!(end.grant.is_none() && end.pass.is_some());
}

#[tokio::test]
async fn while_the_statement_itself_still_waits_its_approval_makes_no_pass_for_another_run() {
    let world = World::new().await;
    let mut ask = world.deferrable("dana", 1, 1);
    ask.terms.remember = Some(Duration::from_secs(900));
    ask.terms.scope.session = true;
    let waiting = world.desk.ask(ask.clone(), with("7")).await.unwrap();
    ask.statement.number = 2;
    let told = world.desk.defer(ask, with("8")).await.unwrap();
    assert_eq!(told.request, waiting.request);
    let end = world.approve(waiting.request, "omar").await;
    assert_eq!(end.pass, None);
    assert_eq!(world.passes(), 0);
}

#[tokio::test]
async fn a_rerun_that_is_cancelled_leaves_the_deferred_request_open() {
    let world = World::new().await;
    let request = world.deferred("7").await;
    let waits = world.desk.ask(world.deferrable("dana", 2, 1), with("7")).await.unwrap();
    let statement = world.deferrable("dana", 2, 1).statement;
    assert_eq!(world.desk.cancel(request, statement).await, Ok(Left::Open(waits.expires)));
    assert_eq!(world.desk.request(request).unwrap().state, "deferred");
    world.approve(request, "omar").await;
    assert!(world.lets("dana", "7"));
}

#[tokio::test]
async fn what_may_not_be_deferred_ends_with_its_wait() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 1, 1)).await;
    let statement = world.approval("dana", 1, 1).statement;
    let left = world.desk.stop_waiting(waiting.request, statement, Deferral::Lapsed).await;
    assert_eq!(left, Ok(Left::Ended(Outcome::Withdrawn)));
    assert_eq!((world.ends(), world.deferrals().len()), (vec!["withdrawn"], 0));
}

#[tokio::test]
async fn of_what_was_deferred_no_text_and_no_value_is_on_disk() {
    let world = World::new().await;
    let request = world.deferred("secret-value-4711").await;
    world.approve(request, "omar").await;
    assert!(world.reruns("secret-value-4711", 2).await);
    let mut records = String::new();
    world.log.replay(0, &mut |_, record| records.push_str(&format!("{record:?}"))).unwrap();
    assert!(records.contains("PassIssued") && !records.contains("4711") && !records.contains(SQL));
}
