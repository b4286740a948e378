//! Passkeys by the API: enrolled, asked, and attacked with everything that a thief of a session could send.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod world;

use std::time::Duration;

use serde_json::{Value, json};
use stepgate_store::Waiting;
use stepgate_testkit::SecurityKey;
use stepgate_testkit::security_key::flag;
use stepgate_types::Strength;
use world::{Answer, SITE, SQL, World, name};

/// Somebody at the API with a security key.
struct Somebody<'w> {
    world: &'w World,
    person: &'static str,
    token: String,
    key: SecurityKey,
}

impl<'w> Somebody<'w> {
    async fn new(world: &'w World, person: &'static str, seed: u64) -> Self {
        let key = SecurityKey::new(seed, SITE).unwrap();
        Self { world, person, token: world.login(person).await, key }
    }

    /// With the key enrolled, by a code of theirs and one of the operator's.
    async fn enrolled(world: &'w World, person: &'static str, seed: u64) -> Self {
        let mut somebody = Self::new(world, person, seed).await;
        let operators = world.desk.enrol_code(&name(person), None).await.unwrap();
        let begun = somebody.begin(json!({"name": "Key ring", "enrolment_code": *operators})).await;
        assert_eq!(begun.status, 200, "{}", begun.body);
        let made = somebody.key.create(&begun.json()).unwrap();
        let confirmed = somebody.confirm(&made).await;
        assert_eq!(confirmed.status, 200, "{}", confirmed.body);
        somebody
    }

    /// Begins an enrolment, with a fresh code besides.
    async fn begin(&self, mut body: Value) -> Answer {
        self.world.clock.advance(Duration::from_secs(30));
        body["proof"] = json!({"code": self.world.code(self.person)});
        self.post("/api/v1/factors/passkey", body).await
    }

    async fn confirm(&self, made: &Value) -> Answer {
        self.post("/api/v1/factors/passkey/confirm", json!({"proof": {"passkey": made}})).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.world.post(path, &self.token, body).await
    }

    async fn challenge(&self, request: &Waiting, approve: bool) -> Value {
        let path = format!("/api/v1/requests/{}/challenge", request.request);
        let answer = self.post(&path, json!({"method": "passkey", "approve": approve})).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.json()
    }

    /// Signs a challenge, as the key does it at present.
    fn sign(&mut self, challenge: &Value) -> Value {
        let passkey = self.key.get(&challenge["shown"]).unwrap();
        json!({"proof": {"challenge": challenge["challenge"], "passkey": passkey}})
    }

    async fn verify(&self, request: &Waiting, proof: Value) -> Answer {
        self.post(&format!("/api/v1/requests/{}/verify", request.request), proof).await
    }

    /// A whole ceremony for one's own request.
    async fn answer(&mut self, request: &Waiting) -> Answer {
        let challenge = self.challenge(request, true).await;
        let proof = self.sign(&challenge);
        self.verify(request, proof).await
    }

    async fn state(&self, request: &Waiting) -> Value {
        let path = format!("/api/v1/requests/{}", request.request);
        self.world.get(&path, &self.token).await.json()["state"].clone()
    }
}

/// How a key deceives.
type Lie = fn(&mut SecurityKey);

/// What was recorded of that kind.
fn recorded(world: &World, kind: &str) -> Vec<Value> {
    let all = world.log.read(0, 10_000).map(|record| record.unwrap().bytes);
    all.map(|bytes| serde_json::from_slice::<Value>(&bytes).unwrap())
        .filter(|record| record.to_string().contains(kind))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passkey_answers_what_no_code_is_strong_enough_for_and_its_counter_is_recorded() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    let strong = world.ask_for(true, SQL, Strength::PhishingResistant).await;
    world.clock.advance(Duration::from_secs(30));
    let weak = dana.verify(&strong, json!({"code": world.code("dana")})).await;
    assert_eq!((weak.status, weak.error().as_str()), (401, "too_weak"), "{}", weak.body);
    assert!(weak.head.contains("acr_values=\"phishing-resistant device-bound\""), "{}", weak.head);
    let path = format!("/api/v1/requests/{}/methods", strong.request);
    let methods = world.get(&path, &dana.token).await.json();
    assert_eq!(methods.as_array().unwrap().len(), 1, "a code would not do: {methods}");
    assert_eq!((&methods[0]["method"], &methods[0]["available"]), (&json!("passkey"), &json!(true)));
    let answered = dana.answer(&strong).await;
    assert_eq!((answered.status, &answered.json()["state"]), (200, &json!("approved")), "{}", answered.body);
    let verified = recorded(&world, "stepup.factor_verified");
    let last = verified.last().unwrap().to_string();
    assert!(last.contains("\"factor\":\"passkey\"") && last.contains("\"step\":1"), "{last}");
    assert!(last.contains("\"strength\":\"phishing-resistant\""), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_and_a_code_alone_enrol_no_passkey() {
    let world = World::new().await;
    let dana = Somebody::new(&world, "dana", 1).await;
    let with_code = dana.begin(json!({})).await;
    assert_eq!((with_code.status, with_code.error().as_str()), (403, "enrolment_code_needed"));
    let alone = dana.post("/api/v1/factors/passkey", json!({})).await;
    assert!(alone.status == 401 || alone.status == 403, "{}", alone.body);
    let guessed = dana.begin(json!({"enrolment_code": "0000-0000-0000-0000-0000-0000"})).await;
    assert_eq!((guessed.status, guessed.error().as_str()), (403, "bad_enrolment_code"));
    let unbegun = dana.confirm(&json!({})).await;
    assert_eq!((unbegun.status, unbegun.error().as_str()), (409, "not_begun"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_is_confirmed_by_what_was_made_for_it_alone() {
    let world = World::new().await;
    let mut dana = Somebody::new(&world, "dana", 1).await;
    let operators = world.desk.enrol_code(&name("dana"), None).await.unwrap();
    let shown = dana.begin(json!({"enrolment_code": *operators})).await.json();
    let mut unverified = dana.key.clone();
    unverified.flags &= !flag::VERIFIED;
    let mut elsewhere = dana.key.clone();
    elsewhere.origin = "https://gate.example.evil.example".to_owned();
    let mut replayed = dana.key.clone();
    replayed.challenge = Some(vec![7; 32]);
    for mut liar in [unverified, elsewhere, replayed] {
        let refused = dana.confirm(&liar.create(&shown).unwrap()).await;
        assert_eq!((refused.status, refused.error().as_str()), (401, "wrong_proof"), "{}", refused.body);
    }
    let made = dana.key.create(&shown).unwrap();
    assert_eq!(dana.confirm(&made).await.status, 200);
    assert_eq!(dana.confirm(&made).await.error(), "not_begun", "it is confirmed once");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_of_one_statement_runs_no_other() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    let harmless = world.ask_for(true, "select 1", Strength::Standard).await;
    let signed = dana.challenge(&harmless, true).await;
    let proof = dana.sign(&signed);
    assert_eq!(dana.verify(&harmless, proof.clone()).await.status, 200, "where it belongs, it counts");
    let other = world.ask_for(true, SQL, Strength::Standard).await;
    assert_ne!(other.request, harmless.request);
    // The challenge of the one for the other, and the signature of the one under the other's challenge.
    let challenge = dana.verify(&other, proof.clone()).await;
    assert_eq!((challenge.status, challenge.error().as_str()), (409, "no_challenge"));
    let mut moved = proof.clone();
    moved["proof"]["challenge"] = dana.challenge(&other, true).await["challenge"].clone();
    let signature = dana.verify(&other, moved).await;
    assert_eq!((signature.status, signature.error().as_str()), (401, "wrong_proof"));
    assert_eq!(dana.state(&other).await, "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signature_under_a_denial_approves_nothing() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    let request = world.step_up().await;
    let denial = dana.challenge(&request, false).await;
    let proof = dana.sign(&denial);
    let refused = dana.verify(&request, proof).await;
    assert_eq!((refused.status, refused.error().as_str()), (409, "no_challenge"));
    assert_eq!(dana.state(&request).await, "open");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_taken_once_whether_in_turn_or_by_two_tabs_at_once() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    let request = world.step_up().await;
    let challenge = dana.challenge(&request, true).await;
    let proof = dana.sign(&challenge);
    let both = tokio::join!(dana.verify(&request, proof.clone()), dana.verify(&request, proof.clone()));
    let mut statuses = [both.0.status, both.1.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409]);
    assert_eq!(dana.verify(&request, proof).await.error(), "ended");
    assert_eq!(recorded(&world, "\"factor\":\"passkey\"").len(), 2, "the enrolment, and one answer");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_persons_key_session_or_challenge_is_of_no_use() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    let mut eve = Somebody::enrolled(&world, "eve", 2).await;
    let request = world.step_up().await;
    let challenge = dana.challenge(&request, true).await;
    // Eve signs dana's challenge, in dana's session that she has taken over.
    let hers = eve.sign(&challenge);
    let refused = dana.verify(&request, hers).await;
    assert_eq!((refused.status, refused.error().as_str()), (401, "wrong_proof"));
    // Dana's request is not there for eve, with whatever challenge or signature.
    let proof = dana.sign(&challenge);
    let path = format!("/api/v1/requests/{}", request.request);
    let asked = eve.post(&format!("{path}/challenge"), json!({"method": "passkey", "approve": true})).await;
    assert_eq!((asked.status, eve.verify(&request, proof.clone()).await.status), (404, 404));
    assert_eq!(dana.verify(&request, proof).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_flags_origins_and_counters_are_refused_and_recorded() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    let first = world.step_up().await;
    dana.key.counter = 10;
    assert_eq!(dana.answer(&first).await.status, 200);
    let lies: [(Lie, &str); 6] = [
        (|key| key.flags &= !flag::VERIFIED, "not-verified"),
        (|key| key.origin = "https://evil.example".to_owned(), "mismatched"),
        (|key| key.rp_id = Some("evil.example".to_owned()), "mismatched"),
        (|key| key.client_data.push(("crossOrigin".to_owned(), json!(true))), "mismatched"),
        (|key| key.counter = 3, "compromised"),
        (|key| key.flags |= flag::BACKUP_ELIGIBLE, "compromised"),
    ];
    for (lie, word) in lies {
        let request = world.ask_for(true, SQL, Strength::PhishingResistant).await;
        let honest = dana.key.clone();
        lie(&mut dana.key);
        let refused = dana.answer(&request).await;
        assert_eq!((refused.status, refused.error().as_str()), (401, "wrong_proof"), "{word}");
        let failed = recorded(&world, "stepup.factor_failed").pop().unwrap().to_string();
        assert!(failed.contains(&format!("\"reason\":\"{word}\"")), "{failed}");
        assert_eq!(dana.state(&request).await, "open");
        // What nobody can guess is not throttled: the honest key lets it run at once.
        dana.key = honest;
        dana.key.counter += 10;
        assert_eq!(dana.answer(&request).await.status, 200, "{word}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_and_a_script_without_the_pages_proof_open_no_break_glass() {
    let world = World::new().await;
    let mut dana = Somebody::enrolled(&world, "dana", 1).await;
    world.clock.advance(Duration::from_secs(25 * 3600));
    let of = |group: &str| std::collections::BTreeSet::from([group.parse().unwrap()]);
    world.desk.set_break_glass(Some(stepgate_approval::GlassRules {
        groups: of("analysts"),
        reviewers: of("data-owners"),
        review: stepgate_types::Strength::Standard,
        most: stepgate_approval::MAX_GLASS,
        lifts: stepgate_approval::Lifts::default(),
    }));
    dana.token = world.login("dana").await;
    let wish = json!({"reason": "the shop is down", "client": "psql"});
    let asked = dana.post("/api/v1/break-glass", wish).await.json();
    let path = format!("/api/v1/break-glass/{}", asked["grant"].as_str().unwrap());
    let challenge = dana.post(&format!("{path}/challenge"), json!({"method": "passkey"})).await.json();
    // The answer is right; who hands it in is a page that has dana's cookie sent along.
    let answer = dana.sign(&challenge).to_string();
    let browser = world.browser("dana").await;
    let (cookie, proof) = (("cookie", browser.cookie.as_str()), ("stepgate-proof", browser.proof.as_str()));
    let kind = ("content-type", "application/json");
    let origin = format!("http://{}", world.address);
    let own = [("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
    let other = [("origin", "https://evil.example"), ("sec-fetch-site", "cross-site")];
    let open = format!("{path}/open");
    let attempts: [&[(&str, &str)]; 4] = [
        &[kind, cookie],
        &[kind, cookie, proof],
        &[kind, cookie, own[0], own[1]],
        &[kind, cookie, proof, other[0], other[1]],
    ];
    for headers in attempts {
        let refused = world.send("POST", &open, headers, &answer).await;
        assert_eq!((refused.status, refused.error().as_str()), (403, "other_site"), "{}", refused.body);
    }
    let page = browser.get(&world, "/break-glass").await;
    assert!(page.body.contains("Break the glass") && page.body.contains("the shop is down"), "{}", page.body);
    assert_eq!(world.desk.glasses(None)[0].state, "asked", "reading opens nothing");
    let opened = world.send("POST", &open, &[kind, cookie, proof, own[0], own[1]], &answer).await;
    assert_eq!((opened.status, &opened.json()["state"]), (200, &json!("open")), "{}", opened.body);
}
