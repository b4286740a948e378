//! Who stands behind a proxy. Of what a request says of itself only the part counts that proxies of the configuration have
//! written: read from its end, and no further than the first address that is none of theirs.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, header};
use axum::middleware::Next;
use axum::response::Response;
use ipnet::IpNet;
use stepgate_types::plain_network;

use crate::api::{Api, Peer};

/// Proxies that are looked through, one behind the other: there are not more in earnest.
const MAX_HOPS: usize = 16;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// By which header proxies say for whom they ask. One of them: the other would come from whoever asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProxyHeader {
    /// `X-Forwarded-For`, as nearly all of them do.
    #[default]
    XForwardedFor,
    /// `Forwarded` (RFC 7239).
    Forwarded,
}

/// Proxies that are believed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Proxies {
    networks: Vec<IpNet>,
    header: ProxyHeader,
}

impl Proxies {
    /// None yet, who would say it by that header.
    #[must_use]
    pub const fn by(header: ProxyHeader) -> Self {
        Self { networks: Vec::new(), header }
    }

    /// Believes those of that network, or at that address.
    ///
    /// # Errors
    /// Why it cannot be, in words that go on from it.
    pub fn trust(&mut self, network: &str) -> Result<(), &'static str> {
        let parsed = network.parse().or_else(|_| network.parse::<IpAddr>().map(IpNet::from));
        let network: IpNet = parsed.map_err(|_| "is no network")?;
        let plain = plain_network(network.addr(), network.prefix_len());
        let plain = plain.and_then(|(address, prefix)| IpNet::new(address, prefix).ok());
        let network = plain.ok_or("is an address of IPv4 with a prefix of IPv6: write it as 10.0.0.0/8")?;
        if network.prefix_len() == 0 {
            return Err("is everybody, who could then say to be anybody");
        }
        self.networks.push(network);
        Ok(())
    }

    /// Whether any is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.networks.is_empty()
    }

    /// Whether one is there.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    /// Who asks: `peer`, or for whom it does.
    fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if self.trusts(peer) { self.named(headers).unwrap_or(peer) } else { peer }
    }

    /// The nearest that is none of the proxies. `None` where all are, or where something before it cannot be read: then
    /// nobody knows who has written what is further away.
    fn named(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let name = match self.header {
            ProxyHeader::XForwardedFor => X_FORWARDED_FOR,
            ProxyHeader::Forwarded => header::FORWARDED,
        };
        let lines: Vec<_> = headers.get_all(name).iter().collect();
        // A line that is no text is one hop that cannot be read.
        let hops = lines.iter().rev().flat_map(|line| line.to_str().unwrap_or("?").rsplit(','));
        for hop in hops.take(MAX_HOPS) {
            let address = match self.header {
                ProxyHeader::XForwardedFor => address(hop.trim())?,
                ProxyHeader::Forwarded => forwarded(hop)?,
            };
            if !self.trusts(address) {
                return Some(address);
            }
        }
        None
    }
}

/// An address, with or without a port, as RFC 7239 section 6 and those who are not strict write it.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(IpAddr::to_canonical(&address))
}

/// The `for` of one element of `Forwarded` (RFC 7239 section 4), of which there must be one.
fn forwarded(element: &str) -> Option<IpAddr> {
    // Cut within a quoted string, which may say whatever the client has sent as its `Host`.
    if element.matches('"').count() % 2 == 1 || element.contains('\\') {
        return None;
    }
    let pairs = element.split(';').filter_map(|pair| pair.trim().split_once('='));
    let mut named = pairs.filter(|(name, _)| name.eq_ignore_ascii_case("for")).map(|(_, value)| value);
    let value = named.next()?;
    if named.next().is_some() {
        return None;
    }
    address(value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value))
}

/// From here on, who asks is whoever the proxy asks for.
pub(crate) async fn looked_through(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    if let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() {
        let client = api.parts.proxies.client(peer, request.headers());
        request.extensions_mut().insert(Peer(client));
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROXY: &str = "10.0.0.1";

    fn proxies(header: ProxyHeader) -> Proxies {
        let mut proxies = Proxies::by(header);
        for network in ["10.0.0.0/24", "2001:db8:ffff::/48", "127.0.0.1"] {
            proxies.trust(network).unwrap();
        }
        proxies
    }

    fn client(header: ProxyHeader, peer: &str, lines: &[&[u8]]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            let name = if header == ProxyHeader::Forwarded { "forwarded" } else { "x-forwarded-for" };
            headers.append(name, axum::http::HeaderValue::from_bytes(line).unwrap());
        }
        proxies(header).client(peer.parse().unwrap(), &headers).to_string()
    }

    #[test]
    fn the_last_address_that_is_no_proxys_counts_and_only_from_a_proxy() {
        for (lines, is) in [
            (&[b"198.51.100.7" as &[u8]] as &[&[u8]], "198.51.100.7"),
            // What stands before it was sent by whoever asks.
            (&[b"203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            (&[b"garbage,198.51.100.7"], "198.51.100.7"),
            (&[b"203.0.113.9", b"198.51.100.7"], "198.51.100.7"),
            (&[b"\xff", b"198.51.100.7"], "198.51.100.7"),
            // Proxies behind proxies.
            (&[b"203.0.113.9, 198.51.100.7, 10.0.0.2, 127.0.0.1"], "198.51.100.7"),
            (&[b"203.0.113.9", b"198.51.100.7, 10.0.0.2", b"2001:db8:ffff::1"], "198.51.100.7"),
            // As some write them.
            (&[b"198.51.100.7:4711"], "198.51.100.7"),
            (&[b"[2001:db8::7]:4711"], "2001:db8::7"),
            (&[b"[2001:db8::7]"], "2001:db8::7"),
            (&[b"2001:db8::7"], "2001:db8::7"),
            (&[b"::ffff:198.51.100.7"], "198.51.100.7"),
            // Nobody is named, or it cannot be read.
            (&[], PROXY),
            (&[b""], PROXY),
            (&[b"unknown"], PROXY),
            (&[b"198.51.100.7, unknown"], PROXY),
            (&[b"198.51.100.7,"], PROXY),
            (&[b"198.51.100.7", b"\xff"], PROXY),
            (&[b"198.51.100.7, 10.0.0.2.3"], PROXY),
            (&[b"10.0.0.2"], PROXY),
            (&[b"10.0.0.7, 10.0.0.2"], PROXY),
        ] {
            assert_eq!(client(ProxyHeader::XForwardedFor, PROXY, lines), is, "{lines:?}");
            assert_eq!(client(ProxyHeader::XForwardedFor, "192.0.2.1", lines), "192.0.2.1", "{lines:?}");
        }
        let many = vec!["10.0.0.2"; 20].join(",");
        let many = format!("198.51.100.7,{many}");
        assert_eq!(client(ProxyHeader::XForwardedFor, PROXY, &[many.as_bytes()]), PROXY);
    }

    #[test]
    fn rfc_7239_is_read_where_it_is_what_proxies_write() {
        for (line, is) in [
            ("for=198.51.100.7", "198.51.100.7"),
            ("For=\"[2001:db8::7]:4711\";proto=https;by=10.0.0.1", "2001:db8::7"),
            ("for=\"_hidden\", for=198.51.100.7;host=gate.example", "198.51.100.7"),
            ("for=\"203.0.113.9, for=198.51.100.7", "198.51.100.7"),
            ("for=198.51.100.7, for=10.0.0.2;proto=http", "198.51.100.7"),
            ("for=unknown", PROXY),
            ("for=_hidden", PROXY),
            ("proto=https", PROXY),
            ("for=198.51.100.7;for=203.0.113.9", PROXY),
            // A `Host` of the client's own that ends its quotation, behind the address that the proxy has written.
            ("for=198.51.100.7;host=\"x,for=203.0.113.9;a=\"", PROXY),
            ("for=198.51.100.7;host=\"x\\\",for=203.0.113.9;a=b\"", PROXY),
            ("198.51.100.7", PROXY),
        ] {
            assert_eq!(client(ProxyHeader::Forwarded, PROXY, &[line.as_bytes()]), is, "{line}");
            assert_eq!(
                client(ProxyHeader::Forwarded, "192.0.2.1", &[line.as_bytes()]),
                "192.0.2.1",
                "{line}"
            );
        }
        // The other header is not what this proxy writes.
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "203.0.113.9".parse().unwrap());
        let seen = proxies(ProxyHeader::Forwarded).client(PROXY.parse().unwrap(), &headers);
        assert_eq!(seen.to_string(), PROXY);
    }

    #[test]
    fn a_proxy_whose_network_is_written_as_ipv6_has_it_is_believed_as_any() {
        for network in ["::ffff:10.0.0.0/120", "::ffff:10.0.0.1"] {
            let mut proxies = Proxies::default();
            proxies.trust(network).unwrap();
            assert!(proxies.trusts(PROXY.parse().unwrap()) && !proxies.trusts("10.0.1.1".parse().unwrap()));
        }
    }

    #[test]
    fn nobody_trusts_everybody() {
        let mut proxies = Proxies::default();
        for wrong in
            ["0.0.0.0/0", "::/0", "::ffff:0:0/96", "::ffff:10.0.0.0/8", "10.0.0.0/33", "proxy.example", ""]
        {
            assert!(proxies.trust(wrong).is_err(), "{wrong}");
        }
        assert!(proxies.is_empty());
    }
}
