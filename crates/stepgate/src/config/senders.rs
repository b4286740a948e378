//! `factors.email` and `factors.sms`: how codes are sent to people, where that is wanted. Nothing is, unless it is here: codes
//! by e-mail and SMS are weak (NIST SP 800-63B-4 section 3.1.3), and only approvals of `strength: weak` take them.

use std::path::Path;

use super::target::{self, WebTarget};
use super::ways::{self, Email};
use super::yaml::{Problems, Section};

/// The ways by which codes are sent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Senders {
    /// By e-mail; `to` is empty: each code has its own.
    pub(crate) email: Option<Email>,
    /// By SMS: posted to who sends them.
    pub(crate) sms: Option<WebTarget>,
}

/// Reads them.
pub(super) fn read(file: &Path, section: &mut Section<'_>, problems: &mut Problems<'_>) -> Senders {
    let node = section.take("email");
    let email = node.and_then(|node| {
        let section = Section::open("factors.email", node, problems)?;
        ways::read_sender(file, section, node.at, problems)
    });
    let sms = section.section("sms", problems).and_then(|mut sms| {
        let url = sms.need_text("webhook", problems);
        let target = url.and_then(|url| target::read(file, url, &mut sms, problems));
        sms.finish(problems);
        target
    });
    Senders { email, sms }
}
