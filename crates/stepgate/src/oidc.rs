//! The identity provider of the configuration, and calls to it.

use std::sync::Arc;

use stepgate_console::oidc::{Fetch, MAX_ANSWER, Oidc, Settings, Unreachable};
use stepgate_types::{Clock, Entropy};
use ureq::http::{Request, Response};

use crate::config::{Config, Provider};
use crate::deliver;
use crate::failure::Failure;
use crate::secret;

/// Where the provider sends people back to, below the console's address.
const CALLBACK: &str = "/oidc/callback";

struct Calls(ureq::Agent);

impl Fetch for Calls {
    fn fetch(&self, request: Request<Vec<u8>>) -> Result<Response<Vec<u8>>, Unreachable> {
        // Without the address: a query may hold what is nobody's business.
        let said = |error: ureq::Error| Unreachable(error.to_string());
        let (parts, mut body) = self.0.run(request).map_err(said)?.into_parts();
        let bytes = body.with_config().limit(MAX_ANSWER).read_to_vec().map_err(said)?;
        Ok(Response::from_parts(parts, bytes))
    }
}

/// The provider, of which nothing was asked yet: a gate starts without it.
pub(crate) fn provider(
    config: &Config,
    clock: &Arc<dyn Clock>,
    entropy: &Arc<dyn Entropy>,
) -> Result<Option<Arc<Oidc>>, Failure> {
    let Some(provider) = &config.oidc else { return Ok(None) };
    let Provider { issuer, client_id, secret_file, ca, acr, person, groups, scopes, create, device, label } =
        provider;
    let settings = Settings {
        issuer: issuer.clone(),
        client_id: client_id.clone(),
        client_secret: secret_file.as_deref().map(secret::read_private).transpose()?,
        redirect: format!("{}{CALLBACK}", config.console.url),
        accepted: acr.clone(),
        person_claim: person.clone(),
        groups: groups.clone(),
        scopes: scopes.clone(),
        create: *create,
        device: *device,
        label: label.clone(),
    };
    let calls = Box::new(Calls(deliver::agent(ca.as_deref())?));
    Ok(Some(Arc::new(Oidc::new(settings, calls, Arc::clone(clock), Arc::clone(entropy)))))
}
