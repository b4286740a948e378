//! What the operator should know about the servers behind, told once at the start. The gate does not wait for it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use stepgate_proxy::{Gate, UpstreamError, connect};

use crate::exposure;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Looks at each server once, unless the gate is `stopped` meanwhile.
pub(super) async fn look(gate: Arc<Gate>, stopped: impl Future<Output = ()>) {
    let all = async {
        for database in gate.databases() {
            let (upstream, rules) = (&database.config, gate.rules());
            let mut told = BTreeSet::new();
            for role in upstream.roles.iter().map(|role| &*role.credentials) {
                let look = async {
                    let mut connection = connect(upstream, role, &[]).await?;
                    exposure::look(&mut connection, upstream, &role.user, Some(rules.map())).await
                };
                match tokio::time::timeout(TIMEOUT, look).await {
                    // What is true of the server is found by each of them.
                    Ok(Ok(exposed)) => {
                        for exposure in exposed.found {
                            if told.insert(exposure.detail.clone()) {
                                let (name, hint) = (&upstream.name, exposure.hint);
                                tracing::warn!(database = %name, hint, "{}", exposure.detail);
                            }
                        }
                    }
                    Ok(Err(error)) => not_looked(&upstream.name, &error),
                    Err(_) => not_looked(&upstream.name, &UpstreamError::Timeout(TIMEOUT.as_secs())),
                }
            }
        }
    };
    tokio::select! {
        () = all => {}
        () = stopped => {}
    }
}

fn not_looked(database: &str, error: &UpstreamError) {
    tracing::warn!(database, %error, "cannot look at the role's rights; `stepgate doctor` can later");
}
