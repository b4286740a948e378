//! SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677), both sides, without I/O.
//!
//! pgwire's own is not used: on the server's side it neither ties the channel binding flag to the mechanism
//! nor hides whether a name exists; on the client's side it has no channel binding, does not check that the
//! server's nonce extends its own, and takes any number of rounds.

mod client;
mod keys;
mod server;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

pub(crate) use client::{Binding, Exchange, ExpectVerifier};
pub(crate) use server::Offer;

/// Without channel binding.
pub(crate) const SCRAM: &str = "SCRAM-SHA-256";
/// With channel binding.
pub(crate) const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// The channel binding flag and type of -PLUS, as the header has it. PostgreSQL knows no other type.
const PLUS_HEADER: &[u8] = b"p=tls-server-end-point,,";

/// Bytes of a nonce before base64, as PostgreSQL has it (`SCRAM_RAW_NONCE_LEN`).
const NONCE: usize = 18;

/// The other side's message is not what the mechanism prescribes, or does not prove what it must.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Malformed, or other than what was negotiated.
    Malformed(&'static str),
    /// The mechanism is none that was offered.
    Mechanism,
    /// It is not bound to this channel.
    Unbound(Unbound),
    /// The proof is wrong.
    Proof,
}

/// How a login is not bound to the channel that it comes by: somebody may be between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unbound {
    /// The client was not told that it could be bound, though the gate has said so.
    NotOffered,
    /// The client has bound it to another certificate.
    Otherwise,
}

/// A fresh nonce.
pub(crate) fn nonce() -> std::io::Result<String> {
    let mut bytes = [0; NONCE];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(STANDARD.encode(bytes))
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

fn hash(message: &[u8]) -> [u8; 32] {
    Sha256::digest(message).into()
}

fn xor(left: [u8; 32], right: [u8; 32]) -> [u8; 32] {
    let mut both = left;
    both.iter_mut().zip(right).for_each(|(byte, other)| *byte ^= other);
    both
}

/// The value of the attribute that `part` must be, for example `r=`.
fn attribute<'a>(part: Option<&'a str>, name: &str) -> Result<&'a str, Refused> {
    part.and_then(|part| part.strip_prefix(name)).ok_or(Refused::Malformed("attribute expected"))
}

fn text(message: &[u8]) -> Result<&str, Refused> {
    std::str::from_utf8(message).map_err(|_| Refused::Malformed("not text"))
}

fn decode(text: &str) -> Result<Vec<u8>, Refused> {
    STANDARD.decode(text).map_err(|_| Refused::Malformed("not base64"))
}

/// RFC 5802: printable ASCII except the comma.
fn is_nonce(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| matches!(byte, 0x21..=0x2b | 0x2d..=0x7e))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use stepgate_store::ScramSecret;

    use super::*;

    const SALT: [u8; 16] = *b"0123456789abcdef";

    fn secret(password: &str) -> ScramSecret {
        let salted = pgwire::api::auth::sasl::scram::gen_salted_password(password, &SALT, 4096);
        let client_key = mac(&salted, b"Client Key");
        ScramSecret {
            salt: SALT.to_vec(),
            iterations: 4096,
            stored_key: hash(&client_key),
            server_key: mac(&salted, b"Server Key"),
        }
    }

    /// Client and server talk; `offered` is what the server binds to, `binding` what the client believes.
    fn talk(
        offered: Option<&[u8]>,
        binding: Binding<'_>,
        known: &str,
        typed: &str,
    ) -> Result<(), (&'static str, Refused)> {
        let (exchange, first) = Exchange::begin(binding, "clientnonce".to_owned());
        let (server, server_first) = Offer::new(offered)
            .begin(exchange.mechanism().as_bytes(), &first, &[secret(known)], "servernonce")
            .map_err(|why| ("server first", why))?;
        let (verifier, client_final) =
            exchange.answer(&server_first, typed).map_err(|why| ("client final", why))?;
        let (server_final, _) = server.finish(&client_final).map_err(|why| ("server final", why))?;
        verifier.check(&server_final).map_err(|why| ("client check", why))
    }

    #[test]
    fn both_sides_agree_with_and_without_channel_binding() {
        assert_eq!(talk(None, Binding::None, "pencil", "pencil"), Ok(()));
        assert_eq!(talk(Some(b"hash"), Binding::EndPoint(b"hash"), "pencil", "pencil"), Ok(()));
        assert_eq!(talk(None, Binding::NotOffered, "pencil", "pencil"), Ok(()));
        assert_eq!(talk(Some(b"hash"), Binding::None, "pencil", "pencil"), Ok(()));
    }

    #[test]
    fn the_example_of_rfc_7677_is_reproduced() {
        let exchange = Exchange::begin(Binding::None, "rOprNGfwEbeRWgbNEkqO".to_owned()).0;
        let first = b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let (verifier, client_final) = exchange.with_user("user").answer(first, "pencil").unwrap();
        assert_eq!(
            String::from_utf8(client_final).unwrap(),
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
             p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(verifier.check(b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
    }

    #[test]
    fn a_wrong_password_is_refused() {
        assert_eq!(talk(None, Binding::None, "pencil", "crayon"), Err(("server final", Refused::Proof)));
    }

    #[test]
    fn a_relayed_login_is_refused_by_channel_binding() {
        let relayed = talk(Some(b"gate"), Binding::EndPoint(b"impostor"), "pencil", "pencil");
        assert_eq!(relayed, Err(("server final", Refused::Unbound(Unbound::Otherwise))));
    }

    #[test]
    fn stripping_plus_from_the_offer_is_noticed() {
        let stripped = talk(Some(b"gate"), Binding::NotOffered, "pencil", "pencil");
        assert_eq!(stripped, Err(("server first", Refused::Unbound(Unbound::NotOffered))));
    }

    #[test]
    fn the_flag_must_fit_the_mechanism() {
        let begin = |offered, mechanism: &str, first: &[u8]| {
            Offer::new(offered)
                .begin(mechanism.as_bytes(), first, &[secret("pencil")], "servernonce")
                .map(drop)
        };
        let end_point = Some(b"hash".as_slice());
        assert_eq!(begin(None, SCRAM, b"n,,n=,r=abc"), Ok(()));
        for (offered, mechanism, first) in [
            (end_point, SCRAM, &b"p=tls-server-end-point,,n=,r=abc"[..]),
            (end_point, SCRAM_PLUS, b"n,,n=,r=abc"),
            (end_point, SCRAM_PLUS, b"y,,n=,r=abc"),
            (end_point, SCRAM_PLUS, b"p=tls-unique,,n=,r=abc"),
            (end_point, SCRAM, b"y,,n=,r=abc"),
            (None, SCRAM_PLUS, b"p=tls-server-end-point,,n=,r=abc"),
            (None, SCRAM, b"n,a=root,n=,r=abc"),
            (None, SCRAM, b"n,,m=ext,n=,r=abc"),
            (None, SCRAM, b"n,,n=,r="),
            (None, "SCRAM-SHA-1", b"n,,n=,r=abc"),
        ] {
            assert!(begin(offered, mechanism, first).is_err(), "{mechanism} {}", first.escape_ascii());
        }
        // What is none of those that were offered is told apart from what does not fit one of them.
        for (offered, mechanism) in [(end_point, "SCRAM-SHA-1"), (None, SCRAM_PLUS), (None, "scram-sha-256")]
        {
            assert_eq!(begin(offered, mechanism, b"n,,n=,r=abc"), Err(Refused::Mechanism));
        }
    }

    #[test]
    fn a_server_that_does_not_extend_the_nonce_or_asks_for_endless_rounds_is_refused() {
        for first in [
            "r=other,s=AAAA,i=4096",
            "r=clientnonce,s=AAAA,i=4096",
            "r=clientnoncex,s=AAAA,i=0",
            "r=clientnoncex,s=AAAA,i=2000000000",
            "r=clientnoncex,s=,i=4096",
            "m=x,r=clientnoncex,s=AAAA,i=4096",
            "",
        ] {
            let exchange = Exchange::begin(Binding::None, "clientnonce".to_owned()).0;
            assert!(exchange.answer(first.as_bytes(), "pencil").is_err(), "{first}");
        }
    }

    #[test]
    fn any_of_a_persons_passwords_is_theirs_and_it_is_known_which() {
        let known: Vec<_> = ["own", "one", "two"].into_iter().map(secret).collect();
        let which = |end_point: Option<&'static [u8]>, typed: &str| {
            let binding = end_point.map_or(Binding::None, Binding::EndPoint);
            let (exchange, first) = Exchange::begin(binding, "clientnonce".to_owned());
            let begun = Offer::new(end_point).begin(exchange.mechanism().as_bytes(), &first, &known, "n");
            let (server, server_first) = begun.unwrap();
            let (verifier, client_final) = exchange.answer(&server_first, typed).unwrap();
            let (server_final, which) = server.finish(&client_final)?;
            verifier.check(&server_final).unwrap();
            Ok(which)
        };
        for end_point in [None, Some(&b"hash"[..])] {
            for (number, typed) in ["own", "one", "two"].into_iter().enumerate() {
                assert_eq!(which(end_point, typed), Ok(number));
            }
            assert_eq!(which(end_point, "three"), Err(Refused::Proof));
        }
    }

    #[test]
    fn a_server_that_does_not_know_the_password_is_found_out() {
        let (exchange, first) = Exchange::begin(Binding::None, "clientnonce".to_owned());
        let begun = Offer::new(None).begin(SCRAM.as_bytes(), &first, &[secret("pencil")], "servernonce");
        let (_, server_first) = begun.unwrap();
        let (verifier, _) = exchange.answer(&server_first, "pencil").unwrap();
        let forged = format!("v={}", STANDARD.encode([0; 32]));
        assert_eq!(verifier.check(forged.as_bytes()), Err(Refused::Proof));
    }

    proptest! {
        #[test]
        fn no_message_makes_either_side_panic(first in ".{0,60}", last in ".{0,80}", raw: Vec<u8>) {
            let offer = || Offer::new(Some(b"hash"));
            let secret = [secret("pencil")];
            drop(offer().begin(SCRAM.as_bytes(), &raw, &secret, "n"));
            drop(offer().begin(SCRAM_PLUS.as_bytes(), first.as_bytes(), &secret, "n"));
            if let Ok((server, _)) = offer().begin(SCRAM.as_bytes(), b"n,,n=,r=abc", &secret, "n") {
                let guess = format!("c=biws,r=abcn,{last}");
                prop_assert!(server.finish(guess.as_bytes()).is_err());
            }
            let (exchange, _) = Exchange::begin(Binding::None, "clientnonce".to_owned());
            drop(exchange.answer(&raw, "pencil"));
        }
    }
}
