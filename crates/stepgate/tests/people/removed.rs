//! Whom a login at a real provider does not make somebody: who was removed, and whom the policy names.

use crate::by_code::login;
use crate::provider::world_with;
use crate::psql::Files;

#[test]
fn whom_the_operator_removed_and_whom_a_rule_names_no_login_makes_somebody() {
    let named = |policy: String| {
        let rules =
            "rules:\n  - {name: boss-passes, match: {as: [boss], kind: [control]}, action: monitor}\n";
        let changed = policy.replacen("rules:\n", rules, 1);
        assert_ne!(changed, policy);
        changed
    };
    let Some((mut world, _provider)) = world_with(named, "create: true, device: true") else { return };
    let files = Files::new(&world);
    let came = login(&world, &files, &["sam"], ("sam", &[]), "");
    assert!(came.ok && came.text.contains("logged in as sam"), "{}", came.text);
    world.gate.run(["user", "rm", "sam"], "").unwrap().ok().unwrap();
    let refused = |world: &crate::support::World, who: &str, why: &str| {
        let came = login(world, &files, &[who], (who, &[]), "");
        assert!(!came.ok && came.text.contains("is nobody's here"), "{}", came.text);
        assert!(
            came.text.contains(&format!("no login makes it {who}: only an operator can")),
            "{}",
            came.text
        );
        assert!(world.recorded("identity.login", &format!("\"refused\":\"{why}\"")));
        let people = world.gate.run(["user", "ls", "-o", "json"], "").unwrap().ok().unwrap();
        assert!(!people.contains(&format!("\"{who}\"")), "{people}");
    };
    refused(&world, "sam", "removed");
    refused(&world, "boss", "named");
    world.gate.terminate().unwrap();
    world.gate.serve().unwrap();
    refused(&world, "sam", "removed");
    // Until the operator has them again.
    world.gate.run(["user", "add", "sam", "--oidc", "sam"], "").unwrap().ok().unwrap();
    let came = login(&world, &files, &["sam"], ("sam", &[]), "");
    assert!(came.ok && came.text.contains("logged in as sam"), "{}", came.text);
}
