//! The relying party: which pages may ask for a passkey, and for which name passkeys are made.

/// What browsers show beside the host.
pub(crate) const NAME: &str = "Stepgate";

/// The longest host name (RFC 1035 section 2.3.4).
const MAX_HOST: usize = 253;

/// The console's site, as configured in `console.url`. A passkey belongs to its [`Site::id`] for ever; one made for
/// another host is of no use here, which is what makes it proof against phishing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    id: String,
    origin: String,
}

/// Why there can be no passkeys at this address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSite {
    /// Browsers offer passkeys in secure contexts alone.
    #[error("passkeys need console.url to be https, or http on localhost")]
    NotSecure,
    /// A passkey belongs to a name, never to an address (Web Authentication level 3, section 5.1.3).
    #[error("passkeys need a host name in console.url, not an address")]
    NoName,
    /// Not an address of a site.
    #[error("console.url is not like https://gate.example")]
    NoSite,
}

impl Site {
    /// The site of an address such as `https://gate.example` or `http://localhost:6480`.
    ///
    /// # Errors
    /// [`BadSite`].
    pub fn of(url: &str) -> Result<Self, BadSite> {
        let (scheme, rest) = url.split_once("://").ok_or(BadSite::NoSite)?;
        let scheme = scheme.to_ascii_lowercase();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains(['@', '[', '\\']) {
            return Err(if authority.starts_with('[') { BadSite::NoName } else { BadSite::NoSite });
        }
        let (host, port) = match authority.split_once(':') {
            None => (authority, None),
            Some((host, port)) => (host, Some(port.parse::<u16>().map_err(|_| BadSite::NoSite)?)),
        };
        let host = host.to_ascii_lowercase();
        if !is_host(&host) {
            return Err(BadSite::NoSite);
        }
        // As browsers read hosts: one whose last label is a number is an address (WHATWG URL, "ends in a number").
        if host.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit())) {
            return Err(BadSite::NoName);
        }
        let usual = match scheme.as_str() {
            "https" => 443,
            "http" if host == "localhost" || host.ends_with(".localhost") => 80,
            "http" => return Err(BadSite::NotSecure),
            _ => return Err(BadSite::NoSite),
        };
        let origin = match port.filter(|port| *port != usual) {
            None => format!("{scheme}://{host}"),
            Some(port) => format!("{scheme}://{host}:{port}"),
        };
        Ok(Self { id: host, origin })
    }

    /// The relying party's id: the host's name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The origin, as browsers write it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// Labels of letters, digits and hyphens; other scripts as their `xn--` form.
fn is_host(host: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.len() <= MAX_HOST && host.split('.').all(label)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<(String, String), BadSite> {
        Site::of(url).map(|site| (site.id, site.origin))
    }

    #[test]
    fn a_site_is_its_host_and_its_origin_is_as_browsers_write_it() {
        for (url, id, origin) in [
            ("https://gate.example", "gate.example", "https://gate.example"),
            ("HTTPS://Gate.Example:443/", "gate.example", "https://gate.example"),
            ("https://gate.example:8443/console", "gate.example", "https://gate.example:8443"),
            ("http://localhost:6480", "localhost", "http://localhost:6480"),
            ("http://gate.localhost", "gate.localhost", "http://gate.localhost"),
        ] {
            assert_eq!(of(url), Ok((id.to_owned(), origin.to_owned())), "{url}");
        }
    }

    #[test]
    fn plain_http_addresses_and_what_is_no_site_have_no_passkeys() {
        for (url, why) in [
            ("http://gate.example", BadSite::NotSecure),
            ("http://localhost.evil.example", BadSite::NotSecure),
            ("https://127.0.0.1:6480", BadSite::NoName),
            ("http://127.0.0.1:6480", BadSite::NoName),
            ("https://[::1]/", BadSite::NoName),
            ("https://gate.example@evil.example", BadSite::NoSite),
            ("https://", BadSite::NoSite),
            ("https://a..b", BadSite::NoSite),
            ("https://gate.example:x", BadSite::NoSite),
            ("ftp://gate.example", BadSite::NoSite),
            ("gate.example", BadSite::NoSite),
        ] {
            assert_eq!(of(url), Err(why), "{url}");
        }
    }
}
