//! Passkeys, by Chromium's virtual authenticator.

use serde_json::json;

use super::driver::Script;
use super::support::{SOON, World, held};
use super::{login, with};

#[test]
fn a_passkey_is_enrolled_lets_a_statement_run_and_does_not_without_user_verification() {
    let world = World::new();
    let mut dana = world.dana();
    let code = world.gate.run(["user", "enroll-code", dana.name()], "").unwrap().ok().unwrap();
    let code = code.split_whitespace().find(|word| word.contains('-')).unwrap().to_owned();
    let given = with(login(&dana), json!({"enrolment_code": code}));
    let Some(mut script) = Script::start(&world, "passkey", given) else { return };
    script.give_code(&mut dana);
    assert_eq!(script.hear(), json!({"enrolled": true}));

    let mut psql = world.psql(&dana);
    psql.send("select ssn from customers order by id limit 3;").unwrap();
    let first = held(&mut psql);
    script.tell(json!({"request": first}));
    assert_eq!(script.hear(), json!({"approved": first}));
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("(3 rows)"), "{}", reply.text());

    // Of another table: the first approval does not reach it.
    psql.send("select iban from payments order by id limit 2;").unwrap();
    let second = held(&mut psql);
    script.tell(json!({"request": second}));
    assert_eq!(script.hear(), json!({"refused": second}));
    script.tell(json!({}));
    let reply = psql.finish(SOON).unwrap();
    assert!(reply.is_ok() && reply.text().contains("(2 rows)"), "{}", reply.text());
    script.ends();

    let log = world.gate.run(["audit", "search", "--type", "stepup.factor_verified", "-o", "json"], "");
    let log = log.unwrap().ok().unwrap();
    assert!(log.contains("\"passkey\"") && log.contains("phishing-resistant"), "{log}");
    assert!(!world.gate.log().contains(&code));
}
