//! The provider of the configuration, and what is known of it.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openidconnect::core::{
    CoreAuthDisplay, CoreAuthPrompt, CoreClaimName, CoreClaimType, CoreClientAuthMethod,
    CoreErrorResponseType, CoreGenderClaim, CoreGrantType, CoreJsonWebKey, CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm, CoreJwsSigningAlgorithm, CoreResponseMode, CoreResponseType,
    CoreRevocableToken, CoreRevocationErrorResponse, CoreSubjectIdentifierType,
    CoreTokenIntrospectionResponse, CoreTokenType,
};
use openidconnect::{
    AdditionalProviderMetadata, ClientId, ClientSecret, EmptyExtraTokenFields, EndpointMaybeSet,
    EndpointNotSet, EndpointSet, IdTokenFields, IssuerUrl, ProviderMetadata, RedirectUrl,
    StandardErrorResponse, StandardTokenResponse,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepgate_types::{Clock, Entropy, PersonName, RequestId, Strength};
use zeroize::Zeroizing;

use super::claims::Extra;
use super::fetch::{Fetch, Unreachable};
use super::flow::OidcError;
use super::groups::Rules;
use super::health::Health;
use super::pending;

/// How long what the provider says of itself, its keys among it, is believed.
const FRESH: Duration = Duration::from_secs(60 * 60);

/// A key that is not known makes us ask again, but no oftener than this: tokens can be forged at will.
pub(super) const ASK_AGAIN: Duration = Duration::from_secs(60);

/// `acr` values that count, and what each is worth.
pub type Accepted = BTreeMap<String, Strength>;

/// `oidc:` of the configuration.
#[derive(Clone)]
pub struct Settings {
    /// The issuer, exactly as the provider writes it.
    pub issuer: String,
    /// What the provider knows the gate as.
    pub client_id: String,
    /// And the secret by which it is known; `None`: a public client, by PKCE alone.
    pub client_secret: Option<Zeroizing<String>>,
    /// Where the provider sends people back: `/oidc/callback` of the console's address.
    pub redirect: String,
    /// Ways of logging in that count.
    pub accepted: Accepted,
    /// The claim with people's names here.
    pub person_claim: String,
    /// Which of their groups count, where any come from the provider.
    pub groups: Option<Rules>,
    /// What a login asks for beside names and addresses: of some providers, groups.
    pub scopes: Vec<String>,
    /// Whether who logs in for the first time, by a name that nobody has, becomes somebody here.
    pub create: bool,
    /// Whether programs on machines without a browser may be logged in by a code (RFC 8628).
    pub device: bool,
    /// What people call the provider.
    pub label: String,
}

/// What a provider says of itself beyond OpenID Connect Discovery 1.0.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct More {
    /// RFC 8628 section 4. Whatever it is: a provider that says it wrongly is good for everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_authorization_endpoint: Option<Value>,
    /// RFC 9207 section 3, likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    authorization_response_iss_parameter_supported: Option<Value>,
}

impl AdditionalProviderMetadata for More {}

/// What a provider says of itself.
type Metadata = ProviderMetadata<
    More,
    CoreAuthDisplay,
    CoreClientAuthMethod,
    CoreClaimName,
    CoreClaimType,
    CoreGrantType,
    CoreJweContentEncryptionAlgorithm,
    CoreJweKeyManagementAlgorithm,
    CoreJsonWebKey,
    CoreResponseMode,
    CoreResponseType,
    CoreSubjectIdentifierType,
>;

type Fields = IdTokenFields<
    Extra,
    EmptyExtraTokenFields,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJwsSigningAlgorithm,
>;

pub(super) type Client = openidconnect::Client<
    Extra,
    CoreAuthDisplay,
    CoreGenderClaim,
    CoreJweContentEncryptionAlgorithm,
    CoreJsonWebKey,
    CoreAuthPrompt,
    StandardErrorResponse<CoreErrorResponseType>,
    StandardTokenResponse<Fields, CoreTokenType>,
    CoreTokenIntrospectionResponse,
    CoreRevocableToken,
    CoreRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// A provider that was found.
pub(super) struct Found {
    client: Client,
    /// Where programs without a browser ask for a code (RFC 8628 section 3.1), if anywhere.
    pub(super) device: Option<String>,
    /// Whether each of its answers to a browser says whose it is (RFC 9207).
    pub(super) names_itself: bool,
}

impl Deref for Found {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

/// What is known of the provider.
struct Known {
    found: Arc<Found>,
    /// On the monotonic clock.
    at: Duration,
}

/// An OpenID provider at which people log in again. Its calls block the thread.
pub struct Oidc {
    pub(super) settings: Settings,
    pub(super) fetch: Box<dyn Fetch>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) entropy: Arc<dyn Entropy>,
    pub(super) pending: pending::All,
    pub(super) health: Health,
    known: Mutex<Option<Known>>,
}

impl Oidc {
    /// A provider of which nothing is known yet.
    #[must_use]
    pub fn new(
        settings: Settings,
        fetch: Box<dyn Fetch>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        let (pending, health, known) = (pending::All::default(), Health::default(), Mutex::new(None));
        Self { settings, fetch, clock, entropy, pending, health, known }
    }

    /// Ways of logging in that count, and what each is worth.
    #[must_use]
    pub fn accepted(&self) -> &Accepted {
        &self.settings.accepted
    }

    /// What is configured of it.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether what was begun under this state is somebody's way in.
    pub(crate) fn is_login(&self, state: &str) -> bool {
        self.pending.is_login(state)
    }

    /// The request that what was begun under this state answers, in that login of theirs. It stays.
    pub(crate) fn about(&self, person: &PersonName, session: &str, state: &str) -> Option<RequestId> {
        self.pending.about(person, session, state)
    }

    /// Finds out whether the provider is there and is who it should be.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub fn check(&self) -> Result<(), OidcError> {
        self.client(Duration::ZERO).map(drop)
    }

    /// The client, by what the provider said of itself not longer ago than `fresh`.
    pub(super) fn client(&self, fresh: Duration) -> Result<Arc<Found>, OidcError> {
        let now = self.clock.monotonic();
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = known.as_ref().filter(|known| now < known.at.saturating_add(fresh.min(FRESH))) {
            return Ok(Arc::clone(&known.found));
        }
        // Without the lock: whoever is slow to answer holds up only who needs it now.
        drop(known);
        let found = Arc::new(self.looked(self.discover())?);
        let known = Known { found: Arc::clone(&found), at: now };
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(known);
        Ok(found)
    }

    pub(super) fn known_client(&self) -> Result<Arc<Found>, OidcError> {
        self.client(FRESH)
    }

    /// OpenID Connect Discovery 1.0 section 4; the issuer must be the one of the configuration, letter by letter.
    fn discover(&self) -> Result<Found, OidcError> {
        let Settings { issuer, client_id, client_secret, redirect, .. } = &self.settings;
        let issuer = IssuerUrl::new(issuer.clone()).map_err(|_| OidcError::Configuration("issuer"))?;
        let redirect =
            RedirectUrl::new(redirect.clone()).map_err(|_| OidcError::Configuration("console.url"))?;
        let metadata = Metadata::discover(&issuer, &|request| self.call(request))
            .map_err(|error| OidcError::provider("what it says of itself", &error))?;
        let more = metadata.additional_metadata();
        let device = more.device_authorization_endpoint.as_ref().and_then(Value::as_str).map(str::to_owned);
        let names_itself = more.authorization_response_iss_parameter_supported == Some(Value::Bool(true));
        let secret = client_secret.as_ref().map(|secret| ClientSecret::new(secret.to_string()));
        let client = Client::from_provider_metadata(metadata, ClientId::new(client_id.clone()), secret);
        Ok(Found { client: client.set_redirect_uri(redirect), device, names_itself })
    }

    /// All calls go through here: never in the clear, but on this machine.
    pub(super) fn call(
        &self,
        request: openidconnect::HttpRequest,
    ) -> Result<openidconnect::HttpResponse, Unreachable> {
        let uri = request.uri();
        let issuer_is_plain = self.settings.issuer.starts_with("http://");
        if uri.scheme_str() != Some("https") && !issuer_is_plain {
            return Err(Unreachable("it names an address that is not https".to_owned()));
        }
        let fetched = self.fetch.fetch(request);
        if fetched.is_err() {
            self.health.down("the identity provider cannot be reached");
        }
        fetched
    }
}
