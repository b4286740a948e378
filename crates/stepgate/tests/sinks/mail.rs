//! Checkpoints by e-mail, over TLS, to a real mail server (aiosmtpd; `tests/tools/receivers.sh` fetches it).

use stepgate_testkit::until;

use crate::receivers::Python;
use crate::support::{SOON, World};

fn ways(world: &World, port: u16, tls: &str, ca: &str, password: &str) -> String {
    let password = world.secret("mail-password", password);
    format!(
        "  checkpoints:
    - every: 1s
      email: {{to: auditor@elsewhere.example, from: gate@gate.example, smtp: \"localhost:{port}\", tls: {tls}, ca: {ca},
              user: gate, password_file: {}}}",
        password.display()
    )
}

#[test]
fn whoever_gets_a_checkpoint_by_mail_can_verify_the_log_by_what_is_attached() {
    for tls in ["implicit", "starttls"] {
        let mut world = World::not_serving(|text| text);
        let [cert, key, _] = world.certificate();
        let letters = world.tree.path().join("letters");
        std::fs::create_dir(&letters).unwrap();
        let arguments = [tls.as_ref(), &*cert, &key, "geheim".as_ref(), &letters];
        let Some(mut server) = Python::start("mail.py", &arguments) else { return };
        world.audit(&ways(&world, server.port, tls, "ca.pem", "geheim"));
        world.gate.serve().unwrap();
        let said = server.line();
        let words: Vec<_> = said.split(' ').collect();
        assert_eq!(words[..2], ["gate@gate.example", "auditor@elsewhere.example"], "{said}");
        assert!(words[2].starts_with("<stepgate.") && words[2].ends_with("@gate.example>"), "{said}");
        let letter = letters.join(words[3]);
        let dana = world.dana();
        assert!(world.psql(&dana).run("select 1;").unwrap().is_ok());
        let verify = ["audit", "verify", "--checkpoint", letter.to_str().unwrap()];
        let verified = world.gate.run(verify, "").unwrap().ok().unwrap();
        assert!(verified.lines().last().unwrap().starts_with("ok:"), "{verified}");
        // The signed note itself, byte by byte.
        let text = std::fs::read_to_string(&letter).unwrap();
        let kept = world.gate.data().join("checkpoints").join(words[3]);
        assert_eq!(text, std::fs::read_to_string(kept).unwrap());
    }
}

#[test]
fn no_mail_and_no_password_goes_to_who_is_not_the_mail_server() {
    let mut world = World::not_serving(|text| text);
    let [cert, key, _] = world.certificate();
    let letters = world.tree.path().join("letters");
    std::fs::create_dir(&letters).unwrap();
    let arguments = ["starttls".as_ref(), &*cert, &key, "geheim".as_ref(), &letters];
    let Some(server) = Python::start("mail.py", &arguments) else { return };
    // The system knows no CA that has signed this certificate; then a password that is wrong; then TLS from the first
    // byte, to a server that has STARTTLS only.
    for (change, says) in [("ca: ca.pem, ", "certificate"), ("geheim", "535"), ("starttls", "")] {
        let world_ways = ways(&world, server.port, "starttls", "ca.pem", "geheim");
        match change {
            "geheim" => drop(world.secret("mail-password", "not that")),
            _ => drop(world.secret("mail-password", "geheim")),
        }
        let changed = match change {
            "starttls" => world_ways.replace("tls: starttls", "tls: implicit"),
            "geheim" => world_ways.clone(),
            _ => world_ways.replace(", ca: ca.pem", ""),
        };
        if change == "geheim" {
            world.secret("mail-password", "not that");
        }
        let original = std::fs::read_to_string(world.gate.config()).unwrap();
        world.audit(&changed);
        world.gate.serve().unwrap();
        let failing = || {
            let row = world.sink("email");
            row["state"] == "failing" && row["error"].as_str().unwrap().contains(says)
        };
        until("the failure", SOON, failing)
            .unwrap_or_else(|error| panic!("{error}: {}", world.sink("email")));
        assert_eq!(world.gate.terminate().unwrap(), 0);
        std::fs::write(world.gate.config(), original).unwrap();
        assert_eq!(std::fs::read_dir(&letters).unwrap().count(), 0);
        assert!(!world.gate.log().contains("geheim"));
    }
}
