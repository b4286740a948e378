//! A new passkey: Web Authentication level 3, section 7.1.

use serde_json::{Value, json};
use stepgate_types::{PersonName, Timestamp};
use webauthn_rs_core::proto as library;

use crate::answer::{Created, to_base64};
use crate::cbor::Reader;
use crate::client::{self, Kind};
use crate::{
    Attestation, Binding, MAX_PASSKEYS, Passkey, Rejected, Roots, Site, TIME_MS, UserHandle, authdata, site,
    verifier,
};

/// Kinds of key that are taken, best first, and their numbers (IANA COSE Algorithms). Ed25519 is none of those that
/// the library verifies.
const ALGORITHMS: [(&str, i32); 3] = [("ES256", -7), ("ES384", -35), ("RS256", -257)];

/// Forms of attestation that are looked at where roots are named. Of others only the key is taken.
const FORMS: [&str; 5] = ["packed", "tpm", "android-key", "fido-u2f", "apple"];

/// A ceremony by which a person gets a passkey. The same at its beginning and its end, but for `existing`.
#[derive(Debug, Clone, Copy)]
pub struct Enrolment<'a> {
    /// The console's site.
    pub site: &'a Site,
    /// What is signed, in attestations that sign it.
    pub challenge: &'a Binding,
    /// Whom it is for.
    pub person: &'a UserHandle,
    /// The passkeys that the person has at this moment.
    pub existing: &'a [Passkey],
    /// Makers of authenticators who are trusted. With them, the browser asks the person whether the authenticator may
    /// say who made it.
    pub roots: Option<&'a Roots>,
}

impl Enrolment<'_> {
    /// What to give the browser: `PublicKeyCredentialCreationOptionsJSON`.
    ///
    /// # Errors
    /// [`Rejected::TooMany`].
    pub fn options(&self, name: &PersonName) -> Result<Value, Rejected> {
        if self.existing.len() >= MAX_PASSKEYS {
            return Err(Rejected::TooMany);
        }
        Ok(json!({
            "rp": {"id": self.site.id(), "name": site::NAME},
            "user": {
                "id": to_base64(self.person.as_bytes()), "name": name.as_str(), "displayName": name.as_str(),
            },
            "challenge": to_base64(self.challenge),
            "pubKeyCredParams": ALGORITHMS.map(|(_, number)| json!({"type": "public-key", "alg": number})),
            "timeout": TIME_MS,
            "excludeCredentials": self.existing.iter().map(descriptor).collect::<Vec<_>>(),
            // The person is known before they answer, so the authenticator need not remember whose key it is:
            // security keys have little room for that. Phones and computers do so anyway.
            "authenticatorSelection": {
                "residentKey": "preferred", "requireResidentKey": false, "userVerification": "required",
            },
            "attestation": if self.roots.is_some() { "direct" } else { "none" },
        }))
    }

    /// Takes the browser's answer (`PublicKeyCredential.toJSON()`). That somebody else has a passkey of this id does no
    /// harm: a person is known before they answer, and only their own passkeys are looked at.
    ///
    /// # Errors
    /// [`Rejected`].
    pub fn finish(&self, answer: &Value, now: Timestamp) -> Result<Passkey, Rejected> {
        if self.existing.len() >= MAX_PASSKEYS {
            return Err(Rejected::TooMany);
        }
        let created = Created::read(answer)?;
        client::check(&created.client_data, Kind::Create, self.challenge, self.site)?;
        let object = Object::read(&created.attestation).ok_or(Rejected::Unreadable)?;
        let (id, aaguid) = authdata::of_enrolment(object.authenticator_data)?;
        if id != created.id {
            return Err(Rejected::Unreadable);
        }
        if self.existing.iter().any(|one| one.id() == id) {
            return Err(Rejected::Enrolled);
        }
        let looked_at = self.roots.filter(|_| FORMS.contains(&object.form));
        // What was not asked for is not read: parsers of certificates have no business with strangers' bytes.
        let attestation_object = match looked_at {
            Some(_) => created.attestation.clone(),
            None => unattested(object.authenticator_data),
        };
        let verified = self.verify(&created, attestation_object)?;
        let attestation =
            looked_at.map_or(Attestation::None, |roots| roots.judge(&verified.attestation.data, now));
        Passkey::new(&verified, aaguid, created.transports, attestation, self.person.clone())
    }

    fn verify(
        &self,
        created: &Created,
        attestation_object: Vec<u8>,
    ) -> Result<library::Credential, Rejected> {
        let state = serde_json::from_value(json!({
            "policy": "required",
            "exclude_credentials": [],
            "challenge": to_base64(self.challenge),
            "credential_algorithms": ALGORITHMS.map(|(name, _)| name),
            "require_resident_key": false,
            "authenticator_attachment": null,
            "extensions": {},
            "allow_synchronised_authenticators": true,
        }))
        .map_err(|_| Rejected::Unreadable)?;
        let response = library::RegisterPublicKeyCredential {
            id: to_base64(&created.id),
            raw_id: created.id.clone(),
            response: library::AuthenticatorAttestationResponseRaw {
                attestation_object,
                client_data_json: created.client_data.clone(),
                transports: None,
            },
            type_: "public-key".to_owned(),
            extensions: library::RegistrationExtensionsClientOutputs::default(),
        };
        // Without roots: with them the library would ask for the time.
        Ok(verifier(self.site)?.register_credential(&response, &state, None)?)
    }
}

/// A credential in a list of those that are meant (section 5.8.3).
pub(crate) fn descriptor(passkey: &Passkey) -> Value {
    let mut one = json!({"type": "public-key", "id": passkey.id_text()});
    if let Some(fields) = one.as_object_mut().filter(|_| !passkey.transports().is_empty()) {
        fields.insert("transports".to_owned(), passkey.transports().into());
    }
    one
}

/// An attestation object (section 6.5.4), its statement passed over.
struct Object<'a> {
    form: &'a str,
    authenticator_data: &'a [u8],
}

impl<'a> Object<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        let (mut form, mut authenticator_data) = (None, None);
        for _ in 0..reader.map()? {
            match reader.text()? {
                "fmt" if form.is_none() => form = Some(reader.text()?),
                "authData" if authenticator_data.is_none() => authenticator_data = Some(reader.bytes()?),
                "fmt" | "authData" => return None,
                _ => reader.skip()?,
            }
        }
        if !reader.rest().is_empty() {
            return None;
        }
        Some(Self { form: form?, authenticator_data: authenticator_data? })
    }
}

/// The attestation object that says nothing (section 8.7): `{"fmt": "none", "attStmt": {}, "authData": …}`.
fn unattested(authenticator_data: &[u8]) -> Vec<u8> {
    // A string of bytes whose length follows in four of them.
    let length = u32::try_from(authenticator_data.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&b"\xa3\x63fmt\x64none\x67attStmt\xa0\x68authData\x5a"[..], &length, authenticator_data].concat()
}
