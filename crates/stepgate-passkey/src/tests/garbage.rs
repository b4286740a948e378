//! Bytes that no authenticator sends: refused, never a panic.

use proptest::prelude::*;

use super::*;

/// An answer of each kind, whole.
fn samples() -> (Passkey, Value, Value) {
    let (mut key, passkey) = enrolled();
    let got = key.get(&options(&passkey, &challenge())).unwrap();
    let mut created = Value::Null;
    enrol_altered(|made| created = made.clone()).unwrap();
    (passkey, got, created)
}

fn finish_answer(passkey: &Passkey, answer: &Value) -> Result<Passkey, Rejected> {
    finish(passkey, &challenge(), answer)
}

fn finish_enrolment(answer: Value) -> Result<Passkey, Rejected> {
    enrol_altered(|made| *made = answer)
}

fn length(answer: &Value, field: &str) -> usize {
    answer::unbase64(answer["response"][field].as_str().unwrap()).unwrap().len()
}

#[test]
fn what_is_longer_than_any_answer_is_not_even_decoded() {
    let (passkey, got, created) = samples();
    for field in ["authenticatorData", "clientDataJSON", "signature"] {
        let long = altered(&got, field, |bytes| bytes.resize(4096, 0));
        assert_eq!(finish_answer(&passkey, &long), Err(Rejected::TooLong), "{field}");
    }
    let long = altered(&created, "attestationObject", |bytes| bytes.resize(32 * 1024, 0));
    assert_eq!(finish_enrolment(long), Err(Rejected::TooLong));
    let mut long = got.clone();
    long["rawId"] = json!(answer::to_base64(&[1; 513]));
    long["id"] = long["rawId"].clone();
    assert_eq!(finish_answer(&passkey, &long), Err(Rejected::Unreadable));
    let mut many = created;
    many["response"]["transports"] = json!(vec!["usb"; 10_000]);
    assert_eq!(finish_enrolment(many).unwrap().transports(), ["usb"]);
}

#[test]
fn every_cut_of_every_field_is_refused() {
    let (passkey, got, created) = samples();
    for field in ["authenticatorData", "clientDataJSON", "signature"] {
        for length in 0..length(&got, field) {
            let cut = altered(&got, field, |bytes| bytes.truncate(length));
            assert!(finish_answer(&passkey, &cut).is_err(), "{field} cut to {length}");
        }
    }
    for field in ["attestationObject", "clientDataJSON"] {
        for length in 0..length(&created, field) {
            let cut = altered(&created, field, |bytes| bytes.truncate(length));
            assert!(finish_enrolment(cut).is_err(), "{field} cut to {length}");
        }
    }
}

#[test]
fn every_flipped_bit_of_what_is_signed_is_refused() {
    let (passkey, got, _) = samples();
    for field in ["authenticatorData", "clientDataJSON", "signature"] {
        for at in 0..length(&got, field) * 8 {
            let flipped = altered(&got, field, |bytes| bytes[at / 8] ^= 1 << (at % 8));
            assert!(finish_answer(&passkey, &flipped).is_err(), "bit {at} of {field}");
        }
    }
}

#[test]
fn bytes_beyond_the_end_are_refused_although_they_are_signed() {
    assert_eq!(enrol_lying(|key| key.trailing = vec![0xa0]), Rejected::Unreadable);
    assert_eq!(answer_lying(|key| key.trailing = vec![0xa0]), Rejected::Unreadable);
    // With the flag that says so, they are extensions, and nothing hangs on them.
    let mut key = key(1);
    key.flags |= flag::EXTENDED;
    key.trailing = b"\xa1\x63abc\xf5".to_vec();
    let passkey = enrol(&mut key).unwrap();
    assert!(answer(&mut key, &passkey).is_ok());
    // And a credential has no place in an answer.
    assert_eq!(answer_lying(|key| key.flags |= flag::ATTESTED), Rejected::Unreadable);
}

#[test]
fn what_two_readers_could_read_differently_is_refused() {
    let (passkey, got, _) = samples();
    let twice = altered(&got, "clientDataJSON", |bytes| {
        let text = String::from_utf8(bytes.clone()).unwrap();
        *bytes = text.replacen('{', "{\"origin\":\"https://evil.example\",", 1).into_bytes();
    });
    let mut other = vec![twice, Value::Null, json!([]), json!({}), json!("x")];
    for (at, value) in [
        ("/type", json!("password")),
        ("/id", json!("AAAA")),
        ("/rawId", json!("")),
        ("/response/signature", json!("AA==")),
        ("/response/signature", json!("+/+/")),
        ("/response/signature", json!(1)),
        ("/response/clientDataJSON", json!(answer::to_base64("[".repeat(2000).as_bytes()))),
    ] {
        let mut one = got.clone();
        *one.pointer_mut(at).unwrap() = value;
        other.push(one);
    }
    for one in other {
        assert_eq!(finish_answer(&passkey, &one), Err(Rejected::Unreadable), "{one:.60}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_in_any_field_are_refused_without_a_panic(
        field in 0..5_usize,
        noise in proptest::collection::vec(any::<u8>(), 0..400),
    ) {
        let (passkey, got, created) = samples();
        let name = ["authenticatorData", "signature", "clientDataJSON", "attestationObject", "clientDataJSON"][field];
        let refused = match field {
            0..=2 => finish_answer(&passkey, &altered(&got, name, |bytes| *bytes = noise)),
            _ => finish_enrolment(altered(&created, name, |bytes| *bytes = noise)),
        };
        prop_assert!(refused.is_err());
    }

    #[test]
    fn an_attestation_object_with_bytes_overwritten_never_panics(
        at in any::<prop::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 1..8),
    ) {
        let (_, _, created) = samples();
        let made = altered(&created, "attestationObject", |bytes| {
            let at = at.index(bytes.len());
            for (place, byte) in bytes.iter_mut().skip(at).zip(noise) {
                *place = byte;
            }
        });
        let _ = finish_enrolment(made);
    }
}
