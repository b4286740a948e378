//! Groups of a real directory: Debian's OpenLDAP (tests/tools/ldap.sh).

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use ldap3::{LdapConnAsync, Mod};
use stepgate_testkit::{Supervised, until};

use crate::support::{SOON, World, repository};

const ADMIN: (&str, &str) = ("cn=admin,dc=corp,dc=example", "of a throwaway directory");
const GATE: (&str, &str) = ("cn=gate,dc=corp,dc=example", "of the gate, there");
const OWNERS: &str = "cn=data-owners,ou=groups,dc=corp,dc=example";
const DANA: &str = "uid=dscully,ou=people,dc=corp,dc=example";

const ENTRIES: &str = "\
dn: dc=corp,dc=example
objectClass: dcObject
objectClass: organization
o: Corp

dn: cn=gate,dc=corp,dc=example
objectClass: organizationalRole
objectClass: simpleSecurityObject
userPassword: of the gate, there

dn: ou=people,dc=corp,dc=example
objectClass: organizationalUnit

dn: ou=groups,dc=corp,dc=example
objectClass: organizationalUnit

dn: uid=dscully,ou=people,dc=corp,dc=example
objectClass: inetOrgPerson
cn: Dana Scully
sn: Scully

dn: uid=omar,ou=people,dc=corp,dc=example
objectClass: inetOrgPerson
cn: Omar
sn: Omar

dn: cn=data-owners,ou=groups,dc=corp,dc=example
objectClass: groupOfNames
member: uid=dscully,ou=people,dc=corp,dc=example
member: uid=omar,ou=people,dc=corp,dc=example

dn: cn=admins,ou=groups,dc=corp,dc=example
objectClass: groupOfNames
member: uid=dscully,ou=people,dc=corp,dc=example
";

/// A directory that runs.
struct Slapd {
    process: Option<Supervised>,
    dir: PathBuf,
    ports: [u16; 2],
}

/// `None`, said aloud: there is none on this machine.
fn unpacked() -> Option<PathBuf> {
    let at = repository().join(".work/ldap");
    if at.join("usr/sbin/slapd").exists() {
        return Some(at);
    }
    stepgate_testkit::skip("slapd", "tests/tools/ldap.sh");
    None
}

fn libraries(at: &Path) -> PathBuf {
    let lib = std::fs::read_dir(at.join("usr/lib")).unwrap().map(|entry| entry.unwrap().path());
    lib.into_iter().find(|path| path.to_str().is_some_and(|path| path.ends_with("-linux-gnu"))).unwrap()
}

impl Slapd {
    fn start(world: &World) -> Option<Self> {
        let at = unpacked()?;
        let dir = world.tree.path().join("slapd");
        std::fs::create_dir_all(dir.join("db")).unwrap();
        let key =
            rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned(), "localhost".to_owned()]).unwrap();
        std::fs::write(dir.join("cert.pem"), key.cert.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
        let schema = at.join("etc/ldap/schema");
        let show = |path: &Path| path.display().to_string();
        let include = ["core", "cosine", "inetorgperson"]
            .map(|name| format!("include {}\n", show(&schema.join(format!("{name}.schema")))));
        let conf = format!(
            "{}pidfile {dir}/pid\nargsfile {dir}/args\nmodulepath {}\nmoduleload back_mdb\nmoduleload memberof\n\
             TLSCertificateFile {dir}/cert.pem\nTLSCertificateKeyFile {dir}/key.pem\ndisallow bind_anon\n\
             database mdb\nsuffix \"dc=corp,dc=example\"\nrootdn \"{}\"\nrootpw \"{}\"\ndirectory {dir}/db\n\
             access to attrs=userPassword by anonymous auth by * none\naccess to * by dn.exact=\"{}\" read by * none\n\
             overlay memberof\n",
            include.concat(),
            show(&at.join("usr/lib/ldap")),
            ADMIN.0,
            ADMIN.1,
            GATE.0,
            dir = show(&dir),
        );
        std::fs::write(dir.join("slapd.conf"), conf).unwrap();
        std::fs::write(dir.join("entries.ldif"), ENTRIES).unwrap();
        let added = Command::new(at.join("usr/sbin/slapd"))
            .env("LD_LIBRARY_PATH", libraries(&at))
            .args(["-Ta", "-f"])
            .arg(dir.join("slapd.conf"))
            .arg("-l")
            .arg(dir.join("entries.ldif"))
            .output()
            .unwrap();
        assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
        let ports = [(); 2].map(|()| stepgate_testkit::free_port().unwrap());
        let mut slapd = Self { process: None, dir, ports };
        slapd.serve();
        Some(slapd)
    }

    fn serve(&mut self) {
        let at = unpacked().unwrap();
        let [plain, tls] = self.ports;
        let process = Supervised::builder(at.join("usr/sbin/slapd"), &self.dir.join("log"))
            .env("LD_LIBRARY_PATH", libraries(&at))
            .args(["-d", "0", "-h", &format!("ldap://127.0.0.1:{plain} ldaps://127.0.0.1:{tls}"), "-f"])
            .arg(self.dir.join("slapd.conf"))
            .spawn()
            .unwrap();
        self.process = Some(process);
        let listens = |port: u16| std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
        until("the directory", SOON, || self.ports.into_iter().all(listens)).unwrap();
    }

    /// Takes somebody out of a group, or puts them in.
    fn change(&self, group: &str, member: &str, add: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let url = format!("ldap://127.0.0.1:{}", self.ports[0]);
            let (connection, mut ldap) = LdapConnAsync::new(&url).await.unwrap();
            tokio::spawn(connection.drive());
            ldap.simple_bind(ADMIN.0, ADMIN.1).await.unwrap().success().unwrap();
            let who = HashSet::from([member]);
            let change = if add { Mod::Add("member", who) } else { Mod::Delete("member", who) };
            ldap.modify(group, vec![change]).await.unwrap().success().unwrap();
            ldap.unbind().await.unwrap();
        });
    }
}

/// The gate's section for it.
fn section(slapd: &Slapd, place: &str, more: &str) -> String {
    format!(
        "ldap:\n  {place}\n  ca: {}\n  bind_dn: {}\n  password_file: secrets/ldap\n  refresh: 1s\n  groups_for: 8s\n  \
         people: {{base: \"ou=people,dc=corp,dc=example\", filter: \"(&(objectClass=inetOrgPerson)(uid={{name}}))\"}}\n{more}",
        slapd.dir.join("cert.pem").display(),
        GATE.0,
    )
}

const BY_SEARCH: &str = "  groups: {base: \"ou=groups,dc=corp,dc=example\", \
                         filter: \"(&(objectClass=groupOfNames)(member={dn}))\", name: cn}\n  \
                         groups_allow: [data-owners]\n";

fn gate(section: impl FnOnce(&Slapd) -> String) -> Option<(World, Slapd)> {
    let mut world = World::not_serving(|policy| policy);
    let slapd = Slapd::start(&world)?;
    let secret = world.gate.directory().join("secrets/ldap");
    std::fs::write(&secret, format!("{}\n", GATE.1)).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    world.configure(&section(&slapd));
    world.gate.serve().unwrap();
    Some((world, slapd))
}

fn run(world: &World, arguments: &[&str]) {
    world.gate.run(arguments, "").unwrap().ok().unwrap();
}

/// The groups that somebody is in now.
fn groups(world: &World, person: &str) -> Vec<String> {
    let text = world.gate.run(["user", "ls", "-o", "json"], "").unwrap().ok().unwrap();
    let people: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    let person = people.into_iter().find(|it| it["name"] == person).unwrap();
    person["groups"].as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
}

fn becomes(world: &World, person: &str, expected: &[&str]) {
    until(&format!("{person} in {expected:?}"), SOON, || groups(world, person) == expected).unwrap();
}

#[test]
fn groups_of_the_directory_count_while_it_says_so_and_for_a_while_when_it_is_down() {
    let by_tls =
        |slapd: &Slapd| section(slapd, &format!("url: ldaps://127.0.0.1:{}", slapd.ports[1]), BY_SEARCH);
    let Some((world, mut slapd)) = gate(by_tls) else { return };
    run(&world, &["user", "add", "dana", "--groups", "analysts", "--ldap", "dscully"]);
    // Of the same name as somebody there, and not linked: nobody there.
    world.gate.run(["user", "add", "omar"], "correct horse\n").unwrap().ok().unwrap();
    // What is not allow-listed (admins) is nothing here.
    becomes(&world, "dana", &["analysts", "data-owners"]);
    slapd.change(OWNERS, DANA, false);
    becomes(&world, "dana", &["analysts"]);
    slapd.change(OWNERS, DANA, true);
    becomes(&world, "dana", &["analysts", "data-owners"]);
    assert_eq!(groups(&world, "omar"), Vec::<String>::new());

    // Down: what it has said holds, until its time is over; then nothing.
    slapd.process = None;
    until("the gate notices", SOON, || world.gate.log().contains("the directory does not answer")).unwrap();
    assert_eq!(groups(&world, "dana"), ["analysts", "data-owners"]);
    becomes(&world, "dana", &["analysts"]);
    slapd.serve();
    becomes(&world, "dana", &["analysts", "data-owners"]);
    assert!(world.recorded("identity.groups", "\"source\":\"ldap\""));
    assert!(!world.gate.log().contains(GATE.1));
    run(&world, &["user", "unlink", "dana", "ldap"]);
    assert_eq!(groups(&world, "dana"), ["analysts"]);
}

#[test]
fn a_name_cannot_be_made_to_find_somebody_else() {
    let by_tls =
        |slapd: &Slapd| section(slapd, &format!("url: ldaps://127.0.0.1:{}", slapd.ports[1]), BY_SEARCH);
    let Some((world, _slapd)) = gate(by_tls) else { return };
    let names = ["*", "dscully)(uid=*", "nobody)(|(uid=dscully)", "dscu*", "dscully\\2a", "{dn}"];
    for (number, there) in names.into_iter().enumerate() {
        run(&world, &["user", "add", &format!("eve{number}"), "--ldap", there]);
    }
    run(&world, &["user", "add", "dana", "--ldap", "dscully"]);
    becomes(&world, "dana", &["data-owners"]);
    for (number, there) in names.into_iter().enumerate() {
        assert_eq!(groups(&world, &format!("eve{number}")), Vec::<String>::new(), "{there}");
    }
}

#[test]
fn start_tls_and_the_attribute_of_a_person_do_as_well() {
    let start_tls = |slapd: &Slapd| {
        let place = format!("url: ldap://localhost:{}\n  start_tls: true", slapd.ports[0]);
        let text = section(slapd, &place, &format!("  groups_map: {{\"{OWNERS}\": data-owners}}\n"));
        text.replace("(uid={name}))\"}", "(uid={name}))\", member_of: memberOf}")
    };
    let Some((world, slapd)) = gate(start_tls) else { return };
    // The overlay keeps the attribute from when it sees a change on.
    slapd.change(OWNERS, DANA, false);
    slapd.change(OWNERS, DANA, true);
    run(&world, &["user", "add", "dana", "--ldap", "dscully"]);
    becomes(&world, "dana", &["data-owners"]);
}

#[test]
fn a_directory_with_another_certificate_or_that_refuses_the_gate_says_nothing() {
    for wrong in ["ca", "password"] {
        let changed = |slapd: &Slapd| {
            let text = section(slapd, &format!("url: ldaps://127.0.0.1:{}", slapd.ports[1]), BY_SEARCH);
            match wrong {
                "ca" => text.replace(&slapd.dir.join("cert.pem").display().to_string(), "ca.pem"),
                _ => text.replace(GATE.0, "cn=nobody,dc=corp,dc=example"),
            }
        };
        let Some((world, _slapd)) = gate(changed) else { return };
        run(&world, &["user", "add", "dana", "--ldap", "dscully"]);
        until("the gate says so", SOON, || world.gate.log().contains("the directory does not answer"))
            .unwrap();
        assert_eq!(groups(&world, "dana"), Vec::<String>::new(), "{wrong}");
    }
}
