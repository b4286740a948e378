//! `limits:`, how much the gate takes on.

use std::time::Duration;

use stepgate_policy::{parse_duration, parse_size};
use stepgate_proxy::{Limits, MAX_MESSAGE};

use super::yaml::{At, Problems, Section};

/// The most sessions that can be configured: each is a task, two sockets and, at the server, a process.
const MAX_SESSIONS: usize = 20_000;

/// Reads the section; what it does not say stays as it is by default.
pub(super) fn read(top: &mut Section<'_>, problems: &mut Problems<'_>) -> Limits {
    let mut limits = Limits::default();
    let Some(mut section) = top.section("limits", problems) else { return limits };
    number("sessions", &mut limits.sessions, &mut section, problems);
    number("per_person", &mut limits.per_person, &mut section, problems);
    duration("login", (1, "10m"), &mut limits.login, &mut section, problems);
    // Less would end a client that its user has merely stopped for a moment.
    duration("slow_client", (5, "1d"), &mut limits.slow_client, &mut section, problems);
    duration("drain", (1, "1h"), &mut limits.drain, &mut section, problems);
    number("open_requests", &mut limits.caps.open, &mut section, problems);
    duration("cool_down", (0, "1h"), &mut limits.caps.cool_down, &mut section, problems);
    sizes(&mut limits, &mut section, problems);
    section.finish(problems);
    limits
}

/// How long a message may be, and how much memory large ones have together.
fn sizes(limits: &mut Limits, section: &mut Section<'_>, problems: &mut Problems<'_>) {
    let message = size("message", (1 << 30, "1GiB"), &mut limits.message, section, problems);
    let memory = size("message_memory", (1 << 40, "1TiB"), &mut limits.message_memory, section, problems);
    // A gigabyte is meant, whatever PostgreSQL takes off it.
    limits.message = limits.message.min(MAX_MESSAGE);
    if let Some(at) = memory.or(message)
        && limits.message > limits.message_memory
    {
        let (least, most) = (section.path("message"), section.path("message_memory"));
        let help = format!("{least} is {} bytes, {most} {}", limits.message, limits.message_memory);
        problems.add(at, format!("{most} must be at least {least}"), Some(help));
    }
}

/// Where it is given, if it is.
fn size(
    key: &'static str,
    (most, most_said): (usize, &str),
    value: &mut usize,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) -> Option<At> {
    let node = section.take(key)?;
    let read = node.text().and_then(parse_size).and_then(|bytes| usize::try_from(bytes).ok());
    match read.filter(|bytes| (1 << 20..=most).contains(bytes)) {
        Some(read) => *value = read,
        None => {
            let path = section.path(key);
            problems.add(
                node.at,
                format!("{path} must be a size such as 64MiB, from 1MiB to {most_said}"),
                None,
            );
        }
    }
    Some(node.at)
}

fn number(key: &'static str, value: &mut usize, section: &mut Section<'_>, problems: &mut Problems<'_>) {
    let Some((number, at)) = section.integer(key, problems) else { return };
    match usize::try_from(number) {
        Ok(number @ 1..=MAX_SESSIONS) => *value = number,
        _ => problems.add(at, format!("{} must be 1 to {MAX_SESSIONS}", section.path(key)), None),
    }
}

fn duration(
    key: &'static str,
    (shortest, longest): (u64, &str),
    value: &mut Duration,
    section: &mut Section<'_>,
    problems: &mut Problems<'_>,
) {
    let Some(node) = section.take(key) else { return };
    let within = |read: &Duration| {
        read.as_secs() >= shortest && parse_duration(longest).is_some_and(|longest| *read <= longest)
    };
    match node.text().and_then(parse_duration).filter(within) {
        Some(read) => *value = read,
        None => {
            let path = section.path(key);
            let message =
                format!("{path} must be a duration such as 30s or 5m, from {shortest}s to {longest}");
            problems.add(node.at, message, None);
        }
    }
}
