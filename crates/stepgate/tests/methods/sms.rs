//! Codes by SMS: weak, off unless configured, posted to a sender that tells by their signature that they are the gate's.

use stepgate_testkit::{Person, until};

use crate::RESTRICTED;
use crate::receivers::{Python, SECRET};
use crate::running::Running;
use crate::support::{SOON, World, held};

const NUMBER: &str = "+14155550123";

/// A gate whose weak rules take codes by SMS, and the sender of those.
fn texting() -> Option<(World, Python)> {
    let mut world = World::not_serving(|policy| {
        let changed = policy.replacen("    strength: standard ", "    strength: weak ", 1);
        assert_ne!(changed, policy);
        changed
    });
    let secret = world.secret("sms", SECRET);
    let sender = Python::start("sms.py", &[&secret])?;
    let url = format!("http://127.0.0.1:{}/send", sender.port);
    world.configure(&format!("factors:\n  sms: {{webhook: \"{url}\", secret_file: {}}}", secret.display()));
    world.gate.serve().unwrap();
    Some((world, sender))
}

fn code(sender: &mut Python) -> String {
    let line = sender.line();
    let (to, text) = line.split_once(" | ").unwrap();
    assert_eq!(to, NUMBER);
    let code = text.split(' ').next().unwrap().to_owned();
    assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    code
}

fn enrol(world: &World, dana: &mut Person, sender: &mut Python) {
    let mut enrol = Running::start(&world.gate, &["enroll", "sms", NUMBER, "--as", "dana"]);
    enrol.type_in(&dana.code().unwrap());
    let said = enrol.line();
    assert!(said.starts_with("a code was sent to ") && !said.contains(NUMBER), "{said}");
    enrol.type_in(&code(sender));
    assert_eq!(enrol.ended(), 0);
}

#[test]
fn a_code_by_sms_lets_a_weak_rule_through_once() {
    let Some((world, mut sender)) = texting() else { return };
    let mut dana = world.dana();
    enrol(&world, &mut dana, &mut sender);
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let mut verify = Running::start(&world.gate, &["verify", &request, "--method", "sms", "--as", "dana"]);
    assert!(verify.line().starts_with("a code was sent to "));
    let sent = code(&mut sender);
    verify.type_in(&sent);
    assert_eq!(verify.ended(), 0);
    assert!(psql.finish(SOON).unwrap().is_ok());
    // The same code again, for the next statement.
    psql.send("select card_number from payments limit 1;").unwrap();
    let next = held(&mut psql);
    let mut replay = Running::start(&world.gate, &["verify", &next, "--method", "sms", "--as", "dana"]);
    assert!(replay.line().starts_with("a code was sent to "));
    assert_ne!(code(&mut sender), sent);
    replay.type_in(&sent);
    assert_eq!(replay.ended(), 1);
}

#[test]
fn a_number_that_the_sender_refuses_is_not_enrolled_and_takes_sms_from_nobody_else() {
    let Some((world, mut sender)) = texting() else { return };
    let mut dana = world.dana();
    let mut wrong = Running::start(&world.gate, &["enroll", "sms", "+14155550199", "--as", "dana"]);
    wrong.type_in(&dana.code().unwrap());
    assert!(wrong.line().starts_with("a code was sent to "));
    wrong.type_in("00000000");
    assert_eq!(wrong.ended(), 1);
    enrol(&world, &mut dana, &mut sender);
}

#[test]
fn with_the_sender_of_sms_down_the_next_method_is_offered_with_the_reason() {
    let Some((world, mut sender)) = texting() else { return };
    let mut dana = world.dana();
    enrol(&world, &mut dana, &mut sender);
    drop(sender);
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let asked = || world.gate.run(["verify", &request, "--method", "sms", "--as", "dana"], "0\n").unwrap();
    until("the reason", SOON, || asked().text().contains("cannot be reached")).unwrap();
    let told = asked();
    assert!(told.status == 1 && told.text().contains("totp"), "{}", told.text());
    assert!(!world.gate.log().contains(NUMBER));
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}
