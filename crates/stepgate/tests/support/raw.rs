//! Sessions without a driver, for tests that need many of them.

use std::sync::Arc;

use stepgate_proxy::{
    Credentials, PassPerson, Role, SslMode, Upstream, UpstreamConfig, UpstreamError, connect, simple_query,
};
use stepgate_testkit::Person;
use tokio::runtime::Runtime;

use super::World;

/// What comes of a statement: rows, or SQLSTATE and message.
pub(crate) type Answer = Result<Vec<Vec<Option<String>>>, (String, String)>;

/// Where to connect, and as whom.
pub(crate) type How = (UpstreamConfig, Arc<Credentials>);

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// How to connect to the gate as that person, in the clear.
pub(crate) fn config(world: &World, person: &Person) -> How {
    how(world.gate.listen().port(), person.name(), person.password(), "shop")
}

/// The same over TLS.
pub(crate) fn over_tls(world: &World, person: &Person) -> How {
    let (config, credentials) = config(world, person);
    (UpstreamConfig { sslmode: SslMode::VerifyFull, ca: Some(world.gate.ca()), ..config }, credentials)
}

/// How to connect to whatever listens on that port, in the clear.
pub(crate) fn how(port: u16, user: &str, password: &str, dbname: &str) -> How {
    let credentials = Arc::new(Credentials { user: user.to_owned(), password: password.to_owned().into() });
    let config = UpstreamConfig {
        name: dbname.to_owned(),
        host: "127.0.0.1".to_owned(),
        port,
        dbname: dbname.to_owned(),
        sslmode: SslMode::Disable,
        ca: None,
        roles: vec![Role::of_everybody(Arc::clone(&credentials))],
        catalog: Arc::clone(&credentials),
        allow_untested: false,
        ask_planner: false,
        pass_person: PassPerson::Never,
    };
    (config, credentials)
}

/// A session of that person's.
pub(crate) async fn session((config, credentials): &How) -> Result<Upstream, (String, String)> {
    connect(config, credentials, &[]).await.map_err(told)
}

/// Runs one statement.
pub(crate) async fn run(session: &mut Upstream, sql: &str) -> Answer {
    simple_query(session, sql).await.map_err(told)
}

/// SQLSTATE, or nothing where the connection failed, and all that was said.
fn told(error: UpstreamError) -> (String, String) {
    match error {
        UpstreamError::Server { state, message, .. } => {
            let said = format!("{state} {message}");
            (state, said)
        }
        other => (String::new(), other.to_string()),
    }
}
