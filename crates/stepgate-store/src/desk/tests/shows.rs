use stepgate_record::Outcome;

use super::*;
use crate::{DeskError, Part, VerifyError};

#[tokio::test]
async fn a_held_statement_is_shown_to_its_approvers_and_to_nobody_else() {
    let world = World::new().await;
    let mut held = held("select * from customers where id = $1 -- \u{202E}");
    held.parameters = vec![Some(b"42".to_vec()), None, Some(b"\xff".to_vec())];
    held.types = vec![23];
    held.formats = vec![1];
    let waiting = world.desk.ask(world.approval("dana", 1, 1), held).await.unwrap();
    for viewer in ["dana", "omar", "amir"] {
        let shown = world.desk.show(waiting.request, &name(viewer)).unwrap();
        assert_eq!(shown.sql.text, "select * from customers where id = $1 -- \\u{202E}");
        assert!(!shown.truncated);
        let values: Vec<_> = shown
            .parameters
            .iter()
            .map(|value| value.value.as_ref().map(|page| page.text.as_str()))
            .collect();
        assert_eq!(values, [Some("42"), None, Some("\\xFF")]);
        assert_eq!((shown.parameters[0].type_oid, shown.parameters[2].format), (23, 1));
    }
    for viewer in ["eve", "etl", "nobody"] {
        assert_eq!(world.desk.show(waiting.request, &name(viewer)), Err(DeskError::Unknown));
    }
    // Who saw it is recorded, once each.
    world.desk.show(waiting.request, &name("omar")).unwrap();
    world.desk.show_more(waiting.request, &name("omar"), Part::Sql, 0).unwrap();
    world.desk.cancel_request(waiting.request, &name("dana")).await.unwrap();
    let saw = world.events().into_iter().filter_map(|event| match event {
        Event::ChallengeShown { to, .. } => Some(to.to_string()),
        _ => None,
    });
    assert_eq!(saw.collect::<Vec<_>>(), ["dana", "omar", "amir"]);
}

#[tokio::test]
async fn somebody_elses_step_up_is_not_for_approvers_to_read() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    assert_eq!(world.desk.show(waiting.request, &name("omar")), Err(DeskError::Unknown));
    assert!(world.desk.show(waiting.request, &name("dana")).is_ok());
}

#[tokio::test]
async fn after_its_end_the_statement_is_gone() {
    let world = World::new().await;
    let waiting = world.ask(world.approval("dana", 1, 1)).await;
    world.desk.cancel_request(waiting.request, &name("dana")).await.unwrap();
    let shown = world.desk.show(waiting.request, &name("omar"));
    assert_eq!(shown, Err(DeskError::Ended(Outcome::Cancelled)));
    assert_eq!(world.desk.show(waiting.request, &name("eve")), Err(DeskError::Unknown));
}

#[tokio::test]
async fn what_is_truncated_cannot_be_approved_before_all_of_it_is_read() {
    let world = World::new().await;
    let sql = format!("select '{}', ssn from customers", "x".repeat(1 << 20));
    let waiting = world.desk.ask(world.approval("dana", 1, 1), held(&sql)).await.unwrap();
    let (omar, code) = (name("omar"), world.code("omar"));
    let approve = || world.desk.vote(waiting.request, &omar, &code, true, None, HOME);
    assert_eq!(approve().await, Err(VerifyError::NotFullyShown));
    let shown = world.desk.show(waiting.request, &omar).unwrap();
    assert!(shown.truncated);
    // Skipping to the end is not reading.
    let end = world.desk.show_more(waiting.request, &omar, Part::Sql, sql.len() - 10).unwrap();
    assert_eq!(end.next, None);
    assert_eq!(approve().await, Err(VerifyError::NotFullyShown));
    let mut text = shown.sql.text;
    let mut next = shown.sql.next;
    while let Some(offset) = next {
        let page = world.desk.show_more(waiting.request, &omar, Part::Sql, offset).unwrap();
        text.push_str(&page.text);
        next = page.next;
    }
    assert_eq!(text, sql);
    // Each approver for themselves; a denial needs no reading.
    let amir = world.desk.vote(waiting.request, &name("amir"), &world.code("amir"), true, None, HOME).await;
    assert_eq!(amir, Err(VerifyError::NotFullyShown));
    assert!(approve().await.unwrap().ended.is_some());
}

#[tokio::test]
async fn a_value_hidden_behind_a_thousand_others_has_to_be_read_too() {
    let world = World::new().await;
    let mut held = held("select $1");
    held.parameters = vec![Some(b"1".to_vec()); 1001];
    let waiting = world.desk.ask(world.approval("dana", 1, 1), held).await.unwrap();
    let (omar, code) = (name("omar"), world.code("omar"));
    let shown = world.desk.show(waiting.request, &omar).unwrap();
    assert_eq!((shown.truncated, shown.parameters.len(), shown.parameters_total), (true, 1000, 1001));
    let approve = || world.desk.vote(waiting.request, &omar, &code, true, None, HOME);
    assert_eq!(approve().await, Err(VerifyError::NotFullyShown));
    let page = world.desk.show_more(waiting.request, &omar, Part::Parameter(1000), 0).unwrap();
    assert_eq!(page.text, "1");
    assert!(approve().await.is_ok());
}

#[tokio::test]
async fn what_is_executed_by_its_name_is_shown_and_has_to_be_read_too() {
    let world = World::new().await;
    let prepared = format!("prepare p as select '{}', ssn from customers", "x".repeat(1 << 18));
    let mut held = held("execute p");
    held.behind = vec![prepared.clone().into_bytes()];
    let waiting = world.desk.ask(world.approval("dana", 1, 1), held).await.unwrap();
    let (omar, code) = (name("omar"), world.code("omar"));
    let shown = world.desk.show(waiting.request, &omar).unwrap();
    assert!(shown.truncated);
    let approve = || world.desk.vote(waiting.request, &omar, &code, true, None, HOME);
    assert_eq!(approve().await, Err(VerifyError::NotFullyShown));
    let (mut text, mut next) = (shown.behind[0].text.clone(), shown.behind[0].next);
    while let Some(offset) = next {
        let unread = world.desk.conditions(waiting.request, &omar).unwrap().unread;
        assert_eq!(unread, Some((Part::Behind(0), offset)));
        let page = world.desk.show_more(waiting.request, &omar, Part::Behind(0), offset).unwrap();
        text.push_str(&page.text);
        next = page.next;
    }
    assert_eq!(text, prepared);
    assert!(approve().await.unwrap().ended.is_some());
}

#[tokio::test]
async fn listings_hold_nothing_of_the_statement() {
    let world = World::new().await;
    let secret = "078-05-1120";
    let sql = format!("select * from customers where ssn = '{secret}'");
    let waiting = world.desk.ask(world.step_up("dana", 1), held(&sql)).await.unwrap();
    let listed = serde_json::to_string(&world.desk.requests()).unwrap();
    assert!(listed.contains(&waiting.request.to_string()) && !listed.contains(secret), "{listed}");
    assert_eq!(world.count(|event| format!("{event:?}").contains(secret)), 0);
}
