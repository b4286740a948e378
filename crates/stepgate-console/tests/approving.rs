//! Policies approved and break-glass reviewed on the pages and by the API: by passkeys and devices, and attacked.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::{Value, json};
use stepgate_approval::{
    GlassRules, Lifts, MAX_GLASS, Method, Proof, PushFactor, push_answer, push_enrolment,
};
use stepgate_record::Event;
use stepgate_store::{Enrol, Presented, TwoPerson};
use stepgate_testkit::SecurityKey;
use stepgate_types::{GroupName, Strength};
use world::browser::{Browser, OWN, between};
use world::{Answer, IN_FORCE, SITE, World, name};
use zeroize::Zeroizing;

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

fn of(group: &str) -> BTreeSet<GroupName> {
    BTreeSet::from([group.parse().unwrap()])
}

fn hash(of: &str) -> String {
    of.repeat(32)
}

/// A gate where analysts approve policies, data-owners break the glass and analysts review it; two policies wait.
async fn world(strength: Strength) -> World {
    let world = World::new().await;
    world.desk.set_two_person(Some(TwoPerson { groups: of("analysts"), strength }));
    world.desk.set_break_glass(Some(GlassRules {
        groups: of("data-owners"),
        reviewers: of("analysts"),
        review: strength,
        most: MAX_GLASS,
        lifts: Lifts::default(),
    }));
    for sha256 in [hash("ab"), hash("cd")] {
        world.desk.propose_policy(&sha256).await.unwrap();
    }
    world
}

/// A passkey of somebody's, enrolled long enough ago.
async fn passkey(world: &World, person: &str, seed: u64) -> SecurityKey {
    let (mut key, owner) = (SecurityKey::new(seed, SITE).unwrap(), name(person));
    world.clock.advance(Duration::from_secs(30));
    let mut enrol = Enrol::new(&owner, Method::Passkey, HERE.into());
    enrol.code = Some(world.desk.enrol_code(&owner, None).await.unwrap());
    enrol.presented = Some(Presented::code(&world.code(person)));
    let shown = world.desk.enrol(enrol).await.unwrap();
    let made = Proof::Passkey(key.create(&shown).unwrap());
    world.desk.enrol_confirm(&owner, Method::Passkey, made, None).await.unwrap();
    world.clock.advance(Duration::from_secs(25 * 3600));
    key
}

/// A break-glass of omar's that is over.
async fn to_review(world: &World, key: &mut SecurityKey) -> String {
    let token = world.login("omar").await;
    let post = async |path: &str, body: Value| world.post(path, &token, body).await;
    let wish = json!({"reason": "the shop is down", "client": "psql"});
    let asked = post("/api/v1/break-glass", wish).await.json();
    let glass = asked["grant"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/break-glass/{glass}");
    let challenge = post(&format!("{path}/challenge"), json!({"method": "passkey"})).await.json();
    assert_eq!(post(&format!("{path}/open"), signed(key, &challenge)).await.status, 200);
    assert_eq!(post(&format!("{path}/end"), json!({})).await.status, 200);
    glass
}

fn signed(key: &mut SecurityKey, challenge: &Value) -> Value {
    let passkey = key.get(&challenge["shown"]).unwrap();
    json!({"proof": {"challenge": challenge["challenge"], "passkey": passkey}})
}

async fn challenge(world: &World, token: &str, path: &str) -> Value {
    let made = world.post(&format!("{path}/challenge"), token, json!({"method": "passkey"})).await;
    assert_eq!(made.status, 200, "{}", made.body);
    made.json()
}

/// What the page's script puts into a form: a challenge of the page's own address, and its answer.
async fn touched(
    world: &World,
    browser: &Browser,
    page: &Answer,
    key: &mut SecurityKey,
) -> [(&'static str, String); 2] {
    let path = between(&page.body, "data-challenges=\"", "\"").unwrap_or_else(|| panic!("{}", page.body));
    let origin = format!("http://{}", world.address);
    let headers = [
        ("content-type", "application/json"),
        ("cookie", &browser.cookie),
        ("stepgate-proof", &browser.proof),
        ("origin", &origin),
        ("sec-fetch-site", "same-origin"),
    ];
    let made = world.send("POST", path, &headers, "{\"method\":\"passkey\"}").await;
    assert_eq!(made.status, 200, "{}", made.body);
    let made = made.json();
    let answer = key.get(&made["shown"]).unwrap();
    [("challenge", made["challenge"].as_str().unwrap().to_owned()), ("passkey", answer.to_string())]
}

fn fields<'f>(owned: &'f [(&'f str, String)]) -> Vec<(&'f str, &'f str)> {
    owned.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn count(world: &World, is: impl Fn(&Event) -> bool) -> usize {
    let mut found = 0;
    world.log.replay(0, &mut |_, record| found += usize::from(is(&record.event))).unwrap();
    found
}

fn votes(world: &World) -> usize {
    count(world, |event| matches!(event, Event::PolicyVoted { .. }))
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_approve_a_policy_on_its_page_by_passkey_and_by_code() {
    let world = world(Strength::Standard).await;
    let mut key = passkey(&world, "dana", 1).await;
    let (dana, eve, omar) =
        (world.browser("dana").await, world.browser("eve").await, world.browser("omar").await);
    let path = format!("/policies/{}", hash("ab"));
    // Who approves none sees that there is none.
    assert!(!omar.get(&world, "/").await.body.contains("/policies"));
    assert!(omar.get(&world, "/policies").await.body.contains("No policy waits"));
    assert_eq!(omar.get(&world, &path).await.status, 404);
    let start = dana.get(&world, "/").await.body;
    assert!(start.contains("href=\"/policies\"") && start.contains(": 2"), "{start}");
    let listed = dana.get(&world, "/policies").await.body;
    assert!(listed.contains(&format!("href=\"{path}\"")) && listed.contains("0 of 2"), "{listed}");
    let page = dana.get(&world, &path).await;
    for said in ["by passkey", "by the code", "standard or stronger", &hash("ab")] {
        assert!(page.body.contains(said), "{said}: {}", page.body);
    }
    assert!(!page.body.contains("on your device"), "she has none: {}", page.body);
    let proof = touched(&world, &dana, &page, &mut key).await;
    let done = dana.post(&world, &format!("{path}/approve"), &fields(&proof)).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert!(done.head.contains(&format!("location: {path}")), "{}", done.head);
    let page = dana.get(&world, &path).await.body;
    assert!(page.contains("You have approved it") && page.contains("1 of 2: dana"), "{page}");
    assert!(!page.contains("<form class=\"answer\""), "nothing is left for her to do: {page}");
    assert!(dana.get(&world, "/").await.body.contains(": 1"), "the other one waits for her");

    world.clock.advance(Duration::from_secs(30));
    let wrong = eve.post(&world, &format!("{path}/approve"), &[("code", "000000")]).await;
    assert!(wrong.status == 401 && wrong.body.contains("role=\"alert\""), "{}", wrong.body);
    let nothing = eve.post(&world, &format!("{path}/approve"), &[]).await;
    assert!(nothing.status == 401 && nothing.body.contains("role=\"alert\""), "{}", nothing.body);
    let code = world.code("eve");
    let done = eve.post(&world, &format!("{path}/approve"), &[("code", &code)]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert!(eve.get(&world, &path).await.body.contains("It is approved."));
    assert_eq!(world.desk.approved_policy(), Some(hash("ab")));
    assert_eq!(votes(&world), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_approves_a_policy_sees_what_it_changes_made_harmless_and_who_does_not_sees_nothing() {
    let world = world(Strength::Standard).await;
    let (dana, omar) = (world.browser("dana").await, world.browser("omar").await);
    let page = dana.get(&world, &format!("/policies/{}", hash("ab"))).await.body;
    let shown = between(&page, "aria-label=\"What changes\">", "</pre>").unwrap();
    let lines = [
        "=== policy",
        "@@ -1,2 +1,2 @@",
        " version: 1",
        "<del>-defaults: {action: deny}\n</del><ins>+defaults: {action: allow} # \
         <mark>\\u{202E}</mark>&lt;b&gt;ynd&lt;/b&gt;\n</ins>",
    ];
    assert_eq!(shown, lines.join("\n"));
    assert!(page.contains(IN_FORCE), "{page}");
    // Nobody's texts but the approvers'.
    let (change, omars) = (format!("/api/v1/policies/{}/change", hash("ab")), world.login("omar").await);
    assert_eq!(world.get(&change, &omars).await.status, 404);
    assert_eq!(omar.get(&world, &format!("/policies/{}", hash("ab"))).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_cannot_be_shown_is_not_approved_on_its_page_and_a_long_one_says_where_it_is_read() {
    let world = world(Strength::Standard).await;
    let dana = world.browser("dana").await;
    for sha256 in [hash("00"), hash("11")] {
        world.desk.propose_policy(&sha256).await.unwrap();
    }
    let lost = dana.get(&world, &format!("/policies/{}", hash("00"))).await.body;
    assert!(lost.contains("cannot be shown") && !lost.contains("name=\"code\""), "{lost}");
    let long = dana.get(&world, &format!("/policies/{}", hash("11"))).await.body;
    assert!(long.contains(&format!("stepgate policy approve {} --show", hash("11"))), "{long}");
    assert!(!long.contains("# 17") && long.len() < 20_000, "{}", long.len());
    // What is approved there was not there to be seen: its form is not.
    let approve = format!("/policies/{}/approve", hash("00"));
    let answer = dana.post(&world, &approve, &[("code", &world.code("dana"))]).await;
    assert!(answer.status == 409 && votes(&world) == 0, "{}", answer.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_break_glass_is_reviewed_on_its_page_by_passkey_and_not_by_its_owner() {
    let world = world(Strength::PhishingResistant).await;
    let (mut omars, mut danas) = (passkey(&world, "omar", 1).await, passkey(&world, "dana", 2).await);
    let glass = to_review(&world, &mut omars).await;
    let (dana, omar) = (world.browser("dana").await, world.browser("omar").await);
    let path = format!("/break-glass/{glass}");
    let start = dana.get(&world, "/").await.body;
    assert!(start.contains("Break-glass to review"), "{start}");
    assert!(dana.get(&world, "/break-glass").await.body.contains(&format!("href=\"{path}\"")));
    let own = omar.get(&world, &path).await;
    assert!(own.status == 200 && own.body.contains("Somebody else has to review it"), "{}", own.body);
    assert!(!own.body.contains("action=\"/break-glass"), "{}", own.body);
    let page = dana.get(&world, &path).await;
    assert!(
        page.body.contains("the shop is down") && page.body.contains("Reviewed by passkey"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("name=\"code\""), "a code would not do: {}", page.body);
    let review = format!("{path}/review");
    let code = world.code("dana");
    let weak = dana.post(&world, &review, &[("comment", "in order"), ("code", &code)]).await;
    assert!(weak.status == 401 && weak.body.contains("phishing-resistant or more"), "{}", weak.body);
    assert!(weak.body.contains("Reviewed by passkey"), "the stronger is offered: {}", weak.body);
    let proof = touched(&world, &dana, &page, &mut danas).await;
    let silent = dana.post(&world, &review, &fields(&proof)).await;
    assert_eq!(silent.status, 422, "{}", silent.body);
    let said = [("comment", "in order".to_owned())];
    let done = dana.post(&world, &review, &[fields(&said), fields(&proof)].concat()).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert!(world.desk.glasses(None).is_empty());
    assert_eq!(dana.get(&world, &path).await.status, 404);
    assert_eq!(count(&world, |event| matches!(event, Event::BreakGlassReviewed(_))), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_too_little_is_told_what_would_do() {
    let world = world(Strength::PhishingResistant).await;
    let mut danas = passkey(&world, "dana", 1).await;
    let (dana, eve) = (world.login("dana").await, world.login("eve").await);
    let path = format!("/api/v1/policies/{}", hash("ab"));
    let approve = format!("{path}/approve");
    for (token, person, hint) in
        [(&dana, "dana", "use your passkey"), (&eve, "eve", "enrol what proves as much")]
    {
        world.clock.advance(Duration::from_secs(30));
        let weak = world.post(&approve, token, json!({"code": world.code(person)})).await;
        assert_eq!((weak.status, weak.error().as_str()), (401, "too_weak"), "{}", weak.body);
        assert!(weak.json()["hint"].as_str().unwrap().contains(hint), "{}", weak.body);
        assert!(weak.head.contains("acr_values=\"phishing-resistant device-bound\""), "{}", weak.head);
        let asked = world.post(&format!("{path}/challenge"), token, json!({"method": "totp"})).await;
        assert_eq!((asked.status, asked.error().as_str()), (401, "too_weak"), "{}", asked.body);
    }
    let none = world.get(&format!("{path}/methods"), &eve).await.json();
    assert_eq!(none, json!([]));
    let page = world.browser("eve").await.get(&world, &format!("/policies/{}", hash("ab"))).await.body;
    assert!(
        page.contains("no authenticator that proves as much") && page.contains("href=\"/enrol\""),
        "{page}"
    );
    assert!(!page.contains("<form class=\"answer\""), "{page}");
    let offered = world.get(&format!("{path}/methods"), &dana).await.json();
    assert_eq!((offered.as_array().unwrap().len(), &offered[0]["method"]), (1, &json!("passkey")));
    let made = challenge(&world, &dana, &path).await;
    let done = world.post(&approve, &dana, signed(&mut danas, &made)).await;
    assert_eq!(done.json()["approvers"], json!(["dana"]), "{}", done.body);
    assert_eq!(done.json()["strength"], "phishing-resistant");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_for_one_policy_or_review_one_person_and_one_time() {
    let world = world(Strength::Standard).await;
    let (mut omars, mut danas) = (passkey(&world, "omar", 1).await, passkey(&world, "dana", 2).await);
    let mut eves = passkey(&world, "eve", 3).await;
    let glass = to_review(&world, &mut omars).await;
    let (dana, eve, omar) = (world.login("dana").await, world.login("eve").await, world.login("omar").await);
    let policy = |of: &str| format!("/api/v1/policies/{}", hash(of));
    let review = format!("/api/v1/break-glass/{glass}/review");
    let post = async |path: &str, token: &str, body: &Value| world.post(path, token, body.clone()).await;
    let error = async |path: &str, token: &str, body: &Value| post(path, token, body).await.error();

    // Who has no say gets no challenge, nor whose glass it was.
    let wanted = json!({"method": "passkey"});
    assert_eq!(post(&format!("{}/challenge", policy("ab")), &omar, &wanted).await.status, 404);
    assert_eq!(error(&format!("{review}/challenge"), &omar, &wanted).await, "own");
    assert_eq!(post(&format!("{}/challenge", policy("00")), &dana, &wanted).await.status, 404);

    // For one policy, handed in for another, by another, and for another kind of thing.
    let made = challenge(&world, &dana, &policy("ab")).await;
    let answer = signed(&mut danas, &made);
    assert_eq!(error(&format!("{}/approve", policy("cd")), &dana, &answer).await, "no_challenge");
    assert_eq!(error(&format!("{}/approve", policy("ab")), &eve, &answer).await, "no_challenge");
    let mut reviewing = answer.clone();
    reviewing["comment"] = json!("in order");
    assert_eq!(error(&review, &dana, &reviewing).await, "no_challenge");
    // Somebody else's passkey under the right challenge.
    let forged = signed(&mut eves, &made);
    assert_eq!(error(&format!("{}/approve", policy("ab")), &dana, &forged).await, "wrong_proof");
    // Its answer under a challenge of another policy's.
    let others = challenge(&world, &dana, &policy("cd")).await;
    let mut moved = answer.clone();
    moved["proof"]["challenge"] = others["challenge"].clone();
    assert_eq!(error(&format!("{}/approve", policy("cd")), &dana, &moved).await, "wrong_proof");
    // One for changing one's own authenticators.
    let own = post("/api/v1/challenges", &dana, &wanted).await.json();
    let managing = signed(&mut danas, &own);
    assert_eq!(error(&format!("{}/approve", policy("ab")), &dana, &managing).await, "no_challenge");
    assert_eq!(votes(&world), 0);
    let counts = post(&format!("{}/approve", policy("ab")), &dana, &answer).await;
    assert_eq!(counts.status, 200, "{}", counts.body);
    assert_eq!(error(&format!("{}/approve", policy("ab")), &dana, &answer).await, "no_challenge", "replayed");
    assert_eq!(votes(&world), 1);

    // That of a review answers no request and approves no policy.
    let made = challenge(&world, &dana, &review).await;
    let answer = signed(&mut danas, &made);
    let request = world.step_up().await;
    let verify = format!("/api/v1/requests/{}/verify", request.request);
    assert_eq!(error(&verify, &dana, &answer).await, "no_challenge");
    assert_eq!(error(&format!("{}/approve", policy("cd")), &dana, &answer).await, "no_challenge");
    assert_eq!(world.desk.request(request.request).unwrap().state, "open");
    let mut said = answer.clone();
    said["comment"] = json!("in order");
    assert_eq!(error(&review, &eve, &said).await, "no_challenge");
    assert_eq!(post(&review, &dana, &said).await.status, 200);
    assert_eq!(post(&review, &dana, &said).await.status, 404, "once");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_and_a_form_of_nobodys_approve_and_review_nothing() {
    let world = world(Strength::Standard).await;
    let mut omars = passkey(&world, "omar", 1).await;
    let glass = to_review(&world, &mut omars).await;
    let dana = world.browser("dana").await;
    let (approve, review) =
        (format!("/policies/{}/approve", hash("ab")), format!("/break-glass/{glass}/review"));
    let code = world.code("dana");
    let form = [("code", code.as_str()), ("comment", "in order")];
    let foreign = [("content-type", OWN[0].1), ("origin", "https://evil.example")];
    let unproven = Browser { cookie: dana.cookie.clone(), proof: String::new() };
    let pushes = [format!("/policies/{}/push", hash("ab")), format!("/break-glass/{glass}/push")];
    for path in [&approve, &review, &pushes[0], &pushes[1]] {
        assert_eq!(dana.post_as(&world, path, &form, &foreign).await.status, 403, "{path}");
        assert_eq!(unproven.post(&world, path, &form).await.status, 403, "{path}");
        assert_eq!(dana.get(&world, path).await.status, 405, "{path}");
    }
    // Eve's form is not dana's.
    let eve = world.browser("eve").await;
    let mixed = Browser { cookie: dana.cookie.clone(), proof: eve.proof };
    assert_eq!(mixed.post(&world, &approve, &form).await.status, 403);
    assert_eq!((votes(&world), world.desk.glasses(None).len()), (0, 1));
    // The code was not spent on any of them.
    assert_eq!(dana.post(&world, &approve, &form).await.status, 303);
}

/// Dana's device: its key, and what the gate calls it.
struct Device(SigningKey, String);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &Value) -> [u8; 32] {
    let text = text.as_str().unwrap();
    let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2).unwrap(), 16).unwrap();
    (0..64).step_by(2).map(byte).collect::<Vec<_>>().try_into().unwrap()
}

impl Device {
    async fn new(world: &World) -> Self {
        let (key, owner) = (SigningKey::from_bytes(&[7; 32]), name("dana"));
        world.desk.plug(Arc::new(PushFactor::new(Zeroizing::new([1; 32]))));
        let public = key.verifying_key().to_bytes();
        world.clock.advance(Duration::from_secs(30));
        let mut enrol = Enrol::new(&owner, Method::Push, HERE.into());
        enrol.about = json!({"public_key": hex(&public)});
        enrol.code = Some(world.desk.enrol_code(&owner, None).await.unwrap());
        enrol.name = Some("laptop".to_owned());
        enrol.presented = Some(Presented::code(&world.code("dana")));
        let binding = unhex(&world.desk.enrol(enrol).await.unwrap()["binding"]);
        let signature = key.sign(&push_enrolment(&binding, &public)).to_bytes().to_vec();
        let proof = Proof::Push { device: "push".parse().unwrap(), signature, code: Zeroizing::default() };
        let id = world.desk.enrol_confirm(&owner, Method::Push, proof, None).await.unwrap().to_string();
        world.clock.advance(Duration::from_secs(25 * 3600));
        Self(key, id)
    }

    fn answer(&self, waiting: &Value, digits: &str) -> Value {
        let signature = self.0.sign(&push_answer(&unhex(&waiting["binding"]), digits)).to_bytes();
        let push = json!({"device": self.1, "signature": hex(&signature), "code": digits});
        json!({"proof": {"challenge": waiting["challenge"], "push": push}})
    }
}

fn digits(page: &str) -> String {
    let digits = between(page, "id=\"digits\"", "</output>").unwrap().split_once('>').unwrap().1;
    assert!(digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
    digits.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_approves_a_policy_and_reviews_a_break_glass_that_a_page_has_begun() {
    let world = world(Strength::Strong).await;
    let mut omars = passkey(&world, "omar", 1).await;
    let device = Device::new(&world).await;
    let glass = to_review(&world, &mut omars).await;
    let (browser, dana) = (world.browser("dana").await, world.login("dana").await);
    let listed = async || world.get("/api/v1/challenges", &dana).await;
    let page = browser.get(&world, &format!("/policies/{}", hash("ab"))).await.body;
    assert!(page.contains("on your device (laptop") && !page.contains("name=\"code\""), "{page}");
    let begun = browser.post(&world, &format!("/policies/{}/push", hash("ab")), &[]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let for_policy = digits(&begun.body);
    let begun = browser.post(&world, &format!("/break-glass/{glass}/push"), &[]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    let for_review = digits(&begun.body);
    let waiting = listed().await;
    assert!(!waiting.body.contains(&format!("\"{for_policy}\"")), "{}", waiting.body);
    let waiting = waiting.json();
    let of = |key: &str| {
        let mut all = waiting.as_array().unwrap().iter().filter(|row| row[key] != Value::Null);
        let (one, other) = (all.next().unwrap().clone(), all.next());
        assert_eq!(other, None, "{waiting}");
        one
    };
    let (policy, review) = (of("policy_sha256"), of("glass"));
    assert_eq!((&policy["policy_sha256"], &review["glass"]), (&json!(hash("ab")), &json!(glass)));
    let approve = format!("/api/v1/policies/{}/approve", hash("ab"));
    let reviewed = format!("/api/v1/break-glass/{glass}/review");
    // The digits of the one do not answer the other; nor does an answer to the one, handed in for the other.
    if for_policy != for_review {
        assert_eq!(world.post(&approve, &dana, device.answer(&policy, &for_review)).await.status, 401);
    }
    let answer = device.answer(&policy, &for_policy);
    let mut crossed = answer.clone();
    crossed["comment"] = json!("in order");
    assert_eq!(world.post(&reviewed, &dana, crossed).await.error(), "no_challenge");
    let elsewhere = format!("/api/v1/policies/{}/approve", hash("cd"));
    assert_eq!(world.post(&elsewhere, &dana, answer.clone()).await.error(), "no_challenge");
    let done = world.post(&approve, &dana, answer).await;
    assert_eq!(done.json()["approvers"], json!(["dana"]), "{}", done.body);
    let mut answer = device.answer(&review, &for_review);
    answer["comment"] = json!("in order");
    assert_eq!(world.post(&reviewed, &dana, answer).await.json()["state"], "reviewed");
    assert_eq!(listed().await.json(), json!([]));
    // Who has no device begins none.
    let eve = world.browser("eve").await;
    let none = eve.post(&world, &format!("/policies/{}/push", hash("ab")), &[]).await;
    assert!(none.status == 403 && !none.body.contains("id=\"digits\""), "{}", none.body);
}
