//! The way to the server: the database that a client asks for, with its catalog, and a connection as the person's role.
//! All of it takes as long as the server likes, and no longer than a login may (`server.rs`).

use std::sync::Arc;
use std::time::Duration;

use stepgate_record::NoEntry;
use stepgate_types::{PersonName, SqlState};
use stepgate_wire::Problem;
use stepgate_wire::startup::Opening;

use crate::database::{Database, View};
use crate::databases::{InUse, NoDatabase};
use crate::gate::Gate;
use crate::metrics::count;
use crate::upstream::no_such_database;
use crate::{CatalogError, Client, Credentials, PassPerson, Upstream, UpstreamError, connect};

/// A server that has let a person in, and what is known of its database.
pub(crate) struct Reached {
    pub(crate) in_use: InUse,
    pub(crate) role: Arc<Credentials>,
    pub(crate) view: Arc<View>,
    pub(crate) upstream: Upstream,
}

/// Why somebody who has proven who they are gets no session.
pub(crate) struct Refused {
    /// What they are told.
    pub(crate) problem: Problem,
    /// What is recorded; `None`: nothing can be, or more than that is.
    pub(crate) reason: Option<NoEntry>,
}

impl Refused {
    pub(crate) const fn new(reason: NoEntry, problem: Problem) -> Self {
        Self { problem, reason: Some(reason) }
    }
}

/// No such database is behind the gate.
pub(crate) fn unknown(name: &str) -> Refused {
    Refused::new(NoEntry::UnknownDatabase, no_such_database(name))
}

/// Why the server does not let somebody in.
fn no_entry(error: &UpstreamError) -> NoEntry {
    match error {
        UpstreamError::Server { state, .. } if state == "3D000" => NoEntry::UnknownDatabase,
        UpstreamError::Server { .. } | UpstreamError::Auth(_) => NoEntry::ServerRefused,
        _ => NoEntry::ServerUnreachable,
    }
}

/// Finds the database, and has the server let the person's role in.
pub(crate) async fn reach(gate: &Gate, client: &Client, person: &PersonName) -> Result<Reached, Refused> {
    let in_use = open_database(gate, &client.opening.database).await?;
    let database = in_use.database();
    let groups = gate.people.get(person).map(|person| person.groups.clone()).unwrap_or_default();
    let role = database.config.role_of(&groups).cloned();
    let role = role.ok_or_else(|| Refused::new(NoEntry::NoRole, no_role(database, person)))?;
    let view = database.view().ok_or_else(|| unreachable(database, true, &CatalogError::Closed))?;
    let settings = settings(database, person, &client.opening);
    let upstream = connect(&database.config, &role, &settings).await.map_err(|error| {
        if let Some(problem) = error.refused_value() {
            // The client's fault, and its text: of that nothing is logged.
            tracing::debug!(database = %database.config.name, state = %problem.state, "a client begins with what the server refuses");
            return Refused::new(NoEntry::ServerRefused, problem);
        }
        count(&database.failures);
        tracing::warn!(database = %database.config.name, error = %error.in_short(), "cannot connect upstream");
        Refused::new(no_entry(&error), error.problem(&database.config.name))
    })?;
    Ok(Reached { in_use, role, view, upstream })
}

/// The server takes longer than a login may. The name may be anything that a client came up with: it is not logged.
pub(crate) fn no_answer(name: &str, limit: Duration) -> Refused {
    tracing::warn!("a server takes longer to let somebody in than a login may");
    let seconds = limit.as_secs();
    let problem = Problem::fatal(SqlState::CONNECTION_FAILURE, format!("cannot reach database \"{name}\""))
        .with_detail(format!("The server behind the gate did not answer within {seconds} seconds."))
        .with_hint("Try again in a moment. If it stays so, tell the gate's operator.");
    Refused::new(NoEntry::ServerTooSlow, problem)
}

/// The database that a client asks for, with its catalog.
async fn open_database(gate: &Gate, name: &str) -> Result<InUse, Refused> {
    let in_use = gate.databases.get(name).map_err(|why| match why {
        NoDatabase::Unknown => unknown(name),
        NoDatabase::TooMany => Refused::new(NoEntry::TooManyDatabases, too_many_databases(gate)),
    })?;
    let database = in_use.database();
    if let Err(error) = database.ensure_view().await {
        let is_known = gate.databases.known_name(name).is_some();
        gate.databases.forget(database);
        return Err(unreachable(database, is_known, &error));
    }
    gate.databases.is_there(database);
    if gate.databases.is_another(database) {
        tracing::warn!(database = %database.config.name, "asked for by a name that the configuration does not give it");
        gate.databases.forget(database);
        gate.sessions.kill_database(name);
        return Err(unknown(name));
    }
    Ok(in_use)
}

/// The setting by which the server knows who is behind a session. Clients cannot change it: at startup it is refused as
/// every setting is that is not on a list; SET of it counts as a change of roles does.
const PERSON: &str = "stepgate.person";

/// The longest `application_name` that the server keeps, in bytes.
const MAX_APPLICATION_NAME: usize = 63;

/// What the client asks for, and who it is.
fn settings(database: &Database, person: &PersonName, opening: &Opening) -> Vec<(String, String)> {
    let mut settings = opening.settings.clone();
    // As statements are read. Were another the default, RESET ALL would bring it back, and what is sent behind that without
    // waiting would be read in two ways.
    settings.push(("standard_conforming_strings".to_owned(), "on".to_owned()));
    let pass = database.config.pass_person;
    if pass == PassPerson::ApplicationName {
        let name = opening.setting("application_name").unwrap_or_default();
        let name = with_person(name, person);
        settings.retain(|(name, _)| name != "application_name");
        settings.push(("application_name".to_owned(), name));
    }
    if pass != PassPerson::Never {
        settings.push((PERSON.to_owned(), person.to_string()));
    }
    settings
}

/// `psql [dana]`: what does not fit is left out of the client's part.
fn with_person(name: &str, person: &PersonName) -> String {
    let suffix = if name.is_empty() { format!("[{person}]") } else { format!(" [{person}]") };
    let room = MAX_APPLICATION_NAME.saturating_sub(suffix.len());
    let fits = name.char_indices().map(|(at, letter)| at + letter.len_utf8()).take_while(|end| *end <= room);
    let cut = fits.last().unwrap_or(0);
    format!("{}{suffix}", name.get(..cut).unwrap_or_default())
}

fn no_role(database: &Database, person: &PersonName) -> Problem {
    let name = &database.config.name;
    Problem::fatal(SqlState::INVALID_AUTHORIZATION, format!("{person} has no role in database \"{name}\""))
        .with_hint("None of your groups has one; the gate's operator gives groups roles (databases, users).")
}

fn too_many_databases(gate: &Gate) -> Problem {
    count(&gate.metrics.too_many);
    Problem::fatal(SqlState::TOO_MANY_CONNECTIONS, "too many databases are in use")
        .with_hint("Try again when others have disconnected.")
}

/// Nothing can be had of that database; `is_known`: the gate has its name from the configuration, or has seen it there.
fn unreachable(database: &Database, is_known: bool, error: &CatalogError) -> Refused {
    let name = &database.config.name;
    match error {
        CatalogError::Upstream(UpstreamError::Server { state, .. }) if state == "3D000" => {}
        _ if is_known => tracing::warn!(database = %name, %error, "catalog cannot be read"),
        // Its name may be anything that a client came up with, and the server repeats it.
        CatalogError::Upstream(UpstreamError::Server { state, .. }) => {
            tracing::warn!(%state, "the server refuses the catalog's role in a database that a wildcard stands for");
        }
        _ => tracing::warn!(%error, "no catalog can be read of a database that a wildcard stands for"),
    }
    if let CatalogError::Upstream(error @ (UpstreamError::Pooler | UpstreamError::Server { .. })) = error {
        return Refused::new(no_entry(error), error.problem(name));
    }
    let message = format!("cannot reach database \"{name}\"");
    let problem = Problem::fatal(SqlState::CONNECTION_FAILURE, message).with_hint(
        "The gate is up, the server behind it is not, or does not let it in. Tell the gate's operator.",
    );
    Refused::new(NoEntry::ServerUnreachable, problem)
}
