//! `oidc:` of `stepgate.yaml`: the identity provider at which people log in, and log in again to answer; and `login_for`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use stepgate_console::oidc::Rules;
use stepgate_policy::parse_duration;
use stepgate_store::MAX_MINTED_LIFE;
use stepgate_types::Strength;

use super::place::web_url;
use super::yaml::{At, Problems, Section};
use super::{relative_to, supplied};

/// What `acr` values may be worth: a login that the gate does not see is no key bound to a device.
const WORTH: [Strength; 4] =
    [Strength::Weak, Strength::Standard, Strength::Strong, Strength::PhishingResistant];

/// An OpenID provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provider {
    /// Exactly as the provider writes it.
    pub(crate) issuer: String,
    pub(crate) client_id: String,
    /// The file of the client's secret; `None`: a public client.
    pub(crate) secret_file: Option<PathBuf>,
    pub(crate) ca: Option<PathBuf>,
    /// Which ways of logging in count, and as what.
    pub(crate) acr: BTreeMap<String, Strength>,
    /// The claim with people's names.
    pub(crate) person: String,
    /// Which of their groups count, where any are asked for.
    pub(crate) groups: Option<Rules>,
    /// What a login asks for besides.
    pub(crate) scopes: Vec<String>,
    /// Whether who logs in for the first time, by a name that nobody has, becomes somebody here.
    pub(crate) create: bool,
    /// Whether programs on machines without a browser may be logged in by a code.
    pub(crate) device: bool,
    /// What people call the provider.
    pub(crate) label: String,
}

/// Reads the section.
pub(super) fn read(file: &Path, top: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<Provider> {
    let mut section = top.section("oidc", problems)?;
    let issuer = section
        .need_text("issuer", problems)
        .and_then(|given| web_url(&section.path("issuer"), given, problems))
        .map(|url| url.url);
    let client_id = section.need_text("client_id", problems).map(|(id, _)| id.to_owned());
    let secret_file = section.text("client_secret_file", problems).map(|(path, _)| relative_to(file, path));
    let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
    let acr = acr(&mut section, problems);
    let person = section.text("person", problems).map_or("preferred_username", |(claim, _)| claim).to_owned();
    let claim = section.text("groups", problems).map(|(claim, at)| (claim.to_owned(), at));
    let rules = supplied::read(claim.as_ref().map(|(_, at)| *at), &mut section, problems);
    let groups = claim.zip(rules).map(|((claim, _), rules)| Rules { claim, ..rules });
    let scopes = scopes(&mut section, problems);
    let create = section.flag("create", problems).unwrap_or_default();
    let device = section.flag("device", problems).unwrap_or_default();
    let label = section.text("label", problems).and_then(|given| label(given, problems));
    section.finish(problems);
    let issuer = issuer?;
    let host = issuer.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or(&issuer);
    let label = label.unwrap_or_else(|| host.to_owned());
    Some(Provider {
        client_id: client_id?,
        secret_file,
        ca,
        acr: acr?,
        person,
        groups,
        scopes,
        create,
        device,
        label,
        issuer,
    })
}

/// `scopes: [groups]`: they are sent separated by blanks (RFC 6749 section 3.3).
fn scopes(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<String> {
    let mut scopes = Vec::new();
    for node in section.list("scopes", problems) {
        let good = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        match node.text().filter(|scope| !scope.is_empty() && scope.bytes().all(good)) {
            Some(scope) => scopes.push(scope.to_owned()),
            None => problems.add(node.at, "oidc.scopes must name scopes", None),
        }
    }
    scopes
}

/// It stands on a button.
fn label((text, at): (&str, At), problems: &mut Problems<'_>) -> Option<String> {
    if text.is_empty() || text.chars().count() > 40 || text.chars().any(char::is_control) {
        problems.add(at, "oidc.label is 1 to 40 characters", None);
        return None;
    }
    Some(text.to_owned())
}

/// How long a password for databases is good that a login mints.
pub(super) fn login_for(top: &mut Section<'_>, problems: &mut Problems<'_>) -> Duration {
    let Some(node) = top.take("login_for") else { return MAX_MINTED_LIFE };
    let within = |read: &Duration| *read >= Duration::from_secs(60) && *read <= MAX_MINTED_LIFE;
    node.text().and_then(parse_duration).filter(within).unwrap_or_else(|| {
        problems.add(node.at, "login_for must be a duration such as 4h, from 1m to 8h", None);
        MAX_MINTED_LIFE
    })
}

/// `acr: {"urn:example:mfa": strong}`. There is no default: what a word means is the provider's affair.
fn acr(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<BTreeMap<String, Strength>> {
    let path = section.path("acr");
    let node = section.need("acr", problems)?;
    let words = Section::open(&path, node, problems)?;
    let mut accepted = BTreeMap::new();
    for (word, at, worth) in words.names() {
        let strength = worth.text().and_then(|worth| WORTH.into_iter().find(|known| known.as_str() == worth));
        match strength {
            // They are sent separated by blanks (OpenID Connect Core 1.0 section 3.1.2.1).
            Some(strength) if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic()) => {
                accepted.insert(word.to_owned(), strength);
            }
            Some(_) => problems.add(at, format!("{path} has a word that no acr can be"), None),
            None => {
                let known = WORTH.map(Strength::as_str).join(", ");
                problems.add(worth.at, format!("{path} must say what a login is worth: {known}"), None);
            }
        }
    }
    if accepted.is_empty() {
        problems.add(node.at, format!("{path} accepts nothing"), None);
    }
    Some(accepted)
}
