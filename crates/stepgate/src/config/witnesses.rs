//! `audit.witnesses`: who else sees the log's checkpoints, and cosigns them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stepgate_policy::parse_duration;
use stepgate_record::WitnessKey;

use super::place::{WebUrl, web_url};
use super::relative_to;
use super::yaml::{Node, Problems, Section};

/// The most witnesses: each is a thread.
const MAX_WITNESSES: usize = 8;

/// How often one is asked, if nothing else is said.
const EVERY: Duration = Duration::from_secs(60);

/// How seldom one may be.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Witness {
    /// Its verifier key.
    pub(crate) key: WitnessKey,
    /// What `add-checkpoint` is put behind; without one, cosignatures are brought by hand.
    pub(crate) url: Option<WebUrl>,
    /// The CA of its certificate, PEM.
    pub(crate) ca: Option<PathBuf>,
    /// How often, while the log grows.
    pub(crate) every: Duration,
}

/// Reads them.
pub(super) fn read(file: &Path, audit: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<Witness> {
    let mut witnesses: Vec<Witness> = Vec::new();
    for (number, node) in audit.list("witnesses", problems).iter().enumerate() {
        let path = format!("audit.witnesses[{number}]");
        if number >= MAX_WITNESSES {
            problems.add(node.at, format!("audit.witnesses has more than {MAX_WITNESSES}"), None);
            break;
        }
        let Some(witness) = witness(file, &path, node, problems) else { continue };
        if witnesses.iter().any(|other| other.key.name() == witness.key.name()) {
            problems.add(node.at, format!("{path} has the name of another one"), None);
        }
        witnesses.push(witness);
    }
    witnesses
}

fn witness(file: &Path, path: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Witness> {
    let mut section = Section::open(path, node, problems)?;
    let key = section.need_text("vkey", problems).and_then(|(text, at)| {
        let key = text.parse::<WitnessKey>();
        if let Err(error) = &key {
            let help = Some("the witness's operator publishes it: name+01234567+BASE64".to_owned());
            problems.add(at, format!("{}: {error}", section.path("vkey")), help);
        }
        key.ok()
    });
    let url = section.text("url", problems);
    let url = url.and_then(|url| web_url(&section.path("url"), url, problems));
    let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
    let every = match section.take("every") {
        None => EVERY,
        Some(node) => {
            let read = node.text().and_then(parse_duration);
            read.filter(|read| !read.is_zero() && *read <= LONGEST).unwrap_or_else(|| {
                let path = section.path("every");
                problems.add(node.at, format!("{path} must be a duration such as 1m, from 1s to 30d"), None);
                EVERY
            })
        }
    };
    section.finish(problems);
    Some(Witness { key: key?, url, ca, every })
}
