//! `notify:` of `stepgate.yaml`: who is told that somebody waits, what became of it, and what must be looked into.

use std::path::{Path, PathBuf};

use super::relative_to;
use super::target::{self, WebTarget};
use super::ways::{self, Email};
use super::yaml::{Node, Problems, Section};

/// The most of them: each is a thread.
const MAX_NOTIFIERS: usize = 16;

/// Somewhere that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notifier {
    /// Its name, as operators see it.
    pub(crate) name: String,
    pub(crate) to: NotifyTo,
}

/// What kind of place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotifyTo {
    /// JSON of our own, signed.
    Webhook(WebTarget),
    /// A room of Slack's or Teams'.
    Chat(Chat),
    /// A mailbox.
    Email(Email),
}

/// A room of a chat. Its address is a secret: whoever has it can write there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chat {
    pub(crate) kind: ChatKind,
    /// The file with its address.
    pub(crate) url_file: PathBuf,
    pub(crate) ca: Option<PathBuf>,
}

/// Whose chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChatKind {
    /// An incoming webhook of Slack's.
    Slack,
    /// A workflow of Teams' that takes an adaptive card.
    Teams,
}

/// Reads them.
pub(super) fn read(file: &Path, top: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<Notifier> {
    let Some(section) = top.section("notify", problems) else { return Vec::new() };
    let mut notifiers = Vec::new();
    for (name, at, node) in section.names() {
        if !super::sinks::is_name(name) {
            let help = Some("1 to 32 of a-z, 0-9, '-', '_'".to_owned());
            problems.add(at, "what is notified cannot be called this", help);
        }
        notifiers.extend(notifier(file, name, node, problems));
        if notifiers.len() > MAX_NOTIFIERS {
            problems.add(at, format!("notify has more than {MAX_NOTIFIERS}"), None);
            break;
        }
    }
    notifiers
}

fn notifier(file: &Path, name: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Notifier> {
    let mut section = Section::open(&format!("notify.{name}"), node, problems)?;
    let webhook = section.text("webhook", problems);
    let slack = section.text("slack_file", problems).map(|(path, _)| (ChatKind::Slack, path));
    let teams = section.text("teams_file", problems).map(|(path, _)| (ChatKind::Teams, path));
    let email = section.section("email", problems);
    let to = match (webhook, slack.xor(teams), email) {
        (Some(url), None, None) => target::read(file, url, &mut section, problems).map(NotifyTo::Webhook),
        (None, Some((kind, path)), None) => {
            let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
            Some(NotifyTo::Chat(Chat { kind, url_file: relative_to(file, path), ca }))
        }
        (None, None, Some(email)) => ways::read_email(file, email, node.at, problems).map(NotifyTo::Email),
        _ => {
            let message = format!("notify.{name} must have one of webhook, slack_file, teams_file and email");
            problems.add(node.at, message, None);
            return None;
        }
    };
    section.finish(problems);
    Some(Notifier { name: name.to_owned(), to: to? })
}
