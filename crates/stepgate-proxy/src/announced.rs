//! DDL made beside the gate, announced by an event trigger (`docs/ddl-notify.sql`): known a moment after its commit
//! instead of at the next poll. The server tells of it after it has let go of the locks: a reply that waited for one
//! less than 100 ms (`overtaken.rs`) may be there before.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::database::{Database, View};
use crate::upstream::notified;
use crate::{UpstreamError, connect_for_catalog, simple_query};

/// The event trigger and the channel.
const NAME: &str = "stepgate_ddl";

/// How long after a failure the server is tried again.
const AGAIN: Duration = Duration::from_secs(2);

/// Who announces a thousand times in a second is not looked after each time.
const APART: Duration = Duration::from_millis(20);

/// Listens for as long as the gate runs, while the catalog has the event trigger.
pub(crate) async fn listen(database: Arc<Database>, mut shutdown: watch::Receiver<bool>) {
    let mut views = database.views();
    let announces =
        |view: &Option<Arc<View>>| view.as_ref().is_some_and(|view| view.catalog.has_event_trigger(NAME));
    loop {
        let listening = async {
            // In blocks of their own: the guards they return must not live on.
            if views.wait_for(announces).await.is_err() {
                return std::future::pending().await;
            }
            let mut awake = database.awake();
            let _ = async { awake.wait_for(|awake| *awake).await.is_ok() }.await;
            tokio::select! {
                heard = hear(&database) => heard.map(|never| match never {}),
                // While nobody uses it, no connection stands in the way of whoever drops it.
                () = async { let _ = awake.wait_for(|awake| !*awake).await; } => Ok(()),
            }
        };
        tokio::select! {
            () = async { let _ = shutdown.wait_for(|down| *down).await; } => return,
            heard = listening => match heard {
                Ok(()) => continue,
                Err(error) => {
                    tracing::warn!(database = %database.config.name, %error, "cannot listen for announced DDL");
                }
            },
        }
        tokio::select! {
            () = async { let _ = shutdown.wait_for(|down| *down).await; } => return,
            () = tokio::time::sleep(AGAIN) => {}
        }
    }
}

async fn hear(database: &Database) -> Result<std::convert::Infallible, UpstreamError> {
    let mut connection = connect_for_catalog(&database.config).await?;
    simple_query(&mut connection, &format!("LISTEN {NAME}")).await?;
    tracing::info!(database = %database.config.name, "listening for announced DDL");
    loop {
        // Also at the beginning: what was announced before went unheard.
        database.ddl_elsewhere();
        if let Err(error) = database.refresh().await {
            tracing::warn!(database = %database.config.name, %error, "catalog cannot be read after announced DDL");
        }
        if !notified(&mut connection, Some(APART)).await? {
            notified(&mut connection, None).await?;
        }
    }
}
