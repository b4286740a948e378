//! docs/openapi.json and the API: each route, method, status and field of the one is there in the other.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use stepgate_approval::{PushFactor, push_answer, push_enrolment};
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

/// What takes an identity provider: `elsewhere.rs` has one, and holds its answers against the document as well.
const WITH_A_PROVIDER: [(&str, u16); 6] = [
    ("/api/v1/login/code", 200),
    ("/api/v1/login/device", 200),
    ("/api/v1/login/device", 502),
    ("/api/v1/login/device/token", 200),
    ("/api/v1/login/device/token", 202),
    ("/api/v1/login/device/token", 502),
];

/// What takes `console.proven_readers`: `logins.rs` has it, and holds its answers against the document as well.
const WITH_PROVEN_READERS: [(&str, u16); 4] = [
    ("/api/v1/requests/{id}", 403),
    ("/api/v1/requests/{id}/sql", 403),
    ("/api/v1/requests/{id}/behind/{number}", 403),
    ("/api/v1/requests/{id}/parameters/{number}", 403),
];

/// What is in these.
const OF_A_PROVIDER: [&str; 5] =
    ["ProgramCode", "DeviceWanted", "DeviceBegun", "DeviceGiven", "DevicePending"];

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_and_field_that_the_document_names_is_given() {
    let world = World::new().await;
    refused(&world).await;
    login_and_out(&world).await;
    answered(&world).await;
    ended(&world).await;
    devices(&world).await;
    passwords(&world).await;
    glasses(&world).await;
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
    let path = path.replace("{id}", "ZZZZ-ZZZZ").replace("{number}", "0");
    path.replace("{factor}", "totp").replace("{name}", "nobody")
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
    let more = json!({"name": "eve", "password": PASSWORD, "code": world.code("eve")});
    assert_eq!(world.post("/api/v1/login", "", more).await.status, 200);
    world.clock.advance(Duration::from_secs(60));
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
    for more in ["", "/sql?offset=3", "/behind/0", "/parameters/0", "/parameters/1"] {
        assert_eq!(world.get(&format!("{path}{more}"), &omar).await.status, 200, "{more}");
    }
    for (path, token) in [(&own_path, &dana), (&path, &omar)] {
        for verb in ["verify", "approve", "deny", "challenge"] {
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
    assert_eq!(world.get(&format!("{path}/methods"), &omar).await.status, 200);
    let wanted = json!({"method": "totp", "approve": true});
    assert_eq!(post(&format!("{path}/challenge"), &omar, wanted).await.status, 200);
    let approve = json!({"code": world.code("omar"), "reason": "ticket"});
    assert_eq!(post(&format!("{path}/approve"), &omar, approve).await.json()["state"], "approved");
    let to = format!("{own_path}/verify");
    assert_eq!(
        post(&to, &dana, json!({"proof": {"code": world.code("dana")}})).await.json()["state"],
        "approved"
    );
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
    let wish = json!({"service": "etl", "database": "shop", "statements": ["select 1"], "search_path": ["public"], "time_zone": "UTC",
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
        for more in ["/sql", "/behind/0", "/parameters/0", "/methods"] {
            assert_eq!(world.get(&format!("{path}{more}"), token).await.error(), "ended", "{more}");
        }
        for verb in ["verify", "approve", "deny", "cancel", "not-me", "comment", "challenge"] {
            let body = if verb == "comment" { json!({"text": "late"}) } else { json!({"code": "000000"}) };
            let late = world.post(&format!("{path}/{verb}"), token, body).await;
            assert_eq!(late.error(), "ended", "{verb}");
        }
    }
}

/// Authenticators: eve has a passkey made, answers and removes by it, and is reset by omar.
async fn passwords(world: &World) {
    unreadable(world, "/api/v1/login/code", "").await;
    let guessed = json!({"code": "0", "verifier": "0"});
    assert_eq!(world.post("/api/v1/login/code", "", guessed).await.status, 401);
    for path in ["/api/v1/login/device", "/api/v1/login/device/token"] {
        unreadable(world, path, "").await;
    }
    let wanted = json!({"challenge": "ab".repeat(32)});
    assert_eq!(world.post("/api/v1/login/device", "", wanted).await.status, 404);
    let guessed = json!({"device": "0", "verifier": "0"});
    assert_eq!(world.post("/api/v1/login/device/token", "", guessed).await.error(), "over");
    let eve = world.login("eve").await;
    unreadable(world, "/api/v1/passwords", &eve).await;
    assert_eq!(world.post("/api/v1/passwords", &eve, json!({})).await.error(), "proof_needed");
    let minted = world.post("/api/v1/passwords", &eve, json!({"code": world.code("eve")})).await;
    assert_eq!(minted.status, 200, "{}", minted.body);
    assert_eq!(world.get("/api/v1/passwords", &eve).await.json()[0]["id"], minted.json()["id"]);
    let path = format!("/api/v1/passwords/{}/revoke", minted.json()["id"].as_str().unwrap());
    let omar = world.login("omar").await;
    assert_eq!(world.post(&path, &omar, json!({})).await.status, 404);
    assert_eq!(world.post(&path, &eve, json!({})).await.status, 204);
    world.clock.advance(Duration::from_secs(30));
}

async fn factors(world: &World) {
    let (eve, omar) = (world.login("eve").await, world.login("omar").await);
    let post = async |path: &str, token: &str, body: Value| -> Answer { world.post(path, token, body).await };
    let mut key = stepgate_testkit::SecurityKey::new(1, world::SITE).unwrap();
    for path in [
        "/api/v1/challenges",
        "/api/v1/factors/passkey",
        "/api/v1/factors/totp/confirm",
        "/api/v1/factors/totp/remove",
        "/api/v1/people/eve/reset",
    ] {
        unreadable(world, path, &eve).await;
    }
    let proof = || json!({"code": world.code("eve")});
    for (path, body) in
        [("", json!({})), ("/confirm", json!({"proof": {"code": "1"}})), ("/remove", json!({}))]
    {
        assert_eq!(post(&format!("/api/v1/factors/nonsense{path}"), &eve, body).await.status, 404, "{path}");
    }
    assert_eq!(
        post("/api/v1/factors/totp/confirm", &eve, json!({"proof": proof()})).await.error(),
        "not_begun"
    );
    let hiding = json!({"name": "x\u{202e}", "proof": proof()});
    assert_eq!(post("/api/v1/factors/passkey", &eve, hiding).await.error(), "bad_name");
    let operators = world.desk.enrol_code(&world::name("eve"), None).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    let new = json!({
        "name": "Key ring", "about": {}, "replace": false, "enrolment_code": *operators, "proof": proof(),
    });
    let shown = post("/api/v1/factors/passkey", &eve, new).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let made = json!({"proof": {"passkey": key.create(&shown.json()).unwrap()}});
    let id = post("/api/v1/factors/passkey/confirm", &eve, made).await.json()["authenticator"].clone();
    let listed = world.get("/api/v1/factors", &eve).await.json();
    assert!(listed.as_array().unwrap().iter().any(|one| one["id"] == id), "{listed}");
    // By that passkey, the app is removed.
    let asked = post("/api/v1/challenges", &eve, json!({"method": "passkey"})).await.json();
    let passkey = key.get(&asked["shown"]).unwrap();
    let removal = json!({"proof": {"challenge": asked["challenge"], "passkey": passkey}});
    let app = listed.as_array().unwrap().iter().find(|one| one["method"] == "totp").unwrap();
    let path = format!("/api/v1/factors/{}/remove", app["id"].as_str().unwrap());
    assert_eq!(post(&path, &eve, json!({"proof": {"code": "000000"}})).await.status, 401);
    assert_eq!(post(&path, &eve, removal).await.status, 204);
    // Eve has lost the rest: the operator asks for a reset, and somebody else confirms it.
    let reset = async |who: &str, proof: Value| {
        let path = format!("/api/v1/people/{who}/reset");
        post(&path, &omar, json!({"proof": proof})).await
    };
    world.clock.advance(Duration::from_secs(30));
    assert_eq!(reset("eve", json!({"code": world.code("omar")})).await.status, 404, "nobody asked for it");
    world.desk.ask_reset(&world::name("eve"), None).await.unwrap();
    let wanted = json!({"method": "totp", "reset": "eve"});
    assert_eq!(post("/api/v1/challenges", &omar, wanted).await.status, 200);
    assert_eq!(reset("eve", json!({"code": "000000"})).await.status, 401);
    world.clock.advance(Duration::from_secs(30));
    let done = reset("eve", json!({"code": world.code("omar")})).await;
    assert_eq!(done.status, 204, "{}", done.body);
}

/// Omar breaks the glass by a passkey, and dana reviews it.
async fn glasses(world: &World) {
    let omar = world.login("omar").await;
    let post = async |path: &str, token: &str, body: Value| -> Answer { world.post(path, token, body).await };
    let mut key = stepgate_testkit::SecurityKey::new(7, world::SITE).unwrap();
    let operators = world.desk.enrol_code(&world::name("omar"), None).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    let new = json!({"enrolment_code": *operators, "proof": {"code": world.code("omar")}});
    let shown = post("/api/v1/factors/passkey", &omar, new).await.json();
    let made = json!({"proof": {"passkey": key.create(&shown).unwrap()}});
    assert_eq!(post("/api/v1/factors/passkey/confirm", &omar, made).await.status, 200);
    world.clock.advance(Duration::from_secs(25 * 3600));
    let (dana, omar) = (world.login("dana").await, world.login("omar").await);
    let path = "/api/v1/break-glass";
    let wish = json!({"reason": "the shop is down", "seconds": 600, "database": "shop", "client": "psql"});
    assert_eq!(post(path, &omar, wish.clone()).await.error(), "break_glass_off");
    let of = |group: &str| std::collections::BTreeSet::from([group.parse().unwrap()]);
    world.desk.set_break_glass(Some(stepgate_approval::GlassRules {
        groups: of("data-owners"),
        reviewers: of("analysts"),
        review: stepgate_types::Strength::Standard,
        most: stepgate_approval::MAX_GLASS,
        lifts: stepgate_approval::Lifts { denied: true, control: false },
    }));
    unreadable(world, path, &omar).await;
    assert_eq!(post(path, &dana, wish.clone()).await.error(), "not_eligible");
    let bare = post(path, &omar, json!({"reason": "", "client": "psql"})).await;
    assert_eq!(bare.error(), "reason_required");
    let asked = post(path, &omar, wish.clone()).await;
    assert_eq!((asked.status, &asked.json()["state"]), (201, &json!("asked")), "{}", asked.body);
    let of = |verb: &str| format!("{path}/{}/{verb}", asked.json()["grant"].as_str().unwrap());
    for verb in ["challenge", "open", "review"] {
        unreadable(world, &of(verb), &omar).await;
    }
    assert_eq!(post(&of("challenge"), &omar, json!({"method": "totp"})).await.error(), "passkey_needed");
    let challenge = post(&of("challenge"), &omar, json!({"method": "passkey"})).await.json();
    let passkey = key.get(&challenge["shown"]).unwrap();
    let proof = json!({"proof": {"challenge": challenge["challenge"], "passkey": passkey}});
    let weak = post(&of("open"), &omar, json!({"proof": {"code": world.code("omar")}})).await;
    assert_eq!((weak.status, weak.error().as_str()), (401, "too_weak"), "{}", weak.body);
    let opened = post(&of("open"), &omar, proof).await;
    assert_eq!(opened.json()["state"], "open", "{}", opened.body);
    assert_eq!(post(path, &omar, wish).await.error(), "not_reviewed");
    let reviewed = async |token: &str, body: Value| post(&of("review"), token, body).await;
    assert_eq!(reviewed(&dana, json!({"comment": "x", "proof": {"code": "1"}})).await.error(), "still_open");
    let wanted = json!({"method": "push"});
    let (methods, challenge) = (of("review/methods"), of("review/challenge"));
    assert_eq!(world.get(&methods, &dana).await.error(), "still_open");
    assert_eq!(post(&challenge, &dana, wanted.clone()).await.error(), "still_open");
    assert_eq!(post(&of("end"), &omar, json!({})).await.json()["state"], "to-review");
    assert_eq!(world.get(path, &dana).await.json()[0]["state"], "to-review");
    unreadable(world, &challenge, &dana).await;
    assert_eq!(world.get(&methods, &omar).await.error(), "own");
    assert_eq!(world.get(&methods, &dana).await.status, 200);
    let begun = post(&challenge, &dana, wanted.clone()).await.json();
    let waiting = world.get("/api/v1/challenges", &dana).await.json();
    assert_eq!(waiting[0]["challenge"], begun["challenge"]);
    assert_eq!(waiting[0]["glass"], asked.json()["grant"]);
    assert_eq!(reviewed(&omar, json!({"comment": "x", "proof": {"code": "1"}})).await.error(), "own");
    assert_eq!(
        reviewed(&dana, json!({"comment": "", "proof": {"code": "1"}})).await.error(),
        "reason_required"
    );
    assert_eq!(
        reviewed(&dana, json!({"comment": "x", "proof": {"code": "000000"}})).await.error(),
        "wrong_code"
    );
    let done = reviewed(&dana, json!({"comment": "in order", "proof": {"code": world.code("dana")}})).await;
    assert_eq!(done.json()["state"], "reviewed", "{}", done.body);
    world.clock.advance(Duration::from_secs(30));
    // A policy that waits for two of the analysts.
    let sha256 = "ab".repeat(32);
    let strength = stepgate_types::Strength::Standard;
    world.desk.set_two_person(Some(stepgate_store::TwoPerson { groups: of_analysts(), strength }));
    world.desk.propose_policy(&sha256).await.unwrap();
    let to = format!("/api/v1/policies/{sha256}/approve");
    assert_eq!(world.get("/api/v1/policies", &omar).await.json(), json!([]));
    unreadable(world, &to, &dana).await;
    let policy = format!("/api/v1/policies/{sha256}");
    unreadable(world, &format!("{policy}/challenge"), &dana).await;
    assert_eq!(
        world.get(&policy, &dana).await.json()["proposed"],
        world.get("/api/v1/policies", &dana).await.json()[0]["proposed"]
    );
    assert_eq!(world.get(&format!("{policy}/methods"), &dana).await.status, 200);
    let change = world.get(&format!("{policy}/change"), &dana).await.json();
    assert_eq!(
        (&change["from"]["policy_sha256"], &change["to"]["policy_sha256"]),
        (&json!(world::IN_FORCE), &json!(sha256))
    );
    let lost = "00".repeat(32);
    world.desk.propose_policy(&lost).await.unwrap();
    let not_kept = world.get(&format!("/api/v1/policies/{lost}/change"), &dana).await;
    assert_eq!(not_kept.error(), "not_kept", "{}", not_kept.body);
    post(&format!("{policy}/challenge"), &dana, wanted.clone()).await;
    let waiting = world.get("/api/v1/challenges", &dana).await.json();
    assert_eq!(waiting[0]["policy_sha256"], json!(sha256));
    let stale = json!({"proof": {"challenge": "0".repeat(32), "code": "1"}});
    assert_eq!(post(&to, &dana, stale).await.error(), "no_challenge");
    // A passkey of today does not count for others yet.
    world.clock.advance(Duration::from_secs(30));
    let operators = world.desk.enrol_code(&world::name("dana"), None).await.unwrap();
    let new = json!({"enrolment_code": *operators, "proof": {"code": world.code("dana")}});
    let shown = post("/api/v1/factors/passkey", &dana, new).await.json();
    let mut fresh = stepgate_testkit::SecurityKey::new(8, world::SITE).unwrap();
    let made = json!({"proof": {"passkey": fresh.create(&shown).unwrap()}});
    assert_eq!(post("/api/v1/factors/passkey/confirm", &dana, made).await.status, 200);
    let wanted = json!({"method": "passkey"});
    assert_eq!(post(&format!("{policy}/challenge"), &dana, wanted).await.error(), "unavailable");
    let eve = world.login("eve").await;
    assert_eq!(post(&to, &eve, json!({"proof": {"code": "000000"}})).await.error(), "wrong_code");
    for (token, person, state) in
        [(&dana, "dana", "proposed"), (&dana, "dana", "proposed"), (&eve, "eve", "approved")]
    {
        world.clock.advance(Duration::from_secs(30));
        let code = json!({"code": world.code(person)});
        let said = post(&to, token, if person == "eve" { json!({"proof": code}) } else { code }).await;
        assert_eq!(said.json()["state"], state, "{}", said.body);
        assert_eq!(world.get("/api/v1/policies", token).await.status, 200);
    }
    assert_eq!(world.desk.approved_policy(), Some(sha256));
    world.clock.advance(Duration::from_secs(30));
}

fn of_analysts() -> BTreeSet<stepgate_types::GroupName> {
    BTreeSet::from(["analysts".parse().unwrap()])
}

/// A device of dana's is enrolled and answers what waits for it.
async fn devices(world: &World) {
    world.desk.plug(std::sync::Arc::new(PushFactor::new(zeroize::Zeroizing::new([1; 32]))));
    let dana = world.login("dana").await;
    let key = SigningKey::from_bytes(&[7; 32]);
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let unhex = |text: &Value| -> [u8; 32] {
        let text = text.as_str().unwrap();
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
        (0..64).step_by(2).map(byte).collect::<Vec<_>>().try_into().unwrap()
    };
    let public = key.verifying_key().to_bytes();
    let operators = world.desk.enrol_code(&world::name("dana"), None).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    let new = json!({
        "name": "laptop", "about": {"public_key": hex(&public)}, "enrolment_code": *operators,
        "proof": {"code": world.code("dana")},
    });
    let shown = world.post("/api/v1/factors/push", &dana, new).await;
    assert_eq!(shown.status, 200, "{}", shown.body);
    let signature = hex(&key.sign(&push_enrolment(&unhex(&shown.json()["binding"]), &public)).to_bytes());
    let made = json!({"proof": {"push": {"signature": signature}}});
    let id = world.post("/api/v1/factors/push/confirm", &dana, made).await.json()["authenticator"].clone();
    let path = format!("/api/v1/requests/{}", world.step_up().await.request);
    let wanted = json!({"method": "push", "approve": true});
    let begun = world.post(&format!("{path}/challenge"), &dana, wanted).await.json();
    let listed = world.get("/api/v1/challenges", &dana).await;
    let waiting = listed.json()[0].clone();
    let code = begun["shown"]["code"].as_str().unwrap();
    assert!(waiting["challenge"] == begun["challenge"] && !listed.body.contains(&format!("\"{code}\"")));
    let signature = hex(&key.sign(&push_answer(&unhex(&waiting["binding"]), code)).to_bytes());
    let push = json!({"device": id, "signature": signature, "code": code});
    let answer = json!({"proof": {"challenge": begun["challenge"], "push": push}});
    // Another request: what was signed says nothing of it.
    let other = world.approval().await.request;
    let replayed = world.post(&format!("/api/v1/requests/{other}/verify"), &dana, answer.clone()).await;
    assert!(replayed.status >= 400, "{}", replayed.body);
    let done = world.post(&format!("{path}/verify"), &dana, answer.clone()).await;
    assert_eq!(done.json()["state"], "approved", "{}", done.body);
    let again = world.post(&format!("{path}/verify"), &dana, answer).await;
    assert_eq!(again.error(), "ended");
}

fn all_seen(world: &World) {
    let (document, seen) = (&world.document, world.document.seen());
    let mut lacking: Vec<String> = Vec::new();
    for (method, path, operation) in document.operations() {
        for status in operation["responses"].as_object().unwrap().keys() {
            let status: u16 = status.parse().unwrap();
            let given = seen.answers.contains(&(method.clone(), path.clone(), status));
            let elsewhere = [&WITH_A_PROVIDER[..], &WITH_PROVEN_READERS].concat();
            let elsewhere = elsewhere.contains(&(path.as_str(), status));
            if !given && !elsewhere && !NOT_PROVOKED.contains(&status) {
                lacking.push(format!("{method} {path} {status}"));
            }
        }
    }
    for (schema, of) in document.all()["components"]["schemas"].as_object().unwrap() {
        for field in of["properties"].as_object().unwrap().keys() {
            if !OF_A_PROVIDER.contains(&schema.as_str())
                && !seen.fields.contains(&(schema.clone(), field.clone()))
            {
                lacking.push(format!("{schema}.{field}"));
            }
        }
    }
    assert!(lacking.is_empty(), "docs/openapi.json names what the API never says: {lacking:#?}");
}
