//! The desk: where statements wait for people. Every step is on disk before it counts.

mod error;
mod view;

use std::net::IpAddr;
use std::sync::Arc;

use stepgate_approval::{Ask, Held, Wanted};
use stepgate_types::{Clock, Entropy, GrantId, PersonName, RequestId, StatementId};
use tokio::sync::broadcast;
use zeroize::Zeroizing;

pub use error::{DeskError, EnrolError, VerifyError};
pub use view::{End, GrantInfo, Part, Progress, RequestInfo, Shown, ShownParameter, Waiting};

use crate::{Factors, Log, LogError, People, Vault};

/// Requests, grants and factors of one gate. Cheap to clone. Its futures may be dropped at any time: what
/// was begun is finished.
#[derive(Clone)]
pub struct Desk {}

impl Desk {
    /// Rebuilds requests, grants and spent codes from the log. Requests that were open when the gate
    /// stopped are withdrawn; statements that were forwarded and never completed are recorded as of
    /// unknown outcome. Blocks the thread.
    ///
    /// # Errors
    /// The log cannot be read or written.
    pub fn open(
        _log: Log,
        _people: People,
        _factors: Factors,
        _vault: Vault,
        _clock: Arc<dyn Clock>,
        _entropy: Arc<dyn Entropy>,
    ) -> Result<Self, DeskError> {
        Err(LogError::Closed.into())
    }

    /// Opens a request for a held statement, or joins one that is open and whose grant would cover it.
    /// `ask.id` is replaced if it is taken; [`Waiting::request`] is the one to show.
    ///
    /// # Errors
    /// See [`DeskError`]; the statement must not pass.
    pub async fn ask(&self, _ask: Ask, _held: Held) -> Result<Waiting, DeskError> {
        Err(LogError::Closed.into())
    }

    /// A person verifies themselves for their own request.
    ///
    /// # Errors
    /// See [`VerifyError`]; nothing has been approved.
    pub async fn verify(
        &self,
        _request: RequestId,
        _person: &PersonName,
        _code: &str,
        _source: IpAddr,
    ) -> Result<End, VerifyError> {
        Err(LogError::Closed.into())
    }

    /// A person answers a request with a fresh code.
    ///
    /// # Errors
    /// See [`VerifyError`]; the answer does not count.
    pub async fn vote(
        &self,
        _request: RequestId,
        _person: &PersonName,
        _code: &str,
        _approve: bool,
        _reason: Option<&str>,
        _source: IpAddr,
    ) -> Result<Progress, VerifyError> {
        Err(LogError::Closed.into())
    }

    /// Verifies and spends a code of this person for something other than a request.
    ///
    /// # Errors
    /// See [`VerifyError`].
    pub async fn prove(&self, _person: &PersonName, _code: &str, _source: IpAddr) -> Result<(), VerifyError> {
        Err(LogError::Closed.into())
    }

    /// The statement's client is gone, or what waits is no longer what would run. With its last waiter a
    /// request is withdrawn.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn withdraw(&self, _request: RequestId, _statement: StatementId) -> Result<(), DeskError> {
        Err(LogError::Closed.into())
    }

    /// The statement was cancelled by who asked (Ctrl-C). With its last waiter a request is cancelled.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn cancel(&self, _request: RequestId, _statement: StatementId) -> Result<(), DeskError> {
        Err(LogError::Closed.into())
    }

    /// The person who asked cancels the whole request (`stepgate request cancel`).
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn cancel_request(&self, _request: RequestId, _person: &PersonName) -> Result<(), DeskError> {
        Err(LogError::Closed.into())
    }

    /// Ends what is due: expired requests, requests nobody waits for any more, grants, enrolments. To be
    /// called each second.
    ///
    /// # Errors
    /// The log refused. Nobody waits any longer then: every [`Waiting::ended`] is closed.
    pub async fn expire_due(&self) -> Result<(), DeskError> {
        Err(LogError::Closed.into())
    }

    /// The grant that covers this statement at this moment, if one does.
    #[must_use]
    pub fn covering_grant(&self, _wanted: &Wanted) -> Option<GrantId> {
        None
    }

    /// All grants in force.
    #[must_use]
    pub fn grants(&self) -> Vec<GrantInfo> {
        Vec::new()
    }

    /// Takes a grant back. `by` is who does it; `None` is the operator at the gate's own machine.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn revoke(&self, _grant: GrantId, _by: Option<PersonName>) -> Result<(), DeskError> {
        Err(LogError::Closed.into())
    }

    /// Takes back all grants of a person and withdraws their requests: after they were removed, lost a
    /// factor or changed groups.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub async fn revoke_person(
        &self,
        _person: &PersonName,
        _by: Option<PersonName>,
    ) -> Result<(), DeskError> {
        Err(LogError::Closed.into())
    }

    /// Open requests and the latest ended ones, newest last.
    #[must_use]
    pub fn requests(&self) -> Vec<RequestInfo> {
        Vec::new()
    }

    /// One request, open or ended.
    #[must_use]
    pub fn request(&self, _request: RequestId) -> Option<RequestInfo> {
        None
    }

    /// The held statement, for who asked and for those who may answer; unknown to everybody else.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn show(&self, _request: RequestId, _viewer: &PersonName) -> Result<Shown, DeskError> {
        Err(LogError::Closed.into())
    }

    /// The page of a part of the held statement that begins at byte `offset`.
    ///
    /// # Errors
    /// See [`DeskError`].
    pub fn show_more(
        &self,
        _request: RequestId,
        _viewer: &PersonName,
        _part: Part,
        _offset: usize,
    ) -> Result<stepgate_approval::Page, DeskError> {
        Err(LogError::Closed.into())
    }

    /// Hears of every request that is opened, answered or ended.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<RequestId> {
        broadcast::channel(1).1
    }

    /// Begins to enrol an authenticator: a fresh secret as `otpauth://` URI, to be confirmed within ten
    /// minutes. Who has one already gives a `code` of it.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enroll_begin(
        &self,
        _person: &PersonName,
        _code: Option<&str>,
        _source: IpAddr,
    ) -> Result<Zeroizing<String>, EnrolError> {
        Err(EnrolError::Full)
    }

    /// Confirms the enrolment with a code of the new authenticator. The code is spent.
    ///
    /// # Errors
    /// See [`EnrolError`].
    pub async fn enroll_confirm(
        &self,
        _person: &PersonName,
        _code: &str,
        _source: IpAddr,
    ) -> Result<(), EnrolError> {
        Err(EnrolError::NotBegun)
    }
}
