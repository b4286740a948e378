//! Why the desk does not do what it is asked.

use stepgate_approval::{BadCode, FactorError, Method, NoChallenge, Refusal, Throttled, TooLong};
use stepgate_record::Outcome;
use stepgate_types::Timestamp;

use crate::{LogError, PersonError};

/// A request cannot be opened, ended, shown or taken back. Nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeskError {
    /// The audit log refused: nothing passes.
    #[error(transparent)]
    Log(#[from] LogError),
    /// One person has too many open requests.
    #[error("you have {0} open requests; answer or cancel one first")]
    TooManyOfPerson(usize),
    /// Requests of this person went unanswered: seconds until more are taken.
    #[error("requests of yours were not answered; the next one is taken in {0} s")]
    CoolingDown(u64),
    /// This person has called off many requests that others were asked: seconds until more are taken.
    #[error("you have called off many requests; the next one is taken in {0} s")]
    CalledOff(u64),
    /// As much has been said about a request as is kept.
    #[error("there are as many comments on this request as it can have")]
    TooManyComments,
    /// It could not be kept encrypted, as the gate is configured to.
    #[error("the request cannot be kept")]
    NotKept,
    /// A comment says nothing, or is too long.
    #[error("a comment says something, in at most 1000 bytes")]
    Comment,
    /// The gate has too many open requests, waiters or held bytes.
    #[error("too much is waiting for verification at this gate; try again later")]
    Full,
    /// Nobody could answer it.
    #[error("this request cannot be answered: {0}")]
    Unanswerable(&'static str),
    /// There is no such request or grant, or it is not for this person to see.
    #[error("there is no such request")]
    Unknown,
    /// It has ended already; an ended request stays as it ended.
    #[error("this request has ended: {}", .0.as_str())]
    Ended(Outcome),
    /// The operating system gave no randomness.
    #[error("no randomness")]
    NoEntropy,
    /// The gate is stopping.
    #[error("the gate is stopping")]
    Stopping,
}

/// An answer does not count. Nothing has been approved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// There is no such request, it has ended, or the gate cannot go on.
    #[error(transparent)]
    Desk(#[from] DeskError),
    /// The answer is not allowed.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The person has no factor that could be verified.
    #[error("no authenticator is enrolled; run: stepgate enroll totp")]
    NotEnrolled,
    /// The code is wrong or spent.
    #[error(transparent)]
    BadCode(#[from] BadCode),
    /// Too many wrong codes.
    #[error(transparent)]
    Throttled(#[from] Throttled),
    /// Far too many wrong codes: this authenticator is not asked any more.
    #[error("too many wrong codes; verify yourself by another method, or ask the operator of the gate")]
    Suspended,
    /// The proof is none, for another reason than a wrong code.
    #[error(transparent)]
    Factor(FactorError),
    /// What the proof answers is not there (any more).
    #[error(transparent)]
    Challenge(#[from] NoChallenge),
    /// The authenticator is too new to approve what others ask.
    #[error("this authenticator counts for requests of others from {0} on")]
    TooNew(Timestamp),
    /// The method does not work at this moment.
    #[error("{method} does not work now: {why}")]
    Unavailable {
        /// Which.
        method: Method,
        /// Why, for people.
        why: String,
        /// Another one of at least the required strength that does.
        instead: Option<Method>,
    },
    /// The statement is longer than what was shown of it.
    #[error("the statement is long; read all of it before you approve it")]
    NotFullyShown,
    /// The reason is too long.
    #[error(transparent)]
    Reason(#[from] TooLong),
}

impl From<FactorError> for VerifyError {
    fn from(error: FactorError) -> Self {
        match error {
            FactorError::Wrong => BadCode::Wrong.into(),
            FactorError::Replayed => BadCode::Replayed.into(),
            FactorError::NotEnrolled => Self::NotEnrolled,
            FactorError::NoEntropy => DeskError::NoEntropy.into(),
            other => Self::Factor(other),
        }
    }
}

impl From<PersonError> for VerifyError {
    fn from(error: PersonError) -> Self {
        LogError::from(error).into()
    }
}

impl From<LogError> for VerifyError {
    fn from(error: LogError) -> Self {
        Self::Desk(error.into())
    }
}

/// An authenticator cannot be enrolled. What was enrolled before stays.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnrolError {
    /// There is no such person.
    #[error("there is no such person")]
    UnknownPerson,
    /// One is enrolled already: a password alone must not replace it.
    #[error("an authenticator is enrolled already; give a code of it to replace it")]
    CodeNeeded,
    /// There is none yet: a password alone must not enrol the first.
    #[error(
        "an enrolment code is needed; the operator of the gate makes one: stepgate user enroll-code NAME"
    )]
    EnrolCodeNeeded,
    /// The enrolment code is wrong, was used, or has lapsed.
    #[error("this enrolment code is wrong, was used, or has lapsed")]
    BadEnrolCode,
    /// There was one: whoever enrols the next needs two people.
    #[error(
        "the authenticators of this person were removed; enrolling again takes two people: stepgate user factor reset NAME"
    )]
    ResetNeeded,
    /// What is enrolled proves less than what is to be.
    #[error(
        "what is enrolled proves less than {0}; an enrolment code is needed besides: stepgate user enroll-code NAME"
    )]
    TooWeak(Method),
    /// A service never verifies itself.
    #[error("a service never verifies itself")]
    Service,
    /// The name is too long, or holds what cannot be shown.
    #[error("the name of an authenticator is 1 to 40 letters, digits, blanks and -._")]
    BadName,
    /// They have no such authenticator.
    #[error("there is no such authenticator")]
    NoFactor,
    /// Nobody has asked for a reset, or who confirms it may not.
    #[error("there is no reset of this person that you could confirm")]
    NoReset,
    /// Too many enrolments are under way.
    #[error("too many enrolments are under way; try again later")]
    Full,
    /// None was begun, or it took longer than ten minutes.
    #[error("no enrolment is under way; begin again")]
    NotBegun,
    /// The code is wrong, or too many were.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The factor could not be stored.
    #[error(transparent)]
    Person(#[from] PersonError),
}

impl From<DeskError> for EnrolError {
    fn from(error: DeskError) -> Self {
        Self::Verify(error.into())
    }
}
