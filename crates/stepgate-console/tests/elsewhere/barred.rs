//! Whom no login makes somebody: who was removed, whose account was taken from them, and whom the policy names.

use super::*;

fn kim(sub: &str, called: &str) -> Value {
    json!({"claims": {"sub": sub, "preferred_username": called}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_person_does_not_come_back_by_a_login_under_whatever_name_or_account() {
    let Some(gate) = Gate::new(|settings| settings.create = true).await else { return };
    let people = &gate.world.people;
    assert_eq!(gate.who(&gate.log_in(kim("1", "kim")).await).await, "kim");
    people.remove(&name("kim"), None).await.unwrap();
    for (sub, called) in [("1", "kim"), ("2", "kim"), ("1", "kimberly")] {
        let answer = gate.log_in(kim(sub, called)).await;
        assert_eq!((answer.status, gate.refused().as_deref()), (403, Some("removed")), "{sub} {called}");
        assert!(answer.body.contains("only an operator can"), "{}", answer.body);
        assert!(people.get(&name(called)).is_none());
    }
    // Others come as ever; and whom the operator adds again is there again.
    assert_eq!(gate.who(&gate.log_in(kim("3", "robin")).await).await, "robin");
    people.add_linked(name("kim"), Vec::new(), gate.account("1"), None).await.unwrap();
    assert_eq!(gate.who(&gate.log_in(kim("1", "kim")).await).await, "kim");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_an_operator_took_away_is_nobodys_until_one_links_it_again() {
    let Some(gate) = Gate::new(|settings| settings.create = true).await else { return };
    let people = &gate.world.people;
    gate.link("dana", "1").await;
    people.unlink(&name("dana"), Source::Oidc, None).await.unwrap();
    assert_eq!(gate.log_in(kim("1", "somebody-new")).await.status, 403);
    assert_eq!(gate.refused().as_deref(), Some("removed"));
    gate.link("dana", "1").await;
    assert_eq!(gate.who(&gate.log_in(kim("1", "somebody-new")).await).await, "dana");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_policy_mentions_is_not_taken_by_a_login() {
    let Some(gate) = Gate::new(|settings| settings.create = true).await else { return };
    let answer = gate.log_in(kim("1", "named-in-rules")).await;
    assert_eq!((answer.status, gate.refused().as_deref()), (403, Some("named")), "{}", answer.body);
    assert!(answer.body.contains("only an operator can"), "{}", answer.body);
    assert!(gate.world.people.get(&name("named-in-rules")).is_none());
    // Whom an operator has made them is them.
    let account = gate.account("1");
    gate.world.people.add_linked(name("named-in-rules"), Vec::new(), account, None).await.unwrap();
    assert_eq!(gate.who(&gate.log_in(kim("1", "x")).await).await, "named-in-rules");
}
