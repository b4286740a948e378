//! `oidc:` of `stepgate.yaml`: the identity provider at which people log in again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use stepgate_types::Strength;

use super::place::web_url;
use super::relative_to;
use super::yaml::{Problems, Section};

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
    /// The claim with their groups.
    pub(crate) groups: Option<String>,
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
    let groups = section.text("groups", problems).map(|(claim, _)| claim.to_owned());
    section.finish(problems);
    Some(Provider { issuer: issuer?, client_id: client_id?, secret_file, ca, acr: acr?, person, groups })
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
