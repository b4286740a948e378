//! Logins at a provider as a proof: whose account it is, and how much each of them is worth.

use serde_json::{Value, json};
use stepgate_approval::{AuthenticatorId, Method, OidcFactor, Proof, Refusal};

use super::*;
use crate::{Answer, Challenged, Enrol, EnrolError, Presented, VerifyError};

/// A login at the provider, as that account, worth so much.
fn at_provider(account: &str, shown: &Value, strength: &str) -> Proof {
    Proof::Oidc(json!({
        "iss": "https://idp.example", "sub": account, "nonce": shown["nonce"], "strength": strength,
    }))
}

impl World {
    /// Links an account, by an app and an operator's code.
    async fn link(&self, person: &str, account: &str) -> Result<AuthenticatorId, EnrolError> {
        let code = self.desk.enrol_code(&name(person), None).await.unwrap();
        let enrol = Enrol {
            code: Some(code),
            presented: Some(Presented::code(&self.code(person))),
            ..Enrol::new(&name(person), Method::Oidc, HOME.into())
        };
        let shown = self.desk.enrol(enrol).await?;
        self.next_step();
        let proof = at_provider(account, &shown, "strong");
        self.desk.enrol_confirm(&name(person), Method::Oidc, proof, None).await
    }
}

#[tokio::test]
async fn what_something_weaker_has_let_in_never_proves_more() {
    let world = World::new().await;
    world.desk.plug(Arc::new(OidcFactor));
    world.link("dana", "1").await.unwrap();
    let dana = name("dana");
    let asked = world.desk.challenge_for(&dana, Purpose::Manage, Method::Oidc, HOME.into()).await.unwrap();
    let proof = at_provider("1", &asked.shown, "strong");
    let enrol = Enrol {
        presented: Some(Presented { method: None, challenge: Some(asked.challenge), proof }),
        ..Enrol::new(&dana, Method::Oidc, HOME.into())
    };
    let shown = world.desk.enrol(enrol).await.unwrap();
    let proof = at_provider("2", &shown, "phishing-resistant");
    let id = world.desk.enrol_confirm(&dana, Method::Oidc, proof, None).await.unwrap().to_string();
    let all = world.desk.authenticators(&dana);
    let second = all.iter().find(|it| it.id == id).unwrap();
    assert_eq!(second.strength, Strength::Strong);
}

#[tokio::test]
async fn one_account_at_the_provider_is_not_two_people() {
    let world = World::new().await;
    world.desk.plug(Arc::new(OidcFactor));
    world.link("dana", "1").await.unwrap();
    world.link("omar", "1").await.unwrap_err();
    world.link("omar", "2").await.unwrap();
}

#[tokio::test]
async fn a_login_counts_for_what_it_was_this_time_whatever_the_account_has_proven_before() {
    let world = World::new().await;
    world.desk.plug(Arc::new(OidcFactor));
    let linked = world.link("dana", "1").await.unwrap();
    let mut ask = world.step_up("dana", 1);
    ask.terms.strength = Strength::Strong;
    let request = world.ask(ask).await.request;
    let login = async |strength: &str| {
        let asked = world.desk.challenge(request, &name("dana"), Method::Oidc, true, HOME.into()).await;
        let Challenged { challenge, shown, .. } = asked.unwrap();
        let proof = at_provider("1", &shown, strength);
        let presented = Presented { method: None, challenge: Some(challenge), proof };
        let (person, source) = (name("dana"), HOME.into());
        let answer = Answer { request, person, presented, approve: true, reason: None, source, own: true };
        world.desk.answer(answer).await.map(drop)
    };
    // By a password alone, say, at a provider that has seen a key of theirs yesterday.
    for weaker in ["weak", "standard"] {
        assert_eq!(login(weaker).await, Err(VerifyError::Refused(Refusal::TooWeak(Strength::Strong))));
        assert!(world.ends().is_empty());
    }
    login("strong").await.unwrap();
    assert_eq!(world.ends(), ["approved"]);
    // Nor does a weaker one take an authenticator away that proves more.
    let (dana, manage) = (name("dana"), Purpose::Manage);
    let asked = world.desk.challenge_for(&dana, manage, Method::Oidc, HOME.into()).await.unwrap();
    let proof = at_provider("1", &asked.shown, "standard");
    let own = Some((Presented { method: None, challenge: Some(asked.challenge), proof }, HOME.into()));
    let removed = world.desk.remove_factor(&dana, &linked, Some(dana.clone()), own).await;
    let too_weak = VerifyError::Refused(Refusal::TooWeak(Strength::Strong));
    assert_eq!(removed, Err(EnrolError::Verify(too_weak)));
    assert!(world.desk.authenticators(&dana).iter().any(|it| it.id == linked.to_string()));
}
