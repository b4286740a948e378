//! A SAML identity provider (npm samlp) by way of a broker that speaks OpenID Connect to the gate (SATOSA): what
//! docs/PEOPLE.md says of brokers, done (tests/tools/broker.sh).

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use stepgate_testkit::{Supervised, until, until_some};

use crate::provider::login_by;
use crate::psql::Files;
use crate::support::{SOON, World, repository};

const SECRET: &str = "secret-of-a-throwaway-broker";

/// Both of them; gone when dropped.
struct Brokered {
    _saml: Supervised,
    _broker: Supervised,
    issuer: String,
    ca: PathBuf,
}

/// `None`, said aloud: there are none on this machine.
fn unpacked() -> Option<PathBuf> {
    let at = repository().join(".work/broker");
    if at.join("venv/bin/gunicorn").exists() && at.join("node_modules/samlp").is_dir() {
        return Some(at);
    }
    stepgate_testkit::skip("saml", "tests/tools/broker.sh");
    None
}

fn broker(at: &Path) -> PathBuf {
    at.join("venv/bin/python")
}

impl Brokered {
    fn start(world: &World) -> Option<Self> {
        let at = unpacked()?;
        let dir = world.tree.path().join("broker");
        let script = repository().join("tests/idp/broker.py");
        let made = Command::new(broker(&at)).arg(&script).arg("keys").arg(&dir).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let log = world.tree.path().join("saml.log");
        let saml = Supervised::builder("node", &log)
            .arg(repository().join("tests/idp/saml.mjs"))
            .args([dir.join("key.pem"), dir.join("cert.pem")])
            .env("STEPGATE_BROKER", &at)
            .spawn()
            .unwrap();
        let provider = until_some("a SAML provider", SOON, || {
            let text = std::fs::read_to_string(&log).ok()?;
            text.lines().find(|line| line.starts_with("http://")).map(str::to_owned)
        });
        let mut metadata = ureq::get(format!("{}/metadata", provider.unwrap())).call().unwrap();
        let path = dir.join("provider.xml");
        std::fs::write(&path, metadata.body_mut().read_to_string().unwrap()).unwrap();
        let port = stepgate_testkit::free_port().unwrap();
        let broker = Supervised::builder(broker(&at), &world.tree.path().join("broker.log"))
            .arg(&script)
            .arg("serve")
            .arg(&dir)
            .arg(port.to_string())
            .arg(&path)
            .args([&format!("{}/oidc/callback", world.gate.url()), SECRET])
            .env("STEPGATE_BROKER", &at)
            .spawn()
            .unwrap();
        until("the broker", SOON, || TcpStream::connect(("127.0.0.1", port)).is_ok()).unwrap();
        let issuer = format!("https://127.0.0.1:{port}");
        Some(Self { _saml: saml, _broker: broker, issuer, ca: dir.join("cert.pem") })
    }
}

/// Goes through the pages of broker and provider as a browser would; where it is sent back to.
fn log_in(there: &str, who: &str) -> String {
    let node = Command::new("node")
        .arg(repository().join("tests/idp/forms.mjs"))
        .args([there, who])
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .output()
        .unwrap();
    assert!(node.status.success(), "{}", String::from_utf8_lossy(&node.stderr));
    String::from_utf8(node.stdout).unwrap().trim().to_owned()
}

#[test]
fn somebody_of_a_saml_provider_logs_in_by_way_of_a_broker_with_their_groups() {
    let mut world = World::not_serving(|policy| policy);
    let Some(brokered) = Brokered::start(&world) else { return };
    let secret = world.gate.directory().join("secrets/oidc");
    std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    world.configure(&format!(
        "oidc: {{issuer: \"{}\", ca: {}, client_id: stepgate, client_secret_file: secrets/oidc,\n  \
         acr: {{none-comes: strong}}, label: Corp, groups: groups, groups_allow: [analysts], groups_for: 8h, \
         create: true}}",
        brokered.issuer,
        brokered.ca.display(),
    ));
    world.gate.serve().unwrap();
    let files = Files::new(&world);
    let (ok, text) = login_by(&world, &files, &["sam"], |there| log_in(there, "sam"));
    assert!(ok && text.contains("logged in as sam"), "{text}");
    let people = world.gate.run(["user", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let people: Vec<serde_json::Value> = serde_json::from_str(&people).unwrap();
    let sam = people.iter().find(|it| it["name"] == "sam").unwrap();
    assert_eq!(sam["groups"], serde_json::json!(["analysts"]));
    let account = sam["accounts"][0].as_str().unwrap().to_owned();
    // The broker's own name of them, by which they are known from now on.
    assert!(account.starts_with("oidc:") && account.len() > 20, "{account}");
    let (ok, text) = login_by(&world, &files, &["sam"], |there| log_in(there, "sam"));
    assert!(ok, "{text}");
    assert!(world.recorded("identity.groups", "analysts"));
    // It does not say when somebody logged in: a password for databases takes a code of theirs besides.
    let (ok, text) = login_by(&world, &files, &["sam", "--psql"], |there| log_in(there, "sam"));
    assert!(!ok && !files.pass.exists(), "{text}");
}
