//! Why the glass is not broken, or not reviewed.

use stepgate_types::GrantId;

use super::{DeskError, VerifyError};
use crate::LogError;

/// Nothing was broken, ended or reviewed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlassError {
    /// The gate is not configured for it.
    #[error("break-glass is not set up at this gate")]
    NotConfigured,
    /// The person is not among those who may.
    #[error("you are not among those who may break the glass here")]
    NotEligible,
    /// They have no passkey that counts already.
    #[error("break-glass takes a passkey that was enrolled beforehand, and you have none that counts yet")]
    NoPasskey,
    /// No reason was given.
    #[error("break-glass takes a reason")]
    ReasonRequired,
    /// The last one is open, or was not reviewed.
    #[error("your break-glass {0} was not reviewed by somebody else yet; until then there is no other")]
    NotReviewed(GrantId),
    /// It is still in force.
    #[error("it is still in force; it is reviewed once it is over")]
    StillOpen,
    /// Nobody reviews their own.
    #[error("nobody reviews their own break-glass")]
    Own,
    /// A client's or database's name that nothing has.
    #[error("there is no such database, or a client's name is longer than 63 bytes")]
    Scope,
    /// Too many wait for their ceremony.
    #[error("too much is waiting for verification at this gate; try again later")]
    Full,
    /// The proof does not count.
    #[error(transparent)]
    Verify(#[from] VerifyError),
}

impl From<DeskError> for GlassError {
    fn from(error: DeskError) -> Self {
        Self::Verify(error.into())
    }
}

impl From<LogError> for GlassError {
    fn from(error: LogError) -> Self {
        Self::Verify(error.into())
    }
}
