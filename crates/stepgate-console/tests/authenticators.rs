//! One's own authenticators in the browser: enrolled by an operator's code, and removed.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test fails by panicking")]

mod world;

use std::net::IpAddr;
use std::time::Duration;

use serde_json::json;
use stepgate_approval::{Method, Proof, Purpose};
use stepgate_record::{Event, Outcome};
use stepgate_store::{Enrol, NewPerson, Presented};
use stepgate_testkit::{Authenticator, SecurityKey};
use stepgate_types::Clock as _;
use world::browser::{Browser, OWN, between};
use world::{PASSWORD, SITE, World, name};

const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 7));

/// Somebody who never had an authenticator.
async fn newcomer(world: &World) -> Browser {
    let groups = vec!["analysts".parse().unwrap()];
    let new = NewPerson { name: name("newt"), groups, service: false, password: PASSWORD };
    world.people.add(new, None).await.unwrap();
    world.browser("newt").await
}

/// A security key of dana's: what she has besides the app is stronger.
async fn security_key(world: &World) -> (SecurityKey, String) {
    let (mut key, dana) = (SecurityKey::new(3, SITE).unwrap(), name("dana"));
    let mut enrol = Enrol::new(&dana, Method::Passkey, HERE.into());
    enrol.code = Some(world.desk.enrol_code(&dana, None).await.unwrap());
    enrol.presented = Some(Presented::code(&world.code("dana")));
    let shown = world.desk.enrol(enrol).await.unwrap();
    let made = key.create(&shown).unwrap();
    let id = world.desk.enrol_confirm(&dana, Method::Passkey, Proof::Passkey(made), None).await.unwrap();
    world.clock.advance(Duration::from_secs(60));
    (key, id.to_string())
}

/// What the page's script puts into a form: a challenge, and its answer.
async fn touched(world: &World, key: &mut SecurityKey) -> [(&'static str, String); 2] {
    let made =
        world.desk.challenge_for(&name("dana"), Purpose::Manage, Method::Passkey, HERE.into()).await.unwrap();
    let answer = key.get(&made.shown).unwrap();
    [("challenge", made.challenge.to_string()), ("passkey", answer.to_string())]
}

fn fields<'f>(owned: &'f [(&'f str, String)]) -> Vec<(&'f str, &'f str)> {
    owned.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

fn methods(world: &World, person: &str) -> Vec<&'static str> {
    world.desk.authenticators(&name(person)).iter().map(|it| it.method.as_str()).collect()
}

fn id_of(world: &World, person: &str, method: Method) -> String {
    let own = world.desk.authenticators(&name(person));
    own.into_iter().find(|it| it.method == method).unwrap().id
}

fn app(page: &str) -> Authenticator {
    let uri = between(page, "href=\"otpauth", "\"").unwrap().replace("&amp;", "&");
    Authenticator::enrol(&format!("otpauth{uri}")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_code_enrols_an_app_in_the_browser_and_is_good_once() {
    let world = World::new().await;
    let newt = newcomer(&world).await;
    assert!(newt.get(&world, "/enrol").await.body.contains("id=\"enrolment\" name=\"enrolment_code\""));
    let operators = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    for wrong in ["", "0000-0000-0000-0000-0000-0000", operators.get(1..).unwrap()] {
        let refused = newt.post(&world, "/enrol/totp", &[("enrolment_code", wrong)]).await;
        assert_eq!(refused.status, 403, "{wrong}: {}", refused.body);
        assert!(refused.body.contains("role=\"alert\"") && !refused.body.contains("otpauth"));
    }
    // As it is read from a screen and typed.
    let typed = operators.replace('-', " ").to_lowercase();
    let begun = newt.post(&world, "/enrol/totp", &[("enrolment_code", &typed)]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    assert!(begun.body.contains("<svg class=\"qr\""));
    let app = app(&begun.body);
    let again = newt.post(&world, "/enrol/totp", &[("enrolment_code", &operators)]).await;
    assert_eq!(again.status, 403, "{}", again.body);
    let wrong = newt.post(&world, "/enrol/totp/confirm", &[("code", "000000")]).await;
    assert!(wrong.status == 401 && !wrong.body.contains("otpauth"), "{}", wrong.body);
    assert!(methods(&world, "newt").is_empty());
    let code = app.code_at(world.clock.now().unix_seconds());
    let done = newt.post(&world, "/enrol/totp/confirm", &[("code", &code)]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert!(done.body.contains("in use.") && !done.body.contains("old one"), "{}", done.body);
    assert_eq!(methods(&world, "newt"), ["totp"]);
    world.clock.advance(Duration::from_secs(60));
    let fresh = app.code_at(world.clock.now().unix_seconds());
    world.desk.prove(&name("newt"), &fresh, HERE).await.unwrap();
    // From here on, an operator's code alone takes the place of nothing.
    let operators = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    let alone = newt.post(&world, "/enrol/totp", &[("enrolment_code", &operators)]).await;
    assert!(alone.status == 401 && !alone.body.contains("otpauth"), "{}", alone.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_enrolment_codes_is_slowed_down_and_recorded_and_locks_nobody_out() {
    let world = World::new().await;
    let newt = newcomer(&world).await;
    let mut tried = 0;
    let told_to_wait = loop {
        let guess = format!("{tried:024}");
        let refused = newt.post(&world, "/enrol/totp", &[("enrolment_code", &guess)]).await;
        if refused.status == 429 {
            break refused;
        }
        assert_eq!(refused.status, 403, "{}", refused.body);
        tried += 1;
        assert!(tried < 5000, "nobody is ever told to wait");
    };
    assert!(told_to_wait.head.contains("retry-after: "), "{}", told_to_wait.head);
    let is_try =
        |event: &Event| matches!(event, Event::FactorFailed { factor, .. } if factor == "enrolment-code");
    let recorded = world.log.tail(10_000).unwrap().iter().filter(|record| is_try(&record.event)).count();
    assert!((10..=100).contains(&recorded) && recorded < tried, "{recorded} of {tried}");
    world.clock.advance(Duration::from_secs(60));
    let late = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    world.clock.advance(Duration::from_secs(601));
    let lapsed = newt.post(&world, "/enrol/totp", &[("enrolment_code", &late)]).await;
    assert_eq!(lapsed.status, 403, "{}", lapsed.body);
    let right = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    let begun = newt.post(&world, "/enrol/totp", &[("enrolment_code", &right)]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
}

/// Whoever has the password alone logs in beside the person, waits until they have spent the operator's code, and types
/// wrong codes in their place.
#[tokio::test(flavor = "multi_thread")]
async fn who_knows_the_password_alone_uses_up_no_attempt_of_an_enrolment_that_its_owner_has_begun() {
    let world = World::new().await;
    let newt = newcomer(&world).await;
    let (thief, token) = (world.browser("newt").await, world.login("newt").await);
    let wrong = json!({"proof": {"code": "000000"}});
    // As many as anybody may try: on pages, by the API, and at the gate's own machine what is begun there.
    let tries = async || {
        for _ in 0..6 {
            let page = thief.post(&world, "/enrol/totp/confirm", &[("code", "000000")]).await;
            assert_eq!(page.status, 409, "{}", page.body);
            let api = world.post("/api/v1/factors/totp/confirm", &token, wrong.clone()).await;
            assert_eq!((api.status, api.error().as_str()), (409, "not_begun"), "{}", api.body);
        }
    };
    let operators = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    let begun = newt.post(&world, "/enrol/totp", &[("enrolment_code", &operators)]).await;
    assert_eq!(begun.status, 200, "{}", begun.body);
    tries().await;
    let code = app(&begun.body).code_at(world.clock.now().unix_seconds());
    // Not even by the right one, were they to see it.
    let seen = thief.post(&world, "/enrol/totp/confirm", &[("code", &code)]).await;
    assert_eq!(seen.status, 409, "{}", seen.body);
    let done = newt.post(&world, "/enrol/totp/confirm", &[("code", &code)]).await;
    assert_eq!(done.status, 200, "{}", done.body);
    assert_eq!(methods(&world, "newt"), ["totp"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authenticator_is_removed_by_a_fresh_proof_of_one_as_strong() {
    let world = World::new().await;
    let (mut key, passkey) = security_key(&world).await;
    let dana = world.browser("dana").await;
    let totp = id_of(&world, "dana", Method::Totp);
    let page = dana.get(&world, "/enrol").await;
    let (of_app, of_key) = (format!("/enrol/{totp}/remove"), format!("/enrol/{passkey}/remove"));
    assert!(page.body.contains(&of_app) && page.body.contains(&of_key), "{}", page.body);
    let form = dana.get(&world, &of_app).await;
    assert!(form.status == 200 && !form.body.contains("name=\"last\""), "{}", form.body);
    assert_eq!(dana.post(&world, &of_app, &[]).await.status, 401, "a login proves nothing");
    assert_eq!(dana.post(&world, &of_app, &[("code", "000000")]).await.status, 401);
    let weaker = dana.post(&world, &of_key, &[("code", &world.code("dana"))]).await;
    assert_eq!(weaker.status, 401, "{}", weaker.body);
    assert_eq!(dana.post(&world, &of_app, &[("passkey", "{")]).await.status, 400);
    assert_eq!(methods(&world, "dana").len(), 2);
    let waiting = world.step_up().await;
    let answer = touched(&world, &mut key).await;
    let removed = dana.post(&world, &of_app, &fields(&answer)).await;
    assert_eq!(removed.status, 303, "{}", removed.body);
    assert_eq!(methods(&world, "dana"), ["passkey"]);
    assert_ne!(waiting.ended.await.unwrap().outcome, Outcome::Approved, "what waited ends with it");
    // The same answer removes nothing more.
    let last = [&fields(&answer)[..], &[("last", "yes")]].concat();
    assert_eq!(dana.post(&world, &of_key, &last).await.status, 409);
    assert_eq!(dana.post(&world, &of_app, &fields(&touched(&world, &mut key).await)).await.status, 404);
    // And the key lets an app be enrolled again.
    let begun = dana.post(&world, "/enrol/totp", &fields(&touched(&world, &mut key).await)).await;
    assert!(begun.status == 200 && begun.body.contains("otpauth"), "{}", begun.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_or_account_neither_enrols_nor_removes() {
    let world = World::new().await;
    let (_, passkey) = security_key(&world).await;
    let (dana, eve) = (world.browser("dana").await, world.browser("eve").await);
    let of_app = format!("/enrol/{}/remove", id_of(&world, "dana", Method::Totp));
    let code = world.code("dana");
    let foreign = [("content-type", OWN[0].1), ("origin", "https://evil.example")];
    let unproven = Browser { cookie: dana.cookie.clone(), proof: String::new() };
    let of_eve = Browser { cookie: dana.cookie.clone(), proof: eve.proof.clone() };
    for path in [of_app.as_str(), "/enrol/totp", "/enrol/totp/confirm"] {
        let sent = [("code", code.as_str()), ("last", "yes")];
        assert_eq!(dana.post_as(&world, path, &sent, &foreign).await.status, 403, "{path}");
        assert_eq!(unproven.post(&world, path, &sent).await.status, 403, "{path}");
        assert_eq!(of_eve.post(&world, path, &sent).await.status, 403, "{path}");
    }
    let of_key = format!("/enrol/{passkey}/remove");
    for path in [of_key.as_str(), "/enrol/push-00000000/remove", "/enrol/nothing/remove"] {
        assert_eq!(eve.get(&world, path).await.status, 404, "{path}");
        let tried = eve.post(&world, path, &[("code", &world.code("eve"))]).await;
        assert_eq!(tried.status, 404, "{path}: {}", tried.body);
    }
    assert_eq!(dana.get(&world, &format!("{of_app}?code={code}&last=yes")).await.status, 200);
    assert_eq!(methods(&world, "dana").len(), 2);
    // None of it has spent a code.
    world.desk.prove(&name("dana"), &code, HERE).await.unwrap();
    world.desk.prove(&name("eve"), &world.code("eve"), HERE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_authenticator_goes_only_where_that_is_said_and_then_it_takes_two_people() {
    let world = World::new().await;
    let dana = world.browser("dana").await;
    let path = format!("/enrol/{}/remove", id_of(&world, "dana", Method::Totp));
    assert!(dana.get(&world, &path).await.body.contains("name=\"last\""));
    let code = world.code("dana");
    for unsaid in [vec![("code", code.as_str())], vec![("code", code.as_str()), ("last", "no")]] {
        let refused = dana.post(&world, &path, &unsaid).await;
        assert_eq!(refused.status, 409, "{}", refused.body);
    }
    assert_eq!(dana.post(&world, &path, &[("last", "yes")]).await.status, 401);
    assert_eq!(methods(&world, "dana"), ["totp"]);
    let removed = dana.post(&world, &path, &[("code", &code), ("last", "yes")]).await;
    assert_eq!(removed.status, 303, "{}", removed.body);
    assert!(methods(&world, "dana").is_empty());
    let operators = world.desk.enrol_code(&name("dana"), None).await.unwrap();
    let alone = dana.post(&world, "/enrol/totp", &[("enrolment_code", &operators)]).await;
    assert_eq!(alone.status, 403, "{}", alone.body);
    assert!(alone.body.contains("takes two people") && !alone.body.contains("otpauth"), "{}", alone.body);
}

/// The codes on a page.
fn listed(page: &str) -> Vec<String> {
    let list = between(page, "aria-label=\"Recovery codes\">", "</pre>").unwrap_or_default();
    list.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_codes_are_shown_once_to_who_proves_themselves_and_a_new_list_ends_the_one_before() {
    let world = World::new().await;
    let dana = world.browser("dana").await;
    assert!(dana.get(&world, "/enrol").await.body.contains("href=\"/enrol/recovery\""));
    // Neither a password nor a wrong code gets any.
    for fields in [&[][..], &[("code", "000000")]] {
        let refused = dana.post(&world, "/enrol/recovery", fields).await;
        assert!(refused.status == 401 && listed(&refused.body).is_empty(), "{}", refused.body);
        assert!(refused.body.contains("role=\"alert\""), "{}", refused.body);
    }
    let made = dana.post(&world, "/enrol/recovery", &[("code", &world.code("dana"))]).await;
    let codes = listed(&made.body);
    assert!(made.status == 200 && codes.len() == 10, "{}", made.body);
    assert!(made.head.contains("cache-control: no-store"), "{}", made.head);
    assert_eq!(methods(&world, "dana"), ["totp", "recovery"]);
    // Nothing shows them again.
    for path in ["/enrol", "/enrol/recovery", "/"] {
        let page = dana.get(&world, path).await.body;
        assert!(!codes.iter().any(|code| page.contains(code)), "{path}");
    }
    // One of them lets its owner have another list, once; then it is of the past with all the others.
    let again = dana.post(&world, "/enrol/recovery", &[("recovery", &codes[0])]).await;
    let others = listed(&again.body);
    assert!(again.status == 200 && others.len() == 10 && others != codes, "{}", again.body);
    for old in &codes[..2] {
        let refused = dana.post(&world, "/enrol/recovery", &[("recovery", old)]).await;
        assert!(refused.status == 401 && listed(&refused.body).is_empty(), "{}", refused.body);
    }
    assert_eq!(methods(&world, "dana"), ["totp", "recovery"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_and_who_has_nothing_yet_get_no_recovery_codes() {
    let world = World::new().await;
    let dana = world.browser("dana").await;
    let code = world.code("dana");
    let foreign = [("content-type", OWN[0].1), ("origin", "https://evil.example")];
    let refused = dana.post_as(&world, "/enrol/recovery", &[("code", &code)], &foreign).await;
    assert!(refused.status == 403 && listed(&refused.body).is_empty(), "{}", refused.body);
    let newt = newcomer(&world).await;
    assert!(!newt.get(&world, "/enrol").await.body.contains("/enrol/recovery"));
    let refused = newt.post(&world, "/enrol/recovery", &[("code", "000000")]).await;
    assert!(refused.status >= 400 && listed(&refused.body).is_empty(), "{}", refused.body);
    assert!(methods(&world, "newt").is_empty() && methods(&world, "dana") == ["totp"]);
}
