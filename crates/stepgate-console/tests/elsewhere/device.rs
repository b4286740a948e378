//! Logins of programs on machines without a browser (RFC 8628), at a provider that lies as it is told.

use super::*;

const BEGIN: &str = "/api/v1/login/device";
const ASK: &str = "/api/v1/login/device/token";

/// A gate that lets programs in by a code, and dana, whose account is linked.
async fn gate() -> Option<Gate> {
    let gate = Gate::new(|settings| settings.device = true).await?;
    gate.link("dana", "sub-of-dana").await;
    gate.lies(&json!({}));
    Some(gate)
}

fn challenge(verifier: &str) -> String {
    Sha256::digest(verifier.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Gate {
    /// A program begins.
    async fn begin_device(&self, verifier: &str) -> Answer {
        self.world.post(BEGIN, "", json!({"challenge": challenge(verifier)})).await
    }

    /// The same; what only the program knows of it.
    async fn begun(&self, verifier: &str) -> String {
        let begun = self.begin_device(verifier).await;
        assert_eq!(begun.status, 200, "{}", begun.body);
        begun.json()["device"].as_str().unwrap().to_owned()
    }

    async fn ask(&self, device: &str, verifier: &str) -> Answer {
        self.world.post(ASK, "", json!({"device": device, "verifier": verifier})).await
    }

    /// Begins, waits as long as it must, and asks, of a provider that says this.
    async fn in_by_code(&self, lie: Value) -> Answer {
        self.lies(&json!({}));
        let device = self.begun("v").await;
        self.lies(&lie);
        self.world.clock.advance(Duration::from_secs(5));
        self.ask(&device, "v").await
    }

    fn asked(&self) -> Value {
        let mut answer = agent().get(format!("{}/asked", self.provider.issuer())).call().unwrap();
        serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_a_code_is_for_the_program_that_began_it_once_and_mints_nothing_by_itself() {
    let Some(gate) = gate().await else { return };
    let begun = gate.begin_device("its own").await;
    let (device, said) = (begun.json()["device"].as_str().unwrap().to_owned(), begun.json());
    assert_eq!((&said["user_code"], &said["interval"]), (&json!("WDJB-MJHT"), &json!(5)), "{said}");
    assert!(said["verification_uri"].as_str().unwrap().starts_with(gate.provider.issuer()), "{said}");
    // The provider hears where the program is, and of what kind the login is to be.
    let asked = gate.asked()["begun"][0].clone();
    assert_eq!(asked["agent"], "stepgate (for a program at 127.0.0.1)");
    assert_eq!((&asked["scope"], &asked["max_age"]), (&json!("openid profile email"), &json!("600")));

    gate.world.clock.advance(Duration::from_secs(5));
    // Whoever saw the id, or guesses at it, gets nothing, and takes nothing away.
    assert_eq!(gate.ask(&device, "another's").await.error(), "over");
    assert_eq!(gate.ask("00", "its own").await.error(), "over");
    // By fake time: a login that is a moment ago at the provider is as fresh as one can be.
    let now = gate.world.clock.now().unix_seconds();
    gate.lies(&json!({"claims": {"auth_time": now}}));
    let answer = gate.ask(&device, "its own").await;
    assert_eq!((answer.status, &answer.json()["name"]), (200, &json!("dana")), "{}", answer.body);
    assert_eq!(gate.ask(&device, "its own").await.error(), "over");
    let token = answer.json()["token"].as_str().unwrap().to_owned();
    assert_eq!(gate.world.get("/api/v1/me", &token).await.json()["name"], "dana");
    // Somebody may have been led to it.
    let minted = gate.world.post("/api/v1/passwords", &token, json!({})).await;
    assert_eq!(minted.error(), "proof_needed", "{}", minted.body);
    let recorded = gate
        .world
        .log
        .tail(100)
        .unwrap()
        .into_iter()
        .any(|record| matches!(&record.event, Event::IdentityLogin(it) if it.refused.is_none()));
    assert!(recorded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_provider_is_asked_no_oftener_than_it_says_and_ever_less_once_it_says_so() {
    let Some(gate) = gate().await else { return };
    let device = gate.begun("v").await;
    let ask = async |advance: u64| {
        gate.world.clock.advance(Duration::from_secs(advance));
        let answer = gate.ask(&device, "v").await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        (answer.json()["interval"].as_u64().unwrap(), gate.asked()["polls"].as_u64().unwrap())
    };
    gate.lies(&json!({"polled": "authorization_pending"}));
    assert_eq!(ask(0).await, (5, 0), "too soon");
    assert_eq!(ask(4).await, (5, 0), "still");
    assert_eq!(ask(1).await, (5, 1));
    gate.lies(&json!({"polled": "slow_down"}));
    assert_eq!(ask(5).await, (10, 2));
    assert_eq!(ask(5).await, (10, 2), "too soon by now");
    assert_eq!(ask(5).await, (15, 3));
    gate.lies(&json!({}));
    gate.world.clock.advance(Duration::from_secs(15));
    assert_eq!(gate.ask(&device, "v").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_a_code_that_was_refused_there_or_took_too_long_is_over() {
    let Some(gate) = gate().await else { return };
    let refused = gate.in_by_code(json!({"polled": "access_denied"})).await;
    assert_eq!((refused.status, refused.error().as_str()), (403, "provider_refused"), "{}", refused.body);
    let lapsed = gate.in_by_code(json!({"polled": "expired_token"})).await;
    assert_eq!((lapsed.status, lapsed.error().as_str()), (403, "over"), "{}", lapsed.body);
    // Over by the gate's clock, whatever the provider would say.
    gate.lies(&json!({"device": {"expires_in": 600_000}}));
    let device = gate.begun("v").await;
    gate.world.clock.advance(Duration::from_secs(15 * 60));
    assert_eq!(gate.ask(&device, "v").await.error(), "over");
    // What fails for a moment is not over.
    gate.lies(&json!({}));
    let device = gate.begun("v").await;
    gate.world.clock.advance(Duration::from_secs(5));
    gate.lies(&json!({"polled": "server_error"}));
    assert_eq!(gate.ask(&device, "v").await.status, 502);
    gate.world.clock.advance(Duration::from_secs(5));
    gate.lies(&json!({}));
    assert_eq!(gate.ask(&device, "v").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_of_this_login_lets_nobody_in_by_a_code() {
    let Some(gate) = gate().await else { return };
    let now = i64::try_from(Real.monotonic().as_secs()).unwrap();
    for lie in [
        json!({"claims": {"nonce": "00".repeat(32)}}),
        json!({"claims": {"exp": now - 60}}),
        json!({"claims": {"iss": "https://evil.example"}}),
        json!({"claims": {"aud": "another"}}),
        json!({"key": "strange"}),
        json!({"alg": "none"}),
        json!({"alg": "HS256"}),
    ] {
        let answer = gate.in_by_code(lie.clone()).await;
        assert_eq!((answer.status, answer.error().as_str()), (403, "provider_refused"), "{lie}");
    }
    // Few providers repeat a nonce there: who answers is the provider itself.
    assert_eq!(gate.in_by_code(json!({"omit": ["nonce"]})).await.status, 200);
    // Of an account that is nobody's, as everywhere.
    let stranger = gate.in_by_code(json!({"claims": {"sub": "sub-of-eve"}})).await;
    assert_eq!((stranger.status, stranger.error().as_str()), (403, "not_here"));
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_by_a_code_are_off_unless_configured_bounded_and_show_nothing_that_is_no_code() {
    let Some(off) = Gate::new(|_| {}).await else { return };
    let answer = off.begin_device("v").await;
    assert_eq!((answer.status, answer.error().as_str()), (404, "no_devices"), "{}", answer.body);
    assert_eq!(off.asked()["begun"], json!([]));

    let Some(gate) = gate().await else { return };
    for device in [
        json!({"verification_uri": "javascript:alert(1)"}),
        json!({"verification_uri": "ssh://evil.example"}),
        json!({"user_code": "x".repeat(65)}),
        json!({"user_code": "\u{1b}[2J"}),
        json!({"user_code": ""}),
    ] {
        gate.lies(&json!({"device": device}));
        assert_eq!(gate.begin_device("v").await.status, 502, "{device}");
    }
    gate.lies(&json!({}));
    for _ in 0..16 {
        gate.begun("v").await;
    }
    assert_eq!(gate.begin_device("v").await.status, 429);
    gate.world.clock.advance(Duration::from_secs(601));
    gate.begun("v").await;

    let Some(none) = Gate::new(|settings| settings.device = true).await else { return };
    none.lies(&json!({"device": null}));
    assert_eq!(none.begin_device("v").await.error(), "no_devices");
}
