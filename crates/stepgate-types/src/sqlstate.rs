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
    /// `22021` character_not_in_repertoire: text that is no UTF-8.
    pub const CHARACTER_NOT_IN_REPERTOIRE: Self = Self("22021");
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
    /// `ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE`.
    pub const NOT_IN_PREREQUISITE_STATE: Self = Self("55000");
    /// The transaction has failed, and does nothing more.
    pub const IN_FAILED_TRANSACTION: Self = Self("25P02");
    /// Somebody else uses it.
    pub const OBJECT_IN_USE: Self = Self("55006");
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

    /// What may be recorded of the five characters that a server sent: themselves where they are PostgreSQL's own, else
    /// [`SqlState::ANOTHER`]. Whoever may write a function or a DO block chooses them freely (`RAISE … USING errcode`), and
    /// five digits are a postcode or a PIN.
    #[must_use]
    pub fn recorded(code: &[u8]) -> &'static str {
        let mut known = POSTGRESQL.split_ascii_whitespace();
        known.find(|known| known.as_bytes() == code).unwrap_or(Self::ANOTHER)
    }

    /// That of a failure which programs look for to decide what they do next, and of which the five characters say little: a
    /// constraint that does not hold, a row that others have, a transaction to begin anew.
    #[must_use]
    pub fn acted_on(code: &[u8]) -> Option<Self> {
        const CODES: [&str; 8] = ["23502", "23503", "23505", "23514", "23P01", "40001", "40P01", "55P03"];
        CODES.iter().find(|known| known.as_bytes() == code).map(|known| Self(known))
    }

    /// Stands in records for a code that is not PostgreSQL's.
    pub const ANOTHER: &'static str = "?????";

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

/// `src/backend/utils/errcodes.txt` of PostgreSQL 13 to 18.
const POSTGRESQL: &str = "00000 01000 01003 01004 01006 01007 01008 0100C 01P01 02000 02001 03000 08000 08001 08003 \
     08004 08006 08007 08P01 09000 0A000 0B000 0F000 0F001 0L000 0LP01 0P000 0Z000 0Z002 10608 \
     20000 21000 22000 22001 22002 22003 22004 22005 22007 22008 22009 2200B 2200C 2200D 2200F \
     2200G 2200H 2200L 2200M 2200N 2200S 2200T 22010 22011 22012 22013 22014 22015 22016 22018 \
     22019 2201B 2201E 2201F 2201G 2201W 2201X 22021 22022 22023 22024 22025 22026 22027 2202E \
     2202G 2202H 22030 22031 22032 22033 22034 22035 22036 22037 22038 22039 2203A 2203B 2203C \
     2203D 2203E 2203F 2203G 22P01 22P02 22P03 22P04 22P05 22P06 23000 23001 23502 23503 23505 \
     23514 23P01 24000 25000 25001 25002 25003 25004 25005 25006 25007 25008 25P01 25P02 25P03 \
     25P04 26000 27000 28000 28P01 2B000 2BP01 2D000 2F000 2F002 2F003 2F004 2F005 34000 38000 \
     38001 38002 38003 38004 39000 39001 39004 39P01 39P02 39P03 3B000 3B001 3D000 3F000 40000 \
     40001 40002 40003 40P01 42000 42501 42601 42602 42611 42622 42701 42702 42703 42704 42710 \
     42712 42723 42725 42803 42804 42809 42830 42846 42883 428C9 42939 42P01 42P02 42P03 42P04 \
     42P05 42P06 42P07 42P08 42P09 42P10 42P11 42P12 42P13 42P14 42P15 42P16 42P17 42P18 42P19 \
     42P20 42P21 42P22 44000 53000 53100 53200 53300 53400 54000 54001 54011 54023 55000 55006 \
     55P02 55P03 55P04 57000 57014 57P01 57P02 57P03 57P04 57P05 58000 58030 58P01 58P02 72000 \
     F0000 F0001 HV000 HV001 HV002 HV004 HV005 HV006 HV007 HV008 HV009 HV00A HV00B HV00C HV00D \
     HV00J HV00K HV00L HV00M HV00N HV00P HV00Q HV00R HV010 HV014 HV021 HV024 HV090 HV091 P0000 \
     P0001 P0002 P0003 P0004 XX000 XX001 XX002";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_free_characters_of_a_raise_are_not_recorded() {
        for code in ["22012", "P0001", "XX000", "57P01"] {
            assert_eq!(SqlState::recorded(code.as_bytes()), code);
        }
        for code in ["12345", "ZQXMA", "", "2201", "22012 22013", "\u{e9}\u{e9}"] {
            assert_eq!(SqlState::recorded(code.as_bytes()), SqlState::ANOTHER);
        }
    }
}
