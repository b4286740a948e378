//! Where records are sent: hosts and web addresses of `stepgate.yaml`.

use super::yaml::{At, Problems};

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPort {
    /// Name or address, the latter without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl HostPort {
    /// Whether it is this machine, so that nobody listens on the way.
    pub(crate) fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl std::fmt::Display for HostPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// An address that is posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WebUrl {
    /// As it is called. Paths of webhooks are often secrets: it is shown nowhere.
    pub(crate) url: String,
    /// What is shown of it: its scheme, host and port.
    pub(crate) shown: String,
}

/// `host:port` or `host`.
pub(super) fn host_port(
    path: &str,
    (text, at): (&str, At),
    default: u16,
    problems: &mut Problems<'_>,
) -> Option<HostPort> {
    let parsed = parse_host_port(text, default);
    if parsed.is_none() {
        let help = Some(format!("a name and a port, such as logs.example:{default}"));
        problems.add(at, format!("{path} is not a host and port"), help);
    }
    parsed
}

fn parse_host_port(text: &str, default: u16) -> Option<HostPort> {
    let (host, port) = match text.rsplit_once(':') {
        // Brackets hold an IPv6 address, in which there are colons.
        Some((host, port)) if !text.ends_with(']') => (host, port.parse().ok().filter(|port| *port > 0)?),
        _ => (text, default),
    };
    let host = match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').filter(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())?,
        None if host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) => host,
        None => return None,
    };
    (!host.is_empty()).then(|| HostPort { host: host.to_owned(), port })
}

/// `https://…`; `http://` to this machine alone.
pub(super) fn web_url(path: &str, (text, at): (&str, At), problems: &mut Problems<'_>) -> Option<WebUrl> {
    let parsed = parse_web_url(text);
    if let Err(why) = &parsed {
        let help = Some("records must not cross a network in the clear: https://host/path".to_owned());
        problems.add(at, format!("{path} {why}"), help);
    }
    parsed.ok()
}

/// Whether an address keeps what is sent to it from whoever listens on the way; if not, why, in words that go on from it.
pub(crate) fn safe_url(text: &str) -> Result<(), &'static str> {
    parse_web_url(text).map(drop)
}

/// Strict: what follows the host must not be able to make another host of it (`http://127.0.0.1:80@elsewhere`).
fn parse_web_url(text: &str) -> Result<WebUrl, &'static str> {
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) || text.contains(['\\', '"', '<', '>', '#']) {
        return Err("holds what no web address may");
    }
    let (plain, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (false, rest),
        (None, Some(rest)) => (true, rest),
        (None, None) => return Err("is not an https:// address"),
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let Some(place) = parse_host_port(authority, if plain { 80 } else { 443 }) else {
        return Err("has no host and port, or a password in it");
    };
    if plain && !place.is_loopback() {
        return Err("is http:// and not this machine");
    }
    let scheme = if plain { "http" } else { "https" };
    Ok(WebUrl { url: text.to_owned(), shown: format!("{scheme}://{place}") })
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports_are_read_and_shown_as_they_are_meant() {
        for (text, shown) in [
            ("siem.example:6515", "siem.example:6515"),
            ("siem.example", "siem.example:6514"),
            ("[::1]:601", "[::1]:601"),
            ("[::1]", "[::1]:6514"),
            ("10.0.0.7", "10.0.0.7:6514"),
        ] {
            assert_eq!(parse_host_port(text, 6514).unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", ":6514", "a b:1", "host:0", "host:65536", "host:x", "::1", "[x]:1", "u@host:1"] {
            assert_eq!(parse_host_port(wrong, 6514), None, "{wrong}");
        }
    }

    #[test]
    fn nothing_but_https_leaves_the_machine_whatever_is_written_around_the_host() {
        for (good, shown) in [
            ("https://lake.example/in?x=1", "https://lake.example:443"),
            ("http://127.0.0.1:8080/x", "http://127.0.0.1:8080"),
            ("http://localhost/", "http://localhost:80"),
            ("http://[::1]:1/", "http://[::1]:1"),
        ] {
            assert_eq!(parse_web_url(good).unwrap().shown, shown);
        }
        for wrong in [
            "http://lake.example/",
            "http://127.0.0.1:80@lake.example/",
            "http://127.0.0.1@lake.example/",
            "http://localhost.lake.example/",
            "http://127.0.0.1\\@lake.example/",
            "http://127.0.0.1#@lake.example/",
            "http://user:pass@127.0.0.1/",
            "https://user:pass@lake.example/",
            "ftp://127.0.0.1/",
            "https:///x",
            "https://lake.example/a b",
            "https://lake.example/a\nb",
            "HTTP://127.0.0.1/",
        ] {
            assert!(parse_web_url(wrong).is_err(), "{wrong}");
        }
    }
}
