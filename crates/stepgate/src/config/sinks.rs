//! `audit.sinks`: where records are sent as they are made.

use std::path::{Path, PathBuf};

use stepgate_policy::parse_size;

use super::place::{HostPort, host_port};
use super::relative_to;
use super::target::{self, WebTarget};
use super::yaml::{At, Node, Problems, Section, Value};

/// The most sinks: each is a thread.
const MAX_SINKS: usize = 16;

/// The longest name of one, in bytes.
const MAX_NAME: usize = 32;

/// The port of syslog over TLS (RFC 5425 section 4.1).
const SYSLOG_PORT: u16 = 6514;

/// "log audit" (RFC 5424 section 6.2.1).
const LOG_AUDIT: u8 = 13;

/// The enterprise number that IANA keeps for documentation (RFC 5612).
const DOCUMENTATION: u32 = 32_473;

/// Smaller files than this are no use, larger ones no longer opened by anything, in bytes.
const ROTATE_BYTES: std::ops::RangeInclusive<u64> = 4096..=1 << 40;

/// How many older files may be kept.
const ROTATE_KEEP: std::ops::RangeInclusive<i64> = 1..=1000;

/// Somewhere that records are sent to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sink {
    /// Its name, by which commands know it.
    pub(crate) name: String,
    /// Where to.
    pub(crate) to: To,
    /// In which form.
    pub(crate) format: Format,
    /// Whether names leave the gate.
    pub(crate) names: Names,
}

/// What kind of place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum To {
    /// RFC 5424 over TLS.
    Syslog(Syslog),
    /// Posted.
    Webhook(Webhook),
    /// Appended to.
    File(FileSink),
}

/// The form of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// The record's own bytes.
    Jsonl,
    /// ArcSight's Common Event Format.
    Cef,
    /// Open Cybersecurity Schema Framework.
    Ocsf,
}

/// Whether people's names, addresses and reasons stand in what is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// They do. What has left cannot be erased any more.
    Open,
    /// Their commitments do.
    Commit,
}

/// A syslog receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Syslog {
    pub(crate) place: HostPort,
    /// The CA of its certificate; `None`: the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and key that the gate shows.
    pub(crate) identity: Option<(PathBuf, PathBuf)>,
    pub(crate) facility: u8,
    /// The number in the name of the structured data.
    pub(crate) enterprise: u32,
}

/// Something that takes what is posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    pub(crate) target: WebTarget,
    /// A JSON array, in place of a line a record.
    pub(crate) array: bool,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileSink {
    pub(crate) path: PathBuf,
    pub(crate) rotate: Option<Rotate>,
}

/// When a file is put aside, and how many of them are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rotate {
    pub(crate) bytes: u64,
    pub(crate) keep: u32,
}

/// Reads them.
pub(super) fn read(file: &Path, audit: &mut Section<'_>, problems: &mut Problems<'_>) -> Vec<Sink> {
    let Some(section) = audit.section("sinks", problems) else { return Vec::new() };
    let mut sinks: Vec<Sink> = Vec::new();
    for (name, at, node) in section.names() {
        if !is_name(name) {
            let help = Some("1 to 32 of a-z, 0-9, '-', '_'".to_owned());
            problems.add(at, "a sink's name cannot be this", help);
        }
        if let Some(sink) = sink(file, name, node, problems) {
            if let To::File(FileSink { path, .. }) = &sink.to
                && sinks
                    .iter()
                    .any(|other| matches!(&other.to, To::File(FileSink { path: p, .. }) if p == path))
            {
                problems.add(at, format!("audit.sinks.{name}.file is another sink's, too"), None);
            }
            sinks.push(sink);
        }
        if sinks.len() > MAX_SINKS {
            problems.add(at, format!("audit.sinks has more than {MAX_SINKS}"), None);
            break;
        }
    }
    sinks
}

/// Whether a sink can be called so: its name is that of a file, and a label of figures.
pub(crate) fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(plain) && !name.starts_with('-')
}

fn sink(file: &Path, name: &str, node: &Node, problems: &mut Problems<'_>) -> Option<Sink> {
    let mut section = Section::open(&format!("audit.sinks.{name}"), node, problems)?;
    let format = format(&mut section, problems);
    let names = match section.text("names", problems) {
        None | Some(("open", _)) => Names::Open,
        Some(("commit", _)) => Names::Commit,
        Some((_, at)) => {
            problems.add(at, format!("{} must be open or commit", section.path("names")), None);
            Names::Open
        }
    };
    let (syslog, webhook) = (section.text("syslog", problems), section.text("webhook", problems));
    let to = match (syslog, webhook, section.text("file", problems)) {
        (Some(place), None, None) => read_syslog(file, place, &mut section, problems).map(To::Syslog),
        (None, Some(url), None) => read_webhook(file, url, &mut section, problems).map(To::Webhook),
        (None, None, Some((path, _))) => Some(To::File(FileSink {
            path: relative_to(file, path),
            rotate: read_rotate(&mut section, problems),
        })),
        _ => {
            let message = format!("audit.sinks.{name} must have one of syslog, webhook and file");
            problems.add(node.at, message, None);
            return None;
        }
    };
    section.finish(problems);
    Some(Sink { name: name.to_owned(), to: to?, format, names })
}

fn format(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Format {
    match section.text("format", problems) {
        None | Some(("jsonl", _)) => Format::Jsonl,
        Some(("cef", _)) => Format::Cef,
        Some(("ocsf", _)) => Format::Ocsf,
        Some((_, at)) => {
            problems.add(at, format!("{} must be jsonl, cef or ocsf", section.path("format")), None);
            Format::Jsonl
        }
    }
}

fn read_syslog(
    file: &Path,
    place: (&str, At),
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<Syslog> {
    let place = host_port(&section.path("syslog"), place, SYSLOG_PORT, problems);
    let ca = section.text("ca", problems).map(|(path, _)| relative_to(file, path));
    let cert = section.text("cert", problems);
    let key = section.text("key", problems);
    if let (Some((_, at)), None) | (None, Some((_, at))) = (cert, key) {
        problems.add(at, format!("{} and {} go together", section.path("cert"), section.path("key")), None);
    }
    let facility = number("facility", u64::from(LOG_AUDIT), 0..=23, section, problems);
    let enterprise =
        number("enterprise", u64::from(DOCUMENTATION), 1..=u64::from(u32::MAX), section, problems);
    let identity =
        cert.zip(key).map(|((cert, _), (key, _))| (relative_to(file, cert), relative_to(file, key)));
    Some(Syslog {
        place: place?,
        ca,
        identity,
        facility: u8::try_from(facility).unwrap_or(LOG_AUDIT),
        enterprise: u32::try_from(enterprise).unwrap_or(DOCUMENTATION),
    })
}

fn read_webhook(
    file: &Path,
    url: (&str, At),
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<Webhook> {
    let target = target::read(file, url, section, problems);
    let array = match section.text("body", problems) {
        None | Some(("ndjson", _)) => false,
        Some(("array", _)) => true,
        Some((_, at)) => {
            problems.add(at, format!("{} must be ndjson or array", section.path("body")), None);
            false
        }
    };
    Some(Webhook { target: target?, array })
}

fn read_rotate(section: &mut Section<'_>, problems: &mut Problems<'_>) -> Option<Rotate> {
    let mut rotate = section.section("rotate", problems)?;
    let bytes = rotate.need("bytes", problems).and_then(|node| {
        let bytes = match &node.value {
            Value::Integer(bytes) => u64::try_from(*bytes).ok(),
            Value::Text(text) => parse_size(text),
            _ => None,
        };
        let bytes = bytes.filter(|bytes| ROTATE_BYTES.contains(bytes));
        if bytes.is_none() {
            let message =
                format!("{} must be a size such as 100MiB, from 4KiB to 1TiB", rotate.path("bytes"));
            problems.add(node.at, message, None);
        }
        bytes
    });
    let keep = match rotate.integer("keep", problems) {
        Some((keep, _)) if ROTATE_KEEP.contains(&keep) => u32::try_from(keep).ok(),
        Some((_, at)) => {
            problems.add(at, format!("{} must be 1 to 1000", rotate.path("keep")), None);
            None
        }
        None => Some(7),
    };
    rotate.finish(problems);
    bytes.zip(keep).map(|(bytes, keep)| Rotate { bytes, keep })
}

fn number(
    key: &'static str,
    default: u64,
    within: std::ops::RangeInclusive<u64>,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> u64 {
    let Some((number, at)) = section.integer(key, problems) else { return default };
    let read = u64::try_from(number).ok().filter(|number| within.contains(number));
    if read.is_none() {
        let message = format!("{} must be {} to {}", section.path(key), within.start(), within.end());
        problems.add(at, message, None);
    }
    read.unwrap_or(default)
}
