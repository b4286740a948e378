//! Why an answer of a browser does not count.

use webauthn_rs_core::error::WebauthnError;

/// Why an answer does not count. Says nothing that a person may not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// Longer than any that an authenticator gives.
    #[error("the passkey's answer is too long")]
    TooLong,
    /// Not what browsers send.
    #[error("the passkey's answer cannot be read")]
    Unreadable,
    /// Of the other ceremony: an enrolment for an answer, or the other way round.
    #[error("the passkey's answer is of another kind")]
    OtherKind,
    /// Made for another request, another decision, or an earlier ceremony.
    #[error("the passkey's answer belongs to another request")]
    OtherChallenge,
    /// Made on a page of another site.
    #[error("the passkey's answer comes from another site")]
    OtherOrigin,
    /// Made in a frame of another site's page.
    #[error("the passkey's answer comes from a page within another")]
    CrossOrigin,
    /// The authenticator signed for another relying party.
    #[error("the passkey answered for another site")]
    OtherSite,
    /// Nobody touched the authenticator.
    #[error("nobody confirmed at the authenticator")]
    NotPresent,
    /// The authenticator did not verify the person: no PIN, no finger, no face.
    #[error("the authenticator did not verify you; set up a PIN, fingerprint or face there")]
    NotVerified,
    /// Not a passkey of this person.
    #[error("this passkey is not one of yours")]
    Unknown,
    /// This one is enrolled already.
    #[error("this passkey is enrolled already")]
    Enrolled,
    /// There are as many as one person may have ([`super::MAX_PASSKEYS`]).
    #[error("you have as many passkeys as can be; remove one first")]
    TooMany,
    /// The signature is not this key's over these bytes.
    #[error("the passkey's signature is wrong")]
    BadSignature,
    /// The counter did not rise: there may be two copies of the key.
    #[error("this passkey may have been copied; remove it and enrol another")]
    PossibleCompromise,
    /// What the authenticator says of backups contradicts itself, or what it said before.
    #[error("this passkey has changed its nature; remove it and enrol it anew")]
    BackupChanged,
    /// A kind of key that is not accepted.
    #[error("this authenticator makes keys of an unsupported kind")]
    BadKey,
    /// The attestation is not what it claims to be.
    #[error("the authenticator's attestation is not valid")]
    BadAttestation,
}

impl From<WebauthnError> for Rejected {
    fn from(error: WebauthnError) -> Self {
        use WebauthnError as E;
        match error {
            E::InvalidClientDataType => Self::OtherKind,
            E::MismatchedChallenge => Self::OtherChallenge,
            E::InvalidRPOrigin => Self::OtherOrigin,
            E::CredentialCrossOrigin => Self::CrossOrigin,
            E::InvalidRPIDHash => Self::OtherSite,
            E::UserNotPresent => Self::NotPresent,
            E::UserNotVerified => Self::NotVerified,
            E::CredentialNotFound => Self::Unknown,
            E::AuthenticationFailure | E::SignatureInvalid => Self::BadSignature,
            E::CredentialPossibleCompromise => Self::PossibleCompromise,
            E::CredentialBackupEligibilityInconsistent | E::CredentialMayNotBeHardwareBound => {
                Self::BackupChanged
            }
            E::COSEKeyInvalidCBORValue
            | E::COSEKeyInvalidType
            | E::COSEKeyEDUnsupported
            | E::COSEKeyECDSAXYInvalid
            | E::COSEKeyRSANEInvalid
            | E::COSEKeyECDSAInvalidCurve
            | E::COSEKeyEDDSAXInvalid
            | E::COSEKeyEDDSAInvalidCurve
            | E::COSEKeyInvalidAlgorithm
            | E::CredentialAlteredAlgFromRequest
            | E::EcdsaPointInvalid
            | E::RsaParametersInvalid
            | E::SshPublicKeyEDUnsupported => Self::BadKey,
            E::ParseBase64Failure(_)
            | E::ParseCBORFailure(_)
            | E::ParseJSONFailure(_)
            | E::ParseNOMFailure
            | E::ParseInsufficientBytesAvailable
            | E::MissingAttestationCredentialData => Self::Unreadable,
            // What is left speaks of attestations. A new kind of error is a refusal in any case.
            _ => Self::BadAttestation,
        }
    }
}
