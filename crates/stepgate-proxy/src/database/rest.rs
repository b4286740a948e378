//! A database that nobody uses: its connections are closed, and it is looked at now and then. Whoever uses it next goes by
//! the catalog that is known, if the server says that it is still the one.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::{Database, Now, Reader, Unless, View};
use crate::catalog::sizes;
use crate::{Upstream, UpstreamError, connect_for_catalog, server_identity};

/// After how long that nobody has used a database its connections are closed: while there is one, nobody can drop it,
/// rename it or take it for a template. PostgreSQL itself waits 5 s for others to leave (`CountOtherDBBackends`).
const LET_GO: Duration = Duration::from_secs(2);

/// How often it is looked at then, for as long as that takes: what alarms are about is also told of what nobody uses.
const POLL_UNUSED: Duration = Duration::from_secs(20);

impl Database {
    /// Lets go of its connections if nobody uses it; whether that is so. It is looked at now and then all the same.
    pub(super) async fn rests(&self) -> bool {
        let mut reader = self.reader.lock().await;
        if reader.failed.is_some() || self.view().is_none() {
            // One that cannot be read is tried again as often as one that is used.
            return false;
        }
        if !self.usage.if_unused_for(LET_GO, || _ = self.awake.send_replace(false)) {
            return false;
        }
        reader.connection = None;
        self.planner.let_go();
        if reader.asked.is_some_and(|asked| asked.elapsed() < POLL_UNUSED) {
            return true;
        }
        reader.asked = Some(Instant::now());
        let looked = match self.unchanged(&reader).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => self.load_with(&mut reader, Unless::Never).await.map(drop),
            Err(error) => Err(error.into()),
        };
        reader.connection = None;
        match looked {
            Ok(()) => self.is_current(),
            // Tried again at the next poll, which tells of it.
            Err(_) => self.has_failed(&mut reader),
        }
        true
    }

    /// The view in use, if it is still what the server has, of tables of about the same sizes: for who uses the database
    /// after a rest. One short session after the other need not have all of a catalog read for each.
    pub(super) async fn still(&self, reader: &mut Reader) -> Option<Arc<View>> {
        let view = self.view().filter(|_| !self.is_closed() && reader.failed.is_none())?;
        // Asked first: what changes in between is found by the next poll.
        let (asked, epoch) = (Instant::now(), self.epoch.load(Ordering::SeqCst));
        let mut connection = self.unchanged(reader).await.ok().flatten()?;
        let now = sizes(&mut connection).await.ok()?;
        let before = reader.sizes.replace((now.clone(), asked));
        if before.is_none_or(|(before, _)| before != now) {
            // To be read over the same connection, and all of it: row versions are compared over one connection alone.
            (reader.connection, reader.has_read) = (Some(connection), false);
            return None;
        }
        self.bind_stored(reader).await.ok()?;
        (reader.connection, reader.has_read) = (Some(connection), false);
        reader.asked = Some(asked);
        self.looked_at.fetch_max(epoch, Ordering::SeqCst);
        self.is_current();
        Some(view)
    }

    /// A connection to the server, if that is the one of the view in use, and its catalog the same.
    ///
    /// # Errors
    /// It cannot be reached.
    async fn unchanged(&self, reader: &Reader) -> Result<Option<Upstream>, UpstreamError> {
        let Some(view) = self.view() else { return Ok(None) };
        let mut connection = connect_for_catalog(&self.config).await?;
        let is_it = server_identity(&mut connection).await.is_ok_and(|server| server == view.server);
        let same = is_it
            && match Now::ask(&mut connection, Unless::Same).await {
                Ok(now) => reader.has_changed(&mut connection, &now).await.is_ok_and(|changed| !changed),
                Err(_) => false,
            };
        Ok(same.then_some(connection))
    }
}

#[cfg(test)]
mod tests;
