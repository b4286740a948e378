//! `ldap:` of `stepgate.yaml`: the directory that says which groups people are in.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stepgate_console::oidc::Rules;
use stepgate_policy::parse_duration;

use super::yaml::{At, Problems, Section};
use super::{relative_to, supplied};

/// How often people are looked up, unless configured.
const REFRESH: Duration = Duration::from_secs(600);

/// What stands for somebody's name in a filter, and what for where they were found.
const PLACES: [&str; 2] = ["{name}", "{dn}"];

/// A directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    /// `ldaps://host:port`, or `ldap://host:port` with StartTLS, or on this machine.
    pub(crate) url: String,
    /// Whether the connection begins in the clear and goes on by TLS (RFC 4511 section 4.14).
    pub(crate) start_tls: bool,
    pub(crate) ca: Option<PathBuf>,
    /// Who asks; `None`: nobody in particular.
    pub(crate) bind: Option<(String, PathBuf)>,
    /// Where people are.
    pub(crate) people: Place,
    /// The attribute of a person with the names of their groups, where there is one.
    pub(crate) member_of: Option<String>,
    /// Where groups are, and the attribute with their names.
    pub(crate) groups: Option<(Place, String)>,
    /// Which groups count.
    pub(crate) rules: Rules,
    /// How often everybody is looked up.
    pub(crate) refresh: Duration,
}

/// Where something is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) base: String,
    /// With `{name}` (and, of groups, `{dn}`) for what is put in, escaped (RFC 4515 section 3).
    pub(crate) filter: String,
}

/// Reads the section.
pub(super) fn read(file: &Path, top: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<Directory> {
    let mut section = top.section("ldap", problems)?;
    let start_tls = section.flag("start_tls", problems).unwrap_or_default();
    let url = section.need_text("url", problems).and_then(|given| url(given, start_tls, problems));
    let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
    let bind = bind(file, &mut section, problems);
    let people = section.need("people", problems).and_then(|node| {
        let mut section = Section::open("ldap.people", node, problems)?;
        let place = place(&mut section, problems);
        let member_of = section.text("member_of", problems).map(|(name, at)| (name.to_owned(), at));
        section.finish(problems);
        Some((place?, member_of))
    });
    let groups = section.take("groups").and_then(|node| {
        let mut section = Section::open("ldap.groups", node, problems)?;
        let place = place(&mut section, problems);
        let name = section.text("name", problems).map_or("cn", |(name, _)| name).to_owned();
        section.finish(problems);
        Some(((place?, name), node.at))
    });
    let refresh = refresh(&mut section, problems);
    let (people, member_of) = people.unzip();
    let member_of = member_of.flatten();
    let asked = groups.as_ref().map(|(_, at)| *at).or(member_of.as_ref().map(|(_, at)| *at));
    let rules = supplied::read(asked, &mut section, problems);
    section.finish(problems);
    let groups = groups.map(|(groups, _)| groups);
    let member_of = member_of.map(|(name, _)| name);
    let (url, people, rules) = (url?, people?, rules.unwrap_or_default());
    Some(Directory { url, start_tls, ca, bind: bind?, people, member_of, groups, rules, refresh })
}

/// Passwords and groups never cross a network in the clear.
fn url((text, at): (&str, At), start_tls: bool, problems: &mut Problems<'_>) -> Option<String> {
    let (plain, rest) = match (text.strip_prefix("ldaps://"), text.strip_prefix("ldap://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => {
            problems.add(at, "ldap.url must be like ldaps://directory.example", None);
            return None;
        }
    };
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    let host = rest.trim_end_matches('/');
    if host.is_empty() || !host.bytes().all(good) {
        problems.add(at, "ldap.url is a host, with a port if need be, and nothing more", None);
        return None;
    }
    let name = host.strip_prefix('[').and_then(|host| host.split(']').next());
    let name = name.unwrap_or_else(|| host.split(':').next().unwrap_or_default());
    let is_here = name == "localhost" || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if plain && !start_tls && !is_here {
        let help = Some("ldaps://…, or start_tls: true".to_owned());
        problems.add(at, "ldap.url would send passwords in the clear", help);
        return None;
    }
    if !plain && start_tls {
        problems.add(at, "ldap.start_tls is for ldap://, ldaps:// has TLS from the beginning", None);
        return None;
    }
    Some(format!("{}{host}", if plain { "ldap://" } else { "ldaps://" }))
}

/// Both or neither. `None` inside: nobody in particular asks.
fn bind(
    file: &Path,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<Option<(String, PathBuf)>> {
    let dn = section.text("bind_dn", problems);
    let password = section.text("password_file", problems);
    match (dn, password) {
        (None, None) => Some(None),
        (Some((dn, at)), Some((path, _))) => {
            // RFC 4513 section 5.1.2: an empty name with a password is nobody in particular, by mistake.
            if dn.is_empty() {
                problems.add(at, "ldap.bind_dn is empty", None);
            }
            Some(Some((dn.to_owned(), relative_to(file, path))))
        }
        (Some((_, at)), None) | (None, Some((_, at))) => {
            problems.add(at, "ldap.bind_dn and ldap.password_file go together", None);
            None
        }
    }
}

fn place(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<Place> {
    let base = section.need_text("base", problems).map(|(base, _)| base.to_owned());
    let path = section.path("filter");
    let (filter, at) = section.need_text("filter", problems)?;
    if !PLACES.iter().any(|place| filter.contains(place)) {
        let help =
            Some("{name} stands for the person, and in groups {dn} for where they were found".to_owned());
        problems.add(at, format!("{path} asks for nobody"), help);
        return None;
    }
    Some(Place { base: base?, filter: filter.to_owned() })
}

fn refresh(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Duration {
    let Some(node) = section.take("refresh") else { return REFRESH };
    let within = |read: &Duration| (1..=24 * 3600).contains(&read.as_secs());
    node.text().and_then(parse_duration).filter(within).unwrap_or_else(|| {
        problems.add(node.at, "ldap.refresh must be a duration such as 10m, from 1s to 24h", None);
        REFRESH
    })
}
