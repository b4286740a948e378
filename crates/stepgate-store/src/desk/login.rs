//! Logging in by a passkey alone: name, then an assertion with user verification that is bound to this and nothing else.
//!
//! What a name is answered with says nothing of whether it is somebody's (Web Authentication level 3, section 14.6.2): a
//! name that nobody has, somebody without passkeys, and somebody with one get a list of as many credentials, the same at
//! each time. Challenges of logins are kept by whoever asked for them, not among those of people's requests: nobody's are
//! pushed out by who only knows a name.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use stepgate_approval::{
    AuthenticatorId, Bound, Ceremony, Credential, FactorError, Method, Proof, Purpose, Source,
};
use stepgate_types::{PersonName, Strength};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::inner::Inner;
use super::methods::Needs;
use super::prove::Asked;
use super::{Desk, DeskError, Presented, VerifyError, finish};
use crate::Person;

/// How much is to be proven.
pub(super) const NEEDS: Needs = Needs { required: Strength::PhishingResistant, for_others: false };

/// Credentials that a name is answered with: more than nearly everybody has.
const SHOWN: usize = 8;

/// The same for whoever has more: as many as anybody can have.
const SHOWN_OF_MANY: usize = 20;

/// Lengths of credentials' ids, in bytes, as authenticators make them.
const LENGTHS: [usize; 4] = [16, 20, 32, 64];

/// How long somebody has for it.
const LIFE: Duration = Duration::from_secs(120);

/// Logins of the last two minutes; each is some 100 bytes. Beyond, nobody is let in: nobody could tell what was used.
const MAX_USED: usize = 10_000;

/// Bytes of a sealed challenge: nonce, when it ends, MAC.
const SEALED: usize = 32 + 8 + 32;

/// What a browser signs to log somebody in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginChallenge {
    /// By which it is known again, with the answer.
    pub sealed: String,
    /// What is signed (base64url).
    pub challenge: String,
    /// Ids of credentials (base64url), some of them nobody's.
    pub credentials: Vec<String>,
}

/// What seals challenges of logins, and those that have let somebody in.
#[derive(Default)]
pub(super) struct Entrance {
    /// Of this start alone: challenges that were begun before go with it.
    salt: Option<[u8; 32]>,
    /// Until when each is remembered, on the monotonic clock.
    used: BTreeMap<[u8; 32], Duration>,
}

impl Entrance {
    /// Uses one up; `false`: it was, or nobody could tell any more.
    fn spend(&mut self, nonce: [u8; 32], now: Duration) -> bool {
        self.used.retain(|_, until| *until > now);
        self.used.len() < MAX_USED && self.used.insert(nonce, now.saturating_add(LIFE)).is_none()
    }
}

impl Desk {
    /// Whether anybody can log in by a passkey at this gate.
    #[must_use]
    pub fn has_passkeys(&self) -> bool {
        self.0.methods().factor(Method::Passkey).is_some()
    }

    /// What is asked of whoever says that this is their name.
    ///
    /// # Errors
    /// No randomness.
    pub fn login_challenge(&self, name: &str) -> Result<LoginChallenge, DeskError> {
        let (inner, person) = (&self.0, name.parse::<PersonName>().ok());
        let mut credentials =
            person.as_ref().map(|person| inner.login_credentials(person)).unwrap_or_default();
        let many = if credentials.len() > SHOWN { SHOWN_OF_MANY } else { SHOWN };
        for number in credentials.len()..many {
            credentials.push(inner.decoy(name, number));
        }
        credentials.sort();
        let nonce = inner.random()?;
        let challenge = match &person {
            Some(person) => Bound::Purpose(Purpose::Login).binding(person, &nonce),
            // Nobody can have that name: nobody answers it.
            None => inner.random()?,
        };
        let sealed = inner.seal(name, nonce)?;
        Ok(LoginChallenge { sealed, challenge: BASE64URL_NOPAD.encode(&challenge), credentials })
    }

    /// Logs in whoever has signed it: on disk when it returns, and for once. Who it is, and by which authenticator: a
    /// login by one that is removed is over.
    ///
    /// # Errors
    /// See [`VerifyError`]; nobody is to be told which.
    pub async fn login_by_passkey(
        &self,
        name: &str,
        sealed: &str,
        answer: Value,
        source: Source,
    ) -> Result<(Arc<Person>, AuthenticatorId), VerifyError> {
        let (inner, name, sealed) = (Arc::clone(&self.0), name.to_owned(), sealed.to_owned());
        finish(async move { inner.login_by_passkey(&name, &sealed, answer, source).await }).await
    }
}

impl Inner {
    /// Those of a person who could log in by one.
    fn passkeys_of(&self, person: &PersonName) -> Vec<Arc<Credential>> {
        let is_somebody = self.people.get(person).is_some_and(|known| !known.service);
        let all = if is_somebody { self.factors.of(person, Method::Passkey) } else { Vec::new() };
        all.into_iter().filter(|it| it.strength >= Strength::PhishingResistant).collect()
    }

    fn login_credentials(&self, person: &PersonName) -> Vec<String> {
        let credentials = self.passkeys_of(person);
        let Some(factor) = self.methods().factor(Method::Passkey) else { return Vec::new() };
        let (binding, request, now) = ([0; 32], None, self.clock.now());
        let ceremony =
            Ceremony { person, credentials: &credentials, binding, request, now, entropy: &*self.entropy };
        let Ok(begun) = factor.begin(&ceremony) else { return Vec::new() };
        let allowed = begun.shown.get("allowCredentials").and_then(Value::as_array).cloned();
        let id = |one: &Value| Some(one.get("id")?.as_str()?.to_owned());
        allowed.unwrap_or_default().iter().filter_map(id).collect()
    }

    /// The id of a credential that nobody has, of this name: always the same, and of a length that there could be.
    fn decoy(&self, name: &str, number: usize) -> String {
        let part = |part: u8| self.vault.hmac("login decoys", format!("{part} {number} {name}").as_bytes());
        let bytes: Vec<u8> = (0..3).flat_map(|number| part(number).to_vec()).collect();
        let (pick, id) = bytes.split_first().unwrap_or((&0, &[]));
        let length = LENGTHS.get(usize::from(*pick) % LENGTHS.len()).copied().unwrap_or(16);
        BASE64URL_NOPAD.encode(id.get(..length).unwrap_or(id))
    }

    fn login_mac(
        &self,
        salt: &[u8; 32],
        nonce: &[u8; 32],
        until: [u8; 8],
        name: &str,
    ) -> Zeroizing<[u8; 32]> {
        // All but the last have fixed lengths.
        self.vault.hmac("login challenges", &[&salt[..], nonce, &until, name.as_bytes()].concat())
    }

    /// What is kept by who asks instead of here.
    fn seal(&self, name: &str, nonce: [u8; 32]) -> Result<String, DeskError> {
        let fresh = self.random()?;
        let salt = *self.state().entrance.salt.get_or_insert(fresh);
        let until = self.clock.monotonic().saturating_add(LIFE).as_micros();
        let until = u64::try_from(until).unwrap_or(u64::MAX).to_be_bytes();
        let mac = self.login_mac(&salt, &nonce, until, name);
        Ok(BASE64URL_NOPAD.encode(&[&nonce[..], &until, &mac[..]].concat()))
    }

    /// The nonce of one that was begun here, for that name, not long ago, and has let nobody in yet.
    fn unseal(&self, name: &str, sealed: &str) -> Option<[u8; 32]> {
        let bytes = BASE64URL_NOPAD.decode(sealed.as_bytes()).ok().filter(|bytes| bytes.len() == SEALED)?;
        let (nonce, rest) = bytes.split_first_chunk::<32>()?;
        let (until, given) = rest.split_first_chunk::<8>()?;
        let state = self.state();
        let mac = self.login_mac(state.entrance.salt.as_ref()?, nonce, *until, name);
        let is_ours: bool = mac[..].ct_eq(given).into();
        let is_over = self.clock.monotonic() >= Duration::from_micros(u64::from_be_bytes(*until));
        (is_ours && !is_over && !state.entrance.used.contains_key(nonce)).then_some(*nonce)
    }

    async fn login_by_passkey(
        &self,
        name: &str,
        sealed: &str,
        answer: Value,
        source: Source,
    ) -> Result<(Arc<Person>, AuthenticatorId), VerifyError> {
        let unknown = || VerifyError::from(FactorError::UnknownAuthenticator);
        let nonce = self.unseal(name, sealed).ok_or_else(unknown)?;
        let person: PersonName = name.parse().map_err(|_| unknown())?;
        let _turn = self.turn.lock().await;
        let _changing = self.factors.changing().await;
        if self.passkeys_of(&person).is_empty() {
            return Err(unknown());
        }
        let bound = Bound::Purpose(Purpose::Login);
        let Needs { required, for_others } = NEEDS;
        let asked = Asked { person: &person, source, bound: &bound, required, for_others };
        let presented =
            Presented { method: Some(Method::Passkey), challenge: None, proof: Proof::Passkey(answer) };
        let binding = bound.binding(&person, &nonce);
        let answered = (Method::Passkey, binding, Zeroizing::default(), None);
        // What fails is recorded by who asks, for a name that nobody has as for others, and as fast.
        let proven = self.check_answer(&mut self.state(), &asked, &presented, answered);
        let proven = proven.map_err(|failed| failed.error)?;
        // Of two at once with the same, one is let in.
        if !self.state().entrance.spend(nonce, self.clock.monotonic()) {
            return Err(unknown());
        }
        self.log.append(proven.events, proven.writes.changes.clone()).await?;
        let known = self.people.get(&person).filter(|known| !known.service).ok_or_else(unknown)?;
        Ok((known, proven.verified.id))
    }
}
