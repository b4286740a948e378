//! By another login at a real OpenID provider (npm oidc-provider), in a real browser.

use serde_json::json;
use stepgate_testkit::Provider;

use super::driver::Script;
use super::support::provider::SECRET;
use super::support::{SOON, World, held};
use super::{login, with};

/// A gate that knows a provider, and wants more than a code of an app.
fn world() -> Option<(World, Provider)> {
    let mut world = World::not_serving(|policy| policy.replace("strength: standard", "strength: strong"));
    let provider = world.provider()?;
    world.configure(&format!(
        "oidc: {{issuer: \"{}\", client_id: stepgate, client_secret_file: secrets/oidc, acr: {{mfa: strong}}, \
         label: Example}}",
        provider.issuer()
    ));
    world.gate.serve().unwrap();
    Some((world, provider))
}

#[test]
fn another_login_at_the_identity_provider_lets_a_statement_run_and_somebody_elses_does_not() {
    let Some((world, _provider)) = world() else { return };
    let mut dana = world.dana();
    let mut psql = world.psql(&dana);
    // An account there proves more than an app: that alone does not let it in.
    let code = world.gate.run(["user", "enroll-code", dana.name()], "").unwrap().ok().unwrap();
    let code = code.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned();
    let given = with(login(&dana), json!({"enrolment_code": code}));
    let Some(mut script) = Script::start(&world, "oidc", given) else { return };
    script.give_code(&mut dana);
    assert_eq!(script.hear(), json!({"linked": true}));
    for (there, ended) in [("eve", "open"), ("dana", "approved")] {
        psql.send("select ssn from customers where id = 1;").unwrap();
        let request = held(&mut psql);
        // A code proves too little here.
        let refused = dana.verify(&world.gate, &request).unwrap();
        assert_eq!(refused.status, 1, "{}", refused.text());
        assert!(refused.text().contains("strong"), "{}", refused.text());
        script.tell(json!({"request": request, "there": there}));
        assert_eq!(script.hear(), json!({"ended": ended}));
        if ended == "open" {
            world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
            assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
        } else {
            let reply = psql.finish(SOON).unwrap();
            assert!(reply.is_ok() && reply.text().contains("(1 row)"), "{}", reply.text());
        }
    }
    script.ends();
    assert!(!world.gate.log().contains(SECRET));
}

#[test]
fn somebody_logs_in_at_the_identity_provider_and_comes_to_the_request_they_were_sent_to() {
    let Some((world, _provider)) = world() else { return };
    let dana = world.dana();
    world.gate.run(["user", "link", dana.name(), "--oidc", "dana"], "").unwrap().ok().unwrap();
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    let Some(mut script) = Script::start(&world, "sso", json!({"request": request})) else { return };
    assert_eq!(script.hear(), json!({"logged": "in"}));
    assert_eq!(script.hear(), json!({"refused": true}));
    script.ends();
    world.gate.run(["request", "cancel", &request, "--as", dana.name()], "").unwrap().ok().unwrap();
    assert_eq!(psql.finish(SOON).unwrap().sqlstate, "57014");
    assert!(world.recorded("identity.login", "\"refused\":\"unknown\""));
}
