//! The operator's commands and their answers, one JSON object a line over the socket.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stepgate_store::{Account, Source};
use stepgate_types::{GrantId, GroupName, PersonName, RequestId, SessionId};
use zeroize::Zeroizing;

use crate::audit::AuditOperator;
use crate::deliver::SinkOperator;
use crate::failure::Failure;

/// One command. No `Debug`: some carry secrets.
#[derive(Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum Operator {
    UserAdd {
        name: PersonName,
        groups: Vec<GroupName>,
        service: bool,
        password: Zeroizing<String>,
    },
    /// Without a password: they have an account elsewhere.
    UserAddLinked {
        name: PersonName,
        groups: Vec<GroupName>,
        account: Account,
    },
    UserLink {
        name: PersonName,
        account: Account,
    },
    UserUnlink {
        name: PersonName,
        source: Source,
    },
    UserList {},
    UserRemove {
        name: PersonName,
    },
    UserPassword {
        name: PersonName,
        password: Zeroizing<String>,
    },
    UserGroups {
        name: PersonName,
        groups: Vec<GroupName>,
    },
    UserCertificates {
        name: PersonName,
        certificates: Vec<String>,
    },
    UserDelegate {
        name: PersonName,
        to: PersonName,
        groups: Vec<GroupName>,
        from_us: i64,
        until_us: i64,
    },
    /// Answers with a row `{"otpauth_uri": …}`. With a code of the authenticator that is enrolled, it is replaced.
    EnrollBegin {
        person: PersonName,
        code: Option<Zeroizing<String>>,
    },
    /// Answers with a row `{"codes": […]}`. Whoever has an authenticator gives a code of it.
    EnrollRecovery {
        person: PersonName,
        code: Option<Zeroizing<String>>,
    },
    EnrollConfirm {
        person: PersonName,
        code: Zeroizing<String>,
    },
    /// Answers with a row `{"code": …}`.
    EnrollCode {
        person: PersonName,
    },
    FactorList {
        person: PersonName,
    },
    FactorRemove {
        person: PersonName,
        id: String,
    },
    FactorUnlock {
        person: PersonName,
        id: String,
    },
    FactorReset {
        person: PersonName,
    },
    RequestList {},
    RequestShow {
        request: RequestId,
    },
    GlassList {},
    GrantList {},
    GrantRevoke {
        grant: GrantId,
    },
    SessionList {},
    SessionKill {
        session: SessionId,
    },
    /// What concerns the log itself.
    Audit(Box<AuditOperator>),
    /// What concerns where records are sent.
    Sink(SinkOperator),
    /// Answers with one row on the gate itself.
    Status {},
}

impl Operator {
    /// A command on the log.
    pub(crate) fn audit(command: AuditOperator) -> Self {
        Self::Audit(Box::new(command))
    }
}

/// One line of an answer; the last is `Done` or `Failed`.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Reply {
    /// A row of a listing.
    Row(Value),
    /// Text as it is.
    Text(String),
    /// All is done; what there is to say.
    Done(Option<String>),
    /// It is not.
    Failed(Failure),
}
