//! Whose a client's certificate is.

use sha2::{Digest as _, Sha256};

use crate::der::{element, elements, expect};

const SEQUENCE: u8 = 0x30;
const OID: u8 = 0x06;
/// `id-at-commonName` (2.5.4.3) and `id-ce-subjectAltName` (2.5.29.17), as DER content bytes.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// A client's certificate. That it is good was checked by TLS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClientCertificate {
    /// Whom it is for: the common name of its subject, and alternative names that are an e-mail address or a host's.
    pub(crate) names: Vec<String>,
    /// SHA-256 (hex) of all of it.
    pub(crate) sha256: String,
}

impl ClientCertificate {
    /// Reads one. What cannot be read of it is for nobody.
    pub(crate) fn read(der: &[u8]) -> Self {
        let sha256 = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
        Self { names: names(der).unwrap_or_default(), sha256 }
    }
}

/// RFC 5280 section 4.1: version, serial number, signature, issuer and validity come before the subject, the key after
/// it.
fn names(der: &[u8]) -> Option<Vec<String>> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (tbs, _) = expect(certificate, SEQUENCE)?;
    let mut parts = elements(tbs).skip_while(|(tag, _)| *tag == 0xa0).skip(4);
    let (_, subject) = parts.next().filter(|(tag, _)| *tag == SEQUENCE)?;
    let extensions = parts.find(|(tag, _)| *tag == 0xa3).and_then(|(_, all)| expect(all, SEQUENCE));
    let mut names: Vec<String> = Vec::new();
    let common: Vec<_> =
        elements(subject).flat_map(|(_, set)| elements(set)).filter_map(common_name).collect();
    // Of several, one reader takes the first and another the last: none counts.
    if let [Some(only)] = common.as_slice() {
        names.push(only.clone());
    }
    for (_, extension) in extensions.into_iter().flat_map(|(all, _)| elements(all)) {
        names.extend(alternative_names(extension).unwrap_or_default());
    }
    Some(names)
}

/// The value of an AttributeTypeAndValue that is a common name, if it can be one of a person's.
fn common_name((_, attribute): (u8, &[u8])) -> Option<Option<String>> {
    let (kind, rest) = expect(attribute, OID)?;
    let (tag, value, _) = element(rest)?;
    // UTF8String, PrintableString, IA5String; the others are of the last century.
    (kind == COMMON_NAME).then(|| matches!(tag, 0x0c | 0x13 | 0x16).then(|| text(value)).flatten())
}

fn alternative_names(extension: &[u8]) -> Option<Vec<String>> {
    let (_, rest) = expect(extension, OID).filter(|(kind, _)| *kind == ALTERNATIVE_NAME)?;
    // An OCTET STRING, after the BOOLEAN that says whether it is critical.
    let (_, value) = elements(rest).find(|(tag, _)| *tag == 0x04)?;
    let (names, _) = expect(value, SEQUENCE)?;
    // rfc822Name and dNSName.
    let of_people = elements(names).filter(|(tag, _)| matches!(tag, 0x81 | 0x82));
    Some(of_people.filter_map(|(_, name)| text(name)).collect())
}

/// A name with a control character in it is shown, and compared, in more than one way.
fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    (!text.is_empty() && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, DnValue, KeyPair, SanType};

    use super::*;

    fn read(change: impl FnOnce(&mut CertificateParams)) -> Vec<String> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        ClientCertificate::read(certificate.der()).names
    }

    #[test]
    fn common_name_and_alternative_names_are_read() {
        let names = read(|params| {
            params.distinguished_name.push(DnType::OrganizationName, "shop");
            params.distinguished_name.push(DnType::CommonName, "dana");
            let email = SanType::Rfc822Name("dana@shop.example".try_into().unwrap());
            let host = SanType::DnsName("dana.shop.example".try_into().unwrap());
            let address = SanType::IpAddress("10.0.0.1".parse().unwrap());
            params.subject_alt_names = vec![email, host, address];
        });
        assert_eq!(names, ["dana", "dana@shop.example", "dana.shop.example"]);
        let plain = |params: &mut CertificateParams| {
            let printable = DnValue::PrintableString("olga".try_into().unwrap());
            params.distinguished_name.push(DnType::CommonName, printable);
        };
        assert_eq!(read(plain), ["olga"]);
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_for_nobody() {
        let with_nul = |params: &mut CertificateParams| {
            params.distinguished_name.push(DnType::CommonName, "dana\0.evil.example");
        };
        assert!(read(with_nul).is_empty());
        let other = |params: &mut CertificateParams| {
            params.distinguished_name.push(DnType::OrganizationalUnitName, "dana");
        };
        assert!(read(other).is_empty());
        // An attribute that looks like a common name, twice: rcgen keeps one of each type.
        let attribute = [&[0x30, 0x0b, 0x06, 0x03][..], COMMON_NAME, &[0x0c, 0x04], b"dana"].concat();
        let set = [&[0x31, 0x0d][..], &attribute].concat();
        let tbs = |subject: &[u8]| {
            let len = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
            let subject = [&[SEQUENCE, len(subject)][..], subject].concat();
            let before =
                [&[0xa0, 3, 2, 1, 2][..], &[2, 1, 1], &[SEQUENCE, 0], &[SEQUENCE, 0], &[SEQUENCE, 0]]
                    .concat();
            let tbs = [before, subject].concat();
            let tbs = [&[SEQUENCE, len(&tbs)][..], &tbs].concat();
            [&[SEQUENCE, len(&tbs)][..], &tbs].concat()
        };
        assert_eq!(names(&tbs(&set)), Some(vec!["dana".to_owned()]));
        assert_eq!(names(&tbs(&[set.clone(), set].concat())), Some(Vec::new()));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut params = CertificateParams::new(vec!["dana".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "dana");
        let key = KeyPair::generate().unwrap();
        let der = params.self_signed(&key).unwrap().der().to_vec();
        for at in 0..der.len() {
            drop(ClientCertificate::read(&der[..at]));
            let mut broken = der.clone();
            broken[at] ^= 0xff;
            drop(ClientCertificate::read(&broken));
        }
    }
}
