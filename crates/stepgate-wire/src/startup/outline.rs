//! What a startup packet tells of the program that sent it.
//!
//! Drivers differ in which parameters they send, in what order, and in what they ask for first. None of it is proof of
//! anything: whoever knows a driver can send what it sends. So it may only ever add to a risk.

use std::fmt::Write as _;

use super::packet::StartupPacket;

/// How a client came to send its startup packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Approach {
    /// It asked for GSSAPI encryption.
    pub gss: bool,
    /// It asked for TLS.
    pub ssl: bool,
    /// It began with TLS at once (`sslnegotiation=direct`).
    pub direct: bool,
}

impl StartupPacket {
    /// Protocol version, names of the parameters in the order they came in, and protocol options. Values are left out,
    /// since they tell of people and places, but for some that drivers choose by themselves: and of these only those
    /// that are known. Bounded by the packet.
    #[must_use]
    pub fn outline(&self, approach: Approach) -> String {
        let mut outline = format!("3.{}", self.minor);
        for (asked, word) in [(approach.gss, "gss"), (approach.ssl, "ssl"), (approach.direct, "direct")] {
            if asked {
                // Writing to a String cannot fail.
                let _ = write!(outline, " {word}");
            }
        }
        for (name, value) in &self.params {
            let _ = write!(outline, "\n{name}");
            if let Some(value) = chosen_by_driver(name, value) {
                let _ = write!(outline, "={value}");
            }
        }
        for name in &self.protocol_options {
            let _ = write!(outline, "\n{name}");
        }
        outline
    }
}

/// The value of a parameter that drivers set by themselves to one of a few.
fn chosen_by_driver(name: &str, value: &str) -> Option<&'static str> {
    let known: &[&str] = match name {
        "client_encoding" => &["UTF8", "UTF-8", "utf8", "utf-8", "unicode", "SQL_ASCII", "LATIN1", "WIN1252"],
        "DateStyle" | "datestyle" => &["ISO", "ISO, MDY", "ISO, DMY"],
        "extra_float_digits" => &["0", "1", "2", "3"],
        "replication" => &["false", "off", "no", "0"],
        _ => return None,
    };
    Some(known.iter().find(|it| **it == value).copied().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(params: &[(&str, &str)]) -> StartupPacket {
        let params = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        StartupPacket { minor: 0, params, protocol_options: Vec::new() }
    }

    const PSQL: [(&str, &str); 4] =
        [("user", "dana"), ("database", "shop"), ("application_name", "psql"), ("client_encoding", "UTF8")];

    fn plain(packet: &StartupPacket) -> String {
        packet.outline(Approach::default())
    }

    #[test]
    fn who_and_where_is_not_in_an_outline() {
        let told = plain(&packet(&PSQL));
        assert_eq!(told, "3.0\nuser\ndatabase\napplication_name\nclient_encoding=UTF8");
        let other = packet(&[
            ("user", "olga"),
            ("database", "hr"),
            ("application_name", "Payroll of Olga"),
            ("client_encoding", "UTF8"),
        ]);
        assert_eq!(plain(&other), told);
        let made_up = plain(&packet(&[("client_encoding", "078-05-1120")]));
        assert_eq!(made_up, "3.0\nclient_encoding=?");
    }

    #[test]
    fn order_names_version_options_and_what_was_asked_for_first_tell_drivers_apart() {
        let psql = packet(&PSQL);
        let mut turned = psql.clone();
        turned.params.swap(0, 1);
        let mut more = psql.clone();
        more.params.push(("options".to_owned(), "-c statement_timeout=1".to_owned()));
        let mut newer = psql.clone();
        newer.minor = 2;
        let mut optional = psql.clone();
        optional.protocol_options.push("_pq_.x".to_owned());
        let mut all = vec![plain(&psql), plain(&turned), plain(&more), plain(&newer), plain(&optional)];
        for (gss, ssl, direct) in [(true, false, false), (false, true, false), (false, false, true)] {
            all.push(psql.outline(Approach { gss, ssl, direct }));
        }
        let count = all.len();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), count, "{all:?}");
    }
}
