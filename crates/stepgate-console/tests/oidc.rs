//! Logging in again at an OpenID provider: a real one (npm oidc-provider), and one that lies as it is told.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod fetch;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fetch::{Plain, Real, agent};
use serde_json::{Value, json};
use stepgate_console::oidc::{Authenticated, Errand, Oidc, OidcError, Rules, Settings};
use stepgate_testkit::{FakeEntropy, Provider};
use stepgate_types::{Clock as _, PersonName, Strength};
use zeroize::Zeroizing;

const SECRET: &str = "secret-of-a-throwaway-provider";
const REDIRECT: &str = "http://127.0.0.1:1/oidc/callback";
const CHALLENGE: [u8; 32] = [7; 32];
/// Dana's login here.
const SESSION: &str = "one";

/// A provider, and the gate's side of it.
struct World {
    provider: Provider,
    oidc: Oidc,
}

impl World {
    /// `None`: there is no provider on this machine.
    fn new(provider: Option<Provider>) -> Option<Self> {
        let provider = provider?;
        let oidc = oidc(provider.issuer());
        Some(Self { provider, oidc })
    }

    fn liar() -> Option<Self> {
        Self::new(Provider::liar().unwrap())
    }

    /// From now on, tokens hold this.
    fn lies(&self, lie: Value) {
        fetch::lies(&self.provider, &lie);
    }

    /// Dana logs in, and comes back.
    fn login(&self, lie: Value) -> Result<Authenticated, OidcError> {
        self.lies(lie);
        let begun = self.oidc.begin(Some(&dana()), SESSION, &CHALLENGE, Strength::Strong, Errand::Link)?;
        let (code, state) = self.follow(&begun.url);
        assert_eq!(state, begun.state);
        self.oidc.finish(Some(&dana()), SESSION, &state, Some(&code), None).map(|(who, _)| who)
    }

    fn follow(&self, url: &str) -> (String, String) {
        let answer = agent().get(url).call().unwrap();
        back(answer.headers().get("location").unwrap().to_str().unwrap())
    }
}

fn oidc(issuer: &str) -> Oidc {
    let settings = Settings {
        issuer: issuer.to_owned(),
        client_id: "stepgate".to_owned(),
        client_secret: Some(Zeroizing::new(SECRET.to_owned())),
        redirect: REDIRECT.to_owned(),
        accepted: BTreeMap::from([("mfa".to_owned(), Strength::Strong)]),
        person_claim: "preferred_username".to_owned(),
        groups: Some(Rules {
            claim: "groups".to_owned(),
            allow: BTreeSet::from(["analysts".parse().unwrap()]),
            hold: Duration::from_secs(3600),
            ..Rules::default()
        }),
        scopes: Vec::new(),
        create: false,
        device: false,
        label: "Example".to_owned(),
    };
    Oidc::new(settings, Box::new(Plain(agent())), Arc::new(Real), Arc::new(FakeEntropy::seeded(7)))
}

fn dana() -> PersonName {
    "dana".parse().unwrap()
}

/// `code` and `state` of where the browser is sent back to.
fn back(url: &str) -> (String, String) {
    let query = url.strip_prefix(REDIRECT).unwrap().strip_prefix('?').unwrap();
    let get = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| *key == name).unwrap().1.to_owned()
    };
    (get("code"), get("state"))
}

fn token_error(why: &str) -> Result<Authenticated, OidcError> {
    Err(OidcError::Token(match why {
        "acr" => "acr is none of those accepted",
        "no acr" => "acr is missing",
        "time" => "the login was before it was asked for",
        "no time" => "auth_time is missing",
        "future" => "the login is yet to come",
        "nonce" => "it is of another login",
        "audience" => "it is for somebody else",
        "issuer" => "it is of another issuer",
        "expired" => "it has expired",
        "another client" => "it was made for another client",
        "time to come" => "it is of a time to come",
        "nbf" => "nbf is no time",
        "signature" => "its signature is not the provider's",
        "unnamed" => "its answer does not say whose it is",
        other => panic!("{other}"),
    }))
}

#[test]
fn a_login_at_a_real_provider_counts_with_its_acr_its_time_and_its_subject() {
    let Some(world) = World::new(Provider::real(REDIRECT, SECRET).unwrap()) else { return };
    let begun = world.oidc.begin(Some(&dana()), SESSION, &CHALLENGE, Strength::Strong, Errand::Link).unwrap();
    let before = Real.now();
    let (code, state) = back(&world.provider.log_in(&begun.url, "dana").unwrap());
    assert_eq!(state, begun.state);
    let (who, _) = world
        .oidc
        .finish(Some(&dana()), SESSION, &state, Some(&code), Some(world.provider.issuer()))
        .unwrap();
    assert_eq!(
        (who.subject.as_str(), who.strength, who.acr.as_deref()),
        ("dana", Strength::Strong, Some("mfa"))
    );
    assert!(who.at.unwrap().plus(Duration::from_secs(6)) >= before, "{who:?}");
    // Used up, on either side.
    let again = world.oidc.finish(Some(&dana()), SESSION, &state, Some(&code), None);
    assert_eq!(again, Err(OidcError::UnknownState));
}

#[test]
fn what_a_provider_was_asked_for_is_not_taken_to_have_happened() {
    let Some(world) = World::liar() else { return };
    let good = world.login(json!({})).unwrap();
    assert_eq!((good.subject.as_str(), good.strength), ("sub-of-dana", Strength::Strong));
    let now = i64::try_from(Real.monotonic().as_secs()).unwrap();
    for (why, lie) in [
        ("no time", json!({"omit": ["auth_time"]})),
        ("time", json!({"claims": {"auth_time": now - 60}})),
        ("future", json!({"claims": {"auth_time": now + 3600}})),
        ("no acr", json!({"omit": ["acr"]})),
        ("acr", json!({"claims": {"acr": "pwd"}})),
        ("nonce", json!({"claims": {"nonce": "07".repeat(31) + "08"}})),
        ("nonce", json!({"omit": ["nonce"]})),
        ("audience", json!({"claims": {"aud": "another-client"}})),
        ("audience", json!({"claims": {"aud": ["stepgate", "another-client"]}})),
        ("issuer", json!({"claims": {"iss": "https://elsewhere.example"}})),
        ("expired", json!({"claims": {"exp": now - 60}})),
        // Among several audiences or alone, and whatever it has of us besides.
        ("another client", json!({"claims": {"azp": "another-client"}})),
        ("another client", json!({"claims": {"azp": ""}})),
        ("time to come", json!({"claims": {"iat": now + 120}})),
        ("time to come", json!({"claims": {"nbf": now + 120}})),
        ("nbf", json!({"claims": {"nbf": 1e300}})),
        ("nbf", json!({"claims": {"nbf": "soon"}})),
    ] {
        assert_eq!(world.login(lie.clone()), token_error(why), "{lie}");
    }
}

#[test]
fn a_token_that_the_provider_did_not_sign_is_none() {
    let Some(world) = World::liar() else { return };
    for lie in [
        json!({"key": "strange"}),
        json!({"alg": "none"}),
        json!({"alg": "HS256", "secret": SECRET}),
        json!({"alg": "HS256"}),
    ] {
        assert_eq!(world.login(lie.clone()), token_error("signature"), "{lie}");
    }
    assert!(world.login(json!({})).is_ok());
}

#[test]
fn a_login_of_somebody_else_of_another_request_or_of_nobody_is_refused() {
    let Some(world) = World::liar() else { return };
    let begin =
        || world.oidc.begin(Some(&dana()), SESSION, &CHALLENGE, Strength::Strong, Errand::Link).unwrap();
    let finish = |person: Option<&str>, state: &str, code: &str, iss: Option<&str>| {
        let person = person.map(|name| name.parse().unwrap());
        world.oidc.finish(person.as_ref(), SESSION, state, Some(code), iss).map(|(who, _)| who)
    };
    // Eve finishes what dana has begun, or sends dana back with a code of her own (login CSRF).
    let (begun, eves) = (begin(), begin());
    let (code, state) = world.follow(&begun.url);
    assert_eq!(finish(Some("eve"), &state, &code, None), Err(OidcError::UnknownState));
    let (code, _) = world.follow(&begun.url);
    let injected = finish(Some("dana"), &eves.state, &code, None);
    assert!(matches!(injected, Err(OidcError::Provider(_))), "PKCE: {injected:?}");
    // Eve has dana's password, begins in a login of her own, and sends dana there.
    let begun = begin();
    let (code, state) = world.follow(&begun.url);
    let another = world.oidc.finish(Some(&dana()), "another", &state, Some(&code), None).map(|(who, _)| who);
    assert_eq!(another, Err(OidcError::UnknownState));
    // Not begun here; without a code; by another provider.
    assert_eq!(finish(Some("dana"), "guessed", &code, None), Err(OidcError::UnknownState));
    let refused = world.oidc.finish(Some(&dana()), SESSION, &begin().state, None, None);
    assert_eq!(refused, Err(OidcError::Refused));
    let begun = begin();
    let (code, state) = world.follow(&begun.url);
    let mixed_up = finish(Some("dana"), &state, &code, Some("https://elsewhere.example"));
    assert_eq!(mixed_up, token_error("issuer"));
}

/// RFC 9207: where the provider says that its answers name it, one that does not is another's.
#[test]
fn an_answer_that_does_not_say_whose_it_is_is_refused_where_the_provider_promises_that_it_would() {
    for (promise, counts) in [(json!(true), false), (json!(false), true), (json!("true"), true)] {
        let Some(world) = World::liar() else { return };
        let login = world.login(json!({"names": promise}));
        assert_eq!(login.is_ok(), counts, "{promise}: {login:?}");
        if !counts {
            assert_eq!(login, token_error("unnamed"));
            let begin = world.oidc.begin(Some(&dana()), SESSION, &CHALLENGE, Strength::Strong, Errand::Link);
            let (code, state) = world.follow(&begin.unwrap().url);
            let issuer = Some(world.provider.issuer());
            world.oidc.finish(Some(&dana()), SESSION, &state, Some(&code), issuer).unwrap();
        }
    }
    // One that keeps the promise.
    let Some(world) = World::new(Provider::real(REDIRECT, SECRET).unwrap()) else { return };
    let begun = world.oidc.begin(Some(&dana()), SESSION, &CHALLENGE, Strength::Strong, Errand::Link).unwrap();
    let to = world.provider.log_in(&begun.url, "dana").unwrap();
    assert!(to.contains("&iss="), "{to}");
    let (code, state) = back(&to);
    let without = world.oidc.finish(Some(&dana()), SESSION, &state, Some(&code), None).map(|(who, _)| who);
    assert_eq!(without, token_error("unnamed"));
}

#[test]
fn a_provider_that_is_away_or_somebody_else_is_an_error_that_says_so() {
    let away = oidc("http://127.0.0.1:9");
    assert!(matches!(away.check(), Err(OidcError::Provider(_))));
    let Some(world) = World::liar() else { return };
    world.lies(json!({"issuer": "https://elsewhere.example"}));
    assert!(matches!(world.oidc.check(), Err(OidcError::Provider(_))));
}
