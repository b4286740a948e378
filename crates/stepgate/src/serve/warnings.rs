//! What the operator should know about the servers behind, told once at the start. The gate does not wait for it.

use std::sync::Arc;
use std::time::Duration;

use stepgate_proxy::{Gate, UpstreamError, connect};

use crate::exposure;

/// How long a server may take to answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Looks at each server once, unless the gate is `stopped` meanwhile.
pub(super) async fn look(gate: Arc<Gate>, stopped: impl Future<Output = ()>) {
    let all = async {
        for (name, database) in gate.databases() {
            let upstream = &database.config;
            let rules = gate.rules();
            let look = async {
                let mut connection = connect(upstream, &upstream.credentials, &[]).await?;
                exposure::look(&mut connection, upstream, Some(rules.map())).await
            };
            match tokio::time::timeout(TIMEOUT, look).await {
                Ok(Ok(exposed)) => {
                    for exposure in exposed.found {
                        tracing::warn!(database = name, hint = exposure.hint, "{}", exposure.detail);
                    }
                }
                Ok(Err(error)) => not_looked(name, &error),
                Err(_) => not_looked(name, &UpstreamError::Timeout(TIMEOUT.as_secs())),
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
