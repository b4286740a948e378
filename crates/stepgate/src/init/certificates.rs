//! A development CA, and a certificate of it for this machine's loopback names.

use std::net::IpAddr;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};

/// All four as PEM.
pub(super) struct Made {
    pub(super) ca: String,
    pub(super) ca_key: String,
    pub(super) cert: String,
    pub(super) key: String,
}

/// Years that the CA is good for.
const CA_YEARS: i32 = 10;

/// Makes both. The certificate is for localhost, 127.0.0.1, ::1, and `addresses` that are not wildcards.
pub(super) fn make(addresses: &[IpAddr]) -> Result<Made, rcgen::Error> {
    let today = jiff::Zoned::now().date();
    let (year, month, day) = (
        i32::from(today.year()),
        u8::try_from(today.month()).unwrap_or(1),
        // The 29th of February is no day of most years.
        u8::try_from(today.day()).unwrap_or(1).min(28),
    );
    let ca_key = KeyPair::generate()?;
    let mut ca = CertificateParams::new(Vec::new())?;
    ca.distinguished_name.push(DnType::CommonName, "Stepgate development CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    ca.not_before = date_time_ymd(year, month, day);
    ca.not_after = date_time_ymd(year + CA_YEARS, month, day);
    let ca_certificate = ca.self_signed(&ca_key)?;

    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    for address in addresses {
        if !address.is_unspecified() && !names.contains(&address.to_string()) {
            names.push(address.to_string());
        }
    }
    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names)?;
    leaf.distinguished_name.push(DnType::CommonName, "Stepgate");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    leaf.not_before = ca.not_before;
    leaf.not_after = date_time_ymd(year + 1, month, day);
    let issuer = Issuer::from_params(&ca, &ca_key);
    let certificate = leaf.signed_by(&key, &issuer)?;
    Ok(Made {
        ca: ca_certificate.pem(),
        ca_key: ca_key.serialize_pem(),
        cert: certificate.pem(),
        key: key.serialize_pem(),
    })
}
