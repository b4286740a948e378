//! The gate's own certificate: for the API, and until when it is good.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::Tls;
use crate::failure::Failure;

/// TLS for the API.
pub(crate) fn server_config(tls: &Tls) -> Result<Arc<rustls::ServerConfig>, Failure> {
    let chain = chain(&tls.cert)?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| {
        Failure::usage(format!("cannot read a private key from {}: {error}", tls.key.display()))
    })?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, key));
    let mut config = config.map_err(|error| {
        Failure::usage(format!("{} and {} cannot be used: {error}", tls.cert.display(), tls.key.display()))
    })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Failure> {
    let trouble = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("cannot read a certificate from {}: {why}", path.display()))
    };
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).map_err(|error| trouble(&error))?.collect();
    let found = found.map_err(|error| trouble(&error))?;
    if found.is_empty() { Err(trouble(&"there is none in it")) } else { Ok(found) }
}

/// When the certificate ends, in seconds since 1970.
pub(crate) fn not_after(path: &Path) -> Result<i64, Failure> {
    let chain = chain(path)?;
    chain
        .first()
        .and_then(|leaf| validity_end(leaf))
        .ok_or_else(|| Failure::usage(format!("{} does not say until when it is good", path.display())))
}

/// `notAfter` of a certificate (RFC 5280 section 4.1): Certificate, TBSCertificate, then version, serial
/// number, signature and issuer are passed over to Validity.
fn validity_end(der: &[u8]) -> Option<i64> {
    let (_, certificate, _) = element(der)?;
    let (_, mut rest, _) = element(certificate)?;
    // The version is [0] and may be missing.
    let (tag, _, after) = element(rest)?;
    if tag == 0xa0 {
        rest = after;
    }
    for _ in 0..3 {
        rest = element(rest)?.2;
    }
    let (_, validity, _) = element(rest)?;
    let (_, _, after) = element(validity)?;
    let (tag, time, _) = element(after)?;
    let time = std::str::from_utf8(time).ok()?.strip_suffix('Z')?;
    // UTCTime has two digits of the year: 50 to 99 are of the last century.
    let full = match tag {
        0x17 if time.get(..2)? < "50" => format!("20{time}"),
        0x17 => format!("19{time}"),
        _ => time.to_owned(),
    };
    let at = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", full).ok()?;
    Some(at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

/// Tag, contents, and what follows, of the DER element at the beginning.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        if bytes.len() > 4 {
            return None;
        }
        (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
    };
    let (contents, rest) = rest.split_at_checked(length)?;
    Some((tag, contents, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read() {
        for (year, seconds) in [(2030, 1_893_456_000), (2060, 2_840_140_800)] {
            let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, 1, 1);
            let key = rcgen::KeyPair::generate().unwrap();
            let certificate = params.self_signed(&key).unwrap();
            assert_eq!(validity_end(certificate.der()), Some(seconds));
        }
        assert_eq!(validity_end(b"\x30\x03\x02\x01\x01"), None);
    }
}
