//! People hear of what happens to their own accounts, by what they have besides: from a real mail server.

use crate::mail::{enrol, mailing};
use crate::receivers::Python;
use crate::support::World;

/// What dana is told next.
fn told(server: &mut Python) -> String {
    let line = server.line();
    let [to, subject, text] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
    assert_eq!((to, subject), ("dana@corp.example", "Your Stepgate account"), "{line}");
    text.to_owned()
}

/// The id of dana's authenticator of that method.
fn id(world: &World, method: &str) -> String {
    let listed = world.gate.run(["user", "factor", "ls", "dana", "-o", "json"], "").unwrap().ok().unwrap();
    let rows: Vec<serde_json::Value> = serde_json::from_str(&listed).unwrap();
    rows.iter().find(|row| row["method"] == method).unwrap()["id"].as_str().unwrap().to_owned()
}

#[test]
fn whose_password_or_authenticators_change_hears_of_it_by_mail_also_of_the_mailbox_that_was_taken_out() {
    let Some(mut server) = Python::start("codes.py", &[]) else { return };
    let mut world = mailing(|policy| policy, server.port);
    let mut dana = world.dana();
    // Of what is enrolled now, nothing is told by it: whoever did that reads it there.
    enrol(&world, &mut dana, &mut server);
    world.gate.run(["user", "passwd", "dana"], "another password\n").unwrap().ok().unwrap();
    assert!(told(&mut server).starts_with("Your password was changed."));
    world.gate.run(["user", "enroll-code", "dana"], "").unwrap().ok().unwrap();
    assert!(told(&mut server).starts_with("A code to enrol by was made for your account."));
    // While nobody serves, an operator does it; it is told of at the next start.
    world.gate.terminate().unwrap();
    world.gate.run(["user", "factor", "rm", "dana", &id(&world, "totp")], "").unwrap().ok().unwrap();
    world.gate.serve().unwrap();
    let removed = "A way to verify yourself was removed from your account.";
    assert!(told(&mut server).starts_with(removed));
    world.gate.run(["user", "factor", "rm", "dana", &id(&world, "email")], "").unwrap().ok().unwrap();
    let last = told(&mut server);
    assert!(last.starts_with(removed) && last.contains("tell whoever runs the gate"), "{last}");
    for secret in ["another password", "dana@corp.example"] {
        assert!(!world.gate.log().contains(secret), "{secret}");
    }
}
