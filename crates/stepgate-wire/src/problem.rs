use bytes::Bytes;
use stepgate_types::SqlState;

use crate::reply;

/// How bad a [`Problem`] is; decides what PostgreSQL's clients do with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// Something to read; nothing failed.
    Notice,
    /// Like a notice, more urgent.
    Warning,
    /// The statement failed; the session lives on.
    Error,
    /// The session ends.
    Fatal,
}

impl Severity {
    /// The word on the wire (fields `S` and `V`).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "NOTICE",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
            Self::Fatal => "FATAL",
        }
    }
}

/// Something the gate itself has to tell a client. Never carries literals, values or rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The severity it is sent with unless asked otherwise.
    pub severity: Severity,
    /// The SQLSTATE.
    pub state: SqlState,
    /// The primary message: one line, without the prefix `stepgate: `.
    pub message: String,
    /// DETAIL.
    pub detail: Option<String>,
    /// HINT: what to do about it.
    pub hint: Option<String>,
    /// Whether the message reads as PostgreSQL's own, without the prefix (only before there is a session).
    pub bare: bool,
}

impl Problem {
    /// A problem with only a message.
    #[must_use]
    pub fn new(severity: Severity, state: SqlState, message: impl Into<String>) -> Self {
        Self { severity, state, message: message.into(), detail: None, hint: None, bare: false }
    }

    /// An ERROR: the statement failed, the session lives on.
    #[must_use]
    pub fn error(state: SqlState, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, state, message)
    }

    /// A FATAL: the session ends.
    #[must_use]
    pub fn fatal(state: SqlState, message: impl Into<String>) -> Self {
        Self::new(Severity::Fatal, state, message)
    }

    /// A NOTICE.
    #[must_use]
    pub fn notice(message: impl Into<String>) -> Self {
        Self::new(Severity::Notice, SqlState::NOTICE, message)
    }

    /// PostgreSQL's own words for a failed login; the same whether the person exists or not.
    #[must_use]
    pub fn authentication_failed(user: &str) -> Self {
        Self {
            bare: true,
            ..Self::fatal(
                SqlState::INVALID_PASSWORD,
                format!("password authentication failed for user \"{user}\""),
            )
        }
    }

    /// With a DETAIL.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// With a HINT.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The primary message as it is sent: ASCII, prefixed; as PostgreSQL's own, with letters as they came.
    #[must_use]
    pub fn primary(&self) -> String {
        let one_line = |text: String| text.replace('\n', " ");
        if self.bare {
            one_line(crate::plain_letters(&self.message))
        } else {
            format!("stepgate: {}", one_line(crate::plain_ascii(&self.message)))
        }
    }

    /// An ErrorResponse of this problem's own severity; ERROR if that is no error at all.
    #[must_use]
    pub fn error_bytes(&self) -> Bytes {
        match self.severity {
            Severity::Fatal => reply::error_response(self, Severity::Fatal),
            _ => reply::error_response(self, Severity::Error),
        }
    }

    /// An ErrorResponse that ends the session.
    #[must_use]
    pub fn fatal_bytes(&self) -> Bytes {
        reply::error_response(self, Severity::Fatal)
    }

    /// A NoticeResponse; WARNING stays, everything else becomes NOTICE.
    #[must_use]
    pub fn notice_bytes(&self) -> Bytes {
        match self.severity {
            Severity::Warning => reply::notice_response(self, Severity::Warning),
            _ => reply::notice_response(self, Severity::Notice),
        }
    }
}
