//! What people verify themselves by: one trait for all of it, from a code of an app to a passkey.
//!
//! A factor is pure: it makes what the client is shown and checks what comes back. What it remembers of an
//! authenticator (a [`Credential`]) and of a challenge is handed to it; what it changes, it hands back, and the
//! desk writes that in the same append as the answer it verifies.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde_json::Value;
use stepgate_types::{Entropy, PersonName, RequestId, Strength, Timestamp};
use zeroize::Zeroizing;

/// A way to verify a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// A code sent by e-mail.
    Email,
    /// A code sent by SMS.
    Sms,
    /// A time-based one-time password (RFC 6238).
    Totp,
    /// One of the codes that were printed once.
    Recovery,
    /// A signature of an enrolled device, given after a code was typed into it.
    Push,
    /// Another login at the identity provider.
    Oidc,
    /// A passkey or security key, with user verification.
    Passkey,
}

impl Method {
    /// All of them, weakest first.
    pub const ALL: [Self; 7] =
        [Self::Email, Self::Sms, Self::Totp, Self::Recovery, Self::Push, Self::Oidc, Self::Passkey];

    /// The word used in commands, records and the API.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Totp => "totp",
            Self::Recovery => "recovery",
            Self::Push => "push",
            Self::Oidc => "oidc",
            Self::Passkey => "passkey",
        }
    }

    /// What it proves unless its authenticator is known to prove more or less (NIST SP 800-63B-4 section 3.1).
    #[must_use]
    pub const fn strength(self) -> Strength {
        match self {
            Self::Email | Self::Sms => Strength::Weak,
            Self::Totp | Self::Recovery => Strength::Standard,
            Self::Push | Self::Oidc => Strength::Strong,
            Self::Passkey => Strength::PhishingResistant,
        }
    }

    /// Whether who knows nothing could hit it by trying, so that tries are counted. What nobody can guess carries no
    /// counter: it could only be used to lock people out.
    #[must_use]
    pub const fn is_guessable(self) -> bool {
        matches!(self, Self::Email | Self::Sms | Self::Totp)
    }

    /// Whether a proof answers a challenge that was made before; else a code is enough, and is bound to the request
    /// it is handed in for.
    #[must_use]
    pub const fn needs_challenge(self) -> bool {
        !matches!(self, Self::Totp | Self::Recovery)
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The word is none of the methods.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no such method: totp, passkey, push, email, sms, oidc or recovery")]
pub struct UnknownMethod;

impl FromStr for Method {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        Self::ALL.into_iter().find(|method| method.as_str() == text).ok_or(UnknownMethod)
    }
}

/// One authenticator of a person: its method and eight random digits, such as `totp-3f9a12bc`; the method alone for
/// one from before there could be several. It carries no authority.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthenticatorId {
    method: Method,
    number: Option<[u8; 4]>,
}

impl AuthenticatorId {
    /// From random bytes.
    #[must_use]
    pub const fn new(method: Method, number: [u8; 4]) -> Self {
        Self { method, number: Some(number) }
    }

    /// The only one of its method, from before there could be several.
    #[must_use]
    pub const fn only(method: Method) -> Self {
        Self { method, number: None }
    }

    /// Its method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.method
    }
}

impl fmt::Display for AuthenticatorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.method.as_str())?;
        let Some(number) = self.number else { return Ok(()) };
        write!(f, "-{:08x}", u32::from_be_bytes(number))
    }
}

impl FromStr for AuthenticatorId {
    type Err = UnknownMethod;

    fn from_str(text: &str) -> Result<Self, UnknownMethod> {
        let Some((method, number)) = text.split_once('-') else { return Ok(Self::only(text.parse()?)) };
        let is_number = number.len() == 8 && number.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u32::from_str_radix(number, 16).ok().filter(|_| is_number).ok_or(UnknownMethod)?;
        Ok(Self::new(method.parse()?, number.to_be_bytes()))
    }
}

/// An enrolled authenticator, as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Which.
    pub id: AuthenticatorId,
    /// What its owner calls it.
    pub name: String,
    /// When enrolled.
    pub enrolled: Timestamp,
    /// Before this it does not count for approvals of what others ask.
    pub counts_from: Timestamp,
    /// What it proves.
    pub strength: Strength,
    /// What changes with use and is no secret: the last time step, a signature counter, how many codes are left.
    pub state: Vec<u8>,
    /// What it is checked by, as the factor wrote it. Sealed on disk; shown to nobody.
    pub secret: Zeroizing<Vec<u8>>,
}

impl Credential {
    /// Its method.
    #[must_use]
    pub const fn method(&self) -> Method {
        self.id.method()
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential").field("id", &self.id.to_string()).finish_non_exhaustive()
    }
}

/// What a person hands in. Does not print.
#[derive(Clone)]
pub enum Proof {
    /// A code that was typed: of an app, from a list, from a message.
    Code(Zeroizing<String>),
    /// What the browser made of a challenge: `PublicKeyCredential.toJSON()` (W3C WebAuthn Level 3, section 5.1).
    Passkey(Value),
    /// A device's signature, and the code that was typed into it.
    Push {
        /// Which device.
        device: AuthenticatorId,
        /// Its signature over the challenge's binding and the code.
        signature: Vec<u8>,
        /// The code that was shown where the statement waits.
        code: Zeroizing<String>,
    },
    /// The claims of an ID token, whose signature, issuer, audience and time were checked by who hands it in.
    Oidc(Value),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

/// What a factor may look at.
#[derive(Clone, Copy)]
pub struct Ceremony<'a> {
    /// Whose.
    pub person: &'a PersonName,
    /// Their authenticators of this method. In an enrolment, those that there are already.
    pub credentials: &'a [Arc<Credential>],
    /// SHA-256 of domain, nonce and what is being answered: what is signed, or what a code is kept with. Of a proof
    /// without a challenge it is made for the occasion.
    pub binding: [u8; 32],
    /// For which request, if for one; to be named in messages.
    pub request: Option<RequestId>,
    /// Now.
    pub now: Timestamp,
    /// Randomness.
    pub entropy: &'a dyn Entropy,
}

/// The first half of a ceremony.
pub struct Begun {
    /// What the client is shown.
    pub shown: Value,
    /// What the factor needs when the proof comes. Kept in memory, shown to nobody.
    pub kept: Zeroizing<Vec<u8>>,
    /// What is to be sent on another channel.
    pub message: Option<Message>,
}

/// Something to be sent on a channel, such as a code.
#[derive(Clone)]
pub struct Message {
    /// To where: an address, a number, a device's id.
    pub to: String,
    /// What is said. May hold a code.
    pub text: Zeroizing<String>,
    /// What it is about, where a channel shows that apart; `None`: a code.
    pub subject: Option<&'static str>,
}

/// A person is who they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// By which authenticator.
    pub id: AuthenticatorId,
    /// How much it proved this time.
    pub strength: Strength,
    /// The credential's new state. The proof counts only together with it.
    pub state: Vec<u8>,
    /// For records: the time step, the signature counter, or how many codes are left.
    pub counter: u64,
}

/// An authenticator that proved to work.
pub struct Enrolled {
    /// As [`Credential::secret`].
    pub secret: Zeroizing<Vec<u8>>,
    /// As [`Credential::state`].
    pub state: Vec<u8>,
    /// What it proves.
    pub strength: Strength,
    /// As [`Verified::counter`], of the proof that confirmed it.
    pub counter: u64,
}

/// Why a proof does not count, or none can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FactorError {
    /// It does not fit.
    #[error("wrong code")]
    Wrong,
    /// It was used already.
    #[error("this code has been used already; wait for the next one")]
    Replayed,
    /// It is none of this method.
    #[error("this is no answer to what was asked")]
    Malformed,
    /// It belongs to no authenticator of this person.
    #[error("this authenticator is not enrolled")]
    UnknownAuthenticator,
    /// It answers another challenge, site or owner.
    #[error("this answers something else")]
    Mismatched,
    /// The authenticator did not verify its user.
    #[error("the authenticator did not check that it is you (PIN, fingerprint or face)")]
    NotVerified,
    /// A counter went back, or the authenticator is not what it was: there may be a copy of it.
    #[error("this authenticator may have been copied; tell the operator of the gate")]
    Compromised,
    /// There is none to be used.
    #[error("no such authenticator is enrolled")]
    NotEnrolled,
    /// The new authenticator is not taken; why, in a few words for people.
    #[error("this authenticator is not taken: {0}")]
    NotTaken(&'static str),
    /// The operating system gave no randomness.
    #[error("no randomness")]
    NoEntropy,
}

impl FactorError {
    /// The word used in records.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Wrong => "wrong",
            Self::Replayed => "replayed",
            Self::Malformed => "malformed",
            Self::UnknownAuthenticator => "unknown-authenticator",
            Self::Mismatched => "mismatched",
            Self::NotVerified => "not-verified",
            Self::Compromised => "compromised",
            Self::NotEnrolled => "not-enrolled",
            Self::NotTaken(_) => "not-taken",
            Self::NoEntropy => "no-entropy",
        }
    }
}

/// A method, as code. Whoever builds one hands it to the desk.
pub trait Factor: Send + Sync {
    /// Which.
    fn method(&self) -> Method;

    /// Begins to verify a person by one of their authenticators. Not called where the method needs no challenge.
    ///
    /// # Errors
    /// See [`FactorError`].
    fn begin(&self, ceremony: &Ceremony<'_>) -> Result<Begun, FactorError>;

    /// Checks a proof. `kept` is what [`Factor::begin`] kept for this challenge; nothing, where there was none.
    ///
    /// # Errors
    /// See [`FactorError`]; nothing is verified.
    fn check(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Verified, FactorError>;

    /// Begins to enrol an authenticator; the person's right to do so was checked before. `about` is what the method
    /// must know for it (an address, a device's key), as the client sent it.
    ///
    /// # Errors
    /// See [`FactorError`].
    fn enrol(&self, ceremony: &Ceremony<'_>, about: &Value) -> Result<Begun, FactorError>;

    /// Confirms an enrolment by a proof of the new authenticator.
    ///
    /// # Errors
    /// See [`FactorError`]; nothing is enrolled.
    fn confirm(&self, ceremony: &Ceremony<'_>, kept: &[u8], proof: &Proof) -> Result<Enrolled, FactorError>;
}

/// How a method's messages leave, where it sends any, and whether it works at this moment. Neither call may wait.
pub trait Channel: Send + Sync {
    /// Why it does not work now, in a few words for people.
    ///
    /// # Errors
    /// The words.
    fn health(&self) -> Result<(), String>;

    /// Queues a message.
    ///
    /// # Errors
    /// Why it cannot, for people.
    fn send(&self, message: Message) -> Result<(), String>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ladder_is_that_of_the_design() {
        let ladder: Vec<_> = Method::ALL.iter().map(|method| (method.as_str(), method.strength())).collect();
        let expected = [
            ("email", Strength::Weak),
            ("sms", Strength::Weak),
            ("totp", Strength::Standard),
            ("recovery", Strength::Standard),
            ("push", Strength::Strong),
            ("oidc", Strength::Strong),
            ("passkey", Strength::PhishingResistant),
        ];
        assert_eq!(ladder, expected);
    }

    #[test]
    fn an_id_reads_as_it_is_written() {
        for id in
            [AuthenticatorId::only(Method::Totp), AuthenticatorId::new(Method::Passkey, [0, 1, 0xab, 2])]
        {
            assert_eq!(id.to_string().parse(), Ok(id));
        }
        for text in ["", "totp-", "totp-1", "totp-+0000001", "phone-00000001", "totp-000000001", "-00000001"]
        {
            assert_eq!(text.parse::<AuthenticatorId>(), Err(UnknownMethod), "{text}");
        }
    }
}
