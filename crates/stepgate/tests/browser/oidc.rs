//! By another login at a real OpenID provider (npm oidc-provider), in a real browser.

use serde_json::json;
use stepgate_testkit::Provider;

use super::driver::Script;
use super::support::provider::SECRET;
use super::support::{EVERYTHING, NOTHING_LABELLED, SOON, World, held};
use super::{login, with};

/// A gate that knows a provider, and wants more than a code of an app.
fn world() -> Option<(World, Provider)> {
    world_with(|policy| policy.replace("strength: standard", "strength: strong"), "")
}

/// One that knows a provider, with this policy and more lines in its configuration.
fn world_with(change: impl FnOnce(String) -> String, lines: &str) -> Option<(World, Provider)> {
    let mut world = World::not_serving(change);
    let provider = world.provider()?;
    world.configure(&format!(
        "oidc: {{issuer: \"{}\", client_id: stepgate, client_secret_file: secrets/oidc, acr: {{mfa: strong}}, \
         label: Example}}\n{lines}",
        provider.issuer()
    ));
    if !lines.contains("factors:") {
        world.configure("factors: {new_factor_delay: 0s}");
    }
    world.edit("policies: {", "policies: {two_person: {groups: [analysts], strength: strong}, ");
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
    world.gate.policies(NOTHING_LABELLED, EVERYTHING).unwrap();
    let lint = world.gate.run(["policy", "lint"], "").unwrap().ok().unwrap();
    let sha256 = lint.trim().rsplit(' ').next().unwrap().to_owned();
    let waits = || world.recorded("policy.proposed", &sha256);
    stepgate_testkit::until("what waits", SOON, waits).unwrap();
    for (there, votes) in [("eve", false), ("dana", true)] {
        script.tell(json!({"policy": sha256, "there": there}));
        assert_eq!(script.hear(), json!({"answered": there}));
        assert_eq!(world.recorded("policy.voted", &sha256), votes, "{there}");
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

#[test]
fn with_the_identity_provider_stopped_the_request_says_why_and_the_next_method_lets_it_run() {
    let Some((world, provider)) = world_with(|policy| policy, "") else { return };
    let mut dana = world.dana();
    let code = world.gate.run(["user", "enroll-code", dana.name()], "").unwrap().ok().unwrap();
    let code = code.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned();
    let given = with(login(&dana), json!({"enrolment_code": code}));
    let Some(mut script) = Script::start(&world, "stopped", given) else { return };
    script.give_code(&mut dana);
    assert_eq!(script.hear(), json!({"linked": true}));
    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers where id = 1;").unwrap();
    let request = held(&mut psql);
    script.tell(json!({"request": request}));
    assert_eq!(script.hear(), json!({"offered": "oidc"}));
    drop(provider);
    script.tell(json!({"stopped": true}));
    // The page is that of the request again.
    script.give_code(&mut dana);
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("(1 row)"), "{}", reply.text());
    script.ends();
}

#[test]
fn with_the_identity_provider_stopped_a_passkey_logs_in_and_breaks_the_glass() {
    let lines = "factors: {new_factor_delay: 0s}\n\
                 break_glass: {groups: [analysts], reviewers: [data-owners], for: 10m}";
    let Some((world, provider)) = world_with(|policy| policy, lines) else { return };
    let mut dana = world.dana();
    world.gate.run(["user", "link", dana.name(), "--oidc", "dana"], "").unwrap().ok().unwrap();
    let code = world.gate.run(["user", "enroll-code", dana.name()], "").unwrap().ok().unwrap();
    let code = code.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned();
    // No password is typed anywhere.
    let given = json!({"name": dana.name(), "enrolment_code": code});
    let Some(mut script) = Script::start(&world, "alone", given) else { return };
    script.give_code(&mut dana);
    assert_eq!(script.hear(), json!({"enrolled": true}));
    drop(provider);
    script.tell(json!({"stopped": true}));
    assert_eq!(script.hear(), json!({"opened": true}));
    let listed = world.gate.run(["break-glass", "ls", "--operator"], "").unwrap().ok().unwrap();
    assert!(listed.contains("open") && listed.contains("dana"), "{listed}");
    let mut psql = world.psql(&dana);
    super::support::passes(&mut psql, "select ssn from customers order by id limit 3;");
    script.ends();
}
