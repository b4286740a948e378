//! Logging in at an OpenID provider that lies as it is told: whose account it is, and what it may say of them.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

#[path = "elsewhere/barred.rs"]
mod barred;
#[path = "elsewhere/device.rs"]
mod device;
mod fetch;
mod world;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fetch::{Plain, Real, agent};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use stepgate_console::oidc::{Oidc, Rules, Settings};
use stepgate_record::Event;
use stepgate_store::{Account, Source};
use stepgate_testkit::{FakeEntropy, Provider};
use stepgate_types::{Clock, Strength};
use world::browser::{OWN, between, form};
use world::{Answer, World, name};

const HOUR: Duration = Duration::from_secs(3600);

/// A gate, and a provider that lies.
struct Gate {
    world: World,
    provider: Provider,
}

/// A browser on its way.
struct Way {
    cookie: String,
    /// Where it is sent to.
    url: String,
}

impl Gate {
    /// `None`, said aloud: there is no provider on this machine.
    async fn new(change: impl FnOnce(&mut Settings)) -> Option<Self> {
        let provider = Provider::liar().unwrap()?;
        let world = World::with("", |(redirect, _)| {
            let mut settings = Settings {
                issuer: provider.issuer().to_owned(),
                client_id: "stepgate".to_owned(),
                client_secret: None,
                redirect: redirect.to_owned(),
                accepted: BTreeMap::from([("mfa".to_owned(), Strength::Strong)]),
                person_claim: "preferred_username".to_owned(),
                groups: Some(Rules {
                    claim: "groups".to_owned(),
                    allow: BTreeSet::from(["data-owners".parse().unwrap()]),
                    hold: 8 * HOUR,
                    ..Rules::default()
                }),
                scopes: Vec::new(),
                create: false,
                device: false,
                label: "Example".to_owned(),
            };
            change(&mut settings);
            let entropy = Arc::new(FakeEntropy::seeded(7));
            Some(Arc::new(Oidc::new(settings, Box::new(Plain(agent())), Arc::new(Real), entropy)))
        });
        Some(Self { world: world.await, provider })
    }

    /// From now on, tokens hold this.
    fn lies(&self, lie: &Value) {
        fetch::lies(&self.provider, lie);
    }

    async fn link(&self, person: &str, subject: &str) {
        self.world.people.link(&name(person), self.account(subject), None).await.unwrap();
    }

    fn account(&self, subject: &str) -> Account {
        Account {
            source: Source::Oidc,
            issuer: self.provider.issuer().to_owned(),
            subject: subject.to_owned(),
        }
    }

    /// A page of ours was asked for a login.
    async fn begin(&self, path: &str, fields: &[(&str, &str)]) -> Way {
        let page = self.world.send("POST", path, &OWN, &form(fields)).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let url = between(&page.body, "class=\"button\" href=\"", "\"").unwrap().replace("&amp;", "&");
        Way { cookie: between(&page.head, "set-cookie: ", ";").unwrap().to_owned(), url }
    }

    /// At the provider, which sends it back to here: path and query.
    fn there(&self, way: &Way) -> String {
        let answer = agent().get(&way.url).call().unwrap();
        let to = answer.headers().get("location").unwrap().to_str().unwrap().to_owned();
        to.split_once("/oidc/").map(|(_, rest)| format!("/oidc/{rest}")).unwrap()
    }

    /// Comes back, with that cookie, and goes on.
    async fn back(&self, to: &str, cookie: &str) -> Answer {
        let headers = [("cookie", cookie), ("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")];
        let page = self.world.send("GET", to, &headers, "").await;
        if page.status != 200 {
            return page;
        }
        let hidden = |field: &str| {
            let value = between(&page.body, &format!("name=\"{field}\" value=\""), "\"").unwrap_or_default();
            value.replace("&amp;", "&")
        };
        let values = ["proof", "state", "code", "iss"].map(|field| (field, hidden(field)));
        let fields: Vec<_> = values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let headers = [&OWN[..], &[("cookie", cookie)]].concat();
        self.world.send("POST", "/login/oidc/finish", &headers, &form(&fields)).await
    }

    async fn log_in(&self, lie: Value) -> Answer {
        self.lies(&lie);
        let way = self.begin("/login/oidc", &[]).await;
        let to = self.there(&way);
        self.back(&to, &way.cookie).await
    }

    /// They are in: as whom.
    async fn who(&self, answer: &Answer) -> String {
        assert_eq!(answer.status, 303, "{}", answer.body);
        let cookie = format!("stepgate={}", between(&answer.head, "set-cookie: stepgate=", ";").unwrap());
        let me = self.world.send("GET", "/api/v1/me", &[("cookie", &cookie)], "").await;
        me.json()["name"].as_str().unwrap().to_owned()
    }

    fn groups(&self, who: &str) -> Vec<String> {
        self.world.people.get(&name(who)).unwrap().groups.iter().map(ToString::to_string).collect()
    }

    /// Why nobody was let in, the last time.
    fn refused(&self) -> Option<String> {
        let records = self.world.log.tail(100).unwrap();
        records.into_iter().rev().find_map(|record| match record.event {
            Event::IdentityLogin(it) => Some(it.refused),
            _ => None,
        })?
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_linked_account_logs_in_whatever_it_is_called_and_its_groups_count_for_a_while() {
    let Some(gate) = Gate::new(|_| {}).await else { return };
    gate.link("dana", "sub-of-dana").await;
    let page = gate.world.get("/login", "").await;
    assert!(page.body.contains("Log in with Example"), "{}", page.body);
    let named = json!({"preferred_username": "omar", "groups": ["data-owners", "admins", "services"]});
    let answer = gate.log_in(json!({"claims": named, "omit": ["acr", "auth_time"]})).await;
    assert_eq!(gate.who(&answer).await, "dana");
    // What the configuration does not name is nothing here, however it is called.
    assert_eq!(gate.groups("dana"), ["analysts", "data-owners"]);
    assert_eq!(gate.groups("omar"), ["data-owners"]);
    gate.world.clock.advance(8 * HOUR);
    assert_eq!(gate.groups("dana"), ["analysts"]);

    let named = |groups: Value| json!({"claims": {"groups": groups}});
    assert_eq!(gate.log_in(named(json!(["data-owners"]))).await.status, 303);
    assert_eq!(gate.groups("dana"), ["analysts", "data-owners"]);
    assert_eq!(gate.log_in(named(json!(["others"]))).await.status, 303);
    assert_eq!(gate.groups("dana"), ["analysts"], "replaced, not added to");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_loses_a_group_there_loses_with_it_what_waits_for_them_here() {
    let Some(gate) = Gate::new(|_| {}).await else { return };
    gate.link("dana", "sub-of-dana").await;
    assert_eq!(gate.log_in(json!({"claims": {"groups": ["data-owners"]}})).await.status, 303);
    let waiting = gate.world.step_up().await;
    assert_eq!(gate.log_in(json!({"claims": {"groups": []}})).await.status, 303);
    assert!(!gate.world.desk.request(waiting.request).unwrap().is_open());
    // Of others, membership is as it is when they answer: eve is not asked, and once was.
    gate.link("eve", "sub-of-eve").await;
    let eves = json!({"claims": {"sub": "sub-of-eve", "groups": ["data-owners"]}});
    assert_eq!(gate.log_in(eves).await.status, 303);
    let waiting = gate.world.approval().await;
    let path = format!("/api/v1/requests/{}", waiting.request);
    let eve = gate.world.login("eve").await;
    assert_eq!(gate.world.get(&path, &eve).await.status, 200);
    gate.world.clock.advance(8 * HOUR);
    let eve = gate.world.login("eve").await;
    let waiting = gate.world.approval().await;
    let path = format!("/api/v1/requests/{}", waiting.request);
    assert_eq!(gate.world.get(&path, &eve).await.status, 404);
    let body = json!({"proof": {"code": gate.world.code("eve")}});
    assert_eq!(gate.world.post(&format!("{path}/approve"), &eve, body).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_somebody_has_here_is_not_taken_over_by_an_account_of_that_name() {
    for create in [false, true] {
        let Some(gate) = Gate::new(|settings| settings.create = create).await else { return };
        let claims = json!({"claims": {"preferred_username": "dana", "groups": ["data-owners"]}});
        let answer = gate.log_in(claims).await;
        assert_eq!(answer.status, 403);
        assert!(
            answer.body.contains("nobody&#39;s here") || answer.body.contains("nobody's here"),
            "{}",
            answer.body
        );
        assert_eq!(
            (gate.refused().as_deref(), gate.groups("dana")),
            (Some("taken"), vec!["analysts".to_owned()])
        );
        // Somebody else's account, of the same name as the one that is linked.
        gate.link("dana", "another").await;
        let again = gate.log_in(json!({"claims": {"preferred_username": "dana"}})).await;
        assert_eq!((again.status, gate.refused().as_deref()), (403, Some("taken")));
        // A service is nobody to log in as.
        let answer = gate.log_in(json!({"claims": {"preferred_username": "etl"}})).await;
        assert_eq!((answer.status, gate.refused().as_deref()), (403, Some("taken")));
        assert!(gate.world.people.of_account(&gate.account("sub-of-dana")).is_none());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_name_becomes_somebody_where_that_is_configured_and_stays_theirs() {
    let Some(gate) = Gate::new(|settings| settings.create = true).await else { return };
    let kim = |sub: &str, called: &str| json!({"claims": {"sub": sub, "preferred_username": called}});
    assert_eq!(gate.who(&gate.log_in(kim("1", "kim")).await).await, "kim");
    // Called otherwise since, it is still kim; and another account that is called so now is not.
    assert_eq!(gate.who(&gate.log_in(kim("1", "kimberly")).await).await, "kim");
    assert!(gate.world.people.get(&name("kimberly")).is_none());
    assert_eq!(gate.log_in(kim("2", "kim")).await.status, 403);
    assert_eq!(gate.refused().as_deref(), Some("taken"));
    for (called, why) in [("a\u{0}b", "name"), ("", "name"), ("x".repeat(64).as_str(), "name")] {
        assert_eq!(gate.log_in(kim("3", called)).await.status, 403, "{called}");
        assert_eq!(gate.refused().as_deref(), Some(why));
    }
    let added = gate.world.log.tail(100).unwrap().into_iter().any(|record| {
        matches!(&record.event, Event::IdentityLinked(it) if it.source == "oidc" && it.operator.is_none())
    });
    assert!(added);
    let Some(gate) = Gate::new(|_| {}).await else { return };
    assert_eq!(gate.log_in(kim("1", "kim")).await.status, 403);
    assert_eq!(gate.refused().as_deref(), Some("unknown"));
    assert!(gate.world.people.get(&name("kim")).is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_provider_has_not_verified_names_nobody() {
    let email = |settings: &mut Settings| {
        settings.create = true;
        "email".clone_into(&mut settings.person_claim);
    };
    let Some(gate) = Gate::new(email).await else { return };
    for claims in [
        json!({"email": "boss@corp.example"}),
        json!({"email": "boss@corp.example", "email_verified": false}),
        // What people choose themselves is not taken in its place.
        json!({"email": "boss@corp.example", "preferred_username": "boss"}),
    ] {
        assert_eq!(gate.log_in(json!({"claims": claims})).await.status, 403, "{claims}");
        assert_eq!(gate.refused().as_deref(), Some("unverified-name"));
    }
    assert_eq!(gate.log_in(json!({"claims": {"preferred_username": "boss"}})).await.status, 403);
    assert_eq!(gate.refused().as_deref(), Some("name"));
    let verified = json!({"claims": {"email": "boss@corp.example", "email_verified": true}});
    assert_eq!(gate.who(&gate.log_in(verified).await).await, "boss@corp.example");
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_that_cannot_be_read_let_nobody_in_by_a_guess() {
    let Some(gate) = Gate::new(|_| {}).await else { return };
    gate.link("dana", "sub-of-dana").await;
    for claims in [
        json!({"groups": "data-owners"}),
        json!({"groups": {"data-owners": true}}),
        json!({"groups": ["data-owners", 7]}),
        json!({"groups": [["data-owners"]]}),
        // Too many for the token: Entra's words for it, and the standard's.
        json!({"hasgroups": true}),
        json!({"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": "https://x"}}}),
        json!({"groups": (0..3000).map(|n| format!("g{n}")).collect::<Vec<_>>()}),
    ] {
        assert_eq!(gate.log_in(json!({"claims": claims})).await.status, 403, "{claims}");
        assert_eq!(gate.refused().as_deref(), Some("groups"));
        assert_eq!(gate.groups("dana"), ["analysts"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_counts_once_in_the_browser_that_began_it_and_at_this_provider() {
    let Some(gate) = Gate::new(|_| {}).await else { return };
    gate.link("dana", "sub-of-dana").await;
    gate.lies(&json!({}));
    // Another browser has no cookie, or one of its own (login CSRF: eve sends dana the end of her own login).
    let (dana, eve) = (gate.begin("/login/oidc", &[]).await, gate.begin("/login/oidc", &[]).await);
    let to = gate.there(&eve);
    assert_eq!(gate.back(&to, "").await.status, 403);
    assert_eq!(gate.back(&to, &dana.cookie).await.status, 403);
    // That has used it up: there is nothing to go on with but the form.
    let over = gate.back(&to, &eve.cookie).await;
    assert!(over.status == 303 && over.head.contains("location: /login\r\n"), "{}", over.head);

    let way = gate.begin("/login/oidc", &[]).await;
    let to = gate.there(&way);
    let mixed_up = gate.back(&format!("{to}&iss=https%3A%2F%2Fevil.example"), &way.cookie).await;
    assert_eq!(mixed_up.status, 403, "an answer of another provider (RFC 9207)");
    let way = gate.begin("/login/oidc", &[]).await;
    let to = gate.there(&way);
    assert_eq!(gate.back(&to, &way.cookie).await.status, 303);
    let replayed = gate.back(&to, &way.cookie).await;
    assert!(replayed.status == 303 && !replayed.head.contains("set-cookie"), "{}", replayed.head);

    let now = i64::try_from(Real.monotonic().as_secs()).unwrap();
    for lie in [
        json!({"claims": {"exp": now - 60}}),
        json!({"claims": {"iss": "https://evil.example"}}),
        json!({"claims": {"aud": "another"}}),
        json!({"claims": {"nonce": "00".repeat(32)}}),
        json!({"omit": ["nonce"]}),
        json!({"key": "strange"}),
        json!({"alg": "none"}),
    ] {
        assert_eq!(gate.log_in(lie.clone()).await.status, 403, "{lie}");
    }
    // Begun by another site's page, or by a link.
    for headers in [&[("origin", "https://evil.example")][..], &[("sec-fetch-site", "cross-site")], &[]] {
        let headers = [headers, &[("content-type", "application/x-www-form-urlencoded")]].concat();
        for path in ["/login/oidc", "/login/oidc/finish", "/login/program"] {
            assert_eq!(gate.world.send("POST", path, &headers, "").await.status, 403, "{path}");
        }
    }
    assert_eq!(gate.world.get("/login/oidc", "").await.status, 405);
}

/// A program that waits on its machine.
fn program(verifier: &str) -> (String, [(String, String); 3]) {
    let challenge: String =
        Sha256::digest(verifier.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let fields = [("port", "40404"), ("challenge", challenge.as_str()), ("state", "abc")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (challenge, fields)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_is_let_in_by_a_code_that_only_it_can_use_and_mints_a_password_while_that_is_fresh() {
    let Some(gate) = Gate::new(|_| {}).await else { return };
    gate.link("dana", "sub-of-dana").await;
    // As the gate's clock has it, which stands.
    let now = gate.world.clock.now().unix_seconds();
    gate.lies(&json!({"claims": {"auth_time": now - 500}}));
    let world = &gate.world;
    let (challenge, fields) = program("the program's own");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    // The page that it opens shows the letters that it shows, and does nothing.
    let page = world.get(&format!("/login/program?{}", form(&fields)), "").await;
    let (first, rest) = challenge.split_at(4);
    let letters = format!("{first}-{}", rest.split_at(4).0).to_uppercase();
    assert!(page.body.contains(&letters), "{}", page.body);
    for wrong in [
        [("port", "80"), ("challenge", &challenge), ("state", "abc")],
        [("port", "40404"), ("challenge", "ab"), ("state", "abc")],
        [("port", "40404"), ("challenge", &challenge), ("state", "a&b")],
        [("port", "evil.example"), ("challenge", &challenge), ("state", "abc")],
    ] {
        assert_eq!(world.get(&format!("/login/program?{}", form(&wrong)), "").await.status, 400, "{wrong:?}");
    }
    let code = async || {
        let way = gate.begin("/login/program", &fields).await;
        assert!(way.url.contains("&max_age=600"), "{}", way.url);
        let page = gate.back(&gate.there(&way), &way.cookie).await;
        assert_eq!(page.status, 200, "{}", page.body);
        // To this machine alone, and no cookie: the browser is not logged in by it.
        let link = between(&page.body, "href=\"http://127.0.0.1:40404/?code=", "\"").unwrap();
        assert!(!page.head.contains("set-cookie: stepgate="), "{}", page.head);
        link.split_once("&amp;state=abc").unwrap().0.to_owned()
    };
    let redeem = async |code: &str, verifier: &str| {
        world.post("/api/v1/login/code", "", json!({"code": code, "verifier": verifier})).await
    };
    let stolen = code().await;
    assert_eq!(redeem(&stolen, "a guess").await.status, 401);
    assert_eq!(redeem(&stolen, "the program's own").await.status, 401, "used up by who guessed");
    let fine = code().await;
    let let_in = redeem(&fine, "the program's own").await;
    assert_eq!((let_in.status, let_in.json()["name"].as_str()), (200, Some("dana")));
    assert_eq!(redeem(&fine, "the program's own").await.status, 401);

    let token = let_in.json()["token"].as_str().unwrap().to_owned();
    let minted = world.post("/api/v1/passwords", &token, json!({})).await;
    assert_eq!(minted.status, 200, "{}", minted.body);
    let password = minted.json()["password"].as_str().unwrap().to_owned();
    assert_eq!(minted.json()["entrance"], json!({"port": 6432, "databases": ["shop"], "tls": true}));
    // It is for databases.
    assert_eq!(world.try_login("dana", &password).await.status, 401);
    let listed = world.get("/api/v1/passwords", &token).await;
    assert_eq!(listed.json()[0]["id"], minted.json()["id"]);
    assert!(!listed.body.contains(&password));
    // Ten minutes after it was made there, the login is good, and mints nothing by itself any more.
    world.clock.advance(Duration::from_secs(100));
    let late = world.post("/api/v1/passwords", &token, json!({})).await;
    assert_eq!((late.status, late.error().as_str()), (401, "proof_needed"));
    let body = json!({"code": world.code("dana")});
    assert_eq!(world.post("/api/v1/passwords", &token, body).await.status, 200);
    // Nor does one of which the provider does not say when it was, or says so of a session of long ago, or of tomorrow.
    let now = world.clock.now().unix_seconds();
    for lie in [
        json!({"omit": ["auth_time"]}),
        json!({"claims": {"auth_time": now - 3600}}),
        json!({"claims": {"auth_time": now + 3600}}),
    ] {
        gate.lies(&lie);
        let token = redeem(&code().await, "the program's own").await.json()["token"].clone();
        let token = token.as_str().unwrap();
        assert_eq!(world.get("/api/v1/me", token).await.status, 200);
        let minted = world.post("/api/v1/passwords", token, json!({})).await;
        assert_eq!((minted.status, minted.error().as_str()), (401, "proof_needed"), "{lie}");
    }
    // A password alone mints nothing either.
    let by_password = world.login("dana").await;
    assert_eq!(world.post("/api/v1/passwords", &by_password, json!({})).await.status, 401);
    // Without the account, what it has let in is out.
    world.people.unlink(&name("dana"), Source::Oidc, None).await.unwrap();
    assert_eq!(world.get("/api/v1/me", &token).await.status, 401);
    assert_eq!(world.get("/api/v1/me", &by_password).await.status, 200);
    assert_eq!(world.get("/api/v1/passwords", &by_password).await.json(), json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_by_an_account_that_was_taken_away_stays_over_when_they_have_another() {
    let Some(gate) = Gate::new(|_| {}).await else { return };
    gate.link("dana", "sub-of-dana").await;
    let answer = gate.log_in(json!({})).await;
    let cookie = format!("stepgate={}", between(&answer.head, "set-cookie: stepgate=", ";").unwrap());
    let (_, fields) = program("the program's own");
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let way = gate.begin("/login/program", &fields).await;
    let page = gate.back(&gate.there(&way), &way.cookie).await;
    let link = between(&page.body, "href=\"http://127.0.0.1:40404/?code=", "\"").unwrap();
    let code = link.split_once("&amp;").unwrap().0.to_owned();
    // An account in the directory is another matter.
    gate.world.clock.advance(Duration::from_secs(1));
    let directory = Account { source: Source::Ldap, issuer: String::new(), subject: "dana".to_owned() };
    gate.world.people.link(&name("dana"), directory, None).await.unwrap();
    assert_eq!(gate.world.send("GET", "/api/v1/me", &[("cookie", &cookie)], "").await.status, 200);

    gate.world.people.unlink(&name("dana"), Source::Oidc, None).await.unwrap();
    gate.link("dana", "another").await;
    assert_eq!(gate.world.send("GET", "/api/v1/me", &[("cookie", &cookie)], "").await.status, 401);
    let body = json!({"code": code, "verifier": "the program's own"});
    assert_eq!(gate.world.post("/api/v1/login/code", "", body).await.status, 401);
    let answer = gate.log_in(json!({"claims": {"sub": "another"}})).await;
    assert_eq!(gate.who(&answer).await, "dana");
}
