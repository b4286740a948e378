//! `audit.checkpoints`: the ways by which signed checkpoints leave the host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stepgate_policy::parse_duration;

use super::place::{HostPort, host_port};
use super::relative_to;
use super::sinks::is_name;
use super::target::{self, WebTarget};
use super::yaml::{At, Node, Problems, Section};

/// The most ways: each is a thread.
const MAX_WAYS: usize = 8;

/// How seldom a checkpoint may leave: beyond that it is of no use to anybody.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// SMTP in TLS from the first byte (RFC 8314 section 7.3).
const SUBMISSIONS_PORT: u16 = 465;

/// One way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Way {
    /// Its name: what it is, with a number from the second of a kind on.
    pub(crate) name: String,
    pub(crate) to: WayTo,
    /// How often, while the log grows.
    pub(crate) every: Duration,
}

/// Where to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum WayTo {
    /// A directory, on another disk or machine; nothing in it is ever overwritten but `latest`.
    File(PathBuf),
    /// Posted.
    Webhook(WebTarget),
    /// Mailed.
    Email(Email),
}

/// Somebody with a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Email {
    pub(crate) to: String,
    pub(crate) from: String,
    pub(crate) smtp: HostPort,
    pub(crate) tls: MailTls,
    pub(crate) ca: Option<PathBuf>,
    /// User, and the file of the password.
    pub(crate) login: Option<(String, PathBuf)>,
}

/// How the connection to a mail server is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MailTls {
    /// From the first byte.
    Implicit,
    /// By STARTTLS, and not otherwise.
    Starttls,
    /// Not: on this machine alone.
    None,
}

/// Reads them.
pub(super) fn read(file: &Path, audit: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<Way> {
    let mut ways: Vec<Way> = Vec::new();
    for (number, node) in audit.list("checkpoints", problems).iter().enumerate() {
        let path = format!("audit.checkpoints[{number}]");
        if number >= MAX_WAYS {
            problems.add(node.at, format!("audit.checkpoints has more than {MAX_WAYS}"), None);
            break;
        }
        let Some(mut way) = way(file, &path, node, problems) else { continue };
        let taken = |name: &str| ways.iter().any(|other| other.name == name);
        if taken(&way.name) {
            let numbered = (2..).map(|number: u32| format!("{}-{number}", way.name));
            way.name = numbered.into_iter().find(|name| !taken(name)).unwrap_or_default();
        }
        ways.push(way);
    }
    ways
}

fn way(file: &Path, path: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Way> {
    let mut section = Section::open(path, node, problems)?;
    let directory = section.text("file", problems);
    let url = section.text("webhook", problems);
    let email = section.section("email", problems);
    let (kind, default, to) = match (directory, url, email) {
        (Some((dir, _)), None, None) => ("file", 60, Some(WayTo::File(relative_to(file, dir)))),
        (None, Some(url), None) => {
            ("webhook", 600, target::read(file, url, &mut section, problems).map(WayTo::Webhook))
        }
        (None, None, Some(email)) => {
            ("email", 86_400, read_email(file, email, node.at, problems).map(WayTo::Email))
        }
        _ => {
            problems.add(node.at, format!("{path} must have one of file, webhook and email"), None);
            return None;
        }
    };
    let name = match section.text("name", problems) {
        None => kind.to_owned(),
        Some((name, _)) if is_name(name) => name.to_owned(),
        Some((_, at)) => {
            let help = Some("1 to 32 of a-z, 0-9, '-', '_'".to_owned());
            problems.add(at, format!("{} cannot be this", section.path("name")), help);
            kind.to_owned()
        }
    };
    let every = every(&mut section, Duration::from_secs(default), problems);
    section.finish(problems);
    Some(Way { name, to: to?, every })
}

fn every(section: &mut Section<'_>, default: Duration, problems: &mut Problems<'_>) -> Duration {
    let Some(node) = section.take("every") else { return default };
    let read = node.text().and_then(parse_duration);
    match read.filter(|read| !read.is_zero() && *read <= LONGEST) {
        Some(read) => read,
        None => {
            let message = format!("{} must be a duration such as 10m, from 1s to 30d", section.path("every"));
            problems.add(node.at, message, None);
            default
        }
    }
}

/// Somebody with a mailbox, and how mail gets there.
pub(super) fn read_email(
    file: &Path,
    mut section: Section<'_>,
    at: At,
    problems: &mut Problems<'_>,
) -> Option<Email> {
    let to = address("to", &mut section, problems);
    let sender = read_sender(file, section, at, problems);
    Some(Email { to: to?, ..sender? })
}

fn address(key: &'static str, section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let (text, at) = section.need_text(key, problems)?;
    let read = text.parse::<lettre::Address>();
    if read.is_err() {
        problems.add(at, format!("{} is not an e-mail address", section.path(key)), None);
    }
    read.is_ok().then(|| text.to_owned())
}

/// How mail is sent, to nobody yet.
pub(super) fn read_sender(
    file: &Path,
    mut section: Section<'_>,
    at: At,
    problems: &mut Problems<'_>,
) -> Option<Email> {
    let from = address("from", &mut section, problems);
    let smtp = section
        .need_text("smtp", problems)
        .and_then(|given| host_port(&section.path("smtp"), given, SUBMISSIONS_PORT, problems));
    let tls = match section.text("tls", problems) {
        None | Some(("implicit", _)) => MailTls::Implicit,
        Some(("starttls", _)) => MailTls::Starttls,
        Some(("none", at)) => {
            if !smtp.as_ref().is_some_and(HostPort::is_loopback) {
                problems.add(at, format!("{} can be none on this machine only", section.path("tls")), None);
            }
            MailTls::None
        }
        Some((_, at)) => {
            problems.add(at, format!("{} must be implicit, starttls or none", section.path("tls")), None);
            MailTls::Implicit
        }
    };
    let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
    let user = section.text("user", problems).map(|(user, _)| user.to_owned());
    let password = section.text("password_file", problems).map(|(path, _)| relative_to(file, path));
    if user.is_some() != password.is_some() {
        let message = format!("{} and {} go together", section.path("user"), section.path("password_file"));
        problems.add(at, message, None);
    }
    section.finish(problems);
    Some(Email { to: String::new(), from: from?, smtp: smtp?, tls, ca, login: user.zip(password) })
}
