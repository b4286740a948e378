//! How a configuration file is read, and what is refused.

use super::*;
use crate::config::SslMode;

const GOOD: &str = "version: 1
listen: 127.0.0.1:6432
console: {listen: 127.0.0.1:6480, url: \"https://gate.example/\"}
data: ./data
keys: {master_file: secrets/master.key}
tls: {cert: cert.pem, key: key.pem}
databases:
  shop: {host: 127.0.0.1, port: 5433, dbname: shop, sslmode: verify-full, user: stepgate_analyst, password_file: secrets/shop,
         catalog_user: stepgate_catalog, catalog_password_file: secrets/shop-catalog}
policies: {map: policies/pii-map.yaml, rules: policies/policy.yaml}
audit: {ordinary: buffered}
";

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(Path::new("/etc/gate/stepgate.yaml"), text).map_err(|failure| failure.to_string())
}

#[test]
fn proxies_are_named_by_network_and_never_all_the_world() {
    let with = |more: &str| parse(&GOOD.replace("console: {", &format!("console: {{{more}, ")));
    let config = with("trusted_proxies: [10.0.7.0/28, \"2001:db8::7\"], proxy_header: forwarded").unwrap();
    assert!(!config.console.proxies.is_empty());
    assert!(parse(GOOD).unwrap().console.proxies.is_empty());
    for (wrong, why) in [
        ("trusted_proxies: [0.0.0.0/0]", "is everybody"),
        ("trusted_proxies: [proxy.example]", "is no network"),
        ("trusted_proxies: [7]", "is no network"),
        ("trusted_proxies: 10.0.7.1", "must be a list"),
        ("trusted_proxies: [10.0.7.1], proxy_header: x-real-ip", "must be x-forwarded-for or forwarded"),
        ("proxy_header: forwarded", "without console.trusted_proxies"),
    ] {
        let said = with(wrong).unwrap_err();
        assert!(said.contains(why), "{wrong}: {said}");
    }
}

#[test]
fn the_documented_file_is_read_and_paths_are_relative_to_it() {
    let config = parse(GOOD).unwrap();
    assert_eq!(config.data, Path::new("/etc/gate/./data"));
    assert_eq!(config.console.url, "https://gate.example");
    let shop = &config.databases["shop"];
    assert_eq!((shop.port, shop.sslmode), (5433, SslMode::VerifyFull));
    assert_eq!(shop.catalog.user, "stepgate_catalog");
    assert!(shop.ask_planner);
    assert!(!config.audit.ordinary_durable);
    assert_eq!(config.limits, stepgate_proxy::Limits::default());
}

#[test]
fn limits_are_read_and_none_can_be_switched_off_or_set_beyond_reason() {
    let limits = |text: &str| parse(&format!("{GOOD}limits: {text}\n"));
    let read =
        limits("{sessions: 300, per_person: 7, login: 20s, slow_client: 2m, drain: 1h}").unwrap().limits;
    assert_eq!((read.sessions, read.per_person, read.login.as_secs()), (300, 7, 20));
    assert_eq!((read.slow_client.as_secs(), read.drain.as_secs()), (120, 3600));
    let read = limits("{message: 1GiB, message_memory: 2GiB}").unwrap().limits;
    assert_eq!((read.message, read.message_memory), (stepgate_proxy::MAX_MESSAGE, 2 << 30));
    for (wrong, says) in [
        ("{sessions: 0}", "limits.sessions must be 1 to 20000"),
        ("{per_person: 20001}", "limits.per_person must be 1 to 20000"),
        ("{login: 30}", "limits.login must be a duration such as 30s or 5m, from 1s to 10m"),
        ("{slow_client: 1s}", "limits.slow_client must be"),
        ("{drain: 2d}", "limits.drain must be"),
        ("{message: 64}", "limits.message must be a size such as 64MiB, from 1MiB to 1GiB"),
        ("{message: 3GiB}", "limits.message must be"),
        ("{message_memory: 1kB}", "limits.message_memory must be a size such as 64MiB, from 1MiB to 1TiB"),
        ("{message: 512MiB}", "limits.message_memory must be at least limits.message"),
        ("{message_memory: 32MiB}", "limits.message_memory must be at least limits.message"),
        ("{people: 3}", "unknown key limits.people"),
    ] {
        let text = limits(wrong).unwrap_err();
        assert!(text.contains(says), "{wrong}: {text}");
    }
}

#[test]
fn all_errors_are_told_at_once_each_with_its_place_and_line() {
    let broken = GOOD
        .replace("data: ./data", "dat: ./data")
        .replace("sslmode: verify-full", "sslmode: prefer, planner: sometimes")
        .replace("ordinary: buffered", "ordinary: often")
        .replace("key: key.pem", "key: key.pem, client_auth: sometimes");
    let text = parse(&broken).unwrap_err();
    for expected in [
        "data is missing",
        "unknown key dat",
        "databases.shop.sslmode must be",
        "databases.shop.planner must be ask or never",
        "audit.ordinary must be durable or buffered",
        "tls.client_auth without tls.client_ca",
        "tls.client_auth must be require or optional",
        "/etc/gate/stepgate.yaml:4:1: ",
        "audit: {ordinary: often}",
    ] {
        assert!(text.contains(expected), "{expected} is not in:\n{text}");
    }
}

#[test]
fn a_ca_for_clients_requires_certificates_unless_said_otherwise() {
    let with = |more: &str| parse(&GOOD.replace("key: key.pem", &format!("key: key.pem{more}")));
    assert!(with("").unwrap().tls.unwrap().clients.is_none());
    for (more, expected) in [
        (", client_ca: ca.pem", ClientAuth::Require),
        (", client_ca: ca.pem, client_auth: require", ClientAuth::Require),
        (", client_ca: ca.pem, client_auth: optional", ClientAuth::Optional),
    ] {
        let (ca, auth) = with(more).unwrap().tls.unwrap().clients.unwrap();
        assert_eq!((ca.as_path(), auth), (Path::new("/etc/gate/ca.pem"), expected), "{more}");
    }
}

#[test]
fn wildcards_and_roles_of_groups_are_read_in_their_order() {
    let with = |more: &str| parse(&GOOD.replace("policies: {map", &format!("{more}policies: {{map")));
    let config = with(
        "  \"*\": {host: db, user: everybody, pass_person: application_name}
  app_*:
    host: db
    dbname: \"*\"
    catalog_user: reader
    users:
    - {groups: [admins, data-owners], user: app_owner, password_file: secrets/owner}
    - {groups: [analysts], user: app_reader}
",
    )
    .unwrap();
    let names = |name: &str| {
        let roles = config.databases[name].roles.iter();
        roles.map(|role| (role.groups.len(), role.login.user.clone())).collect::<Vec<_>>()
    };
    assert_eq!(names("*"), [(0, "everybody".to_owned())]);
    assert_eq!(names("app_*"), [(2, "app_owner".to_owned()), (1, "app_reader".to_owned())]);
    assert_eq!(config.databases["app_*"].dbname, "*");
    assert_eq!(config.databases["app_*"].catalog.user, "reader");
    assert_eq!(config.databases["*"].pass_person, stepgate_proxy::PassPerson::ApplicationName);
    for (wrong, says) in [
        ("  a*b: {host: db, user: x}\n", "a database's name in the gate cannot be this"),
        ("  app_*: {host: db, user: x, dbname: one}\n", "databases.app_*.dbname of a wildcard must be"),
        ("  app: {host: db, user: x, dbname: \"a*\"}\n", "databases.app.dbname must be a name"),
        ("  app: {host: db}\n", "databases.app.user is missing"),
        ("  app: {host: db, users: [{groups: [a], user: x}]}\n", "databases.app.catalog_user is missing"),
        ("  app: {host: db, user: y, users: [{user: x}]}\n", "databases.app.users[0].groups names none"),
        (
            "  app: {host: db, user: y, users: [{groups: [A], user: x}]}\n",
            "databases.app.users[0].groups: a name",
        ),
        ("  app: {host: db, user: y, users: [{groups: [a]}]}\n", "databases.app.users[0].user is missing"),
        ("  app: {host: db, user: y, users: {groups: [a]}}\n", "databases.app.users must be a list"),
        ("  app: {host: db, user: y, password: x}\n", "unknown key databases.app.password"),
        ("  app: {host: db, user: y, pass_person: always}\n", "databases.app.pass_person must be"),
    ] {
        let text = with(wrong).unwrap_err();
        assert!(text.contains(says), "{wrong}: {text}");
    }
}

#[test]
fn break_glass_and_two_people_are_off_unless_configured_and_half_an_hour_is_the_most() {
    let config = parse(GOOD).unwrap();
    assert!(config.break_glass.is_none() && config.two_person.is_none());
    let glass = |text: &str| parse(&format!("{GOOD}break_glass: {text}\n"));
    let read = glass("{groups: [on-call], reviewers: [security], lifts: [denied]}").unwrap();
    let read = read.break_glass.unwrap();
    assert_eq!(
        (read.most, read.lifts.denied, read.lifts.control),
        (stepgate_approval::MAX_GLASS, true, false)
    );
    for (wrong, says) in [
        ("{groups: [on-call]}", "break_glass.reviewers is missing"),
        ("{groups: [], reviewers: [security]}", "break_glass.groups names none"),
        ("{groups: [on-call], reviewers: [security], for: 31m}", "at most 30m"),
        ("{groups: [on-call], reviewers: [security], for: 0s}", "at most 30m"),
        ("{groups: [on-call], reviewers: [security], lifts: [all]}", "takes denied and control"),
        ("{groups: on-call, reviewers: [security]}", "break_glass.groups must be a list"),
        ("{groups: [on-call], reviewers: [security], self: true}", "unknown key break_glass.self"),
    ] {
        let text = glass(wrong).unwrap_err();
        assert!(text.contains(says), "{wrong}: {text}");
    }
    let two = |groups: &str| {
        parse(&GOOD.replace("policies: {map", &format!("policies: {{two_person: {groups}, map")))
    };
    let read = two("[data-owners]").unwrap().two_person.unwrap();
    assert_eq!((read.groups.len(), read.strength), (1, stepgate_types::Strength::Standard));
    assert!(two("[]").unwrap_err().contains("policies.two_person names none"));
}

#[test]
fn who_approves_policies_and_reviews_break_glass_proves_as_much_as_is_configured() {
    use stepgate_types::Strength;
    let with = |who: &str| {
        let glass = format!("break_glass: {{groups: [on-call], reviewers: {who}}}\n");
        let text = GOOD.replace("policies: {map", &format!("policies: {{two_person: {who}, map"));
        parse(&format!("{text}{glass}"))
    };
    let strengths = |config: Config| {
        let (two, glass) = (config.two_person.unwrap(), config.break_glass.unwrap());
        assert_eq!((two.groups.len(), glass.reviewers.len()), (1, 1));
        (two.strength, glass.review)
    };
    for (who, strength) in [
        ("[security]", Strength::Standard),
        ("{groups: [security]}", Strength::Standard),
        ("{groups: [security], strength: strong}", Strength::Strong),
        ("{groups: [security], strength: phishing-resistant}", Strength::PhishingResistant),
    ] {
        assert_eq!(strengths(with(who).unwrap()), (strength, strength), "{who}");
    }
    for (wrong, says) in [
        ("{groups: [security], strength: weak}", "strength must be one of standard, strong"),
        ("{groups: [security], strength: 3}", "strength must be"),
        ("{groups: [security], strength: device-bound}", "without console.attestation_roots"),
        ("{strength: strong}", "groups is missing"),
        ("{groups: []}", "groups names none"),
        ("{groups: [security], count: 3}", "unknown key"),
        ("security", "must be a list"),
    ] {
        let text = with(wrong).unwrap_err();
        for of in ["policies.two_person", "break_glass.reviewers"] {
            assert!(text.contains(of) && text.contains(says), "{wrong}: {text}");
        }
    }
    let bound = GOOD.replace("console: {", "console: {attestation_roots: makers.pem, ");
    let bound =
        format!("{bound}break_glass: {{groups: [a], reviewers: {{groups: [b], strength: device-bound}}}}\n");
    assert_eq!(parse(&bound).unwrap().break_glass.unwrap().review, Strength::DeviceBound);
}

#[test]
fn without_tls_the_gate_listens_on_loopback_only() {
    let plain = GOOD.replace("tls: {cert: cert.pem, key: key.pem}\n", "");
    assert!(parse(&plain).is_ok());
    let open = plain.replace("listen: 127.0.0.1:6432", "listen: 0.0.0.0:6432");
    assert!(parse(&open).unwrap_err().contains("there is no tls"));
    let open = format!("{plain}metrics: {{listen: 0.0.0.0:6481}}\n");
    assert!(parse(&open).unwrap_err().contains("metrics.listen is not a loopback address"));
    let open = plain.replace("{listen: 127.0.0.1:6480", "{listen: 0.0.0.0:6480");
    assert!(parse(&open).unwrap_err().contains("console.listen is not a loopback address"));
    let open = plain.replace("https://gate.example/", "http://gate.example/");
    assert!(parse(&open).unwrap_err().contains("console.url is http:// and not this machine"));
}

#[test]
fn what_is_not_yaml_and_keys_given_twice_are_refused_with_their_place() {
    let text = parse("version: 1\nlisten: [").unwrap_err();
    assert!(text.contains("stepgate.yaml:2:"), "{text}");
    let text = parse(&format!("{GOOD}data: elsewhere\n")).unwrap_err();
    assert!(text.contains("stepgate.yaml:12:"), "{text}");
}
