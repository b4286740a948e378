//! Rows by the run: what is looked at already, and drawn from no budget, is relayed as it was read, however many rows
//! that are.

use stepgate_wire::Run;

use crate::expect::Owed;
use crate::session::Session;

impl Session {
    /// Whether the rows that come next may be taken by [`Session::on_rows`]: nothing is to be asked about any of them.
    #[must_use]
    pub fn relays_rows(&self) -> bool {
        let looked_at = match self.expect.front().map(|entry| &entry.owed) {
            // Its rows are described before the first of them.
            Some(Owed::Query { traces, .. }) => traces.meter.is_none(),
            Some(Owed::Execute { traces, origins, .. }) => {
                traces.meter.is_none() && origins.is_none() && traces.described.get().is_some()
            }
            _ => false,
        };
        looked_at && !self.rows_have_keys() && self.limits.cut.is_none() && self.wants_server()
    }

    /// Takes rows, and no more is asked than to count them. Only to be called while [`Session::relays_rows`].
    pub fn on_rows(&mut self, run: &Run) {
        if !self.relays_rows() {
            return self.lost_track();
        }
        self.tally.count_run(run.bytes.len(), run.begun);
        self.client.relay_part(&run.bytes, run.ends);
    }
}
