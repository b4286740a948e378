//! An answer by a passkey: Web Authentication level 3, section 7.2.

use serde_json::{Value, json};
use webauthn_rs_core::proto as library;

use crate::answer::{Got, to_base64};
use crate::client::{self, Kind};
use crate::enrolment::descriptor;
use crate::{Binding, Passkey, Rejected, Site, TIME_MS, authdata, verifier};

/// A ceremony by which a person answers. The same at its beginning and its end, but for `passkeys`: another tab may
/// have answered in between, or a passkey been removed.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// The console's site.
    pub site: &'a Site,
    /// What is signed.
    pub challenge: &'a Binding,
    /// The passkeys that the one person who is to answer has at this moment.
    pub passkeys: &'a [Passkey],
}

impl Assertion<'_> {
    /// What to give the browser: `PublicKeyCredentialRequestOptionsJSON`.
    ///
    /// # Errors
    /// [`Rejected::Unknown`]: the person has none.
    pub fn options(&self) -> Result<Value, Rejected> {
        // An empty list would mean "any passkey of this site", so anybody's.
        if self.passkeys.is_empty() {
            return Err(Rejected::Unknown);
        }
        Ok(json!({
            "rpId": self.site.id(),
            "challenge": to_base64(self.challenge),
            "timeout": TIME_MS,
            "allowCredentials": self.passkeys.iter().map(descriptor).collect::<Vec<_>>(),
            "userVerification": "required",
        }))
    }

    /// Takes the browser's answer (`PublicKeyCredential.toJSON()`), and says by which passkey the person was verified,
    /// as it is to be kept from now on: with its new counter and state of backup. The answer counts once these are
    /// durable: in the same append as what it decides.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn finish(&self, answer: &Value) -> Result<Passkey, Rejected> {
        let got = Got::read(answer)?;
        client::check(&got.client_data, Kind::Get, self.challenge, self.site)?;
        authdata::is_of_answer(&got.authenticator_data)?;
        let mut passkey =
            self.passkeys.iter().find(|one| one.id() == got.id).ok_or(Rejected::Unknown)?.clone();
        // Authenticators say it or not; who says another's name is not the one who was asked.
        let named = got.user_handle.as_deref().filter(|handle| !handle.is_empty());
        if named.is_some_and(|handle| handle != passkey.person().as_bytes()) {
            return Err(Rejected::Unknown);
        }
        let result = self.verify(got, &passkey)?;
        if !result.user_verified() {
            return Err(Rejected::NotVerified);
        }
        passkey.answered(result.counter(), result.backup_state());
        Ok(passkey)
    }

    fn verify(&self, got: Got, passkey: &Passkey) -> Result<library::AuthenticationResult, Rejected> {
        let state = serde_json::from_value(json!({
            "credentials": [],
            "policy": "required",
            "challenge": to_base64(self.challenge),
            "appid": null,
            "allow_backup_eligible_upgrade": false,
        }))
        .map_err(|_| Rejected::Unreadable)?;
        let response = library::PublicKeyCredential {
            id: to_base64(&got.id),
            raw_id: got.id,
            response: library::AuthenticatorAssertionResponseRaw {
                authenticator_data: got.authenticator_data,
                client_data_json: got.client_data,
                signature: got.signature,
                user_handle: got.user_handle,
            },
            extensions: library::AuthenticationExtensionsClientOutputs::default(),
            type_: "public-key".to_owned(),
        };
        let credential = passkey.to_library();
        Ok(verifier(self.site)?.authenticate_single_credential(&response, &state, &credential)?)
    }
}
