//! Codes that are sent, and what is offered when they cannot be.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::http::{Request, Response};
use serde_json::json;
use stepgate_approval::{Channel, Message, Method, OidcFactor, Proof, SentCode};
use stepgate_console::oidc::{Fetch, Oidc, Settings, Unreachable};
use stepgate_record::Outcome;
use stepgate_store::{Enrol, Presented};
use stepgate_types::Strength;
use world::browser::between;
use world::{World, name};
use zeroize::Zeroizing;

/// What was sent, and whether the mail server is up.
#[derive(Default)]
struct Mail {
    sent: Mutex<Vec<String>>,
    down: std::sync::atomic::AtomicBool,
}

impl Channel for Mail {
    fn health(&self) -> Result<(), String> {
        let down = self.down.load(std::sync::atomic::Ordering::Relaxed);
        if down { Err("the mail server <mail.example> does not answer".to_owned()) } else { Ok(()) }
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.sent.lock().unwrap().push(message.text.to_string());
        Ok(())
    }
}

impl Mail {
    /// The code of the last message.
    fn code(&self) -> String {
        self.sent.lock().unwrap().last().unwrap().split(' ').next().unwrap().to_owned()
    }
}

/// Omar gets codes by e-mail, too.
async fn world_with_mail() -> (World, Arc<Mail>) {
    let (world, mail) = (World::new().await, Arc::new(Mail::default()));
    let desk = &world.desk;
    desk.plug(Arc::new(SentCode::email(desk.method_key(Method::Email))));
    desk.connect(Method::Email, mail.clone());
    let (omar, from) = (name("omar"), std::net::IpAddr::from([192, 0, 2, 7]));
    let mut enrol = Enrol::new(&omar, Method::Email, from.into());
    enrol.about = json!({"address": "omar@example.test"});
    enrol.presented = Some(Presented::code(&world.code("omar")));
    desk.enrol(enrol).await.unwrap();
    desk.enrol_confirm(&omar, Method::Email, Proof::Code(Zeroizing::new(mail.code())), None).await.unwrap();
    world.clock.advance(std::time::Duration::from_secs(2 * 24 * 60 * 60));
    (world, mail)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_was_sent_to_deny_one_request_answers_nothing_else() {
    let (world, mail) = world_with_mail().await;
    let weak = world.ask_for(false, "select 1", Strength::Weak).await;
    let other = world.ask_for(false, "select 2", Strength::Weak).await;
    let omar = world.browser("omar").await;
    let (path, elsewhere) = (format!("/r/{}", weak.request), format!("/r/{}", other.request));
    let page = omar.get(&world, &path).await;
    assert!(page.body.contains("Send a code by e-mail to deny"), "{}", page.body);
    let sent = omar.post(&world, &format!("{path}/send"), &[("method", "email"), ("approve", "no")]).await;
    assert_eq!(sent.status, 200, "{}", sent.body);
    assert!(sent.body.contains("om…test") && !sent.body.contains("omar@example"), "{}", sent.body);
    let challenge = between(&sent.body, "name=\"challenge\" value=\"", "\"").unwrap();
    let code = mail.code();
    assert!(!sent.body.contains(&code));
    let say = |approve| {
        [
            ("method", "email"),
            ("challenge", challenge),
            ("code", &*code),
            ("approve", approve),
            ("reason", "r"),
        ]
    };
    assert_ne!(omar.post(&world, &format!("{elsewhere}/sent"), &say("no")).await.status, 303);
    assert_ne!(omar.post(&world, &format!("{path}/sent"), &say("yes")).await.status, 303);
    assert_eq!(world.desk.request(other.request).unwrap().state, "open");
    assert_eq!(world.desk.request(weak.request).unwrap().state, "open");
    assert_eq!(omar.post(&world, &format!("{path}/sent"), &say("no")).await.status, 303);
    assert_eq!(weak.ended.await.unwrap().outcome, Outcome::Denied);
}

/// Checklist 12.
#[tokio::test(flavor = "multi_thread")]
async fn when_mail_is_down_the_page_says_so_and_offers_the_next_method() {
    let (world, mail) = world_with_mail().await;
    let waiting = world.ask_for(false, "select 1", Strength::Weak).await;
    let strong = world.ask_for(false, "select 2", Strength::Standard).await;
    let omar = world.browser("omar").await;
    let path = format!("/r/{}", waiting.request);
    mail.down.store(true, std::sync::atomic::Ordering::Relaxed);
    let page = omar.get(&world, &path).await;
    assert!(
        page.body.contains("email does not work now: the mail server &lt;mail.example&gt;"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("Send a code by e-mail"));
    let sent = omar.post(&world, &format!("{path}/send"), &[("method", "email"), ("approve", "yes")]).await;
    assert_eq!(sent.status, 409, "{}", sent.body);
    assert!(sent.body.contains("id=\"code\""), "the app's code is still taken: {}", sent.body);
    let fields = [("code", world.code("omar")), ("reason", "ticket".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(omar.post(&world, &format!("{path}/approve"), &fields).await.status, 303);
    // What is weaker than a request asks for is not offered for it, up or down.
    let page = omar.get(&world, &format!("/r/{}", strong.request)).await;
    assert!(!page.body.contains("e-mail") && !page.body.contains("email"), "{}", page.body);
}

/// The identity provider's address, where nobody listens.
struct NobodyThere;

impl Fetch for NobodyThere {
    fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        assert!(request.uri().path().ends_with("/.well-known/openid-configuration"));
        let error = std::net::TcpStream::connect("127.0.0.1:9").unwrap_err();
        Err(Unreachable(error.to_string()))
    }
}

/// A gate whose provider is away, where dana's account there is linked.
async fn world_without_provider() -> World {
    let mut provider = None;
    let world = World::with("", |(redirect, clock)| {
        let settings = Settings {
            issuer: "http://127.0.0.1:9".to_owned(),
            client_id: "stepgate".to_owned(),
            client_secret: None,
            redirect: redirect.to_owned(),
            accepted: BTreeMap::from([("mfa".to_owned(), Strength::Strong)]),
            person_claim: "preferred_username".to_owned(),
            groups: None,
            scopes: Vec::new(),
            create: false,
            device: false,
            label: "Example".to_owned(),
        };
        let entropy = Arc::new(stepgate_testkit::FakeEntropy::seeded(7));
        provider = Some(Arc::new(Oidc::new(settings, Box::new(NobodyThere), clock.clone(), entropy)));
        provider.clone()
    });
    let world = world.await;
    let desk = &world.desk;
    desk.plug(Arc::new(OidcFactor));
    desk.connect(Method::Oidc, provider.unwrap());
    let (dana, from) = (name("dana"), std::net::IpAddr::from([192, 0, 2, 7]));
    let mut enrol = Enrol::new(&dana, Method::Oidc, from.into());
    enrol.code = Some(desk.enrol_code(&dana, None).await.unwrap());
    enrol.presented = Some(Presented::code(&world.code("dana")));
    let shown = desk.enrol(enrol).await.unwrap();
    let login =
        json!({"iss": "http://127.0.0.1:9", "sub": "1", "nonce": shown["nonce"], "strength": "strong"});
    desk.enrol_confirm(&dana, Method::Oidc, Proof::Oidc(login), None).await.unwrap();
    world.clock.advance(Duration::from_secs(30));
    world
}

/// Checklist 12.
#[tokio::test(flavor = "multi_thread")]
async fn when_the_identity_provider_is_away_the_page_says_so_and_offers_the_next_method() {
    const OFFER: &str = "Log in again at the identity provider";
    let world = world_without_provider().await;
    let waiting = world.ask_for(true, "select 1", Strength::Standard).await;
    let strong = world.ask_for(true, "select 2", Strength::Strong).await;
    let dana = world.browser("dana").await;
    let path = format!("/r/{}", waiting.request);
    // Nobody knows yet.
    assert!(dana.get(&world, &path).await.body.contains(OFFER));
    let begun = dana.post(&world, &format!("{path}/oidc"), &[("verb", "verify")]).await;
    assert!(
        begun.status == 409 && begun.body.contains("cannot be reached"),
        "{}: {}",
        begun.status,
        begun.body
    );
    for (request, by_code) in [(&waiting, true), (&strong, false)] {
        let page = dana.get(&world, &format!("/r/{}", request.request)).await.body;
        assert!(page.contains("oidc does not work now: the identity provider cannot be reached"), "{page}");
        assert!(!page.contains(OFFER), "{page}");
        // By what is strong enough, and by nothing else.
        let methods =
            world.desk.methods(request.request, &name("dana"), std::net::IpAddr::from([192, 0, 2, 7]).into());
        let methods = methods.unwrap();
        assert_eq!(methods.iter().any(|it| it.available && it.method == Method::Totp), by_code);
    }
    let done = dana.post(&world, &format!("{path}/verify"), &[("code", &world.code("dana"))]).await;
    assert_eq!(done.status, 303, "{}", done.body);
    assert_eq!(waiting.ended.await.unwrap().outcome, Outcome::Approved);
}
