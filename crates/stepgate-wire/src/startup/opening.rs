use stepgate_types::SqlState;

use super::options::{self, Setting};
use super::packet::StartupPacket;
use crate::Problem;

/// The newest minor version of protocol 3 that the gate speaks.
const NEWEST_MINOR: u16 = 2;

/// A session that a client asks for, after everything it must not ask for was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// The person.
    pub user: String,
    /// The database; the person's name if the client named none, as PostgreSQL has it.
    pub database: String,
    /// The settings to pass on, in the order in which they apply. Contains neither `user` nor `database`.
    pub settings: Vec<(String, String)>,
    /// The minor version of protocol 3 that is spoken from here on: 0 or 2.
    pub minor: u16,
    /// If the client must be told by NegotiateProtocolVersion: the protocol options that are not known.
    pub negotiate: Option<Vec<String>>,
}

impl Opening {
    /// Judges a startup packet.
    ///
    /// # Errors
    /// It asks for what could weaken the gate; nothing is dropped silently.
    pub fn judge(packet: StartupPacket) -> Result<Self, Problem> {
        let minor = if packet.minor >= NEWEST_MINOR { NEWEST_MINOR } else { 0 };
        let negotiate = (packet.minor != minor || !packet.protocol_options.is_empty())
            .then(|| packet.protocol_options.clone());
        let mut opening =
            Self { user: String::new(), database: String::new(), settings: Vec::new(), minor, negotiate };
        // The order in which PostgreSQL applies them (`process_startup_options` of postinit.c): what is in `options` first,
        // wherever it stands in the packet, so that a parameter of the same name comes after it.
        let (options, params): (Vec<_>, Vec<_>) =
            packet.params.into_iter().partition(|(name, _)| name == "options");
        for (name, value) in options.into_iter().chain(params) {
            opening.take(&name, value)?;
        }
        if opening.user.is_empty() {
            return Err(Problem::fatal(
                SqlState::INVALID_AUTHORIZATION,
                "no PostgreSQL user name specified in startup packet",
            ));
        }
        if opening.database.is_empty() {
            opening.database.clone_from(&opening.user);
        }
        Ok(opening)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), Problem> {
        match name {
            "user" => self.user = value,
            "database" => self.database = value,
            "replication" => return replication(&value),
            "options" => {
                for setting in options::parse(&value)? {
                    self.set(setting)?;
                }
            }
            _ => self.set(Setting { name: name.to_owned(), value })?,
        }
        Ok(())
    }

    fn set(&mut self, setting: Setting) -> Result<(), Problem> {
        let Setting { name, value } = options::allowed(setting)?;
        self.settings.push((name, value));
        Ok(())
    }

    /// The setting of this name as the client asked for it, the last one counting.
    #[must_use]
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// A replication connection reads everything without a statement that could be judged. What PostgreSQL takes for neither
/// yes nor no (`ProcessStartupPacket` of postmaster.c) is refused in its words.
fn replication(value: &str) -> Result<(), Problem> {
    let on = value.is_empty() || value.eq_ignore_ascii_case("database");
    let asked = if on { Some(true) } else { options::boolean(value) };
    if asked == Some(false) {
        return Ok(());
    }
    if asked.is_none() {
        let message = format!("invalid value for parameter \"replication\": \"{value}\"");
        return Err(Problem::fatal(SqlState::INVALID_PARAMETER_VALUE, message)
            .with_hint("Leave it out, or set it to \"false\": replication connections are not supported."));
    }
    Err(Problem::fatal(SqlState::FEATURE_NOT_SUPPORTED, "replication connections are not supported")
        .with_hint("Connect to the PostgreSQL server itself for replication and backup."))
}
