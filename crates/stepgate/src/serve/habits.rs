//! What is usual for whom is known before anybody is let in.

use std::time::Duration;

use stepgate_proxy::Gate;

/// How long clients wait for that at most. A log of a million records is read in some seconds, and but once: what was made
/// of it is kept.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often it is looked at.
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until the log has been read, where the policy weighs signals: of whom nothing is known, nothing would be unusual.
pub(super) async fn known(gate: &Gate) {
    if gate.rules().risk().is_none() {
        return;
    }
    let ready = async {
        while !gate.profiles().is_ready() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    if tokio::time::timeout(PATIENCE, ready).await.is_err() {
        let lag = gate.profiles().lag();
        tracing::warn!(lag, "what is usual for people is not known yet: until it is, nothing is unusual");
    }
}
