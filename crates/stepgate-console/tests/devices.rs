//! Signed push in the browser: a page begins it and shows the digits, a device signs.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use stepgate_approval::{Method, Proof, PushFactor, push_answer, push_enrolment};
use stepgate_record::Outcome;
use stepgate_store::{Enrol, Presented};
use stepgate_types::Strength;
use world::browser::{Browser, OWN, between};
use world::{Answer, World, name};
use zeroize::Zeroizing;

/// Somebody's device: its key, what the gate calls it, and what it logs in by.
struct Device {
    key: SigningKey,
    id: String,
    token: String,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &Value) -> [u8; 32] {
    let text = text.as_str().unwrap();
    let bytes: Vec<_> =
        (0..64).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

impl Device {
    /// Enrolled long enough ago that it counts for what others ask.
    async fn of(world: &World, person: &str) -> Self {
        let (key, desk, owner) = (SigningKey::from_bytes(&[7; 32]), &world.desk, name(person));
        desk.plug(Arc::new(PushFactor::new(Zeroizing::new([1; 32]))));
        let public = key.verifying_key().to_bytes();
        let mut enrol = Enrol::new(&owner, Method::Push, std::net::IpAddr::from([192, 0, 2, 7]).into());
        enrol.about = json!({"public_key": hex(&public)});
        enrol.code = Some(desk.enrol_code(&owner, None).await.unwrap());
        enrol.name = Some("laptop".to_owned());
        enrol.presented = Some(Presented::code(&world.code(person)));
        let binding = unhex(&desk.enrol(enrol).await.unwrap()["binding"]);
        let signature = key.sign(&push_enrolment(&binding, &public)).to_bytes().to_vec();
        let device = "push".parse().unwrap();
        let proof = Proof::Push { device, signature, code: Zeroizing::default() };
        let id = desk.enrol_confirm(&owner, Method::Push, proof, None).await.unwrap().to_string();
        world.clock.advance(Duration::from_secs(2 * 24 * 60 * 60));
        Self { key, id, token: world.login(person).await }
    }

    /// Signs the last of what waits for it with these digits, and hands it in to `verb` of its request.
    async fn answer(&self, world: &World, verb: &str, digits: &str) -> Answer {
        let listed = world.get("/api/v1/challenges", &self.token).await;
        assert!(!listed.body.contains(&format!("\"{digits}\"")), "{}", listed.body);
        let waiting = listed.json().as_array().unwrap().last().unwrap().clone();
        let signature = self.key.sign(&push_answer(&unhex(&waiting["binding"]), digits)).to_bytes();
        let push = json!({"device": self.id, "signature": hex(&signature), "code": digits});
        let body = json!({"proof": {"challenge": waiting["challenge"], "push": push}, "reason": "ticket"});
        let path = format!("/api/v1/requests/{}/{verb}", waiting["request"].as_str().unwrap());
        world.get(path.rsplit_once('/').unwrap().0, &self.token).await;
        world.post(&path, &self.token, body).await
    }
}

fn digits(page: &str) -> String {
    let digits = between(page, "id=\"digits\"", "</output>").unwrap().split_once('>').unwrap().1;
    assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    digits.to_owned()
}

fn wrong(digits: &str) -> &'static str {
    if digits == "000000" { "000001" } else { "000000" }
}

async fn begin(world: &World, browser: &Browser, path: &str, approve: &str) -> String {
    let page = browser.post(world, &format!("{path}/push"), &[("approve", approve)]).await;
    assert_eq!(page.status, 200, "{}", page.body);
    digits(&page.body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_begins_a_push_and_its_digits_on_the_device_let_the_statement_run() {
    let world = World::new().await;
    let device = Device::of(&world, "dana").await;
    // As strong as a device; the app alone would not do.
    let waiting = world.ask_for(true, "select 1", Strength::Strong).await;
    let (path, dana) = (format!("/r/{}", waiting.request), world.browser("dana").await);
    let page = dana.get(&world, &path).await;
    assert!(
        page.body
            .contains("Or answer on your device (laptop; no device has asked lately, so start it first)"),
        "{}",
        page.body
    );
    assert!(page.body.contains(&format!("action=\"{path}/push\"")) && !page.body.contains("id=\"digits\""));
    let shown = begin(&world, &dana, &path, "yes").await;
    // The page has let nothing through, and digits from elsewhere do not.
    let guessed = device.answer(&world, "verify", wrong(&shown)).await;
    assert_eq!(guessed.status, 401, "{}", guessed.body);
    assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
    let right = device.answer(&world, "verify", &shown).await;
    assert_eq!(right.json()["state"], "approved", "{}", right.body);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Approved);
    let late = dana.post(&world, &format!("{path}/push"), &[("approve", "yes")]).await;
    assert!(late.status == 409 && !late.body.contains("id=\"digits\""), "{}", late.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_begun_to_deny_approves_nothing() {
    let world = World::new().await;
    let device = Device::of(&world, "omar").await;
    let waiting = world.approval().await;
    let (path, omar) = (format!("/r/{}", waiting.request), world.browser("omar").await);
    assert!(omar.get(&world, &path).await.body.contains("Use your device to deny"));
    let shown = begin(&world, &omar, &path, "no").await;
    let turned = device.answer(&world, "approve", &shown).await;
    assert!(turned.status >= 400, "{}", turned.body);
    assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
    let shown = begin(&world, &omar, &path, "no").await;
    let denied = device.answer(&world, "deny", &shown).await;
    assert_eq!(denied.json()["state"], "denied", "{}", denied.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_elses_page_or_account_sees_the_digits_of_a_push() {
    let world = World::new().await;
    let device = Device::of(&world, "dana").await;
    let waiting = world.ask_for(true, "select 1", Strength::Strong).await;
    let (path, dana) = (format!("/r/{}/push", waiting.request), world.browser("dana").await);
    let begun = || async { world.get("/api/v1/challenges", &device.token).await.json() };
    let foreign = [("content-type", OWN[0].1), ("origin", "https://evil.example")];
    let refused = dana.post_as(&world, &path, &[("approve", "yes")], &foreign).await;
    assert_eq!(refused.status, 403, "{}", refused.body);
    let unproven = Browser { cookie: dana.cookie.clone(), proof: String::new() };
    assert_eq!(unproven.post(&world, &path, &[("approve", "yes")]).await.status, 403);
    let eve = world.browser("eve").await;
    assert_eq!(eve.post(&world, &path, &[("approve", "yes")]).await.status, 404);
    assert_eq!(dana.get(&world, &path).await.status, 405);
    for word in ["", "maybe"] {
        assert_eq!(dana.post(&world, &path, &[("approve", word)]).await.status, 400, "{word}");
    }
    assert_eq!(begun().await, json!([]), "no device was asked");
    begin(&world, &dana, path.strip_suffix("/push").unwrap(), "yes").await;
    assert_eq!(begun().await.as_array().unwrap().len(), 1);
    // Who has no device is not shown a way by one.
    let (omar, other) = (world.browser("omar").await, world.approval().await);
    let page = omar.get(&world, &format!("/r/{}", other.request)).await;
    assert!(page.status == 200 && !page.body.contains("/push\""), "{}", page.body);
    let none = omar.post(&world, &format!("/r/{}/push", other.request), &[("approve", "no")]).await;
    assert_eq!(none.status, 403, "{}", none.body);
}
