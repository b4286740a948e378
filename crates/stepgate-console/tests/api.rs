//! The API as its callers see it: over TCP, against a real store.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::sync::Arc;

use serde_json::json;
use stepgate_record::{AuthFailure, Door, Event, Outcome, Record};
use tokio::task::JoinSet;
use world::{PASSWORD, World, name};

#[tokio::test(flavor = "multi_thread")]
async fn a_person_verifies_their_own_request_with_a_code_and_the_statement_is_released() {
    let world = World::new().await;
    let waiting = world.step_up().await;
    let dana = world.login("dana").await;
    let list = world.get("/api/v1/requests", &dana).await.json();
    assert_eq!(list[0]["request"], json!(waiting.request));
    assert_eq!((&list[0]["mine"], &list[0]["answerable"]), (&json!(true), &json!(true)));
    let path = format!("/api/v1/requests/{}/verify", waiting.request);
    let answer = world.post(&path, &dana, json!({"code": world.code("dana")})).await;
    assert_eq!((answer.status, &answer.json()["state"]), (200, &json!("approved")), "{}", answer.body);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Approved);
    let grants = world.get("/api/v1/grants", &dana).await.json();
    let grant = grants[0]["grant"].as_str().unwrap().to_owned();
    let eve = world.login("eve").await;
    assert_eq!(world.get("/api/v1/grants", &eve).await.json(), json!([]));
    let revoke = format!("/api/v1/grants/{grant}/revoke");
    assert_eq!(world.post(&revoke, &eve, json!({})).await.status, 404);
    assert_eq!(world.post(&revoke, &dana, json!({})).await.status, 200);
    assert_eq!(world.get("/api/v1/grants", &dana).await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_code_a_spent_code_and_a_late_answer_are_told_apart_and_release_nothing() {
    let world = World::new().await;
    let waiting = world.step_up().await;
    let dana = world.login("dana").await;
    let path = format!("/api/v1/requests/{}/verify", waiting.request);
    let wrong = world.post(&path, &dana, json!({"code": "000000"})).await;
    assert_eq!((wrong.status, wrong.error().as_str()), (401, "wrong_code"));
    // RFC 9470 section 3.
    assert!(wrong.head.contains("error=\"insufficient_user_authentication\""), "{}", wrong.head);
    world
        .desk
        .prove(&name("dana"), &world.code("dana"), std::net::IpAddr::from([192, 0, 2, 7]))
        .await
        .unwrap();
    let spent = world.post(&path, &dana, json!({"code": world.code("dana")})).await;
    assert_eq!((spent.status, spent.error().as_str()), (401, "code_replayed"));
    let cancel = format!("/api/v1/requests/{}/cancel", waiting.request);
    assert_eq!(world.post(&cancel, &dana, json!({})).await.status, 200);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Cancelled);
    world.clock.advance(std::time::Duration::from_secs(30));
    let late = world.post(&path, &dana, json!({"code": world.code("dana")})).await;
    assert_eq!((late.status, late.error().as_str()), (409, "ended"));
    assert_eq!(late.json()["state"], json!("cancelled"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approver_sees_the_exact_statement_made_harmless_and_denies_it() {
    let world = World::new().await;
    let waiting = world.approval().await;
    let omar = world.login("omar").await;
    let path = format!("/api/v1/requests/{}", waiting.request);
    let shown = world.get(&path, &omar).await.json();
    let sql = shown["sql"]["text"].as_str().unwrap();
    assert!(sql.contains("'078-05-1120'") && sql.contains("\\u{202E}"), "{sql}");
    assert_eq!(shown["parameters"][0]["value"]["text"], json!("42"));
    assert_eq!(shown["parameters"][1]["value"], json!(null));
    let no_reason = world.post(&format!("{path}/approve"), &omar, json!({"code": world.code("omar")})).await;
    assert_eq!((no_reason.status, no_reason.error().as_str()), (422, "reason_required"));
    world.clock.advance(std::time::Duration::from_secs(30));
    let body = json!({"code": world.code("omar"), "reason": "use customers_masked"});
    let denied = world.post(&format!("{path}/deny"), &omar, body).await;
    assert_eq!((denied.status, &denied.json()["state"]), (200, &json!("denied")), "{}", denied.body);
    let end = waiting.ended.await.unwrap();
    assert_eq!((end.outcome, end.reason.as_deref()), (Outcome::Denied, Some("use customers_masked")));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_approves_their_own_request_by_the_api() {
    let world = World::new().await;
    let waiting = world.approval().await;
    let dana = world.login("dana").await;
    for verb in ["approve", "verify"] {
        let path = format!("/api/v1/requests/{}/{verb}", waiting.request);
        let body = match verb {
            "approve" => json!({"code": world.code("dana"), "reason": "mine"}),
            _ => json!({"code": world.code("dana")}),
        };
        let answer = world.post(&path, &dana, body).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (403, "not_eligible"),
            "{verb}: {}",
            answer.body
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_may_not_see_looks_like_what_does_not_exist() {
    let world = World::new().await;
    let waiting = world.approval().await;
    let eve = world.login("eve").await;
    let there = waiting.request.to_string();
    assert_eq!(world.get("/api/v1/requests", &eve).await.json(), json!([]));
    let code = world.code("eve");
    for (method, rest) in
        [("GET", ""), ("GET", "/sql"), ("POST", "/verify"), ("POST", "/approve"), ("POST", "/cancel")]
    {
        let mut answers = Vec::new();
        for id in [there.as_str(), "ZZZZ-ZZZZ"] {
            let body = (method == "POST").then(|| json!({"code": code}));
            let answer = world.call(method, &format!("/api/v1/requests/{id}{rest}"), &eve, body).await;
            answers.push((answer.status, answer.body));
        }
        assert_eq!(answers[0].0, 404, "{method} {rest}");
        assert_eq!(answers[0], answers[1], "{method} {rest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_names_read_like_wrong_passwords_and_services_do_not_log_in() {
    let world = World::new().await;
    let wrong = world.try_login("dana", "wrong").await;
    for nobody in ["nobody", "No Body", ""] {
        let unknown = world.try_login(nobody, "wrong").await;
        assert_eq!((unknown.status, &unknown.body), (wrong.status, &wrong.body), "{nobody}");
    }
    assert_eq!(wrong.status, 401);
    assert_eq!(world.try_login("etl", PASSWORD).await.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_a_password_is_slowed_and_records_no_name_that_nobody_has() {
    let world = World::new().await;
    for _ in 0..5 {
        assert_eq!(world.try_login("dana", "wrong").await.status, 401);
    }
    let slowed = world.try_login("dana", PASSWORD).await;
    assert_eq!(slowed.status, 429, "{}", slowed.body);
    assert!(slowed.head.contains("retry-after: "), "{}", slowed.head);
    world.login("omar").await;
    world.clock.advance(std::time::Duration::from_secs(60));
    world.login("dana").await;
    world.try_login("secret-typed-as-name", "x").await;
    let mut people = Vec::new();
    world.log.append(vec![Event::LogStopped {}], Vec::new()).await.unwrap();
    world
        .log
        .replay(0, &mut |_, record| {
            if let Event::SessionAuthFailed(failed) = &record.event {
                people.push((failed.person.is_some(), failed.reason.unwrap()));
                assert_eq!((failed.door, failed.method.as_deref()), (Some(Door::Console), Some("password")));
            }
        })
        .unwrap();
    let wrong = (true, AuthFailure::Password);
    let (slowed, nobody) = ((true, AuthFailure::Throttled), (false, AuthFailure::UnknownPerson));
    assert_eq!(people, [wrong, wrong, wrong, wrong, wrong, slowed, nobody]);
}

/// Records of logins that failed for this reason: how many each stands for.
fn stand_for(world: &World, reason: AuthFailure) -> Vec<u64> {
    let mut all = Vec::new();
    world.log.append_blocking(vec![Event::LogStopped {}], Vec::new()).unwrap();
    let each = &mut |_, record: &Record| {
        if let Event::SessionAuthFailed(failed) = &record.event
            && failed.reason == Some(reason)
        {
            all.push(1 + failed.more.unwrap_or(0));
        }
    };
    world.log.replay(0, each).unwrap();
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_turned_away_at_once_is_recorded_once_and_counted_after_that() {
    let world = Arc::new(World::new().await);
    for _ in 0..30 {
        assert_eq!(world.try_login("etl", PASSWORD).await.status, 403);
    }
    for _ in 0..8 {
        world.try_login("dana", "wrong").await;
    }
    let counts = |reason| {
        let world = Arc::clone(&world);
        tokio::task::spawn_blocking(move || stand_for(&world, reason))
    };
    assert_eq!(counts(AuthFailure::Service).await.unwrap(), [1]);
    assert_eq!(counts(AuthFailure::Password).await.unwrap(), [1; 5]);
    assert_eq!(counts(AuthFailure::Throttled).await.unwrap(), [1]);
    world.clock.advance(std::time::Duration::from_secs(60));
    let counted = async || counts(AuthFailure::Throttled).await.unwrap() == [1, 2];
    for _ in 0..200 {
        if counted().await {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(counts(AuthFailure::Throttled).await.unwrap(), [1, 2], "all eight are accounted for");
    assert_eq!(counts(AuthFailure::Service).await.unwrap(), [1, 29]);
}

/// A login with this password from that address.
async fn guess(world: &World, from: [u8; 4], person: &str, password: &str) -> u16 {
    let body = json!({"name": person, "password": password}).to_string();
    let head = "POST /api/v1/login HTTP/1.1\r\nhost: gate\r\nconnection: close";
    let head = format!("{head}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
    world.raw_from(from, &format!("{head}\r\n\r\n{body}")).await.status
}

/// As many wrong passwords, forty at once (a network has 64 connections without a login), and how many of them were looked
/// at; the others were told to wait.
fn flood(
    world: &Arc<World>,
    from: [u8; 4],
    names: impl Iterator<Item = String>,
) -> impl Future<Output = usize> {
    let (mut guesses, places) = (JoinSet::new(), Arc::new(tokio::sync::Semaphore::new(40)));
    for name in names {
        let (world, places) = (Arc::clone(world), Arc::clone(&places));
        guesses.spawn(async move {
            let _place = places.acquire_owned().await.unwrap();
            guess(&world, from, &name, "a guess").await
        });
    }
    async {
        let answers = guesses.join_all().await;
        assert!(answers.iter().all(|status| matches!(status, 401 | 429)), "{answers:?}");
        answers.iter().filter(|status| **status == 401).count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_guesses_at_once_gets_no_more_of_them_than_one_by_one_and_locks_out_nobody_else() {
    let world = Arc::new(World::new().await);
    let (office, home, street) = ([127, 0, 0, 1], [127, 0, 0, 2], [127, 0, 0, 3]);
    let of_name = flood(&world, office, (0..80).map(|_| "dana".to_owned()));
    // While it lasts, from elsewhere, and somebody else from there.
    assert_eq!(guess(&world, home, "dana", PASSWORD).await, 200);
    assert_eq!(guess(&world, office, "omar", PASSWORD).await, 200);
    // Five are free, and two are looked at at a time.
    let looked_at = of_name.await;
    assert!((5..=6).contains(&looked_at), "{looked_at}");
    assert_eq!(guess(&world, office, "dana", PASSWORD).await, 429);
    // As many names do not help: fifty are free where many sit behind one address.
    let of_address = flood(&world, street, (0..120).map(|number| format!("name-{number}")));
    assert_eq!(guess(&world, home, "omar", PASSWORD).await, 200);
    let looked_at = of_address.await;
    assert!((50..=51).contains(&looked_at), "{looked_at}");
    assert_eq!(guess(&world, street, "omar", PASSWORD).await, 429);
    assert_eq!(guess(&world, home, "dana", PASSWORD).await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_logout_with_time_with_a_new_password_and_with_its_person() {
    let world = World::new().await;
    let dana = world.login("dana").await;
    assert_eq!(world.get("/api/v1/me", &dana).await.json()["name"], json!("dana"));
    assert_eq!(world.post("/api/v1/logout", &dana, json!({})).await.status, 204);
    let out = world.get("/api/v1/me", &dana).await;
    assert_eq!((out.status, out.error().as_str()), (401, "login_required"));
    let dana = world.login("dana").await;
    world.people.set_password(&name("dana"), "another password", None).await.unwrap();
    assert_eq!(world.get("/api/v1/me", &dana).await.status, 401);
    let (omar, eve) = (world.login("omar").await, world.login("eve").await);
    world.people.remove(&name("eve"), None).await.unwrap();
    assert_eq!(world.get("/api/v1/me", &eve).await.status, 401);
    world.clock.advance(std::time::Duration::from_secs(12 * 60 * 60));
    assert_eq!(world.get("/api/v1/me", &omar).await.status, 401);
    assert_eq!(world.get("/api/v1/me", "").await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_get_changes_anything_and_no_form_of_another_site_is_read() {
    let world = World::new().await;
    let waiting = world.step_up().await;
    let dana = world.login("dana").await;
    for verb in ["verify", "approve", "deny", "cancel"] {
        let path = format!("/api/v1/requests/{}/{verb}", waiting.request);
        assert_eq!(world.get(&path, &dana).await.status, 405, "{verb}");
    }
    let body = format!("{{\"code\":\"{}\"}}", world.code("dana"));
    let form = world
        .raw(&format!(
            "POST /api/v1/requests/{}/verify HTTP/1.1\r\nhost: gate\r\nconnection: close\r\n\
             authorization: Bearer {dana}\r\ncontent-type: text/plain\r\ncontent-length: {}\r\n\r\n{body}",
            waiting.request,
            body.len()
        ))
        .await;
    assert_eq!(form.status, 415);
    assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_or_not_understood_is_refused_without_repeating_it() {
    let world = World::new().await;
    let large =
        world.post("/api/v1/login", "", json!({"name": "dana", "password": "x".repeat(300_000)})).await;
    assert_eq!(large.status, 413);
    let odd = world.post("/api/v1/login", "", json!({"name": "dana", "pasword": "geheim"})).await;
    assert_eq!(odd.status, 400);
    assert!(!odd.body.contains("geheim"), "{}", odd.body);
    assert_eq!(world.get("/healthz", "").await.json(), json!({"status": "ok"}));
    assert_eq!(world.get("/readyz", "").await.json(), json!({"status": "ready"}));
    // Not here, where everybody may come.
    assert_eq!(world.get("/metrics", "").await.status, 404);
}
