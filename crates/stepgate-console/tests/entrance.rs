//! Logging in by a passkey alone: what lets somebody in, what does not, and what nobody learns by asking.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use stepgate_testkit::SecurityKey;
use stepgate_testkit::security_key::flag;
use stepgate_types::PersonName;
use world::browser::between;
use world::{Answer, SITE, World, name};

const BEGIN: &str = "/login/passkey/begin";
const FINISH: &str = "/login/passkey";

/// What a script of a page of ours sends.
async fn call(world: &World, path: &str, body: &Value) -> Answer {
    let own = [("content-type", "application/json"), ("origin", "null"), ("sec-fetch-site", "same-origin")];
    world.send("POST", path, &own, &body.to_string()).await
}

async fn begin(world: &World, name: &str) -> Value {
    let begun = call(world, BEGIN, &json!({"name": name})).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    begun.json()
}

async fn finish(world: &World, name: &str, challenge: &Value, passkey: &Value) -> Answer {
    call(world, FINISH, &json!({"name": name, "challenge": challenge, "passkey": passkey})).await
}

/// Somebody's enrolled key.
async fn enrolled(world: &World, person: &str, seed: u64) -> SecurityKey {
    let token = world.login(person).await;
    let mut key = SecurityKey::new(seed, SITE).unwrap();
    let operators = world.desk.enrol_code(&name(person), None).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    let body = json!({"name": "ring", "enrolment_code": *operators, "proof": {"code": world.code(person)}});
    let begun = world.post("/api/v1/factors/passkey", &token, body).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let made = key.create(&begun.json()).unwrap();
    let confirm = json!({"proof": {"passkey": made}});
    assert_eq!(world.post("/api/v1/factors/passkey/confirm", &token, confirm).await.status, 200);
    key.rp_id = Some("gate.example".to_owned());
    key
}

/// A whole login.
async fn log_in(world: &World, person: &str, key: &mut SecurityKey) -> Answer {
    let begun = begin(world, person).await;
    let signed = key.get(&begun["shown"]).unwrap();
    finish(world, person, &begun["challenge"], &signed).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_lets_its_owner_in_without_a_password_once_for_each_time() {
    let world = World::new().await;
    let mut key = enrolled(&world, "dana", 1).await;
    let begun = begin(&world, "dana").await;
    assert_eq!(begun["shown"]["userVerification"], "required");
    let signed = key.get(&begun["shown"]).unwrap();
    let let_in = finish(&world, "dana", &begun["challenge"], &signed).await;
    assert_eq!((let_in.status, &let_in.json()["to"]), (200, &json!("/")), "{}", let_in.body);
    let cookie = between(&let_in.head, "set-cookie: ", ";").unwrap();
    let page = world.send("GET", "/", &[("cookie", cookie), ("sec-fetch-site", "none")], "").await;
    assert!(page.status == 200 && page.body.contains("Log out"), "{}", page.body);
    // Its login goes with it.
    let mut other = enrolled(&world, "eve", 2).await;
    let let_in = log_in(&world, "eve", &mut other).await;
    let hers = [("cookie", between(&let_in.head, "set-cookie: ", ";").unwrap()), ("sec-fetch-site", "none")];
    assert_eq!(world.send("GET", "/", &hers, "").await.status, 200);
    let passkey =
        world.desk.authenticators(&name("eve")).into_iter().find(|it| it.name == "ring").unwrap().id;
    world
        .desk
        .remove_factor(&name("eve"), &passkey.parse().unwrap(), None::<PersonName>, None)
        .await
        .unwrap();
    assert_eq!(world.send("GET", "/", &hers, "").await.status, 303);
    // The same again, and by two at once.
    assert_eq!(finish(&world, "dana", &begun["challenge"], &signed).await.status, 401);
    let begun = begin(&world, "dana").await;
    let signed = key.get(&begun["shown"]).unwrap();
    let once = || finish(&world, "dana", &begun["challenge"], &signed);
    let both = tokio::join!(once(), once());
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401]);
    // And not for ever.
    let begun = begin(&world, "dana").await;
    let signed = key.get(&begun["shown"]).unwrap();
    world.clock.advance(Duration::from_secs(121));
    assert_eq!(finish(&world, "dana", &begun["challenge"], &signed).await.status, 401);
    assert_eq!(log_in(&world, "dana", &mut key).await.status, 200);
}

/// How a key deceives.
type Lie = fn(&mut SecurityKey);

#[tokio::test(flavor = "multi_thread")]
async fn forged_flags_origins_counters_and_others_signatures_let_nobody_in() {
    let world = World::new().await;
    let mut dana = enrolled(&world, "dana", 1).await;
    let mut eve = enrolled(&world, "eve", 2).await;
    dana.counter = 10;
    assert_eq!(log_in(&world, "dana", &mut dana).await.status, 200);
    let lies: [Lie; 5] = [
        |key| key.flags &= !flag::VERIFIED,
        |key| key.origin = "https://evil.example".to_owned(),
        |key| key.rp_id = Some("evil.example".to_owned()),
        |key| key.client_data.push(("crossOrigin".to_owned(), json!(true))),
        |key| key.counter = 3,
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        let mut liar = dana.clone();
        lie(&mut liar);
        let refused = log_in(&world, "dana", &mut liar).await;
        assert_eq!((refused.status, refused.error().as_str()), (401, "wrong_credentials"), "{number}");
        // Who has failed for long waits for seconds.
        world.clock.advance(Duration::from_secs(16 * 60));
    }
    // Another person's signature; one under another name's challenge; one that answers something else.
    assert_eq!(log_in(&world, "dana", &mut eve).await.status, 401);
    let of_dana = begin(&world, "dana").await;
    let signed = eve.get(&of_dana["shown"]).unwrap();
    assert_eq!(finish(&world, "eve", &of_dana["challenge"], &signed).await.status, 401);
    let token = world.login("dana").await;
    let other = world.post("/api/v1/challenges", &token, json!({"method": "passkey"})).await.json();
    let signed = dana.get(&other["shown"]).unwrap();
    let begun = begin(&world, "dana").await;
    assert_eq!(finish(&world, "dana", &begun["challenge"], &signed).await.status, 401);
    assert_eq!(finish(&world, "dana", &other["challenge"], &signed).await.status, 401);
    // And what was signed to log in proves nothing else.
    let signed = dana.get(&begun["shown"]).unwrap();
    let request = world.step_up().await;
    let path = format!("/api/v1/requests/{}/verify", request.request);
    let proof = json!({"proof": {"challenge": other["challenge"], "passkey": signed}});
    assert!(world.post(&path, &token, proof).await.status >= 400);
    assert_eq!(log_in(&world, "dana", &mut dana).await.status, 200);
}

/// What there is in it, without what differs by chance.
fn form(begun: &Value) -> (usize, Vec<String>, Vec<String>) {
    let keys = |value: &Value| {
        let keys: std::collections::BTreeSet<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.into_iter().collect::<Vec<_>>()
    };
    let allowed = begun["shown"]["allowCredentials"].as_array().unwrap();
    assert!(allowed.iter().all(|one| keys(one) == ["id", "type"]), "{allowed:?}");
    (allowed.len(), keys(begun), keys(&begun["shown"]))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_learns_by_asking_whose_name_is_somebodys() {
    let world = World::new().await;
    let mut key = enrolled(&world, "dana", 1).await;
    let mut forms = Vec::new();
    // Somebody with a passkey, somebody without, a service, nobody, and no name at all.
    for who in ["dana", "omar", "etl", "nobody", "no body; --", ""] {
        let begun = begin(&world, who).await;
        forms.push(form(&begun));
        let again = begin(&world, who).await;
        let ids = |begun: &Value| begun["shown"]["allowCredentials"].clone();
        assert_eq!(ids(&begun), ids(&again), "{who}: the same at each time");
        let mut other = SecurityKey::new(7, SITE).unwrap();
        other.rp_id = Some("gate.example".to_owned());
        let signed = other.get(&begun["shown"]).unwrap();
        let refused = finish(&world, who, &begun["challenge"], &signed).await;
        let said = "this passkey does not log that name in, or it took too long";
        assert_eq!((refused.status, &refused.json()["message"]), (401, &json!(said)), "{who}");
    }
    forms.dedup();
    assert_eq!(forms.len(), 1, "{forms:?}");
    assert_eq!(log_in(&world, "dana", &mut key).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_and_another_sites_page_logs_nobody_in() {
    let world = World::new().await;
    let mut key = enrolled(&world, "dana", 1).await;
    let begun = begin(&world, "dana").await;
    let signed = key.get(&begun["shown"]).unwrap();
    let body = json!({"name": "dana", "challenge": begun["challenge"], "passkey": signed}).to_string();
    let json = ("content-type", "application/json");
    let other: [&[(&str, &str)]; 2] =
        [&[json], &[json, ("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")]];
    for headers in other {
        assert_eq!(world.send("POST", FINISH, headers, &body).await.error(), "other_site");
    }
    let mut statuses = Vec::new();
    for _ in 0..10 {
        statuses.push(finish(&world, "dana", &json!("x"), &json!({})).await.status);
    }
    assert!(statuses.starts_with(&[401; 5]) && statuses.ends_with(&[429]), "{statuses:?}");
    world.clock.advance(Duration::from_secs(61));
    assert_eq!(log_in(&world, "dana", &mut key).await.status, 200);
}
