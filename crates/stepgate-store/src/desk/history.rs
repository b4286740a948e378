//! What became of a person's earlier requests of the same kind, for those who answer the next one.

use std::time::Duration;

use serde::Serialize;
use stepgate_types::{PersonName, Timestamp};

use super::state::State;
use super::view::RequestInfo;

/// How far back.
const DAYS: u32 = 30;

/// How many requests of somebody ended in which way, of the latest ones that the gate remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct History {
    /// Over so many days.
    pub days: u32,
    /// Approved.
    pub approved: u32,
    /// Denied.
    pub denied: u32,
    /// Expired without an answer.
    pub expired: u32,
    /// Called off, or ended with the session.
    pub withdrawn: u32,
    /// How many of all are of the same approval and database.
    pub similar: u32,
    /// How many of these were approved.
    pub similar_approved: u32,
}

impl State {
    /// What became of the earlier requests of who opened this one.
    pub(super) fn history(&self, of: &RequestInfo, now: Timestamp) -> History {
        let ago = Duration::from_secs(u64::from(DAYS) * 24 * 60 * 60).as_micros();
        let since =
            Timestamp::from_micros(now.micros().saturating_sub(i64::try_from(ago).unwrap_or(i64::MAX)));
        let mut history = History { days: DAYS, ..History::default() };
        let asker = |info: &RequestInfo| -> PersonName {
            info.opened_by.clone().unwrap_or_else(|| info.person.clone())
        };
        let whose = asker(of);
        let since = since.to_string();
        // RFC 3339 in UTC, always with as many digits: they sort as the times do.
        let recent = |info: &&RequestInfo| info.opened.as_ref().is_some_and(|opened| *opened >= since);
        for info in self.past.list().filter(|info| asker(info) == whose).filter(recent) {
            let similar = info.approval == of.approval && info.database == of.database;
            let approved = info.state == "approved";
            let count = match info.state {
                "approved" => &mut history.approved,
                "denied" => &mut history.denied,
                "expired" => &mut history.expired,
                _ => &mut history.withdrawn,
            };
            *count = count.saturating_add(1);
            history.similar = history.similar.saturating_add(u32::from(similar));
            history.similar_approved =
                history.similar_approved.saturating_add(u32::from(similar && approved));
        }
        history
    }
}
