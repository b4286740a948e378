//! Methods, challenges, guards, enrolment and resets, as attackers and people meet them.

use std::sync::Mutex;

use serde_json::json;
use stepgate_approval::{
    AuthenticatorId, BadCode, CEILING, Channel, Message, Method, NoChallenge, Proof, Refusal, SentCode,
    Source,
};

use super::*;
use crate::{Answer, Challenged, Enrol, EnrolError, FactorRules, Presented, VerifyError};

/// Letters that were sent, and whether any can be.
#[derive(Default)]
pub(super) struct Mail {
    letters: Mutex<Vec<Message>>,
    pub(super) down: Mutex<bool>,
}

impl Channel for Mail {
    fn health(&self) -> Result<(), String> {
        if *self.down.lock().unwrap() { Err("the mail server does not answer".to_owned()) } else { Ok(()) }
    }

    fn send(&self, message: Message) -> Result<(), String> {
        self.health()?;
        self.letters.lock().unwrap().push(message);
        Ok(())
    }
}

impl Mail {
    /// The code of the last letter.
    pub(super) fn code(&self) -> String {
        let letters = self.letters.lock().unwrap();
        letters.last().unwrap().text.split(' ').next().unwrap().to_owned()
    }
}

fn typed(code: &str) -> Proof {
    Proof::Code(Zeroizing::new(code.to_owned()))
}

fn source(address: IpAddr) -> Source {
    address.into()
}

impl World {
    /// A gate that sends e-mail, where dana has an address.
    pub(super) async fn with_mail() -> (Self, Arc<Mail>) {
        let (world, mail) = (Self::new().await, Arc::new(Mail::default()));
        world.desk.plug(Arc::new(SentCode::email(world.desk.method_key(Method::Email))));
        world.desk.connect(Method::Email, mail.clone());
        let enrol = Enrol {
            about: json!({"address": "dana@example.com"}),
            presented: Some(Presented::code(&world.code("dana"))),
            ..Enrol::new(&name("dana"), Method::Email, source(HOME))
        };
        world.desk.enrol(enrol).await.unwrap();
        world.desk.enrol_confirm(&name("dana"), Method::Email, typed(&mail.code()), None).await.unwrap();
        world.next_step();
        (world, mail)
    }

    /// A step-up for which a code by e-mail is enough.
    pub(super) async fn weak(&self, number: u64) -> RequestId {
        let mut ask = self.step_up("dana", number);
        ask.terms.strength = Strength::Weak;
        ask.terms.remember = None;
        self.ask(ask).await.request
    }

    pub(super) async fn mailed(&self, request: RequestId, approve: bool) -> Challenged {
        self.desk.challenge(request, &name("dana"), Method::Email, approve, source(HOME)).await.unwrap()
    }

    pub(super) async fn answer(
        &self,
        request: RequestId,
        challenged: &Challenged,
        code: &str,
        approve: bool,
    ) -> Result<(), VerifyError> {
        let presented = Presented { method: None, challenge: Some(challenged.challenge), proof: typed(code) };
        let answer = Answer {
            request,
            person: name("dana"),
            presented,
            approve,
            reason: None,
            source: source(HOME),
            own: approve,
        };
        self.desk.answer(answer).await.map(drop)
    }

    /// Recovery codes for who has an authenticator.
    async fn recovery(&self, person: &str) -> Vec<String> {
        let enrol = Enrol {
            presented: Some(Presented::code(&self.code(person))),
            ..Enrol::new(&name(person), Method::Recovery, source(HOME))
        };
        let shown = self.desk.enrol(enrol).await.unwrap();
        self.next_step();
        shown["codes"].as_array().unwrap().iter().map(|code| code.as_str().unwrap().to_owned()).collect()
    }

    /// What an operator does at the gate's own machine for somebody without an authenticator.
    async fn enrol_by_operator(&self, person: &str) -> Result<Authenticator, EnrolError> {
        let enrol = Enrol {
            operator: Some(Actor::Operator(Some(1000))),
            ..Enrol::new(&name(person), Method::Totp, source(HOME))
        };
        self.begun(enrol).await
    }

    /// What somebody does who knows the password, and perhaps an enrolment code.
    async fn enrol_by_code(&self, person: &str, code: Option<&str>) -> Result<Authenticator, EnrolError> {
        let code = code.map(|code| Zeroizing::new(code.to_owned()));
        self.begun(Enrol { code, ..Enrol::new(&name(person), Method::Totp, source(ELSEWHERE)) }).await
    }

    async fn begun(&self, enrol: Enrol) -> Result<Authenticator, EnrolError> {
        let shown = self.desk.enrol(enrol).await?;
        Ok(Authenticator::enrol(shown["otpauth_uri"].as_str().unwrap()).unwrap())
    }

    async fn confirm_totp(&self, person: &str, phone: &Authenticator) -> AuthenticatorId {
        let code = self.now_of(phone);
        let id = self.desk.enrol_confirm(&name(person), Method::Totp, typed(&code), None).await.unwrap();
        self.next_step();
        id
    }

    fn now_of(&self, phone: &Authenticator) -> String {
        phone.code_at(self.clock.now().unix_seconds())
    }

    /// Wrong codes from elsewhere, as fast as the gate takes them, until the ceiling is reached.
    async fn exhaust(&self, person: &str) {
        for _ in 0..CEILING {
            let refused = self.desk.prove(&name(person), "12345", ELSEWHERE).await;
            assert_eq!(refused, Err(VerifyError::BadCode(BadCode::Wrong)));
            self.clock.advance(Duration::from_secs(3600));
        }
    }

    fn administered(&self, what: &str) -> usize {
        self.count(|event| matches!(event, Event::AdminAction { action, .. } if action == what))
    }
}

#[tokio::test]
async fn a_code_sent_for_one_request_answers_no_other_and_none_twice() {
    let (world, mail) = World::with_mail().await;
    let (one, other) = (world.weak(1).await, world.weak(2).await);
    let for_one = world.mailed(one, true).await;
    let code = mail.code();
    let for_other = world.mailed(other, true).await;
    // The challenge of the one for the other; the code of the one for the other's challenge; the other way round.
    assert_eq!(
        world.answer(other, &for_one, &code, true).await,
        Err(VerifyError::Challenge(NoChallenge::Unknown))
    );
    assert_eq!(world.answer(other, &for_other, &code, true).await, Err(VerifyError::BadCode(BadCode::Wrong)));
    assert_eq!(
        world.answer(one, &for_other, &code, true).await,
        Err(VerifyError::Challenge(NoChallenge::Unknown))
    );
    assert!(world.ends().is_empty());
    world.answer(one, &for_one, &code, true).await.unwrap();
    assert_eq!(world.ends(), ["approved"]);
    let again = world.answer(other, &for_one, &code, true).await;
    assert_eq!(again, Err(VerifyError::Challenge(NoChallenge::Unknown)));
}

#[tokio::test]
async fn a_challenge_to_deny_never_approves_and_lapses_after_ten_minutes() {
    let (world, mail) = World::with_mail().await;
    let request = world.weak(1).await;
    let to_deny = world.mailed(request, false).await;
    let crossed = world.answer(request, &to_deny, &mail.code(), true).await;
    assert_eq!(crossed, Err(VerifyError::Challenge(NoChallenge::Unknown)));
    let mut ask = world.step_up("dana", 2);
    (ask.terms.strength, ask.expires) = (Strength::Weak, world.clock.now().plus(Duration::from_secs(3600)));
    let long = world.ask(ask).await.request;
    let challenged = world.mailed(long, true).await;
    world.clock.advance(Duration::from_secs(600));
    let late = world.answer(long, &challenged, &mail.code(), true).await;
    assert_eq!(late, Err(VerifyError::Challenge(NoChallenge::Unknown)));
}

#[tokio::test]
async fn resending_a_code_never_gives_more_tries_and_messages_are_few() {
    let (world, mail) = World::with_mail().await;
    let request = world.weak(1).await;
    let mut tries = 0;
    for _ in 0..20 {
        let person = name("dana");
        let challenged = world.desk.challenge(request, &person, Method::Email, true, source(HOME)).await;
        let Ok(challenged) = challenged else { break };
        assert!(world.answer(request, &challenged, "0000000", true).await.is_err());
        tries += 1;
    }
    assert_eq!(tries, 5);
    // Nor does waiting until mistyping is forgiven: of this request there have been enough.
    world.clock.advance(Duration::from_secs(60));
    let person = name("dana");
    let again = world.desk.challenge(request, &person, Method::Email, true, source(HOME)).await;
    assert_eq!(again, Err(VerifyError::Challenge(NoChallenge::Exhausted)));
    assert!(mail.letters.lock().unwrap().len() <= 10);
}

#[tokio::test]
async fn where_a_channel_is_down_the_next_method_of_enough_strength_is_offered_and_never_a_weaker_one() {
    let (world, mail) = World::with_mail().await;
    let dana = name("dana");
    *mail.down.lock().unwrap() = true;
    let weak = world.weak(1).await;
    let methods = world.desk.methods(weak, &dana, source(HOME)).unwrap();
    let told: Vec<_> =
        methods.iter().map(|it| (it.method, it.available, it.why.clone().unwrap_or_default())).collect();
    let why = "the mail server does not answer".to_owned();
    assert_eq!(told, [(Method::Totp, true, String::new()), (Method::Email, false, why.clone())]);
    let refused = world.desk.challenge(weak, &dana, Method::Email, true, source(HOME)).await;
    let instead = Some(Method::Totp);
    assert_eq!(refused, Err(VerifyError::Unavailable { method: Method::Email, why, instead }));
    // For more than e-mail proves, e-mail is not there even while it works; nor is TOTP for more than it proves.
    *mail.down.lock().unwrap() = false;
    for (number, strength, offered) in
        [(2, Strength::Standard, vec![Method::Totp]), (3, Strength::Strong, Vec::new())]
    {
        let mut ask = world.step_up("dana", number);
        ask.terms.strength = strength;
        let request = world.ask(ask).await.request;
        let methods = world.desk.methods(request, &dana, source(HOME)).unwrap();
        assert_eq!(methods.iter().map(|it| it.method).collect::<Vec<_>>(), offered, "{strength:?}");
        let weaker = world.desk.challenge(request, &dana, Method::Email, true, source(HOME)).await;
        assert_eq!(weaker, Err(VerifyError::Refused(Refusal::TooWeak(strength))));
        if strength == Strength::Strong {
            let weaker = world.desk.verify(request, &dana, &world.code("dana"), HOME).await;
            assert_eq!(weaker, Err(VerifyError::Refused(Refusal::TooWeak(strength))));
        }
    }
    world.desk.verify(weak, &dana, &world.code("dana"), HOME).await.unwrap();
}

#[tokio::test]
async fn an_attacker_who_exhausts_codes_does_not_lock_the_victim_out_not_even_by_a_restart() {
    let world = World::new().await;
    let codes = world.recovery("dana").await;
    // Dana was at home before.
    world.desk.prove(&name("dana"), &world.code("dana"), HOME).await.unwrap();
    world.exhaust("dana").await;
    assert_eq!(world.administered("factor.suspended"), 1);
    let world = world.killed();
    // The right code does not help who is elsewhere, and a guess is not even looked at.
    let elsewhere = world.desk.prove(&name("dana"), &world.code("dana"), ELSEWHERE).await;
    assert_eq!(elsewhere, Err(VerifyError::Suspended));
    let listed = world.desk.authenticators(&name("dana"));
    assert!(listed.iter().any(|it| it.id == "totp" && it.suspended), "{listed:?}");
    // Dana goes on from home, and by another method from anywhere; nobody else is touched.
    world.desk.prove(&name("dana"), &world.code("dana"), HOME).await.unwrap();
    world.desk.prove(&name("eve"), &world.code("eve"), ELSEWHERE).await.unwrap();
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let methods = world.desk.methods(waiting.request, &name("dana"), source(ELSEWHERE)).unwrap();
    let told: Vec<_> = methods.iter().map(|it| (it.method, it.available)).collect();
    assert_eq!(told, [(Method::Totp, false), (Method::Recovery, true)]);
    world.desk.verify(waiting.request, &name("dana"), &codes[0], ELSEWHERE).await.unwrap();
    // Which lets the first be tried again.
    world.next_step();
    world.desk.prove(&name("dana"), &world.code("dana"), ELSEWHERE).await.unwrap();
}

#[tokio::test]
async fn an_operator_lets_an_exhausted_authenticator_be_tried_again() {
    let world = World::new().await;
    world.exhaust("dana").await;
    let id = AuthenticatorId::only(Method::Totp);
    let suspended = world.desk.prove(&name("dana"), &world.code("dana"), ELSEWHERE).await;
    assert_eq!(suspended, Err(VerifyError::Suspended));
    world.desk.unlock_factor(&name("dana"), &id, None).await.unwrap();
    let world = world.killed();
    world.desk.prove(&name("dana"), &world.code("dana"), ELSEWHERE).await.unwrap();
}

#[tokio::test]
async fn what_nobody_can_guess_carries_no_counter() {
    let world = World::new().await;
    let codes = world.recovery("dana").await;
    for _ in 0..200 {
        let wrong = world.desk.prove(&name("dana"), "0000-0000-0000-0000", ELSEWHERE).await;
        assert_eq!(wrong, Err(VerifyError::BadCode(BadCode::Wrong)));
    }
    // Nor does a flood of them fill the log.
    let failed = world.count(|event| matches!(event, Event::FactorFailed { .. }));
    assert_eq!(failed, 60);
    world.desk.prove(&name("dana"), &codes[9], ELSEWHERE).await.unwrap();
}

#[tokio::test]
async fn a_stolen_password_cannot_enrol_and_an_enrolment_code_is_good_once_for_ten_minutes_for_its_person() {
    let world = World::new().await;
    assert_eq!(world.enrol_by_code("newt", None).await.unwrap_err(), EnrolError::EnrolCodeNeeded);
    let late = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    // At least 112 bits: so many letters of 32.
    assert!(late.bytes().filter(u8::is_ascii_alphanumeric).count() * 5 >= 112, "{}", *late);
    world.clock.advance(Duration::from_secs(600));
    assert_eq!(world.enrol_by_code("newt", Some(&late)).await.unwrap_err(), EnrolError::BadEnrolCode);
    let first = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    let code = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    for wrong in [first.as_str(), "0000-0000-0000-0000-0000-0000", ""] {
        assert_eq!(world.enrol_by_code("newt", Some(wrong)).await.unwrap_err(), EnrolError::BadEnrolCode);
    }
    // Of somebody who has an authenticator it is not enough, whoever's it is.
    assert_eq!(world.enrol_by_code("dana", Some(&code)).await.unwrap_err(), EnrolError::CodeNeeded);
    let typed = code.to_lowercase().replace('-', " ");
    let phone = world.enrol_by_code("newt", Some(&typed)).await.unwrap();
    assert_eq!(world.enrol_by_code("newt", Some(&code)).await.unwrap_err(), EnrolError::BadEnrolCode);
    world.confirm_totp("newt", &phone).await;
    world.desk.prove(&name("newt"), &world.now_of(&phone), HOME).await.unwrap();
    assert_eq!(world.administered("factor.code_issued"), 3);
    let enrolled = |event: &Event| matches!(event, Event::AdminAction { action, authenticator: Some(_), .. } if action == "factor.enrolled");
    assert!(world.count(enrolled) > 0, "nobody would hear of it");
    assert_eq!(world.enrol_by_code("etl", Some(&code)).await.unwrap_err(), EnrolError::Service);
}

#[tokio::test]
async fn an_enrolment_code_is_spent_though_the_gate_is_killed_and_is_not_kept_as_it_is() {
    let world = World::new().await;
    let code = world.desk.enrol_code(&name("newt"), None).await.unwrap();
    assert_eq!(found_on_disk(&world, &[code.as_bytes(), code.replace('-', "").as_bytes()]), 0);
    let again = world.killed();
    again.enrol_by_code("newt", Some(&code)).await.unwrap();
    let third = again.killed();
    assert_eq!(third.enrol_by_code("newt", Some(&code)).await.unwrap_err(), EnrolError::BadEnrolCode);
}

#[tokio::test]
async fn another_authenticator_takes_one_of_at_least_its_strength_or_an_enrolment_code_besides() {
    let (world, mail) = World::with_mail().await;
    // What e-mail proves is not enough for an app.
    world.desk.challenge_for(&name("dana"), Purpose::Manage, Method::Email, source(HOME)).await.unwrap();
    let challenged =
        world.desk.challenge_for(&name("dana"), Purpose::Manage, Method::Email, source(HOME)).await.unwrap();
    let presented =
        Presented { method: None, challenge: Some(challenged.challenge), proof: typed(&mail.code()) };
    let enrol = Enrol { presented: Some(presented), ..Enrol::new(&name("dana"), Method::Totp, source(HOME)) };
    let weak = world.begun(enrol).await.unwrap_err();
    assert_eq!(weak, EnrolError::Verify(VerifyError::Refused(Refusal::TooWeak(Strength::Standard))));
    // What the app proves is.
    let presented = Some(Presented::code(&world.code("dana")));
    let phone = world
        .begun(Enrol { presented, ..Enrol::new(&name("dana"), Method::Totp, source(HOME)) })
        .await
        .unwrap();
    let id = world.confirm_totp("dana", &phone).await;
    assert_eq!(world.desk.authenticators(&name("dana")).len(), 3);
    // Both apps count, each by itself, in one time step.
    world.desk.prove(&name("dana"), &world.code("dana"), HOME).await.unwrap();
    world.desk.prove(&name("dana"), &world.now_of(&phone), HOME).await.unwrap();
    // And its owner removes it by a code, not without one.
    world.next_step();
    let own = |code: &str| Some((Presented::code(code), source(HOME)));
    let wrong = world.desk.remove_factor(&name("dana"), &id, Some(name("dana")), own("12345")).await;
    assert_eq!(wrong, Err(EnrolError::Verify(VerifyError::BadCode(BadCode::Wrong))));
    let code = world.code("dana");
    world.desk.remove_factor(&name("dana"), &id, Some(name("dana")), own(&code)).await.unwrap();
    assert!(world.desk.prove(&name("dana"), &world.now_of(&phone), HOME).await.is_err());
}

#[tokio::test]
async fn a_recovery_code_is_good_once_is_told_of_and_survives_a_restart_as_spent() {
    let world = World::new().await;
    let codes = world.recovery("dana").await;
    assert_eq!(codes.len(), 10);
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.verify(waiting.request, &name("dana"), &codes[3], HOME).await.unwrap();
    assert_eq!(world.administered("factor.recovery_used"), 1);
    let texts: Vec<_> = codes.iter().flat_map(|code| [code.clone(), code.replace('-', "")]).collect();
    let texts: Vec<_> = texts.iter().map(String::as_bytes).collect();
    assert_eq!(found_on_disk(&world, &texts), 0);
    let world = world.killed();
    let replayed = world.desk.prove(&name("dana"), &codes[3], HOME).await;
    assert_eq!(replayed, Err(VerifyError::BadCode(BadCode::Replayed)));
    let left = world.desk.prove(&name("dana"), &codes[4], HOME).await;
    assert_eq!(left, Ok(()));
    // A new list is the end of this one.
    world.recovery("dana").await;
    let old = world.desk.prove(&name("dana"), &codes[5], HOME).await;
    assert_eq!(old, Err(VerifyError::BadCode(BadCode::Wrong)));
}

#[tokio::test]
async fn a_lone_operator_resets_nobody_and_two_people_do() {
    let world = World::new().await;
    let (dana, omar) = (name("dana"), name("omar"));
    let waiting = world.ask(world.step_up("dana", 1)).await;
    world.desk.verify(waiting.request, &dana, &world.code("dana"), HOME).await.unwrap();
    let open = world.ask(world.approval("dana", 2, 1)).await;
    assert!(world.covers("dana"));
    // Removing is at once and ends what rested on it; but nothing can be enrolled in its place.
    let operator = Actor::Operator(Some(1000));
    let id = AuthenticatorId::only(Method::Totp);
    world.desk.remove_factor(&dana, &id, operator.clone(), None).await.unwrap();
    assert!(!world.covers("dana"));
    assert_eq!(open.ended.await.unwrap().outcome.as_str(), "withdrawn");
    assert_eq!(world.enrol_by_operator("dana").await.unwrap_err(), EnrolError::ResetNeeded);
    let code = world.desk.enrol_code(&dana, operator.clone()).await.unwrap();
    assert_eq!(world.enrol_by_code("dana", Some(&code)).await.unwrap_err(), EnrolError::ResetNeeded);
    // Nobody confirms what was not asked for, nor their own, nor with a wrong code.
    let confirm = async |by: &str, code: &str| {
        world.desk.confirm_reset(&dana, &name(by), Presented::code(code), source(HOME)).await
    };
    assert_eq!(confirm("omar", &world.code("omar")).await, Err(EnrolError::NoReset));
    world.desk.ask_reset(&dana, operator.clone()).await.unwrap();
    assert_eq!(world.enrol_by_operator("dana").await.unwrap_err(), EnrolError::ResetNeeded);
    assert_eq!(confirm("dana", "12345").await, Err(EnrolError::NoReset));
    assert!(matches!(confirm("omar", "12345").await, Err(EnrolError::Verify(_))));
    let group = "data-owners".parse().unwrap();
    world.people.factors().set_rules(FactorRules { reset_group: Some(group), ..FactorRules::default() });
    assert_eq!(confirm("eve", &world.code("eve")).await, Err(EnrolError::NoReset));
    confirm("omar", &world.code("omar")).await.unwrap();
    assert_eq!(world.administered("factor.reset"), 1);
    assert_eq!(confirm("amir", &world.code("amir")).await, Err(EnrolError::NoReset));
    let world = world.killed();
    let phone = world.enrol_by_operator("dana").await.unwrap();
    world.confirm_totp("dana", &phone).await;
    world.desk.prove(&dana, &world.now_of(&phone), HOME).await.unwrap();
    let _ = omar;
}

#[tokio::test]
async fn a_new_factor_waits_a_day_before_it_approves_what_others_ask() {
    let world = World::new().await;
    world.desk.ask_reset(&name("omar"), None).await.unwrap();
    let amir = Presented::code(&world.code("amir"));
    world.desk.confirm_reset(&name("omar"), &name("amir"), amir, source(HOME)).await.unwrap();
    let phone = world.enrol_by_operator("omar").await.unwrap();
    let from = world.clock.now().plus(Duration::from_secs(24 * 3600));
    world.confirm_totp("omar", &phone).await;
    let vote = async |number: u64| {
        let mut ask = world.approval("dana", number, 1);
        ask.expires = world.clock.now().plus(Duration::from_secs(3600));
        let request = world.ask(ask).await.request;
        world.desk.vote(request, &name("omar"), &world.now_of(&phone), true, None, HOME).await
    };
    assert_eq!(vote(1).await, Err(VerifyError::TooNew(from)));
    // For oneself it counts at once.
    let own = world.ask(world.step_up("omar", 2)).await;
    world.desk.verify(own.request, &name("omar"), &world.now_of(&phone), HOME).await.unwrap();
    world.clock.advance(Duration::from_secs(24 * 3600));
    assert!(vote(3).await.unwrap().ended.is_some());
}

#[tokio::test]
async fn first_factors_count_at_once_only_while_the_gate_is_new() {
    let world = World::new().await;
    world.clock.advance(Duration::from_secs(24 * 3600));
    world.people.set_groups(&name("newt"), groups(&["data-owners"]), None).await.unwrap();
    let phone = world.enrol_by_operator("newt").await.unwrap();
    world.confirm_totp("newt", &phone).await;
    let request = world.ask(world.approval("dana", 1, 1)).await.request;
    let early = world.desk.vote(request, &name("newt"), &world.now_of(&phone), true, None, HOME).await;
    assert!(matches!(early, Err(VerifyError::TooNew(_))), "{early:?}");
    // And a shorter delay, configured, holds for those enrolled from then on.
    world
        .people
        .factors()
        .set_rules(FactorRules { new_factor_delay: Duration::ZERO, ..FactorRules::default() });
    world.people.set_groups(&name("eve"), groups(&["data-owners"]), None).await.unwrap();
    let presented = Some(Presented::code(&world.code("eve")));
    let enrol = Enrol { presented, ..Enrol::new(&name("eve"), Method::Totp, source(HOME)) };
    let phone = world.begun(enrol).await.unwrap();
    world.confirm_totp("eve", &phone).await;
    let vote = world.desk.vote(request, &name("eve"), &world.now_of(&phone), true, None, HOME).await;
    assert!(vote.unwrap().ended.is_some());
}

#[tokio::test]
async fn no_seed_is_found_in_anything_that_is_on_disk() {
    let world = World::new().await;
    let shown = world
        .desk
        .enrol(Enrol {
            operator: Some(Actor::Operator(None)),
            ..Enrol::new(&name("newt"), Method::Totp, source(HOME))
        })
        .await
        .unwrap();
    let uri = shown["otpauth_uri"].as_str().unwrap();
    let phone = Authenticator::enrol(uri).unwrap();
    world.confirm_totp("newt", &phone).await;
    world.desk.prove(&name("newt"), &world.now_of(&phone), HOME).await.unwrap();
    let base32 = uri.split("secret=").nth(1).and_then(|rest| rest.split('&').next()).unwrap();
    let raw = data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).unwrap();
    let hex = data_encoding::HEXLOWER.encode(&raw);
    let json = serde_json::to_string(&raw).unwrap();
    let base64 = data_encoding::BASE64.encode(&raw);
    let forms = [base32.as_bytes(), &raw, hex.as_bytes(), json.as_bytes(), &base64.as_bytes()[..20]];
    assert_eq!(found_on_disk(&world, &forms), 0);
    // The search finds what is there.
    assert!(found_on_disk(&world, &[b"factor.enrolled"]) > 0);
}

/// How many of these stand in any file of the data directory.
fn found_on_disk(world: &World, wanted: &[&[u8]]) -> usize {
    fn files(directory: &Path, found: &mut Vec<u8>) {
        for entry in std::fs::read_dir(directory).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() {
                files(&entry.path(), found);
            } else {
                found.extend(std::fs::read(entry.path()).unwrap());
            }
        }
    }
    let mut all = Vec::new();
    files(world.dir.path(), &mut all);
    wanted.iter().filter(|wanted| all.windows(wanted.len()).any(|window| window == **wanted)).count()
}

#[tokio::test]
async fn a_removed_factor_does_not_come_back_by_an_answer_that_was_under_way() {
    let world = World::new().await;
    let waiting = world.ask(world.step_up("dana", 1)).await;
    let (dana, code, id) = (name("dana"), world.code("dana"), AuthenticatorId::only(Method::Totp));
    let (answer, removed) = tokio::join!(
        world.desk.verify(waiting.request, &dana, &code, HOME),
        world.desk.remove_factor(&dana, &id, None, None),
    );
    removed.unwrap();
    let _either = answer;
    assert!(world.killed().desk.authenticators(&dana).is_empty());
    assert!(!world.covers("dana"));
}
