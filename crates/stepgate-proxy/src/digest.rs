//! The hash of a certificate that `tls-server-end-point` binds to (RFC 5929 section 4.1).

use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::der::expect;

/// The hash by the certificate's own signature algorithm, SHA-256 in place of MD5 and SHA-1; `None` where the
/// RFC defines none (Ed25519, RSA-PSS): no channel binding is offered then.
pub(crate) fn end_point(certificate: &[u8]) -> Option<Vec<u8>> {
    match signature_algorithm(certificate)? {
        // 1.2.840.113549.1.1: md5, sha1, sha256 WithRSAEncryption
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x04 | 0x05 | 0x0b]
        // 1.2.840.10045.4: ecdsa-with-SHA1, ecdsa-with-SHA256
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x01]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02] => Some(Sha256::digest(certificate).to_vec()),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03] => Some(Sha384::digest(certificate).to_vec()),
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d]
        | [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04] => Some(Sha512::digest(certificate).to_vec()),
        _ => None,
    }
}

/// The OID in `Certificate.signatureAlgorithm` (RFC 5280 section 4.1.1.2), as DER content bytes.
fn signature_algorithm(certificate: &[u8]) -> Option<&[u8]> {
    const SEQUENCE: u8 = 0x30;
    const OID: u8 = 0x06;
    let (certificate, _) = expect(certificate, SEQUENCE)?;
    let (_tbs, rest) = expect(certificate, SEQUENCE)?;
    let (algorithm, _) = expect(rest, SEQUENCE)?;
    expect(algorithm, OID).map(|(oid, _)| oid)
}
