//! `postgresql://USER@HOST:PORT/DBNAME`.

use crate::config::SslMode;
use crate::failure::Failure;

/// Where a database is, without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DatabaseUrl {
    pub(crate) user: Option<String>,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) dbname: Option<String>,
    pub(crate) sslmode: Option<SslMode>,
}

/// PostgreSQL's own port.
const DEFAULT_PORT: u16 = 5432;

impl DatabaseUrl {
    /// Reads it (PostgreSQL documentation, 34.1.1.2 Connection URIs). A password in it is refused: every
    /// user of the machine can list the arguments of a command.
    pub(crate) fn parse(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| {
            Failure::usage(format!("not a database URL: {why}"))
                .hint("like postgresql://stepgate_analyst@db.example:5432/shop?sslmode=verify-full")
        };
        let rest = text
            .strip_prefix("postgresql://")
            .or_else(|| text.strip_prefix("postgres://"))
            .ok_or_else(|| wrong("it does not begin with postgresql://"))?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, dbname) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match authority.rsplit_once('@') {
            Some((user, place)) => (user, place),
            None => ("", authority),
        };
        if user.contains(':') {
            return Err(Failure::usage("a password in a URL can be read by every user of this machine")
                .hint("leave it out; it is asked for, or taken from PGPASSWORD by `analyze`"));
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| wrong("its port is not a number up to 65535"))?)
            }
            _ => (place, DEFAULT_PORT),
        };
        let host = decoded(host.trim_start_matches('[').trim_end_matches(']'));
        let full = |text: &str| decoded(text).map(|text| (!text.is_empty()).then_some(text));
        let (Some(host), Some(user), Some(dbname)) = (host, full(user), full(dbname)) else {
            return Err(wrong("a %-escape in it is not UTF-8"));
        };
        let host = if host.is_empty() { "localhost".to_owned() } else { host };
        Ok(Self { user, host, port, dbname, sslmode: sslmode(query).map_err(|why| wrong(&why))? })
    }

    /// Whether it is on this machine, where nobody listens on the way.
    pub(crate) fn is_local(&self) -> bool {
        self.host == "localhost"
            || self.host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
    }
}

fn sslmode(query: &str) -> Result<Option<SslMode>, String> {
    let mut mode = None;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("sslmode", word)) => {
                mode = Some(
                    SslMode::parse(word)
                        .ok_or("sslmode must be verify-full, require or disable".to_owned())?,
                );
            }
            _ => return Err("the one parameter known is sslmode".to_owned()),
        }
    }
    Ok(mode)
}

/// Percent-decoding (RFC 3986 section 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes().iter();
    while let Some(byte) = rest.next() {
        if *byte != b'%' {
            bytes.push(*byte);
            continue;
        }
        let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
        let (high, low) = (digit(rest.next())?, digit(rest.next())?);
        bytes.push(u8::try_from(high * 16 + low).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_read_as_libpq_reads_it() {
        let url = DatabaseUrl::parse("postgresql://da%20na@[::1]:5433/Sales%20Ops?sslmode=disable").unwrap();
        assert_eq!(url.user.as_deref(), Some("da na"));
        assert_eq!((url.host.as_str(), url.port), ("::1", 5433));
        assert_eq!(url.dbname.as_deref(), Some("Sales Ops"));
        assert_eq!(url.sslmode, Some(SslMode::Disable));
        assert!(url.is_local());
        let url = DatabaseUrl::parse("postgres://db.example").unwrap();
        assert_eq!((url.host.as_str(), url.port, url.user, url.dbname), ("db.example", 5432, None, None));
    }

    #[test]
    fn a_password_in_a_url_is_refused() {
        let failure = DatabaseUrl::parse("postgresql://dana:geheim@db/shop").unwrap_err();
        assert!(!failure.to_string().contains("geheim"));
    }

    #[test]
    fn what_is_no_url_is_refused() {
        for wrong in
            ["shop", "mysql://db", "postgresql://db:x/shop", "postgresql://db/a%zz", "postgresql://db?a=b"]
        {
            assert!(DatabaseUrl::parse(wrong).is_err(), "{wrong}");
        }
    }
}
