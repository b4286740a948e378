//! Codes by e-mail: weak, off unless configured, bound to one request, and no dead end when the mail server is down.

use stepgate_testkit::{Person, until};

use crate::RESTRICTED;
use crate::receivers::Python;
use crate::running::Running;
use crate::support::{SOON, World, held};

fn weak(policy: String) -> String {
    let changed = policy.replacen("    strength: standard ", "    strength: weak ", 1);
    assert_ne!(changed, policy);
    changed
}

pub(crate) fn mailing(change: impl FnOnce(String) -> String, port: u16) -> World {
    let mut world = World::not_serving(change);
    let email = format!("{{from: gate@gate.example, smtp: \"127.0.0.1:{port}\", tls: none}}");
    world.configure(&format!("factors:\n  email: {email}"));
    world.gate.serve().unwrap();
    world
}

/// The code in the next message, which is for dana and names no code in its subject.
fn code(server: &mut Python) -> String {
    let line = server.line();
    let [to, subject, text] = line.split(" | ").collect::<Vec<_>>().try_into().unwrap();
    assert_eq!(to, "dana@corp.example");
    let code = text.split(' ').next().unwrap().to_owned();
    assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    assert!(!subject.contains(&code), "{subject}");
    code
}

pub(crate) fn enrol(world: &World, dana: &mut Person, server: &mut Python) {
    let mut enrol = Running::start(&world.gate, &["enroll", "email", "dana@corp.example", "--as", "dana"]);
    enrol.type_in(&dana.code().unwrap());
    assert!(enrol.line().starts_with("a code was sent to da"));
    enrol.type_in(&code(server));
    assert_eq!(enrol.ended(), 0);
}

#[test]
fn a_code_by_mail_lets_a_weak_rule_through_for_its_own_request_alone() {
    let Some(mut server) = Python::start("codes.py", &[]) else { return };
    let world = mailing(weak, server.port);
    let mut dana = world.dana();
    enrol(&world, &mut dana, &mut server);
    let (mut one, mut other) = (world.psql(&dana), world.psql(&dana));
    one.send(RESTRICTED).unwrap();
    let first = held(&mut one);
    other.send("select card_number from payments limit 1;").unwrap();
    let second = held(&mut other);
    assert_ne!(first, second);
    let verify = |request: &str| {
        let mut verify =
            Running::start(&world.gate, &["verify", request, "--method", "email", "--as", "dana"]);
        assert!(verify.line().starts_with("a code was sent to da"));
        verify
    };
    let mut wrong = verify(&first);
    code(&mut server);
    wrong.type_in("00000000");
    assert_eq!(wrong.ended(), 1);
    let (mut of_first, mut of_second) = (verify(&first), verify(&second));
    let codes = [code(&mut server), code(&mut server)];
    of_second.type_in(&codes[0]);
    assert_eq!(of_second.ended(), 1, "the code of another request");
    of_first.type_in(&codes[0]);
    assert_eq!(of_first.ended(), 0);
    assert!(one.finish(SOON).unwrap().is_ok());
}

#[test]
fn with_the_mail_server_down_the_next_method_is_offered_with_the_reason() {
    let Some(mut server) = Python::start("codes.py", &[]) else { return };
    let world = mailing(weak, server.port);
    let mut dana = world.dana();
    enrol(&world, &mut dana, &mut server);
    drop(server);
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let asked = || world.gate.run(["verify", &request, "--method", "email", "--as", "dana"], "0\n").unwrap();
    // The first may still be taken into the queue: nobody can know yet.
    until("the reason", SOON, || asked().text().contains("cannot be reached")).unwrap();
    let told = asked();
    assert!(told.status == 1 && told.text().contains("totp"), "{}", told.text());
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}

#[test]
fn a_rule_that_asks_for_more_never_offers_a_code_by_mail() {
    let Some(mut server) = Python::start("codes.py", &[]) else { return };
    let world = mailing(|policy| policy, server.port);
    let mut dana = world.dana();
    enrol(&world, &mut dana, &mut server);
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let refused = world.gate.run(["verify", &request, "--method", "email", "--as", "dana"], "0\n").unwrap();
    assert_eq!(refused.status, 1, "{}", refused.text());
    assert!(!refused.text().contains("was sent"), "{}", refused.text());
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}
