//! What a statement may have stored that ran by something else than what it was let through for. Its reply is refused, but what
//! it did stays: it is labelled by all that it may have run by. What nobody knows is unknown from then on, in all that the
//! statement says it writes, and, where code of somebody's own ran that is not understood, in all that such code may write.

use std::collections::BTreeSet;
use std::sync::Arc;

use stepgate_record::Event;
use stepgate_session::Pending;
use stepgate_sql::{Facts, Flow, TEMPORARY, anywhere, large_objects};
use stepgate_store::{Change, LogError};
use stepgate_types::RelationName;

use super::{Case, Judge, Merged, Standing};
use crate::binding;
use crate::database::{Changed, View};
use crate::overtaken::Watched;
use crate::taint::{Flows, TooMuch};

/// The most relations that are said to hold what is not known; of more, all do.
const MAX_UNKNOWN: usize = 5_000;

impl Judge {
    /// Judges what runs, or has run, by other facts than it was let through for. What it may have stored by either is known to
    /// every session before this returns.
    pub(crate) async fn judge_watched(
        &self,
        view: &View,
        watched: &Watched,
        now: Arc<[Facts]>,
    ) -> Result<Standing, LogError> {
        let standing = self.judge_running(view, &watched.pending, Arc::clone(&now)).await?;
        if matches!(standing, Standing::Overtaken) && watched.may_have_done_anything(&now, &view.catalog) {
            self.did_anything(view, watched, &now).await?;
        }
        Ok(standing)
    }

    /// Whether it may have run, until that moment, by what nobody has seen, since others than this session have changed its names
    /// more than once; what it stored then is known to be unknown before this returns: of what only reads, and may not have run
    /// code that came and went meanwhile, nothing.
    pub(crate) async fn judge_between(
        &self,
        view: &View,
        watched: &Watched,
        session: u64,
        until: u64,
    ) -> Result<bool, LogError> {
        let runs = match watched.was_between(&self.database, session, &view.catalog, until) {
            Changed::No => return Ok(false),
            // For long it was not to be known whether it is committed.
            Changed::Maybe(_) => true,
            Changed::Yes(code) => watched.may_have_run(code),
        };
        if runs {
            self.did_anything(view, watched, &[]).await?;
        } else {
            let stored = watched.may_have_stored(&[], &view.catalog);
            self.stored_unknown(view, &watched.pending, stored).await?;
        }
        Ok(true)
    }

    /// Judges what a session, of that number, had under way when it ended, now that it is over.
    pub(crate) async fn judge_left(
        &self,
        view: &View,
        all: &[Watched],
        session: u64,
    ) -> Result<(), LogError> {
        let until = self.database.number();
        for watched in all {
            let between = || watched.was_between(&self.database, session, &view.catalog, until);
            self.database.hears(between).await;
            self.judge_between(view, watched, session, until).await?;
        }
        let taints = self.database.taints.now();
        for watched in all.iter().filter(|watched| watched.is_judged_otherwise(&view.catalog, &taints)) {
            if let Some(now) = watched.now(&view.catalog, &taints) {
                self.judge_watched(view, watched, now).await?;
            }
        }
        Ok(())
    }

    /// It may have done anything: it ran by what nobody understands, or has seen.
    pub(crate) async fn did_anything(
        &self,
        view: &View,
        watched: &Watched,
        now: &[Facts],
    ) -> Result<(), LogError> {
        let mut stored = watched.may_have_stored(now, &view.catalog);
        match self.database.writable_by(&self.role.user).await {
            Ok(writable) => stored.extend(writable),
            Err(error) => {
                tracing::error!(%error, "what a role may write cannot be asked: all that is stored is unknown");
                stored.insert(anywhere());
            }
        }
        // Whoever may run code may store in large objects.
        stored.insert(large_objects());
        self.stored_unknown(view, &watched.pending, stored).await
    }

    /// What was stored in these relations is not known.
    pub(crate) async fn stored_unknown(
        &self,
        view: &View,
        pending: &Pending,
        relations: BTreeSet<RelationName>,
    ) -> Result<(), LogError> {
        let database = &self.database;
        let name = &database.config.name;
        let (stored, changes) = self.unknown_in(relations)?;
        // It is stored already: what cannot be written, for want of disk, is known at least until the gate ends.
        database.taints.add(stored)?;
        if changes.is_empty() {
            return Ok(());
        }
        let event = self.strayed(view, pending, changes.len());
        binding::write(&self.gate.log, vec![event], changes).await?;
        if let Err(error) = database.bind_now().await {
            tracing::error!(database = %name, %error, "labels cannot be bound");
        }
        Ok(())
    }

    /// What is known of these relations if what was stored there is not, and what is to be written of it; where there is no
    /// room for that, of all.
    pub(super) fn unknown_in(
        &self,
        relations: BTreeSet<RelationName>,
    ) -> Result<(Flows, Vec<Change>), TooMuch> {
        let Self { database, gate, .. } = self;
        let unknown = |of: RelationName| (of, Flow { unknown: true, ..Flow::default() });
        let shared = relations.into_iter().filter(|it| !it.schema.starts_with(TEMPORARY));
        let stored =
            database.taints.with_followers(&database.taints.now(), shared.map(unknown).collect()).flows;
        let changes = |stored: &[_]| database.taints.all_changes(&gate.vault, &database.config.name, stored);
        match changes(&stored) {
            Ok(changes) if stored.len() <= MAX_UNKNOWN => Ok((stored, changes)),
            _ => {
                let all = vec![unknown(anywhere())];
                let changes = changes(&all)?;
                Ok((all, changes))
            }
        }
    }

    /// What is written down of it; of somebody who is no more, that it was labelled.
    fn strayed(&self, view: &View, pending: &Pending, labelled: usize) -> Event {
        let Some(who) = self.circumstances_of(view, &pending.facts, pending, None) else {
            let columns = u64::try_from(labelled).unwrap_or(u64::MAX);
            return Event::LabelsBound { database: self.database.config.name.clone(), columns };
        };
        let decision = view.rules.decide_by(&who, &view.bound, &pending.facts, &pending.compared());
        let facts = Merged::of(&pending.facts);
        let (judge, session) = (self, None);
        let case = Case { judge, pending, session, view, who: &who, decision: &decision, facts: &facts };
        case.event("overtaken", None, None)
    }
}
