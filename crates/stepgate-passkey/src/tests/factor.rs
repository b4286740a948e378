//! Passkeys behind the trait of all factors.

use std::sync::Arc;

use stepgate_approval::{AuthenticatorId, Ceremony, Credential, Factor, FactorError, Method, Proof};
use zeroize::Zeroizing;

use super::*;

const FACTOR_ID: AuthenticatorId = AuthenticatorId::new(Method::Passkey, [1, 2, 3, 4]);

fn factor() -> PasskeyFactor {
    PasskeyFactor::new(site(), None)
}

fn ceremony<'a>(
    person: &'a PersonName,
    credentials: &'a [Arc<Credential>],
    entropy: &'a FakeEntropy,
) -> Ceremony<'a> {
    Ceremony { person, credentials, binding: challenge(), request: None, now: NOW, entropy }
}

fn stored(secret: Zeroizing<Vec<u8>>, state: Vec<u8>) -> Arc<Credential> {
    let strength = Method::Passkey.strength();
    let name = "key".to_owned();
    Arc::new(Credential { id: FACTOR_ID, name, enrolled: NOW, counts_from: NOW, strength, state, secret })
}

#[test]
fn a_passkey_is_enrolled_confirmed_asked_and_checked_and_its_state_comes_back() {
    let (factor, person, entropy, mut key) = (factor(), dana(), FakeEntropy::seeded(1), key(1));
    let empty = ceremony(&person, &[], &entropy);
    assert!(matches!(factor.begin(&empty), Err(FactorError::NotEnrolled)));
    let begun = factor.enrol(&empty, &json!({})).unwrap();
    let proof = Proof::Passkey(key.create(&begun.shown).unwrap());
    let enrolled = factor.confirm(&empty, &begun.kept, &proof).unwrap();
    assert_eq!(enrolled.strength, Strength::PhishingResistant);

    let credentials = [stored(enrolled.secret, enrolled.state)];
    let ceremony = ceremony(&person, &credentials, &entropy);
    let begun = factor.begin(&ceremony).unwrap();
    let proof = Proof::Passkey(key.get(&begun.shown).unwrap());
    let verified = factor.check(&ceremony, &begun.kept, &proof).unwrap();
    assert_eq!((verified.id, verified.counter), (FACTOR_ID, 1));
    assert_eq!((verified.strength, &verified.state[..]), (Strength::PhishingResistant, &[0, 0, 0, 1, 0][..]));

    // With that state kept, the same proof shows a copied key.
    let credentials = [stored(credentials[0].secret.clone(), verified.state)];
    let again = super::factor::ceremony(&person, &credentials, &entropy);
    assert_eq!(factor.check(&again, &[], &proof), Err(FactorError::Compromised));
    // A second passkey of the same person is made for the same handle, and not of the same authenticator.
    let begun = factor.enrol(&again, &json!({})).unwrap();
    let proof = Proof::Passkey(key.create(&begun.shown).unwrap());
    assert_eq!(begun.kept[..], key.handle.clone().unwrap());
    let taken = factor.confirm(&again, &begun.kept, &proof).map(drop);
    assert_eq!(taken, Err(FactorError::NotTaken("this one is enrolled already")));
}

#[test]
fn what_is_stored_but_cannot_be_read_answers_nothing() {
    let (factor, person, entropy, mut key) = (factor(), dana(), FakeEntropy::seeded(1), key(1));
    let passkey = enrol(&mut key).unwrap();
    let proof = Proof::Passkey(key.get(&options(&passkey, &challenge())).unwrap());
    let whole = stored(Zeroizing::new(passkey.secret()), passkey.state());
    for (secret, state) in [(b"{}".to_vec(), passkey.state()), (passkey.secret(), Vec::new())] {
        let broken = [stored(Zeroizing::new(secret), state)];
        let ceremony = ceremony(&person, &broken, &entropy);
        assert_eq!(factor.check(&ceremony, &[], &proof), Err(FactorError::UnknownAuthenticator));
        assert!(matches!(factor.begin(&ceremony), Err(FactorError::NotEnrolled)));
    }
    let both = [stored(Zeroizing::default(), Vec::new()), whole];
    assert!(factor.check(&ceremony(&person, &both, &entropy), &[], &proof).is_ok());
}

#[test]
fn each_attack_has_its_word() {
    let check = |lie: fn(&mut SecurityKey)| {
        let (mut key, passkey) = enrolled();
        lie(&mut key);
        let credentials = [stored(Zeroizing::new(passkey.secret()), passkey.state())];
        let (person, entropy) = (dana(), FakeEntropy::seeded(1));
        let ceremony = ceremony(&person, &credentials, &entropy);
        let begun = factor().begin(&ceremony).unwrap();
        let proof = Proof::Passkey(key.get(&begun.shown).unwrap());
        factor().check(&ceremony, &begun.kept, &proof).unwrap_err()
    };
    assert_eq!(check(|key| key.flags &= !flag::VERIFIED), FactorError::NotVerified);
    assert_eq!(check(|key| key.origin = "https://evil.example".to_owned()), FactorError::Mismatched);
    assert_eq!(check(|key| key.challenge = Some(vec![0; 32])), FactorError::Mismatched);
    assert_eq!(check(|key| key.id = vec![1]), FactorError::UnknownAuthenticator);
    assert_eq!(check(|key| key.flags |= flag::BACKUP_ELIGIBLE), FactorError::Compromised);
    assert_eq!(check(|key| key.trailing = vec![0]), FactorError::Malformed);
    let (person, entropy) = (dana(), FakeEntropy::seeded(1));
    let code = Proof::Code(Zeroizing::new("123456".to_owned()));
    let ceremony = ceremony(&person, &[], &entropy);
    assert_eq!(factor().check(&ceremony, &[], &code), Err(FactorError::Malformed));
}
