//! One login at the provider: there and back.

use std::time::Duration;

use openidconnect::core::{CoreAuthPrompt, CoreJwsSigningAlgorithm, CoreResponseType};
use openidconnect::{
    AuthenticationContextClass, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, CsrfToken,
    Nonce, NonceVerifier as _, PkceCodeChallenge, PkceCodeVerifier, Scope, TokenResponse as _,
};
use stepgate_types::{PersonName, Strength, Timestamp};

use super::claims::{self, Authenticated, Claims, IdToken};
use super::errand::Errand;
use super::health::BEFORE_LEAVING;
use super::pending::Pending;
use super::provider::{ASK_AGAIN, Client, Oidc};
use crate::passwords;

/// How far the provider's clock and ours may be apart.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(5);

/// By how much a token may be of a time to come: whose clock goes wrong so far is no reason to keep everybody out.
const TO_COME: Duration = Duration::from_secs(60);

/// Signatures that count: none, and none by a shared secret, is a signature of the provider's.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 10] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EcdsaP521Sha512,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The longest `code`, `state` or `iss` of a callback that is looked at, in bytes.
const MAX_PARAMETER: usize = 4096;

/// A login that a browser is to be sent to.
#[derive(Debug, Clone)]
pub struct Begun {
    /// Where to.
    pub url: String,
    /// What the browser must bring back; to be bound to its session.
    pub state: String,
}

/// Why a login at the provider does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OidcError {
    /// A setting makes no sense.
    #[error("oidc: {0} of the configuration is not an address")]
    Configuration(&'static str),
    /// The provider is away, or what it says is not as it must be.
    #[error("the identity provider did not answer as it should: {0}")]
    Provider(String),
    /// This login was not begun here, has been finished, or took too long.
    #[error("this login at the identity provider was not begun here, or is over")]
    UnknownState,
    /// The provider said no (`error` of the callback).
    #[error("the identity provider refused the login")]
    Refused,
    /// The provider does not know logins without a browser (RFC 8628), or they are not switched on here.
    #[error("{0}")]
    NoDevices(&'static str),
    /// The token is not one for this login.
    #[error("the identity provider's token is not good for this: {0}")]
    Token(&'static str),
    /// No randomness.
    #[error("no random numbers")]
    NoEntropy,
}

impl OidcError {
    /// Only in which step: its own words may repeat what was sent.
    pub(super) fn provider(step: &str, error: &impl std::error::Error) -> Self {
        tracing::debug!(step, kind = std::any::type_name_of_val(error), "the identity provider");
        Self::Provider(step.to_owned())
    }
}

impl Oidc {
    /// Begins a login of `person`, or of whoever will turn out to be it. The token will have to repeat `challenge` (a
    /// SHA-256 over what is answered), so that no other login is taken for this one. Of the ways of the configuration,
    /// those of at least `strength` are asked for.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub fn begin(
        &self,
        person: Option<&PersonName>,
        session: &str,
        challenge: &[u8; 32],
        strength: Strength,
        errand: Errand,
    ) -> Result<Begun, OidcError> {
        // Whoever goes there finds it there: it may have stopped since it was last asked.
        let client = self.client(if errand.is_login() { BEFORE_LEAVING } else { Duration::ZERO })?;
        let (state, verifier) = (self.token()?, PkceCodeVerifier::new(self.token()?));
        let nonce = Nonce::new(hex(challenge));
        let given = (CsrfToken::new(state.clone()), nonce.clone());
        let mut request = client
            .authorize_url(
                AuthenticationFlow::<CoreResponseType>::AuthorizationCode,
                move || given.0,
                move || given.1,
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        if errand.is_login() {
            // Whoever is logged in there already need not be again. Names and groups come in these (section 5.4).
            let more = self.settings.scopes.iter().cloned();
            let scopes = ["profile", "email"].map(str::to_owned).into_iter().chain(more);
            request = request.add_scopes(scopes.map(Scope::new));
            if matches!(errand, Errand::Program(_)) {
                // It may mint a password: not by a session from whenever. Makes the token say when it was (section 2).
                request = request.set_max_age(passwords::FRESH);
            }
        } else {
            request = request.set_max_age(Duration::ZERO).add_prompt(CoreAuthPrompt::Login);
            for (acr, worth) in &self.settings.accepted {
                if *worth >= strength {
                    request = request.add_auth_context_value(AuthenticationContextClass::new(acr.clone()));
                }
            }
        }
        let (url, _, _) = request.url();
        let pending = Pending {
            person: person.cloned(),
            session: session.to_owned(),
            errand,
            nonce,
            verifier,
            begun: self.clock.now(),
        };
        self.pending.insert(&state, pending);
        Ok(Begun { url: url.into(), state })
    }

    /// Finishes one: the browser came back with `code` and `state`, and `iss` where the provider sends it (RFC 9207).
    /// `person` must be whom it was begun for, and `session` the login of theirs in which.
    ///
    /// # Errors
    /// See [`OidcError`]; the login is used up all the same.
    pub fn finish(
        &self,
        person: Option<&PersonName>,
        session: &str,
        state: &str,
        code: Option<&str>,
        iss: Option<&str>,
    ) -> Result<(Authenticated, Errand), OidcError> {
        let given = [Some(state), code, iss];
        if given.into_iter().flatten().any(|parameter| parameter.len() > MAX_PARAMETER) {
            return Err(OidcError::UnknownState);
        }
        let pending = self.pending.take(state, self.clock.now()).ok_or(OidcError::UnknownState)?;
        if pending.person.as_ref() != person || pending.session != session {
            return Err(OidcError::UnknownState);
        }
        // Mix-up: the answer of another provider (RFC 9207 section 2.4).
        if iss.is_some_and(|iss| iss != self.settings.issuer) {
            return Err(OidcError::Token("it is of another issuer"));
        }
        let code = AuthorizationCode::new(code.ok_or(OidcError::Refused)?.to_owned());
        let client = self.known_client()?;
        // Whoever mixes up providers leaves out what would tell (RFC 9207 section 2.4).
        if client.names_itself && iss.is_none() {
            return Err(OidcError::Token("its answer does not say whose it is"));
        }
        let answer = client
            .exchange_code(code)
            .map_err(|error| OidcError::provider("its token endpoint", &error))?
            .set_pkce_verifier(PkceCodeVerifier::new(pending.verifier.secret().clone()))
            .request(&|request| self.call(request))
            .map_err(|error| OidcError::provider("the exchange of the code", &error))?;
        let token = answer.id_token().ok_or(OidcError::Token("there is none"))?;
        let Pending { nonce, errand, begun, .. } = pending;
        let since = (!errand.is_login()).then_some(begun);
        let who = self.checked(&client, token, &Expected { nonce, may_lack_nonce: false, since })?;
        Ok((who, errand))
    }

    /// Who a token of the provider's says it is.
    pub(super) fn checked(
        &self,
        client: &Client,
        token: &IdToken,
        expected: &Expected,
    ) -> Result<Authenticated, OidcError> {
        Ok(match self.check_token(client, token, expected) {
            // Its keys may have changed.
            Err(Bad::Signature) => self.check_token(&*self.client(ASK_AGAIN)?, token, expected),
            checked => checked,
        }?)
    }

    fn check_token(
        &self,
        client: &Client,
        token: &IdToken,
        expected: &Expected,
    ) -> Result<Authenticated, Bad> {
        let seconds = self.clock.now().micros().div_euclid(1_000_000);
        let now = chrono_time(seconds).ok_or(Bad::Token("the clock is beyond all dates"))?;
        let verifier = client
            .id_token_verifier()
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || now)
            .set_other_audience_verifier_fn(|_| false);
        let nonce = |given: Option<&Nonce>| match given {
            None if expected.may_lack_nonce => Ok(()),
            given => expected.nonce.verify(given),
        };
        let claims = token.claims(&verifier, nonce).map_err(|error| Bad::from(&error))?;
        self.is_ours_by_now(claims)?;
        let known = self.settings.accepted.get_key_value(acr(claims).unwrap_or_default());
        let strength = known.map_or(Strength::Weak, |(_, strength)| *strength);
        if let Some(since) = expected.since {
            self.is_fresh(claims, since)?;
            acr(claims).ok_or(Bad::Token("acr is missing"))?;
            known.ok_or(Bad::Token("acr is none of those accepted"))?;
        }
        Ok(Authenticated {
            nonce: expected.nonce.secret().clone(),
            issuer: self.settings.issuer.clone(),
            subject: claims.subject().to_string(),
            at: auth_time(claims),
            acr: acr(claims).map(str::to_owned),
            strength,
            called: claims::called(claims, &self.settings),
            groups: claims::groups(claims, &self.settings),
        })
    }

    /// What the library leaves to us (OpenID Connect Core 1.0 section 3.1.3.7, RFC 7519 sections 4.1.5 and 4.1.6): it was
    /// made for this client, even where several may take it, and is not of a time to come.
    fn is_ours_by_now(&self, claims: &Claims) -> Result<(), Bad> {
        if claims.authorized_party().is_some_and(|azp| azp.as_str() != self.settings.client_id) {
            return Err(Bad::Token("it was made for another client"));
        }
        let latest = self.clock.now().plus(TO_COME);
        let issued = Timestamp::from_micros(claims.issue_time().timestamp_micros());
        if issued > latest || claims::not_before(claims)?.is_some_and(|from| from > latest) {
            return Err(Bad::Token("it is of a time to come"));
        }
        Ok(())
    }

    /// The login was made after it was asked for.
    fn is_fresh(&self, claims: &Claims, begun: Timestamp) -> Result<(), Bad> {
        let at = auth_time(claims).ok_or(Bad::Token("auth_time is missing"))?;
        if at.plus(CLOCK_SKEW) < whole_second(begun) {
            return Err(Bad::Token("the login was before it was asked for"));
        }
        if at > self.clock.now().plus(CLOCK_SKEW) {
            return Err(Bad::Token("the login is yet to come"));
        }
        Ok(())
    }

    /// 256 random bits, in hexadecimal: also within what RFC 7636 section 4.1 allows a verifier.
    pub(super) fn token(&self) -> Result<String, OidcError> {
        let mut bytes = [0; 32];
        self.entropy.fill(&mut bytes).map_err(|_| OidcError::NoEntropy)?;
        Ok(hex(&bytes))
    }
}

fn auth_time(claims: &Claims) -> Option<Timestamp> {
    claims.auth_time().map(|at| Timestamp::from_micros(at.timestamp_micros()))
}

fn acr(claims: &Claims) -> Option<&str> {
    claims.auth_context_ref().map(|acr| acr.as_str())
}

/// What a token must say.
pub(super) struct Expected {
    /// What it was made for.
    pub(super) nonce: Nonce,
    /// Whether it may not say so: it came from the provider itself, in answer to what the gate alone knows.
    pub(super) may_lack_nonce: bool,
    /// It is of a login after this moment, in a way that counts.
    pub(super) since: Option<Timestamp>,
}

/// What is wrong with a token.
pub(super) enum Bad {
    /// Its signature, which is worth a look at newer keys.
    Signature,
    Token(&'static str),
}

impl From<&ClaimsVerificationError> for Bad {
    fn from(error: &ClaimsVerificationError) -> Self {
        Self::Token(match error {
            ClaimsVerificationError::SignatureVerification(_) => return Self::Signature,
            ClaimsVerificationError::Expired(_) => "it has expired",
            ClaimsVerificationError::InvalidAudience(_) => "it is for somebody else",
            ClaimsVerificationError::InvalidIssuer(_) => "it is of another issuer",
            ClaimsVerificationError::InvalidNonce(_) => "it is of another login",
            _ => "it is malformed",
        })
    }
}

impl From<Bad> for OidcError {
    fn from(bad: Bad) -> Self {
        match bad {
            Bad::Signature => Self::Token("its signature is not the provider's"),
            Bad::Token(why) => Self::Token(why),
        }
    }
}

/// `auth_time` has no fractions of a second.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_micros(at.micros().div_euclid(1_000_000).saturating_mul(1_000_000))
}

fn chrono_time(seconds: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(seconds, 0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
