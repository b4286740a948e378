//! `oidc:`, `ldap:` and `login_for`: what is read, and what is refused.

use std::path::Path;
use std::time::Duration;

use super::Config;

const BASE: &str = "version: 1
listen: 127.0.0.1:6432
data: ./data
keys: {master_file: secrets/master.key}
databases:
  shop: {host: 127.0.0.1, dbname: shop, sslmode: disable, user: analyst, password_file: secrets/shop}
policies: {map: policies/pii-map.yaml, rules: policies/policy.yaml}
";

const OIDC: &str = "issuer: \"https://idp.example\", client_id: stepgate, acr: {mfa: strong}";

const LDAP: &str = "people: {base: \"dc=x\", filter: \"(uid={name})\"}";

fn parse(more: &str) -> Result<Config, String> {
    let text = format!("{BASE}{more}\n");
    Config::parse(Path::new("/etc/gate/stepgate.yaml"), &text).map_err(|failure| failure.to_string())
}

/// The blocks of PEOPLE.md are read as they are written there.
#[test]
fn what_the_documentation_shows_is_read() {
    let manual = include_str!("../../../../docs/PEOPLE.md");
    let block = |key: &str| {
        let blocks = manual.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks.into_iter().find(|block| block.contains(key)).unwrap()
    };
    let config = parse(&format!("{}{}", block("\noidc:"), block("ldap:"))).unwrap();
    let oidc = config.oidc.unwrap();
    assert_eq!((oidc.label.as_str(), oidc.create), ("Corp SSO", false));
    let groups = oidc.groups.unwrap();
    assert_eq!((groups.map.len(), groups.allow.len()), (1, 2));
    assert_eq!(config.login_for, Duration::from_secs(8 * 3600));
    let ldap = config.ldap.unwrap();
    assert_eq!((ldap.url.as_str(), ldap.refresh.as_secs()), ("ldaps://directory.example", 600));
    assert_eq!(ldap.bind.unwrap().1, Path::new("/etc/gate/secrets/ldap"));
}

#[test]
fn what_would_be_unsafe_or_means_nothing_is_refused() {
    for (more, why) in [
        (format!("oidc: {{{OIDC}, groups: groups}}"), "groups are asked for, and none of them would count"),
        (format!("oidc: {{{OIDC}, groups_for: 30d}}"), "oidc.groups_for must be a duration"),
        (format!("oidc: {{{OIDC}, groups_map: {{a: \"not a group!\"}}}}"), "groups_map must say"),
        (format!("oidc: {{{OIDC}, label: \"\"}}"), "oidc.label must not be empty"),
        (format!("oidc: {{{OIDC}, scopes: [\"a b\"]}}"), "oidc.scopes must name"),
        ("login_for: 9h".to_owned(), "login_for must be a duration"),
        (format!("ldap: {{url: \"ldap://directory.example\", {LDAP}}}"), "in the clear"),
        (format!("ldap: {{url: \"ldap://127.0.0.1.evil.example\", {LDAP}}}"), "in the clear"),
        (format!("ldap: {{url: \"ldaps://directory.example/dc=x?uid\", {LDAP}}}"), "nothing more"),
        (
            format!("ldap: {{url: \"ldaps://directory.example\", start_tls: true, {LDAP}}}"),
            "start_tls is for",
        ),
        (format!("ldap: {{url: \"https://directory.example\", {LDAP}}}"), "must be like ldaps://"),
        (format!("ldap: {{url: \"ldaps://d.example\", bind_dn: \"cn=x\", {LDAP}}}"), "go together"),
        ("ldap: {url: \"ldaps://d.example\"}".to_owned(), "people"),
        (
            "ldap: {url: \"ldaps://d.example\", people: {base: \"dc=x\", filter: \"(uid=dana)\"}}".to_owned(),
            "asks for nobody",
        ),
        (
            format!(
                "ldap: {{url: \"ldaps://d.example\", {LDAP}, groups: {{base: \"dc=x\", filter: \"(member={{dn}})\"}}}}"
            ),
            "none of them would count",
        ),
    ] {
        let refused = parse(&more).unwrap_err();
        assert!(refused.contains(why), "{more}: {refused}");
    }
    for place in ["ldap://127.0.0.1:389", "ldap://[::1]", "ldap://localhost", "ldaps://d.example:3269/"] {
        assert!(parse(&format!("ldap: {{url: \"{place}\", {LDAP}}}")).is_ok(), "{place}");
    }
}
