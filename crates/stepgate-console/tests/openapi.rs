//! docs/openapi.json and the API: each route, method, status and field of the one is there in the other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Value, json};
use world::{Answer, PASSWORD, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_every_route_of_the_api_and_no_other() {
    let world = World::new().await;
    let routes: BTreeSet<_> = stepgate_console::paths()
        .into_iter()
        .filter(|(_, _, is_page)| !is_page)
        .map(|(method, path, _)| (method.to_owned(), path.to_owned()))
        .collect();
    let documented: BTreeSet<_> =
        world.document.operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    assert_eq!(documented, routes);
    let served = world.get("/openapi.json", "").await;
    assert_eq!((served.status, served.json()), (200, world.document.all().clone()));
}

/// Statuses that take a disk that is full or a gate that does not answer.
const NOT_PROVOKED: [u16; 2] = [408, 503];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_and_field_that_the_document_names_is_given() {
    let world = World::new().await;
    refused(&world).await;
    login_and_out(&world).await;
    answered(&world).await;
    ended(&world).await;
    factors(&world).await;
    // Last: from now on nobody gets through.
    world.exhaust().await;
    for (method, path, _) in world.document.operations() {
        assert_eq!(world.call(&method, &filled(&path), "", None).await.status, 429, "{method} {path}");
    }
    all_seen(&world);
}

/// A path with an id in it that nothing has.
fn filled(path: &str) -> String {
    path.replace("{id}", "ZZZZ-ZZZZ").replace("{number}", "0")
}

/// What every route refuses, for the same reasons.
async fn refused(world: &World) {
    let token = world.login("dana").await;
    for (method, path, operation) in world.document.operations() {
        let path = filled(&path);
        let open_to_all = operation["security"] == json!([]);
        if !open_to_all {
            assert_eq!(world.call(&method, &path, "", None).await.status, 401, "{method} {path}");
            let both = world
                .send(
                    &method,
                    &path,
                    &[("authorization", &format!("Bearer {token}")), ("cookie", "stepgate=x")],
                    "",
                )
                .await;
            assert_eq!((both.status, both.error().as_str()), (400, "two_logins"), "{method} {path}");
            if path.contains("ZZZZ") {
                assert_eq!(world.call(&method, &path, &token, None).await.status, 404, "{method} {path}");
            }
        }
        if method == "post" {
            let from =
                [("authorization", format!("Bearer {token}")), ("origin", "https://evil.example".to_owned())];
            let from = from.each_ref().map(|(name, value)| (*name, value.as_str()));
            let other = world.send("POST", &path, &from, "").await;
            assert_eq!((other.status, other.error().as_str()), (403, "other_site"), "{path}");
        }
    }
}

async fn login_and_out(world: &World) {
    for path in ["/healthz", "/readyz"] {
        assert_eq!(world.get(path, "").await.status, 200);
    }
    assert_eq!(world.get("/openapi.json", "").await.status, 200);
    assert_eq!(world.try_login("etl", PASSWORD).await.status, 403);
    assert_eq!(world.try_login("dana", "wrong").await.status, 401);
    unreadable(world, "/api/v1/login", "").await;
    let token = world.login("dana").await;
    assert_eq!(world.get("/api/v1/me", &token).await.status, 200);
    assert_eq!(world.events(&token).await.status, 200);
    assert_eq!(world.post("/api/v1/logout", &token, json!({})).await.status, 204);
}

/// Bodies that are too large, of another kind, or with a field that is not in the document.
async fn unreadable(world: &World, path: &str, token: &str) {
    let authorization = format!("Bearer {token}");
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!token.is_empty()).then_some(("authorization", authorization.as_str())));
    assert_eq!(world.send("POST", path, &headers, &"x".repeat(300_000)).await.status, 413, "{path}");
    let unknown = world.send("POST", path, &headers, "{\"unknown\":1}").await;
    assert_eq!((unknown.status, unknown.error().as_str()), (400, "bad_request"), "{path}");
    headers[0].1 = "text/plain";
    assert_eq!(world.send("POST", path, &headers, "{}").await.status, 415, "{path}");
}

/// Requests that are open.
async fn answered(world: &World) {
    let (dana, omar) = (world.login("dana").await, world.login("omar").await);
    let (own, others) = (world.step_up().await, world.approval().await);
    assert_eq!(world.get("/api/v1/requests?state=all", &dana).await.status, 200);
    let own_path = format!("/api/v1/requests/{}", own.request);
    let path = format!("/api/v1/requests/{}", others.request);
    for more in ["", "/sql?offset=3", "/parameters/0", "/parameters/1"] {
        assert_eq!(world.get(&format!("{path}{more}"), &omar).await.status, 200, "{more}");
    }
    for (path, token) in [(&own_path, &dana), (&path, &omar)] {
        for verb in ["verify", "approve", "deny"] {
            unreadable(world, &format!("{path}/{verb}"), token).await;
        }
    }
    let post = async |path: &str, token: &str, body: Value| -> Answer { world.post(path, token, body).await };
    let reason = "x".repeat(1001);
    for verb in ["approve", "deny"] {
        let (to, code) = (format!("{path}/{verb}"), world.code("omar"));
        assert_eq!(post(&to, &omar, json!({"reason": "r"})).await.error(), "proof_needed");
        assert_eq!(
            post(&to, &omar, json!({"code": code, "reason": reason})).await.error(),
            "reason_too_long"
        );
        assert_eq!(post(&to, &dana, json!({"code": world.code("dana"), "reason": "r"})).await.status, 403);
    }
    let to = format!("{path}/approve");
    assert_eq!(post(&to, &omar, json!({"code": world.code("omar")})).await.error(), "reason_required");
    assert_eq!(post(&to, &omar, json!({"code": "000000", "reason": "r"})).await.error(), "wrong_code");
    assert_eq!(post(&format!("{path}/cancel"), &omar, json!({})).await.error(), "not_yours");
    let to = format!("{path}/verify");
    assert_eq!(post(&to, &dana, json!({"code": world.code("dana")})).await.error(), "not_eligible");
    assert_eq!(post(&to, &dana, json!({})).await.error(), "proof_needed");
    said(world, &path, &dana).await;
    world.clock.advance(Duration::from_secs(30));
    let approve = json!({"code": world.code("omar"), "reason": "ticket"});
    assert_eq!(post(&format!("{path}/approve"), &omar, approve).await.json()["state"], "approved");
    let to = format!("{own_path}/verify");
    assert_eq!(post(&to, &dana, json!({"code": world.code("dana")})).await.json()["state"], "approved");
    let grants = world.get("/api/v1/grants", &dana).await.json();
    let revoke = format!("/api/v1/grants/{}/revoke", grants[0]["grant"].as_str().unwrap());
    assert_eq!(post(&revoke, &dana, json!({})).await.status, 200);
    let (own, others) = (world.step_up().await, world.approval().await);
    world.clock.advance(Duration::from_secs(30));
    let deny = json!({"code": world.code("omar"), "reason": "no"});
    let to = format!("/api/v1/requests/{}/deny", others.request);
    assert_eq!(post(&to, &omar, deny).await.json()["state"], "denied");
    let to = format!("/api/v1/requests/{}/cancel", own.request);
    assert_eq!(post(&to, &dana, json!({})).await.status, 200);
}

/// What else is done with requests.
async fn said(world: &World, path: &str, dana: &str) {
    let to = format!("{path}/comment");
    unreadable(world, &to, dana).await;
    assert_eq!(world.post(&to, dana, json!({"text": "please"})).await.status, 200);
    assert_eq!(world.get(path, dana).await.json()["comments"][0]["text"], "please");
    let wish = json!({"service": "etl", "database": "shop", "statements": ["select 1"], "search_path": ["public"],
        "until": "2030-01-01T00:00:00Z", "rows": 5, "bytes": 1000, "reason": "nightly"});
    unreadable(world, "/api/v1/requests", dana).await;
    let opened = world.post("/api/v1/requests", dana, wish.clone()).await;
    assert_eq!((opened.status, &opened.json()["opened_by"]), (201, &json!("dana")), "{}", opened.body);
    let mut other = wish;
    other["service"] = json!("dana");
    assert_eq!(world.post("/api/v1/requests", dana, other).await.error(), "unfit");
    let omar = world.login("omar").await;
    let to = format!("/api/v1/requests/{}/not-me", opened.json()["request"].as_str().unwrap());
    assert_eq!(world.post(&to, &omar, json!({})).await.error(), "not_yours");
    assert_eq!(world.post(&to, dana, json!({})).await.json()["state"], "denied");
}

/// Requests that have ended.
async fn ended(world: &World) {
    let (dana, omar) = (world.login("dana").await, world.login("omar").await);
    let all = world.get("/api/v1/requests?state=all", &dana).await.json();
    let of = |state: &str| {
        let row = all.as_array().unwrap().iter().find(|row| row["state"] == state).unwrap();
        format!("/api/v1/requests/{}", row["request"].as_str().unwrap())
    };
    for (path, token) in [(of("cancelled"), &dana), (of("denied"), &omar)] {
        assert_eq!(world.get(&path, token).await.status, 200);
        for more in ["/sql", "/parameters/0"] {
            assert_eq!(world.get(&format!("{path}{more}"), token).await.error(), "ended", "{more}");
        }
        for verb in ["verify", "approve", "deny", "cancel", "not-me", "comment"] {
            let body = if verb == "comment" { json!({"text": "late"}) } else { json!({"code": "000000"}) };
            let late = world.post(&format!("{path}/{verb}"), token, body).await;
            assert_eq!(late.error(), "ended", "{verb}");
        }
    }
}

/// One's own authenticators, and what is answered by them.
async fn factors(world: &World) {
    let (dana, omar) = (world.login("dana").await, world.login("omar").await);
    let post = async |path: &str, token: &str, body: Value| -> Answer { world.post(path, token, body).await };
    world.clock.advance(Duration::from_secs(3600));
    let listed = world.get("/api/v1/factors", &dana).await;
    assert_eq!((listed.status, &listed.json()[0]["method"]), (200, &json!("totp")));
    let own = world.step_up().await;
    let path = format!("/api/v1/requests/{}", own.request);
    let methods = world.get(&format!("{path}/methods"), &dana).await.json();
    assert_eq!((&methods[0]["method"], &methods[0]["available"]), (&json!("totp"), &json!(true)));
    for path in ["new", "confirm", "challenge", "remove", "reset"] {
        unreadable(world, &format!("/api/v1/factors/{path}"), &dana).await;
    }
    let challenge = format!("{path}/challenge");
    unreadable(world, &challenge, &dana).await;
    assert_eq!(post(&challenge, &dana, json!({"method": "phone"})).await.error(), "no_method");
    let challenged = post(&challenge, &dana, json!({"method": "totp", "approve": true})).await.json();
    let proof = json!({"code": world.code("dana"), "challenge": challenged["challenge"], "method": "totp"});
    let both = json!({"code": world.code("dana"), "proof": proof.clone()});
    assert_eq!(post(&format!("{path}/verify"), &dana, both).await.error(), "no_challenge");
    let verified = post(&format!("{path}/verify"), &dana, json!({"proof": proof})).await;
    assert_eq!(verified.json()["state"], "approved", "{}", verified.body);
    for path in ["methods", "challenge"] {
        let (method, body) =
            if path == "methods" { ("GET", None) } else { ("POST", Some(json!({"method": "totp"}))) };
        let late = world.call(method, &format!("/api/v1/requests/{}/{path}", own.request), &dana, body).await;
        assert_eq!(late.error(), "ended", "{path}");
    }
    // Another one, by a code of the first.
    world.clock.advance(Duration::from_secs(30));
    let new = "/api/v1/factors/new";
    let about = json!({"method": "totp", "name": "old phone", "about": {}, "replaces": "totp-00000000"});
    assert_eq!(post(new, &dana, about).await.error(), "no_factor");
    assert_eq!(post(new, &dana, json!({"method": "totp"})).await.error(), "proof_needed");
    let by_code =
        json!({"method": "totp", "name": "old phone", "about": {}, "proof": {"code": world.code("dana")}});
    let begun = post(new, &dana, by_code).await.json();
    let phone = world.phone(begun["shown"]["otpauth_uri"].as_str().unwrap());
    let confirm = "/api/v1/factors/confirm";
    let confirmation = json!({"method": "totp", "proof": {"code": phone.code_at(world.now())}});
    let id = post(confirm, &dana, confirmation.clone()).await.json()["id"].clone();
    assert_eq!(post(confirm, &dana, confirmation).await.error(), "not_begun");
    assert_eq!(post(confirm, &dana, json!({"method": "totp", "proof": {}})).await.error(), "proof_needed");
    // In the place of that one, yet another; and an enrolment code besides is no harm.
    world.clock.advance(Duration::from_secs(30));
    let replaced = json!({"method": "totp", "replaces": id, "enrolment_code": "0000",
        "proof": {"code": world.code("dana")}});
    assert_eq!(post(new, &dana, replaced).await.status, 200);
    let own = "/api/v1/factors/challenge";
    assert_eq!(post(own, &dana, json!({"method": "oidc"})).await.error(), "not_enrolled");
    assert_eq!(post(own, &omar, json!({"method": "totp", "reset": "dana"})).await.status, 200);
    // Taken away again.
    let remove = "/api/v1/factors/remove";
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(post(remove, &dana, json!({"id": id})).await.error(), "proof_needed");
    let nothing = json!({"id": "phone", "proof": {"code": world.code("dana")}});
    assert_eq!(post(remove, &dana, nothing).await.error(), "no_factor");
    assert_eq!(
        post(remove, &dana, json!({"id": id, "proof": {"code": world.code("dana")}})).await.status,
        200
    );
    // All of them, by two people.
    let reset = "/api/v1/factors/reset";
    let by_omar = json!({"person": "dana", "proof": {"code": world.code("omar")}});
    assert_eq!(post(reset, &omar, json!({"person": "dana"})).await.error(), "proof_needed");
    assert_eq!(post(reset, &omar, by_omar.clone()).await.error(), "no_factor");
    world.ask_reset("dana").await;
    assert_eq!(post(reset, &omar, by_omar).await.status, 200);
    assert_eq!(world.get("/api/v1/factors", &dana).await.json(), json!([]));
    // By a password alone, and by a wrong code, nothing is enrolled.
    assert_eq!(post(new, &dana, json!({"method": "totp"})).await.error(), "enrolment_code_needed");
    let guessed = json!({"method": "totp", "enrolment_code": "0000-0000-0000-0000-0000-0000"});
    assert_eq!(post(new, &dana, guessed).await.error(), "bad_enrolment_code");
    let request = world.step_up().await.request;
    let challenge = format!("/api/v1/requests/{request}/challenge");
    assert_eq!(post(&challenge, &dana, json!({"method": "totp"})).await.error(), "not_enrolled");
}

fn all_seen(world: &World) {
    let (document, seen) = (&world.document, world.document.seen());
    let mut lacking: Vec<String> = Vec::new();
    for (method, path, operation) in document.operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let status: u16 = status.parse().unwrap();
            let given = seen.answers.contains(&(method.clone(), path.clone(), status));
            if !given && !NOT_PROVOKED.contains(&status) {
                lacking.push(format!("{method} {path} {status}"));
            }
        }
    }
    for (schema, of) in document.all()["components"]["schemas"].as_object().unwrap() {
        for field in of["properties"].as_object().unwrap().keys() {
            if !seen.fields.contains(&(schema.clone(), field.clone())) {
                lacking.push(format!("{schema}.{field}"));
            }
        }
    }
    assert!(lacking.is_empty(), "docs/openapi.json names what the API never says: {lacking:#?}");
}
