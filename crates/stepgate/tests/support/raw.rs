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

pub(crate) fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// How to connect to the gate as that person, in the clear.
pub(crate) fn config(world: &World, person: &Person) -> (UpstreamConfig, Arc<Credentials>) {
    let password = person.password().to_owned().into();
    let credentials = Arc::new(Credentials { user: person.name().to_owned(), password });
    let config = UpstreamConfig {
        name: "shop".to_owned(),
        host: world.gate.listen().ip().to_string(),
        port: world.gate.listen().port(),
        dbname: "shop".to_owned(),
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
pub(crate) async fn session(
    (config, credentials): &(UpstreamConfig, Arc<Credentials>),
) -> Result<Upstream, (String, String)> {
    connect(config, credentials, &[]).await.map_err(told)
}

/// Runs one statement.
pub(crate) async fn run(session: &mut Upstream, sql: &str) -> Answer {
    simple_query(session, sql).await.map_err(told)
}

/// SQLSTATE, or nothing where the connection failed, and all that was said.
fn told(error: UpstreamError) -> (String, String) {
    let said = error.to_string();
    let state = match &error {
        UpstreamError::Server { state, .. } => state.clone(),
        _ => String::new(),
    };
    (state, said)
}
