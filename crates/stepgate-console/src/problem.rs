//! What the API answers when it does not do what was asked.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use stepgate_approval::{BadCode, Method, Refusal};
use stepgate_record::Outcome;
use stepgate_store::{DeskError, EnrolError, MethodInfo, PersonError, VerifyError};
use stepgate_types::Strength;

/// What was proven is too little for what is done by it.
const TOO_WEAK: &str = "too_weak";

/// An answer other than yes. `error` is for programs, `message` and `hint` for people.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    #[serde(skip)]
    status: StatusCode,
    error: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
    /// How an ended request ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Seconds until it makes sense to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u64>,
    /// The method that works where this one does not.
    #[serde(skip)]
    instead: Option<Method>,
    #[serde(skip)]
    challenge: Option<Challenge>,
}

/// The `WWW-Authenticate` header.
#[derive(Debug, Clone, Copy)]
enum Challenge {
    /// RFC 6750, section 3: nobody is logged in by what was sent.
    Login,
    /// RFC 9470, section 3: the login is good; what is missing is a fresh proof, of this strength or more.
    StepUp(Strength),
}

/// Whatever proves as much as `least`, that first.
fn acr_values(least: Strength) -> &'static str {
    match least {
        Strength::Weak => "weak standard strong phishing-resistant device-bound",
        Strength::Standard => "standard strong phishing-resistant device-bound",
        Strength::Strong => "strong phishing-resistant device-bound",
        Strength::PhishingResistant => "phishing-resistant device-bound",
        Strength::DeviceBound => "device-bound",
    }
}

impl Challenge {
    fn header(self) -> Option<HeaderValue> {
        match self {
            Self::Login => Some(HeaderValue::from_static("Bearer")),
            // A proof is for one action: none is so young that it would do for the next.
            Self::StepUp(least) => HeaderValue::try_from(format!(
                "Bearer error=\"insufficient_user_authentication\", \
                 error_description=\"a fresh proof is needed\", acr_values=\"{}\", max_age=0",
                acr_values(least)
            ))
            .ok(),
        }
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, error: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        let (hint, state, retry_after, instead, challenge) = (None, None, None, None, None);
        Self { status, error, message, hint, state, retry_after, instead, challenge }
    }

    pub(crate) fn hint(mut self, hint: &'static str) -> Self {
        self.hint = Some(hint);
        self
    }

    /// A fresh proof is needed; of what strength, [`Self::of_strength`] says where it is known.
    fn step_up(mut self) -> Self {
        self.challenge = Some(Challenge::StepUp(Strength::Standard));
        self
    }

    /// What an action asks for, where this says that a fresh proof is needed.
    pub(crate) fn of_strength(mut self, least: Strength) -> Self {
        if matches!(self.challenge, Some(Challenge::StepUp(_))) {
            self.challenge = Some(Challenge::StepUp(least));
        }
        self
    }

    /// Where what was proven is too little, says by what it would be enough.
    pub(crate) fn offering(self, offered: impl FnOnce() -> Vec<MethodInfo>) -> Self {
        if self.error != TOO_WEAK {
            return self;
        }
        match offered().iter().find(|it| it.available) {
            Some(it) => self.hint(use_instead(it.method)),
            None => self.hint("enrol what proves as much, on the gate's page /enrol"),
        }
    }

    /// Something is done with a fresh proof alone, and none came.
    pub(crate) fn proof_needed() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "proof_needed", "this needs a fresh code").step_up()
    }

    /// What it says to a person.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What works where this method does not, if anything does.
    pub(crate) const fn instead(&self) -> Option<Method> {
        self.instead
    }

    /// The same answer to a person, with this page for a body.
    pub(crate) fn with_page(&self, page: impl IntoResponse) -> Response {
        let mut response = (self.status, page).into_response();
        self.headers(&mut response);
        response
    }

    fn headers(&self, response: &mut Response) {
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge.and_then(Challenge::header) {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
    }

    pub(crate) fn login_required() -> Self {
        let problem = Self::new(StatusCode::UNAUTHORIZED, "login_required", "you are not logged in");
        Self { challenge: Some(Challenge::Login), ..problem }.hint("run: stepgate login NAME")
    }

    pub(crate) fn throttled(error: &'static str, message: String, seconds: u64) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, error, message);
        Self { retry_after: Some(seconds.max(1)), ..problem }
    }

    /// Whether the same may do in a moment.
    pub(crate) const fn is_throttled(&self) -> bool {
        self.retry_after.is_some()
    }

    /// Also for what exists and is not for this person to see.
    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", "there is no such thing, or it is not for you to see")
    }

    pub(crate) fn ended(outcome: Outcome) -> Self {
        let state = outcome.as_str();
        let problem = Self::new(StatusCode::CONFLICT, "ended", format!("this request has ended: {state}"));
        Self { state: Some(state), ..problem }
    }

    /// Neither causes nor texts of the log reach a person: they may name files of the gate.
    pub(crate) fn gate_trouble() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "gate", "the gate cannot record this, so it is not done")
            .hint("ask the operator of the gate to look at its log")
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Self {
        match error {
            DeskError::Unknown => Self::not_found(),
            DeskError::Ended(outcome) => Self::ended(outcome),
            DeskError::Log(_) | DeskError::NoEntropy => Self::gate_trouble(),
            DeskError::CoolingDown(seconds) | DeskError::CalledOff(seconds) => {
                Self::throttled("cooling_down", error.to_string(), seconds)
            }
            DeskError::TooManyComments => Self::new(StatusCode::CONFLICT, "full", error.to_string()),
            DeskError::Comment => Self::new(StatusCode::BAD_REQUEST, "comment", error.to_string()),
            DeskError::NotKept => Self::gate_trouble(),
            DeskError::TooManyOfPerson(_) | DeskError::Full | DeskError::Stopping => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", error.to_string())
            }
            DeskError::Unanswerable(_) => Self::new(StatusCode::CONFLICT, "unanswerable", error.to_string()),
        }
    }
}

impl From<VerifyError> for Problem {
    fn from(error: VerifyError) -> Self {
        let message = error.to_string();
        match error {
            VerifyError::Desk(error) => error.into(),
            VerifyError::Refused(refusal) => refused(refusal, message),
            VerifyError::NotEnrolled => Self::new(StatusCode::FORBIDDEN, "not_enrolled", message)
                .hint("ask the operator of the gate to run: stepgate enroll totp --as NAME"),
            VerifyError::BadCode(BadCode::Wrong) => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong_code", message).step_up()
            }
            VerifyError::BadCode(BadCode::Replayed) => {
                Self::new(StatusCode::UNAUTHORIZED, "code_replayed", message).step_up()
            }
            VerifyError::Throttled(throttled) => {
                Self::throttled("throttled", message, throttled.wait.as_secs())
            }
            VerifyError::Suspended => Self::new(StatusCode::FORBIDDEN, "suspended", message)
                .hint("use another method, or ask the operator to run: stepgate user factor unlock NAME ID"),
            VerifyError::Factor(_) => Self::new(StatusCode::UNAUTHORIZED, "wrong_proof", message).step_up(),
            VerifyError::Challenge(_) => Self::new(StatusCode::CONFLICT, "no_challenge", message),
            VerifyError::TooNew(_) => Self::new(StatusCode::FORBIDDEN, "too_new", message),
            VerifyError::Unavailable { instead, .. } => {
                let problem = Self::new(StatusCode::CONFLICT, "unavailable", message);
                match instead {
                    Some(method) => Self { instead, ..problem.hint(use_instead(method)) },
                    None => problem,
                }
            }
            VerifyError::NotFullyShown => Self::new(StatusCode::CONFLICT, "not_fully_shown", message)
                .hint("run: stepgate request show REQUEST"),
            VerifyError::Reason(_) => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "reason_too_long", message),
        }
    }
}

/// What to do where another method works.
const fn use_instead(method: Method) -> &'static str {
    match method {
        Method::Email => "use a code by e-mail instead: --method email",
        Method::Sms => "use a code by SMS instead: --method sms",
        Method::Totp => "use a code of your app instead: --method totp",
        Method::Recovery => "use one of your recovery codes instead: --method recovery",
        Method::Push => "use your device instead: --method push",
        Method::Oidc => "log in again at your identity provider instead, on the gate's page",
        Method::Passkey => "use your passkey instead, on the gate's page",
    }
}

impl From<EnrolError> for Problem {
    fn from(error: EnrolError) -> Self {
        let message = error.to_string();
        match error {
            EnrolError::Verify(error) => error.into(),
            EnrolError::UnknownPerson | EnrolError::NoFactor | EnrolError::NoReset => Self::not_found(),
            EnrolError::CodeNeeded => Self::new(StatusCode::UNAUTHORIZED, "code_needed", message).step_up(),
            EnrolError::EnrolCodeNeeded | EnrolError::TooWeak(_) => {
                Self::new(StatusCode::FORBIDDEN, "enrolment_code_needed", message)
            }
            EnrolError::BadEnrolCode => Self::new(StatusCode::FORBIDDEN, "bad_enrolment_code", message)
                .hint("ask the operator for a new one: stepgate user enroll-code NAME"),
            EnrolError::ResetNeeded => Self::new(StatusCode::FORBIDDEN, "reset_needed", message),
            EnrolError::Service => Self::new(StatusCode::FORBIDDEN, "service", message),
            EnrolError::BadName => Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad_name", message),
            EnrolError::NotBegun => Self::new(StatusCode::CONFLICT, "not_begun", message),
            EnrolError::Full => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message),
            EnrolError::Person(PersonError::Limit(_)) => Self::new(StatusCode::CONFLICT, "too_many", message),
            EnrolError::Person(_) => Self::gate_trouble(),
        }
    }
}

fn refused(refusal: Refusal, message: String) -> Problem {
    match refusal {
        Refusal::NotEligible => Problem::new(StatusCode::FORBIDDEN, "not_eligible", message),
        Refusal::RightUsed => Problem::new(StatusCode::CONFLICT, "right_used", message),
        Refusal::AlreadyVoted => Problem::new(StatusCode::CONFLICT, "already_answered", message),
        Refusal::TooWeak(least) => {
            Problem::new(StatusCode::UNAUTHORIZED, TOO_WEAK, message).step_up().of_strength(least)
        }
        Refusal::ReasonRequired => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "reason_required", message)
            .hint("give --reason TEXT"),
        Refusal::Expired => Problem::ended(Outcome::Expired),
        Refusal::OtherRequest => Problem::new(StatusCode::CONFLICT, "other_request", message),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, axum::Json(&self)).into_response();
        self.headers(&mut response);
        response
    }
}
