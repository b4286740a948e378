use std::fmt;

/// A five-character SQLSTATE (PostgreSQL documentation, appendix A), or one of the gate's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SqlState(&'static str);

impl SqlState {
    /// `00000` successful_completion: the code of notices.
    pub const NOTICE: Self = Self("00000");
    /// `08006` connection_failure: the upstream is gone.
    pub const CONNECTION_FAILURE: Self = Self("08006");
    /// `08P01` protocol_violation.
    pub const PROTOCOL_VIOLATION: Self = Self("08P01");
    /// `0A000` feature_not_supported.
    pub const FEATURE_NOT_SUPPORTED: Self = Self("0A000");
    /// `22023` invalid_parameter_value: a setting that the server refuses.
    pub const INVALID_PARAMETER_VALUE: Self = Self("22023");
    /// `28000` invalid_authorization_specification.
    pub const INVALID_AUTHORIZATION: Self = Self("28000");
    /// `28P01` invalid_password.
    pub const INVALID_PASSWORD: Self = Self("28P01");
    /// `3D000` invalid_catalog_name: no such database.
    pub const UNDEFINED_DATABASE: Self = Self("3D000");
    /// `42501` insufficient_privilege: denied.
    pub const INSUFFICIENT_PRIVILEGE: Self = Self("42501");
    /// `42704` undefined_object: a setting that does not exist.
    pub const UNDEFINED_OBJECT: Self = Self("42704");
    /// `53200` out_of_memory: there is no room for a large message now.
    pub const OUT_OF_MEMORY: Self = Self("53200");
    /// `53300` too_many_connections.
    pub const TOO_MANY_CONNECTIONS: Self = Self("53300");
    /// `54000` program_limit_exceeded: one of the gate's bounds was reached.
    pub const PROGRAM_LIMIT_EXCEEDED: Self = Self("54000");
    /// `57014` query_canceled: expired or cancelled.
    pub const QUERY_CANCELED: Self = Self("57014");
    /// `57P01` admin_shutdown.
    pub const ADMIN_SHUTDOWN: Self = Self("57P01");
    /// `57P03` cannot_connect_now.
    pub const CANNOT_CONNECT_NOW: Self = Self("57P03");
    /// `58000` system_error: the gate's own trouble, such as a log it cannot write.
    pub const SYSTEM_ERROR: Self = Self("58000");
    /// `SG010`: deferred; the statement runs when it is sent again after approval.
    pub const DEFERRED: Self = Self("SG010");

    /// The five characters.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for SqlState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
