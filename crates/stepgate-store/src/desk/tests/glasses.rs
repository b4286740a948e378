//! Break-glass, as people in need and attackers meet it.

use std::collections::BTreeSet;

use serde_json::json;
use stepgate_approval::{GlassRules, Lifts, MAX_GLASS, Method, Proof, Reach, Refusal, Source};
use stepgate_passkey::{PasskeyFactor, Site};
use stepgate_record::{GlassEnded, GlassReviewed};
use stepgate_testkit::SecurityKey;
use stepgate_types::{GrantId, InForce};

use super::*;
use crate::{DeskError, Enrol, GlassError, GlassInfo, GlassWish, Presented, VerifyError};

const SITE: &str = "https://gate.example";
pub(super) const DAY: Duration = Duration::from_secs(25 * 3600);

pub(super) fn rules() -> GlassRules {
    GlassRules {
        groups: groups(&["analysts"]).into_iter().collect(),
        reviewers: groups(&["data-owners", "analysts"]).into_iter().collect(),
        review: Strength::Standard,
        most: MAX_GLASS,
        lifts: Lifts::default(),
    }
}

pub(super) fn set_up(world: &World) {
    world.desk.plug(Arc::new(PasskeyFactor::new(Site::of(SITE).unwrap(), None)));
    world.desk.set_break_glass(Some(rules()));
}

fn wish() -> GlassWish {
    let (reason, client) = ("the shop is down".to_owned(), "psql".to_owned());
    GlassWish { reason, time: None, database: Some("shop".to_owned()), client }
}

pub(super) fn at(address: IpAddr) -> Source {
    address.into()
}

impl World {
    /// A gate where dana and eve have had a passkey for a day.
    pub(super) async fn with_keys() -> (Self, SecurityKey, SecurityKey) {
        let world = Self::new().await;
        set_up(&world);
        let (dana, eve) = (world.passkey("dana", 1).await, world.passkey("eve", 2).await);
        world.clock.advance(DAY);
        (world, dana, eve)
    }

    pub(super) async fn passkey(&self, person: &str, seed: u64) -> SecurityKey {
        let mut key = SecurityKey::new(seed, SITE).unwrap();
        let enrol = Enrol {
            operator: Some(Actor::Operator(Some(1000))),
            presented: Some(Presented::code(&self.code(person))),
            ..Enrol::new(&name(person), Method::Passkey, at(HOME))
        };
        let shown = self.desk.enrol(enrol).await.unwrap();
        let made = Proof::Passkey(key.create(&shown).unwrap());
        self.desk.enrol_confirm(&name(person), Method::Passkey, made, None).await.unwrap();
        self.next_step();
        key
    }

    async fn asked(&self, person: &str) -> Result<GlassInfo, GlassError> {
        self.desk.ask_glass(&name(person), wish(), HOME).await
    }

    async fn signed(&self, glass: GrantId, person: &str, key: &mut SecurityKey) -> Presented {
        let challenged =
            self.desk.challenge_glass(glass, &name(person), Method::Passkey, at(HOME)).await.unwrap();
        let proof = Proof::Passkey(key.get(&json!(challenged.shown)).unwrap());
        Presented { method: Some(Method::Passkey), challenge: Some(challenged.challenge), proof }
    }

    async fn opened(&self, glass: GrantId, person: &str, by: Presented) -> Result<GlassInfo, GlassError> {
        self.desk.open_glass(glass, &name(person), by, at(HOME)).await
    }

    pub(super) async fn broken(&self, person: &str, key: &mut SecurityKey) -> GrantId {
        let glass = self.asked(person).await.unwrap().grant;
        let signed = self.signed(glass, person, key).await;
        assert_eq!(self.opened(glass, person, signed).await.unwrap().state, "open");
        glass
    }

    /// What a statement of this person's goes by.
    fn goes(&self, person: &str) -> Option<InForce> {
        let statement = StatementId { session: SessionId::from_bytes([9; 16]), number: 1 };
        let person = name(person);
        let reach = Reach {
            person: &person,
            database: "shop",
            client: "psql",
            address: HOME,
            control: false,
            action: Action::Approve,
        };
        self.desk.go_by_glass(&reach, statement).map(|(_, _, in_force)| in_force)
    }

    async fn reviewed(&self, glass: GrantId, by: &str) -> Result<(), GlassError> {
        self.next_step();
        let presented = Presented::code(&self.code(by));
        self.desk.review_glass(glass, &name(by), "looked at it", presented, at(HOME)).await
    }

    fn ended(&self) -> Vec<String> {
        let ends = self.events().into_iter().filter_map(|event| match event {
            Event::BreakGlassEnded(GlassEnded { why, .. }) => Some(why),
            _ => None,
        });
        ends.collect()
    }

    fn openings(&self) -> usize {
        self.count(|event| matches!(event, Event::BreakGlassOpened(_)))
    }
}

const UNKNOWN: GlassError = GlassError::Verify(VerifyError::Desk(DeskError::Unknown));

#[tokio::test]
async fn a_passkey_and_a_reason_open_it_for_half_an_hour_with_a_record_of_all_that_was_signed_for() {
    let (world, mut key, _) = World::with_keys().await;
    assert!(world.goes("dana").is_none());
    let glass = world.broken("dana", &mut key).await;
    let opened = world.events().into_iter().find_map(|event| match event {
        Event::BreakGlassOpened(opened) => Some(opened),
        _ => None,
    });
    let opened = opened.unwrap();
    assert_eq!((opened.grant, opened.person.name()), (glass, Some("dana")));
    assert_eq!((opened.reason.name(), opened.network.name()), (Some("the shop is down"), Some("192.0.2.7")));
    assert!(opened.authenticator.starts_with("passkey-"), "{}", opened.authenticator);
    assert_eq!(opened.expires_us, world.clock.now().plus(MAX_GLASS).micros());
    let in_force = world.goes("dana").unwrap();
    assert!(world.goes("eve").is_none(), "it is dana's alone");
    world.clock.advance(MAX_GLASS);
    assert!(world.goes("dana").is_none(), "not a second longer, whether or not anybody has looked");
    world.desk.expire_due().await.unwrap();
    assert!(!in_force.is(), "what runs by it stops");
    assert_eq!(world.ended(), ["expired"]);
    assert_eq!(world.desk.glasses(Some(&name("dana")))[0].state, "to-review");
}

#[tokio::test]
async fn a_replayed_ceremony_opens_nothing() {
    let (world, mut key, _) = World::with_keys().await;
    let glass = world.asked("dana").await.unwrap().grant;
    let signed = world.signed(glass, "dana", &mut key).await;
    let other = world.asked("dana").await.unwrap().grant;
    let replayed = world.opened(other, "dana", signed.clone()).await.unwrap_err();
    assert!(matches!(replayed, GlassError::Verify(VerifyError::Challenge(_))), "{replayed}");
    world.opened(glass, "dana", signed.clone()).await.unwrap();
    world.desk.end_glass(glass, name("dana")).await.unwrap();
    assert!(world.opened(glass, "dana", signed.clone()).await.is_err());
    world.reviewed(glass, "amir").await.unwrap();
    assert_eq!(world.opened(glass, "dana", signed).await.unwrap_err(), UNKNOWN);
    assert_eq!(world.openings(), 1);
}

#[tokio::test]
async fn another_persons_passkey_a_password_alone_or_an_apps_code_opens_nothing() {
    let (world, mut danas, mut eves) = World::with_keys().await;
    let glass = world.asked("dana").await.unwrap().grant;
    // Eve, with her own key: for her it does not exist.
    let none = world.desk.challenge_glass(glass, &name("eve"), Method::Passkey, at(HOME)).await;
    assert_eq!(none.unwrap_err(), UNKNOWN);
    // Eve with dana's password, and her own key.
    let challenged =
        world.desk.challenge_glass(glass, &name("dana"), Method::Passkey, at(HOME)).await.unwrap();
    let mut presented = Presented {
        method: Some(Method::Passkey),
        challenge: Some(challenged.challenge),
        proof: Proof::Passkey(eves.get(&json!(challenged.shown)).unwrap()),
    };
    assert!(world.opened(glass, "dana", presented.clone()).await.is_err());
    // The password alone: a proof of nothing.
    presented.proof = Proof::Passkey(json!({}));
    assert!(world.opened(glass, "dana", presented).await.is_err());
    let code = Presented::code(&world.code("dana"));
    let weak = world.opened(glass, "dana", code).await.unwrap_err();
    let too_weak = VerifyError::Refused(Refusal::TooWeak(Strength::PhishingResistant));
    assert_eq!(weak, GlassError::Verify(too_weak));
    let by_code = world.desk.challenge_glass(glass, &name("dana"), Method::Totp, at(HOME)).await;
    assert_eq!(by_code.unwrap_err(), GlassError::NoPasskey);
    assert_eq!(world.openings(), 0);
    let signed = world.signed(glass, "dana", &mut danas).await;
    world.opened(glass, "dana", signed).await.unwrap();
}

#[tokio::test]
async fn only_who_was_named_beforehand_with_a_passkey_enrolled_beforehand_and_a_reason_may_ask() {
    let world = World::new().await;
    world.desk.plug(Arc::new(PasskeyFactor::new(Site::of(SITE).unwrap(), None)));
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NotConfigured);
    set_up(&world);
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NoPasskey);
    world.clock.advance(DAY);
    let mut key = world.passkey("dana", 1).await;
    // Enrolled just now, as a thief would: it does not count yet.
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NoPasskey);
    world.clock.advance(DAY);
    assert_eq!(world.asked("amir").await.unwrap_err(), GlassError::NotEligible);
    assert_eq!(world.asked("etl").await.unwrap_err(), GlassError::NotEligible);
    for reason in ["", "  ", "..."] {
        let wish = GlassWish { reason: reason.to_owned(), ..wish() };
        let refused = world.desk.ask_glass(&name("dana"), wish, HOME).await.unwrap_err();
        assert_eq!(refused, GlassError::ReasonRequired);
    }
    let long = GlassWish { time: Some(Duration::from_secs(86_400)), ..wish() };
    let asked = world.desk.ask_glass(&name("dana"), long, HOME).await.unwrap();
    assert_eq!(asked.seconds, MAX_GLASS.as_secs(), "never longer than half an hour");
    // Not among them any more when the ceremony comes.
    let signed = world.signed(asked.grant, "dana", &mut key).await;
    world.people.set_groups(&name("dana"), groups(&["interns"]), None).await.unwrap();
    assert_eq!(world.opened(asked.grant, "dana", signed).await.unwrap_err(), GlassError::NotEligible);
    assert_eq!(world.openings(), 0);
}

#[tokio::test]
async fn nobody_reviews_their_own_and_until_somebody_else_has_there_is_no_second() {
    let (world, mut key, _) = World::with_keys().await;
    let glass = world.broken("dana", &mut key).await;
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NotReviewed(glass));
    assert_eq!(world.reviewed(glass, "amir").await.unwrap_err(), GlassError::StillOpen);
    world.desk.end_glass(glass, name("dana")).await.unwrap();
    assert_eq!(world.ended(), ["revoked"]);
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NotReviewed(glass));
    // Dana is of the group that reviews, too.
    assert_eq!(world.reviewed(glass, "dana").await.unwrap_err(), GlassError::Own);
    let empty = world.desk.review_glass(glass, &name("amir"), " ", Presented::code("1"), at(HOME)).await;
    assert_eq!(empty.unwrap_err(), GlassError::ReasonRequired);
    let wrong =
        world.desk.review_glass(glass, &name("amir"), "fine", Presented::code("000000"), at(HOME)).await;
    assert!(matches!(wrong, Err(GlassError::Verify(VerifyError::BadCode(_)))), "{wrong:?}");
    world.reviewed(glass, "amir").await.unwrap();
    assert_eq!(world.reviewed(glass, "omar").await.unwrap_err(), UNKNOWN, "once");
    let reviewed = world.count(|event| match event {
        Event::BreakGlassReviewed(GlassReviewed { by, comment, .. }) => {
            (by.name(), comment.name()) == (Some("amir"), Some("looked at it"))
        }
        _ => false,
    });
    assert_eq!(reviewed, 1);
    world.broken("dana", &mut key).await;
}

#[tokio::test]
async fn a_restart_in_between_neither_ends_nor_prolongs_nor_forgets_it() {
    let (world, mut key, _) = World::with_keys().await;
    world.asked("dana").await.unwrap();
    let glass = world.broken("dana", &mut key).await;
    world.clock.advance(Duration::from_secs(20 * 60));
    world.next_step();
    let world = world.killed();
    set_up(&world);
    assert!(world.goes("dana").is_some(), "it is in force");
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NotReviewed(glass));
    world.clock.advance(Duration::from_secs(10 * 60));
    assert!(world.goes("dana").is_none(), "and for no longer than it was");
    world.desk.expire_due().await.unwrap();
    let world = world.killed();
    set_up(&world);
    assert_eq!(world.asked("dana").await.unwrap_err(), GlassError::NotReviewed(glass));
    assert_eq!(world.desk.glasses(None)[0].state, "to-review");
    world.reviewed(glass, "amir").await.unwrap();
    let world = world.killed();
    set_up(&world);
    assert!(world.desk.glasses(None).is_empty());
    world.asked("dana").await.unwrap();
}

#[tokio::test]
async fn a_clock_set_back_prolongs_nothing_not_even_over_a_restart() {
    let (world, mut key, _) = World::with_keys().await;
    world.broken("dana", &mut key).await;
    let twenty = Duration::from_secs(20 * 60);
    world.clock.advance(twenty);
    // Something is recorded meanwhile.
    world.ask(world.step_up("eve", 7)).await;
    world.clock.set_back(Duration::from_secs(3600));
    let later = world.killed();
    set_up(&later);
    for world in [&world, &later] {
        assert!(world.goes("dana").is_some());
        world.clock.advance(Duration::from_secs(10 * 60));
        assert!(world.goes("dana").is_none());
        world.desk.expire_due().await.unwrap();
        assert_eq!(world.ended(), ["expired"]);
    }
}

#[tokio::test]
async fn it_is_over_at_once_when_taken_back_with_its_persons_rights_or_the_setting() {
    let (world, mut danas, mut eves) = World::with_keys().await;
    let glass = world.broken("dana", &mut danas).await;
    let in_force = world.goes("dana").unwrap();
    // Not by somebody who has nothing to do with it; by the operator, as a grant.
    world.people.set_groups(&name("newt"), groups(&["interns"]), None).await.unwrap();
    let other = world.desk.end_glass(glass, name("newt")).await;
    assert_eq!(other.unwrap_err(), UNKNOWN);
    world.desk.revoke(glass, None).await.unwrap();
    assert!(!in_force.is() && world.goes("dana").is_none());
    world.broken("eve", &mut eves).await;
    let in_force = world.goes("eve").unwrap();
    world.people.set_groups(&name("eve"), groups(&["interns"]), None).await.unwrap();
    assert!(world.goes("eve").is_none());
    world.desk.expire_due().await.unwrap();
    assert!(!in_force.is());
    world.reviewed(glass, "amir").await.unwrap();
    world.broken("dana", &mut danas).await;
    let in_force = world.goes("dana").unwrap();
    world.desk.set_break_glass(None);
    assert!(world.goes("dana").is_none());
    world.desk.expire_due().await.unwrap();
    assert!(!in_force.is());
    assert_eq!(world.ended(), ["revoked", "revoked", "revoked"]);
}

#[tokio::test]
async fn without_a_log_it_is_neither_opened_nor_reviewed() {
    let (world, mut danas, mut eves) = World::with_keys().await;
    let glass = world.broken("eve", &mut eves).await;
    world.desk.end_glass(glass, name("eve")).await.unwrap();
    let asked = world.asked("dana").await.unwrap().grant;
    let signed = world.signed(asked, "dana", &mut danas).await;
    world.log.close().unwrap();
    let opened = world.opened(asked, "dana", signed).await.unwrap_err();
    assert!(matches!(opened, GlassError::Verify(VerifyError::Desk(DeskError::Log(_)))), "{opened}");
    assert!(world.goes("dana").is_none());
    assert!(world.reviewed(glass, "amir").await.is_err());
    assert_eq!(world.desk.glasses(None).iter().filter(|it| it.state == "to-review").count(), 1);
}

#[tokio::test]
async fn reminders_go_out_until_it_was_reviewed() {
    let (world, mut key, _) = World::with_keys().await;
    let glass = world.broken("dana", &mut key).await;
    let reminded = |world: &World| world.count(|event| matches!(event, Event::BreakGlassReminded(_)));
    world.clock.advance(Duration::from_secs(13 * 3600));
    world.desk.expire_due().await.unwrap();
    assert_eq!(reminded(&world), 0, "it is over only now");
    for times in 1..=3 {
        world.clock.advance(Duration::from_secs(12 * 3600));
        world.desk.expire_due().await.unwrap();
        world.desk.expire_due().await.unwrap();
        assert_eq!(reminded(&world), times);
    }
    world.reviewed(glass, "omar").await.unwrap();
    world.clock.advance(Duration::from_secs(48 * 3600));
    world.desk.expire_due().await.unwrap();
    assert_eq!(reminded(&world), 3);
}

#[tokio::test]
async fn an_attacker_elsewhere_pushes_out_no_ceremony_of_its_owners() {
    let (world, mut key, _) = World::with_keys().await;
    let own = world.asked("dana").await.unwrap().grant;
    for _ in 0..20 {
        world.desk.ask_glass(&name("dana"), wish(), ELSEWHERE).await.unwrap();
    }
    let ids: BTreeSet<_> = world.desk.glasses(Some(&name("dana"))).into_iter().map(|it| it.grant).collect();
    assert!(ids.contains(&own) && ids.len() == 5, "{ids:?}");
    let signed = world.signed(own, "dana", &mut key).await;
    world.opened(own, "dana", signed).await.unwrap();
}
