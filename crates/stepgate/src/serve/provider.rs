//! The identity provider as it is: asked at the start, and again after each failure until it works. While it does not,
//! people are offered what else they have.

use std::sync::Arc;
use std::time::Duration;

use stepgate_console::oidc::Oidc;
use tokio::sync::watch;

/// How long until it is tried again whether it works.
const PAUSE: Duration = Duration::from_secs(10);

/// Until the gate stops.
pub(super) async fn keep_known(oidc: Arc<Oidc>, mut shutdown: watch::Receiver<bool>) {
    let mut is_known = false;
    loop {
        if !is_known || oidc.is_down() {
            let probed = Arc::clone(&oidc);
            // It blocks its thread for as long as the provider takes; what it finds out is kept there.
            let _ = tokio::task::spawn_blocking(move || probed.check().is_ok()).await;
            is_known = true;
        }
        tokio::select! {
            _ = shutdown.wait_for(|down| *down) => return,
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}
