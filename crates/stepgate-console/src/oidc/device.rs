//! Logins of programs on machines without a browser: OAuth 2.0 Device Authorization Grant (RFC 8628).
//!
//! The gate is the provider's client, and the only one that knows the `device_code`; whoever asked sees the `user_code`
//! alone. Somebody else's code can be sent to people who then log in for it (section 5.4): see `device_login.rs` for what
//! is done about it.

use std::net::IpAddr;
use std::sync::OnceLock;
use std::time::Duration;

use openidconnect::core::CoreDeviceAuthorizationResponse;
use openidconnect::http::{HeaderValue, header};
use openidconnect::{
    DeviceAuthorizationUrl, DeviceCodeErrorResponseType, Nonce, RequestTokenError, Scope, TokenResponse as _,
};

use super::claims::Authenticated;
use super::flow::{Expected, OidcError};
use super::provider::{Client, Oidc};
use crate::passwords;

/// The longest that one may take, whatever the provider would allow.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// Between two looks at what has become of it, at least, whatever the provider says (section 3.2).
const SOONEST: Duration = Duration::from_secs(1);

/// The same at most.
const LATEST: Duration = Duration::from_secs(60);

/// The longest code for people, and the longest address, in bytes.
const MAX_CODE: usize = 64;
const MAX_ADDRESS: usize = 512;

/// Moments before and after all that a login may take.
const EARLY: chrono::DateTime<chrono::Utc> = chrono::DateTime::<chrono::Utc>::UNIX_EPOCH;
const LATE: chrono::DateTime<chrono::Utc> = chrono::DateTime::<chrono::Utc>::MAX_UTC;

/// A login that somebody has begun on a machine without a browser; what the gate alone knows of it.
pub struct DeviceLogin {
    granted: CoreDeviceAuthorizationResponse,
    nonce: Nonce,
}

/// What has become of it.
pub enum Polled {
    /// Nothing yet; so long is to be waited before the next look.
    Waits(Duration),
    /// Somebody has logged in.
    In(Box<Authenticated>),
}

impl DeviceLogin {
    /// What people type at [`Self::address`].
    #[must_use]
    pub fn code(&self) -> &str {
        self.granted.user_code().secret()
    }

    /// Where they open a page (`verification_uri`).
    #[must_use]
    pub fn address(&self) -> &str {
        self.granted.verification_uri().as_str()
    }

    /// How long somebody has for it, from when it was begun.
    #[must_use]
    pub fn life(&self) -> Duration {
        self.granted.expires_in().min(LIFE)
    }

    /// How long is to be waited between two looks, at first.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.granted.interval().clamp(SOONEST, LATEST)
    }
}

impl Oidc {
    /// Begins one for a program at that address. What calls the provider says where the program is, which some of them show
    /// to whoever is asked to type the code.
    ///
    /// # Errors
    /// See [`OidcError`].
    pub fn begin_device(&self, asked_at: IpAddr) -> Result<DeviceLogin, OidcError> {
        if !self.settings.device {
            return Err(OidcError::NoDevices("logins without a browser are not switched on at this gate"));
        }
        let client = self.known_client()?;
        let none = OidcError::NoDevices("the identity provider knows no logins without a browser");
        let endpoint = client.device.clone().ok_or(none)?;
        let unusable = |_| OidcError::Provider("its device endpoint".to_owned());
        let endpoint = DeviceAuthorizationUrl::new(endpoint).map_err(unusable)?;
        let client = Client::clone(&client).set_device_authorization_url(endpoint);
        let nonce = Nonce::new(self.token()?);
        let scopes = ["profile", "email"].map(str::to_owned).into_iter().chain(self.settings.scopes.clone());
        let program = HeaderValue::from_str(&format!("stepgate (for a program at {asked_at})"));
        let granted: CoreDeviceAuthorizationResponse = client
            .exchange_device_code()
            .add_scopes(scopes.map(Scope::new))
            // Providers that do not know these here leave them unheeded.
            .add_extra_param("nonce", nonce.secret())
            .add_extra_param("max_age", passwords::FRESH.as_secs().to_string())
            .request(&|mut request: openidconnect::HttpRequest| {
                if let Ok(program) = &program {
                    request.headers_mut().insert(header::USER_AGENT, program.clone());
                }
                self.call(request)
            })
            .map_err(|error| OidcError::provider("its device endpoint", &error))?;
        let login = DeviceLogin { granted, nonce };
        self.is_presentable(&login)?;
        Ok(login)
    }

    /// What is shown to people must be what a provider shows.
    fn is_presentable(&self, login: &DeviceLogin) -> Result<(), OidcError> {
        let (code, address) = (login.code(), login.address());
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let plain_issuer = self.settings.issuer.starts_with("http://");
        let is_web = address.starts_with("https://") || (plain_issuer && address.starts_with("http://"));
        let fits = (1..=MAX_CODE).contains(&code.len()) && address.len() <= MAX_ADDRESS;
        if fits && is_web && is_plain(code) && is_plain(address) {
            return Ok(());
        }
        Err(OidcError::Provider("its device endpoint".to_owned()))
    }

    /// Looks once at what has become of it; `interval` is how long was waited before.
    ///
    /// # Errors
    /// See [`OidcError`]; it is over.
    pub fn poll_device(&self, login: &DeviceLogin, interval: Duration) -> Result<Polled, OidcError> {
        let client = self.known_client()?;
        // The library goes on until it is over, sleeping in between: its clock says after one look that time is up.
        let waits = OnceLock::new();
        let look = client
            .exchange_device_access_token(&login.granted)
            .map_err(|error| OidcError::provider("its token endpoint", &error))?
            .set_time_fn(|| if waits.get().is_some() { LATE } else { EARLY });
        let granted = login.granted.interval();
        let slept = |next| {
            // It sleeps once at most.
            let _ = waits.set(next);
        };
        let asked = look.request(&|request| self.call(request), slept, None);
        if let Some(next) = waits.get() {
            // `slow_down` is five seconds more, from now on (section 3.5); nobody reachable, a little longer.
            let longer = next.saturating_sub(granted);
            return Ok(Polled::Waits(interval.saturating_add(longer).clamp(SOONEST, LATEST)));
        }
        let answer = asked.map_err(|error| match error {
            RequestTokenError::ServerResponse(said) => match said.error() {
                DeviceCodeErrorResponseType::AccessDenied => OidcError::Refused,
                DeviceCodeErrorResponseType::ExpiredToken => OidcError::UnknownState,
                _ => OidcError::Provider("the exchange of the code".to_owned()),
            },
            error => OidcError::provider("the exchange of the code", &error),
        })?;
        let token = answer.id_token().ok_or(OidcError::Token("there is none"))?;
        // Few providers repeat a nonce here; the token came from the provider itself, for a code that it gave the gate
        // alone (OpenID Connect Core 1.0 section 3.1.3.7).
        let expected = Expected { nonce: login.nonce.clone(), may_lack_nonce: true, since: None };
        Ok(Polled::In(Box::new(self.checked(&client, token, &expected)?)))
    }
}
