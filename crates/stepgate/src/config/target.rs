//! Something that takes what is posted: records, or checkpoints.

use std::path::{Path, PathBuf};

use super::place::{WebUrl, web_url};
use super::relative_to;
use super::yaml::{At, Problems, Section};

/// Where and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebTarget {
    pub(crate) url: WebUrl,
    /// Signs what is posted.
    pub(crate) secret_file: PathBuf,
    /// Its first line is sent as `Authorization`.
    pub(crate) authorization_file: Option<PathBuf>,
    /// The CA of its certificate; `None`: the system's.
    pub(crate) ca: Option<PathBuf>,
}

/// Reads it; its address is the text of the key `webhook`.
pub(super) fn read(
    file: &Path,
    url: (&str, At),
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<WebTarget> {
    let url = web_url(&section.path("webhook"), url, problems);
    let secret_file = section.need_text("secret_file", problems).map(|(path, _)| relative_to(file, path));
    let authorization_file =
        section.text("authorization_file", problems).map(|(path, _)| relative_to(file, path));
    let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
    Some(WebTarget { url: url?, secret_file: secret_file?, authorization_file, ca })
}
