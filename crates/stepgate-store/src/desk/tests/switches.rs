//! Methods that are switched on and off while the gate runs.

use stepgate_approval::{Channel, Method};

use super::factors::Mail;
use super::*;
use crate::VerifyError;

const EMAIL: Method = Method::Email;

fn off(instead: Option<Method>) -> VerifyError {
    VerifyError::Unavailable { method: EMAIL, why: "not set up at this gate".to_owned(), instead }
}

#[tokio::test]
async fn a_code_that_is_on_its_way_answers_nothing_once_its_method_is_switched_off() {
    let (world, mail) = World::with_mail().await;
    let request = world.weak(1).await;
    let challenged = world.mailed(request, true).await;
    let code = mail.code();
    world.desk.disconnect(EMAIL);
    let late = world.answer(request, &challenged, &code, true).await;
    assert_eq!(late, Err(off(Some(Method::Totp))));
    let again = world.desk.challenge(request, &name("dana"), EMAIL, true, HOME.into()).await;
    assert_eq!(again.unwrap_err(), off(Some(Method::Totp)));
    assert!(world.ends().is_empty());
    let recorded = |event: &Event| matches!(event, Event::FactorFailed { factor, .. } if factor == "email");
    assert_eq!(world.count(recorded), 1);
    // Nobody is locked out by it.
    world.desk.verify(request, &name("dana"), &world.code("dana"), HOME).await.unwrap();
    assert_eq!(world.ends(), ["approved"]);
}

#[tokio::test]
async fn a_code_that_has_arrived_counts_though_its_channel_is_down_or_another_by_then() {
    let (world, mail) = World::with_mail().await;
    let request = world.weak(1).await;
    let challenged = world.mailed(request, true).await;
    let other: Arc<dyn Channel> = Arc::new(Mail::default());
    world.desk.connect(EMAIL, other);
    *mail.down.lock().unwrap() = true;
    world.answer(request, &challenged, &mail.code(), true).await.unwrap();
    assert_eq!(world.ends(), ["approved"]);
    *mail.down.lock().unwrap() = false;
    world.desk.connect(EMAIL, mail.clone());
    let request = world.weak(2).await;
    let challenged = world.mailed(request, true).await;
    *mail.down.lock().unwrap() = true;
    world.answer(request, &challenged, &mail.code(), true).await.unwrap();
}
