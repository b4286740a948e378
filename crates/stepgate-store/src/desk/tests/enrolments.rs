use stepgate_approval::{BadCode, Method, Proof};

use super::*;
use crate::{Enrol, EnrolError, Presented, VerifyError};

/// Begins as the operator does for somebody's first, or as somebody replaces theirs by a code of it.
async fn begin(world: &World, person: &str, code: Option<&str>) -> Result<Authenticator, EnrolError> {
    Ok(Authenticator::enrol(&uri(world, person, code).await?).unwrap())
}

async fn uri(world: &World, person: &str, code: Option<&str>) -> Result<String, EnrolError> {
    let person = name(person);
    let replaces = world.people.factors().totp(&person).map(|it| it.id.clone()).filter(|_| code.is_some());
    let enrol = Enrol {
        replaces,
        operator: Some(None.into()),
        presented: code.map(Presented::code),
        ..Enrol::new(&person, Method::Totp, HOME.into())
    };
    let shown = world.desk.enrol(enrol).await?;
    Ok(shown["otpauth_uri"].as_str().unwrap().to_owned())
}

fn typed(code: &str) -> Proof {
    Proof::Code(Zeroizing::new(code.to_owned()))
}

async fn confirm(world: &World, person: &str, code: &str) -> Result<(), EnrolError> {
    world.desk.enrol_confirm(&name(person), Method::Totp, typed(code), None).await.map(drop)
}

fn now(world: &World, authenticator: &Authenticator) -> String {
    authenticator.code_at(world.clock.now().unix_seconds())
}

#[tokio::test]
async fn an_authenticator_counts_once_confirmed_and_its_code_is_spent() {
    let world = World::new().await;
    let phone = begin(&world, "newt", None).await.unwrap();
    assert!(world.people.factors().totp(&name("newt")).is_none());
    let code = now(&world, &phone);
    confirm(&world, "newt", &code).await.unwrap();
    let waiting = world.ask(world.step_up("newt", 1)).await;
    let replayed = world.desk.verify(waiting.request, &name("newt"), &code, HOME).await;
    assert_eq!(replayed, Err(VerifyError::BadCode(BadCode::Replayed)));
    world.next_step();
    let code = now(&world, &phone);
    assert!(world.desk.verify(waiting.request, &name("newt"), &code, HOME).await.is_ok());
}

#[tokio::test]
async fn a_wrong_code_confirms_nothing() {
    let world = World::new().await;
    begin(&world, "newt", None).await.unwrap();
    let wrong = confirm(&world, "newt", "12345").await.unwrap_err();
    assert_eq!(wrong, EnrolError::Verify(VerifyError::BadCode(BadCode::Wrong)));
    assert!(world.people.factors().totp(&name("newt")).is_none());
}

#[tokio::test]
async fn what_an_operator_has_begun_is_confirmed_and_used_up_in_no_login() {
    let world = World::new().await;
    let phone = begin(&world, "newt", None).await.unwrap();
    let code = now(&world, &phone);
    for tried in [code.as_str(), "000000", "000000", "000000", "000000", "000000", "000000"] {
        let newt = name("newt");
        let elsewhere = world.desk.enrol_confirm(&newt, Method::Totp, typed(tried), Some([1; 32])).await;
        assert_eq!(elsewhere, Err(EnrolError::NotBegun));
    }
    confirm(&world, "newt", &code).await.unwrap();
}

#[tokio::test]
async fn a_stolen_password_does_not_replace_an_authenticator() {
    let world = World::new().await;
    assert_eq!(begin(&world, "dana", None).await.unwrap_err(), EnrolError::CodeNeeded);
    let wrong = begin(&world, "dana", Some("000000")).await.unwrap_err();
    assert_eq!(wrong, EnrolError::Verify(VerifyError::BadCode(BadCode::Wrong)));
    let phone = begin(&world, "dana", Some(&world.code("dana"))).await.unwrap();
    confirm(&world, "dana", &now(&world, &phone)).await.unwrap();
    world.next_step();
    assert!(world.desk.prove(&name("dana"), &world.code("dana"), HOME).await.is_err());
    assert!(world.desk.prove(&name("dana"), &now(&world, &phone), HOME).await.is_ok());
}

#[tokio::test]
async fn an_enrolment_begun_before_another_was_confirmed_cannot_replace_it() {
    let world = World::new().await;
    let attacker = begin(&world, "newt", None).await.unwrap();
    let secret = secret("newt");
    world.people.factors().enrol_totp(&name("newt"), secret.as_bytes(), None).await.unwrap();
    let refused = confirm(&world, "newt", &now(&world, &attacker)).await.unwrap_err();
    assert_eq!(refused, EnrolError::NotBegun);
    assert!(world.desk.prove(&name("newt"), &world.code("newt"), HOME).await.is_ok());
}

#[tokio::test]
async fn an_unconfirmed_secret_lapses_and_does_not_outlive_the_gate() {
    let world = World::new().await;
    let phone = begin(&world, "newt", None).await.unwrap();
    let reopened = world.killed();
    assert_eq!(confirm(&reopened, "newt", &now(&reopened, &phone)).await, Err(EnrolError::NotBegun));
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(confirm(&world, "newt", &now(&world, &phone)).await, Err(EnrolError::NotBegun));
}

#[tokio::test]
async fn nobody_enrols_for_somebody_unknown() {
    let world = World::new().await;
    assert_eq!(begin(&world, "nobody", None).await.unwrap_err(), EnrolError::UnknownPerson);
}

#[tokio::test]
async fn no_record_holds_a_secret_or_a_code() {
    let world = World::new().await;
    let uri = uri(&world, "newt", None).await.unwrap();
    let phone = Authenticator::enrol(&uri).unwrap();
    let code = now(&world, &phone);
    confirm(&world, "newt", &code).await.unwrap();
    let base32 = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap().to_owned();
    let told = |event: &Event| {
        let text = serde_json::to_string(event).unwrap();
        text.contains(&base32) || text.contains(&format!("\"{code}\""))
    };
    assert_eq!(world.count(told), 0);
}

#[tokio::test]
async fn each_authenticator_spends_its_own_steps() {
    let world = World::new().await;
    let before = world.clock.now().unix_seconds();
    world.next_step();
    let phone = begin(&world, "dana", Some(&world.code("dana"))).await.unwrap();
    // The new authenticator's clock is a step behind.
    confirm(&world, "dana", &phone.code_at(before)).await.unwrap();
    let late = phone.code_at(before);
    let replayed = world.desk.prove(&name("dana"), &late, HOME).await;
    assert_eq!(replayed, Err(VerifyError::BadCode(BadCode::Replayed)));
    world.desk.prove(&name("dana"), &now(&world, &phone), HOME).await.unwrap();
    let replayed = world.desk.prove(&name("dana"), &now(&world, &phone), HOME).await;
    assert_eq!(replayed, Err(VerifyError::BadCode(BadCode::Replayed)));
}
