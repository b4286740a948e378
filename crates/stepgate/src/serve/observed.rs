//! What is shown of the running gate.

use std::sync::Arc;

use stepgate_proxy::{Gate, Shutdown};
use tokio::sync::watch;

use crate::deliver::Delivery;

/// The gate, and how far it is on its way out.
pub(super) struct Observed {
    pub(super) gate: Arc<Gate>,
    pub(super) delivery: Arc<Delivery>,
    pub(super) drain: watch::Receiver<Shutdown>,
}

impl stepgate_console::Observed for Observed {
    fn metrics(&self) -> String {
        self.gate.metrics() + &self.delivery.metrics()
    }

    fn lacks(&self) -> Option<&'static str> {
        if *self.drain.borrow() > Shutdown::Serving { Some("stopping") } else { self.gate.lacks() }
    }
}
