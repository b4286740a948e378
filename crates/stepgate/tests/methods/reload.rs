//! `factors.email` and `factors.sms`, switched on, changed and switched off while the gate runs.

use stepgate_testkit::Person;

use crate::RESTRICTED;
use crate::receivers::{Python, SECRET};
use crate::running::Running;
use crate::support::{SOON, World, held};

/// A gate whose weak rules take weak methods, of which there are none yet.
fn weak() -> World {
    World::with_policy(|policy| {
        let changed = policy.replacen("    strength: standard ", "    strength: weak ", 1);
        assert_ne!(changed, policy);
        changed
    })
}

/// The line that sends codes by way of that server.
fn email(server: &Python) -> String {
    format!("  email: {{from: gate@gate.example, smtp: \"127.0.0.1:{}\", tls: none}}\n", server.port)
}

/// The code in the next message.
fn code(server: &mut Python) -> String {
    let line = server.line();
    let text = line.rsplit_once(" | ").unwrap().1.to_owned();
    let code = text.split(' ').next().unwrap().to_owned();
    assert!(code.len() == 8 && code.bytes().all(|byte| byte.is_ascii_digit()), "{text}");
    code
}

/// `verify` by that method, once its code is on its way.
fn begun(world: &World, request: &str, method: &str) -> Running {
    let mut verify = Running::start(&world.gate, &["verify", request, "--method", method, "--as", "dana"]);
    assert!(verify.line().starts_with("a code was sent to "));
    verify
}

fn is_refused(world: &World, arguments: &[&str], dana: &mut Person) -> bool {
    let said = world.gate.run(arguments, &format!("{}\n", dana.code().unwrap())).unwrap();
    assert!(!said.text().contains("was sent to"), "{}", said.text());
    said.status == 1 && said.text().contains("not set up at this gate")
}

#[test]
fn codes_by_mail_are_switched_on_changed_and_off_without_a_restart_and_none_that_is_out_counts_then() {
    let (Some(mut old), Some(mut new)) = (Python::start("codes.py", &[]), Python::start("codes.py", &[]))
    else {
        return;
    };
    let mut world = weak();
    let mut dana = world.dana();
    let enrolling = ["enroll", "email", "dana@corp.example", "--as", "dana"];
    assert!(is_refused(&world, &enrolling, &mut dana), "off unless configured");
    world.configure(&format!("factors:\n{}", email(&old)));
    world.reload();
    let mut enrol = Running::start(&world.gate, &enrolling);
    enrol.type_in(&dana.code().unwrap());
    assert!(enrol.line().starts_with("a code was sent to da"));
    enrol.type_in(&code(&mut old));
    assert_eq!(enrol.ended(), 0);
    let (mut one, mut two) = (world.psql(&dana), world.psql(&dana));
    one.send(RESTRICTED).unwrap();
    let first = held(&mut one);
    two.send("select card_number from payments limit 1;").unwrap();
    let second = held(&mut two);
    // One is on its way by the old server when there is another: it counts, and the next goes by that.
    let mut of_first = begun(&world, &first, "email");
    let by_old = code(&mut old);
    world.edit(&email(&old), &email(&new));
    world.reload();
    let mut of_second = begun(&world, &second, "email");
    let by_new = code(&mut new);
    of_first.type_in(&by_old);
    assert_eq!(of_first.ended(), 0);
    assert!(one.finish(SOON).unwrap().is_ok());
    // Off: the one that is out answers nothing, and no other is sent.
    world.edit(&format!("factors:\n{}", email(&new)), "");
    world.reload();
    of_second.type_in(&by_new);
    assert_eq!(of_second.ended(), 1);
    assert!(is_refused(&world, &["verify", &second, "--method", "email", "--as", "dana"], &mut dana));
    dana.verify(&world.gate, &second).unwrap().ok().unwrap();
    assert!(two.finish(SOON).unwrap().is_ok());
}

#[test]
fn codes_by_sms_are_switched_on_and_off_without_a_restart_and_none_that_is_out_counts_then() {
    let mut world = weak();
    let secret = world.secret("sms", SECRET);
    let Some(mut sender) = Python::start("sms.py", &[&secret]) else { return };
    let mut dana = world.dana();
    let enrolling = ["enroll", "sms", "+14155550123", "--as", "dana"];
    assert!(is_refused(&world, &enrolling, &mut dana), "off unless configured");
    let url = format!("http://127.0.0.1:{}/send", sender.port);
    let lines = format!("factors:\n  sms: {{webhook: \"{url}\", secret_file: {}}}", secret.display());
    world.configure(&lines);
    world.reload();
    let mut enrol = Running::start(&world.gate, &enrolling);
    enrol.type_in(&dana.code().unwrap());
    assert!(enrol.line().starts_with("a code was sent to "));
    enrol.type_in(&code(&mut sender));
    assert_eq!(enrol.ended(), 0);
    let mut psql = world.psql(&dana);
    psql.send(RESTRICTED).unwrap();
    let request = held(&mut psql);
    let mut verify = begun(&world, &request, "sms");
    let sent = code(&mut sender);
    world.edit(&lines, "");
    world.reload();
    verify.type_in(&sent);
    assert_eq!(verify.ended(), 1);
    assert!(is_refused(&world, &["verify", &request, "--method", "sms", "--as", "dana"], &mut dana));
    dana.verify(&world.gate, &request).unwrap().ok().unwrap();
    assert!(psql.finish(SOON).unwrap().is_ok());
}
