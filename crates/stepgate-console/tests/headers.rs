//! What every answer tells a browser (snapshots), and what an action that wants a fresh proof tells a program.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use serde_json::json;
use stepgate_types::Strength;
use world::World;

/// As sent; `date`, `content-length`, `content-type` and what belongs to single answers besides.
const STRICT: &str = "\
cache-control: no-store
content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'
cross-origin-opener-policy: same-origin
cross-origin-resource-policy: same-origin
permissions-policy: publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()
referrer-policy: no-referrer
vary: cookie, authorization
x-content-type-options: nosniff
x-frame-options: deny
";

fn strict(head: &str) -> String {
    const OWN: [&str; 8] = [
        "date",
        "content-length",
        "content-type",
        "connection",
        "allow",
        "location",
        "www-authenticate",
        "retry-after",
    ];
    let mut lines: Vec<_> = head
        .lines()
        .skip(1)
        .filter(|line| {
            let name = line.split(':').next().unwrap();
            !OWN.contains(&name)
        })
        .collect();
    lines.sort_unstable();
    lines.into_iter().map(|line| format!("{line}\n")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_of_every_route_is_strict() {
    let world = World::new().await;
    let routes = stepgate_console::paths().into_iter().map(|(method, path, _)| (method, path));
    for (method, path) in routes.chain([("get", "/nowhere"), ("delete", "/"), ("post", "/healthz")]) {
        let path = path.replace("{id}", "ZZZZ-ZZZZ").replace("{number}", "0");
        let answer = world.send(method, &path, &[], "").await;
        assert_eq!(strict(&answer.head), STRICT, "{method} {path}");
    }
    world.exhaust().await;
    assert_eq!(strict(&world.send("get", "/", &[], "").await.head), STRICT);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_with_tls_and_a_name_of_its_own_keeps_browsers_to_tls() {
    let world = World::at("https://gate.example").await;
    for path in ["/login", "/healthz", "/nowhere"] {
        let strict = strict(&world.send("get", path, &[], "").await.head);
        let expected = "referrer-policy: no-referrer\nstrict-transport-security: max-age=31536000\n";
        assert_eq!(strict, STRICT.replace("referrer-policy: no-referrer\n", expected), "{path}");
    }
}

/// RFC 9470, section 3.
#[tokio::test(flavor = "multi_thread")]
async fn an_action_that_wants_a_fresh_proof_says_of_what_strength() {
    let world = World::new().await;
    let dana = world.login("dana").await;
    let challenge = |head: &str| {
        head.lines().find_map(|line| line.strip_prefix("www-authenticate: ")).unwrap_or_default().to_owned()
    };
    for (strength, acr_values) in [
        (Strength::Standard, "standard strong phishing-resistant device-bound"),
        (Strength::PhishingResistant, "phishing-resistant device-bound"),
    ] {
        let waiting = world.ask_for(true, &format!("select '{acr_values}'"), strength).await;
        let path = format!("/api/v1/requests/{}/verify", waiting.request);
        let expected = format!(
            "bearer error=\"insufficient_user_authentication\", error_description=\"a fresh proof is needed\", \
             acr_values=\"{acr_values}\", max_age=0"
        );
        for body in [json!({}), json!({"code": ""}), json!({"code": world.code("dana")})] {
            // A good code is refused where it proves too little.
            if strength == Strength::Standard && body["code"].as_str().is_some_and(|code| !code.is_empty()) {
                continue;
            }
            let answer = world.post(&path, &dana, body).await;
            assert_eq!((answer.status, challenge(&answer.head)), (401, expected.clone()), "{}", answer.body);
        }
        assert_eq!(world.desk.request(waiting.request).unwrap().state, "open");
    }
    // Nobody logged in: that, and not a proof, is what is lacking.
    assert_eq!(challenge(&world.get("/api/v1/me", "").await.head), "bearer");
}
