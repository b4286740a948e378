//! Who vouches for an authenticator.

use proptest::prelude::*;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SigningKey,
};
use stepgate_testkit::security_key::Maker;

use super::*;

/// A maker of authenticators: its root, and what one of its devices carries.
struct Factory {
    root_pem: String,
    leaf: Vec<u8>,
    key: KeyPair,
}

impl Factory {
    fn new(unit: &str) -> Self {
        let root_key = KeyPair::generate().unwrap();
        let mut root = CertificateParams::new(Vec::new()).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        root.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        root.distinguished_name.push(DnType::CommonName, "Root of keys");
        let root_pem = root.self_signed(&root_key).unwrap().pem();
        let key = KeyPair::generate().unwrap();
        let mut leaf = CertificateParams::new(Vec::new()).unwrap();
        leaf.is_ca = IsCa::ExplicitNoCa;
        leaf.distinguished_name.push(DnType::CountryName, "DE");
        leaf.distinguished_name.push(DnType::OrganizationName, "Keys");
        leaf.distinguished_name.push(DnType::OrganizationalUnitName, unit);
        leaf.distinguished_name.push(DnType::CommonName, "Key 1");
        let leaf = leaf.signed_by(&key, &Issuer::new(root, root_key)).unwrap().der().to_vec();
        Self { root_pem, leaf, key }
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(&self.root_pem).unwrap()
    }

    /// An enrolment of an authenticator made here.
    fn make(&self, key: &mut SecurityKey, roots: Option<&Roots>) -> Result<Passkey, Rejected> {
        enrol_by(roots, NOW, |options| self.attested(key, options))
    }

    fn attested(&self, key: &mut SecurityKey, options: &Value) -> Value {
        let sign = |message: &[u8]| self.key.sign(message).unwrap();
        let chain = [self.leaf.clone()];
        key.create_attested(options, &Maker { sign: &sign, chain: &chain }).unwrap()
    }
}

const UNIT: &str = "Authenticator Attestation";

fn enrol_by(
    roots: Option<&Roots>,
    now: Timestamp,
    make: impl FnOnce(&Value) -> Value,
) -> Result<Passkey, Rejected> {
    let (site, challenge, person) = (site(), challenge(), handle(1));
    let enrolment = Enrolment { site: &site, challenge: &challenge, person: &person, existing: &[], roots };
    let options = enrolment.options(&dana()).unwrap();
    assert_eq!(options["attestation"], if roots.is_some() { "direct" } else { "none" });
    enrolment.finish(&make(&options), now)
}

#[test]
fn a_key_that_cannot_be_copied_and_whose_maker_is_trusted_is_device_bound() {
    let factory = Factory::new(UNIT);
    let mut key = key(1);
    let passkey = factory.make(&mut key, Some(&factory.roots())).unwrap();
    assert_eq!((passkey.attestation(), passkey.strength()), (Attestation::Trusted, Strength::DeviceBound));
    assert_eq!(answer(&mut key, &passkey).unwrap().strength(), Strength::DeviceBound);
}

#[test]
fn a_synced_passkey_is_never_device_bound_whoever_vouches() {
    let factory = Factory::new(UNIT);
    let mut key = key(1);
    key.flags |= flag::BACKUP_ELIGIBLE;
    let passkey = factory.make(&mut key, Some(&factory.roots())).unwrap();
    assert_eq!(
        (passkey.attestation(), passkey.strength()),
        (Attestation::Trusted, Strength::PhishingResistant)
    );
}

#[test]
fn hardware_made_of_software_is_not_device_bound() {
    let (named, own) = (Factory::new(UNIT), Factory::new(UNIT));
    let passkey = own.make(&mut key(1), Some(&named.roots())).unwrap();
    assert_eq!(passkey.attestation(), Attestation::Untrusted, "a root of the attacker's own");
    assert_eq!(passkey.strength(), Strength::PhishingResistant);
    let roots = named.roots();
    let passkey =
        enrol_by(Some(&roots), NOW, |options| key(1).create_self_attested(options).unwrap()).unwrap();
    assert_eq!(
        (passkey.attestation(), passkey.strength()),
        (Attestation::Itself, Strength::PhishingResistant)
    );
    let passkey = enrol_by(Some(&roots), NOW, |options| key(1).create(options).unwrap()).unwrap();
    assert_eq!((passkey.attestation(), passkey.strength()), (Attestation::None, Strength::PhishingResistant));
}

#[test]
fn without_roots_an_attestation_is_not_even_read() {
    let factory = Factory::new("Something else");
    let passkey = factory.make(&mut key(1), None).unwrap();
    assert_eq!(passkey.attestation(), Attestation::None);
    // The same is refused where it is read: a certificate that is none of an authenticator.
    let refused = factory.make(&mut key(1), Some(&factory.roots()));
    assert_eq!(refused, Err(Rejected::BadAttestation));
}

#[test]
fn an_attestation_of_another_key_is_refused() {
    let (one, other) = (Factory::new(UNIT), Factory::new(UNIT));
    let sign = |message: &[u8]| other.key.sign(message).unwrap();
    let chain = [one.leaf.clone()];
    let refused = enrol_by(Some(&one.roots()), NOW, |options| {
        key(1).create_attested(options, &Maker { sign: &sign, chain: &chain }).unwrap()
    });
    assert_eq!(refused, Err(Rejected::BadAttestation));
}

#[test]
fn a_maker_whose_time_has_not_come_vouches_for_nothing() {
    let factory = Factory::new(UNIT);
    // rcgen's certificates are valid from 1975 to 4096.
    let roots = factory.roots();
    let at = Timestamp::from_micros(0);
    let passkey = enrol_by(Some(&roots), at, |options| factory.attested(&mut key(1), options)).unwrap();
    assert_eq!(passkey.attestation(), Attestation::Untrusted);
}

#[test]
fn roots_are_pem_certificates_and_nothing_else() {
    let (one, other) = (Factory::new(UNIT), Factory::new(UNIT));
    let both = format!("{}\n{}", one.root_pem, other.root_pem);
    let roots = Roots::from_pem(&both).unwrap();
    assert_eq!(format!("{roots:?}"), "Roots { roots: 2, .. }");
    assert_eq!(other.make(&mut key(1), Some(&roots)).unwrap().strength(), Strength::DeviceBound);
    for text in [
        "",
        "no",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
        &format!("{}trailing", one.root_pem),
    ] {
        assert!(Roots::from_pem(text).is_err(), "{text:.20}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn an_attestation_with_bytes_overwritten_is_never_trusted_and_never_panics(
        at in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 1..6),
    ) {
        static FACTORY: std::sync::LazyLock<Factory> = std::sync::LazyLock::new(|| Factory::new(UNIT));
        let roots = FACTORY.roots();
        let mut same = false;
        let enrolled = enrol_by(Some(&roots), NOW, |options| {
            altered(&FACTORY.attested(&mut key(1), options), "attestationObject", |bytes| {
                let before = bytes.clone();
                let at = at.index(bytes.len());
                for (place, byte) in bytes.iter_mut().skip(at).zip(noise) {
                    *place = byte;
                }
                same = before == *bytes;
            })
        });
        prop_assume!(!same);
        if let Ok(passkey) = enrolled {
            prop_assert_ne!(passkey.strength(), Strength::DeviceBound);
        }
    }
}
