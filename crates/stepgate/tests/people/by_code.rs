//! `stepgate login --device` at a real OpenID provider (npm oidc-provider with its device flow), by the steps of a browser
//! on another machine.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use stepgate_testkit::Person;

use crate::provider::{world, world_with};
use crate::psql::Files;
use crate::support::{World, repository};

/// What came of a login.
pub(crate) struct Came {
    pub(crate) ok: bool,
    /// What the program said in the end.
    pub(crate) text: String,
    /// What the provider's page said.
    pub(crate) page: String,
}

/// `stepgate login --device …`, with somebody who logs in there as `who`; `more` is what they do there besides.
pub(crate) fn login(
    world: &World,
    files: &Files,
    arguments: &[&str],
    (who, more): (&str, &[&str]),
    input: &str,
) -> Came {
    let given = world.tree.path().join("stdin");
    std::fs::write(&given, input).unwrap();
    let mut command = world.gate.command();
    command.args(["login", "--device"]).args(arguments).stdin(std::fs::File::open(given).unwrap());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = files.tell(&mut command).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut page = String::new();
    if let Some(address) = lines.by_ref().find(|line| line.trim().starts_with("http://")) {
        let code = lines.next().unwrap().rsplit_once(' ').unwrap().1.to_owned();
        let node = Command::new("node")
            .arg(repository().join("tests/idp/device.mjs"))
            .args([address.trim(), &code, who])
            .args(more)
            .output()
            .unwrap();
        page = String::from_utf8_lossy(&node.stdout).into_owned();
        assert!(page.contains(&code), "{page} {}", String::from_utf8_lossy(&node.stderr));
    }
    let rest: Vec<_> = lines.collect();
    let output = child.wait_with_output().unwrap();
    let text = format!("{}\n{}", rest.join("\n"), String::from_utf8_lossy(&output.stderr));
    Came { ok: output.status.success(), text, page }
}

#[test]
fn somebody_logs_in_by_a_code_that_they_type_on_another_machine_and_psql_takes_a_code_of_theirs_besides() {
    let Some((world, _provider)) = world_with(|policy| policy, "create: true, device: true") else { return };
    let files = Files::new(&world);
    let mut dana = Person::add(&world.gate, "dana", "analysts").unwrap();
    world.gate.run(["user", "link", "dana", "--oidc", "dana"], "").unwrap().ok().unwrap();
    // Whoever typed it there is nobody's guess.
    let nameless = world.gate.run(["login", "--device"], "").unwrap();
    assert_eq!(nameless.status, 2, "{}", nameless.stderr);
    let came = login(&world, &files, &["dana"], ("dana", &[]), "");
    assert!(came.ok && came.text.contains("logged in as dana"), "{}", came.text);
    // The provider's page says where it was asked, and what came of it.
    assert!(came.page.contains("Asked by stepgate (for a program at 127.0.0.1)"), "{}", came.page);
    assert!(came.page.contains("Signed in"), "{}", came.page);
    let list = world.gate.run(["request", "ls", "--as", "dana", "-o", "json"], "").unwrap();
    assert_eq!(list.ok().unwrap().trim(), "[]");
    assert!(world.recorded("identity.login", "127.0.0.1"));

    // Whoever was led to type it has not thereby given away a password for databases.
    let came = login(&world, &files, &["dana", "--psql"], ("dana", &[]), "000000\n");
    assert!(!came.ok && !files.pass.exists(), "{}", came.text);
    let code = dana.code().unwrap();
    let came = login(&world, &files, &["dana", "--psql"], ("dana", &[]), &format!("{code}\n"));
    assert!(came.ok && came.text.contains("psql service=stepgate-shop"), "{}", came.text);
    assert_eq!(files.psql("select current_setting('stepgate.person')"), (true, "dana\n".to_owned()));

    // Somebody else logs in in their place, or says no.
    let came = login(&world, &files, &["dana"], ("sam", &[]), "");
    assert!(!came.ok && came.text.contains("says that you are sam"), "{}", came.text);
    let came = login(&world, &files, &["dana"], ("dana", &["abort"]), "");
    assert!(!came.ok && came.text.contains("the identity provider refused the login"), "{}", came.text);
}

#[test]
fn logins_by_a_code_are_off_unless_the_operator_has_switched_them_on() {
    let Some((world, _provider)) = world() else { return };
    let came = login(&world, &Files::new(&world), &["dana"], ("dana", &[]), "");
    assert!(!came.ok && came.text.contains("not switched on"), "{}", came.text);
}
