//! Why a command did not do what it was asked, for the person at the terminal.

use std::fmt;
use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// What kind of failure it is: the command's exit status (0 is done).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Status {
    /// 0: nobody reads the rest of what it says.
    Unread,
    /// 1: the answer is no.
    No,
    /// 1 as well: nobody is logged in any more by what was shown.
    LoginEnded,
    /// 2: wrong usage or configuration.
    Usage,
    /// 3: something is not reachable.
    Unreachable,
}

/// A failure, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Decides the exit status.
    pub(crate) status: Status,
    /// What went wrong. Several lines where several things did.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

impl Failure {
    /// The answer is no.
    pub(crate) fn no(message: impl Into<String>) -> Self {
        Self { status: Status::No, message: message.into(), hint: None }
    }

    /// The answer is no, and has been told already.
    pub(crate) fn told() -> Self {
        Self::no("")
    }

    /// Whoever read what is said has read enough (`| head`).
    pub(crate) fn unread() -> Self {
        Self { status: Status::Unread, message: String::new(), hint: None }
    }

    /// Whether there is anything left to say.
    pub(crate) fn is_told(&self) -> bool {
        self.message.is_empty()
    }

    /// Wrong usage or configuration.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: Status::Usage, message: message.into(), hint: None }
    }

    /// Not reachable.
    pub(crate) fn unreachable(message: impl Into<String>) -> Self {
        Self { status: Status::Unreachable, message: message.into(), hint: None }
    }

    /// A file that cannot be read or written, with the reason of the operating system.
    pub(crate) fn file(doing: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::usage(format!("cannot {doing} {}: {error}", path.display()))
    }

    /// Adds what to do about it.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit status.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.status {
            Status::Unread => 0,
            Status::No | Status::LoginEnded => 1,
            Status::Usage => 2,
            Status::Unreachable => 3,
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}
