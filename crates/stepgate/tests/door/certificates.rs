//! Client certificates as a second proof.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use stepgate_testkit::Person;

use crate::support::{World, repository, said};

/// A CA for clients, and certificates of it, as files.
struct Clients {
    directory: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Clients {
    fn new(directory: &Path) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "clients");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        std::fs::create_dir_all(directory).unwrap();
        std::fs::write(directory.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { directory: directory.to_owned(), issuer: Issuer::new(params, key) }
    }

    fn ca(&self) -> String {
        self.directory.join("ca.pem").display().to_string()
    }

    /// Certificate and key for a common name; `ends`: in which year it ends.
    fn issue(&self, name: &str, ends: i32) -> [PathBuf; 2] {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(ends, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let [cert, key_file] = ["pem", "key"]
            .map(|kind| self.directory.join(format!("{}-{ends}.{kind}", name.replace(' ', "-"))));
        std::fs::write(&cert, certificate.pem()).unwrap();
        std::fs::write(&key_file, key.serialize_pem()).unwrap();
        std::fs::set_permissions(&key_file, std::fs::Permissions::from_mode(0o600)).unwrap();
        [cert, key_file]
    }
}

/// psql as that person with that certificate.
fn with(world: &World, person: &Person, [cert, key]: &[PathBuf; 2]) -> Command {
    let mut command = world.gate.psql_command(person);
    command.env("PGSSLCERT", cert).env("PGSSLKEY", key).args(["-X", "-At", "-c", "select 'in'"]);
    command
}

#[test]
fn a_certificate_is_wanted_besides_the_password_and_must_be_the_persons() {
    let mut world = World::not_serving(|text| text);
    let clients = Clients::new(&world.tree.path().join("clients"));
    world.edit("key: key.pem}", &format!("key: key.pem, client_ca: {}}}", clients.ca()));
    world.gate.serve().unwrap();
    let (dana, olga) = (world.dana(), world.olga());
    let own = clients.issue("dana", 2090);
    let (is_in, text) = said(&mut with(&world, &dana, &own));
    assert!(is_in && text == "in\n", "{text}");
    let opened: Vec<_> = world.records().into_iter().filter(|it| it["type"] == "session.opened").collect();
    let certificate = opened[0]["certificate_sha256"].as_str().unwrap();
    assert!(certificate.len() == 64 && opened[0]["method"] == "scram-sha-256-plus", "{:?}", opened[0]);

    let nowhere = [PathBuf::from("/nowhere"), PathBuf::from("/nowhere")];
    let others = clients.issue("olga", 2090);
    let ended = clients.issue("dana", 2021);
    let stranger = Clients::new(&world.tree.path().join("stranger")).issue("dana", 2090);
    for (shown, expected) in [
        (&nowhere, "FATAL:  connection requires a valid client certificate"),
        (&others, "FATAL:  certificate authentication failed for user \"dana\""),
        (&ended, "SSL error: sslv3 alert certificate expired"),
        (&stranger, "SSL error: "),
    ] {
        let (is_in, text) = said(&mut with(&world, &dana, shown));
        assert!(!is_in && text.contains(expected), "{shown:?}: {text}");
    }
    // Nor without TLS, on the gate's own machine.
    let plain = world.gate.conninfo("dana", "shop").replace("verify-full", "disable");
    let (is_in, text) = said(with(&world, &dana, &own).args(["-d", &plain]));
    assert!(!is_in && text.contains("connection requires a valid client certificate"), "{text}");
    let (is_in, text) = said(with(&world, &dana, &own).env("PGPASSWORD", "not it"));
    assert!(!is_in && text.contains("password authentication failed for user \"dana\""), "{text}");
    let failed = world.records().into_iter().filter(|it| it["type"] == "session.auth_failed");
    let reasons: Vec<_> = failed.map(|it| it["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["no-certificate", "certificate-of-another", "no-certificate", "password"]);

    // Names in certificates that are not names at the gate.
    let married = clients.issue("Olga Owner", 2090);
    assert!(!said(&mut with(&world, &olga, &married)).0);
    let told = world.gate.run(["user", "cert", "olga", "Olga Owner", "olga@shop.example"], "").unwrap();
    assert!(told.ok().unwrap().contains("Olga Owner, olga@shop.example"));
    assert!(said(&mut with(&world, &olga, &married)).0);
    assert!(!said(&mut with(&world, &olga, &others)).0);
    assert!(world.recorded("user.certificates_set", "olga"));
    world.gate.run(["user", "cert", "olga"], "").unwrap().ok().unwrap();
    assert!(said(&mut with(&world, &olga, &others)).0);
    let unfit = world.gate.run(["user", "cert", "olga", ""], "").unwrap();
    assert_eq!(unfit.status, 1, "{}", unfit.text());

    psycopg(&world, &dana, &own);
}

/// libpq 18 of psycopg, if it is here: also protocol 3.2 and its long cancel keys.
fn psycopg(world: &World, dana: &Person, [cert, key]: &[PathBuf; 2]) {
    let library = repository().join(".work/psycopg");
    if !library.exists() {
        return stepgate_testkit::skip("psycopg", "tests/tools/clients.sh");
    }
    let script = "import psycopg, sys
conn = psycopg.connect(sys.argv[1] + ' max_protocol_version=latest')
print(conn.execute('select 1').fetchone()[0], conn.pgconn.full_protocol_version)";
    let conninfo = world.gate.conninfo("dana", "shop");
    let conninfo = format!("{conninfo} sslcert={} sslkey={}", cert.display(), key.display());
    let mut command = Command::new("python3");
    command.env("PYTHONPATH", library).env("PGPASSWORD", dana.password()).args(["-c", script, &conninfo]);
    let (is_in, text) = said(&mut command);
    assert!(is_in && text == "1 30002\n", "{text}");
}

#[test]
fn an_optional_certificate_may_be_left_out_and_a_ca_is_taken_up_while_the_gate_runs() {
    let mut world = World::new();
    let clients = Clients::new(&world.tree.path().join("clients"));
    let dana = world.dana();
    let (own, others) = (clients.issue("dana", 2090), clients.issue("olga", 2090));
    let nowhere = [PathBuf::from("/nowhere"), PathBuf::from("/nowhere")];
    let mut before = world.psql(&dana);
    assert!(before.run("select 1;").unwrap().is_ok());
    let gets_in = |world: &World, shown| said(&mut with(world, &dana, shown)).0;
    assert!(gets_in(&world, &own) && gets_in(&world, &nowhere) && gets_in(&world, &others));
    let ca = clients.ca();
    world.edit("key: key.pem}", &format!("key: key.pem, client_ca: {ca}, client_auth: optional}}"));
    world.reload();
    assert!(gets_in(&world, &own) && gets_in(&world, &nowhere) && !gets_in(&world, &others));
    world.edit("client_auth: optional", "client_auth: require");
    world.reload();
    assert!(gets_in(&world, &own) && !gets_in(&world, &nowhere) && !gets_in(&world, &others));
    assert!(before.run("select 1;").unwrap().is_ok());
    std::fs::write(&ca, "no certificate").unwrap();
    let checked = world.gate.run(["check"], "").unwrap();
    assert!(checked.status == 1 && checked.text().contains("client CA"), "{}", checked.text());
    world.reload();
    assert!(gets_in(&world, &own) && !gets_in(&world, &nowhere));
}
