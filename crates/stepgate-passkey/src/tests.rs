//! Attacks on passkeys, each by an authenticator or a browser that lies.

use serde_json::{Value, json};
use stepgate_approval::Bound;
use stepgate_testkit::security_key::flag;
use stepgate_testkit::{FakeEntropy, SecurityKey};
use stepgate_types::{PersonName, RequestId, Strength, Timestamp};

use super::*;

mod attested;
mod factor;
mod garbage;

const ORIGIN: &str = "https://gate.example";

const NOW: Timestamp = Timestamp::from_micros(1_795_318_320_000_000);

fn site() -> Site {
    Site::of(ORIGIN).unwrap()
}

fn dana() -> PersonName {
    "dana".parse().unwrap()
}

fn handle(seed: u64) -> UserHandle {
    UserHandle::generate(&FakeEntropy::seeded(seed)).unwrap()
}

fn key(seed: u64) -> SecurityKey {
    SecurityKey::new(seed, ORIGIN).unwrap()
}

/// What is signed under an answer of dana's to a request; `canonical` stands for the statement.
fn binding(canonical: u8, approve: bool, nonce: u8) -> Binding {
    let request = RequestId::from_bytes([1; 5]);
    Bound::Request { request, canonical: [canonical; 32], approve }.binding(&dana(), &[nonce; 32])
}

/// The challenge of most ceremonies here.
fn challenge() -> Binding {
    binding(1, true, 1)
}

fn create(key: &mut SecurityKey, existing: &[Passkey]) -> Result<Passkey, Rejected> {
    let (site, challenge, person) = (site(), challenge(), handle(1));
    let enrolment = Enrolment { site: &site, challenge: &challenge, person: &person, existing, roots: None };
    let options = enrolment.options(&dana())?;
    enrolment.finish(&key.create(&options).unwrap(), NOW)
}

fn enrol(key: &mut SecurityKey) -> Result<Passkey, Rejected> {
    create(key, &[])
}

/// A key that is enrolled, and its passkey as kept.
fn enrolled() -> (SecurityKey, Passkey) {
    let mut key = key(1);
    let passkey = enrol(&mut key).unwrap();
    (key, passkey)
}

fn options(passkey: &Passkey, challenge: &Binding) -> Value {
    Assertion { site: &site(), challenge, passkeys: std::slice::from_ref(passkey) }.options().unwrap()
}

fn finish(passkey: &Passkey, challenge: &Binding, answer: &Value) -> Result<Passkey, Rejected> {
    Assertion { site: &site(), challenge, passkeys: std::slice::from_ref(passkey) }.finish(answer)
}

/// One whole ceremony, in which the key does as it does.
fn answer(key: &mut SecurityKey, passkey: &Passkey) -> Result<Passkey, Rejected> {
    let answer = key.get(&options(passkey, &challenge())).unwrap();
    finish(passkey, &challenge(), &answer)
}

/// The same, lying in one way.
fn answer_lying(lie: impl FnOnce(&mut SecurityKey)) -> Rejected {
    let (mut key, passkey) = enrolled();
    lie(&mut key);
    answer(&mut key, &passkey).unwrap_err()
}

fn enrol_lying(lie: impl FnOnce(&mut SecurityKey)) -> Rejected {
    let mut key = key(1);
    lie(&mut key);
    enrol(&mut key).unwrap_err()
}

/// One field of the response, its bytes changed.
fn altered(answer: &Value, field: &str, alter: impl FnOnce(&mut Vec<u8>)) -> Value {
    let mut answer = answer.clone();
    let mut bytes = answer::unbase64(answer["response"][field].as_str().unwrap()).unwrap();
    alter(&mut bytes);
    answer["response"][field] = json!(answer::to_base64(&bytes));
    answer
}

#[test]
fn a_passkey_is_enrolled_and_answers_and_its_counter_and_backup_are_kept() {
    let mut key = key(1);
    key.flags |= flag::BACKUP_ELIGIBLE;
    key.aaguid = std::array::from_fn(|at| 0x10 + u8::try_from(at).unwrap());
    let passkey = enrol(&mut key).unwrap();
    assert_eq!(passkey.id(), key.id);
    assert_eq!((passkey.counter(), passkey.attestation()), (0, Attestation::None));
    assert_eq!((passkey.is_backup_eligible(), passkey.is_backed_up()), (true, false));
    assert_eq!(passkey.transports(), ["usb", "nfc"]);
    assert_eq!(passkey.aaguid(), "10111213-1415-1617-1819-1a1b1c1d1e1f");
    key.flags |= flag::BACKED_UP;
    let verified = answer(&mut key, &passkey).unwrap();
    assert_eq!((verified.id(), verified.counter()), (passkey.id(), 1));
    assert_eq!(verified.strength(), Strength::PhishingResistant);
    assert!(verified.is_backed_up(), "BS is recorded as it is now");
    assert_eq!(answer(&mut key, &verified).unwrap().counter(), 2);
}

#[test]
fn what_is_kept_can_be_read_again_and_is_small() {
    let (mut key, passkey) = enrolled();
    let passkey = answer(&mut key, &passkey).unwrap();
    let (secret, state) = (passkey.secret(), passkey.state());
    assert_eq!(secret.len(), 148, "4 of head, 64 of key, 16, 32, and 32 of id");
    assert_eq!(state, [0, 0, 0, 1, 0]);
    let read = Passkey::read(&secret, &state).unwrap();
    assert_eq!(read, passkey);
    assert!(answer(&mut key, &read).is_ok());
    for (at, byte) in [(0, 2), (1, 0), (1, 4), (2, 8), (3, 0x40)] {
        let mut other = secret.clone();
        other[at] = byte;
        assert_eq!(Passkey::read(&other, &state), None, "a later version's is not guessed: byte {at}");
    }
    assert_eq!(Passkey::read(&secret[..116], &state), None, "no id");
    assert_eq!(Passkey::read(&[&secret[..], &[1; 512]].concat(), &state), None, "too long an id");
    for state in [&[][..], &[0, 0, 0, 1], &[0, 0, 0, 1, 2], &[0, 0, 0, 1, 0, 0]] {
        assert_eq!(Passkey::read(&secret, state), None);
    }
    assert_eq!(format!("{passkey:?}"), "Passkey { counter: 1, .. }");
}

#[test]
fn options_ask_for_verification_and_name_only_this_persons_passkeys() {
    let (_, passkey) = enrolled();
    let options = options(&passkey, &challenge());
    assert_eq!(options["userVerification"], "required");
    assert_eq!(options["rpId"], "gate.example");
    assert_eq!(options["challenge"], answer::to_base64(&challenge()));
    assert_eq!(
        options["allowCredentials"],
        json!([{"type": "public-key", "id": passkey.id_text(), "transports": ["usb", "nfc"]}])
    );
    let (site, challenge, person) = (site(), challenge(), handle(1));
    let existing = std::slice::from_ref(&passkey);
    let enrolment = Enrolment { site: &site, challenge: &challenge, person: &person, existing, roots: None };
    let options = enrolment.options(&dana()).unwrap();
    assert_eq!(options["authenticatorSelection"]["userVerification"], "required");
    assert_eq!(options["excludeCredentials"][0]["id"], passkey.id_text());
    assert_eq!((&options["rp"]["id"], &options["attestation"]), (&json!("gate.example"), &json!("none")));
    assert!(!options["user"]["id"].as_str().unwrap().contains("dana"));
}

#[test]
fn approving_one_statement_and_running_another_is_refused() {
    let (mut key, passkey) = enrolled();
    let signed = key.get(&options(&passkey, &binding(1, true, 1))).unwrap();
    assert_eq!(finish(&passkey, &binding(2, true, 1), &signed), Err(Rejected::OtherChallenge));
    assert!(finish(&passkey, &binding(1, true, 1), &signed).is_ok());
}

#[test]
fn a_signature_under_a_denial_is_no_approval() {
    let (mut key, passkey) = enrolled();
    let signed = key.get(&options(&passkey, &binding(1, false, 1))).unwrap();
    assert_eq!(finish(&passkey, &binding(1, true, 1), &signed), Err(Rejected::OtherChallenge));
}

#[test]
fn a_page_that_swaps_the_challenge_in_the_client_data_breaks_the_signature() {
    let (mut key, passkey) = enrolled();
    let mut signed = key.get(&options(&passkey, &binding(2, true, 1))).unwrap();
    let right = key.get(&options(&passkey, &challenge())).unwrap();
    signed["response"]["clientDataJSON"] = right["response"]["clientDataJSON"].clone();
    assert_eq!(finish(&passkey, &challenge(), &signed), Err(Rejected::BadSignature));
}

#[test]
fn the_same_assertion_again_is_refused_by_a_new_challenge_and_by_the_counter() {
    let (mut key, passkey) = enrolled();
    let signed = key.get(&options(&passkey, &challenge())).unwrap();
    let kept = finish(&passkey, &challenge(), &signed).unwrap();
    // The desk gives each challenge a nonce of its own, and takes one right answer to it.
    assert_eq!(finish(&passkey, &binding(1, true, 2), &signed), Err(Rejected::OtherChallenge));
    // Even if nonces came again, as from a broken source.
    assert_eq!(finish(&kept, &challenge(), &signed), Err(Rejected::PossibleCompromise));
}

#[test]
fn a_counter_that_goes_back_or_stands_still_is_a_copied_key() {
    let (mut key, passkey) = enrolled();
    key.counter = 41;
    let kept = answer(&mut key, &passkey).unwrap();
    assert_eq!(kept.counter(), 42);
    for (before, what) in [(40, "back"), (41, "the same"), (0, "one")] {
        key.counter = before;
        assert_eq!(answer(&mut key, &kept), Err(Rejected::PossibleCompromise), "{what}");
    }
    key.counter = 0;
    key.step = 0;
    assert_eq!(answer(&mut key, &kept), Err(Rejected::PossibleCompromise), "no longer counts");
    key.counter = 43;
    assert_eq!(answer(&mut key, &kept).unwrap().counter(), 43);
}

#[test]
fn a_synced_passkey_that_never_counts_is_accepted() {
    let mut key = key(1);
    key.step = 0;
    key.flags |= flag::BACKUP_ELIGIBLE | flag::BACKED_UP;
    let passkey = enrol(&mut key).unwrap();
    let kept = answer(&mut key, &passkey).unwrap();
    assert!(answer(&mut key, &kept).is_ok());
}

#[test]
fn forged_uv_0_is_refused() {
    assert_eq!(answer_lying(|key| key.flags &= !flag::VERIFIED), Rejected::NotVerified);
    assert_eq!(enrol_lying(|key| key.flags &= !flag::VERIFIED), Rejected::NotVerified);
}

#[test]
fn forged_up_0_is_refused() {
    assert_eq!(answer_lying(|key| key.flags &= !flag::PRESENT), Rejected::NotPresent);
    assert_eq!(enrol_lying(|key| key.flags &= !flag::PRESENT), Rejected::NotPresent);
}

#[test]
fn setting_the_uv_flag_after_signing_breaks_the_signature() {
    let (mut key, passkey) = enrolled();
    key.flags &= !flag::VERIFIED;
    let signed = key.get(&options(&passkey, &challenge())).unwrap();
    let forged = altered(&signed, "authenticatorData", |bytes| bytes[32] |= flag::VERIFIED);
    assert_eq!(finish(&passkey, &challenge(), &forged), Err(Rejected::BadSignature));
}

#[test]
fn a_wrong_origin_is_refused() {
    for origin in [
        "https://gate.example.evil.example",
        "https://evil.gate.example",
        "https://evilgate.example",
        "http://gate.example",
        "https://gate.example:8443",
        "https://gate.example/",
        "https://gate.example/other",
        "HTTPS://GATE.EXAMPLE",
        "https://gate.example@evil.example",
        "null",
        "",
    ] {
        assert_eq!(answer_lying(|key| key.origin = origin.to_owned()), Rejected::OtherOrigin, "{origin}");
        assert_eq!(enrol_lying(|key| key.origin = origin.to_owned()), Rejected::OtherOrigin, "{origin}");
    }
}

#[test]
fn a_frame_within_another_site_is_refused() {
    for (field, value) in [("crossOrigin", json!(true)), ("topOrigin", json!("https://evil.example"))] {
        let lie = |key: &mut SecurityKey| key.client_data.push((field.to_owned(), value.clone()));
        assert_eq!(answer_lying(lie), Rejected::CrossOrigin, "{field}");
        assert_eq!(enrol_lying(lie), Rejected::CrossOrigin, "{field}");
    }
}

#[test]
fn a_wrong_rp_id_is_refused() {
    for rp_id in ["evil.example", "example", "sub.gate.example", "GATE.EXAMPLE", ""] {
        let lie = |key: &mut SecurityKey| key.rp_id = Some(rp_id.to_owned());
        assert_eq!(answer_lying(lie), Rejected::OtherSite, "{rp_id}");
        assert_eq!(enrol_lying(lie), Rejected::OtherSite, "{rp_id}");
    }
}

#[test]
fn an_enrolment_is_no_answer_and_an_answer_no_enrolment() {
    assert_eq!(answer_lying(|key| key.kind = Some("webauthn.create".to_owned())), Rejected::OtherKind);
    assert_eq!(answer_lying(|key| key.kind = Some("payment.get".to_owned())), Rejected::OtherKind);
    assert_eq!(enrol_lying(|key| key.kind = Some("webauthn.get".to_owned())), Rejected::OtherKind);
}

#[test]
fn another_persons_credential_is_refused() {
    let (_, danas) = enrolled();
    let mut omars_key = key(2);
    enrol(&mut omars_key).unwrap();
    // Omar signs dana's challenge with his own key, however the list of those that are meant was changed on the way.
    assert_eq!(answer(&mut omars_key, &danas), Err(Rejected::Unknown));
    // Under the name of dana's, it is not her key that signed.
    omars_key.id = danas.id().to_vec();
    omars_key.handle = Some(danas.person().as_bytes().to_vec());
    assert_eq!(answer(&mut omars_key, &danas), Err(Rejected::BadSignature));
}

#[test]
fn another_persons_user_handle_is_refused_and_none_is_taken() {
    let lie = |key: &mut SecurityKey| key.handle = Some(handle(2).as_bytes().to_vec());
    assert_eq!(answer_lying(lie), Rejected::Unknown);
    assert_eq!(answer_lying(|key| key.handle = Some(b"dana".to_vec())), Rejected::Unknown);
    let (mut key, passkey) = enrolled();
    for none in [None, Some(Vec::new())] {
        key.handle = none;
        assert!(answer(&mut key, &passkey).is_ok());
    }
}

#[test]
fn a_passkey_that_was_removed_meanwhile_is_refused_and_who_has_none_is_not_asked_for_anybodys() {
    let (mut key, passkey) = enrolled();
    let signed = key.get(&options(&passkey, &challenge())).unwrap();
    let none = Assertion { site: &site(), challenge: &challenge(), passkeys: &[] };
    assert_eq!(none.finish(&signed), Err(Rejected::Unknown));
    assert_eq!(none.options(), Err(Rejected::Unknown));
}

#[test]
fn a_changed_backup_eligibility_is_refused_both_ways() {
    assert_eq!(answer_lying(|key| key.flags |= flag::BACKUP_ELIGIBLE), Rejected::BackupChanged);
    let both = flag::BACKUP_ELIGIBLE | flag::BACKED_UP;
    assert_eq!(answer_lying(|key| key.flags |= both), Rejected::BackupChanged);
    let mut synced = key(1);
    synced.flags |= flag::BACKUP_ELIGIBLE;
    let passkey = enrol(&mut synced).unwrap();
    synced.flags &= !flag::BACKUP_ELIGIBLE;
    assert_eq!(answer(&mut synced, &passkey), Err(Rejected::BackupChanged));
}

#[test]
fn a_backup_of_what_cannot_be_backed_up_is_refused() {
    assert_eq!(answer_lying(|key| key.flags |= flag::BACKED_UP), Rejected::BackupChanged);
    assert_eq!(enrol_lying(|key| key.flags |= flag::BACKED_UP), Rejected::BackupChanged);
}

#[test]
fn enrolling_under_another_enrolments_challenge_is_refused() {
    assert_eq!(enrol_lying(|key| key.challenge = Some(vec![9; 32])), Rejected::OtherChallenge);
}

#[test]
fn the_same_authenticator_is_not_enrolled_twice() {
    let (mut key, passkey) = enrolled();
    assert_eq!(create(&mut key, &[passkey]), Err(Rejected::Enrolled));
}

#[test]
fn a_person_has_a_bounded_number_of_passkeys() {
    let (_, passkey) = enrolled();
    assert_eq!(create(&mut key(2), &vec![passkey; MAX_PASSKEYS]), Err(Rejected::TooMany));
}

/// An answer to an enrolment, altered, and what becomes of it.
fn enrol_altered(alter: impl FnOnce(&mut Value)) -> Result<Passkey, Rejected> {
    let (site, challenge, person) = (site(), challenge(), handle(1));
    let enrolment =
        Enrolment { site: &site, challenge: &challenge, person: &person, existing: &[], roots: None };
    let mut made = key(1).create(&enrolment.options(&dana()).unwrap()).unwrap();
    alter(&mut made);
    enrolment.finish(&made, NOW)
}

#[test]
fn an_id_that_the_authenticator_did_not_sign_is_refused() {
    let refused = enrol_altered(|made| {
        made["id"] = json!(answer::to_base64(b"another"));
        made["rawId"] = made["id"].clone();
    });
    assert_eq!(refused, Err(Rejected::Unreadable));
}

#[test]
fn a_key_off_its_curve_or_of_an_unknown_kind_is_refused() {
    // The key's bytes are the last of the object: a5 01 02 03 26 20 01 21 5820 x 22 5820 y.
    for (at, byte, what) in
        [(76, None, "y"), (4, Some(0x27), "Ed25519"), (2, Some(0x01), "OKP"), (6, Some(0x02), "P-384")]
    {
        let refused = enrol_altered(|made| {
            *made = altered(made, "attestationObject", |bytes| {
                let start = bytes.len() - 77;
                bytes[start + at] = byte.unwrap_or(bytes[start + at] ^ 1);
            });
        });
        assert_eq!(refused, Err(Rejected::BadKey), "{what}");
    }
}
