//! Policies approved and break-glass reviewed by passkeys and devices, and what attackers make of their challenges.

use stepgate_approval::{GlassRules, Method, NoChallenge, Proof, Refusal};
use stepgate_testkit::SecurityKey;
use stepgate_types::{GrantId, Who};

use super::glasses::{DAY, at, rules};
use super::*;
use crate::desk::Answer;
use crate::{Challenged, DeskError, GlassError, MethodInfo, PolicyInfo, Presented, TwoPerson, VerifyError};

const UNKNOWN: VerifyError = VerifyError::Desk(DeskError::Unknown);
const NO_CHALLENGE: VerifyError = VerifyError::Challenge(NoChallenge::Unknown);

fn hash(of: &str) -> String {
    of.repeat(32)
}

fn too_weak(strength: Strength) -> VerifyError {
    VerifyError::Refused(Refusal::TooWeak(strength))
}

/// Signs a challenge with a security key.
fn sign(key: &mut SecurityKey, challenged: &Challenged) -> Presented {
    let proof = Proof::Passkey(key.get(&challenged.shown).unwrap());
    Presented { method: Some(Method::Passkey), challenge: Some(challenged.challenge), proof }
}

fn words(offered: &[MethodInfo]) -> Vec<&'static str> {
    offered.iter().map(|it| it.method.as_str()).collect()
}

impl World {
    /// A gate where dana and eve may break the glass by a passkey, and amir and omar have one to approve and review by.
    async fn with_approvers(strength: Strength) -> (Self, [SecurityKey; 4]) {
        let (world, dana, eve) = Self::with_keys().await;
        let keys = [dana, eve, world.passkey("amir", 3).await, world.passkey("omar", 4).await];
        world.clock.advance(DAY);
        world.two(strength);
        world.desk.set_break_glass(Some(GlassRules { review: strength, ..rules() }));
        (world, keys)
    }

    fn two(&self, strength: Strength) {
        let groups = groups(&["data-owners"]).into_iter().collect();
        self.desk.set_two_person(Some(TwoPerson { groups, strength }));
    }

    async fn asked_of(&self, sha256: &str, person: &str, method: Method) -> Result<Challenged, VerifyError> {
        self.desk.challenge_policy(sha256, &name(person), method, at(HOME)).await
    }

    async fn votes(&self, sha256: &str, person: &str, by: Presented) -> Result<PolicyInfo, VerifyError> {
        self.desk.approve_policy(sha256, &name(person), by, at(HOME)).await
    }

    async fn coded(&self, sha256: &str, person: &str) -> Result<PolicyInfo, VerifyError> {
        self.next_step();
        self.votes(sha256, person, Presented::code(&self.code(person))).await
    }

    /// A break-glass of dana's that is over.
    async fn to_review(&self, key: &mut SecurityKey) -> GrantId {
        let glass = self.broken("dana", key).await;
        self.desk.end_glass(glass, name("dana")).await.unwrap();
        glass
    }

    async fn review_of(&self, glass: GrantId, person: &str) -> Result<Challenged, GlassError> {
        self.desk.challenge_review(glass, &name(person), Method::Passkey, at(HOME)).await
    }

    async fn reviews(&self, glass: GrantId, person: &str, by: Presented) -> Result<(), GlassError> {
        self.desk.review_glass(glass, &name(person), "in order", by, at(HOME)).await
    }
}

#[tokio::test]
async fn a_policy_is_approved_by_passkeys_each_bound_to_one_hash_one_person_and_one_time() {
    let (world, [_, _, mut amirs, mut omars]) = World::with_approvers(Strength::PhishingResistant).await;
    let (one, other) = (hash("ab"), hash("cd"));
    assert_eq!(world.asked_of(&one, "amir", Method::Passkey).await.unwrap_err(), UNKNOWN, "nothing waits");
    for sha256 in [&one, &other] {
        world.desk.propose_policy(sha256).await.unwrap();
    }
    // Who does not approve policies gets no challenge, by this door or the other.
    assert_eq!(world.asked_of(&one, "dana", Method::Passkey).await.unwrap_err(), UNKNOWN);
    let around = world
        .desk
        .challenge_for(&name("dana"), Purpose::Policy(one.clone()), Method::Passkey, at(HOME))
        .await;
    assert_eq!(around.unwrap_err(), UNKNOWN);
    let asked = world.asked_of(&one, "amir", Method::Passkey).await.unwrap();
    let signed = sign(&mut amirs, &asked);
    assert_eq!(
        world.votes(&other, "amir", signed.clone()).await.unwrap_err(),
        NO_CHALLENGE,
        "another policy"
    );
    assert_eq!(world.votes(&one, "omar", signed.clone()).await.unwrap_err(), NO_CHALLENGE, "another person");
    // The right challenge, signed by somebody else's passkey.
    let forged = sign(&mut omars, &asked);
    assert!(matches!(world.votes(&one, "amir", forged).await, Err(VerifyError::Factor(_))));
    // Under a challenge of the other policy's: what was signed is not that.
    let others = world.asked_of(&other, "amir", Method::Passkey).await.unwrap();
    let moved = Presented { challenge: Some(others.challenge), ..signed.clone() };
    assert!(matches!(world.votes(&other, "amir", moved).await, Err(VerifyError::Factor(_))));
    assert!(world.desk.policies(&name("amir")).iter().all(|it| it.approvers.is_empty()));
    let info = world.votes(&one, "amir", signed.clone()).await.unwrap();
    assert_eq!((info.state, info.approvers), ("proposed", vec![name("amir")]));
    assert_eq!(world.votes(&one, "amir", signed).await.unwrap_err(), NO_CHALLENGE, "replayed");
    let signed = sign(&mut omars, &world.asked_of(&one, "omar", Method::Passkey).await.unwrap());
    assert_eq!(world.votes(&one, "omar", signed).await.unwrap().state, "approved");
    assert_eq!(world.desk.policy(&one, &name("omar")).unwrap().state, "approved");
    assert_eq!(world.desk.policy(&one, &name("dana")), None);
    assert_eq!(world.desk.approved_policy(), Some(one));
}

#[tokio::test]
async fn what_proves_less_than_is_configured_approves_no_policy_and_the_stronger_is_offered() {
    let (world, [_, _, mut amirs, _]) = World::with_approvers(Strength::Standard).await;
    let sha256 = hash("ab");
    world.desk.propose_policy(&sha256).await.unwrap();
    let offered = || world.desk.methods_for_policy(&sha256, &name("amir"), at(HOME)).unwrap();
    assert_eq!(words(&offered()), ["passkey", "totp"]);
    assert_eq!(world.coded(&sha256, "amir").await.unwrap().approvers, [name("amir")]);
    // From here on a code is too little, and so is what was approved by one.
    let strong = Strength::PhishingResistant;
    world.two(strong);
    assert_eq!(words(&offered()), ["passkey"]);
    let listed = world.desk.policies(&name("amir"));
    assert_eq!((listed[0].strength, listed[0].approvers.len()), (strong, 0));
    assert_eq!(world.coded(&sha256, "omar").await.unwrap_err(), too_weak(strong));
    assert_eq!(world.asked_of(&sha256, "omar", Method::Totp).await.unwrap_err(), too_weak(strong));
    assert_eq!(world.asked_of(&sha256, "omar", Method::Push).await.unwrap_err(), VerifyError::NotEnrolled);
    let signed = sign(&mut amirs, &world.asked_of(&sha256, "amir", Method::Passkey).await.unwrap());
    assert_eq!(world.votes(&sha256, "amir", signed).await.unwrap().approvers, [name("amir")]);
    // How much it proved is in the record; of older ones, nothing but a code was asked for.
    let old = Event::PolicyVoted {
        policy_sha256: sha256.clone(),
        person: Who::from(&name("omar")),
        strength: None,
    };
    world.log.append(vec![old], Vec::new()).await.unwrap();
    let world = world.killed();
    world.two(strong);
    assert_eq!(world.desk.policies(&name("omar"))[0].approvers, [name("amir")]);
    world.two(Strength::Standard);
    assert_eq!(world.desk.policies(&name("omar"))[0].approvers, [name("amir"), name("omar")]);
}

#[tokio::test]
async fn a_break_glass_is_reviewed_by_a_passkey_and_its_challenge_is_good_for_nothing_else() {
    let (world, [mut danas, mut eves, mut amirs, mut omars]) =
        World::with_approvers(Strength::PhishingResistant).await;
    let open = world.broken("eve", &mut eves).await;
    assert_eq!(world.review_of(open, "amir").await.unwrap_err(), GlassError::StillOpen);
    world.desk.end_glass(open, name("eve")).await.unwrap();
    let glass = world.to_review(&mut danas).await;
    assert_eq!(world.review_of(glass, "dana").await.unwrap_err(), GlassError::Own);
    world.people.set_groups(&name("newt"), groups(&["interns"]), None).await.unwrap();
    assert_eq!(world.review_of(glass, "newt").await.unwrap_err(), UNKNOWN.into());
    let around =
        world.desk.challenge_for(&name("amir"), Purpose::Review(glass), Method::Passkey, at(HOME)).await;
    assert_eq!(around.unwrap_err(), UNKNOWN);
    let offered = world.desk.methods_for_review(glass, &name("amir"), at(HOME)).unwrap();
    assert_eq!(words(&offered), ["passkey"]);
    world.next_step();
    let code = Presented::code(&world.code("amir"));
    let refused = world.reviews(glass, "amir", code).await.unwrap_err();
    assert_eq!(refused, too_weak(Strength::PhishingResistant).into());

    let asked = world.review_of(glass, "amir").await.unwrap();
    let signed = sign(&mut amirs, &asked);
    // Another's review, a policy, and a request that amir may answer: none of them is what was signed for.
    assert_eq!(world.reviews(open, "amir", signed.clone()).await.unwrap_err(), NO_CHALLENGE.into());
    assert_eq!(world.reviews(glass, "omar", signed.clone()).await.unwrap_err(), NO_CHALLENGE.into());
    let sha256 = hash("ab");
    world.desk.propose_policy(&sha256).await.unwrap();
    assert_eq!(world.votes(&sha256, "amir", signed.clone()).await.unwrap_err(), NO_CHALLENGE);
    let waiting = world.ask(world.approval("newt", 1, 1)).await;
    let answer = |presented: Presented| Answer {
        request: waiting.request,
        person: name("amir"),
        presented,
        approve: true,
        reason: None,
        source: at(HOME),
        own: false,
    };
    assert_eq!(world.desk.answer(answer(signed.clone())).await.unwrap_err(), NO_CHALLENGE);
    // Nor is a request's challenge one for a review.
    let for_request =
        world.desk.challenge(waiting.request, &name("amir"), Method::Passkey, true, at(HOME)).await;
    let for_request = sign(&mut amirs, &for_request.unwrap());
    assert_eq!(world.reviews(glass, "amir", for_request).await.unwrap_err(), NO_CHALLENGE.into());
    let forged = sign(&mut omars, &asked);
    assert!(matches!(
        world.reviews(glass, "amir", forged).await,
        Err(GlassError::Verify(VerifyError::Factor(_)))
    ));
    assert_eq!(world.count(|event| matches!(event, Event::BreakGlassReviewed(_))), 0);
    // Answers that failed did not use it up.
    let asked = world.review_of(glass, "amir").await.unwrap();
    let signed = sign(&mut amirs, &asked);
    world.reviews(glass, "amir", signed.clone()).await.unwrap();
    assert_eq!(world.reviews(glass, "amir", signed.clone()).await.unwrap_err(), UNKNOWN.into());
    assert_eq!(world.reviews(open, "amir", signed).await.unwrap_err(), NO_CHALLENGE.into(), "replayed");
    assert_eq!(world.count(|event| matches!(event, Event::BreakGlassReviewed(_))), 1);
}

#[tokio::test]
async fn a_passkey_of_today_approves_no_policy_and_reviews_nothing() {
    let (world, [mut danas, ..]) = World::with_approvers(Strength::Standard).await;
    world.people.set_groups(&name("eve"), groups(&["data-owners"]), None).await.unwrap();
    world.desk.propose_policy(&hash("ab")).await.unwrap();
    let glass = world.to_review(&mut danas).await;
    // A second one, enrolled a moment ago by whoever has the operator's ear; the first is removed.
    let ids: Vec<_> = world.people.factors().list(&name("eve")).iter().map(|it| it.id.clone()).collect();
    let mut fresh = world.passkey("eve", 9).await;
    for id in ids {
        world.desk.remove_factor(&name("eve"), &id, None::<PersonName>, None).await.unwrap();
    }
    let asked = world.asked_of(&hash("ab"), "eve", Method::Passkey).await.unwrap_err();
    assert!(matches!(asked, VerifyError::Unavailable { method: Method::Passkey, .. }), "{asked}");
    assert!(world.review_of(glass, "eve").await.is_err());
    let offered = world.desk.methods_for_policy(&hash("ab"), &name("eve"), at(HOME)).unwrap();
    assert!(offered.iter().all(|it| !it.available && it.why.is_some()), "{offered:?}");
    world.clock.advance(DAY);
    let signed = sign(&mut fresh, &world.asked_of(&hash("ab"), "eve", Method::Passkey).await.unwrap());
    assert_eq!(world.votes(&hash("ab"), "eve", signed).await.unwrap().approvers, [name("eve")]);
}

#[tokio::test]
async fn nobody_approves_policies_where_nobody_has_to() {
    let (world, _) = World::with_approvers(Strength::Standard).await;
    world.desk.propose_policy(&hash("ab")).await.unwrap();
    world.desk.set_two_person(None);
    assert_eq!(world.asked_of(&hash("ab"), "amir", Method::Passkey).await.unwrap_err(), UNKNOWN);
    assert!(
        world.desk.policies(&name("amir")).is_empty()
            && world.desk.policy(&hash("ab"), &name("amir")).is_none()
    );
    assert_eq!(world.coded(&hash("ab"), "amir").await.unwrap_err(), UNKNOWN);
}
