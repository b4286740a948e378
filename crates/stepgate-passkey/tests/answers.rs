//! Answers of others: of Chromium's authenticators (`chromium` says which version; by its `WebAuthn` protocol, a security
//! key on USB and a synced passkey), and signatures of the other kinds by OpenSSL. All over a challenge of 32 times 1, for
//! `http://localhost:6480`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::Value;
use stepgate_passkey::{Assertion, Enrolment, Passkey, Rejected, Site, UserHandle};
use stepgate_types::Timestamp;

const CHALLENGE: [u8; 32] = [1; 32];

fn answers() -> Value {
    serde_json::from_str(include_str!("answers.json")).unwrap()
}

fn enrol(site: &Site, created: &Value) -> Result<Passkey, Rejected> {
    let person = UserHandle::from_bytes(&CHALLENGE).unwrap();
    let (challenge, existing, roots) = (&CHALLENGE, &[], None);
    let enrolment = Enrolment { site, challenge, person: &person, existing, roots };
    enrolment.finish(created, Timestamp::from_micros(0))
}

#[test]
fn what_browsers_and_other_kinds_of_key_answer_is_verified() {
    let (site, answers) = (Site::of("http://localhost:6480").unwrap(), answers());
    for (of, synced) in [("security_key", false), ("synced", true), ("rs256", false), ("es384", false)] {
        let passkey = enrol(&site, &answers[of]["created"]).unwrap();
        assert_eq!((passkey.is_backup_eligible(), passkey.is_backed_up()), (synced, synced), "{of}");
        // As it is stored and read again: each kind of key.
        let passkey = Passkey::read(&passkey.secret(), &passkey.state()).unwrap();
        assert!(passkey.secret().len() < 1_000, "{of}");
        let assertion = Assertion { site: &site, challenge: &CHALLENGE, passkeys: &[passkey] };
        let answered = assertion.finish(&answers[of]["got"]).unwrap();
        assert_eq!(answered.counter(), 2, "{of}");
        // Under another challenge, none of them is any.
        let other = Assertion { challenge: &[2; 32], ..assertion };
        assert_eq!(other.finish(&answers[of]["got"]), Err(Rejected::OtherChallenge), "{of}");
    }
}

#[test]
fn a_signature_of_one_key_is_none_of_another() {
    let (site, answers) = (Site::of("http://localhost:6480").unwrap(), answers());
    let kinds = ["security_key", "synced", "rs256", "es384"];
    for of in kinds {
        let passkey = enrol(&site, &answers[of]["created"]).unwrap();
        let assertion = Assertion { site: &site, challenge: &CHALLENGE, passkeys: &[passkey] };
        for other in kinds.into_iter().filter(|other| *other != of) {
            let mut answer = answers[of]["got"].clone();
            answer["response"]["signature"] = answers[other]["got"]["response"]["signature"].clone();
            assert_eq!(assertion.finish(&answer), Err(Rejected::BadSignature), "{other} for {of}");
        }
    }
}

#[test]
fn what_a_browser_made_on_another_page_is_refused() {
    let answers = answers();
    for (url, why) in [
        ("http://localhost:6481", Rejected::OtherOrigin),
        ("https://localhost:6480", Rejected::OtherOrigin),
        ("https://gate.example", Rejected::OtherOrigin),
    ] {
        let site = Site::of(url).unwrap();
        assert_eq!(enrol(&site, &answers["synced"]["created"]), Err(why), "{url}");
    }
}
